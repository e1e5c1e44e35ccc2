//! Many members in one thread: they log in, say lines and count what is delivered.
//!
//! Cheap by intent: edge-triggered polling, one large read buffer, and frames that are counted where they
//! lie. What is kept of a member is its socket, how far its login is, and the start of a frame that has not
//! come whole.

use crate::frames::{self, Line, PING, TEXT};
use crate::target::{Kind, Target};
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Members of one room, and what they have heard.
pub(crate) struct Fleet {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    buffer: Box<[u8]>,
    address: SocketAddr,
    resume: Vec<u8>,
    line: Line,
    start: Instant,
    next_talker: usize,
    /// Members who are on their way in.
    entering: usize,
    /// Lines said in all.
    pub(crate) said: u64,
    /// Lines delivered in all, to all.
    pub(crate) delivered: u64,
    /// Deliveries that are still to come, as far as nobody was cut off.
    pub(crate) owed: isize,
    /// From the moment at which a line was due to its delivery, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    /// One delivery of so many is looked at for its latency. Zero: none.
    pub(crate) sample_every: u64,
    /// Connections that ended although nobody wanted that.
    pub(crate) lost: usize,
    /// Time in which nothing came: how much more the load could have done.
    pub(crate) idle: Duration,
}

struct Member {
    /// `None`: it is gone.
    stream: Option<TcpStream>,
    stage: Stage,
    /// The start of a frame that has not come whole.
    partial: Vec<u8>,
    /// What its socket did not take of what it says.
    unsaid: VecDeque<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Upgrading,
    Resuming,
    In,
}

impl Fleet {
    /// Logs `members` in with one session; gives them and how long that took.
    pub(crate) fn log_in(target: &Target, token: &str, members: usize) -> (Self, Duration) {
        let mut fleet = Self {
            poll: Poll::new().expect("the system can poll"),
            events: Events::with_capacity(EVENTS_MAX),
            members: Vec::with_capacity(members),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            address: target.address,
            resume: resume(token),
            line: target.kind.line(),
            start: Instant::now(),
            next_talker: 0,
            entering: 0,
            said: 0,
            delivered: 0,
            owed: 0,
            latencies: Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("three digits are allowed"),
            sample_every: 0,
            lost: 0,
            idle: Duration::ZERO,
        };
        let start = Instant::now();
        fleet.fill(members);
        let took = start.elapsed();
        (fleet, took)
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The time on the clock of the stamps.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Logs in those who are missing, a few at a time.
    pub(crate) fn fill(&mut self, members: usize) {
        for slot in 0..members {
            if self.members.get(slot).is_none_or(|member| member.stream.is_none()) {
                self.connect(slot);
            }
            while self.entering >= LOGINS_AT_ONCE {
                self.pump(POLL_MAX);
            }
        }
        while self.entering > 0 {
            self.pump(POLL_MAX);
        }
        let is_in = |member: &Member| member.stream.is_some() && member.stage == Stage::In;
        assert!(self.members.iter().all(is_in), "everybody with the token is let in");
        (self.lost, self.owed) = (0, 0);
    }

    fn connect(&mut self, slot: usize) {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket has the option");
        let registry = self.poll.registry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(slot), interest).expect("the system can poll it");
        let member = Member {
            stream: Some(stream),
            stage: Stage::Connecting,
            partial: Vec::new(),
            unsaid: VecDeque::new(),
        };
        match self.members.get_mut(slot) {
            Some(place) => *place = member,
            None => self.members.push(member),
        }
        self.entering += 1;
    }

    /// Says lines, all by the next member whose turn it is.
    pub(crate) fn say(&mut self, stamps_ns: impl Iterator<Item = u64>) {
        let members = self.members.len();
        let talker = &mut self.members[self.next_talker % members.min(TALKERS_MAX)];
        self.next_talker += 1;
        let mut bytes = Vec::new();
        for stamp in stamps_ns {
            self.line.write(stamp, &mut bytes);
            self.said += 1;
            self.owed += members.cast_signed();
        }
        talker.unsaid.extend(bytes);
        talker.flush();
    }

    /// Takes what has come, or waits for it at most so long.
    pub(crate) fn pump(&mut self, wait: Duration) {
        let before = Instant::now();
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            result => result.expect("the system can poll"),
        }
        if self.events.is_empty() {
            self.idle += before.elapsed();
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.serve(event.token().0, event.is_writable());
        }
        self.events = events;
    }

    fn serve(&mut self, slot: usize, is_writable: bool) {
        let member = &mut self.members[slot];
        if is_writable {
            if member.stage == Stage::Connecting {
                member.send(UPGRADE);
                member.stage = Stage::Upgrading;
            }
            member.flush();
        }
        loop {
            let member = &mut self.members[slot];
            let Some(stream) = &mut member.stream else { return };
            let had = member.partial.len();
            self.buffer[..had].copy_from_slice(&member.partial);
            match stream.read(&mut self.buffer[had..]) {
                Ok(read) if read > 0 => {
                    self.hear(slot, had + read);
                    // epoll(7): a short read of a stream has emptied it.
                    if had + read < self.buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {
                    self.entering -= usize::from(member.stage != Stage::In);
                    member.stream = None;
                    self.lost += 1;
                    return;
                }
            }
        }
    }

    /// Takes the first bytes of the buffer, which a member has received.
    fn hear(&mut self, slot: usize, len: usize) {
        let member = &mut self.members[slot];
        let mut used = 0;
        if member.stage == Stage::Upgrading {
            let Some(end) = head_len(&self.buffer[..len]) else {
                member.partial = self.buffer[..len].to_vec();
                return;
            };
            used = end;
            member.send(&self.resume);
            member.stage = Stage::Resuming;
        }
        while let Some((opcode, payload, frame_len)) = frames::first(&self.buffer[used..len]) {
            match opcode {
                TEXT if member.stage == Stage::In => {
                    let lines = if self.sample_every == 0 {
                        frames::alike(&self.buffer[used..len], frame_len)
                    } else {
                        1
                    };
                    self.delivered += lines as u64;
                    self.owed -= lines.cast_signed();
                    used += lines * frame_len;
                    if self.sample_every > 0
                        && self.delivered.is_multiple_of(self.sample_every)
                        && let Some(stamp) = frames::stamp(payload)
                    {
                        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                        self.latencies.saturating_record(now.saturating_sub(stamp));
                    }
                    continue;
                }
                TEXT if payload.starts_with(AUTH_ACK) => {
                    member.stage = Stage::In;
                    self.entering -= 1;
                }
                PING => member.send(&frames::pong()),
                _ => {}
            }
            used += frame_len;
        }
        member.partial.clear();
        member.partial.extend_from_slice(&self.buffer[used..len]);
    }
}

impl Member {
    fn send(&mut self, bytes: &[u8]) {
        self.unsaid.extend(bytes);
        self.flush();
    }

    /// Writes what is left to say. What goes wrong shows itself when the socket is read.
    fn flush(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        while !self.unsaid.is_empty() {
            match stream.write(self.unsaid.make_contiguous()) {
                Ok(taken) => drop(self.unsaid.drain(..taken)),
                Err(_) => return,
            }
        }
    }
}

/// Logs in with a code, once; gives the session token.
pub(crate) fn token(target: &Target) -> String {
    if target.kind == Kind::Floor {
        return String::new();
    }
    let mut stream = std::net::TcpStream::connect(target.address).expect("the server listens");
    let mut said = Vec::new();
    let mut wait_for = |stream: &mut std::net::TcpStream, part: &str| {
        let mut chunk = [0; 4_096];
        loop {
            let text = String::from_utf8_lossy(&said);
            if let Some((_, rest)) = text.split_once(part) {
                return rest.split('"').next().unwrap_or_default().to_owned();
            }
            let read = stream.read(&mut chunk).expect("the server answers");
            assert!(read > 0, "the server ended instead of saying {part}");
            said.extend_from_slice(&chunk[..read]);
        }
    };
    stream.write_all(UPGRADE).expect("the server reads");
    let hello = format!(r#"{{"type":0,"text":"{}\n{}@example.org"}}"#, frames::NAME, frames::NAME);
    stream.write_all(&frames::masked(&hello)).expect("the server reads");
    wait_for(&mut stream, r#"{"type":0"#);
    let auth = format!(r#"{{"type":2,"text":"{}"}}"#, target.code());
    stream.write_all(&frames::masked(&auth)).expect("the server reads");
    let name = frames::NAME;
    wait_for(&mut stream, &format!(r#"{{"type":3,"user":{{"name":"{name}"}},"text":""#))
}

/// What lets a member in: without history, as of one who has seen all.
pub(crate) fn resume(token: &str) -> Vec<u8> {
    frames::masked(&format!(r#"{{"type":7,"text":"{token}","after":9007199254740991}}"#))
}

/// The length of the head of an answer, if it is all there.
pub(crate) fn head_len(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Asks for a WebSocket.
pub(crate) const UPGRADE: &[u8] =
    b"GET /connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// How the message begins that says that somebody is in.
pub(crate) const AUTH_ACK: &[u8] = br#"{"type":3"#;
/// Members that take turns in speaking.
const TALKERS_MAX: usize = 8;
/// Logins at once: enough to keep the server busy, few enough for its listener.
const LOGINS_AT_ONCE: usize = 64;
const EVENTS_MAX: usize = 256;
/// Ten seconds: what takes longer is lost.
const LATENCY_NS_MAX: u64 = 10_000_000_000;
const BUFFER_BYTES: usize = 512 << 10;
const POLL_MAX: Duration = Duration::from_millis(100);
