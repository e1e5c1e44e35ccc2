//! Nodes of one room, with one engine, and what tests ask of them.

use crate::redis_server::RedisServer;
use crate::relay::Relay;
use crate::support::{Http, Plume, wait_for};
use std::thread;
use std::time::{Duration, Instant};

/// Settings of all nodes: nothing that tests do is throttled, and who leaves has left soon.
const SETTINGS: [(&str, &str); 4] = [
    ("PLUME_RATE", "1000000"),
    ("PLUME_LEAVE_GRACE", "2"),
    ("PLUME_MODERATORS", "mod@example.org"),
    ("PLUME_MAIL_EVERY", "0.01"),
];

/// How long nodes may take until they have a room together.
const TOGETHER: Duration = Duration::from_secs(10);

/// Several nodes of one room. All end when it goes out of scope.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Plume>,
    pub(crate) redis: RedisServer,
}

impl Cluster {
    /// So many nodes at an engine of their own, which serve already.
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, &[])
    }

    /// The same with further settings.
    pub(crate) fn start_with(count: usize, settings: &[(&str, &str)]) -> Self {
        let redis = RedisServer::start();
        let urls = vec![url_of(&redis); count];
        Self { nodes: start_nodes_with(&urls, settings), redis }
    }

    /// The same, each behind a relay of its own.
    pub(crate) fn start_relayed(count: usize) -> (Self, Vec<Relay>) {
        let redis = RedisServer::start();
        let relays: Vec<Relay> = (0..count).map(|_| Relay::to(&redis.socket())).collect();
        let urls: Vec<String> = relays.iter().map(Relay::url).collect();
        (Self { nodes: start_nodes(&urls), redis }, relays)
    }

    /// Starts one more.
    pub(crate) fn add(&mut self) {
        let node = start_node(&url_of(&self.redis));
        wait_serving(&node);
        self.nodes.push(node);
    }

    /// Kills a node as the system would.
    pub(crate) fn kill(&mut self, node: usize) {
        drop(self.nodes.remove(node));
    }
}

/// Two nodes at an engine with a replica, each behind a relay that can lead it there.
pub(crate) struct Failover {
    pub(crate) primary: RedisServer,
    pub(crate) replica: RedisServer,
    pub(crate) relays: [Relay; 2],
    pub(crate) nodes: Vec<Plume>,
}

impl Failover {
    pub(crate) fn start() -> Self {
        let (primary, port) = RedisServer::start_on_tcp(&[]);
        let replica = RedisServer::start();
        assert_eq!(replica.command(&["REPLICAOF", "127.0.0.1", &port.to_string()]), "+OK");
        let follows = || replica.command(&["INFO", "replication"]).contains("master_link_status:up");
        wait_for("replica that follows", || follows().then_some(()));
        let relays = [Relay::to(&primary.socket()), Relay::to(&primary.socket())];
        let nodes = start_nodes(&[relays[0].url(), relays[1].url()]);
        Self { primary, replica, relays, nodes }
    }

    /// The replica leads from now on.
    pub(crate) fn promote(&self) {
        assert_eq!(self.replica.command(&["REPLICAOF", "NO", "ONE"]), "+OK");
    }

    /// Leads a node to the replica.
    pub(crate) fn lead(&self, node: usize) {
        self.relays[node].lead_to(&self.replica.socket());
    }
}

/// The setting of a node that uses this engine.
pub(crate) fn url_of(redis: &RedisServer) -> String {
    format!("unix:{}", redis.socket().display())
}

/// Starts nodes at the same moment, and waits until all serve.
pub(crate) fn start_nodes(urls: &[String]) -> Vec<Plume> {
    start_nodes_with(urls, &[])
}

fn start_nodes_with(urls: &[String], settings: &[(&str, &str)]) -> Vec<Plume> {
    let nodes: Vec<Plume> = thread::scope(|scope| {
        let starts: Vec<_> = urls.iter().map(|url| scope.spawn(|| start_node_with(url, settings))).collect();
        starts.into_iter().map(|start| start.join().expect("it starts")).collect()
    });
    for node in &nodes {
        wait_serving(node);
    }
    nodes
}

/// A node with this engine, which does not serve yet.
pub(crate) fn start_node(url: &str) -> Plume {
    start_node_with(url, &[])
}

/// The same with further settings.
pub(crate) fn start_node_with(url: &str, settings: &[(&str, &str)]) -> Plume {
    Plume::start(&[&[("PLUME_REDIS", url)], &SETTINGS[..], settings].concat())
}

/// Whether it has a room, as a proxy sees it.
pub(crate) fn is_serving(node: &Plume) -> bool {
    match Http::get(node, "/healthz").status {
        200 => true,
        503 => false,
        other => panic!("/healthz answers {other}"),
    }
}

pub(crate) fn wait_serving(node: &Plume) {
    wait_health(node, true, TOGETHER);
}

/// Waits until it has a room, or has none.
pub(crate) fn wait_health(node: &Plume, serves: bool, patience: Duration) {
    let deadline = Instant::now() + patience;
    while is_serving(node) != serves {
        assert!(Instant::now() < deadline, "/healthz is {} for {patience:?}", if serves { 503 } else { 200 });
        thread::sleep(Duration::from_millis(20));
    }
}
