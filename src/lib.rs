//! Plume: a tiny in-memory, real-time chat server with a web page. One binary, one thread that polls, one page.
//!
//! This page is the architecture. It names what each part is for and what it must never do; each module's first lines
//! say the same from nearby.
//!
//! # Two ideas
//! **The server is a value.** All that Plume decides lives in [`server::Server`], which touches no socket, clock, thread,
//! environment or file. It is told things ([`server::Input`]) and says things ([`server::Output`]); time comes in with each input
//! and randomness from one seed. So the loop, a fuzz target and a simulation drive the same server, and a run is a function
//! of its seed.
//!
//! **The room is a log.** What the room says is encoded once, as a finished WebSocket frame, and appended to one ring of bytes
//! ([`wire::ring`]). A member is a cursor into that ring ([`wire::outbox`]). A line costs one append, whatever the number of
//! members; delivery is at most one write for each member and round, straight from the ring; history and catching up are a cursor
//! set further back; a reader that the ring has lapped is closed, and nobody waits for it.
//!
//! # The map
//! ```text
//!     sockets, clocks, threads, environment      |   no I/O to the right of this line
//!  main, config, folder                          |
//!  event_loop (mio) -------- Input ----------->  server ----> wire/  connection shared http websocket routes assets message ring outbox pace
//!  mailer (ureq, one thread) <-- Output -------  (owns all) > chat/  login session names room postage shares user_name email
//!  journal (stderr)                              |        `-> base/  ids moment agenda shelf bucket quota limits reason note mail settings census
//! ```
//! Arrows point down only: `base` knows nobody, `chat` and `wire` know only `base`, and the server alone knows both.
//!
//! # In reading order
//! 1. [`base`]: small things without opinions. [`base::limits`] holds every size, count and wait, with its reason.
//! 2. [`wire`]: bytes to requests, messages and frames, and back. [`wire::http`] alone uses httparse, [`wire::websocket`] alone
//!    tungstenite (but for `Bytes`, which are shared without a copy), [`wire::message`] alone the JSON. [`wire::connection`] is the life of one connection, without people.
//! 3. [`chat`]: who may enter, who may speak, who is in. It knows no bytes on a wire, no HTTP and no sockets.
//! 4. [`server`]: brings the two together, and keeps true what follows from them: who is to be written to, read, or woken.
//! 5. [`event_loop`]: the only user of mio; turns events into inputs and outputs into system calls.
//! 6. [`mailer`]: the only user of ureq and of threads. [`journal`]: a note becomes one line on stderr, if stderr takes it at
//!    once. [`config`]: the only reader of variables and flags. [`folder`]: the only reader of files.
//!
//! The page in `static/` is plain HTML, CSS and ES modules, each with one duty, and runs as it stands with `PLUME_STATIC=static`. What
//! `build.rs` embeds is the same, stripped of comments, its modules joined and compressed, so that it fits into 16 KiB on the wire.
//!
//! # What is deliberately absent
//! A runtime, a lock, a queue for each member, a database, a configuration file, TLS (a proxy's work), and any way for a slow
//! peer, a slow mail provider or a full log to make somebody else wait. Nothing outlives the process, yet.
//!
//! # What cannot happen
//! No code, token, address or key is in a log: [`base::note::Note`] has no type that could hold one. No bytes lead to a
//! panic: the fuzz targets and the simulation say so, and `docs/panics.md` lists the places that could, with the reason why they do
//! not; a broken invariant of our own ends the process. No `unsafe`.

#![forbid(unsafe_code)]

pub mod base;
pub mod chat;
pub mod config;
pub mod event_loop;
pub mod folder;
pub mod journal;
pub mod mailer;
pub mod server;
pub mod wire;
