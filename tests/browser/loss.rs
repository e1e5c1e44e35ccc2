//! Connections that end, devices that are offline, servers that go away: what a person sees, and that no line
//! is lost or said twice.

use crate::support::{FIELD, Person, Way, open, open_behind, start_again};
use serde_json::{Value, json};

/// How many rules between lines are no dates: midnight may come at any time.
const NOTICES: &str = "[...document.querySelectorAll('#log .rule')].filter(({ textContent }) => isNaN(Date.parse(textContent))).length";

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_cut_connection_is_taken_up_where_it_was() {
    let (server, relay, chromium) = open_behind(|_| {});
    let ada = Person::enter_over(&chromium, &relay.url(), &server, "Ada");
    let grace = Person::enter(&chromium, &server, "Grace");
    grace.say("before");
    ada.wait_line("before");
    relay.cut();
    ada.page.wait_text("#status", "Reconnecting");
    for line in ["missed", "missed too", "missed too"] {
        grace.send(line);
    }
    ada.send("written in the tunnel");
    ada.page.wait_text("#log .pending", "written in the tunnel");
    relay.mend();
    ada.page.eval("document.querySelector('#now').click()");
    grace.wait_line("written in the tunnel");
    ada.wait_line("written in the tunnel");
    assert_eq!(grace.lines().len(), 5, "{:?}", grace.lines());
    assert_eq!(ada.lines(), grace.lines());
    for person in [&ada, &grace] {
        assert_eq!(person.events(), ["Ada entered chat", "Grace entered chat"]);
        person.page.wait(&format!("{NOTICES} + document.querySelectorAll('#log .pending').length === 0"));
        person.page.wait_text("#status", "Connected");
    }
    chromium.forgive_network();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_line_said_into_a_dying_connection_is_said_once() {
    let (server, relay, chromium) = open_behind(|_| {});
    let ada = Person::enter_over(&chromium, &relay.url(), &server, "Ada");
    let grace = Person::enter(&chromium, &server, "Grace");
    let mut said = Vec::new();
    // Lost on its way, or heard by all but its writer, or left to chance.
    let ways = [Some(Way::ToServer), Some(Way::ToBrowser), None, Some(Way::ToServer), None];
    for (round, way) in ways.into_iter().enumerate() {
        let line = format!("round {round}");
        way.inspect(|&way| relay.lose(way));
        ada.send(&line);
        if matches!(way, Some(Way::ToBrowser)) {
            grace.wait_line(&line);
        }
        relay.cut();
        relay.mend();
        ada.page.eval("document.querySelector('#now').click()");
        grace.wait_line(&line);
        ada.wait_line(&line);
        ada.page.wait_text("#status", "Connected");
        said.push(format!("Ada: {line}"));
    }
    // Whatever might be said twice would have been said before this.
    ada.say("all of it");
    grace.wait_line("all of it");
    said.push("Ada: all of it".to_owned());
    assert_eq!(grace.lines(), said);
    assert_eq!(ada.lines(), said);
    chromium.forgive_network();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_device_without_network_says_so_and_comes_back_by_itself() {
    let (server, relay, chromium) = open_behind(|_| {});
    let ada = Person::enter_over(&chromium, &relay.url(), &server, "Ada");
    let grace = Person::enter(&chromium, &server, "Grace");
    ada.page.set_offline(true);
    // The emulation leaves a socket alone that is open already; a real device loses it.
    relay.cut();
    ada.page.wait_text("#status", "offline");
    grace.say("are you there?");
    ada.send("on the train");
    relay.mend();
    ada.page.set_offline(false);
    ada.page.wait_text("#status", "Connected");
    ada.wait_line("on the train");
    grace.wait_line("on the train");
    assert_eq!(ada.lines(), ["Grace: are you there?", "Ada: on the train"]);
    assert_eq!(grace.lines(), ada.lines());
    chromium.forgive_network();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_killed_server_is_missed_and_its_successor_asks_to_log_in() {
    let (mut server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    ada.say("before");
    server.kill();
    ada.page.wait_text("#status", "Reconnecting");
    ada.send("not yet said");
    ada.page.wait_text("#log .pending", "not yet said");
    start_again(&mut server);
    ada.page.wait_visible("#enter-view");
    ada.page.wait_text("#enter-error", "session is over");
    // A new room: nothing of the old one is left, but what was not said waits in the field.
    ada.come_in(&server, "Ada");
    assert_eq!(ada.page.eval(FIELD), "not yet said");
    ada.say("after");
    assert_eq!(ada.lines(), ["Ada: after"]);
    chromium.forgive_network();
}

/// The notice and the close of a node that has lost touch with the others; another takes its place.
#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_line_said_to_a_node_that_is_apart_waits_and_is_said_once_by_another() {
    const APART: &str = "What you say waits until this server is back.";
    let (server, relay, chromium) = open_behind(|_| {});
    let page = chromium.page();
    page.run_before_load("window.WebSocket = class extends WebSocket { constructor(url) { super(url); window.socket = this; } };");
    let ada = Person::arrive_on(page, &relay.url());
    ada.come_in(&server, "Ada");
    let grace = Person::enter(&chromium, &server, "Grace");
    ada.say("before");
    relay.lose(Way::ToServer);
    let notice = json!({"type": 6, "reason": "apart", "text": APART}).to_string();
    let hear = format!("socket.onmessage({{ data: {} }})", Value::from(notice));
    // A node may lose touch more than once, and then one rule is enough.
    ada.page.eval(&hear);
    ada.page.eval(&hear);
    ada.page.wait_text("#log .rule", APART);
    assert_eq!(ada.page.eval(NOTICES), 1);
    ada.send("said while apart");
    ada.page.wait_text("#log .pending", "said while apart");
    ada.page.wait_text("#status", "Connected");
    // Connections from now on pass.
    relay.mend();
    ada.page.eval("socket.onclose({ code: 1013 })");
    ada.page.wait_text("#status", "Reconnecting");
    grace.wait_line("said while apart");
    ada.wait_line("said while apart");
    ada.page.wait_text("#status", "Connected");
    ada.say("after");
    grace.wait_line("after");
    let lines = ["Ada: before", "Ada: said while apart", "Ada: after"];
    assert_eq!(ada.lines(), lines);
    assert_eq!(grace.lines(), lines);
    chromium.forgive_network();
}
