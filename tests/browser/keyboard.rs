//! The whole page without a mouse.

use crate::support::{Key, Page, Person, Tab, open};
use serde_json::Value;

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn everything_can_be_done_by_keyboard() {
    let (server, chromium) = open(&[]);
    let ada = Person::arrive(&chromium, &server.url());
    let page = &ada.page;
    assert_eq!(focused(page), "name", "one can begin to write at once");
    page.insert("Ada");
    page.press(Key::Tab);
    page.insert("ada@example.org");
    page.press(Key::Enter);
    page.wait_visible("#verify-view");
    assert_eq!(focused(page), "code");
    page.insert(&server.code_for("Ada"));
    ada.wait_in();
    assert_eq!(focused(page), "text");
    page.insert("no mouse in sight");
    page.press(Key::Enter);
    ada.wait_line("no mouse in sight");
    assert_eq!(focused(page), "text", "one can write on");
    let steps = (0..STEPS_MAX).take_while(|_| {
        page.press(Key::ShiftTab);
        focused(page) != "leave"
    });
    assert!(steps.count() < STEPS_MAX, "there is no way back to the leave button");
    page.press(Key::Enter);
    page.wait_visible("#enter-view");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn tab_reaches_everything_in_order_and_shows_where_it_is() {
    let (server, chromium) = open(&[]);
    let ada = Person::arrive(&chromium, &server.url());
    for theme in ["light", "dark"] {
        ada.page.theme(theme);
        check_tab_order(&ada.page, &["name", "email", "enter"]);
    }
    ada.ask_code("Ada");
    check_tab_order(&ada.page, &["code", "again", "other", "verify"]);
    ada.type_code(&server.code_for("Ada"));
    ada.wait_in();
    ada.say("see https://example.org/");
    for theme in ["light", "dark"] {
        ada.page.theme(theme);
        check_tab_order(&ada.page, &["leave", "log", "text", "send"]);
    }
    ada.page.phone(390, 844);
    check_tab_order(&ada.page, &["people-button", "leave", "log", "text", "send"]);
}

/// Goes once round with Tab: every control that can be seen is on the way, in the order of the document,
/// those of `expected` among them, and each shows that it has the focus.
#[track_caller]
fn check_tab_order(page: &Page<Tab<'_>>, expected: &[&str]) {
    let there = page.eval(
        "[...document.querySelectorAll('a[href], button, input, textarea, [tabindex=\"0\"]')]
            .filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.disabled)
            .map((node) => node.id || node.localName)",
    );
    let there: Vec<String> = serde_json::from_value(there).expect("a list of names");
    for id in expected {
        assert!(there.iter().any(|name| name == id), "{id} cannot be seen: {there:?}");
    }
    page.eval("document.activeElement.blur()");
    let mut reached = Vec::new();
    // Beyond the last control may come the browser's own, before the first one is reached again.
    while reached.len() < there.len() + STEPS_MAX {
        page.press(Key::Tab);
        let name = focused(page);
        if name == "body" {
            continue;
        }
        if reached.first() == Some(&name) {
            break;
        }
        assert_eq!(page.eval(SHOWS_FOCUS), Value::Null, "{name} does not show the focus");
        reached.push(name);
    }
    let start = there.iter().position(|name| Some(name) == reached.first()).unwrap_or_default();
    let turn = start.min(reached.len());
    reached.rotate_right(turn);
    assert_eq!(reached, there);
}

fn focused(page: &Page<Tab<'_>>) -> String {
    let name = page.eval("document.activeElement.id || document.activeElement.localName");
    name.as_str().expect("a name").to_owned()
}

/// Steps within which a few controls must be found.
const STEPS_MAX: usize = 12;
/// Null, or what is wrong with the outline: it must be there, and thick enough to be seen.
const SHOWS_FOCUS: &str = "{ const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 ? null : `${outlineStyle} ${outlineWidth}` }";
