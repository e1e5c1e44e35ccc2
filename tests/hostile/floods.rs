//! One address that connects thousands of times in a second: it keeps nobody else out, and does not fill the
//! log.

use crate::onlooker::Onlooker;
use crate::raw::handshake;
use crate::support::{Client, Metrics, PATIENCE, Plume};
use crate::watched::Watched;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long the flood lasts.
const FLOOD_FOR: Duration = Duration::from_secs(5);
/// Connections that it holds to its end, far more than there are places; the others it drops at once.
const FLOOD_HELD: usize = 400;
/// What others do during the flood may take this long.
const SERVED_WITHIN: Duration = Duration::from_secs(2);
/// Half of the scrapes during a flood take less than this, also without optimizations and on a busy machine.
/// In a release build with a core of its own it is some 10 ms.
const SCRAPED_WITHIN: Duration = Duration::from_millis(100);
/// Between two connections: thousands come in a second, and yet a server without optimizations has time to
/// look at each.
const FLOOD_PACE: Duration = Duration::from_micros(100);

/// A connection from this source address, or the error where the server resets it at once.
fn connect_from(source: IpAddr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Ports of connections that were just closed are used again.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Ends a flood, also where the test that watches it fails.
struct EndsFlood<'a>(&'a AtomicBool);

impl Drop for EndsFlood<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Connects from one address thousands of times in a second, says `words` on each connection, and holds the
/// first, while `meanwhile` runs.
fn flood(source: IpAddr, server: SocketAddr, words: &[u8], meanwhile: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    let connected = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let Ok(mut stream) = connect_from(source, server) else { continue };
                // It may have been reset already.
                let _reset = stream.write_all(words);
                connected.fetch_add(1, Ordering::Relaxed);
                if held.len() < FLOOD_HELD {
                    held.push(stream);
                }
                thread::sleep(FLOOD_PACE);
            }
        });
        let _end = EndsFlood(&is_over);
        meanwhile();
    });
    let connected = connected.load(Ordering::Relaxed);
    assert!(connected > FLOOD_HELD, "{connected} connections are no flood");
}

/// Does something again and again for as long as the flood lasts; each time within its time.
fn again_and_again(mut act: impl FnMut()) {
    let begun = Instant::now();
    // The flood has its places before anybody is measured.
    thread::sleep(Duration::from_millis(500));
    while begun.elapsed() < FLOOD_FOR {
        let start = Instant::now();
        act();
        let took = start.elapsed();
        assert!(took < SERVED_WITHIN, "served after {took:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The status of an answer to `GET /` from this source address.
fn status_from(source: IpAddr, server: SocketAddr) -> String {
    let mut stream = connect_from(source, server).expect("the server accepts");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("the server takes the bytes");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer and no reset");
    String::from_utf8_lossy(&status).into_owned()
}

#[test]
fn a_flood_to_a_full_server_leaves_an_answer_for_others() {
    let server = Watched::start(&[("PLUME_MAX_CONNECTIONS", "8")]);
    let onlooker = Onlooker::join(&server);
    let _guests: Vec<Client> = (0..7).map(|_| Client::open(&server)).collect();
    flood([127, 0, 0, 2].into(), server.address(), b"", || {
        again_and_again(|| {
            assert_eq!(status_from([127, 0, 0, 3].into(), server.address()), "HTTP/1.1 503");
        });
        // Standard streams and the loop's own, connections, and those that are refused.
        assert!(server.files() <= 8 + 32, "{} descriptors", server.files());
    });
    onlooker.finish();
}

/// The metrics of a full chat in a flood can be read as fast as at rest: a scrape waits for two turns of the
/// loop at most.
#[test]
fn metrics_are_there_during_a_flood() {
    let server = Watched::start(&[("PLUME_MAX_CONNECTIONS", "8"), ("PLUME_METRICS", "127.0.0.1:0")]);
    let onlooker = Onlooker::join(&server);
    let _guests: Vec<Client> = (0..7).map(|_| Client::open(&server)).collect();
    let mut took = Vec::new();
    flood([127, 0, 0, 2].into(), server.address(), b"", || {
        again_and_again(|| {
            let start = Instant::now();
            let metrics = Metrics::of(&server);
            took.push(start.elapsed());
            assert_eq!(metrics.count("plume_connections_max"), 8);
        });
    });
    took.sort();
    let (median, slowest) = (took[took.len() / 2], took[took.len() - 1]);
    assert!(
        median < SCRAPED_WITHIN && slowest < 10 * SCRAPED_WITHIN,
        "median {median:?}, slowest {slowest:?}"
    );
    assert!(Metrics::of(&server).count("plume_refused_total{why=\"full\"}") > 1_000);
    onlooker.finish();
}

#[test]
fn a_flood_by_way_of_a_proxy_keeps_nobody_else_out() {
    let server = Plume::start(&[
        ("PLUME_TRUSTED_PROXIES", "127.0.0.0/8"),
        // Before its request is read nobody knows the address, and in one turn the server accepts 64.
        ("PLUME_MAX_CONNECTIONS", "200"),
        ("PLUME_MAX_PER_ADDRESS", "4"),
    ]);
    let onlooker = Onlooker::join(&server);
    let request = format!("{}\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n", handshake().trim_end());
    flood([127, 0, 0, 2].into(), server.address(), request.as_bytes(), || {
        again_and_again(|| {
            let client = Client::admit_for(&server, "203.0.113.6");
            assert!(client.is_some(), "a place for the neighbour");
        });
    });
    onlooker.finish();
}

/// Needs a network with more addresses than this machine's own, which have no limits: a namespace with
/// nothing but a loopback device. Where the system grants none to users, this test shows nothing and says so.
#[test]
fn a_flood_of_an_address_over_its_limit_keeps_nobody_else_out() {
    const INSIDE: &str = "PLUME_TEST_IN_NAMESPACE";
    const NAME: &str = "floods::a_flood_of_an_address_over_its_limit_keeps_nobody_else_out";
    if std::env::var_os(INSIDE).is_some() {
        return flood_of_an_address();
    }
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c", script]);
        command.arg(std::env::current_exe().expect("the test is a file")).env(INSIDE, "1");
        command
    };
    let network = "ip link set lo up && ip route add local 203.0.113.0/24 dev lo";
    if !in_namespace(network).output().is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no network namespace for users on this machine");
    }
    let test = format!("{network} && exec \"$0\" --exact {NAME} --nocapture");
    let output = in_namespace(&test).output().expect("it has run before");
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn flood_of_an_address() {
    let server = Plume::start(&[
        ("PLUME_LISTEN", "203.0.113.1:0"),
        ("PLUME_MAX_CONNECTIONS", "40"),
        ("PLUME_MAX_PER_ADDRESS", "4"),
    ]);
    let open = |source: [u8; 4]| {
        let stream = connect_from(source.into(), server.address()).expect("the server accepts");
        Client::over(stream, &server)
    };
    let mut onlooker = open([203, 0, 113, 9]);
    onlooker.ask_code("Onlooker", "onlooker@example.org");
    onlooker.auth(&server.code_for("Onlooker"));
    onlooker.enter();
    let onlooker = Onlooker::with(onlooker);
    // An address may come 300 times a minute: newcomers are of many.
    let mut newcomer = 10;
    flood([203, 0, 113, 5].into(), server.address(), b"", || {
        again_and_again(|| {
            newcomer += 1;
            let source = [203, 0, 113, newcomer];
            assert_eq!(status_from(source.into(), server.address()), "HTTP/1.1 200");
            drop(open(source));
        });
    });
    let log = server.log();
    assert!(log.matches("event=address-full").count() <= 20, "{log}");
    onlooker.finish();
}

#[test]
fn a_flood_is_a_few_lines_of_the_log_and_a_count() {
    let trust = ("PLUME_TRUSTED_PROXIES", "127.0.0.1");
    let mut server = Plume::start(&[trust, ("PLUME_MAX_PER_ADDRESS", "2")]);
    let onlooker = Onlooker::join(&server);
    let held: Vec<Client> = (0..2).filter_map(|_| Client::admit_for(&server, "203.0.113.5")).collect();
    assert_eq!(held.len(), 2);
    for _ in 0..100 {
        assert!(Client::admit_for(&server, "203.0.113.5").is_none());
    }
    onlooker.finish();
    assert_eq!(server.terminate().code(), Some(0));
    server.wait_line("event=stopped");
    let log = server.log();
    // The ends of guests have a limit of their own: what a member does is told.
    for (kind, line, logged, left_out) in
        [("address-full", "event=address-full ", 20, 80), ("guest-closed", "event=closed ", 21, 82)]
    {
        assert_eq!(log.matches(line).count(), logged, "{kind}: {log}");
        let rest = format!("event=suppressed kind={kind} count={left_out}\n");
        assert!(log.contains(&rest), "{rest} in {log}");
    }
}
