//! The outbox of one connection: its private frames, and its cursor into the room's log. Owns unsent bytes
//! and positions; never touches sockets, and never looks inside a frame.
//!
//! Bytes leave in this order: the staged bytes (the rest of a half-sent frame of the room, then private
//! frames), then the shared body of an HTTP response, then the ring from the cursor up to the position of the
//! next private frame. A ping and pongs are staged only when nothing else is, that is, between two frames.
//!
//! Anything may happen between [`Outbox::unsent`] and [`Outbox::wrote`]: the ring may grow and lap the
//! cursor, a line that was offered may be deleted, the connection may end. So `wrote` accounts for a write by
//! what was offered, never by the state at the time of the call.

use crate::base::frost::{Frost, Frozen, frost};
use crate::limits::PONG_BYTES_MAX;
use crate::room::log::{Advance, Found, Position, Ring};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use tungstenite::Bytes;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Bytes that are sent before any byte of the ring.
    staged: Vec<u8>,
    staged_sent: u32,
    /// Bytes at the front of `staged` that are the rest of a frame of the room.
    room_rest: u32,
    /// The unsent part of the one shared body, sent after `staged`. Boxed, because only HTTP connections have
    /// one, and only briefly.
    body: Option<Box<Bytes>>,
    /// Position in the ring, always between two frames.
    cursor: Position,
    /// Whether this connection reads the ring. When it stops, the cursor is kept for a write that has not
    /// been accounted for yet.
    is_reader: bool,
    /// Private frames that wait until the cursor reaches their position, in order of positions; usually
    /// `None`.
    #[expect(clippy::box_collection, reason = "an idle member is three words smaller")]
    later: Option<Box<VecDeque<Later>>>,
    /// Unsent pongs. Boxed, for most connections have none.
    pongs: Option<Box<Pongs>>,
    ping_due: bool,
    /// Lines of the room in `staged`, in order; only where lines are streamed over HTTP, and only while some
    /// are unsent.
    #[expect(clippy::box_collection, reason = "an idle member is two words smaller")]
    lines: Option<Box<Vec<QueuedLine>>>,
    offer: Offer,
}

/// A line of the room among the bytes of a stream over HTTP.
#[derive(Debug)]
pub(crate) struct QueuedLine {
    /// Where its frame begins in the ring.
    pub(crate) frame: Position,
    /// Where its bytes are among those that are queued.
    pub(crate) bytes: Range<usize>,
    /// What can stand in its place.
    pub(crate) empty_line: Cow<'static, [u8]>,
    pub(crate) is_deleted: bool,
}

/// Encoded pongs, in order.
#[derive(Debug, Default)]
struct Pongs {
    frames: Vec<u8>,
    /// Where the newest begins.
    newest: usize,
}

/// A frame, and the ring position it waits for.
type Later = (Position, Box<[u8]>);

/// The end and the bytes of a frame that was replaced.
type Replaced = (Position, Vec<u8>);

/// Bytes offered by the last `unsent` and not accounted for by `wrote` yet.
#[derive(Debug, Default)]
struct Offer {
    staged: u32,
    /// Bytes of the shared body or, without one, of the ring from the cursor on.
    rest: u32,
    /// Frames as they were offered, if they were replaced since; usually `None`.
    #[expect(clippy::box_collection, reason = "an idle member is two words smaller")]
    replaced: Option<Box<Vec<Replaced>>>,
}

/// The ring has overwritten the rest of a half-sent frame, so the stream cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Torn;

/// Slices that the event loop may write now, in this order.
pub(crate) type Unsent<'a> = [&'a [u8]; 3];

/// A ping without a payload (RFC 6455, section 5.5.2). A server never masks its frames (section 5.1).
const PING: [u8; 2] = [0x89, 0x00];

/// A shared body is shared no longer once it is thawed.
impl Frost for Bytes {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.len().freeze(to);
        u8::freeze_items(self, to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        Vec::thaw(from).map(Self::from)
    }
}

frost!(struct Outbox {
    staged, staged_sent, room_rest, body, cursor, is_reader, later, pongs, ping_due, lines, offer
});
frost!(struct Pongs { frames, newest });
frost!(struct QueuedLine { frame, bytes, empty_line, is_deleted });
frost!(struct Offer { staged, rest, replaced });

impl Outbox {
    /// Whether this is what an outbox can have become.
    pub(crate) fn is_sound(&self, ring: &Ring) -> bool {
        let Self { staged, staged_sent, room_rest, cursor, later, pongs, lines, offer, .. } = self;
        let (sent, len) = (*staged_sent as usize, staged.len());
        let is_offered = (*staged_sent).checked_add(offer.staged).is_some_and(|end| end as usize <= len)
            && offer.staged.checked_add(offer.rest).is_some();
        let later = later.as_deref().into_iter().flatten().map(|&(place, _)| place);
        let mut lines = lines.as_deref().into_iter().flatten().map(|line| &line.bytes);
        // Each begins where the one before it has ended, or behind that.
        let ends = lines
            .try_fold(0, |end, bytes| (end <= bytes.start && bytes.start <= bytes.end).then_some(bytes.end));
        sent <= len
            && *room_rest as usize <= len
            && is_offered
            && (!self.is_reader || ring.has(*cursor))
            && later.clone().is_sorted()
            && later.max().is_none_or(|place| place <= ring.end())
            && pongs.as_ref().is_none_or(|pongs| pongs.newest <= pongs.frames.len())
            && ends.is_some_and(|end| end <= len)
    }

    /// Queues private bytes after all other private bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], ring: &Ring) {
        self.stage_body();
        if self.is_reader {
            self.push_at(ring.end(), bytes);
        } else {
            self.staged.extend_from_slice(bytes);
        }
    }

    /// Queues bytes of a stream, with the lines among them, after all other private bytes. For HTTP only.
    pub(crate) fn push_lines(&mut self, bytes: &[u8], lines: Vec<QueuedLine>) {
        self.stage_body();
        // A stream that is read slowly may never be sent up to its end.
        let sent = std::mem::take(&mut self.staged_sent) as usize;
        self.staged.drain(..sent);
        let before = self.staged.len();
        let mut all = self.lines.take().map_or(Vec::new(), |lines| *lines);
        all.retain(|line| line.bytes.start >= sent);
        for line in &mut all {
            line.bytes = line.bytes.start - sent..line.bytes.end - sent;
        }
        for mut line in lines {
            line.bytes = line.bytes.start + before..line.bytes.end + before;
            all.push(line);
        }
        self.lines = Some(Box::new(all)).filter(|lines| !lines.is_empty());
        self.staged.extend_from_slice(bytes);
    }

    /// Queues a shared body after all other private bytes, without a copy. For HTTP only: an HTTP connection
    /// never reads the ring, so no frame of the room can fall inside the body.
    pub(crate) fn push_body(&mut self, body: Bytes) {
        self.stage_body();
        self.body = Some(Box::new(body)).filter(|body| !body.is_empty());
    }

    /// Queues a private frame at a position in the ring. Private frames keep their order: one that already
    /// waits at a later position is sent first.
    pub(crate) fn push_at(&mut self, place: Position, frame: &[u8]) {
        let later = self.later.get_or_insert_default();
        let place = later.back().map_or(place, |&(last, _)| last.max(place));
        later.push_back((place, frame.into()));
    }

    pub(crate) fn follow(&mut self, from: Position) {
        (self.cursor, self.is_reader) = (from, true);
    }

    /// Stops reading the ring: private frames are still sent, frames of the room are not.
    pub(crate) fn unfollow(&mut self) {
        self.is_reader = false;
        for (_, frame) in self.later.take().into_iter().flat_map(|later| *later) {
            self.staged.extend_from_slice(&frame);
        }
    }

    /// Drops a queued ping and pong: no frame follows a close frame.
    pub(crate) fn drop_control_frames(&mut self) {
        (self.ping_due, self.pongs) = (false, None);
    }

    pub(crate) fn is_lapped(&self, ring: &Ring) -> bool {
        self.is_reader && self.cursor < ring.oldest()
    }

    /// Queues a ping for the next frame boundary.
    pub(crate) fn ping(&mut self) {
        self.ping_due = true;
    }

    /// Queues an encoded pong for the next frame boundary. While [`PONG_BYTES_MAX`] are unsent, a further
    /// pong replaces the newest (RFC 6455, section 5.5.3).
    pub(crate) fn pong(&mut self, frame: &[u8]) {
        let pongs = self.pongs.get_or_insert_default();
        if pongs.frames.len() + frame.len() > PONG_BYTES_MAX {
            pongs.frames.truncate(pongs.newest);
        }
        pongs.newest = pongs.frames.len();
        pongs.frames.extend_from_slice(frame);
    }

    pub(crate) fn has_unsent(&self, ring: &Ring) -> bool {
        self.has_private() || (self.is_reader && self.cursor < ring.end())
    }

    pub(crate) fn has_private(&self) -> bool {
        !self.staged.is_empty()
            || self.body.is_some()
            || self.later.is_some()
            || self.ping_due
            || self.pongs.is_some()
    }

    /// Unsent private bytes. The rest of a frame of the room does not count: the client did not request it,
    /// so it must not use up the budget for replies.
    pub(crate) fn private_bytes(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| body.len());
        self.staged.len() - self.staged_sent.max(self.room_rest) as usize + body + self.later_bytes()
    }

    /// Bytes held in memory for this connection alone: private bytes and the rest of a frame of the room, but
    /// not a shared body.
    pub(crate) fn held_bytes(&self) -> usize {
        self.staged.len() - self.staged_sent as usize + self.later_bytes()
    }

    fn later_bytes(&self) -> usize {
        self.later.as_deref().map_or(0, |later| later.iter().map(|(_, frame)| frame.len()).sum())
    }

    /// Slices to write now, at most `share` bytes in all; no bytes of the ring if it has lapped the cursor.
    pub(crate) fn unsent<'a>(&'a mut self, ring: &'a Ring, share: usize) -> Unsent<'a> {
        self.stage(ring);
        self.drop_deleted(self.staged_sent);
        let staged = &self.staged[self.staged_sent as usize..];
        let staged = &staged[..staged.len().min(share)];
        let share = share - staged.len();
        self.offer = Offer { staged: len_u32(staged.len()), ..Offer::default() };
        if let Some(body) = &self.body {
            let body = &body[..body.len().min(share)];
            self.offer.rest = len_u32(body.len());
            return [staged, body, &[]];
        }
        if !self.is_reader {
            return [staged, &[], &[]];
        }
        let stop = self.later.as_deref().and_then(VecDeque::front);
        let stop = stop.map_or(ring.end(), |&(place, _)| place.max(self.cursor));
        let [first, second] = ring.slices(self.cursor, stop, share);
        self.offer.rest = len_u32(first.len() + second.len());
        [staged, first, second]
    }

    /// Accounts for the first `taken` of the bytes offered by the last `unsent`. Returns whether all of them
    /// were taken.
    ///
    /// # Errors
    /// [`Torn`] if they end within a frame whose rest has been overwritten.
    pub(crate) fn wrote(&mut self, ring: &Ring, taken: usize) -> Result<bool, Torn> {
        let offer = std::mem::take(&mut self.offer);
        let taken = len_u32(taken).min(offer.staged + offer.rest);
        let of_rest = taken.saturating_sub(offer.staged);
        self.staged_sent += taken - of_rest;
        if self.staged_sent as usize == self.staged.len() {
            // A new vector instead of `clear`: an idle connection must not keep a buffer.
            (self.staged, self.staged_sent, self.room_rest) = (Vec::new(), 0, 0);
            self.lines = None;
        }
        if let Some(body) = &mut self.body {
            drop(body.split_to(body.len().min(of_rest as usize)));
            self.body.take_if(|body| body.is_empty());
        } else if of_rest > 0 {
            let advance = ring.advance(self.cursor, of_rest as usize).ok_or(Torn)?;
            // Bytes staged since the offer belong after the half-sent frame.
            let behind = self.staged.split_off(self.staged_sent as usize);
            (self.staged, self.staged_sent) = (offer.rest_of(&advance), 0);
            self.room_rest = len_u32(self.staged.len());
            self.staged.extend_from_slice(&behind);
            self.cursor = advance.position;
        }
        Ok(taken == offer.staged + offer.rest)
    }

    /// Whether a write of frames of the room is under way.
    pub(crate) fn offers_frames(&self) -> bool {
        self.offer.rest > 0 && self.body.is_none()
    }

    /// Call before a frame of the ring is replaced: its bytes are kept if the write under way may end within
    /// it, because a frame that has been begun is sent whole.
    pub(crate) fn keep_offered(&mut self, frame: &Found<'_>) {
        let offered_to = self.cursor.plus(self.offer.rest);
        if self.offers_frames() && frame.start < offered_to && self.cursor < frame.end {
            self.offer.replaced.get_or_insert_default().push((frame.end, frame.bytes.concat()));
        }
    }

    /// Whether lines are queued that [`Outbox::push_lines`] has queued.
    pub(crate) fn has_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Call before the frame that begins there is replaced: drops a line that [`Outbox::push_lines`] has
    /// queued, unless it has been begun.
    pub(crate) fn drop_line(&mut self, frame: Position) {
        let lines = self.lines.iter_mut().flat_map(|lines| lines.iter_mut());
        lines.filter(|line| line.frame == frame).for_each(|line| line.is_deleted = true);
        // What is offered may be taken; it is dropped before the next offer, if it was not.
        self.drop_deleted(self.staged_sent + self.offer.staged);
    }

    /// Drops the deleted lines that begin at or behind an index of `staged`. An empty line stays where
    /// nothing else would: a client that has something to write is not left without.
    fn drop_deleted(&mut self, begun: u32) {
        let Some(lines) = &mut self.lines else { return };
        let (staged, sent) = (&mut self.staged, self.staged_sent as usize);
        let mut dropped = 0;
        lines.retain_mut(|line| {
            line.bytes = line.bytes.start - dropped..line.bytes.end - dropped;
            let bytes = line.bytes.clone();
            if !line.is_deleted || bytes.start < begun as usize {
                return true;
            }
            let is_all = bytes.start == sent && bytes.end == staged.len();
            let rest: &[u8] = if is_all { &line.empty_line } else { &[] };
            dropped += bytes.len().saturating_sub(rest.len());
            staged.splice(bytes, rest.iter().copied());
            false
        });
    }

    /// Copies the rest of a shared body to the end of `staged`, so that more bytes can follow it. The copy is
    /// small: a client with many unsent bytes is not read, so no further response is queued for it.
    fn stage_body(&mut self) {
        if let Some(body) = self.body.take() {
            self.staged.extend_from_slice(&body);
            // The offered part of the body directly follows the offered part of `staged`, so the two add up.
            self.offer.staged += std::mem::take(&mut self.offer.rest);
        }
    }

    /// Stages private frames whose position the cursor has reached, unless other bytes must be sent first.
    fn stage(&mut self, ring: &Ring) {
        if !self.staged.is_empty() || self.body.is_some() {
            return;
        }
        if let Some(pongs) = self.pongs.take() {
            self.staged.extend_from_slice(&pongs.frames);
        }
        if std::mem::take(&mut self.ping_due) {
            self.staged.extend_from_slice(&PING);
        }
        let reached = if self.is_reader { self.cursor } else { ring.end() };
        let Some(later) = &mut self.later else { return };
        while let Some((_, frame)) = later.pop_front_if(|(place, _)| *place <= reached) {
            self.staged.extend_from_slice(&frame);
        }
        self.later.take_if(|later| later.is_empty());
    }
}

impl Offer {
    /// The rest of the frame in which a write has ended, as the frame was when it was offered.
    fn rest_of(&self, advance: &Advance<'_>) -> Vec<u8> {
        let rest = advance.rest.concat();
        let mut replaced = self.replaced.iter().flat_map(|replaced| replaced.iter());
        let offered = replaced.find(|(end, _)| *end == advance.position).map(|(_, bytes)| bytes);
        let offered = offered.and_then(|bytes| bytes.get(bytes.len().checked_sub(rest.len())?..));
        offered.map_or(rest, <[u8]>::to_vec)
    }
}

/// Converts a length of one connection, which is bounded by a few replies or by one write.
fn len_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::log::Mark;
    use proptest::prelude::*;

    const PONG: [u8; 2] = [0x8a, 0x00];

    /// The same in another process.
    fn moved(outbox: &Outbox) -> Outbox {
        let mut bytes = Vec::new();
        outbox.freeze(&mut bytes);
        Outbox::thaw(&mut Frozen::new(&bytes)).unwrap()
    }

    /// An outbox that reads an empty ring of this capacity.
    fn reader(capacity: usize) -> (Ring, Outbox) {
        let (ring, mut outbox) = (Ring::new(capacity), Outbox::default());
        outbox.follow(ring.end());
        (ring, outbox)
    }

    /// Writes everything, `bytes` at a time, and returns it in the order sent.
    fn drain(outbox: &mut Outbox, ring: &Ring, bytes: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while outbox.has_unsent(ring) {
            let unsent = outbox.unsent(ring, usize::MAX).concat();
            assert!(!unsent.is_empty(), "has_unsent tells the truth");
            let taken = bytes.min(unsent.len());
            all.extend_from_slice(&unsent[..taken]);
            outbox.wrote(ring, taken).unwrap();
        }
        all
    }

    #[test]
    fn own_frames_leave_in_their_places() {
        for bytes in 1..12 {
            let mut ring = Ring::new(100);
            ring.append(b"[one]", Mark::NONE);
            let mut outbox = Outbox::default();
            outbox.follow(ring.oldest());
            outbox.push_at(ring.oldest(), b"(ack)");
            outbox.push_at(ring.end(), b"(hello)");
            ring.append(b"[two]", Mark::NONE);
            outbox.push(b"(note)", &ring);
            ring.append(b"[three]", Mark::NONE);
            let all = drain(&mut outbox, &ring, bytes);
            assert_eq!(
                String::from_utf8(all).unwrap(),
                "(ack)[one](hello)[two](note)[three]",
                "{bytes} at a time"
            );
        }
    }

    #[test]
    fn pings_and_pongs_stand_between_frames() {
        let (mut ring, mut outbox) = reader(100);
        ring.append(b"[one]", Mark::NONE);
        ring.append(b"[two]", Mark::NONE);
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"[one][two]");
        outbox.wrote(&ring, 2).unwrap();
        outbox.ping();
        outbox.pong(b"older");
        outbox.pong(&PONG);
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"ne][two]");
        outbox.wrote(&ring, 3).unwrap();
        assert_eq!(
            outbox.unsent(&ring, usize::MAX).concat(),
            [&b"older"[..], &PONG, &PING, b"[two]"].concat()
        );
    }

    #[test]
    fn few_pongs_are_all_sent_and_of_many_the_first_and_the_newest() {
        let ring = Ring::new(10);
        for count in [1, 10, 11, 500] {
            let mut outbox = Outbox::default();
            let pongs: Vec<Vec<u8>> =
                (0..count).map(|n: u32| n.to_be_bytes().repeat(32)[1..].to_vec()).collect();
            for pong in &pongs {
                outbox.pong(pong);
            }
            let first = pongs.len().min(PONG_BYTES_MAX / pongs[0].len() - 1);
            let mut expected = pongs[..first].concat();
            expected.extend_from_slice(&pongs[pongs.len() - 1]);
            if count == 1 {
                expected = pongs[0].clone();
            }
            assert_eq!(drain(&mut outbox, &ring, 50), expected, "{count} pings");
        }
    }

    #[test]
    fn a_lapped_reader_still_gets_the_rest_of_its_frame() {
        let (mut ring, mut outbox) = reader(10);
        ring.append(b"[one]", Mark::NONE);
        ring.append(b"[two]", Mark::NONE);
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"[one][two]");
        outbox.wrote(&ring, 1).unwrap();
        assert!(!outbox.is_lapped(&ring));
        ring.append(b"[3]", Mark::NONE);
        assert!(!outbox.is_lapped(&ring), "the half sent frame is its own now");
        ring.append(b"[four]", Mark::NONE);
        assert!(outbox.is_lapped(&ring));
        outbox.push(b"(note)", &ring);
        outbox.unfollow();
        outbox.push(b"(close)", &ring);
        assert_eq!(drain(&mut outbox, &ring, 3), b"one](note)(close)");
    }

    /// Between an offer and its write the ring may grow and the connection may end.
    #[test]
    fn a_write_is_booked_by_what_was_offered() {
        let set_up = || {
            let (mut ring, mut outbox) = reader(16);
            outbox.push(b"(a)", &ring);
            ring.append(b"[one]", Mark::NONE);
            ring.append(b"[two]", Mark::NONE);
            assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"(a)[one][two]");
            (ring, outbox)
        };
        // Bytes taken, and the bytes sent after them: while the member keeps reading, and when it was closed
        // meanwhile.
        let rows = [
            (0, "(a)[one][two](b)", "(a)(b)(close)"),
            (2, ")[one][two](b)", ")(b)(close)"),
            (3, "[one][two](b)", "(b)(close)"),
            (4, "one][two](b)", "one](b)(close)"),
            (8, "[two](b)", "(b)(close)"),
            (10, "wo](b)", "wo](b)(close)"),
            (13, "(b)", "(b)(close)"),
            (99, "(b)", "(b)(close)"),
        ];
        for (taken, reads_on, ended) in rows {
            let (ring, mut outbox) = set_up();
            outbox.push(b"(b)", &ring);
            assert_eq!(outbox.wrote(&ring, taken), Ok(taken >= 13), "{taken} taken");
            assert_eq!(drain(&mut outbox, &ring, 2), reads_on.as_bytes(), "{taken} taken");
            assert_eq!(outbox.wrote(&ring, 7), Ok(true), "nothing is offered any more");

            let (ring, mut outbox) = set_up();
            outbox.push(b"(b)", &ring);
            outbox.unfollow();
            outbox.push(b"(close)", &ring);
            outbox.wrote(&ring, taken).unwrap();
            assert_eq!(drain(&mut outbox, &ring, 2), ended.as_bytes(), "{taken} taken, ended");
        }
        // Lapped meanwhile: overwritten bytes are never sent.
        for (taken, expected) in
            [(3, Ok(false)), (4, Err(Torn)), (8, Ok(false)), (9, Ok(false)), (13, Ok(true))]
        {
            let (mut ring, mut outbox) = set_up();
            ring.append(b"[three..]", Mark::NONE);
            assert_eq!(outbox.wrote(&ring, taken), expected, "{taken} taken, lapped");
        }
    }

    /// A reader of a stream over HTTP, of whose lines some are deleted at any time.
    #[test]
    fn a_deleted_line_of_a_stream_is_dropped_unless_it_was_begun() {
        let ring = Ring::new(100);
        let at = |n: u32| Position::default().plus(n);
        let push = |outbox: &mut Outbox, first: u32, text: &str| {
            let mut start = 0;
            let lines = text.split_inclusive('.').zip(first..).map(|(line, n)| {
                let bytes = start..start + line.len();
                start = bytes.end;
                QueuedLine { frame: at(n), bytes, empty_line: Cow::Borrowed(b"-"), is_deleted: false }
            });
            outbox.push_lines(text.as_bytes(), lines.collect());
        };
        // Bytes offered, those taken of them, the lines that are deleted in between, and all that comes.
        let rows: [(usize, usize, &[u32], &str); 12] = [
            (99, 0, &[], "(head)one.two.three.four."),
            (99, 0, &[0], "(head)two.three.four."),
            (99, 0, &[1, 3], "(head)one.three."),
            (99, 0, &[0, 1, 2, 3], "(head)"),
            (99, 6, &[0, 1, 2, 3], "(head)-"),
            (99, 7, &[0, 1, 2, 3], "(head)one."),
            (99, 10, &[0, 1], "(head)one.three.four."),
            (99, 11, &[0, 1], "(head)one.two.three.four."),
            (99, 13, &[1, 2], "(head)one.two.four."),
            (8, 6, &[0, 1], "(head)three.four."),
            (8, 8, &[0, 1], "(head)one.three.four."),
            (0, 0, &[3, 9], "(head)one.two.three."),
        ];
        for (offered, taken, deleted, expected) in rows {
            let mut outbox = Outbox::default();
            outbox.push(b"(head)", &ring);
            push(&mut outbox, 0, "one.two.");
            let mut all = outbox.unsent(&ring, offered).concat()[..taken.min(14)].to_vec();
            let first = all.len();
            push(&mut outbox, 2, "three.four.");
            let mut outbox = moved(&outbox);
            for &n in deleted {
                outbox.drop_line(at(n));
            }
            let mut outbox = moved(&outbox);
            outbox.wrote(&ring, first).unwrap();
            all.extend(drain(&mut outbox, &ring, 99));
            let row = format!("{offered} offered, {taken} taken, {deleted:?} deleted");
            assert_eq!(String::from_utf8(all).unwrap(), expected, "{row}");
            assert!(!outbox.has_lines() && outbox.staged.capacity() == 0, "{row}");
        }
    }

    #[test]
    fn a_stream_that_is_read_slowly_keeps_no_bytes_that_are_sent() {
        let ring = Ring::new(100);
        let mut outbox = Outbox::default();
        for n in 0..1_000 {
            let frame = Position::default().plus(n);
            let line = QueuedLine { frame, bytes: 0..10, empty_line: Cow::Borrowed(b"-"), is_deleted: false };
            outbox.push_lines(b"012345678.", vec![line]);
            outbox.unsent(&ring, 9);
            outbox.wrote(&ring, 9).unwrap();
            assert!(outbox.staged.len() <= 10 + 10 + n as usize);
        }
        assert_eq!(outbox.held_bytes(), 1_000);
        assert!(outbox.lines.unwrap().len() <= 101);
    }

    #[test]
    fn the_rest_of_a_line_is_the_rooms() {
        let (mut ring, mut outbox) = reader(100);
        ring.append(b"[0123456789]", Mark::NONE);
        outbox.unsent(&ring, usize::MAX);
        outbox.wrote(&ring, 2).unwrap();
        assert_eq!((outbox.private_bytes(), outbox.held_bytes()), (0, 10));
        outbox.push(b"(mine)", &ring);
        assert_eq!((outbox.private_bytes(), outbox.held_bytes()), (6, 16));
        outbox.unfollow();
        outbox.unsent(&ring, usize::MAX);
        outbox.wrote(&ring, 12).unwrap();
        assert_eq!((outbox.private_bytes(), outbox.held_bytes()), (4, 4));
    }

    #[test]
    fn a_share_bounds_what_is_offered_of_the_ring() {
        let (mut ring, mut outbox) = reader(100);
        ring.append(b"[one]", Mark::NONE);
        assert_eq!(outbox.unsent(&ring, 2).concat(), b"[o");
        outbox.wrote(&ring, 2).unwrap();
        outbox.push(b"(note)", &ring);
        assert_eq!(outbox.unsent(&ring, 2).concat(), b"ne", "and of the rest");
    }

    #[test]
    fn a_shared_body_leaves_in_its_place_and_is_not_copied() {
        let ring = Ring::new(100);
        for bytes in 1..40 {
            let mut outbox = Outbox::default();
            outbox.push(b"(head)", &ring);
            outbox.push_body(Bytes::from_static(b"[body one]"));
            outbox.push(b"(head)", &ring);
            outbox.push_body(Bytes::from_static(b"[body two]"));
            outbox.push_body(Bytes::new());
            outbox.push_body(Bytes::from_static(b"[body three]"));
            let all = drain(&mut outbox, &ring, bytes);
            let expected = "(head)[body one](head)[body two][body three]";
            assert_eq!(String::from_utf8(all).unwrap(), expected, "{bytes} at a time");
            assert_eq!((outbox.private_bytes(), outbox.has_private()), (0, false));
        }
        let mut outbox = Outbox::default();
        let body = Bytes::from(vec![7; 100_000]);
        outbox.push(b"(head)", &ring);
        outbox.push_body(body.clone());
        assert_eq!(outbox.private_bytes(), 100_006);
        let [head, offered, none] = outbox.unsent(&ring, 1_000);
        assert_eq!((head.len(), offered.len(), none.len()), (6, 994, 0), "a share of it");
        assert_eq!(offered.as_ptr(), body.as_ptr(), "from where it lies");
        outbox.wrote(&ring, 1_000).unwrap();
        let [_, offered, _] = outbox.unsent(&ring, usize::MAX);
        assert_eq!((offered.len(), offered.as_ptr()), (99_006, body[994..].as_ptr()));
    }

    #[test]
    fn a_body_that_is_staged_after_it_was_offered_is_booked_all_the_same() {
        let ring = Ring::new(100);
        for taken in 0..=12 {
            let mut outbox = Outbox::default();
            outbox.push(b"(head)", &ring);
            outbox.push_body(Bytes::from_static(b"[body]"));
            let offered = outbox.unsent(&ring, usize::MAX).concat();
            outbox.push(b"(next)", &ring);
            outbox.push_body(Bytes::from_static(b"[x]"));
            assert_eq!(outbox.wrote(&ring, taken), Ok(taken == 12), "{taken} taken");
            let all = [&offered[..taken], &drain(&mut outbox, &ring, 5)].concat();
            assert_eq!(all, b"(head)[body](next)[x]", "{taken} taken");
        }
    }

    #[test]
    fn nothing_comes_between_the_parts_of_a_shared_body() {
        let ring = Ring::new(100);
        let mut outbox = Outbox::default();
        outbox.push_body(Bytes::from_static(b"[body]"));
        outbox.ping();
        outbox.unsent(&ring, usize::MAX);
        outbox.wrote(&ring, 2).unwrap();
        outbox.push_at(ring.end(), b"(frame)");
        assert_eq!(drain(&mut outbox, &ring, 3), [b"ody]", &PING[..], b"(frame)"].concat());
    }

    const PRIVATE: &[u8] = b"(private)";
    /// After all steps, and before never.
    const AT_THE_END: usize = usize::MAX - 1;

    /// A line of the model: `[AAAA]`, and `[aaaa]` once it is deleted.
    fn model_frame(letter: u8, len: usize) -> Vec<u8> {
        [b"[", &vec![letter; len][..], b"]"].concat()
    }

    /// A reader of the model.
    #[derive(Default)]
    struct ModelReader {
        outbox: Outbox,
        taken: usize,
        stream: Vec<u8>,
        /// The step of the first byte of each frame.
        begun: Vec<usize>,
        is_lost: bool,
    }

    impl ModelReader {
        fn book(&mut self, ring: &Ring) {
            self.is_lost |= self.outbox.wrote(ring, std::mem::take(&mut self.taken)).is_err();
        }

        /// Offers bytes, of which some are taken at once; they are not accounted for yet.
        fn write(&mut self, step: usize, ring: &Ring, share: usize, most: usize) {
            self.book(ring);
            self.is_lost |= self.outbox.is_lapped(ring);
            if self.is_lost {
                return;
            }
            let offered = self.outbox.unsent(ring, share).concat();
            self.taken = most.min(offered.len());
            for &byte in &offered[..self.taken] {
                if byte == b'[' {
                    self.begun.push(step);
                }
                self.stream.push(byte);
            }
        }
    }

    proptest! {
        /// In any order of appends, deletes, private frames, moves to another process, and writes that are
        /// taken in part and accounted for later, each reader receives whole frames, and the deleted words
        /// only where it had begun the frame before.
        #[test]
        fn a_deleted_line_is_received_whole_by_whoever_had_begun_it_and_by_nobody_else(
            steps in proptest::collection::vec((0..11_u8, 0..3_usize, 0..40_usize, 0..40_usize), 1..120),
            capacity in 60..160_usize,
        ) {
            let mut ring = Ring::new(capacity);
            // Per line: its letter, its length, and when it was deleted.
            let mut lines: Vec<(u8, usize, usize)> = Vec::new();
            let mut readers: [ModelReader; 3] = Default::default();
            for reader in &mut readers {
                reader.outbox.follow(ring.end());
            }
            for (step, (action, which, first, second)) in steps.into_iter().enumerate() {
                let reader = &mut readers[which];
                match action {
                    0..3 => {
                        let letter = b'A' + u8::try_from(lines.len() % 26).unwrap();
                        lines.push((letter, first, usize::MAX));
                        let mark = Mark { reference: 0, sender: 1 };
                        ring.append(&model_frame(letter, first), mark).unwrap();
                    }
                    3..6 => {
                        let oldest = usize::try_from(ring.id_at(ring.oldest())).unwrap() - 1;
                        let line = oldest + first.min(lines.len().saturating_sub(oldest + 1));
                        let Some((letter, len, deleted)) = lines.get_mut(line) else { continue };
                        let id = line as u64 + 1;
                        let found = ring.frame(id).unwrap();
                        prop_assert_eq!(found.mark.can_be_deleted(), *deleted == usize::MAX);
                        if *deleted == usize::MAX {
                            for reader in &mut readers {
                                reader.outbox.keep_offered(&found);
                            }
                            let blank = model_frame(letter.to_ascii_lowercase(), *len);
                            prop_assert!(ring.replace(id, &blank));
                            *deleted = step;
                        }
                    }
                    6 => reader.outbox.push(PRIVATE, &ring),
                    7 => reader.book(&ring),
                    8 => reader.outbox = moved(&reader.outbox),
                    _ => reader.write(step, &ring, first + 1, second),
                }
            }
            for reader in &mut readers {
                reader.book(&ring);
                while !reader.is_lost && reader.outbox.has_unsent(&ring) {
                    reader.write(AT_THE_END, &ring, usize::MAX, usize::MAX);
                    reader.book(&ring);
                }
                prop_assert!(reader.is_lost || reader.begun.len() == lines.len(), "no line is left out");
                let mut received = &reader.stream[..];
                let mut frames = reader.begun.iter().zip(&lines).map(|(begun, &(letter, len, deleted))| {
                    model_frame(if *begun < deleted { letter } else { letter.to_ascii_lowercase() }, len)
                });
                let mut next = frames.next();
                while !received.is_empty() {
                    if let Some(rest) = received.strip_prefix(PRIVATE) {
                        received = rest;
                    } else if let Some(rest) = next.as_ref().and_then(|next| received.strip_prefix(&next[..])) {
                        received = rest;
                        next = frames.next();
                    } else {
                        // A reader that was lapped ends anywhere.
                        let is_next = next.as_ref().is_some_and(|next| next.starts_with(received));
                        let is_begun = is_next || PRIVATE.starts_with(received);
                        prop_assert!(reader.is_lost && is_begun, "{:?}", String::from_utf8_lossy(received));
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn an_idle_outbox_keeps_no_buffer() {
        let ring = Ring::new(100);
        let mut outbox = Outbox::default();
        outbox.push(&[b'x'; 5_000], &ring);
        assert_eq!(outbox.private_bytes(), 5_000);
        assert_eq!(drain(&mut outbox, &ring, 4_999).len(), 5_000);
        outbox.follow(ring.end());
        outbox.push(b"(note)", &ring);
        drain(&mut outbox, &ring, 4_999);
        assert_eq!((outbox.staged.capacity(), outbox.later.is_none(), outbox.private_bytes()), (0, true, 0));
    }
}
