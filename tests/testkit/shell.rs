//! The event loop in memory: sockets with send buffers, a queue of those that may have something to read or
//! room to write, and the steps of a turn. Who calls the steps decides what happens between them;
//! [`Shell::read`] and the rest keep the order that the real event loop keeps for one socket.

use super::codec::{Reader, Received};
use super::driver::Driver;
use plume::base::time::Now;
use plume::ids::ClientId;
use plume::limits::{READ_SHARE_BYTES, UNSENT_BYTES_MAX};
use plume::server::{Input, Output};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

pub(crate) struct Shell {
    pub(crate) driver: Driver,
    pub(crate) sockets: BTreeMap<ClientId, Socket>,
    pub(crate) sockets_max: usize,
    /// Sockets that may have something to read, or room to write again.
    pub(crate) queue: VecDeque<ClientId>,
    /// Writes so far, the measure of [`super::offers::Offers`].
    pub(crate) writes: u64,
}

/// One connection: what lies between the server and its peer.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct Socket {
    pub(crate) peer: IpAddr,
    /// What the peer has sent and the server has not read.
    arrived: VecDeque<u8>,
    /// The peer sends nothing more.
    pub(crate) has_ended: bool,
    /// The server was told so.
    is_end_read: bool,
    is_queued: bool,
    /// The send buffer was full, and no room has been reported since.
    pub(crate) is_full: bool,
    /// Takes no byte.
    pub(crate) is_stalled: bool,
    /// Bytes that the peer takes out of the send buffer in a second; `None`: all, at once.
    pub(crate) pace: Option<u64>,
    /// Bytes in the send buffer.
    buffered: usize,
    /// What was taken and makes no whole byte yet, in millionths.
    millionths: u64,
    /// Bytes that it was offered last.
    pub(crate) offered: usize,
    /// Bytes that the send buffer has taken so far.
    pub(crate) bytes_taken: usize,
    reader: Reader,
    /// The server has ended its side.
    is_ended: bool,
}

impl Shell {
    pub(crate) fn new(driver: Driver, sockets_max: usize) -> Self {
        Self { driver, sockets: BTreeMap::new(), sockets_max, queue: VecDeque::new(), writes: 0 }
    }

    /// A peer connects and is accepted.
    pub(crate) fn accept(&mut self, peer: IpAddr) -> ClientId {
        let mut slots = 0..=self.sockets.len();
        let free = slots.find(|&slot| self.sockets.keys().all(|id| id.slot() != slot));
        let id = self.driver.accept(free.expect("one slot more than sockets"), peer);
        let socket = Socket {
            peer,
            arrived: VecDeque::new(),
            has_ended: false,
            is_end_read: false,
            is_queued: false,
            is_full: false,
            is_stalled: false,
            pace: None,
            buffered: 0,
            millionths: 0,
            offered: 0,
            bytes_taken: 0,
            reader: Reader::default(),
            is_ended: false,
        };
        self.sockets.insert(id, socket);
        id
    }

    /// A peer sends bytes; they lie in the socket until the server reads them.
    pub(crate) fn send(&mut self, id: ClientId, bytes: &[u8]) {
        if let Some(socket) = self.sockets.get_mut(&id)
            && !socket.has_ended
        {
            socket.arrived.extend(bytes);
            self.enqueue(id);
        }
    }

    /// A peer sends nothing more.
    pub(crate) fn end(&mut self, id: ClientId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.has_ended = true;
            self.enqueue(id);
        }
    }

    /// Bytes that the server has not read.
    pub(crate) fn unread(&self, id: ClientId) -> usize {
        self.sockets.get(&id).map_or(0, |socket| socket.arrived.len())
    }

    /// Time passes, and peers take bytes out of their send buffers.
    pub(crate) fn pass(&mut self, time: Duration) {
        let Now { moment, wall_ms } = &mut self.driver.now;
        *moment = moment.after(time);
        *wall_ms += u64::try_from(time.as_millis()).expect("a life is short");
        let micros = u64::try_from(time.as_micros()).expect("a life is short");
        let paced = self.sockets.iter().filter_map(|(&id, socket)| socket.pace.map(|pace| (id, pace)));
        for (id, pace) in paced.collect::<Vec<_>>() {
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            socket.millionths += micros.saturating_mul(pace);
            let bytes = usize::try_from(socket.millionths / 1_000_000).expect("it fits");
            socket.millionths %= 1_000_000;
            self.drain(id, bytes);
        }
    }

    /// A peer takes so many bytes out of its send buffer.
    pub(crate) fn drain(&mut self, id: ClientId, bytes: usize) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.buffered = socket.buffered.saturating_sub(bytes);
        if socket.is_full && !socket.is_stalled && socket.buffered <= SEND_BUFFER_BYTES / 2 {
            socket.is_full = false;
            self.enqueue(id);
        }
    }

    /// Bytes that the peer has read.
    pub(crate) fn read_by_peer(&self, id: ClientId) -> usize {
        self.sockets.get(&id).map_or(0, |socket| socket.bytes_taken - socket.buffered)
    }

    /// The system says that a socket has room, or something to read.
    pub(crate) fn enqueue(&mut self, id: ClientId) {
        if let Some(socket) = self.sockets.get_mut(&id)
            && !socket.is_queued
        {
            socket.is_queued = true;
            self.queue.push_back(id);
        }
    }

    /// The next socket that may have something to do. It is queued again when there is more.
    pub(crate) fn dequeue(&mut self) -> Option<ClientId> {
        let id = self.queue.pop_front()?;
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.is_queued = false;
        }
        Some(id)
    }

    /// Tells the server of room in a socket for which it waits.
    pub(crate) fn unblock(&mut self, id: ClientId) {
        if self.sockets.get(&id).is_some_and(|socket| !socket.is_full) && self.driver.server.is_blocked(id) {
            self.driver.handle(Input::Writable(id));
        }
    }

    /// Reads up to so many bytes of what a peer has sent, if the server wants to read. Gives how many.
    pub(crate) fn read(&mut self, id: ClientId, most: usize) -> usize {
        let Some(socket) = self.sockets.get_mut(&id) else { return 0 };
        if !self.driver.server.wants_read(id) {
            return 0;
        }
        let len = socket.arrived.len().min(most).min(READ_SHARE_BYTES);
        let rest = socket.arrived.split_off(len);
        let bytes = Vec::from(std::mem::replace(&mut socket.arrived, rest));
        if len > 0 {
            self.driver.receive(id, &bytes);
        } else if socket.has_ended && !socket.is_end_read {
            socket.is_end_read = true;
            self.driver.handle(Input::PeerEnded(id));
        }
        if self.sockets.get(&id).is_some_and(Socket::has_something) {
            self.enqueue(id);
        }
        len
    }

    /// The next thing that the server says, as far as it concerns sockets done already.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        let output = self.driver.poll()?;
        match output {
            Output::Write(id) => drop(self.known(id)),
            Output::Read(id) => {
                self.known(id);
                self.enqueue(id);
            }
            Output::EndWriting(id) => {
                let socket = self.known(id);
                assert!(!socket.is_ended, "writing ends once");
                assert!(socket.reader.is_whole(), "writing ends after a whole frame or response");
                socket.is_ended = true;
            }
            Output::Close(id) => {
                self.known(id);
                self.sockets.remove(&id);
            }
            Output::Mail(_) | Output::LogEvent(_) | Output::Keep(_) | Output::Engine(_) | Output::Stopped => {
            }
        }
        Some(output)
    }

    /// The socket of a connection that the server speaks of.
    pub(crate) fn known(&mut self, id: ClientId) -> &mut Socket {
        self.sockets.get_mut(&id).unwrap_or_else(|| panic!("{id:?} was closed or never there"))
    }

    /// What the server offers a socket.
    pub(crate) fn offer(&mut self, id: ClientId) -> Vec<u8> {
        self.writes += 1;
        let unsent = self.driver.unsent(id);
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.offered = unsent.len();
            assert!(unsent.is_empty() || !socket.is_ended, "nothing is written after the end of writing");
        }
        unsent
    }

    /// A socket takes up to so many of the bytes that it is offered. Gives how many, and what they complete.
    pub(crate) fn take(&mut self, id: ClientId, unsent: &[u8], most: usize) -> (usize, Vec<Received>) {
        let Some(socket) = self.sockets.get_mut(&id) else { return (0, Vec::new()) };
        let room = if socket.is_stalled { 0 } else { SEND_BUFFER_BYTES - socket.buffered };
        let taken = unsent.len().min(most).min(room);
        socket.bytes_taken += taken;
        if socket.pace.is_some() {
            socket.buffered += taken;
        }
        // A full socket that takes the few bytes of a probe has not become writable by that.
        socket.is_full |= taken < unsent.len();
        (taken, socket.reader.read(&unsent[..taken]))
    }

    /// Whether a peer has received a frame in part.
    pub(crate) fn is_in_a_frame(&self, id: ClientId) -> bool {
        self.sockets.get(&id).is_some_and(|socket| !socket.reader.is_whole())
    }

    /// Says what was taken.
    pub(crate) fn wrote(&mut self, id: ClientId, bytes: usize) {
        self.driver.handle(Input::Wrote { id, bytes });
    }

    /// When the server has nothing to say, and nothing is queued, only time or a peer can begin something.
    pub(crate) fn check_quiet(&mut self) {
        for (&id, socket) in &self.sockets {
            let waits = socket.has_something() && !socket.is_queued && self.driver.server.wants_read(id);
            assert!(!waits, "{id:?} may be read, and the shell was not told");
            if !self.driver.server.is_blocked(id) {
                let unsent = self.driver.unsent(id);
                assert!(unsent.is_empty(), "{id:?} has unsent bytes, and the shell was not told");
            }
        }
    }
}

impl Socket {
    fn has_something(&self) -> bool {
        !self.arrived.is_empty() || self.has_ended && !self.is_end_read
    }
}

/// What the system keeps for one socket.
pub(crate) const SEND_BUFFER_BYTES: usize = UNSENT_BYTES_MAX as usize;
