//! Ways to spell a path out of the folder of the page. There is no way: files are found by their names, in
//! memory.

use crate::onlooker::Onlooker;
use crate::raw::answers;
use crate::support::{Folder, Plume};

/// Each leads to `secret.txt` beside the folder, to a file of the system, or to one that is hidden, for some
/// reader of paths.
const SPELLINGS: [&str; 38] = [
    "/../secret.txt",
    "/static/../secret.txt",
    "/static/../../secret.txt",
    "/static/sub/../../../secret.txt",
    "/./../secret.txt",
    "//../secret.txt",
    "/static//../../secret.txt",
    "/%2e%2e/secret.txt",
    "/static/%2e%2e/%2e%2e/secret.txt",
    "/static/.%2e/%2e./secret.txt",
    "/static/..%2f..%2fsecret.txt",
    "/static/%2e%2e%2f%2e%2e%2fsecret.txt",
    "/static/%252e%252e%252f%252e%252e%252fsecret.txt",
    "/static/..%252f..%252fsecret.txt",
    "/static/..\\..\\secret.txt",
    "/static/..%5c..%5csecret.txt",
    "/static/..%255c..%255csecret.txt",
    "/static/....//....//secret.txt",
    "/static/..././..././secret.txt",
    "/static/..;/..;/secret.txt",
    "/static/.../.../secret.txt",
    "/static/..%00/..%00/secret.txt",
    "/static/%c0%ae%c0%ae/%c0%ae%c0%ae/secret.txt",
    "/static/%c0%ae%c0%ae%c0%af%c0%ae%c0%ae%c0%afsecret.txt",
    "/static/%e0%80%ae%e0%80%ae/secret.txt",
    "/static/%uff0e%uff0e/secret.txt",
    "/static/..%u2215..%u2215secret.txt",
    "/static/../../secret.txt%00.css",
    "/static/../../secret.txt?.css",
    "//etc/passwd",
    "/static//etc/passwd",
    "/static/etc/passwd",
    "/etc/passwd",
    "/proc/self/environ",
    "file:///etc/passwd",
    "http://x/static/../../secret.txt",
    "/static/.hidden",
    "/static/sub/",
];

/// Asks for each spelling and sees nothing.
fn assert_closed(server: &Plume) {
    for spelling in SPELLINGS {
        let answers = answers(server, format!("GET {spelling} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        let [(status, body)] = &answers[..] else { panic!("{spelling}: {answers:?}") };
        // A scheme that is not HTTP's is no target.
        let expected = if spelling.starts_with("file:") { 400 } else { 404 };
        assert_eq!(*status, expected, "{spelling}");
        let body = String::from_utf8_lossy(body);
        assert!(!body.contains("SECRET") && !body.contains("root:"), "{spelling}: {body}");
    }
}

#[test]
fn no_spelling_leads_out_of_the_page() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    assert_closed(&server);
    onlooker.finish();
}

#[test]
fn no_spelling_leads_out_of_a_folder_that_is_served() {
    // What nobody may see is beside the page and hidden in it.
    let files: [(&str, &[u8]); 4] = [
        ("secret.txt", b"SECRET"),
        ("page/index.html", b"the page"),
        ("page/.hidden", b"SECRET"),
        ("page/sub/deep.css", b"deep"),
    ];
    let folder = Folder::with("traversal", &files);
    let server = Plume::start(&[("PLUME_STATIC", &format!("{}/page", folder.setting()))]);
    for (target, content) in [("/", "the page"), ("/static/sub/deep.css", "deep")] {
        let answers = answers(&server, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(answers, [(200, content.as_bytes().to_vec())], "{target}");
    }
    assert_closed(&server);
}
