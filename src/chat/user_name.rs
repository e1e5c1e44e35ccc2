//! What is a name, and when two names look alike.
//!
//! What is shown has the form of RFC 8266 (PRECIS Nickname). What is compared is a key that look-alikes share: the skeleton of
//! UTS 39, which knows that a Cyrillic о looks like an o, and then what it leaves out: 0 and o, 1 and l and i, vv and w, spaces
//! and punctuation. That Ian and Lan collide is the price.

use crate::base::limits::NAME_BYTES_MAX;
use precis_profiles::Nickname;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use std::fmt;
use std::rc::Rc;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};
use unicode_security::mixed_script::AugmentedScriptSet;
use unicode_security::skeleton;

/// A name as it is shown: trimmed, inner white space folded, of bounded length, in one script, with nothing in it that is not
/// seen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName(Rc<str>);

/// How names are compared: look-alikes have the same key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameKey(Box<str>);

impl UserName {
    /// Reads a name as somebody typed it. `None`: it is none.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        // Normalizing can make a text some times longer, but not without end (Unicode, Standard Annex 15); so bound it first.
        if typed.len() > TYPED_BYTES_MAX {
            return None;
        }
        // PRECIS knows spaces, but people also paste tabs and line ends.
        let words: Vec<&str> = typed.split_whitespace().collect();
        let name = Nickname::enforce(words.join(" ")).ok()?;
        let is_name = name.len() <= NAME_BYTES_MAX
            && name.chars().all(is_seen)
            && name.chars().any(is_sign)
            && is_of_one_script(&name);
        is_name.then(|| Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the name is compared by.
    #[must_use]
    pub fn key(&self) -> NameKey {
        NameKey::of(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl NameKey {
    /// The key of a name, or of what nobody may be called.
    #[must_use]
    pub fn of(name: &str) -> Self {
        // Lower case first, for the skeleton of I is l and that of i is i; by way of upper case, or ß would not be ss nor ς be σ.
        let folded = name.to_uppercase().to_lowercase();
        // And lower case once more, for skeletons have capitals.
        let alike: String = skeleton(&folded).collect();
        let letters: String =
            alike.to_lowercase().chars().filter(|&char| is_sign(char)).map(digit_as_letter).collect();
        let key = letters.replace("vv", "w");
        // A name of punctuation alone would otherwise be like any other such name.
        Self(if key.is_empty() { alike } else { key }.into())
    }
}

/// Whether a character of a name can be seen. Format characters include those that turn the direction of text.
fn is_seen(char: char) -> bool {
    !matches!(
        char.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
    )
}

/// Whether a character makes a name a name: not a space, not punctuation, not a mark on something else.
fn is_sign(char: char) -> bool {
    matches!(
        char.general_category_group(),
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number | GeneralCategoryGroup::Symbol
    )
}

/// Whether all letters are of one script, or Latin beside Han, kana or Hangul, as in "Highly Restrictive" of UTS 39.
fn is_of_one_script(name: &str) -> bool {
    if !AugmentedScriptSet::for_str(name).is_empty() {
        return true;
    }
    let others: String = name.chars().filter(|char| char.script() != Script::Latin).collect();
    let set = AugmentedScriptSet::for_str(&others);
    set.hanb || set.jpan || set.kore
}

fn digit_as_letter(char: char) -> char {
    match char {
        '0' => 'o',
        '1' | 'i' => 'l',
        char => char,
    }
}

/// What somebody may type for a name, in bytes: room for white space that is folded.
const TYPED_BYTES_MAX: usize = 4 * NAME_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_name() {
        let long = "ü".repeat(60);
        let rows = [
            ("ada", Some("ada")),
            ("  Ada \t  Lovelace ", Some("Ada Lovelace")),
            ("José", Some("José")),
            ("Jose\u{301}", Some("José")),
            ("李雷", Some("李雷")),
            ("Зоя", Some("Зоя")),
            ("O'Brien", Some("O'Brien")),
            ("ada42", Some("ada42")),
            ("Ken 健", Some("Ken 健")),
            ("Yuki ゆき", Some("Yuki ゆき")),
            ("Min 민", Some("Min 민")),
            ("ada 🐙", Some("ada 🐙")),
            // PRECIS is made of Unicode 6.3, which has no owl.
            ("ada 🦉", None),
            ("ａｄａ", Some("ada")),
            ("<b>", Some("<b>")),
            (&long, Some(&*long)),
            (&format!("{long}x"), None),
            ("", None),
            ("...", None),
            (" \u{3000} ", None),
            ("a\u{0}b", None),
            ("a\u{1b}[31m", None),
            ("a\u{202e}b", None),
            ("a\u{200b}b", None),
            ("a\u{2066}b", None),
            ("a\u{ad}b", None),
            ("a\u{feff}b", None),
            ("\u{e000}", None),
            ("plumebоt", None),
            ("Зoя", None),
            ("αda", None),
            ("Зоя健", None),
        ];
        for (typed, expected) in rows {
            let parsed = UserName::parse(typed);
            assert_eq!(parsed.as_ref().map(UserName::as_str), expected, "{typed:?}");
        }
    }

    #[test]
    fn what_a_name_is_made_of_is_bounded_before_it_is_normalized() {
        assert_eq!(UserName::parse(&" ".repeat(TYPED_BYTES_MAX)), None);
        let padded = format!("ada{}", " ".repeat(TYPED_BYTES_MAX - 3));
        assert!(UserName::parse(&padded).is_some());
        assert!(UserName::parse(&format!("{padded} ")).is_none());
        // One character becomes eighteen.
        assert!(UserName::parse(&"\u{fdfa}".repeat(40)).is_none());
    }

    #[test]
    fn look_alikes_have_one_key() {
        let alike = [
            ("plumebot", "PlumeBot"),
            ("plumebot", "plume bot"),
            ("plumebot", "p1umeb0t"),
            ("plumebot", "pIumebot"),
            ("plumebot", "plume-bot."),
            ("plumebot", "plum\u{435}bot"),
            ("William", "VVilliam"),
            ("Ian", "Lan"),
            ("Straße", "STRASSE"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
            ("οδυσσευς", "οδυσσευσ"),
            ("admin", "ADM1N"),
            ("ada", "а\u{501}а"),
            ("rnary", "mary"),
        ];
        for (one, other) in alike {
            assert_eq!(NameKey::of(one), NameKey::of(other), "{one} {other}");
        }
        let unlike = [
            ("ada", "adam"),
            ("José", "Josef"),
            ("李雷", "韩梅梅"),
            ("Зоя", "Зоe"),
            ("bob", "rob"),
            ("🐙", "🐢"),
        ];
        for (one, other) in unlike {
            assert_ne!(NameKey::of(one), NameKey::of(other), "{one} {other}");
        }
    }
}
