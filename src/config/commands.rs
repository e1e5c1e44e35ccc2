//! The commands beside serving: what `plume doctor` and `plume health` are asked to check.

use super::sender::mailbox;
use super::values::{Checked, seconds};
use super::{Config, ConfigError, Given, Listen, Url};
use crate::users::email::Email;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// What `plume doctor` checks.
#[derive(Debug)]
pub struct Doctor {
    /// Whether any setting is given: without one, those of a service are somewhere else.
    pub has_settings: bool,
    /// Where people open the site, if given.
    pub url: Option<Url>,
    /// How long a connection is left silent, if it is.
    pub wait: Option<Duration>,
    /// A PEM file with an authority to trust instead of the public ones.
    pub authority: Option<PathBuf>,
    /// Where an email is sent for a test, if at all.
    pub mail_to: Option<String>,
}

/// Where `plume health` asks.
#[derive(Debug, PartialEq, Eq)]
pub enum Health {
    /// Over TCP.
    Url(Url),
    /// Over a Unix socket.
    Unix(PathBuf),
}

/// What `plume --forget` removes.
#[derive(PartialEq, Eq)]
pub struct Forget {
    /// The folder.
    pub data_dir: PathBuf,
    /// The person's email address, in the form in which it is compared.
    pub address: String,
}

/// Without the address: it is a person's.
impl fmt::Debug for Forget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forget").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

/// The flags of `plume doctor` itself, in the order that [`doctor`] expects.
pub(super) const DOCTOR_FLAGS: [&str; 3] = ["--wait", "--ca", "--mail-to"];

/// `flags` are the values of [`DOCTOR_FLAGS`].
pub(super) fn doctor(
    has_settings: bool,
    url: Option<&str>,
    flags: Vec<Option<Given>>,
) -> Result<Doctor, ConfigError> {
    let mut flags = flags.into_iter().map(|flag| flag.filter(|given| !given.value.is_empty()));
    let (wait, authority, mail_to) = (flags.next().flatten(), flags.next().flatten(), flags.next().flatten());
    Ok(Doctor {
        has_settings,
        url: url.map(parse_url).transpose()?,
        wait: wait.map(|given| checked(given, |value| seconds(value, WAIT))).transpose()?,
        authority: authority.map(|given| PathBuf::from(given.value)),
        mail_to: mail_to.map(|given| checked(given, mailbox)).transpose()?,
    })
}

/// The address is in no error: it is a person's.
pub(super) fn forget(given: Given, data_dir: Option<PathBuf>) -> Result<Forget, ConfigError> {
    let data_dir = data_dir.ok_or(ConfigError::NoData)?;
    let must_be = "an email address, such as ada@example.org";
    let email = Email::parse(&given.value).ok_or_else(|| ConfigError::wrong(given.name, None, must_be))?;
    Ok(Forget { data_dir, address: email.as_str().to_owned() })
}

/// Without an address, the one that the settings listen on.
pub(super) fn health(
    config: impl FnOnce() -> Result<Config, ConfigError>,
    url: Option<&str>,
) -> Result<Health, ConfigError> {
    if let Some(url) = url {
        return parse_url(url).map(Health::Url);
    }
    match config()?.listen {
        Listen::Unix(path) => Ok(Health::Unix(path)),
        Listen::Tcp(address) if address.port() == 0 => Err(ConfigError::NoPort),
        Listen::Tcp(address) => Ok(Health::Url(Url::of(address))),
    }
}

impl Url {
    /// The site on an address that the server listens on, as this machine reaches it.
    #[must_use]
    pub fn of(listen: SocketAddr) -> Self {
        let ip = match listen.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let host = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        Self { is_tls: false, host, port: listen.port(), path: "/".to_owned() }
    }
}

fn parse_url(text: &str) -> Result<Url, ConfigError> {
    Url::parse(text).map_err(|must_be| ConfigError::wrong("the site", None, must_be))
}

fn checked<T>(given: Given, check: impl FnOnce(&str) -> Checked<T>) -> Result<T, ConfigError> {
    check(&given.value).map_err(|must_be| ConfigError::wrong(given.name, Some(given.value), must_be))
}

/// A silence of an hour is longer than any proxy's idle timeout that matters.
const WAIT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
