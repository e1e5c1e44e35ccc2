//! Reports: who learns of them, what is kept, and how many one person may make.

use crate::moderation::{MODERATED, ask, refused, told};
use crate::support::{Client, Plume, say_as_bot, with_bot};
use serde_json::{Value, json};

/// The next private line, which must be this one.
fn expect_aside(client: &mut Client, text: &str) {
    let message = loop {
        let message: Value = client.message();
        if message["id"].is_null() {
            break message;
        }
    };
    assert_eq!((&message["user"]["name"], &message["text"]), (&json!("plumebot"), &json!(text)), "{message}");
}

const CONFIRMED: &str = "Your report is with the moderators. They see your name.";

#[test]
fn a_report_goes_to_all_moderators_present_and_is_kept_for_the_absent() {
    let variables = [("PLUME_MODERATORS", "ada@example.org,zoe@example.org"), ("PLUME_RATE", "1000")];
    let server = Plume::start(&variables);
    let mut ada = Client::login(&server, "Ada");
    let mut tab = Client::resume_of(&server, &ada, None);
    let [mut bob, mut eve] = Client::login_all(&server, ["Bob the Great", "Eve"]);
    told(&mut ada, "/reports", "There are no reports.");
    for client in [&mut ada, &mut tab, &mut bob] {
        client.settle();
    }
    told(&mut eve, "/report @bob the great is\r\n rude ", CONFIRMED);
    for client in [&mut ada, &mut tab] {
        expect_aside(client, "@Eve reports @Bob the Great: is rude");
    }
    bob.expect_nothing();
    bob.say("buy \"this\"\nnow");
    let id = bob.message()["id"].as_u64().expect("a line has an id");
    told(&mut eve, &format!("/report #{id} spam"), CONFIRMED);
    expect_aside(&mut ada, &format!("@Eve reports line #{id} of @Bob the Great, \"buy \"this\" now\": spam"));
    bob.log_out();
    told(&mut eve, "/report b\u{43e}b the great again", CONFIRMED);
    let mut zoe = Client::login(&server, "Zoe");
    let list = ask(&mut zoe, "/reports")["text"].as_str().expect("a text").to_owned();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!((lines.len(), lines[0]), (4, "3 reports:"), "{list}");
    assert!(lines[1].ends_with(" ago, @Eve reported @Bob the Great: is rude"), "{list}");
    assert!(lines[3].ends_with(" ago, @Eve reported @Bob the Great: again"), "{list}");
    refused(&mut eve, "/reports", "not-moderator");
    refused(&mut zoe, "/reports all", "bad-command");
}

#[test]
fn a_person_makes_three_reports_in_ten_minutes_over_all_names_and_tabs() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let mut tab = Client::resume_of(&server, &bob, None);
    let mut second = Client::login_as(&server, "Second", "bob+x@example.org");
    ada.settle();
    told(&mut bob, "/report Ada one", CONFIRMED);
    told(&mut tab, "/report Ada two", CONFIRMED);
    told(&mut second, "/report Ada three", CONFIRMED);
    for client in [&mut bob, &mut tab, &mut second] {
        let answer = refused(client, "/report Ada four", "too-many");
        assert!((590..=600).contains(&answer["retry"].as_u64().expect("a wait")), "{answer}");
    }
    // One that is sent again, because its answer was lost, is no other report.
    told(&mut bob, "/report Ada one", CONFIRMED);
    for text in ["one", "two"] {
        expect_aside(&mut ada, &format!("@Bob reports @Ada: {text}"));
    }
    expect_aside(&mut ada, "@Second reports @Ada: three");
    ada.expect_nothing();
}

#[test]
fn a_report_needs_somebody_or_a_line_and_a_reason() {
    let server = Plume::start(&MODERATED);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    bob.say("hello");
    let id = bob.message()["id"].as_u64().expect("a line has an id");
    ada.expect_line("Bob", "hello");
    let long = "x".repeat(201);
    for (text, reason) in [
        ("/report", "bad-command"),
        ("/report Ada", "bad-command"),
        ("/report Ada \u{200b}", "bad-command"),
        (&*format!("/report #{id}"), "bad-command"),
        ("/report Nobody spam", "no-such-name"),
        ("/report #x spam", "no-such-name"),
        ("/report ada@ spam", "no-such-name"),
        ("/report #0 spam", "no-such-line"),
        ("/report #1 he came in", "no-such-line"),
        ("/report #999 spam", "no-such-line"),
        ("/report #99999999999999999999 spam", "no-such-line"),
        (&*format!("/report Ada {long}"), "too-long"),
    ] {
        refused(&mut bob, text, reason);
    }
    ada.expect_nothing();
    let quoted = "y".repeat(300);
    bob.say(&quoted);
    let id = bob.message()["id"].as_u64().expect("a line has an id");
    told(&mut bob, &format!("/report #{id} mine"), CONFIRMED);
    expect_aside(&mut ada, &format!("@Bob reports line #{id} of @Bob, \"{}...\": mine", "y".repeat(100)));
}

#[test]
fn where_there_are_no_moderators_a_reporter_is_told_so() {
    let server = Plume::start(&[]);
    let mut bob = Client::login(&server, "Bob");
    told(&mut bob, "/report Bob spam", "no moderators");
}

#[test]
fn bots_and_their_lines_are_reported_like_anybodys() {
    let (server, token) = with_bot("ci-bot", &MODERATED[..1]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let id = say_as_bot(&server, &token, "buy this", None);
    bob.settle();
    told(&mut bob, "/report ci bot is too loud", CONFIRMED);
    expect_aside(&mut ada, "@Bob reports @ci-bot: is too loud");
    told(&mut bob, &format!("/report #{id} spam"), CONFIRMED);
    expect_aside(&mut ada, &format!("@Bob reports line #{id} of @ci-bot, \"buy this\": spam"));
}
