use super::*;
use crate::close_reason::CloseReason;
use crate::ids::{ClientId, MailId, NodeId};
use crate::limits::LOG_WINDOW;
use crate::log_event::{EngineError, MoveError};
use crate::login_email::MailError;
use std::io::{PipeReader, Read, pipe};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

fn journal(level: Level) -> (Logger, PipeReader) {
    let (reader, writer) = pipe().expect("a pipe");
    (Logger::to(writer.into(), level), reader)
}

const NOW: Moment = Moment::from_ms(0);

/// Everything written, after the logger is dropped.
fn read_all(journal: Logger, mut reader: impl Read) -> String {
    drop(journal);
    let mut all = String::new();
    reader.read_to_string(&mut all).expect("what was written");
    all
}

/// Logs until three lines were dropped.
fn fill(journal: &mut Logger) {
    while journal.lines_dropped < 3 {
        journal.line(&"x".repeat(2 * WRITE_BYTES_MAX));
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row for each event")]
fn a_note_is_one_line() {
    let connection = ClientId::new(3, 12);
    for (note, priority, line) in [
        (LogEvent::Accepted(connection), "<7>", "event=accepted connection=12"),
        (LogEvent::Answered(connection, 404), "<7>", "event=answered connection=12 status=404"),
        (
            LogEvent::Moved { connections: 9, bytes: 1_234, ms: 45 },
            "<6>",
            "event=moved connections=9 bytes=1234 ms=45",
        ),
        (LogEvent::MoveFailed(MoveError::NotStored), "<3>", "event=move-failed reason=not-stored"),
        (LogEvent::EngineConnected, "<6>", "event=engine-connected"),
        (LogEvent::EngineLost(EngineError::ReadOnly), "<3>", "event=engine-lost reason=read-only"),
        (LogEvent::MoveFailed(MoveError::System(24)), "<3>", "event=move-failed reason=errno-24"),
        (
            LogEvent::DataRead { entries: 7, dropped: 2, cut_bytes: 40 },
            "<6>",
            "event=data-read entries=7 dropped=2 cut_bytes=40",
        ),
        (
            LogEvent::DataFailed { errno: 28 },
            "<3>",
            "event=data-failed errno=28 reason=disk-full hint=\"rules are in force, but not saved: make room, \
             or let Plume write to PLUME_DATA; it tries again every minute\"",
        ),
        (LogEvent::DataRecovered, "<6>", "event=data-recovered"),
        (LogEvent::NodeLive { nodes: 3 }, "<6>", "event=node-live nodes=3"),
        (
            LogEvent::OtherRoom,
            "<3>",
            "event=data-other-room hint=\"nothing more is written to PLUME_DATA; to go on with what it holds, \
             stop all nodes and start this one first\"",
        ),
        (LogEvent::NodeApart, "<3>", "event=node-apart"),
        (LogEvent::NodeGone(NodeId(10)), "<4>", "event=node-gone node=000000000000000a"),
        (
            LogEvent::OtherSettings(NodeId(10)),
            "<4>",
            "event=node-other-settings node=000000000000000a hint=\"nodes with different settings come to \
             different rooms: make them equal, and start the nodes again\"",
        ),
        (LogEvent::RunBegan, "<4>", "event=run-began"),
        (LogEvent::DataLost { changes: 3 }, "<3>", "event=data-lost changes=3"),
        (LogEvent::DataUnfinished, "<3>", "event=data-unfinished"),
        (LogEvent::Upgraded(connection), "<7>", "event=upgraded connection=12"),
        (LogEvent::LoggedIn(connection), "<6>", "event=logged-in connection=12"),
        (LogEvent::Resumed(connection), "<6>", "event=resumed connection=12"),
        (LogEvent::WrongTry(connection), "<4>", "event=wrong-try connection=12"),
        (LogEvent::NotAdmitted(connection), "<4>", "event=not-admitted connection=12"),
        (LogEvent::WrongToken(connection), "<6>", "event=wrong-token connection=12"),
        (LogEvent::MailLimited(connection), "<4>", "event=mail-limited connection=12"),
        (
            LogEvent::MailFailed(MailId(7), MailError::Refused(500)),
            "<3>",
            "event=mail-failed mail=7 reason=refused-500",
        ),
        (
            LogEvent::Closed(connection, CloseReason::Lapped),
            "<6>",
            "event=closed connection=12 reason=lapped",
        ),
        (
            LogEvent::HttpClosed(connection, CloseReason::HttpDone),
            "<7>",
            "event=http-closed connection=12 reason=http-done",
        ),
        (
            LogEvent::GuestClosed(connection, CloseReason::Silent),
            "<6>",
            "event=closed connection=12 reason=silent",
        ),
        (LogEvent::AcceptFailed { errno: 1 }, "<3>", "event=accept-failed errno=1"),
        (
            LogEvent::ListenFailed { errno: 98, for_metrics: false },
            "<3>",
            "event=listen-failed for=chat errno=98",
        ),
        (
            LogEvent::ListenFailed { errno: 99, for_metrics: true },
            "<3>",
            "event=listen-failed for=metrics errno=99",
        ),
        (LogEvent::Full(connection), "<4>", "event=full connection=12"),
        (LogEvent::OutOfFiles, "<3>", "event=out-of-files"),
        (LogEvent::Stopping { connections: 5 }, "<6>", "event=stopping connections=5"),
        (LogEvent::Stopped { unknown_messages: 9 }, "<6>", "event=stopped unknown_messages=9"),
    ] {
        check_line(&note, priority, line);
    }
}

fn check_line(note: &LogEvent, priority: &str, line: &str) {
    for prefix in ["", priority] {
        let (mut journal, reader) = journal(Level::Debug);
        journal.tells_priority = !prefix.is_empty();
        journal.note(NOW, note);
        assert_eq!(read_all(journal, reader), format!("{prefix}{line}\n"), "{note:?}");
    }
}

#[test]
fn a_note_about_a_proxy_says_what_to_set() {
    let connection = ClientId::new(3, 12);
    for (note, priority, line) in [
        (
            LogEvent::UnknownProxy(connection),
            "<4>",
            "event=unknown-proxy connection=12 hint=PLUME_TRUSTED_PROXIES",
        ),
        (LogEvent::SilentProxy(connection), "<4>", "event=silent-proxy connection=12 hint=X-Forwarded-For"),
        (
            LogEvent::ForeignOrigin(connection),
            "<4>",
            "event=foreign-origin connection=12 hint=\"let the proxy pass Host on (nginx: proxy_set_header \
             Host $http_host), or add the site's address to PLUME_ORIGINS\"",
        ),
        (
            LogEvent::UpgradeRemoved(connection),
            "<4>",
            "event=upgrade-removed connection=12 hint=\"let the proxy pass Upgrade on (nginx: \
             proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \
             upgrade)\"",
        ),
        (
            LogEvent::WideTrust { networks: 2 },
            "<4>",
            "event=wide-trust networks=2 hint=PLUME_TRUSTED_PROXIES",
        ),
        (
            LogEvent::OpenMetrics,
            "<4>",
            "event=open-metrics hint=\"PLUME_METRICS is no loopback address: let a firewall pass only what \
             reads the metrics\"",
        ),
    ] {
        check_line(&note, priority, line);
    }
}

#[test]
fn the_level_decides_what_is_told() {
    let (error, warn) = (LogEvent::OutOfFiles, LogEvent::Full(ClientId::new(0, 0)));
    let (info, debug) = (LogEvent::Stopping { connections: 0 }, LogEvent::Accepted(ClientId::new(0, 0)));
    for (level, lines) in [(Level::Error, 1), (Level::Warn, 2), (Level::Info, 3), (Level::Debug, 4)] {
        let (mut journal, reader) = journal(level);
        for note in [error, warn, info, debug] {
            journal.note(NOW, &note);
        }
        assert_eq!(read_all(journal, reader).lines().count(), lines, "{level:?}");
    }
}

#[test]
fn a_flood_becomes_a_few_lines_and_a_count() {
    let (mut journal, reader) = journal(Level::Info);
    let (limited, full) = (LogEvent::MailLimited(ClientId::new(0, 1)), LogEvent::Full(ClientId::new(0, 2)));
    for _ in 0..1_000 {
        journal.note(NOW, &limited);
    }
    journal.note(NOW, &full);
    // Events below the level are not counted either.
    journal.note(NOW, &LogEvent::Accepted(ClientId::new(0, 3)));
    journal.report(NOW.after(LOG_WINDOW.saturating_sub(Duration::from_millis(1))));
    assert_eq!(journal.next_deadline(), Some(NOW.after(LOG_WINDOW)));
    journal.report(NOW.after(LOG_WINDOW));
    assert_eq!(journal.next_deadline(), None);
    for _ in 0..30 {
        journal.note(NOW.after(LOG_WINDOW), &limited);
    }
    journal.note(NOW.after(LOG_WINDOW), &LogEvent::Stopped { unknown_messages: 0 });
    let line = "event=mail-limited connection=1\n";
    let all = line.repeat(20)
        + "event=full connection=2\nevent=suppressed kind=mail-limited count=980\n"
        + &line.repeat(20)
        + "event=suppressed kind=mail-limited count=10\nevent=stopped unknown_messages=0\n";
    assert_eq!(read_all(journal, reader), all);
}

#[test]
fn a_text_cannot_forge_a_line() {
    let long = "ä".repeat(WRITE_BYTES_MAX);
    for (text, line) in [
        ("login code for @Zoë: 7KQ2ZD", "login code for @Zoë: 7KQ2ZD"),
        ("a\nevent=forged", "a?event=forged"),
        ("\u{1b}[2J\r\t\0\u{85}\u{2028}", "?[2J?????"),
        (&long, &long[..TEXT_BYTES_MAX]),
    ] {
        let (mut journal, reader) = journal(Level::Error);
        journal.line(text);
        assert_eq!(read_all(journal, reader), format!("{line}\n"), "{text:?}");
    }
}

#[test]
fn a_full_pipe_drops_lines_and_the_next_one_tells() {
    let (mut journal, mut reader) = journal(Level::Info);
    fill(&mut journal);
    reader.read_exact(&mut [0; 2 * WRITE_BYTES_MAX]).expect("what was written");
    journal.line("after");
    journal.line("and after");
    assert_eq!((journal.lines_dropped, journal.lines_dropped_total()), (0, 3), "the total stays");
    let all = read_all(journal, reader);
    assert!(all.ends_with("x\nevent=dropped lines=3\nafter\nand after\n"), "{all}");
}

#[test]
fn a_full_socket_drops_lines_and_the_next_one_tells() {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let mut journal = Logger::to(ours.into(), Level::Info);
    journal.tells_priority = true;
    fill(&mut journal);
    let mut byte = [0];
    while journal.lines_dropped > 0 {
        theirs.read_exact(&mut byte).expect("what was written");
        journal.line("after");
    }
    let all = read_all(journal, theirs);
    assert!(all.ends_with("<6>after\n") && all.contains("<4>event=dropped lines="), "{all}");
}

#[test]
fn a_torn_line_is_ended_before_the_next() {
    let (mut journal, reader) = journal(Level::Info);
    assert!(journal.write_at_once(b"event=to"), "an empty pipe takes all");
    journal.torn = true;
    journal.lines_dropped = 1;
    journal.line("after");
    assert_eq!(read_all(journal, reader), "event=to\nevent=dropped lines=1\nafter\n");
}

#[test]
fn a_broken_sink_is_no_reason_to_panic() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let (socket, peer) = UnixStream::pair().expect("a pair");
    drop(peer);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let sinks: [(&str, OwnedFd); 3] =
        [("pipe", writer.into()), ("socket", socket.into()), ("device", full.into())];
    for (kind, sink) in sinks {
        let mut journal = Logger::to(sink, Level::Info);
        journal.line("one");
        journal.note(NOW, &LogEvent::OutOfFiles);
        assert_eq!((journal.lines_dropped, journal.lines_dropped_total()), (2, 2), "{kind}");
    }
}

#[test]
fn a_device_is_opened_once_more_and_takes_lines() {
    let null = std::fs::File::options().write(true).open("/dev/null").expect("a device");
    let mut journal = Logger::to(null.into(), Level::Info);
    journal.line("one");
    assert_eq!(journal.lines_dropped, 0);
    let flags = rustix::fs::fcntl_getfl(journal.sink.as_fd()).expect("its flags");
    assert!(flags.contains(OFlags::NONBLOCK), "{flags:?}");
}

#[test]
fn the_journal_is_known_by_the_name_of_its_socket() {
    let path = std::env::temp_dir().join(format!("plume-journal-{}", std::process::id()));
    let listener = UnixListener::bind(&path).expect("a socket");
    let stream = UnixStream::connect(&path).expect("a connection");
    let (pair, _other) = UnixStream::pair().expect("a pair");
    let name = path.to_str().expect("a plain name");
    assert!(peer_is(stream.as_fd(), name) && !peer_is(stream.as_fd(), SYSTEMD_JOURNAL));
    assert!(!peer_is(pair.as_fd(), name) && !peer_is(std::io::stderr().as_fd(), name));
    drop(listener);
    std::fs::remove_file(&path).expect("to tidy up");
}
