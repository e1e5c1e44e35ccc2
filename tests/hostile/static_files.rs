//! Files of a folder that is served: they are sent from where they lie, and never copied for who asks for
//! them.

use crate::onlooker::Onlooker;
use crate::raw::read_to_end;
use crate::support::{Folder, Plume, connect, wait_for};
use crate::watched::{Watched, assert_grown_by};
use std::io::{Read, Write};
use std::net::TcpStream;

const FILE_BYTES: usize = 2 << 20;
/// Who asks and does not read.
const CLIENTS: usize = 64;
/// What all of them may cost beside the file, in KiB: a sixth of one copy for each.
const GROWTH_KIB: u64 = 20 << 10;

/// A folder with a page and a large file.
fn folder(name: &str) -> Folder {
    Folder::with(name, &[("index.html", b"<!doctype html>"), ("large.bin", &large())])
}

/// Bytes of which no two parts are alike.
fn large() -> Vec<u8> {
    (0_u32..).flat_map(u32::to_le_bytes).take(FILE_BYTES).collect()
}

fn ask(server: &Plume, requests: &[&str]) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(requests.concat().as_bytes()).expect("the server takes the bytes");
    stream
}

const GET: &str = "GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n";
const HEAD: &str = "HEAD /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST: &str = "GET /static/large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn a_large_file_is_not_copied_for_those_who_ask_and_do_not_read() {
    let folder = folder("unread");
    let server = Watched::start(&[("PLUME_STATIC", folder.setting())]);
    let onlooker = Onlooker::join(&server);
    let before = server.memory_kib();
    let asking: Vec<TcpStream> = (0..CLIENTS).map(|_| ask(&server, &[GET; 20])).collect();
    for stream in &asking {
        stream.peek(&mut [0]).expect("an answer begins");
    }
    assert_grown_by(before, server.memory_peak_kib(), GROWTH_KIB);
    // Half of them read their first answer, and then nothing more.
    for mut stream in asking.iter().take(CLIENTS / 2) {
        stream.read_exact(&mut vec![0; FILE_BYTES]).expect("the answer comes");
    }
    assert_grown_by(before, server.memory_peak_kib(), GROWTH_KIB);
    onlooker.finish();
}

#[test]
fn answers_to_pipelined_requests_are_whole_and_in_order() {
    let folder = folder("pipelined");
    let server = Watched::start(&[("PLUME_STATIC", folder.setting())]);
    let onlooker = Onlooker::join(&server);
    let mut stream = ask(&server, &[GET, HEAD, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", GET, LAST]);
    let received = read_to_end(&mut stream);
    let mut rest = &received[..];
    let large = large();
    for (n, (status, body)) in
        [(200, &large[..]), (200, b""), (404, b"Not found\n"), (200, &large), (200, &large)]
            .into_iter()
            .enumerate()
    {
        let head = rest.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let text = String::from_utf8_lossy(&rest[..head]);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "answer {n}: {text}");
        let is_head = n == 1;
        let length = if is_head { large.len() } else { body.len() };
        assert!(text.contains(&format!("Content-Length: {length}\r\n")), "answer {n}: {text}");
        rest = &rest[head..];
        assert!(rest.starts_with(body), "answer {n}");
        rest = &rest[body.len()..];
    }
    assert!(rest.is_empty(), "{} bytes more", rest.len());
    wait_for("end of the connection", || (stream.read(&mut [0]).ok() == Some(0)).then_some(()));
    onlooker.finish();
}
