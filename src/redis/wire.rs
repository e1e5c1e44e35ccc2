//! One connection to the engine: what is to be sent, what is awaited, and until when.

use super::outbox::Outbox;
use super::reply::{Awaited, Reply, refusal};
use super::resp::{CRLF, Decoder, Token, array, command, string, string_length};
use crate::base::time::Moment;
use crate::config::RedisLogin;
use crate::engine::{EntryId, LogEntry};
use crate::limits::{ENGINE_BYTES_PER_SECOND_MIN, ENGINE_REPLY_TIMEOUT, TAIL_BLOCK};
use crate::log_event::EngineError;
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Wire {
    is_connected: bool,
    outbox: Outbox,
    decoder: Decoder,
    /// Replies that are to come, in order.
    awaited: VecDeque<Awaited>,
    /// Since when the first of them is awaited, or the connection. `None`: nothing was asked for yet.
    since: Option<Moment>,
    /// Bytes sent or received since then.
    moved_bytes: u64,
    /// Which process the engine is.
    pub(super) process: String,
}

impl Wire {
    /// Whether it is connected or to be connected.
    pub(super) const fn is_begun(&self) -> bool {
        self.since.is_some()
    }

    /// It is connected, if it was to be.
    pub(super) const fn connected(&mut self, now: Moment) {
        if self.is_begun() {
            self.is_connected = true;
            self.wait_anew(now);
        }
    }

    /// The bytes to send next, if it is connected.
    pub(super) fn unsent(&self) -> &[u8] {
        if self.is_connected { self.outbox.unsent() } else { &[] }
    }

    pub(super) fn wrote(&mut self, bytes: usize) {
        self.outbox.advance(bytes);
        self.moved(bytes);
    }

    /// So many bytes have come.
    pub(super) const fn moved(&mut self, bytes: usize) {
        self.moved_bytes = self.moved_bytes.saturating_add(bytes as u64);
    }

    /// Logs in, and asks who the engine is.
    pub(super) fn greet(&mut self, now: Moment, login: Option<&RedisLogin>) {
        if let Some(RedisLogin { user, password }) = login {
            let user = user.as_ref().map(String::as_bytes);
            let words = [&b"AUTH"[..]].into_iter().chain(user).chain([password.as_bytes()]);
            self.send(now, &words.collect::<Vec<_>>(), Awaited::Login);
        }
        self.send(now, &[b"INFO", b"server"], Awaited::Process);
        self.send(now, &[b"INFO", b"replication"], Awaited::History);
    }

    /// Asks for the entry at a place.
    pub(super) fn send_range(&mut self, now: Moment, key: &str, at: EntryId) {
        let place = at.to_string();
        let place = place.as_bytes();
        self.send(now, &[b"XRANGE", key.as_bytes(), place, place, b"COUNT", b"1"], Awaited::entry(at));
    }

    pub(super) fn send(&mut self, now: Moment, words: &[&[u8]], awaited: Awaited) {
        self.outbox.write(|to| command(to, words));
        self.expect(now, awaited);
    }

    /// Sends a command with one word that may be large, which is not copied.
    pub(super) fn send_large(
        &mut self,
        now: Moment,
        before: &[&[u8]],
        large: Vec<u8>,
        after: &[&[u8]],
        awaited: Awaited,
    ) {
        self.outbox.write(|to| {
            array(to, before.len().saturating_add(1).saturating_add(after.len()));
            for word in before {
                string(to, word);
            }
            string_length(to, large.len());
        });
        self.outbox.push(large);
        self.outbox.write(|to| {
            to.extend_from_slice(CRLF);
            for word in after {
                string(to, word);
            }
        });
        self.expect(now, awaited);
    }

    fn expect(&mut self, now: Moment, awaited: Awaited) {
        if self.awaited.is_empty() {
            self.wait_anew(now);
        }
        self.awaited.push_back(awaited);
    }

    /// Takes bytes from the front of `input` until a reply is complete. `None`: there is no whole one.
    /// Entries of a read are appended to `entries` as they come.
    pub(super) fn take(
        &mut self,
        now: Moment,
        input: &mut &[u8],
        key: &str,
        entries: &mut Vec<LogEntry>,
    ) -> Result<Option<Reply>, EngineError> {
        while !input.is_empty() {
            let bytes_max = self.awaited.front().map_or(0, Awaited::bytes_max);
            let token = self.decoder.next(input, bytes_max).map_err(|_| EngineError::Protocol)?;
            let Some(token) = token else { break };
            if let Token::Error(line) = &token {
                return Err(refusal(line, matches!(self.awaited.front(), Some(Awaited::Login))));
            }
            // Nothing comes unasked but an error, as of a server that is full, before it closes the
            // connection.
            let awaited = self.awaited.front_mut().ok_or(EngineError::Protocol)?;
            if let Some(reply) = awaited.take(token, key, entries)? {
                self.awaited.pop_front();
                self.wait_anew(now);
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    const fn wait_anew(&mut self, now: Moment) {
        self.since = Some(now);
        self.moved_bytes = 0;
    }

    /// When what is awaited is late.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let since = self.since?;
        let wait = match self.awaited.front() {
            _ if !self.is_connected => Duration::ZERO,
            None => return None,
            Some(Awaited::Read(_)) => TAIL_BLOCK,
            Some(_) => Duration::ZERO,
        };
        let us = self.moved_bytes.saturating_mul(1_000_000 / ENGINE_BYTES_PER_SECOND_MIN);
        Some(since.after(ENGINE_REPLY_TIMEOUT).after(wait).after(Duration::from_micros(us)))
    }
}
