//! From HTTP to a WebSocket: who may, and how.

use crate::support::{Client, Http, Plume, frame};
use serde_json::json;
use tungstenite::handshake::derive_accept_key;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A request for an upgrade with these further header fields.
fn upgrade(fields: &[(&str, &str)]) -> String {
    let wanted = [
        ("Host", "chat.example"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];
    let own = wanted.iter().filter(|(name, _)| fields.iter().all(|(other, _)| name != other));
    // An empty value takes a field away.
    let all = own.chain(fields).filter(|(_, value)| !value.is_empty());
    let mut head = "GET /connect HTTP/1.1\r\n".to_owned();
    for (name, value) in all {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head + "\r\n"
}

/// Sends an upgrade for each row and expects this status.
fn all_answer(server: &Plume, status: u16, rows: &[&[(&str, &str)]]) {
    for row in rows {
        let answer = Http::ask(server, upgrade(row));
        assert_eq!(answer.status, status, "{row:?}: {answer:?}");
        if status != 101 {
            assert_eq!(answer.must("x-content-type-options"), "nosniff", "{row:?}");
        }
    }
}

#[test]
fn an_upgrade_is_accepted_with_its_key() {
    let server = Plume::start(&[]);
    let answer = Http::ask(&server, upgrade(&[]));
    assert_eq!(answer.status, 101);
    assert_eq!(answer.must("sec-websocket-accept"), derive_accept_key(KEY.as_bytes()));
    assert!(answer.must("upgrade").eq_ignore_ascii_case("websocket"));
    assert!(answer.must("connection").eq_ignore_ascii_case("upgrade"));
}

#[test]
fn the_words_of_an_upgrade_are_read_loosely_where_the_standard_is_loose() {
    let server = Plume::start(&[]);
    all_answer(
        &server,
        101,
        &[
            &[("Upgrade", "WebSocket")],
            &[("Connection", "keep-alive, Upgrade")],
            &[("Connection", "upgrade,keep-alive")],
            &[("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")],
            &[("Sec-WebSocket-Protocol", "chat, superchat")],
            &[("Cookie", "a=b"), ("User-Agent", "x"), ("Pragma", "no-cache")],
        ],
    );
    let query = upgrade(&[]).replace("/connect", "/connect?from=here");
    assert_eq!(Http::ask(&server, query).status, 101);
}

#[test]
fn extensions_and_subprotocols_are_not_accepted() {
    let server = Plume::start(&[]);
    let answer = Http::ask(
        &server,
        upgrade(&[("Sec-WebSocket-Extensions", "permessage-deflate"), ("Sec-WebSocket-Protocol", "chat")]),
    );
    assert_eq!(answer.header("sec-websocket-extensions"), None);
    assert_eq!(answer.header("sec-websocket-protocol"), None);
}

#[test]
fn a_request_for_no_or_another_websocket_gets_426() {
    let server = Plume::start(&[]);
    all_answer(
        &server,
        426,
        &[
            &[("Upgrade", ""), ("Connection", ""), ("Sec-WebSocket-Key", ""), ("Sec-WebSocket-Version", "")],
            &[("Upgrade", "")],
            &[("Upgrade", "h2c")],
            &[("Sec-WebSocket-Version", "8")],
            &[("Sec-WebSocket-Version", "")],
            &[("Sec-WebSocket-Version", "130")],
        ],
    );
    let answer = Http::ask(&server, upgrade(&[("Sec-WebSocket-Version", "8")]));
    assert_eq!(answer.must("sec-websocket-version"), "13", "the answer says what would do");
}

#[test]
fn a_key_that_is_not_16_bytes_in_base64_gets_400() {
    let server = Plume::start(&[]);
    all_answer(
        &server,
        400,
        &[
            &[("Sec-WebSocket-Key", "")],
            &[("Sec-WebSocket-Key", "short")],
            &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ")],
            &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==x")],
            &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZSE=")],
            &[("Sec-WebSocket-Key", "!!!!IHNhbXBsZSBub25jZQ==")],
            &[("Host", "")],
        ],
    );
}

#[test]
fn a_foreign_origin_gets_403() {
    let server = Plume::start(&[("PLUME_ORIGINS", "https://friend.example,http://other.example:8080")]);
    all_answer(
        &server,
        101,
        &[
            &[],
            &[("Origin", "http://chat.example")],
            &[("Origin", "https://chat.example")],
            &[("Origin", "https://CHAT.example")],
            &[("Host", "Chat.Example"), ("Origin", "https://chat.example")],
            &[("Host", "chat.example:4884"), ("Origin", "http://chat.example:4884")],
            &[("Host", "[::1]:4884"), ("Origin", "http://[::1]:4884")],
            &[("Origin", "https://friend.example")],
            &[("Origin", "http://other.example:8080")],
            // Some proxies leave out the port.
            &[("Origin", "https://chat.example:8443")],
        ],
    );
    all_answer(
        &server,
        403,
        &[
            &[("Origin", "https://evil.example")],
            &[("Origin", "https://chat.example.evil.example")],
            &[("Origin", "https://evilchat.example")],
            &[("Host", "chat.example:443"), ("Origin", "https://chat.example:8443")],
            &[("Host", "chat.example:4884"), ("Origin", "http://chat.example")],
            &[("Host", "chat.example:4884"), ("Origin", "http://chat.example:4885")],
            &[("Origin", "https://chat.example@evil.example")],
            &[("Origin", "https://evil.example@chat.example")],
            &[("Origin", "https://me@chat.example")],
            &[("Origin", "ftp://chat.example")],
            &[("Origin", "chat.example")],
            &[("Origin", "null")],
            &[("Origin", "file://")],
            &[("Origin", "http://friend.example")],
            &[("Origin", "http://other.example")],
            // Only a trusted proxy says which host was asked for.
            &[("Host", "inner"), ("Origin", "https://chat.example"), ("X-Forwarded-Host", "chat.example")],
        ],
    );
    assert_eq!(
        Http::ask(&server, "GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n").status,
        200,
        "the page itself is for everyone"
    );
}

#[test]
fn the_forwarded_host_of_a_trusted_proxy_is_an_own_origin() {
    let server = Plume::start(&[("PLUME_TRUSTED_PROXIES", "127.0.0.1")]);
    let forwarded =
        |host| [("Host", "inner"), ("Origin", "https://chat.example"), ("X-Forwarded-Host", host)];
    all_answer(&server, 101, &[&forwarded("chat.example"), &forwarded("chat.example, inner")]);
    all_answer(&server, 403, &[&forwarded("evil.example"), &forwarded("chat.example:8443")]);
}

#[test]
fn what_a_wrong_proxy_refuses_to_everyone_is_one_line_of_the_log_a_minute() {
    let server = Plume::start(&[]);
    let foreign: &[&[(&str, &str)]] = &[&[("Host", "127.0.0.1:4884"), ("Origin", "https://chat.example")]];
    let removed: &[&[(&str, &str)]] = &[&[("Connection", "close"), ("Upgrade", "")]];
    for _ in 0..20 {
        all_answer(&server, 403, foreign);
        all_answer(&server, 426, removed);
    }
    // These are no proxy's fault.
    let page =
        [("Upgrade", ""), ("Connection", ""), ("Sec-WebSocket-Key", ""), ("Sec-WebSocket-Version", "")];
    all_answer(&server, 426, &[&page, &[("Sec-WebSocket-Version", "8")]]);
    Client::login(&server, "Ada");
    let log = server.log();
    for (event, hint) in [("foreign-origin", "PLUME_ORIGINS"), ("upgrade-removed", "$http_upgrade")] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(event)).collect();
        assert!(lines.len() == 1 && lines[0].contains(hint), "{event}: {log}");
    }
    assert!(!log.contains("chat.example"), "what peers send is not logged: {log}");
}

#[test]
fn frames_may_come_with_the_upgrade_and_in_any_pieces() {
    let server = Plume::start(&[]);
    let hello = json!({"type": 0, "text": "Ada\nada@example.org"}).to_string();
    let message = frame(0x81, hello.as_bytes());
    let whole = [upgrade(&[]).as_bytes(), &message].concat();
    let mut at_once = Http::open(&server);
    at_once.send(&whole);
    let mut piecewise = Http::open(&server);
    whole.chunks(7).for_each(|piece| piecewise.send(piece));
    for http in [&mut at_once, &mut piecewise] {
        assert_eq!(http.answer_to_head().status, 101);
        server.code_for("Ada");
    }
}

#[test]
fn a_connection_that_fetched_the_page_may_become_a_websocket() {
    let server = Plume::start(&[]);
    let mut http = Http::open(&server);
    http.send("GET / HTTP/1.1\r\nHost: chat.example\r\n\r\n");
    http.send(upgrade(&[("Origin", "https://evil.example")]));
    http.send(upgrade(&[("Sec-WebSocket-Version", "8")]));
    assert_eq!(http.answer().status, 200);
    let refused = http.answer();
    assert_eq!(refused.status, 403);
    if refused.header("connection") != Some("close") {
        assert_eq!(http.answer().status, 426);
        http.send(upgrade(&[]));
        assert_eq!(http.answer_to_head().status, 101);
    }
}

#[test]
fn a_message_may_come_byte_by_byte() {
    let server = Plume::start(&[]);
    let mut client = Client::open(&server);
    let hello = json!({"type": 0, "text": "Ada\nada@example.org"}).to_string();
    for byte in frame(0x81, hello.as_bytes()) {
        client.send_raw(&[byte]);
    }
    client.expect(0);
}

#[test]
fn a_message_may_come_in_fragments_with_a_ping_between() {
    let server = Plume::start(&[]);
    let mut client = Client::open(&server);
    let hello = json!({"type": 0, "text": "Zoë\nzoe@example.org"}).to_string();
    // Cut in the middle of the two bytes of "ë".
    let cut = hello.find('ë').unwrap() + 1;
    let (first, second) = hello.as_bytes().split_at(cut);
    client.send_raw(
        &[frame(0x01, first), frame(0x89, b"there?"), frame(0x00, b""), frame(0x80, second)].concat(),
    );
    let hello = client.expect(0);
    assert_eq!(hello["user"]["name"], "Zoë");
}

#[test]
fn masks_are_taken_off() {
    let server = Plume::start(&[]);
    let mut client = Client::open(&server);
    // tungstenite masks with random keys: lengths of every remainder by four.
    for length in 1..=9 {
        let name = "n".repeat(length);
        client.hello(&name);
        assert_eq!(client.expect(0)["user"]["name"], name);
    }
}
