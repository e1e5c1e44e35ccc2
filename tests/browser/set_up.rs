//! Where Plume lives and what is around it: below a path, behind a proxy that is set up wrongly, in an old
//! browser.

use crate::support::{Person, open, open_behind, start_again};
use serde_json::json;

/// Passes on what is below `/chat/`, without that, as `proxy_pass http://plume/;` does; the rest is not
/// Plume's.
fn strip_path(head: &mut Vec<u8>) {
    let target = b"GET /chat/";
    let rest = if head.starts_with(target) {
        head.split_off(target.len())
    } else {
        b"not/plume HTTP/1.1\r\n\r\n".to_vec()
    };
    *head = [b"GET /".to_vec(), rest].concat();
}

/// Passes no Upgrade on, as a proxy does that was not told to.
fn drop_upgrade(head: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(head).replace("Upgrade: websocket\r\n", "");
    *head = text.into_bytes();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn the_page_works_below_a_path() {
    let (server, relay, chromium) = open_behind(strip_path);
    let url = format!("{}chat/", relay.url());
    let ada = Person::enter_over(&chromium, &url, &server, "Ada");
    ada.say("below a path");
    ada.page.reload();
    ada.wait_in();
    let keys = ada.page.eval("[...Object.keys(localStorage), ...Object.keys(sessionStorage)]");
    let keys: Vec<String> = serde_json::from_value(keys).expect("a list");
    assert!(keys.iter().all(|key| key.starts_with("plume/chat/")), "{keys:?}");
    let manifest = ada.page.eval(
        "fetch(document.querySelector('[rel=manifest]').href).then(async (answer) => {
            const { start_url, icons } = await answer.json();
            const icon = new URL(icons[0].src, answer.url);
            return [new URL(start_url, answer.url).pathname, icon.pathname, (await fetch(icon)).status];
        })",
    );
    assert_eq!(manifest, json!(["/chat/", "/chat/static/favicon.svg", 200]));
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_proxy_that_passes_no_websocket_on_is_named() {
    let (_server, relay, chromium) = open_behind(drop_upgrade);
    let ada = Person::arrive(&chromium, &relay.url());
    ada.page.fill("#name", "Ada");
    ada.page.fill("#email", "ada@example.org");
    ada.page.click("#enter");
    ada.page.wait_text("#enter-error", "refuses the WebSocket");
    chromium.forgive_network();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_server_that_is_gone_is_said_to_be_out_of_reach() {
    let (mut server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    server.kill();
    ada.page.wait_text("#status", "The server cannot be reached. Reconnecting");
    start_again(&mut server);
    ada.page.wait_visible("#enter-view");
    chromium.forgive_network();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn the_page_says_where_the_code_is() {
    let (server, chromium) = open(&[]);
    let ada = Person::arrive(&chromium, &server.url());
    ada.ask_code("Ada");
    ada.page.wait_text("#verify-view", "printed in the terminal where Plume was started");
    ada.type_code(&server.code_for("Ada"));
    ada.wait_in();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn an_old_browser_is_told_what_the_page_needs() {
    let (server, chromium) = open(&[]);
    for missing in ["delete String.prototype.toWellFormed", "delete HTMLElement.prototype.showPopover"] {
        let page = chromium.page();
        page.run_before_load(missing);
        page.visit(&server.url());
        page.wait_text("main", "Chrome or Edge 123, Firefox 125, Safari 17.5");
        assert!(page.is_visible("#needs"), "{missing}");
        assert!(!page.is_visible("#enter-view") && !page.is_visible("#chat-view"), "{missing}");
        let complaints = chromium.take_complaints();
        assert!(complaints.iter().any(|text| text.contains("too old")), "{complaints:?}");
    }
    let ada = Person::arrive(&chromium, &server.url());
    assert!(!ada.page.is_visible("#needs"));
}
