//! Plume over a real engine, Redis or Valkey, which runs as a child process on a Unix socket in a folder of
//! its own, without persistence.
//!
//! `cluster` starts nodes, `relay` is a wire to the engine that a test can break, and `member` follows the
//! room from node to node as the page does.
//!
//! These tests need `redis-server`, and one of them HAProxy, so they run when asked: `cargo test --test nodes
//! -- --ignored`. Where there is a `valkey-server` too, those of the engine run with it as well.

mod cluster;
mod engine;
mod engine_loss;
mod figures;
mod kept;
mod member;
mod node_loss;
mod proxied;
#[expect(dead_code, reason = "the harness of the other tests can do more than is asked of it here")]
#[path = "../proxies/proxy.rs"]
mod proxy;
mod redis_server;
mod relay;
mod room;
mod start;
#[expect(
    dead_code,
    unused_imports,
    reason = "the harness of the other tests can do more than is asked of it here"
)]
#[path = "../it/support/mod.rs"]
mod support;
#[expect(dead_code, reason = "the harness of the other tests can do more than is asked of it here")]
#[path = "../proxies/visitor.rs"]
mod visitor;
mod wires;
