//! A histogram of durations: how many were in each of a few ranges, and their sum.

use std::time::Duration;

/// Durations, counted by range.
#[derive(Debug)]
pub(crate) struct Histogram {
    /// Upper bounds, ascending; each belongs to its range.
    bounds: &'static [Duration],
    /// One count for each bound, and the last for what is above all.
    counts: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    /// An empty histogram. The bounds ascend.
    pub(crate) fn new(bounds: &'static [Duration]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: Duration::ZERO }
    }

    pub(crate) fn observe(&mut self, duration: Duration) {
        let place = self.bounds.iter().take_while(|&&bound| bound < duration).count();
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(duration);
    }

    /// Each bound with the number of durations that are not above it.
    pub(crate) fn up_to_bounds(&self) -> impl Iterator<Item = (Duration, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds.iter().copied().zip(sums)
    }

    /// Number of all durations.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all durations.
    pub(crate) const fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_for_the_first_bound_that_it_is_not_above_and_for_all_higher_ones() {
        static BOUNDS: [Duration; 3] =
            [Duration::from_millis(1), Duration::from_millis(10), Duration::from_secs(1)];
        let mut histogram = Histogram::new(&BOUNDS);
        for ms in [0, 1, 2, 10, 11, 1_000, 1_001] {
            histogram.observe(Duration::from_millis(ms));
        }
        let up_to: Vec<u64> = histogram.up_to_bounds().map(|(_, count)| count).collect();
        assert_eq!(up_to, [2, 4, 6]);
        assert_eq!((histogram.count(), histogram.sum()), (7, Duration::from_millis(2_025)));
    }
}
