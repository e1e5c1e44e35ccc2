//! The `WebDriver` protocol, which all engines speak: commands and their answers as JSON, over HTTP, or in
//! Firefox over the TCP protocol under it, Marionette, which needs no program between.

use super::child::Process;
use super::chromium::FLAGS;
use super::{Driver, Key, Page, TempDir};
use crate::harness::free_address;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// What draws the page.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Engine {
    Chromium,
    Firefox,
    WebKit,
}

/// A browser with one page, through `WebDriver`.
pub(crate) struct WebDriver {
    link: RefCell<Link>,
    _browser: Process,
    _screen: Option<Process>,
}

/// A way to send a command of one session.
enum Link {
    Http { agent: ureq::Agent, session: String },
    Marionette { stream: BufReader<TcpStream>, last_id: u64 },
}

/// A command of the standard: its name in Marionette, and its path over HTTP, where each of these is a POST.
type Command = (&'static str, &'static str);

impl WebDriver {
    /// Starts a browser that knows nothing of earlier ones.
    pub(crate) fn launch(engine: Engine) -> Self {
        match engine {
            Engine::Chromium => {
                let mut options = json!({"args": FLAGS});
                if let Some(program) = env::var_os("CHROMIUM") {
                    options["binary"] = program.to_str().expect("a path in UTF-8").into();
                }
                Self::over_http("chromedriver", &json!({"goog:chromeOptions": options}), TempDir::new(), None)
            }
            Engine::Firefox => Self::over_marionette(),
            Engine::WebKit => {
                let folder = TempDir::new();
                write(&folder, "gtk-3.0/gtk.css", WEBKIT_WINDOW);
                Self::over_http("WebKitWebDriver", &json!({}), folder, Some(start_screen()))
            }
        }
    }

    /// Through a server that starts the browser.
    fn over_http(
        program: &str,
        capabilities: &Value,
        folder: TempDir,
        screen: Option<(Process, String)>,
    ) -> Self {
        // Not all of them can choose a port and say which; another process hardly takes it in between.
        let port = free_address().port();
        let (screen, display) = screen.unzip();
        let variables = display.as_deref().map(|display| ("DISPLAY", display));
        let arguments = [OsString::from(format!("--port={port}"))];
        let mut browser = Process::start(program.as_ref(), arguments, variables.as_slice(), folder);
        browser.wait_for(|_| TcpStream::connect(("127.0.0.1", port)).ok(), "server");
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER_WITHIN));
        let session = format!("http://127.0.0.1:{port}/session");
        let mut link = Link::Http { agent: config.build().into(), session };
        let capabilities = json!({"capabilities": {"alwaysMatch": capabilities}});
        let answer = link
            .call(NEW_SESSION, &capabilities)
            .unwrap_or_else(|error| panic!("{program}: {error}\n{}", browser.output()));
        if let Link::Http { session, .. } = &mut link {
            session.push('/');
            session.push_str(answer["sessionId"].as_str().expect("a session has an id"));
        }
        Self { link: link.into(), _browser: browser, _screen: screen }
    }

    fn over_marionette() -> Self {
        let folder = TempDir::new();
        write(&folder, "user.js", FIREFOX_PREFERENCES);
        write(&folder, "chrome/userChrome.css", FIREFOX_WINDOW);
        let program = env::var_os("FIREFOX").unwrap_or_else(|| "firefox-esr".into());
        let mut arguments: Vec<OsString> =
            ["--headless", "--marionette", "--no-remote", "--profile"].map(OsString::from).into();
        arguments.push(folder.path().into());
        let mut browser = Process::start(&program, arguments, &[], folder);
        let port = |browser: &Process| {
            fs::read_to_string(browser.folder().join("MarionetteActivePort")).ok()?.trim().parse().ok()
        };
        let port: u16 = browser.wait_for(port, "port of Marionette");
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the browser listens");
        stream.set_nodelay(true).expect("a TCP socket has the option");
        stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a socket has the option");
        let mut stream = BufReader::new(stream);
        let greeting = read_packet(&mut stream);
        assert_eq!(greeting["marionetteProtocol"], 3, "{greeting}");
        let mut link = Link::Marionette { stream, last_id: 0 };
        link.call(NEW_SESSION, &json!({})).expect("a session begins");
        Self { link: link.into(), _browser: browser, _screen: None }
    }

    pub(crate) fn page(&self) -> Page<&Self> {
        Page { driver: self }
    }

    #[track_caller]
    fn call(&self, command: Command, params: &Value) -> Value {
        self.try_call(command, params).unwrap_or_else(|error| panic!("{error} in {params}"))
    }

    fn try_call(&self, command: Command, params: &Value) -> Result<Value, String> {
        self.link.borrow_mut().call(command, params)
    }

    /// Listens for what goes wrong in the document, which has loaded by now.
    fn listen(&self) {
        self.try_eval(LISTEN).expect("a script that is right");
    }

    /// Does these things with the keyboard.
    fn type_keys(&self, actions: &[Value]) {
        let keys = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.call(PERFORM_ACTIONS, &json!({"actions": [keys]}));
    }
}

impl Link {
    fn call(&mut self, (name, path): Command, params: &Value) -> Result<Value, String> {
        let (mut answer, is_error) = match self {
            Self::Http { agent, session } => {
                let answer = agent.post(format!("{session}{path}")).send(params.to_string());
                let mut answer = answer.map_err(|error| format!("{name}: {error}"))?;
                let is_error = !answer.status().is_success();
                let body = answer.body_mut().read_to_string().map_err(|error| format!("{name}: {error}"))?;
                let mut body: Value = serde_json::from_str(&body).expect("it speaks JSON");
                (body["value"].take(), is_error)
            }
            Self::Marionette { stream, last_id } => {
                *last_id += 1;
                let call = json!([0, last_id, name, params]).to_string();
                write!(stream.get_mut(), "{}:{call}", call.len()).expect("the browser runs");
                let mut answer = read_packet(stream);
                assert_eq!(answer[1], *last_id, "{answer}");
                let is_error = !answer[2].is_null();
                let mut result = answer[if is_error { 2 } else { 3 }].take();
                let value = result.get_mut("value").map(Value::take);
                (value.unwrap_or(result), is_error)
            }
        };
        if is_error { Err(format!("{name}: {}", answer["message"].take())) } else { Ok(answer) }
    }
}

impl Driver for &WebDriver {
    fn navigate(&self, url: &str) {
        self.call(NAVIGATE, &json!({"url": url}));
        self.listen();
    }

    fn reload(&self) {
        self.call(REFRESH, &json!({}));
        self.listen();
    }

    fn try_eval(&self, expression: &str) -> Result<Value, String> {
        self.try_call(EXECUTE, &json!({"script": format!("return ({expression});"), "args": []}))
    }

    fn click_at(&self, x: f64, y: f64) {
        // Whole pixels, for not all take others.
        let (x, y) = (x.round(), y.round());
        let actions = json!([{"type": "pointerMove", "x": x, "y": y},
            {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]);
        let mouse = json!({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions});
        self.call(PERFORM_ACTIONS, &json!({"actions": [mouse]}));
    }

    fn insert(&self, text: &str) {
        let press =
            |char| [json!({"type": "keyDown", "value": char}), json!({"type": "keyUp", "value": char})];
        self.type_keys(&text.chars().flat_map(press).collect::<Vec<_>>());
    }

    fn press(&self, key: Key) {
        let (value, is_shifted) = match key {
            Key::Enter => ('\u{e006}', false),
            Key::ShiftEnter => ('\u{e006}', true),
            Key::Tab => ('\u{e004}', false),
            Key::ShiftTab => ('\u{e004}', true),
            Key::Up => ('\u{e013}', false),
            Key::Down => ('\u{e015}', false),
            Key::Escape => ('\u{e00c}', false),
        };
        let mut actions =
            vec![json!({"type": "keyDown", "value": value}), json!({"type": "keyUp", "value": value})];
        if is_shifted {
            actions.insert(0, json!({"type": "keyDown", "value": SHIFT}));
            actions.push(json!({"type": "keyUp", "value": SHIFT}));
        }
        self.type_keys(&actions);
    }

    fn resize(&self, width: u32, height: u32) {
        // The command is about the window with its frame, which is known after a first try; and an engine
        // takes its time to follow, the more the busier the machine is.
        let wanted = json!([width, height]);
        let mut frame = (0.0, 0.0);
        for patience in RESIZE_PATIENCE {
            let (width, height) = (f64::from(width) + frame.0, f64::from(height) + frame.1);
            let outer = self.call(SET_WINDOW_RECT, &json!({"width": width, "height": height}));
            let deadline = Instant::now() + Duration::from_millis(patience);
            let inner = loop {
                let inner = self.try_eval("[innerWidth, innerHeight]").expect("two numbers");
                if inner == wanted {
                    return;
                }
                if Instant::now() >= deadline {
                    break inner;
                }
                thread::sleep(Duration::from_millis(10));
            };
            let number = |value: &Value| value.as_f64().expect("a number");
            frame =
                (number(&outer["width"]) - number(&inner[0]), number(&outer["height"]) - number(&inner[1]));
        }
    }

    fn complaints(&self) -> String {
        let complaints = self.try_eval("(window.complaints ?? []).join('\\n')");
        complaints.map_or_else(|error| error, |text| text.as_str().unwrap_or_default().to_owned())
    }
}

/// An X server without a screen, and its name, for a browser that always has a window.
fn start_screen() -> (Process, String) {
    // It keeps no file outside its folder: a socket in the abstract namespace is enough.
    let arguments = [
        "-displayfd",
        "1",
        "-screen",
        "0",
        "1600x1200x24",
        "-nolisten",
        "tcp",
        "-nolisten",
        "unix",
        "-nolock",
    ];
    let arguments = arguments.map(OsString::from);
    let mut screen = Process::start("Xvfb".as_ref(), arguments, &[], TempDir::new());
    let number = |screen: &Process| {
        let output = screen.output();
        output.lines().find_map(|line| line.parse::<u32>().ok()).filter(|_| output.ends_with('\n'))
    };
    let number = screen.wait_for(number, "number of the screen");
    (screen, format!(":{number}"))
}

/// Writes a file before a program that reads it starts.
fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("it is in the folder")).expect("the folder is ours");
    fs::write(path, text).expect("the folder is ours");
}

/// A packet of Marionette: the length of its JSON, a colon, and that.
fn read_packet(stream: &mut BufReader<TcpStream>) -> Value {
    let mut length = Vec::new();
    stream.read_until(b':', &mut length).expect("the browser answers");
    let length = std::str::from_utf8(&length).ok().and_then(|text| text.strip_suffix(':')?.parse().ok());
    let mut packet = vec![0; length.expect("a packet begins with its length")];
    stream.read_exact(&mut packet).expect("the browser answers");
    serde_json::from_slice(&packet).expect("it speaks JSON")
}

/// How long a command may take. The first waits for the browser, and two of Firefox start with ten seconds of
/// work, on a busy machine with several times as much.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
const NEW_SESSION: Command = ("WebDriver:NewSession", "");
const NAVIGATE: Command = ("WebDriver:Navigate", "/url");
const REFRESH: Command = ("WebDriver:Refresh", "/refresh");
const EXECUTE: Command = ("WebDriver:ExecuteScript", "/execute/sync");
const PERFORM_ACTIONS: Command = ("WebDriver:PerformActions", "/actions");
const SET_WINDOW_RECT: Command = ("WebDriver:SetWindowRect", "/window/rect");
/// How long a try to resize a window may take, in ms: the last is for a machine that is busy.
const RESIZE_PATIENCE: [u64; 6] = [100, 200, 400, 800, 1_600, 3_200];
/// How the standard names the key.
const SHIFT: char = '\u{e008}';
/// No command tells what a page writes to the console: its exceptions and broken policies are kept here.
const LISTEN: &str = "(() => {
    window.complaints = [];
    for (const kind of ['error', 'unhandledrejection', 'securitypolicyviolation']) {
        const keep = ({ message, reason, violatedDirective }) =>
            complaints.push(`${kind}: ${message ?? reason ?? violatedDirective}`);
        addEventListener(kind, keep);
    }
})()";
/// A port of its own choice, and nothing that talks to other hosts.
const FIREFOX_PREFERENCES: &str = "\
user_pref('marionette.port', 0);
user_pref('app.normandy.enabled', false);
user_pref('app.update.disabledForTesting', true);
user_pref('browser.safebrowsing.downloads.enabled', false);
user_pref('browser.safebrowsing.malware.enabled', false);
user_pref('browser.safebrowsing.phishing.enabled', false);
user_pref('browser.shell.checkDefaultBrowser', false);
user_pref('datareporting.policy.dataSubmissionEnabled', false);
user_pref('extensions.update.enabled', false);
user_pref('network.captive-portal-service.enabled', false);
user_pref('network.connectivity-service.enabled', false);
user_pref('services.settings.server', '');
user_pref('toolkit.telemetry.server', '');
user_pref('toolkit.legacyUserProfileCustomizations.stylesheets', true);
";
/// Makes its window as narrow as a phone: else its own controls take 500 pixels.
const FIREFOX_WINDOW: &str = ":root { min-width: 0 !important; }";
/// The same for the controls of `WebKit`'s browser.
const WEBKIT_WINDOW: &str = "* { min-width: 0; padding: 0; font-size: 1px; }";
