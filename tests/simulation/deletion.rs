//! A line belongs to the user who said it, not to the name under which it was said.

use crate::testkit::codec::message;
use crate::testkit::driver::Driver;
use plume::ids::ClientId;
use plume::limits::SESSION_TTL;
use plume::server::Input;
use plume::settings::Settings;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Logs in as Bob with this address.
fn log_in(driver: &mut Driver, slot: usize, email: &str) -> ClientId {
    let id = driver.open(slot, HERE);
    driver.receive(id, &message(&format!(r#"{{"type":0,"text":"Bob\n{email}"}}"#)));
    driver.deliver();
    let (_, code) = driver.codes.pop().expect("a hello makes a code");
    driver.receive(id, &message(&format!(r#"{{"type":2,"text":"{code}"}}"#)));
    driver.deliver();
    id
}

/// Says a text. Gives what the server sends to the client because of it.
fn say(driver: &mut Driver, id: ClientId, text: &str) -> String {
    driver.receive(id, &message(&format!(r#"{{"type":1,"text":"{text}"}}"#)));
    let answer = String::from_utf8_lossy(&driver.server.unsent(id).concat()).into_owned();
    driver.deliver();
    answer
}

#[test]
fn who_takes_over_a_name_does_not_take_over_its_lines() {
    let mut driver = Driver::new(Settings { messages_per_second: 0, ..Settings::default() });
    let first = log_in(&mut driver, 0, "bob@example.org");
    assert!(say(&mut driver, first, "mine").contains(r#""id":2,"#));
    driver.handle(Input::Broken(first));
    driver.deliver();
    driver.now.moment = driver.now.moment.after(SESSION_TTL + Duration::from_mins(1));
    driver.handle(Input::Tick);
    driver.deliver();
    let second = log_in(&mut driver, 1, "other@example.org");
    for (command, reason) in [("/delete #2", "not-moderator"), ("/delete", "no-such-line")] {
        let answer = say(&mut driver, second, command);
        assert!(answer.contains(&format!(r#""reason":"{reason}""#)), "{command}: {answer}");
    }
    assert!(say(&mut driver, second, "own").contains(r#""text":"own""#));
    assert!(say(&mut driver, second, "/delete 2").contains("took back a line"), "of two that show the name");
}
