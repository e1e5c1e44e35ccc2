//! Validators for values of settings: each returns the parsed value, or a phrase that says what it must be.
//! Pure functions; they know no setting by name.

use super::{Listen, UNIX};
use crate::base::sorted::set_of;
use crate::base::visible::has_visible;
use crate::limits::{SITE_NAME_BYTES_MAX, TOPIC_BYTES_MAX};
use crate::log_event::Level;
use crate::users::address_pattern::AddressPattern;
use crate::users::email::EmailKey;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A valid value, or a phrase that says what it must be.
pub(super) type Checked<T> = Result<T, String>;

pub(super) fn put<T>(place: &mut T, value: Checked<T>) -> Checked<()> {
    *place = value?;
    Ok(())
}

pub(super) fn production(value: &str) -> Checked<bool> {
    match value {
        "production" => Ok(true),
        "development" => Ok(false),
        // If a typo meant development, codes would be printed instead of emailed.
        _ => Err("production or development".to_owned()),
    }
}

pub(super) fn level(value: &str) -> Checked<Level> {
    match value {
        "error" => Ok(Level::Error),
        "warn" => Ok(Level::Warn),
        "info" => Ok(Level::Info),
        "debug" => Ok(Level::Debug),
        _ => Err("error, warn, info or debug".to_owned()),
    }
}

pub(super) fn whole<N: FromStr + PartialOrd + Display>(
    value: &str,
    allowed: RangeInclusive<N>,
) -> Checked<N> {
    let number = value.parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| format!("a whole number from {} to {}", allowed.start(), allowed.end()))
}

/// Parses a number of seconds, with or without a fraction.
pub(super) fn seconds(value: &str, allowed: RangeInclusive<Duration>) -> Checked<Duration> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = value.parse().ok().filter(|_| plain);
    let wait = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let (least, most) = (allowed.start().as_secs_f64(), allowed.end().as_secs_f64());
    wait.filter(|wait| allowed.contains(wait))
        .ok_or_else(|| format!("a number of seconds from {least} to {most}"))
}

/// Parses a number of bytes, KiB or MiB.
pub(super) fn size(value: &str, allowed: RangeInclusive<usize>) -> Checked<usize> {
    let (digits, unit) = [("KiB", 1 << 10), ("MiB", 1 << 20)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((value.strip_suffix(suffix)?.trim_end(), unit)))
        .unwrap_or((value, 1));
    let bytes = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    let (least, most) = (allowed.start(), allowed.end());
    bytes
        .filter(|bytes| allowed.contains(bytes))
        .ok_or_else(|| format!("a size from {least} to {most} bytes, such as 4194304 or 4 MiB"))
}

pub(super) fn listen(value: &str) -> Checked<Listen> {
    if let Some(path) = value.strip_prefix(UNIX) {
        let is_path = path.starts_with('/') && !path.ends_with('/') && path.len() <= UNIX_PATH_BYTES_MAX;
        let must_be = || format!("unix: and an absolute path of at most {UNIX_PATH_BYTES_MAX} bytes");
        return is_path.then(|| Listen::Unix(PathBuf::from(path))).ok_or_else(must_be);
    }
    socket_address(value).map(Listen::Tcp).ok_or_else(|| {
        "an IP address and a port, such as 127.0.0.1:4884 or [::1]:4884, or unix:/path/of/a.sock".to_owned()
    })
}

pub(super) fn metrics_address(value: &str) -> Checked<SocketAddr> {
    socket_address(value)
        .ok_or_else(|| "an IP address and a port, such as 127.0.0.1:9484 or [::1]:9484".to_owned())
}

fn socket_address(value: &str) -> Option<SocketAddr> {
    match value.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        None => value.parse().ok(),
    }
}

pub(super) fn site_name(value: &str) -> Checked<String> {
    let name = value.trim();
    let good = !name.is_empty() && name.len() <= SITE_NAME_BYTES_MAX && !name.contains(char::is_control);
    let must_be = || format!("a name of 1 to {SITE_NAME_BYTES_MAX} bytes without control characters");
    good.then(|| name.to_owned()).ok_or_else(must_be)
}

pub(super) fn origins(value: &str) -> Checked<Vec<String>> {
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let origin = |part| split_origin(part).filter(|(_, path)| path.is_empty()).map(|(origin, _)| origin);
    parts
        .map(origin)
        .collect::<Option<_>>()
        .ok_or_else(|| "origins such as https://plume.chat, separated by commas, without paths".to_owned())
}

/// Parses the addresses of moderators: at least one. Power belongs to addresses, so a domain is none.
pub(super) fn moderators(value: &str) -> Checked<BTreeSet<EmailKey>> {
    let parse = |part: &str| match AddressPattern::parse(part)? {
        AddressPattern::Address(email) => Some(email),
        AddressPattern::Domain(_) | AddressPattern::DomainAndBelow(_) => None,
    };
    list(value, parse, "email addresses such as ada@example.org").map(set_of)
}

/// Parses who is admitted: at least one entry. The word `invited` adds nobody: whom moderators invite comes
/// in anyway.
pub(super) fn allow(value: &str) -> Checked<Vec<AddressPattern>> {
    let parse = |part: &str| match part {
        "invited" => Some(None),
        part => AddressPattern::parse(part).map(Some),
    };
    let what = "email addresses, @example.org, @.example.org for it and all below, or invited";
    Ok(list(value, parse, what)?.into_iter().flatten().collect())
}

/// Parses who is not admitted: at least one entry.
pub(super) fn deny(value: &str) -> Checked<Vec<AddressPattern>> {
    list(value, AddressPattern::parse, "email addresses, @example.org, or @.example.org for it and all below")
}

/// Parses entries that are separated by commas. One that has only commas would admit or refuse the wrong
/// people in silence. The error names the entry by its number: it may be a person's address with a slip of
/// the pen in it.
fn list<T>(value: &str, parse: impl Fn(&str) -> Option<T>, what: &str) -> Checked<Vec<T>> {
    let parts = value.split(',').map(str::trim).zip(1..).filter(|(part, _)| !part.is_empty());
    let must_be = |number: i32| format!("{what}, separated by commas; number {number} is none");
    let entries = parts.map(|(part, number)| parse(part).ok_or_else(|| must_be(number)));
    let entries = entries.collect::<Checked<Vec<_>>>()?;
    if entries.is_empty() { Err(format!("{what}, separated by commas")) } else { Ok(entries) }
}

pub(super) fn topic(value: &str) -> Checked<String> {
    let topic = value.trim();
    let good = has_visible(topic) && topic.len() <= TOPIC_BYTES_MAX && !topic.contains(char::is_control);
    let must_be = || format!("a sentence of at most {TOPIC_BYTES_MAX} bytes without control characters");
    good.then(|| topic.to_owned()).ok_or_else(must_be)
}

pub(super) fn networks(value: &str) -> Checked<Vec<IpNet>> {
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let networks = parts.map(|part| part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from)));
    networks
        .collect::<Result<_, _>>()
        .map_err(|_| "addresses or networks such as 10.0.0.0/8, separated by commas".to_owned())
}

pub(super) fn api_base(value: &str) -> Checked<String> {
    let plain =
        |path: &str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    split_origin(value)
        .filter(|(_, path)| plain(path))
        .map(|(origin, path)| origin + path.trim_end_matches('/'))
        .ok_or_else(|| "an address such as https://api.mailgun.net, without user or query".to_owned())
}

/// Splits an address into its origin, `http(s)://host[:port]`, in lower case and without a default port, as
/// browsers write it, and the rest.
pub(super) fn split_origin(address: &str) -> Option<(String, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let (host, port) = parse_place(authority)?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    match port.filter(|&port| port != default_port) {
        None => Some((format!("{scheme}://{host}"), path)),
        Some(port) => Some((format!("{scheme}://{host}:{port}"), path)),
    }
}

/// Splits `host[:port]`, with brackets around an IPv6 address, which go.
pub(super) fn parse_place(place: &str) -> Option<(String, Option<u16>)> {
    let colon = place.rfind(':').filter(|&colon| !place[colon..].contains(']'));
    let (host, port) = place.split_at(colon.unwrap_or(place.len()));
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok()?.to_string(),
        None => host_name(host)?,
    };
    let port = match port.strip_prefix(':') {
        None => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|&port| port != 0)?)
        }
        Some(_) => return None,
    };
    Some((host, port))
}

/// Checks a host name against the lengths of RFC 1035, section 2.3.4, and returns it in lower case.
pub(super) fn host_name(host: &str) -> Option<String> {
    let label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        letters && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    (host.len() <= 253 && host.split('.').all(label)).then(|| host.to_ascii_lowercase())
}

pub(super) fn domain(value: &str) -> Checked<String> {
    host_name(value).ok_or_else(|| "a host name such as mail.plume.chat".to_owned())
}

pub(super) fn api_key(value: &str) -> Checked<String> {
    let key = value.trim();
    let good = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| key.to_owned()).ok_or_else(|| "a key of visible ASCII characters".to_owned())
}

/// Longest path of a Unix socket: unix(7) has 108 bytes for it and its final zero.
pub(super) const UNIX_PATH_BYTES_MAX: usize = 107;
