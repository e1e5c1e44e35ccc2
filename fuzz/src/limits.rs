//! What one input may cost. libFuzzer has limits of its own, but `-timeout` counts the time of other programs
//! too, and `-malloc_limit_mb` needs a sanitizer, which needs nightly Rust.

use cap::Cap;
use rustix::time::{ClockId, clock_gettime};
use std::alloc::System;
use std::time::Duration;

/// Runs the test of one input. Whatever takes too long for it has been led to by the input.
pub fn limited(test: impl FnOnce()) {
    let begin = processor_time();
    test();
    let taken = processor_time().saturating_sub(begin);
    assert!(taken < PROCESSOR_TIME_MAX, "one input took {taken:?}");
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("a clock that began at zero")
}

/// An allocation beyond the limit ends the process, which libFuzzer reports with the input.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, HEAP_BYTES_MAX);

/// The largest need is far below: a ring, and a few connections with all that they may hold.
const HEAP_BYTES_MAX: usize = 64 << 20;
/// Without optimizations, with every comparison traced, the longest script takes a tenth of this.
const PROCESSOR_TIME_MAX: Duration = Duration::from_secs(1);
