//! Silence that is longer than the proxies' own timeouts.

use crate::proxy::{KINDS, Proxy};
use crate::support::Plume;
use crate::visitor::Visitor;
use std::thread;
use std::time::Duration;

/// Longer than the minute after which nginx and HAProxy end what is idle.
const IDLE: Duration = Duration::from_secs(70);

#[test]
#[ignore = "needs nginx, Caddy and HAProxy; takes over a minute"]
fn seventy_seconds_of_silence_end_no_connection() {
    thread::scope(|scope| {
        for kind in KINDS {
            scope.spawn(move || {
                let plume = Plume::start(&[("PLUME_TRUSTED_PROXIES", "127.0.0.1")]);
                let proxy = Proxy::start(kind, &plume.address().to_string());
                let (mut ada, _) = Visitor::login(&proxy, &plume, "/connect", "Ada");
                let pings = ada.idle(IDLE);
                assert!(pings >= 2, "{kind:?}: {pings} pings");
                ada.talk("still here");
            });
        }
    });
}
