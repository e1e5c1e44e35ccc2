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

/// What became of an email.
pub type MailResult = Result<(), MailError>;

/// Why an email was not sent. The provider is Mailgun or an SMTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailError {
    /// Too many emails waited already, or the system could not start a thread.
    QueueFull,
    /// It was not sent in time; the provider may be slow.
    Late,
    /// The provider's host name was not found.
    NoHost,
    /// The provider could not be reached, or broke off before it was given the email.
    Unreachable,
    /// No secure connection: the certificate is not trusted or for another host, or the server offers no TLS.
    Tls,
    /// The provider did not accept the key, or the user and password.
    Auth,
    /// The connection broke after the email was sent, or the response was none.
    BrokenOff,
    /// The provider responded with this status of HTTP or SMTP.
    Refused(u16),
    /// The provider cannot take such an address: letters outside ASCII before the `@` need SMTPUTF8 (RFC
    /// 6531).
    BadAddress,
}

impl MailError {
    /// Whether the provider may have accepted the email nevertheless, so that it may still arrive.
    #[must_use]
    pub const fn may_have_arrived(self) -> bool {
        match self {
            Self::Late | Self::BrokenOff => true,
            Self::QueueFull
            | Self::NoHost
            | Self::Unreachable
            | Self::Tls
            | Self::Auth
            | Self::Refused(_)
            | Self::BadAddress => false,
        }
    }
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull => f.write_str("queue-full"),
            Self::Late => f.write_str("late"),
            Self::NoHost => f.write_str("no-host"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Tls => f.write_str("tls"),
            Self::Auth => f.write_str("auth"),
            Self::BrokenOff => f.write_str("broken-off"),
            Self::Refused(status) => write!(f, "refused-{status}"),
            Self::BadAddress => f.write_str("bad-address"),
        }
    }
}
