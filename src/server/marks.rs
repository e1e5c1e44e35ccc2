//! What frames of the room are marked with, so that they are found without being read: hashes of the speaker
//! and `ref`.

use crate::room::log::Mark;
use crate::users::bots::BotId;
use crate::users::names::UserId;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Who says a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Speaker {
    User(UserId),
    Bot(BotId),
}

/// The mark of a line.
pub(super) fn mark_of_line(speaker: Speaker, reference: Option<&str>) -> Mark {
    Mark { sender: sender_hash(speaker), ..mark_of(speaker, reference) }
}

/// The mark of a user's act, which cannot be deleted.
pub(super) fn mark_of_act(user: UserId, reference: Option<&str>) -> Mark {
    mark_of(Speaker::User(user), reference)
}

fn mark_of(speaker: Speaker, reference: Option<&str>) -> Mark {
    let reference = reference.map_or(0, |reference| reference_hash(speaker, reference));
    Mark { reference, ..Mark::NONE }
}

/// What frames are found by that somebody has sent with this `ref`.
pub(super) fn reference_hash(speaker: Speaker, reference: &str) -> u32 {
    half_hash((speaker, reference)).max(1)
}

/// What somebody's lines are found by.
pub(super) fn sender_hash(speaker: Speaker) -> u32 {
    half_hash(speaker).clamp(1, Mark::SENDER_MAX)
}

fn half_hash(value: impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX)
}
