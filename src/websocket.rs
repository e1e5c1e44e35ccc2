//! Decodes and encodes WebSocket frames (RFC 6455). Owns unfinished messages; never touches sockets, and
//! never parses a message's content. The only user of tungstenite's protocol.
//!
//! A tungstenite context keeps its largest buffer for good, and what it holds of an unfinished message cannot
//! be moved to another process. So all connections share one context, which lives in the [`Codec`] and is
//! only ever fed whole frames. What has come of a frame, and the fragments of a message, are bytes of the
//! connection. To find the ends of frames, headers are parsed here too, with tungstenite's own parser.

use crate::base::frost::{Frost, Frozen, freeze_fields, frost};
use crate::limits::MEMBER_MESSAGE_BYTES_MAX;
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

/// The context that all connections share.
#[derive(Debug)]
pub struct Codec {
    context: WebSocketContext,
}

/// The decoder of one connection. Costs one word between messages.
#[derive(Debug, Default)]
pub struct Decoder {
    unfinished: Option<Box<Unfinished>>,
}

/// The state in the middle of a message, from its first byte on.
#[derive(Debug, Default)]
struct Unfinished {
    /// The fragments so far; `None` outside a fragmented message.
    fragments: Option<Fragments>,
    /// The bytes received of the current frame, its header included.
    frame: Vec<u8>,
    /// The header of the current frame, once it is whole.
    header: Option<ParsedHeader>,
}

/// A message whose last fragment has not come.
#[derive(Debug)]
struct Fragments {
    is_text: bool,
    /// The payload, unmasked.
    payload: Vec<u8>,
    /// So much of it is known to be UTF-8.
    checked: usize,
}

frost!(struct Decoder { unfinished });
frost!(struct Fragments { is_text, payload } but { checked: 0 });

impl Frost for Unfinished {
    fn freeze(&self, to: &mut Vec<u8>) {
        let Self { fragments, frame, header: _ } = self;
        freeze_fields(to, |to| {
            fragments.freeze(to);
            frame.freeze(to);
        });
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        let mut fields = from.fields()?;
        let (fragments, frame) = (fields.field()?, fields.field()?);
        let mut unfinished = Self { fragments, frame, header: None };
        if let Some(fragments) = &mut unfinished.fragments
            && fragments.is_text
        {
            fragments.check().ok()?;
        }
        if let Some(header) = parse_header(&unfinished.frame).ok()? {
            let is_whole = unfinished.frame.len() >= header.frame_len();
            if is_whole || !unfinished.fits(&header, MEMBER_MESSAGE_BYTES_MAX) {
                return None;
            }
            unfinished.header = Some(header);
        }
        (unfinished.of_fragments() <= MEMBER_MESSAGE_BYTES_MAX).then_some(unfinished)
    }
}

impl Default for Codec {
    fn default() -> Self {
        Self { context: new_context() }
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
            return (len, Some(codec.feed(&bytes[..len])));
        }
        let mut used = 0;
        while used < bytes.len() {
            let unfinished = self.unfinished.get_or_insert_default();
            let (taken, event) = unfinished.step(codec, &bytes[used..], message_bytes_max);
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

    /// The bytes received of an unfinished message, or `None` between messages. (The length announced in a
    /// header is reserved, but takes no memory before it arrives.)
    pub(crate) fn unfinished_bytes(&self) -> Option<usize> {
        self.unfinished.as_ref().map(|unfinished| unfinished.arrived())
    }
}

impl Unfinished {
    fn is_between_messages(&self) -> bool {
        self.frame.is_empty() && self.fragments.is_none()
    }

    /// Bytes received of the message, in all its fragments.
    fn arrived(&self) -> usize {
        let header = self.header.as_ref().filter(|header| header.is_data());
        let of_frame = header.map_or(0, |header| self.frame.len().saturating_sub(header.header_len));
        self.of_fragments() + of_frame
    }

    fn of_fragments(&self) -> usize {
        self.fragments.as_ref().map_or(0, |fragments| fragments.payload.len())
    }

    /// Takes bytes up to the end of the header or, after it, up to the end of the frame.
    fn step(
        &mut self,
        codec: &mut Codec,
        bytes: &[u8],
        message_bytes_max: usize,
    ) -> (usize, Result<Option<Event>, Fault>) {
        if let Some(header) = &self.header {
            let missing = header.frame_len().saturating_sub(self.frame.len());
            let taken = bytes.len().min(missing);
            self.frame.extend_from_slice(&bytes[..taken]);
            return (taken, if taken == missing { self.end_frame(codec) } else { Ok(None) });
        }
        let had = self.frame.len();
        let room = bytes.len().min(HEADER_BYTES_MAX.saturating_sub(had));
        self.frame.extend_from_slice(&bytes[..room]);
        let header = match parse_header(&self.frame) {
            Ok(Some(header)) => header,
            Ok(None) => return (room, Ok(None)),
            Err(fault) => return (room, Err(fault)),
        };
        let taken = header.header_len.saturating_sub(had);
        if !self.fits(&header, message_bytes_max) {
            return (taken, Err(Fault::TooBig));
        }
        self.frame.truncate(header.header_len);
        self.frame.reserve_exact(header.frame_len().saturating_sub(header.header_len));
        let is_whole = header.payload_len == 0;
        self.header = Some(header);
        (taken, if is_whole { self.end_frame(codec) } else { Ok(None) })
    }

    /// Whether a message with this frame is no longer than it may be.
    fn fits(&self, header: &ParsedHeader, message_bytes_max: usize) -> bool {
        let so_far = if header.is_data() { self.of_fragments() } else { 0 };
        header.payload_len <= message_bytes_max.saturating_sub(so_far) as u64
    }

    /// Uses a frame that has come whole.
    fn end_frame(&mut self, codec: &mut Codec) -> Result<Option<Event>, Fault> {
        let frame = std::mem::take(&mut self.frame);
        let Some(ParsedHeader { header, header_len, .. }) = self.header.take() else { return Ok(None) };
        let data = match header.opcode {
            OpCode::Data(data) if !header.is_final || self.fragments.is_some() => data,
            OpCode::Data(_) | OpCode::Control(_) => return codec.feed(&frame).map(Some),
        };
        let mut fragments = match (data, self.fragments.take()) {
            (Data::Text | Data::Binary, None) => Fragments::new(data == Data::Text),
            (Data::Continue, Some(fragments)) => fragments,
            (Data::Text | Data::Binary | Data::Continue | Data::Reserved(_), _) => {
                return Err(Fault::Protocol);
            }
        };
        let has_reserved = header.rsv1 || header.rsv2 || header.rsv3;
        let mask = header.mask.filter(|_| !has_reserved).ok_or(Fault::Protocol)?;
        fragments.add(frame.get(header_len..).unwrap_or_default(), mask)?;
        if header.is_final {
            return fragments.end().map(Some);
        }
        self.fragments = Some(fragments);
        Ok(Some(Event::Fragment))
    }
}

impl Fragments {
    const fn new(is_text: bool) -> Self {
        Self { is_text, payload: Vec::new(), checked: 0 }
    }

    /// Appends the payload of a fragment.
    fn add(&mut self, masked: &[u8], mask: [u8; 4]) -> Result<(), Fault> {
        self.payload.extend(masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        if self.is_text { self.check() } else { Ok(()) }
    }

    /// Checks what is not known to be UTF-8 yet. A character may go on in the next fragment.
    fn check(&mut self) -> Result<(), Fault> {
        match str::from_utf8(self.payload.get(self.checked..).unwrap_or_default()) {
            Ok(_) => self.checked = self.payload.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Fault::NotUtf8),
        }
        Ok(())
    }

    fn end(self) -> Result<Event, Fault> {
        let is_cut = self.is_text && self.checked < self.payload.len();
        if is_cut { Err(Fault::NotUtf8) } else { Ok(Event::Message(self.payload.into())) }
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
pub(crate) fn text_of(frame: &[u8]) -> &[u8] {
    match parse_header(frame) {
        Ok(Some(parsed)) => frame.get(parsed.header_len..).unwrap_or_default(),
        Ok(None) | Err(_) => &[],
    }
}

/// An encoded close frame with a code and no reason text.
pub(crate) fn close_frame(code: u16) -> Vec<u8> {
    let frame = Frame::close(Some(CloseFrame { code: CloseCode::from(code), reason: "".into() }));
    let mut bytes = Vec::with_capacity(frame.len());
    frame.format(&mut bytes).expect("a vector takes everything");
    bytes
}

#[derive(Debug)]
struct ParsedHeader {
    header_len: usize,
    payload_len: u64,
    header: FrameHeader,
}

impl ParsedHeader {
    const fn is_data(&self) -> bool {
        matches!(self.header.opcode, OpCode::Data(_))
    }

    fn frame_len(&self) -> usize {
        let payload_len = usize::try_from(self.payload_len).unwrap_or(usize::MAX);
        self.header_len.saturating_add(payload_len)
    }
}

fn parse_header(bytes: &[u8]) -> Result<Option<ParsedHeader>, Fault> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, payload_len)) = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Protocol)? else {
        return Ok(None);
    };
    let header_len = usize::try_from(cursor.position()).expect("a header is short");
    Ok(Some(ParsedHeader { header_len, payload_len, header }))
}

/// The length of the frame at the start of `bytes`, if it is complete and is a whole message.
fn whole_message(bytes: &[u8], message_bytes_max: usize) -> Option<usize> {
    let parsed = parse_header(bytes).ok()??;
    if !parsed.header.is_final || parsed.payload_len > message_bytes_max as u64 {
        return None;
    }
    let len = parsed.frame_len();
    (len <= bytes.len()).then_some(len)
}

impl Codec {
    /// Decodes one whole frame that is a message of its own.
    fn feed(&mut self, frame: &[u8]) -> Result<Event, Fault> {
        let context = &mut self.context;
        let mut stream = SliceStream { input: frame, output: Vec::new() };
        let said = context.read(&mut stream).map_err(|error| {
            *context = new_context();
            fault_of(&error)
        })?;
        match said {
            Message::Text(text) => Ok(Event::Message(text.into())),
            Message::Binary(bytes) => Ok(Event::Message(bytes)),
            Message::Pong(_) => Ok(Event::Pong),
            Message::Ping(_) => {
                context.flush(&mut stream).map_err(|error| fault_of(&error))?;
                Ok(Event::Ping(stream.output))
            }
            Message::Close(_) => {
                // The context queues its reply and then reports that it is closed, which is expected.
                let _closed = context.flush(&mut stream);
                *context = new_context();
                Ok(Event::Close(stream.output))
            }
            // A context never returns a raw frame from a read.
            Message::Frame(_) => Err(Fault::Protocol),
        }
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

    /// The same decoder in the next process.
    fn moved(decoder: &Decoder) -> Decoder {
        let mut bytes = Vec::new();
        decoder.freeze(&mut bytes);
        for end in 0..bytes.len() {
            assert!(Decoder::thaw(&mut Frozen::new(&bytes[..end])).is_none(), "{end} of {bytes:?}");
        }
        Decoder::thaw(&mut Frozen::new(&bytes)).expect("the bytes are its own")
    }

    /// All events decoded from bytes that arrive in pieces ending at `cuts`, with a move to another process
    /// after each piece.
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
            decoder = moved(&decoder);
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
            assert_eq!(
                (parsed.payload_len, parsed.header_len, parsed.header.is_final),
                (len as u64, header, true)
            );
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
