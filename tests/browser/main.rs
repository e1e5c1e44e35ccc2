//! The page in a real browser, against the built binary, as a person would use it.
//!
//! These tests need Chromium (`chromium` in the path, or whatever `CHROMIUM` names), so a plain `cargo test`
//! leaves them out: `cargo test --test browser -- --ignored`. Each starts a server and a browser of its own,
//! and at its end the console of every page must be silent.
//!
//! What everybody does, `main_paths`, is tested in all engines, and needs `chromedriver`, Firefox
//! (`firefox-esr`, or whatever `FIREFOX` names), and `WebKitWebDriver` with `Xvfb`, too.
//!
//! The pictures of the README are taken by one of them:
//! `SCREENSHOTS=docs/screenshots cargo test --test browser -- --ignored screenshots`.

mod comfort;
mod first_page;
mod flood;
#[expect(
    dead_code,
    unused_imports,
    reason = "the harness of the other tests can do more than is asked of it here"
)]
#[path = "../it/support/mod.rs"]
mod harness;
mod heavy;
mod hostile;
mod keyboard;
mod looks;
mod loss;
mod main_paths;
mod moderation;
mod phone;
mod reading;
mod screenshots;
mod set_up;
mod support;
mod typing;
mod way_in;
