//! The whole server by operations: whatever people, sockets, mails and clocks do, in any order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plume_fuzz::limits::limited;
use plume_fuzz::script::Script;
use plume_fuzz::world;

fuzz_target!(|script: Script| limited(|| world::live_through(&script)));
