//! What lies around a server: sockets, people, mails and clocks, as a script moves them. It does what a shell has to do
//! (see `plume::server`), hears everything that is written, and holds the server to what must be true of any life. Between any
//! two calls of a turn time may pass and other inputs may arrive, as the script says:
//!
//! - nothing is said of a connection that was closed; closing is said once;
//! - nothing waits for ever: who may be read is named, who has unsent bytes is named, a deadline that has come is gone;
//! - what a connection is sent is well-formed HTTP, then well-formed frames with JSON objects in them;
//! - who is not in hears no line of the room; who is hears all lines from one on, in order, and the same as the others;
//! - who comes back misses nothing, or is told of a gap;
//! - after the last byte nothing is written;
//! - nothing that the server keeps is more than it may be;
//! - a server that is told to stop stops in time, with all connections closed.

use crate::frames::{self, TEXT};
use crate::peer::{End, Peer};
use crate::script::{EMAILS, NAMES, Operation, PROXY, REQUESTS, SLOTS, Script, Seen, Slot, Typed};
use crate::transcript::Said;
use plume::base::time::{Moment, Now};
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::{ClientId, MailId};
use plume::limits::{BACKLOG_BYTES_MIN, SHUTDOWN_TIMEOUT};
use plume::log_event::LogEvent;
use plume::login_email::MailError;
use plume::server::{Input, Output, Server};
use plume::settings::{MailBudget, Settings};
use serde_json::{Value, json};
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

/// Lives through a script, and then through a shutdown.
pub fn live_through(script: &Script) {
    let mut world = World::new(script);
    let mut gaps = None;
    for operation in &script.operations {
        match (operation, gaps.take()) {
            (&Operation::InGap(count), _) => {
                gaps = Some(count);
                continue;
            }
            (_, Some(count)) => {
                world.held.push_back((count, operation.clone()));
                continue;
            }
            (_, None) => world.happen(operation),
        }
        world.turn();
        world.release_held();
        world.check_census();
        if world.has_stopped {
            return;
        }
    }
    world.stop();
}

struct World {
    server: Server,
    now: Moment,
    peers: [Option<Peer>; SLOTS],
    next_serial: u64,
    /// Operations that come between two calls of the next turn, each after so many gaps.
    held: VecDeque<(usize, Operation)>,
    /// Outputs that the shell follows in one turn.
    obeys: usize,
    /// Nobody is accepted any more.
    is_stopping: bool,
    has_stopped: bool,
    mails: Vec<(MailId, String)>,
    mails_under_way: Vec<MailId>,
    flow_tokens: Vec<String>,
    session_tokens: Vec<String>,
    run: String,
    /// What was heard of the room's lines: id and hash, for memory's sake.
    lines: HashMap<u64, u64>,
    newest_line: u64,
    /// What people may still say, in bytes: a script is to explore, not to shovel.
    breath: usize,
}

impl World {
    fn new(script: &Script) -> Self {
        let has = |bit: u8| script.settings & bit != 0;
        let settings = Settings {
            history_lines: script.history,
            backlog_bytes: BACKLOG_BYTES_MIN,
            messages_per_second: if has(1) { 10 } else { 0 },
            mail_budget: has(2).then_some(MailBudget { every: Duration::from_secs(4), burst: 3 }),
            leave_grace: Duration::from_secs(if has(4) { 0 } else { 15 }),
            connections_max: if has(8) { SLOTS / 2 } else { SLOTS },
            connections_per_address: if has(8) { 1 } else { SLOTS },
            trusted_proxies: vec![PROXY.into()],
            ..Settings::default()
        };
        let page = vec![("index.html".to_owned(), b"<p>hello".to_vec())];
        let site = Site::new(Assets::from_files("Plume", page).expect("there is an index"), Vec::new());
        Self {
            server: Server::new(settings, site, [7; 32]),
            now: Moment::from_ms(0),
            peers: Default::default(),
            next_serial: 0,
            held: VecDeque::new(),
            obeys: usize::MAX,
            is_stopping: false,
            has_stopped: false,
            mails: Vec::new(),
            mails_under_way: Vec::new(),
            flow_tokens: Vec::new(),
            session_tokens: Vec::new(),
            run: String::new(),
            lines: HashMap::new(),
            newest_line: 0,
            breath: BREATH_BYTES,
        }
    }

    fn happen(&mut self, operation: &Operation) {
        match *operation {
            Operation::Accept(slot, address) => self.accept(slot, address),
            Operation::Send(slot, ref bytes) => self.send(slot, bytes),
            Operation::Request(slot, request) => self.send(slot, REQUESTS[request].as_bytes()),
            Operation::Upgrade(slot, forwarded_for) => {
                let field =
                    forwarded_for.map(|whom| format!("X-Forwarded-For: {whom}\r\n")).unwrap_or_default();
                self.send(slot, format!("{UPGRADE}{field}\r\n").as_bytes());
            }
            Operation::Frame(slot, first, size) => {
                let payload = vec![b'x'; self.breathe(size)];
                self.send(slot, &frames::from_client(first, &payload));
            }
            Operation::Message(slot, ref bytes) => self.send(slot, &frames::from_client(TEXT, bytes)),
            Operation::Hello(slot, name, email) => {
                let text = format!("{}\n{}", NAMES[name], EMAILS[email]);
                self.say(slot, &json!({ "type": 0, "text": text }));
            }
            Operation::Auth(slot, mail, typed) => self.auth(slot, mail, typed),
            Operation::Resume(slot, token, typed, seen) => self.resume(slot, token, typed, seen),
            Operation::Text(slot, size) => {
                // Most of a long line is escaped on the wire, the worst case for every buffer.
                let text =
                    if size <= 120 { "é".repeat(size / 2) } else { "\u{1}".repeat(self.breathe(size)) };
                self.say(slot, &json!({ "type": 1, "text": text, "ref": "x" }));
            }
            Operation::Ping(slot) => self.say(slot, &json!({ "type": 9, "text": "x" })),
            Operation::Leave(slot) => self.say(slot, &json!({ "type": 8 })),
            Operation::ReadSize(slot, size) => {
                if let Some(peer) = &mut self.peers[slot] {
                    (peer.read_size, peer.small_reads_left) = (size, SMALL_READS);
                }
            }
            Operation::Room(slot, room) => self.make_room(slot, room),
            Operation::PeerEnds(slot) => {
                if let Some(peer) = &mut self.peers[slot]
                    && peer.end == End::Open
                {
                    (peer.end, peer.is_queued) = (End::Coming, true);
                }
            }
            Operation::Break(slot) => {
                if let Some(id) = self.id(slot) {
                    self.tell(Input::Broken(id));
                }
            }
            Operation::MailDone(mail, result) => self.mail_done(mail, result),
            Operation::Pass(ms) => self.now = self.now.after(Duration::from_millis(ms)),
            Operation::Walk(deadlines) => self.walk(deadlines),
            Operation::Obey(outputs) => self.obeys = outputs,
            Operation::Shutdown => self.shut_down(),
            Operation::Tick | Operation::InGap(_) => {}
        }
    }

    /// The gap between two calls of a turn. Whether anything happens in it.
    fn gap(&mut self) -> bool {
        let mut is_filled = false;
        while let Some((gaps, _)) = self.held.front_mut() {
            if *gaps > 0 {
                *gaps -= 1;
                break;
            }
            let Some((_, operation)) = self.held.pop_front() else { break };
            self.happen_in_gap(&operation);
            is_filled = true;
        }
        is_filled
    }

    fn happen_in_gap(&mut self, operation: &Operation) {
        match *operation {
            // Without the turns, which are under way.
            Operation::Walk(_) => {
                self.now = self.server.next_deadline().map_or(self.now, |next| next.max(self.now));
            }
            // A socket that has room again is served later in the turn.
            Operation::Room(slot, room) => {
                if let Some(peer) = &mut self.peers[slot] {
                    peer.room = room;
                }
            }
            Operation::Tick => self.tell(Input::Tick),
            _ => {
                self.happen(operation);
                for slot in 0..SLOTS {
                    self.read_from(slot);
                }
            }
        }
    }

    /// What found no gap happens now.
    fn release_held(&mut self) {
        while let Some((_, operation)) = self.held.pop_front() {
            if !self.has_stopped {
                self.happen_in_gap(&operation);
            }
        }
    }

    fn accept(&mut self, slot: Slot, peer: IpAddr) {
        if self.peers[slot].is_none() && !self.is_stopping {
            let id = ClientId::new(slot, self.next_serial);
            self.next_serial += 1;
            self.peers[slot] = Some(Peer::new(id));
            self.tell(Input::Accepted { id, peer });
        }
    }

    fn send(&mut self, slot: Slot, bytes: &[u8]) {
        if let Some(peer) = &mut self.peers[slot]
            && peer.end == End::Open
            && peer.arriving.len() < ARRIVING_BYTES_MAX
        {
            peer.arriving.extend_from_slice(bytes);
            peer.is_queued = true;
        }
    }

    fn say(&mut self, slot: Slot, message: &Value) {
        self.send(slot, &frames::from_client(TEXT, message.to_string().as_bytes()));
    }

    fn auth(&mut self, slot: Slot, mail: usize, typed: Typed) {
        let code = from_newest(&self.mails, mail).map_or("", |(_, code)| code);
        let mut message = json!({ "type": 2, "text": as_typed(code, typed) });
        if matches!(typed, Typed::WithFlow) {
            message["flow"] = from_newest(&self.flow_tokens, mail).map_or("", String::as_str).into();
        }
        self.try_to_enter(slot, &message, None);
    }

    fn resume(&mut self, slot: Slot, token: usize, typed: Typed, seen: Seen) {
        let token = from_newest(&self.session_tokens, token).map_or("", String::as_str);
        let mut message = json!({ "type": 7, "text": as_typed(token, typed) });
        let after = match seen {
            Seen::Unsaid => None,
            Seen::AllBut(lines) => Some(self.newest_line.saturating_sub(lines)),
            Seen::Future | Seen::OtherRun => Some(self.newest_line + 9),
        };
        if let Some(after) = after {
            let run = if matches!(seen, Seen::OtherRun) { "another" } else { &self.run };
            (message["after"], message["run"]) = (after.into(), run.into());
        }
        let seen = after.filter(|_| matches!(seen, Seen::AllBut(_)));
        self.try_to_enter(slot, &message, seen);
    }

    fn try_to_enter(&mut self, slot: Slot, message: &Value, seen: Option<u64>) {
        if let Some(peer) = &mut self.peers[slot] {
            peer.tries.push(seen);
        }
        self.say(slot, message);
    }

    fn make_room(&mut self, slot: Slot, room: usize) {
        let Some(peer) = &mut self.peers[slot] else { return };
        peer.room = room;
        let id = peer.id;
        if room > 0 && self.server.is_blocked(id) {
            self.tell(Input::Writable(id));
        }
    }

    fn mail_done(&mut self, mail: usize, result: usize) {
        if self.mails_under_way.is_empty() {
            return;
        }
        let mail = self.mails_under_way.remove(mail % self.mails_under_way.len());
        let fault = [MailError::QueueFull, MailError::Late, MailError::Unreachable, MailError::Refused(500)];
        let result = fault.get(result).map_or(Ok(()), |&fault| Err(fault));
        self.tell(Input::MailDone { mail, result });
    }

    fn walk(&mut self, deadlines: usize) {
        for _ in 0..deadlines {
            let Some(deadline) = self.server.next_deadline() else { return };
            self.now = self.now.max(deadline);
            self.turn();
            if self.has_stopped {
                return;
            }
        }
    }

    fn stop(&mut self) {
        self.obeys = usize::MAX;
        self.shut_down();
        self.turn();
        self.now = self.now.after(SHUTDOWN_TIMEOUT);
        self.turn();
        assert!(self.has_stopped, "a server stops in time");
    }

    fn shut_down(&mut self) {
        self.is_stopping = true;
        self.tell(Input::Shutdown);
    }

    fn tell(&mut self, input: Input<'_>) {
        // The clock on the wall runs backwards, and nobody minds.
        let now = Now { moment: self.now, wall_ms: 1_700_000_000_000 - self.now.as_ms() };
        self.server.handle(now, input);
    }

    /// What a shell does after it was woken.
    fn turn(&mut self) {
        loop {
            let has_read = self.read();
            self.tell(Input::Tick);
            let outputs = self.obey();
            if self.has_stopped || outputs == self.obeys {
                return;
            }
            if !has_read && outputs == 0 {
                return self.check_quiet();
            }
        }
    }

    fn check_census(&self) {
        for count in self.server.usage() {
            assert!(count.now <= count.most, "{count:?}");
        }
    }

    /// Reads from those who have something and are to be heard. Whether there was anything.
    fn read(&mut self) -> bool {
        let mut has_read = false;
        for slot in 0..SLOTS {
            if let Some(peer) = &self.peers[slot]
                && peer.room > 0
                && self.server.is_blocked(peer.id)
            {
                let id = peer.id;
                self.tell(Input::Writable(id));
                has_read = true;
            }
            has_read |= self.read_from(slot);
        }
        has_read
    }

    fn read_from(&mut self, slot: Slot) -> bool {
        let mut has_read = false;
        while let Some(peer) = &mut self.peers[slot]
            && peer.is_queued
        {
            let id = peer.id;
            peer.is_queued = self.server.wants_read(id) && peer.has_something();
            if !peer.is_queued {
                break;
            }
            has_read = true;
            let bytes = peer.take();
            if bytes.is_empty() {
                peer.end = End::Told;
                self.tell(Input::PeerEnded(id));
            } else {
                self.tell(Input::Received { id, bytes: &bytes });
            }
        }
        has_read
    }

    /// Does what the server says, as far as the shell goes at once. Gives how much that was.
    fn obey(&mut self) -> usize {
        let mut outputs = 0;
        while outputs < self.obeys
            && !self.has_stopped
            && let Some(output) = self.server.poll()
        {
            outputs += 1;
            let is_late = self.gap();
            match output {
                Output::Write(id) => {
                    self.peer(id);
                    let unsent = self.write(id);
                    assert!(unsent > 0 || is_late, "a client to be written to has unsent bytes");
                }
                Output::Read(id) => self.peer(id).is_queued = true,
                Output::EndWriting(id) => {
                    let peer = self.peer(id);
                    assert!(!peer.is_ended, "writing ends once");
                    assert!(peer.transcript.is_whole(), "nothing ends in the middle of a word");
                    peer.is_ended = true;
                }
                Output::Close(id) => {
                    self.peer(id);
                    self.peers[id.slot()] = None;
                }
                Output::Mail(mail) => {
                    self.mails_under_way.push(mail.id);
                    self.mails.push((mail.id, mail.code));
                }
                Output::LogEvent(note) => self.check_note(note),
                Output::Stopped => {
                    assert!(
                        self.peers.iter().all(Option::is_none),
                        "all are closed when the server has stopped"
                    );
                    assert_eq!(self.server.poll(), None, "nothing is said after the end");
                    self.has_stopped = true;
                }
            }
        }
        outputs
    }

    /// Writes what a socket takes. Gives how much there was to write.
    fn write(&mut self, id: ClientId) -> usize {
        let unsent = self.server.unsent(id).concat();
        let peer = self.peer(id);
        let bytes = unsent.len().min(peer.room);
        if peer.room != usize::MAX {
            peer.room -= bytes;
        }
        assert!(unsent.is_empty() || !peer.is_ended, "nothing is written after the end");
        let said = peer.transcript.hear(&unsent[..bytes]);
        self.gap();
        self.tell(Input::Wrote { id, bytes });
        for said in said {
            self.hear(id, &said);
        }
        unsent.len()
    }

    fn hear(&mut self, id: ClientId, said: &Said) {
        let Said::Message(json, message) = said else { return };
        let kind = message["type"].as_i64().expect("a message has a type");
        let text = message["text"].as_str().expect("a message has a text");
        assert!(message["user"]["name"].is_string(), "a message has a user");
        let owned = || text.to_owned();
        match kind {
            0 => self.flow_tokens.push(owned()),
            1 => {
                if let Some(line) = message["id"].as_u64() {
                    self.hear_line(id, line, json);
                }
            }
            3 => {
                let peer = self.peer(id);
                assert!(!peer.is_member, "one is let in once");
                peer.is_member = true;
                if let [Some(seen)] = peer.tries[..] {
                    peer.resumed_after = Some(seen);
                }
                self.session_tokens.push(owned());
                message["run"].as_str().expect("a run").clone_into(&mut self.run);
                assert!(message["count"].as_u64() >= Some(1), "at least oneself is in");
                assert!(message["last"].is_u64(), "a place in the room's order");
            }
            6 if message["reason"] == "gap" => self.peer(id).resumed_after = None,
            4..=6 | 9 => assert!(message["id"].is_null(), "only lines have an id"),
            _ => panic!("a server does not say this: {json:.200}"),
        }
    }

    fn hear_line(&mut self, id: ClientId, line: u64, json: &str) {
        let peer = self.peer(id);
        assert!(peer.is_member, "who is not in hears no line");
        if let Some(newest) = peer.newest_line.replace(line) {
            assert_eq!(line, newest + 1, "lines come in order, and none is left out or said twice");
        } else if let Some(seen) = peer.resumed_after {
            assert!(line <= seen + 1, "who comes back misses nothing");
        }
        let mut hasher = DefaultHasher::new();
        json.hash(&mut hasher);
        let hash = hasher.finish();
        assert_eq!(*self.lines.entry(line).or_insert(hash), hash, "all hear the same: {json:.200}");
        self.newest_line = self.newest_line.max(line);
    }

    fn check_note(&mut self, note: LogEvent) {
        match note {
            LogEvent::Accepted(id)
            | LogEvent::Answered(id, _)
            | LogEvent::Upgraded(id)
            | LogEvent::LoggedIn(id)
            | LogEvent::Resumed(id)
            | LogEvent::WrongTry(id)
            | LogEvent::WrongToken(id)
            | LogEvent::MailLimited(id)
            | LogEvent::Closed(id, _)
            | LogEvent::GuestClosed(id, _)
            | LogEvent::HttpClosed(id, _)
            | LogEvent::Full(id)
            | LogEvent::AddressFull(id)
            | LogEvent::UnknownProxy(id)
            | LogEvent::SilentProxy(id)
            | LogEvent::ForeignOrigin(id)
            | LogEvent::UpgradeRemoved(id) => drop(self.peer(id)),
            LogEvent::MailFailed(mail, _) => assert!(self.mails.iter().any(|&(known, _)| known == mail)),
            LogEvent::OutOfFiles
            | LogEvent::AcceptFailed { .. }
            | LogEvent::WideTrust { .. }
            | LogEvent::SystemCalls(_)
            | LogEvent::Stopping { .. }
            | LogEvent::Stopped { .. } => {}
        }
    }

    /// When the server has no more to say, nothing may be left that only it could begin.
    fn check_quiet(&mut self) {
        assert!(
            self.server.next_deadline().is_none_or(|deadline| deadline > self.now),
            "a deadline is stuck"
        );
        for peer in self.peers.iter().flatten() {
            let id = peer.id;
            let waits = peer.has_something() && self.server.wants_read(id);
            assert!(!waits, "{id:?} may be read and nobody was told");
            if !self.server.is_blocked(id) {
                let unsent = self.server.unsent(id).concat();
                assert!(unsent.is_empty(), "{id:?} has unsent bytes and nobody was told");
            }
        }
    }

    /// The peer of a connection that the server speaks of.
    fn peer(&mut self, id: ClientId) -> &mut Peer {
        let peer = self.peers[id.slot()].as_mut().filter(|peer| peer.id == id);
        peer.unwrap_or_else(|| panic!("{id:?} was closed or never there"))
    }

    fn id(&self, slot: Slot) -> Option<ClientId> {
        self.peers[slot].as_ref().map(|peer| peer.id)
    }

    /// As many bytes of these as there is breath for.
    fn breathe(&mut self, bytes: usize) -> usize {
        let bytes = bytes.min(self.breath);
        self.breath -= bytes;
        bytes
    }
}

fn from_newest<T>(things: &[T], back: usize) -> Option<&T> {
    things.iter().rev().nth(back)
}

fn as_typed(secret: &str, typed: Typed) -> String {
    match typed {
        Typed::Right | Typed::WithFlow => secret.to_owned(),
        Typed::Untidy => format!(" {}\n", secret.to_lowercase()),
        Typed::Altered => {
            let (first, rest) = secret.split_at(secret.len().min(1));
            format!("{}{rest}", if first == "A" { 'B' } else { 'A' })
        }
        Typed::Cut => secret[..secret.len().saturating_sub(1)].to_owned(),
        Typed::Empty => String::new(),
    }
}

const UPGRADE: &str = "GET /connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
/// Reads of a chosen size before they are of the usual size again.
const SMALL_READS: usize = 300;
/// What the network holds for one connection.
const ARRIVING_BYTES_MAX: usize = 600_000;
/// Enough to lap the ring, with every byte escaped.
const BREATH_BYTES: usize = 300_000;
