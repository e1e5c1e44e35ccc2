//! Rate limits of log events, per kind. Owns counters and windows; never writes a line.
//!
//! The window of a kind begins with its first event and lasts [`LOG_WINDOW`]. The first few events within it
//! are logged; the rest are counted, and the count is due when the window ends.

use crate::base::time::Moment;
use crate::limits::LOG_WINDOW;
use crate::log_event::{Level, LogEvent};

/// At most one window per kind of event, so a linear scan is cheap.
#[derive(Debug, Default)]
pub(super) struct Floods {
    windows: Vec<Window>,
}

#[derive(Debug)]
struct Window {
    /// The kind's name in the log.
    event: &'static str,
    level: Level,
    ends: Moment,
    logged: u32,
    left_out: u64,
}

/// The count of events of one kind that were not logged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    pub(super) event: &'static str,
    pub(super) level: Level,
    pub(super) count: u64,
}

impl Floods {
    /// Returns whether this event may be logged, and counts it otherwise. Call [`Self::pop_ended`] until
    /// `None` first.
    pub(super) fn admit(&mut self, now: Moment, note: &LogEvent) -> bool {
        let Some(lines_max) = note.lines_max() else { return true };
        let event = note.event();
        let Some(window) = self.windows.iter_mut().find(|window| window.event == event) else {
            let ends = now.after(LOG_WINDOW);
            self.windows.push(Window { event, level: note.level(), ends, logged: 1, left_out: 0 });
            return true;
        };
        if window.logged < lines_max {
            window.logged += 1;
            return true;
        }
        window.left_out = window.left_out.saturating_add(1);
        false
    }

    /// Removes expired windows; returns the next one with suppressed events.
    pub(super) fn pop_ended(&mut self, now: Moment) -> Option<Suppressed> {
        self.windows.retain(|window| window.ends > now || window.left_out > 0);
        let at = self.windows.iter().position(|window| window.ends <= now)?;
        Some(self.windows.remove(at).into())
    }

    /// Removes all windows, expired or not; returns the next one with suppressed events.
    pub(super) fn pop(&mut self) -> Option<Suppressed> {
        self.windows.retain(|window| window.left_out > 0);
        (!self.windows.is_empty()).then(|| self.windows.remove(0).into())
    }

    /// When the first window with suppressed events ends.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.windows.iter().filter(|window| window.left_out > 0).map(|window| window.ends).min()
    }
}

impl From<Window> for Suppressed {
    fn from(Window { event, level, left_out, .. }: Window) -> Self {
        Self { event, level, count: left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close_reason::CloseReason;
    use crate::ids::ClientId;
    use crate::ids::MailId;
    use crate::limits::{LOG_MEMBER_LINES_MAX, LOG_REMINDER_LINES_MAX, LOG_STRANGER_LINES_MAX};
    use crate::login_email::MailError;

    #[test]
    fn what_anybody_can_cause_at_will_is_limited_and_what_members_do_hardly() {
        let id = ClientId::new(0, 0);
        let closed = CloseReason::Silent;
        let rows = [
            (LogEvent::WrongTry(id), Some(LOG_STRANGER_LINES_MAX)),
            (LogEvent::NotAdmitted(id), Some(LOG_STRANGER_LINES_MAX)),
            (LogEvent::MailLimited(id), Some(LOG_STRANGER_LINES_MAX)),
            (LogEvent::MailFailed(MailId(0), MailError::Late), Some(LOG_STRANGER_LINES_MAX)),
            (LogEvent::GuestClosed(id, closed), Some(LOG_STRANGER_LINES_MAX)),
            (LogEvent::Full(id), Some(LOG_STRANGER_LINES_MAX)),
            (LogEvent::AddressFull(id), Some(LOG_STRANGER_LINES_MAX)),
            (LogEvent::OutOfFiles, Some(LOG_STRANGER_LINES_MAX)),
            (LogEvent::UnknownProxy(id), Some(LOG_REMINDER_LINES_MAX)),
            (LogEvent::SilentProxy(id), Some(LOG_REMINDER_LINES_MAX)),
            (LogEvent::ForeignOrigin(id), Some(LOG_REMINDER_LINES_MAX)),
            (LogEvent::UpgradeRemoved(id), Some(LOG_REMINDER_LINES_MAX)),
            (LogEvent::AcceptFailed { errno: 1 }, Some(LOG_REMINDER_LINES_MAX)),
            (LogEvent::LoggedIn(id), Some(LOG_MEMBER_LINES_MAX)),
            (LogEvent::Resumed(id), Some(LOG_MEMBER_LINES_MAX)),
            (LogEvent::Closed(id, closed), Some(LOG_MEMBER_LINES_MAX)),
            (LogEvent::HttpClosed(id, closed), None),
        ];
        let mut floods = Floods::default();
        let now = Moment::from_ms(7);
        for (note, most) in rows {
            let admitted = (0..2_000).filter(|_| floods.admit(now, &note)).count();
            assert_eq!(admitted, most.map_or(2_000, |most| most as usize), "{note:?}");
        }
        let over = now.after(LOG_WINDOW);
        let mut suppressed = std::iter::from_fn(|| floods.pop_ended(over));
        let expected = Suppressed { event: "wrong-try", level: Level::Warn, count: 1_980 };
        assert_eq!(suppressed.next(), Some(expected), "each with its own number");
        assert_eq!(suppressed.count(), rows.len() - 2);
        assert!(floods.windows.is_empty());
    }

    #[test]
    fn a_window_that_left_nothing_out_ends_without_a_word() {
        let mut floods = Floods::default();
        let now = Moment::from_ms(0);
        assert!(floods.admit(now, &LogEvent::OutOfFiles));
        assert_eq!((floods.next_deadline(), floods.pop_ended(now.after(LOG_WINDOW))), (None, None));
        assert!(floods.windows.is_empty());
        assert_eq!(floods.pop(), None);
    }
}
