//! What the tests stand on: the running server, a client, plain HTTP, and a mail provider that does as it is
//! told.
//!
//! Every wait has a deadline, and whatever came instead of what was awaited is printed.

mod bot;
mod client;
mod fake;
mod folder;
mod http;
mod mailgun;
mod manager;
mod metrics;
mod server;
mod smtp;

pub(crate) use bot::{bot_post, bot_request, follow, read_as_bot, say_as_bot, with_bot};
pub(crate) use client::{Client, Event, address_of, connect, connect_narrow, connect_to_metrics, frame};
pub(crate) use folder::Folder;
pub(crate) use http::{Answer, Http};
pub(crate) use mailgun::{Behaviour, FakeMailgun, authorization, mailgun_variables, production};
pub(crate) use manager::Manager;
pub(crate) use metrics::Metrics;
pub(crate) use server::{Ended, Plume, StderrMode, new_bot, refused, refused_with_sockets};
pub(crate) use smtp::{Act, FakeSmtp, Offer, Received, SENDER, Tls, fixture};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
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

/// Asserts that about as many milliseconds have passed as should.
#[track_caller]
pub(crate) fn assert_took(begun: Instant, expected: Range<u128>) {
    let took = begun.elapsed().as_millis();
    assert!(expected.contains(&took), "{took} ms instead of {expected:?}");
}

/// A socket that listens on a free port of the loopback.
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// An address where nobody listens, at least a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    listen().1
}

/// Another code than this one.
pub(crate) fn other_than(code: &str) -> String {
    let (rest, last) = code.split_at(code.len() - 1);
    format!("{rest}{}", if last == "7" { '8' } else { '7' })
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
