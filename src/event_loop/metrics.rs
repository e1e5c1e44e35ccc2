//! The metrics' own listener, and its connections: a request each, answered at once, within
//! [`SCRAPE_TIMEOUT`]. They count apart from the chat's, so a full chat can still be looked at, and share
//! nothing with them but the turn of the loop. `exposition` writes the numbers as text.

mod exposition;

pub(super) use exposition::ShellMetrics;

use super::acceptor::Acceptor;
use crate::base::histogram::Histogram;
use crate::base::time::Moment;
use crate::http::metrics::answer;
use crate::http::request::HeadReader;
use crate::http::site::Refusal;
use crate::limits::{
    ACCEPTS_PER_TURN, DRAIN_TIMEOUT, SCRAPE_BYTES_MAX, SCRAPE_TIMEOUT, SCRAPERS_MAX, TURN_BOUNDS,
};
use crate::log_event::LogEvent;
use crate::metrics::ServerMetrics;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use slab::Slab;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The listener for metrics, its connections, and what is measured only for them.
pub(super) struct Metrics {
    listener: TcpListener,
    /// The address of the settings, perhaps with port 0.
    setting: SocketAddr,
    acceptor: Acceptor,
    /// At most [`SCRAPERS_MAX`].
    scrapers: Slab<Scraper>,
    turns: Histogram,
}

impl Metrics {
    pub(super) fn bind(address: SocketAddr, registry: &Registry) -> io::Result<Self> {
        Self::over(TcpListener::bind(address)?, address, registry)
    }

    /// Takes over the listener of the process before, which was bound for the same address.
    pub(super) fn resume(socket: OwnedFd, address: SocketAddr, registry: &Registry) -> io::Result<Self> {
        Self::over(TcpListener::from_std(socket.into()), address, registry)
    }

    fn over(mut listener: TcpListener, setting: SocketAddr, registry: &Registry) -> io::Result<Self> {
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener,
            setting,
            acceptor: Acceptor::default(),
            scrapers: Slab::with_capacity(SCRAPERS_MAX),
            turns: Histogram::new(&TURN_BOUNDS),
        })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The address that it was bound for.
    pub(super) const fn setting(&self) -> SocketAddr {
        self.setting
    }

    /// Marks what an event is about.
    pub(super) fn mark(&mut self, token: Token) {
        if token == LISTENER {
            self.acceptor.is_ready = true;
        } else if let Some(scraper) = slot_of(token).and_then(|slot| self.scrapers.get_mut(slot)) {
            scraper.is_ready = true;
        }
    }

    /// Whether there is more to accept now.
    pub(super) const fn can_accept(&self) -> bool {
        self.acceptor.can_accept()
    }

    /// When [`Self::serve`] must be called next, if no event comes first.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.scrapers.iter().map(|(_, scraper)| scraper.until).chain(self.acceptor.again).min()
    }

    /// Counts the duration of a turn of the loop.
    pub(super) fn observe_turn(&mut self, duration: Duration) {
        self.turns.observe(duration);
    }

    /// Accepts connections, and serves each that is ready or overdue. `numbers` is asked for each request of
    /// the metrics. Returns what went wrong in accepting, for the log.
    pub(super) fn serve<'s>(
        &mut self,
        now: Moment,
        registry: &Registry,
        buffer: &mut [u8],
        numbers: impl Fn() -> (ServerMetrics<'s>, ShellMetrics),
    ) -> Option<LogEvent> {
        let failure = self.accept(now, registry);
        let Self { scrapers, turns, .. } = self;
        let encode = || {
            let (server, shell) = numbers();
            exposition::encode(&server, &shell, turns)
        };
        scrapers.retain(|_, scraper| scraper.serve(now, buffer, &encode));
        failure
    }

    fn accept(&mut self, now: Moment, registry: &Registry) -> Option<LogEvent> {
        self.acceptor.tick(now);
        let mut failure = None;
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.acceptor.can_accept() {
                break;
            }
            match self.listener.accept() {
                Ok((stream, _)) if self.scrapers.len() < SCRAPERS_MAX => self.welcome(now, stream, registry),
                // Above the limit it is closed at once.
                Ok(_) => {}
                Err(error) => failure = self.acceptor.failed(now, &error),
            }
        }
        failure
    }

    fn welcome(&mut self, now: Moment, mut stream: TcpStream, registry: &Registry) {
        let place = self.scrapers.vacant_entry();
        let interests = Interest::READABLE | Interest::WRITABLE;
        // If it fails, the kernel has no memory for another registration, and the connection is closed.
        if registry.register(&mut stream, token_of(place.key()), interests).is_ok() {
            place.insert(Scraper::new(stream, now));
        }
    }
}

impl AsFd for Metrics {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// One connection. It has one request: the response ends it.
struct Scraper {
    stream: TcpStream,
    head: HeadReader,
    /// Bytes received so far.
    received: usize,
    /// Empty until the request is complete.
    response: Vec<u8>,
    sent: usize,
    /// The peer sends nothing more.
    has_ended: bool,
    /// There was an event since it was last served.
    is_ready: bool,
    until: Moment,
}

impl Scraper {
    fn new(stream: TcpStream, now: Moment) -> Self {
        Self {
            stream,
            head: HeadReader::default(),
            received: 0,
            response: Vec::new(),
            sent: 0,
            has_ended: false,
            // What came with the connection is read in the same turn.
            is_ready: true,
            until: now.after(SCRAPE_TIMEOUT),
        }
    }

    /// Reads and writes what can be. Returns whether the connection stays open.
    fn serve(&mut self, now: Moment, buffer: &mut [u8], encode: &dyn Fn() -> String) -> bool {
        if self.until <= now {
            // Half a head gets a response, silence gets none.
            if !self.response.is_empty() || !self.head.has_begun() {
                return false;
            }
            Refusal::Timeout.write(&mut self.response);
            self.until = now.after(DRAIN_TIMEOUT);
        } else if !std::mem::take(&mut self.is_ready) {
            return true;
        }
        self.read(buffer, encode) && self.write(now)
    }

    /// Reads until it would block, which [`SCRAPE_BYTES_MAX`] bounds. What follows the request is discarded:
    /// closing a socket with unread bytes resets it, and could destroy the response.
    fn read(&mut self, buffer: &mut [u8], encode: &dyn Fn() -> String) -> bool {
        while !self.has_ended {
            match self.stream.read(buffer) {
                Ok(0) => self.has_ended = true,
                Ok(bytes) => {
                    self.received = self.received.saturating_add(bytes);
                    if self.received > SCRAPE_BYTES_MAX {
                        return false;
                    }
                    if self.response.is_empty() {
                        self.take(&buffer[..bytes], encode);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn take(&mut self, bytes: &[u8], encode: &dyn Fn() -> String) {
        match self.head.read(bytes) {
            (_, None) => {}
            (_, Some(Ok(request))) => answer(request, encode, &mut self.response),
            (_, Some(Err(error))) => Refusal::from(error).write(&mut self.response),
        }
    }

    /// Writes until it would block. After the last byte the peer has a moment to close.
    fn write(&mut self, now: Moment) -> bool {
        if self.response.is_empty() {
            return !self.has_ended;
        }
        while let Some(unsent) = self.response.get(self.sent..).filter(|unsent| !unsent.is_empty()) {
            match self.stream.write(unsent) {
                Ok(0) => return false,
                Ok(bytes) => self.sent = self.sent.saturating_add(bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return false,
            }
            if self.sent >= self.response.len() {
                self.until = self.until.min(now.after(DRAIN_TIMEOUT));
                if self.stream.shutdown(Shutdown::Write).is_err() {
                    return false;
                }
            }
        }
        !self.has_ended
    }
}

fn token_of(slot: usize) -> Token {
    Token(FIRST_SCRAPER.saturating_add(slot))
}

fn slot_of(token: Token) -> Option<usize> {
    token.0.checked_sub(FIRST_SCRAPER)
}

/// Whether an event is about the metrics. Slots of the chat's sockets are far below.
pub(super) const fn is_own(token: Token) -> bool {
    token.0 >= LISTENER.0 && token.0 < FIRST_SCRAPER + SCRAPERS_MAX
}

const LISTENER: Token = Token(usize::MAX / 2);
const FIRST_SCRAPER: usize = LISTENER.0 + 1;
