//! The text format of Prometheus, version 0.0.4: each family of metrics with its help, its type and its
//! samples. Pure functions of what was counted.
//!
//! All names and labels are Plume's own words without quotes, backslashes and line ends, so nothing needs to
//! be escaped; a test reads the text strictly.

use crate::base::histogram::Histogram;
use crate::log_event::SystemCalls;
use crate::metrics::{Counters, ServerMetrics, Tally};
use std::fmt::{Display, Write as _};

/// Numbers of the event loop and the logger.
pub(in crate::event_loop) struct ShellMetrics {
    /// Start of the process, in milliseconds since 1970 UTC.
    pub(in crate::event_loop) start_ms: u64,
    pub(in crate::event_loop) calls: SystemCalls,
    /// Bytes that clients' sockets took.
    pub(in crate::event_loop) written_bytes: u64,
    pub(in crate::event_loop) log_lines_dropped: u64,
    /// The move that brought the server into this process: its duration in milliseconds, and the connections
    /// that it kept.
    pub(in crate::event_loop) moved: (u64, usize),
}

/// Writes all metrics as text.
pub(super) fn encode(server: &ServerMetrics<'_>, shell: &ShellMetrics, turns: &Histogram) -> String {
    let mut text = Exposition(String::with_capacity(TEXT_BYTES));
    text.family("build_info", Kind::Gauge, "Always 1; the version of Plume is the label.");
    text.labelled("build_info", "version", env!("CARGO_PKG_VERSION"), &1);
    let start = seconds(shell.start_ms / 1_000, u32::try_from(shell.start_ms % 1_000).unwrap_or(0));
    text.gauge("start_time_seconds", "When the process started, in Unix time.", &start);
    add_room(&mut text, server);
    add_events(&mut text, server.counters);
    add_tables(&mut text, server);
    add_loop(&mut text, shell, turns);
    text.0
}

fn add_room(text: &mut Exposition, server: &ServerMetrics<'_>) {
    text.gauge("users", "Users in the room.", &server.users);
    text.family("connections", Kind::Gauge, "Open connections by state, without those to the metrics.");
    for (state, count) in &server.connections {
        text.labelled("connections", "state", state, count);
    }
    text.gauge(
        "connections_max",
        "Most connections at once; above it, connections are refused.",
        &server.connections_max,
    );
    text.counter("lines_total", "Lines of the room, including who entered and left.", &server.lines);
}

fn add_events(text: &mut Exposition, counters: &Counters) {
    text.tally(
        "entered_total",
        "by",
        &counters.entered,
        "Connections that entered the room, by login code or by session token.",
    );
    text.counter(
        "wrong_tries_total",
        "Wrong login codes and invalid session tokens. After a restart without a move all are invalid.",
        &counters.wrong_tries,
    );
    text.tally(
        "emails_total",
        "result",
        &counters.emails,
        "Login emails that were sent, held back by a budget (limited), or failed, by why.",
    );
    text.tally("closed_total", "reason", &counters.closed, "Connections that ended, by why.");
    text.tally(
        "refused_total",
        "why",
        &counters.refused,
        "Connections refused because the server or the client address has too many, pages of a foreign origin, and \
         email addresses that are not admitted (door).",
    );
    text.counter(
        "throttled_total",
        "How often input had to wait because its sender was over a rate.",
        &counters.throttled,
    );
}

fn add_tables(text: &mut Exposition, server: &ServerMetrics<'_>) {
    text.family("usage", Kind::Gauge, "Items or bytes in each bounded table.");
    for usage in &server.usage {
        text.labelled("usage", "table", &label(usage.what), &usage.now);
    }
    text.family("usage_max", Kind::Gauge, "Limit of each bounded table; +Inf where others bound it.");
    for usage in &server.usage {
        let limit = usage.limit().map_or_else(|| "+Inf".to_owned(), |limit| limit.to_string());
        text.labelled("usage_max", "table", &label(usage.what), &limit);
    }
    let oldest = server.ring_oldest;
    text.gauge(
        "ring_oldest_seconds",
        "Age of the oldest line that is kept; 0 while there is none.",
        &seconds(oldest.as_secs(), oldest.subsec_millis()),
    );
}

fn add_loop(text: &mut Exposition, shell: &ShellMetrics, turns: &Histogram) {
    let SystemCalls { polls, reads, writes, accepts: _ } = shell.calls;
    text.counter("loop_turns_total", "Turns of the event loop.", &polls);
    text.histogram("loop_turn_seconds", "Duration of a turn, without the sleep before it.", turns);
    text.counter("reads_total", "Reads of clients' sockets.", &reads);
    text.counter("writes_total", "Writes to clients' sockets.", &writes);
    text.counter("written_bytes_total", "Bytes that clients' sockets took.", &shell.written_bytes);
    let (ms, connections) = shell.moved;
    text.gauge(
        "move_seconds",
        "How long the move to this process took, in which nobody was served; 0 without one.",
        &seconds(ms / 1_000, u32::try_from(ms % 1_000).unwrap_or(0)),
    );
    text.gauge("move_connections", "Connections that the move kept.", &connections);
    text.counter("log_lines_dropped_total", "Log lines that stderr did not take.", &shell.log_lines_dropped);
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text so far. Names are written without their prefix. A scrape is rare: its functions are not inlined,
/// which would double their size.
struct Exposition(String);

impl Exposition {
    #[inline(never)]
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.write(format_args!("# HELP plume_{name} {help}\n# TYPE plume_{name} {kind}\n"));
    }

    #[inline(never)]
    fn number(&mut self, name: &str, kind: Kind, help: &str, value: &dyn Display) {
        self.family(name, kind, help);
        self.write(format_args!("plume_{name} {value}\n"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: &dyn Display) {
        self.number(name, Kind::Gauge, help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: &dyn Display) {
        self.number(name, Kind::Counter, help, value);
    }

    #[inline(never)]
    fn labelled(&mut self, name: &str, label: &str, word: &str, value: &dyn Display) {
        self.write(format_args!("plume_{name}{{{label}=\"{word}\"}} {value}\n"));
    }

    #[inline(never)]
    fn tally(&mut self, name: &str, label: &str, tally: &Tally, help: &str) {
        self.family(name, Kind::Counter, help);
        for (word, count) in tally.counts() {
            self.labelled(name, label, word, &count);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, Kind::Histogram, help);
        for (bound, count) in histogram.up_to_bounds() {
            self.write(format_args!("plume_{name}_bucket{{le=\"{}\"}} {count}\n", bound.as_secs_f64()));
        }
        let (sum, count) = (histogram.sum().as_secs_f64(), histogram.count());
        self.write(format_args!("plume_{name}_bucket{{le=\"+Inf\"}} {count}\n"));
        self.write(format_args!("plume_{name}_sum {sum}\nplume_{name}_count {count}\n"));
    }

    #[inline(never)]
    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _always = self.0.write_fmt(text);
    }
}

fn seconds(whole: u64, ms: u32) -> String {
    format!("{whole}.{ms:03}")
}

fn label(what: &str) -> String {
    what.replace(' ', "_")
}

/// Room for the text, which then hardly grows.
const TEXT_BYTES: usize = 12 << 10;
