//! Wires to the engine that break, are slow, or swallow everything: what members see, and that nothing is
//! lost.

use crate::cluster::{Cluster, is_serving, wait_health, wait_serving};
use crate::member::{APART_SOON, Member, SOON, all_talk, assert_agree, enter_all};
use crate::support::Client;
use rustix::process::Signal;
use std::thread;
use std::time::{Duration, Instant};

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
    let mut guest = Client::with_hello(here, "Cleo", "cleo@example.org");
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
    for member in &mut members {
        for name in ["Ada", "Bob"] {
            member.hear_within(APART_SOON, name, &last);
            member.assert_numbered(name, said);
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
    cluster.redis.signal(Signal::STOP);
    members[0].say("while it sleeps");
    members[0].wait_notice(APART_SOON, "apart");
    cluster.redis.signal(Signal::CONT);
    for member in &mut members {
        member.hear_within(APART_SOON, "Ada", "while it sleeps");
        assert_eq!(member.count_of("Ada", "while it sleeps"), 1, "{}", member.name());
        assert_eq!(member.closed(), None, "{}", member.name());
    }
    all_talk(&mut members, "after");
}
