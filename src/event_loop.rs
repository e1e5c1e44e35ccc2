//! The event loop around the sans-I/O server: turns readiness into inputs and outputs into system calls. Owns
//! sockets, clocks and signals, and is the only user of mio; it decides nothing about clients and never
//! parses a byte of theirs. Its parts: `listener` (where connections come from), `acceptor` (when they are
//! accepted), `stream` (a connection over TCP or a Unix socket), `metrics` (the listener for monitoring, if
//! there is one), `engine` (the connections to the engine of a shared log, if there is one) with `resolver`
//! (asks for its addresses), `clock`, and `handover` (how everything moves to the next process).
//!
//! One thread, one loop. Each turn:
//! 1. poll: sleep until an event or the next deadline;
//! 2. mark sockets as readable or writable: each is registered once, edge-triggered, for both;
//! 3. pass the results of login emails, and failures of the disk, to the server;
//! 4. read a share from each readable socket that the server wants to read;
//! 5. read a share from the engine, and pass what it says to the server;
//! 6. tick: after the reads, so that no client is judged for silence while its bytes are unread;
//! 7. carry out the server's outputs; after a share of writes start the next turn without sleeping;
//!    then send what was asked of the engine;
//! 8. report to the service manager, if that is due;
//! 9. move on to the next process, if SIGUSR2 has asked for it and that is able to take over;
//! 10. accept new connections, even when the server is full: it refuses those over the limit, so that they
//!     do not fill the listen backlog and delay other clients;
//! 11. serve the connections to the metrics.
//!
//! Work is derived from state, never armed by hand: a socket is served while it is readable and the server
//! wants to read it, or when it is writable again after it was full.

mod acceptor;
pub mod clock;
mod engine;
mod handover;
mod listener;
mod metrics;
mod resolver;
mod stream;

use handover::Moving;
pub use handover::{Arrival, MovedState};
pub use listener::{Address, Passed};

use crate::base::time::Moment;
use crate::config::{Listen, RedisUrl};
use crate::data_dir::{Entries, KEY_BYTES, Keeper, Report};
use crate::handover::{Successor, release_signals};
use crate::ids::ClientId;
use crate::kept::{RestoreError, Restored};
use crate::limits::{
    ACCEPTS_PER_TURN, PACKET_BYTES_MAX, READ_SHARE_BYTES, READS_PER_TURN, TICK_INTERVAL_MAX,
    UNSENT_BYTES_MAX, WRITES_PER_TURN,
};
use crate::log_event::{LogEvent, MoveError, SystemCalls};
use crate::logger::Logger;
use crate::mail::Mailer;
use crate::server::{Input, Output, Server};
use crate::service_manager::ServiceManager;
use acceptor::Acceptor;
use engine::Engine;
use listener::Listener;
use metrics::{Metrics, ShellMetrics};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2, SIGXFSZ};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use stream::Stream;

/// The event loop with all I/O resources. Made by [`Listening::split`].
pub struct EventLoop {
    server: Server,
    mailer: Mailer,
    /// `None` if nothing outlives the process.
    keeper: Option<Keeper>,
    /// `None` if the room is not shared.
    engine: Option<Box<Engine>>,
    logger: Logger,
    service_manager: ServiceManager,
    poll: Poll,
    signals: Signals,
    /// `None` once shutdown has begun.
    listener: Option<Listener>,
    metrics: Option<Metrics>,
    sockets: Slab<Socket>,
    next_serial: u64,
    /// The program that takes over on SIGUSR2.
    successor: Successor,
    /// A move was requested.
    moving: Option<Moving>,
    /// The move that brought the server here: its duration in milliseconds, and the connections it kept.
    moved: (u64, usize),
    ending: Ending,
    /// Slots of sockets to serve.
    queue: VecDeque<usize>,
    acceptor: Acceptor,
    /// Whether the server had outputs left when the turn's share of writes was used up.
    has_more: bool,
    ticked: Moment,
    /// When the loop was made, in milliseconds since 1970 UTC.
    start_ms: u64,
    buffer: Box<[u8]>,
    calls: SystemCalls,
    /// Bytes that sockets took.
    written_bytes: u64,
}

#[expect(clippy::struct_excessive_bools, reason = "four facts that are independent of each other")]
struct Socket {
    stream: Stream,
    id: ClientId,
    is_readable: bool,
    is_writable: bool,
    /// Whether a short read does not prove that the socket is empty: the peer's FIN has arrived or is on its
    /// way, or the peer has sent urgent data, at whose mark a read ends early (tcp(7)), or it is a Unix
    /// socket. Once set, each read continues until it would block.
    reads_until_blocked: bool,
    is_queued: bool,
    /// The socket is full, and its unsent limit is raised by one packet so that it can be filled completely
    /// and probed.
    is_probed: bool,
}

/// How the loop has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// On a signal.
    Stopped,
    /// The service manager has everything, and starts the next process.
    Moved,
    /// As on a signal, because a move has failed.
    MoveFailed(MoveError),
}

/// Listening sockets and signals, before there is a loop: everything that can fail at start.
pub struct Listening {
    poll: Poll,
    listener: Listener,
    metrics: Option<Metrics>,
    signals: Signals,
    waker: Waker,
    /// Why it does not listen where the settings say.
    failure: Option<io::Error>,
}

impl Listening {
    /// Binds the address, or takes over the socket that was passed instead, or that of the process before,
    /// also if the address is another one and cannot be bound; and takes SIGTERM, SIGINT, SIGHUP and SIGUSR2.
    ///
    /// # Errors
    /// If the address is in use or not local, the passed socket does not listen, or a system call fails.
    pub fn start(listen: &Listen, passed: Option<Passed>, arrival: Option<&mut Arrival>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGXFSZ])?;
        release_signals();
        let moved = arrival.and_then(|arrival| arrival.listener(listen));
        let (mut listener, failure) = match (passed, moved) {
            (Some(passed), _) => (Listener::take(passed, listen)?, None),
            (None, Some((moved, true))) => (moved, None),
            (None, Some((moved, false))) => moved.move_to(listen)?,
            (None, None) => (Listener::bind(listen)?, None),
        };
        listener.register(poll.registry(), LISTENER)?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        Ok(Self { poll, listener, metrics: None, signals, waker, failure })
    }

    /// Binds the address for metrics, too, or takes over their listener, and gives the address with the
    /// actual port.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn serve_metrics(
        &mut self,
        address: SocketAddr,
        arrival: Option<&mut Arrival>,
    ) -> io::Result<SocketAddr> {
        let registry = self.poll.registry();
        let moved = arrival.and_then(|arrival| arrival.metrics(address, registry));
        let metrics = moved.map_or_else(|| Metrics::bind(address, registry), Ok)?;
        let address = metrics.address()?;
        self.metrics = Some(metrics);
        Ok(address)
    }

    /// Why it listens where the process before did, and not where the settings say, if that is so.
    #[must_use]
    pub const fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    /// Whether the service manager has bound the address.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        self.listener.is_passed()
    }

    /// The bound address, with the actual port if port 0 was requested.
    ///
    /// # Errors
    /// If getsockname(2) fails.
    pub fn address(&self) -> io::Result<Address> {
        self.listener.address()
    }

    /// Splits off the waker, which other threads use, from a function that starts the loop.
    pub fn split(
        self,
    ) -> (Waker, impl FnOnce(Server, Mailer, Logger, ServiceManager, Successor) -> EventLoop) {
        let Self { poll, listener, metrics, signals, waker, .. } = self;
        let start = move |server, mailer, logger, service_manager, successor| EventLoop {
            server,
            mailer,
            keeper: None,
            engine: None,
            logger,
            service_manager,
            poll,
            signals,
            listener: Some(listener),
            metrics,
            sockets: Slab::new(),
            next_serial: 0,
            successor,
            moving: None,
            moved: (0, 0),
            ending: Ending::Stopped,
            queue: VecDeque::new(),
            acceptor: Acceptor::default(),
            has_more: false,
            ticked: Moment::from_ms(0),
            start_ms: clock::now().wall_ms,
            buffer: vec![0; READ_SHARE_BYTES].into_boxed_slice(),
            calls: SystemCalls::default(),
            written_bytes: 0,
        };
        (waker, start)
    }
}

impl EventLoop {
    /// Restores the server from what outlived the last process, and hands what changes to the keeper from now
    /// on. To be called before [`run`](Self::run).
    ///
    /// # Errors
    /// If an entry cannot be read.
    pub fn restore(
        &mut self,
        key: [u8; KEY_BYTES],
        entries: Entries,
        keeper: Keeper,
    ) -> Result<Restored, RestoreError> {
        let restored = self.server.restore(clock::now(), key, entries)?;
        self.keeper = Some(keeper);
        Ok(restored)
    }

    /// The same for a server that has moved here: what it knows is newer than the entries.
    pub fn keep_all(&mut self, key: [u8; KEY_BYTES], entries: Entries, keeper: Keeper) {
        self.server.keep_all(clock::now(), key, entries);
        self.keeper = Some(keeper);
    }

    /// Connects to this engine when the server asks for it. To be called before [`run`](Self::run) and before
    /// [`take_over`](Self::take_over). `wake` wakes the loop, and must not panic.
    pub fn share(&mut self, redis: RedisUrl, wake: impl Fn() + Send + Sync + 'static) {
        self.engine = Some(Box::new(Engine::new(redis, wake)));
    }

    /// Logs an event.
    pub fn note(&mut self, event: &LogEvent) {
        self.logger.note(clock::now().moment, event);
    }

    /// Runs until the server has stopped, or has moved to the next process.
    ///
    /// # Errors
    /// If polling fails.
    pub fn run(mut self) -> io::Result<Ending> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        loop {
            match self.poll.poll(&mut events, self.sleep()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.calls.polls += 1;
            let begun = self.metrics.as_ref().map(|_| Instant::now());
            for event in &events {
                self.mark(event);
            }
            self.tell_results();
            self.tell_reports();
            self.logger.report(clock::now().moment);
            for _ in 0..READS_PER_TURN {
                let Some(slot) = self.queue.pop_front() else { break };
                self.serve(slot);
            }
            self.serve_engine();
            self.tick();
            let has_stopped = self.obey();
            self.flush_engine();
            if let Some(keeper) = &mut self.keeper {
                keeper.hand_over();
            }
            // Also in the last turn: with nobody connected, the turn that takes the signal is the last.
            let counts = || (self.server.people(), self.server.lines());
            self.service_manager.report(clock::now().moment, counts);
            if has_stopped {
                if let Some(engine) = &mut self.engine {
                    engine.finish();
                }
                self.finish_keeping();
                return Ok(self.ending);
            }
            match self.move_on() {
                Ok(true) => return Ok(Ending::Moved),
                Ok(false) => {}
                Err(error) => self.give_up_move(error),
            }
            self.accept();
            self.serve_metrics(begun);
        }
    }

    /// Timeout for the next poll: zero while work is pending, `None` without a deadline.
    fn sleep(&self) -> Option<Duration> {
        let has_scrapers = self.metrics.as_ref().is_some_and(Metrics::can_accept);
        let has_said = self.engine.as_ref().is_some_and(|engine| engine.has_more());
        if self.has_more || !self.queue.is_empty() || self.can_accept() || has_scrapers || has_said {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.server.next_deadline(),
            self.acceptor.again,
            self.moving.as_ref().map(|moving| moving.next_deadline(clock::now().moment)),
            self.logger.next_deadline(),
            self.service_manager.next_deadline(),
            self.metrics.as_ref().and_then(Metrics::next_deadline),
            self.engine.as_ref().and_then(|engine| engine.next_deadline()),
        ];
        let deadline = deadlines.into_iter().flatten().min();
        let wait = deadline.map(|deadline| deadline.since(clock::now().moment));
        // mio rounds up to the resolution of epoll_wait(2), so the loop does not spin before the deadline.
        let keeper = self.keeper.as_ref().and_then(Keeper::time_left);
        wait.into_iter().chain(self.mailer.time_left()).chain(keeper).min()
    }

    fn mark(&mut self, event: &mio::event::Event) {
        match event.token() {
            LISTENER => self.acceptor.is_ready = true,
            // Only wakes the loop: results are collected in every turn.
            WAKER => {}
            SIGNALS => self.take_signals(),
            token if metrics::is_own(token) => {
                if let Some(metrics) = &mut self.metrics {
                    metrics.mark(token);
                }
            }
            token if engine::is_own(token) => {
                if let Some(engine) = &mut self.engine {
                    engine.mark(event);
                }
            }
            Token(slot) => {
                let Some(socket) = self.sockets.get_mut(slot) else { return };
                let is_broken = event.is_error();
                socket.is_readable |= event.is_readable() || is_broken;
                socket.is_writable |= event.is_writable() || is_broken;
                socket.reads_until_blocked |= event.is_read_closed() || event.is_priority() || is_broken;
                self.enqueue(slot);
            }
        }
    }

    fn take_signals(&mut self) {
        let signals: Vec<i32> = self.signals.pending().collect();
        // By convention SIGHUP reloads the configuration. Plume has nothing to reload, and must not end
        // because of it, nor because of a file that grows over a limit (SIGXFSZ): the write fails, too.
        if signals.iter().copied().any(is_to_stop) {
            self.shut_down();
        } else if signals.contains(&SIGUSR2) && self.listener.is_some() && self.moving.is_none() {
            self.moving = Some(Moving::Requested);
        }
    }

    fn shut_down(&mut self) {
        self.leave();
        self.listener = None;
        self.moving = None;
        self.service_manager.stopping(clock::now().moment);
        self.tell(Input::Shutdown);
        self.has_more = true;
    }

    /// Whoever requested the move wants this process to end: it ends as any restart does, and clients
    /// reconnect.
    fn give_up_move(&mut self, error: MoveError) {
        self.logger.note(clock::now().moment, &LogEvent::MoveFailed(error));
        self.ending = Ending::MoveFailed(error);
        self.shut_down();
    }

    fn tell(&mut self, input: Input<'_>) {
        self.server.handle(clock::now(), input);
    }

    /// Lets timers fire: in each turn that has read everything, and every [`TICK_INTERVAL_MAX`] under load.
    fn tick(&mut self) {
        let now = clock::now();
        if self.queue.is_empty() || now.moment.since(self.ticked) >= TICK_INTERVAL_MAX {
            self.ticked = now.moment;
            self.server.handle(now, Input::Tick);
        }
    }

    fn tell_results(&mut self) {
        let now = clock::now();
        for (mail, result) in self.mailer.results() {
            self.server.handle(now, Input::MailDone { mail, result });
        }
    }

    /// Reads what has come from the engine, up to a turn's share, and passes on what it says.
    fn serve_engine(&mut self) {
        let Some(engine) = &mut self.engine else { return };
        engine.serve(clock::now().moment, self.poll.registry(), &mut self.buffer);
        while let Some(event) = engine.next_event() {
            self.logger.note(clock::now().moment, &event);
        }
        while let Some(say) = engine.next_said() {
            self.server.handle(clock::now(), Input::Engine(&say));
        }
    }

    /// Sends what was asked of the engine.
    fn flush_engine(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.flush(clock::now().moment, self.poll.registry());
        }
    }

    /// Tells the server and the log what has become of the disk.
    fn tell_reports(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        for report in keeper.reports() {
            let (event, input) = match report {
                Report::Failed(errno) => (LogEvent::DataFailed { errno }, Some(Input::KeepFailed)),
                Report::Recovered => (LogEvent::DataRecovered, Some(Input::KeptAgain)),
                Report::Lost(changes) => (LogEvent::DataLost { changes }, None),
            };
            self.note(&event);
            if let Some(input) = input {
                self.tell(input);
            }
        }
    }

    /// Waits, for a bounded time, until everything is on the disk: the only wait for it, when nobody is
    /// served any more.
    fn finish_keeping(&mut self) {
        if self.keeper.take().is_some_and(|keeper| !keeper.finish()) {
            self.note(&LogEvent::DataUnfinished);
        }
    }

    fn enqueue(&mut self, slot: usize) {
        if let Some(socket) = self.sockets.get_mut(slot)
            && !socket.is_queued
        {
            socket.is_queued = true;
            self.queue.push_back(slot);
        }
    }

    /// Serves a socket once, as its state requires.
    fn serve(&mut self, slot: usize) {
        let Some(socket) = self.sockets.get_mut(slot) else { return };
        socket.is_queued = false;
        let id = socket.id;
        if socket.is_writable && self.server.is_blocked(id) {
            if std::mem::take(&mut socket.is_probed) {
                set_unsent_max(&socket.stream, UNSENT_BYTES_MAX);
            }
            self.tell(Input::Writable(id));
        }
        if self.sockets.get(slot).is_some_and(|socket| socket.is_readable) && self.server.wants_read(id) {
            self.read(slot);
        }
        let is_readable = self.sockets.get(slot).is_some_and(|socket| socket.is_readable);
        if is_readable && self.server.wants_read(id) {
            self.enqueue(slot);
        }
    }

    fn read(&mut self, slot: usize) {
        let Some(socket) = self.sockets.get_mut(slot) else { return };
        let id = socket.id;
        let now = clock::now();
        self.calls.reads += 1;
        match socket.stream.read(&mut self.buffer) {
            Ok(0) => {
                socket.is_readable = false;
                self.server.handle(now, Input::PeerEnded(id));
            }
            Ok(bytes) => {
                // epoll(7): a short read from a stream shows that it is empty, except in the two cases above.
                socket.is_readable = bytes == self.buffer.len() || socket.reads_until_blocked;
                self.server.handle(now, Input::Received { id, bytes: &self.buffer[..bytes] });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => socket.is_readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => {
                socket.is_readable = false;
                self.server.handle(now, Input::Broken(id));
            }
        }
    }

    fn write(&mut self, slot: usize) {
        let Some(socket) = self.sockets.get_mut(slot) else { return };
        let id = socket.id;
        if !socket.is_writable && !socket.is_probed {
            socket.is_probed = true;
            set_unsent_max(&socket.stream, UNSENT_BYTES_MAX + PACKET_BYTES_MAX);
        }
        let unsent = self.server.unsent(id);
        let offered: usize = unsent.iter().map(|slice| slice.len()).sum();
        let result = loop {
            self.calls.writes += 1;
            match write_slices(&mut socket.stream, unsent) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return self.tell(Input::Broken(id)),
        };
        self.written_bytes += bytes as u64;
        // epoll(7): after a short write there is an event when there is room again. A full socket that takes
        // the few bytes of a probe has not become writable by that.
        socket.is_writable &= bytes == offered;
        self.tell(Input::Wrote { id, bytes });
    }

    /// Carries out the server's outputs, up to a share of writes. Returns whether the server has stopped.
    fn obey(&mut self) -> bool {
        let mut writes = 0;
        self.has_more = true;
        while writes < WRITES_PER_TURN {
            match self.server.poll() {
                None => {
                    self.has_more = false;
                    return false;
                }
                Some(Output::Write(id)) => {
                    writes += 1;
                    self.write(id.slot());
                }
                Some(Output::Read(id)) => self.enqueue(id.slot()),
                Some(Output::EndWriting(id)) => {
                    if let Some(socket) = self.sockets.get(id.slot()) {
                        // Fails if the peer is already gone, which the socket reports separately.
                        let _gone = socket.stream.shutdown(Shutdown::Write);
                    }
                }
                Some(Output::Close(id)) => {
                    // A connection refused without a response is already closed, and its slot may be reused.
                    if self.sockets.get(id.slot()).is_some_and(|socket| socket.id == id) {
                        self.sockets.try_remove(id.slot());
                        self.acceptor.again = None;
                    }
                }
                Some(Output::Mail(mail)) => self.mailer.send(mail, &mut self.logger),
                Some(Output::LogEvent(note)) => self.logger.note(clock::now().moment, &note),
                Some(Output::Keep(change)) => {
                    if let Some(keeper) = &mut self.keeper {
                        keeper.keep(change);
                    }
                }
                Some(Output::Engine(ask)) => {
                    if let Some(engine) = &mut self.engine {
                        engine.ask(clock::now().moment, ask);
                    }
                }
                Some(Output::Stopped) => {
                    self.logger.note(clock::now().moment, &LogEvent::SystemCalls(self.calls));
                    return true;
                }
            }
        }
        false
    }

    /// Whether to call accept(2). Also when the server is full: it refuses connections over the limit, so
    /// that no client waits in the backlog behind connections that will be refused.
    fn can_accept(&self) -> bool {
        self.listener.is_some() && self.acceptor.can_accept()
    }

    fn accept(&mut self) {
        self.acceptor.tick(clock::now().moment);
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listener.as_ref().filter(|_| self.acceptor.can_accept()) else {
                return;
            };
            self.calls.accepts += 1;
            match listener.accept() {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(error) => {
                    let now = clock::now().moment;
                    if let Some(event) = self.acceptor.failed(now, &error) {
                        self.logger.note(now, &event);
                    }
                }
            }
        }
    }

    /// Serves the connections to the metrics, if there is a listener for them. The turn began at `begun`.
    fn serve_metrics(&mut self, begun: Option<Instant>) {
        let Some(metrics) = &mut self.metrics else { return };
        let now = clock::now();
        let failure = metrics.serve(now.moment, self.poll.registry(), &mut self.buffer, || {
            let shell = ShellMetrics {
                start_ms: self.start_ms,
                calls: self.calls,
                written_bytes: self.written_bytes,
                log_lines_dropped: self.logger.lines_dropped_total(),
                moved: self.moved,
            };
            (self.server.metrics(now), shell)
        });
        if let Some(event) = failure {
            self.logger.note(now.moment, &event);
        }
        if let Some(begun) = begun {
            metrics.observe_turn(begun.elapsed());
        }
    }

    fn welcome(&mut self, stream: Stream, peer: Option<IpAddr>) {
        let slot = self.sockets.vacant_key();
        let id = ClientId::new(slot, self.next_serial);
        self.next_serial += 1;
        self.tell(match peer {
            Some(peer) => Input::Accepted { id, peer },
            None => Input::AcceptedProxy(id),
        });
        if !self.server.has_connection(id) {
            // Refused without a response. Closed here rather than on the server's output, so that a flood
            // needs one descriptor at a time; and with a reset, so that the kernel keeps no state of it
            // either.
            let _gone = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            return;
        }
        let mut socket = Socket {
            reads_until_blocked: stream.may_read_short(),
            stream,
            id,
            is_readable: false,
            is_writable: true,
            is_queued: false,
            is_probed: false,
        };
        let result = socket.stream.set_nodelay();
        if result.and_then(|()| register(self.poll.registry(), &mut socket.stream, Token(slot))).is_err() {
            // The peer is already gone, or the kernel has no memory for another registration.
            return self.tell(Input::Broken(id));
        }
        self.sockets.insert(socket);
    }
}

fn is_to_stop(signal: i32) -> bool {
    signal == SIGTERM || signal == SIGINT
}

fn register(registry: &Registry, stream: &mut Stream, token: Token) -> io::Result<()> {
    // Priority events are requested only to learn of urgent data, which makes reads end early.
    registry.register(stream, token, Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY)
}

/// Bounds the unsent bytes that the kernel buffers for a socket. Unix sockets, whose buffers are smaller, do
/// not have this option; systems without it buffer more for peers that do not read.
fn set_unsent_max(socket: &impl AsFd, bytes: u32) {
    let _unknown = SockRef::from(socket).set_tcp_notsent_lowat(bytes);
}

fn write_slices(stream: &mut Stream, slices: [&[u8]; 3]) -> io::Result<usize> {
    let mut filled = slices.into_iter().filter(|slice| !slice.is_empty());
    match (filled.next(), filled.next()) {
        (None, _) => Ok(0),
        (Some(only), None) => stream.write(only),
        (Some(_), Some(_)) => stream.write_vectored(&slices.map(IoSlice::new)),
    }
}

const LISTENER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
const WAKER: Token = Token(usize::MAX - 2);
/// Events per poll; the rest follow in the next turn.
const EVENTS_PER_TURN: usize = 1_024;
