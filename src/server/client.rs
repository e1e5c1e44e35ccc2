//! One client, from its first byte to its last: one enum for its state, and one function that changes it.
//!
//! ```text
//!                     Upgrade           Join
//!   Streaming <---> Http -----> Guest -----> Member
//!       |            |            |            |
//!       +--- Close --+--- Close --+--- Close --+-----> Closing
//! ```
//! A client turns bytes into [`Event`]s and computes its own deadlines. It never touches users, the room's
//! presence or other clients: what an event means is for the server.

use super::client_addresses::{AddressId, Origin};
use super::connection::{Clock, Connection};
use super::line_stream::{LineStream, Progress};
use super::unfinished::Share;
use crate::base::frost::frost;
use crate::base::shared_throttle::SharedThrottle;
use crate::base::time::Moment;
use crate::close_reason::CloseReason;
use crate::http::request::{HeadReader, Request};
use crate::http::site::Refusal;
use crate::ids::ClientId;
use crate::limits::{
    BODY_TIMEOUT, CLOSE_TIMEOUT, DRAIN_TIMEOUT, FIRST_BYTE_TIMEOUT, GUEST_MESSAGE_BYTES_MAX, GUEST_TIMEOUT,
    HEAD_TIMEOUT, KEEP_ALIVE, LINE_BODY_BYTES_MAX, MEMBER_MESSAGE_BYTES_MAX, PROGRESS_TIMEOUT,
    RESTART_CLOSE_TIMEOUT, STREAM_BATCH_BYTES,
};
use crate::room::cursor::Torn;
use crate::room::log::{Position, Ring};
use crate::users::bots::BotId;
use crate::users::logins::FlowId;
use crate::users::names::UserId;
use crate::users::sessions::SessionId;
use crate::websocket::{self, Codec, Decoder, Fault};
use std::time::Duration;
use tungstenite::Bytes;

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) state: State,
    pub(crate) connection: Connection,
    /// Its client address, once known: a trusted proxy tells it with the request.
    pub(crate) address: Option<AddressId>,
    /// Whether the shell reads its socket, as far as it was told.
    pub(crate) is_read: bool,
    /// What it holds of the unfinished messages.
    pub(crate) unfinished: Share,
}

/// What a client is to the server.
#[derive(Debug)]
pub(crate) enum State {
    /// Sends HTTP requests.
    Http(Box<Http>),
    /// Is sent lines over HTTP, in answer to a request.
    Streaming(Box<Streaming>),
    /// A WebSocket before its login.
    Guest(Box<Guest>),
    /// A WebSocket that reads the room and may talk.
    Member(Member),
    /// Its last bytes are being sent; what it still sends is discarded.
    Closing(Closing),
}

#[derive(Debug)]
pub(crate) struct Http {
    origin: Origin,
    head: HeadReader,
    /// The body that is being received. Boxed, for few requests have one.
    body: Option<Box<PendingBody>>,
    /// The request whose answer is not known yet.
    asked: Option<Box<Request>>,
    waits_for: WaitsFor,
    until: Moment,
}

/// The body of a line that a bot says, as far as it has come.
#[derive(Debug)]
pub(crate) struct PendingBody {
    pub(crate) bot: BotId,
    pub(crate) request: Box<Request>,
    /// How long it will be.
    length: usize,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Streaming {
    http: Box<Http>,
    stream: LineStream,
    /// Whether requests may follow.
    keep_alive: bool,
}

/// What is overdue when an HTTP client sends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    FirstByte,
    Head,
    Body,
    NextRequest,
}

/// The login state of a guest.
#[derive(Debug)]
pub(crate) struct Guest {
    decoder: Decoder,
    until: Moment,
    /// The flow that began on this connection.
    pub(crate) flow: Option<FlowId>,
    pub(crate) wrong_tries: u8,
    pub(crate) mails: u8,
    pub(crate) throttle: SharedThrottle,
}

#[derive(Debug)]
pub(crate) struct Member {
    decoder: Decoder,
    pub(crate) membership: Membership,
}

/// A member's session, and where it began to read the room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    pub(crate) session: SessionId,
    pub(crate) user: UserId,
    pub(crate) start: Position,
}

#[derive(Debug)]
pub(crate) struct Closing {
    reason: CloseReason,
    until: Moment,
    drain: Drain,
    former: Former,
}

/// How closing goes on once the last byte is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// The peer of a WebSocket has until then to send its own close frame.
    CloseHandshake,
    /// Discard what an HTTP peer still sends for [`DRAIN_TIMEOUT`], or a reset could destroy the response.
    Discard,
    /// The last byte is sent, and the shell was asked to end its side.
    Ended,
}

/// What a closing client was before; the log tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Former {
    Http,
    Guest,
    Member,
}

#[derive(Debug)]
pub(crate) enum Transition {
    /// The opening handshake is answered; the guest has this long to log in.
    Upgrade {
        until: Moment,
    },
    /// The answer to a request is a stream of lines.
    Stream {
        stream: LineStream,
        keep_alive: bool,
    },
    /// The stream has ended; the next request has this long to come.
    EndStream {
        until: Moment,
    },
    /// The guest has logged in.
    Join(Membership),
    Close {
        reason: CloseReason,
        now: Moment,
    },
}

/// What a peer did that the server has to react to.
#[derive(Debug)]
pub(crate) enum Event {
    Request(Box<Request>),
    /// The whole body of a line that a bot says.
    Body(Box<PendingBody>),
    BadRequest(Refusal),
    /// A whole message, not checked to be UTF-8.
    Message(Bytes),
    /// The peer closed, or broke the protocol.
    Ended(CloseReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The first byte, the rest of a head or of a body, or the next request is overdue.
    Request,
    /// Time to send a ping.
    Ping,
    /// Time to show a reader of lines that the connection is alive.
    EmptyLine,
    /// The peer has been silent for too long.
    Silence,
    /// Time to try whether a full socket takes a few bytes.
    Probe,
    /// A full socket has taken nothing for too long.
    Progress,
    /// A pause in reading is over.
    Pause,
    /// A guest has not logged in in time.
    Guest,
    /// Closing has taken long enough.
    Closing,
}

/// What follows from a client's state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Kept input may be used now.
    UseInput(Vec<u8>),
    /// The peer sends nothing more, and everything it sent is used.
    Close(CloseReason),
    Remove(CloseReason),
    /// Nothing but flags and deadlines.
    Rest {
        /// End the sending side.
        end_writing: bool,
    },
}

frost!(struct Client { id, state, connection, address, is_read } but { unfinished: Share::default() });
frost!(enum State {
    0 = Http(http), 1 = Streaming(streaming), 2 = Guest(guest), 3 = Member(member), 4 = Closing(closing)
});
frost!(struct Http { origin, head, body, waits_for, until, asked });
frost!(struct PendingBody { bot, request, length, bytes });
frost!(struct Streaming { http, stream, keep_alive });
frost!(enum WaitsFor { 0 = FirstByte, 1 = Head, 2 = Body, 3 = NextRequest });
frost!(struct Guest { decoder, until, flow, wrong_tries, mails, throttle });
frost!(struct Member { decoder, membership });
frost!(struct Membership { session, user, start });
frost!(struct Closing { reason, until, drain, former });
frost!(enum Drain { 0 = CloseHandshake, 1 = Discard, 2 = Ended });
frost!(enum Former { 0 = Http, 1 = Guest, 2 = Member });

impl State {
    /// The one transition function. Returns the membership that ends, if one does.
    fn change(&mut self, transition: Transition) -> Option<Membership> {
        let placeholder = Self::closing(CloseReason::PeerGone, Moment::from_ms(0), Former::Http);
        let mut ended = None;
        *self = match (std::mem::replace(self, placeholder), transition) {
            (Self::Http(_), Transition::Upgrade { until }) => Self::Guest(Box::new(Guest {
                decoder: Decoder::default(),
                until,
                flow: None,
                wrong_tries: 0,
                mails: 0,
                throttle: SharedThrottle::default(),
            })),
            (Self::Http(http), Transition::Stream { stream, keep_alive }) => {
                Self::Streaming(Box::new(Streaming { http, stream, keep_alive }))
            }
            (Self::Streaming(streaming), Transition::EndStream { until }) => {
                Self::Http(Box::new(Http { until, waits_for: WaitsFor::NextRequest, ..*streaming.http }))
            }
            (Self::Guest(guest), Transition::Join(membership)) => {
                Self::Member(Member { decoder: guest.decoder, membership })
            }
            (Self::Http(_) | Self::Streaming(_), Transition::Close { reason, now }) => {
                Self::closing(reason, now, Former::Http)
            }
            (Self::Guest(_), Transition::Close { reason, now }) => Self::closing(reason, now, Former::Guest),
            (Self::Member(member), Transition::Close { reason, now }) => {
                ended = Some(member.membership);
                Self::closing(reason, now, Former::Member)
            }
            // Closing is final; the first reason stays.
            (
                state @ Self::Closing(_),
                Transition::Upgrade { .. }
                | Transition::Stream { .. }
                | Transition::EndStream { .. }
                | Transition::Join(_)
                | Transition::Close { .. },
            )
            // Only a request upgrades or is answered by a stream, and only a guest logs in.
            | (
                state @ (Self::Streaming(_) | Self::Guest(_) | Self::Member(_)),
                Transition::Upgrade { .. } | Transition::Stream { .. },
            )
            | (state @ (Self::Http(_) | Self::Guest(_) | Self::Member(_)), Transition::EndStream { .. })
            | (state @ (Self::Http(_) | Self::Streaming(_) | Self::Member(_)), Transition::Join(_)) => state,
        };
        ended
    }

    fn closing(reason: CloseReason, now: Moment, former: Former) -> Self {
        let (drain, within) = match former {
            Former::Http => (Drain::Discard, KEEP_ALIVE),
            Former::Guest | Former::Member => (Drain::CloseHandshake, CLOSE_TIMEOUT),
        };
        Self::Closing(Closing { reason, until: now.after(within), drain, former })
    }

    /// What the client is, or was before it began to close.
    pub(crate) const fn former(&self) -> Former {
        match self {
            Self::Http(_) | Self::Streaming(_) => Former::Http,
            Self::Guest(_) => Former::Guest,
            Self::Member(_) => Former::Member,
            Self::Closing(closing) => closing.former,
        }
    }
}

impl Client {
    pub(crate) fn new(id: ClientId, now: Moment, origin: Origin, address: Option<AddressId>) -> Self {
        let until = now.after(FIRST_BYTE_TIMEOUT);
        let head = HeadReader::default();
        let http = Http { origin, head, body: None, asked: None, waits_for: WaitsFor::FirstByte, until };
        Self {
            id,
            state: State::Http(Box::new(http)),
            connection: Connection::new(now),
            address,
            is_read: true,
            unfinished: Share::default(),
        }
    }

    /// Whether this is what a client can have become.
    pub(crate) fn is_sound(&self, log: &Ring) -> bool {
        let is_state_sound = match &self.state {
            State::Http(http) => http.is_sound(),
            State::Streaming(streaming) => streaming.http.is_sound() && streaming.stream.is_sound(log),
            State::Member(member) => member.membership.start <= log.end(),
            State::Guest(_) | State::Closing(_) => true,
        };
        is_state_sound && self.connection.outbox.is_sound(log)
    }

    /// The bot whose token began what the client is in the middle of: the body of a line. (A stream that
    /// follows the room is in the list of followers.)
    pub(crate) fn bot_of_body(&self) -> Option<BotId> {
        let State::Http(http) = &self.state else { return None };
        http.body.as_ref().map(|body| body.bot)
    }

    /// Where an HTTP client comes from.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let State::Http(http) = &self.state else { return None };
        Some(http.origin)
    }

    /// Whether it is sent lines over HTTP as they are said.
    pub(crate) fn is_follower(&self) -> bool {
        matches!(&self.state, State::Streaming(streaming) if streaming.stream.is_follow)
    }

    /// The guest's state; `None` for any other client.
    pub(crate) fn guest(&mut self) -> Option<&mut Guest> {
        let State::Guest(guest) = &mut self.state else { return None };
        Some(guest)
    }

    pub(crate) fn membership(&self) -> Option<Membership> {
        let State::Member(member) = &self.state else { return None };
        Some(member.membership)
    }

    pub(crate) const fn is_websocket(&self) -> bool {
        matches!(self.state, State::Guest(_) | State::Member(_))
    }

    pub(crate) const fn is_streaming(&self) -> bool {
        matches!(self.state, State::Streaming(_))
    }

    /// Waits for a body, of which nothing has come yet.
    pub(crate) fn await_body(&mut self, now: Moment, body: PendingBody) {
        if let State::Http(http) = &mut self.state {
            http.wait_for(WaitsFor::Body, now);
            http.body = Some(Box::new(body));
        }
    }

    /// Keeps a request for its answer.
    pub(crate) fn await_answer(&mut self, request: Box<Request>) {
        if let State::Http(http) = &mut self.state {
            http.asked = Some(request);
        }
    }

    /// The request that waits for its answer.
    pub(crate) fn take_asked(&mut self) -> Option<Box<Request>> {
        let State::Http(http) = &mut self.state else { return None };
        http.asked.take()
    }

    /// Begins to send lines, behind what is queued already.
    pub(crate) fn begin_stream(&mut self, stream: LineStream, keep_alive: bool) {
        self.state.change(Transition::Stream { stream, keep_alive });
    }

    /// Makes a stream that follows the room end there.
    pub(crate) fn end_stream_at(&mut self, end: Position) {
        if let State::Streaming(streaming) = &mut self.state {
            streaming.stream.stop.get_or_insert(end);
        }
    }

    /// Goes on to the next request, behind a stream whose end is queued. False: none may follow.
    pub(crate) fn end_stream(&mut self, now: Moment) -> bool {
        let keep_alive = matches!(&self.state, State::Streaming(streaming) if streaming.keep_alive);
        if keep_alive {
            self.state.change(Transition::EndStream { until: now.after(KEEP_ALIVE) });
        }
        keep_alive
    }

    /// Whether lines should be queued: there are some, and the socket has taken nearly all before them.
    pub(crate) fn wants_lines(&self, log: &Ring) -> bool {
        let State::Streaming(streaming) = &self.state else { return false };
        self.connection.may_write()
            && self.connection.outbox.private_bytes() < STREAM_BATCH_BYTES
            && streaming.stream.is_due(log)
    }

    /// Queues the next lines of a stream.
    pub(crate) fn fill_stream(&mut self, now: Moment, log: &Ring) -> Progress {
        let State::Streaming(streaming) = &mut self.state else { return Progress::GoesOn };
        let (mut bytes, mut lines) = (Vec::new(), Vec::new());
        let progress = streaming.stream.fill(now, log, &mut bytes, &mut lines);
        self.connection.outbox.push_lines(&bytes, lines);
        progress
    }

    pub(crate) fn queue_empty_line(&mut self, now: Moment, log: &Ring) {
        if let State::Streaming(streaming) = &mut self.state {
            let mut bytes = Vec::new();
            streaming.stream.write_empty_line(now, &mut bytes);
            self.connection.outbox.push(&bytes, log);
        }
    }

    /// Whether there is something to write that the socket may take.
    pub(crate) fn can_write(&self, log: &Ring) -> bool {
        self.connection.may_write() && self.connection.outbox.has_unsent(log) || self.wants_lines(log)
    }

    /// Answers a request with the server's half of the opening handshake: from here on the peer speaks
    /// WebSocket.
    pub(crate) fn upgrade(&mut self, now: Moment, head: &[u8], log: &Ring) {
        self.connection.outbox.push(head, log);
        self.state.change(Transition::Upgrade { until: now.after(GUEST_TIMEOUT) });
    }

    /// Makes a guest a member that reads the room from its start on.
    pub(crate) fn join(&mut self, membership: Membership) {
        self.state.change(Transition::Join(membership));
        self.connection.outbox.follow(membership.start);
    }

    /// Begins to close: queues a close frame if the reason has a code, and discards input from here on.
    /// Returns the membership that ends, if one does.
    pub(crate) fn close(&mut self, now: Moment, reason: CloseReason, log: &Ring) -> Option<Membership> {
        if self.is_closing() {
            return None;
        }
        let is_websocket = self.is_websocket();
        let outbox = &mut self.connection.outbox;
        outbox.drop_control_frames();
        // On shutdown a member still gets every line up to the last one.
        if reason != CloseReason::Restarting {
            outbox.unfollow();
        }
        if is_websocket && let Some(code) = reason.code() {
            outbox.push(&websocket::close_frame(code), log);
        }
        self.connection.drop_input();
        let membership = self.state.change(Transition::Close { reason, now });
        if self.connection.is_full() {
            self.extend_by_progress(now);
        }
        membership
    }

    /// Uses received bytes until there is an event. Returns how many bytes were used; without an event these
    /// are all of them, or the rest must wait.
    pub(crate) fn receive(
        &mut self,
        now: Moment,
        bytes: &[u8],
        codec: &mut Codec,
        log: &Ring,
    ) -> (usize, Option<Event>) {
        match &mut self.state {
            State::Http(http) => http.receive(now, bytes),
            State::Guest(_) | State::Member(_) => self.receive_frames(now, bytes, codec, log),
            // No request follows one that follows the room.
            State::Streaming(_) | State::Closing(_) => (bytes.len(), None),
        }
    }

    fn receive_frames(
        &mut self,
        now: Moment,
        bytes: &[u8],
        codec: &mut Codec,
        log: &Ring,
    ) -> (usize, Option<Event>) {
        let mut used = 0;
        while used < bytes.len() && self.may_use_input() {
            let (decoder, bytes_max) = match &mut self.state {
                State::Guest(guest) => (&mut guest.decoder, GUEST_MESSAGE_BYTES_MAX),
                State::Member(member) => (&mut member.decoder, MEMBER_MESSAGE_BYTES_MAX),
                State::Http(_) | State::Streaming(_) | State::Closing(_) => return (bytes.len(), None),
            };
            let (taken, event) = decoder.decode(codec, &bytes[used..], bytes_max);
            used += taken;
            match event {
                None => {}
                Some(Ok(websocket::Event::Message(message))) => return (used, Some(Event::Message(message))),
                Some(Ok(websocket::Event::Pong | websocket::Event::Fragment)) => {
                    self.connection.read_throttle.charge_frame(now);
                }
                Some(Ok(websocket::Event::Ping(pong))) => {
                    self.connection.outbox.pong(&pong);
                    self.connection.read_throttle.charge_frame(now);
                }
                Some(Ok(websocket::Event::Close(answer))) => {
                    self.connection.outbox.unfollow();
                    self.connection.outbox.push(&answer, log);
                    return (used, Some(Event::Ended(CloseReason::PeerClosed)));
                }
                Some(Err(fault)) => return (used, Some(Event::Ended(fault.into()))),
            }
        }
        (used, None)
    }

    /// Whether received bytes may be used now: not during a pause, not while the peer leaves many replies
    /// unread, and no request before the answer to the last one has ended. The input of a closing client, and
    /// of one that follows the room, is discarded at once.
    pub(crate) fn may_use_input(&self) -> bool {
        match &self.state {
            State::Closing(_) => true,
            State::Streaming(streaming) => streaming.stream.is_follow,
            State::Http(_) | State::Guest(_) | State::Member(_) => self.connection.may_use_input(),
        }
    }

    /// Whether the shell should read the socket.
    pub(crate) fn wants_read(&self) -> bool {
        !self.connection.peer_ended && !self.connection.has_kept() && self.may_use_input()
    }

    pub(crate) const fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing(_))
    }

    pub(crate) const fn close_reason(&self) -> Option<CloseReason> {
        let State::Closing(closing) = &self.state else { return None };
        Some(closing.reason)
    }

    /// Bytes of an unfinished message or body that have arrived.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        let bytes = match &self.state {
            State::Guest(guest) => guest.decoder.unfinished_bytes(),
            State::Member(member) => member.decoder.unfinished_bytes(),
            State::Http(http) => http.body.as_ref().map(|body| body.bytes.len()),
            State::Streaming(_) | State::Closing(_) => None,
        };
        bytes.unwrap_or(0)
    }

    /// Accounts for a write: the socket took `taken` of the bytes that were offered last.
    ///
    /// # Errors
    /// The stream is torn inside a frame: the log has overwritten its rest between the offer and now.
    pub(crate) fn wrote(&mut self, now: Moment, taken: usize, log: &Ring) -> Result<(), Torn> {
        let was_held_back = self.is_held_back();
        self.connection.wrote(now, taken, log)?;
        if taken > 0 {
            self.extend_by_progress(now);
        }
        if was_held_back && !self.is_held_back() {
            self.connection.hear(now);
        }
        Ok(())
    }

    /// A peer that takes bytes has the whole wait again for what comes next. A slow reader takes a close
    /// frame only after what its full socket holds.
    fn extend_by_progress(&mut self, now: Moment) {
        let close_timeout = if self.connection.is_full() { PROGRESS_TIMEOUT } else { CLOSE_TIMEOUT };
        let (until, wait) = match &mut self.state {
            // A body has to come in time, whatever the peer takes meanwhile.
            State::Http(http) if http.waits_for == WaitsFor::Body => return,
            State::Http(http) => (&mut http.until, http.waits_for.timeout()),
            State::Closing(Closing { until, drain: Drain::CloseHandshake, .. }) => (until, close_timeout),
            State::Closing(Closing { until, drain: Drain::Discard, .. }) => (until, KEEP_ALIVE),
            State::Streaming(_)
            | State::Guest(_)
            | State::Member(_)
            | State::Closing(Closing { drain: Drain::Ended, .. }) => return,
        };
        *until = now.after(wait).max(*until);
    }

    /// Whether the server does not read the client because it leaves replies unread, or because the log that
    /// nodes share is behind: then it is judged by its progress, not by its silence.
    fn is_held_back(&self) -> bool {
        !self.is_closing() && (self.connection.has_many_replies() || self.connection.is_held)
    }

    /// Derives what follows from the state. Called after every change, once per call of the server.
    pub(crate) fn next_step(&mut self, now: Moment, log: &Ring) -> Step {
        if self.connection.has_kept() && self.may_use_input() {
            return Step::UseInput(self.connection.take_kept());
        }
        let is_exhausted = self.connection.peer_ended && !self.connection.has_kept();
        match &mut self.state {
            State::Http(_) if is_exhausted => Step::Close(CloseReason::HttpDone),
            State::Streaming(streaming) if is_exhausted && streaming.stream.is_follow => {
                Step::Remove(CloseReason::PeerGone)
            }
            State::Guest(_) | State::Member(_) if is_exhausted => Step::Remove(CloseReason::PeerGone),
            State::Closing(closing) => {
                let end_writing = closing.drain != Drain::Ended && !self.connection.outbox.has_unsent(log);
                if end_writing {
                    if closing.reason == CloseReason::Restarting {
                        closing.until = now.after(RESTART_CLOSE_TIMEOUT);
                    } else if closing.drain == Drain::Discard {
                        closing.until = now.after(DRAIN_TIMEOUT);
                    } else {
                        closing.until = closing.until.min(now.after(CLOSE_TIMEOUT));
                    }
                    closing.drain = Drain::Ended;
                }
                let is_over = closing.drain == Drain::Ended && self.connection.peer_ended;
                if is_over { Step::Remove(closing.reason) } else { Step::Rest { end_writing } }
            }
            State::Http(_) | State::Streaming(_) | State::Guest(_) | State::Member(_) => {
                Step::Rest { end_writing: false }
            }
        }
    }

    /// All deadlines that are set. No peer is judged before `judge_from`.
    fn timers(&self, clock: Clock) -> [(Timer, Option<Moment>); 9] {
        let is_read = !self.is_held_back();
        let (mut request, mut closing, mut guest, mut empty_line, mut is_open) =
            (None, None, None, None, false);
        match &self.state {
            State::Http(http) => request = is_read.then_some(http.until),
            State::Streaming(streaming) => {
                let is_silent = streaming.stream.is_follow && !self.connection.outbox.has_private();
                empty_line = is_silent.then(|| streaming.stream.queued.after(clock.ping_after));
            }
            State::Guest(state) => (guest, is_open) = (Some(state.until), is_read),
            State::Member(_) => is_open = is_read,
            State::Closing(state) => closing = Some(state.until),
        }
        let judged = |moment: Moment| moment.max(clock.judge_from);
        let connection = &self.connection;
        [
            (Timer::Request, request.map(judged)),
            (Timer::Ping, is_open.then(|| connection.next_ping(clock.ping_after))),
            (Timer::EmptyLine, empty_line),
            (Timer::Silence, is_open.then(|| judged(connection.silent_until()))),
            (Timer::Probe, connection.next_probe()),
            (Timer::Progress, connection.full_since().map(|since| judged(since.after(PROGRESS_TIMEOUT)))),
            (Timer::Pause, connection.read_throttle.paused_until()),
            (Timer::Guest, guest.map(judged)),
            (Timer::Closing, closing.map(judged)),
        ]
    }

    pub(crate) fn next_deadline(&self, clock: Clock) -> Option<Moment> {
        self.timers(clock).into_iter().filter_map(|(_, moment)| moment).min()
    }

    /// A deadline that has passed.
    pub(crate) fn expired(&self, now: Moment, clock: Clock) -> Option<Timer> {
        let mut timers = self.timers(clock).into_iter();
        timers.find_map(|(timer, moment)| moment.is_some_and(|moment| moment <= now).then_some(timer))
    }

    /// Whether a request has begun and not ended.
    pub(crate) fn is_in_request(&self) -> bool {
        matches!(&self.state, State::Http(http) if matches!(http.waits_for, WaitsFor::Head | WaitsFor::Body))
    }

    /// Whether the head of a request has ended, and its body has not.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(&self.state, State::Http(http) if http.waits_for == WaitsFor::Body)
    }
}

impl Http {
    fn is_sound(&self) -> bool {
        let is_body_sound = match &self.body {
            None => self.waits_for != WaitsFor::Body,
            Some(body) => {
                self.waits_for == WaitsFor::Body
                    && !self.head.has_begun()
                    && !body.is_whole()
                    && body.length <= LINE_BODY_BYTES_MAX
            }
        };
        is_body_sound && self.head.is_sound()
    }

    fn wait_for(&mut self, what: WaitsFor, now: Moment) {
        (self.waits_for, self.until) = (what, now.after(what.timeout()));
    }

    fn receive(&mut self, now: Moment, bytes: &[u8]) -> (usize, Option<Event>) {
        if let Some(body) = &mut self.body {
            let used = body.receive(bytes);
            let body = self.body.take_if(|body| body.is_whole());
            if body.is_some() {
                self.wait_for(WaitsFor::NextRequest, now);
            }
            return (used, body.map(Event::Body));
        }
        let (used, head) = self.head.read(bytes);
        match head {
            Some(Ok(request)) => {
                self.wait_for(WaitsFor::NextRequest, now);
                (used, Some(Event::Request(Box::new(request))))
            }
            Some(Err(error)) => (used, Some(Event::BadRequest(error.into()))),
            None => {
                if self.head.has_begun() && self.waits_for != WaitsFor::Head {
                    self.wait_for(WaitsFor::Head, now);
                }
                (used, None)
            }
        }
    }
}

impl PendingBody {
    pub(crate) fn new(bot: BotId, length: usize, request: Box<Request>) -> Self {
        Self { bot, request, length, bytes: Vec::new() }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.bytes.len() >= self.length
    }

    /// Takes what belongs to the body. Returns how many bytes that is.
    fn receive(&mut self, bytes: &[u8]) -> usize {
        let missing = self.length.saturating_sub(self.bytes.len());
        let own = bytes.get(..missing).unwrap_or(bytes);
        self.bytes.extend_from_slice(own);
        own.len()
    }
}

impl WaitsFor {
    const fn timeout(self) -> Duration {
        match self {
            Self::FirstByte => FIRST_BYTE_TIMEOUT,
            Self::Head => HEAD_TIMEOUT,
            Self::Body => BODY_TIMEOUT,
            Self::NextRequest => KEEP_ALIVE,
        }
    }
}

impl From<Fault> for CloseReason {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Protocol => Self::ProtocolError,
            Fault::NotUtf8 => Self::NotUtf8,
            Fault::TooBig => Self::TooBig,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::lines::{Form, Framing};
    use std::mem::discriminant;

    fn membership() -> Membership {
        let (session, user) = (SessionId::made_up(1), UserId::made_up(2));
        Membership { session, user, start: Position::default() }
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Http,
        Streaming,
        Guest,
        Member,
        Closing,
    }

    fn stream() -> Transition {
        let stream = LineStream {
            form: Form::Json,
            framing: Framing::Chunked,
            cursor: Position::default(),
            stop: None,
            left: 0,
            has_gap: false,
            is_follow: true,
            queued: Moment::from_ms(0),
        };
        Transition::Stream { stream, keep_alive: true }
    }

    fn upgrade() -> Transition {
        Transition::Upgrade { until: Moment::from_ms(9) }
    }

    fn close(reason: CloseReason) -> Transition {
        Transition::Close { reason, now: Moment::from_ms(5) }
    }

    fn state(kind: Kind) -> State {
        let mut state = Client::new(ClientId::new(0, 0), Moment::from_ms(0), Origin::Local, None).state;
        match kind {
            Kind::Http => {}
            Kind::Streaming => drop(state.change(stream())),
            Kind::Guest => drop(state.change(upgrade())),
            Kind::Member => {
                state.change(upgrade());
                state.change(Transition::Join(membership()));
            }
            Kind::Closing => drop(state.change(close(CloseReason::Left))),
        }
        state
    }

    /// Every state, every transition: the state after it, whether a membership ends, and what a closing
    /// client was.
    #[test]
    fn a_client_goes_from_http_to_streams_and_back_or_to_guest_and_member_and_closes_once() {
        use Kind::{Closing, Guest, Http, Member, Streaming};
        let rows = [
            // From: Upgrade, Stream, EndStream, Join.
            (Http, [Guest, Streaming, Http, Http], Former::Http),
            (Streaming, [Streaming, Streaming, Http, Streaming], Former::Http),
            (Guest, [Guest, Guest, Guest, Member], Former::Guest),
            (Member, [Member, Member, Member, Member], Former::Member),
            (Closing, [Closing, Closing, Closing, Closing], Former::Http),
        ];
        for (from, expected, former) in rows {
            let transitions = || {
                let until = Moment::from_ms(9);
                [upgrade(), stream(), Transition::EndStream { until }, Transition::Join(membership())]
            };
            for (transition, expected) in transitions().into_iter().zip(expected) {
                let (mut state, row) = (state(from), format!("{from:?} {transition:?}"));
                assert!(state.change(transition).is_none(), "{row}");
                assert_eq!(discriminant(&state), discriminant(&self::state(expected)), "{row}");
            }
            let mut closing = state(from);
            assert_eq!(closing.change(close(CloseReason::Left)).is_some(), from == Member, "{from:?}");
            assert_eq!(closing.former(), former, "{from:?}");
            for again in transitions().into_iter().chain([close(CloseReason::Silent)]) {
                assert!(closing.change(again).is_none());
                assert!(matches!(&closing, State::Closing(closing) if closing.reason == CloseReason::Left));
            }
        }
    }
}
