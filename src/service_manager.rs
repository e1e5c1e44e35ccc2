//! Reports to the service manager that started Plume (`sd_notify(3)`): ready, status, watchdog, stopping.
//! Owns one datagram socket; without a service manager it does nothing.
//!
//! It never blocks: a datagram that the manager does not take at once is dropped, and the next one repeats
//! what must not be lost. The event loop sends reports as one of its deadlines, so a watchdog that is served
//! proves that the loop turns.

use crate::base::time::Moment;
use crate::limits::{NOTIFY_INTERVAL_MAX, NOTIFY_INTERVAL_MIN, NOTIFY_RETRY, STATUS_WINDOW};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The connection to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct ServiceManager(Option<Reporter>);

#[derive(Debug)]
struct Reporter {
    socket: UnixDatagram,
    manager: SocketAddr,
    interval: Duration,
    due: Moment,
    /// A change of state that the manager has not taken yet.
    unsent: Option<&'static str>,
    /// The total of lines at earlier reports, at most [`STATUS_WINDOW`] ago.
    lines: VecDeque<(Moment, u64)>,
}

impl ServiceManager {
    /// Prepares reports to the socket that `NOTIFY_SOCKET` names: a path, or an abstract name after `@`.
    /// `watchdog` is the time within which the manager expects a report. The first report, which is due at
    /// once, says that the server is ready.
    ///
    /// # Errors
    /// If the name is neither, or the system has no socket.
    pub fn connect(notify_socket: &OsStr, watchdog: Option<Duration>, now: Moment) -> io::Result<Self> {
        let name = notify_socket.as_bytes();
        let manager = match name.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(notify_socket)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // sd_watchdog_enabled(3) recommends half of the time.
        let interval = watchdog.map_or(NOTIFY_INTERVAL_MAX, |within| within / 2);
        Ok(Self(Some(Reporter {
            socket,
            manager,
            interval: interval.clamp(NOTIFY_INTERVAL_MIN, NOTIFY_INTERVAL_MAX),
            due: now,
            unsent: Some(READY),
            lines: VecDeque::new(),
        })))
    }

    /// When [`Self::report`] must be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.0.as_ref().map(|reporter| reporter.due)
    }

    /// Sends a report if one is due. `counts` gives how many people are in the room, and the number of all
    /// its lines so far.
    pub fn report(&mut self, now: Moment, counts: impl FnOnce() -> (usize, u64)) {
        if let Some(reporter) = self.0.as_mut().filter(|reporter| reporter.due <= now) {
            let (people, lines) = counts();
            reporter.report(now, people, lines);
        }
    }

    /// Makes the first report also say that the parcel is taken out of the FD store.
    pub fn took_parcel(&mut self) {
        if let Some(reporter) = &mut self.0 {
            reporter.unsent = Some(READY_AND_TAKEN);
        }
    }

    /// A connection of its own to the manager, which waits if the manager is slow. `None`: there is none.
    ///
    /// # Errors
    /// If the manager is gone, or the system has no socket.
    pub fn connection(&self) -> io::Result<Option<UnixDatagram>> {
        let Some(reporter) = &self.0 else { return Ok(None) };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&reporter.manager)?;
        Ok(Some(socket))
    }

    /// Makes a report due that says that the server is stopping.
    pub fn stopping(&mut self, now: Moment) {
        if let Some(reporter) = &mut self.0 {
            (reporter.unsent, reporter.due) = (Some("STOPPING=1\n"), now);
        }
    }
}

impl Reporter {
    fn report(&mut self, now: Moment, people: usize, lines: u64) {
        let lines_per_minute = self.lines_per_minute(now, lines);
        let people_word = if people == 1 { "person" } else { "people" };
        let lines_word = if lines_per_minute == 1 { "line" } else { "lines" };
        let state = self.unsent.unwrap_or_default();
        let datagram = format!(
            "{state}WATCHDOG=1\nSTATUS={people} {people_word}, {lines_per_minute} {lines_word} a minute"
        );
        let wait = match self.socket.send_to_addr(datagram.as_bytes(), &self.manager) {
            Ok(_) => {
                self.unsent = None;
                self.interval
            }
            Err(_) => self.interval.min(NOTIFY_RETRY),
        };
        self.due = now.after(wait);
    }

    /// Lines within the last minute, or since the start if that is less.
    fn lines_per_minute(&mut self, now: Moment, lines: u64) -> u64 {
        while self.lines.len() > 1 && self.lines.get(1).is_some_and(|(at, _)| now.since(*at) >= STATUS_WINDOW)
        {
            self.lines.pop_front();
        }
        self.lines.push_back((now, lines));
        self.lines.front().map_or(0, |(_, earlier)| lines.saturating_sub(*earlier))
    }
}

const READY: &str = "READY=1\n";
/// The name is that of `handover::PARCEL`.
const READY_AND_TAKEN: &str = "READY=1\nFDSTOREREMOVE=1\nFDNAME=parcel\n";

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(0);

    /// A service manager on an abstract socket that is named for the test, and the reports to it.
    fn connect(name: &str, watchdog: Option<Duration>) -> (UnixDatagram, ServiceManager) {
        let name = format!("plume-test-{name}-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let manager = ServiceManager::connect(OsStr::new(&format!("@{name}")), watchdog, NOW).unwrap();
        (socket, manager)
    }

    fn received(socket: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 512];
        let mut datagrams = Vec::new();
        while let Ok(bytes) = socket.recv(&mut buffer) {
            datagrams.push(String::from_utf8(buffer[..bytes].to_vec()).unwrap());
        }
        datagrams
    }

    #[test]
    fn reports_say_ready_once_then_serve_the_watchdog_and_say_stopping() {
        let (socket, mut manager) = connect("reports", Some(Duration::from_secs(30)));
        assert_eq!(manager.next_deadline(), Some(NOW));
        manager.report(NOW, || (1, 7));
        let later = NOW.after(Duration::from_secs(15));
        assert_eq!(manager.next_deadline(), Some(later));
        manager.report(NOW.after(Duration::from_secs(14)), || panic!("nothing is due"));
        manager.report(later, || (2, 8));
        manager.stopping(later);
        assert_eq!(manager.next_deadline(), Some(later));
        manager.report(later, || (0, 8));
        assert_eq!(
            received(&socket),
            [
                "READY=1\nWATCHDOG=1\nSTATUS=1 person, 0 lines a minute",
                "WATCHDOG=1\nSTATUS=2 people, 1 line a minute",
                "STOPPING=1\nWATCHDOG=1\nSTATUS=0 people, 1 line a minute",
            ]
        );
    }

    #[test]
    fn the_status_counts_the_lines_of_the_last_minute() {
        let (socket, mut manager) = connect("status", Some(Duration::from_secs(20)));
        for n in 0..60 {
            let now = NOW.after(Duration::from_secs(10 * n));
            manager.report(now, || (0, 5 * n));
        }
        let last = received(&socket).pop().unwrap();
        assert!(last.ends_with("STATUS=0 people, 30 lines a minute"), "{last}");
        let held = manager.0.as_ref().map(|reporter| reporter.lines.len());
        assert_eq!(held, Some(7), "those of a minute");
    }

    #[test]
    fn what_a_full_or_missing_manager_does_not_take_is_repeated() {
        let (socket, mut manager) = connect("full", None);
        let fill = UnixDatagram::unbound().unwrap();
        fill.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let filled = (0..100_000).take_while(|_| fill.send_to_addr(b"x", &address).is_ok()).count();
        assert!(filled > 0);
        manager.report(NOW, || (0, 0));
        let again = NOW.after(NOTIFY_RETRY);
        assert_eq!(manager.next_deadline(), Some(again));
        assert_eq!(received(&socket).len(), filled, "only what filled it");
        drop(socket);
        manager.report(again, || (0, 0));
        let again = again.after(NOTIFY_RETRY);
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        manager.report(again, || (0, 0));
        assert_eq!(received(&socket), ["READY=1\nWATCHDOG=1\nSTATUS=0 people, 0 lines a minute"]);
        assert_eq!(manager.next_deadline(), Some(again.after(NOTIFY_INTERVAL_MAX)));
    }

    #[test]
    fn a_parcel_that_was_taken_is_removed_from_the_store_with_the_first_report() {
        let (socket, mut manager) = connect("parcel", None);
        manager.took_parcel();
        manager.report(NOW, || (3, 0));
        manager.report(NOW.after(NOTIFY_INTERVAL_MAX), || (3, 0));
        let status = "WATCHDOG=1\nSTATUS=3 people, 0 lines a minute";
        let first = format!("READY=1\nFDSTOREREMOVE=1\nFDNAME={}\n{status}", crate::handover::PARCEL);
        assert_eq!(received(&socket), [first.as_str(), status]);
        let connection = manager.connection().unwrap().expect("there is a manager");
        connection.send(b"on its own").unwrap();
        assert_eq!(received(&socket), ["on its own"]);
        assert!(ServiceManager::default().connection().unwrap().is_none());
    }

    #[test]
    fn without_a_manager_nothing_is_ever_due() {
        let mut manager = ServiceManager::default();
        manager.stopping(NOW);
        manager.report(NOW, || panic!("nothing is due"));
        assert_eq!(manager.next_deadline(), None);
    }

    #[test]
    fn a_watchdog_in_a_hurry_gets_no_more_than_two_reports_a_second() {
        let (_socket, mut manager) = connect("hurry", Some(Duration::from_micros(1)));
        manager.report(NOW, || (0, 0));
        assert_eq!(manager.next_deadline(), Some(NOW.after(NOTIFY_INTERVAL_MIN)));
    }
}
