use super::*;
use crate::config::RedisPlace;
use crate::limits::{
    ENGINE_INFO_BYTES_MAX, ENGINE_READ_BYTES_MAX, ENGINE_REPLY_TIMEOUT, REMEMBERED_BYTES_MAX,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::time::Duration;

/// The connections, with what the shell would do.
struct Rig {
    connections: Connections,
    now: Moment,
}

const START: Moment = Moment::from_us(1_000_000);

fn login(user: Option<&str>, password: &str) -> RedisLogin {
    RedisLogin { user: user.map(str::to_owned), password: password.to_owned() }
}

impl Rig {
    fn new(login: Option<RedisLogin>) -> Self {
        let place = RedisPlace::Unix("/nowhere".into());
        let connections = Connections::new(&RedisUrl { place, login, key: "room".to_owned() });
        Self { connections, now: START }
    }

    /// With a connection that is checked.
    fn checked() -> Self {
        let mut rig = Self::new(None);
        rig.ask(Ask::Check { at: None });
        assert_eq!(rig.actions(), [Action::Connect(Side::Writer)]);
        rig.connected(Side::Writer);
        rig.sent(Side::Writer);
        let actions = rig.reply(Side::Writer, &greeting(&[&time(7, 123_456)]));
        assert_eq!(actions, [Action::Say(Say::Checked { stamp: STAMP, now_ms: 7_123, entry: None })]);
        rig
    }

    /// With a tail that reads behind 5-5.
    fn reading() -> Self {
        let mut rig = Self::checked();
        rig.ask(Ask::Read { after: EntryId { ms: 5, seq: 5 } });
        assert_eq!(rig.actions(), [Action::Connect(Side::Tail)]);
        rig.connected(Side::Tail);
        assert_eq!(rig.sent(Side::Tail), words("INFO server") + &words("INFO replication"));
        assert_eq!(rig.reply(Side::Tail, &greeting(&[])), []);
        assert_eq!(rig.sent(Side::Tail), read_behind("5-5"));
        rig
    }

    fn ask(&mut self, ask: Ask) {
        self.connections.ask(self.now, ask);
    }

    fn connected(&mut self, side: Side) {
        self.connections.connected(self.now, side);
    }

    fn wait(&mut self, ms: u64) -> Vec<Action> {
        self.now = self.now.after(Duration::from_millis(ms));
        self.connections.tick(self.now);
        self.actions()
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.connections.poll()).collect()
    }

    fn reply(&mut self, side: Side, text: &str) -> Vec<Action> {
        self.connections.received(self.now, side, text.as_bytes());
        self.actions()
    }

    /// Everything that is to be sent.
    fn sent(&mut self, side: Side) -> String {
        let mut all = Vec::new();
        while !self.connections.unsent(side).is_empty() {
            let piece = self.connections.unsent(side).to_vec();
            self.connections.wrote(side, piece.len());
            all.extend(piece);
        }
        String::from_utf8(all).expect("text")
    }
}

/// A command, or an array of strings.
fn words(words: &str) -> String {
    array(&words.split(' ').collect::<Vec<_>>())
}

fn array(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&string(word));
    }
    text
}

fn string(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// The commands that read behind an entry, which must be there then.
fn read_behind(id: &str) -> String {
    let is_there = words(&format!("XRANGE room {id} {id} COUNT 1"));
    words(&format!("XREAD COUNT 128 BLOCK 2000 STREAMS room {id}")) + &is_there
}

fn greeting(more: &[&str]) -> String {
    string("# Server\r\nredis_version:7.0.15\r\nrun_id:run\r\n") + &string(MASTER) + &more.concat()
}

fn time(seconds: u64, micros: u64) -> String {
    array(&[&seconds.to_string(), &micros.to_string()])
}

fn entries(entries: &[(&str, &str)]) -> String {
    let mut text = format!("*{}\r\n", entries.len());
    for (id, bytes) in entries {
        let _ = write!(text, "*2\r\n{}{}", string(id), array(&["e", bytes]));
    }
    text
}

fn read(entries: &[(&str, &str)]) -> String {
    format!("*1\r\n*2\r\n{}{}", string("room"), self::entries(entries))
}

fn log_entry(ms: u64, seq: u64, bytes: &str) -> LogEntry {
    LogEntry { id: EntryId { ms, seq }, bytes: bytes.as_bytes().to_vec() }
}

fn lost(error: EngineError) -> Vec<Action> {
    vec![Action::Lose(error)]
}

const MASTER: &str = "# Replication\r\nrole:master\r\nmaster_replid:repl\r\n";
const STAMP: u64 = 0x33fd_e3aa_4712_b5f3;

#[test]
fn a_check_says_who_the_engine_is_and_what_stands_at_a_place() {
    let at = Some(EntryId { ms: 5, seq: 6 });
    let rows = [
        (None, "", "", Some("x")),
        (None, "", "", None),
        (Some(login(None, "p w")), &array(&["AUTH", "p w"])[..], "+OK\r\n", Some("")),
        (Some(login(Some("ada"), "pw")), &words("AUTH ada pw"), "+OK\r\n", None),
    ];
    for (login, auth, ok, entry) in rows {
        let mut rig = Rig::new(login);
        assert_eq!(rig.sent(Side::Writer), "", "nothing without a connection");
        rig.ask(Ask::Check { at });
        assert_eq!(rig.actions(), [Action::Connect(Side::Writer)]);
        assert_eq!(rig.sent(Side::Writer), "", "it is not connected yet");
        rig.connected(Side::Writer);
        let greeted = words("INFO server") + &words("INFO replication");
        let checks = words("XRANGE room 5-6 5-6 COUNT 1") + &words("TIME");
        assert_eq!(rig.sent(Side::Writer), format!("{auth}{greeted}{checks}"));
        let found: Vec<(&str, &str)> = entry.iter().map(|&entry| ("5-6", entry)).collect();
        let reply = ok.to_owned() + &greeting(&[&entries(&found), &time(1_700_000_000, 999_999)]);
        let (early, last) = reply.split_at(reply.len() - 1);
        assert_eq!(rig.reply(Side::Writer, early), []);
        let entry = entry.map(|entry| entry.as_bytes().to_vec());
        let said = Say::Checked { stamp: STAMP, now_ms: 1_700_000_000_999, entry };
        assert_eq!(rig.reply(Side::Writer, last), [Action::Say(said)]);
    }
}

#[test]
fn what_is_asked_becomes_commands_and_replies_what_is_said() {
    let mut rig = Rig::checked();
    rig.ask(Ask::Recent);
    rig.ask(Ask::Add(b"a\r\n".to_vec()));
    rig.ask(Ask::Put { key: 0xab, value: b"state".to_vec() });
    rig.ask(Ask::Get { key: 0xab });
    rig.ask(Ask::Add(Vec::new()));
    rig.ask(Ask::Get { key: u64::MAX });
    let key = "room:state:00000000000000ab";
    let expected = [
        words("XREVRANGE room + - COUNT 256"),
        array(&["XADD", "room", "MAXLEN", "~", "100000", "*", "e", "a\r\n"]),
        words(&format!("SET {key} state EX 60")),
        words(&format!("GET {key}")),
        array(&["XADD", "room", "MAXLEN", "~", "100000", "*", "e", ""]),
        words("GET room:state:ffffffffffffffff"),
    ];
    assert_eq!(rig.sent(Side::Writer), expected.concat());
    let replies = entries(&[("9-1", "c"), ("8-0", ""), ("7-9", "a")])
        + &string("9-2")
        + "+OK\r\n"
        + &string("state")
        + &string("9-3")
        + "$-1\r\n";
    let recent = vec![log_entry(7, 9, "a"), log_entry(8, 0, ""), log_entry(9, 1, "c")];
    let said =
        [Say::Recent(recent), Say::Added, Say::Got(Some(b"state".to_vec())), Say::Added, Say::Got(None)];
    assert_eq!(rig.reply(Side::Writer, &replies), said.map(Action::Say));
    rig.ask(Ask::Recent);
    assert_eq!(rig.reply(Side::Writer, "*0\r\n"), [Action::Say(Say::Recent(Vec::new()))]);
}

/// What a read says to which this is the reply.
fn said(entries: &[(u64, u64, &str)]) -> Vec<Action> {
    let entries = entries.iter().map(|&(ms, seq, bytes)| log_entry(ms, seq, bytes));
    vec![Action::Say(Say::Entries(entries.collect()))]
}

#[test]
fn entries_are_read_one_reply_behind_the_other() {
    let mut rig = Rig::reading();
    let reply = read(&[("5-6", "a"), ("6-0", "b")]) + &entries(&[("5-5", "x")]);
    assert_eq!(rig.reply(Side::Tail, &reply), said(&[(5, 6, "a"), (6, 0, "b")]));
    assert_eq!(rig.sent(Side::Tail), read_behind("6-0"));
    // No entry came in time.
    assert_eq!(rig.reply(Side::Tail, &("*-1\r\n".to_owned() + &entries(&[("6-0", "b")]))), []);
    assert_eq!(rig.sent(Side::Tail), read_behind("6-0"));
    // What has come is said when it is known that none are missing before it.
    let reply = read(&[("7-0", "c"), ("7-1", "d")]) + &entries(&[("6-0", "b")]);
    let (first, rest) = reply.split_at(reply.len() - 1);
    assert_eq!((rig.reply(Side::Tail, first), rig.sent(Side::Tail)), Default::default());
    assert_eq!(rig.reply(Side::Tail, rest), said(&[(7, 0, "c"), (7, 1, "d")]));
    assert_eq!(rig.sent(Side::Tail), read_behind("7-1"));
    // Asked for once in each connection.
    rig.ask(Ask::Read { after: EntryId::default() });
    assert_eq!(rig.actions(), []);
}

/// The log was emptied while the tail waited, or before.
#[test]
fn a_tail_whose_entry_is_gone_says_nothing_of_those_behind_it() {
    let nothing = "*-1\r\n".to_owned();
    for (reply, entry, expected) in [
        (read(&[("7-0", "y")]), Some("x"), said(&[(7, 0, "y")])),
        (nothing.clone(), Some("x"), Vec::new()),
        (read(&[("7-0", "y")]), None, lost(EngineError::Trimmed)),
        (nothing, None, lost(EngineError::Trimmed)),
        // Another one stands there, within the same millisecond.
        (read(&[("7-0", "y")]), Some("w"), lost(EngineError::Trimmed)),
    ] {
        let mut rig = Rig::reading();
        let first = read(&[("6-1", "x")]) + &entries(&[("5-5", "")]);
        assert_eq!(rig.reply(Side::Tail, &first), said(&[(6, 1, "x")]));
        let found: Vec<_> = entry.map(|bytes| ("6-1", bytes)).into_iter().collect();
        assert_eq!(rig.reply(Side::Tail, &(reply + &entries(&found))), expected, "{entry:?}");
    }
}

#[test]
fn a_read_of_too_many_bytes_is_cut_and_the_rest_read_again() {
    let half = "x".repeat(ENGINE_READ_BYTES_MAX / 2);
    let whole = half.repeat(2) + "x";
    let rows: [(&[(&str, &str)], usize); 4] = [
        (&[("6-0", &half), ("6-1", &half), ("6-2", "")], 3),
        (&[("6-0", &half), ("6-1", &half), ("6-2", "x"), ("6-3", "")], 2),
        (&[("6-0", &whole)], 1),
        (&[("6-0", &whole), ("6-1", "")], 1),
    ];
    for (given, kept) in rows {
        let mut rig = Rig::reading();
        let actions = rig.reply(Side::Tail, &(read(given) + &entries(&[("5-5", "x")])));
        let [Action::Say(Say::Entries(entries))] = &actions[..] else { panic!("{}", actions.len()) };
        let ids: Vec<_> = entries.iter().map(|entry| entry.id.to_string()).collect();
        assert_eq!(ids, given[..kept].iter().map(|(id, _)| *id).collect::<Vec<_>>());
        assert_eq!(rig.sent(Side::Tail), read_behind(given[kept - 1].0));
    }
}

#[test]
fn a_tail_at_the_beginning_of_the_log_expects_no_entry_there() {
    let mut rig = Rig::checked();
    rig.ask(Ask::Read { after: EntryId::default() });
    rig.actions();
    rig.connected(Side::Tail);
    rig.sent(Side::Tail);
    assert_eq!(rig.reply(Side::Tail, &greeting(&[])), []);
    assert_eq!(rig.sent(Side::Tail), words("XREAD COUNT 128 BLOCK 2000 STREAMS room 0-0"));
    assert_eq!(rig.reply(Side::Tail, &read(&[("5-6", "a")])), said(&[(5, 6, "a")]));
    assert_eq!(rig.sent(Side::Tail), read_behind("5-6"));
}

#[test]
fn a_tail_knows_a_short_entry_by_its_bytes() {
    let long = "x".repeat(REMEMBERED_BYTES_MAX + 1);
    for (own, found, is_same) in [("x", "x", true), ("x", "y", false), ("x", "", false), (&long, "y", true)] {
        let mut rig = Rig::reading();
        let first = read(&[("6-0", "w"), ("6-1", own)]) + &entries(&[("5-5", "")]);
        assert_eq!(rig.reply(Side::Tail, &first).len(), 1);
        let expected = if is_same { Vec::new() } else { lost(EngineError::Trimmed) };
        assert_eq!(
            rig.reply(Side::Tail, &("*-1\r\n".to_owned() + &entries(&[("6-1", found)]))),
            expected,
            "{found}"
        );
    }
}

#[test]
fn a_read_that_is_asked_for_early_waits_for_the_check() {
    let mut rig = Rig::new(None);
    rig.ask(Ask::Check { at: None });
    rig.ask(Ask::Read { after: EntryId { ms: 5, seq: 5 } });
    assert_eq!(rig.actions(), [Action::Connect(Side::Writer)]);
    rig.connected(Side::Writer);
    let actions = rig.reply(Side::Writer, &greeting(&[&time(7, 0)]));
    let said = Action::Say(Say::Checked { stamp: STAMP, now_ms: 7_000, entry: None });
    assert_eq!(actions, [said, Action::Connect(Side::Tail)]);
}

/// A way to come to what is asked, and the side on which replies come.
type Place = (fn() -> Rig, Side);

fn greeted() -> Rig {
    let mut rig = Rig::new(Some(login(None, "pw")));
    rig.ask(Ask::Check { at: Some(EntryId { ms: 5, seq: 5 }) });
    rig.actions();
    rig.connected(Side::Writer);
    rig
}

fn after(ask: fn() -> Ask) -> Rig {
    let mut rig = Rig::checked();
    rig.ask(ask());
    rig
}

const AUTH: Place = (greeted, Side::Writer);
const INFO: Place = (
    || {
        let mut rig = greeted();
        assert_eq!(rig.reply(Side::Writer, "+OK\r\n"), []);
        rig
    },
    Side::Writer,
);
const RECENT: Place = (|| after(|| Ask::Recent), Side::Writer);
const ADD: Place = (|| after(|| Ask::Add(vec![1])), Side::Writer);
const PUT: Place = (|| after(|| Ask::Put { key: 1, value: vec![1] }), Side::Writer);
const GET: Place = (|| after(|| Ask::Get { key: 1 }), Side::Writer);
const NOTHING: Place = (Rig::checked, Side::Writer);
const TAIL: Place = (Rig::reading, Side::Tail);
const TAIL_BEGUN: Place = (
    || {
        let mut rig = Rig::checked();
        rig.ask(Ask::Read { after: EntryId { ms: 5, seq: 5 } });
        rig.actions();
        rig.connected(Side::Tail);
        rig
    },
    Side::Tail,
);

#[test]
fn a_greeting_that_is_none_is_a_lost_connection_with_a_reason() {
    use EngineError::{Auth, Busy, Forbidden, Protocol, ReadOnly, Refused, TooOld, WrongType};
    let old = string("redis_version:4.0.1\r\nrun_id:run\r\n");
    let slave = greeting(&[]).replace("master\r\n", "slave.\r\n");
    let big_info = string(&"x".repeat(ENGINE_INFO_BYTES_MAX + 1));
    loses(&[
        (AUTH, "-ERR invalid password\r\n", Auth),
        (AUTH, "-WRONGPASS invalid username-password pair or user is disabled.\r\n", Auth),
        (AUTH, "-ERR Client sent AUTH, but no password is set\r\n", Auth),
        (AUTH, "-ERR wrong number of arguments for 'auth' command\r\n", Auth),
        (AUTH, "+QUEUED\r\n", Protocol),
        (AUTH, "+ok\r\n", Protocol),
        (AUTH, ":1\r\n", Protocol),
        (AUTH, "HTTP/1.1 400 Bad Request\r\n", Protocol),
        (AUTH, "220 mail.example.org ESMTP\r\n", Protocol),
        (INFO, "-NOAUTH Authentication required.\r\n", Auth),
        (INFO, "-NOPERM this user has no permissions to run the 'info' command\r\n", Forbidden),
        (INFO, "-DENIED Redis is running in protected mode\r\n", Forbidden),
        (INFO, "-LOADING Redis is loading the dataset in memory\r\n", Busy),
        (INFO, "-ERR max number of clients reached\r\n", Refused),
        (INFO, "-MOVED 1234 127.0.0.1:6380\r\n", Refused),
        (INFO, "-\r\n", Refused),
        (INFO, "$-1\r\n", Protocol),
        (INFO, "$0\r\n\r\n", Protocol),
        (INFO, "+OK\r\n", Protocol),
        (INFO, &old, TooOld),
        (INFO, &slave, ReadOnly),
        (INFO, &big_info, Protocol),
        (INFO, &greeting(&["-WRONGTYPE Operation against a key\r\n"]), WrongType),
        (INFO, &greeting(&["-ERR unknown command `XRANGE`, with args\r\n"]), TooOld),
        (INFO, &greeting(&["*-1\r\n"]), Protocol),
        (INFO, &greeting(&[&entries(&[("5-6", "x")])]), Protocol),
        (INFO, &greeting(&[&entries(&[("5-5", "x"), ("5-6", "y")])]), Protocol),
        (INFO, &greeting(&["*0\r\n", "*0\r\n"]), Protocol),
        (INFO, &greeting(&["*0\r\n", "*-1\r\n"]), Protocol),
        (INFO, &greeting(&["*0\r\n", "*3\r\n"]), Protocol),
        (INFO, &greeting(&["*0\r\n", &array(&["1", "-1"])]), Protocol),
        (INFO, &greeting(&["*0\r\n", &array(&["", "1"])]), Protocol),
        (INFO, &greeting(&["*0\r\n", &array(&["x", "1"])]), Protocol),
        (INFO, &greeting(&["*0\r\n", "*2\r\n:1\r\n:1\r\n"]), Protocol),
    ]);
}

#[test]
fn whatever_is_not_an_answer_is_a_lost_connection_with_a_reason() {
    use EngineError::{
        Busy, CannotSave, Forbidden, NoReplicas, OutOfMemory, Protocol, ReadOnly, Refused, Replaced,
        WrongType,
    };
    let slave = greeting(&[]).replace("master\r\n", "slave.\r\n");
    loses(&[
        (RECENT, "*-1\r\n", Protocol),
        (RECENT, "*257\r\n", Protocol),
        (RECENT, &entries(&[("1-0", "a"), ("2-0", "b")]), Protocol),
        (RECENT, "-WRONGTYPE Operation against a key\r\n", WrongType),
        (RECENT, "*1\r\n-ERR in between\r\n", Refused),
        (ADD, "-OOM command not allowed when used memory > 'maxmemory'.\r\n", OutOfMemory),
        (ADD, "-NOREPLICAS Not enough good replicas to write.\r\n", NoReplicas),
        (ADD, "-MISCONF Redis is configured to save RDB snapshots\r\n", CannotSave),
        (ADD, "-READONLY You can't write against a read only replica.\r\n", ReadOnly),
        (ADD, "-BUSY Redis is busy running a script.\r\n", Busy),
        (ADD, "-NOPERM no permissions to access one of the keys\r\n", Forbidden),
        (ADD, "$-1\r\n", Protocol),
        (ADD, "$1\r\n5\r\n", Protocol),
        (ADD, "+5-5\r\n", Protocol),
        (PUT, "$-1\r\n", Protocol),
        (PUT, "-OOM command not allowed\r\n", OutOfMemory),
        (GET, "+state\r\n", Protocol),
        (GET, "*1\r\n", Protocol),
        (GET, "-WRONGTYPE Operation against a key\r\n", WrongType),
        (NOTHING, "+OK\r\n", Protocol),
        (NOTHING, "-ERR Protocol error\r\n", Refused),
        (TAIL_BEGUN, &greeting(&[]).replace("run_id:run", "run_id:sun"), Replaced),
        (TAIL_BEGUN, &greeting(&[]).replace("replid:repl", "replid:seal"), Replaced),
        (TAIL_BEGUN, &slave, ReadOnly),
        (TAIL, "-UNBLOCKED force unblock from blocking operation\r\n", ReadOnly),
        (TAIL, "*0\r\n", Protocol),
        (TAIL, "*2\r\n", Protocol),
        (TAIL, &read(&[]), Protocol),
        (TAIL, &read(&[("5-5", "x")]), Protocol),
        (TAIL, &read(&[("5-6", "x")]).replace("room", "rook"), Protocol),
        (TAIL, "*1\r\n*2\r\n$4\r\nroom\r\n*129\r\n", Protocol),
    ]);
}

/// Each reply ends the connections, for this reason.
fn loses(rows: &[(Place, &str, EngineError)]) {
    for &((rig, side), reply, reason) in rows {
        let mut rig = rig();
        let shown = reply.chars().take(200).collect::<String>();
        assert_eq!(rig.reply(side, reply), lost(reason), "{shown:?}");
        // It is said once, and nothing is said any more.
        assert_eq!(rig.reply(side, "+OK\r\n"), [], "{shown:?}");
        rig.ask(Ask::Add(vec![1]));
        rig.ask(Ask::Read { after: EntryId::default() });
        rig.connections.fail(BROKEN);
        assert_eq!(rig.wait(60_000), [], "{shown:?}");
        assert_eq!((rig.sent(Side::Writer), rig.sent(Side::Tail)), Default::default(), "{shown:?}");
        assert_eq!(rig.connections.next_deadline(), None, "{shown:?}");
        rig.ask(Ask::Check { at: None });
        assert_eq!(rig.actions(), [Action::Connect(Side::Writer)], "{shown:?}");
    }
}

const BROKEN: EngineError = EngineError::BrokenOff;

#[test]
fn what_came_before_an_error_is_said() {
    let mut rig = Rig::reading();
    let good = read(&[("5-6", "a")]) + &entries(&[("5-5", "x")]);
    let said = Action::Say(Say::Entries(vec![log_entry(5, 6, "a")]));
    assert_eq!(rig.reply(Side::Tail, &(good + "+OK\r\n")), [said, Action::Lose(EngineError::Protocol)]);
    // But nothing of a read that has one.
    let mut rig = Rig::reading();
    let reply = read(&[("5-6", "a"), ("5-6", "again")]) + &entries(&[("5-5", "x")]);
    assert_eq!(rig.reply(Side::Tail, &reply), lost(EngineError::Protocol));
}

#[test]
fn a_check_drops_the_connection_before() {
    let mut rig = Rig::reading();
    rig.ask(Ask::Get { key: 1 });
    rig.ask(Ask::Check { at: None });
    assert_eq!(rig.actions(), [Action::Connect(Side::Writer)]);
    rig.connected(Side::Writer);
    assert_eq!(rig.sent(Side::Writer), words("INFO server") + &words("INFO replication") + &words("TIME"));
    assert_eq!(rig.sent(Side::Tail), "");
}

#[test]
fn an_answer_that_is_late_is_a_lost_connection() {
    let timeout = u64::try_from(ENGINE_REPLY_TIMEOUT.as_millis()).expect("it is short");
    let block = u64::try_from(TAIL_BLOCK.as_millis()).expect("it is short");
    let connecting: fn() -> Rig = || {
        let mut rig = Rig::new(None);
        rig.ask(Ask::Check { at: None });
        rig.actions();
        rig
    };
    let rows: [(fn() -> Rig, u64); 5] = [
        (connecting, timeout),
        (AUTH.0, timeout),
        (ADD.0, timeout),
        (TAIL_BEGUN.0, timeout),
        (TAIL.0, timeout + block),
    ];
    for (place, (rig, ms)) in rows.into_iter().enumerate() {
        let (mut early, mut late) = (rig(), rig());
        assert_eq!(early.wait(ms - 1), [], "{place}");
        let deadline = late.connections.next_deadline().expect("something is awaited");
        // What was sent counts, too: a microsecond for each byte.
        assert_eq!(deadline.since(START).as_millis(), u128::from(ms), "{place}");
        assert_eq!(late.wait(ms + 1), lost(EngineError::Timeout), "{place}");
    }
}

#[test]
fn what_has_come_is_not_late_however_late_it_is_read() {
    let (mut writing, mut reading) = (ADD.0(), Rig::reading());
    for rig in [&mut writing, &mut reading] {
        rig.now = rig.now.after(Duration::from_mins(10));
    }
    assert_eq!(writing.reply(Side::Writer, &string("7-1")), [Action::Say(Say::Added)]);
    assert_eq!(reading.reply(Side::Tail, &(read(&[("6-0", "x")]) + &entries(&[("5-5", "")]))).len(), 1);
    for rig in [&mut writing, &mut reading] {
        assert_eq!(rig.wait(0), []);
    }
}

#[test]
fn a_large_value_has_the_time_that_it_needs_and_no_more() {
    // It comes at twice the speed that it must have, and takes far longer than a short answer may.
    let mut rig = Rig::checked();
    rig.ask(Ask::Get { key: 1 });
    rig.sent(Side::Writer);
    let size = 20_000_000;
    assert_eq!(rig.reply(Side::Writer, &format!("${size}\r\n")), []);
    let piece = "x".repeat(1_000_000);
    for _ in 0..20 {
        assert_eq!(rig.reply(Side::Writer, &piece), []);
        // The question that comes up meanwhile waits behind it.
        assert_eq!(rig.wait(500), []);
    }
    let actions = rig.reply(Side::Writer, "\r\n");
    assert!(matches!(&actions[..], [Action::Say(Say::Got(Some(value)))] if value.len() == size));
    // A byte now and then is not enough.
    let mut rig = Rig::checked();
    rig.ask(Ask::Get { key: 1 });
    assert_eq!(rig.reply(Side::Writer, "$1000\r\n"), []);
    assert_eq!((rig.wait(1_000), rig.reply(Side::Writer, "x")), (vec![], vec![]));
    assert_eq!(rig.wait(1_001), lost(EngineError::Timeout));
    // One that is sent has its time, too.
    let mut rig = Rig::checked();
    rig.ask(Ask::Put { key: 1, value: vec![7; 10_000_000] });
    for _ in 0..10 {
        rig.connections.wrote(Side::Writer, 1_000_000);
        assert_eq!(rig.wait(900), []);
    }
}

#[test]
fn the_engine_is_asked_now_and_then_whether_it_is_still_the_same() {
    let interval = u64::try_from(ENGINE_CHECK_INTERVAL.as_millis()).expect("it is short");
    for (reply, reason) in [
        (string(MASTER), None),
        (string(MASTER).replace("repl\r\n", "repk\r\n"), Some(EngineError::Replaced)),
        (string(&MASTER.replace("master\r\n", "slave\r\n")), Some(EngineError::ReadOnly)),
    ] {
        let mut rig = Rig::checked();
        assert_eq!(rig.wait(interval - 1), []);
        assert_eq!(rig.sent(Side::Writer), "");
        assert_eq!(rig.wait(1), []);
        assert_eq!(rig.sent(Side::Writer), words("INFO replication"));
        assert_eq!(rig.reply(Side::Writer, &reply), reason.map_or_else(Vec::new, lost));
        if reason.is_none() {
            assert_eq!(rig.wait(interval), []);
            assert_eq!(rig.sent(Side::Writer), words("INFO replication"), "again");
        }
    }
}

proptest! {
    /// Joins what is said of entries, which may come in any pieces.
    #[test]
    fn any_split_of_the_replies_says_the_same(
        bytes in vec(vec(any::<u8>(), 0..20), 0..5),
        noise in vec(any::<u8>(), 0..12),
        cuts in vec(0..600_usize, 0..8),
    ) {
        let mut writer = greeting(&[&time(3, 4)]).into_bytes();
        let mut tail = format!("*1\r\n*2\r\n{}*{}\r\n", string("room"), bytes.len()).into_bytes();
        for (number, bytes) in bytes.iter().enumerate() {
            writer.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
            writer.extend_from_slice(&[bytes, &b"\r\n"[..]].concat());
            tail.extend_from_slice(format!("*2\r\n{}*2\r\n{}", string(&format!("6-{number}")), string("e")).as_bytes());
            tail.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
            tail.extend_from_slice(&[bytes, &b"\r\n"[..]].concat());
        }
        tail.extend_from_slice(entries(&[("5-5", "x")]).as_bytes());
        writer.extend_from_slice(&noise);
        tail.extend_from_slice(&noise);
        let run = |side: Side, all: &[u8], cuts: &[usize]| {
            let mut rig = if side == Side::Tail { Rig::reading() } else { Rig::new(None) };
            if side == Side::Writer {
                rig.ask(Ask::Check { at: None });
                rig.connected(side);
                for _ in &bytes {
                    rig.ask(Ask::Get { key: 1 });
                }
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|&cut| cut.min(all.len())).chain([0, all.len()]).collect();
            cuts.sort_unstable();
            for cut in cuts.windows(2) {
                rig.connections.received(rig.now, side, &all[cut[0]..cut[1]]);
            }
            let mut said = Vec::new();
            for action in rig.actions() {
                match action {
                    Action::Say(Say::Entries(entries)) => {
                        said.extend(entries.into_iter().map(|entry| Action::Say(Say::Entries(vec![entry]))));
                    }
                    action => said.push(action),
                }
            }
            (said, rig.sent(Side::Writer), rig.sent(Side::Tail))
        };
        for (side, all) in [(Side::Writer, &writer), (Side::Tail, &tail)] {
            let each: Vec<usize> = (0..all.len()).collect();
            let whole = run(side, all, &[]);
            prop_assert_eq!(&run(side, all, &cuts), &whole);
            prop_assert_eq!(&run(side, all, &each), &whole);
            if noise.is_empty() && !bytes.is_empty() {
                prop_assert!(whole.0.len() > bytes.len() - usize::from(side == Side::Tail));
            }
        }
    }
}
