//! The waits of the protocol that no setting shortens. They take a minute, and so do these tests: they run
//! when asked.

use crate::support::{Client, Event, Folder, Http, Plume, assert_took, connect_narrow};
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

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
    assert_took(begun, 59_800..65_000);
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
    assert_took(begun, 59_800..65_000);
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
    assert_took(begun, 29_800..35_000);
    assert!((280..=320).contains(&said), "{said} lines in half a minute");
}

#[test]
#[ignore = "takes forty seconds"]
fn an_expensive_message_delays_what_follows_and_loses_nothing() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    // A legal text in its longest spelling: 384 tokens, of which a burst pays for ten.
    let spelled = "\\u0041".repeat(65_536);
    ada.send_text(&format!(r#"{{"type":1,"text":"{spelled}"}}"#));
    ada.expect_line("Ada", &"A".repeat(65_536));
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(20));
    ada.say("one");
    ada.say("two");
    // The client of the tests waits for ten seconds only.
    thread::sleep(Duration::from_secs(13));
    loop {
        match ada.next() {
            Event::Json(line) => {
                assert_eq!(line["text"], "one");
                break;
            }
            Event::Ping => {}
            other => panic!("{other:?} instead of the line"),
        }
        assert!(begun.elapsed() < Duration::from_secs(45), "the line is lost");
    }
    ada.expect_line("Ada", "two");
    assert_took(begun, 36_800..42_000);
}

#[test]
#[ignore = "takes a minute"]
fn after_a_stop_of_the_process_nobody_is_judged_for_what_was_not_read() {
    let server = Plume::start(&[]);
    let mut members: Vec<Client> = (0..20).map(|n| Client::login(&server, &format!("user{n}x"))).collect();
    for member in &mut members {
        member.settle();
    }
    server.signal(Signal::STOP);
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(15_500));
        for member in &mut members {
            member.send_ping(b"here");
        }
    }
    server.signal(Signal::CONT);
    for member in &mut members {
        member.settle();
    }
    assert!(!server.log().contains("event=closed"), "{}", server.log());
}

/// Reads `bytes_per_second` in small pieces until `bytes` have come, or less where the peer ends.
fn read_slowly(stream: &mut TcpStream, bytes: usize, bytes_per_second: usize) -> usize {
    let mut piece = vec![0; bytes_per_second / 10];
    let mut received = 0;
    while received < bytes {
        match stream.read(&mut piece) {
            Ok(read @ 1..) => received += read,
            Ok(0) | Err(_) => break,
        }
        thread::sleep(Duration::from_millis(100));
    }
    received
}

#[test]
#[ignore = "takes over two minutes"]
fn a_download_that_is_steadily_read_is_not_cut() {
    let body = vec![b'x'; 1_000_000];
    let folder = Folder::with("download", &[("index.html", &body)]);
    let server = Plume::start(&[("PLUME_STATIC", folder.setting())]);
    let mut stream = connect_narrow(&server, 4 << 10);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let begun = Instant::now();
    let received = read_slowly(&mut stream, usize::MAX, 8_000);
    let took = begun.elapsed();
    assert!(received > body.len(), "{received} bytes after {took:?}");
    assert!(took > Duration::from_secs(100), "{took:?} is no test");
}

#[test]
#[ignore = "takes a minute and a half"]
fn a_slow_but_steady_reader_is_neither_stalled_nor_silent() {
    let server =
        Plume::start(&[("PLUME_RATE", "100000"), ("PLUME_BACKLOG", "64 MiB"), ("PLUME_LEAVE_GRACE", "0")]);
    let mut ada = Client::login(&server, "Ada");
    // Small before it is connected, so that its window is small from the start and opens often.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(&server.address().into()).unwrap();
    let stream = TcpStream::from(socket);
    let mut reader = stream.try_clone().unwrap();
    let mut slow = Client::over(stream, &server);
    slow.ask_code("Bob", "bob@example.org");
    slow.auth(&server.code_for("Bob"));
    ada.expect_enters("Bob");
    ada.talk_long(50, 65_000);
    ada.leave();
    let bytes = 90 * 2_000;
    let received = read_slowly(&mut reader, bytes, 2_000);
    assert!(received >= bytes, "{received} bytes");
    assert!(
        !server.log().contains("reason=stalled") && !server.log().contains("reason=silent"),
        "{}",
        server.log()
    );
}

#[test]
#[ignore = "takes half a minute"]
fn who_takes_no_byte_for_thirty_seconds_is_cut() {
    let server =
        Plume::start(&[("PLUME_RATE", "100000"), ("PLUME_BACKLOG", "64 MiB"), ("PLUME_LEAVE_GRACE", "0")]);
    let mut ada = Client::login(&server, "Ada");
    let mut stalled = Client::over(connect_narrow(&server, 4 << 10), &server);
    stalled.ask_code("Bob", "bob@example.org");
    stalled.auth(&server.code_for("Bob"));
    ada.expect_enters("Bob");
    let begun = Instant::now();
    // More than all buffers hold, and less than the backlog.
    ada.talk_long(200, 65_000);
    thread::sleep(Duration::from_secs(28).saturating_sub(begun.elapsed()));
    ada.expect_leaves("Bob");
    assert_took(begun, 29_800..35_000);
}
