//! The shared state as bytes, for a node that joins, and how it is taken from them.

use super::connections::Connections;
use crate::base::frost::{Frost, Frozen, Refill, freeze_fields};
use crate::base::time::Now;
use crate::close_reason::CloseReason;
use crate::log_event::LogEvent;
use crate::room::log::Ring;
use crate::room::presence::Presence;
use crate::server::replica::Replica;
use crate::server::{Output, Server};
use crate::users::Users;
use crate::users::names::UserId;
use crate::users::sessions::SessionId;
use std::collections::BTreeMap;

impl Server {
    /// The shared state as bytes.
    pub(super) fn freeze_shared(&mut self) -> Vec<u8> {
        let mut state = Vec::new();
        freeze_fields(&mut state, |to| {
            self.users.freeze_shared(to);
            self.room.log.freeze_state(to);
            self.room.presence.freeze(to);
            if let Some(nodes) = &self.nodes {
                nodes.at.freeze(to);
                nodes.connections.freeze(to);
            }
        });
        state
    }

    /// The shared state, for tests that compare nodes.
    #[doc(hidden)]
    pub fn shared_state(&mut self) -> Vec<u8> {
        self.freeze_shared()
    }

    /// The node's part in the log, for tests that compare nodes.
    #[doc(hidden)]
    #[must_use]
    pub fn replica(&self) -> Option<&Replica> {
        self.nodes.as_ref().map(|nodes| &nodes.replica)
    }

    /// Takes the shared state of another node in place of the own. `None`: the bytes are none, and nothing
    /// has changed.
    pub(super) fn adopt(&mut self, state: &[u8]) -> Option<()> {
        let mut state = Frozen::new(state);
        let mut fields = state.fields().filter(|_| state.is_empty())?;
        let mut users = Users::new(&self.settings, self.users.draw_seed());
        users.refill_shared(&mut fields)?;
        let mut log = Ring::new(self.room.log.capacity());
        fields.refill(&mut log)?;
        let mut presence: Presence<UserId> = fields.field()?;
        let at: Now = fields.field()?;
        let connections: Connections = fields.field()?;
        are_sound(&users, &presence, &connections).then_some(())?;
        presence.share_names(|user| users.name(user));

        self.disconnect_all(CloseReason::Restarting);
        match users.keep_own(at, &self.settings, &mut self.users) {
            Some(changes) => self.outputs.extend(changes.into_iter().map(Output::Keep)),
            None => self.note(LogEvent::OtherRoom),
        }
        self.users = users;
        self.room.log = log;
        self.room.presence = presence;
        if let Some(nodes) = &mut self.nodes {
            nodes.at = at;
            nodes.connections = connections;
        }
        Some(())
    }
}

/// Whether each session and user has the connections that it should, and who is present has a connection or a
/// grace.
pub(in crate::server) fn are_sound(
    users: &Users,
    presence: &Presence<UserId>,
    connections: &Connections,
) -> bool {
    let mut sessions: BTreeMap<SessionId, (UserId, u32)> = BTreeMap::new();
    for (session, count) in connections.iter() {
        let Some((user, _)) = users.speaker(session) else { return false };
        let (_, sum) = sessions.entry(session).or_insert((user, 0));
        let Some(whole) = sum.checked_add(count).filter(|_| count > 0) else { return false };
        *sum = whole;
    }
    users.has_connections(&sessions)
        && presence.users().all(|(user, is_in_grace)| {
            users.name(user).is_some() && is_in_grace == (users.connections(user) == 0)
        })
}
