//! What the peers of a world do: what a client in its place would do, what it should not, and what somebody
//! would try who wants to be in where they don't belong.

use super::places::PROXY;
use super::{BOT_TOKEN, PEOPLE, Sent, World};
use crate::testkit::client::{Asked, Client, PING_PAYLOAD, PING_TEXT, Phase};
use crate::testkit::codec::{CLOSE, PING, PONG, Received, TEXT, frame, upgrade};
use crate::testkit::ledger::Stamp;
use plume::ids::ClientId;
use plume::limits::SESSION_TTL;
use serde_json::{Value, json};
use std::net::IpAddr;

impl World {
    /// A client does something, as the nature of this world has it.
    pub(super) fn behave(&mut self, client: &mut Client) {
        if self.shell.sockets.get(&client.id).is_none_or(|socket| socket.has_ended) {
            return;
        }
        let is_attack = self.choices.chance(self.nature.malice);
        match client.phase {
            Phase::Http if client.is_garbled => {}
            // Whose first request is an attack never comes to the next.
            Phase::Http if is_attack && self.choices.chance(200) => self.smuggle(client),
            Phase::Http => self.visit(client),
            Phase::Following | Phase::Upgrading | Phase::Closed => {}
            Phase::Guest if client.is_waiting => {}
            Phase::Guest if is_attack => self.attack(client),
            Phase::Guest => self.ask_to_enter(client),
            Phase::Member if is_attack => self.pretend(client),
            Phase::Member => self.talk(client),
        }
    }

    fn visit(&mut self, client: &mut Client) {
        let (bytes, answers): (&[u8], _) = match self.choices.below(30) {
            0 => (b"GET / HTTP/1.1\r\nHost: plume.test\r\n\r\n", 1),
            1 => (
                b"GET /nothing HTTP/1.1\r\nHost: plume.test\r\n\r\n\
                GET /healthz HTTP/1.1\r\nHost: plume.test\r\n\r\n",
                2,
            ),
            2 => (b"\x16\x03\x01 no HTTP at all\r\n\r\n", 1),
            3 => {
                client.is_garbled = true;
                (b"GET / HTTP/1.1\r\nHos", 1)
            }
            4 => (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 1),
            5 => (b"GET /healthz HTTP/1.0\r\n\r\n", 1),
            6 => (b"GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n", 1),
            7 => (b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1),
            8 => (b"GET /connect HTTP/1.1\r\nHost: x\r\n\r\n", 1),
            // Many requests, whose answers are read: each turn has something to write to this client.
            9 => return self.pipeline(client),
            10 => {
                client.phase = Phase::Following;
                client.answers_due += 1;
                let fields = format!("Host: x\r\nAuthorization: Bearer {BOT_TOKEN}\r\n");
                let request = format!("GET /lines?follow HTTP/1.1\r\n{fields}\r\n");
                return self.shell.send(client.id, request.as_bytes());
            }
            _ => {
                client.phase = Phase::Upgrading;
                client.answers_due += 1;
                let forwarded = self.forwarded(client);
                return self.shell.send(client.id, &upgrade(&forwarded));
            }
        };
        client.answers_due += answers;
        self.shell.send(client.id, bytes);
    }

    fn pipeline(&mut self, client: &mut Client) {
        const REQUESTS: usize = 50;
        client.answers_due += REQUESTS;
        self.shell.send(client.id, &b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".repeat(REQUESTS));
    }

    /// The field in which a proxy names the client; or that of a client that no proxy speaks for.
    fn forwarded(&mut self, client: &Client) -> String {
        let invented = self.choices.below(4);
        match client.address.filter(|_| client.is_proxied) {
            Some(PROXY) => "X-Forwarded-For: unknown\r\n".to_owned(),
            // What stands to the left of the proxy's own word is the client's, and may be anything.
            Some(address @ IpAddr::V6(_)) => {
                format!("X-Forwarded-For: 203.0.113.{invented}, [{address}]:443, 10.0.0.9\r\n")
            }
            Some(address) => format!("X-Forwarded-For: 203.0.113.{invented}, {address}, 10.0.0.9\r\n"),
            None => format!("X-Forwarded-For: 203.0.113.{invented}\r\n"),
        }
    }

    /// Sends a request that hides another one, or is far too much of one. It has at most one answer.
    fn smuggle(&mut self, client: &mut Client) {
        const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nHost: plume.test\r\n\r\n";
        let (fields, body) = match self.choices.below(9) {
            0 => (format!("Content-Length: {}\r\n", HIDDEN.len()), HIDDEN),
            1 => ("Transfer-Encoding: chunked\r\n".to_owned(), HIDDEN),
            2 => ("Content-Length: 0\r\nContent-Length: 45\r\n".to_owned(), HIDDEN),
            3 => ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n".to_owned(), HIDDEN),
            4 => ("Host: elsewhere.test\r\n".to_owned(), HIDDEN),
            5 => ("X:\0\r\n".to_owned(), HIDDEN),
            6 => (format!("X: {}\r\n", "x".repeat(20_000)), ""),
            7 => ("X: y\r\n".repeat(70), ""),
            _ => (" folded: field\r\n".to_owned(), HIDDEN),
        };
        self.tally.count("attack", 1);
        client.answers_due += 1;
        client.is_garbled = true;
        let request = format!("GET / HTTP/1.1\r\nHost: plume.test\r\n{fields}\r\n{body}");
        self.shell.send(client.id, request.as_bytes());
    }

    fn ask_to_enter(&mut self, client: &mut Client) {
        let own_code = self.codes.iter().rposition(|(email, _)| *email == client.person.email);
        let session = self.sessions.iter().rfind(|(name, _)| *name == client.person.name);
        let session = session.map(|(_, token)| token.clone());
        client.may_enter = false;
        client.typed = None;
        let is_swarm = self.nature.swarm.is_some_and(|swarm| swarm.name == client.person.name);
        let roll = match self.choices.below(20) {
            _ if is_swarm && session.is_some() => RESUME,
            // What comes from one network asks for codes and tries them as fast as it can.
            roll @ RESUME.. if self.nature.places.is_siege() => {
                [WRONG_CODE, HELLO][usize::from(roll % 2 == 0)]
            }
            roll => roll,
        };
        let message = match (roll, own_code, session) {
            (0..6, Some(at), _) if client.flow_token.is_some() => {
                let (_, code) = self.codes.remove(at);
                let flow = client.flow_token.take().expect("just looked");
                client.may_enter = true;
                client.typed = Some((code.clone(), flow.clone()));
                json!({"type": 2, "text": code, "flow": flow})
            }
            (RESUME..12, _, Some(token)) => {
                self.tally.count("resume", 1);
                client.may_enter = true;
                client.resumed_after = self.lines.newest().filter(|_| self.choices.chance(500));
                let back = self.choices.below(50);
                client.resumed_after = client.resumed_after.map(|after| after.saturating_sub(back));
                match client.resumed_after {
                    Some(after) => json!({"type": 7, "text": token, "after": after}),
                    None => json!({"type": 7, "text": token}),
                }
            }
            (WRONG_CODE, ..) => json!({"type": 2, "text": "000000"}),
            (13, ..) => json!({"type": 7, "text": "AAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
            (14, ..) => json!({"type": 1, "text": "a stranger speaks"}),
            (15, ..) => return self.misbehave(client),
            _ => json!({"type": 0, "text": format!("{}\n{}", client.person.name, client.person.email)}),
        };
        self.ask(client, &message);
    }

    /// Sends a guest's message, to which there is an answer unless it is a line.
    fn ask(&mut self, client: &mut Client, message: &Value) {
        client.is_waiting = message["type"] != 1;
        client.asked_at = self.now();
        client.asked = match message["type"].as_u64() {
            Some(0) => Asked::Code,
            Some(2) => Asked::Login,
            Some(7) if message["text"].as_str().is_none_or(|token| token.len() != TOKEN_CHARS) => {
                Asked::NoToken
            }
            Some(7) => Asked::Resume,
            _ => Asked::Nothing,
        };
        if client.asked == Asked::Code {
            client.codes_asked += 1;
            self.ledger.send_hello(client);
        }
        self.send(client, &message.to_string());
    }

    /// Tries to come in with what is not one's own, or to hold up the server. Nothing of it lets anybody in.
    fn attack(&mut self, client: &mut Client) {
        self.tally.count("attack", 1);
        client.may_enter = false;
        let session = self.pick(|world| &world.sessions).map(|(_, token)| token);
        let used = self.pick(|world| &world.used);
        let dead = self.pick(|world| &world.dead_sessions);
        let foreign = self.codes.iter().find(|(email, _)| *email != client.person.email);
        let foreign = foreign.map(|(_, code)| code.clone());
        let message = match (self.choices.below(11), foreign, session, used) {
            // The code of somebody else, for one's own flow or for none.
            (0, Some(code), ..) => json!({"type": 2, "text": code}),
            (1, Some(code), ..) => json!({"type": 2, "text": code, "flow": client.flow_token}),
            // What was good once.
            (2, _, _, Some((code, flow))) => json!({"type": 2, "text": code, "flow": flow}),
            (3, _, _, Some((_, flow))) => json!({"type": 7, "text": flow}),
            // A session token, cut, altered, longer, or in the place of a flow's.
            (4, _, Some(token), _) => json!({"type": 7, "text": token[1..]}),
            (5, _, Some(token), _) => json!({"type": 7, "text": self.altered(&token)}),
            (6, _, Some(token), _) => json!({"type": 7, "text": token.repeat(2 + self.choices.index(98))}),
            (7, _, Some(token), _) => json!({"type": 2, "text": "222222", "flow": token}),
            (8, ..) => {
                // Begins a message and leaves it at that.
                self.shell.send(client.id, &[0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4]);
                client.is_garbled = true;
                client.is_waiting = true;
                return self.tally.count("unfinished", 1);
            }
            (9, ..) => return self.shell.send(client.id, &frame(PING, PING_PAYLOAD, [7; 4]).repeat(100)),
            (10, ..) if dead.is_some() => json!({"type": 7, "text": dead}),
            _ => json!({"type": 7, "text": ""}),
        };
        self.ask(client, &message);
    }

    /// A member who would like to be somebody else.
    fn pretend(&mut self, client: &mut Client) {
        self.tally.count("attack", 1);
        let message = match self.choices.below(5) {
            0 => json!({"type": 0, "text": "plumebot\nbot@example.org"}),
            1 => json!({"type": 3, "text": "", "user": {"name": "plumebot"}}),
            2 => json!({"type": 7, "text": self.sessions.first().map(|(_, token)| token)}),
            3 => json!({"type": 2, "text": self.codes.first().map(|(_, code)| code), "flow": ""}),
            _ => {
                let more = r#","id":1,"event":"enter","user":{"name":"plumebot"}"#;
                return self.say_with(client, 0, more);
            }
        };
        // A field that is null is no message, and ends the connection.
        if message["text"].is_null() {
            client.is_garbled = true;
            self.offers.excuse(client.id);
        }
        self.send(client, &message.to_string());
    }

    fn talk(&mut self, client: &mut Client) {
        if let Some(token) = &client.session
            && !self.sessions.iter().any(|(_, known)| known == token)
        {
            self.sessions.push((client.person.name, token.clone()));
            self.tally.count("login", 1);
        }
        if self.may_command(client) {
            return;
        }
        let message = match self.choices.below(200) {
            0 => {
                self.leave(client.id, client.session.as_deref());
                client.has_left = !client.is_garbled;
                json!({"type": 8})
            }
            1 => return self.misbehave(client),
            2..6 => json!({"type": 2, "text": "again"}),
            6..12 => return self.shell.send(client.id, &frame(PING, PING_PAYLOAD, [7; 4])),
            12..16 => json!({"type": 9, "text": PING_TEXT}),
            16..20 => return self.say_again(client),
            180.. => return self.delete(client),
            roll => {
                // Long lines, so that the ring laps those who do not read.
                let padding = if roll < self.nature.loudness { 60_000 } else { 0 };
                return self.say(client, padding);
            }
        };
        self.send(client, &message.to_string());
    }

    /// Says a line that was not said before, and that tells who says it.
    pub(super) fn say(&mut self, client: &mut Client, padding: usize) {
        self.say_with(client, padding, "");
    }

    fn say_with(&mut self, client: &mut Client, padding: usize, more: &str) {
        let number = self.texts.len();
        let (user, address, at) = (client.person.name, client.address, self.now());
        let text = format!("{user} says {number} {}", "x".repeat(padding));
        let message = format!(r#"{{"type":1,"text":"{text}","ref":"{number}"{more}}}"#);
        self.texts.push(Sent { user, address, message_bytes: message.len(), is_long: padding > 0, at });
        self.text_bytes += message.len() as u64;
        client.unconfirmed.push_back(text);
        // A client to which nothing is promised may have been closed already; and lines may be refused where
        // there are moderators.
        if !self.nature.is_moderated && self.offers.members.contains(&client.id) {
            self.offers.expect(client.id, number);
        }
        self.send(client, &message);
    }

    /// Says what its user has said last, as a page does that has not seen it: nothing is said twice, and the
    /// client may be shown the line once more.
    fn say_again(&mut self, client: &mut Client) {
        let user = client.person.name;
        let last = self.texts.iter().rposition(|sent| sent.user == user);
        // After that its user may be another one to the server, of the same name.
        let is_recent = |sent: &Sent| self.now().since(sent.at) < SESSION_TTL && !sent.is_long;
        let Some(number) = last.filter(|&last| is_recent(&self.texts[last]) && client.newest.is_some())
        else {
            return;
        };
        let text = format!("{user} says {number} ");
        self.send(client, &json!({"type": 1, "text": text, "ref": number.to_string()}).to_string());
        client.repeated.insert(text.clone());
        self.lines.repeated.insert(text);
        self.tally.count("said again", 1);
    }

    /// Deletes what it may, or tries to delete what it may not.
    fn delete(&mut self, client: &mut Client) {
        // What is said meanwhile on another connection would be deleted instead.
        if !self.ledger.has_no_rate()
            || self.shell.unread(client.id) > 0
            || !self.shell.driver.server.wants_read(client.id)
        {
            return;
        }
        let command = match self.choices.below(8) {
            0..4 => {
                let are_said = self.choices.chance(900);
                let ids = self.lines.ids(are_said);
                // The newest are still on their way to some.
                let newest = ids.len().saturating_sub(1 + self.choices.index(8));
                let Some(id) = ids.get(newest) else { return };
                format!("/delete #{id}")
            }
            4..6 => {
                self.expect_deletes(client, client.person.likeness);
                format!("/delete {}", self.choices.pick(&["", "1", "3"]))
            }
            _ => {
                let person = self.choices.pick(&PEOPLE);
                self.expect_deletes(client, person.likeness);
                format!("/delete @{} {}", person.name, self.choices.pick(&["", "2", "all"]))
            }
        };
        self.send(client, &json!({"type": 1, "text": command}).to_string());
        while self.read_some(client.id) > 0 {}
    }

    /// Lines that nobody has received yet may be deleted, of people who look like this.
    fn expect_deletes(&mut self, client: &mut Client, likeness: &str) {
        let others = self.clients.values_mut().filter(|other| other.person.likeness == likeness);
        for client in others {
            client.unconfirmed.clear();
        }
        if client.person.likeness == likeness {
            client.unconfirmed.clear();
        }
        let is_theirs = |number: usize| {
            let user = self.texts.get(number).map(|sent| sent.user);
            PEOPLE.iter().any(|person| Some(person.name) == user && person.likeness == likeness)
        };
        self.offers.forget(is_theirs);
    }

    /// A client logs out, and so do all connections of its session: what they have said may be lost.
    pub(super) fn leave(&mut self, id: ClientId, session: Option<&str>) {
        self.offers.excuse(id);
        for client in self.clients.values_mut().filter(|client| client.session.as_deref() == session) {
            client.is_leaving = true;
            self.offers.excuse(client.id);
        }
    }

    /// Sends what is not in the protocol, or any bytes at all.
    fn misbehave(&mut self, client: &mut Client) {
        const FIRST_BYTES: [u8; 8] = [TEXT, 0x82, PING, PONG, CLOSE, 0x01, 0x00, 0x83];
        const SIZES: [usize; 10] = [0, 1, 2, 125, 126, 4_096, 4_097, 65_535, 65_536, 410_000];
        let bytes = match self.choices.below(9) {
            0 => frame(TEXT, b"{\"type\":", [1; 4]),
            1 => frame(TEXT, b"\xff\xfe", [1; 4]),
            2 => frame(0x83, b"reserved", [1; 4]),
            3 => vec![TEXT, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            4 => frame(CLOSE, &1000_u16.to_be_bytes(), [1; 4]),
            5 => self.choices.literal(40),
            6 => {
                let (first, size) = (self.choices.pick(&FIRST_BYTES), self.choices.pick(&SIZES));
                frame(first, &vec![b'x'; size], [0; 4])
            }
            7 => {
                let first = self.choices.pick(&FIRST_BYTES);
                frame(first, &self.choices.literal(200), [0; 4])
            }
            // Among literal bytes may be any message.
            _ => frame(TEXT, &self.choices.literal(200), [0; 4]),
        };
        if bytes.contains(&b'{') {
            self.ledger.has_rogues = true;
            self.lines.rogues.insert(client.person.name);
        }
        self.shell.send(client.id, &bytes);
        client.is_garbled = true;
        self.offers.excuse(client.id);
    }

    /// Sends a text in one frame or in two.
    pub(super) fn send(&mut self, client: &Client, text: &str) {
        let mask =
            if text.len() < 1_000 { self.step.wrapping_mul(0x9e37_79b9).to_be_bytes() } else { [0; 4] };
        if self.choices.chance(900) {
            self.shell.send(client.id, &frame(TEXT, text.as_bytes(), mask));
        } else {
            let cut = text.floor_char_boundary(self.choices.index(text.len() + 1));
            self.shell.send(client.id, &frame(0x01, &text.as_bytes()[..cut], mask));
            self.shell.send(client.id, &frame(0x80, &text.as_bytes()[cut..], mask));
        }
    }

    /// A client has received something: it is checked, and held against what everybody may have.
    pub(super) fn receive(&mut self, id: ClientId, received: Received) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let (phase, newest) = (client.phase, client.newest);
        let (codes_sent, names_refused, notices) =
            (client.codes_sent, client.names_refused, client.notices.len());
        let places_of_deleted = self.lines.places_of_deleted;
        let answer = client.receive(received, &mut self.lines);
        let is_deleted = self.lines.places_of_deleted > places_of_deleted;
        let is_unknown = client.newest.is_some_and(|newest| self.lines.number(newest).is_none());
        if is_deleted && is_unknown && !self.lines.rogues.is_empty() {
            // What they have sent may have deleted a line that nobody has received.
            self.offers.forget(|_| true);
        }
        let at = Stamp { since: client.asked_at, by: self.shell.driver.now.moment };
        let has_asked = client.asked == Asked::Code;
        if client.codes_sent > codes_sent {
            self.ledger.ask(client.address, at);
        }
        if client.names_refused > names_refused && has_asked {
            self.ledger.refuse_name(client.address, at);
        }
        if let Some((_, Some(wait))) = client.notices.get(notices)
            && has_asked
        {
            self.ledger.wait(client, *wait);
        }
        if phase == Phase::Guest && client.phase == Phase::Member {
            let (email, likeness) = (client.person.email, client.person.likeness);
            self.used.extend(client.typed.take());
            self.tally.count("name changed hands", u64::from(self.ledger.claim(likeness, email, at)));
            self.enter(id);
        }
        if let Some(answer) = answer {
            self.shell.send(id, &answer);
        }
        let Some(client) = self.clients.get(&id) else { return };
        if client.phase == Phase::Closed {
            self.offers.excuse(id);
        }
        if client.newest == newest {
            return;
        }
        if let Some(number) = client.newest.and_then(|newest| self.lines.number(newest)) {
            self.offers.receive(id, number);
        }
        for line in self.lines.take_new() {
            self.seen.insert(line.id, self.shell.driver.now.moment);
            let Some(sent) = line.number().and_then(|number| self.texts.get(number)) else { continue };
            let at = Stamp { since: sent.at, by: self.shell.driver.now.moment };
            self.ledger.post_line(sent.user, sent.address, sent.message_bytes, at);
        }
    }

    /// A client has become a member. Some are steady from now on, and some of those read slowly.
    fn enter(&mut self, id: ClientId) {
        let is_steady = self.choices.chance(self.nature.steadiness);
        let is_slow = is_steady && self.choices.chance(300);
        let pace = is_slow.then(|| self.choices.pick(&[1_000, 2_000, 4_000]));
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.is_steady = is_steady;
        client.pinged_at = self.shell.driver.now.moment;
        let user = client.person.name;
        if let Some(socket) = self.shell.sockets.get_mut(&id) {
            socket.is_stalled &= !is_steady;
            socket.pace = pace;
        }
        if is_steady {
            self.shell.drain(id, usize::MAX);
        }
        let of_user = |client: &&Client| client.phase == Phase::Member && client.person.name == user;
        let connections = self.clients.values().filter(of_user).count();
        self.tally.count("slow reader", u64::from(is_slow));
        self.tally.count("user with many connections", u64::from(connections == MANY));
    }

    fn pick<T: Clone>(&mut self, of: impl Fn(&Self) -> &Vec<T>) -> Option<T> {
        let len = of(self).len();
        let at = (len > 0).then(|| self.choices.index(len))?;
        of(self).get(at).cloned()
    }

    /// A token with another character in one place.
    fn altered(&mut self, token: &str) -> String {
        let mut bytes = token.as_bytes().to_vec();
        // The last character has bits that mean nothing, but such spellings are refused, too.
        let at = self.choices.index(bytes.len());
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("base64 is ASCII")
    }
}

/// More connections than other users come to have.
const MANY: usize = 24;
/// Of the rolls of a guest who would like to enter, the first for a session token.
const RESUME: u64 = 6;
/// The one for a code that was not sent.
const WRONG_CODE: u64 = 12;
/// One for a code.
const HELLO: u64 = 16;
/// A session token in base64: a slot of 4 bytes and 16 random ones.
const TOKEN_CHARS: usize = 27;
