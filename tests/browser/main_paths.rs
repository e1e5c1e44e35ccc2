//! What everybody does, in each engine: the same steps in Chromium, Firefox and `WebKit`, through
//! `WebDriver`.
//! What depends on no engine, or takes the devtools protocol, is tested in Chromium alone.

use crate::phone::FAULTS;
use crate::support::{Engine, FIELD, Key, Page, Person, Plume, WebDriver, address_of, start_again};
use serde_json::json;
use std::thread;

type Visitor<'a> = Person<&'a WebDriver>;
/// The steps of one person, or of two.
type Path = fn(&WebDriver, &WebDriver);

#[test]
#[ignore = "needs chromedriver; run by .ci/run"]
fn the_main_paths_work_in_chromium() {
    check(Engine::Chromium);
}

#[test]
#[ignore = "needs Firefox; run by .ci/run"]
fn the_main_paths_work_in_firefox() {
    check(Engine::Firefox);
}

#[test]
#[ignore = "needs WebKitWebDriver and Xvfb; run by .ci/run"]
fn the_main_paths_work_in_webkit() {
    check(Engine::WebKit);
}

/// Each path with a server of its own, which is another origin: nothing is left of the paths before.
#[expect(clippy::print_stderr, reason = "a failure says which path it was")]
fn check(engine: Engine) {
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| WebDriver::launch(engine));
        (WebDriver::launch(engine), second.join().expect("the second browser starts as the first does"))
    });
    for (name, path) in PATHS {
        eprintln!("{engine:?}: {name}");
        path(&first, &second);
        for browser in [&first, &second] {
            assert_eq!(browser.page().complaints(), "", "{engine:?}: {name}");
        }
    }
}

const PATHS: &[(&str, Path)] = &[
    ("a code lets you in and a wrong one does not", a_code_lets_you_in_and_a_wrong_one_does_not),
    ("two people see the same lines in the same order", two_people_see_the_same_lines_in_the_same_order),
    ("a reload keeps you in and shows each line once", a_reload_keeps_you_in_and_shows_each_line_once),
    ("a server that is asked to stop says so", a_server_that_is_asked_to_stop_says_so),
    ("mentions and links stand out", mentions_and_links_stand_out),
    ("script in a name or a text stays text", script_in_a_name_or_a_text_stays_text),
    ("Enter sends and Shift+Enter breaks the line", enter_sends_and_shift_enter_breaks_the_line),
    ("Enter belongs to an input method that has it", enter_belongs_to_an_input_method_that_has_it),
    ("every view fits a narrow window", every_view_fits_a_narrow_window),
];

fn a_code_lets_you_in_and_a_wrong_one_does_not(first: &WebDriver, _: &WebDriver) {
    let server = Plume::start(&[]);
    let ada = Person::arrive_on(first.page(), &server.url());
    ada.ask_code("Ada");
    ada.page.wait_text("#verify-view", &address_of("Ada"));
    let code = server.code_for("Ada");
    ada.type_code(if code == "000000" { "111111" } else { "000000" });
    ada.page.wait_text("#verify-error", "4 tries left");
    ada.type_code(&code.to_lowercase());
    ada.wait_in();
    ada.page.wait_text("#log", "entered chat");
    assert_eq!(ada.events(), ["Ada entered chat"]);
    let log = ada.page.text("#log");
    assert!(log.contains("@plumebot") && log.contains("Welcome"), "no greeting: {log}");
    ada.page.wait_text("#people", "@Ada");
    ada.say("So this is the room.");
}

fn two_people_see_the_same_lines_in_the_same_order(first: &WebDriver, second: &WebDriver) {
    let (_server, ada, grace) = enter(first, second, &[]);
    for round in 0..4 {
        // Neither waits for the other, so either may come first.
        ada.send(&format!("ada {round}"));
        grace.send(&format!("grace {round}"));
    }
    for person in [&ada, &grace] {
        person.wait_line("ada 3");
        person.wait_line("grace 3");
        person.page.wait("document.querySelectorAll('.pending').length === 0");
    }
    assert_eq!(ada.lines().len(), 8, "{:?}", ada.lines());
    assert_eq!(ada.lines(), grace.lines());
    for person in [&ada, &grace] {
        person.page.wait_text("#people", "2 people");
        person.page.wait_text("#people-list", "@Ada");
        person.page.wait_text("#people-list", "@Grace");
    }
}

fn a_reload_keeps_you_in_and_shows_each_line_once(first: &WebDriver, second: &WebDriver) {
    let (_server, ada, grace) = enter(first, second, &[]);
    for line in ["one", "two", "two", "three"] {
        ada.send(line);
    }
    grace.wait_line("three");
    for _ in 0..2 {
        ada.page.reload();
        ada.wait_in();
        ada.wait_line("three");
        assert_eq!(ada.lines(), ["Ada: one", "Ada: two", "Ada: two", "Ada: three"]);
    }
    grace.say("still there?");
    ada.wait_line("still there?");
    assert_eq!(ada.lines(), grace.lines());
    assert_eq!(grace.events(), ["Ada entered chat", "Grace entered chat"]);
}

fn a_server_that_is_asked_to_stop_says_so(first: &WebDriver, _: &WebDriver) {
    let mut server = Plume::start(&[]);
    let ada = Person::arrive_on(first.page(), &server.url());
    ada.come_in(&server, "Ada");
    ada.say("before");
    server.terminate();
    ada.page.wait_text("#status", "restarts");
    start_again(&mut server);
    ada.page.wait_visible("#enter-view");
    ada.come_in(&server, "Ada");
    ada.say("after");
    assert_eq!(ada.lines(), ["Ada: after"]);
}

fn mentions_and_links_stand_out(first: &WebDriver, second: &WebDriver) {
    let (_server, ada, grace) = enter(first, second, &[]);
    let line = "@ada, not ada@example.org: see https://example.org/a_(b), or ftp://example.org.";
    grace.say(line);
    ada.wait_line(line);
    let marks = "[...document.querySelectorAll('#log .line:last-child mark')].map((mark) => mark.innerText)";
    assert_eq!(ada.page.eval(marks), json!(["@ada"]));
    assert_eq!(grace.page.eval(marks), json!([]));
    let links =
        "[...document.querySelectorAll('#log .line:last-child a')].map(({ href, rel }) => [href, rel])";
    let rel = "noopener noreferrer nofollow ugc";
    assert_eq!(ada.page.eval(links), json!([["https://example.org/a_(b)", rel]]));
}

fn script_in_a_name_or_a_text_stays_text(first: &WebDriver, second: &WebDriver) {
    const NAME: &str = "<img src=x onerror=hit=1>";
    const LINES: &[&str] = &[
        "<img src=x onerror=\"window.hit = 1\">",
        "<script>window.hit = 1</script>",
        "<svg/onload=window.hit=1>",
        "\"><b>bold</b>",
        "javascript:window.hit=1",
        "https://example.org/\"onmouseover=\"window.hit=1",
        "https://example.org/<script>window.hit=1</script>",
        "&lt;b&gt; &amp;amp;",
        "{{name}} ${name} \\u003cb\\u003e",
    ];
    let server = Plume::start(&[("PLUME_NAME", "<i>A & \"B\"</i>")]);
    let ada = Person::arrive_on(first.page(), &server.url());
    ada.come_in(&server, "Ada");
    let other = Person::arrive_on(second.page(), &server.url());
    other.come_in(&server, NAME);
    for line in LINES {
        other.say(line);
        ada.wait_line(line);
    }
    let expected: Vec<String> = LINES.iter().map(|line| format!("{NAME}: {line}")).collect();
    for person in [&ada, &other] {
        assert_eq!(person.lines(), expected);
        assert_eq!(person.page.eval("document.title"), "<i>A & \"B\"</i>");
        person.page.wait_text("#people", NAME);
        let foreign = "document.querySelectorAll('main :is(script, svg, b, i):not(#verify-view b)').length +
            document.querySelectorAll(':is(#log, #people) img').length";
        assert_eq!(person.page.eval(foreign), 0, "{}", person.page.eval("document.body.innerHTML"));
        assert_eq!(person.page.eval("typeof hit"), "undefined");
        let hosts = "[...new Set([...document.querySelectorAll('#log a')].map(({ origin }) => origin))]";
        assert_eq!(person.page.eval(hosts), json!(["https://example.org"]));
    }
}

fn enter_sends_and_shift_enter_breaks_the_line(first: &WebDriver, second: &WebDriver) {
    let (_server, ada, grace) = enter(first, second, &[]);
    ada.page.click("#text");
    let height = "document.querySelector('#text').offsetHeight";
    let low = ada.page.eval(height).as_f64();
    ada.page.insert("roses are red");
    ada.page.press(Key::ShiftEnter);
    ada.page.insert("violets are blue");
    assert!(ada.page.eval(height).as_f64() > low, "the field grows with its lines");
    ada.page.press(Key::Enter);
    grace.wait_line("roses are red\nviolets are blue");
    assert_eq!(ada.page.eval(FIELD), "");
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

/// The events as keyboards give rise to them: no protocol but Chromium's can compose.
fn enter_belongs_to_an_input_method_that_has_it(first: &WebDriver, _: &WebDriver) {
    let server = Plume::start(&[]);
    let ada = Person::arrive_on(first.page(), &server.url());
    ada.come_in(&server, "Ada");
    let rows = [
        // Most browsers: the key comes before the word is committed; Safari: after it. Its code is 229.
        ("new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, isComposing: true", false),
        ("new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229", false),
        ("new KeyboardEvent('keydown', { key: 'Enter', keyCode: 13, shiftKey: true", false),
        // Gboard: the key code 13, and still composing.
        ("new KeyboardEvent('keydown', { key: 'Enter', keyCode: 13, isComposing: true", true),
        ("new KeyboardEvent('keydown', { key: 'Enter', keyCode: 13", true),
        // A keyboard that names no key, but breaks the line.
        ("new InputEvent('beforeinput', { inputType: 'insertLineBreak'", true),
        ("new InputEvent('beforeinput', { inputType: 'insertParagraph'", true),
        ("new InputEvent('beforeinput', { inputType: 'insertText', data: 'x'", false),
    ];
    for (row, (event, is_sent)) in rows.into_iter().enumerate() {
        let line = format!("line {row}");
        ada.page.fill("#text", &line);
        // A key that is not down keeps no shift for what follows.
        ada.page.eval(
            "document.querySelector('#text').dispatchEvent(new KeyboardEvent('keydown', { key: 'a', keyCode: 65 }))",
        );
        let dispatch = format!(
            "document.querySelector('#text').dispatchEvent({event}, bubbles: true, cancelable: true }}))"
        );
        assert_eq!(ada.page.eval(&dispatch), !is_sent, "{event}");
        assert_eq!(ada.page.eval(FIELD), if is_sent { "" } else { line.as_str() }, "{event}");
        if is_sent {
            ada.wait_line(&line);
        }
    }
}

fn every_view_fits_a_narrow_window(first: &WebDriver, _: &WebDriver) {
    let server = Plume::start(&[]);
    let ada = Person::arrive_on(first.page(), &server.url());
    check_fit(&ada.page, &["#name", "#email", "#enter"]);
    ada.ask_code("Ada");
    check_fit(&ada.page, &["#code", "#verify"]);
    ada.type_code(&server.code_for("Ada"));
    ada.wait_in();
    ada.say(&"x".repeat(100));
    check_fit(&ada.page, &["#text", "#send", "#leave", "#people-button"]);
    ada.page.click("#people-button");
    ada.page.wait_visible("#people");
    ada.page.wait_text("#people", "@Ada");
    ada.page.size(1280, 800);
}

#[track_caller]
fn check_fit(page: &Page<&WebDriver>, needed: &[&str]) {
    for (width, height) in [(390, 844), (320, 640)] {
        page.size(width, height);
        page.wait(&format!("innerWidth === {width} && innerHeight === {height}"));
        page.draw();
        let faults = page.eval(&format!("({FAULTS})({width}, {height}, {})", json!(needed)));
        assert_eq!(faults, json!([]), "{width} x {height}");
    }
}

/// Ada and Grace in a room.
#[track_caller]
fn enter<'a>(
    first: &'a WebDriver,
    second: &'a WebDriver,
    variables: &[(&str, &str)],
) -> (Plume, Visitor<'a>, Visitor<'a>) {
    let server = Plume::start(variables);
    let ada = Person::arrive_on(first.page(), &server.url());
    ada.come_in(&server, "Ada");
    let grace = Person::arrive_on(second.page(), &server.url());
    grace.come_in(&server, "Grace");
    (server, ada, grace)
}
