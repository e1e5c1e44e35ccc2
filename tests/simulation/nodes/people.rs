//! The people of a world with several nodes: each with a browser that comes back with its token, on whatever
//! node, and checks what it is sent.

use crate::testkit::codec::{CLOSE, PONG, Reader, Received, frame, message, upgrade};
use crate::testkit::tally::Tally;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Whose mailbox moderates.
pub(super) const MODERATOR_EMAIL: &str = "mod@example.org";

/// Names and mailboxes. Two people want the same name; the last one is who may be banned.
const PEOPLE: [(&str, &str); 6] = [
    ("Mod", MODERATOR_EMAIL),
    ("Ada", "ada@example.org"),
    ("Bob", "bob@example.org"),
    ("Eve", "eve@example.org"),
    ("Eve", "eve@example.net"),
    ("Mallory", "mallory@example.org"),
];
const MODERATOR: usize = 0;
const BANNED: usize = PEOPLE.len() - 1;

/// One connection of a person.
pub(super) struct Connection {
    whose: usize,
    reader: Reader,
    /// The run, once the person is in.
    run: Option<String>,
    /// The id of the newest line that it has received, where the next must follow it.
    newest: Option<u64>,
    /// Lines that the person said on it and has not heard.
    unheard: BTreeSet<String>,
    is_closing: bool,
    /// The person leaves it, to try again later.
    pub(super) is_given_up: bool,
}

impl Connection {
    /// Whether it is a person's, and not over.
    pub(super) fn is_of(&self, person: usize) -> bool {
        self.whose == person && !self.is_closing
    }
}

#[derive(Default)]
struct Person {
    token: Option<String>,
    /// The run and the id of the newest line that it has received.
    seen: Option<(String, u64)>,
    said: u32,
    is_in: bool,
    /// Somebody else has the name.
    is_refused: bool,
}

pub(super) struct People {
    all: Vec<Person>,
    /// Codes that were emailed, each with its address.
    pub(super) codes: Vec<(String, String)>,
    may_lose: bool,
    /// What each line of each run is.
    lines: BTreeMap<(String, u64), Vec<u8>>,
    /// In which runs a text was said, with the id.
    texts: BTreeMap<(String, String), u64>,
    is_banned: bool,
}

impl People {
    pub(super) fn new(may_lose: bool) -> Self {
        Self {
            all: PEOPLE.iter().map(|_| Person::default()).collect(),
            codes: Vec::new(),
            may_lose,
            lines: BTreeMap::new(),
            texts: BTreeMap::new(),
            is_banned: false,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether somebody would be let in.
    pub(super) fn may_enter(&self, person: usize) -> bool {
        !(self.is_banned && person == BANNED || self.all[person].is_refused)
    }

    pub(super) fn connect(person: usize) -> (Connection, Vec<u8>) {
        let connection = Connection {
            whose: person,
            reader: Reader::default(),
            run: None,
            newest: None,
            unheard: BTreeSet::new(),
            is_closing: false,
            is_given_up: false,
        };
        (connection, upgrade(""))
    }

    /// A connection is gone.
    pub(super) fn lose(&mut self, connection: &Connection) {
        self.all[connection.whose].is_in &= connection.run.is_none();
    }

    /// What a person sends to say something new, if it is in.
    pub(super) fn say(&mut self, connection: &mut Connection) -> Option<Vec<u8>> {
        let person = connection.whose;
        let own = &mut self.all[person];
        own.is_in.then(|| {
            own.said += 1;
            let text = format!("{} {person} says {}", PEOPLE[person].0, own.said);
            connection.unheard.insert(text.clone());
            message(&json!({ "type": 1, "text": text }).to_string())
        })
    }

    pub(super) fn ban(&mut self, person: usize) -> Option<Vec<u8>> {
        let is_able = person == MODERATOR && self.all[person].is_in;
        is_able
            .then(|| message(&json!({ "type": 1, "text": format!("/ban {}", PEOPLE[BANNED].0) }).to_string()))
    }

    pub(super) fn leave(&mut self, person: usize) -> Option<Vec<u8>> {
        self.all[person].is_in.then(|| {
            self.all[person].token = None;
            message(r#"{"type":8}"#)
        })
    }

    /// Reads what a connection is sent, and gives what it answers.
    pub(super) fn receive(
        &mut self,
        connection: &mut Connection,
        bytes: &[u8],
        lived: &mut Tally,
    ) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        let mut count = |what| lived.count(what, 1);
        for received in connection.reader.read(bytes) {
            match received {
                Received::Response(101) => answers.push(self.introduce(connection.whose)),
                Received::Response(status) => panic!("a WebSocket was asked for, and {status} came"),
                Received::Chunk(_) | Received::LastChunk | Received::Pong(_) => {}
                Received::Ping(payload) => answers.push(frame(PONG, &payload, [0; 4])),
                Received::Close(code) => {
                    if code == Some(1012) {
                        count("told to come back");
                    }
                    self.lose(connection);
                    connection.is_closing = true;
                    answers.push(frame(CLOSE, &code.unwrap_or(1000).to_be_bytes(), [0; 4]));
                }
                Received::Text(payload) => {
                    let message: Value = serde_json::from_slice(&payload).expect("a message is JSON");
                    answers.extend(self.receive_message(connection, &message, &payload, &mut count));
                }
            }
        }
        answers
    }

    fn introduce(&self, person: usize) -> Vec<u8> {
        let (name, email) = PEOPLE[person];
        let own = &self.all[person];
        let json = match (&own.token, &own.seen) {
            (Some(token), Some((run, after))) => {
                json!({ "type": 7, "text": token, "run": run, "after": after })
            }
            (Some(token), None) => json!({ "type": 7, "text": token }),
            (None, _) => json!({ "type": 0, "text": format!("{name}\n{email}") }),
        };
        message(&json.to_string())
    }

    fn receive_message(
        &mut self,
        connection: &mut Connection,
        message: &Value,
        payload: &[u8],
        count: &mut impl FnMut(&'static str),
    ) -> Option<Vec<u8>> {
        let person = connection.whose;
        let text = || message["text"].as_str().unwrap_or_default().to_owned();
        match message["type"].as_u64() {
            Some(0) => {
                let at = self.codes.iter().position(|(to, _)| to == PEOPLE[person].1)?;
                let (_, code) = self.codes[at].clone();
                return Some(crate::testkit::codec::message(&json!({ "type": 2, "text": code }).to_string()));
            }
            Some(1) => self.receive_line(connection, message, payload, count),
            Some(3) => {
                assert_eq!(message["user"]["name"], PEOPLE[person].0, "a person enters under the own name");
                let run = message["run"].as_str().expect("an ack names the run").to_owned();
                let own = &mut self.all[person];
                // Who has seen something of this run goes on behind it.
                connection.newest = own
                    .seen
                    .as_ref()
                    .filter(|(seen, _)| *seen == run && own.token.is_some())
                    .map(|seen| seen.1);
                count(if own.token.is_some() { "came back" } else { "entered" });
                (own.token, own.is_in, own.is_refused) = (Some(text()), true, false);
                own.seen = None;
                connection.run = Some(run);
                self.codes.retain(|(to, _)| to != PEOPLE[person].1);
            }
            Some(4) => {
                // The token is void: the session was left, or lost with the run.
                self.all[person].token = None;
                self.all[person].seen = None;
                self.codes.retain(|(to, _)| to != PEOPLE[person].1);
                count("logged out");
                connection.is_given_up = true;
            }
            Some(5) => {
                self.all[person].is_refused = person != BANNED;
                count(if person == BANNED { "banned" } else { "name taken" });
                connection.is_given_up = true;
            }
            Some(6) => match message["reason"].as_str() {
                Some("gap") => {
                    assert!(self.may_lose, "nobody misses anything while nothing is lost");
                    count("gap");
                    connection.newest = None;
                }
                Some("apart") => count("apart"),
                Some("restarting") => {}
                // The log was away for longer than an email may take.
                Some("mail-limited" | "mail-failed") => {
                    self.codes.retain(|(to, _)| to != PEOPLE[person].1);
                    count("email failed");
                    connection.is_given_up = true;
                }
                other => panic!("{}: {other:?} {}", PEOPLE[person].0, text()),
            },
            _ => {}
        }
        None
    }

    fn receive_line(
        &mut self,
        connection: &mut Connection,
        message: &Value,
        payload: &[u8],
        count: &mut impl FnMut(&'static str),
    ) {
        let Some(id) = message["id"].as_u64() else { return };
        let run = connection.run.clone().expect("only who is in receives lines");
        let known = self.lines.entry((run.clone(), id)).or_insert_with(|| payload.to_vec());
        assert_eq!(
            String::from_utf8_lossy(known),
            String::from_utf8_lossy(payload),
            "line {id} of {run} is the same for all"
        );
        let follows = connection.newest.is_none_or(|newest| id == newest + 1);
        assert!(follows, "{id} follows {:?} for {}", connection.newest, PEOPLE[connection.whose].0);
        connection.newest = Some(id);
        self.all[connection.whose].seen = Some((run.clone(), id));
        count("line");
        if message["event"] == "ban" {
            self.is_banned = true;
            count("ban seen");
        }
        let text = message["text"].as_str().unwrap_or_default().to_owned();
        if text.contains(" says ") {
            let first = *self.texts.entry((run, text.clone())).or_insert(id);
            assert_eq!(first, id, "{text} comes once");
            connection.unheard.remove(&text);
        }
    }

    /// Checks who is in, when everybody who may is. Gives how many names they have.
    pub(super) fn check_end(&self, connections: &[&Connection]) -> usize {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut newest = BTreeSet::new();
        for connection in connections.iter().filter(|own| own.run.is_some() && !own.is_closing) {
            let person = connection.whose;
            let former = names.insert(PEOPLE[person].0, person);
            assert!(former.is_none_or(|former| former == person), "{} belongs to one", PEOPLE[person].0);
            assert_eq!(connection.unheard, BTreeSet::new(), "who speaks is heard");
            newest.insert((connection.run.clone(), connection.newest));
        }
        assert!(newest.len() <= 1, "all have heard the same: {newest:?}");
        let is_in = |person: usize| names.values().any(|own| *own == person);
        for person in 0..PEOPLE.len() {
            assert!(is_in(person) == self.may_enter(person) || !self.may_enter(person), "{person} is in");
        }
        if self.is_banned && !self.may_lose {
            assert!(!is_in(BANNED), "who is banned is in on no node");
        }
        names.len()
    }
}
