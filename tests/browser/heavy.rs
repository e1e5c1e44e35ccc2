//! Lines made to harm who reads them: piles of marks, endless lines, and texts that look like something else.

use crate::flood::DISTANCE;
use crate::support::{Bot, Page, Person, Tab, open};
use serde_json::json;

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn piles_of_marks_and_long_lines_do_not_freeze_the_page() {
    let (server, chromium) = open(&[("PLUME_RATE", "1000"), ("PLUME_BACKLOG", "8388608")]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut bot = Bot::enter(&server, "Grace");
    // Thirteen of each, as long as a line may be.
    let kinds = ["\u{301}", "\u{e38}", "\n", "@Ada ", "\u{1100}"];
    for kind in kinds {
        watch_time(&ada.page);
        let line = format!("a{}", kind.repeat(65_000 / kind.len()));
        bot.say(std::iter::repeat_n(line, LINES));
        bot.say([format!("after {kind:?}")]);
        ada.wait_line(&format!("after {kind:?}"));
        check_time(&ada.page, kind);
    }
    let late = Person::arrive(&chromium, &server.url());
    watch_time(&late.page);
    late.come_in(&server, "Late");
    late.wait_line(&format!("after {:?}", kinds[kinds.len() - 1]));
    check_time(&late.page, "the history");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn long_lines_are_shown_shortened_and_whole_on_request() {
    let (server, chromium) = open(&[("PLUME_RATE", "1000")]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut bot = Bot::enter(&server, "Grace");
    let ends = format!("first{}last", "\n".repeat(60_000));
    let words = format!("first {}last @Ada", "word ".repeat(6_000));
    for long in [ends, words] {
        bot.say([long.clone(), "the end".to_owned()]);
        ada.page.wait("document.querySelector('#log .line:last-child .text')?.textContent === 'the end'");
        ada.page.eval("window.long = [...document.querySelectorAll('#log .line:has(> .link)')].at(-1); long.id = 'long'");
        let state =
            "({ label: long.querySelector('.link').textContent, expanded: long.querySelector('.link').getAttribute('aria-expanded'),
            chars: long.querySelector('.text').textContent.length, isLow: long.offsetHeight < 900 })";
        let short = ada.page.eval(state);
        assert_eq!(
            (&short["label"], &short["expanded"], &short["isLow"]),
            (&json!("Show more"), &json!("false"), &json!(true))
        );
        assert!(short["chars"].as_u64().is_some_and(|chars| chars <= 1_200), "{short}");
        assert!(ada.page.eval("document.querySelector('#log').scrollHeight").as_u64() < Some(5_000));
        ada.page.click("#long > button");
        ada.page.wait("long.querySelector('.link').ariaExpanded === 'true'");
        let open = ada.page.eval(state);
        let expected =
            json!({"label": "Show less", "expanded": "true", "chars": long.chars().count(), "isLow": false});
        assert_eq!(open, expected);
        // Who reads it is not taken to the end by the next line.
        bot.say(["another".to_owned()]);
        ada.wait_line("another");
        assert_eq!(ada.page.eval(&format!("{DISTANCE} > 100")), true);
        ada.page.draw();
        ada.page.click("#long > button");
        ada.page.wait("long.querySelector('.link').ariaExpanded === 'false'");
        assert_eq!(ada.page.eval(state), short);
        ada.page.eval("long.id = ''; document.querySelector('#log').scrollTop = 1e9");
        ada.page.wait(&format!("{DISTANCE} < 2"));
        ada.page.draw();
    }
    assert_eq!(ada.page.eval("long.matches('.mention')"), true, "the name in the rest calls, too");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_text_cannot_look_like_a_head_or_an_event() {
    let (server, chromium) = open(&[("PLUME_RATE", "1000")]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut bob = Bot::enter(&server, "Bob");
    let mut eve = Bot::enter(&server, "Eve");
    bob.say(["hello".to_owned()]);
    let forged = [
        "hm\n**@Ada** 21:58\nI resign",
        "**@Bob** 21:58\nhello",
        "← @Bob left chat 21:58",
        "/me left chat",
        "/me waves\n← @Bob left chat 21:58",
        "/me \n→ @Bob entered chat",
        "─── new since 21:58 ───",
    ];
    eve.say(forged.map(str::to_owned));
    ada.wait_line(forged[forged.len() - 1]);
    Bot::enter(&server, "Real").leave();
    ada.page.wait("document.querySelector('#log [data-event=enter]')");
    for (width, theme) in [(1120, "light"), (1120, "dark"), (360, "light"), (360, "dark")] {
        ada.page.size(width, 720);
        ada.page.theme(theme);
        ada.page.draw();
        // Each piece of a text begins further to the right than every head and every event.
        let places = ada.page.eval(
            "{ const log = document.querySelector('#log');
               const lefts = (selector) => [...log.querySelectorAll(selector)].flatMap((node) => {
                   const range = document.createRange();
                   range.selectNodeContents(node);
                   return [...range.getClientRects()].filter(({ width }) => width > 2).map(({ left }) => left);
               });
               ({ heads: Math.max(...lefts('.line:not(.follows, .event) .name')), texts: Math.min(...lefts('.text')),
                  events: log.querySelectorAll('.event').length,
                  forged: [...log.querySelectorAll('.event')].filter((node) => node.textContent.includes('Eve') && !/entered chat/.test(node.textContent)).length,
                  arrow: getComputedStyle(log.querySelector('.event'), '::before').content,
                  other: getComputedStyle(log.querySelector('.act'), '::before').content }) }",
        );
        let number = |key: &str| places[key].as_f64().expect("a number");
        assert!(number("texts") >= number("heads") + 8.0, "{width} {theme}: {places}");
        assert_eq!((&places["forged"], &places["other"]), (&json!(0), &json!("none")), "{places}");
        assert!(places["arrow"].as_str().is_some_and(|arrow| arrow.contains('→')), "{places}");
    }
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn marks_stay_within_their_line() {
    let (server, chromium) = open(&[("PLUME_RATE", "1000")]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut piled = Bot::enter(&server, "Zoe\u{334}\u{335}\u{336}\u{337}\u{338}");
    piled.say([format!("a{}", "\u{301}".repeat(32_000)), "next".to_owned()]);
    ada.wait_line("next");
    let drawn = "[...document.querySelectorAll('#log .text')].map((node) => node.textContent).find((text) => text.startsWith('a\u{301}'))";
    assert_eq!(ada.page.eval(drawn), format!("a{}", "\u{301}".repeat(8)));
    for selector in ["#log .line", "#log .name", "#people .name"] {
        let clipped = format!(
            "[...document.querySelectorAll('{selector}')].every((node) => ['clip', 'hidden'].includes(getComputedStyle(node).overflow))"
        );
        assert_eq!(ada.page.eval(&clipped), true, "{selector}");
        let low = format!(
            "Math.max(...[...document.querySelectorAll('{selector}:not(.line)')].map((node) => node.offsetHeight)) < 30"
        );
        assert_eq!(ada.page.eval(&low), true, "{selector}");
    }
}

/// Begins to measure how long the page was busy without a pause.
fn watch_time(page: &Page<Tab<'_>>) {
    page.eval(
        "{ window.watch?.disconnect(); window.busy = 0;
           window.watch = new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) busy += duration; });
           watch.observe({ type: 'longtask' }); }",
    );
}

#[track_caller]
fn check_time(page: &Page<Tab<'_>>, what: &str) {
    page.draw();
    let busy =
        page.eval("new Promise((then) => setTimeout(() => then(busy), 50))").as_f64().expect("a number");
    assert!(busy < BUSY_MS_MAX, "{what:?}: busy for {busy} ms");
}

/// As many as made a newcomer wait for more than a minute.
const LINES: usize = 13;
/// An idle machine takes a tenth of a second or two, and a busy one ten times as long. Without bounds,
/// thirteen piles of marks took 38 seconds and more, three for each.
const BUSY_MS_MAX: f64 = 5_000.0;
