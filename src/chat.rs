//! Who may enter, who may speak, who is in. Knows no bytes on a wire, no HTTP, no sockets.

pub mod email;
pub mod login;
pub mod names;
pub mod postage;
pub mod room;
pub mod session;
pub mod user_name;

use crate::base::bucket::Rate;
use crate::base::census::Count;
use crate::base::ids::{ConnectionId, MailId};
use crate::base::limits::{CODES_MAX, MAIL_ADDRESSES_MAX, NAMES_MAX, SESSIONS_MAX};
use crate::base::mail::Mail;
use crate::base::moment::Moment;
use crate::base::settings::Settings;
use crate::base::shelf::Key;
use crate::base::throttle::Throttle;
use email::Email;
use login::{Flow, Logins};
use names::{NameRefusal, Names};
use postage::Postage;
use rand::{Rng, SeedableRng, rngs::ChaCha20Rng};
use room::Room;
use session::Sessions;
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

/// A code is made and asks to be sent.
#[derive(Debug)]
pub struct Hello {
    /// The flow to which the code belongs.
    pub flow: Key,
    /// What makes the code good on another connection.
    pub flow_token: String,
    /// The name as it will be shown.
    pub name: UserName,
    /// The code on its way.
    pub mail: Mail,
}

/// Why no code is made.
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

    /// Somebody asks for a code on a connection that has had `mails` so far. The caller voids the connection's former flow
    /// when it has the new one.
    ///
    /// # Errors
    /// If there can be no code.
    pub fn hello(
        &mut self,
        now: Moment,
        connection: ConnectionId,
        mails: u8,
        name: &str,
        email: &str,
    ) -> Result<Hello, HelloFault> {
        let name = UserName::parse(name).ok_or(HelloFault::BadName)?;
        let email = Email::parse(email).ok_or(HelloFault::BadEmail)?;
        if let Err(refusal) = self.names.check(&name, &email) {
            return Err(HelloFault::MayNotEnter(name, refusal));
        }
        self.postage.check(now, mails, &email).map_err(HelloFault::MailLimited)?;
        let code = login::Code::random(&mut self.rng);
        let mail_to = email.as_str().to_owned();
        let flow = Flow::new(name.clone(), email.clone(), code);
        let (flow, flow_token) = self.logins.begin(&mut self.rng, now, flow);
        let id = self.postage.send(now, &email, flow, connection);
        let mail = Mail { id, to: mail_to, name: name.as_str().to_owned(), code: code.as_str().to_owned() };
        Ok(Hello { flow, flow_token, name, mail })
    }

    /// A flow is over; its code is void.
    pub fn forget_flow(&mut self, flow: Key) {
        self.logins.void(flow);
    }

    /// Somebody types a code, for the flow of the token or else for the connection's own.
    ///
    /// # Errors
    /// If it lets nobody in.
    pub fn auth(
        &mut self,
        own_flow: Option<Key>,
        flow_token: Option<&str>,
        code: &str,
    ) -> Result<Entered, AuthFault> {
        let flow = match flow_token {
            Some(token) => self.logins.find(token),
            None => own_flow,
        };
        let Some(flow) = flow else { return Err(AuthFault::Wrong { left: 0 }) };
        let flow = self.logins.try_code(flow, code).map_err(|left| AuthFault::Wrong { left })?;
        let person = match self.names.claim(&flow.name, &flow.email) {
            Ok(person) => person,
            Err(refusal) => return Err(AuthFault::MayNotEnter(flow.name, refusal)),
        };
        let (session, token) = self.sessions.begin(&mut self.rng, person);
        Ok(self.enter(session, token, person))
    }

    /// Somebody comes back with a session token. `None`: it is not valid.
    pub fn resume(&mut self, token: &str) -> Option<Entered> {
        let (session, person) = self.sessions.find(token)?;
        self.names.get(person)?;
        Some(self.enter(session, token.to_owned(), person))
    }

    /// The name of who speaks in a session that has a connection.
    ///
    /// # Panics
    /// If the session is gone.
    #[must_use]
    pub fn speaker(&self, session: Key) -> &UserName {
        let person = self.sessions.person(session).expect("a session with a connection stays");
        self.names.get(person).expect("a name with a connection stays")
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

    /// What became of a mail. Gives the connection that has to be told of a failure.
    pub fn mail_done(&mut self, mail: MailId, is_sent: bool) -> Option<ConnectionId> {
        let sent = self.postage.done(mail, is_sent)?;
        let failed = !is_sent && self.logins.void(sent.flow);
        failed.then_some(sent.connection)
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
    pub fn census(&self) -> [Count; 6] {
        [
            Count::new("names", self.names.len(), NAMES_MAX),
            Count::new("sessions", self.sessions.len(), SESSIONS_MAX),
            Count::new("codes", self.logins.len(), CODES_MAX),
            Count::new("mail addresses", self.postage.addresses(), MAIL_ADDRESSES_MAX),
            // Both go within seconds, and the budget for mail, where mail is really sent, bounds how many come.
            Count::new("people in the room", self.room.count(), usize::MAX),
            Count::new("mails on their way", self.postage.on_their_way(), usize::MAX),
        ]
    }

    fn enter(&mut self, session: Key, token: String, person: Key) -> Entered {
        self.sessions.connect(session);
        let name = self.names.connect(person);
        let is_new = self.room.arrive(person, &name);
        Entered { session, person, token, name, is_new }
    }
}
