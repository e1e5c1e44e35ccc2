//! A page in the manner of the first Plume's, served from a folder: written against the types 0 to 5 and
//! nothing else, with its script inline.

use crate::harness::Folder;
use crate::support::{Bot, Page, Tab, open};

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_page_of_the_first_protocol_works_unchanged() {
    let folder = Folder::with("page", &[("index.html", include_bytes!("first_page.html"))]);
    let (server, chromium) = open(&[("PLUME_STATIC", folder.setting())]);
    let mut neo = Bot::enter(&server, "Neo");
    let ada = chromium.page();
    ada.visit(&server.url());
    ada.wait("socket.readyState === WebSocket.OPEN");
    hello(&ada, "Neo", "ada@example.org");
    ada.wait_text("#state", "may not enter");
    // Answered by a notice, of which this page knows nothing.
    hello(&ada, "Ada", "no address");
    hello(&ada, "Ada", "ada@example.org");
    ada.wait_text("#state", "code sent");
    auth(&ada, "wrong");
    ada.wait_text("#state", "wrong code");
    auth(&ada, &server.code_for("Ada"));
    ada.wait_text("#state", "in");
    ada.wait_text("#log", "@Ada entered chat");
    assert!(ada.text("#log").contains("@plumebot "), "no greeting: {}", ada.text("#log"));
    ada.fill("#text", "hello from 2020");
    ada.click("#say");
    ada.wait_text("#log", "@Ada hello from 2020");
    neo.say(["hello from now".to_owned()]);
    ada.wait_text("#log", "@Neo hello from now");
    neo.leave();
    ada.wait_text("#log", "@Neo left chat");
    let log = ada.text("#log");
    assert!(log.starts_with("@Neo entered chat\n"), "no history: {log}");
    assert_eq!(log.matches("hello from").count(), 2, "{log}");
    assert_eq!(ada.text("#state"), "in");
}

fn hello(page: &Page<Tab<'_>>, name: &str, email: &str) {
    page.fill("#name", name);
    page.fill("#email", email);
    page.click("#hello");
}

fn auth(page: &Page<Tab<'_>>, code: &str) {
    page.fill("#code", code);
    page.click("#auth");
}
