//! Starts the server: settings, file limit, listening socket, event loop. The only reader of arguments,
//! environment and system randomness; decides nothing else. Exit code 2 is for wrong settings, which no
//! restart heals; 1 for everything else, such as an address that another process still holds.

#![forbid(unsafe_code)]

use listenfd::ListenFd;
use plume::config::{self, Command, Config, ConfigError, Doctor, Forget, MailSettings};
use plume::data_dir::{DataDir, DataError, Keeper};
use plume::doctor::{self, Verdict};
use plume::event_loop::clock::now;
use plume::event_loop::{Arrival, Ending, EventLoop, Listening, MovedState, Passed};
use plume::handover::{self, CHECK, Door, EXEC, FDSTORE, HANDOVER, PARCEL, Successor};
use plume::http::assets::{Assets, PageValues};
use plume::http::site::Site;
use plume::limits::{ENGINE_FILES, FILES_RESERVED, METRICS_FILES};
use plume::log_event::{LogEvent, MoveError};
use plume::logger::Logger;
use plume::mail::Mailer;
use plume::server::Server;
use plume::service_manager::ServiceManager;
use plume::static_dir;
use rand::TryRng;
use rand::rngs::SysRng;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

fn main() -> ExitCode {
    let (args, vars) = (std::env::args_os().skip(1), std::env::vars_os());
    let result = match config::parse(args, vars, config::files::read) {
        Ok(Command::Run(config)) => serve(*config),
        Ok(Command::Print(text)) => print(&text),
        Ok(Command::NewBot(name)) => random().and_then(|secret| print(&config::new_bot(&name, secret))),
        Ok(Command::Check(config)) => check(*config),
        Ok(Command::Forget(order)) => forget(&order),
        Ok(Command::Doctor(config, order)) => return ExitCode::from(examine(*config, &order) as u8),
        Ok(Command::Health(target)) => {
            doctor::health(&target).map_err(|error| Failure::System(format!("not healthy: {error}")))
        }
        Err(error) => Err(Failure::Setting(error.to_string())),
    };
    let (code, error) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Setting(error)) => (EXIT_SETTING, error),
        Err(Failure::System(error)) => (EXIT_SYSTEM, error),
    };
    // If stderr is closed, there is nowhere to report the error.
    let _ = writeln!(io::stderr(), "plume: {error}");
    ExitCode::from(code)
}

/// Why Plume ends: one line for the operator.
enum Failure {
    /// A setting is wrong: trying again does not help.
    Setting(String),
    /// Something is missing that may be there at the next try.
    System(String),
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::System(error.to_string()))
}

/// Says what would run.
fn check(mut config: Config) -> Result<(), Failure> {
    prepare(&mut config).and_then(|_| check_data(&config)).map_err(Failure::Setting)?;
    print(&format!(
        "plume {}: {}; would listen on {}\n",
        env!("CARGO_PKG_VERSION"),
        config.summary(),
        config.listen
    ))
}

/// Checks the settings, the email and the site.
fn examine(config: Result<Config, ConfigError>, order: &Doctor) -> Verdict {
    let prepared = |mut config: Config| {
        prepare(&mut config)?;
        check_data(&config).map(|()| config)
    };
    let config = config.map_err(|error| error.to_string()).and_then(prepared);
    doctor::run(&config, order, &mut io::stdout())
}

/// Serves until a signal requests shutdown, or a move to the next process.
fn serve(mut config: Config) -> Result<(), Failure> {
    // First of all the file limit: a process with a lower one cannot hold the sockets of its predecessor.
    let assets = prepare(&mut config).map_err(Failure::Setting)?;
    let purpose = std::env::var_os(HANDOVER);
    if purpose.as_deref() == Some(OsStr::new(CHECK)) {
        return check_state(config, assets);
    }
    let across_exec = purpose.as_deref() == Some(OsStr::new(EXEC));
    let mut data = config.data_dir.as_deref().map(open_data).transpose()?;
    let Inherited { listener: passed, parcels, door } = inherited(across_exec).map_err(Failure::Setting)?;
    let successor = successor(door_of_environment());

    let site = Site::new(assets, config.settings.origins.clone());
    // Taken in any case: it must not be there at the next start.
    let left = data.as_mut().and_then(DataDir::take_left);
    let arrived = parcels.iter().find_map(|parcel| Arrival::open(parcel, door));
    let arrived = arrived.or_else(|| left.as_deref().and_then(Arrival::left));
    let (server, mut arrival) = server(&config, site, arrived)?;
    let has_failed = !parcels.is_empty() && arrival.is_none();

    let (listening, mut failures) = listen(&mut config, passed, arrival.as_mut())?;
    let address = listening.address().map_err(|error| cannot_listen(&config.listen, &error))?;
    let place = if listening.is_passed() { " socket=passed" } else { "" };

    let start_line =
        format!("plume {}: {}{place}; listening on {address}", env!("CARGO_PKG_VERSION"), config.summary());
    let (wide_trusts, has_open_metrics) = (config.settings.wide_trusts(), config.has_open_metrics());
    let (waker, start) = listening.split();
    // If waking fails, the loop collects the results in its next turn.
    let waker = Arc::new(waker);
    let wake = || {
        let waker = Arc::clone(&waker);
        move || drop(waker.wake())
    };
    let mailer = mailer(config.mail, wake())?;
    let mut logger = Logger::new(config.log_level);
    logger.line(&start_line);
    if wide_trusts > 0 {
        logger.note(now().moment, &LogEvent::WideTrust { networks: wide_trusts });
    }
    if has_open_metrics {
        logger.note(now().moment, &LogEvent::OpenMetrics);
    }
    if has_failed {
        failures.push(LogEvent::MoveFailed(MoveError::Unreadable));
    }
    for failure in &failures {
        logger.note(now().moment, failure);
    }
    let mut service_manager = service_manager()?;
    if door == Door::Store && !parcels.is_empty() {
        service_manager.took_parcel();
    }
    drop(parcels);
    let mut event_loop = start(server, mailer, logger, service_manager, successor);
    if let Some(redis) = config.redis {
        event_loop.share(redis, wake());
    }
    let has_moved = arrival.is_some();
    if let Some(arrival) = arrival {
        event_loop.take_over(arrival);
    }
    if let (Some(path), Some(data)) = (&config.data_dir, data) {
        restore(&mut event_loop, path, data, has_moved, wake())?;
    }
    match event_loop.run().map_err(|error| Failure::System(format!("cannot poll: {error}")))? {
        Ending::Stopped | Ending::Moved => Ok(()),
        // The service manager waits for this end, and starts the next process.
        Ending::MoveFailed(_) if door_of_environment() == Door::Store => Ok(()),
        // Nobody waits; but who restarts what has failed starts it again.
        Ending::MoveFailed(error) => {
            Err(Failure::System(format!("cannot move to the next process ({error}); stopped instead")))
        }
    }
}

/// The server that has arrived, if its state can be read, or a new one.
fn server(
    config: &Config,
    site: Site,
    arrived: Option<Arrival>,
) -> Result<(Server, Option<Arrival>), Failure> {
    let seed = random()?;
    let thawed = arrived.and_then(|arrival| {
        let server = Server::thaw(arrival.server(), config.settings.clone(), site.clone(), seed)?;
        Some((server, Some(arrival)))
    });
    Ok(thawed.unwrap_or_else(|| (Server::new(config.settings.clone(), site, seed), None)))
}

/// Says whether this program with its settings can go on from the state on stdin. Changes nothing.
fn check_state(config: Config, assets: Assets) -> Result<(), Failure> {
    check_data(&config).map_err(Failure::Setting)?;
    let site = Site::new(assets, config.settings.origins.clone());
    mailer(config.mail, || ())?;
    let bytes = io::stdin().as_fd().try_clone_to_owned().ok().and_then(handover::read_sealed);
    let state = bytes.and_then(|bytes| MovedState::read(&bytes));
    let server = state.and_then(|state| Server::thaw(state.server(), config.settings, site, [0; 32]));
    let cannot = || Failure::System("cannot go on from the state of the running server".to_owned());
    server.map(drop).ok_or_else(cannot)
}

fn mailer(settings: MailSettings, wake: impl Fn() + Send + Sync + 'static) -> Result<Mailer, Failure> {
    let mailer = Mailer::start(settings, wake);
    mailer.map_err(|error| Failure::System(format!("cannot start the mailer: {error}")))
}

/// This program, for a move. Without /proc it has no path, and a move fails.
fn successor(door: Door) -> Successor {
    let own = std::env::current_exe().unwrap_or_default();
    // Only a relative path needs it.
    let folder = std::env::current_dir().unwrap_or_default();
    let path = std::env::var_os("PATH");
    Successor::new(std::env::args_os().collect(), path.as_deref(), &folder, own, door)
}

/// How a move leaves this process: as the service manager says.
fn door_of_environment() -> Door {
    let has_store = std::env::var_os(FDSTORE).is_some_and(|value| value == "1");
    let has_manager = std::env::var_os("NOTIFY_SOCKET").is_some_and(|name| !name.is_empty());
    if has_store && has_manager { Door::Store } else { Door::Exec }
}

fn open_data(path: &Path) -> Result<DataDir, Failure> {
    DataDir::open(path, random()?).map_err(|error| data_failure(path, &error))
}

/// Restores the server from its folder, and starts to keep what changes.
fn restore(
    event_loop: &mut EventLoop,
    path: &Path,
    data: DataDir,
    has_moved: bool,
    wake: impl Fn() + Send + 'static,
) -> Result<(), Failure> {
    let (key, entries, cut_bytes) = (*data.key(), data.entries().clone(), data.cut_bytes());
    let keeper = Keeper::start(data, wake)
        .map_err(|error| Failure::System(format!("cannot start the keeper of rules: {error}")))?;
    if has_moved {
        event_loop.keep_all(key, entries, keeper);
        return Ok(());
    }
    let restored = event_loop.restore(key, entries, keeper);
    let restored = restored.map_err(|error| Failure::Setting(unusable_data(path, &error)))?;
    let (entries, dropped) = (restored.entries, restored.expired + restored.left_out);
    event_loop.note(&LogEvent::DataRead { entries, dropped, cut_bytes });
    Ok(())
}

/// Whether the folder could be used, which stays as it is.
fn check_data(config: &Config) -> Result<(), String> {
    let Some(path) = &config.data_dir else { return Ok(()) };
    DataDir::check(path).map(|_| ()).map_err(|error| unusable_data(path, &error))
}

/// Removes a person from a folder, and says how many entries they were.
fn forget(Forget { data_dir, address }: &Forget) -> Result<(), Failure> {
    let failure = |error: DataError| data_failure(data_dir, &error);
    let mut data = DataDir::open_to_forget(data_dir).map_err(failure)?;
    let changes = Server::forget(*data.key(), address, data.entries())
        .map_err(|error| Failure::Setting(unusable_data(data_dir, &error)))?;
    let removed = changes.iter().filter(|change| change.value.is_none()).count();
    let nameless = changes.len().saturating_sub(removed);
    data.forget(changes).map_err(failure)?;
    print(&format!("{removed} entries removed, {nameless} bans left without a name\n"))
}

fn data_failure(path: &Path, error: &DataError) -> Failure {
    let line = unusable_data(path, error);
    if error.needs_operator() { Failure::Setting(line) } else { Failure::System(line) }
}

fn unusable_data(path: &Path, error: &impl Display) -> String {
    format!("cannot use the folder {} (PLUME_DATA): {error}", config::shown_path(path))
}

/// Completes the settings by what only the system knows, and reads the page. The error is about a setting.
fn prepare(config: &mut Config) -> Result<Assets, String> {
    let metrics = if config.metrics.is_some() { METRICS_FILES } else { 0 };
    let engine = if config.redis.is_some() { ENGINE_FILES } else { 0 };
    let reserved = FILES_RESERVED + metrics + engine;
    config.settings.connections_max = connections_max(config.connections_max, reserved)?;
    let prints_codes = matches!(config.mail, MailSettings::Print);
    let values = PageValues { site_name: &config.settings.name, prints_codes };
    match &config.static_dir {
        None => Ok(Assets::built_in(values)),
        Some(dir) => static_dir::read(dir)
            .map_err(|error| error.to_string())
            .and_then(|files| Assets::from_files(values, files).map_err(|error| error.to_string()))
            .map_err(|error| format!("cannot serve the folder {}: {error}", config::shown_path(dir))),
    }
}

/// What was open when this process began.
struct Inherited {
    /// The listening socket that the service manager passes.
    listener: Option<Passed>,
    /// One, unless the service manager has kept an older one, which is empty.
    parcels: Vec<OwnedFd>,
    door: Door,
}

/// Takes what the service manager passes (`sd_listen_fds(3)`), or what stdin is across exec(2).
fn inherited(across_exec: bool) -> Result<Inherited, String> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = ListenFd::from_env();
    let mut names = names.split(':');
    let (mut listeners, mut parcels) = (Vec::new(), Vec::new());
    for place in 0..sockets.len() {
        if names.next() == Some(PARCEL) {
            // What is no parcel is left alone.
            parcels.extend(take_parcel(&mut sockets, place).ok().flatten());
        } else {
            listeners.push(place);
        }
    }
    let listener = match listeners[..] {
        [] => None,
        [place] => {
            let tcp = sockets.take_tcp_listener(place).map(|listener| listener.map(Passed::Tcp));
            let unix = |_| sockets.take_unix_listener(place).map(|listener| listener.map(Passed::Unix));
            tcp.or_else(unix).map_err(|_| {
                "the socket that was passed is neither a TCP nor a Unix stream socket".to_owned()
            })?
        }
        _ => {
            return Err(format!(
                "{} sockets were passed, but Plume listens on one: one ListenStream= in plume.socket",
                listeners.len()
            ));
        }
    };
    if !across_exec {
        return Ok(Inherited { listener, parcels, door: Door::Store });
    }
    Ok(Inherited { listener, parcels: handover::take_stdin().into_iter().collect(), door: Door::Exec })
}

fn take_parcel(sockets: &mut ListenFd, place: usize) -> io::Result<Option<OwnedFd>> {
    let family = AddressFamily::UNIX.as_raw().into();
    let kind = SocketType::SEQPACKET.as_raw().cast_signed();
    sockets.take_custom(place, family, kind, "parcel")
}

/// Listens for the chat and, if the settings say so, for metrics. A server that has moved here goes on in any
/// case: gives what cannot be as the settings say.
fn listen(
    config: &mut Config,
    passed: Option<Passed>,
    mut arrival: Option<&mut Arrival>,
) -> Result<(Listening, Vec<LogEvent>), Failure> {
    let failed = |error: &io::Error, for_metrics| LogEvent::ListenFailed {
        errno: error.raw_os_error().unwrap_or_default(),
        for_metrics,
    };
    let mut listening = Listening::start(&config.listen, passed, arrival.as_deref_mut())
        .map_err(|error| cannot_listen(&config.listen, &error))?;
    let mut failures: Vec<LogEvent> =
        listening.failure().map(|error| failed(error, false)).into_iter().collect();
    if let Some(metrics) = config.metrics {
        let has_moved = arrival.is_some();
        config.metrics = match listening.serve_metrics(metrics, arrival) {
            Ok(bound) => Some(bound),
            Err(error) if has_moved => {
                failures.push(failed(&error, true));
                None
            }
            Err(error) => return Err(cannot_listen(format_args!("{metrics} for metrics"), &error)),
        };
    }
    Ok((listening, failures))
}

fn cannot_listen(listen: impl Display, error: &io::Error) -> Failure {
    let line = format!("cannot listen on {listen}: {error}");
    match error.kind() {
        // A port below 1024 or a folder without permission; a path that is a file; a passed socket of another
        // kind.
        ErrorKind::PermissionDenied | ErrorKind::InvalidInput => Failure::Setting(line),
        _ => Failure::System(line),
    }
}

/// Reports to the service manager that the environment names (`sd_notify(3)`, `sd_watchdog_enabled(3)`).
fn service_manager() -> Result<ServiceManager, Failure> {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
        return Ok(ServiceManager::default());
    };
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let is_ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
    let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours).map(Duration::from_micros);
    ServiceManager::connect(&socket, watchdog, now().moment)
        .map_err(|error| Failure::Setting(format!("cannot notify NOTIFY_SOCKET: {error}")))
}

/// Raises the file limit as far as allowed, and returns the number of connections that fit into it beside the
/// reserved descriptors.
fn connections_max(chosen: Option<usize>, reserved: usize) -> Result<usize, String> {
    let limit = getrlimit(Resource::Nofile);
    // If it cannot be raised, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let files = getrlimit(Resource::Nofile).current.map_or(FILES_MAX, |files| files.min(FILES_MAX));
    let fit = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(reserved).max(1);
    match chosen {
        Some(chosen) if chosen > fit => Err(format!(
            "PLUME_MAX_CONNECTIONS is {chosen}, but the limit of {files} open files leaves room for {fit}"
        )),
        Some(chosen) => Ok(chosen),
        None => Ok(fit),
    }
}

/// Secret randomness from the operating system.
fn random<const BYTES: usize>() -> Result<[u8; BYTES], Failure> {
    let mut bytes = [0; BYTES];
    let result = SysRng.try_fill_bytes(&mut bytes);
    result.map_err(|error| Failure::System(format!("the system has no randomness: {error}")))?;
    Ok(bytes)
}

/// The service manager tries again after this one ...
const EXIT_SYSTEM: u8 = 1;
/// ... and not after this one.
const EXIT_SETTING: u8 = 2;
/// Connection ids have room for 2 to the power of 24 slots.
const FILES_MAX: u64 = 1 << 24;
