//! Reports: what a member tells the moderators of somebody or of a line, and who is told.

use super::grammar::{Command, counted, one_line, reason, roughly, take_line_id};
use super::{Failure, Outcome};
use crate::limits::REPORT_QUOTE_BYTES_MAX;
use crate::message::{self, ServerMessage};
use crate::server::Server;
use crate::users::names::BOT_NAME;
use crate::users::reports::Reported;
use crate::websocket::text_of;
use std::fmt::Write as _;

impl Server {
    /// What a member reports, and why, behind the member's name.
    pub(super) fn report(&self, arguments: &str) -> Result<Outcome, Failure> {
        let (what, without_line, rest) = if let Some((id, rest)) = take_line_id(arguments) {
            let (quote, name) = self.quoted(id).ok_or(Failure::NoSuchLine)?;
            (quote, format!("a line of @{name}"), rest)
        } else {
            let (speaker, rest) = self.take_speaker(arguments)?;
            let name = format!("@{}", self.name_of(speaker)?);
            (name.clone(), name, rest)
        };
        let why = reason(rest)?;
        if why.is_empty() {
            return Err(Failure::BadCommand(Command::Report));
        }
        if !self.users.rules().has_moderators() {
            return Ok(Outcome::Private("This chat has no moderators who could read it.".to_owned()));
        }
        let with_reason = |what| format!("{what}: {why}").into();
        Ok(Outcome::Report(Reported { text: with_reason(what), without_line: with_reason(without_line) }))
    }

    /// The line with this id, as long as it stands in the ring: whose it is and how it begins, and the name
    /// alone. Events are no lines that somebody said.
    fn quoted(&self, id: u64) -> Option<(String, String)> {
        let frame = self.room.log.frame(id)?.bytes.concat();
        let line = message::parse_line(text_of(&frame)).filter(|line| line.event.is_none())?;
        let text = one_line(&line.text);
        let quote = text.get(..text.floor_char_boundary(REPORT_QUOTE_BYTES_MAX)).unwrap_or_default();
        let more = if quote.len() < text.len() { "..." } else { "" };
        Some((format!("line #{id} of @{}, \"{quote}{more}\"", line.name), line.name.into()))
    }

    /// Says a line to all moderators who are present, and to nobody else.
    pub(in crate::server) fn tell_moderators(&mut self, text: &str) {
        let moderators = self.members().filter(|(_, member)| self.users.is_moderator(member.user));
        for id in moderators.map(|(id, _)| id).collect::<Vec<_>>() {
            self.send(id, &ServerMessage::aside(self.at().wall_ms, BOT_NAME, text));
        }
    }

    /// The reports that are kept, the newest last.
    pub(super) fn reports(&self) -> String {
        let reports = self.users.reports().kept();
        let mut text = match reports.len() {
            0 => return "There are no reports.".to_owned(),
            count => counted(count, "report") + ":",
        };
        for report in reports {
            let ago = roughly(report.age(self.at().moment));
            // Writing to a string does not fail.
            let _ = write!(text, "\n{ago} ago, @{} reported {}", report.by, report.text);
        }
        text
    }
}
