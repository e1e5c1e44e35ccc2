//! Starts the server: settings, file limit, listening socket, event loop. The only reader of arguments, environment
//! and system randomness; decides nothing else. Exit code 2 is for errors that the operator can fix.

#![forbid(unsafe_code)]

use plume::base::time::Moment;
use plume::config::{self, Command, Config};
use plume::event_loop::Listening;
use plume::http::assets::Assets;
use plume::http::site::Site;
use plume::limits::FILES_RESERVED;
use plume::log_event::LogEvent;
use plume::logger::Logger;
use plume::mail::Mailer;
use plume::server::Server;
use plume::settings::Settings;
use plume::static_dir;
use rand::TryRng;
use rand::rngs::SysRng;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let vars = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    let result = match config::parse(args, vars, config::files::read) {
        Ok(Command::Run(config)) => serve(*config),
        Ok(Command::Print(text)) => {
            io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is closed, there is nowhere to report the error.
            let _ = writeln!(io::stderr(), "plume: {error}");
            ExitCode::from(EXIT_MENDABLE)
        }
    }
}

/// Serves until a signal requests shutdown. The error is one line for the operator.
fn serve(config: Config) -> Result<(), String> {
    let connections_max = connections_max(config.connections_max)?;
    let settings = Settings { connections_max, ..config.settings };
    let assets = match &config.static_dir {
        None => Assets::built_in(&settings.name),
        Some(dir) => static_dir::read(dir)
            .map_err(|error| error.to_string())
            .and_then(|files| Assets::from_files(&settings.name, files).map_err(|error| error.to_string()))
            .map_err(|error| format!("cannot serve the folder {}: {error}", dir.display()))?,
    };
    let cannot_listen = |error: io::Error| format!("cannot listen on {}: {error}", config.listen);
    let listening = Listening::bind(config.listen).map_err(cannot_listen)?;
    let address = listening.address().map_err(cannot_listen)?;

    let wide_trusts = settings.wide_trusts();
    let site = Site::new(assets, settings.origins.clone());
    let server = Server::new(settings, site, seed()?);
    let (waker, start) = listening.split();
    // If waking fails, the loop collects the results in its next turn.
    let wake = move || drop(waker.wake());
    let mailer =
        Mailer::start(config.mail, wake).map_err(|error| format!("cannot start the mailer: {error}"))?;
    let mut logger = Logger::new(config.log_level);
    logger.line(&format!("listening on http://{address}"));
    if wide_trusts > 0 {
        logger.note(Moment::from_ms(0), &LogEvent::WideTrust { networks: wide_trusts });
    }
    // Fails without systemd, which is fine.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    start(server, mailer, logger).run().map_err(|error| format!("cannot poll: {error}"))
}

/// Raises the file limit as far as allowed, and returns the number of connections that fit into it.
fn connections_max(chosen: Option<usize>) -> Result<usize, String> {
    let limit = getrlimit(Resource::Nofile);
    // If it cannot be raised, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let files = getrlimit(Resource::Nofile).current.map_or(FILES_MAX, |files| files.min(FILES_MAX));
    let fit = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(FILES_RESERVED).max(1);
    match chosen {
        Some(chosen) if chosen > fit => Err(format!(
            "PLUME_MAX_CONNECTIONS is {chosen}, but the limit of {files} open files leaves room for {fit}"
        )),
        Some(chosen) => Ok(chosen),
        None => Ok(fit),
    }
}

/// The random seed of this run.
fn seed() -> Result<[u8; 32], String> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).map_err(|error| format!("the system has no randomness: {error}"))?;
    Ok(seed)
}

const EXIT_MENDABLE: u8 = 2;
/// Connection ids have room for 2 to the power of 24 slots.
const FILES_MAX: u64 = 1 << 24;
