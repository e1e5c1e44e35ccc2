//! Coming back with a session token: what was missed, what is gone, and which tokens are none.

use crate::support::{Client, Plume};
use serde_json::{Value, json};

/// The ids of lines of the room.
fn ids(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["id"].as_u64().unwrap_or_else(|| panic!("no line: {line}"))).collect()
}

/// Says lines one after another, each when the one before is there, and gives the id of the last.
fn say_all(client: &mut Client, texts: &[&str]) -> u64 {
    let mut last = 0;
    for text in texts {
        client.say(text);
        last = client.expect(1)["id"].as_u64().expect("a line of the room has an id");
    }
    last
}

#[test]
fn what_was_missed_comes_once_and_in_order() {
    let server = Plume::start(&[("PLUME_HISTORY", "2")]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    say_all(&mut ada, &["one", "two"]);
    bob.expect_line("Ada", "one");
    let seen = bob.expect_line("Ada", "two")["id"].as_u64().unwrap();
    bob.close(1001);
    bob.expect_close(1001);
    let last = say_all(&mut ada, &["three", "four", "five", "six", "seven"]);
    let back = Client::resume_of(&server, &bob, Some(seen));
    assert_eq!(back.token(), bob.token(), "the token stays");
    assert_eq!((back.run(), back.ack["user"]["name"].as_str()), (bob.run(), Some("Bob")));
    assert_eq!(back.ack["names"], json!(["Ada", "Bob"]));
    assert!(back.last() <= last);
    let texts: Vec<_> = back.welcome.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["three", "four", "five", "six", "seven"], "more than the history, for it was missed");
    assert!(ids(&back.welcome).is_sorted(), "{:#?}", back.welcome);
    ada.expect_nothing();
}

#[test]
fn who_missed_nothing_gets_nothing() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    let last = say_all(&mut ada, &["one", "two"]);
    let back = Client::resume_of(&server, &ada, Some(last));
    assert_eq!(back.welcome, Vec::<Value>::new());
    let one_back = Client::resume_of(&server, &ada, Some(last - 1));
    assert_eq!(ids(&one_back.welcome), [last]);
}

#[test]
fn the_missed_entering_of_oneself_is_told_after_the_rest() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let [mut ada, bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let seen = say_all(&mut ada, &["one"]);
    drop(Client::resume_of(&server, &bob, None));
    let (token, run) = (bob.token(), bob.run());
    drop(bob);
    ada.expect_leaves("Bob");
    say_all(&mut ada, &["two"]);
    let mut back = Client::open(&server);
    back.resume(&token, Some(&run), Some(seen));
    back.enter();
    let texts: Vec<_> = back.welcome.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["left chat", "two", "entered chat"]);
}

#[test]
fn a_session_resumes_from_its_own_beginning_at_most() {
    for (history, shown) in [("0", 0), ("2", 2)] {
        let server = Plume::start(&[("PLUME_HISTORY", history)]);
        let mut ada = Client::login(&server, "Ada");
        say_all(&mut ada, &["secret", "secret", "shown", "shown"]);
        let mut bob = Client::login(&server, "Bob");
        let own = ada.expect_enters("Bob")["id"].as_u64().unwrap();
        let last = say_all(&mut ada, &["said to Bob"]);
        bob.expect_line("Ada", "said to Bob");
        for after in 0..own - shown - 1 {
            let back = Client::resume_of(&server, &bob, Some(after));
            let texts: Vec<_> =
                back.welcome.iter().filter(|line| line["type"] == 1).map(|line| &line["text"]).collect();
            assert!(!texts.contains(&&json!("secret")), "history {history}, after {after}: {texts:?}");
        }
        let back = Client::resume_of(&server, &bob, Some(0));
        assert_eq!(ids(&back.welcome), (own - shown..=last).collect::<Vec<_>>(), "history {history}");
        let back = Client::resume_of(&server, &bob, Some(own));
        assert_eq!(ids(&back.welcome), [last]);
    }
}

#[test]
fn a_line_said_again_with_its_ref_is_said_once() {
    let server = Plume::start(&[]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let say = |client: &mut Client, text: &str| client.send(&json!({"type": 1, "text": text, "ref": "r1"}));
    say(&mut ada, "hello");
    let first = bob.expect_line("Ada", "hello");
    ada.expect_line("Ada", "hello");
    // On the same connection, and on another one that has the line already.
    say(&mut ada, "hello");
    ada.expect_nothing();
    let mut tab = Client::resume_of(&server, &ada, Some(first["id"].as_u64().unwrap()));
    say(&mut tab, "hello");
    assert_eq!(tab.expect(1), first, "the line that stands is the answer");
    bob.expect_nothing();
    // The same ref of somebody else is another line.
    say(&mut bob, "hello too");
    ada.expect_line("Bob", "hello too");
    bob.expect_line("Bob", "hello too");
    // And no ref is none.
    for _ in 0..2 {
        ada.send(&json!({"type": 1, "text": "again", "ref": ""}));
        bob.expect_line("Ada", "again");
    }
}

#[test]
fn without_after_the_history_comes_without_the_greeting() {
    let server = Plume::start(&[("PLUME_HISTORY", "3")]);
    let mut ada = Client::login(&server, "Ada");
    say_all(&mut ada, &["one", "two", "three", "four"]);
    let back = Client::resume_of(&server, &ada, None);
    let texts: Vec<_> = back.welcome.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["two", "three", "four"]);
    ids(&back.welcome);
}

#[test]
fn another_run_is_a_gap_with_the_history() {
    let server = Plume::start(&[("PLUME_HISTORY", "2")]);
    let mut ada = Client::login(&server, "Ada");
    let last = say_all(&mut ada, &["one", "two", "three"]);
    for after in [1, last, last + 1_000_000] {
        let mut back = Client::open(&server);
        back.resume(&ada.token(), Some("another run"), Some(after));
        back.enter();
        let [notice, lines @ ..] = back.welcome.as_slice() else { panic!("nothing for {after}") };
        assert_eq!((&notice["type"], &notice["reason"]), (&json!(6), &json!("gap")), "{after}: {notice}");
        assert_eq!(notice.get("id"), None, "{notice}");
        assert_eq!(ids(lines), [last - 1, last], "{after}");
    }
}

#[test]
fn lines_that_are_gone_are_a_gap_with_the_history() {
    let server =
        Plume::start(&[("PLUME_BACKLOG", "2000000"), ("PLUME_RATE", "1000"), ("PLUME_HISTORY", "3")]);
    let mut ada = Client::login(&server, "Ada");
    let first = say_all(&mut ada, &["first"]);
    let long = "x".repeat(60_000);
    let last = say_all(&mut ada, &[long.as_str(); 40]);
    let mut back = Client::open(&server);
    back.resume(&ada.token(), Some(&ada.run()), Some(first));
    back.enter();
    let [notice, lines @ ..] = back.welcome.as_slice() else { panic!("nothing") };
    assert_eq!((&notice["type"], &notice["reason"]), (&json!(6), &json!("gap")));
    assert_eq!(ids(lines), [last - 2, last - 1, last]);
    // What is still there comes whole.
    let recent = Client::resume_of(&server, &ada, Some(last - 10));
    assert_eq!(ids(&recent.welcome), (last - 9..=last).collect::<Vec<_>>());
    assert!(recent.welcome.iter().all(|line| line["text"] == *long));
}

#[test]
fn a_history_longer_than_the_backlog_is_what_the_backlog_holds() {
    let server =
        Plume::start(&[("PLUME_BACKLOG", "2000000"), ("PLUME_RATE", "1000"), ("PLUME_HISTORY", "1000")]);
    let mut ada = Client::login(&server, "Ada");
    let last = say_all(&mut ada, &["x".repeat(60_000).as_str(); 45]);
    let back = Client::resume_of(&server, &ada, None);
    let ids = ids(&back.welcome);
    assert!((20..=33).contains(&ids.len()), "{} lines", ids.len());
    assert_eq!(ids, (last + 1 - ids.len() as u64..=last).collect::<Vec<_>>());
}

#[test]
fn a_token_is_good_on_many_connections() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    let mut tabs: Vec<Client> = (0..20).map(|_| Client::resume_of(&server, &ada, None)).collect();
    for tab in &tabs {
        assert_eq!((tab.token(), &tab.ack["count"]), (ada.token(), &json!(1)));
    }
    let line = ada.talk("to all");
    for tab in &mut tabs {
        assert_eq!(tab.expect(1), line);
    }
    tabs[7].say("from one");
    let line = ada.expect_line("Ada", "from one");
    assert!(tabs.iter_mut().all(|tab| tab.expect(1) == line));
}

#[test]
fn a_wrong_token_is_rejected() {
    let server = Plume::start(&[]);
    let ada = Client::login(&server, "Ada");
    let bob = Client::asking(&server, "Bob");
    let token = ada.token();
    let mut altered: Vec<char> = token.chars().collect();
    let last = altered.len() - 1;
    altered[last - 3] = if altered[last - 3] == 'A' { 'B' } else { 'A' };
    let altered: String = altered.into_iter().collect();
    let other = Plume::start(&[]);
    let foreign = Client::login(&other, "Ada").token();
    let rows = [
        "",
        " ",
        "x",
        &altered,
        &token[..token.len() - 1],
        &token[1..],
        &format!("{token}A"),
        &format!("{token}="),
        &token.repeat(2),
        &token.to_lowercase(),
        &foreign,
        &bob.flow,
        &"A".repeat(4_000),
        &"0".repeat(token.len()),
        "ключ 🔑",
        "\u{0}",
    ];
    for row in rows {
        let answer = Client::with_token(&server, row).message();
        assert_eq!(answer["type"], 4, "{row:?}: {answer}");
    }
    Client::with_token(&server, &token).expect(3);
}

#[test]
fn fields_of_resume_that_make_no_sense_harm_nobody() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    let last = say_all(&mut ada, &["one"]);
    for (run, after) in [
        (json!(ada.run()), json!(u64::MAX)),
        (json!(ada.run()), json!(last + 1)),
        (json!("x".repeat(2_000)), json!(0)),
        (json!(""), json!(last)),
    ] {
        let mut client = Client::open(&server);
        client.send(&json!({"type": 7, "text": ada.token(), "run": run, "after": after}));
        client.enter();
        let line = ada.talk("on");
        assert_eq!(client.expect(1), line, "{run} {after}");
    }
}

#[test]
fn who_comes_back_may_use_the_connection_that_a_wrong_token_was_on() {
    let server = Plume::start(&[]);
    let ada = Client::login(&server, "Ada");
    let mut client = Client::with_token(&server, "wrong");
    client.expect(4);
    client.resume(&ada.token(), None, None);
    client.expect(3);
}
