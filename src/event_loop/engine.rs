//! The sockets of the connections to the engine, for [`Connections`], which knows what goes over them.
//! Connects, reads and writes without blocking; of what has come it takes a share in each turn, so that a
//! flood of entries leaves time for clients.

use super::resolver::Resolver;
use super::stream::Stream;
use crate::base::time::Moment;
use crate::config::{RedisPlace, RedisUrl};
use crate::engine::{Ask, Say};
use crate::limits::{ENGINE_READS_PER_TURN, ENGINE_REPLY_TIMEOUT};
use crate::log_event::LogEvent;
use crate::redis::{Action, Connections, EngineError, Side};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// The engine, as the event loop sees it.
pub(super) struct Engine {
    connections: Connections,
    place: Place,
    writer: Option<Socket>,
    tail: Option<Socket>,
    said: VecDeque<Say>,
    /// What is to be logged.
    events: VecDeque<LogEvent>,
    /// What the log knows of the connection.
    logged: Logged,
}

/// Where the engine is.
enum Place {
    Unix(PathBuf),
    Host {
        resolver: Resolver,
        /// The host is an address: nothing is to be asked for.
        fixed: Option<IpAddr>,
        port: u16,
        /// Its addresses are asked for.
        is_asked: bool,
        /// Addresses that are left to try.
        addresses: VecDeque<SocketAddr>,
        /// The address of the writer, which is the one of the tail.
        current: Option<SocketAddr>,
        try_next: Option<Moment>,
    },
}

struct Socket {
    stream: Stream,
    is_connected: bool,
    is_readable: bool,
    is_writable: bool,
}

#[derive(PartialEq, Eq)]
enum Logged {
    Nothing,
    Connected,
    Lost(EngineError),
}

impl Engine {
    /// There is no connection yet. `wake` wakes the loop.
    pub(super) fn new(url: RedisUrl, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let connections = Connections::new(&url);
        let place = match url.place {
            RedisPlace::Unix(path) => Place::Unix(path),
            RedisPlace::Tcp { host, port } => Place::Host {
                fixed: host.parse().ok(),
                resolver: Resolver::new(host, port, Arc::new(wake)),
                port,
                is_asked: false,
                addresses: VecDeque::new(),
                current: None,
                try_next: None,
            },
        };
        Self {
            connections,
            place,
            writer: None,
            tail: None,
            said: VecDeque::new(),
            events: VecDeque::new(),
            logged: Logged::Nothing,
        }
    }

    pub(super) fn ask(&mut self, now: Moment, ask: Ask) {
        self.connections.ask(now, ask);
    }

    pub(super) fn next_said(&mut self) -> Option<Say> {
        self.said.pop_front()
    }

    pub(super) fn next_event(&mut self) -> Option<LogEvent> {
        self.events.pop_front()
    }

    /// Takes an event of a socket.
    pub(super) fn mark(&mut self, event: &mio::event::Event) {
        let socket = if event.token() == WRITER { &mut self.writer } else { &mut self.tail };
        if let Some(socket) = socket {
            let is_broken = event.is_error();
            socket.is_readable |= event.is_readable() || event.is_read_closed() || is_broken;
            socket.is_writable |= event.is_writable() || is_broken;
        }
    }

    /// Whether there is work to do without waiting for an event.
    pub(super) fn has_more(&self) -> bool {
        let is_ready = |(side, socket): (Side, &Option<Socket>)| {
            socket.as_ref().is_some_and(|socket| {
                let has_unsent = !self.connections.unsent(side).is_empty();
                socket.is_connected && (socket.is_readable || socket.is_writable && has_unsent)
            })
        };
        !self.said.is_empty()
            || [(Side::Writer, &self.writer), (Side::Tail, &self.tail)].into_iter().any(is_ready)
    }

    /// The next time at which [`Self::serve`] must be called.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let try_next = match &self.place {
            Place::Host { try_next, .. } => *try_next,
            Place::Unix(_) => None,
        };
        [try_next, self.connections.next_deadline()].into_iter().flatten().min()
    }

    /// Reads, writes and connects, as far as it goes at once, up to a turn's share.
    pub(super) fn serve(&mut self, now: Moment, registry: &Registry, buffer: &mut [u8]) {
        self.take_addresses(now, registry);
        // Before the deadlines: what has come in time counts, also if this turn comes late.
        for side in SIDES {
            self.finish_connecting(now, registry, side);
            self.read(now, side, buffer);
        }
        self.connections.tick(now);
        self.flush(now, registry);
    }

    /// Does what was asked, as far as it goes at once.
    pub(super) fn flush(&mut self, now: Moment, registry: &Registry) {
        self.act(now, registry);
        for side in SIDES {
            self.write(side);
        }
        self.act(now, registry);
    }

    /// Sends what can be sent, and nothing after it: the process ends.
    pub(super) fn finish(&mut self) {
        for side in SIDES {
            self.write(side);
            if let Some(socket) = self.socket(side) {
                // Fails if the engine is gone.
                let _gone = socket.stream.shutdown(Shutdown::Write);
            }
        }
    }

    fn act(&mut self, now: Moment, registry: &Registry) {
        while let Some(action) = self.connections.poll() {
            match action {
                Action::Connect(Side::Writer) => {
                    self.disconnect();
                    self.connect_writer(now, registry);
                }
                Action::Connect(Side::Tail) => {
                    let stream = match &self.place {
                        Place::Unix(path) => UnixStream::connect(path).map(Stream::Unix).ok(),
                        Place::Host { current, .. } => {
                            current.and_then(|address| TcpStream::connect(address).map(Stream::Tcp).ok())
                        }
                    };
                    self.tail = stream.and_then(|stream| Socket::new(stream, registry, TAIL));
                    self.expect_socket(now, Side::Tail);
                }
                Action::Say(say) => {
                    if matches!(say, Say::Checked { .. }) && self.logged != Logged::Connected {
                        self.logged = Logged::Connected;
                        self.events.push_back(LogEvent::EngineConnected);
                    }
                    self.said.push_back(say);
                }
                Action::Lose(error) => {
                    self.disconnect();
                    if self.logged != Logged::Lost(error) {
                        self.logged = Logged::Lost(error);
                        self.events.push_back(LogEvent::EngineLost(error));
                    }
                    self.said.push_back(Say::Lost);
                }
            }
        }
    }

    fn disconnect(&mut self) {
        self.writer = None;
        self.tail = None;
        if let Place::Host { is_asked, addresses, current, try_next, .. } = &mut self.place {
            *is_asked = false;
            addresses.clear();
            *current = None;
            *try_next = None;
        }
    }

    fn connect_writer(&mut self, now: Moment, registry: &Registry) {
        match &mut self.place {
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).map(Stream::Unix).ok();
                self.writer = stream.and_then(|stream| Socket::new(stream, registry, WRITER));
                self.expect_socket(now, Side::Writer);
            }
            Place::Host { fixed: Some(ip), port, addresses, .. } => {
                addresses.push_back(SocketAddr::new(*ip, *port));
                self.try_address(now, registry);
            }
            Place::Host { resolver, is_asked, .. } => {
                *is_asked = resolver.ask();
                if !*is_asked {
                    self.connections.fail(EngineError::NoHost);
                }
            }
        }
    }

    /// The socket of a Unix socket is connected at once, or there is none.
    fn expect_socket(&mut self, now: Moment, side: Side) {
        match self.socket(side).map(|socket| matches!(socket.stream, Stream::Unix(_))) {
            None => self.connections.fail(EngineError::Unreachable),
            Some(true) => self.connected(now, side),
            Some(false) => {}
        }
    }

    fn connected(&mut self, now: Moment, side: Side) {
        if let Some(socket) = self.socket(side) {
            socket.is_connected = true;
            // Only costs time if it fails.
            let _slow = socket.stream.set_nodelay();
            self.connections.connected(now, side);
        }
    }

    /// Takes the addresses that were asked for, and tries the next one if it is time to.
    fn take_addresses(&mut self, now: Moment, registry: &Registry) {
        let Place::Host { resolver, is_asked, addresses, try_next, .. } = &mut self.place else { return };
        if let Some(found) = resolver.answer()
            && std::mem::take(is_asked)
        {
            if found.is_empty() {
                self.connections.fail(EngineError::NoHost);
            } else {
                addresses.extend(found);
                self.try_address(now, registry);
            }
        } else if try_next.is_some_and(|next| next <= now) {
            self.try_address(now, registry);
        }
    }

    /// Connects to the next address. Each but the last has a share of the time.
    fn try_address(&mut self, now: Moment, registry: &Registry) {
        self.writer = None;
        let Place::Host { addresses, current, try_next, .. } = &mut self.place else { return };
        *try_next = None;
        while let Some(address) = addresses.pop_front() {
            let socket = TcpStream::connect(address).map(Stream::Tcp).ok();
            self.writer = socket.and_then(|stream| Socket::new(stream, registry, WRITER));
            if self.writer.is_some() {
                *current = Some(address);
                let left = u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_add(1);
                *try_next = (left > 1).then(|| now.after(ENGINE_REPLY_TIMEOUT / 2 / left));
                return;
            }
        }
        self.connections.fail(EngineError::Unreachable);
    }

    /// Sees whether a connection is made, or has failed, when its socket reports something.
    fn finish_connecting(&mut self, now: Moment, registry: &Registry, side: Side) {
        let Some(socket) = self.socket(side).filter(|socket| !socket.is_connected) else { return };
        if !socket.is_writable && !socket.is_readable {
            return;
        }
        match socket.stream.connection() {
            Ok(true) => {
                if let Place::Host { try_next, .. } = &mut self.place {
                    *try_next = None;
                }
                self.connected(now, side);
            }
            Ok(false) => socket.is_writable = false,
            Err(_) if side == Side::Writer => self.try_address(now, registry),
            Err(_) => self.connections.fail(EngineError::Unreachable),
        }
    }

    fn read(&mut self, now: Moment, side: Side, buffer: &mut [u8]) {
        for _ in 0..ENGINE_READS_PER_TURN {
            let Some(socket) = self.socket(side).filter(|socket| socket.is_connected && socket.is_readable)
            else {
                return;
            };
            match socket.stream.read(buffer) {
                Ok(0) => {
                    socket.is_readable = false;
                    self.connections.fail(EngineError::BrokenOff);
                }
                Ok(bytes) => self.connections.received(now, side, buffer.get(..bytes).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => socket.is_readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    socket.is_readable = false;
                    self.connections.fail(EngineError::BrokenOff);
                }
            }
        }
    }

    fn write(&mut self, side: Side) {
        for _ in 0..ENGINE_READS_PER_TURN {
            let Self { connections, writer, tail, .. } = self;
            let socket = if side == Side::Writer { writer } else { tail };
            let unsent = connections.unsent(side);
            let Some(socket) = socket.as_mut().filter(|socket| socket.is_connected && socket.is_writable)
            else {
                return;
            };
            if unsent.is_empty() {
                return;
            }
            match socket.stream.write(unsent) {
                Ok(bytes) => connections.wrote(side, bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => socket.is_writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What the engine has said before it closed the connection says why, and is read next.
                Err(_) => {
                    socket.is_writable = false;
                    socket.is_readable = true;
                    return;
                }
            }
        }
    }

    fn socket(&mut self, side: Side) -> Option<&mut Socket> {
        match side {
            Side::Writer => self.writer.as_mut(),
            Side::Tail => self.tail.as_mut(),
        }
    }
}

impl Socket {
    /// `None`: the kernel has no memory for another registration.
    fn new(mut stream: Stream, registry: &Registry, token: Token) -> Option<Self> {
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).ok()?;
        // A Unix socket is connected already, and whether it is writable is tried out.
        let is_writable = matches!(stream, Stream::Unix(_));
        Some(Self { stream, is_connected: false, is_readable: false, is_writable })
    }
}

/// Whether an event is about a connection to the engine.
pub(super) const fn is_own(token: Token) -> bool {
    token.0 == WRITER.0 || token.0 == TAIL.0
}

const SIDES: [Side; 2] = [Side::Writer, Side::Tail];
const WRITER: Token = Token(usize::MAX - 3);
const TAIL: Token = Token(usize::MAX - 4);

#[cfg(test)]
mod tests;
