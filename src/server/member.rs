//! A member: says lines for the room, and logs out.

use super::Server;
use super::client::Client;
use super::entry::Entry;
use crate::base::time::Now;
use crate::base::visible::has_visible;
use crate::close_reason::CloseReason;
use crate::ids::ClientId;
use crate::limits::{REF_BYTES_MAX, TEXT_BYTES_MAX};
use crate::message::{self, Line, Notice};
use crate::room::log::Position;
use crate::users::names::UserId;
use crate::users::sessions::SessionId;
use crate::websocket::text_of;
use std::hash::{DefaultHasher, Hash, Hasher};

impl Server {
    pub(crate) fn say(&mut self, id: ClientId, session: SessionId, text: &str, reference: Option<&str>) {
        // A line that nobody sees is no line.
        if !has_visible(text) {
            return;
        }
        let fits = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let reference =
            reference.filter(|reference| !reference.is_empty() && reference.len() <= REF_BYTES_MAX);
        self.submit(&Entry::Say { from: id, session, text: fits, reference });
        if fits.len() < text.len() {
            self.notify(id, Notice::TooLong);
        }
    }

    pub(super) fn apply_say(
        &mut self,
        at: Now,
        from: ClientId,
        session: SessionId,
        text: &str,
        reference: Option<&str>,
    ) {
        let Some((user, name)) = self.users.speaker(session) else { return };
        let name = name.shared();
        let mark = reference.map_or(0, |reference| mark(user, reference));
        if let Some(reference) = reference
            && let Some((place, frame)) = self.said_before(mark, &name, reference)
        {
            return self.say_again(from, place, &frame);
        }
        self.post(&Line { time: at.wall_ms, name: &name, text, event: None, reference }, mark);
    }

    /// The line of a user that has this `ref`, as long as it stands in the ring.
    fn said_before(&self, mark: u32, name: &str, reference: &str) -> Option<(Position, Vec<u8>)> {
        let frames = self.room.log.marked(mark).take(SAME_MARK_MAX);
        let mut frames = frames.map(|(place, slices)| (place, slices.concat()));
        frames.find(|(_, frame)| message::is_line_of(text_of(frame), name, reference))
    }

    /// Repeats no line: a client sends it again if a connection broke before its answer. Unless the line will still
    /// reach the client with the log, the client alone gets it once more.
    fn say_again(&mut self, from: ClientId, place: Position, frame: &[u8]) {
        if let Some(client) = self.clients.get_mut(from)
            && client.membership().is_some_and(|member| place < member.start)
        {
            client.connection.outbox.push(frame, &self.room.log);
        }
    }

    /// Closes all connections of a session.
    pub(super) fn close_session(&mut self, session: SessionId) {
        let of_session = |id: &&ClientId| {
            let member = self.clients.get(**id).and_then(Client::membership);
            member.is_some_and(|member| member.session == session)
        };
        let leaving: Vec<ClientId> = self.room.readers().iter().filter(of_session).copied().collect();
        for id in leaving {
            self.close(id, CloseReason::Left);
        }
    }
}

/// What a line is found by that has a `ref`. Others may have the same.
fn mark(user: UserId, reference: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    (user, reference).hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX).max(1)
}

/// Lines of one mark that are looked at. A mark has 32 bits, so more lines share one only by design of an attacker.
const SAME_MARK_MAX: usize = 4;
