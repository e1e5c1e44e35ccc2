//! What of the users outlives the process, and how it comes back: names, sessions, the rules of the room and
//! reports, as entries of a map. Never a line. Addresses and tokens stand there as keyed hashes alone; names,
//! banned domains, the topic and reports as they are.
//!
//! # What is written, and when
//! The tables note the keys of what changes, at the place where they change it; [`Users::take_changes`] looks
//! up what stands there by then, and says so. So a rule is written when it is set and removed when it is
//! lifted or over. A name and a session are written when they are made, and removed when they end. In between
//! their entry only says when it was written: it is refreshed while there is a connection, once in
//! [`Keeper::refresh`], and at a connection that comes later than that after the last write. So whoever comes
//! and goes all day causes at most two writes a day for the name and for each session, and after a crash both
//! have up to a day longer than they should, never less.
//!
//! # Time
//! Entries have wall times, for they outlive the monotonic clock. What is left of a ban, mute or lock when
//! the entry is written stands beside its end, and no more is left when it comes back, whatever the clock
//! says by then. When the wall clock is set while the server runs, what has a time is written again. A clock
//! that is wrong at a start, and only then, can end a rule too early or begin its time anew; it cannot make
//! it longer.
//!
//! # What comes back
//! An address comes back as a hash ([`EmailKey::hashed`]). When somebody types it, [`Users::meet`] puts it in
//! the place of its hash in all tables, before anything is compared with it. Ids of lines begin anew with
//! each process, so a session has seen none.

use super::Users;
use super::email::{AddressHashes, Domain, Email, EmailKey, Typed};
use super::names::UserId;
use super::reports::Report;
use super::rules::{Ban, Rule, RuleKey, TableFull};
use super::sessions::SessionId;
use super::user_name::UserName;
use crate::base::frost::{Frost, Frozen, frost, frozen};
use crate::base::keyed_hash::{HashKey, KeyedHash};
use crate::base::sorted::{map_of, set_of};
use crate::base::time::{Moment, Now};
use crate::kept::{Change, ForgetError, RestoreError, Restored};
use crate::limits::{
    CLOCK_STEP_MIN, KEEP_REFRESH, KEEP_REFRESH_PART, KEEP_REFRESH_PORTIONS, NAME_TTL, NAME_TTL_KEPT,
    SESSION_TTL, SESSION_TTL_KEPT,
};
use crate::settings::Settings;
use crate::users::address_pattern::AddressPattern;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// Says what is kept, where something is.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// How often what is in use is written again.
    refresh: Duration,
    name_ttl: Duration,
    /// The topic that the settings give.
    topic: Option<Rc<str>>,
    /// The next portion of what is in use is written again then.
    next_portion: Moment,
    portion: u32,
    /// When the name of the user in a slot was last written, and the session in a slot.
    names: BTreeMap<u32, Moment>,
    sessions: BTreeMap<u32, Moment>,
    /// What the wall clock says at the start of the monotonic one, in milliseconds; it wraps where that is
    /// before 1970.
    clock: u64,
    /// Whether other nodes have the same users, but keep nothing.
    is_shared: bool,
    /// Whether it is written which room this is.
    has_room: bool,
}

frost!(struct Keeper { refresh, name_ttl, topic, next_portion, portion, names, sessions, clock, is_shared, has_room });

/// What an entry is about: the first byte of its key. Numbers are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name = 1,
    Session = 2,
    Ban = 3,
    Mute = 4,
    BotMute = 5,
    Invitation = 6,
    Slow = 7,
    Lock = 8,
    Topic = 9,
    Report = 10,
    Room = 11,
}

impl Kind {
    fn of(key: &[u8]) -> Option<(Self, &[u8])> {
        let (&first, rest) = key.split_first()?;
        KINDS.into_iter().find(|kind| *kind as u8 == first).map(|kind| (kind, rest))
    }

    fn key(self, rest: &[u8]) -> Vec<u8> {
        [&[self as u8], rest].concat()
    }
}

const KINDS: [Kind; 11] = [
    Kind::Name,
    Kind::Session,
    Kind::Ban,
    Kind::Mute,
    Kind::BotMute,
    Kind::Invitation,
    Kind::Slow,
    Kind::Lock,
    Kind::Topic,
    Kind::Report,
    Kind::Room,
];

/// Under a name.
struct KeptName {
    address: AddressHashes,
    /// When it was surely in use, in milliseconds since 1970.
    seen: u64,
}

/// Under the slot of a session.
struct KeptSession {
    token: KeyedHash,
    name: String,
    /// Whose the name was: it may be somebody else's when the session's end was not written.
    address: KeyedHash,
    seen: u64,
}

/// Under a pattern.
struct KeptBan {
    until: Option<Until>,
    name: Option<Rc<str>>,
}

/// When something ends. Whichever says that less is left is right.
#[derive(Clone, Copy)]
struct Until {
    /// Milliseconds since 1970.
    wall_ms: u64,
    /// How much was left when it was written.
    left: Duration,
}

struct KeptTopic {
    topic: Option<Rc<str>>,
    /// The setting in whose place it was set. Another one by now is newer.
    setting: Option<Rc<str>>,
}

struct KeptReport {
    /// Milliseconds since 1970.
    at: u64,
    reporter: AddressHashes,
    by: Rc<str>,
    text: Rc<str>,
}

frost!(struct KeptName { address, seen });
frost!(struct KeptSession { token, name, address, seen });
frost!(struct KeptBan { until, name });
frost!(struct Until { wall_ms, left });
frost!(struct KeptTopic { topic, setting });
frost!(struct KeptReport { at, reporter, by, text });

/// How a pattern stands in a key, in front of the hash of a mailbox or the name of a domain.
const ADDRESS: u8 = 0;
const DOMAIN: u8 = 1;
const DOMAIN_AND_BELOW: u8 = 2;

impl Until {
    fn of(now: Now, end: Moment) -> Self {
        let left = end.since(now.moment);
        Self { wall_ms: now.wall_ms.saturating_add(millis(left)), left }
    }

    /// When it ends by the monotonic clock.
    fn end(self, now: Now) -> Result<Moment, Gone> {
        let left = Duration::from_millis(self.wall_ms.saturating_sub(now.wall_ms)).min(self.left);
        if left.is_zero() { Err(Gone::Expired) } else { Ok(now.moment.after(left)) }
    }
}

impl Keeper {
    fn new(now: Now, settings: &Settings) -> Self {
        let is_shared = settings.is_shared;
        // Where other nodes have the same users, names and sessions expire there at the same time.
        let name_ttl = settings.name_ttl.unwrap_or(if is_shared { NAME_TTL } else { NAME_TTL_KEPT });
        let refresh = KEEP_REFRESH.min(name_ttl / KEEP_REFRESH_PART);
        Self {
            refresh,
            name_ttl,
            topic: settings.topic.as_deref().map(Rc::from),
            next_portion: now.moment.after(refresh / KEEP_REFRESH_PORTIONS),
            portion: 0,
            names: BTreeMap::new(),
            sessions: BTreeMap::new(),
            clock: clock(now),
            is_shared,
            has_room: false,
        }
    }

    /// How long a session is kept after its last connection.
    const fn session_ttl(&self) -> Duration {
        if self.is_shared { SESSION_TTL } else { SESSION_TTL_KEPT }
    }

    /// When the next portion of what is in use is written again.
    pub(crate) const fn next_deadline(&self) -> Moment {
        self.next_portion
    }

    /// Whether the entry of a slot was not written lately.
    fn is_stale(&self, written: &BTreeMap<u32, Moment>, slot: u32, now: Moment) -> bool {
        written.get(&slot).is_none_or(|written| now.since(*written) >= self.refresh)
    }

    /// When something expires that was surely in use then.
    fn expiry(&self, now: Now, seen: u64, ttl: Duration) -> Result<Moment, Gone> {
        let idle = Duration::from_millis(now.wall_ms.saturating_sub(seen));
        let left = (ttl + self.refresh).saturating_sub(idle).min(ttl);
        if left.is_zero() { Err(Gone::Expired) } else { Ok(now.moment.after(left)) }
    }
}

/// Why an entry does not come back.
enum Gone {
    Unreadable,
    Expired,
    /// It has no place any more.
    LeftOut,
}

/// What has come back so far, for entries that need others.
#[derive(Default)]
struct Back<'a> {
    names: BTreeMap<&'a str, UserId>,
    /// By their slots.
    sessions: BTreeMap<u32, (KeyedHash, UserId, Moment)>,
}

impl Users {
    /// Takes the place of a process whose entries these are, and says from now on what changes. To be called
    /// before anything else. Gives what is to change at once: entries that hold no more are removed.
    ///
    /// # Errors
    /// If an entry cannot be read. Entries of kinds that this version does not know stay as they are.
    pub(crate) fn restore(
        &mut self,
        now: Now,
        settings: &Settings,
        secret: [u8; 32],
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(Restored, Vec<Change>), RestoreError> {
        self.keep(now, settings, secret);
        // In the order of their kinds: sessions after the names whose they are.
        let entries = map_of(entries);
        let (mut back, mut restored, mut gone) = (Back::default(), Restored::default(), Vec::new());
        for (key, value) in &entries {
            let Some((kind, rest)) = Kind::of(key) else { continue };
            let count = match self.restore_entry(now, (kind, rest), value, &mut back) {
                Ok(()) => {
                    restored.entries += 1;
                    continue;
                }
                Err(Gone::Expired) => &mut restored.expired,
                Err(Gone::LeftOut) => &mut restored.left_out,
                Err(Gone::Unreadable) => return Err(RestoreError { kind: kind as u8 }),
            };
            *count += 1;
            gone.push(key.clone());
        }
        let slots: Vec<u32> = back.sessions.keys().copied().collect();
        self.sessions.restore(back.sessions);
        let lost = slots.into_iter().filter(|&slot| !self.sessions.has(slot)).map(session_key);
        let lost: Vec<Vec<u8>> = lost.collect();
        restored.entries = restored.entries.saturating_sub(lost.len());
        restored.left_out += lost.len();
        let removed = gone.into_iter().chain(lost);
        let mut changes: Vec<Change> = removed.map(|key| Change { key, value: None }).collect();
        for email in self.rules.settings_addresses() {
            self.meet(&email);
        }
        // What had to make room for others.
        let is_news =
            |change: &Change| change.value.is_none() || Kind::of(&change.key) == Some((Kind::Room, &[]));
        changes.extend(self.take_changes(now).into_iter().filter(is_news));
        Ok((restored, changes))
    }

    /// Says from now on what changes, and at once all that is to be kept: for users who were thawed, and are
    /// newer than these entries.
    pub(crate) fn keep_all(
        &mut self,
        now: Now,
        settings: &Settings,
        secret: [u8; 32],
        entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Vec<Change> {
        self.keep(now, settings, secret);
        self.bring_up_to_date(now, entries.into_iter().map(|(key, _)| key))
    }

    /// Whether entries are of another room than these users.
    pub(crate) fn are_of_other_room(&self, entries: &[(Vec<u8>, Vec<u8>)]) -> bool {
        let room = entries.iter().find(|(key, _)| Kind::of(key) == Some((Kind::Room, &[])));
        let room = room.and_then(|(_, value)| thaw::<u64>(value));
        !entries.is_empty() && room.map_or(!self.keeps(), |room| room != self.room)
    }

    /// Goes on with what the former users kept, whose place these take: other nodes know them. Gives what
    /// changes in it. `None`: they are of another room than what is kept, which must not be lost for that, or
    /// they know addresses and tokens by hashes of another key, by which nothing could be read again.
    pub(super) fn keep_on(
        &mut self,
        now: Now,
        settings: &Settings,
        former: &mut Self,
    ) -> Option<Vec<Change>> {
        let (Some(_), Some(key)) = (&former.keeper, former.sessions.key().cloned()) else {
            return Some(Vec::new());
        };
        if self.sessions.key().is_some_and(|own| !own.is(&key)) {
            return None;
        }
        let kept: Vec<Change> =
            former.all_changes(now).into_iter().filter(|change| change.value.is_some()).collect();
        let is_empty = kept.iter().all(|change| Kind::of(&change.key) == Some((Kind::Room, &[])));
        if self.room != former.room && !is_empty {
            return None;
        }
        self.go_on(Keeper::new(now, settings), key);
        Some(self.bring_up_to_date(now, kept.into_iter().map(|change| change.key)))
    }

    /// Says all that is to be kept, and which of these keys are not.
    fn bring_up_to_date(&mut self, now: Now, keys: impl Iterator<Item = Vec<u8>>) -> Vec<Change> {
        let changes = self.all_changes(now);
        let live = set_of(changes.iter().map(|change| &*change.key));
        let others = keys.filter(|key| Kind::of(key).is_some() && !live.contains(&**key));
        let removed: Vec<Change> = others.map(|key| Change { key, value: None }).collect();
        removed.into_iter().chain(changes).collect()
    }

    /// What stands under each key of what is kept.
    pub(crate) fn all_changes(&mut self, now: Now) -> Vec<Change> {
        if let Some(keeper) = &mut self.keeper {
            keeper.has_room = false;
        }
        self.note_all();
        self.take_changes(now)
    }

    fn keep(&mut self, now: Now, settings: &Settings, secret: [u8; 32]) {
        self.go_on(Keeper::new(now, settings), HashKey::new(secret));
    }

    fn go_on(&mut self, keeper: Keeper, key: HashKey) {
        self.names.begin_changes(keeper.name_ttl);
        self.sessions.begin_changes(key, keeper.session_ttl());
        self.hash_domains();
        self.rules.begin_changes();
        self.reports.begin_changes();
        self.keeper = Some(Box::new(keeper));
    }

    /// A thawed successor goes on where its predecessor was. `None`: what was thawed is not consistent.
    pub(super) fn link_keeper(&mut self) -> Option<()> {
        self.hash_domains();
        if let Some(keeper) = self.keeper.take() {
            let key = self.sessions.key()?.clone();
            let is_sound = (MINUTE..=KEEP_REFRESH).contains(&keeper.refresh);
            is_sound.then(|| self.go_on(*keeper, key))?;
        }
        Some(())
    }

    /// Prepares patterns of domains for addresses that are only known as hashes, if there may be any.
    pub(super) fn hash_domains(&mut self) {
        if let Some(key) = self.sessions.key() {
            self.rules.hash_domains(key);
        }
    }

    fn restore_entry<'a>(
        &mut self,
        now: Now,
        (kind, key): (Kind, &'a [u8]),
        value: &[u8],
        back: &mut Back<'a>,
    ) -> Result<(), Gone> {
        let keeper = self.keeper.as_ref().ok_or(Gone::Unreadable)?;
        match kind {
            Kind::Name => {
                let (text, kept) = (text(key)?, read::<KeptName>(value)?);
                let expires = keeper.expiry(now, kept.seen, keeper.name_ttl)?;
                let name = UserName::parse(text).map_err(|_| Gone::LeftOut)?;
                let user = self.names.restore(&name, EmailKey::hashed(kept.address), expires);
                let user = user.filter(|_| name.as_str() == text).ok_or(Gone::LeftOut)?;
                back.names.insert(text, user);
            }
            Kind::Session => {
                let (slot, kept) = (u32::from_be_bytes(array(key)?), read::<KeptSession>(value)?);
                let expires = keeper.expiry(now, kept.seen, keeper.session_ttl())?;
                let is_owner = |user: &&UserId| {
                    let owner = self.names.email(**user).zip(self.sessions.key());
                    owner.is_some_and(|(email, key)| email.hash(key) == kept.address)
                };
                let user = back.names.get(&*kept.name).filter(is_owner).ok_or(Gone::LeftOut)?;
                back.sessions.insert(slot, (kept.token, *user, expires));
            }
            Kind::Report => {
                let number = u64::from_be_bytes(array(key)?);
                let KeptReport { at, reporter, by, text } = read(value)?;
                let (at, age) = (now.moment, Duration::from_millis(now.wall_ms.saturating_sub(at)));
                let (reporter, without_line) = (EmailKey::hashed(reporter), text.clone());
                self.reports.push(Report { number, at, age, reporter, by, text, without_line });
            }
            Kind::Room => {
                // Where nothing is shared, the room is of no interest, and none is written.
                self.room = read(value)?;
                if let Some(keeper) = &mut self.keeper {
                    keeper.has_room = true;
                }
            }
            Kind::Ban
            | Kind::Mute
            | Kind::BotMute
            | Kind::Invitation
            | Kind::Slow
            | Kind::Lock
            | Kind::Topic => {
                let rule = self.kept_rule(now, (kind, key), value)?;
                self.set_rule(now.moment, rule).map_err(|TableFull| Gone::LeftOut)?;
            }
        }
        Ok(())
    }

    fn kept_rule(&self, now: Now, (kind, key): (Kind, &[u8]), value: &[u8]) -> Result<Rule, Gone> {
        let hash = |key| array(key).map(KeyedHash::from_bytes).map(EmailKey::of_hash);
        let domain = |key| text(key).map(Domain::new);
        Ok(match kind {
            Kind::Ban => {
                let pattern = match key.split_first() {
                    Some((&ADDRESS, rest)) => AddressPattern::Address(hash(rest)?),
                    Some((&DOMAIN, rest)) => AddressPattern::Domain(domain(rest)?),
                    Some((&DOMAIN_AND_BELOW, rest)) => AddressPattern::DomainAndBelow(domain(rest)?),
                    Some(_) | None => return Err(Gone::Unreadable),
                };
                let KeptBan { until, name } = read(value)?;
                let until = until.map(|until| until.end(now)).transpose()?;
                Rule::Ban(pattern, Ban { until, name }, Box::default())
            }
            Kind::Mute => Rule::Mute(hash(key)?, read::<Until>(value)?.end(now)?),
            Kind::BotMute => {
                let bot = self.bots.of_name(text(key)?);
                let end = read::<Until>(value)?.end(now)?;
                Rule::MuteBot(bot.ok_or(Gone::LeftOut)?, Some(end))
            }
            Kind::Invitation => Rule::Invite(EmailKey::hashed(read(value)?)),
            Kind::Slow => Rule::Slow(Some(read(value)?)),
            Kind::Lock => Rule::Lock(Some(read::<Until>(value)?.end(now)?)),
            Kind::Topic => {
                let kept: KeptTopic = read(value)?;
                let setting = self.keeper.as_ref().map(|keeper| &keeper.topic);
                if setting != Some(&kept.setting) {
                    return Err(Gone::Expired);
                }
                Rule::Topic(kept.topic)
            }
            Kind::Name | Kind::Session | Kind::Report | Kind::Room => return Err(Gone::Unreadable),
        })
    }

    /// An address was typed. Where it stands as a hash, it stands from now on. This comes before anything is
    /// compared with it.
    pub(crate) fn meet(&mut self, email: &EmailKey) {
        let Some(key) = self.sessions.key() else { return };
        let typed = Typed::new(email.clone(), key);
        self.names.learn(&typed);
        self.rules.learn(&typed);
        self.reports.learn(&typed);
    }

    /// What has changed, in order. Nothing, and at no cost, where nothing is kept.
    pub(crate) fn take_changes(&mut self, now: Now) -> Vec<Change> {
        let Some(mut keeper) = self.keeper.take() else { return Vec::new() };
        let clock = clock(now);
        if clock.wrapping_sub(keeper.clock).cast_signed().unsigned_abs() >= millis(CLOCK_STEP_MIN) {
            keeper.clock = clock;
            self.note_all();
        }
        let mut changes = Vec::new();
        if keeper.is_shared && !keeper.has_room {
            keeper.has_room = true;
            changes.push(change(Kind::Room.key(&[]), Some(self.room)));
        }
        for (name, user) in self.names.take_changes() {
            let email = user.and_then(|user| self.names.email(user)).zip(self.sessions.key());
            let kept = email.map(|(email, key)| KeptName { address: email.hashes(key), seen: now.wall_ms });
            if let (Some(user), true) = (user, kept.is_some()) {
                keeper.names.insert(user.slot(), now.moment);
            }
            changes.push(change(Kind::Name.key(name.as_str().as_bytes()), kept));
        }
        for id in self.sessions.take_changes() {
            keeper.sessions.insert(id.slot(), now.moment);
            changes.push(change(session_key(id.slot()), self.kept_session(now, id)));
        }
        for key in self.rules.take_changes() {
            changes.extend(self.kept_value(now, &keeper, &key));
        }
        for number in self.reports.take_changes() {
            let kept = self.reports.get(number).zip(self.sessions.key()).map(|(report, key)| KeptReport {
                at: now.wall_ms.saturating_sub(millis(report.age(now.moment))),
                reporter: report.reporter.hashes(key),
                by: report.by.clone(),
                text: report.without_line.clone(),
            });
            changes.push(change(Kind::Report.key(&number.to_be_bytes()), kept));
        }
        self.keeper = Some(keeper);
        changes
    }

    fn kept_session(&self, now: Now, id: SessionId) -> Option<KeptSession> {
        let (token, user) = self.sessions.kept(id)?;
        let address = self.names.email(user)?.hash(self.sessions.key()?);
        let name = self.names.get(user)?.as_str().to_owned();
        Some(KeptSession { token, name, address, seen: now.wall_ms })
    }

    /// What stands under the key of a rule.
    fn kept_value(&self, now: Now, keeper: &Keeper, key: &RuleKey) -> Option<Change> {
        let (rules, hash_key) = (&self.rules, self.sessions.key()?);
        let until = |left: Option<Duration>| left.map(|left| Until::of(now, now.moment.after(left)));
        let hash = |email: &EmailKey| *email.hash(hash_key).as_bytes();
        Some(match key {
            RuleKey::Ban(pattern) => {
                let key = match pattern {
                    AddressPattern::Address(mailbox) => [&[ADDRESS] as &[u8], &hash(mailbox)].concat(),
                    AddressPattern::Domain(domain) => [&[DOMAIN], domain.name.as_bytes()].concat(),
                    AddressPattern::DomainAndBelow(domain) => {
                        [&[DOMAIN_AND_BELOW], domain.name.as_bytes()].concat()
                    }
                };
                let kept = rules.ban_of(now.moment, pattern).map(|ban| KeptBan {
                    until: ban.until.map(|until| Until::of(now, until)),
                    name: ban.name.clone(),
                });
                change(Kind::Ban.key(&key), kept)
            }
            RuleKey::Mute(mailbox) => {
                change(Kind::Mute.key(&hash(mailbox)), until(rules.mute_left(now.moment, mailbox)))
            }
            RuleKey::BotMute(bot) => {
                let name = self.bots.name(*bot)?;
                change(Kind::BotMute.key(name.as_bytes()), until(rules.bot_mute_left(now.moment, *bot)))
            }
            RuleKey::Invitation(email) => {
                let kept = rules.is_invited(email).then(|| email.hashes(hash_key));
                change(Kind::Invitation.key(&hash(email)), kept)
            }
            RuleKey::Slow => change(Kind::Slow.key(&[]), rules.slow()),
            RuleKey::Lock => change(Kind::Lock.key(&[]), until(rules.wait_for_unlock(now.moment))),
            RuleKey::Topic => {
                let kept = KeptTopic { topic: rules.topic(), setting: keeper.topic.clone() };
                change(Kind::Topic.key(&[]), (kept.topic != kept.setting).then_some(kept))
            }
        })
    }

    fn note_all(&mut self) {
        self.names.note_where(|_, _| true);
        self.sessions.note_where(|_, _| true);
        self.rules.note_all();
        self.reports.note_all();
    }

    /// Notes a session and its user as changed that get a connection, unless they were written lately.
    pub(super) fn refresh(&mut self, now: Moment, session: SessionId, user: UserId) {
        let Some(keeper) = &self.keeper else { return };
        if keeper.is_stale(&keeper.names, user.slot(), now) {
            self.names.note(user);
        }
        if keeper.is_stale(&keeper.sessions, session.slot(), now) {
            self.sessions.note(session);
        }
    }

    /// Notes the next portion of what has a connection as changed, when it is due, and removes rules that are
    /// over.
    pub(super) fn refresh_portion(&mut self, now: Moment) {
        let Some(keeper) = self.keeper.as_mut().filter(|keeper| keeper.next_portion <= now) else { return };
        let interval = keeper.refresh / KEEP_REFRESH_PORTIONS;
        // A process that was stopped for long has some to catch up with, but no more than all.
        let mut due = [false; KEEP_REFRESH_PORTIONS as usize];
        while keeper.next_portion <= now && !due.iter().all(|&is_due| is_due) {
            keeper.next_portion = keeper.next_portion.after(interval);
            keeper.portion = (keeper.portion + 1) % KEEP_REFRESH_PORTIONS;
            due.get_mut(keeper.portion as usize).into_iter().for_each(|is_due| *is_due = true);
        }
        keeper.next_portion = keeper.next_portion.max(now.after(interval));
        let is_due = |slot: u32, is_connected: bool| {
            is_connected && due.get((slot % KEEP_REFRESH_PORTIONS) as usize) == Some(&true)
        };
        self.names.note_where(is_due);
        self.sessions.note_where(is_due);
        self.rules.forget_expired(now);
    }
}

/// What changes when a person is to be forgotten, who has the address or, where it has no `+tag`, the
/// mailbox: names, sessions, mutes, invitations, and reports by or about them are removed. A ban stays, for
/// it is the host's rule, but as a hash without a name.
///
/// # Errors
/// If it is no address, or an entry cannot be read.
pub(crate) fn forget(
    secret: [u8; 32],
    address: &str,
    entries: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<Vec<Change>, ForgetError> {
    let address = Email::parse(address).ok_or(ForgetError::NoAddress)?;
    let own = address.key().hash(&HashKey::new(secret));
    let mut names = BTreeSet::new();
    let mut changes = Vec::new();
    // In the order of their kinds: reports after the names that they may be about.
    for (key, value) in entries {
        let Some((kind, rest)) = Kind::of(key) else { continue };
        let fate = forgotten(own, (kind, rest), value, &mut names);
        match fate.ok_or(RestoreError { kind: kind as u8 }).map_err(ForgetError::Unreadable)? {
            Forgotten::Stays => {}
            Forgotten::Removed => changes.push(Change { key: key.clone(), value: None }),
            Forgotten::Ban(ban) => changes.push(change(key.clone(), Some(ban))),
        }
    }
    Ok(changes)
}

enum Forgotten {
    Stays,
    Removed,
    Ban(KeptBan),
}

fn forgotten<'a>(
    own: KeyedHash,
    (kind, key): (Kind, &'a [u8]),
    value: &[u8],
    names: &mut BTreeSet<&'a str>,
) -> Option<Forgotten> {
    let is_own = match kind {
        Kind::Name => {
            let is_own = thaw::<KeptName>(value)?.address.are_of(own);
            if is_own {
                names.insert(str::from_utf8(key).ok()?);
            }
            is_own
        }
        Kind::Session => names.contains(&*thaw::<KeptSession>(value)?.name),
        Kind::Ban if key.strip_prefix(&[ADDRESS]) == Some(own.as_bytes()) => {
            return Some(Forgotten::Ban(KeptBan { name: None, ..thaw(value)? }));
        }
        Kind::Mute => key == own.as_bytes(),
        Kind::Invitation => thaw::<AddressHashes>(value)?.are_of(own),
        Kind::Report => {
            let report: KeptReport = thaw(value)?;
            let is_about = |name: &&str| report.text.contains(&format!("@{name}:"));
            report.reporter.are_of(own) || names.iter().any(is_about)
        }
        Kind::Ban | Kind::BotMute | Kind::Slow | Kind::Lock | Kind::Topic | Kind::Room => false,
    };
    Some(if is_own { Forgotten::Removed } else { Forgotten::Stays })
}

fn session_key(slot: u32) -> Vec<u8> {
    Kind::Session.key(&slot.to_be_bytes())
}

fn change<T: Frost>(key: Vec<u8>, value: Option<T>) -> Change {
    Change { key, value: value.map(|value| frozen(&value)) }
}

fn thaw<T: Frost>(value: &[u8]) -> Option<T> {
    T::thaw(&mut Frozen::new(value))
}

fn read<T: Frost>(value: &[u8]) -> Result<T, Gone> {
    thaw(value).ok_or(Gone::Unreadable)
}

fn text(key: &[u8]) -> Result<&str, Gone> {
    str::from_utf8(key).map_err(|_| Gone::Unreadable)
}

fn array<const N: usize>(key: &[u8]) -> Result<[u8; N], Gone> {
    key.try_into().map_err(|_| Gone::Unreadable)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the wall clock says at the start of the monotonic one, in milliseconds.
const fn clock(now: Now) -> u64 {
    now.wall_ms.wrapping_sub(now.moment.as_ms())
}

/// No setting makes the refresh shorter.
const MINUTE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests;
