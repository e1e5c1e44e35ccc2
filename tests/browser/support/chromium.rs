//! Chromium over the devtools protocol.

use super::child::Process;
use super::devtools::Devtools;
use super::{Page, Tab, TempDir};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::ffi::OsString;
use std::num::NonZero;
use std::sync::{Condvar, Mutex, PoisonError};
use std::{env, fs, thread};

/// A running browser without a window. At its end all its pages must have been quiet.
pub(crate) struct Chromium {
    devtools: RefCell<Devtools>,
    _process: Process,
    _place: Place,
}

impl Chromium {
    /// Starts a browser that knows nothing of earlier ones.
    pub(crate) fn launch() -> Self {
        let place = Place::take();
        let folder = TempDir::new();
        let program = env::var_os("CHROMIUM").unwrap_or_else(|| "chromium".into());
        let mut profile = OsString::from("--user-data-dir=");
        profile.push(folder.path());
        let mut arguments: Vec<OsString> = FLAGS.iter().map(OsString::from).collect();
        arguments.extend(["--remote-debugging-port=0".into(), profile, "about:blank".into()]);
        let mut process = Process::start(&program, arguments, &[], folder);
        // Where it listens, which it writes into its folder as two lines.
        let address = |process: &Process| {
            let written = fs::read_to_string(process.folder().join("DevToolsActivePort")).ok()?;
            let (port, path) = written.split_once('\n')?;
            // The path comes last and has a known length: before that it is not all there.
            (path.len() >= DEVTOOLS_PATH_BYTES).then_some(())?;
            Some((port.parse().ok()?, path.trim().to_owned()))
        };
        let (port, path) = process.wait_for(address, "address of the browser");
        Self { devtools: RefCell::new(Devtools::connect(port, &path)), _process: process, _place: place }
    }

    /// A page in a browser of somebody else's: it shares no cookies and no storage with other pages.
    pub(crate) fn page(&self) -> Page<Tab<'_>> {
        let created = self.call("", "Target.createBrowserContext", &json!({}));
        let context = created["browserContextId"].as_str().expect("a context has an id");
        Page { driver: Tab::open_in(self, context) }
    }

    /// Calls a method, which must succeed.
    #[track_caller]
    pub(crate) fn call(&self, session: &str, method: &str, params: &Value) -> Value {
        self.try_call(session, method, params).unwrap_or_else(|error| panic!("{error} in {params}"))
    }

    pub(crate) fn try_call(&self, session: &str, method: &str, params: &Value) -> Result<Value, String> {
        self.devtools.borrow_mut().call(session, method, params)
    }

    /// What pages have complained about, for a failing test to print.
    pub(crate) fn complaints(&self) -> String {
        self.devtools.borrow().complaints().join("\n")
    }

    /// The same for a test that provoked them: they are forgotten.
    pub(crate) fn take_complaints(&self) -> Vec<String> {
        self.devtools.borrow_mut().take_complaints()
    }

    /// Says that the server could not be reached until now, and that the browser was right to complain about
    /// it.
    pub(crate) fn forgive_network(&self) {
        self.devtools.borrow_mut().forgive_network();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if !thread::panicking() {
            // Any call: what was said before its answer has then been heard.
            self.call("", "Browser.getVersion", &json!({}));
            let complaints = self.complaints();
            assert!(complaints.is_empty(), "the console is not silent:\n{complaints}");
        }
    }
}

/// A place among the browsers that run at once: one for each core, however many tests do. A page that waits
/// for a core looks as if it hung.
struct Place;

impl Place {
    fn take() -> Self {
        let places = thread::available_parallelism().map_or(1, NonZero::get);
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = FREED.wait_while(taken, |taken| *taken >= places);
        *taken.unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// `/devtools/browser/` and a UUID.
const DEVTOOLS_PATH_BYTES: usize = 18 + 36;
/// Headless, without a sandbox (which containers do not allow) and without
/// anything that talks to other hosts; and with pages that nobody looks at as lively as the others.
pub(super) const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--mute-audio",
];
