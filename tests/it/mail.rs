//! Production: what is mailed, to whom, how often, and what never stands in the log.

use crate::support::{Behaviour, Client, FakeMailgun, Plume, authorization};
use serde_json::Value;

/// The seconds that a limit tells to wait.
fn retry(notice: &Value) -> u64 {
    notice["retry"].as_u64().unwrap_or_else(|| panic!("waiting would help: {notice}"))
}

#[test]
fn the_code_comes_by_mail() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[]);
    let mut client = Client::with_hello(&server, "Ada & <Co>", "Ada@Example.org");
    client.expect(0);
    let posted = mailgun.next();
    assert_eq!(posted.request, "POST /v3/mail.plume.chat/messages");
    assert_eq!(posted.authorization, authorization());
    assert_eq!(posted.field("from"), "Plume Chat <hi@mail.plume.chat>");
    assert_eq!(posted.field("to").to_lowercase(), "ada@example.org");
    let code = posted.code();
    assert_eq!(posted.field("subject"), format!("Your Plume login code: {code}"));
    let (text, html) = (posted.field("text"), posted.field("html"));
    assert!(text.lines().any(|line| line.trim() == code), "{text}");
    // The name is data: after the code, and quoted.
    let after = |letter: &str| letter.split_once(&code).expect("the code").1.to_owned();
    assert!(after(text).contains("Name given: \"Ada & <Co>\""), "{text}");
    assert!(after(html).contains("Name given: &quot;Ada &amp; &lt;Co&gt;&quot;"), "{html}");
    assert!(!html.contains("<Co>"), "{html}");
    client.auth(&code);
    client.expect(3);
}

#[test]
fn who_sends_and_from_where_can_be_set() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[
        ("MAILGUN_DOMAIN", "mg.quiet.example"),
        ("PLUME_NAME", "The Quiet & Small"),
        ("PLUME_MAIL_FROM", "Door, the quiet one <door@quiet.example>"),
    ]);
    let _client = Client::asking(&server, "Ada");
    let posted = mailgun.next();
    assert_eq!(posted.request, "POST /v3/mg.quiet.example/messages");
    assert_eq!(posted.field("from"), "\"Door, the quiet one\" <door@quiet.example>");
    assert!(posted.field("text").contains("The Quiet & Small"), "{posted:?}");
    assert!(posted.field("html").contains("The Quiet &amp; Small"), "{posted:?}");

    let server = mailgun.plume(&[("MAILGUN_DOMAIN", "mg.quiet.example")]);
    Client::asking(&server, "Ada");
    assert_eq!(mailgun.next().field("from"), "Plume Chat <hi@mg.quiet.example>");
}

#[test]
fn no_proxy_is_taken_from_the_environment() {
    let mailgun = FakeMailgun::start(&[]);
    let dead = "http://127.0.0.1:9";
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let server = mailgun.plume(&names.map(|name| (name, dead)));
    mailgun.login(&server, "Ada");
}

#[test]
fn nothing_secret_stands_in_the_log() {
    let mailgun = FakeMailgun::start(&[Behaviour::Accept, Behaviour::Status(500)]);
    let server = mailgun.plume(&[("PLUME_LOG", "debug")]);
    let mut client = Client::open(&server);
    let flow = client.ask_code("Secretname", "secret.address@example.org");
    let code = mailgun.next().code();
    client.auth("WRONG1");
    client.expect(4);
    client.auth(&code);
    client.enter();
    client.talk("secret words");
    let token = client.token();
    let mut other = Client::with_token(&server, "secret but wrong");
    other.expect(4);
    other.resume(&token, None, None);
    other.enter();
    Client::asking_as(&server, "Secretname", "secret.address@example.org").expect_notice("mail-failed");
    let failed_code = mailgun.next().code();
    client.log_out();
    let mut server = server;
    assert_eq!(server.terminate().code(), Some(0));
    server.wait_stderr_left();
    let log = server.log();
    for secret in [&flow, &code, &failed_code, &token, "ecret", "example.org", "WRONG1", "key-of-the-test"] {
        assert!(!log.contains(secret), "{secret} stands in the log:\n{log}");
    }
    assert!(log.lines().count() > 5, "debug tells much:\n{log}");
    assert!(log.contains("500"), "why a mail failed is told:\n{log}");
    for line in log.lines().skip(1) {
        assert!(line.contains('='), "an event is told as key=value: {line}");
    }
}

#[test]
fn one_connection_may_ask_for_three_mails() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[]);
    let mut client = Client::open(&server);
    for n in 0..3 {
        client.ask_code(&format!("P{n}"), &format!("p{n}@example.org"));
        mailgun.next();
    }
    client.hello("P3");
    client.expect_notice("mail-limited");
    client.expect_nothing();
    mailgun.login(&server, "P3");
    assert_eq!(mailgun.count(), 4);
}

#[test]
fn one_address_is_sent_three_mails() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[]);
    // The last address is the first one in another case.
    let codes = ["ada@example.org", "ada@example.org", "ADA@example.org"].map(|email| {
        Client::asking_as(&server, "Ada", email);
        mailgun.next().code()
    });
    assert_eq!(codes[1..], codes[..2], "the same code each time");
    for email in ["ada@example.org", "Ada@EXAMPLE.org"] {
        let notice = Client::asking_as(&server, "Ada", email).expect_notice("mail-limited");
        assert!((500..=600).contains(&retry(&notice)), "{notice}");
        assert_eq!(notice["text"], "A code was sent to this address recently and is still valid.");
        let _bob = Client::asking(&server, "Bob");
        mailgun.next();
    }
    assert_eq!(mailgun.count(), 5);
    let mut owner = Client::asking(&server, "Ada");
    owner.expect_notice("mail-limited");
    owner.auth(&codes[0]);
    owner.expect(3);
    assert_eq!(mailgun.count(), 5, "a repeated request sends nothing beyond the budget");
}

#[test]
fn sub_addresses_count_for_one_mailbox_and_leave_its_owner_a_code() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[]);
    for tag in 0..3 {
        Client::asking_as(&server, &format!("P{tag}"), &format!("ada+{tag}@example.org"));
        mailgun.next();
    }
    for tag in 3..9 {
        let mut client = Client::with_hello(&server, &format!("P{tag}"), &format!("Ada+{tag}@example.org"));
        let wait = retry(&client.expect_notice("mail-limited"));
        assert!((500..=600).contains(&wait), "{wait}");
        client.expect_nothing();
    }
    assert_eq!(mailgun.count(), 3);
    mailgun.login(&server, "Ada");
}

#[test]
fn the_whole_server_has_a_budget() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[("PLUME_MAIL_BURST", "2"), ("PLUME_MAIL_EVERY", "2")]);
    for name in ["Ada", "Bob"] {
        Client::asking(&server, name);
        mailgun.next();
    }
    let mut client = Client::open(&server);
    client.hello("Cyd");
    let wait = retry(&client.expect_notice("mail-limited"));
    assert!((1..=2).contains(&wait), "{wait}");
    std::thread::sleep(std::time::Duration::from_secs(wait));
    client.hello("Cyd");
    client.expect(0);
    client.auth(&mailgun.next().code());
    client.expect(3);
}

#[test]
fn outside_production_codes_are_not_counted() {
    let server = Plume::start(&[("PLUME_MAIL_BURST", "1"), ("PLUME_MAIL_EVERY", "600")]);
    let mut client = Client::open(&server);
    for _ in 0..8 {
        client.ask_code("Ada", "ada@example.org");
    }
    let codes: Vec<String> = (0..8).map(|_| server.code_for("Ada")).collect();
    client.auth(&codes[7]);
    client.expect(3);
}

#[test]
fn a_hello_that_may_not_enter_costs_no_mail() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[]);
    mailgun.login(&server, "Ada");
    let mut eve = Client::open(&server);
    for _ in 0..5 {
        eve.hello_as("Ada", "eve@example.org");
        eve.expect(5);
        eve.hello_as("", "eve@example.org");
        eve.expect_notice("bad-name");
    }
    eve.ask_code("Eve", "eve@example.org");
    mailgun.next();
    assert_eq!(mailgun.count(), 2);
}
