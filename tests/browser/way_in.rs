//! From the first view to the room, and out of it again.

use crate::support::{Bot, Key, Person, open, open_behind, start_again};

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn what_is_wrong_is_said_beside_its_field() {
    let (server, chromium) = open(&[]);
    let _owner = Bot::enter(&server, "Grace");
    let ada = Person::arrive(&chromium, &server.url());
    let rows = [
        ("", "ada@example.org", "#name"),
        ("plumebot", "ada@example.org", "#name"),
        ("Grace", "ada@example.org", "#name"),
        ("Ada", "", "#email"),
        ("Ada", "no address", "#email"),
    ];
    for (name, email, wrong) in rows {
        ada.page.fill("#name", name);
        ada.page.fill("#email", email);
        ada.page.press(Key::Enter);
        ada.page.wait(&format!(
            "document.querySelector('#enter-error').innerText !== '' &&
            document.querySelector('{wrong}').ariaInvalid === 'true' &&
            document.activeElement === document.querySelector('{wrong}')"
        ));
        assert!(ada.page.is_visible("#enter-view"), "{name:?} {email:?} must not come further");
    }
    ada.come_in(&server, "Ada");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn the_code_is_good_after_the_connection_was_lost() {
    let (server, relay, chromium) = open_behind(|_| {});
    let ada = Person::arrive(&chromium, &relay.url());
    ada.ask_code("Ada");
    // As a phone does while its owner reads mail.
    relay.cut();
    relay.mend();
    ada.type_code(&server.code_for("Ada"));
    ada.wait_in();
    chromium.forgive_network();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_second_tab_needs_no_code_and_is_no_second_coming() {
    let (server, chromium) = open(&[("PLUME_LEAVE_GRACE", "0")]);
    let grace = Person::enter(&chromium, &server, "Grace");
    let ada = Person::enter(&chromium, &server, "Ada");
    let second = ada.second_tab(&server.url());
    second.say("from the second tab");
    ada.wait_line("from the second tab");
    second.page.close();
    ada.say("and from the first");
    grace.wait_line("and from the first");
    assert_eq!(grace.lines(), ["Ada: from the second tab", "Ada: and from the first"]);
    assert_eq!(grace.events(), ["Grace entered chat", "Ada entered chat"]);
    ada.page.close();
    grace.page.wait_text("#log", "left chat");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn logging_in_and_leaving_happen_in_all_tabs() {
    let (server, relay, chromium) = open_behind(|_| {});
    let ada = Person::arrive(&chromium, &relay.url());
    let second = Person::arrive_on(ada.page.second_tab(), &relay.url());
    ada.come_in(&server, "Ada");
    second.wait_in();
    // Without a connection the server cannot say it: the tabs do.
    relay.cut();
    second.page.wait_text("#status", "Reconnecting");
    ada.page.click("#leave");
    second.page.wait_visible("#enter-view");
    relay.mend();
    for tab in [&ada, &second] {
        tab.page.reload();
        tab.page.wait_visible("#enter-view");
    }
    chromium.forgive_network();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn who_wants_it_logs_in_only_in_one_tab() {
    let (server, chromium) = open(&[]);
    let ada = Person::arrive(&chromium, &server.url());
    ada.page.click("#alone");
    ada.come_in(&server, "Ada");
    let second = Person::arrive_on(ada.page.second_tab(), &server.url());
    second.come_in(&server, "Grace");
    for _ in 0..2 {
        ada.page.reload();
        ada.wait_in();
        second.page.reload();
        second.wait_in();
    }
    ada.say("I am Ada");
    second.say("I am Grace");
    ada.wait_line("I am Grace");
    assert_eq!(ada.lines(), ["Ada: I am Ada", "Grace: I am Grace"]);
    second.page.click("#leave");
    second.page.wait_visible("#enter-view");
    ada.say("still here");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_tab_stays_alone_while_other_tabs_have_a_session() {
    let (server, chromium) = open(&[]);
    let solo = Person::arrive(&chromium, &server.url());
    solo.page.click("#alone");
    solo.come_in(&server, "Grace");
    let ada = Person::arrive_on(solo.page.second_tab(), &server.url());
    ada.come_in(&server, "Ada");
    solo.page.click("#leave");
    solo.page.wait_visible("#enter-view");
    solo.page.click("#alone");
    solo.page.wait_text("#enter-error", "You are logged in in another tab.");
    solo.come_in(&server, "Solo");
    solo.say("I am Solo");
    ada.page.reload();
    ada.wait_in();
    ada.say("I am Ada");
    solo.wait_line("I am Ada");
    assert_eq!(solo.lines(), ["Solo: I am Solo", "Ada: I am Ada"]);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_session_that_ended_in_one_tab_is_taken_up_from_another() {
    let (mut server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let second = ada.second_tab(&server.url());
    server.kill();
    start_again(&mut server);
    for tab in [&ada, &second] {
        tab.page.wait_visible("#enter-view");
    }
    ada.come_in(&server, "Ada");
    second.wait_in();
    second.say("one code for both");
    ada.wait_line("one code for both");
    chromium.forgive_network();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn leaving_logs_out() {
    let (server, chromium) = open(&[]);
    let grace = Person::enter(&chromium, &server, "Grace");
    let ada = Person::enter(&chromium, &server, "Ada");
    grace.page.wait_text("#people", "2 people");
    ada.page.click("#leave");
    ada.page.wait_visible("#enter-view");
    assert!(!ada.page.is_visible("#chat-view"));
    grace.page.wait_text("#log", "left chat");
    assert_eq!(grace.events().last().map(String::as_str), Some("Ada left chat"));
    grace.page.wait_text("#people", "1 person");
    ada.page.reload();
    ada.page.wait_visible("#enter-view");
    ada.come_in(&server, "Ada");
    grace.page.wait_text("#people", "2 people");
}
