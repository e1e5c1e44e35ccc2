//! Every size, count and wait, with its reason, asserted against the others.

use std::time::Duration;

// Names and addresses.

/// A name, in bytes of UTF-8: long enough for any script, short enough for one line on a phone.
pub const NAME_BYTES_MAX: usize = 120;
/// Nonspacing marks on one letter of a name. Vietnamese needs one or two, Thai and Arabic two, pointed Hebrew three, Burmese four,
/// and Tibetan stacks of subjoined letters with their vowels rarely five; with more, a name grows over its neighbours.
pub const NAME_MARKS_MAX: usize = 5;
/// Names of one mailbox at a time: for work, play and a mistake. More would let one person keep names from all others.
pub const NAMES_PER_MAILBOX_MAX: usize = 3;
const _: () = assert!(NAMES_PER_MAILBOX_MAX > 0 && NAMES_PER_MAILBOX_MAX < NAMES_MAX);
/// An email address, in bytes. RFC 5321 allows 254; nobody types that.
pub const EMAIL_BYTES_MAX: usize = 120;
/// The name of the site, in bytes: it stands in a title and in a mail's subject.
pub const SITE_NAME_BYTES_MAX: usize = 120;

// Lines and frames.

/// The text of one line, in bytes of UTF-8; a longer text is cut.
pub const TEXT_BYTES_MAX: usize = 65_536;
/// What a client may attach to a line or a ping to know it again, in bytes: a random id, in any notation.
pub const REF_BYTES_MAX: usize = 64;
/// A message from a member, in bytes: the longest legal text with every byte escaped as `\u00XX`, and room for the rest.
pub const MEMBER_MESSAGE_BYTES_MAX: usize = 400 << 10;
/// A message from a guest, in bytes: name, address, code or token, and nothing more.
pub const GUEST_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Unfinished messages of all connections together, in bytes: eighty of the longest, while honest ones last a moment each.
pub const UNFINISHED_BYTES_MAX: usize = 32 << 20;
const _: () = assert!(UNFINISHED_BYTES_MAX >= 64 * MEMBER_MESSAGE_BYTES_MAX);
/// Bytes that JSON may make of one byte of text: `\u00XX`.
const JSON_GROWTH: usize = 6;
/// Keys, braces, numbers and the frame header of a line, in bytes.
const LINE_OVERHEAD_BYTES: usize = 256;
/// The frame of the longest line, in bytes.
pub const LINE_FRAME_BYTES_MAX: usize =
    JSON_GROWTH * (TEXT_BYTES_MAX + NAME_BYTES_MAX + REF_BYTES_MAX) + LINE_OVERHEAD_BYTES;
const _: () = assert!(MEMBER_MESSAGE_BYTES_MAX > JSON_GROWTH * TEXT_BYTES_MAX, "a legal text must fit");
const _: () = assert!(GUEST_MESSAGE_BYTES_MAX > JSON_GROWTH * (NAME_BYTES_MAX + EMAIL_BYTES_MAX + 1));

/// The ring must hold this many of the longest frames, so that a single one laps nobody who reads.
const BACKLOG_FRAMES_MIN: usize = 4;
/// The smallest ring, in bytes.
pub const BACKLOG_BYTES_MIN: usize = if BACKLOG_FRAMES_MIN * LINE_FRAME_BYTES_MAX > 1 << 20 {
    BACKLOG_FRAMES_MIN * LINE_FRAME_BYTES_MAX
} else {
    1 << 20
};
/// The largest ring, in bytes: a gigabyte is no longer tiny.
pub const BACKLOG_BYTES_MAX: usize = 1 << 30;
/// The most lines that a newcomer may be shown.
pub const HISTORY_LINES_MAX: usize = 10_000;
/// The most bytes of lines that a newcomer is shown: a second of a line of 10 Mbit/s, thousands of usual lines.
pub const HISTORY_BYTES_MAX: usize = 1_250_000;
const _: () = assert!(HISTORY_BYTES_MAX >= LINE_FRAME_BYTES_MAX, "the newest line is always shown");

// Turns of the loop.

/// Bytes read from one connection at once; also what the server keeps of a connection that it slows.
pub const READ_SHARE_BYTES: usize = 16 << 10;
/// Bytes offered to one socket at once, so that one fast reader with a long backlog does not fill a turn.
pub const WRITE_SHARE_BYTES: usize = 256 << 10;
/// Bytes that the system keeps for one socket and has not sent: of what a reader does not take, the ring has a copy for all.
/// tcp(7) lets a buffer grow to 4 MiB, for each who reads nothing; with this, busy rooms are as fast as with that.
pub const UNSENT_BYTES_MAX: u32 = 256 << 10;
const _: () =
    assert!(UNSENT_BYTES_MAX as usize >= WRITE_SHARE_BYTES, "a socket that keeps up takes a whole share");
/// Writes before the loop looks for new events.
pub const WRITES_PER_TURN: usize = 64;
/// Sockets read before the loop goes on to write.
pub const READS_PER_TURN: usize = 256;
/// While sockets wait to be read, deadlines fire only this often: a peer that is judged for its silence should have been read.
pub const TICK_INTERVAL_MAX: Duration = Duration::from_millis(100);
/// Connections accepted before the loop goes on.
pub const ACCEPTS_PER_TURN: usize = 64;
/// Stop reading from a client that has this many unsent reply bytes: it asks and does not listen.
pub const PRIVATE_UNSENT_BYTES_MAX: usize = 4 << 10;

// HTTP.

/// A request head, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// A request line, in bytes (RFC 9112, section 3, asks for at least 8,000).
pub const REQUEST_LINE_BYTES_MAX: usize = 8 << 10;
/// Header fields in one request.
pub const HEADERS_MAX: usize = 64;
/// Time for a head, from its first byte to its last.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that never sends anything: browsers open such ones in advance.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that is kept after an answer.
pub const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// The `Retry-After` of a full server, in seconds.
pub const RETRY_FULL_SECONDS: u64 = 10;
/// Refused connections that are held for their answer (503, or 1013 on a WebSocket) at once. Over this a refused connection
/// is reset without an answer, so that a flood of connections occupies neither descriptors nor places.
pub const REFUSALS_MAX: usize = 16;
/// Refused connections of one client network that are held for their answer at once: a browser opens up to six connections,
/// and one answer is enough to show what is wrong.
pub const REFUSALS_PER_ADDRESS: usize = 4;
const _: () = assert!(2 * REFUSALS_PER_ADDRESS <= REFUSALS_MAX, "one network must leave answers for others");
/// File descriptors that are no connections: standard streams, poll, waker, signals, listener, mail; with room to spare.
pub const FILES_RESERVED: usize = 32;
const _: () = assert!(
    FILES_RESERVED >= REFUSALS_MAX + 1 + 12,
    "refused connections, the one being accepted, and the rest"
);
const _: () = assert!(HEAD_BYTES_MAX <= READ_SHARE_BYTES && REQUEST_LINE_BYTES_MAX < HEAD_BYTES_MAX);

// Life of a connection.

/// After an error the rest of what the peer sent is read and dropped this long, or the answer may be lost in a reset.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for the peer to end after a close frame.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// A guest that has not logged in by then is closed.
pub const GUEST_TIMEOUT: Duration = Duration::from_mins(15);
/// Silence after which the peer is gone.
pub const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How slowly a peer may read and still come to each ping in time: silence is judged later by the time that this takes for what
/// its socket took meanwhile.
pub const STEADY_BYTES_PER_SECOND: u64 = 1 << 10;
/// A reader that takes no byte for this long is cut.
pub const PROGRESS_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a full socket is tried: it is reported as writable only when half of [`UNSENT_BYTES_MAX`] has drained, which takes a slow
/// but steady reader longer than [`PROGRESS_TIMEOUT`].
pub const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Bytes that such a try offers at once. It goes on as long as they are taken, so that each byte that the peer takes makes room that the
/// next try finds.
pub const PROBE_BYTES: usize = 512;
/// The longest packet of the system: by so much a write may overfill a socket, which then takes nothing before that has drained. A
/// socket that is probed may hold that much more, or a slow reader would seem to stand still.
pub const PACKET_BYTES_MAX: u32 = 64 << 10;
const _: () = assert!(PROBE_EVERY.as_millis() * 4 < PROGRESS_TIMEOUT.as_millis());
/// A tick that comes this much later than it was due: the process was stopped, and what peers sent meanwhile was not read yet.
pub const LATE_MIN: Duration = Duration::from_millis(100);
/// After that, no peer is judged for its silence for so long, while what it sent is read.
pub const CATCH_UP: Duration = Duration::from_secs(2);
/// A tick that is late again within this time gives no further [`CATCH_UP`]: a server that is always late still closes silent clients.
pub const CATCH_UP_AGAIN: Duration = Duration::from_secs(10);
/// A talker that is behind its rate this long without a pause is closed.
pub const BEHIND_MAX: Duration = Duration::from_secs(30);
/// A talker that says nothing for this long after its debt is paid has made a pause.
pub const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Messages that a talker must have got through while it was behind before it is too fast: a single legal message can cost more than
/// [`BEHIND_MAX`], and a few pasted texts are no flood.
pub const BEHIND_MESSAGES_MIN: u32 = 5;
/// Frames each second that are no messages (pings, pongs, fragments), for one connection. 2,730 empty ones fit into one read.
pub const FRAMES_PER_SECOND: u64 = 4_000;
/// Such frames at once after a pause: the longest text in fragments of 64 bytes.
pub const FRAMES_BURST: u64 = 1_024;
const _: () = assert!(FRAMES_BURST * 64 >= TEXT_BYTES_MAX as u64);
/// A client address may talk as fast as this many users: people share addresses, and one person has many connections.
pub const USERS_PER_ADDRESS: u64 = 8;
/// Bytes of a message that its first token pays for; each further token pays for as many.
pub const TOKEN_BYTES: u64 = 1_024;
/// Time for the last bytes when the server stops.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(4);

// Logins.

/// Characters of a code: 32 to the power of 6 is a thousand million.
pub const CODE_CHARS: usize = 6;
/// Bytes of the secret in a token: 128 bits.
pub const SECRET_BYTES: usize = 16;
/// Characters of the code of an address that is being guessed at: no number of guesses gets anywhere near 32 to the power of 12.
pub const LONG_CODE_CHARS: usize = 12;
/// Wrong tries that a flow, one request for a code, may make.
pub const CODE_TRIES: u8 = 5;
/// Flows that may wait for one code. A person has a few tabs and devices; beyond that the client network with the most flows
/// loses its oldest one.
pub const FLOWS_PER_CODE_MAX: usize = 16;
/// Wrong tries at codes of [`CODE_CHARS`] characters that one email address may see within any [`GUESSES_WINDOW`]. Each has a
/// chance of 1 in 32^6, so all guesses of a day at one address together succeed with less than one in a million. When the rest
/// of this budget no longer covers all tries of one more flow, the next code has [`LONG_CODE_CHARS`] characters: refusing the
/// flow instead would let a guest's guesses lock out the owner, who cannot be told from the guest before the code is typed.
pub const GUESSES_PER_ADDRESS_MAX: u32 = 1_000;
/// See [`GUESSES_PER_ADDRESS_MAX`].
pub const GUESSES_WINDOW: Duration = Duration::from_hours(24);
/// Email addresses whose wrong tries are counted; the oldest go first, so forgetting the guesses at one address takes as many
/// wrong tries at others.
pub const GUESSED_ADDRESSES_MAX: usize = 100_000;
/// A character of a code is one of 32.
pub const CODE_CHAR_BITS: usize = 5;
const _: () = assert!(
    GUESSES_PER_ADDRESS_MAX as u64 * 1_000_000 < 1 << (CODE_CHAR_BITS * CODE_CHARS),
    "guesses of a day succeed with less than one in a million"
);
const _: () = assert!(
    GUESSES_PER_ADDRESS_MAX as usize >= 4 * FLOWS_PER_CODE_MAX * CODE_TRIES as usize,
    "the tries of idle flows must not use up the budget"
);
/// Wrong codes and tokens that a connection bears.
pub const CONNECTION_TRIES: u8 = 10;
/// After a wrong code or token the connection is not read for this long.
pub const WRONG_TRY_PAUSE: Duration = Duration::from_secs(1);
/// How long a name stays its owner's, and a session token good, after the last connection.
pub const SESSION_TTL: Duration = Duration::from_hours(24);
/// Names, sessions and codes that are kept; the oldest go first.
pub const NAMES_MAX: usize = 100_000;
/// See [`NAMES_MAX`].
pub const SESSIONS_MAX: usize = 100_000;
/// See [`NAMES_MAX`].
pub const CODES_MAX: usize = 100_000;
/// Flows of all codes; see [`NAMES_MAX`].
pub const FLOWS_MAX: usize = 100_000;
/// Names sent to a new member: those of the users who have been present longest.
pub const NAMES_TOLD_MAX: usize = 200;

// Client addresses.

/// New connections from one client address each [`ARRIVALS_WINDOW`], and as many at once after a pause: a page takes a handful,
/// and people share addresses.
pub const ARRIVALS_PER_ADDRESS: u64 = 300;
/// See [`ARRIVALS_PER_ADDRESS`].
pub const ARRIVALS_WINDOW: Duration = Duration::from_mins(1);
/// Wrong codes from one client address within any [`TRIES_WINDOW`]. This only slows guessing down ([`GUESSES_PER_ADDRESS_MAX`]
/// bounds it), so beyond it a right code is still good: people share addresses. Malformed session tokens, and names that were
/// reported as taken, have limits of the same size of their own. Well-formed tokens have none: 128 bits are not guessed.
pub const TRIES_PER_ADDRESS: usize = 20;
/// See [`TRIES_PER_ADDRESS`].
pub const TRIES_WINDOW: Duration = Duration::from_mins(1);
/// Client addresses that are remembered; those without connections go first.
pub const ADDRESSES_MAX: usize = 100_000;
/// How long a client address is remembered after its last connection: until its counts mean nothing any more.
pub const ADDRESS_MEMORY: Duration = Duration::from_mins(10);
const _: () = assert!(ADDRESS_MEMORY.as_millis() >= ARRIVALS_WINDOW.as_millis());
const _: () = assert!(ADDRESS_MEMORY.as_millis() >= TRIES_WINDOW.as_millis());

/// A trusted IPv4 network with a shorter prefix than this is warned of at start: 256 addresses hold any fleet of proxies, and
/// a wider network (a /8 or /16 of private addresses) has clients in it, who could then choose the address they count under.
pub const TRUSTED_IPV4_PREFIX_MIN: u8 = 24;
/// The same for IPv6: a /64 is one link.
pub const TRUSTED_IPV6_PREFIX_MIN: u8 = 64;

// The log.

/// Events of one kind are counted for this long, and those over the limit of their kind become one line with their number.
pub const LOG_WINDOW: Duration = Duration::from_mins(1);
/// Log lines each [`LOG_WINDOW`] for one kind of event that anybody can cause at will: enough to see that it happens and on which
/// connections. With at most 100 bytes a line that is 3 MB a day.
pub const LOG_STRANGER_LINES_MAX: u32 = 20;
/// Log lines each [`LOG_WINDOW`] for members who come and go: ten a second, which is more than a busy room has.
pub const LOG_MEMBER_LINES_MAX: u32 = 600;
/// Log lines each [`LOG_WINDOW`] for what stays as it is until the operator mends it: a reminder.
pub const LOG_REMINDER_LINES_MAX: u32 = 1;
const _: () = assert!(LOG_REMINDER_LINES_MAX <= LOG_STRANGER_LINES_MAX);
const _: () = assert!(LOG_STRANGER_LINES_MAX <= LOG_MEMBER_LINES_MAX);

// Mail.

/// Time for one mail, all told, from the moment that it is accepted.
pub const MAIL_TIMEOUT: Duration = Duration::from_secs(15);
/// After this the server no longer waits to hear what became of a mail.
pub const MAIL_RESULT_TIMEOUT: Duration = Duration::from_secs(16);
/// Mails that wait for the worker.
pub const MAIL_QUEUE_MAX: usize = 64;
/// Mails to one mailbox within any [`MAIL_ADDRESS_WINDOW`]; an address counts for its mailbox without its `+tag`.
pub const MAILS_PER_ADDRESS: usize = 3;
/// New codes that an address may be sent within any [`MAIL_ADDRESS_WINDOW`] even if mails that others asked for have used up
/// [`MAILS_PER_ADDRESS`]: addresses without a tag, and those that own a name. So others' requests, under whatever tag, leave the
/// owner with a live code or with the mail for one. The second is for a code that has become too guessed at, or for a second
/// device just after the first. At most `MAILS_PER_ADDRESS + NEW_CODES_RESERVED` mails reach a mailbox within a window (and as
/// many more for each further address of it that owns a name).
pub const NEW_CODES_RESERVED: usize = 2;
const _: () = assert!(NEW_CODES_RESERVED < MAILS_PER_ADDRESS);
/// See [`MAILS_PER_ADDRESS`].
pub const MAIL_ADDRESS_WINDOW: Duration = Duration::from_mins(10);
/// Mails asked for by one connection.
pub const MAILS_PER_CONNECTION: u8 = 3;
/// Login codes asked for from one client address (IPv4, or an IPv6 /64) within any [`MAIL_ADDRESS_WINDOW`]: a household, or an
/// office that starts its day.
pub const MAILS_PER_CLIENT_ADDRESS: usize = 10;
/// The same from one IPv6 /56, which many providers give to one household (RFC 6177).
pub const MAILS_PER_SLASH_56: usize = 15;
/// The same from one network: an IPv6 /48, the most that one site gets, or an IPv4 /24, the least that is routed by itself. A fifth of
/// what the whole server sends in this time with its defaults.
pub const MAILS_PER_NETWORK: usize = 30;
const _: () =
    assert!(MAILS_PER_CLIENT_ADDRESS < MAILS_PER_SLASH_56 && MAILS_PER_SLASH_56 < MAILS_PER_NETWORK);
/// A network (IPv6 /48, IPv4 /24) that was sent no code for this long is fresh, and has a share of the server's budget that
/// other networks cannot use. The longer it is, the more networks an attacker needs: with the default budget of one mail each
/// 4 s, 900 an hour.
pub const FRESH_AFTER: Duration = Duration::from_hours(1);
/// Of the server's burst one part in so many, and at least one mail, is for addresses that own a name.
pub const OWNERS_SHARE: u64 = 8;
/// Networks that are not fresh leave eight tenths of the burst, and at least one mail more than the owners' share, to those that
/// are. With the default burst of 15 that leaves an office three codes at once, and then one each time that one is saved up.
pub const FRESH_SHARE_TENTHS: u64 = 8;
const _: () = assert!(FRESH_SHARE_TENTHS < 10, "a network that is not fresh must get something");
const _: () =
    assert!(10 < OWNERS_SHARE * FRESH_SHARE_TENTHS, "fresh networks need a share beyond the owners'");
/// Email addresses whose mails are counted; the oldest go first.
pub const MAIL_ADDRESSES_MAX: usize = 100_000;
/// Client networks, of each size, whose requests are counted; the oldest go first.
pub const MAIL_NETWORKS_MAX: usize = 100_000;
const _: () = assert!(MAIL_RESULT_TIMEOUT.as_millis() > MAIL_TIMEOUT.as_millis());
const _: () = assert!(SHUTDOWN_TIMEOUT.as_millis() < CLOSE_TIMEOUT.as_millis());
