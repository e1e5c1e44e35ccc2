//! Parcels: from no bytes does a server thaw that panics, then or later, or that never comes to rest. The
//! input is a parcel, and it is also a list of changes to a real one, so that short inputs come far.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plume::base::time::{Moment, Now};
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::limits::BACKLOG_BYTES_MIN;
use plume::server::{Input, Output, Server};
use plume::settings::Settings;
use plume_fuzz::limits::limited;
use std::sync::LazyLock;
use std::time::Duration;

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let index = ("index.html".to_owned(), "<p>hello".into());
    Site::new(Assets::from_files("Plume", vec![index]).expect("there is an index"), Vec::new())
});
static REAL: &[u8] = include_bytes!("../../tests/parcels/0.1.0.bin");

fuzz_target!(|input: &[u8]| limited(|| {
    live(input);
    live(&changed(input));
}));

/// The real parcel with changes: each is a place, in two bytes, and what stands there from then on.
fn changed(input: &[u8]) -> Vec<u8> {
    let mut parcel = REAL.to_vec();
    for &[high, low, byte] in input.as_chunks().0 {
        let place = usize::from(u16::from_be_bytes([high, low])) % parcel.len();
        parcel[place] = byte;
    }
    parcel
}

fn live(parcel: &[u8]) {
    let settings = Settings { backlog_bytes: BACKLOG_BYTES_MIN, ..Settings::default() };
    let Some(mut server) = Server::thaw(parcel, settings, SITE.clone(), [0; 32]) else { return };
    server.mails_under_way();
    let ids: Vec<ClientId> = server.connections().take(CLIENTS_MAX).collect();
    let mut now = Now { moment: Moment::from_ms(1_000), wall_ms: 1_700_000_000_000 };
    let texts = [&b"\x81\x84\0\0\0\0{\"a\""[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"", b"\r\n\r\n"];
    for (&id, bytes) in ids.iter().zip(texts.iter().cycle()) {
        server.handle(now, Input::Received { id, bytes });
        server.handle(now, Input::Writable(id));
    }
    for wait in [0, 10, 1_000, 100_000, 100_000_000] {
        now.moment = now.moment.after(Duration::from_millis(wait));
        server.handle(now, Input::Tick);
        obey(&mut server, now);
        // What a server says of itself, and a move of what was thawed.
        drop((server.usage(), format!("{:?}", server.metrics(now)), server.next_deadline()));
        assert!(!server.freeze().is_empty());
    }
    server.handle(now, Input::Shutdown);
    for &id in &ids {
        server.handle(now, Input::PeerEnded(id));
    }
    obey(&mut server, now);
    now.moment = now.moment.after(Duration::from_hours(1));
    server.handle(now, Input::Tick);
    obey(&mut server, now);
    assert_eq!(server.connections().count(), 0, "a server that is shut down closes all connections");
}

/// Does all that the server asks for. It comes to an end.
fn obey(server: &mut Server, now: Now) {
    for turn in 0.. {
        let Some(output) = server.poll() else { return };
        if let Output::Write(id) = output {
            let bytes: usize = server.unsent(id).iter().map(|slice| slice.len()).sum();
            // Some sockets take a part.
            server.handle(now, Input::Wrote { id, bytes: if turn % 5 == 0 { bytes / 2 } else { bytes } });
            server.handle(now, Input::Writable(id));
        }
        assert!(turn < OUTPUTS_MAX, "there is no end to what the server says");
    }
}

/// Connections that do something; more only cost time.
const CLIENTS_MAX: usize = 32;
/// More than all clients of an input can be told.
const OUTPUTS_MAX: u32 = 20_000;
