//! The skeleton of a text (UTS 39, section 4), by which texts that look alike are compared. The data are
//! those of `unicode-security`, which `build.rs` writes into tables without pointers: in its own, each letter
//! has one, which the loader must relocate, so that 160 KiB are resident from the start on.

use std::iter;
use unicode_normalization::UnicodeNormalization;

/// Written by `build.rs`. All letters are decomposed ones.
struct Tables {
    /// Letters that have a prototype, in order.
    letters: &'static [char],
    /// Where the prototype of each letter ends in [`Self::prototypes`]; it begins where the one before ends.
    ends: &'static [u16],
    prototypes: &'static str,
    /// First and last of each run of default-ignorable code points.
    ignorable: &'static [(char, char)],
}

const TABLES: Tables = include!(concat!(env!("OUT_DIR"), "/skeleton.rs"));

/// The skeleton of a text.
pub(crate) fn skeleton(text: &str) -> impl Iterator<Item = char> {
    text.nfd().filter(|&char| !is_ignorable(char)).flat_map(prototype).nfd()
}

/// Default-ignorable code points (Unicode, section 5.21): fillers, joiners, variation selectors.
pub(crate) fn is_ignorable(char: char) -> bool {
    TABLES.ignorable.iter().any(|&(first, last)| (first..=last).contains(&char))
}

/// What a letter looks like, or the letter itself.
fn prototype(char: char) -> impl Iterator<Item = char> {
    let end = |place: usize| TABLES.ends.get(place).copied().map_or(0, usize::from);
    let found = TABLES.letters.binary_search(&char).ok();
    let text = found.and_then(|place| {
        let start = place.checked_sub(1).map_or(0, end);
        TABLES.prototypes.get(start..end(place))
    });
    let own = if text.is_none() { Some(char) } else { None };
    iter::chain(own, text.unwrap_or_default().chars())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_character_has_the_skeleton_of_the_crate() {
        for char in '\0'..=char::MAX {
            let text = char.to_string();
            assert!(skeleton(&text).eq(unicode_security::skeleton(&text)), "{char:?}");
            assert_eq!(is_ignorable(char), unicode_security::skeleton(&text).next().is_none(), "{char:?}");
        }
    }

    proptest! {
        #[test]
        fn each_text_has_the_skeleton_of_the_crate(text: String) {
            let expected: String = unicode_security::skeleton(&text).collect();
            prop_assert_eq!(skeleton(&text).collect::<String>(), expected);
        }
    }
}
