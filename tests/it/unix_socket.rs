//! A Unix socket for a proxy on the same machine.

use crate::support::{Client, Http, Plume, connect, frame, refused, wait_for};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A path for one test, whose file is removed if it is still there.
pub(crate) struct SocketPath(pub(crate) PathBuf);

impl SocketPath {
    /// Short: it has at most 107 bytes.
    pub(crate) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("plume-it-{name}-{}.sock", std::process::id())))
    }

    pub(crate) fn setting(&self) -> String {
        format!("unix:{}", self.0.display())
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

#[test]
fn a_user_chats_over_a_unix_socket_and_long_lines_come_whole() {
    let path = SocketPath::new("chat");
    let mut server = Plume::start(&[("PLUME_LISTEN", &path.setting()), ("PLUME_RATE", "1000")]);
    server.wait_line(&format!("listening on {}", path.setting()));
    let file = fs::metadata(&path.0).expect("it is there");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660, "owner and group may connect");
    assert!(Http::get(&server, "/").text().contains("<title>Plume.chat</title>"));

    let stream = connect(&server);
    let mut writer = stream.try_clone().expect("it has a second handle");
    let mut ada = Client::over(stream, &server).log_in(&server, "Ada", "ada@example.org");
    // Much more than the buffers of both sides hold, sent while nothing is read.
    let text = "x".repeat(60_000);
    let line = frame(0x81, json!({"type": 1, "text": text}).to_string().as_bytes());
    let writing = std::thread::spawn(move || {
        for _ in 0..30 {
            writer.write_all(&line).expect("the server takes the line");
        }
    });
    for _ in 0..30 {
        ada.expect_line("Ada", &text);
    }
    writing.join().expect("the lines are sent");
    drop(ada);
    assert_eq!(server.terminate().code(), Some(0));
    assert!(!path.0.exists(), "the file goes with the server");
}

/// The peer is a proxy, trusted by its being there.
#[test]
fn forwarded_addresses_count_without_a_trusted_address() {
    let path = SocketPath::new("forwarded");
    let server = Plume::start(&[("PLUME_LISTEN", &path.setting()), ("PLUME_MAX_PER_ADDRESS", "1")]);
    let admit = |address: &str| Client::admit_for(&server, address);
    let first = admit("203.0.113.5");
    assert!(first.is_some() && admit("203.0.113.5").is_none());
    assert!(admit("203.0.113.6").is_some());
    assert!(!server.log().contains("hint="), "{}", server.log());
    // Clients that the proxy does not name share the limits of this machine.
    let unnamed = admit("unknown");
    assert!(unnamed.is_some() && admit("unknown").is_none());
    server.wait_line("event=silent-proxy");
}

#[test]
fn the_file_of_a_server_that_was_killed_is_replaced() {
    let path = SocketPath::new("stale");
    let first = Plume::start(&[("PLUME_LISTEN", &path.setting())]);
    drop(first);
    assert!(path.0.exists(), "a killed server leaves it");
    let second = Plume::start(&[("PLUME_LISTEN", &path.setting())]);
    assert_eq!(Http::get(&second, "/healthz").text(), "ok");
}

#[test]
fn the_file_of_a_server_that_runs_is_not_taken() {
    let path = SocketPath::new("live");
    let first = Plume::start(&[("PLUME_LISTEN", &path.setting())]);
    assert_eq!(refused(&[("PLUME_LISTEN", &path.setting())], &[]).code, Some(1));
    assert_eq!(Http::get(&first, "/healthz").text(), "ok", "the first one serves on");
    // Not even one that is too busy to accept.
    let busy_path = SocketPath::new("busy");
    let _busy = UnixListener::bind(&busy_path.0).expect("the folder for temporary files is ours");
    let waiting: Vec<_> = (0..200).map_while(|_| try_connect(&busy_path.0)).collect();
    assert!(!waiting.is_empty());
    assert_eq!(refused(&[("PLUME_LISTEN", &busy_path.setting())], &[]).code, Some(1));
}

/// Connects without waiting for room in the backlog.
fn try_connect(path: &Path) -> Option<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("a socket");
    socket.set_nonblocking(true).expect("a socket has the option");
    let address = socket2::SockAddr::unix(path).expect("it is short");
    socket.connect(&address).ok().map(|()| socket)
}

#[test]
fn a_file_that_another_server_has_put_there_stays() {
    let path = SocketPath::new("replaced");
    let mut first = Plume::start(&[("PLUME_LISTEN", &path.setting())]);
    fs::remove_file(&path.0).expect("it is ours");
    let second = Plume::start(&[("PLUME_LISTEN", &path.setting())]);
    assert_eq!(first.terminate().code(), Some(0));
    assert_eq!(Http::get(&second, "/healthz").text(), "ok");
    drop(second);
    wait_for("end of the second", || UnixStream::connect(&path.0).is_err().then_some(()));
}
