//! What Plume may cost, as budgets that are no timings: bytes of the binary, resident memory, allocations.
//!
//! Those that look at the built binary need a release build:
//! `cargo test --release --test budgets -- --include-ignored`.
#![cfg(target_os = "linux")]

#[expect(
    dead_code,
    unused_imports,
    reason = "the harness of the other tests can do more than is asked of it here"
)]
#[path = "it/support/mod.rs"]
mod support;
#[path = "testkit/mod.rs"]
#[expect(dead_code, reason = "the simulation uses the rest")]
mod testkit;

use plume::settings::Settings;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;
use support::{Client, Plume, connect, raise_file_limit};
use testkit::codec::{PING, TEXT, first_frame, frame, message, upgrade};
use testkit::driver::{Delivered, Driver};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const BINARY_BYTES_MAX: u64 = (315 << 20) / 100;
const REST_BYTES_MAX: u64 = (300 << 20) / 100;
const STARTS: usize = 5;
/// A server whose memory has not changed for this long has started.
const QUIET: Duration = Duration::from_millis(100);
const IDLE_MEMBER_BYTES_MAX: u64 = 450;
const MEMBERS: u64 = 10_000;
/// Members who hear all, and lines that the ring holds at once, so that nobody is lapped.
const CROWD: usize = 100;
/// See [`CROWD`].
const LINES: usize = 20_000;
/// Polls, reads and writes for 1,000 deliveries, where one write for each delivery would be 1,000.
const CALLS_THOUSANDTHS_MAX: usize = 20;
/// The message as the decoder hands it over, and what it reads it with.
const LINE_ALLOCATIONS_MAX: usize = 3;

#[test]
#[ignore = "needs a release build"]
fn the_binary_is_small() {
    let bytes = fs::metadata(env!("CARGO_BIN_EXE_plume")).expect("it was built").len();
    assert!(bytes <= BINARY_BYTES_MAX, "{bytes} bytes, but the budget is {BINARY_BYTES_MAX}");
}

#[test]
#[ignore = "needs a release build"]
fn the_server_at_rest_is_small() {
    // How much of the file is mapped at a start depends on where the system puts it, and on what the page
    // cache holds of it.
    let bytes = (0..STARTS).map(|_| rest_bytes(&start())).min().unwrap_or_default();
    assert!(bytes <= REST_BYTES_MAX, "{bytes} bytes, but the budget is {REST_BYTES_MAX}");
}

#[test]
#[ignore = "needs a release build"]
fn an_idle_member_is_small() {
    raise_file_limit();
    let plume = start();
    let token = Client::login(&plume, "Ada").token();
    let mut members = vec![resume(&plume, &token), resume(&plume, &token)];
    // The code that serves members, which is not resident before, is no part of what each of them costs.
    let rest = rest_bytes(&plume);
    members.extend((2..MEMBERS).map(|_| resume(&plume, &token)));
    check_members(&plume, rest, "quiet from the start");

    // As long as the longest line, and no line: ten thousand of those for ten thousand members are not for a
    // test.
    let long = message(&format!(r#"{{"type":1,"text":"","more":"{}"}}"#, "-".repeat(64 << 10)));
    for member in &mut members {
        member.write_all(&long).expect("the server reads");
        answer_of(member);
    }
    check_members(&plume, rest, "after a message of 64 KiB each");
}

#[test]
#[ignore = "needs a release build"]
fn a_busy_server_asks_little_of_the_system() {
    let mut plume = start();
    let token = Client::login(&plume, "Ada").token();
    let mut talker = resume(&plume, &token);
    let mut members: Vec<TcpStream> = (0..CROWD).map(|_| resume(&plume, &token)).collect();
    let line = message(&format!(r#"{{"type":1,"text":"{}"}}"#, "-".repeat(100)));
    // The talker stays until all is heard: its end would discard what the server has not read yet.
    let talking = thread::spawn(move || {
        talker.write_all(&line.repeat(LINES)).expect("the server reads");
        talker
    });
    hear_lines(&mut members, LINES);
    let talker = talking.join().expect("the talker does not panic");
    drop((talker, members));
    plume.terminate();
    // How often its loop has called the system.
    let line = plume.wait_line("event=calls ");
    let calls: usize =
        line.split(' ').filter_map(|count| count.split('=').nth(1)?.parse::<usize>().ok()).sum();
    let deliveries = LINES * CROWD;
    let thousandths = calls * 1_000 / deliveries;
    assert!(thousandths <= CALLS_THOUSANDTHS_MAX, "{calls} system calls for {deliveries} deliveries");
}

#[test]
fn a_delivery_allocates_nothing_and_a_line_next_to_nothing() {
    let mut driver = Driver::new(Settings { messages_per_second: 0, ..Settings::default() });
    let talker = driver.open(0, LOCALHOST);
    let token = driver.log_in(talker, "ada");
    for slot in 1..100 {
        let id = driver.open(slot, LOCALHOST);
        driver.receive(id, &message(&format!(r#"{{"type":7,"text":"{token}"}}"#)));
        driver.deliver();
    }
    let everyone = Delivered { writes: 100, closes: 0 };
    let line = message(&format!(r#"{{"type":1,"text":"{}"}}"#, "-".repeat(100)));
    // The ring goes round at least once, so that nothing grows any more.
    for _ in 0..40_000 {
        driver.receive(talker, &line);
        assert_eq!(driver.deliver(), everyone);
    }
    let mut posting = usize::MAX;
    let mut delivering = usize::MAX;
    for _ in 0..100 {
        // Other threads allocate too, now and then; an allocation of ours would be there each time.
        let heap = Region::new(HEAP);
        driver.receive(talker, &line);
        let change = heap.change();
        posting = posting.min(change.allocations + change.reallocations);
        let heap = Region::new(HEAP);
        driver.deliver();
        let change = heap.change();
        delivering = delivering.min(change.allocations + change.reallocations);
    }
    assert_eq!(delivering, 0, "allocations to give a line to 100 members");
    assert!(posting <= LINE_ALLOCATIONS_MAX, "{posting} allocations for one line");
}

fn start() -> Plume {
    Plume::start(&[("PLUME_RATE", "1000000"), ("PLUME_LOG", "debug")])
}

fn resident_bytes(plume: &Plume) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", plume.child.id());
    let text = fs::read_to_string(path).expect("the system tells");
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("one line is about it");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
    kib * 1_024
}

/// Resident memory once it does not change any more: the line that the start is known by comes before the
/// first turn of the loop.
fn rest_bytes(plume: &Plume) -> u64 {
    let mut last = 0;
    loop {
        let bytes = resident_bytes(plume);
        if bytes == last {
            return bytes;
        }
        last = bytes;
        thread::sleep(QUIET);
    }
}

fn check_members(plume: &Plume, rest: u64, when: &str) {
    let bytes = resident_bytes(plume).saturating_sub(rest) / MEMBERS;
    assert!(
        bytes <= IDLE_MEMBER_BYTES_MAX,
        "{bytes} bytes, but the budget is {IDLE_MEMBER_BYTES_MAX}: {when}"
    );
}

/// One more connection of a user, with nothing in front of its bytes: there are ten thousand of them.
fn resume(plume: &Plume, token: &str) -> TcpStream {
    let mut stream = connect(plume);
    stream.write_all(&upgrade("")).expect("the server reads");
    answer_until(&mut stream, "\r\n\r\n");
    let resume = message(&format!(r#"{{"type":7,"text":"{token}","after":9007199254740991}}"#));
    stream.write_all(&resume).expect("the server reads");
    answer_until(&mut stream, r#""last":"#);
    stream
}

/// Waits until the server has read all that was sent: it answers a ping.
fn answer_of(stream: &mut TcpStream) {
    stream.write_all(&frame(PING, b"", [0; 4])).expect("the server reads");
    let mut answer = [0x89, 0];
    // On a slow machine the server asks, too.
    while answer == [0x89, 0] {
        stream.read_exact(&mut answer).expect("the server answers");
    }
    assert_eq!(answer, [0x8a, 0], "a pong and nothing else");
}

/// Reads from all members in turn until each has heard so many lines.
fn hear_lines(members: &mut [TcpStream], lines: usize) {
    let mut heard = vec![(Vec::new(), 0); members.len()];
    let mut chunk = vec![0; 256 << 10];
    for member in &mut *members {
        member.set_nonblocking(true).expect("a socket has the option");
    }
    while heard.iter().any(|&(_, count)| count < lines) {
        for (member, (bytes, count)) in members.iter_mut().zip(&mut heard) {
            match member.read(&mut chunk) {
                Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                ended => panic!("a member was cut off: {ended:?}"),
            }
            let mut used = 0;
            while let Some((first, _, len)) = first_frame(&bytes[used..]) {
                used += len;
                *count += usize::from(first == TEXT);
            }
            bytes.drain(..used);
        }
    }
}

fn answer_until(stream: &mut TcpStream, part: &str) -> String {
    let mut heard = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&heard);
        if text.contains(part) {
            return text.into_owned();
        }
        let read = stream.read(&mut chunk).expect("the server answers");
        assert!(read > 0, "the server ended: {text}");
        heard.extend_from_slice(&chunk[..read]);
    }
}
