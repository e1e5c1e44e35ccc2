//! The server's numbers for monitoring: what it keeps at a moment, and what has happened in this run.

use super::client::State;
use super::{Output, Server};
use crate::base::time::Now;
use crate::limits::{
    ADDRESSES_MAX, FOLLOWERS_MAX, LINE_FRAME_BYTES_MAX, PRIVATE_UNSENT_BYTES_MAX, READ_SHARE_BYTES,
    REFUSALS_MAX, UNFINISHED_BYTES_MAX,
};
use crate::log_event::LogEvent;
use crate::message;
use crate::metrics::ServerMetrics;
use crate::usage::Usage;
use crate::websocket::text_of;
use std::time::Duration;

/// All clients, counted in one pass: with many of them, that takes longer than everything else here.
#[derive(Debug, Default)]
struct Census {
    http: usize,
    guests: usize,
    members: usize,
    closing: usize,
    /// Most bytes of input that one keeps.
    kept_bytes: usize,
    /// Most bytes that are held for one alone.
    held_bytes: usize,
}

impl Server {
    /// Users that are present.
    #[must_use]
    pub fn people(&self) -> usize {
        self.room.presence.count()
    }

    /// Lines of the room in this run, including who entered and left.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.room.log.newest_id()
    }

    /// Counts an event, and has it logged.
    pub(super) fn note(&mut self, note: LogEvent) {
        self.counters.count(&note);
        self.outputs.push_back(Output::LogEvent(note));
    }

    /// Numbers of this moment and counters of this run. Looks at each client once.
    #[must_use]
    pub fn metrics(&self, now: Now) -> ServerMetrics<'_> {
        let census = self.census();
        let Census { http, guests, members, closing, .. } = census;
        ServerMetrics {
            users: self.people(),
            connections: [("http", http), ("guest", guests), ("member", members), ("closing", closing)],
            connections_max: self.settings.connections_max,
            lines: self.lines(),
            ring_oldest: self.age_of_oldest_line(now),
            usage: self.usage_of(&census),
            counters: &self.counters,
        }
    }

    /// By the wall clock, as lines have no other time; zero while the ring is empty, or after a clock that
    /// was ahead has been set back.
    fn age_of_oldest_line(&self, now: Now) -> Duration {
        let log = &self.room.log;
        let oldest = log.oldest();
        let next = log.after(log.id_at(oldest)).unwrap_or(oldest);
        let frame = log.slices(oldest, next, LINE_FRAME_BYTES_MAX).concat();
        let said = message::parse_line(text_of(&frame)).map_or(now.wall_ms, |line| line.time);
        Duration::from_millis(now.wall_ms.saturating_sub(said))
    }

    fn census(&self) -> Census {
        let mut census = Census::default();
        for client in self.clients.iter() {
            match client.state {
                State::Http(_) | State::Streaming(_) => census.http += 1,
                State::Guest(_) => census.guests += 1,
                State::Member(_) => census.members += 1,
                State::Closing(_) => census.closing += 1,
            }
            census.kept_bytes = census.kept_bytes.max(client.connection.kept_bytes());
            census.held_bytes = census.held_bytes.max(client.connection.outbox.held_bytes());
        }
        census
    }

    /// Everything that grows with what peers do, beside its limit; of what each connection has, the most that
    /// one has. All of it is zero once nobody is connected and everything that is kept for a while has
    /// expired, except for the rules that moderators have set.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        self.usage_of(&self.census())
    }

    fn usage_of(&self, census: &Census) -> Vec<Usage> {
        let connections_max = self.settings.connections_max;
        let mut counts = vec![
            Usage::new("connections", self.clients.admitted(), connections_max),
            Usage::new("refused connections", self.clients.refused(), REFUSALS_MAX),
            Usage::new("members", census.members, connections_max),
            Usage::new("places in the round", self.room.readers.ids().len(), connections_max),
            Usage::new("streams that follow the room", self.followers.len(), FOLLOWERS_MAX),
            Usage::new("client addresses", self.addresses.len(), ADDRESSES_MAX),
            Usage::new("bytes of unfinished messages", self.clients.unfinished_bytes(), UNFINISHED_BYTES_MAX),
            Usage::new("bytes of one connection that wait to be used", census.kept_bytes, READ_SHARE_BYTES),
            // What was not fetched yet, and then the longest answer (the built-in page has no longer ones),
            // or a line, or the rest of one.
            Usage::new(
                "bytes held for one connection alone",
                census.held_bytes,
                PRIVATE_UNSENT_BYTES_MAX + 2 * LINE_FRAME_BYTES_MAX,
            ),
            // They are gone within the grace; the budget for email, where email is really sent, bounds how
            // many come.
            Usage::new("people in the room", self.room.presence.count(), usize::MAX),
        ];
        counts.extend(self.users.usage());
        counts.extend(self.usage_of_nodes());
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Moment;
    use crate::http::assets::Assets;
    use crate::http::site::Site;
    use crate::limits::BACKLOG_BYTES_MIN;
    use crate::server::tests::House;
    use crate::settings::Settings;

    fn at(seconds: u64) -> Now {
        let ms = seconds * 1_000;
        Now { moment: Moment::from_ms(ms), wall_ms: 1_700_000_000_000 + ms }
    }

    #[test]
    fn the_oldest_line_ages_and_gives_way_to_a_younger_one() {
        let settings = Settings { backlog_bytes: BACKLOG_BYTES_MIN, ..Settings::default() };
        let mut server = Server::new(settings, Site::new(Assets::built_in("x"), Vec::new()), [0; 32]);
        assert_eq!(server.metrics(at(100)).ring_oldest, Duration::ZERO, "there is none");
        server.post_event(at(100), "ada", "entered chat", "enter");
        server.post_event(at(130), "bob", "entered chat", "enter");
        assert_eq!(server.metrics(at(160)).ring_oldest, Duration::from_mins(1));
        assert_eq!(server.metrics(at(90)).ring_oldest, Duration::ZERO, "the clock was set back");
        assert_eq!(server.metrics(at(160)).lines, 2);
        let longest = "x".repeat(60_000);
        for _ in 0..=BACKLOG_BYTES_MIN / longest.len() {
            server.post_event(at(170), "ada", &longest, "enter");
        }
        assert_eq!(server.metrics(at(180)).ring_oldest, Duration::from_secs(10));
    }

    #[test]
    fn connections_have_states_and_each_one_refused_for_want_of_room_counts() {
        let mut house = House::new(2, 90);
        house.upgrade("203.0.113.1", None);
        for _ in 1..40 {
            house.connect("203.0.113.1");
        }
        let metrics = house.server.metrics(house.now);
        assert_eq!(metrics.connections, [("http", 1), ("guest", 1), ("member", 0), ("closing", 4)]);
        assert_eq!(metrics.connections_max, 2);
        let full = metrics.counters.refused.counts().find(|(why, _)| *why == "full");
        assert_eq!(full, Some(("full", 38)), "also those that get no answer");
    }
}
