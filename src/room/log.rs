//! The room's log: one ring buffer of encoded frames. Owns bytes, frame starts and ids; never parses a frame,
//! and knows no reader.
//!
//! Every frame has an id; ids are consecutive integers from 1. A reader is a [`Position`], always at the
//! start of a frame or at the end of the ring. When the ring is full, the oldest frames are overwritten: a
//! position before [`Ring::oldest`] has been lapped.

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

#[derive(Debug)]
pub(crate) struct Ring {
    bytes: Box<[u8]>,
    /// Start of each frame, oldest first. A frame's id follows from its index.
    starts: VecDeque<Position>,
    /// A mark for each frame, by which it can be found again; zero means none.
    marks: VecDeque<u32>,
    oldest_id: u64,
    end: Position,
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

    /// Appends an encoded frame and returns its id, or `None` if the frame is empty or longer than the ring.
    /// Marks need not be unique: callers compare the bytes of [`Ring::marked`] frames. Zero means no mark.
    pub(crate) fn append(&mut self, frame: &[u8], mark: u32) -> Option<u64> {
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
        let at = self.offset(self.end);
        let before_wrap = frame.len().min(self.bytes.len() - at);
        self.bytes[at..at + before_wrap].copy_from_slice(&frame[..before_wrap]);
        self.bytes[..frame.len() - before_wrap].copy_from_slice(&frame[before_wrap..]);
        self.starts.push_back(self.end);
        self.marks.push_back(mark);
        self.end = new_end;
        Some(id)
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

    /// Start of the newest `frames` frames, or of as many as are kept and fit into `bytes_max`.
    pub(crate) fn newest(&self, frames: usize, bytes_max: usize) -> Position {
        let first = Position(self.end.0.saturating_sub(bytes_max as u64));
        let too_far_back = self.starts.partition_point(|&start| start < first);
        let skipped = self.starts.len().saturating_sub(frames).max(too_far_back);
        self.starts.get(skipped).copied().unwrap_or(self.end)
    }

    /// The id of the first frame at or after a position.
    pub(crate) fn id_at(&self, position: Position) -> u64 {
        self.oldest_id + self.starts.partition_point(|&start| start < position) as u64
    }

    /// The frames with a mark and their starts, newest first; searches only the newest [`MARKED_FRAMES_MAX`]
    /// frames.
    pub(crate) fn marked(&self, mark: u32) -> impl Iterator<Item = (Position, Slices<'_>)> {
        let oldest = self.marks.len().saturating_sub(MARKED_FRAMES_MAX);
        let places =
            (oldest..self.marks.len()).rev().filter(move |&place| self.marks.get(place) == Some(&mark));
        places.filter_map(|place| {
            let start = *self.starts.get(place)?;
            let end = self.starts.get(place + 1).copied().unwrap_or(self.end);
            Some((start, self.span(start.0, end.0 - start.0)))
        })
    }

    /// The frame that begins at a position, and the position behind it; `None` if none does.
    pub(crate) fn frame(&self, start: Position) -> Option<(Slices<'_>, Position)> {
        let place = self.starts.binary_search(&start).ok()?;
        let end = self.starts.get(place + 1).copied().unwrap_or(self.end);
        Some((self.slices(start, end, usize::MAX), end))
    }

    /// All frames and their starts, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = (Position, Slices<'_>)> {
        let starts = self.starts.iter().rev().copied();
        starts.filter_map(|start| Some((start, self.frame(start)?.0)))
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

/// How many of the newest frames a search for a mark visits. The frame of a line has more than 64 bytes, so
/// this covers all frames of the default ring of 4 MiB; a full search takes a few microseconds.
const MARKED_FRAMES_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(ring: &Ring, from: Position) -> Vec<u8> {
        ring.slices(from, ring.end(), usize::MAX).concat()
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
        assert_eq!(ring.append(b"abc", 0), Some(1));
        assert_eq!(ring.append(b"def", 0), Some(2));
        let lapped = ring.oldest();
        assert_eq!(ring.append(b"ghi", 0), Some(3));
        assert!(lapped < ring.oldest());
        assert_eq!(read(&ring, ring.oldest()), b"defghi");
        assert_eq!(read(&ring, ring.newest(1, usize::MAX)), b"ghi");
        assert_eq!(read(&ring, ring.newest(9, usize::MAX)), b"defghi");
        assert_eq!(ring.after(0), None, "frame 1 is gone");
        assert_eq!(ring.after(1), Some(ring.oldest()));
        assert_eq!(ring.after(3), Some(ring.end()));
        assert_eq!(ring.after(u64::MAX), Some(ring.end()));
        assert_eq!(ring.append(b"12345678", 0), Some(4));
        assert_eq!(read(&ring, ring.oldest()), b"12345678");
    }

    #[test]
    fn a_frame_that_does_not_fit_changes_nothing() {
        for capacity in [0, 1, 8] {
            let mut ring = Ring::new(capacity);
            let before = ring.append(&vec![7; capacity], 0);
            assert_eq!(before, (capacity > 0).then_some(1));
            for frame in [vec![], vec![9; capacity + 1]] {
                assert_eq!(ring.append(&frame, 1), None, "{capacity}");
            }
            assert_eq!((ring.newest_id(), ring.next_id()), if capacity > 0 { (1, 2) } else { (0, 1) });
            assert_eq!(read(&ring, ring.oldest()), vec![7; capacity]);
            assert_eq!(ring.advance(ring.oldest(), 0).unwrap().position, ring.oldest());
            assert_eq!(ring.marked(1).count(), 0);
        }
    }

    #[test]
    fn the_newest_frames_are_bounded_in_bytes_too() {
        let mut ring = Ring::new(20);
        for frame in [b"abc", b"def", b"ghi"] {
            ring.append(frame, 0);
        }
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
            ring.append(frame, mark);
        }
        let found = |ring: &Ring| ring.marked(7).map(|(_, frame)| frame.concat()).collect::<Vec<_>>();
        assert_eq!(found(&ring), [b"ghi", b"abc"]);
        ring.append(b"jkl", 0);
        assert_eq!(found(&ring), [b"ghi"]);
    }

    #[test]
    fn what_is_gone_or_not_there_yet_cannot_be_read() {
        let mut ring = Ring::new(8);
        ring.append(b"abc", 0);
        let lapped = ring.oldest();
        for frame in [b"def", b"ghi", b"jkl"] {
            ring.append(frame, 0);
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
        let mut ring = Ring::new(8);
        ring.append(b"abc", 0);
        ring.append(b"def", 0);
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
                prop_assert_eq!(ring.append(log.last().unwrap(), 0), Some(id));
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
