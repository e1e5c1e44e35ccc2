//! The keeper: a thread that writes changes, and the event loop's end of the queue to it.
//!
//! The loop never waits: changes gather in a map, newest value by key, and the whole map is handed over if
//! the thread has taken the one before. So a slow disk costs memory for each key that changes meanwhile, and
//! no more; above [`DATA_WAITING_MAX`] keys, changes are lost and counted. A disk that fails holds nothing
//! up: the thread takes all changes, keeps what differs from the log, and tries again every [`DATA_RETRY`].

use super::DataDir;
use super::folder::Disk;
use super::store::Store;
use crate::kept::Change;
use crate::limits::{DATA_FLUSH_TIMEOUT, DATA_HAND_OVER_RETRY, DATA_RETRY, DATA_WAITING_MAX};
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Hands changes to the thread that writes them.
pub struct Keeper {
    waiting: Batch,
    /// Changes that had no room since the last report.
    lost: u64,
    /// Room for one batch: the thread takes it while it may be waiting for the disk with the one before.
    batches: SyncSender<Batch>,
    reports: Receiver<Report>,
    left: Left,
}

/// The state for the next process, which the thread writes last.
type Left = Arc<OnceLock<Vec<u8>>>;

/// Changes by key.
type Batch = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What has become of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Changes could not be written, and are tried again. The errno, or zero if there was none.
    Failed(i32),
    /// All changes are on the disk again.
    Recovered,
    /// This many changes had no room while the disk took none, and will be missing after a restart.
    Lost(u64),
}

impl Keeper {
    /// Starts the thread, which owns the folder from now on. `wake` is called by it each time that there is a
    /// report; it must not panic.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(data: DataDir, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        Self::with(data.store, wake, DATA_RETRY)
    }

    pub(super) fn with<D: Disk + Send + 'static>(
        store: Store<D>,
        wake: impl Fn() + Send + 'static,
        retry: Duration,
    ) -> io::Result<Self> {
        let (batches, taken) = mpsc::sync_channel(1);
        let (sender, reports) = mpsc::channel();
        let left = Left::default();
        let worker = Worker { store, retry, failed: None, reports: sender, left: Arc::clone(&left), wake };
        thread::Builder::new().name("plume-keeper".to_owned()).spawn(move || worker.run(&taken))?;
        Ok(Self { waiting: Batch::new(), lost: 0, batches, reports, left })
    }

    /// Takes a change. Never blocks.
    pub fn keep(&mut self, change: Change) {
        let Change { key, value } = change;
        if self.waiting.len() < DATA_WAITING_MAX || self.waiting.contains_key(&key) {
            self.waiting.insert(key, value);
        } else {
            self.lost += 1;
        }
    }

    /// Takes the state for the next process, to be written at the end.
    pub fn leave(&self, state: Vec<u8>) {
        // The first is kept: nothing changes after it.
        let _first = self.left.set(state);
    }

    /// Hands over what was taken, if the thread can take it now. Never blocks. Call it in every turn.
    pub fn hand_over(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        // The thread ends only after this value is dropped.
        if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) =
            self.batches.try_send(std::mem::take(&mut self.waiting))
        {
            self.waiting = batch;
        }
    }

    /// Reports since the last call.
    pub fn reports(&mut self) -> Vec<Report> {
        let lost = Some(std::mem::take(&mut self.lost)).filter(|&lost| lost > 0);
        self.reports.try_iter().chain(lost.map(Report::Lost)).collect()
    }

    /// Time until [`hand_over`](Self::hand_over) must be called without having been woken.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(DATA_HAND_OVER_RETRY)
    }

    /// Waits until everything is on the disk, for [`DATA_FLUSH_TIMEOUT`] at most. Returns whether it is.
    #[must_use]
    pub fn finish(self) -> bool {
        self.finish_within(DATA_FLUSH_TIMEOUT)
    }

    pub(super) fn finish_within(mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            self.hand_over();
            if self.waiting.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(DATA_HAND_OVER_RETRY);
        }
        let Self { batches, reports, lost, .. } = self;
        // Without a sender the thread writes what it has, and ends.
        drop(batches);
        let mut is_saved = lost == 0;
        loop {
            match reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Report::Failed(_) | Report::Lost(_)) => is_saved = false,
                Ok(Report::Recovered) => is_saved = true,
                Err(RecvTimeoutError::Disconnected) => return is_saved,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

/// The thread's own: the only user of the folder.
struct Worker<D, W> {
    store: Store<D>,
    retry: Duration,
    /// Since when writing has failed, or when it was tried last.
    failed: Option<Instant>,
    reports: Sender<Report>,
    left: Left,
    wake: W,
}

impl<D: Disk, W: Fn()> Worker<D, W> {
    fn run(mut self, batches: &Receiver<Batch>) {
        loop {
            // The log may be due for a rewrite already.
            if self.is_time(Instant::now()) {
                self.save();
            }
            match self.next(batches) {
                Ok(batch) => self.take(batch),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if self.store.is_due(Instant::now()) {
            self.save();
        }
        if let Some(state) = self.left.get()
            && let Err(error) = self.store.disk().leave(state)
        {
            self.fail(&error);
        }
    }

    /// The next batch, or the time to write.
    fn next(&self, batches: &Receiver<Batch>) -> Result<Batch, RecvTimeoutError> {
        let deadline = match self.failed {
            Some(failed) => Some(failed + self.retry),
            None => self.store.next_deadline(),
        };
        match deadline {
            Some(deadline) => batches.recv_timeout(deadline.saturating_duration_since(Instant::now())),
            None => batches.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn take(&mut self, batch: Batch) {
        for (key, value) in batch {
            if let Err(error) = self.store.apply(Change { key, value }) {
                self.fail(&error);
            }
        }
    }

    /// Whether there is something to write, and no failure to wait after.
    fn is_time(&self, now: Instant) -> bool {
        match self.failed {
            Some(failed) => now.saturating_duration_since(failed) >= self.retry,
            None => self.store.is_due(now),
        }
    }

    fn save(&mut self) {
        match self.store.save(Instant::now()) {
            Ok(()) => {
                if self.failed.take().is_some() {
                    self.report(Report::Recovered);
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) {
        if self.failed.replace(Instant::now()).is_none() {
            self.report(Report::Failed(error.raw_os_error().unwrap_or_default()));
        }
    }

    fn report(&self, report: Report) {
        // Sending fails only after the keeper was dropped, and the loop with it.
        if self.reports.send(report).is_ok() {
            (self.wake)();
        }
    }
}
