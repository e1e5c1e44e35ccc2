//! Engines that die, forget, are replaced, or hold what no node has written: the room goes on from the memory
//! of the nodes.

use crate::cluster::{Cluster, Failover, is_serving, start_node_with, wait_health, wait_serving};
use crate::member::{
    APART_SOON, Member, SOON, all_come_back, all_talk, assert_agree, enter_all, go_on_until,
};
use crate::redis_server::RedisServer;
use crate::relay::Relay;
use crate::support::{Client, Http, Plume, bot_post, new_bot};

/// Asserts that a name still belongs to its owner, and a ban still holds, on all nodes.
fn assert_kept(nodes: &[Plume], name: &str, banned: &str) {
    for node in nodes {
        let refused = Client::with_hello(node, name, "thief@example.org").expect(5);
        assert_eq!(refused["reason"], "name-taken", "{refused}");
        let refused = Client::with_hello(node, "Somebody", banned).expect(5);
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
    // Whoever comes back to another run gets the history, in which all of it is.
    let cluster = Cluster::start_with(2, &[("PLUME_HISTORY", "1000")]);
    let mut members = enter_all(&cluster.nodes, &["Ada", "Bob"]);
    all_talk(&mut members, "before");
    for round in 0..3 {
        for member in &mut members {
            for n in 0..50 {
                member.say(&format!("line {round}-{n}"));
            }
        }
        assert_eq!(cluster.redis.command(&["FLUSHALL"]), "+OK");
        // It is noticed when a node reads on, which it does within two seconds; then another run begins.
        go_on_until(&mut members, &cluster.nodes, |members| {
            members.iter().all(|member| member.unheard() == 0)
        });
    }
    for member in &mut members {
        member.say(&format!("after {}", member.name()));
    }
    go_on_until(&mut members, &cluster.nodes, |members| {
        let have_heard = |name, text| members.iter().all(|member| member.has_heard(name, text));
        have_heard("Ada", "after Ada")
            && have_heard("Bob", "after Bob")
            && members.iter().all(|member| member.closed().is_none() && member.run() == members[0].run())
    });
    assert_agree(&members[0], &members[1]);
    for name in ["Ada", "Bob"] {
        for round in 0..3 {
            let last = format!("line {round}-49");
            assert!(members.iter().all(|member| member.has_heard(name, &last)), "{name}: {last}");
        }
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_failover_to_a_replica_keeps_the_room() {
    let mut failover = Failover::start();
    let mut members = enter_all(&failover.nodes, &["Ada", "Bob"]);
    all_talk(&mut members, "before");
    for n in 0..20 {
        members[0].say(&format!("line {n}"));
    }
    // What is on its way to the replica by now is lost there, but no node has forgotten it.
    failover.primary.kill();
    failover.promote();
    failover.lead(0);
    failover.lead(1);
    all_come_back(&mut members, &failover.nodes);
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
    let failover = Failover::start();
    let nodes = &failover.nodes;
    let mut members = enter_all(nodes, &["Ada", "Bob"]);
    all_talk(&mut members, "before");
    // One node follows the new primary, and the other stays with the old.
    failover.promote();
    failover.lead(1);
    all_come_back(&mut members[1..], &nodes[1..]);
    members[0].talk("on the old side");
    members[1].talk("on the new side");
    assert!(!members[0].has_heard("Bob", "on the new side"));
    failover.lead(0);
    // Nobody has the lines of the side that was given up, but for those who had heard them.
    all_come_back(&mut members[..1], &nodes[..1]);
    members[0].wait_notice(SOON, "gap");
    all_talk(&mut members, "after");
    assert!(members[0].has_heard("Bob", "on the new side"));
}

#[test]
#[ignore = "needs redis-server"]
fn what_others_write_into_the_log_is_skipped_by_all_nodes_alike() {
    let cluster = Cluster::start(2);
    let mut members = enter_all(&cluster.nodes, &["Ada", "Bob"]);
    all_talk(&mut members, "before");
    let long = "x".repeat(1 << 20);
    let rows: [&[&str]; 6] =
        [&["e", ""], &["e", "x"], &["f", "x"], &["e", "x", "e", "y"], &["", ""], &["e", &long]];
    for row in rows {
        let id = cluster.redis.command(&[&["XADD", "plume", "*"], row].concat());
        assert!(id.contains('-'), "{id}");
    }
    // Bytes of all kinds and lengths, the same in each run.
    let mut state = 7_u32;
    for length in 0..300 {
        let byte = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from((state >> 25) as u8)
        };
        let bytes: String = (0..length % 60).map(byte).collect();
        cluster.redis.command(&["XADD", "plume", "*", "e", &bytes]);
    }
    all_talk(&mut members, "after");
    for (member, node) in members.iter().zip(&cluster.nodes) {
        assert_eq!((member.closed(), member.notices()), (None, &[][..]), "{}", member.name());
        assert!(is_serving(node));
    }
    // Another type of value under the key is an error, until it is gone.
    cluster.redis.command(&["DEL", "plume"]);
    assert_eq!(cluster.redis.command(&["SET", "plume", "no log"]), "+OK");
    members[0].say("meanwhile");
    let line = cluster.nodes[0].wait_line("event=engine-lost");
    assert!(line.contains("reason=wrong-type"), "{line}");
    cluster.redis.command(&["DEL", "plume"]);
    go_on_until(&mut members, &cluster.nodes, |members| {
        members[0].unheard() == 0 && members[1].has_heard("Ada", "meanwhile")
    });
}

#[test]
#[ignore = "needs redis-server"]
fn a_bot_whose_line_is_dropped_by_a_new_run_is_answered_and_may_ask_on() {
    let (token, entry) = new_bot("ci");
    let mut redis = RedisServer::start();
    let relay = Relay::to(&redis.socket());
    let node = start_node_with(&relay.url(), &[("PLUME_BOTS", &entry)]);
    wait_serving(&node);
    let say = bot_post(&token, "text/plain", "up");
    let mut bot = Http::open(&node);
    // On its way when the engine forgets everything.
    relay.black_hole();
    bot.send(&say);
    redis.restart();
    relay.cut();
    relay.mend();
    assert_eq!(bot.answer().status, 503);
    bot.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(bot.answer().status, 200);
    // While the node is apart it takes no line.
    redis.kill();
    wait_health(&node, false, APART_SOON);
    bot.send(&say);
    let answer = bot.answer();
    assert_eq!(answer.status, 503);
    assert!(String::from_utf8_lossy(&answer.body).contains("cannot reach the others"), "{answer:?}");
}
