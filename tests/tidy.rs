//! Checks the documents' claims about the code: the architecture page (`src/lib.rs`) as data, the settings in
//! the README, each cited test, and the places in the core that could panic (`docs/panics.md`). Reads sources
//! as text; never runs the server.

#![expect(clippy::unwrap_used, reason = "a test ends where its own files are not as it expects")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules that may use a crate. A module includes its submodules.
const CRATES: [(&str, &[&str]); 28] = [
    ("mio", &["event_loop"]),
    ("slab", &["event_loop"]),
    ("socket2", &["event_loop"]),
    ("signal_hook", &["event_loop"]),
    ("signal_hook_mio", &["event_loop"]),
    ("rustix", &["data_dir", "event_loop", "handover", "logger", "main"]),
    ("nix", &["handover"]),
    ("ureq", &["mail::mailgun"]),
    ("listenfd", &["main"]),
    ("httparse", &["http::request", "doctor::http"]),
    ("rustls", &["mail", "config::mail", "doctor::tls"]),
    // Not `rustls::crypto::ring`, which is its provider.
    ("ring::digest", &["base::digest"]),
    ("ring::hmac", &["base::keyed_hash"]),
    ("webpki_roots", &["mail::smtp", "doctor::tls"]),
    ("serde", &["message"]),
    ("serde_json", &["message"]),
    // Only `websocket` and the doctor's client use the protocol; other modules use tungstenite's shared
    // bytes, and the handshake its accept key.
    ("tungstenite::protocol", &["websocket", "doctor::websocket"]),
    (
        "tungstenite",
        &["websocket", "http::assets", "http::site", "room::cursor", "server::client", "doctor::websocket"],
    ),
    ("rand", &["main", "users"]),
    ("subtle", &["users", "base::digest"]),
    ("precis_profiles", &["users::user_name"]),
    // Its skeletons are in tables of `base::skeleton`, which need no relocations.
    ("unicode_security", &["users::user_name"]),
    ("unicode_properties", &["users::user_name", "base::visible", "mail"]),
    ("idna", &["users::email"]),
    ("unicode_normalization", &["users::email", "base::skeleton"]),
    ("unicode_script", &["users::user_name"]),
    ("email_address", &["users::email", "config"]),
    ("ipnet", &["settings", "config", "server::client_addresses", "users", "doctor::connection"]),
];

/// Modules of plain data, which any module may import.
const VOCABULARY: [&str; 10] = [
    "limits",
    "settings",
    "log_event",
    "close_reason",
    "ids",
    "login_email",
    "kept",
    "engine",
    "usage",
    "metrics",
];

/// Modules that a module may import besides itself and the vocabulary. Dependencies point down.
const LAYERS: [(&str, &[&str]); 17] = [
    ("base", &[]),
    ("room", &["base"]),
    ("users", &["base"]),
    ("http", &["base"]),
    ("websocket", &["base"]),
    ("message", &[]),
    ("server", &["base", "room", "users", "http", "websocket", "message"]),
    ("logger", &["base"]),
    ("mail", &["base", "logger", "config"]),
    ("config", &["base", "users"]),
    ("data_dir", &["base"]),
    ("redis", &["base", "config"]),
    ("static_dir", &[]),
    ("service_manager", &["base"]),
    ("handover", &[]),
    ("doctor", &["base", "config", "mail", "logger", "redis"]),
    (
        "event_loop",
        &[
            "base",
            "server",
            "http",
            "mail",
            "logger",
            "config",
            "service_manager",
            "handover",
            "data_dir",
            "redis",
        ],
    ),
];

/// Modules that touch files: settings and the page once at start, the path of a Unix socket, and the folder
/// of rules, which only the keeper's thread uses after the start.
const FILES: [&str; 5] = ["config::files", "static_dir", "data_dir", "event_loop::listener", "handover"];

/// Modules that start threads.
const THREADS: [&str; 4] = ["mail", "data_dir::keeper", "event_loop::resolver", "handover"];

/// Calls that change users or the room, and the only modules that may make them: entries are applied in one
/// place. What follows from connections and from time is no entry.
const CHANGES: [(&str, &[&str]); 15] = [
    ("self.users.hello(", &["server::apply"]),
    ("self.users.auth(", &["server::apply"]),
    ("self.users.resume(", &["server::apply"]),
    ("self.users.connect(", &["server::apply"]),
    ("self.users.disconnect(", &["server::apply"]),
    ("self.users.log_out(", &["server::apply"]),
    ("self.users.set_rule(", &["server::apply"]),
    ("self.users.report(", &["server::apply"]),
    // A part of the entry of a line.
    ("self.users.count_line(", &["server::member"]),
    ("self.users.mail_done(", &["server::apply"]),
    ("presence.arrive(", &["server::apply"]),
    ("presence.remove(", &["server::apply"]),
    ("self.room.broadcast(", &["server::lifecycle"]),
    ("self.log.append(", &["room"]),
    ("room.log.replace(", &["server::apply"]),
];

/// Most columns of a comment; rustfmt wraps code at the same width.
const COMMENT_COLUMNS_MAX: usize = 110;

/// Most columns of any line: rustfmt leaves strings alone.
const COLUMNS_MAX: usize = 165;

#[test]
fn each_crate_is_used_where_the_architecture_says() {
    for (name, allowed) in CRATES {
        let mut users = 0;
        for (module, code) in modules() {
            if !mentions(&code, name) {
                continue;
            }
            users += 1;
            let is_allowed =
                allowed.iter().any(|own| module == *own || module.starts_with(&format!("{own}::")));
            assert!(is_allowed, "{module} uses {name}, which is for {allowed:?}");
        }
        assert!(users > 0, "{name} is used nowhere");
    }
}

#[test]
fn dependencies_point_down() {
    for (module, code) in modules() {
        let top = module.split("::").next().unwrap();
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == top) else {
            let is_known = VOCABULARY.contains(&top) || ["lib", "main"].contains(&top);
            assert!(is_known, "{module} stands in no layer");
            continue;
        };
        for import in code.split("crate::").skip(1) {
            let import = import.split(|char: char| !char.is_ascii_lowercase() && char != '_').next().unwrap();
            let is_allowed = import == top || VOCABULARY.contains(&import) || allowed.contains(&import);
            assert!(is_allowed, "{module} imports {import}; it may import {allowed:?}");
        }
    }
}

#[test]
fn files_and_threads_are_where_the_architecture_says() {
    for (mark, allowed) in
        [("std::fs", &FILES[..]), ("thread::Builder", &THREADS), ("thread::spawn", &THREADS)]
    {
        for (module, code) in modules() {
            let is_allowed =
                allowed.iter().any(|own| module == *own || module.starts_with(&format!("{own}::")));
            assert!(is_allowed || !code.contains(mark), "{module} has {mark}, which is for {allowed:?}");
        }
    }
    // The log is written by the keeper's thread, and by `plume --forget`.
    let writers =
        modules().into_iter().filter(|(_, code)| code.contains("store.save(")).map(|(name, _)| name);
    assert_eq!(writers.collect::<Vec<_>>(), ["data_dir::keeper", "data_dir"]);
}

#[test]
fn users_and_the_room_change_in_one_place() {
    for (call, allowed) in CHANGES {
        let callers: Vec<String> =
            modules().into_iter().filter(|(_, code)| code.contains(call)).map(|(module, _)| module).collect();
        assert_eq!(callers, allowed, "{call}");
    }
}

#[test]
fn the_settings_of_the_readme_are_those_of_the_program() {
    let help = Command::new(env!("CARGO_BIN_EXE_plume")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    // Three lines: variable and flag, what it means, its default.
    let of_program: BTreeMap<String, u64> = help
        .split("\n\n")
        .filter_map(|setting| {
            let (names, rest) = setting.trim().split_once('\n')?;
            let (variable, flag) = names.split_once(", --")?;
            let default = rest.split_once("Default: ").unwrap().1;
            Some((format!("{variable} --{flag}"), first_number(default)))
        })
        .collect();
    let of_readme: BTreeMap<String, u64> = read(Path::new("README.md"))
        .lines()
        .filter_map(|line| {
            let (variable, rest) = line.strip_prefix("| `")?.split_once("` | `--")?;
            let (flag, rest) = rest.split_once("` | ")?;
            Some((format!("{variable} --{flag}"), first_number(rest.split(" | ").next()?)))
        })
        .collect();
    assert_eq!(of_readme.keys().collect::<Vec<_>>(), of_program.keys().collect::<Vec<_>>());
    let differ = of_readme.iter().filter(|(name, default)| **default != 0 && of_program[*name] != **default);
    assert_eq!(
        differ.collect::<Vec<_>>(),
        [],
        "the defaults of the README differ from these: {of_program:?}"
    );
    assert!(of_readme.values().filter(|default| **default != 0).count() > 8);
}

/// The number that a default begins with; 0 if it begins with words.
fn first_number(default: &str) -> u64 {
    default.split(|char: char| !char.is_ascii_digit()).next().unwrap().parse().unwrap_or(0)
}

#[test]
fn lines_have_a_bounded_width() {
    for file in ["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(|folder| files(folder, "rs"))
    {
        for (number, line) in (1..).zip(read(&file).lines()) {
            let columns = line.chars().count();
            let is_comment = line.trim_start().starts_with("//");
            let columns_max = if is_comment { COMMENT_COLUMNS_MAX } else { COLUMNS_MAX };
            assert!(columns <= columns_max, "{}:{number} has {columns} columns", file.display());
        }
    }
}

/// The modules of `src` by path, each with its code before its tests, without comments.
fn modules() -> Vec<(String, String)> {
    let sources =
        files("src", "rs").into_iter().filter(|file| file.file_name().is_none_or(|name| name != "tests.rs"));
    let module = |file: PathBuf| {
        let path = file.strip_prefix("src").unwrap().with_extension("");
        let names: Vec<_> = path.iter().map(|name| name.to_str().unwrap()).collect();
        let text = read(&file);
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let lines = code.lines().map(|line| line.split("//").next().unwrap());
        (names.join("::"), lines.collect::<Vec<_>>().join("\n"))
    };
    sources.map(module).collect()
}

/// Whether code names a crate: at the start of a path.
fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let is_start = before.is_none_or(|char| !char.is_alphanumeric() && char != '_' && char != ':');
        is_start && code[at + name.len()..].starts_with("::")
    })
}

/// Places that could panic, by file, function and kind, with their number.
type Places = BTreeMap<(String, String, String), usize>;

#[test]
fn every_test_that_is_cited_exists() {
    let documents = ["README.md".into(), "SECURITY.md".into()].into_iter().chain(files("docs", "md"));
    let mut cited = 0;
    let mut missing = Vec::new();
    for document in documents {
        let text = read(&document);
        for citation in text.split('`').filter(|citation| is_citation(citation)) {
            cited += 1;
            if !exists(citation) {
                missing.push(format!("{}: {citation}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
    assert!(cited > 80, "only {cited} citations were found");
}

#[test]
fn every_place_that_could_panic_is_listed_with_its_reason() {
    let mut found = Places::new();
    for root in ["src/server", "src/room", "src/users", "src/http", "src/websocket", "src/message"] {
        let own = PathBuf::from(format!("{root}.rs"));
        let inner = if own_folder(root) { files(root, "rs") } else { Vec::new() };
        for file in inner.into_iter().chain([own]) {
            if file.file_name().is_none_or(|name| name != "tests.rs") {
                find_places(&file, &mut found);
            }
        }
    }
    let listed = listed_places(&read(Path::new("docs/panics.md")));
    let difference = |these: &Places, those: &Places| {
        let rows = these.iter().filter(|&(place, count)| those.get(place) != Some(count));
        let lines =
            rows.map(|((file, function, kind), n)| format!("| `{file}` | `{function}` | {kind} | {n} |"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let (new, gone) = (difference(&found, &listed), difference(&listed, &found));
    assert!(found.len() > 20, "only {} places were found", found.len());
    assert!(
        new.is_empty() && gone.is_empty(),
        "in the code and not listed:\n{new}\nlisted and not in the code:\n{gone}"
    );
}

#[test]
fn places_that_could_panic_are_recognized() {
    let rows: [(&str, &[&str]); 12] = [
        ("let a = b.expect(\"c\");", &["expect"]),
        ("let a = b.unwrap();", &["expect"]),
        ("assert!(a, \"b\"); assert_eq!(a, b); debug_assert!(a);", &["assert", "assert", "assert"]),
        ("_ => unreachable!(), _ => panic!(), _ => todo!(),", &["panic", "panic", "panic"]),
        ("let a = &b[..c]; d[0] = e()[1]; f[0][1];", &["index", "index", "index", "index", "index"]),
        ("let a: [u8; 4] = [0; 4]; let b = vec![c]; fn d(e: &mut [u8]) {}", &[]),
        ("#[expect(lint)] matches!(a, [b] | &[c])", &[]),
        ("a -= b; c = d - e;", &["subtraction", "subtraction"]),
        ("fn a() -> B { c.saturating_sub(-1) }", &[]),
        ("a.copy_from_slice(b); c.swap_remove(0); d.split_at(1);", &["call", "call", "call"]),
        ("a / b + c % d.e() + f / SIZE + g % 2", &["division", "division"]),
        ("// a.unwrap() - b[c]", &[]),
    ];
    for (line, expected) in rows {
        let mut kinds: Vec<&str> = kinds_in(line).collect();
        kinds.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(kinds, expected, "{line}");
    }
}

fn own_folder(path: &str) -> bool {
    root().join(path).is_dir()
}

/// Files below a folder with this extension, in order.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = Path::new(folder).join(entry.unwrap().file_name());
        if root().join(&path).is_dir() {
            files.extend(self::files(path.to_str().unwrap(), extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether a text in backticks cites a test, such as `hostile/floods.rs::a_flood` or `src/server.rs::a_test`.
fn is_citation(text: &str) -> bool {
    text.split_once(".rs::").is_some_and(|(file, name)| {
        let is_word = |char: char| char.is_ascii_alphanumeric() || "_/.".contains(char);
        file.chars().all(is_word) && !name.is_empty() && name.chars().all(is_word)
    })
}

/// A cited file is relative to `tests/`, unless it begins with `src/`.
fn exists(citation: &str) -> bool {
    let Some((file, name)) = citation.split_once("::") else { return false };
    let path = if file.starts_with("src/") { file.into() } else { format!("tests/{file}") };
    let Ok(text) = fs::read_to_string(root().join(path)) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.starts_with(&format!("fn {name}("))) else {
        return false;
    };
    // Only attributes and comments may come between.
    let mut before =
        lines[..at].iter().rev().take_while(|line| line.starts_with('#') || line.starts_with('/'));
    before.any(|line| *line == "#[test]")
}

/// Counts the places in one file before its tests.
fn find_places(file: &Path, found: &mut Places) {
    let mut function = String::from("-");
    for line in read(file).lines().take_while(|line| !line.starts_with("#[cfg(test)]")) {
        if let Some(name) = function_in(line) {
            name.clone_into(&mut function);
        }
        for kind in kinds_in(line) {
            let place = (file.display().to_string(), function.clone(), kind.to_owned());
            *found.entry(place).or_default() += 1;
        }
    }
}

fn function_in(line: &str) -> Option<&str> {
    let (before, after) = line.trim().split_once("fn ")?;
    let is_head = before.split_whitespace().all(|word| word.starts_with("pub") || word == "const");
    let name = after.split(['(', '<']).next()?;
    is_head.then_some(name).filter(|name| name.chars().all(|char| char.is_alphanumeric() || char == '_'))
}

/// Kinds of possible panics in a line formatted by rustfmt. Additions are left out: see `docs/panics.md`.
fn kinds_in(line: &str) -> impl Iterator<Item = &'static str> {
    let code = line.trim();
    let code = if code.starts_with("//") { "" } else { code.split(" // ").next().unwrap_or_default() };
    let of_text = PATTERNS.iter().flat_map(|&(pattern, kind)| code.matches(pattern).map(move |_| kind));
    // Dividing by a constant zero is a compile error.
    let is_constant =
        |rest: &str| rest.starts_with(|char: char| char.is_ascii_uppercase() || char.is_ascii_digit());
    let divisors = code.split(" / ").skip(1).chain(code.split(" % ").skip(1));
    let divisions = divisors.filter(|rest| !is_constant(rest)).count();
    let is_value = |char: char| char.is_alphanumeric() || "_)]".contains(char);
    let pairs = code.chars().zip(code.chars().skip(1));
    let indices = pairs.filter(|&(before, char)| char == '[' && is_value(before)).count();
    let counted = std::iter::repeat_n("index", indices).chain(std::iter::repeat_n("division", divisions));
    of_text.chain(counted).collect::<Vec<_>>().into_iter()
}

/// Patterns of possible panics, and their kinds.
const PATTERNS: [(&str, &str); 17] = [
    (".expect(", "expect"),
    (".unwrap(", "expect"),
    ("assert!(", "assert"),
    ("assert_eq!(", "assert"),
    ("assert_ne!(", "assert"),
    ("unreachable!(", "panic"),
    ("panic!(", "panic"),
    ("todo!(", "panic"),
    (" - ", "subtraction"),
    (" -= ", "subtraction"),
    (".copy_from_slice(", "call"),
    (".split_at(", "call"),
    (".split_off(", "call"),
    (".split_to(", "call"),
    (".swap_remove(", "call"),
    (".remove(at)", "call"),
    (".drain(", "call"),
];

/// Parses the rows of the table: file, function, kind, number, reason.
fn listed_places(document: &str) -> Places {
    let mut listed = Places::new();
    for line in document.lines().filter(|line| line.starts_with("| `src/")) {
        let cells: Vec<&str> =
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
        let [file, function, kind, count, why] = cells[..] else { panic!("five cells: {line}") };
        assert!(why.len() > 10, "no reason: {line}");
        let place = (file.to_owned(), function.to_owned(), kind.to_owned());
        let former = listed.insert(place, count.parse().unwrap());
        assert!(former.is_none(), "listed twice: {line}");
    }
    listed
}
