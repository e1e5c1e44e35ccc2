//! What an engine sends: any bytes, cut in any way, say the same; nothing is said after the connections are
//! lost; and no more is held than has come.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plume::base::time::Moment;
use plume::config::{RedisLogin, RedisPlace, RedisUrl};
use plume::engine::{Ask, EntryId, Say};
use plume::redis::{Action, Connections, Side};
use plume_fuzz::limits::limited;

fuzz_target!(|input: &[u8]| limited(|| check(input)));

/// An input begins with a byte for what is asked, a byte that says how much of the rest is for the writer,
/// and one for the size of the pieces; all else is what comes.
fn check(input: &[u8]) {
    let [asked, share, size, replies @ ..] = input else { return };
    let (writer, tail) = replies.split_at(replies.len() * usize::from(*share) / 255);
    let whole = live(*asked, [writer, tail], usize::MAX);
    assert_eq!(live(*asked, [writer, tail], usize::from(*size).max(1)), whole, "in pieces");
    assert_eq!(live(*asked, [writer, tail], 1), whole, "byte by byte");
}

/// Everything that is said, entries one by one, and everything that is sent.
fn live(asked: u8, replies: [&[u8]; 2], size: usize) -> (Vec<Action>, Vec<u8>) {
    let login = RedisLogin { user: None, password: "secret".to_owned() };
    let mut connections = Connections::new(&RedisUrl {
        place: RedisPlace::Unix("/nowhere".into()),
        login: (asked & 1 != 0).then_some(login),
        key: "k".to_owned(),
    });
    let now = Moment::from_ms(1);
    let at = (asked & 2 != 0).then_some(EntryId { ms: 1, seq: 1 });
    connections.ask(now, Ask::Check { at });
    connections.connected(now, Side::Writer);
    let asks = [
        Ask::Recent,
        Ask::Add(b"entry".to_vec()),
        Ask::Put { key: 1, value: b"state".to_vec() },
        Ask::Get { key: 1 },
        Ask::Get { key: 2 },
        Ask::Read { after: EntryId { ms: 1, seq: 1 } },
    ];
    for (bit, ask) in (2..).zip(asks) {
        if asked >> bit & 1 != 0 {
            connections.ask(now, ask);
        }
    }
    let (mut said, mut sent) = (Vec::new(), Vec::new());
    let mut is_lost = false;
    for (side, bytes) in [Side::Writer, Side::Tail].into_iter().zip(replies) {
        connections.connected(now, side);
        for piece in bytes.chunks(size) {
            connections.received(now, side, piece);
            while let Some(action) = connections.poll() {
                assert!(!is_lost, "nothing is said after the end");
                match action {
                    Action::Say(Say::Entries(entries)) => {
                        assert!(!entries.is_empty());
                        said.extend(entries.into_iter().map(|entry| Action::Say(Say::Entries(vec![entry]))));
                    }
                    // Nothing is to be connected any more if the end came with the same piece.
                    Action::Connect(_) => {}
                    action => {
                        is_lost = matches!(action, Action::Lose(_));
                        said.push(action);
                    }
                }
            }
        }
        while !connections.unsent(side).is_empty() {
            let unsent = connections.unsent(side).to_vec();
            connections.wrote(side, unsent.len());
            sent.extend(unsent);
        }
    }
    // What is sent before the end depends on when the end is known.
    if is_lost {
        sent.clear();
    }
    (said, sent)
}
