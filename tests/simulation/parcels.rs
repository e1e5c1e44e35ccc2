//! Parcels of earlier versions, which must still thaw.
//!
//! Each release adds its own to `tests/parcels`, when its version is set:
//! `PLUME_PARCELS=tests/parcels cargo test --test simulation parcel_is_written`. Commit the file, and never
//! change it: it is what a server of that version hands to its successor.

use crate::testkit::codec::{message, upgrade};
use crate::testkit::driver::{Driver, small_site};
use crate::testkit::{hostile_log, parcel};
use plume::base::time::{Moment, Now};
use plume::ids::ClientId;
use plume::limits::BACKLOG_BYTES_MIN;
use plume::server::{Input, Server};
use plume::settings::Settings;
use std::path::Path;
use std::time::Duration;

fn settings() -> Settings {
    Settings { backlog_bytes: BACKLOG_BYTES_MIN, ..Settings::default() }
}

/// A small room: Ada and Bob have said lines, Ada is in the middle of one and has sent half a frame of it, a
/// guest waits for a code, and a request and a ping are under way.
fn room() -> Driver {
    let mut driver = Driver::with_site(settings(), small_site(), [7; 32]);
    driver.now = Now { moment: Moment::from_ms(5_000), wall_ms: 1_700_000_000_000 };
    let peer = |last: u8| [203, 0, 113, last].into();
    for (slot, name) in ["ada", "bob"].into_iter().enumerate() {
        let id = driver.open(slot, peer(1));
        driver.log_in(id, name);
        let said = format!(r#"{{"type":1,"text":"hello, I am {name}","ref":"r-{name}"}}"#);
        driver.receive(id, &message(&said));
        driver.deliver();
    }
    let id = |slot| ClientId::new(slot, slot as u64);
    let half = message(r#"{"type":1,"text":"the second half comes later"}"#);
    driver.receive(id(0), &half[..half.len() / 2]);
    driver.open(2, peer(2));
    driver.receive(id(2), &message(r#"{"type":0,"text":"eve\neve@example.org"}"#));
    driver.accept(3, peer(3));
    driver.receive(id(3), b"GET / HTTP/1.1\r\nHost: exa");
    driver.handle(Input::Accepted { id: ClientId::new(5, 9), peer: peer(4) });
    driver.receive(ClientId::new(5, 9), &upgrade(""));
    driver
}

/// With `PLUME_PARCELS` it is written to a folder.
#[test]
fn a_parcel_is_written_and_is_the_same_each_time() {
    let parcel = room().server.freeze();
    assert!(parcel == room().server.freeze());
    if let Ok(folder) = std::env::var("PLUME_PARCELS") {
        let path = Path::new(&folder).join(concat!(env!("CARGO_PKG_VERSION"), ".bin"));
        std::fs::write(path, parcel).expect("the folder is there");
    }
}

#[test]
fn a_parcel_of_each_version_still_thaws_with_its_people_and_their_lines() {
    let parcels = [("0.1.0", include_bytes!("../parcels/0.1.0.bin").as_slice())];
    for (version, parcel) in parcels {
        assert_eq!(Server::version_of(parcel).as_deref(), Some(version));
        let server = Server::thaw(parcel, settings(), small_site(), [0; 32]);
        let mut driver = room();
        driver.server = server.unwrap_or_else(|| panic!("a parcel of {version} does not thaw"));
        driver.now.moment = driver.now.moment.after(Duration::from_secs(1));
        assert_eq!((driver.server.people(), driver.server.lines()), (2, 4), "{version}");
        let slots: Vec<usize> = driver.server.connections().map(ClientId::slot).collect();
        assert_eq!(slots, [0, 1, 2, 3, 5], "{version}");
        let emails: Vec<String> = driver.server.mails_under_way().into_iter().map(|mail| mail.to).collect();
        assert_eq!(emails, ["eve@example.org"], "{version}");
        // The second half of what Ada was saying.
        let half = message(r#"{"type":1,"text":"the second half comes later"}"#);
        let ada = ClientId::new(0, 0);
        driver.receive(ada, &half[half.len() / 2..]);
        driver.deliver();
        assert_eq!(driver.server.lines(), 5, "{version}");
        // A third member is shown all lines.
        let id = driver.open(6, [203, 0, 113, 9].into());
        driver.receive(id, &message(r#"{"type":0,"text":"kim\nkim@example.org"}"#));
        driver.deliver();
        let (_, code) = driver.codes.pop().expect("a hello makes a code");
        driver.receive(id, &message(&format!(r#"{{"type":2,"text":"{code}"}}"#)));
        let shown = String::from_utf8_lossy(&driver.unsent(id)).into_owned();
        for text in
            ["hello, I am ada", "hello, I am bob", "the second half comes later", r#"["ada","bob","kim"]"#]
        {
            assert!(shown.contains(text), "{version}: {text} in {shown}");
        }
    }
}

/// As many variants as most enums have; more cost time.
const SMALL: u8 = 3;

/// A part of what the fuzz target does: each byte is changed, and a small one, which may be the number of a
/// variant, to each other small one.
#[test]
fn whatever_byte_of_a_parcel_is_wrong_the_server_is_none_or_goes_on() {
    let shared = Settings { is_shared: true, ..settings() };
    let of_node = hostile_log::real_parcel(&shared, &small_site());
    for (settings, real) in [(settings(), room().server.freeze()), (shared, of_node)] {
        change_each_byte(&settings, &real);
    }
}

fn change_each_byte(settings: &Settings, real: &[u8]) {
    let site = small_site();
    let (mut thawed, mut refused) = (0, 0);
    for place in 0..real.len() {
        let own = real[place];
        let one = [own.wrapping_add(1), 0, 0xff, own ^ 1][place % 4];
        let small = (0..SMALL).filter(|byte| own < SMALL && *byte != own);
        for byte in small.chain([one]) {
            let mut wrong = real.to_vec();
            wrong[place] = byte;
            let is_thawed = parcel::live(&wrong, settings.clone(), site.clone());
            *(if is_thawed { &mut thawed } else { &mut refused }) += 1;
        }
    }
    assert!(thawed > 100 && refused > 100, "{thawed} and {refused}");
}

#[test]
fn a_successor_may_have_other_settings() {
    let before = room();
    let other = Settings {
        name: "Another name".to_owned(),
        backlog_bytes: 2 * BACKLOG_BYTES_MIN,
        connections_max: 1,
        connections_per_address: 1,
        messages_per_second: 1,
        ping_after: Duration::from_secs(1),
        ..Settings::default()
    };
    let server = Server::thaw(&before.server.freeze(), other, small_site(), [0; 32]);
    let mut after = room();
    after.server = server.expect("a parcel thaws whatever the settings are");
    assert_eq!((after.server.people(), after.server.lines()), (2, 4));
    assert!(after.server.connections().eq(before.server.connections()), "nobody is closed");
    // Those who are there are pinged by the new setting, and are the last until there is room.
    after.deliver();
    assert!(after.server.next_deadline() <= Some(after.now.moment.after(Duration::from_secs(1))));
    after.accept(9, [203, 0, 113, 77].into());
    assert_eq!(after.count("refused connections"), 1);
}

/// What an idle member takes in a parcel, with a name, a session and a client address of its own.
#[test]
fn an_idle_member_takes_few_bytes_of_a_parcel() {
    let mut driver = Driver::with_site(settings(), small_site(), [7; 32]);
    let mut sizes = Vec::new();
    for slot in 0..=MEMBERS {
        if slot.is_multiple_of(MEMBERS / 2) {
            sizes.push(driver.server.freeze().len());
        }
        let high = u8::try_from(slot / 250).expect("few members");
        let id = driver.open(slot, [10, 1, high, u8::try_from(slot % 250).expect("below 250")].into());
        driver.log_in(id, &format!("member{slot}"));
    }
    // The line that says who has entered is in the ring.
    let each = (sizes[2] - sizes[1]) / (MEMBERS / 2);
    println!("{each} bytes for each member, with the line that it has entered");
    assert!(each < MEMBER_BYTES_MAX, "{each} bytes");
}

/// As many as a test has time for: each is told of all who come after it.
const MEMBERS: usize = 200;
/// About as much as a member takes in memory.
const MEMBER_BYTES_MAX: usize = 1_000;
