//! What the start line and `plume --check` say of a configuration: counts and limits, and nothing secret.

use super::{Config, MailSettings, RedisPlace};
use std::fmt::{self, Display};

/// A configuration in one line of `key=value` pairs.
#[derive(Debug)]
pub struct Summary<'a>(pub(super) &'a Config);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(config) = self;
        let settings = &config.settings;
        let (mode, mail) = match config.mail {
            MailSettings::Print => ("development", "printed"),
            MailSettings::Mailgun(_) => ("production", "mailgun"),
            MailSettings::Smtp(_) => ("production", "smtp"),
        };
        let allow = match &settings.door.allow {
            Some(allow) if allow.is_empty() => "invited".to_owned(),
            allow => allow.as_ref().map_or(0, Vec::len).to_string(),
        };
        let page = if config.static_dir.is_some() { "folder" } else { "built-in" };
        write!(
            f,
            "mode={mode} mail={mail} page={page} connections={} per_address={} rate={} history={} \
             trusted_proxies={} origins={} moderators={} allow={allow} deny={} bots={} data={} redis={} \
             metrics={}",
            settings.connections_max,
            settings.connections_per_address,
            settings.messages_per_second,
            settings.history_lines,
            settings.trusted_proxies.len(),
            settings.origins.len(),
            settings.door.moderators.len(),
            settings.door.deny.len(),
            settings.bots.len(),
            if config.data_dir.is_some() { "folder" } else { "off" },
            match config.redis.as_ref().map(|redis| &redis.place) {
                None => "off",
                Some(RedisPlace::Tcp { .. }) => "tcp",
                Some(RedisPlace::Unix(_)) => "unix",
            },
            config.metrics.map_or_else(|| "off".to_owned(), |address| address.to_string()),
        )
    }
}
