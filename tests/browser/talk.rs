//! In the room: who says what, and what others see of it.

use crate::support::{Chromium, Key, Person, Plume};

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn two_people_see_the_same_lines_in_the_same_order() {
    let mut server = Plume::start(&[]);
    let chromium = Chromium::launch();
    let ada = Person::enter(&chromium, &mut server, "Ada");
    let grace = Person::enter(&chromium, &mut server, "Grace");
    for round in 0..8 {
        // Neither waits for the other, so either may come first.
        ada.send(&format!("ada {round}"));
        grace.send(&format!("grace {round}"));
    }
    for person in [&ada, &grace] {
        person.wait_line("ada 7");
        person.wait_line("grace 7");
        person.page.wait("document.querySelectorAll('.pending').length === 0");
    }
    assert_eq!(ada.lines().len(), 16, "{:?}", ada.lines());
    assert_eq!(ada.lines(), grace.lines());
    for person in [&ada, &grace] {
        person.page.wait_text("#people", "2 people");
        person.page.wait_text("#people-list", "@Ada");
        person.page.wait_text("#people-list", "@Grace");
    }
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn enter_sends_and_shift_enter_breaks_the_line() {
    let mut server = Plume::start(&[]);
    let chromium = Chromium::launch();
    let ada = Person::enter(&chromium, &mut server, "Ada");
    let grace = Person::enter(&chromium, &mut server, "Grace");
    ada.page.click("#text");
    let height = "document.querySelector('#text').offsetHeight";
    let low = ada.page.eval(height).as_f64();
    ada.page.insert("roses are red");
    ada.page.press(Key::ShiftEnter);
    ada.page.insert("violets are blue");
    assert!(ada.page.eval(height).as_f64() > low, "the field grows with its lines");
    ada.page.press(Key::Enter);
    grace.wait_line("roses are red\nviolets are blue");
    assert_eq!(ada.page.eval("document.querySelector('#text').value"), "");
    assert_eq!(ada.page.eval(height).as_f64(), low, "an empty field is low again");
    let shown = grace.page.text("#log .line:last-child .text");
    assert_eq!(shown, "roses are red\nviolets are blue", "the break is seen");
    // Nothing but white space is no line.
    ada.page.insert("  ");
    ada.page.press(Key::ShiftEnter);
    ada.page.press(Key::Enter);
    ada.page.click("#send");
    ada.page.fill("#text", "by the button");
    ada.page.click("#send");
    grace.wait_line("by the button");
    assert_eq!(grace.lines().len(), 2, "{:?}", grace.lines());
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn mentions_and_links_stand_out() {
    let mut server = Plume::start(&[]);
    let chromium = Chromium::launch();
    let ada = Person::enter(&chromium, &mut server, "Ada");
    let grace = Person::enter(&chromium, &mut server, "Grace");
    let line = "@ada, not ada@example.org: see https://example.org/a_(b), or ftp://example.org.";
    grace.say(line);
    ada.wait_line(line);
    let marks = "[...document.querySelectorAll('#log .line:last-child mark')].map((mark) => mark.innerText)";
    assert_eq!(ada.page.eval(marks), serde_json::json!(["@ada"]));
    assert_eq!(grace.page.eval(marks), serde_json::json!([]));
    let links =
        "[...document.querySelectorAll('#log .line:last-child a')].map(({ href, rel }) => [href, rel])";
    let rel = "noopener noreferrer nofollow ugc";
    assert_eq!(ada.page.eval(links), serde_json::json!([["https://example.org/a_(b)", rel]]));
}
