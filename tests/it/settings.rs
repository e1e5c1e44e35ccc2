//! Variables and flags: what may be set, and what is said of what may not.

use crate::support::{Client, Ended, Folder, Http, Plume, refused};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

/// A wrong setting is one clear line on stderr, which names the culprit, and exit code 2. Gives the line.
fn assert_refused(variables: &[(&str, &str)], flags: &[&str], culprit: &str) -> String {
    assert_fails(2, variables, flags, culprit)
}

/// A start that fails is one clear line on stderr, which names the culprit, and this exit code.
fn assert_fails(expected: i32, variables: &[(&str, &str)], flags: &[&str], culprit: &str) -> String {
    let row = format!("{variables:?} {flags:?}");
    let Ended { code, stdout, stderr } = refused(variables, flags);
    assert_eq!((code, stdout.as_str()), (Some(expected), ""), "{row}: {stderr}");
    assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "{row}: {stderr:?}");
    assert!(stderr.contains(culprit), "{row}: {stderr:?} does not name {culprit}");
    stderr
}

#[test]
fn a_wrong_value_is_refused() {
    for (name, value) in [
        ("PLUME_LISTEN", "nowhere"),
        ("PLUME_LISTEN", "127.0.0.1"),
        ("PLUME_LISTEN", "127.0.0.1:99999"),
        ("PLUME_ORIGINS", "chat.example"),
        ("PLUME_ORIGINS", "https://chat.example/path"),
        ("PLUME_ORIGINS", "https://a.example,ftp://b.example"),
        ("PLUME_NAME", "two\nlines"),
        ("PLUME_NAME", " "),
        ("PLUME_HISTORY", "many"),
        ("PLUME_HISTORY", "-1"),
        ("PLUME_HISTORY", "1.5"),
        ("PLUME_BACKLOG", "1000"),
        ("PLUME_BACKLOG", "99999999999999999999"),
        ("PLUME_CODE_TTL", "soon"),
        ("PLUME_CODE_TTL", "0"),
        ("PLUME_LEAVE_GRACE", "-1"),
        ("PLUME_PING", "0"),
        ("PLUME_PING", "x"),
        ("PLUME_RATE", "fast"),
        ("PLUME_RATE", "-5"),
        ("PLUME_MAIL_EVERY", "x"),
        ("PLUME_MAIL_BURST", "x"),
        ("PLUME_MAX_CONNECTIONS", "x"),
        ("PLUME_MAX_CONNECTIONS", "0"),
        ("PLUME_MAX_CONNECTIONS", "999999999999"),
        ("PLUME_MODERATORS", "ada"),
        ("PLUME_MODERATORS", "@example.org"),
        ("PLUME_MODERATORS", "ada@example.org,@.example.org"),
        ("PLUME_ALLOW", "example.org"),
        ("PLUME_ALLOW", "invited ada@example.org"),
        ("PLUME_DENY", "invited"),
        ("PLUME_DENY", "@example.org, invited"),
        ("PLUME_DENY", ","),
        ("PLUME_METRICS", "9484"),
        ("PLUME_METRICS", "127.0.0.1"),
        ("PLUME_METRICS", "unix:/run/plume/metrics.sock"),
        ("PLUME_LOG", "loud"),
        ("ENV", "prod"),
    ] {
        assert_refused(&[(name, value)], &[], name);
    }
}

#[test]
fn wrong_values_for_email_are_refused() {
    let production = ("ENV", "production");
    let (key, domain) = (("MAILGUN_APIKEY", "secret-key"), ("MAILGUN_DOMAIN", "mail.example.org"));
    for (name, value) in [
        ("MAILGUN_API_BASE", "mailgun"),
        ("MAILGUN_API_BASE", "ftp://api.mailgun.net"),
        ("MAILGUN_DOMAIN", "a/b"),
        ("PLUME_MAIL_FROM", "two\nlines <a@example.org>"),
        ("PLUME_MAIL_FROM", "Ada <ada@example.org>, Bob <bob@example.org>"),
        ("PLUME_MAIL_FROM", "Team: ada@example.org;"),
        ("PLUME_SMTP", "mail.example.org"),
        ("PLUME_SMTP", "smtp://user@mail.example.org"),
        ("PLUME_SMTP_CA", "/nowhere/ca.pem"),
    ] {
        assert_refused(&[production, key, domain, (name, value)], &[], name);
    }
    let line = assert_refused(&[production, key, ("PLUME_PING", "x")], &[], "PLUME_PING");
    assert!(!line.contains("secret-key"), "the key stays secret");
    let smtp = ("PLUME_SMTP", "smtp://ada:secret%@mail.example.org");
    assert!(!assert_refused(&[production, smtp], &[], "PLUME_SMTP").contains("secret"), "so does a password");
}

#[test]
fn production_needs_exactly_one_way_to_send_email() {
    let production = ("ENV", "production");
    let (key, domain) = (("MAILGUN_APIKEY", "key"), ("MAILGUN_DOMAIN", "mail.example.org"));
    let (smtp, from) = (("PLUME_SMTP", "smtp://127.0.0.1"), ("PLUME_MAIL_FROM", "hi@example.org"));
    for neither in [&[production][..], &[production, ("MAILGUN_APIKEY", "")], &[production, domain, from]] {
        assert_refused(neither, &[], "PLUME_SMTP");
        assert_refused(neither, &[], "MAILGUN_APIKEY");
    }
    assert_refused(&[production, key], &[], "MAILGUN_DOMAIN");
    assert_refused(&[production, smtp], &[], "PLUME_MAIL_FROM");
    assert_refused(&[production, smtp, from, key, domain], &[], "MAILGUN_APIKEY");
    assert_refused(&[production, smtp, from, key, domain], &[], "PLUME_SMTP");
    Plume::start(&[production, smtp, from]);
    Plume::start(&[production, key, domain]);
}

#[test]
fn a_secret_can_be_in_a_file() {
    let folder = Folder::with(
        "secrets",
        &[
            ("key", b"key-1\n"),
            ("wrong", b"secret key\n"),
            ("smtp", b"smtp://ada:secret@127.0.0.1\n"),
            ("empty", b""),
        ],
    );
    let path = |name: &str| format!("{}/{name}", folder.setting());
    let (production, domain) = (("ENV", "production"), ("MAILGUN_DOMAIN", "mail.example.org"));
    let from = ("PLUME_MAIL_FROM", "hi@example.org");
    Plume::start(&[production, domain, ("MAILGUN_APIKEY_FILE", &path("key"))]);
    Plume::start(&[production, from, ("PLUME_SMTP_FILE", &path("smtp"))]);
    for (variable, other) in [("MAILGUN_APIKEY_FILE", "MAILGUN_APIKEY"), ("PLUME_SMTP_FILE", "PLUME_SMTP")] {
        for wrong in ["wrong", "empty", "missing", ""] {
            let path = path(wrong);
            let line = assert_refused(&[production, domain, from, (variable, &path)], &[], variable);
            assert!(!line.contains("secret"), "{variable}={path}: {line}");
        }
        let (value, file) =
            if other == "PLUME_SMTP" { ("smtp://127.0.0.1", path("smtp")) } else { ("key-1", path("key")) };
        let both = [production, domain, from, (other, value), (variable, &file)];
        assert_refused(&both, &[], &format!("{other} and {variable} are both set"));
    }
}

#[test]
fn unknown_names_and_flags_are_refused() {
    assert_refused(&[("PLUME_NONSENSE", "1")], &[], "PLUME_NONSENSE");
    assert_refused(&[("PLUME_LISTEN_", "127.0.0.1:0")], &[], "PLUME_LISTEN_");
    assert_refused(&[("PLUME_listen", "127.0.0.1:0")], &[], "PLUME_listen");
    for flag in ["--nonsense", "--nonsense=1", "-x", "--LISTEN=127.0.0.1:0", "--"] {
        assert_refused(&[], &[flag], flag.split('=').next().unwrap());
    }
    assert_refused(&[], &["word"], "argument 1");
    assert_refused(&[], &["--history", "5", "word"], "argument 3");
    for flags in
        [&["--history"][..], &["--history", "many"], &["--history=many"], &["--history=1", "--history=1"]]
    {
        assert_refused(&[], flags, "--history");
    }
}

#[test]
fn an_empty_value_means_the_default() {
    let server = Plume::start(&[("PLUME_NAME", ""), ("PLUME_PING", ""), ("ENV", ""), ("PLUME_STATIC", "")]);
    assert!(Http::get(&server, "/").text().contains("Plume.chat"));
}

#[test]
fn other_variables_are_not_its_business() {
    Plume::start(&[("PATH", "/nowhere"), ("RUST_LOG", "x"), ("HOME", ""), ("PLUMES", "1")]);
    // Not even when they are not UTF-8.
    Plume::start_after("JUNK=$(printf '\\377'); export JUNK", &[]);
}

#[test]
fn help_tells_every_setting_with_its_default() {
    let Ended { code, stdout: help, stderr } = refused(&[], &["--help"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let find = |part: &str| help.lines().any(|line| line.contains(part));
    for part in [
        "ENV",
        "MAILGUN_APIKEY",
        "MAILGUN_APIKEY_FILE",
        "MAILGUN_DOMAIN",
        "PLUME_SMTP",
        "PLUME_SMTP_FILE",
        "PLUME_SMTP_CA",
        "PLUME_REDIS",
        "PLUME_REDIS_FILE",
        "MAILGUN_API_BASE",
        "https://api.mailgun.net",
        "PLUME_MAIL_FROM",
        "PLUME_LISTEN",
        "--listen",
        "127.0.0.1:4884",
        "PLUME_ORIGINS",
        "PLUME_NAME",
        "Plume.chat",
        "PLUME_HISTORY",
        "--history",
        "50",
        "PLUME_BACKLOG",
        "PLUME_CODE_TTL",
        "--code-ttl",
        "600",
        "PLUME_LEAVE_GRACE",
        "15",
        "PLUME_PING",
        "25",
        "PLUME_RATE",
        "10",
        "PLUME_MAIL_EVERY",
        "PLUME_MAIL_BURST",
        "PLUME_MAX_CONNECTIONS",
        "--max-connections",
        "PLUME_STATIC",
        "PLUME_LOG",
        "info",
        "--help",
        "--version",
    ] {
        assert!(find(part), "no {part} in the help:\n{help}");
    }
}

#[test]
fn help_and_version_need_no_good_settings() {
    for flag in ["--help", "--version"] {
        let ended = refused(&[("PLUME_NONSENSE", "1"), ("PLUME_PING", "x")], &[flag]);
        assert_eq!(ended.code, Some(0), "{flag}");
    }
}

#[test]
fn the_version_is_told() {
    let Ended { code, stdout, .. } = refused(&[], &["--version"]);
    assert_eq!((code, stdout.as_str()), (Some(0), concat!("plume ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn flags_win_over_variables() {
    for flags in [["--name", "The Flag"].as_slice(), &["--name=The Flag"]] {
        let server = Plume::start_with(&[("PLUME_NAME", "The Variable")], flags);
        let page = Http::get(&server, "/").text();
        assert!(page.contains("The Flag") && !page.contains("The Variable"));
        let ada = Client::login(&server, "Ada");
        assert!(ada.welcome[0]["text"].as_str().unwrap().contains("The Flag"));
    }
    Plume::start_with(&[("PLUME_LISTEN", "nonsense")], &["--listen", "127.0.0.1:0"]);
}

#[test]
fn two_servers_cannot_have_one_address() {
    let first = Plume::start(&[]);
    let address = first.address().to_string();
    assert_fails(1, &[("PLUME_LISTEN", &address)], &[], &address);
    assert_eq!(Http::get(&first, "/healthz").status, 200);
}

/// So that a start before the network is up heals, and one with a wrong setting is not tried again.
#[test]
fn an_address_that_is_not_there_yet_exits_with_1_and_one_that_is_not_allowed_with_2() {
    // TEST-NET-1 (RFC 5737) is nobody's.
    assert_fails(1, &[("PLUME_LISTEN", "192.0.2.1:4884")], &[], "192.0.2.1:4884");
    let folder = Folder::with("sockets", &[("file", b"")]);
    let path = |name: &str| format!("unix:{}/{name}", folder.setting());
    assert_fails(1, &[("PLUME_LISTEN", &path("missing/plume.sock"))], &[], "missing/plume.sock");
    assert_refused(&[("PLUME_LISTEN", &path("file"))], &[], "not a socket");
}

#[test]
fn one_line_at_the_start_says_what_runs() {
    let server = Plume::start(&[
        ("PLUME_TRUSTED_PROXIES", "127.0.0.1, 192.0.2.7"),
        ("PLUME_ORIGINS", "https://friend.example"),
        ("PLUME_MAX_CONNECTIONS", "50"),
        ("PLUME_RATE", "7"),
    ]);
    let expected = format!(
        "plume {}: mode=development mail=printed page=built-in connections=50 per_address=64 rate=7 history=50 \
         trusted_proxies=2 origins=1 moderators=0 allow=0 deny=0 bots=0 data=off redis=off metrics=off; listening on http://{}\n",
        env!("CARGO_PKG_VERSION"),
        server.address()
    );
    assert_eq!(server.log(), expected);
    for (allow, told) in [
        ("invited", "allow=invited"),
        ("invited, @example.org", "allow=1"),
        ("@example.org,@a.example", "allow=2"),
    ] {
        let server = Plume::start(&[("PLUME_MODERATORS", "ada@example.org"), ("PLUME_ALLOW", allow)]);
        let log = server.log();
        assert!(log.contains(&format!(" moderators=1 {told} deny=0 ")), "{log}");
    }
}

#[test]
fn an_address_that_was_just_left_is_free() {
    let mut first = Plume::start(&[]);
    let address = first.address().to_string();
    let mut member = Client::login(&first, "Ada");
    assert_eq!(first.terminate().code(), Some(0));
    let second = Plume::start(&[("PLUME_LISTEN", &address)]);
    assert_eq!(second.address(), first.address());
    // The session was in the memory of the first.
    let token = member.token();
    member.expect_notice("restarting");
    Client::with_token(&second, &token).expect(4);
}

#[test]
fn a_folder_can_be_served_instead_of_the_page() {
    let folder = Folder::with(
        "served",
        &[
            ("page/index.html", b"<!doctype html><title>Mine</title>"),
            ("page/css/main.css", b"body { color: red }"),
            ("page/app.mjs", b"export {}"),
            ("page/app.js", b"1"),
            ("page/pic.svg", b"<svg/>"),
            ("page/note.txt", b"text"),
            ("secret", b"not for everyone"),
        ],
    );
    let server = Plume::start(&[("PLUME_STATIC", &format!("{}/page", folder.setting()))]);
    for (target, body, kind) in [
        ("/", "<!doctype html><title>Mine</title>", "text/html"),
        ("/static/css/main.css", "body { color: red }", "text/css"),
        ("/static/app.mjs", "export {}", "text/javascript"),
        ("/static/app.js", "1", "text/javascript"),
        ("/static/pic.svg", "<svg/>", "image/svg+xml"),
        ("/static/note.txt", "text", "text/plain"),
    ] {
        let answer = Http::get(&server, target);
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{target}");
        assert!(answer.must("content-type").starts_with(kind), "{target}: {answer:?}");
        assert_eq!(answer.must("x-content-type-options"), "nosniff", "{target}");
    }
    for target in [
        "/static/../secret".to_owned(),
        "/static/%2e%2e/secret".to_owned(),
        "/static/..%2fsecret".to_owned(),
        format!("/static//{}/secret", folder.setting()),
        "/static/".to_owned(),
        "/static".to_owned(),
        "/static/css".to_owned(),
        "/static/missing.css".to_owned(),
        "/css/main.css".to_owned(),
    ] {
        let answer = Http::get(&server, &target);
        assert_eq!(answer.status, 404, "{target}: {answer:?}");
        assert!(!answer.text().contains("not for everyone"), "{target}");
    }
}

#[test]
fn a_folder_without_a_page_is_refused() {
    let folder = Folder::with("no-page", &[("main.css", b"")]);
    let path = folder.setting();
    for wrong in [path, &format!("{path}/main.css"), &format!("{path}/missing")] {
        assert_refused(&[("PLUME_STATIC", wrong)], &[], wrong);
    }
}

#[test]
fn the_log_can_be_made_quiet() {
    let server = Plume::start(&[("PLUME_LOG", "error")]);
    drop(Client::login(&server, "Ada"));
    Http::get(&server, "/nowhere");
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| !line.starts_with("login code for @")).collect();
    let start = format!("; listening on http://{}", server.address());
    assert!(lines.len() == 1 && lines[0].ends_with(&start), "{log}");
}

#[test]
fn a_path_in_an_error_is_one_line_without_escapes() {
    for (variables, flags) in [
        (&[("PLUME_STATIC", "/nowhere\n\u{1b}[2J")][..], &[][..]),
        (&[("PLUME_LISTEN", "unix:/nowhere\n\u{1b}[2J/a.sock")], &[]),
        (&[("PLUME_LISTEN", "unix:/nowhere\n\u{1b}[2J/a.sock")], &["health"]),
        (&[("PLUME_LISTEN", "unix:/nowhere\n\u{1b}[2J/a.sock")], &["--check"]),
    ] {
        let Ended { stdout, stderr, .. } = refused(variables, flags);
        let text = stdout + &stderr;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        assert!(line.contains(r"/nowhere\n\u{1b}[2J") && !line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn a_setting_that_is_not_utf_8_is_refused_by_name() {
    // With --check it ends even if it takes the value.
    let output = Command::new(env!("CARGO_BIN_EXE_plume"))
        .env_clear()
        .envs([("ENV", "production"), ("PLUME_MAIL_FROM", "hi@example.org")])
        .env("PLUME_SMTP", OsStr::from_bytes(b"smtp://ada:secret\xff@127.0.0.1"))
        .arg("--check")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "plume: PLUME_SMTP: must be UTF-8\n");
}
