//! What the tests stand on: the running server, a client, plain HTTP, and a mail provider that does as it is
//! told.
//!
//! Every wait has a deadline, and whatever came instead of what was awaited is printed.

mod client;
mod http;
mod mailgun;
mod metrics;
mod server;
mod smtp;

pub(crate) use client::{Client, Event, frame};
pub(crate) use http::{Answer, Http};
pub(crate) use mailgun::{Behaviour, FakeMailgun, authorization, production};
pub(crate) use metrics::Metrics;
pub(crate) use server::{Plume, StderrMode, new_bot, refused, refused_with_sockets};
pub(crate) use smtp::{Act, FakeSmtp, Offer, Received, SENDER, Tls, fixture};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Error, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Asks again and again until there is an answer, for as long as there is patience.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a read may simply be tried again: its time was over, or a signal came in between.
fn may_retry(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// What is left until `deadline`: never zero, which sockets do not take for a time.
fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// Lets this process open as many files as it may.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("the soft limit may be raised to the hard one");
}
