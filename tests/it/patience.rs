//! The waits of the protocol that no setting shortens. They take a minute, and so do these tests: they run when asked.

use crate::support::{Client, Event, Http, Plume};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Asserts that about this many seconds have passed.
fn assert_took(begun: Instant, seconds: u64) {
    let took = begun.elapsed();
    let expected = Duration::from_secs(seconds);
    assert!(took + Duration::from_millis(200) >= expected, "{took:?} instead of {expected:?}");
    assert!(took < expected + Duration::from_secs(5), "{took:?} instead of {expected:?}");
}

#[test]
#[ignore = "takes a minute"]
fn who_does_not_answer_pings_is_gone_after_sixty_seconds() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let begun = Instant::now();
    let mut mute = Client::login(&server, "Bob");
    // Nobody reads, so nobody answers the pings.
    thread::sleep(Duration::from_secs(59));
    let mut ada = Client::login(&server, "Ada");
    assert_eq!(ada.ack["count"], 2, "not yet");
    ada.expect_leaves("Bob");
    assert_took(begun, 60);
    while mute.next() == Event::Ping {}
}

#[test]
#[ignore = "takes a minute"]
fn a_kept_connection_ends_without_a_word_after_sixty_seconds() {
    let server = Plume::start(&[]);
    let mut http = Http::open(&server);
    http.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(http.answer().status, 200);
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(55));
    http.expect_end();
    assert_took(begun, 60);
}

#[test]
#[ignore = "takes half a minute"]
fn who_is_behind_the_rate_for_thirty_seconds_is_closed() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    let begun = Instant::now();
    for n in 0..400 {
        ada.say(&n.to_string());
    }
    let mut said = 0;
    let code = loop {
        match ada.next() {
            Event::Json(line) => {
                assert_eq!(line["text"], said.to_string());
                said += 1;
            }
            Event::Close(code) => break code,
            Event::Ping => {}
            other => panic!("{other:?} after {said} lines"),
        }
    };
    assert_eq!(code, Some(1008));
    assert_took(begun, 30);
    assert!((280..=320).contains(&said), "{said} lines in half a minute");
}

#[test]
#[ignore = "takes half a minute"]
fn who_takes_no_byte_for_thirty_seconds_is_cut() {
    let server =
        Plume::start(&[("PLUME_RATE", "100000"), ("PLUME_BACKLOG", "64 MiB"), ("PLUME_LEAVE_GRACE", "0")]);
    let mut ada = Client::login(&server, "Ada");
    let stream = TcpStream::connect(server.address()).unwrap();
    set_socket_recv_buffer_size(&stream, 4 << 10).unwrap();
    let mut stalled = Client::over(stream, &server);
    stalled.ask_code("Bob", "bob@example.org");
    stalled.auth(&server.code_for("Bob"));
    ada.expect_enters("Bob");
    let begun = Instant::now();
    // More than all buffers hold, and less than the backlog.
    let text = "x".repeat(65_000);
    for _ in 0..200 {
        ada.say(&text);
        ada.expect_line("Ada", &text);
    }
    thread::sleep(Duration::from_secs(28).saturating_sub(begun.elapsed()));
    ada.expect_leaves("Bob");
    assert_took(begun, 30);
}
