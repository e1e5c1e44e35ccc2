//! Codes that people read in an email and type: how they are made, read and compared.

use crate::base::frost::{Frost, Frozen};
use crate::base::hidden::hidden;
use crate::base::visible::{fold_full_width, is_pasted_along};
use crate::limits::{CODE_CHAR_BITS, CODE_CHARS, LONG_CODE_CHARS};
use rand::Rng;
use subtle::ConstantTimeEq;

/// A login code, short or long.
#[derive(Clone, Copy)]
pub(crate) struct Code {
    /// Those of a short code are followed by zero bytes, which are not in the alphabet.
    chars: [u8; LONG_CODE_CHARS],
    len: usize,
}

hidden!(Code);

impl Code {
    /// A new code of [`CODE_CHARS`] or of [`LONG_CODE_CHARS`] characters.
    pub(super) fn random(rng: &mut impl Rng, len: usize) -> Self {
        let mut chars = [0; LONG_CODE_CHARS];
        for char in chars.iter_mut().take(len) {
            let mut byte = [0];
            rng.fill_bytes(&mut byte);
            // 256 is a multiple of 32, so every character is as likely as every other.
            *char = ALPHABET[usize::from(byte[0]) % ALPHABET.len()];
        }
        Self { chars, len }
    }

    /// Parses a code as it was typed: any case or width, spaces anywhere, and o, i and l for the
    /// digits that they look like.
    pub(crate) fn parse(typed: &str) -> Option<Self> {
        let mut code = Self { chars: [0; LONG_CODE_CHARS], len: 0 };
        for typed in typed.chars().map(fold_full_width).filter(|&char| !is_pasted_along(char)) {
            let char = match u8::try_from(typed).ok()?.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                char => char,
            };
            *code.chars.get_mut(code.len)? = ALPHABET.contains(&char).then_some(char)?;
            code.len += 1;
        }
        matches!(code.len, CODE_CHARS | LONG_CODE_CHARS).then_some(code)
    }

    pub(crate) fn as_str(&self) -> &str {
        let chars = self.chars.get(..self.len).unwrap_or_default();
        str::from_utf8(chars).unwrap_or_default()
    }

    /// How many characters a client has to ask for, if they are not [`CODE_CHARS`].
    pub(crate) fn unusual_chars(&self) -> Option<usize> {
        self.is_long().then_some(self.len)
    }

    pub(super) fn is_long(&self) -> bool {
        self.len > CODE_CHARS
    }

    pub(super) fn is(self, other: Self) -> bool {
        self.chars.ct_eq(&other.chars).into()
    }
}

impl Frost for Code {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.as_str().to_owned().freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let typed = from.text(LONG_CODE_CHARS)?;
        let mut code = Self { chars: [0; LONG_CODE_CHARS], len: typed.len() };
        for (char, typed) in code.chars.iter_mut().zip(typed.bytes()) {
            *char = ALPHABET.contains(&typed).then_some(typed)?;
        }
        (code.len > 0).then_some(code)
    }
}

/// Crockford's 32 characters, without I, L, O and U (<https://www.crockford.com/base32.html>).
const ALPHABET: &[u8; 1 << CODE_CHAR_BITS] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::frost::frozen;

    #[test]
    fn codes_are_read_kindly() {
        let rows = [
            ("01ABCD", Some("01ABCD")),
            (" oiabcd\n", Some("01ABCD")),
            ("OLAbcd", Some("01ABCD")),
            ("0LABCD", Some("01ABCD")),
            ("01A\u{a0}BC D", Some("01ABCD")),
            ("01abcd 01abce", Some("01ABCD01ABCE")),
            ("01ABCU", None),
            ("01ABC", None),
            ("01ABCDE", None),
            ("01ABCD01ABC", None),
            ("01ABCD01ABCDE", None),
            ("01AB\0\0", None),
            ("01ABÇ", None),
            ("", None),
        ];
        for (typed, expected) in rows {
            let code = Code::parse(typed);
            assert_eq!(code.as_ref().map(Code::as_str), expected, "{typed:?}");
        }
    }

    #[test]
    fn a_short_code_is_not_the_beginning_of_a_long_one() {
        let code = |typed| Code::parse(typed).unwrap();
        assert!(!code("01ABCD").is(code("01ABCD000000")));
        assert!(code("01ABCD000000").is(code("01abcd oooooo")));
    }

    #[test]
    fn a_code_is_thawed_as_it_was_and_no_other_text_is_one() {
        let too_long = "01ABCD01ABCD0";
        for (typed, is_code) in
            [("01ABCD", true), ("01ABCD01ABCD", true), ("01abcd", false), ("", false), (too_long, false)]
        {
            let code = Code::thaw(&mut Frozen::new(&frozen(&typed.to_owned())));
            let expected = is_code.then_some((typed, typed.len() > CODE_CHARS));
            assert_eq!(code.as_ref().map(|code| (code.as_str(), code.is_long())), expected, "{typed:?}");
        }
    }
}
