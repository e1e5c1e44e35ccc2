//! A healthy member who looks on: it says a line, hears it, and says the next one, until it is told to stop.

use crate::support::{Client, Event, PATIENCE, Plume};
use rustix::process::Signal;
use serde_json::Value;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Somebody whose lines have to be heard, whatever happens around.
pub(crate) struct Onlooker {
    stop: Sender<()>,
    thread: JoinHandle<Client>,
}

impl Onlooker {
    /// Comes in, and begins to talk.
    pub(crate) fn join(server: &Plume) -> Self {
        Self::with(Client::login(server, "Onlooker"))
    }

    /// The same with somebody who is in already.
    pub(crate) fn with(mut client: Client) -> Self {
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            for n in 0.. {
                let begun = Instant::now();
                let text = format!("all is well {n}");
                client.say(&text);
                hear(&mut client, &text);
                let took = begun.elapsed();
                assert!(took < HEARD_WITHIN, "line {n} was heard after {took:?}");
                if stopped.recv_timeout(PACE) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            client
        });
        Self { stop, thread }
    }

    /// Hears the last line, and gives the member back. Panics if a line was not heard in time.
    pub(crate) fn finish(self) -> Client {
        // It is gone already where a line was not heard.
        let _gone = self.stop.send(());
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Waits for a line with this text, whatever else is said meanwhile.
pub(crate) fn hear(client: &mut Client, text: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "{text:.40} was not heard within {PATIENCE:?}");
        let message = client.message();
        if message["type"] == 1 && message["text"] == text {
            return message;
        }
    }
}

/// Waits for the close, whatever is said before it; gives its code.
pub(crate) fn hear_close(client: &mut Client) -> Option<u16> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no close within {PATIENCE:?}");
        match client.next() {
            Event::Json(_) | Event::Ping | Event::Pong(_) => {}
            Event::Close(code) => return code,
            Event::End(error) => panic!("{error} instead of a close"),
        }
    }
}

/// How long a line may take to be heard by the one who says it.
pub(crate) const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// Between two lines: within the rate that everyone has.
const PACE: Duration = Duration::from_millis(150);

/// These tests would show nothing if a server that stands still went unnoticed.
#[test]
#[should_panic(expected = "was heard after")]
fn an_onlooker_notices_a_server_that_stands_still() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    server.signal(Signal::STOP);
    thread::sleep(HEARD_WITHIN + PACE * 3);
    server.signal(Signal::CONT);
    onlooker.finish();
}
