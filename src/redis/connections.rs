//! The two connections to the engine, as a state machine: what is asked becomes commands, and replies become
//! what the engine says.

use super::entries::FIELD;
use super::info;
use super::reply::{Awaited, Reply, TimeReader};
use super::wire::Wire;
use crate::base::time::Moment;
use crate::config::{RedisLogin, RedisUrl};
use crate::engine::{Ask, EntryId, LogEntry, Say};
use crate::limits::{
    ENGINE_CHECK_INTERVAL, ENTRIES_PER_READ, HANDED_STATE_TTL, LOG_ENTRIES_MIN, RECENT_ENTRIES_MAX,
    REMEMBERED_BYTES_MAX, TAIL_BLOCK,
};
use crate::log_event::EngineError;
use std::collections::VecDeque;

/// The two connections. How to drive it:
/// 1. [`ask`](Self::ask), and [`tick`](Self::tick) at [`next_deadline`](Self::next_deadline).
/// 2. [`poll`](Self::poll) until `None` after each call, and do what it says.
/// 3. Send what [`unsent`](Self::unsent) gives, and say how much was sent ([`wrote`](Self::wrote)), until it
///    is empty. Read, and hand over what came ([`received`](Self::received)).
pub struct Connections {
    login: Option<RedisLogin>,
    /// The key of the log.
    key: String,
    /// `None`: there is no connection, and nothing is said until the next [`Ask::Check`].
    session: Option<Session>,
    actions: VecDeque<Action>,
}

/// One of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that writes, and looks at places.
    Writer,
    /// The one that waits for entries.
    Tail,
}

/// What the shell is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Make this connection, and call [`Connections::connected`] or [`Connections::fail`]. For the writer:
    /// what connections there are end before. For the tail: to the same address as the writer.
    Connect(Side),
    /// The engine says this.
    Say(Say),
    /// End the connections: they are lost. It is [`Say::Lost`], with the reason for the log.
    Lose(EngineError),
}

/// What holds from a [`Ask::Check`] until the connections are lost.
#[derive(Default)]
struct Session {
    writer: Wire,
    /// Not used before entries are to be read.
    tail: Wire,
    /// Of the writer, when it is known.
    stamp: Option<u64>,
    /// What stands at the place that was asked for.
    entry: Option<Vec<u8>>,
    /// When to ask again which history the engine has. `None`: [`Say::Checked`] is not said yet.
    check_again: Option<Moment>,
    /// The place behind which entries are to be read, or the last that was.
    after: Option<EntryId>,
    /// The bytes of that entry, if they are few.
    after_bytes: Option<Vec<u8>>,
    /// What the last read gave. It is said when the entry at `after` turns out to be there still.
    entries: Vec<LogEntry>,
}

impl Connections {
    /// There is no connection yet.
    #[must_use]
    pub fn new(url: &RedisUrl) -> Self {
        Self { login: url.login.clone(), key: url.key.clone(), session: None, actions: VecDeque::new() }
    }

    /// Does what is asked, or forgets it where there is no connection.
    pub fn ask(&mut self, now: Moment, ask: Ask) {
        if let Ask::Check { at } = ask {
            return self.check(now, at);
        }
        let Self { login, key, session: Some(session), actions } = self else { return };
        let writer = &mut session.writer;
        let name = key.as_bytes();
        match ask {
            Ask::Recent => {
                let count = RECENT_ENTRIES_MAX.to_string();
                let words: [&[u8]; 6] = [b"XREVRANGE", name, b"+", b"-", b"COUNT", count.as_bytes()];
                writer.send(now, &words, Awaited::recent());
            }
            Ask::Add(bytes) => {
                let keep = LOG_ENTRIES_MIN.to_string();
                let words: [&[u8]; 7] = [b"XADD", name, b"MAXLEN", b"~", keep.as_bytes(), b"*", FIELD];
                writer.send_large(now, &words, bytes, &[], Awaited::Added);
            }
            Ask::Read { after } if session.after.is_none() => {
                session.after = Some(after);
                session.begin_tail(now, login.as_ref(), actions);
            }
            // It is asked once; and see above.
            Ask::Read { .. } | Ask::Check { .. } => {}
            Ask::Put { key: number, value } => {
                let seconds = HANDED_STATE_TTL.as_secs().to_string();
                let before: [&[u8]; 2] = [b"SET", &state_key(key, number)];
                writer.send_large(now, &before, value, &[b"EX", seconds.as_bytes()], Awaited::Held);
            }
            Ask::Get { key: number } => {
                writer.send(now, &[b"GET", &state_key(key, number)], Awaited::Value);
            }
        }
    }

    fn check(&mut self, now: Moment, at: Option<EntryId>) {
        let mut writer = Wire::default();
        writer.greet(now, self.login.as_ref());
        if let Some(at) = at {
            writer.send_range(now, &self.key, at);
        }
        writer.send(now, &[b"TIME"], Awaited::Time(TimeReader::default()));
        self.session = Some(Session { writer, ..Session::default() });
        self.actions.clear();
        self.actions.push_back(Action::Connect(Side::Writer));
    }

    /// What the shell is to do next.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// A connection is made.
    pub fn connected(&mut self, now: Moment, side: Side) {
        if let Some(session) = &mut self.session {
            session.wire(side).connected(now);
        }
    }

    /// The bytes to send next on this connection; empty if there are none.
    #[must_use]
    pub fn unsent(&self, side: Side) -> &[u8] {
        self.session.as_ref().map_or(&[], |session| match side {
            Side::Writer => session.writer.unsent(),
            Side::Tail => session.tail.unsent(),
        })
    }

    /// So many of them are sent.
    pub fn wrote(&mut self, side: Side, bytes: usize) {
        if let Some(session) = &mut self.session {
            session.wire(side).wrote(bytes);
        }
    }

    /// These bytes have come. In time, however late they are read: that is for [`tick`](Self::tick) to say,
    /// which is called when everything is read.
    pub fn received(&mut self, now: Moment, side: Side, bytes: &[u8]) {
        let Self { login, key, session: Some(session), actions } = self else { return };
        session.wire(side).moved(bytes.len());
        let mut rest = bytes;
        let result = loop {
            match session.take(now, side, &mut rest, key, actions) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        session.begin_tail(now, login.as_ref(), actions);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// A connection has failed, or could not be made: both are lost.
    pub fn fail(&mut self, error: EngineError) {
        if self.session.take().is_some() {
            self.actions.retain(|action| matches!(action, Action::Say(_)));
            self.actions.push_back(Action::Lose(error));
        }
    }

    /// Time has passed, and what has come by then is received.
    pub fn tick(&mut self, now: Moment) {
        let Some(session) = &mut self.session else { return };
        let is_late = |wire: &Wire| wire.deadline().is_some_and(|deadline| deadline <= now);
        if is_late(&session.writer) || is_late(&session.tail) {
            return self.fail(EngineError::Timeout);
        }
        if session.check_again.is_some_and(|again| again <= now) {
            session.check_again = Some(now.after(ENGINE_CHECK_INTERVAL));
            session.writer.send(now, &[b"INFO", b"replication"], Awaited::History);
        }
    }

    /// The next time at which [`Self::tick`] must be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let session = self.session.as_ref()?;
        [session.check_again, session.writer.deadline(), session.tail.deadline()].into_iter().flatten().min()
    }
}

impl Session {
    fn wire(&mut self, side: Side) -> &mut Wire {
        match side {
            Side::Writer => &mut self.writer,
            Side::Tail => &mut self.tail,
        }
    }

    /// Connects the tail, if entries are to be read and the check is done.
    fn begin_tail(&mut self, now: Moment, login: Option<&RedisLogin>, actions: &mut VecDeque<Action>) {
        if self.check_again.is_some() && self.after.is_some() && !self.tail.is_begun() {
            self.tail.greet(now, login);
            actions.push_back(Action::Connect(Side::Tail));
        }
    }

    /// Takes a reply from the front of `bytes`. `false`: there is no whole one.
    fn take(
        &mut self,
        now: Moment,
        side: Side,
        bytes: &mut &[u8],
        key: &str,
        actions: &mut VecDeque<Action>,
    ) -> Result<bool, EngineError> {
        let wire = match side {
            Side::Writer => &mut self.writer,
            Side::Tail => &mut self.tail,
        };
        let Some(reply) = wire.take(now, bytes, key, &mut self.entries)? else { return Ok(false) };
        let mut say = |say| actions.push_back(Action::Say(say));
        match reply {
            Reply::Process(process) => wire.process = process,
            Reply::History(history) => {
                let stamp = info::stamp(&wire.process, &history);
                self.take_stamp(now, side, stamp, key)?;
            }
            // The last reply of a check.
            Reply::Time(now_ms) => {
                let stamp = self.stamp.ok_or(EngineError::Protocol)?;
                say(Say::Checked { stamp, now_ms, entry: self.entry.take() });
                self.check_again = Some(now.after(ENGINE_CHECK_INTERVAL));
            }
            Reply::Entry(entry) => match (side, entry) {
                (Side::Writer, entry) => self.entry = entry,
                // In a log that was emptied another one may stand at the same place, within a millisecond.
                (Side::Tail, Some(bytes)) if self.after_bytes.as_ref().is_none_or(|own| *own == bytes) => {
                    self.read_on(now, key, actions);
                }
                (Side::Tail, Some(_) | None) => return Err(EngineError::Trimmed),
            },
            Reply::Recent(entries) => say(Say::Recent(entries)),
            Reply::Added => say(Say::Added),
            Reply::Value(value) => say(Say::Got(value)),
            // Nothing stands at the beginning, and nothing can be missing before what does.
            Reply::Read if self.after == Some(EntryId::default()) => self.read_on(now, key, actions),
            // Its check is still to come.
            Reply::Read | Reply::Done => {}
        }
        Ok(true)
    }

    /// Says what was read, and reads what is behind it.
    fn read_on(&mut self, now: Moment, key: &str, actions: &mut VecDeque<Action>) {
        if let Some(LogEntry { id, bytes }) = self.entries.last() {
            self.after = Some(*id);
            self.after_bytes = (bytes.len() <= REMEMBERED_BYTES_MAX).then(|| bytes.clone());
            actions.push_back(Action::Say(Say::Entries(std::mem::take(&mut self.entries))));
        }
        self.read(now, key);
    }

    /// Takes the stamp that a connection sees, the first or a later one.
    fn take_stamp(&mut self, now: Moment, side: Side, stamp: u64, key: &str) -> Result<(), EngineError> {
        match (self.stamp, side) {
            (None, Side::Writer) => self.stamp = Some(stamp),
            (Some(own), _) if own == stamp => {}
            (_, Side::Writer | Side::Tail) => return Err(EngineError::Replaced),
        }
        // The tail asks for it once.
        if side == Side::Tail {
            self.read(now, key);
        }
        Ok(())
    }

    /// Asks for the entries behind the last one, and then whether that one is still there. If it is, the log
    /// was neither emptied nor trimmed up to there since it was read, so none are missing in between. Only a
    /// look that comes after the read tells: where the log was emptied and the clock set back, it may have
    /// begun again at a place before this one, and a read that waits would go on behind it.
    fn read(&mut self, now: Moment, key: &str) {
        let Some(after) = self.after else { return };
        let (count, block) = (ENTRIES_PER_READ.to_string(), TAIL_BLOCK.as_millis().to_string());
        let place = after.to_string();
        let words: [&[u8]; 8] = [
            b"XREAD",
            b"COUNT",
            count.as_bytes(),
            b"BLOCK",
            block.as_bytes(),
            b"STREAMS",
            key.as_bytes(),
            place.as_bytes(),
        ];
        self.tail.send(now, &words, Awaited::read(after));
        if after != EntryId::default() {
            self.tail.send_range(now, key, after);
        }
    }
}

fn state_key(key: &str, number: u64) -> Vec<u8> {
    format!("{key}:state:{number:016x}").into_bytes()
}

#[cfg(test)]
mod tests;
