//! Bytes to requests, messages and frames, and back. No sockets here: bytes come in as slices.

pub mod assets;
pub mod connection;
pub mod http;
pub mod message;
pub mod outbox;
pub mod pace;
pub mod ring;
pub mod routes;
pub mod shared;
pub mod websocket;
