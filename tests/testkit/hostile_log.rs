//! A server whose log says whatever bytes say: entries and states of others that are changed, or no entries
//! at all. It never panics, then or later, keeps within its limits and comes to rest.

use super::codec::{message, upgrade};
use plume::base::time::{Moment, Now};
use plume::engine::{Ask, EntryId, LogEntry, Say};
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::server::replica::Status;
use plume::server::{Input, Output, Server};
use plume::settings::Settings;
use std::collections::VecDeque;
use std::time::Duration;

/// A node, alone with an engine that does at once what it is asked.
struct Node {
    server: Server,
    now: Now,
    log: Vec<LogEntry>,
    codes: Vec<String>,
    /// What a node that joins is handed.
    handed: Option<Vec<u8>>,
    is_connected: bool,
}

impl Node {
    /// A node that finds these entries in the log.
    fn new(settings: &Settings, site: &Site, seed: u8, log: Vec<LogEntry>) -> Self {
        let settings = Settings { is_shared: true, ..settings.clone() };
        Self {
            server: Server::new(settings, site.clone(), [seed; 32]),
            now: Now { moment: Moment::from_ms(5_000), wall_ms: WALL_MS },
            log,
            codes: Vec::new(),
            handed: None,
            is_connected: false,
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.server.handle(self.now, input);
        let mut says = VecDeque::new();
        for turn in 0.. {
            assert!(turn < OUTPUTS_MAX, "there is no end to what the server says");
            let Some(output) = self.server.poll() else {
                let Some(say) = says.pop_front() else { return };
                self.server.handle(self.now, Input::Engine(&say));
                continue;
            };
            match output {
                Output::Write(id) => {
                    let bytes = self.server.unsent(id).iter().map(|slice| slice.len()).sum();
                    self.server.handle(self.now, Input::Wrote { id, bytes });
                }
                Output::Mail(mail) => {
                    self.codes.push(mail.code);
                    self.server.handle(self.now, Input::MailDone { mail: mail.id, result: Ok(()) });
                }
                Output::EndWriting(id) => self.server.handle(self.now, Input::PeerEnded(id)),
                Output::Engine(ask) => says.extend(self.answer(ask)),
                Output::Close(_)
                | Output::LogEvent(_)
                | Output::Read(_)
                | Output::Keep(_)
                | Output::Stopped => {}
            }
        }
    }

    fn answer(&mut self, ask: Ask) -> Vec<Say> {
        match ask {
            Ask::Check { at } => {
                self.is_connected = true;
                let entry =
                    self.log.iter().find(|entry| Some(entry.id) == at).map(|entry| entry.bytes.clone());
                vec![Say::Checked { stamp: 1, now_ms: self.engine_ms(), entry }]
            }
            Ask::Recent => vec![Say::Recent(self.log.clone())],
            Ask::Add(bytes) => {
                let entry = self.append(bytes);
                vec![Say::Added, Say::Entries(vec![entry])]
            }
            Ask::Read { after } => {
                vec![Say::Entries(self.log.iter().filter(|entry| entry.id > after).cloned().collect())]
            }
            Ask::Put { .. } => Vec::new(),
            Ask::Get { .. } => vec![Say::Got(self.handed.clone())],
        }
    }

    fn engine_ms(&self) -> u64 {
        WALL_MS + self.now.moment.as_ms()
    }

    fn append(&mut self, bytes: Vec<u8>) -> LogEntry {
        let ms = self.engine_ms();
        let last = self.log.last().map_or(EntryId::default(), |entry| entry.id);
        let id = EntryId { ms, seq: 0 }.max(EntryId { ms: last.ms, seq: last.seq + 1 });
        self.log.push(LogEntry { id, bytes });
        self.log[self.log.len() - 1].clone()
    }

    /// Somebody else adds an entry.
    fn hear(&mut self, bytes: Vec<u8>) {
        let entry = self.append(bytes);
        if self.is_connected {
            self.handle(Input::Engine(&Say::Entries(vec![entry])));
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.moment.after(time);
        for tick in 0.. {
            assert!(tick < TICKS_MAX, "it comes to rest");
            let Some(next) = self.server.next_deadline().filter(|next| *next <= end) else { break };
            self.now.moment = self.now.moment.max(next);
            self.handle(Input::Tick);
        }
        self.now.moment = end;
    }

    /// Somebody logs in, as far as the server lets them, and says something.
    fn enter(&mut self, serial: u64, name: &str) {
        let slot = usize::try_from(serial).unwrap_or(0);
        let id = ClientId::new(slot, serial);
        self.handle(Input::Accepted { id, peer: [203, 0, 113, 7].into() });
        self.handle(Input::Received { id, bytes: &upgrade("") });
        self.handle(Input::Received {
            id,
            bytes: &message(&format!(r#"{{"type":0,"text":"{name}\n{name}@example.org"}}"#)),
        });
        if let Some(code) = self.codes.pop() {
            self.handle(Input::Received { id, bytes: &message(&format!(r#"{{"type":2,"text":"{code}"}}"#)) });
        }
        for text in ["hello", "/topic of the day", "/help"] {
            self.handle(Input::Received { id, bytes: &message(&format!(r#"{{"type":1,"text":"{text}"}}"#)) });
        }
    }

    fn is_live(&self) -> bool {
        self.server.replica().is_some_and(|replica| replica.status() == Status::Live)
    }

    /// The engine begins anew with nothing, and the node fills it from memory.
    fn lose_all(&mut self) {
        self.log.clear();
        self.handle(Input::Engine(&Say::Lost));
        self.pass(Duration::from_secs(5));
    }
}

/// A log that begins with what a node remembers of a room, with people who have talked.
pub(crate) fn real_log(settings: &Settings, site: &Site) -> Vec<LogEntry> {
    talked_in(settings, site).log
}

/// The parcel of that node, which has lost the engine and waits for something that is said to come back.
pub(crate) fn real_parcel(settings: &Settings, site: &Site) -> Vec<u8> {
    let mut node = talked_in(settings, site);
    node.handle(Input::Engine(&Say::Lost));
    let id = ClientId::new(3, 3);
    node.handle(Input::Received { id, bytes: &message(r#"{"type":1,"text":"it waits"}"#) });
    node.server.freeze()
}

fn talked_in(settings: &Settings, site: &Site) -> Node {
    let mut node = Node::new(settings, site, 1, Vec::new());
    node.pass(Duration::from_secs(20));
    node.enter(1, "ada");
    node.enter(2, "bob");
    node.lose_all();
    node.enter(3, "cyd");
    node.pass(Duration::from_secs(10));
    assert!(node.is_live() && node.server.people() > 0, "the node lives");
    node
}

/// Lives with a server that joins a log which begins like a real one, with changes that the bytes make: each
/// is an entry, a place in it (two bytes) and a byte. What is left is the last entry as it stands. Gives
/// whether the server has taken a state.
pub(crate) fn live(bytes: &[u8], real: &[LogEntry], settings: &Settings, site: &Site) -> bool {
    let [first, rest @ ..] = real else { return false };
    let (count, changes) =
        bytes.split_first().map_or((0, bytes), |(count, rest)| (usize::from(*count), rest));
    let (changes, raw) = changes.split_at(changes.len().min(4 * (count % 16)));
    let mut entries: Vec<Vec<u8>> = rest.iter().map(|entry| entry.bytes.clone()).collect();
    for &[entry, high, low, byte] in changes.as_chunks().0 {
        let at = usize::from(entry) % entries.len().max(1);
        if let Some(changed) = entries.get_mut(at) {
            let place = usize::from(u16::from_be_bytes([high, low])) % changed.len().max(1);
            if let Some(changed) = changed.get_mut(place) {
                *changed = byte;
            }
        }
    }
    // Another node, so that it cannot tell forged entries by their ids.
    let mut node = Node::new(settings, site, 2, vec![first.clone()]);
    node.handed = count.is_multiple_of(2).then(|| raw.to_vec());
    node.now.moment = Moment::from_ms(first.id.ms.saturating_sub(WALL_MS));
    node.handle(Input::Tick);
    for entry in entries {
        node.hear(entry);
    }
    node.hear(raw.to_vec());
    let is_live = node.is_live();
    node.enter(9, "eve");
    for wait in [10, 1_000, 30_000] {
        node.pass(Duration::from_millis(wait));
        for usage in node.server.usage() {
            assert!(usage.now <= usage.most, "{usage:?}");
        }
        let (settings, site) = (Settings { is_shared: true, ..settings.clone() }, site.clone());
        let parcel = node.server.freeze();
        node.server = Server::thaw(&parcel, settings, site, [0; 32]).expect("what was taken up can move");
    }
    node.hear(raw.to_vec());
    node.lose_all();
    node.pass(Duration::from_secs(40));
    is_live
}

/// The engine's clock at the start of the monotonic one.
const WALL_MS: u64 = 1_600_000_000_000;
/// More than a few people and entries cause.
const OUTPUTS_MAX: u32 = 20_000;
const TICKS_MAX: u32 = 20_000;
