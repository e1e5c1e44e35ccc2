//! Loads of a fixed rate, and the search for the highest that a server bears.

use crate::fleet::Fleet;
use crate::frames::TEXT_BYTES;
use crate::target::Target;
use std::time::Duration;

/// Lines at a fixed rate: some time to settle, then the window that counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) lines_per_second: f64,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// What a load came to within its window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) deliveries_per_second: f64,
    /// Deliveries in the window as a part of those that the lines said in it ask for.
    pub(crate) delivered: f64,
    /// Time on the server's core for one delivery, in microseconds.
    pub(crate) cpu_us: f64,
    /// The part of the window in which the server's core was busy.
    pub(crate) server_busy: f64,
    /// The same for the load's core: near 1, the figure says more about the load than about the server.
    pub(crate) load_busy: f64,
    /// Whether nobody was cut off and the backlog stayed within bounds.
    pub(crate) is_whole: bool,
}

impl Outcome {
    /// Whether the server bears the load.
    pub(crate) fn is_borne(&self) -> bool {
        self.is_whole && self.delivered >= DELIVERED_MIN
    }
}

impl Load {
    /// Says the lines and counts what comes. `aside` is called in each turn, for whoever wants to do
    /// something meanwhile.
    pub(crate) fn run(self, target: &Target, fleet: &mut Fleet, mut aside: impl FnMut()) -> Outcome {
        let members = fleet.len() as u64;
        let (said_before, delivered_before) = (fleet.said, fleet.delivered);
        let start = fleet.now();
        let due_at = |line: u64| start + Duration::from_secs_f64(line as f64 / self.lines_per_second);
        let mut is_whole = true;
        let mut mark = None;
        let mut next_say = start;
        loop {
            let now = fleet.now();
            if mark.is_none() && now >= start + self.warm_up {
                fleet.latencies.reset();
                mark = Some(Mark::of(target, fleet));
            }
            if now >= start + self.warm_up + self.window {
                break;
            }
            if now >= next_say {
                next_say = now + SAY_EVERY;
                let said = fleet.said - said_before;
                let due = now.saturating_sub(start).as_secs_f64() * self.lines_per_second;
                let due = (said..).take_while(|&line| (line as f64) < due);
                let mut due = due.map(|line| nanos(due_at(line))).peekable();
                if due.peek().is_some() {
                    fleet.say(due);
                }
            }
            fleet.pump(Duration::ZERO);
            aside();
            let said = fleet.said - said_before;
            let heard = (fleet.delivered - delivered_before) / members;
            if fleet.lost > 0 || said.saturating_sub(heard) > LAG_LINES_MAX {
                is_whole = false;
                break;
            }
        }
        let before = mark.unwrap_or_else(|| Mark::of(target, fleet));
        before.until(&Mark::of(target, fleet), members, is_whole)
    }
}

/// Counters at one moment.
struct Mark {
    at: Duration,
    said: u64,
    delivered: u64,
    cpu: Duration,
    idle: Duration,
}

impl Mark {
    fn of(target: &Target, fleet: &Fleet) -> Self {
        let (said, delivered) = (fleet.said, fleet.delivered);
        Self { at: fleet.now(), said, delivered, cpu: target.cpu(), idle: fleet.idle }
    }

    fn until(&self, end: &Self, members: u64, is_whole: bool) -> Outcome {
        let deliveries = (end.delivered - self.delivered) as f64;
        let asked = ((end.said - self.said) * members).max(1) as f64;
        let window = end.at.saturating_sub(self.at).as_secs_f64().max(f64::MIN_POSITIVE);
        let cpu = end.cpu.saturating_sub(self.cpu).as_secs_f64();
        Outcome {
            deliveries_per_second: deliveries / window,
            delivered: deliveries / asked,
            cpu_us: cpu * 1e6 / deliveries.max(1.0),
            server_busy: cpu / window,
            load_busy: 1.0 - end.idle.saturating_sub(self.idle).as_secs_f64() / window,
            is_whole,
        }
    }
}

/// How a search goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search {
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    /// The search ends when the highest rate that was borne and the lowest that was not are this near to each
    /// other.
    pub(crate) precision: f64,
}

impl Search {
    /// The highest load that is borne, from a guess in deliveries per second; `None`: none was.
    pub(crate) fn run(self, target: &Target, fleet: &mut Fleet, guess: f64) -> Option<Outcome> {
        let (mut borne, mut best) = (None, None);
        let mut failed: Option<f64> = None;
        let mut rate = guess;
        for _ in 0..TRIALS_MAX {
            let outcome = self.attempt(target, fleet, rate);
            if outcome.is_borne() {
                (borne, best) = (Some(rate), Some(outcome));
            } else {
                failed = Some(rate);
            }
            rate = match (borne, failed) {
                (Some(low), Some(high)) if high / low <= self.precision => break,
                (Some(low), Some(high)) => (low * high).sqrt(),
                (Some(low), None) => low * STEP,
                (None, _) => rate / STEP,
            };
        }
        best
    }

    /// One load, with a second chance: the machine does other things too.
    fn attempt(self, target: &Target, fleet: &mut Fleet, rate: f64) -> Outcome {
        let lines_per_second = rate / fleet.len() as f64;
        let load = Load { lines_per_second, warm_up: self.warm_up, window: self.window };
        let mut outcome = load.run(target, fleet, || ());
        settle(fleet);
        if !outcome.is_borne() {
            outcome = load.run(target, fleet, || ());
            settle(fleet);
        }
        outcome
    }
}

/// Waits until all that was said has come, or nothing comes any more, and brings back those who were cut off.
pub(crate) fn settle(fleet: &mut Fleet) {
    let mut quiet_since = fleet.now();
    while fleet.owed > 0 && fleet.now() < quiet_since + QUIET {
        let before = fleet.delivered;
        fleet.pump(QUIET);
        if fleet.delivered > before {
            quiet_since = fleet.now();
        }
    }
    fleet.fill(fleet.len());
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Lines come at whole steps of this, or a load of many small ones would be a load on the load.
const SAY_EVERY: Duration = Duration::from_micros(250);
/// A quarter of the ring of both servers: who is so far behind is not keeping up, and would soon be lapped.
const LAG_LINES_MAX: u64 = (1 << 20) / (TEXT_BYTES as u64 + 80);
/// A load is borne when this part is delivered within the window.
const DELIVERED_MIN: f64 = 0.99;
const STEP: f64 = 1.4;
const TRIALS_MAX: usize = 16;
/// Who hears nothing for so long will hear nothing any more.
const QUIET: Duration = Duration::from_millis(200);
