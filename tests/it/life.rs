//! Pings, pongs, and the ways to go.

use crate::support::{Client, Event, Plume, assert_took, connect, frame};
use serde_json::json;
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn a_silent_member_is_pinged_and_stays_when_it_answers() {
    let server = Plume::start(&[("PLUME_PING", "1")]);
    let mut ada = Client::login(&server, "Ada");
    let mut stranger = Client::open(&server);
    let begun = Instant::now();
    for client in [&mut ada, &mut stranger] {
        for _ in 0..2 {
            // The client answers with a pong by itself.
            assert_eq!(client.next(), Event::Ping);
        }
    }
    assert_took(begun, 1_500..6_000);
    ada.talk("here");
}

#[test]
fn a_member_who_is_heard_is_not_pinged() {
    let server = Plume::start(&[("PLUME_PING", "2")]);
    let mut ada = Client::login(&server, "Ada");
    let begun = Instant::now();
    let mut n = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        ada.say(&n.to_string());
        // At most ten a second: the rate is the clock.
        match ada.next() {
            Event::Json(line) => assert_eq!(line["text"], n.to_string()),
            other => panic!("{other:?}"),
        }
        n += 1;
    }
}

#[test]
fn a_ping_is_answered_with_what_it_carried() {
    let server = Plume::start(&[]);
    let mut stranger = Client::open(&server);
    let mut ada = Client::login(&server, "Ada");
    for client in [&mut stranger, &mut ada] {
        for payload in [&b""[..], b"x", &[0xff; 125]] {
            client.send_ping(payload);
            assert_eq!(client.next(), Event::Pong(payload.to_vec()));
        }
        // A pong that nobody asked for means nothing.
        client.send_raw(&frame(0x8a, b"unasked"));
        client.expect_nothing();
    }
}

#[test]
fn of_many_pings_the_newest_is_answered() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    let pings: Vec<u8> = (0..20).flat_map(|n: u8| frame(0x89, &[n])).collect();
    ada.send_raw(&pings);
    let last = loop {
        match ada.next() {
            Event::Pong(payload) if payload == [19] => break payload,
            Event::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(last, [19]);
}

#[test]
fn a_close_is_answered_with_a_close() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let mut ada = Client::login(&server, "Ada");
    for code in [1000, 1001, 3000, 4999] {
        let mut bob = Client::login(&server, "Bob");
        ada.expect_enters("Bob");
        bob.close(code);
        bob.expect_close(code);
        ada.expect_leaves("Bob");
    }
    let mut bare = Client::open(&server);
    bare.send_raw(&frame(0x88, b""));
    match bare.next() {
        Event::Close(_) => bare.expect_end(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_is_gone_without_a_word_is_gone() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let [mut ada, mut half] = Client::login_all(&server, ["Ada", "Bob"]);
    half.finish();
    ada.expect_leaves("Bob");
    half.expect_end();
    let cut = Client::login(&server, "Cyd");
    ada.expect_enters("Cyd");
    drop(cut);
    ada.expect_leaves("Cyd");
    // Unread lines at the moment of going make the kernel send a reset.
    let deaf = Client::login(&server, "Dan");
    ada.expect_enters("Dan");
    ada.talk("unheard");
    drop(deaf);
    ada.expect_leaves("Dan");
    ada.expect_nothing();
}

#[test]
fn what_was_said_before_a_close_is_heard() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let line = frame(0x81, br#"{"type":1,"text":"goodbye"}"#);
    let close = frame(0x88, &1000_u16.to_be_bytes());
    let after = frame(0x81, br#"{"type":1,"text":"beyond the grave"}"#);
    bob.send_raw(&[line, close, after].concat());
    ada.expect_line("Bob", "goodbye");
    ada.expect_leaves("Bob");
    ada.expect_nothing();
}

#[test]
fn connections_that_never_say_a_thing_disturb_nobody() {
    let server = Plume::start(&[]);
    let silent: Vec<TcpStream> = (0..100).map(|_| connect(&server)).collect();
    let mut ada = Client::login(&server, "Ada");
    drop(silent);
    ada.talk("anyone?");
}

#[test]
fn a_page_that_cannot_ping_may_ask_for_an_answer() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    let mut stranger = Client::open(&server);
    for client in [&mut ada, &mut stranger] {
        client.send(&json!({"type": 9, "text": "still there?"}));
        let answer = client.expect(9);
        assert_eq!(answer["text"], "still there?");
        // What is longer than any page needs is not sent back.
        client.send(&json!({"type": 9, "text": "x".repeat(65)}));
        client.expect_nothing();
    }
}
