//! Messages that have begun and not ended: what they may hold together. When it is too much, the one that began first gives
//! way: an honest message is through in a moment, one that somebody holds back on purpose is not.

use crate::base::agenda::Agenda;
use crate::base::ids::ConnectionId;
use crate::base::limits::UNFINISHED_BYTES_MAX;
use crate::base::moment::Moment;

/// All unfinished messages.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    by_age: Agenda<ConnectionId>,
    bytes: usize,
}

/// What one connection holds of it.
#[derive(Debug, Default)]
pub(super) struct Share {
    since: Option<Moment>,
    bytes: usize,
}

impl Unfinished {
    /// Notes what a connection holds.
    pub(super) fn hold(&mut self, now: Moment, id: ConnectionId, share: &mut Share, bytes: usize) {
        let since = share.since.unwrap_or(now);
        self.by_age.set(id, &mut share.since, Some(since));
        self.bytes = self.bytes - share.bytes + bytes;
        share.bytes = bytes;
    }

    /// Notes that a connection stands between two messages, or is gone.
    pub(super) fn release(&mut self, id: ConnectionId, share: &mut Share) {
        self.by_age.set(id, &mut share.since, None);
        self.bytes -= std::mem::take(&mut share.bytes);
    }

    /// Bytes, all told.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who has to give way.
    pub(super) fn surplus(&self) -> Option<ConnectionId> {
        if self.bytes > UNFINISHED_BYTES_MAX { self.by_age.first_key() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_began_gives_way() {
        let id = |serial| ConnectionId::new(0, serial);
        let at = Moment::from_ms;
        let mut unfinished = Unfinished::default();
        let mut shares = [Share::default(), Share::default(), Share::default()];
        unfinished.hold(at(2), id(0), &mut shares[0], 10);
        unfinished.hold(at(1), id(1), &mut shares[1], 0);
        unfinished.hold(at(3), id(2), &mut shares[2], UNFINISHED_BYTES_MAX - 10);
        assert_eq!((unfinished.bytes, unfinished.surplus()), (UNFINISHED_BYTES_MAX, None));
        unfinished.hold(at(4), id(1), &mut shares[1], 1);
        assert_eq!(unfinished.surplus(), Some(id(1)), "since it began, not since it grew");
        unfinished.release(id(1), &mut shares[1]);
        assert_eq!(unfinished.surplus(), None);
        unfinished.hold(at(6), id(1), &mut shares[1], 1);
        assert_eq!(unfinished.surplus(), Some(id(0)), "what ended begins anew");
        for (serial, share) in (0..).zip(&mut shares) {
            unfinished.release(id(serial), share);
        }
        assert!(unfinished.bytes == 0 && unfinished.by_age.is_empty());
    }
}
