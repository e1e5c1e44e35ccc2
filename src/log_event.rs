//! Events for the log: what an operator wants to know.
//!
//! No type here could hold a code, a token, an address, a key or a name that a user chose: a log line is safe by its type.

use crate::close_reason::CloseReason;
use crate::ids::{ClientId, MailId};
use crate::limits::{LOG_MEMBER_LINES_MAX, LOG_REMINDER_LINES_MAX, LOG_STRANGER_LINES_MAX};
use crate::login_email::MailError;

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
pub enum LogEvent {
    /// A connection was accepted.
    Accepted(ClientId),
    /// A request was answered with this status.
    Answered(ClientId, u16),
    /// A connection became a WebSocket.
    Upgraded(ClientId),
    /// A member came in with a code.
    LoggedIn(ClientId),
    /// A member came in with a session token.
    Resumed(ClientId),
    /// A wrong code.
    WrongTry(ClientId),
    /// A session token that is not valid, or no longer.
    WrongToken(ClientId),
    /// A mail was asked for beyond the budget.
    MailLimited(ClientId),
    /// A mail did not go out.
    MailFailed(MailId, MailError),
    /// A member's WebSocket ended.
    Closed(ClientId, CloseReason),
    /// The WebSocket of a guest, who never logged in on it, ended.
    GuestClosed(ClientId, CloseReason),
    /// A connection that never became a WebSocket ended.
    HttpClosed(ClientId, CloseReason),
    /// The server is full: a connection was turned away.
    Full(ClientId),
    /// A client address has too many connections: one was turned away.
    AddressFull(ClientId),
    /// A proxy on this machine forwards requests and is not trusted: nothing is limited by address.
    UnknownProxy(ClientId),
    /// A trusted proxy sends no usable X-Forwarded-For: all its clients share the limits of the proxy's own address.
    SilentProxy(ClientId),
    /// Trusted networks so wide that clients may be in them, who can then choose the address they count under.
    WideTrust {
        /// How many of the trusted networks.
        networks: usize,
    },
    /// No file descriptor is left for a new connection.
    OutOfFiles,
    /// The system refuses to accept connections for a reason that will not pass by itself.
    AcceptFailed {
        /// The error number of accept(2), if the system gave one.
        errno: i32,
    },
    /// The server begins to stop, with so many connections open.
    Stopping {
        /// Connections that are open.
        connections: usize,
    },
    /// What the loop has asked of the system in this run.
    SystemCalls(SystemCalls),
    /// The server has stopped.
    Stopped {
        /// Messages of a type that nobody knows, in this run.
        unknown_messages: u64,
    },
}

/// How often the loop has called the system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemCalls {
    /// Turns: each polls once.
    pub polls: u64,
    /// Reads of sockets.
    pub reads: u64,
    /// Writes to sockets.
    pub writes: u64,
    /// Accepted connections, and attempts.
    pub accepts: u64,
}

impl LogEvent {
    /// How much it matters.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::MailFailed(..) | Self::OutOfFiles | Self::AcceptFailed { .. } => Level::Error,
            Self::MailLimited(_)
            | Self::Full(_)
            | Self::WrongTry(_)
            | Self::AddressFull(_)
            | Self::UnknownProxy(_)
            | Self::SilentProxy(_)
            | Self::WideTrust { .. } => Level::Warn,
            Self::LoggedIn(_)
            | Self::Resumed(_)
            | Self::WrongToken(_)
            | Self::Closed(..)
            | Self::GuestClosed(..)
            | Self::Stopping { .. }
            | Self::Stopped { .. } => Level::Info,
            Self::Accepted(_)
            | Self::SystemCalls(_)
            | Self::Answered(..)
            | Self::Upgraded(_)
            | Self::HttpClosed(..) => Level::Debug,
        }
    }

    /// The name of the event in the log, and of its kind where that has a limit of its own.
    #[must_use]
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Answered(..) => "answered",
            Self::Upgraded(_) => "upgraded",
            Self::LoggedIn(_) => "logged-in",
            Self::Resumed(_) => "resumed",
            Self::WrongTry(_) => "wrong-try",
            Self::WrongToken(_) => "wrong-token",
            Self::MailLimited(_) => "mail-limited",
            Self::MailFailed(..) => "mail-failed",
            Self::Closed(..) => "closed",
            Self::GuestClosed(..) => "guest-closed",
            Self::HttpClosed(..) => "http-closed",
            Self::Full(_) => "full",
            Self::AddressFull(_) => "address-full",
            Self::UnknownProxy(_) => "unknown-proxy",
            Self::SilentProxy(_) => "silent-proxy",
            Self::WideTrust { .. } => "wide-trust",
            Self::OutOfFiles => "out-of-files",
            Self::AcceptFailed { .. } => "accept-failed",
            Self::Stopping { .. } => "stopping",
            Self::SystemCalls(_) => "calls",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// How many lines this kind of event gets in the log each [`LOG_WINDOW`]; `None`: one for every event.
    ///
    /// [`LOG_WINDOW`]: crate::limits::LOG_WINDOW
    #[must_use]
    pub const fn lines_max(&self) -> Option<u32> {
        match self {
            Self::WrongTry(_)
            | Self::WrongToken(_)
            | Self::MailLimited(_)
            | Self::MailFailed(..)
            | Self::GuestClosed(..)
            | Self::Full(_)
            | Self::AddressFull(_)
            | Self::OutOfFiles => Some(LOG_STRANGER_LINES_MAX),
            Self::LoggedIn(_) | Self::Resumed(_) | Self::Closed(..) => Some(LOG_MEMBER_LINES_MAX),
            Self::UnknownProxy(_) | Self::SilentProxy(_) | Self::AcceptFailed { .. } => {
                Some(LOG_REMINDER_LINES_MAX)
            }
            // The first four come once in a run; the others at the level `debug` alone, which is set to see every event.
            Self::WideTrust { .. }
            | Self::Stopping { .. }
            | Self::SystemCalls(_)
            | Self::Stopped { .. }
            | Self::Accepted(_)
            | Self::Answered(..)
            | Self::Upgraded(_)
            | Self::HttpClosed(..) => None,
        }
    }
}
