//! Which answer a request gets, and how it looks on the wire.
//!
//! Knows the files of the page and the origins that may connect. Never looks at a clock, so answers have no Date
//! (RFC 9110, section 6.6.1).

use crate::base::limits::RETRY_FULL_SECONDS;
use crate::wire::assets::{Asset, Assets};
use crate::wire::http::{Authority, HttpFault, Method, Request, Upgrade, Version};
use data_encoding::BASE64;
use tungstenite::handshake::derive_accept_key;

/// All that can be asked for.
pub struct Site {
    assets: Assets,
    origins: Vec<String>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The connection goes on as a WebSocket.
    Upgraded,
    /// It was answered.
    Responded {
        /// The status of the answer.
        status: u16,
        /// Whether another request may follow; otherwise the answer is the end of the connection.
        keep_alive: bool,
    },
}

impl Site {
    /// A site of these files, whose WebSocket is also open to pages of these origins (`scheme://host[:port]`, in
    /// lower case, without default ports, as browsers spell them).
    #[must_use]
    pub const fn new(assets: Assets, origins: Vec<String>) -> Self {
        Self { assets, origins }
    }

    /// Appends the whole response to `out`.
    pub fn answer(&self, request: &Request, out: &mut Vec<u8>) -> Answer {
        match (request.path.as_str(), request.method) {
            ("/connect", Method::Get) => self.connect(request, out),
            ("/connect", Method::Head | Method::Other) => not_allowed(request, "GET", out),
            ("/healthz", Method::Get | Method::Head) => {
                Response::begin(Status::Ok, out).text("ok", Some(request))
            }
            ("/healthz", Method::Other) => not_allowed(request, "GET, HEAD", out),
            (path, method) => match (self.assets.find(path), method) {
                (Some(asset), Method::Get | Method::Head) => send(asset, request, out),
                (Some(_), Method::Other) => not_allowed(request, "GET, HEAD", out),
                (None, Method::Get | Method::Head | Method::Other) => {
                    Response::begin(Status::NotFound, out).text("there is nothing here\n", Some(request))
                }
            },
        }
    }

    /// The server's half of the opening handshake (RFC 6455, section 4.2.2).
    fn connect(&self, request: &Request, out: &mut Vec<u8>) -> Answer {
        if !self.admits(request) {
            return Response::begin(Status::Forbidden, out)
                .text("pages of this origin may not connect\n", Some(request));
        }
        let key = match &request.upgrade {
            Some(Upgrade { version: Some(version), key }) if version == WEBSOCKET_VERSION => key,
            Some(_) | None => {
                return Response::begin(Status::UpgradeRequired, out)
                    .field("Upgrade", "websocket")
                    .field("Connection", "Upgrade")
                    .field("Sec-WebSocket-Version", WEBSOCKET_VERSION)
                    .text("this is for WebSockets only\n", Some(request));
            }
        };
        let Some(key) = key.as_ref().filter(|key| is_websocket_key(key)) else {
            return Response::begin(Status::BadRequest, out).text("bad Sec-WebSocket-Key\n", None);
        };
        Response::begin(Status::SwitchingProtocols, out)
            .field("Upgrade", "websocket")
            .field("Connection", "Upgrade")
            .field("Sec-WebSocket-Accept", &derive_accept_key(key.as_bytes()))
            .end_head();
        Answer::Upgraded
    }

    /// Whether the page that sends the request, if a page does, may talk to this server. Browsers let any page open
    /// a WebSocket to any server; the server has to look where it comes from (RFC 6455, section 10.2).
    fn admits(&self, request: &Request) -> bool {
        request.origin.as_ref().is_none_or(|origin| {
            let origin = origin.to_ascii_lowercase();
            is_own(&origin, request.host.as_ref()) || self.origins.contains(&origin)
        })
    }
}

/// Whether `origin` (in lower case) names the host and the port that the request is sent to. The scheme decides the
/// port where none is named; it is not compared, for a proxy may speak TLS in front of this server.
fn is_own(origin: &str, host: Option<&Authority>) -> bool {
    let (authority, port_default) = if let Some(authority) = origin.strip_prefix("http://") {
        (authority, 80)
    } else if let Some(authority) = origin.strip_prefix("https://") {
        (authority, 443)
    } else {
        return false;
    };
    Authority::parse(authority).zip(host).is_some_and(|(origin, host)| {
        origin.host() == host.host() && origin.port_or(port_default) == host.port_or(port_default)
    })
}

/// RFC 6455, section 4.2.1: 16 bytes in base64.
fn is_websocket_key(key: &str) -> bool {
    BASE64.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16)
}

fn send(asset: &Asset, request: &Request, out: &mut Vec<u8>) -> Answer {
    let form = asset.representation(request.accepts_gzip);
    let is_held = request.if_none_match.as_ref().is_some_and(|tags| names_tag(tags, &form.etag));
    let mut response = Response::begin(if is_held { Status::NotModified } else { Status::Ok }, out)
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
    response.field("Content-Type", asset.content_type).end(Some(&form.body), Some(request))
}

/// Whether If-None-Match names this tag, compared weakly (RFC 9110, sections 13.1.2 and 8.8.3.2). A tag may hold
/// commas, but ours do not, and no part of another tag between two commas has both its quotes.
fn names_tag(tags: &str, etag: &str) -> bool {
    tags.trim() == "*"
        || tags.split(',').map(str::trim).any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn not_allowed(request: &Request, allow: &str, out: &mut Vec<u8>) -> Answer {
    Response::begin(Status::MethodNotAllowed, out)
        .field("Allow", allow)
        .text("this method is not for this place\n", Some(request))
}

/// An answer that needs no request, and ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400: see [`HttpFault::BadRequest`].
    BadRequest,
    /// 408: the head did not come in time.
    Timeout,
    /// 414: see [`HttpFault::TargetTooLong`].
    TargetTooLong,
    /// 431: see [`HttpFault::HeadTooLarge`].
    HeadTooLarge,
    /// 503: the server has as many connections as it may have.
    Full,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.line().0.code()
    }

    /// Appends the whole response to `out`.
    pub fn write(self, out: &mut Vec<u8>) {
        let (status, text) = self.line();
        let mut response = Response::begin(status, out);
        match self {
            Self::Full => response = response.field("Retry-After", &RETRY_FULL_SECONDS.to_string()),
            Self::BadRequest | Self::Timeout | Self::TargetTooLong | Self::HeadTooLarge => {}
        }
        response.text(text, None);
    }

    const fn line(self) -> (Status, &'static str) {
        match self {
            Self::BadRequest => (Status::BadRequest, "this is not a request that is understood here\n"),
            Self::Timeout => (Status::RequestTimeout, "the request took too long to come in\n"),
            Self::TargetTooLong => (Status::UriTooLong, "the request line is too long\n"),
            Self::HeadTooLarge => (Status::FieldsTooLarge, "the request head is too large\n"),
            Self::Full => (Status::ServiceUnavailable, "the server is full, come back soon\n"),
        }
    }
}

impl From<HttpFault> for Refusal {
    fn from(fault: HttpFault) -> Self {
        match fault {
            HttpFault::BadRequest => Self::BadRequest,
            HttpFault::TargetTooLong => Self::TargetTooLong,
            HttpFault::HeadTooLarge => Self::HeadTooLarge,
        }
    }
}

/// A response on its way into `out`, field by field.
struct Response<'o> {
    out: &'o mut Vec<u8>,
    status: Status,
}

impl<'o> Response<'o> {
    fn begin(status: Status, out: &'o mut Vec<u8>) -> Self {
        out.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", status.code(), status.reason()).as_bytes());
        Self { out, status }.field("X-Content-Type-Options", "nosniff")
    }

    fn field(self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.out.extend_from_slice(part.as_bytes());
        }
        self
    }

    /// Ends with a few words for a person or a probe, true for this moment only.
    fn text(self, text: &str, request: Option<&Request>) -> Answer {
        self.field("Content-Type", "text/plain; charset=utf-8")
            .field("Cache-Control", "no-store")
            .end(Some(text.as_bytes()), request)
    }

    /// Ends with this content, which HEAD does not get to see, or none. Without a request that could be kept to,
    /// the connection ends with it.
    fn end(mut self, content: Option<&[u8]>, request: Option<&Request>) -> Answer {
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
        let answer = Answer::Responded { status: self.status.code(), keep_alive };
        let out = self.end_head();
        if request.is_none_or(|request| request.method != Method::Head) {
            out.extend_from_slice(content.unwrap_or_default());
        }
        answer
    }

    fn end_head(self) -> &'o mut Vec<u8> {
        self.out.extend_from_slice(b"\r\n");
        self.out
    }
}

/// The statuses that Plume sends (RFC 9110, section 15; RFC 6585, section 5).
#[derive(Clone, Copy)]
#[repr(u16)]
enum Status {
    SwitchingProtocols = 101,
    Ok = 200,
    NotModified = 304,
    BadRequest = 400,
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    UriTooLong = 414,
    UpgradeRequired = 426,
    FieldsTooLarge = 431,
    ServiceUnavailable = 503,
}

impl Status {
    const fn code(self) -> u16 {
        self as u16
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::SwitchingProtocols => "Switching Protocols",
            Self::Ok => "OK",
            Self::NotModified => "Not Modified",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
            Self::UriTooLong => "URI Too Long",
            Self::UpgradeRequired => "Upgrade Required",
            Self::FieldsTooLarge => "Request Header Fields Too Large",
            Self::ServiceUnavailable => "Service Unavailable",
        }
    }
}

/// RFC 6455, section 4.1.
const WEBSOCKET_VERSION: &str = "13";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::HeadReader;

    const SCRIPT_ETAG: &str = "\"85944171f73967e8\"";
    /// A handshake that lacks nothing but perhaps an Origin; the key is that of RFC 6455, section 1.3.
    const CONNECT: &str = "GET /connect HTTP/1.1|Host: a.example|Connection: Upgrade|Upgrade: websocket|\
        Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    fn site() -> Site {
        let files = [("index.html", "<p>hello"), ("js/a.js", "foobar")];
        let files = files.map(|(path, body)| (path.to_owned(), body.as_bytes().to_vec()));
        let assets = Assets::from_files("x", files.to_vec()).expect("an index is there");
        Site::new(assets, vec!["https://friend.example".to_owned(), "app://plume".to_owned()])
    }

    fn built_in() -> Site {
        Site::new(Assets::built_in("x"), Vec::new())
    }

    fn answer(site: &Site, head: &str) -> (Answer, String) {
        let bytes = head.replace('|', "\r\n") + "\r\n\r\n";
        let (used, request) = HeadReader::default().read(bytes.as_bytes());
        assert_eq!(used, bytes.len(), "{head}");
        let mut out = b"before".to_vec();
        let answer = site.answer(&request.expect("a whole head").expect("a request"), &mut out);
        let text = String::from_utf8(out).expect("text");
        (answer, text.strip_prefix("before").expect("what stood there stays").to_owned())
    }

    /// The one door. `row` is a head with `|` for CRLF. `expected` is the status, `stay` or `end`, and pieces of the
    /// response, parted by ` / `, each of which must be there, or must not where it begins with `!`.
    fn check(site: &Site, row: &str, expected: &str) {
        let (answer, text) = answer(site, row);
        let mut pieces = expected.split(" / ");
        let begin = match answer {
            Answer::Upgraded => "101".to_owned(),
            Answer::Responded { status, keep_alive } => {
                let is_closed = text.contains("\r\nConnection: close\r\n");
                assert_eq!(is_closed, !keep_alive, "{row}: {text}");
                format!("{status} {}", if keep_alive { "stay" } else { "end" })
            }
        };
        assert_eq!(Some(begin.as_str()), pieces.next(), "{row}: {text}");
        assert!(text.starts_with(&format!("HTTP/1.1 {} ", &begin[..3])), "{row}: {text}");
        assert!(text.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{row}: {text}");
        for piece in pieces {
            let piece = piece.replace('|', "\r\n");
            let holds = piece.strip_prefix('!').map_or(text.contains(&piece), |not| !text.contains(not));
            assert!(holds, "{row}: {piece:?} in {text}");
        }
        let (head, content) = text.split_once("\r\n\r\n").expect("a head");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        assert_eq!(length.is_none(), matches!(begin.as_str(), "101" | "304 stay"), "{row}: {text}");
        let length = if row.starts_with("HEAD") { "0" } else { length.unwrap_or("0") };
        assert_eq!(content.len().to_string(), length, "{row}: {text}");
    }

    #[test]
    fn places_answer() {
        for (row, expected) in [
            (
                "GET / HTTP/1.1|Host: a",
                "200 stay / Content-Type: text/html; charset=utf-8| / Cache-Control: no-cache| / !Connection / \
                 Referrer-Policy: no-referrer| / X-Frame-Options: DENY| / !Content-Security-Policy / ||<p>hello",
            ),
            ("GET /?x HTTP/1.0|Connection: keep-alive", "200 stay / |Connection: keep-alive|"),
            ("GET / HTTP/1.0", "200 end"),
            ("GET http://b/ HTTP/1.1|Host: a|Connection: close", "200 end"),
            ("HEAD / HTTP/1.1|Host: a", "200 stay / Content-Length: 8| / Content-Type: text/html / !<p>"),
            (
                "GET /static/js/a.js HTTP/1.1|Host: a",
                "200 stay / ||foobar / !Referrer / ETag: \"85944171f73967e8\"|",
            ),
            ("POST / HTTP/1.1|Host: a", "405 stay / Allow: GET, HEAD|"),
            ("OPTIONS /static/js/a.js HTTP/1.1|Host: a", "405 stay / Allow: GET, HEAD|"),
            ("DELETE /healthz HTTP/1.1|Host: a", "405 stay / Allow: GET, HEAD|"),
            ("HEAD /connect HTTP/1.1|Host: a", "405 stay / Allow: GET| / !place"),
            ("POST /connect HTTP/1.0", "405 end / Allow: GET|"),
            ("GET /healthz HTTP/1.1|Host: a", "200 stay / ||ok / Cache-Control: no-store|"),
            ("HEAD /healthz HTTP/1.1|Host: a", "200 stay / Content-Length: 2| / !ok"),
            ("GET /nothing HTTP/1.1|Host: a", "404 stay / Content-Type: text/plain; charset=utf-8|"),
            ("HEAD /nothing HTTP/1.1|Host: a", "404 stay / !here"),
            ("POST /nothing HTTP/1.0", "404 end"),
            ("GET /favicon.ico HTTP/1.1|Host: a", "404 stay"),
        ] {
            check(&site(), row, expected);
        }
        let policy = "200 stay / Content-Security-Policy: default-src 'none'; / frame-ancestors 'none'|";
        check(&built_in(), "GET / HTTP/1.1|Host: a", policy);
    }

    #[test]
    fn no_spelling_of_a_path_leads_elsewhere() {
        let paths = r"/static/ /static /static//js/a.js //static/js/a.js /static/./js/a.js /static/x/../js/a.js
            /static/../static/js/a.js /static/%6as/a.js /static/js%2fa.js /static/js%2Fa.js /static/js\a.js
            /static/js/a.js/ /static/js/a.js;x /static/js/a.js%00 /static/js/A.JS /STATIC/js/a.js
            /static/index.html /index.html /.. /../../etc/passwd /static/../../../etc/passwd
            /static/%2e%2e/%2e%2e/etc/passwd /static/..%2f..%2fetc/passwd /static/..%5c..%5cetc/passwd
            /static/..\..\etc\passwd /static/%c0%ae%c0%ae/etc/passwd /static/....//etc/passwd /connect/ /healthz/";
        for path in paths.split_whitespace() {
            check(&site(), &format!("GET {path} HTTP/1.1|Host: a"), "404 stay");
        }
    }

    #[test]
    fn who_has_the_content_is_told_so() {
        let kept = "304 stay / ETag: \"85944171f73967e8\"| / Cache-Control: no-cache| / !|Content- / !foobar";
        for tags in [
            SCRIPT_ETAG,
            &format!("W/{SCRIPT_ETAG}"),
            "*",
            &format!("\"a,b\", \"\" ,{SCRIPT_ETAG}"),
            &format!("W/\"x\"|If-None-Match: W/{SCRIPT_ETAG}"),
        ] {
            check(&site(), &format!("GET /static/js/a.js HTTP/1.1|Host: a|If-None-Match: {tags}"), kept);
            check(&site(), &format!("HEAD /static/js/a.js HTTP/1.1|Host: a|If-None-Match: {tags}"), kept);
        }
        for tags in
            ["", "\"\"", "\"85944171f73967e9\"", "85944171f73967e8", "w/\"85944171f73967e8\"", "\"*\""]
        {
            let row = format!("GET /static/js/a.js HTTP/1.1|Host: a|If-None-Match: {tags}");
            check(&site(), &row, "200 stay / ||foobar");
        }
        check(&site(), "GET /nothing HTTP/1.1|Host: a|If-None-Match: *", "404 stay");
        let page = "GET / HTTP/1.1|Host: a|If-None-Match: *";
        check(&built_in(), page, "304 stay / Content-Security-Policy / X-Frame-Options: DENY|");
    }

    #[test]
    fn gzip_is_sent_to_those_who_accept_it() {
        let page = built_in();
        let find = |accepts_gzip| {
            let form = page.assets.find("/").expect("an index").representation(accepts_gzip);
            (form.etag.as_str(), form.body.len())
        };
        let ((plain, plain_length), (packed, packed_length)) = (find(false), find(true));
        let packed_head = format!(
            "200 stay / ETag: {packed}| / Content-Encoding: gzip| / Vary: Accept-Encoding| / \
             Content-Type: text/html; charset=utf-8| / Content-Length: {packed_length}|"
        );
        let plain_head = format!(
            "200 stay / ETag: {plain}| / !Content-Encoding / Vary: Accept-Encoding| / Content-Length: {plain_length}|"
        );
        let held =
            |etag: &str| format!("304 stay / ETag: {etag}| / Vary: Accept-Encoding| / !|Content-Encoding");
        for (fields, expected) in [
            ("Accept-Encoding: gzip, br", packed_head.clone()),
            ("Accept-Encoding: br", plain_head.clone()),
            ("Accept-Encoding: gzip;q=0", plain_head.clone()),
            (&format!("Accept-Encoding: gzip|If-None-Match: {packed}"), held(packed)),
            (&format!("If-None-Match: {plain}"), held(plain)),
            (&format!("If-None-Match: {packed}"), plain_head.clone()),
            (&format!("Accept-Encoding: gzip|If-None-Match: {plain}"), packed_head.clone()),
        ] {
            check(&page, &format!("HEAD / HTTP/1.1|Host: a|{fields}"), &expected);
        }
        check(&page, "GET /static/favicon.svg HTTP/1.1|Host: a", "200 stay / Vary: Accept-Encoding|");
        let folder = "200 stay / !Vary / !Content-Encoding / ||<p>hello";
        check(&site(), "GET / HTTP/1.1|Host: a|Accept-Encoding: gzip", folder);
    }

    #[test]
    fn websockets_are_opened() {
        let accept = "101 / Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=| / Upgrade: websocket| / \
            Connection: Upgrade|";
        check(&site(), CONNECT, accept);
        check(&site(), &CONNECT.replace("/connect", "/connect?x"), accept);
        for (from, to, expected) in [
            ("Version: 13", "Version: 8", "426 stay / Sec-WebSocket-Version: 13| / Upgrade: websocket|"),
            ("Version: 13", "Version: 13|Sec-WebSocket-Version: 13", "426 stay"),
            ("Sec-WebSocket-Version: 13|", "", "426 stay / Connection: Upgrade|"),
            ("|Connection: Upgrade", "", "426 stay"),
            ("|Upgrade: websocket", "|Connection: close", "426 end"),
            ("HTTP/1.1", "HTTP/1.0", "426 end"),
            ("|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "400 end"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "", "400 end"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", "400 end"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", "400 end"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWU=", "400 end"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ*==", "400 end"),
            ("ZQ==", "ZQ==|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "400 end"),
        ] {
            check(&site(), &CONNECT.replace(from, to), expected);
        }
    }

    #[test]
    fn pages_from_elsewhere_may_not_connect() {
        let connect = |host: &str, origin: &str, expected: &str| {
            let row = CONNECT.replace("Host: a.example", &format!("Host: {host}|Origin: {origin}"));
            check(&site(), &row, expected);
        };
        for (host, origin) in [
            ("a.example", "http://a.example"),
            ("A.Example", "HTTPS://a.exAMPLE"),
            ("a.example", "https://a.example:443"),
            ("a.example:443", "https://a.example"),
            ("a.example:80", "http://a.example"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("[::1]", "http://[::1]"),
            ("a.example", "https://Friend.example"),
            ("a.example", "app://plume"),
        ] {
            connect(host, origin, "101");
        }
        for (host, origin) in [
            ("a.example:443", "http://a.example"),
            ("a.example:80", "https://a.example"),
            ("a.example:8080", "http://a.example"),
            ("[::1]:8080", "http://[::2]:8080"),
            ("a.example", ""),
            ("a.example", "http://a.example http://b.example"),
            ("a.example", "http://a.example|Origin: http://a.example"),
        ] {
            connect(host, origin, "403 stay / may not connect");
        }
        let foreign = "null http://b.example http://a.example.b.example http://xa.example http://a.example:8080
            ws://a.example file://a.example a.example //a.example http:a.example http://user@a.example
            http://user:a.example@a.example http://a.example/ http://friend.example https://friend.example:8443
            https://x.friend.example http:// http://:80";
        for origin in foreign.split_whitespace() {
            connect("a.example", origin, "403 stay");
        }
        // The target's authority counts, not the Host field.
        let absolute = CONNECT.replace("/connect", "http://b.example/connect");
        check(&site(), &(absolute.clone() + "|Origin: http://b.example"), "101");
        check(&site(), &(absolute + "|Origin: http://a.example"), "403 stay");
    }

    #[test]
    fn refusals_end_the_connection() {
        for (refusal, status, field) in [
            (Refusal::BadRequest, 400, "Connection: close"),
            (Refusal::Timeout, 408, "Connection: close"),
            (Refusal::TargetTooLong, 414, "Connection: close"),
            (Refusal::HeadTooLarge, 431, "Connection: close"),
            (Refusal::Full, 503, "Retry-After: 10"),
        ] {
            let mut out = Vec::new();
            refusal.write(&mut out);
            let text = String::from_utf8(out).expect("text");
            assert_eq!(refusal.status(), status);
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            for field in [field, "Connection: close", "X-Content-Type-Options: nosniff"] {
                assert!(text.contains(&format!("\r\n{field}\r\n")), "{text}");
            }
            let (head, content) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains(&format!("Content-Length: {}\r\n", content.len())), "{text}");
        }
        for fault in [HttpFault::BadRequest, HttpFault::TargetTooLong, HttpFault::HeadTooLarge] {
            assert_eq!(Refusal::from(fault).status(), fault.status(), "{fault:?}");
        }
    }
}
