//! Email addresses.

use crate::base::frost::{Frost, Frozen, frost};
use crate::base::hidden::hidden;
use crate::base::keyed_hash::{HashKey, KeyedHash, Kind};
use crate::base::visible::{fold_full_width, is_visible, trim_invisible};
use crate::limits::EMAIL_BYTES_MAX;
use email_address::{EmailAddress, Options};
use std::cmp::Ordering;
use std::fmt;
use std::iter;
use std::rc::Rc;
use unicode_normalization::UnicodeNormalization;

/// An email address: one bare `local@domain`, with the domain in its ASCII form. It does not show itself in
/// any log.
#[derive(Clone)]
pub(crate) struct Email(Rc<str>);

hidden!(Email);

/// How addresses are compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EmailKey(Form);

hidden!(EmailKey);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// The address in lower case.
    Clear(Box<str>),
    /// An address that was kept as a hash, and that nobody has typed since.
    Hashed(Box<Hashed>),
}

#[derive(Clone)]
struct Hashed {
    hashes: AddressHashes,
    /// The mailbox, if an address of it was typed since.
    mailbox: Option<Box<str>>,
}

/// What is kept of an address: enough to know it again when it is typed, and to tell what bans of mailboxes
/// and of domains mean it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressHashes {
    pub(crate) address: KeyedHash,
    mailbox: KeyedHash,
    /// Of its domain, and of each domain above it that can be banned.
    domains: Vec<KeyedHash>,
}

frost!(struct AddressHashes { address, mailbox, domains });

impl AddressHashes {
    /// Whether they are of this address, or of one with a `+tag` of this mailbox.
    pub(crate) fn are_of(&self, hash: KeyedHash) -> bool {
        self.address == hash || self.mailbox == hash
    }
}

/// An address that was typed, with what it is where it stands as a hash.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) address: EmailKey,
    pub(crate) mailbox: EmailKey,
    hashes: AddressHashes,
}

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

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is compared: in any case of ASCII alone. In all of Unicode another person's mailbox would be
    /// the same: the Kelvin sign K has the lower case of k.
    pub(crate) fn key(&self) -> EmailKey {
        EmailKey(Form::Clear(self.0.to_ascii_lowercase().into()))
    }

    pub(crate) fn mailbox(&self) -> EmailKey {
        self.key().mailbox()
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

impl EmailKey {
    /// The address in the case in which it is compared. `None`: it is only known as a hash.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Form::Clear(address) => Some(address),
            Form::Hashed(_) => None,
        }
    }

    /// Whether the domain, in its ASCII form, or its hash, is that of the address.
    pub(crate) fn is_at(&self, domain: &Domain) -> bool {
        match &self.0 {
            Form::Clear(address) => domain_of(address) == &*domain.name,
            Form::Hashed(hashed) => hashed.hashes.domains.first().is_some_and(|own| domain.is(own)),
        }
    }

    /// Whether the address is of this domain or of one below it.
    pub(crate) fn is_at_or_below(&self, domain: &Domain) -> bool {
        match &self.0 {
            Form::Clear(address) => {
                let before = domain_of(address).strip_suffix(&*domain.name);
                before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            Form::Hashed(hashed) => hashed.hashes.domains.iter().any(|own| domain.is(own)),
        }
    }

    /// The domain and all above it, the longest first. `None`: they are only known as hashes.
    pub(crate) fn domains(&self) -> Option<impl Iterator<Item = &str>> {
        self.as_str().map(|address| domains_of(domain_of(address)))
    }

    /// The key of the mailbox: the address without the `+tag` of a sub-address (RFC 5233). It counts what one
    /// person has; it does not decide what belongs to whom, for not every provider delivers sub-addresses to
    /// one mailbox.
    pub(crate) fn mailbox(&self) -> Self {
        Self(match &self.0 {
            Form::Clear(address) => Form::Clear(mailbox_of(address)),
            Form::Hashed(hashed) => {
                if let Some(mailbox) = &hashed.mailbox {
                    return Self(Form::Clear(mailbox.clone()));
                }
                let AddressHashes { mailbox, ref domains, .. } = hashed.hashes;
                let own = AddressHashes { address: mailbox, mailbox, domains: domains.clone() };
                Form::Hashed(Box::new(Hashed { hashes: own, mailbox: None }))
            }
        })
    }

    /// What is kept of it.
    pub(crate) fn hashes(&self, key: &HashKey) -> AddressHashes {
        match &self.0 {
            Form::Clear(address) => AddressHashes {
                address: key.hash(Kind::Address, address.as_bytes()),
                mailbox: key.hash(Kind::Address, mailbox_of(address).as_bytes()),
                domains: domains_of(domain_of(address))
                    .map(|domain| key.hash(Kind::Domain, domain.as_bytes()))
                    .collect(),
            },
            Form::Hashed(hashed) => hashed.hashes.clone(),
        }
    }

    /// What it is found by where it is kept.
    pub(crate) fn hash(&self, key: &HashKey) -> KeyedHash {
        match &self.0 {
            Form::Clear(address) => key.hash(Kind::Address, address.as_bytes()),
            Form::Hashed(hashed) => hashed.hashes.address,
        }
    }

    /// An address of which only this hash is known: it is compared as a whole, and nothing else is asked of
    /// it.
    pub(crate) fn of_hash(hash: KeyedHash) -> Self {
        Self::hashed(AddressHashes { address: hash, mailbox: hash, domains: Vec::new() })
    }

    /// An address that is only known as a hash.
    pub(crate) fn hashed(hashes: AddressHashes) -> Self {
        Self(Form::Hashed(Box::new(Hashed { hashes, mailbox: None })))
    }

    /// Becomes the address that was typed, or its mailbox, if it is the hash of it. If it is another address
    /// of the mailbox, that becomes known.
    pub(crate) fn learn(&mut self, typed: &Typed) {
        let Form::Hashed(own) = &mut self.0 else { return };
        if own.hashes.address == typed.hashes.address {
            *self = typed.address.clone();
        } else if own.hashes.address == typed.hashes.mailbox {
            *self = typed.mailbox.clone();
        } else if own.hashes.mailbox == typed.hashes.mailbox {
            own.mailbox = typed.mailbox.as_str().map(Into::into);
        }
    }
}

impl Typed {
    pub(crate) fn new(address: EmailKey, key: &HashKey) -> Self {
        let hashes = address.hashes(key);
        Self { mailbox: address.mailbox(), address, hashes }
    }

    /// The key under which the address may stand.
    pub(crate) fn hashed_address(&self) -> EmailKey {
        EmailKey::hashed(self.hashes.clone())
    }

    /// The key under which its mailbox may stand.
    pub(crate) fn hashed_mailbox(&self) -> EmailKey {
        self.hashed_address().mailbox()
    }
}

/// Compares values of a type by one of their fields alone.
macro_rules! compared_by {
    ($type:ident, $($field:ident).+) => {
        impl Ord for $type {
            fn cmp(&self, other: &Self) -> Ordering {
                self.$($field).+.cmp(&other.$($field).+)
            }
        }

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }

        impl Eq for $type {}
    };
}
// The other hashes follow from that of the address.
compared_by!(Hashed, hashes.address);
compared_by!(Domain, name);

fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

fn mailbox_of(address: &str) -> Box<str> {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    match local.split_once('+') {
        Some((user, _)) if !user.is_empty() => format!("{user}@{domain}").into(),
        _ => address.into(),
    }
}

/// A domain and those above it that may be in a pattern: with a dot in them.
fn domains_of(domain: &str) -> impl Iterator<Item = &str> {
    let above = domain.match_indices('.').filter_map(|(dot, _)| domain.get(dot + 1..));
    [domain].into_iter().chain(above).filter(|domain| domain.contains('.'))
}

/// A domain in a pattern, in its ASCII form. Compared by its name.
#[derive(Clone)]
pub(crate) struct Domain {
    pub(crate) name: Box<str>,
    /// What it is in addresses that are only known as hashes. `None`: there are none.
    hash: Option<KeyedHash>,
}

impl Domain {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), hash: None }
    }

    /// Derives the hash by which addresses are compared that are only known as hashes.
    pub(crate) fn hash(&mut self, key: &HashKey) {
        self.hash = Some(key.hash(Kind::Domain, self.name.as_bytes()));
    }

    fn is(&self, hash: &KeyedHash) -> bool {
        self.hash == Some(*hash)
    }
}

/// The address, if it is known.
impl fmt::Display for EmailKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str().unwrap_or("(address kept as a hash)"))
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

frost!(enum Form { 0 = Clear(address), 1 = Hashed(hashed) });
frost!(struct Hashed { hashes, mailbox });

impl Frost for EmailKey {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.0.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let form = Form::thaw(from)?;
        let is_key = match &form {
            Form::Clear(address) => is_key(address),
            Form::Hashed(hashed) => hashed.mailbox.as_deref().is_none_or(is_key),
        };
        is_key.then_some(Self(form))
    }
}

frost!(struct Domain { name, hash });

fn is_key(address: &str) -> bool {
    let is_long = address.len() > EMAIL_BYTES_MAX;
    !is_long && is_bare(address) && !address.contains(|char: char| char.is_ascii_uppercase())
}

/// Whether a text has the form that all who use an address rely on: a mailbox and a domain on one line.
fn is_bare(text: &str) -> bool {
    text.contains('@') && !text.contains(|char: char| char.is_control() || char.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address() {
        let fits = format!("{}@{}.example.org", "a".repeat(60), "b".repeat(47));
        assert_eq!(fits.len(), EMAIL_BYTES_MAX);
        for typed in ["ada@example.org", " Ada.L+chat@Example.ORG ", "o'brien@example.org", &fits] {
            assert!(Email::parse(typed).is_some(), "{typed:?}");
        }
        let none: [&[&str]; 8] = [
            &["", "ada", "ada@", "@example.org", &format!("a{fits}"), "a@b@example.org", ".ada@example.org"],
            &["ada@localhost", "ada@[127.0.0.1]", "ada@1.2.3.4", "ada@１．２．３．４", "ada@example.1"],
            &["ada@example..org", "ada@example.org.", "ada@-example.org"],
            &["ada@xn--a.org", "ada@exa_mple.org", "Ada <ada@example.org>", "<ada@example.org>"],
            &["\"ada\"@example.org", "ada(comment)@example.org"],
            &["ada@example.org,eve@example.org", "ada@example.org;eve@example.org"],
            &["ada@example.org eve@example.org", "ada@example.org\neve@example.org"],
            &["ada@example.org\r\nBcc: eve@example.org", "a\u{200b}da@example.org", "a\u{ad}da@example.org"],
        ];
        for typed in none.concat() {
            assert!(Email::parse(typed).is_none(), "{typed:?}");
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
