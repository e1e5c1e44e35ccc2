//! Entries of a log that several nodes share, and the states in them: from no bytes does a server take up
//! anything that ends it, then or later, or that never comes to rest. The input changes a real log, so that
//! short inputs come far.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plume_fuzz::limits::limited;
use plume_fuzz::live_log;

fuzz_target!(|input: &[u8]| limited(|| live_log(input)));
