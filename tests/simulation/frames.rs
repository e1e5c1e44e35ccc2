//! The client's side of the bytes: masked frames out, unmasked frames in. Written apart from the server's, so that the
//! two check each other.

/// A masked frame of one piece.
pub(crate) fn frame(first_byte: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
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
    if mask == [0; 4] {
        bytes.extend(payload);
    } else {
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    bytes
}

/// What a server sends.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A status line and its headers; the body has the length they say.
    Response(u16),
    /// The payload of a text frame.
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

/// Takes the first whole response out of `bytes`.
pub(crate) fn take_response(bytes: &mut Vec<u8>) -> Option<Heard> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = str::from_utf8(&bytes[..end]).expect("a head is ASCII").to_owned();
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status line");
    let body_len = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned))
        .map_or(0, |len| len.trim().parse().expect("a length"));
    if bytes.len() < end + body_len {
        return None;
    }
    bytes.drain(..end + body_len);
    Some(Heard::Response(status.parse().expect("a status")))
}

/// Takes the first whole frame out of `bytes`.
pub(crate) fn take_frame(bytes: &mut Vec<u8>) -> Option<Heard> {
    let &first = bytes.first()?;
    assert!(matches!(first, 0x81 | 0x88..=0x8a), "a server does not send {first:#x}");
    let &second = bytes.get(1)?;
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (header, len) = match second {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        len => (2, u64::from(len)),
    };
    let shortest = match len {
        0..126 => len,
        126..65_536 => 126,
        65_536.. => 127,
    };
    assert_eq!(u64::from(second), shortest, "a length is written in the shortest way");
    assert!(len <= FRAME_BYTES_MAX, "a server sends no frame of {len} bytes");
    let end = header + usize::try_from(len).expect("a length");
    if bytes.len() < end {
        return None;
    }
    let payload = bytes[header..end].to_vec();
    let heard = match first {
        0x81 => Heard::Text(payload),
        0x88 => Heard::Close(close_code(&payload)),
        0x89 => Heard::Ping(payload),
        _ => Heard::Pong(payload),
    };
    bytes.drain(..end);
    Some(heard)
}

/// The code of a close frame. The server adds no words of its own.
fn close_code(payload: &[u8]) -> Option<u16> {
    let (code, words) = payload.split_first_chunk()?;
    assert!(words.len() <= 123, "control frames are short");
    Some(u16::from_be_bytes(*code))
}

/// The longest line, and the longest answer to a client that enters, are shorter.
const FRAME_BYTES_MAX: u64 = 1 << 20;
