//! Messages of a client: no text makes the parser panic, only objects of the protocol's shape are messages,
//! and a text comes out of the room as it went in.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use plume::message::{self, ClientMessage, Details, Line, ServerMessage, types};
use plume::websocket::TextFrame;
use plume_fuzz::limits::limited;
use plume_fuzz::{TEXT, first_frame};
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(input) else { return Corpus::Reject };
    limited(|| check(text));
    Corpus::Keep
});

fn check(text: &str) {
    let message = message::parse(text);
    assert_eq!(message, message::parse(text), "one text, one meaning");
    if let Some(message) = message {
        // One byte order mark before the JSON is ignored.
        let json = text.strip_prefix('\u{feff}').unwrap_or(text);
        assert!(json.trim_start().starts_with('{'), "only an object is a message");
        // Another reader may refuse what stands in fields that nobody knows, such as 1e999.
        if let Ok(value) = serde_json::from_str(json) {
            check_meaning(&message, &value);
        }
    }
    check_round_trip(text);
}

/// What was understood is what is written there.
fn check_meaning(message: &ClientMessage<'_>, value: &Value) {
    let said = |field: &str| value[field].as_str();
    let kind = value["type"].as_i64().expect("a type is an integer");
    assert!(value["user"].is_object() || value["user"].is_null(), "a user is an object");
    let text = said("text").unwrap_or_default();
    match message {
        ClientMessage::Hello(None) => assert!(kind == types::HELLO && !text.contains('\n')),
        ClientMessage::Hello(Some(hello)) => {
            assert_eq!(kind, types::HELLO);
            assert_eq!(text.split_once('\n'), Some((hello.name(), hello.email())));
        }
        ClientMessage::Text { text: spoken, reference } => {
            assert_eq!((kind, text, said("ref")), (types::TEXT, spoken.as_ref(), reference.as_deref()));
        }
        ClientMessage::Auth { code, flow } => {
            assert_eq!((kind, text, said("flow")), (types::AUTH, code.as_ref(), flow.as_deref()));
        }
        ClientMessage::Resume { token, run, after } => {
            assert_eq!((kind, text, said("run")), (types::RESUME, token.as_ref(), run.as_deref()));
            assert_eq!(value["after"].as_u64(), *after);
        }
        ClientMessage::Leave => assert_eq!(kind, types::LEAVE),
        ClientMessage::Ping(asked) => assert_eq!((kind, text), (types::PING, asked.as_ref())),
        ClientMessage::ServerOnly => {
            assert!((types::AUTH_ACK..=types::NOTICE).contains(&kind) || kind == types::GONE);
        }
        ClientMessage::Unknown => assert!(!(types::HELLO..=types::GONE).contains(&kind)),
    }
}

/// Any text at all can be said, and is heard by all as it was said.
fn check_round_trip(text: &str) {
    let sent = json!({ "type": types::TEXT, "text": text, "ref": text }).to_string();
    let Some(ClientMessage::Text { text: spoken, reference }) = message::parse(&sent) else {
        panic!("a text is a text");
    };
    assert_eq!((spoken.as_ref(), reference.as_deref()), (text, Some(text)));
    let line = Line {
        time: 5,
        name: text,
        text: &spoken,
        event: None,
        reference: reference.as_deref(),
        details: Details::default(),
    };
    let mut frame = TextFrame::default();
    let frame = frame.build(|out| ServerMessage::line(7, &line).write(out));
    let (first, json, _) = first_frame(frame).expect("a whole frame");
    assert_eq!(first, TEXT);
    let heard: Value = serde_json::from_slice(json).expect("JSON");
    let said = json!({ "type": types::TEXT, "id": 7, "time": 5, "user": { "name": text }, "text": text, "ref": text });
    assert_eq!(heard, said);
    let logged = message::parse_line(json).expect("a line of the log");
    assert_eq!((logged.id, &*logged.name, &*logged.text, logged.event), (7, text, text, None));
}
