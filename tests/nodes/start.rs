//! Nodes whose engine is not there, does not let them in, or lets them do only what they need.

use crate::cluster::{is_serving, start_node, start_node_with, start_nodes, url_of, wait_serving};
use crate::member::{Member, assert_agree};
use crate::redis_server::RedisServer;
use crate::relay::Relay;
use crate::support::{Client, Event, Plume};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a guest waits for an answer that comes once the engine is there.
const PATIENCE: Duration = Duration::from_secs(15);

/// A guest who asks for a code while there is no room gets it when there is one.
fn ask_before(node: &Plume, repair: impl FnOnce()) {
    assert!(!is_serving(node), "a node without a room is no place for newcomers");
    let ask = || Client::with_hello(node, "Ada", "ada@example.org");
    let mut guest = ask();
    assert_eq!(guest.next_within(Duration::from_millis(300)), None);
    repair();
    let answer = loop {
        match guest.next_within(PATIENCE) {
            Some(Event::Json(message)) => break message,
            // With the room its run begins, as after a restart, and a page asks again.
            Some(Event::Close(Some(1012))) => guest = ask(),
            other => panic!("{other:?} instead of the answer to a hello"),
        }
    };
    assert_eq!(answer["type"], 0, "{answer}");
    guest.auth(&node.code_for("Ada"));
    guest.expect(3);
    wait_serving(node);
}

#[test]
#[ignore = "needs redis-server"]
fn a_node_that_finds_no_engine_at_its_start_says_so_and_waits_for_it() {
    let redis = RedisServer::start();
    let relay = Relay::to(&redis.socket());
    relay.cut();
    let node = start_node(&relay.url());
    node.wait_line("event=engine-lost");
    ask_before(&node, || relay.mend());
}

#[test]
#[ignore = "needs redis-server"]
fn a_wrong_password_is_named_in_the_log_and_tried_again_until_it_is_right() {
    let user = ["--user", "plume", "on", ">right-word", "~plume*", "+@all"];
    let redis = RedisServer::start_with("redis-server", &user);
    let url = format!("unix://plume:wrong-word@{}", redis.socket().display());
    let node = start_node(&url);
    let line = node.wait_line("event=engine-lost");
    assert!(line.contains("reason=auth"), "{line}");
    ask_before(&node, || {
        assert_eq!(redis.command(&["ACL", "SETUSER", "plume", ">wrong-word"]), "+OK");
    });
    for secret in ["wrong-word", "right-word"] {
        assert!(!node.log().contains(secret), "{}", node.log());
    }
}

#[test]
#[ignore = "needs redis-server"]
fn nodes_with_different_settings_say_so_and_others_do_not() {
    const EVENT: &str = "event=node-other-settings";
    let redis = RedisServer::start();
    let url = url_of(&redis);
    // What concerns one machine may differ.
    let [ada, grace] = ["120", "130"].map(|most| start_node_with(&url, &[("PLUME_MAX_CONNECTIONS", most)]));
    for node in [&ada, &grace] {
        wait_serving(node);
    }
    let other = start_node_with(&url, &[("PLUME_HISTORY", "7")]);
    for node in [&ada, &grace, &other] {
        node.wait_line(EVENT);
    }
    let lines = |node: &Plume| node.log().matches(EVENT).count();
    assert_eq!((lines(&ada), lines(&grace)), (1, 1), "{}", ada.log());
}

/// The user of `docs/nodes.md`, as the file for Redis has it.
fn documented_user() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/nodes.md");
    let text = fs::read_to_string(path).expect("the document is there");
    let line = text.lines().find(|line| line.starts_with("user plume ")).expect("it has a user");
    line.strip_prefix("user ").expect("it begins so").to_owned()
}

#[test]
#[ignore = "needs redis-server"]
fn the_user_of_the_documentation_may_do_all_that_nodes_need_and_no_more() {
    let documented = documented_user();
    let words: Vec<&str> = documented.split(' ').collect();
    let options = [&["--maxmemory-policy", "noeviction", "--user"][..], &words].concat();
    let mut redis = RedisServer::start_with("redis-server", &options);
    let password = words.iter().find_map(|word| word.strip_prefix('>')).expect("it has a password");
    let url = format!("unix://plume:{password}@{}", redis.socket().display());
    let mut nodes = start_nodes(&[url.clone(), url.clone()]);
    let mut ada = Member::enter(&nodes[0], "Ada");
    let mut bob = Member::enter(&nodes[1], "Bob");
    // A third is handed the state, and an engine that forgets everything is filled again.
    nodes.extend(start_nodes(&[url]));
    ada.talk("one");
    bob.hear("Ada", "one");
    redis.restart();
    for (member, node) in [(&mut ada, &nodes[2]), (&mut bob, &nodes[1])] {
        assert_eq!(member.wait_close(PATIENCE), 1012);
        member.resume_on(node);
    }
    ada.talk("two");
    bob.hear("Ada", "two");
    assert_agree(&ada, &bob);
    // What each of these commands is for: it is refused without it.
    let used: Vec<&str> = words.iter().filter_map(|word| word.strip_prefix('+')).collect();
    let counted = redis.command(&["INFO", "commandstats"]);
    for command in used {
        let name = format!("cmdstat_{command}:");
        // A state that is handed over takes a newcomer, of which this engine has seen none.
        let was_called = counted.contains(&name) || ["set", "get"].contains(&command);
        assert!(was_called, "{command} is allowed and not used: {counted}");
    }
    assert!(!counted.contains("rejected_calls=1"), "{counted}");
}
