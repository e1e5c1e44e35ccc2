//! What the tests stand on: the running server, a browser, the pages in it, people who use them, bots that
//! need none, and a line between that can be cut. Every wait has a deadline.

mod bot;
mod child;
mod chromium;
mod devtools;
mod page;
mod person;
mod relay;
mod tab;
mod webdriver;

pub(crate) use crate::harness::{Plume, address_of};
pub(crate) use bot::Bot;
pub(crate) use chromium::Chromium;
pub(crate) use page::{Driver, Key, Page};
pub(crate) use person::Person;
pub(crate) use relay::{Relay, Way};
pub(crate) use tab::Tab;
pub(crate) use webdriver::{Engine, WebDriver};

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

/// What stands in the field in which one writes, in JavaScript.
pub(crate) const FIELD: &str = "document.querySelector('#text').value";
/// How long a test waits for what must come: a browser on a busy machine takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what gives no sign when it changes.
const GLANCE: Duration = Duration::from_millis(10);

/// A server, and a browser that knows nothing of earlier ones.
pub(crate) fn open(variables: &[(&str, &str)]) -> (Plume, Chromium) {
    (Plume::start(variables), Chromium::launch())
}

/// The same with a line between that can be cut, and that may change each request head.
pub(crate) fn open_behind(rewrite: fn(&mut Vec<u8>)) -> (Plume, Relay, Chromium) {
    let server = Plume::start(&[]);
    let relay = Relay::to(server.address(), rewrite);
    (server, relay, Chromium::launch())
}

/// A new server in the place of one that has ended.
pub(crate) fn start_again(server: &mut Plume) {
    *server = Plume::start(&[("PLUME_LISTEN", &server.address().to_string())]);
}

/// Looks again and again until there is an answer; without one in time, says what `excuse` tells.
#[track_caller]
pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>, excuse: impl FnOnce() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {}", excuse());
        thread::sleep(GLANCE);
    }
}

/// A text as it may stand in JavaScript, quoted: JSON strings are a part of that language.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A folder of its own, gone when it goes out of scope. Its path is short, for Chromium puts sockets into it,
/// whose paths have a limit of about 100 bytes.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let serial = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("plume-browser-{}-{serial}", process::id()));
        fs::create_dir(&path).expect("no other process has this id");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // Processes of a killed browser may still be writing for a moment. What cannot be removed is no
        // test's failure.
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir_all(&self.0).is_err() && self.0.exists() && Instant::now() < deadline {
            thread::sleep(GLANCE);
        }
    }
}
