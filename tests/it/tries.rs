//! Wrong codes and tokens: how many, how fast, and what becomes of the code.

use crate::support::{Client, Event, Plume, other_than};
use std::time::{Duration, Instant};

#[test]
fn a_code_bears_five_wrong_tries_wherever_they_come_from() {
    let server = Plume::start(&[]);
    let mut asker = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    for left in [4, 3, 2, 1, 0] {
        Client::with_code(&server, &asker.flow, &other_than(&code)).expect_rejected(left);
    }
    asker.auth(&code);
    asker.expect_rejected(0);
    asker.ask_code("Ada", "ada@example.org");
    asker.auth(&server.code_for("Ada"));
    asker.expect(3);
}

#[test]
fn four_wrong_tries_leave_the_code_good() {
    let server = Plume::start(&[]);
    let mut asker = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    for (left, wrong) in
        [(4, other_than(&code)), (3, String::new()), (2, code.repeat(2)), (1, "??????".to_owned())]
    {
        Client::with_code(&server, &asker.flow, &wrong).expect_rejected(left);
    }
    asker.auth(&code);
    asker.expect(3);
}

#[test]
fn the_tenth_wrong_try_on_one_connection_ends_it() {
    let server = Plume::start(&[]);
    let mut client = Client::asking(&server, "Ada");
    let wrong = other_than(&server.code_for("Ada"));
    let begun = Instant::now();
    // All at once: the server reads them one a second.
    for n in 0..20 {
        if n % 2 == 0 {
            client.auth(&wrong);
        } else {
            client.resume("no token at all", None, None);
        }
    }
    let mut rejected = 0;
    let notice = loop {
        let message = client.message();
        match message["type"].as_u64() {
            Some(4) => rejected += 1,
            _ => break message,
        }
        let soonest = Duration::from_secs(rejected - 1);
        assert!(begun.elapsed() + Duration::from_millis(50) >= soonest, "try {rejected} came too early");
    };
    assert!((9..=10).contains(&rejected), "{rejected} tries");
    assert_eq!((notice["type"].as_u64(), notice["reason"].as_str()), (Some(6), Some("too-many-tries")));
    client.expect_close(1008);
    assert!(begun.elapsed() >= Duration::from_millis(8_900), "too fast: {:?}", begun.elapsed());
}

#[test]
fn after_a_wrong_try_a_connection_waits_and_others_do_not() {
    let server = Plume::start(&[]);
    let mut client = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    let mut other = Client::login(&server, "Bob");
    let begun = Instant::now();
    client.auth(&other_than(&code));
    client.auth(&code);
    client.expect_rejected(4);
    other.talk("hello");
    assert!(begun.elapsed() < Duration::from_millis(900), "Bob waited for Ada: {:?}", begun.elapsed());
    let ack = loop {
        if let Event::Json(message) = client.next() {
            break message;
        }
    };
    assert_eq!(ack["type"], 3, "{ack}");
    assert!(begun.elapsed() >= Duration::from_millis(950), "too fast: {:?}", begun.elapsed());
}
