//! A login email to send, and why sending can fail. Plain data.

use crate::ids::MailId;
use std::fmt;

/// An email with a login code. Safe to log: `Debug` shows only its id.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The email's id.
    pub id: MailId,
    /// The bare address, `local@domain`.
    pub to: String,
    /// The requested user name.
    pub name: String,
    /// The login code.
    pub code: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why an email was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailError {
    /// The queue was full.
    QueueFull,
    /// It was not sent in time; the provider may be slow.
    Late,
    /// The provider could not be reached.
    Unreachable,
    /// The connection to the provider broke, or its response was not HTTP.
    BrokenOff,
    /// The provider responded with this status, which is not 2xx.
    Refused(u16),
}

impl MailError {
    /// Whether the provider may have accepted the email nevertheless, so that it may still arrive.
    #[must_use]
    pub const fn may_have_arrived(self) -> bool {
        match self {
            Self::Late | Self::BrokenOff => true,
            Self::QueueFull | Self::Unreachable | Self::Refused(_) => false,
        }
    }
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull => f.write_str("queue-full"),
            Self::Late => f.write_str("late"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::BrokenOff => f.write_str("broken-off"),
            Self::Refused(status) => write!(f, "refused-{status}"),
        }
    }
}
