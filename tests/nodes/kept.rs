//! What one of several nodes keeps on disk.

use crate::cluster::{start_node_with, url_of, wait_health};
use crate::member::{Member, SOON};
use crate::redis_server::RedisServer;
use crate::support::{Client, Folder, Plume, address_of};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long nodes may take to begin a room that none of them has in memory.
const PATIENCE: Duration = Duration::from_secs(15);

/// Two nodes that start at the same moment, of which the first has the folder.
fn start_both(redis: &RedisServer, folder: &Path) -> [Plume; 2] {
    let nodes = [start_keeper(redis, folder), start_node_with(&url_of(redis), &[])];
    for node in &nodes {
        wait_health(node, true, PATIENCE);
    }
    nodes
}

fn start_keeper(redis: &RedisServer, folder: &Path) -> Plume {
    let folder = folder.to_str().expect("a path in ASCII");
    start_node_with(&url_of(redis), &[("PLUME_DATA", folder)])
}

fn is_banned(node: &Plume, name: &str) -> bool {
    Client::with_hello(node, name, &address_of(name)).message()["reason"] == "not-admitted"
}

#[test]
#[ignore = "needs redis-server; takes half a minute"]
fn what_one_node_keeps_outlives_all_nodes_and_the_engine() {
    let folder = Folder::new("kept");
    let kept = folder.path().join("data");
    let mut redis = RedisServer::start();
    let [mut keeper, other] = start_both(&redis, &kept);
    let mut moderator = Member::enter(&other, "Mod");
    let mut bob = Member::enter(&other, "Bob");
    moderator.say("/ban Bob");
    assert_eq!(bob.wait_close(SOON), 1008);
    assert!(is_banned(&keeper, "Bob"));
    // Killed, it leaves no state for the next process, only what is in the log on disk.
    drop(other);
    assert!(keeper.terminate().success());
    fs::remove_file(kept.join("handover")).expect("an orderly stop leaves it");
    drop(keeper);
    redis.restart();

    let [mut keeper, other] = start_both(&redis, &kept);
    assert!(is_banned(&other, "Bob") && is_banned(&keeper, "Bob") && !is_banned(&other, "Cleo"));
    Client::with_token(&other, moderator.token()).expect(3);

    // Other nodes begin another room while this one is away: it does not take theirs for what it has kept.
    assert!(keeper.terminate().success());
    fs::remove_file(kept.join("handover")).expect("an orderly stop leaves it");
    drop((keeper, other));
    redis.restart();
    let stranger = start_node_with(&url_of(&redis), &[]);
    wait_health(&stranger, true, PATIENCE);
    let mut keeper = start_keeper(&redis, &kept);
    wait_health(&keeper, true, PATIENCE);
    keeper.wait_line("event=data-other-room");
    assert!(!is_banned(&keeper, "Bob"));
    let mut cleo = Member::enter(&keeper, "Cleo");
    cleo.talk("of the other room");
    keeper.move_on();
    cleo.talk("after a move");
    assert!(keeper.terminate().success());
    drop((keeper, stranger));
    redis.restart();
    let [keeper, other] = start_both(&redis, &kept);
    assert!(is_banned(&keeper, "Bob") && is_banned(&other, "Bob"));
    Client::with_token(&other, moderator.token()).expect(3);
    Client::with_token(&keeper, cleo.token()).expect(4);
}
