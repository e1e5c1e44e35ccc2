//! Why a folder cannot be used, with what to do about it.

use super::{KEY_BYTES, KEY_FILE, LOG_FILE};
use crate::limits::DATA_FILE_BYTES_MAX;
use std::fmt::{self, Display};
use std::io;

/// Why the folder of `PLUME_DATA` cannot be used. Displayed as one line. Nothing on disk has changed.
#[derive(Debug, PartialEq, Eq)]
pub enum DataError {
    /// The folder does not exist, nor does the one that it would be made in.
    NoParent,
    /// It is something else.
    NotAFolder,
    /// It belongs to another user, with this id.
    OtherOwner(u32),
    /// Other users may look into it: its mode.
    WideFolder(u32),
    /// Another process uses it.
    InUse,
    /// The key file is not a file.
    KeyNotAFile,
    /// The key file has this many bytes.
    KeySize(u64),
    /// Other users may read the key file: its mode.
    WideKey(u32),
    /// There is a log, but no key file.
    NoKey,
    /// The log was written with another key.
    OtherKey,
    /// The log is something else.
    NotALog,
    /// The log has a format of this version, which is newer than all that are known.
    NewerVersion(u32),
    /// A record is damaged.
    BadRecord {
        /// Its number, from one.
        number: u64,
        /// Where it begins, in bytes.
        at: usize,
    },
    /// The log has more than [`DATA_FILE_BYTES_MAX`] bytes.
    TooLarge(u64),
    /// There is no folder, and so nothing to forget.
    NothingThere,
    /// A system call failed.
    Io {
        /// What it was for.
        doing: &'static str,
        /// Its kind.
        kind: io::ErrorKind,
        /// Its words.
        error: String,
    },
}

impl DataError {
    /// Of a system call that failed.
    pub(super) fn of(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io { doing, kind: error.kind(), error: error.to_string() }
    }

    /// Whether somebody must set something right, so that another try by itself does not help.
    #[must_use]
    pub fn needs_operator(&self) -> bool {
        match self {
            Self::NoParent
            | Self::NotAFolder
            | Self::OtherOwner(_)
            | Self::WideFolder(_)
            | Self::InUse
            | Self::KeyNotAFile
            | Self::KeySize(_)
            | Self::WideKey(_)
            | Self::NoKey
            | Self::OtherKey
            | Self::NotALog
            | Self::NewerVersion(_)
            | Self::BadRecord { .. }
            | Self::NothingThere
            | Self::TooLarge(_) => true,
            Self::Io { kind, .. } => matches!(
                kind,
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::InvalidFilename
                    | io::ErrorKind::Unsupported
            ),
        }
    }
}

impl Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoParent => {
                f.write_str("it does not exist, nor does the folder above it; make one of them")
            }
            Self::NotAFolder => f.write_str("it is not a folder"),
            Self::OtherOwner(uid) => {
                write!(
                    f,
                    "it belongs to another user (id {uid}); give it to the user that runs Plume (chown)"
                )
            }
            Self::WideFolder(mode) => {
                write!(f, "its mode is {mode:04o}, so that other users could read it; chmod 700 it")
            }
            Self::InUse => f.write_str("another process uses it; stop that one first"),
            Self::KeyNotAFile => write!(f, "{KEY_FILE} in it is not a file"),
            Self::KeySize(bytes) => write!(
                f,
                "{KEY_FILE} in it has {bytes} bytes instead of {KEY_BYTES}; restore it from a backup, or move both \
                 {KEY_FILE} and {LOG_FILE} away to start without rules"
            ),
            Self::WideKey(mode) => write!(
                f,
                "the mode of {KEY_FILE} in it is {mode:04o}, so that other users could read it; chmod 600 it"
            ),
            Self::NoKey => write!(
                f,
                "{KEY_FILE} in it is missing, without which {LOG_FILE} cannot be read; restore it from a backup, or \
                 move {LOG_FILE} away to start without rules"
            ),
            Self::OtherKey => write!(
                f,
                "{KEY_FILE} in it is not the key that {LOG_FILE} was written with; restore the right one from a \
                 backup, or move {LOG_FILE} away to start without rules"
            ),
            Self::NotALog => write!(f, "{LOG_FILE} in it was not written by Plume; move it away"),
            Self::NewerVersion(version) => write!(
                f,
                "{LOG_FILE} in it has format version {version}, which a newer Plume has written; start that one"
            ),
            Self::BadRecord { number, at } => write!(
                f,
                "{LOG_FILE} in it is damaged in record {number}, at byte {at}; restore it from a backup, or give up \
                 that record and all later ones: truncate -s {at} {LOG_FILE}"
            ),
            Self::TooLarge(bytes) => write!(
                f,
                "{LOG_FILE} in it has {bytes} bytes, more than the {DATA_FILE_BYTES_MAX} that Plume writes; restore \
                 it from a backup, or move it away to start without rules"
            ),
            Self::NothingThere => f.write_str("it does not exist, so there is nothing to forget"),
            Self::Io { doing, error, .. } => write!(f, "cannot {doing}: {error}"),
        }
    }
}

impl std::error::Error for DataError {}
