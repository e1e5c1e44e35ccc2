//! Routes a request to its response, and encodes it. Owns the page's files and the list of allowed origins.
//! Never reads a clock, so responses have no Date field (RFC 9110, section 6.6.1).

use crate::http::assets::{Asset, Assets};
use crate::http::request::{Authority, Method, Request, RequestError, Upgrade, Version, WHOLE_SERVER};
use crate::limits::{RETRY_FULL_SECONDS, RETRY_RESTART_SECONDS};
use data_encoding::BASE64;
use tungstenite::Bytes;
use tungstenite::handshake::derive_accept_key;

/// The resources of the site. Clones share the files.
#[derive(Clone)]
pub struct Site {
    assets: Assets,
    origins: Vec<String>,
}

/// The outcome of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The connection switches to the WebSocket protocol.
    Upgraded,
    /// A response was written.
    Responded {
        /// The status of the response.
        status: u16,
        /// Whether another request may follow; otherwise the connection closes after this response.
        keep_alive: bool,
        /// Content to send after the bytes written so far: a file that all responses share. Empty if there is
        /// none.
        body: Bytes,
        /// What the request shows about a proxy, if that was the reason for the status.
        fault: Option<ProxyFault>,
    },
}

/// A setting of a proxy, or of Plume behind it, without which no page can connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyFault {
    /// The Origin is neither the Host nor allowed: the proxy does not pass the Host on, or a foreign page
    /// connects.
    ForeignOrigin,
    /// A WebSocket handshake without its Upgrade: the proxy does not pass that on.
    UpgradeRemoved,
}

impl Answer {
    /// The same with the fault that the response is due to.
    fn because_of(mut self, reason: ProxyFault) -> Self {
        if let Self::Responded { fault, .. } = &mut self {
            *fault = Some(reason);
        }
        self
    }
}

/// Who a request comes from directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A client, or a proxy that is not trusted.
    Other,
    /// A trusted proxy.
    TrustedProxy,
}

impl Site {
    /// A site of these files, whose WebSocket is also open to pages of these origins (`scheme://host[:port]`,
    /// in lower case, without default ports, as browsers write them).
    #[must_use]
    pub const fn new(assets: Assets, origins: Vec<String>) -> Self {
        Self { assets, origins }
    }

    /// Appends the response to `out`, except for the body returned in the [`Answer`]. `peer` says whether its
    /// X-Forwarded-Host counts.
    pub fn answer(&self, request: &Request, peer: Peer, out: &mut Vec<u8>) -> Answer {
        match (request.path.as_str(), request.method) {
            ("/connect", Method::Get) => self.connect(request, peer, out),
            ("/connect", method) => no_content(method, request, "GET, OPTIONS", out),
            ("/healthz", Method::Get | Method::Head) => {
                Response::begin(Status::OK, out).text("ok", Some(request))
            }
            ("/healthz" | WHOLE_SERVER, method) => no_content(method, request, READABLE, out),
            (path, method) => match (self.assets.find(path), method) {
                (Some(asset), Method::Get | Method::Head) => send(asset, request, out),
                (Some(_), Method::Post | Method::Options | Method::Other) => {
                    no_content(method, request, READABLE, out)
                }
                (None, _) => Response::begin(Status::NOT_FOUND, out).text("Not found\n", Some(request)),
            },
        }
    }

    /// Answers a health probe of a node that is apart from the others.
    pub(crate) fn answer_apart(request: &Request, out: &mut Vec<u8>) -> Answer {
        Response::begin(Status::SERVICE_UNAVAILABLE, out).text("apart", Some(request))
    }

    /// Whether a request asks whether the server is well.
    pub(crate) fn is_health_probe(request: &Request) -> bool {
        request.path == "/healthz" && matches!(request.method, Method::Get | Method::Head)
    }

    /// The server's side of the opening handshake (RFC 6455, section 4.2.2).
    fn connect(&self, request: &Request, peer: Peer, out: &mut Vec<u8>) -> Answer {
        if !self.admits(request, peer) {
            return Response::begin(Status::FORBIDDEN, out)
                .text("This origin may not connect\n", Some(request))
                .because_of(ProxyFault::ForeignOrigin);
        }
        let key = match &request.upgrade {
            Some(Upgrade { version: Some(version), key }) if version == WEBSOCKET_VERSION => key,
            other => {
                let answer = Response::begin(Status::UPGRADE_REQUIRED, out)
                    .field("Upgrade", "websocket")
                    .field("Connection", "Upgrade")
                    .field("Sec-WebSocket-Version", WEBSOCKET_VERSION)
                    .text("WebSocket only\n", Some(request));
                let is_removed = other.is_none() && request.has_websocket_key;
                return if is_removed { answer.because_of(ProxyFault::UpgradeRemoved) } else { answer };
            }
        };
        let Some(key) = key.as_ref().filter(|key| is_websocket_key(key)) else {
            return Response::begin(Status::BAD_REQUEST, out).text("Bad Sec-WebSocket-Key\n", None);
        };
        Response::begin(Status::SWITCHING_PROTOCOLS, out)
            .field("Upgrade", "websocket")
            .field("Connection", "Upgrade")
            .field("Sec-WebSocket-Accept", &derive_accept_key(key.as_bytes()))
            .end_head();
        Answer::Upgraded
    }

    /// Whether the request's origin, if it has one, may connect. Browsers let any page open a WebSocket to
    /// any server, so the server has to check the origin (RFC 6455, section 10.2).
    pub(crate) fn admits(&self, request: &Request, peer: Peer) -> bool {
        request.origin.as_ref().is_none_or(|origin| {
            let origin = origin.to_ascii_lowercase();
            request.host.as_ref().is_some_and(|host| is_own(&origin, host))
                || (peer == Peer::TrustedProxy && is_forwarded(&origin, request.forwarded_host.as_deref()))
                || self.origins.contains(&origin)
        })
    }
}

/// Whether `origin` is the host that a proxy was asked for. Each proxy on the way may have added one. No page
/// can send this field with a handshake, so it does not matter who wrote which part.
fn is_forwarded(origin: &str, forwarded_host: Option<&str>) -> bool {
    let hosts = forwarded_host.unwrap_or_default().split(',');
    hosts.filter_map(|host| Authority::parse(host.trim())).any(|host| is_own(origin, &host))
}

/// Whether `origin` (in lower case) names this host and port. A host without a port has any port: browsers
/// leave out only default ones, but some proxies remove the others, such as nginx with `$host`. The origin's
/// scheme supplies its default port; schemes are not compared, because a proxy may terminate TLS in front of
/// this server.
fn is_own(origin: &str, host: &Authority) -> bool {
    let (authority, port_default) = if let Some(authority) = origin.strip_prefix("http://") {
        (authority, 80)
    } else if let Some(authority) = origin.strip_prefix("https://") {
        (authority, 443)
    } else {
        return false;
    };
    Authority::parse(authority).is_some_and(|origin| {
        let has_port = |port| port == origin.port.unwrap_or(port_default);
        origin.host == host.host && host.port.is_none_or(has_port)
    })
}

/// A key is 16 bytes in base64 (RFC 6455, section 4.2.1).
fn is_websocket_key(key: &str) -> bool {
    BASE64.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16)
}

fn send(asset: &Asset, request: &Request, out: &mut Vec<u8>) -> Answer {
    let form = asset.representation(request.accepts_gzip);
    let is_held = request.if_none_match.as_ref().is_some_and(|tags| names_tag(tags, &form.etag));
    let mut response = Response::begin(if is_held { Status::NOT_MODIFIED } else { Status::OK }, out)
        .field("ETag", &form.etag)
        .field("Cache-Control", asset.cache_control);
    if asset.varies() {
        response = response.field("Vary", "Accept-Encoding");
    }
    if asset.is_page() {
        response = response.field("Referrer-Policy", "no-referrer").field("X-Frame-Options", "DENY");
    }
    if let Some(policy) = asset.content_security_policy {
        response = response.field("Content-Security-Policy", policy);
    }
    if is_held {
        return response.end(None, Some(request));
    }
    if let Some(encoding) = form.encoding {
        response = response.field("Content-Encoding", encoding);
    }
    response.field("Content-Type", asset.content_type).end(Some(Content::Shared(&form.body)), Some(request))
}

/// Whether If-None-Match lists this tag, by weak comparison (RFC 9110, sections 13.1.2 and 8.8.3.2). Other
/// tags may contain commas, but ours do not, and no fragment of another tag between two commas has both
/// quotes.
fn names_tag(tags: &str, etag: &str) -> bool {
    tags.trim() == "*"
        || tags.split(',').map(str::trim).any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Answers a method that gets no content: OPTIONS with the methods that are allowed (RFC 9110, section
/// 9.3.7), as some health checks use it, and others with the same as an error.
pub(super) fn no_content(method: Method, request: &Request, allow: &str, out: &mut Vec<u8>) -> Answer {
    if method == Method::Options {
        return Response::begin(Status::NO_CONTENT, out).field("Allow", allow).end(None, Some(request));
    }
    Response::begin(Status::METHOD_NOT_ALLOWED, out)
        .field("Allow", allow)
        .text("Method not allowed\n", Some(request))
}

/// An error response without a parsed request, which ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// What was read is no acceptable request.
    Request(RequestError),
    /// 408: the request, or its head, was not complete in time.
    Timeout,
    /// 503: the connection limit is reached, or there is no memory for the request.
    Full,
    /// 503: the server restarts before the request is complete.
    Restarting,
}

impl Refusal {
    pub(crate) const fn status(self) -> u16 {
        self.line().0.code
    }

    /// Appends the complete response to `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        let (status, text, retry) = self.line();
        let mut response = Response::begin(status, out);
        if let Some(seconds) = retry {
            response = response.field("Retry-After", &seconds.to_string());
        }
        response.text(text, None);
    }

    /// The status and the text of the response, and the seconds to wait where waiting helps.
    const fn line(self) -> (Status, &'static str, Option<u64>) {
        match self {
            Self::Request(RequestError::BadRequest) => (Status::BAD_REQUEST, "Bad request\n", None),
            Self::Request(RequestError::TargetTooLong) => {
                (Status::URI_TOO_LONG, "Request line too long\n", None)
            }
            Self::Request(RequestError::HeadTooLarge) => {
                (Status::FIELDS_TOO_LARGE, "Request head too large\n", None)
            }
            Self::Timeout => (Status::REQUEST_TIMEOUT, "Request timeout\n", None),
            Self::Full => {
                (Status::SERVICE_UNAVAILABLE, "Server full. Try again soon\n", Some(RETRY_FULL_SECONDS))
            }
            Self::Restarting => (
                Status::SERVICE_UNAVAILABLE,
                "The server restarts. Try again soon\n",
                Some(RETRY_RESTART_SECONDS),
            ),
        }
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    /// A short text, copied after the head.
    Text(&'a str),
    /// A shared file, sent without a copy.
    Shared(&'a Bytes),
}

impl Content<'_> {
    fn len(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }
}

/// A response being written to `out`, field by field.
pub(super) struct Response<'o> {
    out: &'o mut Vec<u8>,
    status: Status,
}

impl<'o> Response<'o> {
    pub(super) fn begin(status: Status, out: &'o mut Vec<u8>) -> Self {
        out.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", status.code, status.reason).as_bytes());
        Self { out, status }.field("X-Content-Type-Options", "nosniff")
    }

    pub(super) fn field(self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.out.extend_from_slice(part.as_bytes());
        }
        self
    }

    /// Ends with a short text for a person or a health probe, which must not be cached.
    pub(super) fn text(self, text: &str, request: Option<&Request>) -> Answer {
        self.field("Content-Type", "text/plain; charset=utf-8")
            .field("Cache-Control", "no-store")
            .end(Some(Content::Text(text)), request)
    }

    /// Ends with this content, which a HEAD response omits, or with none. Without a parsed request the
    /// connection cannot be kept.
    pub(super) fn end(mut self, content: Option<Content<'_>>, request: Option<&Request>) -> Answer {
        if let Some(content) = content {
            self = self.field("Content-Length", &content.len().to_string());
        }
        let (keep_alive, connection) = match request.map(|request| (request.keep_alive, request.version)) {
            Some((true, Version::Http11)) => (true, None),
            Some((true, Version::Http10)) => (true, Some("keep-alive")),
            Some((false, Version::Http10 | Version::Http11)) | None => (false, Some("close")),
        };
        if let Some(connection) = connection {
            self = self.field("Connection", connection);
        }
        let status = self.status.code;
        let out = self.end_head();
        let content = content.filter(|_| request.is_none_or(|request| request.method != Method::Head));
        let body = match content {
            Some(Content::Shared(bytes)) => bytes.clone(),
            Some(Content::Text(text)) => {
                out.extend_from_slice(text.as_bytes());
                Bytes::new()
            }
            None => Bytes::new(),
        };
        Answer::Responded { status, keep_alive, body, fault: None }
    }

    fn end_head(self) -> &'o mut Vec<u8> {
        self.out.extend_from_slice(b"\r\n");
        self.out
    }
}

/// A status line: a code and its words (RFC 9110, section 15; RFC 6585, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: u16,
    reason: &'static str,
}

/// All that Plume sends.
impl Status {
    pub(super) const SWITCHING_PROTOCOLS: Self = Self::new(101, "Switching Protocols");
    pub(super) const OK: Self = Self::new(200, "OK");
    pub(super) const CREATED: Self = Self::new(201, "Created");
    pub(super) const NO_CONTENT: Self = Self::new(204, "No Content");
    pub(super) const NOT_MODIFIED: Self = Self::new(304, "Not Modified");
    pub(super) const BAD_REQUEST: Self = Self::new(400, "Bad Request");
    pub(super) const UNAUTHORIZED: Self = Self::new(401, "Unauthorized");
    pub(super) const FORBIDDEN: Self = Self::new(403, "Forbidden");
    pub(super) const NOT_FOUND: Self = Self::new(404, "Not Found");
    pub(super) const METHOD_NOT_ALLOWED: Self = Self::new(405, "Method Not Allowed");
    pub(super) const REQUEST_TIMEOUT: Self = Self::new(408, "Request Timeout");
    pub(super) const LENGTH_REQUIRED: Self = Self::new(411, "Length Required");
    pub(super) const CONTENT_TOO_LARGE: Self = Self::new(413, "Content Too Large");
    pub(super) const URI_TOO_LONG: Self = Self::new(414, "URI Too Long");
    pub(super) const UNPROCESSABLE_CONTENT: Self = Self::new(422, "Unprocessable Content");
    pub(super) const UPGRADE_REQUIRED: Self = Self::new(426, "Upgrade Required");
    pub(super) const TOO_MANY_REQUESTS: Self = Self::new(429, "Too Many Requests");
    pub(super) const FIELDS_TOO_LARGE: Self = Self::new(431, "Request Header Fields Too Large");
    pub(super) const SERVICE_UNAVAILABLE: Self = Self::new(503, "Service Unavailable");

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }
}

/// The methods of everything that can be read.
const READABLE: &str = "GET, HEAD, OPTIONS";
/// The only version that RFC 6455, section 4.1, allows.
const WEBSOCKET_VERSION: &str = "13";

#[cfg(test)]
mod tests;
