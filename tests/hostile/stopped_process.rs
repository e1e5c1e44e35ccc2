//! The process is stopped again and again, as a hypervisor does: whatever becomes due in the middle of a
//! write, the server lives on, and no stream is garbled.

use crate::onlooker::{Onlooker, hear};
use crate::support::{Client, Event, Plume, connect_narrow};
use rustix::process::Signal;
use serde_json::Value;
use std::thread;
use std::time::Duration;

/// How long each stop takes: longer than a pause of the throttle.
const STOP: Duration = Duration::from_millis(60);

fn stop_and_go_on(server: &Plume) {
    server.signal(Signal::STOP);
    thread::sleep(STOP);
    server.signal(Signal::CONT);
}

#[test]
fn who_leaves_while_throttled_ends_no_server() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let onlooker = Onlooker::join(&server);
    for round in 0..12 {
        let mut talker = Client::login(&server, &format!("talker{round}x"));
        for n in 0..11 {
            talker.say(&format!("line {n}"));
        }
        // It is used when the pause ends, which may be in the middle of a write to the talker itself.
        talker.leave();
        thread::sleep(Duration::from_millis(20 * (round % 4)));
        stop_and_go_on(&server);
        loop {
            match talker.next() {
                Event::Close(code) => break assert_eq!(code, Some(1000)),
                Event::Json(_) | Event::Ping => {}
                other => panic!("{other:?} in round {round}"),
            }
        }
    }
    onlooker.finish();
}

#[test]
fn a_reader_that_is_lapped_during_a_stop_is_told_so_after_whole_lines() {
    let server = Plume::start(&[("PLUME_RATE", "100000"), ("PLUME_BACKLOG", "1600000")]);
    let mut ada = Client::login(&server, "Ada");
    let mut slow =
        Client::over(connect_narrow(&server, 16 << 10), &server).log_in(&server, "Slow", "slow@example.org");
    let text = "x".repeat(60_000);
    let talk = |ada: &mut Client, lines: usize| {
        for n in 0..lines {
            ada.say(&format!("{n} {text}"));
        }
    };
    for _ in 0..10 {
        talk(&mut ada, 10);
        stop_and_go_on(&server);
        hear(&mut ada, &format!("9 {text}"));
    }
    // Each line that it was sent is whole and in order, up to the close.
    let mut newest: Option<u64> = None;
    loop {
        match slow.next() {
            Event::Json(line) => {
                let Some(id) = line.get("id").and_then(Value::as_u64) else { continue };
                assert!(newest.is_none_or(|newest| id == newest + 1), "{id} after {newest:?}");
                newest = Some(id);
            }
            Event::Ping => {}
            Event::Close(code) => break assert_eq!(code, Some(4008)),
            other => panic!("{other:?} after {newest:?}"),
        }
    }
}
