//! Whoever has no token, and bots with one that behave badly.

use crate::onlooker::{HEARD_WITHIN, Onlooker, hear};
use crate::raw::read_to_end;
use crate::support::{Client, Http, Plume, bot_post, bot_request, connect, new_bot, with_bot};
use crate::watched::Watched;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

/// Sends bytes, says that nothing follows, and gives all that is answered.
fn everything(server: &Plume, request: &[u8]) -> String {
    let mut stream = connect(server);
    stream.write_all(request).expect("the server takes the bytes");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned()
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

/// Behind each of these heads stands a request with a good token; it must not be read.
#[test]
fn no_line_is_made_out_of_the_body_of_a_refused_request() {
    let (server, token) = with_bot("ci", &[]);
    let onlooker = Onlooker::join(&server);
    let mut ada = Client::login(&server, "Ada");
    let good = format!("Authorization: Bearer {token}|");
    let wrong = "Authorization: Bearer plume_AAAAAAAAAAAAAAAAAAAAAAAAAA|";
    // It says a line, were it read.
    let hidden = bot_request("POST", "", &token, "Content-Length: 6\r\n") + "hidden";
    let length = hidden.len();
    let own = format!("Content-Length: {length}|");
    let rows = [
        ("POST", String::new(), format!("{good}{own}{own}"), "400"),
        ("POST", String::new(), format!("{good}Content-Length: 0|{own}"), "400"),
        ("POST", String::new(), format!("{good}{own}Transfer-Encoding: chunked|"), "400"),
        ("POST", String::new(), format!("{good}Transfer-Encoding: chunked|{own}"), "400"),
        ("POST", String::new(), format!("{good}Transfer-Encoding: chunked|"), "400"),
        ("POST", String::new(), format!("{good}Transfer-Encoding: identity|"), "400"),
        ("POST", String::new(), format!("{good}Content-Length: +{length}|"), "400"),
        ("POST", String::new(), format!("{good}Content-Length: 0{length}|"), "400"),
        ("POST", String::new(), format!("{good}Content-Length: {length}, {length}|"), "400"),
        ("POST", String::new(), format!("{good}Content-Length : {length}|"), "400"),
        ("POST", String::new(), good.clone(), "411"),
        ("POST", String::new(), format!("{good}Content-Length: 98305|"), "413"),
        ("POST", String::new(), format!("{wrong}{own}"), "401"),
        ("POST", String::new(), own.clone(), "401"),
        ("POST", String::new(), wrong.to_owned(), "401"),
        ("POST", String::new(), format!("{good}{own}Origin: https://evil.example|"), "403"),
        ("POST", format!("?token={token}"), format!("{good}{own}"), "400"),
        ("POST", "?x".to_owned(), format!("{good}{own}"), "400"),
        ("GET", String::new(), format!("{good}{own}"), "400"),
        ("HEAD", String::new(), format!("{good}{own}"), "400"),
        ("OPTIONS", String::new(), own.clone(), "400"),
        ("PUT", String::new(), format!("{good}{own}"), "405"),
    ];
    for (method, query, fields, status) in rows {
        let fields = fields.replace('|', "\r\n");
        let request = format!("{method} /lines{query} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{hidden}");
        assert_eq!(statuses(&everything(&server, request.as_bytes())), [status], "{request}");
    }
    // A shorter body: what is behind it is a request of its own, and is no HTTP. A longer one never ends.
    let short = bot_request("POST", "", &token, "Content-Length: 2\r\n") + "hi!!";
    assert_eq!(statuses(&everything(&server, format!("{short}\r\n\r\n").as_bytes())), ["201", "400"]);
    ada.expect_line("ci", "hi");
    let long = short.replace("Content-Length: 2", "Content-Length: 5");
    assert_eq!(statuses(&everything(&server, long.as_bytes())), Vec::<&str>::new());
    ada.expect_nothing();
    onlooker.finish();
}

/// On the open port nobody can say or read anything without a token, and all are answered alike.
#[test]
fn an_address_has_twenty_wrong_tokens_a_minute_and_a_right_one_is_still_good() {
    let (server, token) = with_bot("ci", &[("PLUME_TRUSTED_PROXIES", "127.0.0.1,192.0.2.0/24")]);
    let ask = |token: &str, forwarded_for: &str| {
        let mut http = Http::open(&server);
        http.send(bot_request("GET", "", token, &format!("X-Forwarded-For: {forwarded_for}\r\n")));
        let answer = http.answer_to_head();
        if answer.status == 429 {
            let wait: u64 = answer.must("retry-after").parse().expect("seconds");
            assert!((1..=60).contains(&wait), "{wait}");
        }
        answer.status
    };
    let dressed = |n: usize| match n % 4 {
        0 => "203.0.113.5".to_owned(),
        1 => format!("198.51.100.{n}, 203.0.113.5"),
        2 => format!("198.51.100.{n},::ffff:203.0.113.5 , 192.0.2.{n}"),
        _ => format!("unknown, \"_x{n}\", 203.0.113.5"),
    };
    let answers: Vec<u16> = (0..25).map(|n| ask(&format!("plume_{n}"), &dressed(n))).collect();
    assert_eq!(answers, [[401; 20].as_slice(), &[429; 5]].concat());
    assert_eq!(ask("plume_X", "203.0.113.6"), 401, "the neighbour");
    assert_eq!(ask(&token, "203.0.113.5"), 200, "a right token");
    // A request without one is no try.
    for _ in 0..30 {
        let request = "GET /lines HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n";
        assert_eq!(Http::ask(&server, request).status, 401);
    }
    assert_eq!(ask("plume_X", "203.0.113.7"), 401);
    server.wait_line("event=wrong-bot-token connection=");
}

/// Sixty-four followers, and one more, read nothing while the room says more than the ring holds.
#[test]
fn followers_that_do_not_read_cost_little_and_delay_nobody() {
    let bots: Vec<(String, String)> =
        (0..17).map(|n| new_bot(&format!("bot-{}", "x".repeat(n + 1)))).collect();
    let entries: Vec<&str> = bots.iter().map(|(_, entry)| entry.as_str()).collect();
    let server = Watched::start(&[("PLUME_BOTS", &entries.join(",")), ("PLUME_RATE", "1000000")]);
    let mut member = Client::login(&server, "Member");
    let tokens: Vec<&String> = bots.iter().map(|(token, _)| token).collect();
    let followers: Vec<TcpStream> = (0..65)
        .map(|n| {
            let mut stream = connect(&server);
            let request = bot_request("GET", "?follow", tokens[n / 4], "");
            stream.write_all(request.as_bytes()).expect("the server takes the bytes");
            stream
        })
        .collect();
    let mut talker = Http::open(&server);
    let text = format!("x{}", "\u{1}".repeat(40_000));
    // No faster than a member reads, which the ring would lap.
    let mut say = || {
        let begun = Instant::now();
        talker.send(bot_post(tokens[0], "text/plain", &text));
        assert_eq!(talker.answer().status, 201);
        hear(&mut member, &text);
        let took = begun.elapsed();
        assert!(took < HEARD_WITHIN, "heard after {took:?}");
    };
    (0..20).for_each(|_| say());
    let before = server.memory_kib();
    // Each line is 240 KB: 40 MB in all, ten times the ring.
    (0..160).for_each(|_| say());
    // What each holds is one line and a share; all the rest stays in the ring.
    let more = server.memory_kib().saturating_sub(before);
    assert!(more < 64 * 300 + 8_000, "{more} KiB more");
    drop(followers);
}

/// A token, and what could be made of it, is in no byte that the server sends or logs, whatever comes in.
#[test]
fn a_token_is_in_no_byte_that_is_sent_or_logged() {
    let (token, entry) = new_bot("ci");
    let mut server = Plume::start(&[
        ("PLUME_BOTS", &entry),
        ("PLUME_LOG", "debug"),
        ("PLUME_TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let mut ada = Client::login(&server, "Ada");
    let basic = data_encoding::BASE64.encode(format!("bot:{token}").as_bytes());
    let fields = [
        format!("Authorization: Bearer {token}"),
        format!("Authorization: Basic {basic}"),
        format!("Authorization: Bearer {token}x"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}"),
        format!("Authorization: {token}"),
        format!("Cookie: {token}\r\nX-Forwarded-For: {token}\r\nOrigin: {token}"),
    ];
    let mut sent = String::new();
    for field in &fields {
        for (line, body) in [
            ("GET /lines".to_owned(), ""),
            ("GET /lines?follow=x".to_owned(), ""),
            (format!("GET /lines?token={token}"), ""),
            (format!("GET /lines?run={token}"), ""),
            (format!("GET /{token}"), ""),
            ("POST /lines".to_owned(), "hello"),
            ("POST /lines".to_owned(), " "),
            ("DELETE /lines".to_owned(), ""),
        ] {
            let length = body.len();
            let request =
                format!("{line} HTTP/1.1\r\nHost: x\r\n{field}\r\nContent-Length: {length}\r\n\r\n{body}");
            sent += &everything(&server, request.as_bytes());
        }
    }
    sent.extend(ada.settle().iter().map(ToString::to_string));
    server.terminate();
    server.wait_stderr_left();
    let log = server.log();
    let secret = token.strip_prefix("plume_").expect("a token can be known as one");
    let digest = entry.rsplit(':').next().expect("an entry ends with the digest");
    assert!(sent.contains("hello") && log.contains("status=401") && log.contains("status=201"));
    for (what, bytes) in [("sent", &sent), ("logged", &log)] {
        let bytes = bytes.to_lowercase();
        for part in [secret, &basic, digest] {
            assert!(!bytes.contains(&part.to_lowercase()), "{what}: {part}");
        }
    }
}
