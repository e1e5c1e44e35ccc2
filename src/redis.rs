//! Speaks with Redis or Valkey: bytes to what the engine says, and what is asked of it to bytes. Sans-I/O;
//! owns no socket and no clock, and decides nothing: see [`crate::engine`].
//!
//! # Two connections
//! The *writer* takes everything that has a short answer, pipelined: it adds entries, looks at places of the
//! log, and holds states. The *tail* waits for entries (XREAD BLOCK), which would block anything behind it.
//! Both are checked to be with the same server and history: `info::stamp`.
//!
//! Nine commands are used, all of which Redis has since version 5: AUTH, INFO, TIME, XADD, XREAD, XRANGE,
//! XREVRANGE, SET and GET. Replies are in RESP2, which every version speaks.
//!
//! # Trust
//! Every reply is checked against what was asked. Whatever is unexpected, late or too large ends both
//! connections, with one of the reasons of [`EngineError`]. Only what stands in entries is never an error,
//! since anyone who has the engine's password can write some: an entry of another form reads as one without
//! bytes, on all nodes alike.
//!
//! RESP is read here by hand. The usual crate for it reads a reply anew from its first byte each time more of
//! it has come, and recurses as deep as the bytes say.
//!
//! Parts: `resp` (tokens and commands), `entries` (entries of the log in a reply), `info` (what INFO says),
//! `reply` (replies that are awaited), `outbox` (unsent bytes), `wire` (one connection), `connections` (both,
//! and what is said).

mod connections;
mod entries;
pub(crate) mod info;
mod outbox;
mod reply;
pub(crate) mod resp;
mod wire;

pub use crate::log_event::EngineError;
pub use connections::{Action, Connections, Side};
pub(crate) use reply::refusal;
