//! Frames and messages that announce much, never end, or are nothing: they cost their sender more than the
//! server.

use crate::onlooker::{Onlooker, hear, hear_close};
use crate::support::{Client, Event, Plume, connect_narrow, frame};
use crate::watched::{Watched, assert_grown_by};
use std::time::Duration;

/// The header of a frame that announces `bytes` and brings none.
fn announcement(first: u8, bytes: u64) -> Vec<u8> {
    [&[first, 0xff][..], &bytes.to_be_bytes(), &[0; 4]].concat()
}

#[test]
fn frames_that_announce_more_than_there_is_are_refused_by_their_header() {
    let server = Watched::start(&[]);
    let ada = Client::login(&server, "Ada");
    let onlooker = Onlooker::join(&server);
    let before = server.memory_kib();
    for bytes in [1 << 20, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX] {
        for first in [0x81, 0x82, 0x01] {
            for mut client in [Client::open(&server), Client::resume_of(&server, &ada, None)] {
                client.send_raw(&announcement(first, bytes));
                assert_eq!(hear_close(&mut client), Some(1009), "{first:#x} with {bytes} bytes");
                client.expect_end();
            }
        }
        let mut client = Client::open(&server);
        client.send_raw(&announcement(0x89, bytes));
        let close = client.next();
        assert!(matches!(close, Event::Close(Some(1002 | 1009))), "a ping with {bytes} bytes: {close:?}");
    }
    // Lengths that are written longer than they are, and a sum of fragments that is too much.
    let mut client = Client::open(&server);
    client.send_raw(&[frame(0x01, &[b' '; 4_000]), announcement(0x80, 97)].concat());
    assert_eq!(client.next(), Event::Close(Some(1009)));
    assert_grown_by(before, server.memory_kib(), 512);
    onlooker.finish();
}

#[test]
fn unfinished_messages_of_forty_strangers_cost_little() {
    let server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let before = server.memory_kib();
    let parts: [Vec<u8>; 4] = [
        frame(0x81, &[b'x'; 4_096])[..4_000].to_vec(),
        frame(0x01, &[b'x'; 4_000]),
        announcement(0x81, 4_096),
        vec![0x81],
    ];
    let mut strangers: Vec<Client> = (0..40).map(|_| Client::open(&server)).collect();
    for (n, stranger) in strangers.iter_mut().enumerate() {
        stranger.send_raw(&parts[n % parts.len()]);
    }
    // What each of them may have is 4 KiB of a message, and what reading it takes.
    assert_grown_by(before, server.memory_peak_kib(), 40 * 16);
    for stranger in &mut strangers {
        stranger.finish();
        assert!(matches!(stranger.next(), Event::End(_)), "the end of a message that was never finished");
    }
    onlooker.finish();
}

#[test]
fn who_holds_most_of_too_many_unfinished_messages_gives_way() {
    const MESSAGE_BYTES: usize = 400 << 10;
    /// Half messages that fit into the 32 MiB for all.
    const FIT: usize = 163;
    let server = Watched::start(&[]);
    let [mut ada, eve] = Client::login_all(&server, ["Ada", "Eve"]);
    let onlooker = Onlooker::join(&server);
    let before = server.memory_kib();
    // An honest long line, begun before all others.
    let text = "long ".repeat(13_000);
    let line = frame(0x81, format!(r#"{{"type":1,"text":"{text}"}}"#).as_bytes());
    let (first_half, second_half) = line.split_at(line.len() / 2);
    ada.send_raw(first_half);
    // What is announced and has not arrived takes nothing from anybody.
    let mut greedy: Vec<Client> = Vec::new();
    for _ in 0..FIT {
        let mut client = Client::resume_of(&server, &eve, None);
        client.send_raw(&announcement(0x82, MESSAGE_BYTES as u64));
        greedy.push(client);
    }
    for client in &mut greedy {
        client.send_raw(&vec![0; MESSAGE_BYTES / 2]);
    }
    let mut last = Client::resume_of(&server, &eve, None);
    last.send_raw(&frame(0x82, &vec![b' '; MESSAGE_BYTES])[..MESSAGE_BYTES / 2]);
    server.wait_line("reason=unfinished");
    ada.send_raw(second_half);
    hear(&mut ada, &text);
    assert_grown_by(before, server.memory_peak_kib(), 48 << 10);
    onlooker.finish();
}

#[test]
fn twenty_thousand_empty_fragments_are_nothing() {
    let server = Watched::start(&[("PLUME_RATE", "1000")]);
    let ada = Client::login(&server, "Ada");
    let onlooker = Onlooker::join(&server);
    let (memory, time) = (server.memory_kib(), server.cpu());
    for (mut client, said) in [(Client::open(&server), false), (Client::resume_of(&server, &ada, None), true)]
    {
        client.send_raw(&frame(0x01, b"{\"type\":1,"));
        client.send_raw(&frame(0x00, b"").repeat(20_000));
        client.send_raw(&frame(0x80, b"\"text\":\"whole\"}"));
        if said {
            hear(&mut client, "whole");
        } else {
            client.expect_nothing();
        }
    }
    let used = server.cpu_since(time);
    assert!(used < Duration::from_secs(2), "{used:?} of processor time");
    assert_grown_by(memory, server.memory_peak_kib(), 512);
    onlooker.finish();
}

#[test]
fn five_thousand_pings_by_a_client_that_does_not_read_hold_a_bounded_number_of_pongs() {
    let server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let before = server.memory_kib();
    let mut client = Client::over(connect_narrow(&server, 4 << 10), &server);
    let mut all: Vec<u8> = (0..4_999_u32).flat_map(|n| frame(0x89, &n.to_be_bytes().repeat(31))).collect();
    all.extend(frame(0x89, b"the last"));
    client.send_raw(&all);
    // More than a small socket takes: of the rest a few are kept, and the newest.
    let mut pongs = 0;
    loop {
        pongs += 1;
        match client.next() {
            Event::Pong(payload) if payload == b"the last" => break,
            Event::Pong(_) => {}
            other => panic!("{other:?} after {pongs} pongs"),
        }
    }
    assert!(pongs <= 5_000, "{pongs} pongs");
    assert_grown_by(before, server.memory_peak_kib(), 512);
    client.expect_nothing();
    onlooker.finish();
}

#[test]
fn lines_of_one_who_never_reads_do_not_pile_up() {
    let server = Watched::start(&[("PLUME_RATE", "100000")]);
    let onlooker = Onlooker::join(&server);
    let before = server.memory_kib();
    // Each is answered: with a notice, with nothing, with the same text.
    for message in
        [r#"{"type":0,"text":""}"#, r#"{"type":99}"#, r#"{"type":9,"text":"xxxxxxxxxxxxxxxxxxxxxxxx"}"#]
    {
        spam(&server, message);
    }
    assert_grown_by(before, server.memory_peak_kib(), 512);
    onlooker.finish();
}

/// Sends as many messages as the server takes, up to ten megabytes, and never reads an answer.
fn spam(server: &Plume, message: &str) {
    let stream = connect_narrow(server, 4 << 10);
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket has the option");
    let mut writer = stream.try_clone().expect("a socket can be cloned");
    let client = Client::over(stream, server);
    writer.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket has the option");
    let batch = frame(0x81, message.as_bytes()).repeat(1_000);
    for _ in 0..200 {
        // It is full once the server reads no more.
        if std::io::Write::write_all(&mut writer, &batch).is_err() {
            break;
        }
    }
    drop((writer, client));
}
