//! What a line shows is what it is: links lead where they say, each line and all code has its own direction,
//! and a copy reads as the log does.

use crate::support::{Bot, Person, open};
use serde_json::{Value, json};

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn links_lead_where_they_say() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut bot = Bot::enter(&server, "Grace");
    let rows = [
        (
            "https://bank.example\u{202e}/moc.live//:sptth",
            json!([["https://bank.example", "https://bank.example/"]]),
        ),
        (
            "https://bank.example\u{200b}.evil.example/",
            json!([["https://bank.example", "https://bank.example/"]]),
        ),
        ("https://раypal.com/x", json!([["https://xn--ypal-43d9g.com/x", "https://xn--ypal-43d9g.com/x"]])),
        ("https://münchen.de/", json!([["https://münchen.de/", "https://xn--mnchen-3ya.de/"]])),
        ("https://bank.example@evil.example/", json!([])),
        (
            "see (https://example.org/a_(b)), or 「https://example.org/c」です。",
            json!([
                ["https://example.org/a_(b)", "https://example.org/a_(b)"],
                ["https://example.org/c", "https://example.org/c"]
            ]),
        ),
        ("https://...", json!([])),
    ];
    for (number, (line, links)) in rows.into_iter().enumerate() {
        bot.say([line.to_owned()]);
        bot.say([format!("end of {number}")]);
        ada.page.wait_text("#log .line:last-child .text", &format!("end of {number}"));
        let shown = ada.page.eval(
            "[...document.querySelectorAll('#log .line:nth-last-child(2) a')].map((link) => [link.textContent, link.href])",
        );
        assert_eq!(shown, links, "{line}");
    }
}

/// Where the first and the last letter of each row of the newest line stand: true where it reads from left to
/// right.
const DIRECTIONS: &str = "{
    const text = document.querySelector('#log .line:last-child .text');
    const places = [];
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode()); ) {
        for (let at = 0; at < node.data.length; at += 1) {
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + 1);
            const { left, top, width } = range.getBoundingClientRect();
            if (width > 0) places.push({ char: node.data[at], left, row: Math.round(top / 10) });
        }
    }
    const box = text.getBoundingClientRect();
    Object.values(Object.groupBy(places, ({ row }) => row)).map((row) => ({
        text: [...row].sort((one, other) => one.left - other.left).map(({ char }) => char).join(''),
        isLeft: Math.min(...row.map(({ left }) => left)) - box.left < 20,
    }));
}";

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn code_reads_from_left_to_right_and_each_line_has_its_own_direction() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut bot = Bot::enter(&server, "Grace");
    bot.say(["שלום `a(1);` לך\nabc (d)\nשלום (x)".to_owned(), "done".to_owned()]);
    ada.wait_line("done");
    ada.page.eval("document.querySelector('#log .line:last-child').remove()");
    let rows: Vec<Value> = ada.page.eval(DIRECTIONS).as_array().expect("rows").clone();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[0]["text"].as_str().is_some_and(|text| text.contains("a(1);")), "{rows:?}");
    assert_eq!(rows[0]["isLeft"], false, "{rows:?}");
    assert_eq!(rows[1], json!({"text": "abc (d)", "isLeft": true}));
    assert_eq!(rows[2]["isLeft"], false, "{rows:?}");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn names_are_compared_as_the_server_compares_them() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "José Straße");
    let mut bot = Bot::enter(&server, "Grace");
    let calls = ["@Jose\u{301} STRASSE hi", "请看@josé\u{a0}straße", "@José Straßeさん"];
    let others = ["@José", "@José Straßen", "me@José Straße", "@José Straße\u{301}"];
    bot.say(calls.into_iter().chain(others).map(str::to_owned));
    ada.wait_line(others[3]);
    let marked = "[...document.querySelectorAll('#log .mention')].map((line) => line.querySelector('.text').textContent)";
    assert_eq!(ada.page.eval(marked), json!(calls));
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_copied_log_reads_as_the_log_does() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    for line in ["one", "two"] {
        ada.say(line);
    }
    let mut bot = Bot::enter(&server, "Grace");
    bot.say(["/me waves".to_owned(), "three".to_owned()]);
    ada.wait_line("three");
    let copied = ada.page.eval(
        "getSelection().selectAllChildren(document.querySelector('#log')), getSelection().toString().replace(/\\d\\d:\\d\\d/g, 'TIME')",
    );
    let copied = copied.as_str().expect("a text");
    assert!(copied.contains("@Ada you TIME\none\ntwo\n"), "{copied:?}");
    assert!(copied.contains("@Grace TIME waves\n"), "{copied:?}");
    assert!(copied.ends_with("three"), "{copied:?}");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn mute_stays_whole_beside_a_long_name() {
    let (server, chromium) = open(&[]);
    let _long = Bot::enter(&server, &"W".repeat(120));
    let _short = Bot::enter(&server, "Eve");
    let ada = Person::enter(&chromium, &server, "Ada");
    ada.page.wait("document.querySelectorAll('#people-list .link').length === 2");
    let heights =
        "[...new Set([...document.querySelectorAll('#people-list .link')].map((node) => node.offsetHeight))]";
    assert_eq!(ada.page.eval(heights).as_array().map(Vec::len), Some(1));
}
