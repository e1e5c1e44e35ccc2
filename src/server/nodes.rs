//! Several nodes that share one room. Entries take the way through a log that an engine holds, and every node
//! applies them in its order; `replica` knows how that log is kept, and here is what its steps mean for
//! users, the room and clients.
//!
//! *Shared* is what follows from the entries alone, and so is the same on all nodes at the same place of the
//! log: users, with the connections that they have on each node, and the room. Shared time is the log's: it
//! passes with the entries, and is the same everywhere. Everything about connections, throttles and addresses
//! is a node's own, and has the node's own time.
//!
//! Ids of sessions, users and lines mean something within a run only. When a run ends, because the engine has
//! lost entries or another one has taken its place, its members are disconnected and come back at once, and
//! what they have submitted and is not applied yet is dropped: their pages send it again.

mod connections;
mod shared_state;

use super::entry::Entry;
use super::replica::{Numbers, Replica, Status, Step};
use super::{Output, Server};
use crate::base::frost::{Frozen, Refill, freeze_fields, refill};
use crate::base::sorted::set_of;
use crate::base::time::{Moment, Now};
use crate::close_reason::CloseReason;
use crate::engine::Say;
use crate::http::lines::LinesError;
use crate::ids::{ClientId, NodeId};
use crate::limits::{NODES_MAX, PENDING_ENTRIES_MAX};
use crate::log_event::LogEvent;
use crate::message::Notice;
use crate::usage::Usage;
use crate::users::names::UserId;
use crate::users::sessions::SessionId;
use connections::Connections;
pub(super) use shared_state::are_sound;
use std::collections::BTreeSet;
use std::mem;
use std::net::IpAddr;

/// What a node knows of the others.
pub(super) struct Nodes {
    replica: Replica,
    /// The time of the newest entry.
    at: Now,
    pub(super) connections: Connections,
    /// Clients whose input waits until the log takes more.
    held: BTreeSet<ClientId>,
    /// Whether this is no node at its start any more, but one that was thawed.
    pub(super) is_thawed: bool,
}

refill!(struct Nodes { replica, at, connections, held } but { is_thawed } then |nodes| {
    nodes.is_thawed = true;
    Some(())
});

/// A node whose predecessor was none, or the other way round, has nothing to go on with: times of the log are
/// not those of this machine.
impl Refill for Option<Box<Nodes>> {
    fn freeze_state(&self, to: &mut Vec<u8>) {
        freeze_fields(to, |to| self.iter().for_each(|nodes| nodes.freeze_state(to)));
    }

    fn refill(&mut self, from: &mut Frozen<'_>) -> Option<()> {
        let mut fields = from.fields()?;
        match self {
            None => fields.is_empty().then_some(()),
            Some(_) if fields.is_empty() => None,
            Some(nodes) => nodes.refill(&mut fields),
        }
    }
}

impl Nodes {
    pub(super) fn new(seed: [u8; 32], settings: u64) -> Self {
        let node = NodeId(seed.iter().fold(0, |node: u64, &byte| node.rotate_left(8) ^ u64::from(byte)));
        Self {
            replica: Replica::new(node, seed, settings),
            at: Now { moment: Moment::from_ms(0), wall_ms: 0 },
            connections: Connections::default(),
            held: BTreeSet::new(),
            is_thawed: false,
        }
    }
}

impl Server {
    /// Of a successor: its settings need not be those of its predecessor.
    pub(super) fn derive_settings_of_node(&mut self) {
        if let Some(nodes) = &mut self.nodes {
            nodes.replica.set_settings(self.settings.shared_bits());
        }
    }

    /// Whether entries take the way through a log.
    pub(super) fn is_shared(&self) -> bool {
        self.nodes.is_some()
    }

    pub(super) fn node(&self) -> NodeId {
        self.nodes.as_ref().map_or(NodeId::default(), |nodes| nodes.replica.node())
    }

    /// The client networks from which users are connected: to all nodes, as the entries say, or to this one.
    pub(super) fn networks_of_present(&self, users: &BTreeSet<UserId>) -> BTreeSet<IpAddr> {
        if let Some(nodes) = &self.nodes {
            let is_theirs =
                |session| self.users.speaker(session).is_some_and(|(user, _)| users.contains(&user));
            return nodes.connections.networks_of(is_theirs);
        }
        let theirs = self.members().filter(|(_, member)| users.contains(&member.user));
        let addresses = theirs.filter_map(|(id, _)| self.clients.get(id)?.address);
        set_of(addresses.filter_map(|address| self.addresses.closable_network(address)))
    }

    /// The time of what is being applied: on a node that shares its room with nobody, that of the input.
    pub(super) fn at(&self) -> Now {
        self.nodes.as_ref().map_or(self.now, |nodes| nodes.at)
    }

    /// The client of a node, if that is this one.
    pub(super) fn here(&self, node: NodeId, client: ClientId) -> ClientId {
        if node == self.node() { client } else { ClientId::ELSEWHERE }
    }

    /// A session has one more connection on a node, from this client network if a ban may close it.
    pub(super) fn count_connection(&mut self, session: SessionId, node: NodeId, network: Option<IpAddr>) {
        if let Some(nodes) = &mut self.nodes {
            nodes.connections.add(session, node, network);
        }
    }

    /// A session has one connection less on a node. False: it was not counted there any more.
    pub(super) fn count_disconnection(&mut self, session: SessionId, node: NodeId) -> bool {
        self.nodes.as_mut().is_none_or(|nodes| nodes.connections.remove(session, node))
    }

    /// A session is over, with its connections.
    pub(super) fn forget_connections(&mut self, session: SessionId) {
        if let Some(nodes) = &mut self.nodes {
            nodes.connections.forget(session);
        }
    }

    /// What was kept on disk comes back before the log is known: its time is about the wall clock's.
    pub(super) fn begin_shared_time(&mut self, now: Now) -> Now {
        let Some(nodes) = &mut self.nodes else { return now };
        nodes.at = Now { moment: Moment::from_ms(now.wall_ms), ..now };
        nodes.replica.remember();
        nodes.at
    }

    /// When something follows from time alone for users or the room. Of shared time the log decides.
    pub(super) fn next_deadline_of_people(&self) -> Option<Moment> {
        let own =
            || [self.users.next_deadline(), self.room.presence.next_deadline()].into_iter().flatten().min();
        self.nodes.as_ref().map_or_else(own, |nodes| nodes.replica.next_deadline())
    }

    /// Sends an entry to the log. A client that waits for its answer is read no further until it comes.
    pub(super) fn submit_to_log(&mut self, entry: &Entry<'_>) {
        let run = self.run_number();
        let Some(nodes) = &mut self.nodes else { return };
        let mut command = run.to_le_bytes().to_vec();
        entry.freeze(&mut command);
        nodes.replica.submit(self.now.moment, command);
        if let Some(id) = entry.waits() {
            self.hold(id);
        }
    }

    /// What ids of sessions, users and lines are good for.
    fn run_number(&self) -> u64 {
        u64::from_str_radix(self.users.run(), 16).unwrap_or_default()
    }

    pub(super) fn hear_engine(&mut self, say: &Say) {
        if let Some(nodes) = &mut self.nodes {
            nodes.replica.hear(self.now.moment, say);
        }
    }

    pub(super) fn tick_nodes(&mut self) {
        if let Some(nodes) = &mut self.nodes {
            nodes.replica.tick(self.now.moment);
        }
    }

    /// Carries out what follows from what the engine has said and the server has submitted.
    #[inline]
    pub(super) fn advance_nodes(&mut self) {
        // Called for each write, also where nothing is shared.
        if self.nodes.is_some() {
            self.take_steps();
        }
    }

    #[cold]
    fn take_steps(&mut self) {
        let now = self.now.moment;
        while let Some(step) = self.nodes.as_mut().and_then(|nodes| nodes.replica.next_step(now)) {
            match step {
                Step::Ask(ask) => self.outputs.push_back(Output::Engine(ask)),
                Step::Apply { at, node, command } => self.apply_command(at, node, &command),
                Step::Passed(at) => self.pass(at),
                Step::OtherSettings { node } => self.note(LogEvent::OtherSettings(node)),
                Step::NodeGone { at, node, was_silent } => {
                    self.pass(at);
                    self.lose_node(at, node, was_silent);
                }
                Step::NewRun { at, run } => {
                    self.pass(at);
                    self.begin_run(at, run);
                }
                Step::Freeze => {
                    let state = self.freeze_shared();
                    if let Some(nodes) = &mut self.nodes {
                        nodes.replica.frozen(&state);
                    }
                }
                Step::Adopt { state } => {
                    let is_read = self.adopt(&state).is_some();
                    if is_read {
                        self.note(LogEvent::NodeLive { nodes: self.count_nodes() });
                    }
                    if let Some(nodes) = &mut self.nodes {
                        nodes.replica.adopted(is_read);
                    }
                }
                Step::Apart => {
                    self.note(LogEvent::NodeApart);
                    for id in self.members_by_slot() {
                        self.notify(id, Notice::Apart);
                    }
                }
                Step::Back => self.note(LogEvent::NodeLive { nodes: self.count_nodes() }),
                Step::CloseApart => {
                    for id in self.members_by_slot() {
                        self.close(id, CloseReason::Apart);
                    }
                }
            }
        }
        self.release_held();
        let deadlines = [self.users.next_deadline(), self.room.presence.next_deadline()];
        if let Some(nodes) = &mut self.nodes {
            nodes.replica.set_shared_deadline(deadlines.into_iter().flatten().min());
        }
    }

    fn apply_command(&mut self, at: Now, node: NodeId, command: &[u8]) {
        let Some((run, entry)) = command.split_first_chunk() else { return };
        if u64::from_le_bytes(*run) != self.run_number() {
            return;
        }
        let Some(entry) = Entry::thaw(entry) else { return };
        self.apply(at, node, &entry);
        if let Some(id) = entry.waits() {
            self.release(self.here(node, id));
        }
    }

    /// Shared time has come to this.
    fn pass(&mut self, at: Now) {
        if let Some(nodes) = &mut self.nodes {
            nodes.at = at;
        }
        self.forget_expired_people(at);
    }

    /// The connections of a node are gone. If it was silent for long, there is no grace any more.
    fn lose_node(&mut self, at: Now, node: NodeId, was_silent: bool) {
        if self.node() == node {
            self.disconnect_all(CloseReason::Restarting);
        }
        self.note(LogEvent::NodeGone(node));
        self.disconnect_sessions(at, Some(node), was_silent);
    }

    /// All members are disconnected, on all nodes, and come back within the grace.
    fn begin_run(&mut self, at: Now, run: u64) {
        self.disconnect_all(CloseReason::Restarting);
        self.disconnect_sessions(at, None, false);
        self.users.begin_run(run);
        self.note(LogEvent::RunBegan);
    }

    /// Ends the connections that sessions have on one node, or on all. Users without another depart at once,
    /// or after the grace.
    fn disconnect_sessions(&mut self, at: Now, of: Option<NodeId>, departs: bool) {
        let Some(nodes) = &mut self.nodes else { return };
        for (session, connections) in nodes.connections.take(of) {
            for _ in 0..connections {
                self.disconnect_session(at, session, departs);
            }
        }
    }

    /// Disconnects guests, members and readers of lines, and answers bots that wait: what they know of
    /// sessions, users and lines is not true any more.
    fn disconnect_all(&mut self, reason: CloseReason) {
        for id in self.clients.ids() {
            self.answer_bot(id, false, Err(LinesError::Restarting));
            self.release(id);
            let Some(client) = self.clients.get_mut(id) else { continue };
            // A write that is under way could not be accounted for in another log.
            let is_torn = client.connection.outbox.offers_frames();
            if client.is_websocket() || client.is_streaming() {
                self.end_membership(id, reason);
            }
            if let Some(client) = self.clients.get_mut(id) {
                client.connection.outbox.unfollow();
            }
            if is_torn {
                self.remove(id, reason);
            }
        }
        if let Some(nodes) = &mut self.nodes {
            nodes.held.clear();
        }
    }

    /// Whether the node has the log, and what members say is heard.
    pub(super) fn is_apart(&self) -> bool {
        self.nodes.as_ref().is_some_and(|nodes| nodes.replica.status() != Status::Live)
    }

    /// Whether the log is so far behind that no more messages are read.
    pub(super) fn is_log_full(&self) -> bool {
        self.nodes.as_ref().is_some_and(|nodes| nodes.replica.is_full())
    }

    /// Uses no more of what a client sends until the log takes more.
    pub(super) fn hold_until_room(&mut self, id: ClientId) {
        self.hold(id);
        if let Some(nodes) = &mut self.nodes {
            nodes.held.insert(id);
        }
    }

    fn release_held(&mut self) {
        let Some(nodes) = &mut self.nodes else { return };
        if nodes.held.is_empty() || nodes.replica.is_full() {
            return;
        }
        for id in mem::take(&mut nodes.held) {
            self.release(id);
        }
    }

    fn hold(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.connection.is_held = true;
        }
    }

    fn release(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.connection.is_held = false;
            client.connection.hear(self.now.moment);
        }
    }

    /// What grows with other nodes and with the log's delay, beside its limit; nothing, where nothing is
    /// shared.
    pub(super) fn usage_of_nodes(&self) -> Vec<Usage> {
        let Some(nodes) = &self.nodes else { return Vec::new() };
        let Numbers { nodes: alive, pending, pending_bytes, .. } = nodes.replica.numbers();
        vec![
            Usage::new("nodes", alive, NODES_MAX),
            // Connections that end at a time each leave an entry, however many there are.
            Usage::new("pending entries", pending, PENDING_ENTRIES_MAX + self.settings.connections_max),
            Usage::new("bytes of pending entries", pending_bytes, usize::MAX),
            Usage::new("clients that wait for the log", nodes.held.len(), self.settings.connections_max),
        ]
    }

    /// Nodes that are alive, with this one.
    fn count_nodes(&self) -> usize {
        self.nodes.as_ref().map_or(1, |nodes| nodes.replica.numbers().nodes)
    }

    fn members_by_slot(&self) -> Vec<ClientId> {
        self.clients.iter().filter(|client| client.membership().is_some()).map(|client| client.id).collect()
    }

    /// Whether the node has told the others that it stops.
    pub(super) fn has_left(&self) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.replica.has_left())
    }

    pub(super) fn leave_nodes(&mut self) {
        if let Some(nodes) = &mut self.nodes {
            nodes.replica.leave(self.now.moment);
        }
    }
}
