//! A rate that several connections share, fairly: while there is a debt, each waits for a slot of its own.

use crate::base::frost::frost;
use crate::base::time::Moment;
use crate::base::token_bucket::{Rate, TokenBucket};

/// A token bucket, and the slots given to connections that found it in debt.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SharedThrottle {
    bucket: TokenBucket,
    /// The first slot that nobody has, in microseconds of the monotonic clock.
    next_slot_us: u64,
}

frost!(struct SharedThrottle { bucket, next_slot_us });

impl SharedThrottle {
    /// Takes tokens, into debt if need be.
    pub(crate) fn charge(&mut self, now: Moment, rate: Rate, tokens: u64) {
        self.bucket.take_in_debt(now, rate, tokens);
    }

    /// When a connection may speak: `None` means now. It asks again at that time, with `has_slot` set: a slot
    /// is good as soon as the debt is paid. Without one, the connections that have slots go first.
    pub(crate) fn wait_for_turn(&mut self, now: Moment, rate: Rate, has_slot: bool) -> Option<Moment> {
        let now_us = now.as_us();
        let paid_us = self.bucket.paid_us(rate);
        if paid_us <= now_us && (has_slot || self.next_slot_us <= now_us) {
            return None;
        }
        let slot_us = paid_us.max(self.next_slot_us).max(now_us + 1);
        self.next_slot_us = slot_us.saturating_add(rate.token_us);
        Some(Moment::from_us(slot_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const RATE: Rate = Rate::per_second(10);

    fn at(ms: u64) -> Moment {
        Moment::from_ms(ms)
    }

    #[test]
    fn a_single_talker_speaks_at_its_rate() {
        let mut throttle = SharedThrottle::default();
        let mut now = at(0);
        let mut said = Vec::new();
        let mut has_slot = false;
        while said.len() < 13 {
            match throttle.wait_for_turn(now, RATE, has_slot) {
                None => {
                    throttle.charge(now, RATE, 1);
                    said.push(now.as_ms());
                    has_slot = false;
                }
                Some(slot) => (now, has_slot) = (slot, true),
            }
        }
        assert_eq!(
            said,
            [[0; 11].as_slice(), &[100, 200]].concat(),
            "a burst, one in debt, and one for each token"
        );
    }

    #[test]
    fn many_connections_share_one_rate_and_take_turns() {
        const CONNECTIONS: usize = 64;
        let mut throttle = SharedThrottle::default();
        let mut said = [0_u64; CONNECTIONS];
        let mut waiting: VecDeque<(Moment, usize)> =
            (0..CONNECTIONS).map(|connection| (at(0), connection)).collect();
        let mut has_slot = [false; CONNECTIONS];
        while let Some((now, connection)) = waiting.pop_front() {
            if now > at(64_000) {
                break;
            }
            let again = match throttle.wait_for_turn(now, RATE, has_slot[connection]) {
                None => {
                    throttle.charge(now, RATE, 1);
                    said[connection] += 1;
                    has_slot[connection] = false;
                    now
                }
                Some(slot) => {
                    has_slot[connection] = true;
                    slot
                }
            };
            let behind = waiting.partition_point(|&(moment, _)| moment <= again);
            waiting.insert(behind, (again, connection));
        }
        let all: u64 = said.iter().sum();
        assert!((640..=652).contains(&all), "{all} lines in 64 seconds");
        let (least, most) = (said.iter().min().unwrap(), said.iter().max().unwrap());
        assert!(most - least <= 2, "{said:?}");
    }

    #[test]
    fn an_expensive_message_holds_the_others_until_it_is_paid() {
        let mut throttle = SharedThrottle::default();
        assert_eq!(throttle.wait_for_turn(at(0), RATE, false), None);
        throttle.charge(at(0), RATE, 110);
        assert_eq!(throttle.wait_for_turn(at(1), RATE, false), Some(at(10_000)));
        assert_eq!(throttle.wait_for_turn(at(1), RATE, false), Some(at(10_100)));
        assert_eq!(throttle.wait_for_turn(at(10_000), RATE, true), None);
        throttle.charge(at(10_000), RATE, 1);
        assert_eq!(
            throttle.wait_for_turn(at(10_050), RATE, false),
            Some(at(10_200)),
            "behind those who have slots"
        );
        assert_eq!(throttle.wait_for_turn(at(10_100), RATE, true), None);
    }

    #[test]
    fn rate_zero_is_without_limit() {
        let mut throttle = SharedThrottle::default();
        throttle.charge(at(1), Rate::per_second(0), u64::MAX);
        assert_eq!(throttle.wait_for_turn(at(1), Rate::per_second(0), false), None);
    }
}
