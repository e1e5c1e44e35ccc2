//! Somebody who comes while others are being served: one login or one page at a time, and how long each
//! takes.

use crate::fleet::{AUTH_ACK, UPGRADE, head_len, resume};
use crate::target::Target;
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Asks again and again, with pauses.
pub(crate) struct Newcomer {
    /// Its own, so that its sockets do not wait behind those of the members.
    poll: Poll,
    events: Events,
    address: SocketAddr,
    resume: Vec<u8>,
    page_bytes: usize,
    visit: Option<Visit>,
    asks_for: Ask,
    next: Instant,
    /// From the start of connecting to the word that lets one in, in nanoseconds.
    pub(crate) logins: Histogram<u64>,
    /// From the start of connecting to the last byte of the page.
    pub(crate) pages: Histogram<u64>,
}

struct Visit {
    stream: TcpStream,
    start: Instant,
    has_asked: bool,
    heard: Vec<u8>,
    /// Where the answer to the second request begins, once that is sent.
    resumed_at: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Login,
    Page,
}

impl Newcomer {
    pub(crate) fn new(target: &Target, token: &str, page_bytes: usize) -> Self {
        let histogram = || Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("three digits are allowed");
        Self {
            poll: Poll::new().expect("the system can poll"),
            events: Events::with_capacity(8),
            address: target.address,
            resume: resume(token),
            page_bytes,
            visit: None,
            asks_for: Ask::Login,
            next: Instant::now(),
            logins: histogram(),
            pages: histogram(),
        }
    }

    /// Goes on as far as that is possible without waiting.
    pub(crate) fn turn(&mut self) {
        if self.visit.is_none() {
            if Instant::now() < self.next {
                return;
            }
            self.visit = Some(self.connect());
        }
        self.poll.poll(&mut self.events, Some(Duration::ZERO)).expect("the system can poll");
        if self.events.is_empty() {
            return;
        }
        let Some(visit) = &mut self.visit else { return };
        let is_done = match self.asks_for {
            Ask::Login => visit.log_in(&self.resume),
            Ask::Page => visit.fetch(self.page_bytes),
        };
        if is_done {
            let took = u64::try_from(visit.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let (latencies, next) = match self.asks_for {
                Ask::Login => (&mut self.logins, Ask::Page),
                Ask::Page => (&mut self.pages, Ask::Login),
            };
            latencies.saturating_record(took);
            (self.visit, self.asks_for, self.next) = (None, next, Instant::now() + PAUSE);
        }
    }

    fn connect(&self) -> Visit {
        let start = Instant::now();
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket has the option");
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(0), interest).expect("the system can poll it");
        Visit { stream, start, has_asked: false, heard: Vec::new(), resumed_at: None }
    }
}

impl Visit {
    /// Whether it is in.
    fn log_in(&mut self, resume: &[u8]) -> bool {
        self.ask(UPGRADE);
        self.read();
        if self.resumed_at.is_none()
            && let Some(end) = head_len(&self.heard)
        {
            self.stream.write_all(resume).expect("a new socket takes a few bytes");
            self.resumed_at = Some(end);
        }
        self.resumed_at
            .is_some_and(|at| self.heard[at..].windows(AUTH_ACK.len()).any(|part| part == AUTH_ACK))
    }

    /// Whether the page is there.
    fn fetch(&mut self, page_bytes: usize) -> bool {
        self.ask(PAGE);
        self.read();
        self.heard.len() >= page_bytes
    }

    fn ask(&mut self, request: &[u8]) {
        if !self.has_asked {
            self.has_asked = true;
            self.stream.write_all(request).expect("a new socket takes a few bytes");
        }
    }

    fn read(&mut self) {
        let mut chunk = [0; 16 << 10];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => panic!("the server turned a newcomer away"),
                Ok(read) => self.heard.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a newcomer was cut off: {error}"),
            }
        }
    }
}

/// Bytes of the answer to a request for the page, head and all.
pub(crate) fn page_bytes(target: &Target) -> usize {
    let mut stream = std::net::TcpStream::connect(target.address).expect("the server listens");
    stream.write_all(PAGE_ONCE).expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers and closes");
    // The other request gets no word about closing.
    answer.len() - CLOSE_HEADER_BYTES
}

const PAGE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const PAGE_ONCE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const CLOSE_HEADER_BYTES: usize = b"Connection: close\r\n".len();
/// Between two visits, so that they are no load themselves.
const PAUSE: Duration = Duration::from_millis(3);
/// Ten seconds: what takes longer is lost.
const LATENCY_NS_MAX: u64 = 10_000_000_000;
