//! Variables and flags become a checked [`Config`], or one clear line that says what is wrong.
//!
//! A pure function of the arguments and variables that it is handed: it reads no environment, file or socket.
//! One table, `SETTINGS`, drives parsing, defaults and `--help`.

use crate::base::limits::{
    BACKLOG_BYTES_MAX, BACKLOG_BYTES_MIN, HISTORY_LINES_MAX, SILENCE_MAX, SITE_NAME_BYTES_MAX,
};
use crate::base::note::Level;
use crate::base::settings::{MailBudget, Settings};
use email_address::{EmailAddress, Options};
use ipnet::IpNet;
use std::fmt::{self, Display, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
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

/// What somebody wrote, fit for one line: no control characters, not too long.
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

/// A value, or the words for what it must be.
type Checked<T> = Result<T, String>;

fn put<T>(place: &mut T, value: Checked<T>) -> Checked<()> {
    *place = value?;
    Ok(())
}

fn production(value: &str) -> Checked<bool> {
    match value {
        "production" => Ok(true),
        "development" => Ok(false),
        // Taken for development, a slip of the pen would print codes instead of mailing them.
        _ => Err("production or development".to_owned()),
    }
}

fn level(value: &str) -> Checked<Level> {
    match value {
        "error" => Ok(Level::Error),
        "warn" => Ok(Level::Warn),
        "info" => Ok(Level::Info),
        "debug" => Ok(Level::Debug),
        _ => Err("error, warn, info or debug".to_owned()),
    }
}

fn whole<N: FromStr + PartialOrd + Display>(value: &str, allowed: RangeInclusive<N>) -> Checked<N> {
    let number = value.parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| format!("a whole number from {} to {}", allowed.start(), allowed.end()))
}

/// A number of seconds, with or without a fraction.
fn seconds(value: &str, allowed: RangeInclusive<Duration>) -> Checked<Duration> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = value.parse().ok().filter(|_| plain);
    let wait = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let (least, most) = (allowed.start().as_secs_f64(), allowed.end().as_secs_f64());
    wait.filter(|wait| allowed.contains(wait))
        .ok_or_else(|| format!("a number of seconds from {least} to {most}"))
}

/// A number of bytes, or of KiB or MiB.
fn size(value: &str, allowed: RangeInclusive<usize>) -> Checked<usize> {
    let (digits, unit) = [("KiB", 1 << 10), ("MiB", 1 << 20)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((value.strip_suffix(suffix)?.trim_end(), unit)))
        .unwrap_or((value, 1));
    let bytes = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    let (least, most) = (allowed.start(), allowed.end());
    bytes
        .filter(|bytes| allowed.contains(bytes))
        .ok_or_else(|| format!("a size from {least} to {most} bytes, such as 4194304 or 4 MiB"))
}

fn listen(value: &str) -> Checked<SocketAddr> {
    let address = match value.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse(),
        None => value.parse(),
    };
    address.map_err(|_| "an IP address and a port, such as 127.0.0.1:4884 or [::1]:4884".to_owned())
}

fn site_name(value: &str) -> Checked<String> {
    let name = value.trim();
    let good = !name.is_empty() && name.len() <= SITE_NAME_BYTES_MAX && !name.contains(char::is_control);
    let must_be = || format!("a name of 1 to {SITE_NAME_BYTES_MAX} bytes without control characters");
    good.then(|| name.to_owned()).ok_or_else(must_be)
}

fn origins(value: &str) -> Checked<Vec<String>> {
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let origins = parts.map(|part| split_origin(part).filter(|(_, path)| path.is_empty()));
    origins
        .map(|origin| origin.map(|(origin, _)| origin))
        .collect::<Option<_>>()
        .ok_or_else(|| "origins such as https://plume.chat, separated by commas, without paths".to_owned())
}

fn networks(value: &str) -> Checked<Vec<IpNet>> {
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let networks = parts.map(|part| part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from)));
    networks
        .collect::<Result<_, _>>()
        .map_err(|_| "addresses or networks such as 10.0.0.0/8, separated by commas".to_owned())
}

fn api_base(value: &str) -> Checked<String> {
    let plain =
        |path: &str| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    split_origin(value)
        .filter(|(_, path)| plain(path))
        .map(|(origin, path)| origin + path.trim_end_matches('/'))
        .ok_or_else(|| "an address such as https://api.mailgun.net, without user or query".to_owned())
}

/// The `http(s)://host[:port]` that an address begins with, in lower case and without a default port, as
/// browsers write it; and what follows it.
fn split_origin(address: &str) -> Option<(String, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let colon = authority.rfind(':').filter(|&colon| !authority[colon..].contains(']'));
    let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => format!("[{}]", inner.parse::<Ipv6Addr>().ok()?),
        None => host_name(host)?,
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u16>().ok()?,
        Some(_) => return None,
        None => default_port,
    };
    match port {
        0 => None,
        port if port == default_port => Some((format!("{scheme}://{host}"), path)),
        port => Some((format!("{scheme}://{host}:{port}"), path)),
    }
}

/// A host name in lower case, with the lengths of RFC 1035, section 2.3.4.
fn host_name(host: &str) -> Option<String> {
    let label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        letters && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    (host.len() <= 253 && host.split('.').all(label)).then(|| host.to_ascii_lowercase())
}

fn domain(value: &str) -> Checked<String> {
    host_name(value).ok_or_else(|| "a host name such as mail.plume.chat".to_owned())
}

fn api_key(value: &str) -> Checked<Option<String>> {
    let key = value.trim();
    let good = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| Some(key.to_owned())).ok_or_else(|| "a key of visible ASCII characters".to_owned())
}

/// `Name <local@domain>` or a bare address. Line breaks would end the header field that it becomes.
fn sender(value: &str) -> Checked<Option<String>> {
    let sender = value.trim();
    let address = match sender.split_once('<') {
        Some((_, address)) => address.strip_suffix('>'),
        None => Some(sender),
    };
    let options = Options::default().without_display_text().without_domain_literal();
    let good = !sender.contains(char::is_control)
        && sender.len() <= SENDER_BYTES_MAX
        && address.is_some_and(|address| EmailAddress::parse_with_options(address, options).is_ok());
    let must_be = || "an address such as hi@plume.chat or Plume Chat <hi@plume.chat>".to_owned();
    good.then(|| Some(sender.to_owned())).ok_or_else(must_be)
}

/// One setting: a variable, a flag of the same meaning, and where its value goes.
struct Setting {
    variable: &'static str,
    default: Fallback,
    meaning: &'static str,
    set: fn(&mut Draft, &str) -> Checked<()>,
}

impl Setting {
    fn flag(&self) -> String {
        let name = self.variable.strip_prefix(PREFIX).unwrap_or(self.variable);
        format!("--{}", name.to_ascii_lowercase().replace('_', "-"))
    }
}

/// What holds where nothing is given.
#[derive(Clone, Copy)]
enum Fallback {
    /// This value, read like a given one.
    Value(&'static str),
    /// No value; the words say what that means.
    Words(&'static str),
}
use Fallback::{Value, Words};

/// Every setting, in the order in which `--help` tells them.
static SETTINGS: &[Setting] = &[
    Setting {
        variable: "PLUME_LISTEN",
        default: Value("127.0.0.1:4884"),
        meaning: "IP address and port to listen on; port 0 takes a free one and prints it.",
        set: |draft, value| put(&mut draft.config.listen, listen(value)),
    },
    Setting {
        variable: "PLUME_NAME",
        default: Value("Plume.chat"),
        meaning: "Name of the site: on the page, in the greeting and in the mail.",
        set: |draft, value| put(&mut draft.config.settings.name, site_name(value)),
    },
    Setting {
        variable: "PLUME_ORIGINS",
        default: Words("none"),
        meaning: "Further origins whose pages may connect, such as https://plume.chat, separated by commas.",
        set: |draft, value| put(&mut draft.config.settings.origins, origins(value)),
    },
    Setting {
        variable: "PLUME_STATIC",
        default: Words("the page inside the program"),
        meaning: "Folder to serve instead: its index.html at /, all else under /static/.",
        set: |draft, value| put(&mut draft.config.static_dir, Ok(Some(PathBuf::from(value)))),
    },
    Setting {
        variable: "PLUME_HISTORY",
        default: Value("50"),
        meaning: "Earlier lines shown to somebody who comes in; 0 shows none.",
        set: |draft, value| {
            put(&mut draft.config.settings.history_lines, whole(value, 0..=HISTORY_LINES_MAX))
        },
    },
    Setting {
        variable: "PLUME_BACKLOG",
        default: Value("4 MiB"),
        meaning: "Memory for the lines of the room: bytes, or with KiB or MiB.",
        set: |draft, value| {
            put(&mut draft.config.settings.backlog_bytes, size(value, BACKLOG_BYTES_MIN..=BACKLOG_BYTES_MAX))
        },
    },
    Setting {
        variable: "PLUME_CODE_TTL",
        default: Value("600"),
        meaning: "Seconds that a login code is good.",
        set: |draft, value| put(&mut draft.config.settings.code_ttl, seconds(value, SECOND..=DAY)),
    },
    Setting {
        variable: "PLUME_LEAVE_GRACE",
        default: Value("15"),
        meaning: "Seconds before the room is told that somebody left without a word; 0 tells it at once.",
        set: |draft, value| {
            put(&mut draft.config.settings.leave_grace, seconds(value, Duration::ZERO..=LEAVE_GRACE_MAX))
        },
    },
    Setting {
        variable: "PLUME_PING",
        default: Value("25"),
        meaning: "Seconds of silence after which the server pings.",
        set: |draft, value| put(&mut draft.config.settings.ping_after, seconds(value, SECOND..=PING_MAX)),
    },
    Setting {
        variable: "PLUME_RATE",
        default: Value("10"),
        meaning: "Lines a second from one connection, and the burst.",
        set: |draft, value| put(&mut draft.config.settings.messages_per_second, whole(value, 1..=RATE_MAX)),
    },
    Setting {
        variable: "PLUME_MAX_CONNECTIONS",
        default: Words("the file descriptor limit less 32"),
        meaning: "Connections at once.",
        set: |draft, value| {
            put(&mut draft.config.connections_max, whole(value, 1..=CONNECTIONS_LIMIT).map(Some))
        },
    },
    Setting {
        variable: "PLUME_MAX_PER_ADDRESS",
        default: Value("64"),
        meaning: "Connections at once from one client address; IPv6 counts by its /64.",
        set: |draft, value| {
            put(&mut draft.config.settings.connections_per_address, whole(value, 1..=CONNECTIONS_LIMIT))
        },
    },
    Setting {
        variable: "PLUME_TRUSTED_PROXIES",
        default: Words("none"),
        meaning: "Proxies whose X-Forwarded-For is believed: addresses or networks, comma-separated.",
        set: |draft, value| put(&mut draft.config.settings.trusted_proxies, networks(value)),
    },
    Setting {
        variable: "PLUME_LOG",
        default: Value("info"),
        meaning: "What is logged on stderr: error, warn, info or debug.",
        set: |draft, value| put(&mut draft.config.log_level, level(value)),
    },
    Setting {
        variable: "ENV",
        default: Value("development"),
        meaning: "production mails login codes and needs MAILGUN_APIKEY; development prints them on stderr.",
        set: |draft, value| put(&mut draft.production, production(value)),
    },
    Setting {
        variable: KEY,
        default: Words("none"),
        meaning: "Key for Mailgun. Better a variable than a flag: all users of a machine can read flags.",
        set: |draft, value| put(&mut draft.api_key, api_key(value)),
    },
    Setting {
        variable: "MAILGUN_DOMAIN",
        default: Value("mail.plume.chat"),
        meaning: "Domain that mail is sent for.",
        set: |draft, value| put(&mut draft.domain, domain(value)),
    },
    Setting {
        variable: API_BASE,
        default: Value("https://api.mailgun.net"),
        meaning: "Where Mailgun is; https://api.eu.mailgun.net for domains in the EU.",
        set: |draft, value| put(&mut draft.api_base, api_base(value)),
    },
    Setting {
        variable: "PLUME_MAIL_FROM",
        default: Words("Plume Chat <hi@DOMAIN>, with MAILGUN_DOMAIN"),
        meaning: "Sender of the mail: Name <local@domain> or a bare address.",
        set: |draft, value| put(&mut draft.from, sender(value)),
    },
    Setting {
        variable: "PLUME_MAIL_EVERY",
        default: Value("4"),
        meaning: "Seconds for which the server saves up one mail.",
        set: |draft, value| put(&mut draft.budget.every, seconds(value, MAIL_EVERY_MIN..=DAY)),
    },
    Setting {
        variable: "PLUME_MAIL_BURST",
        default: Value("15"),
        meaning: "Mails that it saves up at most, and may send at once.",
        set: |draft, value| put(&mut draft.budget.burst, whole(value, 1..=MAIL_BURST_MAX)),
    },
];

const HELP_HEAD: &str = "\
Plume: a tiny in-memory chat server with a web page.

Usage: plume [--flag VALUE | --flag=VALUE]...
       plume --help | --version

Each setting is an environment variable and a flag; the flag wins. An empty value means the default.
Times are in seconds; a fraction such as 0.5 is fine.
";

/// Who starts with this and is not in the table is a slip of the pen.
const PREFIX: &str = "PLUME_";
const KEY: &str = "MAILGUN_APIKEY";
const API_BASE: &str = "MAILGUN_API_BASE";
/// An error is one line, whatever was written.
const SHOWN_CHARS_MAX: usize = 100;
/// The longest address (RFC 5321: 254) and a name before it.
const SENDER_BYTES_MAX: usize = 254 + SITE_NAME_BYTES_MAX;
const SECOND: Duration = Duration::from_secs(1);
/// A code by mail that is good for longer than a day is a password.
const DAY: Duration = Duration::from_hours(24);
/// Somebody who is gone for longer than an hour has left.
const LEAVE_GRACE_MAX: Duration = Duration::from_hours(1);
/// A ping needs a second for its answer before the silence is too long.
const PING_MAX: Duration = Duration::from_secs(SILENCE_MAX.as_secs() - 1);
/// One token for each microsecond, the unit that the buckets count in.
const RATE_MAX: u64 = 1_000_000;
/// Connections share 24 bits of slot numbers, 16,777,216, with those that are being turned away.
const CONNECTIONS_LIMIT: usize = 16_000_000;
/// A hundred mails a second are a provider's, not a chat's.
const MAIL_EVERY_MIN: Duration = Duration::from_millis(10);
/// More mails at once than this would be late before the worker has sent them.
const MAIL_BURST_MAX: u64 = 1_000;
const _: () = assert!(PING_MAX.as_secs() >= SECOND.as_secs());

#[cfg(test)]
mod tests {
    use super::*;

    type Vars<'a> = &'a [(&'a str, &'a str)];

    fn run(args: &[&str], vars: Vars) -> Result<Command, ConfigError> {
        let vars = vars.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        parse(args.iter().map(|&arg| arg.to_owned()), vars)
    }

    fn config(args: &[&str], vars: Vars) -> Config {
        match run(args, vars) {
            Ok(Command::Run(config)) => *config,
            other => panic!("{args:?} {vars:?}: {other:?}"),
        }
    }

    /// What a row must come to.
    enum Want<'a> {
        /// A configuration of which this is true.
        Good(fn(&Config) -> bool),
        /// This line.
        Bad(&'a str),
    }
    use Want::{Bad, Good};

    fn check(args: &[&str], vars: Vars, want: &Want) {
        match (run(args, vars), want) {
            (Ok(Command::Run(config)), Good(holds)) => {
                assert!(holds(&config), "{args:?} {vars:?}: {config:?}");
            }
            (Err(error), Bad(line)) => assert_eq!(error.to_string(), *line, "{args:?} {vars:?}"),
            (other, _) => panic!("{args:?} {vars:?}: {other:?}"),
        }
    }

    #[test]
    fn nothing_given_means_the_defaults() {
        let config = config(&[], &[("PATH", "/bin"), ("MAILGUN_OTHER", "x"), ("PLUME", "x")]);
        assert_eq!(config.settings, Settings::default());
        assert_eq!(config.listen.to_string(), "127.0.0.1:4884");
        assert_eq!((config.connections_max, config.static_dir, config.log_level), (None, None, Level::Info));
        assert!(matches!(config.mail, MailSettings::Print));
    }

    #[test]
    fn production_posts_mail_and_keeps_the_key_to_itself() {
        let vars = [("ENV", "production"), (KEY, " key-SECRET\n"), ("MAILGUN_DOMAIN", "Mail.example.org")];
        let config = config(&["--mail-every", "0.5", "--name=Our place"], &vars);
        let budget = MailBudget { every: Duration::from_millis(500), burst: 15 };
        assert_eq!(config.settings.mail_budget, Some(budget));
        assert!(!format!("{config:?}").contains("SECRET"));
        let MailSettings::Post(mailgun) = config.mail else { panic!("no mail in production") };
        assert_eq!(mailgun.api_key, "key-SECRET");
        assert_eq!(mailgun.domain, "mail.example.org");
        assert_eq!(mailgun.api_base, "https://api.mailgun.net");
        assert_eq!(mailgun.from, "Plume Chat <hi@mail.example.org>");
        assert_eq!(mailgun.site_name, "Our place");
    }

    #[test]
    fn flags_and_variables() {
        for (args, vars, want) in [
            (&["--history", "7"][..], &[("PLUME_HISTORY", "8")][..], Good(|c| c.settings.history_lines == 7)),
            (&["--history="], &[("PLUME_HISTORY", "8")], Good(|c| c.settings.history_lines == 50)),
            (&["--history", ""], &[], Good(|c| c.settings.history_lines == 50)),
            (&[], &[("PLUME_HISTORY", "")], Good(|c| c.settings.history_lines == 50)),
            (&["--name=a=b"], &[], Good(|c| c.settings.name == "a=b")),
            (&["--name=--x"], &[], Good(|c| c.settings.name == "--x")),
            (&["--max-connections=5"], &[], Good(|c| c.connections_max == Some(5))),
            (&["--max-connections=5"], &[], Good(|c| c.settings.connections_max == 5)),
            (&["--static", "a b"], &[], Good(|c| c.static_dir == Some(PathBuf::from("a b")))),
            (&["--env=development"], &[("ENV", "production")], Good(|c| c.settings.mail_budget.is_none())),
            (&["--listne=1"], &[], Bad("--listne: unknown flag; see --help")),
            (&["-x\n"], &[], Bad("-x\\n: unknown flag; see --help")),
            (&["--"], &[], Bad("--: unknown flag; see --help")),
            (&["--log", "info", "SECRET"], &[], Bad(STRAY)),
            (&["--listen"], &[], Bad("--listen: needs a value, as in --listen=VALUE")),
            (&["--listen", "--log=info"], &[], Bad("--listen: needs a value, as in --listen=VALUE")),
            (&["--log=info", "--log", "info"], &[], Bad("--log: given twice")),
            (&[], &[("PLUME_LISTNE", "1")], Bad("PLUME_LISTNE: unknown variable; see --help")),
            (&[], &[("ENV", "prod")], Bad("ENV is \"prod\", but must be production or development")),
            (&["--env=x\ny"], &[], Bad("--env is \"x\\ny\", but must be production or development")),
            (
                &["--mailgun-apikey=SECRET Ä"],
                &[],
                Bad("--mailgun-apikey must be a key of visible ASCII characters"),
            ),
            (&["--mailgun-api-base=https://api:SECRET@host"], &[], Bad(WRONG_BASE)),
            (&["--env=production"], &[(KEY, "")], Bad(KEY_MISSING)),
        ] {
            check(args, vars, &want);
        }
    }

    const STRAY: &str = "argument 3 is neither a flag nor the value of one; see --help";
    const WRONG_BASE: &str =
        "--mailgun-api-base must be an address such as https://api.mailgun.net, without user or query";
    const KEY_MISSING: &str = "MAILGUN_APIKEY is not set, but production sends mail and needs it; see --help";

    #[test]
    fn numbers_and_their_bounds() {
        for (variable, good, bad) in [
            ("PLUME_HISTORY", &["0", "10000"][..], &["-1", "10001", "x", "1.5", " 1"][..]),
            (
                "PLUME_BACKLOG",
                &["1578304", "4MiB", "2048 KiB", "1024 MiB"],
                &["1 MiB", "1025 MiB", "4 GB", "MiB"],
            ),
            (
                "PLUME_CODE_TTL",
                &["1", "86400", "1.5"],
                &["0", "0.9", "86400.1", "600s", "1e3", "inf", "NaN", "."],
            ),
            ("PLUME_LEAVE_GRACE", &["0", "3600", "0.25"], &["3601", "-0", "-1"]),
            ("PLUME_PING", &["1", "59"], &["0", "60"]),
            ("PLUME_RATE", &["1", "1000000"], &["0", "1000001"]),
            ("PLUME_MAIL_EVERY", &["0.01", "86400"], &["0", "86401"]),
            ("PLUME_MAIL_BURST", &["1", "1000"], &["0", "1001"]),
            ("PLUME_MAX_CONNECTIONS", &["1", "16000000"], &["0", "16000001", "99999999999999999999999"]),
        ] {
            for value in good {
                check(&[], &[(variable, value)], &Good(|_| true));
            }
            for value in bad {
                let error = run(&[], &[(variable, value)]).expect_err(value).to_string();
                assert!(error.starts_with(&format!("{variable} is \"{value}\", but must be a ")), "{error}");
            }
        }
        check(&["--code-ttl=600s"], &[], &Bad(CODE_TTL));
        check(&["--backlog=2 MiB"], &[], &Good(|c| c.settings.backlog_bytes == 2 << 20));
        check(&["--leave-grace=0.25"], &[], &Good(|c| c.settings.leave_grace == Duration::from_millis(250)));
    }

    const CODE_TTL: &str = "--code-ttl is \"600s\", but must be a number of seconds from 1 to 86400";

    /// What `value` for `variable` becomes, or `None` where it is not allowed.
    fn read(variable: &str, value: &str) -> Option<String> {
        let vars = [("ENV", "production"), (KEY, "key"), (variable, value)];
        let Ok(Command::Run(config)) = run(&[], &vars) else { return None };
        let MailSettings::Post(mailgun) = config.mail else { panic!("no mail in production") };
        Some(match variable {
            "PLUME_LISTEN" => config.listen.to_string(),
            "PLUME_NAME" => config.settings.name,
            "PLUME_ORIGINS" => config.settings.origins.join(" "),
            "PLUME_MAIL_FROM" => mailgun.from,
            "MAILGUN_DOMAIN" => mailgun.domain,
            API_BASE => mailgun.api_base,
            KEY => mailgun.api_key,
            other => panic!("{other} has no place here"),
        })
    }

    #[test]
    fn words_and_addresses() {
        let long_name = "n".repeat(SITE_NAME_BYTES_MAX + 1);
        for (variable, value, want) in [
            ("PLUME_LISTEN", "[::1]:4884", Some("[::1]:4884")),
            ("PLUME_LISTEN", "0.0.0.0:0", Some("0.0.0.0:0")),
            ("PLUME_LISTEN", "localhost:80", Some("127.0.0.1:80")),
            ("PLUME_LISTEN", "localhost", None),
            ("PLUME_LISTEN", "4884", None),
            ("PLUME_LISTEN", "example.org:80", None),
            ("PLUME_NAME", " Our place ", Some("Our place")),
            ("PLUME_NAME", "  ", None),
            ("PLUME_NAME", "a\nb", None),
            ("PLUME_NAME", &long_name, None),
            ("MAILGUN_DOMAIN", "MG.example.org", Some("mg.example.org")),
            ("MAILGUN_DOMAIN", "a/b", None),
            ("MAILGUN_DOMAIN", "-a.org", None),
            ("MAILGUN_DOMAIN", "a..b", None),
            (API_BASE, "https://api.eu.mailgun.net/", Some("https://api.eu.mailgun.net")),
            (API_BASE, "http://127.0.0.1:8025/Fake", Some("http://127.0.0.1:8025/Fake")),
            (API_BASE, "https://api:key@host", None),
            (API_BASE, "https://host/?a", None),
            (API_BASE, "ftp://host", None),
            (API_BASE, "api.mailgun.net", None),
            (KEY, " key-1\n", Some("key-1")),
            (KEY, "key 1", None),
            ("PLUME_MAIL_FROM", "hi@example.org", Some("hi@example.org")),
            ("PLUME_MAIL_FROM", "Plume Chat <hi@example.org>", Some("Plume Chat <hi@example.org>")),
            ("PLUME_MAIL_FROM", "Plume <hi@example.org", None),
            ("PLUME_MAIL_FROM", "Plume", None),
            ("PLUME_MAIL_FROM", "Plume <hi@example.org>\r\nBcc: x@example.org", None),
            ("PLUME_MAIL_FROM", "Plume\r\nBcc: x <hi@example.org>", None),
            ("PLUME_MAIL_FROM", "a <b> <hi@example.org>", None),
            ("PLUME_ORIGINS", "https://Plume.CHAT", Some("https://plume.chat")),
            (
                "PLUME_ORIGINS",
                "HTTPS://a.b:443, http://c:80,,http://d:81",
                Some("https://a.b http://c http://d:81"),
            ),
            ("PLUME_ORIGINS", "http://[0:0::1]:81,http://[::1]", Some("http://[::1]:81 http://[::1]")),
            ("PLUME_ORIGINS", "https://a/", None),
            ("PLUME_ORIGINS", "https://a?b", None),
            ("PLUME_ORIGINS", "https://u@a", None),
            ("PLUME_ORIGINS", "https://a:0", None),
            ("PLUME_ORIGINS", "https://a:65536", None),
            ("PLUME_ORIGINS", "https://a:+1", None),
            ("PLUME_ORIGINS", "https://", None),
            ("PLUME_ORIGINS", "wss://a", None),
            ("PLUME_ORIGINS", "null", None),
            ("PLUME_ORIGINS", "*", None),
        ] {
            assert_eq!(read(variable, value).as_deref(), want, "{variable}={value}");
        }
    }

    #[test]
    fn help_tells_every_setting_and_version_the_version() {
        for args in [&["--help"][..], &["--nonsense", "-h"]] {
            let Ok(Command::Print(text)) = run(args, &[("PLUME_NONSENSE", "1")]) else { panic!("{args:?}") };
            for setting in SETTINGS {
                assert!(text.contains(&format!("  {}, {}\n", setting.variable, setting.flag())), "{text}");
            }
            assert!(
                text.contains("--mailgun-apikey\n") && text.lines().all(|line| line.len() <= 100),
                "{text}"
            );
        }
        let Ok(Command::Print(text)) = run(&["--version"], &[]) else { panic!("no version") };
        assert_eq!(text, format!("plume {}\n", env!("CARGO_PKG_VERSION")));
    }
}
