//! A login email to send, and why sending can fail. Plain data.

use crate::base::frost::frost;
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

frost!(struct Mail { id, to, name, code });

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

frost!(enum MailError {
    0 = QueueFull, 1 = Late, 2 = NoHost, 3 = Unreachable, 4 = Tls, 5 = Auth, 6 = BrokenOff, 7 = Refused(status),
    8 = BadAddress
});

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

impl MailError {
    /// The kind of error in one word, of [`MAIL_ERROR_KINDS`]: without the status of a refusal.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::Late => "late",
            Self::NoHost => "no-host",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::BrokenOff => "broken-off",
            Self::Refused(_) => "refused",
            Self::BadAddress => "bad-address",
        }
    }
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Refused(status) => write!(f, "-{status}"),
            Self::QueueFull
            | Self::Late
            | Self::NoHost
            | Self::Unreachable
            | Self::Tls
            | Self::Auth
            | Self::BrokenOff
            | Self::BadAddress => Ok(()),
        }
    }
}

/// Every [`MailError::kind`].
pub const MAIL_ERROR_KINDS: [&str; 9] =
    ["queue-full", "late", "no-host", "unreachable", "tls", "auth", "broken-off", "refused", "bad-address"];
