//! The world around a server: clocks, sockets, emails and people, all of them unreliable, all from one source
//! of choices.
//!
//! What must hold in any life is checked after every step:
//! - what a connection is sent is well-formed HTTP, then well-formed frames with JSON objects in them;
//!   nothing follows the end;
//! - who is not in receives no line of the room; who is receives all lines from one on, in order, and the
//!   same as the others;
//! - who comes back misses nothing, or is told of a gap;
//! - once somebody has received that a line is deleted, only who had begun to receive it gets its words;
//! - who follows the room over HTTP gets the same lines, until a gap or a restart ends the stream;
//! - nobody enters but with a code or a token of their own, and nobody speaks for others;
//! - each line is offered to each member within a number of writes, whatever others send;
//! - a client that answers, however slowly it reads and however long the process was stopped, is not closed
//!   for silence;
//! - who is banned, muted, slowed down or locked out is that, and nobody else's session ends;
//! - nobody has more than a share: see [`Ledger`]; nothing that the server keeps is more than it may be;
//! - the shell is told of all that it has to do; nothing is said of a connection that was closed, and closing
//!   is said once;
//! - each log event is counted once in the server's metrics, and the states of connections add up;
//! - a server that is told to stop stops in time, with all connections closed; one that all have left keeps
//!   nothing.

mod faults;
mod moderation;
mod people;
mod places;
mod restart;

use super::choices::Choices;
use super::client::{Client, Lines, Person, Phase};
use super::driver::Driver;
use super::ledger::{Address, Ledger, Stamp};
use super::moves::Moves;
use super::offers::Offers;
use super::shell::Shell;
use super::tally::Tally;
use places::Places;
use plume::base::digest::Digest;
use plume::base::time::{Moment, Now};
use plume::close_reason::CloseReason;
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::{ClientId, MailId};
use plume::limits::{
    ACCEPTS_PER_TURN, BACKLOG_BYTES_MIN, CATCH_UP, CATCH_UP_AGAIN, LATE_MIN, NAME_TTL_KEPT, PROGRESS_TIMEOUT,
    READ_SHARE_BYTES, READS_PER_TURN, REFUSALS_MAX, WRITE_SHARE_BYTES, WRITES_PER_TURN,
};
use plume::log_event::LogEvent;
use plume::login_email::Mail;
use plume::server::{Input, Output};
use plume::settings::{Bot, Door, MailBudget, Rights, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct World {
    /// Of the server.
    settings: Settings,
    site: Site,
    shell: Shell,
    ledger: Ledger,
    offers: Offers,
    nature: Nature,
    choices: Choices,
    /// When the server had last said everything.
    silent_at: Moment,
    step: u32,
    clients: BTreeMap<ClientId, Client>,
    lines: Lines,
    /// Codes that arrived, by email address.
    codes: Vec<(&'static str, String)>,
    mails: Vec<MailId>,
    /// Session tokens, with the name they are for.
    sessions: Vec<(&'static str, String)>,
    /// Codes that have let a user in, with their flow tokens.
    used: Vec<(String, String)>,
    /// Tokens of sessions that a user has left.
    dead_sessions: Vec<String>,
    /// Lines that were sent. The number of each stands in it.
    texts: Vec<Sent>,
    /// What moderators have asked for. The number of each stands in its `ref`.
    acts: Vec<moderation::Act>,
    /// Names of users who may have been kicked or banned.
    removable: BTreeSet<&'static str>,
    /// When each line was received first.
    seen: BTreeMap<u64, Moment>,
    /// Bytes of lines that were sent: what members may have to take before they come to a new one.
    text_bytes: u64,
    /// The shell is as prompt as it has to be for steady clients: it has read what they sent and done what
    /// the server asked for before it was stopped, and it was not stopped again soon.
    is_prompt: bool,
    /// When it was stopped last, it went on then.
    goes_on_at: Moment,
    /// Events that may still come between two calls in this turn. It ends turns that would otherwise keep
    /// themselves busy.
    gap_events_left: u32,
    /// Calls until something happens between two of them.
    calls_to_gap: u64,
    /// Whether anything has happened in a gap since the last output.
    was_interrupted: bool,
    /// How often, while a member is written to, others say more than the ring holds.
    floods_left: u32,
    /// Sockets take whatever they are offered.
    is_calm: bool,
    is_shut_down: bool,
    has_stopped: bool,
    /// Log events by their names.
    events: BTreeMap<&'static str, u64>,
    tally: Tally,
}

/// A line as a client has sent it.
struct Sent {
    user: &'static str,
    address: Address,
    message_bytes: usize,
    is_long: bool,
    at: Moment,
}

/// What one world is like. Chances are in thousandths.
struct Nature {
    /// How often which kind of thing happens: a peer connects, time passes, an email arrives, a socket stalls
    /// or recovers, a peer ends, a connection breaks, a client does something.
    weights: [u64; 7],
    /// Of two hundred things that are said, so many are long lines.
    loudness: u64,
    /// How much of what clients do is meant to harm.
    malice: u64,
    places: Places,
    /// How many different people there are.
    people: usize,
    /// One user, who comes in with as many connections as possible.
    swarm: Option<Person>,
    /// How many clients are steady, and how many of those read slowly.
    steadiness: u64,
    /// How many emails go wrong.
    mail_faults: u64,
    /// How many waits are of days.
    days: u64,
    /// How many writes and reads are short.
    shortness: u64,
    /// Calls between two gaps, on average; zero: there are none.
    calls_per_gap: u64,
    /// Whether there is a moderator.
    is_moderated: bool,
}

impl Nature {
    fn choose(choices: &mut Choices) -> Self {
        let usual = [(8, 1), (4, 0), (4, 0), (2, 0), (2, 0), (1, 0), (79, 1)];
        let places = Places::choose(choices);
        let swarm = choices.chance(100).then(|| PEOPLE[choices.index(4)]);
        Self {
            weights: usual.map(|(usual, least)| usual * choices.within(least..4)),
            loudness: if choices.chance(500) { 150 } else { 30 },
            malice: match choices.below(10) {
                0..5 => 0,
                5..9 => choices.below(900),
                _ => 900,
            },
            places,
            people: choices.pick(&[4, 8, PEOPLE.len()]),
            swarm,
            steadiness: choices.pick(&[0, 300, 700]),
            mail_faults: choices.pick(&[0, 250, 500]),
            days: choices.pick(&[10, 10, 10, 10, 200]),
            shortness: choices.pick(&[0, 100, 250, 500]),
            calls_per_gap: choices.pick(&[0, 10, 20, 50, 100]),
            is_moderated: choices.chance(400),
        }
    }
}

impl World {
    pub(crate) fn new(mut choices: Choices) -> Self {
        let mut server_seed = [0; 32];
        server_seed[..8].copy_from_slice(&choices.below(u64::MAX).to_be_bytes());
        let nature = Nature::choose(&mut choices);
        let moderator = nature.is_moderated.then_some(moderation::MODERATOR.name);
        // Where all come from one network, its windows matter, which are not reached where emails are few.
        let (waits, has_budget) =
            if nature.places.is_siege() { ([4, 0, 0, 0], 600) } else { ([4, 4, 1, 0], 400) };
        let every = Duration::from_secs(choices.pick(&waits));
        let budget = MailBudget { every, burst: choices.pick(&[15, 15, 3]) };
        let is_swarm = nature.swarm.is_some();
        let settings = Settings {
            backlog_bytes: BACKLOG_BYTES_MIN,
            history_lines: choices.index(60),
            leave_grace: Duration::from_secs(choices.below(20)),
            messages_per_second: choices.pick(&[10, 1, 0, 0, 0]),
            mail_budget: choices.chance(has_budget).then_some(budget),
            connections_max: if is_swarm { 90 } else { 4 + choices.index(36) },
            connections_per_address: if is_swarm { 64 } else { 2 + choices.index(18) },
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
            door: if nature.is_moderated { moderation::door() } else { Door::default() },
            bots: vec![Bot {
                name: "follower".to_owned(),
                rights: Rights { say: false, read: true },
                token: Digest::of(BOT_TOKEN.as_bytes()),
            }],
            ..Settings::default()
        };
        let site = Site::new(Assets::built_in(&settings.name), Vec::new());
        let sockets_max = settings.connections_max + REFUSALS_MAX;
        let ledger = Ledger::new(&settings);
        let mut driver = Driver::with_site(settings.clone(), site.clone(), server_seed);
        driver.now = Now { moment: Moment::from_ms(0), wall_ms: 1_600_000_000_000 };
        if choices.chance(300) {
            driver.restore(BTreeMap::new());
        }
        let mut world = Self {
            settings,
            site,
            shell: Shell::new(driver, sockets_max),
            ledger,
            offers: Offers::default(),
            nature,
            silent_at: Moment::from_ms(0),
            step: 0,
            clients: BTreeMap::new(),
            lines: Lines::of(moderator),
            codes: Vec::new(),
            mails: Vec::new(),
            sessions: Vec::new(),
            used: Vec::new(),
            dead_sessions: Vec::new(),
            texts: Vec::new(),
            acts: Vec::new(),
            removable: BTreeSet::new(),
            seen: BTreeMap::new(),
            text_bytes: 0,
            is_prompt: true,
            goes_on_at: Moment::from_ms(0),
            gap_events_left: 0,
            calls_to_gap: 0,
            was_interrupted: false,
            floods_left: u32::from(choices.chance(100)),
            is_calm: false,
            is_shut_down: false,
            has_stopped: false,
            events: BTreeMap::new(),
            tally: Tally::default(),
            choices,
        };
        world.plan_gap();
        world
    }

    /// Lives through so many steps, or as many as there are choices for, then sees that everything comes to
    /// rest and nothing is left.
    pub(crate) fn live(&mut self, steps: u32) -> Tally {
        let is_shut_down_early = self.live_on(steps);
        self.check_metrics();
        self.let_a_minute_pass();
        if is_shut_down_early {
            self.shut_down();
        } else {
            self.come_to_rest();
        }
        self.end_step();
        self.check_metrics();
        self.tally.count("line", self.lines.len() as u64);
        self.tally.count("deleted", self.lines.deletes() as u64);
        self.tally.count("deleted while it was received", self.lines.words_of_deleted);
        self.tally.count("place of a deleted line", self.lines.places_of_deleted);
        self.tally.count("offered to all", u64::from(self.offers.longest > 0));
        self.tally.clone()
    }

    /// Lives through so many steps, and no end. Gives whether the end is that the server is shut down.
    pub(crate) fn live_on(&mut self, steps: u32) -> bool {
        let is_shut_down_early = self.choices.chance(300);
        for step in 0..steps {
            if self.choices.are_used_up() {
                break;
            }
            self.step = step;
            if let Some(moves) = &mut self.shell.driver.moves {
                moves.begin_step();
            }
            self.act();
            self.turn();
            self.shell.driver.check_usage();
            self.end_step();
            if is_shut_down_early && self.choices.chance(2) {
                break;
            }
        }
        is_shut_down_early
    }

    /// Notes what the server says, and moves it to other processes if there is a seed for when.
    pub(crate) fn observe(&mut self, seed: Option<u64>) {
        let (settings, site) = (self.settings.clone(), self.site.clone());
        self.shell.driver.moves = Some(Box::new(Moves::new(settings, site, seed)));
    }

    fn end_step(&mut self) {
        let Driver { moves, server, now, .. } = &mut self.shell.driver;
        if let Some(moves) = moves {
            moves.end_step(server, *now);
        }
    }

    /// A digest of what an observed server has said in each step.
    pub(crate) fn trace(&self) -> &[Digest] {
        self.shell.driver.moves.as_ref().map_or(&[], |moves| moves.trace())
    }

    /// How often the server has moved.
    pub(crate) fn moves(&self) -> u64 {
        self.shell.driver.moves.as_ref().map_or(0, |moves| moves.count())
    }

    pub(crate) fn step(&self) -> u32 {
        self.step
    }

    /// The bytes that lead to the same life.
    pub(crate) fn record(&self) -> &[u8] {
        self.choices.record()
    }

    fn now(&self) -> Moment {
        self.shell.driver.now.moment
    }

    /// One thing happens.
    fn act(&mut self) {
        let weights = self.nature.weights;
        let mut roll = self.choices.below(weights.iter().sum());
        let kind = weights.iter().position(|&weight| match roll.checked_sub(weight) {
            Some(rest) => {
                roll = rest;
                false
            }
            None => true,
        });
        match kind.expect("the roll is below the sum") {
            0 => self.arrive(),
            1 => self.pass_time(),
            2 => self.bring_mail(),
            3 => self.stall(),
            4 => self.end_peer(),
            5 => self.reset(),
            _ => self.with_client(Self::behave),
        }
    }

    fn with_client(&mut self, act: impl FnOnce(&mut Self, &mut Client)) {
        if self.clients.is_empty() {
            return;
        }
        let at = self.choices.index(self.clients.len());
        let (&id, _) = self.clients.iter().nth(at).expect("within bounds");
        let mut client = self.clients.remove(&id).expect("just found");
        act(self, &mut client);
        self.clients.insert(id, client);
    }

    /// A peer connects, or some of them.
    fn arrive(&mut self) {
        match self.choices.below(40) {
            0 => (0..ACCEPTS_PER_TURN).for_each(|_| self.connect()),
            // They come and go as fast as the loop accepts them.
            1 if self.nature.places.is_siege() => {
                for _ in 0..10 * ACCEPTS_PER_TURN {
                    self.connect();
                    let newest = self.clients.keys().max_by_key(|id| id.serial()).copied();
                    if let Some(id) = newest {
                        self.shell.driver.handle(Input::Broken(id));
                    }
                    self.obey(usize::MAX);
                }
                self.tally.count("storm", 1);
            }
            2..6 if self.nature.swarm.is_some() => (0..8).for_each(|_| self.connect()),
            _ => self.connect(),
        }
    }

    fn connect(&mut self) {
        if self.clients.len() >= self.shell.sockets_max || self.is_shut_down {
            return;
        }
        let from = self.nature.places.choose_one(&mut self.choices);
        let person = match self.nature.swarm {
            Some(person) if self.choices.chance(700) => person,
            _ if self.nature.is_moderated && self.choices.chance(300) => moderation::MODERATOR,
            _ => PEOPLE[self.choices.index(self.nature.people)],
        };
        let id = self.shell.accept(from.peer);
        self.clients.insert(id, Client::new(id, person, from.address, from.is_proxied));
        self.gap();
    }

    fn pass_time(&mut self) {
        let ms = match self.choices.below(100) {
            _ if self.choices.chance(self.nature.days) => self.choices.below(200_000_000),
            0..60 => self.choices.below(200),
            60..90 => self.choices.below(5_000),
            90..98 => self.choices.below(70_000),
            _ => self.choices.below(1_000_000),
        };
        self.advance(Duration::from_millis(ms));
        // The wall clock may jump in any direction; nothing may depend on it.
        if self.choices.chance(100) {
            self.shell.driver.now.wall_ms = self.choices.below(2_000_000_000_000);
            self.tally.count("wall clock jumped", 1);
        }
    }

    /// Time passes, and the server does not learn of it until the next input. What steady clients send lies
    /// in their sockets.
    fn stop(&mut self, wait: Duration) {
        if wait >= LATE_MIN {
            let goes_on_at = self.now().after(wait);
            let is_rare = goes_on_at >= self.goes_on_at.after(CATCH_UP + CATCH_UP_AGAIN);
            self.is_prompt &= is_rare && self.silent_at == self.now() && self.is_all_read();
            self.goes_on_at = goes_on_at;
        }
        self.shell.pass(wait);
        self.tally.count("stop of a minute", u64::from(wait >= Duration::from_mins(1)));
        self.keep_alive();
    }

    /// Whether nothing lies in the sockets of steady clients that the server would read.
    fn is_all_read(&self) -> bool {
        let mut steady = self.clients.values().filter(|client| client.is_steady);
        steady.all(|client| {
            self.shell.unread(client.id) == 0 || !self.shell.driver.server.wants_read(client.id)
        })
    }

    /// Time passes.
    fn advance(&mut self, wait: Duration) {
        self.stop(wait);
        self.tick();
    }

    /// What peers have sent was read before, as far as a turn's share goes; perhaps nothing of it.
    fn tick(&mut self) {
        if self.choices.chance(500) {
            let steady = self.clients.values().filter(|client| client.is_steady).map(|client| client.id);
            for id in steady.collect::<Vec<_>>() {
                self.shell.unblock(id);
                self.read(id, READ_SHARE_BYTES);
            }
        }
        self.shell.driver.handle(Input::Tick);
        let next = self.shell.driver.server.next_deadline();
        assert!(next.is_none_or(|next| next > self.now()), "a deadline that has come is dealt with");
    }

    /// A turn of the shell: some bytes arrive, some sockets have room again, and the server says what it has
    /// to say. It has the shares of the real one, and between any two calls anything may happen.
    fn turn(&mut self) {
        self.gap_events_left = GAP_EVENTS_PER_TURN;
        let wait = self.choices.below(3);
        self.stop(Duration::from_millis(wait));
        self.recover();
        // What is not looked at now is still on its way.
        let looked_at = self.choices.pick(&[0xff, 0x55, 0xaa, 0x0f, 0xf0, 0]);
        for place in 0..self.shell.queue.len().min(READS_PER_TURN) {
            let Some(id) = self.shell.dequeue() else { break };
            if looked_at >> (place % 8) & 1 == 0
                && !self.clients.get(&id).is_some_and(|client| client.is_steady)
            {
                self.shell.enqueue(id);
                continue;
            }
            self.gap();
            self.shell.unblock(id);
            self.gap();
            self.read_some(id);
        }
        self.gap();
        self.tick();
        let writes = if self.choices.chance(500) { WRITES_PER_TURN } else { self.choices.index(30) };
        self.obey(writes);
    }

    /// Reads a piece of what a client has sent, if the server wants to read. Gives how many bytes.
    fn read_some(&mut self, id: ClientId) -> usize {
        let is_short = self.choices.chance(self.nature.shortness);
        let most = if is_short {
            let few = self.choices.pick(&[8, 200, READ_SHARE_BYTES]);
            1 + self.choices.index(few)
        } else {
            READ_SHARE_BYTES
        };
        self.read(id, most)
    }

    fn read(&mut self, id: ClientId, most: usize) -> usize {
        let len = self.shell.read(id, most);
        let server = &self.shell.driver.server;
        // Where there is no rate, what is read is used.
        if len > 0 && self.ledger.has_no_rate() && self.shell.unread(id) == 0 && server.wants_read(id) {
            self.offers.read(id, self.shell.writes);
        }
        len
    }

    fn write(&mut self, id: ClientId) {
        // What a steady client does not take, it has no room for.
        let is_steady = self.clients.get(&id).is_none_or(|client| client.is_steady);
        let is_short = !self.is_calm && !is_steady && self.choices.chance(self.nature.shortness);
        let is_probe = self.shell.driver.server.is_blocked(id);
        let unsent = self.shell.offer(id);
        let most = if is_short { self.choices.index(unsent.len() + 1) } else { unsent.len() };
        let (was_in_a_frame, deletes) = (self.shell.is_in_a_frame(id), self.lines.deletes());
        let (taken, received) = self.shell.take(id, &unsent, most);
        self.tally.count("short write", u64::from(taken < unsent.len()));
        self.tally.count("bytes", taken as u64);
        let may_be_empty = is_probe || self.was_interrupted;
        assert!(may_be_empty || !unsent.is_empty(), "a client to be written to has unsent bytes");
        // One pass over all who have something to write, private bytes and lines in turn, for each share of
        // what was said.
        let shares = 2 + self.text_bytes / (WRITE_SHARE_BYTES / 2) as u64;
        let bound = (2 * self.clients.len() as u64 + OFFER_WRITES_MORE) * shares;
        let was_member = self.clients.get(&id).is_some_and(|client| client.phase == Phase::Member);
        let mut goes_on = was_in_a_frame;
        for received in received {
            self.begin_frame(id, goes_on, deletes);
            self.receive(id, received);
            goes_on = false;
        }
        self.begin_frame(id, goes_on, deletes);
        // A full socket that takes a few bytes is still full.
        self.update_offers(id, taken == unsent.len() && !is_probe, unsent.len());
        self.offers.check(self.shell.writes, bound);
        if taken > 0 && was_member {
            self.flood();
            self.delete_half(id);
        }
        self.gap();
        self.shell.wrote(id, taken);
    }

    /// A client receives a frame, which it had begun before or begins now, with so many lines deleted.
    fn begin_frame(&mut self, id: ClientId, goes_on: bool, deletes: usize) {
        if let Some(client) = self.clients.get_mut(&id).filter(|_| !goes_on) {
            client.begun_at = deletes;
        }
    }

    /// Lines are promised to members that take everything at once, from when they have caught up.
    fn update_offers(&mut self, id: ClientId, is_taken: bool, unsent: usize) {
        let Some(client) = self.clients.get(&id) else { return };
        let is_fast = self
            .shell
            .sockets
            .get(&id)
            .is_some_and(|socket| !socket.is_stalled && !socket.has_ended && socket.pace.is_none());
        if !is_taken {
            self.offers.excuse(id);
        } else if client.phase == Phase::Member
            && is_fast
            && !client.is_garbled
            && !client.has_left
            && !client.is_leaving
            && !self.is_shut_down
            && unsent < WRITE_SHARE_BYTES / 2
        {
            self.offers.members.insert(id);
        }
    }

    /// Does what the server says, up to a share of writes.
    fn obey(&mut self, writes_max: usize) {
        let mut writes = 0;
        while writes < writes_max {
            self.was_interrupted = false;
            let Some(output) = self.shell.poll() else {
                self.silent_at = self.now();
                self.offers.check_idle();
                self.text_bytes = 0;
                self.is_prompt |= self.is_all_read();
                return self.shell.check_quiet();
            };
            assert!(!self.has_stopped, "nothing is said after the end: {output:?}");
            let at = Stamp { since: self.silent_at, by: self.now() };
            self.ledger.note(&output, at, &self.clients);
            self.gap();
            match output {
                Output::Write(id) => {
                    writes += 1;
                    self.write(id);
                }
                Output::Read(_) | Output::EndWriting(_) => {}
                Output::Close(id) => {
                    let client = self.clients.remove(&id).expect("closed once");
                    self.offers.excuse(id);
                    self.bury(&client);
                }
                Output::Mail(mail) => self.post(mail),
                Output::LogEvent(event) => self.check_event(event),
                Output::Keep(change) => self.shell.driver.keep(change),
                Output::Engine(ask) => panic!("this server shares its room with nobody, and asks {ask:?}"),
                Output::Stopped => {
                    assert!(self.is_shut_down && self.clients.is_empty(), "all are closed before the end");
                    self.has_stopped = true;
                }
            }
        }
    }

    fn post(&mut self, mail: Mail) {
        self.mails.push(mail.id);
        match PEOPLE.iter().find(|person| person.email == mail.to) {
            Some(person) => self.codes.push((person.email, mail.code)),
            None => assert!(self.ledger.has_rogues, "an email goes to who asked for it"),
        }
    }

    fn check_event(&mut self, event: LogEvent) {
        *self.events.entry(event.event()).or_default() += 1;
        match event {
            LogEvent::AddressFull(id) => {
                self.shell.known(id);
                self.tally.count("address full", 1);
            }
            LogEvent::Closed(id, CloseReason::Removed) => {
                self.shell.known(id);
                if let Some(client) = self.clients.remove(&id) {
                    self.check_removed(&client);
                    self.clients.insert(id, client);
                }
            }
            LogEvent::Closed(id, reason) => {
                self.shell.known(id);
                let is_steady =
                    self.clients.get(&id).is_some_and(|client| client.is_steady && !client.is_garbled);
                // A slow reader is seen to read when its full socket is tried again and again.
                let socket = self.shell.known(id);
                let (is_slow, is_offered) = (socket.pace.is_some(), socket.offered > 0);
                let was_tried = self.now().since(self.goes_on_at) >= PROGRESS_TIMEOUT;
                // One that is lapped is offered nothing but the close, and that only once its socket has room
                // again.
                let is_promised = is_steady && self.is_prompt && (was_tried && is_offered || !is_slow);
                assert!(
                    !is_promised || !matches!(reason, CloseReason::Silent | CloseReason::Stalled),
                    "a member that reads and answers was closed: {reason}"
                );
            }
            LogEvent::Accepted(id)
            | LogEvent::Answered(id, _)
            | LogEvent::Upgraded(id)
            | LogEvent::LoggedIn(id)
            | LogEvent::Resumed(id)
            | LogEvent::WrongTry(id)
            | LogEvent::NotAdmitted(id)
            | LogEvent::WrongToken(id)
            | LogEvent::WrongBotToken(id)
            | LogEvent::MailLimited(id)
            | LogEvent::GuestClosed(id, _)
            | LogEvent::HttpClosed(id, _)
            | LogEvent::Full(id)
            | LogEvent::UnknownProxy(id)
            | LogEvent::SilentProxy(id)
            | LogEvent::ForeignOrigin(id)
            | LogEvent::UpgradeRemoved(id) => drop(self.shell.known(id)),
            LogEvent::MailFailed(..) | LogEvent::Stopping { .. } | LogEvent::Stopped { .. } => {}
            LogEvent::NodeLive { .. }
            | LogEvent::NodeApart
            | LogEvent::OtherRoom
            | LogEvent::NodeGone(_)
            | LogEvent::OtherSettings(_)
            | LogEvent::RunBegan => {
                panic!("this server shares its room with nobody")
            }
            LogEvent::DataRead { .. }
            | LogEvent::DataFailed { .. }
            | LogEvent::DataRecovered
            | LogEvent::DataLost { .. }
            | LogEvent::DataUnfinished
            | LogEvent::OutOfFiles
            | LogEvent::AcceptFailed { .. }
            | LogEvent::WideTrust { .. }
            | LogEvent::OpenMetrics
            | LogEvent::Moved { .. }
            | LogEvent::MoveFailed(_)
            | LogEvent::EngineConnected
            | LogEvent::EngineLost(_)
            | LogEvent::ListenFailed { .. }
            | LogEvent::SystemCalls(_) => panic!("the server knows nothing of that: {event:?}"),
        }
    }

    /// Compares the counters with the log events so far, all of which the shell has taken.
    fn check_metrics(&mut self) {
        self.obey(usize::MAX);
        let metrics = self.shell.driver.server.metrics(self.shell.driver.now);
        let connections: usize = metrics.connections.iter().map(|(_, count)| count).sum();
        assert_eq!(connections, self.clients.len(), "{metrics:?}");
        let counters = metrics.counters;
        let events = |names: &[&str]| names.iter().filter_map(|name| self.events.get(name)).sum::<u64>();
        let of = |tally: &plume::metrics::Tally, words: &[&str]| {
            tally.counts().filter(|(word, _)| words.contains(word)).map(|(_, count)| count).sum::<u64>()
        };
        let closed: u64 = counters.closed.counts().map(|(_, count)| count).sum();
        for (what, counted, expected) in [
            ("closed", closed, events(&["closed", "guest-closed", "http-closed"])),
            ("by code", of(&counters.entered, &["code"]), events(&["logged-in"])),
            ("by token", of(&counters.entered, &["token"]), events(&["resumed"])),
            ("wrong tries", counters.wrong_tries, events(&["wrong-try", "wrong-token"])),
            ("address", of(&counters.refused, &["address"]), events(&["address-full"])),
            ("origin", of(&counters.refused, &["origin"]), events(&["foreign-origin"])),
            ("door", of(&counters.refused, &["door"]), events(&["not-admitted"])),
            ("limited", of(&counters.emails, &["limited"]), events(&["mail-limited"])),
        ] {
            assert_eq!(counted, expected, "{what}");
        }
        let failed = counters.emails.counts().filter(|(word, _)| !["sent", "limited"].contains(word));
        assert_eq!(failed.map(|(_, count)| count).sum::<u64>(), events(&["mail-failed"]));
        assert!(of(&counters.refused, &["full"]) >= events(&["full"]), "{counters:?}");
    }

    fn bury(&mut self, client: &Client) {
        for (reason, _) in &client.notices {
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
        if client.phase == Phase::Following {
            let is_lapped = client.stream_end.as_deref() == Some("gap");
            self.tally.count("follower lapped", u64::from(is_lapped));
            self.tally.count("follower", u64::from(client.newest.is_some()));
        }
        self.tally.count("place refused", u64::from(client.is_refused));
        self.tally.count("lapped", u64::from(client.close_code == Some(4008)));
        self.tally.count("wrong code", u64::from(client.resets));
        self.tally.count("name refused", u64::from(client.names_refused));
        self.tally.count("not admitted", u64::from(client.not_admitted));
        self.tally.count("line refused", u64::from(client.lines_refused));
        self.tally.count("closed without a word", u64::from(client.phase != Phase::Closed));
    }

    /// Nothing happens but that time passes, as an event loop sees it: slow readers read on, and whoever does
    /// not answer is closed.
    fn let_a_minute_pass(&mut self) {
        self.nature.calls_per_gap = 0;
        if !self.shell.sockets.values().any(|socket| socket.pace.is_some()) {
            return;
        }
        self.obey(usize::MAX);
        for _ in 0..MINUTE_TURNS {
            self.stop(MINUTE_STEP);
            while let Some(id) = self.shell.dequeue() {
                self.shell.unblock(id);
                self.read(id, READ_SHARE_BYTES);
            }
            self.tick();
            self.obey(usize::MAX);
        }
        self.tally.count("slow reader for a minute", 1);
    }

    /// All sockets work again: everybody who is in must learn everything.
    fn come_to_rest(&mut self) {
        self.nature.calls_per_gap = 0;
        self.plan_gap();
        self.is_calm = true;
        for _ in 0..REST_TURNS {
            for socket in self.shell.sockets.values_mut() {
                (socket.is_stalled, socket.pace) = (false, None);
            }
            for id in self.clients.keys().copied().collect::<Vec<_>>() {
                self.shell.drain(id, usize::MAX);
                self.shell.unblock(id);
                self.read(id, READ_SHARE_BYTES);
            }
            self.advance(REST_STEP);
            self.obey(usize::MAX);
        }
        let newest = self.lines.newest();
        let is_open = |client: &&Client| {
            let socket = self.shell.sockets.get(&client.id);
            client.phase == Phase::Member && socket.is_some_and(|socket| !socket.has_ended)
        };
        let members: Vec<&Client> = self.clients.values().filter(is_open).collect();
        for client in &members {
            assert_eq!(client.names, members[0].names, "all know the same people");
            let is_slowed =
                self.shell.unread(client.id) > 0 || !self.shell.driver.server.wants_read(client.id);
            if client.newest.is_some() && !is_slowed {
                assert_eq!(client.newest, newest, "{} has received everything", client.person.name);
                assert!(client.knows_who_deleted(), "{} knows who deleted what", client.person.name);
                assert!(
                    client.is_garbled || client.unconfirmed.is_empty(),
                    "what {} said was passed on: {:?}",
                    client.person.name,
                    client.unconfirmed
                );
            }
        }
        let is_followed = |client: &&Client| {
            let socket = self.shell.sockets.get(&client.id);
            client.phase == Phase::Following && socket.is_some_and(|socket| !socket.has_ended)
        };
        for client in self.clients.values().filter(is_followed) {
            assert!(client.stream_end.is_none(), "a stream that has ended is closed");
            assert_eq!(client.newest, self.lines.newest(), "who follows the room has received everything");
        }
        self.check_acts();
        self.check_restart();
        self.break_all();
    }

    /// All connections break; after a long time nothing is left to do.
    fn break_all(&mut self) {
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in ids {
            self.shell.driver.handle(Input::Broken(id));
        }
        self.obey(usize::MAX);
        assert!(self.clients.is_empty(), "what is broken is closed");
        for _ in 0..100 {
            self.advance(Duration::from_hours(1));
            self.obey(usize::MAX);
        }
        if self.shell.driver.is_kept {
            self.advance(NAME_TTL_KEPT);
            self.obey(usize::MAX);
        }
        self.shell.driver.check_empty();
    }

    /// The server stops: it has stopped in time, whoever does not listen.
    fn shut_down(&mut self) {
        self.tally.count("shutdown", 1);
        self.is_shut_down = true;
        self.offers = Offers::default();
        self.shell.driver.handle(Input::Shutdown);
        for _ in 0..450 {
            self.turn();
            self.advance(Duration::from_millis(10));
        }
        self.obey(usize::MAX);
        assert!(self.has_stopped, "the server stops within its time");
        self.check_acts();
    }
}

/// What lets a client follow the room over HTTP.
const BOT_TOKEN: &str = "plume_test";
/// Together longer than a minute, the longest wait of the server for a client that does not answer.
const MINUTE_TURNS: u32 = 800;
const MINUTE_STEP: Duration = Duration::from_millis(90);
const _: () = assert!(MINUTE_STEP.as_millis() < LATE_MIN.as_millis());
/// Together long enough for the last throttled message: turns are what a run without optimizations spends its
/// time on.
const REST_TURNS: u32 = 400;
const REST_STEP: Duration = Duration::from_millis(250);
/// More than most turns need.
const GAP_EVENTS_PER_TURN: u32 = 30;
/// The write under way when a line is posted, and the first of each kind.
const OFFER_WRITES_MORE: u64 = 4;
/// Some want the name that another one has, or one like it; one mailbox wants more names than it may have.
const PEOPLE: [Person; 15] = [
    person("ada", "ada@example.org", "ada"),
    person("bob", "bob@example.org", "bob"),
    person("A.D.A", "eve+mallory@example.org", "ada"),
    person("b0b", "trudy@example.org", "bob"),
    person("eve", "eve@example.org", "eve"),
    person("joe", "joe@example.org", "joe"),
    person("kim", "kim@example.org", "kim"),
    person("lea", "ada+lea@example.org", "lea"),
    person("pia", "ada+pia@example.org", "pia"),
    person("ned", "ada+ned@example.org", "ned"),
    person("ole", "ole@example.org", "ole"),
    person("rex", "rex@example.org", "rex"),
    person("sue", "sue@example.org", "sue"),
    person("tom", "tom@example.org", "tom"),
    person("zoe", "zoe@example.org", "zoe"),
];

const fn person(name: &'static str, email: &'static str, likeness: &'static str) -> Person {
    Person { name, email, likeness }
}
