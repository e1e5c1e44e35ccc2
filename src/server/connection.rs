//! One connection, without its socket: HTTP at first, then perhaps a WebSocket, then its end.
//!
//! ```text
//!            request            upgrade               close, fault, deadline
//!   Http <------------> Http ----------> Open(WebSocket) ----------------------> Ending
//!     \______________________________________________________ bad request ________/
//! ```
//! It turns bytes into [`Event`]s and answers what needs no chat by itself: HTTP requests, pings, closes. It knows nothing of
//! people. Its deadlines are optional moments, listed in one place, `timers`.

use crate::base::time::Moment;
use crate::close_reason::CloseReason;
use crate::http::request::{HeadReader, Request};
use crate::http::site::Refusal;
use crate::limits::{
    CLOSE_TIMEOUT, DRAIN_TIMEOUT, FIRST_BYTE_TIMEOUT, GUEST_TIMEOUT, HEAD_TIMEOUT, KEEP_ALIVE,
    PRIVATE_UNSENT_BYTES_MAX, PROBE_BYTES, PROBE_EVERY, PROGRESS_TIMEOUT, SILENCE_MAX,
    STEADY_BYTES_PER_SECOND, UNSENT_BYTES_MAX, WRITE_SHARE_BYTES,
};
use crate::message::ServerMessage;
use crate::room::cursor::{Outbox, Torn, Unsent};
use crate::room::log::{Position, Ring};
use crate::server::read_throttle::{ReadThrottle, TooFast};
use crate::websocket::{self, Codec, Decoder, Fault, TextFrame};
use std::time::Duration;
use tungstenite::Bytes;

/// What a peer did that the server has to know of.
#[derive(Debug)]
pub(crate) enum Event {
    /// A request, to be answered.
    Request(Box<Request>),
    /// Bytes that are no request were answered with this status.
    Refused(u16),
    /// A whole message. Its bytes may be a binary frame's, which nobody has looked at yet.
    Message(Bytes),
}

/// A deadline of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The first byte, the rest of a head, or the next request is overdue.
    Request,
    /// Time to ask whether anybody is there.
    Ping,
    /// Nobody is there.
    Silence,
    /// Time to try whether a full socket takes a few bytes.
    Probe,
    /// The socket takes nothing.
    Progress,
    /// A slowed connection may go on.
    Pause,
    /// A guest was one for too long.
    Guest,
    /// The end has taken long enough.
    End,
}

/// What the deadlines of all connections depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// Silence after which a peer is pinged.
    pub(crate) ping_after: Duration,
    /// Before this no peer is judged for what it did not do in time: the server itself was late, and has not read everything yet.
    pub(crate) judge_from: Moment,
}

/// One connection, without its socket.
#[derive(Debug)]
pub(crate) struct Connection {
    state: State,
    outbox: Outbox,
    /// Bytes that were received and may not be used yet.
    kept: Vec<u8>,
    /// When the peer was last heard, or the server began to read it again.
    heard: Moment,
    /// Bytes that the socket took since then: the peer has to read them before it comes to a ping.
    written: u32,
    pinged: Option<Moment>,
    /// A full socket. Boxed, for most are not.
    blocked: Option<Box<Blocked>>,
    guest_until: Option<Moment>,
    read_throttle: ReadThrottle,
    peer_ended: bool,
}

#[derive(Debug)]
enum State {
    Http(Box<Http>),
    Open(Decoder),
    Ending { reason: CloseReason, until: Moment, drain: Drain },
}

/// A socket that took fewer bytes than it was offered.
#[derive(Debug)]
struct Blocked {
    /// When it last took a byte.
    since: Moment,
    /// When it was last tried.
    tried: Moment,
    /// It is being tried: it may be offered a few bytes before it is writable.
    is_probed: bool,
    /// It was filled to the brim: from then on each byte that it takes is one that the peer took.
    is_level: bool,
}

/// How an end goes on once the last byte is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// The peer of a WebSocket has until then for its own close.
    CloseHandshake,
    /// What an HTTP peer still sends is dropped for [`DRAIN_TIMEOUT`], or the answer may be lost in a reset.
    Discard,
    /// The last byte is out, and the shell was told.
    Told,
}

#[derive(Debug)]
struct Http {
    head: HeadReader,
    waits_for: WaitsFor,
    until: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    FirstByte,
    Head,
    NextRequest,
}

impl WaitsFor {
    const fn wait(self) -> Duration {
        match self {
            Self::FirstByte => FIRST_BYTE_TIMEOUT,
            Self::Head => HEAD_TIMEOUT,
            Self::NextRequest => KEEP_ALIVE,
        }
    }
}

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(now: Moment) -> Self {
        let until = now.after(FIRST_BYTE_TIMEOUT);
        let http = Http { head: HeadReader::default(), waits_for: WaitsFor::FirstByte, until };
        Self {
            state: State::Http(Box::new(http)),
            outbox: Outbox::default(),
            kept: Vec::new(),
            heard: now,
            written: 0,
            pinged: None,
            blocked: None,
            guest_until: None,
            read_throttle: ReadThrottle::default(),
            peer_ended: false,
        }
    }

    /// Takes bytes until something happens that the server has to hear of. Returns how many it used. `None`: all bytes
    /// were used, the connection is ending, or its input must wait.
    pub(crate) fn receive(
        &mut self,
        log: &Ring,
        codec: &mut Codec,
        now: Moment,
        bytes: &[u8],
        message_bytes_max: usize,
    ) -> (usize, Option<Event>) {
        match &mut self.state {
            State::Http(_) => self.receive_http(log, now, bytes),
            State::Open(_) => self.receive_frames(log, codec, now, bytes, message_bytes_max),
            State::Ending { .. } => (bytes.len(), None),
        }
    }

    /// Notes that the peer was heard.
    pub(crate) fn hear(&mut self, now: Moment) {
        (self.heard, self.written) = (now, 0);
    }

    /// Keeps bytes that may not be used yet, behind those that are kept already.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
    }

    /// Gives back the kept bytes.
    pub(crate) fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// Bytes that are kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.len()
    }

    /// Bytes of its own that its peer has not fetched.
    pub(crate) fn private_bytes(&self) -> usize {
        self.outbox.private_bytes()
    }

    /// Bytes held for its peer alone.
    pub(crate) fn held_bytes(&self) -> usize {
        self.outbox.held_bytes()
    }

    /// Whether bytes are kept.
    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether received bytes may be used now: not while the connection is slowed, nor while it does not fetch its answers. Of
    /// one that ends they are dropped, and nothing is kept.
    pub(crate) fn may_use_input(&self) -> bool {
        let fetches_answers = self.private_bytes() <= PRIVATE_UNSENT_BYTES_MAX;
        self.is_ending() || (self.read_throttle.paused_until().is_none() && fetches_answers)
    }

    /// Whether the shell should read its socket.
    pub(crate) fn wants_read(&self) -> bool {
        !self.peer_ended && self.kept.is_empty() && self.may_use_input()
    }

    /// Counts a message that is used.
    pub(crate) fn count_message(&mut self) {
        self.read_throttle.count_message();
    }

    /// Charges for a message like for a frame that is none.
    pub(crate) fn charge_frame(&mut self, now: Moment) {
        self.read_throttle.charge_frame(now);
    }

    /// Whether its input has waited for its turn, and this is it. True once.
    pub(crate) fn take_slot(&mut self) -> bool {
        self.read_throttle.take_slot()
    }

    /// Its input waits for its turn.
    ///
    /// # Errors
    /// It was too fast for too long.
    pub(crate) fn wait_for_turn(&mut self, now: Moment, turn: Moment) -> Result<(), CloseReason> {
        self.read_throttle.wait_for_turn(now, turn).map_err(|TooFast| CloseReason::TooFast)
    }

    /// Uses nothing more of what the peer sends until then.
    pub(crate) fn pause(&mut self, until: Moment) {
        self.read_throttle.pause(until);
    }

    /// Ends a pause. The peer could not be heard meanwhile.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.read_throttle.resume(now);
        self.hear(now);
    }

    /// Sends a finished frame to this connection alone, after everything that the room has said so far.
    pub(crate) fn send_frame(&mut self, ring: &Ring, frame: &[u8]) {
        self.outbox.push(frame, ring);
    }

    /// Sends a message to this connection alone, after everything that the room has said so far.
    pub(crate) fn send(&mut self, log: &Ring, frames: &mut TextFrame, message: &ServerMessage<'_>) {
        let frame = frames.build(|out| message.write(out));
        self.outbox.push(frame, log);
    }

    /// Sends a message to this connection alone, between two lines of the room.
    pub(crate) fn send_at(&mut self, frames: &mut TextFrame, place: Position, message: &ServerMessage<'_>) {
        let frame = frames.build(|out| message.write(out));
        self.outbox.push_at(place, frame);
    }

    /// Makes the connection a reader of the room, from a place on. It is no guest any more.
    pub(crate) fn follow(&mut self, from: Position) {
        self.outbox.follow(from);
        self.guest_until = None;
    }

    /// Queues a ping.
    pub(crate) fn ping(&mut self, now: Moment) {
        self.outbox.ping();
        self.pinged = Some(now);
    }

    /// Begins the end: a close frame where the reason has a code, then the end of writing, then a wait for the peer's end.
    pub(crate) fn end(&mut self, log: &Ring, now: Moment, reason: CloseReason) {
        if self.is_ending() {
            return;
        }
        let is_open = matches!(self.state, State::Open(_));
        self.outbox.drop_control_frames();
        if reason != CloseReason::Restarting {
            self.outbox.unfollow();
        }
        if is_open && let Some(code) = reason.code() {
            self.outbox.push(&websocket::close_frame(code), log);
        }
        let (within, drain) =
            if is_open { (CLOSE_TIMEOUT, Drain::CloseHandshake) } else { (KEEP_ALIVE, Drain::Discard) };
        self.state = State::Ending { reason, until: now.after(within), drain };
        self.kept = Vec::new();
        self.read_throttle = ReadThrottle::default();
        self.guest_until = None;
    }

    /// Answers without a request, and ends.
    pub(crate) fn refuse(&mut self, log: &Ring, now: Moment, refusal: Refusal, reason: CloseReason) {
        let mut response = Vec::new();
        refusal.write(&mut response);
        self.outbox.push(&response, log);
        self.end(log, now, reason);
    }

    /// Notes that the peer will send nothing more.
    pub(crate) fn peer_ended(&mut self) {
        self.peer_ended = true;
    }

    /// Whether the peer will send nothing more and all that it sent is used.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.peer_ended && self.kept.is_empty()
    }

    /// Bytes of the message in whose middle the peer stands, as far as they have arrived; `None`: it stands in none.
    pub(crate) fn unfinished_bytes(&self) -> Option<usize> {
        match &self.state {
            State::Open(decoder) => decoder.unfinished_bytes(),
            State::Http(_) | State::Ending { .. } => None,
        }
    }

    /// Whether the end has begun.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending { .. })
    }

    /// Why it ends, once it does.
    pub(crate) fn reason(&self) -> Option<CloseReason> {
        match self.state {
            State::Ending { reason, .. } => Some(reason),
            State::Http(_) | State::Open(_) => None,
        }
    }

    /// Whether the last byte is out, so that the shell may end its side. True once.
    pub(crate) fn ends_writing(&mut self, ring: &Ring, now: Moment) -> bool {
        let State::Ending { until, drain, .. } = &mut self.state else { return false };
        if *drain == Drain::Told || self.outbox.has_unsent(ring) {
            return false;
        }
        if *drain == Drain::Discard {
            *until = now.after(DRAIN_TIMEOUT);
        }
        *drain = Drain::Told;
        true
    }

    /// Whether both sides have ended.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Ending { drain: Drain::Told, .. }) && self.peer_ended
    }

    /// Whether the ring has overtaken it.
    pub(crate) fn is_lapped(&self, ring: &Ring) -> bool {
        self.outbox.is_lapped(ring)
    }

    /// Gives up what it has not read of the room.
    pub(crate) fn unfollow(&mut self) {
        self.outbox.unfollow();
    }

    /// Whether there is something to write.
    pub(crate) fn has_unsent(&self, ring: &Ring) -> bool {
        self.outbox.has_unsent(ring)
    }

    /// Whether there is something to write and the socket may take it.
    pub(crate) fn can_write(&self, ring: &Ring) -> bool {
        self.blocked.as_ref().is_none_or(|blocked| blocked.is_probed) && self.has_unsent(ring)
    }

    /// Whether the socket was full when it was last written to.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// The socket takes bytes again.
    pub(crate) fn unblock(&mut self) {
        self.blocked = None;
    }

    /// Lets a full socket be tried with a few bytes.
    pub(crate) fn probe(&mut self, now: Moment) {
        if let Some(blocked) = &mut self.blocked {
            (blocked.tried, blocked.is_probed) = (now, true);
        }
    }

    /// Whether bytes of its own are waiting.
    pub(crate) fn has_private(&self) -> bool {
        self.outbox.has_private()
    }

    /// What the shell may write now; of the ring nothing where it has lapped the connection.
    pub(crate) fn unsent<'a>(&'a mut self, ring: &'a Ring) -> Unsent<'a> {
        let is_probe = self.blocked.as_ref().is_some_and(|blocked| blocked.is_probed);
        self.outbox.unsent(ring, if is_probe { PROBE_BYTES } else { WRITE_SHARE_BYTES })
    }

    /// Books how many of the bytes that were offered last the socket took. Fewer than all: it is full.
    ///
    /// # Errors
    /// The stream is torn within a frame: the ring has lapped the connection between the offer and now.
    pub(crate) fn wrote(&mut self, ring: &Ring, now: Moment, taken: usize) -> Result<(), Torn> {
        let was_held_back = self.is_held_back();
        let took_all = self.outbox.wrote(ring, taken)?;
        self.blocked = match (self.blocked.take(), took_all) {
            // Whoever has taken everything owes no progress: the kernel may report room only after PROGRESS_TIMEOUT.
            (Some(_), true) if !self.has_unsent(ring) => None,
            // Only an event says that there is room for more than a probe, which goes on until it is not taken whole.
            (Some(mut blocked), took_all) if blocked.is_probed || !took_all => {
                if taken > 0 && blocked.is_level {
                    blocked.since = now;
                }
                blocked.is_probed &= took_all && taken > 0;
                blocked.is_level |= !took_all;
                Some(blocked)
            }
            (_, true) => None,
            (_, false) => {
                Some(Box::new(Blocked { since: now, tried: now, is_probed: false, is_level: false }))
            }
        };
        if taken > 0 {
            self.written = self.written.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
            self.extend_by_progress(now);
        }
        if was_held_back && !self.is_held_back() {
            self.hear(now);
        }
        Ok(())
    }

    /// A peer that takes what it is sent has as long as before for what comes next.
    fn extend_by_progress(&mut self, now: Moment) {
        let (until, wait) = match &mut self.state {
            State::Http(http) => {
                let wait = http.waits_for.wait();
                (&mut http.until, wait)
            }
            State::Ending { until, drain: Drain::CloseHandshake, .. } => (until, CLOSE_TIMEOUT),
            State::Ending { until, drain: Drain::Discard, .. } => (until, KEEP_ALIVE),
            State::Open(_) | State::Ending { drain: Drain::Told, .. } => return,
        };
        *until = now.after(wait).max(*until);
    }

    /// Whether the server does not read the peer because that does not take its answers: it is judged by its progress, not by
    /// its silence.
    fn is_held_back(&self) -> bool {
        !self.is_ending() && self.private_bytes() > PRIVATE_UNSENT_BYTES_MAX
    }

    /// All deadlines, where they are set. No peer is judged before `judge_from`.
    fn timers(&self, clock: Clock) -> [(Timer, Option<Moment>); 8] {
        let is_read = !self.is_held_back();
        let (request, end, is_open) = match &self.state {
            State::Http(http) => (is_read.then_some(http.until), None, false),
            State::Open(_) => (None, None, is_read),
            State::Ending { until, .. } => (None, Some(*until), false),
        };
        let heard = self.read_throttle.paused_until().map_or(self.heard, |until| self.heard.max(until));
        let asked = self.pinged.map_or(heard, |pinged| heard.max(pinged));
        let unread = u64::from(self.written.min(UNSENT_BYTES_MAX));
        let silence_max = SILENCE_MAX + Duration::from_secs(unread / STEADY_BYTES_PER_SECOND);
        let blocked = self.blocked.as_ref();
        let judged = |moment: Moment| moment.max(clock.judge_from);
        [
            (Timer::Request, request.map(judged)),
            (Timer::Ping, is_open.then(|| asked.after(clock.ping_after))),
            (Timer::Silence, is_open.then(|| judged(heard.after(silence_max)))),
            (
                Timer::Probe,
                blocked.filter(|blocked| !blocked.is_probed).map(|blocked| blocked.tried.after(PROBE_EVERY)),
            ),
            (Timer::Progress, blocked.map(|blocked| judged(blocked.since.after(PROGRESS_TIMEOUT)))),
            (Timer::Pause, self.read_throttle.paused_until()),
            (Timer::Guest, self.guest_until.map(judged)),
            (Timer::End, end.map(judged)),
        ]
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self, clock: Clock) -> Option<Moment> {
        self.timers(clock).into_iter().filter_map(|(_, moment)| moment).min()
    }

    /// A deadline that has come.
    pub(crate) fn expired(&self, now: Moment, clock: Clock) -> Option<Timer> {
        let mut timers = self.timers(clock).into_iter();
        timers.find_map(|(timer, moment)| moment.is_some_and(|moment| moment <= now).then_some(timer))
    }

    /// The wait for a request is over: a half head gets an answer, silence none.
    pub(crate) fn request_is_overdue(&mut self, log: &Ring, now: Moment) {
        match &self.state {
            State::Http(http) if http.waits_for == WaitsFor::Head => {
                self.refuse(log, now, Refusal::Timeout, CloseReason::BadRequest);
            }
            State::Http(_) | State::Open(_) | State::Ending { .. } => {
                self.end(log, now, CloseReason::HttpDone);
            }
        }
    }

    fn receive_http(&mut self, log: &Ring, now: Moment, bytes: &[u8]) -> (usize, Option<Event>) {
        let State::Http(http) = &mut self.state else { return (bytes.len(), None) };
        let (used, head) = http.head.read(bytes);
        match head {
            Some(Ok(request)) => {
                (http.waits_for, http.until) = (WaitsFor::NextRequest, now.after(KEEP_ALIVE));
                (used, Some(Event::Request(Box::new(request))))
            }
            Some(Err(error)) => {
                let refusal = Refusal::from(error);
                self.refuse(log, now, refusal, CloseReason::BadRequest);
                (used, Some(Event::Refused(refusal.status())))
            }
            None => {
                if http.head.has_begun() && http.waits_for != WaitsFor::Head {
                    (http.waits_for, http.until) = (WaitsFor::Head, now.after(HEAD_TIMEOUT));
                }
                (used, None)
            }
        }
    }

    /// Answers a request.
    pub(crate) fn respond(&mut self, log: &Ring, head: &[u8], body: Bytes) {
        self.outbox.push(head, log);
        self.outbox.push_body(body);
    }

    /// Answers a request with the server's half of the opening handshake: from here on the peer speaks WebSocket.
    pub(crate) fn upgrade(&mut self, log: &Ring, now: Moment, head: &[u8]) {
        self.outbox.push(head, log);
        self.state = State::Open(Decoder::default());
        self.guest_until = Some(now.after(GUEST_TIMEOUT));
    }

    fn receive_frames(
        &mut self,
        log: &Ring,
        codec: &mut Codec,
        now: Moment,
        bytes: &[u8],
        message_bytes_max: usize,
    ) -> (usize, Option<Event>) {
        let mut used = 0;
        while used < bytes.len() {
            let State::Open(decoder) = &mut self.state else { return (bytes.len(), None) };
            let (taken, said) = decoder.decode(codec, &bytes[used..], message_bytes_max);
            used += taken;
            match said {
                None => {}
                Some(Ok(websocket::Event::Message(message))) => return (used, Some(Event::Message(message))),
                Some(Ok(websocket::Event::Pong | websocket::Event::Fragment)) => {
                    self.read_throttle.charge_frame(now);
                }
                Some(Ok(websocket::Event::Ping(pong))) => {
                    self.outbox.pong(&pong);
                    self.read_throttle.charge_frame(now);
                }
                Some(Ok(websocket::Event::Close(answer))) => {
                    self.outbox.unfollow();
                    self.outbox.push(&answer, log);
                    self.end(log, now, CloseReason::PeerClosed);
                }
                Some(Err(fault)) => self.end(log, now, fault.into()),
            }
            if !self.may_use_input() {
                break;
            }
        }
        (used, None)
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
