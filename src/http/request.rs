//! Incremental parser of HTTP/1.x request heads, independent of how the bytes are split (RFC 9110, RFC 9112).
//! Owns the bytes of an unfinished head; never chooses a response (`site.rs` does).
//!
//! The only user of httparse. No request to Plume has a body but one to `/lines`, whose length is one
//! number; any other that announces a body is rejected unread. That rules out request smuggling, where two
//! parsers disagree on where a request ends.

use crate::base::frost::frost;
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX, REQUEST_LINE_BYTES_MAX};
use std::net::Ipv6Addr;

/// Finds the end of each head and parses it. One per connection; holds no bytes between heads.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// Bytes of the current head from earlier reads.
    held: Vec<u8>,
    place: Place,
}

frost!(struct HeadReader { held, place });

impl HeadReader {
    /// Whether the scan is where the bytes that are held lead to.
    pub(crate) fn is_sound(&self) -> bool {
        let reached = self.held.iter().fold(Place::Between, |place, &byte| place.after(byte));
        let is_between = matches!((reached, self.place), (Place::Between, Place::BetweenCr));
        (reached == self.place || is_between && self.held.is_empty())
            && !matches!(reached, Place::End | Place::Nowhere)
            && self.held.len() <= HEAD_BYTES_MAX
    }

    /// Takes bytes up to and including the end of one head, or up to the first byte that no head can contain.
    ///
    /// Returns how many bytes were used, and the outcome; `None` means that all were used and more are
    /// needed. After an error the rest of the bytes has no meaning: the connection must be closed.
    pub fn read(&mut self, bytes: &[u8]) -> (usize, Option<Result<Request, RequestError>>) {
        let mut begin = 0;
        for (used, &byte) in (1..).zip(bytes) {
            self.place = self.place.after(byte);
            let length = self.held.len() + used - begin;
            let outcome = match self.place {
                Place::Between | Place::BetweenCr => {
                    begin = used;
                    continue;
                }
                Place::Nowhere => Err(RequestError::BadRequest),
                Place::RequestLine if length > REQUEST_LINE_BYTES_MAX => Err(RequestError::TargetTooLong),
                _ if length > HEAD_BYTES_MAX => Err(RequestError::HeadTooLarge),
                Place::End => {
                    self.held.extend_from_slice(&bytes[begin..used]);
                    Request::parse(&self.held)
                }
                Place::RequestLine
                | Place::RequestLineCr
                | Place::LineStart
                | Place::Line
                | Place::LineCr
                | Place::LastCr => continue,
            };
            *self = Self::default();
            return (used, Some(outcome));
        }
        self.held.extend_from_slice(&bytes[begin..]);
        (bytes.len(), None)
    }

    /// Whether a head has begun. Empty lines before it do not count (RFC 9112, section 2.2).
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        !matches!(self.place, Place::Between | Place::BetweenCr)
    }
}

/// State of the scan for the end of a head, after the last byte. It is all the scan remembers, so each byte
/// is scanned once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before a head.
    #[default]
    Between,
    /// A CR before a head.
    BetweenCr,
    RequestLine,
    RequestLineCr,
    /// At the start of a line: a field or the end follows.
    LineStart,
    /// In a field line.
    Line,
    /// The CR at the end of a field line.
    LineCr,
    /// The CR of the empty line that ends the head.
    LastCr,
    End,
    /// After a byte that is not allowed there.
    Nowhere,
}

frost!(enum Place {
    0 = Between, 1 = BetweenCr, 2 = RequestLine, 3 = RequestLineCr, 4 = LineStart, 5 = Line, 6 = LineCr,
    7 = LastCr, 8 = End, 9 = Nowhere
});

impl Place {
    /// Rejects control characters and a line feed without its CR at once: clients that send them (TLS to the
    /// wrong port, a hand-written client) may never send the empty line that ends a head, and would wait for
    /// a response until the timeout.
    const fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Between, b'\r') => Self::BetweenCr,
            (Self::BetweenCr, b'\n') => Self::Between,
            (Self::RequestLine, b'\r') => Self::RequestLineCr,
            (Self::Line, b'\r') => Self::LineCr,
            (Self::RequestLineCr | Self::LineCr, b'\n') => Self::LineStart,
            (Self::LineStart, b'\r') => Self::LastCr,
            (Self::LastCr, b'\n') => Self::End,
            (Self::Between | Self::RequestLine, b'\t' | b' '..=b'~' | 0x80..) => Self::RequestLine,
            (Self::LineStart | Self::Line, b'\t' | b' '..=b'~' | 0x80..) => Self::Line,
            // Any other byte is rejected, in every state.
            (_, _) => Self::Nowhere,
        }
    }
}

/// Why bytes are not an acceptable request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// Not HTTP/1.x, ambiguous between parsers, or a request with a body where none is expected.
    BadRequest,
    /// The request line is longer than [`REQUEST_LINE_BYTES_MAX`].
    TargetTooLong,
    /// The head is longer than [`HEAD_BYTES_MAX`] or has more than [`HEADERS_MAX`] fields.
    HeadTooLarge,
}

impl From<httparse::Error> for RequestError {
    fn from(error: httparse::Error) -> Self {
        use httparse::Error as E;
        match error {
            E::TooManyHeaders => Self::HeadTooLarge,
            E::HeaderName | E::HeaderValue | E::NewLine | E::Status | E::Token | E::Version => {
                Self::BadRequest
            }
        }
    }
}

/// One request: the parts of its head that Plume uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) method: Method,
    /// The path of the target, without the query, as sent: nothing is decoded or resolved. The page's files
    /// have plain names, so no other spelling can match one.
    pub(crate) path: String,
    pub(crate) version: Version,
    /// Whether the client keeps the connection open (RFC 9112, section 9.3).
    pub(crate) keep_alive: bool,
    /// The requested host: the target's authority, or else the Host field. Always present in HTTP/1.1.
    pub(crate) host: Option<Authority>,
    /// The Origin field (RFC 6454, section 7): the site whose page sends the request.
    pub(crate) origin: Option<String>,
    /// The If-None-Match fields, joined (RFC 9110, section 13.1.2).
    pub(crate) if_none_match: Option<String>,
    /// Whether Accept-Encoding allows gzip, and weighs it no lower than the uncompressed form.
    pub(crate) accepts_gzip: bool,
    pub(crate) upgrade: Option<Upgrade>,
    /// Whether the request has a Sec-WebSocket-Key. With a key but without [`Self::upgrade`], a proxy has
    /// removed the upgrade, which is between it and its peer only (RFC 9110, section 7.6.1), and has passed
    /// on the rest.
    pub(crate) has_websocket_key: bool,
    /// Client addresses as reported by proxies: `X-Forwarded-For`, all its lines joined.
    pub(crate) forwarded_for: Option<String>,
    /// The hosts that clients asked proxies for: `X-Forwarded-Host`, all its lines joined.
    pub(crate) forwarded_host: Option<String>,
    /// What else a request to [`LINES`] has; `None` for any other path.
    pub(crate) lines: Option<Box<LinesFields>>,
}

/// Fields that only requests to [`LINES`] need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LinesFields {
    /// The query of the target, as sent.
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    /// The Accept fields, joined.
    pub(crate) accept: Option<String>,
    pub(crate) content_type: Option<String>,
    /// The length of the body; more than a `usize` holds reads as its largest value.
    pub(crate) content_length: Option<usize>,
    /// Whether the client waits for a 100 before it sends the body (RFC 9110, section 10.1.1).
    pub(crate) expects_continue: bool,
}

/// The methods that Plume distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    /// Like GET, without the content.
    Head,
    Post,
    /// Asks for the methods that a resource has.
    Options,
    Other,
}

/// The supported HTTP versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

/// A WebSocket upgrade, requested in HTTP/1.1 by both Connection and Upgrade (RFC 6455, section 4.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upgrade {
    /// The Sec-WebSocket-Version field.
    pub(crate) version: Option<String>,
    /// The Sec-WebSocket-Key field.
    pub(crate) key: Option<String>,
}

frost!(struct Request {
    method, path, version, keep_alive, host, origin, if_none_match, accepts_gzip, upgrade, has_websocket_key,
    forwarded_for, forwarded_host, lines
});
frost!(struct LinesFields { query, authorization, accept, content_type, content_length, expects_continue });
frost!(enum Method { 0 = Get, 1 = Head, 2 = Post, 3 = Options, 4 = Other });
frost!(enum Version { 0 = Http10, 1 = Http11 });
frost!(struct Upgrade { version, key });
frost!(struct Authority { host, port });

impl Request {
    /// Parses one complete head.
    fn parse(head: &[u8]) -> Result<Self, RequestError> {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut slots);
        let status = parsed.parse(head)?;
        let (Some(method), Some(target), Some(minor), true) =
            (parsed.method, parsed.path, parsed.version, status.is_complete())
        else {
            return Err(RequestError::BadRequest);
        };
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let field = |name| joined_field(parsed.headers, name);
        let has = |name, token| field(name).is_some_and(|list| has_token(&list, token));
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "OPTIONS" => Method::Options,
            _ => Method::Other,
        };
        let (authority, path, query) = match (method, target) {
            // RFC 9112, section 3.2.4: the server itself, and for this method only.
            (Method::Options, "*") => (None, WHOLE_SERVER, ""),
            _ => split_target(target).ok_or(RequestError::BadRequest)?,
        };
        if field("transfer-encoding").is_some() {
            return Err(RequestError::BadRequest);
        }
        let content_length = field("content-length").map(|length| body_length(&length)).transpose()?;
        if content_length.is_some_and(|length| length > 0) && path != LINES {
            return Err(RequestError::BadRequest);
        }
        let lines = (path == LINES).then(|| {
            Box::new(LinesFields {
                query: query.to_owned(),
                authorization: field("authorization"),
                accept: field("accept"),
                content_type: field("content-type"),
                content_length,
                // RFC 9110, section 10.1.1: HTTP/1.0 does not know of it.
                expects_continue: version == Version::Http11 && has("expect", "100-continue"),
            })
        });
        let host = match (field("host"), version) {
            (Some(host), _) => Some(Authority::parse(&host).ok_or(RequestError::BadRequest)?),
            (None, Version::Http10) => None,
            (None, Version::Http11) => return Err(RequestError::BadRequest),
        };
        // RFC 9110, section 7.8: Upgrade in HTTP/1.0 is ignored.
        let is_upgrade =
            version == Version::Http11 && has("connection", "upgrade") && has("upgrade", "websocket");
        let websocket_key = field("sec-websocket-key");
        Ok(Self {
            method,
            path: path.to_owned(),
            version,
            keep_alive: !has("connection", "close")
                && (version == Version::Http11 || has("connection", "keep-alive")),
            // RFC 9112, section 3.2.2: an authority in the target takes precedence over the Host field.
            host: authority.or(host),
            forwarded_for: field("x-forwarded-for"),
            forwarded_host: field("x-forwarded-host"),
            has_websocket_key: websocket_key.is_some(),
            upgrade: is_upgrade
                .then(|| Upgrade { version: field("sec-websocket-version"), key: websocket_key }),
            origin: field("origin"),
            if_none_match: field("if-none-match"),
            accepts_gzip: field("accept-encoding").is_some_and(|list| prefers_gzip(&list)),
            lines,
        })
    }
}

/// The value of a header field. Several lines of one name are joined with commas (RFC 9110, section 5.3), as
/// lists require; fields that allow one value only (Host, Content-Length) become invalid by it. All values
/// compared with the result are ASCII, so replacing invalid UTF-8 with U+FFFD cannot create a match.
fn joined_field(headers: &[httparse::Header<'_>], name: &str) -> Option<String> {
    let lines = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let values: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.value)).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// How long a body is. A length is accepted in the one spelling that all parsers read alike: digits without a
/// zero in front.
fn body_length(length: &str) -> Result<usize, RequestError> {
    let is_number = length.bytes().all(|byte| byte.is_ascii_digit()) && !length.is_empty();
    if !is_number || length.starts_with('0') && length != "0" {
        return Err(RequestError::BadRequest);
    }
    Ok(length.parse().unwrap_or(usize::MAX))
}

/// Whether a comma-separated list has this element, ignoring case (RFC 9110, section 5.6.1).
fn has_token(list: &str, token: &str) -> bool {
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// Whether a list of encodings (RFC 9110, section 12.5.3) accepts gzip, with no lower weight than the
/// uncompressed form if that is listed.
fn prefers_gzip(list: &str) -> bool {
    let weight_of = |names: &[&str]| {
        let mut codings = list.split(',').map(|item| item.split_once(';').unwrap_or((item, "q=1")));
        let is_named = |coding: &str| names.iter().any(|name| coding.trim().eq_ignore_ascii_case(name));
        codings.find(|(coding, _)| is_named(coding)).map(|(_, weight)| thousandths(weight).unwrap_or(0))
    };
    let gzip = weight_of(&["gzip", "x-gzip"]).or_else(|| weight_of(&["*"])).unwrap_or(0);
    gzip > 0 && gzip >= weight_of(&["identity"]).unwrap_or(0)
}

/// A weight such as `q=0.5` (RFC 9110, section 12.4.2), in thousandths.
pub(super) fn thousandths(weight: &str) -> Option<u16> {
    let (name, value) = weight.split_once('=')?;
    let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let is_weight = name.trim().eq_ignore_ascii_case("q")
        && matches!(whole, "0" | "1")
        && part.len() <= 3
        && part.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{whole}{part:0<3}").parse().ok().filter(|&weight| weight <= 1000);
    thousandths.filter(|_| is_weight)
}

/// Splits a target in origin form or absolute form (RFC 9112, section 3.2) into authority, path and query.
fn split_target(target: &str) -> Option<(Option<Authority>, &str, &str)> {
    // A target has no fragment, and browsers percent-encode all characters outside ASCII.
    if !target.is_ascii() || target.contains('#') {
        return None;
    }
    let (authority, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        let (scheme, rest) = target.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        (Some(Authority::parse(authority)?), rest)
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Some((authority, if path.is_empty() { "/" } else { path }, query))
}

/// A host and an optional port (RFC 3986, section 3.2), without userinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    /// In lower case; an IPv6 address keeps its brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl Authority {
    /// Parses `host`, `host:port` or `[address]:port`. An empty host is invalid (RFC 9110, section 4.2.1).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // The colons of an IPv6 address are inside brackets.
        let host_end =
            if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
        let (host, rest) = text.split_at(host_end);
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => is_registered_name(host),
        };
        let port = match rest.strip_prefix(':') {
            Some("") => None,
            None if rest.is_empty() => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) | None => return None,
        };
        is_host.then(|| Self { host: host.to_ascii_lowercase(), port })
    }
}

/// Whether this is a `reg-name` (RFC 3986, section 3.2.2), which also matches IPv4 addresses; but not empty.
fn is_registered_name(host: &str) -> bool {
    let is_plain =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&b));
    let starts_with_octet = |text: &str| text.bytes().take_while(u8::is_ascii_hexdigit).count() >= 2;
    let mut pieces = host.split('%');
    !host.is_empty()
        && pieces.next().is_some_and(is_plain)
        && pieces.all(|piece| is_plain(piece) && starts_with_octet(piece))
}

/// [`Request::path`] of a request about the server as a whole; no other path is like it.
pub(crate) const WHOLE_SERVER: &str = "*";
/// The path where bots say and read lines.
pub(crate) const LINES: &str = "/lines";

#[cfg(test)]
mod tests;
