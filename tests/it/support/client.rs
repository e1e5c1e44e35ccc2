//! A real WebSocket client that speaks Plume's protocol.

use super::{PATIENCE, Plume, left_until, may_retry};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::{Value, json};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message, WebSocket, client};

/// One connection to the room.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    /// The newest flow token, if it asked for a code.
    pub(crate) flow: String,
    /// The authAck, once it is in.
    pub(crate) ack: Value,
    /// What came after the authAck at once: history, greeting, its own entering.
    pub(crate) welcome: Vec<Value>,
}

/// What can come from the server.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    Json(Value),
    Ping,
    Pong(Vec<u8>),
    /// A close frame with its code.
    Close(Option<u16>),
    /// The end of the connection.
    End(String),
}

impl Client {
    /// Opens a WebSocket as a stranger.
    pub(crate) fn open(server: &Plume) -> Self {
        Self::over(connect(server), server)
    }

    /// The same over a connection that is there already.
    pub(crate) fn over(stream: TcpStream, server: &Plume) -> Self {
        Self::try_over(stream, server, None).unwrap_or_else(|error| panic!("no upgrade: {error}"))
    }

    /// The same as a proxy does for a client with this address.
    pub(crate) fn open_for(server: &Plume, address: &str) -> Self {
        let opened = Self::try_over(connect(server), server, Some(address));
        opened.unwrap_or_else(|error| panic!("no upgrade: {error}"))
    }

    /// The same, unless that address has too many: then it is closed with 1013.
    pub(crate) fn admit_for(server: &Plume, address: &str) -> Option<Self> {
        let mut client = Self::open_for(server, address);
        client.send_ping(b"in?");
        match client.next() {
            Event::Pong(_) => Some(client),
            Event::Close(Some(1013)) => None,
            other => panic!("{address}: {other:?}"),
        }
    }

    /// Opens a WebSocket, or does not, because the server has no place.
    pub(crate) fn try_open(server: &Plume) -> Option<Self> {
        Self::try_over(connect(server), server, None).ok()
    }

    /// In words: what is in the way.
    fn try_over(stream: TcpStream, server: &Plume, forwarded_for: Option<&str>) -> Result<Self, String> {
        let url = format!("ws://{}/connect", server.address());
        let mut request = url.into_client_request().expect("the address makes a URL");
        if let Some(address) = forwarded_for {
            let value = address.parse().expect("an address is a header value");
            request.headers_mut().insert("x-forwarded-for", value);
        }
        let (socket, response) = client(request, prepared(stream)).map_err(|error| error.to_string())?;
        for header in ["sec-websocket-extensions", "sec-websocket-protocol"] {
            assert!(!response.headers().contains_key(header), "{header} was not asked for: {response:?}");
        }
        Ok(Self { socket, flow: String::new(), ack: Value::Null, welcome: Vec::new() })
    }

    /// Sends a hello on a connection of its own.
    pub(crate) fn with_hello(server: &Plume, name: &str, email: &str) -> Self {
        let mut client = Self::open(server);
        client.hello_as(name, email);
        client
    }

    /// The same with an address made of the name; the code is sent.
    pub(crate) fn asking(server: &Plume, name: &str) -> Self {
        Self::asking_as(server, name, &address_of(name))
    }

    pub(crate) fn asking_as(server: &Plume, name: &str, email: &str) -> Self {
        let mut client = Self::open(server);
        client.ask_code(name, email);
        client
    }

    /// Tries a code in a flow that another connection has begun.
    pub(crate) fn with_code(server: &Plume, flow: &str, code: &str) -> Self {
        let mut client = Self::open(server);
        client.auth_in(flow, code);
        client
    }

    /// Tries a session token, with no place in the room.
    pub(crate) fn with_token(server: &Plume, token: &str) -> Self {
        let mut client = Self::open(server);
        client.resume(token, None, None);
        client
    }

    /// Comes in under `name`, with an address made of it, by a code from the log.
    pub(crate) fn login(server: &Plume, name: &str) -> Self {
        Self::login_as(server, name, &address_of(name))
    }

    pub(crate) fn login_as(server: &Plume, name: &str, email: &str) -> Self {
        Self::open(server).log_in(server, name, email)
    }

    /// The same as a proxy does for a client with this address.
    pub(crate) fn login_for(server: &Plume, address: &str, name: &str) -> Self {
        Self::open_for(server, address).log_in(server, name, &address_of(name))
    }

    /// Comes in by a code from the log.
    pub(crate) fn log_in(mut self, server: &Plume, name: &str, email: &str) -> Self {
        self.ask_code(name, email);
        self.auth(&server.code_for(name));
        self.enter();
        self
    }

    /// All come in, one after the other, and have seen each other enter.
    pub(crate) fn login_all<const N: usize>(server: &Plume, names: [&str; N]) -> [Self; N] {
        let mut clients = names.map(|name| Self::login(server, name));
        for client in &mut clients {
            client.settle();
        }
        clients
    }

    /// Comes in with the session token of `other`.
    pub(crate) fn resume_of(server: &Plume, other: &Self, after: Option<u64>) -> Self {
        let mut client = Self::open(server);
        let run = after.map(|_| other.run());
        client.resume(&other.token(), run.as_deref(), after);
        client.enter();
        client
    }

    /// Sends a hello with an address made of the name.
    pub(crate) fn hello(&mut self, name: &str) {
        self.hello_as(name, &address_of(name));
    }

    pub(crate) fn hello_as(&mut self, name: &str, email: &str) {
        self.send(&json!({"type": 0, "text": format!("{name}\n{email}")}));
    }

    /// Sends a hello, waits for the answer, and gives its flow token.
    pub(crate) fn ask_code(&mut self, name: &str, email: &str) -> String {
        self.hello_as(name, email);
        let hello = self.expect(0);
        hello["text"].as_str().expect("a hello carries a flow token").clone_into(&mut self.flow);
        self.flow.clone()
    }

    pub(crate) fn auth(&mut self, code: &str) {
        self.send(&json!({"type": 2, "text": code}));
    }

    pub(crate) fn auth_in(&mut self, flow: &str, code: &str) {
        self.send(&json!({"type": 2, "text": code, "flow": flow}));
    }

    pub(crate) fn resume(&mut self, token: &str, run: Option<&str>, after: Option<u64>) {
        let mut message = json!({"type": 7, "text": token});
        if let Some(run) = run {
            message["run"] = json!(run);
        }
        if let Some(after) = after {
            message["after"] = json!(after);
        }
        self.send(&message);
    }

    pub(crate) fn leave(&mut self) {
        self.send(&json!({"type": 8}));
    }

    /// Logs out, which ends the connection.
    pub(crate) fn log_out(&mut self) {
        self.leave();
        self.expect_close(1000);
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.send(&json!({"type": 1, "text": text}));
    }

    /// Says a line, which must be what comes next.
    pub(crate) fn talk(&mut self, text: &str) -> Value {
        self.say(text);
        let name = self.ack["user"]["name"].as_str().expect("it is in").to_owned();
        self.expect_line(&name, text)
    }

    /// Says so many lines of this length, all with the text that it gives.
    pub(crate) fn talk_long(&mut self, lines: usize, bytes: usize) -> String {
        let text = "x".repeat(bytes);
        (0..lines).for_each(|_| drop(self.talk(&text)));
        text
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        assert!(self.try_send_text(text), "the server takes the message");
    }

    /// Sends a message unless the connection has ended.
    pub(crate) fn try_send_text(&mut self, text: &str) -> bool {
        self.socket.send(Message::text(text)).is_ok()
    }

    pub(crate) fn send_ping(&mut self, payload: &[u8]) {
        self.socket.send(Message::Ping(payload.to_vec().into())).expect("the server takes the ping");
    }

    /// Begins the closing handshake.
    pub(crate) fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).expect("the server takes the close frame");
        self.socket.flush().expect("the server takes the close frame");
    }

    /// Sends bytes as they are, with nothing around them.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).expect("the server takes the bytes");
    }

    /// Says on the level of TCP that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        self.socket.get_mut().shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Whatever comes next.
    pub(crate) fn next(&mut self) -> Event {
        self.next_within(PATIENCE).unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}"))
    }

    /// Whatever comes next, if it comes within this time.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Option<Event> {
        let deadline = Instant::now() + patience;
        loop {
            let stream = self.socket.get_mut();
            stream.set_read_timeout(Some(left_until(deadline))).expect("a socket has the option");
            return Some(match self.socket.read() {
                Ok(Message::Text(text)) => {
                    Event::Json(serde_json::from_str(&text).expect("the server sends JSON"))
                }
                Ok(Message::Ping(_)) => Event::Ping,
                Ok(Message::Pong(payload)) => Event::Pong(payload.to_vec()),
                Ok(Message::Close(frame)) => Event::Close(frame.map(|frame| frame.code.into())),
                Ok(other) => panic!("the server sends text frames, not {other:?}"),
                Err(Error::Io(error)) if may_retry(&error) => {
                    if Instant::now() >= deadline {
                        return None;
                    }
                    continue;
                }
                Err(error) => Event::End(error.to_string()),
            });
        }
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Value {
        loop {
            match self.next() {
                Event::Json(message) => return message,
                Event::Ping | Event::Pong(_) => {}
                other => panic!("{other:?} instead of a message"),
            }
        }
    }

    /// The next message, which must be of this type.
    pub(crate) fn expect(&mut self, kind: u64) -> Value {
        let message = self.message();
        assert_eq!(message["type"], kind, "another type than {kind}: {message}");
        message
    }

    /// The next message, which must be a notice for this reason.
    pub(crate) fn expect_notice(&mut self, reason: &str) -> Value {
        let notice = self.expect(6);
        assert_eq!(notice["reason"], reason, "another reason than {reason}: {notice}");
        let sentence = notice["text"].as_str().unwrap_or_default();
        assert!(!sentence.is_empty(), "a notice is a sentence for a person: {notice}");
        notice
    }

    /// The next message, which must be this line of the room.
    pub(crate) fn expect_line(&mut self, name: &str, text: &str) -> Value {
        let line = self.expect(1);
        assert_eq!((&line["user"]["name"], &line["text"]), (&json!(name), &json!(text)), "{line}");
        assert!(line["id"].is_u64() && line["time"].is_u64(), "a line of the room has id and time: {line}");
        line
    }

    pub(crate) fn expect_enters(&mut self, name: &str) -> Value {
        let line = self.expect_line(name, "entered chat");
        assert_eq!(line["event"], "enter", "{line}");
        line
    }

    pub(crate) fn expect_leaves(&mut self, name: &str) -> Value {
        let line = self.expect_line(name, "left chat");
        assert_eq!(line["event"], "leave", "{line}");
        line
    }

    /// The next message, which must be authRst with these tries left.
    pub(crate) fn expect_rejected(&mut self, left: u64) {
        let message = self.expect(4);
        assert_eq!(message["left"], left, "{message}");
    }

    /// Waits for a close frame with this code, and for the end of the connection after it.
    pub(crate) fn expect_close(&mut self, code: u16) {
        loop {
            match self.next() {
                Event::Ping | Event::Pong(_) => {}
                Event::Close(Some(got)) if got == code => break,
                other => panic!("{other:?} instead of a close with {code}"),
            }
        }
        self.expect_end();
    }

    /// Waits for what comes when the server ends or starts anew.
    pub(crate) fn expect_restart(&mut self) {
        self.expect_notice("restarting");
        self.expect_close(1012);
    }

    pub(crate) fn expect_end(&mut self) {
        match self.next() {
            Event::End(_) => {}
            other => panic!("{other:?} instead of the end"),
        }
    }

    /// What the server has to say before it has answered all that was sent: two pings, because a pong may
    /// overtake a message, but not one that was written with the pong before.
    pub(crate) fn settle(&mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        for payload in [b"one", b"two"] {
            self.send_ping(payload);
            loop {
                match self.next() {
                    Event::Json(message) => messages.push(message),
                    Event::Pong(pong) if pong == payload => break,
                    Event::Ping | Event::Pong(_) => {}
                    other => panic!("{other:?} after {messages:?}"),
                }
            }
        }
        messages
    }

    /// Makes sure that the server has nothing to say.
    pub(crate) fn expect_nothing(&mut self) {
        let messages = self.settle();
        assert!(messages.is_empty(), "unexpected: {messages:#?}");
    }

    /// Waits for the authAck and all that belongs to it.
    pub(crate) fn enter(&mut self) {
        self.ack = self.expect(3);
        self.welcome = self.settle();
    }

    /// The session token.
    pub(crate) fn token(&self) -> String {
        self.ack["text"].as_str().expect("authAck carries a token").to_owned()
    }

    /// The run of the server.
    pub(crate) fn run(&self) -> String {
        self.ack["run"].as_str().expect("authAck carries the run").to_owned()
    }

    /// The id up to which the names of the authAck are true.
    pub(crate) fn last(&self) -> u64 {
        self.ack["last"].as_u64().expect("authAck carries the last id")
    }
}

/// A connection on which nothing has been said.
pub(crate) fn connect(server: &Plume) -> TcpStream {
    let stream = match &server.socket {
        // The system does not mind how a stream is called here.
        Some(path) => UnixStream::connect(path).map(|stream| TcpStream::from(OwnedFd::from(stream))),
        None => TcpStream::connect(server.address()),
    };
    prepared(stream.expect("the server listens"))
}

/// The same to the listener of the metrics.
pub(crate) fn connect_to_metrics(server: &Plume) -> TcpStream {
    prepared(TcpStream::connect(server.metrics_address()).expect("the server listens"))
}

fn prepared(stream: TcpStream) -> TcpStream {
    // A Unix socket has no such option.
    let _prompt = stream.set_nodelay(true);
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket has the option");
    stream
}

/// The same with a receive buffer that is soon full.
pub(crate) fn connect_narrow(server: &Plume, bytes: usize) -> TcpStream {
    let stream = connect(server);
    set_socket_recv_buffer_size(&stream, bytes).expect("a socket has the option");
    stream
}

/// A frame as a client sends it: the first byte (FIN and opcode), the length, and a mask of zeros, which
/// changes nothing of the payload.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).expect("it is small")),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 0x7e);
            frame.extend(u16::try_from(length).expect("it is small").to_be_bytes());
        }
        length => {
            frame.push(0x80 | 0x7f);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// An address that belongs to this name alone. A local part has at most 64 bytes.
pub(crate) fn address_of(name: &str) -> String {
    let local: String = name.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    format!("{}@example.org", local.to_lowercase())
}
