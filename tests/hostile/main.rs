//! The built binary among people who mean it no good, and on days when everything goes wrong. In each test an
//! [`Onlooker`] is in the room, and what it says has to be heard all the time.
//!
//! Each file is named for what it shows. What takes longer than a quarter of a minute runs when asked:
//! `-- --ignored`.
//!
//! [`Onlooker`]: onlooker::Onlooker

mod bad_mail;
mod bots;
mod broken_connections;
mod client_addresses;
mod crowds;
mod deletes;
mod fair_turns;
mod floods;
mod frames;
mod garbage;
mod guessing;
mod injection;
mod json;
mod login_codes;
mod no_power;
mod onlooker;
mod out_of_files;
mod raw;
mod scrapers;
mod shutdown_under_load;
mod slow_heads;
mod smuggling;
mod stalled_readers;
mod static_files;
mod stopped_process;
#[expect(
    dead_code,
    unused_imports,
    reason = "the harness of the other tests can do more than is asked of it here"
)]
#[path = "../it/support/mod.rs"]
mod support;
mod traversal;
mod unfinished;
mod urgent;
mod watched;
