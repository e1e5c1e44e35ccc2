//! A thousand bad days in a minute: the server driven by a random world instead of sockets, checked after
//! every step.
//!
//! A run is a function of its seed. A failure names the seed and the step;
//! `PLUME_SIM_SEED=N cargo test --test simulation` lives through that one again, and
//! `PLUME_SIM_SEEDS=10000000 cargo test --release --test simulation` through as many as a night allows.

#![expect(clippy::print_stdout, reason = "a failure names its seed, a run what it lived through")]

mod deletion;
mod hostile_log;
mod keeping;
mod liveness;
mod moves;
mod nodes;
mod parcels;
mod patience;
mod replica;
mod stage;
mod tables;
#[path = "../testkit/mod.rs"]
mod testkit;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use testkit::choices::Choices;
use testkit::tally::{KINDS, Tally};
use testkit::world::World;

/// Seeds in an ordinary test run.
const SEEDS: u64 = 160;
const STEPS: u32 = 600;
/// Steps of a life that is recorded for the fuzz target.
const RECORDED_STEPS: u32 = 60;

#[test]
fn whatever_happens_the_promises_hold() {
    let seeds = seeds(SEEDS, 1);
    let moved = AtomicU64::new(0);
    let tally = live_each(&seeds, |seed| {
        let mut world = World::new(Choices::of_seed(seed));
        world.observe(None);
        let tally =
            live(seed, &mut world, |world| world.live(STEPS), |world| format!("step {}", world.step()));
        moved.fetch_add(moves::compare(seed, &world), Ordering::Relaxed);
        tally
    });
    let moved = moved.into_inner();
    println!("{tally:?}\n{moved} moves");
    if seeds.end - seeds.start >= SEEDS {
        tally.assert_that_all_came(&KINDS);
        assert!(moved > 10 * SEEDS, "servers moved only {moved} times");
    }
}

#[test]
fn a_seed_is_a_run_byte_for_byte() {
    let live = || World::new(Choices::of_seed(7)).live(STEPS);
    assert_eq!(live(), live());
}

/// With `PLUME_SIM_CORPUS` the shortest of the lives that have seen a kind of day becomes an input of the
/// fuzz target.
#[test]
fn a_recorded_life_is_the_same_life() {
    let corpus = std::env::var("PLUME_SIM_CORPUS").ok();
    let mut shortest: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for seed in 0..if corpus.is_some() { 2_000 } else { 16 } {
        let mut world = World::new(Choices::of_seed(seed));
        let tally = world.live(RECORDED_STEPS);
        let record = world.record().to_vec();
        if seed < 16 {
            let again = World::new(Choices::of_bytes(&record)).live(RECORDED_STEPS);
            assert_eq!(tally, again, "seed {seed}");
        }
        for kind in KINDS.into_iter().filter(|kind| tally.has(kind)) {
            let former = shortest.entry(kind).or_insert_with(|| record.clone());
            if record.len() < former.len() {
                former.clone_from(&record);
            }
        }
    }
    for (kind, record) in corpus.iter().flat_map(|_| &shortest) {
        let path = Path::new(corpus.as_deref().unwrap_or_default()).join(kind.replace(' ', "-"));
        std::fs::write(path, record).expect("the folder is there");
    }
}

/// The seeds of a run: one that is named, or as many as are asked for, each for so many lives.
fn seeds(usual: u64, lives: u64) -> Range<u64> {
    match (number("PLUME_SIM_SEED"), number("PLUME_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.map_or(usual, |seeds| lives * seeds),
    }
}

/// Lives of all these seeds, on several threads, and what they saw together.
fn live_each(seeds: &Range<u64>, life: impl Fn(u64) -> Tally + Sync) -> Tally {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return tally;
            }
            tally.add(&life(seed));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().fold(Tally::default(), |mut sum, thread| {
            match thread.join() {
                Ok(tally) => sum.add(&tally),
                Err(panic) => resume_unwind(panic),
            }
            sum
        })
    })
}

/// Lives the life of a seed. Where a promise is broken, it says with which seed and when.
fn live<W, T>(
    seed: u64,
    world: &mut W,
    life: impl FnOnce(&mut W) -> T,
    when: impl FnOnce(&W) -> String,
) -> T {
    catch_unwind(AssertUnwindSafe(|| life(world))).unwrap_or_else(|panic| {
        println!("the promises were broken with PLUME_SIM_SEED={seed} at {}", when(world));
        resume_unwind(panic)
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a whole number"))
}

/// As many as a small machine has cores.
const THREADS: usize = 2;
