//! Reports of members to the moderators. The newest are kept for moderators who are absent; each mailbox may
//! make few.

use crate::base::frost::{frost, refill};
use crate::base::sliding_window::SlidingWindows;
use crate::base::time::Moment;
use crate::limits::{
    NAME_BYTES_MAX, REPORT_BYTES_MAX, REPORTERS_MAX, REPORTS_MAX, REPORTS_PER_PERSON, REPORTS_WINDOW,
};
use crate::usage::Usage;
use crate::users::changes::Changes;
use crate::users::email::{EmailKey, Typed};
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
    next: u64,
    changes: Changes<u64>,
}

#[derive(Debug)]
pub(crate) struct Report {
    /// Rises by one from report to report.
    pub(crate) number: u64,
    pub(crate) at: Moment,
    /// How long before `at` it was made: it may be older than the clock.
    pub(crate) age: Duration,
    pub(crate) reporter: EmailKey,
    /// The name of the reporter.
    pub(crate) by: Rc<str>,
    /// Who or what is reported, and why.
    pub(crate) text: Rc<str>,
    /// The same without words of a line: what may be written down.
    pub(crate) without_line: Rc<str>,
}

/// What is reported, and why.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    /// With the beginning of the line that is reported, if it is one.
    pub(crate) text: Rc<str>,
    /// Without it.
    pub(crate) without_line: Rc<str>,
}

impl Report {
    /// How long ago it was made.
    pub(crate) fn age(&self, now: Moment) -> Duration {
        now.since(self.at).saturating_add(self.age)
    }
}

frost!(struct Report { number, at, age, reporter, by, text, without_line });
refill!(struct Reports { kept, lately, next } but { changes } then Self::trim);

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
        let lately = SlidingWindows::new(REPORTS_WINDOW, REPORTERS_MAX);
        Self { kept: VecDeque::new(), lately, next: 0, changes: Changes::default() }
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
        what: Reported,
    ) -> Result<Received, TooManyReports> {
        let Reported { text, without_line } = what;
        let is_same = |report: &Report| {
            report.age(now) < REPORTS_WINDOW && report.reporter == reporter && report.text == text
        };
        if self.kept.iter().any(is_same) {
            return Ok(Received::Again);
        }
        let wait = self.lately.wait(now, &reporter, REPORTS_PER_PERSON);
        if !wait.is_zero() {
            return Err(TooManyReports(wait));
        }
        self.lately.add(now, &reporter, REPORTS_PER_PERSON);
        let number = self.next;
        self.push(Report { number, at: now, age: Duration::ZERO, reporter, by, text, without_line });
        Ok(Received::New)
    }

    /// Keeps a report behind all that are older, such as one that has outlived its process.
    pub(crate) fn push(&mut self, report: Report) {
        if self.kept.len() >= REPORTS_MAX
            && let Some(oldest) = self.kept.pop_front()
        {
            self.changes.note(|| oldest.number);
        }
        let number = report.number;
        self.next = self.next.max(number.saturating_add(1));
        self.kept.push_back(report);
        self.changes.note(|| number);
    }

    /// From now on, notes what changes.
    pub(crate) fn begin_changes(&mut self) {
        self.changes.begin();
    }

    pub(crate) fn take_changes(&mut self) -> Vec<u64> {
        self.changes.take()
    }

    pub(crate) fn note_all(&mut self) {
        for report in &self.kept {
            self.changes.note(|| report.number);
        }
    }

    /// The report of this number, if it is kept.
    pub(crate) fn get(&self, number: u64) -> Option<&Report> {
        self.kept.iter().find(|report| report.number == number)
    }

    /// An address was typed: where it stands as a hash, it stands from now on.
    pub(crate) fn learn(&mut self, typed: &Typed) {
        self.kept.iter_mut().for_each(|report| report.reporter.learn(typed));
        self.lately.rename(&typed.hashed_mailbox(), &typed.mailbox);
    }

    /// The reports that are kept, the oldest first.
    pub(crate) fn kept(&self) -> impl ExactSizeIterator<Item = &Report> {
        self.kept.iter()
    }

    /// Drops what is beyond the limits of this version.
    #[expect(clippy::unnecessary_wraps, reason = "what `refill!` calls may refuse a state")]
    fn trim(&mut self) -> Option<()> {
        let is_short = |text: &str| text.len() <= REPORT_BYTES_MAX;
        self.kept.retain(|report| {
            report.by.len() <= NAME_BYTES_MAX && is_short(&report.text) && is_short(&report.without_line)
        });
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
        let what = Reported { text: text.into(), without_line: text.into() };
        reports.add(Moment::from_ms(ms), reporter, "Bob".into(), what)
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
