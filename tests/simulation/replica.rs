//! Nodes that share a log, each with a state that is simpler than a room: names that the first one owns,
//! commands that are counted, connections. What must hold whatever the engine does:
//! - the same entry of a run leads to the same state on all nodes, byte for byte, and the same number of
//!   changes in a run are the same changes;
//! - the time of the log does not go back, and no command is applied twice, or before an earlier one of its
//!   node;
//! - while the engine loses nothing, no command is missing in the end, and no new run begins;
//! - soon after the last fault all nodes have the same state, with the connections that there are.

mod toy;

use crate::testkit::choices::Choices;
use crate::testkit::model_engine::{Faults, ModelEngine};
use crate::testkit::tally::Tally;
use crate::{live, live_each, seeds};
use plume::base::digest::Digest;
use plume::base::time::{Moment, Now};
use plume::engine::{Ask, EntryId};
use plume::server::replica::{NodeId, Replica, Status, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use toy::{Toy, number_in};

const SEEDS: u64 = 100;
const STEPS: u32 = 150;
/// Nodes at once.
const WIRES: usize = 4;
/// The node on this wire reaches the engine whenever any does, and lives on, in worlds without loss: if all
/// that know the room are gone for longer than a node may be, the room begins anew.
const STEADY: usize = 0;
/// After this time without faults everything must be well.
const RECOVERY: Duration = Duration::from_secs(100);
/// How long a name belongs to somebody.
const NAME_TTL: Duration = Duration::from_secs(30);
/// How late one expires while nothing else happens in the log.
const EXPIRY_LATE_US_MAX: u64 = 400_000;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nodes_that_share_a_log_agree_whatever_the_engine_does() {
    let seeds = seeds(SEEDS, 10);
    let sum = live_each(&seeds, |seed| {
        let mut world = World::new(seed);
        live(seed, &mut world, World::live, |world| format!("{:?}", world.now));
        world.lived
    });
    println!("{sum:?}");
    if seeds.end - seeds.start >= SEEDS {
        sum.assert_that_all_came(&[
            "applied",
            "moved",
            "killed",
            "left",
            "handed over",
            "adopted",
            "new run",
            "node gone",
            "own node gone",
            "apart",
            "back",
            "closed apart",
            "name taken",
            "name lost",
            "world without loss",
            "loss",
            "expired in time",
        ]);
    }
}

struct Node {
    replica: Replica,
    toy: Toy,
    wire: usize,
    /// Its connections.
    members: BTreeSet<u64>,
    submitted: u64,
    is_leaving: bool,
}

struct World {
    now: Moment,
    choices: Choices,
    engine: ModelEngine,
    nodes: Vec<Node>,
    next_id: u64,
    /// What the state was in each run behind what.
    history: BTreeMap<(u64, String), Vec<u8>>,
    may_lose: bool,
    is_settled: bool,
    lived: Tally,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut choices = Choices::of_seed(seed);
        let mut engine = ModelEngine::new(WIRES, &mut choices);
        let may_lose = choices.chance(600);
        if !may_lose {
            engine.keep_all();
        }
        if choices.chance(300) {
            engine.refuse(choices.pick(&[10, 100]));
        }
        let mut world = Self {
            now: Moment::from_ms(5_000),
            choices,
            engine,
            nodes: Vec::new(),
            next_id: 0,
            history: BTreeMap::new(),
            may_lose,
            is_settled: false,
            lived: Tally::default(),
        };
        for wire in 0..=world.choices.index(WIRES) {
            world.start(wire);
            let pause = world.choices.pick(&[0, 0, 1, 20]);
            world.pass(SECOND * pause);
        }
        if !may_lose {
            // Of several that begin at once, one begins the room.
            world.pass(2 * NAME_TTL);
        }
        world
    }

    fn live(&mut self) {
        for _ in 0..STEPS {
            self.act();
            let ms = self.choices.pick(&[0, 10, 100, 1_000, 3_000]);
            let ms = self.choices.below(ms + 1);
            self.pass(Duration::from_millis(ms));
        }
        self.engine.calm_down(self.now);
        if self.nodes.is_empty() {
            self.start(0);
        }
        self.agree_within(RECOVERY);
        self.is_settled = true;
        // The engine's clock may have been set back several times, and the time of the log waits for it.
        for _ in 0..20 {
            self.pass(NAME_TTL);
        }
        // Something may be under way.
        self.agree_within(SECOND);
        self.check_end();
    }

    fn agree_within(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some(disagreement) = self.disagreement() {
            assert!(self.now < until, "{disagreement}, {time:?} after the last fault");
            self.pass(Duration::from_millis(10));
        }
    }

    fn act(&mut self) {
        match self.choices.below(100) {
            0..=59 => self.use_node(),
            60..=67 => self.move_node(),
            68..=71 => self.start_or_end_node(),
            _ => self.fault(),
        }
    }

    fn use_node(&mut self) {
        let Some(at) = self.any_node() else { return };
        let node = &self.nodes[at];
        if node.replica.is_full() || node.is_leaving {
            return;
        }
        let oldest = node.members.first().copied();
        let name = self.choices.pick(&["ada", "bob", "cyd"]);
        let what = match (self.choices.below(4), oldest) {
            (0, _) => format!("claim {name}"),
            (1, Some(member)) if self.choices.chance(500) => {
                self.nodes[at].members.remove(&member);
                format!("close {member}")
            }
            (1, _) => {
                self.next_id += 1;
                self.nodes[at].members.insert(self.next_id);
                format!("open {}", self.next_id)
            }
            _ => "say something".to_owned(),
        };
        self.submit(at, &what);
    }

    fn submit(&mut self, at: usize, what: &str) {
        let node = &mut self.nodes[at];
        node.submitted += 1;
        let command = format!("{} {what}", node.submitted);
        node.replica.submit(self.now, command.into_bytes());
        self.take_steps(at);
    }

    /// Where one of the nodes is, if there are any.
    fn any_node(&mut self) -> Option<usize> {
        (!self.nodes.is_empty()).then(|| self.choices.index(self.nodes.len()))
    }

    fn move_node(&mut self) {
        let Some(at) = self.any_node() else { return };
        let node = &mut self.nodes[at];
        let bytes = node.replica.to_bytes();
        node.replica = Replica::from_bytes(&bytes).expect("a replica thaws");
        assert_eq!(node.replica.to_bytes(), bytes);
        node.toy = Toy::from_bytes(&node.toy.to_bytes()).expect("a toy thaws");
        self.lived.count("moved", 1);
    }

    fn start(&mut self, wire: usize) {
        self.next_id += 1;
        let node = NodeId(self.choices.below(u64::MAX));
        self.nodes.push(Node {
            replica: Replica::new(node, [self.next_id.to_le_bytes()[0]; 32], 0),
            toy: Toy::default(),
            wire,
            members: BTreeSet::new(),
            submitted: 0,
            is_leaving: false,
        });
        assert_eq!(self.nodes[self.nodes.len() - 1].replica.node(), node);
    }

    fn start_or_end_node(&mut self) {
        let free = (0..WIRES).find(|wire| self.nodes.iter().all(|node| node.wire != *wire));
        if let Some(wire) = free.filter(|_| self.choices.chance(600)) {
            return self.start(wire);
        }
        let Some(at) = self.any_node() else { return };
        if !self.may_lose && self.nodes[at].wire == STEADY {
            return;
        }
        if self.choices.chance(300) {
            self.nodes[at].is_leaving = true;
            self.nodes[at].replica.leave(self.now);
            self.lived.count("left", 1);
            self.take_steps(at);
        } else {
            let node = self.nodes.remove(at);
            let now = self.now;
            self.engine.cut(&mut self.choices, now, node.wire);
            self.lived.count("killed", 1);
        }
    }

    fn fault(&mut self) {
        let wire = self.choices.index(WIRES);
        let faults = match (self.may_lose, wire) {
            (true, _) => Faults::LogAndClock,
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
            let deadlines = self.nodes.iter().filter_map(|node| node.replica.next_deadline());
            let next = deadlines.chain(self.engine.next_event()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            events += 1;
            assert!(events < 100_000, "it never comes to rest");
            self.engine.advance(&mut self.choices, self.now);
            for wire in 0..WIRES {
                while let Some(say) = self.engine.say(&mut self.choices, self.now, wire) {
                    if let Some(at) = self.nodes.iter().position(|node| node.wire == wire) {
                        self.nodes[at].replica.hear(self.now, &say);
                        self.take_steps(at);
                    }
                }
            }
            for at in 0..self.nodes.len() {
                if self.nodes[at].replica.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.nodes[at].replica.tick(self.now);
                    self.take_steps(at);
                }
            }
            self.nodes.retain(|node| !(node.is_leaving && node.replica.has_left()));
        }
        self.now = end;
    }

    fn take_steps(&mut self, at: usize) {
        loop {
            let node = &mut self.nodes[at];
            let (run, place) = (node.replica.run(), node.replica.place());
            let step = node.replica.next_step(self.now);
            let is_whole = matches!(step, None | Some(Step::Adopt { .. })) || node.replica.place() != place;
            if is_whole && run != 0 {
                // Entries that nobody can read were passed over without a step.
                let place = if step.is_none() { node.replica.place() } else { place };
                self.note(at, run, place, step.is_none());
            }
            let Some(step) = step else { break };
            self.carry_out(at, step);
        }
        let node = &mut self.nodes[at];
        node.replica.set_shared_deadline(node.toy.deadline());
    }

    /// Notes the state of a node behind an entry, or compares it with that of others.
    fn note(&mut self, at: usize, run: u64, place: (EntryId, Digest), is_last: bool) {
        let node = &self.nodes[at];
        let own = node.toy.to_bytes();
        // The replica's own part is ahead of it while there are steps left.
        let sealed = is_last.then(|| node.replica.seal(&own));
        let (id, entry) = place;
        let rows = [
            (format!("{entry} at {id}"), Some(own)),
            (format!("{entry} at {id}, sealed"), sealed),
            (format!("{} changes", node.toy.changes), Some(node.toy.chain.clone().into_bytes())),
        ];
        for (place, state) in rows {
            let Some(state) = state else { continue };
            let former = self.history.entry((run, place.clone())).or_insert_with(|| state.clone());
            if *former != state {
                let [former, state] = [&former[..], &state].map(String::from_utf8_lossy);
                panic!("{} differs after {place} of {run}\n{former}\n{state}", node.replica.node());
            }
        }
    }

    fn carry_out(&mut self, at: usize, step: Step) {
        let now = self.now;
        let node = &mut self.nodes[at];
        let own = node.replica.node();
        match step {
            Step::Ask(ask) => {
                if matches!(ask, Ask::Put { .. }) {
                    self.lived.count("handed over", 1);
                }
                let wire = node.wire;
                self.engine.ask(&mut self.choices, now, wire, ask);
            }
            Step::Apply { at: then, node: author, command } => self.apply(at, then, author, command),
            Step::Passed(then) => {
                let late = node.toy.pass(then);
                // What a dead node sent long ago may come late, and it is up to that node then.
                let mut alive = self.nodes[at].replica.nodes();
                let are_there = alive.all(|id| self.nodes.iter().any(|node| node.replica.node() == id));
                if let Some(late) = late.filter(|_| self.is_settled && !self.may_lose && are_there) {
                    assert!(late < EXPIRY_LATE_US_MAX, "a name expires {late} us late");
                    self.lived.count("expired in time", 1);
                }
            }
            Step::NodeGone { at: then, node: gone, was_silent: _ } => {
                node.toy.pass(then);
                node.toy.change(&format!("gone {gone}"));
                node.toy.connections.retain(|(node, _)| *node != gone);
                self.lived.count("node gone", 1);
                if gone == own {
                    self.lived.count("own node gone", 1);
                    self.close_members(at);
                }
            }
            Step::OtherSettings { node } => panic!("{node} has other settings"),
            Step::NewRun { at: then, run } => {
                node.toy.pass(then);
                node.toy.run = run;
                self.lived.count("new run", 1);
            }
            Step::Freeze => {
                let state = node.toy.to_bytes();
                node.replica.frozen(&state);
            }
            Step::Adopt { state } => {
                let toy = Toy::from_bytes(&state);
                node.replica.adopted(toy.is_some());
                if let Some(toy) = toy {
                    node.toy = toy;
                    self.lived.count("adopted", 1);
                    self.close_members(at);
                }
            }
            Step::Apart => self.lived.count("apart", 1),
            Step::Back => self.lived.count("back", 1),
            Step::CloseApart => {
                self.lived.count("closed apart", 1);
                for id in std::mem::take(&mut self.nodes[at].members) {
                    self.submit(at, &format!("close {id}"));
                }
            }
        }
    }

    fn apply(&mut self, at: usize, then: Now, author: NodeId, command: Vec<u8>) {
        let node = &mut self.nodes[at];
        let own = node.replica.node();
        node.toy.pass(then);
        let command = String::from_utf8(command).expect("a command is text");
        let claimed = node.toy.apply(then, author, &command);
        self.lived.count("applied", 1);
        if let Some((_, owner)) = claimed.filter(|_| author == own) {
            self.lived.count(if owner == own { "name taken" } else { "name lost" }, 1);
        }
        // A connection that has ended meanwhile ends again, now that the others know it.
        if let Some(id) = command.split(' ').nth(2).filter(|_| author == own && command.contains(" open ")) {
            let id = number_in(id);
            if !node.members.contains(&id) && !node.is_leaving {
                self.submit(at, &format!("close {id}"));
            }
        }
    }

    /// The connections of a node end, which the shared state knows already.
    fn close_members(&mut self, at: usize) {
        self.nodes[at].members.clear();
    }

    /// What is not yet well, if something is not.
    fn disagreement(&self) -> Option<String> {
        let nodes: Vec<&Node> = self.nodes.iter().filter(|node| !node.is_leaving).collect();
        let first = nodes.first()?;
        let states = nodes.iter().map(|node| {
            (node.replica.status(), node.replica.run(), node.replica.place(), node.replica.numbers().pending)
        });
        let mut states = states.collect::<Vec<_>>();
        states.dedup();
        let [(Status::Live, _, _, 0)] = states[..] else { return Some(format!("{states:?}")) };
        let alive: BTreeSet<NodeId> = first.replica.nodes().collect();
        let all: BTreeSet<NodeId> = nodes.iter().map(|node| node.replica.node()).collect();
        (alive != all).then(|| format!("{alive:?} are alive, not {all:?}"))
    }

    fn check_end(&mut self) {
        let nodes: Vec<&Node> = self.nodes.iter().filter(|node| !node.is_leaving).collect();
        let states: Vec<Toy> = nodes.iter().map(|node| node.toy.clone()).collect();
        assert!(nodes.iter().all(|node| node.replica.status() == Status::Live), "all stay live");
        assert!(states.windows(2).all(|two| two[0] == two[1]), "all have the same state");
        let Some(state) = states.first() else { return };
        let connections =
            nodes.iter().flat_map(|node| node.members.iter().map(|&id| (node.replica.node(), id)));
        assert_eq!(state.connections, connections.collect(), "connections are those that there are");
        assert_eq!(state.names, BTreeMap::new(), "names expire");
        if self.may_lose {
            if self.engine.losses > 0 {
                self.lived.count("loss", 1);
            }
            return;
        }
        self.lived.count("world without loss", 1);
        let runs: BTreeSet<u64> = self.history.keys().map(|&(run, ..)| run).collect();
        assert_eq!(runs.len(), 1, "no run but the first");
        for node in nodes {
            let applied = state.applied.get(&node.replica.node()).copied().unwrap_or_default();
            assert_eq!(applied, (node.submitted, node.submitted), "nothing is missing");
        }
    }
}
