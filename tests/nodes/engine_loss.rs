//! Engines that die, forget, or are replaced, and wires to them that break: what members see, and that the
//! room goes on from the memory of the nodes.

use crate::cluster::{Cluster, is_serving, start_nodes, wait_health, wait_serving};
use crate::member::{Member, SOON, assert_agree};
use crate::redis_server::RedisServer;
use crate::relay::Relay;
use crate::support::{Client, Plume};
use rustix::process::{Pid, Signal, kill_process};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than it takes until a node that hears nothing of the engine knows that it is apart, and until it
/// has come back.
const APART_SOON: Duration = Duration::from_secs(15);

/// Everybody is closed and comes back to the same node, in a new run.
fn all_come_back(members: &mut [Member], nodes: &[Plume]) {
    for (member, node) in members.iter_mut().zip(nodes) {
        let run = member.run().to_owned();
        assert_eq!(member.wait_close(APART_SOON), 1012, "{}", member.name());
        member.resume_on(node);
        assert_ne!(member.run(), run, "{}: a number means one line within a run", member.name());
    }
}

/// Each says a line, and all hear it.
fn all_talk(members: &mut [Member], word: &str) {
    for member in members.iter_mut() {
        member.say(&format!("{word} {}", member.name()));
    }
    let names: Vec<String> = members.iter().map(|member| member.name().to_owned()).collect();
    for member in members.iter_mut() {
        for name in &names {
            member.hear(name, &format!("{word} {name}"));
        }
    }
    for member in &members[1..] {
        assert_agree(&members[0], member);
    }
}

fn enter_all(nodes: &[Plume], names: &[&str]) -> Vec<Member> {
    nodes.iter().zip(names).map(|(node, name)| Member::enter(node, name)).collect()
}

/// Asserts that a name still belongs to its owner, and a ban still holds, on all nodes.
fn assert_kept(nodes: &[Plume], name: &str, banned: &str) {
    for node in nodes {
        let mut thief = Client::open(node);
        thief.hello_as(name, "thief@example.org");
        let refused = thief.expect(5);
        assert_eq!(refused["reason"], "name-taken", "{refused}");
        let mut guest = Client::open(node);
        guest.hello_as("Somebody", banned);
        let refused = guest.expect(5);
        assert_eq!(refused["reason"], "not-admitted", "{refused}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn an_engine_that_is_killed_and_comes_back_empty_is_filled_from_the_memory_of_the_nodes() {
    let mut cluster = Cluster::start(3);
    let mut moderator = Member::enter(&cluster.nodes[0], "Mod");
    let _bob = Member::enter(&cluster.nodes[1], "Bob");
    moderator.hear("Bob", "entered chat");
    moderator.talk("/ban Bob for the test");
    let mut members = enter_all(&cluster.nodes, &["Ada", "Ben", "Cleo"]);
    all_talk(&mut members, "before");
    cluster.redis.restart();
    all_come_back(&mut members, &cluster.nodes);
    all_talk(&mut members, "after");
    for member in &members {
        assert!(member.has_heard("Ada", "before Ada"), "the room is the same");
    }
    assert_kept(&cluster.nodes, "Ada", "bob@example.org");
}

#[test]
#[ignore = "needs redis-server"]
fn an_engine_that_is_flushed_while_people_talk_costs_no_line() {
    let cluster = Cluster::start(2);
    let mut members = enter_all(&cluster.nodes, &["Ada", "Bob"]);
    all_talk(&mut members, "before");
    for round in 0..3 {
        for member in &mut members {
            for n in 0..50 {
                member.say(&format!("line {round}-{n}"));
            }
        }
        assert_eq!(cluster.redis.command(&["FLUSHALL"]), "+OK");
        // Whether a node has to come back depends on what it had read by then.
        let deadline = Instant::now() + 2 * APART_SOON;
        while members.iter().any(|member| member.unheard() > 0) {
            for (member, node) in members.iter_mut().zip(&cluster.nodes) {
                if member.closed().is_some() {
                    member.resume_on(node);
                }
                member.read(Duration::from_millis(50));
                assert!(Instant::now() < deadline, "{} waits for {}", member.name(), member.unheard());
            }
        }
    }
    all_talk(&mut members, "after");
    for node in &cluster.nodes {
        assert!(is_serving(node));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_black_hole_is_said_and_waited_out_and_no_line_is_lost() {
    let (cluster, relays) = Cluster::start_relayed(2);
    let [here, there] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut ada = Member::enter(here, "Ada");
    let mut bob = Member::enter(there, "Bob");
    ada.hear("Bob", "entered chat");
    relays[0].black_hole();
    let begun = Instant::now();
    ada.say("into the hole");
    ada.wait_notice(APART_SOON, "apart");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?} until it was said");
    wait_health(here, false, SOON);
    assert!(is_serving(there), "the other has what it needs");
    // A login waits; nothing refuses it.
    let mut guest = Client::open(here);
    guest.hello_as("Cleo", "cleo@example.org");
    bob.talk("meanwhile");
    assert_eq!(bob.count_of("Ada", "into the hole"), 0);
    assert!(!ada.has_heard("Bob", "meanwhile"));
    assert_eq!(guest.next_within(Duration::from_millis(300)), None);
    relays[0].mend();
    ada.hear_within(APART_SOON, "Bob", "meanwhile");
    ada.hear_within(APART_SOON, "Ada", "into the hole");
    bob.hear("Ada", "into the hole");
    guest.expect(0);
    wait_serving(here);
    assert_eq!(ada.closed(), None, "it was shorter than the time of a node");
    assert_eq!((ada.count_of("Ada", "into the hole"), bob.count_of("Ada", "into the hole")), (1, 1));
    assert_agree(&ada, &bob);
}

#[test]
#[ignore = "needs redis-server"]
fn a_wire_that_breaks_again_and_again_or_is_slow_loses_doubles_and_reorders_no_line() {
    let (cluster, relays) = Cluster::start_relayed(2);
    let mut members = enter_all(&cluster.nodes, &["Ada", "Bob"]);
    members[0].hear("Bob", "entered chat");
    let mut said = 0;
    for round in 0..12 {
        for member in &mut members {
            for n in said..said + 10 {
                member.say(&format!("line {n}"));
            }
        }
        said += 10;
        let relay = &relays[round % 2];
        match round % 4 {
            0 | 1 => relay.cut(),
            _ => relay.delay(Duration::from_millis(20)),
        }
        thread::sleep(Duration::from_millis(30));
        relay.mend();
    }
    let last = format!("line {}", said - 1);
    let expected: Vec<String> = (0..said).map(|n| format!("line {n}")).collect();
    for member in &mut members {
        for name in ["Ada", "Bob"] {
            member.hear_within(APART_SOON, name, &last);
            let lines: Vec<&str> =
                member.lines_of(name).into_iter().filter(|text| text.starts_with("line ")).collect();
            assert_eq!(lines, expected, "{name} as {} hears it", member.name());
        }
        assert_eq!((member.closed(), member.notices()), (None, &[][..]), "{}", member.name());
    }
    assert_agree(&members[0], &members[1]);
}

#[test]
#[ignore = "needs redis-server; takes most of a minute"]
fn a_node_that_is_apart_for_thirty_seconds_closes_its_members_with_1013_who_go_on_elsewhere() {
    let (cluster, relays) = Cluster::start_relayed(2);
    let mut ada = Member::enter(&cluster.nodes[0], "Ada");
    let mut bob = Member::enter(&cluster.nodes[0], "Bob");
    let mut cleo = Member::enter(&cluster.nodes[1], "Cleo");
    ada.hear("Cleo", "entered chat");
    relays[0].black_hole();
    ada.say("into the hole");
    ada.wait_notice(APART_SOON, "apart");
    let begun = Instant::now();
    cleo.talk("meanwhile");
    // The others go on without that node, and without its people.
    cleo.hear_within(Duration::from_secs(30), "Bob", "left chat");
    assert_eq!(ada.wait_close(Duration::from_secs(45)), 1013);
    assert_eq!(bob.wait_close(SOON), 1013);
    let took = begun.elapsed().as_secs();
    assert!((28..40).contains(&took), "closed {took} s after the notice");
    ada.resume_on(&cluster.nodes[1]);
    ada.hear("Cleo", "meanwhile");
    cleo.hear("Ada", "into the hole");
    relays[0].mend();
    wait_health(&cluster.nodes[0], true, APART_SOON);
    bob.resume_on(&cluster.nodes[0]);
    bob.hear("Ada", "into the hole");
    // What the first node had kept is the same line, and not said again.
    bob.talk("back");
    for member in [&mut ada, &mut cleo] {
        member.hear("Bob", "back");
        assert_eq!(member.count_of("Ada", "into the hole"), 1);
    }
    assert_agree(&ada, &cleo);
    assert_agree(&bob, &cleo);
}

#[test]
#[ignore = "needs redis-server"]
fn a_failover_to_a_replica_keeps_the_room() {
    let (mut primary, port) = RedisServer::start_on_tcp(&[]);
    let replica = RedisServer::start();
    assert_eq!(replica.command(&["REPLICAOF", "127.0.0.1", &port.to_string()]), "+OK");
    let begun = Instant::now();
    while !replica.command(&["INFO", "replication"]).contains("master_link_status:up") {
        assert!(begun.elapsed() < SOON, "the replica does not follow");
        thread::sleep(Duration::from_millis(20));
    }
    let relays = [Relay::to(&primary.socket()), Relay::to(&primary.socket())];
    let nodes = start_nodes(&[relays[0].url(), relays[1].url()]);
    let mut members = enter_all(&nodes, &["Ada", "Bob"]);
    all_talk(&mut members, "before");
    for n in 0..20 {
        members[0].say(&format!("line {n}"));
    }
    // What is on its way to the replica by now is lost there, but no node has forgotten it.
    primary.kill();
    assert_eq!(replica.command(&["REPLICAOF", "NO", "ONE"]), "+OK");
    for relay in &relays {
        relay.lead_to(&replica.socket());
    }
    all_come_back(&mut members, &nodes);
    members[0].wait("own lines", APART_SOON, |member| member.unheard() == 0);
    all_talk(&mut members, "after");
    for member in &members {
        assert!(member.has_heard("Ada", "before Ada"), "the room is the same");
        let said: Vec<&str> = member.lines_of("Ada");
        for n in 0..20 {
            let text = format!("line {n}");
            assert!(said.iter().any(|line| **line == text), "{}: {text} is lost", member.name());
        }
    }
}

#[test]
#[ignore = "needs redis-server"]
fn nodes_that_were_at_two_primaries_have_one_room_again() {
    let (primary, port) = RedisServer::start_on_tcp(&[]);
    let replica = RedisServer::start();
    assert_eq!(replica.command(&["REPLICAOF", "127.0.0.1", &port.to_string()]), "+OK");
    let relays = [Relay::to(&primary.socket()), Relay::to(&primary.socket())];
    let nodes = start_nodes(&[relays[0].url(), relays[1].url()]);
    let mut members = enter_all(&nodes, &["Ada", "Bob"]);
    all_talk(&mut members, "before");
    // One node follows the new primary, and the other stays with the old.
    assert_eq!(replica.command(&["REPLICAOF", "NO", "ONE"]), "+OK");
    relays[1].lead_to(&replica.socket());
    all_come_back(&mut members[1..], &nodes[1..]);
    members[0].talk("on the old side");
    members[1].talk("on the new side");
    assert!(!members[0].has_heard("Bob", "on the new side"));
    relays[0].lead_to(&replica.socket());
    // Nobody has the lines of the side that was given up, but for those who had heard them.
    all_come_back(&mut members[..1], &nodes[..1]);
    members[0].wait_notice(SOON, "gap");
    all_talk(&mut members, "after");
    assert!(members[0].has_heard("Bob", "on the new side"));
    drop(primary);
}

#[test]
#[ignore = "needs redis-server"]
fn an_engine_that_is_away_for_a_moment_is_not_missed() {
    let (cluster, relays) = Cluster::start_relayed(2);
    let mut members = enter_all(&cluster.nodes, &["Ada", "Bob"]);
    all_talk(&mut members, "before");
    for relay in &relays {
        relay.cut();
    }
    members[0].say("meanwhile");
    for relay in &relays {
        relay.mend();
    }
    members[1].hear("Ada", "meanwhile");
    all_talk(&mut members, "after");
    for member in &members {
        assert_eq!((member.closed(), member.notices()), (None, &[][..]), "{}", member.name());
    }
}

#[test]
#[ignore = "needs redis-server"]
fn an_engine_that_is_stopped_and_goes_on_is_waited_for() {
    let cluster = Cluster::start(2);
    let mut members = enter_all(&cluster.nodes, &["Ada", "Bob"]);
    all_talk(&mut members, "before");
    // As a script or a slow disk does it: longer than a reply may take, and shorter than the time of a node.
    let id = i32::try_from(cluster.redis.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
    kill_process(id, Signal::STOP).expect("the process is ours");
    members[0].say("while it sleeps");
    members[0].wait_notice(APART_SOON, "apart");
    kill_process(id, Signal::CONT).expect("the process is ours");
    for member in &mut members {
        member.hear_within(APART_SOON, "Ada", "while it sleeps");
        assert_eq!(member.count_of("Ada", "while it sleeps"), 1, "{}", member.name());
        assert_eq!(member.closed(), None, "{}", member.name());
    }
    all_talk(&mut members, "after");
}
