//! Small things without opinions: they know nothing of chat, wire or sockets.

pub mod agenda;
pub mod bucket;
pub mod census;
pub mod ids;
pub mod limits;
pub mod mail;
pub mod moment;
pub mod note;
pub mod quota;
pub mod reason;
pub mod settings;
pub mod shelf;
pub mod throttle;
