//! The connection to the engine, as the replica keeps account of it: what it was asked, when it should have
//! answered, and what time it is there.

use super::shared::{millis, mix};
use crate::base::frost::frost;
use crate::base::time::Moment;
use crate::engine::EntryId;
use crate::limits::{
    ENGINE_BYTES_PER_SECOND_MIN, ENGINE_REPLY_TIMEOUT, ENTRY_TIMEOUT, ENTRY_TIMEOUT_DOUBLINGS_MAX,
    RECONNECT_WAIT_MAX, RECONNECT_WAIT_MIN,
};
use std::collections::VecDeque;
use std::time::Duration;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The number of the connection.
    pub(super) epoch: u64,
    pub(super) stamp: u64,
    /// When the engine's clock was, in milliseconds, at least this.
    clock: Option<(Moment, u64)>,
    /// Answers that have not come.
    unanswered: usize,
    pub(super) answer_due: Option<Moment>,
    /// How long the slowest of those answers may take.
    patience: Duration,
    /// When everything that was sent should have arrived.
    sent_by: Option<Moment>,
    /// Own entries that have not come back.
    unreturned: VecDeque<Unreturned>,
    /// When the last own entry was added.
    pub(super) added_at: Option<Moment>,
    /// Connections since an entry of a connection came back.
    pub(super) failures: u32,
    /// Of those, connections over which an entry did not come back in time.
    late: u32,
    /// How long the last entry took to come back.
    pub(super) lag: Duration,
}

frost!(struct Link { epoch, failures, late, lag } but {
    stamp: 0, clock: None, unanswered: 0, answer_due: None, patience: Duration::ZERO,
    sent_by: None, unreturned: VecDeque::new(), added_at: None
});

/// An own entry that has not come back.
#[derive(Debug)]
struct Unreturned {
    added_at: Moment,
    /// How much longer than others it may take.
    extra: Duration,
    /// The number of the command, if it is one.
    n: Option<u64>,
}

impl Link {
    /// Begins another connection.
    pub(super) fn begin(&mut self, now: Moment) {
        let Self { epoch, failures, late, lag, .. } = std::mem::take(self);
        *self = Self { epoch: epoch.saturating_add(1), failures, late, lag, ..Self::default() };
        self.asked(now, ENGINE_REPLY_TIMEOUT, 0);
    }

    /// Something was asked that is answered within this time, once so many bytes are sent.
    pub(super) fn asked(&mut self, now: Moment, within: Duration, bytes: usize) {
        self.sent(now, bytes);
        self.patience = self.patience.max(within);
        if self.unanswered == 0 {
            self.answer_due = self.sent_by.map(|sent| sent.after(within));
        }
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// So many bytes are on their way, and whatever is asked after them waits for them.
    pub(super) fn sent(&mut self, now: Moment, bytes: usize) {
        self.sent_by = Some(self.sent_by.map_or(now, |sent| sent.max(now)).after(time_for(bytes)));
    }

    pub(super) fn answered(&mut self, now: Moment) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.unanswered == 0 {
            (self.answer_due, self.patience) = (None, Duration::ZERO);
        } else {
            self.answer_due = self.sent_by.map(|sent| sent.max(now).after(self.patience));
        }
    }

    /// An entry was added: a command with this number, or another one.
    pub(super) fn added(&mut self, now: Moment, bytes: usize, n: Option<u64>) {
        self.asked(now, ENGINE_REPLY_TIMEOUT, bytes);
        self.unreturned.push_back(Unreturned { added_at: now, extra: time_for(bytes), n });
        self.added_at = Some(now);
    }

    /// An entry that was added over this connection has come back. Whether no command is missing before it:
    /// entries of a connection come back in order, so one that is passed over does not come any more. (A log
    /// that is deleted while the engine's clock is set back takes entries at places that were read already.)
    #[must_use]
    pub(super) fn returned(&mut self, now: Moment, id: EntryId, n: Option<u64>) -> bool {
        self.clock = Some((now, id.ms));
        // One that others have added again is not among them.
        if !self.unreturned.iter().any(|entry| entry.n == n) {
            return true;
        }
        let mut is_whole = true;
        while let Some(entry) = self.unreturned.pop_front() {
            if entry.n == n {
                self.lag = now.since(entry.added_at);
                break;
            }
            is_whole &= entry.n.is_none();
        }
        is_whole
    }

    /// Everything works.
    pub(super) fn works(&mut self) {
        (self.failures, self.late) = (0, 0);
    }

    /// When the node counts as apart, for an own entry has not come back.
    pub(super) fn entry_due(&self) -> Option<Moment> {
        let &Unreturned { added_at, extra, .. } = self.unreturned.front()?;
        Some(added_at.after(ENTRY_TIMEOUT.saturating_add(extra)))
    }

    /// When the connection counts as lost for that.
    pub(super) fn entry_given_up(&self) -> Option<Moment> {
        let &Unreturned { added_at, extra, .. } = self.unreturned.front()?;
        let doubled = ENTRY_TIMEOUT.saturating_mul(1 << self.late.min(ENTRY_TIMEOUT_DOUBLINGS_MAX));
        Some(added_at.after(doubled.saturating_add(extra)))
    }

    pub(super) fn is_late(&mut self) {
        self.late = self.late.saturating_add(1);
    }

    /// How long to wait before another connection.
    pub(super) fn wait(&mut self, random: u64) -> Duration {
        let longest = RECONNECT_WAIT_MIN.saturating_mul(1 << self.failures.min(16)).min(RECONNECT_WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        // Between half of it and all of it, so that not all nodes come at once.
        let half = millis(longest / 2);
        Duration::from_millis(half + mix(random).checked_rem(half).unwrap_or(0))
    }

    pub(super) fn set_clock(&mut self, now: Moment, ms: u64) {
        self.clock = Some((now, ms));
    }

    /// The engine's time, or a little less.
    pub(super) fn engine_ms(&self, now: Moment) -> Option<u64> {
        self.clock.map(|(at, ms)| ms.saturating_add(millis(now.since(at))))
    }

    /// When the engine's time will be this.
    pub(super) fn moment_of(&self, engine_ms: u64) -> Option<Moment> {
        self.clock.map(|(at, ms)| at.after(Duration::from_millis(engine_ms.saturating_sub(ms))))
    }
}

/// How long so many bytes may take, beyond what anything takes.
fn time_for(bytes: usize) -> Duration {
    let us = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000) / ENGINE_BYTES_PER_SECOND_MIN;
    Duration::from_micros(us)
}
