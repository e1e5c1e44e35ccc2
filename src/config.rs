//! Parses variables and flags into a checked [`Config`], or into a one-line error.
//!
//! A pure function of its arguments: it never reads the environment or sockets, and files only through the
//! function that it is given. One table, `SETTINGS`, drives parsing, defaults and `--help`.

mod bots;
mod commands;
pub mod files;
mod mail;
mod redis_url;
mod sender;
mod settings;
pub(crate) mod smtp_url;
mod summary;
mod url;
mod values;

pub use bots::new_bot;
pub use mail::{MailSettings, Mailgun, Smtp};
pub use redis_url::{RedisLogin, RedisPlace, RedisUrl};
pub use sender::Sender;
pub use smtp_url::{SmtpLogin, SmtpTls, SmtpUrl};

use crate::log_event::Level;
use crate::settings::{MailBudget, Settings};
use commands::DOCTOR_FLAGS;
pub use commands::{Doctor, Forget, Health};
use mail::{DOMAIN, FROM, KEY, MailDraft, SMTP, SMTP_CA};
use settings::Fallback::{Value, Words};
use settings::{
    ALLOW, API_BASE, BOTS, DATA, DENY, HELP_HEAD, LISTEN, MAN_HEAD, MAN_TAIL, METRICS, MODERATORS, PREFIX,
    REDIS, REDIS_FILE, SETTINGS, Setting,
};
use std::ffi::OsString;
use std::fmt::{self, Display, Write as _};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use summary::Summary;
pub use url::Url;

/// The command given on the command line.
#[derive(Debug)]
pub enum Command {
    /// Serve with this configuration.
    Run(Box<Config>),
    /// Say what would run with this configuration.
    Check(Box<Config>),
    /// Check the settings, if they are good, and the site from outside.
    Doctor(Box<Result<Config, ConfigError>>, Doctor),
    /// Ask the server whether it is well.
    Health(Health),
    /// Remove a person from a folder of rules.
    Forget(Forget),
    /// Print a token for a bot of this name, and its entry for the settings.
    NewBot(String),
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
    /// Where metrics are served, if they are. Port 0: any free one.
    pub metrics: Option<SocketAddr>,
    /// A directory to serve instead of the built-in page.
    pub static_dir: Option<PathBuf>,
    /// Where what outlives the process is kept, if anything is.
    pub data_dir: Option<PathBuf>,
    /// The engine that holds the log which several nodes share, if there is one.
    pub redis: Option<RedisUrl>,
    /// The least severe level that is logged.
    pub log_level: Level,
    /// How login codes are delivered.
    pub mail: MailSettings,
}

impl Config {
    /// Whether other machines may read the metrics.
    #[must_use]
    pub fn has_open_metrics(&self) -> bool {
        self.metrics.is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }

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
            // No longer than the system allows, so nothing is cut off.
            Self::Unix(path) => write!(f, "{UNIX}{}", path.to_string_lossy().escape_debug()),
        }
    }
}

/// Why the configuration is invalid. Displayed as one line.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A flag that does not exist.
    UnknownFlag(String),
    /// A `PLUME_` variable that does not exist.
    UnknownVariable(String),
    /// The position, from one, of an argument that is neither a flag nor a flag's value. The argument itself
    /// is not shown: it may be a key.
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
    /// A flag, a variable or the position of an argument with bytes that are not UTF-8. They are not shown:
    /// they may be a secret.
    NotUtf8(String),
    /// `plume --forget` without a folder.
    NoData,
    /// `plume health` without a port to ask.
    NoPort,
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
    /// The metrics on the address of the chat, where anybody could read them.
    SameAddress,
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

impl ConfigError {
    fn wrong(name: impl Into<String>, value: Option<String>, must_be: impl Into<String>) -> Self {
        Self::WrongValue { name: name.into(), value, must_be: must_be.into() }
    }
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
            Self::NotUtf8(name) => write!(f, "{}: must be UTF-8", shown(name)),
            Self::NoMail => write!(
                f,
                "production sends login codes by email: set {SMTP} and {FROM}, or {KEY} and {DOMAIN}; see --help"
            ),
            Self::Missing { name, with } => {
                write!(f, "{name} is not set, but production with {with} needs it; see --help")
            }
            Self::NoData => write!(f, "{DATA} is not set, so nothing is on disk; give it, as in {DATA}=DIR"),
            Self::NoPort => {
                write!(f, "the server listens on any free port; give its address: plume health http://...")
            }
            Self::SameAddress => {
                write!(f, "{METRICS} and {LISTEN} are the same address, but metrics need one of their own")
            }
            Self::UnusedAuthorities => {
                write!(f, "{SMTP_CA} is set, but it is only for {SMTP} with TLS; remove one or set the other")
            }
            Self::Unreadable { name, error } => write!(f, "{name}: its file cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Parses `args` (without the program's own name) and `vars`. Flags take precedence over variables; an empty
/// value selects the default. `read` reads the files that settings name, such as [`files::read`].
///
/// # Errors
/// An unknown flag or `PLUME_` variable, an invalid value, settings that do not fit together, or a file that
/// cannot be read.
pub fn parse(
    args: impl Iterator<Item = OsString>,
    vars: impl Iterator<Item = (OsString, OsString)>,
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Command, ConfigError> {
    let args = read_arguments(args)?;
    let vars: Vec<Variable> =
        vars.map(|(name, value)| (name.to_string_lossy().into_owned(), value.into_string().ok())).collect();
    // No value starts with a dash, so these words are never another flag's value.
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Ok(Command::Print(help()));
    }
    if args.iter().any(|arg| arg == "--man") {
        return Ok(Command::Print(man()));
    }
    if args.iter().any(|arg| arg == "--version" || arg == "-V") {
        return Ok(Command::Print(format!("plume {}\n", env!("CARGO_PKG_VERSION"))));
    }
    if args.iter().any(|arg| arg.split('=').next() == Some(NEW_BOT)) {
        return read_new_bot(args).map(Command::NewBot);
    }
    if let Some(at) = args.iter().position(|arg| arg.split('=').next() == Some(FORGET)) {
        let (address, args) = take_value(args, at)?;
        let config = configure(read_flags(args, None)?.settings, vars, &read)?;
        return commands::forget(address, config.data_dir).map(Command::Forget);
    }
    match args.first().map(String::as_str) {
        Some("doctor") => {
            let Flags { settings, own, site } = read_flags(args, Some(&DOCTOR_FLAGS))?;
            // A misspelt variable was meant to be a setting.
            let is_setting = |(name, _): &Variable| {
                name.starts_with(PREFIX) || SETTINGS.iter().any(|setting| setting.variable == name)
            };
            let has_settings = settings.iter().any(Option::is_some) || vars.iter().any(is_setting);
            let config = Box::new(configure(settings, vars, &read));
            commands::doctor(has_settings, site.as_deref(), own).map(|doctor| Command::Doctor(config, doctor))
        }
        Some("health") => {
            let Flags { settings, site, .. } = read_flags(args, Some(&[]))?;
            commands::health(|| configure(settings, vars, &read), site.as_deref()).map(Command::Health)
        }
        _ => {
            let (checks, args): (Vec<_>, Vec<_>) = args.into_iter().partition(|arg| arg == "--check");
            let config = Box::new(configure(read_flags(args, None)?.settings, vars, &read)?);
            Ok(if checks.is_empty() { Command::Run(config) } else { Command::Check(config) })
        }
    }
}

fn configure(
    flags: AllGiven,
    vars: Vec<Variable>,
    read: &impl Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Config, ConfigError> {
    let mut given = read_variables(vars)?;
    for (chosen, flag) in given.iter_mut().zip(flags) {
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
            // Addresses of people are in no log. An API address may contain a key too, as in
            // https://api:KEY@host.
            let secret = [KEY, SMTP, REDIS, MODERATORS, ALLOW, DENY, BOTS].contains(&setting.variable)
                || (setting.variable == API_BASE && value.contains('@'));
            return Err(ConfigError::wrong(name, (!secret).then_some(value), must_be));
        }
    }
    draft.finish(read)
}

/// A value, and the flag or variable that set it, as written.
struct Given {
    name: String,
    value: String,
}

/// The given values, in the order of [`SETTINGS`].
type AllGiven = Vec<Option<Given>>;

/// The name of a variable, and its value if that is UTF-8. One that is no setting may have any bytes.
type Variable = (String, Option<String>);

/// The arguments as text: replacing bytes would make another password or path of them.
fn read_arguments(args: impl Iterator<Item = OsString>) -> Result<Vec<String>, ConfigError> {
    let mut texts: Vec<String> = Vec::new();
    for arg in args {
        match arg.into_string() {
            Ok(text) => texts.push(text),
            Err(arg) => {
                let lossy = arg.to_string_lossy();
                let flag = texts.last().filter(|last| last.starts_with('-') && !last.contains('='));
                return Err(ConfigError::NotUtf8(match (lossy.split_once('='), flag) {
                    (Some((name, _)), _) if name.starts_with('-') => name.to_owned(),
                    (_, Some(flag)) => flag.clone(),
                    (_, None) => format!("argument {}", texts.len() + 1),
                }));
            }
        }
    }
    Ok(texts)
}

fn read_variables(vars: Vec<Variable>) -> Result<AllGiven, ConfigError> {
    let mut all: AllGiven = SETTINGS.iter().map(|_| None).collect();
    for (name, value) in vars {
        match SETTINGS.iter().position(|setting| setting.variable == name) {
            Some(place) => {
                let Some(value) = value else { return Err(ConfigError::NotUtf8(name)) };
                all[place] = Some(Given { name, value });
            }
            None if name.starts_with(PREFIX) => return Err(ConfigError::UnknownVariable(name)),
            None => (),
        }
    }
    Ok(all)
}

/// The arguments of a command.
struct Flags {
    settings: AllGiven,
    /// The values of the command's own flags, in their order.
    own: Vec<Option<Given>>,
    /// The argument that is no flag, which commands take one of: the address of a site.
    site: Option<String>,
}

/// Reads arguments. A command has flags of its own; then the first argument is its name.
fn read_flags(args: Vec<String>, command: Option<&[&str]>) -> Result<Flags, ConfigError> {
    let own = command.unwrap_or_default();
    let names: Vec<String> =
        SETTINGS.iter().map(Setting::flag).chain(own.iter().map(|&name| name.to_owned())).collect();
    let mut all: AllGiven = names.iter().map(|_| None).collect();
    let mut site = None;
    let mut args = args.into_iter().zip(1..).peekable();
    if command.is_some() {
        args.next();
    }
    while let Some((arg, number)) = args.next() {
        if !arg.starts_with('-') {
            if command.is_some() && site.is_none() {
                site = Some(arg);
                continue;
            }
            return Err(ConfigError::StrayArgument(number));
        }
        let (name, value) = split_flag(arg);
        let Some(place) = names.iter().position(|own| *own == name) else {
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
    let own = all.split_off(SETTINGS.len());
    Ok(Flags { settings: all, own, site })
}

/// Takes the flag at this position with its value, which may be the next argument, out of the arguments.
fn take_value(mut args: Vec<String>, at: usize) -> Result<(Given, Vec<String>), ConfigError> {
    let (name, mut value) = split_flag(args.remove(at));
    if value.is_none() && args.get(at).is_some_and(|arg| !arg.starts_with('-')) {
        value = Some(args.remove(at));
    }
    match value {
        Some(value) => Ok((Given { name, value }, args)),
        None => Err(ConfigError::MissingValue(name)),
    }
}

/// A flag, and its value if that is in the same argument.
fn split_flag(arg: String) -> (String, Option<String>) {
    match arg.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (arg, None),
    }
}

/// Reads the only flag and value that there may be with [`NEW_BOT`].
fn read_new_bot(args: Vec<String>) -> Result<String, ConfigError> {
    let mut args = args.into_iter().zip(1..).flat_map(|(arg, number)| match arg.split_once('=') {
        Some((NEW_BOT, value)) => vec![(NEW_BOT.to_owned(), number), (value.to_owned(), number)],
        Some(_) | None => vec![(arg, number)],
    });
    match args.next() {
        Some((flag, _)) if flag == NEW_BOT => {}
        Some((_, number)) => return Err(ConfigError::StrayArgument(number)),
        None => return Err(ConfigError::MissingValue(NEW_BOT.to_owned())),
    }
    let (name, _) = args.next().ok_or_else(|| ConfigError::MissingValue(NEW_BOT.to_owned()))?;
    if let Some((_, number)) = args.next() {
        return Err(ConfigError::StrayArgument(number));
    }
    bots::bot_name(&name).map_err(|must_be| ConfigError::wrong(NEW_BOT, Some(name), must_be))
}

/// The manual page, plume(1): the text of `--help` in roff.
fn man() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(".TH PLUME 1 \"\" \"plume {version}\"\n{MAN_HEAD}");
    for setting in SETTINGS {
        let (Value(default) | Words(default)) = setting.default;
        let words = [setting.variable, &setting.flag(), setting.meaning, default];
        let [variable, flag, meaning, default] = words.map(roff);
        let _ = write!(text, ".TP\n\\fB{variable}\\fR, \\fB{flag}\\fR\n{meaning}\n.br\nDefault: {default}\n");
    }
    text + MAN_TAIL
}

/// Text in roff: a hyphen by itself would be a typographic one, which nobody can copy into a shell.
fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

fn help() -> String {
    let mut text = HELP_HEAD.to_owned();
    for setting in SETTINGS {
        let (Value(default) | Words(default)) = setting.default;
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

/// A path that a setting names, fit for one line.
#[must_use]
pub fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// The configuration while its settings are parsed one by one.
struct Draft {
    config: Config,
    production: bool,
    mail: MailDraft,
    redis: Option<RedisUrl>,
    redis_file: Option<PathBuf>,
    budget: MailBudget,
}

impl Default for Draft {
    /// Placeholders: the real defaults are in the table, which overwrites these.
    fn default() -> Self {
        let config = Config {
            settings: Settings::default(),
            connections_max: None,
            listen: Listen::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
            metrics: None,
            static_dir: None,
            data_dir: None,
            redis: None,
            log_level: Level::Info,
            mail: MailSettings::Print,
        };
        Self {
            config,
            production: false,
            mail: MailDraft::default(),
            redis: None,
            redis_file: None,
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
        if let (Listen::Tcp(listen), Some(metrics)) = (&config.listen, &config.metrics)
            && is_same(*listen, *metrics)
        {
            return Err(ConfigError::SameAddress);
        }
        if self.production {
            config.settings.mail_budget = Some(self.budget);
        }
        let names = [REDIS, REDIS_FILE];
        config.redis = mail::secret(names, self.redis, self.redis_file, redis_url::parse, read)?;
        config.settings.is_shared = config.redis.is_some();
        config.mail = self.mail.finish(self.production, config.settings.name.clone(), read)?;
        Ok(config)
    }
}

/// Whether two sockets cannot listen on these addresses at once.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    let has_all = ip.is_unspecified() || other_ip.is_unspecified();
    one.port() == other.port() && one.port() != 0 && (ip == other_ip || has_all)
}

/// The flag that makes an entry for [`BOTS`].
const NEW_BOT: &str = "--new-bot";
/// The flag that removes a person.
const FORGET: &str = "--forget";
/// Prefix of a path to listen on.
pub(crate) const UNIX: &str = "unix:";
/// Most characters of an invalid value that an error shows.
const SHOWN_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests;
