//! Replies that are awaited, and what they come to: token by token, each checked against what was asked.

use super::entries::{EntryReader, Order, read_id};
use super::info;
use super::resp::{Token, digits};
use crate::engine::{EntryId, LogEntry};
use crate::limits::{
    ENGINE_INFO_BYTES_MAX, ENGINE_LINE_BYTES_MAX, ENGINE_READ_BYTES_MAX, ENGINE_REPLY_BYTES_MAX,
    ENTRIES_PER_READ, RECENT_ENTRIES_MAX,
};
use crate::log_event::EngineError;

/// A reply that is to come, as far as it has.
pub(super) enum Awaited {
    /// To AUTH: a status.
    Login,
    /// To INFO server.
    Process,
    /// To INFO replication.
    History,
    /// To TIME: seconds and microseconds.
    Time(TimeReader),
    /// To XRANGE: the entry at a place.
    Entry(EntryReader, Option<Vec<u8>>),
    /// To XREVRANGE, newest first.
    Recent { reader: EntryReader, entries: Vec<LogEntry>, bytes: usize },
    /// To XADD: an id.
    Added,
    /// To SET: a status.
    Held,
    /// To GET.
    Value,
    /// To XREAD.
    Read(ReadReader),
}

pub(super) enum Reply {
    /// Logged in, or a state is held.
    Done,
    /// The id of the engine's process.
    Process(String),
    /// The id of the history that the engine's data has.
    History(String),
    /// Milliseconds since 1970.
    Time(u64),
    /// What stands at a place.
    Entry(Option<Vec<u8>>),
    /// The newest entries, in the order of the log.
    Recent(Vec<LogEntry>),
    Added,
    Value(Option<Vec<u8>>),
    /// A read has ended. What it gave is appended already.
    Read,
}

impl Awaited {
    /// The entry at a place, if there is one.
    pub(super) const fn entry(at: EntryId) -> Self {
        Self::Entry(EntryReader::at(at), None)
    }

    pub(super) const fn recent() -> Self {
        let reader = EntryReader::new(Order::Descending, None, RECENT_ENTRIES_MAX);
        Self::Recent { reader, entries: Vec::new(), bytes: 0 }
    }

    /// Entries behind a place.
    pub(super) const fn read(after: EntryId) -> Self {
        let entries = EntryReader::new(Order::Ascending, Some(after), ENTRIES_PER_READ);
        Self::Read(ReadReader { place: ReadPlace::Begin, entries, bytes: 0, is_cut: false })
    }

    /// Most bytes of a string in the reply.
    pub(super) const fn bytes_max(&self) -> usize {
        match self {
            Self::Login | Self::Time(_) | Self::Added | Self::Held => ENGINE_LINE_BYTES_MAX,
            Self::Process | Self::History => ENGINE_INFO_BYTES_MAX,
            Self::Entry(..) | Self::Recent { .. } | Self::Value | Self::Read(_) => ENGINE_REPLY_BYTES_MAX,
        }
    }

    /// Takes the next token, which is no error. Returns the reply, when it is complete. Entries of a read are
    /// appended to `entries` before.
    pub(super) fn take(
        &mut self,
        token: Token,
        key: &str,
        entries: &mut Vec<LogEntry>,
    ) -> Result<Option<Reply>, EngineError> {
        Ok(match (self, token) {
            (Self::Login | Self::Held, Token::Status(status)) if status == b"OK" => Some(Reply::Done),
            (Self::Process, Token::Bulk(text)) => Some(Reply::Process(info::process(&text)?.to_owned())),
            (Self::History, Token::Bulk(text)) => Some(Reply::History(info::history(&text)?.to_owned())),
            (Self::Time(reader), token) => reader.take(token)?.map(Reply::Time),
            (Self::Entry(reader, found), token) => {
                if let Some(entry) = reader.take(token)? {
                    *found = Some(entry.bytes);
                }
                reader.has_ended().then(|| Reply::Entry(found.take()))
            }
            (Self::Recent { reader, entries, bytes }, token) => {
                take_recent(reader, entries, bytes, token)?.map(Reply::Recent)
            }
            (Self::Added, Token::Bulk(id)) => {
                read_id(&id).ok_or(EngineError::Protocol)?;
                Some(Reply::Added)
            }
            (Self::Value, Token::Bulk(value)) => Some(Reply::Value(Some(value))),
            (Self::Value, Token::Nil) => Some(Reply::Value(None)),
            (Self::Read(reader), token) => reader.take(token, key, entries)?,
            (Self::Login | Self::Process | Self::History | Self::Added | Self::Held | Self::Value, _) => {
                return Err(EngineError::Protocol);
            }
        })
    }
}

/// Collects the newest entries. Those that are too many bytes together are without them: they only say who
/// was there.
fn take_recent(
    reader: &mut EntryReader,
    entries: &mut Vec<LogEntry>,
    bytes: &mut usize,
    token: Token,
) -> Result<Option<Vec<LogEntry>>, EngineError> {
    if let Some(mut entry) = reader.take(token)? {
        *bytes = bytes.saturating_add(entry.bytes.len());
        if *bytes > ENGINE_REPLY_BYTES_MAX {
            entry.bytes = Vec::new();
        }
        entries.push(entry);
    }
    Ok(reader.has_ended().then(|| {
        entries.reverse();
        std::mem::take(entries)
    }))
}

/// Reads nothing, if no entry came in time, or `[[key, entries]]`. Entries that are too many bytes together
/// are left out, for the next read to give them.
pub(super) struct ReadReader {
    place: ReadPlace,
    entries: EntryReader,
    /// Of the entries that were taken.
    bytes: usize,
    /// Whether some were left out.
    is_cut: bool,
}

#[derive(Clone, Copy)]
enum ReadPlace {
    Begin,
    Log,
    Key,
    Entries,
}

impl ReadReader {
    fn take(
        &mut self,
        token: Token,
        key: &str,
        entries: &mut Vec<LogEntry>,
    ) -> Result<Option<Reply>, EngineError> {
        self.place = match (self.place, token) {
            (ReadPlace::Begin, Token::Nil) => return Ok(Some(Reply::Read)),
            (ReadPlace::Begin, Token::Array(1)) => ReadPlace::Log,
            (ReadPlace::Log, Token::Array(2)) => ReadPlace::Key,
            (ReadPlace::Key, Token::Bulk(name)) if name == key.as_bytes() => ReadPlace::Entries,
            (ReadPlace::Entries, token) => {
                if let Some(entry) = self.entries.take(token)? {
                    self.bytes = self.bytes.saturating_add(entry.bytes.len());
                    // One is taken in any case.
                    self.is_cut |= self.bytes > ENGINE_READ_BYTES_MAX && !entries.is_empty();
                    if !self.is_cut {
                        entries.push(entry);
                    }
                }
                ReadPlace::Entries
            }
            (ReadPlace::Begin | ReadPlace::Log | ReadPlace::Key, _) => return Err(EngineError::Protocol),
        };
        if !self.entries.has_ended() {
            return Ok(None);
        }
        if entries.is_empty() {
            return Err(EngineError::Protocol);
        }
        Ok(Some(Reply::Read))
    }
}

/// Reads `[seconds, microseconds]`.
#[derive(Clone, Copy, Default)]
pub(super) enum TimeReader {
    #[default]
    Count,
    Seconds,
    Microseconds {
        seconds: u64,
    },
}

impl TimeReader {
    /// Takes the next token. Returns milliseconds, when it is complete.
    fn take(&mut self, token: Token) -> Result<Option<u64>, EngineError> {
        match (*self, token) {
            (Self::Count, Token::Array(2)) => *self = Self::Seconds,
            (Self::Seconds, Token::Bulk(text)) => {
                let seconds = digits(&text).ok_or(EngineError::Protocol)?;
                *self = Self::Microseconds { seconds };
            }
            (Self::Microseconds { seconds }, Token::Bulk(text)) => {
                let micros = digits(&text).ok_or(EngineError::Protocol)?;
                return Ok(Some(seconds.saturating_mul(1_000).saturating_add(micros / 1_000)));
            }
            (Self::Count | Self::Seconds | Self::Microseconds { .. }, _) => {
                return Err(EngineError::Protocol);
            }
        }
        Ok(None)
    }
}

/// What an error of the engine means, in reply to AUTH or to anything else: its first word says it.
pub(crate) fn refusal(line: &[u8], is_login: bool) -> EngineError {
    let word = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    match word {
        b"NOAUTH" | b"WRONGPASS" => EngineError::Auth,
        // A user that may not do this, and a server that nobody may use over the network.
        b"NOPERM" | b"DENIED" => EngineError::Forbidden,
        b"READONLY" | b"UNBLOCKED" | b"MASTERDOWN" => EngineError::ReadOnly,
        b"OOM" => EngineError::OutOfMemory,
        b"NOREPLICAS" => EngineError::NoReplicas,
        b"MISCONF" => EngineError::CannotSave,
        b"WRONGTYPE" => EngineError::WrongType,
        b"LOADING" | b"BUSY" => EngineError::Busy,
        b"ERR" if is_login => EngineError::Auth,
        b"ERR" if line.starts_with(b"ERR unknown command") => EngineError::TooOld,
        _ => EngineError::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, bytes: &str) -> Vec<Token> {
        let text = |text: &str| Token::Bulk(text.as_bytes().to_vec());
        vec![Token::Array(2), text(id), Token::Array(2), text("e"), text(bytes)]
    }

    #[test]
    fn recent_entries_that_are_too_many_bytes_are_without_them() {
        let mut awaited = Awaited::recent();
        let Awaited::Recent { bytes, .. } = &mut awaited else { panic!("it is one") };
        *bytes = ENGINE_REPLY_BYTES_MAX - 5;
        let tokens = [
            vec![Token::Array(4)],
            entry("9-0", "new"),
            entry("8-0", "xx"),
            entry("7-0", "x"),
            entry("6-0", ""),
        ];
        let mut reply = None;
        for token in tokens.concat() {
            assert!(reply.is_none());
            reply = awaited.take(token, "k", &mut Vec::new()).expect("it is good");
        }
        let Some(Reply::Recent(entries)) = reply else { panic!("it is not complete") };
        let bytes: Vec<&[u8]> = entries.iter().map(|entry| entry.bytes.as_slice()).collect();
        assert_eq!(bytes, [&b""[..], b"", b"xx", b"new"]);
    }

    #[test]
    fn a_value_that_is_too_large_is_no_answer() {
        let mut awaited = Awaited::Value;
        assert_eq!(awaited.bytes_max(), ENGINE_REPLY_BYTES_MAX);
        assert!(matches!(awaited.take(Token::Oversized, "k", &mut Vec::new()), Err(EngineError::Protocol)));
        // In an entry it is one without bytes: it need not be a node that wrote it.
        let mut awaited = Awaited::entry(EntryId { ms: 9, seq: 0 });
        let mut tokens = [vec![Token::Array(1)], entry("9-0", "")].concat();
        tokens.pop();
        tokens.push(Token::Oversized);
        let replies = tokens
            .into_iter()
            .filter_map(|token| awaited.take(token, "k", &mut Vec::new()).expect("it is good"));
        assert!(
            matches!(replies.collect::<Vec<_>>()[..], [Reply::Entry(Some(ref bytes))] if bytes.is_empty())
        );
    }
}
