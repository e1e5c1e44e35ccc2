//! Moderators of a world: what they do, and what must follow from it.
//!
//! The acts are lines of the room, so most can be checked in the order of the lines: from the line of a ban
//! to that of its end, whoever is banned says nothing and does not enter. Times are held against the server
//! only where they are sure: an act holds from when it was sent, at the earliest, and a line was said at the
//! latest when somebody received it.

use super::{PEOPLE, World};
use crate::testkit::client::{Client, Line, Person, Phase};
use crate::testkit::driver::moderated_by;
use crate::testkit::ledger::mailbox;
use plume::base::time::Moment;
use plume::settings::Door;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who has power in worlds with moderators.
pub(super) const MODERATOR: Person = PEOPLE[0];

/// What a moderator has asked for.
pub(super) struct Act {
    at: Moment,
    /// How long it holds; `None`: until it is lifted. For slow mode, the time between two lines.
    time: Option<Duration>,
}

/// What holds behind a line, as far as it is sure.
#[derive(Default)]
struct Rules {
    /// By mailbox, until when; `None`: until the ban is lifted.
    banned: BTreeMap<String, Option<Moment>>,
    muted: BTreeMap<String, Option<Moment>>,
    /// No newcomers until then.
    locked: Option<Moment>,
    slow: Option<Duration>,
    /// In slow mode, the mailboxes that said a line, and when they sent it.
    spoke: BTreeMap<String, Moment>,
}

/// A door with a moderator.
pub(super) fn door() -> Door {
    moderated_by(MODERATOR.email).door
}

impl World {
    /// A member types a command, if this world has moderators.
    pub(super) fn may_command(&mut self, client: &Client) -> bool {
        let is_moderator = client.person.email == MODERATOR.email;
        if !self.nature.is_moderated || !self.choices.chance(if is_moderator { 600 } else { 40 }) {
            return false;
        }
        if self.choices.chance(if is_moderator { 30 } else { 300 }) {
            self.type_anything(client);
        } else if is_moderator {
            self.moderate(client);
        } else {
            self.try_to_moderate(client);
        }
        true
    }

    fn moderate(&mut self, client: &Client) {
        let target = PEOPLE[self.choices.index(self.nature.people)];
        let seconds = self.choices.pick(&[60, 3_600, 86_400]);
        let (time, name) = (Some(Duration::from_secs(seconds)), target.name);
        let (text, time) = match self.choices.below(30) {
            0..4 => (format!("/kick {name} a reason"), None),
            4..8 => (format!("/mute {name} {seconds}s"), time),
            8..10 => (format!("/unmute {name}"), None),
            10..12 => (format!("/ban {name}"), None),
            12 => (format!("/ban {name} {seconds}s spam"), time),
            13..18 => (format!("/unban {name}"), None),
            18 => (format!("/slow {}", seconds.min(3_600)), time.min(Some(Duration::from_hours(1)))),
            19..22 => ("/slow off".to_owned(), None),
            22 => (format!("/lock {seconds}s"), time),
            23..25 => ("/unlock".to_owned(), None),
            25 => (format!("/invite {}", target.email), None),
            26 => (format!("/uninvite {}", target.email), None),
            27 => ("/topic tea".to_owned(), None),
            28 => (format!("/report {name} spam"), None),
            _ => ("/bans".to_owned(), None),
        };
        if text.starts_with("/kick") || text.starts_with("/ban ") {
            self.removable.extend(covered_by(target).map(|person| person.name));
        }
        let reference = format!("act {}", self.acts.len());
        self.acts.push(Act { at: self.now(), time });
        self.send(client, &json!({"type": 1, "text": text, "ref": reference}).to_string());
    }

    /// Who has no power is refused.
    fn try_to_moderate(&mut self, client: &Client) {
        let name = PEOPLE[self.choices.index(self.nature.people)].name;
        let text = match self.choices.below(7) {
            0 => format!("/kick {name}"),
            1 => format!("/ban {name}"),
            2 => "/lock".to_owned(),
            3 => "/topic mine".to_owned(),
            4 => format!("/who {name}"),
            5 => format!("/report {name} spam"),
            _ => "/help".to_owned(),
        };
        self.send(client, &json!({"type": 1, "text": text}).to_string());
    }

    /// A command with anything behind it. What it does, if anything, is not foreseen.
    fn type_anything(&mut self, client: &Client) {
        const WORDS: [&str; 18] = [
            "help", "topic", "who", "report", "kick", "mute", "unmute", "ban", "unban", "bans", "slow",
            "lock", "unlock", "invite", "uninvite", "invites", "reports", "x",
        ];
        let word = self.choices.pick(&WORDS);
        let arguments = self.choices.literal(40);
        let text = format!("/{word} {}", String::from_utf8_lossy(&arguments));
        if client.person.email == MODERATOR.email {
            self.removable.extend(PEOPLE.iter().map(|person| person.name));
        }
        self.tally.count("any command", 1);
        self.send(client, &json!({"type": 1, "text": text}).to_string());
    }

    /// A connection was removed by a moderator.
    pub(super) fn check_removed(&mut self, client: &Client) {
        self.tally.count("removed", 1);
        let Person { name, email, .. } = client.person;
        assert!(email != MODERATOR.email, "moderators are safe");
        let is_known = self.removable.contains(name) || self.lines.rogues.contains(MODERATOR.name);
        assert!(is_known, "nobody has kicked or banned {name}");
        if let Some(token) = &client.session {
            self.sessions.retain(|(_, known)| known != token);
            self.dead_sessions.push(token.clone());
        }
    }

    /// Holds the lines of the room against the acts among them.
    pub(super) fn check_acts(&mut self) {
        let (mut rules, mut entered) = (Rules::default(), BTreeSet::new());
        let (mut next, mut acts, mut is_whole) = (1, 0, true);
        for line in self.lines.in_order() {
            if line.id != next {
                // Nobody has received what was said between.
                (rules, is_whole) = (Rules::default(), false);
            }
            next = line.id + 1;
            match line.event.as_deref() {
                None | Some("enter" | "leave") => self.check_line(&mut rules, line, &mut entered, is_whole),
                // Everybody may delete lines, and no rule follows from it.
                Some("delete") => {}
                Some(_) => {
                    acts += 1;
                    self.follow(&mut rules, line);
                }
            }
        }
        let is_known = self.lines.newest().is_none_or(|newest| newest + 1 == next);
        for client in self.clients.values().filter(|client| client.phase == Phase::Member && is_known) {
            let ban = rules.banned.get(&mailbox(client.person.email));
            let is_over = |until: &Option<Moment>| until.is_some_and(|until| until <= self.now());
            let is_read = client.newest == self.lines.newest() && client.person.email != MODERATOR.email;
            assert!(!is_read || ban.is_none_or(is_over), "{} is banned and in", client.person.name);
        }
        self.tally.count("act", acts);
    }

    fn check_line<'a>(
        &self,
        rules: &mut Rules,
        line: &'a Line,
        entered: &mut BTreeSet<&'a str>,
        is_whole: bool,
    ) {
        let is_first = line.event.as_deref() == Some("enter") && entered.insert(&line.name);
        let Some(person) = PEOPLE.iter().find(|person| person.name == line.name) else { return };
        let (Some(&seen), false) = (self.seen.get(&line.id), person.email == MODERATOR.email) else { return };
        let holds = |until: &Option<Moment>| until.is_none_or(|until| seen < until);
        let (mailbox, name) = (mailbox(person.email), &line.name);
        let is_banned = rules.banned.get(&mailbox).is_some_and(holds);
        assert!(!is_banned || line.event.as_deref() == Some("leave"), "{name} is banned: line {}", line.id);
        let is_locked = rules.locked.is_some_and(|until| seen < until);
        assert!(!(is_locked && is_first && is_whole), "{name} is new in a locked room: line {}", line.id);
        if line.event.is_some() || self.lines.rogues.contains(person.name) {
            return;
        }
        let is_muted = rules.muted.get(&mailbox).is_some_and(holds);
        assert!(!is_muted, "{name} is muted: line {}", line.id);
        let Some(sent) = line.number().and_then(|number| self.texts.get(number)) else { return };
        let former = rules.spoke.insert(mailbox, sent.at);
        if let (Some(slow), Some(former)) = (rules.slow, former) {
            assert!(seen.since(former) >= slow, "{name} talks too often in slow mode: line {}", line.id);
        }
    }

    /// What holds from this act on.
    fn follow(&self, rules: &mut Rules, line: &Line) {
        assert_eq!(line.name, MODERATOR.name, "only moderators act: line {}", line.id);
        let number = line.reference.as_deref().and_then(|text| text.strip_prefix("act ")?.parse().ok());
        let Some(act) = number.and_then(|number: usize| self.acts.get(number)) else {
            *rules = Rules::default();
            return;
        };
        let until = act.time.map(|time| act.at.after(time));
        let who = PEOPLE.iter().find(|person| Some(person.name) == line.who.as_deref());
        let mailbox = who.map(|person| mailbox(person.email));
        match (line.event.as_deref().unwrap_or_default(), mailbox) {
            ("ban", Some(mailbox)) => drop(rules.banned.insert(mailbox, until)),
            ("unban", Some(mailbox)) => drop(rules.banned.remove(&mailbox)),
            ("mute", Some(mailbox)) => drop(rules.muted.insert(mailbox, until)),
            ("unmute", Some(mailbox)) => drop(rules.muted.remove(&mailbox)),
            ("kick", Some(_)) | ("topic", None) => {}
            ("slow", None) => (rules.slow, rules.spoke) = (act.time, BTreeMap::new()),
            ("lock", None) => rules.locked = until,
            ("unlock", None) => rules.locked = None,
            (event, _) => panic!("no such act: {event} of {:?}", line.who),
        }
    }
}

/// Those whom a kick or a ban may be for that names this one: who looks like that, with all names of their
/// mailboxes.
fn covered_by(target: Person) -> impl Iterator<Item = &'static Person> {
    let alike = PEOPLE.iter().filter(move |person| person.likeness == target.likeness);
    let mailboxes: BTreeSet<String> = alike.map(|person| mailbox(person.email)).collect();
    PEOPLE.iter().filter(move |person| mailboxes.contains(&mailbox(person.email)))
}
