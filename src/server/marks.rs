//! What frames of the room are marked with, so that they are found without being read: hashes of user and
//! `ref`.

use crate::room::log::Mark;
use crate::users::names::UserId;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The mark of a line.
pub(super) fn mark_of_line(user: UserId, reference: Option<&str>) -> Mark {
    Mark { sender: sender_hash(user), ..mark_of_act(user, reference) }
}

/// The mark of an act, which cannot be deleted.
pub(super) fn mark_of_act(user: UserId, reference: Option<&str>) -> Mark {
    let reference = reference.map_or(0, |reference| reference_hash(user, reference));
    Mark { reference, ..Mark::NONE }
}

/// What frames are found by that a user has sent with this `ref`.
pub(super) fn reference_hash(user: UserId, reference: &str) -> u32 {
    half_hash((user, reference)).max(1)
}

/// What the lines of a user are found by.
pub(super) fn sender_hash(user: UserId) -> u32 {
    half_hash(user).clamp(1, Mark::SENDER_MAX)
}

fn half_hash(value: impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX)
}
