use super::*;
use crate::http::request::HeadReader;

const SCRIPT_ETAG: &str = "\"85944171f73967e8\"";
/// A complete handshake except for an Origin; the key is that of RFC 6455, section 1.3.
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

fn answer(site: &Site, peer: Peer, head: &str) -> (Answer, String) {
    let bytes = head.replace('|', "\r\n") + "\r\n\r\n";
    let (used, request) = HeadReader::default().read(bytes.as_bytes());
    assert_eq!(used, bytes.len(), "{head}");
    let mut out = b"before".to_vec();
    let answer = site.answer(&request.expect("a whole head").expect("a request"), peer, &mut out);
    if let Answer::Responded { body, .. } = &answer {
        out.extend_from_slice(body);
    }
    let text = String::from_utf8(out).expect("text");
    (answer, text.strip_prefix("before").expect("what stood there stays").to_owned())
}

/// Checks one row. `row` is a head with `|` for CRLF. `expected` is the status, `stay` or `end`, and parts of
/// the response, separated by ` / `, each of which must occur, or must not if it begins with `!`.
fn check(site: &Site, row: &str, expected: &str) {
    let (answer, text) = answer(site, Peer::Other, row);
    let mut pieces = expected.split(" / ");
    let begin = match answer {
        Answer::Upgraded => "101".to_owned(),
        Answer::Responded { status, keep_alive, .. } => {
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
    let has_none = matches!(begin.as_str(), "101" | "204 stay" | "204 end" | "304 stay");
    assert_eq!(length.is_none(), has_none, "{row}: {text}");
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
        ("POST / HTTP/1.1|Host: a", "405 stay / Allow: GET, HEAD, OPTIONS| / ||Method not allowed"),
        ("DELETE /healthz HTTP/1.1|Host: a", "405 stay / Allow: GET, HEAD, OPTIONS|"),
        ("HEAD /connect HTTP/1.1|Host: a", "405 stay / Allow: GET, OPTIONS| / !not allowed"),
        ("POST /connect HTTP/1.0", "405 end / Allow: GET, OPTIONS|"),
        ("OPTIONS / HTTP/1.1|Host: a", "204 stay / Allow: GET, HEAD, OPTIONS|"),
        ("OPTIONS / HTTP/1.0", "204 end / Allow: GET, HEAD, OPTIONS|"),
        ("OPTIONS * HTTP/1.1|Host: a", "204 stay / Allow: GET, HEAD, OPTIONS|"),
        ("OPTIONS * HTTP/1.0", "204 end / Allow: GET, HEAD, OPTIONS|"),
        ("OPTIONS /static/js/a.js HTTP/1.1|Host: a", "204 stay / Allow: GET, HEAD, OPTIONS|"),
        ("OPTIONS /healthz HTTP/1.1|Host: a", "204 stay / Allow: GET, HEAD, OPTIONS|"),
        ("OPTIONS /connect HTTP/1.1|Host: a", "204 stay / Allow: GET, OPTIONS|"),
        ("OPTIONS /nothing HTTP/1.1|Host: a", "404 stay"),
        ("GET /healthz HTTP/1.1|Host: a", "200 stay / ||ok / Cache-Control: no-store|"),
        ("HEAD /healthz HTTP/1.1|Host: a", "200 stay / Content-Length: 2| / !ok"),
        ("GET /nothing HTTP/1.1|Host: a", "404 stay / Content-Type: text/plain; charset=utf-8|"),
        ("HEAD /nothing HTTP/1.1|Host: a", "404 stay / !found\n"),
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
    for tags in ["", "\"\"", "\"85944171f73967e9\"", "85944171f73967e8", "w/\"85944171f73967e8\"", "\"*\""] {
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
    let held = |etag: &str| format!("304 stay / ETag: {etag}| / Vary: Accept-Encoding| / !|Content-Encoding");
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
        // A Host without a port may have lost it on the way through a proxy.
        ("a.example", "http://a.example:8080"),
        ("[::1]", "http://[::1]:8080"),
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
        ("a.example:8080", "http://a.example:8081"),
        ("[::1]:8080", "http://[::2]:8080"),
        ("a.example", ""),
        ("a.example", "http://a.example http://b.example"),
        ("a.example", "http://a.example|Origin: http://a.example"),
    ] {
        connect(host, origin, "403 stay / This origin may not connect");
    }
    let foreign = "null http://b.example http://a.example.b.example http://xa.example http://a.example:65536
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

/// The status of a handshake, and the fault that it shows.
fn shake_hands(peer: Peer, head: &str) -> (u16, Option<ProxyFault>) {
    match answer(&site(), peer, head) {
        (Answer::Upgraded, _) => (101, None),
        (Answer::Responded { status, fault, .. }, _) => (status, fault),
    }
}

#[test]
fn the_forwarded_host_counts_where_a_trusted_proxy_passes_it_on() {
    let refused = (403, Some(ProxyFault::ForeignOrigin));
    for (forwarded, origin, expected) in [
        ("a.example", "https://a.example", (101, None)),
        ("A.example:8443", "https://a.example:8443", (101, None)),
        ("a.example", "https://a.example:8443", (101, None)),
        ("a.example, inner:4884", "https://a.example", (101, None)),
        ("a.example|X-Forwarded-Host: inner", "https://a.example", (101, None)),
        ("[::1]:8080", "http://[::1]:8080", (101, None)),
        ("a.example:8443", "https://a.example", refused),
        ("b.example", "https://a.example", refused),
        ("a.example/", "https://a.example", refused),
        ("", "https://a.example", refused),
        (",", "null", refused),
    ] {
        let fields = format!("Host: inner:4884|Origin: {origin}|X-Forwarded-Host: {forwarded}");
        let head = CONNECT.replace("Host: a.example", &fields);
        assert_eq!(shake_hands(Peer::TrustedProxy, &head), expected, "{fields}");
        assert_eq!(shake_hands(Peer::Other, &head), refused, "{fields}");
    }
}

#[test]
fn faults_of_proxies_are_told_apart_from_other_requests() {
    let (foreign, removed) = (Some(ProxyFault::ForeignOrigin), Some(ProxyFault::UpgradeRemoved));
    for (from, to, expected) in [
        ("", "", None),
        ("Host: a.example", "Host: inner|Origin: http://a.example", foreign),
        // The origin is checked first: a page of another one learns nothing else.
        ("|Connection: Upgrade|Upgrade: websocket", "|Connection: close|Origin: http://b.example", foreign),
        ("|Connection: Upgrade|Upgrade: websocket", "", removed),
        ("|Connection: Upgrade", "|Connection: close", removed),
        ("|Upgrade: websocket", "", removed),
        ("HTTP/1.1", "HTTP/1.0", removed),
        // A browser that opens the address as a page, and a client of another version.
        (
            "|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "",
            None,
        ),
        ("Version: 13", "Version: 8", None),
    ] {
        let (_, fault) = shake_hands(Peer::Other, &CONNECT.replace(from, to));
        assert_eq!(fault, expected, "{from} -> {to}");
    }
}

#[test]
fn refusals_end_the_connection() {
    for (refusal, status, field) in [
        (RequestError::BadRequest.into(), 400, "Connection: close"),
        (Refusal::Timeout, 408, "Connection: close"),
        (RequestError::TargetTooLong.into(), 414, "Connection: close"),
        (RequestError::HeadTooLarge.into(), 431, "Connection: close"),
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
}
