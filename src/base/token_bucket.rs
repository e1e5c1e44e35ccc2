//! A token bucket that fits in one number: it remembers when everything taken will be paid for
//! (the "generic cell rate algorithm" of ITU-T I.371).

use crate::base::frost::frost;
use crate::base::time::Moment;
use std::time::Duration;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Microseconds for one token. Zero: without limit.
    pub(crate) token_us: u64,
    /// Tokens in a full bucket.
    pub(crate) burst: u64,
}

frost!(struct Rate { token_us, burst });

impl Rate {
    /// `burst` tokens each second, and as many at once. Zero means without limit.
    pub(crate) const fn per_second(burst: u64) -> Self {
        let token_us = match 1_000_000_u64.checked_div(burst) {
            Some(token_us) => token_us,
            None => 0,
        };
        Self { token_us, burst }
    }

    /// `burst` tokens each `window`, and as many at once.
    ///
    /// # Panics
    /// If the burst is zero.
    pub(crate) const fn within(window: Duration, burst: u64) -> Self {
        Self { token_us: window.as_secs() * 1_000_000 / burst, burst }
    }

    /// Whether nothing is limited.
    pub(crate) const fn is_unlimited(self) -> bool {
        self.token_us == 0
    }

    /// So many times as fast, and as many at once.
    pub(crate) const fn times(self, factor: u64) -> Self {
        // A rate of more than one token each microsecond is one of a token each.
        let token_us = if self.token_us == 0 { 0 } else { self.token_us.div_ceil(factor) };
        Self { token_us, burst: self.burst.saturating_mul(factor) }
    }

    /// One token every `wait`, and up to `burst` at once.
    pub(crate) fn every(wait: Duration, burst: u64) -> Self {
        Self { token_us: u64::try_from(wait.as_micros()).unwrap_or(u64::MAX), burst }
    }
}

/// One bucket. A new one is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TokenBucket {
    /// The time, in microseconds of the monotonic clock, at which the bucket is full again.
    full_at_us: u64,
}

frost!(struct TokenBucket { full_at_us });

impl TokenBucket {
    /// Takes `tokens`, into debt if need be, and tells when the debt is paid: `None` where there is none.
    pub(crate) fn take_in_debt(&mut self, now: Moment, rate: Rate, tokens: u64) -> Option<Moment> {
        let now_us = now.as_us();
        self.full_at_us = self.full_at_us.max(now_us).saturating_add(tokens.saturating_mul(rate.token_us));
        let paid_us = self.paid_us(rate);
        (paid_us > now_us).then(|| Moment::from_us(paid_us))
    }

    /// When no token is taken in debt any more, in microseconds of the monotonic clock.
    pub(crate) fn paid_us(self, rate: Rate) -> u64 {
        self.full_at_us.saturating_sub(rate.burst.saturating_mul(rate.token_us))
    }

    /// Whether a whole token lies in the bucket.
    pub(crate) fn has_token(self, now: Moment, rate: Rate) -> bool {
        self.wait_for_token(now, rate).is_zero()
    }

    /// How long until a whole token lies in the bucket.
    pub(crate) fn wait_for_token(self, now: Moment, rate: Rate) -> Duration {
        self.wait_for_token_beyond(now, rate, 0)
    }

    /// How long until a whole token lies in the bucket beside `reserve` others. Where the bucket does not
    /// hold as many, it has to be full for the time that the missing ones would take: a taker that needs no
    /// reserve comes first, whatever the burst.
    pub(crate) fn wait_for_token_beyond(self, now: Moment, rate: Rate, reserve: u64) -> Duration {
        let needed_us = reserve.saturating_add(1).saturating_mul(rate.token_us);
        let holds_us = rate.burst.saturating_mul(rate.token_us);
        let due_us = self.full_at_us.saturating_add(needed_us).saturating_sub(holds_us);
        Duration::from_micros(due_us.saturating_sub(now.as_us()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_ms(ms)
    }

    #[test]
    fn a_burst_is_free_and_the_next_token_is_owed() {
        let rate = Rate::per_second(10);
        let mut bucket = TokenBucket::default();
        for _ in 0..10 {
            assert_eq!(bucket.take_in_debt(at(5_000), rate, 1), None);
        }
        assert!(!bucket.has_token(at(5_000), rate));
        assert_eq!(bucket.take_in_debt(at(5_000), rate, 1), Some(at(5_100)));
        assert_eq!(bucket.take_in_debt(at(5_100), rate, 5), Some(at(5_600)));
        assert!(!bucket.has_token(at(5_600), rate), "paid, but empty");
        assert!(bucket.has_token(at(5_700), rate));
        assert_eq!(bucket.take_in_debt(at(60_000), rate, 10), None, "it fills, but not beyond the brim");
        assert_eq!(bucket.take_in_debt(at(60_000), rate, 1), Some(at(60_100)));
    }

    #[test]
    fn the_wait_for_a_token_is_told() {
        let rate = Rate::every(Duration::from_secs(4), 2);
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.wait_for_token(at(0), rate), Duration::ZERO);
        bucket.take_in_debt(at(0), rate, 2);
        assert_eq!(bucket.wait_for_token(at(1_000), rate), Duration::from_secs(3));
        assert!(bucket.has_token(at(4_000), rate));
    }

    #[test]
    fn a_reserve_is_left_to_others() {
        let rate = Rate::every(Duration::from_secs(4), 3);
        let mut bucket = TokenBucket::default();
        let seconds =
            |bucket: &TokenBucket, now, reserve| bucket.wait_for_token_beyond(now, rate, reserve).as_secs();
        let now = at(60_000);
        bucket.take_in_debt(now, rate, 1);
        assert_eq!([0, 1, 2, 3].map(|reserve| seconds(&bucket, now, reserve)), [0, 0, 4, 8]);
        assert_eq!(seconds(&bucket, at(64_000), 3), 4, "full, and once more as long");
        assert_eq!(seconds(&bucket, at(68_000), 3), 0);
        let free = Rate::every(Duration::ZERO, 1);
        assert_eq!(TokenBucket::default().wait_for_token_beyond(now, free, u64::MAX), Duration::ZERO);
    }

    #[test]
    fn rate_zero_is_without_limit() {
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.take_in_debt(at(1), Rate::per_second(0), u64::MAX), None);
    }
}
