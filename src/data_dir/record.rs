//! The format of the log of changes: bytes in, entries out, and back. Pure functions.
//!
//! # The format
//! The head has 32 bytes: eight that say what the file is, the version of the format (four bytes,
//! little-endian), four zeros, and 16 bytes by which the log knows its key file. Records follow, each at a
//! multiple of 16 bytes:
//!
//! | bytes | |
//! |---|---|
//! | 4 | length of the changes in bytes, little-endian |
//! | 4 | check of the place and the length |
//! | 8 | check of the place, the length and all that follows in the record |
//! | length | changes: a list of keys with their new value or nothing, as [`frost`] writes it |
//! | 1 to 16 | `FF`, up to the next multiple of 16 |
//!
//! A check is the beginning of a SHA-256 digest. Because it covers the place, a record that has moved, or
//! whose predecessor is missing, is a bad one.
//!
//! # A torn end or a bad record
//! Each record is one write, and the next begins only after it is on the disk. So a crash or a power cut can
//! leave no more than the last record unfinished: the file ends within it, or some of its sectors were never
//! written and read as zeros. Such an end is cut off: no one relied on it. Anything else that does not fit
//! its checks was whole once. A head of 16 bytes never spans two sectors, so it is there or not; a padding of
//! `FF` at the end of each record keeps its last sector from being zeros.
//!
//! [`frost`]: crate::base::frost

use super::error::DataError;
use crate::base::digest::Digest;
use crate::base::frost::{Frost, Frozen};
use crate::kept::{Change, Entries};
use crate::limits::DATA_RECORD_BYTES_MAX;

/// By what a log knows its key: without it, one that was exchanged would make every rule a rule about nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    pub(super) fn of(key: &[u8; super::KEY_BYTES]) -> Self {
        Self(digest(&[b"plume key", key]))
    }
}

/// What a log contains.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) entries: Entries,
    /// Where the last whole record ends.
    pub(super) end: usize,
    /// Whether some bytes are of entries that are gone.
    pub(super) has_dead: bool,
}

pub(super) fn head(id: KeyId) -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes(), &RESERVED, &id.0].concat()
}

/// Reads a whole log.
///
/// # Errors
/// If it is no log, or of a newer version, or belongs to another key, or a record is bad.
pub(super) fn read(bytes: &[u8], id: KeyId) -> Result<Contents, DataError> {
    read_head(bytes, id)?;
    let mut contents = Contents { entries: Entries::new(), end: HEAD_BYTES, has_dead: false };
    for number in 1.. {
        let at = contents.end;
        if at >= bytes.len() {
            break;
        }
        let bad = DataError::BadRecord { number, at };
        match Record::at(bytes, at, id) {
            Record::Whole { changes, end } => {
                for change in thaw(changes).ok_or(bad)? {
                    contents.has_dead |= contents.entries.contains_key(&change.key) || change.value.is_none();
                    change.make(&mut contents.entries);
                }
                contents.end = end;
            }
            Record::Torn => break,
            Record::Bad => return Err(bad),
        }
    }
    Ok(contents)
}

fn read_head(bytes: &[u8], id: KeyId) -> Result<(), DataError> {
    let mut rest = Frozen::new(bytes);
    let head = (rest.bytes(MAGIC.len()), <[u8; 4]>::thaw(&mut rest), rest.bytes(RESERVED.len()));
    let (Some(magic), Some(version), Some(reserved)) = head else { return Err(DataError::NotALog) };
    match (magic == MAGIC, u32::from_le_bytes(version)) {
        (false, _) | (true, 0) => Err(DataError::NotALog),
        (true, version) if version > VERSION => Err(DataError::NewerVersion(version)),
        (true, _) if reserved != RESERVED => Err(DataError::NotALog),
        (true, _) => match <[u8; KEY_ID_BYTES]>::thaw(&mut rest) {
            Some(own) if own == id.0 => Ok(()),
            Some(_) => Err(DataError::OtherKey),
            None => Err(DataError::NotALog),
        },
    }
}

/// What stands at a place in a log.
enum Record<'a> {
    Whole {
        changes: &'a [u8],
        /// Where the next record begins.
        end: usize,
    },
    /// The last record, which was never written to its end.
    Torn,
    /// Bytes that were a record once, or never.
    Bad,
}

impl<'a> Record<'a> {
    fn at(bytes: &'a [u8], at: usize, id: KeyId) -> Self {
        let mut rest = Frozen::new(bytes.get(at..).unwrap_or_default());
        let Some(head) = rest.bytes(RECORD_HEAD_BYTES) else { return Self::Torn };
        let Some((length, check)) = read_record_head(head, at, id) else {
            return if is_unwritten(bytes, at, id) { Self::Torn } else { Self::Bad };
        };
        let Some(body) = rest.bytes(padded(length)) else { return Self::Torn };
        if check != check_of_body(at, length, body, id) {
            let has_hole = rest.is_empty() && has_zero_sector(body, at + RECORD_HEAD_BYTES);
            return if has_hole { Self::Torn } else { Self::Bad };
        }
        Self::Whole {
            changes: body.get(..length).unwrap_or_default(),
            end: at + RECORD_HEAD_BYTES + body.len(),
        }
    }
}

/// The length of the changes in bytes, and the check of the record's body, if the head of the record is good.
fn read_record_head(head: &[u8], at: usize, id: KeyId) -> Option<(usize, [u8; BODY_CHECK_BYTES])> {
    let mut head = Frozen::new(head);
    let length = u32::from_le_bytes(<[u8; 4]>::thaw(&mut head)?);
    let length = usize::try_from(length).ok().filter(|&length| length <= DATA_RECORD_BYTES_MAX)?;
    let is_good = <[u8; HEAD_CHECK_BYTES]>::thaw(&mut head)? == check_of_head(at, length, id);
    <[u8; BODY_CHECK_BYTES]>::thaw(&mut head).filter(|_| is_good).map(|check| (length, check))
}

/// Whether a record without a good head is one whose first sector was never written: zeros up to the end of
/// the sector, no more bytes than a record has, and no whole record among them, which would show that this
/// one was on the disk once.
fn is_unwritten(bytes: &[u8], at: usize, id: KeyId) -> bool {
    let tail = bytes.get(at..).unwrap_or_default();
    let sector = tail.get(..SECTOR_BYTES - at % SECTOR_BYTES).unwrap_or(tail);
    let is_follower = |at| matches!(Record::at(bytes, at, id), Record::Whole { .. });
    tail.len() <= RECORD_HEAD_BYTES + padded(DATA_RECORD_BYTES_MAX)
        && sector.iter().all(|&byte| byte == 0)
        && !(at..bytes.len())
            .step_by(ALIGNMENT)
            .skip(1)
            .filter(|&at| has_head(bytes, at, id))
            .any(is_follower)
}

fn has_head(bytes: &[u8], at: usize, id: KeyId) -> bool {
    let head = bytes.get(at..at + RECORD_HEAD_BYTES);
    head.is_some_and(|head| read_record_head(head, at, id).is_some())
}

/// Whether the part of these bytes that lies in one sector of the file is all zeros. They begin at `at`.
fn has_zero_sector(bytes: &[u8], at: usize) -> bool {
    let first = (SECTOR_BYTES - at % SECTOR_BYTES).min(bytes.len());
    let (first, rest) = bytes.split_at_checked(first).unwrap_or((bytes, &[]));
    [first].into_iter().chain(rest.chunks(SECTOR_BYTES)).any(|part| part.iter().all(|&byte| byte == 0))
}

fn thaw(changes: &[u8]) -> Option<Vec<Change>> {
    let mut from = Frozen::new(changes);
    let changes = Vec::<(Vec<u8>, Option<Vec<u8>>)>::thaw(&mut from)?;
    from.is_empty().then(|| changes.into_iter().map(|(key, value)| Change { key, value }).collect())
}

/// Changes that become one record.
#[derive(Default)]
pub(super) struct Draft {
    count: usize,
    changes: Vec<u8>,
}

impl Draft {
    /// Adds a change if there is room for it. Returns whether there was.
    pub(super) fn add(&mut self, key: &Vec<u8>, value: Option<&Vec<u8>>) -> bool {
        let before = self.changes.len();
        key.freeze(&mut self.changes);
        value.is_some().freeze(&mut self.changes);
        if let Some(value) = value {
            value.freeze(&mut self.changes);
        }
        let has_room = self.changes.len() <= DATA_RECORD_BYTES_MAX - COUNT_BYTES_MAX;
        if has_room {
            self.count += 1;
        } else {
            self.changes.truncate(before);
        }
        has_room
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The record, for this place in the log.
    pub(super) fn finish(&self, at: usize, id: KeyId) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.changes.len() + COUNT_BYTES_MAX + ALIGNMENT);
        self.count.freeze(&mut body);
        body.extend_from_slice(&self.changes);
        let length = body.len();
        body.resize(padded(length), PADDING);
        let check = check_of_body(at, length, &body, id);
        // A draft has at most `DATA_RECORD_BYTES_MAX` bytes.
        let own = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        [&own[..], &check_of_head(at, length, id), &check, &body].concat()
    }
}

/// The bytes that an entry takes in a log, about.
pub(super) fn size_of(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_OVERHEAD_BYTES
}

/// The length of a record behind its head: the next begins at a multiple of 16 again, after a byte of padding
/// at least.
const fn padded(length: usize) -> usize {
    (length + 1).next_multiple_of(ALIGNMENT)
}

fn check_of_head(at: usize, length: usize, id: KeyId) -> [u8; HEAD_CHECK_BYTES] {
    digest(&[&id.0, &(at as u64).to_le_bytes(), &(length as u64).to_le_bytes()])
}

fn check_of_body(at: usize, length: usize, body: &[u8], id: KeyId) -> [u8; BODY_CHECK_BYTES] {
    digest(&[&id.0, &(at as u64).to_le_bytes(), &(length as u64).to_le_bytes(), body])
}

/// The beginning of the digest of these parts.
fn digest<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let digest = Digest::of(&parts.concat());
    let mut own = [0; N];
    own.iter_mut().zip(digest.bytes()).for_each(|(own, byte)| *own = *byte);
    own
}

/// What the file is.
const MAGIC: [u8; 8] = *b"\x89plumeK\n";
/// The version that is written, and the newest that can be read.
const VERSION: u32 = 1;
const RESERVED: [u8; 4] = [0; 4];
const KEY_ID_BYTES: usize = 16;
/// Where the first record begins.
pub(super) const HEAD_BYTES: usize = MAGIC.len() + 4 + RESERVED.len() + KEY_ID_BYTES;
const HEAD_CHECK_BYTES: usize = 4;
/// As many as leave no hope that a damaged record passes: one of 2 to the power of 64 does.
const BODY_CHECK_BYTES: usize = 8;
const RECORD_HEAD_BYTES: usize = 4 + HEAD_CHECK_BYTES + BODY_CHECK_BYTES;
const ALIGNMENT: usize = 16;
const PADDING: u8 = 0xff;
/// The least that a disk or a file system writes at once.
const SECTOR_BYTES: usize = 512;
/// Most bytes of the number of changes in a record: a varint of 32 bits.
const COUNT_BYTES_MAX: usize = 5;
/// The lengths of key and value.
const ENTRY_OVERHEAD_BYTES: usize = 4;
const _: () = assert!(HEAD_BYTES.is_multiple_of(ALIGNMENT) && RECORD_HEAD_BYTES == ALIGNMENT);
const _: () = assert!(SECTOR_BYTES.is_multiple_of(ALIGNMENT));

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> KeyId {
        KeyId::of(&[7; 32])
    }

    /// A log of records with these changes.
    fn log(records: &[&[(&str, Option<&str>)]]) -> Vec<u8> {
        let mut log = head(id());
        for record in records {
            let mut draft = Draft::default();
            for (key, value) in *record {
                let value = value.map(|value| value.as_bytes().to_vec());
                assert!(draft.add(&key.as_bytes().to_vec(), value.as_ref()));
            }
            log.extend(draft.finish(log.len(), id()));
        }
        log
    }

    fn entries(of: &[(&str, &str)]) -> Entries {
        of.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_last_change_of_a_key_counts() {
        let contents = read(&head(id()), id()).unwrap();
        assert_eq!(contents, Contents { entries: entries(&[]), end: HEAD_BYTES, has_dead: false });
        let bytes = log(&[&[("a", Some("1")), ("b", Some(""))], &[("c", Some("3"))]]);
        let contents = read(&bytes, id()).unwrap();
        let all = entries(&[("a", "1"), ("b", ""), ("c", "3")]);
        assert_eq!(contents, Contents { entries: all, end: bytes.len(), has_dead: false });
        let bytes = log(&[&[("a", Some("1")), ("b", Some(""))], &[("a", Some("2"))], &[("b", None)]]);
        let contents = read(&bytes, id()).unwrap();
        let all = entries(&[("a", "2")]);
        assert_eq!(contents, Contents { entries: all, end: bytes.len(), has_dead: true });
    }

    /// Records before the last, and the last, which spans four sectors.
    fn with_long_end() -> (Vec<u8>, Vec<u8>) {
        let long = "x".repeat(1_700);
        let before = log(&[&[("a", Some("1"))], &[("b", Some("2"))]]);
        let all = log(&[&[("a", Some("1"))], &[("b", Some("2"))], &[("c", Some(&long))]]);
        (before, all)
    }

    #[test]
    fn an_end_that_is_torn_at_any_byte_is_cut_off() {
        let (before, all) = with_long_end();
        for end in before.len()..all.len() {
            let contents = read(&all[..end], id()).unwrap();
            let expected = (before.len(), entries(&[("a", "1"), ("b", "2")]));
            assert_eq!((contents.end, contents.entries), expected, "cut at {end}");
        }
        assert_eq!(read(&all, id()).unwrap().entries.len(), 3);
    }

    #[test]
    fn an_end_whose_sectors_were_not_all_written_is_cut_off() {
        let (before, all) = with_long_end();
        let sectors: Vec<_> = (before.len() / SECTOR_BYTES..all.len().div_ceil(SECTOR_BYTES)).collect();
        assert!(sectors.len() >= 4);
        for lost in 1_u32..1 << sectors.len() {
            let mut torn = all.clone();
            for (bit, sector) in sectors.iter().enumerate().filter(|(bit, _)| lost >> bit & 1 == 1) {
                let from = (sector * SECTOR_BYTES).max(before.len());
                let to = ((sector + 1) * SECTOR_BYTES).min(all.len());
                assert!(bit < 32);
                torn[from..to].fill(0);
            }
            let contents = read(&torn, id()).unwrap();
            assert_eq!((contents.end, contents.entries.len()), (before.len(), 2), "without {lost:b}");
        }
    }

    #[test]
    fn a_flipped_bit_before_the_end_is_found_and_its_record_named() {
        let (before, all) = with_long_end();
        let second = log(&[&[("a", Some("1"))]]).len();
        for at in 0..all.len() {
            for bit in 0..8 {
                let mut bad = all.clone();
                bad[at] ^= 1 << bit;
                let expected = match at {
                    0..8 | 12..16 => DataError::NotALog,
                    8..12 if bad[8..12] == [0; 4] => DataError::NotALog,
                    8..12 => DataError::NewerVersion(1 ^ (1 << (bit + 8 * (at - 8)))),
                    16..HEAD_BYTES => DataError::OtherKey,
                    _ if at < second => DataError::BadRecord { number: 1, at: HEAD_BYTES },
                    _ if at < before.len() => DataError::BadRecord { number: 2, at: second },
                    _ => DataError::BadRecord { number: 3, at: before.len() },
                };
                assert_eq!(read(&bad, id()).unwrap_err(), expected, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn zeros_in_the_middle_are_a_bad_record() {
        let records: Vec<(String, String)> = (0..60).map(|n| (format!("key {n}"), "v".repeat(30))).collect();
        let records: Vec<_> =
            records.iter().map(|(key, value)| [(key.as_str(), Some(value.as_str()))]).collect();
        let all = log(&records.iter().map(<[_; 1]>::as_slice).collect::<Vec<_>>());
        let sectors = all.len() / SECTOR_BYTES;
        assert!(sectors > 5);
        for sector in 1..sectors {
            let mut bad = all.clone();
            bad[sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES].fill(0);
            let error = read(&bad, id()).unwrap_err();
            assert!(matches!(error, DataError::BadRecord { .. }), "sector {sector}: {error}");
        }
    }

    #[test]
    fn records_that_are_missing_doubled_or_moved_are_bad() {
        let first = log(&[&[("a", Some("1"))]]);
        let all = log(&[&[("a", Some("1"))], &[("b", Some("2"))], &[("c", Some("3"))]]);
        let record = first.len() - HEAD_BYTES;
        assert_eq!(all.len(), HEAD_BYTES + 3 * record, "all are of one length");
        let part = |number: usize| &all[HEAD_BYTES + number * record..HEAD_BYTES + (number + 1) * record];
        let rows: [(&str, &[usize], u64); 4] = [
            ("the first is missing", &[1, 2], 1),
            ("the second is missing", &[0, 2], 2),
            ("one is there twice", &[0, 0, 1], 2),
            ("two have changed places", &[0, 2, 1], 2),
        ];
        for (what, order, number) in rows {
            let parts: Vec<&[u8]> = order.iter().map(|&number| part(number)).collect();
            let at = HEAD_BYTES + record * (usize::try_from(number).unwrap() - 1);
            let bytes = [&all[..HEAD_BYTES], &parts.concat()].concat();
            assert_eq!(read(&bytes, id()), Err(DataError::BadRecord { number, at }), "{what}");
        }
    }

    #[test]
    fn garbage_behind_the_last_record_is_none_of_a_torn_end() {
        let (_, all) = with_long_end();
        for (what, tail, is_torn) in [
            ("a few bytes", vec![1; 15], true),
            ("zeros of less than a record", vec![0; DATA_RECORD_BYTES_MAX / 2], true),
            ("more zeros than a record has", vec![0; 2 * DATA_RECORD_BYTES_MAX], false),
            ("bytes that are no head", vec![1; 16], false),
            ("text", b"A line that somebody has added with an editor.\n".to_vec(), false),
        ] {
            let result = read(&[&all[..], &tail].concat(), id());
            assert_eq!(result.is_ok_and(|contents| contents.end == all.len()), is_torn, "{what}");
        }
    }

    #[test]
    fn what_is_no_log_is_not_read() {
        let id = id();
        for bytes in [
            &b""[..],
            b"plume",
            &[0; 64],
            &head(id)[..HEAD_BYTES - 1],
            b"#!/bin/sh\necho hello world; exit 1\n",
        ] {
            assert_eq!(read(bytes, id), Err(DataError::NotALog), "{bytes:?}");
        }
        let mut newer = head(id);
        newer[8..12].copy_from_slice(&2_u32.to_le_bytes());
        newer.extend([9; 100]);
        assert_eq!(read(&newer, id), Err(DataError::NewerVersion(2)));
    }

    #[test]
    fn a_draft_takes_no_more_than_a_record_holds() {
        let mut draft = Draft::default();
        let value = vec![5; DATA_RECORD_BYTES_MAX / 4];
        let taken = (0..10_u8).take_while(|&key| draft.add(&vec![key], Some(&value))).count();
        assert_eq!((taken, draft.count()), (3, 3));
        assert!(draft.add(&vec![11], None), "a short one still fits");
        let bytes = [head(id()), draft.finish(HEAD_BYTES, id())].concat();
        assert_eq!(read(&bytes, id()).unwrap().entries.len(), 3);
    }
}
