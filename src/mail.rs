//! Sends login emails: printed in development, handed to a provider in production. Owns the queue, the
//! sending threads and the provider's credentials; never decides who may be sent an email.
//!
//! The event loop hands over an email and goes on; each email is sent on a thread
//! of its own, at most [`MAIL_THREADS_MAX`](crate::limits::MAIL_THREADS_MAX) at once, and the others wait in
//! a bounded queue. Its deadline counts from the moment it was accepted. A thread that is still busy then, in
//! the system's resolver for example, is left behind: its email has failed, and it takes up its slot until it
//! ends. Each email is tried once: the user is still there to ask again, and a second try could deliver it
//! twice. No error contains a key, code or address.

mod letter;
mod mailgun;
mod message;
mod print;
mod queue;
mod smtp;

use crate::config::{MailSettings, Smtp};
use crate::ids::MailId;
use crate::limits::{MAIL_BEGIN_PART, MAIL_TIMEOUT};
use crate::logger::Logger;
use crate::login_email::{Mail, MailError, MailResult};
use mailgun::MailgunTransport;
use queue::{Job, MailQueue};
use smtp::SmtpTransport;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Sends emails and reports their results.
pub struct Mailer {
    /// `None` in development, where codes are printed.
    transport: Option<Arc<dyn Transport>>,
    queue: MailQueue,
    /// From the moment an email is accepted.
    timeout: Duration,
    notifier: Notifier,
    results: Receiver<(MailId, MailResult)>,
}

/// Whether the SMTP server would take an email: connects, encrypts and logs in as for one, and sends none.
/// Blocks for at most `MAIL_TIMEOUT`, and for what the system's resolver needs.
///
/// # Errors
/// If the transport cannot be set up.
pub fn check_smtp(settings: &Smtp) -> io::Result<MailResult> {
    Ok(SmtpTransport::new(settings.clone())?.check(Instant::now() + MAIL_TIMEOUT))
}

/// A way to send an email.
trait Transport: Send + Sync {
    /// Sends an email, or fails at the deadline. Blocks.
    fn send(&self, mail: &Mail, deadline: Instant) -> MailResult;
}

impl Mailer {
    /// `wake` is called, by a sending thread or within [`send`](Self::send), each time a result is ready; it
    /// must not panic.
    ///
    /// # Errors
    /// If the transport cannot be set up.
    pub fn start(settings: MailSettings, wake: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let transport: Option<Arc<dyn Transport>> = match settings {
            MailSettings::Print => None,
            MailSettings::Mailgun(mailgun) => Some(Arc::new(MailgunTransport::new(&mailgun))),
            MailSettings::Smtp(smtp) => Some(Arc::new(SmtpTransport::new(smtp)?)),
        };
        Ok(Self::with(transport, wake, MAIL_TIMEOUT))
    }

    fn with(
        transport: Option<Arc<dyn Transport>>,
        wake: impl Fn() + Send + Sync + 'static,
        timeout: Duration,
    ) -> Self {
        let (sender, results) = mpsc::channel();
        let notifier = Notifier { results: sender, wake: Arc::new(wake) };
        Self { transport, queue: MailQueue::default(), timeout, notifier, results }
    }

    /// Accepts an email; its result arrives through [`results`](Self::results), at the latest after
    /// `MAIL_TIMEOUT`. In development its code is printed at once. Never blocks.
    pub fn send(&mut self, mail: Mail, logger: &mut Logger) {
        let id = mail.id;
        if self.transport.is_none() {
            print::print(&mail, logger);
            return self.notifier.notify(id, Ok(()));
        }
        let job = Job { mail, deadline: Instant::now() + self.timeout };
        match self.queue.push(job) {
            Ok(()) => self.start_threads(),
            Err(queue::FullError) => self.notifier.notify(id, Err(MailError::QueueFull)),
        }
    }

    /// Results since the last call. Also gives the threads that have ended other emails to send.
    pub fn results(&mut self) -> Vec<(MailId, MailResult)> {
        let mut results: Vec<_> = self.results.try_iter().filter(|&(id, _)| self.queue.end(id)).collect();
        let now = Instant::now();
        results.extend(std::iter::from_fn(|| self.queue.expire(now)).map(|id| (id, Err(MailError::Late))));
        self.start_threads();
        results
    }

    /// Time until [`results`](Self::results) must be called without having been woken.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.queue.next_deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether an email is being sent whose result still counts.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.queue.is_sending()
    }

    /// Starts a thread for each email that may be sent now. Threads are not joined: dropping the mailer must
    /// not block on a slow provider.
    fn start_threads(&mut self) {
        let Some(transport) = &self.transport else { return };
        while let Some(Job { mail, deadline }) =
            self.queue.start(Instant::now(), self.timeout / MAIL_BEGIN_PART)
        {
            let (id, transport, notifier) = (mail.id, Arc::clone(transport), self.notifier.clone());
            let send = move || notifier.notify(id, transport.send(&mail, deadline));
            if thread::Builder::new().name("plume-mail".to_owned()).spawn(send).is_err() {
                self.notifier.notify(id, Err(MailError::QueueFull));
            }
        }
    }
}

/// Whether a read or a write took too long. On Linux a socket's timeout is reported as
/// [`ErrorKind::WouldBlock`].
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// Whether a connection failed because of TLS: a certificate that is not trusted, or a peer that does not
/// speak it.
fn is_tls(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

/// Passes results to the event loop and wakes it.
#[derive(Clone)]
struct Notifier {
    results: Sender<(MailId, MailResult)>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Notifier {
    fn notify(&self, id: MailId, result: MailResult) {
        // Sending fails only after the mailer was dropped, and the loop with it.
        if self.results.send((id, result)).is_ok() {
            (self.wake)();
        }
    }
}

#[cfg(test)]
mod tests;
