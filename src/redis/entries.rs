//! Entries of the log in a reply, token by token: an array of `[id, [field, value, ...]]`.

use super::resp::{Token, digits};
use crate::engine::{EntryId, LogEntry};
use crate::log_event::EngineError;

/// The field that Plume's entries have, and no other.
pub(super) const FIELD: &[u8] = b"e";

pub(super) struct EntryReader {
    order: Order,
    /// The entry before, or the place behind which the first must stand.
    last: Option<EntryId>,
    /// Entries of the array that are still to come.
    left: u64,
    place: Place,
}

/// How the ids of the entries must follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
    /// The entry at the place, and no other.
    Only,
}

/// What the next token must be.
enum Place {
    /// The number of entries, at most so many.
    Count(usize),
    /// The beginning of an entry.
    Entry,
    Id,
    /// The number of fields and values.
    Fields(EntryId),
    /// A field or a value.
    Field {
        id: EntryId,
        fields: u64,
        /// Fields and values that are still to come.
        left: u64,
        is_own: bool,
        value: Vec<u8>,
    },
    End,
}

impl EntryReader {
    /// For an array of at most so many entries, the first of which stands behind `last` in this order.
    pub(super) const fn new(order: Order, last: Option<EntryId>, count_max: usize) -> Self {
        Self { order, last, left: 0, place: Place::Count(count_max) }
    }

    /// For the entry at this place, if there is one.
    pub(super) const fn at(place: EntryId) -> Self {
        Self::new(Order::Only, Some(place), 1)
    }

    /// Whether the array is complete.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.place, Place::End)
    }

    /// Takes the next token. Returns an entry that it completes; one of another form than ours is without
    /// bytes.
    pub(super) fn take(&mut self, token: Token) -> Result<Option<LogEntry>, EngineError> {
        match (std::mem::replace(&mut self.place, Place::End), token) {
            (Place::Count(count_max), Token::Array(count)) if count <= count_max as u64 => {
                self.left = count;
                self.next_entry();
            }
            (Place::Entry, Token::Array(2)) => self.place = Place::Id,
            (Place::Id, Token::Bulk(id)) => {
                let id = read_id(&id).ok_or(EngineError::Protocol)?;
                let is_next = self.last.is_none_or(|last| match self.order {
                    Order::Ascending => last < id,
                    Order::Descending => last > id,
                    Order::Only => last == id,
                });
                if !is_next {
                    return Err(EngineError::Protocol);
                }
                self.last = Some(id);
                self.place = Place::Fields(id);
            }
            (Place::Fields(id), Token::Array(fields)) if fields > 0 && fields.is_multiple_of(2) => {
                self.place = Place::Field { id, fields, left: fields, is_own: false, value: Vec::new() };
            }
            (
                Place::Field { id, fields, left, mut is_own, mut value },
                token @ (Token::Bulk(_) | Token::Oversized),
            ) => {
                match (fields, left, token) {
                    (2, 2, Token::Bulk(name)) => is_own = name == FIELD,
                    (2, 1, Token::Bulk(content)) if is_own => value = content,
                    _ => {}
                }
                match left.saturating_sub(1) {
                    0 => {
                        self.next_entry();
                        return Ok(Some(LogEntry { id, bytes: value }));
                    }
                    left => self.place = Place::Field { id, fields, left, is_own, value },
                }
            }
            (
                Place::Count(_)
                | Place::Entry
                | Place::Id
                | Place::Fields(_)
                | Place::Field { .. }
                | Place::End,
                _,
            ) => return Err(EngineError::Protocol),
        }
        Ok(None)
    }

    fn next_entry(&mut self) {
        self.place = if self.left == 0 { Place::End } else { Place::Entry };
        self.left = self.left.saturating_sub(1);
    }
}

/// Reads an id: two numbers with a hyphen between.
pub(super) fn read_id(text: &[u8]) -> Option<EntryId> {
    let (ms, seq) = str::from_utf8(text).ok()?.split_once('-')?;
    Some(EntryId { ms: digits(ms.as_bytes())?, seq: digits(seq.as_bytes())? })
}

#[cfg(test)]
mod tests {
    use super::Order::{Ascending, Descending, Only};
    use super::Token::{Array, Bulk, Integer, Nil, Oversized, Status};
    use super::*;

    fn text(text: &str) -> Token {
        Bulk(text.as_bytes().to_vec())
    }

    fn entry(id: &str, fields: &[&str]) -> Vec<Token> {
        let fields = fields.iter().map(|field| text(field));
        let count = fields.len() as u64;
        [Array(2), text(id), Array(count)].into_iter().chain(fields).collect()
    }

    fn read(
        order: Order,
        last: Option<EntryId>,
        tokens: Vec<Token>,
    ) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        let mut reader = EntryReader::new(order, last, 3);
        let mut entries = Vec::new();
        for token in tokens {
            if let Some(entry) = reader.take(token)? {
                entries.push((entry.id.to_string(), entry.bytes));
            }
        }
        if reader.has_ended() { Ok(entries) } else { Err(EngineError::Timeout) }
    }

    #[test]
    fn entries_of_another_form_are_without_bytes() {
        let rows: [(Vec<Token>, &[u8]); 9] = [
            (entry("1-2", &["e", "x\r\n"]), b"x\r\n"),
            (entry("1-2", &["e", ""]), b""),
            (entry("1-2", &["E", "x"]), b""),
            (entry("1-2", &["", "x"]), b""),
            (entry("1-2", &["e", "x", "e", "y"]), b""),
            (entry("1-2", &["e", "x", "f", "y"]), b""),
            (entry("1-2", &["f", "y", "e", "x"]), b""),
            (vec![Array(2), text("1-2"), Array(2), text("e"), Oversized], b""),
            (vec![Array(2), text("1-2"), Array(2), Oversized, text("x")], b""),
        ];
        for (tokens, bytes) in rows {
            let reply = [vec![Array(2)], tokens.clone(), entry("1-3", &["e", "next"])].concat();
            let expected = vec![("1-2".to_owned(), bytes.to_vec()), ("1-3".to_owned(), b"next".to_vec())];
            assert_eq!(read(Ascending, None, reply), Ok(expected), "{tokens:?}");
        }
        assert_eq!(read(Ascending, None, vec![Array(0)]), Ok(vec![]));
    }

    #[test]
    fn whatever_no_engine_says_is_an_error() {
        let good = || entry("5-5", &["e", "x"]);
        let after = |tokens: Vec<Token>| [vec![Array(1)], tokens].concat();
        let rows = [
            vec![Nil],
            vec![Status(b"OK".to_vec())],
            vec![Integer(1)],
            vec![Array(4)],
            vec![Array(u64::MAX)],
            after(vec![Array(1)]),
            after(vec![Array(3)]),
            after(vec![Nil]),
            after(vec![Array(2), Nil]),
            after(vec![Array(2), Oversized]),
            after(vec![Array(2), Integer(5)]),
            after(vec![Array(2), text("5-5"), Nil]),
            after(vec![Array(2), text("5-5"), Array(0)]),
            after(vec![Array(2), text("5-5"), Array(1)]),
            after(vec![Array(2), text("5-5"), Array(2), Nil]),
            after(vec![Array(2), text("5-5"), Array(2), text("e"), Array(0)]),
            after(vec![Array(2), text("5-5"), Array(2), text("e"), Integer(5)]),
            [vec![Array(1)], good(), good()].concat(),
            [vec![Array(2)], good(), good()].concat(),
            [vec![Array(2)], good(), entry("5-4", &["e", "x"])].concat(),
            [vec![Array(2)], good(), entry("4-9", &["e", "x"])].concat(),
        ];
        for tokens in rows {
            assert_eq!(read(Ascending, None, tokens.clone()), Err(EngineError::Protocol), "{tokens:?}");
        }
        for id in [
            "",
            "5",
            "5-",
            "-5",
            "5-5-5",
            "+5-5",
            "5-+5",
            "5 -5",
            "a-5",
            "5-18446744073709551616",
            "\u{663}-5",
        ] {
            let tokens = after(entry(id, &["e", "x"]));
            assert_eq!(read(Ascending, None, tokens), Err(EngineError::Protocol), "{id}");
        }
    }

    #[test]
    fn ids_follow_each_other_and_the_place_before() {
        let reply = |ids: &[&str]| {
            let entries = ids.iter().flat_map(|id| entry(id, &["e", "x"]));
            [Array(ids.len() as u64)].into_iter().chain(entries).collect::<Vec<_>>()
        };
        let at = |ms, seq| Some(EntryId { ms, seq });
        let rows: [(Order, Option<EntryId>, &[&str], bool); 12] = [
            (Ascending, None, &["0-0", "0-1", "1-0"], true),
            (Ascending, at(5, 5), &["5-6", "18446744073709551615-18446744073709551615"], true),
            (Ascending, at(5, 5), &["5-5"], false),
            (Ascending, at(5, 5), &["4-9"], false),
            (Descending, None, &["2-0", "1-9", "1-8"], true),
            (Descending, None, &["1-9", "1-9"], false),
            (Descending, None, &["1-9", "2-0"], false),
            (Descending, at(5, 5), &["5-4"], true),
            (Descending, at(5, 5), &["5-5"], false),
            (Only, at(5, 5), &["5-5"], true),
            (Only, at(5, 5), &["5-6"], false),
            (Only, at(5, 5), &["5-4"], false),
        ];
        for (order, last, ids, is_good) in rows {
            assert_eq!(read(order, last, reply(ids)).is_ok(), is_good, "{last:?} {ids:?}");
        }
    }
}
