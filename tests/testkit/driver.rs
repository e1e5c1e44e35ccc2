//! A server without sockets: its clock, the ids of its connections, and its emails. Whatever is written is
//! taken at once.

use super::codec::{message, upgrade};
use super::moves::Moves;
use plume::base::time::{Moment, Now};
use plume::config::{self, Command};
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::kept::Change;
use plume::server::{Input, Output, Server};
use plume::settings::Settings;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

pub(crate) struct Driver {
    pub(crate) server: Server,
    pub(crate) now: Now,
    next_serial: u64,
    /// The request for a WebSocket, which a bench sends a million times.
    upgrade: Vec<u8>,
    /// Moves the server, and notes what it says, where that is asked for.
    pub(crate) moves: Option<Box<Moves>>,
    /// Codes that were emailed, each with its address.
    pub(crate) codes: Vec<(String, String)>,
    /// Whether names, sessions and rules outlive the process.
    pub(crate) is_kept: bool,
    /// What the server said is to be kept.
    pub(crate) kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a server has said at once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) writes: usize,
    /// Connections that were closed.
    pub(crate) closes: usize,
}

impl Driver {
    pub(crate) fn new(settings: Settings) -> Self {
        let site = Site::new(Assets::built_in(&settings.name), Vec::new());
        Self::with_site(settings, site, [0; 32])
    }

    pub(crate) fn with_site(settings: Settings, site: Site, seed: [u8; 32]) -> Self {
        Self {
            server: Server::new(settings, site, seed),
            now: Now { moment: Moment::from_ms(0), wall_ms: 0 },
            next_serial: 0,
            upgrade: upgrade(""),
            moves: None,
            codes: Vec::new(),
            is_kept: false,
            kept: BTreeMap::new(),
        }
    }

    pub(crate) fn handle(&mut self, input: Input<'_>) {
        self.begin_call();
        self.server.handle(self.now, input);
    }

    /// The next output of the server.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.begin_call();
        let output = self.server.poll();
        if let Some(moves) = &mut self.moves {
            moves.note_output(output.as_ref());
        }
        output
    }

    /// What the server would write to a connection.
    pub(crate) fn unsent(&mut self, id: ClientId) -> Vec<u8> {
        self.begin_call();
        let unsent = self.server.unsent(id).concat();
        if let Some(moves) = &mut self.moves {
            moves.note_bytes(id, &unsent);
        }
        unsent
    }

    fn begin_call(&mut self) {
        if let Some(moves) = &mut self.moves {
            moves.begin_call(&mut self.server);
        }
    }

    pub(crate) fn receive(&mut self, id: ClientId, bytes: &[u8]) {
        self.handle(Input::Received { id, bytes });
    }

    /// A connection is accepted. Nothing else has its slot.
    pub(crate) fn accept(&mut self, slot: usize, peer: IpAddr) -> ClientId {
        let id = ClientId::new(slot, self.next_serial);
        self.next_serial += 1;
        self.handle(Input::Accepted { id, peer });
        id
    }

    /// A connection becomes a WebSocket.
    pub(crate) fn open(&mut self, slot: usize, peer: IpAddr) -> ClientId {
        let id = self.accept(slot, peer);
        let upgrade = std::mem::take(&mut self.upgrade);
        self.receive(id, &upgrade);
        self.upgrade = upgrade;
        self.deliver();
        id
    }

    /// A user logs in with a code. Gives the session token.
    pub(crate) fn log_in(&mut self, id: ClientId, name: &str) -> String {
        self.receive(id, &message(&format!(r#"{{"type":0,"text":"{name}\n{name}@example.org"}}"#)));
        self.deliver();
        let (_, code) = self.codes.pop().expect("a hello makes a code");
        self.receive(id, &message(&format!(r#"{{"type":2,"text":"{code}"}}"#)));
        let ack = String::from_utf8_lossy(&self.server.unsent(id).concat()).into_owned();
        self.deliver();
        let (_, rest) = ack.split_once(r#""text":""#).expect("a code lets its owner in");
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    /// Does all that the server asks for.
    pub(crate) fn deliver(&mut self) -> Delivered {
        let mut delivered = Delivered::default();
        while let Some(output) = self.server.poll() {
            match output {
                Output::Write(id) => {
                    let bytes = self.server.unsent(id).iter().map(|slice| slice.len()).sum();
                    self.handle(Input::Wrote { id, bytes });
                    delivered.writes += 1;
                }
                Output::Mail(mail) => {
                    self.handle(Input::MailDone { mail: mail.id, result: Ok(()) });
                    self.codes.push((mail.to, mail.code));
                }
                Output::Close(_) => delivered.closes += 1,
                Output::Read(_) | Output::LogEvent(_) | Output::EndWriting(_) => {}
                Output::Keep(change) => self.keep(change),
                Output::Engine(ask) => panic!("this server shares its room with nobody, and asks {ask:?}"),
                Output::Stopped => panic!("nobody has stopped it"),
            }
        }
        delivered
    }

    /// Takes the place of a process that said these entries, and goes on to say what changes.
    pub(crate) fn restore(&mut self, entries: BTreeMap<Vec<u8>, Vec<u8>>) {
        self.is_kept = true;
        self.kept.clone_from(&entries);
        self.server.restore(self.now, SECRET, entries).expect("what a server said can be read");
    }

    /// Writes a change down.
    pub(crate) fn keep(&mut self, Change { key, value }: Change) {
        match value {
            Some(value) => drop(self.kept.insert(key, value)),
            None => drop(self.kept.remove(&key)),
        }
    }

    /// How many there are of something that is limited.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.server.usage().iter().find(|usage| usage.what == what).expect("it is counted").now
    }

    /// Asserts that nothing exceeds its limit.
    pub(crate) fn check_usage(&self) {
        for usage in self.server.usage() {
            assert!(usage.now <= usage.most, "{usage:?}");
        }
    }

    /// Asserts that nothing is left: no entry in any table but for what moderators have set, nothing to wait
    /// for.
    pub(crate) fn check_empty(&self) {
        assert!(self.is_kept || self.server.next_deadline().is_none(), "nothing is left to do");
        assert!(self.kept.keys().all(|key| key[0] > 2), "no name and no session is left");
        for usage in self.server.usage() {
            assert!(usage.now == 0 || RULES.contains(&usage.what), "nothing is left: {usage:?}");
        }
    }
}

/// Settings with one moderator.
pub(crate) fn moderated_by(email: &str) -> Settings {
    let variables = [("PLUME_MODERATORS".into(), email.into())];
    let no_files = |_: &Path| Err(io::ErrorKind::NotFound.into());
    match config::parse(std::iter::empty(), variables.into_iter(), no_files) {
        Ok(Command::Run(config)) => config.settings,
        other => panic!("{other:?}"),
    }
}

/// A site of one small page.
pub(crate) fn small_site() -> Site {
    let index = ("index.html".to_owned(), "<p>hello".into());
    Site::new(Assets::from_files("Plume", vec![index]).expect("there is an index"), Vec::new())
}

/// The key of the hashes in what is kept.
const SECRET: [u8; 32] = [5; 32];
/// What stays until it is lifted, or until there is need for its place.
const RULES: [&str; 6] =
    ["bans", "mutes", "invitations", "closed networks", "reports", "lines that slow mode counts"];
