//! One peer of the world, with its half of the connection, and all that it may expect of the server.

use super::codec::{PONG, Received, frame};
use super::ledger::Address;
use plume::base::time::Moment;
use plume::ids::ClientId;
use plume::limits::BACKLOG_BYTES_MIN;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// The lines of the room. All clients of a world must receive the same bytes for the same id.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    by_id: BTreeMap<u64, Rc<Line>>,
    /// Lines that a client was the first to receive since [`Lines::take_new`].
    new: Vec<Rc<Line>>,
    /// The newest id of each number that clients have put into a line.
    numbers: BTreeMap<usize, u64>,
    /// Texts that a user has said on more than one connection.
    pub(crate) repeated: BTreeSet<String>,
    /// Names of users who have sent what may have been messages of any kind.
    pub(crate) rogues: BTreeSet<&'static str>,
    /// Names of moderators.
    moderators: BTreeSet<&'static str>,
    /// Ids of deleted lines, each with the number of lines that were known to be deleted before.
    deleted: BTreeMap<u64, usize>,
    /// How often the place of a deleted line was received, and how often its words, by who had begun to.
    pub(crate) places_of_deleted: u64,
    pub(crate) words_of_deleted: u64,
}

/// What a line of the room says.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) id: u64,
    payload: Vec<u8>,
    pub(crate) name: String,
    text: String,
    pub(crate) event: Option<String>,
    /// The ids of the lines that it says are deleted.
    of: Vec<u64>,
    /// Whom an act is about.
    pub(crate) who: Option<String>,
    pub(crate) reference: Option<String>,
    /// Its user has sent bytes of any kind, which may have been lines.
    is_rogues: bool,
    /// It was said on more than one connection.
    is_repeated: bool,
}

impl Lines {
    /// No lines yet, in a room with these moderators.
    pub(crate) fn of(moderators: impl IntoIterator<Item = &'static str>) -> Self {
        Self { moderators: moderators.into_iter().collect(), ..Self::default() }
    }

    /// Reads a line of the room, and keeps it if it is new.
    fn read(&mut self, id: u64, message: &Value, payload: &[u8]) -> Rc<Line> {
        let string = |value: &Value| value.as_str().map(str::to_owned);
        let name = string(&message["user"]["name"]).expect("every line has a user");
        let text = string(&message["text"]).expect("every line has a text");
        let is_rogues = self.rogues.contains(name.as_str());
        let is_repeated = self.repeated.contains(&text);
        let of = message["of"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let (event, who, reference) =
            (string(&message["event"]), string(&message["who"]), string(&message["ref"]));
        let payload = payload.to_vec();
        self.add(Line { id, payload, name, text, event, of, who, reference, is_rogues, is_repeated })
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// All lines that any client has received, in order.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Line> {
        self.by_id.values().map(Rc::as_ref)
    }

    /// The id of the newest line that any client has received.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.by_id.keys().next_back().copied()
    }

    /// The number of the line with this id, if a client of the world has said it.
    pub(crate) fn number(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id)?.number()
    }

    /// How many lines are known to be deleted.
    pub(crate) fn deletes(&self) -> usize {
        self.deleted.len()
    }

    /// Who said the line with this id.
    pub(crate) fn author(&self, id: u64) -> Option<&str> {
        self.by_id.get(&id).filter(|line| line.number().is_some()).map(|line| &*line.name)
    }

    pub(crate) fn is_moderator(&self, name: &str) -> bool {
        self.moderators.contains(name)
    }

    /// The ids of lines that a client of the world has said, or of events.
    pub(crate) fn ids(&self, are_said: bool) -> Vec<u64> {
        let lines = self.by_id.values().filter(|line| line.event.is_none() == are_said);
        lines.map(|line| line.id).collect()
    }

    pub(crate) fn take_new(&mut self) -> Vec<Rc<Line>> {
        std::mem::take(&mut self.new)
    }

    fn add(&mut self, line: Line) -> Rc<Line> {
        let line = Rc::new(line);
        if !self.by_id.contains_key(&line.id) {
            self.new.push(Rc::clone(&line));
            self.check_is_new(&line);
            self.delete(&line);
        }
        let known = self.by_id.entry(line.id).or_insert_with(|| Rc::clone(&line));
        assert!(known.payload == line.payload, "all receive the same bytes: line {}", line.id);
        line
    }
}

impl Lines {
    /// Only its author and moderators delete a line, and no line twice.
    fn delete(&mut self, act: &Line) {
        for id in &act.of {
            let is_allowed =
                act.who.as_ref() == Some(&act.name) || self.moderators.contains(act.name.as_str());
            assert!(is_allowed, "{} may not delete line {id}", act.name);
            if let Some(line) = self.by_id.get(id) {
                assert!(line.event.is_none() && Some(&line.name) == act.who.as_ref(), "{line:?} {act:?}");
            }
            let former = self.deleted.insert(*id, self.deleted.len());
            assert!(former.is_none(), "line {id} is deleted once");
        }
    }

    /// A line with a `ref` is not said twice while the first stands in the ring.
    fn check_is_new(&mut self, line: &Line) {
        let Some(number) = line.number().filter(|_| !line.is_rogues) else { return };
        let Some(former) = self.numbers.insert(number, line.id).filter(|&former| former < line.id) else {
            return;
        };
        let between = || self.by_id.range(former..line.id).map(|(_, line)| line.payload.len());
        // Of lines that no client has received, nobody knows how long they were.
        let are_known = between().count() as u64 == line.id - former;
        let bytes: usize = between().sum();
        assert!(!are_known || bytes >= BACKLOG_BYTES_MIN / 2, "line {number} was said twice");
    }
}

impl Line {
    /// The number that clients of a world put into what they say.
    pub(crate) fn number(&self) -> Option<usize> {
        self.text.split(' ').nth(2)?.parse().ok().filter(|_| self.event.is_none())
    }
}

/// Where a client is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Http,
    /// Has asked to follow the room over HTTP.
    Following,
    /// Has asked for an upgrade.
    Upgrading,
    Guest,
    Member,
    /// Was sent a close frame.
    Closed,
}

/// What a guest has asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Nothing,
    /// A login code.
    Code,
    /// To enter with a code.
    Login,
    /// To enter with a session token.
    Resume,
    /// The same with what has not the form of a token.
    NoToken,
}

/// A user, or somebody who would like to be one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    /// What all names share that look like this one.
    pub(crate) likeness: &'static str,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) person: Person,
    pub(crate) address: Address,
    /// A proxy speaks for it.
    pub(crate) is_proxied: bool,
    pub(crate) phase: Phase,
    /// Requests that have not been answered.
    pub(crate) answers_due: usize,
    /// Was told that there is no place.
    pub(crate) is_refused: bool,
    /// Reads and answers pings all the time, however slowly it reads, and sends pings.
    pub(crate) is_steady: bool,
    pub(crate) pinged_at: Moment,
    /// Has asked for something and waits for what becomes of it.
    pub(crate) is_waiting: bool,
    pub(crate) asked: Asked,
    /// The type of the message that was received last.
    last_type: Option<i64>,
    pub(crate) asked_at: Moment,
    /// Requests for codes on this connection.
    pub(crate) codes_asked: u32,
    /// What it last asked with was its own.
    pub(crate) may_enter: bool,
    /// The code and the flow token that it came in with.
    pub(crate) typed: Option<(String, String)>,
    /// Codes that are said to be on their way.
    pub(crate) codes_sent: u32,
    pub(crate) flow_token: Option<String>,
    pub(crate) session: Option<String>,
    /// Has logged out.
    pub(crate) has_left: bool,
    /// Was told that its stream ends, and why.
    pub(crate) stream_end: Option<String>,
    /// It or another connection of its session has logged out.
    pub(crate) is_leaving: bool,
    pub(crate) close_code: Option<u16>,
    /// The newest line that was seen, and the first that is expected after a resume.
    pub(crate) newest: Option<u64>,
    pub(crate) resumed_after: Option<u64>,
    pub(crate) names: BTreeSet<String>,
    names_true_up_to: u64,
    /// Texts that were sent as a member, not yet seen as lines.
    pub(crate) unconfirmed: VecDeque<String>,
    /// Texts that its user had said before, and that it said again.
    pub(crate) repeated: BTreeSet<String>,
    /// How many lines were known to be deleted when the frame began that is being received.
    pub(crate) begun_at: usize,
    /// Deleted lines whose places were received, and not yet who deleted them.
    unexplained: BTreeSet<u64>,
    /// Has sent bytes that mean nothing or anything, which may swallow what it says after that.
    pub(crate) is_garbled: bool,
    /// Notices, each with the wait that it names.
    pub(crate) notices: Vec<(String, Option<u64>)>,
    pub(crate) resets: u32,
    pub(crate) names_refused: u32,
    /// How often it was refused at the door.
    pub(crate) not_admitted: u32,
    /// Lines that it was not allowed to say.
    pub(crate) lines_refused: u32,
}

impl Client {
    pub(crate) fn new(id: ClientId, person: Person, address: Address, is_proxied: bool) -> Self {
        Self {
            id,
            person,
            address,
            is_proxied,
            phase: Phase::Http,
            answers_due: 0,
            is_refused: false,
            is_steady: false,
            pinged_at: Moment::from_ms(0),
            is_waiting: false,
            asked: Asked::Nothing,
            last_type: None,
            asked_at: Moment::from_ms(0),
            codes_asked: 0,
            may_enter: false,
            typed: None,
            codes_sent: 0,
            flow_token: None,
            session: None,
            has_left: false,
            stream_end: None,
            is_leaving: false,
            close_code: None,
            newest: None,
            resumed_after: None,
            names: BTreeSet::new(),
            names_true_up_to: 0,
            unconfirmed: VecDeque::new(),
            repeated: BTreeSet::new(),
            begun_at: 0,
            unexplained: BTreeSet::new(),
            is_garbled: false,
            notices: Vec::new(),
            resets: 0,
            names_refused: 0,
            not_admitted: 0,
            lines_refused: 0,
        }
    }

    /// Checks what the server has sent. Gives what the client answers at once.
    pub(crate) fn receive(&mut self, received: Received, lines: &mut Lines) -> Option<Vec<u8>> {
        match received {
            Received::Response(status) => self.receive_response(status),
            Received::Chunk(chunk) => self.receive_chunk(&chunk, lines),
            Received::LastChunk => {
                assert_eq!(self.stream_end.as_deref(), Some("restarting"), "only a restart ends a stream");
            }
            Received::Pong(payload) => {
                assert!(payload == PING_PAYLOAD || self.is_garbled, "a pong carries what the ping did");
            }
            Received::Ping(payload) => {
                assert!(payload.is_empty(), "a ping of the server carries nothing");
                return Some(frame(PONG, b"", [3; 4]));
            }
            Received::Close(code) => (self.phase, self.close_code) = (Phase::Closed, code),
            Received::Text(payload) => self.receive_text(&payload, lines),
        }
        None
    }

    fn receive_response(&mut self, status: u16) {
        match (status, self.answers_due.checked_sub(1)) {
            (_, Some(due)) => self.answers_due = due,
            // Nobody has to ask to be told that there is no place, or that it took too long.
            (408 | 503, None) => {}
            (_, None) => assert!(self.is_garbled, "{status} without a request"),
        }
        self.is_refused |= status == 503;
        if self.phase == Phase::Following && self.answers_due == 0 && status != 200 {
            self.phase = Phase::Http;
        }
        if status == 101 {
            assert!(self.phase == Phase::Upgrading || self.is_garbled, "only who asks is upgraded");
            self.phase = Phase::Guest;
        }
    }

    /// Who follows the room gets all lines from one on, in order, and the same bytes as members, but not the
    /// places of deleted ones; nothing follows the notice that ends it.
    fn receive_chunk(&mut self, chunk: &[u8], lines: &mut Lines) {
        assert_eq!(self.phase, Phase::Following, "only who asked for lines gets them");
        assert!(chunk.ends_with(b"\n"), "lines are whole");
        for payload in chunk.split(|&byte| byte == b'\n').filter(|payload| !payload.is_empty()) {
            assert!(self.stream_end.is_none(), "nothing follows the end");
            let message: Value = serde_json::from_slice(payload).expect("a line is JSON");
            let field = |value: &Value| value.as_str().expect("a text").to_owned();
            let Some(id) = message["id"].as_u64() else {
                self.stream_end = Some(field(&message["reason"]));
                continue;
            };
            assert_eq!(message["type"], 1, "nothing else has an id");
            let line = lines.read(id, &message, payload);
            for gone in self.newest.map_or(id, |newest| newest + 1)..id {
                self.receive_gone(gone, lines);
            }
            self.take_turn(id);
            self.check_deleted(&line, lines);
        }
    }

    fn receive_text(&mut self, payload: &[u8], lines: &mut Lines) {
        // A long line is parsed once, and not once for each member.
        let expected = self.newest.and_then(|newest| lines.by_id.get(&(newest + 1)));
        if let Some(line) = expected.filter(|line| line.payload == payload).map(Rc::clone) {
            return self.receive_line(&line, lines);
        }
        let message: Value = serde_json::from_slice(payload).expect("a text frame is JSON");
        if message["type"] == 10 {
            let id = message["id"].as_u64().expect("it has the id of the line");
            assert_eq!(message, json!({"type": 10, "id": id}), "and nothing else");
            return self.receive_gone(id, lines);
        }
        self.receive_message(&message, payload, lines);
    }

    fn receive_message(&mut self, message: &Value, payload: &[u8], lines: &mut Lines) {
        let text = message["text"].as_str().expect("every message has a text");
        let name = message["user"]["name"].as_str().expect("every message has a user");
        let kind = message["type"].as_i64().expect("every message has a type");
        // Some come without a question: lines, a failed email, and after the answer to a hello the word that
        // its code was sent before.
        let is_aside = message["reason"] == "mail-limited" && self.last_type == Some(0);
        self.is_waiting &= matches!(kind, 1 | 9) || message["reason"] == "mail-failed" || is_aside;
        self.last_type = Some(kind);
        match kind {
            0 => {
                self.flow_token = Some(text.to_owned());
                self.codes_sent += 1;
            }
            1 => match message["id"].as_u64() {
                None => {
                    assert_eq!((name, self.phase), ("plumebot", Phase::Member), "a line without an id");
                    if message["reason"] == "muted" || message["reason"] == "slow" {
                        self.lines_refused += 1;
                        let number = message["ref"].as_str().unwrap_or_default();
                        let begin = format!("{} says {number} ", self.person.name);
                        self.unconfirmed.retain(|text| !text.starts_with(&begin));
                    }
                }
                Some(id) => {
                    let line = lines.read(id, message, payload);
                    self.receive_line(&line, lines);
                }
            },
            3 => self.enter(message, name, text),
            4 => {
                assert!(message["left"].as_u64().expect("tries left") < 5);
                self.resets += 1;
                self.resumed_after = None;
            }
            5 if message["reason"] == "not-admitted" => self.not_admitted += 1,
            5 => self.names_refused += 1,
            6 => {
                let reason = message["reason"].as_str().expect("a notice has a reason");
                if reason == "gap" {
                    self.resumed_after = None;
                }
                self.notices.push((reason.to_owned(), message["retry"].as_u64()));
            }
            9 => assert!(text == PING_TEXT || self.is_garbled, "a ping is answered with its text"),
            other => panic!("type {other} is not the server's"),
        }
    }

    fn enter(&mut self, message: &Value, name: &str, token: &str) {
        assert_eq!(self.phase, Phase::Guest, "nobody enters twice");
        assert!(self.may_enter, "only who has the right to is let in");
        assert_eq!(name, self.person.name, "everybody enters under their own name");
        self.phase = Phase::Member;
        self.session = Some(token.to_owned());
        let names = message["names"].as_array().expect("names");
        self.names = names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect();
        assert_eq!(self.names.len(), names.len(), "nobody is named twice");
        assert_eq!(message["count"].as_u64(), Some(names.len() as u64));
        assert!(self.names.contains(name), "who enters is in");
        self.names_true_up_to = message["last"].as_u64().expect("last");
    }

    /// A line comes in its turn.
    fn take_turn(&mut self, id: u64) {
        assert!(matches!(self.phase, Phase::Member | Phase::Following), "a stranger is told nothing");
        if let Some(newest) = self.newest {
            assert_eq!(id, newest + 1, "each line once, in order, none left out");
        } else if let Some(after) = self.resumed_after {
            // Who has seen nothing yet gets what its session may have seen.
            assert!(id == after + 1 || after == 0, "a resume leaves nothing out: {id} after {after}");
        }
        self.newest = Some(id);
    }

    /// In the place of a line comes word that it was deleted. By whom follows.
    fn receive_gone(&mut self, id: u64, lines: &mut Lines) {
        self.take_turn(id);
        self.unexplained.insert(id);
        lines.places_of_deleted += 1;
        if let Some(line) = lines.by_id.get(&id) {
            assert_eq!(line.event, None, "only what was said is deleted");
            self.unconfirmed.retain(|said| *said != line.text);
        }
    }

    /// Whether the client, which has received everything, knows who deleted what it did not get.
    pub(crate) fn knows_who_deleted(&self) -> bool {
        self.unexplained.is_empty()
    }

    /// Of a deleted line only who had begun to receive it gets the words.
    fn check_deleted(&mut self, line: &Line, lines: &mut Lines) {
        let deleted = lines.deleted.get(&line.id);
        assert!(
            deleted.is_none_or(|&before| self.begun_at <= before),
            "line {} was deleted, and {} had not begun to receive it",
            line.id,
            self.person.name
        );
        lines.words_of_deleted += u64::from(deleted.is_some());
        for deleted in &line.of {
            self.unexplained.remove(deleted);
        }
    }

    fn receive_line(&mut self, line: &Line, lines: &mut Lines) {
        let Line { id, name, text, event, is_rogues, is_repeated, .. } = line;
        if self.newest.is_some_and(|newest| *id <= newest) && self.repeated.contains(text) {
            return;
        }
        self.take_turn(*id);
        self.check_deleted(line, lines);
        if *id > self.names_true_up_to {
            match event.as_deref() {
                Some("enter") => assert!(self.names.insert(name.clone()), "{name} was in already"),
                Some("leave") => assert!(self.names.remove(name), "{name} was not in"),
                Some("delete") => assert!(self.names.contains(name), "{name} deletes and is not in"),
                Some("kick" | "mute" | "unmute" | "ban" | "unban" | "slow" | "lock" | "unlock" | "topic") => {
                    assert!(self.names.contains(name), "{name} acts and is not in");
                }
                Some(other) => panic!("no such event: {other}"),
                None => {
                    assert!(self.names.contains(name), "{name} speaks and is not in");
                    assert!(
                        *is_rogues || text.starts_with(&format!("{name} says ")),
                        "{name} has not said this: {text:.40}"
                    );
                }
            }
        }
        // What was said again on another connection may have come to be said before what was said first.
        let place = self.unconfirmed.iter().position(|said| said == text);
        if let Some(place) = place.filter(|&place| place == 0 || *is_repeated) {
            self.unconfirmed.remove(place);
        }
    }
}

/// What clients of a world put into their pings.
pub(crate) const PING_PAYLOAD: &[u8] = b"ping";
/// The text of the pings that a page can send.
pub(crate) const PING_TEXT: &str = "still here";
