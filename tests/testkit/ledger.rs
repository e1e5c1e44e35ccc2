//! What everybody may have: places, tries, emails, names and lines, counted apart from the server, from what
//! it says.
//!
//! What the server says comes some time after it decided. So each event has two moments, between which it
//! was; nothing is held against the server that one of them leaves open.

use super::client::{Asked, Client};
use ipnet::IpNet;
use plume::base::time::Moment;
use plume::ids::{ClientId, MailId};
use plume::limits::{
    ARRIVALS_PER_ADDRESS, ARRIVALS_WINDOW, FRESH_AFTER, FRESH_SHARE_TENTHS, MAIL_ADDRESS_WINDOW,
    MAIL_RESULT_TIMEOUT, MAILS_PER_ADDRESS, MAILS_PER_CLIENT_ADDRESS, MAILS_PER_CONNECTION,
    MAILS_PER_NETWORK, MAILS_PER_SLASH_56, NAMES_PER_MAILBOX_MAX, NEW_CODES_RESERVED, OWNERS_SHARE,
    SESSION_TTL, TOKEN_BYTES, TRIES_PER_ADDRESS, TRIES_WINDOW, USERS_PER_ADDRESS,
};
use plume::log_event::LogEvent;
use plume::login_email::{Mail, MailError};
use plume::server::Output;
use plume::settings::{MailBudget, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Where a connection comes from, as far as it is counted; `None`: it is not.
pub(crate) type Address = Option<IpAddr>;

/// When something was: not before the one, not after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) since: Moment,
    pub(crate) by: Moment,
}

impl Stamp {
    /// The longest that can lie between an event and a later one.
    fn until(self, later: Self) -> Duration {
        later.by.since(self.since)
    }

    /// Whether an event was surely less than `window` before a later one.
    fn is_within(self, window: Duration, later: Self) -> bool {
        self.until(later) < window
    }
}

pub(crate) struct Ledger {
    connections_max: usize,
    per_address: usize,
    budget: Option<MailBudget>,
    messages_per_second: u64,
    /// Connections that have a place, and the client address that it counts for.
    places: BTreeMap<ClientId, Address>,
    /// Has just become a WebSocket, by way of a proxy; the next output tells whether it may stay.
    entering: Option<(ClientId, Address)>,
    arrivals: BTreeMap<IpNet, Vec<Stamp>>,
    /// Tries of a client address, by kind.
    tries: BTreeMap<(IpNet, &'static str), Vec<Stamp>>,
    /// Requests for codes, by client address, /56 and network.
    asked: BTreeMap<IpNet, Vec<Stamp>>,
    /// When an email was last sent for a network, as far as that is sure.
    served: BTreeMap<IpNet, Stamp>,
    mails: Vec<Posted>,
    mails_of_connection: BTreeMap<ClientId, u8>,
    /// Addresses that own a name or have owned one.
    owners: BTreeSet<String>,
    /// The address that last came in under a name, by what look-alikes share.
    names: BTreeMap<&'static str, (&'static str, Stamp)>,
    /// The lines of each user and of each client address.
    lines: BTreeMap<Talker, Vec<(Stamp, u64)>>,
    /// Requests for codes that were sent, by mailbox and by network.
    hellos: BTreeMap<String, u32>,
    /// A client has sent what may have been any message: nobody knows who has asked for what.
    pub(crate) has_rogues: bool,
}

/// Who has a rate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Talker {
    User(&'static str),
    Address(IpNet),
}

/// An email that the server has sent.
struct Posted {
    id: MailId,
    to: String,
    code: String,
    is_new: bool,
    at: Stamp,
    /// It surely did not go out, and the server was told so.
    is_given_back: bool,
}

impl Ledger {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            connections_max: settings.connections_max,
            per_address: settings.connections_per_address,
            budget: settings.mail_budget,
            messages_per_second: settings.messages_per_second,
            places: BTreeMap::new(),
            entering: None,
            arrivals: BTreeMap::new(),
            tries: BTreeMap::new(),
            asked: BTreeMap::new(),
            served: BTreeMap::new(),
            mails: Vec::new(),
            mails_of_connection: BTreeMap::new(),
            owners: BTreeSet::new(),
            names: BTreeMap::new(),
            lines: BTreeMap::new(),
            hellos: BTreeMap::new(),
            has_rogues: false,
        }
    }

    /// Notes what the server says of its connections.
    pub(crate) fn note(&mut self, output: &Output, at: Stamp, clients: &BTreeMap<ClientId, Client>) {
        let client = |id: &ClientId| clients.get(id).expect("the server speaks of open connections");
        if let Some((id, address)) = self.entering.take()
            && *output != Output::LogEvent(LogEvent::AddressFull(id))
            && *output != Output::Close(id)
        {
            self.take_place(id, address, at);
        }
        match output {
            Output::LogEvent(LogEvent::Accepted(id)) => {
                let client = client(id);
                self.take_place(*id, client.address.filter(|_| !client.is_proxied), at);
            }
            Output::LogEvent(LogEvent::Upgraded(id)) => {
                let client = client(id);
                self.entering = client.is_proxied.then_some((*id, client.address));
            }
            Output::LogEvent(LogEvent::LoggedIn(id)) => {
                self.owners.insert(client(id).person.email.to_owned());
            }
            Output::LogEvent(LogEvent::WrongTry(id) | LogEvent::NotAdmitted(id)) => {
                self.count_try(client(id).address, "wrong codes", at);
            }
            Output::LogEvent(LogEvent::WrongToken(id)) => {
                let client = client(id);
                if client.asked == Asked::NoToken {
                    self.count_try(client.address, "malformed tokens", at);
                }
            }
            // A connection that is refused takes no place, although it may be open for its answer.
            Output::Close(id) | Output::LogEvent(LogEvent::AddressFull(id)) => {
                self.places.remove(id);
            }
            Output::Mail(mail) => self.post(mail, at, clients),
            Output::Write(_)
            | Output::Read(_)
            | Output::EndWriting(_)
            | Output::LogEvent(_)
            | Output::Keep(_)
            | Output::Engine(_)
            | Output::Stopped => {}
        }
    }

    /// A client address has asked for a code and was counted, whatever became of it.
    pub(crate) fn ask(&mut self, address: Address, at: Stamp) {
        if self.budget.is_none() {
            return;
        }
        for (network, most) in address.into_iter().flat_map(levels) {
            let asked = self.asked.entry(network).or_default();
            limit(asked, at, most, MAIL_ADDRESS_WINDOW, &format!("codes for {network}"));
        }
    }

    /// A client was told that the name is taken which it has asked for.
    pub(crate) fn refuse_name(&mut self, address: Address, at: Stamp) {
        self.ask(address, at);
        self.count_try(address, "taken names", at);
    }

    /// A client sends a request for a code.
    pub(crate) fn send_hello(&mut self, client: &Client) {
        *self.hellos.entry(mailbox(client.person.email)).or_default() += 1;
        if let Some(address) = client.address {
            *self.hellos.entry(network_of(address).to_string()).or_default() += 1;
        }
    }

    /// A client was told to wait for so long with its request. Where nobody of its network has asked before,
    /// and nobody for its mailbox, it waits for two tokens at most: one to take, and one to leave to owners
    /// of names.
    pub(crate) fn wait(&self, client: &Client, seconds: u64) {
        let (Some(budget), Some(address), false) = (self.budget, client.address, self.has_rogues) else {
            return;
        };
        let is_first = |key: String| self.hellos.get(&key) == Some(&1);
        if is_first(mailbox(client.person.email)) && is_first(network_of(address).to_string()) {
            let most = (2 * budget.every).as_secs() + 1;
            assert!(seconds <= most, "a fresh network waits {seconds} s, and {most} s is the most");
        }
    }

    /// Whether nobody is throttled.
    pub(crate) fn has_no_rate(&self) -> bool {
        self.messages_per_second == 0
    }

    /// The server is told what became of an email.
    pub(crate) fn mail_done(&mut self, id: MailId, result: Result<(), MailError>, now: Moment) {
        let is_lost =
            matches!(result, Err(MailError::QueueFull | MailError::Unreachable | MailError::Refused(_)));
        for mail in self.mails.iter_mut().filter(|mail| mail.id == id && is_lost) {
            // After that the server has given it up as late, and late ones may have arrived.
            mail.is_given_back = now.since(mail.at.by) < MAIL_RESULT_TIMEOUT;
        }
    }

    /// A user came in. Whether the name was somebody else's before.
    pub(crate) fn claim(&mut self, key: &'static str, email: &'static str, at: Stamp) -> bool {
        let former = self.names.insert(key, (email, at));
        let owned = self
            .names
            .values()
            .filter(|(owner, since)| mailbox(owner) == mailbox(email) && since.is_within(SESSION_TTL, at));
        assert!(owned.count() <= NAMES_PER_MAILBOX_MAX, "the mailbox of {email} owns too many names");
        let Some((other, last)) = former.filter(|(owner, _)| *owner != email) else { return false };
        assert!(!last.is_within(SESSION_TTL, at), "{key} was {other}'s, and {email} came in under it");
        true
    }

    /// A line was posted, which took a message of so many bytes. A user has one rate for all connections, and
    /// a client address that of some users.
    pub(crate) fn post_line(
        &mut self,
        user: &'static str,
        address: Address,
        message_bytes: usize,
        at: Stamp,
    ) {
        let tokens = 1 + message_bytes.saturating_sub(1) as u64 / TOKEN_BYTES;
        let rate = self.messages_per_second;
        if rate == 0 {
            return;
        }
        let of_address =
            address.map(|address| (Talker::Address(client_net(address)), rate * USERS_PER_ADDRESS));
        for (talker, rate) in [(Talker::User(user), rate)].into_iter().chain(of_address) {
            let lines = self.lines.entry(talker.clone()).or_default();
            lines.push((at, tokens));
            let mut since = at.since;
            let (mut sum, mut largest) = (0, 0);
            for (line, tokens) in lines.iter().rev().take(LINES_COMPARED) {
                // What was received first need not have been posted first.
                since = since.min(line.since);
                sum += tokens;
                largest = largest.max(*tokens);
                // The last of them is posted when all others are paid for.
                let refilled = u128::from(rate) * at.by.since(since).as_micros() / 1_000_000 + 1;
                let most = u128::from(rate) + refilled;
                let paid = u128::from(sum - largest);
                assert!(paid <= most, "{talker:?} has said lines for {paid} tokens, and may have {most}");
            }
        }
    }

    fn take_place(&mut self, id: ClientId, address: Address, at: Stamp) {
        let address = address.map(client_net);
        self.places.insert(id, address.map(|net| net.addr()));
        assert!(self.places.len() <= self.connections_max, "more connections than there are places");
        let Some(net) = address else { return };
        let same = self.places.values().filter(|other| **other == Some(net.addr())).count();
        assert!(same <= self.per_address, "more connections than {net} may have");
        let arrivals = self.arrivals.entry(net).or_default();
        arrivals.push(at);
        let burst = u128::from(ARRIVALS_PER_ADDRESS);
        for (arrival, count) in arrivals.iter().rev().zip(1..).take(ARRIVALS_COMPARED) {
            let refilled = burst * arrival.until(at).as_micros() / ARRIVALS_WINDOW.as_micros();
            assert!(count <= burst + refilled, "{net} has arrived too often");
        }
    }

    fn count_try(&mut self, address: Address, kind: &'static str, at: Stamp) {
        if let Some(address) = address {
            let tries = self.tries.entry((client_net(address), kind)).or_default();
            limit(tries, at, TRIES_PER_ADDRESS, TRIES_WINDOW, kind);
        }
    }

    fn post(&mut self, mail: &Mail, at: Stamp, clients: &BTreeMap<ClientId, Client>) {
        let is_new = !self.mails.iter().any(|former| former.to == mail.to && former.code == mail.code);
        if let Some(budget) = self.budget.filter(|_| !self.has_rogues) {
            self.check_mailbox(&mail.to, is_new, at);
            self.check_tokens(budget, mail, is_new, at, clients);
        }
        let (to, code) = (mail.to.clone(), mail.code.clone());
        self.mails.push(Posted { id: mail.id, to, code, is_new, at, is_given_back: false });
    }

    /// A mailbox has so many emails within a window, and in each of its addresses that has a reserve some new
    /// codes.
    fn check_mailbox(&self, email: &str, is_new: bool, at: Stamp) {
        let recent = || {
            self.mails
                .iter()
                .filter(move |mail| !mail.is_given_back && mail.at.is_within(MAIL_ADDRESS_WINDOW, at))
        };
        let mails = recent().filter(|posted| mailbox(&posted.to) == mailbox(email)).count();
        let new_codes = recent().filter(|posted| posted.is_new && posted.to == email).count();
        let has_reserve = is_new && (email == mailbox(email) || self.owners.contains(email));
        assert!(
            mails < MAILS_PER_ADDRESS || has_reserve && new_codes < NEW_CODES_RESERVED,
            "{mails} emails in ten minutes, {new_codes} of them with a new code, and one more to {email}"
        );
    }

    /// The server has a token bucket, in which whoever asks leaves a number of tokens.
    fn check_tokens(
        &mut self,
        budget: MailBudget,
        mail: &Mail,
        is_new: bool,
        at: Stamp,
        clients: &BTreeMap<ClientId, Client>,
    ) {
        let has_asked = |client: &&Client| client.asked == Asked::Code && client.person.email == mail.to;
        let askers: Vec<&Client> = clients.values().filter(has_asked).collect();
        let for_owners = (budget.burst / OWNERS_SHARE).max(1);
        let for_fresh = (budget.burst * FRESH_SHARE_TENTHS / 10).max(for_owners + 1);
        let had_code = |former: &Posted| {
            former.is_new
                && former.to == mail.to
                && !former.is_given_back
                && former.at.is_within(MAIL_ADDRESS_WINDOW, at)
        };
        let may_be_owner = is_new && self.owners.contains(&mail.to) && !self.mails.iter().any(had_code);
        let reserve = |asker: &&Client| match asker.address.map(network_of) {
            None => 0,
            Some(_) if may_be_owner => 0,
            Some(network)
                if self.served.get(&network).is_some_and(|last| last.is_within(FRESH_AFTER, at)) =>
            {
                for_fresh
            }
            Some(_) => for_owners,
        };
        let left = askers.iter().map(reserve).min().unwrap_or_default();
        for (former, mails) in self.mails.iter().rev().map(|mail| mail.at).zip(2_u64..).take(60) {
            let most = u128::from(budget.burst - left) + refilled(budget, former.until(at));
            assert!(
                u128::from(mails) <= most,
                "{mails} emails, and the budget leaves {left} tokens to others"
            );
        }
        if let [asker] = askers[..] {
            if let Some(address) = asker.address {
                self.served.insert(network_of(address), at);
            }
            let mails = self.mails_of_connection.entry(asker.id).or_default();
            *mails += 1;
            assert!(*mails <= MAILS_PER_CONNECTION, "more emails than one connection may have");
        }
    }
}

/// Tokens of the email budget that come back in a time.
fn refilled(budget: MailBudget, time: Duration) -> u128 {
    time.as_micros().checked_div(budget.every.as_micros()).unwrap_or(u128::MAX / 2)
}

/// An address without the tag of a sub-address.
pub(crate) fn mailbox(email: &str) -> String {
    let (local, domain) = email.split_once('@').expect("an email address");
    format!("{}@{domain}", local.split('+').next().unwrap_or(local))
}

/// The client address: an IPv4 address, or an IPv6 /64.
fn client_net(address: IpAddr) -> IpNet {
    net(address, if address.is_ipv4() { 32 } else { 64 })
}

/// The network: an IPv4 /24, or an IPv6 /48.
fn network_of(address: IpAddr) -> IpNet {
    net(address, if address.is_ipv4() { 24 } else { 48 })
}

fn net(address: IpAddr, prefix_len: u8) -> IpNet {
    IpNet::new(address, prefix_len).expect("a prefix of an address").trunc()
}

/// The networks that a client address counts for, and the codes that each may ask for.
fn levels(address: IpAddr) -> Vec<(IpNet, usize)> {
    let mut levels =
        vec![(client_net(address), MAILS_PER_CLIENT_ADDRESS), (network_of(address), MAILS_PER_NETWORK)];
    if address.is_ipv6() {
        levels.push((net(address, 56), MAILS_PER_SLASH_56));
    }
    levels
}

/// Notes one more event, and sees that no window has more than it may.
fn limit(events: &mut Vec<Stamp>, at: Stamp, events_max: usize, window: Duration, what: &str) {
    events.push(at);
    let Some(first) = events.len().checked_sub(events_max + 1) else { return };
    // What was noted first need not have been first.
    let longest = events[first..].iter().map(|event| event.until(at)).max();
    assert!(longest >= Some(window), "more {what} than there may be");
}

/// Enough for a burst of all connections that one user can have, and some seconds.
const LINES_COMPARED: usize = 200;
/// More than an address may have at once.
const ARRIVALS_COMPARED: usize = 400;
const _: () = assert!(ARRIVALS_COMPARED as u64 > ARRIVALS_PER_ADDRESS);
