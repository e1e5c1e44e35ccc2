//! What the fuzz targets share. Read after the targets themselves, `fuzz_targets/`, which are short.
//!
//! ```text
//! cargo fuzz run --sanitizer none http_head -- -dict=fuzz/dict/http.dict -max_len=20000
//! cargo fuzz run --sanitizer none websocket -- -dict=fuzz/dict/websocket.dict -max_len=10000
//! cargo fuzz run --sanitizer none client_message -- -dict=fuzz/dict/json.dict
//! cargo fuzz run --sanitizer none server -- -max_len=1500 -len_control=20
//! ```
//! Time and memory of an input are limited by `limits.rs`. This grows `fuzz/corpus/TARGET/`; git keeps only what has a
//! speaking name there. `cargo fuzz fmt --sanitizer none server FILE` tells in words what happens in a script.

pub mod frames;
pub mod limits;
mod peer;
pub mod pieces;
pub mod script;
pub mod transcript;
pub mod world;
