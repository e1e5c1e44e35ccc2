//! Sends login emails through Mailgun's HTTP API. The only user of ureq.

use super::{Transport, is_timeout, is_tls, letter};
use crate::config::Mailgun;
use crate::limits::MAIL_SERVER_ADDRESSES_MAX;
use crate::login_email::{Mail, MailError, MailResult};
use data_encoding::BASE64;
use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::time::Instant;
use ureq::http::{StatusCode, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

pub(super) struct MailgunTransport {
    agent: ureq::Agent,
    address: String,
    authorization: String,
    from: String,
    site_name: String,
}

impl MailgunTransport {
    pub(super) fn new(mailgun: &Mailgun) -> Self {
        let config = ureq::Agent::config_builder()
            // Otherwise ureq reads the proxy from the environment, and configuration comes from `PLUME_`
            // settings only.
            .proxy(None)
            // A redirect could send the code to another host.
            .max_redirects(0)
            .http_status_as_error(false)
            // Emails are rare, and sending one on a kept connection that the provider has closed meanwhile
            // would lose it.
            .max_idle_connections(0)
            .max_response_header_size(ANSWER_BYTES_MAX)
            .input_buffer_size(ANSWER_BYTES_MAX)
            .output_buffer_size(ANSWER_BYTES_MAX)
            .user_agent(concat!("plume/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: ureq::Agent::with_parts(config, DefaultConnector::new(), HostLookUp),
            address: format!("{}/v3/{}/messages", mailgun.api_base, mailgun.domain),
            authorization: format!("Basic {}", BASE64.encode(format!("api:{}", mailgun.api_key).as_bytes())),
            from: mailgun.from.to_string(),
            site_name: mailgun.site_name.clone(),
        }
    }
}

impl Transport for MailgunTransport {
    /// The status decides: the body of the response is not read.
    fn send(&self, mail: &Mail, deadline: Instant) -> MailResult {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(MailError::Late);
        }
        let subject = letter::subject(mail);
        let text = letter::plain_text(&self.site_name, mail);
        let html = letter::html_text(&self.site_name, mail);
        let answer = self
            .agent
            .post(&self.address)
            .header("authorization", &self.authorization)
            .config()
            .timeout_global(Some(left))
            .build()
            .send_form([
                ("from", self.from.as_str()),
                ("to", &mail.to),
                ("subject", &subject),
                ("text", &text),
                ("html", &html),
            ]);
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => Err(MailError::Auth),
            Ok(answer) => Err(MailError::Refused(answer.status().as_u16())),
            Err(error) => Err(reason(&error)),
        }
    }
}

/// Why there is no answer. A request that may have been sent counts as one: ureq may add kinds of errors.
fn reason(error: &ureq::Error) -> MailError {
    match error {
        ureq::Error::Timeout(_) => MailError::Late,
        ureq::Error::HostNotFound => MailError::NoHost,
        ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::ConnectionFailed => {
            MailError::Unreachable
        }
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => MailError::Tls,
        ureq::Error::Io(error) => match error.kind() {
            _ if is_timeout(error) => MailError::Late,
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                MailError::Unreachable
            }
            _ if is_tls(error) => MailError::Tls,
            _ => MailError::BrokenOff,
        },
        _ => MailError::BrokenOff,
    }
}

/// Resolves a host name on the sending thread, which may be left behind if the system's resolver takes too
/// long. ureq's own resolver does so on another thread, and panics if the system cannot start one.
#[derive(Debug)]
struct HostLookUp;

impl Resolver for HostLookUp {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ureq::Error::HostNotFound);
        };
        let host = DefaultResolver::host_and_port(scheme, authority).ok_or(ureq::Error::HostNotFound)?;
        let found = host.to_socket_addrs().map_err(|_| ureq::Error::HostNotFound)?;
        let mut addresses = self.empty();
        for address in found.take(MAIL_SERVER_ADDRESSES_MAX) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// Limit for the head of the provider's response, and for the connection's buffers, in bytes: far more than
/// needed.
const ANSWER_BYTES_MAX: usize = 16 << 10;
