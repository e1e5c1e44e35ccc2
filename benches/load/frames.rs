//! WebSocket frames as the load needs them: lines with a stamp to send, and a walk over what comes back.
//!
//! Nothing is unmasked or parsed: a delivered line is a text frame, and its stamp stands at a fixed distance
//! from its end.

/// Bytes of text in one line.
pub(crate) const TEXT_BYTES: usize = 100;
/// Hexadecimal digits of a stamp, at the start of the text.
const STAMP_DIGITS: usize = 16;
/// What follows the text of a line: `"}`.
const AFTER_TEXT_BYTES: usize = 2;

/// A line as it is sent, with room for its stamp.
pub(crate) struct Line {
    frame: Vec<u8>,
    stamp_at: usize,
}

impl Line {
    /// A line as a client says it: masked, with a mask of zeros, which changes nothing.
    pub(crate) fn for_plume() -> Self {
        let text = "-".repeat(TEXT_BYTES);
        Self::new(masked(&format!(r#"{{"type":1,"text":"{text}"}}"#)))
    }

    /// A line as Plume would deliver it, byte for byte as long: the floor passes it on as it is.
    pub(crate) fn for_floor() -> Self {
        let text = "-".repeat(TEXT_BYTES);
        let json = format!(
            r#"{{"type":1,"id":1000000,"time":1600000000000,"user":{{"name":"{NAME}"}},"text":"{text}"}}"#
        );
        Self::new(unmasked(&json))
    }

    fn new(frame: Vec<u8>) -> Self {
        let stamp_at = frame.len() - AFTER_TEXT_BYTES - TEXT_BYTES;
        Self { frame, stamp_at }
    }

    /// Appends the line, stamped with a number of nanoseconds.
    pub(crate) fn write(&self, stamp_ns: u64, out: &mut Vec<u8>) {
        let start = out.len() + self.stamp_at;
        out.extend_from_slice(&self.frame);
        let digits = out[start..start + STAMP_DIGITS].iter_mut().rev();
        for (digit, shift) in digits.zip((0..).step_by(4)) {
            *digit = HEX[(stamp_ns >> shift & 0xf) as usize];
        }
    }
}

/// The stamp of a delivered line; `None`: it is no line of ours.
pub(crate) fn stamp(payload: &[u8]) -> Option<u64> {
    let start = payload.len().checked_sub(AFTER_TEXT_BYTES + TEXT_BYTES)?;
    payload[start..start + STAMP_DIGITS].iter().try_fold(0, |stamp, &digit| {
        let value = (digit as char).to_digit(16)?;
        Some(stamp << 4 | u64::from(value))
    })
}

/// A text frame of a client, with a mask of zeros.
pub(crate) fn masked(json: &str) -> Vec<u8> {
    frame(TEXT, json.as_bytes(), 0x80, &[0; 4])
}

/// The answer to a ping without a payload.
pub(crate) fn pong() -> Vec<u8> {
    frame(PONG, b"", 0x80, &[0; 4])
}

/// A text frame of a server.
pub(crate) fn unmasked(json: &str) -> Vec<u8> {
    frame(TEXT, json.as_bytes(), 0, &[])
}

fn frame(opcode: u8, payload: &[u8], mask_bit: u8, mask: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u16::try_from(payload.len()).expect("the load sends no long lines") {
        len @ 0..126 => frame.push(mask_bit | u8::try_from(len).expect("it is below 126")),
        len => {
            frame.push(mask_bit | 0x7e);
            frame.extend(len.to_be_bytes());
        }
    }
    frame.extend_from_slice(mask);
    frame.extend_from_slice(payload);
    frame
}

/// The first whole frame of a server: its opcode, its payload and its length, all told.
#[inline]
pub(crate) fn first(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&head, &len) = (bytes.first()?, bytes.get(1)?);
    let (start, len) = match len {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?),
        len => (2, usize::from(len)),
    };
    let payload = bytes.get(start..start + len)?;
    Some((head & 0x0f, payload, start + len))
}

/// How many frames with the header of the first, which is `frame_len` long, stand at the start: lines mostly
/// are.
pub(crate) fn alike(bytes: &[u8], frame_len: usize) -> usize {
    let frames = bytes.chunks_exact(frame_len);
    frames.take_while(|frame| frame.first_chunk::<4>() == bytes.first_chunk()).count()
}

/// Who says all lines.
pub(crate) const NAME: &str = "load";
/// The opcodes of RFC 6455, section 5.2.
pub(crate) const TEXT: u8 = 0x1;
/// See [`TEXT`].
pub(crate) const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const HEX: &[u8; 16] = b"0123456789abcdef";
