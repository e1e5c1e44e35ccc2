//! A restart that keeps all connections: a service manager stores the parcel of the process that ends, and
//! passes it to the next one, as systemd does on `systemctl restart`.

use crate::support::{
    Client, Http, Manager, Plume, assert_took, bot_request, free_address, listen, new_bot, wait_for,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Signal;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// With an FD store.
impl Manager {
    /// What the unit sets for the process.
    fn variables(&self) -> Vec<(&str, &str)> {
        vec![("NOTIFY_SOCKET", self.name.as_str()), ("FDSTORE", "1"), ("PLUME_RATE", "1000000")]
    }

    /// The next report that says this, and the descriptor that is with it.
    fn expect(&self, part: &str) -> (String, Option<OwnedFd>) {
        wait_for(part, || Some(self.next_with_file()).filter(|(message, _)| message.contains(part)))
    }

    /// Takes the parcel into the store, and answers the barrier behind it, by closing it.
    fn parcel(&self) -> OwnedFd {
        let (message, parcel) = self.expect("FDSTORE=1");
        assert_eq!(message, "FDSTORE=1\nFDNAME=parcel\nFDPOLL=0");
        let (_, barrier) = self.expect("BARRIER=1");
        assert!(barrier.is_some());
        parcel.expect("a descriptor is with it")
    }

    /// Ends a server, and gives what it has left in the store.
    fn stop(&self, mut server: Plume) -> OwnedFd {
        server.signal(Signal::USR2);
        let parcel = self.parcel();
        assert_eq!(server.wait_exit().code(), Some(0));
        parcel
    }

    fn restart(&self, server: Plume) -> Plume {
        let parcel = self.stop(server);
        let server = Plume::start_with_parcel(parcel, None, &self.variables());
        self.expect("READY=1\nFDSTOREREMOVE=1\nFDNAME=parcel\n");
        server.wait_line("event=moved ");
        server
    }
}

#[test]
fn members_stay_over_restarts_by_a_service_manager() {
    let manager = Manager::new();
    let mut server = Plume::start(&manager.variables());
    let (ready, _) = manager.expect("READY=1");
    assert!(!ready.contains("FDSTOREREMOVE"), "{ready}");
    let mut ada = Client::login(&server, "Ada");
    let mut guest = Client::asking(&server, "Bob");
    let code = server.code_for("Bob");
    let mut request = Http::open(&server);
    request.send("GET /healthz HTTP/1.1\r\n");
    let address = server.address();
    for n in 0..3 {
        ada.say(&format!("before {n}"));
        server = manager.restart(server);
        ada.expect_line("Ada", &format!("before {n}"));
        ada.talk(&format!("after {n}"));
        assert_eq!(server.address(), address, "also where the setting says any free port");
    }
    request.send("Host: x\r\n\r\n");
    assert_eq!(request.answer().status, 200);
    guest.auth(&code);
    guest.enter();
    ada.expect_enters("Bob");
}

#[test]
fn who_comes_during_a_restart_waits_in_the_parcel() {
    let manager = Manager::new();
    let server = Plume::start(&manager.variables());
    let address = server.address();
    let parcel = manager.stop(server);
    let waiting = TcpStream::connect(address).expect("the socket listens on");
    let server = Plume::start_with_parcel(parcel, None, &manager.variables());
    let mut client = Client::over(waiting, &server);
    client.hello("Bob");
    client.expect(0);
}

#[test]
fn a_passed_socket_and_a_parcel_come_together() {
    let manager = Manager::new();
    let (listener, address) = listen();
    let second = listener.try_clone().expect("it has a second handle");
    let server = Plume::start_with_socket(listener, &manager.variables());
    let mut ada = Client::login(&server, "Ada");
    let parcel = manager.stop(server);
    let server = Plume::start_with_parcel(parcel, Some(second.into()), &manager.variables());
    server.wait_line("event=moved connections=1 ");
    assert!(server.log().contains(" socket=passed; "), "{}", server.log());
    assert_eq!(server.address(), address);
    let _bob = Client::login(&server, "Bob");
    ada.expect_enters("Bob");
    // The socket unit is removed: it listens where the setting says.
    let parcel = manager.stop(server);
    let server = Plume::start_with_parcel(parcel, None, &manager.variables());
    assert!(!server.log().contains("socket=passed"), "{}", server.log());
    assert_ne!(server.address(), address);
    ada.talk("still here");
}

#[test]
fn settings_that_have_changed_apply_and_members_stay() {
    let manager = Manager::new();
    let server = Plume::start(&manager.variables());
    let mut ada = Client::login(&server, "Ada");
    let former = server.address();
    let parcel = manager.stop(server);
    let address = free_address().to_string();
    let mut variables = manager.variables();
    variables.extend([("PLUME_LISTEN", address.as_str()), ("PLUME_NAME", "Moved & Renamed")]);
    let server = Plume::start_with_parcel(parcel, None, &variables);
    server.wait_line("event=moved connections=1 ");
    assert_eq!(server.address().to_string(), address);
    assert!(TcpStream::connect(former).is_err(), "nobody listens there any more");
    assert!(String::from_utf8_lossy(&Http::get(&server, "/").body).contains("Moved &amp; Renamed"));
    let mut bob = Client::login(&server, "Bob");
    ada.expect_enters("Bob");
    bob.say("hello");
    ada.expect_line("Bob", "hello");
}

#[test]
fn what_a_bot_that_was_removed_has_begun_ends() {
    let manager = Manager::new();
    let (removed, entry_removed) = new_bot("ci");
    let (kept, entry_kept) = new_bot("cd");
    let both = format!("{entry_removed},{entry_kept}");
    let mut variables = manager.variables();
    variables.push(("PLUME_BOTS", both.as_str()));
    let server = Plume::start(&variables);
    let mut ada = Client::login(&server, "Ada");
    let [mut follower, mut poster, mut kept_follower, mut kept_poster] =
        [&removed, &removed, &kept, &kept].map(|token| (token, Http::open(&server)));
    for (token, http) in [&mut follower, &mut kept_follower] {
        http.send(bot_request("GET", "?follow&limit=0", token, ""));
        assert_eq!(http.answer_to_head().status, 200);
    }
    for (token, http) in [&mut poster, &mut kept_poster] {
        http.send(bot_request("POST", "", token, "Expect: 100-continue\r\nContent-Length: 10\r\n"));
        assert_eq!(http.answer_to_head().status, 100);
        http.send("half ");
    }
    let parcel = manager.stop(server);
    variables = manager.variables();
    variables.push(("PLUME_BOTS", entry_kept.as_str()));
    let server = Plume::start_with_parcel(parcel, None, &variables);
    server.wait_line("event=moved connections=5 ");
    follower.1.expect_end();
    poster.1.expect_end();
    kept_poster.1.send("whole");
    ada.expect_line("cd", "half whole");
    assert!(kept_follower.1.chunk().expect("it goes on").contains("half whole"));
}

#[test]
fn an_address_that_cannot_be_bound_drops_nobody() {
    let manager = Manager::new();
    let mut variables = manager.variables();
    variables.push(("PLUME_METRICS", "127.0.0.1:0"));
    let mut server = Plume::start(&variables);
    let mut ada = Client::login(&server, "Ada");
    let former = server.address();
    let [(_chat, for_chat), (_metrics, for_metrics)] = [listen(), listen()];
    let [for_chat, for_metrics] = [for_chat, for_metrics].map(|address| address.to_string());
    // Somebody else's; and one that no machine has, with the port that it listens on itself.
    let foreign = format!("192.0.2.1:{}", former.port());
    for (address, errno) in [(&for_chat, 98), (&foreign, 99)] {
        let parcel = manager.stop(server);
        variables = manager.variables();
        variables.extend([("PLUME_LISTEN", address.as_str()), ("PLUME_METRICS", for_metrics.as_str())]);
        server = Plume::start_with_parcel(parcel, None, &variables);
        server.wait_line("event=moved ");
        let log = server.log();
        assert!(log.contains(&format!("event=listen-failed for=chat errno={errno}")), "{log}");
        assert!(log.contains("event=listen-failed for=metrics errno=98"), "{log}");
        assert!(log.contains(" metrics=off; "), "{log}");
        assert_eq!(server.address(), former);
        let mut bob = Client::login(&server, "Bob");
        bob.say("still here");
        while ada.expect(1)["text"] != "still here" {}
    }
    // Only the address of the same port changes, which its own listener is in the way of.
    let parcel = manager.stop(server);
    let everywhere = format!("0.0.0.0:{}", former.port());
    variables = manager.variables();
    variables.push(("PLUME_LISTEN", everywhere.as_str()));
    let server = Plume::start_with_parcel(parcel, None, &variables);
    server.wait_line("event=moved ");
    assert!(!server.log().contains("event=listen-failed"), "{}", server.log());
    assert_eq!(server.address().to_string(), everywhere);
    ada.talk("and now");
}

/// Without `FileDescriptorStoreMax=` systemd closes what it is sent.
#[test]
fn a_service_manager_without_a_store_gets_a_restart_as_ever() {
    let manager = Manager::new();
    let mut server = Plume::start(&manager.variables());
    let mut ada = Client::login(&server, "Ada");
    server.signal(Signal::USR2);
    // Thrown away before the barrier is answered, as systemd does.
    drop(manager.expect("FDSTORE=1"));
    drop(manager.expect("BARRIER=1"));
    ada.expect_restart();
    assert_eq!(server.wait_line("event=move-failed"), "event=move-failed reason=not-stored");
    assert_eq!(server.wait_exit().code(), Some(0), "the service manager waits for that");
}

#[test]
fn a_service_manager_that_does_not_answer_gets_a_restart_as_ever() {
    let manager = Manager::new();
    let mut server = Plume::start(&manager.variables());
    let mut ada = Client::login(&server, "Ada");
    let begun = Instant::now();
    server.signal(Signal::USR2);
    ada.expect_restart();
    assert_eq!(server.wait_line("event=move-failed"), "event=move-failed reason=not-stored");
    assert_eq!(server.wait_exit().code(), Some(0));
    assert_took(begun, 900..5_000);
}

#[test]
fn a_parcel_that_is_empty_or_none_is_thrown_away() {
    let manager = Manager::new();
    let pair = || {
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        socketpair(AddressFamily::UNIX, kind, flags, None).expect("there are sockets")
    };
    let (empty, _open) = pair();
    let (closed, _) = pair();
    let (garbage, other) = pair();
    rustix::net::send(&other, b"garbage", rustix::net::SendFlags::empty()).expect("there is room");
    for parcel in [empty, closed, garbage] {
        let server = Plume::start_with_parcel(parcel, None, &manager.variables());
        server.wait_line("event=move-failed reason=unreadable");
        manager.expect("READY=1\nFDSTOREREMOVE=1\nFDNAME=parcel\n");
        Client::login(&server, "Ada");
    }
    // What only bears the name is no parcel at all.
    let server = Plume::start_with_parcel(listen().0.into(), None, &manager.variables());
    Client::login(&server, "Ada");
}

#[test]
fn a_process_that_may_open_fewer_files_starts_without_the_connections() {
    let manager = Manager::new();
    let server = Plume::start(&manager.variables());
    let mut members: Vec<Client> = vec![Client::login(&server, "Ada")];
    for _ in 0..60 {
        let member = Client::resume_of(&server, &members[0], None);
        members.push(member);
    }
    let parcel = manager.stop(server);
    let server = Plume::start_with_parcel_after("ulimit -n 40", parcel, &manager.variables());
    server.wait_line("event=move-failed reason=unreadable");
    for member in &mut members {
        wait_for("end", || matches!(member.next(), crate::support::Event::End(_)).then_some(()));
    }
    Client::login(&server, "Ada");
}
