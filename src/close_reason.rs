//! Why a connection ended: a closed list, each with its consequence.

use std::fmt;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// The member logged out.
    Left,
    /// The peer closed in good order.
    PeerClosed,
    /// The peer went away, or the connection broke.
    PeerGone,
    /// A message that is not JSON of the right shape.
    Malformed,
    /// A message that is not UTF-8.
    NotUtf8,
    /// Bytes that are not the WebSocket protocol.
    ProtocolError,
    /// A frame or message over the limit.
    TooBig,
    /// An unfinished message that had to give way: all of them together were too big.
    Unfinished,
    /// A guest who did not log in in time.
    GuestTooLong,
    /// Too many wrong codes or tokens on one connection.
    TooManyTries,
    /// Far more messages than the rate allows, without a pause.
    TooFast,
    /// Read too slowly: the ring has lapped the member.
    Lapped,
    /// Took no byte for too long.
    Stalled,
    /// Not a sign of life for too long.
    Silent,
    /// The server stops.
    Restarting,
    /// The server has as many connections as it may have.
    Full,
    /// The client's address has as many connections as it may have, or they came too fast.
    AddressFull,
    /// A request that is answered with an error and the end of the connection.
    BadRequest,
    /// An HTTP connection that had no more requests.
    HttpDone,
}

impl CloseReason {
    /// The WebSocket close code (RFC 6455, section 7.4; 4008 is Plume's own), or `None` where no close frame is sent.
    #[must_use]
    pub const fn code(self) -> Option<u16> {
        match self {
            Self::Left => Some(1000),
            Self::ProtocolError => Some(1002),
            Self::NotUtf8 => Some(1007),
            Self::Malformed | Self::GuestTooLong | Self::TooManyTries | Self::TooFast => Some(1008),
            Self::TooBig => Some(1009),
            Self::Restarting => Some(1012),
            Self::AddressFull | Self::Unfinished => Some(1013),
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
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
