//! What makes the room comfortable: muting, marks, folds, completion, recall, the theme.

use crate::support::{Bot, FIELD, Key, Person, open};
use serde_json::json;

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn who_is_muted_is_not_seen_and_stays_muted_in_this_browser() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut troll = Bot::enter(&server, "Troll");
    let mut grace = Bot::enter(&server, "Grace");
    let seen =
        "[...document.querySelectorAll('#log .line:not(.event)')].filter((line) => line.offsetHeight > 0)
        .map((line) => line.querySelector('.text').textContent).filter((text) => text.startsWith('line'))";
    troll.say(["line 1".to_owned()]);
    grace.say(["line 2".to_owned()]);
    ada.wait_line("line 2");
    assert_eq!(ada.page.eval(seen), json!(["line 1", "line 2"]));
    ada.page.click("#people-list button[value=troll]");
    assert_eq!(ada.page.eval(seen), json!(["line 2"]), "also what was said before");
    troll.say(["line 3".to_owned()]);
    grace.say(["line 4".to_owned()]);
    ada.wait_line("line 4");
    assert_eq!(ada.page.eval(seen), json!(["line 2", "line 4"]));
    ada.page.reload();
    ada.wait_in();
    ada.wait_line("line 4");
    assert_eq!(ada.page.eval(seen), json!(["line 2", "line 4"]), "after a reload, too");
    ada.page.click("#people-list button[value=troll]");
    assert_eq!(ada.page.eval(seen), json!(["line 1", "line 2", "line 3", "line 4"]), "nothing was lost");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn marks_become_elements_and_nothing_else_does() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut grace = Bot::enter(&server, "Grace");
    let line = "*soft* and **loud** and `x < y`, but 2 * 3 * 4 and <b>not</b>";
    grace.say([line.to_owned(), "```\na *b*\n```".to_owned(), "/me waves".to_owned(), "the end".to_owned()]);
    ada.page.wait_text("#log", "the end");
    let of = |selector: &str| {
        let texts = format!(
            "[...document.querySelectorAll('#log .text {selector}')].map((node) => node.textContent)"
        );
        ada.page.eval(&texts)
    };
    assert_eq!(of("em"), json!(["soft"]));
    assert_eq!(of("strong"), json!(["loud"]));
    assert_eq!(of("b"), json!([]));
    assert_eq!(of("code"), json!(["x < y"]));
    assert_eq!(of("pre"), json!(["a *b*\n"]));
    assert_eq!(ada.page.text("#log .act .name"), "@Grace");
    assert_eq!(ada.page.text("#log .act .text"), "waves");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn tab_completes_a_name_and_the_up_arrow_brings_back_what_was_said() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let _grace = Bot::enter(&server, "Grace");
    ada.page.wait_text("#people-list", "@Grace");
    ada.page.fill("#text", "ask @gr");
    ada.page.press(Key::Tab);
    assert_eq!(ada.page.eval(FIELD), "ask @Grace ");
    ada.page.insert("about it");
    ada.page.press(Key::Enter);
    ada.wait_line("ask @Grace about it");
    ada.say("and again");
    ada.page.press(Key::Up);
    assert_eq!(ada.page.eval(FIELD), "and again");
    ada.page.press(Key::Up);
    assert_eq!(ada.page.eval(FIELD), "ask @Grace about it");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn comings_and_goings_in_a_row_are_folded() {
    let (server, chromium) = open(&[("PLUME_LEAVE_GRACE", "0")]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let _in: Vec<Bot> = ["Bob", "Eve", "Joe", "Kim"].map(|name| Bot::enter(&server, name)).into();
    ada.page.wait("document.querySelectorAll('#log .fold .event').length >= 4");
    let summary = ada.page.text("#log .fold summary");
    assert!(summary.contains("came in"), "{summary}");
    assert!(!ada.page.is_visible("#log .fold .event"), "one line until it is opened");
    ada.page.click("#log .fold summary");
    assert!(ada.page.is_visible("#log .fold .event"));
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn the_theme_is_chosen_and_kept() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    ada.page.theme("light");
    let ground = "getComputedStyle(document.querySelector('#room')).backgroundColor";
    let light = ada.page.eval(ground);
    ada.page.click("#options-button");
    ada.page.click("#theme");
    assert_eq!(ada.page.text("#theme span"), "light");
    ada.page.click("#theme");
    assert_eq!(ada.page.text("#theme span"), "dark");
    let dark = ada.page.eval(ground);
    assert_ne!(light, dark);
    ada.page.reload();
    ada.wait_in();
    assert_eq!(ada.page.eval(ground), dark, "after a reload, too");
}
