//! The built binary behind Debian's nginx, Caddy and HAProxy, each with its example from `docs/` as it stands
//! but for names and ports, and with the mistakes that hosts make. The proxies run as child processes on
//! loopback ports, in folders of their own.
//!
//! These tests need the three programs, so they run when asked: `cargo test --test proxies -- --ignored`.

mod doctor;
mod examples;
mod idle;
mod mistakes;
mod proxy;
mod reload;
#[expect(
    dead_code,
    unused_imports,
    reason = "the harness of the other tests can do more than is asked of it here"
)]
#[path = "../it/support/mod.rs"]
mod support;
mod visitor;
