//! The page and its files, in memory.
//!
//! Owns their bytes and says how long they may be kept and what the page may load. Reads no file: those of the
//! built-in page are part of the program, those of `PLUME_STATIC` are handed over at start.

use std::borrow::Cow;
use std::fmt;

/// The files that are served, by the path of their URL.
pub struct Assets {
    /// Sorted by path.
    table: Vec<(String, Asset)>,
}

/// One file.
pub struct Asset {
    /// The content.
    pub body: Cow<'static, [u8]>,
    /// The Content-Type field.
    pub content_type: &'static str,
    /// The ETag field, with its quotes: a strong validator (RFC 9110, section 8.8.1).
    pub etag: String,
    /// The Cache-Control field.
    pub cache_control: &'static str,
    /// The Content-Security-Policy field.
    pub content_security_policy: Option<&'static str>,
}

impl Asset {
    /// Whether this is shown as a page of its own, so that it matters who frames it and what its links tell.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.content_type == HTML
    }
}

/// Why files make no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetsFault {
    /// There is nothing to serve at `/`.
    NoIndex,
}

impl fmt::Display for AssetsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIndex => write!(f, "there is no {INDEX}"),
        }
    }
}

impl std::error::Error for AssetsFault {}

impl Assets {
    /// The page that is part of the program, for a site of this name.
    #[must_use]
    pub fn built_in(site_name: &str) -> Self {
        let files = FILES.iter().map(|&(path, body)| (path.to_owned(), Cow::Borrowed(body)));
        Self::collect(site_name, files, Source::BuiltIn)
    }

    /// A page from a folder: each file with its path inside the folder, separated by `/`.
    ///
    /// # Errors
    /// If there is no `index.html`.
    pub fn from_files(site_name: &str, files: Vec<(String, Vec<u8>)>) -> Result<Self, AssetsFault> {
        if files.iter().all(|(path, _)| path != INDEX) {
            return Err(AssetsFault::NoIndex);
        }
        let files = files.into_iter().map(|(path, body)| (path, Cow::Owned(body)));
        Ok(Self::collect(site_name, files, Source::Folder))
    }

    /// The file at exactly this path. There is no folder behind the table, so no spelling of a path leads out of it.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Asset> {
        let at = self.table.binary_search_by(|(known, _)| known.as_str().cmp(path)).ok()?;
        self.table.get(at).map(|(_, asset)| asset)
    }

    fn collect(
        site_name: &str,
        files: impl Iterator<Item = (String, Cow<'static, [u8]>)>,
        source: Source,
    ) -> Self {
        let mut table: Vec<(String, Asset)> = files
            .map(|(path, body)| {
                if path == INDEX {
                    ("/".to_owned(), asset(&path, with_name(&body, site_name).into(), source))
                } else {
                    (format!("/static/{path}"), asset(&path, body, source))
                }
            })
            .collect();
        table.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Self { table }
    }
}

/// Where files come from, which decides how they are kept and guarded.
#[derive(Clone, Copy)]
enum Source {
    BuiltIn,
    Folder,
}

fn asset(path: &str, body: Cow<'static, [u8]>, source: Source) -> Asset {
    let content_type = content_type(path);
    let (cache_control, content_security_policy) = match (source, content_type == HTML) {
        (Source::BuiltIn, true) => (REVALIDATED, Some(POLICY)),
        (Source::BuiltIn, false) => (KEPT_BRIEFLY, None),
        // A folder is there to work on the page, and a change must show at once. It gets no policy: what it holds
        // is the choice of who runs the server, and a page written without one in mind, with inline scripts or
        // fonts from elsewhere, must work unchanged; that of the first Plume is to be served this way.
        (Source::Folder, true | false) => (REVALIDATED, None),
    };
    Asset { etag: etag(&body), body, content_type, cache_control, content_security_policy }
}

/// The page with the name of the site in its places. It is served as UTF-8, so what is not would look like U+FFFD
/// in any case.
fn with_name(page: &[u8], site_name: &str) -> Vec<u8> {
    String::from_utf8_lossy(page).replace("{{name}}", &escape(site_name)).into_bytes()
}

/// Text as it may stand in HTML, also inside an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn content_type(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "html" => HTML,
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webmanifest" => "application/manifest+json",
        "json" => "application/json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// 64-bit FNV-1a of the content. A tag only has to tell the few versions of one file apart that a browser may still
/// hold, and nobody who could choose the bytes to collide needs to: 64 bits without secrets are enough.
fn etag(body: &[u8]) -> String {
    let hash =
        body.iter().fold(FNV_OFFSET_BASIS, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    format!("\"{hash:016x}\"")
}

/// Given by the authors of FNV (Fowler, Noll and Vo) for 64 bits, as is the prime.
const FNV_OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The file that is served at `/`.
const INDEX: &str = "index.html";
const HTML: &str = "text/html; charset=utf-8";

/// Kept, but never used without asking (RFC 9111, section 5.2.2.4).
const REVALIDATED: &str = "no-cache";
/// For the files of the built-in page. Their names do not change when they do, so after an update the new page may
/// meet old modules; within a minute that is over, and stale ones are not used even when the server is away. Longer
/// would gain little: asking costs a 304 for each file.
const KEPT_BRIEFLY: &str = "max-age=60, must-revalidate";

/// All that the built-in page loads is its own, and nothing in it is inline. `'self'` in connect-src covers the
/// WebSocket on the same host and port (CSP level 3; browsers since Chrome 71 and Safari 16).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Name and content of files in `static/`.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/static/", $path)))),*]
    };
}

/// The built-in page: all that is in `static/`, as a test makes sure.
const FILES: &[(&str, &[u8])] = files![
    "connection.js",
    "dom.js",
    "favicon.svg",
    "index.html",
    "line.js",
    "log.js",
    "login.js",
    "main.js",
    "people.js",
    "protocol.js",
    "room.js",
    "status.js",
    "store.js",
    "style.css",
    "words.js",
    "write.js",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn folder(files: &[(&str, &str)]) -> Result<Assets, AssetsFault> {
        let own = |&(path, body): &(&str, &str)| (path.to_owned(), body.as_bytes().to_vec());
        Assets::from_files("A & \"B\"", files.iter().map(own).collect())
    }

    /// The one door: what a file of a folder becomes.
    fn check(file: &str, path: &str, content_type: &str) {
        let assets = folder(&[("index.html", "x"), (file, "x")]).expect("an index is there");
        assert_eq!(assets.find(path).map(|asset| asset.content_type), Some(content_type), "{file}");
    }

    #[test]
    fn the_table_holds_what_is_in_the_folder() {
        fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) {
            for entry in folder.read_dir().expect("a folder") {
                let entry = entry.expect("an entry");
                let path = format!("{prefix}{}", entry.file_name().to_str().expect("a plain name"));
                if entry.path().is_dir() {
                    list(&entry.path(), &format!("{path}/"), found);
                } else {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        list(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/static")), "", &mut found);
        found.sort();
        let mut known: Vec<&str> = FILES.iter().map(|&(path, _)| path).collect();
        known.sort_unstable();
        assert_eq!(known, found);
    }

    #[test]
    fn built_in_files_have_plain_names_and_known_types() {
        for (path, _) in FILES {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
            assert!(path.bytes().all(is_plain), "{path} would be spelt in more than one way");
            assert_ne!(content_type(path), "application/octet-stream", "{path}");
        }
    }

    #[test]
    fn a_file_has_its_path_and_type() {
        for (file, path, content_type) in [
            ("css/main.css", "/static/css/main.css", "text/css; charset=utf-8"),
            ("a.js", "/static/a.js", "text/javascript; charset=utf-8"),
            ("a.min.MJS", "/static/a.min.MJS", "text/javascript; charset=utf-8"),
            ("a.svg", "/static/a.svg", "image/svg+xml"),
            ("a.png", "/static/a.png", "image/png"),
            ("a.ico", "/static/a.ico", "image/x-icon"),
            ("a.webmanifest", "/static/a.webmanifest", "application/manifest+json"),
            ("a.json", "/static/a.json", "application/json"),
            ("a.woff2", "/static/a.woff2", "font/woff2"),
            ("a.txt", "/static/a.txt", "text/plain; charset=utf-8"),
            ("b/index.html", "/static/b/index.html", HTML),
            ("a.exe", "/static/a.exe", "application/octet-stream"),
            ("css", "/static/css", "application/octet-stream"),
            ("v1.css/x", "/static/v1.css/x", "application/octet-stream"),
        ] {
            check(file, path, content_type);
        }
    }

    #[test]
    fn the_index_is_at_the_root_only_and_bears_the_name() {
        assert_eq!(folder(&[("b/index.html", "")]).err(), Some(AssetsFault::NoIndex));
        let page = "<title>{{name}}</title>{{ name }}{{name}}";
        let assets = folder(&[("z.js", "{{name}}"), ("index.html", page)]).expect("an index is there");
        let body = |path| assets.find(path).map(|asset| String::from_utf8_lossy(&asset.body).into_owned());
        let filled = "<title>A &amp; &quot;B&quot;</title>{{ name }}A &amp; &quot;B&quot;";
        assert_eq!(body("/").as_deref(), Some(filled));
        assert_eq!(body("/static/z.js").as_deref(), Some("{{name}}"));
        assert_eq!(body("/static/index.html"), None);
        assert_eq!(escape("<'\u{fc}'>"), "&lt;&#39;\u{fc}&#39;&gt;");
    }

    #[test]
    fn tags_follow_the_content() {
        assert_eq!(etag(b""), "\"cbf29ce484222325\"");
        assert_eq!(etag(b"foobar"), "\"85944171f73967e8\"", "a published test vector");
        let tag = |name| Assets::built_in(name).find("/").map(|asset| asset.etag.clone());
        assert_eq!(tag("one"), tag("one"));
        assert_ne!(tag("one"), tag("other"), "the name is part of the page");
    }

    #[test]
    fn only_the_built_in_page_has_a_policy() {
        let built_in = Assets::built_in("x");
        let folder = folder(&[("index.html", ""), ("a.js", "")]).expect("an index is there");
        for (assets, is_page, cache_control, policy) in [
            (&built_in, true, REVALIDATED, Some(POLICY)),
            (&built_in, false, KEPT_BRIEFLY, None),
            (&folder, true, REVALIDATED, None),
            (&folder, false, REVALIDATED, None),
        ] {
            for (path, asset) in assets.table.iter().filter(|(_, asset)| asset.is_page() == is_page) {
                let found = (asset.cache_control, asset.content_security_policy);
                assert_eq!(found, (cache_control, policy), "{path}");
            }
        }
        assert!(!POLICY.contains("unsafe") && !POLICY.contains("  "));
    }
}
