//! The operator's choices that the server needs. Plain data, checked by `config.rs`.

use crate::base::digest::Digest;
use crate::base::frost::{Frost, freeze_fields, frost};
use crate::limits::{TRUSTED_IPV4_PREFIX_MIN, TRUSTED_IPV6_PREFIX_MIN};
use crate::users::address_pattern::AddressPattern;
use crate::users::email::EmailKey;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Settings of the server, fixed for the whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The site's name, shown on the page, in the greeting and in login emails.
    pub name: String,
    /// Chat lines sent as history to a new member.
    pub history_lines: usize,
    /// Size of the room's log, in bytes.
    pub backlog_bytes: usize,
    /// How long a login code is valid.
    pub code_ttl: Duration,
    /// How long a user stays present after the last connection has ended.
    pub leave_grace: Duration,
    /// How long a name stays its owner's after the last connection; `None`: as long as is usual, which is
    /// longer where names outlive the process.
    pub name_ttl: Option<Duration>,
    /// Silence after which the server sends a ping.
    pub ping_after: Duration,
    /// Messages per second from one user, and the burst; a client address gets a multiple of it. Zero: no
    /// limit.
    pub messages_per_second: u64,
    /// The budget for login emails; `None` if emails are only printed.
    pub mail_budget: Option<MailBudget>,
    /// Most connections at once; the server answers 503 above it.
    pub connections_max: usize,
    /// Most connections at once from one client address.
    pub connections_per_address: usize,
    /// Networks of proxies whose X-Forwarded-For is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that may connect besides the server's own: `scheme://host[:port]`, in lower case.
    pub origins: Vec<String>,
    /// Who has a say, and who may come in.
    pub door: Door,
    /// The topic of the room at start.
    pub topic: Option<String>,
    /// The bots; without one there is no `/lines`.
    pub bots: Vec<Bot>,
    /// Whether the room is shared with other nodes, over a log that an engine holds.
    pub is_shared: bool,
}

/// A program that says or reads lines over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bot {
    /// Its name in the room: ASCII letters, digits, `-` and `_`.
    pub name: String,
    /// What it may do.
    pub rights: Rights,
    /// The digest of its token.
    pub token: Digest,
}

/// What a bot may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights {
    /// Say lines.
    pub say: bool,
    /// Read lines.
    pub read: bool,
}

/// Who has a say, and who may come in. `config` parses it; the default has no moderators and admits all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Door {
    /// The moderators, who are always admitted.
    pub(crate) moderators: BTreeSet<EmailKey>,
    /// Who is admitted besides the moderators and those whom they invite; `None`: everybody.
    pub(crate) allow: Option<Vec<AddressPattern>>,
    /// Who is not. It wins over `allow`.
    pub(crate) deny: Vec<AddressPattern>,
}

/// The email budget of the whole server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailBudget {
    /// Time to refill one email.
    pub every: Duration,
    /// Burst of emails after a pause.
    pub burst: u64,
}

frost!(struct Bot { name, rights, token });
frost!(struct Rights { say, read });
frost!(struct Door { moderators, allow, deny });
frost!(struct MailBudget { every, burst });

impl Settings {
    /// Some bits of a digest of all that must be equal on nodes which share a room: everything but what
    /// concerns one machine.
    pub(crate) fn shared_bits(&self) -> u64 {
        let Self {
            name,
            history_lines,
            backlog_bytes,
            code_ttl,
            leave_grace,
            name_ttl,
            ping_after: _,
            messages_per_second,
            mail_budget,
            connections_max: _,
            connections_per_address: _,
            trusted_proxies: _,
            origins,
            door,
            topic,
            bots,
            is_shared: _,
        } = self;
        let mut bytes = Vec::new();
        freeze_fields(&mut bytes, |to| {
            name.freeze(to);
            history_lines.freeze(to);
            backlog_bytes.freeze(to);
            code_ttl.freeze(to);
            leave_grace.freeze(to);
            name_ttl.freeze(to);
            messages_per_second.freeze(to);
            mail_budget.freeze(to);
            origins.freeze(to);
            door.freeze(to);
            topic.freeze(to);
            bots.freeze(to);
        });
        Digest::of(&bytes).low_bits()
    }

    /// Number of trusted networks so wide that clients may be in them. The loopback networks alone are not.
    #[must_use]
    pub fn wide_trusts(&self) -> usize {
        self.trusted_proxies.iter().filter(|network| is_wide(network)).count()
    }
}

fn is_wide(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => is_wide_ipv4(network.network(), network.prefix_len()),
        IpNet::V6(network) => match (network.network().to_ipv4_mapped(), network.prefix_len()) {
            (Some(address), prefix @ IPV4_MAPPED_PREFIX..) => {
                is_wide_ipv4(address, prefix - IPV4_MAPPED_PREFIX)
            }
            // A network that contains all mapped addresses trusts the whole of IPv4.
            (_, prefix) => {
                prefix < TRUSTED_IPV6_PREFIX_MIN || network.contains(&Ipv4Addr::UNSPECIFIED.to_ipv6_mapped())
            }
        },
    }
}

fn is_wide_ipv4(address: Ipv4Addr, prefix: u8) -> bool {
    let is_this_machine = address.is_loopback() && prefix >= LOOPBACK_PREFIX;
    prefix < TRUSTED_IPV4_PREFIX_MIN && !is_this_machine
}

/// IPv4 addresses as IPv6 addresses: `::ffff:0:0/96` (RFC 4291, section 2.5.5.2).
const IPV4_MAPPED_PREFIX: u8 = 96;
/// `127.0.0.0/8` (RFC 1122, section 3.2.1.3).
const LOOPBACK_PREFIX: u8 = 8;

impl Default for Settings {
    /// The defaults of the README, with a file limit of 1,024.
    fn default() -> Self {
        Self {
            name: "Plume.chat".to_owned(),
            history_lines: 50,
            backlog_bytes: 4 << 20,
            code_ttl: Duration::from_mins(10),
            leave_grace: Duration::from_secs(15),
            name_ttl: None,
            ping_after: Duration::from_secs(25),
            messages_per_second: 10,
            mail_budget: None,
            connections_max: 1_024 - 32,
            connections_per_address: 64,
            trusted_proxies: Vec::new(),
            origins: Vec::new(),
            door: Door::default(),
            topic: None,
            bots: Vec::new(),
            is_shared: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_concerns_more_than_one_machine_changes_the_shared_bits() {
        let shared: [fn(&mut Settings); 12] = [
            |settings| settings.name.push('x'),
            |settings| settings.history_lines += 1,
            |settings| settings.backlog_bytes += 1,
            |settings| settings.code_ttl += Duration::from_secs(1),
            |settings| settings.leave_grace += Duration::from_secs(1),
            |settings| settings.name_ttl = Some(Duration::ZERO),
            |settings| settings.messages_per_second += 1,
            |settings| settings.mail_budget = Some(MailBudget { every: Duration::ZERO, burst: 1 }),
            |settings| settings.origins.push("https://example.org".to_owned()),
            |settings| settings.door.allow = Some(Vec::new()),
            |settings| settings.topic = Some(String::new()),
            |settings| {
                let (rights, token) = (Rights::default(), Digest::of(b""));
                settings.bots.push(Bot { name: "bot".to_owned(), rights, token });
            },
        ];
        let own: [fn(&mut Settings); 4] = [
            |settings| settings.ping_after += Duration::from_secs(1),
            |settings| settings.connections_max += 1,
            |settings| settings.connections_per_address += 1,
            |settings| settings.trusted_proxies.push("::1/128".parse().expect("a network")),
        ];
        let bits = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.shared_bits()
        };
        let usual = Settings::default().shared_bits();
        assert!(own.iter().all(|change| bits(*change) == usual));
        let all: BTreeSet<u64> = shared.iter().map(|change| bits(*change)).chain([usual]).collect();
        assert_eq!(all.len(), shared.len() + 1);
    }

    #[test]
    fn networks_with_clients_in_them_are_wide() {
        let rows = [
            ("10.0.0.1/32", false),
            ("10.0.0.0/24", false),
            ("10.0.0.0/23", true),
            ("10.0.0.0/8", true),
            ("0.0.0.0/0", true),
            ("127.0.0.0/8", false),
            ("126.0.0.0/7", true),
            ("::1/128", false),
            ("fd00::/64", false),
            ("fd00::/63", true),
            ("::/0", true),
            ("::/80", true),
            ("::ffff:10.0.0.0/104", true),
            ("::ffff:10.0.0.0/120", false),
            ("::ffff:127.0.0.0/104", false),
            ("::ffff:0:0/96", true),
        ];
        for (network, is_wide) in rows {
            let trusted_proxies = vec![network.parse().expect("a network")];
            let settings = Settings { trusted_proxies, ..Settings::default() };
            assert_eq!(settings.wide_trusts(), usize::from(is_wide), "{network}");
        }
    }
}
