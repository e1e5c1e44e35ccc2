//! The rules of the room: who may come in, who may talk, how often, and the topic. Plain state with one
//! owner, `Users`; what has expired counts as gone, and makes room when room is needed.

use crate::base::frost::{frost, refill};
use crate::base::keyed_hash::HashKey;
use crate::base::sorted::map_of;
use crate::base::time::Moment;
use crate::limits::{
    BANS_MAX, CLOSED_NETWORK_MAX, CLOSED_NETWORKS_MAX, EMAIL_BYTES_MAX, INVITATIONS_MAX, MUTES_MAX,
    NAME_BYTES_MAX, SLOW_MAX, SPOKEN_MAX, TOPIC_BYTES_MAX,
};
use crate::settings::{Door, Settings};
use crate::usage::Usage;
use crate::users::address_pattern::AddressPattern;
use crate::users::bots::BotId;
use crate::users::changes::Changes;
use crate::users::email::{Domain, EmailKey, Typed};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Rules {
    door: Door,
    invitations: BTreeSet<EmailKey>,
    bans: BTreeMap<AddressPattern, Ban>,
    /// Client networks of the banned, the one that was closed first at the beginning.
    closed_networks: VecDeque<ClosedNetwork>,
    /// Muted mailboxes, and until when.
    mutes: BTreeMap<EmailKey, Moment>,
    /// Muted bots, and until when.
    muted_bots: BTreeMap<BotId, Moment>,
    slow: Option<Duration>,
    spoken: Spoken,
    /// No newcomers until then.
    locked_until: Option<Moment>,
    topic: Option<Rc<str>>,
    changes: Changes<RuleKey>,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RuleKey {
    Ban(AddressPattern),
    Mute(EmailKey),
    BotMute(BotId),
    Invitation(EmailKey),
    Slow,
    Lock,
    Topic,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ban {
    /// When it ends; `None`: when it is lifted.
    pub(crate) until: Option<Moment>,
    /// The name under which the banned was known.
    pub(crate) name: Option<Rc<str>>,
}

/// A client network that gets no new codes.
#[derive(Debug)]
struct ClosedNetwork {
    network: IpAddr,
    until: Moment,
    /// The ban that closed it.
    ban: AddressPattern,
}

/// A change of the rules.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    Mute(EmailKey, Moment),
    Unmute(EmailKey),
    /// Mutes a bot until then; `None`: no longer.
    MuteBot(BotId, Option<Moment>),
    /// Bans whom the pattern means, and keeps new codes from these client networks.
    Ban(AddressPattern, Ban, Box<[IpAddr]>),
    Unban(AddressPattern),
    Invite(EmailKey),
    Uninvite(EmailKey),
    /// The least time between two lines of one person; `None`: slow mode is off.
    Slow(Option<Duration>),
    /// No newcomers until then.
    Lock(Option<Moment>),
    Topic(Option<Rc<str>>),
}

/// Why a line is refused, and how long this holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    Muted(Duration),
    /// Slow mode: its last line is too fresh.
    Slow(Duration),
}

/// There are as many bans, mutes or invitations as there may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TableFull;

/// The newest line of each mailbox in slow mode, oldest first.
#[derive(Debug, Default)]
struct Spoken {
    at: BTreeMap<EmailKey, Moment>,
    order: VecDeque<(Moment, EmailKey)>,
}

frost!(struct Ban { until, name });
frost!(struct ClosedNetwork { network, until, ban });
frost!(struct Spoken { order } but { at: Spoken::newest(&order) });
refill!(struct Rules {
    invitations, bans, closed_networks, mutes, muted_bots, slow, spoken, locked_until, topic,
} but { door, changes } then Self::trim);

impl Rules {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            door: settings.door.clone(),
            invitations: BTreeSet::new(),
            bans: BTreeMap::new(),
            closed_networks: VecDeque::new(),
            mutes: BTreeMap::new(),
            muted_bots: BTreeMap::new(),
            slow: None,
            spoken: Spoken::default(),
            locked_until: None,
            topic: settings.topic.as_deref().map(Rc::from),
            changes: Changes::default(),
        }
    }

    /// Changes the rules.
    ///
    /// # Errors
    /// If there are too many bans, mutes or invitations.
    pub(crate) fn set(&mut self, now: Moment, rule: Rule) -> Result<(), TableFull> {
        let key = rule.key();
        self.carry_out(now, rule)?;
        self.changes.note(|| key);
        Ok(())
    }

    fn carry_out(&mut self, now: Moment, rule: Rule) -> Result<(), TableFull> {
        match rule {
            Rule::Mute(mailbox, until) => return self.mute(now, mailbox, until),
            Rule::Unmute(mailbox) => drop(self.mutes.remove(&mailbox)),
            // There are few bots, and each has one place.
            Rule::MuteBot(bot, Some(until)) => drop(self.muted_bots.insert(bot, until)),
            Rule::MuteBot(bot, None) => drop(self.muted_bots.remove(&bot)),
            Rule::Ban(pattern, ban, networks) => return self.ban(now, pattern, ban, &networks),
            Rule::Unban(pattern) => {
                self.bans.remove(&pattern);
                self.closed_networks.retain(|closed| closed.ban != pattern);
            }
            Rule::Invite(email) => return self.invite(email),
            Rule::Uninvite(email) => {
                self.invitations.remove(&email);
            }
            Rule::Slow(slow) => {
                self.slow = slow;
                // Moments that were noted for another time between lines would not leave in order.
                self.spoken = Spoken::default();
            }
            Rule::Lock(until) => self.locked_until = until,
            Rule::Topic(topic) => self.topic = topic,
        }
        Ok(())
    }

    /// Whether the address is a moderator's: exactly, but for its case.
    pub(crate) fn is_moderator(&self, email: &EmailKey) -> bool {
        self.door.moderators.contains(email)
    }

    pub(crate) fn has_moderators(&self) -> bool {
        !self.door.moderators.is_empty()
    }

    /// Whether a moderator has invited the address: exactly, but for its case.
    pub(crate) fn is_invited(&self, email: &EmailKey) -> bool {
        self.invitations.contains(email)
    }

    /// Whether the address may come in.
    ///
    /// An invitation is for one address, so it wins over the settings and over bans of a domain; a ban of the
    /// address itself wins over it.
    pub(crate) fn admits(&self, now: Moment, email: &EmailKey) -> bool {
        let is_allowed =
            || self.is_invited(email) || self.door.allow.as_deref().is_none_or(|allow| is_in(allow, email));
        self.readmits(now, email) && (self.is_moderator(email) || is_allowed())
    }

    /// Whether the address, which was admitted before, may come in again: neither `PLUME_DENY` nor a ban
    /// keeps it out.
    pub(crate) fn readmits(&self, now: Moment, email: &EmailKey) -> bool {
        if self.is_moderator(email) {
            return true;
        }
        let is_shut_out = || is_in(&self.door.deny, email) || self.is_domain_banned(now, email);
        !self.is_banned(now, email) && (self.is_invited(email) || !is_shut_out())
    }

    /// Whether a ban with this pattern is for the address: never for a moderator's, and a ban of a domain not
    /// for one that is invited.
    pub(crate) fn is_ban_for(&self, pattern: &AddressPattern, email: &EmailKey) -> bool {
        let is_meant = match pattern {
            AddressPattern::Address(mailbox) => email.mailbox() == *mailbox,
            AddressPattern::Domain(_) | AddressPattern::DomainAndBelow(_) => {
                pattern.matches(email) && !self.is_invited(email)
            }
        };
        is_meant && !self.is_moderator(email)
    }

    /// Whether a client network gets no new codes, because somebody in it was banned.
    pub(crate) fn is_closed(&self, now: Moment, network: IpAddr) -> bool {
        self.closed_networks.iter().any(|closed| closed.network == network && closed.until > now)
    }

    /// How long newcomers have to wait.
    pub(crate) fn wait_for_unlock(&self, now: Moment) -> Option<Duration> {
        left(now, self.locked_until?)
    }

    /// Why the address may not say a line now.
    pub(crate) fn silence(&self, now: Moment, email: &EmailKey) -> Option<Silence> {
        if (self.mutes.is_empty() && self.slow.is_none()) || self.is_moderator(email) {
            return None;
        }
        let mailbox = email.mailbox();
        if let Some(wait) = self.mute_left(now, &mailbox) {
            return Some(Silence::Muted(wait));
        }
        let next = self.spoken.at.get(&mailbox)?.after(self.slow?);
        left(now, next).map(Silence::Slow)
    }

    /// A line was said, which slow mode counts.
    pub(crate) fn count_line(&mut self, now: Moment, email: &EmailKey) {
        if let Some(slow) = self.slow
            && !self.is_moderator(email)
        {
            self.spoken.add(now, email.mailbox(), slow);
        }
    }

    /// How long the mailbox is still muted.
    pub(crate) fn mute_left(&self, now: Moment, mailbox: &EmailKey) -> Option<Duration> {
        left(now, *self.mutes.get(mailbox)?)
    }

    /// How long each mailbox is still muted.
    #[cfg(test)]
    pub(crate) fn mutes_left(&self, now: Moment) -> Vec<Duration> {
        self.mutes.values().filter_map(|&until| left(now, until)).collect()
    }

    /// How long the bot is still muted.
    pub(crate) fn bot_mute_left(&self, now: Moment, bot: BotId) -> Option<Duration> {
        left(now, *self.muted_bots.get(&bot)?)
    }

    /// Mutes a mailbox, instead of an earlier mute.
    ///
    /// # Errors
    /// If there are too many.
    fn mute(&mut self, now: Moment, mailbox: EmailKey, until: Moment) -> Result<(), TableFull> {
        if self.mutes.len() >= MUTES_MAX && !self.mutes.contains_key(&mailbox) {
            self.forget_expired(now);
            if self.mutes.len() >= MUTES_MAX {
                return Err(TableFull);
            }
        }
        self.mutes.insert(mailbox, until);
        Ok(())
    }

    /// Bans whom the pattern means, instead of an earlier ban on the same.
    ///
    /// # Errors
    /// If there are too many.
    fn ban(
        &mut self,
        now: Moment,
        pattern: AddressPattern,
        ban: Ban,
        networks: &[IpAddr],
    ) -> Result<(), TableFull> {
        if self.bans.len() >= BANS_MAX && !self.bans.contains_key(&pattern) {
            self.forget_expired(now);
            if self.bans.len() >= BANS_MAX {
                return Err(TableFull);
            }
        }
        let a_day = now.after(CLOSED_NETWORK_MAX);
        let until = ban.until.map_or(a_day, |until| until.min(a_day));
        self.close_networks(now, &pattern, until, networks);
        self.bans.insert(pattern, ban);
        Ok(())
    }

    /// Closes client networks for new codes, because of this ban. Those that it has closed before stay closed
    /// for no longer than it lasts now.
    fn close_networks(&mut self, now: Moment, ban: &AddressPattern, until: Moment, networks: &[IpAddr]) {
        for closed in self.closed_networks.iter_mut().filter(|closed| closed.ban == *ban) {
            closed.until = closed.until.min(until);
        }
        let is_new = |closed: &ClosedNetwork| closed.ban == *ban && networks.contains(&closed.network);
        self.closed_networks.retain(|closed| closed.until > now && !is_new(closed));
        for &network in networks {
            if self.closed_networks.len() >= CLOSED_NETWORKS_MAX {
                self.closed_networks.pop_front();
            }
            self.closed_networks.push_back(ClosedNetwork { network, until, ban: ban.clone() });
        }
    }

    /// Invites an address.
    ///
    /// # Errors
    /// If there are too many invitations.
    fn invite(&mut self, email: EmailKey) -> Result<(), TableFull> {
        if self.invitations.len() >= INVITATIONS_MAX && !self.is_invited(&email) {
            return Err(TableFull);
        }
        self.invitations.insert(email);
        Ok(())
    }

    /// The addresses that are invited, in alphabetical order.
    pub(crate) fn invitations(&self) -> impl ExactSizeIterator<Item = &EmailKey> {
        self.invitations.iter()
    }

    /// The ban with exactly this pattern.
    pub(crate) fn ban_of(&self, now: Moment, pattern: &AddressPattern) -> Option<&Ban> {
        self.bans.get(pattern).filter(|ban| ban.holds(now))
    }

    pub(crate) fn bans(&self, now: Moment) -> impl Iterator<Item = (&AddressPattern, &Ban)> {
        self.bans.iter().filter(move |(_, ban)| ban.holds(now))
    }

    /// The time between two lines of one person.
    pub(crate) fn slow(&self) -> Option<Duration> {
        self.slow
    }

    pub(crate) fn topic(&self) -> Option<Rc<str>> {
        self.topic.clone()
    }

    /// What the rules hold, beside its limit.
    pub(crate) fn usage(&self) -> [Usage; 5] {
        [
            Usage::new("invitations", self.invitations.len(), INVITATIONS_MAX),
            Usage::new("bans", self.bans.len(), BANS_MAX),
            Usage::new("closed networks", self.closed_networks.len(), CLOSED_NETWORKS_MAX),
            Usage::new("mutes", self.mutes.len(), MUTES_MAX),
            Usage::new("lines that slow mode counts", self.spoken.order.len(), SPOKEN_MAX),
        ]
    }

    /// Drops what is beyond the limits of this version.
    #[expect(clippy::unnecessary_wraps, reason = "what `refill!` calls may refuse a state")]
    fn trim(&mut self) -> Option<()> {
        self.bans.retain(|pattern, _| pattern.domain().is_none_or(|domain| domain.len() <= EMAIL_BYTES_MAX));
        for ban in self.bans.values_mut() {
            ban.name = ban.name.take().filter(|name| name.len() <= NAME_BYTES_MAX);
        }
        while self.closed_networks.len() > CLOSED_NETWORKS_MAX {
            self.closed_networks.pop_front();
        }
        self.slow = self.slow.map(|slow| slow.min(SLOW_MAX));
        self.topic = self.topic.take().filter(|topic| topic.len() <= TOPIC_BYTES_MAX);
        Some(())
    }

    /// Whether the address itself is banned, with all its `+tag`s.
    pub(crate) fn is_banned(&self, now: Moment, email: &EmailKey) -> bool {
        self.ban_of(now, &AddressPattern::Address(email.mailbox())).is_some()
    }

    /// Whether a ban is for all addresses of a domain. Looked up by each domain above it: there may be many
    /// bans. Where only hashes of the domains are known, each ban is compared with them.
    fn is_domain_banned(&self, now: Moment, email: &EmailKey) -> bool {
        let Some(mut domains) = email.domains() else {
            let is_domain = |pattern: &AddressPattern| !matches!(pattern, AddressPattern::Address(_));
            return self.bans(now).any(|(pattern, _)| is_domain(pattern) && pattern.matches(email));
        };
        let mut own = true;
        domains.any(|domain| {
            let domain = Domain::new(domain);
            let is_banned = |pattern| self.ban_of(now, &pattern).is_some();
            std::mem::take(&mut own) && is_banned(AddressPattern::Domain(domain.clone()))
                || is_banned(AddressPattern::DomainAndBelow(domain))
        })
    }

    /// Forgets bans and mutes that are over.
    pub(crate) fn forget_expired(&mut self, now: Moment) {
        let changes = &mut self.changes;
        self.bans.retain(|pattern, ban| {
            let holds = ban.holds(now);
            if !holds {
                changes.note(|| RuleKey::Ban(pattern.clone()));
            }
            holds
        });
        self.mutes.retain(|mailbox, until| {
            let holds = *until > now;
            if !holds {
                changes.note(|| RuleKey::Mute(mailbox.clone()));
            }
            holds
        });
    }

    /// From now on, notes what changes.
    pub(crate) fn begin_changes(&mut self) {
        self.changes.begin();
    }

    /// Domains in patterns get the hashes by which addresses are compared that are only known as hashes.
    pub(crate) fn hash_domains(&mut self, key: &HashKey) {
        let Door { moderators: _, allow, deny } = &mut self.door;
        for pattern in allow.iter_mut().flatten().chain(deny) {
            pattern.hash_domain(key);
        }
        let hashed = |(mut pattern, ban): (AddressPattern, Ban)| {
            pattern.hash_domain(key);
            (pattern, ban)
        };
        self.bans = map_of(std::mem::take(&mut self.bans).into_iter().map(hashed));
    }

    pub(crate) fn take_changes(&mut self) -> Vec<RuleKey> {
        self.changes.take()
    }

    pub(crate) fn note_all(&mut self) {
        let bans = self.bans.keys().cloned().map(RuleKey::Ban);
        let mutes = self.mutes.keys().cloned().map(RuleKey::Mute);
        let bots = self.muted_bots.keys().copied().map(RuleKey::BotMute);
        let invitations = self.invitations.iter().cloned().map(RuleKey::Invitation);
        let single = [RuleKey::Slow, RuleKey::Lock, RuleKey::Topic];
        for key in bans.chain(mutes).chain(bots).chain(invitations).chain(single) {
            self.changes.note(|| key);
        }
    }

    /// The addresses that stand in the settings.
    pub(crate) fn settings_addresses(&self) -> Vec<EmailKey> {
        let patterns = self.door.allow.iter().flatten().chain(&self.door.deny);
        let addresses = patterns.filter_map(|pattern| match pattern {
            AddressPattern::Address(email) => Some(email),
            AddressPattern::Domain(_) | AddressPattern::DomainAndBelow(_) => None,
        });
        self.door.moderators.iter().chain(addresses).cloned().collect()
    }

    /// An address was typed: where it stands as a hash, it stands from now on.
    pub(crate) fn learn(&mut self, typed: &Typed) {
        if self.invitations.remove(&typed.hashed_address()) {
            self.invitations.insert(typed.address.clone());
        }
        let hashed_mailbox = typed.hashed_mailbox();
        if let Some(until) = self.mutes.remove(&hashed_mailbox) {
            self.mutes.insert(typed.mailbox.clone(), until);
        }
        if let Some(at) = self.spoken.at.remove(&hashed_mailbox) {
            self.spoken.at.insert(typed.mailbox.clone(), at);
            self.spoken.order.iter_mut().for_each(|(_, mailbox)| mailbox.learn(typed));
        }
        if let Some(ban) = self.bans.remove(&AddressPattern::Address(hashed_mailbox)) {
            self.bans.insert(AddressPattern::Address(typed.mailbox.clone()), ban);
            self.closed_networks.iter_mut().for_each(|closed| closed.ban.learn(typed));
        }
        for key in self.changes.iter_mut() {
            match key {
                RuleKey::Ban(pattern) => pattern.learn(typed),
                RuleKey::Mute(email) | RuleKey::Invitation(email) => email.learn(typed),
                RuleKey::BotMute(_) | RuleKey::Slow | RuleKey::Lock | RuleKey::Topic => {}
            }
        }
    }
}

impl Rule {
    fn key(&self) -> RuleKey {
        match self {
            Self::Mute(mailbox, _) | Self::Unmute(mailbox) => RuleKey::Mute(mailbox.clone()),
            Self::MuteBot(bot, _) => RuleKey::BotMute(*bot),
            Self::Ban(pattern, ..) | Self::Unban(pattern) => RuleKey::Ban(pattern.clone()),
            Self::Invite(email) | Self::Uninvite(email) => RuleKey::Invitation(email.clone()),
            Self::Slow(_) => RuleKey::Slow,
            Self::Lock(_) => RuleKey::Lock,
            Self::Topic(_) => RuleKey::Topic,
        }
    }
}

fn is_in(patterns: &[AddressPattern], email: &EmailKey) -> bool {
    patterns.iter().any(|pattern| pattern.matches(email))
}

impl Ban {
    fn holds(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl Spoken {
    /// The newest moment of each mailbox.
    fn newest(order: &VecDeque<(Moment, EmailKey)>) -> BTreeMap<EmailKey, Moment> {
        map_of(order.iter().map(|(at, mailbox)| (mailbox.clone(), *at)))
    }

    fn add(&mut self, now: Moment, mailbox: EmailKey, slow: Duration) {
        while let Some((at, _)) = self.order.front()
            && (at.after(slow) <= now || self.order.len() >= SPOKEN_MAX)
        {
            if let Some((at, mailbox)) = self.order.pop_front()
                && self.at.get(&mailbox) == Some(&at)
            {
                self.at.remove(&mailbox);
            }
        }
        self.at.insert(mailbox.clone(), now);
        self.order.push_back((now, mailbox));
    }
}

/// What is left until then, if anything.
fn left(now: Moment, until: Moment) -> Option<Duration> {
    (until > now).then(|| until.since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::email::Email;

    fn key(typed: &str) -> EmailKey {
        Email::parse(typed).unwrap().key()
    }

    fn pattern(typed: &str) -> AddressPattern {
        AddressPattern::parse(typed).unwrap()
    }

    fn rules(moderators: &[&str], allow: Option<&[&str]>, deny: &[&str]) -> Rules {
        let patterns = |typed: &[&str]| typed.iter().map(|typed| pattern(typed)).collect();
        let moderators = moderators.iter().map(|typed| key(typed)).collect();
        let door = Door { moderators, allow: allow.map(patterns), deny: patterns(deny) };
        Rules::new(&Settings { door, ..Settings::default() })
    }

    type Row<'a> = (Option<&'a [&'a str]>, &'a [&'a str], &'a str, bool);

    #[test]
    fn the_door_is_open_to_whom_the_settings_name() {
        let now = Moment::from_ms(0);
        let rows: [Row<'_>; 10] = [
            (None, &[], "bob@example.org", true),
            (None, &["@example.org"], "bob@example.org", false),
            (None, &["@example.org"], "Ada@example.org", true),
            (None, &["bob@example.org"], "bob+x@example.org", true),
            (Some(&["@example.com"]), &[], "bob@example.org", false),
            (Some(&["@example.com"]), &[], "bob@example.com", true),
            (Some(&["@example.com"]), &[], "ada@example.org", true),
            (Some(&["@example.com"]), &[], "ada+x@example.org", false),
            (Some(&["@.example.com"]), &["eve@a.example.com"], "bob@a.example.com", true),
            (Some(&["@.example.com"]), &["eve@a.example.com"], "eve@a.example.com", false),
        ];
        for (allow, deny, email, is_admitted) in rows {
            let rules = rules(&["ada@example.org"], allow, deny);
            assert_eq!(rules.admits(now, &key(email)), is_admitted, "{allow:?} {deny:?} {email}");
        }
    }

    #[test]
    fn a_ban_is_a_mailboxs_or_a_domains_and_ends() {
        let at = Moment::from_ms;
        let mut rules = rules(&["ada@example.org"], None, &[]);
        let ban = |until| Ban { until, name: None };
        for typed in ["bob@example.org", "@example.com", "@.example.net"] {
            rules.ban(at(0), pattern(typed), ban(Some(at(9))), &[]).unwrap();
        }
        let rows = [
            ("bob@example.org", false),
            ("bob+second@example.org", false),
            ("bobby@example.org", true),
            ("eve@example.com", false),
            ("eve@a.example.com", true),
            ("eve@example.net", false),
            ("eve@b.a.example.net", false),
        ];
        for (email, is_admitted) in rows {
            assert_eq!(rules.admits(at(8), &key(email)), is_admitted, "{email}");
            assert!(rules.admits(at(9), &key(email)), "{email}");
        }
        rules.ban(at(0), pattern("@example.org"), ban(None), &[]).unwrap();
        assert!(rules.admits(at(9), &key("ada@example.org")), "moderators come in");
        assert!(!rules.admits(at(1 << 40), &key("bobby@example.org")));
        rules.set(at(0), Rule::Unban(pattern("@example.org"))).unwrap();
        assert!(rules.admits(at(9), &key("bobby@example.org")));
    }

    #[test]
    fn the_invited_come_in_past_settings_and_domain_bans_and_not_past_a_ban_of_their_own() {
        let at = Moment::from_ms;
        // The settings, what is banned, and whether an uninvited address is admitted.
        let rows: [Row<'_>; 7] = [
            (None, &[], "", true),
            (Some(&[]), &[], "", false),
            (Some(&["@example.com"]), &[], "", false),
            (None, &["@example.org"], "", false),
            (Some(&[]), &["bob@example.org"], "", false),
            (None, &[], "@example.org", false),
            (None, &[], "bob@example.org", false),
        ];
        let bob = key("bob@example.org");
        for (allow, deny, banned, is_admitted) in rows {
            let mut rules = rules(&[], allow, deny);
            if !banned.is_empty() {
                rules.ban(at(0), pattern(banned), Ban { until: None, name: None }, &[]).unwrap();
            }
            let is_invited_admitted = banned != "bob@example.org";
            assert_eq!(rules.admits(at(1), &bob), is_admitted, "{allow:?} {deny:?} {banned:?}");
            rules.set(at(0), Rule::Invite(bob.clone())).unwrap();
            assert_eq!(rules.admits(at(1), &bob), is_invited_admitted, "{allow:?} {deny:?} {banned:?}");
            assert!(!rules.is_invited(&key("bob+x@example.org")), "exactly this address");
            rules.set(at(0), Rule::Uninvite(bob.clone())).unwrap();
            assert_eq!(rules.admits(at(1), &bob), is_admitted, "{allow:?} {deny:?} {banned:?}");
        }
        // Who is in comes in again although the lists of who may come in have changed, and not past a ban.
        let mut rules = rules(&[], Some(&[]), &[]);
        assert!(!rules.admits(at(0), &bob) && rules.readmits(at(0), &bob));
        rules.ban(at(0), pattern("@example.org"), Ban { until: None, name: None }, &[]).unwrap();
        assert!(!rules.readmits(at(0), &bob));
    }

    #[test]
    fn a_ban_closes_networks_for_a_day_at_most_and_unbanning_opens_them() {
        let at = Moment::from_ms;
        let ip = |n: usize| -> IpAddr { format!("203.0.{}.{}", n / 250, n % 250).parse().unwrap() };
        let day = at(0).after(CLOSED_NETWORK_MAX);
        let ban = |until| Ban { until, name: None };
        let mut rules = rules(&[], None, &[]);
        let (bob, eve) = (pattern("bob@example.org"), pattern("eve@example.org"));
        rules.ban(at(0), bob.clone(), ban(None), &[ip(1), ip(2)]).unwrap();
        rules.ban(at(0), eve.clone(), ban(Some(at(9))), &[ip(2), ip(3)]).unwrap();
        let closed =
            |rules: &Rules, now| (1..=4).filter(|&n| rules.is_closed(now, ip(n))).collect::<Vec<_>>();
        assert_eq!(closed(&rules, at(8)), [1, 2, 3]);
        assert_eq!(closed(&rules, at(9)), [1, 2], "for no longer than the ban");
        assert_eq!(closed(&rules, day), [0; 0]);
        rules.ban(at(1), bob.clone(), ban(None), &[ip(4)]).unwrap();
        assert_eq!(closed(&rules, at(8)), [1, 2, 3, 4]);
        rules.ban(at(1), bob.clone(), ban(Some(at(5))), &[]).unwrap();
        assert_eq!(closed(&rules, at(6)), [2, 3], "a shorter ban opens them earlier");
        rules.ban(at(2), bob.clone(), ban(None), &[ip(1)]).unwrap();
        rules.set(at(3), Rule::Unban(bob)).unwrap();
        assert_eq!(closed(&rules, at(3)), [2, 3], "for the other ban");
        rules.set(at(3), Rule::Unban(eve.clone())).unwrap();
        assert!(rules.closed_networks.is_empty());
        for n in 0..=CLOSED_NETWORKS_MAX {
            rules.ban(at(4), eve.clone(), ban(None), &[ip(n)]).unwrap();
        }
        assert_eq!(rules.closed_networks.len(), CLOSED_NETWORKS_MAX);
        assert!(!rules.is_closed(at(5), ip(0)) && rules.is_closed(at(5), ip(1)), "the oldest gave way");
    }

    #[test]
    fn a_full_table_refuses_and_evicts_only_what_is_over() {
        let at = Moment::from_ms;
        let mut rules = rules(&[], None, &[]);
        let email = |n: usize| key(&format!("p{n}@example.org"));
        for n in 0..BANS_MAX {
            let until = if n == 0 { at(5) } else { at(9) };
            let ban = Ban { until: Some(until), name: None };
            assert_eq!(rules.ban(at(0), AddressPattern::Address(email(n)), ban, &[]), Ok(()));
        }
        let one_more = || (AddressPattern::Address(email(BANS_MAX)), Ban { until: None, name: None });
        let (pattern, ban) = one_more();
        assert_eq!(rules.ban(at(4), pattern, ban, &[]), Err(TableFull));
        assert!(!rules.admits(at(4), &email(0)));
        let (pattern, ban) = one_more();
        assert_eq!(rules.ban(at(5), pattern, ban, &[]), Ok(()));
        for n in 0..INVITATIONS_MAX {
            assert_eq!(rules.invite(email(n)), Ok(()));
        }
        assert_eq!(rules.invite(email(INVITATIONS_MAX)), Err(TableFull));
        assert_eq!(rules.invite(email(0)), Ok(()));
        rules.set(at(0), Rule::Uninvite(email(0))).unwrap();
        assert_eq!(rules.invite(email(INVITATIONS_MAX)), Ok(()));
        for n in 0..MUTES_MAX {
            assert_eq!(rules.mute(at(0), email(n), at(9)), Ok(()));
        }
        assert_eq!(rules.mute(at(0), email(MUTES_MAX), at(9)), Err(TableFull));
        assert_eq!(rules.mute(at(0), email(0), at(10)), Ok(()));
        assert_eq!(rules.mute(at(9), email(MUTES_MAX), at(10)), Ok(()));
    }

    #[test]
    fn a_mute_and_slow_mode_are_a_mailboxs_and_not_a_moderators() {
        let at = Moment::from_ms;
        let ms = Duration::from_millis;
        let mut rules = rules(&["ada@example.org"], None, &[]);
        let (ada, bob, second) = (key("ada@example.org"), key("bob@example.org"), key("bob+x@example.org"));
        rules.set(at(0), Rule::Slow(Some(ms(10)))).unwrap();
        for email in [&ada, &bob] {
            assert_eq!(rules.silence(at(0), email), None);
            rules.count_line(at(0), email);
        }
        assert_eq!(rules.silence(at(4), &second), Some(Silence::Slow(ms(6))));
        assert_eq!((rules.silence(at(4), &ada), rules.silence(at(10), &bob)), (None, None));
        rules.mute(at(0), bob.clone(), at(20)).unwrap();
        rules.mute(at(0), ada.clone(), at(20)).unwrap();
        assert_eq!(rules.silence(at(4), &second), Some(Silence::Muted(ms(16))));
        assert_eq!((rules.silence(at(4), &ada), rules.silence(at(20), &bob)), (None, None));
        rules.set(at(4), Rule::Unmute(bob.clone())).unwrap();
        rules.set(at(0), Rule::Slow(None)).unwrap();
        assert_eq!(rules.silence(at(4), &bob), None);
        rules.set(at(0), Rule::Slow(Some(ms(10)))).unwrap();
        for n in 0..50 {
            rules.count_line(at(10 * n), &key(&format!("p{n}@example.org")));
        }
        assert_eq!((rules.spoken.at.len(), rules.spoken.order.len()), (1, 1), "no more than slow mode needs");
    }
}
