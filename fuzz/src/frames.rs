//! WebSocket frames as a client writes and reads them (RFC 6455, section 5.2), without the server's own code.

/// The first byte of a whole text message.
pub const TEXT: u8 = 0x81;
/// The first byte of a close.
pub const CLOSE: u8 = 0x88;
/// The first byte of a ping.
pub const PING: u8 = 0x89;
/// The first byte of a pong.
pub const PONG: u8 = 0x8a;

/// A frame from a client, masked with a mask that is not zero.
#[must_use]
pub fn from_client(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut frame = vec![first];
    if let Ok(len @ 0..126) = u8::try_from(payload.len()) {
        frame.push(0x80 | len);
    } else if let Ok(len) = u16::try_from(payload.len()) {
        frame.push(0x80 | 0x7e);
        frame.extend(len.to_be_bytes());
    } else {
        frame.push(0x80 | 0x7f);
        frame.extend((payload.len() as u64).to_be_bytes());
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The first byte, the payload and the length of the frame that a server has put at the start of `bytes`. `None`: it is
/// not all there.
#[must_use]
pub fn from_server(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
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
    let len = usize::try_from(len).expect("a length fits");
    let payload = rest.get(..len)?;
    Some((first, payload, bytes.len() - rest.len() + len))
}
