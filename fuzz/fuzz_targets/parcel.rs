//! Parcels: from no bytes does a server thaw that panics, then or later, or that never comes to rest. The
//! input is a parcel, and it is also a list of changes to a real one, so that short inputs come far.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plume_fuzz::limits::limited;
use plume_fuzz::live_parcel;

fuzz_target!(|input: &[u8]| limited(|| live_parcel(input)));
