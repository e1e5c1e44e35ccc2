//! Users: names, sessions, login codes and the email budget. Knows no bytes on a wire, no HTTP, no sockets,
//! and not the room.

pub(crate) mod address_pattern;
pub(crate) mod bots;
mod changes;
mod code;
pub(crate) mod email;
mod emoji;
pub(crate) mod logins;
pub(crate) mod mail_limits;
pub(crate) mod names;
pub(crate) mod network_shares;
pub(crate) mod persistence;
pub(crate) mod reports;
pub(crate) mod rules;
pub(crate) mod sessions;
mod shared_state;
pub(crate) mod user_name;

use crate::base::frost::{Frost, Frozen, frost, refill};
use crate::base::hidden::hidden;
use crate::base::shared_throttle::SharedThrottle;
use crate::base::time::Moment;
use crate::base::token_bucket::Rate;
use crate::ids::{ClientId, MailId, NodeId};
use crate::limits::{NAME_TTL, NAMES_MAX, SESSIONS_MAX};
use crate::login_email::{Mail, MailError};
use crate::settings::Settings;
use crate::usage::Usage;
use address_pattern::AddressPattern;
use bots::{BotId, Bots};
use code::Code;
use email::{Email, EmailKey};
use logins::{Begun, FlowId, LoginAttempt, Logins};
use mail_limits::{MailLimits, Wanted};
use names::{NameError, Names, UserId};
use network_shares::network_of;
use persistence::Keeper;
use rand::{Rng, SeedableRng, rngs::ChaCha20Rng};
use reports::{Received, Reported, Reports, TooManyReports};
use rules::{Rule, Rules, Silence, TableFull};
use sessions::{SessionId, Sessions, Token};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use user_name::{TypedName, UserName, UserNameError};

/// All that the server knows of people.
#[derive(Debug)]
pub(crate) struct Users {
    names: Names,
    sessions: Sessions,
    logins: Logins,
    mail_limits: MailLimits,
    rules: Rules,
    reports: Reports,
    bots: Bots,
    /// Where users outlive the process.
    keeper: Option<Box<Keeper>>,
    rng: ChaCha20Rng,
    run: String,
    /// Which room this is, of those that several nodes have ever begun.
    room: u64,
}

refill!(struct Users {
    names, sessions, logins, mail_limits, rules, reports, bots, rng, run, keeper, room,
} then Self::link);

/// Seed, stream and position, so that it goes on in the middle of a block.
impl Frost for ChaCha20Rng {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.serialize_state().freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        Frost::thaw(from).map(|state| Self::deserialize_state(&state))
    }
}

/// Secret randomness from which the codes and tokens of one entry are made.
#[derive(Clone, Copy)]
pub(crate) struct Randomness([u8; 32]);

frost!(struct Randomness(seed));
hidden!(Randomness);

impl Randomness {
    #[cfg(test)]
    pub(crate) const fn of(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn rng(self) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(self.0)
    }
}

/// What a connection asks for a code with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) node: NodeId,
    pub(crate) connection: ClientId,
    /// Its client address, where that is known.
    pub(crate) address: Option<IpAddr>,
    /// The flow that it began before, which ends when it gets another one.
    pub(crate) former: Option<FlowId>,
    /// Mails that it was granted so far.
    pub(crate) mails: u8,
}

frost!(struct Asker { node, connection, address, former, mails });

/// A flow has begun.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) flow: FlowId,
    /// What makes the code good on another connection.
    pub(crate) flow_token: String,
    pub(crate) name: UserName,
    /// How many characters the code has, if not the usual number.
    pub(crate) code_chars: Option<usize>,
    pub(crate) delivery: Delivery,
}

/// How the code of a flow comes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Mail(Mail),
    /// It was sent lately, and is not sent again now; how long until it could be.
    Lately(Duration),
}

/// Why no flow begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HelloError {
    BadName(UserNameError),
    BadEmail,
    /// The address is not admitted; with the name, if it was one.
    NotAdmitted(Option<UserName>),
    /// The room is locked for newcomers; how long.
    Locked(UserName, Duration),
    /// The address may not have the name.
    MayNotEnter(UserName, NameError),
    /// Too much mail; how long to wait.
    MailLimited(Duration),
}

/// A successful login.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    /// The session to which the connection belongs.
    pub(crate) session: SessionId,
    /// Whose session it is.
    pub(crate) user: UserId,
    /// What resumes the session.
    pub(crate) token: String,
    pub(crate) name: UserName,
}

/// Why a code does not let anybody in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AuthError {
    /// It is wrong; so many tries are left for the right one.
    Wrong {
        /// Tries left; at zero there is no code any more.
        left: u8,
    },
    /// Meanwhile the address was banned.
    NotAdmitted(UserName),
    /// Meanwhile the room was locked for newcomers; how long.
    Locked(UserName, Duration),
    /// Meanwhile the name was taken, or the mailbox has taken other names.
    MayNotEnter(UserName, NameError),
}

/// Why a session is not resumed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ResumeError {
    Invalid,
    NotAdmitted(UserName),
}

impl Users {
    /// A chat in which nobody is. All its randomness comes from the seed.
    pub(crate) fn new(settings: &Settings, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let room = rng.next_u64();
        let mail_rate = settings.mail_budget.map(|budget| Rate::every(budget.every, budget.burst));
        let mut names = Names::new(&settings.name, settings.name_ttl.unwrap_or(NAME_TTL));
        settings.bots.iter().for_each(|bot| names.reserve(&bot.name));
        Self {
            names,
            sessions: Sessions::default(),
            logins: Logins::new(settings.code_ttl),
            mail_limits: MailLimits::new(mail_rate),
            rules: Rules::new(settings),
            reports: Reports::default(),
            bots: Bots::new(&settings.bots),
            keeper: None,
            rng,
            run: run_of(room),
            room,
        }
    }

    /// Draws the randomness of one entry.
    pub(crate) fn draw(&mut self) -> Randomness {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        Randomness(seed)
    }

    pub(crate) fn draw_seed(&mut self) -> [u8; 32] {
        self.draw().0
    }

    /// Whether something outlives the process.
    pub(crate) const fn keeps(&self) -> bool {
        self.keeper.is_some()
    }

    /// A string that no other run of the server has.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// A connection asks for a code.
    ///
    /// The door comes first: a stranger learns nothing of a closed room, and no email goes out.
    ///
    /// The budgets come before the name: whether it is taken is told only to a client address that was
    /// counted for asking, and only where a mail would have gone out or a code is live.
    ///
    /// # Errors
    /// If there can be no code.
    pub(crate) fn hello(
        &mut self,
        now: Moment,
        asker: Asker,
        name: &str,
        email: &str,
        randomness: Randomness,
    ) -> Result<Hello, HelloError> {
        let Asker { node, connection, address, former, mails } = asker;
        let name = UserName::parse(name);
        let email = Email::parse(email);
        if let Some(email) = &email {
            self.meet(&email.key());
        }
        if email.as_ref().is_some_and(|email| !self.admits_from(now, email, address)) {
            return Err(HelloError::NotAdmitted(name.ok()));
        }
        let name = name.map_err(HelloError::BadName)?;
        let email = email.ok_or(HelloError::BadEmail)?;
        let wait = self.mail_limits.wait_to_ask(now, address);
        if !wait.is_zero() {
            return Err(HelloError::MailLimited(wait));
        }
        let is_live = self.logins.has_live_code(now, &email.key());
        let owns_name = self.names.owns_any(&email);
        let wanted = Wanted { email: &email, owns_name, has_new_code: !is_live, address, mails };
        let may_send = self.mail_limits.check(now, wanted);
        if let (Err(wait), false) = (may_send, is_live) {
            return Err(HelloError::MailLimited(wait));
        }
        self.mail_limits.count_ask(now, address);
        if let Some(wait) = self.wait_as_newcomer(now, &name, &email) {
            return Err(HelloError::Locked(name, wait));
        }
        if let Err(refusal) = self.names.check(&name, &email) {
            return Err(HelloError::MayNotEnter(name, refusal));
        }
        if let Some(former) = former {
            self.logins.void(former);
        }
        let network = address.map(network_of);
        let flow = LoginAttempt { name: name.clone(), email: email.clone(), connection, network, node };
        let Begun { flow, token: flow_token, code, live } =
            self.logins.begin(&mut randomness.rng(), now, flow);
        let delivery = if let Err(wait) = may_send {
            Delivery::Lately(wait)
        } else {
            self.logins.mail_begun(live);
            let id = self.mail_limits.send(now, node, wanted, &name, flow, live);
            Delivery::Mail(mail_of(id, &email, &name, &code))
        };
        Ok(Hello { flow, flow_token, name, code_chars: code.unusual_chars(), delivery })
    }

    /// Whether the address may come in, and ask for a code from this client network. A network that a ban has
    /// closed gets codes only for those who own a name or are invited: the neighbours who were here before.
    fn admits_from(&self, now: Moment, email: &Email, network: Option<IpAddr>) -> bool {
        let key = email.key();
        let is_closed = network.is_some_and(|network| self.rules.is_closed(now, network));
        let is_known =
            || self.rules.is_moderator(&key) || self.rules.is_invited(&key) || self.names.owns_any(email);
        self.rules.admits(now, &key) && (!is_closed || is_known())
    }

    /// How long the address has to wait because it would be new under this name in a locked room.
    fn wait_as_newcomer(&self, now: Moment, name: &UserName, email: &Email) -> Option<Duration> {
        let wait = self.rules.wait_for_unlock(now)?;
        let may_enter = self.rules.is_moderator(&email.key()) || self.names.owns(name, email);
        (!may_enter).then_some(wait)
    }

    pub(crate) fn forget_flow(&mut self, flow: FlowId) {
        self.logins.void(flow);
    }

    /// Tries a code, for the flow of the token or else for the connection's own.
    ///
    /// # Errors
    /// If it lets nobody in.
    pub(crate) fn auth(
        &mut self,
        now: Moment,
        own_flow: Option<FlowId>,
        flow_token: Option<&str>,
        code: &str,
        randomness: Randomness,
    ) -> Result<Entered, AuthError> {
        let flow = match flow_token {
            Some(token) => self.logins.find(token),
            None => own_flow,
        };
        let Some(flow) = flow else { return Err(AuthError::Wrong { left: 0 }) };
        let flow = self.logins.try_code(now, flow, code).map_err(|left| AuthError::Wrong { left })?;
        if !self.rules.admits(now, &flow.email.key()) {
            return Err(AuthError::NotAdmitted(flow.name));
        }
        if let Some(wait) = self.wait_as_newcomer(now, &flow.name, &flow.email) {
            return Err(AuthError::Locked(flow.name, wait));
        }
        let user = match self.names.claim(&flow.name, &flow.email) {
            Ok(user) => user,
            Err(refusal) => return Err(AuthError::MayNotEnter(flow.name, refusal)),
        };
        let (session, token) = self.sessions.begin(&mut randomness.rng(), user);
        // Under the name as it was claimed first: its owner may have typed another form of it.
        let name = self.names.get(user).cloned().unwrap_or(flow.name);
        Ok(Entered { session, user, token, name })
    }

    /// Whether a text has the form of a session token.
    pub(crate) fn is_token(written: &str) -> bool {
        Token::read(written).is_some()
    }

    /// Resumes a session by its token.
    ///
    /// # Errors
    /// If it is not valid, or its user is not admitted any more.
    pub(crate) fn resume(&mut self, now: Moment, token: &str) -> Result<Entered, ResumeError> {
        let (session, user) = self.sessions.find(token).ok_or(ResumeError::Invalid)?;
        let name = self.names.get(user).ok_or(ResumeError::Invalid)?.clone();
        if !self.names.email(user).is_some_and(|email| self.rules.readmits(now, email)) {
            return Err(ResumeError::NotAdmitted(name));
        }
        Ok(Entered { session, user, token: token.to_owned(), name })
    }

    /// The user of a session, and its name. `None`: the session has ended, which one with a connection has
    /// not.
    pub(crate) fn speaker(&self, session: SessionId) -> Option<(UserId, Rc<str>)> {
        let user = self.sessions.user(session)?;
        Some((user, self.name(user)?))
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Changes the rules. A ban voids the login codes of the banned.
    ///
    /// # Errors
    /// If there are too many bans, mutes or invitations.
    pub(crate) fn set_rule(&mut self, now: Moment, mut rule: Rule) -> Result<(), TableFull> {
        let banned = match &mut rule {
            Rule::Ban(pattern, ..) => {
                if let Some(key) = self.sessions.key() {
                    pattern.hash_domain(key);
                }
                Some(pattern.clone())
            }
            Rule::Mute(..)
            | Rule::Unmute(_)
            | Rule::MuteBot(..)
            | Rule::Unban(_)
            | Rule::Invite(_)
            | Rule::Uninvite(_)
            | Rule::Slow(_)
            | Rule::Lock(_)
            | Rule::Topic(_) => None,
        };
        self.rules.set(now, rule)?;
        if let Some(pattern) = banned {
            self.logins.void_codes_of(|email| self.rules.is_ban_for(&pattern, email));
        }
        Ok(())
    }

    pub(crate) fn reports(&self) -> &Reports {
        &self.reports
    }

    /// Keeps a report of a user.
    ///
    /// # Errors
    /// If the user's mailbox has reported too often.
    pub(crate) fn report(
        &mut self,
        now: Moment,
        user: UserId,
        reported: &Reported,
    ) -> Result<Received, TooManyReports> {
        let (Some(mailbox), Some(name)) = (self.mailbox(user), self.name(user)) else {
            return Ok(Received::Again);
        };
        self.reports.add(now, mailbox, name, reported.clone())
    }

    /// Whether the user's address is a moderator's.
    pub(crate) fn is_moderator(&self, user: UserId) -> bool {
        self.names.email(user).is_some_and(|email| self.rules.is_moderator(email))
    }

    /// Why a user may not say a line now.
    pub(crate) fn silence(&self, now: Moment, user: UserId) -> Option<Silence> {
        self.rules.silence(now, self.names.email(user)?)
    }

    /// A user said a line, which slow mode counts.
    pub(crate) fn count_line(&mut self, now: Moment, user: UserId) {
        if let Some(email) = self.names.email(user) {
            self.rules.count_line(now, email);
        }
    }

    /// How long the user is still muted.
    pub(crate) fn mute_left(&self, now: Moment, user: UserId) -> Option<Duration> {
        match self.silence(now, user)? {
            Silence::Muted(wait) => Some(wait),
            Silence::Slow(_) => None,
        }
    }

    pub(crate) fn bots(&self) -> &Bots {
        &self.bots
    }

    /// See [`Bots::charge`].
    pub(crate) fn charge_bot(
        &mut self,
        now: Moment,
        bot: BotId,
        rate: Rate,
        tokens: u64,
    ) -> Result<(), Duration> {
        self.bots.charge(now, bot, rate, tokens)
    }

    /// The known user whom a typed name means.
    pub(crate) fn named(&self, typed: &str) -> Option<UserId> {
        self.names.named(&TypedName::read(typed))
    }

    pub(crate) fn name(&self, user: UserId) -> Option<Rc<str>> {
        self.names.get(user).map(UserName::shared)
    }

    pub(crate) fn email(&self, user: UserId) -> Option<&EmailKey> {
        self.names.email(user)
    }

    pub(crate) fn mailbox(&self, user: UserId) -> Option<EmailKey> {
        self.names.email(user).map(EmailKey::mailbox)
    }

    /// The first known name of the address, or else of its mailbox.
    pub(crate) fn name_of_mailbox(&self, email: &EmailKey) -> Option<Rc<str>> {
        let users = self.names.of_mailbox(&email.mailbox());
        let exact = users.iter().find(|&&user| self.names.email(user) == Some(email));
        exact.or(users.first()).and_then(|&user| self.name(user))
    }

    pub(crate) fn connections(&self, user: UserId) -> usize {
        self.names.connections(user)
    }

    pub(crate) fn sessions_of(&self, user: UserId) -> Vec<SessionId> {
        self.sessions.of(user)
    }

    /// Known users whom a ban with this pattern is for.
    pub(crate) fn banned_by(&self, pattern: &AddressPattern) -> Vec<UserId> {
        let users = self.names.addresses();
        users.filter(|(_, email)| self.rules.is_ban_for(pattern, email)).map(|(user, _)| user).collect()
    }

    /// The client network of a user's newest connection, if a ban may close it.
    pub(crate) fn network(&self, user: UserId) -> Option<IpAddr> {
        self.names.network(user)
    }

    /// How fast a user talks, over all connections.
    pub(crate) fn throttle(&mut self, user: UserId) -> Option<&mut SharedThrottle> {
        self.names.throttle(user)
    }

    /// Notes the id of the first line that a session was shown.
    pub(crate) fn set_first_seen(&mut self, session: SessionId, id: u64) {
        self.sessions.set_first_seen(session, id);
    }

    /// The id of the first line that a session was shown.
    pub(crate) fn first_seen(&self, session: SessionId) -> u64 {
        self.sessions.first_seen(session)
    }

    /// A session has one more connection. One that has just begun is connected at once, or it would never
    /// expire.
    pub(crate) fn connect(&mut self, now: Moment, session: SessionId, user: UserId, network: Option<IpAddr>) {
        self.sessions.connect(session);
        self.names.connect(user, network);
        self.refresh(now, session, user);
    }

    /// A connection of a session is gone. Gives the user whose last connection it was.
    pub(crate) fn disconnect(&mut self, now: Moment, session: SessionId) -> Option<UserId> {
        let user = self.sessions.disconnect(now, session)?;
        self.names.disconnect(now, user, 1).then_some(user)
    }

    /// A session is over, with its connections. Gives the user whose it was, if that has no connection now.
    pub(crate) fn log_out(&mut self, now: Moment, session: SessionId) -> Option<UserId> {
        let (user, connections) = self.sessions.end(session)?;
        let is_gone = match connections {
            0 => self.names.connections(user) == 0,
            _ => self.names.disconnect(now, user, connections),
        };
        is_gone.then_some(user)
    }

    /// What became of a mail. Gives the connections, and their nodes, that have to be told of a failure.
    pub(crate) fn mail_done(
        &mut self,
        mail: MailId,
        result: Result<(), MailError>,
    ) -> Vec<(NodeId, ClientId)> {
        let sent = self.mail_limits.done(mail, result);
        sent.map(|sent| self.logins.mail_done(sent.live, sent.flow, result.is_ok())).unwrap_or_default()
    }

    /// The emails of a node whose result is not known yet, in order of their ids. A successor sends them
    /// again: it does not know how far its predecessor came. Emails whose code is void or has expired are
    /// left out; nobody waits for them, and [`Users::overdue_mail`] ends them.
    pub(crate) fn mails_under_way(&self, node: NodeId) -> Vec<Mail> {
        let mails = self.mail_limits.under_way().filter(|(_, sent)| sent.node == node);
        mails
            .filter_map(|(id, sent)| Some(mail_of(id, &sent.email, &sent.name, self.logins.code(sent.live)?)))
            .collect()
    }

    /// Counts what follows from several tables: the connections of each user, who must be known, and the
    /// emails under way with each code.
    fn link(&mut self) -> Option<()> {
        for (user, connections) in self.sessions.connected() {
            self.names.add_connections(user, connections)?;
        }
        for (_, sent) in self.mail_limits.under_way() {
            self.logins.mail_begun(sent.live);
        }
        self.link_keeper()?;
        let is_run = self.run.len() == RUN_CHARS && self.run.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_run.then_some(())
    }

    /// Whether these sessions, and no others, have so many connections each, and whatever has none will
    /// expire.
    pub(crate) fn has_connections(&self, connections: &BTreeMap<SessionId, (UserId, u32)>) -> bool {
        self.sessions.has_connections(connections) && self.names.has_all_expiries()
    }

    /// A mail of which nothing was heard in time, and the node that sends it.
    pub(crate) fn overdue_mail(&self, now: Moment) -> Option<(MailId, NodeId)> {
        self.mail_limits.overdue(now)
    }

    /// Forgets codes, sessions and names whose time is over.
    pub(crate) fn forget_expired(&mut self, now: Moment) {
        self.logins.forget_expired(now);
        self.sessions.forget_expired(now);
        self.names.forget_expired(now);
        self.mail_limits.forget_expired(now);
        self.reports.forget_expired(now);
        self.refresh_portion(now);
    }

    /// When there is something to do without anybody asking.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        [
            self.logins.next_deadline(),
            self.sessions.next_deadline(),
            self.names.next_deadline(),
            self.mail_limits.next_deadline(),
            self.reports.next_deadline(),
            self.keeper.as_ref().map(|keeper| keeper.next_deadline()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is kept of users, beside its limit.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        let own = [
            Usage::new("names", self.names.len(), NAMES_MAX),
            Usage::new("sessions", self.sessions.len(), SESSIONS_MAX),
        ];
        let counts = own.into_iter().chain(self.logins.usage()).chain(self.mail_limits.usage());
        counts.chain(self.rules.usage()).chain(self.reports.usage()).collect()
    }
}

fn mail_of(id: MailId, email: &Email, name: &UserName, code: &Code) -> Mail {
    let to = email.as_str().to_owned();
    let (name, code) = (name.as_str().to_owned(), code.as_str().to_owned());
    Mail { id, to, name, code }
}

fn run_of(number: u64) -> String {
    format!("{number:016x}")
}

/// Hexadecimal digits of 64 bits.
const RUN_CHARS: usize = 16;

#[cfg(test)]
mod tests;
