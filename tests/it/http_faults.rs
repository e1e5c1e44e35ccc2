//! What HTTP gives when something is wrong, each with its status and its consequence for the connection.

use crate::support::{Client, Http, Plume, wait_for};
use std::thread;
use std::time::{Duration, Instant};

/// Sends each request and expects this status and the end of the connection.
fn all_end_with(status: u16, requests: &[impl AsRef<[u8]>]) {
    let server = Plume::start(&[]);
    for request in requests {
        let row = String::from_utf8_lossy(request.as_ref()).chars().take(120).collect::<String>();
        let mut http = Http::open(&server);
        http.send(request);
        let answer = http.answer();
        assert_eq!(answer.status, status, "{row:?}");
        assert_eq!(answer.must("x-content-type-options"), "nosniff", "{row:?}");
        http.expect_end();
    }
    assert_eq!(Http::get(&server, "/healthz").status, 200, "the server lives on");
}

#[test]
fn what_is_not_http_gets_400() {
    all_end_with(
        400,
        &[
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
            b"hello\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET / FTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
            b"G\xffT / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        ],
    );
}

#[test]
fn a_request_that_others_could_read_differently_gets_400() {
    all_end_with(
        400,
        &[
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 5\r\n\r\nhello",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        ],
    );
}

#[test]
fn a_body_after_a_fault_is_not_the_next_request() {
    let server = Plume::start(&[]);
    let mut http = Http::open(&server);
    http.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(http.answer().status, 400);
    http.expect_end();
}

#[test]
fn a_long_request_line_gets_414() {
    let long = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(length));
    let endless = format!("GET /{}", "a".repeat(9_000));
    all_end_with(414, &[long(8_300), long(15_000), endless]);
    let server = Plume::start(&[]);
    assert_eq!(Http::ask(&server, long(8_000)).status, 404, "RFC 9112 wants 8,000 bytes to be possible");
}

#[test]
fn a_long_head_gets_431() {
    let many = |count: usize| {
        let fields = "X: y\r\n".repeat(count - 1);
        format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
    };
    let big = |length: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(length));
    let endless = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(17 << 10));
    all_end_with(431, &[many(65), many(500), big(16 << 10), big(100 << 10), endless]);
    let server = Plume::start(&[]);
    assert_eq!(Http::ask(&server, many(64)).status, 200);
    assert_eq!(Http::ask(&server, big(16_000)).status, 200);
}

#[test]
fn another_method_gets_405_with_those_that_go() {
    let server = Plume::start(&[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        for target in ["/", "/connect", "/healthz"] {
            let answer = Http::ask(&server, format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(answer.status, 405, "{method} {target}");
            assert!(answer.must("allow").contains("GET"), "{method} {target}: {answer:?}");
            assert_eq!(answer.must("x-content-type-options"), "nosniff", "{method} {target}");
        }
    }
    let head = "HEAD";
    let answer = Http::ask(&server, "POST / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.must("allow").contains(head), "{answer:?}");
}

#[test]
fn options_gets_204_with_the_methods_as_health_checks_expect() {
    let server = Plume::start(&[]);
    let mut http = Http::open(&server);
    for target in ["*", "/", "/healthz", "/connect", "/static/style.css", "http://x/"] {
        http.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = http.answer();
        assert_eq!(answer.status, 204, "{target}: {answer:?}");
        assert!(answer.must("allow").split(", ").any(|method| method == "GET"), "{target}: {answer:?}");
        // RFC 9110, section 8.6: a length may not be sent with this status.
        assert_eq!(answer.header("content-length"), None, "{target}: {answer:?}");
    }
    // HAProxy's default health check speaks HTTP/1.0.
    let answer = Http::ask(&server, "OPTIONS / HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(Http::ask(&server, "OPTIONS /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
    assert_eq!(Http::ask(&server, "GET * HTTP/1.1\r\nHost: x\r\n\r\n").status, 400);
}

#[test]
fn a_head_has_ten_seconds_and_silence_ends_without_a_word() {
    let server = Plume::start(&[]);
    let begun = Instant::now();
    let mut kept = Http::open(&server);
    kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(kept.answer().status, 200);
    let mut slow = Http::open(&server);
    slow.send("GET / HTTP/1.1\r\n");
    let mut second = Http::open(&server);
    second.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET");
    assert_eq!(second.answer().status, 200);
    let mut silent = Http::open(&server);
    // Somebody who keeps sending a little is late all the same.
    let dribble = thread::spawn({
        let mut http = Http::open(&server);
        move || {
            http.send("GET / HTTP/1.1\r\nHost: x\r\nX: ");
            for _ in 0..45 {
                http.send("y");
                thread::sleep(Duration::from_millis(200));
            }
            http.answer()
        }
    });
    for late in [&mut slow, &mut second] {
        assert_eq!(late.answer().status, 408);
        assert!(begun.elapsed() > Duration::from_secs(9), "too early: {:?}", begun.elapsed());
        late.expect_end();
    }
    silent.expect_end();
    assert!(begun.elapsed() > Duration::from_secs(9), "too early: {:?}", begun.elapsed());
    assert_eq!(dribble.join().unwrap().status, 408);
    kept.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(kept.answer().status, 200, "a connection is kept longer after an answer");
}

#[test]
fn a_full_server_gives_503_and_a_place_when_one_leaves() {
    let server = Plume::start(&[("PLUME_MAX_CONNECTIONS", "2"), ("PLUME_LEAVE_GRACE", "0")]);
    let mut stays = Client::open(&server);
    let goes = Client::open(&server);
    for _ in 0..5 {
        let answer = Http::get(&server, "/");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.must("x-content-type-options"), "nosniff");
    }
    stays.expect_nothing();
    drop(goes);
    let mut comes = wait_for("place", || Client::try_open(&server));
    comes.expect_nothing();
    stays.expect_nothing();
}

#[test]
fn the_limit_of_files_is_a_limit_of_connections() {
    let server = Plume::start_after("ulimit -n 64", &[]);
    let mut kept: Vec<Http> = (0..32)
        .map(|_| {
            let mut http = Http::open(&server);
            http.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(http.answer().status, 200);
            http
        })
        .collect();
    assert_eq!(Http::get(&server, "/").status, 503);
    // More than there are files: whoever is in stays in, and nobody is forgotten.
    let crowd: Vec<Http> = (0..60).map(|_| Http::open(&server)).collect();
    for http in &mut kept {
        http.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(http.answer().status, 200);
    }
    drop((crowd, kept));
    // Until then connections are refused, the fifth at once without an answer.
    wait_for("place", || Client::try_open(&server));
}
