//! The client's side of the bytes: masked frames out, HTTP responses and unmasked frames in (RFC 9112; RFC
//! 6455, section 5.2). Written apart from the server's code, so that the two check each other.

/// The first byte of a whole text message.
pub(crate) const TEXT: u8 = 0x81;
/// The first byte of a close.
pub(crate) const CLOSE: u8 = 0x88;
/// The first byte of a ping.
pub(crate) const PING: u8 = 0x89;
/// The first byte of a pong.
pub(crate) const PONG: u8 = 0x8a;

/// A frame from a client.
pub(crate) fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    bytes.push(first);
    match u16::try_from(payload.len()) {
        Ok(len @ 0..126) => bytes.push(0x80 | len.to_be_bytes()[1]),
        Ok(len) => {
            bytes.push(0xfe);
            bytes.extend(len.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0xff);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    // Without optimizations, masking long texts is what a run spends its time on.
    if mask == [0; 4] {
        bytes.extend(payload);
    } else {
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    bytes
}

/// A text message from a client, with a mask of zeros.
pub(crate) fn message(json: &str) -> Vec<u8> {
    frame(TEXT, json.as_bytes(), [0; 4])
}

/// A request for a WebSocket with further header fields, each with its line end.
pub(crate) fn upgrade(fields: &str) -> Vec<u8> {
    const REQUEST: &str = "GET /connect HTTP/1.1\r\nHost: plume.test\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    format!("{REQUEST}{fields}\r\n").into_bytes()
}

/// What a server sends.
#[derive(Debug)]
pub(crate) enum Received {
    /// A response with this status, and the beginning of its content.
    Response(u16),
    /// A chunk of content without a length (RFC 9112, section 7.1).
    Chunk(Vec<u8>),
    /// The end of such content.
    LastChunk,
    /// The payload of a text message.
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A close with this code.
    Close(Option<u16>),
}

/// A strict reader of what one connection is sent: responses, and after an upgrade frames.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// What makes no whole yet.
    unread: Vec<u8>,
    expected: Expected,
}

#[derive(Debug, Default, Clone, Copy)]
enum Expected {
    #[default]
    Response,
    /// So many bytes of content, or none if the request was HEAD.
    Content(usize),
    Chunk,
    Frame,
    /// Nothing follows a close.
    Nothing,
}

impl Reader {
    /// Takes bytes as they were written. Gives what they complete.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<Received> {
        self.unread.extend_from_slice(bytes);
        let mut received = Vec::new();
        let mut used = 0;
        while used < self.unread.len() {
            let unread = &self.unread[used..];
            let (len, item) = match self.expected {
                Expected::Response => {
                    let Some((len, status, expected)) = response(unread) else { break };
                    self.expected = expected;
                    (len, Some(Received::Response(status)))
                }
                Expected::Content(len) => {
                    let Some(len) = content(unread, len) else { break };
                    self.expected = Expected::Response;
                    (len, None)
                }
                Expected::Chunk => {
                    let Some((content, len)) = chunk(unread) else { break };
                    if content.is_empty() {
                        self.expected = Expected::Response;
                        (len, Some(Received::LastChunk))
                    } else {
                        (len, Some(Received::Chunk(content.to_vec())))
                    }
                }
                Expected::Frame => {
                    let Some((first, payload, len)) = first_frame(unread) else { break };
                    let payload = payload.to_vec();
                    let item = match first {
                        TEXT => Received::Text(payload),
                        PING => Received::Ping(payload),
                        PONG => Received::Pong(payload),
                        CLOSE => {
                            self.expected = Expected::Nothing;
                            Received::Close(close_code(&payload))
                        }
                        other => panic!("a server of texts sends no frame that begins with {other:#04x}"),
                    };
                    (len, Some(item))
                }
                Expected::Nothing => panic!("nothing may follow a close"),
            };
            used += len;
            received.extend(item);
        }
        self.unread.drain(..used);
        received
    }

    /// Whether no frame or response was received in part only.
    pub(crate) fn is_whole(&self) -> bool {
        self.unread.is_empty()
    }
}

/// The first response: how long its head is, its status, and what follows.
fn response(bytes: &[u8]) -> Option<(usize, u16, Expected)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = str::from_utf8(&bytes[..end]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix(RESPONSE)).and_then(|line| line.get(..3));
    let status: u16 = status.and_then(|status| status.parse().ok()).expect("a status");
    let mut len = None;
    let mut is_chunked = false;
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a field");
        assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']), "a field in one line");
        if name == "Content-Length" {
            assert!(len.is_none(), "one length");
            len = Some(value.parse().expect("a length"));
        }
        is_chunked |= name == "Transfer-Encoding" && value == "chunked";
    }
    let expected = match (status, len) {
        (101, None) => Expected::Frame,
        (304, None) => Expected::Response,
        (200, None) if is_chunked => Expected::Chunk,
        (101 | 304, Some(_)) => panic!("a {status} has no content"),
        (_, len) => Expected::Content(len.expect("content has a length")),
    };
    Some((end + 4, status, expected))
}

/// How much of the bytes is content, if all of it is there. No content of the site begins like a response, so
/// the content of an answer to HEAD is seen to be missing.
fn content(bytes: &[u8], len: usize) -> Option<usize> {
    let known = bytes.len().min(RESPONSE.len());
    let is_response = bytes[..known] == RESPONSE.as_bytes()[..known];
    if is_response && known < RESPONSE.len() || !is_response && bytes.len() < len {
        return None;
    }
    Some(if is_response { 0 } else { len })
}

/// The first chunk, and its length with all that belongs to it, if it is all there.
fn chunk(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let line = bytes.windows(2).position(|window| window == b"\r\n")?;
    let digits = str::from_utf8(&bytes[..line]).expect("the length of a chunk is text");
    let len = usize::from_str_radix(digits, 16).expect("the length of a chunk is hexadecimal");
    assert!(len as u64 <= FRAME_BYTES_MAX, "a server sends no chunk of {len} bytes");
    let content = bytes.get(line + 2..line + 2 + len)?;
    let end = bytes.get(line + 2 + len..line + 4 + len)?;
    assert_eq!(end, b"\r\n", "a chunk ends with a line end");
    Some((content, line + 4 + len))
}

/// The first frame of a server: its first byte, its payload and its length, if it is all there.
pub(crate) fn first_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&first, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    assert!(short & 0x80 == 0, "a server masks nothing");
    let (len, rest) = match short {
        126 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*len)), rest)
        }
        127 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*len), rest)
        }
        len => (u64::from(len), rest),
    };
    let shortest = match len {
        0..126 => len,
        126..65_536 => 126,
        65_536.. => 127,
    };
    assert_eq!(u64::from(short), shortest, "a length is written in the shortest way");
    assert!(len <= FRAME_BYTES_MAX, "a server sends no frame of {len} bytes");
    assert!(len <= 125 || first & 0x08 == 0, "control frames are short");
    let payload = rest.get(..usize::try_from(len).expect("a length fits"))?;
    Some((first, payload, bytes.len() - rest.len() + payload.len()))
}

fn close_code(payload: &[u8]) -> Option<u16> {
    let (code, reason) = payload.split_first_chunk().unzip();
    let code = code.copied().map(u16::from_be_bytes);
    // RFC 6455, section 7.4, and the registry that it founds.
    let may_be_sent = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    assert!(payload.is_empty() || code.is_some_and(may_be_sent), "a code that may be sent: {code:?}");
    assert!(str::from_utf8(reason.unwrap_or_default()).is_ok(), "the reason of a close is UTF-8");
    code
}

/// How each response begins.
const RESPONSE: &str = "HTTP/1.1 ";
/// The longest line, and the longest answer to a client that enters, are shorter.
const FRAME_BYTES_MAX: u64 = 1 << 20;
