//! Whole servers that share a room, over the model of an engine, with people who log in, talk, change to
//! another node and come back. What must hold:
//! - all nodes have the same shared state behind the same entry of a run, byte for byte;
//! - a line with one number of a run is the same for everybody, nobody misses one but with a notice, and no
//!   line comes twice;
//! - a name belongs to one mailbox, on all nodes;
//! - while the engine loses nothing: no new run begins and nobody is told of a gap, and who said a line on a
//!   connection that stays hears it;
//! - soon after the last fault everybody is in again, everybody hears everybody, and all nodes know who is
//!   there; who was banned on one node is in on none.

mod people;

use crate::testkit::choices::Choices;
use crate::testkit::driver::moderated_by;
use crate::testkit::model_engine::{Faults, ModelEngine};
use crate::testkit::tally::Tally;
use crate::{live, seeds};
use people::{Connection, People};
use plume::base::digest::Digest;
use plume::base::time::{Moment, Now};
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::{ClientId, NodeId};
use plume::limits::BACKLOG_BYTES_MIN;
use plume::server::replica::{Replica, Status};
use plume::server::{Input, Output, Server};
use plume::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SEEDS: u64 = 40;
const STEPS: u32 = 150;
/// Nodes at once.
const WIRES: usize = 3;
/// The node on this wire lives on, and reaches the engine whenever any does, in worlds without loss.
const STEADY: usize = 0;
/// After this time without faults everything must be well.
const RECOVERY: Duration = Duration::from_secs(100);
const GRACE: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn servers_that_share_a_room_keep_their_promises_whatever_the_engine_does() {
    let seeds = seeds(SEEDS, 1);
    let mut sum = Tally::default();
    for seed in seeds.clone() {
        let mut world = World::new(seed);
        live(seed, &mut world, World::live, |world| format!("{:?}", world.now));
        sum.add(&world.lived);
    }
    println!("{sum:?}");
    if seeds.end - seeds.start >= SEEDS {
        sum.assert_that_all_came(&[
            "line",
            "entered",
            "came back",
            "new run",
            "gap",
            "moved",
            "killed",
            "left",
            "name taken",
            "ban seen",
            "apart",
            "world without loss",
            "world with loss",
            "told to come back",
            "logged out",
        ]);
    }
}

struct Node {
    server: Server,
    wire: usize,
    connections: BTreeMap<ClientId, Connection>,
    is_stopping: bool,
    has_stopped: bool,
}

struct World {
    now: Moment,
    choices: Choices,
    engine: ModelEngine,
    settings: Settings,
    site: Site,
    nodes: Vec<Node>,
    people: People,
    serials: u64,
    /// What the shared state was in each run behind each entry.
    history: BTreeMap<(u64, String), Digest>,
    may_lose: bool,
    lived: Tally,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut choices = Choices::of_seed(seed);
        let mut engine = ModelEngine::new(WIRES, &mut choices);
        let may_lose = choices.chance(500);
        if !may_lose {
            engine.keep_all();
        }
        if choices.chance(300) {
            engine.refuse(choices.pick(&[5, 50]));
        }
        let settings = Settings {
            backlog_bytes: BACKLOG_BYTES_MIN,
            leave_grace: GRACE,
            messages_per_second: 0,
            mail_budget: None,
            // The first of the people is a moderator.
            door: moderated_by(people::MODERATOR_EMAIL).door,
            is_shared: true,
            ..Settings::default()
        };
        let site = Site::new(Assets::built_in(&settings.name), Vec::new());
        let mut world = Self {
            now: Moment::from_ms(5_000),
            choices,
            engine,
            settings,
            site,
            nodes: Vec::new(),
            people: People::new(may_lose),
            serials: 0,
            history: BTreeMap::new(),
            may_lose,
            lived: Tally::default(),
        };
        for wire in 0..=world.choices.index(WIRES) {
            world.start(wire);
        }
        world.pass(30 * SECOND);
        world
    }

    fn live(&mut self) {
        for _ in 0..STEPS {
            self.act();
            let most = self.choices.pick(&[0, 10, 100, 1_000, 2_000]);
            let ms = self.choices.below(most + 1);
            self.pass(Duration::from_millis(ms));
        }
        self.engine.calm_down(self.now);
        if self.nodes.iter().all(|node| node.is_stopping) {
            self.pass(10 * SECOND);
            self.start(0);
        }
        self.agree_within(RECOVERY);
        self.gather();
        self.check_end();
        self.part();
    }

    fn act(&mut self) {
        match self.choices.below(100) {
            0..=54 => self.use_person(),
            55..=69 => self.bring_back(),
            70..=75 => self.move_node(),
            76..=79 => self.start_or_end_node(),
            _ => self.fault(),
        }
    }

    fn count(&mut self, what: &'static str) {
        self.lived.count(what, 1);
    }

    fn now(&self) -> Now {
        Now { moment: self.now, wall_ms: 1_600_000_000_000 + self.now.as_ms() }
    }

    fn start(&mut self, wire: usize) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.choices.below(u64::MAX).to_be_bytes());
        self.nodes.push(Node {
            server: Server::new(self.settings.clone(), self.site.clone(), seed),
            wire,
            connections: BTreeMap::new(),
            is_stopping: false,
            has_stopped: false,
        });
    }

    /// Where one of the nodes is, if there are any.
    fn any_node(&mut self) -> Option<usize> {
        (!self.nodes.is_empty()).then(|| self.choices.index(self.nodes.len()))
    }

    fn move_node(&mut self) {
        let Some(at) = self.any_node() else { return };
        let parcel = self.nodes[at].server.freeze();
        let server = Server::thaw(&parcel, self.settings.clone(), self.site.clone(), [9; 32]);
        self.nodes[at].server = server.expect("a parcel of this version thaws");
        self.count("moved");
        self.poll(at);
    }

    fn start_or_end_node(&mut self) {
        let free = (0..WIRES).find(|wire| self.nodes.iter().all(|node| node.wire != *wire));
        if let Some(wire) = free.filter(|_| self.choices.chance(600)) {
            return self.start(wire);
        }
        let Some(at) = self.any_node() else { return };
        if !self.may_lose && self.nodes[at].wire == STEADY || self.nodes[at].is_stopping {
            return;
        }
        if self.choices.chance(400) {
            self.nodes[at].is_stopping = true;
            self.count("left");
            self.handle(at, Input::Shutdown);
        } else {
            let node = self.nodes.remove(at);
            for connection in node.connections.values() {
                self.people.lose(connection);
            }
            self.engine.cut(&mut self.choices, self.now, node.wire);
            self.count("killed");
        }
    }

    fn fault(&mut self) {
        let wire = self.choices.index(WIRES);
        let faults = match (self.may_lose, wire) {
            (true, _) => Faults::Log,
            (false, STEADY) => Faults::SteadyWire,
            (false, _) => Faults::Wires,
        };
        self.engine.inject_fault(&mut self.choices, self.now, wire, faults);
    }

    /// Lets time pass, in which everything happens that is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        let mut events = 0;
        loop {
            let deadlines = self.nodes.iter().filter_map(|node| node.server.next_deadline());
            let next = deadlines.chain(self.engine.next_event()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            events += 1;
            assert!(events < 100_000, "it never comes to rest");
            self.engine.advance(&mut self.choices, self.now);
            for wire in 0..WIRES {
                while let Some(say) = self.engine.say(&mut self.choices, self.now, wire) {
                    if let Some(at) = self.nodes.iter().position(|node| node.wire == wire) {
                        self.handle(at, Input::Engine(&say));
                    }
                }
            }
            for at in 0..self.nodes.len() {
                if self.nodes[at].server.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.handle(at, Input::Tick);
                }
            }
            self.nodes.retain(|node| !node.has_stopped);
        }
        self.now = end;
    }

    fn handle(&mut self, at: usize, input: Input<'_>) {
        let now = self.now();
        self.nodes[at].server.handle(now, input);
        self.compare(at);
        self.poll(at);
    }

    /// Compares the shared state of a node with that of others behind the same entry.
    fn compare(&mut self, at: usize) {
        let server = &mut self.nodes[at].server;
        let Some((run, (id, entry))) = server.replica().map(|replica| (replica.run(), replica.place()))
        else {
            return;
        };
        let key = (run, format!("{id} {entry}"));
        // Without a state there is nothing to compare. To freeze it takes time.
        if run == 0 || !self.choices.chance(300) {
            return;
        }
        let digest = Digest::of(&server.shared_state());
        let former = *self.history.entry(key).or_insert(digest);
        let node = server.replica().map(Replica::node);
        assert!(former == digest, "{node:?} differs behind {id} of run {run}");
    }

    /// Does all that a server asks for.
    fn poll(&mut self, at: usize) {
        while let Some(output) = self.nodes[at].server.poll() {
            match output {
                Output::Write(id) => {
                    let bytes = self.nodes[at].server.unsent(id).concat();
                    let now = self.now();
                    self.nodes[at].server.handle(now, Input::Wrote { id, bytes: bytes.len() });
                    self.receive(at, id, &bytes);
                }
                Output::Mail(mail) => {
                    let input = Input::MailDone { mail: mail.id, result: Ok(()) };
                    self.people.codes.push((mail.to, mail.code));
                    let now = self.now();
                    self.nodes[at].server.handle(now, input);
                }
                Output::Close(id) => {
                    if let Some(connection) = self.nodes[at].connections.remove(&id) {
                        self.people.lose(&connection);
                    }
                }
                Output::EndWriting(id) => {
                    let now = self.now();
                    self.nodes[at].server.handle(now, Input::PeerEnded(id));
                }
                Output::Engine(ask) => {
                    let (now, wire) = (self.now, self.nodes[at].wire);
                    self.engine.ask(&mut self.choices, now, wire, ask);
                }
                Output::LogEvent(event) => self.note(&format!("{event:?}")),
                Output::Stopped => self.nodes[at].has_stopped = true,
                Output::Read(_) | Output::Keep(_) => {}
            }
        }
    }

    fn note(&mut self, event: &str) {
        if event.starts_with("RunBegan") {
            self.count("new run");
        }
    }

    fn receive(&mut self, at: usize, id: ClientId, bytes: &[u8]) {
        let Some(connection) = self.nodes[at].connections.get_mut(&id) else { return };
        let answers = self.people.receive(connection, bytes, &mut self.lived);
        let is_given_up = connection.is_given_up;
        let now = self.now();
        for answer in answers {
            self.nodes[at].server.handle(now, Input::Received { id, bytes: &answer });
        }
        if is_given_up && let Some(connection) = self.nodes[at].connections.remove(&id) {
            self.people.lose(&connection);
            self.nodes[at].server.handle(now, Input::Broken(id));
        }
    }

    /// A person says something, or goes.
    fn use_person(&mut self) {
        let person = self.choices.index(self.people.count());
        let Some((at, id)) = self.place_of(person) else { return };
        let bytes = match self.choices.below(20) {
            0 => self.people.leave(person),
            1..=3 => self.people.ban(person),
            4 => {
                // The connection breaks, and nobody knows.
                if let Some(connection) = self.nodes[at].connections.remove(&id) {
                    self.people.lose(&connection);
                }
                return self.handle(at, Input::Broken(id));
            }
            _ => self.say(at, id),
        };
        if let Some(bytes) = bytes {
            self.handle(at, Input::Received { id, bytes: &bytes });
        }
    }

    fn say(&mut self, at: usize, id: ClientId) -> Option<Vec<u8>> {
        let connection = self.nodes[at].connections.get_mut(&id)?;
        self.people.say(connection)
    }

    /// The node and the connection on which a person is in.
    fn place_of(&self, person: usize) -> Option<(usize, ClientId)> {
        self.nodes.iter().enumerate().find_map(|(at, node)| {
            let found = node.connections.iter().find(|(_, connection)| connection.is_of(person))?;
            Some((at, *found.0))
        })
    }

    /// Somebody who is nowhere connects to any node.
    fn bring_back(&mut self) {
        let person = self.choices.index(self.people.count());
        let open: Vec<usize> = (0..self.nodes.len()).filter(|&at| !self.nodes[at].is_stopping).collect();
        if self.place_of(person).is_some() || open.is_empty() {
            return;
        }
        let at = open[self.choices.index(open.len())];
        self.connect(person, at);
    }

    fn connect(&mut self, person: usize, at: usize) {
        let used: BTreeSet<usize> = self.nodes[at].connections.keys().map(|id| id.slot()).collect();
        let slot = (0..=used.len()).find(|slot| !used.contains(slot)).expect("one more than are used");
        self.serials += 1;
        let id = ClientId::new(slot, self.serials);
        let (connection, bytes) = People::connect(person);
        let peer = [203, 0, u8::try_from(person).expect("few people"), 1].into();
        self.nodes[at].connections.insert(id, connection);
        self.handle(at, Input::Accepted { id, peer });
        self.handle(at, Input::Received { id, bytes: &bytes });
    }

    /// Everybody who may comes in, and says something that all hear.
    fn gather(&mut self) {
        for _ in 0..80 {
            for person in 0..self.people.count() {
                if self.place_of(person).is_none() && self.people.may_enter(person) {
                    let at = self.choices.index(self.nodes.len());
                    self.connect(person, at);
                }
            }
            self.pass(SECOND);
        }
        for person in 0..self.people.count() {
            if let Some((at, id)) = self.place_of(person)
                && let Some(bytes) = self.say(at, id)
            {
                self.handle(at, Input::Received { id, bytes: &bytes });
            }
        }
        self.pass(5 * SECOND);
        self.agree_within(5 * SECOND);
    }

    /// All connections end, and after the grace nobody is there, on whatever node they have been before.
    fn part(&mut self) {
        for at in 0..self.nodes.len() {
            for (id, connection) in std::mem::take(&mut self.nodes[at].connections) {
                self.people.lose(&connection);
                self.handle(at, Input::Broken(id));
            }
        }
        self.pass(GRACE + 5 * SECOND);
        for node in &self.nodes {
            assert_eq!(node.server.people(), 0, "who has gone is not there");
        }
    }

    fn agree_within(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some(disagreement) = self.disagreement() {
            assert!(self.now < until, "{disagreement}, {time:?} after the last fault");
            self.pass(Duration::from_millis(10));
        }
    }

    /// What is not yet well, if something is not.
    fn disagreement(&self) -> Option<String> {
        let replicas = self.nodes.iter().filter_map(|node| node.server.replica());
        let mut states: Vec<_> = replicas
            .map(|replica| {
                let nodes: Vec<NodeId> = replica.nodes().collect();
                let place = (replica.run(), replica.place().0, replica.numbers().pending);
                (replica.status(), place, nodes)
            })
            .collect();
        states.dedup();
        let [(Status::Live, (_, _, 0), alive)] = &states[..] else { return Some(format!("{states:?}")) };
        (alive.len() != self.nodes.len()).then(|| format!("{alive:?} are alive, not {}", self.nodes.len()))
    }

    fn check_end(&mut self) {
        let states: Vec<Vec<u8>> = self.nodes.iter_mut().map(|node| node.server.shared_state()).collect();
        assert!(states.windows(2).all(|two| two[0] == two[1]), "all nodes have the same state");
        let present: BTreeSet<usize> = self.nodes.iter().map(|node| node.server.people()).collect();
        let connections: Vec<&Connection> =
            self.nodes.iter().flat_map(|node| node.connections.values()).collect();
        let names = self.people.check_end(&connections);
        assert_eq!(present, BTreeSet::from([names]), "all nodes know who is there");
        let kind = if self.may_lose { "world with loss" } else { "world without loss" };
        self.count(kind);
        if !self.may_lose {
            let runs: BTreeSet<u64> = self.history.keys().map(|&(run, _)| run).collect();
            assert!(runs.len() <= 1, "no run but the first: {runs:?}");
        }
    }
}
