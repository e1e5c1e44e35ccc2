//! The world around the server: clocks, sockets, mail and people, all of them unreliable, all of them from one seed.

use crate::client::{Client, Lines, Phase};
use crate::frames::frame;
use plume::base::ids::{ConnectionId, MailId};
use plume::base::limits::{BACKLOG_BYTES_MIN, READ_SHARE_BYTES};
use plume::base::mail::{Mail, MailFault};
use plume::base::moment::{Moment, Now};
use plume::base::settings::{MailBudget, Settings};
use plume::server::{Input, Output, Server};
use plume::wire::assets::Assets;
use plume::wire::routes::Site;
use rand::rngs::ChaCha20Rng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was lived through, and how often.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

/// What bad days bring. Each must have come in a long enough run, or the simulation has become too kind.
const KINDS: [&str; 13] = [
    "bytes",
    "closed without a word",
    "gap",
    "lapped",
    "line",
    "login",
    "mail-limited",
    "mail lost",
    "name refused",
    "resume",
    "short write",
    "shutdown",
    "wrong code",
];

impl Tally {
    fn count(&mut self, kind: &'static str, times: u64) {
        *self.0.entry(kind).or_default() += times;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, times) in &other.0 {
            self.count(kind, *times);
        }
    }

    pub(crate) fn assert_that_all_kinds_of_days_were_lived(&self) {
        for kind in KINDS {
            assert!(self.0.get(kind).is_some_and(|&times| times > 0), "never came: {kind} in {self:?}");
        }
    }
}

pub(crate) struct World {
    server: Server,
    rng: ChaCha20Rng,
    now: Now,
    step: u32,
    next_serial: u64,
    clients: BTreeMap<ConnectionId, Client>,
    lines: Lines,
    /// Codes that arrived, by address.
    codes: Vec<(&'static str, String)>,
    mails: Vec<MailId>,
    /// Session tokens, with the name they are for.
    sessions: Vec<(&'static str, String)>,
    next_text: u64,
    /// Of two hundred things that are said, so many are long lines.
    loudness: u32,
    /// Sockets take whatever they are offered.
    is_calm: bool,
    is_shut_down: bool,
    has_stopped: bool,
    tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut server_seed = [0; 32];
        rng.fill_bytes(&mut server_seed);
        let budget = MailBudget { every: Duration::from_secs(4), burst: 15 };
        let settings = Settings {
            backlog_bytes: BACKLOG_BYTES_MIN,
            history_lines: rng.random_range(0..60),
            leave_grace: Duration::from_secs(rng.random_range(0..20)),
            messages_per_second: if rng.random_bool(0.3) { 10 } else { 1_000_000 },
            mail_budget: rng.random_bool(0.3).then_some(budget),
            connections_max: rng.random_range(4..40),
            ..Settings::default()
        };
        let loudness = if rng.random_bool(0.3) { 150 } else { 30 };
        let site = Site::new(Assets::built_in(&settings.name), Vec::new());
        Self {
            server: Server::new(settings, site, server_seed),
            rng,
            now: Now { moment: Moment::from_ms(0), wall_ms: 1_600_000_000_000 },
            step: 0,
            next_serial: 0,
            clients: BTreeMap::new(),
            lines: Lines::new(),
            codes: Vec::new(),
            mails: Vec::new(),
            sessions: Vec::new(),
            next_text: 0,
            loudness,
            is_calm: false,
            is_shut_down: false,
            has_stopped: false,
            tally: Tally::default(),
        }
    }

    /// Lives through so many steps, then sees that everything comes to rest and nothing is left.
    pub(crate) fn live(&mut self, steps: u32) -> Tally {
        let is_shut_down_early = self.rng.random_bool(0.3);
        for step in 0..steps {
            self.step = step;
            self.act();
            self.turn();
            if is_shut_down_early && self.rng.random_bool(0.002) {
                break;
            }
        }
        if is_shut_down_early {
            self.shut_down();
        } else {
            self.come_to_rest();
        }
        self.tally.count("line", self.lines.len() as u64);
        self.tally.clone()
    }

    pub(crate) fn step(&self) -> u32 {
        self.step
    }

    /// One thing happens.
    fn act(&mut self) {
        match self.rng.random_range(0..100) {
            0..8 => self.connect(),
            8..12 => self.pass_time(),
            12..16 => self.bring_mail(),
            16..18 => self.with_client(|world, client| client.is_stalled = world.rng.random_bool(0.7)),
            18..20 => self.hang_up(),
            20..21 => self.reset(),
            _ => self.with_client(Self::behave),
        }
    }

    fn with_client(&mut self, act: impl FnOnce(&mut Self, &mut Client)) {
        if self.clients.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.clients.len());
        let (&id, _) = self.clients.iter().nth(at).expect("within bounds");
        let mut client = self.clients.remove(&id).expect("just found");
        act(self, &mut client);
        self.clients.insert(id, client);
    }

    fn connect(&mut self) {
        if self.clients.len() >= CLIENTS_MAX || self.has_stopped {
            return;
        }
        let slot = (0..CLIENTS_MAX)
            .find(|&slot| self.clients.keys().all(|id| id.slot() != slot))
            .expect("a free slot");
        let id = ConnectionId::new(slot, self.next_serial);
        self.next_serial += 1;
        // Some come through a proxy of this machine, some by themselves.
        let peer = if self.rng.random_bool(0.5) {
            [127, 0, 0, 1]
        } else {
            [203, 0, 113, self.rng.random_range(0..4)]
        }
        .into();
        let (name, email) = PEOPLE[self.rng.random_range(0..PEOPLE.len())];
        self.clients.insert(id, Client::new(id, name, email));
        self.server.handle(self.now, Input::Accepted { id, peer });
    }

    fn pass_time(&mut self) {
        let ms = match self.rng.random_range(0..100) {
            0..60 => self.rng.random_range(0..200),
            60..90 => self.rng.random_range(0..5_000),
            90..97 => self.rng.random_range(0..70_000),
            97..99 => self.rng.random_range(0..1_000_000),
            _ => self.rng.random_range(0..100_000_000),
        };
        self.advance(Duration::from_millis(ms));
        // The wall clock may jump in any direction; nothing may depend on it.
        if self.rng.random_bool(0.1) {
            self.now.wall_ms = self.rng.random_range(0..2_000_000_000_000);
        }
    }

    fn advance(&mut self, wait: Duration) {
        self.now.moment = self.now.moment.after(wait);
        self.server.handle(self.now, Input::Tick);
        let next = self.server.next_deadline();
        assert!(next.is_none_or(|next| next > self.now.moment), "a deadline that has come is dealt with");
    }

    fn bring_mail(&mut self) {
        if self.mails.is_empty() {
            return;
        }
        let mail = self.mails.swap_remove(self.rng.random_range(0..self.mails.len()));
        let result = match self.rng.random_range(0..10) {
            0 => Err(MailFault::Refused(500)),
            1 => Err(MailFault::QueueFull),
            // Lost: the worker never tells.
            2 => {
                self.tally.count("mail lost", 1);
                return;
            }
            _ => Ok(()),
        };
        self.server.handle(self.now, Input::MailDone { mail, result });
    }

    fn hang_up(&mut self) {
        self.with_client(|world, client| {
            if !client.has_ended && client.outgoing.is_empty() && world.server.wants_read(client.id) {
                client.has_ended = true;
                world.server.handle(world.now, Input::PeerEnded(client.id));
            }
        });
    }

    fn reset(&mut self) {
        self.with_client(|world, client| world.server.handle(world.now, Input::Broken(client.id)));
    }

    /// A client does what a client in its place would do, or what it should not.
    fn behave(&mut self, client: &mut Client) {
        if client.has_ended {
            return;
        }
        match client.phase {
            Phase::Http => self.visit(client),
            Phase::Upgrading | Phase::Closed => {}
            Phase::Stranger if client.is_waiting => {}
            Phase::Stranger => self.knock(client),
            Phase::Member => self.talk(client),
        }
    }

    fn visit(&mut self, client: &mut Client) {
        const UPGRADE: &[u8] =
            b"GET /connect HTTP/1.1\r\nHost: plume.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let bytes: &[u8] = match self.rng.random_range(0..20) {
            0 => b"GET / HTTP/1.1\r\nHost: plume.test\r\n\r\n",
            1 => b"GET /nothing HTTP/1.1\r\nHost: plume.test\r\n\r\nGET /healthz HTTP/1.1\r\nHost: plume.test\r\n\r\n",
            2 => b"\x16\x03\x01 no HTTP at all",
            3 => b"GET / HTTP/1.1\r\nHos",
            _ => {
                client.phase = Phase::Upgrading;
                UPGRADE
            }
        };
        client.outgoing.extend(bytes);
    }

    fn knock(&mut self, client: &mut Client) {
        let own_code = self.codes.iter().rposition(|(email, _)| *email == client.email);
        let session =
            self.sessions.iter().rfind(|(name, _)| *name == client.name).map(|(_, token)| token.clone());
        let message = match (self.rng.random_range(0..20), own_code, session) {
            (0..6, Some(at), _) if client.flow_token.is_some() => {
                let (_, code) = self.codes.remove(at);
                json!({"type": 2, "text": code, "flow": client.flow_token.take()})
            }
            (6..12, _, Some(token)) => {
                self.tally.count("resume", 1);
                client.resumed_after =
                    self.lines.keys().next_back().copied().filter(|_| self.rng.random_bool(0.5));
                let back = self.rng.random_range(0..50);
                client.resumed_after = client.resumed_after.map(|after| after.saturating_sub(back));
                match client.resumed_after {
                    Some(after) => json!({"type": 7, "text": token, "after": after}),
                    None => json!({"type": 7, "text": token}),
                }
            }
            (12, ..) => json!({"type": 2, "text": "000000"}),
            (13, ..) => json!({"type": 7, "text": "AAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
            (14, ..) => json!({"type": 1, "text": "a stranger speaks"}),
            (15, ..) => return self.misbehave(client),
            _ => json!({"type": 0, "text": format!("{}\n{}", client.name, client.email)}),
        };
        client.is_waiting = message["type"] != 1;
        self.send(client, &message.to_string());
    }

    fn talk(&mut self, client: &mut Client) {
        if let Some(token) = &client.session
            && !self.sessions.iter().any(|(_, known)| known == token)
        {
            self.sessions.push((client.name, token.clone()));
            self.tally.count("login", 1);
        }
        let message = match self.rng.random_range(0..200) {
            0 => json!({"type": 8}),
            1 => return self.misbehave(client),
            2..6 => json!({"type": 2, "text": "again"}),
            6..20 => {
                client.outgoing.extend(frame(0x89, b"ping", [7; 4]));
                return;
            }
            roll => {
                self.next_text += 1;
                // Long lines, so that the ring laps those who do not read.
                let len = if roll < self.loudness { 60_000 } else { 0 };
                let text = format!("line {} {}", self.next_text, "x".repeat(len));
                client.unconfirmed.push_back(text.clone());
                json!({"type": 1, "text": text})
            }
        };
        self.send(client, &message.to_string());
    }

    /// Says what is not in the protocol.
    fn misbehave(&mut self, client: &mut Client) {
        let bytes = match self.rng.random_range(0..6) {
            0 => frame(0x81, b"{\"type\":", [1; 4]),
            1 => frame(0x81, b"\xff\xfe", [1; 4]),
            2 => frame(0x83, b"reserved", [1; 4]),
            3 => vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            4 => frame(0x88, &1000_u16.to_be_bytes(), [1; 4]),
            _ => (0..self.rng.random_range(1..40)).map(|_| self.rng.random()).collect(),
        };
        client.outgoing.extend(bytes);
        client.is_garbled = true;
    }

    /// Sends a text in one frame or in two.
    fn send(&mut self, client: &mut Client, text: &str) {
        let mask = self.rng.random();
        let cut = text.floor_char_boundary(self.rng.random_range(0..=text.len()));
        if self.rng.random_bool(0.9) {
            client.outgoing.extend(frame(0x81, text.as_bytes(), mask));
        } else {
            client.outgoing.extend(frame(0x01, &text.as_bytes()[..cut], mask));
            client.outgoing.extend(frame(0x80, &text.as_bytes()[cut..], mask));
        }
    }

    /// A turn of the shell: some bytes arrive, some sockets have room again, and the server says what it has to say.
    fn turn(&mut self) {
        let wait = self.rng.random_range(0..3);
        self.advance(Duration::from_millis(wait));
        let ids: Vec<ConnectionId> = self.clients.keys().copied().collect();
        for id in ids {
            if self.rng.random_bool(0.5) {
                self.deliver(id);
            }
            if self.rng.random_bool(0.3) && self.server.is_blocked(id) {
                self.write(id);
            }
        }
        let outputs = if self.rng.random_bool(0.5) { usize::MAX } else { self.rng.random_range(0..30) };
        self.obey(outputs);
    }

    /// Brings a piece of what a client has sent to the server, if it wants to read.
    fn deliver(&mut self, id: ConnectionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.outgoing.is_empty() || !self.server.wants_read(id) {
            return;
        }
        let most = client.outgoing.len().min(READ_SHARE_BYTES);
        let len = if self.rng.random_bool(0.7) { most } else { self.rng.random_range(1..=most) };
        let bytes: Vec<u8> = client.outgoing.drain(..len).collect();
        self.server.handle(self.now, Input::Received { id, bytes: &bytes });
    }

    fn write(&mut self, id: ConnectionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let unsent = self.server.unsent(id).concat();
        let taken = match self.rng.random_range(0..10) {
            _ if client.is_stalled => 0,
            _ if self.is_calm => unsent.len(),
            0 => self.rng.random_range(0..=unsent.len()),
            _ => unsent.len(),
        };
        self.tally.count("short write", u64::from(taken < unsent.len()));
        self.tally.count("bytes", taken as u64);
        client.hear(&unsent[..taken], &mut self.lines);
        self.server.handle(self.now, Input::Wrote { id, bytes: taken });
    }

    /// Does what the server says, up to a share.
    fn obey(&mut self, share: usize) {
        for _ in 0..share {
            let Some(output) = self.server.poll() else { return };
            assert!(!self.has_stopped, "nothing is said after the end: {output:?}");
            match output {
                Output::Write(id) => {
                    assert!(self.clients.contains_key(&id), "{id:?} is known");
                    self.write(id);
                }
                Output::Read(id) => assert!(self.clients.contains_key(&id), "{id:?} is known"),
                Output::EndWriting(id) => {
                    let client = self.clients.get_mut(&id).expect("known");
                    assert!(!client.is_ended_by_server, "the end comes once");
                    client.is_ended_by_server = true;
                }
                Output::Close(id) => {
                    let client = self.clients.remove(&id).expect("closed once");
                    self.bury(&client);
                }
                Output::Mail(mail) => self.post(&mail),
                Output::Note(_) => {}
                Output::Stopped => {
                    assert!(self.is_shut_down && self.clients.is_empty(), "all are closed before the end");
                    self.has_stopped = true;
                }
            }
        }
    }

    fn post(&mut self, mail: &Mail) {
        let &(_, email) =
            PEOPLE.iter().find(|(_, email)| *email == mail.to).expect("mail goes to who asked for it");
        self.codes.push((email, mail.code.clone()));
        self.mails.push(mail.id);
    }

    fn bury(&mut self, client: &Client) {
        for reason in &client.reasons {
            if let Some(kind) = ["gap", "mail-limited"].into_iter().find(|kind| kind == reason) {
                self.tally.count(kind, 1);
            }
        }
        self.tally.count("lapped", u64::from(client.close_code == Some(4008)));
        self.tally.count("wrong code", u64::from(client.resets));
        self.tally.count("name refused", u64::from(client.refusals));
        self.tally.count("closed without a word", u64::from(client.phase != Phase::Closed));
    }

    /// All sockets work again: everybody who is in must learn everything.
    fn come_to_rest(&mut self) {
        for client in self.clients.values_mut() {
            client.is_stalled = false;
        }
        for _ in 0..2_000 {
            self.turn();
            self.advance(Duration::from_millis(50));
        }
        self.is_calm = true;
        self.obey(usize::MAX);
        for id in self.clients.keys().copied().collect::<Vec<_>>() {
            self.write(id);
        }
        self.obey(usize::MAX);
        let newest = self.lines.keys().next_back().copied();
        let members: Vec<&Client> = self
            .clients
            .values()
            .filter(|client| client.phase == Phase::Member && !client.has_ended)
            .collect();
        for client in &members {
            assert_eq!(client.names, members[0].names, "all know the same people");
            let is_slowed = !client.outgoing.is_empty() || !self.server.wants_read(client.id);
            if client.newest.is_some() && !is_slowed {
                assert_eq!(client.newest, newest, "{} has heard everything", client.name);
                assert!(
                    client.is_garbled || client.unconfirmed.is_empty(),
                    "what {} said was heard: {:?}",
                    client.name,
                    client.unconfirmed
                );
            }
        }
        self.hang_up_all();
    }

    /// Everybody goes; after a long time nothing is left to do.
    fn hang_up_all(&mut self) {
        let ids: Vec<ConnectionId> = self.clients.keys().copied().collect();
        for id in ids {
            self.server.handle(self.now, Input::Broken(id));
        }
        self.obey(usize::MAX);
        assert!(self.clients.is_empty(), "who is broken is closed");
        for _ in 0..100 {
            self.advance(Duration::from_hours(1));
            self.obey(usize::MAX);
        }
        assert_eq!(self.server.next_deadline(), None, "nothing is left");
    }

    /// The server stops: it has stopped in time, whoever does not listen.
    fn shut_down(&mut self) {
        self.tally.count("shutdown", 1);
        self.is_shut_down = true;
        self.server.handle(self.now, Input::Shutdown);
        for _ in 0..450 {
            self.turn();
            self.advance(Duration::from_millis(10));
        }
        self.obey(usize::MAX);
        assert!(self.has_stopped, "the server stops within its time");
    }
}

/// More than any server of these worlds takes.
const CLIENTS_MAX: usize = 60;
/// Names and the addresses of those who ask for them; some want the same name.
const PEOPLE: [(&str, &str); 8] = [
    ("ada", "ada@example.org"),
    ("bob", "bob@example.org"),
    ("eve", "eve@example.org"),
    ("joe", "joe@example.org"),
    ("kim", "kim@example.org"),
    ("lea", "lea@example.org"),
    ("ada", "mallory@example.org"),
    ("bob", "trudy@example.org"),
];
