//! WebSocket frames of a client: any bytes, cut in any way, say the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plume::limits::GUEST_MESSAGE_BYTES_MAX;
use plume::websocket::{Codec, Decoder, Event};
use plume_fuzz::limits::limited;
use plume_fuzz::pieces::read_in_all_ways;
use plume_fuzz::{CLOSE, PONG, first_frame};

fuzz_target!(|input: &[u8]| limited(|| check(input)));

fn check(input: &[u8]) {
    let reader = || {
        let mut codec = Codec::default();
        let mut decoder = Decoder::default();
        move |bytes: &[u8]| decoder.decode(&mut codec, bytes, GUEST_MESSAGE_BYTES_MAX)
    };
    for (_, event) in read_in_all_ways(input, reader, |event| matches!(event, Err(_) | Ok(Event::Close(_)))) {
        match event {
            Ok(Event::Message(message)) => assert!(message.len() <= GUEST_MESSAGE_BYTES_MAX, "too long"),
            Ok(Event::Ping(answer)) => check_answer(PONG, &answer),
            Ok(Event::Close(answer)) => check_answer(CLOSE, &answer),
            Ok(Event::Pong | Event::Fragment) | Err(_) => {}
        }
    }
}

/// The answer to a control frame is one finished frame.
fn check_answer(first: u8, answer: &[u8]) {
    let (answer_first, payload, used) = first_frame(answer).expect("a whole frame");
    assert_eq!((answer_first, used), (first, answer.len()));
    assert!(payload.len() <= 125, "control frames are short");
}
