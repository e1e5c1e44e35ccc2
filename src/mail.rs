//! Sends login emails: printed in development, posted to Mailgun in production. Owns the queue, the worker thread and
//! the provider's credentials; never decides who may be sent an email.
//!
//! The only user of ureq and of threads. The event loop queues an email and continues; one worker sends them one
//! after the other, and each result comes back through [`Mailer::results`]. No error contains a key, code or address.

mod letter;

use crate::config::{MailSettings, Mailgun};
use crate::ids::MailId;
use crate::limits::{MAIL_QUEUE_MAX, MAIL_TIMEOUT};
use crate::logger::Logger;
use crate::login_email::{Mail, MailError};
use data_encoding::BASE64;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Sends emails and reports their results.
pub struct Mailer {
    /// The worker's queue; `None` in development.
    jobs: Option<SyncSender<Job>>,
    /// Timeout for one email, from the moment it is queued.
    within: Duration,
    report: Report,
    outcomes: Receiver<Outcome>,
}

/// The result of one email.
type Outcome = (MailId, Result<(), MailError>);

/// An email queued for the worker.
struct Job {
    mail: Mail,
    due: Instant,
}

impl Mailer {
    /// Starts the worker, unless emails are only printed. `wake` is called, by the worker or within
    /// [`send`](Self::send), each time a result is ready; it must not panic.
    ///
    /// # Errors
    /// If the system cannot start a thread for the worker.
    pub fn start(settings: MailSettings, wake: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_with(settings, wake, MAIL_TIMEOUT)
    }

    fn start_with(
        settings: MailSettings,
        wake: impl Fn() + Send + Sync + 'static,
        within: Duration,
    ) -> io::Result<Self> {
        let (sender, outcomes) = mpsc::channel();
        let report = Report { outcomes: sender, wake: Arc::new(wake) };
        let jobs = match settings {
            MailSettings::Print => None,
            MailSettings::Post(mailgun) => Some(start_worker(&mailgun, report.clone())?),
        };
        Ok(Self { jobs, within, report, outcomes })
    }

    /// Queues an email; its result arrives through [`results`](Self::results), at the latest shortly after
    /// `MAIL_TIMEOUT`. In development its code is printed at once. Never blocks.
    pub fn send(&mut self, mail: Mail, logger: &mut Logger) {
        let id = mail.id;
        let Some(jobs) = &self.jobs else {
            logger.line(&format!("login code for @{}: {}", mail.name, mail.code));
            self.report.tell(id, Ok(()));
            return;
        };
        let due = Instant::now() + self.within;
        match jobs.try_send(Job { mail, due }) {
            Ok(()) => (),
            Err(TrySendError::Full(_)) => self.report.tell(id, Err(MailError::QueueFull)),
            Err(TrySendError::Disconnected(_)) => self.report.tell(id, Err(MailError::Unreachable)),
        }
    }

    /// Results since the last call.
    pub fn results(&mut self) -> impl Iterator<Item = (MailId, Result<(), MailError>)> {
        self.outcomes.try_iter()
    }
}

/// Reports results to the event loop and wakes it.
#[derive(Clone)]
struct Report {
    outcomes: Sender<Outcome>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Report {
    fn tell(&self, id: MailId, result: Result<(), MailError>) {
        // Sending fails only after the mailer was dropped, and the loop with it.
        if self.outcomes.send((id, result)).is_ok() {
            (self.wake)();
        }
    }
}

/// The worker is not joined: dropping the mailer must not block on a slow provider.
fn start_worker(mailgun: &Mailgun, report: Report) -> io::Result<SyncSender<Job>> {
    let (jobs, queue) = mpsc::sync_channel::<Job>(MAIL_QUEUE_MAX);
    let office = Office::new(mailgun);
    thread::Builder::new().name("plumemail".to_owned()).spawn(move || {
        for Job { mail, due } in queue {
            let left = due.saturating_duration_since(Instant::now());
            let result = if left.is_zero() { Err(MailError::Late) } else { office.post(&mail, left) };
            report.tell(mail.id, result);
        }
    })?;
    Ok(jobs)
}

/// The provider's HTTP API.
struct Office {
    agent: ureq::Agent,
    address: String,
    authorization: String,
    from: String,
    site_name: String,
}

impl Office {
    fn new(mailgun: &Mailgun) -> Self {
        let config = ureq::Agent::config_builder()
            // Otherwise ureq reads the proxy from the environment, and configuration comes from `PLUME_` settings
            // only.
            .proxy(None)
            // A redirect could send the code to another host.
            .max_redirects(0)
            .http_status_as_error(false)
            // Emails are rare, and sending one on a kept connection that the provider has closed meanwhile would lose
            // it.
            .max_idle_connections(0)
            .max_response_header_size(ANSWER_BYTES_MAX)
            .input_buffer_size(ANSWER_BYTES_MAX)
            .output_buffer_size(ANSWER_BYTES_MAX)
            .user_agent(concat!("plume/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: ureq::Agent::with_parts(config, DefaultConnector::new(), HostLookUp),
            address: format!("{}/v3/{}/messages", mailgun.api_base, mailgun.domain),
            authorization: format!("Basic {}", BASE64.encode(format!("api:{}", mailgun.api_key).as_bytes())),
            from: mailgun.from.clone(),
            site_name: mailgun.site_name.clone(),
        }
    }

    /// Posts an email within the time `left`. The status decides: the body of the response is not read.
    fn post(&self, mail: &Mail, left: Duration) -> Result<(), MailError> {
        let subject = letter::subject(mail);
        let text = letter::plain_text(&self.site_name, mail);
        let html = letter::html_text(&self.site_name, mail);
        let answer = self
            .agent
            .post(&self.address)
            .header("authorization", &self.authorization)
            .config()
            .timeout_global(Some(left))
            .build()
            .send_form([
                ("from", self.from.as_str()),
                ("to", &mail.to),
                ("subject", &subject),
                ("text", &text),
                ("html", &html),
            ]);
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(MailError::Refused(answer.status().as_u16())),
            Err(ureq::Error::Timeout(_)) => Err(MailError::Late),
            Err(error) if is_before_the_request(&error) => Err(MailError::Unreachable),
            Err(_) => Err(MailError::BrokenOff),
        }
    }
}

/// Whether a request failed before any of it was sent, so that the email certainly did not go out.
fn is_before_the_request(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Http(_)
        | ureq::Error::BadUri(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed => true,
        ureq::Error::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
        ),
        // ureq may add kinds of errors; after an unknown one the email may have gone out.
        _ => false,
    }
}

/// Resolves a host name within the remaining time, on a separate thread, because the system's resolver has no
/// timeout. Like ureq's own resolver, but that one panics if the system cannot start a thread.
#[derive(Debug)]
struct HostLookUp;

impl Resolver for HostLookUp {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ureq::Error::HostNotFound);
        };
        let host = DefaultResolver::host_and_port(scheme, authority).ok_or(ureq::Error::HostNotFound)?;
        let mut addresses = self.empty();
        if let Ok(address) = host.parse::<SocketAddr>() {
            addresses.push(address);
            return Ok(addresses);
        }
        let (sender, found) = mpsc::sync_channel(1);
        let look_up = move || {
            // Fails if the lookup has timed out.
            let _ = sender.send(host.to_socket_addrs());
        };
        thread::Builder::new().name("plume-host".to_owned()).spawn(look_up)?;
        let found = match found.recv_timeout(*timeout.after) {
            Ok(found) => found?,
            Err(RecvTimeoutError::Timeout) => return Err(ureq::Error::Timeout(timeout.reason)),
            Err(RecvTimeoutError::Disconnected) => return Err(ureq::Error::HostNotFound),
        };
        for address in found.take(ADDRESSES_MAX) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// Limit for the head of the provider's response, and for the connection's buffers, in bytes: far more than needed.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Addresses of the provider to try; ureq holds 16.
const ADDRESSES_MAX: usize = 8;

#[cfg(test)]
mod tests;
