//! The two connections to a real engine, over its Unix socket: each thing that can be asked, and what is
//! said.

use crate::redis_server::{RedisServer, programs};
use plume::base::time::Moment;
use plume::config::{RedisLogin, RedisPlace, RedisUrl};
use plume::engine::{Ask, EntryId, LogEntry, Say};
use plume::event_loop::clock::now;
use plume::limits::{ENTRIES_PER_READ, LOG_ENTRIES_MIN, RECENT_ENTRIES_MAX, TAIL_BLOCK};
use plume::log_event::EngineError;
use plume::redis::{Action, Connections, Side};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A node's connections, and their sockets.
struct Node {
    connections: Connections,
    socket: PathBuf,
    writer: Option<UnixStream>,
    tail: Option<UnixStream>,
    said: VecDeque<Say>,
    /// Why the connections were lost last.
    lost: Option<EngineError>,
}

impl Node {
    fn new(server: &RedisServer) -> Self {
        Self::with(server, None)
    }

    fn with(server: &RedisServer, login: Option<RedisLogin>) -> Self {
        let url = RedisUrl { place: RedisPlace::Unix(server.socket()), login, key: "room".to_owned() };
        Self {
            connections: Connections::new(&url),
            socket: server.socket(),
            writer: None,
            tail: None,
            said: VecDeque::new(),
            lost: None,
        }
    }

    /// With connections that are checked.
    fn connected(server: &RedisServer) -> Self {
        let mut node = Self::new(server);
        node.check(None);
        node
    }

    fn ask(&mut self, ask: Ask) {
        self.connections.ask(time(), ask);
        self.act();
    }

    /// The next thing that is said.
    fn hear(&mut self) -> Say {
        let begun = Instant::now();
        loop {
            if let Some(say) = self.said.pop_front() {
                return say;
            }
            assert!(begun.elapsed() < WAIT_MAX, "nothing is said");
            self.turn();
        }
    }

    /// Checks the connection, and says stamp, time and entry.
    fn check(&mut self, at: Option<EntryId>) -> (u64, u64, Option<Vec<u8>>) {
        self.ask(Ask::Check { at });
        match self.hear() {
            Say::Checked { stamp, now_ms, entry } => (stamp, now_ms, entry),
            other => panic!("{other:?} {:?}", self.lost),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.ask(Ask::Add(bytes.to_vec()));
        assert_eq!(self.hear(), Say::Added, "{:?}", self.lost);
    }

    /// Entries, until there are so many, and no more.
    fn entries(&mut self, count: usize) -> Vec<LogEntry> {
        let all = self.entries_at_least(count);
        assert_eq!(all.len(), count);
        all
    }

    fn entries_at_least(&mut self, count: usize) -> Vec<LogEntry> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.hear() {
                Say::Entries(entries) => all.extend(entries),
                other => panic!("{other:?} {:?}", self.lost),
            }
        }
        all
    }

    fn recent(&mut self) -> Vec<LogEntry> {
        self.ask(Ask::Recent);
        match self.hear() {
            Say::Recent(entries) => entries,
            other => panic!("{other:?} {:?}", self.lost),
        }
    }

    fn get(&mut self, key: u64) -> Option<Vec<u8>> {
        self.ask(Ask::Get { key });
        match self.hear() {
            Say::Got(value) => value,
            other => panic!("{other:?} {:?}", self.lost),
        }
    }

    /// Until the engine holds a read back.
    fn wait_for_entries(&mut self, server: &RedisServer) {
        let begun = Instant::now();
        while !server.command(&["INFO", "clients"]).contains("blocked_clients:1") {
            assert!(begun.elapsed() < WAIT_MAX);
            self.turn();
        }
    }

    /// What the connections are lost for, which is what comes next.
    fn lose(&mut self) -> Option<EngineError> {
        assert_eq!(self.hear(), Say::Lost);
        self.lost
    }

    fn turn(&mut self) {
        let mut is_idle = true;
        for side in [Side::Writer, Side::Tail] {
            is_idle &= !self.write(side) & !self.read(side);
        }
        self.connections.tick(time());
        self.act();
        if is_idle {
            sleep(Duration::from_micros(200));
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.connections.poll() {
            match action {
                Action::Connect(side) => self.connect(side),
                Action::Say(say) => self.said.push_back(say),
                Action::Lose(error) => {
                    (self.writer, self.tail) = (None, None);
                    self.lost = Some(error);
                    self.said.push_back(Say::Lost);
                }
            }
        }
    }

    fn connect(&mut self, side: Side) {
        if side == Side::Writer {
            (self.writer, self.tail) = (None, None);
        }
        let Ok(stream) = UnixStream::connect(&self.socket) else {
            return self.connections.fail(EngineError::Unreachable);
        };
        stream.set_nonblocking(true).expect("a socket has this mode");
        *self.stream(side) = Some(stream);
        self.connections.connected(time(), side);
    }

    fn stream(&mut self, side: Side) -> &mut Option<UnixStream> {
        match side {
            Side::Writer => &mut self.writer,
            Side::Tail => &mut self.tail,
        }
    }

    /// Writes once. Returns whether something was written.
    fn write(&mut self, side: Side) -> bool {
        let stream = if side == Side::Writer { &self.writer } else { &self.tail };
        let (Some(mut stream), unsent) = (stream.as_ref(), self.connections.unsent(side)) else {
            return false;
        };
        // What the engine said before it closed the connection is read.
        let bytes = if unsent.is_empty() { 0 } else { stream.write(unsent).unwrap_or(0) };
        self.connections.wrote(side, bytes);
        bytes > 0
    }

    /// Reads once. Returns whether something has come.
    fn read(&mut self, side: Side) -> bool {
        let mut buffer = [0; 16 << 10];
        let Some(stream) = self.stream(side) else { return false };
        match stream.read(&mut buffer) {
            Ok(0) => self.connections.fail(EngineError::BrokenOff),
            Ok(bytes) => self.connections.received(time(), side, &buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => self.connections.fail(EngineError::BrokenOff),
        }
        self.act();
        true
    }
}

fn time() -> Moment {
    now().moment
}

fn bytes(entries: &[LogEntry]) -> Vec<Vec<u8>> {
    entries.iter().map(|entry| entry.bytes.clone()).collect()
}

const WAIT_MAX: Duration = Duration::from_secs(20);
const BEGIN: EntryId = EntryId { ms: 0, seq: 0 };

#[test]
#[ignore = "needs redis-server"]
fn everything_that_is_asked_is_answered() {
    for program in programs() {
        let server = RedisServer::start_with(program, &[]);
        let (mut ada, mut bob) = (Node::new(&server), Node::new(&server));
        let (stamp, now_ms, entry) = ada.check(None);
        assert_eq!((bob.check(Some(BEGIN)).0, entry), (stamp, None), "both see the same engine");
        assert!(now_ms.abs_diff(now().wall_ms) < 5_000, "{now_ms}");
        assert_eq!(ada.recent(), []);
        bob.ask(Ask::Read { after: BEGIN });
        // All bytes, and none.
        let all: Vec<u8> = (0..=255).chain(*b"\r\n$5\r\n").collect();
        ada.add(&all);
        ada.add(b"");
        let entries = bob.entries(2);
        assert_eq!(bytes(&entries), [all.clone(), Vec::new()]);
        assert!(entries[0].id < entries[1].id && entries[0].id.ms.abs_diff(now_ms) < 5_000);
        assert_eq!(ada.recent(), entries);
        // Later entries come by themselves, to both.
        ada.ask(Ask::Read { after: entries[0].id });
        assert_eq!(ada.entries(1), entries[1..]);
        bob.add(b"third");
        assert_eq!(bytes(&ada.entries(1)), [b"third"]);
        assert_eq!(bytes(&bob.entries(1)), [b"third"]);
        // An entry is found at its place, and nowhere else.
        let mut carl = Node::new(&server);
        assert_eq!(carl.check(Some(entries[0].id)).2, Some(all));
        assert_eq!(carl.check(Some(entries[1].id)).2, Some(Vec::new()));
        assert_eq!(carl.check(Some(EntryId { ms: 1, seq: 1 })).2, None);
        // A state is held for a while.
        assert_eq!(ada.get(7), None);
        bob.ask(Ask::Put { key: 7, value: b"st\r\nate\0".to_vec() });
        assert_eq!(bob.get(7), Some(b"st\r\nate\0".to_vec()));
        assert_eq!((ada.get(7), ada.get(8)), (Some(b"st\r\nate\0".to_vec()), None));
        let left: u64 =
            server.command(&["TTL", "room:state:0000000000000007"])[1..].parse().expect("a number");
        assert!((50..=60).contains(&left), "{left}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn many_entries_are_read_in_order_and_recent_ones_are_the_newest() {
    let server = RedisServer::start();
    let (mut ada, mut bob) = (Node::connected(&server), Node::connected(&server));
    let count = 3 * ENTRIES_PER_READ;
    for number in 0..count {
        ada.ask(Ask::Add(number.to_string().into_bytes()));
    }
    for _ in 0..count {
        assert_eq!(ada.hear(), Say::Added);
    }
    // It is behind, and looks each time whether the entry at which it stands is still there.
    bob.ask(Ask::Read { after: BEGIN });
    let entries = bob.entries(count);
    let numbers: Vec<Vec<u8>> = (0..count).map(|number| number.to_string().into_bytes()).collect();
    assert_eq!(bytes(&entries), numbers);
    assert_eq!(ada.recent(), entries[count - RECENT_ENTRIES_MAX..]);
}

#[test]
#[ignore = "needs redis-server"]
fn large_values_come_whole() {
    let server = RedisServer::start();
    let (mut ada, mut bob) = (Node::connected(&server), Node::connected(&server));
    let state: Vec<u8> =
        (0..20_000_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    ada.ask(Ask::Put { key: u64::MAX, value: state.clone() });
    ada.add(b"behind it");
    assert!(bob.get(u64::MAX) == Some(state.clone()), "the same bytes");
    ada.add(&state);
    bob.ask(Ask::Read { after: BEGIN });
    let entries = bob.entries(2);
    assert!(entries[1].bytes == state, "the same bytes");
    assert!(bob.check(Some(entries[1].id)).2 == Some(state), "the same bytes");
}

#[test]
#[ignore = "needs redis-server"]
fn a_tail_waits_longer_than_a_read_of_the_log_blocks() {
    let server = RedisServer::start();
    let (mut ada, mut bob) = (Node::connected(&server), Node::connected(&server));
    ada.ask(Ask::Read { after: BEGIN });
    let begun = Instant::now();
    while begun.elapsed() < TAIL_BLOCK + Duration::from_secs(1) {
        ada.turn();
    }
    assert_eq!((ada.said.len(), ada.lost), (0, None));
    bob.check(None);
    bob.add(b"late");
    assert_eq!(bytes(&ada.entries(1)), [b"late"]);
}

#[test]
#[ignore = "needs redis-server"]
fn a_password_must_be_right() {
    let login = |user: Option<&str>, password: &str| {
        Some(RedisLogin { user: user.map(str::to_owned), password: password.to_owned() })
    };
    for program in programs() {
        let start = |options: &str| RedisServer::start_with(program, &options.split(' ').collect::<Vec<_>>());
        let commands = "+info +time +xadd +xread +xrange +xrevrange +set +get";
        let open = RedisServer::start_with(program, &[]);
        let locked = start(&format!("--requirepass p%w --user ada on >secret ~room* {commands}"));
        let strict = start("--user bob on >secret ~other* +@all --user carl on >secret ~room* +@all -xadd");
        let rows = [
            (&locked, login(None, "p%w"), None),
            (&locked, login(Some("default"), "p%w"), None),
            (&locked, login(Some("ada"), "secret"), None),
            (&locked, login(None, "secret"), Some(EngineError::Auth)),
            (&locked, login(Some("ada"), "p%w"), Some(EngineError::Auth)),
            (&locked, login(Some("nobody"), "secret"), Some(EngineError::Auth)),
            (&locked, None, Some(EngineError::Auth)),
            (&open, login(None, "p%w"), Some(EngineError::Auth)),
            (&strict, login(Some("bob"), "secret"), Some(EngineError::Forbidden)),
            (&strict, login(Some("carl"), "secret"), Some(EngineError::Forbidden)),
        ];
        for (server, login, error) in rows {
            let mut node = Node::with(server, login.clone());
            node.ask(Ask::Check { at: Some(BEGIN) });
            node.ask(Ask::Add(b"x".to_vec()));
            node.ask(Ask::Put { key: 1, value: b"x".to_vec() });
            node.ask(Ask::Recent);
            node.ask(Ask::Get { key: 1 });
            node.ask(Ask::Read { after: BEGIN });
            let mut said = vec![node.hear()];
            while said.last() != Some(&Say::Lost) && !matches!(said.last(), Some(Say::Entries(_))) {
                said.push(node.hear());
            }
            assert_eq!(node.lost, error, "{program} {login:?} {said:?}");
            if error.is_none() {
                assert_eq!(said.len(), 5, "{said:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_replica_is_no_engine() {
    for program in programs() {
        let server = RedisServer::start_with(program, &[]);
        let (mut writing, mut reading) = (Node::connected(&server), Node::connected(&server));
        reading.ask(Ask::Read { after: BEGIN });
        writing.add(b"x");
        reading.entries(1);
        let (stamp, ..) = Node::new(&server).check(None);
        // Nobody listens there: it is a replica without data of another.
        assert_eq!(server.command(&["REPLICAOF", "127.0.0.1", "1"]), "+OK");
        assert_eq!(
            reading.lose(),
            Some(EngineError::ReadOnly),
            "one that waits for entries learns it at once"
        );
        writing.ask(Ask::Add(b"y".to_vec()));
        assert_eq!(writing.lose(), Some(EngineError::ReadOnly));
        writing.ask(Ask::Check { at: None });
        assert_eq!(writing.lose(), Some(EngineError::ReadOnly));
        // It leads again, and what it has is another history.
        assert_eq!(server.command(&["REPLICAOF", "NO", "ONE"]), "+OK");
        assert_ne!(writing.check(None).0, stamp);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_history_that_changes_on_a_connection_that_stays_is_noticed() {
    let server = RedisServer::start();
    let mut ada = Node::connected(&server);
    ada.add(b"x");
    // The writer is not disturbed by this.
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    server.command(&["REPLICAOF", "NO", "ONE"]);
    ada.add(b"y");
    assert_eq!(ada.lose(), Some(EngineError::Replaced));
}

#[test]
#[ignore = "needs redis-server"]
fn an_engine_that_is_killed_is_lost_and_is_another_when_it_is_back() {
    for program in programs() {
        let mut server = RedisServer::start_with(program, &[]);
        let (mut ada, mut bob) = (Node::new(&server), Node::connected(&server));
        let (stamp, ..) = ada.check(None);
        ada.add(b"x");
        let at = ada.recent()[0].id;
        bob.ask(Ask::Read { after: BEGIN });
        bob.entries(1);
        server.kill();
        assert_eq!(ada.lose(), Some(EngineError::BrokenOff));
        assert_eq!(bob.lose(), Some(EngineError::BrokenOff));
        ada.ask(Ask::Check { at: Some(at) });
        assert_eq!(ada.lose(), Some(EngineError::Unreachable));
        server.restart();
        let (new_stamp, _, entry) = ada.check(Some(at));
        assert_ne!(new_stamp, stamp);
        assert_eq!(entry, None);
        ada.add(b"y");
        assert_eq!(bytes(&ada.recent()), [b"y"]);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_log_that_is_emptied_is_noticed_whether_or_not_one_waits_for_the_next_entry() {
    let server = RedisServer::start();
    let (mut ada, mut bob) = (Node::connected(&server), Node::connected(&server));
    for is_waiting in [true, false] {
        ada.check(None);
        ada.ask(Ask::Read { after: BEGIN });
        bob.add(b"x");
        let at = ada.entries(1)[0].id;
        if is_waiting {
            ada.wait_for_entries(&server);
        }
        assert_eq!(server.command(&["FLUSHALL"]), "+OK");
        bob.add(b"y");
        // Others may have been there, between the two.
        assert_eq!(ada.lose(), Some(EngineError::Trimmed));
        assert_eq!(ada.check(Some(at)).2, None, "its place is gone, too");
        assert_eq!(server.command(&["FLUSHALL"]), "+OK");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn one_who_waits_reads_nothing_of_a_log_that_was_begun_again_at_a_place_before_its_own() {
    let server = RedisServer::start();
    let mut ada = Node::connected(&server);
    ada.ask(Ask::Read { after: BEGIN });
    let add = |id: &str, bytes: &str| assert_eq!(server.command(&["XADD", "room", id, "e", bytes]), id);
    add("2000-0", "x");
    assert_eq!(bytes(&ada.entries(1)), [b"x"]);
    ada.wait_for_entries(&server);
    assert_eq!(server.command(&["DEL", "room"]), ":1");
    // As if the clock had been set back, until it is where it was.
    add("1000-0", "first of the new log");
    add("2000-1", "y");
    assert_eq!(ada.lose(), Some(EngineError::Trimmed));
}

#[test]
#[ignore = "needs redis-server"]
fn the_log_is_trimmed_and_who_was_behind_learns_it() {
    let server = RedisServer::start();
    let mut ada = Node::connected(&server);
    ada.add(b"first");
    let first = ada.recent()[0].id;
    // A node of Redis's tree holds a hundred entries, which are dropped together.
    for _ in 0..LOG_ENTRIES_MIN / 100 + 2 {
        for _ in 0..100 {
            ada.ask(Ask::Add(b"x".to_vec()));
        }
        for _ in 0..100 {
            assert_eq!(ada.hear(), Say::Added);
        }
    }
    let length: u64 = server.command(&["XLEN", "room"])[1..].parse().expect("a number");
    assert!((LOG_ENTRIES_MIN..LOG_ENTRIES_MIN + 100).contains(&length), "{length}");
    assert_eq!(Node::new(&server).check(Some(first)).2, None);
    // One reads slowly, and the engine drops what it would read next.
    let mut bob = Node::connected(&server);
    bob.ask(Ask::Read { after: BEGIN });
    bob.entries_at_least(1);
    server.command(&["XTRIM", "room", "MAXLEN", "10"]);
    let mut last = bob.hear();
    while matches!(last, Say::Entries(_)) {
        last = bob.hear();
    }
    assert_eq!((last, bob.lost), (Say::Lost, Some(EngineError::Trimmed)));
    // One comes back to a place that is gone.
    bob.check(None);
    bob.ask(Ask::Read { after: first });
    assert_eq!(bob.lose(), Some(EngineError::Trimmed));
}

#[test]
#[ignore = "needs redis-server"]
fn whatever_others_write_into_the_log_is_read() {
    let server = RedisServer::start();
    let mut ada = Node::connected(&server);
    ada.ask(Ask::Read { after: BEGIN });
    let rows: [(&[&str], &[u8]); 6] = [
        (&["XADD", "room", "*", "e", "good"], b"good"),
        (&["XADD", "room", "*", "f", "x"], b""),
        (&["XADD", "room", "*", "e", "x", "e", "y"], b""),
        (&["XADD", "room", "*", "", ""], b""),
        (&["XADD", "room", "*", "a", "1", "b", "2", "c", "3"], b""),
        (&["XADD", "room", "*", "e", "good again"], b"good again"),
    ];
    for (command, expected) in rows {
        server.command(command);
        assert_eq!(bytes(&ada.entries(1)), [expected], "{command:?}");
    }
    // The clock was wrong once, by as much as can be.
    server.command(&["XADD", "room", "18446744073709551615-18446744073709551614", "e", "far"]);
    let far = ada.entries(1);
    assert_eq!(far[0].id, EntryId { ms: u64::MAX, seq: u64::MAX - 1 });
    ada.add(b"last");
    assert_eq!(bytes(&ada.entries(1)), [b"last"]);
    ada.ask(Ask::Add(b"no id is left".to_vec()));
    assert_eq!(ada.lose(), Some(EngineError::Refused));
}

#[test]
#[ignore = "needs redis-server"]
fn what_keeps_an_engine_from_taking_entries_is_named() {
    let server = RedisServer::start();
    for (setting, back, error) in [
        ("maxmemory 1", "maxmemory 0", EngineError::OutOfMemory),
        ("min-replicas-to-write 1", "min-replicas-to-write 0", EngineError::NoReplicas),
    ] {
        let set = |words: &str| {
            let words: Vec<&str> = ["CONFIG", "SET"].into_iter().chain(words.split(' ')).collect();
            assert_eq!(server.command(&words), "+OK");
        };
        let mut node = Node::connected(&server);
        set(setting);
        node.ask(Ask::Add(b"x".to_vec()));
        assert_eq!(node.lose(), Some(error));
        set(back);
        node.check(None);
        node.add(b"x");
    }
    assert_eq!(server.command(&["DEL", "room"]), ":1");
    assert_eq!(server.command(&["SET", "room", "no log"]), "+OK");
    let mut node = Node::new(&server);
    node.ask(Ask::Check { at: Some(BEGIN) });
    assert_eq!(node.lose(), Some(EngineError::WrongType));
}

#[test]
#[ignore = "needs redis-server"]
fn the_doctor_says_what_an_engine_is_and_what_is_wrong_with_it() {
    let report = |address: String| {
        let doctor = Command::new(env!("CARGO_BIN_EXE_plume"))
            .env_clear()
            .args(["doctor", "--listen=127.0.0.1:0", "--redis", &address])
            .output()
            .expect("it was built");
        String::from_utf8(doctor.stdout).expect("text")
    };
    for program in programs() {
        let server = RedisServer::start_with(program, &["--requirepass", "secret"]);
        let address = |password: &str| format!("unix://:{password}@{}?key=room", server.socket().display());
        let name = if program == "valkey-server" { "Valkey" } else { "Redis" };
        let good = report(address("secret"));
        assert!(good.contains(&format!("ok    engine: {name} ")), "{good}");
        assert_eq!(good.matches("engine: ").count(), 1, "{good}");
        let wrong = report(address("SECRET"));
        assert!(wrong.contains("FAIL  engine: auth: check user and password"), "{wrong}");
        assert!(!wrong.contains("SECRET"), "{wrong}");
        let options = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
        let forgetful = RedisServer::start_with(program, &options);
        let warned = report(format!("unix:{}", forgetful.socket().display()));
        assert!(warned.contains("warn  engine: it drops keys"), "{warned}");
    }
}
