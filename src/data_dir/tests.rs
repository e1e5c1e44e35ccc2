//! The folder with real files, and a disk that fails, hangs or loses power at any step.

use super::folder::{Disk, Folder, Owner};
use super::record::{self, KeyId};
use super::store::Store;
use super::{DataDir, DataError, KEY_BYTES, Keeper, Report};
use crate::kept::{Change, Entries};
use crate::limits::{DATA_DEAD_MAX, DATA_ENTRY_BYTES_MAX, DATA_REWRITE_BYTES_MIN, DATA_WAITING_MAX};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

/// A folder for one test.
struct Temp(PathBuf);

impl Temp {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // In memory, where there is such a place: thousands of syncs of a disk take minutes.
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = parent.join(format!("plume-data-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The bytes of all files, by name.
    fn bytes(&self) -> Vec<(String, Vec<u8>)> {
        self.names().into_iter().map(|name| (name.clone(), fs::read(self.file(&name)).unwrap())).collect()
    }

    fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.file(name), Permissions::from_mode(mode)).unwrap();
    }

    fn open(&self) -> Result<DataDir, DataError> {
        DataDir::open(&self.0, KEY)
    }

    fn entries(&self) -> Entries {
        self.open().unwrap().entries().clone()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const KEY: [u8; KEY_BYTES] = [3; KEY_BYTES];
const MINUTE: Duration = Duration::from_mins(1);

fn change(key: &str, value: Option<&str>) -> Change {
    Change { key: key.as_bytes().to_vec(), value: value.map(|value| value.as_bytes().to_vec()) }
}

fn put(data: &mut DataDir, key: &str, value: Option<&str>) {
    data.store.apply(change(key, value)).unwrap();
    data.store.save(Instant::now()).unwrap();
}

fn entries(of: &[(&str, &str)]) -> Entries {
    of.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_folder_is_made_with_a_key_and_an_empty_log() {
    let temp = Temp::new();
    let path = temp.file("data");
    assert_eq!(DataDir::check(&path), Ok(None));
    assert!(!path.exists(), "a check makes nothing");
    let data = DataDir::open(&path, KEY).unwrap();
    assert_eq!((data.key(), data.entries().len(), data.cut_bytes()), (&KEY, 0, 0));
    assert_eq!(fs::read(path.join("key")).unwrap(), KEY);
    assert_eq!(mode(&path), 0o700);
    assert_eq!((mode(&path.join("key")), mode(&path.join("rules"))), (0o600, 0o600));
    drop(data);
    // Another start keeps the key.
    let data = DataDir::open(&path, [9; KEY_BYTES]).unwrap();
    assert_eq!(data.key(), &KEY);
    assert_eq!(DataDir::check(&path), Ok(Some(0)), "also while a process uses it");
}

#[test]
fn changes_are_there_after_the_next_start_and_a_key_is_never_in_the_log() {
    let temp = Temp::new();
    let mut data = temp.open().unwrap();
    put(&mut data, "ada", Some("moderator"));
    put(&mut data, "bob", Some("banned"));
    put(&mut data, "ada", None);
    drop(data);
    assert_eq!(temp.entries(), entries(&[("bob", "banned")]));
    assert_eq!(DataDir::check(&temp.0), Ok(Some(1)));
    let log = fs::read(temp.file("rules")).unwrap();
    assert!(!log.windows(KEY_BYTES).any(|bytes| bytes == KEY));
}

/// Each makes something of a good folder that must not be used.
#[test]
fn a_folder_that_is_not_as_it_was_left_is_refused_and_not_changed() {
    type Spoil = fn(&Temp);
    let rows: [(&str, Spoil, DataError); 14] = [
        ("open to the group", |temp| temp.set_mode("", 0o750), DataError::WideFolder(0o750)),
        ("open to all", |temp| temp.set_mode("", 0o1777), DataError::WideFolder(0o1777)),
        ("a key for all", |temp| temp.set_mode("key", 0o644), DataError::WideKey(0o644)),
        ("a key that others may write", |temp| temp.set_mode("key", 0o620), DataError::WideKey(0o620)),
        ("no key", |temp| fs::remove_file(temp.file("key")).unwrap(), DataError::NoKey),
        ("an empty key", |temp| fs::write(temp.file("key"), "").unwrap(), DataError::KeySize(0)),
        ("a short key", |temp| fs::write(temp.file("key"), [3; 31]).unwrap(), DataError::KeySize(31)),
        ("a long key", |temp| fs::write(temp.file("key"), [3; 33]).unwrap(), DataError::KeySize(33)),
        ("another key", |temp| fs::write(temp.file("key"), [4; 32]).unwrap(), DataError::OtherKey),
        (
            "a folder for a key",
            |temp| {
                fs::remove_file(temp.file("key")).unwrap();
                fs::create_dir(temp.file("key")).unwrap();
                temp.set_mode("key", 0o700);
            },
            DataError::KeyNotAFile,
        ),
        ("an empty log", |temp| fs::write(temp.file("rules"), "").unwrap(), DataError::NotALog),
        ("a text for a log", |temp| fs::write(temp.file("rules"), [b'x'; 99]).unwrap(), DataError::NotALog),
        (
            "a log of the future",
            |temp| edit(&temp.file("rules"), |log| log[8] = 2),
            DataError::NewerVersion(2),
        ),
        (
            "a bad record",
            |temp| edit(&temp.file("rules"), |log| log[60] ^= 4),
            DataError::BadRecord { number: 1, at: record::HEAD_BYTES },
        ),
    ];
    for (what, spoil, expected) in rows {
        let temp = Temp::new();
        let mut data = temp.open().unwrap();
        put(&mut data, "a", Some("a value of some length, so that there is a byte to change"));
        put(&mut data, "b", Some("2"));
        drop(data);
        spoil(&temp);
        let files = || temp.names().into_iter().map(|name| (fs::read(temp.file(&name)).ok(), name)).collect();
        let before: Vec<_> = files();
        assert_eq!(DataDir::check(&temp.0), Err(expected), "{what}");
        let error = temp.open().unwrap_err();
        assert_eq!(DataDir::check(&temp.0), Err(error), "{what}");
        let after: Vec<_> = files();
        assert!(before == after, "{what}: nothing has changed");
    }
}

fn edit(path: &Path, edit: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn only_a_folder_that_can_be_ours_is_used() {
    let temp = Temp::new();
    fs::write(temp.file("file"), "").unwrap();
    symlink(temp.file("nowhere"), temp.file("dangling")).unwrap();
    for (path, expected) in [
        ("file", DataError::NotAFolder),
        ("file/data", DataError::NotAFolder),
        ("none/data", DataError::NoParent),
    ] {
        assert_eq!(DataDir::open(&temp.file(path), KEY).unwrap_err(), expected, "{path}");
        assert_eq!(DataDir::check(&temp.file(path)).unwrap_err(), expected, "{path}");
    }
    let error = DataDir::open(&temp.file("dangling"), KEY).unwrap_err();
    assert!(error.to_string().starts_with("cannot make it: "), "{error}");
    // As under systemd with DynamicUser=yes.
    fs::create_dir(temp.file("private")).unwrap();
    temp.set_mode("private", 0o700);
    symlink(temp.file("private"), temp.file("link")).unwrap();
    drop(DataDir::open(&temp.file("link"), KEY).unwrap());
    assert!(temp.file("private/rules").exists());
}

#[test]
fn a_second_user_of_the_folder_is_kept_out() {
    let temp = Temp::new();
    let first = temp.open().unwrap();
    assert_eq!(temp.open().unwrap_err(), DataError::InUse);
    assert!(DataDir::check(&temp.0).is_ok(), "a check needs no lock");
    drop(first);
    drop(temp.open().unwrap());
}

#[test]
fn a_torn_end_is_cut_off_the_file_and_the_log_goes_on() {
    let temp = Temp::new();
    let mut data = temp.open().unwrap();
    put(&mut data, "a", Some("1"));
    let whole = fs::read(temp.file("rules")).unwrap().len();
    put(&mut data, "b", Some("a longer value, and so a record of several times 16 bytes"));
    drop(data);
    let all = fs::read(temp.file("rules")).unwrap();
    for end in whole + 1..all.len() {
        fs::write(temp.file("rules"), &all[..end]).unwrap();
        let mut data = temp.open().unwrap();
        assert_eq!(
            (data.entries(), data.cut_bytes()),
            (&entries(&[("a", "1")]), end - whole),
            "cut at {end}"
        );
        assert_eq!(fs::read(temp.file("rules")).unwrap(), all[..whole], "cut at {end}");
        put(&mut data, "c", Some("3"));
        drop(data);
        assert_eq!(temp.entries(), entries(&[("a", "1"), ("c", "3")]), "cut at {end}");
    }
}

#[test]
fn what_a_crash_left_beside_the_log_is_removed() {
    let temp = Temp::new();
    drop(temp.open().unwrap());
    fs::write(temp.file("rules.new"), "half a log").unwrap();
    drop(temp.open().unwrap());
    assert_eq!(temp.names(), ["key", "rules"]);
    // A crash at the first start, before there was a key.
    fs::remove_file(temp.file("key")).unwrap();
    fs::remove_file(temp.file("rules")).unwrap();
    fs::write(temp.file("key.new"), "half a key").unwrap();
    assert_eq!(temp.open().unwrap().key(), &KEY);
    assert_eq!(temp.names(), ["key", "rules"]);
    // ... and after it.
    fs::remove_file(temp.file("rules")).unwrap();
    assert_eq!(temp.entries(), Entries::new());
}

#[test]
fn nothing_is_written_if_nothing_changes() {
    let temp = Temp::new();
    let mut data = temp.open().unwrap();
    put(&mut data, "a", Some("1"));
    drop(data);
    let before = (temp.bytes(), fs::metadata(temp.file("rules")).unwrap().mtime_nsec());
    let mut data = temp.open().unwrap();
    put(&mut data, "a", Some("1"));
    put(&mut data, "b", None);
    data.store.apply(change("c", Some("3"))).unwrap();
    data.store.apply(change("c", None)).unwrap();
    assert!(!data.store.is_due(Instant::now()));
    data.store.save(Instant::now()).unwrap();
    drop(data);
    assert!((temp.bytes(), fs::metadata(temp.file("rules")).unwrap().mtime_nsec()) == before);
}

#[test]
fn a_log_is_rewritten_when_over_twice_as_long_as_its_entries_and_not_before() {
    let temp = Temp::new();
    let mut data = temp.open().unwrap();
    let size = || usize::try_from(fs::metadata(temp.file("rules")).unwrap().len()).unwrap();
    let value = "v".repeat(4_000);
    let mut longest = 0;
    for number in 0..60 {
        put(&mut data, &format!("key {}", number % 4), Some(&format!("{number} {value}")));
        longest = longest.max(size());
    }
    let live = 4 * value.len();
    assert!(longest > 2 * live + DATA_REWRITE_BYTES_MIN - 5_000, "not before: {longest}");
    assert!(longest < 2 * live + DATA_REWRITE_BYTES_MIN + 5_000, "no later: {longest}");
    assert_eq!(data.entries().len(), 4);
    let last = data.entries().clone();
    drop(data);
    assert_eq!(temp.entries(), last);
}

#[test]
fn what_is_gone_is_gone_from_the_log_within_a_day_or_at_the_next_start() {
    let is_there =
        |temp: &Temp| fs::read(temp.file("rules")).unwrap().windows(6).any(|part| part == b"secret");
    let temp = Temp::new();
    let mut data = temp.open().unwrap();
    put(&mut data, "a", Some("secret"));
    put(&mut data, "b", Some("2"));
    assert_eq!(data.store.next_deadline(), None);
    put(&mut data, "a", None);
    let deadline = data.store.next_deadline().unwrap();
    assert!(deadline <= Instant::now() + DATA_DEAD_MAX);
    data.store.save(deadline.checked_sub(Duration::from_secs(1)).unwrap()).unwrap();
    assert!(is_there(&temp));
    data.store.save(deadline).unwrap();
    assert!(!is_there(&temp));
    assert_eq!(data.store.next_deadline(), None);
    put(&mut data, "c", Some("secret"));
    put(&mut data, "c", Some("new"));
    drop(data);
    let data = temp.open().unwrap();
    assert!(is_there(&temp));
    let keeper = Keeper::start(data, || {}).unwrap();
    assert!(keeper.finish());
    assert!(!is_there(&temp));
    assert_eq!(temp.entries(), entries(&[("b", "2"), ("c", "new")]));
}

#[test]
fn a_log_that_somebody_removes_is_written_anew() {
    let temp = Temp::new();
    let mut data = temp.open().unwrap();
    put(&mut data, "a", Some("1"));
    fs::remove_file(temp.file("rules")).unwrap();
    data.store.apply(change("b", Some("2"))).unwrap();
    assert!(data.store.save(Instant::now()).is_err(), "it is noticed");
    data.store.save(Instant::now()).unwrap();
    drop(data);
    assert_eq!(temp.entries(), entries(&[("a", "1"), ("b", "2")]));
}

#[test]
fn what_is_larger_than_any_rule_is_refused_and_keeps_nothing_from_being_kept() {
    let temp = Temp::new();
    let mut data = temp.open().unwrap();
    let large = "x".repeat(DATA_ENTRY_BYTES_MAX);
    assert!(data.store.apply(change("a", Some(&large))).is_err());
    put(&mut data, "b", Some(&large[..DATA_ENTRY_BYTES_MAX - 9]));
    drop(data);
    assert_eq!(temp.entries().len(), 1);
}

#[test]
fn more_changes_than_a_record_holds_are_several_records() {
    let temp = Temp::new();
    let mut data = temp.open().unwrap();
    let value = "v".repeat(1_000);
    for number in 0..1_000 {
        data.store.apply(change(&format!("{number}"), Some(&value))).unwrap();
    }
    data.store.save(Instant::now()).unwrap();
    data.store.rewrite_next();
    let appended = fs::metadata(temp.file("rules")).unwrap().len();
    data.store.save(Instant::now()).unwrap();
    let rewritten = fs::metadata(temp.file("rules")).unwrap().len();
    assert!(appended > 1_000_000 && appended.abs_diff(rewritten) < 100, "{appended}, {rewritten}");
    drop(data);
    assert_eq!(temp.entries().len(), 1_000);
}

/// A disk that takes a number of steps, and then fails or loses power.
struct Faulty {
    folder: Folder,
    path: PathBuf,
    steps_left: usize,
    /// Thirds of the bytes that the failing write still writes.
    thirds: usize,
    /// Bytes of the log that are on the disk for sure.
    synced: u64,
    /// The log that a power cut brings back: its replacement is not on the disk for sure.
    former: Option<Vec<u8>>,
    /// What each write waits for, if it does.
    gate: Option<Gate>,
}

/// Says that a write has begun, and lets it go on or fail.
struct Gate {
    begun: Sender<()>,
    results: Receiver<io::Result<()>>,
}

impl Faulty {
    fn new(temp: &Temp, steps_left: usize, thirds: usize) -> Self {
        let folder = Folder::open(&temp.0, Owner::Own).unwrap().unwrap();
        let path = temp.file("rules");
        let synced = fs::metadata(&path).unwrap().len();
        Self { folder, path, steps_left, thirds, synced, former: None, gate: None }
    }

    fn step(&mut self) -> io::Result<()> {
        let left = self.steps_left.checked_sub(1);
        self.steps_left = left.unwrap_or_default();
        left.map(|_| ()).ok_or_else(|| io::Error::from_raw_os_error(28))
    }

    /// What a power cut leaves: sectors that were not synced are zeros, where a bit of `lost` is set.
    fn lose_power(&self, lost: u32, loses_name: bool) {
        let mut log = fs::read(&self.path).unwrap();
        let first = usize::try_from(self.synced).unwrap();
        for (sector, at) in (first..log.len()).map(|at| (at / 512, at)) {
            if lost >> (sector % 32) & 1 == 1 {
                log[at] = 0;
            }
        }
        match &self.former {
            Some(former) if loses_name => fs::write(&self.path, former).unwrap(),
            _ => fs::write(&self.path, log).unwrap(),
        }
    }
}

impl Disk for Faulty {
    fn open_log(&mut self) -> io::Result<File> {
        self.folder.open_log()
    }

    fn create_new(&mut self) -> io::Result<File> {
        self.step()?;
        self.folder.create_new()
    }

    fn write(&mut self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        if let Some(Gate { begun, results }) = &self.gate {
            let _ = begun.send(());
            // Without a test that waits there is no more gate.
            results.recv().unwrap_or(Ok(()))?;
        }
        let result = self.step();
        let written = if result.is_ok() { bytes.len() } else { bytes.len() * self.thirds / 3 };
        self.folder.write(file, &bytes[..written], at)?;
        result
    }

    fn cut(&mut self, file: &File, bytes: u64) -> io::Result<()> {
        self.step()?;
        self.folder.cut(file, bytes)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        self.step()?;
        if file.metadata()?.ino() == fs::metadata(&self.path)?.ino() {
            self.synced = file.metadata()?.len();
        }
        Ok(())
    }

    fn replace(&mut self) -> io::Result<()> {
        self.step()?;
        self.former = Some(fs::read(&self.path)?);
        self.folder.replace()?;
        self.synced = fs::metadata(&self.path)?.len();
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.step()?;
        self.former = None;
        Ok(())
    }

    fn remove_new(&mut self) -> io::Result<()> {
        self.step()?;
        self.folder.remove_new()
    }

    fn leave(&mut self, state: &[u8]) -> io::Result<()> {
        self.step()?;
        self.folder.leave(state)
    }
}

/// Saves changes one after the other, with rewrites in between, until the disk fails. Gives the disk, what
/// was saved, and what was to be saved when it failed.
fn run_until_failure(mut store: Store<Faulty>) -> (Store<Faulty>, Entries, Option<Entries>) {
    let mut now = Instant::now();
    let mut acknowledged = store.saved().clone();
    for number in 0..12_u32 {
        let mut wanted = acknowledged.clone();
        let key = format!("key {}", number % 3);
        let value = (number % 5 < 4).then(|| format!("{number} ").repeat(300));
        let change = change(&key, value.as_deref());
        change.clone().make(&mut wanted);
        store.apply(change).unwrap();
        if number % 4 == 3 {
            now += DATA_DEAD_MAX;
        }
        if store.save(now).is_err() {
            return (store, acknowledged, Some(wanted));
        }
        acknowledged = wanted;
    }
    (store, acknowledged, None)
}

fn start_faulty(temp: &Temp, steps: usize, thirds: usize) -> Store<Faulty> {
    drop(temp.open().unwrap());
    store_on(Faulty::new(temp, steps, thirds))
}

/// The store of the log that is on a disk.
fn store_on(disk: Faulty) -> Store<Faulty> {
    let id = KeyId::of(&KEY);
    let contents = record::read(&fs::read(&disk.path).unwrap(), id).unwrap();
    Store::new(disk, id, contents, false)
}

#[test]
fn a_crash_at_any_step_leaves_all_that_was_saved() {
    let mut crashes = 0;
    for steps in 0.. {
        for thirds in 0..4 {
            let temp = Temp::new();
            let (store, acknowledged, wanted) = run_until_failure(start_faulty(&temp, steps, thirds));
            drop(store);
            let found = temp.entries();
            let Some(wanted) = wanted else {
                assert_eq!(found, acknowledged);
                assert!(crashes > 100, "only {crashes} crashes");
                return;
            };
            crashes += 1;
            assert!(found == acknowledged || found == wanted, "after {steps} steps: {found:?}");
            assert_eq!(temp.names(), ["key", "rules"]);
        }
    }
}

#[test]
fn a_power_cut_at_any_step_leaves_all_that_was_saved() {
    for steps in 0.. {
        for lost in [0b1, 0b10, 0b101, 0b110, u32::MAX] {
            for loses_name in [false, true] {
                let temp = Temp::new();
                let mut store = start_faulty(&temp, steps, 3);
                let mut wanted = None;
                let mut acknowledged = Entries::new();
                if steps > 0 {
                    (store, acknowledged, wanted) = run_until_failure(store);
                }
                store.disk().lose_power(lost, loses_name);
                let is_done = wanted.is_none() && steps > 0;
                drop(store);
                let found = temp.entries();
                let is_good = found == acknowledged || Some(&found) == wanted.as_ref();
                assert!(is_good, "after {steps} steps, without {lost:b}: {found:?}");
                if is_done {
                    return;
                }
            }
        }
    }
}

#[test]
fn a_disk_that_works_again_has_all_changes() {
    for steps in 0.. {
        for (thirds, failures) in [(0, 1), (1, 3), (3, 1)] {
            let temp = Temp::new();
            let (mut store, _, wanted) = run_until_failure(start_faulty(&temp, steps, thirds));
            let Some(mut wanted) = wanted else { return };
            let later = Instant::now() + 10 * DATA_DEAD_MAX;
            for _ in 0..failures {
                store.disk().steps_left = 0;
                assert!(store.save(later).is_err());
                assert!(store.is_due(later));
            }
            store.disk().steps_left = usize::MAX;
            store.apply(change("later", Some("1"))).unwrap();
            store.apply(change("later", Some("2"))).unwrap();
            wanted.insert(b"later".to_vec(), b"2".to_vec());
            store.save(later).unwrap();
            assert_eq!(store.saved(), &wanted, "after {steps} steps");
            drop(store);
            assert_eq!(temp.entries(), wanted, "after {steps} steps");
        }
    }
}

/// A keeper behind a gate: the keeper, what says that a write has begun, what lets it go on, and what says
/// that the loop was woken.
fn gated(temp: &Temp, retry: Duration) -> (Keeper, Receiver<()>, Sender<io::Result<()>>, Receiver<()>) {
    drop(temp.open().unwrap());
    let (begun, is_begun) = mpsc::channel();
    let (go, results) = mpsc::channel();
    let (wake, woken) = mpsc::channel();
    let store = store_on(Faulty { gate: Some(Gate { begun, results }), ..Faulty::new(temp, usize::MAX, 0) });
    let keeper = Keeper::with(store, move || wake.send(()).unwrap_or_default(), retry).unwrap();
    (keeper, is_begun, go, woken)
}

fn keep(keeper: &mut Keeper, key: &str, value: &str) {
    keeper.keep(change(key, Some(value)));
    keeper.hand_over();
}

#[test]
fn the_loop_never_waits_for_a_disk_that_hangs() {
    let temp = Temp::new();
    let (mut keeper, begun, go, _woken) = gated(&temp, MINUTE);
    keep(&mut keeper, "first", "1");
    begun.recv_timeout(MINUTE).unwrap();
    assert_eq!(keeper.time_left(), None, "it was handed over");
    let start = Instant::now();
    for number in 0..10_000 {
        keep(&mut keeper, &format!("key {}", number % 100), &format!("{number}"));
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?} for 10,000 changes", start.elapsed());
    assert!(keeper.time_left().is_some_and(|wait| wait < Duration::from_secs(1)), "to be tried again soon");
    assert_eq!(keeper.reports(), []);
    drop(go);
    assert!(keeper.finish_within(MINUTE));
    let found = temp.entries();
    assert_eq!(found.len(), 101);
    assert_eq!(found.get(&b"key 99"[..]), Some(&b"9999".to_vec()), "the newest value counts");
}

#[test]
fn changes_that_have_no_room_while_the_disk_hangs_are_counted() {
    let temp = Temp::new();
    let (mut keeper, begun, go, _woken) = gated(&temp, MINUTE);
    keep(&mut keeper, "first", "1");
    begun.recv_timeout(MINUTE).unwrap();
    keep(&mut keeper, "second", "2");
    for number in 0..DATA_WAITING_MAX + 3 {
        keeper.keep(change(&format!("{number}"), Some("")));
    }
    keeper.keep(change("0", Some("newer")));
    keeper.hand_over();
    assert_eq!(keeper.reports(), [Report::Lost(3)]);
    assert_eq!(keeper.reports(), []);
    drop(go);
    assert!(keeper.finish_within(MINUTE));
    let found = temp.entries();
    assert_eq!(found.len(), DATA_WAITING_MAX + 2);
    assert_eq!(found.get(&b"0"[..]), Some(&b"newer".to_vec()));
}

#[test]
fn a_failure_and_the_recovery_are_reported_once_each() {
    let temp = Temp::new();
    let (mut keeper, begun, go, woken) = gated(&temp, Duration::from_millis(10));
    let fails = |errno| Err(io::Error::from_raw_os_error(errno));
    keep(&mut keeper, "a", "1");
    go.send(fails(28)).unwrap();
    woken.recv_timeout(MINUTE).unwrap();
    assert_eq!(keeper.reports(), [Report::Failed(28)]);
    keep(&mut keeper, "b", "2");
    go.send(fails(30)).unwrap();
    for _ in 0..3 {
        begun.recv_timeout(MINUTE).unwrap();
    }
    assert_eq!(keeper.reports(), [], "it still fails");
    go.send(Ok(())).unwrap();
    woken.recv_timeout(MINUTE).unwrap();
    assert_eq!(keeper.reports(), [Report::Recovered]);
    drop(go);
    assert!(keeper.finish_within(MINUTE));
    assert_eq!(temp.entries(), entries(&[("a", "1"), ("b", "2")]));
}

#[test]
fn a_failed_write_is_not_tried_again_before_its_time_except_at_the_end() {
    let temp = Temp::new();
    let (mut keeper, begun, go, woken) = gated(&temp, Duration::from_hours(1));
    keep(&mut keeper, "a", "1");
    go.send(Err(io::Error::from_raw_os_error(28))).unwrap();
    woken.recv_timeout(MINUTE).unwrap();
    begun.recv_timeout(MINUTE).unwrap();
    keep(&mut keeper, "b", "2");
    assert!(begun.recv_timeout(Duration::from_millis(100)).is_err(), "it waits");
    drop(go);
    assert!(keeper.finish_within(MINUTE));
    assert_eq!(temp.entries(), entries(&[("a", "1"), ("b", "2")]));
}

#[test]
fn the_end_waits_for_the_disk_only_so_long() {
    let temp = Temp::new();
    for handed_over in 1..4 {
        let (mut keeper, begun, go, _woken) = gated(&temp, MINUTE);
        for number in 0..handed_over {
            keep(&mut keeper, &format!("{handed_over} {number}"), "1");
        }
        begun.recv_timeout(MINUTE).unwrap();
        let start = Instant::now();
        assert!(!keeper.finish_within(Duration::from_millis(50)));
        assert!(start.elapsed() < Duration::from_secs(10));
        drop(go);
        // The thread ends by itself; then the folder is free.
        let deadline = Instant::now() + MINUTE;
        while begun.recv_timeout(MINUTE).is_ok() {
            assert!(Instant::now() < deadline);
        }
    }
}
