use super::*;
use crate::config::smtp_url::decode;
use crate::config::{Mailgun, Sender};
use crate::limits::{CODE_CHARS, LONG_CODE_CHARS, MAIL_QUEUE_MAX, MAIL_THREADS_MAX};
use crate::log_event::Level;
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Condvar, Mutex};

/// How the fake provider behaves after it has read a request.
#[derive(Debug, Clone, Copy)]
enum Behave {
    /// Writes this and closes.
    Answer(&'static str),
    /// Says nothing, and holds the connection.
    Silent,
    /// Writes this, then one byte after the other, for ever.
    Dribble(&'static [u8]),
}
use Behave::{Answer, Dribble, Silent};

/// A fake provider; the requests that it has read come through the channel.
fn provider(behave: Behave) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let request = read_request(&stream);
            match behave {
                Answer(text) => stream.write_all(text.as_bytes()).expect("to answer"),
                Silent => held.push(stream),
                Dribble(start) => drop(thread::spawn(move || dribble(stream, start))),
            }
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    (port, requests)
}

fn dribble(mut stream: TcpStream, start: &[u8]) {
    let mut more = stream.write_all(start);
    while more.is_ok() {
        thread::sleep(Duration::from_millis(20));
        more = stream.write_all(b"a");
    }
}

/// Head and body of a request; of anything else, such as a TLS greeting, what comes first.
fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let first = reader.fill_buf().expect("a request").to_vec();
    let mut request = String::new();
    if !first.starts_with(b"POST") {
        return request;
    }
    let mut body_bytes = 0;
    while !request.ends_with("\r\n\r\n") {
        let start = request.len();
        reader.read_line(&mut request).expect("a line");
        if let Some(length) = request[start..].to_ascii_lowercase().strip_prefix("content-length:") {
            body_bytes = length.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body).expect("a body");
    request + &String::from_utf8(body).expect("a form")
}

fn mailgun(api_base: String) -> Arc<dyn Transport> {
    let settings = Mailgun {
        api_key: "key-1".to_owned(),
        domain: "mail.example.org".to_owned(),
        api_base,
        from: Sender::of_domain("mail.example.org"),
        site_name: "Tom & Co".to_owned(),
    };
    Arc::new(MailgunTransport::new(&settings))
}

fn mail(id: u64) -> Mail {
    let (to, name, code) = ("zoe+x@example.org", "Zoë <b>&\"'", "7KQ2ZD");
    Mail { id: MailId(id), to: to.to_owned(), name: name.to_owned(), code: code.to_owned() }
}

/// A mailer, and all around it that a test looks at.
struct Bench {
    mailer: Mailer,
    woken: Receiver<()>,
    logger: Logger,
    printed: PipeReader,
}

impl Bench {
    fn new(transport: impl Into<Option<Arc<dyn Transport>>>, timeout: Duration) -> Self {
        let (sender, woken) = mpsc::channel();
        let wake = move || sender.send(()).expect("a test that listens");
        let mailer = Mailer::with(transport.into(), wake, timeout);
        let (printed, writer) = io::pipe().expect("a pipe");
        Self { mailer, woken, logger: Logger::to(writer.into(), Level::Debug), printed }
    }

    fn send(&mut self, id: u64) {
        self.mailer.send(mail(id), &mut self.logger);
    }

    /// The next `count` results, as the event loop collects them.
    fn results(&mut self, count: usize) -> Vec<(MailId, MailResult)> {
        let mut all = Vec::new();
        while all.len() < count {
            let wait = self.mailer.time_left().unwrap_or(PATIENCE);
            let woken = self.woken.recv_timeout(wait);
            assert!(woken.is_ok() || wait < PATIENCE, "neither woken nor a deadline: {all:?}");
            all.extend(self.mailer.results());
        }
        all
    }
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// A time for one mail that is over soon.
const SHORT: Duration = Duration::from_millis(400);

#[test]
fn development_prints_the_code_and_posts_nothing() {
    let mut bench = Bench::new(None, MAIL_TIMEOUT);
    bench.send(1);
    assert_eq!(bench.results(1), [(MailId(1), Ok(()))]);
    drop(bench.logger);
    let mut printed = String::new();
    bench.printed.read_to_string(&mut printed).expect("what was printed");
    assert_eq!(printed, "login code for @Zoë <b>&\"': 7KQ2ZD\n");
}

#[test]
fn the_request_is_what_mailgun_asks_for() {
    let (port, requests) = provider(Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
    let mut bench = Bench::new(mailgun(format!("http://127.0.0.1:{port}")), MAIL_TIMEOUT);
    bench.send(1);
    assert_eq!(bench.results(1), [(MailId(1), Ok(()))]);
    let request = requests.recv_timeout(PATIENCE).expect("a request");
    let (head, body) = request.split_once("\r\n\r\n").expect("head and body");
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST /v3/mail.example.org/messages HTTP/1.1"));
    let lines: Vec<_> = lines.collect();
    for line in [
        "authorization: Basic YXBpOmtleS0x",
        "content-type: application/x-www-form-urlencoded",
        concat!("user-agent: plume/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    let fields: Vec<_> = body.split('&').map(|field| field.split_once('=').expect("a field")).collect();
    for ((name, value), (want_name, want_value)) in fields.iter().zip(FORM) {
        let value = decode(&value.replace('+', " "));
        assert_eq!((*name, value.as_deref()), (want_name, Some(want_value)));
    }
    assert_eq!(fields.len(), FORM.len(), "{fields:?}");
    drop(bench.logger);
    assert_eq!(bench.printed.read(&mut [0]).expect("nothing"), 0, "production prints no code");
}

const FORM: [(&str, &str); 5] = [
    ("from", "Plume Chat <hi@mail.example.org>"),
    ("to", "zoe+x@example.org"),
    ("subject", "Your Plume login code: 7KQ2ZD"),
    (
        "text",
        "Your login code for Tom & Co:\n\n    7KQ2ZD\n\n\
         Enter it on the page where you asked for it.\n\n\
         If you did not ask for a code, you need do nothing: without it no one can log in.\n\n\
         Name given: \"Zoë <b>& '\"\n",
    ),
    (
        "html",
        "<p>Your login code for Tom &amp; Co:</p>\n\
         <p style=\"font: bold 2em monospace\">7KQ2ZD</p>\n\
         <p>Enter it on the page where you asked for it.</p>\n\
         <p>If you did not ask for a code, you need do nothing: without it no one can log in.</p>\n\
         <p>Name given: &quot;Zoë &lt;b&gt;&amp; &#39;&quot;</p>\n",
    ),
];

#[test]
fn no_other_word_of_the_email_is_as_long_as_a_code() {
    let named = Mail { name: "Ada".to_owned(), ..mail(1) };
    let unnamed = Mail { name: "https://example.org/".repeat(6), ..mail(1) };
    for mail in [named, unnamed] {
        let text = letter::plain_text("Plume.chat", &mail);
        let words = text.split(|char: char| !char.is_ascii_alphanumeric());
        let like_codes: Vec<&str> =
            words.filter(|word| [CODE_CHARS, LONG_CODE_CHARS].contains(&word.len())).collect();
        assert_eq!(like_codes, ["7KQ2ZD"], "{text}");
    }
}

#[test]
fn each_way_to_fail_has_its_name() {
    const REDIRECT: &str = "HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    const TLS_RECORD: &[u8] = b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb";
    for (behave, scheme, within, want) in [
        (Answer("HTTP/1.1 202 Yes\r\n\r\n"), "http", MAIL_TIMEOUT, Ok(())),
        (Answer("HTTP/1.1 200 Yes\r\nContent-Length: 9\r\n\r\ncut"), "http", MAIL_TIMEOUT, Ok(())),
        (Answer("HTTP/1.1 500 No\r\n\r\n"), "http", MAIL_TIMEOUT, Err(MailError::Refused(500))),
        (Answer("HTTP/1.1 401 No\r\n\r\n"), "http", MAIL_TIMEOUT, Err(MailError::Auth)),
        (Answer(REDIRECT), "http", MAIL_TIMEOUT, Err(MailError::Refused(307))),
        (Answer(""), "http", MAIL_TIMEOUT, Err(MailError::BrokenOff)),
        (Answer("HTTP/1.1 2"), "http", MAIL_TIMEOUT, Err(MailError::BrokenOff)),
        (Answer("220 mail.example.org SMTP\r\n"), "http", MAIL_TIMEOUT, Err(MailError::BrokenOff)),
        (Answer("HTTP/1.1 200 OK\r\n\r\n"), "https", MAIL_TIMEOUT, Err(MailError::Tls)),
        (Silent, "http", SHORT, Err(MailError::Late)),
        (Silent, "https", SHORT, Err(MailError::Late)),
        (Dribble(b"HTTP/1.1 200 OK\r\nX-Slow: "), "http", SHORT, Err(MailError::Late)),
        (Dribble(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "http", MAIL_TIMEOUT, Ok(())),
        (Dribble(TLS_RECORD), "https", SHORT, Err(MailError::Late)),
    ] {
        let (port, requests) = provider(behave);
        let mut bench = Bench::new(mailgun(format!("{scheme}://127.0.0.1:{port}")), within);
        let started = Instant::now();
        bench.send(1);
        assert_eq!(bench.results(1), [(MailId(1), want)], "{behave:?} {scheme}");
        assert!(started.elapsed() < within + SLACK, "{behave:?} {scheme}: {:?}", started.elapsed());
        requests.recv_timeout(PATIENCE).expect("a request");
        assert!(requests.try_recv().is_err(), "{behave:?} {scheme}: asked twice");
    }
}

/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(5);

#[test]
fn hosts_are_found_or_not() {
    let (port, _requests) = provider(Answer("HTTP/1.1 200 OK\r\n\r\n"));
    for (base, want) in [
        (format!("http://localhost:{port}"), Ok(())),
        // A name that never resolves (RFC 6761).
        ("http://plume.invalid".to_owned(), Err(MailError::NoHost)),
        // Nobody listens on port 1 (tcpmux).
        ("http://127.0.0.1:1".to_owned(), Err(MailError::Unreachable)),
        ("http://a b".to_owned(), Err(MailError::Unreachable)),
    ] {
        let mut bench = Bench::new(mailgun(base.clone()), MAIL_TIMEOUT);
        bench.send(1);
        assert_eq!(bench.results(1), [(MailId(1), want)], "{base}");
    }
}

/// A provider that answers an email to each name only when the test says so.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    begun: Vec<u64>,
    open: Vec<u64>,
}

impl Transport for Gate {
    fn send(&self, mail: &Mail, _deadline: Instant) -> MailResult {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("no panic");
        state.begun.push(mail.id.0);
        changed.notify_all();
        while !state.open.contains(&mail.id.0) {
            state = changed.wait(state).expect("no panic");
        }
        Ok(())
    }
}

impl Gate {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.clone())
    }

    fn open(&self, id: u64) {
        self.0.0.lock().expect("no panic").open.push(id);
        self.0.1.notify_all();
    }

    /// Waits until the sending of this many emails has begun, and returns their ids in order.
    fn begun(&self, count: usize) -> Vec<u64> {
        let state = self.0.0.lock().expect("no panic");
        let (state, _) = self
            .0
            .1
            .wait_timeout_while(state, PATIENCE, |state| state.begun.len() < count)
            .expect("no panic");
        let mut begun = state.begun.clone();
        begun.sort_unstable();
        begun
    }
}

const THREADS: u64 = MAIL_THREADS_MAX as u64;

#[test]
fn one_slow_answer_does_not_hold_up_the_next_email() {
    let gate = Gate::default();
    let mut bench = Bench::new(gate.transport(), PATIENCE);
    bench.send(0);
    for id in 1..10 {
        bench.send(id);
        gate.open(id);
        assert_eq!(bench.results(1), [(MailId(id), Ok(()))]);
    }
    gate.open(0);
    assert_eq!(bench.results(1), [(MailId(0), Ok(()))]);
}

#[test]
fn a_full_queue_refuses_at_once_and_each_email_has_a_result() {
    let gate = Gate::default();
    let mut bench = Bench::new(gate.transport(), Duration::from_secs(1));
    let full = THREADS + MAIL_QUEUE_MAX as u64;
    for id in 0..=full {
        bench.send(id);
    }
    assert_eq!(bench.results(1), [(MailId(full), Err(MailError::QueueFull))]);
    assert_eq!(gate.begun(MAIL_THREADS_MAX), (0..THREADS).collect::<Vec<_>>());
    let mut late = bench.results(MAIL_THREADS_MAX + MAIL_QUEUE_MAX);
    late.sort_unstable_by_key(|(id, _)| *id);
    assert_eq!(late, (0..full).map(|id| (MailId(id), Err(MailError::Late))).collect::<Vec<_>>());
}

#[test]
fn threads_that_are_left_behind_count_until_they_end() {
    let gate = Gate::default();
    let mut bench = Bench::new(gate.transport(), SHORT);
    for id in 0..THREADS {
        bench.send(id);
    }
    assert_eq!(bench.results(MAIL_THREADS_MAX).len(), MAIL_THREADS_MAX);
    bench.mailer.timeout = PATIENCE;
    bench.send(THREADS);
    assert_eq!(gate.begun(MAIL_THREADS_MAX), (0..THREADS).collect::<Vec<_>>(), "no thread is free");
    gate.open(THREADS);
    gate.open(1);
    assert_eq!(bench.results(1), [(MailId(THREADS), Ok(()))], "the late result of 1 is no second one");
}

#[test]
fn what_has_waited_too_long_is_not_tried() {
    let (port, requests) = provider(Answer("HTTP/1.1 200 OK\r\n\r\n"));
    let mut bench = Bench::new(mailgun(format!("http://127.0.0.1:{port}")), Duration::ZERO);
    bench.send(0);
    assert_eq!(bench.results(1), [(MailId(0), Err(MailError::Late))]);
    bench.mailer.timeout = MAIL_TIMEOUT;
    bench.send(1);
    assert_eq!(bench.results(1), [(MailId(1), Ok(()))]);
    requests.recv_timeout(PATIENCE).expect("the second email");
    assert!(requests.try_recv().is_err(), "the first was tried");
}

#[test]
fn dropping_the_mailer_does_not_wait() {
    let (port, requests) = provider(Silent);
    let mut bench = Bench::new(mailgun(format!("http://127.0.0.1:{port}")), PATIENCE);
    bench.send(1);
    requests.recv_timeout(PATIENCE).expect("a thread is busy");
    let started = Instant::now();
    drop(bench.mailer);
    assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
}
