//! The examples as they stand: page, login, and whose address counts.

use crate::proxy::{KINDS, Kind, Proxy};
use crate::support::Plume;
use crate::visitor::{Visitor, get};
use std::io::{Read, Write};
use std::net::TcpStream;

/// What the examples tell the host to set.
const TRUST: (&str, &str) = ("PLUME_TRUSTED_PROXIES", "127.0.0.1");

/// Lines of the log about what is wrong with a proxy.
pub(crate) fn warnings(plume: &Plume) -> Vec<String> {
    plume.log().lines().filter(|line| line.contains("hint=")).map(str::to_owned).collect()
}

/// The page loads, a user comes in and talks, and nothing is wrong.
fn check(kind: Kind, proxy: &Proxy, plume: &Plume, prefix: &str) {
    let page = get(proxy, &format!("{prefix}/"));
    assert!(
        page.starts_with("HTTP/1.1 200 ") && page.contains("<title>Plume.chat</title>"),
        "{kind:?}: {page}"
    );
    let (mut ada, _) = Visitor::login(proxy, plume, &format!("{prefix}/connect"), "Ada");
    ada.talk(&format!("hello through {kind:?}"));
    assert_eq!(warnings(plume), [""; 0], "{kind:?}");
}

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn each_example_brings_page_and_chat_with_no_warning() {
    for kind in KINDS {
        let plume = Plume::start(&[TRUST]);
        check(kind, &Proxy::start(kind, &plume.address().to_string()), &plume, "");
    }
}

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn each_example_sends_plain_http_to_https() {
    for kind in KINDS {
        let plume = Plume::start(&[TRUST]);
        let proxy = Proxy::start(kind, &plume.address().to_string());
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.plain_port)).expect("it listens there too");
        let request = "GET /static/style.css HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it is answered");
        assert!(answer.starts_with("HTTP/1.1 30"), "{kind:?}: {answer}");
        let target = answer.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("location").then_some(value)
        });
        let port_or_none = [
            "https://chat.example/static/style.css".to_owned(),
            format!("https://chat.example:{}/static/style.css", proxy.port),
        ];
        assert!(
            target.is_some_and(|target| port_or_none.iter().any(|it| it == target)),
            "{kind:?}: {answer}"
        );
    }
}

/// All visitors come from one address here, so that its limit shows whose address counts.
#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn each_example_says_whose_connection_it_is() {
    for kind in KINDS {
        let plume = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "2")]);
        let proxy = Proxy::start(kind, &plume.address().to_string());
        let mut first = Visitor::open(&proxy, "/connect").expect("there is room");
        let _second = Visitor::open(&proxy, "/connect").expect("there is room");
        let mut third = Visitor::open(&proxy, "/connect").expect("the refusal is a close");
        assert_eq!(third.wait_close(), Some(1013), "{kind:?}");
        first.send(&serde_json::json!({"type": 9, "text": "still here"}));
        assert_eq!(first.wait_for(9)["text"], "still here", "{kind:?}");
        assert_eq!(warnings(&plume), [""; 0], "{kind:?}: all addresses are trusted, and that is no fault");
    }
}

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn each_example_works_over_a_unix_socket_without_a_trusted_address() {
    for kind in KINDS {
        let (plume, proxy) = Proxy::over_unix("chat.example", kind, "1");
        check(kind, &proxy, &plume, "");
        // The forwarded address counts: one has a place, and the next one has none.
        let _first = Visitor::open(&proxy, "/connect").expect("there is room");
        let mut second = Visitor::open(&proxy, "/connect").expect("the refusal is a close");
        assert_eq!(second.wait_close(), Some(1013), "{kind:?}");
    }
}

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn the_chat_works_below_a_path_without_a_setting() {
    let nginx = [
        ("location / {", "location /chat/ {"),
        ("        proxy_pass http://plume;", "        proxy_pass http://plume/;"),
    ];
    let caddy = [(
        "\treverse_proxy 127.0.0.1:4884",
        "\thandle_path /chat/* {\n\t\treverse_proxy 127.0.0.1:4884\n\t}",
    )];
    for (kind, edits) in [(Kind::Nginx, &nginx[..]), (Kind::Caddy, &caddy[..])] {
        let plume = Plume::start(&[TRUST]);
        check(kind, &Proxy::start_with(kind, &plume.address().to_string(), edits), &plume, "/chat");
    }
}
