//! The form of an email: header fields (RFC 5322), encoded words (RFC 2047), and its text twice, plain and as
//! HTML (RFC 2046). All of it is ASCII, except for a recipient's address that is not. A pure function of its
//! fields.

use crate::base::utc::Utc;
use crate::config::Sender;
use data_encoding::{BASE64, BASE64_MIME};
use std::fmt::Write as _;

pub(super) struct Message<'a> {
    pub(super) from: &'a Sender,
    /// A bare address.
    pub(super) to: &'a str,
    /// One line.
    pub(super) subject: &'a str,
    /// The left side of the Message-ID: unique, and of letters, digits and dots.
    pub(super) id: &'a str,
    /// Seconds since 1970, UTC.
    pub(super) time: u64,
    pub(super) text: &'a str,
    pub(super) html: &'a str,
}

impl Message<'_> {
    /// The message with CRLF as line ends, as DATA transfers it before dots are stuffed.
    pub(super) fn to_ascii(&self) -> String {
        let Self { to, id, .. } = self;
        let from = match self.from.name() {
            Some(name) if needs_encoding(name) => format!("{}\r\n <{}>", encoded(name), self.from.address()),
            Some(_) => self.from.to_string(),
            None => format!("<{}>", self.from.address()),
        };
        let subject =
            if needs_encoding(self.subject) { encoded(self.subject) } else { self.subject.to_owned() };
        let (date, domain) = (date(self.time), self.from.domain());
        // "=_" is in no encoded text (RFC 2045, section 6.7), and no line of ours begins with it.
        let boundary = format!("=_{id}");
        let mut message = format!(
            "From: {from}\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: {date}\r\nMessage-ID: <{id}@{domain}>\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n"
        );
        // The last part is the one that is preferred.
        for (kind, text) in [("plain", self.text), ("html", self.html)] {
            let (encoding, content) = body(text);
            let _ = write!(
                message,
                "\r\n--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n\
                 Content-Transfer-Encoding: {encoding}\r\n\r\n{content}"
            );
        }
        message + &format!("\r\n--{boundary}--\r\n")
    }
}

/// A text and the name of its encoding. Base64 only where it must be: spam filters take plain text in it for
/// disguised.
fn body(text: &str) -> (&'static str, String) {
    if text.is_ascii() && text.lines().all(|line| line.len() <= LINE_BYTES_MAX) {
        return ("7bit", text.lines().flat_map(|line| [line, "\r\n"]).collect());
    }
    let text: String = text.lines().flat_map(|line| [line, "\r\n"]).collect();
    ("base64", BASE64_MIME.encode(text.as_bytes()))
}

fn needs_encoding(text: &str) -> bool {
    !text.is_ascii() || text.contains("=?")
}

/// Encoded words, each on a line of its own. The white space between two of them is not part of the text.
fn encoded(text: &str) -> String {
    let mut words: Vec<String> = vec![String::new()];
    for char in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + char.len_utf8() <= WORD_BYTES_MAX => word.push(char),
            _ => words.push(char.to_string()),
        }
    }
    let words: Vec<_> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", BASE64.encode(word.as_bytes()))).collect();
    words.join("\r\n ")
}

/// A time as in `Fri, 27 Nov 2026 03:12:42 +0000` (RFC 5322, section 3.3).
fn date(time: u64) -> String {
    let Utc { year, month, day, weekday, hour, minute, second } = Utc::from_ms(time.saturating_mul(1_000));
    let name = |names: &[&'static str], place| names[usize::try_from(place).unwrap_or_default()];
    let (weekday, month) = (name(&WEEKDAYS, weekday), name(&MONTHS, month - 1));
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Longest line without its end (RFC 5322, section 2.1.1).
const LINE_BYTES_MAX: usize = 998;
/// Text in one encoded word: 60 characters of base64, so that the line stays below 76 (RFC 2047, section 2).
const WORD_BYTES_MAX: usize = 45;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_of_an_email() {
        for (time, want) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 +0000"),
            (1_795_749_162, "Fri, 27 Nov 2026 03:12:42 +0000"),
        ] {
            assert_eq!(date(time), want, "{time}");
        }
    }

    #[test]
    fn words_are_encoded_whole_and_in_short_lines() {
        for (text, want) in [
            ("Zo\u{eb}", "=?utf-8?B?Wm/Dqw==?="),
            ("=?x", "=?utf-8?B?PT94?="),
            (
                "\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}a\u{20ac}",
                "=?utf-8?B?4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKsYQ==?=\r\n =?utf-8?B?4oKs?=",
            ),
        ] {
            assert!(needs_encoding(text), "{text}");
            assert_eq!(encoded(text), want, "{text}");
        }
        let long = encoded(&"\u{1f43b}".repeat(100));
        assert!(long.lines().all(|line| line.trim().len() <= 75), "{long}");
        assert!(!needs_encoding("Plume: \"Chat\""));
    }

    #[test]
    fn text_is_encoded_only_if_it_must_be() {
        let long = "a".repeat(LINE_BYTES_MAX + 1);
        for (text, encoding, content) in [
            ("a\nb\n", "7bit", "a\r\nb\r\n"),
            ("a", "7bit", "a\r\n"),
            (&long[1..], "7bit", &format!("{}\r\n", &long[1..])),
            ("\u{e9}\n", "base64", "w6kNCg==\r\n"),
        ] {
            assert_eq!(body(text), (encoding, content.to_owned()), "{text}");
        }
        let (encoding, content) = body(&long);
        assert!(encoding == "base64" && content.lines().all(|line| line.len() <= 76), "{content}");
    }
}
