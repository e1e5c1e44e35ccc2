//! The room: a log of finished frames, cursors into it, and who is present.

pub(crate) mod cursor;
pub(crate) mod log;
pub(crate) mod presence;
pub(crate) mod readers;
