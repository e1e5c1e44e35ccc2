//! Reports of members to the moderators. The newest are kept for moderators who are absent; each mailbox may
//! make few.

use crate::base::frost::{frost, refill};
use crate::base::sliding_window::SlidingWindows;
use crate::base::time::Moment;
use crate::limits::{
    NAME_BYTES_MAX, REPORT_BYTES_MAX, REPORTERS_MAX, REPORTS_MAX, REPORTS_PER_PERSON, REPORTS_WINDOW,
};
use crate::usage::Usage;
use crate::users::email::EmailKey;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// All reports that are kept.
#[derive(Debug)]
pub(crate) struct Reports {
    /// The oldest first.
    kept: VecDeque<Report>,
    /// How many each mailbox made lately.
    lately: SlidingWindows<EmailKey>,
}

/// A report.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) at: Moment,
    reporter: EmailKey,
    /// The name of the reporter.
    pub(crate) by: Rc<str>,
    /// Who or what is reported, and why.
    pub(crate) text: Rc<str>,
}

frost!(struct Report { at, reporter, by, text });
refill!(struct Reports { kept, lately } then Self::trim);

/// What becomes of a report that is accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    New,
    /// The same was reported by the same mailbox lately: it may have been sent again.
    Again,
}

/// The mailbox has reported too often; how long to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyReports(pub(crate) Duration);

impl Default for Reports {
    fn default() -> Self {
        Self { kept: VecDeque::new(), lately: SlidingWindows::new(REPORTS_WINDOW, REPORTERS_MAX) }
    }
}

impl Reports {
    /// Keeps a report. The oldest makes room: no command removes one, so a full table that refused them would
    /// be the end of all reports.
    ///
    /// # Errors
    /// If the mailbox has reported too often.
    pub(crate) fn add(
        &mut self,
        now: Moment,
        reporter: EmailKey,
        by: Rc<str>,
        text: Rc<str>,
    ) -> Result<Received, TooManyReports> {
        let is_same = |report: &Report| {
            now.since(report.at) < REPORTS_WINDOW && report.reporter == reporter && report.text == text
        };
        if self.kept.iter().any(is_same) {
            return Ok(Received::Again);
        }
        let wait = self.lately.wait(now, &reporter, REPORTS_PER_PERSON);
        if !wait.is_zero() {
            return Err(TooManyReports(wait));
        }
        self.lately.add(now, &reporter, REPORTS_PER_PERSON);
        if self.kept.len() >= REPORTS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Report { at: now, reporter, by, text });
        Ok(Received::New)
    }

    /// The reports that are kept, the oldest first.
    pub(crate) fn kept(&self) -> impl ExactSizeIterator<Item = &Report> {
        self.kept.iter()
    }

    /// Drops what is beyond the limits of this version.
    #[expect(clippy::unnecessary_wraps, reason = "what `refill!` calls may refuse a state")]
    fn trim(&mut self) -> Option<()> {
        self.kept.retain(|report| report.by.len() <= NAME_BYTES_MAX && report.text.len() <= REPORT_BYTES_MAX);
        while self.kept.len() > REPORTS_MAX {
            self.kept.pop_front();
        }
        Some(())
    }

    /// Forgets who has not reported lately.
    pub(crate) fn forget_expired(&mut self, now: Moment) {
        self.lately.forget_expired(now);
    }

    /// When the next of them is forgotten.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.lately.next_deadline()
    }

    /// What is kept, beside its limit.
    pub(crate) fn usage(&self) -> [Usage; 2] {
        [
            Usage::new("reports", self.kept.len(), REPORTS_MAX),
            Usage::new("people who reported lately", self.lately.len(), REPORTERS_MAX),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::email::Email;

    fn report(reports: &mut Reports, ms: u64, email: &str, text: &str) -> Result<Received, TooManyReports> {
        let reporter = Email::parse(email).unwrap().mailbox();
        reports.add(Moment::from_ms(ms), reporter, "Bob".into(), text.into())
    }

    #[test]
    fn a_mailbox_makes_three_reports_in_ten_minutes() {
        let mut reports = Reports::default();
        let (bob, tag, eve) = ("bob@example.org", "bob+x@example.org", "eve@example.org");
        assert_eq!(report(&mut reports, 0, bob, "one"), Ok(Received::New));
        assert_eq!(report(&mut reports, 1, tag, "two"), Ok(Received::New));
        assert_eq!(report(&mut reports, 2, bob, "one"), Ok(Received::Again));
        assert_eq!(report(&mut reports, 2, bob, "three"), Ok(Received::New));
        let wait = TooManyReports(REPORTS_WINDOW.saturating_sub(Duration::from_millis(3)));
        assert_eq!(report(&mut reports, 3, tag, "four"), Err(wait));
        assert_eq!(report(&mut reports, 3, bob, "three"), Ok(Received::Again));
        assert_eq!(report(&mut reports, 3, eve, "one"), Ok(Received::New));
        let later = u64::try_from(REPORTS_WINDOW.as_millis()).unwrap();
        assert_eq!(report(&mut reports, later, bob, "one"), Ok(Received::New), "it is another time");
        reports.forget_expired(Moment::from_ms(3 * later));
        assert_eq!((reports.lately.len(), reports.next_deadline(), reports.kept.len()), (0, None, 5));
    }

    #[test]
    fn the_newest_reports_are_kept() {
        let mut reports = Reports::default();
        for n in 0..REPORTS_MAX + 7 {
            let text = n.to_string();
            assert_eq!(report(&mut reports, 0, &format!("p{n}@example.org"), &text), Ok(Received::New));
        }
        let kept: Vec<&str> = reports.kept().map(|report| &*report.text).collect();
        assert_eq!((kept.len(), kept[0], kept[REPORTS_MAX - 1]), (REPORTS_MAX, "7", "106"));
        assert_eq!(reports.usage().map(|usage| usage.now), [100, 107]);
    }
}
