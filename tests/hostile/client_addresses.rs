//! Limits for each client address behind a trusted proxy: they cannot be dodged, and they hit nobody else.

use crate::onlooker::Onlooker;
use crate::raw::handshake;
use crate::support::{Client, Event, Plume, connect, frame, wait_for};
use std::io::{Read, Write};
use std::net::TcpStream;

/// The tests are the proxy, and there is one more on the way.
const TRUST: (&str, &str) = ("PLUME_TRUSTED_PROXIES", "127.0.0.1,192.0.2.0/24");

/// Tries a wrong code, as a client with this address; whether it was answered as one.
fn may_try(server: &Plume, forwarded_for: &str) -> bool {
    let mut client = Client::open_for(server, forwarded_for);
    client.auth("222222");
    let answer = client.message();
    if answer["type"] == 4 {
        return true;
    }
    assert_eq!(answer["reason"], "too-many-tries", "{answer}");
    client.expect_close(1008);
    false
}

#[test]
fn twenty_wrong_tries_a_minute_however_the_address_is_dressed() {
    let server = Plume::start(&[TRUST]);
    let onlooker = Onlooker::with(Client::login_for(&server, "203.0.113.9", "Onlooker"));
    let dressed = |n: usize| match n % 5 {
        0 => "203.0.113.5".to_owned(),
        1 => format!("198.51.100.{n}, 203.0.113.5"),
        2 => format!("198.51.100.{n},203.0.113.5 , 192.0.2.{n}"),
        3 => format!("2001:db8::{n}, ::ffff:203.0.113.5, 192.0.2.1,127.0.0.1"),
        _ => format!("unknown, \"_x{n}\", 203.0.113.5"),
    };
    let looked_at = (0..40).filter(|&n| may_try(&server, &dressed(n))).count();
    assert_eq!(looked_at, 20, "within a minute");
    assert!(may_try(&server, "203.0.113.6"), "the neighbour");
    assert!(may_try(&server, "203.0.113.5, 203.0.113.7"), "who names the victim to the left");
    // Who is in is not harmed by what others try from the same address, and nor is a right token's owner
    // elsewhere.
    onlooker.finish();
}

#[test]
fn a_household_has_twenty_wrong_codes_a_minute_and_a_right_one_is_still_good() {
    let server = Plume::start(&[TRUST]);
    let onlooker = Onlooker::with(Client::login_for(&server, "203.0.113.9", "Onlooker"));
    let mut neighbour = Client::open_for(&server, "2001:db8:1:2::6");
    neighbour.ask_code("Ada", "ada@example.org");
    let code = server.code_for("Ada");
    let mut clients: Vec<Client> = (0..30).map(|_| Client::open_for(&server, "2001:db8:1:2::5")).collect();
    let mut refused = 0;
    for client in &mut clients {
        client.auth("222222");
        let answer = client.message();
        if answer["type"] == 6 {
            assert_eq!(answer["reason"], "too-many-tries", "{answer}");
            client.expect_close(1008);
            refused += 1;
        }
    }
    assert_eq!(refused, 10, "of 30");
    // A household has a /64.
    assert!(!may_try(&server, "2001:db8:1:2:ffff::1"), "the same household");
    assert!(may_try(&server, "2001:db8:1:3::1"), "another household");
    // Wrong codes of one person keep nobody in the household from coming in, with a code or a token.
    neighbour.auth(&code);
    neighbour.enter();
    let mut again = Client::open_for(&server, "2001:db8:1:2::6");
    again.resume(&neighbour.token(), None, None);
    again.enter();
    onlooker.finish();
}

/// After a restart the tokens of all members are old.
#[test]
fn sixty_members_behind_one_address_come_in_again_after_a_restart() {
    let before = Plume::start(&[]);
    let names: Vec<String> = (0..60).map(|n| format!("Member {n}")).collect();
    let tokens: Vec<String> = names.iter().map(|name| Client::login(&before, name).token()).collect();
    drop(before);
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "100")]);
    let onlooker = Onlooker::with(Client::login_for(&server, "203.0.113.9", "Onlooker"));
    let mut members: Vec<Client> = names.iter().map(|_| Client::open_for(&server, "203.0.113.5")).collect();
    for (member, token) in members.iter_mut().zip(&tokens) {
        member.resume(token, None, Some(7));
    }
    for (member, name) in members.iter_mut().zip(&names) {
        member.expect_rejected(0);
        member.ask_code(name, &format!("{}@example.org", name.replace(' ', "").to_lowercase()));
    }
    for (member, name) in members.iter_mut().zip(&names) {
        member.auth(&server.code_for(name));
        member.expect(3);
    }
    onlooker.finish();
}

#[test]
fn an_address_with_too_many_connections_keeps_nobody_else_out() {
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "5")]);
    let onlooker = Onlooker::with(Client::login_for(&server, "203.0.113.9", "Onlooker"));
    let dressed = |n: usize| format!("198.51.100.{n}, 203.0.113.5, 192.0.2.{n}");
    let held: Vec<Client> = (0..40).filter_map(|n| Client::admit_for(&server, &dressed(n))).collect();
    assert_eq!(held.len(), 5, "so many have a place");
    let others: Vec<Client> = (1..=60)
        .filter_map(|n| Client::admit_for(&server, &format!("203.0.113.5, 198.51.100.{n}")))
        .collect();
    assert_eq!(others.len(), 60, "all others have a place");
    onlooker.finish();
}

/// Whether somebody is let in whose address is told in these lines; what it said itself stands above what the
/// proxy added.
fn admitted_by_lines(server: &Plume, lines: &[String]) -> Option<TcpStream> {
    let fields: Vec<_> = lines.iter().map(|line| ["X-Forwarded-For: ", line, "\r\n"].concat()).collect();
    let request = format!("{}\r\n{}\r\n", handshake().trim_end(), fields.concat());
    let mut stream = connect(server);
    stream.write_all(&[request.as_bytes(), &frame(0x89, b"")].concat()).expect("the server takes the bytes");
    let mut received = Vec::new();
    let mut byte = [0];
    while !received.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("the upgrade is answered");
        received.extend(byte);
    }
    stream.read_exact(&mut byte).expect("a pong or a close");
    (byte == [0x8a]).then_some(stream)
}

#[test]
fn an_address_in_a_line_of_its_own_counts_as_one_in_a_list() {
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "3")]);
    let onlooker = Onlooker::with(Client::login_for(&server, "203.0.113.9", "Onlooker"));
    let lines = |n: usize| [format!("198.51.100.{n}"), "203.0.113.5".to_owned()];
    let held: Vec<_> = (0..20).filter_map(|n| admitted_by_lines(&server, &lines(n))).collect();
    assert_eq!(held.len(), 3, "so many have a place");
    onlooker.finish();
}

#[test]
fn without_trust_nothing_is_limited_and_the_log_says_so_once() {
    let server = Plume::start(&[("PLUME_MAX_PER_ADDRESS", "2")]);
    let onlooker = Onlooker::join(&server);
    for n in 0..40 {
        assert!(may_try(&server, &format!("203.0.113.{}", n % 3)), "try {n}");
    }
    server.wait_line("event=unknown-proxy");
    assert_eq!(server.log().matches("event=unknown-proxy").count(), 1, "{}", server.log());
    assert!(!server.log().contains("203.0.113."), "addresses are not logged: {}", server.log());
    onlooker.finish();
}

/// Opens a WebSocket that a proxy says this of; `None`: it was closed with 1013.
fn admitted(server: &Plume, told: Option<&str>) -> Option<Client> {
    let Some(told) = told else {
        let mut client = Client::open(server);
        client.send_ping(b"in?");
        return match client.next() {
            Event::Pong(_) => Some(client),
            Event::Close(Some(1013)) => None,
            other => panic!("{other:?}"),
        };
    };
    Client::admit_for(server, told)
}

#[test]
fn clients_that_a_trusted_proxy_does_not_name_share_the_limits_of_its_own_address() {
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "2")]);
    let onlooker = Onlooker::with(Client::login_for(&server, "203.0.113.9", "Onlooker"));
    for told in [
        None,
        Some(""),
        Some(","),
        Some("unknown"),
        Some("_hidden"),
        Some("unix:"),
        Some("\"_gazonk\""),
        Some("203.0.113.5, unknown"),
        Some("203.0.113.5, not an address"),
        Some("203.0.113.5;203.0.113.6"),
        Some("203.0.113.5, ::1%eth0"),
        Some("203.0.113.5, unix:/run/plume"),
    ] {
        let held: Vec<Client> = (0..10).filter_map(|_| admitted(&server, told)).collect();
        assert_eq!(held.len(), 2, "{told:?}");
        assert!(Client::admit_for(&server, "203.0.113.5").is_some(), "one with an address, beside {told:?}");
        drop(held);
        wait_for("places again", || {
            let places = [admitted(&server, told), admitted(&server, told)];
            places.iter().all(Option::is_some).then_some(())
        });
        wait_for("end of all", || admitted(&server, told).map(drop));
    }
    let line = server.wait_line("event=silent-proxy");
    assert!(line.contains("hint=X-Forwarded-For"), "{line}");
    assert_eq!(server.log().matches("event=silent-proxy").count(), 1, "{}", server.log());
    onlooker.finish();
}

#[test]
fn a_network_written_as_ipv6_trusts_ipv4_proxies() {
    let trust = ("PLUME_TRUSTED_PROXIES", "::ffff:127.0.0.0/104");
    let server = Plume::start(&[trust, ("PLUME_MAX_PER_ADDRESS", "2")]);
    let onlooker = Onlooker::with(Client::login_for(&server, "203.0.113.9", "Onlooker"));
    let held: Vec<Client> = (0..10).filter_map(|_| Client::admit_for(&server, "203.0.113.5")).collect();
    assert_eq!(held.len(), 2, "so many have a place");
    assert!(!server.log().contains("event=wide-trust"), "{}", server.log());
    onlooker.finish();
}

#[test]
fn a_trusted_network_that_clients_may_be_in_is_warned_of() {
    for (networks, count) in
        [("10.0.0.0/8,192.0.2.0/24,::/0", 2), ("0.0.0.0/0", 1), ("::ffff:10.0.0.0/104", 1)]
    {
        let server = Plume::start(&[("PLUME_TRUSTED_PROXIES", networks)]);
        server.wait_line(&format!("event=wide-trust networks={count} hint=PLUME_TRUSTED_PROXIES"));
    }
}
