//! Small things without opinions: they know nothing of what a chat is.

pub mod digest;
pub(crate) mod expiring_slab;
pub(crate) mod frost;
pub(crate) mod hidden;
pub(crate) mod histogram;
pub(crate) mod keyed_hash;
pub(crate) mod shared_throttle;
pub(crate) mod skeleton;
pub(crate) mod sliding_window;
pub(crate) mod sorted;
pub mod time;
pub(crate) mod timer_queue;
pub(crate) mod token_bucket;
pub(crate) mod utc;
pub(crate) mod visible;
