//! What the peers of a world do: what a client in its place would do, what it should not, and what somebody would try who wants
//! to be in where they don't belong.

use super::{PROXY, World};
use crate::client::{Client, PING_PAYLOAD, Phase};
use crate::frames::frame;
use rand::RngExt;
use serde_json::json;

impl World {
    /// A client does something, as the nature of this world has it.
    pub(super) fn behave(&mut self, client: &mut Client) {
        if client.has_ended {
            return;
        }
        let is_attack = self.rng.random_bool(self.nature.malice);
        match client.phase {
            Phase::Http if client.is_garbled => {}
            // Whose first request is an attack never comes to the next.
            Phase::Http if is_attack && self.rng.random_bool(0.2) => self.smuggle(client),
            Phase::Http => self.visit(client),
            Phase::Upgrading | Phase::Closed => {}
            Phase::Stranger if client.is_waiting => {}
            Phase::Stranger if is_attack => self.attack(client),
            Phase::Stranger => self.knock(client),
            Phase::Member if is_attack => self.pretend(client),
            Phase::Member => self.talk(client),
        }
    }

    fn visit(&mut self, client: &mut Client) {
        let (bytes, answers): (&[u8], _) = match self.rng.random_range(0..20) {
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
            _ => {
                client.phase = Phase::Upgrading;
                let forwarded = match (client.is_proxied, client.address) {
                    (true, None | Some(PROXY)) => "X-Forwarded-For: unknown\r\n".to_owned(),
                    // What stands to the left of the proxy's own word is the client's, and may be anything.
                    (true, Some(address)) => {
                        let invented = self.rng.random_range(0..4);
                        format!("X-Forwarded-For: 203.0.113.{invented}, 203.0.113.{address}, 10.0.0.9\r\n")
                    }
                    (false, _) => format!("X-Forwarded-For: 203.0.113.{}\r\n", self.rng.random_range(0..4)),
                };
                client.answers_due += 1;
                return client.outgoing.extend(format!("{UPGRADE}{forwarded}\r\n").into_bytes());
            }
        };
        client.answers_due += answers;
        client.outgoing.extend(bytes);
    }

    /// Sends a request that hides another one, or is far too much of one. It has at most one answer.
    fn smuggle(&mut self, client: &mut Client) {
        const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nHost: plume.test\r\n\r\n";
        let (fields, body) = match self.rng.random_range(0..9) {
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
        client
            .outgoing
            .extend(format!("GET / HTTP/1.1\r\nHost: plume.test\r\n{fields}\r\n{body}").into_bytes());
    }

    fn knock(&mut self, client: &mut Client) {
        let own_code = self.codes.iter().rposition(|(email, _)| *email == client.person.email);
        let session = self.sessions.iter().rfind(|(name, _)| *name == client.person.name);
        let session = session.map(|(_, token)| token.clone());
        client.may_enter = false;
        client.typed = None;
        let message = match (self.rng.random_range(0..20), own_code, session) {
            (0..6, Some(at), _) if client.flow_token.is_some() => {
                let (_, code) = self.codes.remove(at);
                let flow = client.flow_token.take().expect("just looked");
                client.may_enter = true;
                client.typed = Some((code.clone(), flow.clone()));
                json!({"type": 2, "text": code, "flow": flow})
            }
            (6..12, _, Some(token)) => {
                self.tally.count("resume", 1);
                client.may_enter = true;
                client.resumed_after = self.lines.newest().filter(|_| self.rng.random_bool(0.5));
                let back = self.rng.random_range(0..50);
                client.resumed_after = client.resumed_after.map(|after| after.saturating_sub(back));
                match client.resumed_after {
                    Some(after) => json!({"type": 7, "text": token, "after": after}),
                    None => json!({"type": 7, "text": token}),
                }
            }
            (12, ..) => json!({"type": 2, "text": "000000"}),
            (13, ..) => json!({"type": 7, "text": "AAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
            (14, ..) => json!({"type": 1, "text": "a stranger speaks"}),
            (15, ..) => return self.misbehave(client),
            _ => json!({"type": 0, "text": format!("{}\n{}", client.person.name, client.person.email)}),
        };
        client.is_waiting = message["type"] != 1;
        client.asked_at = self.now.moment;
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
        let message = match (self.rng.random_range(0..11), foreign, session, used) {
            // The code of somebody else, for one's own flow or for none.
            (0, Some(code), ..) => json!({"type": 2, "text": code}),
            (1, Some(code), ..) => json!({"type": 2, "text": code, "flow": client.flow_token}),
            // What was good once.
            (2, _, _, Some((code, flow))) => json!({"type": 2, "text": code, "flow": flow}),
            (3, _, _, Some((_, flow))) => json!({"type": 7, "text": flow}),
            // A session token, cut, altered, longer, or in the place of a flow's.
            (4, _, Some(token), _) => json!({"type": 7, "text": token[1..]}),
            (5, _, Some(token), _) => json!({"type": 7, "text": self.altered(&token)}),
            (6, _, Some(token), _) => json!({"type": 7, "text": token.repeat(self.rng.random_range(2..100))}),
            (7, _, Some(token), _) => json!({"type": 2, "text": "222222", "flow": token}),
            (8, ..) => {
                // Begins a message and leaves it at that.
                client.outgoing.extend([0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4]);
                client.is_garbled = true;
                client.is_waiting = true;
                return self.tally.count("unfinished", 1);
            }
            (9, ..) => return client.outgoing.extend(frame(0x89, PING_PAYLOAD, [7; 4]).repeat(100)),
            (10, ..) if dead.is_some() => json!({"type": 7, "text": dead}),
            _ => json!({"type": 7, "text": ""}),
        };
        client.is_waiting = true;
        client.asked_at = self.now.moment;
        self.send(client, &message.to_string());
    }

    /// A member who would like to be somebody else.
    fn pretend(&mut self, client: &mut Client) {
        self.tally.count("attack", 1);
        let message = match self.rng.random_range(0..5) {
            0 => json!({"type": 0, "text": "plumebot\nbot@example.org"}),
            1 => json!({"type": 3, "text": "", "user": {"name": "plumebot"}}),
            2 => json!({"type": 7, "text": self.sessions.first().map(|(_, token)| token)}),
            3 => json!({"type": 2, "text": self.codes.first().map(|(_, code)| code), "flow": ""}),
            _ => {
                let text = self.new_text(client, 0);
                json!({"type": 1, "text": text, "id": 1, "event": "enter", "user": {"name": "plumebot"}})
            }
        };
        // A field that is null is no message, and ends the connection.
        client.is_garbled |= message["text"].is_null();
        self.send(client, &message.to_string());
    }

    fn talk(&mut self, client: &mut Client) {
        if let Some(token) = &client.session
            && !self.sessions.iter().any(|(_, known)| known == token)
        {
            self.sessions.push((client.person.name, token.clone()));
            self.tally.count("login", 1);
        }
        let message = match self.rng.random_range(0..200) {
            0 => {
                client.has_left = !client.is_garbled;
                json!({"type": 8})
            }
            1 => return self.misbehave(client),
            2..6 => json!({"type": 2, "text": "again"}),
            6..20 => {
                client.outgoing.extend(frame(0x89, PING_PAYLOAD, [7; 4]));
                return;
            }
            roll => {
                // Long lines, so that the ring laps those who do not read.
                let len = if roll < self.nature.loudness { 60_000 } else { 0 };
                let text = self.new_text(client, len);
                return self.send(client, &format!(r#"{{"type":1,"text":"{text}"}}"#));
            }
        };
        self.send(client, &message.to_string());
    }

    /// A text that nobody has said before, and that tells who says it.
    pub(super) fn new_text(&mut self, client: &mut Client, padding: usize) -> String {
        let text = format!("{} says {} {}", client.person.name, self.texts.len(), "x".repeat(padding));
        self.texts.push((client.id, client.person.name, self.now.moment));
        client.unconfirmed.push_back(text.clone());
        text
    }

    /// Says what is not in the protocol.
    fn misbehave(&mut self, client: &mut Client) {
        let bytes = match self.rng.random_range(0..6) {
            0 => frame(0x81, b"{\"type\":", [1; 4]),
            1 => frame(0x81, b"\xff\xfe", [1; 4]),
            2 => frame(0x83, b"reserved", [1; 4]),
            3 => vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            4 => frame(0x88, &1000_u16.to_be_bytes(), [1; 4]),
            _ => (0..self.rng.random_range(1..40)).map(|_| self.rng.random()).collect(),
        };
        client.outgoing.extend(bytes);
        client.is_garbled = true;
    }

    /// Sends a text in one frame or in two.
    pub(super) fn send(&mut self, client: &mut Client, text: &str) {
        // Without optimizations, masking and escaping long texts is what a run spends its time on.
        let mask = if text.len() < 1_000 { self.rng.random() } else { [0; 4] };
        let cut = text.floor_char_boundary(self.rng.random_range(0..=text.len()));
        if self.rng.random_bool(0.9) {
            client.outgoing.extend(frame(0x81, text.as_bytes(), mask));
        } else {
            client.outgoing.extend(frame(0x01, &text.as_bytes()[..cut], mask));
            client.outgoing.extend(frame(0x80, &text.as_bytes()[cut..], mask));
        }
    }

    fn pick<T: Clone>(&mut self, of: impl Fn(&Self) -> &Vec<T>) -> Option<T> {
        let len = of(self).len();
        let at = (len > 0).then(|| self.rng.random_range(0..len))?;
        of(self).get(at).cloned()
    }

    /// A token with another character in one place.
    fn altered(&mut self, token: &str) -> String {
        let mut bytes = token.as_bytes().to_vec();
        // The last character has bits that mean nothing, but such spellings are refused, too.
        let at = self.rng.random_range(0..bytes.len());
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("base64 is ASCII")
    }
}

const UPGRADE: &str = "GET /connect HTTP/1.1\r\nHost: plume.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
