//! Variables and flags become a checked [`Config`], or one clear line that says what is wrong.
//!
//! A pure function of the arguments and variables that it is handed: it reads no environment, file or socket.
//! One table, `SETTINGS`, drives parsing, defaults and `--help`.

mod settings;
mod values;

use crate::log_event::Level;
use crate::settings::{MailBudget, Settings};
use settings::Fallback::{Value, Words};
use settings::{API_BASE, HELP_HEAD, KEY, PREFIX, SETTINGS};
use std::fmt::{self, Display, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve, with these choices.
    Run(Box<Config>),
    /// Print this text, which ends with a line end, to stdout and exit with 0.
    Print(String),
}

/// All that the person who runs the server has chosen, checked.
#[derive(Debug)]
pub struct Config {
    /// What the server itself needs to know. Its `connections_max` counts only once `main` has settled it.
    pub settings: Settings,
    /// Connections at once, where chosen; else the file limit decides, which only `main` may ask for.
    pub connections_max: Option<usize>,
    /// Where to listen. Port 0: any free one.
    pub listen: SocketAddr,
    /// A folder to serve instead of the built-in page.
    pub static_dir: Option<PathBuf>,
    /// What is logged: this level and all that matters more.
    pub log_level: Level,
    /// How a login code reaches its owner.
    pub mail: MailSettings,
}

/// How a login code reaches its owner.
#[derive(Debug)]
pub enum MailSettings {
    /// Not at all: it is printed on stderr, for development.
    Print,
    /// By mail.
    Post(Mailgun),
}

/// How mail is posted to Mailgun.
pub struct Mailgun {
    /// The secret that lets us send.
    pub api_key: String,
    /// The domain that mail is sent for.
    pub domain: String,
    /// Where the API is: `http(s)://host[:port][/path]`, without a slash at the end.
    pub api_base: String,
    /// The sender: `Name <local@domain>` or a bare address.
    pub from: String,
    /// The name of the site.
    pub site_name: String,
}

impl fmt::Debug for Mailgun {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailgun")
            .field("domain", &self.domain)
            .field("api_base", &self.api_base)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Why there is no [`Config`]. Shows itself as one line.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A flag that does not exist.
    UnknownFlag(String),
    /// A `PLUME_` variable that does not exist.
    UnknownVariable(String),
    /// An argument that is neither a flag nor the value of one, counted from one. It is not shown: it may be
    /// a key.
    StrayArgument(usize),
    /// A flag without its value.
    MissingValue(String),
    /// A flag that is given more than once.
    Twice(String),
    /// A value that is not allowed.
    WrongValue {
        /// The flag or variable, as it was written.
        name: String,
        /// The value, where it holds no secret.
        value: Option<String>,
        /// What it must be.
        must_be: String,
    },
    /// Production without the key that mail needs.
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

/// Reads `args` (without the program's own name) and `vars`. Flags win over variables; an empty value means
/// the default, as if nothing were given.
///
/// # Errors
/// An unknown flag or `PLUME_` variable, or a value that is not allowed.
pub fn parse(
    args: impl Iterator<Item = String>,
    vars: impl Iterator<Item = (String, String)>,
) -> Result<Command, ConfigError> {
    let args: Vec<String> = args.collect();
    // No value starts with a dash, so these words are never the value of another flag.
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
            // A key may stand in an address too, as in https://api:KEY@host.
            let secret = setting.variable == KEY || (setting.variable == API_BASE && value.contains('@'));
            return Err(ConfigError::WrongValue { name, value: (!secret).then_some(value), must_be });
        }
    }
    draft.finish().map(|config| Command::Run(Box::new(config)))
}

/// A value, and the flag or variable that it was given by, as it was written.
struct Given {
    name: String,
    value: String,
}

/// What was given for each of [`SETTINGS`].
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

/// Text of a setting, fit for one line: no control characters, not too long.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect::<String>().escape_debug().to_string();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The configuration while its settings are read, one by one.
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
    /// Values that the table overwrites: the true defaults stand there.
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

/// How much of a wrong value is shown, in characters.
const SHOWN_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests;
