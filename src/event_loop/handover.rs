//! Moves the loop to the next process: what the parcel says beside the server's own state, how the loop packs
//! it, and how the next loop goes on with it. `crate::handover` has the system calls.
//!
//! First the next program looks at the state, while everybody is served. The move itself happens between two
//! turns: everything that was read is handled, and every output is carried out, so that all of a connection
//! is either in the server's state or in its socket. What the kernel knows of a socket (bytes to read, room
//! to write, an end) it reports afresh when the socket is registered again.

use super::listener::{Listener, ListenerRecord};
use super::metrics::Metrics;
use super::{EventLoop, Socket, clock, is_to_stop, register};
use crate::base::frost::{Frost, Frozen, frost};
use crate::base::time::{Moment, Now};
use crate::config::Listen;
use crate::engine::Say;
use crate::handover::{self, Check, Door, Packed};
use crate::ids::ClientId;
use crate::limits::{CHECK_STEP, DATA_FILE_BYTES_MAX, LEFT_STATE_CLOCKS_MAX, LEFT_STATE_MAX, MOVE_MAIL_WAIT};
use crate::log_event::{LogEvent, MoveError};
use crate::server::Input;
use mio::{Registry, Token};
use signal_hook::consts::SIGPIPE;
use signal_hook::flag;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The state in a parcel.
pub struct MovedState {
    /// When the move began.
    begun: Moment,
    next_serial: u64,
    listener: ListenerRecord,
    /// The address for which the listener for metrics was bound, if there is one.
    metrics: Option<String>,
    /// In the order in which their sockets are in the parcel.
    sockets: Vec<SocketRecord>,
    server: Vec<u8>,
    /// What the wall clock said when the move began, in milliseconds.
    begun_wall_ms: u64,
    /// Whether the epoll(7) instance of the process before is behind the sockets: see `close_aside`.
    has_poll: bool,
}

frost!(struct MovedState { begun, next_serial, listener, metrics, sockets, server, begun_wall_ms, has_poll });

/// What a [`Socket`] is besides its connection.
#[expect(clippy::struct_excessive_bools, reason = "four facts that are independent of each other")]
struct SocketRecord {
    id: ClientId,
    is_writable: bool,
    reads_until_blocked: bool,
    is_probed: bool,
    /// Told, not asked of the system: a call for each of thousands would be a tenth of the move.
    is_unix: bool,
}

frost!(struct SocketRecord { id, is_writable, reads_until_blocked, is_probed, is_unix });

impl MovedState {
    /// Reads the bytes of a state. `None`: another program wrote them, or on another boot, whose clock says
    /// nothing here.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Frozen::new(bytes.strip_prefix(MAGIC)?);
        let state = Self::thaw(&mut fields)?;
        (fields.is_empty() && state.begun <= clock::now().moment).then_some(state)
    }

    /// Whether a state that was left in a folder is good at this time: it is young, and of this boot.
    fn is_fresh(&self, now: Now) -> bool {
        let age = now.moment.since(self.begun);
        let wall = Duration::from_millis(now.wall_ms.saturating_sub(self.begun_wall_ms));
        age <= LEFT_STATE_MAX && age.abs_diff(wall) <= LEFT_STATE_CLOCKS_MAX
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        self.freeze(&mut bytes);
        bytes
    }

    /// The server's own state.
    #[must_use]
    pub fn server(&self) -> &[u8] {
        &self.server
    }
}

/// How far a move is that was requested.
pub(super) enum Moving {
    Requested,
    /// The next program is asked whether it can go on. Everybody is served meanwhile.
    Checking(Check),
    /// It can. Emails that are being sent are waited for, until this time.
    Checked(Moment),
}

impl Moving {
    /// When [`EventLoop::move_on`] must be called.
    pub(super) fn next_deadline(&self, now: Moment) -> Moment {
        match self {
            Self::Requested => now,
            Self::Checking(_) => now.after(CHECK_STEP),
            Self::Checked(by) => *by,
        }
    }
}

/// What has come from the process before.
pub struct Arrival {
    state: MovedState,
    /// Size of the state.
    bytes: usize,
    door: Door,
    listener: Option<OwnedFd>,
    metrics: Option<OwnedFd>,
    /// As many as the state has records.
    sockets: Vec<OwnedFd>,
    poll: Option<OwnedFd>,
}

impl Arrival {
    /// Opens the parcel that came through a door. `None`: it is none, it is empty, or something is missing.
    #[must_use]
    pub fn open(parcel: &OwnedFd, door: Door) -> Option<Self> {
        let (bytes, files) = handover::unpack(parcel)?;
        let state = MovedState::read(&bytes)?;
        let mut files = files.into_iter();
        let listener = Some(files.next()?);
        let metrics = if state.metrics.is_some() { Some(files.next()?) } else { None };
        let mut sockets: Vec<OwnedFd> = files.collect();
        let poll = if state.has_poll { Some(sockets.pop()?) } else { None };
        (sockets.len() == state.sockets.len()).then_some(Self {
            bytes: bytes.len(),
            state,
            door,
            listener,
            metrics,
            sockets,
            poll,
        })
    }

    /// Opens a state that the process before has left in a folder, without sockets. `None`: it is none, or
    /// too old.
    #[must_use]
    pub fn left(bytes: &[u8]) -> Option<Self> {
        let state = MovedState::read(bytes).filter(|state| state.is_fresh(clock::now()))?;
        let (bytes, sockets) = (bytes.len(), Vec::new());
        let is_left = state.sockets.is_empty();
        let door = Door::Exec;
        is_left.then_some(Self { state, bytes, door, listener: None, metrics: None, sockets, poll: None })
    }

    /// The server's own state.
    #[must_use]
    pub fn server(&self) -> &[u8] {
        self.state.server()
    }

    /// The listener of the process before, and whether this process is to listen at the same place.
    pub(super) fn listener(&mut self, listen: &Listen) -> Option<(Listener, bool)> {
        let listener = Listener::resume(self.listener.take()?, &self.state.listener).ok()?;
        // One that the service manager has bound is passed again, unless it is to be so no more; but the
        // service manager knows nothing of an exec.
        let is_kept = if listener.is_passed() { self.door == Door::Exec } else { listener.is_for(listen) };
        Some((listener, is_kept))
    }

    /// The listener for metrics of the process before, if this one is to have it at the same address.
    /// Otherwise it is closed, so that its address is free.
    pub(super) fn metrics(&mut self, address: SocketAddr, registry: &Registry) -> Option<Metrics> {
        let socket = self.metrics.take()?;
        let is_same = self.state.metrics.as_ref().is_some_and(|setting| *setting == address.to_string());
        if is_same { Metrics::resume(socket, address, registry).ok() } else { None }
    }
}

impl EventLoop {
    /// Goes on where the process before has stopped. The server is thawed already.
    pub fn take_over(&mut self, arrival: Arrival) {
        let Arrival { state, bytes, sockets, poll, .. } = arrival;
        self.next_serial = state.next_serial;
        let mut kept = Vec::with_capacity(sockets.len());
        for (record, socket) in state.sockets.into_iter().zip(sockets) {
            if self.server.has_connection(record.id)
                && let Some(socket) = self.resume(&record, socket)
            {
                kept.push((record.id.slot(), socket));
            }
        }
        self.sockets = kept.into_iter().collect();
        let has_socket = |id: &ClientId| self.sockets.get(id.slot()).is_some_and(|socket| socket.id == *id);
        let lost: Vec<ClientId> = self.server.connections().filter(|id| !has_socket(id)).collect();
        for id in lost {
            self.tell(Input::Broken(id));
        }
        // The connections to the engine have ended with the process before.
        if self.engine.is_some() {
            self.tell(Input::Engine(&Say::Lost));
        }
        for mail in self.server.mails_under_way() {
            self.mailer.send(mail, &mut self.logger);
        }
        self.has_more = true;
        let now = clock::now().moment;
        let ms = u64::try_from(now.since(state.begun).as_millis()).unwrap_or(u64::MAX);
        let connections = self.sockets.len();
        self.moved = (ms, connections);
        self.logger.note(now, &LogEvent::Moved { connections, bytes, ms });
        if let Some(poll) = poll {
            handover::close_aside(poll);
        }
    }

    /// `None`: the kernel has no memory for another registration.
    fn resume(&self, record: &SocketRecord, socket: OwnedFd) -> Option<Socket> {
        let &SocketRecord { id, is_writable, reads_until_blocked, is_probed, is_unix } = record;
        let mut stream = super::Stream::resume(socket, is_unix);
        register(self.poll.registry(), &mut stream, Token(id.slot())).ok()?;
        let socket = Socket {
            stream,
            id,
            is_readable: false,
            is_writable,
            reads_until_blocked,
            is_queued: false,
            is_probed,
        };
        Some(socket)
    }

    /// Takes the next step of a move that was requested. Through exec(2) the last one does not return, unless
    /// it fails; through the FD store it returns `true`: this process is to end.
    ///
    /// # Errors
    /// If it fails: this process still has everything.
    pub(super) fn move_on(&mut self) -> Result<bool, MoveError> {
        match &mut self.moving {
            None => return Ok(false),
            Some(Moving::Requested) => self.moving = Some(Moving::Checking(self.check()?)),
            Some(Moving::Checking(check)) => {
                if let Some(result) = check.result() {
                    result?;
                    self.moving = Some(Moving::Checked(clock::now().moment.after(MOVE_MAIL_WAIT)));
                }
            }
            Some(Moving::Checked(_)) => {}
        }
        match self.moving {
            Some(Moving::Checked(by)) if !self.mailer.is_sending() || by <= clock::now().moment => {
                self.moving = None;
                self.hand_over()
            }
            _ => Ok(false),
        }
    }

    /// Lets the next program look at the state as it is now.
    fn check(&self) -> Result<Check, MoveError> {
        let listener = self.listener.as_ref().ok_or(MoveError::NotStarted)?;
        let state = self.state(clock::now(), listener, self.records());
        self.successor.check(handover::seal(&state.write())?)
    }

    /// Moves to the next process. `false`: a signal to stop came first, and is obeyed.
    fn hand_over(&mut self) -> Result<bool, MoveError> {
        let begun = clock::now();
        self.drain();
        let listener = self.listener.as_ref().ok_or(MoveError::NotStarted)?;
        let state = handover::seal(&self.state(begun, listener, self.records()).write())?;
        let sockets = self.sockets.iter().map(|(_, socket)| socket.stream.as_fd());
        let listeners = self.metrics.as_ref().map(AsFd::as_fd).into_iter();
        let poll = self.poll.registry().as_fd();
        let files: Vec<BorrowedFd<'_>> =
            [listener.as_fd()].into_iter().chain(listeners).chain(sockets).chain([poll]).collect();
        let packed = handover::pack(state.as_fd(), &files)?;
        // A full server has few descriptors left.
        drop(state);
        handover::hold_signals();
        if self.signals.pending().any(is_to_stop) {
            handover::release_signals();
            self.shut_down();
            return Ok(false);
        }
        let result = self.pass(packed);
        if result.is_err() {
            handover::release_signals();
        }
        result.map(|()| true)
    }

    fn records(&self) -> Vec<SocketRecord> {
        self.sockets.iter().map(|(_, socket)| SocketRecord::of(socket)).collect()
    }

    fn state(&self, begun: Now, listener: &Listener, sockets: Vec<SocketRecord>) -> MovedState {
        MovedState {
            begun: begun.moment,
            next_serial: self.next_serial,
            listener: listener.record(),
            metrics: self.metrics.as_ref().map(|metrics| metrics.setting().to_string()),
            sockets,
            server: self.server.freeze(),
            begun_wall_ms: begun.wall_ms,
            has_poll: true,
        }
    }

    /// Leaves the state in the folder, without sockets, for a process that is started soon: where no service
    /// manager holds the sockets, as in a container, that is all that can go on.
    pub(super) fn leave(&mut self) {
        // What stands in the folder may be of another room than the one that this server has joined.
        if !self.server.keeps() || self.successor.door() != Door::Exec {
            return;
        }
        self.drain();
        let begun = clock::now();
        if let (Some(keeper), Some(listener)) = (&self.keeper, &self.listener) {
            let state = self.state(begun, listener, Vec::new()).write();
            if state.len() as u64 <= DATA_FILE_BYTES_MAX {
                keeper.leave(state);
            }
        }
    }

    /// Goes through the door.
    fn pass(&mut self, packed: Packed) -> Result<(), MoveError> {
        // The successor opens the folder, which only one process may have open.
        self.finish_keeping();
        self.logger.finish();
        match self.successor.door() {
            Door::Exec => {
                let error = self.successor.exec(packed);
                // To be executed, a program gets the default action for broken pipes, which ends it.
                let _never = flag::register(SIGPIPE, Arc::default());
                return Err(error);
            }
            Door::Store => {
                let manager = self.service_manager.connection().ok().flatten().ok_or(MoveError::NotStored)?;
                handover::store(&manager, packed)?;
            }
        }
        if let Some(listener) = &mut self.listener {
            listener.leave_file();
        }
        Ok(())
    }

    /// Carries out everything that is left to do for what was read, so that nothing of it is in this process
    /// alone.
    fn drain(&mut self) {
        self.tell_results();
        self.obey();
        while self.has_more {
            self.obey();
        }
        // Codes that were only printed now.
        self.tell_results();
        self.obey();
    }
}

impl SocketRecord {
    const fn of(socket: &Socket) -> Self {
        let &Socket { id, is_writable, reads_until_blocked, is_probed, ref stream, .. } = socket;
        Self { id, is_writable, reads_until_blocked, is_probed, is_unix: stream.is_unix() }
    }
}

/// What the bytes of a state begin with; the last is the version of the format.
const MAGIC: &[u8] = b"plume\x01";

#[cfg(test)]
mod tests {
    use super::*;
    use mio::net::TcpListener;

    fn state(begun: Moment) -> MovedState {
        let listen = Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        MovedState {
            begun,
            next_serial: 7,
            listener: Listener::bind(&listen).expect("there are ports").record(),
            metrics: Some("127.0.0.1:0".to_owned()),
            sockets: (0..3)
                .map(|slot| SocketRecord {
                    id: ClientId::new(slot, 4 + slot as u64),
                    is_writable: slot == 0,
                    reads_until_blocked: slot == 1,
                    is_probed: slot == 2,
                    is_unix: slot == 1,
                })
                .collect(),
            server: b"frozen".to_vec(),
            begun_wall_ms: 1_000_000,
            has_poll: false,
        }
    }

    #[test]
    fn a_state_that_was_left_is_good_for_a_while_and_on_the_same_boot() {
        let state = state(Moment::from_ms(500_000));
        let rows = [
            (500_000, 1_000_000, true),
            (500_001, 1_000_000, true),
            (500_000 + 900_000, 1_900_000, true),
            (500_000 + 900_001, 1_900_001, false),
            // The clock was set a little, and much.
            (560_000, 1_089_000, true),
            (560_000, 1_091_000, false),
            (560_000, 1_031_000, true),
            (560_000, 900_000, false),
            // The machine was started anew, and is up for as long again.
            (500_001, 1_600_000, false),
        ];
        for (ms, wall_ms, is_fresh) in rows {
            let now = Now { moment: Moment::from_ms(ms), wall_ms };
            assert_eq!(state.is_fresh(now), is_fresh, "{ms} {wall_ms}");
        }
        assert!(Arrival::left(&state.write()).is_none(), "it has sockets, and is old");
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_nothing_else_is_read() {
        let bytes = state(clock::now().moment).write();
        let read = MovedState::read(&bytes).expect("it is whole");
        assert_eq!((read.next_serial, read.server()), (7, &b"frozen"[..]));
        assert_eq!(read.write(), bytes);
        for end in 0..bytes.len() {
            assert!(MovedState::read(&bytes[..end]).is_none(), "{end}");
        }
        assert!(MovedState::read(&[&bytes[..], b"x"].concat()).is_none(), "more than it");
        assert!(MovedState::read(&[b"x", &bytes[1..]].concat()).is_none(), "another program");
        let later = clock::now().moment.after(Duration::from_hours(1));
        assert!(MovedState::read(&state(later).write()).is_none(), "another boot");
    }

    /// What comes through the doors, made without a loop.
    fn arrival(state: &MovedState, files: &[BorrowedFd<'_>]) -> Option<Arrival> {
        let sealed = handover::seal(&state.write()).expect("there is memory");
        let packed = handover::pack(sealed.as_fd(), files).expect("there is room");
        Arrival::open(packed.parcel(), Door::Store)
    }

    #[test]
    fn a_parcel_with_more_or_fewer_sockets_than_the_state_says_is_none() {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("there are ports");
        for has_poll in [false, true] {
            let state = MovedState { has_poll, ..state(clock::now().moment) };
            for count in 0..8 {
                let files = vec![listener.as_fd(); count];
                let arrival = arrival(&state, &files);
                let is_whole = count == state.sockets.len() + 2 + usize::from(has_poll);
                assert_eq!(arrival.is_some(), is_whole, "{count}");
                assert!(arrival.is_none_or(|arrival| arrival.poll.is_some() == has_poll));
            }
        }
    }
}
