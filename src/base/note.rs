//! What the server has to tell the person who runs it.
//!
//! A note has no type that could hold a code, a token, an address, a key or a name that somebody chose:
//! what is logged is safe by its type.

use crate::base::ids::{ConnectionId, MailId};
use crate::base::mail::MailFault;
use crate::base::reason::CloseReason;

/// How much a note matters, from the most to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something is not as it should be.
    Warn,
    /// People come and go.
    Info,
    /// Everything.
    Debug,
}

/// One event, told in one line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A connection was accepted.
    Accepted(ConnectionId),
    /// A request was answered with this status.
    Answered(ConnectionId, u16),
    /// A connection became a WebSocket.
    Upgraded(ConnectionId),
    /// A member came in with a code.
    LoggedIn(ConnectionId),
    /// A member came in with a session token.
    Resumed(ConnectionId),
    /// A wrong code.
    WrongTry(ConnectionId),
    /// A session token that is not valid, or no longer.
    WrongToken(ConnectionId),
    /// A mail was asked for beyond the budget.
    MailLimited(ConnectionId),
    /// A mail did not go out.
    MailFailed(MailId, MailFault),
    /// A WebSocket ended.
    Closed(ConnectionId, CloseReason),
    /// A connection that never became a WebSocket ended.
    HttpClosed(ConnectionId, CloseReason),
    /// The server is full: a connection was turned away.
    Full(ConnectionId),
    /// A client address has too many connections: one was turned away.
    AddressFull(ConnectionId),
    /// Somebody on this machine forwards requests, and is not among the trusted proxies: nothing is limited by address.
    UnknownProxy(ConnectionId),
    /// A trusted proxy does not tell whom it speaks for: what comes through it is not limited by address.
    SilentProxy(ConnectionId),
    /// No file descriptor is left for a new connection.
    OutOfFiles,
    /// The server stops; so many connections are told.
    Stopping {
        /// Connections that are open.
        connections: usize,
    },
    /// What the loop has asked of the system in this run.
    Calls(Calls),
    /// The server has stopped.
    Stopped {
        /// Messages of a type that nobody knows, in this run.
        unknown_messages: u64,
    },
}

/// How often the loop has called the system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Turns: each polls once.
    pub polls: u64,
    /// Reads of sockets.
    pub reads: u64,
    /// Writes to sockets.
    pub writes: u64,
    /// Accepted connections, and attempts.
    pub accepts: u64,
}

impl Note {
    /// How much it matters.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::MailFailed(..) | Self::OutOfFiles => Level::Error,
            Self::MailLimited(_)
            | Self::Full(_)
            | Self::WrongTry(_)
            | Self::AddressFull(_)
            | Self::UnknownProxy(_)
            | Self::SilentProxy(_) => Level::Warn,
            Self::LoggedIn(_)
            | Self::Resumed(_)
            | Self::WrongToken(_)
            | Self::Closed(..)
            | Self::Stopping { .. }
            | Self::Stopped { .. } => Level::Info,
            Self::Accepted(_)
            | Self::Calls(_)
            | Self::Answered(..)
            | Self::Upgraded(_)
            | Self::HttpClosed(..) => Level::Debug,
        }
    }
}
