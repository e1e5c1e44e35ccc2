//! The room's lines as one ring of finished frames. It knows bytes and numbers, not what a line says.
//!
//! Every frame has an id; ids are consecutive integers from 1. A reader is a [`Position`], which always
//! stands at the start of a frame or at the end of the ring. When the ring is full, the oldest frames make room:
//! a position before [`Ring::oldest`] has been lapped.

use std::collections::VecDeque;

/// A place between two frames: bytes that were appended before it, since the start of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position(u64);

/// What is left to read between two positions: two slices where the ring wraps.
pub type Slices<'a> = [&'a [u8]; 2];

/// What becomes of a reader whose socket took some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Advance<'a> {
    /// Where the reader stands now: always between two frames.
    pub position: Position,
    /// The rest of the frame that the socket took only a part of, which the position has passed.
    pub rest: Slices<'a>,
}

/// The newest frames of a room, within a fixed number of bytes.
#[derive(Debug)]
pub struct Ring {
    bytes: Box<[u8]>,
    /// Where each frame starts, the oldest first. The id of a frame follows from its place.
    starts: VecDeque<Position>,
    oldest_id: u64,
    end: Position,
}

impl Ring {
    /// An empty ring for `capacity` bytes. Its memory becomes resident only as it fills.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity].into_boxed_slice(),
            starts: VecDeque::new(),
            oldest_id: 1,
            end: Position(0),
        }
    }

    /// Appends a finished frame and gives its id.
    ///
    /// # Panics
    /// If the frame is empty or longer than the ring.
    pub fn append(&mut self, frame: &[u8]) -> u64 {
        assert!(!frame.is_empty() && frame.len() <= self.bytes.len(), "a frame must fit into the ring");
        let new_end = Position(self.end.0 + frame.len() as u64);
        while new_end.0 - self.oldest().0 > self.bytes.len() as u64 {
            self.starts.pop_front();
            self.oldest_id += 1;
        }
        let at = self.offset(self.end);
        let before_wrap = frame.len().min(self.bytes.len() - at);
        self.bytes[at..at + before_wrap].copy_from_slice(&frame[..before_wrap]);
        self.bytes[..frame.len() - before_wrap].copy_from_slice(&frame[before_wrap..]);
        self.starts.push_back(self.end);
        self.end = new_end;
        self.newest_id()
    }

    /// Where the next frame will start.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }

    /// The start of the oldest frame that is still there; a reader that stands before it has been lapped.
    #[must_use]
    pub fn oldest(&self) -> Position {
        self.starts.front().copied().unwrap_or(self.end)
    }

    /// The id of the newest frame; zero where there never was one.
    #[must_use]
    pub fn newest_id(&self) -> u64 {
        self.oldest_id + self.starts.len() as u64 - 1
    }

    /// Where the newest `frames` frames begin, or as many as there are.
    #[must_use]
    pub fn newest(&self, frames: usize) -> Position {
        let skipped = self.starts.len().saturating_sub(frames);
        self.starts.get(skipped).copied().unwrap_or(self.end)
    }

    /// Where to read on after the frame `id`; `None` where frames after it are gone.
    #[must_use]
    pub fn after(&self, id: u64) -> Option<Position> {
        let skipped = id.saturating_add(1).checked_sub(self.oldest_id)?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Some(self.starts.get(skipped).copied().unwrap_or(self.end))
    }

    /// The bytes from one position to another, at most `bytes_max` of them.
    ///
    /// # Panics
    /// If the positions are not in order or not in the ring.
    #[must_use]
    pub fn slices(&self, from: Position, to: Position, bytes_max: usize) -> Slices<'_> {
        assert!(self.oldest() <= from && from <= to && to <= self.end, "positions must be in the ring");
        self.span(from.0, (to.0 - from.0).min(bytes_max as u64))
    }

    /// Where a reader at `from` stands after its socket took `taken` bytes.
    ///
    /// # Panics
    /// If that is beyond the end.
    #[must_use]
    pub fn advance(&self, from: Position, taken: usize) -> Advance<'_> {
        let reached = from.0 + taken as u64;
        assert!(reached <= self.end.0, "nobody can read beyond the end");
        if reached == self.end.0 {
            return Advance { position: self.end, rest: [&[], &[]] };
        }
        let next = self.starts.partition_point(|start| start.0 < reached);
        let position = self.starts.get(next).copied().unwrap_or(self.end);
        Advance { position, rest: self.span(reached, position.0 - reached) }
    }

    fn span(&self, from: u64, len: u64) -> Slices<'_> {
        let at = self.offset(Position(from));
        let len = usize::try_from(len).expect("a span fits into the ring");
        let before_wrap = len.min(self.bytes.len() - at);
        [&self.bytes[at..at + before_wrap], &self.bytes[..len - before_wrap]]
    }

    fn offset(&self, position: Position) -> usize {
        usize::try_from(position.0 % self.bytes.len() as u64).expect("an offset fits into the ring")
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
    fn an_empty_ring_has_no_frames() {
        let ring = Ring::new(8);
        assert_eq!((ring.newest_id(), ring.oldest(), ring.end()), (0, Position(0), Position(0)));
        assert_eq!(ring.newest(3), ring.end());
        assert_eq!(ring.after(0), Some(ring.end()));
        assert_eq!(read(&ring, ring.end()), b"");
    }

    #[test]
    fn the_oldest_frames_make_room() {
        let mut ring = Ring::new(8);
        assert_eq!(ring.append(b"abc"), 1);
        assert_eq!(ring.append(b"def"), 2);
        let lapped = ring.oldest();
        assert_eq!(ring.append(b"ghi"), 3);
        assert!(lapped < ring.oldest());
        assert_eq!(read(&ring, ring.oldest()), b"defghi");
        assert_eq!(read(&ring, ring.newest(1)), b"ghi");
        assert_eq!(read(&ring, ring.newest(9)), b"defghi");
        assert_eq!(ring.after(0), None, "frame 1 is gone");
        assert_eq!(ring.after(1), Some(ring.oldest()));
        assert_eq!(ring.after(3), Some(ring.end()));
        assert_eq!(ring.after(u64::MAX), Some(ring.end()));
        assert_eq!(ring.append(b"12345678"), 4);
        assert_eq!(read(&ring, ring.oldest()), b"12345678");
    }

    #[test]
    fn a_reader_stands_between_frames() {
        let mut ring = Ring::new(8);
        ring.append(b"abc");
        ring.append(b"def");
        let from = ring.oldest();
        let rows = [(0, 0, ""), (1, 3, "bc"), (3, 3, ""), (4, 6, "ef"), (6, 6, "")];
        for (taken, position, rest) in rows {
            let advance = ring.advance(from, taken);
            assert_eq!(advance.position, Position(position), "{taken} taken");
            assert_eq!(advance.rest.concat(), rest.as_bytes(), "{taken} taken");
        }
    }

    proptest! {
        /// Whatever is appended, the ring holds the newest frames that fit, whole and in order.
        #[test]
        fn the_ring_is_the_end_of_the_log(frames in proptest::collection::vec(1_usize..40, 0..60), capacity in 40_usize..100) {
            let mut ring = Ring::new(capacity);
            let mut log: Vec<Vec<u8>> = Vec::new();
            for (id, len) in (1_u64..).zip(frames) {
                log.push(vec![u8::try_from(id).unwrap(); len]);
                prop_assert_eq!(ring.append(log.last().unwrap()), id);
                let fits = (0..=log.len()).rev().take_while(|&from| log[from..].concat().len() <= capacity).last().unwrap();
                prop_assert_eq!(read(&ring, ring.oldest()), log[fits..].concat());
                prop_assert_eq!(ring.after(fits as u64), Some(ring.oldest()));
                prop_assert_eq!(ring.after(id), Some(ring.end()));
                let bytes = log[fits..].concat();
                for taken in 0..=bytes.len() {
                    let advance = ring.advance(ring.oldest(), taken);
                    let mut all = bytes[..taken].to_vec();
                    all.extend(advance.rest.concat());
                    all.extend(read(&ring, advance.position));
                    prop_assert_eq!(&all, &bytes);
                }
            }
        }
    }
}
