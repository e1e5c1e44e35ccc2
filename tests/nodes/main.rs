//! Plume over a real engine, Redis or Valkey, which runs as a child process on a Unix socket in a folder of its
//! own, without persistence.
//!
//! These tests need `redis-server`, so they run when asked: `cargo test --test nodes -- --ignored`. Where there is
//! a `valkey-server` too, those of the engine run with it as well.

mod redis_server;
