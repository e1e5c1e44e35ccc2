//! Three nodes behind HAProxy, with the lines of `docs/nodes.md`.

use crate::cluster::{Cluster, wait_health};
use crate::proxy::{Kind, Proxy};
use crate::support::{Plume, wait_for};
use crate::visitor::Visitor;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The backend of the document, with a server like its first for each of these nodes.
fn documented_backend(nodes: &[Plume]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/nodes.md");
    let text = fs::read_to_string(path).expect("the document is there");
    let (_, backend) = text.split_once("\nbackend plume\n").expect("it has a backend");
    let (backend, _) = backend.split_once("```").expect("the example ends");
    let (servers, others): (Vec<&str>, Vec<&str>) =
        backend.lines().partition(|line| line.trim().starts_with("server "));
    let options = servers.first().and_then(|server| server.split_once("4884 ")).expect("it has servers").1;
    let servers =
        nodes.iter().enumerate().map(|(n, node)| format!("    server node-{n} {} {options}", node.address()));
    [others.join("\n"), servers.collect::<Vec<_>>().join("\n"), String::new()].join("\n")
}

/// Somebody behind the proxy, with the session and the node that asked for the code.
struct Member {
    visitor: Visitor,
    token: String,
    node: usize,
}

fn login(proxy: &Proxy, nodes: &[Plume], name: &str) -> Member {
    let mut visitor = Visitor::open(proxy, "/connect").expect("a node is there");
    visitor.send(&json!({"type": 0, "text": format!("{name}\n{}@example.org", name.to_lowercase())}));
    visitor.wait_for(0);
    let start = format!("login code for @{name}: ");
    let node = wait_for("code", || nodes.iter().position(|node| node.log().contains(&start)));
    visitor.send(&json!({"type": 2, "text": nodes[node].code_for(name)}));
    let ack = visitor.wait_for(3);
    let token = ack["text"].as_str().expect("authAck carries a token").to_owned();
    Member { visitor, token, node }
}

fn resume(proxy: &Proxy, token: &str) -> Visitor {
    let mut visitor = Visitor::open(proxy, "/connect").expect("a node is there");
    visitor.send(&json!({"type": 7, "text": token}));
    visitor.wait_for(3);
    visitor
}

#[test]
#[ignore = "needs redis-server and HAProxy"]
fn nodes_behind_haproxy_are_one_chat_and_those_without_a_room_get_no_newcomers() {
    let (mut cluster, relays) = Cluster::start_relayed(3);
    let edits = [
        ("    option httpchk GET /healthz\n", &*documented_backend(&cluster.nodes)),
        // The place that the harness fills with an address.
        ("    server plume 127.0.0.1:4884 check", "    # server plume 127.0.0.1:4884"),
    ];
    let proxy = Proxy::start_with(Kind::Haproxy, "-", &edits);
    let mut members: Vec<Member> =
        ["Ada", "Bob", "Cleo"].iter().map(|name| login(&proxy, &cluster.nodes, name)).collect();
    members.sort_by_key(|member| member.node);
    let nodes: Vec<usize> = members.iter().map(|member| member.node).collect();
    assert_eq!(nodes, [0, 1, 2], "each node has one");
    for speaker in 0..members.len() {
        let text = format!("hello from {speaker}");
        members[speaker].visitor.talk(&text);
        for other in &mut members {
            if other.node != speaker {
                while other.visitor.wait_for(1)["text"] != text {}
            }
        }
    }
    // A node that is apart keeps its members for a while, and gets no others.
    relays[0].black_hole();
    members[0].visitor.send(&json!({"type": 1, "text": "into the hole"}));
    while members[0].visitor.wait_for(6)["reason"] != "apart" {}
    wait_health(&cluster.nodes[0], false, Duration::from_secs(10));
    wait_for("the proxy to notice", || proxy.log().contains("Server plume/node-0 is DOWN").then_some(()));
    let token = members[1].token.clone();
    for n in 0..6 {
        resume(&proxy, &token).talk(&format!("newcomer {n}"));
    }
    relays[0].mend();
    while members[1].visitor.wait_for(1)["text"] != "into the hole" {}
    // A node that is killed is left at once, before the proxy has checked it.
    let killed = members.remove(1);
    cluster.kill(1);
    let mut visitor = killed.visitor;
    assert_eq!(visitor.wait_close(), None);
    for n in 0..3 {
        let mut again = resume(&proxy, &killed.token);
        again.talk(&format!("back {n}"));
    }
    while members[1].visitor.wait_for(1)["text"] != "back 2" {}
    wait_health(&cluster.nodes[0], true, Duration::from_secs(10));
}
