//! Ids of connections and emails. None is reused within a run.

use crate::base::frost::{Frost, Frozen, frost};
use std::fmt;

/// The id of one connection: the slot that it shares with its socket, and a serial number that distinguishes
/// it from all earlier connections in that slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

/// Bits of the slot: 16 million connections at once.
const SLOT_BITS: u32 = 24;
/// Bits of the serial: at 10,000 new connections a second it lasts three years without a restart.
const SERIAL_BITS: u32 = u64::BITS - SLOT_BITS;

impl ClientId {
    /// The client of another node: no connection here has this id.
    pub(crate) const ELSEWHERE: Self = Self(u64::MAX);

    /// The connection in `slot` that is the `serial`th of this run.
    ///
    /// # Panics
    /// If the slot or the serial needs more bits than there are (24 and 40).
    #[must_use]
    pub fn new(slot: usize, serial: u64) -> Self {
        assert!(slot < 1 << SLOT_BITS && serial < 1 << SERIAL_BITS, "connection id out of range");
        Self(serial << SLOT_BITS | slot as u64)
    }

    /// The index of the connection and its socket in their tables.
    #[must_use]
    pub const fn slot(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }

    /// The connection's number in this run, from zero.
    #[must_use]
    pub const fn serial(self) -> u64 {
        self.0 >> SLOT_BITS
    }
}

frost!(struct ClientId(id));

/// A process that shares its room with others: drawn at random when it starts, and kept over moves.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl Frost for NodeId {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.0.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        from.number().map(Self)
    }

    /// That of a process which shares its room with nobody.
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{self}")
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.serial())
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}@{}", self.serial(), self.slot())
    }
}

/// The number of one email in this run, from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailId(pub u64);

frost!(struct MailId(number));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_and_serial_come_back() {
        for (slot, serial) in [(0, 0), (1, 2), ((1 << 24) - 1, (1 << 40) - 1)] {
            let id = ClientId::new(slot, serial);
            assert_eq!((id.slot(), id.serial()), (slot, serial));
        }
    }
}
