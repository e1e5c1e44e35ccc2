//! Every size, count and timeout of the server, with its reason, asserted against the others at compile time.
//! Plain constants: no other module defines a limit that two modules share.

use std::time::Duration;

// Names and addresses.

/// Longest user name, in bytes of UTF-8: long enough for any script, short enough for one line on a phone.
pub const NAME_BYTES_MAX: usize = 120;
/// Nonspacing marks on one letter of a name. Vietnamese needs one or two, Thai and Arabic two, pointed Hebrew
/// three, Burmese four, and Tibetan stacks of subjoined letters with their vowels rarely five; a name with
/// more overlaps its neighbours on the page.
pub const NAME_MARKS_MAX: usize = 5;
/// Names that one mailbox may own at a time: for work, play and a mistake. More would let one person reserve
/// names at the expense of all other users.
pub const NAMES_PER_MAILBOX_MAX: usize = 3;
const _: () = assert!(NAMES_PER_MAILBOX_MAX > 0 && NAMES_PER_MAILBOX_MAX < NAMES_MAX);
/// Longest email address, in bytes. RFC 5321 allows 254; addresses that people type are shorter.
pub const EMAIL_BYTES_MAX: usize = 120;
/// Largest file that a setting names, in bytes: a secret, or certificates. All public authorities together
/// have a quarter of this.
pub const SETTING_FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest site name, in bytes: it appears in the page's title and in the subject of emails.
pub const SITE_NAME_BYTES_MAX: usize = 120;

// Lines and frames.

/// Longest text of one chat line, in bytes of UTF-8; a longer text is truncated.
pub const TEXT_BYTES_MAX: usize = 65_536;
/// Longest `ref` that a client may attach to a line or a ping to correlate the reply, in bytes: a random id
/// in any notation.
pub const REF_BYTES_MAX: usize = 64;
/// Longest message from a member, in bytes: the longest legal text with every byte escaped as `\u00XX`, plus
/// the other fields.
pub const MEMBER_MESSAGE_BYTES_MAX: usize = 400 << 10;
/// Longest message from a guest, in bytes: name, address, code or token, and nothing more.
pub const GUEST_MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Unfinished messages of all connections together, in bytes: eighty of the longest. Messages of well-behaved
/// clients are unfinished only for a moment each.
pub const UNFINISHED_BYTES_MAX: usize = 32 << 20;
const _: () = assert!(UNFINISHED_BYTES_MAX >= 64 * MEMBER_MESSAGE_BYTES_MAX);
/// Most bytes that JSON needs for one byte of text: `\u00XX`.
const JSON_GROWTH: usize = 6;
/// Keys, braces, numbers and the frame header of a chat line, in bytes.
const LINE_OVERHEAD_BYTES: usize = 256;
/// Longest frame of a chat line, in bytes.
pub const LINE_FRAME_BYTES_MAX: usize =
    JSON_GROWTH * (TEXT_BYTES_MAX + NAME_BYTES_MAX + REF_BYTES_MAX) + LINE_OVERHEAD_BYTES;
const _: () = assert!(MEMBER_MESSAGE_BYTES_MAX > JSON_GROWTH * TEXT_BYTES_MAX, "a legal text must fit");
const _: () = assert!(GUEST_MESSAGE_BYTES_MAX > JSON_GROWTH * (NAME_BYTES_MAX + EMAIL_BYTES_MAX + 1));

/// The ring must hold this many of the longest frames, so that a single frame never laps a member that keeps
/// reading.
const BACKLOG_FRAMES_MIN: usize = 4;
/// The smallest ring, in bytes.
pub const BACKLOG_BYTES_MIN: usize = if BACKLOG_FRAMES_MIN * LINE_FRAME_BYTES_MAX > 1 << 20 {
    BACKLOG_FRAMES_MIN * LINE_FRAME_BYTES_MAX
} else {
    1 << 20
};
/// The largest ring, in bytes: a gigabyte is no longer tiny.
pub const BACKLOG_BYTES_MAX: usize = 1 << 30;
/// Most chat lines sent as history to a new member.
pub const HISTORY_LINES_MAX: usize = 10_000;
/// Most bytes of history sent to a new member: one second of a 10 Mbit/s link, thousands of typical lines.
pub const HISTORY_BYTES_MAX: usize = 1_250_000;
const _: () = assert!(HISTORY_BYTES_MAX >= LINE_FRAME_BYTES_MAX, "the newest line is always shown");

// Turns of the event loop.

/// Bytes read from one connection at once; also the most that the server buffers for a connection that it
/// throttles.
pub const READ_SHARE_BYTES: usize = 16 << 10;
/// Bytes offered to one socket at once, so that one fast reader with a long backlog does not take up a whole
/// turn.
pub const WRITE_SHARE_BYTES: usize = 256 << 10;
/// Unsent bytes that the kernel buffers for one socket (`TCP_NOTSENT_LOWAT`): the ring already holds one copy
/// of the backlog for all members. Without it, tcp(7) lets the buffer of each socket that stops reading grow
/// to 4 MiB; busy rooms are as fast with this bound as without.
pub const UNSENT_BYTES_MAX: u32 = 256 << 10;
const _: () =
    assert!(UNSENT_BYTES_MAX as usize >= WRITE_SHARE_BYTES, "a socket that keeps up takes a whole share");
/// Writes in one turn before the loop polls for new events.
pub const WRITES_PER_TURN: usize = 64;
/// Sockets read in one turn before the loop goes on to write.
pub const READS_PER_TURN: usize = 256;
/// While sockets wait to be read, timers fire only this often: a peer's bytes should be read before the peer
/// is judged for its silence.
pub const TICK_INTERVAL_MAX: Duration = Duration::from_millis(100);
/// Connections accepted in one turn before the loop goes on.
pub const ACCEPTS_PER_TURN: usize = 64;
/// Stop reading from a client that has this many unsent reply bytes: it sends requests without reading the
/// replies.
pub const PRIVATE_UNSENT_BYTES_MAX: usize = 4 << 10;

// The service manager.

/// Longest time between two reports to the service manager: its status shows lines a minute.
pub const NOTIFY_INTERVAL_MAX: Duration = Duration::from_mins(1);
/// Shortest time between two reports, whatever the watchdog asks for.
pub const NOTIFY_INTERVAL_MIN: Duration = Duration::from_millis(500);
/// Time after which a report is repeated that the service manager did not take.
pub const NOTIFY_RETRY: Duration = Duration::from_secs(1);
/// The status counts the lines of this time.
pub const STATUS_WINDOW: Duration = Duration::from_mins(1);
const _: () = assert!(NOTIFY_INTERVAL_MIN.as_millis() < NOTIFY_RETRY.as_millis());
const _: () = assert!(NOTIFY_RETRY.as_millis() < NOTIFY_INTERVAL_MAX.as_millis());

// Metrics.

/// Connections to the metrics at once: a scraper needs one, a second scraper and a person with a browser a
/// few more.
pub const SCRAPERS_MAX: usize = 16;
/// Time for a connection to the metrics, from its first packet to the last byte of its response: as long as
/// Prometheus waits by default.
pub const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes read from one connection to the metrics: its request, and as much again that is discarded behind it.
pub const SCRAPE_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;
/// File descriptors for the metrics, beside [`FILES_RESERVED`]: the listener, its connections, and the one
/// being accepted.
pub const METRICS_FILES: usize = SCRAPERS_MAX + 2;
/// Upper bounds of the ranges in which the durations of the loop's turns are counted. Turns of an idle server
/// take some ten microseconds, full ones a few milliseconds; above a second people notice.
pub const TURN_BOUNDS: [Duration; 9] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

// HTTP.

/// Largest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest request line, in bytes (RFC 9112, section 3, asks for at least 8,000).
pub const REQUEST_LINE_BYTES_MAX: usize = 8 << 10;
/// Most header fields in one request.
pub const HEADERS_MAX: usize = 64;
/// Timeout for receiving a request head, from its first byte to its last.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for the first byte on a new connection: browsers open spare connections in advance and may never
/// use them.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle timeout of a persistent HTTP connection after a response.
pub const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// Value of `Retry-After` in a 503 response of a full server, in seconds.
pub const RETRY_FULL_SECONDS: u64 = 10;
/// The same while the server restarts, which takes a few seconds at most.
pub const RETRY_RESTART_SECONDS: u64 = 5;
const _: () = assert!(RETRY_RESTART_SECONDS > SHUTDOWN_TIMEOUT.as_secs());
/// Refused connections that stay open for their response (503, or 1013 on a WebSocket) at once. Above this a
/// refused connection is reset without a response, so that a flood of connections occupies neither file
/// descriptors nor slots.
pub const REFUSALS_MAX: usize = 16;
/// Refused connections of one client network that stay open for their response at once: a browser opens up to
/// six connections, and one response is enough to show the reason.
pub const REFUSALS_PER_ADDRESS: usize = 4;
const _: () = assert!(2 * REFUSALS_PER_ADDRESS <= REFUSALS_MAX, "one network must leave answers for others");
/// File descriptors not used for connections: standard streams, poll, waker, signals, listener, service
/// manager, mail; with some spare.
pub const FILES_RESERVED: usize = 32;
const _: () = assert!(
    FILES_RESERVED >= REFUSALS_MAX + 1 + 8 + MAIL_THREADS_MAX + DATA_FILES,
    "refused connections, the one being accepted, the eight that are always open, emails being sent, and rules"
);
/// File descriptors that a move to the next process needs at once, while no connection is accepted: both ends
/// of the parcel and the state; or a connection to the service manager, and both ends of a barrier.
pub const MOVE_FILES: usize = 4;
const _: () = assert!(
    FILES_RESERVED >= REFUSALS_MAX + 8 + MAIL_THREADS_MAX + MOVE_FILES,
    "a full server must be able to move, or all would be disconnected"
);
const _: () = assert!(HEAD_BYTES_MAX <= READ_SHARE_BYTES && REQUEST_LINE_BYTES_MAX < HEAD_BYTES_MAX);

// Life of a connection.

/// After an error, the server reads and drops the peer's remaining bytes for this long: closing a socket with
/// unread bytes sends a reset, which can destroy the response in flight.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for the peer to close the connection after a close frame.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same when the server is shutting down: a client that has all its bytes and does not answer must not
/// delay a restart, during which nobody can connect.
pub const RESTART_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
const _: () = assert!(RESTART_CLOSE_TIMEOUT.as_millis() < DRAIN_TIMEOUT.as_millis());
const _: () = assert!(2 * RESTART_CLOSE_TIMEOUT.as_millis() < SHUTDOWN_TIMEOUT.as_millis());
/// Time for a guest to log in before the server closes the connection.
pub const GUEST_TIMEOUT: Duration = Duration::from_mins(15);
/// Silence after which a peer is considered gone.
pub const SILENCE_MAX: Duration = Duration::from_mins(1);
/// Slowest read rate at which a peer can still answer each ping in time: the silence deadline is extended by
/// the time that the bytes taken by its socket meanwhile need at this rate.
pub const STEADY_BYTES_PER_SECOND: u64 = 1 << 10;
/// A connection that takes no byte of its unsent output for this long is closed as stalled.
pub const PROGRESS_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the loop retries a full socket. The kernel reports it as writable only when half of
/// [`UNSENT_BYTES_MAX`] has drained, which takes a slow but steady reader longer than [`PROGRESS_TIMEOUT`].
pub const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Bytes offered by one such probe. Probing continues as long as they are taken, so that each byte the peer
/// takes makes room that the next probe finds.
pub const PROBE_BYTES: usize = 512;
/// Largest packet of the kernel. A write may overfill a socket by this much, and the socket then takes
/// nothing until that has drained. A probed socket may hold this much more, or a slow reader would look
/// stalled.
pub const PACKET_BYTES_MAX: u32 = 64 << 10;
const _: () = assert!(PROBE_EVERY.as_millis() * 4 < PROGRESS_TIMEOUT.as_millis());
/// A tick this much later than its deadline shows that the process was suspended, and that bytes which peers
/// sent meanwhile are still unread.
pub const LATE_MIN: Duration = Duration::from_millis(100);
/// After such a late tick, no peer is closed for silence for this long, while its bytes are read.
pub const CATCH_UP: Duration = Duration::from_secs(2);
/// A further late tick within this time grants no further [`CATCH_UP`]: a server that is always late must
/// still close silent clients.
pub const CATCH_UP_AGAIN: Duration = Duration::from_secs(10);
/// A user that stays over its message rate for this long without a pause is closed for sending too fast.
pub const BEHIND_MAX: Duration = Duration::from_secs(30);
/// A throttled user that sends nothing for this long after its token debt is paid counts as having paused.
pub const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Messages that a throttled user must have sent before it can be closed for sending too fast: a single legal
/// message can cost more than [`BEHIND_MAX`], and a few pasted texts are no flood.
pub const BEHIND_MESSAGES_MIN: u32 = 5;
/// Frames per second on one connection that complete no message (pings, pongs, fragments). 2,730 empty ones
/// fit into one read.
pub const FRAMES_PER_SECOND: u64 = 4_000;
/// Burst of such frames after a pause: the longest text in fragments of 64 bytes.
pub const FRAMES_BURST: u64 = 1_024;
const _: () = assert!(FRAMES_BURST * 64 >= TEXT_BYTES_MAX as u64);
/// Unsent pongs of one connection, in bytes: ten of the longest (125 bytes of payload and a header of 2). Ten
/// pings in one packet get ten pongs, as Autobahn's case 2.10 and some peers expect.
pub const PONG_BYTES_MAX: usize = 10 * (125 + 2);
/// A client address may send as fast as this many users: people share addresses, and one person has many
/// connections.
pub const USERS_PER_ADDRESS: u64 = 8;
/// Bytes of a message covered by each token: the first token pays for the first so many bytes, each further
/// token for as many more.
pub const TOKEN_BYTES: u64 = 1_024;
/// Time to drain unsent bytes in a graceful shutdown.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(4);

// A move to the next process.

/// Time for the next process's program to say whether it can thaw the state. It takes some ten milliseconds,
/// and everybody is served meanwhile; but whoever has requested the move waits.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often that program is asked whether it has ended.
pub const CHECK_STEP: Duration = Duration::from_millis(1);
/// A move waits this long for emails that are being sent: one that is cut off is sent again, and could come
/// twice.
pub const MOVE_MAIL_WAIT: Duration = Duration::from_secs(1);
/// Time for systemd to take the parcel into its FD store.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(1);
/// Sockets in one message of the parcel. Linux allows 253 (`SCM_MAX_FD`).
pub const PARCEL_FILES_PER_MESSAGE: usize = 250;
const _: () = assert!(
    MOVE_MAIL_WAIT.as_millis()
        + CHECK_TIMEOUT.as_millis()
        + 3 * STORE_TIMEOUT.as_millis()
        + SHUTDOWN_TIMEOUT.as_millis()
        < 15_000,
    "also a move that fails ends within TimeoutStopSec= of plume.service"
);

// Logins.

/// Length of a login code: 32 to the power of 6 is about a thousand million codes.
pub const CODE_CHARS: usize = 6;
/// Bytes of the secret in a token: 128 bits.
pub const SECRET_BYTES: usize = 16;
/// Length of a login code for an email address under a guessing attack: no feasible number of guesses comes
/// near 32 to the power of 12.
pub const LONG_CODE_CHARS: usize = 12;
/// Wrong tries allowed to a flow, that is, to one request for a code.
pub const CODE_TRIES: u8 = 5;
/// Flows that may wait for one code. A person has a few tabs and devices; above that the client network with
/// the most flows loses its oldest one.
pub const FLOWS_PER_CODE_MAX: usize = 16;
/// Wrong tries at codes of [`CODE_CHARS`] characters for one email address within any [`GUESSES_WINDOW`].
/// Each succeeds with a chance of 1 in 32^6, so all guesses of a day at one address together succeed with a
/// chance below one in a million. When the rest of this budget no longer covers all tries of one more flow,
/// the next code has [`LONG_CODE_CHARS`] characters: refusing the flow instead would let a guest's guesses
/// lock out the owner, and the two cannot be distinguished before the code is typed.
pub const GUESSES_PER_ADDRESS_MAX: u32 = 1_000;
/// See [`GUESSES_PER_ADDRESS_MAX`].
pub const GUESSES_WINDOW: Duration = Duration::from_hours(24);
/// Email addresses whose wrong tries are counted. The oldest are evicted first, so erasing the count of one
/// address takes as many wrong tries at others.
pub const GUESSED_ADDRESSES_MAX: usize = 100_000;
/// Bits of one character of a code: it is one of 32.
pub const CODE_CHAR_BITS: usize = 5;
const _: () = assert!(
    GUESSES_PER_ADDRESS_MAX as u64 * 1_000_000 < 1 << (CODE_CHAR_BITS * CODE_CHARS),
    "guesses of a day succeed with less than one in a million"
);
const _: () = assert!(
    GUESSES_PER_ADDRESS_MAX as usize >= 4 * FLOWS_PER_CODE_MAX * CODE_TRIES as usize,
    "the tries of idle flows must not use up the budget"
);
/// Wrong codes and tokens allowed on one connection before it is closed.
pub const CONNECTION_TRIES: u8 = 10;
/// A connection is not read for this long after a wrong code or token.
pub const WRONG_TRY_PAUSE: Duration = Duration::from_secs(1);
/// How long a name stays its owner's after the last connection, where nothing outlives the process and no
/// setting says otherwise.
pub const NAME_TTL: Duration = Duration::from_hours(24);
/// The same where names outlive the process: half a year, so that a summer or an illness costs nobody a name.
pub const NAME_TTL_KEPT: Duration = Duration::from_hours(180 * 24);
/// Shortest such time that can be set: who drops out comes back under the same name.
pub const NAME_TTL_MIN: Duration = Duration::from_hours(1);
/// Longest such time that can be set.
pub const NAME_TTL_MAX: Duration = BAN_MAX;
/// How long a session token is good after its last connection, where nothing outlives the process.
pub const SESSION_TTL: Duration = Duration::from_hours(24);
/// The same where sessions outlive it: who comes once a month stays logged in.
pub const SESSION_TTL_KEPT: Duration = Duration::from_hours(30 * 24);
const _: () = assert!(SESSION_TTL_KEPT.as_secs() < NAME_TTL_KEPT.as_secs());
const _: () = assert!(SESSION_TTL.as_secs() <= NAME_TTL.as_secs());
/// Names kept; the oldest are evicted first. The same holds for sessions and codes.
pub const NAMES_MAX: usize = 100_000;
/// See [`NAMES_MAX`].
pub const SESSIONS_MAX: usize = 100_000;
/// See [`NAMES_MAX`].
pub const CODES_MAX: usize = 100_000;
/// Flows of all codes; see [`NAMES_MAX`].
pub const FLOWS_MAX: usize = 100_000;
/// Slots of sessions that tokens of an earlier process may name: a million connections, the most files that
/// Linux lets a process open unless it is told otherwise, and all sessions without one.
pub const SESSION_SLOTS_MAX: u32 = (1 << 20) + 100_000;
const _: () = assert!(SESSION_SLOTS_MAX as usize == (1 << 20) + SESSIONS_MAX);
/// What is kept of a user with a connection says at least this often that it is still in use; in between,
/// coming and going changes nothing of it.
pub const KEEP_REFRESH: Duration = Duration::from_hours(24);
/// Names and sessions expire no later than this part of their time after they should, for what is kept of
/// them is refreshed as often.
pub const KEEP_REFRESH_PART: u32 = 8;
const _: () = assert!(NAME_TTL_MIN.as_secs() >= KEEP_REFRESH_PART as u64 * 60, "no refresh within a minute");
const _: () = assert!(KEEP_REFRESH.as_secs() * KEEP_REFRESH_PART as u64 <= SESSION_TTL_KEPT.as_secs());
/// Users and sessions with a connection are refreshed in so many portions, one after the other: a full house
/// at once would hold up the talk.
pub const KEEP_REFRESH_PORTIONS: u32 = 64;
/// A wall clock that has moved this much against the monotonic one was set, or the machine has slept: what is
/// kept with a time is written again. Less than a minute of any mute or ban does not matter.
pub const CLOCK_STEP_MIN: Duration = Duration::from_mins(1);
/// Names sent to a new member: those of the users who have been present longest.
pub const NAMES_TOLD_MAX: usize = 200;

// Client addresses.

/// New connections from one client address per [`ARRIVALS_WINDOW`], and the burst after a pause: a page takes
/// a handful, and people share addresses.
pub const ARRIVALS_PER_ADDRESS: u64 = 300;
/// See [`ARRIVALS_PER_ADDRESS`].
pub const ARRIVALS_WINDOW: Duration = Duration::from_mins(1);
/// Wrong codes from one client address within any [`TRIES_WINDOW`]. This only slows guessing down
/// ([`GUESSES_PER_ADDRESS_MAX`] bounds it), so above it a correct code is still accepted: people share
/// addresses. Malformed session tokens, and names that were reported as taken, have separate limits of the
/// same size. Well-formed tokens have none: 128 bits cannot be guessed.
pub const TRIES_PER_ADDRESS: usize = 20;
/// See [`TRIES_PER_ADDRESS`].
pub const TRIES_WINDOW: Duration = Duration::from_mins(1);
/// Client addresses remembered; addresses without connections are evicted first.
pub const ADDRESSES_MAX: usize = 100_000;
/// How long a client address is remembered after its last connection: until all its counters have expired.
pub const ADDRESS_MEMORY: Duration = Duration::from_mins(10);
const _: () = assert!(ADDRESS_MEMORY.as_millis() >= ARRIVALS_WINDOW.as_millis());
const _: () = assert!(ADDRESS_MEMORY.as_millis() >= TRIES_WINDOW.as_millis());

/// Trusted IPv4 networks with a shorter prefix cause a warning at start: 256 addresses hold any fleet of
/// proxies, and a wider network (a /8 or /16 of private addresses) may contain clients, which could then
/// choose the address they count under.
pub const TRUSTED_IPV4_PREFIX_MIN: u8 = 24;
/// The same for IPv6: a /64 is one link.
pub const TRUSTED_IPV6_PREFIX_MIN: u8 = 64;

// The log.

/// Window of the log's rate limit: events of one kind over their limit are counted, and reported as one line
/// at its end.
pub const LOG_WINDOW: Duration = Duration::from_mins(1);
/// Log lines per [`LOG_WINDOW`] for one kind of event that any client can cause at will: enough to see that
/// it happens and on which connections. At up to 100 bytes a line that is 3 MB a day.
pub const LOG_STRANGER_LINES_MAX: u32 = 20;
/// Log lines per [`LOG_WINDOW`] for members that join and leave: ten a second, more than a busy room
/// produces.
pub const LOG_MEMBER_LINES_MAX: u32 = 600;
/// Log lines per [`LOG_WINDOW`] for a condition that lasts until the operator fixes it: a reminder.
pub const LOG_REMINDER_LINES_MAX: u32 = 1;
const _: () = assert!(LOG_REMINDER_LINES_MAX <= LOG_STRANGER_LINES_MAX);
const _: () = assert!(LOG_STRANGER_LINES_MAX <= LOG_MEMBER_LINES_MAX);

// Moderation.

/// Longest reason that a moderator gives, in bytes: a sentence.
pub const REASON_BYTES_MAX: usize = 200;
/// Longest topic, in bytes: it stays above the log on every screen.
pub const TOPIC_BYTES_MAX: usize = 500;
/// Bans kept. None is evicted: above it, a ban is refused.
pub const BANS_MAX: usize = 10_000;
/// Mutes kept. None is evicted before its time: above it, a mute is refused.
pub const MUTES_MAX: usize = 1_000;
/// Bans listed by `/bans`: as many as a person reads.
pub const BANS_TOLD_MAX: usize = 100;
/// How long a mute lasts where no time is given.
pub const MUTE_DEFAULT: Duration = Duration::from_mins(10);
/// Longest mute; who should be silent for longer is banned.
pub const MUTE_MAX: Duration = Duration::from_hours(30 * 24);
/// Longest time of a ban that has one; one without lasts as long as the server.
pub const BAN_MAX: Duration = Duration::from_hours(3_650 * 24);
/// Longest time between two lines of one person in slow mode.
pub const SLOW_MAX: Duration = Duration::from_hours(6);
/// Mailboxes whose newest line is remembered in slow mode; the oldest are evicted first.
pub const SPOKEN_MAX: usize = NAMES_MAX;
/// Invitations kept; above it, one is refused.
pub const INVITATIONS_MAX: usize = 10_000;
/// Invitations listed by `/invites`: as many as a person reads.
pub const INVITATIONS_TOLD_MAX: usize = 100;
/// Reports kept for moderators who are absent; the oldest makes room.
pub const REPORTS_MAX: usize = 100;
/// Reports that one mailbox may make within any [`REPORTS_WINDOW`]: more of them are a flood of its own.
pub const REPORTS_PER_PERSON: usize = 3;
/// See [`REPORTS_PER_PERSON`].
pub const REPORTS_WINDOW: Duration = Duration::from_mins(10);
/// Mailboxes whose reports are counted; the one that reported longest ago is evicted first.
pub const REPORTERS_MAX: usize = NAMES_MAX;
/// Bytes of a reported line that stand in the report: enough to find it again.
pub const REPORT_QUOTE_BYTES_MAX: usize = 100;
/// Longest report, in bytes: the name and the quote of a line, its id and the words between, and a reason.
pub const REPORT_BYTES_MAX: usize = NAME_BYTES_MAX + REASON_BYTES_MAX + REPORT_QUOTE_BYTES_MAX + 50;
const _: () = assert!(
    JSON_GROWTH * REPORTS_MAX * (NAME_BYTES_MAX + REPORT_BYTES_MAX + 50) < LINE_FRAME_BYTES_MAX,
    "all reports are one answer, no longer than the longest line"
);
/// How long a ban keeps new codes from the client network of the banned: a day, after which most home
/// connections have another address, and somebody else has this one.
pub const CLOSED_NETWORK_MAX: Duration = Duration::from_hours(24);
/// Client networks that get no new codes; the oldest gives way. A moderator bans fewer people in a day.
pub const CLOSED_NETWORKS_MAX: usize = 1_000;
const _: () = assert!(CLOSED_NETWORK_MAX.as_secs() <= BAN_MAX.as_secs());
/// Longest lock, and how long one lasts where no time is given: a room that is forgotten opens again.
pub const LOCK_MAX: Duration = Duration::from_hours(24);
/// Frames that `/delete` looks back for lines of a name: all that a newcomer can be shown.
pub const DELETE_FRAMES_MAX: usize = 10_000;
const _: () = assert!(DELETE_FRAMES_MAX >= HISTORY_LINES_MAX);
/// Most lines that `/delete N` takes back, and most ids in one line that says what was deleted.
pub const DELETED_LINES_MAX: usize = 200;
/// Most digits of a line's id, and a comma.
const ID_BYTES_MAX: usize = 21;
const _: () = assert!(
    LINE_OVERHEAD_BYTES
        + DELETED_LINES_MAX * ID_BYTES_MAX
        + JSON_GROWTH * (3 * NAME_BYTES_MAX + REF_BYTES_MAX)
        < LINE_FRAME_BYTES_MAX,
    "a line that says what was deleted is shorter than the longest line"
);
const _: () =
    assert!(MUTE_DEFAULT.as_secs() <= MUTE_MAX.as_secs() && MUTE_MAX.as_secs() <= BAN_MAX.as_secs());
const _: () = assert!(
    LINE_OVERHEAD_BYTES + JSON_GROWTH * 2 * (TOPIC_BYTES_MAX + REASON_BYTES_MAX + NAME_BYTES_MAX)
        < LINE_FRAME_BYTES_MAX,
    "an act with its sentence is shorter than the longest line"
);

// The folder of rules.

/// File descriptors for what is kept on disk: the folder, the log, and the one that takes its place.
const DATA_FILES: usize = 3;
/// Largest entry that is kept on disk, in bytes of key and value: several times that of a report or a ban
/// with all its words.
pub const DATA_ENTRY_BYTES_MAX: usize = 8 << 10;
const _: () = assert!(
    DATA_ENTRY_BYTES_MAX
        > 4 * (TOPIC_BYTES_MAX
            + 2 * NAME_BYTES_MAX
            + EMAIL_BYTES_MAX
            + REASON_BYTES_MAX
            + REPORT_QUOTE_BYTES_MAX)
);
/// Largest record of the log, in bytes of changes: what is written and synced at once, and all that a crash
/// can leave unfinished. A thousand changes or more.
pub const DATA_RECORD_BYTES_MAX: usize = 256 << 10;
const _: () = assert!(DATA_RECORD_BYTES_MAX >= 8 * DATA_ENTRY_BYTES_MAX);
/// Largest log, in bytes: it is read as a whole at start. All names and sessions that there can be take a
/// quarter of it.
pub const DATA_FILE_BYTES_MAX: u64 = 256 << 20;
const _: () = assert!((NAMES_MAX + SESSIONS_MAX) as u64 * 300 < DATA_FILE_BYTES_MAX / 4);
/// How old the state that a process has left in the folder may be: a container is started again within it,
/// and nobody expects to be in the room still after a longer absence.
pub const LEFT_STATE_MAX: Duration = Duration::from_mins(15);
/// By how much the clocks may differ for a state that was left: by more, the machine was started anew, and
/// the moments of the state mean nothing. A clock is set by seconds at most while it is kept in time.
pub const LEFT_STATE_CLOCKS_MAX: Duration = Duration::from_secs(30);
/// A log is rewritten when it is over twice as long as its entries need, and longer by this many bytes: a
/// small one would be rewritten all the time.
pub const DATA_REWRITE_BYTES_MIN: usize = 64 << 10;
/// A log is rewritten this long after the first entry in it has been changed or removed, however small it is:
/// until then the entry can still be found in it.
pub const DATA_DEAD_MAX: Duration = Duration::from_hours(24);
/// Time after which a failed write is tried again.
pub const DATA_RETRY: Duration = Duration::from_mins(1);
/// Changes of different keys that wait in the event loop while the keeper's thread waits for the disk. Above
/// it changes are lost, and the log says so: a disk that neither writes nor fails for so long is broken.
pub const DATA_WAITING_MAX: usize = 100_000;
/// How often the event loop tries to hand over changes while the keeper's thread waits for the disk: about as
/// long as a disk takes to sync.
pub const DATA_HAND_OVER_RETRY: Duration = Duration::from_millis(20);
/// Time for the last changes to be on the disk in a graceful shutdown.
pub const DATA_FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
const _: () = assert!(DATA_HAND_OVER_RETRY.as_millis() * 10 < DATA_FLUSH_TIMEOUT.as_millis());
const _: () = assert!(
    SHUTDOWN_TIMEOUT.as_secs() + DATA_FLUSH_TIMEOUT.as_secs() < 10,
    "systemd ends a service that takes longer to stop (TimeoutStopSec in plume.service)"
);

// Bots.

/// Longest name of a bot, in bytes: a word or two.
pub const BOT_NAME_BYTES_MAX: usize = 24;
const _: () = assert!(BOT_NAME_BYTES_MAX <= NAME_BYTES_MAX);
/// Bots in the settings: a token is compared with those of all, and a room with more bots than this is a log.
pub const BOTS_MAX: usize = 64;
/// What every token of a bot begins with, by which scanners for leaked secrets can know it.
pub const TOKEN_PREFIX: &str = "plume_";
/// Longest body of a line that a bot says, in bytes: the longest legal text with a third of it escaped as
/// `\n` or `\"`. A longer text is cut, and a longer body is none that a program sends for a chat line.
pub const LINE_BODY_BYTES_MAX: usize = 96 << 10;
const _: () = assert!(LINE_BODY_BYTES_MAX > TEXT_BYTES_MAX);
const _: () = assert!(UNFINISHED_BYTES_MAX >= 64 * LINE_BODY_BYTES_MAX);
/// Timeout for receiving a body, from the end of its head.
pub const BODY_TIMEOUT: Duration = HEAD_TIMEOUT;
/// Lines in an answer where a bot does not say after which one.
pub const LINES_DEFAULT: usize = 50;
/// Most lines in an answer that ends.
pub const LINES_MAX: usize = 10_000;
/// Bytes of lines that are encoded at once for a stream over HTTP, and the line that goes beyond them. They
/// are held until the socket takes them; all further lines stay in the ring.
pub const STREAM_BATCH_BYTES: usize = 16 << 10;
const _: () = assert!(2 * STREAM_BATCH_BYTES + LINE_FRAME_BYTES_MAX < 2 * LINE_FRAME_BYTES_MAX);
/// Streams that follow the room at once.
pub const FOLLOWERS_MAX: usize = 64;
/// Streams that follow the room with one token at once: a restarted bot may leave one behind for a while.
pub const FOLLOWERS_PER_BOT_MAX: usize = 4;
const _: () = assert!(FOLLOWERS_PER_BOT_MAX < FOLLOWERS_MAX);
/// Value of `Retry-After` where there are too many such streams, in seconds.
pub const RETRY_FOLLOW_SECONDS: u64 = 10;

// The doctor.

/// Fewer connections than this are worth a warning: the usual limit of 1,024 files leaves room for so many,
/// also with metrics and an engine.
pub const CONNECTIONS_FEW: usize = 1_024 - FILES_RESERVED - METRICS_FILES - ENGINE_FILES;

// Login emails.

/// Timeout for sending one email, in total, from the moment it is accepted.
pub const MAIL_TIMEOUT: Duration = Duration::from_secs(15);
/// An email that has less than this part of its time left, a second of fifteen, is not begun: it would often
/// arrive after the page has said that it failed.
pub const MAIL_BEGIN_PART: u32 = 15;
/// Time after which the server stops waiting for the result of an email.
pub const MAIL_RESULT_TIMEOUT: Duration = Duration::from_secs(16);
/// Emails being sent at once, each on a thread of its own; threads left behind after a timeout count until
/// they end. So one slow answer does not hold up the next email, and a provider that never answers holds no
/// more than this.
pub const MAIL_THREADS_MAX: usize = 4;
/// Emails that wait for a thread; above it an email fails at once. About as many as the threads send within
/// the timeout if each takes a second: the last of a longer queue would be late anyway.
pub const MAIL_QUEUE_MAX: usize = 64;
const _: () = assert!(MAIL_QUEUE_MAX as u64 >= MAIL_THREADS_MAX as u64 * MAIL_TIMEOUT.as_secs());
/// Largest reply of an SMTP server, in bytes: more than any list of extensions.
pub const SMTP_REPLY_BYTES_MAX: usize = 16 << 10;
/// Time for an SMTP server to say goodbye. The result of the email waits for it, but needs it for nothing.
pub const SMTP_QUIT_TIMEOUT: Duration = Duration::from_secs(1);
const _: () = assert!(SMTP_QUIT_TIMEOUT.as_millis() < MAIL_TIMEOUT.as_millis());
/// Addresses of an email provider's host that are tried.
pub const MAIL_SERVER_ADDRESSES_MAX: usize = 8;
/// Emails to one mailbox within any [`MAIL_ADDRESS_WINDOW`]; addresses that differ only in their `+tag` share
/// a mailbox.
pub const MAILS_PER_ADDRESS: usize = 3;
/// New codes that an address may be sent within any [`MAIL_ADDRESS_WINDOW`] even when requests by other
/// people have used up [`MAILS_PER_ADDRESS`]: reserved for addresses without a tag and addresses that own a
/// name. So other people's requests, under whatever tag, leave the owner with a live code or with an email
/// that brings one. The second is for a code that has drawn too many guesses, or for a second device just
/// after the first. At most `MAILS_PER_ADDRESS + NEW_CODES_RESERVED` emails reach a mailbox within a window
/// (and as many more for each further address of it that owns a name).
pub const NEW_CODES_RESERVED: usize = 2;
const _: () = assert!(NEW_CODES_RESERVED < MAILS_PER_ADDRESS);
/// See [`MAILS_PER_ADDRESS`].
pub const MAIL_ADDRESS_WINDOW: Duration = Duration::from_mins(10);
/// Emails requested on one connection.
pub const MAILS_PER_CONNECTION: u8 = 3;
/// Login codes requested from one client address (IPv4, or an IPv6 /64) within any [`MAIL_ADDRESS_WINDOW`]: a
/// household, or an office at the start of its day.
pub const MAILS_PER_CLIENT_ADDRESS: usize = 10;
/// The same for one IPv6 /56, which many providers assign to one household (RFC 6177).
pub const MAILS_PER_SLASH_56: usize = 15;
/// The same for one network: an IPv6 /48, the most that one site gets, or an IPv4 /24, the least that is
/// routed by itself. A fifth of what the whole server sends in this time with its defaults.
pub const MAILS_PER_NETWORK: usize = 30;
const _: () =
    assert!(MAILS_PER_CLIENT_ADDRESS < MAILS_PER_SLASH_56 && MAILS_PER_SLASH_56 < MAILS_PER_NETWORK);
/// A network (IPv6 /48, IPv4 /24) that was sent no code for this long counts as fresh, and has a share of the
/// server's budget that other networks cannot use. The longer this is, the more networks an attacker needs:
/// with the default budget of one email per 4 s, 900 an hour.
pub const FRESH_AFTER: Duration = Duration::from_hours(1);
/// Reciprocal of the share of the server's burst reserved for addresses that own a name; at least one email.
pub const OWNERS_SHARE: u64 = 8;
/// Tenths of the burst, and at least one email more than the owners' share, that networks which are not fresh
/// leave to fresh ones. With the default burst of 15 an office gets three codes at once, and then one each
/// time a token is refilled.
pub const FRESH_SHARE_TENTHS: u64 = 8;
const _: () = assert!(FRESH_SHARE_TENTHS < 10, "a network that is not fresh must get something");
const _: () =
    assert!(10 < OWNERS_SHARE * FRESH_SHARE_TENTHS, "fresh networks need a share beyond the owners'");
/// Email addresses whose emails are counted; the oldest are evicted first.
pub const MAIL_ADDRESSES_MAX: usize = 100_000;
/// Client networks, of each size, whose requests are counted; the oldest are evicted first.
pub const MAIL_NETWORKS_MAX: usize = 100_000;
const _: () = assert!(MAIL_RESULT_TIMEOUT.as_millis() > MAIL_TIMEOUT.as_millis());
const _: () = assert!(SHUTDOWN_TIMEOUT.as_millis() < CLOSE_TIMEOUT.as_millis());

// Several nodes that share one room.

/// Entries that the engine keeps at least; it drops older ones in blocks. At a hundred lines a second this is
/// a quarter of an hour, in which a node may be cut off and still read on where it was.
pub const LOG_ENTRIES_MIN: u64 = 100_000;
/// Newest entries that a node looks at when it joins, to see which others are alive: many more than nodes
/// write within [`NODE_TIMEOUT`] that only join.
pub const RECENT_ENTRIES_MAX: usize = 256;
/// How long the engine holds a state that one node hands to another.
pub const HANDED_STATE_TTL: Duration = Duration::from_mins(1);
/// Largest reply of the engine and largest state that is handed over, in bytes: far more than the largest
/// ring and full tables take, so that only a broken engine reaches it.
pub const ENGINE_REPLY_BYTES_MAX: usize = 256 << 20;
/// Longest key of the log in the engine, in bytes: a name that an operator chooses.
pub const ENGINE_KEY_BYTES_MAX: usize = 128;
/// Longest line of a reply, in bytes: a status, an error or a number. Redis cuts what it quotes at 128 bytes.
pub const ENGINE_LINE_BYTES_MAX: usize = 1_024;
/// Largest reply to INFO, in bytes: each section that is asked for has less than 2 KB, and a line for each
/// replica.
pub const ENGINE_INFO_BYTES_MAX: usize = 64 << 10;
/// How fast large values come and go at least, in bytes a second: for each microsecond that a reply may take
/// longer than [`ENGINE_REPLY_TIMEOUT`], a byte must have been sent or received. A slow link of 10 Mbit/s has
/// as much.
pub const ENGINE_BYTES_PER_SECOND_MIN: u64 = 1_000_000;
/// How long the engine lets a read of the log wait for an entry. A connection that has died in between is
/// noticed this much later.
pub const TAIL_BLOCK: Duration = Duration::from_secs(2);
/// How often the engine is asked whether it still has the history that it had, and is the one that others
/// follow. The second can change on a connection that stays.
pub const ENGINE_CHECK_INTERVAL: Duration = Duration::from_secs(5);
const _: () = assert!(TAIL_BLOCK.as_millis() + ENGINE_REPLY_TIMEOUT.as_millis() < ENTRY_TIMEOUT.as_millis());
/// Reads of a connection to the engine in a turn, and writes: a flood of entries must leave time for clients.
/// With [`READ_SHARE_BYTES`] for each read these are 256 KiB.
pub const ENGINE_READS_PER_TURN: usize = 16;
/// Most bytes of the last entry that are remembered, to see whether the log has the same one when it is read
/// on: more than any entry but long lines and states.
pub const REMEMBERED_BYTES_MAX: usize = 4 << 10;
/// Addresses of the engine's host that are tried.
pub const ENGINE_ADDRESSES_MAX: usize = 8;
/// File descriptors that the engine needs: two connections, and those with which the system's resolver asks.
pub const ENGINE_FILES: usize = 2 + 4;
/// Entries that one read of the log gives at most. They are applied in one turn, which must leave time for
/// clients; and with an engine that is a millisecond away these are still over 100,000 in a second.
pub const ENTRIES_PER_READ: usize = 128;
/// Most bytes of entries that are kept until a read is complete, but for a single larger one: as many as are
/// read in a turn. More of them at once would overtake members who read as fast as the ring allows. What a
/// read gives beyond it is read again.
pub const ENGINE_READ_BYTES_MAX: usize = ENGINE_READS_PER_TURN * READ_SHARE_BYTES;
/// How often a node says that it is alive.
pub const ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// A node of which the log has had nothing for this long is gone, with everybody who is connected to it: four
/// times [`ALIVE_INTERVAL`], so that neither a slow engine nor a reconnection ends a node that lives.
pub const NODE_TIMEOUT: Duration = Duration::from_secs(20);
const _: () = assert!(NODE_TIMEOUT.as_secs() >= 4 * ALIVE_INTERVAL.as_secs());
/// How long an own entry may take to come back through the log before the node counts as apart.
pub const ENTRY_TIMEOUT: Duration = Duration::from_secs(7);
const _: () = assert!(ENTRY_TIMEOUT.as_secs() < NODE_TIMEOUT.as_secs());
/// How long the engine may take to answer. Then the connection counts as lost.
pub const ENGINE_REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a node may be without the log before its members learn it.
pub const APART_AFTER: Duration = Duration::from_secs(2);
/// How long after that they stay connected to a node that is apart. Another node may serve them meanwhile.
pub const APART_CLOSE_AFTER: Duration = Duration::from_secs(30);
/// The first wait before another connection to the engine; it doubles each time.
pub const RECONNECT_WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest wait before another connection to the engine.
pub const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a joining node waits for the state that another node hands over, before it asks anew.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a joining node looks for that state.
pub const HANDED_STATE_POLL: Duration = Duration::from_millis(100);
/// How long a node that remembers nothing leaves it to others to begin the room again: where the engine was
/// away or has lost everything, nodes that remember the room connect again within this time.
pub const BASE_WAIT: Duration = Duration::from_secs(8);
const _: () =
    assert!(BASE_WAIT.as_millis() > RECONNECT_WAIT_MAX.as_millis() + ENGINE_REPLY_TIMEOUT.as_millis());
/// How long a node waits that remembers the room, if another remembers more of it.
pub const BASE_WAIT_SECOND: Duration = Duration::from_secs(1);
/// How long the node waits that remembers most, so that one which is alive can say so.
pub const BASE_WAIT_MIN: Duration = Duration::from_millis(200);
const _: () = assert!(BASE_WAIT_MIN.as_millis() < BASE_WAIT_SECOND.as_millis());
const _: () = assert!(BASE_WAIT_SECOND.as_millis() < BASE_WAIT.as_millis());
/// How long a joining node waits for a value of the engine: a state of 10 MB at 8 Mbit/s.
pub const STATE_REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of entries that a joining node keeps until it has the state that they follow. Above it, it asks for
/// another.
pub const KEPT_ENTRIES_BYTES_MAX: usize = 64 << 20;
/// How many times [`ENTRY_TIMEOUT`] doubles, at most, while own entries do not come back in spite of new
/// connections: on a slow way, one large entry holds up those behind it.
pub const ENTRY_TIMEOUT_DOUBLINGS_MAX: u32 = 3;
/// Shortest time between two entries that say nothing but that the time of the log has passed.
pub const SHARED_DEADLINE_INTERVAL: Duration = Duration::from_millis(250);
const _: () = assert!(SHARED_DEADLINE_INTERVAL.as_millis() < ALIVE_INTERVAL.as_millis());
/// Entries of a node that have not come back yet. Above it no more messages are read: the log is slower than
/// people talk.
pub const PENDING_ENTRIES_MAX: usize = 1_024;
/// The same in bytes.
pub const PENDING_BYTES_MAX: usize = 1 << 20;
/// Client networks of one session on one node that a ban closes: a phone that changes between a few, and the
/// newest of one that travels.
pub const NETWORKS_PER_SESSION_MAX: usize = 8;
/// Nodes that share a room; entries of more are not read.
pub const NODES_MAX: usize = 64;
