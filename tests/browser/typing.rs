//! Typing, with whatever keyboard, and pasting: what is meant is sent, and nothing is cut or lost.

use crate::support::{Bot, FIELD, Key, Person, open};
use serde_json::json;

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn enter_sends_also_while_a_phone_composes_the_last_word() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    ada.page.click("#text");
    ada.page.compose("hello");
    // Gboard: the key code 13, and still composing.
    ada.page.press(Key::Enter);
    ada.wait_line("hello");
    assert_eq!(ada.page.eval(FIELD), "");
    // A keyboard that names no key, but breaks the line.
    ada.page.insert("from a phone");
    ada.page.eval(
        "document.querySelector('#text').dispatchEvent(new InputEvent('beforeinput',
            { inputType: 'insertLineBreak', cancelable: true }))",
    );
    ada.wait_line("from a phone");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn enter_that_an_input_method_has_sends_nothing() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    ada.page.click("#text");
    ada.page.compose("にほん");
    // Most browsers: the key comes before the word is committed.
    ada.page.press_for_input_method();
    ada.page.insert("日本");
    assert_eq!(ada.page.eval(FIELD), "日本");
    ada.page.compose("ご");
    // Safari: the key comes after it.
    ada.page.insert("語");
    ada.page.press_for_input_method();
    assert_eq!(ada.page.eval(FIELD), "日本語");
    ada.page.press(Key::Enter);
    ada.wait_line("日本語");
    assert_eq!(ada.lines(), ["Ada: 日本語"]);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_pasted_email_is_read_for_its_code_and_a_guess_is_not_sent() {
    let (server, chromium) = open(&[]);
    let ada = Person::arrive(&chromium, &server.url());
    ada.ask_code("Ada");
    let code = server.code_for("Ada");
    let field = "document.querySelector('#code').value";
    ada.page.fill("#code", "Andrea wrote: your code is BCDFGH. Thanks");
    ada.page.wait_text("#verify-note", "press Verify");
    assert_eq!(ada.page.eval(field), "BCDFGH");
    assert_eq!(ada.page.text("#verify-error"), "", "no try was spent");
    ada.page.fill("#code", "There is nothing here that could be it");
    assert_eq!(ada.page.text("#verify-error"), "");
    let wide: String =
        code.chars().map(|char| char::from_u32(u32::from(char) + 0xfee0).unwrap_or(char)).collect();
    ada.page.fill("#code", "");
    ada.page.compose(&wide);
    assert_eq!(ada.page.eval(field), wide.as_str(), "left alone while it is composed");
    ada.page.insert(&wide);
    ada.wait_in();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn what_is_too_long_is_kept_and_said_and_not_sent() {
    let (server, chromium) = open(&[("PLUME_RATE", "1000")]);
    let ada = Person::arrive(&chromium, &server.url());
    ada.page.fill("#name", &"ü".repeat(61));
    let address = format!("ada@{}.museum", "m".repeat(113));
    ada.page.fill("#email", &address);
    ada.page.press(Key::Enter);
    ada.page.wait_text("#enter-error", "The name is 2 bytes too long.");
    ada.page.fill("#name", &"ü".repeat(60));
    ada.page.click("#enter");
    ada.page.wait_text("#enter-error", "The address is 4 bytes too long.");
    assert_eq!(ada.page.eval("document.querySelector('#email').value"), address.as_str());
    ada.page.fill("#email", "ada@example.org");
    ada.page.press(Key::Enter);
    ada.page.wait_visible("#verify-view");
    ada.type_code(&server.code_for(&"ü".repeat(60)));
    ada.wait_in();
    let long = "é".repeat(32_768);
    ada.page.fill("#text", &format!("{long}ab"));
    ada.page.wait_text("#text-error", "The message is 2 bytes too long.");
    ada.page.press(Key::Enter);
    ada.page.click("#send");
    assert_eq!(ada.page.eval(&format!("{FIELD}.length")), 32_770);
    ada.page.fill("#text", &long);
    assert_eq!(ada.page.text("#text-error"), "");
    ada.page.press(Key::Enter);
    ada.page.wait("document.querySelector('#log .line:last-child .text')?.textContent.startsWith('éé')");
    ada.page.wait("!document.querySelector('.pending')");
    assert!(!ada.page.text("#log").contains("too long"), "the server took it whole");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn lines_that_nobody_sees_are_not_sent() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    for line in ["\u{200b}", "\u{ad} \u{2800}", "\u{3164}\u{fe0f}", "\u{202e}\u{2066}", "\u{feff}"] {
        ada.send(line);
    }
    ada.page.fill("#text", "❤️");
    ada.page.press(Key::Enter);
    ada.wait_line("❤️");
    assert_eq!(ada.lines(), ["Ada: ❤️"]);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_draft_survives_a_reload() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    ada.page.fill("#text", "half a line,\nand half of another");
    let second = ada.second_tab(&server.url());
    assert_eq!(second.page.eval(FIELD), "", "each tab has its own");
    ada.page.reload();
    ada.wait_in();
    assert_eq!(ada.page.eval(FIELD), "half a line,\nand half of another");
    ada.page.click("#text");
    ada.page.press(Key::Enter);
    ada.wait_line("half a line,\nand half of another");
    ada.page.reload();
    ada.wait_in();
    assert_eq!(ada.page.eval(FIELD), "", "it was sent");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn tab_completes_names_and_no_addresses_and_doubles_no_blank() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let _grace = Bot::enter(&server, "Example");
    ada.page.wait_text("#people-list", "@Example");
    ada.page.fill("#text", "write to me@ex");
    ada.page.press(Key::Tab);
    assert_eq!(ada.page.eval(FIELD), "write to me@ex");
    assert_eq!(ada.page.eval("document.activeElement.id"), "send", "Tab goes on");
    ada.page.fill("#text", "ask @ex about it");
    ada.page.eval("document.querySelector('#text').setSelectionRange(7, 7)");
    ada.page.press(Key::Tab);
    assert_eq!(ada.page.eval(FIELD), "ask @Example about it");
    ada.page.insert("and me ");
    assert_eq!(ada.page.eval(FIELD), "ask @Example and me about it");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn in_a_recalled_text_of_several_rows_the_arrows_move_the_caret_first() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    ada.say("first");
    for rows in ["one\ntwo\nthree".to_owned(), "word ".repeat(100).trim_end().to_owned()] {
        ada.say(&rows);
        ada.page.press(Key::Up);
        assert_eq!(ada.page.eval(FIELD), rows.as_str());
        let end = ada.page.eval("document.querySelector('#text').selectionStart").as_u64();
        ada.page.press(Key::Up);
        ada.page.draw();
        assert_eq!(ada.page.eval(FIELD), rows.as_str(), "the caret moves");
        assert!(ada.page.eval("document.querySelector('#text').selectionStart").as_u64() < end);
        ada.page.eval("document.querySelector('#text').setSelectionRange(0, 0)");
        ada.page.press(Key::Up);
        ada.page.wait(&format!("{FIELD} !== {}", json!(rows)));
        ada.page.press(Key::Down);
        ada.page.wait(&format!("{FIELD} === {}", json!(rows)));
        ada.page.fill("#text", "");
    }
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_name_is_what_was_meant() {
    let (server, chromium) = open(&[]);
    let grace = Person::arrive(&chromium, &server.url());
    grace.page.fill("#name", "grace@example.org");
    grace.page.fill("#email", "grace@example.org");
    grace.page.press(Key::Enter);
    grace.page.wait_text("#enter-error", "That is an email address");
    assert_eq!(grace.page.eval("document.activeElement.id"), "name");
    grace.page.fill("#name", "@Grace");
    grace.page.press(Key::Enter);
    grace.page.wait_visible("#verify-view");
    grace.type_code(&server.code_for("Grace"));
    grace.wait_in();
    grace.page.wait_text("#people-list", "@Grace");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_dropped_file_does_not_replace_the_page() {
    let (server, chromium) = open(&[]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let is_refused = |kind: &str, data: &str| {
        ada.page.eval(&format!(
            "{{ const dataTransfer = new DataTransfer(); {data}
                const event = new DragEvent('{kind}', {{ dataTransfer, bubbles: true, cancelable: true }});
                !document.querySelector('#log').dispatchEvent(event) }}"
        ))
    };
    for kind in ["dragover", "drop"] {
        assert_eq!(is_refused(kind, "dataTransfer.items.add(new File(['x'], 'x.html'));"), true, "{kind}");
        assert_eq!(is_refused(kind, "dataTransfer.setData('text/plain', 'x');"), false, "{kind} of text");
    }
}
