//! The other side of a connection, and the socket between: what a peer has sent and was sent.

use crate::transcript::Transcript;
use plume::ids::ClientId;
use plume::limits::READ_SHARE_BYTES;

/// One peer, for as long as its connection lasts.
pub(crate) struct Peer {
    pub(crate) id: ClientId,
    /// What the peer has sent and the server has not read.
    pub(crate) arriving: Vec<u8>,
    pub(crate) end: End,
    /// Whether the shell has to look at it: something came, or the server asked for it.
    pub(crate) is_queued: bool,
    pub(crate) read_size: usize,
    pub(crate) small_reads_left: usize,
    /// Bytes that the socket takes before it is full.
    pub(crate) room: usize,
    pub(crate) transcript: Transcript,
    /// Whether the server has ended its side.
    pub(crate) is_ended: bool,
    pub(crate) is_member: bool,
    /// For each try to come in: the line up to which the peer said to have seen everything.
    pub(crate) tries: Vec<Option<u64>>,
    /// The line after which nothing may be missing, for one who came back.
    pub(crate) resumed_after: Option<u64>,
    pub(crate) newest_line: Option<u64>,
}

/// Whether a peer will send nothing more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    /// It ends once everything before has been read.
    Coming,
    Told,
}

impl Peer {
    pub(crate) fn new(id: ClientId) -> Self {
        Self {
            id,
            arriving: Vec::new(),
            end: End::Open,
            is_queued: false,
            read_size: READ_SHARE_BYTES,
            small_reads_left: 0,
            room: usize::MAX,
            transcript: Transcript::default(),
            is_ended: false,
            is_member: false,
            tries: Vec::new(),
            resumed_after: None,
            newest_line: None,
        }
    }

    pub(crate) fn has_something(&self) -> bool {
        !self.arriving.is_empty() || self.end == End::Coming
    }

    /// The next bytes; none where only the end is left.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let size = if self.small_reads_left > 0 { self.read_size } else { READ_SHARE_BYTES };
        self.small_reads_left = self.small_reads_left.saturating_sub(1);
        self.arriving.drain(..size.min(self.arriving.len())).collect()
    }
}
