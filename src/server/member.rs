//! A member: says lines for the room, and logs out.

use super::Server;
use super::client::{Client, Membership};
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
    pub(crate) fn say(&mut self, id: ClientId, member: Membership, text: &str, reference: Option<&str>) {
        if text.is_empty() {
            return;
        }
        let fits = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let Some(name) = self.users.speaker(member.session).cloned() else { return };
        let reference =
            reference.filter(|reference| !reference.is_empty() && reference.len() <= REF_BYTES_MAX);
        let mark = reference.map_or(0, |reference| mark(member.user, reference));
        if let Some(reference) = reference
            && let Some((place, frame)) = self.said_before(mark, name.as_str(), reference)
        {
            return self.say_again(id, member, place, &frame);
        }
        let time = self.now.wall_ms;
        self.post(&Line { time, name: name.as_str(), text: fits, event: None, reference }, mark);
        if fits.len() < text.len() {
            self.notify(id, Notice::TooLong);
        }
    }

    /// The line of a user that has this `ref`, as long as it stands in the ring.
    fn said_before(&self, mark: u32, name: &str, reference: &str) -> Option<(Position, Vec<u8>)> {
        let frames = self.room.log.marked(mark).take(SAME_MARK_MAX);
        let mut frames = frames.map(|(place, slices)| (place, slices.concat()));
        frames.find(|(_, frame)| message::is_line_of(text_of(frame), name, reference))
    }

    /// A line that was said already is not said twice: its sender had no answer on a connection that broke. Where it will not come
    /// by way of the ring, the sender is shown it once more.
    fn say_again(&mut self, id: ClientId, member: Membership, place: Position, frame: &[u8]) {
        if let Some(client) = self.clients.get_mut(id)
            && place < member.start
        {
            client.connection.outbox.push(frame, &self.room.log);
        }
    }

    pub(crate) fn leave(&mut self, session: SessionId) {
        let of_session = |id: &&ClientId| {
            let member = self.clients.get(**id).and_then(Client::membership);
            member.is_some_and(|member| member.session == session)
        };
        let leaving: Vec<ClientId> = self.room.readers().iter().filter(of_session).copied().collect();
        for id in leaving {
            self.close(id, CloseReason::Left);
        }
        let user = self.users.log_out(session);
        if let Some(name) = user.and_then(|user| self.room.presence.leave_now(user)) {
            self.post_event(&name, "left chat", "leave");
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
