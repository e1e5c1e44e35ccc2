//! Which name belongs to which address.

use crate::base::limits::{NAMES_MAX, SESSION_TTL};
use crate::base::moment::Moment;
use crate::base::shelf::{Key, Shelf};
use crate::chat::email::{Email, EmailKey};
use crate::chat::user_name::{NameKey, UserName};
use std::collections::BTreeMap;

/// The name of the one who greets.
pub const BOT_NAME: &str = "plumebot";

/// Which name belongs to which address. A name is free again a day after its owner's last connection.
#[derive(Debug)]
pub struct Names {
    people: Shelf<Person>,
    by_name: BTreeMap<NameKey, Key>,
    /// Names that each address owns; none at zero.
    by_email: BTreeMap<EmailKey, usize>,
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
        Self { people: Shelf::new(NAMES_MAX), by_name: BTreeMap::new(), by_email: BTreeMap::new(), reserved }
    }

    /// Whether the name is free, or belongs to this address.
    #[must_use]
    pub fn may_have(&self, name: &UserName, email: &Email) -> bool {
        let key = name.key();
        let owner = self.by_name.get(&key).and_then(|&person| self.people.get(person));
        !self.reserved.contains(&key) && owner.is_none_or(|owner| owner.email == email.key())
    }

    /// Whether this address owns a name.
    #[must_use]
    pub fn owns_any(&self, email: &Email) -> bool {
        self.by_email.contains_key(&email.key())
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
        *self.by_email.entry(email.key()).or_default() += 1;
        let (key, evicted) = self.people.insert(person, None);
        if let Some(evicted) = evicted {
            self.release(&evicted);
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
            self.release(&person);
        }
    }

    /// Frees the name of a person who is no longer known.
    fn release(&mut self, person: &Person) {
        self.by_name.remove(&person.name.key());
        if let Some(owned) = self.by_email.get_mut(&person.email) {
            *owned = owned.saturating_sub(1);
            if *owned == 0 {
                self.by_email.remove(&person.email);
            }
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
        assert!(names.owns_any(&email("Ada@example.org")) && !names.owns_any(&email("ada+x@example.org")));
        assert!(!names.disconnect(at(0), ada));
        names.forget_expired(at(0).after(SESSION_TTL * 2));
        assert!(names.get(ada).is_some(), "one connection is left");
        assert!(names.disconnect(at(5), ada));
        names.forget_expired(at(4).after(SESSION_TTL));
        assert!(!names.may_have(&name("ada"), &email("eve@example.org")));
        assert_eq!(names.next_deadline(), Some(at(5).after(SESSION_TTL)));
        names.forget_expired(at(5).after(SESSION_TTL));
        assert!(names.may_have(&name("ada"), &email("eve@example.org")));
        assert!(names.is_empty() && names.by_email.is_empty() && !names.owns_any(&email("ada@example.org")));
    }

    #[test]
    fn some_names_are_nobodys() {
        let names = Names::new("Ada's Chat");
        let rows = "PlumeBot, plume bot, p1umebot, Admin, ADM1N, moderator, m0derator, system, root, every one, \
                    here, adas-chat";
        for typed in rows.split(", ") {
            let parsed = UserName::parse(typed);
            let may_have = parsed.is_some_and(|name| names.may_have(&name, &email("ada@example.org")));
            assert!(!may_have, "{typed}");
        }
    }
}
