//! Plume: a tiny in-memory, real-time chat server with a web page. One binary, one thread that polls, one
//! page.
//!
//! This page is the architecture. `tests/tidy.rs` checks what it says of crates and of dependencies.
//!
//! # Two ideas
//! **The server is a sans-I/O state machine.** [`server::Server`] decides everything and touches no socket,
//! clock, thread, environment or file. It takes [`server::Input`]s and yields [`server::Output`]s; time is an
//! argument, and randomness comes from one seed. So the event loop, a fuzz target and a simulation drive the
//! same server, and a run is a function of its seed.
//!
//! **The room is a log.** What the room says is encoded once, as a finished WebSocket frame, and appended to
//! one ring buffer (`room::log`). A member is a cursor into it (`room::cursor`). Broadcasting a line is one
//! append, whatever the number of members; delivery is at most one vectored write per member and round;
//! history and resume are a cursor set back; a slow consumer is lapped by the ring and closed, and nobody
//! waits for it. A deleted line is replaced by a frame of the same length, so no position moves.
//!
//! # The map
//! ```text
//!     the shell: all I/O, no decisions           |   no I/O to the right of this line
//!  main, config, static_dir                      |
//!  service_manager, handover, doctor             |
//!  data_dir (files, a thread)                    |
//!  redis (no I/O either)                         |
//!  event_loop (mio) -------- Input ----------->  server -+-> room       log cursor readers presence
//!  mail (sockets, threads) <--- Output --------          +-> users      names sessions logins mail_limits
//!  logger (stderr)                               |       |              rules reports user_name email bots
//!                                                |       +-> http       request site assets lines metrics
//!                                                |       +-> websocket  message
//!                                                |       `-> base       time timer_queue expiring_slab
//!                                                |                      token_bucket sliding_window
//!                                                |                      histogram digest keyed_hash
//!                                                |                      frost skeleton hidden
//! ```
//! Arrows point down only: `base` knows nobody; `room` and `users` do not know each other, `http` or
//! `websocket`; the server connects them. Beside the layers stands the shared vocabulary, plain data that
//! every part may name: [`limits`], [`settings`], [`log_event`], [`close_reason`], [`ids`], [`login_email`],
//! [`kept`], [`engine`], [`usage`], [`metrics`].
//!
//! # In reading order
//! 1. [`limits`]: every size, count and wait, with its reason. Then [`base`].
//! 2. [`http`], [`websocket`], [`message`]: bytes to requests, frames and messages, and back.
//!    [`http::request`] alone uses httparse, [`websocket`] alone tungstenite's protocol, [`message`] alone
//!    JSON.
//! 3. `users`: names, sessions, login codes, the email budget, the rules of the room, and reports to
//!    moderators; `persistence` says what of them outlives the process, and takes it back; `shared_state`:
//!    what nodes share. `room`: what is said, who reads it, who is present.
//! 4. [`server`]: the contract (inputs, outputs, a turn). Below it: `client` (one state machine per
//!    connection), `connection` (its unsent bytes, silence and full socket), `clients` (the table, timers,
//!    touched clients), `lifecycle` (input, writes, and what follows from a client's state), `deadlines`,
//!    `admission` (limits by client address), `http` (requests), `lines` (what bots say and read over HTTP;
//!    `line_stream` is such a reader's cursor), `quota` (kinds of connections that are few), `metrics` (its
//!    numbers), `keeping` (what outlives the process), `messages` (what each costs and who it is for),
//!    `guest`, `member`, `commands` (lines that begin with a slash), `marks` (what lines are found by),
//!    `entry`: what clients ask of users and the room, as plain data, and `apply`: the one place where that
//!    is done. `parcel`: how a server begins, anew or as a successor; `rounds`: whose turn it is to write;
//!    `sockets`: what the shell asks. `nodes`: how several servers share one room; `replica`: their log,
//!    without a word about chat.
//! 5. [`event_loop`]: the only user of mio; turns events into inputs and outputs into system calls.
//!    Its `metrics` is a second listener with connections of its own, which never reach the server: each
//!    gets the server's numbers and those of the loop. [`service_manager`]: what systemd is told.
//!    [`handover`] moves a running server to the next process: the frozen server and all sockets lie in one
//!    Unix socket, which goes through exec(2) or systemd's FD store. It alone passes descriptors, and
//!    `event_loop::handover` alone knows what they are.
//! 6. [`mail`]: the queue of emails and the threads that send them, with a file for each way to send one:
//!    `print`, `smtp`, `mailgun` (the only user of ureq). [`logger`]: an event becomes one line on stderr, if
//!    stderr takes it at once. [`config`]: a pure function from variables and flags to settings.
//!    [`static_dir`] and [`config::files`]: read files, once at start.
//! 7. [`data_dir`]: the folder in which rules outlive the process, if the operator has chosen one. A thread,
//!    the keeper, appends changes to a log; it alone touches the disk. Threads are here, in [`mail`], in
//!    `event_loop::resolver`, which asks for the addresses of the engine's host, and in [`handover`], where
//!    one closes a file after a move.
//! 8. [`redis`]: speaks with the engine of the log that several nodes share (Redis or Valkey), if there is
//!    one: what the server asks ([`engine`]) becomes commands, and replies become what the engine says. It
//!    has no socket; those are in `event_loop::engine`.
//! 9. [`doctor`]: checks settings, email and site from outside; no part of a running server.
//!
//! The page in `static/` is plain HTML, CSS and ES modules, each with one duty, and runs as it stands with
//! `PLUME_STATIC=static`. What `build.rs` embeds is the same, stripped of comments, its modules joined and
//! compressed, so that it fits into 16 KiB on the wire.
//!
//! # What is deliberately absent
//! A runtime, a lock, a queue for each member, a database, a configuration file, TLS (a proxy's work), and
//! any way for a slow peer, a slow email provider or a full log to make others wait.
//!
//! # Several nodes
//! Where an operator outgrows one machine, several servers share one room over a log in Redis or Valkey
//! ([`engine`]). That log is all they share: each entry takes the way through it before it is applied, and
//! every node applies all of them in its order to users and a room of its own. A single server applies its
//! entries at once, by the same code.
//!
//! # What outlives the process
//! The whole server is plain data with one owner, and can be frozen into bytes between any two calls and
//! thawed in its successor, another version perhaps, with other settings: `server::parcel` says how, and what
//! to do when the state grows; `base::frost` is the format. What is derived (indices, timers, counts of
//! connections) is not written. In the simulation a server that moves says the same, byte for byte, as one
//! that stays.
//!
//! Names, sessions and rules also outlive a crash, if the operator chooses a folder for them: see
//! [`data_dir`]. Lines do not, except over an orderly stop where no service manager takes the sockets: the
//! state is left in that folder for the next process, which reads it once.
//!
//! # What cannot happen
//! No code, token, address or key is in what [`logger`] writes: [`log_event::LogEvent`] has no type for one.
//! No bytes lead to a panic: the fuzz targets and the simulation say so, and `docs/panics.md` lists the
//! places that could, with the reason why they do not; a broken invariant of our own ends the process. No
//! `unsafe`.

#![forbid(unsafe_code)]

pub mod base;
pub mod close_reason;
pub mod config;
pub mod data_dir;
pub mod doctor;
pub mod engine;
pub mod event_loop;
pub mod handover;
pub mod http;
pub mod ids;
pub mod kept;
pub mod limits;
pub mod log_event;
pub mod logger;
pub mod login_email;
pub mod mail;
pub mod message;
pub mod metrics;
pub mod redis;
mod room;
pub mod server;
pub mod service_manager;
pub mod settings;
pub mod static_dir;
pub mod usage;
mod users;
pub mod websocket;
