//! A browser's side of a proxy: TLS for chat.example, plain requests, and a WebSocket with the page's Origin.

use crate::proxy::Proxy;
use crate::support::{PATIENCE, Plume};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Error, HandshakeError, Message, WebSocket, client};

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A member, or a guest, who came by way of a proxy.
pub(crate) struct Visitor {
    socket: WebSocket<Tls>,
}

/// Whether the proxy has a certificate for its site.
pub(crate) fn is_ready(proxy: &Proxy) -> bool {
    proxy.authority().exists() && {
        let mut stream = connect(proxy);
        stream.conn.complete_io(&mut stream.sock).is_ok()
    }
}

fn connect(proxy: &Proxy) -> Tls {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(proxy.authority()).expect("the authority is there");
    roots.add(authority).expect("it is an authority");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(proxy.name).expect("it is a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("the configuration is good");
    let stream = TcpStream::connect(("127.0.0.1", proxy.port)).expect("the proxy listens");
    stream.set_nodelay(true).expect("a TCP socket has the option");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
    StreamOwned::new(connection, stream)
}

/// One request on a connection of its own, and everything that comes until the proxy ends it.
pub(crate) fn get(proxy: &Proxy, target: &str) -> String {
    let mut stream = connect(proxy);
    let host = format!("chat.example:{}", proxy.port);
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("it is sent");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // Some proxies end without TLS's own end.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        Err(error) => panic!("{error} after {}", String::from_utf8_lossy(&answer)),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

impl Visitor {
    /// Opens a WebSocket as the page does.
    ///
    /// # Errors
    /// The status of the answer, if it is another.
    pub(crate) fn open(proxy: &Proxy, path: &str) -> Result<Self, u16> {
        let authority = format!("chat.example:{}", proxy.port);
        let mut request = format!("wss://{authority}{path}").into_client_request().expect("it is a URL");
        let origin = format!("https://{authority}").parse().expect("it is a header value");
        request.headers_mut().insert("origin", origin);
        match client(request, connect(proxy)) {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
            Err(error) => panic!("no answer: {error}; the proxy's log:\n{}", proxy.log()),
        }
    }

    /// Comes in under `name` with a code from the server's log.
    pub(crate) fn login(proxy: &Proxy, plume: &Plume, path: &str, name: &str) -> (Self, String) {
        let mut visitor = Self::open(proxy, path).expect("the WebSocket opens");
        visitor.send(&json!({"type": 0, "text": format!("{name}\n{}@example.org", name.to_lowercase())}));
        visitor.wait_for(0);
        visitor.send(&json!({"type": 2, "text": plume.code_for(name)}));
        let ack = visitor.wait_for(3);
        (visitor, ack["text"].as_str().expect("authAck carries a token").to_owned())
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).expect("the message is sent");
    }

    /// Says a line, and hears it.
    pub(crate) fn talk(&mut self, text: &str) {
        self.send(&json!({"type": 1, "text": text}));
        while self.wait_for(1)["text"] != text {}
    }

    /// The next message of this type.
    pub(crate) fn wait_for(&mut self, kind: u64) -> Value {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).expect("the server sends JSON");
                    if message["type"] == kind {
                        return message;
                    }
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("{other:?} instead of type {kind}"),
            }
        }
    }

    /// Waits for the end, and gives the close code, if one came.
    pub(crate) fn wait_close(&mut self) -> Option<u16> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => panic!("the connection stays open"),
                Err(_) => return None,
            }
        }
    }

    /// Says nothing for this long, but answers pings; and counts them.
    pub(crate) fn idle(&mut self, long: Duration) -> usize {
        let until = Instant::now() + long;
        let mut pings = 0;
        while Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.get_ref().sock.set_read_timeout(Some(left)).expect("a socket has the option");
            match self.socket.read() {
                Ok(Message::Ping(_)) => {
                    pings += 1;
                    self.socket.flush().expect("the pong is sent");
                }
                Ok(Message::Close(frame)) => panic!("closed while idle: {frame:?}"),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(error) => panic!("broken while idle: {error}"),
            }
        }
        self.socket.get_ref().sock.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
        pings
    }
}

fn is_timeout(error: &Error) -> bool {
    matches!(error, Error::Io(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}
