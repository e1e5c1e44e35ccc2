//! Connections below HTTP and WebSocket: bytes as they are, resets, and buffers that are hardly there.

use crate::support::{Client, Plume, connect};
use rustix::net::sockopt::set_socket_linger;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Ends a connection with a reset instead of a farewell.
pub(crate) fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket has the option");
    drop(stream);
}

/// A member who reads nothing, not even that it is in, until it wakes up.
pub(crate) struct Stalled(TcpStream);

impl Stalled {
    /// One with the session of `token`.
    pub(crate) fn resume(server: &Plume, token: &str) -> Self {
        let stream = connect(server);
        let own = stream.try_clone().expect("a socket can be cloned");
        Client::over(stream, server).resume(token, None, None);
        Self(own)
    }

    /// Reads what is there for it, to the end.
    pub(crate) fn wake_up(mut self) -> Vec<u8> {
        read_to_end(&mut self.0)
    }
}

/// The opening handshake as it goes over the wire.
pub(crate) fn handshake() -> &'static str {
    "GET /connect HTTP/1.1\r\nHost: plume.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

/// Reads to the end, which may be a reset.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} instead of the end, after {} bytes", received.len()),
    }
    received
}

/// Sends bytes, says that nothing follows, and gives all answers: status and body.
pub(crate) fn answers(server: &Plume, request: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut stream = connect(server);
    stream.write_all(request).expect("the server takes the bytes");
    stream.shutdown(Shutdown::Write).expect("the connection is open");
    split_answers(&read_to_end(&mut stream))
}

/// The statuses of all answers alone.
pub(crate) fn statuses(server: &Plume, request: &[u8]) -> Vec<u16> {
    answers(server, request).into_iter().map(|(status, _)| status).collect()
}

fn split_answers(mut received: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut answers = Vec::new();
    while !received.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(received).expect("the answer is HTTP");
        let httparse::Status::Complete(head) = parsed else {
            panic!("cut off: {:?}", String::from_utf8_lossy(received));
        };
        let status = response.code.expect("a complete head has a status");
        let length =
            response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length = length
            .map_or(0, |header| String::from_utf8_lossy(header.value).parse().expect("a length is a number"));
        answers.push((status, received[head..head + length].to_vec()));
        // What follows an upgrade is no HTTP.
        received = if status == 101 { &[] } else { &received[head + length..] };
    }
    answers
}

/// The beginning of what a row sends, to be printed.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(160)]).into_owned()
}
