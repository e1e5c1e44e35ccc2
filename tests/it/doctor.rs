//! `plume doctor`, `plume health` and `plume --check`: what they find, what they say, and how they end.

use crate::support::{
    Behaviour, Ended, FakeMailgun, Folder, Plume, authorization, free_address, listen, mailgun_variables,
    refused,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Runs a command to its end; gives its exit code and what it wrote to stdout.
fn run(variables: &[(&str, &str)], args: &[&str]) -> (i32, String) {
    let Ended { code, stdout, stderr } = refused(variables, args);
    (code.expect("it ends by itself"), stdout + &stderr)
}

/// Examines a site, with no settings but the harness's own.
fn examine(site: &str, args: &[&str]) -> (i32, String) {
    run(&[], &[&["doctor", site], args].concat())
}

fn assert_line(report: &str, start: &str, part: &str) {
    let found = report.lines().any(|line| line.starts_with(start) && line.contains(part));
    assert!(found, "no line {start:?} with {part:?} in:\n{report}");
}

/// An examination that ended with this code, and has said this; gives all that it said.
fn assert_finds((found, report): (i32, String), code: i32, start: &str, part: &str) -> String {
    assert_eq!(found, code, "{start}: {report}");
    assert_line(&report, start, part);
    report
}

/// What a relay does with a request.
enum Reaction {
    /// Passes it on with this head.
    Pass(String),
    /// Answers in place of the server.
    Answer(String),
}

/// A proxy that does to each request what a test wants.
struct Relay {
    address: SocketAddr,
}

impl Relay {
    fn start(server: &Plume, react: impl Fn(&str) -> Reaction + Send + Sync + 'static) -> Self {
        Self::start_with(server, Duration::from_secs(20), react)
    }

    /// The same with a time after which silence ends a connection.
    fn start_with(
        server: &Plume,
        idle: Duration,
        react: impl Fn(&str) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let (listener, address) = listen();
        let (upstream, react) = (server.address(), Arc::new(react));
        // It ends with the process of the tests.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let react = Arc::clone(&react);
                thread::spawn(move || relay(stream, upstream, idle, &*react));
            }
        });
        Self { address }
    }

    fn site(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn relay(mut client: TcpStream, upstream: SocketAddr, idle: Duration, react: &dyn Fn(&str) -> Reaction) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    match react(&String::from_utf8(head).expect("a head is text")) {
        Reaction::Answer(answer) => {
            let _gone = client.write_all(answer.as_bytes());
        }
        Reaction::Pass(head) => {
            let mut server = TcpStream::connect(upstream).expect("the server listens");
            server.write_all(head.as_bytes()).expect("the server takes the bytes");
            let (from_client, to_server) = (client.try_clone(), server.try_clone());
            let up = thread::spawn(move || {
                copy(from_client.expect("a handle"), to_server.expect("a handle"), Duration::from_mins(1));
            });
            copy(server, client, idle);
            up.join().expect("copying does not panic");
        }
    }
}

/// Copies until the end, or until nothing came for a while, and ends both.
fn copy(mut from: TcpStream, mut to: TcpStream, idle: Duration) {
    from.set_read_timeout(Some(idle)).expect("a socket has the option");
    let mut chunk = [0; 16 << 10];
    loop {
        match from.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(bytes) if bytes > 0 && to.write_all(&chunk[..bytes]).is_ok() => {}
            _ => break,
        }
    }
    let _gone = to.shutdown(Shutdown::Both);
    let _gone = from.shutdown(Shutdown::Both);
}

fn pass(head: &str) -> Reaction {
    Reaction::Pass(head.to_owned())
}

/// Another answer to requests for a file.
fn replaced(head: &str, file: &str, answer: Reaction) -> Reaction {
    if head.lines().next().is_some_and(|line| line.contains(file)) { answer } else { pass(head) }
}

/// The head without the lines of these fields.
fn without(head: &str, fields: &[&str]) -> String {
    let is_kept = |line: &&str| !fields.iter().any(|field| line.starts_with(field));
    head.split_inclusive("\r\n").filter(is_kept).collect()
}

fn answer(status: &str, fields: &str, body: &str) -> Reaction {
    let length = body.len();
    Reaction::Answer(format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

/// A relay that appends its peer's address as a proxy should, in front of a server that trusts it.
fn appending(head: &str) -> String {
    let own = "X-Forwarded-For: 192.0.2.50\r\n\r\n";
    format!("{}{own}", head.trim_end_matches("\r\n").to_owned() + "\r\n")
}

const TRUST: (&str, &str) = ("PLUME_TRUSTED_PROXIES", "127.0.0.1");

#[test]
fn a_site_that_is_right_gets_ok_in_every_line_and_exit_code_0() {
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "10")]);
    let relay = Relay::start(&server, |head| Reaction::Pass(appending(head)));
    let (code, report) = examine(&relay.site(), &["--log=info", "--trusted-proxies=127.0.0.1", "--wait=1"]);
    assert_eq!(code, 0, "{report}");
    assert!(report.lines().all(|line| line.starts_with("ok    ")), "{report}");
    for (what, part) in [
        ("settings", "mode=development"),
        ("files", "room for "),
        ("email", "printed"),
        ("connect", "127.0.0.1:"),
        ("tls", "none is needed"),
        ("healthz", "Plume answers"),
        ("page", "files that it loads"),
        ("websocket", "without an Origin"),
        ("websocket", "with the page's Origin"),
        ("websocket", "is refused with a foreign Origin"),
        ("ping", "ms"),
        ("idle", "still open after 1 s"),
        ("forwarding", "10 connections, whatever address they claim"),
    ] {
        assert_line(&report, &format!("ok    {what}:"), part);
    }
    server.wait_line("event=foreign-origin ");
    let log = server.log();
    let hints: Vec<&str> = log.lines().filter(|line| line.contains("hint=")).collect();
    assert!(matches!(hints[..], [hint] if hint.contains("event=foreign-origin ")), "{log}");
}

type React = dyn Fn(&str) -> Reaction + Send + Sync;
/// What a proxy does wrong, the line that names it, and what the line says to do.
type Row = (fn(&str) -> Reaction, &'static str, &'static str);

#[test]
fn what_a_proxy_does_wrong_is_named_with_what_to_do() {
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "10")]);
    let rows: [Row; 10] = [
        (
            |_| answer("302 Found", "", ""),
            "FAIL  healthz: 302 is a redirect that does not say where to",
            "in the proxy",
        ),
        (
            |head| Reaction::Pass(without(head, &["Host:"]).replacen("\r\n", "\r\nHost: inner:4884\r\n", 1)),
            "FAIL  websocket: with the page's Origin: 403",
            "proxy_set_header Host $http_host",
        ),
        (
            |head| Reaction::Pass(without(head, &["Upgrade:", "Connection:"])),
            "FAIL  websocket: without an Origin, as bots open it: 426",
            "proxy_set_header Upgrade $http_upgrade",
        ),
        (
            |head| Reaction::Pass(without(head, &["Sec-WebSocket-Key:"])),
            "FAIL  websocket: with the page's Origin: 400",
            "pass the fields on",
        ),
        (|_| answer("502 Bad Gateway", "", "x"), "FAIL  healthz: 502", "PLUME_LISTEN"),
        (
            |_| answer("301 Moved Permanently", "Location: https://elsewhere.example/\r\n", ""),
            "FAIL  healthz: 301 leads to https://elsewhere.example/",
            "give the doctor the address",
        ),
        (
            |_| answer("200 OK", "", "<p>another site"),
            "FAIL  healthz: 200, but it is not Plume's",
            "something else",
        ),
        (
            |_| Reaction::Answer("SSH-2.0-x\r\n".to_owned()),
            "FAIL  healthz: what is answered there is not HTTP",
            "port",
        ),
        (
            |head| replaced(head, "main.js", answer("200 OK", "Content-Type: text/plain\r\n", "x")),
            "FAIL  page: /static/main.js: its type is \"text/plain\"",
            "text/javascript",
        ),
        (
            |head| replaced(head, "style.css", answer("404 Not Found", "", "x")),
            "FAIL  page: /static/style.css: 404",
            "passes nothing",
        ),
    ];
    for (react, start, part) in rows {
        let relay = Relay::start(&server, react);
        assert_finds(examine(&relay.site(), &[]), 2, start, part);
    }
}

#[test]
fn a_site_that_takes_a_foreign_origin_is_a_failure() {
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "10")]);
    let with_own_origin = |head: &str| {
        let host = head.lines().find_map(|line| line.strip_prefix("Host: ")).expect("a host");
        let own = format!("\r\nOrigin: http://{host}\r\n");
        Reaction::Pass(without(head, &["Origin:"]).replacen("\r\n", &own, 1))
    };
    let not_found = |head: &str| {
        let is_foreign = head.contains("Origin: https://plume-doctor.invalid\r\n");
        if is_foreign { answer("404 Not Found", "", "x") } else { pass(head) }
    };
    let opens = "FAIL  websocket: opens with the Origin https://plume-doctor.invalid";
    let rows: [(Box<React>, _, _, _); 3] = [
        (Box::new(|head| Reaction::Pass(without(head, &["Origin:"]))), 2, opens, "pass Origin on as it is"),
        (Box::new(with_own_origin), 2, opens, "no http-request set-header Origin"),
        (
            Box::new(not_found),
            1,
            "warn  websocket: with a foreign Origin there should be",
            "403, but there is: 404",
        ),
    ];
    for (react, expected, start, part) in rows {
        let relay = Relay::start(&server, react);
        assert_finds(examine(&relay.site(), &[]), expected, start, part);
    }
}

#[test]
fn a_proxy_that_ends_silent_connections_is_found_by_waiting() {
    let server = Plume::start(&[]);
    let relay = Relay::start_with(&server, Duration::from_millis(1_200), pass);
    let ended = examine(&relay.site(), &["--wait", "4"]);
    assert_finds(ended, 2, "FAIL  idle: closed after 1 s of silence", "proxy_read_timeout");
}

#[test]
fn chunks_and_answers_without_a_length_are_read() {
    let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "10")]);
    let relay = Relay::start(&server, |head| {
        let first = head.lines().next().unwrap_or_default();
        match first {
            "GET /healthz HTTP/1.1" => Reaction::Answer(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\n\r\n"
                    .to_owned(),
            ),
            "GET / HTTP/1.1" => Reaction::Answer(
                "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<script src=\"static/main.js\">"
                    .to_owned(),
            ),
            _ => Reaction::Pass(appending(head)),
        }
    });
    assert_finds(examine(&relay.site(), &[]), 0, "ok    page:", "it and 1 files");
}

#[test]
fn a_site_that_is_not_there_is_told_apart() {
    let free = free_address();
    for (site, start) in [
        (format!("http://{free}"), "FAIL  connect: nothing listens on 127.0.0.1:"),
        ("https://nowhere.invalid".to_owned(), "FAIL  connect: the name nowhere.invalid is not known"),
    ] {
        assert_finds(examine(&site, &[]), 2, start, "");
    }
    let server = Plume::start(&[]);
    let ended = examine(&format!("https://{}", server.address()), &[]);
    assert_finds(ended, 2, "FAIL  tls: no TLS is spoken there", "http://");
}

#[test]
fn settings_are_checked_where_they_are_given() {
    let server = Plume::start(&[]);
    let listen = server.address().to_string();
    let ended = run(&[("PLUME_LISTEN", &listen), ("PLUME_TRUSTED_PROXIES", "10.0.0.0/8")], &["doctor"]);
    let report =
        assert_finds(ended, 1, "warn  settings: 1 trusted networks are so wide", "PLUME_TRUSTED_PROXIES");
    assert_line(&report, "warn  site: checked without a proxy", "plume doctor https://");
    assert_line(&report, "ok    ping:", "ms");
    for (variables, args, start) in [
        (&[("PLUME_PING", "x")][..], &["doctor"][..], "FAIL  settings: PLUME_PING is \"x\""),
        (&[("ENV", "production")], &["doctor"], "FAIL  settings: production sends login codes by email"),
        (
            &[],
            &["doctor", "--static=/nowhere/at/all"],
            "FAIL  settings: cannot serve the folder /nowhere/at/all",
        ),
        (&[], &["doctor", "--max-connections=16000000"], "FAIL  settings: PLUME_MAX_CONNECTIONS is 16000000"),
    ] {
        assert_finds(run(variables, args), 2, start, "");
    }
    let (code, report) = run(&[], &["doctor", "https://user:SECRET@chat.example"]);
    assert!(code == 2 && !report.contains("SECRET"), "{report}");
}

#[test]
fn the_email_provider_is_asked_without_sending_anything_and_the_key_stays_secret() {
    for (status, body, code, start) in [
        (
            200,
            r#"{"domain":{"state": "active"}}"#,
            0,
            "ok    email: Mailgun knows the key and mail.plume.chat",
        ),
        (
            200,
            r#"{"domain":{"state": "unverified"}}"#,
            1,
            "warn  email: Mailgun has not verified mail.plume.chat",
        ),
        (200, r#"{"domain":{"state":"disabled"}}"#, 2, "FAIL  email: Mailgun has disabled mail.plume.chat"),
        (401, "Forbidden", 2, "FAIL  email: Mailgun does not accept MAILGUN_APIKEY (401)"),
        (404, "{}", 2, "FAIL  email: Mailgun does not know mail.plume.chat"),
        (400, "", 2, "FAIL  email: Mailgun answers 400: check MAILGUN_API_BASE"),
        (429, "", 2, "FAIL  email: Mailgun answers 429: it is busy or down: try again"),
        (500, "", 2, "FAIL  email: Mailgun answers 500: it is busy or down: try again"),
    ] {
        let server = Plume::start(&[TRUST, ("PLUME_MAX_PER_ADDRESS", "10")]);
        let relay = Relay::start(&server, |head| Reaction::Pass(appending(head)));
        let mailgun = FakeMailgun::start(&[Behaviour::Answer(status, body)]);
        let ended = run(&mailgun_variables(&mailgun.url()), &["doctor", &relay.site()]);
        let report = assert_finds(ended, code, start, "");
        assert_eq!(mailgun.count(), 1);
        let asked = mailgun.next();
        assert_eq!(asked.request, "GET /v3/domains/mail.plume.chat");
        assert_eq!(asked.authorization, authorization());
        assert!(!report.contains("key-of-the-test") && !report.contains("YXBp"), "{report}");
    }
}

#[test]
fn a_provider_that_cannot_be_asked_gets_no_hint_for_a_site() {
    let free = free_address();
    let server = Plume::start(&[]);
    for (api, cause) in [
        (format!("http://{free}"), "does not answer"),
        ("http://nowhere.invalid".to_owned(), "the name nowhere.invalid is not known"),
        (format!("https://{}", server.address()), "no TLS connection"),
    ] {
        let (code, report) = run(&mailgun_variables(&api), &["doctor"]);
        assert_eq!(code, 2, "{report}");
        let end = ": check MAILGUN_API_BASE and this machine's way out";
        let found = report.lines().any(|line| {
            line.starts_with("FAIL  email: Mailgun: ") && line.contains(cause) && line.ends_with(end)
        });
        assert!(found, "{cause}: {report}");
    }
}

#[test]
fn a_smtp_server_without_tls_is_told_apart_from_a_bad_certificate() {
    let (listener, address) = listen();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _gone = stream.write_all(b"220 mail.example\r\n250 mail.example\r\n");
            let _gone = stream.read(&mut [0; 512]);
        }
    });
    for url in [format!("smtp://{address}?tls=required"), format!("smtps://{address}")] {
        let variables =
            [("ENV", "production"), ("PLUME_SMTP", url.as_str()), ("PLUME_MAIL_FROM", "hi@example.org")];
        let ended = run(&variables, &["doctor"]);
        assert_finds(
            ended,
            2,
            "FAIL  email: SMTP: tls: it offers no TLS in this way",
            "smtps:// is for port 465",
        );
    }
}

#[test]
fn a_misspelt_variable_is_named_by_the_doctor() {
    let free = free_address();
    // No other setting is given.
    let output = Command::new(env!("CARGO_BIN_EXE_plume"))
        .env_clear()
        .env("PLUME_TRUSTED_PROXY", "127.0.0.1")
        .args(["doctor", &format!("http://{free}")])
        .output()
        .expect("the binary starts");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{report}");
    assert_line(&report, "FAIL  settings: PLUME_TRUSTED_PROXY: unknown variable", "--help");
}

#[test]
fn an_authority_without_https_is_a_mistake() {
    let server = Plume::start(&[]);
    let (_, report) = examine(&format!("http://{}", server.address()), &["--ca", "/nowhere.pem"]);
    assert_line(&report, "warn  tls: --ca is not used", "https://");
}

#[test]
fn an_email_is_sent_only_if_asked_for() {
    for (status, code, start) in [
        (200, 0, "ok    email: the provider has accepted an email"),
        (400, 2, "FAIL  email: the provider did not accept an email: refused-400"),
    ] {
        let server = Plume::start(&[]);
        let mailgun = FakeMailgun::start(&[Behaviour::Answer(status, "{}"); 2]);
        let (api, listen) = (mailgun.url(), server.address().to_string());
        let variables = [&mailgun_variables(&api)[..], &[("PLUME_LISTEN", &listen)]].concat();
        let ended = run(&variables, &["doctor", "--mail-to=ada@example.org"]);
        // Without an address of the site, that is a warning.
        assert_finds(ended, code.max(1), start, "");
        assert_eq!(
            (mailgun.next().request, mailgun.count()),
            ("GET /v3/domains/mail.plume.chat".to_owned(), 2)
        );
        assert_eq!(mailgun.next().request, "POST /v3/mail.plume.chat/messages");
    }
    let (_, report) = run(&[], &["doctor", "--mail-to=ada@example.org"]);
    assert_line(&report, "warn  email: nothing is sent in development", "ENV=production");
}

#[test]
fn health_is_an_exit_code() {
    let server = Plume::start(&[]);
    let listen = server.address().to_string();
    assert_eq!(run(&[("PLUME_LISTEN", &listen)], &["health"]), (0, String::new()));
    assert_eq!(run(&[], &["health", &format!("http://{listen}")]), (0, String::new()));
    let relay = Relay::start(&server, |_| answer("503 Service Unavailable", "", "x"));
    let (code, line) = run(&[], &["health", &relay.site()]);
    assert_eq!((code, line.as_str()), (1, "plume: not healthy: answered 503 instead of 200 and ok\n"));
    drop(server);
    let (code, line) = run(&[("PLUME_LISTEN", &listen)], &["health"]);
    assert!(code == 1 && line.starts_with("plume: not healthy: nothing listens on "), "{line}");
    let (code, line) = run(&[], &["health"]);
    assert!(code == 2 && line.starts_with("plume: the server listens on any free port"), "{line}");
    let folder = Folder::new("health");
    let unix = format!("unix:{}/sock", folder.setting());
    let over_unix = Plume::start(&[("PLUME_LISTEN", &unix)]);
    assert_eq!(run(&[("PLUME_LISTEN", &unix)], &["health"]), (0, String::new()));
    drop(over_unix);
    assert_eq!(run(&[("PLUME_LISTEN", &unix)], &["health"]).0, 1);
}

#[test]
fn a_check_says_what_would_run_and_takes_no_socket() {
    let server = Plume::start(&[]);
    let listen = server.address().to_string();
    let (code, line) = run(&[("PLUME_LISTEN", &listen), ("PLUME_RATE", "7")], &["--check"]);
    let start = concat!("plume ", env!("CARGO_PKG_VERSION"), ": mode=development mail=printed page=built-in");
    assert!(code == 0 && line.starts_with(start) && line.contains(" rate=7 "), "{line}");
    assert!(
        line.ends_with(&format!("; would listen on http://{listen}\n")) && line.lines().count() == 1,
        "{line}"
    );
    for (args, part) in [
        (&["--check", "--static=/nowhere/at/all"][..], "/nowhere/at/all"),
        (&["--check", "--ping=x"], "--ping"),
        (&["--max-connections=16000000", "--check"], "PLUME_MAX_CONNECTIONS"),
    ] {
        let (code, line) = run(&[], args);
        assert!(code == 2 && line.contains(part) && line.lines().count() == 1, "{args:?}: {line}");
    }
}
