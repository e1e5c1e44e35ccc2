//! Email addresses.

use crate::limits::EMAIL_BYTES_MAX;
use email_address::{EmailAddress, Options};
use std::fmt;
use std::rc::Rc;

/// An email address: one bare `local@domain`. It does not show itself in any log.
#[derive(Clone)]
pub(crate) struct Email(Rc<str>);

/// How addresses are compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EmailKey(Box<str>);

impl Email {
    /// Parses an address as it was typed. `None`: it is none, or more than one bare address.
    pub(crate) fn parse(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        // Quoted local parts and comments are addresses too, but nobody has one, and the mail provider reads them its own way.
        if typed.len() > EMAIL_BYTES_MAX || typed.contains(['"', '(', ')']) {
            return None;
        }
        let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
        EmailAddress::parse_with_options(typed, options).ok().map(|_| Self(typed.into()))
    }

    /// The address.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is compared: in any case of ASCII alone. In all of Unicode another person's mailbox would be the same:
    /// the Kelvin sign K has the lower case of k.
    pub(crate) fn key(&self) -> EmailKey {
        EmailKey(self.0.to_ascii_lowercase().into())
    }
}

impl Email {
    /// The key of its mailbox.
    pub(crate) fn mailbox(&self) -> EmailKey {
        self.key().mailbox()
    }
}

impl EmailKey {
    /// The key of the mailbox: the address without the `+tag` of a sub-address (RFC 5233). It counts what one person has; it
    /// does not decide what belongs to whom, for not every provider delivers sub-addresses to one mailbox.
    pub(crate) fn mailbox(&self) -> Self {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        match local.split_once('+') {
            Some((user, _)) if !user.is_empty() => Self(format!("{user}@{domain}").into()),
            _ => self.clone(),
        }
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

impl fmt::Debug for EmailKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address() {
        let fits = format!("{}@{}.example.org", "a".repeat(60), "b".repeat(47));
        assert_eq!(fits.len(), EMAIL_BYTES_MAX);
        let rows = [
            ("ada@example.org", true),
            (" Ada.L+chat@Example.ORG ", true),
            ("o'brien@example.org", true),
            (&fits, true),
            (&format!("a{fits}"), false),
            ("", false),
            ("ada", false),
            ("ada@", false),
            ("@example.org", false),
            ("ada@localhost", false),
            ("ada@[127.0.0.1]", false),
            ("Ada <ada@example.org>", false),
            ("<ada@example.org>", false),
            ("\"ada\"@example.org", false),
            ("ada(comment)@example.org", false),
            ("ada@example.org,eve@example.org", false),
            ("ada@example.org;eve@example.org", false),
            ("ada@example.org eve@example.org", false),
            ("ada@example.org\neve@example.org", false),
            ("ada@example.org\r\nBcc: eve@example.org", false),
            ("a@b@example.org", false),
            (".ada@example.org", false),
            ("ada@-example.org", false),
        ];
        for (typed, is_address) in rows {
            assert_eq!(Email::parse(typed).is_some(), is_address, "{typed:?}");
        }
    }

    #[test]
    fn sub_addresses_are_one_mailbox() {
        let mailbox = |typed| Email::parse(typed).expect(typed).mailbox();
        let ada = mailbox("ada@example.org");
        for same in ["Ada@Example.ORG", "ada+chat@example.org", "ADA+a+b@example.org", "ada+@example.org"] {
            assert!(mailbox(same) == ada, "{same}");
        }
        for other in ["+ada@example.org", "ada+chat@example.com", "adachat@example.org"] {
            assert!(mailbox(other) != ada, "{other}");
        }
    }

    #[test]
    fn only_the_same_mailbox_has_the_same_key() {
        let key = |typed| Email::parse(typed).expect(typed).key();
        let kim = key("kim@example.org");
        assert!(kim == key("KIM@Example.ORG"));
        for other in ["\u{212a}im@example.org", "k\u{131}m@example.org", "kim@examp\u{2113}e.org"] {
            assert!(kim != key(other), "{other}");
        }
    }
}
