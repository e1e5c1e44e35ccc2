//! `/delete`: which lines it means, and what the room is told of it. Who said a line is read from the log
//! when it is needed; the lines are replaced in `apply`.

use super::grammar::{Command, is_number, take_line_id, take_word};
use super::{Failure, Outcome};
use crate::limits::{DELETE_FRAMES_MAX, DELETED_LINES_MAX};
use crate::message::{self, Details, Line};
use crate::room::log::{Found, Mark};
use crate::server::Server;
use crate::server::marks::{Speaker, mark_of_act, sender_hash};
use crate::server::member::Sender;
use crate::users::names::UserId;
use crate::websocket::text_of;

/// Lines of one user or bot that are to be deleted.
#[derive(Debug)]
pub(crate) struct Deletion {
    /// In rising order.
    pub(in crate::server) ids: Vec<u64>,
    /// Who has said them.
    author: String,
    /// Whether the author deletes them.
    is_own: bool,
}

/// What the arguments of the command mean.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    /// So many of the sender's newest lines.
    Own(usize),
    Line(u64),
    /// A name, and perhaps a count of its newest lines.
    Of(&'a str),
}

impl Server {
    /// Finds the lines that a user asks to delete, unless it may not.
    pub(super) fn delete(
        &self,
        user: UserId,
        is_moderator: bool,
        arguments: &str,
    ) -> Result<Outcome, Failure> {
        let usage = || Failure::BadCommand(Command::Delete);
        let deletion = match parse(arguments).ok_or_else(usage)? {
            Wanted::Own(count) => self.newest_lines(Speaker::User(user), count, true),
            Wanted::Line(id) => self.line_with_id(user, is_moderator, id),
            Wanted::Of(_) if !is_moderator && is_like_count(arguments) => Err(usage()),
            Wanted::Of(_) if !is_moderator => Err(Failure::NotModerator),
            Wanted::Of(arguments) => {
                let (author, rest) = self.take_speaker(arguments).map_err(|failure| match failure {
                    Failure::NoSuchName if is_like_count(arguments) => usage(),
                    failure => failure,
                })?;
                let count = match rest {
                    "" => Some(1),
                    "all" => Some(usize::MAX),
                    rest => count(rest),
                };
                self.newest_lines(author, count.ok_or_else(usage)?, author == Speaker::User(user))
            }
        };
        deletion.map(Outcome::Delete)
    }

    fn newest_lines(&self, author: Speaker, count: usize, is_own: bool) -> Result<Deletion, Failure> {
        let name = self.name_of(author)?;
        let sender = sender_hash(author);
        let found = self.room.log.marked(DELETE_FRAMES_MAX, |mark| mark.sender == sender);
        let said = found.filter(|found| author_of(found).is_some_and(|author| *author == *name));
        let mut ids: Vec<u64> = said.take(count).map(|found| found.id).collect();
        ids.reverse();
        if ids.is_empty() {
            return Err(Failure::NoSuchLine);
        }
        Ok(Deletion { ids, author: (*name).to_owned(), is_own })
    }

    fn line_with_id(&self, user: UserId, is_moderator: bool, id: u64) -> Result<Deletion, Failure> {
        let found = self.room.log.frame(id).filter(|found| found.mark.can_be_deleted());
        let found = found.ok_or(Failure::NoSuchLine)?;
        let author = author_of(&found).ok_or(Failure::NoSuchLine)?;
        let is_own = found.mark.sender == sender_hash(Speaker::User(user))
            && self.users.name(user).is_some_and(|name| *name == *author);
        if !is_own && !is_moderator {
            return Err(Failure::NotModerator);
        }
        Ok(Deletion { ids: vec![id], author, is_own })
    }

    /// Broadcasts that lines were deleted, in as many lines as it takes. The last one carries the sender's
    /// `ref`.
    pub(in crate::server) fn post_deletion(&mut self, sender: &Sender<'_>, deletion: &Deletion) {
        let &Sender { at, user, ref name, reference, .. } = sender;
        let mut parts = deletion.ids.chunks(DELETED_LINES_MAX).peekable();
        while let Some(ids) = parts.next() {
            let is_last = parts.peek().is_none();
            let (reference, mark) =
                if is_last { (reference, mark_of_act(user, reference)) } else { (None, Mark::NONE) };
            let text = deletion.sentence(ids.len());
            let details = Details { who: Some(&deletion.author), of: Some(ids), ..Details::default() };
            let (time, text, event) = (at.wall_ms, &*text, Some("delete"));
            self.post(&Line { time, name, text, event, reference, details }, mark);
        }
    }
}

impl Deletion {
    fn sentence(&self, count: usize) -> String {
        let lines = if count == 1 { "a line".to_owned() } else { format!("{count} lines") };
        if self.is_own {
            format!("took back {lines}")
        } else {
            format!("deleted {lines} of @{}", self.author)
        }
    }
}

fn author_of(found: &Found<'_>) -> Option<String> {
    message::parse_line(text_of(&found.bytes.concat())).map(|line| line.name.into_owned())
}

/// Reads the arguments. `None`: they mean nothing.
fn parse(arguments: &str) -> Option<Wanted<'_>> {
    if arguments.is_empty() {
        return Some(Wanted::Own(1));
    }
    if arguments.starts_with('#') {
        let (id, rest) = take_line_id(arguments)?;
        return rest.is_empty().then_some(Wanted::Line(id));
    }
    if is_number(arguments) { count(arguments).map(Wanted::Own) } else { Some(Wanted::Of(arguments)) }
}

/// A count of lines, as far as one command may ask for them.
fn count(text: &str) -> Option<usize> {
    let count = text.parse().ok().filter(|_| is_number(text))?;
    (1..=DELETED_LINES_MAX).contains(&count).then_some(count)
}

/// Whether the arguments, if they begin with no known name, were meant to begin with a count.
fn is_like_count(arguments: &str) -> bool {
    let (word, _) = take_word(arguments);
    word == "all" || word.starts_with(|char: char| char.is_ascii_digit() || ['-', '+'].contains(&char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_delete_is_told() {
        let rows = [
            ("", Some(Wanted::Own(1))),
            ("1", Some(Wanted::Own(1))),
            ("007", Some(Wanted::Own(7))),
            ("200", Some(Wanted::Own(200))),
            ("0", None),
            ("201", None),
            ("99999999999999999999", None),
            ("#7", Some(Wanted::Line(7))),
            ("#0", Some(Wanted::Line(0))),
            ("#99999999999999999999", Some(Wanted::Line(u64::MAX))),
            ("#", None),
            ("#-7", None),
            ("#+7", None),
            ("# 7", None),
            ("#7 #8", None),
            ("#7 now", None),
            ("#x", None),
            ("bob", Some(Wanted::Of("bob"))),
            ("@7 all", Some(Wanted::Of("@7 all"))),
            ("-1", Some(Wanted::Of("-1"))),
            ("1x", Some(Wanted::Of("1x"))),
        ];
        for (arguments, wanted) in rows {
            assert_eq!(parse(arguments), wanted, "{arguments:?}");
        }
        for (arguments, expected) in [
            ("-1", true),
            ("+1", true),
            ("1x", true),
            ("5 lines", true),
            ("all", true),
            ("all of it", true),
            ("allan", false),
            ("bob 5", false),
            ("@5", false),
            ("\u{663}", false),
        ] {
            assert_eq!(is_like_count(arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn the_sentence_says_how_many_lines_and_whose() {
        let rows = [
            (1, true, "took back a line"),
            (200, true, "took back 200 lines"),
            (1, false, "deleted a line of @Bob"),
            (2, false, "deleted 2 lines of @Bob"),
        ];
        for (count, is_own, sentence) in rows {
            let deletion = Deletion { ids: Vec::new(), author: "Bob".to_owned(), is_own };
            assert_eq!(deletion.sentence(count), sentence);
        }
    }
}
