//! A shell in memory with the turns of the real event loop, for promises that depend on them: the same shares, the same order of
//! steps, sockets with a send buffer that reports room only when half of it has drained, and a listen queue.

use crate::frames::{Heard, frame, take_frame, take_response};
use plume::base::time::{Moment, Now};
use plume::close_reason::CloseReason;
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::limits::{
    ACCEPTS_PER_TURN, READ_SHARE_BYTES, READS_PER_TURN, REFUSALS_MAX, TICK_INTERVAL_MAX, UNSENT_BYTES_MAX,
    WRITES_PER_TURN,
};
use plume::log_event::LogEvent;
use plume::server::{Input, Output, Server};
use plume::settings::Settings;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

pub(crate) struct Shell {
    server: Server,
    now: Moment,
    sockets: BTreeMap<ClientId, Socket>,
    sockets_max: usize,
    next_serial: u64,
    /// Addresses whose connections wait to be accepted.
    listen_queue: VecDeque<IpAddr>,
    /// Sockets that may have something to read, or room to write again.
    queue: VecDeque<ClientId>,
    /// Writes so far, the measure of [`Offers`].
    writes: u64,
    turns: u64,
    ticked: Moment,
    codes: BTreeMap<String, String>,
    /// Why connections that are gone were closed.
    pub(crate) closed: BTreeMap<ClientId, CloseReason>,
    /// Connections that were given a place, in order, with their addresses and the turn.
    pub(crate) accepted: Vec<(IpAddr, u64)>,
    pub(crate) offers: Offers,
}

/// One connection: the peer's side and the buffers between.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct Socket {
    peer: IpAddr,
    /// What the peer has sent and the server has not read.
    arrived: VecDeque<u8>,
    is_queued: bool,
    /// Bytes in the send buffer.
    buffered: usize,
    /// The send buffer was full, and no room has been reported since.
    is_full: bool,
    /// Whether the peer takes what comes by itself and at once.
    pub(crate) is_fast: bool,
    incoming: Vec<u8>,
    is_websocket: bool,
    /// Text messages received, each with when.
    pub(crate) messages: Vec<(Moment, Value)>,
    pub(crate) responses: usize,
    /// Bytes that the send buffer has taken so far.
    pub(crate) bytes_taken: usize,
}

/// Which lines have been offered to which members: a line is offered when a write to a member includes it.
#[derive(Default)]
pub(crate) struct Offers {
    pub(crate) members: BTreeSet<ClientId>,
    lines: Vec<Line>,
    /// The longest wait so far, in writes.
    pub(crate) longest: u64,
}

struct Line {
    text: String,
    /// The connection that says it; posted once that has been read.
    talker: ClientId,
    posted_at: Option<u64>,
    waiting: BTreeSet<ClientId>,
}

impl Offers {
    /// From now on `text`, which `talker` has just sent, has to be offered in time.
    pub(crate) fn expect(&mut self, talker: ClientId, text: &str) {
        let (text, waiting) = (text.to_owned(), self.members.clone());
        self.lines.push(Line { text, talker, posted_at: None, waiting });
    }

    /// Whether all lines have been offered to all members.
    pub(crate) fn are_complete(&self) -> bool {
        self.lines.iter().all(|line| line.waiting.is_empty())
    }

    fn read(&mut self, talker: ClientId, writes: u64) {
        for line in self.lines.iter_mut().filter(|line| line.talker == talker) {
            line.posted_at.get_or_insert(writes);
        }
    }

    fn write(&mut self, id: ClientId, unsent: &[u8], writes: u64) {
        if self.members.contains(&id) {
            for line in &mut self.lines {
                let text = line.text.as_bytes();
                if line.waiting.contains(&id) && unsent.windows(text.len()).any(|window| window == text) {
                    line.waiting.remove(&id);
                }
            }
        }
        let bound = 2 * self.members.len() as u64 + OFFER_WRITES_MORE;
        for line in &self.lines {
            let Some(posted_at) = line.posted_at.filter(|_| !line.waiting.is_empty()) else { continue };
            let waited = writes - posted_at;
            self.longest = self.longest.max(waited);
            assert!(
                waited <= bound,
                "{} members have not been offered a line within {bound} writes: {}",
                line.waiting.len(),
                line.text
            );
        }
        self.lines.retain(|line| !line.waiting.is_empty());
    }

    fn is_idle(&self) -> bool {
        self.lines.iter().all(|line| line.posted_at.is_none() || line.waiting.is_empty())
    }
}

impl Shell {
    pub(crate) fn new(settings: Settings) -> Self {
        let site = Site::new(Assets::built_in(&settings.name), Vec::new());
        Self::with_site(settings, site)
    }

    pub(crate) fn with_site(settings: Settings, site: Site) -> Self {
        Self {
            sockets_max: settings.connections_max + REFUSALS_MAX,
            server: Server::new(settings, site, [1; 32]),
            now: Moment::from_ms(1_000_000),
            sockets: BTreeMap::new(),
            next_serial: 0,
            listen_queue: VecDeque::new(),
            queue: VecDeque::new(),
            writes: 0,
            turns: 0,
            ticked: Moment::from_ms(0),
            codes: BTreeMap::new(),
            closed: BTreeMap::new(),
            accepted: Vec::new(),
            offers: Offers::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }

    /// The socket of a connection that is still there.
    pub(crate) fn socket(&mut self, id: ClientId) -> &mut Socket {
        let reason = self.closed.get(&id);
        self.sockets.get_mut(&id).unwrap_or_else(|| panic!("{id:?} was closed: {reason:?}"))
    }

    pub(crate) fn is_open(&self, id: ClientId) -> bool {
        self.sockets.contains_key(&id)
    }

    /// A peer connects and waits to be accepted.
    pub(crate) fn dial(&mut self, peer: IpAddr) {
        self.listen_queue.push_back(peer);
    }

    /// Connections that wait to be accepted.
    pub(crate) fn dialing(&self) -> usize {
        self.listen_queue.len()
    }

    /// A peer connects and is accepted at once.
    pub(crate) fn accept(&mut self, peer: IpAddr) -> ClientId {
        let mut slots = 0..=self.sockets.len();
        let free = slots.find(|&slot| self.sockets.keys().all(|id| id.slot() != slot));
        let id = ClientId::new(free.expect("one slot more than sockets"), self.next_serial);
        self.next_serial += 1;
        let socket = Socket {
            peer,
            arrived: VecDeque::new(),
            is_queued: false,
            buffered: 0,
            is_full: false,
            is_fast: true,
            incoming: Vec::new(),
            is_websocket: false,
            messages: Vec::new(),
            responses: 0,
            bytes_taken: 0,
        };
        self.sockets.insert(id, socket);
        self.tell(Input::Accepted { id, peer });
        id
    }

    /// A peer sends bytes; they lie in the socket until the server reads them.
    pub(crate) fn send(&mut self, id: ClientId, bytes: &[u8]) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.arrived.extend(bytes);
            self.enqueue(id);
        }
    }

    /// A peer sends a message.
    pub(crate) fn say(&mut self, id: ClientId, message: &Value) {
        self.send(id, &frame(0x81, message.to_string().as_bytes(), [1, 2, 3, 4]));
    }

    /// Bytes that the server has not read.
    pub(crate) fn unread(&self, id: ClientId) -> usize {
        self.sockets.get(&id).map_or(0, |socket| socket.arrived.len())
    }

    /// A peer that is not fast takes so many bytes out of the send buffer.
    pub(crate) fn take(&mut self, id: ClientId, bytes: usize) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.buffered = socket.buffered.saturating_sub(bytes);
        if socket.is_full && socket.buffered <= SEND_BUFFER_BYTES / 2 {
            socket.is_full = false;
            self.enqueue(id);
        }
    }

    /// A peer is gone.
    pub(crate) fn hang_up(&mut self, id: ClientId) {
        self.tell(Input::Broken(id));
    }

    /// Whether a code was emailed to an address.
    pub(crate) fn has_code(&self, email: &str) -> bool {
        self.codes.contains_key(email)
    }

    /// Opens a WebSocket.
    pub(crate) fn upgrade(&mut self, peer: IpAddr) -> ClientId {
        let id = self.accept(peer);
        self.send(id, UPGRADE.as_bytes());
        self.turn_until(|shell| shell.socket(id).is_websocket, "upgrade");
        id
    }

    /// A person logs in under a name of their own. Gives the connection and the session token.
    pub(crate) fn log_in(&mut self, name: &str, peer: IpAddr) -> (ClientId, String) {
        let id = self.upgrade(peer);
        let email = format!("{name}@example.org");
        self.say(id, &json!({"type": 0, "text": format!("{name}\n{email}")}));
        self.turn_until(|shell| shell.codes.contains_key(&email), "code");
        let code = self.codes.remove(&email).expect("just seen");
        self.say(id, &json!({"type": 2, "text": code}));
        (id, self.entered(id))
    }

    /// A person comes in on one more connection.
    pub(crate) fn resume(&mut self, token: &str, peer: IpAddr) -> ClientId {
        let id = self.upgrade(peer);
        self.say(id, &json!({"type": 7, "text": token}));
        self.entered(id);
        id
    }

    fn entered(&mut self, id: ClientId) -> String {
        let ack = |socket: &mut Socket| {
            let ack = socket.messages.iter().find(|(_, message)| message["type"] == 3);
            ack.map(|(_, ack)| ack["text"].as_str().expect("a token").to_owned())
        };
        self.turn_until(|shell| ack(shell.socket(id)).is_some(), "entry");
        ack(self.socket(id)).expect("just seen")
    }

    fn turn_until(&mut self, mut is_done: impl FnMut(&mut Self) -> bool, what: &str) {
        for _ in 0..1_000 {
            if is_done(self) {
                return;
            }
            self.turn();
        }
        panic!("no {what}");
    }

    /// When a line of this text was received on a connection.
    pub(crate) fn received(&mut self, id: ClientId, text: &str) -> Option<Moment> {
        let messages = &self.socket(id).messages;
        messages.iter().find(|(_, message)| message["text"] == text).map(|&(at, _)| at)
    }

    /// Time passes in steps, with a turn after each.
    pub(crate) fn run(&mut self, time: Duration, step: Duration, mut act: impl FnMut(&mut Self)) {
        let until = self.now.after(time);
        while self.now < until {
            act(self);
            self.stop(step);
            self.turn();
        }
    }

    /// The process is stopped: time passes, and nothing is called.
    pub(crate) fn stop(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// A turn as the real event loop makes it.
    pub(crate) fn turn(&mut self) {
        self.turns += 1;
        self.now = self.now.after(TURN);
        for _ in 0..READS_PER_TURN {
            let Some(id) = self.queue.pop_front() else { break };
            self.serve(id);
        }
        if self.queue.is_empty() || self.now.since(self.ticked) >= TICK_INTERVAL_MAX {
            self.ticked = self.now;
            self.tell(Input::Tick);
        }
        self.obey();
        for _ in 0..ACCEPTS_PER_TURN {
            if self.sockets.len() >= self.sockets_max {
                break;
            }
            let Some(peer) = self.listen_queue.pop_front() else { break };
            self.accept(peer);
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.server.handle(Now { moment: self.now, wall_ms: 0 }, input);
    }

    fn enqueue(&mut self, id: ClientId) {
        if let Some(socket) = self.sockets.get_mut(&id)
            && !socket.is_queued
        {
            socket.is_queued = true;
            self.queue.push_back(id);
        }
    }

    fn serve(&mut self, id: ClientId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.is_queued = false;
        if !socket.is_full && self.server.is_blocked(id) {
            self.tell(Input::Writable(id));
        }
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.arrived.is_empty() || !self.server.wants_read(id) {
            return;
        }
        let len = socket.arrived.len().min(READ_SHARE_BYTES);
        let rest = socket.arrived.split_off(len);
        let bytes = Vec::from(std::mem::replace(&mut socket.arrived, rest));
        let is_empty = socket.arrived.is_empty();
        self.tell(Input::Received { id, bytes: &bytes });
        if is_empty {
            self.offers.read(id, self.writes);
        } else {
            self.enqueue(id);
        }
    }

    fn obey(&mut self) {
        let mut writes = 0;
        while writes < WRITES_PER_TURN {
            match self.server.poll() {
                None => {
                    assert!(self.offers.is_idle(), "nothing more is said, and a line was not offered to all");
                    return;
                }
                Some(Output::Write(id)) => {
                    writes += 1;
                    self.write(id);
                }
                Some(Output::Read(id)) => self.enqueue(id),
                Some(Output::Close(id)) => {
                    self.sockets.remove(&id);
                    self.offers.members.remove(&id);
                    for line in &mut self.offers.lines {
                        line.waiting.remove(&id);
                    }
                }
                Some(Output::Mail(mail)) => {
                    self.tell(Input::MailDone { mail: mail.id, result: Ok(()) });
                    self.codes.insert(mail.to, mail.code);
                }
                Some(Output::LogEvent(
                    LogEvent::Closed(id, reason)
                    | LogEvent::GuestClosed(id, reason)
                    | LogEvent::HttpClosed(id, reason),
                )) => {
                    self.closed.insert(id, reason);
                }
                Some(Output::LogEvent(LogEvent::Accepted(id))) => {
                    let peer = self.sockets[&id].peer;
                    self.accepted.push((peer, self.turns));
                }
                Some(Output::LogEvent(_) | Output::EndWriting(_) | Output::Stopped) => {}
            }
        }
    }

    fn write(&mut self, id: ClientId) {
        let unsent = self.server.unsent(id).concat();
        self.writes += 1;
        self.offers.write(id, &unsent, self.writes);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let taken = unsent.len().min(SEND_BUFFER_BYTES - socket.buffered);
        socket.receive(self.now, &unsent[..taken]);
        // A full socket that takes the few bytes of a probe has not become writable by that.
        socket.is_full |= taken < unsent.len();
        self.tell(Input::Wrote { id, bytes: taken });
        // It may have been a ping, which was answered.
        self.enqueue(id);
    }
}

impl Socket {
    fn receive(&mut self, now: Moment, bytes: &[u8]) {
        self.bytes_taken += bytes.len();
        if !self.is_fast {
            self.buffered += bytes.len();
        }
        self.incoming.extend_from_slice(bytes);
        loop {
            let heard = if self.is_websocket {
                take_frame(&mut self.incoming)
            } else {
                take_response(&mut self.incoming)
            };
            match heard {
                None => return,
                Some(Heard::Response(status)) => {
                    self.responses += 1;
                    self.is_websocket = status == 101;
                }
                Some(Heard::Text(payload)) => {
                    let message = serde_json::from_slice(&payload).expect("a text frame is JSON");
                    self.messages.push((now, message));
                }
                Some(Heard::Ping(_)) => self.arrived.extend(frame(0x8a, b"", [1, 2, 3, 4])),
                Some(Heard::Pong(_) | Heard::Close(_)) => {}
            }
        }
    }
}

const UPGRADE: &str = "GET /connect HTTP/1.1\r\nHost: plume.test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// What the system keeps for one socket.
const SEND_BUFFER_BYTES: usize = UNSENT_BYTES_MAX as usize;
/// How long a turn takes.
const TURN: Duration = Duration::from_millis(1);
/// Writes beside one for each member and one private write after each of those: the write under way when a line is posted, and the
/// first of each kind.
const OFFER_WRITES_MORE: u64 = 4;
