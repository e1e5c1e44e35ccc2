//! A member that follows the room from node to node, as the page does: it resumes with the last id that it
//! has seen, says again what it has not heard, and checks each line as it comes.

use crate::support::{Client, Event, Plume};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a member waits for what the log has to bring at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// Longer than it takes until a node that hears nothing of the engine knows that it is apart, and until it
/// has come back.
pub(crate) const APART_SOON: Duration = Duration::from_secs(15);

/// A member, on one connection at a time.
pub(crate) struct Member {
    name: String,
    client: Client,
    token: String,
    run: String,
    /// The id that the next line of this run must have, if that is known.
    next: Option<u64>,
    /// Lines that were heard, in order.
    lines: Vec<Line>,
    /// Reasons of notices, in order.
    notices: Vec<String>,
    /// What was said and not heard, with its `ref`.
    unheard: VecDeque<(String, String)>,
    said: usize,
    /// The code of the close frame, and 0 without one.
    closed: Option<u16>,
}

/// A line of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) run: String,
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Member {
    /// Logs in with a code, and waits until the room has heard of it.
    pub(crate) fn enter(node: &Plume, name: &str) -> Self {
        let mut client = Client::asking(node, name);
        client.auth(&node.code_for(name));
        let mut member = Self {
            name: name.to_owned(),
            client,
            token: String::new(),
            run: String::new(),
            next: None,
            lines: Vec::new(),
            notices: Vec::new(),
            unheard: VecDeque::new(),
            said: 0,
            closed: None,
        };
        assert!(member.wait_ack().is_some(), "{name}: closed while logging in");
        let name = name.to_owned();
        member.wait("own entering", SOON, |member| member.has_heard(&name, "entered chat"));
        member
    }

    /// Connects to a node with the session and the place in the log, and says again what was not heard.
    pub(crate) fn resume_on(&mut self, node: &Plume) {
        let last = loop {
            self.client = Client::open(node);
            self.closed = None;
            let after = self.next.and_then(|next| next.checked_sub(1));
            let run = after.map(|_| self.run.clone());
            self.client.resume(&self.token, run.as_deref(), after);
            if let Some(last) = self.wait_ack() {
                break last;
            }
        };
        // What is among them must not be said again.
        self.wait("missed lines", SOON, |member| last == 0 || member.next.is_some_and(|next| next > last));
        for (reference, text) in self.unheard.clone() {
            self.send_line(&text, &reference);
        }
    }

    /// The id up to which the authAck is true; `None`: another run begins, and everybody is to come back.
    fn wait_ack(&mut self) -> Option<u64> {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.client.next_within(left) {
                Some(Event::Json(message)) if message["type"] == 3 => return Some(self.take_ack(&message)),
                Some(Event::Json(message)) if message["type"] == 6 => self.take(&message),
                Some(Event::Ping) => {}
                Some(Event::Close(Some(1012))) => return None,
                other => panic!("{other:?} instead of the authAck of {}", self.name),
            }
        }
    }

    fn take_ack(&mut self, ack: &Value) -> u64 {
        let text = |value: &Value| value.as_str().expect("authAck has token and run").to_owned();
        self.token = text(&ack["text"]);
        let run = text(&ack["run"]);
        if run != self.run {
            self.run = run;
            self.next = None;
        }
        ack["last"].as_u64().expect("authAck has the last id")
    }

    /// Says a line.
    pub(crate) fn say(&mut self, text: &str) {
        self.said += 1;
        let reference = format!("{}-{}", self.name, self.said);
        self.send_line(text, &reference);
        self.unheard.push_back((reference, text.to_owned()));
    }

    /// Where the connection has ended, it is sent over the next one.
    fn send_line(&mut self, text: &str, reference: &str) {
        let line = json!({"type": 1, "text": text, "ref": reference});
        self.client.try_send_text(&line.to_string());
    }

    /// Says a line, and waits until it has come back.
    pub(crate) fn talk(&mut self, text: &str) {
        self.say(text);
        self.wait("own line", SOON, |member| member.unheard.is_empty());
    }

    /// Reads on until somebody says this.
    pub(crate) fn hear(&mut self, name: &str, text: &str) {
        self.hear_within(SOON, name, text);
    }

    pub(crate) fn hear_within(&mut self, patience: Duration, name: &str, text: &str) {
        self.wait(&format!("{name}: {text}"), patience, |member| member.has_heard(name, text));
    }

    /// Reads on until it is closed, and gives the code.
    pub(crate) fn wait_close(&mut self, patience: Duration) -> u16 {
        self.wait("close", patience, |member| member.closed.is_some());
        self.closed.unwrap_or_default()
    }

    /// Reads on until a notice with this reason has come since it entered.
    pub(crate) fn wait_notice(&mut self, patience: Duration, reason: &str) {
        self.wait(reason, patience, |member| member.notices.iter().any(|notice| notice == reason));
    }

    /// Reads on until that is so.
    pub(crate) fn wait(&mut self, what: &str, patience: Duration, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + patience;
        while !is_so(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && self.read(left),
                "{}: no {what} within {patience:?}; closed {:?}, notices {:?}, unheard {:?}, newest lines {:?}",
                self.name,
                self.closed,
                self.notices,
                self.unheard,
                self.lines.iter().rev().take(5).collect::<Vec<_>>()
            );
        }
    }

    /// Reads what comes within this time, one message; false if nothing came or nothing can.
    pub(crate) fn read(&mut self, patience: Duration) -> bool {
        if self.closed.is_some() {
            return false;
        }
        match self.client.next_within(patience) {
            Some(Event::Json(message)) => self.take(&message),
            Some(Event::Ping | Event::Pong(_)) => {}
            Some(Event::Close(code)) => self.closed = Some(code.unwrap_or_default()),
            Some(Event::End(_)) => self.closed = Some(0),
            None => return false,
        }
        true
    }

    fn take(&mut self, message: &Value) {
        match (message["type"].as_u64(), message["id"].as_u64()) {
            (Some(1 | 10), Some(id)) => self.take_line(id, message),
            (Some(6), _) => {
                let reason = message["reason"].as_str().expect("a notice has a reason").to_owned();
                if reason == "gap" {
                    self.next = None;
                }
                self.notices.push(reason);
            }
            _ => {}
        }
    }

    /// Lines of a run come each once and in order, whichever node they come from.
    fn take_line(&mut self, id: u64, message: &Value) {
        let name = &self.name;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let own_ref = message["ref"].as_str().filter(|_| message["user"]["name"] == json!(name));
        if let Some(reference) = own_ref {
            self.unheard.retain(|(own, _)| own != reference);
            // What was said again and stands already is answered with the line that stands.
            if self.next.is_some_and(|next| id < next) {
                return;
            }
        }
        assert!(self.next.is_none_or(|next| next == id), "{name} expects {:?}: {message}", self.next);
        self.next = Some(id + 1);
        let (run, name) = (self.run.clone(), text(&message["user"]["name"]));
        self.lines.push(Line { run, id, name, text: text(&message["text"]) });
    }

    pub(crate) fn has_heard(&self, name: &str, text: &str) -> bool {
        self.count_of(name, text) > 0
    }

    /// How often it has heard this.
    pub(crate) fn count_of(&self, name: &str, text: &str) -> usize {
        self.lines.iter().filter(|line| line.name == name && line.text == text).count()
    }

    /// All lines of the room that it has heard, in order.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What somebody has said, as it was heard.
    pub(crate) fn lines_of(&self, name: &str) -> Vec<&str> {
        self.lines.iter().filter(|line| line.name == name).map(|line| line.text.as_str()).collect()
    }

    /// Asserts that it has heard so many numbered lines of somebody, each once and in order.
    pub(crate) fn assert_numbered(&self, name: &str, count: usize) {
        let mut said = self.lines_of(name);
        said.retain(|text| text.starts_with("line "));
        let expected: Vec<String> = (0..count).map(|n| format!("line {n}")).collect();
        assert_eq!(said, expected, "{name} as {} hears it", self.name);
    }

    pub(crate) fn closed(&self) -> Option<u16> {
        self.closed
    }

    pub(crate) fn notices(&self) -> &[String] {
        &self.notices
    }

    /// How much of what it said has not come back.
    pub(crate) fn unheard(&self) -> usize {
        self.unheard.len()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

/// Asserts that what two have heard of one run is the same, from the later beginning to the earlier end.
pub(crate) fn assert_agree(one: &Member, other: &Member) {
    let of_run = |member: &Member| -> Vec<Line> {
        member.lines().iter().filter(|line| line.run == one.run()).cloned().collect()
    };
    assert_eq!(one.run(), other.run(), "{} and {}", one.name(), other.name());
    let heard = [of_run(one), of_run(other)];
    let from = heard.iter().map(|lines| lines.first().map_or(0, |line| line.id)).max();
    let to = heard.iter().map(|lines| lines.last().map_or(0, |line| line.id)).min();
    let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
    assert!(from <= to, "{} and {} have heard nothing in common", one.name(), other.name());
    let common = |lines: &[Line]| -> Vec<Line> {
        lines.iter().filter(|line| (from..=to).contains(&line.id)).cloned().collect()
    };
    let [first, second] = heard.map(|lines| common(&lines));
    let differ = first.iter().zip(&second).find(|(line, same)| line != same);
    assert_eq!(differ, None, "{} and {}", one.name(), other.name());
    assert_eq!(first.len(), second.len(), "{} and {}", one.name(), other.name());
}

/// Everybody is closed and comes back to the same node, in a new run.
pub(crate) fn all_come_back(members: &mut [Member], nodes: &[Plume]) {
    for (member, node) in members.iter_mut().zip(nodes) {
        let run = member.run().to_owned();
        assert_eq!(member.wait_close(APART_SOON), 1012, "{}", member.name());
        member.resume_on(node);
        assert_ne!(member.run(), run, "{}: a number means one line within a run", member.name());
    }
}

/// Each says a line, and all hear it.
pub(crate) fn all_talk(members: &mut [Member], word: &str) {
    for member in members.iter_mut() {
        member.say(&format!("{word} {}", member.name()));
    }
    let names: Vec<String> = members.iter().map(|member| member.name().to_owned()).collect();
    for member in members.iter_mut() {
        for name in &names {
            member.hear(name, &format!("{word} {name}"));
        }
    }
    for member in &members[1..] {
        assert_agree(&members[0], member);
    }
}

/// All read, and come back to their nodes after each close, until that is so.
pub(crate) fn go_on_until(members: &mut [Member], nodes: &[Plume], is_so: impl Fn(&[Member]) -> bool) {
    let deadline = Instant::now() + 2 * APART_SOON;
    while !is_so(members) {
        for (member, node) in members.iter_mut().zip(nodes) {
            assert!(Instant::now() < deadline, "{} waits for {}", member.name(), member.unheard());
            if member.closed().is_some() {
                member.resume_on(node);
            }
            member.read(Duration::from_millis(20));
        }
    }
}

/// One on each node; all have heard all enter.
pub(crate) fn enter_all(nodes: &[Plume], names: &[&str]) -> Vec<Member> {
    let mut members: Vec<Member> =
        nodes.iter().zip(names).map(|(node, name)| Member::enter(node, name)).collect();
    for member in &mut members {
        for name in names {
            member.hear(name, "entered chat");
        }
    }
    members
}
