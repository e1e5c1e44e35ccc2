//! Parses variables and flags into a checked [`Config`], or into a one-line error.
//!
//! A pure function of its arguments: it never reads the environment or sockets, and files only through the function that
//! it is given. One table, `SETTINGS`, drives parsing, defaults and `--help`.

pub mod files;
mod mail;
mod sender;
mod settings;
mod smtp_url;
mod values;

pub use mail::{MailSettings, Mailgun, Smtp};
pub use sender::Sender;
pub use smtp_url::{SmtpLogin, SmtpTls, SmtpUrl};

use crate::log_event::Level;
use crate::settings::{MailBudget, Settings};
use mail::{DOMAIN, FROM, KEY, MailDraft, SMTP, SMTP_CA};
use settings::Fallback::{Value, Words};
use settings::{API_BASE, HELP_HEAD, PREFIX, SETTINGS};
use std::fmt::{self, Display, Write as _};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The command given on the command line.
#[derive(Debug)]
pub enum Command {
    /// Serve with this configuration.
    Run(Box<Config>),
    /// Print this text, which ends with a line break, to stdout and exit with 0.
    Print(String),
}

/// The operator's choices, checked.
#[derive(Debug)]
pub struct Config {
    /// Settings of the server. `connections_max` is final only once `main` has applied the file limit.
    pub settings: Settings,
    /// Most connections at once, if set; otherwise the file limit decides, which only `main` may query.
    pub connections_max: Option<usize>,
    /// The address to listen on. Port 0: any free one.
    pub listen: SocketAddr,
    /// A directory to serve instead of the built-in page.
    pub static_dir: Option<PathBuf>,
    /// The least severe level that is logged.
    pub log_level: Level,
    /// How login codes are delivered.
    pub mail: MailSettings,
}

/// Why the configuration is invalid. Displayed as one line.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A flag that does not exist.
    UnknownFlag(String),
    /// A `PLUME_` variable that does not exist.
    UnknownVariable(String),
    /// The position, from one, of an argument that is neither a flag nor a flag's value. The argument itself is not
    /// shown: it may be a key.
    StrayArgument(usize),
    /// A flag without its value.
    MissingValue(String),
    /// A flag given more than once.
    Twice(String),
    /// A value that is not allowed.
    WrongValue {
        /// The flag or variable, as written.
        name: String,
        /// The value, unless it may contain a secret.
        value: Option<String>,
        /// What it must be.
        must_be: String,
    },
    /// Two settings of which only one may be given.
    Both {
        /// One variable.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Production with neither an SMTP server nor Mailgun.
    NoMail,
    /// A setting that another one needs.
    Missing {
        /// The variable that is not set.
        name: &'static str,
        /// The variable that needs it.
        with: &'static str,
    },
    /// Certificates of authorities that nothing would be checked against.
    UnusedAuthorities,
    /// A file that cannot be read. Its path is not shown: it may be a secret by mistake.
    Unreadable {
        /// The variable that names the file.
        name: &'static str,
        /// Why.
        error: io::ErrorKind,
    },
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFlag(name) => write!(f, "{}: unknown flag; see --help", shown(name)),
            Self::UnknownVariable(name) => write!(f, "{}: unknown variable; see --help", shown(name)),
            Self::StrayArgument(place) => {
                write!(f, "argument {place} is neither a flag nor the value of one; see --help")
            }
            Self::MissingValue(name) => write!(f, "{name}: needs a value, as in {name}=VALUE"),
            Self::Twice(name) => write!(f, "{name}: given twice"),
            Self::WrongValue { name, value: Some(value), must_be } => {
                write!(f, "{name} is \"{}\", but must be {must_be}", shown(value))
            }
            Self::WrongValue { name, value: None, must_be } => write!(f, "{name} must be {must_be}"),
            Self::Both { one, other } => write!(f, "{one} and {other} are both set; set only one of them"),
            Self::NoMail => write!(
                f,
                "production sends login codes by email: set {SMTP} and {FROM}, or {KEY} and {DOMAIN}; see --help"
            ),
            Self::Missing { name, with } => {
                write!(f, "{name} is not set, but production with {with} needs it; see --help")
            }
            Self::UnusedAuthorities => {
                write!(f, "{SMTP_CA} is set, but it is only for {SMTP} with TLS; remove one or set the other")
            }
            Self::Unreadable { name, error } => write!(f, "{name}: its file cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Parses `args` (without the program's own name) and `vars`. Flags take precedence over variables; an empty value
/// selects the default. `read` reads the files that settings name, such as [`files::read`].
///
/// # Errors
/// An unknown flag or `PLUME_` variable, an invalid value, settings that do not fit together, or a file that cannot be
/// read.
pub fn parse(
    args: impl Iterator<Item = String>,
    vars: impl Iterator<Item = (String, String)>,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Command, ConfigError> {
    let args: Vec<String> = args.collect();
    // No value starts with a dash, so these words are never another flag's value.
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Ok(Command::Print(help()));
    }
    if args.iter().any(|arg| arg == "--version" || arg == "-V") {
        return Ok(Command::Print(format!("plume {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let mut given = read_variables(vars)?;
    for (chosen, flag) in given.iter_mut().zip(read_flags(args)?) {
        *chosen = flag.or(chosen.take());
    }
    let mut draft = Draft::default();
    for (setting, given) in SETTINGS.iter().zip(given) {
        let given = given.filter(|given| !given.value.is_empty());
        let (name, value) = match (given, setting.default) {
            (Some(given), _) => (given.name, given.value),
            (None, Value(value)) => (setting.variable.to_owned(), value.to_owned()),
            (None, Words(_)) => continue,
        };
        if let Err(must_be) = (setting.set)(&mut draft, &value) {
            // An API address may contain a key too, as in https://api:KEY@host.
            let secret = [KEY, SMTP].contains(&setting.variable)
                || (setting.variable == API_BASE && value.contains('@'));
            return Err(ConfigError::WrongValue { name, value: (!secret).then_some(value), must_be });
        }
    }
    draft.finish(&read).map(|config| Command::Run(Box::new(config)))
}

/// A value, and the flag or variable that set it, as written.
struct Given {
    name: String,
    value: String,
}

/// The given values, in the order of [`SETTINGS`].
type AllGiven = Vec<Option<Given>>;

fn read_variables(vars: impl Iterator<Item = (String, String)>) -> Result<AllGiven, ConfigError> {
    let mut all: AllGiven = SETTINGS.iter().map(|_| None).collect();
    for (name, value) in vars {
        match SETTINGS.iter().position(|setting| setting.variable == name) {
            Some(place) => all[place] = Some(Given { name, value }),
            None if name.starts_with(PREFIX) => return Err(ConfigError::UnknownVariable(name)),
            None => (),
        }
    }
    Ok(all)
}

fn read_flags(args: Vec<String>) -> Result<AllGiven, ConfigError> {
    let mut all: AllGiven = SETTINGS.iter().map(|_| None).collect();
    let mut args = args.into_iter().zip(1..).peekable();
    while let Some((arg, number)) = args.next() {
        if !arg.starts_with('-') {
            return Err(ConfigError::StrayArgument(number));
        }
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        let Some(place) = SETTINGS.iter().position(|setting| setting.flag() == name) else {
            return Err(ConfigError::UnknownFlag(name));
        };
        if all[place].is_some() {
            return Err(ConfigError::Twice(name));
        }
        let next = || args.next_if(|(arg, _)| !arg.starts_with('-')).map(|(arg, _)| arg);
        let Some(value) = value.or_else(next) else {
            return Err(ConfigError::MissingValue(name));
        };
        all[place] = Some(Given { name, value });
    }
    Ok(all)
}

fn help() -> String {
    let mut text = HELP_HEAD.to_owned();
    for setting in SETTINGS {
        let default = match setting.default {
            Value(words) | Words(words) => words,
        };
        let (variable, flag, meaning) = (setting.variable, setting.flag(), setting.meaning);
        let _ = write!(text, "\n  {variable}, {flag}\n      {meaning}\n      Default: {default}\n");
    }
    text
}

/// Makes the text of a setting fit for one line: no control characters, and truncated.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect::<String>().escape_debug().to_string();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The configuration while its settings are parsed one by one.
struct Draft {
    config: Config,
    production: bool,
    mail: MailDraft,
    budget: MailBudget,
}

impl Default for Draft {
    /// Placeholders: the real defaults are in the table, which overwrites these.
    fn default() -> Self {
        let config = Config {
            settings: Settings::default(),
            connections_max: None,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            static_dir: None,
            log_level: Level::Info,
            mail: MailSettings::Print,
        };
        Self {
            config,
            production: false,
            mail: MailDraft::default(),
            budget: MailBudget { every: Duration::ZERO, burst: 0 },
        }
    }
}

impl Draft {
    fn finish(self, read: mail::ReadFile<'_>) -> Result<Config, ConfigError> {
        let mut config = self.config;
        if let Some(connections_max) = config.connections_max {
            config.settings.connections_max = connections_max;
        }
        if self.production {
            config.settings.mail_budget = Some(self.budget);
        }
        config.mail = self.mail.finish(self.production, config.settings.name.clone(), read)?;
        Ok(config)
    }
}

/// Most characters of an invalid value that an error shows.
const SHOWN_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests;
