//! What the Autobahn test suite asks of a WebSocket server, in its groups 1 to 7 and 10, as far as a chat can
//! be asked: what it has echoed there is a line of the room here.

use crate::onlooker::Onlooker;
use crate::support::{Client, Event, Plume, frame};

/// What a case is to bring, in this order; lines of the onlooker may come between.
#[derive(Debug, PartialEq, Clone)]
enum Seen {
    Line(String),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

use Seen::{Close, Line, Pong};

/// A case: its number in the suite, what is sent, and what is to be seen. What stands behind [`pause`] is
/// sent when all but the close has been seen.
type Case = (String, Vec<Vec<u8>>, Vec<Seen>);

/// A place in a case where the suite would wait for the echo.
fn pause() -> Vec<u8> {
    Vec::new()
}

/// Sends each case on connections of its own: at once, and in small pieces.
fn assert_cases(cases: &[Case]) {
    let server = Plume::start(&[("PLUME_RATE", "100000"), ("PLUME_HISTORY", "0")]);
    let ada = Client::login(&server, "Ada");
    let onlooker = Onlooker::join(&server);
    for (case, parts, expected) in cases {
        let is_closed = matches!(expected.last(), Some(Close(_)));
        let (before, after) = expected.split_at(expected.len() - usize::from(is_closed));
        for pieces in [1, 300] {
            let mut client = Client::resume_of(&server, &ada, None);
            let mut seen = Vec::new();
            for bytes in parts.split(Vec::is_empty).map(<[_]>::concat) {
                for piece in bytes.chunks(bytes.len().div_ceil(pieces).max(1)) {
                    client.send_raw(piece);
                }
                if parts.contains(&pause()) || !is_closed {
                    see_up_to(before.last(), &mut client, &mut seen);
                }
            }
            if !is_closed {
                client.send_raw(&frame(0x88, &1000_u16.to_be_bytes()));
            }
            let last = see_to_the_end(&mut client, &mut seen);
            assert_eq!(short(&seen), short(before), "{case} in {pieces}");
            assert_eq!([last], if is_closed { after } else { &[Close(Some(1000))] }, "{case} in {pieces}");
        }
    }
    onlooker.finish();
}

/// Sees what comes until it is `last`; at once where nothing is awaited or it was seen.
fn see_up_to(last: Option<&Seen>, client: &mut Client, seen: &mut Vec<Seen>) {
    while last.is_some() && seen.last() != last {
        if let close @ Close(_) = see(client, seen) {
            panic!("{close:?} after {:?}", short(seen));
        }
    }
}

/// Everything up to the close frame, after which the connection ends.
fn see_to_the_end(client: &mut Client, seen: &mut Vec<Seen>) -> Seen {
    loop {
        if let close @ Close(_) = see(client, seen) {
            client.expect_end();
            return close;
        }
    }
}

/// Sees one thing, and gives it; what is not a close is kept.
fn see(client: &mut Client, seen: &mut Vec<Seen>) -> Seen {
    loop {
        let thing = match client.next() {
            Event::Json(line) if line["user"]["name"] == "Ada" && line.get("event").is_none() => {
                Line(line["text"].as_str().expect("a line has a text").to_owned())
            }
            Event::Json(_) | Event::Ping => continue,
            Event::Pong(payload) => Pong(payload),
            Event::Close(code) => return Close(code),
            Event::End(error) => panic!("{error} without a close frame, after {:?}", short(seen)),
        };
        seen.push(thing.clone());
        return thing;
    }
}

/// Long lines as their lengths and ends.
fn short(seen: &[Seen]) -> Vec<String> {
    let shown = seen.iter().map(|seen| match seen {
        Line(text) if text.len() > 80 => format!("{} bytes, last {:?}", text.len(), text.chars().last()),
        other => format!("{other:?}"),
    });
    shown.collect()
}

fn case(number: &str, parts: &[Vec<u8>], expected: &[Seen]) -> Case {
    (number.to_owned(), parts.to_vec(), expected.to_vec())
}

/// A line as JSON.
fn said(text: &str) -> Vec<u8> {
    serde_json::json!({"type": 1, "text": text}).to_string().into_bytes()
}

fn line(text: &str) -> Seen {
    Line(text.to_owned())
}

#[test]
fn group_1_messages_of_all_lengths() {
    let mut cases = Vec::new();
    for (first, kind) in [(0x81, "1.1 text"), (0x82, "1.2 binary")] {
        for length in [125, 126, 127, 128, 65_535, 65_536] {
            let text = "*".repeat(length - said("").len());
            let payload = said(&text);
            assert_eq!(payload.len(), length);
            cases.push(case(&format!("{kind}, {length} bytes"), &[frame(first, &payload)], &[line(&text)]));
        }
    }
    assert_cases(&cases);
}

#[test]
fn group_2_pings_and_pongs() {
    let pong = |payload: &[u8]| Pong(payload.to_vec());
    let long: Vec<u8> = vec![0xfe; 125];
    let binary = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    let payloads: Vec<String> = (0..10).map(|n| format!("payload-{n}")).collect();
    let ten: Vec<u8> = payloads.iter().flat_map(|payload| frame(0x89, payload.as_bytes())).collect();
    let pongs: Vec<Seen> = payloads.iter().map(|payload| pong(payload.as_bytes())).collect();
    assert_cases(&[
        case("2.1 empty ping", &[frame(0x89, b"")], &[pong(b"")]),
        case("2.2 ping", &[frame(0x89, b"Hello, world!")], &[pong(b"Hello, world!")]),
        case("2.3 ping that is no text", &[frame(0x89, &binary)], &[pong(&binary)]),
        case("2.4 and 2.6 ping of 125 bytes", &[frame(0x89, &long)], &[pong(&long)]),
        case("2.5 ping of 126 bytes", &[frame(0x89, &[0xfe; 126])], &[Close(Some(1002))]),
        case("2.7 pong that nobody asked for", &[frame(0x8a, b"")], &[]),
        case("2.8 the same with payload", &[frame(0x8a, b"unsolicited")], &[]),
        case("2.9 the same before a ping", &[frame(0x8a, b"x"), frame(0x89, b"ping")], &[pong(b"ping")]),
        case("2.10 and 2.11 ten pings", &[ten], &pongs),
        case("pong of 126 bytes", &[frame(0x8a, &[0; 126])], &[Close(Some(1002))]),
    ]);
}

#[test]
fn group_3_reserved_bits() {
    let mut cases = Vec::new();
    let closed = Close(Some(1002));
    for bits in 1..8_u8 {
        let rsv = bits << 4;
        let good = frame(0x81, &said("good"));
        let rows = [
            ("text", 0x81, said("x")),
            ("binary", 0x82, said("x")),
            ("ping", 0x89, b"x".to_vec()),
            ("pong", 0x8a, b"x".to_vec()),
            ("close", 0x88, 1000_u16.to_be_bytes().to_vec()),
        ];
        for (what, first, payload) in rows {
            let number = format!("3.{bits} {what}");
            let bad = frame(first | rsv, &payload);
            cases.push(case(&number, &[bad.clone(), frame(0x89, b"")], std::slice::from_ref(&closed)));
            cases.push(case(&number, &[good.clone(), pause(), bad], &[line("good"), closed.clone()]));
        }
    }
    assert_cases(&cases);
}

#[test]
fn group_4_reserved_opcodes() {
    let mut cases = Vec::new();
    let closed = Close(Some(1002));
    for opcode in (3..8_u8).chain(11..16) {
        for payload in [&b""[..], b"reserved opcode payload"] {
            let bad = frame(0x80 | opcode, payload);
            let good = frame(0x81, &said("good"));
            let number = format!("4, opcode {opcode}, {} bytes", payload.len());
            cases.push(case(&number, std::slice::from_ref(&bad), std::slice::from_ref(&closed)));
            cases.push(case(
                &number,
                &[good, pause(), bad, frame(0x89, b"")],
                &[line("good"), closed.clone()],
            ));
        }
    }
    assert_cases(&cases);
}

#[test]
fn group_5_fragments() {
    let whole = said("fragment1fragment2");
    let (one, two) = whole.split_at(20);
    let (two, three) = two.split_at(5);
    let text = line("fragment1fragment2");
    let closed = Close(Some(1002));
    let asked = || frame(0x89, b"ping");
    let answer = Pong(b"ping".to_vec());
    let rest = [two, three].concat();
    assert_cases(&[
        case("5.1 ping in two", &[frame(0x09, b"a"), frame(0x80, b"b")], std::slice::from_ref(&closed)),
        case("5.2 pong in two", &[frame(0x0a, b"a"), frame(0x80, b"b")], std::slice::from_ref(&closed)),
        case("5.3 to 5.5 text in two", &[frame(0x01, one), frame(0x80, &rest)], std::slice::from_ref(&text)),
        case(
            "5.6 to 5.8 with a ping between",
            &[frame(0x01, one), asked(), frame(0x80, &rest)],
            &[answer.clone(), text.clone()],
        ),
        case(
            "5.9 and 5.10 continuation of nothing",
            &[frame(0x80, &whole), frame(0x81, &whole)],
            std::slice::from_ref(&closed),
        ),
        case(
            "5.12 and 5.13 the same, unfinished",
            &[frame(0x00, &whole), frame(0x81, &whole)],
            std::slice::from_ref(&closed),
        ),
        case(
            "5.15 a message, then a continuation of nothing",
            &[frame(0x01, one), frame(0x80, &rest), pause(), frame(0x00, one), frame(0x81, &whole)],
            &[text.clone(), closed.clone()],
        ),
        case(
            "5.18 a text within a text",
            &[frame(0x01, one), frame(0x81, &rest)],
            std::slice::from_ref(&closed),
        ),
        case("a binary within a text", &[frame(0x01, one), frame(0x02, &rest)], &[closed]),
        case(
            "5.19 and 5.20 five fragments with two pings",
            &[
                frame(0x01, one),
                frame(0x00, b""),
                asked(),
                frame(0x00, two),
                frame(0x00, b""),
                asked(),
                frame(0x80, three),
            ],
            &[answer.clone(), answer, text.clone()],
        ),
        case("binary in three", &[frame(0x02, one), frame(0x00, two), frame(0x80, three)], &[text]),
    ]);
}

/// A line whose text is these bytes, which may be no text.
fn said_bytes(text: &[u8]) -> Vec<u8> {
    [br#"{"type":1,"text":""#, text, br#""}"#].concat()
}

#[test]
fn group_6_text_is_utf8() {
    let mut cases = Vec::new();
    let good = [
        "Hello-µ@ßöäüàá-UTF-8!!",
        "κόσμε",
        "a\u{80}",
        "\u{7ff}",
        "\u{800}",
        "\u{ffff}",
        "\u{10000}",
        "\u{10ffff}",
        "\u{fffe}",
        "\u{d7ff}\u{e000}",
    ];
    for text in good {
        let payload = said_bytes(text.as_bytes());
        cases.push(case("6.2 and 6.5 to 6.22", &[frame(0x81, &payload)], &[line(text)]));
        // Cut within a character, too.
        let bytes: Vec<u8> = payload
            .iter()
            .enumerate()
            .flat_map(|(n, byte)| frame(u8::from(n == 0), &[*byte]))
            .chain(frame(0x80, b""))
            .collect();
        cases.push(case("6.2.4 a fragment for each byte", &[bytes], &[line(text)]));
    }
    let bad: [&[u8]; 20] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\x80",
        b"\xbf",
        b"\x80\xbf\x80\xbf",
        b"\xc0 \xc1 ",
        b"\xe0 \xef ",
        b"\xf0 \xf7 ",
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xa0\x80",
        b"\xed\xad\xbf\xed\xb0\x80",
    ];
    for text in bad {
        let payload = said_bytes(text);
        let closed = [Close(Some(1007))];
        let cut = payload.len() - 3;
        cases.push(case(&format!("6.3 to 6.21 {text:02x?}"), &[frame(0x81, &payload)], &closed));
        let parts = [frame(0x01, &payload[..cut]), frame(0x80, &payload[cut..])];
        cases.push(case(&format!("6.4 {text:02x?} in two"), &parts, &closed));
    }
    assert_cases(&cases);
}

#[test]
fn group_7_closes() {
    let close = |code: u16, reason: &[u8]| frame(0x88, &[&code.to_be_bytes(), reason].concat());
    let mut cases = vec![
        case(
            "7.1.1 a text, then a close",
            &[frame(0x81, &said("x")), pause(), close(1000, b"")],
            &[line("x"), Close(Some(1000))],
        ),
        case("7.1.2 two closes", &[close(1000, b""), close(1000, b"")], &[Close(Some(1000))]),
        case("7.1.3 a ping after a close", &[close(1000, b""), frame(0x89, b"x")], &[Close(Some(1000))]),
        case(
            "7.1.4 a text after a close",
            &[close(1000, b""), frame(0x81, &said("x"))],
            &[Close(Some(1000))],
        ),
        case(
            "7.1.5 a close within a text",
            &[frame(0x01, &said("x")), close(1000, b""), frame(0x80, b"")],
            &[Close(Some(1000))],
        ),
        case(
            "7.1.6 a long text, then a close",
            &[frame(0x81, &said(&"*".repeat(60_000))), pause(), close(1000, b"")],
            &[line(&"*".repeat(60_000)), Close(Some(1000))],
        ),
        case("7.3.1 a close without a code", &[frame(0x88, b"")], &[Close(None)]),
        case("7.3.2 a close of one byte", &[frame(0x88, b"a")], &[Close(Some(1002))]),
        case("7.3.4 a close with a reason", &[close(1000, b"Hello World!")], &[Close(Some(1000))]),
        case("7.3.5 a close of 125 bytes", &[close(1000, &[b'*'; 123])], &[Close(Some(1000))]),
        case("7.3.6 a close of 126 bytes", &[close(1000, &[b'*'; 124])], &[Close(Some(1002))]),
        case("7.5.1 a reason that is no text", &[close(1000, b"\xce\xba\xed\xa0\x80")], &[Close(Some(1007))]),
        case("a close in two", &[frame(0x08, b"\x03"), frame(0x80, b"\xe8")], &[Close(Some(1002))]),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(case(&format!("7.7 code {code}"), &[close(code, b"")], &[Close(Some(code))]));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(case(&format!("7.9 and 7.13 code {code}"), &[close(code, b"")], &[Close(Some(1002))]));
    }
    assert_cases(&cases);
}

#[test]
fn group_10_a_long_text_in_many_fragments() {
    let text = "*".repeat(65_536);
    let payload = said(&text);
    let count = payload.chunks(1_300).count();
    let fragments: Vec<u8> = payload
        .chunks(1_300)
        .enumerate()
        .flat_map(|(n, part)| frame(u8::from(n == 0) | if n + 1 == count { 0x80 } else { 0 }, part))
        .collect();
    assert_cases(&[case("10.1.1", &[fragments], &[line(&text)])]);
}

#[test]
fn frames_without_a_mask_are_refused() {
    let unmasked = |first: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).expect("it is short");
        [&[first, length][..], payload].concat()
    };
    let closed = [Close(Some(1002))];
    assert_cases(&[
        case("text", &[unmasked(0x81, &said("x"))], &closed),
        case("ping", &[unmasked(0x89, b"x")], &closed),
        case("close", &[unmasked(0x88, &1000_u16.to_be_bytes())], &closed),
        case("fragment", &[frame(0x01, &said("x")), unmasked(0x80, b"")], &closed),
    ]);
}
