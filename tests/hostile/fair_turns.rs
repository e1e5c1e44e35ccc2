//! Nobody gets more than a share of the server: not by pipelines, pings or fragments, not by many
//! connections.

use crate::onlooker::{Onlooker, hear};
use crate::support::{Client, Event, Plume, connect, connect_narrow, frame};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long an attack goes on.
const ATTACK: Duration = Duration::from_secs(3);

/// Threads that go on until they are told to stop.
struct Attack {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Attack {
    fn new() -> Self {
        Self { is_over: Arc::default(), threads: Vec::new() }
    }

    /// Sends the same bytes again and again, and reads whatever is answered.
    fn send_and_read(&mut self, stream: TcpStream, bytes: Vec<u8>) {
        stream.set_read_timeout(Some(ATTACK)).expect("a socket has the option");
        stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a socket has the option");
        let mut reader = stream.try_clone().expect("a socket can be cloned");
        let mut writer = stream;
        let mut answers = vec![0; 64 << 10];
        // What was written in part goes on where it ended, or the server would close a connection that talks
        // nonsense.
        let mut begun_bytes = 0;
        let write = move || {
            begun_bytes = (begun_bytes + writer.write(&bytes[begun_bytes..])?) % bytes.len();
            Ok(())
        };
        for attacker in [
            Box::new(write) as Box<dyn FnMut() -> std::io::Result<()> + Send>,
            Box::new(move || reader.read(&mut answers).map(drop)),
        ] {
            let is_over = Arc::clone(&self.is_over);
            let mut attacker = attacker;
            self.threads.push(thread::spawn(move || {
                // It fails while the server does not read, or at the end.
                while !is_over.load(Ordering::Relaxed) {
                    let _failed = attacker();
                }
            }));
        }
    }

    fn finish(self) {
        thread::sleep(ATTACK);
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("an attacker does not panic");
        }
    }
}

#[test]
fn pipelines_that_are_read_do_not_hold_up_the_room() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    let mut attack = Attack::new();
    for _ in 0..16 {
        let request = b"GET /static/main.js HTTP/1.1\r\nHost: x\r\n\r\n";
        attack.send_and_read(connect(&server), request.repeat(100));
    }
    attack.finish();
    onlooker.finish();
}

/// More guests than the server writes to in one turn, so that their pongs alone could fill each turn. One
/// thread serves them all: it leaves the server a core of its own, and the guests have something to be
/// answered in each turn.
#[test]
fn guests_that_ping_do_not_hold_up_the_room() {
    const GUESTS: usize = 96;
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    let mut guests: Vec<(TcpStream, usize)> = (0..GUESTS)
        .map(|_| {
            let stream = connect(&server);
            let own = stream.try_clone().expect("a socket can be cloned");
            drop(Client::over(stream, &server).settle());
            own.set_nonblocking(true).expect("a socket has the option");
            (own, 0)
        })
        .collect();
    // One at a time: a pong for each of them in each turn is what matters, and not how many pings the
    // processor can read.
    let ping = frame(0x89, b"");
    let mut answers = vec![0; 16 << 10];
    let begun = Instant::now();
    while begun.elapsed() < ATTACK {
        for (guest, begun_bytes) in &mut guests {
            // Each fails while there is nothing to do. A ping that was written in part goes on where it
            // ended.
            if let Ok(written) = guest.write(&ping[*begun_bytes..]) {
                *begun_bytes = (*begun_bytes + written) % ping.len();
            }
            let _empty = guest.read(&mut answers);
        }
    }
    onlooker.finish();
}

#[test]
fn frames_that_are_no_messages_have_a_price() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    let rows: [(&str, Vec<u8>, Vec<u8>); 3] = [
        ("pings", frame(0x89, b"").repeat(16_000), frame(0x89, b"last")),
        ("pongs", frame(0x8a, b"").repeat(16_000), frame(0x89, b"last")),
        (
            "empty fragments",
            frame(0x01, b""),
            [frame(0x00, b"").repeat(16_000), frame(0x89, b"last")].concat(),
        ),
    ];
    for (what, first, rest) in rows {
        let mut client = Client::open(&server);
        let begun = Instant::now();
        client.send_raw(&[first, rest].concat());
        while client.next() != Event::Pong(b"last".to_vec()) {}
        let took = begun.elapsed();
        assert!(took > Duration::from_secs(3), "16,000 {what} were read within {took:?}");
    }
    onlooker.finish();
}

/// Texts of the lines that a member hears within some time.
fn heard_within(listener: &mut Client, time: Duration) -> Vec<String> {
    let begun = Instant::now();
    let mut texts = Vec::new();
    while begun.elapsed() < time {
        if let Event::Json(message) = listener.next()
            && message["type"] == 1
        {
            texts.push(message["text"].as_str().expect("a line has a text").to_owned());
        }
    }
    texts
}

#[test]
fn the_connections_of_a_user_share_one_rate_and_take_turns() {
    const CONNECTIONS: usize = 40;
    let server = Plume::start(&[]);
    let [mut listener, eve] = Client::login_all(&server, ["Listener", "Eve"]);
    let mut tabs: Vec<Client> = (0..CONNECTIONS).map(|_| Client::resume_of(&server, &eve, None)).collect();
    let begun = Instant::now();
    for n in 0..20 {
        for (tab, client) in tabs.iter_mut().enumerate() {
            client.say(&format!("tab {tab} line {n}"));
        }
    }
    let mut texts = heard_within(&mut listener, Duration::from_secs(6));
    let most = 10 + 10 * begun.elapsed().as_secs() + 11;
    texts.retain(|text| text.starts_with("tab"));
    assert!(texts.len() as u64 <= most, "{} lines, at most {most} are the user's", texts.len());
    assert!(texts.len() >= 50, "{} lines: slowed, not stopped", texts.len());
    // After the burst, which the first to come had, no connection speaks twice before each has spoken.
    let after_burst: Vec<&str> = texts[11..].iter().filter_map(|text| text.split(" line").next()).collect();
    let turns = after_burst.len().min(CONNECTIONS - 1);
    let mut distinct = after_burst[..turns].to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() + 2 >= turns, "{turns} turns of {} connections: {after_burst:?}", distinct.len());
}

#[test]
fn a_client_address_has_a_rate_of_its_own() {
    const USERS: usize = 20;
    let server = Plume::start(&[("PLUME_TRUSTED_PROXIES", "127.0.0.1")]);
    let mut listener = Client::login_for(&server, "203.0.113.1", "Listener");
    let mut users: Vec<Client> =
        (0..USERS).map(|n| Client::login_for(&server, "203.0.113.5", &format!("user{n}x"))).collect();
    let begun = Instant::now();
    for n in 0..50 {
        for user in &mut users {
            user.say(&format!("line {n}"));
        }
    }
    let lines = heard_within(&mut listener, Duration::from_secs(3));
    let lines = lines.iter().filter(|text| text.starts_with("line")).count() as u64;
    let most = 80 + 80 * (begun.elapsed().as_secs() + 1);
    assert!(lines <= most, "{lines} lines of an address, which has the rate of eight users: {most}");
    assert!(lines >= 160, "{lines} lines: slowed, not stopped");
}

#[test]
fn a_member_in_the_middle_of_a_long_line_is_heard() {
    let server = Plume::start(&[("PLUME_RATE", "100000"), ("PLUME_BACKLOG", "64 MiB")]);
    let mut ada = Client::login(&server, "Ada");
    let mut slow =
        Client::over(connect_narrow(&server, 4 << 10), &server).log_in(&server, "Slow", "slow@example.org");
    // More than its socket takes: it stands in the middle of a line, and reads none.
    let long = "x".repeat(65_000);
    for _ in 0..40 {
        ada.say(&long);
        hear(&mut ada, &long);
    }
    slow.say("I can talk");
    hear(&mut ada, "I can talk");
}
