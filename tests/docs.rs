//! What the documents say of the code is true: each test that they cite exists, and each place of the core that could panic is
//! listed in `docs/panics.md`.

#![expect(clippy::unwrap_used, reason = "a test ends where its own files are not as it expects")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Places that could panic: file, function, kind; how many.
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
    for root in ["src/server", "src/wire", "src/chat"] {
        let own = PathBuf::from(format!("{root}.rs"));
        for file in files(root, "rs").into_iter().chain([own]) {
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

/// Whether a text in backticks cites a test: `hostile/floods.rs::a_flood`, or `src/server.rs::a_test`.
fn is_citation(text: &str) -> bool {
    text.split_once(".rs::").is_some_and(|(file, name)| {
        let is_word = |char: char| char.is_ascii_alphanumeric() || "_/.".contains(char);
        file.chars().all(is_word) && !name.is_empty() && name.chars().all(is_word)
    })
}

/// A test's file lies under `tests/`, or stands with `src/` in front.
fn exists(citation: &str) -> bool {
    let Some((file, name)) = citation.split_once("::") else { return false };
    let path = if file.starts_with("src/") { file.into() } else { format!("tests/{file}") };
    let Ok(text) = fs::read_to_string(root().join(path)) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.starts_with(&format!("fn {name}("))) else {
        return false;
    };
    // Only attributes and comments stand between.
    let mut before =
        lines[..at].iter().rev().take_while(|line| line.starts_with('#') || line.starts_with('/'));
    before.any(|line| *line == "#[test]")
}

/// Counts the places of one file up to its tests.
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

/// What could panic in a line as rustfmt leaves it, by kind. Sums are left out: see `docs/panics.md`.
fn kinds_in(line: &str) -> impl Iterator<Item = &'static str> {
    let code = line.trim();
    let code = if code.starts_with("//") { "" } else { code.split(" // ").next().unwrap_or_default() };
    let of_text = PATTERNS.iter().flat_map(|&(pattern, kind)| code.matches(pattern).map(move |_| kind));
    // A constant that is zero is an error of the compiler's.
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

/// What a place looks like, and its kind.
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

/// The rows of the table: file, function, kind, how many, why.
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
