//! What the person who runs the server may choose and the server needs to know. Checked by `config.rs`.

use ipnet::IpNet;
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
    /// How long nothing is said of somebody whose last connection is gone.
    pub leave_grace: Duration,
    /// After how long a silence the server pings.
    pub ping_after: Duration,
    /// Messages a second from one connection, and the burst. Zero: without limit.
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
