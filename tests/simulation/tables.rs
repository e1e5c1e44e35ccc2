//! However many come, every table of the server keeps its limit, and in the end all are empty.

use crate::frames::frame;
use plume::base::time::{Moment, Now};
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::limits::CODES_MAX;
use plume::server::{Input, Output, Server};
use plume::settings::{MailBudget, Settings};
use std::time::Duration;

/// More than any table holds: all of them hold a hundred thousand.
const CROWD: u32 = 100_500;
const _: () = assert!(CROWD as usize > CODES_MAX);

struct House {
    server: Server,
    now: Moment,
    serial: u64,
    codes: Vec<String>,
}

impl House {
    fn new() -> Self {
        // No mail has to wait for another.
        let mail_budget = Some(MailBudget { every: Duration::ZERO, burst: 1 });
        let settings = Settings { mail_budget, ..Settings::default() };
        let site = Site::new(Assets::built_in(&settings.name), Vec::new());
        let server = Server::new(settings, site, [0; 32]);
        Self { server, now: Moment::from_ms(0), serial: 0, codes: Vec::new() }
    }

    /// Somebody new, from an address of their own, asks for a code, perhaps comes in with it, and is gone.
    fn visit(&mut self, n: u32, comes_in: bool) {
        const UPGRADE: &[u8] =
            b"GET /connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let id = ClientId::new(0, self.serial);
        self.serial += 1;
        // Each in a network of its own.
        let [_, b, c, d] = n.to_be_bytes();
        self.tell(Input::Accepted { id, peer: [11 + b, c, d, 1].into() });
        self.tell(Input::Received { id, bytes: UPGRADE });
        let hello = format!(r#"{{"type":0,"text":"n{n}\nn{n}@example.org"}}"#);
        self.tell(Input::Received { id, bytes: &frame(0x81, hello.as_bytes(), [0; 4]) });
        let code = self.codes.pop().expect("a hello makes a code");
        if comes_in {
            let auth = format!(r#"{{"type":2,"text":"{code}"}}"#);
            self.tell(Input::Received { id, bytes: &frame(0x81, auth.as_bytes(), [0; 4]) });
        }
        self.tell(Input::Broken(id));
    }

    fn tell(&mut self, input: Input<'_>) {
        let now = Now { moment: self.now, wall_ms: 0 };
        self.server.handle(now, input);
        while let Some(output) = self.server.poll() {
            match output {
                Output::Write(id) => {
                    let bytes = self.server.unsent(id).iter().map(|slice| slice.len()).sum();
                    self.server.handle(now, Input::Wrote { id, bytes });
                }
                Output::Mail(mail) => {
                    self.server.handle(now, Input::MailDone { mail: mail.id, result: Ok(()) });
                    self.codes.push(mail.code);
                }
                Output::Read(_) | Output::LogEvent(_) | Output::Close(_) | Output::EndWriting(_) => {}
                Output::Stopped => panic!("nobody has stopped it"),
            }
        }
    }

    fn count(&self, what: &str) -> usize {
        self.server.usage().iter().find(|count| count.what == what).expect("it is counted").now
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes half a minute where nothing is optimized")]
fn however_many_come_every_table_keeps_its_limit_and_is_empty_in_the_end() {
    let mut house = House::new();
    let rows = [
        (true, Duration::from_millis(100), &["names", "sessions"][..]),
        (false, Duration::ZERO, &["codes", "client addresses", "mail addresses"]),
    ];
    for (comes_in, pace, full) in rows {
        for n in 0..CROWD {
            house.now = house.now.after(pace);
            house.visit(n, comes_in);
            if n % 1_000 == 0 || n > CROWD - 10 {
                for count in house.server.usage() {
                    assert!(count.now <= count.most, "after {n}: {count:?}");
                }
            }
        }
        for what in full {
            assert_eq!(house.count(what), 100_000, "{what} are as many as may be");
        }
    }
    house.now = house.now.after(Duration::from_hours(25));
    house.tell(Input::Tick);
    for count in house.server.usage() {
        assert_eq!(count.now, 0, "nothing is left: {count:?}");
    }
    assert_eq!(house.server.next_deadline(), None);
}
