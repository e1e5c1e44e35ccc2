//! Timeouts and rate limits that must not hit honest clients: slow but steady readers and downloads, clients whose bytes lay in
//! a socket while the process was stopped, and talkers that the server itself throttles.

use crate::frames::frame;
use crate::shell::Shell;
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::settings::Settings;
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;

/// Below the 4.4 KB/s at which half of a full send buffer drains within the time for progress.
#[test]
fn a_slow_reader_that_reads_steadily_is_never_closed() {
    for bytes_per_second in [1_000, 2_000, 4_000] {
        let mut shell = Shell::new(unlimited());
        let (talker, _) = shell.log_in("talker", HERE.into());
        let (reader, _) = shell.log_in("reader", THERE.into());
        shell.socket(reader).is_fast = false;
        // More than its send buffer takes, less than the ring holds: the reader stands in the middle of a long line.
        for n in 0..12 {
            shell.say(talker, &json!({"type": 1, "text": format!("{n}{}", "x".repeat(60_000))}));
        }
        for second in 1..=720 {
            shell.take(reader, bytes_per_second);
            // As a page does.
            if second % 20 == 0 {
                shell.send(reader, &frame(0x89, b"ping", [1; 4]));
            }
            shell.run(Duration::from_secs(1), Duration::from_millis(100), |_| {});
            let reason = shell.closed.get(&reader);
            assert!(shell.is_open(reader), "{bytes_per_second} B/s, after {second} s: {reason:?}");
        }
    }
}

/// All members send a ping while the process is stopped. There are more of them than one turn reads.
#[test]
fn after_a_stop_of_the_process_no_client_is_closed_whose_bytes_lay_in_its_socket() {
    for stop in [Duration::from_secs(61), Duration::from_mins(5)] {
        let mut shell = Shell::new(Settings { history_lines: 0, ..unlimited() });
        let members: Vec<ClientId> =
            (0..300).map(|n| shell.log_in(&format!("member{n}"), address(n)).0).collect();
        let half_head = shell.accept(HERE.into());
        shell.send(half_head, b"GET /healthz HTTP/1.1\r\n");
        shell.run(Duration::from_secs(5), Duration::from_millis(100), |_| {});
        for &id in &members {
            shell.send(id, &frame(0x89, b"ping", [1; 4]));
        }
        shell.send(half_head, b"Host: plume.test\r\n\r\n");
        shell.stop(stop);
        shell.run(Duration::from_secs(5), Duration::from_millis(100), |_| {});
        assert_eq!(shell.socket(half_head).responses, 1, "the rest of the head lay in the socket");
        let closed = members.iter().filter(|&&id| !shell.is_open(id)).count();
        assert_eq!(closed, 0, "of 300 members who had pinged, after a stop of {stop:?}: {:?}", shell.closed);
    }
}

/// During the stop the send buffer of a slow reader drains.
#[test]
fn after_a_stop_of_the_process_no_reader_is_stalled_whose_socket_has_room() {
    let mut shell = Shell::new(unlimited());
    let (talker, _) = shell.log_in("talker", HERE.into());
    let (reader, _) = shell.log_in("reader", THERE.into());
    shell.socket(reader).is_fast = false;
    for n in 0..8 {
        shell.say(talker, &json!({"type": 1, "text": format!("{n}{}", "x".repeat(60_000))}));
    }
    shell.run(Duration::from_secs(1), Duration::from_millis(10), |_| {});
    for id in [talker, reader] {
        shell.send(id, &frame(0x89, b"ping", [1; 4]));
    }
    shell.stop(Duration::from_mins(2));
    shell.take(reader, usize::MAX);
    shell.run(Duration::from_secs(5), Duration::from_millis(100), |shell| shell.take(reader, usize::MAX));
    assert!(shell.is_open(reader), "a reader that had taken all: {:?}", shell.closed.get(&reader));
}

/// A long file, a few hundred bytes at a time.
#[test]
fn a_download_that_takes_a_byte_every_few_seconds_is_never_cut() {
    const FILE_BYTES: usize = 400_000;
    for (every, bytes) in [(1, 1_000), (3, 3_000), (4, 2_000)] {
        let files = vec![
            ("index.html".to_owned(), b"<p>hello".to_vec()),
            ("large.js".to_owned(), vec![b'x'; FILE_BYTES]),
        ];
        let assets = Assets::from_files("Plume", files).expect("there is an index");
        let mut shell = Shell::with_site(Settings::default(), Site::new(assets, Vec::new()));
        let id = shell.accept(HERE.into());
        shell.socket(id).is_fast = false;
        shell.send(id, b"GET /static/large.js HTTP/1.1\r\nHost: plume.test\r\n\r\n");
        let mut second = 0;
        while shell.socket(id).bytes_taken < FILE_BYTES {
            shell.run(Duration::from_secs(1), Duration::from_millis(500), |_| {});
            second += 1;
            if second % every == 0 {
                shell.take(id, bytes);
            }
            let reason = shell.closed.get(&id);
            assert!(shell.is_open(id), "{bytes} bytes every {every} s, after {second} s: {reason:?}");
            assert!(second < 3_000, "the download goes on");
        }
        shell.run(Duration::from_secs(5), Duration::from_millis(500), |shell| shell.take(id, usize::MAX));
        assert_eq!(shell.socket(id).responses, 1, "the whole file");
    }
}

/// The longest legal message, with every byte escaped, costs more tokens than half a minute refills. Then come single short lines.
#[test]
fn a_talker_that_is_throttled_for_one_message_is_not_closed_for_single_lines() {
    for (text, every) in [
        (format!("x{}", "\u{1}".repeat(65_000)), 20),
        (format!("x{}", "\u{1}".repeat(65_000)), 31),
        ("x".repeat(65_000), 5),
    ] {
        let mut shell = Shell::new(Settings::default());
        let (talker, _) = shell.log_in("talker", HERE.into());
        let (onlooker, _) = shell.log_in("onlooker", THERE.into());
        shell.say(talker, &json!({"type": 1, "text": text}));
        let mut said = Vec::new();
        // What waits is read as soon as it may be, so the steps are short.
        for second in 1..=300 {
            if second % every == 0 && second < 200 {
                let line = format!("line of second {second}");
                shell.say(talker, &json!({"type": 1, "text": line}));
                said.push(line);
            }
            shell.run(Duration::from_secs(1), Duration::from_millis(20), |_| {});
        }
        assert!(shell.is_open(talker), "{:?}", shell.closed.get(&talker));
        for line in said {
            assert!(shell.received(onlooker, &line).is_some(), "slowed, never lost: {line}");
        }
    }
}

/// 64 connections of one login send as much as they can: together they have the rate of one user, and each gets its share of it.
#[test]
fn a_user_has_one_rate_over_all_connections() {
    const CONNECTIONS: usize = 64;
    const RATE: u64 = 10;
    let mut shell =
        Shell::new(Settings { messages_per_second: RATE, history_lines: 0, ..Settings::default() });
    let (first, token) = shell.log_in("everywhere", HERE.into());
    let connections: Vec<ClientId> =
        (1..CONNECTIONS).map(|_| shell.resume(&token, HERE.into())).chain([first]).collect();
    let (onlooker, _) = shell.log_in("onlooker", THERE.into());
    let start = shell.now();
    let mut lines = 0_usize;
    let mut by_connection = [0_usize; CONNECTIONS];
    shell.run(Duration::from_secs(40), Duration::from_millis(10), |shell| {
        for (n, &id) in connections.iter().enumerate() {
            if shell.unread(id) == 0 {
                shell.say(id, &json!({"type": 1, "text": format!("{n} again")}));
            }
        }
        let messages = std::mem::take(&mut shell.socket(onlooker).messages);
        for (at, message) in messages {
            let number =
                message["text"].as_str().and_then(|text| text.strip_suffix(" again")?.parse::<usize>().ok());
            let Some(connection) = number else { continue };
            by_connection[connection] += 1;
            lines += 1;
            // A burst, the rate, and one message on credit for each connection.
            let passed = at.since(start).as_millis() * u128::from(RATE) / 1_000;
            let most = u128::from(RATE) + passed + CONNECTIONS as u128 + 1;
            assert!(lines as u128 <= most, "{lines} lines of one user, and there may be {most}");
        }
    });
    assert!(lines as u64 >= 35 * RATE, "the rate is used: {lines} lines");
    let least = by_connection.iter().min();
    assert!(least >= Some(&2), "each connection gets its share: {by_connection:?}");
}

/// Settings without a rate.
fn unlimited() -> Settings {
    Settings { messages_per_second: 0, ..Settings::default() }
}

fn address(n: usize) -> IpAddr {
    let [.., high, low] = n.to_be_bytes();
    [203, 0, high, low].into()
}

const HERE: [u8; 4] = [198, 51, 100, 1];
const THERE: [u8; 4] = [198, 51, 100, 2];
