//! The settings of login emails: checks them together, and reads the files that hold secrets and
//! certificates.

use super::ConfigError;
use super::sender::Sender;
use super::smtp_url::{self, SmtpTls, SmtpUrl};
use super::values::{self, Checked};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How login codes are delivered.
#[derive(Debug, Clone)]
pub enum MailSettings {
    /// Printed on stderr, for development.
    Print,
    /// Emailed through Mailgun.
    Mailgun(Mailgun),
    /// Emailed through an SMTP server.
    Smtp(Smtp),
}

/// Access to Mailgun.
#[derive(Clone)]
pub struct Mailgun {
    /// The secret API key.
    pub api_key: String,
    /// The domain that emails are sent for.
    pub domain: String,
    /// The base URL of the API: `http(s)://host[:port][/path]`, without a trailing slash.
    pub api_base: String,
    /// The sender.
    pub from: Sender,
    /// The name of the site.
    pub site_name: String,
}

impl fmt::Debug for Mailgun {
    /// Omits the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailgun")
            .field("domain", &self.domain)
            .field("api_base", &self.api_base)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Access to an SMTP server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// The server, with the secret user and password.
    pub url: SmtpUrl,
    /// The authorities that may vouch for the server, if they are not the public ones.
    pub authorities: Option<Arc<RootCertStore>>,
    /// The sender.
    pub from: Sender,
    /// The name of the site.
    pub site_name: String,
}

/// Reads a file that a setting names.
pub(super) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// The settings of login emails while they are parsed one by one.
#[derive(Default)]
pub(super) struct MailDraft {
    pub(super) api_key: Option<String>,
    pub(super) api_key_file: Option<PathBuf>,
    pub(super) domain: Option<String>,
    pub(super) api_base: String,
    pub(super) smtp: Option<SmtpUrl>,
    pub(super) smtp_file: Option<PathBuf>,
    pub(super) smtp_ca: Option<PathBuf>,
    pub(super) from: Option<Sender>,
}

impl MailDraft {
    /// Secrets are read and checked in development, too: a wrong setting is an error whether it is used or
    /// not.
    pub(super) fn finish(
        self,
        is_production: bool,
        site_name: String,
        read: ReadFile<'_>,
    ) -> Result<MailSettings, ConfigError> {
        let api_key = secret([KEY, KEY_FILE], self.api_key, self.api_key_file, values::api_key, read)?;
        let smtp = secret([SMTP, SMTP_FILE], self.smtp, self.smtp_file, smtp_url::parse, read)?;
        let authorities = self.smtp_ca.map(|path| authorities(&path, read)).transpose()?;
        if !is_production {
            return Ok(MailSettings::Print);
        }
        let checks_certificates = smtp.as_ref().is_some_and(|url| url.tls != SmtpTls::Never);
        if authorities.is_some() && !checks_certificates {
            return Err(ConfigError::UnusedAuthorities);
        }
        match (smtp, api_key) {
            (Some(_), Some(_)) => Err(ConfigError::Both { one: SMTP, other: KEY }),
            (None, None) => Err(ConfigError::NoMail),
            (Some(url), None) => {
                let from = self.from.ok_or(ConfigError::Missing { name: FROM, with: SMTP })?;
                Ok(MailSettings::Smtp(Smtp { url, authorities, from, site_name }))
            }
            (None, Some(api_key)) => {
                let domain = self.domain.ok_or(ConfigError::Missing { name: DOMAIN, with: KEY })?;
                let from = self.from.unwrap_or_else(|| Sender::of_domain(&domain));
                Ok(MailSettings::Mailgun(Mailgun {
                    api_key,
                    domain,
                    api_base: self.api_base,
                    from,
                    site_name,
                }))
            }
        }
    }
}

/// A secret that is given itself or in a file. `names` are those of the two settings. No error shows the
/// content, nor the path, which may be the secret itself by mistake.
pub(super) fn secret<T>(
    [name, file_name]: [&'static str; 2],
    given: Option<T>,
    file: Option<PathBuf>,
    parse: fn(&str) -> Checked<T>,
    read: ReadFile<'_>,
) -> Result<Option<T>, ConfigError> {
    let Some(path) = file else { return Ok(given) };
    if given.is_some() {
        return Err(ConfigError::Both { one: name, other: file_name });
    }
    let bytes =
        read(&path).map_err(|error| ConfigError::Unreadable { name: file_name, error: error.kind() })?;
    let wrong = |must_be: &str| ConfigError::wrong(file_name, None, format!("a file that holds {must_be}"));
    let text = str::from_utf8(&bytes).map_err(|_| wrong("one line of UTF-8"))?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    parse(line).map(Some).map_err(|must_be| wrong(&must_be))
}

/// The certificates in a PEM file.
fn authorities(path: &Path, read: ReadFile<'_>) -> Result<Arc<RootCertStore>, ConfigError> {
    let pem = read(path).map_err(|error| ConfigError::Unreadable { name: SMTP_CA, error: error.kind() })?;
    let mut store = RootCertStore::empty();
    let is_good = CertificateDer::pem_slice_iter(&pem)
        .all(|certificate| certificate.is_ok_and(|certificate| store.add(certificate).is_ok()));
    if is_good && !store.is_empty() {
        return Ok(Arc::new(store));
    }
    let must_be = "a PEM file with certificates of authorities, and none that is malformed";
    Err(ConfigError::wrong(SMTP_CA, Some(path.display().to_string()), must_be))
}

pub(super) const KEY: &str = "MAILGUN_APIKEY";
pub(super) const KEY_FILE: &str = "MAILGUN_APIKEY_FILE";
pub(super) const DOMAIN: &str = "MAILGUN_DOMAIN";
pub(super) const FROM: &str = "PLUME_MAIL_FROM";
pub(super) const SMTP: &str = "PLUME_SMTP";
pub(super) const SMTP_FILE: &str = "PLUME_SMTP_FILE";
pub(super) const SMTP_CA: &str = "PLUME_SMTP_CA";
