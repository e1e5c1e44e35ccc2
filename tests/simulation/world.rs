//! The world around the server: clocks, sockets, mail and people, all of them unreliable, all of them from one seed.

mod gaps;
mod people;

use crate::client::{Client, Lines, Person, Phase};
use crate::ledger::{Ledger, Stamp};
use crate::tally::Tally;
use plume::base::time::{Moment, Now};
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::{ClientId, MailId};
use plume::limits::{
    ACCEPTS_PER_TURN, BACKLOG_BYTES_MIN, READ_SHARE_BYTES, READS_PER_TURN, REFUSALS_MAX, WRITES_PER_TURN,
};
use plume::log_event::LogEvent;
use plume::login_email::{Mail, MailError};
use plume::server::{Input, Output, Server};
use plume::settings::{MailBudget, Settings};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(crate) struct World {
    server: Server,
    ledger: Ledger,
    nature: Nature,
    rng: ChaCha8Rng,
    now: Now,
    /// When the server had last said everything.
    silent_at: Moment,
    step: u32,
    next_serial: u64,
    clients: BTreeMap<ClientId, Client>,
    lines: Lines,
    /// Codes that arrived, by address.
    codes: Vec<(&'static str, String)>,
    mails: Vec<MailId>,
    /// Session tokens, with the name they are for.
    sessions: Vec<(&'static str, String)>,
    /// Codes that have let somebody in, with their flow tokens.
    used: Vec<(String, String)>,
    /// Tokens of sessions that somebody has left.
    dead_sessions: Vec<String>,
    /// Texts that were sent as lines: on which connection, as which user, and when. The number of each stands in it.
    texts: Vec<(ClientId, &'static str, Moment)>,
    /// Sockets at once, as the shell counts them.
    sockets_max: usize,
    /// Events that may still come between two calls in this turn. It ends turns that would otherwise keep themselves busy.
    gap_events_left: u32,
    /// How often, while a member is written to, others say more than the ring holds.
    floods_left: u32,
    /// Sockets take whatever they are offered.
    is_calm: bool,
    is_shut_down: bool,
    has_stopped: bool,
    tally: Tally,
}

/// What one world is like, drawn from its seed.
struct Nature {
    /// How often which kind of thing happens: somebody comes, time passes, a mail arrives, a socket stalls or recovers, somebody
    /// hangs up, a connection breaks, a client does something.
    weights: [u32; 7],
    /// Of two hundred things that are said, so many are long lines.
    loudness: u32,
    /// How much of what clients do is meant to harm.
    malice: f64,
    /// All that comes from outside comes from one address.
    is_siege: bool,
    /// How many mails go wrong.
    mail_faults: f64,
    /// How many waits are of days.
    days: f64,
    /// How many writes and reads are short.
    shortness: f64,
    /// In how many of the gaps between two calls something happens.
    gaps: f64,
}

impl Nature {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let usual = [(8, 1), (4, 0), (4, 0), (2, 0), (2, 0), (1, 0), (79, 1)];
        let is_siege = rng.random_bool(0.2);
        Self {
            weights: usual.map(|(usual, least)| usual * rng.random_range(least..=3)),
            is_siege,
            loudness: if rng.random_bool(0.5) { 150 } else { 30 },
            malice: match rng.random_range(0..10) {
                _ if is_siege => 0.9,
                0..5 => 0.0,
                _ => rng.random_range(0.0..0.9),
            },
            mail_faults: rng.random_range(0.0..0.5),
            days: if rng.random_bool(0.8) { 0.01 } else { 0.2 },
            shortness: rng.random_range(0.0..0.5),
            gaps: if rng.random_bool(0.2) { 0.0 } else { rng.random_range(0.0..0.1) },
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
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
            connections_per_address: rng.random_range(2..20),
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
            ..Settings::default()
        };
        let nature = Nature::draw(&mut rng);
        let site = Site::new(Assets::built_in(&settings.name), Vec::new());
        Self {
            sockets_max: settings.connections_max + REFUSALS_MAX,
            ledger: Ledger::new(&settings),
            server: Server::new(settings, site, server_seed),
            nature,
            now: Now { moment: Moment::from_ms(0), wall_ms: 1_600_000_000_000 },
            silent_at: Moment::from_ms(0),
            step: 0,
            next_serial: 0,
            clients: BTreeMap::new(),
            lines: Lines::default(),
            codes: Vec::new(),
            mails: Vec::new(),
            sessions: Vec::new(),
            used: Vec::new(),
            dead_sessions: Vec::new(),
            texts: Vec::new(),
            gap_events_left: 0,
            floods_left: u32::from(rng.random_bool(0.1)),
            is_calm: false,
            is_shut_down: false,
            has_stopped: false,
            tally: Tally::default(),
            rng,
        }
    }

    /// Lives through so many steps, then sees that everything comes to rest and nothing is left.
    pub(crate) fn live(&mut self, steps: u32) -> Tally {
        let is_shut_down_early = self.rng.random_bool(0.3);
        for step in 0..steps {
            self.step = step;
            self.act();
            self.turn();
            self.check_census();
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
        let weights = self.nature.weights;
        let mut roll = self.rng.random_range(0..weights.iter().sum());
        let kind = weights.iter().position(|&weight| match roll.checked_sub(weight) {
            Some(rest) => {
                roll = rest;
                false
            }
            None => true,
        });
        match kind.expect("the roll is below the sum") {
            0 => {
                let crowd = if self.rng.random_bool(0.02) { ACCEPTS_PER_TURN } else { 1 };
                for _ in 0..crowd {
                    self.connect();
                }
            }
            1 => self.pass_time(),
            2 => self.bring_mail(),
            3 => self.with_client(|world, client| client.is_stalled = world.rng.random_bool(0.7)),
            4 => self.hang_up(),
            5 => self.reset(),
            _ => self.with_client(Self::behave),
        }
    }

    /// Nothing that the server keeps is more than it may be.
    fn check_census(&self) {
        for count in self.server.usage() {
            assert!(count.now <= count.most, "{count:?}");
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
        if self.clients.len() >= self.sockets_max || self.is_shut_down {
            return;
        }
        let slot = (0..self.sockets_max)
            .find(|&slot| self.clients.keys().all(|id| id.slot() != slot))
            .expect("a free slot");
        let id = ClientId::new(slot, self.next_serial);
        self.next_serial += 1;
        let outside = if self.nature.is_siege { 0 } else { self.rng.random_range(0..4) };
        let (peer, address, is_proxied) = match self.rng.random_range(0..10) {
            // From this machine, perhaps through a proxy that nobody told of.
            0..4 => ([127, 0, 0, 1], None, false),
            4..7 => ([203, 0, 113, outside], Some(outside), false),
            7..9 => ([10, 0, 0, 1], Some(outside), true),
            // The proxy names no client: its own address counts.
            _ => ([10, 0, 0, 1], Some(PROXY), true),
        };
        let person = PEOPLE[self.rng.random_range(0..PEOPLE.len())];
        self.clients.insert(id, Client::new(id, person, address, is_proxied));
        self.server.handle(self.now, Input::Accepted { id, peer: peer.into() });
        self.gap();
    }

    fn pass_time(&mut self) {
        let ms = match self.rng.random_range(0..100) {
            _ if self.rng.random_bool(self.nature.days) => self.rng.random_range(0..200_000_000),
            0..60 => self.rng.random_range(0..200),
            60..90 => self.rng.random_range(0..5_000),
            90..98 => self.rng.random_range(0..70_000),
            _ => self.rng.random_range(0..1_000_000),
        };
        self.advance(Duration::from_millis(ms));
        // The wall clock may jump in any direction; nothing may depend on it.
        if self.rng.random_bool(0.1) {
            self.now.wall_ms = self.rng.random_range(0..2_000_000_000_000);
            self.tally.count("wall clock jumped", 1);
        }
    }

    fn advance(&mut self, wait: Duration) {
        self.now.moment = self.now.moment.after(wait);
        self.tick();
    }

    fn tick(&mut self) {
        self.server.handle(self.now, Input::Tick);
        let next = self.server.next_deadline();
        assert!(next.is_none_or(|next| next > self.now.moment), "a deadline that has come is dealt with");
    }

    fn bring_mail(&mut self) {
        if self.mails.is_empty() {
            return;
        }
        let mail = self.mails.swap_remove(self.rng.random_range(0..self.mails.len()));
        let is_fault = self.rng.random_bool(self.nature.mail_faults);
        let result = match self.rng.random_range(0..3) {
            _ if !is_fault => Ok(()),
            0 => Err(MailError::Refused(500)),
            1 => Err(MailError::QueueFull),
            // Lost: the worker never tells.
            _ => return self.tally.count("mail lost", 1),
        };
        if result.is_ok() {
            self.ledger.mail_done(mail, self.now.moment);
        }
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

    /// A turn of the shell: some bytes arrive, some sockets have room again, and the server says what it has to say. It has the
    /// shares of the real one, and between any two calls anything may happen.
    fn turn(&mut self) {
        self.gap_events_left = GAP_EVENTS_PER_TURN;
        let wait = self.rng.random_range(0..3);
        self.now.moment = self.now.moment.after(Duration::from_millis(wait));
        let mut queue: VecDeque<ClientId> = self.clients.keys().copied().collect();
        queue.retain(|_| self.rng.random_bool(0.5));
        for _ in 0..READS_PER_TURN {
            let Some(id) = queue.pop_front() else { break };
            self.gap();
            if self.rng.random_bool(0.5) && self.server.is_blocked(id) {
                self.server.handle(self.now, Input::Writable(id));
                self.gap();
            }
            // What is left may still be on its way.
            if self.deliver(id) && self.rng.random_bool(0.5) {
                queue.push_back(id);
            }
        }
        self.gap();
        self.tick();
        let writes = if self.rng.random_bool(0.5) { WRITES_PER_TURN } else { self.rng.random_range(0..30) };
        self.obey(writes);
    }

    /// Brings a piece of what a client has sent to the server, if it wants to read. Whether there is more of it.
    fn deliver(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.get_mut(&id) else { return false };
        if client.outgoing.is_empty() || !self.server.wants_read(id) {
            return false;
        }
        let most = client.outgoing.len().min(READ_SHARE_BYTES);
        let len =
            if self.rng.random_bool(self.nature.shortness) { self.rng.random_range(1..=most) } else { most };
        let rest = client.outgoing.split_off(len);
        let bytes = Vec::from(std::mem::replace(&mut client.outgoing, rest));
        let has_more = !client.outgoing.is_empty();
        self.server.handle(self.now, Input::Received { id, bytes: &bytes });
        has_more
    }

    fn write(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let unsent = self.server.unsent(id).concat();
        let is_short = self.rng.random_bool(self.nature.shortness) && !self.is_calm;
        let taken = match is_short {
            _ if client.is_stalled => 0,
            true => self.rng.random_range(0..=unsent.len()),
            false => unsent.len(),
        };
        self.tally.count("short write", u64::from(taken < unsent.len()));
        self.tally.count("bytes", taken as u64);
        let (former, codes_sent) = (client.phase, client.codes_sent);
        client.hear(&unsent[..taken], &mut self.lines);
        let at = Stamp { since: client.asked_at, by: self.now.moment };
        if client.codes_sent > codes_sent {
            self.ledger.ask_code(client.address, at);
        }
        if former == Phase::Stranger && client.session.is_some() {
            let Person { email, likeness, .. } = client.person;
            self.tally.count("name changed hands", u64::from(self.ledger.claim(likeness, email, at)));
            self.used.extend(client.typed.take());
        }
        for line in self.lines.take_new() {
            let number = line.text.split(' ').nth(2).and_then(|number| number.parse::<usize>().ok());
            if let Some(&(connection, user, since)) = number.and_then(|number| self.texts.get(number)) {
                self.ledger.post_line(user, connection, Stamp { since, by: self.now.moment });
            }
        }
        if taken > 0 && former == Phase::Member {
            self.flood();
        }
        self.gap();
        self.server.handle(self.now, Input::Wrote { id, bytes: taken });
    }

    /// Does what the server says, up to a share of writes.
    fn obey(&mut self, writes_max: usize) {
        let mut writes = 0;
        while writes < writes_max {
            let Some(output) = self.server.poll() else {
                self.silent_at = self.now.moment;
                return;
            };
            assert!(!self.has_stopped, "nothing is said after the end: {output:?}");
            let at = Stamp { since: self.silent_at, by: self.now.moment };
            self.ledger.hear(&output, at, |id| {
                let client = self.clients.get(&id).expect("the server speaks of who is there");
                (client.address, client.is_proxied)
            });
            self.gap();
            match output {
                Output::Write(id) => {
                    writes += 1;
                    assert!(self.clients.contains_key(&id), "{id:?} is known");
                    self.write(id);
                }
                Output::Read(id) => assert!(self.clients.contains_key(&id), "{id:?} is known"),
                Output::EndWriting(id) => {
                    let client = self.clients.get_mut(&id).expect("known");
                    assert!(!client.is_ended_by_server, "the end comes once");
                    assert!(client.is_between_frames(), "writing ends after a whole frame");
                    client.is_ended_by_server = true;
                }
                Output::Close(id) => {
                    let client = self.clients.remove(&id).expect("closed once");
                    self.bury(&client);
                }
                Output::Mail(mail) => self.post(&mail),
                Output::LogEvent(LogEvent::AddressFull(_)) => self.tally.count("address full", 1),
                Output::LogEvent(_) => {}
                Output::Stopped => {
                    assert!(self.is_shut_down && self.clients.is_empty(), "all are closed before the end");
                    self.has_stopped = true;
                }
            }
        }
    }

    fn post(&mut self, mail: &Mail) {
        let person = PEOPLE.iter().find(|person| person.email == mail.to);
        let email = person.expect("mail goes to who asked for it").email;
        self.codes.push((email, mail.code.clone()));
        self.mails.push(mail.id);
    }

    fn bury(&mut self, client: &Client) {
        for reason in &client.reasons {
            let kinds = ["gap", "mail-limited", "too-many-tries"];
            if let Some(kind) = kinds.into_iter().find(|kind| kind == reason) {
                self.tally.count(kind, 1);
            }
        }
        if let Some(token) = &client.session
            && client.has_left
            && client.close_code == Some(1000)
        {
            self.sessions.retain(|(_, known)| known != token);
            self.dead_sessions.push(token.clone());
        }
        self.tally.count("place refused", u64::from(client.is_refused));
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
        self.nature.gaps = 0.0;
        for _ in 0..REST_TURNS {
            self.turn();
            self.advance(REST_STEP);
        }
        self.is_calm = true;
        self.obey(usize::MAX);
        for id in self.clients.keys().copied().collect::<Vec<_>>() {
            self.server.handle(self.now, Input::Writable(id));
        }
        self.obey(usize::MAX);
        let newest = self.lines.newest();
        let members: Vec<&Client> = self
            .clients
            .values()
            .filter(|client| client.phase == Phase::Member && !client.has_ended)
            .collect();
        for client in &members {
            assert_eq!(client.names, members[0].names, "all know the same people");
            let is_slowed = !client.outgoing.is_empty() || !self.server.wants_read(client.id);
            if client.newest.is_some() && !is_slowed {
                assert_eq!(client.newest, newest, "{} has heard everything", client.person.name);
                assert!(
                    client.is_garbled || client.unconfirmed.is_empty(),
                    "what {} said was heard: {:?}",
                    client.person.name,
                    client.unconfirmed
                );
            }
        }
        self.hang_up_all();
    }

    /// Everybody goes; after a long time nothing is left to do.
    fn hang_up_all(&mut self) {
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in ids {
            self.server.handle(self.now, Input::Broken(id));
        }
        self.obey(usize::MAX);
        assert!(self.clients.is_empty(), "who is broken is closed");
        for _ in 0..100 {
            self.advance(Duration::from_hours(1));
            self.obey(usize::MAX);
        }
        assert_eq!(self.server.next_deadline(), None, "nothing is left to do");
        for count in self.server.usage() {
            assert_eq!(count.now, 0, "nothing is left: {count:?}");
        }
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

/// Together long enough for the last throttled message: turns are what a run without optimizations spends its time on.
const REST_TURNS: u32 = 400;
const REST_STEP: Duration = Duration::from_millis(250);
/// More than most turns need.
const GAP_EVENTS_PER_TURN: u32 = 30;
/// What a proxy counts for itself: no address of the outside.
pub(crate) const PROXY: u8 = 200;
/// Some want the name that somebody else has, or one like it.
const PEOPLE: [Person; 8] = [
    Person { name: "ada", email: "ada@example.org", likeness: "ada" },
    Person { name: "bob", email: "bob@example.org", likeness: "bob" },
    Person { name: "eve", email: "eve@example.org", likeness: "eve" },
    Person { name: "joe", email: "joe@example.org", likeness: "joe" },
    Person { name: "kim", email: "kim@example.org", likeness: "kim" },
    Person { name: "lea", email: "ada+lea@example.org", likeness: "lea" },
    Person { name: "A.D.A", email: "eve+mallory@example.org", likeness: "ada" },
    Person { name: "b0b", email: "trudy@example.org", likeness: "bob" },
];
