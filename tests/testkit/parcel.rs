//! A server from any bytes that are perhaps a parcel: it never panics, then or later, and comes to rest.

use plume::base::time::{Moment, Now};
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::server::{Input, Output, Server};
use plume::settings::Settings;
use std::time::Duration;

/// Lives through an hour with the server that thaws, to its end. Gives whether one does.
pub(crate) fn live(parcel: &[u8], settings: Settings, site: Site) -> bool {
    let Some(mut server) = Server::thaw(parcel, settings, site, [0; 32]) else { return false };
    let ids: Vec<ClientId> = server.connections().take(CLIENTS_MAX).collect();
    let mut now = Now { moment: Moment::from_ms(6_000), wall_ms: 1_700_000_000_000 };
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
        assert!(server.mails_under_way().len() <= parcel.len() && !server.usage().is_empty());
        assert!(!format!("{:?}", server.metrics(now)).is_empty());
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
    true
}

/// Does all that the server asks for. It comes to an end.
fn obey(server: &mut Server, now: Now) {
    for turn in 0.. {
        let Some(output) = server.poll() else { return };
        if let Output::Write(id) = output {
            let bytes: usize = server.unsent(id).iter().map(|slice| slice.len()).sum();
            // Some sockets take a part.
            let taken = if turn % 5 == 0 { bytes / 2 } else { bytes };
            server.handle(now, Input::Wrote { id, bytes: taken });
            server.handle(now, Input::Writable(id));
        }
        assert!(turn < OUTPUTS_MAX, "there is no end to what the server says");
    }
}

/// Connections that do something; more only cost time.
const CLIENTS_MAX: usize = 32;
/// More than all clients of a few KiB of input can be told.
const OUTPUTS_MAX: u32 = 20_000;
