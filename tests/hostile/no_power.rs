//! Members without power try to have some: by every command, and by a moderator's name.

use crate::onlooker::Onlooker;
use crate::support::{Client, Plume};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SETTINGS: [(&str, &str); 3] =
    [("PLUME_MODERATORS", "countess@example.org"), ("PLUME_RATE", "1000"), ("PLUME_TOPIC", "Tea")];

/// Types a command, and gives its private answer.
fn answer(client: &mut Client, typed: &str) -> Value {
    client.send(&json!({"type": 1, "text": typed, "ref": "asked"}));
    loop {
        let message = client.message();
        if message["id"].is_null() {
            assert_eq!(message["ref"], "asked", "{typed:.40}: {message}");
            return message;
        }
        assert_ne!(message["ref"], "asked", "{typed:.40} became a line: {message}");
    }
}

/// Sees that nothing came but what the onlooker said.
fn expect_only_the_onlooker(client: &mut Client) {
    for message in client.settle() {
        assert_eq!(message["user"]["name"], "Onlooker", "{message}");
    }
}

/// The words of the commands that a client's `/help` lists.
fn words(client: &mut Client) -> BTreeSet<String> {
    let help = answer(client, "/help");
    let lines = help["text"].as_str().expect("a text").lines();
    lines.map(|line| line.split([' ', ':']).next().unwrap_or_default().to_owned()).collect()
}

/// Every command of moderators, with arguments that mean somebody, an address, a domain, a line, a time or
/// nothing. It is the same whether the member has taken the name that the moderator had before.
#[test]
fn a_member_tries_every_command_of_moderators_and_changes_nothing() {
    let server = Plume::start(&SETTINGS);
    let mut countess = Client::login_as(&server, "Ada", "countess@example.org");
    let of_moderators = words(&mut countess);
    let mut bob = Client::login(&server, "Bob");
    // One more name of theirs would have been free; power comes with none.
    let mut second = Client::login_as(&server, "Countess", "countess+x@example.org");
    let mut eve = Client::login(&server, "Moderat0r Eve");
    let of_all = words(&mut eve);
    assert!(of_all.len() >= 3 && of_all.is_subset(&of_moderators), "{of_all:?} of {of_moderators:?}");
    let denied: Vec<&String> = of_moderators.difference(&of_all).collect();
    assert!(denied.len() >= 13, "{denied:?}");
    let onlooker = Onlooker::join(&server);
    bob.settle();
    let arguments = [
        "",
        " Bob",
        " Ada",
        " Bob 5m spam",
        " bob@example.org",
        " @example.org",
        " #1",
        " 5",
        " off",
        " -",
        " all",
        " \u{202e}Bob",
        " 1d",
    ];
    for client in [&mut eve, &mut second] {
        client.settle();
        for word in denied.iter().map(|word| word.as_str()).chain(["/topic"]) {
            for arguments in arguments.iter().filter(|arguments| word != "/topic" || !arguments.is_empty()) {
                let answer = answer(client, &format!(" {word}{arguments}\r\n"));
                assert_eq!(answer["reason"], "not-moderator", "{word}{arguments}: {answer}");
            }
        }
    }
    expect_only_the_onlooker(&mut bob);
    onlooker.finish();
    // Nobody was kicked or muted, nothing is locked, and the topic stands.
    bob.settle();
    bob.talk("still here");
    let newcomer = Client::login(&server, "Newcomer");
    assert_eq!(newcomer.ack["topic"], "Tea", "{}", newcomer.ack);
    assert!(newcomer.ack["slow"].is_null() && newcomer.ack["moderator"].is_null(), "{}", newcomer.ack);
    countess.settle();
    for (command, answer) in [
        ("/bans", "There are no bans."),
        ("/invites", "Nobody is invited."),
        ("/reports", "There are no reports."),
    ] {
        assert_eq!(self::answer(&mut countess, command)["text"], answer, "{command}");
    }
}

/// A moderator's name is free a day after the moderator has left; whoever takes another one like it, or a
/// moderator's name in another mailbox of the same domain, is told apart by the address alone.
#[test]
fn the_name_of_a_moderator_gives_no_power() {
    let server = Plume::start(&SETTINGS);
    // The moderator has never been here: the name is free, and Eve is the first to have it.
    let mut eve = Client::login_as(&server, "Countess", "eve@example.org");
    let mut tagged = Client::login_as(&server, "Duchess", "countess+x@example.org");
    let mut elsewhere = Client::login_as(&server, "Baroness", "countess@example.com");
    let mut bob = Client::login(&server, "Bob");
    for client in [&mut eve, &mut tagged, &mut elsewhere] {
        assert!(client.ack["moderator"].is_null(), "{}", client.ack);
        client.settle();
        client.say("/kick Bob");
        assert_eq!(client.message()["reason"], "not-moderator");
    }
    bob.expect_nothing();
    // The moderator comes under another name, and has all of it.
    let mut countess = Client::login_as(&server, "Margravine", "COUNTESS@example.org");
    assert_eq!(countess.ack["moderator"], true, "{}", countess.ack);
    countess.settle();
    countess.say("/kick Countess impostor");
    countess.expect_line("Margravine", "kicked @Countess: impostor");
    while !eve.message()["id"].is_null() {}
    eve.expect_close(1008);
}

/// What a command is made of may be anything: each is answered, none is said, and others are not held up.
#[test]
fn commands_of_any_bytes_are_answered_and_not_said() {
    let server = Plume::start(&SETTINGS);
    let [mut countess, mut bob] = Client::login_all(&server, ["Countess", "Bob"]);
    let onlooker = Onlooker::join(&server);
    bob.settle();
    let long = "x".repeat(65_000);
    let names = "bob ".repeat(16_000);
    let rows = [
        long.as_str(),
        &names,
        &"\u{202e}".repeat(20_000),
        &"\u{1f469}\u{200d}".repeat(9_000),
        "\0",
        "\u{7f}\u{1b}[31m",
        "@",
        "@@@@",
        "#",
        "#18446744073709551616 x",
        "-1s",
        "99999999999999999999999s",
        "Nobody 18446744073709551615d",
        "\u{feff}",
        "%s%n ${x} ' \" \\ <b>",
    ];
    countess.settle();
    for command in words(&mut countess) {
        // These take any text at all.
        if command == "/topic" {
            continue;
        }
        for arguments in rows {
            let answer = answer(&mut countess, &format!("{command} {arguments}"));
            let shown = arguments.chars().take(20).collect::<String>();
            assert!(answer["reason"].is_string(), "{command} {shown:?}: {answer}");
        }
    }
    expect_only_the_onlooker(&mut bob);
    onlooker.finish();
}
