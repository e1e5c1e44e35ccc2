use super::*;
use crate::base::digest::Digest;
use crate::base::frost::{Refill, frozen};
use crate::limits::{CODE_TRIES, MAIL_RESULT_TIMEOUT, SESSION_TTL};
use crate::settings::{Bot, Door, MailBudget, Rights};
use crate::users::rules::Ban;
use std::collections::BTreeSet;
use std::fmt::Debug;

const PEOPLE: [(&str, &str); 10] = [
    ("Ada", "ada@example.org"),
    ("Countess", "ada+work@example.org"),
    ("ada", "eve@example.net"),
    ("Bob", "bob@example.org"),
    ("Зоя", "zoe@bücher.example"),
    ("राम", "ram@example.com"),
    ("Mo", "mo@example.org"),
    ("Eve", "EVE@example.net"),
    ("Lovelace", "Ada@example.org"),
    ("plumebot", "bot@example.org"),
];

fn bot(name: &str, token: &str) -> Bot {
    let rights = Rights { say: true, read: true };
    Bot { name: name.to_owned(), rights, token: Digest::of(token.as_bytes()) }
}

fn settings() -> Settings {
    let email = |typed| Email::parse(typed).unwrap().key();
    Settings {
        code_ttl: Duration::from_mins(4),
        mail_budget: Some(MailBudget { every: Duration::from_secs(4), burst: 15 }),
        door: Door { moderators: [email("mo@example.org")].into(), ..Door::default() },
        topic: Some("Tea".to_owned()),
        bots: vec![bot("ci-bot", "one"), bot("log", "two")],
        ..Settings::default()
    }
}

/// Users of a process with these settings that takes over.
fn thawed_with(settings: &Settings, bytes: &[u8]) -> Option<Users> {
    let mut users = Users::new(settings, [0xee; 32]);
    let mut from = Frozen::new(bytes);
    users.refill(&mut from)?;
    from.is_empty().then_some(users)
}

fn thawed(bytes: &[u8]) -> Option<Users> {
    thawed_with(&settings(), bytes)
}

/// People who do at random what a server lets them, to all of several `Users` that must not differ.
#[derive(Clone)]
struct Crowd {
    rng: u64,
    now: Moment,
    /// Flows, their tokens, and whose connection they are.
    flows: Vec<(FlowId, String)>,
    mails: Vec<Mail>,
    tokens: Vec<String>,
    sessions: Vec<SessionId>,
    connections: Vec<SessionId>,
    known: Vec<UserId>,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let now = Moment::from_ms(1_000_000);
        let (flows, mails, tokens) = (Vec::new(), Vec::new(), Vec::new());
        let (sessions, connections, known) = (Vec::new(), Vec::new(), Vec::new());
        Self { rng: seed << 1 | 1, now, flows, mails, tokens, sessions, connections, known }
    }

    /// A number below `most`.
    fn choose(&mut self, most: usize) -> usize {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        (self.rng >> 20) as usize % most
    }

    fn one_of<T: Clone>(&mut self, list: fn(&Self) -> &Vec<T>) -> Option<T> {
        let len = list(self).len();
        let place = if len == 0 { 0 } else { self.choose(len) };
        list(self).get(place).cloned()
    }

    fn address(&mut self) -> Option<IpAddr> {
        let network = u8::try_from(self.choose(6)).unwrap();
        match self.choose(8) {
            0 => None,
            1 => Some(IpAddr::from([0x2001, 0xdb8, network.into(), 0, 0, 0, 0, 1])),
            host => Some([10, 0, network, u8::try_from(host).unwrap()].into()),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each thing that can happen")]
    fn step(&mut self, all: &mut [Users]) {
        let now = self.now;
        let (name, email) = PEOPLE[self.choose(PEOPLE.len())];
        let (user, session) = (self.one_of(|crowd| &crowd.known), self.one_of(|crowd| &crowd.sessions));
        match self.choose(24) {
            0..=4 => self.hello(all, name, email),
            5..=7 => self.log_in(all),
            8 => {
                let flow = self.one_of(|crowd| &crowd.flows);
                let Some((flow, token)) = flow else { return };
                for _ in 0..self.choose(usize::from(CODE_TRIES) + 1) {
                    let _ = each(all, |users| {
                        let randomness = users.draw();
                        users.auth(now, Some(flow), Some(&token), "222222", randomness)
                    });
                }
            }
            9 => {
                let Some((flow, _)) = self.one_of(|crowd| &crowd.flows) else { return };
                each(all, |users| users.forget_flow(flow));
            }
            10 | 11 if !self.mails.is_empty() => {
                let place = self.choose(self.mails.len());
                let mail = self.mails.swap_remove(place);
                let result = [Ok(()), Ok(()), Err(MailError::Tls), Err(MailError::Late)][self.choose(4)];
                each(all, |users| users.mail_done(mail.id, result));
            }
            12 => {
                let Some(token) = self.one_of(|crowd| &crowd.tokens) else { return };
                if let Ok(entered) = each(all, |users| users.resume(now, &token)) {
                    self.connect(all, &entered);
                }
            }
            13 | 14 if !self.connections.is_empty() => {
                let place = self.choose(self.connections.len());
                let session = self.connections.swap_remove(place);
                each(all, |users| users.disconnect(now, session));
            }
            15 => {
                let Some(session) = session.filter(|session| !self.connections.contains(session)) else {
                    return;
                };
                each(all, |users| users.log_out(now, session));
            }
            16 | 17 => self.rule(all, email),
            18 => {
                let Some(user) = user else { return };
                let (why, line) = (["spam", "flood", "rude"][self.choose(3)], self.choose(3));
                let text = format!("line #{line}: {why}").into();
                let reported = Reported { text, without_line: why.into() };
                let _ = each(all, |users| users.report(now, user, &reported));
            }
            19 => {
                let Some(user) = user else { return };
                let has_slot = self.choose(2) == 0;
                each(all, |users| {
                    let silence = users.silence(now, user);
                    if silence.is_none() {
                        users.count_line(now, user);
                    }
                    let throttle = users.throttle(user);
                    let rate = Rate::per_second(2);
                    let wait = throttle.map(|throttle| {
                        throttle.charge(now, rate, 3);
                        throttle.wait_for_turn(now, rate, has_slot)
                    });
                    (silence, wait)
                });
            }
            20 => {
                let token = ["one", "two", "three"][self.choose(3)];
                each(all, |users| {
                    let bot = users.bots().of_token(token)?;
                    let mute = users.rules().bot_mute_left(now, bot);
                    Some((bot, mute, users.charge_bot(now, bot, Rate::per_second(1), 2)))
                });
            }
            21 => {
                let Some(session) = session else { return };
                let line = self.rng % 1_000;
                each(all, |users| (users.set_first_seen(session, line), users.speaker(session).is_some()));
            }
            _ => {
                // Mostly seconds; now and then ten minutes, and seldom a day.
                let seconds = [0, 0, 0, 1, 1, 9, 9, 60, 60, 600][self.choose(10)];
                let seconds = if self.choose(100) == 0 { 90_000 } else { seconds };
                self.now = self.now.after(Duration::from_millis(seconds * 1_000 + 7));
                self.tick(all);
            }
        }
    }

    /// What the server does at each deadline.
    fn tick(&mut self, all: &mut [Users]) {
        let now = self.now;
        while let Some((mail, _)) = each(all, |users| users.overdue_mail(now)) {
            self.mails.retain(|other| other.id != mail);
            each(all, |users| users.mail_done(mail, Err(MailError::Late)));
        }
        each(all, |users| users.forget_expired(now));
    }

    fn hello(&mut self, all: &mut [Users], name: &str, email: &str) {
        let (now, address) = (self.now, self.address());
        let former = if self.choose(3) == 0 { self.one_of(|crowd| &crowd.flows) } else { None };
        let former = former.map(|(flow, _)| flow);
        let connection = ClientId::new(self.choose(9), self.rng % 1_000);
        let mails = u8::try_from(self.choose(3)).unwrap();
        let asker = Asker { node: NodeId::default(), connection, address, former, mails };
        let hello = each(all, |users| {
            let randomness = users.draw();
            let hello = users.hello(now, asker, name, email, randomness);
            hello.map(|Hello { flow, flow_token, name, code_chars, delivery }| {
                (flow, flow_token, name, code_chars, delivery)
            })
        });
        if let Ok((flow, token, .., delivery)) = hello {
            self.flows.push((flow, token));
            if let Delivery::Mail(mail) = delivery {
                self.mails.push(mail);
            }
        }
    }

    /// Somebody types a code that was sent, for a flow of any connection.
    fn log_in(&mut self, all: &mut [Users]) {
        let now = self.now;
        let Some((flow, token)) = self.one_of(|crowd| &crowd.flows) else { return };
        let attempt = all[0].logins.find(&token).filter(|&found| found == flow);
        let Some(code) = attempt.and_then(|flow| all[0].logins.code_of(flow)) else { return };
        let entered = each(all, |users| {
            let randomness = users.draw();
            users.auth(now, None, Some(&token), code.as_str(), randomness)
        });
        if let Ok(entered) = entered {
            self.connect(all, &entered);
        }
    }

    fn connect(&mut self, all: &mut [Users], entered: &Entered) {
        let (now, address) = (self.now, self.address());
        each(all, |users| users.connect(now, entered.session, entered.user, address));
        self.tokens.push(entered.token.clone());
        self.sessions.push(entered.session);
        self.connections.push(entered.session);
        self.known.push(entered.user);
    }

    fn rule(&mut self, all: &mut [Users], email: &str) {
        let (now, later) = (self.now, self.now.after(Duration::from_mins(3)));
        let key = Email::parse(email).unwrap().key();
        let patterns = [AddressPattern::Address(key.mailbox())]
            .into_iter()
            .chain(["@example.net", "@.example.com"].into_iter().filter_map(AddressPattern::parse));
        let pattern = patterns.collect::<Vec<_>>().swap_remove(self.choose(3));
        let place = self.choose(2);
        let bot = all[0].bots().of_token(["one", "two"][place]);
        let networks: Box<[IpAddr]> = self.address().into_iter().collect();
        let until = Some(later).filter(|_| self.choose(4) > 0);
        let rule = match self.choose(14) {
            0 | 1 => Rule::Mute(key.mailbox(), later),
            2 => Rule::Unmute(key.mailbox()),
            3 | 4 => Rule::MuteBot(bot.unwrap(), Some(later)),
            5 => Rule::MuteBot(bot.unwrap(), None),
            6 => Rule::Ban(pattern, Ban { until, name: Some("Eve".into()) }, networks),
            7 | 8 => Rule::Unban(pattern),
            9 => Rule::Invite(key),
            10 => Rule::Uninvite(key),
            11 if place == 0 => Rule::Slow([None, Some(Duration::from_mins(5))][self.choose(2)]),
            12 => Rule::Lock(until.filter(|_| self.choose(4) == 0)),
            _ => Rule::Topic([None, Some(format!("Topic of {now:?}").into())][place].clone()),
        };
        let _ = each(all, |users| {
            let (rules, is_set) = (users.set_rule(now, rule.clone()), users.rules());
            let lists = (is_set.bans(now).count(), is_set.invitations().count(), is_set.topic());
            (rules, lists, is_set.slow(), is_set.wait_for_unlock(now))
        });
    }
}

/// Does the same to all of them; the results must not differ.
fn each<T: PartialEq + Debug>(all: &mut [Users], mut act: impl FnMut(&mut Users) -> T) -> T {
    let mut results: Vec<T> = all.iter_mut().map(&mut act).collect();
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:?}");
    results.swap_remove(0)
}

/// Fails if anything of the two differs that can be seen, or that would be frozen.
fn assert_same(all: &[Users], step: &str) {
    let [stays, moves] = all else { panic!("a pair") };
    assert_eq!(format!("{stays:?}"), format!("{moves:?}"), "{step}");
    assert!(frozen(stays) == frozen(moves), "{step}");
    assert_eq!(stays.next_deadline(), moves.next_deadline(), "{step}");
    assert!(stays.mails_under_way(NodeId::default()) == moves.mails_under_way(NodeId::default()), "{step}");
}

/// Users with something in every table, and the crowd that made them.
fn busy() -> (Crowd, Users) {
    for seed in 0..100 {
        let (mut crowd, mut users) = (Crowd::new(seed), [Users::new(&settings(), [7; 32])]);
        for _ in 0..600 {
            crowd.step(&mut users);
            if users[0].usage().iter().all(|usage| usage.now > 0) {
                let [users] = users;
                return (crowd, users);
            }
        }
    }
    panic!("no crowd fills all tables at once");
}

#[test]
fn a_successor_behaves_like_the_original_after_a_move_at_any_step() {
    let mut filled = BTreeSet::new();
    for seed in 0..6 {
        let mut crowd = Crowd::new(seed);
        let mut all = [(); 2].map(|()| Users::new(&settings(), [7; 32]));
        for step in 0..1_000 {
            if crowd.choose(5) == 0 {
                all[1] = thawed(&frozen(&all[1])).unwrap();
                assert_same(&all, &format!("seed {seed}, step {step}"));
                filled.extend(all[0].usage().iter().filter(|usage| usage.now > 0).map(|usage| usage.what));
            }
            crowd.step(&mut all);
        }
    }
    let tables = Users::new(&settings(), [7; 32]).usage();
    let empty: Vec<&Usage> = tables.iter().filter(|table| !filled.contains(table.what)).collect();
    assert!(empty.is_empty(), "always empty: {empty:?}");
}

#[test]
fn a_generator_goes_on_in_the_middle_of_a_block() {
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    for drawn in 0..200 {
        let mut successor = ChaCha20Rng::thaw(&mut Frozen::new(&frozen(&rng))).unwrap();
        let mut original = ChaCha20Rng::from_seed([3; 32]);
        for _ in 0..drawn {
            original.next_u32();
        }
        for _ in 0..100 {
            let (mut odd, mut other) = ([0; 7], [0; 7]);
            original.fill_bytes(&mut odd);
            successor.fill_bytes(&mut other);
            assert_eq!((odd, original.next_u64()), (other, successor.next_u64()), "after {drawn}");
        }
        rng.next_u32();
    }
}

/// Lets users who came from any bytes live on, for a panic to show itself.
fn live_on(crowd: &Crowd, users: Users) {
    let (mut crowd, mut all) = (crowd.clone(), [users]);
    for _ in 0..60 {
        crowd.step(&mut all);
    }
    crowd.now = crowd.now.after(SESSION_TTL * 3);
    crowd.tick(&mut all);
    all[0].next_deadline();
    all[0].usage();
    all[0].mails_under_way(NodeId::default());
    frozen(&all[0]);
}

/// The bytes of a struct with these fields.
fn with_length(fields: &[u8]) -> Vec<u8> {
    [&u32::try_from(fields.len()).unwrap().to_le_bytes(), fields].concat()
}

#[test]
fn part_of_the_bytes_is_refused_unless_an_earlier_version_could_have_written_it() {
    let (crowd, users) = busy();
    let bytes = frozen(&users);
    for end in 0..bytes.len() {
        assert!(thawed(&bytes[..end]).is_none(), "{end} of {} bytes", bytes.len());
    }
    // As many tables as an earlier version may have had: each begins with its length.
    let (_, fields) = bytes.split_first_chunk::<4>().unwrap();
    let mut end = 0;
    for tables in 0..6 {
        let users = thawed(&with_length(&fields[..end])).unwrap_or_else(|| panic!("{tables} tables"));
        live_on(&crowd, users);
        let (length, _) = fields[end..].split_first_chunk().unwrap();
        end += 4 + usize::try_from(u32::from_le_bytes(*length)).unwrap();
        assert!(thawed(&with_length(&fields[..end - 1])).is_none(), "a part of a table behind {tables}");
    }
}

#[test]
fn no_bytes_make_a_successor_panic() {
    let (mut crowd, users) = busy();
    let bytes = frozen(&users);
    let mut thawed_ones = 0;
    for _ in 0..1_000 {
        let mut bytes = bytes.clone();
        for _ in 0..=crowd.choose(3) {
            let place = crowd.choose(bytes.len());
            bytes[place] = match crowd.choose(4) {
                0 => 0xff,
                1 => 0,
                2 => bytes[place] ^ 1 << crowd.choose(8),
                _ => u8::try_from(crowd.choose(256)).unwrap(),
            };
        }
        if let Some(users) = thawed(&bytes) {
            thawed_ones += 1;
            live_on(&crowd, users);
        }
    }
    assert!((100..900).contains(&thawed_ones), "{thawed_ones} of 1,000 were thawed");
}

/// Somebody who has logged in, and is connected.
fn with_ada() -> (Users, Entered, Moment) {
    let (mut users, now) = (Users::new(&settings(), [7; 32]), Moment::from_ms(1_000));
    let hello = ask(&mut users, now, "ada", "ada@example.org");
    let Delivery::Mail(mail) = &hello.delivery else { panic!("{hello:?}") };
    let randomness = users.draw();
    let entered = users.auth(now, Some(hello.flow), None, &mail.code, randomness).unwrap();
    users.connect(now, entered.session, entered.user, None);
    (users, entered, now)
}

fn ask(users: &mut Users, now: Moment, name: &str, email: &str) -> Hello {
    let asker = Asker {
        node: NodeId::default(),
        connection: ClientId::new(0, 0),
        address: None,
        former: None,
        mails: 0,
    };
    let randomness = users.draw();
    users.hello(now, asker, name, email, randomness).unwrap()
}

#[test]
fn tables_that_contradict_each_other_are_refused() {
    let (mut users, ..) = with_ada();
    assert!(thawed(&frozen(&users)).is_some());
    users.run = "a".to_owned();
    assert!(thawed(&frozen(&users)).is_none(), "another run");
    let (mut users, ..) = with_ada();
    users.names = Names::new("Plume.chat", NAME_TTL);
    assert!(thawed(&frozen(&users)).is_none(), "a connection of nobody");
    let (mut users, entered, now) = with_ada();
    users.disconnect(now, entered.session);
    users.names = Names::new("Plume.chat", NAME_TTL);
    let mut after = thawed(&frozen(&users)).unwrap();
    assert_eq!(after.resume(now, &entered.token), Err(ResumeError::Invalid), "its name has expired");
}

#[test]
fn emails_under_way_are_known_until_their_code_is_void_and_all_come_to_an_end() {
    let (mut users, now) = (Users::new(&settings(), [7; 32]), Moment::from_ms(1_000));
    let mut sent = Vec::new();
    for (name, email) in [("ada", "ada@example.org"), ("bob", "Bob@example.org"), ("eve", "eve@example.net")]
    {
        let hello = ask(&mut users, now, name, email);
        let Delivery::Mail(mail) = hello.delivery else { panic!("{name}") };
        sent.push((hello.flow, mail));
    }
    // The guest leaves, and the code may still be asked for by another.
    users.forget_flow(sent[1].0);
    let ban =
        Rule::Ban(AddressPattern::parse("@example.net").unwrap(), Ban { until: None, name: None }, [].into());
    users.set_rule(now, ban).unwrap();
    let mut after = thawed(&frozen(&users)).unwrap();
    let [ada, bob, eve] = [0, 1, 2].map(|place: usize| sent[place].1.clone());
    assert_eq!(after.mails_under_way(NodeId::default()), [ada.clone(), bob.clone()]);
    assert_eq!((bob.name.as_str(), bob.to.as_str()), ("bob", "Bob@example.org"));
    assert_eq!(after.mail_done(ada.id, Err(MailError::Tls)), [(NodeId::default(), ClientId::new(0, 0))]);
    assert_eq!(after.mails_under_way(NodeId::default()), std::slice::from_ref(&bob));
    let late = now.after(MAIL_RESULT_TIMEOUT);
    assert_eq!(after.overdue_mail(now), None);
    for mail in [bob, eve] {
        assert!(after.next_deadline() <= Some(late));
        assert_eq!(after.overdue_mail(late), Some((mail.id, NodeId::default())));
        after.mail_done(mail.id, Err(MailError::Late));
    }
    assert_eq!((after.overdue_mail(late), after.mails_under_way(NodeId::default())), (None, Vec::new()));
}

#[test]
fn a_successor_has_settings_of_its_own() {
    let (mut users, entered, now) = with_ada();
    let later = now.after(Duration::from_mins(5));
    let [one, two] = ["one", "two"].map(|token| users.bots().of_token(token).unwrap());
    let rate = Rate::per_second(1);
    for bot in [one, two] {
        users.set_rule(now, Rule::MuteBot(bot, Some(later))).unwrap();
        users.charge_bot(now, bot, rate, 9).unwrap();
    }
    users.set_rule(now, Rule::Topic(Some("Cake".into()))).unwrap();
    let bytes = frozen(&users);

    let budget = MailBudget { every: Duration::from_hours(1), burst: 1 };
    let email = |typed| Email::parse(typed).unwrap().key();
    let new = Settings {
        name: "Ada".to_owned(),
        code_ttl: Duration::from_mins(1),
        mail_budget: Some(budget),
        door: Door { moderators: [email("ada@example.org")].into(), ..Door::default() },
        topic: Some("Coffee".to_owned()),
        bots: vec![
            bot("new", "three"),
            bot("log", "zwei"),
            Bot { rights: Rights::default(), ..bot("ci-bot", "one") },
        ],
        ..Settings::default()
    };
    let mut after = thawed_with(&new, &bytes).unwrap();
    assert_eq!(after.run(), users.run());
    assert_eq!(after.rules().topic().as_deref(), Some("Cake"), "what a moderator has set stays");
    assert!(after.is_moderator(entered.user) && !users.is_moderator(entered.user));
    assert_eq!(
        after.resume(now, &entered.token).unwrap().user,
        entered.user,
        "a name that is reserved by now"
    );
    assert!(
        !after.names.owns(&entered.name, &Email::parse("ada@example.org").unwrap()),
        "and for no new login"
    );
    // A full bucket of the new size.
    let delivery = ask(&mut after, now, "bob", "bob@example.org").delivery;
    assert!(matches!(delivery, Delivery::Mail(_)), "{delivery:?}");
    assert!(after.next_deadline() <= Some(now.after(Duration::from_mins(1))), "codes of the new lifetime");

    let bots = after.bots();
    assert_eq!(["one", "two", "zwei"].map(|token| bots.of_token(token)), [Some(one), None, Some(two)]);
    let three = bots.of_token("three").unwrap();
    assert_eq!(three, bots.named(&TypedName::read("new")).unwrap());
    assert_eq!(bots.rights(one), Rights::default());
    assert_eq!([one, two, three].map(|bot| bots.may_stay(bot)), [true, false, true], "another token");
    for bot in [one, two] {
        assert_eq!(after.rules().bot_mute_left(now, bot), Some(Duration::from_mins(5)));
        assert_eq!(after.charge_bot(now, bot, rate, 1), Err(Duration::from_secs(9)));
    }
    assert_eq!(
        (after.rules().bot_mute_left(now, three), after.charge_bot(now, three, rate, 1)),
        (None, Ok(()))
    );

    let without = Settings { mail_budget: None, bots: vec![], ..settings() };
    let mut after = thawed_with(&without, &bytes).unwrap();
    let bots = after.bots();
    assert!(bots.is_empty() && !bots.may_stay(one) && bots.named(&TypedName::read("ci-bot")).is_none());
    assert_eq!((bots.of_token("one"), bots.rights(one)), (None, Rights::default()));
    for _ in 0..30 {
        let delivery = ask(&mut after, now, "bob", "bob@example.org").delivery;
        assert!(matches!(delivery, Delivery::Mail(_)), "no budget, no limit");
    }
    let mut back = thawed(&frozen(&after)).unwrap();
    let delivery = ask(&mut back, now, "eve", "eve@example.org").delivery;
    assert!(matches!(delivery, Delivery::Mail(_)), "a budget that begins anew");
    assert_eq!(back.bots().of_token("two"), Some(two), "named again");
}
