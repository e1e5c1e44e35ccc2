//! Readers that never read: the room does not wait for them, and does not grow for them.

use crate::onlooker::{Onlooker, hear, hear_close};
use crate::raw::Stalled;
use crate::support::{Client, connect_narrow, wait_for};
use crate::watched::{Watched, assert_grown_by};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Readers of each kind.
const READERS: usize = 30;
/// The default of `PLUME_BACKLOG`, in KiB.
const RING_KIB: u64 = 4 << 10;

/// What the kernel may hold for each of them, in KiB: 256, and what it had sent before the last write.
const UNSENT_KIB: u64 = 512;
/// How long their ends of the connections may take to say that they have what was sent.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);

/// Lines of 60,000 bytes that lap whoever does not read, buffers of the kernel and all.
const LAPPING: usize = 250;
/// So many fill a socket, and leave the ring room.
const FILLING: usize = 40;

fn flood(talker: &mut Client, lines: usize) {
    let text = "x".repeat(60_000);
    for n in 0..lines {
        let text = format!("{n} {text}");
        talker.say(&text);
        hear(talker, &text);
    }
}

/// A room in which thirty never read what is said, with an onlooker and a talker.
struct Room {
    server: Watched,
    readers: Vec<Stalled>,
    talker: Client,
    onlooker: Onlooker,
    /// Descriptors of the server without the readers.
    files: usize,
}

impl Room {
    fn make(lines: usize) -> Self {
        let server = Watched::start(&[("PLUME_RATE", "100000")]);
        let mut talker = Client::login(&server, "Ada");
        let onlooker = Onlooker::join(&server);
        let files = server.files();
        let token = talker.token();
        let readers: Vec<Stalled> = (0..READERS).map(|_| Stalled::resume(&server, &token)).collect();
        wait_for("thirty more", || (server.log().matches("event=resumed").count() == READERS).then_some(()));
        let before = server.memory_kib();
        flood(&mut talker, lines);
        assert_grown_by(before, server.memory_peak_kib(), RING_KIB + 2_048);
        // What is sent and not acknowledged counts, too, and on a busy machine that takes a moment.
        let deadline = Instant::now() + ACKNOWLEDGED_WITHIN;
        loop {
            let unsent = server.unsent_kib();
            if unsent > 0 && unsent <= READERS as u64 * UNSENT_KIB {
                break;
            }
            assert!(Instant::now() < deadline, "the kernel holds {unsent} KiB for them");
            thread::sleep(Duration::from_millis(50));
        }
        Self { server, readers, talker, onlooker, files }
    }

    /// None of the readers is left, and all is well with the others.
    fn finish(mut self) {
        self.server.wait_for_files(self.files);
        self.talker.say("still here");
        hear(&mut self.talker, "still here");
        self.onlooker.finish();
    }
}

#[test]
fn thirty_who_wake_up_after_the_ring_has_lapped_them_are_told_so() {
    let mut room = Room::make(LAPPING);
    for reader in std::mem::take(&mut room.readers) {
        let received = reader.wake_up();
        assert!(received.ends_with(&[0x88, 2, 0x0f, 0xa8]), "{:02x?}", received.last_chunk::<20>());
    }
    room.server.wait_line("reason=lapped");
    room.finish();
}

#[test]
#[ignore = "takes half a minute"]
fn thirty_who_never_wake_up_are_cut_after_half_a_minute() {
    let room = Room::make(FILLING);
    let deadline = Instant::now() + Duration::from_secs(35);
    while room.server.files() > room.files {
        assert!(Instant::now() < deadline, "{} descriptors", room.server.files());
        thread::sleep(Duration::from_millis(50));
    }
    wait_for("word of each", || {
        (room.server.log().matches("reason=stalled").count() == READERS).then_some(())
    });
    room.finish();
}

#[test]
fn who_is_closed_in_the_middle_of_a_line_and_talks_on_fills_no_memory() {
    const TALKERS: usize = 5;
    let server = Watched::start(&[("PLUME_RATE", "100000")]);
    let mut ada = Client::login(&server, "Ada");
    let onlooker = Onlooker::join(&server);
    let streams: Vec<TcpStream> = (0..TALKERS)
        .map(|_| {
            let stream = connect_narrow(&server, 4 << 10);
            let talker = stream.try_clone().expect("a socket can be cloned");
            Client::over(stream, &server).resume(&ada.token(), None, Some(ada.last()));
            talker
        })
        .collect();
    flood(&mut ada, LAPPING);
    let before = server.memory_peak_kib();
    // All connections of the session end, these with the rest of a line that nobody fetches.
    ada.leave();
    hear_close(&mut ada);
    let rubbish = vec![b'x'; 1 << 20];
    for mut stream in streams {
        stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket has the option");
        // It drops what comes until it is cut, or reads no more.
        let _taken = (0..64).take_while(|_| stream.write_all(&rubbish).is_ok()).count();
    }
    assert_grown_by(before, server.memory_peak_kib(), 4 << 10);
    onlooker.finish();
}

#[test]
fn who_asks_for_the_page_again_and_again_and_never_reads_it_costs_nothing() {
    let server = Watched::start(&[]);
    let onlooker = Onlooker::join(&server);
    let before = server.memory_kib();
    let mut greedy: Vec<_> = (0..READERS)
        .map(|_| {
            let mut stream = connect_narrow(&server, 4 << 10);
            stream.set_nonblocking(true).expect("a socket has the option");
            // As many requests as the socket takes: the server stops to read them, so it is full at some
            // time.
            let requests = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(40_000);
            let sent = stream.write(requests.as_bytes());
            assert!(sent.is_ok_and(|bytes| bytes > 0), "it takes at least some");
            stream
        })
        .collect();
    wait_for("answers to all", || {
        let mut byte = [0];
        greedy.iter().all(|stream| stream.peek(&mut byte).is_ok()).then_some(())
    });
    assert_grown_by(before, server.memory_peak_kib(), 4_096);
    for stream in &mut greedy {
        let mut begin = [0; 15];
        stream.read_exact(&mut begin).expect("the answer has begun");
        assert_eq!(&begin, b"HTTP/1.1 200 OK");
    }
    onlooker.finish();
}
