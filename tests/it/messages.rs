//! The fields of every message that the server sends.

use crate::support::{Client, Http, Plume, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// The fields of a message, sorted.
fn fields(message: &Value) -> Vec<&str> {
    let set: BTreeSet<&str> =
        message.as_object().expect("a message is an object").keys().map(String::as_str).collect();
    set.into_iter().collect()
}

#[test]
fn a_hello_comes_back_with_the_name_and_a_flow_token() {
    let server = Plume::start(&[]);
    let mut client = Client::with_hello(&server, "  Ada   King ", "ada@example.org");
    let hello = client.expect(0);
    assert_eq!(fields(&hello), ["text", "type", "user"]);
    assert_eq!(hello["user"], json!({"name": "Ada King"}));
    // 128 bits need at least 22 characters of base64.
    assert!(hello["text"].as_str().unwrap().len() >= 22, "{hello}");
    let other = client.ask_code("Ada King", "ada@example.org");
    assert_ne!(hello["text"], other, "each flow has its own token");
}

#[test]
fn a_code_is_six_characters_that_nobody_mistakes() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut client = Client::open(&server);
    let mut codes = BTreeSet::new();
    for n in 0..50 {
        // Each address has a code of its own.
        client.ask_code("Ada", &format!("p{n}@example.org"));
        let code = server.code_for("Ada");
        assert_eq!(code.len(), 6, "{code}");
        assert!(code.chars().all(|c| "0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(c)), "{code}");
        codes.insert(code);
    }
    assert_eq!(codes.len(), 50, "codes repeat");
}

#[test]
fn who_is_in_is_told_all_about_it() {
    let server = Plume::start(&[]);
    let ada = Client::login(&server, "Ada");
    let ack = &ada.ack;
    assert_eq!(fields(ack), ["count", "last", "names", "run", "text", "type", "user", "version"]);
    assert_eq!(ack["user"], json!({"name": "Ada"}));
    assert_eq!((&ack["count"], &ack["names"]), (&json!(1), &json!(["Ada"])));
    assert_eq!(ack["version"], env!("CARGO_PKG_VERSION"));
    assert!(ada.token().len() >= 22 && !ada.run().is_empty(), "{ack}");
    let own_enter = ada.welcome.last().unwrap();
    assert_eq!(own_enter["event"], "enter");
    assert!(own_enter["id"].as_u64().unwrap() <= ada.last(), "last includes you: {own_enter}, {ack}");

    let [bob, cyd] = Client::login_all(&server, ["Bob", "Cyd"]);
    assert_eq!((&bob.ack["count"], &bob.ack["names"]), (&json!(2), &json!(["Ada", "Bob"])));
    assert_eq!((&cyd.ack["count"], &cyd.ack["names"]), (&json!(3), &json!(["Ada", "Bob", "Cyd"])));
    assert_eq!(cyd.run(), ada.run());
    assert_ne!(cyd.token(), ada.token());
    assert!(cyd.last() > bob.last() && bob.last() > ada.last());

    let other = Plume::start(&[]);
    assert_ne!(Client::login(&other, "Ada").run(), ada.run(), "each start is another run");
}

#[test]
fn a_crowd_is_counted_and_the_first_two_hundred_are_named() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let mut crowd: Vec<Client> = (0..202).map(|n| Client::login(&server, &format!("P{n}"))).collect();
    let last = crowd.pop().unwrap();
    let names: Vec<String> = (0..200).map(|n| format!("P{n}")).collect();
    assert_eq!((&last.ack["count"], &last.ack["names"]), (&json!(202), &json!(names)));
    crowd[0].leave();
    // The rest goes without a word: all but a hundred after the first.
    let rest = crowd.split_off(101);
    drop(rest);
    let witness = wait_for("crowd of 101", || {
        let witness = Client::resume_of(&server, &last, None);
        (witness.ack["count"] == 101).then_some(witness)
    });
    let mut names: Vec<String> = (1..=100).map(|n| format!("P{n}")).collect();
    names.push("P201".to_owned());
    assert_eq!(witness.ack["names"], json!(names));
}

#[test]
fn a_line_has_a_rising_id_and_the_time() {
    let server = Plume::start(&[]);
    let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let mut ada = Client::login(&server, "Ada");
    let mut before = (ada.last(), now() - 1_000);
    for text in ["one", "two", "three"] {
        let line = ada.talk(text);
        assert_eq!(fields(&line), ["id", "text", "time", "type", "user"]);
        assert_eq!(line["user"], json!({"name": "Ada"}));
        let (id, time) = (line["id"].as_u64().unwrap(), line["time"].as_u64().unwrap());
        assert!(id > before.0 && time >= before.1, "{line} after {before:?}");
        assert!(time <= now() + 1_000, "{line}");
        before = (id, time);
    }
}

#[test]
fn entering_and_leaving_are_lines_with_an_event() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let (mut ada, mut bob) = (Client::login(&server, "Ada"), Client::login(&server, "Bob"));
    let enter = ada.expect_enters("Bob");
    bob.leave();
    let leave = ada.expect_leaves("Bob");
    for line in [&enter, &leave] {
        assert_eq!(fields(line), ["event", "id", "text", "time", "type", "user"], "{line}");
        assert_eq!(line["user"], json!({"name": "Bob"}));
    }
    assert!(leave["id"].as_u64() > enter["id"].as_u64());
}

#[test]
fn the_greeting_is_for_the_newcomer_alone() {
    let server = Plume::start(&[("PLUME_NAME", "The <Quiet> \"Room\"")]);
    let mut ada = Client::login(&server, "Ada");
    assert_eq!(ada.welcome.len(), 3, "{:#?}", ada.welcome);
    for line in &ada.welcome[..2] {
        assert_eq!(line["type"], 1, "{line}");
        assert_eq!(line["user"]["name"], "plumebot", "{line}");
        assert_eq!(line.get("id"), None, "{line}");
        assert_eq!(line.get("event"), None, "{line}");
    }
    let welcome = ada.welcome[0]["text"].as_str().unwrap();
    assert!(welcome.contains("@Ada") && welcome.contains("The <Quiet> \"Room\""), "{welcome}");
    let kind = ada.welcome[1]["text"].as_str().unwrap().to_lowercase();
    assert!(kind.contains("kind") && kind.contains("mail"), "{kind}");
    assert_eq!((&ada.welcome[2]["user"]["name"], &ada.welcome[2]["event"]), (&json!("Ada"), &json!("enter")));

    let bob = Client::login(&server, "Bob");
    ada.expect_enters("Bob");
    ada.expect_nothing();
    let greeting = bob.welcome.iter().filter(|line| line["user"]["name"] == "plumebot").count();
    assert_eq!(greeting, 2, "others' greetings are no history: {:#?}", bob.welcome);
    let page = Http::get(&server, "/").text();
    assert!(
        page.contains("The &lt;Quiet&gt;") && !page.contains("<Quiet>"),
        "the name stands escaped in the page"
    );
}

#[test]
fn rejections_say_what_is_left() {
    let server = Plume::start(&[]);
    let mut client = Client::open(&server);
    client.auth("000000");
    let rejected = client.expect(4);
    assert_eq!(rejected["left"], 0, "no code was asked for: {rejected}");
    let mut other = Client::open(&server);
    other.hello("plumebot");
    let refused = other.expect(5);
    assert_eq!(refused["type"], 5, "{refused}");
}

#[test]
fn the_page_knows_the_same_numbers_and_words() {
    let server = Plume::start(&[]);
    let script = Http::get(&server, "/static/protocol.js").text();
    let types =
        ["HELLO", "TEXT", "AUTH", "AUTH_ACK", "AUTH_RST", "MAY_NOT_ENTER", "NOTICE", "RESUME", "LEAVE"];
    for (number, name) in types.iter().enumerate() {
        assert!(script.contains(&format!("  {name}: {number},\n")), "{name} is {number}:\n{script}");
    }
    let reasons = [
        "malformed",
        "bad-name",
        "bad-email",
        "mail-limited",
        "mail-failed",
        "too-many-tries",
        "too-long",
        "gap",
        "restarting",
    ];
    for reason in reasons {
        assert!(script.contains(&format!("'{reason}'")), "{reason}:\n{script}");
    }
}
