//! Somebody in the room without a page, who can talk faster than anybody types.

use super::Plume;
use crate::harness::Client;
use serde_json::json;

/// A member over a plain WebSocket.
pub(crate) struct Bot(Client);

impl Bot {
    /// Comes in under this name.
    pub(crate) fn enter(server: &Plume, name: &str) -> Self {
        Self(Client::login(server, name))
    }

    /// Says these lines, and returns when the room has heard the last.
    pub(crate) fn say(&mut self, lines: impl IntoIterator<Item = String>) {
        let last = lines.into_iter().inspect(|line| self.0.say(line)).last();
        if let Some(last) = last.map(|last| json!(last)) {
            while self.0.message()["text"] != last {}
        }
    }

    /// Leaves the room.
    pub(crate) fn leave(mut self) {
        self.0.leave();
    }
}
