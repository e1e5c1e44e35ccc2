//! Hands emails to an SMTP server (RFC 5321), over TLS (RFC 3207, RFC 8314) and with AUTH (RFC 4954).
//!
//! Each email has a connection of its own. Before each read and write the socket's timeout is set to what is
//! left until the email's deadline, so a server that answers byte by byte holds the thread no longer than a
//! silent one. Replies are bounded, too.

mod reply;

use super::message::Message;
use super::{Transport, is_timeout, is_tls, letter};
use crate::config::{Smtp, SmtpLogin, SmtpTls};
use crate::limits::{MAIL_SERVER_ADDRESSES_MAX, SMTP_QUIT_TIMEOUT, SMTP_REPLY_BYTES_MAX};
use crate::login_email::{Mail, MailError, MailResult};
use data_encoding::BASE64;
use reply::{Reply, ReplyError};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(super) struct SmtpTransport {
    settings: Smtp,
    tls: Tls,
}

impl SmtpTransport {
    pub(super) fn new(settings: Smtp) -> io::Result<Self> {
        let authorities = settings
            .authorities
            .clone()
            .unwrap_or_else(|| Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }));
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        let host = ServerName::try_from(settings.url.host.clone()).map_err(io::Error::other)?;
        Ok(Self { settings, tls: Tls { config: Arc::new(config), host } })
    }

    /// Connects, and gets as far as the server must come before it may be given an email.
    fn open(&self, deadline: Instant) -> Result<Session, MailError> {
        let Smtp { url, from, .. } = &self.settings;
        let socket = connect(&url.host, url.port, deadline)?;
        let mut session = Session::new(TimedStream { socket, deadline });
        if url.tls == SmtpTls::Implicit {
            session = session.encrypt(&self.tls)?;
        }
        session.expect(SUCCESS)?;
        let mut offers = session.hello(from.domain())?;
        let wants_tls = match url.tls {
            SmtpTls::Required => true,
            SmtpTls::IfOffered => offers.starttls,
            SmtpTls::Implicit | SmtpTls::Never => false,
        };
        if wants_tls {
            if !offers.starttls {
                session.quit();
                return Err(MailError::Tls);
            }
            session.command("STARTTLS", SUCCESS).map_err(|error| match error {
                MailError::Refused(_) => MailError::Tls,
                other => other,
            })?;
            session = session.encrypt(&self.tls)?;
            offers = session.hello(from.domain())?;
        }
        if let Some(login) = &url.login {
            session.log_in(login, &offers)?;
        }
        session.offers = offers;
        Ok(session)
    }

    /// Connects as for an email, and leaves.
    pub(super) fn check(&self, deadline: Instant) -> MailResult {
        self.open(deadline).map(|mut session| session.quit())
    }

    fn message(&self, mail: &Mail) -> String {
        let Smtp { from, site_name, .. } = &self.settings;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let message = Message {
            from,
            to: &mail.to,
            subject: &letter::subject(mail),
            // Unique: ids count up within a run, and no two runs start in the same nanosecond.
            id: &format!("{}.{}", now.as_nanos(), mail.id.0),
            time: now.as_secs(),
            text: &letter::plain_text(site_name, mail),
            html: &letter::html_text(site_name, mail),
        };
        message.to_ascii()
    }
}

impl Transport for SmtpTransport {
    fn send(&self, mail: &Mail, deadline: Instant) -> MailResult {
        // `to` was checked when it was parsed. Checked again, because here it becomes part of a command.
        if !mail.to.chars().all(|char| !char.is_whitespace() && !char.is_control() && !"<>".contains(char)) {
            return Err(MailError::BadAddress);
        }
        let mut session = self.open(deadline)?;
        let result = session.deliver(self.settings.from.address(), &mail.to, &self.message(mail));
        if matches!(result, Ok(()) | Err(MailError::Refused(_) | MailError::BadAddress)) {
            session.quit();
        }
        result
    }
}

/// How to encrypt a connection.
struct Tls {
    config: Arc<ClientConfig>,
    host: ServerName<'static>,
}

/// Connects to one of the host's addresses. Each but the last gets a share of the time that is left.
fn connect(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, MailError> {
    let found = (host, port).to_socket_addrs().map_err(|_| MailError::NoHost)?;
    let addresses: Vec<SocketAddr> = found.take(MAIL_SERVER_ADDRESSES_MAX).collect();
    let mut error = MailError::NoHost;
    for (address, shares) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(shares).unwrap_or(u32::MAX);
        if share.is_zero() {
            return Err(MailError::Late);
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(socket) => {
                // Only costs time if it fails.
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Err(failure) if is_timeout(&failure) => error = MailError::Late,
            Err(_) => error = MailError::Unreachable,
        }
    }
    Err(error)
}

/// A socket whose operations all end at the deadline.
struct TimedStream {
    socket: TcpStream,
    deadline: Instant,
}

impl TimedStream {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Stream {
    Plain(TimedStream),
    Encrypted(Box<StreamOwned<ClientConnection, TimedStream>>),
}

impl Stream {
    fn timed(&mut self) -> &mut TimedStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Encrypted(stream) => &mut stream.sock,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Encrypted(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

/// One dialogue with a server.
struct Session {
    stream: Stream,
    /// Received, and not yet part of a reply.
    received: Vec<u8>,
    offers: Offers,
    /// Whether the server may have the whole email.
    is_sent: bool,
}

/// What the server offers in its reply to EHLO.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offers {
    starttls: bool,
    smtp_utf8: bool,
    auth: Option<Mechanism>,
}

/// A way to show user and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Older, and all that some servers have.
    Login,
}

impl Session {
    fn new(stream: TimedStream) -> Self {
        let (stream, received) = (Stream::Plain(stream), Vec::new());
        Self { stream, received, offers: Offers::default(), is_sent: false }
    }

    /// Encrypts the connection. What the server said in the clear does not count after it.
    fn encrypt(self, tls: &Tls) -> Result<Self, MailError> {
        // Bytes behind the reply to STARTTLS would be read as if they had come encrypted.
        let (Stream::Plain(mut stream), true) = (self.stream, self.received.is_empty()) else {
            return Err(MailError::Tls);
        };
        let connection = ClientConnection::new(Arc::clone(&tls.config), tls.host.clone());
        let mut connection = connection.map_err(|_| MailError::Tls)?;
        while connection.is_handshaking() {
            let result = connection.complete_io(&mut stream);
            result.map_err(|error| if is_timeout(&error) { MailError::Late } else { MailError::Tls })?;
        }
        let stream = Stream::Encrypted(Box::new(StreamOwned::new(connection, stream)));
        Ok(Self { stream, received: Vec::new(), offers: Offers::default(), is_sent: false })
    }

    fn hello(&mut self, domain: &str) -> Result<Offers, MailError> {
        let reply = self.command(&format!("EHLO {domain}"), SUCCESS)?;
        Ok(Offers::parse(&reply.text))
    }

    fn log_in(&mut self, login: &SmtpLogin, offers: &Offers) -> MailResult {
        let SmtpLogin { user, password } = login;
        let encode = |text: &str| BASE64.encode(text.as_bytes());
        let result = match offers.auth {
            Some(Mechanism::Plain) => {
                let response = encode(&format!("\0{user}\0{password}"));
                let command = format!("AUTH PLAIN {response}");
                // A longer line would be too long for a command (RFC 4954, section 4): the response follows
                // by itself.
                if command.len() + CRLF.len() <= COMMAND_BYTES_MAX {
                    self.command(&command, SUCCESS)
                } else {
                    self.command("AUTH PLAIN", MORE).and_then(|_| self.command(&response, SUCCESS))
                }
            }
            Some(Mechanism::Login) => self
                .command("AUTH LOGIN", MORE)
                .and_then(|_| self.command(&encode(user), MORE))
                .and_then(|_| self.command(&encode(password), SUCCESS)),
            None => Err(MailError::Auth),
        };
        match result {
            Ok(_) => Ok(()),
            Err(MailError::Refused(_) | MailError::Auth) => {
                self.quit();
                Err(MailError::Auth)
            }
            Err(other) => Err(other),
        }
    }

    fn deliver(&mut self, from: &str, to: &str, message: &str) -> MailResult {
        let parameters = match (to.is_ascii(), self.offers.smtp_utf8) {
            (true, _) => "",
            (false, true) => " BODY=8BITMIME SMTPUTF8",
            (false, false) => return Err(MailError::BadAddress),
        };
        self.command(&format!("MAIL FROM:<{from}>{parameters}"), SUCCESS)?;
        self.command(&format!("RCPT TO:<{to}>"), SUCCESS)?;
        self.command("DATA", MORE)?;
        // A failed write may have written everything.
        self.is_sent = true;
        let result = self.stream.write_all(stuffed(message).as_bytes());
        result.map_err(|error| self.error(&error))?;
        self.expect(SUCCESS).map(drop)
    }

    /// Ends the dialogue politely. An email that was accepted is, whatever becomes of this.
    fn quit(&mut self) {
        let timed = self.stream.timed();
        timed.deadline = timed.deadline.min(Instant::now() + SMTP_QUIT_TIMEOUT);
        let _ = self.command("QUIT", SUCCESS);
        if let Stream::Encrypted(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.stream.timed().socket.shutdown(Shutdown::Both);
    }

    /// Sends a line, and expects a reply of this class.
    fn command(&mut self, line: &str, class: u16) -> Result<Reply, MailError> {
        let result = self.stream.write_all(format!("{line}{CRLF}").as_bytes());
        result.map_err(|error| self.error(&error))?;
        self.expect(class)
    }

    fn expect(&mut self, class: u16) -> Result<Reply, MailError> {
        let reply = self.reply()?;
        if reply.code / 100 == class { Ok(reply) } else { Err(MailError::Refused(reply.code)) }
    }

    fn reply(&mut self) -> Result<Reply, MailError> {
        let mut chunk = [0; 1 << 10];
        loop {
            match Reply::parse(&self.received) {
                Ok((reply, length)) => {
                    self.received.drain(..length);
                    return Ok(reply);
                }
                Err(ReplyError::Incomplete) if self.received.len() <= SMTP_REPLY_BYTES_MAX => {}
                Err(ReplyError::Incomplete | ReplyError::Malformed) => return Err(self.broken()),
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(self.broken()),
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(&error)),
            }
        }
    }

    fn error(&self, error: &io::Error) -> MailError {
        if is_timeout(error) {
            MailError::Late
        } else if is_tls(error) && !self.is_sent {
            MailError::Tls
        } else {
            self.broken()
        }
    }

    fn broken(&self) -> MailError {
        if self.is_sent { MailError::BrokenOff } else { MailError::Unreachable }
    }
}

impl Offers {
    /// Parses the lines after the greeting. `AUTH=` is how servers wrote it before RFC 2554.
    fn parse(text: &str) -> Self {
        let mut offers = Self::default();
        for line in text.lines().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split([' ', '=']);
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("SMTPUTF8") => offers.smtp_utf8 = true,
                Some("AUTH") => {
                    for mechanism in words {
                        offers.auth = match (mechanism, offers.auth) {
                            ("PLAIN", _) => Some(Mechanism::Plain),
                            ("LOGIN", None) => Some(Mechanism::Login),
                            (_, known) => known,
                        };
                    }
                }
                _ => {}
            }
        }
        offers
    }
}

/// A message of CRLF lines as DATA transfers it: a dot in front of each line that begins with one (RFC 5321,
/// section 4.5.2), and a dot alone on the last line.
fn stuffed(message: &str) -> String {
    let mut stuffed = String::with_capacity(message.len() + 64);
    for line in message.lines() {
        if line.starts_with('.') {
            stuffed.push('.');
        }
        stuffed.push_str(line);
        stuffed.push_str(CRLF);
    }
    stuffed + ".\r\n"
}

/// First digit of a reply that reports success.
const SUCCESS: u16 = 2;
/// First digit of a reply that asks for more input.
const MORE: u16 = 3;
const CRLF: &str = "\r\n";
/// Longest command line (RFC 5321, section 4.5.3.1.4).
const COMMAND_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_found_in_any_case_and_order() {
        let (starttls, smtp_utf8) = (true, true);
        let (plain, login) = (Some(Mechanism::Plain), Some(Mechanism::Login));
        let rows = [
            ("mail.example.org", Offers::default()),
            ("STARTTLS", Offers::default()),
            ("mx\nSTARTTLS\nSMTPUTF8", Offers { starttls, smtp_utf8, ..Offers::default() }),
            ("mx\nstarttls\nSIZE 1000", Offers { starttls, ..Offers::default() }),
            ("mx\nAUTH LOGIN PLAIN", Offers { auth: plain, ..Offers::default() }),
            ("mx\nAUTH PLAIN LOGIN", Offers { auth: plain, ..Offers::default() }),
            ("mx\nAUTH CRAM-MD5 LOGIN", Offers { auth: login, ..Offers::default() }),
            ("mx\nauth=plain", Offers { auth: plain, ..Offers::default() }),
            ("mx\nAUTH XOAUTH2\nX-AUTH PLAIN", Offers::default()),
        ];
        for (text, want) in rows {
            assert_eq!(Offers::parse(text), want, "{text:?}");
        }
    }

    #[test]
    fn no_line_of_a_message_ends_it() {
        let rows = [
            ("a\r\nb\r\n", "a\r\nb\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n..a\r\nb.\r\n", "..\r\n...a\r\nb.\r\n.\r\n"),
            ("", ".\r\n"),
        ];
        for (message, want) in rows {
            assert_eq!(stuffed(message), want, "{message:?}");
        }
    }
}
