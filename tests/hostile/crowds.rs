//! Crowds that come and go: no descriptor and no memory stays behind.

use crate::onlooker::{Onlooker, hear_close};
use crate::raw::{handshake, read_to_end, reset};
use crate::support::{Client, Plume, connect};
use crate::watched::{Watched, assert_grown_by};
use std::io::{Read, Write};
use std::thread;

/// Who joins and leaves, again and again.
const PEOPLE: usize = 20;
/// What stays of memory that is free again, in KiB: the allocator keeps pages that are in use in part.
const REMAINDER_KIB: u64 = 1_024;

/// Everybody comes in with a code once, and goes by one way or another.
fn join_and_leave(server: &Plume, round: usize) {
    for person in 0..PEOPLE {
        let mut client = Client::login(server, &format!("Person {person}"));
        match (round + person) % 3 {
            0 => {
                client.leave();
                assert_eq!(hear_close(&mut client), Some(1000));
            }
            1 => client.close(1001),
            _ => drop(client),
        }
    }
}

#[test]
fn two_thousand_joins_and_leaves_leave_nothing_behind() {
    let server =
        Watched::start(&[("PLUME_LEAVE_GRACE", "0"), ("PLUME_LOG", "error"), ("PLUME_HISTORY", "5")]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    for round in 0..40 {
        join_and_leave(&server, round);
    }
    let before = server.memory_kib();
    for round in 40..100 {
        join_and_leave(&server, round);
    }
    server.wait_for_files(files);
    // The ring fills with their lines meanwhile, and sessions that nobody has left are kept for a day.
    assert_grown_by(before, server.memory_kib(), REMAINDER_KIB);
    onlooker.finish();
}

/// Connections that are over at once, in six ways.
fn visit(server: &Plume, count: usize) {
    for n in 0..count {
        let mut stream = connect(server);
        let mut say = |bytes: &[u8]| stream.write_all(bytes).expect("the server takes the bytes");
        match n % 6 {
            0 => {}
            1 => reset(stream),
            2 => {
                say(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                assert!(read_to_end(&mut stream).ends_with(b"ok"), "the health is told");
            }
            3 => {
                say(handshake().as_bytes());
                stream.read_exact(&mut [0; 12]).expect("the upgrade is answered");
                reset(stream);
            }
            4 => say(b"GET / HT"),
            _ => {
                say(b"\x16\x03\x01\x00");
                stream.read_exact(&mut [0; 12]).expect("garbage is answered");
            }
        }
    }
}

fn short_connections(count: usize) {
    let mut server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let visits = |count: usize| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| visit(&server, count / 2));
            }
        });
    };
    visits(count / 10);
    server.wait_for_files(files);
    let before = server.memory_kib();
    visits(count - count / 10);
    server.wait_for_files(files);
    assert_grown_by(before, server.memory_kib(), REMAINDER_KIB);
    onlooker.finish();
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn twenty_thousand_short_connections_leave_nothing_behind() {
    short_connections(20_000);
}

#[test]
#[ignore = "takes half a minute"]
fn a_hundred_thousand_short_connections_leave_nothing_behind() {
    short_connections(100_000);
}

#[test]
fn five_hundred_who_come_at_once_and_go_at_once_leave_nothing_behind() {
    let server = Watched::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let ada = Client::login(&server, "Ada");
    let onlooker = Onlooker::join(&server);
    let files = server.files();
    let wave = || {
        let clients: Vec<Client> = (0..500).map(|_| Client::with_token(&server, &ada.token())).collect();
        drop(clients);
        server.wait_for_files(files);
        server.memory_kib()
    };
    wave();
    let before = wave();
    assert_grown_by(before, wave(), REMAINDER_KIB);
    onlooker.finish();
}
