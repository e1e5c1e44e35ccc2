//! The built binary as a child process, its log, and its end.

use super::{PATIENCE, left_until, may_retry, wait_for};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

/// A running server. It is killed when it goes out of scope.
pub(crate) struct Plume {
    pub(crate) child: Child,
    address: SocketAddr,
    /// The Unix socket that it listens on instead of an address.
    pub(super) socket: Option<PathBuf>,
    stderr: Arc<Stderr>,
    /// How many codes of each name a test has taken from the log.
    codes_taken: Mutex<HashMap<String, usize>>,
}

/// What happens to what the server writes to stderr.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StderrMode {
    /// It is read and kept.
    Read,
    /// After the next line nobody reads it any more, and the pipe fills.
    Stall,
    /// After the next line the pipe is closed.
    Close,
}

/// What the log says after a move.
const MOVED: &str = "event=moved ";

/// The lines of stderr as they come.
struct Stderr {
    state: Mutex<StderrState>,
    changed: Condvar,
}

struct StderrState {
    text: String,
    mode: StderrMode,
    /// Nobody reads any more: the pipe has ended, or was left.
    ended: bool,
    /// The pipe that nobody reads, kept open.
    stalled: Option<ChildStderr>,
}

impl Plume {
    /// Starts a server on a free port, with an empty environment but for `variables`, and waits until it
    /// listens.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_with(variables, &[])
    }

    /// The same with flags.
    pub(crate) fn start_with(variables: &[(&str, &str)], flags: &[&str]) -> Self {
        let mut command = command(variables);
        Self::spawn(command.args(flags))
    }

    /// The same after `preparation` in a shell, for what only a parent process can set.
    pub(crate) fn start_after(preparation: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{preparation}; exec \"$0\"")).arg(env!("CARGO_BIN_EXE_plume"));
        Self::spawn(equip(&mut command, variables))
    }

    /// The same with a copy of the binary at this path.
    pub(crate) fn start_program(program: &Path, variables: &[(&str, &str)]) -> Self {
        Self::spawn(equip(&mut Command::new(program), variables))
    }

    /// The same with the parcel of a server that has ended, and perhaps a listening socket, as a service
    /// manager passes them.
    pub(crate) fn start_with_parcel(
        parcel: OwnedFd,
        listener: Option<OwnedFd>,
        variables: &[(&str, &str)],
    ) -> Self {
        let names = if listener.is_some() { "parcel:plume.socket" } else { "parcel" };
        let variables = [variables, &[("LISTEN_FDNAMES", names)]].concat();
        let mut command = passing(":", parcel, 1 + usize::from(listener.is_some()), &variables);
        if let Some(listener) = listener {
            command.stdout(listener);
        }
        Self::spawn(&mut command)
    }

    /// The same after `preparation` in a shell.
    pub(crate) fn start_with_parcel_after(
        preparation: &str,
        parcel: OwnedFd,
        variables: &[(&str, &str)],
    ) -> Self {
        let variables = [variables, &[("LISTEN_FDNAMES", "parcel")]].concat();
        Self::spawn(&mut passing(preparation, parcel, 1, &variables))
    }

    /// The same with a socket that a service manager passes.
    pub(crate) fn start_with_socket(socket: impl Into<OwnedFd>, variables: &[(&str, &str)]) -> Self {
        Self::spawn(&mut passing(":", socket.into(), 1, variables))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary starts");
        let stderr = Stderr::follow(child.stderr.take().expect("stderr is a pipe"));
        let mut plume = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            socket: None,
            stderr,
            codes_taken: Mutex::default(),
        };
        let line = plume.wait_line("listening on ");
        let (_, place) = line.split_once("listening on ").expect("just seen");
        match place.split_once("http://") {
            Some((_, address)) => plume.address = address.trim().parse().expect("an address follows http://"),
            None => plume.socket = place.strip_prefix("unix:").map(PathBuf::from),
        }
        plume
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Where its metrics are, as the first line of the log says.
    pub(crate) fn metrics_address(&self) -> SocketAddr {
        let line = self.wait_line("listening on ");
        let (_, metrics) = line.split_once(" metrics=").expect("the line says where metrics are");
        metrics.split([';', ' ']).next().and_then(|address| address.parse().ok()).expect("it has metrics")
    }

    /// What it wrote to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.lock().text.clone()
    }

    /// Waits for a line of the log that contains `part`.
    pub(crate) fn wait_line(&self, part: &str) -> String {
        self.wait_nth_line(part, 0)
    }

    /// The next login code printed for `name` that this was not asked for before.
    pub(crate) fn code_for(&self, name: &str) -> String {
        let mut taken = self.codes_taken.lock().expect("no test thread panicked");
        let count = taken.entry(name.to_owned()).or_default();
        let start = format!("login code for @{name}: ");
        let line = self.wait_nth_line(&start, *count);
        *count += 1;
        line.strip_prefix(&start).expect("the line begins so, exactly").to_owned()
    }

    fn wait_nth_line(&self, part: &str, n: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.stderr.lock();
        loop {
            // Only complete lines count: the last piece may still be growing.
            let complete = state.text.rfind('\n').map_or("", |end| &state.text[..end]);
            if let Some(line) = complete.lines().filter(|line| line.contains(part)).nth(n) {
                return line.to_owned();
            }
            let given_up = state.ended || Instant::now() >= deadline;
            assert!(!given_up, "no line {n} with {part:?} in the log:\n{}", state.text);
            (state, _) = self
                .stderr
                .changed
                .wait_timeout(state, left_until(deadline))
                .expect("the reader does not panic");
        }
    }

    /// Changes what happens to stderr, from the next line on.
    pub(crate) fn set_stderr(&self, mode: StderrMode) {
        self.stderr.lock().mode = mode;
    }

    /// Waits until nobody reads stderr any more.
    pub(crate) fn wait_stderr_left(&self) {
        wait_for("end of the reading", || self.stderr.lock().ended.then_some(()));
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is ours");
    }

    /// Lets the server open so many files and no more; `None`: as many as it may.
    pub(crate) fn limit_files(&self, files: Option<usize>) {
        let maximum = getrlimit(Resource::Nofile).maximum;
        self.limit(Resource::Nofile, files.map(|files| files as u64).or(maximum), maximum);
    }

    /// Sets a limit of the process (setrlimit(2)).
    pub(crate) fn limit(&self, resource: Resource, current: Option<u64>, maximum: Option<u64>) {
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), resource, Rlimit { current, maximum }).expect("the process is ours");
    }

    /// Moves the server to the next program, in the same process, and waits until it goes on there.
    pub(crate) fn move_on(&self) -> String {
        let before = self.log().matches(MOVED).count();
        self.signal(Signal::USR2);
        self.wait_nth_line(MOVED, before)
    }

    /// Ends the server at once, and without a word to anybody.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait_exit();
    }

    /// Waits for the end of the process.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        wait_for("end of the process", || self.child.try_wait().expect("the child is ours"))
    }

    /// Asks the server to stop, as a service manager does, and waits for its end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_exit()
    }
}

impl Drop for Plume {
    #[expect(clippy::print_stderr, reason = "the test harness shows it beside the panic")]
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing to kill.
        let _gone = self.child.kill();
        let _status = self.child.wait();
        if thread::panicking() {
            let log = self.stderr.state.lock().map(|state| state.text.clone()).unwrap_or_default();
            eprintln!("--- stderr of the server ---\n{log}---");
        }
    }
}

impl Stderr {
    fn follow(pipe: ChildStderr) -> Arc<Self> {
        let state = StderrState { text: String::new(), mode: StderrMode::Read, ended: false, stalled: None };
        let stderr = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() });
        let shared = Arc::clone(&stderr);
        thread::spawn(move || shared.read_all(pipe));
        stderr
    }

    fn read_all(&self, mut pipe: ChildStderr) {
        let mut chunk = [0; 4096];
        loop {
            let count = match pipe.read(&mut chunk) {
                Err(error) if may_retry(&error) => continue,
                result => result.unwrap_or(0),
            };
            let mut state = self.lock();
            state.text.push_str(&String::from_utf8_lossy(&chunk[..count]));
            state.ended = count == 0 || state.mode != StderrMode::Read;
            self.changed.notify_all();
            if state.ended {
                state.stalled = (state.mode == StderrMode::Stall).then_some(pipe);
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, StderrState> {
        self.state.lock().expect("nobody panics while holding the log")
    }
}

/// How a process has ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary where it must end by itself: with a wrong setting, or a flag that only prints.
pub(crate) fn refused(variables: &[(&str, &str)], flags: &[&str]) -> Ended {
    end_of(command(variables).args(flags))
}

/// A new token with its entry for `PLUME_BOTS`, as the program prints them.
pub(crate) fn new_bot(name: &str) -> (String, String) {
    let ended = refused(&[], &["--new-bot", name]);
    let part = |label: &str| {
        let line = ended.stdout.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label} in {ended:?}")).to_owned()
    };
    (part("token: "), part("entry: "))
}

/// The same with a socket that is passed so many times.
pub(crate) fn refused_with_sockets(
    socket: impl Into<OwnedFd>,
    times: usize,
    variables: &[(&str, &str)],
) -> Ended {
    end_of(&mut passing(":", socket.into(), times, variables))
}

fn end_of(command: &mut Command) -> Ended {
    let mut child = command.spawn().expect("the binary starts");
    // The doctor makes a dozen connections, one after the other.
    let deadline = Instant::now() + 3 * PATIENCE;
    while child.try_wait().expect("the child is ours").is_none() {
        if Instant::now() >= deadline {
            child.kill().expect("the child is ours");
            panic!("it runs on with {command:?}: {:?}", child.wait_with_output());
        }
        thread::sleep(std::time::Duration::from_millis(2));
    }
    let output = child.wait_with_output().expect("its output fits into the pipes");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("it writes text"));
    Ended { code: output.status.code(), stdout, stderr }
}

/// Passes a socket as descriptors from 3 on (`sd_listen_fds(3)`), by way of stdin and a shell, which runs
/// `preparation` first. The second descriptor is stdout, if that is a socket.
fn passing(preparation: &str, socket: OwnedFd, times: usize, variables: &[(&str, &str)]) -> Command {
    let script = format!(
        "{preparation}; exec 3<&0 4<&0 </dev/null; [ -S /dev/stdout ] && exec 4<&1 >/dev/null; \
         export LISTEN_PID=$$; exec \"$0\""
    );
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_plume"));
    equip(&mut command, variables).env("LISTEN_FDS", times.to_string()).stdin(socket);
    command
}

fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plume"));
    equip(&mut command, variables);
    command
}

fn equip<'a>(command: &'a mut Command, variables: &[(&str, &str)]) -> &'a mut Command {
    command
        .env_clear()
        .env("PLUME_LISTEN", "127.0.0.1:0")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}
