//! An engine as a child process, in a folder of its own that is removed with it.

use crate::support::{Folder, free_address};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A running `redis-server` or `valkey-server`, on a Unix socket. It is killed when it goes out of scope.
pub(crate) struct RedisServer {
    program: &'static str,
    options: Vec<String>,
    child: Child,
    folder: Folder,
}

/// The programs that this machine has: `redis-server`, which must be there, and `valkey-server`.
pub(crate) fn programs() -> impl Iterator<Item = &'static str> {
    let valkey = is_installed("valkey-server").then_some("valkey-server");
    ["redis-server"].into_iter().chain(valkey)
}

impl RedisServer {
    /// Starts `redis-server`, and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_with("redis-server", &[])
    }

    /// Starts a program with further options, such as `--requirepass` and a word. It listens on its Unix
    /// socket, and on TCP only if the options say so.
    pub(crate) fn start_with(program: &'static str, options: &[&str]) -> Self {
        let folder = Folder::new("redis");
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let child = spawn(program, &options, folder.path());
        let mut server = Self { program, options, child, folder };
        server.wait();
        server
    }

    /// Starts `redis-server` on a free port of the loopback as well, as replicas need it, and gives the port.
    pub(crate) fn start_on_tcp(options: &[&str]) -> (Self, u16) {
        // Another process may take a port that was free a moment before.
        for _ in 0..STARTS_MAX {
            let port = free_address().port();
            let folder = Folder::new("redis");
            let mut all: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
            all.extend(["--port", &port.to_string(), "--bind", "127.0.0.1"].map(str::to_owned));
            let child = spawn("redis-server", &all, folder.path());
            let mut server = Self { program: "redis-server", options: all, child, folder };
            if server.try_wait() {
                return (server, port);
            }
        }
        panic!("redis-server found no port");
    }

    /// The path of its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is ours");
    }

    /// Kills it, as `kill -9` does: everything that it held is lost.
    pub(crate) fn kill(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }

    /// Kills it if it still runs, and starts it anew at the same places, empty.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.program, &self.options, self.folder.path());
        self.wait();
    }

    /// Sends a command on a connection of its own, and gives the reply: a line, or the content of a bulk
    /// string; of an array only its first line.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.try_command(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn try_command(&self, words: &[&str]) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(WAIT_MAX))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &["$", &word.len().to_string(), "\r\n", word, "\r\n"].concat();
        }
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_owned();
        match line.strip_prefix('$').and_then(|bytes| bytes.parse().ok()) {
            None => Ok(line),
            Some(bytes) => {
                let mut content = vec![0; bytes];
                reader.read_exact(&mut content)?;
                Ok(String::from_utf8_lossy(&content).into_owned())
            }
        }
    }

    fn wait(&mut self) {
        assert!(self.try_wait(), "{} has ended: {}", self.program, self.log());
    }

    /// Waits until it answers. `false`: it has ended because a port was in use.
    fn try_wait(&mut self) -> bool {
        let begun = Instant::now();
        // With a password it answers an error, which is an answer too.
        while self.try_command(&["PING"]).is_err() {
            if self.child.try_wait().expect("the child is ours").is_some() {
                let log = self.log();
                assert!(log.contains("Address already in use"), "{} has ended: {log}", self.program);
                return false;
            }
            assert!(begun.elapsed() < WAIT_MAX, "{} does not answer: {}", self.program, self.log());
            sleep(Duration::from_millis(5));
        }
        true
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a program without anything on disk. The socket of a former process is replaced.
fn spawn(program: &str, options: &[String], folder: &Path) -> Child {
    let log = File::create(folder.join("log")).expect("the folder is ours");
    Command::new(program)
        .args(["--port", "0", "--unixsocket"])
        .arg(folder.join("s"))
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"])
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file has a second handle"))
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{program} does not start ({error}): install it (Debian: apt-get install redis-server)")
        })
}

fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// How often a server is started until it finds its port free.
const STARTS_MAX: usize = 3;
/// How long a server may take to start or to answer.
const WAIT_MAX: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_starts_anew_is_empty() {
    for program in programs() {
        let mut server = RedisServer::start_with(program, &[]);
        assert_eq!(server.command(&["SET", "a", "b"]), "+OK");
        assert_eq!(server.command(&["GET", "a"]), "b");
        let (id, socket) = (server.id(), server.socket());
        server.restart();
        assert_eq!(server.command(&["GET", "a"]), "$-1");
        assert_ne!(server.id(), id);
        assert_eq!(server.socket(), socket);
    }
    assert_eq!(RedisServer::start().command(&["PING"]), "+PONG");
    let (server, port) = RedisServer::start_on_tcp(&[]);
    assert_eq!(server.command(&["CONFIG", "GET", "port"]), "*2");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
}
