use super::*;
use crate::base::digest::Digest;
use crate::ids::{ClientId, NodeId};
use crate::kept::Entries;
use crate::limits::{MUTE_MAX, NAME_TTL_MIN, SESSION_SLOTS_MAX};
use crate::settings::{Bot, Door, Rights};
use crate::users::email::Email;
use crate::users::reports::Reported;
use crate::users::rules::Silence;
use crate::users::{Asker, AuthError, Delivery, Entered, HelloError, Randomness, ResumeError};

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
        for change in changes {
            change.make(&mut self.entries);
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
        let asker = Asker {
            node: NodeId::default(),
            connection: ClientId::new(0, self.logins.into()),
            address: None,
            former: None,
            mails: 0,
        };
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

    /// Asserts that the entries are what there is, and that a successor has the same.
    fn check(&mut self, step: u64) {
        let all = self.users.all_changes(self.now);
        let live: Entries = all.into_iter().filter_map(|Change { key, value }| Some((key, value?))).collect();
        // Rules that are over are removed in time.
        let is_over =
            |key: &[u8]| [Kind::Ban, Kind::Mute, Kind::Lock].iter().any(|kind| key[0] == *kind as u8);
        let keys: Vec<&Vec<u8>> =
            self.entries.keys().filter(|key| live.contains_key(*key) || !is_over(key)).collect();
        assert_eq!(keys, live.keys().collect::<Vec<_>>(), "step {step}");
        if !step.is_multiple_of(20) {
            return;
        }
        let mut successor = Self::with(self.settings.clone(), self.entries.clone(), self.now);
        let all = successor.users.all_changes(self.now);
        let restored: Entries =
            all.into_iter().filter_map(|Change { key, value }| Some((key, value?))).collect();
        assert!(restored == live, "step {step}");
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

fn settings() -> Settings {
    let door = Door {
        moderators: [key("ada@example.org")].into(),
        allow: None,
        deny: vec![pattern("@denied.example"), pattern("mallory@example.org")],
    };
    let bots = vec![Bot { name: "ci".to_owned(), rights: Rights::default(), token: Digest::of(b"x") }];
    Settings { door, bots, topic: Some("old".to_owned()), ..Settings::default() }
}

fn ban(until: Option<Moment>, name: Option<&str>) -> Ban {
    Ban { until, name: name.map(Into::into) }
}

/// A room with one of each, and the sessions of people who are concerned.
fn furnished() -> (House, BTreeMap<&'static str, String>) {
    let mut house = House::new(settings());
    let people = [
        ("ada", "ada@example.org"),
        ("bob", "bob+tag@example.org"),
        ("eve", "eve@spam.example"),
        ("kim", "kim@a.b.spam.example"),
        ("lea", "lea@example.org"),
        ("tom", "tom@spam.example"),
    ];
    let mut tokens = BTreeMap::new();
    for (name, email) in people {
        let entered = house.log_in(name, email);
        house.leave(&entered);
        tokens.insert(name, entered.token);
    }
    let bot = house.users.bots.of_name("ci").unwrap();
    let (hour, day) = (house.at(3_600_000), house.at(DAY_MS));
    for rule in [
        Rule::Mute(key("bob@example.org"), hour),
        Rule::MuteBot(bot, Some(hour)),
        Rule::Ban(pattern("lea@example.org"), ban(Some(day), Some("lea")), Box::default()),
        Rule::Ban(pattern("@.spam.example"), ban(None, None), Box::default()),
        Rule::Ban(pattern("@b.example"), ban(None, None), Box::default()),
        Rule::Invite(key("tom@spam.example")),
        Rule::Slow(Some(Duration::from_secs(30))),
        Rule::Lock(Some(hour)),
        Rule::Topic(Some("new".into())),
    ] {
        house.set(rule);
    }
    let bob = house.users.named("bob").unwrap();
    for text in ["one", "two"] {
        let reported = Reported {
            text: format!("line #1 of @eve, \"secret words\": {text}").into(),
            without_line: format!("a line of @eve: {text}").into(),
        };
        house.users.report(house.now.moment, bob, &reported).unwrap();
        house.settle();
    }
    (house, tokens)
}

#[test]
fn rules_hold_after_a_crash_for_people_who_are_only_known_as_hashes() {
    let (house, tokens) = furnished();
    let before = house.entries.clone();
    let mut house = house.crash_now();
    assert_eq!(house.restored, Restored { entries: 23, expired: 0, left_out: 0 });
    assert_eq!(house.entries.len(), before.len(), "nothing is removed");
    let now = house.now.moment;
    for (name, admitted) in
        [("ada", true), ("bob", true), ("eve", false), ("kim", false), ("lea", false), ("tom", true)]
    {
        let result = house.resume(&tokens[name]);
        assert_eq!(result.is_ok(), admitted, "{name}: {result:?}");
        assert!(admitted || matches!(result, Err(ResumeError::NotAdmitted(_))), "{name}: {result:?}");
    }
    let user = |name| house.users.named(name).unwrap();
    let (ada, bob) = (user("ada"), user("bob"));
    assert!(house.users.is_moderator(ada) && !house.users.is_moderator(bob));
    assert_eq!(house.users.email(ada).unwrap().to_string(), "ada@example.org", "the settings name it");
    assert_eq!(house.users.email(bob).unwrap().to_string(), "(address kept as a hash)");
    let hour = |wait: Duration| wait <= Duration::from_hours(1) && wait > Duration::from_mins(59);
    let silence = house.users.silence(now, bob);
    assert!(matches!(silence, Some(Silence::Muted(wait)) if hour(wait)), "{silence:?}");
    let rules = house.users.rules();
    let bot = house.users.bots.of_name("ci").unwrap();
    assert!(rules.bot_mute_left(now, bot).is_some_and(hour) && rules.wait_for_unlock(now).is_some_and(hour));
    assert_eq!((rules.slow(), rules.topic().as_deref()), (Some(Duration::from_secs(30)), Some("new")));
    let bans: Vec<String> = rules
        .bans(now)
        .map(|(pattern, ban)| format!("{pattern} {} {:?}", ban.until.is_some(), ban.name.as_deref()))
        .collect();
    let hash = "(address kept as a hash) true Some(\"lea\")";
    assert_eq!(bans, [hash, "@b.example false None", "@.spam.example false None"]);
    let reports = house.users.reports().kept().map(|report| (&*report.by, report.text.to_string()));
    let expected = ["one", "two"].map(|text| ("bob", format!("a line of @eve: {text}")));
    assert!(reports.eq(expected), "without the words of the line");
    let banned = house.users.banned_by(&pattern("@example.org"));
    assert!(banned.is_empty(), "a pattern that is only asked about has no hash yet");
}

#[test]
fn whoever_types_an_address_again_is_the_same_person_to_all_rules() {
    let (house, tokens) = furnished();
    let mut house = house.crash_now();
    house.resume(&tokens["bob"]).unwrap();
    let bob = house.users.named("bob").unwrap();
    house.users.rules.count_line(house.now.moment, &house.users.names.email(bob).unwrap().clone());
    let now = house.now.moment;
    // By a code: the mailbox, of which the name has another address, and the address.
    house.set(Rule::Lock(None));
    let other = house.log_in("Bobby", "bob@example.org");
    assert_eq!(house.users.names.of_mailbox(&key("bob@example.org")), [bob, other.user]);
    assert!(house.users.silence(now, other.user).is_some(), "the mailbox is muted");
    assert_eq!(house.users.email(bob).unwrap().as_str(), None);
    assert_eq!(house.log_in("bob", "Bob+tag@example.org").user, bob);
    assert_eq!(house.users.email(bob).unwrap().as_str(), Some("bob+tag@example.org"));
    house.set(Rule::Unmute(key("bob@example.org")));
    assert!(matches!(house.users.silence(now, bob), Some(Silence::Slow(_))), "the line counts on");
    // By a moderator.
    for email in ["lea@example.org", "tom@spam.example"] {
        house.users.meet(&key(email));
    }
    house.settle();
    let rules = house.users.rules();
    assert!(rules.is_banned(now, &key("lea+x@example.org")) && rules.is_invited(&key("tom@spam.example")));
    assert_eq!(rules.invitations().map(EmailKey::to_string).collect::<Vec<_>>(), ["tom@spam.example"]);
    assert!(!rules.admits(now, &key("x@spam.example")) && rules.admits(now, &key("tom@spam.example")));
    house.set(Rule::Unban(pattern("lea@example.org")));
    house.set(Rule::Uninvite(key("tom@spam.example")));
    house.set(Rule::Unban(pattern("@.spam.example")));
    let mut house = house.crash_now();
    assert!(house.resume(&tokens["lea"]).is_ok() && house.resume(&tokens["eve"]).is_ok());
    assert_eq!(house.users.rules().invitations().len(), 0);
    assert!(house.users.silence(house.now.moment, bob).is_none(), "what slow mode counts is not kept");
}

#[test]
fn lists_of_the_settings_concern_people_who_are_only_known_as_hashes() {
    let mut house = House::new(Settings::default());
    let tokens: Vec<String> =
        ["a@denied.example", "mallory@example.org", "mallory+x@example.org", "b@sub.denied.example"]
            .into_iter()
            .enumerate()
            .map(|(n, email)| house.log_in(&format!("n{n}"), email).token)
            .collect();
    house.settings = settings();
    let mut house = house.crash_now();
    let comes_in: Vec<bool> = tokens.iter().map(|token| house.resume(token).is_ok()).collect();
    assert_eq!(comes_in, [false, false, true, true], "as if their addresses were known");
    let user = house.users.named("n3").unwrap();
    house.set(Rule::Ban(pattern("@sub.denied.example"), ban(None, None), Box::default()));
    let banned = house.users.rules().bans(house.now.moment).next().unwrap().0.clone();
    assert_eq!(house.users.banned_by(&banned), [user]);
}

#[test]
fn what_is_written_tells_no_address_and_opens_no_session() {
    let (house, tokens) = furnished();
    let bytes: Vec<u8> = house.entries.iter().flat_map(|(key, value)| [&**key, value].concat()).collect();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for absent in ["example.org", "bob+tag", "a.b.spam", "tom@", "secret words", "line #1"] {
        assert!(!holds(absent), "{absent}");
    }
    assert!(holds("spam.example") && holds("bob") && holds("a line of @eve: one"));
    for token in tokens.values() {
        let (_, secret) = crate::users::sessions::Token::read(token).unwrap();
        let bytes_of_secret = frozen(&secret);
        let secret = &bytes_of_secret[bytes_of_secret.len() - 16..];
        assert!(!bytes.windows(16).any(|window| window == secret));
    }
    // With another key nothing is found, and nothing is known.
    let mut users = Users::new(&settings(), [1; 32]);
    users.restore(house.now, &settings(), [8; 32], house.entries).unwrap();
    assert!(tokens.values().all(|token| users.resume(house.now.moment, token).is_err()));
}

#[test]
fn a_clock_that_jumps_frees_or_jails_nobody_for_longer_than_was_said() {
    const HOUR: u64 = 3_600_000;
    const HALF: u64 = HOUR / 2;
    const YEAR: i64 = YEAR_MS.cast_signed();
    // By how much the clock is set while the server runs, and before the next start, half an hour later; and
    // what is left of an hour then.
    let rows: [(Option<i64>, i64, Option<u64>); 6] = [
        (None, 0, Some(HALF)),
        (None, -(YEAR), Some(HOUR)),
        (None, YEAR, None),
        (Some(YEAR), 0, Some(HALF)),
        (Some(-(YEAR)), 0, Some(HALF)),
        (Some(-(YEAR)), -(YEAR), Some(HALF)),
    ];
    for (while_it_runs, at_start, expected) in rows {
        let mut house = House::new(Settings::default());
        let bob = house.log_in("bob", "bob@example.org");
        house.leave(&bob);
        let until = house.at(HOUR);
        house.set(Rule::Ban(pattern("eve@example.org"), ban(Some(until), None), Box::default()));
        house.set(Rule::Mute(key("kim@example.org"), until));
        house.set(Rule::Lock(Some(until)));
        house.pass(HALF);
        if let Some(step) = while_it_runs {
            house.now.wall_ms = house.now.wall_ms.checked_add_signed(step).unwrap();
            house.settle();
        }
        let wall_ms = house.now.wall_ms.checked_add_signed(at_start).unwrap();
        let house = house.crash(wall_ms);
        let (now, rules) = (house.now.moment, house.users.rules());
        let mute = rules.mutes_left(now);
        let lock = rules.wait_for_unlock(now);
        let bans: Vec<_> = rules.bans(now).map(|(_, ban)| ban.until.unwrap().since(now)).collect();
        let expected: Vec<Duration> = expected.into_iter().map(Duration::from_millis).collect();
        let row = format!("{while_it_runs:?} {at_start}");
        assert_eq!((&bans, &mute, &lock.into_iter().collect()), (&expected, &expected, &expected), "{row}");
        // A name is never free early, nor a session over, unless the clock says that its time has passed.
        assert_eq!(house.users.named("bob").is_some(), at_start < YEAR, "{row}");
    }
}

#[test]
fn names_and_sessions_end_when_they_should_and_nothing_is_left_of_them() {
    let (name_ms, session_ms) = (millis(NAME_TTL_KEPT), millis(SESSION_TTL_KEPT));
    // Days of absence, at most a day before the end more than they should.
    for (absent, is_named, is_session) in [
        (session_ms - 1, true, true),
        (session_ms + 2 * DAY_MS, true, false),
        (name_ms - 1, true, false),
        (name_ms + 2 * DAY_MS, false, false),
    ] {
        let mut house = House::new(Settings::default());
        let bob = house.log_in("bob", "bob@example.org");
        house.leave(&bob);
        let wall_ms = house.now.wall_ms + absent;
        let mut house = house.crash(wall_ms);
        assert_eq!(house.users.named("bob").is_some(), is_named, "{absent}");
        assert_eq!(house.resume(&bob.token).is_ok(), is_session, "{absent}");
        assert_eq!(house.entries.len(), usize::from(is_named) + usize::from(is_session), "{absent}");
    }
    let mut house = House::new(Settings { name_ttl: Some(NAME_TTL_MIN), ..Settings::default() });
    let bob = house.log_in("bob", "bob@example.org");
    house.leave(&bob);
    house.pass(millis(NAME_TTL_MIN));
    assert!(house.users.named("bob").is_none() && !house.entries.keys().any(|key| key.ends_with(b"bob")));
    house.pass(session_ms);
    assert!(house.entries.is_empty());
    house.set(Rule::Mute(key("bob@example.org"), house.at(millis(MUTE_MAX))));
    house.set(Rule::Ban(pattern("@example.com"), ban(Some(house.at(1)), None), Box::default()));
    house.pass(millis(MUTE_MAX) + DAY_MS);
    assert!(house.entries.is_empty(), "what is over is removed without anybody asking");
}

#[test]
fn coming_and_going_writes_twice_a_day_at_most_and_a_long_stay_costs_nobody_the_name() {
    let mut house = House::new(Settings::default());
    let bob = house.log_in("bob", "bob@example.org");
    let mut writes = 0;
    let hours = 24 * 200;
    for _ in 0..hours {
        house.now.moment = house.now.moment.after(Duration::from_hours(1));
        house.now.wall_ms += 3_600_000;
        house.users.forget_expired(house.now.moment);
        for _ in 0..3 {
            house.users.disconnect(house.now.moment, bob.session);
            house.users.connect(house.now.moment, bob.session, bob.user, None);
            let changes = house.users.take_changes(house.now);
            writes += changes.len();
            house.replay(changes);
        }
    }
    // Of the name and of the session.
    assert!(writes <= 2 * 2 * (hours / 24 + 1), "{writes} writes");
    let mut house = house.crash_now();
    assert!(house.resume(&bob.token).is_ok());
}

#[test]
fn entries_that_cannot_be_read_are_refused_and_those_of_later_versions_stay() {
    let (house, _) = furnished();
    let settings = settings();
    for (key, value) in &house.entries {
        for end in 0..value.len() {
            let entries = [(key.clone(), value[..end].to_vec())];
            let error = Users::new(&settings, [1; 32]).restore(house.now, &settings, SECRET, entries).err();
            assert_eq!(error, Some(RestoreError { kind: key[0] }), "{end} bytes of kind {}", key[0]);
        }
        let longer = [(key.clone(), [&**value, &[1, 2, 3]].concat())];
        assert!(Users::new(&settings, [1; 32]).restore(house.now, &settings, SECRET, longer).is_ok());
    }
    for key in [&[1, 0xff][..], &[2, 0, 0], &[3], &[3, 9], &[3, 0, 1], &[4, 1], &[10, 1]] {
        let error = Users::new(&settings, [1; 32])
            .restore(house.now, &settings, SECRET, [(key.to_vec(), house.entries[&b"\x01bob"[..]].clone())])
            .err();
        assert_eq!(error, Some(RestoreError { kind: key[0] }), "{key:?}");
    }
    let later = [(vec![200, 1], vec![1, 2]), (Vec::new(), vec![1])];
    let house = House::with(settings, later.clone().into(), house.now);
    assert_eq!((house.restored, house.entries), (Restored::default(), later.into()));
}

#[test]
fn names_that_are_reserved_by_now_and_sessions_without_their_name_are_left_out() {
    let mut house = House::new(Settings::default());
    let ci = house.log_in("CI", "ci@example.org");
    let bob = house.log_in("bob", "bob@example.org");
    house.settings = settings();
    // As if bob's name was somebody else's by now, and the end of the session was not written.
    let eves = house.entries.iter().find(|(key, _)| key.ends_with(b"CI")).map(|(_, value)| value.clone());
    house.entries.insert(b"\x01bob".to_vec(), eves.unwrap());
    let far = Kind::Session.key(&SESSION_SLOTS_MAX.to_be_bytes());
    let session = house.entries.values().next_back().unwrap().clone();
    house.entries.insert(far, session);
    let mut house = house.crash_now();
    assert_eq!(house.restored, Restored { entries: 1, expired: 0, left_out: 4 });
    assert!(house.resume(&ci.token).is_err() && house.resume(&bob.token).is_err());
    assert_eq!(house.entries.len(), 1);
}

#[test]
fn a_topic_of_the_settings_that_is_new_wins_over_an_older_one_of_a_moderator() {
    let mut house = House::new(settings());
    house.set(Rule::Topic(None));
    let mut house = house.crash_now();
    assert_eq!(house.users.rules().topic(), None);
    house.settings.topic = Some("newest".to_owned());
    let mut house = house.crash_now();
    assert_eq!(house.users.rules().topic().as_deref(), Some("newest"));
    house.set(Rule::Topic(Some("mine".into())));
    house.set(Rule::Topic(Some("newest".into())));
    assert!(house.entries.is_empty(), "that of the settings needs no entry");
}

#[test]
fn a_person_who_is_forgotten_leaves_a_ban_without_a_name() {
    let (mut house, tokens) = furnished();
    house.set(Rule::Ban(pattern("bob@example.org"), ban(None, Some("bob")), Box::default()));
    house.set(Rule::Invite(key("bob@example.org")));
    let eve = house.users.named("tom").unwrap();
    let reported = Reported { text: "@bob: spam".into(), without_line: "@bob: spam".into() };
    house.users.report(house.now.moment, eve, &reported).unwrap();
    house.settle();
    let other = forget(SECRET, "bob+other@example.org", &house.entries).unwrap();
    assert!(other.is_empty(), "another address than that of the name");
    assert_eq!(forget(SECRET, "bob", &house.entries), Err(ForgetError::NoAddress));
    let changes = forget(SECRET, "Bob@example.org", &house.entries).unwrap();
    // The name, its session, the mute, the invitation, three reports; and the ban.
    assert_eq!((changes.len(), changes.iter().filter(|change| change.value.is_none()).count()), (8, 7));
    house.replay(changes);
    let bytes: Vec<u8> = house.entries.iter().flat_map(|(key, value)| [&**key, value].concat()).collect();
    assert!(!bytes.windows(3).any(|window| window == b"bob"));
    let mut house = house.crash_now();
    assert!(house.resume(&tokens["bob"]).is_err() && house.resume(&tokens["tom"]).is_ok());
    house.set(Rule::Lock(None));
    assert!(matches!(
        house.try_log_in("bob", "bob@example.org"),
        Err(Refused::Hello(HelloError::NotAdmitted(_)))
    ));
}

/// Whatever happens, what was said is what there is.
#[test]
fn replayed_changes_are_what_is_kept() {
    let mut house = House::new(settings());
    let mut seed = 7_u64;
    let mut roll = |most: u64| {
        // SplitMix64.
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 31)) % most
    };
    let mut open: Vec<Entered> = Vec::new();
    for step in 0..1_000_u64 {
        let n = roll(12);
        let (name, email) = (format!("n{n}"), format!("p{}+{n}@d{}.example", n / 2, n % 3));
        let until = house.at(roll(2 * DAY_MS) + 1);
        house.users.meet(&key(&email));
        match roll(14) {
            0..3 => {
                if let Ok(entered) = house.try_log_in(&name, &email) {
                    open.push(entered);
                }
            }
            3 | 4 if !open.is_empty() => {
                let entered = open.swap_remove(usize::try_from(roll(open.len() as u64)).unwrap());
                house.leave(&entered);
                if roll(3) == 0 && house.users.connections(entered.user) == 0 {
                    house.users.log_out(house.now.moment, entered.session);
                }
            }
            5 => house.set(Rule::Mute(key(&email).mailbox(), until)),
            6 => house.set(Rule::Unmute(key(&email).mailbox())),
            7 => house.set(Rule::Ban(
                AddressPattern::Address(key(&email).mailbox()),
                ban((n > 3).then_some(until), Some(&name)),
                Box::default(),
            )),
            8 => house.set(Rule::Unban(AddressPattern::Address(key(&email).mailbox()))),
            9 => house.set(if n < 6 { Rule::Invite(key(&email)) } else { Rule::Uninvite(key(&email)) }),
            10 => house.set(Rule::Slow((n < 6).then_some(Duration::from_secs(n + 1)))),
            11 => house.set(Rule::Lock((n == 0).then_some(house.at(1)))),
            12 => {
                if let Some(user) = house.users.named(&name) {
                    let text: Rc<str> = format!("report {step}").into();
                    let reported = Reported { text: text.clone(), without_line: text };
                    let _ = house.users.report(house.now.moment, user, &reported);
                }
            }
            _ => house.pass(roll(4) * DAY_MS + roll(100_000)),
        }
        house.settle();
        if step % 200 == 199 {
            let clients = open.drain(..).map(|entered| entered.token).collect::<Vec<_>>();
            house = house.crash_now();
            for token in clients {
                open.extend(house.resume(&token));
            }
        }
        house.check(step);
    }
    assert!(house.entries.len() > 20, "{}", house.entries.len());
}
