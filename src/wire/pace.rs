//! How fast one connection may talk, and until when it is not listened to.

use crate::base::bucket::{Bucket, Rate};
use crate::base::limits::{BEHIND_MAX, PAUSE_MIN, TOKEN_BYTES};
use crate::base::moment::Moment;

/// The pace of one connection.
#[derive(Debug, Default)]
pub struct Pace {
    bucket: Bucket,
    behind: Option<Behind>,
    paused_until: Option<Moment>,
}

/// A talker that is faster than its rate.
#[derive(Debug, Clone, Copy)]
struct Behind {
    since: Moment,
    /// When all that was said so far is paid for, and the connection is used again.
    free: Moment,
}

/// The talker was too fast for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFast;

impl Pace {
    /// Charges for a message; who is in debt is paused until it is paid.
    ///
    /// # Errors
    /// The talker was too fast for too long.
    pub fn charge(&mut self, now: Moment, rate: Rate, message_bytes: usize) -> Result<(), TooFast> {
        if self.behind.is_some_and(|behind| now.since(behind.free) >= PAUSE_MIN) {
            self.behind = None;
        }
        let tokens = 1 + message_bytes.saturating_sub(1) / TOKEN_BYTES;
        let since = self.behind.map_or(now, |behind| behind.since);
        self.behind = self.bucket.take_in_debt(now, rate, tokens as u64).map(|free| Behind { since, free });
        if let Some(behind) = self.behind {
            if now.since(behind.since) >= BEHIND_MAX {
                return Err(TooFast);
            }
            self.pause(behind.free);
        }
        Ok(())
    }

    /// Uses nothing more of what the peer sends until then.
    pub fn pause(&mut self, until: Moment) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Until when nothing is used; `None`: everything is used at once.
    #[must_use]
    pub fn paused_until(&self) -> Option<Moment> {
        self.paused_until
    }

    /// Ends a pause.
    pub fn resume(&mut self, now: Moment) {
        self.paused_until = None;
        // Where the clock comes late, that is no pause of the talker's.
        if let Some(behind) = &mut self.behind {
            behind.free = behind.free.max(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const RATE: Rate = Rate::per_second(10);

    fn at(ms: u64) -> Moment {
        Moment::from_ms(ms)
    }

    #[test]
    fn a_message_costs_a_token_and_one_more_for_each_further_kilobyte() {
        for (bytes, tokens) in [(0, 1), (1, 1), (1_024, 1), (1_025, 2), (2_048, 2), (2_049, 3), (65_536, 64)]
        {
            let mut pace = Pace::default();
            pace.charge(at(0), RATE, bytes).unwrap();
            let paid = (tokens > 10).then(|| at((tokens - 10) * 100));
            assert_eq!(pace.paused_until(), paid, "{bytes} bytes");
            for _ in tokens..10 {
                pace.charge(at(0), RATE, 1).unwrap();
            }
            pace.charge(at(0), RATE, 1).unwrap();
            assert!(pace.paused_until().is_some(), "{bytes} bytes and a burst");
        }
    }

    #[test]
    fn who_is_behind_for_half_a_minute_without_a_pause_is_too_fast() {
        let talk = |pause: Duration| {
            let mut pace = Pace::default();
            let mut now = at(0);
            while now < at(0).after(BEHIND_MAX * 2) {
                if pace.charge(now, RATE, 1).is_err() {
                    return Some(now);
                }
                if let Some(until) = pace.paused_until() {
                    pace.resume(until);
                    now = until.after(pause);
                }
            }
            None
        };
        assert_eq!(talk(Duration::ZERO), Some(at(0).after(BEHIND_MAX)));
        assert_eq!(talk(PAUSE_MIN), None);
    }
}
