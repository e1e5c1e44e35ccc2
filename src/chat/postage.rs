//! How much mail may go out, and which is on its way.

use crate::base::bucket::{Bucket, Rate};
use crate::base::ids::{ConnectionId, MailId};
use crate::base::limits::{
    MAIL_ADDRESS_WINDOW, MAIL_ADDRESSES_MAX, MAIL_RESULT_WITHIN, MAILS_PER_ADDRESS, MAILS_PER_CONNECTION,
    STRANGER_WITHIN,
};
use crate::base::moment::Moment;
use crate::base::quota::{Events, Quota};
use crate::base::shelf::{Key, Shelf};
use crate::chat::email::{Email, EmailKey};
use std::collections::BTreeMap;
use std::time::Duration;

/// A mail on its way.
#[derive(Debug)]
pub struct Sent {
    /// The flow whose code it carries.
    pub flow: Key,
    /// The connection that asked for it.
    pub connection: ConnectionId,
    email: EmailKey,
    at: Moment,
}

/// Budgets, and the mails on their way.
#[derive(Debug)]
pub struct Postage {
    /// The rate of the whole server; `None`: no mail is really sent, and nothing is limited.
    rate: Option<Rate>,
    bucket: Bucket,
    addresses: Shelf<Address>,
    by_email: BTreeMap<EmailKey, Key>,
    on_their_way: BTreeMap<MailId, Sent>,
    next_mail: MailId,
}

/// What went to an address. It is forgotten when the last mail is out of the window.
#[derive(Debug)]
struct Address {
    email: EmailKey,
    mails: Events,
}

impl Postage {
    /// Nothing was sent so far.
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            bucket: Bucket::default(),
            addresses: Shelf::new(MAIL_ADDRESSES_MAX),
            by_email: BTreeMap::new(),
            on_their_way: BTreeMap::new(),
            next_mail: MailId(0),
        }
    }

    /// Whether a mail may go to an address, for a connection that had `mails` before.
    ///
    /// # Errors
    /// How long it may not.
    pub fn check(&self, now: Moment, mails: u8, email: &Email) -> Result<(), Duration> {
        let Some(rate) = self.rate else { return Ok(()) };
        if mails >= MAILS_PER_CONNECTION {
            // By then the connection is closed, and the next one begins anew.
            return Err(STRANGER_WITHIN);
        }
        let address = self.by_email.get(&email.key()).and_then(|&key| self.addresses.get(key));
        let wait_address = address.map_or(Duration::ZERO, |address| address.mails.wait(now, TO_ADDRESS));
        let wait = wait_address.max(self.bucket.wait_for_token(now, rate));
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// A mail goes out; gives its number.
    pub fn send(&mut self, now: Moment, email: &Email, flow: Key, connection: ConnectionId) -> MailId {
        let id = self.next_mail;
        self.next_mail = MailId(id.0 + 1);
        if let Some(rate) = self.rate {
            self.bucket.take_in_debt(now, rate, 1);
            self.count(now, email.key());
        }
        self.on_their_way.insert(id, Sent { flow, connection, email: email.key(), at: now });
        id
    }

    /// What became of a mail; one that did not go out is not counted against its address. `None`: it is not on its way.
    pub fn done(&mut self, id: MailId, is_sent: bool) -> Option<Sent> {
        let sent = self.on_their_way.remove(&id)?;
        if !is_sent
            && let Some(&key) = self.by_email.get(&sent.email)
            && let Some(address) = self.addresses.get_mut(key)
        {
            address.mails.take_back(sent.at);
        }
        Some(sent)
    }

    /// A mail of which nothing was heard in time.
    #[must_use]
    pub fn overdue(&self, now: Moment) -> Option<MailId> {
        let (&id, sent) = self.on_their_way.first_key_value()?;
        (sent.at.after(MAIL_RESULT_WITHIN) <= now).then_some(id)
    }

    /// Forgets the addresses that had no mail within the window.
    pub fn forget_expired(&mut self, now: Moment) {
        while let Some(address) = self.addresses.pop_expired(now) {
            self.by_email.remove(&address.email);
        }
    }

    /// Addresses whose mails are counted.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.addresses.len()
    }

    /// Mails of which nothing was heard yet.
    #[must_use]
    pub fn on_their_way(&self) -> usize {
        self.on_their_way.len()
    }

    /// When the next mail is overdue or the next address is forgotten.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let overdue = self.on_their_way.first_key_value().map(|(_, sent)| sent.at.after(MAIL_RESULT_WITHIN));
        overdue.into_iter().chain(self.addresses.next_deadline()).min()
    }

    fn count(&mut self, now: Moment, email: EmailKey) {
        let expires = Some(now.after(MAIL_ADDRESS_WINDOW));
        if let Some(&key) = self.by_email.get(&email)
            && let Some(address) = self.addresses.get_mut(key)
        {
            address.mails.add(now, TO_ADDRESS);
            self.addresses.set_expiry(key, expires);
            return;
        }
        let mut mails = Events::default();
        mails.add(now, TO_ADDRESS);
        let (key, evicted) = self.addresses.insert(Address { email: email.clone(), mails }, expires);
        if let Some(evicted) = evicted {
            self.by_email.remove(&evicted.email);
        }
        self.by_email.insert(email, key);
    }
}

const TO_ADDRESS: Quota = Quota { events_max: MAILS_PER_ADDRESS, window: MAIL_ADDRESS_WINDOW };

#[cfg(test)]
mod tests {
    use super::*;

    struct Office {
        postage: Postage,
        flow: Key,
    }

    impl Office {
        fn new(every: u64, burst: u64) -> Self {
            let flow = Shelf::new(1).insert((), None).0;
            let rate = Some(Rate::every(Duration::from_secs(every), burst));
            Self { postage: Postage::new(rate), flow }
        }

        /// Sends if it may; the seconds to wait if not.
        fn send(&mut self, second: u64, email: &str, mails: u8) -> Result<MailId, u64> {
            let now = Moment::from_ms(second * 1_000);
            let email = Email::parse(email).unwrap();
            self.postage.check(now, mails, &email).map_err(|wait| wait.as_secs())?;
            Ok(self.postage.send(now, &email, self.flow, ConnectionId::new(0, 0)))
        }
    }

    #[test]
    fn an_address_gets_three_mails_in_ten_minutes() {
        let mut office = Office::new(0, 1);
        for second in [0, 10, 20] {
            office.send(second, "ada@example.org", 0).unwrap();
        }
        assert_eq!(office.send(30, "ADA@example.org", 0), Err(570));
        assert_eq!(office.send(599, "ada@example.org", 0), Err(1));
        assert!(office.send(30, "bob@example.org", 0).is_ok());
        assert!(office.send(600, "ada@example.org", 0).is_ok());
        assert_eq!(office.send(600, "ada@example.org", 0), Err(10));
    }

    #[test]
    fn a_mail_that_did_not_go_out_is_not_counted() {
        let mut office = Office::new(0, 1);
        let ids: Vec<MailId> =
            (0..3).map(|second| office.send(second, "ada@example.org", 0).unwrap()).collect();
        assert!(office.send(3, "ada@example.org", 0).is_err());
        assert!(office.postage.done(ids[1], false).is_some());
        assert!(office.postage.done(ids[1], false).is_none(), "only once");
        assert!(office.send(3, "ada@example.org", 0).is_ok());
        assert!(office.send(3, "ada@example.org", 0).is_err());
    }

    #[test]
    fn the_server_and_a_connection_have_budgets() {
        let mut office = Office::new(4, 2);
        assert_eq!(office.send(0, "ada@example.org", 3), Err(15 * 60));
        office.send(0, "ada@example.org", 2).unwrap();
        office.send(0, "bob@example.org", 0).unwrap();
        assert_eq!(office.send(1, "eve@example.org", 0), Err(3));
        assert!(office.send(4, "eve@example.org", 0).is_ok());
        assert_eq!(office.send(5, "joe@example.org", 0), Err(3));
    }

    #[test]
    fn a_mail_is_overdue_and_an_address_forgotten() {
        let at = |second: u64| Moment::from_ms(second * 1_000);
        let mut office = Office::new(0, 1);
        let id = office.send(0, "ada@example.org", 0).unwrap();
        assert_eq!(office.postage.next_deadline(), Some(at(16)));
        assert_eq!((office.postage.overdue(at(15)), office.postage.overdue(at(16))), (None, Some(id)));
        office.postage.done(id, true);
        assert_eq!(office.postage.next_deadline(), Some(at(600)));
        office.postage.forget_expired(at(600));
        assert_eq!(office.postage.next_deadline(), None);
        assert!(office.postage.by_email.is_empty());
    }
}
