//! Entries: what guests, members and bots ask for, and what else changes users or the room, as plain data.
//!
//! They are *submitted* by the client's side of the server, which knows addresses, throttles and states of
//! connections, and *applied* in `apply`, which changes users and the room and then answers. On a single node
//! both happen in one call. Where several nodes share a room, an entry takes the way through their log in
//! between, and every node applies it; so an entry holds all that applying depends on: time comes with it,
//! and randomness is in it.
//!
//! What is a connection's own is no entry: throttles, unsent bytes, counts of connections and of tries by
//! client address. Neither is expiry, which follows from time.

use crate::base::frost::{Frost, Frozen, freeze_fields, freeze_number, frost};
use crate::ids::{ClientId, MailId};
use crate::limits::{GUEST_MESSAGE_BYTES_MAX, MEMBER_MESSAGE_BYTES_MAX, REF_BYTES_MAX};
use crate::login_email::MailError;
use crate::users::bots::BotId;
use crate::users::logins::FlowId;
use crate::users::sessions::SessionId;
use crate::users::{Asker, Randomness};
use std::net::IpAddr;

/// `from` is the client that submits an entry and gets the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'a> {
    /// A guest asks for a login code.
    Hello {
        asker: Asker,
        name: &'a str,
        email: &'a str,
        randomness: Randomness,
    },
    /// A guest tries a code, for the flow of the token or else for its own.
    Try {
        guest: AtDoor,
        flow_token: Option<&'a str>,
        code: &'a str,
        randomness: Randomness,
    },
    /// A guest shows a session token, and says which lines it has seen.
    Resume {
        guest: AtDoor,
        token: &'a str,
        run: Option<&'a str>,
        after: Option<u64>,
    },
    /// A connection of a session has ended.
    Disconnect {
        session: SessionId,
    },
    /// A session ends, on all its connections.
    Logout {
        session: SessionId,
    },
    Say {
        from: ClientId,
        session: SessionId,
        text: &'a str,
        reference: Option<&'a str>,
    },
    /// A member types a command, of which this is the whole text.
    Command {
        from: ClientId,
        session: SessionId,
        text: &'a str,
        reference: Option<&'a str>,
    },
    SayAsBot {
        from: ClientId,
        line: BotLine<'a>,
    },
    MailDone {
        mail: MailId,
        result: Result<(), MailError>,
    },
}

/// A guest who wants to come in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtDoor {
    pub(crate) from: ClientId,
    /// The flow that began on this connection.
    pub(crate) own_flow: Option<FlowId>,
    /// The client network that a ban may close.
    pub(crate) network: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct BotLine<'a> {
    pub(crate) bot: BotId,
    pub(crate) text: &'a str,
    /// Whether the text was longer.
    pub(crate) is_cut: bool,
    pub(crate) reference: Option<&'a str>,
}

frost!(struct AtDoor { from, own_flow, network });

/// The numbers of the kinds. None is used twice.
const HELLO: u64 = 0;
const TRY: u64 = 1;
const RESUME: u64 = 2;
const DISCONNECT: u64 = 3;
const LOGOUT: u64 = 4;
const SAY: u64 = 5;
const COMMAND: u64 = 6;
const SAY_AS_BOT: u64 = 7;
const MAIL_DONE: u64 = 8;

impl<'a> Entry<'a> {
    /// As bytes, for other nodes. They hold secrets: addresses, tokens, and the randomness of codes.
    pub(crate) fn freeze(&self, to: &mut Vec<u8>) {
        freeze_fields(to, |to| match *self {
            Self::Hello { asker, name, email, randomness } => {
                freeze_number(HELLO, to);
                asker.freeze(to);
                freeze_text(name, to);
                freeze_text(email, to);
                randomness.freeze(to);
            }
            Self::Try { guest, flow_token, code, randomness } => {
                freeze_number(TRY, to);
                guest.freeze(to);
                freeze_option(flow_token, to);
                freeze_text(code, to);
                randomness.freeze(to);
            }
            Self::Resume { guest, token, run, after } => {
                freeze_number(RESUME, to);
                guest.freeze(to);
                freeze_text(token, to);
                freeze_option(run, to);
                after.freeze(to);
            }
            Self::Disconnect { session } => {
                freeze_number(DISCONNECT, to);
                session.freeze(to);
            }
            Self::Logout { session } => {
                freeze_number(LOGOUT, to);
                session.freeze(to);
            }
            Self::Say { from, session, text, reference } => {
                freeze_number(SAY, to);
                freeze_said((from, session, text, reference), to);
            }
            Self::Command { from, session, text, reference } => {
                freeze_number(COMMAND, to);
                freeze_said((from, session, text, reference), to);
            }
            Self::SayAsBot { from, line: BotLine { bot, text, is_cut, reference } } => {
                freeze_number(SAY_AS_BOT, to);
                from.freeze(to);
                bot.freeze(to);
                freeze_text(text, to);
                is_cut.freeze(to);
                freeze_option(reference, to);
            }
            Self::MailDone { mail, result } => {
                freeze_number(MAIL_DONE, to);
                mail.freeze(to);
                result.err().freeze(to);
            }
        });
    }

    /// The client that is read no further until the entry is applied: what it sends next depends on the
    /// answer.
    pub(crate) const fn waits(&self) -> Option<ClientId> {
        match self {
            Self::Hello { asker, .. } => Some(asker.connection),
            Self::Try { guest, .. } | Self::Resume { guest, .. } => Some(guest.from),
            Self::SayAsBot { from, .. } => Some(*from),
            Self::Disconnect { .. }
            | Self::Logout { .. }
            | Self::Say { .. }
            | Self::Command { .. }
            | Self::MailDone { .. } => None,
        }
    }

    /// `None`: the bytes are no entry that this version knows.
    pub(crate) fn thaw(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Frozen::new(bytes).fields()?;
        Some(match fields.number()? {
            HELLO => {
                let asker = fields.field()?;
                let (name, email) = (guest_text(&mut fields)?, guest_text(&mut fields)?);
                Self::Hello { asker, name, email, randomness: fields.field()? }
            }
            TRY => {
                let guest = fields.field()?;
                let flow_token = thaw_option(&mut fields, GUEST_MESSAGE_BYTES_MAX).ok()?;
                let code = guest_text(&mut fields)?;
                Self::Try { guest, flow_token, code, randomness: fields.field()? }
            }
            RESUME => {
                let guest = fields.field()?;
                let token = guest_text(&mut fields)?;
                let run = thaw_option(&mut fields, GUEST_MESSAGE_BYTES_MAX).ok()?;
                Self::Resume { guest, token, run, after: fields.field()? }
            }
            DISCONNECT => Self::Disconnect { session: fields.field()? },
            LOGOUT => Self::Logout { session: fields.field()? },
            SAY => {
                let (from, session, text, reference) = thaw_said(&mut fields)?;
                Self::Say { from, session, text, reference }
            }
            COMMAND => {
                let (from, session, text, reference) = thaw_said(&mut fields)?;
                Self::Command { from, session, text, reference }
            }
            SAY_AS_BOT => {
                let (from, bot) = (fields.field()?, fields.field()?);
                let text = fields.text(MEMBER_MESSAGE_BYTES_MAX)?;
                let is_cut = fields.field()?;
                let reference = thaw_option(&mut fields, REF_BYTES_MAX).ok()?;
                Self::SayAsBot { from, line: BotLine { bot, text, is_cut, reference } }
            }
            MAIL_DONE => {
                let mail = fields.field()?;
                let error: Option<MailError> = fields.field()?;
                Self::MailDone { mail, result: error.map_or(Ok(()), Err) }
            }
            _ => return None,
        })
    }
}

/// Client, session, text and `ref`.
type SaidBy<'a> = (ClientId, SessionId, &'a str, Option<&'a str>);

fn freeze_said((from, session, text, reference): SaidBy<'_>, to: &mut Vec<u8>) {
    from.freeze(to);
    session.freeze(to);
    freeze_text(text, to);
    freeze_option(reference, to);
}

fn thaw_said<'a>(fields: &mut Frozen<'a>) -> Option<SaidBy<'a>> {
    let (from, session) = (fields.field()?, fields.field()?);
    let text = fields.text(MEMBER_MESSAGE_BYTES_MAX)?;
    Some((from, session, text, thaw_option(fields, REF_BYTES_MAX).ok()?))
}

fn freeze_text(text: &str, to: &mut Vec<u8>) {
    text.len().freeze(to);
    to.extend_from_slice(text.as_bytes());
}

fn freeze_option(text: Option<&str>, to: &mut Vec<u8>) {
    text.is_some().freeze(to);
    freeze_text(text.unwrap_or_default(), to);
}

fn guest_text<'a>(fields: &mut Frozen<'a>) -> Option<&'a str> {
    fields.text(GUEST_MESSAGE_BYTES_MAX)
}

/// What should be a text is none.
struct NoText;

fn thaw_option<'a>(fields: &mut Frozen<'a>, bytes_max: usize) -> Result<Option<&'a str>, NoText> {
    let is_some: bool = fields.field().ok_or(NoText)?;
    fields.text(bytes_max).map(|text| is_some.then_some(text)).ok_or(NoText)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::expiring_slab::Id;
    use crate::ids::NodeId;

    fn entries() -> Vec<Entry<'static>> {
        let connection = ClientId::new(3, 8);
        let asker = Asker {
            node: NodeId(7),
            connection,
            address: Some([203, 0, 113, 9].into()),
            former: Some(Id::made_up(2)),
            mails: 1,
        };
        let guest = AtDoor { from: connection, own_flow: Some(Id::made_up(4)), network: None };
        let (session, randomness) = (Id::made_up(5), Randomness::of([9; 32]));
        let line = BotLine { bot: BotId::first(), text: "up again", is_cut: true, reference: Some("r1") };
        vec![
            Entry::Hello { asker, name: "Ada", email: "ada@example.org", randomness },
            Entry::Try { guest, flow_token: Some("t"), code: "ABC123", randomness },
            Entry::Try { guest, flow_token: None, code: "", randomness },
            Entry::Resume { guest, token: "t", run: Some("00"), after: Some(0) },
            Entry::Resume { guest, token: "t", run: None, after: None },
            Entry::Disconnect { session },
            Entry::Logout { session },
            Entry::Say { from: connection, session, text: "hello \u{1f600}", reference: None },
            Entry::Command { from: connection, session, text: "/help", reference: Some("") },
            Entry::SayAsBot { from: connection, line },
            Entry::MailDone { mail: MailId(8), result: Ok(()) },
            Entry::MailDone { mail: MailId(8), result: Err(MailError::Refused(421)) },
        ]
    }

    #[test]
    fn an_entry_takes_the_way_through_bytes_and_no_part_of_it_does() {
        for entry in entries() {
            let mut bytes = Vec::new();
            entry.freeze(&mut bytes);
            let thawed = Entry::thaw(&bytes).expect("it is whole");
            assert_eq!(format!("{thawed:?}"), format!("{entry:?}"));
            for end in 0..bytes.len() {
                assert!(Entry::thaw(&bytes[..end]).is_none(), "{end} bytes of {entry:?}");
            }
        }
    }

    #[test]
    fn what_is_no_entry_of_this_version_is_none() {
        let mut unknown = Vec::new();
        freeze_fields(&mut unknown, |to| freeze_number(99, to));
        let mut long = Vec::new();
        freeze_fields(&mut long, |to| {
            freeze_number(RESUME, to);
            AtDoor { from: ClientId::new(0, 0), own_flow: None, network: None }.freeze(to);
            freeze_text(&"x".repeat(GUEST_MESSAGE_BYTES_MAX + 1), to);
            freeze_option(None, to);
            None::<u64>.freeze(to);
        });
        for bytes in [&b""[..], &[0; 4], &[0xff; 40], &unknown, &long] {
            assert!(Entry::thaw(bytes).is_none(), "{bytes:?}");
        }
    }
}
