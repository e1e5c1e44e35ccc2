//! Nodes that die, stop, or are upgraded, while people talk.

use crate::cluster::Cluster;
use crate::member::{Member, SOON, assert_agree, enter_all};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
#[ignore = "needs redis-server; takes half a minute"]
fn members_of_a_killed_node_miss_nothing_and_its_people_leave_after_twenty_seconds() {
    let mut cluster = Cluster::start(3);
    let mut ada = Member::enter(&cluster.nodes[0], "Ada");
    let _bob = Member::enter(&cluster.nodes[0], "Bob");
    let mut cleo = Member::enter(&cluster.nodes[1], "Cleo");
    ada.talk("before");
    cleo.hear("Ada", "before");
    cluster.kill(0);
    let killed = Instant::now();
    for n in 0..20 {
        cleo.talk(&format!("line {n}"));
    }
    ada.resume_on(&cluster.nodes[1]);
    ada.hear("Cleo", "line 19");
    ada.talk("back");
    assert_eq!(ada.notices(), [""; 0], "nothing is missing");
    // Bob does not come back. Nothing tells a killed node from one that is slow, until its time is over.
    cleo.hear_within(Duration::from_secs(40), "Bob", "left chat");
    let took = killed.elapsed();
    assert!((14..32).contains(&took.as_secs()), "left after {took:?}");
    ada.hear("Bob", "left chat");
    assert_agree(&ada, &cleo);
    assert_eq!((cleo.count_of("Ada", "entered chat"), cleo.count_of("Ada", "left chat")), (1, 0));
    assert_eq!(cleo.closed(), None);
}

#[test]
#[ignore = "needs redis-server"]
fn people_of_a_node_that_stops_in_order_leave_at_once_or_stay_if_they_come_back_elsewhere() {
    let mut cluster = Cluster::start(2);
    let mut cleo = Member::enter(&cluster.nodes[1], "Cleo");
    let mut ada = Member::enter(&cluster.nodes[0], "Ada");
    let mut bob = Member::enter(&cluster.nodes[0], "Bob");
    cleo.hear("Bob", "entered chat");
    let stopped = Instant::now();
    cluster.nodes[0].signal(Signal::TERM);
    assert_eq!((ada.wait_close(SOON), bob.wait_close(SOON)), (1012, 1012));
    ada.resume_on(&cluster.nodes[1]);
    ada.talk("still here");
    assert!(cluster.nodes[0].wait_exit().success());
    // The grace of two seconds, as after any lost connection.
    cleo.hear("Bob", "left chat");
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(8), "left after {took:?}");
    ada.hear("Bob", "left chat");
    cleo.talk("all of it");
    ada.hear("Cleo", "all of it");
    assert_agree(&ada, &cleo);
    assert_eq!((cleo.count_of("Ada", "entered chat"), cleo.count_of("Ada", "left chat")), (1, 0));
}

#[test]
#[ignore = "needs redis-server"]
fn a_rolling_upgrade_of_all_nodes_closes_nobody_and_loses_doubles_or_reorders_no_line() {
    let cluster = Cluster::start(3);
    let names = ["Ada", "Bob", "Cleo"];
    let mut members = enter_all(&cluster.nodes, &names);
    let is_over = AtomicBool::new(false);
    let counts: Vec<usize> = thread::scope(|scope| {
        let is_over = &is_over;
        let talks: Vec<_> = members
            .iter_mut()
            .map(|member| {
                scope.spawn(move || {
                    let mut count = 0;
                    while !is_over.load(Ordering::Relaxed) {
                        member.say(&format!("line {count}"));
                        count += 1;
                        // Reads what came meanwhile, with a few lines under way at any time.
                        member.wait("own lines", SOON, |member| member.unheard() < 5);
                        thread::sleep(Duration::from_millis(2));
                    }
                    count
                })
            })
            .collect();
        for _ in 0..2 {
            for node in &cluster.nodes {
                node.move_on();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        talks.into_iter().map(|talk| talk.join().expect("it talks")).collect()
    });
    for member in &mut members {
        for (name, count) in names.iter().zip(&counts) {
            member.hear(name, &format!("line {}", count - 1));
        }
    }
    for member in &members {
        assert_eq!((member.closed(), member.notices()), (None, &[][..]), "{}", member.name());
        for (name, count) in names.iter().zip(&counts) {
            member.assert_numbered(name, *count);
        }
        assert_agree(&members[0], member);
    }
    for node in &cluster.nodes {
        assert!(!node.log().contains("event=closed"), "{}", node.log());
    }
}
