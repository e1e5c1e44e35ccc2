//! The sockets, with servers on this machine that say what Redis would, or nothing.

use super::*;
use crate::engine::EntryId;
use crate::event_loop::clock;
use crate::limits::{ENTRIES_PER_READ, READ_SHARE_BYTES};
use crate::redis::resp::{self, Decoder};
use mio::{Events, Poll, Waker};
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// An event loop around the engine alone.
struct Loop {
    engine: Engine,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// What was logged.
    log: Vec<LogEvent>,
    /// How far the clock is ahead.
    ahead: Duration,
}

impl Loop {
    fn new(place: RedisPlace) -> Self {
        let poll = Poll::new().expect("there are descriptors");
        let waker = Waker::new(poll.registry(), Token(0)).expect("there are descriptors");
        let wake = move || drop(waker.wake());
        let engine = Engine::new(RedisUrl { place, login: None, key: "room".to_owned() }, wake);
        let (events, buffer) = (Events::with_capacity(16), vec![0; READ_SHARE_BYTES]);
        Self { engine, poll, events, buffer, log: Vec::new(), ahead: Duration::ZERO }
    }

    fn now(&self) -> Moment {
        clock::now().moment.after(self.ahead)
    }

    fn ask(&mut self, ask: Ask) {
        let now = self.now();
        self.engine.ask(now, ask);
        self.engine.flush(now, self.poll.registry());
    }

    /// One turn, which waits for an event or a deadline.
    fn turn(&mut self) {
        let wait = match self.engine.next_deadline() {
            _ if self.engine.has_more() => Duration::ZERO,
            Some(deadline) => deadline.since(self.now()),
            None => WAIT_MAX,
        };
        self.poll.poll(&mut self.events, Some(wait)).expect("it is polled");
        for event in self.events.iter().filter(|event| is_own(event.token())) {
            self.engine.mark(event);
        }
        self.serve();
    }

    fn serve(&mut self) {
        let now = self.now();
        self.engine.serve(now, self.poll.registry(), &mut self.buffer);
        self.log.extend(std::iter::from_fn(|| self.engine.next_event()));
    }

    /// The next thing that is said.
    fn hear(&mut self) -> Say {
        let begun = Instant::now();
        loop {
            if let Some(say) = self.engine.next_said() {
                return say;
            }
            assert!(begun.elapsed() < WAIT_MAX, "nothing is said");
            self.turn();
        }
    }

    fn check(&mut self) {
        self.ask(Ask::Check { at: None });
        let said = self.hear();
        assert!(matches!(said, Say::Checked { .. }), "{said:?} {:?}", self.log);
    }
}

const WAIT_MAX: Duration = Duration::from_secs(20);

/// Gives the reply to a command; `None`: the connection ends.
type Answer = Option<Vec<u8>>;

/// A server on a loopback port, and the port.
fn serve(other: impl Fn(&[Vec<u8>]) -> Answer + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let other = other.clone();
            thread::spawn(move || be_redis(stream, other));
        }
    });
    port
}

/// Reads commands, and answers as Redis would; `other` has the answers to what is not the same for all tests.
fn be_redis(mut stream: impl Read + Write, other: impl Fn(&[Vec<u8>]) -> Answer) {
    let (mut decoder, mut buffer) = (Decoder::default(), vec![0; 64 << 10]);
    let (mut count, mut words) = (0, Vec::new());
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        let mut input = &buffer[..bytes];
        while let Some(token) = decoder.next(&mut input, usize::MAX).expect("commands are RESP") {
            match token {
                resp::Token::Array(words) => count = words,
                resp::Token::Bulk(word) => words.push(word),
                other => panic!("{other:?}"),
            }
            if words.len() as u64 == count {
                let answer = answer(&words).or_else(|| other(&words));
                words.clear();
                match answer {
                    Some(answer) if stream.write_all(&answer).is_ok() => {}
                    Some(_) | None => return,
                }
            }
        }
    }
}

fn answer(words: &[Vec<u8>]) -> Answer {
    let answer: &[u8] = match (words[0].as_slice(), words[1..].first().map(Vec::as_slice)) {
        (b"INFO", Some(b"server")) => b"$36\r\nredis_version:7.0.15\r\nrun_id:run12\r\n\r\n",
        (b"INFO", _) => b"$33\r\nrole:master\r\nmaster_replid:repl\r\n\r\n",
        (b"TIME", _) => b"*2\r\n$1\r\n7\r\n$1\r\n0\r\n",
        (b"XADD", _) => b"$3\r\n7-1\r\n",
        _ => return None,
    };
    Some(answer.to_vec())
}

fn at(host: &str, port: u16) -> RedisPlace {
    RedisPlace::Tcp { host: host.to_owned(), port }
}

#[test]
fn a_host_is_found_by_its_name_and_each_of_its_addresses_is_tried() {
    // The name may be for ::1 as well, where nobody listens.
    let mut event_loop = Loop::new(at("localhost", serve(|_| None)));
    for _ in 0..3 {
        event_loop.check();
        event_loop.ask(Ask::Add(b"x".to_vec()));
        assert_eq!(event_loop.hear(), Say::Added);
    }
    assert_eq!(event_loop.log, [LogEvent::EngineConnected], "once");
}

#[test]
fn a_unix_socket_is_as_good() {
    let path = std::env::temp_dir().join(format!("plume-engine-{}", std::process::id()));
    let listener = UnixListener::bind(&path).expect("the folder is ours");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("somebody comes");
        be_redis(stream, |_| None);
    });
    let mut event_loop = Loop::new(RedisPlace::Unix(path.clone()));
    event_loop.check();
    event_loop.ask(Ask::Add(b"x".to_vec()));
    assert_eq!(event_loop.hear(), Say::Added);
    std::fs::remove_file(path).expect("it is ours");
}

#[test]
fn an_engine_that_is_not_there_is_said_each_time_and_logged_once() {
    // Nobody listens any more.
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    for (place, error) in [
        // Reserved for this (RFC 6761, section 6.4).
        (at("no-such-host.invalid", port), EngineError::NoHost),
        (at("127.0.0.1", port), EngineError::Unreachable),
        (at("localhost", port), EngineError::Unreachable),
        (RedisPlace::Unix("/nowhere/redis.sock".into()), EngineError::Unreachable),
    ] {
        let mut event_loop = Loop::new(place);
        for _ in 0..3 {
            event_loop.ask(Ask::Check { at: None });
            event_loop.ask(Ask::Recent);
            assert_eq!(event_loop.hear(), Say::Lost);
            assert_eq!(event_loop.engine.next_said(), None);
            assert_eq!((event_loop.engine.next_deadline(), event_loop.engine.has_more()), (None, false));
        }
        event_loop.serve();
        assert_eq!(event_loop.log, [LogEvent::EngineLost(error)]);
    }
}

#[test]
fn an_engine_that_says_nothing_is_late() {
    // The kernel makes connections that nobody accepts.
    let silent = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    let port = silent.local_addr().expect("it is bound").port();
    let mut event_loop = Loop::new(at("127.0.0.1", port));
    event_loop.ask(Ask::Check { at: None });
    while !event_loop.engine.writer.as_ref().is_some_and(|socket| socket.is_connected) {
        event_loop.turn();
    }
    let left = event_loop.engine.next_deadline().expect("an answer is awaited").since(event_loop.now());
    assert!(left <= ENGINE_REPLY_TIMEOUT + Duration::from_millis(1), "{left:?}");
    event_loop.ahead = ENGINE_REPLY_TIMEOUT + Duration::from_millis(1);
    event_loop.serve();
    assert_eq!(event_loop.engine.next_said(), Some(Say::Lost));
    assert_eq!(event_loop.log, [LogEvent::EngineLost(EngineError::Timeout)]);
    assert!(event_loop.engine.writer.is_none(), "it is closed");
}

/// A listener whose backlog is full: the kernel answers no more connections. The streams fill it.
fn unresponsive() -> (socket2::Socket, Vec<std::net::TcpStream>, SocketAddr) {
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("there are ports");
    listener.listen(0).expect("it is bound");
    let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
    let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
    let streams = std::iter::from_fn(connect).collect();
    (listener, streams, address)
}

#[test]
fn an_address_that_does_not_answer_is_passed_over_and_the_only_one_is_late() {
    let (_listener, _streams, silent) = unresponsive();
    let port = serve(|_| None);
    for others in [&[][..], &[SocketAddr::from(([127, 0, 0, 1], port))]] {
        let mut event_loop = Loop::new(at("127.0.0.1", silent.port()));
        event_loop.ask(Ask::Check { at: None });
        let Place::Host { addresses, .. } = &mut event_loop.engine.place else { panic!("it is a host") };
        // As if its name had all of them.
        addresses.push_back(silent);
        addresses.extend(others);
        let now = event_loop.now();
        event_loop.engine.try_address(now, event_loop.poll.registry());
        event_loop.serve();
        assert!(!event_loop.engine.writer.as_ref().expect("it is begun").is_connected);
        if others.is_empty() {
            event_loop.ahead = ENGINE_REPLY_TIMEOUT;
            assert_eq!(event_loop.hear(), Say::Lost);
            assert_eq!(event_loop.log, [LogEvent::EngineLost(EngineError::Timeout)]);
        } else {
            // A share of the time, and the rest is for the answer.
            event_loop.ahead = ENGINE_REPLY_TIMEOUT / 2;
            let said = event_loop.hear();
            assert!(matches!(said, Say::Checked { .. }), "{said:?} {:?}", event_loop.log);
        }
    }
}

#[test]
fn a_flood_of_entries_is_read_in_shares() {
    const BYTES: usize = 50_000;
    let port = serve(|words| match words[0].as_slice() {
        b"XREAD" if words[7] == b"0-0" => {
            let mut reply = format!("*1\r\n*2\r\n$4\r\nroom\r\n*{ENTRIES_PER_READ}\r\n");
            for seq in 0..ENTRIES_PER_READ {
                let (id, content) = (format!("9-{seq}"), "x".repeat(BYTES));
                let id_bytes = id.len();
                let entry =
                    format!("*2\r\n${id_bytes}\r\n{id}\r\n*2\r\n$1\r\ne\r\n${BYTES}\r\n{content}\r\n");
                reply.push_str(&entry);
            }
            Some(reply.into_bytes())
        }
        b"XREAD" | b"XRANGE" => Some(Vec::new()),
        _ => None,
    });
    let mut event_loop = Loop::new(at("127.0.0.1", port));
    event_loop.check();
    event_loop.ask(Ask::Read { after: EntryId::default() });
    let mut turns = 0;
    let said = loop {
        event_loop.turn();
        turns += 1;
        if let Some(said) = event_loop.engine.next_said() {
            break said;
        }
    };
    let Say::Entries(entries) = said else { panic!("{said:?}") };
    assert!(entries.iter().all(|entry| entry.bytes.len() == BYTES));
    assert_eq!(entries.len(), ENGINE_READS_PER_TURN * READ_SHARE_BYTES / BYTES, "as many as in a turn");
    assert!(turns >= ENTRIES_PER_READ * BYTES / (ENGINE_READS_PER_TURN * READ_SHARE_BYTES), "{turns}");
}

#[test]
fn a_large_value_is_written_as_the_socket_takes_it() {
    let (sender, held) = mpsc::channel();
    let port = serve(move |words| {
        (words[0] == b"SET").then(|| {
            sender.send(words[2].clone()).expect("the test listens");
            b"+OK\r\n".to_vec()
        })
    });
    let mut event_loop = Loop::new(at("127.0.0.1", port));
    event_loop.check();
    let value: Vec<u8> = (0..20_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    event_loop.ask(Ask::Put { key: 1, value: value.clone() });
    assert!(!event_loop.engine.connections.unsent(Side::Writer).is_empty(), "no socket takes it at once");
    event_loop.ask(Ask::Add(b"behind it".to_vec()));
    assert_eq!(event_loop.hear(), Say::Added);
    assert!(held.recv_timeout(WAIT_MAX).expect("it came") == value, "the same bytes");
}

#[test]
fn what_an_engine_says_before_it_ends_is_the_reason() {
    let port = serve(|words| (words[0] == b"XREVRANGE").then(|| b"-LOADING Redis is loading\r\n".to_vec()));
    let mut event_loop = Loop::new(at("127.0.0.1", port));
    for (ask, error) in [
        (Ask::Recent, EngineError::Busy),
        (Ask::Get { key: 1 }, EngineError::BrokenOff),
        (Ask::Get { key: 1 }, EngineError::BrokenOff),
    ] {
        event_loop.check();
        event_loop.ask(ask);
        assert_eq!(event_loop.hear(), Say::Lost);
        event_loop.serve();
        let events = [LogEvent::EngineConnected, LogEvent::EngineLost(error)];
        assert_eq!(std::mem::take(&mut event_loop.log), events);
    }
}

#[test]
fn what_was_asked_last_is_sent_before_the_end() {
    let (sender, read) = mpsc::channel();
    let port = serve(move |words| {
        sender.send(words[0].clone()).expect("the test listens");
        Some(b"$-1\r\n".to_vec())
    });
    let mut event_loop = Loop::new(at("127.0.0.1", port));
    event_loop.check();
    let now = event_loop.now();
    event_loop.engine.ask(now, Ask::Get { key: 1 });
    event_loop.engine.finish();
    drop(event_loop);
    assert_eq!(read.recv_timeout(WAIT_MAX), Ok(b"GET".to_vec()));
}

/// Whatever comes, from a server that is none.
#[test]
fn a_server_of_another_kind_is_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.write_all(b"220 mail.example.org ESMTP\r\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let mut event_loop = Loop::new(at("127.0.0.1", port));
    event_loop.ask(Ask::Check { at: None });
    assert_eq!(event_loop.hear(), Say::Lost);
    event_loop.serve();
    assert_eq!(event_loop.log, [LogEvent::EngineLost(EngineError::Protocol)]);
}
