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

/// Parses one message. `None`: it is not JSON of the protocol's shape. A byte order mark before it is ignored
/// (RFC 8259, section 8.1).
#[must_use]
pub fn parse(json: &str) -> Option<ClientMessage<'_>> {
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let Object(raw): Object<RawMessage<'_>> = serde_json::from_str(json).ok()?;
    let text = raw.text.map_or(Cow::Borrowed(""), |text| text.0);
    Some(match raw.kind {
        types::HELLO => ClientMessage::Hello(Hello::split(text)),
        types::TEXT => ClientMessage::Text { text, reference: raw.reference.map(|reference| reference.0) },
        types::PING => ClientMessage::Ping(text),
        types::AUTH => ClientMessage::Auth { code: text, flow: raw.flow.map(|flow| flow.0) },
        types::RESUME => {
            ClientMessage::Resume { token: text, run: raw.run.map(|run| run.0), after: raw.after }
        }
        types::LEAVE => ClientMessage::Leave,
        types::AUTH_ACK | types::AUTH_RST | types::MAY_NOT_ENTER | types::NOTICE | types::GONE => {
            ClientMessage::ServerOnly
        }
        _ => ClientMessage::Unknown,
    })
}

/// What a bot says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BotMessage<'a> {
    /// The text of the line.
    pub(crate) text: Cow<'a, str>,
    /// The bot's correlation id.
    pub(crate) reference: Option<Cow<'a, str>>,
}

impl BotMessage<'_> {
    pub(crate) fn into_owned(self) -> BotMessage<'static> {
        let reference = self.reference.map(|reference| Cow::Owned(reference.into_owned()));
        BotMessage { text: Cow::Owned(self.text.into_owned()), reference }
    }
}

/// Parses what a bot says. `None`: it is not JSON of this shape, or has no text. A byte order mark before it
/// is ignored.
pub(crate) fn parse_of_bot(json: &str) -> Option<BotMessage<'_>> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        #[serde(borrow, rename = "ref")]
        reference: Option<Text<'a>>,
    }
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let Object(raw): Object<Raw<'_>> = serde_json::from_str(json).ok()?;
    Some(BotMessage { text: raw.text.0, reference: raw.reference.map(|reference| reference.0) })
}

/// The answer to a bot that has said a line.
#[derive(Debug, Serialize)]
pub(crate) struct Said<'a> {
    /// The id of the line.
    pub(crate) id: u64,
    /// The run of the server.
    pub(crate) run: &'a str,
    /// Whether the text was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cut: bool,
}

impl Said<'_> {
    /// The JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Appends the JSON that stands in the place of a deleted line, and spaces up to `bytes` in all.
pub fn write_gone(id: u64, bytes: usize, out: &mut Vec<u8>) {
    let json = format!(r#"{{"type":{},"id":{id}}}"#, types::GONE);
    out.extend_from_slice(json.as_bytes());
    out.extend(std::iter::repeat_n(b' ', bytes.saturating_sub(json.len())));
}

/// A line of the room as it stands in the log.
#[derive(Debug, PartialEq, Eq)]
pub struct LoggedLine<'a> {
    /// Its id.
    pub id: u64,
    /// When it was said, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// The name of its sender.
    pub name: Cow<'a, str>,
    /// Its text.
    pub text: Cow<'a, str>,
    /// What it announces, if nobody said it.
    pub event: Option<Cow<'a, str>>,
    /// Its sender's correlation id.
    pub reference: Option<Cow<'a, str>>,
    /// Whether a bot said it.
    pub bot: bool,
}

/// Parses the JSON of a line of the room. `None`: it is no line, or not any more.
#[must_use]
pub fn parse_line(json: &[u8]) -> Option<LoggedLine<'_>> {
    let line: RawLine<'_> = serde_json::from_slice(json).ok()?;
    (line.kind == types::TEXT).then(|| LoggedLine {
        id: line.id,
        time: line.time,
        name: line.user.name.0,
        text: line.text.0,
        event: line.event.map(|event| event.0),
        reference: line.reference.map(|reference| reference.0),
        bot: line.bot,
    })
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(rename = "type")]
    kind: i64,
    id: u64,
    time: u64,
    #[serde(borrow)]
    user: SaidBy<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    event: Option<Text<'a>>,
    #[serde(borrow, rename = "ref")]
    reference: Option<Text<'a>>,
    #[serde(default)]
    bot: bool,
}

#[derive(Debug, Deserialize)]
struct SaidBy<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(rename = "type")]
    kind: i64,
    /// Checked for its shape only: the server knows the sender from its session.
    #[serde(borrow)]
    #[expect(dead_code, reason = "what a client says of itself is not believed")]
    user: Option<Object<RawUser<'a>>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    flow: Option<Text<'a>>,
    #[serde(borrow)]
    run: Option<Text<'a>>,
    after: Option<u64>,
    #[serde(borrow, rename = "ref")]
    reference: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct RawUser<'a> {
    #[serde(borrow)]
    #[expect(dead_code, reason = "what a client says of itself is not believed")]
    name: Option<Text<'a>>,
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

/// A string, borrowed if it has no escapes. (Inside an `Option` serde would always make a bare `Cow` owned.)
#[derive(Debug, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A message from the server.
#[derive(Debug, Serialize)]
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bot: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'a [u64]>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chars: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    welcome: Option<Welcome<'a>>,
}

#[derive(Debug, Serialize)]
struct User<'a> {
    name: &'a str,
}

/// A chat line of the room.
#[derive(Debug, Clone, Copy)]
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
#[derive(Debug, Clone, Copy, Default)]
pub struct Details<'a> {
    /// Whether a bot says it.
    pub bot: bool,
    /// Of a moderator's act: the name of the user, or the `@domain`, that the act is about.
    pub who: Option<&'a str>,
    /// When it ends, in milliseconds since 1970-01-01 UTC.
    pub until: Option<u64>,
    /// The topic; empty if it was removed.
    pub topic: Option<&'a str>,
    /// Seconds between two lines of one person; zero if slow mode is off.
    pub slow: Option<u64>,
    /// The ids of the lines that were deleted, in rising order.
    pub of: Option<&'a [u64]>,
}

/// What a private answer to a line or command carries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// Why it is refused, in a word for programs.
    pub reason: Option<&'static str>,
    /// Seconds after which it may be tried again.
    pub retry: Option<u64>,
    /// The correlation id of the line that it answers.
    pub reference: Option<&'a str>,
}

/// The state of the room, for a new member.
#[derive(Debug, Serialize)]
pub struct Welcome<'a> {
    /// The run of the server.
    pub run: &'a str,
    /// The version of the server.
    pub version: &'a str,
    /// Users present in the room.
    pub count: usize,
    /// The names of the users who have been present longest, in order of entering.
    pub names: Vec<&'a str>,
    /// The id of the newest line that `count` and `names` account for.
    pub last: u64,
    /// Whether the new member is a moderator.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub moderator: bool,
    /// The topic of the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<&'a str>,
    /// Seconds between two lines of one person in slow mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<u64>,
    /// Seconds for which the new member is still muted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted: Option<u64>,
}

impl<'a> ServerMessage<'a> {
    fn new(kind: i64, name: &'a str, text: &'a str) -> Self {
        Self {
            kind,
            id: None,
            time: None,
            user: User { name },
            text,
            event: None,
            bot: false,
            who: None,
            until: None,
            topic: None,
            slow: None,
            of: None,
            reference: None,
            left: None,
            chars: None,
            reason: None,
            retry: None,
            welcome: None,
        }
    }

    /// A code is on its way to the user who will appear as `name`; it has the usual number of characters, or
    /// else `chars`.
    #[must_use]
    pub fn hello(name: &'a str, flow_token: &'a str, chars: Option<usize>) -> Self {
        Self { chars, ..Self::new(types::HELLO, name, flow_token) }
    }

    /// A chat line of the room, with its id.
    #[must_use]
    pub fn line(id: u64, line: &Line<'a>) -> Self {
        let Line { time, name, text, event, reference, details } = *line;
        let Details { bot, who, until, topic, slow, of } = details;
        Self {
            id: Some(id),
            time: Some(time),
            event,
            bot,
            who,
            until,
            topic,
            slow,
            of,
            reference,
            ..Self::new(types::TEXT, name, text)
        }
    }

    /// The reply to a ping.
    #[must_use]
    pub fn ping(text: &'a str) -> Self {
        Self::new(types::PING, "", text)
    }

    /// A line sent to one client only.
    #[must_use]
    pub fn aside(time: u64, name: &'a str, text: &'a str) -> Self {
        Self { time: Some(time), ..Self::new(types::TEXT, name, text) }
    }

    /// The private answer to a line or command of one client.
    #[must_use]
    pub fn answer(time: u64, name: &'a str, text: &'a str, answer: Answer<'a>) -> Self {
        let Answer { reason, retry, reference } = answer;
        Self { reference, reason, retry, ..Self::aside(time, name, text) }
    }

    /// Confirms a login, with the session token.
    #[must_use]
    pub fn auth_ack(name: &'a str, session_token: &'a str, welcome: Welcome<'a>) -> Self {
        Self { welcome: Some(welcome), ..Self::new(types::AUTH_ACK, name, session_token) }
    }

    /// The code or token is not valid; `left` tries remain.
    #[must_use]
    pub fn auth_rst(left: u8) -> Self {
        Self { left: Some(left), ..Self::new(types::AUTH_RST, "", "") }
    }

    /// Not admitted under this name.
    #[must_use]
    pub fn may_not_enter(name: &'a str, refusal: MayNotEnter) -> Self {
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
        Self { reason: Some(reason), retry, ..Self::new(types::MAY_NOT_ENTER, name, text) }
    }

    /// A notice from the server.
    #[must_use]
    pub fn notice(notice: Notice) -> Self {
        let retry = notice.retry();
        Self { reason: Some(notice.reason()), retry, ..Self::new(types::NOTICE, "", notice.sentence()) }
    }

    /// Appends the JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("strings and numbers always become JSON");
    }
}

/// Why a guest may not enter under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayNotEnter {
    /// The email address may not come in.
    NotAdmitted,
    /// No newcomers; retry after so many seconds.
    Locked(u64),
    /// The name belongs to another address.
    NameTaken,
    /// The mailbox owns as many names as it may.
    TooManyNames,
}

/// A notice to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Not JSON of the protocol's shape.
    Malformed,
    /// A hello without a line break between name and address.
    NoLineEnd,
    /// The name is not acceptable, for this reason.
    BadName(&'static str),
    /// The address is not an email address.
    BadEmail,
    /// Too many emails; retry after so many seconds.
    MailLimited(u64),
    /// A code was sent recently and is still valid; it can be sent again after so many seconds.
    CodeSentLately(u64),
    /// The email could not be sent.
    MailFailed,
    /// Too many wrong codes or tokens.
    TooManyTries,
    /// The line was truncated.
    TooLong,
    /// Missed lines are no longer available.
    Gap,
    /// The server is shutting down.
    Restarting,
    /// The node is without the log that nodes share.
    Apart,
}

impl Notice {
    fn reason(self) -> &'static str {
        match self {
            Self::Malformed | Self::NoLineEnd => "malformed",
            Self::BadName(_) => "bad-name",
            Self::BadEmail => "bad-email",
            Self::MailLimited(_) | Self::CodeSentLately(_) => "mail-limited",
            Self::MailFailed => "mail-failed",
            Self::TooManyTries => "too-many-tries",
            Self::TooLong => "too-long",
            Self::Gap => "gap",
            Self::Restarting => "restarting",
            Self::Apart => "apart",
        }
    }

    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => "Malformed message.",
            Self::NoLineEnd => "A hello needs a name, a line break and an email address.",
            Self::BadName(why) => why,
            Self::BadEmail => "That does not look like an email address.",
            Self::MailLimited(_) => "Too many login emails. Please try again later.",
            Self::CodeSentLately(_) => "A code was sent to this address recently and is still valid.",
            Self::MailFailed => "The email with your code could not be sent. Please try again.",
            Self::TooManyTries => "Too many wrong codes. Please try again later.",
            Self::TooLong => "Your message was too long and has been shortened.",
            Self::Gap => "Some messages that you missed are no longer available.",
            Self::Restarting => "The server restarts and will be back soon.",
            Self::Apart => "This server has lost touch with the others. What you say waits until it is back.",
        }
    }

    fn retry(self) -> Option<u64> {
        match self {
            Self::MailLimited(seconds) | Self::CodeSentLately(seconds) => Some(seconds),
            Self::Malformed
            | Self::NoLineEnd
            | Self::BadName(_)
            | Self::BadEmail
            | Self::MailFailed
            | Self::TooManyTries
            | Self::TooLong
            | Self::Gap
            | Self::Restarting
            | Self::Apart => None,
        }
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
        let line = |text: &'static str, event| Line {
            time: 5,
            name: "ada",
            text,
            event,
            reference: Some("r"),
            details: Details::default(),
        };
        let rows = [("a\"b\u{1}", None, false), ("entered chat", Some("enter"), false), ("hi", None, true)];
        for (text, event, bot) in rows {
            let details = Details { bot, ..Details::default() };
            let json = written(&ServerMessage::line(7, &Line { details, ..line(text, event) }));
            let (name, text, event) = ("ada".into(), text.into(), event.map(Cow::Borrowed));
            let reference = Some("r".into());
            let expected = LoggedLine { id: 7, time: 5, name, text, event, reference, bot };
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
        let line = |text: &'static str, event, reference| Line {
            time: 5,
            name: "ada",
            text,
            event,
            reference,
            details: Details::default(),
        };
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
                ServerMessage::line(
                    6,
                    &Line { details: Details { bot: true, ..Details::default() }, ..line("hi", None, None) },
                ),
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
