//! What a service manager such as systemd does for the server and learns from it: a passed socket, readiness,
//! status, watchdog.

use crate::support::{
    Client, Ended, Folder, Http, Manager, PATIENCE, Plume, assert_took, free_address, listen,
    refused_with_sockets, wait_for,
};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

impl Manager {
    /// Sends to itself until no more fits, and gives how many did.
    fn fill(&self) -> usize {
        let sender = UnixDatagram::unbound().expect("there are sockets");
        sender.set_nonblocking(true).expect("a socket has the option");
        (0..100_000).take_while(|_| sender.send_to_addr(b"filled", &self.address).is_ok()).count()
    }
}

#[test]
fn a_service_manager_is_told_when_it_is_ready_what_goes_on_and_when_it_stops() {
    let manager = Manager::new();
    let mut server = Plume::start(&[("NOTIFY_SOCKET", &manager.name), ("WATCHDOG_USEC", "1000000")]);
    assert_eq!(manager.next(), "READY=1\nWATCHDOG=1\nSTATUS=0 people, 0 lines a minute");
    let mut ada = Client::login(&server, "Ada");
    ada.talk("hello");
    // Who has entered is a line, too.
    let status = "WATCHDOG=1\nSTATUS=1 person, 2 lines a minute";
    wait_for("status with Ada", || (manager.next() == status).then_some(()));
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(manager.next(), status);
    }
    assert_took(begun, 1_000..3_000);
    server.terminate();
    let last = wait_for("word of the end", || Some(manager.next()).filter(|it| it.contains("STOPPING")));
    assert!(last.starts_with("STOPPING=1\nWATCHDOG=1\n"), "{last}");
}

/// The turn that takes the signal is then the last one.
#[test]
fn a_service_manager_is_told_that_it_stops_when_nobody_is_connected() {
    let manager = Manager::new();
    let mut server = Plume::start(&[("NOTIFY_SOCKET", &manager.name)]);
    assert!(manager.next().starts_with("READY=1\n"));
    assert_eq!(server.terminate().code(), Some(0));
    let last = manager.next();
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
}

#[test]
fn without_a_watchdog_of_its_own_it_reports_once_and_then_each_minute() {
    let manager = Manager::new();
    for watchdog in [&[][..], &[("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")]] {
        let variables = [&[("NOTIFY_SOCKET", manager.name.as_str())], watchdog].concat();
        let server = Plume::start(&variables);
        assert!(manager.next().starts_with("READY=1\n"), "{watchdog:?}");
        manager.socket.set_read_timeout(Some(Duration::from_millis(1_200))).expect("a socket has the option");
        assert!(manager.socket.recv(&mut [0; 64]).is_err(), "nothing more comes at once: {watchdog:?}");
        manager.socket.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
        drop(server);
    }
}

#[test]
fn a_notify_socket_that_nobody_reads_stalls_nothing() {
    let manager = Manager::new();
    let filled = manager.fill();
    assert!(filled > 0, "it has room");
    let mut server = Plume::start(&[("NOTIFY_SOCKET", &manager.name), ("WATCHDOG_USEC", "1000000")]);
    let mut ada = Client::login(&server, "Ada");
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    for n in 0.. {
        let said = Instant::now();
        ada.talk(&format!("line {n}"));
        slowest = slowest.max(said.elapsed());
        // Several reports are due in this time.
        if begun.elapsed() > Duration::from_secs(3) {
            break;
        }
        std::thread::sleep(Duration::from_millis(110));
    }
    assert!(slowest < Duration::from_secs(1), "a line took {slowest:?}");
    // Once it is read, it learns that the server is ready.
    for _ in 0..filled {
        assert_eq!(manager.next(), "filled");
    }
    assert!(manager.next().starts_with("READY=1\n"));
    manager.fill();
    let begun = Instant::now();
    drop(ada);
    assert_eq!(server.terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_passed_socket_takes_the_place_of_the_address_and_the_start_line_says_so() {
    let (listener, address) = listen();
    // An address that nobody has: it is not used.
    let server = Plume::start_with_socket(listener, &[("PLUME_LISTEN", "192.0.2.1:1")]);
    assert_eq!(server.address(), address);
    let log = server.log();
    assert!(log.contains(" socket=passed; listening on http://"), "{log}");
    Client::login(&server, "Ada");
}

/// What a restart without a passed socket would refuse.
#[test]
fn who_comes_during_a_restart_waits_in_the_passed_socket() {
    let (listener, address) = listen();
    let mut first = Plume::start_with_socket(listener.try_clone().expect("it has a second handle"), &[]);
    // Does not answer the close, and delays the end by that.
    let stuck = Client::login(&first, "Ada");
    first.signal(rustix::process::Signal::TERM);
    first.wait_line("event=stopping");
    let waiting = TcpStream::connect(address).expect("the socket listens on");
    first.wait_exit();
    let also_waiting = TcpStream::connect(address).expect("the socket listens on");
    let second = Plume::start_with_socket(listener, &[]);
    for stream in [waiting, also_waiting] {
        let mut client = Client::over(stream, &second);
        client.hello("Bob");
        client.expect(0);
    }
    drop(stuck);
}

/// The same by systemd itself, which starts it for the first connection.
#[test]
#[ignore = "needs systemd-socket-activate"]
fn systemd_passes_its_socket() {
    let address = free_address().to_string();
    let mut child = Command::new("systemd-socket-activate")
        .args(["-l", &address, env!("CARGO_BIN_EXE_plume")])
        .stderr(Stdio::piped())
        .spawn()
        .expect("systemd is installed");
    let mut stream = wait_for("listening systemd", || TcpStream::connect(&address).ok());
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").expect("the server takes the bytes");
    let mut answer = String::new();
    let result = stream.read_to_string(&mut answer);
    child.kill().expect("the child is ours");
    let output = child.wait_with_output().expect("its output fits into the pipe");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(result.is_ok() && answer.ends_with("\r\n\r\nok"), "{result:?}: {answer}\n{log}");
    assert!(log.contains(&format!("socket=passed; listening on http://{address}\n")), "{log}");
}

#[test]
fn what_cannot_be_listened_on_is_refused() {
    let Ended { code, stderr, .. } = refused_with_sockets(listen().0, 2, &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.starts_with("plume: 2 sockets were passed") && stderr.lines().count() == 1, "{stderr}");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("there are ports");
    assert_eq!(refused_with_sockets(datagrams, 1, &[]).code, Some(2));
    // Accept=yes passes connections.
    let connection = TcpStream::connect(listen().1);
    let ended = refused_with_sockets(connection.expect("it listened a moment ago"), 1, &[]);
    assert!(ended.code == Some(2) && ended.stderr.contains("Accept=no"), "{ended:?}");
}

#[test]
fn a_passed_unix_socket_brings_proxies() {
    let folder = Folder::new("passed");
    let path = folder.path().join("sock");
    let listener = UnixListener::bind(&path).expect("the folder for temporary files is ours");
    let mut server = Plume::start_with_socket(listener, &[]);
    server.wait_line(&format!("socket=passed; listening on unix:{}", path.display()));
    assert_eq!(Http::get(&server, "/healthz").text(), "ok");
    assert_eq!(server.terminate().code(), Some(0));
    assert!(path.exists(), "its file belongs to the service manager");
}

#[test]
fn sockets_that_were_passed_to_another_process_are_not_its_business() {
    let server = Plume::start(&[("LISTEN_FDS", "2"), ("LISTEN_PID", "1")]);
    assert_eq!(Http::get(&server, "/healthz").status, 200);
}
