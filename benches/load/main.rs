//! The built binary under load, beside a floor program in the same run: `cargo bench --bench load`.
//!
//! Both run as child processes, one after the other and in turns, on a core of their own; the load has the
//! last core. For each size of the room: everybody logs in, the highest load that arrives whole is searched,
//! and a fixed 100,000 deliveries a second are looked at for their cost and latency. In the largest room a
//! newcomer comes at rest and in a flood.
//!
//! - `--quick` takes one short round, for a look.
//! - Numbers choose the sizes of the room, as in `cargo bench --bench load -- 1000`.
//! - `--moves` moves rooms of 1,000 and 9,000 members to the next process instead, ten times at rest and ten
//!   times under load.
//!
//! A line is 100 bytes of text, said by one of eight members. The floor ([`floor`]) gets it as the frame that
//! Plume would make of it, so both deliver the same bytes. What is wanted of both is the ratio: the figures
//! themselves are the machine's.

#![expect(clippy::cast_precision_loss, reason = "figures are rounded when they are shown")]
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

mod drive;
mod fleet;
mod floor;
mod frames;
mod moves;
mod newcomer;
mod sheet;
mod target;

use drive::{Load, Search};
use fleet::Fleet;
use newcomer::Newcomer;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sheet::Sheet;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use target::{Cores, FLOOR_ARGUMENT, Kind, Target};

/// How long everything takes.
struct Plan {
    rounds: usize,
    sizes: Vec<usize>,
    search: Search,
    steady: Duration,
    newcomers: Duration,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, page_bytes] = &args[..]
        && first == FLOOR_ARGUMENT
    {
        raise_file_limit();
        let ended = page_bytes.parse().map_err(std::io::Error::other).and_then(floor::run);
        return if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let plan = Plan::from_args(&args);
    if args.iter().any(|arg| arg == "--moves") {
        measure_moves(&plan.sizes);
    } else {
        measure(&plan);
    }
    ExitCode::SUCCESS
}

fn measure_moves(sizes: &[usize]) {
    raise_file_limit();
    let cores = Cores::choose();
    if let Some(cores) = cores {
        cores.pin_load();
    }
    let mut sheet = Sheet::default();
    for &members in sizes {
        moves::run(members, cores, &mut sheet);
    }
    println!("{}\n{}", sheet.table(), sheet.json());
}

impl Plan {
    fn from_args(args: &[String]) -> Self {
        let mut sizes: Vec<usize> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
        if sizes.is_empty() {
            let moves = args.iter().any(|arg| arg == "--moves");
            sizes = if moves { vec![1_000, 9_000] } else { vec![100, 1_000, LARGEST] };
        }
        let ms = Duration::from_millis;
        if args.iter().any(|arg| arg == "--quick") {
            let search = Search { warm_up: ms(150), window: ms(350), precision: 1.1 };
            Self { rounds: 1, sizes, search, steady: ms(800), newcomers: ms(800) }
        } else {
            let search = Search { warm_up: ms(400), window: ms(1_000), precision: 1.03 };
            Self { rounds: 5, sizes, search, steady: ms(3_000), newcomers: ms(3_000) }
        }
    }
}

fn measure(plan: &Plan) {
    let start = Instant::now();
    raise_file_limit();
    let cores = Cores::choose();
    if let Some(cores) = cores {
        cores.pin_load();
    }
    let page_bytes = newcomer::page_bytes(&Target::start(Kind::Plume, cores, 0));
    let mut sheet = Sheet::default();
    for round in 0..plan.rounds {
        for &members in &plan.sizes {
            let kinds = if round % 2 == 0 { [Kind::Plume, Kind::Floor] } else { [Kind::Floor, Kind::Plume] };
            for kind in kinds {
                Session { kind, members, plan, page_bytes }.run(cores, &mut sheet);
            }
        }
    }
    let pinned = if cores.is_some() { "one core each" } else { "not pinned" };
    println!("{} round(s), {pinned}, {:.0?}; medians\n\n{}", plan.rounds, start.elapsed(), sheet.table());
    println!("{}", sheet.json());
}

/// One child process, one size of the room.
struct Session<'a> {
    kind: Kind,
    members: usize,
    plan: &'a Plan,
    page_bytes: usize,
}

impl Session<'_> {
    fn run(&self, cores: Option<Cores>, sheet: &mut Sheet) {
        let target = Target::start(self.kind, cores, self.page_bytes);
        sheet.note(self.kind, 0, "start until it listens", "ms", target.started_in.as_secs_f64() * 1e3);
        let rest = target.resident_bytes();
        sheet.note(self.kind, 0, "resident at rest", "MiB", rest as f64 / f64::from(1 << 20));
        let token = fleet::token(&target);
        // With the code that serves members, which was not resident before.
        let served = target.resident_bytes();
        let (mut fleet, took) = Fleet::log_in(&target, &token, self.members);
        let mut note = |what, unit, figure| sheet.note(self.kind, self.members, what, unit, figure);
        note("connect and resume", "logins/s", self.members as f64 / took.as_secs_f64());
        drive::settle(&mut fleet);
        if self.members >= LARGEST {
            let members_bytes = target.resident_bytes() - served;
            note("resident per idle member", "bytes", members_bytes as f64 / self.members as f64);
        }
        self.steady(&target, &mut fleet, sheet);
        let saturation = self.saturation(&target, &mut fleet, sheet);
        if self.members >= LARGEST {
            self.newcomers(&target, &mut fleet, &token, saturation * FLOOD, sheet);
        }
    }

    fn steady(&self, target: &Target, fleet: &mut Fleet, sheet: &mut Sheet) {
        let lines_per_second = STEADY / self.members as f64;
        let load = Load { lines_per_second, warm_up: self.plan.search.warm_up, window: self.plan.steady };
        fleet.sample_every = 1;
        let outcome = load.run(target, fleet, || ());
        fleet.sample_every = 0;
        let mut note = |what, unit, figure| sheet.note(self.kind, self.members, what, unit, figure);
        note("at 100,000/s: server CPU", "us/delivery", outcome.cpu_us);
        for (what, quantile) in
            [("at 100,000/s: p50", 0.5), ("at 100,000/s: p99", 0.99), ("at 100,000/s: p99.9", 0.999)]
        {
            note(what, "us", micros(fleet.latencies.value_at_quantile(quantile)));
        }
        drive::settle(fleet);
    }

    /// Gives the deliveries per second that were borne.
    fn saturation(&self, target: &Target, fleet: &mut Fleet, sheet: &mut Sheet) -> f64 {
        let before = sheet.newest(self.kind, self.members, SATURATION);
        let guess = before.map_or(GUESS, |before| before * NEAR);
        let Some(outcome) = self.plan.search.run(target, fleet, guess) else { return STEADY };
        let mut note = |what, unit, figure| sheet.note(self.kind, self.members, what, unit, figure);
        note(SATURATION, "deliveries/s", outcome.deliveries_per_second);
        note("saturation: server CPU", "us/delivery", outcome.cpu_us);
        note("saturation: server's core busy", "", outcome.server_busy);
        note("saturation: load's core busy", "", outcome.load_busy);
        outcome.deliveries_per_second
    }

    fn newcomers(&self, target: &Target, fleet: &mut Fleet, token: &str, flood: f64, sheet: &mut Sheet) {
        let lines_per_second = flood / self.members as f64;
        let (warm_up, window) = (self.plan.search.warm_up, self.plan.newcomers);
        let mut at_rest = Newcomer::new(target, token, self.page_bytes);
        let rest = Load { lines_per_second: 0.0, warm_up: Duration::ZERO, window };
        rest.run(target, fleet, || at_rest.turn());
        let mut in_flood = Newcomer::new(target, token, self.page_bytes);
        Load { lines_per_second, warm_up, window }.run(target, fleet, || in_flood.turn());
        for (what, latencies, quantile) in [
            ("login at rest: p50", &at_rest.logins, 0.5),
            ("login in a flood: p50", &in_flood.logins, 0.5),
            ("login in a flood: p99", &in_flood.logins, 0.99),
            ("page at rest: p50", &at_rest.pages, 0.5),
            ("page in a flood: p50", &in_flood.pages, 0.5),
            ("page in a flood: p99", &in_flood.pages, 0.99),
        ] {
            let figure = micros(latencies.value_at_quantile(quantile));
            sheet.note(self.kind, self.members, what, "us", figure);
        }
    }
}

fn micros(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// 10,000 members and a newcomer need more files than the usual limit allows.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the logins will tell.
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Members of the largest room.
const LARGEST: usize = 10_000;
/// Deliveries per second at which cost and latency are compared.
const STEADY: f64 = 100_000.0;
/// Where a search begins that knows nothing, in deliveries per second.
const GUESS: f64 = 8e6;
/// Where a search begins, as a part of what the round before found.
const NEAR: f64 = 0.95;
/// What is called a flood, as a part of what the server bears.
const FLOOD: f64 = 0.8;
const SATURATION: &str = "saturation";
