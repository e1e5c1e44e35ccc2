//! HTTP requests: each is answered here, where everything can be seen.

use super::Server;
use super::client_addresses::Origin;
use super::clients::Role;
use crate::close_reason::CloseReason;
use crate::http::request::Request;
use crate::http::site::{Answer, Peer, ProxyFault};
use crate::ids::ClientId;
use crate::log_event::LogEvent;

impl Server {
    pub(crate) fn answer(&mut self, id: ClientId, request: &Request) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let mut head = Vec::new();
        let peer = match client.role {
            Role::Http(Origin::Proxy(_)) => Peer::TrustedProxy,
            Role::Http(Origin::Client(_) | Origin::Local)
            | Role::Refused
            | Role::Guest(_)
            | Role::Member(_)
            | Role::Closing => Peer::Other,
        };
        match self.site.answer(request, peer, &mut head) {
            Answer::Upgraded => {
                client.connection.upgrade(&self.room.log, self.now.moment, &head);
                self.upgrade(id, request.forwarded_for.as_deref());
            }
            Answer::Responded { status, keep_alive, body, fault } => {
                client.connection.respond(&self.room.log, &head, body);
                self.note(LogEvent::Answered(id, status));
                match fault {
                    Some(ProxyFault::ForeignOrigin) => self.note(LogEvent::ForeignOrigin(id)),
                    Some(ProxyFault::UpgradeRemoved) => self.note(LogEvent::UpgradeRemoved(id)),
                    None => {}
                }
                if !keep_alive {
                    self.end(id, CloseReason::HttpDone);
                }
            }
        }
    }
}
