//! Who may enter, who may speak, who is in. Knows no bytes on a wire, no HTTP, no sockets.

pub mod email;
pub mod login;
pub mod names;
pub mod postage;
pub mod room;
pub mod session;
pub mod shares;
pub mod user_name;

use crate::base::bucket::Rate;
use crate::base::census::Count;
use crate::base::ids::{ConnectionId, MailId};
use crate::base::limits::{
    CODES_MAX, FLOWS_MAX, GUESSED_ADDRESSES_MAX, MAIL_ADDRESSES_MAX, NAMES_MAX, SESSIONS_MAX,
};
use crate::base::mail::{Mail, MailFault};
use crate::base::moment::Moment;
use crate::base::settings::Settings;
use crate::base::shelf::Key;
use crate::base::throttle::Throttle;
use email::Email;
use login::{Begun, Flow, Logins};
use names::{NameRefusal, Names};
use postage::{Postage, Wanted};
use rand::{Rng, SeedableRng, rngs::ChaCha20Rng};
use room::Room;
use session::{Sessions, Token};
use shares::network_of;
use std::net::IpAddr;
use std::time::Duration;
use user_name::UserName;

/// All that the server knows of people.
#[derive(Debug)]
pub struct Chat {
    names: Names,
    sessions: Sessions,
    logins: Logins,
    postage: Postage,
    room: Room,
    rng: ChaCha20Rng,
    run: String,
    leave_grace: Duration,
}

/// What a connection asks for a code with.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The connection.
    pub connection: ConnectionId,
    /// Its client address, where that is known.
    pub address: Option<IpAddr>,
    /// The flow that it began before, which ends when it gets another one.
    pub former: Option<Key>,
    /// Mails that it was granted so far.
    pub mails: u8,
}

/// A flow has begun.
#[derive(Debug)]
pub struct Hello {
    /// The flow.
    pub flow: Key,
    /// What makes the code good on another connection.
    pub flow_token: String,
    /// The name as it will be shown.
    pub name: UserName,
    /// How many characters the code has, if not the usual number.
    pub code_chars: Option<usize>,
    /// How the code comes.
    pub delivery: Delivery,
}

/// How the code of a flow comes.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In this mail.
    Mail(Mail),
    /// It was sent lately, and is not sent again now; how long until it could be.
    Lately(Duration),
}

/// Why no flow begins.
#[derive(Debug, PartialEq, Eq)]
pub enum HelloFault {
    /// Not a name.
    BadName,
    /// Not an address.
    BadEmail,
    /// The address may not have the name.
    MayNotEnter(UserName, NameRefusal),
    /// Too much mail; how long to wait.
    MailLimited(Duration),
}

/// Somebody is in.
#[derive(Debug, PartialEq, Eq)]
pub struct Entered {
    /// The session to which the connection belongs.
    pub session: Key,
    /// Whose session it is.
    pub person: Key,
    /// What resumes the session.
    pub token: String,
    /// The name as it is shown.
    pub name: UserName,
    /// Whether the room must be told: it is the first connection of this person.
    pub is_new: bool,
}

/// Why a code does not let anybody in.
#[derive(Debug, PartialEq, Eq)]
pub enum AuthFault {
    /// It is wrong; so many tries are left for the right one.
    Wrong {
        /// Tries left; at zero there is no code any more.
        left: u8,
    },
    /// Meanwhile the name was taken, or the mailbox has taken other names.
    MayNotEnter(UserName, NameRefusal),
}

impl Chat {
    /// A chat in which nobody is. All its randomness comes from the seed.
    #[must_use]
    pub fn new(settings: &Settings, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let run = format!("{:016x}", rng.next_u64());
        let mail_rate = settings.mail_budget.map(|budget| Rate::every(budget.every, budget.burst));
        Self {
            names: Names::new(&settings.name),
            sessions: Sessions::default(),
            logins: Logins::new(settings.code_ttl),
            postage: Postage::new(mail_rate),
            room: Room::default(),
            rng,
            run,
            leave_grace: settings.leave_grace,
        }
    }

    /// A string that no other run of the server has.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Who is in.
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// A connection asks for a code.
    ///
    /// The budgets come before the name: whether it is taken is told only to a client address that was counted for asking,
    /// and only where a mail would have gone out or a code is live.
    ///
    /// # Errors
    /// If there can be no code.
    pub fn hello(&mut self, now: Moment, asker: Asker, name: &str, email: &str) -> Result<Hello, HelloFault> {
        let Asker { connection, address, former, mails } = asker;
        let name = UserName::parse(name).ok_or(HelloFault::BadName)?;
        let email = Email::parse(email).ok_or(HelloFault::BadEmail)?;
        let wait = self.postage.wait_to_ask(now, address);
        if !wait.is_zero() {
            return Err(HelloFault::MailLimited(wait));
        }
        let is_live = self.logins.has_live_code(now, &email.key());
        let owns_name = self.names.owns_any(&email);
        let wanted = Wanted { email: &email, owns_name, has_new_code: !is_live, address, mails };
        let may_send = self.postage.check(now, wanted);
        if let (Err(wait), false) = (may_send, is_live) {
            return Err(HelloFault::MailLimited(wait));
        }
        self.postage.count_ask(now, address);
        if let Err(refusal) = self.names.check(&name, &email) {
            return Err(HelloFault::MayNotEnter(name, refusal));
        }
        if let Some(former) = former {
            self.logins.void(former);
        }
        let network = address.map(network_of);
        let flow = Flow { name: name.clone(), email: email.clone(), connection, network };
        let Begun { flow, token: flow_token, code, live } = self.logins.begin(&mut self.rng, now, flow);
        let delivery = if let Err(wait) = may_send {
            Delivery::Lately(wait)
        } else {
            self.logins.mail_begun(live);
            let id = self.postage.send(now, wanted, flow, live, connection);
            let to = email.as_str().to_owned();
            let (name, code) = (name.as_str().to_owned(), code.as_str().to_owned());
            Delivery::Mail(Mail { id, to, name, code })
        };
        Ok(Hello { flow, flow_token, name, code_chars: code.unusual_chars(), delivery })
    }

    /// A flow is over.
    pub fn forget_flow(&mut self, flow: Key) {
        self.logins.void(flow);
    }

    /// Somebody types a code, for the flow of the token or else for the connection's own.
    ///
    /// # Errors
    /// If it lets nobody in.
    pub fn auth(
        &mut self,
        now: Moment,
        own_flow: Option<Key>,
        flow_token: Option<&str>,
        code: &str,
    ) -> Result<Entered, AuthFault> {
        let flow = match flow_token {
            Some(token) => self.logins.find(token),
            None => own_flow,
        };
        let Some(flow) = flow else { return Err(AuthFault::Wrong { left: 0 }) };
        let flow = self.logins.try_code(now, flow, code).map_err(|left| AuthFault::Wrong { left })?;
        let person = match self.names.claim(&flow.name, &flow.email) {
            Ok(person) => person,
            Err(refusal) => return Err(AuthFault::MayNotEnter(flow.name, refusal)),
        };
        let (session, token) = self.sessions.begin(&mut self.rng, person);
        // Under the name as it was claimed first: its owner may have typed another form of it.
        let name = self.names.get(person).cloned().unwrap_or(flow.name);
        Ok(self.enter(session, token, person, name))
    }

    /// Whether a text has the form of a session token.
    #[must_use]
    pub fn is_token(written: &str) -> bool {
        Token::read(written).is_some()
    }

    /// Somebody comes back with a session token. `None`: it is not valid.
    pub fn resume(&mut self, token: &str) -> Option<Entered> {
        let (session, person) = self.sessions.find(token)?;
        let name = self.names.get(person)?.clone();
        Some(self.enter(session, token.to_owned(), person, name))
    }

    /// The name of the user of a session. `None`: the session has ended, which one with a connection has not.
    #[must_use]
    pub fn speaker(&self, session: Key) -> Option<&UserName> {
        self.names.get(self.sessions.person(session)?)
    }

    /// How fast a person talks, over all connections.
    pub fn throttle(&mut self, person: Key) -> Option<&mut Throttle> {
        self.names.throttle(person)
    }

    /// Notes the id of the first line that a session was shown.
    pub fn set_first_seen(&mut self, session: Key, id: u64) {
        self.sessions.set_first_seen(session, id);
    }

    /// The id of the first line that a session was shown.
    #[must_use]
    pub fn first_seen(&self, session: Key) -> u64 {
        self.sessions.first_seen(session)
    }

    /// A connection of a session is gone. Gives the name of who has left, if that is to be told at once.
    pub fn disconnect(&mut self, now: Moment, session: Key) -> Option<UserName> {
        let person = self.sessions.disconnect(now, session)?;
        let was_last = self.names.disconnect(now, person);
        if was_last {
            self.room.depart(person, now.after(self.leave_grace), self.leave_grace.is_zero())
        } else {
            None
        }
    }

    /// A session, which has no connection any more, is over. Gives the name of who has left by that.
    pub fn leave(&mut self, session: Key) -> Option<UserName> {
        let person = self.sessions.end(session)?;
        self.room.leave_now(person)
    }

    /// What became of a mail. Gives the connections that have to be told of a failure.
    pub fn mail_done(&mut self, mail: MailId, result: Result<(), MailFault>) -> Vec<ConnectionId> {
        let sent = self.postage.done(mail, result);
        sent.map(|sent| self.logins.mail_done(sent.live, sent.flow, result.is_ok())).unwrap_or_default()
    }

    /// A mail of which nothing was heard in time.
    #[must_use]
    pub fn overdue_mail(&self, now: Moment) -> Option<MailId> {
        self.postage.overdue(now)
    }

    /// Somebody who is gone long enough to be told so.
    pub fn pop_left(&mut self, now: Moment) -> Option<UserName> {
        self.room.pop_left(now)
    }

    /// Forgets codes, sessions and names whose time is over.
    pub fn forget_expired(&mut self, now: Moment) {
        self.logins.forget_expired(now);
        self.sessions.forget_expired(now);
        self.names.forget_expired(now);
        self.postage.forget_expired(now);
    }

    /// When there is something to do without anybody asking.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        [
            self.logins.next_deadline(),
            self.sessions.next_deadline(),
            self.names.next_deadline(),
            self.postage.next_deadline(),
            self.room.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is kept of people, beside its limit.
    #[must_use]
    pub fn census(&self) -> [Count; 10] {
        let (networks, networks_max) = self.postage.networks();
        [
            Count::new("names", self.names.len(), NAMES_MAX),
            Count::new("sessions", self.sessions.len(), SESSIONS_MAX),
            Count::new("codes", self.logins.codes(), CODES_MAX),
            Count::new("login flows", self.logins.flows(), FLOWS_MAX),
            Count::new("guessed addresses", self.logins.guessed(), GUESSED_ADDRESSES_MAX),
            Count::new("mail addresses", self.postage.mailboxes(), MAIL_ADDRESSES_MAX),
            Count::new("addresses with new codes", self.postage.addresses(), MAIL_ADDRESSES_MAX),
            Count::new("asking networks", networks, networks_max),
            // Both go within seconds, and the budget for mail, where mail is really sent, bounds how many come.
            Count::new("people in the room", self.room.count(), usize::MAX),
            Count::new("mails on their way", self.postage.on_their_way(), usize::MAX),
        ]
    }

    fn enter(&mut self, session: Key, token: String, person: Key, name: UserName) -> Entered {
        self.sessions.connect(session);
        self.names.connect(person);
        let is_new = self.room.arrive(person, &name);
        Entered { session, person, token, name, is_new }
    }
}
