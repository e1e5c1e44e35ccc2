//! What one connection still has to be sent: its own frames, and its place in the ring that all share.
//!
//! The bytes leave in this order: what is staged (frames of its own, the first of them perhaps half sent), then the shared body of
//! an HTTP answer, then the ring from the cursor up to the next frame of its own that waits in its place. A ping and the newest pong are staged
//! when nothing else is, that is, between two frames.

use crate::wire::ring::{Position, Ring};
use std::collections::VecDeque;
use tungstenite::Bytes;

/// Unsent bytes of one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Own frames that go before anything of the ring.
    staged: Vec<u8>,
    /// Bytes of `staged` that are sent.
    staged_sent: usize,
    /// What is unsent of the one shared body that goes behind `staged`. In a box, for only HTTP has it, and only for a moment.
    body: Option<Box<Bytes>>,
    /// The place in the ring, always between two frames. `None`: this connection does not read the ring.
    cursor: Option<Position>,
    /// Own frames that wait until the cursor reaches their place, in order of places.
    later: VecDeque<(Position, Box<[u8]>)>,
    /// The newest pong that is owed, as a finished frame.
    pong: Option<Box<[u8]>>,
    ping_due: bool,
}

/// What the shell may write now, in this order.
pub type Unsent<'a> = [&'a [u8]; 3];

/// A ping without a payload (RFC 6455, section 5.5.2), unmasked as all frames of a server.
const PING: [u8; 2] = [0x89, 0x00];

impl Outbox {
    /// Puts bytes of its own behind everything else of its own.
    pub fn push(&mut self, bytes: &[u8], ring: &Ring) {
        self.stage_body();
        match self.cursor {
            Some(_) => self.push_at(ring.end(), bytes),
            None => self.staged.extend_from_slice(bytes),
        }
    }

    /// Queues a body behind everything else of its own, without a copy: it is sent from where it lies. For HTTP alone, which does not
    /// read the ring.
    pub fn push_body(&mut self, body: Bytes) {
        self.stage_body();
        self.body = Some(Box::new(body)).filter(|body| !body.is_empty());
    }

    /// Puts a frame of its own where the cursor will come past `place`.
    ///
    /// # Panics
    /// If a frame already waits behind that place.
    pub fn push_at(&mut self, place: Position, frame: &[u8]) {
        assert!(
            self.later.back().is_none_or(|&(last, _)| last <= place),
            "frames must come in order of places"
        );
        self.later.push_back((place, frame.into()));
    }

    /// Starts to read the ring at `from`.
    pub fn follow(&mut self, from: Position) {
        self.cursor = Some(from);
    }

    /// Gives up the ring: what is its own stays, what is the room's does not.
    pub fn unfollow(&mut self) {
        self.cursor = None;
        for (_, frame) in self.later.drain(..) {
            self.staged.extend_from_slice(&frame);
        }
    }

    /// Owes no ping and no pong any more: after a close frame there is none.
    pub fn hush(&mut self) {
        (self.ping_due, self.pong) = (false, None);
    }

    /// Whether the ring has overtaken the cursor.
    #[must_use]
    pub fn is_lapped(&self, ring: &Ring) -> bool {
        self.cursor.is_some_and(|cursor| cursor < ring.oldest())
    }

    /// Owes the peer a ping at the next boundary.
    pub fn ping(&mut self) {
        self.ping_due = true;
    }

    /// Owes the peer this pong, a finished frame, at the next boundary. Only the newest is kept (RFC 6455, section 5.5.3).
    pub fn pong(&mut self, frame: &[u8]) {
        self.pong = Some(frame.into());
    }

    /// Whether anything at all is unsent.
    #[must_use]
    pub fn has_unsent(&self, ring: &Ring) -> bool {
        self.has_private() || self.cursor.is_some_and(|cursor| cursor < ring.end())
    }

    /// Whether anything of its own is unsent.
    #[must_use]
    pub fn has_private(&self) -> bool {
        !self.staged.is_empty()
            || self.body.is_some()
            || !self.later.is_empty()
            || self.ping_due
            || self.pong.is_some()
    }

    /// Bytes of its own that are unsent.
    #[must_use]
    pub fn private_bytes(&self) -> usize {
        let later: usize = self.later.iter().map(|(_, frame)| frame.len()).sum();
        let body = self.body.as_ref().map_or(0, |body| body.len());
        self.staged.len() - self.staged_sent + body + later
    }

    /// What may be written now; at most `share` bytes of a shared body or of the ring. The connection must not be lapped.
    pub fn unsent<'a>(&'a mut self, ring: &'a Ring, share: usize) -> Unsent<'a> {
        self.stage(ring);
        let staged = &self.staged[self.staged_sent..];
        if let Some(body) = &self.body {
            return [staged, &body[..body.len().min(share)], &[]];
        }
        let Some(cursor) = self.cursor else {
            return [staged, &[], &[]];
        };
        let stop = self.later.front().map_or(ring.end(), |&(place, _)| place.max(cursor));
        let [first, second] = ring.slices(cursor, stop, share);
        [staged, first, second]
    }

    /// Notes that the first `taken` of the unsent bytes are sent.
    pub fn wrote(&mut self, ring: &Ring, taken: usize) {
        let staged_left = self.staged.len() - self.staged_sent;
        if taken < staged_left {
            self.staged_sent += taken;
            return;
        }
        // New ones and not `clear`: an idle connection keeps no buffer.
        (self.staged, self.staged_sent) = (Vec::new(), 0);
        if self.later.is_empty() {
            self.later = VecDeque::new();
        }
        let mut of_ring = taken - staged_left;
        if let Some(body) = &mut self.body {
            let of_body = of_ring.min(body.len());
            let _sent = body.split_to(of_body);
            of_ring -= of_body;
        }
        self.body.take_if(|body| body.is_empty());
        if of_ring > 0 {
            let cursor = self.cursor.expect("only who reads the ring is given bytes of it");
            let advance = ring.advance(cursor, of_ring);
            self.cursor = Some(advance.position);
            self.staged = advance.rest.concat();
        }
    }

    /// Copies the rest of a shared body behind what is staged, so that more can follow it. Little is left of it where an answer
    /// follows: a client with many unsent bytes is not heard.
    fn stage_body(&mut self) {
        if let Some(body) = self.body.take() {
            self.staged.extend_from_slice(&body);
        }
    }

    /// Moves own frames whose place has come to the stage, if it is empty and nothing has to go before them.
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
        let reached = self.cursor.unwrap_or(ring.end());
        while let Some((_, frame)) = self.later.pop_front_if(|(place, _)| *place <= reached) {
            self.staged.extend_from_slice(&frame);
        }
    }
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
            outbox.wrote(ring, taken);
        }
        all
    }

    #[test]
    fn own_frames_leave_in_their_places() {
        for bytes in 1..12 {
            let mut ring = Ring::new(100);
            ring.append(b"[one]");
            let mut outbox = Outbox::default();
            outbox.follow(ring.oldest());
            outbox.push_at(ring.oldest(), b"(ack)");
            outbox.push_at(ring.end(), b"(hello)");
            ring.append(b"[two]");
            outbox.push(b"(note)", &ring);
            ring.append(b"[three]");
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
        ring.append(b"[one]");
        ring.append(b"[two]");
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"[one][two]");
        outbox.wrote(&ring, 2);
        outbox.ping();
        outbox.pong(b"older");
        outbox.pong(&PONG);
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"ne][two]");
        outbox.wrote(&ring, 3);
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), [&PONG[..], &PING, b"[two]"].concat());
    }

    #[test]
    fn a_lapped_reader_still_gets_the_rest_of_its_frame() {
        let mut ring = Ring::new(10);
        let mut outbox = Outbox::default();
        outbox.follow(ring.end());
        ring.append(b"[one]");
        ring.append(b"[two]");
        assert_eq!(outbox.unsent(&ring, usize::MAX).concat(), b"[one][two]");
        outbox.wrote(&ring, 1);
        assert!(!outbox.is_lapped(&ring));
        ring.append(b"[3]");
        assert!(!outbox.is_lapped(&ring), "the half sent frame is its own now");
        ring.append(b"[four]");
        assert!(outbox.is_lapped(&ring));
        outbox.push(b"(note)", &ring);
        outbox.unfollow();
        outbox.push(b"(close)", &ring);
        assert_eq!(drain(&mut outbox, &ring, 3), b"one](note)(close)");
    }

    #[test]
    fn a_share_bounds_what_is_offered_of_the_ring() {
        let mut ring = Ring::new(100);
        let mut outbox = Outbox::default();
        outbox.follow(ring.end());
        ring.append(b"[one]");
        assert_eq!(outbox.unsent(&ring, 2).concat(), b"[o");
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
        assert_eq!((head.len(), offered.len(), none.len()), (6, 1_000, 0), "a share of it");
        assert_eq!(offered.as_ptr(), body.as_ptr(), "from where it lies");
        outbox.wrote(&ring, 1_006);
        let [_, offered, _] = outbox.unsent(&ring, usize::MAX);
        assert_eq!((offered.len(), offered.as_ptr()), (99_000, body[1_000..].as_ptr()));
    }

    #[test]
    fn nothing_comes_between_the_parts_of_a_shared_body() {
        let ring = Ring::new(100);
        let mut outbox = Outbox::default();
        outbox.push_body(Bytes::from_static(b"[body]"));
        outbox.ping();
        outbox.unsent(&ring, usize::MAX);
        outbox.wrote(&ring, 2);
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
        assert_eq!((outbox.staged.capacity(), outbox.later.capacity(), outbox.private_bytes()), (0, 0, 0));
    }
}
