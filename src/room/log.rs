//! The room's log: one ring buffer of encoded frames. Owns bytes, frame starts, marks and ids; never parses a
//! frame, and knows no reader.
//!
//! Every frame has an id; ids are consecutive integers from 1. A reader is a [`Position`], always at the
//! start of a frame or at the end of the ring. When the ring is full, the oldest frames are overwritten: a
//! position before [`Ring::oldest`] has been lapped.
//!
//! A line that is deleted is replaced by a frame of the same length, so no position moves. A reader that has
//! received a part of the old frame needs the rest of it: see [`super::cursor::Outbox::keep_offered`].

use crate::base::frost::{Frost, Frozen, Refill, freeze_fields, frost};
use std::collections::VecDeque;

/// A position between two frames, as the number of bytes appended before it since the start of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(u64);

/// The bytes between two positions, in two slices where the ring wraps.
pub(crate) type Slices<'a> = [&'a [u8]; 2];

/// Result of advancing a reader by the bytes that its socket took.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advance<'a> {
    /// The reader's new position, always between two frames.
    pub(crate) position: Position,
    /// The unsent rest of a frame that the socket took only in part; the position is already past it.
    pub(crate) rest: Slices<'a>,
}

/// Hashes by which frames are found without reading them. They need not be unique: callers compare the bytes
/// of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Of the sender and its `ref`; zero means none.
    pub(crate) reference: u32,
    /// Of the sender, if the frame is a line that can be deleted; zero means none.
    pub(crate) sender: u32,
}

impl Mark {
    /// The mark of a frame that is never looked for.
    pub(crate) const NONE: Self = Self { reference: 0, sender: 0 };

    /// The largest hash of a sender.
    pub(crate) const SENDER_MAX: u32 = !1;

    /// Whether the frame stands in the place of a line that was deleted.
    pub(crate) fn is_gone(self) -> bool {
        self.sender == GONE
    }

    /// Whether the frame is a line that can be deleted.
    pub(crate) fn can_be_deleted(self) -> bool {
        self.sender != 0 && !self.is_gone()
    }
}

/// In the place of the sender's hash: the line was deleted.
const GONE: u32 = !0;

/// A frame in the ring.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) id: u64,
    pub(crate) start: Position,
    pub(crate) end: Position,
    pub(crate) mark: Mark,
    pub(crate) bytes: Slices<'a>,
}

impl Found<'_> {
    fn len(&self) -> usize {
        self.bytes.iter().map(|slice| slice.len()).sum()
    }
}

#[derive(Debug)]
pub(crate) struct Ring {
    bytes: Box<[u8]>,
    /// Start of each frame, oldest first. A frame's id follows from its index.
    starts: VecDeque<Position>,
    marks: VecDeque<Mark>,
    oldest_id: u64,
    end: Position,
}

impl Frost for Position {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.0.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        u64::thaw(from).map(Self)
    }
}

impl Frost for Mark {
    fn freeze(&self, to: &mut Vec<u8>) {
        (self.reference, self.sender).freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let (reference, sender) = Frost::thaw(from)?;
        Some(Self { reference, sender })
    }
}

/// The frames that are kept, as they are in a ring that has never wrapped.
struct Kept {
    bytes: Vec<u8>,
    /// The length of each frame, and its mark.
    frames: Vec<(usize, Mark)>,
    oldest_id: u64,
    end: Position,
}

frost!(struct Kept { bytes, frames, oldest_id, end });

/// A ring of another size takes the newest frames that fit; each stays at its position.
impl Refill for Ring {
    fn freeze_state(&self, to: &mut Vec<u8>) {
        let ends = self.starts.iter().copied().skip(1).chain([self.end]);
        let lengths = self.starts.iter().zip(ends).map(|(start, end)| end.0.saturating_sub(start.0));
        freeze_fields(to, |to| {
            self.slices(self.oldest(), self.end, usize::MAX).concat().freeze(to);
            self.starts.len().freeze(to);
            lengths.zip(&self.marks).for_each(|(length, mark)| {
                length.freeze(to);
                mark.freeze(to);
            });
            self.oldest_id.freeze(to);
            self.end.freeze(to);
        });
    }

    fn refill(&mut self, from: &mut Frozen<'_>) -> Option<()> {
        let Kept { bytes, frames, oldest_id, end } = Kept::thaw(from)?;
        // No run comes so far.
        if oldest_id == 0 || oldest_id > u64::MAX / 2 || end.0 > u64::MAX / 2 {
            return None;
        }
        let mut rest = bytes.as_slice();
        self.oldest_id = oldest_id;
        self.end = Position(end.0.checked_sub(bytes.len() as u64)?);
        for (length, mark) in frames {
            let (frame, behind) = rest.split_at_checked(length)?;
            if self.append(frame, mark).is_none() {
                // It is empty, which no frame is, or too long: none before it is kept, for the kept ones
                // have no gaps.
                if frame.is_empty() {
                    return None;
                }
                self.oldest_id = self.next_id() + 1;
                self.starts.clear();
                self.marks.clear();
                self.end = Position(self.end.0 + frame.len() as u64);
            }
            rest = behind;
        }
        rest.is_empty().then_some(())
    }
}

impl Position {
    /// The position so many bytes after this one.
    pub(crate) fn plus(self, bytes: u32) -> Self {
        Self(self.0.saturating_add(bytes.into()))
    }
}

impl Ring {
    /// Reserves `capacity` bytes. The memory becomes resident only as the ring fills.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity].into_boxed_slice(),
            starts: VecDeque::new(),
            marks: VecDeque::new(),
            oldest_id: 1,
            end: Position(0),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Appends an encoded frame and returns its id, or `None` if the frame is empty or longer than the ring.
    pub(crate) fn append(&mut self, frame: &[u8], mark: Mark) -> Option<u64> {
        if frame.is_empty() || frame.len() > self.bytes.len() {
            return None;
        }
        let id = self.next_id();
        let new_end = Position(self.end.0 + frame.len() as u64);
        while new_end.0 - self.oldest().0 > self.bytes.len() as u64 {
            self.starts.pop_front();
            self.marks.pop_front();
            self.oldest_id += 1;
        }
        self.write(self.end, frame);
        self.starts.push_back(self.end);
        self.marks.push_back(mark);
        self.end = new_end;
        Some(id)
    }

    /// Replaces the frame `id` by one of the same length, in the place of a deleted line. Returns false, and
    /// changes nothing, if the frame is no longer kept or has another length.
    pub(crate) fn replace(&mut self, id: u64, frame: &[u8]) -> bool {
        let Some(found) = self.frame(id).filter(|found| found.len() == frame.len()) else { return false };
        let start = found.start;
        if let Some(mark) = self.place(id).and_then(|place| self.marks.get_mut(place)) {
            mark.sender = GONE;
        }
        self.write(start, frame);
        true
    }

    /// Writes a frame that is no longer than the ring.
    fn write(&mut self, start: Position, frame: &[u8]) {
        let at = self.offset(start);
        let before_wrap = frame.len().min(self.bytes.len() - at);
        self.bytes[at..at + before_wrap].copy_from_slice(&frame[..before_wrap]);
        self.bytes[..frame.len() - before_wrap].copy_from_slice(&frame[before_wrap..]);
    }

    /// Whether a reader can stand there: at a frame or the end, or before what is kept.
    pub(crate) fn has(&self, position: Position) -> bool {
        position == self.end || position < self.oldest() || self.starts.binary_search(&position).is_ok()
    }

    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// The start of the oldest frame kept. A reader before it has been lapped.
    pub(crate) fn oldest(&self) -> Position {
        self.starts.front().copied().unwrap_or(self.end)
    }

    /// Zero while no frame has ever been appended.
    pub(crate) fn newest_id(&self) -> u64 {
        self.next_id().saturating_sub(1)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.oldest_id + self.starts.len() as u64
    }

    /// Start of the newest `frames` frames, or of as many as are kept and fit into `bytes_max`. Deleted lines
    /// do not count, except for their bytes.
    pub(crate) fn newest(&self, frames: usize, bytes_max: usize) -> Position {
        let first = Position(self.end.0.saturating_sub(bytes_max as u64));
        let too_far_back = self.starts.partition_point(|&start| start < first);
        let is_there = |place: &usize| self.marks.get(*place).is_some_and(|mark| !mark.is_gone());
        let newest = (too_far_back..self.starts.len()).rev().filter(is_there).take(frames).last();
        newest.and_then(|place| self.starts.get(place)).copied().unwrap_or(self.end)
    }

    /// The id of the first frame at or after a position.
    pub(crate) fn id_at(&self, position: Position) -> u64 {
        self.oldest_id + self.starts.partition_point(|&start| start < position) as u64
    }

    /// The frames whose marks are sought among the newest `frames_max`, newest first.
    pub(crate) fn marked(
        &self,
        frames_max: usize,
        is_sought: impl Fn(Mark) -> bool,
    ) -> impl Iterator<Item = Found<'_>> {
        let marks = self.marks.iter().enumerate().rev().take(frames_max);
        marks.filter(move |(_, mark)| is_sought(**mark)).filter_map(|(place, _)| self.found(place))
    }

    pub(crate) fn frame(&self, id: u64) -> Option<Found<'_>> {
        self.found(self.place(id)?)
    }

    /// The index of the frame `id`, if it is kept.
    fn place(&self, id: u64) -> Option<usize> {
        let place = usize::try_from(id.checked_sub(self.oldest_id)?).ok()?;
        (place < self.starts.len()).then_some(place)
    }

    fn found(&self, place: usize) -> Option<Found<'_>> {
        let start = *self.starts.get(place)?;
        let end = self.starts.get(place + 1).copied().unwrap_or(self.end);
        let mark = *self.marks.get(place)?;
        let bytes = self.span(start.0, end.0 - start.0);
        Some(Found { id: self.oldest_id + place as u64, start, end, mark, bytes })
    }

    /// The frame that begins at a position, if one does.
    pub(crate) fn frame_at(&self, start: Position) -> Option<Found<'_>> {
        self.found(self.starts.binary_search(&start).ok()?)
    }

    /// Position after the frame `id`; `None` if frames after it have been overwritten.
    pub(crate) fn after(&self, id: u64) -> Option<Position> {
        let skipped = id.saturating_add(1).checked_sub(self.oldest_id)?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Some(self.starts.get(skipped).copied().unwrap_or(self.end))
    }

    /// The bytes from one position to another, at most `bytes_max`; empty if the positions are out of order
    /// or outside the ring.
    pub(crate) fn slices(&self, from: Position, to: Position, bytes_max: usize) -> Slices<'_> {
        if !(self.oldest() <= from && from <= to && to <= self.end) {
            return [&[], &[]];
        }
        self.span(from.0, (to.0 - from.0).min(bytes_max as u64))
    }

    /// Advances a reader at `from` by the `taken` bytes that its socket took. `None` if that ends within an
    /// overwritten frame or beyond the end.
    pub(crate) fn advance(&self, from: Position, taken: usize) -> Option<Advance<'_>> {
        let reached = Position(from.0.checked_add(taken as u64)?);
        if reached == self.end {
            return Some(Advance { position: self.end, rest: [&[], &[]] });
        }
        if reached < self.oldest() || reached > self.end {
            return None;
        }
        let next = self.starts.partition_point(|&start| start < reached);
        let position = self.starts.get(next).copied().unwrap_or(self.end);
        Some(Advance { position, rest: self.span(reached.0, position.0 - reached.0) })
    }

    fn span(&self, from: u64, len: u64) -> Slices<'_> {
        let at = self.offset(Position(from));
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(self.bytes.len());
        let before_wrap = len.min(self.bytes.len() - at);
        [&self.bytes[at..at + before_wrap], &self.bytes[..len - before_wrap]]
    }

    fn offset(&self, position: Position) -> usize {
        let offset = position.0.checked_rem(self.bytes.len() as u64).unwrap_or(0);
        usize::try_from(offset).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(ring: &Ring, from: Position) -> Vec<u8> {
        ring.slices(from, ring.end(), usize::MAX).concat()
    }

    #[test]
    fn a_successor_keeps_the_newest_frames_that_fit_at_their_positions() {
        let mut ring = Ring::new(11);
        for (id, frame) in (1..).zip([&b"abc"[..], b"def", b"ghij", b"kl"]) {
            ring.append(frame, referenced(id));
        }
        let mut bytes = Vec::new();
        ring.freeze_state(&mut bytes);
        for (capacity, kept) in
            [(99, "defghijkl"), (11, "defghijkl"), (9, "defghijkl"), (8, "ghijkl"), (5, "kl"), (1, "")]
        {
            let mut after = Ring::new(capacity);
            assert_eq!(after.refill(&mut Frozen::new(&bytes)), Some(()), "{capacity}");
            assert_eq!(String::from_utf8_lossy(&read(&after, after.oldest())), kept, "{capacity}");
            assert_eq!((after.end(), after.next_id(), after.after(4)), (ring.end(), 5, Some(ring.end())));
            assert_eq!(after.frame(4).map(|found| found.mark), (capacity > 1).then(|| referenced(4)));
        }
        for end in 0..bytes.len() {
            assert_eq!(Ring::new(9).refill(&mut Frozen::new(&bytes[..end])), None, "{end} bytes");
        }
    }

    fn referenced(reference: u32) -> Mark {
        Mark { reference, sender: 0 }
    }

    #[test]
    fn an_empty_ring_has_no_frames() {
        let ring = Ring::new(8);
        assert_eq!((ring.newest_id(), ring.oldest(), ring.end()), (0, Position(0), Position(0)));
        assert_eq!(ring.newest(3, usize::MAX), ring.end());
        assert_eq!(ring.after(0), Some(ring.end()));
        assert_eq!(read(&ring, ring.end()), b"");
    }

    #[test]
    fn the_oldest_frames_make_room() {
        let mut ring = Ring::new(8);
        assert_eq!(ring.append(b"abc", Mark::NONE), Some(1));
        assert_eq!(ring.append(b"def", Mark::NONE), Some(2));
        let lapped = ring.oldest();
        assert_eq!(ring.append(b"ghi", Mark::NONE), Some(3));
        assert!(lapped < ring.oldest());
        assert_eq!(read(&ring, ring.oldest()), b"defghi");
        assert_eq!(read(&ring, ring.newest(1, usize::MAX)), b"ghi");
        assert_eq!(read(&ring, ring.newest(9, usize::MAX)), b"defghi");
        assert_eq!(ring.after(0), None, "frame 1 is gone");
        assert_eq!(ring.after(1), Some(ring.oldest()));
        assert_eq!(ring.after(3), Some(ring.end()));
        assert_eq!(ring.after(u64::MAX), Some(ring.end()));
        assert_eq!(ring.append(b"12345678", Mark::NONE), Some(4));
        assert_eq!(read(&ring, ring.oldest()), b"12345678");
    }

    #[test]
    fn a_frame_that_does_not_fit_changes_nothing() {
        for capacity in [0, 1, 8] {
            let mut ring = Ring::new(capacity);
            let before = ring.append(&vec![7; capacity], Mark::NONE);
            assert_eq!(before, (capacity > 0).then_some(1));
            for frame in [vec![], vec![9; capacity + 1]] {
                assert_eq!(ring.append(&frame, referenced(1)), None, "{capacity}");
            }
            assert_eq!((ring.newest_id(), ring.next_id()), if capacity > 0 { (1, 2) } else { (0, 1) });
            assert_eq!(read(&ring, ring.oldest()), vec![7; capacity]);
            assert_eq!(ring.advance(ring.oldest(), 0).unwrap().position, ring.oldest());
            assert_eq!(ring.marked(9, |mark| mark == referenced(1)).count(), 0);
        }
    }

    #[test]
    fn the_newest_frames_are_bounded_in_bytes_too() {
        let ring = ring(20, &[b"abc", b"def", b"ghi"], Mark::NONE);
        for (bytes_max, expected) in
            [(0, &b""[..]), (2, b""), (3, b"ghi"), (5, b"ghi"), (6, b"defghi"), (9, b"abcdefghi")]
        {
            assert_eq!(read(&ring, ring.newest(9, bytes_max)), expected, "{bytes_max} bytes");
        }
        assert_eq!(
            (ring.id_at(ring.oldest()), ring.id_at(ring.newest(1, 20)), ring.id_at(ring.end())),
            (1, 3, 4)
        );
    }

    #[test]
    fn frames_are_found_by_their_marks_while_they_are_there() {
        let mut ring = Ring::new(9);
        for (frame, mark) in [(b"abc", 7), (b"def", 0), (b"ghi", 7)] {
            ring.append(frame, referenced(mark));
        }
        let found = |ring: &Ring, frames_max| {
            let found = ring.marked(frames_max, |mark| mark.reference == 7);
            found.map(|found| (found.id, found.bytes.concat())).collect::<Vec<_>>()
        };
        assert_eq!(found(&ring, 3), [(3, b"ghi".to_vec()), (1, b"abc".to_vec())]);
        assert_eq!(found(&ring, 2), [(3, b"ghi".to_vec())], "only among the newest");
        ring.append(b"jkl", Mark::NONE);
        assert_eq!(found(&ring, 3), [(3, b"ghi".to_vec())]);
        assert_eq!(ring.frame(2).unwrap().bytes.concat(), b"def");
        assert!(ring.frame(1).is_none() && ring.frame(5).is_none() && ring.frame(u64::MAX).is_none());
    }

    fn ring(capacity: usize, frames: &[&[u8]], mark: Mark) -> Ring {
        let mut ring = Ring::new(capacity);
        for frame in frames {
            ring.append(frame, mark);
        }
        ring
    }

    /// A ring with lines that can be deleted.
    fn lines(capacity: usize, frames: &[&[u8]]) -> Ring {
        ring(capacity, frames, Mark { reference: 5, sender: 1 })
    }

    #[test]
    fn a_frame_is_replaced_in_its_place_and_keeps_the_mark_of_its_ref() {
        // The third frame wraps.
        for capacity in [12, 11] {
            let mut ring = lines(capacity, &[b"abc", b"def", b"ghij", b"kl"]);
            let (end, after) = (ring.end(), ring.after(3));
            assert!(ring.replace(3, b"----"), "{capacity}");
            assert_eq!(read(&ring, ring.newest(9, usize::MAX)), read(&ring, ring.oldest()));
            assert!(read(&ring, ring.oldest()).ends_with(b"def----kl"), "{capacity}");
            assert_eq!((ring.end(), ring.after(3), ring.newest_id()), (end, after, 4));
            let mark = ring.frame(3).unwrap().mark;
            assert!(mark.is_gone() && !mark.can_be_deleted() && mark.reference == 5);
            assert!(ring.frame(4).unwrap().mark.can_be_deleted());
            assert!(!Mark::NONE.is_gone() && !Mark::NONE.can_be_deleted());
        }
    }

    #[test]
    fn only_a_frame_of_the_same_length_replaces_one_that_is_kept() {
        let mut ring = lines(6, &[b"abc", b"def", b"ghi"]);
        for (id, frame) in [(1, &b"---"[..]), (2, b"--"), (2, b"----"), (2, b""), (4, b"---"), (0, b"---")] {
            assert!(!ring.replace(id, frame), "{id}");
        }
        assert_eq!(read(&ring, ring.oldest()), b"defghi");
        assert!(ring.frame(2).unwrap().mark.can_be_deleted());
    }

    #[test]
    fn the_history_counts_only_lines_that_are_still_there() {
        let mut ring = lines(100, &[b"one", b"two", b"three", b"four", b"five"]);
        for (id, frame) in [(2, &b"---"[..]), (4, b"----"), (5, b"----")] {
            assert!(ring.replace(id, frame));
        }
        let history = |ring: &Ring, frames, bytes_max| {
            String::from_utf8(read(ring, ring.newest(frames, bytes_max))).unwrap()
        };
        assert_eq!(history(&ring, 0, 100), "");
        assert_eq!(history(&ring, 1, 100), "three--------");
        assert_eq!(history(&ring, 2, 100), "one---three--------", "it begins with a line, not with a blank");
        assert_eq!(history(&ring, 9, 100), "one---three--------");
        assert_eq!(history(&ring, 9, 18), "three--------", "the bytes of blanks count");
        assert_eq!(history(&ring, 9, 8), "", "blanks alone are no history");
        ring.append(b"six", Mark::NONE);
        assert_eq!(history(&ring, 1, 100), "six");
        assert_eq!(history(&ring, 2, 100), "three--------six");
    }

    #[test]
    fn a_blank_makes_room_like_any_frame() {
        let mut ring = lines(9, &[b"abc", b"def", b"ghi"]);
        assert!(ring.replace(1, b"---"));
        ring.append(b"jkl", Mark::NONE);
        assert!(ring.frame(1).is_none() && !ring.replace(1, b"---"));
        assert_eq!(read(&ring, ring.newest(9, usize::MAX)), b"defghijkl");
        assert_eq!(ring.marked(9, Mark::is_gone).count(), 0);
    }

    #[test]
    fn what_is_gone_or_not_there_yet_cannot_be_read() {
        let mut ring = ring(8, &[b"abc"], Mark::NONE);
        let lapped = ring.oldest();
        for frame in [b"def", b"ghi", b"jkl"] {
            ring.append(frame, Mark::NONE);
        }
        assert_eq!(ring.slices(lapped, ring.end(), usize::MAX).concat(), b"");
        assert_eq!(ring.advance(lapped, 1), None, "the rest of that frame is overwritten");
        assert_eq!(ring.advance(lapped, 3), None, "and so is this one");
        assert_eq!(ring.advance(lapped, 7).unwrap().rest.concat(), b"hi");
        assert_eq!(ring.advance(lapped, 12).unwrap().position, ring.end());
        assert_eq!(ring.advance(lapped, 13), None);
    }

    #[test]
    fn a_reader_stands_between_frames() {
        let ring = ring(8, &[b"abc", b"def"], Mark::NONE);
        let from = ring.oldest();
        let rows = [(0, 0, ""), (1, 3, "bc"), (3, 3, ""), (4, 6, "ef"), (6, 6, "")];
        for (taken, position, rest) in rows {
            let advance = ring.advance(from, taken).unwrap();
            assert_eq!(advance.position, Position(position), "{taken} taken");
            assert_eq!(advance.rest.concat(), rest.as_bytes(), "{taken} taken");
        }
    }

    proptest! {
        /// After any appends, the ring holds the newest frames that fit, complete and in order.
        #[test]
        fn the_ring_is_the_end_of_the_log(frames in proptest::collection::vec(1_usize..40, 0..60), capacity in 40_usize..100) {
            let mut ring = Ring::new(capacity);
            let mut log: Vec<Vec<u8>> = Vec::new();
            for (id, len) in (1_u64..).zip(frames) {
                log.push(vec![u8::try_from(id).unwrap(); len]);
                prop_assert_eq!(ring.append(log.last().unwrap(), Mark::NONE), Some(id));
                let fits = (0..=log.len()).rev().take_while(|&from| log[from..].concat().len() <= capacity).last().unwrap();
                prop_assert_eq!(read(&ring, ring.oldest()), log[fits..].concat());
                prop_assert_eq!(ring.after(fits as u64), Some(ring.oldest()));
                prop_assert_eq!(ring.after(id), Some(ring.end()));
                let bytes = log[fits..].concat();
                for taken in 0..=bytes.len() {
                    let advance = ring.advance(ring.oldest(), taken).unwrap();
                    let mut all = bytes[..taken].to_vec();
                    all.extend(advance.rest.concat());
                    all.extend(read(&ring, advance.position));
                    prop_assert_eq!(&all, &bytes);
                }
            }
        }
    }
}
