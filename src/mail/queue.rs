//! Which emails wait, which are being sent, and when each has timed out. A state machine without threads or
//! clocks: [`Mailer`](super::Mailer) runs the threads and tells it the time.

use crate::ids::MailId;
use crate::limits::{MAIL_QUEUE_MAX, MAIL_THREADS_MAX};
use crate::login_email::Mail;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// An accepted email.
pub(super) struct Job {
    pub(super) mail: Mail,
    /// When it fails as late.
    pub(super) deadline: Instant,
}

#[derive(Default)]
pub(super) struct MailQueue {
    /// Emails without a thread, oldest first. All have the same timeout, so they are in order of their
    /// deadlines, too.
    waiting: VecDeque<Job>,
    /// At most [`MAIL_THREADS_MAX`].
    threads: Vec<Thread>,
}

/// A thread that sends an email.
struct Thread {
    mail: MailId,
    /// `None` once the email has failed as late: the thread is left behind, and takes up its slot until it
    /// ends.
    deadline: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct FullError;

impl MailQueue {
    pub(super) fn push(&mut self, job: Job) -> Result<(), FullError> {
        if self.waiting.len() >= MAIL_QUEUE_MAX {
            return Err(FullError);
        }
        self.waiting.push_back(job);
        Ok(())
    }

    /// The next email to send, if there is room for its thread. From now on the thread counts, until
    /// [`end`](Self::end). One with less time left than `time_min` stays until it is late; those behind it
    /// have more.
    pub(super) fn start(&mut self, now: Instant, time_min: Duration) -> Option<Job> {
        if self.threads.len() >= MAIL_THREADS_MAX {
            return None;
        }
        let job = self.waiting.pop_front_if(|job| job.deadline >= now + time_min)?;
        self.threads.push(Thread { mail: job.mail.id, deadline: Some(job.deadline) });
        Some(job)
    }

    /// Frees the slot of the email's thread, if it had one. Returns whether its result counts: it does not if
    /// the email has already failed as late.
    pub(super) fn end(&mut self, mail: MailId) -> bool {
        let Some(slot) = self.threads.iter().position(|thread| thread.mail == mail) else { return true };
        self.threads.swap_remove(slot).deadline.is_some()
    }

    /// An email whose deadline has passed, waiting or being sent. Call it until there is none.
    pub(super) fn expire(&mut self, now: Instant) -> Option<MailId> {
        let is_due = |deadline: &Instant| *deadline <= now;
        if let Some(thread) =
            self.threads.iter_mut().find(|thread| thread.deadline.as_ref().is_some_and(is_due))
        {
            thread.deadline = None;
            return Some(thread.mail);
        }
        self.waiting.pop_front_if(|job| is_due(&job.deadline)).map(|job| job.mail.id)
    }

    /// Whether a thread sends an email that has not failed as late.
    pub(super) fn is_sending(&self) -> bool {
        self.threads.iter().any(|thread| thread.deadline.is_some())
    }

    /// The next time at which [`expire`](Self::expire) has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.front().map(|job| job.deadline);
        self.threads.iter().filter_map(|thread| thread.deadline).chain(waiting).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(15);
    const MIN: Duration = Duration::from_secs(1);
    const THREADS: u64 = MAIL_THREADS_MAX as u64;
    const QUEUE: u64 = MAIL_QUEUE_MAX as u64;

    fn job(id: u64, accepted: Instant) -> Job {
        let (to, name, code) = ("ada@example.org".to_owned(), "Ada".to_owned(), "7KQ2ZD".to_owned());
        Job { mail: Mail { id: MailId(id), to, name, code }, deadline: accepted + TIMEOUT }
    }

    fn started(queue: &mut MailQueue) -> Vec<u64> {
        std::iter::from_fn(|| queue.start(Instant::now(), MIN)).map(|job| job.mail.id.0).collect()
    }

    fn expired(queue: &mut MailQueue, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| queue.expire(now)).map(|id| id.0).collect()
    }

    #[test]
    fn emails_wait_for_a_thread_in_order() {
        let (mut queue, now) = (MailQueue::default(), Instant::now());
        for id in 0..THREADS + 2 {
            assert_eq!(queue.push(job(id, now)), Ok(()));
        }
        assert_eq!(started(&mut queue), (0..THREADS).collect::<Vec<_>>());
        assert!(queue.end(MailId(1)));
        assert_eq!(started(&mut queue), [THREADS]);
        assert!(queue.end(MailId(0)));
        assert_eq!(started(&mut queue), [THREADS + 1]);
    }

    #[test]
    fn an_email_with_hardly_any_time_left_is_not_begun() {
        let (mut queue, now) = (MailQueue::default(), Instant::now());
        for id in 0..2 {
            assert_eq!(queue.push(job(id, now)), Ok(()));
        }
        let last = now + TIMEOUT.saturating_sub(MIN);
        assert_eq!(queue.start(last, MIN).map(|job| job.mail.id.0), Some(0));
        assert!(queue.start(last + Duration::from_millis(1), MIN).is_none());
        assert_eq!(expired(&mut queue, now + TIMEOUT), [0, 1]);
    }

    #[test]
    fn a_full_queue_takes_no_more() {
        let (mut queue, now) = (MailQueue::default(), Instant::now());
        for id in 0..THREADS + QUEUE {
            assert_eq!(queue.push(job(id, now)), Ok(()), "{id}");
            queue.start(Instant::now(), MIN);
        }
        assert_eq!(queue.push(job(THREADS + QUEUE, now)), Err(FullError));
        assert!(queue.end(MailId(0)));
        queue.start(Instant::now(), MIN);
        assert_eq!(queue.push(job(THREADS + QUEUE, now)), Ok(()));
    }

    #[test]
    fn a_thread_that_is_left_behind_takes_up_its_slot_until_it_ends() {
        let (mut queue, now) = (MailQueue::default(), Instant::now());
        for id in 0..=THREADS {
            assert_eq!(queue.push(job(id, now + Duration::from_secs(id))), Ok(()));
        }
        assert_eq!(started(&mut queue).len(), MAIL_THREADS_MAX);
        assert_eq!(queue.next_deadline(), Some(now + TIMEOUT));
        assert_eq!(expired(&mut queue, now + Duration::from_secs(14)), [0; 0]);
        assert_eq!(expired(&mut queue, now + TIMEOUT), [0]);
        assert_eq!(queue.next_deadline(), Some(now + TIMEOUT + Duration::from_secs(1)));
        assert_eq!(started(&mut queue), [0; 0], "its thread still runs");
        assert!(queue.is_sending(), "the others");
        assert!(!queue.end(MailId(0)), "it has failed already");
        assert_eq!(started(&mut queue), [THREADS]);
        assert!(queue.end(MailId(THREADS)));
    }

    #[test]
    fn an_email_that_waits_too_long_is_not_sent() {
        let (mut queue, now) = (MailQueue::default(), Instant::now());
        for id in 0..THREADS + 2 {
            assert_eq!(queue.push(job(id, now)), Ok(()));
        }
        assert!(!queue.is_sending(), "they wait");
        started(&mut queue);
        assert!(queue.is_sending());
        assert_eq!(expired(&mut queue, now + TIMEOUT), (0..THREADS + 2).collect::<Vec<_>>());
        assert!(!queue.is_sending(), "nobody waits for those that are late");
        assert_eq!(queue.next_deadline(), None);
        assert!(!queue.end(MailId(0)));
        assert_eq!(started(&mut queue), [0; 0]);
    }
}
