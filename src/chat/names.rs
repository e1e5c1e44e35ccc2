//! What is a name, what is an address, and which name belongs to which address.

use crate::base::limits::{EMAIL_BYTES_MAX, NAME_BYTES_MAX, NAMES_MAX, SESSION_TTL};
use crate::base::moment::Moment;
use crate::base::shelf::{Key, Shelf};
use email_address::{EmailAddress, Options};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The name of the one who greets.
pub const BOT_NAME: &str = "plumebot";

/// A name as it is shown: trimmed, inner white space folded, of bounded length, with nothing in it that is not seen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName(Rc<str>);

/// An e-mail address: one bare `local@domain`. It does not show itself in any log.
#[derive(Clone)]
pub struct Email(Rc<str>);

/// How names are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct NameKey(Box<str>);

/// How addresses are compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EmailKey(Box<str>);

impl UserName {
    /// Reads a name as somebody typed it. `None`: it is none.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        let mut name = String::with_capacity(typed.len().min(NAME_BYTES_MAX + 1));
        for word in typed.split_whitespace() {
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(word);
            if name.len() > NAME_BYTES_MAX {
                return None;
            }
        }
        (!name.is_empty() && name.chars().all(is_seen)).then(|| Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn key(&self) -> NameKey {
        NameKey::of(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl NameKey {
    fn of(name: &str) -> Self {
        Self(name.to_lowercase().into())
    }
}

/// Whether a character of a name can be seen. Format characters include those that turn the direction of text.
fn is_seen(char: char) -> bool {
    !matches!(
        char.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
    )
}

impl Email {
    /// Reads an address as somebody typed it. `None`: it is none, or more than one bare address.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        // Quoted local parts and comments are addresses too, but nobody has one, and the mail provider reads them its own way.
        if typed.len() > EMAIL_BYTES_MAX || typed.contains(['"', '(', ')']) {
            return None;
        }
        let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
        EmailAddress::parse_with_options(typed, options).ok().map(|_| Self(typed.into()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How it is compared.
    #[must_use]
    pub fn key(&self) -> EmailKey {
        EmailKey(self.0.to_lowercase().into())
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

/// Which name belongs to which address. A name is free again a day after its owner's last connection.
#[derive(Debug)]
pub struct Names {
    people: Shelf<Person>,
    by_name: BTreeMap<NameKey, Key>,
    reserved: Vec<NameKey>,
}

#[derive(Debug)]
struct Person {
    name: UserName,
    email: EmailKey,
    connections: usize,
}

impl Names {
    /// All names are free but the reserved ones and the site's own.
    #[must_use]
    pub fn new(site_name: &str) -> Self {
        let reserved = RESERVED.iter().copied().chain([site_name]).map(NameKey::of).collect();
        Self { people: Shelf::new(NAMES_MAX), by_name: BTreeMap::new(), reserved }
    }

    /// Whether the name is free, or belongs to this address.
    #[must_use]
    pub fn may_have(&self, name: &UserName, email: &Email) -> bool {
        let key = name.key();
        let owner = self.by_name.get(&key).and_then(|&person| self.people.get(person));
        !self.reserved.contains(&key) && owner.is_none_or(|owner| owner.email == email.key())
    }

    /// Makes the name belong to this address. `None`: it belongs to another, or to nobody.
    ///
    /// The caller connects the person at once, or the name would never be free again.
    pub fn claim(&mut self, name: &UserName, email: &Email) -> Option<Key> {
        if !self.may_have(name, email) {
            return None;
        }
        if let Some(&person) = self.by_name.get(&name.key()) {
            return Some(person);
        }
        let person = Person { name: name.clone(), email: email.key(), connections: 0 };
        let (key, evicted) = self.people.insert(person, None);
        if let Some(evicted) = evicted {
            self.by_name.remove(&evicted.name.key());
        }
        self.by_name.insert(name.key(), key);
        Some(key)
    }

    /// The name of a person who is still known.
    #[must_use]
    pub fn get(&self, person: Key) -> Option<&UserName> {
        self.people.get(person).map(|person| &person.name)
    }

    /// A person has one more connection.
    ///
    /// # Panics
    /// If the person is not known.
    pub fn connect(&mut self, person: Key) -> UserName {
        self.people.set_expiry(person, None);
        let person = self.people.get_mut(person).expect("only who is known connects");
        person.connections += 1;
        person.name.clone()
    }

    /// A person has one connection less. Whether it was the last.
    ///
    /// # Panics
    /// If the person is not known or has no connection.
    pub fn disconnect(&mut self, now: Moment, person: Key) -> bool {
        let known = self.people.get_mut(person).expect("a name with a connection stays");
        known.connections -= 1;
        let was_last = known.connections == 0;
        if was_last {
            self.people.set_expiry(person, Some(now.after(SESSION_TTL)));
        }
        was_last
    }

    /// Frees the names whose time is over.
    pub fn forget_expired(&mut self, now: Moment) {
        while let Some(person) = self.people.pop_expired(now) {
            self.by_name.remove(&person.name.key());
        }
    }

    /// When the next name becomes free.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.people.next_deadline()
    }

    /// How many names are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether no name is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }
}

/// Names that nobody may have: who has one would be taken for somebody with a say.
const RESERVED: [&str; 7] = [BOT_NAME, "admin", "moderator", "system", "root", "everyone", "here"];

#[cfg(test)]
mod tests {
    use super::*;

    fn name(typed: &str) -> UserName {
        UserName::parse(typed).unwrap()
    }

    fn email(typed: &str) -> Email {
        Email::parse(typed).unwrap()
    }

    #[test]
    fn what_is_a_name() {
        let long = "ü".repeat(60);
        let rows = [
            ("ada", Some("ada")),
            ("  Ada \t  Lovelace ", Some("Ada Lovelace")),
            ("José", Some("José")),
            ("李雷", Some("李雷")),
            ("O'Brien", Some("O'Brien")),
            ("<b>", Some("<b>")),
            (&long, Some(&*long)),
            (&format!("{long}x"), None),
            ("", None),
            (" \u{3000} ", None),
            ("a\u{0}b", None),
            ("a\u{1b}[31m", None),
            ("a\u{202e}b", None),
            ("a\u{200b}b", None),
            ("a\u{2066}b", None),
            ("a\u{ad}b", None),
            ("a\u{feff}b", None),
            ("\u{e000}", None),
        ];
        for (typed, expected) in rows {
            let parsed = UserName::parse(typed);
            assert_eq!(parsed.as_ref().map(UserName::as_str), expected, "{typed:?}");
        }
    }

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
    fn a_name_belongs_to_its_address_in_any_case() {
        let mut names = Names::new("Plume.chat");
        let ada = names.claim(&name("Ada"), &email("ada@example.org")).unwrap();
        names.connect(ada);
        assert_eq!(names.claim(&name("aDA"), &email("ADA@example.org")), Some(ada));
        assert_eq!(names.claim(&name("ADA"), &email("eve@example.org")), None);
        assert!(!names.may_have(&name("ada"), &email("eve@example.org")));
        assert_eq!(names.get(ada).unwrap().as_str(), "Ada");
    }

    #[test]
    fn a_name_is_free_a_day_after_the_last_connection() {
        let at = Moment::from_ms;
        let mut names = Names::new("Plume.chat");
        let ada = names.claim(&name("ada"), &email("ada@example.org")).unwrap();
        names.connect(ada);
        names.connect(ada);
        assert!(!names.disconnect(at(0), ada));
        names.forget_expired(at(0).after(SESSION_TTL * 2));
        assert!(names.get(ada).is_some(), "one connection is left");
        assert!(names.disconnect(at(5), ada));
        names.forget_expired(at(4).after(SESSION_TTL));
        assert!(!names.may_have(&name("ada"), &email("eve@example.org")));
        assert_eq!(names.next_deadline(), Some(at(5).after(SESSION_TTL)));
        names.forget_expired(at(5).after(SESSION_TTL));
        assert!(names.may_have(&name("ada"), &email("eve@example.org")));
        assert!(names.is_empty());
    }

    #[test]
    fn some_names_are_nobodys() {
        let names = Names::new("Ada's Chat");
        for typed in
            ["plumebot", "PlumeBot", "Admin", "moderator", "system", "root", "everyone", "here", "ada's chat"]
        {
            assert!(!names.may_have(&name(typed), &email("ada@example.org")), "{typed}");
        }
    }
}
