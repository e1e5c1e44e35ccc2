//! When to call accept(2), which has more to say than that nobody waits: a connection may be gone again, or
//! the process out of descriptors.

use crate::base::time::Moment;
use crate::log_event::LogEvent;
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// What is known of the backlog of one listener.
pub(super) struct Acceptor {
    /// Edge-triggered readiness of the listener: set by an event, cleared when accept(2) would block.
    pub(super) is_ready: bool,
    /// After a failed accept(2), no connection is accepted until this time or until a descriptor is freed.
    pub(super) again: Option<Moment>,
}

impl Default for Acceptor {
    fn default() -> Self {
        Self { is_ready: true, again: None }
    }
}

impl Acceptor {
    /// Whether to call accept(2).
    pub(super) const fn can_accept(&self) -> bool {
        self.is_ready && self.again.is_none()
    }

    pub(super) fn tick(&mut self, now: Moment) {
        self.again.take_if(|again| *again <= now);
    }

    /// accept(2) has returned no connection. Returns what the log must know of it.
    pub(super) fn failed(&mut self, now: Moment, error: &io::Error) -> Option<LogEvent> {
        let event = match AcceptError::from(error) {
            AcceptError::NoneWaiting => {
                self.is_ready = false;
                return None;
            }
            AcceptError::OneConnection => return None,
            AcceptError::Shortage => LogEvent::OutOfFiles,
            AcceptError::Other { errno } => LogEvent::AcceptFailed { errno },
        };
        self.again = Some(now.after(SHORTAGE_WAIT));
        Some(event)
    }
}

/// Why accept(2) returned no connection.
#[derive(Debug, PartialEq, Eq)]
enum AcceptError {
    /// The backlog is empty.
    NoneWaiting,
    /// Affects only one connection, which is gone; the next accept may succeed.
    OneConnection,
    /// The process or the system is out of descriptors or memory.
    Shortage,
    /// Any other error, such as a firewall rule that forbids it: retrying at once would fail forever and
    /// spin.
    Other { errno: i32 },
}

impl From<&io::Error> for AcceptError {
    fn from(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN) => Self::NoneWaiting,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Self::Shortage,
            // The peer left before it was accepted, or its network had an error that accept(2) passes on.
            Some(
                Errno::INTR
                | Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::TIMEDOUT
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::OPNOTSUPP
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NONET,
            ) => Self::OneConnection,
            Some(other) => Self::Other { errno: other.raw_os_error() },
            None => Self::Other { errno: 0 },
        }
    }
}

/// Pause in accepting after file descriptors have run out, unless one is freed earlier.
const SHORTAGE_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accept_that_fails_for_good_is_waited_for_and_what_concerns_one_connection_is_not() {
        let rows = [
            (Errno::AGAIN, AcceptError::NoneWaiting),
            (Errno::WOULDBLOCK, AcceptError::NoneWaiting),
            (Errno::INTR, AcceptError::OneConnection),
            (Errno::CONNABORTED, AcceptError::OneConnection),
            (Errno::PROTO, AcceptError::OneConnection),
            (Errno::NETDOWN, AcceptError::OneConnection),
            (Errno::NETUNREACH, AcceptError::OneConnection),
            (Errno::HOSTUNREACH, AcceptError::OneConnection),
            (Errno::MFILE, AcceptError::Shortage),
            (Errno::NFILE, AcceptError::Shortage),
            (Errno::NOBUFS, AcceptError::Shortage),
            (Errno::NOMEM, AcceptError::Shortage),
            (Errno::PERM, AcceptError::Other { errno: 1 }),
            (Errno::INVAL, AcceptError::Other { errno: 22 }),
            (Errno::BADF, AcceptError::Other { errno: 9 }),
            (Errno::NOSYS, AcceptError::Other { errno: 38 }),
        ];
        for (errno, expected) in rows {
            assert_eq!(AcceptError::from(&io::Error::from(errno)), expected, "{errno:?}");
        }
        assert_eq!(AcceptError::from(&io::Error::other("x")), AcceptError::Other { errno: 0 });
    }
}
