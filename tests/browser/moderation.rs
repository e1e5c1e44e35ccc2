//! Moderation in the page: acts, menus, the topic, refused words, the door, and commands in the field.

use crate::support::{Bot, Chromium, FIELD, Key, Page, Person, Plume, Tab, address_of, open};
use serde_json::{Value, json};

const MODERATED: [(&str, &str); 2] = [("PLUME_MODERATORS", "ada@example.org"), ("PLUME_RATE", "1000")];

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_moderator_acts_from_a_menu_and_all_see_a_line() {
    let (server, chromium) = open(&MODERATED);
    let ada = Person::enter(&chromium, &server, "Ada");
    let grace = Person::enter(&chromium, &server, "Grace");
    let mut troll = Bot::enter(&server, "Bad Troll");
    troll.say(["buy my boots".to_owned()]);
    ada.wait_line("buy my boots");
    // On a line, with a time and a reason.
    ada.page.hover("#log .line:last-child");
    ada.page.click("#log .line:last-child > .menu");
    ada.page.wait_text("#menu", "@Bad Troll");
    assert_eq!(items(&ada.page), ["Report", "Delete", "Mute for all", "Kick", "Ban"]);
    assert_eq!(ada.page.eval("document.activeElement.id"), "why");
    assert_eq!(ada.page.text("#menu label"), "Reason; for mute and ban first a time if you like: 2h spam");
    ada.page.insert("2h boots");
    ada.page.click("#menu [value=mute]");
    let muted = "Ada muted @Bad Troll for 2 hours: boots";
    for person in [&ada, &grace] {
        wait_event(person, muted);
    }
    assert!(!ada.page.is_visible("#menu"), "it is done");
    // On a person.
    ada.page.click("#people-list .menu[value='Bad Troll']");
    assert_eq!(items(&ada.page), ["Report", "Delete all lines", "Mute for all", "Kick", "Ban"]);
    ada.page.click("#menu [value=kick]");
    let kicked = "Ada kicked @Bad Troll";
    for person in [&ada, &grace] {
        wait_event(person, kicked);
        wait_event(person, "Bad Troll left chat");
        person.page.wait("!document.querySelector('#people-list').innerText.includes('Troll')");
    }
    ada.page.wait("document.querySelectorAll('.pending').length === 0");
    let lines = ada.lines();
    assert_eq!(lines, ["Bad Troll: buy my boots"], "commands are not said");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn acts_are_not_folded_with_comings_and_goings() {
    let (server, chromium) = open(&MODERATED);
    let ada = Person::enter(&chromium, &server, "Ada");
    let _before: Vec<Bot> = ["Bob", "Eve", "Joe"].map(|name| Bot::enter(&server, name)).into();
    ada.page.wait_visible("#log .fold");
    ada.send("/kick Bob too loud");
    wait_event(&ada, "Bob left chat");
    let _after: Vec<Bot> = ["Kim", "Lee"].map(|name| Bot::enter(&server, name)).into();
    wait_event(&ada, "Lee entered chat");
    ada.page.wait("document.querySelectorAll('#log .fold').length === 2");
    assert!(ada.page.is_visible("#log > [data-event=kick]"), "{:?}", ada.events());
    let arrow = "getComputedStyle(document.querySelector('#log [data-event=kick]'), '::before').content";
    assert_eq!(ada.page.eval(arrow), json!("\"• \""));
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn each_menu_offers_what_its_reader_may_do() {
    let (server, chromium) = open(&MODERATED);
    let grace = watched(&chromium, &server, "Grace");
    let mut bob = Bot::enter(&server, "Bob");
    bob.say(["first".to_owned(), "second".to_owned()]);
    grace.say("mine");
    let id_of = |text: &str| {
        let node = format!(
            "[...document.querySelectorAll('#log .line')].find((line) => line.querySelector('.text')?.textContent === {}).querySelector('.menu')",
            json!(text)
        );
        let id = grace.page.eval(&format!("{node}.value"));
        (node, id.as_str().expect("an id").to_owned())
    };
    let (second, second_id) = id_of("second");
    let (mine, mine_id) = id_of("mine");
    grace.page.eval(&format!("{second}.click()"));
    assert_eq!(items(&grace.page), ["Report"]);
    assert_eq!(grace.page.text("#menu label"), "Reason");
    // A report needs its reason.
    grace.page.click("#menu [value=report]");
    assert!(grace.page.is_visible("#menu"));
    assert_eq!(sent(&grace.page), ["mine"]);
    grace.page.fill("#why", "spam");
    grace.page.press(Key::Enter);
    grace.page.eval(&format!("{mine}.click()"));
    assert_eq!(items(&grace.page), ["Delete"]);
    assert!(!grace.page.is_visible("#why"), "no reason is asked for");
    grace.page.click("#menu [value=delete]");
    grace.page.click("#people-list .menu");
    assert_eq!(items(&grace.page), ["Report"]);
    grace.page.fill("#why", "also spam");
    grace.page.press(Key::Enter);
    let expected = [
        "mine",
        &format!("/report #{second_id} spam"),
        &format!("/delete #{mine_id}"),
        "/report \"Bob\" also spam",
    ];
    assert_eq!(sent(&grace.page), expected);
    let menus = "document.querySelectorAll('#people-list li')[0].querySelectorAll('button').length";
    assert_eq!(grace.page.eval(menus), 0, "nothing about oneself");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn menus_are_worked_by_keyboard() {
    let (server, chromium) = open(&MODERATED);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut bob = Bot::enter(&server, "Bob");
    bob.say(["one", "two", "three"].map(str::to_owned));
    ada.wait_line("three");
    ada.page.draw();
    let on = |page: &Page<Tab<'_>>| {
        page.eval("document.activeElement.closest('.line')?.querySelector('.text').textContent")
    };
    ada.page.eval("document.querySelector('#log').focus()");
    ada.page.press(Key::Tab);
    assert_eq!(on(&ada.page), "three", "the last line comes first");
    ada.page.press(Key::Up);
    assert_eq!(on(&ada.page), "two");
    ada.page.press(Key::Up);
    ada.page.press(Key::Up);
    assert_eq!(on(&ada.page), "one", "there is none above");
    ada.page.press(Key::Down);
    assert_eq!(on(&ada.page), "two");
    let outline = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(ada.page.eval(outline), "solid", "the focus is seen");
    ada.page.press(Key::Enter);
    ada.page.wait_visible("#menu");
    assert_eq!(ada.page.eval("document.activeElement.id"), "why");
    ada.page.press(Key::Escape);
    assert!(!ada.page.is_visible("#menu"));
    assert_eq!(on(&ada.page), "two", "back to where one was");
    ada.page.press(Key::Enter);
    ada.page.insert("not again");
    for _ in 0..4 {
        ada.page.press(Key::Tab);
    }
    assert_eq!(ada.page.eval("document.activeElement.value"), "kick");
    ada.page.press(Key::Enter);
    wait_event(&ada, "Ada kicked @Bob: not again");
    // Tab goes on from the menu of one line, and not through all.
    ada.page.eval("document.querySelector('#log').focus()");
    ada.page.press(Key::Tab);
    ada.page.press(Key::Tab);
    assert_eq!(on(&ada.page), Value::Null);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn the_topic_stands_above_the_log() {
    let (server, chromium) = open(&[("PLUME_TOPIC", "tea"), MODERATED[0], MODERATED[1]]);
    let ada = Person::enter(&chromium, &server, "Ada");
    assert_eq!(ada.page.text("#topic"), "tea");
    let grace = Person::enter(&chromium, &server, "Grace");
    ada.send("/topic coffee");
    grace.page.wait_text("#topic", "coffee");
    ada.send("/topic see https://example.org/ <b>and</b> @Grace");
    for person in [&ada, &grace] {
        person.page.wait_text("#topic", "see https://example.org/ <b>and</b> @Grace");
        let links = "[...document.querySelectorAll('#topic a')].map(({ href, rel }) => [href, rel])";
        let expected = json!([["https://example.org/", "noopener noreferrer nofollow ugc"]]);
        assert_eq!(person.page.eval(links), expected);
    }
    // History tells of earlier topics, which are not the topic.
    grace.page.reload();
    grace.wait_in();
    wait_event(&grace, "Ada set the topic: coffee");
    assert!(grace.page.text("#topic").starts_with("see "));
    let is_above = "document.querySelector('#topic').getBoundingClientRect().bottom
        <= document.querySelector('#log').getBoundingClientRect().top + 1";
    assert_eq!(grace.page.eval(is_above), true);
    let long = "word ".repeat(99);
    ada.send(&format!("/topic {long}"));
    grace.page.wait_text("#topic", "word word");
    grace.page.phone(360, 640);
    let height = grace.page.eval("document.querySelector('#topic').offsetHeight").as_f64();
    assert!(height.is_some_and(|height| height <= 90.0), "{height:?}: a long one is scrolled");
    ada.send("/topic -");
    for person in [&ada, &grace] {
        person.page.wait("!document.querySelector('#topic').checkVisibility()");
    }
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn refused_words_return_to_the_field_with_the_wait() {
    let (server, chromium) = open(&MODERATED);
    let ada = Person::enter(&chromium, &server, "Ada");
    let bob = Person::enter(&chromium, &server, "Bob");
    ada.send("/mute Bob 10m shouting");
    wait_event(&bob, "Ada muted @Bob for 10 minutes: shouting");
    bob.send("but why?");
    bob.page.wait(&format!("{FIELD} === 'but why?'"));
    bob.page.wait_text("#text-error", "You are muted for another");
    assert!(bob.page.text("#text-error").contains("Your line was not sent."));
    assert_eq!(bob.lines(), Vec::<String>::new());
    assert_eq!(bob.page.eval("document.querySelectorAll('.pending').length"), 0);
    ada.send("/unmute Bob");
    wait_event(&bob, "Ada unmuted @Bob");
    bob.page.click("#send");
    ada.wait_line("but why?");
    bob.page.wait(&format!("{FIELD} === '' && document.querySelector('#text-error').innerText === ''"));
    // What is typed before the answer comes stays.
    ada.send("/slow 1h");
    wait_event(&bob, "Ada turned slow mode on: one line per person every 1 hour");
    bob.say("the one line");
    let send_and_type_on = |line: &str| {
        bob.page.fill("#text", line);
        bob.page.eval(
            "{ document.querySelector('#text-form').requestSubmit(); const field = document.querySelector('#text');
               field.value = 'typed since'; field.dispatchEvent(new Event('input')); }",
        );
    };
    send_and_type_on("one too many");
    bob.page.wait(&format!("{FIELD} === 'typed since\\none too many'"));
    bob.page.wait_text("#text-error", "you can write again in");
    // An unknown command can hold a secret: behind a line it would be said.
    send_and_type_on("/identify secret");
    bob.page.wait(&format!("{FIELD} === '/identify secret\\ntyped since'"));
    bob.page.wait_text("#text-error", "There is no such command");
    bob.page.reload();
    bob.wait_in();
    assert_eq!(bob.page.eval(FIELD), "/identify secret\ntyped since", "after a reload, too");
    assert_eq!(ada.lines(), ["Bob: but why?", "Bob: the one line"]);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_slash_shows_what_commands_do_and_tab_completes_them() {
    let (server, chromium) = open(&MODERATED);
    let ada = Person::enter(&chromium, &server, "Ada");
    let bob = Person::enter(&chromium, &server, "Bob");
    let rows =
        "[...document.querySelectorAll('#hints button')].map(({ innerText }) => innerText.split(/[ :]/)[0])";
    ada.page.fill("#text", "/");
    ada.page.wait("document.querySelectorAll('#hints button').length > 10");
    ada.page.fill("#text", "/un");
    assert_eq!(ada.page.eval(rows), json!(["/unmute", "/unban", "/unlock", "/uninvite"]));
    ada.page.press(Key::Tab);
    assert_eq!(ada.page.eval(FIELD), "/unmute ");
    ada.page.wait_text("#hints", "/unmute NAME: ends a mute");
    ada.page.press(Key::Tab);
    assert_eq!(ada.page.eval(FIELD), "/unban ");
    // By touch.
    ada.page.phone(360, 640);
    ada.page.fill("#text", "/mut");
    ada.page.click("#hints button");
    assert_eq!(ada.page.eval(FIELD), "/mute ");
    assert_eq!(ada.page.eval("document.activeElement.id"), "text");
    ada.page.insert("Bob");
    ada.page.press(Key::Enter);
    wait_event(&bob, "Ada muted @Bob for 10 minutes");
    assert_eq!(ada.page.text("#hints"), "");
    // Others are offered what is theirs.
    bob.page.fill("#text", "/");
    bob.page.wait_text("#hints", "/who NAME: says how long someone has been here");
    assert!(!bob.page.text("#hints").contains("/kick"));
    assert!(!bob.page.text("#log").contains("/who NAME"), "the answer is not a line");
    bob.page.fill("#text", "/usr/bin is no command");
    assert_eq!(bob.page.text("#hints"), "");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn what_the_door_says_stands_at_the_email() {
    let (server, chromium) = open(&[("PLUME_DENY", "eve@example.org"), MODERATED[0], MODERATED[1]]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let guest = Person::arrive(&chromium, &server.url());
    let ask = |name: &str| {
        guest.page.fill("#name", name);
        guest.page.fill("#email", &address_of(name));
        guest.page.press(Key::Enter);
    };
    let at = |field: &str| {
        guest.page.wait(&format!(
            "document.querySelector('#{field}').ariaInvalid === 'true' && document.activeElement.id === '{field}'
             && document.querySelector('#{field}').nextElementSibling.id === 'enter-error'"
        ));
    };
    ask("Eve");
    guest.page.wait_text("#enter-error", "This chat is not open to that email address.");
    at("email");
    assert_eq!(guest.page.eval("document.querySelector('#name').value"), "Eve", "nothing is lost");
    ada.send("/lock 2h");
    wait_event(&ada, "Ada locked the room for 2 hours");
    ask("Bob");
    guest.page.wait_text("#enter-error", "This chat takes no newcomers now.");
    guest.page.wait_text("#enter-error", "Please wait 2 hours.");
    at("email");
    ada.send("/unlock");
    wait_event(&ada, "Ada unlocked the room");
    guest.page.fill("#name", "Ada");
    guest.page.press(Key::Enter);
    guest.page.wait_text("#enter-error", "That name is taken");
    at("name");
    guest.come_in(&server, "Bob");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn who_is_banned_is_told_why_and_then_by_the_door() {
    let (server, chromium) = open(&MODERATED);
    let ada = Person::enter(&chromium, &server, "Ada");
    let bob = Person::enter(&chromium, &server, "Bob");
    bob.page.fill("#text", "half a line");
    ada.send("/ban Bob boots");
    bob.page.wait_text("#log", "You were banned by @Ada: boots");
    bob.page.wait_text("#status", "Disconnected");
    bob.page.click("#now");
    bob.page.wait_visible("#enter-view");
    bob.page.wait_text("#enter-error", "Your session is over.");
    bob.page.click("#enter");
    bob.page.wait_text("#enter-error", "This chat is not open to that email address.");
    ada.send("/unban Bob");
    wait_event(&ada, "Ada unbanned @Bob");
    bob.come_in(&server, "Bob");
    assert_eq!(bob.page.eval(FIELD), "half a line", "what was written is still there");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn a_removed_line_keeps_its_name_and_loses_its_words() {
    let (server, chromium) = open(&MODERATED);
    let grace = watched(&chromium, &server, "Grace");
    let mut bob = Bot::enter(&server, "Bob");
    let long = format!("@Grace, a long one\n{}", "row\n".repeat(60));
    bob.say(["/me waves".to_owned(), long, "stays".to_owned()]);
    grace.wait_line("stays");
    let shown = "[...document.querySelectorAll('#log .line:not(.event)')].slice(-3)
        .map((line) => [line.querySelector('.name').textContent, line.querySelector('.text').textContent,
            line.matches('.act, .mention'), line.querySelectorAll('button').length])";
    let last = last_id(&grace.page);
    grace.page.eval(&format!("document.querySelector('#log .menu[value=\"{}\"]').focus()", last - 1));
    hear(
        &grace.page,
        &json!({"type": 1, "id": last + 1, "time": 0, "user": {"name": "Ada"},
        "text": "deleted 3 lines of @Bob", "event": "delete", "who": "Bob", "of": [1, last - 2, last - 1, 999]}),
    );
    wait_event(&grace, "Ada deleted 3 lines of @Bob");
    let expected =
        json!([["@Bob", "removed", false, 0], ["@Bob", "removed", false, 0], ["@Bob", "stays", false, 1]]);
    assert_eq!(grace.page.eval(shown), expected);
    assert_eq!(grace.page.eval("document.activeElement.id"), "log", "the focus is not lost");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn lines_are_deleted_and_reported_from_their_menus() {
    let (server, chromium) = open(&MODERATED);
    let ada = Person::enter(&chromium, &server, "Ada");
    let grace = Person::enter(&chromium, &server, "Grace");
    let mut troll = Bot::enter(&server, "Bad Troll");
    troll.say(["one", "two", "three"].map(str::to_owned));
    grace.wait_line("three");
    grace.page.click("#log .line:last-child > .menu");
    grace.page.fill("#why", "boots");
    grace.page.click("#menu [value=report]");
    grace.page.wait_text("#log", "Your report is with the moderators.");
    ada.page.wait_text("#log", "@Grace reports line #");
    ada.page.click("#people-list .menu[value='Bad Troll']");
    ada.page.click("#menu [value=delete]");
    for person in [&ada, &grace] {
        wait_event(person, "Ada deleted 3 lines of @Bad Troll");
        person.page.wait("!/^(one|two|three)$/m.test(document.querySelector('#log').innerText)");
    }
    grace.say("mine, alas");
    ada.wait_line("mine, alas");
    grace.page.click("#log .line:last-child > .menu");
    grace.page.click("#menu [value=delete]");
    for person in [&ada, &grace] {
        wait_event(person, "Grace took back a line");
        person.page.wait("!document.querySelector('#log').innerText.includes('alas')");
    }
    // Whoever comes later finds their places alone.
    let bob = Person::enter(&chromium, &server, "Bob");
    wait_event(&bob, "Grace took back a line");
    assert!(!bob.page.text("#log").contains("alas"));
    grace.page.wait("document.querySelectorAll('.pending').length === 0");
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn removed_lines_are_not_unread_and_their_notification_goes() {
    let (server, chromium) = open(&MODERATED);
    let page = chromium.page();
    page.run_before_load(WATCH);
    page.run_before_load(
        "window.shown = []; window.Notification = class {
            constructor(title, { body, data }) { Object.assign(this, { body, data }); shown.push(this); }
            close() { shown.splice(shown.indexOf(this), 1); }
            static requestPermission = async () => 'granted';
        }; document.hasFocus = () => false;",
    );
    let grace = Person::arrive_on(page, &server.url());
    grace.come_in(&server, "Grace");
    grace.page.click("#options-button");
    grace.page.click("#notify");
    grace.page.wait_text("#notify", "on");
    grace.page.press(Key::Escape);
    let mut bob = Bot::enter(&server, "Bob");
    bob.say((0..60).map(|number| format!("line {number}")));
    grace.wait_line("line 59");
    grace.page.eval("document.querySelector('#log').scrollTop = 300");
    grace.page.wait("document.querySelector('#log').scrollTop === 300");
    grace.page.draw();
    bob.say(["hello @Grace, buy boots".to_owned(), "boots!".to_owned(), "sorry".to_owned()]);
    grace.page.wait_text("#newer", "3 new");
    grace.page.wait("document.title.startsWith('(3)') && shown.length === 1");
    let last = last_id(&grace.page);
    let delete = |id: u64, of: &[u64]| {
        hear(
            &grace.page,
            &json!({"type": 1, "id": id, "time": 0, "user": {"name": "Ada"},
            "text": format!("deletion {id}"), "event": "delete", "who": "Bob", "of": of}),
        );
        wait_event(&grace, &format!("Ada deletion {id}"));
    };
    delete(last + 1, &[last]);
    assert_eq!(grace.page.eval("shown.length"), 1, "another line was removed");
    grace.page.wait("document.title.startsWith('(2)')");
    delete(last + 2, &[last - 2, last - 1]);
    grace.page.wait("!document.title.startsWith('(') && shown.length === 0");
    assert!(!grace.page.is_visible("#newer"));
    // What the reader looks at does not move, even if a long line above it is removed.
    assert_eq!(grace.page.eval("document.querySelector('#log').scrollTop"), 300);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn removed_lines_in_history_are_one_mark_and_what_follows_is_not_missed() {
    let (server, chromium) = open(&MODERATED);
    let grace = watched(&chromium, &server, "Grace");
    grace.say("before");
    let last = last_id(&grace.page);
    for id in last + 1..=last + 1_500 {
        hear(&grace.page, &json!({"type": 10, "id": id}));
    }
    hear(&grace.page, &json!({"type": 10, "id": last}));
    let line = |id: u64, text: &str| {
        hear(&grace.page, &json!({"type": 1, "id": id, "time": 0, "user": {"name": "Bob"}, "text": text}));
    };
    line(last + 1_500, "known already");
    line(last + 1_501, "after");
    grace.wait_line("after");
    grace.page.draw();
    assert_eq!(grace.lines(), ["Grace: before", "Bob: after"]);
    let marks = "[...document.querySelectorAll('#log .rule')].filter(({ textContent }) => textContent === 'removed').length";
    assert_eq!(grace.page.eval(marks), 1);
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn on_a_phone_all_of_it_fits_and_can_be_touched() {
    let (server, chromium) = open(&[("PLUME_TOPIC", &"W".repeat(200)), MODERATED[0], MODERATED[1]]);
    let ada = Person::enter(&chromium, &server, "Ada");
    let mut wide = Bot::enter(&server, &"W".repeat(120));
    wide.say(["a".to_owned(), "b".to_owned(), "x".repeat(300)]);
    ada.wait_line("b");
    let small = "[...document.querySelectorAll('button')].filter((node) => node.checkVisibility())
        .map((node) => [node.className, node.getBoundingClientRect()])
        .filter(([, { width, height, left, right }]) => width < 24 || height < 24 || left < 0 || right > innerWidth)
        .map(([name, { width, height, right }]) => [name, width, height, right])";
    for width in [360, 320] {
        ada.page.phone(width, 640);
        ada.page.draw();
        assert_eq!(ada.page.eval(small), json!([]));
        ada.page.click("#log .line:last-child > .menu");
        ada.page.wait_visible("#menu");
        assert_eq!(ada.page.eval(small), json!([]));
        let fits = "{ const { left, right, top, bottom } = document.querySelector('#menu').getBoundingClientRect();
            left >= 0 && right <= innerWidth && top >= 0 && bottom <= innerHeight
                && document.querySelector('#menu').scrollWidth <= document.querySelector('#menu').clientWidth }";
        assert_eq!(ada.page.eval(fits), true);
        ada.page.press(Key::Escape);
        ada.page.fill("#text", "/");
        ada.page.wait("document.querySelectorAll('#hints button').length > 10");
        assert_eq!(ada.page.eval(small), json!([]));
        assert_eq!(ada.page.eval("document.scrollingElement.scrollHeight <= innerHeight"), true);
        ada.page.fill("#text", "");
        ada.page.click("#people-button");
        ada.page.click("#people-list .menu");
        ada.page.wait_visible("#menu");
        ada.page.press(Key::Escape);
        ada.page.click("#topic");
    }
}

/// Somebody whose texts are written down as they are sent, and whose page can be sent messages.
fn watched<'a>(chromium: &'a Chromium, server: &Plume, name: &str) -> Person<Tab<'a>> {
    let page = chromium.page();
    page.run_before_load(WATCH);
    let person = Person::arrive_on(page, &server.url());
    person.come_in(server, name);
    person
}

/// The texts that a watched page has sent, but not the field's question for commands.
fn sent(page: &Page<Tab<'_>>) -> Vec<String> {
    serde_json::from_value(page.eval("sentTexts.filter((text) => text !== '/help')")).expect("texts")
}

/// The id of the newest line.
fn last_id(page: &Page<Tab<'_>>) -> u64 {
    let id = page.eval("document.querySelector('#log .line:last-child > .menu').value");
    id.as_str().and_then(|id| id.parse().ok()).expect("an id")
}

/// Gives the page a message as if the server had sent it.
fn hear(page: &Page<Tab<'_>>, message: &Value) {
    page.eval(&format!("socket.onmessage({{ data: {} }})", Value::from(message.to_string())));
}

/// What the open menu offers.
#[track_caller]
fn items(page: &Page<Tab<'_>>) -> Vec<String> {
    page.wait_visible("#menu");
    let items = "[...document.querySelectorAll('#menu button')].filter((node) => node.checkVisibility())
        .map(({ innerText }) => innerText)";
    serde_json::from_value(page.eval(items)).expect("texts")
}

#[track_caller]
fn wait_event(person: &Person<Tab<'_>>, event: &str) {
    let texts = "[...document.querySelectorAll('#log .event')].map((line) => [...line.childNodes]
        .filter(({ nodeName }) => nodeName !== 'TIME').map(({ textContent }) => textContent).join('').trim())";
    person.page.wait(&format!("{texts}.includes({})", json!(format!("@{event}"))));
}

const WATCH: &str = "window.sentTexts = []; window.WebSocket = class extends WebSocket {
    constructor(...parameters) { super(...parameters); window.socket = this; }
    send(data) { const { type, text } = JSON.parse(data); if (type === 1) sentTexts.push(text); super.send(data); }
};";
