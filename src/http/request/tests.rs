use super::*;
use crate::http::site::Refusal;
use proptest::prelude::*;

/// Reads chunk after chunk, until the bytes end or an error occurs. Each outcome has the position after its
/// last byte.
fn read_all<'c>(chunks: impl Iterator<Item = &'c [u8]>) -> Vec<(usize, Result<Request, RequestError>)> {
    let mut reader = HeadReader::default();
    let mut outcomes = Vec::new();
    let mut at = 0;
    for mut chunk in chunks {
        while !chunk.is_empty() {
            let (used, outcome) = reader.read(chunk);
            chunk = &chunk[used..];
            at += used;
            let is_fault = matches!(outcome, Some(Err(_)));
            outcomes.extend(outcome.map(|outcome| (at, outcome)));
            if is_fault {
                return outcomes;
            }
        }
    }
    outcomes
}

/// The parsed requests in one line, separated by " + ".
fn summary(bytes: &[u8]) -> String {
    let show = |(_, outcome): (usize, Result<Request, RequestError>)| match outcome {
        Ok(Request { method, path, version, keep_alive, host, upgrade, .. }) => {
            let end = if keep_alive { "stay" } else { "end" };
            let host =
                host.map_or("-".to_owned(), |host| format!("{}:{}", host.host, host.port.unwrap_or(0)));
            let upgrade = upgrade.map_or_else(String::new, |upgrade| {
                format!(" {}/{}", upgrade.version.unwrap_or_default(), upgrade.key.unwrap_or_default())
            });
            format!("{method:?} {path} {version:?} {end} {host}{upgrade}")
        }
        Err(fault) => Refusal::from(fault).status().to_string(),
    };
    read_all([bytes].into_iter()).into_iter().map(show).collect::<Vec<_>>().join(" + ")
}

/// Reads one head, with `|` for CRLF, and without its end.
fn read_one(row: &str) -> Result<Request, RequestError> {
    let head = row.replace('|', "\r\n") + "\r\n\r\n";
    HeadReader::default().read(head.as_bytes()).1.expect("a whole head")
}

/// Checks one row: `row` is a head without its end, with `|` for CRLF.
fn check(row: &str, expected: &str) {
    let head = row.replace('|', "\r\n") + "\r\n\r\n";
    assert_eq!(summary(head.as_bytes()), expected, "{row}");
}

#[test]
fn requests_are_read() {
    for (row, expected) in [
        ("GET / HTTP/1.1|Host: a", "Get / Http11 stay a:0"),
        ("HEAD /x/y.css HTTP/1.1|HOST:A.Example:8080", "Head /x/y.css Http11 stay a.example:8080"),
        ("get / HTTP/1.1|host: a", "Other / Http11 stay a:0"),
        ("OPTIONS / HTTP/1.1|host: a", "Options / Http11 stay a:0"),
        ("OPTIONS * HTTP/1.1|host: a", "Options * Http11 stay a:0"),
        ("options / HTTP/1.1|host: a", "Other / Http11 stay a:0"),
        ("GET * HTTP/1.1|host: a", "400"),
        ("OPTIONS ** HTTP/1.1|host: a", "400"),
        ("OPTIONS *?x HTTP/1.1|host: a", "400"),
        ("||GET / HTTP/1.0", "Get / Http10 end -"),
        ("GET / HTTP/1.0|Host: a:", "Get / Http10 end a:0"),
        ("GET /?a=/b?c HTTP/1.1|Host: [::1]:8080", "Get / Http11 stay [::1]:8080"),
        ("GET /%2e%2E/x HTTP/1.1|Host: a|X: \u{fc}\t", "Get /%2e%2E/x Http11 stay a:0"),
        ("GET / HTTP/1.1|Host: a|Content-Length: 0", "Get / Http11 stay a:0"),
        ("GET / HTTP/1.1|Host: x_y-z.1%c3%BC", "Get / Http11 stay x_y-z.1%c3%bc:0"),
        // Absolute form: its authority wins.
        ("GET http://B:81/x?y HTTP/1.1|Host: a", "Get /x Http11 stay b:81"),
        ("GET HTTPS://b HTTP/1.1|Host: a", "Get / Http11 stay b:0"),
        ("GET http://b?/x HTTP/1.0", "Get / Http10 end b:0"),
        // Persistent connections.
        ("GET / HTTP/1.1|Host: a|Connection: CLOSE", "Get / Http11 end a:0"),
        ("GET / HTTP/1.1|Host: a|Connection: x ,close, y", "Get / Http11 end a:0"),
        ("GET / HTTP/1.1|Host: a|Connection: x|connection: close", "Get / Http11 end a:0"),
        ("GET / HTTP/1.1|Host: a|Connection: closed", "Get / Http11 stay a:0"),
        ("GET / HTTP/1.0|Connection: Keep-Alive", "Get / Http10 stay -"),
        ("GET / HTTP/1.0|Connection: keep-alive|Connection: close", "Get / Http10 end -"),
        // WebSocket upgrades.
        (
            "GET / HTTP/1.1|Host: a|Connection: keep-alive, Upgrade|Upgrade: x|Upgrade: WebSocket|\
             Sec-WebSocket-Version: 13|Sec-WebSocket-Key: k",
            "Get / Http11 stay a:0 13/k",
        ),
        ("GET / HTTP/1.1|Host: a|Connection: upgrade|Upgrade: websocket", "Get / Http11 stay a:0 /"),
        ("GET / HTTP/1.1|Host: a|Upgrade: websocket", "Get / Http11 stay a:0"),
        ("GET / HTTP/1.1|Host: a|Connection: upgrade|Upgrade: h2c", "Get / Http11 stay a:0"),
        ("GET / HTTP/1.0|Host: a|Connection: upgrade|Upgrade: websocket", "Get / Http10 end a:0"),
        // Pipelined requests, and nothing after an error.
        ("GET /1 HTTP/1.0||||GET /2 HTTP/1.0", "Get /1 Http10 end - + Get /2 Http10 end -"),
        ("GET /1 HTTP/1.0||GET /2 HTTP/2.0||GET /3 HTTP/1.0", "Get /1 Http10 end - + 400"),
    ] {
        check(row, expected);
    }
}

#[test]
fn gzip_is_for_those_who_like_it() {
    for (list, expected) in [
        ("gzip", true),
        ("gzip, deflate, br, zstd", true),
        ("br;q=1.0, GZip;q=0.8, *;q=0.1", true),
        ("x-gzip", true),
        ("*", true),
        ("gzip;q=0.001", true),
        ("deflate, gzip ; Q=1.000", true),
        ("identity, gzip", true),
        ("identity;q=0.5, gzip;q=0.5", true),
        ("identity;q=0, *", true),
        ("", false),
        ("br", false),
        ("identity", false),
        ("gzip;q=0", false),
        ("gzip;q=0.000", false),
        ("gzip;q=0, *", false),
        ("*;q=0", false),
        ("identity, gzip;q=0.5", false),
        ("gzip;q=2", false),
        ("gzip;q=1.001", false),
        ("gzip;q=0.0001", false),
        ("gzip;q=", false),
        ("gzip;q=-1", false),
        ("gzip;level=9", false),
        ("gzipped", false),
    ] {
        let request = read_one(&format!("GET / HTTP/1.1|Host: a|Accept-Encoding: {list}"));
        assert_eq!(request.expect("a request").accepts_gzip, expected, "{list}");
    }
    let request = read_one("GET / HTTP/1.1|Host: a|Accept-Encoding: br|Accept-Encoding: gzip");
    assert!(request.expect("a request").accepts_gzip, "lines are joined");
}

#[test]
fn what_can_be_understood_in_two_ways_is_refused() {
    let hosts = "a|Host:a a|host:b a/b u@a a:b a:+1 a:65536 a:1:2 ::1 [::1 [::1]x [a] [] a%2 a%2g \u{fc}";
    for host in hosts.split(' ').chain(["", "a b", "a, b"]) {
        check(&format!("GET / HTTP/1.1|Host: {host}"), "400");
        check(&format!("GET / HTTP/1.0|Host: {host}"), "400");
    }
    let targets =
        "* a:80 a/x /#x /\t /\u{fc} ftp://a/ http:///x http://?x http://u@a/ http://a:b/ ://a/ http:/a";
    for target in targets.split(' ').chain(["", " /", "/ ", "/a b"]) {
        check(&format!("GET {target} HTTP/1.1|Host: a"), "400");
    }
    for version in "HTTP/1.2 HTTP/2.0 HTTP/0.9 http/1.1 HTTP/1.10 HTTP/1 HTTP/1.1\t HTTP".split(' ') {
        check(&format!("GET / {version}|Host: a"), "400");
    }
    let lengths = "1 5,5 0,0 0|Content-Length:0 0|content-length:5 +0 -0 -1 00 0x0 0; a";
    for length in lengths.split(' ').chain(["", "0, 0", "0 0"]) {
        check(&format!("POST / HTTP/1.1|Host: a|Content-Length: {length}"), "400");
    }
    for row in [
        "GET / HTTP/1.1",
        "GET http://a/x HTTP/1.1",
        "CONNECT a:80 HTTP/1.1|Host: a",
        "GET /|Host: a",
        "GET\t/ HTTP/1.1|Host: a",
        " GET / HTTP/1.1|Host: a",
        "G@T / HTTP/1.1|Host: a",
        "GET / HTTP/1.1| Host: a",
        "GET / HTTP/1.1|Host : a",
        "GET / HTTP/1.1|Host: a|Content-Length\t: 0",
        "GET / HTTP/1.1|Host: a|Transfer-Encoding:",
        "GET / HTTP/1.1|Host: a|Transfer-Encoding: identity",
        "GET / HTTP/1.1|Host: a|transfer-ENCODING: chunked",
        "POST / HTTP/1.1|Host: a|Content-Length: 0|Transfer-Encoding: chunked",
        "GET / HTTP/1.1|Host: a|X: y| folded",
        "GET / HTTP/1.1|Host: a|X: y|\tTransfer-Encoding: chunked",
        "GET / HTTP/1.1|Host: a|X",
        "GET / HTTP/1.1|Host: a|X(: y",
        "GET / HTTP/1.1|Host: a|: y",
    ] {
        check(row, "400");
    }
}

#[test]
fn bytes_that_no_head_has_are_refused_at_once() {
    for (bytes, used) in [
        (&b"\x16\x03\x01\x02\x00\x01"[..], 1),
        (b"\n", 1),
        (b"\r\r\n", 2),
        (b"\rGET", 2),
        (b"GET / HTTP/1.0\n\n", 15),
        (b"GET / HTTP/1.0\rX: y\r\n", 16),
        (b"GET /\x00", 6),
        (b"GET / HTTP/1.1\r\nX: \x0b", 20),
        (b"GET / HTTP/1.1\r\nX: a\nHost: a\r\n", 21),
        (b"GET / HTTP/1.1\r\nX: a\rHost: a\r\n", 22),
        (b"GET / HTTP/1.1\r\nX: \x7f", 20),
        (b"GET / HTTP/1.1\r\n\n", 17),
        (b"GET / HTTP/1.1\r\n\rx", 18),
    ] {
        let outcome = (used, Some(Err(RequestError::BadRequest)));
        assert_eq!(HeadReader::default().read(bytes), outcome, "{}", bytes.escape_ascii());
    }
}

#[test]
fn limits_are_exact() {
    let line = |length: usize| format!("GET /{} HTTP/1.0", "x".repeat(length - "GET / HTTP/1.0".len()));
    let fields = |count: usize| "GET / HTTP/1.0".to_owned() + &"|X: y".repeat(count);
    let head = |length: usize| {
        let begin = "GET /h HTTP/1.0|X: ";
        begin.to_owned() + &"x".repeat(length - begin.len() - "|".len() - "\r\n\r\n".len())
    };
    let read = |row: &str| summary((row.replace('|', "\r\n") + "\r\n\r\n").as_bytes());
    assert!(read(&line(REQUEST_LINE_BYTES_MAX)).starts_with("Get /xxx"));
    assert_eq!(read(&line(REQUEST_LINE_BYTES_MAX + 1)), "414");
    assert_eq!(read(&fields(HEADERS_MAX)), "Get / Http10 end -");
    assert_eq!(read(&fields(HEADERS_MAX + 1)), "431");
    // Each `|` becomes two bytes.
    assert_eq!(read(&head(HEAD_BYTES_MAX)), "Get /h Http10 end -");
    assert_eq!(read(&head(HEAD_BYTES_MAX + 1)), "431");
    assert_eq!(summary(&[b'x'; REQUEST_LINE_BYTES_MAX]), "", "not yet too long");
    assert_eq!(summary(&[b'x'; REQUEST_LINE_BYTES_MAX + 1]), "414", "before its end");
}

#[test]
fn empty_lines_are_no_beginning_and_nothing_is_held_between_heads() {
    let mut reader = HeadReader::default();
    for (bytes, has_begun) in [
        (&b""[..], false),
        (b"\r\n", false),
        (b"\r", false),
        (b"\nG", true),
        (b"ET / HTTP/1.0\r\n", true),
        (b"\r", true),
        (b"\n", false),
    ] {
        reader.read(bytes);
        assert_eq!(reader.has_begun(), has_begun, "{}", bytes.escape_ascii());
    }
    assert_eq!(reader.held.capacity(), 0);
    assert!(size_of::<HeadReader>() <= 32);
}

const POOL: [&[u8]; 10] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /static/x.js?v HTTP/1.0\r\nIf-None-Match: \"1\"\r\nIf-None-Match: W/\"2\"\r\n\r\n",
    b"GET /connect HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"\r\n",
    b"\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.0\n\n",
    b"\x16\x03\x01",
    &[b'x'; REQUEST_LINE_BYTES_MAX + 2],
];

proptest! {
    #[test]
    fn any_split_gives_the_same_outcomes(
        picks in prop::collection::vec(prop_oneof![9 => 0..5_usize, 1 => 5..POOL.len()], 1..6),
        sizes in prop::collection::vec(1..40_usize, 1..40),
    ) {
        let bytes: Vec<u8> = picks.iter().flat_map(|&pick| POOL[pick]).copied().collect();
        let mut rest = &bytes[..];
        let chunks = sizes.iter().cycle().map_while(|&size| {
            let (chunk, left) = rest.split_at(size.min(rest.len()));
            rest = left;
            (!chunk.is_empty()).then_some(chunk)
        });
        let whole = read_all([&bytes[..]].into_iter());
        prop_assert_eq!(&read_all(chunks), &whole);
        prop_assert_eq!(&read_all(bytes.chunks(1)), &whole);
    }
}

#[test]
fn only_lines_may_have_a_body_and_its_length_is_one_number() {
    let read = |head: &str| read_one(head).map(|request| request.lines);
    let lines = |query: &str, content_length| {
        let query = query.to_owned();
        Ok(Some(Box::new(LinesFields { query, content_length, ..LinesFields::default() })))
    };
    for (head, expected) in [
        ("GET /lines HTTP/1.1|Host: a", lines("", None)),
        ("GET /lines?after=1&x HTTP/1.1|Host: a", lines("after=1&x", None)),
        ("POST http://a/lines? HTTP/1.1|Host: a|Content-Length: 5", lines("", Some(5))),
        ("PUT /lines HTTP/1.1|Host: a|Content-Length: 0", lines("", Some(0))),
        ("POST /lines HTTP/1.1|Host: a|Content-Length: 99999999999999999999999", lines("", Some(usize::MAX))),
        ("POST /lines/ HTTP/1.1|Host: a", Ok(None)),
        ("POST /lines/ HTTP/1.1|Host: a|Content-Length: 1", Err(RequestError::BadRequest)),
        ("POST /Lines HTTP/1.1|Host: a|Content-Length: 1", Err(RequestError::BadRequest)),
    ] {
        assert_eq!(read(head), expected, "{head}");
    }
    for length in
        ["", "05", "+5", "-5", "5,5", "5, 5", "5|Content-Length: 5", "0x5", "5 5", "5;", "\"5\"", "5.0"]
    {
        for more in ["", "|Transfer-Encoding: chunked"] {
            let head = format!("POST /lines HTTP/1.1|Host: a|Content-Length: {length}{more}");
            assert_eq!(read(&head), Err(RequestError::BadRequest), "{head}");
        }
    }
    let head = "POST /lines HTTP/1.1|Host: a|AUTHORIZATION: Bearer x|accept: a|Accept: b|Content-Type: text/plain\
        |Expect: 100-Continue|Content-Length: 1";
    let fields = read(head).expect("a request").expect("fields");
    assert_eq!(fields.authorization.as_deref(), Some("Bearer x"));
    assert_eq!(
        (fields.accept.as_deref(), fields.content_type.as_deref()),
        (Some("a, b"), Some("text/plain"))
    );
    assert!(fields.expects_continue);
    let old = head.replace("HTTP/1.1", "HTTP/1.0");
    assert!(
        !read(&old).expect("a request").expect("fields").expects_continue,
        "HTTP/1.0 does not know of it"
    );
}
