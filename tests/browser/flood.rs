//! Many lines: a reader who looks at earlier ones is left in peace, and the page stays small.

use crate::support::{Bot, Page, Person, Tab, open};

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_thousand_lines_do_not_move_the_reader() {
    let (server, chromium) = open(&[("PLUME_RATE", "1000")]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut bot = Bot::enter(&server, "Grace");
    bot.say(numbered(0..400));
    ada.wait_line("line 399");
    assert!(distance_to_end(&ada.page) < 2.0, "a reader at the end stays there");
    assert!(!ada.page.is_visible("#newer"));
    ada.page.wheel("#log", -600);
    ada.page.wait(&format!("{DISTANCE} > 500"));
    settle(&ada.page);
    // Near the top of what is in sight: 700 more lines must not be enough to drop it, but they are for many
    // before.
    ada.page.eval(
        "{ const top = document.querySelector('#log').getBoundingClientRect().top;
            window.anchor = [...document.querySelectorAll('#log .line')]
                .find((line) => line.getBoundingClientRect().top > top); }",
    );
    let place = anchor_place(&ada.page);
    for end in [450, 700, 800] {
        bot.say(numbered(end - 50..end));
        ada.wait_line(&format!("line {}", end - 1));
        assert_close(anchor_place(&ada.page), place);
    }
    let more = numbered(800..1000).collect::<Vec<_>>();
    bot.say(more);
    ada.wait_line("line 999");
    assert!(distance_to_end(&ada.page) > 500.0, "the reader was taken to the end");
    ada.page.wait_text("#newer", "new");
    assert!(ada.page.eval(COUNT).as_u64() <= Some(LINES_MAX), "{}", ada.page.eval(COUNT));
    ada.page.click("#newer");
    ada.page.wait(&format!("{DISTANCE} < 2"));
    ada.page.wait("!document.querySelector('#newer').checkVisibility()");
    bot.say(numbered(1000..1100));
    ada.wait_line("line 1099");
    ada.page.wait(&format!("{DISTANCE} < 2"));
    assert!(!ada.page.is_visible("#newer"));
    assert!(ada.page.eval(COUNT).as_u64() <= Some(LINES_MAX), "{}", ada.page.eval(COUNT));
    check_end_is_whole(&ada);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn own_lines_take_the_writer_to_the_end() {
    let (server, chromium) = open(&[("PLUME_RATE", "1000")]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut bot = Bot::enter(&server, "Grace");
    bot.say(numbered(0..100));
    ada.wait_line("line 99");
    ada.page.wheel("#log", -900);
    ada.page.wait(&format!("{DISTANCE} > 500"));
    ada.say("here I am");
    ada.page.wait(&format!("{DISTANCE} < 2"));
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_window_that_changes_keeps_the_end_in_sight() {
    let (server, chromium) = open(&[("PLUME_RATE", "1000")]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut bot = Bot::enter(&server, "Grace");
    bot.say(numbered(0..50));
    ada.wait_line("line 49");
    for round in 50..130 {
        // Whatever comes first, a line or another height, as when a phone's keyboard opens and closes.
        bot.say(numbered(round..round + 1));
        ada.page.phone(390, if round % 2 == 0 { 844 } else { 450 });
        // No size lasts shorter than a frame.
        ada.page.draw();
        ada.wait_line(&format!("line {round}"));
        ada.page.wait(&format!("{DISTANCE} < 2"));
    }
    ada.page.fill("#text", "three\nlines\nlong");
    ada.page.wait(&format!("{DISTANCE} < 2"));
}

fn numbered(numbers: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    numbers.map(|number| format!("line {number}"))
}

/// The last lines are those that were said last, without a gap.
#[track_caller]
fn check_end_is_whole(person: &Person<Tab<'_>>) {
    let lines = person.lines();
    let last: Vec<String> = numbered(1000..1100).map(|line| format!("Grace: {line}")).collect();
    assert!(lines.ends_with(&last), "{lines:?}");
}

/// Waits until a scrolling that is under way has come to rest.
fn settle(page: &Page<Tab<'_>>) {
    page.eval(
        "new Promise((then) => {
            let before = -1;
            const look = () => {
                const { scrollTop } = document.querySelector('#log');
                if (scrollTop === before) return then(true);
                before = scrollTop;
                setTimeout(look, 100);
            };
            look();
        })",
    );
}

fn distance_to_end(page: &Page<Tab<'_>>) -> f64 {
    page.eval(DISTANCE).as_f64().expect("a number")
}

/// Where the line that the reader looks at is on the screen.
#[track_caller]
fn anchor_place(page: &Page<Tab<'_>>) -> f64 {
    assert_eq!(page.eval("anchor.isConnected"), true, "the line that the reader looks at is gone");
    page.eval("anchor.getBoundingClientRect().top").as_f64().expect("a number")
}

#[track_caller]
fn assert_close(place: f64, expected: f64) {
    assert!((place - expected).abs() <= 2.0, "the reader's line moved from {expected} to {place}");
}

/// From the last line in sight to the end of the log, in pixels.
pub(crate) const DISTANCE: &str =
    "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)
    (document.querySelector('#log'))";
/// What the page keeps, all kinds of lines together.
const COUNT: &str = "document.querySelector('#log').childElementCount";
/// The page promises about 500 lines; marks between them and some slack may come on top.
const LINES_MAX: u64 = 600;
