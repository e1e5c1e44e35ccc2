//! Why a command or a line is refused: the word for programs, the sentence for people, and the wait.

use super::grammar::{Command, in_words};
use crate::limits::{REASON_BYTES_MAX, REPORTS_PER_PERSON, REPORTS_WINDOW, TOPIC_BYTES_MAX};
use crate::server::guest::whole_seconds;
use crate::users::rules::Silence;
use std::rc::Rc;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    NoCommand,
    BadCommand(Command),
    NotModerator,
    NoSuchName,
    /// The arguments begin with both of these names; the words behind the shorter one could be the reason.
    AmbiguousName {
        shorter: Rc<str>,
        longer: Rc<str>,
    },
    NoSuchLine,
    IsModerator,
    IsBot,
    /// Not a time up to this one.
    BadTime(Duration),
    TooMany,
    /// Too many reports within a time; how long to wait.
    TooManyReports(Duration),
    ReasonTooLong,
    TopicTooLong,
    Silence(Silence),
}

impl Failure {
    /// The word for programs, and the seconds to wait where waiting helps.
    pub(super) fn reason(&self) -> (&'static str, Option<u64>) {
        match self {
            Self::NoCommand => ("no-command", None),
            Self::BadCommand(_) => ("bad-command", None),
            Self::NotModerator => ("not-moderator", None),
            Self::NoSuchName => ("no-such-name", None),
            Self::AmbiguousName { .. } => ("ambiguous-name", None),
            Self::NoSuchLine => ("no-such-line", None),
            Self::IsModerator => ("is-moderator", None),
            Self::IsBot => ("is-bot", None),
            Self::BadTime(_) => ("bad-time", None),
            Self::TooMany => ("too-many", None),
            Self::TooManyReports(wait) => ("too-many", Some(whole_seconds(*wait))),
            Self::ReasonTooLong | Self::TopicTooLong => ("too-long", None),
            Self::Silence(Silence::Muted(wait)) => ("muted", Some(whole_seconds(*wait))),
            Self::Silence(Silence::Slow(wait)) => ("slow", Some(whole_seconds(*wait))),
        }
    }

    pub(super) fn sentence(&self) -> String {
        match self {
            Self::NoCommand => {
                "There is no such command; see /help. To say a line that begins with /, begin it with //."
                    .to_owned()
            }
            Self::BadCommand(Command::Topic) => "Usage: /topic, /topic TEXT or /topic -".to_owned(),
            Self::BadCommand(command) => {
                format!("Usage: {}", command.row().map_or("/help", |row| row.usage))
            }
            Self::NotModerator => "Only moderators can do that.".to_owned(),
            Self::NoSuchName => "Nobody is known by that name.".to_owned(),
            Self::AmbiguousName { shorter, longer } => {
                let [first, second] = [shorter, longer].map(|name| name.replace('"', ""));
                format!(
                    "That can mean @{shorter} or @{longer}. Put the name in quotes: \"{first}\" or \"{second}\"."
                )
            }
            Self::NoSuchLine => "There is no such line, or not any more.".to_owned(),
            Self::IsModerator => "That is a moderator.".to_owned(),
            Self::IsBot => {
                "That is a bot. It cannot be kicked or banned: /mute it, or have it removed from PLUME_BOTS."
                    .to_owned()
            }
            Self::BadTime(most) => {
                format!("That is not a time such as 30s, 10m, 2h or 7d, of at most {}.", in_words(*most))
            }
            Self::TooMany => "There are too many of these already. Remove some first.".to_owned(),
            Self::TooManyReports(wait) => {
                format!(
                    "You made {REPORTS_PER_PERSON} reports within {}. Try again in {}.",
                    in_words(REPORTS_WINDOW),
                    in_words(*wait)
                )
            }
            Self::ReasonTooLong => format!("A reason has at most {REASON_BYTES_MAX} bytes."),
            Self::TopicTooLong => format!("A topic has at most {TOPIC_BYTES_MAX} bytes."),
            Self::Silence(Silence::Muted(wait)) => {
                format!("You are muted for another {}. Your line was not sent.", in_words(*wait))
            }
            Self::Silence(Silence::Slow(wait)) => {
                format!(
                    "Slow mode is on: you can write again in {}. Your line was not sent.",
                    in_words(*wait)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_a_word_a_sentence_and_a_wait_where_waiting_helps() {
        let time = Duration::from_millis(89_001);
        let rows = [
            (Failure::NoCommand, "no-command", None, "There is no such command"),
            (Failure::BadCommand(Command::Kick), "bad-command", None, "Usage: /kick NAME [WHY]"),
            (Failure::NotModerator, "not-moderator", None, "Only moderators"),
            (Failure::NoSuchName, "no-such-name", None, "Nobody is known"),
            (
                Failure::AmbiguousName { shorter: "Bob".into(), longer: "Bob \"B\" Smith".into() },
                "ambiguous-name",
                None,
                "That can mean @Bob or @Bob \"B\" Smith. Put the name in quotes: \"Bob\" or \"Bob B Smith\".",
            ),
            (Failure::IsModerator, "is-moderator", None, "That is a moderator."),
            (Failure::IsBot, "is-bot", None, "That is a bot."),
            (Failure::BadTime(Duration::from_hours(24)), "bad-time", None, "That is not a time"),
            (Failure::TooMany, "too-many", None, "There are too many"),
            (
                Failure::TooManyReports(time),
                "too-many",
                Some(90),
                "You made 3 reports within 10 minutes. Try again in 90 seconds.",
            ),
            (Failure::NoSuchLine, "no-such-line", None, "There is no such line"),
            (Failure::ReasonTooLong, "too-long", None, "A reason has at most 200 bytes."),
            (Failure::TopicTooLong, "too-long", None, "A topic has at most 500 bytes."),
            (
                Failure::Silence(Silence::Muted(time)),
                "muted",
                Some(90),
                "You are muted for another 90 seconds.",
            ),
            (Failure::Silence(Silence::Slow(time)), "slow", Some(90), "Slow mode is on"),
        ];
        for (failure, reason, retry, begin) in rows {
            assert_eq!(failure.reason(), (reason, retry), "{failure:?}");
            let sentence = failure.sentence();
            assert!(sentence.starts_with(begin), "{sentence}");
        }
    }
}
