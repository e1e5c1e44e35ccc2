//! Why a command or a line is refused: the word for programs, the sentence for people, and the wait.

use super::grammar::{Command, ReasonTooLong, in_words};
use crate::limits::{REASON_BYTES_MAX, TOPIC_BYTES_MAX};
use crate::server::guest::whole_seconds;
use crate::users::rules::Silence;
use std::time::Duration;

/// Why a command or a line is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    NoCommand,
    BadCommand(Command),
    NotModerator,
    NoSuchName,
    IsModerator,
    /// Not a time up to this one.
    BadTime(Duration),
    TooMany,
    ReasonTooLong,
    TopicTooLong,
    Silence(Silence),
}

impl From<ReasonTooLong> for Failure {
    fn from(_: ReasonTooLong) -> Self {
        Self::ReasonTooLong
    }
}

impl Failure {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::NoCommand => "no-command",
            Self::BadCommand(_) => "bad-command",
            Self::NotModerator => "not-moderator",
            Self::NoSuchName => "no-such-name",
            Self::IsModerator => "is-moderator",
            Self::BadTime(_) => "bad-time",
            Self::TooMany => "too-many",
            Self::ReasonTooLong | Self::TopicTooLong => "too-long",
            Self::Silence(Silence::Muted(_)) => "muted",
            Self::Silence(Silence::Slow(_)) => "slow",
        }
    }

    pub(super) fn sentence(self) -> String {
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
            Self::IsModerator => "That is a moderator.".to_owned(),
            Self::BadTime(most) => {
                format!("That is not a time such as 30s, 10m, 2h or 7d, of at most {}.", in_words(most))
            }
            Self::TooMany => "There are too many of these already. Lift some first.".to_owned(),
            Self::ReasonTooLong => format!("A reason has at most {REASON_BYTES_MAX} bytes."),
            Self::TopicTooLong => format!("A topic has at most {TOPIC_BYTES_MAX} bytes."),
            Self::Silence(Silence::Muted(wait)) => {
                format!("You are muted for another {}. Your line was not sent.", in_words(wait))
            }
            Self::Silence(Silence::Slow(wait)) => {
                format!("Slow mode is on: you can write again in {}. Your line was not sent.", in_words(wait))
            }
        }
    }

    pub(super) fn retry(self) -> Option<u64> {
        match self {
            Self::Silence(Silence::Muted(wait) | Silence::Slow(wait)) => Some(whole_seconds(wait)),
            Self::NoCommand
            | Self::BadCommand(_)
            | Self::NotModerator
            | Self::NoSuchName
            | Self::IsModerator
            | Self::BadTime(_)
            | Self::TooMany
            | Self::ReasonTooLong
            | Self::TopicTooLong => None,
        }
    }
}
