//! What one client address may do: so many connections, arrivals and wrong tries. An IPv6 client counts by
//! its /64, which is what one household gets (RFC 6177).

use crate::base::expiring_slab::{ExpiringSlab, Id};
use crate::base::frost::{frost, refill};
use crate::base::shared_throttle::SharedThrottle;
use crate::base::sliding_window::{SlidingWindow, WindowLimit};
use crate::base::time::Moment;
use crate::base::token_bucket::{Rate, TokenBucket};
use crate::limits::{
    ADDRESS_MEMORY, ADDRESSES_MAX, ARRIVALS_PER_ADDRESS, ARRIVALS_WINDOW, TRIES_PER_ADDRESS, TRIES_WINDOW,
};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// All client addresses that are here or were lately.
#[derive(Debug)]
pub(crate) struct ClientAddresses {
    trusted_proxies: Vec<IpNet>,
    connections_max: usize,
    known: ExpiringSlab<ClientAddress>,
    by_network: BTreeMap<IpAddr, AddressId>,
}

pub(crate) type AddressId = Id<ClientAddress>;

/// One client address: an IPv4 address or an IPv6 /64.
#[derive(Debug)]
pub(crate) struct ClientAddress {
    network: IpAddr,
    connections: usize,
    arrivals: TokenBucket,
    tries: Tries,
    talk: SharedThrottle,
}

/// Tries of a client address, by kind: each kind has a limit of its own.
#[derive(Debug, Default)]
struct Tries {
    codes: SlidingWindow,
    tokens: SlidingWindow,
    names: SlidingWindow,
    bot_tokens: SlidingWindow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Try {
    Code,
    /// A session token that has not even the form of one. (Well-formed ones are not counted.)
    Token,
    /// A name that it may not have.
    Name,
    BotToken,
}

// How many connections it has follows from the clients.
frost!(struct ClientAddress { network, arrivals, tries, talk } but { connections: 0 });
frost!(struct Tries { codes, tokens, names, bot_tokens });
frost!(enum Origin { 0 = Client(address), 1 = Proxy(address), 2 = Local });
refill!(struct ClientAddresses { known } but { trusted_proxies, connections_max, by_network });

impl Tries {
    const fn of(&mut self, kind: Try) -> &mut SlidingWindow {
        match kind {
            Try::Code => &mut self.codes,
            Try::Token => &mut self.tokens,
            Try::Name => &mut self.names,
            Try::BotToken => &mut self.bot_tokens,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Client(IpAddr),
    /// From a proxy at this address, which tells the client's address with each request.
    Proxy(IpAddr),
    /// From this machine: perhaps a proxy that nobody told us of, so it has no limits.
    Local,
}

/// Which client a trusted proxy speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwarded {
    Client(IpAddr),
    /// A client that the proxy at this address does not name: it counts for the proxy's own address.
    Unknown(IpAddr),
}

impl ClientAddresses {
    pub(crate) fn new(trusted_proxies: Vec<IpNet>, connections_max: usize) -> Self {
        Self {
            trusted_proxies,
            connections_max,
            known: ExpiringSlab::new(ADDRESSES_MAX),
            by_network: BTreeMap::new(),
        }
    }

    /// Derives what was not frozen from the address of each client that has one. `None`: one of them is not
    /// known, a network is known twice, or an address without a client would never be forgotten.
    pub(crate) fn derive(&mut self, of_clients: impl Iterator<Item = AddressId>) -> Option<()> {
        for id in of_clients {
            self.known.get_mut(id)?.connections += 1;
        }
        for (id, address) in self.known.iter() {
            let is_new = self.by_network.insert(address.network, id).is_none();
            let is_forgotten = self.known.expiry_of(id).is_some();
            if !is_new || is_forgotten != (address.connections == 0) {
                return None;
            }
        }
        Some(())
    }

    pub(crate) fn origin(&self, peer: IpAddr) -> Origin {
        let peer = peer.to_canonical();
        if self.is_trusted(peer) {
            Origin::Proxy(peer)
        } else if peer.is_loopback() {
            Origin::Local
        } else {
            Origin::Client(peer)
        }
    }

    /// The client's address as trusted proxies tell it, each of which appends the address of its own peer:
    /// the right-most one that is not a trusted proxy's own. What stands to the left of it anybody may have
    /// written. Where a proxy appended something that is no address (`unknown`, `_hidden`, `unix:`), that
    /// proxy's own address counts: no client may escape the limits by it. Where all are trusted, the client
    /// is in a trusted network itself, and the left-most counts.
    pub(crate) fn forwarded(&self, peer: IpAddr, forwarded_for: Option<&str>) -> Forwarded {
        let mut nearest = peer;
        for part in forwarded_for.unwrap_or_default().rsplit(',') {
            match told_address(part) {
                None => return Forwarded::Unknown(nearest),
                Some(address) if !self.is_trusted(address) => return Forwarded::Client(address),
                Some(address) => nearest = address,
            }
        }
        Forwarded::Client(nearest)
    }

    /// One more connection from an address; `None`: it has too many, or they come too fast.
    pub(crate) fn enter(&mut self, now: Moment, address: IpAddr) -> Option<AddressId> {
        let key = self.find_or_begin(address);
        let client = self.known.get_mut(key)?;
        let may_enter = client.connections < self.connections_max && client.arrivals.has_token(now, ARRIVALS);
        if may_enter {
            client.arrivals.take_in_debt(now, ARRIVALS, 1);
            client.connections += 1;
        }
        self.remember(now, key);
        may_enter.then_some(key)
    }

    /// One connection less.
    pub(crate) fn leave(&mut self, now: Moment, key: AddressId) {
        if let Some(client) = self.known.get_mut(key) {
            client.connections = client.connections.saturating_sub(1);
            self.remember(now, key);
        }
    }

    /// How fast the address talks, over all connections.
    pub(crate) fn throttle(&mut self, key: AddressId) -> Option<&mut SharedThrottle> {
        self.known.get_mut(key).map(|client| &mut client.talk)
    }

    /// The address, or for IPv6 its /64.
    pub(crate) fn network(&self, key: AddressId) -> Option<IpAddr> {
        self.known.get(key).map(|client| client.network)
    }

    /// The network of a client that a ban may close for new codes. `None`: it is nobody's own, but a
    /// proxy's, or private.
    pub(crate) fn closable_network(&self, key: AddressId) -> Option<IpAddr> {
        let network = self.network(key)?;
        // Of an IPv6 client only its /64 is kept, in which a proxy may be.
        let is_proxys = self.is_trusted(network)
            || self.trusted_proxies.iter().any(|proxies| self::network(proxies.network()) == network);
        (!is_proxys && is_public(network)).then_some(network)
    }

    /// How long until the address has a try of this kind left.
    pub(crate) fn wait_to_try(&mut self, now: Moment, key: AddressId, kind: Try) -> Duration {
        let client = self.known.get_mut(key);
        client.map_or(Duration::ZERO, |client| client.tries.of(kind).wait(now, TRIES))
    }

    pub(crate) fn count_try(&mut self, now: Moment, key: AddressId, kind: Try) {
        if let Some(client) = self.known.get_mut(key) {
            client.tries.of(kind).add(now, TRIES);
        }
    }

    /// How long until an address has a try of this kind left, whether it has a connection or not: that of a
    /// request is told by the request alone.
    pub(crate) fn wait_to_try_from(&mut self, now: Moment, address: IpAddr, kind: Try) -> Duration {
        let key = self.by_network.get(&network(address)).copied();
        key.map_or(Duration::ZERO, |key| self.wait_to_try(now, key, kind))
    }

    /// Counts a wrong try of this kind from an address, whether it has a connection or not.
    pub(crate) fn count_try_from(&mut self, now: Moment, address: IpAddr, kind: Try) {
        let key = self.find_or_begin(address);
        self.count_try(now, key, kind);
        self.remember(now, key);
    }

    pub(crate) fn forget_expired(&mut self, now: Moment) {
        while let Some(client) = self.known.pop_expired(now) {
            self.by_network.remove(&client.network);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.known.next_deadline()
    }

    /// Whether a proxy at this address, which is canonical, is believed. An IPv4 address is also in the IPv6
    /// networks that its mapped form (`::ffff:10.0.0.1`) is in: that is how it looks on a socket of both
    /// families.
    fn is_trusted(&self, address: IpAddr) -> bool {
        let mapped = match address {
            IpAddr::V4(address) => Some(IpAddr::V6(address.to_ipv6_mapped())),
            IpAddr::V6(_) => None,
        };
        self.trusted_proxies.iter().any(|network| {
            network.contains(&address) || mapped.is_some_and(|mapped| network.contains(&mapped))
        })
    }

    fn find_or_begin(&mut self, address: IpAddr) -> AddressId {
        let network = network(address);
        match self.by_network.get(&network) {
            Some(&key) => key,
            None => self.begin(network),
        }
    }

    fn begin(&mut self, network: IpAddr) -> AddressId {
        let client = ClientAddress {
            network,
            connections: 0,
            arrivals: TokenBucket::default(),
            tries: Tries::default(),
            talk: SharedThrottle::default(),
        };
        let (key, evicted) = self.known.insert(client, None);
        if let Some(evicted) = evicted {
            self.by_network.remove(&evicted.network);
        }
        self.by_network.insert(network, key);
        key
    }

    /// An address without connections is remembered until its counts mean nothing any more.
    fn remember(&mut self, now: Moment, key: AddressId) {
        let is_idle = self.known.get(key).is_some_and(|client| client.connections == 0);
        self.known.set_expiry(key, is_idle.then(|| now.after(ADDRESS_MEMORY)));
    }
}

/// An address as proxies write it: bare, in brackets, or with a port; some quote it.
fn told_address(part: &str) -> Option<IpAddr> {
    let part = part.trim().trim_matches('"');
    let bare = part.strip_prefix('[').and_then(|part| part.strip_suffix(']')).unwrap_or(part);
    let address = bare.parse().or_else(|_| part.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Whether the address is one that the internet routes to: behind others, a crowd may stand that no ban is
/// meant for.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // Shared by the customers of a provider (RFC 6598).
            let is_shared = first == 100 && second & 0xc0 == 64;
            let is_local = address.is_loopback() || address.is_link_local() || address.is_unspecified();
            !address.is_private() && !is_local && !is_shared
        }
        IpAddr::V6(address) => {
            // What is left of ::1 in its /64 is the unspecified address.
            let is_local = address.is_unspecified() || address.is_unicast_link_local();
            !address.is_unique_local() && !is_local
        }
    }
}

/// The network that an address counts for.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & SLASH_64).into(),
    }
}

/// The address of a proxy that connects over a Unix socket: clients that it does not name share the limits of
/// this machine.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SLASH_64: u128 = !0 << 64;
const ARRIVALS: Rate = Rate::within(ARRIVALS_WINDOW, ARRIVALS_PER_ADDRESS);
const TRIES: WindowLimit = WindowLimit { events_max: TRIES_PER_ADDRESS, window: TRIES_WINDOW };

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(connections_max: usize) -> ClientAddresses {
        ClientAddresses::new(
            vec!["10.0.0.0/8".parse().unwrap(), "fd00::1/128".parse().unwrap()],
            connections_max,
        )
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_right_most_address_that_is_not_a_proxys_counts() {
        let addresses = addresses(1);
        let peer = ip("10.3.3.3");
        let rows = [
            ("203.0.113.5", Some("203.0.113.5")),
            ("6.6.6.6, 203.0.113.5", Some("203.0.113.5")),
            ("6.6.6.6, 203.0.113.5, 10.1.1.1 ,10.2.2.2", Some("203.0.113.5")),
            ("203.0.113.5,::ffff:10.1.1.1", Some("203.0.113.5")),
            ("2001:db8::7", Some("2001:db8::7")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("\"[2001:db8::7]:443\"", Some("2001:db8::7")),
            ("6.6.6.6, 203.0.113.5:4711", Some("203.0.113.5")),
            // All are trusted: the client is in the trusted network.
            ("10.1.1.1", Some("10.1.1.1")),
            ("10.1.1.1, fd00::1, 10.2.2.2", Some("10.1.1.1")),
            // RFC 7239, section 6, and what else is no address: who said it counts.
            ("unknown", None),
            ("_hidden", None),
            ("unix:", None),
            ("203.0.113.5, unknown", None),
            ("203.0.113.5, \"_SEVKISEK\"", None),
            ("203.0.113.5, 203.0.113.5;203.0.113.6", None),
            ("203.0.113.5, ::1%eth0", None),
            ("203.0.113.5, 203.0.113.256", None),
            ("203.0.113.5,", None),
            (",", None),
            ("", None),
        ];
        for (forwarded_for, address) in rows {
            let expected = address.map_or(Forwarded::Unknown(peer), |address| Forwarded::Client(ip(address)));
            assert_eq!(addresses.forwarded(peer, Some(forwarded_for)), expected, "{forwarded_for}");
        }
        assert_eq!(addresses.forwarded(peer, None), Forwarded::Unknown(peer), "nothing is told");
        for forwarded_for in ["203.0.113.5, rubbish, 10.1.1.1", "unix:,::ffff:10.1.1.1"] {
            let expected = Forwarded::Unknown(ip("10.1.1.1"));
            assert_eq!(addresses.forwarded(peer, Some(forwarded_for)), expected, "{forwarded_for}");
        }
    }

    #[test]
    fn ipv4_mapped_networks_hold_ipv4_peers() {
        let rows = [
            ("::ffff:10.0.0.0/104", "10.9.9.9", true),
            ("::ffff:10.0.0.0/104", "::ffff:10.9.9.9", true),
            ("::ffff:10.0.0.0/104", "11.0.0.1", false),
            ("::ffff:10.0.0.1/128", "10.0.0.1", true),
            ("::ffff:10.0.0.1/128", "10.0.0.2", false),
            ("::ffff:0:0/96", "203.0.113.5", true),
            ("::ffff:0:0/96", "2001:db8::1", false),
            ("10.0.0.0/8", "::ffff:10.9.9.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "10.9.9.9", false),
        ];
        for (network, peer, is_trusted) in rows {
            let addresses = ClientAddresses::new(vec![network.parse().unwrap()], 1);
            let is_proxy = matches!(addresses.origin(ip(peer)), Origin::Proxy(_));
            assert_eq!(is_proxy, is_trusted, "{peer} in {network}");
        }
    }

    #[test]
    fn a_peer_is_a_client_a_proxy_or_this_machine() {
        let addresses = addresses(1);
        let rows = [
            ("203.0.113.5", Origin::Client(ip("203.0.113.5"))),
            ("::ffff:203.0.113.5", Origin::Client(ip("203.0.113.5"))),
            ("10.9.9.9", Origin::Proxy(ip("10.9.9.9"))),
            ("::ffff:10.9.9.9", Origin::Proxy(ip("10.9.9.9"))),
            ("fd00::1", Origin::Proxy(ip("fd00::1"))),
            ("127.0.0.1", Origin::Local),
            ("::1", Origin::Local),
            ("::ffff:127.0.0.1", Origin::Local),
        ];
        for (peer, origin) in rows {
            assert_eq!(addresses.origin(ip(peer)), origin, "{peer}");
        }
    }

    #[test]
    fn a_ban_closes_only_networks_that_are_a_clients_own() {
        let proxies = ["198.51.100.0/24", "::ffff:203.0.113.9/128", "2001:db8:1:2::3/128", "2001:db8:2::/48"];
        let mut addresses = ClientAddresses::new(proxies.map(|net| net.parse().unwrap()).into(), 9);
        let rows = [
            ("203.0.113.5", Some("203.0.113.5")),
            ("::ffff:203.0.113.5", Some("203.0.113.5")),
            ("2001:db8::7", Some("2001:db8::")),
            ("100.128.0.1", Some("100.128.0.1")),
            ("198.51.100.7", None),
            ("203.0.113.9", None),
            ("2001:db8:1:2::3", None),
            ("2001:db8:1:2::4", None),
            ("2001:db8:2:9::1", None),
            ("10.1.1.1", None),
            ("172.16.0.1", None),
            ("192.168.1.1", None),
            ("169.254.1.1", None),
            ("100.64.0.1", None),
            ("100.127.255.255", None),
            ("127.0.0.1", None),
            ("::1", None),
            ("fd12::1", None),
            ("fe80::1", None),
        ];
        for (address, network) in rows {
            let key = addresses.enter(Moment::from_ms(0), ip(address)).unwrap();
            assert_eq!(addresses.closable_network(key), network.map(ip), "{address}");
        }
    }

    #[test]
    fn an_address_has_so_many_connections_and_a_network_counts_as_one() {
        let now = Moment::from_ms(0);
        let mut addresses = addresses(2);
        let first = addresses.enter(now, ip("2001:db8::1")).unwrap();
        assert_eq!(addresses.enter(now, ip("2001:db8::ffff")), Some(first));
        assert_eq!(addresses.enter(now, ip("2001:db8::2")), None);
        assert!(addresses.enter(now, ip("2001:db8:0:1::2")).is_some());
        assert!(addresses.enter(now, ip("203.0.113.5")).is_some());
        assert!(addresses.enter(now, ip("203.0.113.6")).is_some());
        addresses.leave(now, first);
        assert_eq!(addresses.enter(now, ip("2001:db8::2")), Some(first));
    }

    #[test]
    fn arrivals_and_tries_have_their_limits() {
        let now = Moment::from_ms(0);
        let mut addresses = addresses(usize::MAX);
        let key = addresses.enter(now, ip("203.0.113.5")).unwrap();
        for _ in 1..ARRIVALS_PER_ADDRESS {
            assert!(addresses.enter(now, ip("203.0.113.5")).is_some());
        }
        assert_eq!(addresses.enter(now, ip("203.0.113.5")), None);
        assert!(addresses.enter(now.after(ARRIVALS_WINDOW), ip("203.0.113.5")).is_some());
        let is_free =
            |addresses: &mut ClientAddresses, now, kind| addresses.wait_to_try(now, key, kind).is_zero();
        for kind in [Try::Code, Try::Token, Try::Name] {
            for _ in 0..TRIES_PER_ADDRESS {
                assert!(is_free(&mut addresses, now, kind));
                addresses.count_try(now, key, kind);
            }
            let almost = now.after(TRIES_WINDOW.saturating_sub(Duration::from_millis(1)));
            assert!(!is_free(&mut addresses, now, kind) && !is_free(&mut addresses, almost, kind));
            assert!(is_free(&mut addresses, now.after(TRIES_WINDOW), kind), "{kind:?}");
        }
        assert_eq!(addresses.network(key), Some(ip("203.0.113.5")));
    }

    #[test]
    fn an_address_is_forgotten_when_its_counts_mean_nothing() {
        let now = Moment::from_ms(0);
        let mut addresses = addresses(9);
        let key = addresses.enter(now, ip("203.0.113.5")).unwrap();
        assert_eq!(addresses.next_deadline(), None);
        addresses.leave(now, key);
        assert_eq!(addresses.next_deadline(), Some(now.after(ADDRESS_MEMORY)));
        addresses.forget_expired(now.after(ADDRESS_MEMORY));
        assert!(addresses.known.len() == 0 && addresses.by_network.is_empty());
    }
}
