//! The listening socket: bound to an address or a path, or passed by the service manager. Owns the file of a
//! Unix socket, and removes it when it is dropped.

use super::set_unsent_max;
use super::stream::Stream;
use crate::base::frost::frost;
use crate::config::Listen;
use crate::limits::UNSENT_BYTES_MAX;
use mio::net::{TcpListener, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::fs::{Mode, chmod, fchmod};
use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_acceptconn, socket_domain};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt::{self, Display};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

pub(super) struct Listener {
    kind: Kind,
    /// Where it was to listen.
    setting: String,
    /// The service manager has bound it.
    is_passed: bool,
    /// The file of a Unix socket that was bound here.
    file: Option<SocketFile>,
}

/// What a listener is besides its socket, for the next process.
pub(super) struct ListenerRecord {
    setting: String,
    is_passed: bool,
    /// Device and inode of its file.
    file: Option<(u64, u64)>,
}

frost!(struct ListenerRecord { setting, is_passed, file });

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A listening socket that the service manager has bound (`sd_listen_fds(3)`).
#[derive(Debug)]
pub enum Passed {
    /// A TCP socket.
    Tcp(std::net::TcpListener),
    /// A Unix socket: its clients are proxies on this machine.
    Unix(std::os::unix::net::UnixListener),
}

/// Where a listener listens. Displayed as the start line shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket; empty if it has none.
    Unix(PathBuf),
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => Listen::Tcp(*address).fmt(f),
            Self::Unix(path) => Listen::Unix(path.clone()).fmt(f),
        }
    }
}

impl Listener {
    /// Binds a TCP address or the path of a Unix socket.
    pub(super) fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(*address)?;
                rustix::net::listen(&listener, LISTEN_BACKLOG)?;
                Ok(Self::over_tcp(listener, listen))
            }
            Listen::Unix(path) => {
                let (listener, file) = bind_unix(path)?;
                Ok(Self { file: Some(file), ..Self::new(Kind::Unix(listener), listen) })
            }
        }
    }

    fn new(kind: Kind, listen: &Listen) -> Self {
        Self { kind, setting: listen.to_string(), is_passed: false, file: None }
    }

    /// Takes over a socket that the service manager has bound. Its backlog stays as it is.
    pub(super) fn take(passed: Passed, listen: &Listen) -> io::Result<Self> {
        let (is_listening, listener) = match passed {
            Passed::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                (socket_acceptconn(&listener)?, Self::over_tcp(TcpListener::from_std(listener), listen))
            }
            Passed::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let is_listening = socket_acceptconn(&listener)?;
                (is_listening, Self::new(Kind::Unix(UnixListener::from_std(listener)), listen))
            }
        };
        let no_listener = || io::Error::new(ErrorKind::InvalidInput, "it is a connection; set Accept=no");
        let listener = Self { is_passed: true, ..listener };
        is_listening.then_some(listener).ok_or_else(no_listener)
    }

    fn over_tcp(listener: TcpListener, listen: &Listen) -> Self {
        // Accepted sockets inherit this option.
        set_unsent_max(&listener, UNSENT_BYTES_MAX);
        Self::new(Kind::Tcp(listener), listen)
    }

    /// Takes over the listener of the process before, with the file of a Unix socket.
    pub(super) fn resume(socket: OwnedFd, record: &ListenerRecord) -> io::Result<Self> {
        let &ListenerRecord { ref setting, is_passed, file: id } = record;
        let kind = match socket_domain(&socket)? {
            AddressFamily::UNIX => Kind::Unix(UnixListener::from_std(socket.into())),
            _ => Kind::Tcp(TcpListener::from_std(socket.into())),
        };
        let listener = Self { kind, setting: setting.clone(), is_passed, file: None };
        let file = match listener.address()? {
            Address::Unix(path) => id.map(|id| SocketFile { path, id }),
            Address::Tcp(_) => None,
        };
        Ok(Self { file, ..listener })
    }

    /// Listens elsewhere from now on, or, if that cannot be, on where it does; then also gives the error.
    ///
    /// # Errors
    /// If it can listen nowhere.
    pub(super) fn move_to(self, listen: &Listen) -> io::Result<(Self, Option<io::Error>)> {
        let error = match Self::bind(listen) {
            Ok(listener) => return Ok((listener, None)),
            Err(error) => error,
        };
        // Its own port may be in the way, where only the address is another one.
        let former = match (listen, self.address()?) {
            (Listen::Tcp(address), Address::Tcp(former)) if address.port() == former.port() => former,
            _ => return Ok((self, Some(error))),
        };
        drop(self);
        match Self::bind(listen) {
            Ok(listener) => Ok((listener, None)),
            Err(error) => Ok((Self::bind(&Listen::Tcp(former))?, Some(error))),
        }
    }

    /// What the next process must know of it.
    pub(super) fn record(&self) -> ListenerRecord {
        ListenerRecord {
            setting: self.setting.clone(),
            is_passed: self.is_passed,
            file: self.file.as_ref().map(|file| file.id),
        }
    }

    /// Leaves the file to the next process.
    pub(super) fn leave_file(&mut self) {
        std::mem::forget(self.file.take());
    }

    /// Whether it was bound for this setting.
    pub(super) fn is_for(&self, listen: &Listen) -> bool {
        !self.is_passed && self.setting == listen.to_string()
    }

    pub(super) const fn is_passed(&self) -> bool {
        self.is_passed
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.kind {
            Kind::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Kind::Unix(listener) => registry.register(listener, token, Interest::READABLE),
        }
    }

    pub(super) fn address(&self) -> io::Result<Address> {
        Ok(match &self.kind {
            Kind::Tcp(listener) => Address::Tcp(listener.local_addr()?),
            Kind::Unix(listener) => {
                Address::Unix(listener.local_addr()?.as_pathname().unwrap_or(Path::new("")).to_owned())
            }
        })
    }

    /// Accepts a connection. `None` instead of the peer's address: it came over a Unix socket.
    pub(super) fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Stream::Tcp(stream), Some(peer.ip())))
            }
            Kind::Unix(listener) => listener.accept().map(|(stream, _)| (Stream::Unix(stream), None)),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Tcp(listener) => listener.as_fd(),
            Kind::Unix(listener) => listener.as_fd(),
        }
    }
}

/// The file of a Unix socket. Removed when dropped, unless another socket has taken its place.
struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
}

impl SocketFile {
    fn id_of(path: &Path) -> io::Result<(u64, u64)> {
        fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Self::id_of(&self.path).is_ok_and(|id| id == self.id) {
            // If it stays, the next start finds that nobody listens on it.
            let _left = fs::remove_file(&self.path);
        }
    }
}

/// Binds a Unix socket that its owner and group may connect to. The file of a process that ended without
/// removing it is replaced.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let socket = match new_unix(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_stale(path)? => {
            fs::remove_file(path)?;
            new_unix(path)?
        }
        result => result?,
    };
    let file = SocketFile { path: path.to_owned(), id: SocketFile::id_of(path)? };
    // The umask may have taken rights away at bind(2).
    chmod(path, SOCKET_MODE)?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok((UnixListener::from_std(socket.into()), file))
}

fn new_unix(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Linux creates the file with the mode of the socket: at no time may others connect.
    fchmod(&socket, SOCKET_MODE)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Whether nobody listens on a socket file any more.
///
/// # Errors
/// If the file is no socket.
fn is_stale(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "there is a file, but it is not a socket"));
    }
    // Does not wait, even if the backlog of a live server is full.
    Ok(UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
}

/// Owner and group may connect, which is writing: a proxy is in the group.
const SOCKET_MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::WGRP);
/// Listen backlog: after a restart all clients reconnect at once. The system may allow fewer.
const LISTEN_BACKLOG: i32 = 4_096;
