//! The whole server in a world whose choices are the input: whatever people, sockets, emails and clocks do,
//! in any order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plume_fuzz::limits::limited;
use plume_fuzz::live;

fuzz_target!(|input: &[u8]| limited(|| live(input)));
