//! What frames of the room are marked with, so that they are found without being read: hashes of the speaker
//! and `ref`.

use crate::room::log::Mark;
use crate::users::bots::BotId;
use crate::users::names::UserId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    User(UserId),
    Bot(BotId),
}

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
    half_hash(speaker, reference).max(1)
}

/// What somebody's lines are found by.
pub(super) fn sender_hash(speaker: Speaker) -> u32 {
    half_hash(speaker, "").clamp(1, Mark::SENDER_MAX)
}

/// FNV-1a, in the 64 bits of its authors (Fowler, Noll and Vo), of which the upper half is taken: the same in
/// every process and version, for marks outlive the one and are shared with others.
fn half_hash(speaker: Speaker, reference: &str) -> u32 {
    let (kind, number) = match speaker {
        Speaker::User(user) => (0, user.to_bits()),
        Speaker::Bot(bot) => (1, bot.number()),
    };
    let numbers = [kind, number].map(u64::to_le_bytes);
    let bytes = numbers.as_flattened().iter().chain(reference.as_bytes());
    let hash = bytes.fold(FNV_OFFSET_BASIS, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    u32::try_from(hash >> 32).unwrap_or(u32::MAX)
}

const FNV_OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::expiring_slab::Id;

    /// Another value would lose the marks of lines that are in parcels and in other nodes.
    #[test]
    fn marks_are_the_same_in_every_version() {
        let user = Speaker::User(Id::made_up(7));
        assert_eq!((reference_hash(user, "r1"), sender_hash(user)), (3_797_224_984, 2_821_725_088));
        assert_ne!(reference_hash(user, "r1"), reference_hash(user, "r2"));
        assert_ne!(sender_hash(user), sender_hash(Speaker::User(Id::made_up(8))));
    }
}
