//! What outlives the process: the folder of `PLUME_DATA` under crashes, faults and by the commands for it.

use crate::moderation::{acted, ask, told, turned_away};
use crate::support::{Client, Ended, Folder, Plume, refused, wait_for};
use plume::data_dir::DataDir;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use rustix::process::Resource;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// The folder of a server, which makes it.
struct Kept(Folder);

impl Kept {
    fn new() -> Self {
        Self(Folder::new("data"))
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn path(&self) -> String {
        self.folder().display().to_string()
    }

    fn start(&self) -> Plume {
        Plume::start(&[
            ("PLUME_DATA", &self.path()),
            ("PLUME_MODERATORS", "Ada@example.org"),
            ("PLUME_RATE", "1000000"),
        ])
    }

    /// Runs the binary where it must end by itself.
    fn run(&self, flags: &[&str]) -> Ended {
        refused(&[("PLUME_DATA", &self.path())], flags)
    }

    /// The state that a process has left for the next one, removed.
    fn take_left(&self) -> Vec<u8> {
        let path = self.file("handover");
        let left = fs::read(&path).expect("a state that was left");
        fs::remove_file(path).expect("it is ours");
        left
    }

    /// Entries in the log at the moment.
    fn count(&self) -> usize {
        DataDir::check(&self.folder()).expect("a good folder").expect("a folder")
    }

    /// Waits until this is in the log, or is not.
    fn wait_saved(&self, part: &str, is_there: bool) {
        wait_for(part, || (self.has(part) == is_there).then_some(()));
    }

    fn has(&self, part: &str) -> bool {
        let log = fs::read(self.file("rules")).expect("a log");
        log.windows(part.len()).any(|bytes| bytes == part.as_bytes())
    }

    /// The domains `@dN.example.org` that are banned, by their numbers, from the folder of a dead server.
    fn banned(&self) -> BTreeSet<usize> {
        let data = DataDir::open(&self.folder(), [0; 32]).expect("a folder that no process uses");
        let keys = data.entries().keys().map(|key| String::from_utf8_lossy(key).into_owned());
        let numbers =
            keys.filter_map(|key| key.split_once('d')?.1.strip_suffix(".example.org")?.parse().ok());
        numbers.collect()
    }
}

#[test]
fn names_sessions_and_rules_outlive_a_crash_and_no_line_or_address_is_on_disk() {
    let folder = Kept::new();
    let server = folder.start();
    let mut ada = Client::login(&server, "Ada");
    let bob = Client::login_as(&server, "Bob", "bob+room@elsewhere.example");
    acted(&mut ada, "/topic The topic of today", &json!({"event": "topic"}));
    ask(&mut ada, "/ban @evil.example.org");
    ada.talk("a line that nobody keeps");
    folder.wait_saved("evil.example.org", true);
    let (ada_token, bob_token) = (ada.token(), bob.token());
    drop(server);
    for file in ["key", "rules"] {
        let bytes = fs::read(folder.file(file)).expect("a file");
        for secret in ["nobody keeps", "elsewhere", "bob+", "Ada@", "ada@", &ada_token, &bob_token] {
            let is_there = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!is_there, "{secret} is in {file}");
        }
    }

    let server = folder.start();
    // Two names, two sessions, the topic and a ban.
    server.wait_line("event=data-read entries=6 dropped=0 cut_bytes=0");
    assert_eq!(Client::with_token(&server, &bob_token).expect(3)["topic"], "The topic of today");
    turned_away(&server, "Mallory", "mallory@evil.example.org");
    assert_eq!(Client::with_hello(&server, "Bob", "thief@example.org").expect(5)["reason"], "name-taken");
}

#[test]
fn a_server_that_has_moved_keeps_what_comes_after_and_what_was_there_before() {
    let folder = Kept::new();
    let server = folder.start();
    let mut ada = Client::login(&server, "Ada");
    let bob = Client::login_as(&server, "Bob", "bob@elsewhere.example");
    ask(&mut ada, "/ban @before.example.org");
    // Not waited for: the move itself waits until it is saved.
    server.move_on();
    ask(&mut ada, "/ban @after.example.org");
    let carl = Client::login(&server, "Carl");
    ada.expect_line("Carl", "entered chat");
    server.move_on();
    folder.wait_saved("after.example.org", true);
    ada.talk("still here");
    let tokens = [ada.token(), bob.token(), carl.token()];
    drop(server);

    let server = folder.start();
    // Three names, three sessions, two bans.
    server.wait_line("event=data-read entries=8 dropped=0 cut_bytes=0");
    for token in tokens {
        Client::with_token(&server, &token).expect(3);
    }
    turned_away(&server, "Mallory", "mallory@before.example.org");
    turned_away(&server, "Mallory", "mallory@after.example.org");
}

#[test]
fn nothing_that_was_written_is_lost_when_the_process_is_killed_at_any_time() {
    let mut random = ChaCha8Rng::seed_from_u64(15);
    let folder = Kept::new();
    let (mut acts, mut rounds) = (0, 0);
    while acts < ACTS {
        rounds += 1;
        let server = folder.start();
        let mut ada = Client::login(&server, "Ada");
        for _ in 0..random.random_range(1..6) {
            for number in acts..acts + BURST {
                ada.say(&format!("/ban @d{number}.example.org 30d"));
            }
            ada.settle();
            acts += BURST;
        }
        folder.wait_saved(&format!("d{}.example.org", acts - 1), true);
        let written = acts;
        // Killed among acts of which nobody knows how far they have come.
        for number in acts..acts + BURST {
            ada.say(&format!("/ban @d{number}.example.org 30d"));
        }
        thread::sleep(Duration::from_micros(random.random_range(0..20_000)));
        drop(server);
        let banned = folder.banned();
        let expected: BTreeSet<usize> = (0..banned.len()).collect();
        assert_eq!(banned, expected, "acts are there in their order, with none left out");
        assert!((written..=written + BURST).contains(&banned.len()), "{} of {written}", banned.len());
        acts = banned.len();
    }
    assert!(rounds > 3, "killed {rounds} times");
    let server = folder.start();
    turned_away(&server, "Mallory", "mallory@d0.example.org");
    turned_away(&server, "Mallory", &format!("mallory@d{}.example.org", acts - 1));
}

/// Acts that survive at least, and how many are sent at once.
const ACTS: usize = 400;
const BURST: usize = 20;

#[test]
fn a_second_process_is_kept_out_and_the_first_goes_on() {
    let folder = Kept::new();
    let server = folder.start();
    for flags in [&[][..], &["--forget", "ada@example.org"]] {
        let output = folder.run(flags);
        assert_eq!(output.code, Some(2), "{output:?}");
        let line = format!(
            "plume: cannot use the folder {} (PLUME_DATA): another process uses it; stop that one first\n",
            folder.path()
        );
        assert_eq!(output.stderr, line);
    }
    assert_eq!(folder.run(&["--check"]).code, Some(0), "a check needs no lock");
    let mut ada = Client::login(&server, "Ada");
    acted(&mut ada, "/topic Still here", &json!({"event": "topic"}));
    folder.wait_saved("Still here", true);
    drop(server);
    drop(folder.start());
}

#[test]
fn a_folder_that_cannot_be_used_ends_the_start_with_what_to_do() {
    type Spoil = fn(&Kept);
    let rows: [(Spoil, &str); 7] = [
        (
            |folder| mode(folder, "", 0o755),
            "its mode is 0755, so that other users could read it; chmod 700 it",
        ),
        (
            |folder| mode(folder, "key", 0o640),
            "the mode of key in it is 0640, so that other users could read it",
        ),
        (|folder| fs::remove_file(folder.file("key")).unwrap(), "key in it is missing"),
        (|folder| fs::write(folder.file("key"), "x").unwrap(), "key in it has 1 bytes instead of 32"),
        (|folder| edit(folder, |log| log[8] = 9), "rules in it has format version 9, which a newer Plume"),
        (
            |folder| edit(folder, |log| log[60] ^= 1),
            "rules in it is damaged in record 1, at byte 32; restore",
        ),
        (|folder| fs::write(folder.file("rules"), "x").unwrap(), "rules in it was not written by Plume"),
    ];
    for (spoil, expected) in rows {
        let folder = Kept::new();
        let mut server = folder.start();
        for name in ["Ada", "Bob", "Carol"] {
            Client::login(&server, name);
        }
        server.terminate();
        spoil(&folder);
        let before = fs::read(folder.file("rules")).unwrap();
        for flags in [&[][..], &["--check"], &["--forget", "ada@example.org"]] {
            let output = folder.run(flags);
            assert_eq!(output.code, Some(2), "{expected}: {output:?}");
            let line = output.stderr;
            assert!(line.contains(expected) && line.lines().count() == 1, "{expected}: {line}");
        }
        assert_eq!(fs::read(folder.file("rules")).unwrap(), before, "{expected}");
    }
    let output = refused(&[("PLUME_DATA", "/nowhere/at/all")], &[]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("it does not exist, nor does the folder above it"), "{output:?}");
}

fn mode(folder: &Kept, name: &str, mode: u32) {
    fs::set_permissions(folder.file(name), Permissions::from_mode(mode)).expect("a file of ours");
}

fn edit(folder: &Kept, edit: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(folder.file("rules")).expect("a log");
    edit(&mut bytes);
    fs::write(folder.file("rules"), bytes).expect("a file of ours");
}

#[test]
fn a_torn_end_is_cut_off_and_said_in_the_log() {
    let folder = Kept::new();
    let mut server = folder.start();
    Client::login(&server, "Ada");
    server.terminate();
    folder.take_left();
    let whole = fs::read(folder.file("rules")).unwrap();
    fs::write(folder.file("rules"), [&whole[..], &[0; 40]].concat()).unwrap();
    let server = folder.start();
    server.wait_line("event=data-read entries=2 dropped=0 cut_bytes=40");
    assert_eq!(fs::read(folder.file("rules")).unwrap(), whole);
}

#[test]
fn rules_are_in_force_while_the_disk_takes_nothing_and_are_saved_at_the_end() {
    let folder = Kept::new();
    let mut server = folder.start();
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    folder.wait_saved("Bob", true);
    let size = fs::metadata(folder.file("rules")).unwrap().len();
    // As a full disk: part of a record is still written.
    server.limit(Resource::Fsize, Some(size + 10), None);
    ask(&mut ada, "/ban @evil.example.org");
    let line = server.wait_line("event=data-failed ");
    assert!(line.contains(" errno=27 reason=file-limit hint="), "{line}");
    let notice = ada.message();
    assert!(notice["text"].as_str().is_some_and(|text| text.contains("cannot be saved")), "{notice}");
    assert!(notice["id"].is_null());
    let others = bob.settle();
    assert!(others.iter().all(|message| !message.to_string().contains("saved")), "{others:?}");
    turned_away(&server, "Mallory", "mallory@evil.example.org");
    acted(&mut ada, "/topic Said meanwhile", &json!({"event": "topic"}));
    assert!(!folder.has("Said meanwhile"));
    assert_eq!(server.log().matches("event=data-failed").count(), 1, "said once");
    server.limit(Resource::Fsize, None, None);
    server.terminate();
    folder.take_left();
    let server = folder.start();
    turned_away(&server, "Mallory", "mallory@evil.example.org");
    let mut ada = Client::login(&server, "Ada");
    told(&mut ada, "/topic", "Said meanwhile");
}

#[test]
fn a_person_can_be_removed_while_no_server_runs() {
    let folder = Kept::new();
    let mut server = folder.start();
    let mut ada = Client::login(&server, "Ada");
    Client::login_as(&server, "Zacharias", "zach+chat@example.org");
    ask(&mut ada, "/ban Zacharias");
    let mut dora = Client::login_as(&server, "Dora", "dora@example.org");
    ask(&mut dora, "/report Ada is too kind");
    server.terminate();
    let before = folder.count();
    assert!(folder.file("handover").exists());
    assert!(folder.has("Zacharias") && folder.has("too kind"));
    for (address, expected) in [
        ("nobody@example.org", "0 entries removed, 0 bans left without a name\n"),
        // A banned person has no session any more.
        ("Zach@example.org", "1 entries removed, 1 bans left without a name\n"),
        ("zach+chat@example.org", "0 entries removed, 0 bans left without a name\n"),
        // A name, a session and a report.
        ("dora@example.org", "3 entries removed, 0 bans left without a name\n"),
    ] {
        let output = folder.run(&["--forget", address]);
        assert_eq!(output.code, Some(0), "{address}: {output:?}");
        assert_eq!(output.stdout, expected, "{address}");
    }
    assert!(!folder.has("Zacharias") && !folder.has("too kind") && folder.has("Ada"));
    assert!(!folder.file("handover").exists(), "addresses are in clear there");
    assert_eq!(folder.count(), before - 4);
    let server = folder.start();
    turned_away(&server, "Another", "zach@example.org");
    Client::login_as(&server, "Zacharias", "somebody.else@example.org");
}

#[test]
fn the_room_goes_on_after_an_orderly_stop_without_a_service_manager() {
    let folder = Kept::new();
    let mut server = folder.start();
    let [mut ada, mut bob] = Client::login_all(&server, ["Ada", "Bob"]);
    let seen = ada.talk("said before")["id"].as_u64();
    bob.expect_line("Ada", "said before");
    bob.say("said last");
    ada.expect_line("Bob", "said last");
    assert_eq!(server.terminate().code(), Some(0));
    let path = folder.file("handover");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let mut server = folder.start();
    server.wait_line("event=moved connections=0");
    assert!(!path.exists(), "it is read once");
    let mut back = Client::open(&server);
    back.resume(&ada.token(), Some(&ada.run()), seen);
    assert_eq!(back.expect(3)["run"], ada.run());
    back.expect_line("Bob", "said last");
    // Within the grace nobody has left or entered.
    let mut bobs = Client::open(&server);
    bobs.resume(&bob.token(), Some(&bob.run()), seen);
    assert_eq!(bobs.expect(3)["count"], 2);
    bobs.expect_line("Bob", "said last");
    back.say("and on");
    bobs.expect_line("Ada", "and on");

    // A state that is no more than a part of one, too old or of another boot is as none.
    server.terminate();
    let left = folder.take_left();
    fs::write(&path, &left[..left.len() - 1]).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let mut server = folder.start();
    server.wait_line("event=data-read entries=4");
    assert!(!path.exists());
    let mut again = Client::open(&server);
    again.resume(&ada.token(), Some(&ada.run()), seen);
    assert_ne!(again.expect(3)["run"], ada.run());
    server.kill();
    assert!(!path.exists(), "a crash leaves nothing");
}

#[test]
fn forgetting_needs_an_address_and_a_folder() {
    let folder = Kept::new();
    let path = folder.path();
    let data = [("PLUME_DATA", path.as_str())];
    for (variables, flags, expected) in [
        (&[][..], &["--forget", "ada@example.org"][..], "PLUME_DATA is not set, so nothing is on disk"),
        (&data, &["--forget"], "--forget: needs a value"),
        (&data, &["--forget", "S3CRET"], "--forget must be an email address"),
        (&data, &["--forget=ada@example.org"], "there is nothing to forget"),
        (&[], &["--forget", "ada@example.org", "--data", &path, "--nope"], "--nope: "),
    ] {
        let Ended { code, stderr, .. } = refused(variables, flags);
        assert_eq!(code, Some(2), "{flags:?}: {stderr}");
        assert!(stderr.contains(expected) && !stderr.contains("S3CRET"), "{flags:?}: {stderr}");
    }
    assert!(!folder.folder().exists(), "nothing was made");
}
