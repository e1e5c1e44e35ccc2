//! Log events: everything an operator can learn from the log. Plain data; writes nothing.
//!
//! No type here can hold a code, a token, an address, a key or a name chosen by a user, so no log line can
//! leak one.

use crate::base::frost::frost;
use crate::close_reason::CloseReason;
use crate::ids::{ClientId, MailId, NodeId};
use crate::limits::{LOG_MEMBER_LINES_MAX, LOG_REMINDER_LINES_MAX, LOG_STRANGER_LINES_MAX};
use crate::login_email::MailError;
use std::fmt;

/// Severity of an event, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something has failed.
    Error,
    /// Something needs attention.
    Warn,
    /// Members joining and leaving.
    Info,
    /// Everything.
    Debug,
}

/// One event, logged as one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEvent {
    /// A connection was accepted.
    Accepted(ClientId),
    /// A request was answered with this status.
    Answered(ClientId, u16),
    /// A connection became a WebSocket.
    Upgraded(ClientId),
    /// A guest logged in with a code.
    LoggedIn(ClientId),
    /// A member resumed with a session token.
    Resumed(ClientId),
    /// A login code was wrong.
    WrongTry(ClientId),
    /// A session token was invalid or had expired.
    WrongToken(ClientId),
    /// A token of a bot was wrong.
    WrongBotToken(ClientId),
    /// An email address was not admitted.
    NotAdmitted(ClientId),
    /// A login email was requested beyond the budget.
    MailLimited(ClientId),
    /// A login email could not be sent.
    MailFailed(MailId, MailError),
    /// A member's WebSocket ended.
    Closed(ClientId, CloseReason),
    /// The WebSocket of a guest, who never logged in on it, ended.
    GuestClosed(ClientId, CloseReason),
    /// A connection that never became a WebSocket ended.
    HttpClosed(ClientId, CloseReason),
    /// The connection limit is reached: a connection was refused.
    Full(ClientId),
    /// A client address has too many connections: one was refused.
    AddressFull(ClientId),
    /// An untrusted proxy on this machine forwards requests: no limit by client address applies.
    UnknownProxy(ClientId),
    /// A trusted proxy sends no usable X-Forwarded-For: all its clients share the limits of the proxy's own
    /// address.
    SilentProxy(ClientId),
    /// A page of another origin was refused: a proxy does not pass the Host on, or the origin is not allowed.
    ForeignOrigin(ClientId),
    /// A WebSocket handshake came without its Upgrade, which a proxy did not pass on.
    UpgradeRemoved(ClientId),
    /// Trusted networks are so wide that they may contain clients, which can then choose the address they
    /// count under.
    WideTrust {
        /// Number of such networks.
        networks: usize,
    },
    /// The metrics are not on a loopback address: other machines may read them.
    OpenMetrics,
    /// What outlived the last process was read.
    DataRead {
        /// Entries that hold.
        entries: usize,
        /// Entries that are over by now, or have no place any more.
        dropped: usize,
        /// Bytes of an unfinished record at the end, which were cut off.
        cut_bytes: usize,
    },
    /// Rules cannot be written to disk. They are in force, and writing is tried again.
    DataFailed {
        /// The errno of the system call, or zero if there was none.
        errno: i32,
    },
    /// All rules are on disk again.
    DataRecovered,
    /// The disk took nothing for so long that changes are lost.
    DataLost {
        /// Number of changes.
        changes: u64,
    },
    /// The last changes may not be on disk: it took too long at the end, or failed.
    DataUnfinished,
    /// Other nodes have another room than what this one keeps on disk, which stays as it is.
    OtherRoom,
    /// No file descriptor is left for a new connection.
    OutOfFiles,
    /// accept(2) failed with an error that will not pass by itself.
    AcceptFailed {
        /// The errno of accept(2), or zero if there was none.
        errno: i32,
    },
    /// The server has moved to this process.
    Moved {
        /// Connections that it kept.
        connections: usize,
        /// Size of its state.
        bytes: usize,
        /// How long nobody was served, in milliseconds.
        ms: u64,
    },
    /// The server could not move, or its state could not be thawed.
    MoveFailed(MoveError),
    /// The engine of the log that several nodes share is connected.
    EngineConnected,
    /// The connection to that engine is lost, or there is none to have. It is tried again; while it fails for
    /// the same reason nothing more is logged.
    EngineLost(EngineError),
    /// The server has moved to a process that cannot listen where its settings say.
    ListenFailed {
        /// The errno of the system call, or zero if there was none.
        errno: i32,
        /// Whether it is about the metrics, which are off then; else it listens where it did.
        for_metrics: bool,
    },
    /// Shutdown has begun.
    Stopping {
        /// Connections that are open.
        connections: usize,
    },
    /// System calls of the event loop in this run.
    SystemCalls(SystemCalls),
    /// The node has the log that nodes share, and what its members say is heard.
    NodeLive {
        /// Nodes that are alive, with this one.
        nodes: usize,
    },
    /// The node is without the log that nodes share: what its members say waits.
    NodeApart,
    /// Another node was not heard for too long, or has stopped: it is gone with its connections.
    NodeGone(NodeId),
    /// Another node has other settings, of those that must be equal.
    OtherSettings(NodeId),
    /// The engine has lost entries, or another has taken its place: everybody is disconnected once.
    RunBegan,
    /// The server has stopped.
    Stopped {
        /// Messages of unknown types in this run.
        unknown_messages: u64,
    },
}

/// Why a move to the next process failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveError {
    /// The next process's program could not be run.
    NotStarted,
    /// It ended with an error: it cannot thaw the state, or its settings are wrong.
    Refused,
    /// It did not say in time whether it can.
    Late,
    /// More sockets are in flight than the system allows.
    TooMany,
    /// The service manager did not take the parcel, or has no FD store.
    NotStored,
    /// The system has no memory or no descriptors, or forbids a call: its errno.
    System(i32),
    /// What this process was passed is no parcel, or a state that it cannot thaw.
    Unreadable,
}

impl fmt::Display for MoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("not-started"),
            Self::Refused => f.write_str("refused"),
            Self::Late => f.write_str("late"),
            Self::TooMany => f.write_str("too-many"),
            Self::NotStored => f.write_str("not-stored"),
            Self::System(errno) => write!(f, "errno-{errno}"),
            Self::Unreadable => f.write_str("unreadable"),
        }
    }
}

/// Why a connection to the engine was lost, or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineError {
    /// Its host's name is not known.
    NoHost,
    /// It does not take the connection.
    Unreachable,
    /// The connection broke, or the engine has ended.
    BrokenOff,
    /// It did not answer in time.
    Timeout,
    /// User or password are wrong, or missing.
    Auth,
    /// The user may not do what is needed.
    Forbidden,
    /// It follows another engine, and takes nothing.
    ReadOnly,
    /// It is older than Redis 5.
    TooOld,
    /// It is loading its data, or a script runs.
    Busy,
    /// It has no memory for more.
    OutOfMemory,
    /// It has too few replicas to take anything (`min-replicas-to-write`).
    NoReplicas,
    /// It takes nothing because it cannot save (`stop-writes-on-bgsave-error`).
    CannotSave,
    /// The key of the log is in use for something that is no log.
    WrongType,
    /// Another history has taken the place of the one that was there.
    Replaced,
    /// Entries that were not read yet are no longer there.
    Trimmed,
    /// Another error of the engine.
    Refused,
    /// What came was no answer to what was asked.
    Protocol,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "no-host",
            Self::Unreachable => "unreachable",
            Self::BrokenOff => "broken-off",
            Self::Timeout => "timeout",
            Self::Auth => "auth",
            Self::Forbidden => "forbidden",
            Self::ReadOnly => "read-only",
            Self::TooOld => "too-old",
            Self::Busy => "busy",
            Self::OutOfMemory => "out-of-memory",
            Self::NoReplicas => "no-replicas",
            Self::CannotSave => "cannot-save",
            Self::WrongType => "wrong-type",
            Self::Replaced => "replaced",
            Self::Trimmed => "trimmed",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
        })
    }
}

/// Number of system calls made by the event loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemCalls {
    /// Turns of the loop, with one poll each.
    pub polls: u64,
    /// Reads of sockets.
    pub reads: u64,
    /// Writes to sockets.
    pub writes: u64,
    /// Calls of accept(2), including failed ones.
    pub accepts: u64,
}

frost!(enum LogEvent {
    0 = Accepted(id), 1 = Answered(id, status), 2 = Upgraded(id), 3 = LoggedIn(id), 4 = Resumed(id),
    5 = WrongTry(id), 6 = WrongToken(id), 7 = WrongBotToken(id), 8 = NotAdmitted(id), 9 = MailLimited(id),
    10 = MailFailed(id, error), 11 = Closed(id, reason), 12 = GuestClosed(id, reason),
    13 = HttpClosed(id, reason), 14 = Full(id), 15 = AddressFull(id), 16 = UnknownProxy(id),
    17 = SilentProxy(id), 18 = ForeignOrigin(id), 19 = UpgradeRemoved(id), 20 = WideTrust { networks },
    21 = OpenMetrics, 22 = OutOfFiles, 23 = AcceptFailed { errno }, 24 = Stopping { connections },
    25 = SystemCalls(calls), 26 = Stopped { unknown_messages }, 27 = Moved { connections, bytes, ms },
    28 = MoveFailed(error), 29 = DataRead { entries, dropped, cut_bytes }, 30 = DataFailed { errno },
    31 = DataRecovered, 32 = DataLost { changes }, 33 = DataUnfinished, 34 = NodeLive { nodes }, 35 = NodeApart,
    36 = NodeGone(node), 37 = RunBegan, 38 = EngineConnected, 39 = EngineLost(error),
    40 = ListenFailed { errno, for_metrics }, 41 = OtherRoom, 42 = OtherSettings(node)
});
frost!(enum MoveError {
    0 = NotStarted, 1 = Refused, 2 = Late, 3 = TooMany, 4 = NotStored, 5 = System(errno), 6 = Unreadable
});
frost!(enum EngineError {
    0 = NoHost, 1 = Unreachable, 2 = BrokenOff, 3 = Timeout, 4 = Auth, 5 = Forbidden, 6 = ReadOnly, 7 = TooOld,
    8 = Busy, 9 = OutOfMemory, 10 = NoReplicas, 11 = CannotSave, 12 = WrongType, 13 = Replaced, 14 = Trimmed,
    15 = Refused, 16 = Protocol
});
frost!(struct SystemCalls { polls, reads, writes, accepts });

impl LogEvent {
    /// The event's severity.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.kind().0
    }

    /// The event's name in the log. A kind with a separate rate limit has its own name.
    #[must_use]
    pub const fn event(&self) -> &'static str {
        self.kind().1
    }

    /// How many lines this kind of event gets in the log each [`LOG_WINDOW`]; `None`: one for every event.
    ///
    /// [`LOG_WINDOW`]: crate::limits::LOG_WINDOW
    #[must_use]
    pub const fn lines_max(&self) -> Option<u32> {
        self.kind().2
    }

    /// Severity, name and lines of each kind.
    const fn kind(&self) -> (Level, &'static str, Option<u32>) {
        const STRANGER: Option<u32> = Some(LOG_STRANGER_LINES_MAX);
        const MEMBER: Option<u32> = Some(LOG_MEMBER_LINES_MAX);
        const REMINDER: Option<u32> = Some(LOG_REMINDER_LINES_MAX);
        match self {
            Self::MailFailed(..) => (Level::Error, "mail-failed", STRANGER),
            Self::OtherRoom => (Level::Error, "data-other-room", STRANGER),
            Self::NodeApart => (Level::Error, "node-apart", STRANGER),
            Self::OutOfFiles => (Level::Error, "out-of-files", STRANGER),
            Self::EngineLost(_) => (Level::Error, "engine-lost", STRANGER),
            Self::DataLost { .. } => (Level::Error, "data-lost", REMINDER),
            Self::AcceptFailed { .. } => (Level::Error, "accept-failed", REMINDER),
            // The keeper reports a failure and the recovery at most once in its retry.
            Self::DataFailed { .. } => (Level::Error, "data-failed", None),
            Self::DataRecovered => (Level::Info, "data-recovered", None),
            // These occur once in a run.
            Self::DataUnfinished => (Level::Error, "data-unfinished", None),
            Self::MoveFailed(_) => (Level::Error, "move-failed", None),
            Self::ListenFailed { .. } => (Level::Error, "listen-failed", None),
            Self::WideTrust { .. } => (Level::Warn, "wide-trust", None),
            Self::OpenMetrics => (Level::Warn, "open-metrics", None),
            Self::Moved { .. } => (Level::Info, "moved", None),
            Self::DataRead { .. } => (Level::Info, "data-read", None),
            Self::Stopping { .. } => (Level::Info, "stopping", None),
            Self::Stopped { .. } => (Level::Info, "stopped", None),
            Self::MailLimited(_) => (Level::Warn, "mail-limited", STRANGER),
            Self::Full(_) => (Level::Warn, "full", STRANGER),
            Self::AddressFull(_) => (Level::Warn, "address-full", STRANGER),
            Self::WrongTry(_) => (Level::Warn, "wrong-try", STRANGER),
            Self::WrongBotToken(_) => (Level::Warn, "wrong-bot-token", STRANGER),
            Self::NotAdmitted(_) => (Level::Warn, "not-admitted", STRANGER),
            Self::NodeGone(_) => (Level::Warn, "node-gone", STRANGER),
            Self::OtherSettings(_) => (Level::Warn, "node-other-settings", STRANGER),
            Self::RunBegan => (Level::Warn, "run-began", STRANGER),
            Self::UnknownProxy(_) => (Level::Warn, "unknown-proxy", REMINDER),
            Self::SilentProxy(_) => (Level::Warn, "silent-proxy", REMINDER),
            Self::ForeignOrigin(_) => (Level::Warn, "foreign-origin", REMINDER),
            Self::UpgradeRemoved(_) => (Level::Warn, "upgrade-removed", REMINDER),
            Self::WrongToken(_) => (Level::Info, "wrong-token", STRANGER),
            Self::GuestClosed(..) => (Level::Info, "guest-closed", STRANGER),
            Self::NodeLive { .. } => (Level::Info, "node-live", STRANGER),
            Self::EngineConnected => (Level::Info, "engine-connected", STRANGER),
            Self::LoggedIn(_) => (Level::Info, "logged-in", MEMBER),
            Self::Resumed(_) => (Level::Info, "resumed", MEMBER),
            Self::Closed(..) => (Level::Info, "closed", MEMBER),
            // This level is meant to show every event.
            Self::Accepted(_) => (Level::Debug, "accepted", None),
            Self::Answered(..) => (Level::Debug, "answered", None),
            Self::Upgraded(_) => (Level::Debug, "upgraded", None),
            Self::HttpClosed(..) => (Level::Debug, "http-closed", None),
            Self::SystemCalls(_) => (Level::Debug, "calls", None),
        }
    }
}
