//! What happens to a server, as told by an input. Any bytes are a script, and a script can be typed:
//!
//! The first two bytes choose the settings. Then each operation is a letter and what it needs, mostly digits; spaces and
//! line ends between operations mean nothing. Bytes that are no letters or digits count as some. So
//! `00 a00 u00 h000 c000 t02` is: somebody is accepted, upgrades, says hello, types the code and then a line. The digit
//! after a letter is the slot of the connection.
//!
//! | | | |
//! |---|---|---|
//! | `a00` accept: from an address | `g03` a request of the table | `u00` upgrade: forwarded for whom |
//! | `h012` hello: name, address | `c00` a code: which, how | `r00` resume: which token, how |
//! | `t01` a line of a size | `l0` leave | `j05.....` a message of so many bytes |
//! | `p0` ping | `o0` pong | `w0` ping by a message |
//! | `x0` close | `e0` the peer ends | `k0` it breaks |
//! | `f0?1` a frame: first byte, size | `b05.....` so many bytes | `y01` reads of a size |
//! | `s03` what its socket takes | `v00` a mail: which, how | `d3` the shell obeys so much at once |
//! | `z5` time passes | `n3` until so many deadlines | `q` shutdown; `i` and the rest: nothing but a tick |
//! | `m2` the next operation comes in a gap: after so many calls of the server in the turn that follows | | |

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A life of a server.
#[derive(Debug)]
pub struct Script {
    /// Chooses settings: its bits.
    pub settings: u8,
    /// Chooses how many lines a newcomer sees.
    pub history: usize,
    /// What happens, in order.
    pub operations: Vec<Operation>,
}

/// The slot of a connection.
pub type Slot = usize;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A connection comes in from an address, if its slot is free.
    Accept(Slot, IpAddr),
    /// A peer sends bytes.
    Send(Slot, Vec<u8>),
    /// A peer sends a request of [`REQUESTS`].
    Request(Slot, usize),
    /// A peer asks for a WebSocket, and may tell whom it speaks for.
    Upgrade(Slot, Option<&'static str>),
    /// A peer sends a frame: first byte, and how long.
    Frame(Slot, u8, usize),
    /// A peer sends a message of so many literal bytes.
    Message(Slot, Vec<u8>),
    /// A name of [`NAMES`] and an address of [`EMAILS`].
    Hello(Slot, usize, usize),
    /// A code that was mailed, counted from the newest.
    Auth(Slot, usize, Typed),
    /// A session token that somebody was given, counted from the newest.
    Resume(Slot, usize, Typed, Seen),
    /// A line of a size.
    Text(Slot, usize),
    /// A ping that a page can send.
    Ping(Slot),
    /// Log out.
    Leave(Slot),
    /// A peer's reads come in pieces of this size for a while.
    ReadSize(Slot, usize),
    /// A peer's socket takes so many bytes more.
    Room(Slot, usize),
    /// A peer sends nothing more.
    PeerEnds(Slot),
    /// A connection breaks.
    Break(Slot),
    /// What became of a mail, counted from the oldest that is on its way.
    MailDone(usize, usize),
    /// So much time passes at once, in milliseconds.
    Pass(u64),
    /// Time passes as the server's deadlines ask for, so many times.
    Walk(usize),
    /// From now on the shell does at most so much of what the server says before other things happen.
    Obey(usize),
    /// The next operation comes between two calls of the turn that follows it, after so many other gaps.
    InGap(usize),
    /// The server is to stop.
    Shutdown,
    /// Nothing.
    Tick,
}

/// How somebody types a secret.
#[derive(Debug, Clone, Copy)]
pub enum Typed {
    /// As it is.
    Right,
    /// For a code, with the newest flow token.
    WithFlow,
    /// In lower case, with white space around it.
    Untidy,
    /// With one character changed.
    Altered,
    /// Without the last character.
    Cut,
    /// Nothing at all.
    Empty,
}

/// What somebody who resumes says to have seen.
#[derive(Debug, Clone, Copy)]
pub enum Seen {
    /// Nothing.
    Unsaid,
    /// All but so many of the newest lines of this run.
    AllBut(u64),
    /// A line that has not been said yet.
    Future,
    /// A line of another run.
    OtherRun,
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(unstructured: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self::read(unstructured.bytes(unstructured.len())?))
    }
}

impl Script {
    /// The script that these bytes are.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut choices = Choices(bytes);
        let settings = choices.byte();
        let history = choices.of(&[50, 0, 3, 10_000]);
        let operations = std::iter::from_fn(|| Operation::read(&mut choices)).take(OPERATIONS_MAX).collect();
        Self { settings, history, operations }
    }
}

impl Operation {
    fn read(choices: &mut Choices<'_>) -> Option<Self> {
        let letter = choices.letter()?;
        Some(match letter {
            b'a' => Self::Accept(choices.slot(), choices.of(&ADDRESSES)),
            b'b' => Self::Send(choices.slot(), choices.literal()),
            b'c' => Self::Auth(choices.slot(), choices.digit(), choices.of(&TYPED)),
            b'd' => Self::Obey(choices.of(&[usize::MAX, 0, 1, 2, 5])),
            b'e' => Self::PeerEnds(choices.slot()),
            b'f' => Self::Frame(choices.slot(), choices.byte(), choices.of(&FRAME_SIZES)),
            b'g' => Self::Request(choices.slot(), choices.digit() % REQUESTS.len()),
            b'h' => {
                let slot = choices.slot();
                Self::Hello(slot, choices.digit() % NAMES.len(), choices.digit() % EMAILS.len())
            }
            b'j' => Self::Message(choices.slot(), choices.literal()),
            b'k' => Self::Break(choices.slot()),
            b'l' => Self::Leave(choices.slot()),
            b'm' => Self::InGap(choices.digit()),
            b'n' => Self::Walk(choices.digit()),
            b'o' => Self::Frame(choices.slot(), crate::frames::PONG, 0),
            b'p' => Self::Frame(choices.slot(), crate::frames::PING, 5),
            b'q' => Self::Shutdown,
            b'r' => {
                let (slot, token, typed) = (choices.slot(), choices.digit(), choices.of(&TYPED));
                let seen = [Seen::Unsaid, Seen::AllBut(0), Seen::AllBut(3), Seen::AllBut(60)];
                let seen = [&seen[..], &[Seen::Future, Seen::OtherRun]].concat();
                Self::Resume(slot, token, typed, choices.of(&seen))
            }
            b's' => Self::Room(choices.slot(), choices.of(&ROOMS)),
            b't' => Self::Text(choices.slot(), choices.of(&TEXT_SIZES)),
            b'u' => Self::Upgrade(choices.slot(), choices.of(&FORWARDED)),
            b'v' => Self::MailDone(choices.digit(), choices.digit()),
            b'w' => Self::Ping(choices.slot()),
            b'x' => Self::Frame(choices.slot(), crate::frames::CLOSE, 0),
            b'y' => Self::ReadSize(choices.slot(), choices.of(&READ_SIZES)),
            b'z' => Self::Pass(choices.of(&WAITS_MS)),
            _ => Self::Tick,
        })
    }
}

/// What is left of the input. Where nothing is left, each choice is the first.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    /// The letter of the next operation.
    fn letter(&mut self) -> Option<u8> {
        self.0 = self.0.trim_ascii_start();
        (!self.0.is_empty()).then(|| b'a' + self.byte().wrapping_sub(b'a') % 26)
    }

    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn digit(&mut self) -> usize {
        usize::from(self.byte() & 0x0f)
    }

    fn slot(&mut self) -> Slot {
        self.digit() % SLOTS
    }

    fn of<T: Copy>(&mut self, table: &[T]) -> T {
        table[self.digit() % table.len()]
    }

    /// A byte that counts (`0` counts none), and so many bytes.
    fn literal(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte().wrapping_sub(b'0')).min(self.0.len());
        self.0.split_off(..len).unwrap_or_default().to_vec()
    }
}

/// Connections at once.
pub const SLOTS: usize = 6;
/// Longer scripts only cost time.
const OPERATIONS_MAX: usize = 300;

/// This machine, two clients, one of them as IPv6 writes it, and a proxy that is trusted.
const ADDRESSES: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped()),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    PROXY,
];

/// A proxy that is trusted.
pub const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// What proxies write, and what nobody should.
const FORWARDED: [Option<&str>; 6] = [
    None,
    Some("192.0.2.1"),
    Some("2001:db8::1, 198.51.100.1"),
    Some("203.0.113.1, 192.0.2.1"),
    Some("192.0.2.1, unknown"),
    Some(""),
];

/// Requests that a page, a probe or nobody sends.
pub const REQUESTS: [&str; 8] = [
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /healthz HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n",
    "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "GET /connect HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: ",
];

/// Names: one twice, one of another script, none at all, one that is reserved.
pub const NAMES: [&str; 6] = ["ada", "Ada", "李雷", "bob", "\t", "plumebot"];

/// Addresses: one twice, others, none at all.
pub const EMAILS: [&str; 5] =
    ["ada@example.org", "ADA@example.org", "bob@example.org", "li@example.org", "nowhere"];

const TYPED: [Typed; 6] =
    [Typed::Right, Typed::WithFlow, Typed::Untidy, Typed::Altered, Typed::Cut, Typed::Empty];

/// Around the steps of the frame header, the limits of strangers and of lines.
const TEXT_SIZES: [usize; 10] = [0, 1, 20, 120, 1_000, 5_000, 20_000, 65_536, 65_537, 90_000];
const FRAME_SIZES: [usize; 10] = [0, 1, 2, 125, 126, 4_096, 4_097, 65_535, 65_536, 410_000];
const ROOMS: [usize; 8] = [usize::MAX, 0, 1, 7, 130, 1_000, 5_000, 70_000];
const READ_SIZES: [usize; 5] = [16 << 10, 1, 2, 7, 125];
/// Around the waits of the server, up to the end of a session.
const WAITS_MS: [u64; 16] = [
    1, 10, 100, 1_000, 2_000, 4_000, 5_000, 10_000, 15_000, 25_000, 30_000, 60_000, 600_000, 900_000,
    3_600_000, 90_000_000,
];
