//! Limits for each client address, which a trusted proxy tells; an address of this machine has none of its own.

use crate::support::{Client, FakeMailgun, Plume, wait_for};

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
        client.ask_code(&format!("P{n}"), &format!("p{n}@example.org"));
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
fn an_address_has_twenty_wrong_tries_a_minute() {
    let server = Plume::start(&[TRUST]);
    for n in 0..20 {
        let mut client = Client::open_for(&server, "203.0.113.5");
        client.resume("wrong", None, None);
        let answer = client.message();
        assert_eq!(answer["type"], 4, "try {n}: {answer}");
    }
    let mut client = Client::open_for(&server, "203.0.113.5");
    client.resume("wrong", None, None);
    let mut answer = client.message();
    if answer["type"] == 4 {
        answer = client.message();
    }
    assert_eq!(answer["reason"], "too-many-tries", "{answer}");
    client.expect_close(1008);
    let mut other = Client::open_for(&server, "203.0.113.6");
    other.resume("wrong", None, None);
    other.expect(4);
}
