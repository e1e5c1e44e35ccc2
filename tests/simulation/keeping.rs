//! What outlives the process, as a client and a moderator see it.

use crate::testkit::codec::message;
use crate::testkit::driver::{Driver, moderated_by};
use plume::ids::ClientId;
use plume::server::Input;
use plume::settings::Settings;
use std::collections::BTreeMap;

fn settings() -> Settings {
    moderated_by("ada@example.org")
}

fn open(driver: &mut Driver, slot: u8) -> ClientId {
    driver.open(slot.into(), [203, 0, 113, slot].into())
}

/// What a client is sent now.
fn received(driver: &mut Driver, id: ClientId) -> String {
    let unsent = String::from_utf8_lossy(&driver.server.unsent(id).concat()).into_owned();
    driver.deliver();
    unsent
}

#[test]
fn moderators_learn_once_that_nothing_is_saved_and_members_do_not() {
    let mut driver = Driver::new(settings());
    driver.restore(BTreeMap::new());
    let (ada, bob) = (open(&mut driver, 1), open(&mut driver, 2));
    driver.log_in(ada, "ada");
    driver.log_in(bob, "bob");
    for (input, is_told) in [
        (Input::KeepFailed, true),
        (Input::KeepFailed, false),
        (Input::KeptAgain, false),
        (Input::KeepFailed, true),
    ] {
        driver.handle(input);
        assert_eq!(received(&mut driver, ada).contains("cannot be saved"), is_told, "{input:?}");
        assert_eq!(received(&mut driver, bob), "", "{input:?}");
    }
}

#[test]
fn a_page_comes_in_again_after_a_crash_without_a_code_and_is_told_of_the_gap() {
    let mut driver = Driver::new(settings());
    driver.restore(BTreeMap::new());
    let bob = open(&mut driver, 1);
    let token = driver.log_in(bob, "bob");
    for _ in 0..9 {
        driver.receive(bob, &message(r#"{"type":1,"text":"hello"}"#));
        driver.deliver();
    }
    let mut next = Driver::new(settings());
    next.restore(driver.kept);
    let bob = open(&mut next, 1);
    let resume = format!(r#"{{"type":7,"text":"{token}","run":"0123456789abcdef","after":9}}"#);
    next.receive(bob, &message(&resume));
    let answer = received(&mut next, bob);
    for expected in [r#""type":3"#, r#""name":"bob""#, r#""reason":"gap""#, "entered chat"] {
        assert!(answer.contains(expected), "{expected} in {answer}");
    }
    assert!(next.codes.is_empty() && !answer.contains("hello"), "no code, and no line of the former process");
}
