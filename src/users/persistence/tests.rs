use super::*;
use crate::ids::ClientId;
use crate::limits::{NAMES_MAX, SESSION_SLOTS_MAX};
use crate::settings::Door;
use crate::users::email::Email;
use crate::users::{Asker, AuthError, Delivery, Entered, HelloError, Randomness, ResumeError};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Users whose changes are replayed into a map.
struct House {
    users: Users,
    now: Now,
    entries: Entries,
    settings: Settings,
    restored: Restored,
    logins: u8,
}

const SECRET: [u8; 32] = [9; 32];
const DAY_MS: u64 = 86_400_000;
const YEAR_MS: u64 = 365 * DAY_MS;
/// 2026.
const START_MS: u64 = 1_795_000_000_000;

impl House {
    fn new(settings: Settings) -> Self {
        Self::with(settings, Entries::new(), Now { moment: Moment::from_ms(500), wall_ms: START_MS })
    }

    fn with(settings: Settings, entries: Entries, now: Now) -> Self {
        let mut users = Users::new(&settings, [1; 32]);
        let (restored, changes) = users.restore(now, &settings, SECRET, entries.clone()).unwrap();
        let mut house = Self { users, now, entries, settings, restored, logins: 0 };
        house.replay(changes);
        house
    }

    fn replay(&mut self, changes: Vec<Change>) {
        for Change { key, value } in changes {
            match value {
                Some(value) => drop(self.entries.insert(key, value)),
                None => drop(self.entries.remove(&key)),
            }
        }
    }

    fn settle(&mut self) {
        let changes = self.users.take_changes(self.now);
        self.replay(changes);
    }

    /// Time passes by both clocks.
    fn pass(&mut self, ms: u64) {
        self.now.moment = self.now.moment.after(Duration::from_millis(ms));
        self.now.wall_ms += ms;
        self.users.forget_expired(self.now.moment);
        self.settle();
    }

    /// The process ends without a word. The next one begins with a clock of its own, when the wall clock says
    /// so.
    fn crash(self, wall_ms: u64) -> Self {
        Self::with(self.settings, self.entries, Now { moment: Moment::from_ms(7), wall_ms })
    }

    /// The same, a moment later.
    fn crash_now(self) -> Self {
        let wall_ms = self.now.wall_ms + 10;
        self.crash(wall_ms)
    }

    fn try_log_in(&mut self, name: &str, email: &str) -> Result<Entered, Refused> {
        self.logins += 1;
        let (now, randomness) = (self.now.moment, Randomness([self.logins; 32]));
        let asker =
            Asker { connection: ClientId::new(0, self.logins.into()), address: None, former: None, mails: 0 };
        let hello = self.users.hello(now, asker, name, email, randomness).map_err(Refused::Hello)?;
        let Delivery::Mail(mail) = hello.delivery else { panic!("{hello:?}") };
        let entered = self.users.auth(now, Some(hello.flow), None, &mail.code, randomness);
        let entered = entered.map_err(Refused::Auth)?;
        self.users.connect(now, entered.session, entered.user, None);
        self.settle();
        Ok(entered)
    }

    fn log_in(&mut self, name: &str, email: &str) -> Entered {
        self.try_log_in(name, email).unwrap()
    }

    fn resume(&mut self, token: &str) -> Result<Entered, ResumeError> {
        let entered = self.users.resume(self.now.moment, token)?;
        self.users.connect(self.now.moment, entered.session, entered.user, None);
        self.settle();
        Ok(entered)
    }

    fn leave(&mut self, entered: &Entered) {
        self.users.disconnect(self.now.moment, entered.session);
        self.settle();
    }

    fn set(&mut self, rule: Rule) {
        self.users.set_rule(self.now.moment, rule).unwrap();
        self.settle();
    }

    fn at(&self, ms: u64) -> Moment {
        self.now.moment.after(Duration::from_millis(ms))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Hello(HelloError),
    Auth(AuthError),
}

fn key(typed: &str) -> EmailKey {
    Email::parse(typed).unwrap().key()
}

fn pattern(typed: &str) -> AddressPattern {
    AddressPattern::parse(typed).unwrap()
}

#[test]
fn names_and_sessions_are_their_owners_after_a_crash() {
    let mut house = House::new(Settings::default());
    let ada = house.log_in("Ada", "ada@example.org");
    let bob = house.log_in("Bob", "bob+chat@example.org");
    let second = house.log_in("Ada", "Ada@example.org");
    house.leave(&bob);
    let mut house = house.crash_now();
    assert_eq!(house.restored, Restored { entries: 5, expired: 0, left_out: 0 });
    for (entered, name) in [(&bob, "Bob"), (&ada, "Ada"), (&second, "Ada")] {
        let back = house.resume(&entered.token).unwrap();
        assert_eq!((back.name.as_str(), &back.token), (name, &entered.token));
    }
    assert!(matches!(
        house.try_log_in("ADA", "eve@example.org"),
        Err(Refused::Hello(HelloError::MayNotEnter(..)))
    ));
    assert!(house.users.named("bob").is_some());
    let ada_again = house.log_in("ada", "ada@example.org");
    assert_eq!(ada_again.name.as_str(), "Ada");
    assert_eq!(house.users.email(ada_again.user).and_then(EmailKey::as_str), Some("ada@example.org"));
    assert_ne!(ada_again.token, ada.token);
    assert_eq!(house.users.sessions_of(ada_again.user).len(), 3);
}
