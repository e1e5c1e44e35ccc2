//! SIGTERM in the middle of everything: whoever's socket takes it is told, and the server is gone within five
//! seconds.

use crate::onlooker::{Onlooker, hear};
use crate::raw::Stalled;
use crate::support::{Client, Event, Http, StderrMode, connect};
use crate::watched::Watched;
use rustix::process::Signal;
use std::io::Write;
use std::time::{Duration, Instant};

/// The server has five seconds to end.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Reads lines until the close, which has to be a restart; whether it was announced.
fn is_told(client: &mut Client) -> bool {
    let mut announced = false;
    loop {
        match client.next() {
            Event::Json(message) => announced |= message["reason"] == "restarting",
            Event::Ping | Event::Pong(_) => {}
            Event::Close(code) => {
                assert_eq!(code, Some(1012));
                return announced;
            }
            Event::End(error) => panic!("{error} instead of a close with 1012"),
        }
    }
}

#[test]
fn a_busy_server_tells_everyone_and_ends_in_time() {
    let mut server =
        Watched::start(&[("PLUME_RATE", "100000"), ("PLUME_BACKLOG", "16 MiB"), ("PLUME_HISTORY", "0")]);
    let mut ada = Client::login(&server, "Ada");
    let onlooker = Onlooker::join(&server);
    let token = ada.token();
    let stalled: Vec<Stalled> = (0..20).map(|_| Stalled::resume(&server, &token)).collect();
    let mut strangers: Vec<Client> = (0..20).map(|_| Client::open(&server)).collect();
    // Less than the ring holds, and more than the sockets of those who do not read.
    let text = "x".repeat(60_000);
    for n in 0..120 {
        let text = format!("{n} {text}");
        ada.say(&text);
        hear(&mut ada, &text);
    }
    let mut half: Vec<Client> = (0..20).map(|_| Client::resume_of(&server, &ada, None)).collect();
    for (n, client) in half.iter_mut().enumerate() {
        // A header that has begun, a whole one, and a part of what it announces.
        client.send_raw(&b"\x81\xfe\x10\x00\0\0\0\0{\"type\""[..=n % 15]);
    }
    let heads: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = connect(&server);
            stream.write_all(b"GET / HTTP/1.1\r\nHo").expect("the server takes the bytes");
            stream
        })
        .collect();
    let mut onlooker = onlooker.finish();
    let begun = Instant::now();
    server.signal(Signal::TERM);
    for client in strangers.iter_mut().chain([&mut ada, &mut onlooker]) {
        assert!(is_told(client), "a word before the close");
    }
    let took = begun.elapsed();
    assert!(took < END_WITHIN, "those who read wait for nobody: {took:?}");
    for client in &mut half {
        assert!(is_told(client), "a word before the close");
    }
    assert_eq!(server.wait_exit().code(), Some(0));
    assert!(begun.elapsed() < END_WITHIN, "{:?}", begun.elapsed());
    drop((stalled, heads));
}

#[test]
fn a_crowd_is_told() {
    let mut server = Watched::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    let mut crowd: Vec<Client> = (0..400).map(|_| Client::resume_of(&server, &ada, None)).collect();
    let begun = Instant::now();
    server.signal(Signal::TERM);
    // Asking twice is asking once.
    server.signal(Signal::TERM);
    for client in crowd.iter_mut().chain([&mut ada]) {
        assert!(is_told(client), "a word before the close");
        client.expect_end();
    }
    drop((crowd, ada));
    assert_eq!(server.wait_exit().code(), Some(0));
    assert!(begun.elapsed() < END_WITHIN, "{:?}", begun.elapsed());
}

#[test]
fn a_log_that_nobody_takes_stops_neither_the_chat_nor_its_end() {
    for mode in [StderrMode::Stall, StderrMode::Close] {
        let mut server = Watched::start(&[("PLUME_LOG", "debug")]);
        let onlooker = Onlooker::join(&server);
        server.set_stderr(mode);
        Http::get(&server, "/");
        server.wait_stderr_left();
        // Much more than a pipe holds.
        let mut http = Http::open(&server);
        for _ in 0..40 {
            http.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100));
            for _ in 0..100 {
                assert_eq!(http.answer().status, 404);
            }
        }
        let mut member = onlooker.finish();
        server.signal(Signal::TERM);
        assert!(is_told(&mut member), "a word before the close");
        drop((member, http));
        assert_eq!(server.wait_exit().code(), Some(0));
    }
}
