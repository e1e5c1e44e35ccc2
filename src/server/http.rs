//! HTTP requests: each is answered here, where everything can be seen.

use super::Server;
use crate::close_reason::CloseReason;
use crate::http::request::Request;
use crate::http::site::Answer;
use crate::ids::ClientId;
use crate::log_event::LogEvent;

impl Server {
    pub(crate) fn answer(&mut self, id: ClientId, request: &Request) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let mut head = Vec::new();
        match self.site.answer(request, &mut head) {
            Answer::Upgraded => {
                self.upgrade(id, &head, request.forwarded_for.as_deref());
            }
            Answer::Responded { status, keep_alive, body } => {
                client.connection.outbox.push(&head, &self.room.log);
                client.connection.outbox.push_body(body);
                self.note(LogEvent::Answered(id, status));
                if !keep_alive {
                    self.close(id, CloseReason::HttpDone);
                }
            }
        }
    }
}
