//! The server, a sans-I/O state machine: it takes [`Input`]s and yields [`Output`]s, and touches no socket,
//! clock, thread, environment or file. Time comes with each input; randomness comes from one seed.
//!
//! # A turn
//! 1. [`Server::handle`], any number of times, and at the end of it [`Input::Tick`], when what peers have
//!    sent is read: deadlines of connections fire then and only then.
//! 2. [`Server::poll`] until it gives `None`, or as long as the shell likes: it goes on where it stopped.
//! 3. For each [`Output::Write`]: [`Server::unsent`], a write of these bytes, and [`Input::Wrote`]. It is
//!    booked by what was offered, so that nothing which happens in between, or has become due, can make it
//!    wrong.
//! 4. Sleep until [`Server::next_deadline`] or the next event.
//!
//! Between two calls it can move to another process: [`Server::freeze`], [`Server::thaw`].
//!
//! ```
//! use plume::{base::time::{Moment, Now}, http::{assets::Assets, site::Site}, ids::ClientId};
//! use plume::{server::{Input, Output, Server}, settings::Settings};
//!
//! let site = Site::new(Assets::built_in("Plume"), Vec::new());
//! let mut server = Server::new(Settings::default(), site, [0; 32]);
//! let now = Now { moment: Moment::from_ms(0), wall_ms: 0 };
//! let id = ClientId::new(0, 0);
//! server.handle(now, Input::Accepted { id, peer: [127, 0, 0, 1].into() });
//! server.handle(now, Input::Received { id, bytes: b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" });
//! assert!(std::iter::from_fn(|| server.poll()).any(|output| output == Output::Write(id)));
//! let response = server.unsent(id).concat();
//! assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"));
//! server.handle(now, Input::Wrote { id, bytes: response.len() });
//! assert_eq!(server.poll(), None);
//! ```

mod admission;
mod apply;
mod client;
mod client_addresses;
mod clients;
mod commands;
mod connection;
mod deadlines;
mod entry;
mod guest;
mod http;
mod keeping;
mod lifecycle;
mod line_stream;
mod lines;
mod marks;
mod member;
mod messages;
mod metrics;
mod nodes;
mod parcel;
mod quota;
mod read_throttle;
#[doc(hidden)]
pub mod replica;
mod rounds;
mod sockets;
mod unfinished;

use crate::base::time::{Moment, Now};
use crate::base::token_bucket::Rate;
use crate::close_reason::CloseReason;
use crate::engine::{Ask, Say};
use crate::http::site::Site;
use crate::ids::{ClientId, MailId};
use crate::kept::Change;
use crate::log_event::LogEvent;
use crate::login_email::{Mail, MailError};
use crate::metrics::Counters;
use crate::room::Room;
use crate::settings::Settings;
use crate::users::Users;
use crate::users::bots::BotId;
use crate::users::names::UserId;
use crate::websocket::{Codec, TextFrame};
use client_addresses::{ClientAddresses, LOOPBACK, Origin};
use clients::Clients;
use deadlines::Life;
use nodes::Nodes;
use quota::Quota;
use std::collections::VecDeque;
use std::net::IpAddr;

/// An event for the server.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A new connection. Its serial was never used, and the former connection of its slot is gone. If it is
    /// refused without a response, the server does not know it afterwards ([`Server::has_connection`]), and
    /// [`Output::Close`] follows as for any other.
    Accepted {
        /// The connection.
        id: ClientId,
        /// The address of the peer.
        peer: IpAddr,
    },
    /// A new connection over a Unix socket: the peer is a trusted proxy on this machine.
    AcceptedProxy(ClientId),
    /// The peer has sent bytes.
    Received {
        /// The connection.
        id: ClientId,
        /// At most one read's share.
        bytes: &'a [u8],
    },
    /// The socket took some of the bytes that were offered last. If not all of them, it is full until
    /// [`Input::Writable`].
    Wrote {
        /// The connection.
        id: ClientId,
        /// How many bytes.
        bytes: usize,
    },
    /// A full socket has room again.
    Writable(ClientId),
    /// The peer will send nothing more.
    PeerEnded(ClientId),
    /// The connection is broken.
    Broken(ClientId),
    /// The result of sending an email.
    MailDone {
        /// The email.
        mail: MailId,
        /// Whether it was sent.
        result: Result<(), MailError>,
    },
    /// Time has passed, and the shell has read what peers had sent by then, up to a turn's share.
    Tick,
    /// What is said by [`Output::Keep`] cannot be written at present. What was said is tried again.
    KeepFailed,
    /// Everything that was said by [`Output::Keep`] is written again.
    KeptAgain,
    /// What the engine of a shared log says. Only after [`Output::Engine`].
    Engine(&'a Say),
    /// Begin a graceful shutdown. The shell accepts no connection from then on.
    Shutdown,
}

/// An action for the shell, or an event for the log.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// The connection has unsent bytes. Also said of a full socket from time to time, to probe it with a few
    /// bytes.
    Write(ClientId),
    /// The connection may be read again.
    Read(ClientId),
    /// Nothing more will be written: shut down the sending side.
    EndWriting(ClientId),
    /// Close the socket. The server has forgotten the connection.
    Close(ClientId),
    /// Send this email, and report the result.
    Mail(Mail),
    /// An event for the log.
    LogEvent(LogEvent),
    /// Write this change down, in the order in which it is said. Only after [`Server::restore`] or
    /// [`Server::keep_all`].
    Keep(Change),
    /// Ask this of the engine that holds the log which several nodes share. Only if the settings say that
    /// there is one.
    Engine(Ask),
    /// The shutdown is complete.
    Stopped,
}

/// All decisions of Plume; see the module's documentation for how to drive it.
#[expect(clippy::struct_excessive_bools, reason = "five facts that are independent of each other")]
pub struct Server {
    settings: Settings,
    rate: Rate,
    room: Room<UserId>,
    site: Site,
    codec: Codec,
    frame: TextFrame,
    users: Users,
    clients: Clients,
    /// Streams over HTTP that follow the room, by bot.
    followers: Quota<BotId>,
    addresses: ClientAddresses,
    outputs: VecDeque<Output>,
    /// The time of the newest input.
    now: Now,
    /// See [`Clock::judge_from`].
    judge_from: Moment,
    is_rounds_turn: bool,
    life: Life,
    is_full: bool,
    has_noted_unknown_proxy: bool,
    has_noted_silent_proxy: bool,
    /// Whether moderators know that nothing is written.
    has_told_of_failure: bool,
    unknown_messages: u64,
    counters: Counters,
    /// Where the room is shared with other nodes.
    nodes: Option<Box<Nodes>>,
}

impl Server {
    /// Handles an input. `now` never goes back. Inputs of closed connections are ignored.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        if self.life == Life::Stopped {
            return;
        }
        self.now = now;
        // Before anything else can change what was offered.
        if let Input::Wrote { id, bytes } = input {
            self.wrote(id, bytes);
            self.advance_nodes();
            return self.settle();
        }
        if matches!(input, Input::Tick) {
            self.notice_lateness();
            self.fire_deadlines();
        }
        self.forget_expired();
        match input {
            Input::Accepted { id, peer } => self.accept(id, peer, self.addresses.origin(peer)),
            Input::AcceptedProxy(id) => self.accept(id, LOOPBACK, Origin::Proxy(LOOPBACK)),
            Input::Received { id, bytes } => self.receive(id, bytes),
            Input::Writable(id) => self.unblock(id),
            Input::PeerEnded(id) => self.peer_ended(id),
            Input::Broken(id) => self.remove(id, CloseReason::PeerGone),
            Input::MailDone { mail, result } => self.mail_done(mail, result),
            Input::Wrote { .. } => {}
            Input::Tick => self.tick_nodes(),
            Input::KeepFailed => self.keep_failed(),
            Input::KeptAgain => self.has_told_of_failure = false,
            Input::Engine(say) => self.hear_engine(say),
            Input::Shutdown => self.shut_down(),
        }
        self.advance_nodes();
        self.settle();
        // Clients that were closed by that have left sessions.
        self.advance_nodes();
        self.say_changes();
    }

    /// The next output, if there is one.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front().or_else(|| self.next_to_write().map(Output::Write));
        output.or_else(|| {
            self.advance_nodes();
            self.stop_if_empty();
            self.outputs.pop_front()
        })
    }
}

#[cfg(test)]
mod tests;
