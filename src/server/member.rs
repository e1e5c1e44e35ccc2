//! A member: says lines for the room, and logs out.

use super::Server;
use super::client::Client;
use super::commands::{self, Failure, Parsed};
use super::entry::Entry;
use crate::base::time::Now;
use crate::base::visible::{has_visible, shows_something};
use crate::ids::ClientId;
use crate::limits::{REF_BYTES_MAX, TEXT_BYTES_MAX};
use crate::message::{self, Details, Line, Notice};
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
        let reference =
            reference.filter(|reference| !reference.is_empty() && reference.len() <= REF_BYTES_MAX);
        let text = match commands::parse(text) {
            Parsed::Line(text) => text,
            Parsed::Command(command, arguments) => {
                return self.command(id, session, (command, arguments), reference);
            }
            Parsed::Unknown => return self.refuse_line(id, Failure::NoCommand, reference),
        };
        let fits = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        if shows_something(fits) {
            self.submit(&Entry::Say { from: id, session, text: fits, reference });
        }
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
        if self.is_said_again(from, user, &name, reference) {
            return;
        }
        if let Some(silence) = self.users.silence(at.moment, user) {
            return self.refuse_line(from, Failure::Silence(silence), reference);
        }
        let mark = reference.map_or(0, |reference| mark(user, reference));
        let details = Details::default();
        self.post(&Line { time: at.wall_ms, name: &name, text, event: None, reference, details }, mark);
        self.users.count_line(at.moment, user);
    }

    /// Whether a line of the user with this `ref` stands in the ring. The client gets it again.
    pub(super) fn is_said_again(
        &mut self,
        from: ClientId,
        user: UserId,
        name: &str,
        reference: Option<&str>,
    ) -> bool {
        let Some(reference) = reference else { return false };
        let Some((place, frame)) = self.said_before(mark(user, reference), name, reference) else {
            return false;
        };
        self.say_again(from, place, &frame);
        true
    }

    /// The line of a user that has this `ref`, as long as it stands in the ring.
    fn said_before(&self, mark: u32, name: &str, reference: &str) -> Option<(Position, Vec<u8>)> {
        let frames = self.room.log.marked(mark).take(SAME_MARK_MAX);
        let mut frames = frames.map(|(place, slices)| (place, slices.concat()));
        frames.find(|(_, frame)| message::is_line_of(text_of(frame), name, reference))
    }

    /// Repeats no line: a client sends it again if a connection broke before its answer. Unless the line will
    /// still reach the client with the log, the client alone gets it once more.
    fn say_again(&mut self, from: ClientId, place: Position, frame: &[u8]) {
        if let Some(client) = self.clients.get_mut(from)
            && client.membership().is_some_and(|member| place < member.start)
        {
            client.connection.outbox.push(frame, &self.room.log);
        }
    }

    /// The connections of a session.
    pub(super) fn connections_of(&self, session: SessionId) -> Vec<ClientId> {
        let of_session = |id: &&ClientId| {
            let member = self.clients.get(**id).and_then(Client::membership);
            member.is_some_and(|member| member.session == session)
        };
        self.room.readers().iter().filter(of_session).copied().collect()
    }
}

/// What a line is found by that has a `ref`. Others may have the same.
pub(super) fn mark(user: UserId, reference: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    (user, reference).hash(&mut hasher);
    u32::try_from(hasher.finish() >> 32).unwrap_or(u32::MAX).max(1)
}

/// Lines of one mark that are looked at. A mark has 32 bits, so more lines share one only by design of an
/// attacker.
const SAME_MARK_MAX: usize = 4;
