//! Requests that take their time, or come in the smallest of pieces.

use crate::onlooker::Onlooker;
use crate::raw::{handshake, read_to_end, shown};
use crate::support::connect;
use crate::watched::Watched;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Connections of each kind.
const SLOW: usize = 150;
/// Between two bytes of a slow head.
const PACE: Duration = Duration::from_millis(300);

/// Sends a byte on each connection again and again, until all have got an answer or their time is over.
fn dribble(streams: &mut [TcpStream]) {
    let deadline = Instant::now() + Duration::from_secs(14);
    let head = handshake().as_bytes();
    let mut waiting: Vec<&mut TcpStream> = streams.iter_mut().collect();
    for byte in head.iter().cycle().take(head.len() - 4) {
        waiting.retain_mut(|stream| {
            // One that has its answer takes no more.
            let _refused = stream.write(&[*byte]);
            let mut first = [0];
            stream.peek(&mut first).is_err()
        });
        if waiting.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{} still wait for an answer", waiting.len());
        thread::sleep(PACE);
    }
}

#[test]
fn slow_and_silent_connections_end_after_ten_seconds() {
    let server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| connect(&server)).collect();
    let mut silent: Vec<TcpStream> = (0..SLOW).map(|_| connect(&server)).collect();
    for stream in &slow {
        stream.set_nonblocking(true).expect("a socket has the option");
    }
    dribble(&mut slow);
    assert!(begun.elapsed() > Duration::from_secs(9), "too early: {:?}", begun.elapsed());
    for stream in &mut slow {
        let mut answer = [0; 20];
        stream.read_exact(&mut answer).expect("the answer is there");
        assert_eq!(shown(&answer), "HTTP/1.1 408 Request");
    }
    for stream in &mut silent {
        assert_eq!(shown(&read_to_end(stream)), "", "silence ends without a word");
    }
    drop(slow);
    server.wait_for_files(files);
    onlooker.finish();
}

/// So long that sixty-four of them are more than a head may have.
const FIELD_BYTES: usize = 400;

/// Processor time of the server for so many heads of this length that come byte by byte.
fn cost(server: &Watched, heads: usize, bytes: usize) -> Duration {
    let before = server.cpu();
    for _ in 0..heads {
        let mut stream = connect(server);
        let mut head = "GET /nowhere HTTP/1.1\r\nHost: x\r\n".to_owned();
        while head.len() + 2 + FIELD_BYTES <= bytes {
            head.extend(["X: ", &"y".repeat(FIELD_BYTES - 5), "\r\n"]);
        }
        head.push_str("\r\n");
        for byte in head.as_bytes() {
            stream.write_all(&[*byte]).expect("the server takes a byte");
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(shown(&answer), "HTTP/1.1 404");
    }
    server.cpu_since(before)
}

#[test]
fn a_head_in_one_byte_packets_costs_as_much_as_it_is_long() {
    let server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let short = cost(&server, 16, 1 << 10);
    let long = cost(&server, 1, 16 << 10);
    // As many bytes in as many packets. Reading from the start with each byte would cost sixteen times as
    // much.
    assert!(long < short * 3 + Duration::from_millis(150), "{long:?} for one head, {short:?} for sixteen");
    assert!(long < Duration::from_millis(1_500), "{long:?} of processor time");
    onlooker.finish();
}
