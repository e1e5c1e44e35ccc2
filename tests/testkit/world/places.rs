//! Where the connections of a world come from.

use super::super::choices::Choices;
use super::super::ledger::Address;
use std::net::{IpAddr, Ipv6Addr};

/// Which addresses there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// Households of two IPv4 /24s and of two IPv6 /48s, and now and then of any network.
    Everywhere,
    /// One IPv4 address.
    Address,
    /// One IPv6 /64.
    Slash64,
    /// One IPv6 /56.
    Slash56,
    /// One IPv6 /48.
    Slash48,
    /// One IPv4 /24.
    Slash24,
}

/// Where one connection comes from.
pub(super) struct From {
    /// The peer, as the system tells it.
    pub(super) peer: IpAddr,
    /// The address that it counts for.
    pub(super) address: Address,
    pub(super) is_proxied: bool,
}

/// A proxy that is trusted. It counts for clients that it does not name.
pub(super) const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

impl Places {
    pub(super) fn choose(choices: &mut Choices) -> Self {
        let sieges = [Self::Address, Self::Slash64, Self::Slash56, Self::Slash48, Self::Slash24];
        if choices.chance(300) { choices.pick(&sieges) } else { Self::Everywhere }
    }

    /// Whether all that comes from outside comes from one network.
    pub(super) fn is_siege(self) -> bool {
        self != Self::Everywhere
    }

    pub(super) fn choose_one(self, choices: &mut Choices) -> From {
        let home = self.home(choices);
        let local = if self.is_siege() { 1 } else { 4 };
        match choices.below(10) {
            // From this machine, perhaps through a proxy that is not configured.
            roll if roll < local => From { peer: [127, 0, 0, 1].into(), address: None, is_proxied: false },
            7 | 8 => From { peer: PROXY, address: Some(home), is_proxied: true },
            9 => From { peer: PROXY, address: Some(PROXY), is_proxied: true },
            _ => From { peer: as_seen(home, choices), address: Some(home), is_proxied: false },
        }
    }

    fn home(self, choices: &mut Choices) -> IpAddr {
        let mut below = |end: u64| u8::try_from(choices.below(end)).expect("a small number");
        match self {
            Self::Everywhere => match below(8) {
                0 | 1 => [203, 0, 113, below(4)].into(),
                2 | 3 => [198, 51, 100, below(4)].into(),
                4 => [11 + below(80), below(250), 5, 1].into(),
                _ => slash_64(1 + below(2), below(3), below(3), 1 + below(3)),
            },
            Self::Address => [203, 0, 113, 5].into(),
            Self::Slash64 => slash_64(1, 2, 3, below(250)),
            Self::Slash56 => slash_64(1, 2, below(4), below(3)),
            Self::Slash48 => slash_64(1, below(8), below(4), 1),
            Self::Slash24 => [203, 0, 113, below(12)].into(),
        }
    }
}

/// An address in a /64, by the numbers of its /48, its /56 and itself in these.
fn slash_64(slash_48: u8, slash_56: u8, slash_64: u8, host: u8) -> IpAddr {
    let subnet = u16::from_be_bytes([slash_56, slash_64]);
    Ipv6Addr::new(0x2001, 0xdb8, slash_48.into(), subnet, 0, 0, 0, host.into()).into()
}

/// A socket of both families shows an IPv4 peer in the mapped form.
fn as_seen(home: IpAddr, choices: &mut Choices) -> IpAddr {
    match home {
        IpAddr::V4(address) if choices.chance(200) => address.to_ipv6_mapped().into(),
        home => home,
    }
}
