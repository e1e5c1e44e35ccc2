//! The email provider: whether it knows the key and the domain, without sending anything; and one email, if
//! asked for.

use super::connection::{Connector, Place};
use super::http;
use super::report::Report;
use super::tls;
use crate::config::{MailSettings, Mailgun, Smtp, Url};
use crate::ids::MailId;
use crate::limits::MAIL_RESULT_TIMEOUT;
use crate::log_event::Level;
use crate::logger::Logger;
use crate::login_email::{Mail, MailError};
use crate::mail::{self, Mailer};
use data_encoding::BASE64;
use std::sync::mpsc;
use std::time::Duration;

/// Checks the transport, and sends an email to `mail_to`.
pub(super) fn check(settings: &MailSettings, mail_to: Option<&str>, report: &mut Report<'_>) {
    match settings {
        MailSettings::Print if mail_to.is_some() => {
            return report
                .warn("email", "nothing is sent in development: set ENV=production and what it needs");
        }
        MailSettings::Print => return report.ok("email", "printed on stderr (ENV is development)"),
        MailSettings::Mailgun(mailgun) => check_mailgun(mailgun, report),
        MailSettings::Smtp(smtp) => check_smtp(smtp, report),
    }
    if let Some(address) = mail_to {
        send(settings, address, report);
    }
}

/// Logs in to the SMTP server, without sending anything.
fn check_smtp(smtp: &Smtp, report: &mut Report<'_>) {
    match mail::check_smtp(smtp) {
        Ok(Ok(())) => {
            report.ok("email", "the SMTP server takes the connection and the password; nothing was sent");
        }
        Ok(Err(error)) => report.fail("email", &format!("SMTP: {error}: {}", hint(error))),
        Err(error) => report.fail("email", &format!("cannot check the SMTP server: {error}")),
    }
}

/// What to do about a failure of the SMTP server.
const fn hint(error: MailError) -> &'static str {
    match error {
        MailError::NoHost => "check the host in PLUME_SMTP",
        MailError::Unreachable => "check host and port in PLUME_SMTP, and whether a firewall is between",
        MailError::Tls => {
            "its certificate must be for that host and known; PLUME_SMTP_CA names another authority"
        }
        MailError::Auth => "check user and password in PLUME_SMTP; a % in them is written %25",
        MailError::Refused(_) => "see what the server's own log says",
        MailError::Late | MailError::BrokenOff | MailError::QueueFull => {
            "try again, and see what the server's own log says"
        }
        MailError::BadAddress => "the server does not take addresses outside ASCII",
    }
}

/// Asks Mailgun about the domain.
fn check_mailgun(mailgun: &Mailgun, report: &mut Report<'_>) {
    let Ok(url) = Url::parse(&mailgun.api_base) else {
        return report.fail("email", "MAILGUN_API_BASE is no address");
    };
    let trust = match url.is_tls.then(|| tls::trusting(None)).transpose() {
        Ok(trust) => trust,
        Err(error) => return report.fail("email", &error),
    };
    let connector = match Connector::new(Place::Site(url.clone()), trust, TIMEOUT) {
        Ok(connector) => connector,
        Err(error) => return report.fail("email", &format!("Mailgun: {error}")),
    };
    let path = format!("{}v3/domains/{}", url.path, mailgun.domain);
    let key = BASE64.encode(format!("api:{}", mailgun.api_key).as_bytes());
    let domain = &mailgun.domain;
    match http::get_with(&connector, &url, &path, &format!("Authorization: Basic {key}\r\n")) {
        Err(error) => report.fail("email", &format!("Mailgun: {error}")),
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body).replace(' ', "");
            match answer.status {
                200 if body.contains("\"state\":\"unverified\"") => report.warn(
                    "email",
                    &format!("Mailgun has not verified {domain}: add the DNS records that it asks for"),
                ),
                200 if body.contains("\"state\":\"disabled\"") => {
                    report.fail("email", &format!("Mailgun has disabled {domain}: look into its control panel"));
                }
                200 => report.ok("email", &format!("Mailgun knows the key and {domain}; nothing was sent")),
                401 | 403 => report.fail(
                    "email",
                    &format!(
                        "Mailgun does not accept MAILGUN_APIKEY ({}): put an API key of the account there. A key that \
                         may only send cannot be checked like this; check it with --mail-to",
                        answer.status
                    ),
                ),
                404 => report.fail(
                    "email",
                    &format!(
                        "Mailgun does not know {domain}: check MAILGUN_DOMAIN, and for a domain in the EU set \
                         MAILGUN_API_BASE=https://api.eu.mailgun.net"
                    ),
                ),
                status => report.fail("email", &format!("Mailgun answers {status}: check MAILGUN_API_BASE")),
            }
        }
    }
}

/// Sends an email by the transport that the server uses, with a code that is good for nothing.
fn send(settings: &MailSettings, address: &str, report: &mut Report<'_>) {
    let (wake, woken) = mpsc::channel();
    let wake = move || {
        // Fails after the time was over.
        let _ = wake.send(());
    };
    let mut mailer = match Mailer::start(settings.clone(), wake) {
        Ok(mailer) => mailer,
        Err(error) => return report.fail("email", &format!("cannot start the mailer: {error}")),
    };
    let mail = Mail {
        id: MailId(0),
        to: address.to_owned(),
        name: "plume doctor".to_owned(),
        code: "TEST42".to_owned(),
    };
    mailer.send(mail, &mut Logger::new(Level::Error));
    let _ = woken.recv_timeout(MAIL_RESULT_TIMEOUT);
    match mailer.results().into_iter().next().map_or(Err(MailError::Late), |(_, result)| result) {
        Ok(()) => {
            report.ok("email", "the provider has accepted an email; see whether it arrives, and not as spam");
        }
        Err(error) => report.fail("email", &format!("the provider did not accept an email: {error}")),
    }
}

/// Time for the provider's answer.
const TIMEOUT: Duration = Duration::from_secs(15);
