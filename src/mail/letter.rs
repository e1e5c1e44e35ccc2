//! The words of the login email. Pure functions of the site's name and the email's data.

use crate::login_email::Mail;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

pub(super) fn subject(mail: &Mail) -> String {
    format!("Your Plume login code: {}", mail.code)
}

/// The code comes first, alone on its line. The rest is our own text except for the name, which anyone may
/// have chosen. No other word is as long as a code, so that the page finds the code in the whole email when
/// it is pasted.
pub(super) fn plain_text(site_name: &str, mail: &Mail) -> String {
    let code = &mail.code;
    let asked_for =
        shown_name(&mail.name).map_or_else(String::new, |name| format!("\nName given: \"{name}\"\n"));
    format!(
        "Your login code for {site_name}:\n\n    \
         {code}\n\n\
         Enter it on the page where you asked for it.\n\n\
         If you did not ask for a code, you need do nothing: without it no one can log in.\n\
         {asked_for}"
    )
}

pub(super) fn html_text(site_name: &str, mail: &Mail) -> String {
    let (site_name, code) = (escaped(site_name), escaped(&mail.code));
    let asked_for = shown_name(&mail.name)
        .map_or_else(String::new, |name| format!("<p>Name given: &quot;{}&quot;</p>\n", escaped(&name)));
    format!(
        "<p>Your login code for {site_name}:</p>\n\
         <p style=\"font: bold 2em monospace\">{code}</p>\n\
         <p>Enter it on the page where you asked for it.</p>\n\
         <p>If you did not ask for a code, you need do nothing: without it no one can log in.</p>\n\
         {asked_for}"
    )
}

/// The name as the email may show it: as data, with nothing that a mail client turns into a link, since
/// anyone can request an email to any address. Characters that join the parts of an address become spaces:
/// `.`, `:`, `/`, `@`, their look-alikes such as the Chinese full stop, which is valid in domain names, and
/// all other punctuation but a few marks. A name is omitted if it has as many digits as a telephone number,
/// is too long for a line, or has no characters left.
fn shown_name(name: &str) -> Option<String> {
    let digits = name.chars().filter(|char| char.is_numeric()).count();
    let spaced: String = name.chars().map(|char| if is_shown(char) { char } else { ' ' }).collect();
    let shown = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_short = shown.chars().count() <= SHOWN_NAME_CHARS_MAX;
    (is_short && digits < PHONE_DIGITS_MIN && !shown.is_empty()).then_some(shown)
}

fn is_shown(char: char) -> bool {
    match char.general_category_group() {
        GeneralCategoryGroup::Letter
        | GeneralCategoryGroup::Mark
        | GeneralCategoryGroup::Number
        | GeneralCategoryGroup::Symbol => true,
        GeneralCategoryGroup::Punctuation => HARMLESS_PUNCTUATION.contains(char),
        GeneralCategoryGroup::Separator | GeneralCategoryGroup::Other => false,
    }
}

/// Escapes text for HTML, including quoted attribute values.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(char),
        }
    }
    html
}

/// Longest name that the email shows, in characters: most names are shorter, and most sentences longer.
const SHOWN_NAME_CHARS_MAX: usize = 40;
/// Fewest digits that could be a telephone number, which some mail clients turn into a link.
const PHONE_DIGITS_MIN: usize = 5;
/// Punctuation used in names, and marks with a meaning in HTML, which are escaped there.
const HARMLESS_PUNCTUATION: &str = "&'-,!()\u{2019}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MailId;

    fn mail(name: &str) -> Mail {
        let (to, code) = ("zoe@example.org".to_owned(), "7KQ2ZD".to_owned());
        Mail { id: MailId(1), to, name: name.to_owned(), code }
    }

    #[test]
    fn a_name_is_shown_only_as_data_with_nothing_to_link() {
        let rows = [
            ("Ada Lovelace", Some("Ada Lovelace")),
            ("O'Brien", Some("O'Brien")),
            ("Зоя-Мария", Some("Зоя-Мария")),
            ("राम", Some("राम")),
            ("Ken 健 🐙", Some("Ken 健 🐙")),
            ("ada42", Some("ada42")),
            ("J. R. Smith", Some("J R Smith")),
            ("evil.example", Some("evil example")),
            ("www.evil.example/path?x=1#y", Some("www evil example path x=1 y")),
            ("https://evil.example", Some("https evil example")),
            ("mailto:eve@evil.example", Some("mailto eve evil example")),
            ("eve@evil.example", Some("eve evil example")),
            ("evil\u{3002}example", Some("evil example")),
            ("evil\u{ff0e}example\u{ff0f}x\u{ff1a}\u{ff20}", Some("evil example x")),
            ("evil\u{2024}example\u{2026}x\u{fe52}y\u{ff61}z", Some("evil example x y z")),
            ("\\\\evil\\share", Some("evil share")),
            ("javascript:alert(1)", Some("javascript alert(1)")),
            ("say \"hi\"", Some("say hi")),
            ("+1 555 0100", None),
            ("0800-FLOWERS", Some("0800-FLOWERS")),
            ("\u{664}\u{665}\u{666}\u{667}\u{668}", None),
            ("You have won a prize, come and get it now", None),
            ("...", None),
            ("ABCDEF\nABCDEF", Some("ABCDEF ABCDEF")),
        ];
        for (name, expected) in rows {
            let shown = shown_name(name);
            assert_eq!(shown.as_deref(), expected, "{name:?}");
            let mail = mail(name);
            for (kind, letter) in [("text", plain_text("Plume", &mail)), ("html", html_text("Plume", &mail))]
            {
                let (before, after) = letter.split_once("7KQ2ZD").expect("the code");
                assert!(before.contains("Plume"), "{kind}: {letter}");
                assert!(expected.is_none_or(|name| !before.contains(name)), "the code comes first: {letter}");
                assert_eq!(after.contains("Name given"), expected.is_some(), "{kind}: {letter}");
                let lines = letter.lines().map(str::trim);
                let alone = lines.filter(|line| line.len() == 6 && line.chars().all(char::is_alphanumeric));
                assert_eq!(alone.count(), usize::from(kind == "text"), "one word stands alone: {letter}");
                let after = after.replace("</p>", "").replace("alert(1)", "");
                for linked in ["://", "www.", "@", "/", "\\", "mailto:", "evil.", "\u{3002}", "javascript:"] {
                    assert!(!after.contains(linked), "{linked}: {letter}");
                }
            }
        }
    }
}
