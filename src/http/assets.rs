//! The page's files, in memory. Owns their bytes, cache rules and Content-Security-Policy. Never reads a
//! file: the built-in page is embedded in the binary, and the files of `PLUME_STATIC` are passed in at start.

use std::fmt::{self, Write as _};
use tungstenite::Bytes;

/// The files to serve, by URL path.
#[derive(Clone)]
pub struct Assets {
    /// Sorted by path.
    table: Vec<(String, Asset)>,
}

#[derive(Clone)]
pub(crate) struct Asset {
    /// The uncompressed content.
    plain: Representation,
    /// The gzip form, if it is enough smaller to be worth sending.
    gzip: Option<Representation>,
    pub(crate) content_type: &'static str,
    pub(crate) cache_control: &'static str,
    pub(crate) content_security_policy: Option<&'static str>,
}

/// One form of a file's content.
#[derive(Clone)]
pub(crate) struct Representation {
    /// The bytes, shared by all responses.
    pub(crate) body: Bytes,
    /// The ETag field, with its quotes: a strong validator (RFC 9110, section 8.8.1), so each form needs its
    /// own.
    pub(crate) etag: String,
    pub(crate) encoding: Option<&'static str>,
}

impl Asset {
    /// The form to send to a client that does or does not accept gzip.
    pub(crate) fn representation(&self, accepts_gzip: bool) -> &Representation {
        self.gzip.as_ref().filter(|_| accepts_gzip).unwrap_or(&self.plain)
    }

    /// Whether the response depends on Accept-Encoding, and so needs a Vary field.
    pub(crate) const fn varies(&self) -> bool {
        self.gzip.is_some()
    }

    /// Whether this is an HTML page, which needs protection against framing and referrer leaks.
    pub(crate) fn is_page(&self) -> bool {
        self.content_type == HTML
    }
}

impl Representation {
    fn new(body: Bytes, encoding: Option<&'static str>) -> Self {
        Self { etag: etag(&body), body, encoding }
    }
}

/// There is nothing to serve at `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoIndexError;

impl fmt::Display for NoIndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {INDEX}")
    }
}

/// What the page's placeholders are filled with.
#[derive(Clone, Copy)]
pub struct PageValues<'a> {
    /// For `{{name}}`.
    pub site_name: &'a str,
    /// For `{{codes}}`: whether login codes are printed, as in development, or sent by email.
    pub prints_codes: bool,
}

impl<'a, S: AsRef<str> + ?Sized> From<&'a S> for PageValues<'a> {
    /// The page of a site with this name that sends codes by email.
    fn from(site_name: &'a S) -> Self {
        Self { site_name: site_name.as_ref(), prints_codes: false }
    }
}

impl Assets {
    /// The built-in page, with its placeholders filled.
    #[must_use]
    pub fn built_in<'a>(values: impl Into<PageValues<'a>>) -> Self {
        let values = values.into();
        Self::collect(FILES.iter().map(|file| {
            let plain = filled(file.path, Bytes::from_static(file.body), values);
            let head = filled(file.path, Bytes::from_static(&file.body[..file.tail]), values);
            let gzip = gzip(&head, file.packed, &plain);
            (file.path.to_owned(), asset(file.path, plain, Some(gzip), Source::BuiltIn))
        }))
    }

    /// A page from a directory: each file with its path inside the directory, separated by `/`.
    ///
    /// # Errors
    /// If there is no `index.html`.
    pub fn from_files<'a>(
        values: impl Into<PageValues<'a>>,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<Self, NoIndexError> {
        let values = values.into();
        if files.iter().all(|(path, _)| path != INDEX) {
            return Err(NoIndexError);
        }
        Ok(Self::collect(files.into_iter().map(|(path, body)| {
            let body = filled(&path, Bytes::from(body), values);
            let asset = asset(&path, body, None, Source::Folder);
            (path, asset)
        })))
    }

    /// The file at exactly this path. Lookups never reach the file system, so no spelling of a path can
    /// traverse out of the directory.
    pub(crate) fn find(&self, path: &str) -> Option<&Asset> {
        let at = self.table.binary_search_by(|(known, _)| known.as_str().cmp(path)).ok()?;
        self.table.get(at).map(|(_, asset)| asset)
    }

    fn collect(files: impl Iterator<Item = (String, Asset)>) -> Self {
        let place = |path: String| if path == INDEX { "/".to_owned() } else { format!("/static/{path}") };
        let mut table: Vec<(String, Asset)> = files.map(|(path, asset)| (place(path), asset)).collect();
        table.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Self { table }
    }
}

/// The source of files, which decides their cache rules and policy.
#[derive(Clone, Copy)]
enum Source {
    BuiltIn,
    Folder,
}

fn asset(path: &str, body: Bytes, gzip: Option<Vec<u8>>, source: Source) -> Asset {
    let content_type = content_type(path);
    let (cache_control, content_security_policy) = match (source, content_type == HTML) {
        (Source::BuiltIn, true) => (REVALIDATED, Some(POLICY)),
        (Source::BuiltIn, false) => (KEPT_BRIEFLY, None),
        // A directory is served to work on the page, and a change must show at once. It gets no policy: its
        // content is the operator's choice, and a page written without one in mind, with inline scripts or
        // fonts from other sites, must work unchanged; the first Plume's page is meant to be served this way.
        (Source::Folder, true | false) => (REVALIDATED, None),
    };
    let gzip = gzip.filter(|gzip| gzip.len() + GZIP_GAIN_BYTES_MIN <= body.len());
    Asset {
        plain: Representation::new(body, None),
        gzip: gzip.map(|gzip| Representation::new(gzip.into(), Some("gzip"))),
        content_type,
        cache_control,
        content_security_policy,
    }
}

/// Fills the placeholders of a template; returns any other file unchanged. Files are served as UTF-8, so a
/// browser would show invalid bytes as U+FFFD in any case.
fn filled(path: &str, body: Bytes, values: PageValues<'_>) -> Bytes {
    let name = match path {
        INDEX => escape(values.site_name),
        MANIFEST => escape_json(values.site_name),
        _ => return body,
    };
    let codes = if values.prints_codes { "printed" } else { "emailed" };
    // The name comes last: it may itself look like a placeholder.
    let text = String::from_utf8_lossy(&body).replace("{{codes}}", codes).replace("{{name}}", &name);
    text.into_bytes().into()
}

/// Escapes text for HTML, including attribute values.
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

fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '"' | '\\' | '\0'..='\x1f') {
            write!(escaped, "\\u{:04x}", u32::from(character)).expect("a string takes everything");
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Assembles a gzip file (RFC 1952) from `head` and the part compressed at build time. The head contains the
/// site name and goes in as a stored block (RFC 1951, section 3.2.4), so no compressor is needed at run time.
fn gzip(head: &[u8], packed: &[u8], whole: &[u8]) -> Vec<u8> {
    // Header: no flags, no time, best compression, unknown system.
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    if !head.is_empty() {
        let length = u16::try_from(head.len()).expect("templates have their name near the start");
        file.push(0);
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&(!length).to_le_bytes());
        file.extend_from_slice(head);
    }
    file.extend_from_slice(packed);
    file.extend_from_slice(&crc32(whole).to_le_bytes());
    let length = u32::try_from(whole.len()).expect("no file of the page has gigabytes");
    file.extend_from_slice(&length.to_le_bytes());
    file
}

/// CRC-32 as gzip defines it (RFC 1952, section 8), bit by bit: it runs once per file, at start.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), shift))
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

/// 64-bit FNV-1a of the content. A tag only has to distinguish the few versions of one file that a browser
/// may still cache, and an operator who chooses the bytes has no reason to make them collide: 64 bits of a
/// hash that is not cryptographic are enough.
fn etag(body: &[u8]) -> String {
    let hash =
        body.iter().fold(FNV_OFFSET_BASIS, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    format!("\"{hash:016x}\"")
}

/// Defined by the authors of FNV (Fowler, Noll and Vo) for 64 bits, as is the prime.
const FNV_OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The file that is served at `/`.
const INDEX: &str = "index.html";
const HTML: &str = "text/html; charset=utf-8";

/// Cached, but revalidated before each use (RFC 9111, section 5.2.2.4).
const REVALIDATED: &str = "no-cache";
/// For the files of the built-in page. Their names do not change with their content, so after an update the
/// new page may load old modules; that ends within a minute, and stale files are not used even when the
/// server is unreachable. A longer time would gain little: revalidating costs one 304 per file.
const KEPT_BRIEFLY: &str = "max-age=60, must-revalidate";

/// The built-in page loads only its own files, and nothing in it is inline. `'self'` in connect-src covers
/// the WebSocket on the same host and port (CSP level 3; browsers since Chrome 71 and Safari 16).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const MANIFEST: &str = "plume.webmanifest";
/// Least saving worth compressing for: below it the fields Content-Encoding and Vary cost as much.
const GZIP_GAIN_BYTES_MIN: usize = 50;

/// A file of `static/`, as prepared by `build.rs`.
struct BuiltIn {
    path: &'static str,
    body: &'static [u8],
    /// The body from `tail` on, deflated.
    packed: &'static [u8],
    tail: usize,
}

/// The built-in page: the files of `static/`, with modules joined.
const FILES: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> Result<Assets, NoIndexError> {
        let own = |&(path, body): &(&str, &str)| (path.to_owned(), body.as_bytes().to_vec());
        Assets::from_files("A & \"B\"", files.iter().map(own).collect())
    }

    /// Serves one file from a directory, and checks its path and type.
    fn check(file: &str, path: &str, content_type: &str) {
        let assets = folder(&[("index.html", "x"), (file, "x")]).expect("an index is there");
        assert_eq!(assets.find(path).map(|asset| asset.content_type), Some(content_type), "{file}");
    }

    #[test]
    fn built_in_files_have_plain_names_and_known_types() {
        for BuiltIn { path, .. } in FILES {
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
        assert_eq!(folder(&[("b/index.html", "")]).err(), Some(NoIndexError));
        let page = "<title>{{name}}</title>{{ name }}{{name}}";
        let assets = folder(&[("z.js", "{{name}}"), ("index.html", page)]).expect("an index is there");
        let body =
            |path| assets.find(path).map(|asset| String::from_utf8_lossy(&asset.plain.body).into_owned());
        let filled = "<title>A &amp; &quot;B&quot;</title>{{ name }}A &amp; &quot;B&quot;";
        assert_eq!(body("/").as_deref(), Some(filled));
        assert_eq!(body("/static/z.js").as_deref(), Some("{{name}}"));
        assert_eq!(body("/static/index.html"), None);
        assert_eq!(escape("<'\u{fc}'>"), "&lt;&#39;\u{fc}&#39;&gt;");
    }

    #[test]
    fn the_page_knows_where_the_codes_are() {
        for (prints_codes, attribute) in [(true, "data-codes=\"printed\""), (false, "data-codes=\"emailed\"")]
        {
            let values = PageValues { site_name: "{{codes}}", prints_codes };
            let index = |assets: &Assets| {
                let index = assets.find("/").expect("an index");
                String::from_utf8_lossy(&index.plain.body).into_owned()
            };
            let built_in = index(&Assets::built_in(values));
            assert!(built_in.contains(attribute) && built_in.contains("<title>{{codes}}</title>"));
            let files = vec![("index.html".to_owned(), b"<p data-codes=\"{{codes}}\">".to_vec())];
            assert!(index(&Assets::from_files(values, files).expect("an index")).contains(attribute));
        }
    }

    #[test]
    fn tags_follow_the_content() {
        assert_eq!(etag(b""), "\"cbf29ce484222325\"");
        assert_eq!(etag(b"foobar"), "\"85944171f73967e8\"", "a published test vector");
        let tag = |name| Assets::built_in(name).find("/").map(|asset| asset.plain.etag.clone());
        assert_eq!(tag("one"), tag("one"));
        assert_ne!(tag("one"), tag("other"), "the name is part of the page");
    }

    /// The files that a browser loads for the page: the index, and the files it names.
    fn page() -> Vec<Asset> {
        let mut assets = Assets::built_in("Plume.chat");
        let index = assets.find("/").expect("an index").plain.body.to_vec();
        let index = String::from_utf8(index).expect("UTF-8");
        let named = index.split('"').skip(1).step_by(2).filter(|text| text.starts_with("static/"));
        // Relative addresses, so that the page works below any path.
        let named: Vec<String> = named.map(|path| format!("/{path}")).collect();
        assert!(named.iter().all(|path| assets.find(path).is_some()), "{named:?}");
        assert!(!index.contains("=\"/"), "an address from the root");
        assets.table.retain(|(path, _)| path == "/" || named.contains(path));
        assets.table.into_iter().map(|(_, asset)| asset).collect()
    }

    #[test]
    fn the_page_keeps_its_budget() {
        let page = page();
        let sum = |accepts_gzip| {
            page.iter().map(|asset| asset.representation(accepts_gzip).body.len()).sum::<usize>()
        };
        assert!(page.len() >= 4, "an index, a script, a style sheet, an icon");
        assert!(sum(false) <= PAGE_BYTES_MAX, "{} bytes", sum(false));
        assert!(sum(true) <= WIRE_BYTES_MAX, "{} bytes on the wire", sum(true));
        let second = page.iter().filter(|asset| !asset.is_page() && asset.content_type.starts_with("text/"));
        let with_heads: usize =
            second.map(|asset| asset.representation(true).body.len() + RESPONSE_HEAD_BYTES).sum();
        assert!(with_heads <= SECOND_FLIGHT_BYTES_MAX, "{with_heads} bytes of script and style sheet");
    }

    /// All files together, uncompressed.
    const PAGE_BYTES_MAX: usize = 44 << 10;
    /// Script and style sheet in gzip with their response heads, which a browser asks for after the index:
    /// 17,376 bytes arrive within the second round trip.
    const SECOND_FLIGHT_BYTES_MAX: usize = 17_000;
    /// A response head, at most.
    const RESPONSE_HEAD_BYTES: usize = 500;
    /// All files together, in gzip. Ten TCP segments, the usual initial congestion window, hold 14 KiB:
    /// nearly all of it.
    const WIRE_BYTES_MAX: usize = 16 << 10;

    #[test]
    fn both_forms_say_the_same() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926, "the check value of the algorithm");
        for name in ["Plume.chat", "a \\ \"b\" & <c>", "\u{fc}"] {
            for (path, asset) in &Assets::built_in(name).table {
                let plain = asset.representation(false);
                assert_eq!((plain.encoding, asset.varies()), (None, asset.gzip.is_some()), "{path}");
                let Some(gzip) = asset.gzip.as_ref() else { continue };
                assert!(gzip.body.len() < plain.body.len(), "{path}");
                assert_eq!(gzip.encoding, Some("gzip"), "{path}");
                assert_ne!(gzip.etag, plain.etag, "{path}");
                // Every browser checks the CRC and the length at the end.
                let end = gzip.body.len() - 8;
                let length = u32::try_from(plain.body.len()).expect("it is short");
                assert_eq!(gzip.body[..4], [0x1f, 0x8b, 8, 0], "{path}");
                assert_eq!(gzip.body[end..end + 4], crc32(&plain.body).to_le_bytes(), "{path}");
                assert_eq!(gzip.body[end + 4..], length.to_le_bytes(), "{path}");
            }
        }
    }

    #[test]
    fn the_stored_head_bears_the_name() {
        let file = gzip(b"head", &[0x03, 0x00], b"head");
        assert_eq!(file[10..19], [0, 4, 0, 0xfb, 0xff, b'h', b'e', b'a', b'd']);
        assert_eq!(file[19..21], [0x03, 0x00], "an empty last block");
        assert_eq!(gzip(b"", &[0x03, 0x00], b"").len(), 20, "no head, no block");
        let assets = Assets::built_in("a \\ \"b\" & <c>\n");
        let holds = |path: &str, part: &str| {
            let form = assets.find(path).expect("it is there").representation(true);
            String::from_utf8_lossy(&form.body).contains(part)
        };
        assert!(holds("/", "<title>a \\ &quot;b&quot; &amp; &lt;c&gt;\n"));
        assert!(holds("/static/plume.webmanifest", r#"{"name": "a \u005c \u0022b\u0022 & <c>\u000a"#));
    }

    #[test]
    fn a_folder_is_served_as_it_is() {
        let long = "x".repeat(10_000);
        let assets = folder(&[("index.html", &long), ("a.js", &long)]).expect("an index is there");
        for (path, asset) in &assets.table {
            assert!(!asset.varies() && asset.representation(true).encoding.is_none(), "{path}");
        }
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
