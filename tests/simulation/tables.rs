//! However many come, every table of the server keeps its limit, and in the end all are empty.

use crate::testkit::codec::message;
use crate::testkit::driver::Driver;
use plume::limits::CODES_MAX;
use plume::server::Input;
use plume::settings::{MailBudget, Settings};
use std::time::Duration;

/// More than any table holds: all of them hold a hundred thousand.
const CROWD: u32 = 100_500;
const _: () = assert!(CROWD as usize > CODES_MAX);

/// A guest, from an address in a network of its own, asks for a code, perhaps comes in with it, and is gone.
fn visit(driver: &mut Driver, n: u32, comes_in: bool) {
    let [_, b, c, d] = n.to_be_bytes();
    let id = driver.open(0, [11 + b, c, d, 1].into());
    if comes_in {
        driver.log_in(id, &format!("n{n}"));
    } else {
        driver.receive(id, &message(&format!(r#"{{"type":0,"text":"n{n}\nn{n}@example.org"}}"#)));
        driver.deliver();
        driver.codes.pop().expect("a hello makes a code");
    }
    driver.handle(Input::Broken(id));
    driver.deliver();
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes half a minute where nothing is optimized")]
fn however_many_come_every_table_keeps_its_limit_and_is_empty_in_the_end() {
    // No email has to wait for another.
    let mail_budget = Some(MailBudget { every: Duration::ZERO, burst: 1 });
    let mut driver = Driver::new(Settings { mail_budget, ..Settings::default() });
    let rows = [
        (true, Duration::from_millis(100), &["names", "sessions"][..]),
        (false, Duration::ZERO, &["codes", "client addresses", "mail addresses"]),
    ];
    for (comes_in, pace, full) in rows {
        for n in 0..CROWD {
            driver.now.moment = driver.now.moment.after(pace);
            visit(&mut driver, n, comes_in);
            if n % 1_000 == 0 || n > CROWD - 10 {
                driver.check_usage();
            }
        }
        for what in full {
            assert_eq!(driver.count(what), 100_000, "{what} are as many as may be");
        }
    }
    driver.now.moment = driver.now.moment.after(Duration::from_hours(25));
    driver.handle(Input::Tick);
    driver.deliver();
    driver.check_empty();
}
