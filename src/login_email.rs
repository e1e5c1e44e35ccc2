//! A mail on its way out, and what can become of it.

use crate::ids::MailId;
use std::fmt;

/// A login code to be brought to an address. It does not show itself in any log: `Debug` tells the number only.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Which mail it is.
    pub id: MailId,
    /// The bare address, `local@domain`.
    pub to: String,
    /// The name that the person asked for.
    pub name: String,
    /// The login code.
    pub code: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a mail did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailError {
    /// Too many mails were waiting.
    QueueFull,
    /// It was not sent in time; the provider may be slow.
    Late,
    /// The provider could not be reached.
    Unreachable,
    /// The provider was reached, but broke off or answered something else than HTTP.
    BrokenOff,
    /// The provider answered with this status, which is not 2xx.
    Refused(u16),
}

impl MailError {
    /// Whether the provider may have taken the mail all the same, so that it may still arrive.
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
