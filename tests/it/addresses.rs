//! Limits for each client address, which a trusted proxy tells; an address of this machine has none of its
//! own.

use crate::support::{Client, FakeMailgun, Plume, address_of, wait_for};

/// What a trusted proxy is here: the tests themselves, and one more on the way.
const TRUST: (&str, &str) = ("PLUME_TRUSTED_PROXIES", "127.0.0.0/8, 192.0.2.1");

#[test]
fn an_address_has_so_many_connections_and_a_place_for_the_next() {
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "2")]);
    let rows = [
        ("203.0.113.5", true),
        // The same client: what stands to the left of it anybody may have written.
        ("198.51.100.1, 203.0.113.5, 192.0.2.1", true),
        ("203.0.113.5", false),
        ("198.51.100.1, 203.0.113.5", false),
        ("::ffff:203.0.113.5", false),
        ("203.0.113.6", true),
        // A household has a /64.
        ("2001:db8:1:2::1", true),
        ("2001:db8:1:2:3:4:5:6", true),
        ("2001:db8:1:2:ffff::1", false),
        ("2001:db8:1:3::1", true),
    ];
    let mut inside = Vec::new();
    for (forwarded_for, expected) in rows {
        let client = Client::admit_for(&server, forwarded_for);
        assert_eq!(client.is_some(), expected, "{forwarded_for}");
        inside.extend(client);
    }
    drop(inside.remove(0));
    wait_for("place", || Client::admit_for(&server, "203.0.113.5"));
}

#[test]
fn without_a_trusted_proxy_nobody_believes_what_is_forwarded() {
    let server = Plume::start(&[("PLUME_MAX_PER_ADDRESS", "1")]);
    // All come from this machine, which may be a proxy: no limit, whatever they claim.
    let inside: Vec<Client> =
        (0..5).map(|_| Client::admit_for(&server, "203.0.113.5").expect("a place without limit")).collect();
    assert_eq!(inside.len(), 5);
}

#[test]
fn an_address_may_ask_for_ten_mails() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[TRUST, ("PLUME_MAIL_BURST", "100")]);
    for n in 0..10 {
        let mut client = Client::open_for(&server, "203.0.113.5");
        let name = format!("P{n}");
        client.ask_code(&name, &address_of(&name));
        mailgun.next();
    }
    let mut client = Client::open_for(&server, "203.0.113.5");
    client.hello("Ada");
    let notice = client.expect_notice("mail-limited");
    assert!(notice["retry"].as_u64().is_some_and(|wait| (1..=600).contains(&wait)), "{notice}");
    let mut other = Client::open_for(&server, "203.0.113.6");
    other.hello("Ada");
    other.expect(0);
}

#[test]
fn an_address_has_twenty_wrong_codes_and_twenty_malformed_tokens_a_minute() {
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "100")]);
    let tries: [fn(&mut Client); 2] =
        [|client| client.auth("222222"), |client| client.resume("no token at all", None, None)];
    for (kind, wrong_try) in tries.into_iter().enumerate() {
        for n in 0..20 {
            let mut client = Client::open_for(&server, "203.0.113.5");
            wrong_try(&mut client);
            let answer = client.message();
            assert_eq!(answer["type"], 4, "kind {kind}, try {n}: {answer}");
        }
        let mut client = Client::open_for(&server, "203.0.113.5");
        wrong_try(&mut client);
        client.expect_notice("too-many-tries");
        client.expect_close(1008);
        let mut other = Client::open_for(&server, "203.0.113.6");
        wrong_try(&mut other);
        other.expect(4);
    }
    // Well-formed tokens are not counted: after a restart, all are unknown.
    for _ in 0..30 {
        let mut client = Client::open_for(&server, "203.0.113.5");
        client.resume("AAAAAAAAAAAAAAAAAAAAAAAAAAA", None, None);
        client.expect_rejected(0);
    }
}

#[test]
fn an_address_is_told_of_twenty_taken_names_a_minute() {
    let server = Plume::start(&[TRUST]);
    Client::login_as(&server, "Ada", "ada@example.org");
    let ask = |address: &str, name: &str| {
        let mut client = Client::open_for(&server, address);
        client.hello_as(name, "eve@example.org");
        client.message()
    };
    for n in 0..20 {
        let answer = ask("203.0.113.5", "Ada");
        assert_eq!(answer["type"], 5, "{n}: {answer}");
    }
    // Then a free name has the same answer as a taken one.
    for name in ["Ada", "Eve"] {
        let answer = ask("203.0.113.5", name);
        assert_eq!(answer["reason"], "mail-limited", "{name}: {answer}");
        assert!(answer["retry"].as_u64().is_some_and(|wait| (1..=60).contains(&wait)), "{answer}");
    }
    assert_eq!(ask("203.0.113.6", "Eve")["type"], 0);
}

#[test]
fn whether_a_name_is_taken_is_told_only_within_the_mail_budget() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[TRUST, ("PLUME_MAIL_BURST", "100")]);
    let mut ada = Client::open_for(&server, "203.0.113.9");
    ada.ask_code("Ada", "ada@example.org");
    ada.auth(&mailgun.next().code());
    ada.enter();
    let ask = |address: &str, name: &str, email: &str| {
        let mut client = Client::open_for(&server, address);
        client.hello_as(name, email);
        client.message()
    };
    // Each answer counts as a request for a code, whether a mail goes out or not.
    for n in 0..10 {
        let answer = ask("198.51.100.5", "Ada", &format!("p{n}@example.org"));
        assert_eq!(answer["type"], 5, "{n}: {answer}");
    }
    for name in ["Ada", "Eve"] {
        let answer = ask("198.51.100.5", name, "eve@example.org");
        assert_eq!(answer["reason"], "mail-limited", "{name}: {answer}");
    }
    assert_eq!(mailgun.count(), 1, "no mail for a name that is taken");
    assert_eq!(ask("198.51.100.6", "Eve", "eve@example.org")["type"], 0);
}
