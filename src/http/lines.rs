//! `/lines`, where bots say and read lines: what a request asks for, and how its answer looks. Pure
//! functions; whether a bot may do what it asks for is the server's to decide.

use super::request::{LinesFields, Method, Request, Version, thousandths};
use super::site::{Answer, Content, Response, Status, no_content};
use crate::base::frost::frost;
use crate::base::utc::Utc;
use crate::limits::{LINES_MAX, RETRY_FOLLOW_SECONDS, RETRY_RESTART_SECONDS, TOKEN_PREFIX};
use data_encoding::BASE64;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinesError {
    /// There are no bots, so there is nothing here.
    NoBots,
    ForeignOrigin,
    WrongMethod,
    /// A token stands where logs and histories keep it.
    TokenInQuery,
    BadQuery(&'static str),
    NoToken,
    WrongToken,
    /// Too many wrong tokens from one client address; retry after so many seconds.
    TooManyTries(u64),
    MayNotSay,
    MayNotRead,
    NoLength,
    TooLong,
    NotUtf8,
    /// Not JSON of the right shape, or a form that is none.
    NotJson,
    /// A form of the kind that uploads files.
    Multipart,
    /// A text without a visible character.
    Invisible,
    /// The bot is muted for so many seconds.
    Muted(u64),
    /// The bot talks too fast; retry after so many seconds.
    TooFast(u64),
    TooManyFollowers,
    TooManyFollowersOfBot,
    Restarting,
    /// The node cannot reach the others, and nobody would hear the line now.
    Apart,
}

impl LinesError {
    /// The status and the text of the answer, and the seconds to wait where waiting helps.
    const fn line(self) -> (Status, &'static str, Option<u64>) {
        match self {
            Self::NoBots => (Status::NOT_FOUND, "Not found", None),
            Self::ForeignOrigin => (Status::FORBIDDEN, "Pages of other origins may not use this", None),
            Self::WrongMethod => (Status::METHOD_NOT_ALLOWED, "Method not allowed", None),
            Self::TokenInQuery => (
                Status::BAD_REQUEST,
                "An address is kept in logs, so a token must not stand in it. Replace that token, and send the new one as \
                 Authorization: Bearer TOKEN",
                None,
            ),
            Self::BadQuery(what) => (Status::BAD_REQUEST, what, None),
            Self::NoToken => (Status::UNAUTHORIZED, "Send a token: Authorization: Bearer TOKEN", None),
            Self::WrongToken => (Status::UNAUTHORIZED, "That token is not valid", None),
            Self::TooManyTries(seconds) => {
                (Status::TOO_MANY_REQUESTS, "Too many wrong tokens. Try again later", Some(seconds))
            }
            Self::MayNotSay => (Status::FORBIDDEN, "This token may not say lines", None),
            Self::MayNotRead => (Status::FORBIDDEN, "This token may not read lines", None),
            Self::NoLength => (Status::LENGTH_REQUIRED, "Send a Content-Length", None),
            Self::TooLong => {
                (Status::CONTENT_TOO_LARGE, "That is too long: a body has at most 98304 bytes", None)
            }
            Self::NotUtf8 => (Status::BAD_REQUEST, "That is not UTF-8", None),
            Self::NotJson => (Status::BAD_REQUEST, "That is not JSON of the form {\"text\": \"...\"}", None),
            Self::Multipart => (
                Status::BAD_REQUEST,
                "Send the text itself, JSON, or a form that is not multipart/form-data",
                None,
            ),
            Self::Invisible => (Status::UNPROCESSABLE_CONTENT, "There is no text that can be seen", None),
            Self::Muted(seconds) => (Status::FORBIDDEN, "A moderator has muted this bot", Some(seconds)),
            Self::TooFast(seconds) => {
                (Status::TOO_MANY_REQUESTS, "Too many lines. Try again soon", Some(seconds))
            }
            Self::TooManyFollowers => {
                (Status::SERVICE_UNAVAILABLE, "Too many streams. Try again later", Some(RETRY_FOLLOW_SECONDS))
            }
            Self::TooManyFollowersOfBot => (
                Status::TOO_MANY_REQUESTS,
                "Too many streams with this token. End another one first",
                Some(RETRY_FOLLOW_SECONDS),
            ),
            Self::Restarting => (
                Status::SERVICE_UNAVAILABLE,
                "The server restarts. Try again soon",
                Some(RETRY_RESTART_SECONDS),
            ),
            Self::Apart => (
                Status::SERVICE_UNAVAILABLE,
                "This server cannot reach the others that share the room. Try again soon",
                Some(RETRY_RESTART_SECONDS),
            ),
        }
    }

    /// Appends the response. Without a request the connection closes after it: the body was not read, and
    /// what follows the head must not be taken for a request.
    pub(crate) fn write(self, request: Option<&Request>, out: &mut Vec<u8>) -> Answer {
        let (status, text, retry) = self.line();
        let mut response = Response::begin(status, out);
        if status == Status::UNAUTHORIZED {
            response = response.field("WWW-Authenticate", CHALLENGE);
        }
        if status == Status::METHOD_NOT_ALLOWED {
            response = response.field("Allow", ALLOW);
        }
        if let Some(seconds) = retry {
            response = response.field("Retry-After", &seconds.to_string());
        }
        response.text(&format!("{text}\n"), request)
    }
}

pub(crate) fn write_options(request: &Request, out: &mut Vec<u8>) -> Answer {
    no_content(Method::Options, request, ALLOW, out)
}

/// Appends the answer to a line that was said: this JSON.
pub(crate) fn write_created(json: &str, request: &Request, out: &mut Vec<u8>) -> Answer {
    Response::begin(Status::CREATED, out)
        .field("Content-Type", "application/json")
        .field("Cache-Control", "no-store")
        .end(Some(Content::Text(json)), Some(request))
}

/// Whether a query has a token in it, in whatever parameter.
pub(crate) fn has_token(query: &str) -> bool {
    let query = query.to_ascii_lowercase().replace("%5f", "_");
    let is_named = |name: &str| ["token", "access_token", "key", "api_key", "authorization"].contains(&name);
    query.contains(TOKEN_PREFIX)
        || query.split('&').any(|pair| is_named(pair.split('=').next().unwrap_or("")))
}

/// The token of an Authorization field: of Bearer (RFC 6750, section 2.1), or the password of Basic (RFC
/// 7617). `None`: it has none.
pub(crate) fn token(authorization: &str) -> Option<String> {
    let (scheme, credentials) = authorization.trim().split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    let decoded =
        BASE64.decode(credentials.as_bytes()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (_user, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

/// Which lines a bot asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Those after the line with this id.
    pub(crate) after: Option<u64>,
    /// The run of the server in which it was seen.
    pub(crate) run: Option<String>,
    /// How many at most.
    pub(crate) limit: Option<usize>,
    /// Also those to come.
    pub(crate) is_follow: bool,
}

impl Wanted {
    /// Parses a query.
    ///
    /// # Errors
    /// A parameter that does not exist, comes twice or has a wrong value.
    pub(crate) fn parse(query: &str) -> Result<Self, LinesError> {
        let mut wanted = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) {
                return Err(LinesError::BadQuery("A parameter comes twice"));
            }
            seen.push(name);
            match name {
                "after" => wanted.after = Some(number(value).ok_or(BAD_AFTER)?),
                "limit" => {
                    let limit = number(value).ok_or(BAD_LIMIT)?;
                    wanted.limit = Some(usize::try_from(limit).unwrap_or(LINES_MAX).min(LINES_MAX));
                }
                "run" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    wanted.run = Some(value.to_owned());
                }
                "run" => return Err(LinesError::BadQuery("run must be the run of a server")),
                "follow" => {
                    wanted.is_follow = match value {
                        "" | "1" | "true" => true,
                        "0" | "false" => false,
                        _ => return Err(LinesError::BadQuery("follow has no value, or is 1 or 0")),
                    }
                }
                _ => return Err(LinesError::BadQuery("The parameters are after, run, limit and follow")),
            }
        }
        Ok(wanted)
    }
}

/// A number of digits alone; one that is too large reads as the largest.
fn number(value: &str) -> Option<u64> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| value.parse().unwrap_or(u64::MAX))
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The objects of the log, one in each line.
    Json,
    /// Text for a terminal.
    Plain,
}

frost!(enum Form { 0 = Json, 1 = Plain });

impl Form {
    /// The form that an Accept field asks for: text where it is named, and weighs no less than JSON.
    pub(crate) fn of(accept: Option<&str>) -> Self {
        let accept = accept.unwrap_or_default();
        let plain =
            weight_of(accept, &["text/plain"]).or_else(|| weight_of(accept, &["text/*"])).unwrap_or(0);
        let json =
            weight_of(accept, &["application/x-ndjson", "application/json", "application/*"]).unwrap_or(0);
        if plain > 0 && plain >= json { Self::Plain } else { Self::Json }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-ndjson",
            Self::Plain => "text/plain; charset=utf-8",
        }
    }
}

/// The weight of a media type, in thousandths (RFC 9110, section 12.5.1); `None`: it is not named.
fn weight_of(accept: &str, names: &[&str]) -> Option<u16> {
    let weight = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?;
        names.iter().find(|own| name.eq_ignore_ascii_case(own))?;
        let mut weights = parts.filter(|part| part.starts_with(['q', 'Q']));
        Some(weights.next().map_or(1_000, |weight| thousandths(weight).unwrap_or(0)))
    };
    accept.split(',').filter_map(weight).max()
}

/// How the end of a stream is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By a last chunk (RFC 9112, section 7.1).
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

frost!(enum Framing { 0 = Chunked, 1 = UntilClose });

impl Framing {
    pub(crate) const fn of(version: Version) -> Self {
        match version {
            Version::Http10 => Self::UntilClose,
            Version::Http11 => Self::Chunked,
        }
    }

    /// Appends a part of the content.
    pub(crate) fn write(self, content: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::UntilClose => out.extend_from_slice(content),
            // A chunk of no bytes would be the last.
            Self::Chunked if content.is_empty() => {}
            Self::Chunked => {
                out.extend_from_slice(format!("{:x}\r\n", content.len()).as_bytes());
                out.extend_from_slice(content);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A part of the content that is an empty line.
    pub(crate) const fn empty_line(self) -> &'static [u8] {
        match self {
            Self::UntilClose => b"\n",
            Self::Chunked => b"1\r\n\n\r\n",
        }
    }

    /// Appends the end of the content.
    pub(crate) fn write_end(self, out: &mut Vec<u8>) {
        match self {
            Self::UntilClose => {}
            Self::Chunked => out.extend_from_slice(b"0\r\n\r\n"),
        }
    }
}

/// Appends the head of an answer with lines of this run. Whether the connection is kept afterwards is in the
/// result.
pub(crate) fn write_head(
    request: &Request,
    form: Form,
    is_follow: bool,
    run: &str,
    out: &mut Vec<u8>,
) -> Answer {
    let mut response = Response::begin(Status::OK, out)
        .field("Content-Type", form.media_type())
        .field("Cache-Control", "no-store")
        .field("Plume-Run", run);
    if is_follow {
        // nginx would keep back what is less than a buffer.
        response = response.field("X-Accel-Buffering", "no");
    }
    let framing = Framing::of(request.version);
    if framing == Framing::Chunked {
        response = response.field("Transfer-Encoding", "chunked");
    }
    let is_kept = framing == Framing::Chunked && (!is_follow || request.method == Method::Head);
    response.end(None, Some(request).filter(|_| is_kept))
}

/// A line of the log as plain text; an event shows what a user did instead of what they said. Further lines
/// of the text are indented, so that none looks like a line of its own.
pub(crate) fn plain_line(time_ms: u64, name: &str, text: &str, is_event: bool) -> String {
    let mut shown = format!("{} ", Utc::from_ms(time_ms));
    escape(name, &mut shown);
    shown.push_str(if is_event { " " } else { ": " });
    escape(text, &mut shown);
    shown.push('\n');
    shown
}

fn escape(text: &str, out: &mut String) {
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\n    "),
            char if is_controlling(char) => {
                // Writing to a string does not fail.
                let _ = write!(out, "{}", char.escape_default());
            }
            char => out.push(char),
        }
    }
}

/// Whether a character controls a terminal, or the order in which what stands around it is shown: C0, DEL and
/// C1, line and paragraph separators, and the controls of direction (Unicode Standard Annex 9, section 2).
fn is_controlling(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// What a body holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// JSON, with a text in it.
    Json(Cow<'a, [u8]>),
    /// The text itself.
    Text(&'a [u8]),
}

impl<'a> Body<'a> {
    /// Reads a body of this type. A form without a field `payload` is the text itself: that is the type which
    /// `curl -d` sends for any text.
    ///
    /// # Errors
    /// A form whose escapes are none, or of a kind that is not read.
    pub(crate) fn read(content_type: Option<&str>, bytes: &'a [u8]) -> Result<Self, LinesError> {
        let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        match media_type.trim().to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json(Cow::Borrowed(bytes))),
            "multipart/form-data" => Err(LinesError::Multipart),
            "application/x-www-form-urlencoded" => {
                let mut fields = bytes.split(|&byte| byte == b'&');
                match fields.find_map(|field| field.strip_prefix(b"payload=")) {
                    Some(payload) => {
                        Ok(Self::Json(Cow::Owned(decode_form(payload).ok_or(LinesError::NotJson)?)))
                    }
                    None => Ok(Self::Text(bytes)),
                }
            }
            _ => Ok(Self::Text(bytes)),
        }
    }
}

/// The value of a field of a form. `None`: a `%` without two hexadecimal digits behind it.
fn decode_form(value: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::new();
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => 16 * digit(bytes.next()?)? + digit(bytes.next()?)?,
            byte => byte,
        });
    }
    Some(decoded)
}

pub(crate) fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// What else a request to `/lines` has; nothing, if it is none.
pub(crate) fn fields(request: &Request) -> Cow<'_, LinesFields> {
    request.lines.as_deref().map_or_else(|| Cow::Owned(LinesFields::default()), Cow::Borrowed)
}

const ALLOW: &str = "GET, HEAD, POST, OPTIONS";
/// How to authenticate (RFC 9110, section 11.6.1).
const CHALLENGE: &str = "Bearer realm=\"plume\", Basic realm=\"plume\", charset=\"UTF-8\"";
const BAD_AFTER: LinesError = LinesError::BadQuery("after must be the id of a line");
const BAD_LIMIT: LinesError = LinesError::BadQuery("limit must be a whole number");

#[cfg(test)]
mod tests;
