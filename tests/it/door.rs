//! The door: invitations, what is asked again at auth and at resume, and the client networks that a ban
//! closes for new codes.

use crate::moderation::{acted, ask, refused, told, turned_away};
use crate::support::{Client, Plume};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What becomes of a request for a code from a client address: `code`, or why there is none.
fn asked_from(server: &Plume, address: &str, email: &str) -> String {
    let mut client = Client::open_for(server, address);
    client.hello_as("Newcomer", email);
    let answer = client.message();
    match answer["type"].as_u64() {
        Some(0) => "code".to_owned(),
        Some(5) => answer["reason"].as_str().expect("a reason").to_owned(),
        _ => panic!("{answer}"),
    }
}

/// Lifts the ban of Bob. A command with the `ref` of an earlier one would not be carried out again.
fn unban(moderator: &mut Client, reference: &str) {
    moderator.send(&json!({"type": 1, "text": "/unban Bob", "ref": format!("unban {reference}")}));
    while moderator.message()["event"] != "unban" {}
}

#[test]
fn where_nobody_may_come_in_moderators_let_addresses_in_and_the_room_sees_none_of_it() {
    let server = Plume::start(&[
        ("PLUME_MODERATORS", "ada@example.org"),
        ("PLUME_ALLOW", "invited"),
        ("PLUME_RATE", "1000"),
    ]);
    let mut ada = Client::login(&server, "Ada");
    turned_away(&server, "Bob", "bob@example.org");
    told(&mut ada, "/invites", "Nobody is invited.");
    told(&mut ada, "/invite Bob@Example.org", "bob@example.org is invited.");
    told(&mut ada, "/invite bob@example.org ", "bob@example.org is invited already.");
    told(&mut ada, "/invite eve@b\u{fc}cher.example", "eve@xn--bcher-kva.example is invited.");
    told(&mut ada, "/invites", "2 invitations:\nbob@example.org\neve@xn--bcher-kva.example");
    turned_away(&server, "Bob", "bob+x@example.org");
    let mut bob = Client::login(&server, "Bob");
    let mut asked = Client::asking(&server, "Bob");
    ada.expect_enters("Bob");
    told(&mut ada, "/uninvite BOB@example.org", "bob@example.org is not invited any more.");
    told(&mut ada, "/uninvite bob@example.org", "is not invited; see /invites.");
    // Who is in stays in, and comes back; but codes let nobody in any more.
    let before = bob.talk("still here")["id"].as_u64().expect("an id");
    Client::resume_of(&server, &bob, None);
    asked.auth(&server.code_for("Bob"));
    assert_eq!(asked.expect(5)["reason"], "not-admitted", "the door is asked at auth, too");
    turned_away(&server, "Bob", "bob@example.org");
    for text in [
        "/invite",
        "/invite bob",
        "/invite bob@",
        "/invite @example.org",
        "/invite bob@example.org now",
        "/uninvite",
        "/uninvite Bob",
        "/invites all",
    ] {
        refused(&mut ada, text, "bad-command");
        refused(&mut bob, text, "not-moderator");
    }
    let after = bob.talk("and nothing was said")["id"].as_u64().expect("an id");
    assert_eq!(after, before + 1, "invitations are no lines of the room");
}

#[test]
fn an_invitation_wins_over_deny_and_a_banned_domain_and_a_ban_of_the_address_wins_over_it() {
    let server = Plume::start(&[
        ("PLUME_MODERATORS", "ada@example.org"),
        ("PLUME_DENY", "@example.net"),
        ("PLUME_RATE", "1000"),
    ]);
    let mut ada = Client::login(&server, "Ada");
    acted(&mut ada, "/ban @example.com", &json!({"event": "ban"}));
    for (name, email) in [("Nat", "nat@example.net"), ("Carl", "carl@example.com")] {
        turned_away(&server, name, email);
        told(&mut ada, &format!("/invite {email}"), "is invited.");
        let client = Client::login_as(&server, name, email);
        // Whoever is in loses nothing by a second ban of the domain.
        acted(&mut ada, &format!("/ban @example.com not {name}"), &json!({"event": "ban"}));
        Client::resume_of(&server, &client, None);
    }
    acted(&mut ada, "/ban Carl", &json!({"who": "Carl"}));
    turned_away(&server, "Carl", "carl@example.com");
    told(&mut ada, "/invite carl@example.com", "is invited already, but banned; see /bans.");
    turned_away(&server, "Carl", "carl@example.com");
}

#[test]
fn the_door_is_asked_again_at_resume() {
    let server = Plume::start(&[
        ("PLUME_MODERATORS", "ada@example.org"),
        ("PLUME_DENY", "@example.net"),
        ("PLUME_RATE", "1000"),
    ]);
    let mut ada = Client::login(&server, "Ada");
    acted(&mut ada, "/ban @example.com", &json!({"event": "ban"}));
    let mut sessions = Vec::new();
    for (name, email) in [("Nat", "nat@example.net"), ("Carl", "carl@example.com")] {
        told(&mut ada, &format!("/invite {email}"), "is invited.");
        let client = Client::login_as(&server, name, email);
        told(&mut ada, &format!("/uninvite {email}"), "not invited any more.");
        let refusal = Client::with_token(&server, &client.token()).expect(5);
        assert_eq!((&refusal["reason"], &refusal["user"]["name"]), (&json!("not-admitted"), &json!(name)));
        sessions.push(client);
    }
    acted(&mut ada, "/unban @example.com", &json!({"event": "unban"}));
    Client::resume_of(&server, &sessions[1], None);
    // Names that are known come in while the room is locked, by a token and by a code.
    acted(&mut ada, "/lock", &json!({"event": "lock"}));
    Client::resume_of(&server, &sessions[1], None);
    Client::login_as(&server, "Carl", "carl@example.com");
}

#[test]
fn a_ban_closes_the_client_network_for_new_codes_and_for_nobody_who_was_here() {
    let server = Plume::start(&[
        ("PLUME_MODERATORS", "ada@example.org"),
        ("PLUME_TRUSTED_PROXIES", "127.0.0.1"),
        ("PLUME_RATE", "1000"),
    ]);
    let mut ada = Client::login_for(&server, "198.51.100.1", "Ada");
    for (own, same, other) in [
        ("203.0.113.5", "::ffff:203.0.113.5", "203.0.113.6"),
        ("2001:db8:1:2::5", "2001:db8:1:2:3::6", "2001:db8:1:3::5"),
    ] {
        let mut neighbour = Client::login_for(&server, same, "Neo");
        Client::login_for(&server, own, "Bob");
        acted(&mut ada, &format!("/ban Bob 2h {own}"), &json!({"who": "Bob"}));
        assert_eq!(asked_from(&server, same, "new@example.org"), "not-admitted", "{own}");
        assert_eq!(asked_from(&server, own, "bob@example.net"), "not-admitted", "{own}");
        assert_eq!(asked_from(&server, other, "other@example.org"), "code", "{own}");
        // The neighbour stays, comes back, gets a code, and so does an address that is invited.
        neighbour.settle();
        neighbour.talk("still here");
        let mut again = Client::open_for(&server, same);
        again.resume(&neighbour.token(), None, None);
        again.enter();
        Client::login_for(&server, same, "Neo");
        told(&mut ada, "/invite guest@example.org", "is invited.");
        assert_eq!(asked_from(&server, same, "guest@example.org"), "code", "{own}");
        ask(&mut ada, "/uninvite guest@example.org");
        unban(&mut ada, own);
        assert_eq!(asked_from(&server, same, "late@example.org"), "code", "{own}: lifted");
    }
}

#[test]
fn a_ban_of_one_who_has_left_closes_the_network_and_no_private_one_or_a_proxys() {
    let server = Plume::start(&[
        ("PLUME_MODERATORS", "ada@example.org"),
        ("PLUME_TRUSTED_PROXIES", "127.0.0.1,203.0.113.9"),
        ("PLUME_RATE", "1000"),
    ]);
    let mut ada = Client::login_for(&server, "198.51.100.1", "Ada");
    let rows = [
        ("203.0.113.5", "not-admitted"),
        ("10.1.2.3", "code"),
        ("192.168.1.7", "code"),
        ("100.64.0.7", "code"),
        ("fd12::7", "code"),
        ("203.0.113.9", "code"),
    ];
    for (number, (address, expected)) in rows.into_iter().enumerate() {
        let mut bob = Client::login_for(&server, address, "Bob");
        bob.log_out();
        acted(&mut ada, &format!("/ban Bob {address}"), &json!({"who": "Bob"}));
        let refusal = asked_from(&server, address, &format!("new{number}@example.org"));
        assert_eq!(refusal, expected, "{address}");
        unban(&mut ada, address);
    }
}

#[test]
fn a_refusal_at_the_door_makes_the_connection_wait_like_a_wrong_code() {
    let server = Plume::start(&[("PLUME_ALLOW", "@example.com")]);
    let mut eve = Client::open(&server);
    let begun = Instant::now();
    eve.hello("Eve");
    eve.hello_as("Carl", "carl@example.com");
    assert_eq!(eve.expect(5)["reason"], "not-admitted");
    assert!(begun.elapsed() < Duration::from_millis(900), "the answer comes at once: {:?}", begun.elapsed());
    eve.expect(0);
    assert!(begun.elapsed() >= Duration::from_millis(950), "too fast: {:?}", begun.elapsed());
}

#[test]
fn a_refusal_at_resume_counts_like_one_at_hello() {
    let server = Plume::start(&[
        ("PLUME_MODERATORS", "ada@example.org"),
        ("PLUME_DENY", "@example.net"),
        ("PLUME_TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let mut ada = Client::login_for(&server, "198.51.100.1", "Ada");
    told(&mut ada, "/invite nat@example.net", "is invited.");
    let nat = Client::open_for(&server, "203.0.113.5").log_in(&server, "Nat", "nat@example.net");
    told(&mut ada, "/uninvite nat@example.net", "not invited any more.");
    let mut clients: Vec<Client> = (0..3).map(|_| Client::open_for(&server, "203.0.113.5")).collect();
    for client in &mut clients {
        for _ in 0..10 {
            client.resume(&nat.token(), None, None);
        }
    }
    let mut refused = 0;
    for client in &mut clients {
        let last = loop {
            let message: Value = client.message();
            if message["type"] == 5 {
                refused += 1;
            } else {
                break message;
            }
        };
        assert_eq!(last["reason"], "too-many-tries", "{last}");
        client.expect_close(1008);
    }
    assert_eq!(refused, 20, "twenty within a minute, ten on a connection");
}
