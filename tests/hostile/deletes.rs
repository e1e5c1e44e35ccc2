//! Deleting lines stalls nobody, however often it is asked for and however much there is to search.

use crate::onlooker::hear;
use crate::support::{Client, Event};
use crate::watched::Watched;
use plume::limits::DELETE_FRAMES_MAX;
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// Commands that are sent at once.
const COMMANDS: usize = 1_000;
/// Processor time that so many commands may cost beyond what as many take that search nothing. Nobody waits
/// for longer than that, whatever else the machine does. Code without optimizations is far slower; to
/// read all lines that are searched would still take it ten times as long as this.
const COST_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 3_000 } else { 500 });
/// Each of them fills its part of the ring, within the rate.
const TALKERS: usize = 14;
const LINES: usize = 1_000;
const TEXT_BYTES: usize = 85;
/// The least that a line takes besides its text: the ring is full with them.
const LINE_BYTES: usize = 70;
const RING_BYTES: usize = 2 << 20;
const _: () = assert!(TALKERS * LINES * (LINE_BYTES + TEXT_BYTES) > RING_BYTES);
const _: () = assert!(RING_BYTES / (LINE_BYTES + TEXT_BYTES) > DELETE_FRAMES_MAX);

/// A server whose ring is full, with more lines than `/delete` looks back, and its moderator.
fn full_house() -> (Watched, Client) {
    let server = Watched::start(&[
        ("PLUME_RATE", "1000"),
        ("PLUME_BACKLOG", &RING_BYTES.to_string()),
        ("PLUME_MODERATORS", "ada@example.org"),
    ]);
    let ada = Client::login(&server, "Ada");
    thread::scope(|scope| {
        for talker in 0..TALKERS {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::login(server, &format!("talker{talker}x"));
                for _ in 0..LINES {
                    client.say(&"x".repeat(TEXT_BYTES));
                }
                client.say("done");
                hear(&mut client, "done");
            });
        }
    });
    (server, ada)
}

/// What an attack took.
struct Took {
    /// Processor time of the server.
    cpu: Duration,
    /// The longest time in which a line of a bystander was heard.
    line: Duration,
}

/// All send their share of the commands at once, and meanwhile a bystander says lines.
fn attack(server: &Watched, bystander: &mut Client, attackers: &mut [Client], command: &str) -> Took {
    let each = COMMANDS / attackers.len();
    let before = server.cpu();
    let mut line = Duration::ZERO;
    thread::scope(|scope| {
        let attackers = attackers.iter_mut().map(|attacker| {
            scope.spawn(move || {
                for _ in 0..each {
                    attacker.say(command);
                }
                attacker.send(&json!({"type": 9, "text": "end"}));
                while !matches!(attacker.next(), Event::Json(message) if message["type"] == 9) {}
            })
        });
        let attackers: Vec<_> = attackers.collect();
        for n in 0.. {
            let text = format!("all is well {n}");
            let said = Instant::now();
            bystander.say(&text);
            hear(bystander, &text);
            line = line.max(said.elapsed());
            if attackers.iter().all(thread::ScopedJoinHandle::is_finished) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    Took { cpu: server.cpu_since(before), line }
}

#[test]
fn a_thousand_deletes_in_a_second_over_a_full_ring_hold_up_nobody() {
    let (server, ada) = full_house();
    let mut bystander = Client::login(&server, "Bystander");
    let mut silent = [Client::login(&server, "Silent")];
    let each_of =
        |name| -> Vec<Client> { (0..10).map(|n| Client::login(&server, &format!("{name}{n}x"))).collect() };
    let (mut crowd, mut talkers, mut moderator) = (each_of("crowd"), each_of("talker"), [ada]);
    // What is refused is compared with what is refused without a search, and what is done with a line.
    let mut check = |attackers: &mut [Client], harmless: &str, command: &str| {
        let usual = attack(&server, &mut bystander, attackers, harmless);
        let took = attack(&server, &mut bystander, attackers, command);
        println!(
            "{command}: {:?} of the processor, a line within {:.1?}; {harmless}: {:?}, {:.1?}",
            took.cpu, took.line, usual.cpu, usual.line
        );
        let most = usual.cpu + COST_MAX;
        assert!(took.cpu <= most, "{COMMANDS} times {command} took {:?}, at most {most:?}", took.cpu);
    };
    check(&mut silent, "/nothing", "/delete");
    check(&mut crowd, "/nothing", "/delete 200");
    check(&mut moderator, "/nothing", "/delete all");
    check(&mut moderator, "/nothing", "/delete Silent all");
    check(&mut moderator, "y", "/delete talker13x");
    check(&mut moderator, "/nothing", "/delete talker12x all");
    check(&mut talkers, "y", "/delete 50");
}
