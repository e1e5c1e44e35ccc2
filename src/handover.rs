//! The way from one process to the next: the parcel, which holds the state and all sockets of a server that
//! runs on, and the two doors through which the next process gets it. Owns the system calls of a move; knows
//! nothing of what the state and the sockets mean (`event_loop::handover` does).
//!
//! # The parcel
//! The state lies in a sealed memfd, which nobody can change any more. The memfd and all sockets lie in
//! flight (`SCM_RIGHTS`, unix(7)) in a Unix socket, the parcel, whose other end is closed: as long as the
//! socket is open, so are they. It needs no name and no file, and who does not hold it cannot open it.
//!
//! # The doors
//! - [`Door::Exec`]: the program is executed in the same process, with the parcel as its stdin.
//! - [`Door::Store`]: systemd keeps the parcel in its FD store (`sd_pid_notify_with_fds(3)`) while it stops
//!   this process and starts the next one, to which it passes the parcel as it passes a listening socket.
//!
//! # The order
//! Let the [`Successor`] check the state (`seal`ed) while this process goes on serving. Then `seal` the state
//! as it is by now, `pack` it with the sockets, and go through the door. Until the last step the old process
//! holds everything and can still end in another way.

use crate::limits::{CHECK_TIMEOUT, PARCEL_FILES_PER_MESSAGE, STORE_TIMEOUT};
use crate::log_event::MoveError;
use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::stdio::dup2_stdin;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

/// The variable by which a process learns what its stdin is. Not `PLUME_`: it is no setting.
pub const HANDOVER: &str = "HANDOVER";
/// A value of [`HANDOVER`]: stdin is the state, and the exit code is to say whether it can be thawed.
pub const CHECK: &str = "check";
/// A value of [`HANDOVER`]: stdin is the parcel.
pub const EXEC: &str = "exec";
/// The variable that says that systemd has an FD store for this service.
pub const FDSTORE: &str = "FDSTORE";
/// The name of the parcel in systemd's FD store, and in `LISTEN_FDNAMES`.
pub const PARCEL: &str = "parcel";

/// How the next process gets the parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Across exec(2), in the same process.
    Exec,
    /// Through systemd's FD store.
    Store,
}

/// The program that takes over: this one, or its next version, which was installed in its place.
#[derive(Debug)]
pub struct Successor {
    program: PathBuf,
    /// From the name of the program on.
    args: Vec<OsString>,
    door: Door,
}

impl Successor {
    /// The program of this process, found at its start: later its path may lead to the next version.
    /// `own` is the file that runs (/proc/self/exe), for a name that does not lead to it.
    #[must_use]
    pub fn new(args: Vec<OsString>, path: Option<&OsStr>, folder: &Path, own: PathBuf, door: Door) -> Self {
        let name = args.first().map(PathBuf::from).unwrap_or_default();
        let program = candidates(&name, path, folder).find(|program| is_same_file(program, &own));
        Self { program: program.unwrap_or(own), args, door }
    }

    /// The door that this process uses.
    #[must_use]
    pub(crate) const fn door(&self) -> Door {
        self.door
    }

    /// Runs the program once beside this one, to see whether it can thaw the state with its settings.
    ///
    /// # Errors
    /// If it cannot be run.
    pub(crate) fn check(&self, state: OwnedFd) -> Result<Check, MoveError> {
        let mut command = self.command(CHECK);
        let child = command.stdin(state).stdout(Stdio::null()).spawn();
        let deadline = Instant::now() + CHECK_TIMEOUT;
        child.map(|child| Check { child, deadline }).map_err(|_| MoveError::NotStarted)
    }

    /// Executes the program in this process, with the parcel as its stdin. Returns only if that fails.
    pub(crate) fn exec(&self, packed: Packed) -> MoveError {
        let mut command = self.command(EXEC);
        // The other end is closed with everything else.
        command.stdin(packed.parcel);
        // The descriptors of this process, by which the service manager once passed a socket, mean nothing
        // any more.
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
            command.env_remove(name);
        }
        let _error = command.exec();
        MoveError::NotStarted
    }

    fn command(&self, purpose: &str) -> Command {
        let mut command = Command::new(&self.program);
        if let Some((name, args)) = self.args.split_first() {
            command.arg0(name).args(args);
        }
        command.env(HANDOVER, purpose);
        command
    }
}

/// Where the name of a program can lead, as execvp(3) looks for it.
fn candidates(name: &Path, path: Option<&OsStr>, folder: &Path) -> impl Iterator<Item = PathBuf> {
    let has_slash = name.components().count() > 1 || name.is_absolute();
    let path = path.filter(|_| !has_slash).unwrap_or_default();
    let in_path: Vec<PathBuf> =
        std::env::split_paths(path).map(|entry| folder.join(entry).join(name)).collect();
    has_slash.then(|| folder.join(name)).into_iter().chain(in_path)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino()));
    id(one).is_ok_and(|one| id(other).is_ok_and(|other| one == other))
}

/// The next program, running beside this one to see whether it can go on. Killed when dropped.
pub(crate) struct Check {
    child: Child,
    deadline: Instant,
}

impl Check {
    /// What it says. `None`: nothing yet.
    ///
    /// # Errors
    /// If it says no, or has said nothing within [`CHECK_TIMEOUT`].
    pub(crate) fn result(&mut self) -> Option<Result<(), MoveError>> {
        match self.child.try_wait() {
            Ok(Some(status)) if status.success() => Some(Ok(())),
            Ok(Some(_)) => Some(Err(MoveError::Refused)),
            Ok(None) if Instant::now() < self.deadline => None,
            Ok(None) | Err(_) => Some(Err(MoveError::Late)),
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        // It has ended by itself, unless it is late or this process stops.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Holds back the signals for which this program has handlers: they would end a process that was executed and
/// does not have them yet. They wait, also across exec(2), for [`release_signals`].
pub(crate) fn hold_signals() {
    // Fails for no set of signals that exist.
    let _never = handled_signals().thread_block();
}

/// Lets the signals through that a predecessor may have held back. Called once they have handlers.
pub(crate) fn release_signals() {
    let _never = handled_signals().thread_unblock();
}

fn handled_signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2].into_iter().collect()
}

/// Puts the state into a file in memory, and seals it.
///
/// # Errors
/// If the system has no memory or no descriptor for it, or forbids it.
pub(crate) fn seal(state: &[u8]) -> Result<OwnedFd, MoveError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match memfd_create(PARCEL, flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3.
        Err(Errno::INVAL) => memfd_create(PARCEL, flags),
        result => result,
    };
    let mut file = File::from(file.map_err(|error| of_system(&error.into()))?);
    file.write_all(state).map_err(|error| of_system(&error))?;
    fcntl_add_seals(&file, SEALS).map_err(|error| of_system(&error.into()))?;
    Ok(file.into())
}

/// The state in a sealed file. `None`: it is no such file.
#[must_use]
pub fn read_sealed(file: OwnedFd) -> Option<Vec<u8>> {
    if !fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(SEALS)) {
        return None;
    }
    let file = File::from(file);
    let mut state = vec![0; usize::try_from(file.metadata().ok()?.len()).ok()?];
    // The position in the file is shared with the process that wrote it.
    file.read_exact_at(&mut state, 0).ok()?;
    Some(state)
}

/// A packed parcel, and the end that filled it: as long as this is open, it shows whether the parcel is.
pub(crate) struct Packed {
    parcel: OwnedFd,
    filler: OwnedFd,
}

/// The parcel that was passed as stdin, which is empty from then on: nobody reads it, and it would keep the
/// parcel open.
#[must_use]
pub fn take_stdin() -> Option<OwnedFd> {
    let parcel = io::stdin().as_fd().try_clone_to_owned().ok();
    if let Ok(null) = File::open("/dev/null") {
        let _kept = dup2_stdin(null);
    }
    parcel
}

#[cfg(test)]
impl Packed {
    pub(crate) const fn parcel(&self) -> &OwnedFd {
        &self.parcel
    }
}

/// Puts the state and all files into a parcel. They stay open here, too.
///
/// # Errors
/// If the system has no room for it: the descriptors that a user has in flight are limited by `RLIMIT_NOFILE`
/// (`ETOOMANYREFS`), and the messages by the buffer of the socket.
pub(crate) fn pack(state: BorrowedFd<'_>, files: &[BorrowedFd<'_>]) -> Result<Packed, MoveError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let (filler, parcel) = pair.map_err(|error| of_system(&error.into()))?;
    // What the system does not allow stays as it is.
    let _smaller = set_socket_send_buffer_size(&filler, SEND_BUFFER_BYTES);
    for files in std::iter::once(&[state][..]).chain(files.chunks(PARCEL_FILES_PER_MESSAGE)) {
        send_with(&filler, FILES, files).map_err(|error| match error {
            Errno::TOOMANYREFS | Errno::AGAIN | Errno::NOBUFS => MoveError::TooMany,
            error => of_system(&error.into()),
        })?;
    }
    Ok(Packed { parcel, filler })
}

/// Takes everything out of a parcel: the state, and the files in their order. `None`: it is no parcel, is
/// empty, or has more than this process may open.
#[must_use]
pub fn unpack(parcel: &OwnedFd) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
    let mut files = Vec::new();
    while receive_with(parcel, &mut files)? {}
    let mut files = files.into_iter();
    let state = read_sealed(files.next()?)?;
    Some((state, files.collect()))
}

/// Hands the parcel to systemd, to whose notify socket `manager` is connected, and waits until it has it.
///
/// # Errors
/// If systemd does not take it within [`STORE_TIMEOUT`], or throws it away: its store has no room.
pub(crate) fn store(manager: &UnixDatagram, packed: Packed) -> Result<(), MoveError> {
    let Packed { parcel, filler } = packed;
    let message = format!("FDSTORE=1\nFDNAME={PARCEL}\nFDPOLL=0");
    hand_in(manager, message.as_bytes(), parcel).map_err(|_| MoveError::NotStored)?;
    let mut polled = [PollFd::new(&filler, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Its other end is closed: nobody has the parcel.
    match poll(&mut polled, Some(&at_once)) {
        Ok(0) => Ok(()),
        _ => Err(MoveError::NotStored),
    }
}

/// Sends a descriptor to systemd, and waits until everything that was sent is processed
/// (`sd_notify_barrier(3)`).
fn hand_in(manager: &UnixDatagram, message: &[u8], file: OwnedFd) -> io::Result<()> {
    manager.set_write_timeout(Some(STORE_TIMEOUT))?;
    send_with(manager, message, &[file.as_fd()])?;
    drop(file);
    let (mut ours, theirs) = UnixStream::pair()?;
    send_with(manager, b"BARRIER=1", &[theirs.as_fd()])?;
    drop(theirs);
    ours.set_read_timeout(Some(STORE_TIMEOUT))?;
    // systemd closes it, and sends nothing.
    ours.read_exact(&mut [0]).or_else(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Ok(()),
        _ => Err(error),
    })
}

fn send_with(socket: impl AsFd, message: &[u8], files: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); FILES_SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(Errno::TOOMANYREFS);
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            result => return result.map(drop),
        }
    }
}

/// Receives one message. Gives whether there was one; `None`: it is no parcel, or something is missing.
fn receive_with(socket: &OwnedFd, files: &mut Vec<OwnedFd>) -> Option<bool> {
    let mut space = [MaybeUninit::uninit(); FILES_SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut message = [0; FILES.len()];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = match recvmsg(socket, &mut [IoSliceMut::new(&mut message)], &mut control, flags) {
        Ok(received) => received,
        Err(Errno::INTR) => return Some(true),
        Err(Errno::AGAIN) => return Some(false),
        Err(_) => return None,
    };
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = item {
            files.extend(received);
        }
    }
    // Descriptors that this process may not open are thrown away by the kernel, which says no more than this.
    let is_whole = !received.flags.contains(ReturnFlags::CTRUNC);
    is_whole.then_some(received.bytes > 0)
}

/// Closes the epoll(7) instance of the process before, on a thread that ends then: the kernel removes every
/// socket from it, which takes as long as a sixth of a move, and would be done within exec(2) otherwise.
pub(crate) fn close_aside(poll: OwnedFd) {
    // Without a thread it is closed here.
    let _closed = thread::Builder::new().name("plume-close".to_owned()).spawn(move || drop(poll));
}

fn of_system(error: &io::Error) -> MoveError {
    MoveError::System(error.raw_os_error().unwrap_or_default())
}

/// No longer, shorter or other content.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK);
/// The bytes of a message in the parcel: there must be one.
const FILES: &[u8] = b"f";
/// Space for the descriptors of a message.
const FILES_SPACE: usize = rustix::cmsg_space!(ScmRights(PARCEL_FILES_PER_MESSAGE));
/// The buffer of a parcel for a quarter of a million sockets; a message needs 1 KiB of it. The system cuts it
/// to what it allows, by default enough for 50,000.
const SEND_BUFFER_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    fn files(count: usize) -> Vec<File> {
        let file = |n: usize| {
            let mut file = File::from(memfd_create("test", MemfdFlags::CLOEXEC).expect("there is memory"));
            write!(file, "{n}").expect("there is memory");
            file
        };
        (0..count).map(file).collect()
    }

    #[test]
    fn a_parcel_gives_back_the_state_and_the_files_in_their_order() {
        for count in [0, 1, PARCEL_FILES_PER_MESSAGE, 2 * PARCEL_FILES_PER_MESSAGE + 1] {
            let files = files(count);
            let state = seal(b"the state").expect("there is memory");
            let borrowed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
            let packed = pack(state.as_fd(), &borrowed).expect("there is room");
            drop(files);
            let (state, files) = unpack(&packed.parcel).expect("it is whole");
            assert_eq!(state, b"the state");
            let texts: Vec<String> = files
                .into_iter()
                .map(|file| {
                    let (mut file, mut text) = (File::from(file), String::new());
                    file.rewind().expect("it is a file");
                    file.read_to_string(&mut text).expect("it is text");
                    text
                })
                .collect();
            assert_eq!(texts, (0..count).map(|n| n.to_string()).collect::<Vec<_>>());
            assert!(unpack(&packed.parcel).is_none(), "it is empty now");
        }
    }

    #[test]
    fn what_is_no_parcel_gives_nothing() {
        let (one, mut other) = UnixStream::pair().expect("there are sockets");
        assert!(unpack(&one.into()).is_none(), "nothing is in it, and nobody waits");
        assert!(other.write(b"x").is_err());
        let file = files(1).remove(0);
        assert!(read_sealed(file.into()).is_none(), "it is not sealed");
        let null = File::open("/dev/null").expect("it is there");
        assert!(unpack(&null.into()).is_none());
    }

    #[test]
    fn nobody_can_change_a_sealed_state() {
        let state = seal(b"the state").expect("there is memory");
        let mut file = File::from(state.try_clone().expect("there are descriptors"));
        assert!(file.write_all(b"x").is_err() && file.rewind().is_ok() && file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
        assert_eq!(read_sealed(state).as_deref(), Some(&b"the state"[..]));
    }

    #[test]
    fn the_program_is_found_as_a_shell_finds_it_and_through_links() {
        let folder = std::env::temp_dir().join(format!("plume-handover-{}", std::process::id()));
        let _former = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("bin")).expect("the folder for temporary files is ours");
        let own = folder.join("bin/plume-1");
        std::fs::write(&own, "").expect("it is ours");
        std::os::unix::fs::symlink(&own, folder.join("bin/plume")).expect("it is ours");
        std::fs::write(folder.join("plume"), "another").expect("it is ours");
        let link = folder.join("bin/plume");
        let bin = folder.join("bin").into_os_string();
        let rows = [
            ("plume", Some("/nowhere:bin"), folder.join("bin/plume")),
            ("plume", bin.to_str(), link.clone()),
            ("bin/plume", None, link.clone()),
            ("./bin/../bin/plume", None, folder.join("./bin/../bin/plume")),
            // Another program, or none.
            ("./plume", None, own.clone()),
            ("plume", None, own.clone()),
            ("", bin.to_str(), own.clone()),
        ];
        for (name, path, expected) in rows {
            let successor =
                Successor::new(vec![name.into()], path.map(OsStr::new), &folder, own.clone(), Door::Exec);
            assert_eq!(successor.program, expected, "{name:?} {path:?}");
        }
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
