//! Login codes. A code belongs to the email address that it was mailed to; each hello begins a flow that
//! waits for it.
//!
//! All flows of an address wait for the same live code, so that a stranger's request for it cannot make the
//! owner's mail useless. Each flow has tries of its own, so that a stranger's wrong tries cannot use up the
//! owner's. A code is shared by the exact address, without regard to `+tags`: `ada+x@` is Ada's mailbox at
//! some providers and somebody else's at others, and who reads the mail of one address must not get the code
//! of another.
//!
//! How many guesses one address may see is bounded in total, whatever connections, networks and flows they
//! come from: see [`GUESSES_PER_ADDRESS_MAX`].

use crate::base::expiring_slab::{ExpiringSlab, Id};
use crate::base::frost::{frost, refill};
use crate::base::sorted::map_of;
use crate::base::time::Moment;
use crate::ids::{ClientId, NodeId};
use crate::limits::{
    CODE_CHARS, CODE_TRIES, CODES_MAX, FLOWS_MAX, FLOWS_PER_CODE_MAX, GUESSED_ADDRESSES_MAX,
    GUESSES_PER_ADDRESS_MAX, GUESSES_WINDOW, LONG_CODE_CHARS,
};
use crate::usage::Usage;
use crate::users::code::Code;
use crate::users::email::{Email, EmailKey};
use crate::users::sessions::Token;
use crate::users::user_name::UserName;
use ipnet::IpNet;
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A request for a code that has not been answered with it yet.
#[derive(Debug)]
pub(crate) struct LoginAttempt {
    /// The name that was asked for.
    pub(crate) name: UserName,
    /// The address that the code was sent to.
    pub(crate) email: Email,
    /// The connection that asked, one of [`LoginAttempt::node`]'s.
    pub(crate) connection: ClientId,
    /// The network that it came from, where that is known.
    pub(crate) network: Option<IpNet>,
    pub(crate) node: NodeId,
}

impl LoginAttempt {
    fn asked_by(&self) -> (NodeId, ClientId) {
        (self.node, self.connection)
    }
}

frost!(struct LoginAttempt { name, email, connection, network, node });

/// A flow that has just begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) flow: FlowId,
    /// The token by which it is found from another connection.
    pub(crate) token: String,
    /// The code that it waits for.
    pub(crate) code: Code,
    /// The live code, for [`Logins::mail_begun`].
    pub(crate) live: CodeId,
}

pub(crate) type FlowId = Id<Flow>;
pub(crate) type CodeId = Id<LiveCode>;

/// A login attempt that waits for a code.
#[derive(Debug)]
pub(crate) struct Flow {
    token: Token,
    attempt: LoginAttempt,
    code: Code,
    tries_left: u8,
}

/// A code that is good, or will be when its mail arrives.
#[derive(Debug)]
pub(crate) struct LiveCode {
    code: Code,
    email: EmailKey,
    expires: Moment,
    /// The flows that wait for it, the oldest first. Some may have ended.
    flows: Vec<FlowId>,
    /// Mails with this code whose fate is not known yet.
    mails_open: usize,
    /// A mail with this code went out.
    is_sent: bool,
    /// A flow has succeeded with it: no new flow may wait for it.
    is_used: bool,
}

frost!(struct Flow { token, attempt, code, tries_left });
// The emails under way are counted again, see `Users::link`.
frost!(struct LiveCode { code, email, expires, flows, is_sent, is_used } but { mails_open: 0 });

/// A live code that one more flow may wait for.
#[derive(Debug, Clone, Copy)]
struct Joinable {
    key: CodeId,
    code: Code,
    expires: Moment,
}

/// Wrong tries at the short codes of one address: a sliding window in two halves, each as long as the window,
/// so that it never counts too few.
#[derive(Debug, Clone, Copy)]
struct Guesses {
    /// When the current half began.
    since: Moment,
    current: u32,
    former: u32,
}

frost!(struct Guesses { since, current, former });

impl Guesses {
    const fn none(now: Moment) -> Self {
        Self { since: now, current: 0, former: 0 }
    }

    fn at(self, now: Moment) -> Self {
        match now.since(self.since).as_micros() / GUESSES_WINDOW.as_micros() {
            0 => self,
            1 => Self { since: self.since.after(GUESSES_WINDOW), current: 0, former: self.current },
            _ => Self::none(now),
        }
    }

    const fn count(self) -> u32 {
        self.former.saturating_add(self.current)
    }
}

#[derive(Debug)]
pub(crate) struct Logins {
    code_ttl: Duration,
    flows: ExpiringSlab<Flow>,
    codes: ExpiringSlab<LiveCode>,
    /// The live codes of an address, the newest last: a long code may stand beside a short one that still has
    /// flows.
    by_email: BTreeMap<EmailKey, Vec<CodeId>>,
    guesses: ExpiringSlab<(EmailKey, Guesses)>,
    guessed: BTreeMap<EmailKey, Id<(EmailKey, Guesses)>>,
}

refill!(struct Logins { flows, codes, guesses } but { code_ttl, by_email, guessed } then Self::index);

impl Logins {
    /// No flows; codes will be good for `code_ttl`.
    pub(crate) fn new(code_ttl: Duration) -> Self {
        Self::bounded(code_ttl, CODES_MAX, FLOWS_MAX, GUESSED_ADDRESSES_MAX)
    }

    fn bounded(code_ttl: Duration, codes_max: usize, flows_max: usize, guessed_max: usize) -> Self {
        Self {
            code_ttl,
            flows: ExpiringSlab::new(flows_max),
            codes: ExpiringSlab::new(codes_max),
            by_email: BTreeMap::new(),
            guesses: ExpiringSlab::new(guessed_max),
            guessed: BTreeMap::new(),
        }
    }

    /// Whether a new flow for this address would wait for a code that was made already.
    pub(crate) fn has_live_code(&self, now: Moment, email: &EmailKey) -> bool {
        self.joinable(now, email).is_some()
    }

    /// Begins a flow that waits for the live code of the address, or for a new one.
    ///
    /// Where too many wait already, the oldest flow of the network that has most of them ends. So one network
    /// pushes out nobody else's flow; and whoever has lost theirs to many networks begins another one, for
    /// the code that they have.
    pub(crate) fn begin(&mut self, rng: &mut impl Rng, now: Moment, flow: LoginAttempt) -> Begun {
        let Joinable { key: live, code, expires } = match self.joinable(now, &flow.email.key()) {
            Some(joinable) => joinable,
            None => self.make_code(rng, now, flow.email.key()),
        };
        self.make_room(live);
        let token = Token::random(rng);
        let waiting = Flow { token, attempt: flow, code, tries_left: CODE_TRIES };
        let (flow, _evicted) = self.flows.insert(waiting, Some(expires));
        if let Some(live) = self.codes.get_mut(live) {
            live.flows.push(flow);
        }
        Begun { flow, token: token.write(flow.slot()), code, live }
    }

    /// A code that is still live.
    pub(crate) fn code(&self, live: CodeId) -> Option<&Code> {
        self.codes.get(live).map(|live| &live.code)
    }

    /// The code that a flow waits for.
    #[cfg(test)]
    pub(crate) fn code_of(&self, flow: FlowId) -> Option<Code> {
        self.flows.get(flow).map(|waiting| waiting.code)
    }

    /// A mail with this code is on its way.
    pub(crate) fn mail_begun(&mut self, live: CodeId) {
        if let Some(live) = self.codes.get_mut(live) {
            live.mails_open += 1;
        }
    }

    /// What became of a mail with this code that a flow asked for. Once all mails with it have failed, the
    /// code is void. Gives the connections that have to be told of a failure: all that waited for a code
    /// which is void, or, if another mail has brought it, the one that asked for this mail. While others are
    /// on their way there is nothing to tell.
    pub(crate) fn mail_done(&mut self, live: CodeId, flow: FlowId, is_sent: bool) -> Vec<(NodeId, ClientId)> {
        let Some(code) = self.codes.get_mut(live) else { return Vec::new() };
        code.mails_open = code.mails_open.saturating_sub(1);
        let was_sent = code.is_sent;
        code.is_sent |= is_sent;
        match (is_sent, was_sent) {
            (true, _) => Vec::new(),
            (false, true) => self.connection(flow).into_iter().collect(),
            (false, false) if code.mails_open > 0 => Vec::new(),
            (false, false) => self.void_code(live).iter().map(|waiting| waiting.attempt.asked_by()).collect(),
        }
    }

    /// The flow of a token.
    pub(crate) fn find(&self, written: &str) -> Option<FlowId> {
        let (slot, token) = Token::read(written)?;
        let (key, waiting) = self.flows.in_slot(slot)?;
        waiting.token.is(token).then_some(key)
    }

    /// The connection that began a flow which has not ended, and its node.
    fn connection(&self, flow: FlowId) -> Option<(NodeId, ClientId)> {
        self.flows.get(flow).map(|waiting| waiting.attempt.asked_by())
    }

    /// Tries a code. The right one ends the flow and gives it. A code is good once for each flow that waited
    /// for it by then.
    ///
    /// # Errors
    /// The tries that are left; with none left the flow has ended.
    pub(crate) fn try_code(&mut self, now: Moment, key: FlowId, typed: &str) -> Result<LoginAttempt, u8> {
        let waiting = self.flows.get_mut(key).ok_or(0)?;
        let email = waiting.attempt.email.key();
        if Code::parse(typed).is_some_and(|code| waiting.code.is(code)) {
            let flow = self.flows.remove(key).map(|waiting| waiting.attempt);
            self.use_up(&email);
            return flow.ok_or(0);
        }
        waiting.tries_left = waiting.tries_left.saturating_sub(1);
        let (left, is_short) = (waiting.tries_left, !waiting.code.is_long());
        if left == 0 {
            self.flows.remove(key);
        }
        if is_short {
            self.count_guess(now, email);
        }
        Err(left)
    }

    /// The codes of an address are for the flows that wait for them already, once each: a code that is seen
    /// after its use opens no new one.
    fn use_up(&mut self, email: &EmailKey) {
        for id in self.by_email.get(email).cloned().unwrap_or_default() {
            if let Some(code) = self.codes.get_mut(id) {
                code.is_used = true;
            }
            if self.codes.get(id).is_some_and(|code| self.waiting(code).next().is_none()) {
                self.void_code(id);
            }
        }
    }

    /// Ends the codes of these addresses, with all flows that wait for them.
    pub(crate) fn void_codes_of(&mut self, is_meant: impl Fn(&EmailKey) -> bool) {
        let meant = self.by_email.iter().filter(|(email, _)| is_meant(email));
        for code in meant.flat_map(|(_, codes)| codes).copied().collect::<Vec<_>>() {
            self.void_code(code);
        }
    }

    pub(crate) fn void(&mut self, flow: FlowId) {
        self.flows.remove(flow);
    }

    /// Ends the codes and flows whose time is over, and forgets guesses that count no more.
    pub(crate) fn forget_expired(&mut self, now: Moment) {
        while self.flows.pop_expired(now).is_some() {}
        while let Some(live) = self.codes.pop_expired(now) {
            self.forget_code(live);
        }
        while let Some((email, _)) = self.guesses.pop_expired(now) {
            self.guessed.remove(&email);
        }
    }

    /// What is kept, beside its limit.
    pub(crate) fn usage(&self) -> [Usage; 3] {
        [
            Usage::new("codes", self.codes.len(), CODES_MAX),
            Usage::new("login flows", self.flows.len(), FLOWS_MAX),
            Usage::new("guessed addresses", self.guesses.len(), GUESSED_ADDRESSES_MAX),
        ]
    }

    /// When the next of these goes.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        let deadlines =
            [self.codes.next_deadline(), self.flows.next_deadline(), self.guesses.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// The live code that a new flow for this address waits for: the newest one, unless it is short and the
    /// address has seen so many wrong tries that the tries of one more flow could be too many.
    fn joinable(&self, now: Moment, email: &EmailKey) -> Option<Joinable> {
        let &key = self.by_email.get(email)?.last()?;
        let live = self.codes.get(key).filter(|live| !live.is_used)?;
        // A full code gives up a flow, with what tries it has left, for the new one.
        let may_join = live.code.is_long()
            || self.has_guesses_for(now, email, (self.waiting(live).count() + 1).min(FLOWS_PER_CODE_MAX));
        may_join.then_some(Joinable { key, code: live.code, expires: live.expires })
    }

    fn make_code(&mut self, rng: &mut impl Rng, now: Moment, email: EmailKey) -> Joinable {
        // Flows of a former short code may still be waiting; their tries count, too.
        let former = self.by_email.get(&email).map_or(&[][..], Vec::as_slice).iter();
        let short = former.filter_map(|&key| self.codes.get(key)).filter(|live| !live.code.is_long());
        let waiting: usize = short.map(|live| self.waiting(live).count()).sum();
        let may_be_short = self.has_guesses_for(now, &email, waiting + 1);
        let code = Code::random(rng, if may_be_short { CODE_CHARS } else { LONG_CODE_CHARS });
        let expires = now.after(self.code_ttl);
        let live = LiveCode {
            code,
            email: email.clone(),
            expires,
            flows: Vec::new(),
            mails_open: 0,
            is_sent: false,
            is_used: false,
        };
        let (key, evicted) = self.codes.insert(live, Some(expires));
        if let Some(evicted) = evicted {
            self.forget_code(evicted);
        }
        self.by_email.entry(email).or_default().push(key);
        Joinable { key, code, expires }
    }

    /// Whether an address may see all wrong tries of so many flows for short codes, beside those that it has
    /// seen.
    fn has_guesses_for(&self, now: Moment, email: &EmailKey, flows: usize) -> bool {
        let guesses = self.guessed.get(email).and_then(|&key| self.guesses.get(key));
        let seen = guesses.map_or(0, |(_, guesses)| guesses.at(now).count());
        let reserved = u32::try_from(flows).unwrap_or(u32::MAX).saturating_mul(CODE_TRIES.into());
        seen.saturating_add(reserved) <= GUESSES_PER_ADDRESS_MAX
    }

    fn count_guess(&mut self, now: Moment, email: EmailKey) {
        let key = self.guessed.get(&email).copied().unwrap_or_else(|| {
            let (key, evicted) = self.guesses.insert((email.clone(), Guesses::none(now)), None);
            if let Some((evicted, _)) = evicted {
                self.guessed.remove(&evicted);
            }
            self.guessed.insert(email, key);
            key
        });
        if let Some((_, guesses)) = self.guesses.get_mut(key) {
            *guesses = guesses.at(now);
            guesses.current = guesses.current.saturating_add(1);
            let counted_until = guesses.since.after(GUESSES_WINDOW * 2);
            self.guesses.set_expiry(key, Some(counted_until));
        }
    }

    /// The flows that still wait for a code, the oldest first.
    fn waiting<'a>(&'a self, live: &'a LiveCode) -> impl Iterator<Item = (FlowId, &'a Flow)> {
        live.flows.iter().filter_map(|&flow| Some((flow, self.flows.get(flow)?)))
    }

    /// Rebuilds the indices. `None`: a flow waits for no code, for two, or for that of another address.
    fn index(&mut self) -> Option<()> {
        let codes = map_of(self.codes.iter().map(|(id, code)| ((id.serial(), id), code)));
        let mut waiting = BTreeSet::new();
        self.by_email.clear();
        for ((_, id), code) in codes {
            self.by_email.entry(code.email.clone()).or_default().push(id);
            for (flow, Flow { attempt, code: own, .. }) in self.waiting(code) {
                let is_own = own.is(code.code) && attempt.email.key() == code.email;
                (is_own && waiting.insert(flow)).then_some(())?;
            }
        }
        self.guessed = map_of(self.guesses.iter().map(|(id, (email, _))| (email.clone(), id)));
        (waiting.len() == self.flows.len() && self.guessed.len() == self.guesses.len()).then_some(())
    }

    /// Sees that one more flow may wait for a code.
    fn make_room(&mut self, live: CodeId) {
        let Some(code) = self.codes.get(live) else { return };
        let waiting: Vec<_> =
            self.waiting(code).map(|(key, waiting)| (key, waiting.attempt.network)).collect();
        let mut flows: Vec<FlowId> = waiting.iter().map(|&(key, _)| key).collect();
        if flows.len() >= FLOWS_PER_CODE_MAX {
            let held_by = |network| waiting.iter().filter(|(_, other)| *other == network).count();
            let most = waiting.iter().map(|&(_, network)| held_by(network)).max();
            let giving_way = waiting.iter().position(|&(_, network)| Some(held_by(network)) == most);
            if let Some(at) = giving_way {
                self.flows.remove(flows.remove(at));
            }
        }
        if let Some(code) = self.codes.get_mut(live) {
            code.flows = flows;
        }
    }

    /// Ends a code with its flows; gives these.
    fn void_code(&mut self, live: CodeId) -> Vec<Flow> {
        self.codes.remove(live).map(|live| self.forget_code(live)).unwrap_or_default()
    }

    /// Ends what belongs to a code that is gone; gives the flows that waited for it.
    fn forget_code(&mut self, live: LiveCode) -> Vec<Flow> {
        if let Some(codes) = self.by_email.get_mut(&live.email) {
            codes.retain(|&code| self.codes.get(code).is_some());
            if codes.is_empty() {
                self.by_email.remove(&live.email);
            }
        }
        live.flows.into_iter().filter_map(|flow| self.flows.remove(flow)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::frost::{Frozen, Refill, frozen};
    use rand::{SeedableRng, rngs::ChaCha20Rng};

    const TTL: Duration = Duration::from_mins(10);

    /// Logins at a moment that moves.
    struct Desk {
        logins: Logins,
        rng: ChaCha20Rng,
        now: Moment,
    }

    impl Desk {
        fn new() -> Self {
            let rng = ChaCha20Rng::from_seed([7; 32]);
            Self { logins: Logins::new(TTL), rng, now: Moment::from_ms(0) }
        }

        fn pass(&mut self, time: Duration) {
            self.now = self.now.after(time);
            self.logins.forget_expired(self.now);
        }

        fn begin_from(&mut self, email: &str, network: Option<u8>) -> Begun {
            let flow = LoginAttempt {
                name: UserName::parse("ada").unwrap(),
                email: Email::parse(email).unwrap(),
                connection: ClientId::new(0, 7),
                network: network.map(|n| format!("10.0.{n}.0/24").parse().unwrap()),
                node: NodeId::default(),
            };
            let begun = self.logins.begin(&mut self.rng, self.now, flow);
            self.logins.mail_begun(begun.live);
            begun
        }

        fn begin(&mut self, email: &str) -> Begun {
            self.begin_from(email, None)
        }

        fn try_code(&mut self, flow: FlowId, typed: &str) -> Result<LoginAttempt, u8> {
            self.logins.try_code(self.now, flow, typed)
        }

        fn is_empty(&self) -> bool {
            let Logins { code_ttl: _, flows, codes, by_email, guesses, guessed } = &self.logins;
            flows.len() == 0
                && codes.len() == 0
                && by_email.is_empty()
                && guesses.len() == 0
                && guessed.is_empty()
        }
    }

    const ADA: &str = "ada@example.org";

    /// A code of the same length that is another one.
    fn other_than(code: &Code) -> String {
        let (rest, last) = code.as_str().split_at(code.as_str().len() - 1);
        format!("{rest}{}", if last == "7" { '8' } else { '7' })
    }

    #[test]
    fn a_code_is_good_once_for_each_flow_that_waited_for_it() {
        let mut desk = Desk::new();
        let (first, second) = (desk.begin(ADA), desk.begin("ADA@example.org"));
        let typed = first.code.as_str().to_lowercase();
        assert_eq!(typed, second.code.as_str().to_lowercase(), "one code for one address");
        assert_eq!(desk.try_code(second.flow, &typed).unwrap().name.as_str(), "ada");
        assert_eq!(desk.try_code(second.flow, &typed).unwrap_err(), 0, "once");
        let late = desk.begin(ADA);
        assert_ne!(late.code.as_str(), first.code.as_str(), "a code that was used is for no new flow");
        assert_eq!(desk.try_code(late.flow, &typed).unwrap_err(), 4);
        assert!(desk.try_code(first.flow, &typed).is_ok());
        assert_eq!(desk.try_code(first.flow, &typed).unwrap_err(), 0);
        assert!(desk.try_code(late.flow, late.code.as_str()).is_ok());
        assert!(
            desk.logins.flows.len() == 0 && desk.logins.codes.len() == 0 && desk.logins.by_email.is_empty()
        );
    }

    #[test]
    fn sub_addresses_and_other_addresses_have_codes_of_their_own() {
        let mut desk = Desk::new();
        let codes = [ADA, "ada+1@example.org", "ada+2@example.org", "bob@example.org"]
            .map(|email| desk.begin(email).code.as_str().to_owned());
        for (at, code) in codes.iter().enumerate() {
            assert!(!codes[..at].contains(code), "{codes:?}");
        }
    }

    #[test]
    fn each_flow_has_five_tries_of_its_own() {
        let mut desk = Desk::new();
        let (stranger, owner) = (desk.begin(ADA), desk.begin(ADA));
        let wrong = other_than(&owner.code);
        let left: Vec<u8> = (0..6).map(|_| desk.try_code(stranger.flow, &wrong).unwrap_err()).collect();
        assert_eq!(left, [4, 3, 2, 1, 0, 0]);
        assert_eq!(desk.try_code(stranger.flow, owner.code.as_str()).unwrap_err(), 0);
        assert!(desk.try_code(owner.flow, owner.code.as_str()).is_ok());
    }

    #[test]
    fn a_flow_is_found_by_its_token_alone() {
        let mut desk = Desk::new();
        let (one, other) = (desk.begin(ADA), desk.begin(ADA));
        let find = |token: &str| desk.logins.find(token);
        assert_eq!((find(&one.token), find(&other.token)), (Some(one.flow), Some(other.flow)));
        let token = &one.token;
        for bad in ["", "x", &token[1..], &token.to_uppercase(), &format!("{token}A"), &"A".repeat(27)] {
            assert_eq!(find(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_code_expires_with_all_flows_that_have_joined_it() {
        let mut desk = Desk::new();
        let first = desk.begin(ADA);
        assert_eq!(desk.logins.next_deadline(), Some(desk.now.after(TTL)));
        desk.pass(TTL / 2);
        let second = desk.begin(ADA);
        desk.pass(TTL / 2);
        for flow in [first.flow, second.flow] {
            assert_eq!(desk.try_code(flow, first.code.as_str()).unwrap_err(), 0);
        }
        assert!(desk.is_empty());
    }

    #[test]
    fn a_code_is_void_once_all_its_mails_have_failed() {
        let mut desk = Desk::new();
        let (first, second) = (desk.begin(ADA), desk.begin(ADA));
        assert_eq!(desk.logins.mail_done(first.live, first.flow, false), [], "another is on its way");
        assert!(desk.logins.has_live_code(desk.now, &Email::parse(ADA).unwrap().key()));
        let told = desk.logins.mail_done(second.live, second.flow, false);
        assert_eq!(told.len(), 2, "both flows waited for it");
        assert_eq!(desk.try_code(first.flow, first.code.as_str()).unwrap_err(), 0);
        assert!(desk.is_empty());

        let (sent, failed) = (desk.begin(ADA), desk.begin(ADA));
        assert_eq!(desk.logins.mail_done(sent.live, sent.flow, true), []);
        let told = desk.logins.mail_done(failed.live, failed.flow, false);
        assert_eq!(told.len(), 1, "one mail has brought it, and whoever asked for the other one is told");
        assert!(desk.try_code(failed.flow, sent.code.as_str()).is_ok());
    }

    #[test]
    fn the_codes_of_an_address_are_voided_with_their_flows_and_no_others() {
        let mut desk = Desk::new();
        let (first, second, other) = (desk.begin(ADA), desk.begin(ADA), desk.begin("bob@example.org"));
        let ada = Email::parse(ADA).unwrap().key();
        desk.logins.void_codes_of(|email| *email == ada);
        assert_eq!((desk.logins.codes.len(), desk.logins.flows.len()), (1, 1));
        for flow in [first.flow, second.flow] {
            assert_eq!(desk.try_code(flow, first.code.as_str()).unwrap_err(), 0);
        }
        assert_eq!(desk.logins.mail_done(first.live, first.flow, false), [], "its mail was on the way");
        assert!(!desk.logins.has_live_code(desk.now, &ada));
        assert!(desk.try_code(other.flow, other.code.as_str()).is_ok());
        assert!(desk.is_empty());
    }

    #[test]
    fn the_network_with_most_flows_gives_way() {
        let mut desk = Desk::new();
        let owner = desk.begin_from(ADA, Some(0));
        for _ in 0..10 * FLOWS_PER_CODE_MAX {
            desk.begin_from(ADA, Some(1));
            assert!(desk.logins.flows.len() <= FLOWS_PER_CODE_MAX);
        }
        assert!(desk.logins.connection(owner.flow).is_some(), "one network pushes out its own flows");
        // Many networks push out the owner's flow, and the owner begins another one, for the code that is in
        // the mailbox.
        for network in 1..=200 {
            desk.begin_from(ADA, Some(network));
        }
        assert!(desk.logins.connection(owner.flow).is_none());
        let again = desk.begin_from(ADA, Some(0));
        assert!(desk.try_code(again.flow, owner.code.as_str()).is_ok());
    }

    /// Guesses at one address at full speed, with new flows from new networks all the time. Gives those at
    /// short codes.
    fn guess(desk: &mut Desk, rounds: usize, pause: Duration) -> u32 {
        let mut guesses = 0;
        for round in 0..rounds {
            let begun = desk.begin_from(ADA, Some(u8::try_from(round % 251).unwrap()));
            let wrong = other_than(&begun.code);
            for _ in 0..round % 7 {
                let is_looked_at = desk.logins.connection(begun.flow).is_some();
                guesses += u32::from(is_looked_at && !begun.code.is_long());
                desk.try_code(begun.flow, &wrong).unwrap_err();
            }
            desk.pass(pause);
        }
        guesses
    }

    #[test]
    fn guesses_of_a_day_succeed_with_less_than_one_in_a_million_and_lock_out_nobody() {
        // All at once, spread over half a day, over two days, and in bursts around the end of a window.
        for pause in [0, 4, 28, 120] {
            let mut desk = Desk::new();
            let mut of_days = Vec::new();
            for _ in 0..4 {
                let guesses = guess(&mut desk, 1_440, Duration::from_secs(pause));
                of_days.push(guesses);
                // The owner asks and comes in, whatever was guessed.
                let owner = desk.begin(ADA);
                assert!(desk.try_code(owner.flow, owner.code.as_str()).is_ok(), "{pause}");
            }
            let days = u32::try_from(4 * 1_440 * pause / 86_400).unwrap() + 1;
            let all: u32 = of_days.iter().sum();
            assert!(all <= days * GUESSES_PER_ADDRESS_MAX, "{pause} s: {of_days:?} in {days} days");
            assert!(all >= GUESSES_PER_ADDRESS_MAX - 100, "honest typing errors have room: {of_days:?}");
        }
    }

    #[test]
    fn an_address_that_is_guessed_at_gets_long_codes_for_a_day_and_then_short_ones() {
        let mut desk = Desk::new();
        let parked = desk.begin_from(ADA, Some(0));
        guess(&mut desk, 1_000, Duration::ZERO);
        let long = desk.begin(ADA);
        assert_eq!((parked.code.unusual_chars(), long.code.unusual_chars()), (None, Some(12)));
        assert_eq!(long.code.as_str().len(), LONG_CODE_CHARS);
        assert!(desk.logins.flows.len() <= 2 * FLOWS_PER_CODE_MAX);
        assert!(!desk.begin("bob@example.org").code.is_long(), "another address");
        let elsewhere = desk.begin(ADA);
        assert_eq!(elsewhere.code.as_str(), long.code.as_str(), "one live code");
        assert!(desk.try_code(elsewhere.flow, &long.code.as_str().to_lowercase()).is_ok());
        assert!(desk.begin(ADA).code.is_long(), "guesses stay counted");
        desk.pass(GUESSES_WINDOW * 2);
        assert!(desk.is_empty());
        assert!(!desk.begin(ADA).code.is_long());
    }

    #[test]
    fn tables_are_bounded() {
        let mut desk = Desk::new();
        desk.logins = Logins::bounded(TTL, 20, 30, 40);
        for n in 0..100 {
            for _ in 0..2 {
                let begun = desk.begin(&format!("p{n}@example.org"));
                desk.try_code(begun.flow, "222222").unwrap_err();
            }
        }
        let Logins { flows, codes, by_email, guesses, guessed, .. } = &desk.logins;
        assert_eq!((codes.len(), by_email.len()), (20, 20));
        assert!((20..=30).contains(&flows.len()), "{}", flows.len());
        assert_eq!((guesses.len(), guessed.len()), (40, 40));
        desk.pass(GUESSES_WINDOW * 2);
        assert!(desk.is_empty());
    }

    #[test]
    fn nothing_shows_a_code() {
        let mut desk = Desk::new();
        let begun = desk.begin(ADA);
        let shown = format!("{:?} {:?} {:?}", begun.code, begun, desk.logins);
        assert!(!shown.contains(begun.code.as_str()) && !shown.contains("example.org"), "{shown}");
    }

    fn moved(logins: &Logins) -> Option<Logins> {
        let mut after = Logins::new(TTL);
        after.refill(&mut Frozen::new(&frozen(logins))).map(|()| after)
    }

    #[test]
    fn a_flow_that_does_not_wait_for_just_one_code_of_its_address_is_refused() {
        fn list(logins: &mut Logins, code: CodeId, flow: FlowId) {
            logins.codes.get_mut(code).unwrap().flows.push(flow);
        }
        type Break = fn(&mut Logins, &Begun, &Begun);
        let rows: [(&str, Break, bool); 7] = [
            ("nothing", |_, _, _| {}, true),
            ("a flow that has ended", |logins, ada, _| logins.void(ada.flow), true),
            ("a flow of no code", |logins, ada, _| drop(logins.codes.remove(ada.live)), false),
            ("one that is listed twice", |logins, ada, _| list(logins, ada.live, ada.flow), false),
            ("one of another address", |logins, ada, bob| list(logins, ada.live, bob.flow), false),
            (
                "another code",
                |logins, ada, bob| logins.flows.get_mut(ada.flow).unwrap().code = bob.code,
                false,
            ),
            (
                "guesses that are counted twice",
                |logins, _, _| {
                    let guesses = || (Email::parse(ADA).unwrap().key(), Guesses::none(Moment::from_ms(0)));
                    for _ in 0..2 {
                        logins.guesses.insert(guesses(), None);
                    }
                },
                false,
            ),
        ];
        for (what, change, is_sound) in rows {
            let mut desk = Desk::new();
            let (ada, bob) = (desk.begin(ADA), desk.begin("bob@example.org"));
            change(&mut desk.logins, &ada, &bob);
            assert_eq!(moved(&desk.logins).is_some(), is_sound, "{what}");
        }
    }
}
