//! Shared by the server's unit tests: a server, and an in-memory shell that carries out each write at once
//! and records what is written, closed and logged.

use super::{Input, Output, Server};
use crate::base::time::{Moment, Now};
use crate::http::assets::Assets;
use crate::http::site::Site;
use crate::ids::ClientId;
use crate::log_event::LogEvent;
use crate::settings::Settings;
use std::time::Duration;

pub(super) struct House {
    pub(super) server: Server,
    pub(super) now: Now,
    serial: u64,
    pub(super) notes: Vec<LogEvent>,
    pub(super) closed: Vec<ClientId>,
    pub(super) written: Vec<(ClientId, Vec<u8>)>,
}

impl House {
    pub(super) fn new(connections_max: usize, connections_per_address: usize) -> Self {
        let settings = Settings {
            connections_max,
            connections_per_address,
            trusted_proxies: vec!["10.0.0.0/24".parse().unwrap()],
            ..Settings::default()
        };
        let site = Site::new(Assets::built_in("x"), Vec::new());
        Self {
            server: Server::new(settings, site, [0; 32]),
            now: Now { moment: Moment::from_ms(0), wall_ms: 0 },
            serial: 0,
            notes: Vec::new(),
            closed: Vec::new(),
            written: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, input: Input<'_>) {
        self.server.handle(self.now, input);
        while let Some(output) = self.server.poll() {
            match output {
                Output::Write(id) => {
                    let bytes = self.server.unsent(id).concat();
                    self.server.handle(self.now, Input::Wrote { id, bytes: bytes.len() });
                    self.written.push((id, bytes));
                }
                Output::LogEvent(note) => self.notes.push(note),
                Output::Close(id) => self.closed.push(id),
                Output::Read(_)
                | Output::EndWriting(_)
                | Output::Mail(_)
                | Output::Keep(_)
                | Output::Engine(_)
                | Output::Stopped => {}
            }
        }
    }

    /// A connection of this peer.
    pub(super) fn connect(&mut self, peer: &str) -> ClientId {
        // No slot is used again, which costs nothing here.
        let id = ClientId::new(usize::try_from(self.serial).unwrap(), self.serial);
        self.serial += 1;
        self.tell(Input::Accepted { id, peer: peer.parse().unwrap() });
        id
    }

    /// A WebSocket by way of a proxy, which says this of its client.
    pub(super) fn upgrade(&mut self, proxy: &str, forwarded_for: Option<&str>) -> ClientId {
        let id = self.connect(proxy);
        let told = forwarded_for.map_or(String::new(), |told| format!("X-Forwarded-For: {told}\r\n"));
        let request = [UPGRADE, told.as_bytes(), b"\r\n"].concat();
        self.tell(Input::Received { id, bytes: &request });
        id
    }

    pub(super) fn is_answered(&self, id: ClientId, part: &[u8]) -> bool {
        let mut writes = self.written.iter().filter(|(written, _)| *written == id);
        writes.any(|(_, bytes)| bytes.windows(part.len()).any(|window| window == part))
    }

    /// Whether the connection has a place.
    pub(super) fn has_place(&self, id: ClientId) -> bool {
        self.server.clients.get(id).is_some_and(|client| !client.is_closing())
    }

    pub(super) fn pass(&mut self, wait: Duration) {
        self.now.moment = self.now.moment.after(wait);
        self.tell(Input::Tick);
    }
}

/// A request for a WebSocket, to which more fields and the empty line are added.
pub(super) const UPGRADE: &[u8] =
    b"GET /connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
