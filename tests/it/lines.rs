//! `/lines`: what bots say and read, byte by byte.

use crate::support::{Answer, Client, Http, Plume, bot_post, bot_request, new_bot, with_bot};
use serde_json::{Value, json};
use std::time::Duration;

fn say(server: &Plume, token: &str, text: &str) -> u64 {
    let answer = Http::ask(server, bot_post(token, "text/plain", text));
    assert_eq!(answer.status, 201, "{}", answer.text());
    json_of(&answer)["id"].as_u64().expect("a line has an id")
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.must("content-type"), "application/json");
    serde_json::from_slice(&answer.body).expect("it is JSON")
}

/// The lines that a bot reads.
fn read(server: &Plume, token: &str, query: &str) -> Vec<Value> {
    let mut http = Http::open(server);
    http.send(bot_request("GET", query, token, ""));
    let head = http.answer_to_head();
    assert_eq!((head.status, head.must("content-type")), (200, "application/x-ndjson"), "{query}");
    http.chunks().lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// The texts of lines, and the reasons of notices.
fn texts(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["reason"].as_str().or(line["text"].as_str()).expect("a text")).collect()
}

#[test]
fn a_bot_says_a_line_that_everybody_sees_and_is_not_in_the_room() {
    let (server, token) = with_bot("ci", &[]);
    let mut ada = Client::login(&server, "Ada");
    let rows: [(&str, &[u8], &str); 10] = [
        ("text/plain", b"plain", "plain"),
        ("text/plain; charset=utf-8", "Gr\u{fc}\u{df}e\n".as_bytes(), "Gr\u{fc}\u{df}e"),
        ("application/octet-stream", b"two\r\nlines\r\n", "two\r\nlines"),
        ("text/plain", b"one end is cut\n\n", "one end is cut\n"),
        ("application/json", br#"{"text":"json \u00fc","channel":"x"}"#, "json \u{fc}"),
        ("Application/JSON; charset=utf-8", br#" {"text":"again","ref":"r1"} "#, "again"),
        // What `curl -d` sends, and what Slack's webhooks take.
        ("application/x-www-form-urlencoded", b"a=b & c%20d", "a=b & c%20d"),
        ("application/x-www-form-urlencoded", b"payload=%7B%22text%22%3A%22a+form%22%7D", "a form"),
        ("application/x-www-form-urlencoded", b"x=y&payload={\"text\":\"another\"}", "another"),
        // A bot's text is never a command.
        ("text/plain", b"/kick Ada", "/kick Ada"),
    ];
    for (content_type, body, text) in rows {
        let answer = Http::ask(&server, bot_post(&token, content_type, body));
        assert_eq!(answer.status, 201, "{text}: {}", answer.text());
        let line = ada.expect_line("ci", text);
        assert_eq!((&line["bot"], &line["event"]), (&json!(true), &Value::Null), "{line}");
        assert_eq!(json_of(&answer), json!({"id": line["id"], "run": ada.run()}));
    }
    let bob = Client::login(&server, "Bob");
    assert_eq!((&bob.ack["count"], &bob.ack["names"]), (&json!(2), &json!(["Ada", "Bob"])));
}

#[test]
fn a_text_that_is_too_long_is_cut_and_the_answer_says_so() {
    let (server, token) = with_bot("ci", &[]);
    let mut ada = Client::login(&server, "Ada");
    let text = "\u{e4}".repeat(32_768);
    for (text, is_cut) in [(text.clone(), false), (format!("{text}\n"), false), (format!("x{text}"), true)] {
        let answer = json_of(&Http::ask(&server, bot_post(&token, "text/plain", &text)));
        assert_eq!(answer.get("cut"), is_cut.then_some(&json!(true)), "{} bytes", text.len());
        let line = ada.expect(1);
        let said = line["text"].as_str().expect("a text");
        assert!(text.starts_with(said) && said.len() >= 65_535, "{} bytes", said.len());
    }
}

#[test]
fn a_ref_is_said_once_and_answered_alike() {
    let (server, token) = with_bot("ci", &[]);
    let mut ada = Client::login(&server, "Ada");
    let body = |reference: &str| json!({"text": format!("by {reference:.3}"), "ref": reference}).to_string();
    let ask =
        |reference: &str| Http::ask(&server, bot_post(&token, "application/json", body(reference))).text();
    let first = ask("r1");
    let between = ask("r2");
    assert_eq!((ask("r1"), ask("r2")), (first.clone(), between.clone()));
    assert_ne!(first, between);
    // One that is too long counts as none.
    let long = "x".repeat(65);
    assert_ne!(ask(&long), ask(&long));
    let lines: Vec<Value> = (0..4).map(|_| ada.expect(1)).collect();
    assert_eq!(texts(&lines), ["by r1", "by r2", "by xxx", "by xxx"]);
    assert_eq!((&lines[0]["ref"], &lines[2]["ref"]), (&json!("r1"), &Value::Null));
    ada.expect_nothing();
}

#[test]
fn every_refusal_has_its_status_and_says_nothing() {
    let ((say, say_entry), (read, read_entry)) = (new_bot("talker"), new_bot("reader"));
    let bots = format!("{},{}", say_entry.replace("say+read", "say"), read_entry.replace("say+read", "read"));
    let server = Plume::start(&[("PLUME_BOTS", &bots)]);
    let mut ada = Client::login(&server, "Ada");
    let wrong = "plume_AAAAAAAAAAAAAAAAAAAAAAAAAA";
    let length = "Content-Length: 2\r\n";
    let text =
        |token: &str, body: &str| String::from_utf8(bot_post(token, "text/plain", body)).expect("text");
    let in_json =
        |token: &str, body: &str| String::from_utf8(bot_post(token, "application/json", body)).expect("text");
    let too_long = "x".repeat(96 * 1024 + 1);
    let rows = [
        (bot_request("POST", "", wrong, length) + "hi", 401),
        (bot_request("GET", "", wrong, ""), 401),
        (format!("POST /lines HTTP/1.1\r\nHost: x\r\n{length}\r\nhi"), 401),
        ("GET /lines HTTP/1.1\r\nHost: x\r\nAuthorization: Digest x\r\n\r\n".to_owned(), 401),
        (bot_request("GET", "", &read, "Authorization: Bearer x\r\n"), 401),
        (bot_request("POST", "", &read, length) + "hi", 403),
        (bot_request("GET", "", &say, ""), 403),
        (bot_request("POST", "", &say, &format!("Origin: https://evil.example\r\n{length}")) + "hi", 403),
        (bot_request("GET", "", &read, "Origin: null\r\n"), 403),
        (bot_request("GET", &format!("?token={read}"), &read, ""), 400),
        (format!("GET /lines?access_token={read} HTTP/1.1\r\nHost: x\r\n\r\n"), 400),
        (bot_request("POST", &format!("?{say}"), &say, length) + "hi", 400),
        (bot_request("POST", "?wait=1", &say, length) + "hi", 400),
        (bot_request("GET", "?after=x", &read, ""), 400),
        (bot_request("GET", "?folow", &read, ""), 400),
        (bot_request("GET", "", &read, length) + "hi", 400),
        (bot_request("PUT", "", &say, length) + "hi", 405),
        (bot_request("DELETE", "", &read, ""), 405),
        (bot_request("POST", "", &say, ""), 411),
        (bot_request("POST", "", &say, "Transfer-Encoding: chunked\r\n") + "2\r\nhi\r\n0\r\n\r\n", 400),
        (bot_request("POST", "", &say, "Content-Length: 2\r\nContent-Length: 2\r\n") + "hi", 400),
        (text(&say, &too_long), 413),
        (bot_request("POST", "", &say, "Content-Length: 99999999999999999999999\r\n"), 413),
        (text(&say, ""), 422),
        (text(&say, " \n\u{200b}"), 422),
        (in_json(&say, r#"{"text":""}"#), 422),
        (in_json(&say, "{}"), 400),
        (in_json(&say, r#"{"text":null}"#), 400),
        (in_json(&say, r#"["hi"]"#), 400),
        (in_json(&say, "hi"), 400),
        (text(&say, "hi").replace("text/plain", "multipart/form-data; boundary=b"), 400),
        (text(&say, "payload=%").replace("text/plain", "application/x-www-form-urlencoded"), 400),
    ];
    for (request, status) in rows {
        let answer = Http::ask(&server, &request);
        assert_eq!(answer.status, status, "{request:.300}: {}", answer.text());
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert_eq!(challenge.contains("Bearer") && challenge.contains("Basic"), status == 401, "{answer:?}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("GET, HEAD, POST, OPTIONS"));
        assert!(
            answer.header("access-control-allow-origin").is_none() && answer.header("set-cookie").is_none()
        );
        assert!(answer.text().len() > 5, "a sentence for a person: {answer:?}");
    }
    let not_utf8 = Http::ask(&server, bot_post(&say, "text/plain", b"\xff"));
    assert_eq!(not_utf8.status, 400);
    let options = Http::ask(&server, "OPTIONS /lines HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((options.status, options.must("allow")), (204, "GET, HEAD, POST, OPTIONS"));
    ada.expect_nothing();

    // A page of the site itself may use it, and Basic has the token as its password.
    let own = bot_request("POST", "", &say, &format!("Origin: http://x\r\n{length}")) + "hi";
    assert_eq!(Http::ask(&server, own).status, 201);
    ada.expect_line("talker", "hi");
}

#[test]
fn without_bots_there_are_no_lines() {
    let server = Plume::start(&[]);
    let token = "plume_AAAAAAAAAAAAAAAAAAAAAAAAAA";
    for request in [
        bot_request("GET", "", token, ""),
        bot_request("GET", "?follow", token, ""),
        bot_request("DELETE", "", token, ""),
        bot_request("OPTIONS", "", token, ""),
        String::from_utf8(bot_post(token, "text/plain", "hi")).expect("text"),
    ] {
        assert_eq!(Http::ask(&server, &request).status, 404, "{request}");
    }
}

#[test]
fn a_body_comes_in_any_pieces_and_more_requests_may_follow_it() {
    let (server, token) = with_bot("ci", &[]);
    let mut ada = Client::login(&server, "Ada");
    let mut http = Http::open(&server);
    // Three requests at once, two of which have bodies.
    let get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".as_bytes();
    let body = "GET / HTTP/1.1\r\n\r\nX";
    http.send(
        [&bot_post(&token, "text/plain", body)[..], get, &bot_post(&token, "text/plain", "two")].concat(),
    );
    let statuses: Vec<u16> = (0..3).map(|_| http.answer().status).collect();
    assert_eq!(statuses, [201, 200, 201]);
    ada.expect_line("ci", body);
    ada.expect_line("ci", "two");
    // Byte for byte.
    for byte in bot_post(&token, "text/plain", "three") {
        http.send([byte]);
    }
    assert_eq!(http.answer().status, 201);
    ada.expect_line("ci", "three");
    // A refused line whose body was read keeps the connection.
    http.send([&bot_post(&token, "text/plain", " ")[..], get].concat());
    assert_eq!((http.answer().status, http.answer().status), (422, 200));
}

#[test]
fn who_waits_for_a_100_gets_it_or_the_refusal() {
    let (server, token) = with_bot("ci", &[]);
    let mut http = Http::open(&server);
    let expect = "Expect: 100-continue\r\nContent-Length: 2\r\n";
    http.send(bot_request("POST", "", &token, expect));
    assert_eq!(http.answer_to_head().status, 100);
    http.send("hi");
    assert_eq!(http.answer().status, 201);
    http.send(bot_request("POST", "", "plume_WRONG", expect));
    assert_eq!(http.answer().status, 401);
    http.expect_end();
    let mut http = Http::open(&server);
    http.send(bot_request("POST", "", &token, "Expect: 100-continue\r\nContent-Length: 98305\r\n"));
    assert_eq!(http.answer().status, 413);
    http.expect_end();
}

#[test]
fn a_body_that_does_not_come_whole_within_ten_seconds_is_a_408() {
    let (server, token) = with_bot("ci", &[]);
    let mut http = Http::open(&server);
    let started = std::time::Instant::now();
    http.send(bot_request("POST", "", &token, "Content-Length: 3\r\n"));
    http.send("h");
    std::thread::sleep(Duration::from_secs(5));
    http.send("i");
    let answer = http.answer();
    assert_eq!((answer.status, answer.must("connection")), (408, "close"));
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(9_900) && waited < Duration::from_secs(12), "{waited:?}");
    http.expect_end();
}

#[test]
fn each_token_has_the_rate_of_a_user() {
    let ((one, one_entry), (two, two_entry)) = (new_bot("one"), new_bot("two"));
    let bots = format!("{one_entry},{two_entry}");
    let server = Plume::start(&[("PLUME_BOTS", &bots), ("PLUME_RATE", "2")]);
    let mut http = Http::open(&server);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        http.send(bot_post(&one, "text/plain", "hi"));
        let answer = http.answer();
        if answer.status == 429 {
            assert_eq!(answer.must("retry-after"), "1");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [201, 201, 429, 429]);
    assert_eq!(Http::ask(&server, bot_post(&two, "text/plain", "hi")).status, 201);
}

#[test]
fn a_moderator_mutes_a_bot_and_a_lock_and_slow_mode_do_not_concern_it() {
    let (server, token) = with_bot("ci", &[("PLUME_MODERATORS", "ada@example.org")]);
    let mut ada = Client::login(&server, "Ada");
    let mut command = |text: &str, event: &str| {
        ada.say(text);
        let line = loop {
            let line = ada.expect(1);
            if line["user"]["name"] != "ci" {
                break line;
            }
        };
        assert_eq!(line["event"], event, "{line}");
        line
    };
    command("/lock", "lock");
    command("/slow 1h", "slow");
    say(&server, &token, "one");
    say(&server, &token, "two");
    let line = command("/mute @C1 5m", "mute");
    assert_eq!((&line["who"], &line["text"]), (&json!("ci"), &json!("muted @ci for 5 minutes")));
    let muted = Http::ask(&server, bot_post(&token, "text/plain", "three"));
    let wait: u64 = muted.must("retry-after").parse().expect("seconds");
    assert!(muted.status == 403 && (295..=300).contains(&wait), "{muted:?}");
    assert!(!texts(&read(&server, &token, "")).contains(&"three"), "and reads on");
    command("/unmute ci", "unmute");
    say(&server, &token, "four");
}

#[test]
fn a_bot_reads_the_newest_lines_or_those_after_one() {
    let (server, token) = with_bot("ci", &[]);
    assert!(read(&server, &token, "").is_empty());
    let mut ada = Client::login(&server, "Ada");
    ada.say("by a person");
    ada.expect(1);
    for number in 3..=60 {
        assert_eq!(say(&server, &token, &format!("line {number}")), number);
    }
    let run = ada.run();
    let all = read(&server, &token, "?limit=10001");
    let ids: Vec<u64> = all.iter().map(|line| line["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids, (1..=60).collect::<Vec<u64>>());
    assert_eq!(all[0]["event"], "enter");
    assert_eq!(
        all[1],
        json!({"type": 1, "id": 2, "time": all[1]["time"], "user": {"name": "Ada"}, "text": "by a person"})
    );
    let rows = [
        (String::new(), &all[10..]),
        ("?limit=2".to_owned(), &all[58..]),
        ("?limit=0".to_owned(), &[][..]),
        ("?after=0".to_owned(), &all[..]),
        (format!("?after=10&limit=3&run={run}"), &all[10..13]),
        ("?after=60".to_owned(), &[]),
    ];
    for (query, expected) in rows {
        assert_eq!(read(&server, &token, &query), expected, "{query}");
    }
    // Lines of another run: all that there are may be new.
    for query in ["?after=61", "?after=7&run=0123456789abcdef", "?after=7&run=x&limit=2"] {
        let lines = read(&server, &token, query);
        assert_eq!((&lines[0]["type"], &lines[0]["reason"]), (&json!(6), &json!("gap")), "{query}");
        assert_eq!(lines[1], all[0], "{query}");
    }
    assert_eq!(read(&server, &token, "?after=7&run=x&limit=2").len(), 3);
}

#[test]
fn lines_that_the_ring_has_lost_are_a_gap() {
    let (server, token) = with_bot("ci", &[("PLUME_BACKLOG", "1600000")]);
    let long = "x".repeat(60_000);
    for _ in 0..40 {
        say(&server, &token, &long);
    }
    let lines = read(&server, &token, "?after=3");
    assert_eq!((&lines[0]["reason"], &lines[lines.len() - 1]["id"]), (&json!("gap"), &json!(40)));
    let first = lines[1]["id"].as_u64().expect("an id");
    assert!(first > 4 && lines.len() as u64 == 42 - first, "{first}");
    let known = read(&server, &token, &format!("?after={first}&limit=1"));
    assert_eq!((known.len(), &known[0]["id"]), (1, &json!(first + 1)), "and what is there is none");
}

#[test]
fn text_for_a_terminal_is_harmless_and_each_line_begins_with_its_time() {
    let (server, token) = with_bot("ci", &[]);
    let mut ada = Client::login(&server, "Ada");
    let evil = "red \u{1b}[31m\u{9b}2J\u{7}\u{7f}\r\u{202e}desrever\u{2028}\n2026-11-26T20:41:03Z Bob: I did it\ttab";
    ada.say(evil);
    ada.expect(1);
    let mut http = Http::open(&server);
    http.send(bot_request("GET", "", &token, "Accept: text/plain\r\n"));
    let head = http.answer_to_head();
    assert_eq!(head.must("content-type"), "text/plain; charset=utf-8");
    let text = http.chunks();
    assert!(text.chars().all(|char| char == '\n' || !char.is_control()), "{text:?}");
    let lines: Vec<&str> = text.lines().collect();
    let (time, entered) = lines[0].split_once(' ').expect("a time and more");
    assert_eq!(entered, "Ada entered chat");
    assert!(time.len() == 20 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    let said = lines[1].split_once(' ').expect("a time and more").1;
    assert_eq!(said, r"Ada: red \u{1b}[31m\u{9b}2J\u{7}\u{7f}\r\u{202e}desrever\u{2028}");
    assert_eq!(lines[2], r"    2026-11-26T20:41:03Z Bob: I did it\ttab");
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_head_tells_the_form_and_a_client_of_http_1_0_reads_to_the_end() {
    let (server, token) = with_bot("ci", &[]);
    say(&server, &token, "hello");
    let mut http = Http::open(&server);
    for query in ["", "?follow"] {
        http.send(bot_request("HEAD", query, &token, ""));
        let head = http.answer_to_head();
        assert_eq!((head.status, head.must("content-type")), (200, "application/x-ndjson"), "{query}");
        assert_eq!((head.must("cache-control"), head.must("plume-run").len()), ("no-store", 16));
    }
    // The same connection goes on, also behind a body without a length.
    let get = bot_request("GET", "", &token, "");
    http.send(get.repeat(2));
    for _ in 0..2 {
        http.answer_to_head();
        assert!(http.chunks().contains("hello"));
    }
    let mut old = Http::open(&server);
    old.send(get.replace("HTTP/1.1", "HTTP/1.0"));
    let head = old.answer_to_head();
    assert_eq!((head.header("transfer-encoding"), head.must("connection")), (None, "close"));
    assert!(old.rest().ends_with("\"text\":\"hello\",\"bot\":true}\n"));
    // One that sends nothing more still gets everything.
    let mut last = Http::open(&server);
    last.send(&get);
    last.finish();
    last.answer_to_head();
    assert!(last.chunks().contains("hello"));
    last.expect_end();
}
