//! Moves of a running server to the next process, by SIGUSR2: how long nobody is served, with nothing going
//! on and with lines coming, what the state weighs, and that nobody is disconnected.

use crate::drive::{self, Load};
use crate::fleet::{self, Fleet};
use crate::sheet::Sheet;
use crate::target::{Cores, Kind, Target};
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

/// Moves a room of this many members, at rest and then with 100,000 deliveries a second.
pub(crate) fn run(members: usize, cores: Option<Cores>, sheet: &mut Sheet) {
    let target = Target::start_talkative(cores);
    let token = fleet::token(&target);
    let (mut fleet, _) = Fleet::log_in(&target, &token, members);
    drive::settle(&mut fleet);
    let before = target.resident_bytes();
    let mut note = |what, unit, figure| sheet.note(Kind::Plume, members, what, unit, figure);
    for _ in 0..MOVES {
        let moved = move_on(&target);
        note("move at rest: pause", "ms", moved.ms);
        note("move at rest: state of a member", "bytes", moved.bytes / members as f64);
    }
    drive::settle(&mut fleet);
    note("resident before all moves", "MiB", mib(before));
    note("resident after all moves", "MiB", mib(target.resident_bytes()));
    let lines_per_second = crate::STEADY / members as f64;
    let load = Load { lines_per_second, warm_up: Duration::from_millis(500), window: Duration::from_secs(1) };
    for _ in 0..MOVES {
        let start = Instant::now();
        let mut is_sent = false;
        load.run(&target, &mut fleet, || {
            if !is_sent && start.elapsed() > load.warm_up {
                send_signal(&target);
                is_sent = true;
            }
        });
        note("move under load: pause", "ms", moved(&target).ms);
        drive::settle(&mut fleet);
    }
    assert_eq!((fleet.lost, fleet.owed), (0, 0), "nobody was disconnected, and every line has come");
}

struct Moved {
    ms: f64,
    bytes: f64,
}

fn move_on(target: &Target) -> Moved {
    send_signal(target);
    moved(target)
}

fn send_signal(target: &Target) {
    kill_process(Pid::from_child(&target.child), Signal::USR2).expect("the child runs");
}

/// What the log says of the next move.
fn moved(target: &Target) -> Moved {
    let line = target.wait_line("event=moved ");
    let field = |name: &str| -> f64 {
        let value = line.split(' ').find_map(|field| field.strip_prefix(name));
        value.and_then(|value| value.parse().ok()).expect("the log says it")
    };
    Moved { ms: field("ms="), bytes: field("bytes=") }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

const MOVES: usize = 10;
