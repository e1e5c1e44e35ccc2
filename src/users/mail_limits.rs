//! How much mail may go out, to which mailbox and for which network, and which mails are on their way.

use crate::base::frost::{Frozen, Refill, freeze_fields, frost, refill};
use crate::base::sliding_window::SlidingWindows;
use crate::base::time::Moment;
use crate::base::token_bucket::Rate;
use crate::ids::{MailId, NodeId};
use crate::limits::{
    GUEST_TIMEOUT, MAIL_ADDRESS_WINDOW, MAIL_ADDRESSES_MAX, MAIL_RESULT_TIMEOUT, MAILS_PER_ADDRESS,
    MAILS_PER_CONNECTION, NEW_CODES_RESERVED,
};
use crate::login_email::MailError;
use crate::usage::Usage;
use crate::users::email::{Email, EmailKey};
use crate::users::logins::{CodeId, FlowId};
use crate::users::network_shares::Shares;
use crate::users::user_name::UserName;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// A mail on its way.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The flow that asked for it.
    pub(crate) flow: FlowId,
    /// The live code that it carries.
    pub(crate) live: CodeId,
    /// The address that it goes to.
    pub(crate) email: Email,
    /// The name that was asked for.
    pub(crate) name: UserName,
    has_new_code: bool,
    at: Moment,
    pub(crate) node: NodeId,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The address that the mail would go to.
    pub(crate) email: &'a Email,
    pub(crate) owns_name: bool,
    /// No code is live that could be sent again.
    pub(crate) has_new_code: bool,
    /// The client address that asks, where that is known.
    pub(crate) address: Option<IpAddr>,
    /// Mails that its connection was granted so far.
    pub(crate) mails: u8,
}

/// Budgets, and the mails on their way.
#[derive(Debug)]
pub(crate) struct MailLimits {
    /// The whole server's budget and its shares; `None`: no mail is really sent, and nothing is limited.
    shares: Option<Shares>,
    mails: SlidingWindows<EmailKey>,
    /// Mails that brought a new code, by exact address.
    new_codes: SlidingWindows<EmailKey>,
    on_their_way: BTreeMap<MailId, Sent>,
    next_mail: MailId,
}

frost!(struct Sent { flow, live, email, name, has_new_code, at, node });
refill!(struct MailLimits { shares, mails, new_codes, on_their_way, next_mail } then Self::check_ids);

/// A server without a budget skips that of its predecessor; one whose predecessor had none begins anew.
impl Refill for Option<Shares> {
    fn freeze_state(&self, to: &mut Vec<u8>) {
        freeze_fields(to, |to| self.iter().for_each(|shares| shares.freeze_state(to)));
    }

    fn refill(&mut self, from: &mut Frozen<'_>) -> Option<()> {
        let mut fields = from.fields()?;
        self.as_mut().map_or(Some(()), |shares| fields.refill(shares))
    }
}

impl MailLimits {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self {
            shares: rate.map(Shares::new),
            mails: SlidingWindows::new(MAIL_ADDRESS_WINDOW, MAIL_ADDRESSES_MAX),
            new_codes: SlidingWindows::new(MAIL_ADDRESS_WINDOW, MAIL_ADDRESSES_MAX),
            on_their_way: BTreeMap::new(),
            next_mail: MailId(0),
        }
    }

    /// How long a client address has to wait before it may ask for a code at all.
    pub(crate) fn wait_to_ask(&self, now: Moment, address: Option<IpAddr>) -> Duration {
        self.shares.as_ref().map_or(Duration::ZERO, |shares| shares.wait_to_ask(now, address))
    }

    /// Counts that a client address asks for a code, whatever becomes of it.
    pub(crate) fn count_ask(&mut self, now: Moment, address: Option<IpAddr>) {
        if let Some(shares) = &mut self.shares {
            shares.count_ask(now, address);
        }
    }

    /// Whether a mail may go out.
    ///
    /// # Errors
    /// How long it may not.
    pub(crate) fn check(&self, now: Moment, wanted: Wanted<'_>) -> Result<(), Duration> {
        let Some(shares) = &self.shares else { return Ok(()) };
        if wanted.mails >= MAILS_PER_CONNECTION {
            // By then the connection is closed, and the next one begins anew.
            return Err(GUEST_TIMEOUT);
        }
        let (mailbox, email) = (wanted.email.mailbox(), wanted.email.key());
        let new_codes = |most| self.new_codes.wait(now, &email, most);
        let has_reserve = wanted.has_new_code && (wanted.owns_name || email == mailbox);
        let wait_for_mailbox = match self.mails.wait(now, &mailbox, MAILS_PER_ADDRESS) {
            wait if has_reserve => wait.min(new_codes(NEW_CODES_RESERVED)),
            wait => wait,
        };
        // Owners share what is reserved for them, too: one new code each window.
        let is_owner = wanted.owns_name && wanted.has_new_code && new_codes(1).is_zero();
        let wait = wait_for_mailbox.max(shares.wait_for_token(now, wanted.address, is_owner));
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// An email goes out for a flow that asked for this name; returns its id.
    pub(crate) fn send(
        &mut self,
        now: Moment,
        node: NodeId,
        wanted: Wanted<'_>,
        name: &UserName,
        flow: FlowId,
        live: CodeId,
    ) -> MailId {
        let id = self.next_mail;
        self.next_mail = MailId(id.0 + 1);
        let Wanted { email, has_new_code, .. } = wanted;
        if let Some(shares) = &mut self.shares {
            shares.take_token(now, wanted.address);
            self.mails.add(now, &email.mailbox(), MAILS_PER_ADDRESS + NEW_CODES_RESERVED);
            if has_new_code {
                self.new_codes.add(now, &email.key(), MAILS_PER_ADDRESS + NEW_CODES_RESERVED);
            }
        }
        let (email, name) = (email.clone(), name.clone());
        let sent = Sent { flow, live, email, name, has_new_code, at: now, node };
        self.on_their_way.insert(id, sent);
        id
    }

    /// What became of a mail. One that surely did not go out is not counted against its mailbox; of others
    /// that failed nobody knows whether they arrive. `None`: it is not on its way.
    pub(crate) fn done(&mut self, id: MailId, result: Result<(), MailError>) -> Option<Sent> {
        let sent = self.on_their_way.remove(&id)?;
        if result.is_err_and(|fault| !fault.may_have_arrived()) {
            self.mails.take_back(sent.at, &sent.email.mailbox());
            if sent.has_new_code {
                self.new_codes.take_back(sent.at, &sent.email.key());
            }
        }
        Some(sent)
    }

    /// The emails whose result is not known yet, in order of their ids.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (MailId, &Sent)> {
        self.on_their_way.iter().map(|(&id, sent)| (id, sent))
    }

    /// A mail of which nothing was heard in time, and the node that sends it.
    pub(crate) fn overdue(&self, now: Moment) -> Option<(MailId, NodeId)> {
        let (&id, sent) = self.on_their_way.first_key_value()?;
        (sent.at.after(MAIL_RESULT_TIMEOUT) <= now).then_some((id, sent.node))
    }

    /// Forgets the addresses and networks that had no mail within the window.
    pub(crate) fn forget_expired(&mut self, now: Moment) {
        self.mails.forget_expired(now);
        self.new_codes.forget_expired(now);
        if let Some(shares) = &mut self.shares {
            shares.forget_expired(now);
        }
    }

    /// What is kept, beside its limit.
    pub(crate) fn usage(&self) -> [Usage; 4] {
        let (networks, networks_max) = self.shares.as_ref().map_or((0, 0), Shares::networks);
        [
            Usage::new("mail addresses", self.mails.len(), MAIL_ADDRESSES_MAX),
            Usage::new("addresses with new codes", self.new_codes.len(), MAIL_ADDRESSES_MAX),
            Usage::new("asking networks", networks, networks_max),
            // They go within seconds, and the budget, where mail is really sent, bounds how many come.
            Usage::new("mails on their way", self.on_their_way.len(), usize::MAX),
        ]
    }

    /// No id is given out twice, and the next ones do not overflow.
    fn check_ids(&mut self) -> Option<()> {
        let is_past = self.on_their_way.last_key_value().is_none_or(|(&id, _)| id < self.next_mail);
        (is_past && self.next_mail < MAIL_ID_MAX).then_some(())
    }

    /// When the next mail is overdue or the next count is forgotten.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        let overdue = self.on_their_way.first_key_value().map(|(_, sent)| sent.at.after(MAIL_RESULT_TIMEOUT));
        let networks = self.shares.as_ref().and_then(Shares::next_deadline);
        let deadlines = [overdue, networks, self.mails.next_deadline(), self.new_codes.next_deadline()];
        deadlines.into_iter().flatten().min()
    }
}

/// More emails than any server sends.
const MAIL_ID_MAX: MailId = MailId(u64::MAX / 2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::expiring_slab::Id;
    use crate::base::frost::frozen;

    struct Office {
        limits: MailLimits,
    }

    impl Office {
        fn new(every: u64, burst: u64) -> Self {
            let rate = Some(Rate::every(Duration::from_secs(every), burst));
            Self { limits: MailLimits::new(rate) }
        }

        /// Sends if it may; the seconds to wait if not.
        fn send_as(&mut self, second: u64, wanted: Wanted<'_>) -> Result<MailId, u64> {
            let now = at(second);
            self.limits.check(now, wanted).map_err(|wait| wait.as_secs())?;
            let name = UserName::parse("ada").unwrap();
            Ok(self.limits.send(now, NodeId::default(), wanted, &name, Id::made_up(0), Id::made_up(0)))
        }

        /// Sends a code that was sent before.
        fn repeat(&mut self, second: u64, email: &str, mails: u8) -> Result<MailId, u64> {
            let email = &Email::parse(email).unwrap();
            let wanted = Wanted { email, owns_name: false, has_new_code: false, address: None, mails };
            self.send_as(second, wanted)
        }

        /// Sends a new code, for an address that may own a name.
        fn send_new(&mut self, second: u64, email: &str, owns_name: bool) -> Result<MailId, u64> {
            let email = &Email::parse(email).unwrap();
            let wanted = Wanted { email, owns_name, has_new_code: true, address: None, mails: 0 };
            self.send_as(second, wanted)
        }
    }

    fn at(second: u64) -> Moment {
        Moment::from_ms(second * 1_000)
    }

    #[test]
    fn a_mailbox_gets_three_mails_in_ten_minutes() {
        let mut office = Office::new(0, 1);
        for (second, email) in [(0, "ada@example.org"), (10, "ada+1@example.org"), (20, "Ada+2@example.org")]
        {
            office.repeat(second, email, 0).unwrap();
        }
        for email in ["ADA@example.org", "ada+3@example.org"] {
            assert_eq!(office.repeat(30, email, 0), Err(570));
        }
        assert_eq!(office.repeat(599, "ada@example.org", 0), Err(1));
        assert!(office.repeat(30, "bob@example.org", 0).is_ok());
        assert!(office.repeat(600, "ada@example.org", 0).is_ok());
        assert_eq!(office.repeat(600, "ada@example.org", 0), Err(10));
    }

    #[test]
    fn what_others_ask_for_leaves_an_owner_the_mail_for_a_code() {
        let mut office = Office::new(0, 1);
        for tag in 0..3 {
            office.send_new(0, &format!("ada+{tag}@example.org"), false).unwrap();
        }
        assert_eq!(office.send_new(1, "ada+9@example.org", false), Err(599), "a stranger's tag");
        for (second, email, owns_name) in [(1, "ada@example.org", false), (2, "ada+chat@example.org", true)] {
            assert!(office.send_new(second, email, owns_name).is_ok(), "{email}");
            assert!(office.repeat(second, email, 0).is_err(), "{email}: it has the code");
            assert!(office.send_new(second, email, owns_name).is_ok(), "{email}: for a second device");
            assert!(office.send_new(second, email, owns_name).is_err(), "{email}: not without end");
        }
    }

    #[test]
    fn only_a_mail_that_surely_did_not_go_out_is_not_counted() {
        for (fault, is_given_back) in [
            (MailError::QueueFull, true),
            (MailError::Refused(500), true),
            (MailError::Unreachable, true),
            (MailError::BrokenOff, false),
            (MailError::Late, false),
        ] {
            let mut office = Office::new(0, 1);
            let send = |office: &mut Office, second| office.send_new(second, "ada@example.org", false);
            let ids: Vec<MailId> = (0..3).map(|second| send(&mut office, second).unwrap()).collect();
            assert!(send(&mut office, 3).is_err());
            assert!(office.limits.done(ids[1], Err(fault)).is_some());
            assert!(office.limits.done(ids[1], Err(fault)).is_none(), "only once");
            assert_eq!(send(&mut office, 3).is_ok(), is_given_back, "{fault}");
            assert!(send(&mut office, 3).is_err(), "{fault}");
        }
    }

    #[test]
    fn the_server_and_a_connection_have_budgets() {
        let mut office = Office::new(4, 2);
        assert_eq!(office.repeat(0, "ada@example.org", 3), Err(15 * 60));
        office.repeat(0, "ada@example.org", 2).unwrap();
        office.repeat(0, "bob@example.org", 0).unwrap();
        assert_eq!(office.repeat(1, "eve@example.org", 0), Err(3));
        assert!(office.repeat(4, "eve@example.org", 0).is_ok());
        assert_eq!(office.repeat(5, "joe@example.org", 0), Err(3));
    }

    #[test]
    fn an_owner_takes_the_last_token_once() {
        let mut office = Office::new(4, 1);
        let address = Some(IpAddr::from([203, 0, 113, 5]));
        let email = &Email::parse("ada@example.org").unwrap();
        let wanted = Wanted { email, owns_name: true, has_new_code: true, address, mails: 0 };
        let stranger = Wanted { owns_name: false, ..wanted };
        assert_eq!(office.send_as(0, stranger), Err(4), "it has to leave one");
        assert!(office.send_as(0, wanted).is_ok());
        assert_eq!(office.send_as(4, wanted), Err(8), "as anybody else whose network is not fresh");
    }

    #[test]
    fn a_mail_is_overdue_and_an_address_forgotten() {
        let mut office = Office::new(0, 1);
        let id = office.send_new(0, "ada@example.org", false).unwrap();
        assert_eq!(office.limits.next_deadline(), Some(at(16)));
        assert_eq!(
            (office.limits.overdue(at(15)), office.limits.overdue(at(16))),
            (None, Some((id, NodeId::default())))
        );
        office.limits.done(id, Ok(()));
        assert_eq!(office.limits.next_deadline(), Some(at(600)));
        office.limits.forget_expired(at(600));
        assert_eq!(office.limits.next_deadline(), None);
    }

    #[test]
    fn in_development_nothing_is_counted() {
        let mut office = Office { limits: MailLimits::new(None) };
        for second in 0..100 {
            let id = office.repeat(second, "ada@example.org", 9).unwrap();
            office.limits.count_ask(at(second), Some(IpAddr::from([203, 0, 113, 5])));
            office.limits.done(id, Ok(()));
        }
        assert_eq!(office.limits.next_deadline(), None);
    }

    #[test]
    fn an_id_that_would_be_given_out_twice_or_overflow_is_refused() {
        let mut office = Office::new(4, 15);
        let ada = Email::parse("ada@example.org").unwrap();
        let wanted = Wanted { email: &ada, owns_name: false, has_new_code: true, address: None, mails: 0 };
        let id = office.send_as(60, wanted).unwrap();
        for (next_mail, is_sound) in [(1, true), (0, false), (u64::MAX / 2, false), (u64::MAX, false)] {
            office.limits.next_mail = MailId(next_mail);
            let mut after = Office::new(4, 15);
            let refilled = after.limits.refill(&mut Frozen::new(&frozen(&office.limits)));
            assert_eq!(refilled.is_some(), is_sound, "{next_mail}");
            if is_sound {
                assert_eq!(after.limits.overdue(at(999)), Some((id, NodeId::default())));
                assert_eq!(after.send_as(61, wanted), Ok(MailId(1)));
            }
        }
    }
}
