//! Numbers of a running server, for monitoring: gauges of a moment, and counters of events. Plain data
//! without names and addresses; decides nothing, and nothing is decided by it.
//!
//! Log events are counted in one place, [`Counters::count`], also those that the log leaves out because of
//! its level or its rate limit.

use crate::base::frost::{Frost, Frozen, Refill, refill};
use crate::close_reason::CloseReason;
use crate::log_event::LogEvent;
use crate::login_email::MAIL_ERROR_KINDS;
use crate::usage::Usage;
use std::time::Duration;

/// Numbers of the server at a moment.
#[derive(Debug)]
pub struct ServerMetrics<'s> {
    /// Users that are present.
    pub users: usize,
    /// Open connections by state: a word for it, and their number.
    pub connections: [(&'static str, usize); 4],
    /// Most connections at once.
    pub connections_max: usize,
    /// Lines of the room in this run.
    pub lines: u64,
    /// Age of the oldest line in the ring; zero while there is none.
    pub ring_oldest: Duration,
    /// Bounded resources.
    pub usage: Vec<Usage>,
    /// Events of this run.
    pub counters: &'s Counters,
}

/// Events of one run, counted.
#[derive(Debug)]
pub struct Counters {
    /// Guests that became members, by what they showed.
    pub entered: Tally,
    /// Wrong login codes, and invalid tokens of sessions and bots.
    pub wrong_tries: u64,
    /// Login emails, by what became of them.
    pub emails: Tally,
    /// Connections that ended, by [`CloseReason`].
    pub closed: Tally,
    /// What was refused, by why.
    pub refused: Tally,
    /// How often input had to wait because its sender was over a rate.
    pub throttled: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            entered: Tally::of([BY_CODE, BY_TOKEN]),
            wrong_tries: 0,
            emails: Tally::of([SENT, LIMITED].into_iter().chain(MAIL_ERROR_KINDS)),
            closed: Tally::of(CloseReason::ALL.map(CloseReason::as_str)),
            refused: Tally::of([FULL, ADDRESS, ORIGIN, DOOR]),
            throttled: 0,
        }
    }
}

refill!(struct Counters { entered, wrong_tries, emails, closed, refused, throttled } then Self::check);

impl Counters {
    /// Counts a log event.
    pub fn count(&mut self, event: &LogEvent) {
        match event {
            LogEvent::LoggedIn(_) => self.entered.add(BY_CODE),
            LogEvent::Resumed(_) => self.entered.add(BY_TOKEN),
            LogEvent::WrongTry(_) | LogEvent::WrongToken(_) | LogEvent::WrongBotToken(_) => {
                self.wrong_tries += 1;
            }
            LogEvent::NotAdmitted(_) => self.refused.add(DOOR),
            LogEvent::AddressFull(_) => self.refused.add(ADDRESS),
            LogEvent::ForeignOrigin(_) => self.refused.add(ORIGIN),
            LogEvent::MailLimited(_) => self.emails.add(LIMITED),
            LogEvent::MailFailed(_, error) => self.emails.add(error.kind()),
            LogEvent::Closed(_, reason)
            | LogEvent::GuestClosed(_, reason)
            | LogEvent::HttpClosed(_, reason) => self.closed.add(reason.as_str()),
            // The beginning of being full; each refusal is counted by itself.
            LogEvent::Full(_)
            // What these say is in the gauges of connections, or occurs once in a run.
            | LogEvent::Accepted(_)
            | LogEvent::Answered(..)
            | LogEvent::Upgraded(_)
            | LogEvent::UnknownProxy(_)
            | LogEvent::SilentProxy(_)
            | LogEvent::UpgradeRemoved(_)
            | LogEvent::NodeLive { .. }
            | LogEvent::NodeApart
            | LogEvent::OtherRoom
            | LogEvent::NodeGone(_)
            | LogEvent::OtherSettings(_)
            | LogEvent::RunBegan
            | LogEvent::Stopping { .. }
            | LogEvent::Stopped { .. }
            // Events of the shell.
            | LogEvent::WideTrust { .. }
            | LogEvent::OpenMetrics
            | LogEvent::Moved { .. }
            | LogEvent::MoveFailed(_)
            | LogEvent::EngineConnected
            | LogEvent::EngineLost(_)
            | LogEvent::ListenFailed { .. }
            | LogEvent::DataRead { .. }
            | LogEvent::DataFailed { .. }
            | LogEvent::DataRecovered
            | LogEvent::DataLost { .. }
            | LogEvent::DataUnfinished
            | LogEvent::OutOfFiles
            | LogEvent::AcceptFailed { .. }
            | LogEvent::SystemCalls(_) => {}
        }
    }

    /// `None`: no run comes so far.
    fn check(&mut self) -> Option<()> {
        let tallies = [&self.entered, &self.emails, &self.closed, &self.refused];
        let counts = tallies.into_iter().flat_map(|tally| tally.counts().map(|(_, count)| count));
        let most = counts.chain([self.wrong_tries, self.throttled]).max();
        most.is_none_or(|most| most < u64::MAX / 2).then_some(())
    }

    /// Counts a connection that was refused because the server is full. Only the first has a log event.
    pub fn count_full(&mut self) {
        self.refused.add(FULL);
    }

    /// Counts a login email that was sent.
    pub fn count_sent(&mut self) {
        self.emails.add(SENT);
    }
}

/// Counters that differ in one word.
#[derive(Debug)]
pub struct Tally(Vec<(&'static str, u64)>);

impl Tally {
    /// A counter at zero for each of these words: a counter that appears with its first event has no rise.
    fn of(words: impl IntoIterator<Item = &'static str>) -> Self {
        Self(words.into_iter().map(|word| (word, 0)).collect())
    }

    fn add(&mut self, word: &'static str) {
        match self.0.iter_mut().find(|(own, _)| *own == word) {
            Some((_, count)) => *count += 1,
            None => self.0.push((word, 1)),
        }
    }

    /// Each word with its count, in a fixed order.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().copied()
    }
}

/// Words that this version does not count are dropped.
impl Refill for Tally {
    fn freeze_state(&self, to: &mut Vec<u8>) {
        let counts: Vec<(Box<str>, u64)> = self.0.iter().map(|&(word, count)| (word.into(), count)).collect();
        counts.freeze(to);
    }

    fn refill(&mut self, from: &mut Frozen<'_>) -> Option<()> {
        for (word, count) in Vec::<(Box<str>, u64)>::thaw(from)? {
            if let Some((_, own)) = self.0.iter_mut().find(|(own, _)| **own == *word) {
                *own = count;
            }
        }
        Some(())
    }
}

const BY_CODE: &str = "code";
const BY_TOKEN: &str = "token";
const SENT: &str = "sent";
/// No email was sent, because of a budget or because one was sent lately.
const LIMITED: &str = "limited";
const FULL: &str = "full";
const ADDRESS: &str = "address";
const ORIGIN: &str = "origin";
/// The email address is not admitted.
const DOOR: &str = "door";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::frost::frozen;
    use crate::ids::{ClientId, MailId};
    use crate::login_email::MailError;

    /// Every counter, as one text for each that is not zero.
    fn counted(counters: &Counters) -> Vec<String> {
        let families = [
            ("entered", &counters.entered),
            ("emails", &counters.emails),
            ("closed", &counters.closed),
            ("refused", &counters.refused),
        ];
        let labelled = families.iter().flat_map(|(family, tally)| {
            tally.counts().map(move |(word, count)| (format!("{family} {word}"), count))
        });
        let plain = [("wrong tries", counters.wrong_tries), ("throttled", counters.throttled)];
        let plain = plain.into_iter().map(|(name, count)| (name.to_owned(), count));
        labelled.chain(plain).filter(|(_, count)| *count > 0).map(|(name, n)| format!("{name} {n}")).collect()
    }

    #[test]
    fn each_event_counts_one_in_its_place() {
        let id = ClientId::new(0, 0);
        let rows: [(LogEvent, &[&str]); 14] = [
            (LogEvent::LoggedIn(id), &["entered code 1"]),
            (LogEvent::Resumed(id), &["entered token 1"]),
            (LogEvent::WrongTry(id), &["wrong tries 1"]),
            (LogEvent::WrongToken(id), &["wrong tries 1"]),
            (LogEvent::NotAdmitted(id), &["refused door 1"]),
            (LogEvent::AddressFull(id), &["refused address 1"]),
            (LogEvent::ForeignOrigin(id), &["refused origin 1"]),
            (LogEvent::MailLimited(id), &["emails limited 1"]),
            (LogEvent::MailFailed(MailId(1), MailError::Refused(550)), &["emails refused 1"]),
            (LogEvent::MailFailed(MailId(1), MailError::Late), &["emails late 1"]),
            (LogEvent::Closed(id, CloseReason::Lapped), &["closed lapped 1"]),
            (LogEvent::GuestClosed(id, CloseReason::PeerGone), &["closed peer-gone 1"]),
            (LogEvent::HttpClosed(id, CloseReason::HttpDone), &["closed http-done 1"]),
            (LogEvent::Full(id), &[]),
        ];
        for (event, expected) in rows {
            let mut counters = Counters::default();
            counters.count(&event);
            assert_eq!(counted(&counters), expected, "{event:?}");
        }
    }

    #[test]
    fn every_counter_is_there_from_the_start() {
        let counters = Counters::default();
        let words = |tally: &Tally| tally.counts().map(|(word, _)| word).collect::<Vec<_>>();
        assert_eq!(words(&counters.refused), ["full", "address", "origin", "door"]);
        assert_eq!(words(&counters.entered), ["code", "token"]);
        // An arm for each reason, and one for each error, in the functions that give their words.
        let arms = |source: &str, name: &str| {
            let function = source.split_once(name).expect("the function is there").1;
            function.split("\n    }\n").next().expect("it ends").matches("=> \"").count()
        };
        let reasons = arms(include_str!("close_reason.rs"), "fn as_str(");
        assert_eq!(words(&counters.closed).len(), reasons);
        let errors = arms(include_str!("login_email.rs"), "fn kind(");
        assert_eq!(words(&counters.emails).len(), 2 + errors);
        for error in [MailError::Refused(1), MailError::Late, MailError::BadAddress, MailError::NoHost] {
            assert!(words(&counters.emails).contains(&error.kind()), "{error}");
        }
    }

    #[test]
    fn a_successor_goes_on_counting() {
        let mut counters = Counters::default();
        counters.count(&LogEvent::LoggedIn(ClientId::new(0, 0)));
        counters.refused.add("a reason of another version");
        (counters.wrong_tries, counters.throttled) = (4, 5);
        let mut after = Counters::default();
        assert_eq!(after.refill(&mut Frozen::new(&frozen(&counters))), Some(()));
        after.count(&LogEvent::LoggedIn(ClientId::new(0, 1)));
        assert_eq!(counted(&after), ["entered code 2", "wrong tries 4", "throttled 5"]);
    }

    #[test]
    fn a_word_that_is_not_expected_is_counted_too() {
        let mut tally = Tally::of(["a"]);
        tally.add("b");
        tally.add("b");
        assert_eq!(tally.counts().collect::<Vec<_>>(), [("a", 0), ("b", 2)]);
    }
}
