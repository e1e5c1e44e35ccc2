//! Connections to a site: names, sockets, TLS, and time limits. Every read and write ends at the connection's
//! deadline.

use super::report::Report;
use super::tls::{self, TlsError, Trust};
use crate::config::{Url, shown_path};
use ipnet::IpNet;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where a site is reached.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// On a port of a host, which is a name or an address without brackets.
    Tcp { host: String, port: u16 },
    /// On this machine.
    Unix(PathBuf),
}

impl Place {
    pub(super) fn of(url: &Url) -> Self {
        Self::Tcp { host: url.bare_host().to_owned(), port: url.port }
    }
}

/// Opens connections to one site.
#[derive(Clone)]
pub(super) struct Connector {
    place: Place,
    /// Those of the host, at least one. None for a Unix socket.
    addresses: Vec<SocketAddr>,
    trust: Option<Trust>,
    within: Duration,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    NoHost(String),
    Unreachable(SocketAddr, io::Error),
    Unix(PathBuf, io::Error),
    Tls(TlsError),
}

impl Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost(host) => {
                write!(f, "the name {host} is not known: add A or AAAA records for it to the DNS")
            }
            Self::Unreachable(address, error) if error.kind() == ErrorKind::ConnectionRefused => {
                write!(f, "nothing listens on {address}: start the proxy or Plume there, and check the port")
            }
            Self::Unreachable(address, error) => {
                write!(f, "{address} does not answer ({error}): check the DNS and the firewall")
            }
            Self::Unix(path, error) if error.kind() == ErrorKind::PermissionDenied => {
                write!(f, "no right to connect to {}: be in the group of that file", shown_path(path))
            }
            Self::Unix(path, error) => {
                write!(f, "nothing listens on {} ({error}): start Plume", shown_path(path))
            }
            Self::Tls(error) => f.write_str(&error.advice()),
        }
    }
}

impl Connector {
    /// Looks the name up. `within` is the time for one connection and what is said on it.
    pub(super) fn new(place: Place, trust: Option<Trust>, within: Duration) -> Result<Self, ConnectError> {
        let mut addresses = Vec::new();
        if let Place::Tcp { host, port } = &place {
            addresses.extend((host.as_str(), *port).to_socket_addrs().into_iter().flatten());
            if addresses.is_empty() {
                return Err(ConnectError::NoHost(host.clone()));
            }
        }
        Ok(Self { place, addresses, trust, within })
    }

    /// Opens a connection to the first address that answers.
    pub(super) fn open(&self) -> Result<Connection, ConnectError> {
        let deadline = Instant::now() + self.within;
        match &self.place {
            Place::Unix(path) => {
                let stream =
                    UnixStream::connect(path).map_err(|error| ConnectError::Unix(path.clone(), error))?;
                Ok(Connection { stream: Stream::Unix(stream), deadline })
            }
            Place::Tcp { host, .. } => {
                let mut result = Err(ConnectError::NoHost(host.clone()));
                for address in &self.addresses {
                    result = self.open_to(host, *address, deadline);
                    if result.is_ok() {
                        break;
                    }
                }
                result
            }
        }
    }

    fn open_to(
        &self,
        host: &str,
        address: SocketAddr,
        deadline: Instant,
    ) -> Result<Connection, ConnectError> {
        let unreachable = |error| ConnectError::Unreachable(address, error);
        let stream = TcpStream::connect_timeout(&address, left(deadline)).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream.set_read_timeout(Some(self.within)).map_err(unreachable)?;
        stream.set_write_timeout(Some(self.within)).map_err(unreachable)?;
        let stream = match &self.trust {
            None => Stream::Tcp(stream),
            Some(trust) => {
                Stream::Tls(Box::new(tls::connect(stream, host, trust).map_err(ConnectError::Tls)?))
            }
        };
        Ok(Connection { stream, deadline })
    }
}

pub(super) struct Connection {
    stream: Stream,
    deadline: Instant,
}

enum Stream {
    Tcp(TcpStream),
    Tls(Box<tls::Stream>),
    Unix(UnixStream),
}

impl Connection {
    /// Gives the connection this much time from now on.
    pub(super) fn extend(&mut self, within: Duration) {
        self.deadline = Instant::now() + within;
    }

    /// The address of this side.
    fn local_address(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Tls(stream) => stream.sock.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// # Errors
    /// If the deadline has passed.
    fn arm(&self) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let stream = match &self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(left))?;
                return stream.set_write_timeout(Some(left));
            }
        };
        stream.set_read_timeout(Some(left))?;
        stream.set_write_timeout(Some(left))
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.arm()?;
        let result = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        };
        match result {
            // Many servers end a TLS connection without TLS's own end.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            result => result,
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.arm()?;
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
            Stream::Unix(stream) => stream.flush(),
        }
    }
}

/// What is left until the deadline: never zero, which sockets do not take for a time.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// Where connections to the site come from.
pub(super) struct Origin(Option<IpAddr>);

impl Origin {
    /// Whether the site is on this machine.
    fn is_here(&self) -> bool {
        self.0.is_none_or(|ip| ip.is_loopback())
    }

    /// Whether Plume may take this machine for a proxy of its own.
    pub(super) fn is_proxy(&self, trusted: &[IpNet]) -> bool {
        self.is_here() || self.0.is_some_and(|ip| trusted.iter().any(|network| network.contains(&ip)))
    }
}

/// Checks every address of the site, and its certificate. `None` if there is no connection.
pub(super) fn check(
    connector: &Connector,
    url: &Url,
    authority: Option<&Path>,
    report: &mut Report<'_>,
) -> Option<Origin> {
    let mut opened = None;
    match &connector.place {
        Place::Unix(path) => match connector.open() {
            Ok(connection) => {
                report.ok("connect", &path.display().to_string());
                opened = Some(connection);
            }
            Err(error) => report.fail("connect", &error.to_string()),
        },
        Place::Tcp { host, .. } => {
            for address in &connector.addresses {
                let deadline = Instant::now() + connector.within;
                match connector.open_to(host, *address, deadline) {
                    Ok(connection) => {
                        report.ok("connect", &address.to_string());
                        opened = Some(connection);
                    }
                    Err(error @ ConnectError::Tls(_)) => report.fail("tls", &error.to_string()),
                    Err(error) => report.fail("connect", &error.to_string()),
                }
            }
        }
    }
    let from = Origin(opened?.local_address().map(|address| address.ip().to_canonical()));
    if connector.trust.is_some() {
        check_certificate(connector, authority, report);
    } else if from.is_here() {
        report.ok("tls", "none, and none is needed on this machine");
    } else {
        report.warn(
            "tls",
            &format!(
                "none: anyone on the network path can read the codes and lines of {}; put a proxy with TLS in front of it",
                url.host
            ),
        );
    }
    Some(from)
}

/// The connection works, so the certificate is good today.
fn check_certificate(connector: &Connector, authority: Option<&Path>, report: &mut Report<'_>) {
    let handshake = |trust| match (Connector { trust: Some(trust), ..connector.clone() }).open() {
        Err(ConnectError::Tls(error)) => Some(error),
        Ok(_) | Err(_) => None,
    };
    match tls::life_left(authority, handshake) {
        Some(left) if left < CERTIFICATE_LIFE_MIN => report.warn(
            "tls",
            &format!(
                "the certificate has {:.0} % of its life left: renew it, and let the proxy load it",
                left * 100.0
            ),
        ),
        Some(_) | None => report.ok("tls", "the certificate is good"),
    }
}

/// The part of a certificate's life in which it should have been renewed long ago: clients renew at a third
/// of it, whether it is 90 days, six, or one.
const CERTIFICATE_LIFE_MIN: f64 = 1.0 / 6.0;
