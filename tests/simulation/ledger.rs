//! What everybody may have: places, tries, mails and names, counted apart from the server, from what it says.
//!
//! What the server says comes some time after it decided. So each event has two moments, between which it was; nothing is
//! held against the server that one of them leaves open.

use crate::world::PROXY;
use plume::base::time::Moment;
use plume::ids::{ClientId, MailId};
use plume::limits::{
    MAIL_ADDRESS_WINDOW, MAIL_RESULT_TIMEOUT, MAILS_PER_ADDRESS, MAILS_PER_CLIENT_ADDRESS, MAILS_PER_NETWORK,
    NEW_CODES_RESERVED, SESSION_TTL, TRIES_PER_ADDRESS, TRIES_WINDOW,
};
use plume::log_event::LogEvent;
use plume::server::Output;
use plume::settings::{MailBudget, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where a peer comes from, as far as it is counted: one of a few addresses of the outside; `None`: nobody counts it.
pub(crate) type Address = Option<u8>;

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
}

pub(crate) struct Ledger {
    connections_max: usize,
    per_address: usize,
    budget: Option<MailBudget>,
    /// Those who have a place, and the address that it counts for.
    places: BTreeMap<ClientId, Address>,
    /// Has just become a WebSocket, by way of a proxy; the next that is said tells whether it may stay.
    entering: Option<(ClientId, Address)>,
    wrong_tries: BTreeMap<u8, Vec<Stamp>>,
    codes_asked: BTreeMap<u8, Vec<Stamp>>,
    /// The same from the one /24 that all addresses of the outside belong to.
    codes_asked_of_network: Vec<Stamp>,
    mails: Vec<Stamp>,
    mails_out: BTreeMap<MailId, (String, Stamp)>,
    /// Mails that went out, by mailbox, each with its exact address.
    mails_done: BTreeMap<String, Vec<(Stamp, String)>>,
    /// The address that last came in under a name, by what look-alikes share.
    owners: BTreeMap<&'static str, (&'static str, Stamp)>,
    messages_per_second: u64,
    /// The lines of each user, each with the connection that said it.
    lines: BTreeMap<&'static str, Vec<(Stamp, ClientId)>>,
}

impl Ledger {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            connections_max: settings.connections_max,
            per_address: settings.connections_per_address,
            budget: settings.mail_budget,
            places: BTreeMap::new(),
            entering: None,
            wrong_tries: BTreeMap::new(),
            codes_asked: BTreeMap::new(),
            codes_asked_of_network: Vec::new(),
            mails: Vec::new(),
            mails_out: BTreeMap::new(),
            mails_done: BTreeMap::new(),
            owners: BTreeMap::new(),
            messages_per_second: settings.messages_per_second,
            lines: BTreeMap::new(),
        }
    }

    /// Notes what the server says. `address` tells that of a connection that is known, and whether a proxy speaks for it.
    pub(crate) fn hear(&mut self, output: &Output, at: Stamp, address: impl Fn(ClientId) -> (Address, bool)) {
        if let Some((id, address)) = self.entering.take()
            && *output != Output::LogEvent(LogEvent::AddressFull(id))
        {
            self.take_place(id, address);
        }
        match output {
            Output::LogEvent(LogEvent::Accepted(id)) => {
                let (address, is_proxied) = address(*id);
                self.take_place(*id, address.filter(|_| !is_proxied));
            }
            Output::LogEvent(LogEvent::Upgraded(id)) => {
                let (address, is_proxied) = address(*id);
                self.entering = is_proxied.then_some((*id, address));
            }
            Output::LogEvent(LogEvent::WrongTry(id)) => {
                if let (Some(address), _) = address(*id) {
                    let tries = self.wrong_tries.entry(address).or_default();
                    limit(tries, at, TRIES_PER_ADDRESS, TRIES_WINDOW, "wrong tries from one address");
                }
            }
            // A connection that is refused takes no place, although it may be open for its answer.
            Output::Close(id) | Output::LogEvent(LogEvent::AddressFull(id)) => {
                self.places.remove(id);
            }
            Output::Mail(mail) => self.post(mail.id, &mail.to, at),
            Output::Write(_)
            | Output::Read(_)
            | Output::EndWriting(_)
            | Output::LogEvent(_)
            | Output::Stopped => {}
        }
    }

    /// A client was told that a code is on its way.
    pub(crate) fn ask_code(&mut self, address: Address, at: Stamp) {
        if let (Some(address), Some(_)) = (address, self.budget) {
            let asked = self.codes_asked.entry(address).or_default();
            limit(asked, at, MAILS_PER_CLIENT_ADDRESS, MAIL_ADDRESS_WINDOW, "codes for one client address");
            if address != PROXY {
                let asked = &mut self.codes_asked_of_network;
                limit(asked, at, MAILS_PER_NETWORK, MAIL_ADDRESS_WINDOW, "codes for one network");
            }
        }
    }

    /// A mail has gone out, and the server is told so.
    pub(crate) fn mail_done(&mut self, mail: MailId, now: Moment) {
        if let Some((email, at)) = self.mails_out.remove(&mail)
            && now.since(at.since) < MAIL_RESULT_TIMEOUT
        {
            self.mails_done.entry(mailbox(&email)).or_default().push((at, email));
        }
    }

    /// Somebody came in under a name. Whether it was somebody else's before.
    pub(crate) fn claim(&mut self, key: &'static str, email: &'static str, at: Stamp) -> bool {
        let former = self.owners.insert(key, (email, at)).filter(|(owner, _)| *owner != email);
        let Some((owner, last)) = former else { return false };
        assert!(last.until(at) >= SESSION_TTL, "{key} was {owner}'s, and {email} came in under it");
        true
    }

    /// A line was posted. A user has one rate for all connections, and each of these may take one message on credit.
    pub(crate) fn post_line(&mut self, user: &'static str, connection: ClientId, at: Stamp) {
        let lines = self.lines.entry(user).or_default();
        lines.push((at, connection));
        let mut connections = BTreeSet::new();
        let mut since = at.since;
        for (count, (line, connection)) in (1_u128..).zip(lines.iter().rev().take(LINES_COMPARED)) {
            connections.insert(connection);
            // What was received first need not have been posted first.
            since = since.min(line.since);
            let rate = u128::from(self.messages_per_second);
            let refilled = rate * at.by.since(since).as_millis() / 1_000 + 1;
            let most = rate + refilled + connections.len() as u128;
            assert!(count <= most, "{count} lines of {user}, who may have {most} in that time");
        }
    }

    fn take_place(&mut self, id: ClientId, address: Address) {
        self.places.insert(id, address);
        assert!(self.places.len() <= self.connections_max, "more connections than there are places");
        let same = self.places.values().filter(|other| address.is_some() && **other == address).count();
        assert!(same <= self.per_address, "more connections than one address may have");
    }

    fn post(&mut self, mail: MailId, email: &str, at: Stamp) {
        self.mails_out.insert(mail, (email.to_owned(), at));
        let Some(budget) = self.budget else { return };
        self.mails.push(at);
        for (since, mails) in self.mails.iter().rev().zip(1_u64..).take(60) {
            let refilled = since.until(at).as_millis() / budget.every.as_millis();
            assert!(
                u128::from(mails) <= u128::from(budget.burst) + refilled + 1,
                "more mails than the budget has"
            );
        }
        let done = self.mails_done.get(&mailbox(email)).map_or(&[][..], |done| done);
        let recent: Vec<_> = done.iter().filter(|(mail, _)| mail.until(at) < MAIL_ADDRESS_WINDOW).collect();
        let mut addresses: BTreeSet<&str> = recent.iter().map(|(_, email)| email.as_str()).collect();
        addresses.insert(email);
        // Each address that owns a name has a reserve of its own.
        let most = MAILS_PER_ADDRESS + NEW_CODES_RESERVED * addresses.len();
        assert!(recent.len() < most, "more mails than one mailbox may have: {} of {most}", recent.len());
    }
}

/// An address without the tag of a sub-address.
fn mailbox(email: &str) -> String {
    let (local, domain) = email.split_once('@').expect("an email address");
    format!("{}@{domain}", local.split('+').next().unwrap_or(local))
}

/// Enough for a burst of all connections that one user can have, and some seconds.
const LINES_COMPARED: usize = 120;

/// Notes one more event, and sees that no window has more than it may.
fn limit(events: &mut Vec<Stamp>, at: Stamp, events_max: usize, window: Duration, what: &str) {
    events.push(at);
    let Some(first) = events.len().checked_sub(events_max + 1) else { return };
    // What was heard of first need not have been first.
    let longest = events[first..].iter().map(|event| event.until(at)).max();
    assert!(longest >= Some(window), "more {what} than there may be");
}
