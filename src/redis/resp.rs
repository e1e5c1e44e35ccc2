//! RESP2, the protocol of Redis: commands to bytes, and bytes to tokens. A token is a line or a string; which
//! tokens make a reply is for who reads them, so nothing here is nested, and nothing recurses.

use crate::limits::ENGINE_LINE_BYTES_MAX;
use std::fmt;

pub(crate) fn command(to: &mut Vec<u8>, words: &[&[u8]]) {
    array(to, words.len());
    for word in words {
        string(to, word);
    }
}

/// Begins a command of so many words.
pub(super) fn array(to: &mut Vec<u8>, words: usize) {
    number(to, b'*', words);
}

/// Appends a word.
pub(super) fn string(to: &mut Vec<u8>, word: &[u8]) {
    string_length(to, word.len());
    to.extend_from_slice(word);
    to.extend_from_slice(CRLF);
}

/// Begins a word of so many bytes, which the caller appends, and [`CRLF`].
pub(super) fn string_length(to: &mut Vec<u8>, bytes: usize) {
    number(to, b'$', bytes);
}

fn number(to: &mut Vec<u8>, kind: u8, number: usize) {
    to.push(kind);
    to.extend_from_slice(number.to_string().as_bytes());
    to.extend_from_slice(CRLF);
}

/// A part of a reply.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Such as `OK`.
    Status(Vec<u8>),
    /// Such as `ERR unknown command`.
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    /// A string that was longer than wanted, and was skipped.
    Oversized,
    /// No string, or no array.
    Nil,
    /// An array of so many replies, which follow.
    Array(u64),
}

/// Says how much, not what: a reply may hold addresses and secrets.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(text) => write!(f, "Status({} bytes)", text.len()),
            Self::Error(text) => write!(f, "Error({} bytes)", text.len()),
            Self::Integer(number) => write!(f, "Integer({number})"),
            Self::Bulk(text) => write!(f, "Bulk({} bytes)", text.len()),
            Self::Oversized => f.write_str("Oversized"),
            Self::Nil => f.write_str("Nil"),
            Self::Array(count) => write!(f, "Array({count})"),
        }
    }
}

/// The bytes are no RESP2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RespError;

/// Reads tokens from bytes as they come. Holds at most a line, or a string of the allowed size.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The line that has begun, with its kind in front.
    line: Vec<u8>,
    /// The string that has begun.
    bulk: Option<Bulk>,
}

#[derive(Debug)]
struct Bulk {
    /// Bytes of the string that are still to come.
    left: u64,
    /// `None`: it is skipped.
    content: Option<Vec<u8>>,
    /// Bytes of the line break behind it that have come.
    break_bytes: usize,
}

impl Decoder {
    /// Takes bytes from the front of `input` until a token is complete. `None`: `input` is empty, and more is
    /// needed. A string of more than `bulk_max` bytes is skipped.
    ///
    /// # Errors
    /// If the bytes are no RESP2. Nothing can be read after that.
    pub(crate) fn next(&mut self, input: &mut &[u8], bulk_max: usize) -> Result<Option<Token>, RespError> {
        loop {
            if let Some(bulk) = &mut self.bulk {
                if !bulk.take(input)? {
                    return Ok(None);
                }
                let content = self.bulk.take().and_then(|bulk| bulk.content);
                return Ok(Some(content.map_or(Token::Oversized, Token::Bulk)));
            }
            if !self.take_line(input)? {
                return Ok(None);
            }
            let token = self.parse_line(bulk_max)?;
            self.line.clear();
            if token.is_some() {
                return Ok(token);
            }
        }
    }

    /// Takes bytes up to and with the next line break. `false`: it has not come.
    fn take_line(&mut self, input: &mut &[u8]) -> Result<bool, RespError> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let (taken, rest) = input.split_at(end.map_or(input.len(), |end| end.saturating_add(1)));
        *input = rest;
        if self.line.len().saturating_add(taken.len()) > ENGINE_LINE_BYTES_MAX {
            return Err(RespError);
        }
        self.line.extend_from_slice(taken);
        Ok(end.is_some())
    }

    /// Reads the line, which is complete. `None`: a string begins.
    fn parse_line(&mut self, bulk_max: usize) -> Result<Option<Token>, RespError> {
        let line = self.line.strip_suffix(CRLF).ok_or(RespError)?;
        let (&kind, text) = line.split_first().ok_or(RespError)?;
        if text.contains(&b'\r') {
            return Err(RespError);
        }
        let token = match kind {
            b'+' => Token::Status(text.to_vec()),
            b'-' => Token::Error(text.to_vec()),
            b':' => Token::Integer(integer(text).ok_or(RespError)?),
            b'*' | b'$' if text == b"-1" => Token::Nil,
            b'*' => Token::Array(digits(text).ok_or(RespError)?),
            b'$' => {
                let left = digits(text).ok_or(RespError)?;
                // Not reserved: a length is only a claim.
                let content = usize::try_from(left).is_ok_and(|bytes| bytes <= bulk_max).then(Vec::new);
                self.bulk = Some(Bulk { left, content, break_bytes: 0 });
                return Ok(None);
            }
            _ => return Err(RespError),
        };
        Ok(Some(token))
    }
}

impl Bulk {
    /// Takes what belongs to it. Returns whether it is complete.
    fn take(&mut self, input: &mut &[u8]) -> Result<bool, RespError> {
        let bytes = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        let (taken, rest) = input.split_at(bytes);
        *input = rest;
        self.left = self.left.saturating_sub(bytes as u64);
        if let Some(content) = &mut self.content {
            content.extend_from_slice(taken);
        }
        if self.left > 0 {
            return Ok(false);
        }
        for expected in CRLF.iter().skip(self.break_bytes) {
            let Some((byte, rest)) = input.split_first() else { return Ok(false) };
            if byte != expected {
                return Err(RespError);
            }
            *input = rest;
            self.break_bytes = self.break_bytes.saturating_add(1);
        }
        Ok(true)
    }
}

/// Digits, and nothing else.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn integer(text: &[u8]) -> Option<i64> {
    digits(text.strip_prefix(b"-").unwrap_or(text))?;
    str::from_utf8(text).ok()?.parse().ok()
}

pub(super) const CRLF: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::Token::{Array, Bulk, Error, Integer, Nil, Oversized, Status};
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Reads pieces; what follows a wrong byte is not read. Gives the tokens, and whether another has begun.
    fn read(pieces: &[&[u8]], bulk_max: usize) -> (Vec<Token>, Result<bool, RespError>) {
        let (mut decoder, mut tokens) = (Decoder::default(), Vec::new());
        for mut piece in pieces.iter().copied() {
            loop {
                match decoder.next(&mut piece, bulk_max) {
                    Ok(Some(token)) => tokens.push(token),
                    Ok(None) => break,
                    Err(error) => return (tokens, Err(error)),
                }
            }
            assert!(piece.is_empty(), "everything is taken");
        }
        (tokens, Ok(!decoder.line.is_empty() || decoder.bulk.is_some()))
    }

    fn bytes(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    #[test]
    fn replies_of_each_kind_are_read() {
        let rows: [(&str, &[Token]); 12] = [
            ("+OK\r\n", &[Status(bytes("OK"))]),
            ("+\r\n", &[Status(bytes(""))]),
            ("-ERR no such\r\n", &[Error(bytes("ERR no such"))]),
            (":0\r\n:-7\r\n", &[Integer(0), Integer(-7)]),
            ("$0\r\n\r\n", &[Bulk(bytes(""))]),
            ("$4\r\na\r\nb\r\n", &[Bulk(bytes("a\r\nb"))]),
            ("$-1\r\n*-1\r\n", &[Nil, Nil]),
            ("*0\r\n", &[Array(0)]),
            ("*2\r\n*1\r\n$1\r\nx\r\n:1\r\n", &[Array(2), Array(1), Bulk(bytes("x")), Integer(1)]),
            ("*4294967296\r\n", &[Array(1 << 32)]),
            ("$9\r\n123456789\r\n+x\r\n", &[Oversized, Status(bytes("x"))]),
            ("$8\r\n12345678\r\n", &[Bulk(bytes("12345678"))]),
        ];
        for (text, tokens) in rows {
            assert_eq!(read(&[text.as_bytes()], 8), (tokens.to_vec(), Ok(false)), "{text:?}");
            for end in 1..text.len() {
                let (_, state) = read(&[&text.as_bytes()[..end]], 8);
                let is_whole = (1..=tokens.len()).any(|count| {
                    let (read, has_begun) = read(&[&text.as_bytes()[..end]], 8);
                    read.len() == count && has_begun == Ok(false)
                });
                assert!(is_whole || state == Ok(true), "{text:?} {end}");
            }
        }
    }

    #[test]
    fn what_is_no_resp_is_an_error() {
        let long = format!("+{}\r\n", "x".repeat(ENGINE_LINE_BYTES_MAX));
        for text in [
            "\r\n",
            "\n",
            "OK\r\n",
            "+OK\n",
            "+O\rK\r\n",
            "%1\r\n",
            "_\r\n",
            "#t\r\n",
            "$\r\nx",
            "$+1\r\nx\r\n",
            "$-2\r\n",
            "$1x\r\nx\r\n",
            "$ 1\r\nx\r\n",
            "$1\r\nxx\r\n",
            "$1\r\nx\n",
            "$1\r\nx\rx",
            "$0\r\n\n",
            "*\r\n",
            "*-2\r\n",
            "*+1\r\n",
            "*1.0\r\n",
            "$18446744073709551616\r\n",
            "*99999999999999999999\r\n",
            ":\r\n",
            ":+1\r\n",
            ":--1\r\n",
            ":1x\r\n",
            ":9223372036854775808\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
            &long,
        ] {
            let (tokens, result) = read(&[text.as_bytes()], 100);
            // An empty length is none.
            assert_eq!((tokens.len(), result), (0, Err(RespError)), "{text:?}");
        }
        let longest = format!("+{}\r\n", "x".repeat(ENGINE_LINE_BYTES_MAX - 3));
        assert_eq!(read(&[longest.as_bytes()], 0).1, Ok(false));
        let endless = vec![b'+'; ENGINE_LINE_BYTES_MAX + 1];
        assert_eq!(read(&[&endless], 0).1, Err(RespError), "a line that does not end");
    }

    #[test]
    fn a_length_reserves_nothing() {
        let mut decoder = Decoder::default();
        let mut input = &b"$1000000000000\r\nabc"[..];
        assert_eq!(decoder.next(&mut input, usize::MAX), Ok(None));
        let content = decoder.bulk.expect("it has begun").content.expect("it is kept");
        assert!(content.capacity() < 100, "{}", content.capacity());
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        let mut all = Vec::new();
        command(&mut all, &[b"GET", b"a\r\nb"]);
        assert_eq!(all, b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
    }

    fn token() -> impl Strategy<Value = Vec<u8>> {
        let line = |kind: u8| {
            vec(any::<u8>(), 0..9).prop_map(move |text| {
                let text = text.into_iter().filter(|byte| !b"\r\n".contains(byte));
                [kind].into_iter().chain(text).chain(*b"\r\n").collect::<Vec<_>>()
            })
        };
        prop_oneof![
            line(b'+'),
            line(b'-'),
            line(b':'),
            line(b'*'),
            vec(any::<u8>(), 0..20)
                .prop_map(|text| { [format!("${}\r\n", text.len()).as_bytes(), &text, b"\r\n"].concat() }),
            (0..5_u64).prop_map(|count| format!("*{count}\r\n").into_bytes()),
            vec(any::<u8>(), 0..5),
        ]
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_tokens(
            tokens in vec(token(), 0..8),
            cuts in vec(0..200_usize, 0..6),
        ) {
            let all = tokens.concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(all.len())).collect();
            cuts.extend([0, all.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &all[cut[0]..cut[1]]).collect();
            let (whole, end) = read(&[&all], 10);
            let (in_pieces, end_in_pieces) = read(&pieces, 10);
            prop_assert_eq!((&whole, end), (&in_pieces, end_in_pieces));
            let single: Vec<&[u8]> = all.chunks(1).collect();
            prop_assert_eq!(read(&single, 10), (whole, end));
        }
    }
}
