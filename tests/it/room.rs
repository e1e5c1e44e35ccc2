//! What is said: one order for all, unchanged, cut where it is too long, slowed where it is too much.

use crate::support::{Client, Event, Plume, assert_took};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The longest text, in bytes.
const TEXT_BYTES: usize = 65_536;

/// The texts of the lines that have an id, in order.
fn history(welcome: &[Value]) -> Vec<&str> {
    let lines = welcome.iter().filter(|line| line.get("id").is_some());
    lines.map(|line| line["text"].as_str().expect("a line has a text")).collect()
}

#[test]
fn all_see_the_same_lines_in_the_same_order() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut members: Vec<Client> =
        ["Ada", "Bob", "Cyd"].iter().map(|name| Client::login(&server, name)).collect();
    for member in &mut members {
        member.settle();
    }
    for n in 0..30 {
        for member in &mut members {
            member.say(&format!("line {n}"));
        }
    }
    let seen: Vec<Vec<Value>> =
        members.iter_mut().map(|member| (0..90).map(|_| member.expect(1)).collect()).collect();
    assert!(seen.iter().all(|lines| *lines == seen[0]), "not the same for all");
    for name in ["Ada", "Bob", "Cyd"] {
        let own = seen[0].iter().filter(|line| line["user"]["name"] == name);
        let texts: Vec<_> = own.map(|line| line["text"].as_str().unwrap().to_owned()).collect();
        assert_eq!(texts, (0..30).map(|n| format!("line {n}")).collect::<Vec<_>>(), "{name}");
    }
    let ids: Vec<u64> = seen[0].iter().map(|line| line["id"].as_u64().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
}

#[test]
fn a_text_is_passed_on_unchanged() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    for text in [
        "hello",
        "  white space around\t",
        "two\nlines\r\n",
        "<script>alert('x')</script> & \"quotes\" \\ / \\n",
        "é e\u{301} 日本語 👩🏽‍💻 🏳️‍🌈 \u{202e}abc\u{202c}",
        "\u{0}\u{1}\u{8}\u{c}\u{1f}\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\u{ffff}\u{10ffff}",
        "{\"type\":1}",
    ] {
        ada.talk(text);
        bob.expect_line("Ada", text);
    }
    // The same written with escapes, as some encoders do.
    ada.send_text(r#"{"type":1,"text":"\ud83d\ude00 \u0041\/\n"}"#);
    bob.expect_line("Ada", "😀 A/\n");
}

#[test]
fn a_sender_knows_its_line_again_by_what_it_attached() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    let mut tab = Client::resume_of(&server, &ada, None);
    for (reference, expected) in [
        (json!("7f3a"), json!("7f3a")),
        (json!("x".repeat(64)), json!("x".repeat(64))),
        (json!("x".repeat(65)), Value::Null),
    ] {
        ada.send(&json!({"type": 1, "text": "mine", "ref": reference}));
        let line = ada.expect_line("Ada", "mine");
        assert_eq!(line["ref"], expected, "{reference}: {line}");
        assert_eq!(tab.message()["ref"], expected, "{reference}");
    }
}

#[test]
fn a_text_that_nobody_sees_is_no_line() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut ada = Client::login(&server, "Ada");
    for text in [
        " ",
        "\t\r\n",
        "\u{0}",
        "\u{1b}",
        "\u{a0}\u{3000}",
        "\u{200b}",
        "\u{ad}",
        "\u{2800}",
        "\u{3164}",
        "\u{fe0f}",
        "\u{202e}\u{2066}",
        "\u{e0041}",
        "/me \u{200b}",
        "//me \u{200b}",
        "```\u{200b}```",
    ] {
        ada.say(text);
    }
    ada.talk("\u{feff}seen\u{200b}");
}

#[test]
fn an_empty_text_is_no_line() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    ada.say("");
    ada.send(&json!({"type": 1}));
    ada.send(&json!({"type": 1, "user": {"name": "Ada"}}));
    let line = ada.talk("a line");
    assert_eq!(line["id"].as_u64(), Some(ada.last() + 1), "ids are consecutive: {line}");
}

#[test]
fn a_text_that_is_too_long_is_cut_at_a_character() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let whole = "a".repeat(TEXT_BYTES);
    let almost = &whole[1..];
    let half = "é".repeat(TEXT_BYTES / 2);
    let rows = [
        (whole.clone(), whole.as_str(), false),
        (half.clone(), &half, false),
        (format!("{whole}b"), &whole, true),
        (format!("{almost}é"), almost, true),
        (format!("{}€", &whole[2..]), &whole[2..], true),
        (format!("{}😀tail", &whole[1..]), almost, true),
        // The longest that a frame can hold, without any escape.
        ("y".repeat(409_000), &"y".repeat(TEXT_BYTES), true),
    ];
    for (n, (text, kept, cut)) in rows.into_iter().enumerate() {
        ada.say(&text);
        let mut answers = [bob.message(), ada.message()];
        assert_eq!(answers[0]["text"].as_str().map(str::len), Some(kept.len()), "row {n}");
        assert!(answers[0]["text"] == *kept, "row {n}");
        if cut {
            let other = ada.message();
            // The notice may stand before or after the line.
            if answers[1]["type"] == 6 {
                assert_eq!(other, answers[0], "row {n}");
            } else {
                answers[1] = other;
            }
            assert_eq!(
                (&answers[1]["type"], &answers[1]["reason"]),
                (&json!(6), &json!("too-long")),
                "row {n}"
            );
        } else {
            assert_eq!(answers[1], answers[0], "row {n}");
        }
    }
    bob.expect_nothing();
    ada.expect_nothing();
}

#[test]
fn the_longest_text_may_be_all_escapes() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut ada = Client::login(&server, "Ada");
    let escaped = r"\u0001".repeat(TEXT_BYTES - 1);
    ada.send_text(&format!(r#"{{"type":1,"text":"\u0041{escaped}"}}"#));
    ada.expect_line("Ada", &format!("A{}", "\u{1}".repeat(TEXT_BYTES - 1)));
    ada.expect_nothing();
}

#[test]
fn a_newcomer_is_shown_the_last_lines() {
    for (shown, expected) in [
        ("3", vec!["three", "four", "five"]),
        ("5", vec!["one", "two", "three", "four", "five"]),
        ("6", vec!["entered chat", "one", "two", "three", "four", "five"]),
        ("50", vec!["entered chat", "one", "two", "three", "four", "five"]),
        ("0", vec![]),
    ] {
        let server = Plume::start(&[("PLUME_HISTORY", shown)]);
        let mut ada = Client::login(&server, "Ada");
        for text in ["one", "two", "three", "four", "five"] {
            ada.talk(text);
        }
        let bob = Client::login(&server, "Bob");
        let mut all = expected.clone();
        all.push("entered chat");
        assert_eq!(history(&bob.welcome), all, "PLUME_HISTORY={shown}");
        // History, then the greeting in two lines, then the entering.
        let bots: Vec<usize> =
            (0..bob.welcome.len()).filter(|&n| bob.welcome[n]["user"]["name"] == "plumebot").collect();
        assert_eq!(bots, [expected.len(), expected.len() + 1], "PLUME_HISTORY={shown}");
    }
}

#[test]
fn fifty_lines_are_shown_by_default() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut ada = Client::login(&server, "Ada");
    for n in 0..60 {
        ada.say(&n.to_string());
        ada.expect(1);
    }
    let bob = Client::login(&server, "Bob");
    let expected: Vec<String> = (10..60).map(|n| n.to_string()).chain(["entered chat".to_owned()]).collect();
    assert_eq!(history(&bob.welcome), expected);
}

#[test]
fn who_talks_too_fast_is_slowed_and_not_lost() {
    let server = Plume::start(&[]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let begun = Instant::now();
    for n in 0..30 {
        ada.say(&format!("line {n}"));
    }
    for n in 0..5 {
        bob.expect_line("Ada", &format!("line {n}"));
    }
    // Others are not slowed with her.
    bob.say("slowly, please");
    let mut lines = Vec::new();
    while lines.len() < 25 {
        match bob.expect(1) {
            line if line["user"]["name"] == "Bob" => {
                assert!(begun.elapsed() < Duration::from_secs(1), "Bob waited: {:?}", begun.elapsed());
            }
            line => lines.push(line["text"].as_str().unwrap().to_owned()),
        }
    }
    assert_eq!(lines, (5..30).map(|n| format!("line {n}")).collect::<Vec<_>>());
    assert_took(begun, 1_800..8_000);
}

#[test]
fn a_long_line_costs_as_many_as_it_is_long() {
    let server = Plume::start(&[("PLUME_RATE", "20")]);
    let mut ada = Client::login(&server, "Ada");
    let begun = Instant::now();
    // Some 60 tokens, of which 20 are there: the next line waits for two seconds.
    ada.say(&"x".repeat(60 << 10));
    ada.say("short");
    ada.expect(1);
    ada.expect_line("Ada", "short");
    assert_took(begun, 1_500..6_000);
}

#[test]
fn lines_of_all_lengths_stay_whole_however_often_the_backlog_wraps() {
    let server = Plume::start(&[("PLUME_BACKLOG", "1600000"), ("PLUME_RATE", "100000")]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let alphabet: String = ('!'..='~').collect();
    let long = alphabet.repeat(700);
    // Lengths that are no multiples of each other, some 9 MB in all: five times around.
    for n in 0..300_usize {
        let length = n * 7_919 % 60_000 + 1;
        let text = &long[n % 90..][..length];
        ada.say(text);
        let seen = [bob.message(), ada.message()];
        assert!(seen[0] == seen[1] && seen[0]["text"] == *text, "line {n} of {length} bytes");
    }
}

#[test]
fn who_reads_too_slowly_is_lapped_and_may_resume() {
    let server =
        Plume::start(&[("PLUME_BACKLOG", "2000000"), ("PLUME_RATE", "100000"), ("PLUME_HISTORY", "2")]);
    let [mut ada, mut slow] = Client::login_all(&server, ["Ada", "Bob"]);
    // More than the buffers of two sockets and the backlog hold together.
    let text = ada.talk_long(300, 65_000);
    let mut seen = slow.last();
    loop {
        match slow.next() {
            Event::Json(line) => {
                assert_eq!(line["id"].as_u64(), Some(seen + 1), "each line once and in order");
                assert!(line["text"] == *text, "line {seen} is not whole");
                seen += 1;
            }
            Event::Close(code) => {
                assert_eq!(code, Some(4008));
                break;
            }
            other => panic!("{other:?} after line {seen}"),
        }
    }
    slow.expect_end();
    assert!(seen < slow.last() + 300, "nothing was lost, so the test tests nothing");
    let back = Client::resume_of(&server, &slow, Some(seen));
    assert_eq!(back.welcome[0]["reason"], "gap");
    assert_eq!(back.welcome.len(), 3, "the notice and two lines of history");
}

#[test]
fn the_history_is_bounded_in_bytes() {
    let server = Plume::start(&[("PLUME_RATE", "100000")]);
    let mut ada = Client::login(&server, "Ada");
    let long = "x".repeat(65_000);
    for _ in 0..25 {
        ada.talk(&long);
    }
    ada.talk("short");
    let bob = Client::login(&server, "Bob");
    let lines: Vec<_> = bob.welcome.iter().filter(|message| message.get("id").is_some()).collect();
    assert_eq!(lines.iter().filter(|line| line["text"] == long).count(), 19, "as many as 1.25 MB hold");
    assert!(lines.iter().any(|line| line["text"] == "short"));
}
