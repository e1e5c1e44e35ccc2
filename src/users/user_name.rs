//! Which names are allowed, and when two names look alike.
//!
//! A name is shown in the form of RFC 8266 (PRECIS Nickname) and compared by its *keys*: two names collide
//! when they share one.
//!
//! # The key
//! A key is the skeleton of UTS 39, which maps a Cyrillic о and a Lisu ꓳ to o, folded together with case
//! until neither changes anything (a fixed point), because each undoes the work of the other: lowercase
//! first, and the Lisu capital ꓮ, which looks like A, has no lower case to become a; skeleton first, and its
//! result still has capitals. The fold adds the pairs that UTS 39 leaves out (0 and o, 1 and l and i, vv and
//! w, cl and d) and drops spaces and punctuation. That Ian and Lan collide is the price.
//!
//! # Why a name has more than one key
//! A letter can look like one letter in lower case and like another in upper case: в looks like ʙ, В like B;
//! Greek ν like v, Ν like N. вов, ВОВ and Вов are one name in three cases, and ВОВ looks like BOB. One key
//! for all of them would also have to merge v with n for everybody. So a name has the keys of itself as
//! typed, in upper case and in lower case, three at most, one for nearly all names; it owns all of them, and
//! a name is refused when any of its keys is taken.
//!
//! # Marks
//! On Latin, Greek and Cyrillic letters marks are dropped (José and Jose collide), as are the points of
//! Hebrew, Arabic and Syriac, which are optional. Everywhere else a mark is a vowel, a consonant or a tone,
//! and stays: राम and रीमा are two names.
//!
//! # What remains
//! Names that some people would take for another one and that still have different keys:
//! - Resemblances that UTS 39 does not list: 5 and S, 2 and Z, 8 and B, `@dmin`, `adm!n`, `3veryone`. Merging
//!   digits with letters would refuse honest names in which a number counts (`ada5`, `adas`).
//! - Added or left out words, letters and digits: `admin2`, `the admin`, `adminn`.
//! - Marks of Indic, Thai, Khmer and Burmese letters in an order that draws the same, and doubled vowels of
//!   Tibetan that draw as one long vowel: Unicode does not call them equal, and fonts differ.
//! - Letters that look partly like the lower and partly like the upper case of a Cyrillic or Greek name:
//!   `ᴎBAʜ` for Иван. It is like `ИВАн`, which that person never shows.
//! - Letters newer than Unicode 6.3: PRECIS has no entry for them, so such names are refused, not compared.
//!   Emoji are taken from a newer table; skin tones, selectors and joiners do not tell two names apart.

use crate::base::frost::{Frost, Frozen};
use crate::base::skeleton::skeleton;
use crate::base::visible::{fold_full_width, is_visible};
use crate::limits::{NAME_BYTES_MAX, NAME_MARKS_MAX};
use crate::users::email::Email;
use crate::users::emoji;
use precis_profiles::Nickname;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use std::fmt;
use std::iter;
use std::rc::Rc;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};
use unicode_security::mixed_script::AugmentedScriptSet;

/// A name as it is shown: trimmed, inner white space folded, of bounded length, in one script, with nothing
/// in it that is not seen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UserName(Rc<str>);

/// One of the keys by which names are compared: names that look alike share a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NameKey(Box<str>);

/// A text that is meant to name a user, as it is typed in a command.
#[derive(Debug)]
pub(crate) struct TypedName {
    text: String,
    /// What it is looked up by; none where it means nobody.
    pub(crate) keys: Vec<NameKey>,
}

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserNameError {
    /// It is empty, or has nothing but spaces, punctuation and marks.
    NoLetters,
    /// It is longer than [`NAME_BYTES_MAX`].
    TooLong,
    /// It has a character that cannot be seen, or that is not allowed in names (RFC 8266).
    BadCharacter,
    /// It mixes scripts whose letters look alike.
    MixedScripts,
    /// A letter has more than [`NAME_MARKS_MAX`] marks, or a mark stands in front of the name.
    TooManyMarks,
    /// It is an email address, which must not be shown to a room by mistake.
    IsEmail,
}

impl UserNameError {
    /// The reason, for a person.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::NoLetters => "A name needs at least one letter, digit or symbol.",
            Self::TooLong => {
                "That name is too long: at most 120 bytes, which is 120 Latin letters or about 40 of most other scripts."
            }
            Self::BadCharacter => {
                "That name has a character that cannot be seen, or that is too new or not allowed in names."
            }
            Self::MixedScripts => {
                "That name mixes letters of different scripts that look alike. Please use one script."
            }
            Self::TooManyMarks => "That name has too many accents or marks on one letter.",
            Self::IsEmail => {
                "That is an email address, and everyone would see it. Please choose another name."
            }
        }
    }
}

impl UserName {
    /// Parses a name as it was typed. People are called `@name`, so any `@` in front is no part of the name.
    ///
    /// # Errors
    /// If the text is not a name.
    pub(crate) fn parse(typed: &str) -> Result<Self, UserNameError> {
        // Normalizing can make a text longer, but only by a bounded factor (Unicode Standard Annex 15).
        if typed.len() > TYPED_BYTES_MAX {
            return Err(UserNameError::TooLong);
        }
        let words = words_of(typed);
        if has_email(&words) {
            return Err(UserNameError::IsEmail);
        }
        // PRECIS is made of Unicode 6.3 and refuses newer emoji, and the joiners and selectors in emoji.
        let (text, emoji) = emoji::take_out(&words);
        if text.is_empty() {
            return Err(UserNameError::NoLetters);
        }
        let text = Nickname::enforce(text).map_err(|_| UserNameError::BadCharacter)?;
        // Normalizing makes an address of some look-alikes of one.
        if has_email(&text) {
            return Err(UserNameError::IsEmail);
        }
        if !text.chars().all(is_allowed) {
            return Err(UserNameError::BadCharacter);
        }
        if !text.chars().any(is_sign) {
            return Err(UserNameError::NoLetters);
        }
        if !has_few_marks(&text) {
            return Err(UserNameError::TooManyMarks);
        }
        if !is_of_one_script(&text) {
            return Err(UserNameError::MixedScripts);
        }
        let name = emoji::put_back(&text, &emoji);
        if name.len() > NAME_BYTES_MAX {
            return Err(UserNameError::TooLong);
        }
        Ok(Self(name.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, as shared bytes.
    pub(crate) fn shared(&self) -> Rc<str> {
        Rc::clone(&self.0)
    }

    /// The keys by which the name is compared, in order: at least one, at most three, no two the same.
    pub(crate) fn keys(&self) -> Vec<NameKey> {
        NameKey::all_of(&self.0)
    }
}

/// A name is not parsed once more when it is thawed: a later version may refuse some that an earlier one
/// took, and their owners stay.
impl Frost for UserName {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.0.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let text = from.text(NAME_BYTES_MAX)?;
        let is_name = !text.is_empty() && !text.contains(char::is_control);
        is_name.then(|| Self(text.into()))
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TypedName {
    /// Reads what was typed. It need not be a name: one that is copied badly, or that mixes scripts, still
    /// means the user whose name it looks like.
    pub(crate) fn read(typed: &str) -> Self {
        let (text, keys) = match UserName::parse(typed) {
            Ok(name) => (name.as_str().to_owned(), name.keys()),
            Err(UserNameError::NoLetters | UserNameError::TooLong | UserNameError::IsEmail) => {
                (String::new(), Vec::new())
            }
            Err(UserNameError::BadCharacter | UserNameError::MixedScripts | UserNameError::TooManyMarks) => {
                let text = words_of(typed);
                let keys = NameKey::all_of(&text);
                (text, keys)
            }
        };
        Self { text, keys }
    }

    /// Whether it can mean the user of this name, whose key it has. Keys have no punctuation, so without this
    /// `bob@`, a slip in an address, would mean Bob.
    pub(crate) fn may_mean(&self, name: &str) -> bool {
        name.contains('@') || !self.text.trim_start_matches('@').contains('@')
    }

    /// Whether it is this name as it is shown, in any case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.text.to_lowercase() == name.to_lowercase()
    }
}

/// The words of a name with single spaces between them, without any `@` in front that people are called by.
/// PRECIS knows spaces, but people also paste tabs and line ends.
fn words_of(typed: &str) -> String {
    let words = typed.split_whitespace().collect::<Vec<_>>().join(" ");
    words.trim_start_matches(|char: char| char.is_whitespace() || AT_SIGNS.contains(&char)).to_owned()
}

/// Whether a text has an email address in it, such as `<ada@example.org>`, `mailto:ada@example.org` or
/// `ada@example.org.`
fn has_email(text: &str) -> bool {
    let folded: String = text.chars().map(fold_full_width).collect();
    let ends = |char: char| char.is_ascii() && !char.is_ascii_alphanumeric() && !ADDRESS_SIGNS.contains(char);
    let parts = folded.split(|char: char| char.is_whitespace() || ends(char));
    parts.filter(|part| part.contains('@')).any(|part| {
        let bare = part.trim_matches(|char: char| !char.is_alphanumeric());
        Email::parse(part).is_some() || Email::parse(bare).is_some()
    })
}

impl NameKey {
    /// The keys of a name, or of a word that nobody may have for a name.
    pub(crate) fn all_of(name: &str) -> Vec<Self> {
        let upper = name.to_uppercase();
        // By way of upper case, or ß would not be ss.
        let lower = upper.to_lowercase();
        let mut keys: Vec<Self> = [name, &upper, &lower].map(Self::of).into();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The key of a name in the case in which it stands.
    fn of(name: &str) -> Self {
        let mut key = String::new();
        let mut base = Script::Common;
        let mut last = None;
        for char in name.chars() {
            // Joiners change how the letters around them connect, and are easy to overlook.
            if matches!(char, ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER) {
                continue;
            }
            if !is_mark(char) {
                base = if is_sign(char) { char.script() } else { Script::Common };
                if !is_spacing_modifier(char) {
                    key.extend(fold(char).chars().filter(|&char| is_kept(char, base)));
                }
            } else if !has_accents_only(base) && !is_optional_point(char) && last != Some(char) {
                // Whatever a significant mark becomes is kept: UTS 39 maps the anusvara, too, to a dot of no
                // script. The same mark twice is drawn in one place.
                key.push_str(&fold(char));
            }
            last = Some(char);
        }
        // A name of symbols that are dropped would otherwise be like any other such name.
        Self(if key.is_empty() { skeleton(name).collect() } else { key }.into())
    }
}

/// The fixed point of skeleton and case folding for one character. All names are folded one character at a
/// time: neither mapping looks at more.
fn fold(char: char) -> String {
    let mut folded = String::from(char);
    for _ in 0..FOLDS_MAX {
        let next = skeleton(&folded).flat_map(char::to_lowercase).flat_map(as_look_alike).collect();
        if folded == next {
            break;
        }
        folded = next;
    }
    folded
}

/// Look-alikes that UTS 39 leaves out.
fn as_look_alike(char: char) -> impl Iterator<Item = char> {
    let (first, second) = match char {
        '0' => ('o', None),
        '1' | 'i' => ('l', None),
        'w' => ('v', Some('v')),
        'd' => ('c', Some('l')),
        char => (char, None),
    };
    iter::once(first).chain(second)
}

/// Whether a character into which a letter of this script was folded belongs in a key.
fn is_kept(char: char, script: Script) -> bool {
    match char.general_category_group() {
        // The Hebrew yod looks like an apostrophe, and is a letter.
        GeneralCategoryGroup::Mark | GeneralCategoryGroup::Punctuation | GeneralCategoryGroup::Separator => {
            !has_accents_only(script)
        }
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number | GeneralCategoryGroup::Symbol => {
            !is_spacing_modifier(char)
        }
        // The skeleton knows newer characters than the table of categories.
        GeneralCategoryGroup::Other => true,
    }
}

/// Scripts whose marks are accents, which are too small to tell two names apart, and characters that take no
/// marks.
fn has_accents_only(script: Script) -> bool {
    matches!(
        script,
        Script::Latin
            | Script::Greek
            | Script::Cyrillic
            | Script::Common
            | Script::Inherited
            | Script::Han
            | Script::Hangul
            | Script::Bopomofo
    )
}

/// Points that readers of Hebrew, Arabic and Syriac do without: vowels, and the signs of recitation. The
/// marks that make another letter (hamza, small tah, three dots) are none of these.
fn is_optional_point(mark: char) -> bool {
    matches!(mark,
        '\u{591}'..='\u{5c7}'
        | '\u{610}'..='\u{614}' | '\u{616}'..='\u{61a}' | '\u{64b}'..='\u{653}' | '\u{656}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6da}' | '\u{6dc}' | '\u{6df}'..='\u{6e1}' | '\u{6e3}'..='\u{6ed}' | '\u{8d3}'..='\u{8ff}'
        | '\u{711}' | '\u{730}'..='\u{74a}')
}

/// Accents that stand by themselves, and tone letters: as small as accents, and as easy to overlook.
fn is_spacing_modifier(char: char) -> bool {
    char.general_category() == GeneralCategory::ModifierSymbol
        || matches!(char, '\u{2b0}'..='\u{2ff}' | '\u{a700}'..='\u{a71f}')
}

fn is_mark(char: char) -> bool {
    char.general_category_group() == GeneralCategoryGroup::Mark
}

/// Whether no letter is buried under marks, and no mark stands on what comes before the name.
fn has_few_marks(name: &str) -> bool {
    let mut marks = 0;
    for char in name.chars() {
        match char.general_category() {
            GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark => marks += 1,
            GeneralCategory::SpacingMark => {}
            _ => marks = 0,
        }
        if marks > NAME_MARKS_MAX {
            return false;
        }
    }
    !name.starts_with(is_mark)
}

/// Whether a character may be part of a name once PRECIS has allowed it: a space, a visible character that
/// Unicode knows, or a joiner. PRECIS has checked that joiners stand where Persian, Sinhala, Malayalam and
/// others need them (RFC 5892, appendices A.1 and A.2).
fn is_allowed(char: char) -> bool {
    match char {
        ' ' | ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER => true,
        // It stands for something that was lost.
        char::REPLACEMENT_CHARACTER => false,
        char => {
            is_visible(char)
                && !matches!(
                    char.general_category(),
                    GeneralCategory::PrivateUse | GeneralCategory::Unassigned
                )
        }
    }
}

/// Whether a character makes a name a name: not a space, not punctuation, not a mark on something else.
fn is_sign(char: char) -> bool {
    matches!(
        char.general_category_group(),
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number | GeneralCategoryGroup::Symbol
    )
}

/// Whether all letters are of one script, or Latin beside Han, kana or Hangul, as in "Highly Restrictive" of
/// UTS 39.
fn is_of_one_script(name: &str) -> bool {
    if !AugmentedScriptSet::for_str(name).is_empty() {
        return true;
    }
    let others: String = name.chars().filter(|char| char.script() != Script::Latin).collect();
    let set = AugmentedScriptSet::for_str(&others);
    set.hanb || set.jpan || set.kore
}

/// What an address may have beside letters and digits (RFC 5322, section 3.2.3), in ASCII.
const ADDRESS_SIGNS: &str = "@.!#$%&'*+-/=?^_`{|}~";
/// The at sign, and its full-width and small forms, which normalizing makes one.
const AT_SIGNS: [char; 3] = ['@', '\u{ff20}', '\u{fe6b}'];
const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Rounds of skeleton and case folding for one character. Two are enough for all of Unicode, and a third
/// finds nothing to do; a test tries every character.
const FOLDS_MAX: usize = 6;

/// A name as it is typed, in bytes: room for white space that is folded.
const TYPED_BYTES_MAX: usize = 4 * NAME_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashMap, HashSet};
    use std::ops::Range;

    fn collide(one: &str, other: &str) -> bool {
        let keys = NameKey::all_of(other);
        NameKey::all_of(one).iter().any(|key| keys.contains(key))
    }

    /// The page compares names by a simpler rule; its tests read the same table.
    #[test]
    fn the_page_and_the_server_agree_about_the_pairs_of_one_table() {
        let table = include_str!("../../tests/data/names.json");
        let pairs: Vec<(String, String, bool)> = serde_json::from_str(table).expect("a table");
        for (one, other, is_same) in pairs {
            assert_eq!(collide(one.trim(), other.trim()), is_same, "{one:?} {other:?}");
            if let (Ok(one), Ok(other)) = (UserName::parse(&one), UserName::parse(&other)) {
                assert_eq!(collide(one.as_str(), other.as_str()), is_same, "{one:?} {other:?} as shown");
            }
        }
    }

    #[test]
    fn what_is_typed_means_a_name_that_it_looks_like_but_no_slip_in_an_address_does() {
        let rows = [
            ("bob", "Bob", true),
            ("@BOB", "Bob", true),
            ("＠bob", "Bob", true),
            ("bob,", "Bob", true),
            ("b\u{43e}b", "Bob", true),
            ("bobby", "Bob", false),
            (" bob\r\nsmith ", "Bob Smith", true),
            ("bob@", "Bob", false),
            ("@bob@", "Bob", false),
            ("bob@example", "Bob Example", false),
            ("bob＠example", "Bob Example", false),
            ("bob@example.org", "Bob@Example.org.", false),
            ("b\u{43e}b@", "Bob", false),
            ("Ada@home", "ada@home", true),
            ("", "Bob", false),
            ("@", "Bob", false),
            ("...", "Bob", false),
        ];
        for (typed, name, is_meant) in rows {
            let typed_name = TypedName::read(typed);
            let keys = NameKey::all_of(name);
            let shares_key = typed_name.keys.iter().any(|key| keys.contains(key));
            assert_eq!(shares_key && typed_name.may_mean(name), is_meant, "{typed:?} {name:?}");
        }
        assert!(TypedName::read("@example.ORG").is("Example.org"));
        assert!(!TypedName::read("@example.org").is("Example Org"));
        assert!(TypedName::read(&"x ".repeat(1 << 15)).keys.is_empty());
    }

    #[test]
    fn what_is_a_name() {
        let long = "ü".repeat(60);
        let as_typed: [&[&str]; 4] = [
            &["ada", "José", "李雷", "Зоя", "O'Brien", "ada42", "Gr@ce", "ada@home", "<b>", &long],
            // Latin beside Han, kana and Hangul.
            &["Ken 健", "Yuki ゆき", "Min 민"],
            &["ada 🐙", "ada 🦉", "🦉", "👩🏾\u{200d}🚀 Zoë", "❤\u{fe0f}"],
            // Persian, Sinhala and Malayalam write with joiners.
            &["علی\u{200c}رضا", "ශ්\u{200d}රී", "അവന്\u{200d}", "क्\u{200c}ष"],
        ];
        let otherwise = [
            ("  Ada \t  Lovelace ", "Ada Lovelace"),
            ("Jose\u{301}", "José"),
            ("@Grace", "Grace"),
            ("@@Grace", "Grace"),
            ("\u{ff20}Grace", "Grace"),
            ("\u{fe6b} @\u{ff20}Grace", "Grace"),
            ("ａｄａ", "ada"),
        ];
        let as_typed = as_typed.concat().into_iter().map(|name| (name, name));
        for (typed, expected) in as_typed.chain(otherwise) {
            let parsed = UserName::parse(typed);
            assert_eq!(parsed.as_ref().map(UserName::as_str), Ok(expected), "{typed:?}");
        }
    }

    #[test]
    fn a_refused_name_has_a_reason() {
        let long = "ü".repeat(60) + "x";
        let rows: [(UserNameError, &[&str]); 8] = [
            (UserNameError::NoLetters, &["", "...", "@", " @ ", " \u{3000} "]),
            (UserNameError::TooLong, &[&"x".repeat(121), &long]),
            (
                UserNameError::BadCharacter,
                &["a\u{0}b", "a\u{1b}[31m", "\u{e000}", "\u{1e900}da", "a\u{200b}da", "ada\u{fe0f}"],
            ),
            // Joiners where no letter needs them.
            (UserNameError::BadCharacter, &["a\u{200c}b", "a\u{200d}b", "علی\u{200c}", "🐙\u{200d}🐙"]),
            (UserNameError::MixedScripts, &["plumebоt", "Зoя", "αda", "Зоя健"]),
            (UserNameError::TooManyMarks, &["Zoë\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}"]),
            (
                UserNameError::IsEmail,
                &["ada@example.org", "@ada@example.org", "ada@münchen.de", "mailto:ada@example.org"],
            ),
            (
                UserNameError::IsEmail,
                &[
                    "<ada@example.org>",
                    "Ada <ada@example.org>",
                    "Ada (ada+chat@example.org)",
                    "ada@example.org.",
                    "x[ada@example.org]",
                    "'ada@example.org'",
                    "「ada@example.org」",
                    "ada@example.org\u{200b}.",
                    "＜ａｄａ＠ｅｘａｍｐｌｅ．ｏｒｇ＞",
                    "ada\u{fe6b}example.org",
                ],
            ),
        ];
        for (error, refused) in rows {
            for typed in refused {
                assert_eq!(UserName::parse(typed), Err(error), "{typed:?}");
            }
        }
    }

    #[test]
    fn what_is_drawn_as_nothing_is_in_no_name() {
        let invisible = "\u{2800}\u{1d159}\u{3164}\u{ffa0}\u{115f}\u{1160}\u{34f}\u{17b4}\u{180b}\u{180e}\u{fe0f}\u{e0100}\
                         \u{2061}\u{fffc}\u{13441}\u{16fe4}\u{2d7f}\u{202e}\u{200b}\u{2066}\u{ad}\u{feff}";
        let typed = |char| [format!("{char}"), format!("Ada{char}"), format!("A{char}da")];
        for typed in invisible.chars().flat_map(typed).chain(["محـمد".to_owned()]) {
            assert_eq!(UserName::parse(&typed), Err(UserNameError::BadCharacter), "{typed:?}");
        }
    }

    #[test]
    fn a_letter_bears_as_many_marks_as_a_language_needs() {
        let rows = [
            ("Nguyễn Thị Hằng", Some("Nguyễn Thị Hằng")),
            ("Nguye\u{302}\u{303}n", Some("Nguyễn")),
            ("שָׁלוֹם", Some("שָׁלוֹם")),
            ("מִרְיָם", Some("מִרְיָם")),
            ("مُحَمَّد", Some("مُحَمَّد")),
            ("กุ้งน้ำ", Some("กุ\u{e49}งน\u{e49}\u{e4d}า")),
            ("བསྒྲུབས", Some("བསྒྲུབས")),
            ("ཧཱུྃ", Some("ཧཱུྃ")),
            ("လျှို့", Some("လျှို့")),
            ("Zoë\u{301}\u{302}\u{303}\u{304}\u{305}", Some("Zoë\u{301}\u{302}\u{303}\u{304}\u{305}")),
            ("Zoë\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}", None),
            (&format!("a{}", "\u{334}".repeat(50)), None),
            ("\u{301}ada", None),
            ("\u{20dd}", None),
        ];
        for (typed, expected) in rows {
            let parsed = UserName::parse(typed).ok();
            assert_eq!(parsed.as_ref().map(UserName::as_str), expected, "{typed:?}");
        }
    }

    #[test]
    fn what_a_name_is_made_of_is_bounded_before_it_is_normalized() {
        assert_eq!(UserName::parse(&" ".repeat(TYPED_BYTES_MAX)), Err(UserNameError::NoLetters));
        let padded = format!("ada{}", " ".repeat(TYPED_BYTES_MAX - 3));
        assert!(UserName::parse(&padded).is_ok());
        assert_eq!(UserName::parse(&format!("{padded} ")), Err(UserNameError::TooLong));
        // One character becomes eighteen.
        assert_eq!(UserName::parse(&"\u{fdfa}".repeat(40)), Err(UserNameError::TooLong));
    }

    #[test]
    fn look_alikes_have_one_key() {
        // Each collides with the first of its row.
        let alike: [&[&str]; 30] = [
            &["plumebot", "PlumeBot", "plume bot", "p1umeb0t", "pIumebot", "plume-bot."],
            &["plumebot", "plum\u{435}bot", "ꓑꓡꓴꓟꓰꓐꓳꓔ"],
            &["William", "VVilliam"],
            &["Ian", "Lan"],
            &["Straße", "STRASSE"],
            &["ΟΔΥΣΣΕΥΣ", "οδυσσευσ"],
            &["οδυσσευς", "οδυσσευσ"],
            &["admin", "ADM1N", "aclmin", "ꓮꓓꓟꓲꓠ"],
            &["ada", "а\u{501}а"],
            &["rnary", "mary"],
            &["system", "ꓢꓬꓢꓔꓰꓟ"],
            &["here", "ᎻᎬᎡᎬ"],
            &["Bob", "ВОВ"],
            &["Tom", "ТОМ"],
            &["Kate", "КАТЕ", "ΚΑΤΕ"],
            // The same name in another case looks like Bob.
            &["bob", "вов"],
            &["вов", "ВОВ"],
            &["José", "Jose"],
            &["Ada", "Ada\u{301}\u{302}", "Ada\u{1d165}", "Ada˙", "Adaˈ", "Ada`"],
            &["محمد", "مُحَمَّد"],
            &["שלום", "שָׁלוֹם"],
            // Composed, or a letter and what makes it another one.
            &["ش", "س\u{6db}"],
            &["が", "か\u{3099}"],
            &["आशा", "अ\u{93e}शा"],
            &["ดุ", "ดุุ"],
            &["علیرضا", "علی\u{200c}رضا"],
            &["ශ්රී", "ශ්\u{200d}රී"],
            &["❤", "❤\u{fe0f}"],
            &["ada 👍", "ada 👍🏽"],
            &["👩🚀", "👩\u{200d}🚀"],
        ];
        for row in alike {
            for other in row {
                assert!(collide(row[0], other), "{} {other}", row[0]);
            }
        }
    }

    #[test]
    fn different_names_have_different_keys() {
        let names = [
            &["ada", "adam", "José", "Josef", "李雷", "韩梅梅", "Зоя", "Зоe", "bob", "rob"][..],
            &["はは", "ばば", "ぱぱ", "Nina", "Viva", "ada5", "adas"],
            &["राम", "रीमा", "रोमी", "रमा", "रूमी", "रामं"],
            &["রীমা", "রুমা", "மாலா", "மீலா", "ดี", "ดู", "ਰੀਨਾ", "ਰੋਨਾ"],
            &["ކިޔާ", "ކަޔާ", "شام", "سام", "پری", "یری", "דני", "דן"],
            &["🐙", "🐢", "🦉", "🦅", "👩\u{200d}🚀", "👨\u{200d}🚀"],
        ]
        .concat();
        for (place, one) in names.iter().enumerate() {
            for other in &names[..place] {
                assert!(!collide(one, other), "{one} {other}");
            }
        }
    }

    #[test]
    fn folding_ends_at_a_fixed_point_for_every_character() {
        for char in char::MIN..=LAST_LETTER {
            let folded = fold(char);
            let again: String = folded.chars().map(fold).collect();
            assert_eq!(folded, again, "{char:?}");
        }
    }

    #[test]
    fn every_confusable_of_a_name_shares_a_key_with_it() {
        let looks = Looks::of_all_characters();
        let mut remaining = Vec::new();
        let mut accepted = 0;
        for name in NAMES {
            let keys = NameKey::all_of(name);
            for typed in looks.with_one_or_two(name).chain(looks.in_other_scripts(name)) {
                let Ok(parsed) = UserName::parse(&typed) else { continue };
                accepted += 1;
                let is_alike = parsed.keys().iter().any(|key| keys.contains(key));
                let is_known = typed.contains(SHOWN_OTHERWISE) || is_like_mixed_case(&parsed, name);
                if !is_alike && !is_known {
                    remaining.push(typed);
                }
            }
        }
        assert!(accepted > 5_000, "only {accepted} were names at all");
        assert!(
            remaining.is_empty(),
            "{} of {accepted}: {:?}",
            remaining.len(),
            &remaining[..remaining.len().min(50)]
        );
    }

    /// The reserved names, and ten usual ones.
    const NAMES: [&str; 17] = [
        "plumebot",
        "admin",
        "moderator",
        "system",
        "root",
        "everyone",
        "here",
        "Ada",
        "Bob",
        "Tom",
        "Kate",
        "William",
        "Maria",
        "Jose",
        "Иван",
        "Νίκος",
        "Jack",
    ];

    /// Characters of the table that normalizing replaces by others before a name is shown, so that it no
    /// longer looks alike.
    const SHOWN_OTHERWISE: [char; 3] = ['\u{fe31}', '\u{3f2}', '\u{3f9}'];

    /// Whether this looks like a form of the name in mixed cases, which its owner never shows: `ᴎBAʜ` is like
    /// `ИВАн`.
    fn is_like_mixed_case(typed: &UserName, name: &str) -> bool {
        let key = NameKey::of(typed.as_str());
        (0_u32..1 << name.chars().count()).any(|capitals| {
            let form = |(at, char): (usize, char)| match capitals >> at & 1 {
                0 => char.to_lowercase().to_string(),
                _ => char.to_uppercase().to_string(),
            };
            NameKey::of(&name.chars().enumerate().map(form).collect::<String>()) == key
        })
    }

    /// Behind it, Unicode has invisible characters and those for private use, and no name may hold either.
    const LAST_LETTER: char = '\u{3ffff}';

    /// All characters by their skeletons.
    struct Looks(HashMap<String, Vec<char>>);

    impl Looks {
        fn of_all_characters() -> Self {
            let mut looks: HashMap<String, Vec<char>> = HashMap::new();
            for char in char::MIN..=LAST_LETTER {
                looks.entry(skeleton(&char.to_string()).collect()).or_default().push(char);
            }
            Self(looks)
        }

        /// The characters that look like these letters in lower or in upper case.
        fn like(&self, letters: &str) -> BTreeSet<char> {
            let forms = [letters.to_owned(), letters.to_lowercase(), letters.to_uppercase()];
            let found = forms.iter().filter_map(|form| self.0.get(&skeleton(form).collect::<String>()));
            found.flatten().copied().collect()
        }

        /// Where a name can be changed: ranges of one to three letters, and the single characters that look
        /// like them. Only those that leave a name: where one substitution is refused, a second does not make
        /// it good, for there are letters left.
        fn places(&self, name: &str) -> Vec<(Range<usize>, String)> {
            let at: Vec<usize> = name.char_indices().map(|(at, _)| at).chain([name.len()]).collect();
            let mut places = Vec::new();
            let mut seen = BTreeSet::new();
            for length in 1..=3 {
                for ends in at.windows(length + 1) {
                    let range = ends[0]..ends[length];
                    for char in self.like(&name[range.clone()]) {
                        let mut typed = name.to_owned();
                        typed.replace_range(range.clone(), &char.to_string());
                        // What normalizing makes the same, such as ａ and a, is tried once.
                        let parsed = UserName::parse(&typed);
                        if parsed.is_ok_and(|parsed| seen.insert((range.start, parsed.as_str().to_owned()))) {
                            places.push((range.clone(), char.to_string()));
                        }
                    }
                }
            }
            places
        }

        fn with_one_or_two(&self, name: &str) -> impl Iterator<Item = String> {
            let places = self.places(name);
            let mut typed = Vec::new();
            for (number, (first, one)) in places.iter().enumerate() {
                let changed = format!("{}{one}{}", &name[..first.start], &name[first.end..]);
                typed.push(changed);
                for (second, other) in
                    places[number + 1..].iter().filter(|(second, _)| second.start >= first.end)
                {
                    let between = &name[first.end..second.start];
                    typed.push(format!(
                        "{}{one}{between}{other}{}",
                        &name[..first.start],
                        &name[second.end..]
                    ));
                }
            }
            typed.into_iter()
        }

        /// The name with each letter from one other script, for scripts that have them all: each look-alike
        /// at least once.
        fn in_other_scripts(&self, name: &str) -> impl Iterator<Item = String> {
            let letters: Vec<BTreeSet<char>> =
                name.chars().map(|char| self.like(&char.to_string())).collect();
            let scripts: HashSet<Script> = letters.iter().flatten().map(UnicodeScript::script).collect();
            let mut typed = Vec::new();
            for script in scripts {
                let of_script = |set: &BTreeSet<char>| {
                    set.iter().copied().filter(|char| char.script() == script).collect::<Vec<char>>()
                };
                let columns: Vec<Vec<char>> = letters.iter().map(of_script).collect();
                if columns.iter().all(|column| !column.is_empty()) {
                    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
                    typed.extend((0..rows).map(|row| {
                        columns.iter().map(|column| column[row % column.len()]).collect::<String>()
                    }));
                }
            }
            typed.into_iter()
        }
    }
}
