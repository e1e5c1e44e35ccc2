//! An SMTP server on real sockets, with and without TLS, that does to each email what the test tells it.

use super::Plume;
use super::fake::{Fake, Shared};
use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The sender of [`FakeSmtp::plume`].
pub(crate) const SENDER: &str = "Plume Chat <hi@chat.example.org>";

/// The server. It stops when it goes out of scope.
pub(crate) struct FakeSmtp {
    offer: Offer,
    fake: Fake<State>,
}

/// What the server offers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Offer {
    pub(crate) tls: Tls,
    /// The mechanisms of AUTH, as EHLO lists them.
    pub(crate) auth: &'static str,
    pub(crate) smtp_utf8: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tls {
    #[default]
    None,
    /// STARTTLS.
    ByCommand,
    Implicit,
}

/// What it does on one connection when this command comes: `CONNECT`, `TLS`, `EHLO`, `STARTTLS`, `AUTH`,
/// `MAIL`, `RCPT`, `DATA`, `.` or `QUIT`. `OK` is none that comes.
pub(crate) type Fault = (&'static str, Act);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Answers this instead, and goes on.
    Reply(&'static str),
    /// Says nothing until the test is over.
    Silent,
    /// Sends this again and again, every 100 ms.
    Drip(&'static str),
    /// Closes the connection.
    HangUp,
}

/// One email as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    /// All commands of the connection, without the secrets of AUTH.
    pub(crate) commands: Vec<String>,
    /// User and password.
    pub(crate) login: Option<(String, String)>,
    /// Whether the email came encrypted.
    pub(crate) is_encrypted: bool,
    /// The message without the dots of the transfer.
    pub(crate) message: String,
}

#[derive(Default)]
struct State {
    faults: VecDeque<Fault>,
    received: Vec<Received>,
    /// How many of `received` a test has looked at.
    seen: usize,
    /// Connections that a fault has reached.
    faulted: usize,
    connections: usize,
}

impl FakeSmtp {
    /// A server that has one of the faults on each connection, in order, and none after the last.
    pub(crate) fn start(offer: Offer, faults: &[Fault]) -> Self {
        let state = State { faults: faults.iter().copied().collect(), ..State::default() };
        let tls = tls_config();
        let serve = move |shared: &Shared<State>, socket| serve(shared, offer, &tls, &socket);
        Self { offer, fake: Fake::start(state, serve) }
    }

    /// Its address, with `login` before the host and `query` behind the port.
    pub(crate) fn url(&self, login: &str, query: &str) -> String {
        let scheme = if self.offer.tls == Tls::Implicit { "smtps" } else { "smtp" };
        format!("{scheme}://{login}localhost:{}{query}", self.port())
    }

    /// A Plume in production that hands its emails to this server, and trusts its certificate.
    pub(crate) fn plume(&self, variables: &[(&str, &str)]) -> Plume {
        let (url, ca) = (self.url("", ""), fixture("ca.pem"));
        let mut all = vec![("ENV", "production"), ("PLUME_SMTP", &*url), ("PLUME_MAIL_FROM", SENDER)];
        all.push(("PLUME_SMTP_CA", ca.to_str().expect("a path in UTF-8")));
        all.retain(|(name, _)| variables.iter().all(|(other, _)| other != name));
        all.extend_from_slice(variables);
        Plume::start(&all)
    }

    pub(crate) fn port(&self) -> u16 {
        self.fake.address.port()
    }

    /// Waits for the next email.
    pub(crate) fn next(&self) -> Received {
        self.fake.wait("email", |state| {
            let received = state.received.get(state.seen).cloned()?;
            state.seen += 1;
            Some(received)
        })
    }

    /// Waits until a fault has come up on this many connections.
    pub(crate) fn expect_faults(&self, count: usize) {
        self.fake.wait("fault", |state| (state.faulted >= count).then_some(()));
    }

    /// How many connections and emails came so far.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.fake.look(|state| (state.connections, state.received.len()))
    }
}

impl Received {
    /// A header field, unfolded, which must be there once.
    pub(crate) fn header(&self, name: &str) -> String {
        let (head, _) = self.message.split_once("\r\n\r\n").expect("a message has a head");
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        let values: Vec<_> = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).collect();
        assert_eq!(values.len(), 1, "{name} in {head}");
        values[0].1.to_owned()
    }

    /// The code, which ends the subject.
    pub(crate) fn code(&self) -> String {
        self.header("subject").rsplit(' ').next().expect("a subject has words").to_owned()
    }
}

/// A file for TLS. Its certificate is for localhost alone; the authority's key is nowhere.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls").join(name)
}

fn tls_config() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(fixture("server.pem")).expect("the fixture is PEM");
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).expect("the fixture is PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("key and certificate belong together");
    Arc::new(config)
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One connection.
struct Session<'a> {
    shared: &'a Shared<State>,
    offer: Offer,
    tls: &'a Arc<ServerConfig>,
    fault: Fault,
    stream: Box<dyn Stream>,
    received: Received,
}

type Served = std::io::Result<()>;

fn serve(shared: &Shared<State>, offer: Offer, tls: &Arc<ServerConfig>, socket: &TcpStream) -> Served {
    let fault = shared.change(|state| {
        state.connections += 1;
        state.faults.pop_front().unwrap_or(("OK", Act::Silent))
    });
    let stream = Box::new(socket.try_clone()?);
    let mut session = Session { shared, offer, tls, fault, stream, received: Received::default() };
    if offer.tls == Tls::Implicit {
        session.encrypt(socket.try_clone()?)?;
    }
    session.answer("CONNECT", "220 smtp.example.org ESMTP")?;
    while let Some(line) = session.line()? {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        if verb == "AUTH" {
            session.log_in(&line)?;
            continue;
        }
        session.received.commands.push(line);
        match verb.as_str() {
            "EHLO" => session.greet()?,
            "STARTTLS" => {
                session.answer("STARTTLS", "220 go on")?;
                session.encrypt(socket.try_clone()?)?;
            }
            "MAIL" | "RCPT" => session.answer(&verb, "250 OK")?,
            "DATA" => session.take_message()?,
            "QUIT" => return session.answer("QUIT", "221 bye"),
            _ => session.answer(&verb, "500 what?")?,
        }
    }
    Ok(())
}

impl Session<'_> {
    /// Answers a command, unless this is where the fault is.
    fn answer(&mut self, command: &str, reply: &str) -> Served {
        let act = self.fault(command)?.unwrap_or(reply);
        self.stream.write_all(format!("{act}\r\n").as_bytes())?;
        self.stream.flush()
    }

    /// Does what the fault is, if it is here; gives what to answer instead.
    fn fault(&mut self, command: &str) -> std::io::Result<Option<&'static str>> {
        let (at, act) = self.fault;
        if at != command {
            return Ok(None);
        }
        self.shared.change(|state| state.faulted += 1);
        match act {
            Act::Reply(reply) => return Ok(Some(reply)),
            Act::Silent => while !self.shared.pause(Duration::from_mins(1)) {},
            Act::Drip(text) => {
                while !self.shared.pause(Duration::from_millis(100)) {
                    self.stream.write_all(text.as_bytes())?;
                    self.stream.flush()?;
                }
            }
            Act::HangUp => {}
        }
        Err(ErrorKind::ConnectionAborted.into())
    }

    fn encrypt(&mut self, socket: TcpStream) -> Served {
        self.fault("TLS")?;
        let connection = ServerConnection::new(Arc::clone(self.tls)).expect("the settings are good");
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        self.stream = Box::new(stream);
        self.received.is_encrypted = true;
        Ok(())
    }

    fn greet(&mut self) -> Served {
        let Offer { tls, auth, smtp_utf8 } = self.offer;
        let mut lines = vec!["smtp.example.org greets you".to_owned()];
        if tls == Tls::ByCommand && !self.received.is_encrypted {
            lines.push("STARTTLS".to_owned());
        }
        if !auth.is_empty() {
            lines.push(format!("AUTH {auth}"));
        }
        if smtp_utf8 {
            lines.extend(["8BITMIME".to_owned(), "SMTPUTF8".to_owned()]);
        }
        lines.push("HELP".to_owned());
        let last = lines.len() - 1;
        let reply: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| format!("250{}{line}", if n == last { ' ' } else { '-' }))
            .collect();
        self.answer("EHLO", &reply.join("\r\n"))
    }

    /// Takes any user and password, unless the fault says otherwise.
    fn log_in(&mut self, line: &str) -> Served {
        let mut words = line.split(' ').skip(1);
        let (mechanism, response) = (words.next().unwrap_or_default().to_owned(), words.next());
        self.received.commands.push(format!("AUTH {mechanism}"));
        let (user, password) = if mechanism == "PLAIN" {
            let response = match response {
                Some(response) => response.to_owned(),
                None => self.ask("")?,
            };
            let decoded = decode(&response);
            let mut parts = decoded.split('\0').skip(1);
            let mut part = || parts.next().unwrap_or_default().to_owned();
            (part(), part())
        } else {
            (decode(&self.ask("VXNlcm5hbWU6")?), decode(&self.ask("UGFzc3dvcmQ6")?))
        };
        self.received.login = Some((user, password));
        self.answer("AUTH", "235 welcome")
    }

    fn ask(&mut self, question: &str) -> std::io::Result<String> {
        self.stream.write_all(format!("334 {question}\r\n").as_bytes())?;
        self.stream.flush()?;
        Ok(self.line()?.unwrap_or_default())
    }

    fn take_message(&mut self) -> Served {
        self.answer("DATA", "354 go on")?;
        self.received.message.clear();
        loop {
            let line = self.line()?.ok_or(ErrorKind::UnexpectedEof)?;
            if line == "." {
                break;
            }
            self.received.message.push_str(line.strip_prefix('.').unwrap_or(&line));
            self.received.message.push_str("\r\n");
        }
        self.shared.change(|state| state.received.push(self.received.clone()));
        self.answer(".", "250 2.0.0 queued")
    }

    /// The next line, which must end with CRLF and be as short as RFC 5321 wants it; `None` at the end.
    fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            if self.stream.read(&mut byte)? == 0 {
                return Ok(None);
            }
            assert!(byte != *b"\n" || line.ends_with(b"\r"), "a bare line feed after {line:?}");
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        assert!(line.len() <= 1_000, "{} bytes in a line", line.len());
        Ok(Some(String::from_utf8(line).expect("the client sends UTF-8")))
    }
}

fn decode(text: &str) -> String {
    let bytes = BASE64.decode(text.as_bytes()).expect("base64");
    String::from_utf8(bytes).expect("user and password are UTF-8")
}
