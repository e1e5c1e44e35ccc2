//! What is measured: Plume or the floor, as a child process with a core of its own.

use crate::frames::{Line, NAME};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plume,
    Floor,
}

impl Kind {
    /// A line in the form in which this one takes it.
    pub(crate) fn line(self) -> Line {
        match self {
            Self::Plume => Line::for_plume(),
            Self::Floor => Line::for_floor(),
        }
    }
}

/// A running child. It is killed when it goes out of scope.
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    /// Time from its start until it listened.
    pub(crate) started_in: Duration,
    pub(crate) child: Child,
    log: Receiver<String>,
}

impl Target {
    /// Starts it and waits until it listens. The floor's page gets `page_bytes` bytes.
    pub(crate) fn start(kind: Kind, cores: Option<Cores>, page_bytes: usize) -> Self {
        Self::spawn(
            kind,
            match kind {
                Kind::Plume => plume(),
                Kind::Floor => floor(page_bytes),
            },
            cores,
        )
    }

    /// Starts Plume with a log that also says of moves.
    pub(crate) fn start_talkative(cores: Option<Cores>) -> Self {
        let mut command = plume();
        command.env("PLUME_LOG", "info");
        Self::spawn(Kind::Plume, command, cores)
    }

    fn spawn(kind: Kind, mut command: Command, cores: Option<Cores>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().expect("the binary starts");
        if let Some(cores) = cores {
            pin(Some(Pid::from_child(&child)), cores.target);
        }
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let (sender, log) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        let line = wait_line(&log, "listening on http://");
        let started_in = start.elapsed();
        let (_, address) = line.split_once("http://").expect("the line was asked for");
        let address = address.trim().parse().expect("an address follows http://");
        Self { kind, address, started_in, child, log }
    }

    /// The login code that was printed for the one who says all lines.
    pub(crate) fn code(&self) -> String {
        let line = wait_line(&self.log, &format!("login code for @{NAME}: "));
        line.rsplit(' ').next().unwrap_or_default().to_owned()
    }

    /// The next line of its log with this part.
    pub(crate) fn wait_line(&self, part: &str) -> String {
        wait_line(&self.log, part)
    }

    /// Time that it has spent on its core, the kernel's work for it included.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).unwrap_or_default();
        let first = stat.split(' ').next().unwrap_or_default();
        Duration::from_nanos(first.parse().unwrap_or(0))
    }

    /// Memory that is resident now, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or(0) * 1_024
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended by itself, which whoever measured it has noticed.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn plume() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plume"));
    // One line of log for each of 10,000 logins would be work for the load's core.
    command
        .env_clear()
        .env("PLUME_LISTEN", "127.0.0.1:0")
        .env("PLUME_RATE", "1000000")
        .env("PLUME_LOG", "warn");
    command
}

fn floor(page_bytes: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg(FLOOR_ARGUMENT).arg(page_bytes.to_string());
    command
}

fn wait_line(log: &Receiver<String>, part: &str) -> String {
    loop {
        let line = log.recv_timeout(PATIENCE).expect("the child says what is awaited");
        if line.contains(part) {
            return line;
        }
    }
}

/// The cores of the server and of the load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    target: usize,
    load: usize,
}

impl Cores {
    /// The first and the last that this process may use. `None`: there is only one, or the system does not
    /// tell.
    pub(crate) fn choose() -> Option<Self> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (target, load) = (cores.next()?, cores.next_back()?);
        Some(Self { target, load })
    }

    /// Keeps this thread on the core of the load.
    pub(crate) fn pin_load(self) {
        pin(None, self.load);
    }
}

fn pin(process: Option<Pid>, core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    // Without it the figures are less steady, and no less true.
    let _refused = sched_setaffinity(process, &cores);
}

/// How this program is asked to be the floor.
pub(crate) const FLOOR_ARGUMENT: &str = "--floor";
const PATIENCE: Duration = Duration::from_secs(10);
