//! What the fuzz targets share. Read after the targets themselves, `fuzz_targets/`, which are short.
//!
//! ```text
//! cargo fuzz run --sanitizer none http_head -- -dict=fuzz/dict/http.dict -max_len=20000
//! cargo fuzz run --sanitizer none websocket -- -dict=fuzz/dict/websocket.dict -max_len=10000
//! cargo fuzz run --sanitizer none client_message -- -dict=fuzz/dict/json.dict
//! cargo fuzz run --sanitizer none server -- -max_len=4000 -len_control=20
//! cargo fuzz run --sanitizer none parcel -- -max_len=20000
//! cargo fuzz run --sanitizer none entry -- -max_len=4000
//! cargo fuzz run --sanitizer none resp -- -dict=fuzz/dict/resp.dict -max_len=4000
//! ```
//! Time and memory of an input are limited by `limits.rs`. This grows `fuzz/corpus/TARGET/`; git keeps only
//! what has a name of its own there. The target `server` is the simulation, whose choices are the bytes of
//! the input; its corpus is made of recorded lives:
//! `PLUME_SIM_CORPUS=fuzz/corpus/server cargo test --test simulation recorded`. That of `parcel` are real
//! parcels: `PLUME_PARCELS=fuzz/corpus/parcel cargo test --test simulation parcel`; and that of `entry` is
//! from `PLUME_ENTRIES=fuzz/corpus/entry cargo test --test simulation no_bytes`.

pub mod limits;
pub mod pieces;
#[path = "../../tests/testkit/mod.rs"]
#[expect(dead_code, reason = "tests and benches use the rest")]
mod testkit;

use plume::engine::LogEntry;
use plume::http::site::Site;
use plume::limits::BACKLOG_BYTES_MIN;
use plume::settings::Settings;
use std::sync::LazyLock;
use testkit::choices::Choices;
use testkit::codec::{self, Reader, Received};
use testkit::driver::small_site;
use testkit::hostile_log;
use testkit::parcel;
use testkit::world::World;

/// The first byte of a whole text message.
pub const TEXT: u8 = codec::TEXT;
/// The first byte of a close.
pub const CLOSE: u8 = codec::CLOSE;
/// The first byte of a pong.
pub const PONG: u8 = codec::PONG;

/// A life of a server in a world whose choices are these bytes.
pub fn live(bytes: &[u8]) {
    World::new(Choices::of_bytes(bytes)).live(STEPS_MAX);
}

/// Lives with a server from these bytes, and with servers from real parcels that they change.
pub fn live_parcel(bytes: &[u8]) {
    let settings = Settings { backlog_bytes: BACKLOG_BYTES_MIN, ..Settings::default() };
    parcel::live(bytes, settings.clone(), SITE.clone());
    parcel::live(&changed(PARCEL, bytes), settings, SITE.clone());
    parcel::live(&changed(&NODE_PARCEL, bytes), shared_settings(), SITE.clone());
}

/// Lives with a server that joins a log which the bytes change.
pub fn live_log(bytes: &[u8]) {
    hostile_log::live(bytes, &REAL_LOG, &shared_settings(), &SITE);
}

fn shared_settings() -> Settings {
    Settings { backlog_bytes: BACKLOG_BYTES_MIN, is_shared: true, ..Settings::default() }
}

/// The bytes with changes: each is a place, in two bytes, and what stands there from then on.
fn changed(parcel: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut parcel = parcel.to_vec();
    for &[high, low, byte] in changes.as_chunks().0 {
        let place = usize::from(u16::from_be_bytes([high, low])) % parcel.len();
        parcel[place] = byte;
    }
    parcel
}

static SITE: LazyLock<Site> = LazyLock::new(small_site);
static REAL_LOG: LazyLock<Vec<LogEntry>> = LazyLock::new(|| hostile_log::real_log(&shared_settings(), &SITE));
static NODE_PARCEL: LazyLock<Vec<u8>> = LazyLock::new(|| hostile_log::real_parcel(&shared_settings(), &SITE));
static PARCEL: &[u8] = include_bytes!("../../tests/parcels/0.1.0.bin");

/// Asserts that a server has sent one whole response.
pub fn check_response(bytes: &[u8]) {
    let mut reader = Reader::default();
    let received = reader.read(bytes);
    assert!(matches!(received[..], [Received::Response(_)]) && reader.is_whole(), "one whole response");
}

/// The first byte, the payload and the length of the frame that a server has put at the start of `bytes`.
/// `None`: it is not all there.
#[must_use]
pub fn first_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    codec::first_frame(bytes)
}

/// Longer lives only cost time.
const STEPS_MAX: u32 = 300;
