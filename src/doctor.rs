//! `plume doctor` and `plume health`: checks of the settings, the email and the site, as a visitor's browser
//! would see it. Owns its connections; shares nothing with a running server.
//!
//! Each check is one line with `ok`, `warn` or `FAIL` and, where something is wrong, what to do. No line
//! contains a secret: keys are sent and never shown, and an address with a password is rejected before it
//! gets here.
//!
//! Parts: `connection` (sockets, TLS), `http` (requests), `page` (the page and what it loads), `websocket`
//! (the chat's connection), `forwarding` (whose address counts), `email` (the provider), `engine` (Redis, if
//! the room is shared), `report` (lines and exit code).

mod connection;
mod email;
mod engine;
mod forwarding;
mod http;
mod page;
mod report;
mod tls;
mod websocket;

pub use report::Verdict;

use crate::config::{Config, Doctor, Health, Listen, Url};
use crate::limits::CONNECTIONS_FEW;
use connection::{Connector, Place};
use report::Report;
use std::io::Write;
use std::time::Duration;

/// Checks everything in order, and writes a line for each check to `out`. `config` is complete, as if it were
/// to run, or says why it cannot.
pub fn run(config: &Result<Config, String>, order: &Doctor, out: &mut dyn Write) -> Verdict {
    let mut report = Report::new(out);
    if order.has_settings || order.url.is_none() || order.mail_to.is_some() {
        check_settings(config, &mut report);
        if let Ok(config) = config {
            email::check(&config.mail, order.mail_to.as_deref(), &mut report);
            if let Some(redis) = &config.redis {
                engine::check(redis, &mut report);
            }
        }
    } else {
        report.ok(
            "settings",
            "none are given here, and those of the service are not checked: to check them, start the doctor with \
             its environment (systemd-run --quiet --pipe -p EnvironmentFile=/etc/plume/env -E ENV=production plume \
             doctor)",
        );
    }
    check_site(config.as_ref().ok(), order, &mut report);
    report.verdict()
}

/// Asks a server for `/healthz`.
///
/// # Errors
/// If it does not answer that it is well: one line.
pub fn health(target: &Health) -> Result<(), String> {
    let (place, url) = match target {
        Health::Url(url) => (Place::of(url), url.clone()),
        Health::Unix(path) => {
            (Place::Unix(path.clone()), Url::parse("http://localhost").map_err(|_| "no address")?)
        }
    };
    let tls = url.is_tls.then(|| tls::trusting(None)).transpose()?;
    let connector = Connector::new(place, tls, HEALTH_TIMEOUT).map_err(|error| error.to_string())?;
    let answer =
        http::get(&connector, &url, &format!("{}healthz", url.path)).map_err(|error| error.to_string())?;
    match (answer.status, answer.body.as_slice()) {
        (200, b"ok") => Ok(()),
        (status, _) => Err(format!("answered {status} instead of 200 and ok")),
    }
}

fn check_settings(config: &Result<Config, String>, report: &mut Report<'_>) {
    let config = match config {
        Ok(config) => config,
        Err(error) => return report.fail("settings", error),
    };
    report.ok("settings", &config.summary().to_string());
    match config.settings.wide_trusts() {
        0 => {}
        networks => report.warn(
            "settings",
            &format!(
                "{networks} trusted networks are so wide that clients may be in them and claim any address: put \
                 addresses of proxies into PLUME_TRUSTED_PROXIES"
            ),
        ),
    }
    if config.has_open_metrics() {
        report.warn(
            "metrics",
            "PLUME_METRICS is no loopback address: let a firewall pass only what reads the metrics",
        );
    }
    let connections = config.settings.connections_max;
    if connections < CONNECTIONS_FEW {
        report.warn(
            "files",
            &format!("room for {connections} connections: raise the limit (LimitNOFILE=65536, ulimit -n)"),
        );
    } else {
        report.ok("files", &format!("room for {connections} connections"));
    }
}

/// Checks the site, or without an address what the settings listen on.
fn check_site(config: Option<&Config>, order: &Doctor, report: &mut Report<'_>) {
    let (place, url) = match (&order.url, config.map(|config| &config.listen)) {
        (Some(url), _) => (Place::of(url), url.clone()),
        (None, Some(Listen::Tcp(address))) if address.port() > 0 => {
            let url = Url::of(*address);
            (Place::of(&url), url)
        }
        (None, Some(Listen::Unix(path))) => {
            let Ok(url) = Url::parse("http://localhost") else { return };
            (Place::Unix(path.clone()), url)
        }
        (None, Some(Listen::Tcp(_)) | None) => {
            return report
                .warn("site", "not checked: give its address, such as plume doctor https://chat.example");
        }
    };
    let authority = order.authority.as_deref();
    if authority.is_some() && !url.is_tls {
        report.warn("tls", "--ca is not used: it is for an address with https://");
    }
    let tls = match url.is_tls.then(|| tls::trusting(authority)).transpose() {
        Ok(tls) => tls,
        Err(error) => return report.fail("tls", &error),
    };
    let connector = match Connector::new(place, tls, STEP_TIMEOUT) {
        Ok(connector) => connector,
        Err(error) => return report.fail("connect", &error.to_string()),
    };
    let Some(from) = connection::check(&connector, &url, authority, report) else { return };
    if order.url.is_none() {
        report.warn(
            "site",
            "checked without a proxy and TLS: give its address, such as plume doctor https://chat.example",
        );
    }
    if !page::check(&connector, &url, report) {
        return;
    }
    let is_open = websocket::check(&connector, &url, order.wait, report);
    if is_open && order.url.is_some() {
        let trusts = config.map_or(&[][..], |config| &config.settings.trusted_proxies);
        forwarding::check(&connector, &url, from.is_proxy(trusts), report);
    }
}

/// Time for one request, from the connection to the last byte: longer than a visitor waits.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a health probe, which is started again soon.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
