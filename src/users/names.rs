//! Which name belongs to which address.

use crate::base::expiring_slab::{ExpiringSlab, Id};
use crate::base::frost::{frost, refill};
use crate::base::shared_throttle::SharedThrottle;
use crate::base::sorted::map_of;
use crate::base::time::Moment;
use crate::limits::{NAMES_MAX, NAMES_PER_MAILBOX_MAX};
use crate::users::changes::Changes;
use crate::users::email::{Email, EmailKey, Typed};
use crate::users::user_name::{NameKey, TypedName, UserName};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::IpAddr;
use std::time::Duration;

pub(crate) type UserId = Id<User>;

/// The name of the one who greets.
pub(crate) const BOT_NAME: &str = "plumebot";

/// Which name belongs to which address. A name is free again some time after its owner's last connection.
#[derive(Debug)]
pub(crate) struct Names {
    users: ExpiringSlab<User>,
    /// Every key of every name. No key has two owners, so a user is found by any of them.
    by_name: BTreeMap<NameKey, UserId>,
    /// The names that each mailbox owns, over all its addresses; never none.
    by_mailbox: BTreeMap<EmailKey, Vec<UserId>>,
    reserved: Vec<NameKey>,
    /// How long after its owner's last connection a name is free again.
    ttl: Duration,
    /// Names, each with the user whose it is now, if there is one.
    changes: Changes<(UserName, Option<UserId>)>,
}

/// A name that belongs to an email address.
#[derive(Debug)]
pub(crate) struct User {
    name: UserName,
    email: EmailKey,
    connections: usize,
    /// The client network of the newest connection, if a ban may close it.
    network: Option<IpAddr>,
    /// How fast the user talks, over all connections.
    throttle: SharedThrottle,
}

impl User {
    fn new(name: UserName, email: EmailKey) -> Self {
        Self { name, email, connections: 0, network: None, throttle: SharedThrottle::default() }
    }
}

// The connections of a user are those of its sessions, see `Users::link`.
frost!(struct User { name, email, network, throttle } but { connections: 0 });
refill!(struct Names { users } but { by_name, by_mailbox, reserved, ttl, changes } then Self::index);

/// Why an address may not have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameError {
    /// The name, or one that looks like it, belongs to another address or is reserved.
    Taken,
    /// The mailbox owns as many names as it may.
    TooManyNames,
}

impl Names {
    /// All names are free but the reserved ones and the site's own.
    pub(crate) fn new(site_name: &str, ttl: Duration) -> Self {
        let reserved = RESERVED.iter().copied().chain([site_name]).flat_map(NameKey::all_of).collect();
        Self {
            users: ExpiringSlab::new(NAMES_MAX),
            by_name: BTreeMap::new(),
            by_mailbox: BTreeMap::new(),
            reserved,
            ttl,
            changes: Changes::default(),
        }
    }

    /// Makes a name nobody's, with all that look like it.
    pub(crate) fn reserve(&mut self, name: &str) {
        self.reserved.extend(NameKey::all_of(name));
    }

    /// Checks that the name is free and the mailbox may own one more, or that the name belongs to this
    /// address.
    ///
    /// # Errors
    /// If the address may not have the name.
    pub(crate) fn check(&self, name: &UserName, email: &Email) -> Result<(), NameError> {
        self.find(name, email).map(|_owner| ())
    }

    pub(crate) fn owns_any(&self, email: &Email) -> bool {
        let owned = self.by_mailbox.get(&email.mailbox());
        let mut users = owned.into_iter().flatten().filter_map(|&user| self.users.get(user));
        users.any(|user| user.email == email.key())
    }

    /// Whether the name belongs to this address.
    pub(crate) fn owns(&self, name: &UserName, email: &Email) -> bool {
        self.find(name, email).is_ok_and(|owner| owner.is_some())
    }

    /// Makes the name belong to this address.
    ///
    /// The caller connects the user at once, or the name would never be free again.
    ///
    /// # Errors
    /// If the address may not have the name.
    pub(crate) fn claim(&mut self, name: &UserName, email: &Email) -> Result<UserId, NameError> {
        if let Some(owner) = self.find(name, email)? {
            return Ok(owner);
        }
        let user = self.add(name, email.key(), None);
        self.note(user);
        Ok(user)
    }

    /// Adds a user who has all keys of the name.
    fn add(&mut self, name: &UserName, email: EmailKey, expires: Option<Moment>) -> UserId {
        let mailbox = email.mailbox();
        let (id, evicted) = self.users.insert(User::new(name.clone(), email), expires);
        if let Some(evicted) = evicted {
            self.release(&evicted);
        }
        self.by_mailbox.entry(mailbox).or_default().push(id);
        self.by_name.extend(name.keys().into_iter().map(|key| (key, id)));
        id
    }

    /// The user of this address who owns the name already. `None`: the name is free for it.
    fn find(&self, name: &UserName, email: &Email) -> Result<Option<UserId>, NameError> {
        let keys = name.keys();
        let mut owners = keys.iter().filter_map(|key| self.by_name.get(key)).copied();
        let is_own = |owner| self.users.get(owner).is_some_and(|user| user.email == email.key());
        let is_reserved = keys.iter().any(|key| self.reserved.contains(key));
        if is_reserved || !owners.clone().all(is_own) {
            return Err(NameError::Taken);
        }
        let owner = owners.next();
        let names = self.by_mailbox.get(&email.mailbox()).map_or(0, Vec::len);
        if owner.is_none() && names >= NAMES_PER_MAILBOX_MAX {
            return Err(NameError::TooManyNames);
        }
        Ok(owner)
    }

    /// Frees the name of a user who is no longer known.
    fn release(&mut self, user: &User) {
        self.changes.note(|| (user.name.clone(), None));
        for key in user.name.keys() {
            if self.by_name.get(&key).is_some_and(|&owner| self.users.get(owner).is_none()) {
                self.by_name.remove(&key);
            }
        }
        let mailbox = user.email.mailbox();
        if let Some(owned) = self.by_mailbox.get_mut(&mailbox) {
            owned.retain(|&user| self.users.get(user).is_some());
            if owned.is_empty() {
                self.by_mailbox.remove(&mailbox);
            }
        }
    }

    /// The name of a user who is still known.
    pub(crate) fn get(&self, user: UserId) -> Option<&UserName> {
        self.users.get(user).map(|user| &user.name)
    }

    /// The address of a user who is still known.
    pub(crate) fn email(&self, user: UserId) -> Option<&EmailKey> {
        self.users.get(user).map(|user| &user.email)
    }

    /// The user whom a typed name means: whose name it is, or looks like. `None`: nobody, or more than one.
    pub(crate) fn named(&self, typed: &TypedName) -> Option<UserId> {
        let mut owners = typed.keys.iter().filter_map(|key| self.by_name.get(key)).copied();
        let owner = owners.next()?;
        let is_meant = self.get(owner).is_some_and(|name| typed.may_mean(name.as_str()));
        (is_meant && owners.all(|other| other == owner)).then_some(owner)
    }

    /// The users of a mailbox, the one who came first at the beginning.
    pub(crate) fn of_mailbox(&self, mailbox: &EmailKey) -> &[UserId] {
        self.by_mailbox.get(mailbox).map_or(&[], Vec::as_slice)
    }

    /// All users who are known, with their addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (UserId, &EmailKey)> {
        self.users.iter().map(|(id, user)| (id, &user.email))
    }

    pub(crate) fn connections(&self, user: UserId) -> usize {
        self.users.get(user).map_or(0, |user| user.connections)
    }

    /// The client network of a user's newest connection, if a ban may close it.
    pub(crate) fn network(&self, user: UserId) -> Option<IpAddr> {
        self.users.get(user).and_then(|user| user.network)
    }

    pub(crate) fn throttle(&mut self, user: UserId) -> Option<&mut SharedThrottle> {
        self.users.get_mut(user).map(|user| &mut user.throttle)
    }

    /// Takes how fast each user has talked.
    pub(crate) fn take_throttles(&mut self) -> Vec<SharedThrottle> {
        self.users.iter_mut().map(|user| mem::take(&mut user.throttle)).collect()
    }

    /// Puts back what was taken; no user has come or gone meanwhile.
    pub(crate) fn put_throttles(&mut self, taken: Vec<SharedThrottle>) {
        self.users.iter_mut().zip(taken).for_each(|(user, throttle)| user.throttle = throttle);
    }

    /// A user has one more connection, from this client network if a ban may close it.
    pub(crate) fn connect(&mut self, user: UserId, network: Option<IpAddr>) {
        self.users.set_expiry(user, None);
        if let Some(user) = self.users.get_mut(user) {
            user.connections = user.connections.saturating_add(1);
            user.network = network;
        }
    }

    /// Adds connections to a user. `None`: the user is not known.
    pub(crate) fn add_connections(&mut self, user: UserId, connections: u32) -> Option<()> {
        let user = self.users.get_mut(user)?;
        user.connections = user.connections.saturating_add(usize::try_from(connections).ok()?);
        Some(())
    }

    /// Whether the users without a connection, and no others, will expire.
    pub(crate) fn has_all_expiries(&self) -> bool {
        let mut users = self.users.iter();
        users.all(|(id, user)| self.users.expiry_of(id).is_some() == (user.connections == 0))
    }

    /// A user has so many connections less. Whether none is left.
    pub(crate) fn disconnect(&mut self, now: Moment, user: UserId, connections: u32) -> bool {
        let Some(known) = self.users.get_mut(user) else { return false };
        known.connections = known.connections.saturating_sub(connections as usize);
        let was_last = known.connections == 0;
        if was_last {
            self.users.set_expiry(user, Some(now.after(self.ttl)));
        }
        was_last
    }

    /// Frees the names whose time is over.
    pub(crate) fn forget_expired(&mut self, now: Moment) {
        while let Some(user) = self.users.pop_expired(now) {
            self.release(&user);
        }
    }

    /// When the next name becomes free.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.users.next_deadline()
    }

    /// From now on, notes what changes, and keeps names for so long.
    pub(crate) fn begin_changes(&mut self, ttl: Duration) {
        self.ttl = ttl;
        self.changes.begin();
    }

    pub(crate) fn take_changes(&mut self) -> Vec<(UserName, Option<UserId>)> {
        self.changes.take()
    }

    pub(crate) fn note(&mut self, user: UserId) {
        if let Some(known) = self.users.get(user) {
            self.changes.note(|| (known.name.clone(), Some(user)));
        }
    }

    /// Notes the users as changed for whose slots, with or without a connection, this is true.
    pub(crate) fn note_where(&mut self, is_meant: impl Fn(u32, bool) -> bool) {
        for (id, user) in self.users.iter().filter(|(id, user)| is_meant(id.slot(), user.connections > 0)) {
            self.changes.note(|| (user.name.clone(), Some(id)));
        }
    }

    /// An address was typed: where it stands as a hash, it stands from now on.
    pub(crate) fn learn(&mut self, typed: &Typed) {
        if let Some(users) = self.by_mailbox.remove(&typed.hashed_mailbox()) {
            self.by_mailbox.entry(typed.mailbox.clone()).or_default().extend(users);
        }
        for &user in self.by_mailbox.get(&typed.mailbox).into_iter().flatten() {
            if let Some(user) = self.users.get_mut(user) {
                user.email.learn(typed);
            }
        }
    }

    /// A name that has outlived its process is its owner's, without a connection. `None`: it is reserved by
    /// now, or looks like one that came before.
    pub(crate) fn restore(&mut self, name: &UserName, email: EmailKey, expires: Moment) -> Option<UserId> {
        let keys = name.keys();
        if keys.iter().any(|key| self.reserved.contains(key) || self.by_name.contains_key(key)) {
            return None;
        }
        Some(self.add(name, email, Some(expires)))
    }

    /// Rebuilds the indices. Two names that only this version takes for look-alikes both stay; the older one
    /// owns the key that they share.
    fn index(&mut self) -> Option<()> {
        let users = map_of(self.users.iter().map(|(id, user)| ((id.serial(), id), user)));
        let mut names = BTreeSet::new();
        self.by_name.clear();
        self.by_mailbox.clear();
        for ((_, id), user) in users {
            names.insert(&user.name).then_some(())?;
            for key in user.name.keys() {
                self.by_name.entry(key).or_insert(id);
            }
            self.by_mailbox.entry(user.email.mailbox()).or_default().push(id);
        }
        Some(())
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }
}

/// Names that nobody may have: their owners would be taken for moderators or for the server.
const RESERVED: [&str; 7] = [BOT_NAME, "admin", "moderator", "system", "root", "everyone", "here"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::frost::{Frozen, Refill, frozen};
    use crate::limits::NAME_TTL;

    fn name(typed: &str) -> UserName {
        UserName::parse(typed).unwrap()
    }

    fn email(typed: &str) -> Email {
        Email::parse(typed).unwrap()
    }

    #[test]
    fn a_name_belongs_to_its_address_in_any_case() {
        let mut names = Names::new("Plume.chat", NAME_TTL);
        let ada = names.claim(&name("Ada"), &email("ada@example.org")).unwrap();
        names.connect(ada, None);
        assert_eq!(names.claim(&name("aDA"), &email("ADA@example.org")), Ok(ada));
        assert_eq!(names.claim(&name("ADA"), &email("eve@example.org")), Err(NameError::Taken));
        assert_eq!(names.check(&name("ada"), &email("eve@example.org")), Err(NameError::Taken));
        assert_eq!(names.get(ada).unwrap().as_str(), "Ada");
    }

    #[test]
    fn a_name_is_free_a_day_after_the_last_connection() {
        let at = Moment::from_ms;
        let mut names = Names::new("Plume.chat", NAME_TTL);
        let ada = names.claim(&name("ada"), &email("ada@example.org")).unwrap();
        names.connect(ada, None);
        names.connect(ada, None);
        assert!(names.owns_any(&email("Ada@example.org")) && !names.owns_any(&email("ada+x@example.org")));
        assert!(!names.disconnect(at(0), ada, 1));
        names.forget_expired(at(0).after(NAME_TTL * 2));
        assert!(names.get(ada).is_some(), "one connection is left");
        assert!(names.disconnect(at(5), ada, 1));
        names.forget_expired(at(4).after(NAME_TTL));
        assert!(names.check(&name("ada"), &email("eve@example.org")).is_err());
        assert_eq!(names.next_deadline(), Some(at(5).after(NAME_TTL)));
        names.forget_expired(at(5).after(NAME_TTL));
        assert!(names.check(&name("ada"), &email("eve@example.org")).is_ok());
        assert!(names.len() == 0 && names.by_name.is_empty() && names.by_mailbox.is_empty());
        assert!(!names.owns_any(&email("ada@example.org")));
    }

    #[test]
    fn some_names_are_nobodys() {
        let names = Names::new("Ada's Chat", NAME_TTL);
        let rows = "PlumeBot, plume bot, p1umebot, Admin, ADM1N, moderator, m0derator, system, root, every one, \
                    here, adas-chat, ꓮꓓꓟꓲꓠ, ꓑꓡꓴꓟꓰꓐꓳꓔ, ꓢꓬꓢꓔꓰꓟ, ᎻᎬᎡᎬ, ꓮꓓꓮꓢꓚꓧꓮꓔ";
        for typed in rows.split(", ") {
            let parsed = UserName::parse(typed);
            let may_have = parsed.is_ok_and(|name| names.check(&name, &email("ada@example.org")).is_ok());
            assert!(!may_have, "{typed}");
        }
    }

    #[test]
    fn a_name_owns_its_look_alikes_in_every_case() {
        // Each row: who came first, and who is refused.
        let rows = [
            ("Bob", "ВОВ"),
            ("Bob", "вов"),
            ("вов", "BOB"),
            ("Tom", "ТОМ"),
            ("Tom", "ΤΟΜ"),
            ("Kate", "КАТЕ"),
            ("ΚΑΤΕ", "kate"),
            ("Nina", "ΝΙΝΑ"),
            ("Straße", "STRASSE"),
        ];
        for (first, second) in rows {
            let mut names = Names::new("Plume.chat", NAME_TTL);
            names.claim(&name(first), &email("ada@example.org")).unwrap();
            let refused = names.claim(&name(second), &email("eve@example.org"));
            assert_eq!(refused, Err(NameError::Taken), "{first} {second}");
            // Its owner has one name, whichever of its forms is typed.
            assert!(names.claim(&name(second), &email("ada@example.org")).is_ok(), "{first} {second}");
            assert_eq!(names.len(), 1, "{first} {second}");
        }
        let mut names = Names::new("Plume.chat", NAME_TTL);
        for (number, typed) in ["राम", "रीमा", "रोमी", "रमा", "रूमी"].into_iter().enumerate()
        {
            let owner = email(&format!("p{number}@example.org"));
            assert!(names.claim(&name(typed), &owner).is_ok(), "{typed}");
        }
    }

    #[test]
    fn a_user_is_found_by_what_looks_like_the_name() {
        let mut names = Names::new("Plume.chat", NAME_TTL);
        let bob = names.claim(&name("Bob Smith"), &email("bob@example.org")).unwrap();
        let zoe = names.claim(&name("Зоя"), &email("zoe@example.org")).unwrap();
        let rows = [
            ("Bob Smith", Some(bob)),
            ("@b0b-smith", Some(bob)),
            ("b\u{43e}b sm\u{456}th", Some(bob)),
            ("зоя", Some(zoe)),
            ("Bob", None),
            ("Bob Smith@", None),
            ("plumebot", None),
        ];
        for (typed, user) in rows {
            assert_eq!(names.named(&TypedName::read(typed)), user, "{typed:?}");
        }
    }

    #[test]
    fn a_mailbox_owns_at_most_three_names() {
        let mut names = Names::new("Plume.chat", NAME_TTL);
        let mut users = Vec::new();
        for (typed, address) in [
            ("Ada", "ada@example.org"),
            ("Countess", "ada+work@example.org"),
            ("Lovelace", "ADA+x+y@example.org"),
        ] {
            let user = names.claim(&name(typed), &email(address)).unwrap();
            names.connect(user, None);
            users.push(user);
        }
        let fourth = (name("Byron"), email("ada+fourth@example.org"));
        assert_eq!(names.check(&fourth.0, &fourth.1), Err(NameError::TooManyNames));
        assert_eq!(names.claim(&fourth.0, &fourth.1), Err(NameError::TooManyNames));
        // A taken name is said to be taken, one's own is still one's own, and other mailboxes are not
        // concerned.
        assert_eq!(names.claim(&name("ada"), &fourth.1), Err(NameError::Taken));
        assert_eq!(names.claim(&name("ada"), &email("ada@example.org")), Ok(users[0]));
        assert!(names.claim(&name("Byron"), &email("ada@example.com")).is_ok());
        names.disconnect(Moment::from_ms(0), users[1], 1);
        names.forget_expired(Moment::from_ms(0).after(NAME_TTL));
        assert!(names.claim(&name("Annabella"), &fourth.1).is_ok(), "one of the three has expired");
    }

    fn moved(names: &Names) -> Option<Names> {
        let mut after = Names::new("Plume.chat", NAME_TTL);
        after.refill(&mut Frozen::new(&frozen(names))).map(|()| after)
    }

    #[test]
    fn a_successor_knows_the_names_and_an_older_one_owns_what_only_it_takes_for_a_look_alike() {
        let mut names = Names::new("Plume.chat", NAME_TTL);
        let claim = |names: &mut Names, typed, address| names.claim(&name(typed), &email(address)).unwrap();
        let bob = claim(&mut names, "Bob", "bob@example.org");
        let ada = claim(&mut names, "Ada", "ada@example.org");
        names.disconnect(Moment::from_ms(0), bob, 1);
        names.forget_expired(Moment::from_ms(0).after(NAME_TTL));
        let countess = claim(&mut names, "Countess", "ada+work@example.org");
        assert!(countess.slot() < ada.slot(), "a slot that was free");
        let after = moved(&names).unwrap();
        assert_eq!(
            after.of_mailbox(&email("ada@example.org").key()),
            [ada, countess],
            "in order of their claims"
        );
        assert_eq!(
            (after.named(&TypedName::read("ADA")), after.named(&TypedName::read("Bob"))),
            (Some(ada), None)
        );

        // As if an earlier version had told them apart.
        let user = |typed, address| User::new(name(typed), email(address).key());
        let at = |ms| Some(Moment::from_ms(ms));
        let (young, _) = names.users.insert(user("ADA", "eve@example.net"), at(20));
        names.users.set_expiry(ada, at(30));
        let mut after = moved(&names).unwrap();
        assert_eq!((after.get(young).unwrap().as_str(), after.len()), ("ADA", 3));
        assert!(!after.owns(&name("ADA"), &email("eve@example.net")));
        after.forget_expired(Moment::from_ms(20));
        assert_eq!((after.get(young), after.named(&TypedName::read("ada"))), (None, Some(ada)));
        after.forget_expired(Moment::from_ms(30));
        assert!(after.claim(&name("ada"), &email("eve@example.net")).is_ok());

        names.users.insert(user("Ada", "bob@example.org"), None);
        assert!(moved(&names).is_none(), "no version gives one name to two");
    }
}
