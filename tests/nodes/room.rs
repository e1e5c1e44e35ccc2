//! One room on several nodes: what is said, who is there, and who may be.

use crate::cluster::{Cluster, start_nodes, url_of};
use crate::member::{Member, SOON, assert_agree, enter_all};
use crate::redis_server::RedisServer;
use crate::support::{Client, Event, Http, Plume, bot_post, new_bot, other_than, read_as_bot, wait_for};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
#[ignore = "needs redis-server"]
fn what_is_said_on_one_node_is_heard_on_all_in_the_same_order() {
    const LINES: usize = 200;
    let cluster = Cluster::start(3);
    let names = ["Ada", "Bob", "Cleo"];
    let mut members = enter_all(&cluster.nodes, &names);
    // All talk at once, so that the order is the log's alone.
    for n in 0..LINES {
        for member in &mut members {
            member.say(&format!("line {n}"));
        }
    }
    for member in &mut members {
        for name in names {
            member.hear(name, &format!("line {}", LINES - 1));
        }
    }
    for member in &members {
        for name in names {
            member.assert_numbered(name, LINES);
        }
        assert_agree(&members[0], member);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn history_and_resume_are_the_same_on_every_node() {
    let cluster = Cluster::start(2);
    let [here, there] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut ada = Member::enter(here, "Ada");
    for n in 0..80 {
        ada.say(&format!("line {n}"));
    }
    ada.hear("Ada", "line 79");
    // A newcomer on the other node has the newest 50, among them no gap.
    let mut bob = Member::enter(there, "Bob");
    let history = bob.lines_of("Ada").len();
    assert!((49..=50).contains(&history), "{history} lines of history");
    ada.hear("Bob", "entered chat");
    assert_agree(&ada, &bob);
    // And whoever changes the node goes on behind the last line, and can be heard.
    bob.resume_on(here);
    ada.talk("while Bob is on the way");
    bob.hear("Ada", "while Bob is on the way");
    for n in 0..100 {
        ada.say(&format!("more {n}"));
    }
    ada.hear("Ada", "more 99");
    bob.resume_on(there);
    bob.hear("Ada", "more 99");
    bob.talk("from where I was");
    ada.hear("Bob", "from where I was");
    assert_agree(&ada, &bob);
    assert_eq!(bob.notices(), [""; 0]);
    // Two connections to two nodes are one user, who enters and leaves once.
    let mut second = Client::with_token(here, bob.token());
    second.expect(3);
    second.leave();
    ada.hear("Bob", "left chat");
    assert_eq!((ada.count_of("Bob", "entered chat"), ada.count_of("Bob", "left chat")), (1, 1));
    assert_eq!(bob.wait_close(SOON), 1000, "the session has ended on both nodes");
}

#[test]
#[ignore = "needs redis-server"]
fn of_two_who_race_for_a_name_on_two_nodes_one_gets_it_a_hundred_times() {
    let cluster = Cluster::start(2);
    for round in 0..100 {
        let name = format!("Sam{round}");
        let mut pair: Vec<(Client, String)> = Vec::new();
        for (n, node) in cluster.nodes.iter().enumerate() {
            let client = Client::asking_as(node, &name, &format!("{n}-of-{round}@example.org"));
            pair.push((client, node.code_for(&name)));
        }
        for (client, code) in &mut pair {
            client.auth(code);
        }
        let answer = |client: &mut Client| client.message()["type"].as_u64();
        let mut kinds: Vec<_> = pair.iter_mut().map(|(client, _)| answer(client)).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, [Some(3), Some(5)], "{name}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_code_that_was_asked_for_on_one_node_works_on_another_with_the_tries_that_are_left() {
    let cluster = Cluster::start(2);
    let [here, there] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut ada = Client::asking(here, "Ada");
    let code = here.code_for("Ada");
    assert!(!there.log().contains("login code"), "one node alone sends the email");
    let wrong = other_than(&code);
    ada.auth(&wrong);
    ada.expect_rejected(4);
    let mut elsewhere = Client::with_code(there, &ada.flow, &wrong);
    elsewhere.expect_rejected(3);
    elsewhere.auth_in(&ada.flow, &code);
    elsewhere.expect(3);
    // It is good once, on all nodes.
    ada.auth(&code);
    ada.expect(4);
}

#[test]
#[ignore = "needs redis-server"]
fn a_ban_on_one_node_closes_and_keeps_out_on_all() {
    let cluster = Cluster::start(3);
    let mut moderator = Member::enter(&cluster.nodes[0], "Mod");
    let mut bob = Member::enter(&cluster.nodes[1], "Bob");
    let mut second = Client::with_token(&cluster.nodes[2], bob.token());
    second.expect(3);
    moderator.hear("Bob", "entered chat");
    moderator.say("/ban Bob for the test");
    assert_eq!(bob.wait_close(SOON), 1008);
    let code = loop {
        match second.next() {
            Event::Close(code) => break code,
            Event::End(why) => panic!("{why} without a close frame"),
            _ => {}
        }
    };
    assert_eq!(code, Some(1008));
    for node in &cluster.nodes {
        assert_eq!(Client::with_hello(node, "Bob", "bob@example.org").expect(5)["reason"], "not-admitted");
        let answer = Client::with_token(node, bob.token()).message();
        assert!([4, 5].contains(&answer["type"].as_u64().unwrap_or_default()), "{answer}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_ban_closes_all_client_networks_of_the_banned_on_all_nodes() {
    let cluster = Cluster::start_with(3, &[("PLUME_TRUSTED_PROXIES", "127.0.0.1")]);
    let mut moderator = Member::enter(&cluster.nodes[2], "Mod");
    // One session from two networks, each over a node of its own.
    let bob = Client::login_for(&cluster.nodes[0], "203.0.113.7", "Bob");
    let mut second = Client::open_for(&cluster.nodes[1], "203.0.113.8");
    second.resume(&bob.token(), None, None);
    second.expect(3);
    moderator.hear("Bob", "entered chat");
    moderator.talk("/ban Bob");
    for node in &cluster.nodes {
        for (address, is_closed) in [("203.0.113.7", true), ("203.0.113.8", true), ("203.0.113.9", false)] {
            let mut guest = Client::open_for(node, address);
            guest.hello_as("Eve", "eve@example.org");
            let answer = guest.message();
            assert_eq!(answer["reason"] == "not-admitted", is_closed, "{address}: {answer}");
        }
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_node_that_joins_while_people_talk_has_the_same_room() {
    let mut cluster = Cluster::start(2);
    let mut ada = Member::enter(&cluster.nodes[0], "Ada");
    let mut bob = Member::enter(&cluster.nodes[1], "Bob");
    std::thread::scope(|scope| {
        for member in [&mut ada, &mut bob] {
            scope.spawn(|| {
                for n in 0..400 {
                    member.talk(&format!("line {n}"));
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
        // Nodes are added from here alone; the two that talk have their connections already.
        cluster.add();
    });
    let mut cleo = Member::enter(&cluster.nodes[2], "Cleo");
    for member in [&mut ada, &mut bob, &mut cleo] {
        member.hear("Cleo", "entered chat");
    }
    bob.resume_on(&cluster.nodes[2]);
    bob.talk("on the new node");
    ada.hear("Bob", "on the new node");
    cleo.hear("Bob", "on the new node");
    for other in [&bob, &cleo] {
        assert_agree(&ada, other);
    }
    assert_eq!((bob.notices(), ada.notices()), (&[][..], &[][..]), "nobody has missed anything");
    for name in ["Ada", "Bob"] {
        ada.assert_numbered(name, 400);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn two_nodes_that_start_at_once_at_an_empty_engine_have_one_room() {
    for _ in 0..3 {
        let redis = RedisServer::start();
        let nodes = start_nodes(&[url_of(&redis), url_of(&redis)]);
        let mut ada = Member::enter(&nodes[0], "Ada");
        let mut bob = Member::enter(&nodes[1], "Bob");
        ada.hear("Bob", "entered chat");
        ada.talk("one room");
        bob.hear("Ada", "one room");
        assert_agree(&ada, &bob);
    }
}

/// What a bot is answered that says a line.
fn say_as_bot(node: &Plume, token: &str, line: &Value) -> (u16, Value) {
    let answer = Http::ask(node, bot_post(token, "application/json", line.to_string()));
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

#[test]
#[ignore = "needs redis-server"]
fn a_bot_says_a_line_once_whichever_node_it_asks_and_reads_it_on_all() {
    let (token, entry) = new_bot("ci");
    let cluster = Cluster::start_with(2, &[("PLUME_BOTS", &entry)]);
    let [here, there] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut ada = Member::enter(there, "Ada");
    let line = json!({"text": "the build is green", "ref": "build 7"});
    let said = say_as_bot(here, &token, &line);
    assert_eq!(said.0, 201, "{said:?}");
    ada.hear("ci", "the build is green");
    // Again with the same `ref`, on the other node: the same answer, and no second line.
    assert_eq!(say_as_bot(there, &token, &line), said);
    ada.talk("after");
    assert_eq!(ada.count_of("ci", "the build is green"), 1);
    let heard = ada.lines().iter().find(|line| line.name == "ci").expect("it was heard");
    assert_eq!((json!(heard.id), json!(heard.run)), (said.1["id"].clone(), said.1["run"].clone()));
    let read =
        |node| Some(read_as_bot(node, &token, "?limit=10", "*/*")).filter(|text| text.contains("\"after\""));
    let [one, other] = [here, there].map(|node| wait_for("last line", || read(node)));
    assert_eq!(one, other);
    assert!(one.contains("the build is green"), "{one}");
}
