//! Metrics for Prometheus, on a listener of their own.

use crate::support::{
    Behaviour, Client, Ended, FakeMailgun, Http, Metrics, Plume, StderrMode, bot_request, connect_to_metrics,
    follow, listen, refused, say_as_bot, wait_for, with_bot,
};
use serde_json::json;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const METRICS: (&str, &str) = ("PLUME_METRICS", "127.0.0.1:0");

/// Every metric with its label, if it has one.
const NAMES: [(&str, &str); 23] = [
    ("plume_build_info", "version"),
    ("plume_start_time_seconds", ""),
    ("plume_users", ""),
    ("plume_connections", "state"),
    ("plume_connections_max", ""),
    ("plume_lines_total", ""),
    ("plume_entered_total", "by"),
    ("plume_wrong_tries_total", ""),
    ("plume_emails_total", "result"),
    ("plume_closed_total", "reason"),
    ("plume_refused_total", "why"),
    ("plume_throttled_total", ""),
    ("plume_usage", "table"),
    ("plume_usage_max", "table"),
    ("plume_ring_oldest_seconds", ""),
    ("plume_loop_turns_total", ""),
    ("plume_loop_turn_seconds", ""),
    ("plume_reads_total", ""),
    ("plume_writes_total", ""),
    ("plume_written_bytes_total", ""),
    ("plume_move_seconds", ""),
    ("plume_move_connections", ""),
    ("plume_log_lines_dropped_total", ""),
];

/// Waits until a sample has this value.
fn wait_for_count(server: &Plume, sample: &str, count: u64) {
    wait_for(&format!("{sample} {count}"), || (Metrics::of(server).count(sample) == count).then_some(()));
}

#[test]
fn each_metric_has_its_name_its_label_and_its_help() {
    let server = Plume::start(&[METRICS]);
    let metrics = Metrics::of(&server);
    let expected = NAMES.map(|(name, _)| name);
    let in_order = metrics.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    assert_eq!(in_order.collect::<Vec<_>>(), expected);
    for (name, label) in NAMES {
        let labels = metrics.labels(name);
        let expected: Vec<&str> = Some(label).filter(|label| !label.is_empty()).into_iter().collect();
        assert_eq!(labels.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{name}");
    }
    assert_eq!(metrics.count(&format!("plume_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs_f64();
    let started = metrics.number("plume_start_time_seconds");
    assert!(started <= now && started > now - 60.0, "{started} at {now}");
    for word in ["full", "address", "origin", "door"] {
        assert_eq!(metrics.count(&format!("plume_refused_total{{why=\"{word}\"}}")), 0, "from the start");
    }
}

/// Where Debian's package `prometheus` is installed; elsewhere it says so. The strict parser of these tests
/// reads every scrape.
#[test]
fn promtool_finds_nothing_wrong() {
    let server = Plume::start(&[METRICS]);
    let _ada = Client::login(&server, "Ada");
    let metrics = Metrics::of(&server);
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        return eprintln!("promtool is not installed: it checked nothing");
    };
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(metrics.text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn there_are_two_resources_which_can_only_be_read() {
    let server = Plume::start(&[METRICS]);
    let ask = |line: &str| Metrics::ask(&server, &format!("{line}\r\nHost: x\r\n\r\n"));
    for (line, status) in [
        ("GET /metrics HTTP/1.1", 200),
        ("GET /metrics?a=b HTTP/1.0", 200),
        ("GET /healthz HTTP/1.1", 200),
        ("HEAD /metrics HTTP/1.1", 200),
        ("HEAD /healthz HTTP/1.1", 200),
        ("GET / HTTP/1.1", 404),
        ("GET /connect HTTP/1.1", 404),
        ("GET /static/main.js HTTP/1.1", 404),
        ("GET /metrics/ HTTP/1.1", 404),
        ("GET /METRICS HTTP/1.1", 404),
        ("PUT / HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("OPTIONS /metrics HTTP/1.1", 405),
        ("DELETE /healthz HTTP/1.1", 405),
        ("nonsense", 400),
    ] {
        let answer = ask(line);
        assert_eq!(answer.status, status, "{line}");
        if status == 405 {
            assert_eq!(answer.must("allow"), "GET, HEAD", "{line}");
        }
    }
    assert_eq!(ask("GET /healthz HTTP/1.1").text(), "ok");
    let length: usize = ask("HEAD /metrics HTTP/1.1").must("content-length").parse().expect("a number");
    assert!(length > 2_000, "{length}");
    let with_body = "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(Metrics::ask(&server, with_body).status, 400);
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(17 << 10));
    assert_eq!(Metrics::ask(&server, &long).status, 431);
    // A peer that sends nothing more after its request gets its answer, too.
    let mut http = Http::over(connect_to_metrics(&server));
    http.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    http.finish();
    assert_eq!(http.answer().text(), "ok");
    http.expect_end();
}

#[test]
fn the_address_of_the_chat_has_no_metrics_and_without_the_setting_there_are_none() {
    for (variables, line) in [(&[][..], "metrics=off;"), (&[METRICS], "metrics=127.0.0.1:")] {
        let server = Plume::start(variables);
        assert!(server.log().contains(line), "{}", server.log());
        assert_eq!(Http::get(&server, "/metrics").status, 404);
        assert_eq!(Http::get(&server, "/healthz").status, 200);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one server, on which everything happens once")]
fn every_metric_moves_with_what_it_counts() {
    let server = Plume::start(&[
        METRICS,
        // Counting does not depend on what is logged.
        ("PLUME_LOG", "error"),
        ("PLUME_TRUSTED_PROXIES", "127.0.0.1"),
        ("PLUME_MAX_PER_ADDRESS", "2"),
        ("PLUME_MAX_CONNECTIONS", "10"),
        ("PLUME_DENY", "@denied.example"),
        ("PLUME_RATE", "5"),
        ("PLUME_LEAVE_GRACE", "0"),
    ]);
    let first = Metrics::of(&server);
    assert_eq!(first.count("plume_users"), 0);
    assert_eq!(first.count("plume_connections_max"), 10);

    let mut ada = Client::login_for(&server, "203.0.113.1", "Ada");
    let mut bob = Client::login_for(&server, "203.0.113.2", "Bob");
    let mut again = Client::open_for(&server, "203.0.113.1");
    again.resume(&ada.token(), None, None);
    again.enter();
    let guest = Client::open_for(&server, "203.0.113.3");
    let idle = Http::open(&server);
    wait_for_count(&server, "plume_connections{state=\"http\"}", 1);
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.count("plume_users"), 2);
    assert_eq!(metrics.count("plume_connections{state=\"member\"}"), 3);
    assert_eq!(metrics.count("plume_connections{state=\"guest\"}"), 1);
    assert_eq!(metrics.count("plume_entered_total{by=\"code\"}"), 2);
    assert_eq!(metrics.count("plume_entered_total{by=\"token\"}"), 1);
    assert_eq!(metrics.count("plume_emails_total{result=\"sent\"}"), 2);
    assert_eq!(metrics.count("plume_lines_total"), 2, "both entered");
    assert_eq!(metrics.count("plume_usage{table=\"members\"}"), 3);
    assert_eq!(metrics.count("plume_usage{table=\"names\"}"), 2);
    assert_eq!(metrics.count("plume_usage_max{table=\"members\"}"), 10);
    assert_eq!(metrics.text_of("plume_usage_max{table=\"people_in_the_room\"}"), "+Inf");
    wait_for("age of the first line", || {
        (Metrics::of(&server).number("plume_ring_oldest_seconds") > 0.0).then_some(())
    });

    // Faster than five lines a second.
    for n in 0..9 {
        ada.say(&n.to_string());
    }
    let throttled = wait_for("throttling", || {
        Some(Metrics::of(&server).count("plume_throttled_total")).filter(|count| *count > 0)
    });
    wait_for_count(&server, "plume_lines_total", 11);
    // Frames that are no messages have a rate, too.
    let mut pinging = Client::open_for(&server, "203.0.113.4");
    pinging.send_raw(&[0x8a, 0x80, 0, 0, 0, 0].repeat(1_200));
    wait_for("throttling of frames", || {
        (Metrics::of(&server).count("plume_throttled_total") > throttled).then_some(())
    });
    drop(pinging);

    // A wrong code, a token that is none, an address that is not admitted.
    let mut stranger = Client::open_for(&server, "203.0.113.5");
    stranger.ask_code("Cyd", "cyd@example.org");
    stranger.auth("wrong");
    stranger.expect(4);
    stranger.resume("no token", None, None);
    stranger.expect(4);
    wait_for_count(&server, "plume_wrong_tries_total", 2);
    stranger.hello_as("Dan", "dan@denied.example");
    assert_eq!(stranger.expect(5)["reason"], "not-admitted");
    wait_for_count(&server, "plume_refused_total{why=\"door\"}", 1);
    assert_eq!(Metrics::of(&server).count("plume_wrong_tries_total"), 2, "the door counts by itself");
    drop(stranger);

    // A third connection of one address, and a page of another origin.
    assert!(Client::admit_for(&server, "203.0.113.1").is_none());
    wait_for_count(&server, "plume_refused_total{why=\"address\"}", 1);
    let foreign =
        "GET /connect HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example\r\nConnection: close\r\n\r\n";
    assert_eq!(Http::ask(&server, foreign).status, 403);
    wait_for_count(&server, "plume_refused_total{why=\"origin\"}", 1);

    // Ends of connections.
    wait_for_count(&server, "plume_closed_total{reason=\"http-done\"}", 1);
    // What the others said stands before the close.
    bob.settle();
    bob.log_out();
    wait_for_count(&server, "plume_closed_total{reason=\"left\"}", 1);
    drop((guest, idle));
    wait_for_count(&server, "plume_users", 1);

    // The chat is full, and its metrics can still be read.
    wait_for_count(&server, "plume_connections{state=\"guest\"}", 0);
    wait_for_count(&server, "plume_connections{state=\"closing\"}", 0);
    let _others: Vec<Http> = (0..8).map(|_| Http::open(&server)).collect();
    wait_for_count(&server, "plume_connections{state=\"http\"}", 8);
    for _ in 0..3 {
        assert_eq!(Http::get(&server, "/").status, 503);
    }
    wait_for_count(&server, "plume_refused_total{why=\"full\"}", 3);

    let last = Metrics::of(&server);
    // What is the same for a whole run, and what has a test of its own.
    let fixed = [
        "plume_build_info",
        "plume_start_time_seconds",
        "plume_connections_max",
        "plume_usage_max",
        "plume_move_seconds",
        "plume_move_connections",
        "plume_log_lines_dropped_total",
    ];
    for family in first.families.keys() {
        let has_moved = first.of_family(family) != last.of_family(family);
        assert_eq!(has_moved, !fixed.contains(&family.as_str()), "{family}");
    }
    assert!(last.count("plume_written_bytes_total") > 4_000, "{}", last.text);
    assert!(last.count("plume_loop_turns_total") >= last.count("plume_loop_turn_seconds_count"));
    for secret in ["Ada", "ada", "203.0.113", "example.org", &ada.token()] {
        assert!(!last.text.contains(secret), "{secret} is in\n{}", last.text);
    }
    ada.send(&json!({"type": 8}));
}

#[test]
fn emails_that_fail_are_counted_by_why() {
    let rows = [Behaviour::Status(500), Behaviour::Status(401), Behaviour::HangUp, Behaviour::Status(400)];
    let mailgun = FakeMailgun::start(&rows);
    let server = mailgun.plume(&[METRICS]);
    let ask = |name: &str| Client::asking(&server, name);
    for name in ["Ada", "Bob", "Cyd", "Dan"] {
        ask(name).expect_notice("mail-failed");
    }
    // A mailbox gets three emails in ten minutes, and two new codes more.
    let mut eve = ask("Eve");
    wait_for_count(&server, "plume_emails_total{result=\"sent\"}", 1);
    for _ in 0..2 {
        drop(ask("Eve"));
    }
    eve.hello_as("Eve", "Eve@example.org");
    eve.expect(0);
    eve.expect_notice("mail-limited");
    wait_for_count(&server, "plume_emails_total{result=\"sent\"}", 3);
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.count("plume_emails_total{result=\"refused\"}"), 2, "whatever the status");
    assert_eq!(metrics.count("plume_emails_total{result=\"auth\"}"), 1);
    let all: u64 =
        metrics.of_family("plume_emails_total").iter().map(|&(sample, _)| metrics.count(sample)).sum();
    assert_eq!((all, metrics.count("plume_emails_total{result=\"limited\"}")), (8, 1), "{}", metrics.text);
}

#[test]
fn log_lines_that_nobody_reads_are_counted() {
    let server = Plume::start(&[METRICS, ("PLUME_LOG", "debug")]);
    server.set_stderr(StderrMode::Stall);
    Http::get(&server, "/healthz");
    server.wait_stderr_left();
    wait_for("dropped lines", || {
        let mut http = Http::open(&server);
        for _ in 0..100 {
            http.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(http.answer().status, 200);
        }
        (Metrics::of(&server).count("plume_log_lines_dropped_total") > 0).then_some(())
    });
}

#[test]
fn a_flood_of_one_kind_is_counted_to_the_last_although_the_log_leaves_most_out() {
    let server = Plume::start(&[METRICS]);
    for _ in 0..60 {
        let foreign = "GET /connect HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example\r\n\r\n";
        assert_eq!(Http::ask(&server, foreign).status, 403);
    }
    assert_eq!(Metrics::of(&server).count("plume_refused_total{why=\"origin\"}"), 60);
    server.wait_line("event=foreign-origin");
    assert_eq!(server.log().matches("event=foreign-origin").count(), 1);
}

#[test]
fn an_address_that_cannot_be_bound_ends_the_start_with_1_and_the_chats_own_with_2() {
    let (_holder, taken) = listen();
    let taken = taken.to_string();
    // TEST-NET-1 (RFC 5737) is nobody's.
    for address in [taken.as_str(), "192.0.2.1:9484"] {
        let Ended { code, stderr, .. } = refused(&[("PLUME_METRICS", address)], &[]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.starts_with(&format!("plume: cannot listen on {address} for metrics: ")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let both = [("PLUME_LISTEN", "127.0.0.1:4884"), ("PLUME_METRICS", "127.0.0.1:4884")];
    let Ended { code, stderr, .. } = refused(&both, &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("PLUME_METRICS and PLUME_LISTEN are the same address"), "{stderr}");
}

#[test]
fn a_passed_socket_is_for_the_chat_and_metrics_have_their_own() {
    let (listener, address) = listen();
    let server = Plume::start_with_socket(listener, &[METRICS]);
    assert_eq!(server.address(), address);
    assert_ne!(server.metrics_address(), address);
    assert_eq!(Metrics::of(&server).count("plume_users"), 0);
    assert_eq!(Http::get(&server, "/metrics").status, 404);
}

#[test]
fn metrics_that_other_machines_may_read_are_a_warning() {
    let Ended { code, stdout, .. } = refused(&[("PLUME_METRICS", "0.0.0.0:9484")], &["--check"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains(" metrics=0.0.0.0:9484;"), "{stdout}");
    let report = refused(&[("PLUME_METRICS", "0.0.0.0:9484")], &["doctor"]).stdout;
    assert!(report.contains("warn  metrics: PLUME_METRICS is no loopback address"), "{report}");
    assert!(!refused(&[METRICS], &["doctor"]).stdout.contains("warn  metrics"), "on loopback");
    // A network of its own, where nobody else is. Where the system grants none, this shows nothing.
    let script = "ip link set lo up; exec \"$0\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", script, env!("CARGO_BIN_EXE_plume")]).env_clear();
    command.envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("PLUME_METRICS", "0.0.0.0:0")]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("unshare is there");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("a pipe")));
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    if first.starts_with("plume ") {
        let second = lines.next().and_then(Result::ok).unwrap_or_default();
        assert!(second.starts_with("event=open-metrics hint="), "{first}\n{second}");
    }
    child.kill().expect("the child is ours");
    child.wait().expect("the child is ours");
}

/// What bots do counts among the rest.
#[test]
fn bots_count_as_connections_lines_and_wrong_tries() {
    let (server, token) = with_bot("ci", &[METRICS]);
    say_as_bot(&server, &token, "hello", None);
    wait_for_count(&server, "plume_lines_total", 1);
    let _follower = follow(&server, &token, "?follow");
    wait_for_count(&server, "plume_connections{state=\"http\"}", 1);
    wait_for_count(&server, "plume_usage{table=\"streams_that_follow_the_room\"}", 1);
    assert_eq!(Http::ask(&server, bot_request("GET", "", "plume_X", "")).status, 401);
    wait_for_count(&server, "plume_wrong_tries_total", 1);
    assert!(!Metrics::ask(&server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").text().contains(&token));
}
