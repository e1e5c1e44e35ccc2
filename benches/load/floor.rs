//! The floor: the least that a server written in Rust can do to give every line to everybody.
//!
//! mio, one ring of bytes, one write per client and turn. No chat, no JSON, no checks, no limits, no time:
//! heads of requests are told apart by one word, every newcomer is let in, and what a member sends is
//! finished frames that are copied into the ring as they are. It runs in a process of its own, started by the
//! load.

use crate::frames;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::io::{self, IoSlice, Read, Write};
use std::time::Duration;

struct Floor {
    poll: Poll,
    listener: TcpListener,
    clients: Slab<Client>,
    ring: Box<[u8]>,
    /// Bytes that were appended to the ring since its start.
    end: u64,
    buffer: Box<[u8]>,
    page: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// Bytes of the ring that it has; `None`: it is not in.
    cursor: Option<u64>,
    is_writable: bool,
    /// The start of a frame that has not come whole.
    partial: Box<[u8]>,
}

/// Serves until it is killed. The page has `page_bytes` bytes, head and all.
pub(crate) fn run(page_bytes: usize) -> io::Result<()> {
    let poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    writeln!(io::stderr(), "listening on http://{}", listener.local_addr()?)?;
    let mut floor = Floor {
        poll,
        listener,
        clients: Slab::new(),
        ring: vec![0; RING_BYTES].into_boxed_slice(),
        end: 0,
        buffer: vec![0; READ_BYTES].into_boxed_slice(),
        page: page(page_bytes),
    };
    let mut events = Events::with_capacity(EVENTS_PER_TURN);
    let mut has_more = false;
    loop {
        floor.poll.poll(&mut events, has_more.then_some(Duration::ZERO))?;
        let before = floor.end;
        for event in &events {
            has_more |= floor.take(event)?;
        }
        if has_more || floor.end > before {
            has_more = floor.write_all();
        }
    }
}

impl Floor {
    /// Whether a member that has not all can be written again.
    fn take(&mut self, event: &Event) -> io::Result<bool> {
        let Token(slot) = event.token();
        if event.token() == LISTENER {
            self.accept()?;
            return Ok(false);
        }
        let Some(client) = self.clients.get_mut(slot) else { return Ok(false) };
        let was_full = !client.is_writable;
        client.is_writable |= event.is_writable();
        let has_more = was_full && client.is_writable;
        if event.is_readable() && self.read(slot).is_err() {
            self.clients.remove(slot);
        }
        Ok(has_more)
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((mut stream, _)) = self.listener.accept() {
            stream.set_nodelay(true)?;
            let entry = self.clients.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            entry.insert(Client { stream, cursor: None, is_writable: true, partial: Box::default() });
        }
        Ok(())
    }

    /// Reads all that a client has sent. An error: it is gone.
    fn read(&mut self, slot: usize) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(slot) else { return Ok(()) };
        loop {
            let had = client.partial.len();
            self.buffer[..had].copy_from_slice(&client.partial);
            let read = match client.stream.read(&mut self.buffer[had..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let bytes = &self.buffer[..had + read];
            let used = if client.cursor.is_some() {
                let frames = whole_frames(bytes);
                append(&mut self.ring, self.end, &bytes[..frames]);
                self.end += frames as u64;
                frames
            } else if bytes.starts_with(b"GET /connect") {
                client.stream.write_all(UPGRADED)?;
                bytes.len()
            } else if bytes.starts_with(b"GET") {
                client.stream.write_all(&self.page)?;
                bytes.len()
            } else {
                client.stream.write_all(&frames::unmasked(r#"{"type":3}"#))?;
                client.cursor = Some(self.end);
                bytes.len()
            };
            if used < bytes.len() || had > 0 {
                client.partial = bytes[used..].into();
            }
            if had + read < self.buffer.len() {
                return Ok(());
            }
        }
    }

    /// One write for each member that has not all. Whether there is more to write.
    fn write_all(&mut self) -> bool {
        let mut has_more = false;
        let mut gone = Vec::new();
        for (slot, client) in &mut self.clients {
            let Some(cursor) = client.cursor.filter(|&cursor| cursor < self.end && client.is_writable) else {
                continue;
            };
            let len = self.end - cursor;
            if len > self.ring.len() as u64 {
                gone.push(slot);
                continue;
            }
            let [first, second] = span(&self.ring, cursor, len);
            let result = if second.is_empty() {
                client.stream.write(first)
            } else {
                client.stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
            };
            match result {
                Ok(taken) => {
                    client.cursor = Some(cursor + taken as u64);
                    client.is_writable = taken as u64 == len;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => client.is_writable = false,
                Err(_) => gone.push(slot),
            }
            has_more |= client.is_writable && client.cursor < Some(self.end);
        }
        for slot in gone {
            self.clients.remove(slot);
        }
        has_more
    }
}

/// How many bytes at the start are whole frames.
fn whole_frames(bytes: &[u8]) -> usize {
    let mut used = 0;
    while let Some((_, _, len)) = frames::first(&bytes[used..]) {
        used += len;
    }
    used
}

fn append(ring: &mut [u8], end: u64, bytes: &[u8]) {
    let at = offset(ring, end);
    let before_wrap = bytes.len().min(ring.len() - at);
    ring[at..at + before_wrap].copy_from_slice(&bytes[..before_wrap]);
    ring[..bytes.len() - before_wrap].copy_from_slice(&bytes[before_wrap..]);
}

fn span(ring: &[u8], from: u64, len: u64) -> [&[u8]; 2] {
    let at = offset(ring, from);
    let len = usize::try_from(len).expect("a span fits into the ring");
    let before_wrap = len.min(ring.len() - at);
    [&ring[at..at + before_wrap], &ring[..len - before_wrap]]
}

fn offset(ring: &[u8], position: u64) -> usize {
    usize::try_from(position % ring.len() as u64).expect("an offset fits into the ring")
}

fn page(bytes: usize) -> Vec<u8> {
    let head = |len: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
    let body = bytes.saturating_sub(head(bytes).len());
    let mut page = head(body).into_bytes();
    page.resize(page.len() + body, b' ');
    page
}

const LISTENER: Token = Token(usize::MAX);
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
const EVENTS_PER_TURN: usize = 1_024;
/// As large as Plume's by default.
const RING_BYTES: usize = 4 << 20;
const READ_BYTES: usize = 16 << 10;
