//! Requests for login codes that are meant to keep others out: they use up the budgets of a mailbox, of the
//! server, and the tries of a code. Whoever owns the mailbox comes in all the same.

use crate::onlooker::Onlooker;
use crate::support::{Client, FakeMailgun, Plume, other_than, wait_for};
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The tests are the proxy.
const TRUST: (&str, &str) = ("PLUME_TRUSTED_PROXIES", "127.0.0.1");

/// Asks for a code as a client with this address, if that is not empty; gives the first answer.
fn ask(server: &Plume, address: &str, name: &str, email: &str) -> (Client, Value) {
    let mut client =
        if address.is_empty() { Client::open(server) } else { Client::open_for(server, address) };
    client.hello_as(name, email);
    let answer = client.message();
    (client, answer)
}

#[test]
fn a_stranger_who_asks_for_somebody_elses_code_keeps_the_owner_not_out() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[TRUST, ("PLUME_MAIL_BURST", "100")]);
    let mut member = Client::open_for(&server, "192.0.2.9");
    member.ask_code("Onlooker", "onlooker@example.org");
    member.auth(&mailgun.next().code());
    member.enter();
    let onlooker = Onlooker::with(member);
    // From four networks, with and without tags, and with guesses.
    let mut codes = HashMap::new();
    for n in 0..60 {
        let address = format!("198.51.{}.7", n % 8);
        let email = ["ada@example.org", "ada+1@example.org", "Ada+2@example.org", "ADA@example.org"][n % 4];
        let (mut stranger, answer) = ask(&server, &address, "Eve", email);
        assert!(matches!(answer["type"].as_u64(), Some(0 | 6)), "{answer}");
        stranger.auth("222222");
    }
    let (mut ada, answer) = ask(&server, "203.0.113.5", "Ada", "ada@example.org");
    assert_eq!(answer["type"], 0, "{answer}");
    ada.expect_notice("mail-limited");
    while codes.len() < mailgun.count() - 1 {
        let posted = mailgun.next();
        codes.insert((posted.field("to").to_owned(), codes.len()), posted.code());
    }
    assert!(codes.len() <= 4, "mails to one mailbox: {}", codes.len());
    let to_ada = codes.iter().find(|((to, _), _)| to.eq_ignore_ascii_case("ada@example.org"));
    ada.auth(to_ada.expect("one of them went to Ada").1);
    assert_eq!(ada.expect(3)["user"]["name"], "Ada");
    onlooker.finish();
}

/// One network, and sixteen addresses in different ones: neither keeps others from logging in.
#[test]
fn no_network_uses_up_the_mail_budget() {
    let rows = [
        Attack {
            who: "a /56",
            address: |n| format!("2001:db8:1:{:x}::7", n % 256),
            granted_max: 3,
            within: Duration::from_secs(10),
        },
        Attack {
            who: "a /48",
            address: |n| format!("2001:db8:1:{:x}::7", n * 251 % 65_536),
            granted_max: 3,
            within: Duration::from_secs(10),
        },
        Attack {
            who: "sixteen addresses of one network",
            address: |n| format!("10.0.0.{}", n % 16),
            granted_max: 3,
            within: Duration::from_secs(10),
        },
        // Each of them was sent nothing for an hour, so each gets its first code before others.
        Attack {
            who: "sixteen addresses of as many networks",
            address: |n| format!("10.{}.0.7", n % 16),
            granted_max: 16,
            within: Duration::from_secs(30),
        },
    ];
    std::thread::scope(|scope| {
        for attack in rows {
            scope.spawn(move || withstand(&attack));
        }
    });
}

/// Somebody who asks for all codes that there are.
struct Attack {
    who: &'static str,
    /// The address that the nth request comes from.
    address: fn(u32) -> String,
    /// Codes that it gets at once.
    granted_max: usize,
    /// By then thirteen honest people from other networks, who ask all the time, are in.
    within: Duration,
}

fn withstand(&Attack { who, address, granted_max, within }: &Attack) {
    let mailgun = FakeMailgun::start(&[]);
    // Four times as fast as by default.
    let server = mailgun.plume(&[TRUST, ("PLUME_MAIL_EVERY", "1")]);
    let begun = Instant::now();
    let mut granted = 0;
    let mut attack = |n: u32| {
        let (_, answer) = ask(&server, &address(n), &format!("E{n}"), &format!("e{n}@example.org"));
        granted += usize::from(answer["type"] == 0);
    };
    (0..300).for_each(&mut attack);
    let mut honest: Vec<u32> = (0..13).collect();
    let mut next = 300;
    while !honest.is_empty() {
        honest.retain(|n| {
            let name = format!("Honest {n}");
            let email = format!("honest{n}@example.org");
            let (mut client, answer) = ask(&server, &format!("172.16.{n}.7"), &name, &email);
            if answer["type"] != 0 {
                assert_eq!(answer["reason"], "mail-limited", "{who}: {answer}");
                return true;
            }
            let code = loop {
                let posted = mailgun.next();
                if posted.field("to") == email {
                    break posted.code();
                }
            };
            client.auth(&code);
            client.expect(3);
            false
        });
        assert!(begun.elapsed() < within, "{who}: {} of 13 honest logins still wait", honest.len());
        // The attack goes on all the time.
        for _ in 0..20 {
            attack(next);
            next += 1;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let refilled = begun.elapsed().as_secs();
    let granted_max = granted_max + usize::try_from(refilled).expect("it is small");
    assert!(granted <= granted_max, "{who}: {granted} codes");
}

/// At full speed, from many connections: the guesses of a day succeed with less than one in a million, and
/// they keep the owner not out.
#[test]
fn an_address_bears_a_thousand_guesses_a_day_and_its_owner_comes_in() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let onlooker = Onlooker::join(&server);
    let mut ada = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    let wrong = other_than(&code);
    let mut short_guesses = 1;
    let mut long = None;
    for n in 0..1_100 {
        let mut guesser = Client::with_hello(&server, &format!("E{}", n % 7), "ada@example.org");
        let hello = guesser.expect(0);
        match hello["chars"].as_u64() {
            None => {
                guesser.auth(&wrong);
                guesser.expect_rejected(4);
                short_guesses += 1;
            }
            Some(chars) => long = Some(chars),
        }
    }
    assert!((800..=1_000).contains(&short_guesses), "{short_guesses} guesses");
    assert_eq!(long, Some(12), "then a code is longer than anybody guesses");
    // All flows of the short code have ended or belong to somebody else; the owner asks again.
    ada.ask_code("Ada", "ada@example.org");
    let printed = wait_for("a code of twelve characters", || {
        let stderr = server.log();
        let mut codes = stderr.lines().rev().filter_map(|line| line.strip_prefix("login code for @Ada: "));
        codes.next().filter(|code| code.len() == 12).map(str::to_owned)
    });
    ada.auth(&printed[..6]);
    ada.expect_rejected(4);
    ada.auth(&printed.to_lowercase());
    assert_eq!(ada.expect(3)["user"]["name"], "Ada");
    onlooker.finish();
}
