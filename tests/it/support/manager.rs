//! A service manager, as far as it hears of its service (`sd_notify(3)`).

use super::PATIENCE;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A notify socket without a file.
pub(crate) struct Manager {
    pub(crate) socket: UnixDatagram,
    pub(crate) address: SocketAddr,
    /// For `NOTIFY_SOCKET`.
    pub(crate) name: String,
}

impl Manager {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("plume-it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from_abstract_name(&name).expect("it is a name");
        let socket = UnixDatagram::bind_addr(&address).expect("nobody has that name");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
        Self { socket, address, name: format!("@{name}") }
    }

    /// The next report.
    pub(crate) fn next(&self) -> String {
        self.next_with_file().0
    }

    /// The next report, and the descriptor that is with it.
    pub(crate) fn next_with_file(&self) -> (String, Option<OwnedFd>) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [0; 1024];
        let parts = &mut [IoSliceMut::new(&mut buffer)];
        let received = recvmsg(&self.socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC);
        let bytes = received.expect("a report comes").bytes;
        let file = control.drain().find_map(|item| match item {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        (String::from_utf8(buffer[..bytes].to_vec()).expect("a report is text"), file)
    }
}
