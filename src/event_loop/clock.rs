//! The clocks of the event loop: `CLOCK_MONOTONIC` itself, so that moments mean the same in every process of
//! a boot, and the wall clock, which is only copied into messages.

use crate::base::time::{Moment, Now};
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// What both clocks say.
#[must_use]
pub fn now() -> Now {
    Now { moment: moment(), wall_ms: wall_ms() }
}

fn moment() -> Moment {
    let time = clock_gettime(ClockId::Monotonic);
    // Neither part is ever negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    Moment::from_us(seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000))
}

fn wall_ms() -> u64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Another process of this boot reads the same clock: here the kernel, which counts from the boot.
    #[test]
    fn moments_count_from_the_boot_and_not_from_the_start_of_the_process() {
        let before = now().moment;
        let Ok(uptime) = fs::read_to_string("/proc/uptime") else { return };
        let seconds: u64 =
            uptime.split('.').next().and_then(|part| part.parse().ok()).expect("it is a number");
        // /proc/uptime also counts the time in which the machine was suspended.
        assert!(before.as_ms() < (seconds + 1) * 1_000, "{before:?} {seconds}");
        assert!(before.as_ms() > 1_000, "a machine does not boot within a second");
        assert!(now().moment >= before);
    }
}
