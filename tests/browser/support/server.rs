//! The built binary as a child process, and the codes that it prints.

use super::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

/// A running server. It is killed when it goes out of scope.
pub(crate) struct Plume {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    /// The newest code of each name that was read and not taken.
    codes: HashMap<String, String>,
}

impl Plume {
    /// Starts a server on a free port and waits until it listens.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_on("127.0.0.1:0", variables)
    }

    fn start_on(address: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_plume"))
            .env_clear()
            .env("PLUME_LISTEN", address)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let lines = lines_of(child.stderr.take().expect("stderr is a pipe"));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut plume = Self { child, address, lines, codes: HashMap::new() };
        let listening = plume.wait_after("listening on http://");
        plume.address = listening.parse().expect("an address follows http://");
        plume
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        url_of(self.address)
    }

    /// The next login code for this name.
    pub(crate) fn code_for(&mut self, name: &str) -> String {
        while !self.codes.contains_key(name) {
            let rest = self.wait_after("login code for @");
            let (whom, code) = rest.split_once(": ").expect("a code follows the name");
            self.codes.insert(whom.to_owned(), code.to_owned());
        }
        self.codes.remove(name).expect("it was just there")
    }

    /// Ends the server at once, and without a word to anybody.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the child is ours");
        self.child.wait().expect("the child is ours");
    }

    /// Asks the server to stop, as a service manager does, and waits for its end.
    pub(crate) fn terminate(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        kill_process(pid, Signal::TERM).expect("the process is ours");
        self.child.wait().expect("the child is ours");
    }

    /// A new server in the place of this one, which must have ended.
    pub(crate) fn start_again(&mut self) {
        *self = Self::start_on(&self.address.to_string(), &[]);
    }

    /// Waits for a line that begins so, and gives what follows.
    fn wait_after(&mut self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("the server wrote no line with {start:?}"));
            if let Some((_, rest)) = line.split_once(start) {
                return rest.trim().to_owned();
            }
        }
    }
}

impl Drop for Plume {
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing to kill.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The address of the page on a server or a relay.
pub(crate) fn url_of(address: SocketAddr) -> String {
    format!("http://{address}/")
}

/// Reads all the time, for a full pipe would cost lines of the log.
fn lines_of(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines) = channel();
    // A test that has ended reads no more lines.
    thread::spawn(move || {
        BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}
