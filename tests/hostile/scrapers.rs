//! Peers of the metrics' listener that are slow, silent, greedy or too many: each has ten seconds, and the
//! chat does not notice.

use crate::onlooker::Onlooker;
use crate::raw::{read_to_end, shown};
use crate::support::{Http, Metrics, PATIENCE, Plume, assert_took, wait_for};
use crate::watched::Watched;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const METRICS: (&str, &str) = ("PLUME_METRICS", "127.0.0.1:0");
/// Connections to the metrics at once.
const SCRAPERS_MAX: usize = 16;

fn connect(server: &Plume) -> TcpStream {
    let stream = TcpStream::connect(server.metrics_address()).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE + Duration::from_secs(3))).expect("a socket has the option");
    stream
}

#[test]
fn sixteen_connections_at_most_and_each_has_ten_seconds() {
    let server = Watched::start(&[METRICS]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let begun = Instant::now();
    let mut held: Vec<TcpStream> = (0..SCRAPERS_MAX).map(|_| connect(&server)).collect();
    let (slow, silent) = held.split_at_mut(SCRAPERS_MAX / 2);
    for stream in slow.iter_mut() {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:").expect("the server takes the bytes");
    }
    wait_for("sixteen connections", || (server.files() == files + SCRAPERS_MAX).then_some(()));
    for _ in 0..3 {
        assert_eq!(shown(&read_to_end(&mut connect(&server))), "", "one more is closed at once");
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(server.files() <= files + SCRAPERS_MAX + 1, "{} files", server.files());
    // The chat has all its places.
    assert_eq!(Http::get(&server, "/healthz").status, 200);
    for stream in slow {
        let response = shown(&read_to_end(stream));
        assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    }
    for stream in silent {
        assert_eq!(shown(&read_to_end(stream)), "", "silence ends without a word");
    }
    assert_took(begun, 9_000..14_000);
    drop(held);
    server.wait_for_files(files);
    Metrics::of(&server);
    onlooker.finish();
}

#[test]
fn who_sends_without_end_or_reads_nothing_costs_the_chat_nothing() {
    let server = Watched::start(&[METRICS]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let memory = server.memory_kib();
    // What follows a request is discarded, up to a limit; a head has a limit of its own.
    for head in ["GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\n", "\r\n"] {
        let mut stream = connect(&server);
        stream.write_all(head.as_bytes()).expect("the server takes the bytes");
        let sent = (0..1_000).take_while(|_| stream.write_all(&[b'x'; 16 << 10]).is_ok()).count();
        assert!(sent < 1_000, "{head:?}: it took 16 MiB");
    }
    let mut held: Vec<TcpStream> = (0..SCRAPERS_MAX).map(|_| connect(&server)).collect();
    for stream in &mut held {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("the server takes the bytes");
    }
    // They are answered, and closed although they never close.
    server.wait_for_files(files);
    for stream in &mut held {
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("the response is there");
        assert_eq!(shown(&status), "HTTP/1.1 200");
    }
    assert!(server.memory_kib() < memory + 1_024, "{} KiB after {memory} KiB", server.memory_kib());
    thread::sleep(Duration::from_millis(100));
    let before = server.cpu();
    thread::sleep(Duration::from_secs(1));
    let used = server.cpu_since(before);
    assert!(used < Duration::from_millis(200), "it spins: {used:?}");
    onlooker.finish();
}

#[test]
fn without_a_descriptor_for_it_a_scrape_waits_and_nothing_spins() {
    let server = Watched::start(&[METRICS]);
    let onlooker = Onlooker::join(&server);
    server.limit_files(Some(server.files()));
    let mut stream = connect(&server);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("the system takes the bytes");
    server.wait_line("event=out-of-files");
    let before = server.cpu();
    thread::sleep(Duration::from_secs(2));
    let used = server.cpu_since(before);
    assert!(used < Duration::from_millis(400), "it spins: {used:?}");
    server.limit_files(None);
    let response = shown(&read_to_end(&mut stream));
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("ok"), "{response}");
    onlooker.finish();
}
