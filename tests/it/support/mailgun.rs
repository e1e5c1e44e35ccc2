//! A mail provider on real HTTP that does to each mail what the test tells it.

use super::fake::{Fake, Shared};
use super::{Client, Plume};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The key that the server is given.
const KEY: &str = "key-of-the-test";

/// The provider. It stops when it goes out of scope.
pub(crate) struct FakeMailgun(Fake<State>);

/// What it does with one mail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// 200, as the real one.
    Accept,
    /// Another status, with a few bytes of body.
    Status(u16),
    /// This status and body.
    Answer(u16, &'static str),
    /// Reads the request and hangs up.
    HangUp,
    /// Accepts after this time.
    Slow(Duration),
    /// Answers one byte every 100 ms, with no end.
    Dribble,
    /// Answers something that is not HTTP.
    Garbage,
    /// Sends the asker elsewhere.
    Redirect,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    /// Method and target.
    pub(crate) request: String,
    pub(crate) authorization: String,
    fields: Vec<(String, String)>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Behaviour>,
    posted: Vec<Posted>,
    /// How many of `posted` a test has looked at.
    seen: usize,
}

impl FakeMailgun {
    /// A provider that follows the script, and accepts all that comes after its end.
    pub(crate) fn start(script: &[Behaviour]) -> Self {
        let state = State { script: script.iter().copied().collect(), ..State::default() };
        Self(Fake::start(state, serve))
    }

    /// Where its API is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// A server in production that posts its mail here.
    pub(crate) fn plume(&self, variables: &[(&str, &str)]) -> Plume {
        production(&self.url(), variables)
    }

    /// Comes into that server by a code from the mail.
    pub(crate) fn login(&self, server: &Plume, name: &str) -> Client {
        let mut client = Client::asking(server, name);
        client.auth(&self.next().code());
        client.enter();
        client
    }

    /// Waits for the next request.
    pub(crate) fn next(&self) -> Posted {
        self.0.wait("mail", |state| {
            let posted = state.posted.get(state.seen).cloned()?;
            state.seen += 1;
            Some(posted)
        })
    }

    /// How many requests came so far.
    pub(crate) fn count(&self) -> usize {
        self.0.look(|state| state.posted.len())
    }
}

impl Posted {
    /// A field of the form, which must be there once.
    pub(crate) fn field(&self, name: &str) -> &str {
        let values: Vec<_> = self.fields.iter().filter(|(key, _)| key == name).collect();
        assert_eq!(values.len(), 1, "{name} in {self:?}");
        &values[0].1
    }

    /// The code, which ends the subject.
    pub(crate) fn code(&self) -> String {
        self.field("subject").rsplit(' ').next().expect("a subject has words").to_owned()
    }
}

fn serve(shared: &Shared<State>, mut stream: TcpStream) -> std::io::Result<()> {
    let Some(posted) = read_request(&mut stream)? else { return Ok(()) };
    let behaviour = shared.change(|state| {
        state.posted.push(posted);
        state.script.pop_front().unwrap_or(Behaviour::Accept)
    });
    match behaviour {
        Behaviour::Accept => answer(&mut stream, 200, "", QUEUED),
        Behaviour::Status(status) => answer(&mut stream, status, "", QUEUED),
        Behaviour::Answer(status, body) => answer(&mut stream, status, "", body),
        Behaviour::HangUp => Ok(()),
        Behaviour::Slow(wait) => {
            shared.pause(wait);
            answer(&mut stream, 200, "", QUEUED)
        }
        Behaviour::Dribble => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
            while !shared.pause(Duration::from_millis(100)) {
                stream.write_all(b"x")?;
            }
            Ok(())
        }
        Behaviour::Garbage => stream.write_all(b"220 mail.example.org ESMTP\r\n\r\n"),
        Behaviour::Redirect => answer(&mut stream, 302, "Location: /elsewhere\r\n", QUEUED),
    }
}

/// A server in production whose provider is at `base`.
pub(crate) fn production(base: &str, variables: &[(&str, &str)]) -> Plume {
    Plume::start(&[&mailgun_variables(base), variables].concat())
}

/// Settings of production with a provider at `base`.
pub(crate) fn mailgun_variables(base: &str) -> [(&str, &str); 4] {
    [
        ("ENV", "production"),
        ("MAILGUN_APIKEY", KEY),
        ("MAILGUN_API_BASE", base),
        ("MAILGUN_DOMAIN", "mail.plume.chat"),
    ]
}

/// What must stand in `Authorization`.
pub(crate) fn authorization() -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("api:{KEY}").as_bytes()))
}

/// What the real one says of an email that it takes.
const QUEUED: &str = r#"{"message": "Queued. Thank you."}"#;

fn answer(stream: &mut TcpStream, status: u16, header: &str, body: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} Whatever\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// `None` where nothing was asked.
fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<Posted>> {
    let mut bytes = Vec::new();
    let head_length = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if !read_more(stream, &mut bytes)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_length]).into_owned();
    let value_of = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let length: usize = value_of("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    while bytes.len() < head_length + length {
        if !read_more(stream, &mut bytes)? {
            return Ok(None);
        }
    }
    let request = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let authorization = value_of("authorization").unwrap_or_default().to_owned();
    Ok(Some(Posted { request, authorization, fields: form(&bytes[head_length..]) }))
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut chunk = [0; 4096];
    let count = loop {
        match stream.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    bytes.extend_from_slice(&chunk[..count]);
    Ok(count > 0)
}

/// The fields of `application/x-www-form-urlencoded`.
fn form(body: &[u8]) -> Vec<(String, String)> {
    let body = String::from_utf8_lossy(body);
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (percent_decoded(key), percent_decoded(value))).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|digits| data_encoding::HEXUPPER_PERMISSIVE.decode(digits).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.extend(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(first),
        }
        rest = tail;
    }
    String::from_utf8(bytes).expect("the form is UTF-8")
}
