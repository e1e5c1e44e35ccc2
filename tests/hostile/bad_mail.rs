//! A mail provider on its worst day, all at once: those who wait for a code wait, and nobody else.

use crate::onlooker::Onlooker;
use crate::support::{Behaviour, Client, FakeMailgun, wait_for};
use std::time::{Duration, Instant};

#[test]
fn whatever_the_provider_does_the_talk_goes_on_and_the_end_does_not_wait() {
    const WORST: [Behaviour; 7] = [
        Behaviour::Accept,
        Behaviour::Status(500),
        Behaviour::HangUp,
        Behaviour::Garbage,
        Behaviour::Redirect,
        Behaviour::Slow(Duration::from_secs(2)),
        Behaviour::Dribble,
    ];
    let mailgun = FakeMailgun::start(&WORST);
    let mut server = mailgun.plume(&[("PLUME_MAIL_BURST", "100")]);
    let onlooker = Onlooker::with(mailgun.login(&server, "Onlooker"));
    let begun = Instant::now();
    let mut asking: Vec<Client> = (0..30).map(|n| Client::asking(&server, &format!("P{n}"))).collect();
    assert!(begun.elapsed() < Duration::from_secs(5), "asking waits for no mail: {:?}", begun.elapsed());
    // Whose email the provider fails is a matter of chance: several are on their way at once.
    let mut failed = 0;
    wait_for("word of each failure", || {
        let messages = asking.iter_mut().flat_map(Client::settle);
        failed += messages.filter(|message| message["reason"] == "mail-failed").count();
        (failed >= 4).then_some(())
    });
    assert_eq!(failed, 4);
    // Until the provider dribbles, which it would for a quarter of a minute.
    for _ in 0..6 {
        mailgun.next();
    }
    onlooker.finish();
    let begun = Instant::now();
    drop(asking);
    assert_eq!(server.terminate().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "the end waits for no mail: {:?}", begun.elapsed());
}
