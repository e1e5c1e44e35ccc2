//! The address of an SMTP server: `smtp://[user:password@]host[:port][?tls=required|no]` or
//! `smtps://[user:password@]host[:port]`.

use super::values::{Checked, parse_place};
use std::fmt;

/// The address of an SMTP server, with what is needed to use it.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    /// A host name in lower case, or an IP address without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// When the connection is encrypted.
    pub tls: SmtpTls,
    /// The secret user and password, if the server wants some.
    pub login: Option<SmtpLogin>,
}

/// When a connection to an SMTP server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// From its first byte.
    Implicit,
    /// By STARTTLS; without it nothing is sent.
    Required,
    /// By STARTTLS if the server offers it.
    IfOffered,
    /// Never, not even for the password.
    Never,
}

/// A user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpLogin {
    /// Not empty.
    pub user: String,
    /// Not empty.
    pub password: String,
}

impl fmt::Debug for SmtpUrl {
    /// Omits user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpUrl")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Parses such an address. User and password end at the last `@`, since a host contains none, so that only
/// `%`, and `:` in a user, must be percent-encoded. No error shows any of it.
pub(super) fn parse(value: &str) -> Checked<SmtpUrl> {
    let (scheme, rest) = value.trim().split_once("://").ok_or(FORM)?;
    let is_implicit = match scheme.to_ascii_lowercase().as_str() {
        "smtp" => false,
        "smtps" => true,
        _ => return Err(FORM.to_owned()),
    };
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(parse_login(login)?), rest),
        None => (None, rest),
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, port) = parse_place(place.strip_suffix('/').unwrap_or(place)).ok_or(FORM)?;
    let tls = match (is_implicit, query) {
        (true, "" | "tls=required") => SmtpTls::Implicit,
        (true, _) => return Err("smtps://..., which has TLS anyway, without tls=no".to_owned()),
        (false, "tls=required") => SmtpTls::Required,
        (false, "tls=no") => SmtpTls::Never,
        (false, "") if login.is_some() => SmtpTls::Required,
        (false, "") => SmtpTls::IfOffered,
        (false, _) => return Err("smtp://... with ?tls=required, ?tls=no or neither".to_owned()),
    };
    let port = port.unwrap_or(if is_implicit { IMPLICIT_TLS_PORT } else { PORT });
    Ok(SmtpUrl { host, port, tls, login })
}

fn parse_login(login: &str) -> Checked<SmtpLogin> {
    let parts = login.split_once(':').and_then(|(user, password)| Some((decode(user)?, decode(password)?)));
    // A zero byte separates the two in AUTH PLAIN (RFC 4616).
    let is_good = |part: &str| !part.is_empty() && !part.contains(char::is_control);
    let (user, password) =
        parts.filter(|(user, password)| is_good(user) && is_good(password)).ok_or(LOGIN)?;
    Ok(SmtpLogin { user, password })
}

/// Decodes percent-encoded UTF-8. `None`: a `%` without two hexadecimal digits, or not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

const FORM: &str =
    "an address such as smtp://user:password@mail.example.org:587 or smtps://user:password@mail.example.org";
const LOGIN: &str = "an address with user:password before the @, both not empty, with % written as %25";
/// RFC 5321.
const PORT: u16 = 25;
/// RFC 8314, section 7.3.
const IMPLICIT_TLS_PORT: u16 = 465;

#[cfg(test)]
mod tests {
    use super::SmtpTls::{IfOffered, Implicit, Never, Required};
    use super::*;

    #[test]
    fn addresses_of_smtp_servers() {
        let rows = [
            ("smtp://mail.example.org", "mail.example.org", 25, IfOffered, None),
            (" smtp://mail.example.org/ ", "mail.example.org", 25, IfOffered, None),
            ("SMTP://Mail.Example.ORG:587", "mail.example.org", 587, IfOffered, None),
            ("smtp://localhost?tls=no", "localhost", 25, Never, None),
            ("smtp://localhost:2525/?tls=required", "localhost", 2525, Required, None),
            ("smtp://127.0.0.1:1", "127.0.0.1", 1, IfOffered, None),
            ("smtp://[::1]", "::1", 25, IfOffered, None),
            ("smtp://[0:0::1]:587", "::1", 587, IfOffered, None),
            ("smtps://[2001:DB8::1]", "2001:db8::1", 465, Implicit, None),
            ("smtps://mail.example.org", "mail.example.org", 465, Implicit, None),
            ("smtps://mail.example.org:8465?tls=required", "mail.example.org", 8465, Implicit, None),
            ("smtp://ada:pw@mail.example.org", "mail.example.org", 25, Required, Some(("ada", "pw"))),
            ("smtp://ada:pw@h?tls=required", "h", 25, Required, Some(("ada", "pw"))),
            ("smtp://ada:pw@localhost?tls=no", "localhost", 25, Never, Some(("ada", "pw"))),
            ("smtps://ada:pw@[::1]:465", "::1", 465, Implicit, Some(("ada", "pw"))),
            ("smtp://ada%40example.org:p%3aw@h", "h", 25, Required, Some(("ada@example.org", "p:w"))),
            ("smtp://a@b.org:p@ss:w/o?r#d@h", "h", 25, Required, Some(("a@b.org", "p@ss:w/o?r#d"))),
            ("smtp://a%25b:%C3%A9%20+@h", "h", 25, Required, Some(("a%b", "é +"))),
        ];
        for (value, host, port, tls, login) in rows {
            let owned = |(user, password): (&str, &str)| (user.to_owned(), password.to_owned());
            let login = login.map(owned).map(|(user, password)| SmtpLogin { user, password });
            assert_eq!(parse(value), Ok(SmtpUrl { host: host.to_owned(), port, tls, login }), "{value}");
        }
    }

    #[test]
    fn what_is_none_is_refused_without_showing_it() {
        let rows: [&[&str]; 9] = [
            &["", "mail.example.org", "mail.example.org:25", "http://mail.example.org", "smtp:h"],
            &["smtp://", "smtp:///", "smtp://ada:SECRET@", "smtp://mail example.org", "smtp://-h"],
            &[
                "smtp://m\u{fc}nchen.de",
                "smtp://::1",
                "smtp://[::1",
                "smtp://[::1]x",
                "smtp://[fe80::1%eth0]",
            ],
            &["smtp://h:", "smtp://h:0", "smtp://h:65536", "smtp://h:+25", "smtp://h:smtp"],
            &["smtp://h/path", "smtp://h#part", "smtp://h?tls", "smtp://h?tls=yes", "smtp://h?TLS=no"],
            &["smtp://h?tls=no&tls=required", "smtp://h?auth=login", "smtps://h?tls=no"],
            &["smtp://SECRET@h", "smtp://SECRET:@h", "smtp://:SECRET@h", "smtp://@h", "smtp://ada:SECRET%@h"],
            &["smtp://ada:SECRET%4@h", "smtp://ada:SECRET%+1@h", "smtp://ada:SECRET%zz@h"],
            &["smtp://ada:SECRET%ff@h", "smtp://ada:SECRET%00@h", "smtp://ada:SECRET%0d%0a@h"],
        ];
        for value in rows.concat() {
            let must_be = parse(value).expect_err(value);
            assert!(!must_be.contains("SECRET") && must_be.contains(['/', '@']), "{must_be}");
        }
        assert!(!format!("{:?}", parse("smtp://SECRET:SECRET@h")).contains("SECRET"));
    }
}
