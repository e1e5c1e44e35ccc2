//! The server as a value, without sockets, from a thousand members to a million: `cargo bench --bench scale`.
//!
//! What is said here is how cost grows: the heap that one more member takes, the time of one newcomer, of one
//! line (that it becomes part of the room is one cost, that a member gets it another), and of one ping for
//! one member. None of them may more than double on the way; what remains is the price of memory that is no
//! longer in a cache.
//!
//! `--quick` ends at a hundred thousand.

#![expect(clippy::cast_precision_loss, reason = "figures are rounded when they are shown")]
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

mod house;
#[path = "../../tests/testkit/mod.rs"]
#[expect(dead_code, reason = "tests use the rest")]
mod testkit;

use house::House;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::time::{Duration, Instant};
use testkit::codec::message;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is measured of a house of one size. Times are in nanoseconds.
struct Figures {
    members: usize,
    values: [f64; ROWS.len()],
}

fn main() {
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let sizes = if is_quick { &SIZES[..SIZES.len() - 1] } else { &SIZES[..] };
    let mut all: Vec<Figures> = Vec::new();
    for &members in sizes {
        all.push(measure(members));
    }
    print(&all);
}

fn measure(members: usize) -> Figures {
    let mut house = House::new();
    let heap = Region::new(HEAP);
    while house.len() < members {
        house.add_member();
    }
    let heap_bytes = live_bytes(&heap) / (members - 1) as f64;
    let line = message(&format!(r#"{{"type":1,"text":"{}"}}"#, "-".repeat(TEXT_BYTES)));
    let post = fastest(|| {
        let posts = per_call(POSTS, || house.post(&line));
        house.deliver();
        posts
    });
    let heap = Region::new(HEAP);
    let deliver = fastest(|| {
        house.post(&line);
        let start = Instant::now();
        let writes = house.deliver();
        assert_eq!(writes, members, "one write for each member");
        ns(start.elapsed()) / members as f64
    });
    let allocations = heap.change().allocations as f64 / (REPEATS * members) as f64;
    let ping = fastest(|| {
        let start = Instant::now();
        house.wait(PING_AFTER);
        let writes = house.deliver();
        assert_eq!(writes, members, "one ping for each member");
        house.pong();
        ns(start.elapsed()) / members as f64
    });
    let accept = per_call(NEWCOMERS, || house.add_member());
    let alone = alone(members, &line);
    Figures { members, values: [heap_bytes, accept, post, deliver, ping, alone, allocations] }
}

/// One who talks to an empty house, with everybody else at the door.
fn alone(connections: usize, line: &[u8]) -> f64 {
    let mut house = House::new();
    for _ in 1..connections {
        house.add_guest();
    }
    fastest(|| {
        per_call(POSTS, || {
            house.post(line);
            assert_eq!(house.deliver(), 1, "nobody else hears it");
        })
    })
}

/// Bytes of the heap that are in use now and were not at the start of the region.
fn live_bytes(heap: &Region<'_, System>) -> f64 {
    let change = heap.change();
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}

fn per_call(calls: usize, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    ns(start.elapsed()) / calls as f64
}

/// The machine does other things too: what counts is the run that was disturbed least.
fn fastest(mut run: impl FnMut() -> f64) -> f64 {
    (0..REPEATS).map(|_| run()).fold(f64::INFINITY, f64::min)
}

fn ns(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn print(all: &[Figures]) {
    let Some(first) = all.first() else { return };
    let Some(last) = all.last() else { return };
    print!("{:<46}", "members");
    for figures in all {
        print!("{:>12}", figures.members);
    }
    println!("{:>8}", "growth");
    for (row, what) in ROWS.iter().enumerate() {
        print!("{what:<46}");
        for figures in all {
            print!("{:>12.2}", figures.values[row]);
        }
        println!("{:>8.2}", last.values[row] / first.values[row]);
    }
    let rows = all.iter().map(|figures| json!({"members": figures.members, "values": figures.values}));
    println!("{}", json!({"bench": "scale", "what": ROWS, "rows": rows.collect::<Vec<_>>()}));
}

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const ROWS: [&str; 7] = [
    "heap per member, bytes",
    "one newcomer, ns",
    "one line becomes part of the room, ns",
    "one line for one member, ns",
    "one ping and its pong for one member, ns",
    "one line where all others are strangers, ns",
    "allocations per delivery",
];
const TEXT_BYTES: usize = 100;
const REPEATS: usize = 7;
const POSTS: usize = 200;
const NEWCOMERS: usize = 500;
const PING_AFTER: Duration = Duration::from_secs(25);
