//! What one connection still has to be sent: its own frames, and its cursor in the ring that all share.
//!
//! The bytes leave in this order: what is staged (the rest of a half-sent frame of the room, then frames of its own), then the
//! shared body of an HTTP answer, then the ring from the cursor up to the next frame of its own that waits in its place. A ping
//! and the newest pong are staged
//! when nothing else is, that is, between two frames.
//!
//! Between [`Outbox::unsent`] and [`Outbox::wrote`] anything may happen: the ring may grow and lap the cursor, the connection
//! may end. So a write is booked by what was offered, never by what is there when it is booked.

use crate::room::log::{Position, Ring};
use std::collections::VecDeque;
use tungstenite::Bytes;

/// Unsent bytes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Frames that go before anything of the ring.
    staged: Vec<u8>,
    /// Bytes of `staged` that are sent.
    staged_sent: u32,
    /// Bytes at the front of `staged` that are the rest of a frame of the room.
    room_rest: u32,
    /// What is unsent of the one shared body that goes behind `staged`. In a box, for only HTTP has it, and only for a moment.
    body: Option<Box<Bytes>>,
    /// The place in the ring, always between two frames.
    cursor: Position,
    /// Whether this connection reads the ring. It keeps its cursor when it stops, for a write that is not booked yet.
    is_reader: bool,
    /// Own frames that wait until the cursor reaches their place, in order of places; `None` where there are none, as mostly.
    #[expect(clippy::box_collection, reason = "an idle member is three words smaller")]
    later: Option<Box<VecDeque<Later>>>,
    /// The newest pong that is not sent, as a finished frame.
    pong: Option<Box<[u8]>>,
    ping_due: bool,
    offer: Offer,
}

/// A frame, and the place in the ring that it waits for.
type Later = (Position, Box<[u8]>);

/// What the last `unsent` offered and no `wrote` has booked yet, in bytes.
#[derive(Debug, Default)]
struct Offer {
    staged: u32,
    /// Of the shared body, or where there is none, of the ring from the cursor on.
    rest: u32,
}

/// The ring has overwritten the rest of a frame that is half sent: the stream cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Torn;

/// What the shell may write now, in this order.
pub(crate) type Unsent<'a> = [&'a [u8]; 3];

/// A ping without a payload (RFC 6455, section 5.5.2), unmasked as all frames of a server.
const PING: [u8; 2] = [0x89, 0x00];

impl Outbox {
    /// Queues bytes of its own, behind all others of its own.
    pub(crate) fn push(&mut self, bytes: &[u8], ring: &Ring) {
        self.stage_body();
        if self.is_reader {
            self.push_at(ring.end(), bytes);
        } else {
            self.staged.extend_from_slice(bytes);
        }
    }

    /// Queues a body behind everything else of its own, without a copy: it is sent from where it lies. For HTTP alone, which does not
    /// read the ring.
    pub(crate) fn push_body(&mut self, body: Bytes) {
        self.stage_body();
        self.body = Some(Box::new(body)).filter(|body| !body.is_empty());
    }

    /// Queues a frame of its own at a place in the ring. A frame that already waits at a later place goes first.
    pub(crate) fn push_at(&mut self, place: Position, frame: &[u8]) {
        let later = self.later.get_or_insert_default();
        let place = later.back().map_or(place, |&(last, _)| last.max(place));
        later.push_back((place, frame.into()));
    }

    /// Starts to read the ring at `from`.
    pub(crate) fn follow(&mut self, from: Position) {
        (self.cursor, self.is_reader) = (from, true);
    }

    /// Stops reading the ring: frames of its own stay, those of the room do not.
    pub(crate) fn unfollow(&mut self) {
        self.is_reader = false;
        for (_, frame) in self.later.take().into_iter().flat_map(|later| *later) {
            self.staged.extend_from_slice(&frame);
        }
    }

    /// Drops the ping and the pong that are due: after a close frame there is none.
    pub(crate) fn drop_control_frames(&mut self) {
        (self.ping_due, self.pong) = (false, None);
    }

    /// Whether the ring has overtaken the cursor.
    pub(crate) fn is_lapped(&self, ring: &Ring) -> bool {
        self.is_reader && self.cursor < ring.oldest()
    }

    /// Queues a ping for the next frame boundary.
    pub(crate) fn ping(&mut self) {
        self.ping_due = true;
    }

    /// Queues this pong, a finished frame, for the next boundary. Only the newest is kept (RFC 6455, section 5.5.3).
    pub(crate) fn pong(&mut self, frame: &[u8]) {
        self.pong = Some(frame.into());
    }

    /// Whether anything at all is unsent.
    pub(crate) fn has_unsent(&self, ring: &Ring) -> bool {
        self.has_private() || (self.is_reader && self.cursor < ring.end())
    }

    /// Whether anything besides the ring is unsent.
    pub(crate) fn has_private(&self) -> bool {
        !self.staged.is_empty()
            || self.body.is_some()
            || self.later.is_some()
            || self.ping_due
            || self.pong.is_some()
    }

    /// Unsent bytes of its own. The rest of a frame of the room is not: the room sent it, whatever this client asked for.
    pub(crate) fn private_bytes(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| body.len());
        self.staged.len() - self.staged_sent.max(self.room_rest) as usize + body + self.later_bytes()
    }

    /// Bytes held in memory for this connection alone: those of its own, and the rest of a frame of the room. A shared body is not.
    pub(crate) fn held_bytes(&self) -> usize {
        self.staged.len() - self.staged_sent as usize + self.later_bytes()
    }

    fn later_bytes(&self) -> usize {
        self.later.as_deref().map_or(0, |later| later.iter().map(|(_, frame)| frame.len()).sum())
    }

    /// What may be written now, at most `share` bytes; nothing of the ring where it has lapped the cursor.
    pub(crate) fn unsent<'a>(&'a mut self, ring: &'a Ring, share: usize) -> Unsent<'a> {
        self.stage(ring);
        let staged = &self.staged[self.staged_sent as usize..];
        let staged = &staged[..staged.len().min(share)];
        let share = share - staged.len();
        self.offer = Offer { staged: len_u32(staged.len()), rest: 0 };
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

    /// Books the first `taken` of the bytes that the last `unsent` offered as sent. Whether all of them were taken.
    ///
    /// # Errors
    /// The last of them ended within a frame whose rest is gone.
    pub(crate) fn wrote(&mut self, ring: &Ring, taken: usize) -> Result<bool, Torn> {
        let offer = std::mem::take(&mut self.offer);
        let taken = len_u32(taken).min(offer.staged + offer.rest);
        let of_rest = taken.saturating_sub(offer.staged);
        self.staged_sent += taken - of_rest;
        if self.staged_sent as usize == self.staged.len() {
            // New ones and not `clear`: an idle connection keeps no buffer.
            (self.staged, self.staged_sent, self.room_rest) = (Vec::new(), 0, 0);
        }
        if let Some(body) = &mut self.body {
            drop(body.split_to(body.len().min(of_rest as usize)));
            self.body.take_if(|body| body.is_empty());
        } else if of_rest > 0 {
            let advance = ring.advance(self.cursor, of_rest as usize).ok_or(Torn)?;
            // What was staged meanwhile comes after the frame that is half sent.
            let behind = self.staged.split_off(self.staged_sent as usize);
            (self.staged, self.staged_sent) = (advance.rest.concat(), 0);
            self.room_rest = len_u32(self.staged.len());
            self.staged.extend_from_slice(&behind);
            self.cursor = advance.position;
        }
        Ok(taken == offer.staged + offer.rest)
    }

    /// Copies the rest of a shared body behind what is staged, so that more can follow it. Little is left of it where an answer
    /// follows: a client with many unsent bytes is not read.
    fn stage_body(&mut self) {
        if let Some(body) = self.body.take() {
            self.staged.extend_from_slice(&body);
            // What was offered of it stands right behind what was offered before it.
            self.offer.staged += std::mem::take(&mut self.offer.rest);
        }
    }

    /// Stages own frames whose place the cursor has reached, if nothing has to go before them.
    fn stage(&mut self, ring: &Ring) {
        if !self.staged.is_empty() || self.body.is_some() {
            return;
        }
        if let Some(pong) = self.pong.take() {
            self.staged.extend_from_slice(&pong);
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

/// A length that one connection has: of a few answers, or a share of one write.
fn len_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PONG: [u8; 2] = [0x8a, 0x00];

    /// Takes everything, `bytes` at a time, and gives it in the order in which it left.
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
            ring.append(b"[one]", 0);
            let mut outbox = Outbox::default();
            outbox.follow(ring.oldest());
            outbox.push_at(ring.oldest(), b"(ack)");
            outbox.push_at(ring.end(), b"(hello)");
            ring.append(b"[two]", 0);
            outbox.push(b"(note)", &ring);
            ring.append(b"[three]", 0);
            let all = drain(&mut outbox, &ring, bytes);
            assert_eq!(
                String::from_utf8(all).unwrap(),
                "(ack)[one](hello)[two](note)[three]",
                "{bytes} at a time"
            );
        }
    }

    #[test]
    fn pings_and_pongs_stand_between_frames_and_only_the_newest_pong_is_kept() {
        let mut ring = Ring::new(100);
        let mut outbox = Outbox::default();
        outbox.follow(ring.end());
        ring.append(b"[one]", 0);
        ring.append(b"[two]", 0);
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"[one][two]");
        outbox.wrote(&ring, 2).unwrap();
        outbox.ping();
        outbox.pong(b"older");
        outbox.pong(&PONG);
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"ne][two]");
        outbox.wrote(&ring, 3).unwrap();
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), [&PONG[..], &PING, b"[two]"].concat());
    }

    #[test]
    fn a_lapped_reader_still_gets_the_rest_of_its_frame() {
        let mut ring = Ring::new(10);
        let mut outbox = Outbox::default();
        outbox.follow(ring.end());
        ring.append(b"[one]", 0);
        ring.append(b"[two]", 0);
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"[one][two]");
        outbox.wrote(&ring, 1).unwrap();
        assert!(!outbox.is_lapped(&ring));
        ring.append(b"[3]", 0);
        assert!(!outbox.is_lapped(&ring), "the half sent frame is its own now");
        ring.append(b"[four]", 0);
        assert!(outbox.is_lapped(&ring));
        outbox.push(b"(note)", &ring);
        outbox.unfollow();
        outbox.push(b"(close)", &ring);
        assert_eq!(drain(&mut outbox, &ring, 3), b"one](note)(close)");
    }

    /// The time between an offer and its booking: the ring grows, and the connection may end.
    #[test]
    fn a_write_is_booked_by_what_was_offered() {
        let set_up = || {
            let mut ring = Ring::new(16);
            let mut outbox = Outbox::default();
            outbox.follow(ring.end());
            outbox.push(b"(a)", &ring);
            ring.append(b"[one]", 0);
            ring.append(b"[two]", 0);
            assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"(a)[one][two]");
            (ring, outbox)
        };
        // Bytes taken, and what is sent after them: while it reads on, and when it was ended meanwhile.
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
        // Lapped meanwhile: what is overwritten is never sent.
        for (taken, expected) in
            [(3, Ok(false)), (4, Err(Torn)), (8, Ok(false)), (9, Ok(false)), (13, Ok(true))]
        {
            let (mut ring, mut outbox) = set_up();
            ring.append(b"[three..]", 0);
            assert_eq!(outbox.wrote(&ring, taken), expected, "{taken} taken, lapped");
        }
    }

    #[test]
    fn the_rest_of_a_line_is_the_rooms() {
        let mut ring = Ring::new(100);
        let mut outbox = Outbox::default();
        outbox.follow(ring.end());
        ring.append(b"[0123456789]", 0);
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
        let mut ring = Ring::new(100);
        let mut outbox = Outbox::default();
        outbox.follow(ring.end());
        ring.append(b"[one]", 0);
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
