//! HTTP requests: each is answered here, where everything can be seen.

use super::Server;
use super::client::State;
use super::client_addresses::Origin;
use crate::close_reason::CloseReason;
use crate::http::request::Request;
use crate::http::site::{Answer, Peer, ProxyFault};
use crate::ids::ClientId;
use crate::log_event::LogEvent;

impl Server {
    pub(crate) fn answer(&mut self, id: ClientId, request: &Request) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let mut head = Vec::new();
        let is_proxy = matches!(&client.state, State::Http(http) if matches!(http.origin, Origin::Proxy(_)));
        let peer = if is_proxy { Peer::TrustedProxy } else { Peer::Other };
        match self.site.answer(request, peer, &mut head) {
            Answer::Upgraded => {
                self.upgrade(id, &head, request.forwarded_for.as_deref());
            }
            Answer::Responded { status, keep_alive, body, fault } => {
                client.connection.outbox.push(&head, &self.room.log);
                client.connection.outbox.push_body(body);
                self.note(LogEvent::Answered(id, status));
                match fault {
                    Some(ProxyFault::ForeignOrigin) => self.note(LogEvent::ForeignOrigin(id)),
                    Some(ProxyFault::UpgradeRemoved) => self.note(LogEvent::UpgradeRemoved(id)),
                    None => {}
                }
                if !keep_alive {
                    self.close(id, CloseReason::HttpDone);
                }
            }
        }
    }
}
