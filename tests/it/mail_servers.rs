//! Login emails through SMTP servers that people have: aiosmtpd with TLS, AUTH and an authority of its own,
//! and `OpenSMTPD`.
//!
//! Ignored, because they are not on every machine: Debian's python3-aiosmtpd, and its opensmtpd unpacked into
//! the folder `OPENSMTPD_PACKAGE`, to be run as root.

use crate::support::{Client, FakeSmtp, Offer, Plume, SENDER, fixture, free_address, wait_for};
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// A child process that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/smtp").join(name)
}

/// aiosmtpd, its port, and what it prints from then on.
fn aiosmtpd(kind: &str) -> (Server, u16, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new("/usr/bin/python3")
        .arg(script("aiosmtpd_server.py"))
        .args([fixture("server.pem"), fixture("server.key")])
        .arg(kind)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Debian's Python is there");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
    let port = lines.next().expect("aiosmtpd starts").expect("it prints text");
    (Server(child), port.parse().expect("it prints its port"), lines)
}

/// A server in production that sends through this address as this sender.
fn plume(url: &str, sender: &str, ca: &str) -> Plume {
    let variables =
        [("ENV", "production"), ("PLUME_SMTP", url), ("PLUME_MAIL_FROM", sender), ("PLUME_SMTP_CA", ca)];
    Plume::start(&variables)
}

#[test]
#[ignore = "needs Debian's python3-aiosmtpd"]
fn aiosmtpd_takes_codes_over_tls_with_a_password() {
    let ca = fixture("ca.pem");
    let ca = ca.to_str().expect("a path in UTF-8");
    for (kind, scheme) in [("starttls", "smtp"), ("smtps", "smtps")] {
        let (_server, port, mut lines) = aiosmtpd(kind);
        let url = |password: &str| format!("{scheme}://ada%40example.org:{password}@localhost:{port}");
        for (sender, name) in [
            ("Plume Chat <hi@chat.example.org>", "Plume Chat"),
            ("Smith, John <hi@chat.example.org>", "Smith, John"),
            (
                "Plume: \\ \u{5065} und Zo\u{eb}s gro\u{df}er Salon f\u{fc}r alle <hi@chat.example.org>",
                "Plume: \\ \u{5065} und Zo\u{eb}s gro\u{df}er Salon f\u{fc}r alle",
            ),
        ] {
            let server = plume(&url("pass%20word%25:\u{e9}"), sender, ca);
            let mut client = Client::asking_as(&server, "Zo\u{eb} <b>", "zoe@example.org");
            let line = lines.next().expect("aiosmtpd runs").expect("it prints text");
            let email: Value = serde_json::from_str(&line).expect("it prints JSON");
            let is = |field: &str, want: Value| assert_eq!(email[field], want, "{kind}: {field} of {email}");
            is("encrypted", true.into());
            is("hello", "chat.example.org".into());
            is("from", "hi@chat.example.org".into());
            is("to", serde_json::json!(["zoe@example.org"]));
            is("sender", serde_json::json!([name, "hi@chat.example.org"]));
            is("automatic", "auto-generated".into());
            is("defects", serde_json::json!([]));
            let subject = email["subject"].as_str().expect("a subject");
            let code = subject.rsplit(' ').next().expect("a code");
            let plain = email["plain"].as_str().expect("a plain text");
            assert!(plain.lines().any(|line| line.trim() == code), "{email}");
            assert!(plain.contains("Zo\u{eb} <b>"), "{email}");
            assert!(email["html"].as_str().expect("HTML").contains("Zo\u{eb} &lt;b&gt;"), "{email}");
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64();
            let date = email["date"].as_f64().expect("a date");
            assert!((now - 60.0..=now + 1.0).contains(&date), "{date} is not now, {now}");
            client.auth(code);
            client.expect(3);
        }
        for (url, ca, reason) in [
            (url("wrong"), ca, "auth"),
            (url("pass%20word%25:\u{e9}"), "", "tls"),
            (url("pass%20word%25:\u{e9}").replace("localhost", "127.0.0.1"), ca, "tls"),
        ] {
            let server = plume(&url, SENDER, ca);
            Client::asking(&server, "Ada");
            server.wait_line(&format!("reason={reason}"));
        }
        // Without a user, which this server wants.
        let server = plume(&format!("{scheme}://localhost:{port}"), SENDER, ca);
        Client::asking(&server, "Ada");
        server.wait_line("reason=refused-530");
    }
}

#[test]
#[ignore = "needs Debian's opensmtpd, unpacked, and root"]
fn opensmtpd_passes_codes_on_and_refuses_other_domains() {
    let package =
        std::env::var_os("OPENSMTPD_PACKAGE").expect("OPENSMTPD_PACKAGE is the folder of the package");
    let next = FakeSmtp::start(Offer::default(), &[]);
    let port = free_address().port();
    // All of it ends when the first process does.
    let child = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"])
        .arg(script("opensmtpd.sh"))
        .arg(package)
        .args([port.to_string(), next.port().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("unshare is there");
    let _server = Server(child);
    wait_for("OpenSMTPD", || TcpStream::connect(("127.0.0.1", port)).ok());
    let server = plume(&format!("smtp://localhost:{port}"), "Smith, John <hi@chat.example.org>", "");
    let mut client = Client::asking(&server, "Ada");
    let received = next.next();
    assert_eq!(received.header("from"), "\"Smith, John\" <hi@chat.example.org>");
    assert!(received.header("received").contains("chat.example.org"), "{received:?}");
    client.auth(&received.code());
    client.expect(3);
    Client::asking_as(&server, "Bob", "bob@example.com");
    server.wait_line("reason=refused-550");
}
