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
            self.finish();
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

    /// Reports how many events were suppressed so far: no later line of this process could.
    pub fn finish(&mut self) {
        while let Some(suppressed) = self.floods.pop() {
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

#[expect(clippy::too_many_lines, reason = "a line for each event, and no other code")]
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
        LogEvent::OtherRoom => format!("event={event} hint=\"{OTHER_ROOM_HINT}\""),
        LogEvent::NodeLive { nodes } => format!("event={event} nodes={nodes}"),
        LogEvent::NodeGone(gone) => format!("event={event} node={gone}"),
        LogEvent::OtherSettings(other) => {
            format!("event={event} node={other} hint=\"{OTHER_SETTINGS_HINT}\"")
        }
        LogEvent::DataLost { changes } => format!("event={event} changes={changes}"),
        LogEvent::DataRecovered
        | LogEvent::DataUnfinished
        | LogEvent::NodeApart
        | LogEvent::RunBegan
        | LogEvent::EngineConnected
        | LogEvent::OutOfFiles => format!("event={event}"),
        LogEvent::AcceptFailed { errno } => format!("event={event} errno={errno}"),
        LogEvent::ListenFailed { errno, for_metrics } => {
            let what = if *for_metrics { "metrics" } else { "chat" };
            format!("event={event} for={what} errno={errno}")
        }
        LogEvent::Moved { connections, bytes, ms } => {
            format!("event={event} connections={connections} bytes={bytes} ms={ms}")
        }
        LogEvent::MoveFailed(reason) => format!("event={event} reason={reason}"),
        LogEvent::EngineLost(reason) => format!("event={event} reason={reason}"),
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

/// What the operator can do about [`LogEvent::OtherRoom`].
const OTHER_ROOM_HINT: &str = "nothing more is written to PLUME_DATA; to go on with what it holds, stop all nodes and start this one first";
/// What the operator can do about [`LogEvent::OtherSettings`].
const OTHER_SETTINGS_HINT: &str =
    "nodes with different settings come to different rooms: make them equal, and start the nodes again";
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
mod tests;
