//! The chat's own connection: whether it opens as the page opens it, answers, and stays open in silence.

use super::connection::{Connection, Connector};
use super::http::{self, HttpError};
use super::page::not_plume;
use super::report::Report;
use crate::config::Url;
use crate::mail::is_timeout;
use data_encoding::BASE64;
use std::io;
use std::time::{Duration, Instant};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Message, Role, WebSocket};

/// An open WebSocket of a guest.
pub(super) type Socket = WebSocket<Connection>;

/// Why a WebSocket does not open: what to do.
pub(super) enum OpenError {
    /// 403.
    Forbidden,
    /// Anything else.
    Other(String),
}

/// Checks the WebSocket with the page's Origin, without one and with a foreign one, a ping, and a silence.
/// Gives whether it opens.
pub(super) fn check(
    connector: &Connector,
    url: &Url,
    wait: Option<Duration>,
    report: &mut Report<'_>,
) -> bool {
    if let Err(error) = open(connector, url, "") {
        report.fail("websocket", &format!("without an Origin, as bots open it: {}", advice(error, url)));
    } else {
        report.ok("websocket", "opens without an Origin, as bots open it");
    }
    let origin = format!("Origin: {}\r\n", url.origin());
    let mut socket = match open(connector, url, &origin) {
        Ok(socket) => socket,
        Err(error) => {
            report.fail("websocket", &format!("with the page's Origin: {}", advice(error, url)));
            return false;
        }
    };
    report.ok("websocket", "opens with the page's Origin");
    check_foreign_origin(connector, url, report);
    match ping(&mut socket) {
        Ok(took) => report.ok("ping", &format!("answered after {} ms", took.as_millis())),
        Err(fault) => {
            report.fail("ping", &fault.advice());
            return false;
        }
    }
    if let Some(wait) = wait {
        let seconds = wait.as_secs();
        match be_silent(&mut socket, wait).and_then(|()| ping(&mut socket)) {
            Ok(_) => report.ok("idle", &format!("still open after {seconds} s of silence")),
            Err(Fault::Closed(after)) => report.fail(
                "idle",
                &format!(
                    "closed after {} s of silence: let the proxy keep silent connections for longer than the 25 s of \
                     PLUME_PING (nginx: proxy_read_timeout; HAProxy: timeout tunnel)",
                    after.as_secs()
                ),
            ),
            Err(fault) => report.fail("idle", &fault.advice()),
        }
    }
    // The server sees the end of the connection as well without a close.
    let _ = socket.close(None);
    true
}

/// Checks that a page of another site cannot connect as its visitor.
fn check_foreign_origin(connector: &Connector, url: &Url, report: &mut Report<'_>) {
    match open(connector, url, &format!("Origin: {FOREIGN_ORIGIN}\r\n")) {
        Err(OpenError::Forbidden) => report
            .ok("websocket", "is refused with a foreign Origin (Plume's log has this as event=foreign-origin)"),
        Ok(_) => report.fail(
            "websocket",
            &format!(
                "opens with the Origin {FOREIGN_ORIGIN}, so the page of any site can connect from a visitor's \
                 browser: let the proxy pass Origin on as it is (nginx: no proxy_set_header Origin; HAProxy: no \
                 http-request set-header Origin or del-header Origin)"
            ),
        ),
        Err(OpenError::Other(text)) => report.warn(
            "websocket",
            &format!("with a foreign Origin there should be Plume's own 403, but there is: {text}"),
        ),
    }
}

fn advice(error: OpenError, url: &Url) -> String {
    match error {
        OpenError::Forbidden => format!(
            "403: let the proxy pass Host on (nginx: proxy_set_header Host $http_host), or add {} to PLUME_ORIGINS",
            url.origin()
        ),
        OpenError::Other(text) => text,
    }
}

/// Opens a WebSocket with further header lines.
pub(super) fn open(connector: &Connector, url: &Url, fields: &str) -> Result<Socket, OpenError> {
    let other = |error: HttpError| OpenError::Other(error.to_string());
    let mut connection = connector.open().map_err(|error| other(error.into()))?;
    let key = BASE64.encode(NONCE);
    let fields = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{fields}"
    );
    let head = http::request_head(url, &format!("{}connect", url.path), &fields);
    io::Write::write_all(&mut connection, head.as_bytes()).map_err(|error| other(error.into()))?;
    io::Write::flush(&mut connection).map_err(|error| other(error.into()))?;
    let (answer, rest) = http::read_head(&mut connection).map_err(other)?;
    match answer.status {
        101 if answer.header("sec-websocket-accept") == derive_accept_key(key.as_bytes()) => {
            Ok(WebSocket::from_partially_read(connection, rest, Role::Client, None))
        }
        101 => Err(OpenError::Other(
            "101, but with a wrong key: something between answers in Plume's place".to_owned(),
        )),
        403 => Err(OpenError::Forbidden),
        426 => Err(OpenError::Other(
            "426: let the proxy pass Upgrade on (nginx: proxy_http_version 1.1; proxy_set_header Upgrade \
             $http_upgrade; proxy_set_header Connection upgrade)"
                .to_owned(),
        )),
        400 => Err(OpenError::Other(
            "400: the proxy changes the WebSocket's handshake; let it pass the fields on as they are"
                .to_owned(),
        )),
        _ => Err(OpenError::Other(not_plume(&answer, url))),
    }
}

/// What can happen to an open WebSocket.
pub(super) enum Fault {
    /// It was closed with a code, or broke, after this time.
    Closed(Duration),
    /// It was closed with this code.
    Code(u16),
    /// Nothing came in time.
    Silence,
}

impl Fault {
    fn advice(&self) -> String {
        match self {
            Self::Code(1013) => {
                "closed with 1013: too many connections from this address; try again in a minute".to_owned()
            }
            Self::Code(code) => format!("closed with {code}: look into the log of Plume"),
            Self::Closed(_) => "the connection broke: look into the log of the proxy".to_owned(),
            Self::Silence => {
                "no answer in time: the proxy holds back what is sent; turn its buffering off".to_owned()
            }
        }
    }
}

/// Sends the page's own ping, and waits for its answer.
pub(super) fn ping(socket: &mut Socket) -> Result<Duration, Fault> {
    let begun = Instant::now();
    socket.get_mut().extend(PING_TIMEOUT);
    socket.send(Message::text(PING)).map_err(|error| fault(&error, begun))?;
    loop {
        match socket.read() {
            Ok(Message::Text(text)) if text.contains(PING_TEXT) => return Ok(begun.elapsed()),
            Ok(Message::Close(Some(frame))) => return Err(Fault::Code(frame.code.into())),
            Ok(Message::Close(None)) => return Err(Fault::Closed(begun.elapsed())),
            Ok(_) => {}
            Err(error) => return Err(fault(&error, begun)),
        }
    }
}

/// Says nothing but answers to pings, as a page without a talker does.
fn be_silent(socket: &mut Socket, wait: Duration) -> Result<(), Fault> {
    let begun = Instant::now();
    socket.get_mut().extend(wait);
    loop {
        match socket.read() {
            // The answer to a ping waits for the next read or flush.
            Ok(Message::Ping(_)) => socket.flush().map_err(|error| fault(&error, begun))?,
            Ok(Message::Close(_)) => return Err(Fault::Closed(begun.elapsed())),
            Ok(_) => {}
            Err(error) => match fault(&error, begun) {
                Fault::Silence => return Ok(()),
                fault => return Err(fault),
            },
        }
    }
}

fn fault(error: &tungstenite::Error, begun: Instant) -> Fault {
    match error {
        tungstenite::Error::Io(error) if is_timeout(error) => Fault::Silence,
        _ => Fault::Closed(begun.elapsed()),
    }
}

/// The nonce only has to be sent back: its randomness protects from caches, of which there are none here.
const NONCE: &[u8; 16] = b"plume doctor say";
/// An origin that no site has (RFC 6761, section 6.4).
const FOREIGN_ORIGIN: &str = "https://plume-doctor.invalid";
/// Type 9 of the protocol.
const PING: &str = r#"{"type":9,"text":"plume doctor"}"#;
const PING_TEXT: &str = "plume doctor";
/// Time for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
