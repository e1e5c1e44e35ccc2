//! Plain HTTP, byte by byte if need be: one connection, what is sent as it is, and what is answered in parts.

use super::{PATIENCE, Plume, connect, left_until, may_retry};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// One connection for requests.
pub(crate) struct Http {
    stream: TcpStream,
    /// Received and not yet part of an answer.
    received: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn open(server: &Plume) -> Self {
        Self::over(connect(server))
    }

    /// The same over a connection that is there already, such as one to the metrics.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self { stream, received: Vec::new() }
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(server: &Plume, request: impl AsRef<[u8]>) -> Answer {
        let mut http = Self::open(server);
        http.send(request);
        http.answer()
    }

    /// `GET` on a connection of its own.
    pub(crate) fn get(server: &Plume, target: &str) -> Answer {
        Self::ask(server, get(target))
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes the bytes");
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// The next answer, which has a body unless its status forbids one.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.answer_to_head();
        if matches!(answer.status, 101 | 204 | 304) {
            return answer;
        }
        let length =
            answer.header("content-length").map(|value| value.parse().expect("a length is a number"));
        let deadline = Instant::now() + PATIENCE;
        while length.is_none_or(|length: usize| self.received.len() < length) {
            if !self.receive(deadline) {
                assert!(length.is_none(), "cut off: {answer:?}, then {:?}", text(&self.received));
                break;
            }
        }
        answer.body = self.received.drain(..length.unwrap_or(self.received.len())).collect();
        answer
    }

    /// The next answer where no body may follow, as to `HEAD`.
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        let deadline = Instant::now() + PATIENCE + Duration::from_secs(3);
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut headers);
            let parsed = response.parse(&self.received).expect("the answer is HTTP");
            if let httparse::Status::Complete(length) = parsed {
                let answer = Answer {
                    status: response.code.expect("a complete head has a status"),
                    headers: response
                        .headers
                        .iter()
                        .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
                        .collect(),
                    body: Vec::new(),
                };
                self.received.drain(..length);
                return answer;
            }
            assert!(self.receive(deadline), "the end instead of an answer: {:?}", text(&self.received));
        }
    }

    /// The next chunk of a body that has no length; `None`: the last.
    pub(crate) fn chunk(&mut self) -> Option<String> {
        let line = self.take_until("\r\n");
        let length = usize::from_str_radix(&line, 16).expect("the length of a chunk is hexadecimal");
        let deadline = Instant::now() + PATIENCE;
        while self.received.len() < length + 2 {
            assert!(self.receive(deadline), "cut off in a chunk: {:?}", text(&self.received));
        }
        let chunk: Vec<u8> = self.received.drain(..length).collect();
        assert_eq!(self.received.drain(..2).collect::<Vec<u8>>(), b"\r\n");
        (length > 0).then(|| String::from_utf8(chunk).expect("lines are text"))
    }

    /// All chunks up to the last.
    pub(crate) fn chunks(&mut self) -> String {
        std::iter::from_fn(|| self.chunk()).collect()
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        while self.receive(deadline) {}
        text(&std::mem::take(&mut self.received))
    }

    /// What comes before this end, which is taken too.
    fn take_until(&mut self, end: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let received = text(&self.received);
            if let Some(at) = received.find(end) {
                self.received.drain(..at + end.len());
                return received[..at].to_owned();
            }
            assert!(self.receive(deadline), "the end instead of {end:?}: {received:?}");
        }
    }

    /// Waits for the end of the connection, before which nothing may come.
    pub(crate) fn expect_end(&mut self) {
        let deadline = Instant::now() + PATIENCE + Duration::from_secs(3);
        while self.receive(deadline) {}
        assert!(self.received.is_empty(), "unexpected: {:?}", text(&self.received));
    }

    /// Reads what is there; false at the end of the connection.
    fn receive(&mut self, deadline: Instant) -> bool {
        let mut chunk = [0; 16 << 10];
        assert!(Instant::now() < deadline, "nothing came; so far: {:?}", text(&self.received));
        self.stream.set_read_timeout(Some(left_until(deadline))).expect("a socket has the option");
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.received.extend_from_slice(&chunk[..count]);
                count > 0
            }
            Err(error) if may_retry(&error) => true,
            Err(error) => panic!("{error}; so far: {:?}", text(&self.received)),
        }
    }
}

impl Answer {
    /// The value of a header, which may be there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        value
    }

    /// The value of a header that must be there.
    pub(crate) fn must(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        text(&self.body)
    }
}

/// A plain request.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
