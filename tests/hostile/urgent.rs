//! Urgent data of TCP (`MSG_OOB`): at its mark a read ends early, although more is there.

use crate::onlooker::Onlooker;
use crate::support::{Plume, connect};
use rustix::net::{SendFlags, send};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Far less than the ten seconds after which half a head is answered with 408.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

fn send_urgent(stream: &TcpStream) {
    assert_eq!(send(stream, b"!", SendFlags::OOB), Ok(1), "the system takes the byte");
}

#[test]
fn what_follows_an_urgent_byte_is_read_without_another_event() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    for urgent_bytes in 0..4 {
        let mut stream = connect(&server);
        stream.set_read_timeout(Some(ANSWERED_WITHIN)).expect("a socket has the option");
        // All of it is there before the server looks.
        server.signal(Signal::STOP);
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").expect("the system takes the bytes");
        for n in 0..urgent_bytes {
            send_urgent(&stream);
            // Of two urgent bytes only the newer one is out of band; the older one is a byte like any other.
            if n + 1 < urgent_bytes {
                stream.write_all(b": x\r\n").expect("the system takes the bytes");
            }
        }
        stream.write_all(b"Host: x\r\n\r\n").expect("the system takes the bytes");
        server.signal(Signal::CONT);
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap_or_else(|error| panic!("after {urgent_bytes}: {error}"));
        assert_eq!(&status, b"HTTP/1.1 200", "after {urgent_bytes}");
    }
    onlooker.finish();
}
