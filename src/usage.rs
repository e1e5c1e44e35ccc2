//! Current usage of each bounded resource, next to its limit: for tests, fuzzing and measuring. No decision
//! depends on it.

/// Usage of one kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The kind of resource.
    pub what: &'static str,
    /// Current number of items or bytes.
    pub now: usize,
    /// The upper bound at any time.
    pub most: usize,
}

impl Usage {
    /// A usage of `now` out of at most `most`.
    #[must_use]
    pub const fn new(what: &'static str, now: usize, most: usize) -> Self {
        Self { what, now, most }
    }

    /// The upper bound; `None` if only other limits bound it.
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        (self.most != usize::MAX).then_some(self.most)
    }
}
