//! The end, and what must not be one.

use crate::support::{Client, Http, Plume, StderrMode, assert_took, connect_narrow, wait_for};
use rustix::process::Signal;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The server has five seconds to end.
const END_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn everybody_is_told_of_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Plume::start(&[]);
        let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
        ada.talk("last words");
        let mut stranger = Client::open(&server);
        let mut kept = Http::open(&server);
        kept.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(kept.answer().status, 200);
        let begun = Instant::now();
        server.signal(signal);
        bob.expect_line("Ada", "last words");
        for client in [&mut ada, &mut bob, &mut stranger] {
            client.expect_restart();
        }
        kept.expect_end();
        assert_eq!(server.wait_exit().code(), Some(0), "{signal:?}");
        assert!(begun.elapsed() < END_WITHIN, "{signal:?}: {:?}", begun.elapsed());
        assert!(TcpStream::connect(server.address()).is_err(), "nobody listens any more");
    }
}

#[test]
fn an_empty_server_ends_at_once() {
    let mut server = Plume::start(&[]);
    let begun = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn those_who_do_not_read_do_not_delay_the_end() {
    let mut server = Plume::start(&[("PLUME_RATE", "100000")]);
    let mut stalled = Client::over(connect_narrow(&server, 4 << 10), &server);
    stalled.ask_code("Bob", "bob@example.org");
    stalled.auth(&server.code_for("Bob"));
    let mut ada = Client::login(&server, "Ada");
    ada.talk_long(50, 60_000);
    let mut head = Http::open(&server);
    head.send("GET / HTTP/1.1\r\n");
    let _silent = Http::open(&server);
    let begun = Instant::now();
    server.signal(Signal::TERM);
    ada.expect_restart();
    assert!(begun.elapsed() < Duration::from_secs(2), "those who read wait for nobody");
    assert_eq!(server.wait_exit().code(), Some(0));
    assert!(begun.elapsed() < END_WITHIN, "{:?}", begun.elapsed());
}

#[test]
fn the_end_finishes_what_is_on_its_way() {
    let mut server = Plume::start(&[("PLUME_RATE", "100000")]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    // Less than the backlog, more than the buffers of a socket that nobody reads.
    let text = ada.talk_long(60, 60_000);
    server.signal(Signal::TERM);
    server.wait_line("stopping");
    for _ in 0..60 {
        bob.expect_line("Ada", &text);
    }
    bob.expect_restart();
    assert_eq!(server.wait_exit().code(), Some(0));
}

/// A restart refuses everybody until the former process has ended.
#[test]
fn who_has_all_bytes_and_does_not_answer_delays_the_end_by_a_second_only() {
    let mut server = Plume::start(&[]);
    // Neither of them reads, so neither answers the close frame or the end.
    let mut member = Client::login(&server, "Ada");
    let mut guest = Client::open(&server);
    let mut kept = Http::open(&server);
    kept.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(kept.answer().status, 200);
    let begun = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    // They have a second.
    assert_took(begun, 900..2_500);
    for client in [&mut member, &mut guest] {
        client.expect_restart();
    }
}

#[test]
fn other_signals_harm_nothing() {
    let mut server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    for signal in [Signal::HUP, Signal::PIPE] {
        server.signal(signal);
        ada.talk("still here");
        assert_eq!(Http::get(&server, "/healthz").status, 200, "{signal:?}");
    }
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn a_closed_stderr_does_not_stop_the_chat() {
    let mut server = Plume::start(&[("PLUME_LOG", "debug")]);
    let mut ada = Client::login(&server, "Ada");
    server.set_stderr(StderrMode::Close);
    Http::get(&server, "/");
    server.wait_stderr_left();
    for _ in 0..20 {
        assert_eq!(Http::get(&server, "/nowhere").status, 404);
    }
    let bob = Client::resume_of(&server, &ada, None);
    drop(bob);
    ada.talk("still here");
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn a_full_stderr_does_not_stop_the_chat() {
    let mut server = Plume::start(&[("PLUME_LOG", "debug")]);
    let mut ada = Client::login(&server, "Ada");
    let before = server.log().len();
    for _ in 0..10 {
        Http::get(&server, "/nowhere");
    }
    // What ten requests write, so that the pipe is known to be full after enough of them.
    let ten =
        wait_for("log of the requests", || Some(server.log().len() - before).filter(|&bytes| bytes > 200));
    server.set_stderr(StderrMode::Stall);
    Http::get(&server, "/");
    server.wait_stderr_left();
    let rounds = (3 * (64 << 10)) / ten + 1;
    let mut http = Http::open(&server);
    for _ in 0..rounds {
        http.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".repeat(10));
        for _ in 0..10 {
            assert_eq!(http.answer().status, 404);
        }
    }
    ada.talk("still here");
    assert_eq!(server.terminate().code(), Some(0));
}
