//! How a server begins: anew, or as the successor of one in another process.
//!
//! A *parcel* is a whole server as bytes: every connection in whatever it is in the middle of, the room, and
//! all that is known of users. A server that is frozen and thawed between any two calls goes on as if nothing
//! had happened: the simulation compares two worlds, of which one moves, byte for byte.
//!
//! # The format
//! A parcel begins with [`MAGIC`], the number of the format, and the version that wrote it, a text for
//! people. Then comes the state as in [`crate::base::frost`], where structs may grow: a parcel of an earlier
//! version is thawed with defaults for what it does not say, and what only a later version knows is skipped.
//! So a change of the state is one of these:
//! - A new field is state, and is named last in its type's `frost!` or `refill!`, with an `absent` that is
//!   right for those who come from a version without it. Or it follows from other fields, stands behind
//!   `but`, and a `derive` makes it.
//! - A field that is no longer needed is written and read as before, so that those behind it keep their
//!   places.
//! - A change that is neither needs another [`FORMAT`], and everybody is disconnected once, as by any
//!   restart.
//!
//! `tests/parcels` has a parcel of each release, which must still thaw.
//!
//! What a parcel says is believed only as far as it is consistent, because later code relies on that: see
//! [`Server::derive`]. Settings and limits are the successor's own. What follows from live connections, such
//! as how many a client address has, is counted, not written.

use super::client::Client;
use super::client_addresses::ClientAddresses;
use super::clients::Clients;
use super::deadlines::Life;
use super::nodes::{Nodes, are_sound};
use super::quota::Quota;
use super::{Output, Server};
use crate::base::frost::{Frost, Frozen, Refill, frost, refill};
use crate::base::time::{Moment, Now};
use crate::base::token_bucket::Rate;
use crate::close_reason::CloseReason;
use crate::http::site::Site;
use crate::limits::{BACKLOG_BYTES_MIN, SHUTDOWN_TIMEOUT};
use crate::login_email::Mail;
use crate::metrics::Counters;
use crate::room::Room;
use crate::settings::Settings;
use crate::users::Users;
use crate::users::names::UserId;
use crate::users::sessions::SessionId;
use crate::websocket::{Codec, TextFrame};
use std::collections::{BTreeMap, VecDeque};

refill!(struct Server {
    now, judge_from, life, room, users, clients, followers, addresses, outputs, is_rounds_turn, is_full,
    has_noted_unknown_proxy, has_noted_silent_proxy, unknown_messages, counters, has_told_of_failure,
    nodes,
} but { settings, rate, site, codec, frame } then Self::derive);
frost!(enum Output {
    0 = Write(id), 1 = Read(id), 2 = EndWriting(id), 3 = Close(id), 4 = Mail(mail), 5 = LogEvent(event),
    6 = Stopped, 7 = Keep(change), 8 = Engine(ask)
});

impl Server {
    /// A server without connections. The settings are checked ones; the seed is secret. A ring that is too
    /// small for the longest lines is made large enough.
    #[must_use]
    pub fn new(settings: Settings, site: Site, seed: [u8; 32]) -> Self {
        let mut users = Users::new(&settings, seed);
        let nodes =
            settings.is_shared.then(|| Box::new(Nodes::new(users.draw_seed(), settings.shared_bits())));
        Self {
            rate: Rate::per_second(settings.messages_per_second),
            room: Room::new(settings.backlog_bytes.max(BACKLOG_BYTES_MIN)),
            site,
            codec: Codec::default(),
            frame: TextFrame::default(),
            users,
            clients: Clients::default(),
            followers: Quota::default(),
            addresses: ClientAddresses::new(
                settings.trusted_proxies.clone(),
                settings.connections_per_address,
            ),
            outputs: VecDeque::new(),
            now: Now { moment: Moment::from_ms(0), wall_ms: 0 },
            judge_from: Moment::from_ms(0),
            is_rounds_turn: false,
            life: Life::Serving,
            is_full: false,
            has_noted_unknown_proxy: false,
            has_noted_silent_proxy: false,
            has_told_of_failure: false,
            unknown_messages: 0,
            counters: Counters::default(),
            nodes,
            settings,
        }
    }

    /// The whole server as bytes, for a successor. They hold secrets: codes, tokens and addresses. The server
    /// can still go on.
    #[must_use]
    pub fn freeze(&self) -> Vec<u8> {
        let mut parcel = MAGIC.to_vec();
        FORMAT.freeze(&mut parcel);
        Box::<str>::from(env!("CARGO_PKG_VERSION")).freeze(&mut parcel);
        self.freeze_state(&mut parcel);
        parcel
    }

    /// The successor of a server that was frozen, with settings, a site and a seed as at any start. The
    /// connections of clients whose bot has lost its token are closed. `None`: these bytes are not a parcel
    /// that this version can read.
    ///
    /// Sockets are for the shell ([`Server::connections`]), and so are emails of which nothing was heard yet
    /// ([`Server::mails_under_way`]). Time goes on: the next input's is not earlier than the last one's.
    #[must_use]
    pub fn thaw(parcel: &[u8], settings: Settings, site: Site, seed: [u8; 32]) -> Option<Self> {
        let (_version, mut state) = open(parcel)?;
        let mut server = Self::new(settings, site, seed);
        server.refill(&mut state)?;
        state.is_empty().then_some(server)
    }

    /// The version of Plume that wrote a parcel, for the log.
    #[must_use]
    pub fn version_of(parcel: &[u8]) -> Option<String> {
        open(parcel).map(|(version, _)| version)
    }

    /// Login emails of which nothing was heard yet: a successor sends them again.
    #[must_use]
    pub fn mails_under_way(&self) -> Vec<Mail> {
        self.users.mails_under_way(self.node())
    }

    /// Derives what a parcel does not say, from what it says.
    fn derive(&mut self) -> Option<()> {
        let clock = self.clock();
        self.clients.derive(clock, &self.room.log)?;
        self.addresses.derive(self.clients.iter().filter_map(|client| client.address))?;
        self.derive_settings_of_node();
        self.derive_people()?;
        self.derive_readers()?;
        self.close_removed_bots();
        // They belong to the predecessor's connection.
        self.outputs.retain(|output| !matches!(output, Output::Engine(_)));
        let comes_to_its_end = match self.life {
            Life::Serving => true,
            Life::Stopping(until) => until <= self.now.moment.after(SHUTDOWN_TIMEOUT),
            Life::Stopped => self.clients.is_empty(),
        };
        // No run comes so far.
        (comes_to_its_end && self.unknown_messages < u64::MAX / 2).then_some(())
    }

    /// Members are connected as users, and present; who is present has a connection or a grace.
    fn derive_people(&mut self) -> Option<()> {
        let mut connections: BTreeMap<SessionId, (UserId, u32)> = BTreeMap::new();
        for member in self.clients.iter().filter_map(Client::membership) {
            let (user, count) = connections.entry(member.session).or_insert((member.user, 0));
            *count += 1;
            let is_known = *user == member.user && self.room.presence.since(member.user).is_some();
            is_known.then_some(())?;
        }
        let (users, presence) = (&self.users, &self.room.presence);
        let is_sound = match &self.nodes {
            None => {
                users.has_connections(&connections)
                    && presence
                        .users()
                        .all(|(user, is_in_grace)| is_in_grace == (users.connections(user) == 0))
            }
            // What has begun or ended here, and is not applied yet, is not counted yet.
            Some(nodes) => nodes.is_thawed && are_sound(users, presence, &nodes.connections),
        };
        self.room.presence.share_names(|user| users.name(user));
        is_sound.then_some(())
    }

    /// Members and followers, and nobody else, read the room.
    fn derive_readers(&mut self) -> Option<()> {
        let clients = &self.clients;
        let is_follower = |id| clients.get(id).is_some_and(Client::is_follower);
        let is_reader = |client: &Client| client.is_follower() || client.membership().is_some();
        let followers = clients.iter().filter(|client| client.is_follower()).count();
        let is_listed =
            self.followers.len() == followers && self.followers.iter().all(|(id, _)| is_follower(id));
        let readers = clients.iter().filter(|client| is_reader(client)).count();
        self.room.readers.derive(readers, |id| clients.get(id).is_some_and(is_reader))?;
        is_listed.then_some(())
    }

    /// Closes what a bot has begun with a token that is good no longer.
    fn close_removed_bots(&mut self) {
        let bots = self.users.bots();
        let followers = self.followers.iter();
        let of_followers = followers.filter(|&(_, bot)| !(bots.may_stay(bot) && bots.rights(bot).read));
        let bodies = self.clients.iter().filter_map(|client| Some((client.id, client.bot_of_body()?)));
        let of_bodies = bodies.filter(|&(_, bot)| !(bots.may_stay(bot) && bots.rights(bot).say));
        for id in of_followers.chain(of_bodies).map(|(id, _)| id).collect::<Vec<_>>() {
            self.close(id, CloseReason::HttpDone);
        }
        self.settle();
    }
}

/// The version that wrote a parcel, and the state.
fn open(parcel: &[u8]) -> Option<(String, Frozen<'_>)> {
    let mut rest = Frozen::new(parcel.strip_prefix(MAGIC)?);
    let format = u8::thaw(&mut rest)?;
    let version = String::thaw(&mut rest)?;
    let is_readable = format == FORMAT && version.len() <= VERSION_BYTES_MAX;
    is_readable.then_some((version, rest))
}

/// What every parcel begins with.
const MAGIC: &[u8] = b"plume";
/// The number of the format: see the module's documentation for when it changes.
const FORMAT: u8 = 1;
const VERSION_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::assets::Assets;
    use crate::ids::ClientId;
    use crate::limits::{CONNECTION_TRIES, WRONG_TRY_PAUSE};
    use crate::log_event::LogEvent;
    use crate::server::Input;
    use crate::server::tests::{House, UPGRADE};

    fn site() -> Site {
        let index = ("index.html".to_owned(), "<p>hello".into());
        Site::new(Assets::from_files("x", vec![index]).expect("there is an index"), Vec::new())
    }

    fn thaw(parcel: &[u8]) -> Option<Server> {
        Server::thaw(parcel, Settings::default(), site(), [1; 32])
    }

    /// A server with a client in each slot, of which each has sent these bytes.
    fn server(sent: &[&[u8]]) -> Server {
        let mut server = Server::new(Settings::default(), site(), [0; 32]);
        let now = Now { moment: Moment::from_ms(5), wall_ms: 7 };
        for (slot, bytes) in sent.iter().enumerate() {
            let id = ClientId::new(slot, slot as u64);
            server.handle(now, Input::Accepted { id, peer: [203, 0, 113, 1].into() });
            server.handle(now, Input::Received { id, bytes });
        }
        server
    }

    #[test]
    fn a_parcel_says_who_wrote_it_and_thaws_to_a_server_that_freezes_to_the_same() {
        let guest = [UPGRADE, b"\r\n\x81\xfe\x01"].concat();
        let server = server(&[b"", b"\r\n\r", b"GET / HTTP/1.1\r\nHost", b"\0", &guest]);
        let parcel = server.freeze();
        assert_eq!(Server::version_of(&parcel).as_deref(), Some(env!("CARGO_PKG_VERSION")));
        let after = thaw(&parcel).expect("it is whole");
        assert!(after.freeze() == parcel);
        assert!(after.connections().eq(server.connections()) && after.connections().count() == 5);
    }

    /// A message that is shorter than 126 bytes, masked with zeros.
    fn message(text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len()).expect("it is short");
        [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
    }

    /// What does not show itself at once.
    #[test]
    fn counts_go_on_in_another_process() {
        let mut house = House::new(9, 9);
        let id = house.upgrade("203.0.113.1", None);
        house.tell(Input::Received { id, bytes: &message(r#"{"type":99}"#) });
        for tried in 1..=CONNECTION_TRIES {
            house.server = thaw(&house.server.freeze()).expect("it is whole");
            house.pass(2 * WRONG_TRY_PAUSE);
            house.notes.clear();
            house.tell(Input::Received { id, bytes: &message(r#"{"type":7,"text":"no token"}"#) });
            assert!(house.notes.contains(&LogEvent::WrongToken(id)), "{tried}: {:?}", house.notes);
        }
        // It answers the close, and all that is left ends.
        house.tell(Input::Received { id, bytes: &[0x88, 0x80, 0, 0, 0, 0] });
        house.tell(Input::PeerEnded(id));
        house.tell(Input::Shutdown);
        let closed = LogEvent::GuestClosed(id, CloseReason::TooManyTries);
        assert!(house.notes.contains(&closed), "{:?}", house.notes);
        assert!(house.notes.contains(&LogEvent::Stopped { unknown_messages: 1 }), "{:?}", house.notes);
    }

    #[test]
    fn no_part_of_a_parcel_is_one_and_nothing_may_follow_it() {
        let mut parcel = server(&[b"GET / HTTP/1.1\r\nHost", b"\0"]).freeze();
        for end in 0..parcel.len() {
            assert!(thaw(&parcel[..end]).is_none(), "{end} of {} bytes", parcel.len());
        }
        parcel.push(0);
        assert!(thaw(&parcel).is_none() && Server::version_of(&parcel).is_some());
    }

    #[test]
    fn another_format_is_none() {
        let mut parcel = server(&[]).freeze();
        assert!(thaw(&parcel).is_some());
        parcel[MAGIC.len()] += 1;
        assert!(thaw(&parcel).is_none() && Server::version_of(&parcel).is_none());
        assert!(thaw(b"").is_none() && thaw(b"plume").is_none() && thaw(&[0; 99]).is_none());
    }
}
