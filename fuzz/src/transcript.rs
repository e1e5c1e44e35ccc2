//! What one connection was sent, read as a strict client reads it: HTTP responses, then perhaps WebSocket frames.

use crate::frames::{self, CLOSE, PING, PONG, TEXT};
use serde_json::Value;

/// The reader of one connection.
#[derive(Debug, Default)]
pub struct Transcript {
    /// What does not make a whole yet.
    unread: Vec<u8>,
    expected: Expected,
}

/// What was said.
#[derive(Debug)]
pub enum Said {
    /// An HTTP response with this status.
    Response(u16),
    /// A text message: its bytes, and the JSON object in it.
    Message(String, Value),
    /// A ping or a pong.
    Control,
    /// A close with this code.
    Close(Option<u16>),
}

#[derive(Debug, Default)]
enum Expected {
    #[default]
    Response,
    /// So many bytes of content, or none if the request was HEAD.
    Content(usize),
    Frame,
    /// Nothing comes after a close.
    Nothing,
}

impl Transcript {
    /// Takes bytes as they were written. Gives what they complete.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.unread.extend_from_slice(bytes);
        let mut said = Vec::new();
        while !self.unread.is_empty() {
            let used = match self.expected {
                Expected::Response => self.response(&mut said),
                Expected::Content(len) => self.content(len),
                Expected::Frame => self.frame(&mut said),
                Expected::Nothing => panic!("nothing may follow a close"),
            };
            let Some(used) = used else { break };
            self.unread.drain(..used);
        }
        said
    }

    /// Whether nothing is half said.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.unread.is_empty()
    }

    fn response(&mut self, said: &mut Vec<Said>) -> Option<usize> {
        let end = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = str::from_utf8(&self.unread[..end]).expect("a head is text");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix(RESPONSE)).and_then(|line| line.get(..3));
        let status: u16 = status.and_then(|status| status.parse().ok()).expect("a status");
        let mut len = None;
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a field");
            assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']), "a field in one line");
            if name == "Content-Length" {
                assert!(len.is_none(), "one length");
                len = Some(value.parse().expect("a length"));
            }
        }
        self.expected = match (status, len) {
            (101, None) => Expected::Frame,
            (304, None) => Expected::Response,
            (101 | 304, Some(_)) => panic!("a {status} has no content"),
            (_, len) => Expected::Content(len.expect("content has a length")),
        };
        said.push(Said::Response(status));
        Some(end + 4)
    }

    /// No content of the site begins like a response, so the content of an answer to HEAD is seen to be missing.
    fn content(&mut self, len: usize) -> Option<usize> {
        let known = self.unread.len().min(RESPONSE.len());
        let is_response = self.unread[..known] == RESPONSE.as_bytes()[..known];
        if is_response && known < RESPONSE.len() || !is_response && self.unread.len() < len {
            return None;
        }
        self.expected = Expected::Response;
        Some(if is_response { 0 } else { len })
    }

    fn frame(&mut self, said: &mut Vec<Said>) -> Option<usize> {
        let (first, payload, used) = frames::from_server(&self.unread)?;
        said.push(match first {
            TEXT => {
                let json = str::from_utf8(payload).expect("a text is UTF-8");
                let value: Value = serde_json::from_str(json).expect("a text is JSON");
                assert!(value.is_object(), "a text is an object: {json:.200}");
                Said::Message(json.to_owned(), value)
            }
            PING | PONG => {
                assert!(payload.len() <= 125, "control frames are short");
                Said::Control
            }
            CLOSE => {
                self.expected = Expected::Nothing;
                let (code, words) = payload.split_first_chunk().unzip();
                let code = code.copied().map(u16::from_be_bytes);
                assert!(
                    payload.is_empty() || code.is_some_and(may_be_sent),
                    "a code that may be sent: {code:?}"
                );
                assert!(str::from_utf8(words.unwrap_or_default()).is_ok(), "the words of a close are UTF-8");
                Said::Close(code)
            }
            other => panic!("a server of texts sends no frame that begins with {other:#04x}"),
        });
        Some(used)
    }
}

/// RFC 6455, section 7.4, and the registry that it founds.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// How each response begins.
const RESPONSE: &str = "HTTP/1.1 ";
