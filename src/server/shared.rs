//! What all connections share: the ring, the page, and two buffers. Here, and nowhere else, a line becomes part of the room.

use crate::http::site::Site;
use crate::message::{Line, ServerMessage};
use crate::room::log::Ring;
use crate::websocket::{Codec, TextFrame};

/// What all connections share.
pub(crate) struct Shared {
    /// The room's lines.
    pub(crate) ring: Ring,
    /// The page.
    pub(crate) site: Site,
    pub(crate) codec: Codec,
    pub(crate) frame: TextFrame,
}

impl Shared {
    /// An empty ring of `backlog_bytes`, and a site.
    pub(crate) fn new(backlog_bytes: usize, site: Site) -> Self {
        Self { ring: Ring::new(backlog_bytes), site, codec: Codec::default(), frame: TextFrame::default() }
    }

    /// Makes a line part of the room: one frame, appended once, whoever reads it. Gives its id; `None` if the line does not fit
    /// into the ring. By its mark, where that is not zero, it can be found again.
    pub(crate) fn post(&mut self, line: &Line<'_>, mark: u32) -> Option<u64> {
        let id = self.ring.next_id();
        let frame = self.frame.build(|out| ServerMessage::line(id, line).write(out));
        self.ring.append(frame, mark)
    }
}
