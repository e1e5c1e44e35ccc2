//! A server with many members and no sockets: every write is taken whole, at once.

use crate::testkit::codec::{PONG, frame, message};
use crate::testkit::driver::Driver;
use plume::ids::ClientId;
use plume::server::Input;
use plume::settings::Settings;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The server, and its members.
pub(crate) struct House {
    driver: Driver,
    connections: usize,
    members: Vec<ClientId>,
    resume: Vec<u8>,
    pong: Vec<u8>,
}

impl House {
    /// A server with a first member, who logged in with a code; all others resume that session.
    pub(crate) fn new() -> Self {
        let settings =
            Settings { connections_max: CONNECTIONS_MAX, messages_per_second: 0, ..Settings::default() };
        let mut driver = Driver::new(settings);
        let first = driver.open(0, LOCALHOST);
        let token = driver.log_in(first, "scale");
        let resume = message(&format!(r#"{{"type":7,"text":"{token}","after":9007199254740991}}"#));
        Self { driver, connections: 1, members: vec![first], resume, pong: frame(PONG, b"", [0; 4]) }
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds a guest.
    pub(crate) fn add_guest(&mut self) -> ClientId {
        let id = self.driver.open(self.connections, LOCALHOST);
        self.connections += 1;
        id
    }

    /// Adds a member: a connection, the upgrade, a session token.
    pub(crate) fn add_member(&mut self) {
        let id = self.add_guest();
        self.driver.receive(id, &self.resume);
        self.deliver();
        self.members.push(id);
    }

    /// A line by the first member becomes part of the room. Nobody has it yet.
    pub(crate) fn post(&mut self, line: &[u8]) {
        self.driver.receive(self.members[0], line);
    }

    /// Gives everybody what they have not got. How many writes that took.
    pub(crate) fn deliver(&mut self) -> usize {
        let delivered = self.driver.deliver();
        assert_eq!(delivered.closes, 0, "nobody leaves");
        delivered.writes
    }

    /// Time passes, and everybody who is due is pinged.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.driver.now.moment = self.driver.now.moment.after(time);
        self.driver.handle(Input::Tick);
    }

    /// Everybody answers a ping.
    pub(crate) fn pong(&mut self) {
        for &id in &self.members {
            self.driver.receive(id, &self.pong);
        }
    }
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Beyond what any machine here has sockets for.
const CONNECTIONS_MAX: usize = 2_000_000;
