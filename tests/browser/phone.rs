//! Small screens: nothing sticks out, and what one needs is in sight.

use crate::support::{Bot, Page, Person, Tab, open};
use serde_json::json;

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn every_view_fits_a_phone() {
    let (server, chromium) = open(&[]);
    // As wide as names get, and without a place to break.
    let wide = "W".repeat(120);
    let mut bot = Bot::enter(&server, &wide);
    let ada = Person::arrive(&chromium, &server.url());
    check_fit(&ada.page, &["#name", "#email", "#enter"]);
    ada.page.click("#enter");
    ada.page.wait("document.querySelector('#enter-error').innerText !== ''");
    check_fit(&ada.page, &["#name", "#email", "#enter"]);
    ada.ask_code("Ada");
    check_fit(&ada.page, &["#code", "#verify"]);
    ada.type_code(&server.code_for("Ada"));
    ada.wait_in();
    check_fit(&ada.page, &["#text", "#send", "#leave", "#people-button"]);
    let lines = ["x".repeat(400), format!("https://example.org/{}", "y".repeat(400)), "last".to_owned()];
    bot.say(lines);
    ada.wait_line("last");
    check_fit(&ada.page, &["#text", "#send", "#leave", "#people-button"]);
    // Many lines to say make the field grow, but not out of the screen.
    ada.page.fill("#text", &"a line\n".repeat(60));
    check_fit(&ada.page, &["#text", "#send", "#leave"]);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_name_as_long_as_names_get_fits_a_phone() {
    let (server, chromium) = open(&[]);
    let ada = Person::arrive(&chromium, &server.url());
    let wide = "W".repeat(120);
    ada.page.fill("#name", &wide);
    ada.page.fill("#email", &format!("{}@example.org", "m".repeat(60)));
    ada.page.click("#enter");
    ada.page.wait_visible("#verify-view");
    check_fit(&ada.page, &["#code", "#verify"]);
    ada.type_code(&server.code_for(&wide));
    ada.wait_in();
    ada.say("that's me");
    check_fit(&ada.page, &["#text", "#send", "#leave", "#people-button"]);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn on_a_phone_the_people_are_behind_a_button() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    assert!(ada.page.is_visible("#people"), "there is room for it on a desk");
    ada.page.phone(390, 844);
    ada.page.wait("!document.querySelector('#people').checkVisibility()");
    ada.page.wait_text("#people-button", "1 person");
    ada.page.click("#people-button");
    ada.page.wait_visible("#people");
    ada.page.wait_text("#people", "@Ada");
    check_fit(&ada.page, &["#people", "#people-button"]);
    ada.page.click("#people-button");
    ada.page.wait("!document.querySelector('#people').checkVisibility()");
}

/// On two phones, with and without a keyboard over half of the screen, nothing is wider than the screen, and
/// what is `needed` is in sight.
#[track_caller]
fn check_fit(page: &Page<Tab<'_>>, needed: &[&str]) {
    for (width, height) in [(390, 844), (320, 640), (390, 450), (320, 340)] {
        page.phone(width, height);
        page.draw();
        let faults = page.eval(&format!("({FAULTS})({width}, {height}, {})", json!(needed)));
        assert_eq!(faults, json!([]), "{width} x {height}");
    }
    page.phone(390, 844);
}

/// What is wrong, in words. The forms may be scrolled where a keyboard leaves them little room; the room may
/// not, for its log is what scrolls.
pub(crate) const FAULTS: &str = "(width, height, needed) => {
    const faults = [];
    const page = document.scrollingElement;
    if (innerWidth !== width) faults.push(`the page is laid out ${innerWidth} wide`);
    if (page.scrollWidth > width) faults.push(`the page is ${page.scrollWidth} wide`);
    const isRoom = document.querySelector('#chat-view').checkVisibility();
    if (isRoom && page.scrollHeight > height) faults.push(`the page is ${page.scrollHeight} high`);
    for (const node of document.querySelectorAll('#log, #log .line, #people, form, button, p')) {
        if (!node.checkVisibility() || node.scrollWidth <= node.clientWidth || node.clientWidth === 0) continue;
        if (getComputedStyle(node).display === 'inline') continue;
        faults.push(`${node.localName}#${node.id}.${node.className}: ${node.scrollWidth} in ${node.clientWidth}`);
    }
    for (const node of document.querySelectorAll('button, input, textarea')) {
        const { left, right, width: wide } = node.getBoundingClientRect();
        if (wide > 0 && (left < 0 || right > width)) faults.push(`#${node.id} reaches from ${left} to ${right}`);
    }
    for (const selector of needed) {
        const node = document.querySelector(selector);
        if (!isRoom) node.scrollIntoView({ block: 'nearest' });
        const { top, bottom, height: high } = node.getBoundingClientRect();
        // A scrolled page may stand between two pixels.
        if (high < 20 || top < -1 || bottom > height + 1) faults.push(`${selector} reaches from ${top} to ${bottom}`);
    }
    return faults;
}";
