//! Bots as the settings name them: `plume --new-bot` and `PLUME_BOTS`.

use crate::support::{Client, Ended, Plume, new_bot, refused};

#[test]
fn a_new_bot_is_a_token_and_an_entry_for_the_setting() {
    let ((token, entry), (other, _)) = (new_bot("ci"), new_bot("ci"));
    let secret = token.strip_prefix("plume_").expect("a token can be known as one");
    let is_base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    assert!(secret.len() == 26 && secret.bytes().all(is_base32), "{token}");
    assert_ne!(token, other, "each is random");
    assert!(entry.starts_with("ci:say+read:") && !entry.contains(secret), "{entry}");
    let server = Plume::start(&[("PLUME_BOTS", &entry)]);
    assert!(server.log().contains(" bots=1 "), "{}", server.log());

    for (flags, culprit) in [
        (&["--new-bot"][..], "--new-bot: needs a value"),
        (&["--new-bot", "two words"], "--new-bot is \"two words\", but must be a name"),
        (&["--new-bot=-_-"], "--new-bot is \"-_-\", but must be a name"),
        (&["--new-bot", "ci", "more"], "argument 3"),
        (&["--log", "info", "--new-bot", "ci"], "argument 1"),
    ] {
        let Ended { code, stdout, stderr } = refused(&[], flags);
        assert_eq!((code, stdout.len()), (Some(2), 0), "{flags:?}: {stderr}");
        assert!(stderr.contains(culprit) && stderr.lines().count() == 1, "{flags:?}: {stderr}");
    }
}

#[test]
fn a_wrong_entry_is_one_line_that_does_not_show_it() {
    let (token, entry) = new_bot("ci");
    for (value, culprit) in [
        (token.clone(), "in number 1 there are not three parts"),
        (format!("{entry},ci2:say:{token}"), "in number 2 the SHA-256 must be 64 hexadecimal digits"),
        (format!("{entry},C1:say:{:064}", 0), "in number 2 the name looks like that of number 1"),
    ] {
        let Ended { code, stderr, .. } = refused(&[("PLUME_BOTS", &value)], &[]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(culprit) && stderr.lines().count() == 1, "{stderr}");
        assert!(!stderr.contains(&token), "{stderr}");
    }
}

#[test]
fn the_name_of_a_bot_and_what_looks_like_it_is_nobodys() {
    let (_, entry) = new_bot("ci-bot");
    let server = Plume::start(&[("PLUME_BOTS", &entry)]);
    for name in ["ci-bot", "CI BOT", "c1-b0t", "сi-bot"] {
        let mut client = Client::open(&server);
        client.hello(name);
        let answer = client.message();
        assert!(answer["type"] == 5 || answer["reason"] == "bad-name", "{name}: {answer}");
    }
    Client::login(&server, "ci-robot");
}
