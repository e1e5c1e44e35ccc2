//! How fast one connection is read: until when its input waits, and what its frames cost.
//!
//! Messages are charged to users and client addresses, by the server; a frame that is no message is charged
//! here, or pings and empty fragments would cost nothing.

use crate::base::frost::frost;
use crate::base::time::Moment;
use crate::base::token_bucket::{Rate, TokenBucket};
use crate::limits::{BEHIND_MAX, BEHIND_MESSAGES_MIN, FRAMES_BURST, FRAMES_PER_SECOND, PAUSE_MIN};

#[derive(Debug, Default)]
pub(crate) struct ReadThrottle {
    frames: TokenBucket,
    paused_until: Option<Moment>,
    /// A talker whose input has waited. Boxed, for most connections have none.
    behind: Option<Box<Behind>>,
    has_slot: bool,
}

/// A talker that is faster than its rate.
#[derive(Debug, Clone, Copy)]
struct Behind {
    since: Moment,
    /// When its input is used next.
    until: Moment,
    /// Messages that were used since then.
    messages: u32,
}

/// The talker was too fast for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast;

frost!(struct ReadThrottle { frames, paused_until, behind, has_slot });
frost!(struct Behind { since, until, messages });

impl ReadThrottle {
    /// Charges for a frame that is no message: a control frame, or a fragment that does not end one.
    pub(crate) fn charge_frame(&mut self, now: Moment) {
        if let Some(paid) = self.frames.take_in_debt(now, FRAMES, 1) {
            self.pause(paid);
        }
    }

    /// Counts a message of a talker whose input has waited.
    pub(crate) fn count_message(&mut self) {
        if let Some(behind) = &mut self.behind {
            behind.messages = behind.messages.saturating_add(1);
        }
    }

    /// Input waits for its turn.
    ///
    /// # Errors
    /// It has waited for too long without a pause, and not because of a few expensive messages.
    pub(crate) fn wait_for_turn(&mut self, now: Moment, turn: Moment) -> Result<(), TooFast> {
        let goes_on = self.behind.take().filter(|behind| now.since(behind.until) < PAUSE_MIN);
        let mut behind = goes_on.unwrap_or_else(|| Box::new(Behind { since: now, until: turn, messages: 0 }));
        if now.since(behind.since) >= BEHIND_MAX && behind.messages >= BEHIND_MESSAGES_MIN {
            return Err(TooFast);
        }
        behind.until = turn;
        self.behind = Some(behind);
        self.pause(turn);
        Ok(())
    }

    /// Uses nothing more of what the peer sends until then.
    pub(crate) fn pause(&mut self, until: Moment) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Until when nothing is used; `None`: everything is used at once.
    pub(crate) fn paused_until(&self) -> Option<Moment> {
        self.paused_until
    }

    /// Ends a pause.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.paused_until = None;
        // Where the clock comes late, that is no pause of the talker's.
        if let Some(behind) = &mut self.behind {
            behind.until = behind.until.max(now);
            self.has_slot = true;
        }
    }

    /// Whether the talker has waited for its turn, and this is it. True once.
    pub(crate) fn take_slot(&mut self) -> bool {
        std::mem::take(&mut self.has_slot)
    }
}

const FRAMES: Rate = Rate { token_us: 1_000_000 / FRAMES_PER_SECOND, burst: FRAMES_BURST };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::shared_throttle::SharedThrottle;
    use std::time::Duration;

    const RATE: Rate = Rate::per_second(10);

    fn at(ms: u64) -> Moment {
        Moment::from_ms(ms)
    }

    /// Messages of so many tokens each, all there from the start or with a pause after each: when it was too
    /// fast.
    fn talk(tokens: u64, messages: u32, pause: Duration) -> Option<Moment> {
        let (mut reader, mut throttle) = (ReadThrottle::default(), SharedThrottle::default());
        let mut now = at(0);
        let mut left = messages;
        while left > 0 {
            if let Some(turn) = throttle.wait_for_turn(now, RATE, reader.take_slot()) {
                if reader.wait_for_turn(now, turn).is_err() {
                    return Some(now);
                }
                now = turn;
                reader.resume(now);
                continue;
            }
            throttle.charge(now, RATE, tokens);
            reader.count_message();
            left -= 1;
            now = now.after(pause);
        }
        None
    }

    #[test]
    fn a_talker_that_is_behind_for_half_a_minute_without_a_pause_is_too_fast() {
        assert_eq!(talk(1, 1_000, Duration::ZERO), Some(at(0).after(BEHIND_MAX)));
        assert_eq!(talk(1, 1_000, Duration::from_millis(250)), None, "slower than its rate");
        assert!(talk(20, 1_000, Duration::ZERO).is_some());
    }

    #[test]
    fn a_few_expensive_messages_are_slow_and_not_too_fast() {
        assert_eq!(talk(384, 5, Duration::ZERO), None);
        let (mut reader, mut throttle) = (ReadThrottle::default(), SharedThrottle::default());
        throttle.charge(at(0), RATE, 384);
        let turn = throttle.wait_for_turn(at(20_000), RATE, reader.take_slot()).unwrap();
        assert_eq!((turn, reader.wait_for_turn(at(20_000), turn)), (at(37_400), Ok(())));
        reader.resume(turn);
        assert_eq!(throttle.wait_for_turn(turn, RATE, reader.take_slot()), None);
    }

    #[test]
    fn frames_that_are_no_messages_have_a_price() {
        let mut reader = ReadThrottle::default();
        for _ in 0..FRAMES_BURST {
            reader.charge_frame(at(0));
        }
        assert_eq!(reader.paused_until(), None);
        reader.charge_frame(at(0));
        assert_eq!(reader.paused_until(), Some(Moment::from_us(FRAMES.token_us)));
    }
}
