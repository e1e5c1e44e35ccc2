//! Which sessions are connected to which nodes, as the entries of the log say: alike on all nodes.

use crate::base::frost::frost;
use crate::base::sorted::set_of;
use crate::ids::NodeId;
use crate::limits::NETWORKS_PER_SESSION_MAX;
use crate::users::sessions::SessionId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The connections that sessions have on each node.
#[derive(Debug, Default)]
pub(in crate::server) struct Connections(BTreeMap<(SessionId, NodeId), Connected>);

/// The connections of one session on one node, of which there is at least one.
#[derive(Debug, Default)]
struct Connected {
    count: u32,
    /// The client networks, of those that a ban may close, from which they have come; the newest is last.
    networks: Vec<IpAddr>,
}

frost!(struct Connections(connected));
frost!(struct Connected { count, networks });

impl Connections {
    /// A session has one more connection on a node, from this client network if a ban may close it.
    pub(super) fn add(&mut self, session: SessionId, node: NodeId, network: Option<IpAddr>) {
        let connected = self.0.entry((session, node)).or_default();
        connected.count = connected.count.saturating_add(1);
        let Some(network) = network else { return };
        connected.networks.retain(|known| *known != network);
        if connected.networks.len() >= NETWORKS_PER_SESSION_MAX {
            connected.networks.remove(0);
        }
        connected.networks.push(network);
    }

    /// A session has one connection less on a node. False: it had none there, because the node was gone, or
    /// the session was over.
    pub(super) fn remove(&mut self, session: SessionId, node: NodeId) -> bool {
        let Some(connected) = self.0.get_mut(&(session, node)) else { return false };
        connected.count = connected.count.saturating_sub(1);
        if connected.count == 0 {
            self.0.remove(&(session, node));
        }
        true
    }

    /// A session is over.
    pub(super) fn forget(&mut self, session: SessionId) {
        let nodes = (session, NodeId(u64::MIN))..=(session, NodeId(u64::MAX));
        for key in self.0.range(nodes).map(|(&key, _)| key).collect::<Vec<_>>() {
            self.0.remove(&key);
        }
    }

    /// Takes the connections that sessions have on one node, or on all.
    pub(super) fn take(&mut self, of: Option<NodeId>) -> Vec<(SessionId, u32)> {
        let mut taken = Vec::new();
        self.0.retain(|&(session, node), connected| {
            let is_taken = of.is_none_or(|of| of == node);
            if is_taken {
                taken.push((session, connected.count));
            }
            !is_taken
        });
        taken
    }

    /// The sessions, with how many connections each has on a node.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, u32)> {
        self.0.iter().map(|(&(session, _), connected)| (session, connected.count))
    }

    /// The client networks from which sessions are connected.
    pub(super) fn networks_of(&self, is_meant: impl Fn(SessionId) -> bool) -> BTreeSet<IpAddr> {
        let meant = self.0.iter().filter(|((session, _), _)| is_meant(*session));
        set_of(meant.flat_map(|(_, connected)| connected.networks.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::expiring_slab::Id;

    const HERE: NodeId = NodeId(1);
    const THERE: NodeId = NodeId(2);

    fn network(last: u8) -> IpAddr {
        [203, 0, 113, last].into()
    }

    #[test]
    fn connections_are_counted_by_session_and_node() {
        let (ada, bob) = (Id::made_up(1), Id::made_up(2));
        let mut connections = Connections::default();
        for (session, node) in [(ada, HERE), (ada, HERE), (ada, THERE), (bob, HERE)] {
            connections.add(session, node, None);
        }
        assert!(connections.remove(ada, HERE) && connections.remove(ada, HERE));
        assert!(!connections.remove(ada, HERE), "it has none there");
        assert!(connections.iter().eq([(ada, 1), (bob, 1)]));
        assert_eq!(connections.take(Some(THERE)), [(ada, 1)]);
        connections.add(bob, THERE, None);
        connections.forget(bob);
        assert_eq!(connections.iter().count(), 0);
        connections.add(ada, HERE, None);
        assert_eq!((connections.take(None), connections.take(None)), (vec![(ada, 1)], vec![]));
    }

    #[test]
    fn the_newest_networks_of_a_session_are_known_while_it_is_connected_there() {
        let (ada, bob) = (Id::made_up(1), Id::made_up(2));
        let mut connections = Connections::default();
        connections.add(bob, HERE, Some(network(99)));
        for last in [1, 2, 1] {
            connections.add(ada, HERE, Some(network(last)));
        }
        connections.add(ada, THERE, Some(network(3)));
        let of_ada = |connections: &Connections| connections.networks_of(|session| session == ada);
        assert!(of_ada(&connections).into_iter().eq([1, 2, 3].map(network)));
        (0..3).for_each(|_| assert!(connections.remove(ada, HERE)));
        assert!(of_ada(&connections).into_iter().eq([network(3)]));
        for last in 10..=10 + u8::try_from(NETWORKS_PER_SESSION_MAX).expect("it is small") {
            connections.add(ada, HERE, Some(network(last)));
        }
        let known = of_ada(&connections);
        assert_eq!(known.len(), 1 + NETWORKS_PER_SESSION_MAX);
        assert!(!known.contains(&network(10)) && known.contains(&network(11)));
    }
}
