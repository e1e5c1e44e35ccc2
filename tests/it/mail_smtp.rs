//! Login emails by SMTP: what is said to the server, when it is encrypted, and what each fault is called in
//! the log.

use crate::support::{
    Act, Client, FakeSmtp, Offer, Plume, Received, SENDER, Tls, fixture, free_address, production, wait_for,
};
use plume::config::{self, Command, MailSettings};
use plume::login_email::MailError;
use plume::mail::check_smtp;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const PLAIN: Offer = Offer { tls: Tls::None, auth: "", smtp_utf8: false };
const STARTTLS: Offer = Offer { tls: Tls::ByCommand, ..PLAIN };
const IMPLICIT: Offer = Offer { tls: Tls::Implicit, ..PLAIN };
/// What the log says when the next email fails.
const FAILED: &str = "event=mail-failed mail=";

/// Comes in by a code from an email.
fn login(server: &Plume, smtp: &FakeSmtp, name: &str) -> Received {
    let mut client = Client::asking(server, name);
    let received = smtp.next();
    client.auth(&received.code());
    client.expect(3);
    received
}

/// Asks for a code, sees the email fail, and gives the reason in the log.
fn reason(server: &Plume, name: &str) -> String {
    let before = server.log().matches(FAILED).count();
    Client::asking(server, name).expect_notice("mail-failed");
    wait_for("line in the log", || {
        let log = server.log();
        let line = log.lines().filter(|line| line.contains(FAILED)).nth(before)?;
        Some(line.split_once("reason=")?.1.to_owned())
    })
}

#[test]
fn the_code_comes_by_smtp() {
    let smtp = FakeSmtp::start(PLAIN, &[]);
    let server = smtp.plume(&[("PLUME_NAME", "The Quiet & Small")]);
    let received = login(&server, &smtp, "Ada & <Co>");
    let envelope =
        ["EHLO chat.example.org", "MAIL FROM:<hi@chat.example.org>", "RCPT TO:<adaco@example.org>", "DATA"];
    assert_eq!(received.commands, envelope);
    assert!(!received.is_encrypted && received.login.is_none());
    assert!(received.message.is_ascii(), "nothing needs 8BITMIME: {}", received.message);
    assert_eq!(received.header("to"), "<adaco@example.org>");
    let from = received.header("from").replace('"', "");
    assert_eq!(from, SENDER);
    assert_eq!(received.header("auto-submitted"), "auto-generated");
    let id = received.header("message-id");
    assert!(id.starts_with('<') && id.ends_with("@chat.example.org>"), "{id}");
    assert_ne!(id, login(&server, &smtp, "Bob").header("message-id"));
    let date = received.header("date");
    assert!(date.contains(", ") && date.ends_with(" +0000"), "{date}");
    assert!(received.header("content-type").starts_with("multipart/alternative;"), "{received:?}");
    for part in ["text/plain", "text/html"] {
        let (_, part) = received.message.split_once(&format!("Content-Type: {part}")).expect(part);
        assert!(part.contains(&received.code()), "{part}");
    }
    assert!(received.message.contains("&lt;Co&gt;"), "{}", received.message);
    let (before, _) = received.message.split_once(&received.code()).expect("the code");
    assert!(!before.contains("Co"), "a name never comes first: {before}");
}

#[test]
fn a_senders_name_is_encoded_or_quoted_as_it_needs() {
    let rows = [
        ("Smith, John <hi@chat.example.org>", "\"Smith, John\" <hi@chat.example.org>"),
        ("Zo\u{eb} <hi@chat.example.org>", "=?utf-8?"),
        ("\u{5065} & Co: a rather long name for a chat that <hi@chat.example.org>", "=?utf-8?"),
        ("<hi@chat.example.org>", "<hi@chat.example.org>"),
    ];
    for (sender, want) in rows {
        let smtp = FakeSmtp::start(PLAIN, &[]);
        let server = smtp.plume(&[("PLUME_MAIL_FROM", sender)]);
        let from = login(&server, &smtp, "Ada").header("from");
        assert!(from.to_ascii_lowercase().starts_with(&want.to_lowercase()), "{sender}: {from}");
        assert!(from.ends_with("<hi@chat.example.org>"), "{sender}: {from}");
    }
}

#[test]
fn tls_is_used_as_the_address_says() {
    for (offer, login_part, query, is_encrypted) in [
        (STARTTLS, "", "", true),
        (STARTTLS, "", "?tls=required", true),
        (STARTTLS, "", "?tls=no", false),
        (IMPLICIT, "", "", true),
        (Offer { auth: "PLAIN", ..STARTTLS }, "ada:pw@", "", true),
        (Offer { auth: "PLAIN", ..IMPLICIT }, "ada:pw@", "", true),
        (Offer { auth: "PLAIN", ..PLAIN }, "ada:pw@", "?tls=no", false),
    ] {
        let smtp = FakeSmtp::start(offer, &[]);
        let url = smtp.url(login_part, query);
        // An authority that is never asked is a mistake.
        let no_ca = ("PLUME_SMTP_CA", "");
        let variables =
            if query == "?tls=no" { vec![("PLUME_SMTP", &*url), no_ca] } else { vec![("PLUME_SMTP", &*url)] };
        let received = login(&smtp.plume(&variables), &smtp, "Ada");
        assert_eq!(received.is_encrypted, is_encrypted, "{url}");
        assert_eq!(received.login.is_some(), !login_part.is_empty(), "{url}");
        let hellos = received.commands.iter().filter(|command| command.starts_with("EHLO")).count();
        let wants = if offer.tls == Tls::ByCommand && is_encrypted { 2 } else { 1 };
        assert_eq!(hellos, wants, "what was offered in the clear counts no more: {url}");
    }
}

#[test]
fn without_tls_neither_email_nor_password_is_sent_where_it_is_required() {
    let offer = Offer { auth: "PLAIN LOGIN", ..PLAIN };
    for (login_part, query) in [("", "?tls=required"), ("ada:pw@", ""), ("ada:pw@", "?tls=required")] {
        let smtp = FakeSmtp::start(offer, &[]);
        let url = smtp.url(login_part, query);
        let server = smtp.plume(&[("PLUME_SMTP", &url)]);
        assert_eq!(reason(&server, "ada"), "tls", "{url}");
        assert_eq!(smtp.counts(), (1, 0), "{url}");
    }
}

#[test]
fn user_and_password_are_shown_as_the_server_wants_them() {
    let long = "p".repeat(600);
    for (mechanisms, login_part, user, password) in [
        ("PLAIN LOGIN", "ada:pw@", "ada", "pw"),
        ("LOGIN", "ada:pw@", "ada", "pw"),
        ("XOAUTH2 LOGIN PLAIN", "ada%40example.org:p%25%3A%C3%A9@", "ada@example.org", "p%:\u{e9}"),
        ("PLAIN", "ada@example.org:p@ss/w?rd@", "ada@example.org", "p@ss/w?rd"),
        ("PLAIN", &format!("ada:{long}@"), "ada", &long),
        ("LOGIN", &format!("ada:{long}@"), "ada", &long),
    ] {
        let smtp = FakeSmtp::start(Offer { auth: mechanisms, ..STARTTLS }, &[]);
        let server = smtp.plume(&[("PLUME_SMTP", &smtp.url(login_part, ""))]);
        let received = login(&server, &smtp, "Ada");
        assert_eq!(received.login, Some((user.to_owned(), password.to_owned())), "{mechanisms}");
    }
}

#[test]
fn a_wrong_password_is_told_apart() {
    for auth in ["PLAIN", "LOGIN", "CRAM-MD5", ""] {
        let smtp = FakeSmtp::start(Offer { auth, ..STARTTLS }, &[("AUTH", Act::Reply("535 5.7.8 no"))]);
        let server =
            smtp.plume(&[("PLUME_SMTP", &smtp.url("ada:secret-password@", "")), ("PLUME_LOG", "debug")]);
        assert_eq!(reason(&server, "ada"), "auth", "{auth:?}");
        assert_eq!(smtp.counts().1, 0, "{auth:?}");
        assert!(!server.log().contains("secret"), "{}", server.log());
    }
}

#[test]
fn a_server_that_cannot_prove_who_it_is_gets_no_email() {
    for offer in [STARTTLS, IMPLICIT] {
        // The test's authority is not a public one.
        let smtp = FakeSmtp::start(offer, &[]);
        let server = smtp.plume(&[("PLUME_SMTP_CA", "")]);
        assert_eq!(reason(&server, "ada"), "tls", "{offer:?}");
        assert_eq!(smtp.counts(), (1, 0), "{offer:?}");
        // The certificate is for localhost, not for its address.
        let url = smtp.url("", "").replace("localhost", "127.0.0.1");
        let server = smtp.plume(&[("PLUME_SMTP", &url)]);
        assert_eq!(reason(&server, "ada"), "tls", "{url}");
        assert_eq!(smtp.counts(), (2, 0), "{url}");
    }
}

#[test]
fn each_fault_has_its_name() {
    let rows = [
        (PLAIN, ("CONNECT", Act::Reply("421 4.3.2 later")), "refused-421"),
        (PLAIN, ("CONNECT", Act::Reply("554-5.7.1 go\r\n554 away")), "refused-554"),
        (PLAIN, ("EHLO", Act::Reply("502 5.5.1 what?")), "refused-502"),
        (PLAIN, ("MAIL", Act::Reply("451 4.3.0 later")), "refused-451"),
        (PLAIN, ("MAIL", Act::Reply("530 5.7.0 log in")), "refused-530"),
        (PLAIN, ("RCPT", Act::Reply("550 5.1.1 nobody")), "refused-550"),
        (PLAIN, ("DATA", Act::Reply("250 what?")), "refused-250"),
        (PLAIN, (".", Act::Reply("552 5.3.4 full")), "refused-552"),
        (PLAIN, ("CONNECT", Act::HangUp), "unreachable"),
        (PLAIN, ("CONNECT", Act::Reply("HTTP/1.1 400 Bad Request")), "unreachable"),
        (PLAIN, ("RCPT", Act::HangUp), "unreachable"),
        (PLAIN, (".", Act::HangUp), "broken-off"),
        (PLAIN, (".", Act::Reply("what?")), "broken-off"),
        (STARTTLS, ("STARTTLS", Act::Reply("454 4.7.0 not now")), "tls"),
        (STARTTLS, ("STARTTLS", Act::Reply("220 go on\r\n250 injected")), "tls"),
        (STARTTLS, ("TLS", Act::HangUp), "tls"),
        (IMPLICIT, ("TLS", Act::HangUp), "tls"),
        (IMPLICIT, ("RCPT", Act::Reply("550 5.1.1 nobody")), "refused-550"),
        (IMPLICIT, (".", Act::HangUp), "broken-off"),
    ];
    for (offer, fault, want) in rows {
        let smtp = FakeSmtp::start(offer, &[fault]);
        let server = smtp.plume(&[]);
        assert_eq!(reason(&server, "ada"), want, "{offer:?} {fault:?}");
        assert_eq!(smtp.counts().0, 1, "{offer:?} {fault:?}: no email is tried twice");
        if fault.0 == "." {
            smtp.next();
        }
        login(&server, &smtp, "Bob");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_apart() {
    let port = free_address().port();
    for (url, want) in [
        ("smtp://plume.invalid".to_owned(), "no-host"),
        ("smtps://plume.invalid".to_owned(), "no-host"),
        (format!("smtp://127.0.0.1:{port}"), "unreachable"),
        (format!("smtps://[::1]:{port}"), "unreachable"),
    ] {
        let server =
            Plume::start(&[("ENV", "production"), ("PLUME_SMTP", &url), ("PLUME_MAIL_FROM", SENDER)]);
        assert_eq!(reason(&server, "ada"), want, "{url}");
    }
    let server = production("http://plume.invalid", &[]);
    assert_eq!(reason(&server, "ada"), "no-host", "Mailgun");
}

#[test]
fn plain_and_encrypted_ports_are_told_apart() {
    let smtp = FakeSmtp::start(PLAIN, &[]);
    let url = smtp.url("", "").replace("smtp://", "smtps://");
    assert_eq!(reason(&smtp.plume(&[("PLUME_SMTP", &url)]), "ada"), "tls");
}

#[test]
fn silent_and_dripping_servers_have_fifteen_seconds_and_hold_up_nobody() {
    const FAULTS: [(Offer, &str, Act); 7] = [
        (PLAIN, "CONNECT", Act::Silent),
        (PLAIN, "CONNECT", Act::Drip("2")),
        (PLAIN, "EHLO", Act::Drip("250-more\r\n")),
        (PLAIN, ".", Act::Drip("250-more")),
        (STARTTLS, "TLS", Act::Silent),
        (IMPLICIT, "TLS", Act::Drip("\u{16}\u{3}\u{3}\u{3f}")),
        (IMPLICIT, "RCPT", Act::Drip("250-more\r\n")),
    ];
    std::thread::scope(|scope| {
        for (offer, at, act) in FAULTS {
            scope.spawn(move || {
                let row = format!("{offer:?} {at} {act:?}");
                // One less than there may be threads.
                let smtp = FakeSmtp::start(offer, &[(at, act); 3]);
                let server = smtp.plume(&[("PLUME_MAIL_BURST", "100")]);
                let begun = Instant::now();
                let mut waiting: Vec<Client> =
                    (0..3).map(|n| Client::asking(&server, &format!("P{n}"))).collect();
                smtp.expect_faults(3);
                if at == "." {
                    (0..3).for_each(|_| drop(smtp.next()));
                }
                for name in ["Ada", "Bob", "Cyd"] {
                    login(&server, &smtp, name);
                }
                assert!(begun.elapsed() < Duration::from_secs(6), "{row}: {:?}", begun.elapsed());
                std::thread::sleep(Duration::from_secs(10).saturating_sub(begun.elapsed()));
                for client in &mut waiting {
                    client.expect_notice("mail-failed");
                    let took = begun.elapsed();
                    assert!(
                        took > Duration::from_secs(13) && took < Duration::from_secs(17),
                        "{row}: {took:?}"
                    );
                }
                wait_for("line for each", || {
                    (server.log().matches("reason=late").count() == 3).then_some(())
                });
                // The threads have ended, too: four more emails can be on their way at once.
                for name in ["Dan", "Eve", "Fay", "Gus"] {
                    login(&server, &smtp, name);
                }
            });
        }
    });
}

#[test]
fn a_reply_without_end_is_given_up_at_once() {
    // Longer than any reply, and without a line end.
    let endless: &str = "220-".repeat(5_000).leak();
    let smtp = FakeSmtp::start(PLAIN, &[("CONNECT", Act::Drip(endless)), ("EHLO", Act::Drip(endless))]);
    let server = smtp.plume(&[]);
    assert_eq!(reason(&server, "ada"), "unreachable");
    assert_eq!(reason(&server, "bob"), "unreachable");
}

#[test]
fn a_goodbye_that_never_comes_fails_no_email() {
    let smtp = FakeSmtp::start(STARTTLS, &[("QUIT", Act::Silent), ("QUIT", Act::HangUp)]);
    let server = smtp.plume(&[]);
    login(&server, &smtp, "Ada");
    login(&server, &smtp, "Bob");
    let mut client = Client::asking(&server, "Cyd");
    smtp.next();
    std::thread::sleep(Duration::from_secs(2));
    client.expect_nothing();
    assert!(!server.log().contains(FAILED), "{}", server.log());
}

#[test]
fn letters_outside_ascii_before_the_at_need_smtputf8() {
    let address = "zo\u{eb}@example.org";
    let smtp = FakeSmtp::start(Offer { smtp_utf8: true, ..PLAIN }, &[]);
    let server = smtp.plume(&[]);
    let mut client = Client::asking_as(&server, "Zoe", address);
    let received = smtp.next();
    assert_eq!(received.commands[1], "MAIL FROM:<hi@chat.example.org> BODY=8BITMIME SMTPUTF8");
    assert_eq!(received.commands[2], format!("RCPT TO:<{address}>"));
    assert_eq!(received.header("to"), format!("<{address}>"));
    client.auth(&received.code());
    client.expect(3);

    let smtp = FakeSmtp::start(PLAIN, &[]);
    let server = smtp.plume(&[]);
    Client::asking_as(&server, "Zoe", address).expect_notice("mail-failed");
    server.wait_line("reason=bad-address");
    assert_eq!(smtp.counts().1, 0);
}

#[test]
fn what_surely_did_not_go_out_does_not_count_for_the_mailbox() {
    let refused = ("RCPT", Act::Reply("450 4.2.1 busy"));
    let smtp = FakeSmtp::start(PLAIN, &[refused; 5]);
    let server = smtp.plume(&[]);
    for _ in 0..5 {
        assert_eq!(reason(&server, "ada"), "refused-450");
    }
    login(&server, &smtp, "Ada");
}

#[test]
fn the_address_of_the_server_can_be_in_a_file_and_is_never_logged() {
    let smtp = FakeSmtp::start(Offer { auth: "PLAIN", ..STARTTLS }, &[("RCPT", Act::Reply("550 nobody"))]);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("smtp-url-in-a-file");
    fs::write(&file, smtp.url("ada:very-secret@", "") + "\n").expect("the build's folder is ours");
    let path = file.to_str().expect("a path in UTF-8");
    let server = smtp.plume(&[("PLUME_SMTP", ""), ("PLUME_SMTP_FILE", path), ("PLUME_LOG", "debug")]);
    assert_eq!(reason(&server, "secretname"), "refused-550");
    let received = login(&server, &smtp, "Ada");
    assert_eq!(received.login, Some(("ada".to_owned(), "very-secret".to_owned())));
    fs::remove_file(file).expect("it is there");
    for secret in ["secret", "example.org", &received.code(), "localhost"] {
        assert!(!server.log().contains(secret), "{secret} is in the log:\n{}", server.log());
    }
}

#[test]
fn a_server_can_be_checked_without_an_email() {
    let settings = |url: &str| {
        let ca = fixture("ca.pem").display().to_string();
        let variables =
            [("ENV", "production"), ("PLUME_SMTP", url), ("PLUME_MAIL_FROM", SENDER), ("PLUME_SMTP_CA", &ca)];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        match config::parse(std::iter::empty(), variables.into_iter(), config::files::read) {
            Ok(Command::Run(config)) => match config.mail {
                MailSettings::Smtp(smtp) => smtp,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let offer = Offer { auth: "PLAIN", ..STARTTLS };
    for (fault, want) in [
        (("OK", Act::Silent), Ok(())),
        (("CONNECT", Act::Reply("421 later")), Err(MailError::Refused(421))),
        (("TLS", Act::HangUp), Err(MailError::Tls)),
        (("AUTH", Act::Reply("535 no")), Err(MailError::Auth)),
    ] {
        let smtp = FakeSmtp::start(offer, &[fault]);
        let result = check_smtp(&settings(&smtp.url("ada:pw@", ""))).expect("the settings are good");
        assert_eq!(result, want, "{fault:?}");
        assert_eq!(smtp.counts(), (1, 0), "{fault:?}");
    }
}

#[test]
fn the_end_of_the_server_does_not_wait_for_a_silent_one() {
    let smtp = FakeSmtp::start(PLAIN, &[("CONNECT", Act::Silent)]);
    let mut server = smtp.plume(&[]);
    let _client = Client::asking(&server, "Ada");
    smtp.expect_faults(1);
    let begun = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
