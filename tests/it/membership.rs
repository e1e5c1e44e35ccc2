//! Entering and leaving as the room sees it: one person, many connections.

use crate::support::{Client, Plume, assert_took, frame};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn the_room_is_told_of_the_first_and_the_last_connection_of_a_person() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let (mut ada, bob) = (Client::login(&server, "Ada"), Client::login(&server, "Bob"));
    let enter = ada.expect_enters("Bob");
    assert_eq!(enter["id"].as_u64().unwrap(), bob.last());
    // One more by a code, one more by the token.
    let by_code = Client::login(&server, "Bob");
    let by_token = Client::resume_of(&server, &bob, None);
    assert_eq!((&by_code.ack["count"], &by_token.ack["count"]), (&2.into(), &2.into()));
    assert_ne!(by_code.token(), bob.token(), "each login has its own session");
    drop(bob);
    drop(by_token);
    ada.expect_nothing();
    drop(by_code);
    ada.expect_leaves("Bob");
}

#[test]
fn the_own_entering_and_leaving_are_told_to_everyone() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let mut ada = Client::login(&server, "Ada");
    let own = ada.welcome.last().unwrap();
    assert_eq!((own["user"]["name"].as_str(), own["event"].as_str()), (Some("Ada"), Some("enter")));
    let mut second = Client::resume_of(&server, &ada, None);
    ada.talk("to both");
    second.expect_line("Ada", "to both");
}

#[test]
fn a_reload_is_not_told() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "1")]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    bob.say("brb");
    let said = ada.expect_line("Bob", "brb");
    for _ in 0..3 {
        let again = Client::resume_of(&server, &bob, said["id"].as_u64());
        bob.close(1001);
        bob = again;
    }
    let token = bob.token();
    drop(bob);
    // Gone for a moment: shorter than the grace.
    thread::sleep(Duration::from_millis(300));
    let mut back = Client::with_token(&server, &token);
    back.enter();
    // Longer than the grace after the first going.
    thread::sleep(Duration::from_millis(1_200));
    back.say("back");
    ada.expect_line("Bob", "back");
    let gone = Instant::now();
    drop(back);
    ada.expect_leaves("Bob");
    assert_took(gone, 900..3_000);
}

#[test]
fn who_comes_back_after_the_leaving_was_told_enters_again() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let [mut ada, bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let token = bob.token();
    drop(bob);
    let left = ada.expect_leaves("Bob");
    let mut back = Client::with_token(&server, &token);
    back.enter();
    assert_eq!(back.ack["names"], serde_json::json!(["Ada", "Bob"]));
    let entered = ada.expect_enters("Bob");
    assert!(entered["id"].as_u64() > left["id"].as_u64());
    assert_eq!(back.welcome.last(), Some(&entered), "the one who comes back is told, too");
}

#[test]
fn whoever_is_gone_in_grace_still_counts() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "3600")]);
    drop(Client::login(&server, "Ada"));
    let bob = Client::login(&server, "Bob");
    assert_eq!(bob.ack["names"], serde_json::json!(["Ada", "Bob"]), "nobody said that Ada left");
}

#[test]
fn leave_ends_all_connections_of_the_session_at_once() {
    let server = Plume::start(&[]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let mut tab = Client::resume_of(&server, &bob, None);
    let token = bob.token();
    bob.log_out();
    tab.expect_close(1000);
    // The grace is 15 s by default, and not for those who say goodbye.
    let begun = Instant::now();
    ada.expect_leaves("Bob");
    assert!(begun.elapsed() < Duration::from_secs(5));
    Client::with_token(&server, &token).expect(4);
    ada.expect_nothing();
}

#[test]
fn leave_spares_the_other_sessions_of_a_person() {
    let server = Plume::start(&[]);
    let [mut ada, mut phone] = Client::login_all(&server, ["Ada", "Bob"]);
    let mut desk = Client::login(&server, "Bob");
    phone.log_out();
    desk.say("still here");
    ada.expect_line("Bob", "still here");
    desk.expect_line("Bob", "still here");
    desk.log_out();
    ada.expect_leaves("Bob");
}

#[test]
fn what_follows_leave_is_not_read() {
    let server = Plume::start(&[]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let leave = frame(0x81, br#"{"type":8}"#);
    let line = frame(0x81, br#"{"type":1,"text":"too late"}"#);
    bob.send_raw(&[leave, line].concat());
    bob.expect_close(1000);
    ada.expect_leaves("Bob");
    ada.expect_nothing();
}
