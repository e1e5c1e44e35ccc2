//! Email addresses.

use crate::base::frost::{Frost, Frozen};
use crate::base::visible::{fold_full_width, is_visible, trim_invisible};
use crate::limits::EMAIL_BYTES_MAX;
use email_address::{EmailAddress, Options};
use std::fmt;
use std::iter;
use std::rc::Rc;
use unicode_normalization::UnicodeNormalization;

/// An email address: one bare `local@domain`, with the domain in its ASCII form. It does not show itself in
/// any log.
#[derive(Clone)]
pub(crate) struct Email(Rc<str>);

/// How addresses are compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EmailKey(Box<str>);

impl Email {
    /// Parses an address as it was typed. `None`: it is none, or more than one bare address.
    ///
    /// One mailbox has one spelling here. Browsers send an internationalized domain in either form, so the
    /// domain is brought into its ASCII form (UTS 46). Full-width characters stand for ASCII, which is what
    /// their keyboard means: no mailbox has them in its name.
    pub(crate) fn parse(typed: &str) -> Option<Self> {
        let typed: String = trim_invisible(typed).chars().map(fold_full_width).collect();
        let (local, domain) = typed.rsplit_once('@')?;
        let domain = domain_to_ascii(domain)?;
        let local = composed(local);
        let address = format!("{local}@{domain}");
        // Quoted local parts and comments are addresses, too, but hardly anyone has one, and email providers
        // disagree on them. What cannot be seen in an address, its owner cannot have typed.
        if address.len() > EMAIL_BYTES_MAX
            || address.contains(['"', '(', ')'])
            || !address.chars().all(is_visible)
        {
            return None;
        }
        let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
        EmailAddress::parse_with_options(&address, options).ok().map(|_| Self(address.into()))
    }

    /// The address.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is compared: in any case of ASCII alone. In all of Unicode another person's mailbox would be
    /// the same: the Kelvin sign K has the lower case of k.
    pub(crate) fn key(&self) -> EmailKey {
        EmailKey(self.0.to_ascii_lowercase().into())
    }
}

/// The local part in NFC: one letter may be typed as several characters, which no mailbox tells apart (RFC
/// 6532, section 3.1). Where that would make ASCII of something else it stays: the Kelvin sign is no K.
fn composed(local: &str) -> String {
    let becomes_ascii = |char: char| !char.is_ascii() && iter::once(char).nfc().all(|char| char.is_ascii());
    if local.chars().any(becomes_ascii) { local.to_owned() } else { local.nfc().collect() }
}

/// The ASCII form of a domain (UTS 46), in lower case. `None`: it has none, or it is the number of a host,
/// which email needs in brackets (RFC 5321, section 4.1.3) and which says nothing of who owns it.
fn domain_to_ascii(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    // A last label that begins with a digit belongs to no registry, and one of digits is part of a number.
    let is_number =
        ascii.rsplit('.').next().is_none_or(|last| last.starts_with(|char: char| char.is_ascii_digit()));
    (!is_number).then_some(ascii)
}

impl Email {
    /// The key of its mailbox.
    pub(crate) fn mailbox(&self) -> EmailKey {
        self.key().mailbox()
    }
}

impl EmailKey {
    /// The address in the case in which it is compared.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain, in its ASCII form.
    pub(crate) fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The key of the mailbox: the address without the `+tag` of a sub-address (RFC 5233). It counts what one
    /// person has; it does not decide what belongs to whom, for not every provider delivers sub-addresses to
    /// one mailbox.
    pub(crate) fn mailbox(&self) -> Self {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        match local.split_once('+') {
            Some((user, _)) if !user.is_empty() => Self(format!("{user}@{domain}").into()),
            _ => self.clone(),
        }
    }
}

/// An address is not parsed again when it is thawed: a later version may refuse addresses that an earlier one
/// accepted, and their owners keep their sessions. What is checked is what all code relies on.
impl Frost for Email {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.0.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        from.text(EMAIL_BYTES_MAX).filter(|text| is_bare(text)).map(|text| Self(text.into()))
    }
}

impl Frost for EmailKey {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.0.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let text = from.text(EMAIL_BYTES_MAX).filter(|text| is_bare(text))?;
        (!text.contains(|char: char| char.is_ascii_uppercase())).then(|| Self(text.into()))
    }
}

/// Whether a text has the form that all who use an address rely on: a mailbox and a domain on one line.
fn is_bare(text: &str) -> bool {
    text.contains('@') && !text.contains(|char: char| char.is_control() || char.is_whitespace())
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
            ("ada@1.2.3.4", false),
            ("ada@１．２．３．４", false),
            ("ada@example.1", false),
            ("ada@example..org", false),
            ("ada@example.org.", false),
            ("a\u{200b}da@example.org", false),
            ("a\u{ad}da@example.org", false),
            ("ada@xn--a.org", false),
            ("ada@exa_mple.org", false),
        ];
        for (typed, is_address) in rows {
            assert_eq!(Email::parse(typed).is_some(), is_address, "{typed:?}");
        }
    }

    #[test]
    fn one_mailbox_has_one_spelling() {
        let rows = [
            ("ada@xn--mnchen-3ya.de", "ada@xn--mnchen-3ya.de"),
            ("ada@münchen.de", "ada@xn--mnchen-3ya.de"),
            ("ada@MÜNCHEN.de", "ada@xn--mnchen-3ya.de"),
            ("ada@mu\u{308}nchen.de", "ada@xn--mnchen-3ya.de"),
            ("ada@XN--MNCHEN-3YA.DE", "ada@xn--mnchen-3ya.de"),
            ("ada@straße.example", "ada@xn--strae-oqa.example"),
            ("Ada@例え。テスト", "Ada@xn--r8jz45g.xn--zckzah"),
            ("ａｄａ＠ｅｘａｍｐｌｅ．ｏｒｇ", "ada@example.org"),
            ("\u{a0}ada@example.org\u{200b}", "ada@example.org"),
            ("\u{feff}\u{202a}ada@example.org\u{202c}", "ada@example.org"),
            ("ada@Example.ORG", "ada@example.org"),
            ("a\u{308}rger@example.org", "\u{e4}rger@example.org"),
            ("cafe\u{301}@example.org", "caf\u{e9}@example.org"),
            ("か\u{3099}@example.org", "\u{304c}@example.org"),
        ];
        for (typed, address) in rows {
            assert_eq!(Email::parse(typed).expect(typed).as_str(), address, "{typed:?}");
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
        for other in ["\u{212a}im@example.org", "k\u{131}m@example.org"] {
            assert!(kim != key(other), "{other}");
        }
        // A domain with a script l is the same domain (UTS 46); a Cyrillic one is another.
        assert!(kim == key("kim@examp\u{2113}e.org"));
        assert!(kim != key("kim@ex\u{430}mple.org"));
    }
}
