//! A member: says lines for the room, and logs out.

use super::Server;
use super::client::Membership;
use super::commands::{self, Failure, Parsed};
use super::entry::Entry;
use super::marks::{Speaker, mark_of_line, reference_hash};
use crate::base::time::Now;
use crate::base::visible::{has_visible, shows_something};
use crate::ids::ClientId;
use crate::limits::{REF_BYTES_MAX, TEXT_BYTES_MAX};
use crate::message::{self, Line, Notice};
use crate::room::log::Position;
use crate::users::names::UserId;
use crate::users::sessions::SessionId;
use crate::websocket::text_of;
use std::rc::Rc;

/// Who says a line or types a command.
pub(super) struct Sender<'a> {
    pub(super) at: Now,
    /// The client that gets the answer; on other nodes none.
    pub(super) from: ClientId,
    pub(super) user: UserId,
    pub(super) name: Rc<str>,
    /// The correlation id of the line or command.
    pub(super) reference: Option<&'a str>,
}

impl Server {
    pub(crate) fn say(&mut self, id: ClientId, session: SessionId, text: &str, reference: Option<&str>) {
        // A line that nobody sees is no line.
        if !has_visible(text) {
            return;
        }
        let reference = reference.filter(|reference| is_reference(reference));
        let text = match commands::parse(text) {
            Parsed::Line(text) => text,
            Parsed::Command(..) => {
                return self.submit(&Entry::Command { from: id, session, text, reference });
            }
            Parsed::Unknown => return self.refuse_line(id, &Failure::NoCommand, reference),
        };
        let fits = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        if shows_something(fits) {
            self.submit(&Entry::Say { from: id, session, text: fits, reference });
        }
        if fits.len() < text.len() {
            self.notify(id, Notice::TooLong);
        }
    }

    pub(super) fn apply_say(&mut self, sender: &Sender<'_>, text: &str) {
        let &Sender { at, from, user, ref name, reference } = sender;
        if let Some(silence) = self.users.silence(at.moment, user) {
            return self.refuse_line(from, &Failure::Silence(silence), reference);
        }
        let mark = mark_of_line(Speaker::User(user), reference);
        self.post(&Line { time: at.wall_ms, name, text, reference, ..Line::default() }, mark);
        self.users.count_line(at.moment, user);
    }

    /// Finds the user who says a line or types a command in this session. `None` if the session is over, or
    /// if the ring still holds a line that the user said with this `ref`: that one is sent to the client
    /// again, or, if it was deleted, a notice that says so. A deleted line does not come back.
    pub(super) fn sender<'a>(
        &mut self,
        at: Now,
        from: ClientId,
        session: SessionId,
        reference: Option<&'a str>,
    ) -> Option<Sender<'a>> {
        let (user, name) = self.users.speaker(session)?;
        match reference.and_then(|reference| self.said_before(Speaker::User(user), &name, reference)) {
            None => return Some(Sender { at, from, user, name, reference }),
            Some(Earlier::Line(_, place, frame)) => self.say_again(from, place, &frame),
            Some(Earlier::Deleted(_)) => self.answer_privately(from, "That line was deleted.", reference),
        }
        None
    }

    /// The line of a user or bot that has this `ref`, as long as it stands in the ring. A deleted line has no
    /// `ref` any more to compare: its mark has to do, which another line shares by a chance of 1 in 2^32.
    pub(super) fn said_before(&self, speaker: Speaker, name: &str, reference: &str) -> Option<Earlier> {
        let sought = reference_hash(speaker, reference);
        let found = self.room.log.marked(MARKED_FRAMES_MAX, |mark| mark.reference == sought);
        found.take(SAME_MARK_MAX).find_map(|found| {
            if found.mark.is_gone() {
                return Some(Earlier::Deleted(found.id));
            }
            let frame = found.bytes.concat();
            let is_said = message::parse_line(text_of(&frame))
                .is_some_and(|line| line.name == name && line.reference.as_deref() == Some(reference));
            is_said.then_some(Earlier::Line(found.id, found.start, frame))
        })
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

    pub(super) fn connections_of(&self, session: SessionId) -> Vec<ClientId> {
        self.members().filter(|(_, member)| member.session == session).map(|(id, _)| id).collect()
    }

    /// In no particular order.
    pub(super) fn members(&self) -> impl Iterator<Item = (ClientId, Membership)> {
        self.room.readers.ids().iter().filter_map(|&id| Some((id, self.clients.get(id)?.membership()?)))
    }
}

/// What became of a line that was said before, with its id.
pub(super) enum Earlier {
    /// It stands there, as this frame.
    Line(u64, Position, Vec<u8>),
    Deleted(u64),
}

/// Whether a `ref` counts: it is there, and no longer than it may be.
pub(super) fn is_reference(reference: &str) -> bool {
    !reference.is_empty() && reference.len() <= REF_BYTES_MAX
}

/// How many of the newest frames a search for a `ref` visits. The frame of a line has more than 64 bytes, so
/// this covers all frames of the default ring of 4 MiB; a full search takes a few microseconds.
const MARKED_FRAMES_MAX: usize = 1 << 16;
/// Lines of one mark that are looked at. A mark has 32 bits, so more lines share one only by design of an
/// attacker.
const SAME_MARK_MAX: usize = 4;
