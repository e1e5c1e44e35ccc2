//! The move of a running server to the next program by SIGUSR2: with all its connections, or, where that
//! fails, as a restart without it.

use crate::support::{
    Behaviour, Client, FakeMailgun, Folder, Http, Metrics, Plume, connect_narrow, follow, frame, listen,
    other_than, refused, wait_for, with_bot,
};
use crate::unix_socket::SocketPath;
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A copy of the binary, which a test replaces by another program.
struct Program(Folder);

impl Program {
    fn new(name: &str) -> Self {
        let program = Self(Folder::new(name));
        fs::copy(env!("CARGO_BIN_EXE_plume"), program.path()).expect("there is room for a copy");
        program
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("plume")
    }

    /// Replaces it, as a package manager does.
    fn replace(&self, script: &str) {
        let next = self.path().with_extension("next");
        fs::write(&next, format!("#!/bin/sh\n{script}\n")).expect("it is ours");
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::rename(&next, self.path()).expect("it is ours");
    }
}

/// The texts of the lines that `client` gets, up to one that says `last`.
fn lines_up_to(client: &mut Client, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != last) {
        let line = client.expect(1);
        texts.push(line["text"].as_str().expect("a line has a text").to_owned());
    }
    texts
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("line {n}")).collect()
}

#[test]
fn members_stay_over_ten_moves_and_no_line_is_lost_doubled_or_reordered() {
    const MOVES: usize = 10;
    const LINES: usize = 20;
    let server = Plume::start(&[("PLUME_RATE", "1000000")]);
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    for turn in 0..MOVES {
        let range = turn * LINES..(turn + 1) * LINES;
        for text in numbered(range.clone()) {
            ada.say(&text);
            if text.ends_with('5') {
                server.signal(Signal::USR2);
            }
        }
        let last = numbered(range.clone()).pop().expect("there are lines");
        assert_eq!(lines_up_to(&mut bob, &last), numbered(range.clone()));
        assert_eq!(lines_up_to(&mut ada, &last), numbered(range));
        server.move_on();
    }
    // Ids and all else go on, too: who comes now continues the same run.
    let mut again = Client::resume_of(&server, &bob, Some(bob.last()));
    assert_eq!(again.run(), bob.run());
    again.say("still Bob");
    for client in [&mut ada, &mut bob] {
        client.expect_line("Bob", "still Bob");
        client.expect_nothing();
    }
    assert!(!server.log().contains("event=closed"), "{}", server.log());
}

#[test]
fn a_thousand_members_stay() {
    const MEMBERS: usize = 1_000;
    crate::support::raise_file_limit();
    let server = Plume::start(&[
        ("PLUME_RATE", "1000000"),
        ("PLUME_TRUSTED_PROXIES", "127.0.0.1"),
        ("PLUME_HISTORY", "0"),
    ]);
    let mut ada = Client::login(&server, "Ada");
    let token = ada.token();
    let mut members: Vec<Client> = (0..MEMBERS)
        .map(|n| {
            let mut member = Client::open_for(&server, &format!("10.0.{}.{}", n / 50, n % 50 + 1));
            member.resume(&token, None, None);
            member.expect(3);
            member
        })
        .collect();
    for turn in 0..5 {
        for text in numbered(10 * turn..10 * turn + 10) {
            ada.say(&text);
        }
        let line = server.move_on();
        assert!(line.starts_with(&format!("event=moved connections={} ", MEMBERS + 1)), "{line}");
    }
    let all = numbered(0..50);
    for member in members.iter_mut().chain([&mut ada]) {
        assert_eq!(lines_up_to(member, "line 49"), all);
        member.expect_nothing();
    }
}

#[test]
fn what_was_sent_or_read_by_half_is_finished() {
    let server = Plume::start(&[("PLUME_RATE", "1000000")]);
    let mut ada = Client::login(&server, "Ada");
    let mut request = Http::open(&server);
    request.send("GET /healthz HTTP/1.1\r\nHo");
    let mut upgrade = Http::open(&server);
    upgrade.send("GET /connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    // A message of three frames, cut within the second, with a ping between them.
    let text = json!({"type": 1, "text": "long ".repeat(1_000)}).to_string();
    let (one, rest) = text.as_bytes().split_at(700);
    let (two, three) = rest.split_at(2_000);
    let bytes = [frame(0x01, one), frame(0x89, b"ping"), frame(0x00, two), frame(0x80, three)].concat();
    let mut sent = 0;
    for upto in [1, 3, 8, 650, 1_200, 3_000, bytes.len() - 1, bytes.len()] {
        ada.send_raw(&bytes[sent..upto]);
        sent = upto;
        server.move_on();
    }
    assert_eq!(ada.expect(1)["text"], json!("long ".repeat(1_000)));
    request.send("st: x\r\n\r\n");
    assert_eq!(request.answer().status, 200);
    server.move_on();
    upgrade.send("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    let answer = upgrade.answer_to_head();
    assert_eq!((answer.status, answer.must("sec-websocket-accept")), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn a_member_that_reads_slowly_gets_every_line_whole() {
    let server = Plume::start(&[("PLUME_RATE", "1000000")]);
    let mut slow =
        Client::over(connect_narrow(&server, 64 << 10), &server).log_in(&server, "Bob", "bob@example.org");
    let mut ada = Client::login(&server, "Ada");
    slow.expect_enters("Ada");
    let texts: Vec<String> = (0..20).map(|n| format!("{n} {}", "x".repeat(60_000))).collect();
    for (n, text) in texts.iter().enumerate() {
        ada.talk(text);
        if n % 5 == 3 {
            server.move_on();
        }
    }
    for (n, text) in texts.iter().enumerate() {
        slow.expect_line("Ada", text);
        if n % 5 == 3 {
            server.move_on();
        }
    }
    slow.say("all read");
    ada.expect_line("Bob", "all read");
}

#[test]
fn a_code_that_was_sent_before_works_after_and_its_tries_count_on() {
    let server = Plume::start(&[]);
    let mut guest = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    server.move_on();
    let wrong = other_than(&code);
    guest.auth(&wrong);
    let left = guest.expect(4)["left"].as_u64().expect("tries are counted");
    server.move_on();
    guest.auth(&wrong);
    guest.expect_rejected(left - 1);
    server.move_on();
    guest.auth(&code);
    guest.enter();
    // So do a session, the run and the ids.
    let mut again = Client::resume_of(&server, &guest, Some(guest.last()));
    again.say("hello");
    guest.expect_line("Ada", "hello");
}

#[test]
fn a_follower_of_lines_follows_on() {
    let (server, token) = with_bot("ci", &[]);
    let mut follower = follow(&server, &token, "?follow");
    let mut ada = Client::login(&server, "Ada");
    assert!(follower.chunk().expect("goes on").contains("entered chat"));
    for text in ["one", "two", "three"] {
        server.move_on();
        ada.talk(text);
        let line = follower.chunk().expect("goes on");
        assert!(line.contains(&format!("\"{text}\"")) && line.lines().count() == 1, "{line}");
    }
}

#[test]
fn an_email_that_is_sent_within_a_second_is_sent_once_and_a_slower_one_again() {
    let slow = Behaviour::Slow(Duration::from_millis(300));
    let mailgun = FakeMailgun::start(&[slow, Behaviour::Slow(Duration::from_mins(1))]);
    let server = mailgun.plume(&[]);
    let mut ada = Client::asking(&server, "Ada");
    let first = mailgun.next();
    server.move_on();
    assert_eq!(mailgun.count(), 1);
    ada.auth(&first.code());
    ada.enter();
    let mut bob = Client::asking(&server, "Bob");
    let lost = mailgun.next();
    ada.expect_nothing();
    server.move_on();
    let again = mailgun.next();
    assert_eq!(again.code(), lost.code());
    bob.auth(&again.code());
    bob.enter();
    assert_eq!(mailgun.count(), 3);
}

#[test]
fn signals_in_quick_succession_harm_nothing() {
    let mut server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    for _ in 0..100 {
        server.signal(Signal::USR2);
        std::thread::sleep(Duration::from_millis(2));
    }
    server.signal(Signal::HUP);
    server.move_on();
    ada.talk("still here");
    // One that ends, while it moves.
    server.signal(Signal::USR2);
    server.signal(Signal::TERM);
    ada.expect_restart();
    assert_eq!(server.wait_exit().code(), Some(0));
}

#[test]
fn a_move_during_the_end_does_not_happen() {
    let mut server = Plume::start(&[]);
    // Does not answer the close, and delays the end by that.
    let _stuck = Client::login(&server, "Ada");
    server.signal(Signal::TERM);
    server.wait_line("event=stopping");
    server.signal(Signal::USR2);
    assert_eq!(server.wait_exit().code(), Some(0));
    assert!(!server.log().contains("event=move"), "{}", server.log());
}

#[test]
fn a_signal_to_stop_in_the_middle_of_a_move_stops() {
    let program = Program::new("stopped");
    let mut server = Plume::start_program(&program.path(), &[]);
    let mut ada = Client::login(&server, "Ada");
    let asked = program.path().with_extension("asked");
    program.replace(&format!("touch {}; sleep 1; exit 0", asked.display()));
    server.signal(Signal::USR2);
    wait_for("check of the next program", || asked.exists().then_some(()));
    server.signal(Signal::TERM);
    ada.expect_restart();
    assert_eq!(server.wait_exit().code(), Some(0));
    assert!(!server.log().contains("event=move"), "{}", server.log());
}

/// Not even the end that follows is another than that of any restart.
#[test]
fn a_next_program_that_cannot_go_on_is_not_moved_to() {
    let rows = [
        ("exit 1", "refused"),
        ("kill -9 $$", "refused"),
        ("exec sleep 30", "late"),
        // It takes the check, and cannot be executed afterwards.
        ("rm \"$0\"; exit 0", "not-started"),
    ];
    for (n, (script, reason)) in rows.into_iter().enumerate() {
        let program = Program::new(&format!("bad-{n}"));
        let mut server = Plume::start_program(&program.path(), &[]);
        let mut ada = Client::login(&server, "Ada");
        let mut guest = Client::open(&server);
        server.move_on();
        ada.say("last words");
        program.replace(script);
        server.signal(Signal::USR2);
        ada.expect_line("Ada", "last words");
        for client in [&mut ada, &mut guest] {
            client.expect_restart();
        }
        let line = server.wait_line("event=move-failed");
        assert_eq!(line, format!("event=move-failed reason={reason}"), "{script}");
        // Whoever restarts what has failed starts it again.
        assert_eq!(server.wait_exit().code(), Some(1), "{script}");
        server.wait_line(&format!("plume: cannot move to the next process ({reason})"));
    }
}

#[test]
fn a_program_that_is_gone_is_not_moved_to() {
    let program = Program::new("gone");
    let mut server = Plume::start_program(&program.path(), &[]);
    let mut ada = Client::login(&server, "Ada");
    fs::remove_file(program.path()).expect("it is ours");
    server.signal(Signal::USR2);
    ada.expect_restart();
    server.wait_line("event=move-failed reason=not-started");
    server.wait_exit();
}

#[test]
fn a_full_server_has_descriptors_left_to_move() {
    let server = Plume::start_after("ulimit -n 48", &[]);
    let mut guests: Vec<Client> = (0..16).map(|_| Client::open(&server)).collect();
    // Those over the limit, with the answer that they get.
    let mut refused: Vec<Http> = (0..4).map(|_| Http::open(&server)).collect();
    for http in &mut refused {
        http.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(http.answer().status, 503);
    }
    for _ in 0..3 {
        server.move_on();
    }
    for guest in &mut guests {
        guest.expect_nothing();
    }
}

/// The sockets are there, but nothing can be opened to pass them on.
#[test]
fn a_process_without_a_descriptor_to_spare_ends_as_by_any_restart() {
    let mut server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    server.limit_files(Some(3));
    server.signal(Signal::USR2);
    ada.expect_restart();
    // EMFILE.
    assert_eq!(server.wait_line("event=move-failed"), "event=move-failed reason=errno-24");
    assert_eq!(server.wait_exit().code(), Some(1));
}

/// The settings are those of the environment, but what they name can have changed.
#[test]
fn settings_that_are_wrong_by_now_are_found_before_the_move() {
    let folder = Folder::new("page");
    for file in fs::read_dir("static").expect("it is there") {
        let file = file.expect("it is there").path();
        fs::copy(&file, folder.path().join(file.file_name().expect("it has a name"))).expect("there is room");
    }
    let mut server = Plume::start(&[("PLUME_STATIC", folder.setting())]);
    let mut ada = Client::login(&server, "Ada");
    server.move_on();
    drop(folder);
    server.signal(Signal::USR2);
    ada.expect_notice("restarting");
    server.wait_line("plume: cannot serve the folder ");
    server.wait_line("event=move-failed reason=refused");
    ada.expect_close(1012);
    server.wait_exit();
}

#[test]
fn a_process_without_a_parcel_starts_as_ever() {
    // Its stdin is /dev/null.
    let server = Plume::start(&[("HANDOVER", "exec")]);
    server.wait_line("event=move-failed reason=unreadable");
    let mut ada = Client::login(&server, "Ada");
    server.move_on();
    ada.talk("moved");
    // And a check without a state says no, and does nothing else.
    let ended = refused(&[("HANDOVER", "check"), ("PLUME_LISTEN", &server.address().to_string())], &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert_eq!(ended.stderr, "plume: cannot go on from the state of the running server\n");
}

#[test]
fn a_unix_socket_and_its_file_move_too() {
    let path = SocketPath::new("moved");
    let mut server = Plume::start(&[("PLUME_LISTEN", &path.setting())]);
    let mut ada = Client::asking(&server, "Ada");
    server.move_on();
    ada.auth(&server.code_for("Ada"));
    ada.enter();
    server.move_on();
    ada.talk("moved");
    assert_eq!(Http::get(&server, "/healthz").text(), "ok", "it is the same file, and works");
    drop(ada);
    assert_eq!(server.terminate().code(), Some(0));
    assert!(!path.0.exists(), "the file goes with the last process");
}

#[test]
fn a_passed_socket_moves_by_exec_though_nobody_passes_it_again() {
    let server = Plume::start_with_socket(listen().0, &[("LISTEN_FDNAMES", "plume.socket")]);
    let mut ada = Client::login(&server, "Ada");
    server.move_on();
    server.move_on();
    let mut bob = Client::login(&server, "Bob");
    ada.expect_enters("Bob");
    bob.say("hello");
    ada.expect_line("Bob", "hello");
    let starts: Vec<String> =
        server.log().lines().filter(|line| line.contains("listening on")).map(str::to_owned).collect();
    assert!(starts.len() == 3 && starts.iter().all(|line| line.contains(" socket=passed; ")), "{starts:?}");
}

#[test]
fn metrics_say_how_long_the_move_took_and_stay_where_they_were() {
    let server = Plume::start(&[("PLUME_METRICS", "127.0.0.1:0")]);
    let [_ada, _bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let metrics = Metrics::of(&server);
    assert_eq!(
        (metrics.text_of("plume_move_connections"), metrics.text_of("plume_move_seconds")),
        ("0", "0.000")
    );
    let begun = Instant::now();
    let line = server.move_on();
    let took = begun.elapsed().as_secs_f64();
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.text_of("plume_move_connections"), "2");
    let seconds = metrics.number("plume_move_seconds");
    assert!(seconds > 0.0 && seconds <= took, "{seconds} {took}");
    let field = |name: &str| -> f64 {
        let (_, rest) = line.split_once(&format!(" {name}=")).expect("the log says it, too");
        rest.split(' ').next().and_then(|value| value.parse().ok()).expect("it is a number")
    };
    assert!((field("ms") / 1_000.0 - seconds).abs() < 1e-6 && field("bytes") > 500.0, "{line}");
}
