//! The transport state of one client: unsent bytes, input that waits, silence, and whether the socket is
//! full. Owns an [`Outbox`]; never looks into a byte that was received, and knows nothing of states and
//! sessions.

use super::read_throttle::ReadThrottle;
use crate::base::frost::frost;
use crate::base::time::Moment;
use crate::limits::{
    PRIVATE_UNSENT_BYTES_MAX, PROBE_BYTES, PROBE_EVERY, SILENCE_MAX, STEADY_BYTES_PER_SECOND,
    UNSENT_BYTES_MAX, WRITE_SHARE_BYTES,
};
use crate::room::cursor::{Outbox, Torn, Unsent};
use crate::room::log::Ring;
use std::time::Duration;

/// What the deadlines of all clients depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// Silence after which a peer is pinged.
    pub(crate) ping_after: Duration,
    /// Before this no peer is judged for what it did not do in time: the server itself was late, and has not
    /// read everything yet.
    pub(crate) judge_from: Moment,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) outbox: Outbox,
    /// Received bytes that may not be used yet.
    kept: Vec<u8>,
    /// When the peer was last heard, or the server began to read it again.
    heard: Moment,
    /// Bytes that the socket took since then: the peer has to read them before it reaches a ping.
    written: u32,
    pinged: Option<Moment>,
    /// Set while the socket is full. Boxed, because few sockets are.
    full: Option<Box<Full>>,
    pub(crate) read_throttle: ReadThrottle,
    /// The peer will send nothing more.
    pub(crate) peer_ended: bool,
    /// What the peer has sent waits for the log that several nodes share.
    pub(crate) is_held: bool,
}

/// A socket that took fewer bytes than it was offered.
#[derive(Debug)]
struct Full {
    /// When it last took a byte.
    since: Moment,
    /// When it was last probed.
    probed: Moment,
    /// It may be offered a few bytes although it is not writable.
    is_probed: bool,
    /// It was filled completely: from then on each byte that it takes is one that the peer took.
    is_level: bool,
}

frost!(struct Connection { outbox, kept, heard, written, pinged, full, read_throttle, peer_ended, is_held });
frost!(struct Full { since, probed, is_probed, is_level });

impl Connection {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            outbox: Outbox::default(),
            kept: Vec::new(),
            heard: now,
            written: 0,
            pinged: None,
            full: None,
            read_throttle: ReadThrottle::default(),
            peer_ended: false,
            is_held: false,
        }
    }

    pub(crate) fn hear(&mut self, now: Moment) {
        (self.heard, self.written) = (now, 0);
    }

    /// Keeps bytes that may not be used yet, after those that are kept already.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    pub(crate) fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Forgets kept input and pauses, of a client whose input is discarded from now on.
    pub(crate) fn drop_input(&mut self) {
        (self.kept, self.read_throttle) = (Vec::new(), ReadThrottle::default());
        self.is_held = false;
    }

    pub(crate) fn may_use_input(&self) -> bool {
        self.read_throttle.paused_until().is_none() && !self.has_many_replies() && !self.is_held
    }

    /// Whether the peer leaves so many replies unread that it is not read either.
    pub(crate) fn has_many_replies(&self) -> bool {
        self.outbox.private_bytes() > PRIVATE_UNSENT_BYTES_MAX
    }

    /// Ends a pause. The peer could not be heard meanwhile.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.read_throttle.resume(now);
        self.hear(now);
    }

    pub(crate) fn ping(&mut self, now: Moment) {
        self.outbox.ping();
        self.pinged = Some(now);
    }

    pub(crate) fn may_write(&self) -> bool {
        self.full.as_ref().is_none_or(|full| full.is_probed)
    }

    /// Whether the socket was full when it was last written to.
    pub(crate) fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// The socket takes bytes again.
    pub(crate) fn unblock(&mut self) {
        self.full = None;
    }

    /// Lets a full socket be offered a few bytes.
    pub(crate) fn probe(&mut self, now: Moment) {
        if let Some(full) = &mut self.full {
            (full.probed, full.is_probed) = (now, true);
        }
    }

    /// The bytes to write now; none of the log where it has lapped the cursor.
    pub(crate) fn unsent<'a>(&'a mut self, log: &'a Ring) -> Unsent<'a> {
        let is_probe = self.full.as_ref().is_some_and(|full| full.is_probed);
        self.outbox.unsent(log, if is_probe { PROBE_BYTES } else { WRITE_SHARE_BYTES })
    }

    /// Accounts for a write: the socket took `taken` of the bytes that were offered last. Fewer than all: it
    /// is full.
    ///
    /// # Errors
    /// See [`Torn`].
    pub(crate) fn wrote(&mut self, now: Moment, taken: usize, log: &Ring) -> Result<(), Torn> {
        let took_all = self.outbox.wrote(log, taken)?;
        self.full = match (self.full.take(), took_all) {
            // A peer that has taken everything owes no progress: the kernel may report room only after
            // PROGRESS_TIMEOUT.
            (Some(_), true) if !self.outbox.has_unsent(log) => None,
            // Only an event says that there is room for more than a probe, which goes on until it is not
            // taken whole.
            (Some(mut full), took_all) if full.is_probed || !took_all => {
                if taken > 0 && full.is_level {
                    full.since = now;
                }
                full.is_probed &= took_all && taken > 0;
                full.is_level |= !took_all;
                Some(full)
            }
            (_, true) => None,
            (_, false) => Some(Box::new(Full { since: now, probed: now, is_probed: false, is_level: false })),
        };
        self.written = self.written.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        Ok(())
    }

    /// When to send the next ping, after this much silence.
    pub(crate) fn next_ping(&self, ping_after: Duration) -> Moment {
        let heard = self.heard_or_paused();
        self.pinged.map_or(heard, |pinged| heard.max(pinged)).after(ping_after)
    }

    /// Until when the peer may be silent. It has more time while it still has unread bytes in front of a
    /// ping.
    pub(crate) fn silent_until(&self) -> Moment {
        let unread = u64::from(self.written.min(UNSENT_BYTES_MAX));
        self.heard_or_paused().after(SILENCE_MAX + Duration::from_secs(unread / STEADY_BYTES_PER_SECOND))
    }

    /// A paused peer cannot be heard before the pause is over.
    fn heard_or_paused(&self) -> Moment {
        self.read_throttle.paused_until().map_or(self.heard, |until| self.heard.max(until))
    }

    /// When to try a full socket again.
    pub(crate) fn next_probe(&self) -> Option<Moment> {
        let full = self.full.as_ref().filter(|full| !full.is_probed)?;
        Some(full.probed.after(PROBE_EVERY))
    }

    /// Since when a full socket has taken nothing.
    pub(crate) fn full_since(&self) -> Option<Moment> {
        self.full.as_ref().map(|full| full.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::frost::{Frost, Frozen};

    /// With nothing as it is at first, so that nothing can be forgotten.
    #[test]
    fn a_connection_is_the_same_in_another_process() {
        let log = Ring::new(100);
        let (now, later) = (Moment::from_ms(5), Moment::from_ms(7));
        let mut connection = Connection::new(now);
        connection.keep(b"kept");
        connection.outbox.push(&[b'x'; 9_000], &log);
        connection.unsent(&log);
        connection.wrote(now, 1, &log).expect("it reads no ring");
        connection.unsent(&log);
        connection.wrote(later, 1, &log).expect("it reads no ring");
        connection.probe(later);
        connection.ping(later);
        connection.read_throttle.pause(later);
        connection.peer_ended = true;
        let full = connection.full.as_ref().expect("it took a part");
        assert!(full.is_level && full.is_probed && full.since < full.probed);
        let mut bytes = Vec::new();
        connection.freeze(&mut bytes);
        let after = Connection::thaw(&mut Frozen::new(&bytes)).expect("it is whole");
        assert_eq!(format!("{after:?}"), format!("{connection:?}"));
    }
}
