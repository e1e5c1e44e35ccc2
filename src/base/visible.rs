//! Which characters a person can see, by their Unicode properties.

use super::skeleton::is_ignorable;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Whether a text has a character that is drawn as something.
pub(crate) fn has_visible(text: &str) -> bool {
    // Most texts begin with a letter, for which no table is needed.
    text.chars().any(|char| char.is_ascii_graphic() || is_visible(char))
}

/// Whether a line shows something as the page draws it: an act (`/me waves`) is drawn without its command,
/// and code without the backticks around it.
pub(crate) fn shows_something(line: &str) -> bool {
    let shown = line.strip_prefix("/me ").unwrap_or(line);
    let code = trim_invisible(shown).trim_matches('`');
    // Backticks with nothing between them are no code.
    if code.is_empty() { has_visible(shown) } else { has_visible(&code.replace('`', "")) }
}

/// Whether a character is drawn as something. One that Unicode does not know yet may be.
pub(crate) fn is_visible(char: char) -> bool {
    let is_blank = matches!(
        char.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::SpaceSeparator
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    !is_blank && !is_ignorable(char) && !BLANKS.contains(&char)
}

/// The text without the spaces, zero-width spaces and marks of direction around it that come with pasted
/// text. Control characters other than white space stay: they are no accident.
pub(crate) fn trim_invisible(text: &str) -> &str {
    text.trim_matches(is_pasted_along)
}

/// Whether a character takes space or none, and says nothing: white space, a format character, a filler.
pub(crate) fn is_pasted_along(char: char) -> bool {
    char.is_whitespace() || (!char.is_control() && !is_visible(char))
}

/// Full-width forms of ASCII (U+FF01 to U+FF5E) as ASCII, and the ideographic space as a space: what an East
/// Asian keyboard enters in place of them.
pub(crate) fn fold_full_width(char: char) -> char {
    match char {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(char) - 0xfee0).unwrap_or(char),
        '\u{3000}' => ' ',
        char => char,
    }
}

/// Characters that have a category like visible ones and are drawn as nothing, or as a place for something
/// that is not there.
const BLANKS: [char; 7] = [
    '\u{2800}',  // BRAILLE PATTERN BLANK
    '\u{2d7f}',  // TIFINAGH CONSONANT JOINER
    '\u{fffc}',  // OBJECT REPLACEMENT CHARACTER
    '\u{1107f}', // BRAHMI NUMBER JOINER
    '\u{13441}', // EGYPTIAN HIEROGLYPH FULL BLANK
    '\u{13442}', // EGYPTIAN HIEROGLYPH HALF BLANK
    '\u{1d159}', // MUSICAL SYMBOL NULL NOTEHEAD
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_visible_if_one_character_is() {
        for text in ["a", " \u{200b}a", "\u{301}", "\u{2764}\u{fe0f}", "請", "🦉", "\u{1fae9}"] {
            assert!(has_visible(text), "{text:?}");
        }
        for text in [
            "",
            " \t\r\n",
            "\u{0}\u{7f}\u{9f}\u{1b}",
            "\u{a0}\u{2003}\u{3000}\u{1680}\u{2028}\u{2029}\u{2800}",
            "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{34f}\u{61c}\u{200e}\u{202e}\u{2066}",
            "\u{115f}\u{1160}\u{3164}\u{ffa0}\u{17b4}\u{17b5}\u{180b}\u{180e}",
            "\u{fe0f}\u{e0100}\u{e0041}\u{fff9}\u{fffa}\u{fffb}\u{fffc}\u{1bca0}\u{1d159}\u{1d173}",
        ] {
            assert!(!has_visible(text), "{text:?}");
        }
    }

    #[test]
    fn an_act_or_code_shows_something_if_its_text_does() {
        let shown = ["hello", "/me waves", "/me", "/me \n. left", "/mew", "`", "```", "/me `", "` x `"];
        for line in shown.into_iter().chain(["\u{200b}`\u{200b}x`"]) {
            assert!(shows_something(line), "{line:?}");
        }
        let acts = ["/me ", "/me \u{200b}", "/me \n\u{2800}", "/me `\u{200b}`"];
        let code = ["`\u{200b}`", "``` ```", "```\n\u{200b}\n```", " ``\u{3164}`` `\u{ad}`"];
        for line in acts.into_iter().chain(code).chain(["\u{200b}", ""]) {
            assert!(!shows_something(line), "{line:?}");
        }
    }

    /// The page decides by the same table.
    #[test]
    fn the_page_and_the_server_agree_about_lines_that_nobody_sees() {
        let table = include_str!("../../tests/data/lines.json");
        let rows: Vec<(String, bool)> = serde_json::from_str(table).unwrap();
        assert!(rows.len() > 10);
        for (text, expected) in rows {
            assert_eq!(shows_something(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn invisible_characters_are_trimmed_and_full_width_ones_folded() {
        assert_eq!(trim_invisible("\u{feff}\u{a0} a\u{200b}b\u{200e}\u{202c}\n"), "a\u{200b}b");
        assert_eq!(trim_invisible("\u{200b}"), "");
        assert_eq!(trim_invisible("a\u{0}"), "a\u{0}");
        let folded: String = "ａＺ０＠．～\u{3000}ü。".chars().map(fold_full_width).collect();
        assert_eq!(folded, "aZ0@.~ ü。");
    }
}
