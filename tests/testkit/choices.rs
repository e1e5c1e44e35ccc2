//! Where a world's choices come from: a seed, or the bytes of a fuzz target.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::ops::Range;

/// A source of choices. Where it is made of bytes and they are used up, every choice is the first one.
#[derive(Debug)]
pub(crate) enum Choices {
    Seed {
        rng: Box<ChaCha8Rng>,
        /// Bytes that lead to the same choices.
        record: Vec<u8>,
    },
    Bytes {
        bytes: Vec<u8>,
        used: usize,
    },
}

impl Choices {
    pub(crate) fn of_seed(seed: u64) -> Self {
        Self::Seed { rng: Box::new(ChaCha8Rng::seed_from_u64(seed)), record: Vec::new() }
    }

    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self::Bytes { bytes: bytes.to_vec(), used: 0 }
    }

    /// Whether nothing is left to choose by.
    pub(crate) fn are_used_up(&self) -> bool {
        match self {
            Self::Seed { .. } => false,
            Self::Bytes { bytes, used } => *used >= bytes.len(),
        }
    }

    /// The bytes that lead, or have led, to the same choices.
    pub(crate) fn record(&self) -> &[u8] {
        match self {
            Self::Seed { record, .. } => record,
            Self::Bytes { bytes, .. } => bytes,
        }
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let bits = u64::BITS - (end - 1).leading_zeros();
        let bytes = bits.div_ceil(8) as usize;
        match self {
            Self::Seed { rng, record } => {
                let number = rng.random_range(0..end);
                record.extend(&number.to_be_bytes()[8 - bytes..]);
                number
            }
            Self::Bytes { .. } => (0..bytes).fold(0, |number, _| number << 8 | u64::from(self.byte())) % end,
        }
    }

    /// An index of something that has so many places.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a length")
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    pub(crate) fn pick<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.index(things.len())]
    }

    /// Whether something happens that does in so many of a thousand cases. Bytes know nothing rarer than one
    /// in 256.
    pub(crate) fn chance(&mut self, thousandths: u64) -> bool {
        match self {
            _ if thousandths == 0 => false,
            Self::Seed { rng, record } => {
                let happens = rng.random_range(0..1_000) < thousandths;
                record.push(if happens { u8::MAX } else { 0 });
                happens
            }
            Self::Bytes { .. } => u64::from(255 - self.byte()) * 1_000 < thousandths * 256,
        }
    }

    /// Up to so many bytes of any kind.
    pub(crate) fn literal(&mut self, most: usize) -> Vec<u8> {
        let len = self.index(most + 1);
        (0..len).map(|_| self.byte()).collect()
    }

    fn byte(&mut self) -> u8 {
        match self {
            Self::Seed { rng, record } => {
                let byte = rng.random();
                record.push(byte);
                byte
            }
            Self::Bytes { bytes, used } => {
                let byte = bytes.get(*used).copied().unwrap_or_default();
                *used += 1;
                byte
            }
        }
    }
}
