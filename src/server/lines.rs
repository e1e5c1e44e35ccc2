//! `/lines`: who may use it, the lines that bots say, and the streams in which they read. What requests and
//! answers look like is `http::lines`.

use super::client::{Client, PendingBody};
use super::client_addresses::{Forwarded, LOOPBACK, Origin, Try};
use super::entry::{BotLine, Entry};
use super::guest::whole_seconds;
use super::line_stream::{LineStream, Progress};
use super::marks::{Speaker, mark_of_line};
use super::member::{Earlier, is_reference};
use super::quota::NoPlace;
use super::{Life, Server};
use crate::base::time::Now;
use crate::base::visible::shows_something;
use crate::close_reason::CloseReason;
use crate::http::lines::{
    self, Form, Framing, LinesError, Wanted, has_token, without_line_end, write_created, write_head,
    write_options,
};
use crate::http::request::{Method, Request};
use crate::http::site::Answer;
use crate::ids::ClientId;
use crate::limits::{
    FOLLOWERS_MAX, FOLLOWERS_PER_BOT_MAX, LINE_BODY_BYTES_MAX, LINES_DEFAULT, LINES_MAX, TEXT_BYTES_MAX,
    TOKEN_BYTES,
};
use crate::log_event::LogEvent;
use crate::message::{BotMessage, Details, Line, Said, parse_of_bot};
use crate::room::log::Position;
use crate::users::bots::BotId;
use std::borrow::Cow;
use std::net::IpAddr;

impl Server {
    pub(super) fn answer_lines(&mut self, id: ClientId, request: Box<Request>) {
        let outcome = match (self.admit(id, &request), request.method) {
            (Err(error), _) => Err(error),
            (Ok(()), Method::Options) => return self.respond(id, |out| write_options(&request, out)),
            (Ok(()), Method::Post) => match self.begin_line(id, &request) {
                Ok((bot, length)) => return self.await_body(id, PendingBody::new(bot, length, request)),
                Err(error) => Err(error),
            },
            (Ok(()), Method::Get | Method::Head | Method::Other) => self.stream_lines(id, &request),
        };
        if let Err(error) = outcome {
            // A body is not read after an error, so what follows the head is no request.
            let is_read = request.method != Method::Post && !has_body(&request);
            self.respond(id, |out| error.write(Some(&*request).filter(|_| is_read), out));
        }
    }

    /// Whether there is anything here for this request, whoever sends it.
    fn admit(&self, id: ClientId, request: &Request) -> Result<(), LinesError> {
        if self.users.bots().is_empty() {
            return Err(LinesError::NoBots);
        }
        if !self.site.admits(request, self.peer(id)) {
            return Err(LinesError::ForeignOrigin);
        }
        if request.method == Method::Other {
            return Err(LinesError::WrongMethod);
        }
        if has_token(&lines::fields(request).query) {
            return Err(LinesError::TokenInQuery);
        }
        if request.method != Method::Post && has_body(request) {
            return Err(LinesError::BadQuery("Only POST has a body"));
        }
        if request.method == Method::Post && self.is_apart() {
            return Err(LinesError::Apart);
        }
        Ok(())
    }

    /// The bot whose token a request has. A right token is good whatever others at the same client address
    /// have tried: nobody guesses 128 bits.
    fn identify(&mut self, id: ClientId, request: &Request) -> Result<BotId, LinesError> {
        let fields = lines::fields(request);
        let authorization = fields.authorization.as_deref().ok_or(LinesError::NoToken)?;
        let token = lines::token(authorization);
        if let Some(bot) = token.and_then(|token| self.users.bots().of_token(&token)) {
            return Ok(bot);
        }
        let (now, address) = (self.now.moment, self.client_ip(id, request));
        let wait = self.addresses.wait_to_try_from(now, address, Try::BotToken);
        if !wait.is_zero() {
            return Err(LinesError::TooManyTries(whole_seconds(wait)));
        }
        self.addresses.count_try_from(now, address, Try::BotToken);
        self.note(LogEvent::WrongBotToken(id));
        Err(LinesError::WrongToken)
    }

    /// The client address that one request comes from.
    fn client_ip(&self, id: ClientId, request: &Request) -> IpAddr {
        match self.clients.get(id).and_then(Client::origin) {
            Some(Origin::Client(address)) => address,
            Some(Origin::Proxy(proxy)) => {
                match self.addresses.forwarded(proxy, request.forwarded_for.as_deref()) {
                    Forwarded::Client(address) | Forwarded::Unknown(address) => address,
                }
            }
            Some(Origin::Local) | None => LOOPBACK,
        }
    }

    /// The bot that says a line, and how long the body is.
    fn begin_line(&mut self, id: ClientId, request: &Request) -> Result<(BotId, usize), LinesError> {
        let bot = self.identify(id, request)?;
        if !self.users.bots().rights(bot).say {
            return Err(LinesError::MayNotSay);
        }
        let fields = lines::fields(request);
        if !fields.query.is_empty() {
            return Err(LinesError::BadQuery("A line is said without parameters"));
        }
        match fields.content_length {
            None => Err(LinesError::NoLength),
            Some(length) if length > LINE_BODY_BYTES_MAX => Err(LinesError::TooLong),
            Some(length) => Ok((bot, length)),
        }
    }

    fn await_body(&mut self, id: ClientId, body: PendingBody) {
        if body.is_whole() {
            return self.say_as_bot(id, body);
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        if lines::fields(&body.request).expects_continue {
            client.connection.outbox.push(CONTINUE, &self.room.log);
        }
        client.await_body(self.now.moment, body);
    }

    /// Says the line of a body that has come whole.
    pub(super) fn say_as_bot(&mut self, id: ClientId, body: PendingBody) {
        let PendingBody { bot, request, bytes, .. } = body;
        let tokens = 1 + bytes.len().saturating_sub(1) as u64 / TOKEN_BYTES;
        // Only what could be a line costs something: the answer to a mistake says what it is.
        let message = read_message(&request, &bytes).and_then(|message| {
            let charged = self.users.charge_bot(self.now.moment, bot, self.rate, tokens);
            charged.map(|()| message).map_err(|wait| LinesError::TooFast(whole_seconds(wait)))
        });
        let message = match message {
            Ok(message) => message,
            Err(error) => return self.respond(id, |out| error.write(Some(&request), out)),
        };
        if let Some(client) = self.clients.get_mut(id) {
            client.await_answer(request);
        }
        let text = without_line_end(&message.text);
        let fits = text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(text);
        let line = BotLine {
            bot,
            text: fits,
            is_cut: fits.len() < text.len(),
            reference: message.reference.as_deref().filter(|reference| is_reference(reference)),
        };
        self.submit(&Entry::SayAsBot { from: id, line });
    }

    /// Answers a bot whose line was applied.
    pub(super) fn answer_bot(&mut self, id: ClientId, is_cut: bool, result: Result<u64, LinesError>) {
        let Some(request) = self.clients.get_mut(id).and_then(Client::take_asked) else { return };
        match result {
            Ok(line) => {
                let json = Said { id: line, run: self.users.run(), cut: is_cut }.to_json();
                self.respond(id, |out| write_created(&format!("{json}\n"), &request, out));
            }
            Err(error) => self.respond(id, |out| error.write(Some(&request), out)),
        }
    }

    /// Broadcasts a line of a bot, unless it was said already. Gives its id.
    pub(super) fn post_as_bot(&mut self, at: Now, line: BotLine<'_>) -> Result<u64, LinesError> {
        let BotLine { bot, text, reference, .. } = line;
        let name = self.users.bots().name(bot).ok_or(LinesError::WrongToken)?;
        let speaker = Speaker::Bot(bot);
        match reference.and_then(|reference| self.said_before(speaker, &name, reference)) {
            Some(Earlier::Line(id, ..) | Earlier::Deleted(id)) => return Ok(id),
            None => {}
        }
        if let Some(wait) = self.users.rules().bot_mute_left(at.moment, bot) {
            return Err(LinesError::Muted(whole_seconds(wait)));
        }
        let details = Details { bot: true, ..Details::default() };
        let line = Line { time: at.wall_ms, name: &name, text, reference, details, ..Line::default() };
        self.post(&line, mark_of_line(speaker, reference)).ok_or(LinesError::Restarting)
    }

    /// Begins a stream of lines, or answers with its head alone.
    fn stream_lines(&mut self, id: ClientId, request: &Request) -> Result<(), LinesError> {
        let bot = self.identify(id, request)?;
        if !self.users.bots().rights(bot).read {
            return Err(LinesError::MayNotRead);
        }
        let fields = lines::fields(request);
        let wanted = Wanted::parse(&fields.query)?;
        let is_stream = request.method == Method::Get;
        if wanted.is_follow && is_stream {
            let added = self.followers.add(id, bot, FOLLOWERS_MAX, FOLLOWERS_PER_BOT_MAX);
            added.map_err(|no_place| match no_place {
                NoPlace::ForHolder => LinesError::TooManyFollowersOfBot,
                NoPlace::ForAnybody => LinesError::TooManyFollowers,
            })?;
        }
        let form = Form::of(fields.accept.as_deref());
        let mut head = Vec::new();
        let answer = write_head(request, form, wanted.is_follow, self.users.run(), &mut head);
        if !is_stream {
            self.send_response(id, &head, answer);
            return Ok(());
        }
        let Answer::Responded { status, keep_alive, .. } = answer else { return Ok(()) };
        let (cursor, left, has_gap) = self.first_line(&wanted);
        let stream = LineStream {
            form,
            framing: Framing::of(request.version),
            cursor,
            stop: (!wanted.is_follow).then(|| self.room.log.end()),
            left,
            has_gap,
            is_follow: wanted.is_follow,
            queued: self.now.moment,
        };
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        client.connection.outbox.push(&head, &self.room.log);
        client.begin_stream(stream, keep_alive);
        if wanted.is_follow {
            self.room.readers.add(id);
        }
        self.note(LogEvent::Answered(id, status));
        Ok(())
    }

    /// Where a stream begins, how many lines it may have, and whether lines are gone that it should have had.
    fn first_line(&self, wanted: &Wanted) -> (Position, usize, bool) {
        let ring = &self.room.log;
        let is_this_run = wanted.run.as_deref().is_none_or(|run| run == self.users.run());
        let Some(after) = wanted.after else {
            let newest = ring.newest(wanted.limit.unwrap_or(LINES_DEFAULT), usize::MAX);
            return (newest, usize::MAX, !is_this_run);
        };
        let left = if wanted.is_follow { usize::MAX } else { wanted.limit.unwrap_or(LINES_MAX) };
        // No line of this run has a larger id than the newest.
        let is_known = is_this_run && after <= ring.newest_id();
        match ring.after(after).filter(|_| is_known) {
            Some(cursor) => (cursor, left, false),
            None => (ring.oldest(), left, true),
        }
    }

    /// Queues the next lines of a stream whose turn it is to write. Whether the client, of whatever kind, has
    /// something to write then.
    pub(super) fn fill_stream(&mut self, id: ClientId) -> bool {
        if !self.clients.get(id).is_some_and(|client| client.wants_lines(&self.room.log)) {
            return true;
        }
        let Some(client) = self.clients.get_mut(id) else { return false };
        match client.fill_stream(self.now.moment, &self.room.log) {
            Progress::GoesOn => {}
            Progress::Lapped => self.close(id, CloseReason::Lapped),
            Progress::Done if self.life != Life::Serving => self.close(id, CloseReason::Restarting),
            Progress::Done => {
                if !client.end_stream(self.now.moment) {
                    self.close(id, CloseReason::HttpDone);
                }
            }
        }
        self.settle();
        self.clients.get(id).is_some_and(|client| client.can_write(&self.room.log))
    }

    /// A client that is closing follows the room no longer.
    pub(super) fn end_follower(&mut self, id: ClientId) {
        if self.followers.remove(id) {
            self.room.readers.remove(id);
        }
    }
}

fn has_body(request: &Request) -> bool {
    lines::fields(request).content_length.is_some_and(|length| length > 0)
}

/// What a body says.
fn read_message<'a>(request: &Request, bytes: &'a [u8]) -> Result<BotMessage<'a>, LinesError> {
    let utf8 = |bytes: &'a [u8]| str::from_utf8(bytes).map_err(|_| LinesError::NotUtf8);
    let message = match lines::Body::read(lines::fields(request).content_type.as_deref(), bytes)? {
        lines::Body::Text(bytes) => BotMessage { text: Cow::Borrowed(utf8(bytes)?), reference: None },
        lines::Body::Json(Cow::Borrowed(bytes)) => parse_of_bot(utf8(bytes)?).ok_or(LinesError::NotJson)?,
        lines::Body::Json(Cow::Owned(bytes)) => {
            let json = String::from_utf8(bytes).map_err(|_| LinesError::NotUtf8)?;
            parse_of_bot(&json).ok_or(LinesError::NotJson)?.into_owned()
        }
    };
    if shows_something(&message.text) { Ok(message) } else { Err(LinesError::Invisible) }
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
