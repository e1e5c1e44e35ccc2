//! A mail provider on real HTTP that does to each mail what the test tells it.

use super::{PATIENCE, Plume, left_until};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// The key that the server is given.
const KEY: &str = "key-of-the-test";

/// The provider. It stops when it goes out of scope.
pub(crate) struct FakeMailgun {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What it does with one mail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// 200, as the real one.
    Accept,
    /// Another status, with a few bytes of body.
    Status(u16),
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

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    script: VecDeque<Behaviour>,
    posted: Vec<Posted>,
    /// How many of `posted` a test has looked at.
    seen: usize,
    stopped: bool,
}

impl FakeMailgun {
    /// A provider that follows the script, and accepts all that comes after its end.
    pub(crate) fn start(script: &[Behaviour]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let state =
            State { script: script.iter().copied().collect(), posted: Vec::new(), seen: 0, stopped: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let provider = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.lock().stopped {
                    break;
                }
                let shared = Arc::clone(&shared);
                // An asker that goes away in the middle is no concern of the provider.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        provider
    }

    /// A server in production that posts its mail here.
    pub(crate) fn plume(&self, variables: &[(&str, &str)]) -> Plume {
        production(&format!("http://{}", self.address), variables)
    }

    /// Waits for the next request.
    pub(crate) fn next(&self) -> Posted {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        loop {
            if let Some(posted) = state.posted.get(state.seen).cloned() {
                state.seen += 1;
                return posted;
            }
            assert!(Instant::now() < deadline, "no mail came after {:?}", state.posted);
            (state, _) =
                self.shared.changed.wait_timeout(state, left_until(deadline)).expect("nobody panics");
        }
    }

    /// How many requests came so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.lock().posted.len()
    }
}

impl Drop for FakeMailgun {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        // Wakes the thread that accepts, which then sees that it is over.
        drop(TcpStream::connect(self.address));
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the state")
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let Some(posted) = read_request(&mut stream)? else { return Ok(()) };
        let behaviour = {
            let mut state = self.lock();
            state.posted.push(posted);
            self.changed.notify_all();
            state.script.pop_front().unwrap_or(Behaviour::Accept)
        };
        match behaviour {
            Behaviour::Accept => answer(&mut stream, 200, ""),
            Behaviour::Status(status) => answer(&mut stream, status, ""),
            Behaviour::HangUp => Ok(()),
            Behaviour::Slow(wait) => {
                self.pause(wait);
                answer(&mut stream, 200, "")
            }
            Behaviour::Dribble => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
                while !self.pause(Duration::from_millis(100)) {
                    stream.write_all(b"x")?;
                }
                Ok(())
            }
            Behaviour::Garbage => stream.write_all(b"220 mail.example.org ESMTP\r\n\r\n"),
            Behaviour::Redirect => answer(&mut stream, 302, "Location: /elsewhere\r\n"),
        }
    }

    /// Waits, but not beyond the end of the provider; true if that has come.
    fn pause(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        while !state.stopped && Instant::now() < deadline {
            (state, _) = self.changed.wait_timeout(state, left_until(deadline)).expect("nobody panics");
        }
        state.stopped
    }
}

/// A server in production whose provider is at `base`.
pub(crate) fn production(base: &str, variables: &[(&str, &str)]) -> Plume {
    let mut all = vec![("ENV", "production"), ("MAILGUN_APIKEY", KEY), ("MAILGUN_API_BASE", base)];
    all.push(("MAILGUN_DOMAIN", "mail.plume.chat"));
    all.extend_from_slice(variables);
    Plume::start(&all)
}

/// What must stand in `Authorization`.
pub(crate) fn authorization() -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("api:{KEY}").as_bytes()))
}

fn answer(stream: &mut TcpStream, status: u16, header: &str) -> std::io::Result<()> {
    let body = r#"{"message": "Queued. Thank you."}"#;
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
