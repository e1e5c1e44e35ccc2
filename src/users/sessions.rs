//! Sessions: each login begins one, and its token resumes it.

use crate::base::expiring_slab::{ExpiringSlab, Id};
use crate::base::frost::{frost, refill};
use crate::base::hidden::hidden;
use crate::base::keyed_hash::{HashKey, KeyedHash, Kind};
use crate::base::sorted::map_of;
use crate::base::time::Moment;
use crate::limits::{SECRET_BYTES, SESSION_SLOTS_MAX, SESSION_TTL, SESSIONS_MAX};
use crate::users::changes::Changes;
use crate::users::names::UserId;
use data_encoding::BASE64URL_NOPAD;
use rand::Rng;
use std::collections::BTreeMap;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The secret part of what is handed out for a slot. It is found by the slot and compared in constant time,
/// so that nothing can be learnt from how long a look-up takes.
#[derive(Clone, Copy)]
pub(crate) struct Token([u8; SECRET_BYTES]);

frost!(struct Token(secret));
hidden!(Token);

impl Token {
    pub(crate) fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; SECRET_BYTES];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// What is handed out: slot and secret in base64.
    pub(crate) fn write(self, slot: u32) -> String {
        let mut bytes = [0; WRITTEN_BYTES];
        bytes[..SLOT_BYTES].copy_from_slice(&slot.to_be_bytes());
        bytes[SLOT_BYTES..].copy_from_slice(&self.0);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Slot and secret of what was handed out.
    pub(crate) fn read(written: &str) -> Option<(u32, Self)> {
        if written.len() != WRITTEN_CHARS {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(written.as_bytes()).ok()?;
        let (slot, secret) = bytes.split_first_chunk::<SLOT_BYTES>()?;
        Some((u32::from_be_bytes(*slot), Self(secret.try_into().ok()?)))
    }

    fn hashed(self, key: &HashKey) -> Self {
        Self::of_hash(key.hash(Kind::Token, &self.0))
    }

    /// What stands in the place of a secret that is known by its hash alone.
    const fn of_hash(hash: KeyedHash) -> Self {
        Self(*hash.as_bytes())
    }

    /// Whether it is the same.
    pub(crate) fn is(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

pub(crate) type SessionId = Id<Session>;

/// All sessions. One without a connection is kept for some time.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "a table of sessions, and what concerns them")]
pub(crate) struct Sessions {
    sessions: ExpiringSlab<Session>,
    /// With it, tokens are known by their hashes alone: a copy of what is kept opens no session.
    key: Option<HashKey>,
    /// How long a session is kept after its last connection.
    ttl: Duration,
    changes: Changes<SessionId>,
}

/// One log-in: what its token resumes.
#[derive(Debug)]
pub(crate) struct Session {
    /// The secret, or its hash.
    token: Token,
    user: UserId,
    connections: u32,
    /// The first line that it was shown.
    first_seen: u64,
}

impl Session {
    const fn new(token: Token, user: UserId) -> Self {
        Self { token, user, connections: 0, first_seen: u64::MAX }
    }
}

frost!(struct Session { token, user, connections, first_seen });
refill!(struct Sessions { sessions, key } but { ttl, changes });

impl Default for Sessions {
    fn default() -> Self {
        let sessions = ExpiringSlab::new(SESSIONS_MAX);
        Self { sessions, key: None, ttl: SESSION_TTL, changes: Changes::default() }
    }
}

impl Sessions {
    /// Begins a session; gives its key and its token. The caller connects it at once, or it would stay for
    /// ever.
    pub(crate) fn begin(&mut self, rng: &mut impl Rng, user: UserId) -> (SessionId, String) {
        let token = Token::random(rng);
        // One that is evicted has had the same slot, by which it is kept.
        let (id, _evicted) = self.sessions.insert(Session::new(self.known_by(token), user), None);
        self.note(id);
        (id, token.write(id.slot()))
    }

    /// The session of a token, and whose it is.
    pub(crate) fn find(&self, written: &str) -> Option<(SessionId, UserId)> {
        let (slot, token) = Token::read(written)?;
        let (id, session) = self.sessions.in_slot(slot)?;
        session.token.is(self.known_by(token)).then_some((id, session.user))
    }

    /// Whether these sessions, and no others, have so many connections each, and all others will expire.
    pub(crate) fn has_connections(&self, connections: &BTreeMap<SessionId, (UserId, u32)>) -> bool {
        let mut expiries = self
            .sessions
            .iter()
            .map(|(id, session)| self.sessions.expiry_of(id).is_some() == (session.connections == 0));
        let sessions = self.sessions.iter().map(|(id, session)| (id, (session.user, session.connections)));
        let connected = sessions.filter(|&(_, (_, connections))| connections > 0);
        expiries.all(|is_sound| is_sound) && connected.eq(connections.iter().map(|(&id, &count)| (id, count)))
    }

    /// The user of each session that has connections, and how many it has.
    pub(crate) fn connected(&self) -> impl Iterator<Item = (UserId, u32)> {
        let sessions = self.sessions.iter().map(|(_, session)| (session.user, session.connections));
        sessions.filter(|&(_, connections)| connections > 0)
    }

    /// Whose session it is.
    pub(crate) fn user(&self, id: SessionId) -> Option<UserId> {
        self.sessions.get(id).map(|session| session.user)
    }

    pub(crate) fn of(&self, user: UserId) -> Vec<SessionId> {
        self.sessions.iter().filter(|(_, session)| session.user == user).map(|(id, _)| id).collect()
    }

    /// Notes the id of the first line that a session was shown.
    pub(crate) fn set_first_seen(&mut self, id: SessionId, line: u64) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.first_seen = line;
        }
    }

    /// The id of the first line that a session was shown.
    pub(crate) fn first_seen(&self, id: SessionId) -> u64 {
        self.sessions.get(id).map_or(u64::MAX, |session| session.first_seen)
    }

    /// A session has one more connection.
    pub(crate) fn connect(&mut self, id: SessionId) {
        self.sessions.set_expiry(id, None);
        if let Some(session) = self.sessions.get_mut(id) {
            session.connections = session.connections.saturating_add(1);
        }
    }

    /// A session has one connection less. Gives whose session it is.
    pub(crate) fn disconnect(&mut self, now: Moment, id: SessionId) -> Option<UserId> {
        let session = self.sessions.get_mut(id)?;
        session.connections = session.connections.saturating_sub(1);
        let (user, is_idle) = (session.user, session.connections == 0);
        if is_idle {
            self.sessions.set_expiry(id, Some(now.after(self.ttl)));
        }
        Some(user)
    }

    /// Ends a session. Gives whose it was, and how many connections it had.
    pub(crate) fn end(&mut self, id: SessionId) -> Option<(UserId, u32)> {
        let session = self.sessions.remove(id)?;
        self.changes.note(|| id);
        Some((session.user, session.connections))
    }

    /// Ends the sessions whose time is over.
    pub(crate) fn forget_expired(&mut self, now: Moment) {
        while let Some((id, _)) = self.sessions.pop_expired_item(now) {
            self.changes.note(|| id);
        }
    }

    /// From now on, notes what changes, knows tokens by their hashes, and keeps sessions for so long. Tokens
    /// that are known by hashes of another key are void.
    pub(crate) fn begin_changes(&mut self, key: HashKey, ttl: Duration) {
        if self.key.is_none() {
            for session in self.sessions.iter_mut() {
                session.token = session.token.hashed(&key);
            }
        }
        self.key = Some(key);
        self.ttl = ttl;
        self.changes.begin();
    }

    pub(crate) fn take_changes(&mut self) -> Vec<SessionId> {
        self.changes.take()
    }

    pub(crate) fn note(&mut self, id: SessionId) {
        self.changes.note(|| id);
    }

    /// The key of all hashes, if tokens are hashed.
    pub(crate) const fn key(&self) -> Option<&HashKey> {
        self.key.as_ref()
    }

    /// Whether there is a session in this slot.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.sessions.in_slot(slot).is_some()
    }

    /// Notes the sessions as changed for whose slots, with or without a connection, this is true.
    pub(crate) fn note_where(&mut self, is_meant: impl Fn(u32, bool) -> bool) {
        let slots = self.sessions.iter().map(|(id, session)| (id, session.connections > 0));
        for (id, _) in slots.filter(|&(id, is_connected)| is_meant(id.slot(), is_connected)) {
            self.changes.note(|| id);
        }
    }

    /// The hash of a session's token, and whose it is. `None`: tokens are not hashed, or there is no such
    /// session.
    pub(crate) fn kept(&self, id: SessionId) -> Option<(KeyedHash, UserId)> {
        let session = self.key.as_ref().and(self.sessions.get(id))?;
        Some((KeyedHash::from_bytes(session.token.0), session.user))
    }

    /// Sessions that have outlived their process, by the slots that their tokens name; each with the hash of
    /// its token, its user, and when it expires. To be called before any session begins; some may find no
    /// place.
    pub(crate) fn restore(&mut self, kept: BTreeMap<u32, (KeyedHash, UserId, Moment)>) {
        let session = |(token, user, expires)| (Session::new(Token::of_hash(token), user), Some(expires));
        let kept = map_of(kept.into_iter().map(|(slot, kept)| (slot, session(kept))));
        self.sessions.fill(kept, SESSION_SLOTS_MAX);
    }

    fn known_by(&self, token: Token) -> Token {
        self.key.as_ref().map_or(token, |key| token.hashed(key))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// When the next session ends by itself.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.sessions.next_deadline()
    }
}

const SLOT_BYTES: usize = size_of::<u32>();
const WRITTEN_BYTES: usize = SLOT_BYTES + SECRET_BYTES;
/// base64 makes four characters of three bytes.
const WRITTEN_CHARS: usize = (WRITTEN_BYTES * 4).div_ceil(3);

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::ChaCha20Rng};

    #[test]
    fn a_session_is_found_by_its_token_alone() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut sessions = Sessions::default();
        let ada = Id::made_up(7);
        let (key, token) = sessions.begin(&mut rng, ada);
        assert_eq!(token.len(), WRITTEN_CHARS);
        assert_eq!(sessions.find(&token), Some((key, ada)));
        let mut altered = token.clone().into_bytes();
        for at in 0..altered.len() {
            let right = altered[at];
            altered[at] = if right == b'A' { b'B' } else { b'A' };
            assert_eq!(sessions.find(str::from_utf8(&altered).unwrap()), None, "altered at {at}");
            altered[at] = right;
        }
        for bad in ["", &token[1..], &format!("{token}="), &"x".repeat(5_000)] {
            assert_eq!(sessions.find(bad), None, "{bad:.40}");
        }
        assert_eq!(sessions.end(key), Some((ada, 0)));
        assert_eq!(sessions.find(&token), None);
    }

    #[test]
    fn a_session_ends_a_day_after_its_last_connection() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut sessions = Sessions::default();
        let now = Moment::from_ms(0);
        let (key, token) = sessions.begin(&mut rng, Id::made_up(7));
        sessions.connect(key);
        sessions.connect(key);
        sessions.disconnect(now, key);
        sessions.forget_expired(now.after(SESSION_TTL));
        assert!(sessions.find(&token).is_some(), "one connection is left");
        sessions.disconnect(now, key);
        assert_eq!(sessions.next_deadline(), Some(now.after(SESSION_TTL)));
        sessions.connect(key);
        assert_eq!(sessions.next_deadline(), None);
        sessions.disconnect(now, key);
        sessions.forget_expired(now.after(SESSION_TTL));
        assert_eq!(sessions.find(&token), None);
    }
}
