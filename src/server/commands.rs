//! Commands: what a member's `/word` asks for, whether it may be done, and its answer. What is done is done
//! in `apply`; here nothing changes.

mod delete;
mod failure;
mod grammar;
mod invitations;
mod reports;

use super::Server;
use super::guest::whole_seconds;
use super::marks::{Speaker, mark_of_act};
use super::member::Sender;
use crate::base::sorted::set_of;
use crate::base::time::Moment;
use crate::base::visible::has_visible;
use crate::ids::ClientId;
use crate::limits::{BAN_MAX, BANS_TOLD_MAX, LOCK_MAX, MUTE_DEFAULT, MUTE_MAX, SLOW_MAX, TOPIC_BYTES_MAX};
use crate::message::{Answer, Details, Line, ServerMessage};
use crate::users::address_pattern::AddressPattern;
use crate::users::email::Email;
use crate::users::names::{BOT_NAME, UserId};
use crate::users::reports::Reported;
use crate::users::rules::{Ban, Rule};
use crate::users::user_name::TypedName;
pub(super) use delete::Deletion;
pub(super) use failure::Failure;
use grammar::{
    COMMANDS, Command, NameError, Row, counted, in_words, one_line, reason, roughly, take_name, take_quoted,
    take_time, take_word,
};
pub(super) use grammar::{Parsed, parse};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// A moderator's act, and what the room is told of it.
#[derive(Debug)]
pub(crate) struct Act {
    /// Its word for programs.
    event: &'static str,
    /// Its sentence, behind the moderator's name.
    text: String,
    /// Whom it is about.
    who: Option<Rc<str>>,
    /// When it ends.
    until: Option<Moment>,
    /// The rule that it sets.
    pub(super) rule: Option<Rule>,
    pub(super) removal: Option<Removal>,
}

/// Whose sessions an act ends.
#[derive(Debug)]
pub(crate) struct Removal {
    pub(super) users: Vec<UserId>,
    /// What was done to them.
    done: &'static str,
    /// For how long, and why.
    circumstances: String,
}

/// What comes of a command that is not refused.
enum Outcome {
    /// An answer to the sender alone.
    Private(String),
    Act(Act),
    Delete(Deletion),
    /// A change of the rules that the room is not told, and the answer to the sender alone.
    Rule {
        rule: Rule,
        answer: String,
    },
    /// Who or what is reported, and why.
    Report(Reported),
}

/// Whom a ban is for.
struct Target {
    pattern: AddressPattern,
    /// The name under which the target is known, or the domain.
    who: Option<Rc<str>>,
    /// What the room calls the target: no address.
    shown: String,
}

impl Server {
    /// Carries out a command of a member, or says why not.
    pub(super) fn command(&mut self, sender: &Sender<'_>, command: Command, arguments: &str) {
        self.meet_typed(sender.user, arguments);
        match self.outcome(sender.user, command, arguments) {
            Ok(Outcome::Private(text)) => self.answer_privately(sender.from, &text, sender.reference),
            Ok(Outcome::Rule { rule, answer }) => self.apply_rule(sender, rule, &answer),
            Ok(Outcome::Report(reported)) => self.apply_report(sender, &reported),
            Ok(Outcome::Act(act)) => self.apply_act(sender, &act),
            Ok(Outcome::Delete(deletion)) => self.apply_delete(sender, &deletion),
            Err(failure) => self.refuse_line(sender.from, &failure, sender.reference),
        }
    }

    /// Says privately why a command or a line is refused.
    pub(super) fn refuse_line(&mut self, id: ClientId, failure: &Failure, reference: Option<&str>) {
        let (reason, retry) = failure.reason();
        let answer = Answer { reference, reason: Some(reason), retry };
        self.send(id, &ServerMessage::answer(self.at().wall_ms, BOT_NAME, &failure.sentence(), answer));
    }

    pub(super) fn answer_privately(&mut self, id: ClientId, text: &str, reference: Option<&str>) {
        let answer = Answer { reference, ..Answer::default() };
        self.send(id, &ServerMessage::answer(self.at().wall_ms, BOT_NAME, text, answer));
    }

    /// What a moderator types may be an address that is only known as a hash.
    fn meet_typed(&mut self, moderator: UserId, arguments: &str) {
        if !arguments.contains('@') || !self.users.is_moderator(moderator) {
            return;
        }
        for typed in [arguments, take_word(arguments).0] {
            if let Some(email) = Email::parse(typed) {
                self.users.meet(&email.key());
            }
        }
    }

    fn outcome(&self, user: UserId, command: Command, arguments: &str) -> Result<Outcome, Failure> {
        let is_moderator = self.users.is_moderator(user);
        let row = command.row();
        if !is_moderator && !row.is_some_and(|row| row.is_for_all) {
            return Err(Failure::NotModerator);
        }
        if arguments.is_empty() && row.is_some_and(Row::needs_argument) {
            return Err(Failure::BadCommand(command));
        }
        let no_more = |rest: &str| if rest.is_empty() { Ok(()) } else { Err(Failure::BadCommand(command)) };
        match command {
            Command::Help => no_more(arguments).map(|()| Outcome::Private(help(is_moderator))),
            Command::Topic if arguments.is_empty() => {
                let topic = self.users.rules().topic();
                let text = topic.map_or("There is no topic.".to_owned(), |topic| format!("Topic: {topic}"));
                Ok(Outcome::Private(text))
            }
            Command::Topic if !is_moderator => Err(Failure::NotModerator),
            Command::Topic => self.topic(arguments),
            Command::Who => {
                let (speaker, rest) = self.take_speaker(arguments)?;
                no_more(rest)?;
                Ok(Outcome::Private(match speaker {
                    Speaker::User(user) => self.who(user, is_moderator),
                    Speaker::Bot(_) => format!("@{} is a bot.", self.name_of(speaker)?),
                }))
            }
            Command::Delete => self.delete(user, is_moderator, arguments),
            Command::Report => self.report(arguments),
            Command::Kick => {
                let (speaker, rest) = self.take_speaker(arguments)?;
                let user = self.removable(speaker)?;
                let why = reason(rest)?;
                Ok(Outcome::Act(self.kick(user, &why)))
            }
            Command::Mute => {
                let (speaker, rest) = self.take_speaker(arguments)?;
                let (time, rest) = take_time(rest, MUTE_MAX)?;
                let why = reason(rest)?;
                self.mute(speaker, time.unwrap_or(MUTE_DEFAULT), &why)
            }
            Command::Unmute => {
                let (speaker, rest) = self.take_speaker(arguments)?;
                no_more(rest)?;
                self.unmute(speaker)
            }
            Command::Ban => {
                let (target, rest) = self.take_ban_target(arguments)?;
                let (time, rest) = take_time(rest, BAN_MAX)?;
                let why = reason(rest)?;
                Ok(Outcome::Act(self.ban(target, time, &why)))
            }
            Command::Unban => self.unban(arguments),
            Command::Bans => no_more(arguments).map(|()| Outcome::Private(self.bans())),
            Command::Slow => self.slow(arguments),
            Command::Lock => {
                let (time, rest) = take_time(arguments, LOCK_MAX)?;
                no_more(rest)?;
                Ok(Outcome::Act(self.lock(time.unwrap_or(LOCK_MAX))))
            }
            Command::Unlock => {
                no_more(arguments)?;
                Ok(self.unlock())
            }
            Command::Invite => self.invite(arguments),
            Command::Uninvite => self.uninvite(arguments),
            Command::Invites => no_more(arguments).map(|()| Outcome::Private(self.invites())),
            Command::Reports => no_more(arguments).map(|()| Outcome::Private(self.reports())),
        }
    }

    /// Takes the name of a known user or of a bot.
    fn take_speaker<'a>(&self, arguments: &'a str) -> Result<(Speaker, &'a str), Failure> {
        let bot = |run: &str| self.users.bots().named(&TypedName::read(run)).map(Speaker::Bot);
        let find = |run: &str| self.users.named(run).map(Speaker::User).or_else(|| bot(run));
        take_name(arguments, find).map_err(|error| match error {
            NameError::Unknown => Failure::NoSuchName,
            NameError::Ambiguous { shorter, longer } => match (self.name_of(shorter), self.name_of(longer)) {
                (Ok(shorter), Ok(longer)) => Failure::AmbiguousName { shorter, longer },
                (Err(failure), _) | (_, Err(failure)) => failure,
            },
        })
    }

    /// The user, where it is one that an act may remove.
    fn removable(&self, speaker: Speaker) -> Result<UserId, Failure> {
        match speaker {
            Speaker::User(user) if self.users.is_moderator(user) => Err(Failure::IsModerator),
            Speaker::User(user) => Ok(user),
            Speaker::Bot(_) => Err(Failure::IsBot),
        }
    }

    fn name_of(&self, speaker: Speaker) -> Result<Rc<str>, Failure> {
        let name = match speaker {
            Speaker::User(user) => self.users.name(user),
            Speaker::Bot(bot) => self.users.bots().name(bot),
        };
        name.ok_or(Failure::NoSuchName)
    }

    /// A name takes precedence: a user named just like a domain must not get the whole domain banned.
    fn take_ban_target<'a>(&self, arguments: &'a str) -> Result<(Target, &'a str), Failure> {
        let (speaker, rest) = match self.take_speaker(arguments) {
            Ok((speaker, rest)) if !self.is_domain(speaker, arguments, rest) => (speaker, rest),
            Ok(_) | Err(Failure::NoSuchName) => {
                let (word, rest) = take_word(arguments);
                return Ok((self.address_target(word)?, rest));
            }
            Err(failure) => return Err(failure),
        };
        let user = self.removable(speaker)?;
        let pattern = AddressPattern::Address(self.users.mailbox(user).ok_or(Failure::NoSuchName)?);
        let who = self.users.name(user);
        let shown = who.as_deref().map_or("an address".to_owned(), |name| format!("@{name}"));
        Ok((Target { pattern, who, shown }, rest))
    }

    /// Whether arguments begin with a domain, and not with the name of the speaker who was found in front of
    /// the rest: keys have no dots, so Example Org, too, is found by `@example.org`.
    fn is_domain(&self, found: Speaker, arguments: &str, rest: &str) -> bool {
        let (word, _) = take_word(arguments);
        let is_domain = match AddressPattern::parse(word) {
            Some(AddressPattern::Domain(_) | AddressPattern::DomainAndBelow(_)) => true,
            Some(AddressPattern::Address(_)) | None => false,
        };
        let typed = arguments.strip_suffix(rest).unwrap_or(arguments);
        is_domain && !self.name_of(found).is_ok_and(|name| TypedName::read(typed).is(&name))
    }

    fn address_target(&self, word: &str) -> Result<Target, Failure> {
        match AddressPattern::parse(word).ok_or(Failure::NoSuchName)? {
            AddressPattern::Address(email) if self.users.rules().is_moderator(&email) => {
                Err(Failure::IsModerator)
            }
            AddressPattern::Address(email) => {
                let who = self.users.name_of_mailbox(&email);
                let pattern = AddressPattern::Address(email.mailbox());
                Ok(Target { pattern, who, shown: "an address".to_owned() })
            }
            pattern @ (AddressPattern::Domain(_) | AddressPattern::DomainAndBelow(_)) => {
                let shown = pattern.to_string();
                Ok(Target { pattern, who: Some(shown.as_str().into()), shown })
            }
        }
    }

    fn who(&self, user: UserId, is_moderator: bool) -> String {
        let mut text = self.users.name(user).map_or(String::new(), |name| format!("@{name}"));
        // Writing to a string does not fail.
        if let Some(email) = self.users.email(user).filter(|_| is_moderator) {
            let _ = write!(text, " ({email})");
        }
        let connections = counted(self.users.connections(user), "connection");
        let _ = match self.room.presence.since(user) {
            Some(since) => {
                let time = roughly(self.at().moment.since(since));
                write!(text, " has been here for {time}, with {connections}.")
            }
            None => write!(text, " is not here."),
        };
        text
    }

    fn kick(&self, user: UserId, why: &str) -> Act {
        let who = self.users.name(user);
        let text = about(&format!("kicked @{}", who.as_deref().unwrap_or_default()), None, why);
        let removal = Removal { users: vec![user], done: "kicked", circumstances: about("", None, why) };
        Act { event: "kick", text, who, until: None, rule: None, removal: Some(removal) }
    }

    fn mute(&self, speaker: Speaker, time: Duration, why: &str) -> Result<Outcome, Failure> {
        let until = self.at().moment.after(time);
        let who = self.name_of(speaker)?;
        let rule = match speaker {
            Speaker::User(user) if self.users.is_moderator(user) => return Err(Failure::IsModerator),
            Speaker::User(user) => Rule::Mute(self.users.mailbox(user).ok_or(Failure::NoSuchName)?, until),
            Speaker::Bot(bot) => Rule::MuteBot(bot, Some(until)),
        };
        let text = about(&format!("muted @{who}"), Some(time), why);
        Ok(Outcome::Act(Act { who: Some(who), until: Some(until), ..Act::new("mute", text, rule) }))
    }

    fn unmute(&self, speaker: Speaker) -> Result<Outcome, Failure> {
        let (now, rules) = (self.at().moment, self.users.rules());
        let who = self.name_of(speaker)?;
        let (left, rule) = match speaker {
            Speaker::User(user) => {
                let mailbox = self.users.mailbox(user).ok_or(Failure::NoSuchName)?;
                (rules.mute_left(now, &mailbox), Rule::Unmute(mailbox))
            }
            Speaker::Bot(bot) => (rules.bot_mute_left(now, bot), Rule::MuteBot(bot, None)),
        };
        if left.is_none() {
            return Ok(Outcome::Private(format!("@{who} is not muted.")));
        }
        let text = format!("unmuted @{who}");
        Ok(Outcome::Act(Act { who: Some(who), ..Act::new("unmute", text, rule) }))
    }

    fn ban(&self, target: Target, time: Option<Duration>, why: &str) -> Act {
        let Target { pattern, who, shown } = target;
        let until = time.map(|time| self.at().moment.after(time));
        let text = about(&format!("banned {shown}"), time, why);
        let users = self.users.banned_by(&pattern);
        // Where the target is a domain, there is no name to find the ban by.
        let is_address = matches!(pattern, AddressPattern::Address(_));
        let name = who.clone().filter(|_| is_address);
        let networks = self.networks_of(&users);
        let rule = Rule::Ban(pattern, Ban { until, name }, networks);
        let removal = Some(Removal { users, done: "banned", circumstances: about("", time, why) });
        Act { who, until, removal, ..Act::new("ban", text, rule) }
    }

    /// The client networks of users, whether they are here or have left, as far as a ban may close them.
    fn networks_of(&self, users: &[UserId]) -> Box<[IpAddr]> {
        let users = set_of(users.iter().copied());
        let last = users.iter().filter_map(|&user| self.users.network(user));
        set_of(self.networks_of_present(&users).into_iter().chain(last)).into_iter().collect()
    }

    fn unban(&self, arguments: &str) -> Result<Outcome, Failure> {
        let rules = self.users.rules();
        let now = self.at().moment;
        let known = match self.take_speaker(arguments) {
            Ok((Speaker::Bot(_), _)) => return Err(Failure::IsBot),
            Ok((speaker @ Speaker::User(user), rest)) if !self.is_domain(speaker, arguments, rest) => {
                Some((user, rest))
            }
            Ok(_) | Err(Failure::NoSuchName) => None,
            Err(failure) => return Err(failure),
        };
        let of_known = known.and_then(|(user, rest)| {
            let pattern = AddressPattern::Address(self.users.mailbox(user)?);
            let who = self.users.name(user)?;
            rules.ban_of(now, &pattern)?;
            rest.is_empty().then(|| Target { pattern, shown: format!("@{who}"), who: Some(who) })
        });
        // The banned may be forgotten as a user by now.
        let of_forgotten = || {
            let name = take_quoted(arguments).filter(|(_, rest)| rest.is_empty()).map(|(name, _)| name);
            let typed = TypedName::read(name.unwrap_or(arguments));
            let is_named = |ban: &Ban| ban.name.as_ref().is_some_and(|name| typed.is(name));
            let (pattern, ban) = rules.bans(now).find(|(_, ban)| is_named(ban))?;
            let shown = format!("@{}", ban.name.as_deref().unwrap_or_default());
            Some(Target { pattern: pattern.clone(), who: ban.name.clone(), shown })
        };
        let Target { pattern, who, shown } = match of_known.or_else(of_forgotten) {
            Some(target) => target,
            None if arguments.contains('@') && !arguments.contains(char::is_whitespace) => {
                match (self.address_target(arguments), known) {
                    (Ok(target), _) => target,
                    (Err(_), Some(_)) => return Ok(Outcome::Private(NO_BAN.to_owned())),
                    (Err(failure), None) => return Err(failure),
                }
            }
            None => match known {
                Some((_, "")) => return Ok(Outcome::Private(NO_BAN.to_owned())),
                Some(_) => return Err(Failure::BadCommand(Command::Unban)),
                None => return Err(Failure::NoSuchName),
            },
        };
        if rules.ban_of(now, &pattern).is_none() {
            return Ok(Outcome::Private(NO_BAN.to_owned()));
        }
        let act = Act::new("unban", format!("unbanned {shown}"), Rule::Unban(pattern));
        Ok(Outcome::Act(Act { who, ..act }))
    }

    fn bans(&self) -> String {
        let now = self.at().moment;
        let bans: Vec<_> = self.users.rules().bans(now).collect();
        let mut text = match bans.len() {
            0 => return "There are no bans.".to_owned(),
            count => counted(count, "ban") + ":",
        };
        for (pattern, ban) in bans.iter().take(BANS_TOLD_MAX) {
            // Writing to a string does not fail.
            let _ = write!(text, "\n{pattern}");
            if let Some(name) = &ban.name {
                let _ = write!(text, " (@{name})");
            }
            if let Some(until) = ban.until {
                let _ = write!(text, ", for another {}", in_words(until.since(now)));
            }
        }
        if bans.len() > BANS_TOLD_MAX {
            text.push_str("\n...");
        }
        text
    }

    fn slow(&self, arguments: &str) -> Result<Outcome, Failure> {
        if arguments == "off" {
            if self.users.rules().slow().is_none() {
                return Ok(Outcome::Private("Slow mode is off.".to_owned()));
            }
            return Ok(Outcome::Act(Act::new("slow", "turned slow mode off", Rule::Slow(None))));
        }
        if arguments.contains(char::is_whitespace) {
            return Err(Failure::BadCommand(Command::Slow));
        }
        let is_number = arguments.bytes().all(|byte| byte.is_ascii_digit());
        let typed = if is_number { format!("{arguments}s") } else { arguments.to_owned() };
        let (time, _) = take_time(&typed, SLOW_MAX)?;
        let time = time.ok_or(Failure::BadTime(SLOW_MAX))?;
        let text = format!("turned slow mode on: one line per person every {}", in_words(time));
        Ok(Outcome::Act(Act::new("slow", text, Rule::Slow(Some(time)))))
    }

    fn lock(&self, time: Duration) -> Act {
        let until = self.at().moment.after(time);
        let text = about("locked the room", Some(time), "");
        Act { until: Some(until), ..Act::new("lock", text, Rule::Lock(Some(until))) }
    }

    fn unlock(&self) -> Outcome {
        if self.users.rules().wait_for_unlock(self.at().moment).is_none() {
            return Outcome::Private("The room is not locked.".to_owned());
        }
        Outcome::Act(Act::new("unlock", "unlocked the room", Rule::Lock(None)))
    }

    fn topic(&self, arguments: &str) -> Result<Outcome, Failure> {
        let topic = one_line(arguments);
        if topic.len() > TOPIC_BYTES_MAX {
            return Err(Failure::TopicTooLong);
        }
        if !has_visible(&topic) {
            return Err(Failure::BadCommand(Command::Topic));
        }
        if topic != "-" {
            let text = format!("set the topic: {topic}");
            return Ok(Outcome::Act(Act::new("topic", text, Rule::Topic(Some(topic.into())))));
        }
        if self.users.rules().topic().is_none() {
            return Ok(Outcome::Private("There is no topic.".to_owned()));
        }
        Ok(Outcome::Act(Act::new("topic", "removed the topic", Rule::Topic(None))))
    }

    /// Broadcasts an act that was carried out.
    pub(super) fn post_act(&mut self, sender: &Sender<'_>, act: &Act) {
        let &Sender { at, user, ref name, reference, .. } = sender;
        let (topic, slow) = match &act.rule {
            Some(Rule::Topic(topic)) => (Some(topic.as_deref().unwrap_or_default()), None),
            Some(Rule::Slow(slow)) => (None, Some(slow.map_or(0, whole_seconds))),
            Some(
                Rule::Mute(..)
                | Rule::Unmute(_)
                | Rule::MuteBot(..)
                | Rule::Ban(..)
                | Rule::Unban(_)
                | Rule::Invite(_)
                | Rule::Uninvite(_)
                | Rule::Lock(_),
            )
            | None => (None, None),
        };
        let until = act.until.map(|until| {
            let left = u64::try_from(until.since(at.moment).as_millis()).unwrap_or(u64::MAX);
            at.wall_ms.saturating_add(left)
        });
        let details = Details { who: act.who.as_deref(), until, topic, slow, ..Details::default() };
        let (time, text, event) = (at.wall_ms, &*act.text, Some(act.event));
        self.post(&Line { time, name, text, event, reference, details }, mark_of_act(user, reference));
    }

    /// Says privately why a connection is about to be closed.
    pub(super) fn notify_removed(&mut self, id: ClientId, moderator: &str, removal: &Removal) {
        let text = format!("You were {} by @{moderator}{}", removal.done, removal.circumstances);
        self.answer_privately(id, &text, None);
    }
}

impl Act {
    fn new(event: &'static str, text: impl Into<String>, rule: Rule) -> Self {
        Self { event, text: text.into(), who: None, until: None, rule: Some(rule), removal: None }
    }
}

fn help(is_moderator: bool) -> String {
    let rows = COMMANDS.iter().filter(|row| row.is_for_all || is_moderator);
    let lines: Vec<String> = rows.map(|row| format!("{}: {}", row.usage, row.effect)).collect();
    lines.join("\n")
}

/// A sentence about an act, with its time and its reason.
fn about(what: &str, time: Option<Duration>, why: &str) -> String {
    let time = time.map_or(String::new(), |time| format!(" for {}", in_words(time)));
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!("{what}{time}{why}")
}

const NO_BAN: &str = "There is no such ban; see /bans.";
