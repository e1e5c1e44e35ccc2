//! Bots: the entries of `PLUME_BOTS`, and new ones for it. A token is never a setting: only its digest is.

use super::values::Checked;
use crate::base::digest::Digest;
use crate::limits::{BOT_NAME_BYTES_MAX, BOTS_MAX, SECRET_BYTES, TOKEN_PREFIX};
use crate::settings::{Bot, Rights};
use crate::users::names::BOT_NAME;
use crate::users::user_name::{NameKey, UserName};
use data_encoding::BASE32_NOPAD;

/// Parses `NAME:RIGHTS:SHA256`, separated by commas. An error names an entry by its number: it may hold a
/// token by mistake.
pub(super) fn bots(value: &str) -> Checked<Vec<Bot>> {
    let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let mut bots: Vec<Bot> = Vec::new();
    for (entry, number) in entries.zip(1_usize..) {
        let bot = bot(entry)
            .and_then(|bot| check_among(&bots, &bot).map(|()| bot))
            .map_err(|wrong| format!("{ENTRIES}; in number {number} {wrong}"))?;
        bots.push(bot);
    }
    match bots.len() {
        0 => Err(ENTRIES.to_owned()),
        1..=BOTS_MAX => Ok(bots),
        many => Err(format!("at most {BOTS_MAX} entries; these are {many}")),
    }
}

/// A checked name for a bot.
pub(super) fn bot_name(value: &str) -> Checked<String> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let is_name = is_plain && value.len() <= BOT_NAME_BYTES_MAX && UserName::parse(value).is_ok();
    is_name.then(|| value.to_owned()).ok_or_else(|| {
        format!("a name of 1 to {BOT_NAME_BYTES_MAX} letters, digits, - and _, not only - and _")
    })
}

/// What `plume --new-bot` prints: the token with this secret, and the entry for it.
#[must_use]
pub fn new_bot(name: &str, secret: [u8; SECRET_BYTES]) -> String {
    let token = format!("{TOKEN_PREFIX}{}", BASE32_NOPAD.encode(&secret));
    let digest = Digest::of(token.as_bytes());
    format!(
        "token: {token}\nentry: {name}:say+read:{digest}\n\n\
         The token is for the bot alone, and is shown only now. The entry goes into PLUME_BOTS, where commas\n\
         separate entries; say+read may also be say or read alone.\n"
    )
}

fn bot(entry: &str) -> Checked<Bot> {
    let mut parts = entry.split(':');
    let (Some(name), Some(rights), Some(digest), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("there are not three parts".to_owned());
    };
    let name = bot_name(name).map_err(|must_be| format!("the name must be {must_be}"))?;
    let rights = self::rights(rights).ok_or("the rights must be say, read or say+read")?;
    let token = Digest::from_hex(digest).ok_or("the SHA-256 must be 64 hexadecimal digits")?;
    Ok(Bot { name, rights, token })
}

fn rights(value: &str) -> Option<Rights> {
    value.split('+').try_fold(Rights::default(), |rights, right| match right {
        "say" => Some(Rights { say: true, ..rights }),
        "read" => Some(Rights { read: true, ..rights }),
        _ => None,
    })
}

/// Names that look alike would be one name to the room, and one token for two bots would be either of them.
fn check_among(others: &[Bot], bot: &Bot) -> Checked<()> {
    let keys = NameKey::all_of(&bot.name);
    let is_like = |name: &str| NameKey::all_of(name).iter().any(|key| keys.contains(key));
    if is_like(BOT_NAME) {
        return Err(format!("the name looks like {BOT_NAME}, which is the server's own"));
    }
    for (other, number) in others.iter().zip(1_usize..) {
        if is_like(&other.name) {
            return Err(format!("the name looks like that of number {number}"));
        }
        if other.token.is(bot.token) {
            return Err(format!("the SHA-256 is that of number {number}"));
        }
    }
    Ok(())
}

const ENTRIES: &str = "entries NAME:RIGHTS:SHA256 as plume --new-bot NAME prints them, separated by commas";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_bot_is_an_entry_that_its_token_fits() {
        let text = new_bot("ci-bot", [0xa5; SECRET_BYTES]);
        let part = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let (token, entry) = (part("token: "), part("entry: "));
        let secret = token.strip_prefix("plume_").unwrap();
        assert_eq!(
            (secret.len(), BASE32_NOPAD.decode(secret.as_bytes())),
            (26, Ok(vec![0xa5; SECRET_BYTES]))
        );
        let [bot] = &bots(entry).unwrap()[..] else { panic!("one bot") };
        assert_eq!((bot.name.as_str(), bot.rights), ("ci-bot", Rights { say: true, read: true }));
        assert!(bot.token.is(Digest::of(token.as_bytes())));
    }

    #[test]
    fn wrong_entries_are_named_by_their_number() {
        let (one, two) = ("a1".repeat(32), "B2".repeat(32));
        let good = format!(" ci:say:{one} , log_9:read+say:{two},");
        let parsed = |value: &str| bots(value).map_err(|error| error.replace(ENTRIES, "E"));
        assert_eq!(parsed(&good).unwrap().len(), 2);
        let longest = "n".repeat(BOT_NAME_BYTES_MAX);
        assert!(parsed(&format!("{longest}:read:{one}")).is_ok());
        let no_name =
            "E; in number 1 the name must be a name of 1 to 24 letters, digits, - and _, not only - and _";
        let rows = [
            (String::new(), "E"),
            (" , ".to_owned(), "E"),
            (format!("ci:say:{one},x"), "E; in number 2 there are not three parts"),
            (format!("ci:say:{one}:"), "E; in number 1 there are not three parts"),
            (format!("plume_SECRET:{one}"), "E; in number 1 there are not three parts"),
            (format!("-_:say:{one}"), no_name),
            (format!("{longest}n:say:{one}"), no_name),
            (format!("ci bot:say:{one}"), no_name),
            (format!("ci::{one}"), "E; in number 1 the rights must be say, read or say+read"),
            (format!("ci:say+write:{one}"), "E; in number 1 the rights must be say, read or say+read"),
            (format!("ci:say:{one}0"), "E; in number 1 the SHA-256 must be 64 hexadecimal digits"),
            (format!("ci:say:{one},C1:say:{two}"), "E; in number 2 the name looks like that of number 1"),
            (format!("ci:say:{one},log:say:{one}"), "E; in number 2 the SHA-256 is that of number 1"),
            (
                format!("PLUME-B0T:say:{one}"),
                "E; in number 1 the name looks like plumebot, which is the server's own",
            ),
        ];
        for (value, line) in rows {
            assert_eq!(parsed(&value), Err(line.to_owned()), "{value}");
        }
        let many: Vec<String> =
            (0..=BOTS_MAX).map(|n| format!("{}:say:{n:064x}", format!("{n:b}").replace('0', "x"))).collect();
        assert_eq!(parsed(&many.join(",")), Err("at most 64 entries; these are 65".to_owned()));
    }
}
