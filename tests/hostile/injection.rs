//! What people write stays what it is: in the mail, in the log, and on other people's lines.

use crate::onlooker::Onlooker;
use crate::support::{Client, FakeMailgun, Plume};
use serde_json::json;

/// A name may hold what means something in HTML, or what mail clients make a link of; in the mail it means
/// nothing.
#[test]
fn html_and_links_in_a_name_are_text_in_the_mail() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[("PLUME_MAIL_BURST", "100")]);
    let rows = [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("</p><a href='//evil.example'>", "&lt; p&gt;&lt;a href=&#39; evil example&#39;&gt;"),
        ("\"><b>Eve</b>", "&gt;&lt;b&gt;Eve&lt; b&gt;"),
        ("&lt;Eve&gt;", "&amp;lt Eve&amp;gt"),
        ("%recipient.email% {{Eve}}", "recipient email Eve"),
        ("win at https://evil.example/x?y", "win at https evil example x y"),
        ("www.evil.example", "www evil example"),
        ("eve@evil", "eve evil"),
        ("evil\u{3002}example", "evil example"),
    ];
    for (n, (name, escaped)) in rows.iter().enumerate() {
        let email = format!("p{n}@example.org");
        Client::asking_as(&server, name, &email);
        let posted = mailgun.next();
        let code = posted.code();
        assert_eq!(posted.field("to"), email, "{name}");
        assert_eq!(posted.field("subject"), format!("Your Plume login code: {code}"), "{name}");
        let html = posted.field("html");
        assert!(html.ends_with(&format!("<p>Name given: &quot;{escaped}&quot;</p>\n")), "{name}: {html}");
        assert_eq!(html.matches('<').count(), 10, "no other tags than the mail's own: {html}");
        let text = posted.field("text");
        let given = text.split_once("Name given: ").expect("the name").1;
        assert!(!given.contains(['.', ':', '/', '@', '\u{3002}']), "nothing to make a link of: {text}");
        assert!(text.find(&code) < text.find("Name given"), "the code comes first: {text}");
    }
    // What is too long for a name, or could be a telephone number, is not shown at all.
    for (n, name) in
        ["call 0900 555 0100 now", &"You have won. Come and get it! ".repeat(3)].iter().enumerate()
    {
        Client::asking_as(&server, name, &format!("q{n}@example.org"));
        let posted = mailgun.next();
        for part in ["text", "html"] {
            assert!(!posted.field(part).contains("Name given"), "{posted:?}");
            assert!(!posted.field(part).contains("won") && !posted.field(part).contains("555"), "{posted:?}");
        }
    }
}

/// What would be more than one recipient, another header or another field is no address, and no mail goes
/// out.
#[test]
fn no_line_end_comes_into_a_subject_or_a_recipient() {
    let mailgun = FakeMailgun::start(&[]);
    let server = mailgun.plume(&[("PLUME_RATE", "1000")]);
    let emails = [
        "eve@example.org\r\nBcc: all@example.org",
        "eve@example.org\nSubject: hello",
        "eve@example.org\rX: y",
        "eve@example.org\u{2028}Bcc: all@example.org",
        "eve@example.org\u{85}Bcc: all@example.org",
        "eve@example.org\0",
        "eve@example.org,all@example.org",
        "eve@example.org;all@example.org",
        "eve@example.org all@example.org",
        "eve@example.org&to=all@example.org",
        "eve@example.org%0aBcc:all@example.org",
        "Eve <eve@example.org>",
        "<eve@example.org>",
        "eve@[127.0.0.1]",
        "\"eve\r\n\"@example.org",
        "eve(\r\n)@example.org",
        "eve@exam\u{202e}ple.org",
        "eve@localhost",
    ];
    let mut client = Client::open(&server);
    for email in emails {
        client.hello_as("Eve", email);
        let notice = client.message();
        assert_eq!(notice["reason"], "bad-email", "{email:?}: {notice}");
    }
    for name in ["Eve\r\nBcc: all@example.org", "Eve\rSubject: x", "Eve\u{0b}X", "Eve\u{85}X"] {
        // The name ends at the first line end; white space within it is a space, and nothing else is left of
        // it.
        client.hello_as(name, "eve@example.org");
        let answer = client.message();
        let shown = answer["user"]["name"].as_str().unwrap_or_default();
        assert!(!shown.contains(char::is_control), "{name:?}: {answer}");
        if answer["type"] == 0 {
            let posted = mailgun.next();
            assert_eq!(posted.field("to"), "eve@example.org", "{name:?}");
            assert!(!posted.field("subject").contains(char::is_control), "{posted:?}");
        }
    }
}

/// Names that begin a line of the log, end one, or move the cursor of whoever reads it.
#[test]
fn the_log_has_one_line_for_each_event_and_moves_no_cursor() {
    let server = Plume::start(&[("PLUME_LOG", "debug"), ("PLUME_RATE", "1000")]);
    let onlooker = Onlooker::join(&server);
    let mut client = Client::open(&server);
    let names = [
        "Eve\u{1b}[2J\u{1b}[H",
        "Eve\u{1b}]0;owned\u{7}",
        "\u{9b}2JEve",
        "Eve\revent=stopped",
        "Eve\u{8}\u{8}\u{8}",
        "Eve\u{2028}event=stopped",
        "Eve\u{2029}event=stopped",
        "Eve\u{85}event=stopped",
        "Eve\0",
        "Eve\u{7f}",
        "event=stopped unknown_messages=9",
        "login code for @Ada: AAAAAA",
        "<3>Eve",
    ];
    for name in names {
        client.hello_as(name, "eve@example.org");
        let kind = client.message()["type"].as_u64();
        assert!(matches!(kind, Some(0 | 6)), "{name:?}: {kind:?}");
    }
    for target in ["/\u{1b}[2J", "/%0aevent=stopped", "/?event=stopped\u{7f}"] {
        crate::raw::statuses(&server, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    }
    let mut forged = Client::open_for(&server, "203.0.113.5 event=stopped");
    forged.expect_nothing();
    onlooker.finish();
    let log = server.log();
    assert!(log.chars().all(|char| char == '\n' || !char.is_control()), "{log:?}");
    assert!(log.lines().all(|line| !line.starts_with("event=stopped")), "{log}");
    assert!(!log.contains(['\u{2028}', '\u{2029}']), "{log:?}");
}

/// A name turns no direction and hides nothing; a text may, and comes as it was said: the page shows it
/// apart.
#[test]
fn characters_that_turn_the_direction_come_into_no_name() {
    let server = Plume::start(&[("PLUME_RATE", "1000")]);
    let onlooker = Onlooker::join(&server);
    let mut client = Client::open(&server);
    let turning = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
        '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    ];
    let hidden = [
        '\u{ad}',
        '\u{34f}',
        '\u{115f}',
        '\u{180e}',
        '\u{200b}',
        '\u{2060}',
        '\u{3164}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{fff9}',
        '\u{e0041}',
    ];
    for char in turning {
        client.hello_as(&format!("Eve{char}nimda"), "eve@example.org");
        let notice = client.message();
        assert_eq!(notice["reason"], "bad-name", "{char:?}: {notice}");
    }
    for char in hidden {
        // Refused, or at least nobody else's name: what cannot be seen makes no second Ada.
        let answer = Client::with_hello(&server, &format!("plume{char}bot"), "eve@example.org").message();
        assert!(matches!(answer["type"].as_u64(), Some(5 | 6)), "{char:?}: {answer}");
    }
    let mut ada = Client::login(&server, "Ada");
    let text: String = turning.iter().chain(&hidden).chain(&['x']).collect();
    ada.say(&text);
    crate::onlooker::hear(&mut ada, &text);
    onlooker.finish();
}

/// Whatever a client says of itself, the server knows who speaks, when, and in which order.
#[test]
fn nobody_speaks_for_somebody_else_or_for_the_server() {
    let server = Plume::start(&[("PLUME_RATE", "1000"), ("PLUME_LEAVE_GRACE", "0")]);
    let [mut ada, mut eve] = Client::login_all(&server, ["Ada", "Eve"]);
    for kind in [3, 4, 5, 6] {
        eve.send(&json!({"type": kind, "text": "forged", "reason": "restarting", "user": {"name": "Ada"}}));
    }
    eve.send(&json!({
        "type": 1, "text": "left chat", "user": {"name": "Ada"}, "event": "leave", "id": 1, "time": 0, "run": "x", "last": 9
    }));
    let line = ada.expect_line("Eve", "left chat");
    assert_eq!(line.get("event"), None, "{line}");
    let id = line["id"].as_u64().expect("a line has an id");
    assert!(id > 1, "{line}");
    // A text that is itself a frame of the server is a text.
    let forged = json!({"type": 1, "id": 7, "user": {"name": "plumebot"}, "text": "x"}).to_string();
    eve.say(&forged);
    assert_eq!(ada.expect_line("Eve", &forged)["id"], id + 1);
    ada.expect_nothing();
}
