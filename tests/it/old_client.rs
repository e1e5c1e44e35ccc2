//! The page of the first Plume, of 2020: it knows the types 0 to 5, asks and answers on one socket, reads the
//! names and texts of what it knows, and keeps quiet about the rest.

use crate::support::{Client, Event, Plume};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// That page, as far as the server can see it.
struct OldPage {
    client: Client,
    /// What it shows: name and text.
    shown: Vec<(String, String)>,
    is_in: bool,
}

impl OldPage {
    fn open(server: &Plume) -> Self {
        Self { client: Client::open(server), shown: Vec::new(), is_in: false }
    }

    /// The first Plume sent a user with each message, empty before the login.
    fn send(&mut self, kind: u64, text: &str) {
        self.client.send(&json!({"type": kind, "user": {"name": "", "email": ""}, "text": text}));
    }

    /// Reads one message as that page did: it takes `user.name` and `text` of what it knows for strings.
    fn read(&mut self) -> Option<u64> {
        let message = match self.client.next() {
            Event::Json(message) => message,
            Event::Close(_) | Event::End(_) => return None,
            Event::Ping | Event::Pong(_) => return self.read(),
        };
        let string = |value: &Value| value.as_str().map(str::to_owned);
        let kind = message["type"].as_u64().expect("a type is an integer");
        if matches!(kind, 0 | 1 | 3) {
            let name = string(&message["user"]["name"]);
            let text = string(&message["text"]);
            let line = name.zip(text).unwrap_or_else(|| panic!("no name or text: {message}"));
            match kind {
                1 => self.shown.push(line),
                3 => self.is_in = true,
                _ => {}
            }
        }
        Some(kind)
    }

    fn read_until(&mut self, kind: u64) {
        while self.read().expect("the connection stays") != kind {}
    }

    fn read_until_shown(&mut self, name: &str, text: &str) {
        let line = (name.to_owned(), text.to_owned());
        while self.shown.last() != Some(&line) {
            self.read().expect("the connection stays");
        }
    }

    /// Comes in by a code from the log.
    fn login(server: &Plume, name: &str, email: &str) -> Self {
        let mut page = Self::open(server);
        page.send(0, &format!("{name}\n{email}"));
        page.read_until(0);
        page.send(2, &server.code_for(name));
        page.read_until_shown(name, "entered chat");
        page
    }

    /// Types a line, and reads until a line of this name that begins like this is shown.
    fn type_until(&mut self, typed: &str, name: &str, begin: &str) {
        let known = self.shown.len();
        self.send(1, typed);
        while !self.shown[known..].iter().any(|(by, text)| by == name && text.starts_with(begin)) {
            assert!(self.read().is_some(), "{typed}: only {:?} was shown", &self.shown[known..]);
        }
    }
}

#[test]
fn the_first_page_logs_in_and_chats() {
    let server = Plume::start(&[]);
    let mut new = Client::login(&server, "Neo");
    let mut old = OldPage::login(&server, "Ada", "ada@example.org");
    assert!(old.is_in);
    assert!(old.shown.iter().any(|(name, text)| name == "plumebot" && text.contains("@Ada")));
    new.expect_enters("Ada");
    old.send(1, "hello from 2020");
    old.read_until_shown("Ada", "hello from 2020");
    new.expect_line("Ada", "hello from 2020");
    new.say("hello from now");
    old.read_until_shown("Neo", "hello from now");
    new.leave();
    old.read_until_shown("Neo", "left chat");
}

#[test]
fn the_first_page_is_told_what_it_did_wrong() {
    let server = Plume::start(&[]);
    Client::login_as(&server, "Ada", "ada@example.org");
    let mut old = OldPage::open(&server);
    old.send(0, "Ada\neve@example.org");
    old.read_until(5);
    old.send(0, "Eve\neve@example.org");
    old.read_until(0);
    old.send(2, "wrong!");
    old.read_until(4);
    old.send(2, &server.code_for("Eve").to_lowercase());
    old.read_until(3);
}

#[test]
fn the_first_page_takes_back_lines_and_shows_nothing_in_their_place() {
    let server = Plume::start(&[("PLUME_MODERATORS", "ada@example.org"), ("PLUME_RATE", "1000")]);
    let mut new = Client::login(&server, "Neo");
    new.say("spam");
    new.settle();
    let mut old = OldPage::login(&server, "Ada", "ada@example.org");
    assert!(old.shown.contains(&("Neo".to_owned(), "spam".to_owned())), "{:?}", old.shown);
    old.send(1, "/delete Neo");
    old.read_until_shown("Ada", "deleted a line of @Neo");
    old.send(1, "oops");
    old.send(1, "/delete");
    old.read_until_shown("Ada", "took back a line");
    old.send(1, "/delete #1");
    old.read_until_shown("plumebot", "There is no such line, or not any more.");
    let mut later = OldPage::login(&server, "Bob", "bob@example.org");
    assert!(later.shown.iter().all(|(_, text)| text != "spam" && text != "oops"), "{:?}", later.shown);
    assert!(later.shown.contains(&("Ada".to_owned(), "took back a line".to_owned())), "{:?}", later.shown);
    later.send(1, "hello from 2020");
    new.settle();
    later.read_until_shown("Bob", "hello from 2020");
}

#[test]
fn the_first_page_outlives_notices() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut old = OldPage::open(&server);
    old.send(0, "\nnobody@example.org");
    old.read_until(6);
    old.send(0, "Ada\nada@example.org");
    old.read_until(0);
    old.send(2, &server.code_for("Ada"));
    old.read_until(3);
    old.send(1, &"x".repeat(70_000));
    old.read_until(6);
    old.send(1, "on");
    old.read_until_shown("Ada", "on");
}

/// Each command, typed into the page of 2020 by a moderator: what its answer looks like there.
#[test]
fn commands_work_when_typed_into_the_first_page() {
    let server = Plume::start(&[("PLUME_MODERATORS", "ada@example.org"), ("PLUME_RATE", "1000")]);
    let mut ada = OldPage::login(&server, "Ada", "ada@example.org");
    let rows = [
        ("/help", "plumebot", "/help: lists the commands\n"),
        ("/topic Tea at four", "Ada", "set the topic: Tea at four"),
        ("/topic", "plumebot", "Topic: Tea at four"),
        ("/topic -", "Ada", "removed the topic"),
        ("/who Bob", "plumebot", "@Bob (bob@example.org) has been here for "),
        ("/report Bob spam", "plumebot", "Your report is with the moderators."),
        ("/reports", "plumebot", "1 report:\n"),
        ("/mute Bob 5m spam", "Ada", "muted @Bob for 5 minutes: spam"),
        ("/unmute Bob", "Ada", "unmuted @Bob"),
        ("/slow 5", "Ada", "turned slow mode on: one line per person every 5 seconds"),
        ("/slow off", "Ada", "turned slow mode off"),
        ("/lock 1h", "Ada", "locked the room for 1 hour"),
        ("/unlock", "Ada", "unlocked the room"),
        ("/invite new@example.org", "plumebot", "new@example.org is invited."),
        ("/invites", "plumebot", "1 invitation:\nnew@example.org"),
        ("/uninvite new@example.org", "plumebot", "new@example.org is not invited any more."),
        ("/kick Bob spam", "Ada", "kicked @Bob: spam"),
        ("/ban Bob 1d spam", "Ada", "banned @Bob for 1 day: spam"),
        ("/bans", "plumebot", "1 ban:\nbob@example.org (@Bob), for another "),
        ("/unban Bob", "Ada", "unbanned @Bob"),
        ("/nothing", "plumebot", "There is no such command"),
        ("/kick Nobody", "plumebot", "Nobody is known by that name."),
        ("//kick Bob", "Ada", "/kick Bob"),
        ("/me waves", "Ada", "/me waves"),
        ("/delete", "Ada", "took back a line"),
    ];
    let _bob = Client::login(&server, "Bob");
    ada.read_until_shown("Bob", "entered chat");
    for (typed, name, begin) in rows {
        ada.type_until(typed, name, begin);
    }
    let of_help = |(_, text): &(String, String)| text.starts_with("/help").then(|| text.lines().count());
    let commands = ada.shown.iter().find_map(of_help).expect("the answer to /help");
    let tried = rows.iter().filter_map(|(typed, ..)| typed.split(' ').next()).collect::<BTreeSet<_>>();
    // All that is listed, and the three rows that are no commands.
    assert_eq!(tried.len(), commands + 3, "{tried:?}");
}

/// Whoever is refused is told so, and whoever is removed why, in the page of 2020.
#[test]
fn the_first_page_shows_what_moderators_do_to_its_user() {
    let server = Plume::start(&[("PLUME_MODERATORS", "ada@example.org"), ("PLUME_RATE", "1000")]);
    let mut ada = Client::login(&server, "Ada");
    let mut bob = OldPage::login(&server, "Bob", "bob@example.org");
    bob.type_until("/kick Ada", "plumebot", "Only moderators can do that.");
    ada.say("/mute Bob 1h");
    bob.read_until_shown("Ada", "muted @Bob for 1 hour");
    bob.type_until("hello", "plumebot", "You are muted for another ");
    ada.say("/unmute Bob");
    ada.say("/slow 1h");
    bob.read_until_shown("Ada", "turned slow mode on: one line per person every 1 hour");
    bob.type_until("one", "Bob", "one");
    bob.type_until("two", "plumebot", "Slow mode is on: you can write again in ");
    bob.type_until("/report Ada slow", "plumebot", "Your report is with the moderators.");
    ada.say("/ban Bob spam");
    bob.read_until_shown("plumebot", "You were banned by @Ada: spam");
    assert_eq!(bob.read(), None, "the connection ends");
    let mut again = OldPage::open(&server);
    again.send(0, "Bob\nbob@example.org");
    again.read_until(5);
    assert!(!again.shown.iter().any(|(_, text)| text == "two" || text == "hello"));
}
