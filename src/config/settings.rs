//! The one table that parses and that `--help` prints.

use super::bots::bots;
use super::mail::{DOMAIN, FROM, KEY, KEY_FILE, SMTP, SMTP_CA, SMTP_FILE};
use super::values::{
    Checked, allow, api_base, api_key, deny, domain, level, listen, metrics_address, moderators, networks,
    origins, production, put, seconds, site_name, size, topic, whole,
};
use super::{Draft, redis_url, sender, smtp_url};
use crate::limits::{
    BACKLOG_BYTES_MAX, BACKLOG_BYTES_MIN, HISTORY_LINES_MAX, NAME_TTL_MAX, NAME_TTL_MIN, SILENCE_MAX,
};
use Fallback::{Value, Words};
use std::path::PathBuf;
use std::time::Duration;

/// One setting: a variable, a flag of the same meaning, and where its value goes.
pub(super) struct Setting {
    pub(super) variable: &'static str,
    pub(super) default: Fallback,
    pub(super) meaning: &'static str,
    pub(super) set: fn(&mut Draft, &str) -> Checked<()>,
}

impl Setting {
    pub(super) fn flag(&self) -> String {
        let name = self.variable.strip_prefix(PREFIX).unwrap_or(self.variable);
        format!("--{}", name.to_ascii_lowercase().replace('_', "-"))
    }
}

/// What holds where nothing is given.
#[derive(Clone, Copy)]
pub(super) enum Fallback {
    /// This value, read like a given one.
    Value(&'static str),
    /// No value; the words say what that means.
    Words(&'static str),
}
/// Every setting, in the order in which `--help` tells them.
pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        variable: LISTEN,
        default: Value("127.0.0.1:4884"),
        meaning: "IP address and port (0: a free one), or unix:/path of a socket for a proxy on this machine.",
        set: |draft, value| put(&mut draft.config.listen, listen(value)),
    },
    Setting {
        variable: METRICS,
        default: Words("none; metrics are off"),
        meaning: "IP address and port of metrics for Prometheus, at /metrics, and of /healthz.",
        set: |draft, value| put(&mut draft.config.metrics, metrics_address(value).map(Some)),
    },
    Setting {
        variable: "PLUME_NAME",
        default: Value("Plume.chat"),
        meaning: "Name of the site: on the page, in the greeting and in the email.",
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
        variable: DATA,
        default: Words("none; nothing is written to disk"),
        meaning: "Folder in which names, sessions and rules outlive the process; no line is ever in it.",
        set: |draft, value| put(&mut draft.config.data_dir, Ok(Some(PathBuf::from(value)))),
    },
    Setting {
        variable: REDIS,
        default: Words("none; this process alone has the room"),
        meaning: "Redis that shares the room: redis://[user:password@]host[:6379][/KEY] or unix:/path[?key=KEY].",
        set: |draft, value| put(&mut draft.redis, redis_url::parse(value).map(Some)),
    },
    Setting {
        variable: REDIS_FILE,
        default: Words("none"),
        meaning: "File that holds what PLUME_REDIS would: better than a flag, which all users can read.",
        set: |draft, value| put(&mut draft.redis_file, Ok(Some(PathBuf::from(value)))),
    },
    Setting {
        variable: "PLUME_HISTORY",
        default: Value("50"),
        meaning: "Earlier lines shown to a new member; 0 shows none.",
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
        meaning: "Seconds until the room sees that a user whose connection was lost has left; 0: at once.",
        set: |draft, value| {
            put(&mut draft.config.settings.leave_grace, seconds(value, Duration::ZERO..=LEAVE_GRACE_MAX))
        },
    },
    Setting {
        variable: "PLUME_NAME_TTL",
        default: Words("86400, a day; 15552000, 180 days, with PLUME_DATA and without PLUME_REDIS"),
        meaning: "Seconds that a name stays its owner's after the last connection.",
        set: |draft, value| {
            put(&mut draft.config.settings.name_ttl, seconds(value, NAME_TTL_MIN..=NAME_TTL_MAX).map(Some))
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
        meaning: "Lines a second from one user, and the burst; an address has eight times as many.",
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
        meaning: "Proxies whose X-Forwarded-For is believed: addresses or networks of proxies alone, by commas.",
        set: |draft, value| put(&mut draft.config.settings.trusted_proxies, networks(value)),
    },
    Setting {
        variable: MODERATORS,
        default: Words("none"),
        meaning: "Email addresses of the moderators, separated by commas. They are always admitted.",
        set: |draft, value| put(&mut draft.config.settings.door.moderators, moderators(value)),
    },
    Setting {
        variable: ALLOW,
        default: Words("everybody"),
        meaning: "Who else may come in: addresses, @example.org, @.example.org (and below), or invited.",
        set: |draft, value| put(&mut draft.config.settings.door.allow, allow(value).map(Some)),
    },
    Setting {
        variable: DENY,
        default: Words("none"),
        meaning: "Who may not: addresses, @example.org or @.example.org; it wins over PLUME_ALLOW.",
        set: |draft, value| put(&mut draft.config.settings.door.deny, deny(value)),
    },
    Setting {
        variable: "PLUME_TOPIC",
        default: Words("none"),
        meaning: "Topic of the room at start; moderators change it with /topic.",
        set: |draft, value| put(&mut draft.config.settings.topic, topic(value).map(Some)),
    },
    Setting {
        variable: BOTS,
        default: Words("none; there is no /lines"),
        meaning: "Bots: entries NAME:RIGHTS:SHA256 as plume --new-bot NAME prints them, separated by commas.",
        set: |draft, value| put(&mut draft.config.settings.bots, bots(value)),
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
        meaning: "production emails login codes, by SMTP or Mailgun; development prints them on stderr.",
        set: |draft, value| put(&mut draft.production, production(value)),
    },
    Setting {
        variable: SMTP,
        default: Words("none"),
        meaning: "SMTP server: smtp://[user:password@]host[:25][?tls=required|no] or smtps://...[:465].",
        set: |draft, value| put(&mut draft.mail.smtp, smtp_url::parse(value).map(Some)),
    },
    Setting {
        variable: SMTP_FILE,
        default: Words("none"),
        meaning: "File that holds what PLUME_SMTP would: better than a flag, which all users can read.",
        set: |draft, value| put(&mut draft.mail.smtp_file, Ok(Some(PathBuf::from(value)))),
    },
    Setting {
        variable: SMTP_CA,
        default: Words("the public authorities"),
        meaning: "PEM file with the certificates of the only authorities that may vouch for that server.",
        set: |draft, value| put(&mut draft.mail.smtp_ca, Ok(Some(PathBuf::from(value)))),
    },
    Setting {
        variable: KEY,
        default: Words("none"),
        meaning: "Key for Mailgun. Better a variable than a flag: all users of a machine can read flags.",
        set: |draft, value| put(&mut draft.mail.api_key, api_key(value).map(Some)),
    },
    Setting {
        variable: KEY_FILE,
        default: Words("none"),
        meaning: "File that holds this key instead.",
        set: |draft, value| put(&mut draft.mail.api_key_file, Ok(Some(PathBuf::from(value)))),
    },
    Setting {
        variable: DOMAIN,
        default: Words("none; Mailgun needs it"),
        meaning: "Domain that email is sent for.",
        set: |draft, value| put(&mut draft.mail.domain, domain(value).map(Some)),
    },
    Setting {
        variable: API_BASE,
        default: Value("https://api.mailgun.net"),
        meaning: "Where Mailgun is; https://api.eu.mailgun.net for domains in the EU.",
        set: |draft, value| put(&mut draft.mail.api_base, api_base(value)),
    },
    Setting {
        variable: FROM,
        default: Words("Plume Chat <hi@DOMAIN> with Mailgun; SMTP needs it"),
        meaning: "Sender of the email: Name <local@domain> or a bare address.",
        set: |draft, value| put(&mut draft.mail.from, sender::parse(value).map(Some)),
    },
    Setting {
        variable: "PLUME_MAIL_EVERY",
        default: Value("4"),
        meaning: "Seconds in which the server may send one email.",
        set: |draft, value| put(&mut draft.budget.every, seconds(value, MAIL_EVERY_MIN..=DAY)),
    },
    Setting {
        variable: "PLUME_MAIL_BURST",
        default: Value("15"),
        meaning: "Emails that it may send at once after a pause.",
        set: |draft, value| put(&mut draft.budget.burst, whole(value, 1..=MAIL_BURST_MAX)),
    },
];

pub(super) const HELP_HEAD: &str = "\
Plume: a tiny in-memory chat server with a web page.

Usage: plume [SETTING]...                 serve
       plume --check [SETTING]...         check the settings and say what would run
       plume doctor [SITE] [SETTING]...   check settings, email and the site from outside
       plume health [SITE] [SETTING]...   ask a running server whether it is well: 0 or 1
       plume --new-bot NAME               print a token for a bot, and its entry for PLUME_BOTS
       plume --forget ADDRESS             remove a person from PLUME_DATA, while no server runs
       plume --help | --man | --version

SETTING is --flag VALUE or --flag=VALUE from the list below. SITE is the address that people open,
such as https://chat.example; without it, what PLUME_LISTEN says. Exit code 2 of plume and of
plume --check means a wrong setting, which trying again does not heal.

plume doctor also takes:
  --wait SECONDS      leave a connection silent, to find idle time-outs of proxies; 70 is good
  --mail-to ADDRESS   send an email there
  --ca FILE           trust the authority in this PEM file instead of the public ones
It prints lines with ok, warn or FAIL. Its exit code is 0, 1 after a warning, or 2 after a failure.

Each setting is an environment variable and a flag; the flag wins. An empty value means the default.
Times are in seconds; a fraction such as 0.5 is fine.
";

/// The manual page up to the settings.
pub(super) const MAN_HEAD: &str = r".SH NAME
plume \- tiny in\-memory chat server with a web page
.SH SYNOPSIS
.nf
\fBplume\fR [\fISETTING\fR]...
\fBplume \-\-check\fR [\fISETTING\fR]...
\fBplume doctor\fR [\fISITE\fR] [\fISETTING\fR]... [\fB\-\-wait\fR \fISECONDS\fR] [\fB\-\-mail\-to\fR \fIADDRESS\fR] [\fB\-\-ca\fR \fIFILE\fR]
\fBplume health\fR [\fISITE\fR] [\fISETTING\fR]...
\fBplume \-\-new\-bot\fR \fINAME\fR
\fBplume \-\-forget\fR \fIADDRESS\fR [\fISETTING\fR]...
\fBplume \-\-help\fR | \fB\-\-man\fR | \fB\-\-version\fR
.fi
.SH DESCRIPTION
Without a command, Plume serves a chat: a page, and a WebSocket that the page talks on.
Nothing is written to disk, unless PLUME_DATA names a folder.
A proxy with TLS belongs in front of it; examples for nginx, Caddy and HAProxy are in
.IR /usr/share/doc/plume/examples .
.PP
\fB\-\-check\fR checks the settings and says what would run.
.PP
\fBdoctor\fR checks the settings, the email and the site from outside, and prints lines with ok, warn or FAIL and what to do.
\fISITE\fR is the address that people open, such as https://chat.example; without it, what PLUME_LISTEN says.
\fB\-\-wait\fR leaves a connection silent, to find idle time\-outs of proxies; \fB\-\-mail\-to\fR sends an email;
\fB\-\-ca\fR trusts the authority in a PEM file instead of the public ones.
.PP
\fBhealth\fR asks a running server whether it is well.
.PP
\fB\-\-new\-bot\fR prints a token for a bot, and its entry for PLUME_BOTS.
.PP
\fB\-\-forget\fR removes the names, sessions, mutes, invitations and reports of the person with this email address from the folder
PLUME_DATA, while no server uses it, and says how many they were. A ban stays, without a name.
.SH SETTINGS
Each is an environment variable and a flag, \fB\-\-flag\fR \fIVALUE\fR or \fB\-\-flag\fR=\fIVALUE\fR; the flag wins.
An empty value means the default.
Times are in seconds; a fraction such as 0.5 is fine.
";
/// The manual page behind the settings.
pub(super) const MAN_TAIL: &str = r".SH EXIT STATUS
.TP
.B 0
It ended as asked. \fBdoctor\fR: nothing is wrong.
.TP
.B 1
Something failed that may be better at the next try, such as an address in use. \fBhealth\fR: the server is not well. \fBdoctor\fR: there was a warning.
.TP
.B 2
A setting is wrong. \fBdoctor\fR: there was a failure.
.SH SIGNALS
.TP
.B SIGTERM, SIGINT
Everybody is notified, and it ends.
.TP
.B SIGUSR2
It moves to the program that now is in its place, with all connections; with FDSTORE=1, to the process that systemd starts next.
.SH FILES
.TP
.I /etc/plume/env
Settings of the service, one a line: NAME=VALUE.
.TP
.I /var/lib/plume
The folder for PLUME_DATA that the service may write: key, the secret of the hashes, and rules.
.SH SEE ALSO
.BR systemctl (1)
";

/// Who starts with this and is not in the table is a slip of the pen.
pub(super) const PREFIX: &str = "PLUME_";
pub(super) const LISTEN: &str = "PLUME_LISTEN";
pub(super) const METRICS: &str = "PLUME_METRICS";
pub(super) const DATA: &str = "PLUME_DATA";
pub(super) const REDIS: &str = "PLUME_REDIS";
pub(super) const REDIS_FILE: &str = "PLUME_REDIS_FILE";
pub(super) const MODERATORS: &str = "PLUME_MODERATORS";
pub(super) const ALLOW: &str = "PLUME_ALLOW";
pub(super) const DENY: &str = "PLUME_DENY";
pub(super) const BOTS: &str = "PLUME_BOTS";
pub(super) const API_BASE: &str = "MAILGUN_API_BASE";
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// A code by mail that is good for longer than a day is a password.
pub(super) const DAY: Duration = Duration::from_hours(24);
/// A user who is gone for longer than an hour has left.
pub(super) const LEAVE_GRACE_MAX: Duration = Duration::from_hours(1);
/// A ping needs a second for its answer before the silence is too long.
pub(super) const PING_MAX: Duration = Duration::from_secs(SILENCE_MAX.as_secs() - 1);
/// One token for each microsecond, the unit that the buckets count in.
pub(super) const RATE_MAX: u64 = 1_000_000;
/// Connections share 24 bits of slot numbers, 16,777,216, with those that are being turned away.
pub(super) const CONNECTIONS_LIMIT: usize = 16_000_000;
/// A hundred mails a second are a provider's, not a chat's.
pub(super) const MAIL_EVERY_MIN: Duration = Duration::from_millis(10);
/// More mails at once than this would be late before the worker has sent them.
pub(super) const MAIL_BURST_MAX: u64 = 1_000;
const _: () = assert!(PING_MAX.as_secs() >= SECOND.as_secs());
