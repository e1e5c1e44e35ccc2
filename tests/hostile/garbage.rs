//! Heads that are far too large, bodies that nobody wants, and bytes that are no HTTP at all.

use crate::onlooker::Onlooker;
use crate::raw::{read_to_end, shown, statuses};
use crate::support::{Plume, connect};
use crate::watched::{Watched, assert_grown_by};
use rand::rngs::ChaCha20Rng;
use rand::{Rng, RngExt, SeedableRng};
use std::io::{Read, Write};

/// Sends as much as the server takes, and gives the beginning of what it answered.
fn answer_to(server: &Plume, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    // It may have enough long before the end, and end the connection.
    let _refused = stream.write_all(bytes);
    shown(&read_to_end(&mut stream))
}

#[test]
fn heads_that_are_far_too_large_are_refused() {
    let server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let before = server.memory_kib();
    let begin = "GET / HTTP/1.1\r\nHost: x\r\n";
    let rows = [
        ("10,000 headers", 431, format!("{begin}{}\r\n", "X: y\r\n".repeat(10_000))),
        ("65 headers", 431, format!("{begin}{}\r\n", "X: y\r\n".repeat(64))),
        ("a name of 64 KiB", 431, format!("{begin}{}: y\r\n\r\n", "X".repeat(64 << 10))),
        ("a value of 64 KiB", 431, format!("{begin}X: {}\r\n\r\n", "y".repeat(64 << 10))),
        (
            "64 headers of 1 KiB",
            431,
            format!("{begin}{}\r\n", format!("X: {}\r\n", "y".repeat(1_019)).repeat(63)),
        ),
        ("a target of 64 KiB", 414, format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(64 << 10))),
        ("a query of 64 KiB", 414, format!("GET /?{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(64 << 10))),
        ("a method of 64 KiB", 414, format!("{} / HTTP/1.1\r\nHost: x\r\n\r\n", "G".repeat(64 << 10))),
    ];
    for (what, status, request) in &rows {
        let answer = answer_to(&server, request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
    }
    // Empty lines before a request are passed over, and are not kept.
    assert_eq!(
        statuses(&server, &[b"\r\n".repeat(500_000), b"GET /healthz HTTP/1.0\r\n\r\n".to_vec()].concat()),
        [200]
    );
    assert_grown_by(before, server.memory_kib(), 512);
    onlooker.finish();
}

#[test]
fn a_body_of_eight_megabytes_is_refused_unread() {
    let server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let before = server.memory_kib();
    for method in ["POST", "PUT", "GET"] {
        let mut stream = connect(&server);
        let head = format!("{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("the server takes the head");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("the answer does not wait for the body");
        assert_eq!(shown(&status), "HTTP/1.1 400", "{method}");
        // Whoever sends it all the same is heard for two seconds, and nothing of it is kept.
        let _refused = stream.write_all(&vec![b'x'; 8 << 20]);
        drop(stream);
    }
    server.wait_for_files(files);
    assert_grown_by(before, server.memory_peak_kib(), 512);
    onlooker.finish();
}

#[test]
fn other_protocols_and_noise_are_answered_with_400_or_the_end() {
    let server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let tls_hello = b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03\x8d\x0c\x9f\x00\x13\x01\x13\x02\xc0\x2b";
    let rows: [&[u8]; 9] = [
        tls_hello,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"EHLO mail.example.org\r\n\r\n",
        b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
        b"PROXY TCP4 203.0.113.5 203.0.113.6 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00\x00\x00\x2f\xff\x53\x4d\x42",
        b"*1\r\n$7\r\nCOMMAND\r\n\r\n",
        b"\xff\xff\xff\xff\x00",
    ];
    for row in rows {
        assert_eq!(statuses(&server, row), [400], "{row:?}");
    }
    let mut random = ChaCha20Rng::from_seed([7; 32]);
    for n in 0..300 {
        let mut noise = vec![0; random.random_range(1..4_000)];
        random.fill_bytes(&mut noise);
        let statuses = statuses(&server, &noise);
        assert!(statuses.is_empty() || statuses == [400], "noise {n}: {statuses:?}");
    }
    server.wait_for_files(files);
    onlooker.finish();
}

/// A good handshake and some frames with a few bytes changed: whatever comes of it, nobody else notices.
#[test]
fn good_bytes_with_noise_in_them_harm_nobody() {
    let mut server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let hello = crate::support::frame(0x81, br#"{"type":0,"text":"Eve\neve@example.org"}"#);
    let good = [crate::raw::handshake().as_bytes(), &hello, &crate::support::frame(0x89, b"x")].concat();
    let mut random = ChaCha20Rng::from_seed([9; 32]);
    for _ in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..random.random_range(1..5) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        let mut stream = connect(&server);
        let _refused = stream.write_all(&bytes);
        stream.shutdown(std::net::Shutdown::Write).expect("the connection is open");
        read_to_end(&mut stream);
    }
    server.wait_for_files(files);
    onlooker.finish();
    assert_eq!(server.terminate().code(), Some(0));
}
