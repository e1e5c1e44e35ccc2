//! Moderation: commands, what they do to others, and the door.

use crate::support::{Client, Plume, with_bot};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

pub(crate) const MODERATED: [(&str, &str); 2] =
    [("PLUME_MODERATORS", "Ada@example.org"), ("PLUME_RATE", "1000")];

/// Sends a line with a `ref`, and gives the answer, which carries it. What comes before the answer is left
/// out.
pub(crate) fn ask(client: &mut Client, text: &str) -> Value {
    client.send(&json!({"type": 1, "text": text, "ref": text.get(..30).unwrap_or(text)}));
    loop {
        let message = client.message();
        if message["ref"] == text.get(..30).unwrap_or(text) {
            return message;
        }
    }
}

/// Sends a line that must be refused for this reason: privately, with a sentence.
pub(crate) fn refused(client: &mut Client, text: &str, reason: &str) -> Value {
    let answer = ask(client, text);
    assert_eq!((&answer["reason"], &answer["type"]), (&json!(reason), &json!(1)), "{text:.60}: {answer}");
    assert_eq!(answer["user"]["name"], "plumebot", "{answer}");
    assert!(answer["id"].is_null() && answer["event"].is_null() && answer["text"] != "", "{answer}");
    answer
}

/// Sends a command that must be answered privately with this text in it.
pub(crate) fn told(client: &mut Client, text: &str, part: &str) {
    let answer = ask(client, text);
    let sentence = answer["text"].as_str().unwrap_or_default();
    assert!(sentence.contains(part) && answer["reason"].is_null() && answer["id"].is_null(), "{answer}");
}

/// Sends a command that must be an act for all to see, with these fields.
pub(crate) fn acted(client: &mut Client, text: &str, fields: &Value) -> Value {
    let line = ask(client, text);
    assert!(line["id"].is_u64() && line["reason"].is_null(), "{text}: {line}");
    for (name, value) in fields.as_object().expect("fields") {
        assert_eq!(&line[name], value, "{name} of {text}: {line}");
    }
    line
}

/// The next message that is this event.
fn wait_event(client: &mut Client, event: &str) -> Value {
    loop {
        let message = client.message();
        if message["event"] == event {
            return message;
        }
    }
}

/// Asks for a code at a closed door.
pub(crate) fn turned_away(server: &Plume, name: &str, email: &str) {
    let refusal = Client::with_hello(server, name, email).expect(5);
    assert_eq!(refusal["reason"], "not-admitted", "{email}: {refusal}");
    assert_eq!(refusal["text"], "This chat is not open to that email address. Ask its moderators.");
}

fn milliseconds_from_now(until: &Value) -> i128 {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis();
    i128::from(until.as_u64().expect("a time")) - i128::try_from(now).expect("it fits")
}

#[test]
fn an_unknown_command_is_never_said_and_a_path_or_an_action_is_a_line() {
    let server = Plume::start(&[]);
    let [mut bob, mut eve] = Client::login_all(&server, ["Bob", "Eve"]);
    for text in ["/hunter2secret/x", "/me waves", "/usr/bin", "a /kick", "/", "/Kick Eve"] {
        bob.say(text);
        eve.expect_line("Bob", text);
    }
    bob.say(" //kick Eve");
    eve.expect_line("Bob", "/kick Eve");
    bob.settle();
    for text in ["/identify my-password", "/erase", "  /x", "/q\nb"] {
        refused(&mut bob, text, "no-command");
    }
    eve.expect_nothing();
}

#[test]
fn each_command_of_a_member_is_answered_privately() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob the Great"]);
    assert_eq!((&ada.ack["moderator"], &bob.ack["moderator"]), (&json!(true), &Value::Null));
    ada.settle();
    bob.settle();
    told(&mut bob, "/help", "/who NAME");
    assert!(!ask(&mut bob, "/help ")["text"].as_str().expect("text").contains("/kick"));
    told(&mut ada, "/help", "/ban NAME|ADDRESS|@domain [FOR] [WHY]");
    told(&mut bob, "/topic", "There is no topic.");
    told(&mut bob, "/who @ada", "@Ada has been here for");
    told(&mut bob, "/who ADA ", "with 1 connection.");
    assert!(!ask(&mut bob, "/who  Ada")["text"].as_str().expect("text").contains('('));
    told(&mut ada, "/who @bob the great", "@Bob the Great (bobthegreat@example.org) has been here for");
    told(&mut ada, "/who BOB THE GREAT", "bobthegreat@example.org");
    refused(&mut bob, "/who plumebot", "no-such-name");
    bob.log_out();
    told(&mut ada, "/who bob\nthe great", "is not here.");
}

#[test]
fn who_is_no_moderator_is_refused_every_act_and_nothing_happens() {
    let server = Plume::start(&MODERATED);
    let mut bob = Client::login(&server, "Bob");
    // The name and a sub-address have no power without the address.
    let mut ada = Client::login_as(&server, "Ada", "ada+chat@example.org");
    assert!(ada.ack["moderator"].is_null(), "{}", ada.ack);
    bob.settle();
    for text in [
        "/kick Bob",
        "/mute Bob 5m",
        "/unmute Bob",
        "/ban Bob",
        "/unban Bob",
        "/bans",
        "/slow 5",
        "/lock",
        "/unlock",
        "/topic tea",
        "/topic -",
        "/kick",
        "/ban nonsense",
        "/slow x",
    ] {
        refused(&mut ada, text, "not-moderator");
    }
    bob.expect_nothing();
}

#[test]
fn each_failure_of_a_moderator_has_its_reason_and_nothing_happens() {
    let variables = [("PLUME_MODERATORS", "ada@example.org,zoe@example.org"), ("PLUME_RATE", "1000")];
    let server = Plume::start(&variables);
    let [mut bob, _zoe, mut ada] = Client::login_all(&server, ["Bob", "Zoe", "Ada"]);
    let long = "x".repeat(201);
    let long_topic = "x".repeat(501);
    let rows = [
        ("/nothing", "no-command"),
        ("/help me", "bad-command"),
        ("/who", "bad-command"),
        ("/who Bob now", "bad-command"),
        ("/kick", "bad-command"),
        ("/mute", "bad-command"),
        ("/unmute", "bad-command"),
        ("/unmute Bob now", "bad-command"),
        ("/ban", "bad-command"),
        ("/unban", "bad-command"),
        ("/unban Bob now", "bad-command"),
        ("/bans all", "bad-command"),
        ("/slow", "bad-command"),
        ("/slow 5 minutes", "bad-command"),
        ("/lock 5m now", "bad-command"),
        ("/lock now", "bad-command"),
        ("/unlock now", "bad-command"),
        ("/kick Nobody", "no-such-name"),
        ("/mute plumebot", "no-such-name"),
        ("/ban Nobody", "no-such-name"),
        ("/ban nobody@", "no-such-name"),
        ("/ban @nothing", "no-such-name"),
        ("/unban Nobody", "no-such-name"),
        ("/kick Zoe", "is-moderator"),
        ("/mute Ada 5m", "is-moderator"),
        ("/ban zoe", "is-moderator"),
        ("/ban ZOE@example.org", "is-moderator"),
        ("/mute Bob 31d", "bad-time"),
        ("/mute Bob 0s", "bad-time"),
        ("/mute Bob 10", "bad-time"),
        ("/ban Bob 5years", "bad-time"),
        ("/slow 0", "bad-time"),
        ("/slow 21601", "bad-time"),
        ("/slow soon", "bad-time"),
        ("/lock 25h", "bad-time"),
        (&*format!("/kick Bob {long}"), "too-long"),
        (&*format!("/mute Bob 5m {long}"), "too-long"),
        (&*format!("/ban Bob {long}"), "too-long"),
        (&*format!("/topic {long_topic}"), "too-long"),
    ];
    for (text, reason) in rows {
        refused(&mut ada, text, reason);
    }
    told(&mut ada, "/unmute Bob", "is not muted");
    told(&mut ada, "/unban Bob", "no such ban");
    told(&mut ada, "/unban @example.com", "no such ban");
    told(&mut ada, "/bans", "There are no bans.");
    told(&mut ada, "/unlock", "not locked");
    told(&mut ada, "/slow off", "Slow mode is off.");
    told(&mut ada, "/topic -", "There is no topic.");
    refused(&mut ada, &format!("/kick {}", "x ".repeat(30_000)), "no-such-name");
    bob.expect_nothing();
}

#[test]
fn a_kick_ends_all_connections_at_once_and_voids_the_session() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let mut tab = Client::resume_of(&server, &bob, None);
    let mut second = Client::login_as(&server, "Bob", "bob@example.org");
    ada.settle();
    let line = acted(&mut ada, "/kick bob 2nd  time\nspam", &json!({"event": "kick", "who": "Bob"}));
    assert_eq!(line["text"], "kicked @Bob: 2nd time spam");
    assert!(line["until"].is_null(), "{line}");
    ada.expect_leaves("Bob");
    for client in [&mut bob, &mut tab, &mut second] {
        while !client.message()["id"].is_null() {}
        client.expect_close(1008);
    }
    let mut again = Client::with_token(&server, &bob.token());
    again.expect_rejected(0);
    again.resume(&second.token(), None, None);
    again.expect_rejected(0);
    // Once more, and by a code the way is open.
    acted(&mut ada, "/kick Bob", &json!({"event": "kick", "text": "kicked @Bob"}));
    Client::login(&server, "Bob");
    ada.expect_enters("Bob");
}

#[test]
fn who_is_removed_is_told_why_and_closed_with_1008() {
    let server = Plume::start(&MODERATED);
    let mut ada = Client::login(&server, "Ada");
    for (command, sentence) in [
        ("/kick Bob spam", "You were kicked by @Ada: spam"),
        ("/ban Bob 1d spam", "You were banned by @Ada for 1 day: spam"),
    ] {
        let mut bob = Client::login(&server, "Bob");
        acted(&mut ada, command, &json!({"who": "Bob"}));
        loop {
            let message = bob.message();
            if message["id"].is_null() {
                assert_eq!(message["text"], sentence, "{message}");
                break;
            }
        }
        bob.expect_close(1008);
    }
}

#[test]
fn a_mute_refuses_the_lines_of_an_address_and_ends() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let mut second = Client::login_as(&server, "Second", "bob+x@example.org");
    let mut eve = Client::login(&server, "Eve");
    let line = acted(&mut ada, "/mute Bob 1h too loud", &json!({"event": "mute", "who": "Bob"}));
    assert_eq!(line["text"], "muted @Bob for 1 hour: too loud");
    assert!((3_590_000..=3_601_000).contains(&milliseconds_from_now(&line["until"])), "{line}");
    wait_event(&mut eve, "mute");
    for client in [&mut bob, &mut second] {
        let answer = refused(client, "hello", "muted");
        assert!((3_590..=3_600).contains(&answer["retry"].as_u64().expect("a wait")), "{answer}");
    }
    let tab = Client::resume_of(&server, &bob, None);
    assert!((3_590..=3_600).contains(&tab.ack["muted"].as_u64().expect("a wait")), "{}", tab.ack);
    eve.talk("hello");
    assert_eq!(bob.expect_line("Eve", "hello")["user"]["name"], "Eve", "reading goes on");
    acted(&mut ada, "/unmute Bob", &json!({"event": "unmute", "who": "Bob", "text": "unmuted @Bob"}));
    bob.settle();
    bob.talk("thanks");
    let line = acted(&mut ada, "/mute Bob", &json!({"text": "muted @Bob for 10 minutes"}));
    assert!((590_000..=601_000).contains(&milliseconds_from_now(&line["until"])), "{line}");
    acted(&mut ada, "/mute Bob 1s", &json!({"event": "mute"}));
    bob.settle();
    let answer = refused(&mut bob, "hello again", "muted");
    assert_eq!(answer["retry"], 1);
    std::thread::sleep(Duration::from_secs(1));
    bob.talk("now");
}

#[test]
fn a_ban_is_for_all_names_and_tags_of_an_address_and_not_for_its_neighbour() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let second = Client::login_as(&server, "Second", "bob+x@example.org");
    let mut waiting = Client::asking_as(&server, "Third", "bob+y@example.org");
    let mut eve = Client::login(&server, "Eve");
    ada.settle();
    let line = acted(&mut ada, "/ban @bob spam", &json!({"event": "ban", "who": "Bob"}));
    assert_eq!((&line["text"], &line["until"]), (&json!("banned @Bob: spam"), &Value::Null));
    ada.expect_leaves("Bob");
    ada.expect_leaves("Second");
    eve.settle();
    eve.talk("still here");
    for session in [&bob, &second] {
        Client::with_token(&server, &session.token()).expect_rejected(0);
    }
    // The code that was on its way is void.
    waiting.auth(&server.code_for("Third"));
    waiting.expect_rejected(0);
    waiting.hello_as("Third", "bob+y@example.org");
    assert_eq!(waiting.expect(5)["reason"], "not-admitted");
    for (name, email) in
        [("Bob", "BOB@example.org"), ("New", "bob+z@Example.org"), ("Eve", "bob@example.org")]
    {
        turned_away(&server, name, email);
    }
    Client::login_as(&server, "Bobby", "bobby@example.org");
    told(&mut ada, "/bans", "1 ban:\nbob@example.org (@Bob)");
    acted(&mut ada, "/unban Bob", &json!({"event": "unban", "who": "Bob", "text": "unbanned @Bob"}));
    bob = Client::login(&server, "Bob");
    assert_eq!(bob.ack["type"], 3);
}

#[test]
fn an_address_or_a_domain_is_banned_and_an_address_is_not_shown() {
    let server = Plume::start(&MODERATED);
    let [mut ada, _bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let _carl = Client::login_as(&server, "Carl", "carl@mail.example.com");
    // A troll who is called like a domain gets nobody else banned.
    let _troll = Client::login_as(&server, "example.net", "troll@example.com");
    ada.settle();
    acted(
        &mut ada,
        "/ban gone@example.com 2h x",
        &json!({"text": "banned an address for 2 hours: x", "who": null}),
    );
    acted(&mut ada, "/ban bob+x@example.org", &json!({"text": "banned an address", "who": "Bob"}));
    ada.expect_leaves("Bob");
    acted(&mut ada, "/ban @.example.com", &json!({"text": "banned @.example.com", "who": "@.example.com"}));
    ada.expect_leaves("Carl");
    ada.expect_leaves("example.net");
    for email in ["gone+1@example.com", "bob@example.org", "new@example.com", "new@a.b.example.com"] {
        turned_away(&server, "New", email);
    }
    acted(&mut ada, "/ban @example.net", &json!({"who": "example.net"}));
    Client::login_as(&server, "New", "new@example.net");
    acted(&mut ada, "/ban @example.org", &json!({"who": "@example.org"}));
    turned_away(&server, "Eve", "eve@example.org");
    Client::login(&server, "Ada");
    told(&mut ada, "/bans", "5 bans:");
    for (command, text) in [
        ("/unban bob@example.org", "unbanned an address"),
        ("/unban @example.org", "unbanned @example.org"),
        ("/unban @.EXAMPLE.com", "unbanned @.example.com"),
        ("/unban gone@example.com", "unbanned an address"),
    ] {
        acted(&mut ada, command, &json!({"text": text, "event": "unban"}));
    }
    Client::login(&server, "Bob");
    Client::login_as(&server, "Gone", "gone@example.com");
}

#[test]
fn a_full_table_refuses_the_next_ban_and_keeps_all_others() {
    let server = Plume::start(&[("PLUME_MODERATORS", "ada@example.org"), ("PLUME_RATE", "1000000")]);
    let mut ada = Client::login(&server, "Ada");
    for n in 0..10_000 {
        ada.say(&format!("/ban p{n}@example.com"));
        // On a busy machine, the answers to all of them at once would be late.
        if n % 500 == 0 {
            ada.settle();
        }
    }
    refused(&mut ada, "/ban more@example.com", "too-many");
    turned_away(&server, "First", "p0@example.com");
    Client::asking_as(&server, "More", "more@example.com");
}

#[test]
fn names_are_found_however_they_are_typed_and_a_slip_in_an_address_is_no_name() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let mut band = Client::login_as(&server, "Example Org", "band@example.net");
    ada.settle();
    for typed in ["Bob", " @bob", "BOB\r\n", "b0b", "b\u{43e}b", "\u{ff22}ob", "bob,", "\u{200b}"] {
        if typed == "\u{200b}" {
            refused(&mut ada, &format!("/who {typed}"), "no-such-name");
        } else {
            told(&mut ada, &format!("/who {typed}"), "@Bob (");
        }
    }
    for typed in ["example org", "@Example\r\n Org", "Example-0rg", "ex\u{430}mple org", "@example.org"] {
        told(&mut ada, &format!("/who {typed}"), "@Example Org (");
    }
    for (typed, reason) in [
        ("/ban bob@", "no-such-name"),
        ("/ban @bob@", "no-such-name"),
        ("/ban bob@ 5m spam", "no-such-name"),
        ("/ban bob@example", "no-such-name"),
        ("/ban b\u{43e}b@", "no-such-name"),
        ("/ban bob\u{ff20}", "no-such-name"),
        ("/ban example@org", "no-such-name"),
        ("/ban <bob@example.org>", "no-such-name"),
        ("/ban bob@example..org", "no-such-name"),
        ("/unban bob@", "no-such-name"),
        ("/kick bob@ now", "no-such-name"),
        ("/mute bob@example 5m", "no-such-name"),
        ("/who bob@", "no-such-name"),
        (&*format!("/kick {}", "bob".repeat(21_000)), "no-such-name"),
        (&*format!("/ban {}@example.org", "b".repeat(60_000)), "no-such-name"),
    ] {
        refused(&mut ada, typed, reason);
    }
    bob.settle();
    acted(
        &mut ada,
        "/mute b\u{43e}b\r\n1h too\tloud",
        &json!({"who": "Bob", "text": "muted @Bob for 1 hour: too loud"}),
    );
    // A domain is meant where no user is called just like that.
    acted(&mut ada, "/ban @example.org", &json!({"who": "@example.org", "text": "banned @example.org"}));
    band.settle();
    band.say("still here");
    band.expect_line("Example Org", "still here");
    acted(&mut ada, "/kick @example\norg", &json!({"who": "Example Org"}));
}

#[test]
fn a_name_that_begins_with_another_is_refused_before_a_reason_unless_it_is_in_quotes() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob, mut smith] = Client::login_all(&server, ["Ada", "Bob", "Bob Smith"]);
    for text in [
        "/kick Bob Smith being rude",
        "/kick @b0b smith\nbeing rude",
        "/mute bob smith is too loud",
        "/ban BOB SMITH spam",
        "/report Bob Smith is rude",
        "/who Bob Smith now",
    ] {
        let answer = refused(&mut ada, text, "ambiguous-name");
        let sentence = "That can mean @Bob or @Bob Smith. Put the name in quotes: \"Bob\" or \"Bob Smith\".";
        assert_eq!(answer["text"], sentence, "{text}");
    }
    bob.expect_nothing();
    smith.expect_nothing();
    refused(&mut ada, "/kick \"Bob S\" Smith is rude", "no-such-name");
    refused(&mut ada, "/kick \"\" Bob", "no-such-name");
    for (command, who, text) in [
        ("/mute \"Bob\" Smith is his friend", "Bob", "muted @Bob for 10 minutes: Smith is his friend"),
        ("/mute \"@bob smith\" 1h being rude", "Bob Smith", "muted @Bob Smith for 1 hour: being rude"),
        ("/mute \u{201c}Bob Smith\u{201d} rude", "Bob Smith", "muted @Bob Smith for 10 minutes: rude"),
        // Nothing else, or a time, stands behind the name.
        ("/mute Bob Smith 2h rude", "Bob Smith", "muted @Bob Smith for 2 hours: rude"),
        ("/unmute Bob Smith", "Bob Smith", "unmuted @Bob Smith"),
        ("/kick Bob is rude", "Bob", "kicked @Bob: is rude"),
        ("/ban \"Bob Smith\" 1d rude", "Bob Smith", "banned @Bob Smith for 1 day: rude"),
        ("/unban \"Bob Smith\"", "Bob Smith", "unbanned @Bob Smith"),
        ("/kick Bob Smith", "Bob Smith", "kicked @Bob Smith"),
    ] {
        acted(&mut ada, command, &json!({"who": who, "text": text}));
    }
    bob = Client::login(&server, "Bob");
    acted(&mut ada, "/kick \"Bob\"", &json!({"who": "Bob", "text": "kicked @Bob"}));
    while !bob.message()["id"].is_null() {}
    bob.expect_close(1008);
}

#[test]
fn a_bot_is_muted_and_not_kicked_or_banned_and_the_answer_says_so() {
    let (server, _) = with_bot("ci-bot", &MODERATED[..1]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    for text in ["/kick ci-bot", "/kick @Ci Bot too loud", "/ban ci-bot 1d", "/unban ci-bot"] {
        let answer = refused(&mut ada, text, "is-bot");
        let sentence =
            "That is a bot. It cannot be kicked or banned: /mute it, or have it removed from PLUME_BOTS.";
        assert_eq!(answer["text"], sentence, "{text}");
    }
    refused(&mut bob, "/kick ci-bot", "not-moderator");
    told(&mut ada, "/who ci-bot", "@ci-bot is a bot.");
    told(&mut bob, "/who @CI-BOT", "@ci-bot is a bot.");
    acted(&mut ada, "/mute ci-bot 1h", &json!({"who": "ci-bot"}));
}

#[test]
fn slow_mode_counts_all_connections_of_a_person_together() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let mut tab = Client::resume_of(&server, &bob, None);
    let line = acted(&mut ada, "/slow 30", &json!({"event": "slow", "slow": 30, "who": null}));
    assert_eq!(line["text"], "turned slow mode on: one line per person every 30 seconds");
    bob.settle();
    bob.talk("one");
    for client in [&mut bob, &mut tab] {
        let answer = refused(client, "two", "slow");
        assert!((25..=30).contains(&answer["retry"].as_u64().expect("a wait")), "{answer}");
    }
    // A line that is sent again with its ref is answered, and commands do not count.
    told(&mut bob, "/who Ada", "has been here");
    let mut second = Client::login_as(&server, "Second", "bob+x@example.org");
    assert_eq!(second.ack["slow"], 30, "{}", second.ack);
    refused(&mut second, "three", "slow");
    for n in 0..3 {
        ada.settle();
        ada.talk(&n.to_string());
    }
    acted(&mut ada, "/slow off", &json!({"event": "slow", "slow": 0, "text": "turned slow mode off"}));
    bob.settle();
    for text in ["three", "four"] {
        bob.talk(text);
    }
}

#[test]
fn a_lock_keeps_newcomers_out_and_nobody_who_is_known() {
    let server = Plume::start(&MODERATED);
    let bob = Client::login(&server, "Bob");
    let mut asked = Client::asking(&server, "Eve");
    let mut ada = Client::login(&server, "Ada");
    let line = acted(&mut ada, "/lock 1h", &json!({"event": "lock", "text": "locked the room for 1 hour"}));
    assert!((3_590_000..=3_601_000).contains(&milliseconds_from_now(&line["until"])), "{line}");
    let locked = |client: &mut Client| {
        let refusal = client.expect(5);
        assert_eq!(refusal["reason"], "locked", "{refusal}");
        assert!((3_590..=3_600).contains(&refusal["retry"].as_u64().expect("a wait")), "{refusal}");
        assert_ne!(refusal["text"], "");
    };
    asked.auth(&server.code_for("Eve"));
    locked(&mut asked);
    for (name, email) in [("New", "new@example.org"), ("New", "bob@example.org"), ("Bob", "new@example.org")]
    {
        let mut newcomer = Client::with_hello(&server, name, email);
        locked(&mut newcomer);
    }
    Client::resume_of(&server, &bob, None);
    Client::login(&server, "Bob");
    Client::login_as(&server, "Ada at work", "ada@example.org");
    acted(&mut ada, "/unlock", &json!({"event": "unlock", "text": "unlocked the room"}));
    Client::login(&server, "New");
    let line = acted(&mut ada, "/lock", &json!({"text": "locked the room for 1 day"}));
    assert!(milliseconds_from_now(&line["until"]) > 86_390_000, "{line}");
}

#[test]
fn the_topic_is_told_to_newcomers_and_changed_by_moderators() {
    let variables = [("PLUME_MODERATORS", "ada@example.org"), ("PLUME_TOPIC", "Tea at four")];
    let server = Plume::start(&variables);
    let mut ada = Client::login(&server, "Ada");
    assert_eq!(ada.ack["topic"], "Tea at four", "{}", ada.ack);
    told(&mut ada, "/topic", "Topic: Tea at four");
    let topic = "x".repeat(500);
    let line = acted(&mut ada, &format!("/topic {topic}"), &json!({"event": "topic", "topic": topic}));
    assert_eq!(line["text"], format!("set the topic: {topic}"));
    acted(&mut ada, "/topic Coffee\r\nat\u{0}\u{7} five", &json!({"topic": "Coffee at five"}));
    for nothing in ["/topic \u{200b}", "/topic \u{2800}\u{7}", "/topic \u{0}"] {
        let answer = refused(&mut ada, nothing, "bad-command");
        assert_eq!(answer["text"], "Usage: /topic, /topic TEXT or /topic -", "{nothing:?}");
    }
    assert_eq!(Client::login(&server, "Bob").ack["topic"], "Coffee at five");
    acted(&mut ada, "/topic -", &json!({"event": "topic", "topic": "", "text": "removed the topic"}));
    let eve = Client::login(&server, "Eve");
    assert!(
        eve.ack["topic"].is_null() && eve.ack["slow"].is_null() && eve.ack["muted"].is_null(),
        "{}",
        eve.ack
    );
}

#[test]
fn an_act_that_is_sent_again_with_its_ref_is_not_done_again() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let line = acted(&mut ada, "/mute Bob 5m", &json!({"event": "mute"}));
    acted(&mut ada, "/unmute Bob", &json!({"event": "unmute"}));
    ada.settle();
    ada.send(&json!({"type": 1, "text": "/mute Bob 5m", "ref": "/mute Bob 5m"}));
    bob.settle();
    bob.talk("hello");
    assert_eq!(ada.expect_line("Bob", "hello")["id"].as_u64(), line["id"].as_u64().map(|id| id + 2));
}

#[test]
fn the_door_is_open_to_whom_the_settings_name() {
    let server = Plume::start(&[
        ("PLUME_MODERATORS", "ada@example.net"),
        ("PLUME_ALLOW", "bob@example.org, @.example.com"),
        ("PLUME_DENY", "eve@example.com, @bad.example.com, @example.net"),
    ]);
    for (name, email) in [
        ("Ada", "Ada@example.net"),
        ("Bob", "bob@example.org"),
        ("Carl", "carl@example.com"),
        ("Dora", "dora@a.example.com"),
    ] {
        Client::login_as(&server, name, email);
    }
    // The name may be taken or be none: a stranger learns nothing of it.
    for (name, email) in [
        ("Ada", "ada+x@example.net"),
        ("Bob", "bob+x@example.org"),
        ("Eve", "EVE@example.com"),
        ("Fay", "fay@bad.example.com"),
        ("Gil", "gil@badexample.com"),
        ("...", "gil@example.org"),
    ] {
        turned_away(&server, name, email);
    }
}

#[test]
fn the_tenth_refusal_at_the_door_ends_the_connection() {
    let server = Plume::start(&[("PLUME_ALLOW", "@example.com"), ("PLUME_TRUSTED_PROXIES", "127.0.0.1")]);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::open_for(&server, "203.0.113.5")).collect();
    let (last, rest) = clients.split_last_mut().expect("three");
    for client in rest.iter_mut() {
        for _ in 0..10 {
            client.hello("Eve");
        }
    }
    for client in rest {
        for _ in 0..10 {
            assert_eq!(client.expect(5)["reason"], "not-admitted");
        }
        client.expect_notice("too-many-tries");
        client.expect_close(1008);
    }
    last.hello("Eve");
    last.expect_notice("too-many-tries");
    last.expect_close(1008);
    // Another address, and who is admitted, are not held up by it.
    let mut other = Client::open_for(&server, "203.0.113.6");
    other.hello("Eve");
    other.expect(5);
    let mut carl = Client::open_for(&server, "203.0.113.5");
    carl.ask_code("Carl", "carl@example.com");
}
