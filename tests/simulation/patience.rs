//! Timeouts and rate limits that must not hit honest clients: slow but steady readers and downloads, clients
//! whose bytes lay in a socket while the process was stopped, and talkers that the server itself throttles.

use crate::stage::Stage;
use crate::testkit::codec::frame;
use plume::close_reason::CloseReason;
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::settings::Settings;
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;

/// What does not fit into its send buffer is little, so that the first try of the full socket takes all of
/// it. Then nothing is said, and the system reports room only when half of the buffer has drained.
#[test]
fn a_slow_reader_that_has_taken_everything_is_never_closed() {
    let (mut stage, _, reader) = slow_reader(4_000, &[60_000, 60_000, 60_000, 60_000, 30_000]);
    let mut has_been_full = false;
    for second in 1..=90 {
        pass_second(&mut stage, second, reader);
        assert!(stage.is_open(reader), "after {second} s: {:?}", stage.closed.get(&reader));
        has_been_full |= stage.socket(reader).is_full;
    }
    assert!(has_been_full, "its socket was full");
}

/// Below the 4.4 KB/s at which half of a full send buffer drains within the time for progress.
#[test]
fn a_slow_reader_that_reads_steadily_is_never_closed() {
    for bytes_per_second in [1_000, 2_000, 4_000] {
        // More than its send buffer takes, less than the ring holds: the reader stands in the middle of a
        // long line.
        let (mut stage, _, reader) = slow_reader(0, &[60_000; 12]);
        for second in 1..=720 {
            stage.take(reader, bytes_per_second);
            pass_second(&mut stage, second, reader);
            let reason = stage.closed.get(&reader);
            assert!(stage.is_open(reader), "{bytes_per_second} B/s, after {second} s: {reason:?}");
        }
    }
}

/// What its send buffer holds lies in front of each ping, for longer than a peer may be silent.
#[test]
fn a_slow_reader_that_only_answers_pings_is_not_closed_for_silence() {
    for bytes_per_second in [1_100, 4_000] {
        let (mut stage, talker, reader) = slow_reader(bytes_per_second, &[50_000; 6]);
        for second in 1..=400 {
            pass_second(&mut stage, second, talker);
            let reason = stage.closed.get(&reader);
            assert!(stage.is_open(reader), "{bytes_per_second} B/s, after {second} s: {reason:?}");
        }
    }
}

/// Its send buffer is full, and drains so slowly that the system never reports room: only probes find it.
#[test]
fn a_slow_reader_that_is_lapped_is_told_so() {
    for bytes_per_second in [1_000, 4_000] {
        let (mut stage, _, reader) = slow_reader(0, &[60_000; 80]);
        for second in 1..=600 {
            stage.take(reader, bytes_per_second);
            pass_second(&mut stage, second, reader);
        }
        let reason = stage.closed.get(&reader).copied();
        let code = stage.inbox(reader).close_code;
        assert_eq!((reason, code), (Some(CloseReason::Lapped), Some(4008)), "{bytes_per_second} B/s");
    }
}

/// All members send a ping while the process is stopped. There are more of them than one turn reads.
#[test]
fn after_a_stop_of_the_process_no_client_is_closed_whose_bytes_lay_in_its_socket() {
    for stop in [Duration::from_secs(61), Duration::from_mins(5)] {
        let mut stage = Stage::new(Settings { history_lines: 0, ..unlimited() });
        let members: Vec<ClientId> =
            (0..300).map(|n| stage.log_in(&format!("member{n}"), address(n)).0).collect();
        let half_head = stage.accept(HERE.into());
        stage.send(half_head, b"GET /healthz HTTP/1.1\r\n");
        stage.run(Duration::from_secs(5), Duration::from_millis(100), |_| {});
        for &id in &members {
            stage.send(id, &frame(0x89, b"ping", [1; 4]));
        }
        stage.send(half_head, b"Host: plume.test\r\n\r\n");
        stage.stop(stop);
        stage.run(Duration::from_secs(5), Duration::from_millis(100), |_| {});
        assert_eq!(stage.inbox(half_head).responses, 1, "the rest of the head lay in the socket");
        let closed = members.iter().filter(|&&id| !stage.is_open(id)).count();
        assert_eq!(closed, 0, "of 300 members who had pinged, after a stop of {stop:?}: {:?}", stage.closed);
    }
}

/// During the stop the send buffer of a slow reader drains.
#[test]
fn after_a_stop_of_the_process_no_reader_is_stalled_whose_socket_has_room() {
    let (mut stage, talker, reader) = slow_reader(0, &[60_000; 8]);
    stage.run(Duration::from_secs(1), Duration::from_millis(10), |_| {});
    for id in [talker, reader] {
        stage.send(id, &frame(0x89, b"ping", [1; 4]));
    }
    stage.stop(Duration::from_mins(2));
    stage.take(reader, usize::MAX);
    stage.run(Duration::from_secs(5), Duration::from_millis(100), |stage| stage.take(reader, usize::MAX));
    assert!(stage.is_open(reader), "a reader that had taken all: {:?}", stage.closed.get(&reader));
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
        let mut stage = Stage::with_site(Settings::default(), Site::new(assets, Vec::new()));
        let id = stage.accept(HERE.into());
        stage.socket(id).pace = Some(0);
        stage.send(id, b"GET /static/large.js HTTP/1.1\r\nHost: plume.test\r\n\r\n");
        let mut second = 0;
        while stage.socket(id).bytes_taken < FILE_BYTES {
            stage.run(Duration::from_secs(1), Duration::from_millis(500), |_| {});
            second += 1;
            if second % every == 0 {
                stage.take(id, bytes);
            }
            let reason = stage.closed.get(&id);
            assert!(stage.is_open(id), "{bytes} bytes every {every} s, after {second} s: {reason:?}");
            assert!(second < 3_000, "the download goes on");
        }
        stage.run(Duration::from_secs(5), Duration::from_millis(500), |stage| stage.take(id, usize::MAX));
        assert_eq!(stage.inbox(id).responses, 1, "the whole file");
    }
}

/// The longest legal message, with every byte escaped, costs more tokens than half a minute refills. Then
/// come single short lines.
#[test]
fn a_talker_that_is_throttled_for_one_message_is_not_closed_for_single_lines() {
    for (text, every) in [
        (format!("x{}", "\u{1}".repeat(65_000)), 20),
        (format!("x{}", "\u{1}".repeat(65_000)), 31),
        ("x".repeat(65_000), 5),
    ] {
        let mut stage = Stage::new(Settings::default());
        let (talker, _) = stage.log_in("talker", HERE.into());
        let (onlooker, _) = stage.log_in("onlooker", THERE.into());
        stage.say(talker, &json!({"type": 1, "text": text}));
        let mut said = Vec::new();
        // What waits is read as soon as it may be, so the steps are short.
        for second in 1..=300 {
            if second % every == 0 && second < 200 {
                let line = format!("line of second {second}");
                stage.say(talker, &json!({"type": 1, "text": line}));
                said.push(line);
            }
            stage.run(Duration::from_secs(1), Duration::from_millis(20), |_| {});
        }
        assert!(stage.is_open(talker), "{:?}", stage.closed.get(&talker));
        for line in said {
            assert!(stage.received(onlooker, &line).is_some(), "slowed, never lost: {line}");
        }
    }
}

/// 64 connections of one login send as much as they can: together they have the rate of one user, and each
/// gets its share of it.
#[test]
fn a_user_has_one_rate_over_all_connections() {
    const CONNECTIONS: usize = 64;
    const RATE: u64 = 10;
    let mut stage =
        Stage::new(Settings { messages_per_second: RATE, history_lines: 0, ..Settings::default() });
    let (first, token) = stage.log_in("everywhere", HERE.into());
    let connections: Vec<ClientId> =
        (1..CONNECTIONS).map(|_| stage.resume(&token, HERE.into())).chain([first]).collect();
    let (onlooker, _) = stage.log_in("onlooker", THERE.into());
    let start = stage.now();
    let mut lines = 0_usize;
    let mut by_connection = [0_usize; CONNECTIONS];
    stage.run(Duration::from_secs(40), Duration::from_millis(10), |stage| {
        for (n, &id) in connections.iter().enumerate() {
            if stage.unread(id) == 0 {
                stage.say(id, &json!({"type": 1, "text": format!("{n} again")}));
            }
        }
        let messages = std::mem::take(&mut stage.inbox(onlooker).messages);
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

/// A talker without a rate, and a reader that takes so many bytes in a second. The talker has said lines of
/// these lengths.
fn slow_reader(bytes_per_second: u64, lengths: &[usize]) -> (Stage, ClientId, ClientId) {
    let mut stage = Stage::new(unlimited());
    let (talker, _) = stage.log_in("talker", HERE.into());
    let (reader, _) = stage.log_in("reader", THERE.into());
    stage.socket(reader).pace = Some(bytes_per_second);
    for (n, &length) in lengths.iter().enumerate() {
        stage.say(talker, &json!({"type": 1, "text": format!("{n}{}", "x".repeat(length))}));
    }
    (stage, talker, reader)
}

/// A second passes. `pinging` sends a ping in every 20th, as a page does.
fn pass_second(stage: &mut Stage, second: usize, pinging: ClientId) {
    if second.is_multiple_of(20) && stage.is_open(pinging) {
        stage.send(pinging, &frame(0x89, b"ping", [1; 4]));
    }
    stage.run(Duration::from_secs(1), Duration::from_millis(100), |_| {});
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
