//! The address of a site, as an operator gives it to `plume doctor` and `plume health`.

use super::values::{Checked, split_origin};
use std::fmt::{self, Display};

/// The address of a site: `http(s)://host[:port]/path/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is https.
    pub is_tls: bool,
    /// The host in lower case; an IPv6 address has brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path of the page, with a slash at both ends.
    pub path: String,
}

impl Url {
    /// Parses an address; without a scheme it is https. The phrase that says what it must be shows nothing of
    /// it: it may contain a password.
    pub(crate) fn parse(text: &str) -> Checked<Self> {
        let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let must_be = || "an address such as https://chat.example or http://127.0.0.1:4884".to_owned();
        let (origin, path) = split_origin(&whole).ok_or_else(must_be)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
        if !path.bytes().all(is_plain) {
            return Err(must_be());
        }
        let (is_tls, authority) = match origin.strip_prefix("https://") {
            Some(authority) => (true, authority),
            None => (false, origin.strip_prefix("http://").ok_or_else(must_be)?),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| must_be())?),
            Some(_) | None => (authority, if is_tls { 443 } else { 80 }),
        };
        let path = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
        Ok(Self { is_tls, host: host.to_owned(), port, path })
    }

    /// Host and port as browsers write them, without a default port.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// The origin as browsers write it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }

    /// The host without brackets.
    #[must_use]
    pub fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_sites() {
        for (text, shown, host, port) in [
            ("https://Chat.Example", "https://chat.example/", "chat.example", 443),
            ("chat.example", "https://chat.example/", "chat.example", 443),
            ("chat.example:8443/chat", "https://chat.example:8443/chat/", "chat.example", 8443),
            ("https://chat.example:443/", "https://chat.example/", "chat.example", 443),
            ("http://127.0.0.1:4884", "http://127.0.0.1:4884/", "127.0.0.1", 4884),
            ("http://[::1]:4884/a/b/", "http://[::1]:4884/a/b/", "::1", 4884),
            ("http://[::1]", "http://[::1]/", "::1", 80),
            ("http://localhost:80", "http://localhost/", "localhost", 80),
        ] {
            let url = Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.to_string().as_str(), url.bare_host(), url.port), (shown, host, port), "{text}");
        }
        for text in
            ["", "ftp://a", "https://", "https://u:SECRET@a", "https://a/?b", "https://a/#b", "a b", "a:0"]
        {
            let error = Url::parse(text).expect_err(text);
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}
