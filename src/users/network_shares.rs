//! Fair shares of the server's email budget, by the network that a request comes from.
//!
//! Two things keep one network from using up what all need. Windows: each client address, IPv6 /56 and
//! network (IPv6 /48, IPv4 /24) may ask for so many codes in ten minutes. And an order in the one token
//! bucket of the server: who may take one of the last tokens. With the default budget (one mail each 4 s, 15
//! at once):
//!
//! - An address that owns a name may take the last token. All others leave one.
//! - A fresh network, which was sent no code for an hour, may take all but that one.
//! - Any other network takes a token only while 12 others lie there.
//!
//! So N networks take at most N + 2 tokens before others, once an hour. What is left for an honest request:
//! - one network that asks as fast as it can leaves 12 of the 15 tokens, of which 11 are for fresh networks;
//! - N attacking networks delay a request from a fresh one by 4 s for each of them at most, once an hour, and
//!   only if all of them ask first; up to 11 do not delay it at all;
//! - 900 networks an hour, new ones every hour, are needed to keep fresh networks out for good; and even then
//!   owners of names, who are alone with the last token, wait 8 s at most.
//!
//! A request whose network is not known (see `PLUME_TRUSTED_PROXIES`) may take any token: nothing tells an
//! attacker from others.

use crate::base::frost::{Frost, Frozen, Refill, freeze_fields};
use crate::base::sliding_window::SlidingWindows;
use crate::base::time::Moment;
use crate::base::token_bucket::{Rate, TokenBucket};
use crate::limits::{
    FRESH_AFTER, FRESH_SHARE_TENTHS, MAIL_ADDRESS_WINDOW, MAIL_NETWORKS_MAX, MAILS_PER_CLIENT_ADDRESS,
    MAILS_PER_NETWORK, MAILS_PER_SLASH_56, OWNERS_SHARE,
};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;

/// The token bucket of the whole server, and what was asked for by which network.
#[derive(Debug)]
pub(crate) struct Shares {
    rate: Rate,
    bucket: TokenBucket,
    /// Requests by client address, /56 and network.
    asks: SlidingWindows<IpNet>,
    /// Networks that are not fresh.
    lately: SlidingWindows<IpNet>,
}

impl Refill for Shares {
    fn freeze_state(&self, to: &mut Vec<u8>) {
        let Self { rate, bucket, asks, lately } = self;
        freeze_fields(to, |to| {
            rate.freeze(to);
            bucket.freeze(to);
            asks.freeze_state(to);
            lately.freeze_state(to);
        });
    }

    fn refill(&mut self, from: &mut Frozen<'_>) -> Option<()> {
        let mut fields = from.fields()?;
        let mut rate = self.rate;
        fields.refill(&mut rate)?;
        fields.refill(&mut self.bucket)?;
        fields.refill(&mut self.asks)?;
        fields.refill(&mut self.lately)?;
        // A bucket knows when it is full, which means nothing at another rate: after an hour for each mail
        // it could be empty for a day.
        if rate != self.rate {
            self.bucket = TokenBucket::default();
        }
        Some(())
    }
}

impl Shares {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            bucket: TokenBucket::default(),
            asks: SlidingWindows::new(MAIL_ADDRESS_WINDOW, LEVELS_MAX * MAIL_NETWORKS_MAX),
            lately: SlidingWindows::new(FRESH_AFTER, MAIL_NETWORKS_MAX),
        }
    }

    /// How long the networks of a client address have to wait before they may ask for one more code.
    pub(crate) fn wait_to_ask(&self, now: Moment, address: Option<IpAddr>) -> Duration {
        let levels = address.into_iter().flat_map(levels);
        levels.map(|(network, most)| self.asks.wait(now, &network, most)).max().unwrap_or_default()
    }

    /// Counts a request, whatever becomes of it.
    pub(crate) fn count_ask(&mut self, now: Moment, address: Option<IpAddr>) {
        for (network, most) in address.into_iter().flat_map(levels) {
            self.asks.add(now, &network, most);
        }
    }

    /// How long until a client address may take a token of the server's. `is_owner`: it asks for an address
    /// that owns a name.
    pub(crate) fn wait_for_token(&self, now: Moment, address: Option<IpAddr>, is_owner: bool) -> Duration {
        let for_owners = (self.rate.burst / OWNERS_SHARE).max(1);
        let for_fresh = (self.rate.burst.saturating_mul(FRESH_SHARE_TENTHS) / 10).max(for_owners + 1);
        let reserve = match address.map(network_of) {
            None => 0,
            Some(_) if is_owner => 0,
            Some(network) if self.lately.wait(now, &network, 1).is_zero() => for_owners,
            Some(_) => for_fresh,
        };
        self.bucket.wait_for_token_beyond(now, self.rate, reserve)
    }

    /// Takes a token for a mail.
    pub(crate) fn take_token(&mut self, now: Moment, address: Option<IpAddr>) {
        self.bucket.take_in_debt(now, self.rate, 1);
        if let Some(network) = address.map(network_of) {
            self.lately.add(now, &network, 1);
        }
    }

    /// Forgets networks that did not ask lately.
    pub(crate) fn forget_expired(&mut self, now: Moment) {
        self.asks.forget_expired(now);
        self.lately.forget_expired(now);
    }

    /// Networks that are counted, of all sizes, and at most so many.
    pub(crate) fn networks(&self) -> (usize, usize) {
        (self.asks.len() + self.lately.len(), (LEVELS_MAX + 1) * MAIL_NETWORKS_MAX)
    }

    /// When the next network is forgotten.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.asks.next_deadline().into_iter().chain(self.lately.next_deadline()).min()
    }
}

/// The network that a client address belongs to: an IPv6 /48, or an IPv4 /24.
pub(crate) fn network_of(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(_) => truncated(address, 24),
        IpAddr::V6(_) => truncated(address, 48),
    }
}

impl Frost for IpNet {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.addr().freeze(to);
        self.prefix_len().freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        Self::new(IpAddr::thaw(from)?, u8::thaw(from)?).ok()
    }
}

/// The networks that a client address counts for, and how many codes each may ask for within the window.
fn levels(address: IpAddr) -> impl Iterator<Item = (IpNet, usize)> {
    let (client, household) = match address {
        IpAddr::V4(_) => (32, None),
        IpAddr::V6(_) => (64, Some((truncated(address, 56), MAILS_PER_SLASH_56))),
    };
    let client = (truncated(address, client), MAILS_PER_CLIENT_ADDRESS);
    [Some(client), household, Some((network_of(address), MAILS_PER_NETWORK))].into_iter().flatten()
}

fn truncated(address: IpAddr, prefix_len: u8) -> IpNet {
    IpNet::new(address, prefix_len).map_or_else(|_| IpNet::from(address), |network| network.trunc())
}

/// Networks of different sizes that one client address counts for.
const LEVELS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// A budget that many ask, at a moment that moves.
    struct Counter {
        shares: Shares,
        ms: u64,
    }

    impl Counter {
        /// With the default budget.
        fn new() -> Self {
            Self::with(4, 15)
        }

        fn with(every: u64, burst: u64) -> Self {
            Self { shares: Shares::new(Rate::every(Duration::from_secs(every), burst)), ms: 60_000 }
        }

        fn now(&self) -> Moment {
            Moment::from_ms(self.ms)
        }

        /// Asks for a code, and takes it if that is possible now.
        fn ask(&mut self, address: IpAddr, is_owner: bool) -> Result<(), Duration> {
            let (now, address) = (self.now(), Some(address));
            self.shares.forget_expired(now);
            let wait = self.shares.wait_to_ask(now, address);
            let wait = wait.max(self.shares.wait_for_token(now, address, is_owner));
            if !wait.is_zero() {
                return Err(wait);
            }
            self.shares.count_ask(now, address);
            self.shares.take_token(now, address);
            Ok(())
        }

        /// Asks until there is a code, always when told to, and just after all `attackers` have asked once
        /// more in each second between. Gives the wait.
        fn persist(&mut self, honest: IpAddr, is_owner: bool, attackers: &[IpAddr]) -> Duration {
            let begun = self.now();
            loop {
                for &attacker in attackers {
                    let _ = self.ask(attacker, false);
                }
                if self.ask(honest, is_owner).is_ok() {
                    return self.now().since(begun);
                }
                self.ms += 1_000;
            }
        }
    }

    /// The address that the `n`th request comes from.
    type AddressOf = fn(u32) -> IpAddr;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The `n`th of many addresses, each in another network.
    fn elsewhere(n: u32) -> IpAddr {
        let [_, b, c, d] = n.to_be_bytes();
        [b + 1, c, d, 1].into()
    }

    #[test]
    fn networks_of_each_size_have_a_window() {
        // What asks, and how many of its requests are granted where the server's own budget does not matter.
        let rows: [(&str, AddressOf, usize); 6] = [
            ("an IPv4 address", |_| ip("203.0.113.5"), MAILS_PER_CLIENT_ADDRESS),
            ("an IPv4 /24", |n| [203, 0, 113, n.to_be_bytes()[3]].into(), MAILS_PER_NETWORK),
            ("an IPv6 /64", |n| format!("2001:db8:1:2::{n:x}").parse().unwrap(), MAILS_PER_CLIENT_ADDRESS),
            ("an IPv6 /56", |n| format!("2001:db8:1:{:x}::1", n % 256).parse().unwrap(), MAILS_PER_SLASH_56),
            ("an IPv6 /48", |n| format!("2001:db8:1:{n:x}00::1").parse().unwrap(), MAILS_PER_NETWORK),
            ("many networks", elsewhere, 200),
        ];
        for (what, address, expected) in rows {
            let mut counter = Counter::with(0, 1);
            let granted = (0..200).filter(|&n| counter.ask(address(n), false).is_ok()).count();
            assert_eq!(granted, expected, "{what}");
            counter.ms += 599_999;
            let again = counter.ask(address(0), false).is_ok();
            assert_eq!(again, expected == 200, "{what}, after all but ten minutes");
            counter.ms += 1;
            assert!(counter.ask(address(0), false).is_ok(), "{what}, after ten minutes");
        }
    }

    #[test]
    fn one_network_leaves_most_of_the_budget() {
        for network in [|n| format!("2001:db8:1:{n:x}::1").parse().unwrap(), |_| ip("203.0.113.5")] {
            let network: AddressOf = network;
            let mut counter = Counter::new();
            let granted = (0..1_000).filter(|&n| counter.ask(network(n), false).is_ok()).count();
            assert_eq!(granted, 3);
            let honest = (0..13).filter(|&n| counter.ask(elsewhere(n), false).is_ok()).count();
            assert_eq!(honest, 11, "of 13 at once");
            assert!(counter.ask(elsewhere(99), true).is_ok(), "an owner has the last token");
        }
    }

    #[test]
    fn an_office_gets_its_codes_one_after_the_other() {
        let mut counter = Counter::new();
        let waits: Duration = (0..10).map(|_| counter.persist(ip("203.0.113.5"), false, &[])).sum();
        assert!(waits <= Duration::from_secs(4) * 8, "{waits:?}");
        let mut large = Counter::with(4, 100);
        assert!((0..10).all(|_| large.ask(ip("203.0.113.5"), false).is_ok()));
    }

    #[test]
    fn n_networks_delay_a_fresh_one_by_n_tokens_at_most() {
        for n in [0, 1, 11, 13, 16, 100] {
            let attackers: Vec<IpAddr> = (0..n).map(elsewhere).collect();
            let mut counter = Counter::new();
            // The worst order: one of them takes all that one may before the others begin.
            for _ in 0..if n > 0 { 3 } else { 0 } {
                let _ = counter.ask(elsewhere(0), false);
            }
            let wait = counter.persist(ip("198.51.100.7"), false, &attackers);
            assert!(wait <= Duration::from_secs(4) * (n + 2), "{n} networks: {wait:?}");
            assert!(n > 11 || wait.is_zero(), "{n} networks: {wait:?}");
            // Once they had theirs, they delay nobody.
            let wait = counter.persist(ip("198.51.101.7"), false, &attackers);
            assert!(wait <= Duration::from_secs(8), "{n} networks: {wait:?}");
        }
    }

    #[test]
    fn thousands_of_fresh_networks_do_not_keep_owners_waiting() {
        let mut counter = Counter::new();
        let mut next = 0;
        for hour in 0..3 {
            // A thousand networks, each new, all the time.
            for _ in 0..900 {
                for _ in 0..5 {
                    next += 1;
                    let _ = counter.ask(elsewhere(next), false);
                }
                counter.ms += 4_000;
            }
            let attackers: Vec<IpAddr> = (next..next + 1_000).map(elsewhere).collect();
            let wait = counter.persist(ip("198.51.100.7"), true, &attackers);
            assert!(wait <= Duration::from_secs(8), "hour {hour}: {wait:?}");
            next += 1_000;
        }
    }

    #[test]
    fn the_smallest_budget_prefers_fresh_networks_too() {
        let mut counter = Counter::with(4, 1);
        let attacker = ip("203.0.113.5");
        assert!(counter.ask(attacker, false).is_ok());
        for n in 0..20 {
            let wait = counter.persist(elsewhere(n), false, &[attacker]);
            assert!(wait <= Duration::from_secs(12), "{wait:?}");
        }
    }

    #[test]
    fn whoever_is_not_known_takes_any_token() {
        let mut counter = Counter::new();
        let now = counter.now();
        for _ in 0..15 {
            assert!(counter.shares.wait_for_token(now, None, false).is_zero());
            counter.shares.count_ask(now, None);
            counter.shares.take_token(now, None);
        }
        assert_eq!(counter.shares.wait_for_token(now, None, false), Duration::from_secs(4));
        assert_eq!(counter.shares.networks().0, 0);
        counter.ms += 3_600_000;
        assert!(counter.ask(ip("203.0.113.5"), false).is_ok());
        assert_eq!(counter.shares.networks().0, 3);
        counter.shares.forget_expired(Moment::from_ms(counter.ms + 3_600_000));
        assert_eq!((counter.shares.networks().0, counter.shares.next_deadline()), (0, None));
    }
}
