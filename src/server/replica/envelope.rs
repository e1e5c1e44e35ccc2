//! An entry of the log as bytes: who added it, over which connection, and what it is.

use crate::base::frost::{Frost, Frozen, frost};
use crate::engine::EntryId;
use crate::ids::NodeId;

/// An entry, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) node: NodeId,
    /// The number of the connection over which the node added it. Of two connections of one node, the later
    /// has the higher number; what an earlier one was asked may still be done after the first of a later one.
    pub(super) epoch: u64,
    /// Which history the engine's was when the node connected to it.
    pub(super) stamp: u64,
    pub(super) kind: Kind,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// To be applied to the shared state.
    Command {
        /// The number of the command at its node, from one.
        n: u64,
        /// The command of this number must have been applied before; zero: none. Without this, a command that
        /// the engine refuses would be overtaken by the next one behind it.
        after: u64,
        bytes: Vec<u8>,
    },
    /// The node is alive.
    Alive {
        /// Where the node has just connected: the stamp that its state has. If that is still the one of the
        /// state, and the entry has another, the engine has begun another history since, and a new run
        /// begins. Everything else that has another stamp than the state is skipped.
        over: Option<u64>,
        /// What its settings are known by. `None`: its version does not say it.
        settings: Option<u64>,
    },
    /// The node has no state to go on from, and asks for one. None of its connections is left.
    Join {
        /// Where the state is to be put.
        nonce: u64,
        /// How many were added before this without an answer. Of the nodes that can answer it chooses
        /// another each time.
        attempt: u64,
        /// The place up to which the node remembers the room; zero if it does not.
        memory: EntryId,
    },
    /// The state that the node remembers. It counts if nobody was alive behind this place of the log.
    Base { after: EntryId, state: Vec<u8> },
    /// The node stops.
    Leave,
}

frost!(struct Envelope { node, epoch, stamp, kind });
frost!(enum Kind {
    0 = Command { n, after, bytes }, 1 = Alive { over, settings }, 2 = Join { nonce, attempt, memory },
    3 = Base { after, state }, 4 = Leave
});

impl Kind {
    pub(super) const fn command_number(&self) -> Option<u64> {
        match self {
            Self::Command { n, .. } => Some(*n),
            Self::Alive { .. } | Self::Join { .. } | Self::Base { .. } | Self::Leave => None,
        }
    }
}

impl Envelope {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        self.freeze(&mut bytes);
        bytes
    }

    /// Reads an entry. `None`: these bytes are none, and every node skips them.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (&format, rest) = bytes.split_first()?;
        let mut rest = Frozen::new(rest);
        let envelope = (format == FORMAT).then(|| Self::thaw(&mut rest))??;
        rest.is_empty().then_some(envelope)
    }
}

/// The number of the format. Nodes that read different entries would come to different states, so a change
/// that an earlier version cannot read needs a log of its own.
const FORMAT: u8 = 1;
