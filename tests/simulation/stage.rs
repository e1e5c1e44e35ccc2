//! A shell with the turns of the real event loop, for promises that depend on them: the same shares and the
//! same order of steps, a listen queue, and peers that keep what they receive.

use crate::testkit::codec::{PONG, Received, frame, message, upgrade};
use crate::testkit::driver::Driver;
use crate::testkit::offers::Offers;
use crate::testkit::shell::{Shell, Socket};
use plume::base::time::Moment;
use plume::close_reason::CloseReason;
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::limits::{
    ACCEPTS_PER_TURN, READ_SHARE_BYTES, READS_PER_TURN, REFUSALS_MAX, TICK_INTERVAL_MAX, WRITES_PER_TURN,
};
use plume::log_event::LogEvent;
use plume::server::{Input, Output};
use plume::settings::Settings;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

pub(crate) struct Stage {
    shell: Shell,
    /// Addresses whose connections wait to be accepted.
    listen_queue: VecDeque<IpAddr>,
    turns: u64,
    ticked: Moment,
    codes: BTreeMap<String, String>,
    /// Peers that answer a ping, once they have read so many bytes.
    pongs: Vec<(ClientId, usize)>,
    inboxes: BTreeMap<ClientId, Inbox>,
    /// Why connections that are gone were closed.
    pub(crate) closed: BTreeMap<ClientId, CloseReason>,
    /// Addresses of connections that were given a place, in order.
    pub(crate) accepted: Vec<IpAddr>,
    pub(crate) offers: Offers,
}

/// What a peer has received.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Text messages, each with when.
    pub(crate) messages: Vec<(Moment, Value)>,
    pub(crate) responses: usize,
    /// The code of a close frame.
    pub(crate) close_code: Option<u16>,
    is_websocket: bool,
}

impl Stage {
    pub(crate) fn new(settings: Settings) -> Self {
        let site = Site::new(Assets::built_in(&settings.name), Vec::new());
        Self::with_site(settings, site)
    }

    pub(crate) fn with_site(settings: Settings, site: Site) -> Self {
        let sockets_max = settings.connections_max + REFUSALS_MAX;
        let mut driver = Driver::with_site(settings, site, [1; 32]);
        driver.now.moment = Moment::from_ms(1_000_000);
        Self {
            shell: Shell::new(driver, sockets_max),
            listen_queue: VecDeque::new(),
            turns: 0,
            ticked: Moment::from_ms(0),
            codes: BTreeMap::new(),
            pongs: Vec::new(),
            inboxes: BTreeMap::new(),
            closed: BTreeMap::new(),
            accepted: Vec::new(),
            offers: Offers::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.shell.driver.now.moment
    }

    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }

    /// The socket of a connection that is still there.
    pub(crate) fn socket(&mut self, id: ClientId) -> &mut Socket {
        let reason = self.closed.get(&id);
        self.shell.sockets.get_mut(&id).unwrap_or_else(|| panic!("{id:?} was closed: {reason:?}"))
    }

    /// What a peer has received.
    pub(crate) fn inbox(&mut self, id: ClientId) -> &mut Inbox {
        self.inboxes.entry(id).or_default()
    }

    pub(crate) fn is_open(&self, id: ClientId) -> bool {
        self.shell.sockets.contains_key(&id)
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
        self.shell.accept(peer)
    }

    pub(crate) fn send(&mut self, id: ClientId, bytes: &[u8]) {
        self.shell.send(id, bytes);
    }

    pub(crate) fn say(&mut self, id: ClientId, json: &Value) {
        self.send(id, &message(&json.to_string()));
    }

    /// Bytes that the server has not read.
    pub(crate) fn unread(&self, id: ClientId) -> usize {
        self.shell.unread(id)
    }

    /// A peer takes so many bytes out of its send buffer.
    pub(crate) fn take(&mut self, id: ClientId, bytes: usize) {
        self.shell.drain(id, bytes);
    }

    pub(crate) fn hang_up(&mut self, id: ClientId) {
        self.shell.driver.handle(Input::Broken(id));
    }

    /// Whether a code was emailed to an address.
    pub(crate) fn has_code(&self, email: &str) -> bool {
        self.codes.contains_key(email)
    }

    /// Opens a WebSocket.
    pub(crate) fn upgrade(&mut self, peer: IpAddr) -> ClientId {
        let id = self.accept(peer);
        self.send(id, &upgrade(""));
        self.turn_until(|stage| stage.inbox(id).is_websocket, "upgrade");
        id
    }

    /// A user logs in under a name of their own. Gives the connection and the session token.
    pub(crate) fn log_in(&mut self, name: &str, peer: IpAddr) -> (ClientId, String) {
        let id = self.upgrade(peer);
        let email = format!("{name}@example.org");
        self.say(id, &json!({"type": 0, "text": format!("{name}\n{email}")}));
        self.turn_until(|stage| stage.codes.contains_key(&email), "code");
        let code = self.codes.remove(&email).expect("just seen");
        self.say(id, &json!({"type": 2, "text": code}));
        (id, self.entered(id))
    }

    /// A user comes in on one more connection.
    pub(crate) fn resume(&mut self, token: &str, peer: IpAddr) -> ClientId {
        let id = self.upgrade(peer);
        self.say(id, &json!({"type": 7, "text": token}));
        self.entered(id);
        id
    }

    fn entered(&mut self, id: ClientId) -> String {
        let ack = |inbox: &Inbox| {
            let ack = inbox.messages.iter().find(|(_, message)| message["type"] == 3);
            ack.map(|(_, ack)| ack["text"].as_str().expect("a token").to_owned())
        };
        self.turn_until(|stage| ack(stage.inbox(id)).is_some(), "entry");
        ack(self.inbox(id)).expect("just seen")
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
        let messages = &self.inbox(id).messages;
        messages.iter().find(|(_, message)| message["text"] == text).map(|&(at, _)| at)
    }

    /// Time passes in steps, with a turn after each.
    pub(crate) fn run(&mut self, time: Duration, step: Duration, mut act: impl FnMut(&mut Self)) {
        let until = self.now().after(time);
        while self.now() < until {
            act(self);
            self.stop(step);
            self.turn();
        }
    }

    /// The process is stopped: time passes, and nothing is called.
    pub(crate) fn stop(&mut self, time: Duration) {
        self.shell.pass(time);
    }

    /// A turn as the real event loop makes it.
    pub(crate) fn turn(&mut self) {
        self.turns += 1;
        self.shell.pass(TURN);
        let has_read = |(id, bytes): &mut (ClientId, usize)| self.shell.read_by_peer(*id) >= *bytes;
        for (id, _) in self.pongs.extract_if(.., has_read).collect::<Vec<_>>() {
            self.shell.send(id, &frame(PONG, b"", [1, 2, 3, 4]));
        }
        for _ in 0..READS_PER_TURN {
            let Some(id) = self.shell.dequeue() else { break };
            self.shell.unblock(id);
            if self.shell.read(id, READ_SHARE_BYTES) > 0 && self.shell.unread(id) == 0 {
                self.offers.read(id, self.shell.writes);
            }
        }
        if self.shell.queue.is_empty() || self.now().since(self.ticked) >= TICK_INTERVAL_MAX {
            self.ticked = self.now();
            self.shell.driver.handle(Input::Tick);
        }
        self.obey();
        for _ in 0..ACCEPTS_PER_TURN {
            if self.shell.sockets.len() >= self.shell.sockets_max {
                break;
            }
            let Some(peer) = self.listen_queue.pop_front() else { break };
            self.accept(peer);
        }
    }

    fn obey(&mut self) {
        let mut writes = 0;
        while writes < WRITES_PER_TURN {
            match self.shell.poll() {
                None => return self.offers.check_idle(),
                Some(Output::Write(id)) => {
                    writes += 1;
                    self.write(id);
                }
                Some(Output::Close(id)) => self.offers.excuse(id),
                Some(Output::Mail(mail)) => {
                    self.shell.driver.handle(Input::MailDone { mail: mail.id, result: Ok(()) });
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
                    let peer = self.shell.known(id).peer;
                    self.accepted.push(peer);
                }
                Some(
                    Output::Read(_)
                    | Output::LogEvent(_)
                    | Output::EndWriting(_)
                    | Output::Keep(_)
                    | Output::Engine(_)
                    | Output::Stopped,
                ) => {}
            }
        }
    }

    fn write(&mut self, id: ClientId) {
        let unsent = self.shell.offer(id);
        let (taken, received) = self.shell.take(id, &unsent, usize::MAX);
        for received in received {
            self.receive(id, received);
        }
        let bound = 2 * self.offers.members.len() as u64 + OFFER_WRITES_MORE;
        self.offers.check(self.shell.writes, bound);
        self.shell.wrote(id, taken);
    }

    fn receive(&mut self, id: ClientId, received: Received) {
        let now = self.now();
        let inbox = self.inboxes.entry(id).or_default();
        match received {
            Received::Response(status) => {
                inbox.responses += 1;
                inbox.is_websocket = status == 101;
            }
            Received::Text(payload) => {
                let message: Value = serde_json::from_slice(&payload).expect("a text frame is JSON");
                if let Some(number) = message["ref"].as_str().and_then(|number| number.parse().ok()) {
                    self.offers.receive(id, number);
                }
                inbox.messages.push((now, message));
            }
            Received::Ping(_) => self.pongs.push((id, self.shell.sockets[&id].bytes_taken)),
            Received::Close(code) => inbox.close_code = code,
            Received::Chunk(_) | Received::LastChunk | Received::Pong(_) => {}
        }
    }
}

/// How long a turn takes.
const TURN: Duration = Duration::from_millis(1);
/// Writes beside one for each member and one private write after each of those: the write under way when a
/// line is posted, and the first of each kind.
const OFFER_WRITES_MORE: u64 = 4;
