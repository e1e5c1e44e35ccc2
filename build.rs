//! Build script: sets linker options, and prepares the files of `static/` for embedding. Joins the page's
//! modules, strips comments and indentation, compresses the result, and writes it with a table that
//! `src/http/assets.rs` includes.
//!
//! Nothing is parsed. Modules are joined line by line, in the order in which a browser would run them; they
//! need no imports, because no two share a name. Then `build/shorten.rs` gives short names to what they
//! declare. The build fails on a source whose meaning this could change. The sources also run unchanged:
//! `PLUME_STATIC=static` serves them.
//!
//! Crates that do more were looked at: `oxc_minifier` saves another kilobyte, but doubles the number of
//! crates and takes 150 s to compile; `swc_ecma_minifier` is larger still; `minify-js` has had no release for
//! years; and `minifier` only drops white space.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};
use unicode_normalization::UnicodeNormalization;

#[path = "build/shorten.rs"]
mod shorten;

fn main() -> Result<(), Box<dyn Error>> {
    let package = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    pack_relocations();
    if is_usual_release() {
        group_functions(&package.join("build/start.ld"));
        drop_unwinding();
    }
    write_emoji()?;
    write_skeletons()?;
    let folder = package.join("static");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths = Vec::new();
    list(&folder, "", &mut paths)?;
    paths.sort();
    let mut modules = Modules::default();
    modules.join(&folder, ENTRY)?;
    let is_served = |path: &String| path == ENTRY || path == AS_IT_IS || !modules.joined.contains(path);
    let mut table = String::from("&[\n");
    for path in paths.iter().filter(|path| is_served(path)) {
        let source = fs::read_to_string(folder.join(path))?;
        let body = match Path::new(path).extension().and_then(|extension| extension.to_str()) {
            _ if path == ENTRY => shorten::shorten(&modules.text)?,
            _ if path == AS_IT_IS => source,
            Some("js") => strip(path, &source)?,
            Some("css") => tightened(&strip(path, &source)?),
            Some("html" | "svg" | "webmanifest") => unindented(&source),
            _ => return Err(format!("{path}: what kind of file is this?").into()),
        };
        let body = body.as_bytes();
        // Only the running server knows the site name, so the bytes up to its last placeholder are not
        // compressed.
        let tail = if is_template(path) {
            find_last(body, NAME_PLACE).map_or(0, |at| at + NAME_PLACE.len())
        } else {
            0
        };
        let mut packed = Vec::new();
        zopfli::compress(zopfli::Options::default(), zopfli::Format::Deflate, &body[tail..], &mut packed)?;
        let flat = path.replace('/', "--");
        fs::write(out.join(&flat), body)?;
        fs::write(out.join(format!("{flat}.deflated")), packed)?;
        let include = |file: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), {file:?}))");
        let (body, packed) = (include(&format!("/{flat}")), include(&format!("/{flat}.deflated")));
        writeln!(table, "    BuiltIn {{ path: {path:?}, body: {body}, packed: {packed}, tail: {tail} }},")?;
    }
    fs::write(out.join("page.rs"), table + "]\n")?;
    Ok(())
}

/// Lets the linker pack relative relocations (`DT_RELR`) if the C library that the binary is built for
/// supports them: a quarter of a megabyte less to load. glibc does since 2.36 (its NEWS of 2022-08-02); cross
/// builds go without.
fn pack_relocations() {
    if is_native() && glibc_version().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Lets the linker put the functions that each start runs next to each other, so that less of the binary is
/// resident at rest.
fn group_functions(script: &Path) {
    println!("cargo::rustc-link-arg-bins=-T");
    println!("cargo::rustc-link-arg-bins={}", script.display());
}

/// Leaves out what only unwinding needs, a tenth of the binary: the script drops the tables, and this their
/// index. A panic aborts, and the binary is stripped, so nothing ever unwinds; `RUST_BACKTRACE` would show
/// addresses without names. The library that the standard library calls for backtraces, which would otherwise
/// be loaded at each start, is linked into the binary.
fn drop_unwinding() {
    println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    println!("cargo::rustc-link-lib=gcc_eh");
}

/// Whether this is a release build by the linker of the toolchain. Others may not know the script's commands
/// (gold does not), so a build that chooses its own goes without.
fn is_usual_release() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chooses = env::var_os("RUSTC_LINKER").is_some()
        || ["linker", "link-arg", "link-self-contained"].iter().any(|option| flags.contains(option));
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    is_native() && cfg!(all(target_os = "linux", target_env = "gnu")) && is_release && !chooses
}

fn is_native() -> bool {
    env::var("HOST").is_ok_and(|host| env::var("TARGET").is_ok_and(|target| target == host))
}

fn glibc_version() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Writes the emoji sequences of the RGI set (UTS 51), without variation selectors and skin tones, one in a
/// line.
fn write_emoji() -> Result<(), Box<dyn Error>> {
    let is_kept = |char: &char| !matches!(char, '\u{fe0e}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let with_skin_tones =
        emojis::iter().flat_map(|emoji| emoji.skin_tones().into_iter().flatten().chain([emoji]));
    let sequences: BTreeSet<String> =
        with_skin_tones.map(|emoji| emoji.as_str().chars().filter(is_kept).collect()).collect();
    let lines = Vec::from_iter(sequences).join("\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("emoji.txt"), format!("\n{lines}\n"))?;
    Ok(())
}

/// Writes the data of UTS 39 for `src/base/skeleton.rs`.
fn write_skeletons() -> Result<(), Box<dyn Error>> {
    let (mut letters, mut ends, mut prototypes) = (Vec::new(), Vec::new(), String::new());
    let mut ignorable: Vec<(char, char)> = Vec::new();
    // The skeleton of a text begins with its decomposition, so only what is decomposed is looked up.
    for char in ('\0'..=char::MAX).filter(|&char| std::iter::once(char).nfd().eq([char])) {
        let skeleton: String = unicode_security::skeleton(char.encode_utf8(&mut [0; 4])).collect();
        if skeleton.is_empty() {
            match ignorable.last_mut() {
                Some((_, last)) if u32::from(*last) + 1 == u32::from(char) => *last = char,
                _ => ignorable.push((char, char)),
            }
        } else if !skeleton.chars().eq([char]) {
            prototypes.push_str(&skeleton);
            letters.push(char);
            ends.push(u16::try_from(prototypes.len())?);
        }
    }
    let prototypes = prototypes.escape_unicode();
    let tables = format!(
        "Tables {{ letters: &{letters:?}, ends: &{ends:?}, prototypes: \"{prototypes}\", ignorable: &{ignorable:?} }}"
    );
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("skeleton.rs"), tables)?;
    Ok(())
}

/// Lists every file of a directory by its path inside.
fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| "a file's name is not UTF-8")?;
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{path}/"), found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// The page's modules, joined into one.
#[derive(Default)]
struct Modules {
    text: String,
    joined: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Modules {
    /// Appends a module after its imports, in a browser's execution order.
    fn join(&mut self, folder: &Path, path: &str) -> Result<(), Box<dyn Error>> {
        if !self.joined.insert(path.to_owned()) {
            return Ok(());
        }
        let stripped = strip(path, &fs::read_to_string(folder.join(path))?)?;
        let mut rest = String::new();
        for line in stripped.lines() {
            if let Some(import) = line.strip_prefix("import ") {
                let names_and_source = import.strip_prefix("{ ").and_then(|import| import.strip_suffix("';"));
                let parts = names_and_source.and_then(|import| import.split_once(" } from './"));
                let (names, source) = parts
                    .ok_or_else(|| format!("{path}: only `import {{ names }} from './file';`: {line}"))?;
                if names.contains(" as ") {
                    return Err(format!("{path}: a name is the same everywhere: {line}").into());
                }
                self.join(folder, source)?;
            } else {
                rest.push_str(line.strip_prefix("export ").unwrap_or(line));
                rest.push('\n');
            }
        }
        self.text.push_str(&rest);
        self.declare(path, &fs::read_to_string(folder.join(path))?)
    }

    /// Records the names that a module declares at the start of a line; no other module may declare them.
    fn declare(&mut self, path: &str, source: &str) -> Result<(), Box<dyn Error>> {
        for line in source.lines() {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let line = line.strip_prefix("async ").unwrap_or(line);
            let declared =
                ["const ", "let ", "function ", "class "].iter().find_map(|kind| line.strip_prefix(kind));
            let Some(declared) = declared else { continue };
            let name = declared
                .split(|char: char| !char.is_alphanumeric() && char != '_')
                .next()
                .unwrap_or_default();
            if name.is_empty() || !self.names.insert(name.to_owned()) {
                return Err(format!("{path}: one name that no other module has: {line}").into());
            }
        }
        Ok(())
    }
}

/// Removes comments that fill whole lines, and leading white space, from a script or style sheet.
fn strip(path: &str, source: &str) -> Result<String, Box<dyn Error>> {
    let is_script = Path::new(path).extension().is_some_and(|extension| extension == "js");
    let mut stripped = String::new();
    let mut is_in_comment = false;
    for (number, line) in (1..).zip(source.lines()) {
        let line = line.trim();
        if is_in_comment || line.starts_with("/*") {
            is_in_comment = !line.contains("*/");
            if !is_in_comment && !line.ends_with("*/") {
                return Err(format!("{path}:{number}: nothing may follow a comment on its line").into());
            }
        } else if !(line.is_empty() || is_script && line.starts_with("//")) {
            // A template literal over several lines would lose significant white space.
            if line.matches('`').count() % 2 == 1 {
                return Err(format!("{path}:{number}: a template literal must end on its line").into());
            }
            stripped.push_str(line);
            stripped.push('\n');
        }
    }
    Ok(stripped)
}

/// Removes white space that only makes a style sheet readable, outside of strings.
fn tightened(sheet: &str) -> String {
    let tighten = |(at, part): (usize, &str)| {
        if at % 2 == 1 {
            return part.to_owned();
        }
        let part = part.replace(" {", "{").replace("{ ", "{").replace("; ", ";").replace(";}", "}");
        part.replace(": ", ":").replace(", ", ",").replace(" > ", ">")
    };
    let tighten = |line: &str| line.split('"').enumerate().map(tighten).collect::<Vec<_>>().join("\"");
    let end = |line: &str| if line.ends_with(['{', ';', '}']) { "" } else { "\n" };
    sheet.lines().flat_map(|line| [tighten(line), end(line).to_owned()]).collect()
}

/// Removes indentation, ends of lines behind tags, and preload hints for modules that are joined here. Where a
/// tag ends a line of the page, white space means nothing: in blocks, flex boxes and grids.
fn unindented(source: &str) -> String {
    let is_kept = |line: &&str| !line.is_empty() && !line.starts_with("<link rel=\"modulepreload\"");
    let end = |line: &str| if line.ends_with('>') { "" } else { "\n" };
    source.lines().map(str::trim).filter(is_kept).flat_map(|line| [line, end(line)]).collect()
}

/// Whether the server fills placeholders of this file; must match `filled` in `assets.rs`.
fn is_template(path: &str) -> bool {
    matches!(path, "index.html" | "plume.webmanifest")
}

fn find_last(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).rposition(|window| window == part)
}

/// The page's entry module; it imports all others.
const ENTRY: &str = "main.js";
/// Served unchanged, with its comments, for authors of other clients.
const AS_IT_IS: &str = "protocol.js";
/// Placeholder for the site name; the others stand before its last one.
const NAME_PLACE: &[u8] = b"{{name}}";
