//! Time as the server sees it: it comes in as an argument and has two hands.

use crate::base::frost::{Frost, Frozen, frost};
use std::num::NonZeroU64;
use std::time::Duration;

/// What the clocks say when something happens: one hand decides, the other is only copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock. All deadlines are measured by it.
    pub moment: Moment,
    /// Milliseconds since 1970-01-01 UTC, copied into the `time` of lines and used for nothing else.
    pub wall_ms: u64,
}

/// A point on the monotonic clock, in microseconds since its start. Never zero, so that an optional moment
/// costs no more memory than a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// The moment `us` microseconds after the start of the clock.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(us))
    }

    /// The moment `ms` milliseconds after the start of the clock.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self::from_us(ms.saturating_mul(1_000))
    }

    /// Microseconds since the start of the clock.
    #[must_use]
    pub const fn as_us(self) -> u64 {
        self.0.get() - 1
    }

    /// Whole milliseconds since the start of the clock.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.as_us() / 1_000
    }

    /// The moment that lies `wait` later; the end of time where that is too far.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(micros(wait)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }
}

frost!(struct Now { moment, wall_ms });

impl Frost for Moment {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.0.get().freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        NonZeroU64::new(from.number()?).map(Self)
    }
}

fn micros(wait: Duration) -> u64 {
    u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_add_and_subtract_without_overflow() {
        let start = Moment::from_ms(0);
        assert_eq!(start.as_ms(), 0);
        assert_eq!(start.after(Duration::from_secs(2)).as_ms(), 2_000);
        assert_eq!(start.after(Duration::from_secs(2)).since(start), Duration::from_secs(2));
        assert_eq!(start.since(start.after(Duration::from_secs(2))), Duration::ZERO);
        assert!(start.after(Duration::MAX) > start);
    }

    #[test]
    fn an_optional_moment_is_as_small_as_a_moment() {
        assert_eq!(size_of::<Option<Moment>>(), size_of::<Moment>());
    }
}
