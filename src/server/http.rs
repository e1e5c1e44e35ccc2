//! HTTP requests: each is answered here, where everything can be seen.

use super::Server;
use super::client::Client;
use super::client_addresses::Origin;
use crate::close_reason::CloseReason;
use crate::http::request::Request;
use crate::http::site::{Answer, Peer, ProxyFault, Site};
use crate::ids::ClientId;
use crate::log_event::LogEvent;

impl Server {
    pub(crate) fn answer(&mut self, id: ClientId, request: Box<Request>) {
        if request.lines.is_some() {
            return self.answer_lines(id, request);
        }
        if self.is_apart() && Site::is_health_probe(&request) {
            return self.respond(id, |out| Site::answer_apart(&request, out));
        }
        let mut head = Vec::new();
        match self.site.answer(&request, self.peer(id), &mut head) {
            Answer::Upgraded => self.upgrade(id, &head, request.forwarded_for.as_deref()),
            answer @ Answer::Responded { .. } => self.send_response(id, &head, answer),
        }
    }

    /// Who sends the requests of a client.
    pub(super) fn peer(&self, id: ClientId) -> Peer {
        match self.clients.get(id).and_then(Client::origin) {
            Some(Origin::Proxy(_)) => Peer::TrustedProxy,
            Some(Origin::Client(_) | Origin::Local) | None => Peer::Other,
        }
    }

    /// Sends a response that `write` appends to its buffer.
    pub(super) fn respond(&mut self, id: ClientId, write: impl FnOnce(&mut Vec<u8>) -> Answer) {
        let mut head = Vec::new();
        let answer = write(&mut head);
        self.send_response(id, &head, answer);
    }

    /// Queues a response: its head, and its body.
    pub(super) fn send_response(&mut self, id: ClientId, head: &[u8], answer: Answer) {
        let Some(client) = self.clients.get_mut(id) else { return };
        match answer {
            Answer::Upgraded => {}
            Answer::Responded { status, keep_alive, body, fault } => {
                client.connection.outbox.push(head, &self.room.log);
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
