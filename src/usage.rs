//! What is kept at a moment, counted beside its limit: for tests, fuzzing and measuring. Nothing is decided by it.

/// How much of one kind is kept, and how much it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The kind.
    pub what: &'static str,
    /// Pieces or bytes of it.
    pub now: usize,
    /// The most that there may be, ever.
    pub most: usize,
}

impl Usage {
    /// So many of a kind, of so many at most.
    #[must_use]
    pub const fn new(what: &'static str, now: usize, most: usize) -> Self {
        Self { what, now, most }
    }
}
