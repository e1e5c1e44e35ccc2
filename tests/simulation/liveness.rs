//! Liveness: whatever other clients do, each line is offered to each member within a bound, and a newcomer is
//! accepted within one.

use crate::stage::Stage;
use crate::testkit::codec::frame;
use plume::ids::ClientId;
use plume::limits::ACCEPTS_PER_TURN;
use plume::settings::{MailBudget, Settings};
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;

/// All at once: HTTP clients that pipeline and read their answers, guests that send thousands of pings in one
/// read, a member that pings, and one login with many connections that talks as fast as it may. The lines are
/// those of honest members.
#[test]
fn each_line_is_offered_to_each_member_within_two_writes_for_each_member() {
    let mut stage = Stage::new(Settings { history_lines: 0, ..Settings::default() });
    let mut members = Vec::new();
    for n in 0..MEMBERS {
        members.push(stage.log_in(&format!("member{n}"), address(1, n)).0);
    }
    let (first, token) = stage.log_in("everywhere", address(2, 0));
    let everywhere: Vec<ClientId> =
        (1..CONNECTIONS_OF_ONE).map(|n| stage.resume(&token, address(2, n))).chain([first]).collect();
    let pinger = stage.log_in("pinger", address(3, 0)).0;
    let pipeliners: Vec<ClientId> = (0..PIPELINERS).map(|n| stage.accept(address(4, n))).collect();
    let guests: Vec<ClientId> = (0..GUESTS).map(|n| stage.upgrade(address(5, n))).collect();
    stage.offers.members = members.iter().copied().collect();
    stage.offers.members.extend(everywhere.iter().copied().chain([pinger]));
    let requests = b"GET /nothing HTTP/1.1\r\nHost: plume.test\r\n\r\n".repeat(READ_BYTES / 44);
    let pings = frame(0x89, b"", [7; 4]).repeat(READ_BYTES / 6);
    let ping_messages = frame(0x81, br#"{"type":9,"text":"x"}"#, [7; 4]).repeat(20);
    for turn in 0..TURNS {
        let busy = [(&pipeliners[..], &requests), (&guests, &pings), (&[pinger], &ping_messages)];
        for (ids, bytes) in busy {
            for &id in ids {
                if stage.unread(id) < READ_BYTES {
                    stage.send(id, bytes);
                }
            }
        }
        for (n, &id) in everywhere.iter().enumerate() {
            if stage.unread(id) == 0 {
                stage.say(id, &json!({"type": 1, "text": format!("noise {turn} {n}")}));
            }
        }
        // Below the rate, or the lines would rightly wait for it.
        if turn % 60 == 0 {
            let talker = members[turn % members.len()];
            stage.say(talker, &json!({"type": 1, "text": "a line", "ref": turn.to_string()}));
            stage.offers.expect(talker, turn);
        }
        stage.turn();
    }
    stage.run(Duration::from_millis(200), Duration::ZERO, |_| {});
    assert!(stage.offers.are_complete(), "all lines were offered");
    for id in members {
        assert!(stage.is_open(id), "an honest member was closed: {:?}", stage.closed.get(&id));
    }
}

/// One address connects as fast as the loop accepts and never ends its side; a client of another address
/// connects, again and again.
#[test]
fn a_newcomer_is_accepted_however_fast_another_address_connects() {
    let mut stage =
        Stage::new(Settings { connections_max: 100, connections_per_address: 10, ..Settings::default() });
    for round in 0..20 {
        let flood = |stage: &mut Stage| {
            while stage.dialing() < FLOOD {
                stage.dial(address(6, 0));
            }
        };
        flood(&mut stage);
        let newcomer = address(7, round);
        stage.dial(newcomer);
        let dialed_at = stage.turns();
        while !stage.accepted.contains(&newcomer) {
            flood(&mut stage);
            stage.turn();
            let waited = stage.turns() - dialed_at;
            assert!(waited <= ACCEPT_TURNS_MAX, "a newcomer was not accepted within {waited} turns");
        }
    }
}

/// Networks ask for codes as fast as they can, each for a new mailbox and from another of its addresses. In
/// between people of other networks log in.
#[test]
fn an_honest_login_gets_its_code_within_a_wait_for_each_attacking_network() {
    const EVERY: Duration = Duration::from_secs(4);
    for networks in [1, NETWORKS_WITHOUT_WAIT, 40] {
        let mail_budget = Some(MailBudget { every: EVERY, burst: 15 });
        let mut stage = Stage::new(Settings { mail_budget, ..Settings::default() });
        let hello = |name: &str| json!({"type": 0, "text": format!("{name}\n{name}@example.org")});
        let bound = match networks {
            0..=NETWORKS_WITHOUT_WAIT => Duration::from_secs(1),
            _ => EVERY * u32::try_from(networks + TOKENS_MORE).expect("a few networks"),
        };
        for minute in 0..20 {
            // All networks ask just before the honest person does.
            for network in 0..networks {
                let attacker = stage.upgrade([90, 0, low(network), low(minute)].into());
                for mail in 0..3 {
                    stage.say(attacker, &hello(&format!("m{network}x{minute}x{mail}")));
                }
                stage.turn();
                stage.hang_up(attacker);
            }
            let name = format!("honest{minute}");
            let honest = stage.upgrade(address(8, minute));
            let asked_at = stage.now();
            stage.say(honest, &hello(&name));
            // It asks again when it was told to.
            let mut answers = 0;
            stage.run(bound.max(Duration::from_mins(1)), Duration::from_millis(100), |stage| {
                let is_answered = stage.inbox(honest).messages.len() > answers;
                if let Some((at, answer)) = stage.inbox(honest).messages.last()
                    && let Some(retry) = answer["retry"].as_u64()
                    && is_answered
                {
                    let retry_at = at.after(Duration::from_secs(retry));
                    if stage.now() >= retry_at {
                        answers += 1;
                        stage.say(honest, &hello(&name));
                    }
                }
                let has_code = stage.has_code(&format!("{name}@example.org"));
                let waited = stage.now().since(asked_at);
                assert!(has_code || waited <= bound, "{networks} networks: no code within {waited:?}");
            });
            let has_code = stage.has_code(&format!("{name}@example.org"));
            assert!(has_code, "{networks} networks: no code within {bound:?}");
            stage.hang_up(honest);
        }
    }
}

fn address(network: u8, n: usize) -> IpAddr {
    let [.., high, low] = n.to_be_bytes();
    [100 + network, high, low, 1].into()
}

fn low(n: usize) -> u8 {
    let [.., low] = n.to_be_bytes();
    low
}

/// Attacking networks that leave an email for one more network at once, whatever the order in which they ask:
/// of a burst of 15, one is for owners of names, each of these networks takes one, and the first of them two
/// more.
const NETWORKS_WITHOUT_WAIT: usize = 11;
/// Emails for which an honest login may have to wait, beside one for each attacking network.
const TOKENS_MORE: usize = 2;
const MEMBERS: usize = 100;
const CONNECTIONS_OF_ONE: usize = 64;
const PIPELINERS: usize = 16;
const GUESTS: usize = 64;
/// More than one read takes.
const READ_BYTES: usize = 20_000;
const TURNS: usize = 600;
/// Connections that wait at the listener in front of the newcomer.
const FLOOD: usize = 256;
/// Turns for the connections in front of it, and a few in which refused ones are closed.
const ACCEPT_TURNS_MAX: u64 = (FLOOD / ACCEPTS_PER_TURN) as u64 + 4;
