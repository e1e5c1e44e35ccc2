//! Chromium as a child process with a folder of its own; nothing of either is left behind.

use super::devtools::Devtools;
use super::{Page, TempDir, wait_for};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::{env, thread};

/// A running browser without a window. At its end all its pages must have been quiet.
pub(crate) struct Chromium {
    devtools: RefCell<Devtools>,
    _process: Process,
}

/// The browser with the processes of its pages, which share a group; then its folder.
struct Process {
    child: Child,
    folder: TempDir,
}

impl Chromium {
    /// Starts a browser that knows nothing of earlier ones.
    pub(crate) fn launch() -> Self {
        let mut process = Process::start();
        let (port, path) = process.wait_port();
        Self { devtools: RefCell::new(Devtools::connect(port, &path)), _process: process }
    }

    /// A page in a browser of somebody else's: it shares no cookies and no storage with other pages.
    pub(crate) fn page(&self) -> Page<'_> {
        let created = self.call("", "Target.createBrowserContext", &json!({}));
        let context = created["browserContextId"].as_str().expect("a context has an id");
        Page::open_in(self, context)
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

impl Process {
    fn start() -> Self {
        let folder = TempDir::new();
        let program = env::var_os("CHROMIUM").unwrap_or_else(|| "chromium".into());
        let stderr = File::create(folder.path().join(STDERR)).expect("the folder is ours");
        let mut profile = std::ffi::OsString::from("--user-data-dir=");
        profile.push(folder.path());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", BOUND_TO_STDIN]).arg(&program).args(FLAGS).arg(profile).arg("about:blank");
        // Whatever it keeps outside its profile goes into the folder, and so away with it.
        for variable in ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            command.env(variable, folder.path());
        }
        let child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("a shell starts");
        Self { child, folder }
    }

    /// Where it listens, which it writes into its folder as two lines.
    fn wait_port(&mut self) -> (u16, String) {
        let folder = self.folder.path();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let child = &mut self.child;
        let look = || {
            assert!(child.try_wait().is_ok_and(|status| status.is_none()), "it ended: {}", read(STDERR));
            let written = read("DevToolsActivePort");
            let (port, path) = written.split_once('\n')?;
            // The path comes last and has a known length: before that it is not all there.
            (path.len() >= DEVTOOLS_PATH_BYTES).then_some(())?;
            Some((port.parse().ok()?, path.trim().to_owned()))
        };
        wait_for(look, || format!("no address of the browser: {}", read(STDERR)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        // Gone already is as good; and `wait` frees the id only after the whole group was told.
        let _gone = kill_process_group(group, Signal::KILL);
        let _status = self.child.wait();
    }
}

/// A shell that becomes the browser, after it has left somebody behind who ends them all when stdin ends: it
/// does with the test, even where that is interrupted and cleans nothing up. (Behind `&`, stdin would be
/// empty at once.)
const BOUND_TO_STDIN: &str =
    r#"exec 3<&0; { read -r _; kill -KILL 0; } <&3 & exec "$0" "$@" 3<&- </dev/null"#;
/// What the browser says itself, in its folder.
const STDERR: &str = "stderr.txt";
/// `/devtools/browser/` and a UUID.
const DEVTOOLS_PATH_BYTES: usize = 18 + 36;
/// Headless, on a port of its own choice, without a sandbox (which containers do not allow) and without
/// anything that talks to other hosts; and with pages that nobody looks at as lively as the others.
const FLAGS: &[&str] = &[
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
    "--remote-debugging-port=0",
];
