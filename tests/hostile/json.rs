//! JSON at its worst: one clear answer, and the room goes on.

use crate::onlooker::Onlooker;
use crate::support::{Client, Event, Plume};

/// What comes of a message from somebody who is in.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// A line with this text.
    Line(&'static str),
    /// A notice, and a close with 1008.
    Malformed,
    /// Nothing at all.
    Nothing,
}

use Outcome::{Line, Malformed, Nothing};

/// Sends each row on a connection of its own.
fn assert_rows<'a>(rows: impl IntoIterator<Item = (&'a str, Outcome)>) {
    let server = Plume::start(&[("PLUME_RATE", "100000"), ("PLUME_HISTORY", "0")]);
    let ada = Client::login(&server, "Ada");
    let onlooker = Onlooker::join(&server);
    for (row, expected) in rows {
        let shown = row.get(..80).unwrap_or(row);
        let mut client = Client::resume_of(&server, &ada, None);
        client.send_text(row);
        match expected {
            Line(text) => {
                client.send(&serde_json::json!({"type": 9, "text": "done"}));
                let messages = read_until_done(&mut client);
                assert!(messages.iter().any(|line| line["text"] == text), "{shown}: {messages:?}");
            }
            Nothing => {
                client.send(&serde_json::json!({"type": 9, "text": "done"}));
                let messages = read_until_done(&mut client);
                let own = messages.iter().filter(|line| line["user"]["name"] != "Onlooker").count();
                assert_eq!(own, 0, "{shown}: {messages:?}");
            }
            Malformed => assert_malformed(&mut client, shown),
        }
    }
    onlooker.finish();
}

fn read_until_done(client: &mut Client) -> Vec<serde_json::Value> {
    let mut messages = Vec::new();
    loop {
        let message = client.message();
        if message["type"] == 9 {
            return messages;
        }
        messages.push(message);
    }
}

fn assert_malformed(client: &mut Client, row: &str) {
    let mut is_told = false;
    loop {
        match client.next() {
            Event::Json(message) => {
                is_told |= message["reason"] == "malformed";
                assert_ne!(message["user"]["name"], "Ada", "{row}: {message}");
            }
            Event::Close(Some(1008)) => break assert!(is_told, "{row}: closed without a word"),
            Event::Ping | Event::Pong(_) => {}
            other => panic!("{row}: {other:?}"),
        }
    }
}

#[test]
fn deep_nesting_is_no_way_down() {
    let deep = 100_000;
    let arrays = "[".repeat(deep);
    let closed = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    let objects = "{\"a\":".repeat(deep / 2);
    let as_type = format!("{{\"type\":{closed}}}");
    let as_text = format!("{{\"type\":1,\"text\":{closed}}}");
    let as_user = format!("{{\"type\":1,\"text\":\"x\",\"user\":{closed}}}");
    let in_user = format!("{{\"type\":1,\"text\":\"in user\",\"user\":{{\"more\":{closed}}}}}");
    let in_more = format!("{{\"type\":1,\"text\":\"in more\",\"more\":{closed}}}");
    let open = format!("{{\"type\":1,\"text\":\"x\",\"more\":{arrays}");
    assert_rows([
        (&*arrays, Malformed),
        (&*closed, Malformed),
        (&*objects, Malformed),
        (&*as_type, Malformed),
        (&*as_text, Malformed),
        (&*as_user, Malformed),
        (&*open, Malformed),
        // A field that nobody knows is passed over, whatever is in it.
        (&*in_more, Line("in more")),
        (&*in_user, Line("in user")),
    ]);
}

#[test]
fn numbers_beyond_sixty_four_bits_have_one_meaning_or_none() {
    let digits = "9".repeat(100_000);
    let long = format!("{{\"type\":1,\"text\":\"long\",\"more\":{digits}}}");
    let long_type = format!("{{\"type\":{digits}}}");
    assert_rows([
        (r#"{"type":9223372036854775807,"text":"x"}"#, Nothing),
        (r#"{"type":-9223372036854775808,"text":"x"}"#, Nothing),
        (r#"{"type":-1,"text":"x"}"#, Nothing),
        (r#"{"type":9223372036854775808,"text":"x"}"#, Malformed),
        (r#"{"type":-9223372036854775809,"text":"x"}"#, Malformed),
        (r#"{"type":18446744073709551617,"text":"x"}"#, Malformed),
        (r#"{"type":4294967297,"text":"x"}"#, Nothing),
        (r#"{"type":257,"text":"x"}"#, Nothing),
        (r#"{"type":1.0,"text":"x"}"#, Malformed),
        (r#"{"type":1e0,"text":"x"}"#, Malformed),
        (r#"{"type":1e400,"text":"x"}"#, Malformed),
        (r#"{"type":01,"text":"x"}"#, Malformed),
        (r#"{"type":+1,"text":"x"}"#, Malformed),
        (r#"{"type":0x1,"text":"x"}"#, Malformed),
        (r#"{"type":1.,"text":"x"}"#, Malformed),
        (r#"{"type":NaN,"text":"x"}"#, Malformed),
        (r#"{"type":Infinity,"text":"x"}"#, Malformed),
        (r#"{"type":1,"text":"x","after":18446744073709551616}"#, Malformed),
        (r#"{"type":1,"text":"x","after":-1}"#, Malformed),
        (r#"{"type":1,"text":"big id","id":18446744073709551616}"#, Line("big id")),
        (r#"{"type":1,"text":"big exponent","more":1e99999}"#, Line("big exponent")),
        (&*long, Line("long")),
        (&*long_type, Malformed),
    ]);
}

#[test]
fn characters_that_are_none_are_refused() {
    assert_rows([
        (r#"{"type":1,"text":"\ud800"}"#, Malformed),
        (r#"{"type":1,"text":"\udc00"}"#, Malformed),
        (r#"{"type":1,"text":"\udc00\ud800"}"#, Malformed),
        (r#"{"type":1,"text":"\ud800\ud800"}"#, Malformed),
        (r#"{"type":1,"text":"\ud83dx"}"#, Malformed),
        (r#"{"type":1,"text":"\ud83d\u0041"}"#, Malformed),
        (r#"{"type":1,"text":"\ud83d\u"}"#, Malformed),
        (r#"{"type":1,"text":"\u12"}"#, Malformed),
        (r#"{"type":1,"text":"\u{41}"}"#, Malformed),
        (r#"{"type":1,"text":"\x41"}"#, Malformed),
        (r#"{"type":1,"text":"\0"}"#, Malformed),
        ("{\"type\":1,\"text\":\"\0\"}", Malformed),
        ("{\"type\":1,\"text\":\"a\tb\"}", Malformed),
        (r#"{"type":1,"text":"\ud83d\ude00"}"#, Line("\u{1f600}")),
        (r#"{"type":1,"text":"\udbff\udfff"}"#, Line("\u{10ffff}")),
        (r#"{"type":1,"text":"nul \u0000"}"#, Line("nul \0")),
        (r#"{"type":1,"text":"\ufeff\u2028\ufffe"}"#, Line("\u{feff}\u{2028}\u{fffe}")),
    ]);
}

#[test]
fn what_is_said_twice_or_beside_it_is_refused() {
    assert_rows([
        (r#"{"type":1,"type":1,"text":"x"}"#, Malformed),
        (r#"{"type":2,"text":"x","type":1}"#, Malformed),
        (r#"{"type":1,"text":"x","text":"y"}"#, Malformed),
        (r#"{"type":1,"text":"x","te\u0078t":"y"}"#, Malformed),
        (r#"{"type":1,"text":"x","user":{"name":"a"},"user":{"name":"b"}}"#, Malformed),
        (r#"{"type":1,"text":"x","user":{"name":"a","name":"b"}}"#, Malformed),
        (r#"{"type":1,"text":"two","more":1,"more":2}"#, Line("two")),
        (r#"{"type":1,"text":"x"}{"type":1,"text":"y"}"#, Malformed),
        (r#"{"type":1,"text":"x"} {"type":1,"text":"y"}"#, Malformed),
        (r#"{"type":1,"text":"x"},"#, Malformed),
        (r#"{"type":1,"text":"x"}]"#, Malformed),
        ("{\"type\":1,\"text\":\"x\"}\0", Malformed),
        (r#"[{"type":1,"text":"x"}]"#, Malformed),
        (r#"[1,null,"x"]"#, Malformed),
        (r#"{"type":1,"text":"x"} // more"#, Malformed),
        (r#"{/**/"type":1,"text":"x"}"#, Malformed),
        ("\u{a0}{\"type\":1,\"text\":\"x\"}", Malformed),
        (" \r\n\t{ \"type\" : 1 , \"text\" : \"spaces\" } \r\n", Line("spaces")),
        (r#"{"\u0074ype":1,"text":"escaped key"}"#, Line("escaped key")),
        (r#"{"TYPE":9,"type":1,"Text":"y","text":"case matters"}"#, Line("case matters")),
    ]);
}
