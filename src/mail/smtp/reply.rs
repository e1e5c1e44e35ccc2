//! Replies of an SMTP server.

/// A reply of one or more lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits.
    pub(super) code: u16,
    /// The lines without their codes.
    pub(super) text: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReplyError {
    Incomplete,
    Malformed,
}

impl Reply {
    /// Parses the reply at the start of `bytes` (RFC 5321, section 4.2), and returns its length, too.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, usize), ReplyError> {
        let mut text = String::new();
        let mut length = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            length += line.len();
            let (content, is_complete) = match line.strip_suffix(b"\n") {
                Some(content) => (content.strip_suffix(b"\r").unwrap_or(content), true),
                None => (line, false),
            };
            let digits = content.get(..3).unwrap_or(content);
            if !digits.iter().all(u8::is_ascii_digit) {
                return Err(ReplyError::Malformed);
            }
            if !is_complete {
                return Err(ReplyError::Incomplete);
            }
            let code = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            let code = code.filter(|code| (200..600).contains(code)).ok_or(ReplyError::Malformed)?;
            let (is_last, rest) = match content.get(3..).unwrap_or_default() {
                [] => (true, &[][..]),
                [b' ', rest @ ..] => (true, rest),
                [b'-', rest @ ..] => (false, rest),
                _ => return Err(ReplyError::Malformed),
            };
            text.push_str(&String::from_utf8_lossy(rest));
            if is_last {
                return Ok((Self { code, text }, length));
            }
            text.push('\n');
        }
        Err(ReplyError::Incomplete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &str) -> Reply {
        Reply { code, text: text.to_owned() }
    }

    #[test]
    fn replies_are_parsed_to_their_last_line() {
        let rows = [
            ("250 OK\r\n", (reply(250, "OK"), 8)),
            ("250 OK\n", (reply(250, "OK"), 7)),
            ("250\r\n", (reply(250, ""), 5)),
            ("250-a\r\n250 b\r\nrest", (reply(250, "a\nb"), 14)),
            ("250-\r\n250 \r\n", (reply(250, "\n"), 12)),
            ("550 5.1.1 No\r\n", (reply(550, "5.1.1 No"), 14)),
        ];
        for (text, want) in rows {
            assert_eq!(Reply::parse(text.as_bytes()), Ok(want), "{text:?}");
        }
        let incomplete = ["", "2", "250 OK", "250 OK\r", "250-OK\r\n", "250-OK\r\n25"];
        let malformed: [&[&str]; 2] = [
            &["\r\n", "25\r\n", "250_OK\r\n", "2500 OK\r\n", "199 OK\r\n", "600 OK\r\n"],
            &["HTTP/1.1 400 Bad Request\r\n", "H", "250-OK\r\nX"],
        ];
        let incomplete = incomplete.into_iter().map(|text| (text, ReplyError::Incomplete));
        let malformed = malformed.concat().into_iter().map(|text| (text, ReplyError::Malformed));
        for (text, error) in incomplete.chain(malformed) {
            assert_eq!(Reply::parse(text.as_bytes()), Err(error), "{text:?}");
        }
    }
}
