//! The logger: one [`LogEvent`] becomes one line on stderr: `event=closed connection=12 reason=lapped`. Owns
//! the sink and the per-kind rate limits; never decides what is an event.
//!
//! Kinds of events that clients can repeat at will are rate limited per minute; suppressed events become one
//! line with their count.
//!
//! The only writer of stderr. It never blocks and never panics: a line is written only if stderr takes it at
//! once. Dropped lines are counted, and the next line that gets through is preceded by their count. If stderr
//! is the systemd journal, each line begins with its priority.

mod floods;

use crate::base::time::Moment;
use crate::log_event::{Level, LogEvent, SystemCalls};
use floods::{Floods, Suppressed};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketAddrUnix, getpeername, send};
use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Writes the log, one line per event.
pub struct Logger {
    sink: Sink,
    /// A write to a socket can be made non-blocking per call.
    is_socket: bool,
    tells_priority: bool,
    level: Level,
    floods: Floods,
    /// Lines dropped since the last one written.
    lines_dropped: u64,
    /// All lines dropped in this run.
    lines_dropped_total: u64,
    /// The last line was written in part: the next one must start on a new line.
    torn: bool,
}

impl Logger {
    /// A logger on stderr for events of `level` or more severe.
    #[must_use]
    pub fn new(level: Level) -> Self {
        Self::open(Sink::Stderr, level)
    }

    /// A logger on `sink`, for tests.
    #[must_use]
    pub fn to(sink: OwnedFd, level: Level) -> Self {
        Self::open(Sink::Other(sink), level)
    }

    fn open(sink: Sink, level: Level) -> Self {
        let kind = fstat(sink.as_fd()).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let is_socket = kind == Ok(FileType::Socket);
        let tells_priority = is_socket && peer_is(sink.as_fd(), SYSTEMD_JOURNAL);
        let sink = match kind {
            Ok(FileType::CharacterDevice | FileType::Fifo) => sink.without_waiting(),
            _ => sink,
        };
        Self {
            sink,
            is_socket,
            tells_priority,
            level,
            floods: Floods::default(),
            lines_dropped: 0,
            lines_dropped_total: 0,
            torn: false,
        }
    }

    /// Logs an event, if its level is enabled and its kind is within its rate limit.
    pub fn note(&mut self, now: Moment, note: &LogEvent) {
        let level = note.level();
        if level > self.level {
            return;
        }
        self.report(now);
        if matches!(note, LogEvent::Stopped { .. }) {
            // No later line could report these counts.
            while let Some(suppressed) = self.floods.pop() {
                self.put_suppressed(suppressed);
            }
        }
        if self.floods.admit(now, note) {
            self.put(level, &text(note));
        }
    }

    /// Reports how many events were suppressed in the windows that have ended.
    pub fn report(&mut self, now: Moment) {
        while let Some(suppressed) = self.floods.pop_ended(now) {
            self.put_suppressed(suppressed);
        }
    }

    /// When [`Self::report`] must be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.floods.next_deadline()
    }

    /// Number of all lines that stderr did not take in this run.
    #[must_use]
    pub const fn lines_dropped_total(&self) -> u64 {
        self.lines_dropped_total
    }

    fn put_suppressed(&mut self, Suppressed { event, level, count }: Suppressed) {
        self.put(level, &format!("event=suppressed kind={event} count={count}"));
    }

    /// Logs `text` at every level.
    pub fn line(&mut self, text: &str) {
        self.put(Level::Info, text);
    }

    fn put(&mut self, level: Level, text: &str) {
        let mut lines = String::new();
        if self.torn {
            lines.push('\n');
        }
        if self.lines_dropped > 0 {
            lines.push_str(self.priority(Level::Warn));
            let _ = writeln!(lines, "event=dropped lines={}", self.lines_dropped);
        }
        lines.push_str(self.priority(level));
        let cut = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        // Control characters in untrusted text could forge lines or control the terminal.
        lines.extend(cut.chars().map(|char| if is_forging(char) { '?' } else { char }));
        lines.push('\n');
        if self.write_at_once(lines.as_bytes()) {
            self.lines_dropped = 0;
            self.torn = false;
        } else {
            self.lines_dropped = self.lines_dropped.saturating_add(1);
            self.lines_dropped_total = self.lines_dropped_total.saturating_add(1);
        }
    }

    /// Writes all of `bytes` if that does not block. Returns whether it did.
    fn write_at_once(&mut self, bytes: &[u8]) -> bool {
        let fd = self.sink.as_fd();
        let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A broken pipe polls as writable too, but with an error flag.
        if poll(&mut polled, Some(&at_once)) != Ok(1) || polled[0].revents() != PollFlags::OUT {
            return false;
        }
        let written = if self.is_socket {
            send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
        } else {
            rustix::io::write(fd, bytes)
        };
        match written {
            Ok(count) if count == bytes.len() => true,
            Ok(count) => {
                self.torn |= count > 0;
                false
            }
            Err(_) => false,
        }
    }

    /// The priority prefix of sd-daemon(3).
    const fn priority(&self, level: Level) -> &'static str {
        match (self.tells_priority, level) {
            (false, _) => "",
            (true, Level::Error) => "<3>",
            (true, Level::Warn) => "<4>",
            (true, Level::Info) => "<6>",
            (true, Level::Debug) => "<7>",
        }
    }
}

enum Sink {
    Stderr,
    Other(OwnedFd),
}

impl Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stderr => rustix::stdio::stderr(),
            Self::Other(fd) => fd.as_fd(),
        }
    }

    /// Reopens the same terminal or pipe with non-blocking writes. Polling is not enough: a terminal that
    /// nobody reads polls as writable while it has room for a single byte, and other processes may write to a
    /// pipe too. The flag cannot be set on stderr itself, because the parent shell shares that file
    /// description. If reopening is not allowed, polling must do.
    fn without_waiting(self) -> Self {
        let path = format!("/proc/self/fd/{}", self.as_fd().as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        open(path, flags, Mode::empty()).map_or(self, Self::Other)
    }
}

fn peer_is(socket: BorrowedFd<'_>, path: &str) -> bool {
    let peer = getpeername(socket).ok().flatten().and_then(|peer| SocketAddrUnix::try_from(peer).ok());
    peer.as_ref().and_then(SocketAddrUnix::path).is_some_and(|peer| peer.to_bytes() == path.as_bytes())
}

/// Whether a character ends a line or controls a terminal.
fn is_forging(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

fn text(note: &LogEvent) -> String {
    let event = note.event();
    match note {
        LogEvent::Accepted(connection)
        | LogEvent::Upgraded(connection)
        | LogEvent::LoggedIn(connection)
        | LogEvent::Resumed(connection)
        | LogEvent::WrongTry(connection)
        | LogEvent::NotAdmitted(connection)
        | LogEvent::WrongToken(connection)
        | LogEvent::WrongBotToken(connection)
        | LogEvent::MailLimited(connection)
        | LogEvent::Full(connection)
        | LogEvent::AddressFull(connection) => format!("event={event} connection={connection}"),
        LogEvent::Answered(connection, status) => {
            format!("event={event} connection={connection} status={status}")
        }
        LogEvent::MailFailed(mail, fault) => format!("event={event} mail={} reason={fault}", mail.0),
        // A guest's end is logged like a member's; only its rate limit is separate.
        LogEvent::Closed(connection, reason) | LogEvent::GuestClosed(connection, reason) => {
            format!("event=closed connection={connection} reason={reason}")
        }
        LogEvent::HttpClosed(connection, reason) => {
            format!("event={event} connection={connection} reason={reason}")
        }
        LogEvent::UnknownProxy(connection) => {
            format!("event={event} connection={connection} hint=PLUME_TRUSTED_PROXIES")
        }
        LogEvent::SilentProxy(connection) => {
            format!("event={event} connection={connection} hint=X-Forwarded-For")
        }
        LogEvent::ForeignOrigin(connection) => {
            format!("event={event} connection={connection} hint=\"{FOREIGN_ORIGIN_HINT}\"")
        }
        LogEvent::UpgradeRemoved(connection) => {
            format!("event={event} connection={connection} hint=\"{UPGRADE_REMOVED_HINT}\"")
        }
        LogEvent::WideTrust { networks } => {
            format!("event={event} networks={networks} hint=PLUME_TRUSTED_PROXIES")
        }
        LogEvent::OpenMetrics => format!("event={event} hint=\"{OPEN_METRICS_HINT}\""),
        LogEvent::DataRead { entries, dropped, cut_bytes } => {
            format!("event={event} entries={entries} dropped={dropped} cut_bytes={cut_bytes}")
        }
        LogEvent::DataFailed { errno } => {
            format!("event={event} errno={errno} reason={} hint=\"{DATA_FAILED_HINT}\"", disk_reason(*errno))
        }
        LogEvent::DataLost { changes } => format!("event={event} changes={changes}"),
        LogEvent::DataRecovered | LogEvent::DataUnfinished | LogEvent::OutOfFiles => format!("event={event}"),
        LogEvent::AcceptFailed { errno } => format!("event={event} errno={errno}"),
        LogEvent::Stopping { connections } => format!("event={event} connections={connections}"),
        LogEvent::SystemCalls(SystemCalls { polls, reads, writes, accepts }) => {
            format!("event={event} polls={polls} reads={reads} writes={writes} accepts={accepts}")
        }
        LogEvent::Stopped { unknown_messages } => {
            format!("event={event} unknown_messages={unknown_messages}")
        }
    }
}

/// What the operator can do about [`LogEvent::ForeignOrigin`].
const FOREIGN_ORIGIN_HINT: &str = "let the proxy pass Host on (nginx: proxy_set_header Host $http_host), or add the site's address to PLUME_ORIGINS";
/// What the operator can do about [`LogEvent::UpgradeRemoved`].
const UPGRADE_REMOVED_HINT: &str = "let the proxy pass Upgrade on (nginx: proxy_http_version 1.1; \
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade)";

/// What the operator can do about [`LogEvent::OpenMetrics`].
const OPEN_METRICS_HINT: &str =
    "PLUME_METRICS is no loopback address: let a firewall pass only what reads the metrics";

/// What the operator can do about [`LogEvent::DataFailed`].
const DATA_FAILED_HINT: &str = "rules are in force, but not saved: make room, or let Plume write to PLUME_DATA; it tries again every minute";

/// A word for why a disk took nothing.
fn disk_reason(errno: i32) -> &'static str {
    match Errno::from_raw_os_error(errno) {
        Errno::NOSPC | Errno::DQUOT => "disk-full",
        Errno::FBIG => "file-limit",
        Errno::ROFS => "read-only",
        Errno::ACCESS | Errno::PERM => "no-permission",
        Errno::NOENT => "folder-gone",
        _ => "io",
    }
}

/// Socket on which the systemd journal receives the stdout and stderr of services.
const SYSTEMD_JOURNAL: &str = "/run/systemd/journal/stdout";

/// `PIPE_BUF` of pipe(7): a pipe that polls as writable takes this much at once, and atomically.
const WRITE_BYTES_MAX: usize = 4_096;
/// Room for a line end, two priorities and `event=dropped lines=` with the largest number.
const BESIDE_TEXT_BYTES_MAX: usize = 64;
/// Room left for the text itself, in bytes.
const TEXT_BYTES_MAX: usize = WRITE_BYTES_MAX - BESIDE_TEXT_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close_reason::CloseReason;
    use crate::ids::{ClientId, MailId};
    use crate::limits::LOG_WINDOW;
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
    fn a_note_is_one_line() {
        let connection = ClientId::new(3, 12);
        for (note, priority, line) in [
            (LogEvent::Accepted(connection), "<7>", "event=accepted connection=12"),
            (LogEvent::Answered(connection, 404), "<7>", "event=answered connection=12 status=404"),
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
            (LogEvent::Full(connection), "<4>", "event=full connection=12"),
            (LogEvent::OutOfFiles, "<3>", "event=out-of-files"),
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
            (LogEvent::DataLost { changes: 3 }, "<3>", "event=data-lost changes=3"),
            (LogEvent::DataUnfinished, "<3>", "event=data-unfinished"),
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
            (
                LogEvent::SilentProxy(connection),
                "<4>",
                "event=silent-proxy connection=12 hint=X-Forwarded-For",
            ),
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
        let (limited, full) =
            (LogEvent::MailLimited(ClientId::new(0, 1)), LogEvent::Full(ClientId::new(0, 2)));
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
}
