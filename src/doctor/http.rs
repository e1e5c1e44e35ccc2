//! HTTP requests, one for each connection, and their answers, however they are framed.

use super::connection::{ConnectError, Connection, Connector};
use crate::config::Url;
use crate::mail::is_timeout;
use std::fmt::{self, Display};
use std::io::{self, Read, Write};

/// An answer, with what came behind its head where it has no body.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The value of a header field; the first, if there are several.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum HttpError {
    Connect(ConnectError),
    Io(io::Error),
    /// What came is no HTTP, or too much of it.
    NotHttp,
}

impl Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Io(error) if is_timeout(error) => {
                f.write_str("no answer in time: is Plume running, and does the proxy reach it?")
            }
            Self::Io(error) => write!(f, "the connection broke ({error}): look into the proxy's log"),
            Self::NotHttp => f.write_str("what is answered there is not HTTP/1.1: check the port"),
        }
    }
}

impl From<ConnectError> for HttpError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<io::Error> for HttpError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// `GET` on a connection of its own. The path is absolute.
pub(super) fn get(connector: &Connector, url: &Url, path: &str) -> Result<Answer, HttpError> {
    get_with(connector, url, path, "")
}

/// The same with further header lines, each with its line end.
pub(super) fn get_with(
    connector: &Connector,
    url: &Url,
    path: &str,
    fields: &str,
) -> Result<Answer, HttpError> {
    let mut connection = connector.open()?;
    let head = request_head(url, path, &format!("{fields}Connection: close\r\n"));
    connection.write_all(head.as_bytes())?;
    connection.flush()?;
    let (mut answer, rest) = read_head(&mut connection)?;
    answer.body = read_body(&mut connection, &answer, rest)?;
    Ok(answer)
}

pub(super) fn request_head(url: &Url, path: &str, fields: &str) -> String {
    let host = url.authority();
    let agent = concat!("plume-doctor/", env!("CARGO_PKG_VERSION"));
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{fields}\r\n")
}

/// Reads up to the end of a head; gives it with the bytes that came behind it.
pub(super) fn read_head(connection: &mut Connection) -> Result<(Answer, Vec<u8>), HttpError> {
    let mut received = Vec::new();
    loop {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut slots);
        match parsed.parse(&received) {
            Err(_) => return Err(HttpError::NotHttp),
            Ok(httparse::Status::Partial) => {}
            Ok(httparse::Status::Complete(length)) => {
                let value = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers = parsed.headers.iter().map(|field| (field.name.to_owned(), value(field.value)));
                let answer = Answer {
                    status: parsed.code.unwrap_or_default(),
                    headers: headers.collect(),
                    body: Vec::new(),
                };
                return Ok((answer, received.split_off(length)));
            }
        }
        if received.len() > HEAD_BYTES_MAX || !receive(connection, &mut received)? {
            return Err(HttpError::NotHttp);
        }
    }
}

fn read_body(connection: &mut Connection, answer: &Answer, mut rest: Vec<u8>) -> Result<Vec<u8>, HttpError> {
    if matches!(answer.status, 100..200 | 204 | 304) {
        return Ok(rest);
    }
    if answer.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
        return read_chunks(connection, rest);
    }
    let length = answer.header("content-length").parse::<usize>().ok();
    while length.is_none_or(|length| rest.len() < length) {
        if rest.len() > BODY_BYTES_MAX {
            return Err(HttpError::NotHttp);
        }
        if !receive(connection, &mut rest)? {
            let is_cut_off = length.is_some();
            return if is_cut_off {
                Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
            } else {
                Ok(rest)
            };
        }
    }
    rest.truncate(length.unwrap_or(usize::MAX));
    Ok(rest)
}

fn read_chunks(connection: &mut Connection, mut rest: Vec<u8>) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(&rest) {
            Err(_) => return Err(HttpError::NotHttp),
            Ok(httparse::Status::Complete((_, 0))) => return Ok(body),
            Ok(httparse::Status::Complete((start, size))) => {
                let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
                let end = end.filter(|end| end + body.len() <= BODY_BYTES_MAX).ok_or(HttpError::NotHttp)?;
                // The line end of the chunk is skipped with it.
                if rest.len() >= end + 2 {
                    body.extend_from_slice(&rest[start..end]);
                    rest.drain(..end + 2);
                    continue;
                }
            }
            Ok(httparse::Status::Partial) => {}
        }
        if !receive(connection, &mut rest)? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Reads what is there; false at the end of the connection.
fn receive(connection: &mut Connection, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 16 << 10];
    let bytes = loop {
        match connection.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    received.extend_from_slice(&chunk[..bytes]);
    Ok(bytes > 0)
}

/// Most header fields in an answer: proxies add some.
const HEADERS_MAX: usize = 128;
/// Longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Longest body, in bytes: many times the page.
const BODY_BYTES_MAX: usize = 16 << 20;
