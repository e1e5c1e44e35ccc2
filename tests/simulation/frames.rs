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
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What a server sends.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A status line and its headers; the body has the length they say.
    Response(u16),
    Text(serde_json::Value),
    Ping,
    Pong,
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
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (header, len) = match second {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        len => (2, u64::from(len)),
    };
    let end = header + usize::try_from(len).expect("a length");
    if bytes.len() < end {
        return None;
    }
    let payload = &bytes[header..end];
    let heard = match first {
        0x81 => Heard::Text(serde_json::from_slice(payload).expect("JSON")),
        0x88 => Heard::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
        0x89 => Heard::Ping,
        0x8a => Heard::Pong,
        other => panic!("a server does not send {other:#x}"),
    };
    bytes.drain(..end);
    Some(heard)
}
