//! Requests that two readers could cut in two ways. Each is refused as a whole: nothing within it is
//! answered.

use crate::onlooker::Onlooker;
use crate::raw::{answers, shown, statuses};
use crate::support::Plume;

/// What an attacker hides behind the first request; were it read, there would be one more answer.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";

/// The first request's fields (`|` is a line end), and what follows the empty line before the hidden request.
const VARIANTS: [(&str, &str); 40] = [
    // Two lengths, or a length and an encoding.
    ("Content-Length: 33|Transfer-Encoding: chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked|Content-Length: 33", "0\r\n\r\n"),
    ("Content-Length: 0|Transfer-Encoding: chunked", "0\r\n\r\n"),
    ("Content-Length: 0|Content-Length: 33", ""),
    ("Content-Length: 33|Content-Length: 0", ""),
    ("Content-Length: 33|Content-Length: 33", ""),
    ("Content-Length: 33, 0", ""),
    ("Content-Length: 0, 0", ""),
    ("content-length: 0|CONTENT-LENGTH: 1", ""),
    // Lengths that not everybody reads as the same number.
    ("Content-Length: +33", ""),
    ("Content-Length: -1", ""),
    ("Content-Length: 0x21", ""),
    ("Content-Length: 3 3", ""),
    ("Content-Length: 00", ""),
    ("Content-Length: 33;", ""),
    ("Content-Length: \"33\"", ""),
    ("Content-Length:", ""),
    ("Content-Length: 18446744073709551616", ""),
    ("Content-Length : 33", ""),
    ("Content-Length\t: 33", ""),
    ("Content-Length\0: 33", ""),
    ("Content-Length: 0\x0b", ""),
    ("Content-Length:| 33", ""),
    // Encodings that not everybody reads as chunked.
    ("Transfer-Encoding: chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: CHUNKED", "0;a=b\r\n\r\n"),
    ("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    ("Transfer-Encoding: identity", ""),
    ("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    ("Transfer-Encoding: identity|Transfer-Encoding: chunked", "0\r\n\r\n"),
    ("Transfer-Encoding:\x0bchunked", "0\r\n\r\n"),
    ("Transfer-Encoding : chunked", "0\r\n\r\n"),
    ("Transfer-Encoding\t: chunked", "0\r\n\r\n"),
    ("X: y| Transfer-Encoding: chunked", "0\r\n\r\n"),
    ("X: y\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("X: y\rTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("\u{a0}Transfer-Encoding: chunked", "0\r\n\r\n"),
    // Bodies with what has none.
    ("Expect: 100-continue|Content-Length: 33", ""),
    ("Connection: Content-Length|Content-Length: 33", ""),
    ("Connection: upgrade|Upgrade: h2c|HTTP2-Settings: AAMAAABk|Content-Length: 33", ""),
    (
        "Connection: upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Content-Length: 33",
        "",
    ),
];

#[test]
fn no_second_request_is_made_out_of_the_first() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    for (fields, between) in VARIANTS {
        for (method, target) in [("GET", "/"), ("POST", "/"), ("HEAD", "/nowhere"), ("GET", "/connect")] {
            let fields = fields.replace('|', "\r\n");
            let request =
                format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{between}{HIDDEN}");
            assert_eq!(statuses(&server, request.as_bytes()), [400], "{request:?}");
        }
    }
    onlooker.finish();
}

#[test]
fn a_request_line_or_a_line_end_that_is_read_in_two_ways_ends_the_connection() {
    let server = Plume::start(&[]);
    let rows = [
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\rHost: x\r\r",
        "GET / HTTP/1.1\r\nHost: x\r\n\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\rGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: x\r\nHost: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x@y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\r\n\r\n",
        "GET /x y HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / http/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET / HTTP/0.9\r\nHost: x\r\n\r\n",
        "GET / HTTP/01.1\r\nHost: x\r\n\r\n",
        "GET /\r\nHost: x\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET x.example:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT x.example:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://user@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /#part HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: \u{7f}\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    for row in rows {
        assert_eq!(statuses(&server, format!("{row}{HIDDEN}").as_bytes()), [400], "{row:?}");
    }
}

#[test]
fn what_was_asked_for_is_answered_and_nothing_else() {
    let server = Plume::start(&[]);
    let rows: [(&str, &[u16]); 6] = [
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", &[200, 404]),
        ("\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\r\n", &[200, 404]),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[200]),
        ("GET /healthz HTTP/1.0\r\n\r\n", &[200]),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", &[200, 404]),
        // What follows an upgrade is no HTTP any more.
        (
            "GET /connect HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            &[101],
        ),
    ];
    for (row, expected) in rows {
        let answers = answers(&server, format!("{row}{HIDDEN}").as_bytes());
        let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
        assert_eq!(
            statuses,
            expected,
            "{row:?}: {:?}",
            answers.iter().map(|(_, body)| shown(body)).collect::<Vec<_>>()
        );
    }
}
