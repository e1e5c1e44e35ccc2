//! What HTTP gives when all is well: the page, its assets, and connections that are kept.

use crate::support::{Answer, Http, Plume, production};
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

/// The targets under `/static/` that the page names.
fn assets_of(page: &str) -> BTreeSet<String> {
    let quoted = page.split('"').skip(1).step_by(2);
    quoted.filter(|value| value.starts_with("static/")).map(|value| format!("/{value}")).collect()
}

fn asked_with(server: &Plume, target: &str, header: &str) -> Answer {
    Http::ask(server, format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n"))
}

#[test]
fn the_page_comes_whole_and_safe() {
    let server = Plume::start(&[]);
    let page = Http::get(&server, "/");
    assert_eq!(page.status, 200);
    assert_eq!(page.must("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.must("content-length"), page.body.len().to_string());
    assert_eq!(page.must("cache-control"), "no-cache");
    assert_eq!(page.must("x-content-type-options"), "nosniff");
    assert_eq!(page.must("referrer-policy"), "no-referrer");
    let policy = page.must("content-security-policy");
    assert!(!policy.contains("unsafe-inline"), "{policy}");
    assert!(policy.contains("default-src") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(page.text().contains("Plume.chat"), "the site's name stands on the page");
}

#[test]
fn the_page_is_told_whether_codes_are_printed_or_emailed() {
    for (server, attribute) in [
        (Plume::start(&[]), "data-codes=\"printed\""),
        (production("http://127.0.0.1:1", &[]), "data-codes=\"emailed\""),
    ] {
        let page = Http::get(&server, "/").text();
        assert!(page.contains(attribute), "no {attribute} in {page}");
    }
}

#[test]
fn every_asset_of_the_page_is_there_with_its_type() {
    let server = Plume::start(&[]);
    let assets = assets_of(&Http::get(&server, "/").text());
    for (extension, kind) in [(".css", "text/css"), (".js", "text/javascript")] {
        let one = assets.iter().find(|asset| asset.ends_with(extension));
        let asset = one.unwrap_or_else(|| panic!("no {extension} in {assets:?}"));
        let answer = Http::get(&server, asset);
        assert!(answer.must("content-type").starts_with(kind), "{asset}: {answer:?}");
    }
    for asset in &assets {
        let answer = Http::get(&server, asset);
        assert_eq!(answer.status, 200, "{asset}");
        assert_eq!(answer.must("x-content-type-options"), "nosniff", "{asset}");
        assert!(answer.header("etag").is_some() && !answer.body.is_empty(), "{asset}: {answer:?}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = Plume::start(&[]);
    for target in ["/", "/healthz", "/nowhere"] {
        let get = Http::get(&server, target);
        let mut http = Http::open(&server);
        http.send(format!("HEAD {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        let head = http.answer_to_head();
        assert_eq!(head.status, get.status, "{target}");
        for name in ["content-length", "content-type", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{target}: {name}");
        }
        http.expect_end();
    }
}

#[test]
fn who_has_it_already_is_told_so() {
    let server = Plume::start(&[]);
    let page = Http::get(&server, "/");
    let etag = page.must("etag");
    assert!(etag.ends_with('"') && etag.contains('"'), "{etag}");
    let strong = etag.trim_start_matches("W/");
    let rows = [
        (etag.to_owned(), 304),
        ("*".to_owned(), 304),
        (format!("W/{strong}"), 304),
        (format!("\"other\", {etag}"), 304),
        (format!("\"other\",{etag} , W/\"more\""), 304),
        ("\"other\"".to_owned(), 200),
        ("\"other\", \"more\"".to_owned(), 200),
    ];
    for (value, status) in rows {
        let answer = asked_with(&server, "/", &format!("If-None-Match: {value}"));
        assert_eq!(answer.status, status, "{value}");
        assert_eq!(answer.must("etag"), etag, "{value}");
        assert_eq!(answer.must("x-content-type-options"), "nosniff", "{value}");
        assert_eq!(answer.body.is_empty(), status == 304, "{value}");
    }
}

#[test]
fn a_query_and_an_absolute_target_are_read_as_they_should() {
    let server = Plume::start(&[]);
    let page = Http::get(&server, "/").body;
    for target in ["/?", "/?room=1&x=%00", "http://localhost/", "HTTP://localhost/?x", "http://localhost"] {
        let answer = Http::get(&server, target);
        assert_eq!((answer.status, answer.body == page), (200, true), "{target}");
    }
    assert_eq!(Http::get(&server, "http://localhost/healthz?now").status, 200);
    assert_eq!(Http::get(&server, "http://localhost/nowhere").status, 404);
}

#[test]
fn the_health_is_told() {
    let server = Plume::start(&[]);
    let answer = Http::get(&server, "/healthz");
    assert_eq!((answer.status, answer.text().trim()), (200, "ok"));
    assert_eq!(answer.must("x-content-type-options"), "nosniff");
}

#[test]
fn a_connection_is_kept_through_a_404() {
    let server = Plume::start(&[]);
    let mut http = Http::open(&server);
    for (target, status) in [
        ("/", 200),
        ("/nowhere", 404),
        ("/static/nothing.js", 404),
        ("/static/../Cargo.toml", 404),
        ("/", 200),
    ] {
        http.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let answer = http.answer();
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.must("x-content-type-options"), "nosniff", "{target}");
    }
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let server = Plume::start(&[]);
    let mut http = Http::open(&server);
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let many: String = (0..200).map(|_| get("/healthz")).collect();
    let head = "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    http.send([get("/"), head.to_owned(), get("/nowhere"), many, get("/")].concat());
    assert_eq!(http.answer().status, 200);
    assert_eq!(http.answer_to_head().status, 200);
    assert_eq!(http.answer().status, 404);
    for _ in 0..200 {
        assert_eq!(http.answer().text().trim(), "ok");
    }
    assert_eq!(http.answer().must("content-type"), "text/html; charset=utf-8");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Plume::start(&[]);
    let mut http = Http::open(&server);
    // An empty line before a request is to be overlooked (RFC 9112, section 2.2).
    for byte in
        b"\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"
    {
        http.send([*byte]);
        // Long enough that most bytes travel alone.
        thread::sleep(Duration::from_micros(300));
    }
    assert_eq!(http.answer().text().trim(), "ok");
    assert_eq!(http.answer().status, 200);
}

#[test]
fn old_http_and_connection_close_end_the_connection() {
    let server = Plume::start(&[]);
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: foo, Close\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        let mut http = Http::open(&server);
        http.send(request);
        let answer = http.answer();
        assert!(matches!(answer.status, 200 | 404), "{request:?}: {answer:?}");
        http.expect_end();
    }
}

#[test]
fn who_says_that_it_has_finished_is_still_answered() {
    let server = Plume::start(&[]);
    let mut http = Http::open(&server);
    http.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http.finish();
    assert_eq!(http.answer().status, 200);
    http.expect_end();
}

#[test]
fn an_impatient_asker_of_many_large_answers_gets_them_all() {
    let server = Plume::start(&[]);
    let page = Http::get(&server, "/").body;
    let mut http = Http::open(&server);
    // Far more answers than the buffers of a connection hold, asked for before the first is read.
    for _ in 0..400 {
        http.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    for n in 0..400 {
        assert!(http.answer().body == page, "answer {n}");
    }
}
