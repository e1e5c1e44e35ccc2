//! Who may come in, and under which name.

use crate::support::{Client, Plume, other_than};
use std::thread;
use std::time::Duration;

#[test]
fn a_code_is_read_kindly() {
    let server = Plume::start(&[]);
    let ways: [fn(&str) -> String; 7] = [
        str::to_owned,
        str::to_lowercase,
        |code| format!(" \t{code}\r\n "),
        |code| code.replace('0', "O"),
        |code| code.replace('0', "o"),
        |code| code.replace('1', "i"),
        |code| code.replace('1', "L"),
    ];
    for (n, way) in ways.into_iter().enumerate() {
        let name = format!("P{n}");
        let mut client = Client::asking(&server, &name);
        let written = way(&server.code_for(&name));
        client.auth(&written);
        let ack = client.message();
        assert_eq!(ack["type"], 3, "{written:?}: {ack}");
    }
}

#[test]
fn look_alikes_in_a_code_are_read_as_what_they_look_like() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut asker = Client::open(&server);
    // Ask until there is a code with both digits: about one of 33 has.
    let (flow, code) = (0..2_000)
        .map(|n| (asker.ask_code("Ada", &format!("p{n}@example.org")), server.code_for("Ada")))
        .find(|(_, code)| code.contains('0') && code.contains('1'))
        .expect("codes have zeros and ones");
    Client::with_code(&server, &flow, &code.replace('0', "o").replace('1', "l")).expect(3);
}

#[test]
fn the_newest_flow_of_a_connection_is_the_good_one() {
    let server = Plume::start(&[]);
    let mut client = Client::open(&server);
    let old_flow = client.ask_code("Ada", "ada@example.org");
    let code = server.code_for("Ada");
    let new_flow = client.ask_code("Ada", "ada@example.org");
    assert_eq!(server.code_for("Ada"), code, "the code belongs to the address");
    Client::with_code(&server, &old_flow, &code).expect_rejected(0);
    client.auth_in(&new_flow, &code);
    client.expect(3);
}

#[test]
fn all_flows_of_an_address_wait_for_one_code_each_with_its_own_tries() {
    let server = Plume::start(&[]);
    let mut owner = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    let mut strangers: Vec<Client> = (0..4).map(|_| Client::open(&server)).collect();
    for (n, stranger) in strangers.iter_mut().enumerate() {
        let name = format!("Stranger {n}");
        let flow = stranger.ask_code(&name, "ADA@example.org");
        assert_eq!(server.code_for(&name), code);
        for left in [4, 3, 2, 1, 0] {
            Client::with_code(&server, &flow, &other_than(&code)).expect_rejected(left);
        }
    }
    owner.auth(&other_than(&code));
    owner.expect_rejected(4);
    owner.auth(&code);
    assert_eq!(owner.expect(3)["user"]["name"], "Ada");
}

#[test]
fn a_sub_address_has_a_code_of_its_own() {
    let server = Plume::start(&[]);
    let mut ada = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    // At some providers this is another person.
    let mut eve = Client::asking_as(&server, "Eve", "ada+eve@example.org");
    let eves_code = server.code_for("Eve");
    assert_ne!(eves_code, code);
    eve.auth_in(&ada.flow, &eves_code);
    eve.expect_rejected(4);
    ada.auth(&code);
    ada.expect(3);
}

#[test]
fn a_second_hello_may_change_the_name() {
    let server = Plume::start(&[]);
    let mut client = Client::asking(&server, "Ada");
    client.ask_code("Augusta", "ada@example.org");
    client.auth(&server.code_for("Augusta"));
    let ack = client.expect(3);
    assert_eq!(ack["user"]["name"], "Augusta");
}

#[test]
fn a_hello_from_elsewhere_voids_nothing() {
    let server = Plume::start(&[]);
    let mut ada = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    let mut other = Client::asking(&server, "Ada");
    assert_eq!(server.code_for("Ada"), code);
    ada.auth(&code);
    ada.expect(3);
    // It is good once for each flow that waited for it; the next hello brings another one.
    other.auth(&code);
    other.expect(3);
    let mut late = Client::asking(&server, "Ada");
    let next = server.code_for("Ada");
    assert_ne!(next, code);
    late.auth(&code);
    late.expect_rejected(4);
    thread::sleep(Duration::from_secs(1));
    late.auth(&next);
    late.expect(3);
}

#[test]
fn a_code_is_good_once() {
    let server = Plume::start(&[]);
    let mut client = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    client.auth(&code);
    client.expect(3);
    Client::with_code(&server, &client.flow, &code).expect_rejected(0);
}

#[test]
fn a_flow_token_makes_the_code_good_on_another_connection() {
    let server = Plume::start(&[]);
    let mut first = Client::open(&server);
    let flow = first.ask_code("Ada", "ada@example.org");
    drop(first);
    let code = server.code_for("Ada");
    let ack = Client::with_code(&server, &flow, &code).expect(3);
    assert_eq!(ack["user"]["name"], "Ada");
}

#[test]
fn a_code_is_no_good_without_its_flow() {
    let server = Plume::start(&[]);
    let mut ada = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    let mut none = Client::open(&server);
    none.auth(&code);
    none.expect_rejected(0);
    let mut bob = Client::asking(&server, "Bob");
    bob.auth(&code);
    bob.expect_rejected(4);
    // An altered, a cut, an empty and a long token are as good as none.
    let altered = format!("{}{}", &ada.flow[1..], &ada.flow[..1]);
    for wrong in [&bob.flow, &altered, &ada.flow[1..], "", "x", &"x".repeat(3_000), "ä"] {
        let answer = Client::with_code(&server, wrong, &code).message();
        assert_eq!(answer["type"], 4, "{wrong}: {answer}");
    }
    ada.auth(&code);
    ada.expect(3);
}

#[test]
fn a_code_expires() {
    let server = Plume::start(&[("PLUME_CODE_TTL", "1")]);
    let mut client = Client::asking(&server, "Ada");
    let code = server.code_for("Ada");
    thread::sleep(Duration::from_millis(1_100));
    Client::with_code(&server, &client.flow, &code).expect_rejected(0);
    client.auth(&code);
    client.expect_rejected(0);
    client.ask_code("Ada", "ada@example.org");
    client.auth(&server.code_for("Ada"));
    client.expect(3);
}

#[test]
fn a_name_belongs_to_its_address() {
    let server = Plume::start(&[("PLUME_LEAVE_GRACE", "0")]);
    let mut ada = Client::login_as(&server, "Ada King", "ada@example.org");
    let rows = ["Ada King", "ada king", "ADA KING", "  Ada   King  ", "Ada\u{a0}King"];
    let refuse_all = || {
        for name in rows {
            let mut other = Client::with_hello(&server, name, "eve@example.org");
            let refused = other.message();
            assert_eq!(refused["type"], 5, "{name:?}: {refused}");
            other.hello("Eve");
            other.expect(0);
        }
    };
    refuse_all();
    ada.log_out();
    refuse_all();
    let codes = server.log().to_lowercase().matches("login code for @ada").count();
    assert_eq!(codes, 1, "a name that is not given needs no code");
    Client::login_as(&server, "Ada King", "ada@example.org");
}

#[test]
fn names_are_compared_without_case_in_every_script() {
    let server = Plume::start(&[]);
    for (name, other) in
        [("Зоя", "ЗОЯ"), ("Élodie", "éLODIE"), ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"), ("Straße", "STRASSE")]
    {
        Client::login_as(&server, name, &format!("owner-of-{}@example.org", name.len()));
        let refused = Client::with_hello(&server, other, "eve@example.org").message();
        assert_eq!(refused["type"], 5, "{name} {other}: {refused}");
    }
}

#[test]
fn addresses_are_compared_without_case() {
    let server = Plume::start(&[]);
    Client::login_as(&server, "Ada", "Ada@Example.ORG");
    let mut again = Client::asking(&server, "Ada");
    again.auth(&server.code_for("Ada"));
    let ack = again.expect(3);
    assert_eq!(ack["count"], 1, "one person: {ack}");
}

#[test]
fn reserved_names_and_what_looks_like_them_are_nobodys() {
    let server = Plume::start(&[("PLUME_NAME", "The Quiet Room")]);
    for name in [
        "plumebot",
        "PLUMEBOT",
        " plumebot ",
        "plume bot",
        "p1umeb0t",
        "plume-bot",
        "admin",
        "moderator",
        "system",
        "root",
        "everyone",
        "here",
        "The Quiet Room",
        "thequietr00m",
        // Lisu and Cherokee capitals.
        "ꓮꓓꓟꓲꓠ",
        "ꓑꓡꓴꓟꓰꓐꓳꓔ",
        "ꓢꓬꓢꓔꓰꓟ",
        "ꓣꓳꓳꓔ",
        "ᎻᎬᎡᎬ",
        "aclmin",
        "adm\u{a1}n",
        "root\u{301}",
    ] {
        let refused = Client::with_hello(&server, name, "eve@example.org").message();
        assert_eq!(refused["type"], 5, "{name}: {refused}");
    }
}

#[test]
fn a_name_that_looks_like_a_taken_one_is_refused() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    for name in ["William", "Ada", "bob 1"] {
        Client::login_as(&server, name, "owner@example.org");
    }
    let mut eve = Client::open(&server);
    // In the third the whole name is Cyrillic, so it is of one script.
    for name in ["VVilliam", "W1lliam", "\u{430}\u{501}\u{430}", "A-da", "A.d.a.", "bobl", "B0B I"] {
        eve.hello_as(name, "eve@example.org");
        let refused = eve.message();
        assert_eq!(refused["type"], 5, "{name}: {refused}");
    }
    eve.hello_as("Adam", "eve@example.org");
    eve.expect(0);
}

#[test]
fn capitals_of_another_script_that_look_like_a_taken_name_are_refused() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    // The second is Cyrillic, Greek, or Cyrillic in lower case, which looks like the first once it is written
    // in capitals.
    for (n, (name, other)) in
        [("Bob", "ВОВ"), ("Tom", "ТОМ"), ("Kate", "ΚΑΤΕ"), ("КАРА", "kapa"), ("Hob", "ноь"), ("вов2", "BOB2")]
            .into_iter()
            .enumerate()
    {
        Client::login_as(&server, name, &format!("owner{n}@example.org"));
        let refused = Client::with_hello(&server, other, "eve@example.org").message();
        assert_eq!(
            (&refused["type"], &refused["reason"]),
            (&5.into(), &"name-taken".into()),
            "{name} {other}"
        );
    }
}

#[test]
fn names_that_differ_in_a_vowel_mark_are_different_names() {
    let server = Plume::start(&[]);
    for (n, name) in ["राम", "रीमा", "रोमी", "रमा", "रूमी", "ดี", "ดู"].into_iter().enumerate()
    {
        Client::login_as(&server, name, &format!("p{n}@example.org"));
    }
}

#[test]
fn a_name_has_no_blank_or_invisible_symbol_and_no_pile_of_marks() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut client = Client::open(&server);
    let pile = format!("a{}", "\u{334}".repeat(40));
    for name in [
        "\u{2800}",
        "Ada\u{2800}",
        "Ada\u{1d159}",
        "Ada\u{3164}",
        "\u{ffa0}",
        "Ada\u{fe0f}",
        "\u{301}Ada",
        &pile,
    ] {
        client.hello_as(name, "ada@example.org");
        client.expect_notice("bad-name");
    }
    for (n, name) in ["Nguyễn", "שָׁלוֹם", "مُحَمَّد", "น้ำ", "བསྒྲུབས"].into_iter().enumerate()
    {
        client.hello_as(name, &format!("p{n}@example.org"));
        client.expect(0);
    }
}

#[test]
fn names_that_people_have_are_accepted() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut client = Client::open(&server);
    let rows = [
        // Persian, Sinhala and Malayalam write with joiners.
        ("علی\u{200c}رضا", "علی\u{200c}رضا"),
        ("ශ්\u{200d}රී", "ශ්\u{200d}රී"),
        ("അവന്\u{200d}", "അവന്\u{200d}"),
        // Emoji that are newer than PRECIS, with a selector, a skin tone, a joiner, and as a flag.
        ("Ada 🦉", "Ada 🦉"),
        ("Bob 🫠", "Bob 🫠"),
        ("Eve ❤\u{fe0f}", "Eve ❤\u{fe0f}"),
        ("Zoe 👍🏽", "Zoe 👍🏽"),
        ("👩🏾\u{200d}🚀", "👩🏾\u{200d}🚀"),
        ("🇨🇭", "🇨🇭"),
        ("@Grace", "Grace"),
    ];
    for (n, (typed, shown)) in rows.into_iter().enumerate() {
        client.hello_as(typed, &format!("p{n}@example.org"));
        assert_eq!(client.expect(0)["user"]["name"], shown, "{typed:?}");
    }
}

#[test]
fn a_name_is_refused_with_the_reason_in_words() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut client = Client::open(&server);
    let long = "n".repeat(121);
    let rows = [
        ("...", "letter"),
        (&*long, "too long"),
        ("A\u{200b}da", "cannot be seen"),
        ("plumeb\u{43e}t", "different scripts"),
        ("🐙\u{200d}🐙", "not allowed"),
        ("ada@example.org", "email address"),
        ("@ada@example.org", "email address"),
        ("ada@münchen.de", "email address"),
    ];
    for (name, words) in rows {
        client.hello_as(name, "ada@example.org");
        let notice = client.expect_notice("bad-name");
        assert!(notice["text"].as_str().is_some_and(|text| text.contains(words)), "{name}: {notice}");
    }
}

#[test]
fn an_address_has_one_owner_in_each_spelling_of_its_domain() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    Client::login_as(&server, "Ada", "ada@xn--mnchen-3ya.de");
    for email in
        ["ada@münchen.de", "ADA@MÜNCHEN.DE", "\u{a0}ada@mu\u{308}nchen.de\u{200b}", "ａｄａ＠münchen。de"]
    {
        assert_eq!(Client::with_hello(&server, "Ada", email).expect(0)["user"]["name"], "Ada", "{email:?}");
    }
    assert_eq!(Client::with_hello(&server, "Ada", "ada@munchen.de").expect(5)["reason"], "name-taken");
}

#[test]
fn a_mailbox_owns_at_most_three_names() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let mut late = Client::asking_as(&server, "Fourth", "ada+late@example.org");
    let late_code = server.code_for("Fourth");
    for (name, email) in
        [("First", "ada@example.org"), ("Second", "ada+work@example.org"), ("Third", "ADA+a+b@Example.org")]
    {
        Client::login_as(&server, name, email);
    }
    assert_eq!(
        Client::with_hello(&server, "Fifth", "ada+5@example.org").expect(5)["reason"],
        "too-many-names"
    );
    // A code that was sent while there was room is no way around it.
    late.auth(&late_code);
    assert_eq!(late.expect(5)["reason"], "too-many-names");
    Client::login_as(&server, "First", "ada@example.org");
    Client::login_as(&server, "Fifth", "eve@example.org");
}

#[test]
fn of_two_with_codes_for_one_free_name_the_first_gets_it() {
    let server = Plume::start(&[]);
    let mut first = Client::open(&server);
    let mut second = Client::asking_as(&server, "Sam", "second@example.org");
    let seconds_code = server.code_for("Sam");
    first.ask_code("Sam", "first@example.org");
    let firsts_code = server.code_for("Sam");
    first.auth(&firsts_code);
    first.expect(3);
    second.auth(&seconds_code);
    second.expect(5);
    second.ask_code("Samuel", "second@example.org");
    second.auth(&server.code_for("Samuel"));
    second.expect(3);
}

#[test]
fn two_who_race_for_a_name_never_both_get_it() {
    let server = Plume::start(&[]);
    for round in 0..20 {
        let name = format!("Sam{round}");
        let mut pair = [Client::open(&server), Client::open(&server)];
        let mut codes = Vec::new();
        for (n, client) in pair.iter_mut().enumerate() {
            client.ask_code(&name, &format!("{n}-of-{round}@example.org"));
            codes.push(server.code_for(&name));
        }
        for (client, code) in pair.iter_mut().zip(&codes) {
            client.auth(code);
        }
        let mut kinds: Vec<u64> =
            pair.iter_mut().map(|client| client.message()["type"].as_u64().unwrap()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, [3, 5], "{name}");
    }
}

#[test]
fn a_stranger_hears_nothing_and_says_nothing() {
    let server = Plume::start(&[]);
    let mut stranger = Client::open(&server);
    let mut ada = Client::login(&server, "Ada");
    stranger.say("can you hear me?");
    stranger.leave();
    stranger.expect_nothing();
    ada.talk("psst");
    stranger.ask_code("Bob", "bob@example.org");
    stranger.say("and now?");
    stranger.auth(&other_than(&server.code_for("Bob")));
    stranger.expect_rejected(4);
    stranger.say("and now?");
    stranger.expect_nothing();
    ada.expect_nothing();
}

#[test]
fn who_is_in_cannot_come_in_again() {
    let server = Plume::start(&[]);
    let mut ada = Client::login(&server, "Ada");
    let token = ada.token();
    ada.hello("Bob");
    ada.auth("000000");
    ada.resume(&token, None, None);
    ada.resume("wrong", None, None);
    ada.expect_nothing();
    ada.talk("still Ada");
    assert!(!server.log().contains("@Bob"), "no code for one who is in");
}
