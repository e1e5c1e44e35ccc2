//! Lines that are taken back: by whom, how many, and what anybody receives in their place.

use crate::support::{Client, Plume, read_as_bot, say_as_bot, with_bot};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

const MODERATED: [(&str, &str); 2] =
    [("PLUME_MODERATORS", "ada@example.org, zoe@example.org"), ("PLUME_RATE", "100000")];

/// Sends a line with a `ref` of its own, and gives what comes up to the answer, which carries it.
fn ask(client: &mut Client, text: &str) -> Vec<Value> {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let reference = format!("r{}", ASKED.fetch_add(1, Ordering::Relaxed));
    client.send(&json!({"type": 1, "text": text, "ref": reference}));
    let mut messages = Vec::new();
    while messages.last().is_none_or(|message: &Value| message["ref"] != reference) {
        messages.push(client.message());
    }
    messages
}

/// Says a line. Gives its id.
fn say(client: &mut Client, text: &str) -> u64 {
    let messages = ask(client, text);
    let line = messages.last().expect("an answer");
    assert_eq!(line["text"], text, "{line}");
    line["id"].as_u64().expect("a line has an id")
}

/// Sends a command that must delete these lines of `who`, and tell the room in these words.
fn deleted(client: &mut Client, command: &str, who: &str, ids: &[u64], text: &str) {
    let messages = ask(client, command);
    let line = messages.last().expect("an answer");
    assert_eq!((&line["type"], &line["event"]), (&json!(1), &json!("delete")), "{command}: {line}");
    assert_eq!((&line["who"], &line["of"]), (&json!(who), &json!(ids)), "{command}: {line}");
    assert_eq!(line["text"], text, "{command}: {line}");
    assert!(line["id"].is_u64() && line["time"].is_u64() && line["reason"].is_null(), "{line}");
}

/// Sends a command that must be refused privately for this reason.
fn refused(client: &mut Client, command: &str, reason: &str) {
    let messages = ask(client, command);
    let answer = messages.last().expect("an answer");
    assert_eq!(answer["reason"], reason, "{command:.60}: {answer}");
    assert!(answer["id"].is_null() && answer["event"].is_null() && answer["text"] != "", "{answer}");
    assert_eq!(answer["user"]["name"], "plumebot", "{answer}");
}

/// The texts of lines that a newcomer is shown, without events and greeting.
fn history(server: &Plume, name: &str) -> Vec<String> {
    let newcomer = Client::login(server, name);
    let lines = newcomer.welcome.iter().filter(|line| line["event"].is_null() && line["id"].is_u64());
    lines.filter_map(|line| line["text"].as_str().map(str::to_owned)).collect()
}

#[test]
fn nobody_gets_the_words_of_a_deleted_line_any_more() {
    let server = Plume::start(&[]);
    let [mut bob, mut eve, away] = Client::login_all(&server, ["Bob", "Eve", "Joe"]);
    let before = say(&mut bob, "before");
    let id = say(&mut bob, "my secret: \"\u{1f511}\"");
    deleted(&mut bob, "/delete", "Bob", &[id], "took back a line");
    let act = loop {
        let line = eve.message();
        if line["event"] == "delete" {
            break line;
        }
    };
    assert_eq!((&act["user"]["name"], &act["of"], &act["id"]), (&json!("Bob"), &json!([id]), &json!(id + 1)));
    let newcomer = Client::login(&server, "New");
    let resumed = Client::resume_of(&server, &away, Some(before));
    let back = Client::resume_of(&server, &away, None);
    for (client, first) in [(&newcomer, before), (&resumed, id), (&back, before)] {
        assert!(!json!(client.welcome).to_string().contains("secret"), "{:?}", client.welcome);
        let at = client.welcome.iter().position(|message| message["type"] == 10).expect("its place is kept");
        assert_eq!(client.welcome[at], json!({"type": 10, "id": id}), "the id alone");
        assert_eq!(client.welcome[at + 1]["of"], json!([id]));
        assert!(client.welcome.iter().any(|line| line["id"] == first), "{:?}", client.welcome);
        let ids: Vec<u64> = client.welcome.iter().filter_map(|message| message["id"].as_u64()).collect();
        assert!(ids.is_sorted_by(|one, next| one + 1 == *next), "every id in its place: {ids:?}");
    }
}

#[test]
fn a_member_takes_back_the_newest_of_their_own_lines() {
    let server = Plume::start(&MODERATED);
    let [mut bob, mut eve] = Client::login_all(&server, ["Bob", "Eve"]);
    refused(&mut bob, "/delete", "no-such-line");
    let ids: Vec<u64> = (0..6).map(|n| say(&mut bob, &n.to_string())).collect();
    say(&mut eve, "of another");
    refused(&mut eve, &format!("/delete #{}", ids[0]), "not-moderator");
    deleted(&mut bob, "/delete", "Bob", &ids[5..], "took back a line");
    deleted(&mut bob, " /delete 1 ", "Bob", &ids[4..5], "took back a line");
    deleted(&mut bob, "/delete 2", "Bob", &ids[2..4], "took back 2 lines");
    deleted(&mut bob, "/delete 200", "Bob", &ids[..2], "took back 2 lines");
    refused(&mut bob, "/delete 200", "no-such-line");
    assert_eq!(history(&server, "New"), ["of another"]);
}

#[test]
fn a_line_is_deleted_by_its_id_by_its_author_and_by_moderators() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let own = say(&mut bob, "one");
    let other = say(&mut ada, "two");
    let third = say(&mut bob, "three");
    refused(&mut bob, &format!("/delete #{other}"), "not-moderator");
    deleted(&mut bob, &format!("/delete #{own}"), "Bob", &[own], "took back a line");
    deleted(&mut ada, &format!("/delete #{third}"), "Bob", &[third], "deleted a line of @Bob");
    deleted(&mut ada, &format!("/delete #{other}"), "Ada", &[other], "took back a line");
    // What is gone, an act, who entered, and what was never said.
    let act = other + 2;
    for id in [own, act, act + 1, 1, 2, 0, 1_000, u64::MAX] {
        refused(&mut bob, &format!("/delete #{id}"), "no-such-line");
        refused(&mut ada, &format!("/delete #{id}"), "no-such-line");
    }
    refused(&mut ada, "/delete #99999999999999999999999", "no-such-line");
    assert!(history(&server, "New").is_empty());
}

#[test]
fn a_moderator_deletes_the_lines_of_anybody() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut zoe, mut bob, mut eve] =
        Client::login_all(&server, ["Ada", "Zoe", "Bob 2 Smith", "Bob"]);
    refused(&mut ada, "/delete Bob", "no-such-line");
    let of_bob: Vec<u64> = (0..5).map(|n| say(&mut bob, &n.to_string())).collect();
    let of_eve = say(&mut eve, "five");
    let of_zoe = say(&mut zoe, "six");
    ask(&mut ada, "/mute zoe");
    deleted(&mut ada, "/delete @bob", "Bob", &[of_eve], "deleted a line of @Bob");
    deleted(&mut ada, "/delete BOB 2 smith", "Bob 2 Smith", &of_bob[4..], "deleted a line of @Bob 2 Smith");
    deleted(
        &mut ada,
        "/delete bob 2  smith\n2",
        "Bob 2 Smith",
        &of_bob[2..4],
        "deleted 2 lines of @Bob 2 Smith",
    );
    bob.settle();
    bob.log_out();
    deleted(
        &mut ada,
        "/delete bob 2 smith all",
        "Bob 2 Smith",
        &of_bob[..2],
        "deleted 2 lines of @Bob 2 Smith",
    );
    refused(&mut ada, "/delete bob 2 smith all", "no-such-line");
    deleted(&mut ada, "/delete Zoe", "Zoe", &[of_zoe], "deleted a line of @Zoe");
    let own = say(&mut ada, "seven");
    deleted(&mut ada, "/delete ada all", "Ada", &[own], "took back a line");
    assert!(history(&server, "New").is_empty());
}

#[test]
fn a_delete_that_means_nothing_deletes_nothing() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    for client in [&mut ada, &mut bob] {
        let id = say(client, "stays");
        for arguments in ["0", "201", "-1", "+1", "1x", "1 2", "1.5", "all", "5 lines", "all now"] {
            refused(client, &format!("/delete {arguments}"), "bad-command");
        }
        for arguments in ["#", "#x", "# 7", "#-1", &format!("#{id} #{id}"), &format!("#{id} please")] {
            refused(client, &format!("/delete {arguments}"), "bad-command");
        }
    }
    for arguments in ["Bob 0", "Bob 201", "Bob -1", "Bob 1x", "Bob all now", "Bob 1 2", "Bob #1", "Bob spam"]
    {
        refused(&mut ada, &format!("/delete {arguments}"), "bad-command");
    }
    for arguments in ["Nobody", "Nobody all", "plumebot", "@7", &"x ".repeat(30_000)] {
        refused(&mut ada, &format!("/delete {arguments}"), "no-such-name");
    }
    for arguments in ["Ada", "Ada all", "Ada 5", "Bob", "Bob 1", "Nobody", &"x ".repeat(30_000)] {
        refused(&mut bob, &format!("/delete {arguments}"), "not-moderator");
    }
    assert_eq!(history(&server, "New"), ["stays", "stays"]);
}

#[test]
fn a_deleted_flood_leaves_a_newcomer_the_lines_from_before_it() {
    let server = Plume::start(&[("PLUME_HISTORY", "10"), MODERATED[0], MODERATED[1]]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    for n in 0..20 {
        say(&mut ada, &format!("before {n}"));
    }
    let ids: Vec<u64> = (0..450).map(|n| say(&mut bob, &format!("flood {n}"))).collect();
    let messages = ask(&mut ada, "/delete Bob all");
    let acts: Vec<&Value> = messages.iter().filter(|message| message["event"] == "delete").collect();
    let of: Vec<u64> =
        acts.iter().flat_map(|act| act["of"].as_array().expect("ids")).filter_map(Value::as_u64).collect();
    assert_eq!(of, ids);
    let texts: Vec<&str> = acts.iter().filter_map(|act| act["text"].as_str()).collect();
    assert_eq!(texts, ["deleted 200 lines of @Bob", "deleted 200 lines of @Bob", "deleted 50 lines of @Bob"]);
    assert_eq!(acts.iter().filter(|act| act["ref"].is_string()).count(), 1, "the last answers");
    let newcomer = Client::login(&server, "New");
    let ids: Vec<u64> = newcomer.welcome.iter().filter_map(|message| message["id"].as_u64()).collect();
    assert!(ids.is_sorted_by(|one, next| one + 1 == *next), "every id in its place: {ids:?}");
    let is_gone = |message: &&Value| message["type"] == 10;
    assert_eq!(newcomer.welcome.iter().filter(is_gone).count(), 450);
    let lines = newcomer.welcome.iter().filter(|message| message["type"] == 1 && message["id"].is_u64());
    assert_eq!(lines.count(), 10 + 1, "ten lines, and its own entering");
    assert!(newcomer.welcome.iter().any(|line| line["text"] == "before 13"), "seven of them and three acts");
}

#[test]
fn a_deleted_line_does_not_come_back_with_its_ref() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let mut tab = Client::resume_of(&server, &bob, None);
    let line = json!({"type": 1, "text": "secret", "ref": "once"});
    bob.send(&line);
    let id = bob.expect_line("Bob", "secret")["id"].as_u64().expect("an id");
    deleted(&mut ada, "/delete Bob", "Bob", &[id], "deleted a line of @Bob");
    for client in [&mut bob, &mut tab] {
        client.settle();
        client.send(&line);
        let answer = client.expect(1);
        assert_eq!((&answer["text"], &answer["ref"]), (&json!("That line was deleted."), &json!("once")));
        assert!(answer["id"].is_null() && answer["reason"].is_null(), "{answer}");
        client.expect_nothing();
    }
    // The same ref is another's, and another ref another line.
    ada.settle();
    ada.send(&line);
    ada.expect_line("Ada", "secret");
    bob.settle();
    bob.send(&json!({"type": 1, "text": "secret", "ref": "twice"}));
    bob.expect_line("Bob", "secret");
}

#[test]
fn a_delete_that_is_sent_again_with_its_ref_is_not_done_again() {
    let server = Plume::start(&MODERATED);
    let mut bob = Client::login(&server, "Bob");
    say(&mut bob, "stays");
    let id = say(&mut bob, "goes");
    for _ in 0..2 {
        bob.send(&json!({"type": 1, "text": "/delete", "ref": "once"}));
    }
    let act = bob.message();
    assert_eq!((&act["event"], &act["of"]), (&json!("delete"), &json!([id])), "{act}");
    bob.expect_nothing();
    assert_eq!(history(&server, "New"), ["stays"]);
}

#[test]
fn who_is_muted_can_take_back_lines_and_slow_mode_does_not_count_it() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    ask(&mut ada, "/slow 1h");
    let id = say(&mut bob, "one");
    ask(&mut ada, "/mute Bob");
    deleted(&mut bob, "/delete", "Bob", &[id], "took back a line");
    refused(&mut bob, "two", "muted");
}

/// A bot is no user, but its lines are lines like those of anybody.
#[test]
fn moderators_delete_the_lines_of_a_bot_and_its_ref_brings_none_back() {
    let (server, token) = with_bot("ci-bot", &MODERATED[..1]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let ids: Vec<u64> =
        (0..5).map(|n| say_as_bot(&server, &token, &format!("build {n}"), Some(&format!("b{n}")))).collect();
    say(&mut bob, "of another");
    refused(&mut bob, &format!("/delete #{}", ids[4]), "not-moderator");
    refused(&mut bob, "/delete ci-bot", "not-moderator");
    deleted(&mut ada, "/delete @Ci Bot", "ci-bot", &ids[4..], "deleted a line of @ci-bot");
    deleted(&mut ada, &format!("/delete #{}", ids[0]), "ci-bot", &ids[..1], "deleted a line of @ci-bot");
    assert_eq!(say_as_bot(&server, &token, "build 4", Some("b4")), ids[4], "said and deleted");
    assert_eq!(say_as_bot(&server, &token, "build 3", Some("b3")), ids[3], "said");
    deleted(&mut ada, "/delete ci-bot all", "ci-bot", &ids[1..4], "deleted 3 lines of @ci-bot");
    refused(&mut ada, "/delete ci-bot", "no-such-line");
    assert_eq!(history(&server, "New"), ["of another"]);
}

/// Who reads over HTTP gets no place of a deleted line, but the line that says so.
#[test]
fn a_bot_reads_that_lines_were_deleted_and_not_their_places() {
    let (server, token) = with_bot("log", &MODERATED[..1]);
    let mut bob = Client::login(&server, "Bob");
    say(&mut bob, "one");
    let ids: Vec<u64> = ["a secret", "another secret"].map(|text| say(&mut bob, text)).into();
    deleted(&mut bob, "/delete 2", "Bob", &ids, "took back 2 lines");
    say(&mut bob, "two");
    for (query, first) in
        [("?limit=4", "entered chat"), ("?limit=3", "one"), ("?after=0&limit=3", "entered chat")]
    {
        let read = read_as_bot(&server, &token, query, "*/*");
        let lines: Vec<Value> =
            read.lines().map(|line| serde_json::from_str(line).expect("an object in each line")).collect();
        assert!(lines.iter().all(|line| line["type"] == 1), "{query}: {read}");
        assert!(!read.contains("secret") && lines[0]["text"] == first, "{query}: {read}");
        let act = lines.iter().find(|line| line["event"] == "delete").expect("who deleted them");
        assert_eq!((&act["of"], &act["user"]["name"]), (&json!(ids), &json!("Bob")), "{query}");
    }
    let text = read_as_bot(&server, &token, "", "text/plain");
    let ends: Vec<&str> = text.lines().map(|line| line.split_once(' ').expect("a time").1).collect();
    assert_eq!(ends, ["Bob entered chat", "Bob: one", "Bob took back 2 lines", "Bob: two"], "{text}");
}
