//! What several nodes cost, measured and printed:
//! `cargo test --release --test nodes -- --ignored --nocapture figures`.

#![expect(clippy::print_stdout, reason = "figures are for a person to read")]

use crate::cluster::{Cluster, Failover};
use crate::member::{Member, SOON};
use hdrhistogram::Histogram;
use std::thread;
use std::time::Instant;

/// Lines of the length that the benches use.
const LINE_BYTES: usize = 100;
const ROUNDS: usize = 5_000;
const LINES: usize = 20_000;
/// Lines of a talker that have not come back.
const UNDER_WAY_MAX: usize = 200;
const FAILOVERS: usize = 5;

/// A line of so many bytes with a number.
fn line(n: usize) -> String {
    format!("{n:LINE_BYTES$}")
}

#[test]
#[ignore = "needs redis-server; takes half a minute; prints figures"]
fn figures() {
    let cluster = Cluster::start(2);
    let mut ada = Member::enter(&cluster.nodes[0], "Ada");
    let mut bob = Member::enter(&cluster.nodes[1], "Bob");
    ada.hear("Bob", "entered chat");
    print_latency(&mut ada, &mut bob);
    print_throughput(&cluster, &mut ada, &mut bob);
    drop(cluster);
    print_failover();
}

fn print_latency(ada: &mut Member, bob: &mut Member) {
    let mut micros = Histogram::<u64>::new(3).expect("the precision is allowed");
    for n in 0..ROUNDS {
        let begun = Instant::now();
        ada.say(&line(n));
        bob.wait("line", SOON, |bob| bob.lines().last().is_some_and(|last| last.text == line(n)));
        let took = begun.elapsed().as_micros();
        micros.record(u64::try_from(took).expect("it is short")).expect("the histogram grows");
        ada.wait("own line", SOON, |ada| ada.unheard() == 0);
    }
    let (median, high) = (micros.value_at_quantile(0.5), micros.value_at_quantile(0.99));
    println!("said to heard on the other node, one line at a time: p50 {median} us, p99 {high} us");
    assert!(median < 100_000, "a line takes {median} us");
}

fn print_throughput(cluster: &Cluster, ada: &mut Member, bob: &mut Member) {
    let stream = cluster.redis.command(&["KEYS", "*"]);
    assert_eq!(stream, "*1", "one key without a newcomer's state");
    let number = |words: &[&str]| -> usize {
        let reply = cluster.redis.command(words);
        reply.strip_prefix(':').and_then(|number| number.parse().ok()).expect("a number")
    };
    let usage = || number(&["MEMORY", "USAGE", "plume", "SAMPLES", "0"]);
    let (length, bytes) = (number(&["XLEN", "plume"]), usage());
    let begun = Instant::now();
    thread::scope(|scope| {
        for member in [&mut *ada, &mut *bob] {
            scope.spawn(|| {
                for n in 0..LINES {
                    member.say(&line(n));
                    member.wait("own lines", SOON, |member| member.unheard() < UNDER_WAY_MAX);
                }
                member.wait("own lines", SOON, |member| member.unheard() == 0);
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    let rate = (2 * LINES) as f64 / seconds;
    println!("two talkers on two nodes, {UNDER_WAY_MAX} lines under way each: {rate:.0} lines a second");
    let (entries, grown) = (number(&["XLEN", "plume"]) - length, usage() - bytes);
    println!(
        "a line of {LINE_BYTES} bytes in the log: {} bytes of the engine's memory ({entries} entries, {grown} bytes)",
        grown / entries
    );
    assert!(entries >= 2 * LINES);
}

/// From the death of the primary until a line is heard on the other node, by members who come back as the
/// page does: at once after 1012.
fn print_failover() {
    let mut pauses = Vec::new();
    for _ in 0..FAILOVERS {
        let mut failover = Failover::start();
        let mut ada = Member::enter(&failover.nodes[0], "Ada");
        let mut bob = Member::enter(&failover.nodes[1], "Bob");
        ada.talk("before");
        bob.hear("Ada", "before");
        failover.primary.kill();
        let begun = Instant::now();
        failover.promote();
        failover.lead(0);
        failover.lead(1);
        for (member, node) in [&mut ada, &mut bob].into_iter().zip(&failover.nodes) {
            member.wait_close(SOON);
            member.resume_on(node);
        }
        ada.say("after");
        bob.hear("Ada", "after");
        pauses.push(begun.elapsed().as_millis());
    }
    pauses.sort_unstable();
    println!("pause of a failover to a replica that is promoted at once: {pauses:?} ms");
}
