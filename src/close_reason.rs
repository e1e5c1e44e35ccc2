//! Why connections end: a closed list of reasons, each with its close code and its word in the log. Plain
//! data.

use crate::base::frost::frost;
use std::fmt;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// The member logged out.
    Left,
    /// A moderator removed the user.
    Removed,
    /// The peer closed the connection cleanly.
    PeerClosed,
    /// The peer disappeared, or the connection broke.
    PeerGone,
    /// A message was not JSON of the right shape.
    Malformed,
    /// A text message was not UTF-8.
    NotUtf8,
    /// A violation of the WebSocket protocol.
    ProtocolError,
    /// A frame or message over the limit.
    TooBig,
    /// An unfinished message was evicted: all of them together exceeded their limit.
    Unfinished,
    /// A guest did not log in in time.
    GuestTooLong,
    /// Too many wrong codes or tokens on one connection.
    TooManyTries,
    /// The user stayed over the message rate without a pause.
    TooFast,
    /// A slow consumer: the ring has lapped the member.
    Lapped,
    /// The peer took no byte of its unsent output for too long.
    Stalled,
    /// The peer sent nothing for too long.
    Silent,
    /// The server is shutting down.
    Restarting,
    /// The connection limit is reached.
    Full,
    /// The client's address has too many connections, or opened them too fast.
    AddressFull,
    /// An invalid request, answered with an error before closing.
    BadRequest,
    /// An HTTP connection ended after its last request.
    HttpDone,
    /// The node has been without the log that nodes share for too long.
    Apart,
}

frost!(enum CloseReason {
    0 = Left, 1 = Removed, 2 = PeerClosed, 3 = PeerGone, 4 = Malformed, 5 = NotUtf8, 6 = ProtocolError,
    7 = TooBig, 8 = Unfinished, 9 = GuestTooLong, 10 = TooManyTries, 11 = TooFast, 12 = Lapped,
    13 = Stalled, 14 = Silent, 15 = Restarting, 16 = Full, 17 = AddressFull, 18 = BadRequest,
    19 = HttpDone, 20 = Apart
});

impl CloseReason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 21] = [
        Self::Left,
        Self::Removed,
        Self::PeerClosed,
        Self::PeerGone,
        Self::Malformed,
        Self::NotUtf8,
        Self::ProtocolError,
        Self::TooBig,
        Self::Unfinished,
        Self::GuestTooLong,
        Self::TooManyTries,
        Self::TooFast,
        Self::Lapped,
        Self::Stalled,
        Self::Silent,
        Self::Restarting,
        Self::Full,
        Self::AddressFull,
        Self::BadRequest,
        Self::HttpDone,
        Self::Apart,
    ];

    /// The WebSocket close code (RFC 6455, section 7.4; 4008 is Plume's own), or `None` where no close frame
    /// is sent.
    #[must_use]
    pub const fn code(self) -> Option<u16> {
        match self {
            Self::Left => Some(1000),
            Self::ProtocolError => Some(1002),
            Self::NotUtf8 => Some(1007),
            Self::Removed | Self::Malformed | Self::GuestTooLong | Self::TooManyTries | Self::TooFast => {
                Some(1008)
            }
            Self::TooBig => Some(1009),
            Self::Restarting => Some(1012),
            Self::AddressFull | Self::Unfinished | Self::Apart => Some(1013),
            Self::Lapped => Some(4008),
            Self::PeerClosed
            | Self::PeerGone
            | Self::Stalled
            | Self::Silent
            | Self::Full
            | Self::BadRequest
            | Self::HttpDone => None,
        }
    }

    /// One word for the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Removed => "removed",
            Self::PeerClosed => "peer-closed",
            Self::PeerGone => "peer-gone",
            Self::Malformed => "malformed",
            Self::NotUtf8 => "not-utf8",
            Self::ProtocolError => "protocol-error",
            Self::TooBig => "too-big",
            Self::Unfinished => "unfinished",
            Self::GuestTooLong => "stranger-too-long",
            Self::TooManyTries => "too-many-tries",
            Self::TooFast => "too-fast",
            Self::Lapped => "lapped",
            Self::Stalled => "stalled",
            Self::Silent => "silent",
            Self::Restarting => "restarting",
            Self::Full => "full",
            Self::AddressFull => "address-full",
            Self::BadRequest => "bad-request",
            Self::HttpDone => "http-done",
            Self::Apart => "apart",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
