//! Parses variables and flags into a checked [`Config`], or into a one-line error.
//!
//! A pure function of its arguments: it never reads the environment, files or sockets. One table, `SETTINGS`, drives
//! parsing, defaults and `--help`.

mod settings;
mod summary;
mod values;

use crate::log_event::Level;
use crate::settings::{MailBudget, Settings};
use settings::Fallback::{Value, Words};
use settings::{API_BASE, HELP_HEAD, KEY, PREFIX, SETTINGS};
use std::fmt::{self, Display, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
pub use summary::Summary;

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
    /// Where to listen, unless systemd passes a socket.
    pub listen: Listen,
    /// A directory to serve instead of the built-in page.
    pub static_dir: Option<PathBuf>,
    /// The least severe level that is logged.
    pub log_level: Level,
    /// How login codes are delivered.
    pub mail: MailSettings,
}

impl Config {
    /// What would run, in one line without secrets.
    #[must_use]
    pub fn summary(&self) -> Summary<'_> {
        Summary(self)
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// On a TCP address. Port 0: any free one.
    Tcp(SocketAddr),
    /// On a Unix socket at this path, for a proxy on this machine.
    Unix(PathBuf),
}

impl Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// How login codes are delivered.
#[derive(Debug)]
pub enum MailSettings {
    /// Printed on stderr, for development.
    Print,
    /// Sent by email.
    Post(Mailgun),
}

/// Access to Mailgun.
pub struct Mailgun {
    /// The secret API key.
    pub api_key: String,
    /// The domain that emails are sent for.
    pub domain: String,
    /// The base URL of the API: `http(s)://host[:port][/path]`, without a trailing slash.
    pub api_base: String,
    /// The sender: `Name <local@domain>` or a bare address.
    pub from: String,
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
    /// Production without the API key that it needs.
    KeyMissing,
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
            Self::KeyMissing => {
                write!(f, "{KEY} is not set, but production sends mail and needs it; see --help")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Parses `args` (without the program's own name) and `vars`. Flags take precedence over variables; an empty value
/// selects the default.
///
/// # Errors
/// An unknown flag or `PLUME_` variable, or an invalid value.
pub fn parse(
    args: impl Iterator<Item = String>,
    vars: impl Iterator<Item = (String, String)>,
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
            let secret = setting.variable == KEY || (setting.variable == API_BASE && value.contains('@'));
            return Err(ConfigError::WrongValue { name, value: (!secret).then_some(value), must_be });
        }
    }
    draft.finish().map(|config| Command::Run(Box::new(config)))
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
    api_key: Option<String>,
    domain: String,
    api_base: String,
    from: Option<String>,
    budget: MailBudget,
}

impl Default for Draft {
    /// Placeholders: the real defaults are in the table, which overwrites these.
    fn default() -> Self {
        let config = Config {
            settings: Settings::default(),
            connections_max: None,
            listen: Listen::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
            static_dir: None,
            log_level: Level::Info,
            mail: MailSettings::Print,
        };
        Self {
            config,
            production: false,
            api_key: None,
            domain: String::new(),
            api_base: String::new(),
            from: None,
            budget: MailBudget { every: Duration::ZERO, burst: 0 },
        }
    }
}

impl Draft {
    fn finish(self) -> Result<Config, ConfigError> {
        let mut config = self.config;
        if let Some(connections_max) = config.connections_max {
            config.settings.connections_max = connections_max;
        }
        if self.production {
            config.settings.mail_budget = Some(self.budget);
            config.mail = MailSettings::Post(Mailgun {
                api_key: self.api_key.ok_or(ConfigError::KeyMissing)?,
                from: self.from.unwrap_or_else(|| format!("Plume Chat <hi@{}>", self.domain)),
                domain: self.domain,
                api_base: self.api_base,
                site_name: config.settings.name.clone(),
            });
        }
        Ok(config)
    }
}

/// Prefix of a path to listen on.
pub(crate) const UNIX: &str = "unix:";
/// Most characters of an invalid value that an error shows.
const SHOWN_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests;
