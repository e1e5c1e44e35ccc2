//! No descriptor is left, or no place: those who are in stay in, nothing spins, and all is well once somebody
//! goes.

use crate::onlooker::{Onlooker, hear};
use crate::support::{Client, Http, Plume, wait_for};
use crate::watched::Watched;
use mio::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Connections of those who crowd in.
const CROWD: usize = 300;
/// How long the processor time is watched, and how much of it may be used: a tenth.
const WATCHED_FOR: Duration = Duration::from_secs(2);
/// The server has this long to serve again after some have gone.
const RELIEVED_WITHIN: Duration = Duration::from_secs(2);

/// Connections of which many wait to be accepted, so nobody may wait for them.
fn crowd(server: &Plume) -> Vec<TcpStream> {
    (0..CROWD).map(|_| TcpStream::connect(server.address()).expect("a connection can begin")).collect()
}

/// Asserts that those who are in hear each other, and that the server does not spin.
fn assert_calm(server: &Watched, inside: &mut [Client]) {
    let before = server.cpu();
    thread::sleep(WATCHED_FOR);
    let used = server.cpu_since(before);
    assert!(used < WATCHED_FOR / 10, "{used:?} of processor time within {WATCHED_FOR:?}");
    for (n, client) in inside.iter_mut().enumerate() {
        let text = format!("number {n} is in");
        client.say(&text);
        hear(client, &text);
    }
}

fn assert_relieved(server: &Plume) {
    let begun = Instant::now();
    // Until then connections are refused, the fifth at once without an answer.
    wait_for("place", || Client::try_open(server));
    let took = begun.elapsed();
    assert!(took < RELIEVED_WITHIN, "it serves again after {took:?}");
}

fn inside(server: &Plume) -> Vec<Client> {
    ["Ada", "Bob", "Cyd"].map(|name| Client::login(server, name)).into_iter().collect()
}

#[test]
fn with_sixty_four_files_three_hundred_connections_harm_nobody() {
    let mut server = Watched::start_after("ulimit -n 64", &[]);
    let mut inside = inside(&server);
    let onlooker = Onlooker::join(&server);
    let crowd = crowd(&server);
    assert_calm(&server, &mut inside);
    assert!(server.files() <= 64, "{} files", server.files());
    drop(crowd);
    assert_relieved(&server);
    onlooker.finish();
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn a_limit_that_falls_below_what_was_promised_harms_nobody() {
    let mut server = Watched::start(&[]);
    let mut inside = inside(&server);
    let onlooker = Onlooker::join(&server);
    server.limit_files(Some(server.files() + 10));
    let crowd = crowd(&server);
    server.wait_line("event=out-of-files");
    assert_calm(&server, &mut inside);
    let complaints = server.log().matches("event=out-of-files").count();
    assert!(complaints <= 20, "{complaints} complaints in a few seconds");
    drop(crowd);
    assert_relieved(&server);
    // And once more, relieved by a higher limit instead.
    server.limit_files(Some(server.files() + 10));
    let crowd = self::crowd(&server);
    wait_for("complaint", || (server.log().matches("event=out-of-files").count() > complaints).then_some(()));
    server.limit_files(None);
    assert_relieved(&server);
    assert_calm(&server, &mut inside);
    drop(crowd);
    onlooker.finish();
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn a_full_server_says_when_to_come_back_and_has_a_place_for_the_next() {
    let server = Watched::start(&[("PLUME_MAX_CONNECTIONS", "8")]);
    let mut inside = inside(&server);
    let onlooker = Onlooker::join(&server);
    let guests: Vec<Client> = (0..4).map(|_| Client::open(&server)).collect();
    for _ in 0..40 {
        let answer = Http::get(&server, "/");
        assert_eq!(answer.status, 503);
        let retry: u64 = answer.must("retry-after").parse().expect("a number of seconds");
        assert!((1..=60).contains(&retry), "{answer:?}");
        assert_eq!(answer.must("connection"), "close");
    }
    let crowd = crowd(&server);
    assert_calm(&server, &mut inside);
    assert_eq!(server.log().matches("event=full").count(), 1, "it is said once");
    drop((guests, crowd));
    assert_relieved(&server);
    onlooker.finish();
}
