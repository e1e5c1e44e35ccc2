//! Bytes that are to be sent. Large values stay as they were handed over: nothing of them is copied.

use std::collections::VecDeque;

/// Unsent bytes, in pieces. No piece is empty.
#[derive(Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Vec<u8>>,
    /// How much of the first piece is sent.
    sent: usize,
}

impl Outbox {
    /// The next bytes to send; empty if there are none.
    pub(super) fn unsent(&self) -> &[u8] {
        self.pieces.front().and_then(|piece| piece.get(self.sent..)).unwrap_or_default()
    }

    /// So many of the bytes of [`Self::unsent`] are sent.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
        if self.unsent().is_empty() {
            self.pieces.pop_front();
            self.sent = 0;
        }
    }

    /// Appends what `write` appends.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        match self.pieces.back_mut() {
            Some(piece) if piece.len() < PIECE_BYTES => write(piece),
            _ => {
                let mut piece = Vec::new();
                write(&mut piece);
                self.push(piece);
            }
        }
    }

    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        match self.pieces.back_mut() {
            Some(piece) if piece.len().saturating_add(bytes.len()) < PIECE_BYTES => piece.extend(bytes),
            _ if bytes.is_empty() => {}
            _ => self.pieces.push_back(bytes),
        }
    }
}

/// Small pieces are joined up to this size, so that a write sends many of them.
const PIECE_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_out_in_order_whatever_is_sent_at_once() {
        for at_once in [1, 7, 1_000, 100_000] {
            let (mut outbox, mut expected, mut sent) = (Outbox::default(), Vec::new(), Vec::new());
            for (number, size) in (0_u8..).zip([0, 1, 100, PIECE_BYTES - 1, 3, 50_000, 0, 2, 20_000]) {
                let piece = vec![number; size];
                expected.extend_from_slice(&piece);
                if number % 2 == 0 {
                    outbox.push(piece);
                } else {
                    outbox.write(|to| to.extend_from_slice(&piece));
                }
                let taken: Vec<u8> = outbox.unsent().iter().take(at_once).copied().collect();
                outbox.advance(taken.len());
                sent.extend(taken);
            }
            while !outbox.unsent().is_empty() {
                let taken: Vec<u8> = outbox.unsent().iter().take(at_once).copied().collect();
                outbox.advance(taken.len());
                sent.extend(taken);
            }
            assert!(sent == expected, "{at_once}");
        }
    }

    #[test]
    fn a_large_value_is_not_copied() {
        let mut outbox = Outbox::default();
        outbox.write(|to| to.push(b'a'));
        let value = vec![7; PIECE_BYTES];
        let place = value.as_ptr();
        outbox.push(value);
        outbox.advance(1);
        assert_eq!(outbox.unsent().as_ptr(), place);
    }
}
