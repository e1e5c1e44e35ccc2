//! A server with many members and no sockets: every write is taken whole, at once.

use plume::base::time::{Moment, Now};
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::server::{Input, Output, Server};
use plume::settings::Settings;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The server, and the clock that it is told.
pub(crate) struct House {
    server: Server,
    now_ms: u64,
    connections: usize,
    members: usize,
    resume: Vec<u8>,
    codes: Vec<String>,
}

impl House {
    /// A house with a first member, who got in by a code; all others resume that session.
    pub(crate) fn new() -> Self {
        let settings =
            Settings { connections_max: CONNECTIONS_MAX, messages_per_second: 0, ..Settings::default() };
        let site = Site::new(Assets::built_in(&settings.name), Vec::new());
        let server = Server::new(settings, site, [0; 32]);
        let mut house =
            Self { server, now_ms: 0, connections: 0, members: 0, resume: Vec::new(), codes: Vec::new() };
        let id = house.arrive();
        house.hear(id, &masked(r#"{"type":0,"text":"scale\nscale@example.org"}"#));
        house.say_all();
        let code = house.codes.pop().expect("a hello makes a code");
        house.hear(id, &masked(&format!(r#"{{"type":2,"text":"{code}"}}"#)));
        let ack = String::from_utf8_lossy(&house.server.unsent(id).concat()).into_owned();
        let (_, rest) = ack.split_once(r#""text":""#).expect("a code lets its owner in");
        let token = rest.split('"').next().unwrap_or_default();
        house.resume = masked(&format!(r#"{{"type":7,"text":"{token}","after":9007199254740991}}"#));
        house.say_all();
        house.members = 1;
        house
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members
    }

    /// One more who is connected and not in.
    pub(crate) fn stand_outside(&mut self) {
        self.arrive();
    }

    /// One more: a connection, the upgrade, a session token.
    pub(crate) fn enter(&mut self) {
        let id = self.arrive();
        let resume = std::mem::take(&mut self.resume);
        self.hear(id, &resume);
        self.resume = resume;
        self.say_all();
        self.members += 1;
    }

    /// A line by the first member becomes part of the room. Nobody has it yet.
    pub(crate) fn post(&mut self, line: &[u8]) {
        self.hear(id_of(0), line);
    }

    /// Gives everybody what they have not got. How many writes that took.
    pub(crate) fn say_all(&mut self) -> usize {
        let mut writes = 0;
        while let Some(output) = self.server.poll() {
            match output {
                Output::Write(id) => {
                    let bytes = self.server.unsent(id).iter().map(|slice| slice.len()).sum();
                    self.tell(Input::Wrote { id, bytes });
                    writes += 1;
                }
                Output::Mail(mail) => {
                    self.tell(Input::MailDone { mail: mail.id, result: Ok(()) });
                    self.codes.push(mail.code);
                }
                Output::Read(_) | Output::LogEvent(_) => {}
                Output::Close(_) | Output::EndWriting(_) | Output::Stopped => {
                    panic!("nobody leaves this house: {output:?}")
                }
            }
        }
        writes
    }

    /// Time passes, and everybody who is due is pinged.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now_ms += u64::try_from(time.as_millis()).expect("the bench is short");
        self.tell(Input::Tick);
    }

    /// Everybody answers a ping.
    pub(crate) fn pong(&mut self) {
        for slot in 0..self.members {
            self.hear(id_of(slot), &PONG);
        }
    }

    fn arrive(&mut self) -> ClientId {
        let id = id_of(self.connections);
        self.connections += 1;
        self.tell(Input::Accepted { id, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) });
        self.hear(id, UPGRADE);
        self.say_all();
        id
    }

    fn hear(&mut self, id: ClientId, bytes: &[u8]) {
        self.tell(Input::Received { id, bytes });
    }

    fn tell(&mut self, input: Input<'_>) {
        let now = Now { moment: Moment::from_ms(self.now_ms), wall_ms: self.now_ms };
        self.server.handle(now, input);
    }
}

fn id_of(member: usize) -> ClientId {
    ClientId::new(member, member as u64)
}

/// A text frame of a client, with a mask of zeros.
pub(crate) fn masked(json: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(json.len()).expect("nothing long is said here") {
        len @ 0..126 => frame.push(0x80 | u8::try_from(len).expect("it is below 126")),
        len => {
            frame.push(0xfe);
            frame.extend(len.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(json.as_bytes());
    frame
}

/// Beyond what any machine here has sockets for.
const CONNECTIONS_MAX: usize = 2_000_000;
const UPGRADE: &[u8] =
    b"GET /connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Without a payload, with a mask of zeros.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
