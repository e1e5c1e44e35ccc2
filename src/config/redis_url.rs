//! The address of a Redis or Valkey server, and the key under which it holds the log:
//! `redis://[user:password@]host[:port][/KEY]` or `unix:[//user:password@]/path[?key=KEY]`.

use super::UNIX;
use super::smtp_url::decode;
use super::values::{Checked, UNIX_PATH_BYTES_MAX, parse_place};
use crate::base::hidden::hidden;
use crate::limits::ENGINE_KEY_BYTES_MAX;
use std::path::PathBuf;

/// The address of a Redis or Valkey server, with what is needed to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Where it listens.
    pub place: RedisPlace,
    /// The secret user and password, if the server wants some.
    pub login: Option<RedisLogin>,
    /// The key of the log; other keys begin with it.
    pub key: String,
}

/// Where a Redis or Valkey server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// On a TCP port.
    Tcp {
        /// A host name in lower case, or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// On a Unix socket at this path.
    Unix(PathBuf),
}

/// A user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisLogin {
    /// `None`: the default user, the only one before Redis 6.
    pub user: Option<String>,
    /// Not empty.
    pub password: String,
}

hidden!(RedisLogin);

/// Parses such an address. User and password end at the last `@`, or for a Unix socket at the last `@/`, so
/// that only `%`, and `:` in a user, must be percent-encoded. No error shows any of it.
pub(super) fn parse(value: &str) -> Checked<RedisUrl> {
    let value = value.trim();
    if let Some(rest) = value.strip_prefix(UNIX) {
        return parse_unix(rest);
    }
    let (scheme, rest) = value.split_once("://").ok_or(FORM)?;
    match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => {}
        "rediss" | "valkeys" => return Err(NO_TLS.to_owned()),
        _ => return Err(FORM.to_owned()),
    }
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(parse_login(login)?), rest),
        None => (None, rest),
    };
    let (place, key) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = parse_place(place).ok_or(FORM)?;
    let port = port.unwrap_or(PORT);
    let key = if key.is_empty() { KEY.to_owned() } else { parse_key(key)? };
    Ok(RedisUrl { place: RedisPlace::Tcp { host, port }, login, key })
}

/// Parses what follows `unix:`.
fn parse_unix(rest: &str) -> Checked<RedisUrl> {
    let (login, rest) = match rest.strip_prefix("//") {
        None => (None, rest),
        Some(rest) => match rest.rfind("@/") {
            Some(at) => (Some(parse_login(&rest[..at])?), &rest[at + 1..]),
            None => (None, rest),
        },
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query.strip_prefix("key=").ok_or(UNIX_FORM)?)),
        None => (rest, None),
    };
    let is_path = |path: &String| {
        path.starts_with('/') && !path.ends_with('/') && path.len() <= UNIX_PATH_BYTES_MAX && is_plain(path)
    };
    let path = decode(path).filter(is_path).ok_or(UNIX_FORM)?;
    let key = query.map_or_else(|| Ok(KEY.to_owned()), parse_key)?;
    Ok(RedisUrl { place: RedisPlace::Unix(PathBuf::from(path)), login, key })
}

fn parse_login(login: &str) -> Checked<RedisLogin> {
    let parts = login.split_once(':').and_then(|(user, password)| Some((decode(user)?, decode(password)?)));
    let (user, password) = parts.filter(|(_, password)| !password.is_empty()).ok_or(LOGIN)?;
    Ok(RedisLogin { user: (!user.is_empty()).then_some(user), password })
}

fn parse_key(key: &str) -> Checked<String> {
    let key = decode(key).filter(|key| !key.is_empty() && key.len() <= ENGINE_KEY_BYTES_MAX && is_plain(key));
    let key = key.ok_or_else(|| format!("an address with a key of at most {ENGINE_KEY_BYTES_MAX} bytes"))?;
    // Other programs take redis://host/2 for the database with this number.
    let is_number = key.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Err(NUMBER.to_owned()) } else { Ok(key) }
}

fn is_plain(text: &str) -> bool {
    !text.contains(char::is_control)
}

const FORM: &str =
    "an address such as redis://user:password@127.0.0.1:6379/plume or unix:/run/redis/redis.sock";
const UNIX_FORM: &str =
    "unix: and the absolute path of a socket, such as unix:/run/redis/redis.sock or unix:/path?key=plume";
const LOGIN: &str =
    "an address with user:password or :password before the @, with % written as %25; unix://:password@/path";
const NUMBER: &str =
    "an address whose last part is a key such as plume, not the number of a database: Plume uses database 0";
const NO_TLS: &str = "redis://..., since Plume speaks no TLS to Redis: where others can read the network, run a tunnel such \
                      as stunnel on this machine, and give its address, as in redis://127.0.0.1:6379";
/// The key, if none is given.
const KEY: &str = "plume";
/// The port of Redis.
const PORT: u16 = 6379;

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> RedisPlace {
        RedisPlace::Tcp { host: host.to_owned(), port }
    }

    fn unix(path: &str) -> RedisPlace {
        RedisPlace::Unix(path.into())
    }

    fn login(user: &str, password: &str) -> RedisLogin {
        let user = (!user.is_empty()).then(|| user.to_owned());
        RedisLogin { user, password: password.to_owned() }
    }

    #[test]
    fn addresses_of_redis_servers() {
        let rows = [
            ("redis://redis.example", tcp("redis.example", 6379), None, "plume"),
            (" REDIS://Redis.Example/ ", tcp("redis.example", 6379), None, "plume"),
            ("valkey://localhost:1/room", tcp("localhost", 1), None, "room"),
            ("redis://127.0.0.1:6380/a:b/c%20%C3%A9", tcp("127.0.0.1", 6380), None, "a:b/c é"),
            ("redis://[::1]", tcp("::1", 6379), None, "plume"),
            ("redis://[0:0::1]:7/2b", tcp("::1", 7), None, "2b"),
            ("redis://ada:pw@h", tcp("h", 6379), Some(login("ada", "pw")), "plume"),
            ("redis://:pw@h/x", tcp("h", 6379), Some(login("", "pw")), "x"),
            ("redis://a%3ab:p@s:w/o?r#d@h:1/x", tcp("h", 1), Some(login("a:b", "p@s:w/o?r#d")), "x"),
            ("redis://a:%25%00%0d@h", tcp("h", 6379), Some(login("a", "%\0\r")), "plume"),
            ("unix:/run/redis/redis.sock", unix("/run/redis/redis.sock"), None, "plume"),
            ("unix:///run/redis.sock", unix("/run/redis.sock"), None, "plume"),
            ("unix:/a@/b?key=room", unix("/a@/b"), None, "room"),
            ("unix:/a%3Fb?key=x%3Fy", unix("/a?b"), None, "x?y"),
            ("unix://:pw@/run/r", unix("/run/r"), Some(login("", "pw")), "plume"),
            ("unix://ada:p/@/w@/run/r?key=k", unix("/run/r"), Some(login("ada", "p/@/w")), "k"),
        ];
        for (value, place, login, key) in rows {
            assert_eq!(parse(value), Ok(RedisUrl { place, login, key: key.to_owned() }), "{value}");
        }
    }

    #[test]
    fn what_is_none_is_refused_without_showing_it() {
        let long = format!("unix:/{}", "x".repeat(UNIX_PATH_BYTES_MAX));
        let long_key = format!("redis://h/{}", "k".repeat(ENGINE_KEY_BYTES_MAX + 1));
        let rows: [(&str, &[&str]); 10] = [
            (FORM, &["", "127.0.0.1:6379", "redis.example", "redis:h", "http://SECRET@h", "redis://"]),
            (FORM, &["redis:///plume", "redis://h:0", "redis://h:65536", "redis://h:SECRET"]),
            (FORM, &["redis://h?key=plume", "redis://SECRET SECRET"]),
            (NO_TLS, &["rediss://ada:SECRET@h", "valkeys://h"]),
            (LOGIN, &["redis://SECRET@h", "redis://SECRET:@h", "redis://@h", "redis://a:SECRET%@h"]),
            (LOGIN, &["redis://a:SECRET%ff@h", "unix://SECRET@/run/r"]),
            ("number of a database", &["redis://h/0", "redis://h/15", "unix:/run/r?key=1"]),
            ("a key of at most", &["redis://h/%", "redis://h/%0a", &long_key, "unix:/run/r?key="]),
            (
                UNIX_FORM,
                &["unix:", "unix:run/r", "unix:/", "unix:/run/", "unix:/run/r?", "unix:/run/r?db=1", &long],
            ),
            (UNIX_FORM, &["unix:/run/%zz", "unix://run/r"]),
        ];
        for (part, values) in rows {
            for value in values {
                let must_be = parse(value).expect_err(value);
                assert!(must_be.contains(part) && !must_be.contains("SECRET"), "{value}: {must_be}");
            }
        }
        assert!(!format!("{:?}", parse("redis://SECRET:SECRET@h")).contains("SECRET"));
    }
}
