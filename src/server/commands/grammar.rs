//! The grammar of commands: which texts are commands, and their parts. Pure functions; know no users and no
//! rules.

use super::Failure;
use crate::base::visible::has_visible;
use crate::limits::{NAME_BYTES_MAX, REASON_BYTES_MAX};
use std::fmt::Display;
use std::time::Duration;

/// What a member's text is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    Line(&'a str),
    /// A command, and what follows its word.
    Command(Command, &'a str),
    /// A command that does not exist. It is never said: it may be a slip, with a secret behind it.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Topic,
    Who,
    Delete,
    Report,
    Kick,
    Mute,
    Unmute,
    Ban,
    Unban,
    Bans,
    Slow,
    Lock,
    Unlock,
    Invite,
    Uninvite,
    Invites,
    Reports,
}

/// A command's row in [`COMMANDS`].
pub(crate) struct Row {
    pub(crate) command: Command,
    /// Whether all may use it. (`/topic` with a text is for moderators alone.)
    pub(crate) is_for_all: bool,
    /// How it is written: a slash, its word, and its arguments.
    pub(crate) usage: &'static str,
    pub(crate) effect: &'static str,
}

/// Why a text does not begin with a known name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NameError<T> {
    Unknown,
    /// It begins with two of them, and either can be meant.
    Ambiguous {
        shorter: T,
        longer: T,
    },
}

impl Command {
    pub(crate) fn row(self) -> Option<&'static Row> {
        COMMANDS.iter().find(|row| row.command == self)
    }
}

impl Row {
    pub(crate) fn word(&self) -> &'static str {
        self.usage.trim_start_matches('/').split(' ').next().unwrap_or_default()
    }

    /// Whether it cannot stand alone: its usage begins with an argument that is not in brackets.
    pub(crate) fn needs_argument(&self) -> bool {
        self.usage.split_once(' ').is_some_and(|(_, arguments)| !arguments.starts_with('['))
    }
}

/// Tells commands from lines. A command is a slash and a short word of small letters; `//x` says `/x`, `/me`
/// is a line, and so is a path such as `/usr/bin`.
pub(crate) fn parse(text: &str) -> Parsed<'_> {
    let Some(rest) = text.trim_start().strip_prefix('/') else { return Parsed::Line(text) };
    if rest.starts_with('/') {
        return Parsed::Line(rest);
    }
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let is_word = (1..=WORD_CHARS_MAX).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase());
    if !is_word || word == "me" {
        return Parsed::Line(text);
    }
    let row = COMMANDS.iter().find(|row| row.word() == word);
    row.map_or(Parsed::Unknown, |row| Parsed::Command(row.command, rest.trim()))
}

/// Takes the name that `find` knows: the one in quotes, or else the longest run of words from the first.
/// Gives what was found, and the rest.
///
/// # Errors
/// If nothing is known by that name. Or if a shorter run means something else, and the words behind the name
/// could be a part of the reason: `Bob Smith is rude` where Bob and Bob Smith are known.
pub(crate) fn take_name<T: PartialEq>(
    text: &str,
    find: impl Fn(&str) -> Option<T>,
) -> Result<(T, &str), NameError<T>> {
    if let Some((name, rest)) = take_quoted(text) {
        let found = Some(name).filter(|name| name.len() <= NAME_TYPED_BYTES_MAX).and_then(find);
        return found.map(|found| (found, rest)).ok_or(NameError::Unknown);
    }
    let ends = text.char_indices().filter(|(_, char)| char.is_whitespace()).map(|(at, _)| at);
    let ends = ends.chain([text.len()]).take_while(|&end| end <= NAME_TYPED_BYTES_MAX);
    let runs: Vec<(&str, &str)> = ends.filter_map(|end| text.split_at_checked(end)).collect();
    // A run that ends in white space is the same as the one before it.
    let runs = runs.into_iter().rev().filter(|(run, _)| !run.ends_with(char::is_whitespace));
    let mut known = runs.filter_map(|(run, rest)| Some((find(run)?, rest.trim_start())));
    let (longest, rest) = known.next().ok_or(NameError::Unknown)?;
    // A time or a count is no part of a sentence.
    let is_complete =
        rest.is_empty() || rest == "all" || rest.starts_with(|char: char| char.is_ascii_digit());
    match known.map(|(found, _)| found).find(|found| *found != longest).filter(|_| !is_complete) {
        Some(shorter) => Err(NameError::Ambiguous { shorter, longer: longest }),
        None => Ok((longest, rest)),
    }
}

/// Takes what stands in quotes at the beginning, up to the first closing quote with a space or nothing behind
/// it. Phones type curly quotes.
pub(crate) fn take_quoted(text: &str) -> Option<(&str, &str)> {
    let is_closing = |char: char| match text.chars().next() {
        Some('"') => char == '"',
        Some('\u{201c}' | '\u{201e}') => matches!(char, '\u{201c}' | '\u{201d}'),
        _ => false,
    };
    let mut closings = text.char_indices().skip(1).filter(|&(_, char)| is_closing(char));
    closings.find_map(|(at, closing)| {
        let (quoted, rest) = (text.get(..at)?, text.get(at + closing.len_utf8()..)?);
        let name = quoted.get(quoted.chars().next()?.len_utf8()..)?;
        (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| (name, rest.trim_start()))
    })
}

pub(crate) fn take_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Takes the id of a line, such as `#12`.
pub(crate) fn take_line_id(text: &str) -> Option<(u64, &str)> {
    let (word, rest) = take_word(text);
    let digits = word.strip_prefix('#')?;
    // No line has an id that large.
    is_number(digits).then(|| (digits.parse().unwrap_or(u64::MAX), rest))
}

/// Whether a text is digits and nothing else, without a sign.
pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Takes a time such as `30s`, `10m`, `2h` or `7d`, if the text begins with one. An ordinal (`2nd`) begins a
/// reason.
///
/// # Errors
/// If the first word begins like a time and is none, or is zero or over `most`.
pub(crate) fn take_time(text: &str, most: Duration) -> Result<(Option<Duration>, &str), Failure> {
    let (word, rest) = take_word(text);
    let unit = word.trim_start_matches(|char: char| char.is_ascii_digit());
    let digits = word.strip_suffix(unit).unwrap_or_default();
    let is_reason = digits.is_empty()
        || ["st", "nd", "rd", "th"].contains(&unit)
        || !unit.chars().all(char::is_alphanumeric);
    if is_reason {
        return Ok((None, text));
    }
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(Failure::BadTime(most)),
    };
    let time = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
    let time = time.map(Duration::from_secs).filter(|time| !time.is_zero() && *time <= most);
    time.map(|time| (Some(time), rest)).ok_or(Failure::BadTime(most))
}

/// The text of a reason, on one line; empty where nothing can be seen.
///
/// # Errors
/// If it is too long.
pub(crate) fn reason(text: &str) -> Result<String, Failure> {
    let reason = if has_visible(text) { one_line(text) } else { String::new() };
    if reason.len() > REASON_BYTES_MAX { Err(Failure::ReasonTooLong) } else { Ok(reason) }
}

/// The words of a text with single spaces between them. Control characters are spaces.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|char: char| char.is_whitespace() || char.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A time in words, in the largest unit that it is a multiple of; a started second counts.
pub(crate) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    let unit = UNITS.iter().find(|(length, _)| seconds >= *length && seconds.is_multiple_of(*length));
    count_of(seconds, unit)
}

/// A time in words, in the largest unit that it holds once.
pub(crate) fn roughly(time: Duration) -> String {
    let seconds = time.as_secs();
    count_of(seconds, UNITS.iter().find(|(length, _)| seconds >= *length))
}

fn count_of(seconds: u64, unit: Option<&(u64, &str)>) -> String {
    let (length, name) = unit.copied().unwrap_or((1, "second"));
    counted(seconds.checked_div(length).unwrap_or(seconds), name)
}

/// A count in words, such as `1 ban` or `2 bans`.
pub(crate) fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    if count == N::from(1) { format!("1 {what}") } else { format!("{count} {what}s") }
}

const UNITS: [(u64, &str); 4] = [(24 * 60 * 60, "day"), (60 * 60, "hour"), (60, "minute"), (1, "second")];

const fn all(command: Command, usage: &'static str, effect: &'static str) -> Row {
    Row { command, is_for_all: true, usage, effect }
}

const fn moderator(command: Command, usage: &'static str, effect: &'static str) -> Row {
    Row { command, is_for_all: false, usage, effect }
}

/// Every command, in the order of `/help`.
pub(crate) const COMMANDS: [Row; 18] = [
    all(Command::Help, "/help", "lists the commands"),
    all(
        Command::Topic,
        "/topic",
        "shows the topic; moderators set it with /topic TEXT and remove it with /topic -",
    ),
    all(Command::Who, "/who NAME", "says how long someone has been here"),
    all(
        Command::Delete,
        "/delete [N|#ID] (moderators also: /delete NAME [N|all])",
        "takes back your newest line, the N newest (1 to 200), or the one with that id; moderators delete any",
    ),
    all(
        Command::Report,
        "/report NAME|#ID WHY",
        "tells the moderators of someone or of a line; they see your name",
    ),
    moderator(Command::Kick, "/kick NAME [WHY]", "logs someone out"),
    moderator(
        Command::Mute,
        "/mute NAME [FOR] [WHY]",
        "refuses someone's lines for 10m or as long as you say: 30s 10m 2h 7d",
    ),
    moderator(Command::Unmute, "/unmute NAME", "ends a mute"),
    moderator(
        Command::Ban,
        "/ban NAME|ADDRESS|@domain [FOR] [WHY]",
        "logs someone out and lets them in no more",
    ),
    moderator(Command::Unban, "/unban NAME|ADDRESS|@domain", "lifts a ban"),
    moderator(Command::Bans, "/bans", "lists the bans"),
    moderator(Command::Slow, "/slow SECONDS|off", "allows each person one line in that time"),
    moderator(Command::Lock, "/lock [FOR]", "lets no newcomers in"),
    moderator(Command::Unlock, "/unlock", "lets newcomers in again"),
    moderator(Command::Invite, "/invite ADDRESS", "lets an address in that may not come in otherwise"),
    moderator(Command::Uninvite, "/uninvite ADDRESS", "takes an invitation back"),
    moderator(Command::Invites, "/invites", "lists the invitations"),
    moderator(Command::Reports, "/reports", "lists the newest reports"),
];

const WORD_CHARS_MAX: usize = 12;
/// Longest text that is looked up as a name: the longest name, and its `@`.
const NAME_TYPED_BYTES_MAX: usize = NAME_BYTES_MAX + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_texts_are_commands() {
        let line = Parsed::Line;
        let rows = [
            ("hello", line("hello")),
            ("", line("")),
            ("a /kick bob", line("a /kick bob")),
            ("/", line("/")),
            ("/ kick", line("/ kick")),
            ("/usr/bin", line("/usr/bin")),
            ("/kick/bob", line("/kick/bob")),
            ("/me waves", line("/me waves")),
            ("/Kick bob", line("/Kick bob")),
            ("/abcdefghijklm", line("/abcdefghijklm")),
            ("/kick-bob", line("/kick-bob")),
            ("//kick bob", line("/kick bob")),
            (" //", line("/")),
            ("/abcdefghijkl", Parsed::Unknown),
            ("/hunter secret", Parsed::Unknown),
            ("/kicks bob", Parsed::Unknown),
            ("/kick", Parsed::Command(Command::Kick, "")),
            (" \r\n\t/kick  bob \n", Parsed::Command(Command::Kick, "bob")),
            ("/kick\u{a0}bob", Parsed::Command(Command::Kick, "bob")),
            ("/mute\nbob\r\n5m", Parsed::Command(Command::Mute, "bob\r\n5m")),
        ];
        for (text, parsed) in rows {
            assert_eq!(parse(text), parsed, "{text:?}");
        }
        for row in &COMMANDS {
            assert_eq!(parse(&format!("/{}", row.word())), Parsed::Command(row.command, ""));
            assert!(row.usage.starts_with(&format!("/{}", row.word())), "{}", row.usage);
            assert_eq!(row.command.row().map(Row::word), Some(row.word()));
        }
        let alone = COMMANDS.iter().filter(|row| !row.needs_argument()).map(Row::word);
        let alone = alone.collect::<Vec<_>>().join(" ");
        assert_eq!(alone, "help topic delete bans lock unlock invites reports");
        let long = format!("/kick {}", "x ".repeat(1 << 15));
        assert!(matches!(parse(&long), Parsed::Command(Command::Kick, _)));
        assert_eq!(take_name(&long, |_| None::<()>), Err(NameError::Unknown));
    }

    #[test]
    fn a_name_is_the_longest_run_of_words_that_is_known() {
        let find = |run: &str| ["bob", "@bob", "eve smith jr"].contains(&run).then_some(run.len());
        let rows = [
            ("bob", Ok((3, ""))),
            ("@bob  10m", Ok((4, "10m"))),
            ("bob smith", Ok((3, "smith"))),
            ("eve smith jr  is rude", Ok((12, "is rude"))),
            ("bob\nsmith", Ok((3, "smith"))),
            ("eve bob", Err(NameError::Unknown)),
            ("eve smith", Err(NameError::Unknown)),
            ("", Err(NameError::Unknown)),
        ];
        for (text, expected) in rows {
            assert_eq!(take_name(text, find), expected, "{text:?}");
        }
    }

    #[test]
    fn a_name_that_begins_with_another_needs_quotes_where_words_follow() {
        let find = |run: &str| match run {
            "bob" | "@bob" | "bob," => Some("Bob"),
            "bob smith" | "@bob smith" => Some("Bob Smith"),
            "bob smith jr" => Some("Bob Smith Jr"),
            _ => None,
        };
        let ambiguous = |shorter, longer| Err(NameError::Ambiguous { shorter, longer });
        let rows = [
            ("bob is rude", Ok(("Bob", "is rude"))),
            // All of the text, or what stands in front of a time or a count, is a name.
            ("bob smith", Ok(("Bob Smith", ""))),
            ("bob smith \n", Ok(("Bob Smith", ""))),
            ("bob smith jr", Ok(("Bob Smith Jr", ""))),
            ("bob smith 10m too loud", Ok(("Bob Smith", "10m too loud"))),
            ("bob smith all", Ok(("Bob Smith", "all"))),
            ("bob smith is rude", ambiguous("Bob", "Bob Smith")),
            ("bob smith all of it", ambiguous("Bob", "Bob Smith")),
            ("bob smith jr is rude", ambiguous("Bob Smith", "Bob Smith Jr")),
            // Quotes settle it.
            ("\"bob\" smith is rude", Ok(("Bob", "smith is rude"))),
            ("\"bob smith\"  is rude", Ok(("Bob Smith", "is rude"))),
            ("\"@bob smith\"\tis rude", Ok(("Bob Smith", "is rude"))),
            ("\"bob smith\"", Ok(("Bob Smith", ""))),
            ("\"bob\" said \"smith\"", Ok(("Bob", "said \"smith\""))),
            ("\u{201c}bob smith\u{201d} is rude", Ok(("Bob Smith", "is rude"))),
            ("\u{201e}bob smith\u{201c} is rude", Ok(("Bob Smith", "is rude"))),
            ("\"eve\" bob", Err(NameError::Unknown)),
            ("\"\" bob", Err(NameError::Unknown)),
            ("\"\"", Err(NameError::Unknown)),
            // No quotes.
            ("\"bob", Err(NameError::Unknown)),
            ("\"bob\"smith", Err(NameError::Unknown)),
            ("\"", Err(NameError::Unknown)),
        ];
        for (text, expected) in rows {
            assert_eq!(take_name(text, find), expected, "{text:?}");
        }
        let long = format!("\"{}\"", "x".repeat(1 << 16));
        assert_eq!(take_name(&long, |_| Some(())), Err(NameError::Unknown));
    }

    #[test]
    fn what_is_the_id_of_a_line() {
        let rows = [
            ("#12", Some((12, ""))),
            ("#7  spam\n#8", Some((7, "spam\n#8"))),
            ("#99999999999999999999", Some((u64::MAX, ""))),
            ("#", None),
            ("#1a", None),
            ("#-1", None),
            ("#+1", None),
            ("12", None),
            ("# 12", None),
            ("@#12", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(take_line_id(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_a_time_and_what_begins_a_reason() {
        let seconds = |seconds, rest| Ok((Some(Duration::from_secs(seconds)), rest));
        let most = Duration::from_hours(7 * 24);
        let bad = || Err(Failure::BadTime(most));
        let rows = [
            ("30s", seconds(30, "")),
            ("10m  too loud", seconds(600, "too loud")),
            ("2h", seconds(7_200, "")),
            ("7d", seconds(604_800, "")),
            ("8d", bad()),
            ("0s", bad()),
            ("10", bad()),
            ("5min", bad()),
            ("2H", bad()),
            ("99999999999999999999d", bad()),
            ("999999999999999999d", bad()),
            ("2nd warning", Ok((None, "2nd warning"))),
            ("3: no", Ok((None, "3: no"))),
            ("m", Ok((None, "m"))),
            ("-5m", Ok((None, "-5m"))),
            ("", Ok((None, ""))),
        ];
        for (text, expected) in rows {
            assert_eq!(take_time(text, most), expected, "{text:?}");
        }
    }

    #[test]
    fn a_reason_is_one_line_and_a_time_is_words() {
        assert_eq!(reason(" a\r\n b "), Ok("a b".to_owned()));
        assert_eq!(reason("\u{0}a\u{7}\u{1b}[2Jb\u{9f}c"), Ok("a [2Jb c".to_owned()));
        assert_eq!(reason("\u{200b}"), Ok(String::new()));
        assert_eq!(reason(&"x".repeat(REASON_BYTES_MAX + 1)), Err(Failure::ReasonTooLong));
        assert!(reason(&"x".repeat(REASON_BYTES_MAX)).is_ok());
        for (seconds, exact, rough) in [
            (0, "0 seconds", "0 seconds"),
            (1, "1 second", "1 second"),
            (90, "90 seconds", "1 minute"),
            (3_600, "1 hour", "1 hour"),
            (90_000, "25 hours", "1 day"),
            (172_800, "2 days", "2 days"),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!((&*in_words(time), &*roughly(time)), (exact, rough));
        }
    }
}
