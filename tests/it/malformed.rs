//! What is not a message, not UTF-8, too big or not even a WebSocket: each ends its own connection, and no
//! other.

use crate::support::{Client, Event, Plume, frame};
use serde_json::json;

/// The longest message of a stranger and of a member, in bytes.
const STRANGER_BYTES: usize = 4 << 10;
const MEMBER_BYTES: usize = 400 << 10;

/// A message of exactly this length that means nothing.
fn padded(length: usize) -> String {
    let empty = json!({"type": 99, "text": ""}).to_string();
    json!({"type": 99, "text": "x".repeat(length - empty.len())}).to_string()
}

#[test]
fn a_text_that_is_no_message_is_told_so_and_closed() {
    let deep = "[".repeat(4_000);
    let rows = [
        "",
        " ",
        "hello",
        "{",
        "{}",
        "[]",
        "null",
        "1",
        "\"x\"",
        "[{\"type\":1}]",
        &deep,
        "{\"type\":\"1\"}",
        "{\"type\":1.5}",
        "{\"type\":null}",
        "{\"type\":true}",
        "{\"text\":\"x\"}",
        "{\"type\":1,\"text\":5}",
        "{\"type\":1,\"text\":[\"x\"]}",
        "{\"type\":1,\"user\":5}",
        "{\"type\":1,\"user\":\"Ada\"}",
        "{\"type\":1,\"user\":{\"name\":5}}",
        "{\"type\":1,\"text\":\"\\ud800\"}",
        "{\"type\":1,\"text\":\"a\nb\"}",
        "{\"type\":1} x",
        "{\"type\":1}{\"type\":1}",
        "{'type':1}",
        "{\"type\":1,}",
    ];
    let server = Plume::start(&[]);
    for row in rows {
        let mut client = Client::open(&server);
        client.send_text(row);
        let notice = client.message();
        assert_eq!((&notice["type"], &notice["reason"]), (&json!(6), &json!("malformed")), "{row:?}");
        assert!(!notice["text"].as_str().unwrap().is_empty(), "{row:?}");
        match client.next() {
            Event::Close(Some(1008)) => client.expect_end(),
            other => panic!("{row:?}: {other:?} instead of a close with 1008"),
        }
    }
}

#[test]
fn of_a_malformed_message_the_room_notices_the_leaving_only() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    bob.send_text("hello");
    bob.expect_notice("malformed");
    bob.expect_close(1008);
    ada.expect_leaves("Bob");
    ada.expect_nothing();
}

#[test]
fn what_is_not_utf8_is_closed_with_1007() {
    let server = Plume::start(&[]);
    let rows: [&[u8]; 5] = [
        b"\xff\xfe",
        b"{\"type\":1,\"text\":\"\xe9\"}",
        b"{\"type\":1,\"text\":\"\xc0\xaf\"}",
        b"{\"type\":1,\"text\":\"\xed\xa0\x80\"}",
        b"{\"type\":1,\"text\":\"\xf0\x9f\x98",
    ];
    for first in [0x81, 0x82] {
        for row in rows {
            let mut client = Client::open(&server);
            client.send_raw(&frame(first, row));
            let got = match client.next() {
                Event::Json(notice) if notice["reason"] == "malformed" => client.next(),
                other => other,
            };
            assert_eq!(got, Event::Close(Some(1007)), "{first:#x} {row:?}");
            client.expect_end();
        }
    }
}

#[test]
fn a_binary_frame_with_json_is_a_message() {
    let server = Plume::start(&[]);
    let mut client = Client::open(&server);
    let hello = json!({"type": 0, "text": "Ada\nada@example.org"}).to_string();
    client.send_raw(&frame(0x82, hello.as_bytes()));
    client.expect(0);
}

#[test]
fn unknown_fields_and_types_mean_nothing() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    for kind in [3, 4, 5, 6, 10, 99, -1, i64::from(i32::MAX)] {
        ada.send(&json!({"type": kind, "text": "x", "user": {"name": "y"}}));
    }
    ada.expect_nothing();
    let mut stranger = Client::open(&server);
    for kind in [1, 3, 4, 5, 6, 8, 10, 99, -1] {
        stranger.send(&json!({"type": kind, "text": "x"}));
    }
    stranger.expect_nothing();
    let forged = json!({
        "type": 1, "text": "kept", "id": 1, "time": 1, "event": "leave", "more": {"x": [null, 1e9]},
        "user": {"name": "Eve", "email": "eve@example.org"}
    });
    ada.send(&forged);
    let line = ada.expect_line("Ada", "kept");
    assert_eq!(line.get("event"), None, "nobody can forge an event: {line}");
    assert_eq!(line.get("more"), None, "{line}");
    stranger.expect_nothing();
}

#[test]
fn a_stranger_who_sends_too_much_is_closed_with_1009() {
    let server = Plume::start(&[]);
    let mut fits = Client::open(&server);
    fits.send_text(&padded(STRANGER_BYTES));
    fits.expect_nothing();
    let half = "x".repeat(STRANGER_BYTES / 2 + 1);
    let fragments = [frame(0x01, half.as_bytes()), frame(0x80, half.as_bytes())].concat();
    // A header is enough: nobody has to send what it announces.
    let mut announced = vec![0x81, 0x80 | 0x7f];
    announced.extend((1_u64 << 40).to_be_bytes());
    announced.extend([0; 4]);
    for bytes in [frame(0x81, padded(STRANGER_BYTES + 1).as_bytes()), fragments, announced] {
        let mut client = Client::open(&server);
        client.send_raw(&bytes);
        client.expect_close(1009);
    }
}

#[test]
fn a_member_who_sends_too_much_is_closed_with_1009() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut ada = Client::login(&server, "Ada");
    ada.send_text(&padded(MEMBER_BYTES));
    ada.expect_nothing();
    ada.send_text(&padded(MEMBER_BYTES + 1));
    ada.expect_close(1009);
}

#[test]
fn what_breaks_the_websocket_protocol_is_closed_with_1002() {
    let server = Plume::start(&[]);
    let unmasked = vec![0x81, 0x02, b'{', b'}'];
    let rows = [
        ("unmasked", unmasked),
        ("a reserved bit", frame(0xc1, b"{}")),
        ("a reserved data opcode", frame(0x83, b"{}")),
        ("a reserved control opcode", frame(0x8b, b"")),
        ("a fragmented ping", frame(0x09, b"")),
        ("a ping of 126 bytes", frame(0x89, &[b'x'; 126])),
        ("a continuation of nothing", frame(0x80, b"{}")),
        ("a text within a text", [frame(0x01, b"{"), frame(0x81, b"}")].concat()),
        ("a close of one byte", frame(0x88, b"x")),
        ("a close with a code that is never sent", frame(0x88, &1005_u16.to_be_bytes())),
    ];
    for (what, bytes) in rows {
        let mut client = Client::open(&server);
        client.send_raw(&bytes);
        assert_eq!(client.next(), Event::Close(Some(1002)), "{what}");
        client.expect_end();
    }
}

#[test]
fn a_hello_with_bad_contents_is_told_why_and_may_try_again() {
    let long = "n".repeat(121);
    let wide = "é".repeat(61);
    let long_address = format!("{}@example.org", "a".repeat(110));
    let rows = [
        ("", "a@example.org", "bad-name"),
        ("   ", "a@example.org", "bad-name"),
        (&long, "a@example.org", "bad-name"),
        (&wide, "a@example.org", "bad-name"),
        ("A\u{0}da", "a@example.org", "bad-name"),
        ("A\u{1b}[31mda", "a@example.org", "bad-name"),
        ("A\u{7f}da", "a@example.org", "bad-name"),
        ("A\u{202e}da", "a@example.org", "bad-name"),
        ("A\u{2066}da", "a@example.org", "bad-name"),
        ("A\u{200b}da", "a@example.org", "bad-name"),
        ("A\u{ad}da", "a@example.org", "bad-name"),
        // One name, two scripts: the o is Cyrillic.
        ("plumeb\u{43e}t", "a@example.org", "bad-name"),
        ("\u{feff}Ada", "a@example.org", "bad-name"),
        ("Ada", "", "bad-email"),
        ("Ada", "a@1.2.3.4", "bad-email"),
        ("Ada", "a\u{200b}b@example.org", "bad-email"),
        ("Ada", "example.org", "bad-email"),
        ("Ada", "@example.org", "bad-email"),
        ("Ada", "a@", "bad-email"),
        ("Ada", "a@b@example.org", "bad-email"),
        ("Ada", "a b@example.org", "bad-email"),
        ("Ada", "a..b@example.org", "bad-email"),
        ("Ada", "Ada <a@example.org>", "bad-email"),
        ("Ada", "<a@example.org>", "bad-email"),
        ("Ada", "a@example.org (Ada)", "bad-email"),
        ("Ada", "\"a\"@example.org", "bad-email"),
        ("Ada", "a@example.org, b@example.org", "bad-email"),
        ("Ada", "a@example.org\r\nBcc: b@example.org", "bad-email"),
        ("Ada", &long_address, "bad-email"),
    ];
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut client = Client::open(&server);
    for (name, email, reason) in rows {
        client.hello_as(name, email);
        let notice = client.message();
        assert_eq!((&notice["type"], &notice["reason"]), (&json!(6), &json!(reason)), "{name:?} {email:?}");
        assert!(!notice["text"].as_str().unwrap().is_empty(), "{name:?} {email:?}");
    }
    for text in ["", "no line end"] {
        client.send(&json!({"type": 0, "text": text}));
        let notice = client.expect(6);
        assert!(!notice["text"].as_str().unwrap().is_empty(), "{text:?}: {notice}");
    }
    client.send(&json!({"type": 0}));
    client.expect(6);
    client.hello("Ada");
    client.expect(0);
}

#[test]
fn names_and_addresses_up_to_the_limits_are_taken() {
    let long = "n".repeat(120);
    let wide = "é".repeat(60);
    let long_address = format!("a@{}.{}.example", "b".repeat(60), "c".repeat(49));
    assert_eq!(long_address.len(), 120);
    let rows = [
        (long.as_str(), "a@example.org", long.as_str()),
        (&wide, "b@example.org", &wide),
        ("  Ada   King ", "ada+king@example.org", "Ada King"),
        ("\u{a0}Ada\u{2003}\u{3000}Lovelace", "ada.l@example.org", "Ada Lovelace"),
        ("<b>\"Eve\" & 'Mallory'</b>", "eve@sub.domain.example.org", "<b>\"Eve\" & 'Mallory'</b>"),
        ("Зоя", "x_y-z@example.org", "Зоя"),
        ("José", "jose@example.org", "José"),
        ("O'Brien 🐙", "ob@example.org", "O'Brien 🐙"),
        ("李雷 Ken", "ken@example.org", "李雷 Ken"),
        ("Lou", &long_address, "Lou"),
    ];
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut client = Client::open(&server);
    for (name, email, shown) in rows {
        client.hello_as(name, email);
        let hello = client.message();
        assert_eq!(
            (&hello["type"], &hello["user"]["name"]),
            (&json!(0), &json!(shown)),
            "{name:?} {email:?}"
        );
        server.code_for(shown);
    }
}
