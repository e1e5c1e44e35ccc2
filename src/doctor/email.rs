//! The email provider: whether it knows the key and the domain, without sending anything; and one email, if
//! asked for.

use super::connection::{ConnectError, Connector, Place};
use super::http::{self, HttpError};
use super::report::Report;
use super::tls;
use crate::config::{MailSettings, Mailgun, Smtp, SmtpTls, Url};
use crate::ids::MailId;
use crate::limits::MAIL_RESULT_TIMEOUT;
use crate::log_event::Level;
use crate::logger::Logger;
use crate::login_email::{Mail, MailError};
use crate::mail::{self, Mailer, is_timeout};
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
        Ok(Err(error)) => report.fail("email", &format!("SMTP: {error}: {}", hint(error, smtp.url.tls))),
        Err(error) => report.fail("email", &format!("cannot check the SMTP server: {error}")),
    }
}

/// What to do about a failure of the SMTP server.
const fn hint(error: MailError, tls: SmtpTls) -> &'static str {
    match error {
        MailError::NoHost => "check the host in PLUME_SMTP",
        MailError::Unreachable => "check host and port in PLUME_SMTP, and whether a firewall is between",
        MailError::Tls => {
            "it offers no TLS in this way (smtps:// is for port 465, smtp:// with STARTTLS for the other ports), or its \
             certificate is for another host or of an unknown authority (PLUME_SMTP_CA names one)"
        }
        MailError::Auth => "check user and password in PLUME_SMTP; a % in them is written %25",
        MailError::Refused(_) => "see what the server's own log says",
        // A server that waits for TLS does not greet.
        MailError::Late if !matches!(tls, SmtpTls::Implicit) => {
            "try again; a server that speaks TLS from the first byte, as on port 465, needs smtps:// in PLUME_SMTP"
        }
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
    let connector = match Connector::new(Place::of(&url), trust, TIMEOUT) {
        Ok(connector) => connector,
        Err(error) => return report.fail("email", &unreachable(&error.into())),
    };
    let path = format!("{}v3/domains/{}", url.path, mailgun.domain);
    let key = BASE64.encode(format!("api:{}", mailgun.api_key).as_bytes());
    let domain = &mailgun.domain;
    match http::get_with(&connector, &url, &path, &format!("Authorization: Basic {key}\r\n")) {
        Err(error) => report.fail("email", &unreachable(&error)),
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
                status @ (429 | 500..=599) => {
                    report.fail("email", &format!("Mailgun answers {status}: it is busy or down: try again"));
                }
                status => report.fail("email", &format!("Mailgun answers {status}: check MAILGUN_API_BASE")),
            }
        }
    }
}

/// Why Mailgun cannot be asked. What else to do about such an error is for an operator's own site.
fn unreachable(error: &HttpError) -> String {
    let cause = match error {
        HttpError::Connect(ConnectError::NoHost(host)) => format!("the name {host} is not known"),
        HttpError::Connect(ConnectError::Unreachable(address, error)) => {
            format!("{address} does not answer ({error})")
        }
        HttpError::Connect(ConnectError::Unix(_, error)) => error.to_string(),
        HttpError::Connect(ConnectError::Tls(_)) => "no TLS connection that can be trusted".to_owned(),
        HttpError::Io(error) if is_timeout(error) => "no answer in time".to_owned(),
        HttpError::Io(error) => format!("the connection broke ({error})"),
        HttpError::NotHttp => "the answer is not HTTP".to_owned(),
    };
    format!("Mailgun: {cause}: check MAILGUN_API_BASE and this machine's way out")
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

#[cfg(test)]
mod tests {
    use super::*;
    use SmtpTls::{IfOffered, Implicit, Never, Required};

    #[test]
    fn hints_name_each_cause_that_an_error_can_have() {
        for tls in [Implicit, Required, IfOffered, Never] {
            for part in ["STARTTLS", "smtps://", "smtp://", "465", "certificate", "PLUME_SMTP_CA"] {
                assert!(hint(MailError::Tls, tls).contains(part), "{part}");
            }
            let late = hint(MailError::Late, tls);
            assert_eq!(late.contains("smtps://"), tls != Implicit, "{late}");
            assert!(late.starts_with("try again"), "{late}");
        }
    }
}
