//! A stream of lines over HTTP: a cursor into the log, whose lines are encoded when the socket has room for
//! them. Holds no line itself. Each line is a part of the content of its own, so that the outbox can drop one
//! that is deleted.

use crate::base::frost::frost;
use crate::base::time::Moment;
use crate::http::lines::{Form, Framing, plain_line};
use crate::limits::STREAM_BATCH_BYTES;
use crate::message::{Notice, ServerMessage, parse_line};
use crate::room::cursor::QueuedLine;
use crate::room::log::{Position, Ring};
use crate::websocket::text_of;

/// Where a stream stands, and how it is written.
#[derive(Debug)]
pub(crate) struct LineStream {
    pub(crate) form: Form,
    pub(crate) framing: Framing,
    /// The next line, or where it will begin.
    pub(crate) cursor: Position,
    /// Where the stream ends; `None`: it follows the room.
    pub(crate) stop: Option<Position>,
    /// Lines that it may still have.
    pub(crate) left: usize,
    /// Whether lines before the cursor were wanted, and are gone.
    pub(crate) has_gap: bool,
    /// Whether it follows the room, or did until the server began to stop.
    pub(crate) is_follow: bool,
    /// When something was queued last.
    pub(crate) queued: Moment,
}

/// What becomes of a stream after its next lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    GoesOn,
    /// Its end is queued.
    Done,
    /// The log has overwritten lines that it had not sent. The gap is queued, and no end.
    Lapped,
}

frost!(struct LineStream { form, framing, cursor, stop, left, has_gap, is_follow, queued });

impl LineStream {
    /// Whether this is what a stream can have become.
    pub(crate) fn is_sound(&self, log: &Ring) -> bool {
        log.has(self.cursor) && self.stop.is_none_or(|stop| stop <= log.end())
    }

    /// Whether there is anything to encode.
    pub(crate) fn is_due(&self, log: &Ring) -> bool {
        self.has_gap || self.stop.is_some() || self.cursor < log.end()
    }

    /// Appends the next lines, as many as one batch takes, and where they are in what it appends to.
    pub(crate) fn fill(
        &mut self,
        now: Moment,
        log: &Ring,
        out: &mut Vec<u8>,
        lines: &mut Vec<QueuedLine>,
    ) -> Progress {
        if std::mem::take(&mut self.has_gap) {
            self.write_notice(Notice::Gap, out);
        }
        let end = self.stop.unwrap_or(log.end());
        let progress = loop {
            if self.left == 0 || self.cursor >= end {
                break if self.stop.is_some() { Progress::Done } else { Progress::GoesOn };
            }
            if out.len() >= STREAM_BATCH_BYTES {
                break Progress::GoesOn;
            }
            let Some(found) = log.frame_at(self.cursor) else {
                self.write_notice(Notice::Gap, out);
                break Progress::Lapped;
            };
            if !found.mark.is_gone() {
                let start = out.len();
                self.write_line(text_of(&found.bytes.concat()), out);
                let (bytes, empty_line) = (start..out.len(), self.framing.empty_line().into());
                lines.push(QueuedLine { frame: found.start, bytes, empty_line, is_deleted: false });
            }
            self.cursor = found.end;
        };
        if progress == Progress::Done && self.is_follow {
            self.write_notice(Notice::Restarting, out);
        }
        self.queued = now;
        if progress == Progress::Done {
            self.framing.write_end(out);
        }
        progress
    }

    /// Appends an empty line, which shows that the connection is alive.
    pub(crate) fn write_empty_line(&mut self, now: Moment, out: &mut Vec<u8>) {
        self.queued = now;
        out.extend_from_slice(self.framing.empty_line());
    }

    fn write_line(&mut self, json: &[u8], out: &mut Vec<u8>) {
        self.left = self.left.saturating_sub(1);
        let content = match self.form {
            Form::Json => [json, b"\n"].concat(),
            Form::Plain => parse_line(json).map_or(Vec::new(), |line| {
                plain_line(line.time, &line.name, &line.text, line.event.is_some()).into()
            }),
        };
        self.framing.write(&content, out);
    }

    fn write_notice(&self, notice: Notice, out: &mut Vec<u8>) {
        let mut content = Vec::new();
        match self.form {
            Form::Json => {
                ServerMessage::notice(notice).write(&mut content);
                content.push(b'\n');
            }
            Form::Plain => content.extend(format!("-- {}\n", notice.sentence()).bytes()),
        }
        self.framing.write(&content, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::frost::{Frost, Frozen};
    use crate::message::Line;
    use crate::room::log::Mark;
    use crate::websocket::TextFrame;

    const LINE: Mark = Mark { reference: 0, sender: 1 };
    const NOW: Moment = Moment::from_ms(5);

    fn append(log: &mut Ring, text: &str) {
        let mut frame = TextFrame::default();
        let line = Line { time: 1_000, name: "ada", text, ..Line::default() };
        let id = log.next_id();
        log.append(frame.build(|out| ServerMessage::line(id, &line).write(out)), LINE);
    }

    fn append_deleted(log: &mut Ring) {
        append(log, "deleted");
        let id = log.newest_id();
        let bytes = log.frame(id).unwrap().bytes.concat().len();
        assert!(log.replace(id, &vec![b' '; bytes]));
    }

    fn stream(log: &Ring, stop: Option<Position>) -> LineStream {
        LineStream {
            form: Form::Plain,
            framing: Framing::UntilClose,
            cursor: log.oldest(),
            stop,
            left: usize::MAX,
            has_gap: false,
            is_follow: stop.is_none(),
            queued: Moment::from_ms(0),
        }
    }

    fn fill(stream: &mut LineStream, log: &Ring) -> (Progress, String) {
        let mut out = Vec::new();
        let mut lines = Vec::new();
        let progress = stream.fill(NOW, log, &mut out, &mut lines);
        assert!(lines.iter().all(|line| out[line.bytes.clone()].ends_with(b"\n")));
        (progress, String::from_utf8(out).unwrap().replace("1970-01-01T00:00:01Z ada: ", ""))
    }

    const GAP: &str = "-- Some messages that you missed are no longer available.\n";

    #[test]
    fn a_stream_ends_at_its_stop_or_its_limit_and_leaves_deleted_lines_out() {
        let mut log = Ring::new(10_000);
        append(&mut log, "one");
        append_deleted(&mut log);
        append(&mut log, "two");
        append(&mut log, "three");
        let stop = log.end();
        append(&mut log, "four");
        for (left, text) in [(0, ""), (1, "one\n"), (2, "one\ntwo\n"), (9, "one\ntwo\nthree\n")] {
            let mut stream = LineStream { left, ..stream(&log, Some(stop)) };
            assert!(stream.is_due(&log));
            assert_eq!(fill(&mut stream, &log), (Progress::Done, text.to_owned()), "{left} left");
        }
        let mut chunked =
            LineStream { framing: Framing::Chunked, left: 0, has_gap: true, ..stream(&log, Some(stop)) };
        assert_eq!(fill(&mut chunked, &log).1, format!("{:x}\r\n{GAP}\r\n0\r\n\r\n", GAP.len()));
    }

    #[test]
    fn a_follower_goes_on_until_the_end_is_set() {
        let mut log = Ring::new(10_000);
        append(&mut log, "one");
        let mut stream = stream(&log, None);
        assert_eq!(fill(&mut stream, &log), (Progress::GoesOn, "one\n".to_owned()));
        assert_eq!((stream.is_due(&log), stream.queued), (false, NOW));
        append(&mut log, "two");
        assert!(stream.is_due(&log));
        stream.stop = Some(log.end());
        let text = "two\n-- The server restarts and will be back soon.\n".to_owned();
        assert_eq!(fill(&mut stream, &log), (Progress::Done, text));
    }

    #[test]
    fn a_stream_goes_on_in_another_process() {
        let mut log = Ring::new(10_000);
        append(&mut log, "one");
        let odd = LineStream {
            framing: Framing::Chunked,
            left: 3,
            has_gap: true,
            queued: NOW,
            ..stream(&log, Some(log.end()))
        };
        for before in [odd, stream(&log, None)] {
            let mut bytes = Vec::new();
            before.freeze(&mut bytes);
            let after = LineStream::thaw(&mut Frozen::new(&bytes)).unwrap();
            assert_eq!(format!("{after:?}"), format!("{before:?}"));
        }
    }

    #[test]
    fn a_batch_is_bounded_and_a_lapped_stream_ends_with_a_gap() {
        let mut log = Ring::new(4 * STREAM_BATCH_BYTES);
        let mut stream = stream(&log, None);
        for _ in 0..STREAM_BATCH_BYTES / 512 {
            append(&mut log, &"x".repeat(1_000));
        }
        let (progress, text) = fill(&mut stream, &log);
        assert_eq!(progress, Progress::GoesOn);
        // Each line is 27 bytes longer than its text, by its time and name.
        assert_eq!(text.lines().count(), STREAM_BATCH_BYTES.div_ceil(1_027));
        for _ in 0..STREAM_BATCH_BYTES / 128 {
            append(&mut log, &"y".repeat(1_000));
        }
        assert_eq!(fill(&mut stream, &log), (Progress::Lapped, GAP.to_owned()));
    }
}
