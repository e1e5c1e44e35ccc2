//! Guesses: of codes, of flow tokens, of session tokens. They let nobody in, and they take nothing from
//! anybody.

use crate::onlooker::Onlooker;
use crate::support::{Client, Event, Plume, other_than};
use std::time::{Duration, Instant};

/// Somebody who has asked for a code and not used it.
struct Asker {
    client: Client,
    code: String,
}

fn ask(server: &Plume, name: &str) -> Asker {
    Asker { client: Client::asking(server, name), code: server.code_for(name) }
}

#[test]
fn guesses_without_the_flow_token_void_nobodys_code() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    let mut asker = ask(&server, "Ada");
    let flow = &asker.client.flow;
    let begin = &flow[..flow.len() - 1];
    let last = if flow.ends_with('A') { 'B' } else { 'A' };
    let forged = [
        String::new(),
        begin.to_owned(),
        format!("{begin}{last}"),
        format!("{flow}A"),
        format!("{flow}="),
        format!(" {flow}"),
        flow.to_lowercase(),
        "A".repeat(flow.len()),
        "x".repeat(3_000),
        "\0".to_owned(),
        asker.code.clone(),
    ];
    // With the right code and with a wrong one, on many connections.
    for flow in &forged {
        for code in [asker.code.clone(), other_than(&asker.code)] {
            Client::with_code(&server, flow, &code).expect_rejected(0);
        }
    }
    // Whoever names no flow has none.
    for _ in 0..10 {
        let mut client = Client::open(&server);
        client.auth(&asker.code);
        client.expect_rejected(0);
    }
    asker.client.auth(&asker.code);
    asker.client.expect(3);
    onlooker.finish();
}

#[test]
fn a_code_is_good_in_its_own_flow_alone() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    let (mut ada, mut bob) = (ask(&server, "Ada"), ask(&server, "Bob"));
    // Bob's code in Ada's flow and the other way round, from elsewhere: it costs a try of the flow that it is
    // tried in.
    for (flow, code) in [(&ada.client.flow, &bob.code), (&bob.client.flow, &ada.code)] {
        Client::with_code(&server, flow, code).expect_rejected(4);
    }
    // On the connection of another flow, too.
    ada.client.auth(&bob.code);
    ada.client.expect_rejected(3);
    for (asker, name) in [(&mut ada, "Ada"), (&mut bob, "Bob")] {
        asker.client.auth(&asker.code);
        assert_eq!(asker.client.expect(3)["user"]["name"], name);
    }
    onlooker.finish();
}

#[test]
fn a_flow_token_is_no_session_token_and_the_other_way_round() {
    let server = Plume::start(&[]);
    let bob = Client::login(&server, "Bob");
    let mut ada = ask(&server, "Ada");
    for token in [&ada.client.flow, &ada.code, &bob.run()] {
        Client::with_token(&server, token).expect_rejected(0);
    }
    let mut client = Client::with_code(&server, &bob.token(), &ada.code);
    client.expect_rejected(0);
    ada.client.auth(&ada.code);
    ada.client.expect(3);
}

#[test]
fn a_flow_bears_five_guesses_of_however_many_at_once() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    let victims: Vec<Asker> = ["Ada", "Bob", "Cyd", "Dan"].map(|name| ask(&server, name)).into();
    // Who guesses knows the flow tokens, which nobody does; still no more than five guesses count.
    let mut guessers: Vec<Client> = (0..40).map(|_| Client::open(&server)).collect();
    for (n, guesser) in guessers.iter_mut().enumerate() {
        let victim = &victims[n % victims.len()];
        guesser.auth_in(&victim.client.flow, &other_than(&victim.code));
    }
    let mut left: Vec<u64> = guessers
        .iter_mut()
        .map(|guesser| guesser.expect(4)["left"].as_u64().expect("so many tries are left"))
        .collect();
    left.sort_unstable();
    let each_once_per_victim = [4, 3, 2, 1].map(|left| [left; 4]).concat();
    let expected = [vec![0; 24], each_once_per_victim.into_iter().rev().collect()].concat();
    assert_eq!(left, expected);
    for mut victim in victims {
        victim.client.auth(&victim.code);
        victim.client.expect_rejected(0);
    }
    onlooker.finish();
}

#[test]
fn a_connection_guesses_once_a_second_and_never_gets_in() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    let begun = Instant::now();
    let mut guessers: Vec<Client> = (0..40).map(|_| Client::open(&server)).collect();
    for (n, guesser) in guessers.iter_mut().enumerate() {
        for guess in 0..8 {
            if (n + guess) % 2 == 0 {
                guesser.auth("222222");
            } else {
                guesser.resume("AAAAAAAAAAAAAAAAAAAAAAAAAAA", None, None);
            }
        }
    }
    for guesser in &mut guessers {
        for _ in 0..3 {
            guesser.expect_rejected(0);
        }
    }
    assert!(begun.elapsed() >= Duration::from_millis(1_900), "three within {:?}", begun.elapsed());
    let mut member = onlooker.finish();
    member.expect_nothing();
    assert!(!server.log().contains("event=resumed"), "{}", server.log());
    assert_eq!(server.log().matches("event=logged-in").count(), 1, "the onlooker alone: {}", server.log());
}

#[test]
fn of_what_is_said_before_the_code_nothing_is_heard_and_after_it_nothing_counts_twice() {
    let server = Plume::start(&[]);
    let onlooker = Onlooker::join(&server);
    let mut ada = ask(&server, "Ada");
    ada.client.say("too early");
    ada.client.leave();
    ada.client.auth(&ada.code);
    ada.client.enter();
    ada.client.auth(&ada.code);
    ada.client.auth("222222");
    ada.client.hello("Eve");
    ada.client.resume("x", None, None);
    let answers = ada.client.settle();
    assert!(answers.iter().all(|message| message["user"]["name"] == "Onlooker"), "{answers:?}");
    let mut again = Client::with_code(&server, &ada.client.flow, &ada.code);
    again.expect_rejected(0);
    assert!(matches!(again.settle()[..], []), "a stranger hears nothing");
    let mut member = onlooker.finish();
    assert!(member.settle().iter().all(|line| line["text"] != "too early"), "heard too early");
    again.close(1000);
    assert_eq!(again.next(), Event::Close(Some(1000)));
}
