//! Decodes and encodes WebSocket frames (RFC 6455). Owns unfinished messages; never touches sockets, and
//! never parses a message's content. The only user of tungstenite's protocol.
//!
//! A tungstenite context keeps its largest buffer for good. So all connections share one context, which lives
//! in the [`Codec`]; a connection has its own context only while it is in the middle of a message. To find
//! message boundaries, frame headers are parsed here too, with tungstenite's own parser, and a context is
//! never fed beyond the end of a frame.

use std::io::{self, Cursor, Read, Write};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

/// An event decoded from complete frames.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A text message, whose bytes are valid UTF-8, or a binary one, whose bytes are unchecked.
    Message(tungstenite::Bytes),
    /// A ping, with the encoded pong that answers it.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A fragment that does not complete its message.
    Fragment,
    /// A close frame, with the encoded reply.
    Close(Vec<u8>),
}

/// Why a peer's bytes cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not the WebSocket protocol: close code 1002.
    Protocol,
    /// A text message that is not UTF-8: close code 1007.
    NotUtf8,
    /// A frame or message over the limit: close code 1009.
    TooBig,
}

/// The context that all connections share between messages.
#[derive(Debug)]
pub struct Codec {
    idle: WebSocketContext,
}

/// The decoder of one connection. Costs one word between messages.
#[derive(Debug, Default)]
pub struct Decoder {
    unfinished: Option<Box<Unfinished>>,
}

/// The state in the middle of a message, from its first byte on.
#[derive(Debug)]
struct Unfinished {
    context: WebSocketContext,
    /// The bytes received of the current frame's header.
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    /// Bytes of the current frame's payload still to be received.
    payload_left: usize,
    /// Bytes of the fragments so far; `None` outside a fragmented message.
    fragments: Option<usize>,
    /// Bytes received of the message, in all its fragments.
    arrived: usize,
    /// Whether the current frame carries message data, rather than being a control frame between two
    /// fragments.
    is_data: bool,
}

impl Default for Codec {
    fn default() -> Self {
        Self { idle: new_context() }
    }
}

impl Decoder {
    /// Takes bytes up to the end of a frame that yields an event. Returns how many it used, and the event;
    /// `None` means that all bytes were used and more are needed. After a fault or a close nothing more may
    /// be decoded.
    pub fn decode(
        &mut self,
        codec: &mut Codec,
        bytes: &[u8],
        message_bytes_max: usize,
    ) -> (usize, Option<Result<Event, Fault>>) {
        if self.unfinished.is_none()
            && let Some(len) = whole_message(bytes, message_bytes_max)
        {
            return (len, feed(&mut codec.idle, &bytes[..len]).transpose());
        }
        let mut used = 0;
        while used < bytes.len() {
            let unfinished = self.unfinished.get_or_insert_with(|| Box::new(Unfinished::new(codec)));
            let (taken, event) = unfinished.step(&bytes[used..], message_bytes_max);
            used += taken;
            if unfinished.is_between_messages() {
                self.unfinished = None;
            }
            if let Some(event) = event.transpose() {
                return (used, Some(event));
            }
        }
        (used, None)
    }

    /// The bytes received of an unfinished message, or `None` between messages. (The length announced in its
    /// headers is reserved, but takes no memory before it arrives.)
    #[must_use]
    pub fn unfinished_bytes(&self) -> Option<usize> {
        self.unfinished.as_ref().map(|unfinished| unfinished.arrived)
    }
}

impl Unfinished {
    fn new(codec: &mut Codec) -> Self {
        Self {
            context: std::mem::replace(&mut codec.idle, new_context()),
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            payload_left: 0,
            fragments: None,
            arrived: 0,
            is_data: false,
        }
    }

    fn is_between_messages(&self) -> bool {
        self.header_len == 0 && self.fragments.is_none()
    }

    /// Takes bytes up to the end of the header or, after it, up to the end of the frame.
    fn step(&mut self, bytes: &[u8], message_bytes_max: usize) -> (usize, Result<Option<Event>, Fault>) {
        if self.payload_left > 0 {
            let taken = bytes.len().min(self.payload_left);
            self.payload_left -= taken;
            if self.is_data {
                self.arrived += taken;
            }
            let event = feed(&mut self.context, &bytes[..taken]);
            return (taken, self.end_frame(event));
        }
        let had = self.header_len;
        let room = bytes.len().min(HEADER_BYTES_MAX - had);
        self.header[had..had + room].copy_from_slice(&bytes[..room]);
        let parsed = match parse_header(&self.header[..had + room]) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => {
                self.header_len += room;
                return (room, Ok(None));
            }
            Err(fault) => return (room, Err(fault)),
        };
        self.header_len = parsed.header_len;
        let taken = parsed.header_len - had;
        if let Err(fault) = self.begin_frame(&parsed, message_bytes_max) {
            return (taken, Err(fault));
        }
        let event = feed(&mut self.context, &self.header[..parsed.header_len]);
        (taken, self.end_frame(event))
    }

    fn begin_frame(&mut self, parsed: &ParsedHeader, message_bytes_max: usize) -> Result<(), Fault> {
        let so_far = if parsed.is_data { self.fragments.unwrap_or(0) } else { 0 };
        if parsed.payload_len > (message_bytes_max - so_far.min(message_bytes_max)) as u64 {
            return Err(Fault::TooBig);
        }
        self.payload_left = usize::try_from(parsed.payload_len).map_err(|_| Fault::TooBig)?;
        self.is_data = parsed.is_data;
        if parsed.is_data {
            self.fragments = (!parsed.is_final).then_some(so_far + self.payload_left);
        }
        Ok(())
    }

    /// Adds the event of a completed fragment, if the bytes have ended one.
    fn end_frame(&mut self, event: Result<Option<Event>, Fault>) -> Result<Option<Event>, Fault> {
        if self.payload_left > 0 {
            return event;
        }
        self.header_len = 0;
        let is_fragment = self.is_data && self.fragments.is_some();
        event.map(|event| event.or(is_fragment.then_some(Event::Fragment)))
    }
}

/// Encodes JSON texts as text frames, in one reused buffer.
#[derive(Debug, Default)]
pub struct TextFrame {
    bytes: Vec<u8>,
}

impl TextFrame {
    /// An encoded text frame whose payload is written by `write`.
    pub fn build(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_BYTES_KEPT);
        self.bytes.resize(SERVER_HEADER_BYTES_MAX, 0);
        write(&mut self.bytes);
        let payload_len = (self.bytes.len() - SERVER_HEADER_BYTES_MAX) as u64;
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        let start = SERVER_HEADER_BYTES_MAX - header.len(payload_len);
        header
            .format(payload_len, &mut &mut self.bytes[start..SERVER_HEADER_BYTES_MAX])
            .expect("a header fits into its own length");
        &self.bytes[start..]
    }
}

/// The payload of a frame encoded by this server; empty if it is not one.
#[must_use]
pub fn text_of(frame: &[u8]) -> &[u8] {
    match parse_header(frame) {
        Ok(Some(parsed)) => frame.get(parsed.header_len..).unwrap_or_default(),
        Ok(None) | Err(_) => &[],
    }
}

/// An encoded close frame with a code and no reason text.
#[must_use]
pub fn close_frame(code: u16) -> Vec<u8> {
    let frame = Frame::close(Some(CloseFrame { code: CloseCode::from(code), reason: "".into() }));
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).expect("a vector takes everything");
    bytes
}

struct ParsedHeader {
    header_len: usize,
    payload_len: u64,
    is_final: bool,
    is_data: bool,
}

fn parse_header(bytes: &[u8]) -> Result<Option<ParsedHeader>, Fault> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, payload_len)) = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Protocol)? else {
        return Ok(None);
    };
    Ok(Some(ParsedHeader {
        header_len: usize::try_from(cursor.position()).expect("a header is short"),
        payload_len,
        is_final: header.is_final,
        is_data: matches!(header.opcode, OpCode::Data(_)),
    }))
}

/// The length of the frame at the start of `bytes`, if it is complete and is a whole message.
fn whole_message(bytes: &[u8], message_bytes_max: usize) -> Option<usize> {
    let parsed = parse_header(bytes).ok()??;
    if !parsed.is_final || parsed.payload_len > message_bytes_max as u64 {
        return None;
    }
    let len = parsed.header_len + usize::try_from(parsed.payload_len).ok()?;
    (len <= bytes.len()).then_some(len)
}

/// Feeds a context bytes that do not reach beyond the end of its frame.
fn feed(context: &mut WebSocketContext, bytes: &[u8]) -> Result<Option<Event>, Fault> {
    let mut stream = SliceStream { input: bytes, output: Vec::new() };
    let said = match context.read(&mut stream) {
        Ok(message) => message,
        Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => {
            *context = new_context();
            return Err(fault_of(&error));
        }
    };
    match said {
        Message::Text(text) => Ok(Some(Event::Message(text.into()))),
        Message::Binary(bytes) => Ok(Some(Event::Message(bytes))),
        Message::Pong(_) => Ok(Some(Event::Pong)),
        Message::Ping(_) => {
            context.flush(&mut stream).map_err(|error| fault_of(&error))?;
            Ok(Some(Event::Ping(stream.output)))
        }
        Message::Close(_) => {
            // The context queues its reply and then reports that it is closed, which is expected.
            let _closed = context.flush(&mut stream);
            *context = new_context();
            Ok(Some(Event::Close(stream.output)))
        }
        // A context never returns a raw frame from a read.
        Message::Frame(_) => Err(Fault::Protocol),
    }
}

fn fault_of(error: &tungstenite::Error) -> Fault {
    match error {
        tungstenite::Error::Capacity(_) => Fault::TooBig,
        tungstenite::Error::Utf8(_) => Fault::NotUtf8,
        _ => Fault::Protocol,
    }
}

fn new_context() -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(CONTEXT_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(None)
        .max_frame_size(None);
    WebSocketContext::new(Role::Server, Some(config))
}

/// The stream that a context expects: a slice to read and a vector to write.
struct SliceStream<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for SliceStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for SliceStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The longest frame header: two bytes, a 64-bit length and a mask (RFC 6455, section 5.2).
const HEADER_BYTES_MAX: usize = 14;
/// The longest header of an unmasked frame.
const SERVER_HEADER_BYTES_MAX: usize = 10;
/// Small, because tungstenite zeroes this buffer at each read.
const CONTEXT_BUFFER_BYTES: usize = 256;
/// Capacity kept by the buffer for outgoing texts after a very long one.
const BUFFER_BYTES_KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 1_000;

    /// A frame as a client sends it, masked with a mask that is not zero.
    fn client_frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut bytes = vec![first_byte];
        match payload.len() {
            len @ 0..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
            len @ 126..65_536 => {
                bytes.push(0xfe);
                bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                bytes.push(0xff);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// All events decoded from bytes that arrive in pieces ending at `cuts`.
    fn decode_all(bytes: &[u8], cuts: &[usize]) -> Vec<Result<Event, Fault>> {
        let mut codec = Codec::default();
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([bytes.len()]) {
            while from < to {
                let (used, event) = decoder.decode(&mut codec, &bytes[from..to], LIMIT);
                assert!(used > 0 || event.is_some(), "no progress");
                from += used;
                match event {
                    Some(event @ (Err(_) | Ok(Event::Close(_)))) => {
                        events.push(event);
                        return events;
                    }
                    Some(event) => events.push(event),
                    None => assert_eq!(from, to, "all bytes are used where nothing is said"),
                }
            }
        }
        events
    }

    fn message(text: &'static str) -> Event {
        Event::Message(tungstenite::Bytes::from_static(text.as_bytes()))
    }

    type Said = Vec<Result<Event, Fault>>;

    /// Bytes, and the events they decode to.
    fn pool() -> Vec<(Vec<u8>, Said)> {
        let huge = [&[0x81, 0xff][..], &(1_u64 << 63).to_be_bytes(), &[0; 4]].concat();
        let two_parts = [client_frame(0x01, &[b'x'; 600]), client_frame(0x80, &[b'x'; 600])].concat();
        let with_ping =
            [client_frame(0x01, b"ab"), client_frame(0x89, b"!"), client_frame(0x80, b"cd")].concat();
        let empty_parts =
            [client_frame(0x01, b""), client_frame(0x00, b""), client_frame(0x80, b"")].concat();
        vec![
            (client_frame(0x81, b"hello"), vec![Ok(message("hello"))]),
            (client_frame(0x81, b""), vec![Ok(message(""))]),
            (client_frame(0x82, b"bin"), vec![Ok(message("bin"))]),
            (client_frame(0x81, &[b'x'; 1_000]), vec![Ok(Event::Message(vec![b'x'; 1_000].into()))]),
            (client_frame(0x89, b"p"), vec![Ok(Event::Ping(vec![0x8a, 1, b'p']))]),
            (client_frame(0x8a, b"p"), vec![Ok(Event::Pong)]),
            (with_ping, vec![Ok(Event::Fragment), Ok(Event::Ping(vec![0x8a, 1, b'!'])), Ok(message("abcd"))]),
            (empty_parts, vec![Ok(Event::Fragment), Ok(Event::Fragment), Ok(message(""))]),
            (client_frame(0x88, &1000_u16.to_be_bytes()), vec![Ok(Event::Close(vec![0x88, 2, 0x03, 0xe8]))]),
            (client_frame(0x88, b""), vec![Ok(Event::Close(vec![0x88, 0]))]),
            (client_frame(0x81, b"\xff\xff"), vec![Err(Fault::NotUtf8)]),
            (client_frame(0x81, &[b'x'; 1_001]), vec![Err(Fault::TooBig)]),
            (two_parts, vec![Ok(Event::Fragment), Err(Fault::TooBig)]),
            (huge, vec![Err(Fault::TooBig)]),
            (vec![0x81, 0x01, b'x'], vec![Err(Fault::Protocol)]),
            (client_frame(0xc1, b"rsv"), vec![Err(Fault::Protocol)]),
            (client_frame(0x83, b"reserved"), vec![Err(Fault::Protocol)]),
            (client_frame(0x8b, b"reserved"), vec![Err(Fault::Protocol)]),
            (client_frame(0x80, b"no start"), vec![Err(Fault::Protocol)]),
            (client_frame(0x09, b"cut ping"), vec![Err(Fault::Protocol)]),
            (client_frame(0x89, &[0; 126]), vec![Err(Fault::Protocol)]),
            (client_frame(0x88, b"\x03"), vec![Err(Fault::Protocol)]),
        ]
    }

    #[test]
    fn each_frame_says_what_it_says() {
        for (bytes, events) in pool() {
            assert_eq!(decode_all(&bytes, &[]), events, "{bytes:02x?}");
            let every_byte: Vec<usize> = (1..bytes.len()).collect();
            assert_eq!(decode_all(&bytes, &every_byte), events, "byte by byte: {bytes:02x?}");
        }
    }

    #[test]
    fn between_messages_nothing_is_kept() {
        let mut codec = Codec::default();
        let mut decoder = Decoder::default();
        let bytes = client_frame(0x81, b"hello");
        assert_eq!(decoder.decode(&mut codec, &bytes[..4], LIMIT), (4, None));
        assert_eq!(decoder.unfinished_bytes(), Some(0), "the header is not whole");
        assert_eq!(decoder.decode(&mut codec, &bytes[4..], LIMIT).0, bytes.len() - 4);
        assert_eq!(decoder.unfinished_bytes(), None);
        decoder.decode(&mut codec, &client_frame(0x01, b"first"), LIMIT);
        assert_eq!(decoder.unfinished_bytes(), Some(5));
        decoder.decode(&mut codec, &client_frame(0x89, b"a ping between"), LIMIT);
        assert_eq!(decoder.unfinished_bytes(), Some(5));
        let last = client_frame(0x80, b"last");
        decoder.decode(&mut codec, &last[..7], LIMIT);
        assert_eq!(decoder.unfinished_bytes(), Some(6), "what has arrived, not what is announced");
        decoder.decode(&mut codec, &last[7..], LIMIT);
        assert_eq!(decoder.unfinished_bytes(), None);
    }

    #[test]
    fn a_text_is_framed_by_its_length() {
        let mut frame = TextFrame::default();
        for (len, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (1, 2)] {
            let bytes = frame.build(|out| out.resize(out.len() + len, b'x')).to_vec();
            assert_eq!(bytes.len(), header + len);
            let parsed = parse_header(&bytes).unwrap().unwrap();
            assert_eq!((parsed.payload_len, parsed.header_len, parsed.is_final), (len as u64, header, true));
        }
    }

    #[test]
    fn a_close_carries_its_code() {
        assert_eq!(close_frame(1012), [0x88, 2, 0x03, 0xf4]);
        assert_eq!(close_frame(4008), [0x88, 2, 0x0f, 0xa8]);
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_says_the_same(
            picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..6),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let pool = pool();
            let bytes: Vec<u8> = picks.iter().flat_map(|pick| pick.get(&pool).0.clone()).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.sort_unstable();
            prop_assert_eq!(decode_all(&bytes, &cuts), decode_all(&bytes, &[]));
        }
    }
}
