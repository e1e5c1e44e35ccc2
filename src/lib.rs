//! Plume.

pub mod base;
pub mod chat;
pub mod config;
pub mod event_loop;
pub mod folder;
pub mod journal;
pub mod mailer;
pub mod server;
pub mod wire;
