//! A Unix socket for a proxy on the same machine.

use crate::support::{PATIENCE, Plume, refused, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket, client};

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

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
    stream
}

/// The answer to a request on a connection of its own.
pub(crate) fn get(path: &Path, target: &str) -> String {
    let mut stream = connect(path);
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server takes the bytes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    answer
}

/// Opens a WebSocket as a proxy does for a client with this address.
pub(crate) fn open_for(path: &Path, address: &str) -> WebSocket<UnixStream> {
    let mut request = "ws://chat.example/connect".into_client_request().expect("it is a URL");
    request.headers_mut().insert("x-forwarded-for", address.parse().expect("it is a header value"));
    client(request, connect(path)).expect("the upgrade is accepted").0
}

pub(crate) fn next(socket: &mut WebSocket<UnixStream>) -> Value {
    loop {
        match socket.read().expect("the server sends") {
            Message::Text(text) => return serde_json::from_str(&text).expect("the server sends JSON"),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?} instead of a message"),
        }
    }
}

pub(crate) fn send(socket: &mut WebSocket<UnixStream>, message: &Value) {
    socket.send(Message::text(message.to_string())).expect("the server takes the message");
}

#[test]
fn a_user_chats_over_a_unix_socket_and_long_lines_come_whole() {
    let path = SocketPath::new("chat");
    let mut server = Plume::start(&[("PLUME_LISTEN", &path.setting()), ("PLUME_RATE", "1000")]);
    server.wait_line(&format!("listening on {}", path.setting()));
    let file = fs::metadata(&path.0).expect("it is there");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o660, "owner and group may connect");
    assert!(get(&path.0, "/").contains("<title>Plume.chat</title>"));

    let mut ada = open_for(&path.0, "203.0.113.5");
    send(&mut ada, &json!({"type": 0, "text": "Ada\nada@example.org"}));
    assert_eq!(next(&mut ada)["type"], 0);
    send(&mut ada, &json!({"type": 2, "text": server.code_for("Ada")}));
    while next(&mut ada)["event"] != "enter" {}
    // Much more than the buffers of both sides hold, sent while nothing is read.
    let text = "x".repeat(60_000);
    let mut writer = ada.get_ref().try_clone().expect("it has a second handle");
    let line = crate::support::frame(0x81, json!({"type": 1, "text": text}).to_string().as_bytes());
    let writing = std::thread::spawn(move || {
        for _ in 0..30 {
            writer.write_all(&line).expect("the server takes the line");
        }
    });
    for n in 0..30 {
        let line = next(&mut ada);
        assert!(line["text"] == text, "line {n}: {line}");
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
    let is_admitted = |address: &str| {
        let mut socket = open_for(&path.0, address);
        socket.send(Message::Ping(b"in?".as_slice().into())).expect("the server takes the ping");
        match socket.read().expect("the server answers") {
            Message::Pong(_) => Some(socket),
            Message::Close(Some(frame)) if u16::from(frame.code) == 1013 => None,
            other => panic!("{other:?}"),
        }
    };
    let first = is_admitted("203.0.113.5");
    assert!(first.is_some() && is_admitted("203.0.113.5").is_none());
    assert!(is_admitted("203.0.113.6").is_some());
    assert!(!server.log().contains("hint="), "{}", server.log());
    // Clients that the proxy does not name share the limits of this machine.
    let unnamed = is_admitted("unknown");
    assert!(unnamed.is_some() && is_admitted("unknown").is_none());
    server.wait_line("event=silent-proxy");
}

#[test]
fn the_file_of_a_server_that_was_killed_is_replaced() {
    let path = SocketPath::new("stale");
    let first = Plume::start(&[("PLUME_LISTEN", &path.setting())]);
    drop(first);
    assert!(path.0.exists(), "a killed server leaves it");
    let _second = Plume::start(&[("PLUME_LISTEN", &path.setting())]);
    assert!(get(&path.0, "/healthz").ends_with("ok"));
}

#[test]
fn the_file_of_a_server_that_runs_is_not_taken() {
    let path = SocketPath::new("live");
    let _first = Plume::start(&[("PLUME_LISTEN", &path.setting())]);
    let output = refused(&[("PLUME_LISTEN", &path.setting())], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(get(&path.0, "/healthz").ends_with("ok"), "the first one serves on");
    // Not even one that is too busy to accept.
    let busy_path = SocketPath::new("busy");
    let _busy = UnixListener::bind(&busy_path.0).expect("the folder for temporary files is ours");
    let waiting: Vec<_> = (0..200).map_while(|_| try_connect(&busy_path.0)).collect();
    assert!(!waiting.is_empty());
    let output = refused(&[("PLUME_LISTEN", &busy_path.setting())], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
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
    assert!(get(&path.0, "/healthz").ends_with("ok"));
    drop(second);
    wait_for("end of the second", || UnixStream::connect(&path.0).is_err().then_some(()));
}
