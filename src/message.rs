//! The JSON messages of the wire protocol, in both directions. Owns their types and encoding; never decides
//! how to react to a message. The only user of the JSON library.

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Type numbers of messages, under the protocol's names.
pub mod types {
    /// Requests a login code; the reply says that one is on its way.
    pub const HELLO: i64 = 0;
    /// A chat line.
    pub const TEXT: i64 = 1;
    /// A login code.
    pub const AUTH: i64 = 2;
    /// Login succeeded.
    pub const AUTH_ACK: i64 = 3;
    /// The code or token is not valid.
    pub const AUTH_RST: i64 = 4;
    /// Not admitted under this name.
    pub const MAY_NOT_ENTER: i64 = 5;
    /// A notice from the server to one client.
    pub const NOTICE: i64 = 6;
    /// A session token.
    pub const RESUME: i64 = 7;
    /// Log out.
    pub const LEAVE: i64 = 8;
    /// Checks the connection. The reply has the same type and text.
    pub const PING: i64 = 9;
    /// Stands in the place of a deleted line.
    pub const GONE: i64 = 10;
}

/// A message from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// Requests a login code. `None`: there is no line break between name and address.
    Hello(Option<Hello<'a>>),
    /// A chat line for the room.
    Text {
        /// The text of the line.
        text: Cow<'a, str>,
        /// The sender's correlation id.
        reference: Option<Cow<'a, str>>,
    },
    /// A login code, with the token of its flow if the flow began on another connection.
    Auth {
        /// The code as typed.
        code: Cow<'a, str>,
        /// The flow token.
        flow: Option<Cow<'a, str>>,
    },
    /// A session token, and the position to resume from.
    Resume {
        /// The session token.
        token: Cow<'a, str>,
        /// The server run in which `after` was seen.
        run: Option<Cow<'a, str>>,
        /// The id of the last line seen.
        after: Option<u64>,
    },
    /// Log out.
    Leave,
    /// Requests a reply with the same text.
    Ping(Cow<'a, str>),
    /// A type that only the server sends.
    ServerOnly,
    /// An unknown type.
    Unknown,
}

/// The two lines of a hello.
#[derive(Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The whole text: the name before the first line break, the address after it.
    text: Cow<'a, str>,
    line_end: usize,
}

impl<'a> Hello<'a> {
    fn split(text: Cow<'a, str>) -> Option<Self> {
        let line_end = text.find('\n')?;
        Some(Self { text, line_end })
    }

    /// The name, as typed.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[..self.line_end]
    }

    /// The email address, as typed.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.text[self.line_end + 1..]
    }
}

/// Parses one message. `None`: it is not JSON of the protocol's shape.
#[must_use]
pub fn parse(json: &str) -> Option<ClientMessage<'_>> {
    let raw: RawMessage<'_> = parse_object(json)?;
    let text = raw.text.unwrap_or_default();
    Some(match raw.kind {
        types::HELLO => ClientMessage::Hello(Hello::split(text)),
        types::TEXT => ClientMessage::Text { text, reference: raw.reference },
        types::PING => ClientMessage::Ping(text),
        types::AUTH => ClientMessage::Auth { code: text, flow: raw.flow },
        types::RESUME => ClientMessage::Resume { token: text, run: raw.run, after: raw.after },
        types::LEAVE => ClientMessage::Leave,
        types::AUTH_ACK | types::AUTH_RST | types::MAY_NOT_ENTER | types::NOTICE | types::GONE => {
            ClientMessage::ServerOnly
        }
        _ => ClientMessage::Unknown,
    })
}

/// What a bot says.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct BotMessage<'a> {
    /// The text of the line.
    #[serde(borrow)]
    pub(crate) text: Cow<'a, str>,
    /// The bot's correlation id.
    #[serde(borrow, default, rename = "ref", deserialize_with = "optional")]
    pub(crate) reference: Option<Cow<'a, str>>,
}

impl BotMessage<'_> {
    pub(crate) fn into_owned(self) -> BotMessage<'static> {
        let reference = self.reference.map(|reference| Cow::Owned(reference.into_owned()));
        BotMessage { text: Cow::Owned(self.text.into_owned()), reference }
    }
}

/// Parses what a bot says. `None`: it is not JSON of this shape, or has no text.
pub(crate) fn parse_of_bot(json: &str) -> Option<BotMessage<'_>> {
    parse_object(json)
}

/// The answer to a bot that has said a line.
#[derive(Debug, Serialize)]
pub(crate) struct Said<'a> {
    pub(crate) id: u64,
    pub(crate) run: &'a str,
    /// Whether the text was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cut: bool,
}

impl Said<'_> {
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Appends the JSON that stands in the place of a deleted line, and spaces up to `bytes` in all.
pub(crate) fn write_gone(id: u64, bytes: usize, out: &mut Vec<u8>) {
    let json = format!(r#"{{"type":{},"id":{id}}}"#, types::GONE);
    out.extend_from_slice(json.as_bytes());
    out.extend(std::iter::repeat_n(b' ', bytes.saturating_sub(json.len())));
}

/// A line of the room as it stands in the log.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct LoggedLine<'a> {
    #[serde(rename = "type")]
    kind: i64,
    /// Its id.
    pub id: u64,
    /// When it was said, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// The name of its sender.
    #[serde(borrow, rename = "user", deserialize_with = "name_of_user")]
    pub name: Cow<'a, str>,
    /// Its text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// What it announces, if nobody said it.
    #[serde(borrow, default, deserialize_with = "optional")]
    pub event: Option<Cow<'a, str>>,
    /// Its sender's correlation id.
    #[serde(borrow, default, rename = "ref", deserialize_with = "optional")]
    pub reference: Option<Cow<'a, str>>,
    /// Whether a bot said it.
    #[serde(default)]
    pub bot: bool,
}

/// Parses the JSON of a line of the room. `None`: it is no line, or not any more.
#[must_use]
pub fn parse_line(json: &[u8]) -> Option<LoggedLine<'_>> {
    serde_json::from_slice(json).ok().filter(|line: &LoggedLine<'_>| line.kind == types::TEXT)
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(rename = "type")]
    kind: i64,
    /// Checked for its shape only: the server knows the sender from its session.
    #[serde(borrow)]
    #[expect(dead_code, reason = "what a client says of itself is not believed")]
    user: Option<Object<RawUser<'a>>>,
    #[serde(borrow, default, deserialize_with = "optional")]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "optional")]
    flow: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "optional")]
    run: Option<Cow<'a, str>>,
    after: Option<u64>,
    #[serde(borrow, default, rename = "ref", deserialize_with = "optional")]
    reference: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawUser<'a> {
    #[serde(borrow)]
    #[expect(dead_code, reason = "what a client says of itself is not believed")]
    name: Option<Text<'a>>,
}

/// A string, borrowed if it has no escapes. (Inside an `Option` serde would always make a bare `Cow` owned.)
#[derive(Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn optional<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    let text: Option<Text<'de>> = Option::deserialize(field)?;
    Ok(text.map(|text| text.0))
}

fn name_of_user<'de, D: Deserializer<'de>>(field: D) -> Result<Cow<'de, str>, D::Error> {
    #[derive(Deserialize)]
    struct SaidBy<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    SaidBy::deserialize(field).map(|user| user.name)
}

/// Parses an object. A byte order mark before it is ignored (RFC 8259, section 8.1).
fn parse_object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let Object(parsed) = serde_json::from_str(json).ok()?;
    Some(parsed)
}

/// A JSON object. Without this wrapper serde would also read a struct from an array of its fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

/// A message from the server. What has no meaning in a message is left out.
#[derive(Debug, Default, Serialize)]
pub struct ServerMessage<'a> {
    #[serde(rename = "type")]
    kind: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    user: User<'a>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    #[serde(flatten)]
    details: Details<'a>,
    #[serde(flatten)]
    answer: Answer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chars: Option<usize>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    welcome: Option<Welcome<'a>>,
}

#[derive(Debug, Default, Serialize)]
struct User<'a> {
    name: &'a str,
}

/// A chat line of the room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line<'a> {
    /// When the line was broadcast, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// The sender's name.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
    /// What the line announces: `enter`, `leave`, `delete`, or a moderator's act.
    pub event: Option<&'static str>,
    /// The sender's correlation id.
    pub reference: Option<&'a str>,
    /// What else programs need to know.
    pub details: Details<'a>,
}

/// Details of a line, each only where it has a meaning.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Details<'a> {
    /// Whether a bot says it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bot: bool,
    /// Of a moderator's act: the name of the user, or the `@domain`, that the act is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<&'a str>,
    /// When it ends, in milliseconds since 1970-01-01 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The topic; empty if it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<&'a str>,
    /// Seconds between two lines of one person; zero if slow mode is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<u64>,
    /// The ids of the lines that were deleted, in rising order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<&'a [u64]>,
}

/// What a private answer to a line or command carries.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Answer<'a> {
    /// The correlation id of the line that it answers.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<&'a str>,
    /// Why it is refused, in a word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    /// Seconds after which it may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<u64>,
}

/// The state of the room, for a new member.
#[derive(Debug, Serialize)]
pub(crate) struct Welcome<'a> {
    pub(crate) run: &'a str,
    pub(crate) version: &'a str,
    /// Users present in the room.
    pub(crate) count: usize,
    /// The names of the users who have been present longest, in order of entering.
    pub(crate) names: Vec<&'a str>,
    /// The id of the newest line that `count` and `names` account for.
    pub(crate) last: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) moderator: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<&'a str>,
    /// Seconds between two lines of one person in slow mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slow: Option<u64>,
    /// Seconds for which the new member is still muted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) muted: Option<u64>,
}

impl<'a> ServerMessage<'a> {
    fn new(kind: i64, name: &'a str, text: &'a str) -> Self {
        Self { kind, user: User { name }, text, ..Self::default() }
    }

    /// A code is on its way to the user who will appear as `name`; it has the usual number of characters, or
    /// else `chars`.
    pub(crate) fn hello(name: &'a str, flow_token: &'a str, chars: Option<usize>) -> Self {
        Self { chars, ..Self::new(types::HELLO, name, flow_token) }
    }

    /// A chat line of the room, with its id.
    #[must_use]
    pub fn line(id: u64, line: &Line<'a>) -> Self {
        let Line { time, name, text, event, reference, details } = *line;
        let answer = Answer { reference, ..Answer::default() };
        Self { id: Some(id), event, details, ..Self::answer(time, name, text, answer) }
    }

    /// The reply to a ping.
    pub(crate) fn ping(text: &'a str) -> Self {
        Self::new(types::PING, "", text)
    }

    /// A line sent to one client only.
    pub(crate) fn aside(time: u64, name: &'a str, text: &'a str) -> Self {
        Self { time: Some(time), ..Self::new(types::TEXT, name, text) }
    }

    /// The private answer to a line or command of one client.
    pub(crate) fn answer(time: u64, name: &'a str, text: &'a str, answer: Answer<'a>) -> Self {
        Self { answer, ..Self::aside(time, name, text) }
    }

    /// Confirms a login, with the session token.
    pub(crate) fn auth_ack(name: &'a str, session_token: &'a str, welcome: Welcome<'a>) -> Self {
        Self { welcome: Some(welcome), ..Self::new(types::AUTH_ACK, name, session_token) }
    }

    /// The code or token is not valid; `left` tries remain.
    pub(crate) fn auth_rst(left: u8) -> Self {
        Self { left: Some(left), ..Self::new(types::AUTH_RST, "", "") }
    }

    pub(crate) fn may_not_enter(name: &'a str, refusal: MayNotEnter) -> Self {
        let (reason, text, retry) = match refusal {
            MayNotEnter::NotAdmitted => {
                ("not-admitted", "This chat is not open to that email address. Ask its moderators.", None)
            }
            MayNotEnter::Locked(seconds) => {
                ("locked", "This chat takes no newcomers now. Please try again later.", Some(seconds))
            }
            MayNotEnter::NameTaken => {
                ("name-taken", "That name is taken, or too similar to one that is.", None)
            }
            MayNotEnter::TooManyNames => (
                "too-many-names",
                "This email address has three names already. Please use one of them.",
                None,
            ),
        };
        let answer = Answer { reason: Some(reason), retry, ..Answer::default() };
        Self { answer, ..Self::new(types::MAY_NOT_ENTER, name, text) }
    }

    pub(crate) fn notice(notice: Notice) -> Self {
        let (reason, sentence, retry) = notice.words();
        let answer = Answer { reason: Some(reason), retry, ..Answer::default() };
        Self { answer, ..Self::new(types::NOTICE, "", sentence) }
    }

    /// Appends the JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("strings and numbers always become JSON");
    }
}

/// Why a guest may not enter under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MayNotEnter {
    /// The email address may not come in.
    NotAdmitted,
    /// No newcomers; retry after so many seconds.
    Locked(u64),
    NameTaken,
    TooManyNames,
}

/// A notice to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Not JSON of the protocol's shape.
    Malformed,
    /// A hello without a line break between name and address.
    NoLineEnd,
    /// The name is not acceptable, for this reason.
    BadName(&'static str),
    BadEmail,
    /// Too many emails; retry after so many seconds.
    MailLimited(u64),
    /// A code was sent recently and is still valid; it can be sent again after so many seconds.
    CodeSentLately(u64),
    MailFailed,
    /// Too many wrong codes or tokens.
    TooManyTries,
    /// The line was truncated.
    TooLong,
    /// Missed lines are no longer available.
    Gap,
    Restarting,
    /// The node is without the log that nodes share.
    Apart,
}

impl Notice {
    /// Its word for programs, its sentence for people, and the seconds to wait where waiting helps.
    const fn words(self) -> (&'static str, &'static str, Option<u64>) {
        match self {
            Self::Malformed => ("malformed", "Malformed message.", None),
            Self::NoLineEnd => {
                ("malformed", "A hello needs a name, a line break and an email address.", None)
            }
            Self::BadName(why) => ("bad-name", why, None),
            Self::BadEmail => ("bad-email", "That does not look like an email address.", None),
            Self::MailLimited(seconds) => {
                ("mail-limited", "Too many login emails. Please try again later.", Some(seconds))
            }
            Self::CodeSentLately(seconds) => (
                "mail-limited",
                "A code was sent to this address recently and is still valid.",
                Some(seconds),
            ),
            Self::MailFailed => {
                ("mail-failed", "The email with your code could not be sent. Please try again.", None)
            }
            Self::TooManyTries => ("too-many-tries", "Too many wrong codes. Please try again later.", None),
            Self::TooLong => ("too-long", "Your message was too long and has been shortened.", None),
            Self::Gap => ("gap", "Some messages that you missed are no longer available.", None),
            Self::Restarting => ("restarting", "The server restarts and will be back soon.", None),
            Self::Apart => (
                "apart",
                "This server has lost touch with the others. What you say waits until it is back.",
                None,
            ),
        }
    }

    pub(crate) const fn sentence(self) -> &'static str {
        self.words().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(message: &ServerMessage<'_>) -> String {
        let mut out = Vec::new();
        message.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_client_may_say() {
        let text = |text: &'static str| Some(ClientMessage::Text { text: text.into(), reference: None });
        let rows = [
            (r#"{"type":1,"user":{"name":"x"},"text":"hi"}"#, text("hi")),
            (r#"{"type":1}"#, text("")),
            ("\u{feff}{\"type\":1,\"text\":\"hi\"}", text("hi")),
            (r#"{"type":1,"user":{},"text":null}"#, text("")),
            (r#" {"type":1,"text":"a\nb","more":[1e999,{"x":{}}]} "#, text("a\nb")),
            (r#"{"type":0,"text":"ada"}"#, Some(ClientMessage::Hello(None))),
            (r#"{"type":2,"text":" k "}"#, Some(ClientMessage::Auth { code: " k ".into(), flow: None })),
            (
                r#"{"type":2,"text":"k","flow":"f"}"#,
                Some(ClientMessage::Auth { code: "k".into(), flow: Some("f".into()) }),
            ),
            (
                r#"{"type":7,"text":"t","run":"r","after":7}"#,
                Some(ClientMessage::Resume { token: "t".into(), run: Some("r".into()), after: Some(7) }),
            ),
            (
                r#"{"type":1,"text":"hi","ref":"r1"}"#,
                Some(ClientMessage::Text { text: "hi".into(), reference: Some("r1".into()) }),
            ),
            (r#"{"type":8}"#, Some(ClientMessage::Leave)),
            (r#"{"type":9,"text":"x"}"#, Some(ClientMessage::Ping("x".into()))),
            (r#"{"type":3}"#, Some(ClientMessage::ServerOnly)),
            (r#"{"type":10,"id":7}"#, Some(ClientMessage::ServerOnly)),
            (r#"{"type":99}"#, Some(ClientMessage::Unknown)),
            (r#"{"type":-1}"#, Some(ClientMessage::Unknown)),
        ];
        for (json, message) in rows {
            assert_eq!(parse(json), message, "{json}");
        }
        let Some(ClientMessage::Hello(Some(hello))) = parse(r#"{"type":0,"text":"ada\nada@example.org\n"}"#)
        else {
            panic!("a hello");
        };
        assert_eq!((hello.name(), hello.email()), ("ada", "ada@example.org\n"));
    }

    #[test]
    fn what_is_no_message() {
        let deep = "[".repeat(100_000);
        let rows = [
            "",
            "null",
            "[]",
            "1",
            r#"[1,null,"hi",null,null,null,null]"#,
            r#"{"type":1,"user":["ada"]}"#,
            "{}",
            r#"{"type":"1"}"#,
            r#"{"type":1.0}"#,
            r#"{"type":18446744073709551616}"#,
            r#"{"type":1,"type":1}"#,
            r#"{"type":1,"text":5}"#,
            r#"{"type":1,"user":"x"}"#,
            r#"{"type":1,"user":{"name":5}}"#,
            r#"{"type":1,"text":"\ud800"}"#,
            r#"{"type":1}{"type":1}"#,
            r#"{"type":7,"after":-1}"#,
            r#"{"type":1,"text":"a"#,
            "{\"type\":1,\"text\":\"a\nb\"}",
            &format!(r#"{{"type":1,"x":{deep}}}"#),
        ];
        for json in rows {
            assert_eq!(parse(json), None, "{json:.100}");
        }
    }

    #[test]
    fn what_a_bot_may_say() {
        let said = |text: &'static str, reference: Option<&'static str>| {
            Some(BotMessage { text: text.into(), reference: reference.map(Into::into) })
        };
        let rows = [
            (r#"{"text":"hi"}"#, said("hi", None)),
            (r#"{"text":"","ref":null,"channel":"x","blocks":[{}]}"#, said("", None)),
            ("\u{feff} {\"ref\":\"r\",\"text\":\"a\\nb\"} ", said("a\nb", Some("r"))),
            (r#"{"text":null}"#, None),
            (r#"{"text":5}"#, None),
            (r#"{"text":"a","ref":5}"#, None),
            (r#"{"text":"a","text":"b"}"#, None),
            (r#"["a"]"#, None),
            (r#""a""#, None),
            ("{}", None),
            ("", None),
            (r#"{"text":"\ud800"}"#, None),
        ];
        for (json, message) in rows {
            assert_eq!(parse_of_bot(json), message, "{json}");
        }
        let json = |cut| Said { id: 7, run: "r", cut }.to_json();
        assert_eq!(json(false), r#"{"id":7,"run":"r"}"#);
        assert_eq!(json(true), r#"{"id":7,"run":"r","cut":true}"#);
    }

    #[test]
    fn what_is_a_line_of_the_log() {
        let rows = [("a\"b\u{1}", None, false), ("entered chat", Some("enter"), false), ("hi", None, true)];
        for (text, event, bot) in rows {
            let details = Details { bot, ..Details::default() };
            let line = Line { time: 5, name: "ada", text, event, reference: Some("r"), details };
            let json = written(&ServerMessage::line(7, &line));
            let (name, text, event) = ("ada".into(), text.into(), event.map(Cow::Borrowed));
            let reference = Some("r".into());
            let expected =
                LoggedLine { kind: types::TEXT, id: 7, time: 5, name, text, event, reference, bot };
            assert_eq!(parse_line(json.as_bytes()), Some(expected), "{json}");
        }
        for json in [r#"{"type":10,"id":7}    "#, &written(&ServerMessage::aside(5, "ada", "hi")), "", "[]"] {
            assert_eq!(parse_line(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn a_text_without_escapes_is_not_copied() {
        let Some(ClientMessage::Text { text: Cow::Borrowed("hi"), .. }) = parse(r#"{"type":1,"text":"hi"}"#)
        else {
            panic!("borrowed");
        };
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn what_the_server_says() {
        let line = |text: &'static str, event, reference| {
            let details = Details::default();
            Line { time: 5, name: "ada", text, event, reference, details }
        };
        let bot = Details { bot: true, ..Details::default() };
        let details = Details {
            who: Some("bob"),
            until: Some(9),
            topic: Some(""),
            slow: Some(0),
            ..Details::default()
        };
        let act = Line { details, ..line("did", Some("kick"), None) };
        let deleted = Details { who: Some("bob"), of: Some(&[6, 7]), ..Details::default() };
        let welcome = |moderator, topic, slow, muted| {
            let names = if moderator { vec![] } else { vec!["ada"] };
            let (run, version) = ("r", "v");
            Welcome { run, version, count: 1, names, last: 7, moderator, topic, slow, muted }
        };
        let answer = Answer { reason: Some("slow"), retry: Some(3), reference: Some("r1") };
        let rows = [
            (ServerMessage::hello("ada", "t", None), r#"{"type":0,"user":{"name":"ada"},"text":"t"}"#),
            (
                ServerMessage::hello("ada", "t", Some(12)),
                r#"{"type":0,"user":{"name":"ada"},"text":"t","chars":12}"#,
            ),
            (
                ServerMessage::line(7, &line("a\"b\u{1}", None, None)),
                r#"{"type":1,"id":7,"time":5,"user":{"name":"ada"},"text":"a\"b\u0001"}"#,
            ),
            (
                ServerMessage::line(6, &Line { details: bot, ..line("hi", None, None) }),
                r#"{"type":1,"id":6,"time":5,"user":{"name":"ada"},"text":"hi","bot":true}"#,
            ),
            (
                ServerMessage::line(9, &line("hi", None, Some("r1"))),
                r#"{"type":1,"id":9,"time":5,"user":{"name":"ada"},"text":"hi","ref":"r1"}"#,
            ),
            (ServerMessage::ping("x"), r#"{"type":9,"user":{"name":""},"text":"x"}"#),
            (
                ServerMessage::line(8, &line("entered chat", Some("enter"), None)),
                r#"{"type":1,"id":8,"time":5,"user":{"name":"ada"},"text":"entered chat","event":"enter"}"#,
            ),
            (
                ServerMessage::auth_ack("ada", "t", welcome(false, None, None, None)),
                r#"{"type":3,"user":{"name":"ada"},"text":"t","run":"r","version":"v","count":1,"names":["ada"],"last":7}"#,
            ),
            (
                ServerMessage::auth_ack("al", "t", welcome(true, Some(""), Some(5), Some(6))),
                r#"{"type":3,"user":{"name":"al"},"text":"t","run":"r","version":"v","count":1,"names":[],"last":7,"moderator":true,"topic":"","slow":5,"muted":6}"#,
            ),
            (
                ServerMessage::line(8, &act),
                r#"{"type":1,"id":8,"time":5,"user":{"name":"ada"},"text":"did","event":"kick","who":"bob","until":9,"topic":"","slow":0}"#,
            ),
            (
                ServerMessage::line(8, &Line { details: deleted, ..line("did", Some("delete"), Some("r1")) }),
                r#"{"type":1,"id":8,"time":5,"user":{"name":"ada"},"text":"did","event":"delete","who":"bob","of":[6,7],"ref":"r1"}"#,
            ),
            (
                ServerMessage::answer(5, "plumebot", "no", answer),
                r#"{"type":1,"time":5,"user":{"name":"plumebot"},"text":"no","ref":"r1","reason":"slow","retry":3}"#,
            ),
            (ServerMessage::auth_rst(4), r#"{"type":4,"user":{"name":""},"text":"","left":4}"#),
            (
                ServerMessage::may_not_enter("ada", MayNotEnter::NameTaken),
                r#"{"type":5,"user":{"name":"ada"},"text":"That name is taken, or too similar to one that is.","reason":"name-taken"}"#,
            ),
            (
                ServerMessage::may_not_enter("ada", MayNotEnter::Locked(9)),
                r#"{"type":5,"user":{"name":"ada"},"text":"This chat takes no newcomers now. Please try again later.","reason":"locked","retry":9}"#,
            ),
            (
                ServerMessage::notice(Notice::MailLimited(9)),
                r#"{"type":6,"user":{"name":""},"text":"Too many login emails. Please try again later.","reason":"mail-limited","retry":9}"#,
            ),
            (
                ServerMessage::notice(Notice::CodeSentLately(9)),
                r#"{"type":6,"user":{"name":""},"text":"A code was sent to this address recently and is still valid.","reason":"mail-limited","retry":9}"#,
            ),
        ];
        for (message, json) in rows {
            assert_eq!(written(&message), json);
        }
    }

    #[test]
    fn what_stands_in_the_place_of_a_deleted_line_has_its_length() {
        for (id, bytes, json) in [
            (7, 24, r#"{"type":10,"id":7}      "#),
            (7, 18, r#"{"type":10,"id":7}"#),
            (u64::MAX, 0, r#"{"type":10,"id":18446744073709551615}"#),
        ] {
            let mut out = Vec::new();
            write_gone(id, bytes, &mut out);
            assert_eq!(str::from_utf8(&out), Ok(json));
            assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
            assert_eq!(parse_line(&out), None);
        }
    }
}
