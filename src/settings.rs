//! What the person who runs the server may choose and the server needs to know. Checked by `config.rs`.

use crate::limits::{TRUSTED_IPV4_PREFIX_MIN, TRUSTED_IPV6_PREFIX_MIN};
use ipnet::IpNet;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Choices that the server keeps for the whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of the site, shown on the page, in the greeting and in the mail.
    pub name: String,
    /// Lines shown to a newcomer.
    pub history_lines: usize,
    /// Size of the ring that holds the lines, in bytes.
    pub backlog_bytes: usize,
    /// How long a login code is good.
    pub code_ttl: Duration,
    /// How long a user whose last connection is gone stays present.
    pub leave_grace: Duration,
    /// After how long a silence the server pings.
    pub ping_after: Duration,
    /// Messages a second from one user, and the burst; a client address has a multiple of it. Zero: without limit.
    pub messages_per_second: u64,
    /// Budgets for mail; `None` where no mail is really sent.
    pub mail_budget: Option<MailBudget>,
    /// Connections at once; over it 503.
    pub connections_max: usize,
    /// Connections at once from one client address.
    pub connections_per_address: usize,
    /// Peers that are proxies and tell whom they speak for.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that may connect although they are not the server's own: `scheme://host[:port]`, in lower case.
    pub origins: Vec<String>,
}

/// How much mail the whole server may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailBudget {
    /// One mail each time this has passed.
    pub every: Duration,
    /// Mails at once after a pause.
    pub burst: u64,
}

impl Settings {
    /// How many of the trusted networks are so wide that clients may be in them. The networks of this machine alone are not.
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
            // A network that holds all mapped addresses trusts the whole of IPv4.
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
            ping_after: Duration::from_secs(25),
            messages_per_second: 10,
            mail_budget: None,
            connections_max: 1_024 - 32,
            connections_per_address: 64,
            trusted_proxies: Vec::new(),
            origins: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
