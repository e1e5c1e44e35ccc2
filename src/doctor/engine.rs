//! The engine of a shared log: whether it takes the connection and the password, leads, and keeps what it is
//! given. Nothing is written.

use super::report::Report;
use crate::config::{RedisLogin, RedisPlace, RedisUrl};
use crate::limits::{ENGINE_ADDRESSES_MAX, ENGINE_INFO_BYTES_MAX, READ_SHARE_BYTES};
use crate::log_event::EngineError;
use crate::mail::is_timeout;
use crate::redis::info::{field, history, process};
use crate::redis::refusal;
use crate::redis::resp::{Decoder, Token, command};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(super) fn check(url: &RedisUrl, report: &mut Report<'_>) {
    match examine(url) {
        Err(error) => report.fail("engine", &format!("{error}: {}", hint(error))),
        Ok(Engine { version, replication, memory }) => {
            report.ok("engine", &format!("{version} takes the connection; nothing was written"));
            for warning in warnings(&replication, &memory) {
                report.warn("engine", warning);
            }
        }
    }
}

/// What an engine says of itself.
struct Engine {
    version: String,
    replication: Vec<u8>,
    memory: Vec<u8>,
}

/// Asks who the engine is, as a node does, and looks at the log.
fn examine(url: &RedisUrl) -> Result<Engine, EngineError> {
    let mut peer = Peer::connect(&url.place)?;
    if let Some(RedisLogin { user, password }) = &url.login {
        let user = user.as_ref().map(String::as_bytes);
        let words = [&b"AUTH"[..]].into_iter().chain(user).chain([password.as_bytes()]);
        peer.ask(&words.collect::<Vec<_>>(), true)?;
    }
    let server = peer.info(b"server")?;
    process(&server)?;
    let replication = peer.info(b"replication")?;
    history(&replication)?;
    let memory = peer.info(b"memory")?;
    peer.ask(&[b"XREVRANGE", url.key.as_bytes(), b"+", b"-", b"COUNT", b"1"], false)?;
    let version = match (field(&server, "valkey_version"), field(&server, "redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, version) => format!("Redis {}", version.unwrap_or_default()),
    };
    Ok(Engine { version, replication, memory })
}

/// What may go wrong later.
fn warnings(replication: &[u8], memory: &[u8]) -> impl Iterator<Item = &'static str> {
    let is_bounded = field(memory, "maxmemory").is_some_and(|bytes| bytes != "0");
    let evicts = field(memory, "maxmemory_policy").is_some_and(|policy| policy != "noeviction");
    let has_replicas = field(replication, "connected_slaves").is_some_and(|count| count != "0");
    // It is only there if min-replicas-to-write is set.
    let waits = field(replication, "min_slaves_good_slaves").is_some();
    let evicts = (is_bounded && evicts).then_some(
        "it drops keys when its memory is full, and the log may be one of them: set maxmemory-policy noeviction",
    );
    let loses = (has_replicas && !waits).then_some(
        "it goes on without its replicas, and what they have not got is lost when one takes over: set \
         min-replicas-to-write 1",
    );
    evicts.into_iter().chain(loses)
}

/// What to do about an error.
const fn hint(error: EngineError) -> &'static str {
    match error {
        EngineError::NoHost => "check the host in PLUME_REDIS",
        EngineError::Unreachable => {
            "check host and port, or the path, in PLUME_REDIS, whether a firewall is between, and for a Unix socket \
             whether this user may open it"
        }
        EngineError::BrokenOff | EngineError::Timeout | EngineError::Protocol => {
            "see whether it is Redis that listens there without TLS, and what its own log says"
        }
        EngineError::Auth => "check user and password in PLUME_REDIS; a % in them is written %25",
        EngineError::Forbidden => {
            "the user needs the key and what begins with it, and +info +time +xadd +xread +xrange +xrevrange +set +get"
        }
        EngineError::ReadOnly => "it follows another server: give the address of that one in PLUME_REDIS",
        EngineError::TooOld => "Plume needs Redis 5 or newer, or Valkey",
        EngineError::Busy => "it loads its data, or runs a script: try again",
        EngineError::OutOfMemory => "raise its maxmemory, or move other data elsewhere",
        EngineError::NoReplicas => "it has fewer replicas than its min-replicas-to-write: start them",
        EngineError::CannotSave => "it cannot save: see its own log, or set stop-writes-on-bgsave-error no",
        EngineError::WrongType => "other data is under the key in PLUME_REDIS: choose another key",
        EngineError::Replaced | EngineError::Trimmed | EngineError::Refused => {
            "see what its own log says, and whether it is a single server and no cluster"
        }
    }
}

/// A connection on which one question follows the other.
struct Peer {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    /// Bytes that have come, from the first that is not read on.
    bytes: Vec<u8>,
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Peer {
    fn connect(place: &RedisPlace) -> Result<Self, EngineError> {
        let stream = match place {
            RedisPlace::Unix(path) => {
                let stream = UnixStream::connect(path);
                let stream = stream.and_then(|stream| {
                    stream.set_read_timeout(Some(TIMEOUT))?;
                    stream.set_write_timeout(Some(TIMEOUT))?;
                    Ok(Box::new(stream) as Box<dyn Stream>)
                });
                stream.map_err(|_| EngineError::Unreachable)?
            }
            RedisPlace::Tcp { host, port } => connect_tcp(host, *port)?,
        };
        Ok(Self { stream, decoder: Decoder::default(), bytes: Vec::new() })
    }

    fn info(&mut self, section: &[u8]) -> Result<Vec<u8>, EngineError> {
        match self.ask(&[b"INFO", section], false)? {
            Token::Bulk(text) => Ok(text),
            _ => Err(EngineError::Protocol),
        }
    }

    /// Asks, and gives the first token of the reply.
    fn ask(&mut self, words: &[&[u8]], is_login: bool) -> Result<Token, EngineError> {
        let mut request = Vec::new();
        command(&mut request, words);
        self.stream.write_all(&request).map_err(|error| broken(&error))?;
        loop {
            let mut rest = self.bytes.as_slice();
            let token =
                self.decoder.next(&mut rest, ENGINE_INFO_BYTES_MAX).map_err(|_| EngineError::Protocol)?;
            self.bytes = rest.to_vec();
            match token {
                Some(Token::Error(line)) => return Err(refusal(&line, is_login)),
                Some(token) => return Ok(token),
                None => {}
            }
            let mut buffer = vec![0; READ_SHARE_BYTES];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(EngineError::BrokenOff),
                Ok(bytes) => self.bytes.extend_from_slice(buffer.get(..bytes).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
        }
    }
}

fn connect_tcp(host: &str, port: u16) -> Result<Box<dyn Stream>, EngineError> {
    let found = (host, port).to_socket_addrs().map_err(|_| EngineError::NoHost)?;
    let addresses: Vec<SocketAddr> = found.take(ENGINE_ADDRESSES_MAX).collect();
    let streams = addresses.iter().filter_map(|address| TcpStream::connect_timeout(address, TIMEOUT).ok());
    let stream = streams.into_iter().next().ok_or(EngineError::Unreachable)?;
    let set_up =
        stream.set_read_timeout(Some(TIMEOUT)).and_then(|()| stream.set_write_timeout(Some(TIMEOUT)));
    set_up.map_err(|_| EngineError::Unreachable)?;
    Ok(Box::new(stream))
}

fn broken(error: &io::Error) -> EngineError {
    if is_timeout(error) { EngineError::Timeout } else { EngineError::BrokenOff }
}

/// Time for a connection, and for each answer: longer than a node waits.
const TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn what_may_lose_entries_later_is_a_warning() {
        let bounded = "maxmemory:1000\r\nmaxmemory_policy:";
        let rows = [
            ("", "", ""),
            ("connected_slaves:0\r\n", "maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", ""),
            ("", &format!("{bounded}noeviction\r\n"), ""),
            ("", &format!("{bounded}allkeys-lru\r\n"), "noeviction"),
            ("", &format!("{bounded}volatile-ttl\r\n"), "noeviction"),
            ("connected_slaves:1\r\n", "", "min-replicas-to-write"),
            ("connected_slaves:2\r\nmin_slaves_good_slaves:0\r\n", "", ""),
        ];
        for (replication, memory, part) in rows {
            let found: Vec<_> = warnings(replication.as_bytes(), memory.as_bytes()).collect();
            match found[..] {
                [] => assert_eq!(part, "", "{replication} {memory}"),
                [warning] => assert!(!part.is_empty() && warning.contains(part), "{warning}"),
                _ => panic!("{found:?}"),
            }
        }
    }

    /// What is said of a server that answers each question with the next of these.
    fn examined(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let port = listener.local_addr().expect("it is bound").port();
        let server = thread::spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            for answer in answers {
                let asked = stream.read(&mut [0; 1_000])?;
                assert!(asked > 0, "the doctor asks");
                // In pieces.
                let (first, rest) = answer.split_at(answer.len() / 2);
                stream.write_all(first.as_bytes())?;
                stream.flush()?;
                stream.write_all(rest.as_bytes())?;
            }
            Ok(())
        });
        let url = RedisUrl {
            place: RedisPlace::Tcp { host: "127.0.0.1".to_owned(), port },
            login: Some(RedisLogin { user: None, password: "SECRET".to_owned() }),
            key: "room".to_owned(),
        };
        let mut out = Vec::new();
        check(&url, &mut Report::new(&mut out));
        server.join().expect("it does not panic").expect("the doctor stays until it has all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_engine_that_is_right_is_ok_and_another_gets_what_to_do() {
        const SERVER: &str = "$53\r\nredis_version:7.2.4\r\nvalkey_version:8.0.1\r\nrun_id:r\r\n\r\n";
        const MASTER: &str = "$30\r\nrole:master\r\nmaster_replid:h\r\n\r\n";
        let rows: [(&[&str], &str, &str); 8] = [
            (
                &["+OK\r\n", SERVER, MASTER, "$0\r\n\r\n", "*0\r\n"],
                "ok    engine: Valkey 8.0.1 takes",
                "nothing",
            ),
            (&["-WRONGPASS no\r\n"], "FAIL  engine: auth", "%25"),
            (&["+OK\r\n", "-NOPERM no\r\n"], "FAIL  engine: forbidden", "+xadd"),
            (&["+OK\r\n", SERVER, "$12\r\nrole:slave\r\n\r\n"], "FAIL  engine: read-only", "follows another"),
            (
                &["+OK\r\n", "$31\r\nredis_version:4.0.0\r\nrun_id:r\r\n\r\n"],
                "FAIL  engine: too-old",
                "Redis 5",
            ),
            (
                &["+OK\r\n", SERVER, MASTER, "$0\r\n\r\n", "-WRONGTYPE no\r\n"],
                "FAIL  engine: wrong-type",
                "key",
            ),
            (&["HTTP/1.1 400 Bad Request\r\n"], "FAIL  engine: protocol", "without TLS"),
            (&["+OK\r\n", ""], "FAIL  engine: broken-off", "its own log"),
        ];
        for (answers, start, part) in rows {
            let report = examined(answers);
            assert!(report.starts_with(start) && report.contains(part), "{start}: {report}");
            assert_eq!(report.lines().count(), 1, "{report}");
            assert!(!report.contains("SECRET"), "{report}");
        }
        let nobody =
            RedisUrl { place: RedisPlace::Unix("/nowhere".into()), login: None, key: "k".to_owned() };
        let mut out = Vec::new();
        check(&nobody, &mut Report::new(&mut out));
        assert!(out.starts_with(b"FAIL  engine: unreachable: check"), "{}", String::from_utf8_lossy(&out));
    }
}
