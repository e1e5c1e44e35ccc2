//! The shared log of several nodes: what the server asks of the engine (Redis or Valkey) that holds it, and
//! what the engine says. Plain data: the server decides, the shell speaks with the engine.
//!
//! The engine is used for two things only: it puts entries in one order, and holds a state for a moment that
//! one node gives to another. It may lose everything.
//!
//! # The connection
//! [`Ask::Check`] drops what connection there is and makes a new one. Everything else needs a connection:
//! what was asked is done in the order in which it was asked. Any error, whether it is the engine's or the
//! network's, ends the connection and is said as [`Say::Lost`], once; nothing is said after it until the next
//! [`Ask::Check`], and what was asked may or may not have been done. The shell tries nothing again by itself:
//! when to ask again is the server's decision.

use crate::base::frost::frost;
use std::fmt;

/// The place of an entry in the log, as the engine gives it: its clock's milliseconds since 1970, and a
/// number among those of one millisecond. It grows with each entry, and is never shown to a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since 1970, by the engine's clock.
    pub ms: u64,
    /// The number of the entry in its millisecond.
    pub seq: u64,
}

frost!(struct EntryId { ms, seq });

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An entry of the log.
#[derive(Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place.
    pub id: EntryId,
    /// What was added. Any bytes, since anyone who can reach the engine can add some.
    pub bytes: Vec<u8>,
}

frost!(struct LogEntry { id, bytes });

/// Says how much, not what: an entry may hold addresses and the randomness of codes.
impl fmt::Debug for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogEntry {{ id: {}, {} bytes }}", self.id, self.bytes.len())
    }
}

/// What the server asks of the engine.
#[derive(Clone, PartialEq, Eq)]
pub enum Ask {
    /// Connect anew, and say who the engine is, what time it is there, and what stands at this place of the
    /// log. [`Say::Checked`].
    Check {
        /// A place of the log; `None`: of no interest.
        at: Option<EntryId>,
    },
    /// The newest entries, at most [`crate::limits::RECENT_ENTRIES_MAX`]. [`Say::Recent`].
    Recent,
    /// Add an entry at the end of the log. [`Say::Added`].
    Add(Vec<u8>),
    /// Say all entries behind this place, those of the past and, from then on, each as it comes.
    /// [`Say::Entries`], any number of times. Asked once for each connection.
    Read {
        /// The place.
        after: EntryId,
    },
    /// Hold a value for [`crate::limits::HANDED_STATE_TTL`]. No answer.
    Put {
        /// The key, one of few.
        key: u64,
        /// The value.
        value: Vec<u8>,
    },
    /// The value that is held under a key. [`Say::Got`].
    Get {
        /// The key.
        key: u64,
    },
}

frost!(enum Ask {
    0 = Check { at }, 1 = Recent, 2 = Add(bytes), 3 = Read { after }, 4 = Put { key, value }, 5 = Get { key }
});

/// Says how much, not what.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check { at: Some(at) } => write!(f, "Check {{ at: {at} }}"),
            Self::Check { at: None } => f.write_str("Check"),
            Self::Recent => f.write_str("Recent"),
            Self::Add(bytes) => write!(f, "Add({} bytes)", bytes.len()),
            Self::Read { after } => write!(f, "Read {{ after: {after} }}"),
            Self::Put { value, .. } => write!(f, "Put({} bytes)", value.len()),
            Self::Get { .. } => f.write_str("Get"),
        }
    }
}

/// What the engine says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// It is connected.
    Checked {
        /// Which history the engine's is: a digest of what changes when it starts anew or another takes its
        /// place.
        stamp: u64,
        /// The engine's time, in milliseconds since 1970.
        now_ms: u64,
        /// What stands at the place that was asked for, if there is something.
        entry: Option<Vec<u8>>,
    },
    /// The newest entries, in the order of the log.
    Recent(Vec<LogEntry>),
    /// One more of the entries that were to be added is in the log.
    Added,
    /// Entries of the log, in its order.
    Entries(Vec<LogEntry>),
    /// The value that was asked for, if it is held.
    Got(Option<Vec<u8>>),
    /// The connection is lost, or there was none to have.
    Lost,
}
