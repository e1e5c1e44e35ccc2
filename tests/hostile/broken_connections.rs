//! Connections that break, half-close, or never finish their end: each leaves nothing behind.

use crate::onlooker::Onlooker;
use crate::raw::{handshake, read_to_end, reset};
use crate::support::{Client, Plume, connect, frame};
use crate::watched::{Watched, assert_grown_by};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Reads so much that the answer to the handshake is over.
fn read_upgrade(stream: &mut TcpStream) {
    let mut received = Vec::new();
    let mut byte = [0];
    while !received.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("the upgrade is answered");
        received.extend(byte);
    }
    assert!(received.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&received));
}

/// Sends the first `bytes` of a whole login and breaks the connection. False: there were no more.
fn log_in_up_to(server: &Plume, bytes: usize) -> bool {
    let mut left = bytes;
    let mut stream = connect(server);
    let mut send = |stream: &mut TcpStream, part: &[u8]| {
        let sent = left.min(part.len());
        stream.write_all(&part[..sent]).expect("the server takes the bytes");
        left -= sent;
        sent == part.len()
    };
    let hello = json!({"type": 0, "text": "Bob\nbob@example.org"}).to_string();
    let mut is_over = send(&mut stream, handshake().as_bytes());
    if is_over {
        read_upgrade(&mut stream);
        is_over = send(&mut stream, &frame(0x81, hello.as_bytes()));
    }
    if is_over {
        let auth = json!({"type": 2, "text": server.code_for("Bob")}).to_string();
        is_over = send(&mut stream, &frame(0x81, auth.as_bytes()));
    }
    reset(stream);
    !is_over
}

#[test]
fn a_reset_at_any_byte_of_a_login_leaves_nothing_behind() {
    let server = Watched::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    assert!(!log_in_up_to(&server, 1_000), "a whole login is shorter");
    let before = server.memory_kib();
    let mut bytes = 0;
    while log_in_up_to(&server, bytes) {
        bytes += 1;
    }
    assert!(bytes > handshake().len() + 60, "{bytes} bytes are no login");
    server.wait_for_files(files);
    assert_grown_by(before, server.memory_kib(), 512);
    onlooker.finish();
    // Bob was in with the last of them, and is gone.
    let bob = Client::login(&server, "Bob");
    assert_eq!(bob.ack["count"], 1, "{}", bob.ack);
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn who_never_finishes_a_close_is_cut_after_five_seconds() {
    let server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let begun = Instant::now();
    let mut unfinished = Vec::new();
    for n in 0..60 {
        let mut stream = connect(&server);
        stream.write_all(handshake().as_bytes()).expect("the server takes the bytes");
        read_upgrade(&mut stream);
        let last = match n % 3 {
            // A close of its own, and then no end.
            0 => frame(0x88, &1000_u16.to_be_bytes()),
            // The server's close is never answered.
            1 => frame(0x81, b"no message"),
            _ => frame(0x83, b""),
        };
        stream.write_all(&last).expect("the server takes the bytes");
        unfinished.push(stream);
    }
    server.wait_for_files(files);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(9), "they were cut after {took:?}");
    for stream in &mut unfinished {
        let received = read_to_end(stream);
        assert_eq!(received.split(|&byte| byte == 0x88).count(), 2, "one close frame: {received:02x?}");
    }
    onlooker.finish();
}

#[test]
fn a_connection_that_is_closed_by_half_ends() {
    let server = Watched::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let ada = Client::login(&server, "Ada");
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let mut halves = Vec::new();
    for n in 0..60 {
        let mut stream = connect(&server);
        let hello = json!({"type": 7, "text": ada.token()}).to_string();
        let parts: &[&[u8]] = match n % 6 {
            0 => &[],
            1 => &[b"GET / HTTP/1.1\r\n"],
            2 => &[handshake().as_bytes()],
            3 => &[handshake().as_bytes(), b"\x81"],
            4 => &[handshake().as_bytes(), &frame(0x81, hello.as_bytes())],
            _ => &[handshake().as_bytes(), &frame(0x81, hello.as_bytes()), b"\x81\xfe\x10\x00half"],
        };
        stream.write_all(&parts.concat()).expect("the server takes the bytes");
        stream.shutdown(Shutdown::Write).expect("the connection is open");
        halves.push(stream);
    }
    for stream in &mut halves {
        read_to_end(stream);
    }
    server.wait_for_files(files);
    onlooker.finish();
}
