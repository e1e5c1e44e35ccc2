//! Which entries are about one person, for who asks to be forgotten.

use super::{ADDRESS, KeptName, KeptReport, KeptSession, Kind, thaw};
use crate::base::keyed_hash::HashKey;
use crate::kept::RestoreError;
use crate::users::email::{AddressHashes, Email};
use std::collections::{BTreeMap, BTreeSet};

/// The keys of all entries about the person with this address, by a word for what they are. All addresses of
/// a mailbox, with any tag, are the person's.
///
/// # Errors
/// If an entry cannot be read.
pub(crate) fn entries_of(
    secret: [u8; 32],
    address: &str,
    entries: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<Vec<(&'static str, Vec<Vec<u8>>)>, RestoreError> {
    let key = HashKey::new(secret);
    let Some(email) = Email::parse(address) else { return Ok(Vec::new()) };
    let (own, mailbox) = (email.key().hash(&key), email.mailbox().hash(&key));
    let is_own = |hashes: &AddressHashes| hashes.mailbox_hash() == mailbox;
    let is_hash = |bytes: &[u8]| [own, mailbox].iter().any(|hash| hash.as_bytes() == bytes);
    let mut found: BTreeMap<u8, Vec<Vec<u8>>> =
        KINDS.iter().map(|(kind, _)| (*kind as u8, Vec::new())).collect();
    let mut names: BTreeSet<&[u8]> = BTreeSet::new();
    // In the order of their kinds: sessions after the names whose they are.
    for (entry, value) in entries {
        let Some((kind, rest)) = Kind::of(entry) else { continue };
        let unreadable = || RestoreError { kind: kind as u8 };
        let is_about = match kind {
            Kind::Name => {
                let is_own = is_own(&thaw::<KeptName>(value).ok_or_else(unreadable)?.address);
                if is_own {
                    names.insert(rest);
                }
                is_own
            }
            Kind::Session => {
                let kept: KeptSession = thaw(value).ok_or_else(unreadable)?;
                is_hash(kept.address.as_bytes()) || names.contains(kept.name.as_bytes())
            }
            Kind::Ban => rest.split_first().is_some_and(|(&form, hash)| form == ADDRESS && is_hash(hash)),
            Kind::Mute => is_hash(rest),
            Kind::Invitation => is_own(&thaw::<AddressHashes>(value).ok_or_else(unreadable)?),
            Kind::Report => is_own(&thaw::<KeptReport>(value).ok_or_else(unreadable)?.reporter),
            Kind::BotMute | Kind::Slow | Kind::Lock | Kind::Topic => false,
        };
        if is_about {
            found.entry(kind as u8).or_default().push(entry.clone());
        }
    }
    Ok(KINDS.iter().map(|(kind, word)| (*word, found.remove(&(*kind as u8)).unwrap_or_default())).collect())
}

/// Kinds of entries that are about a person, and words for them.
const KINDS: [(Kind, &str); 6] = [
    (Kind::Name, "names"),
    (Kind::Session, "sessions"),
    (Kind::Ban, "bans"),
    (Kind::Mute, "mutes"),
    (Kind::Invitation, "invitations"),
    (Kind::Report, "reports"),
];
