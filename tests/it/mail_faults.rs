//! A mail provider on a bad day: it refuses, hangs up, lies or takes its time, and the chat goes on.

use crate::support::{Behaviour, Client, FakeMailgun, Plume, assert_took, free_address, production};
use std::time::{Duration, Instant};

/// Asks for a code with a new connection, and sees the mail fail.
fn fails(server: &Plume, name: &str, email: &str) -> Client {
    let mut client = Client::asking_as(server, name, email);
    client.expect_notice("mail-failed");
    client
}

#[test]
fn what_goes_wrong_at_once_is_told_at_once() {
    let rows = [
        Behaviour::Status(400),
        Behaviour::Status(401),
        Behaviour::Status(429),
        Behaviour::Status(500),
        Behaviour::Status(503),
        Behaviour::HangUp,
        Behaviour::Garbage,
        Behaviour::Redirect,
    ];
    let mailgun = FakeMailgun::start(&rows);
    let server = mailgun.plume(&[]);
    for (n, row) in rows.iter().enumerate() {
        let begun = Instant::now();
        let mut client = Client::asking(&server, &format!("P{n}"));
        let notice = client.message();
        assert_eq!(notice["reason"], "mail-failed", "{row:?}: {notice}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{row:?}");
        let posted = mailgun.next();
        assert_eq!(posted.request, "POST /v3/mail.plume.chat/messages", "{row:?}");
        client.auth(&posted.code());
        client.expect_rejected(0);
    }
    assert_eq!(mailgun.count(), rows.len(), "no redirect is followed, nothing is tried twice");
}

#[test]
fn a_provider_that_nobody_reaches_is_a_failure() {
    let port = free_address().port();
    let server = production(&format!("http://127.0.0.1:{port}"), &[]);
    let mut client = fails(&server, "Ada", "ada@example.org");
    client.expect_nothing();
}

#[test]
fn a_failure_gives_the_address_its_budget_back() {
    let mailgun = FakeMailgun::start(&[Behaviour::Status(500); 5]);
    let server = mailgun.plume(&[]);
    for _ in 0..5 {
        fails(&server, "Ada", "ada@example.org");
        mailgun.next();
    }
    for _ in 0..3 {
        mailgun.login(&server, "Ada");
    }
    let mut client = Client::open(&server);
    client.hello("Ada");
    client.expect_notice("mail-limited");
}

#[test]
fn a_mail_that_may_have_arrived_is_not_given_back() {
    // Nobody knows what became of a mail that the provider has read and not answered.
    let mailgun = FakeMailgun::start(&[Behaviour::HangUp, Behaviour::Garbage, Behaviour::HangUp]);
    let server = mailgun.plume(&[]);
    for email in ["ada+1@example.org", "ada+2@example.org", "ada+3@example.org"] {
        fails(&server, "Ada", email);
        mailgun.next();
    }
    Client::with_hello(&server, "Ada", "ada+4@example.org").expect_notice("mail-limited");
    assert_eq!(mailgun.count(), 3);
}

#[test]
fn a_failure_voids_no_code_that_another_mail_has_brought() {
    let mailgun = FakeMailgun::start(&[Behaviour::Accept, Behaviour::Status(500)]);
    let server = mailgun.plume(&[]);
    let mut good = Client::asking(&server, "Ada");
    let code = mailgun.next().code();
    let mut failed = fails(&server, "Augusta", "ada@example.org");
    failed.auth(&code);
    assert_eq!(failed.expect(3)["user"]["name"], "Augusta", "the other mail brought its code, too");
    mailgun.next();
    good.auth(&code);
    good.expect(3);
}

#[test]
fn all_who_wait_for_a_code_that_never_arrives_are_told() {
    // Four emails on their way, as many as there can be, keep both waiting until all have asked.
    let slow = Behaviour::Slow(Duration::from_secs(1));
    let fails = Behaviour::Status(500);
    let mailgun = FakeMailgun::start(&[slow, slow, slow, slow, fails, fails]);
    let server = mailgun.plume(&[]);
    for n in 0..4 {
        Client::asking(&server, &format!("P{n}"));
        mailgun.next();
    }
    let mut waiting: Vec<Client> = (0..2).map(|_| Client::open(&server)).collect();
    for client in &mut waiting {
        client.ask_code("Ada", "ada@example.org");
    }
    for client in &mut waiting {
        client.expect_notice("mail-failed");
    }
    let codes = [mailgun.next().code(), mailgun.next().code()];
    assert_eq!(codes[0], codes[1]);
    for client in &mut waiting {
        client.auth(&codes[0]);
        client.expect_rejected(0);
    }
}

#[test]
fn an_old_failure_does_not_void_a_newer_code() {
    let mailgun = FakeMailgun::start(&[Behaviour::HangUp, Behaviour::Accept]);
    let server = mailgun.plume(&[]);
    let mut client = Client::open(&server);
    client.hello("Ada");
    client.hello("Ada");
    let (_failed, accepted) = (mailgun.next(), mailgun.next());
    client.expect(0);
    loop {
        // The two hellos, and perhaps a word about the first mail.
        let messages = client.settle();
        if messages.iter().any(|message| message["type"] == 0) {
            break;
        }
    }
    client.settle();
    client.auth(&accepted.code());
    client.expect(3);
}

#[test]
fn a_slow_answer_delays_nobody_and_has_fifteen_seconds() {
    let slow = Behaviour::Slow(Duration::from_mins(1));
    let mailgun = FakeMailgun::start(&[Behaviour::Accept, slow]);
    let server = mailgun.plume(&[]);
    let mut bob = mailgun.login(&server, "Bob");

    let begun = Instant::now();
    let mut ada = Client::asking(&server, "Ada");
    let slow_code = mailgun.next().code();
    // Neither the next emails nor the room wait for it.
    for name in ["Cyd", "Dan"] {
        let _client = mailgun.login(&server, name);
        bob.expect_enters(name);
        bob.talk(name);
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "the slow email held up others: {:?}", begun.elapsed());
    // Half of the patience of a client is spent before the other half begins.
    std::thread::sleep(Duration::from_secs(9).saturating_sub(begun.elapsed()));
    ada.expect_notice("mail-failed");
    assert_took(begun, 13_000..17_000);
    ada.auth(&slow_code);
    ada.expect_rejected(0);
    server.wait_line("event=mail-failed mail=1 reason=late");
}

#[test]
fn an_email_that_waited_too_long_is_not_sent() {
    let slow = Behaviour::Slow(Duration::from_mins(1));
    let mailgun = FakeMailgun::start(&[slow; 4]);
    let server = mailgun.plume(&[]);
    let begun = Instant::now();
    let mut waiting: Vec<Client> = (0..6).map(|n| Client::asking(&server, &format!("P{n}"))).collect();
    std::thread::sleep(Duration::from_secs(9).saturating_sub(begun.elapsed()));
    for client in &mut waiting {
        client.expect_notice("mail-failed");
        assert_took(begun, 13_000..17_000);
    }
    for _ in 0..4 {
        mailgun.next();
    }
    waiting[5].ask_code("P5", "p5@example.org");
    waiting[5].auth(&mailgun.next().code());
    waiting[5].expect(3);
    assert_eq!(mailgun.count(), 5, "the two emails that never had a thread are not sent later");
}

#[test]
fn a_provider_that_dribbles_has_fifteen_seconds_in_all() {
    let mailgun = FakeMailgun::start(&[Behaviour::Dribble]);
    let server = mailgun.plume(&[]);
    let begun = Instant::now();
    let mut client = Client::asking(&server, "Ada");
    std::thread::sleep(Duration::from_secs(9));
    client.expect_notice("mail-failed");
    assert_took(begun, 13_000..17_000);
}

#[test]
fn a_full_queue_is_told() {
    let slow = Behaviour::Slow(Duration::from_mins(1));
    let mailgun = FakeMailgun::start(&[slow; 4]);
    let server = mailgun.plume(&[("PLUME_MAIL_BURST", "200")]);
    let mut told = 0;
    let mut clients = Vec::new();
    for n in 0..80 {
        let client = Client::asking(&server, &format!("P{n}"));
        clients.push(client);
    }
    for client in &mut clients {
        told += client.settle().iter().filter(|message| message["reason"] == "mail-failed").count();
    }
    assert_eq!(told, 80 - 64 - 4, "64 emails wait for the 4 that are being sent");
    server.wait_line("reason=queue-full");
}

#[test]
fn the_end_of_the_server_does_not_wait_for_a_mail() {
    let mailgun = FakeMailgun::start(&[Behaviour::Slow(Duration::from_mins(1))]);
    let mut server = mailgun.plume(&[]);
    let mut client = Client::asking(&server, "Ada");
    mailgun.next();
    let begun = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    client.expect_restart();
}
