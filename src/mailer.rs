//! Login codes on their way: printed in development, posted to Mailgun in production.
//!
//! The only user of ureq and of threads. The loop hands a mail over and goes on; one worker posts them one
//! after the other, and what became of each comes back through [`Mailer::results`]. No error holds a key,
//! code or address.

use crate::base::ids::MailId;
use crate::base::limits::{MAIL_QUEUE_MAX, MAIL_WITHIN};
use crate::base::mail::{Mail, MailFault};
use crate::config::{MailSettings, Mailgun};
use crate::journal::Journal;
use data_encoding::BASE64;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Takes mail and tells what became of it.
pub struct Mailer {
    /// The worker's queue, where mail is really sent.
    jobs: Option<SyncSender<Job>>,
    /// Time for one mail, from the moment that it is accepted.
    within: Duration,
    report: Report,
    outcomes: Receiver<Outcome>,
}

/// What became of which mail.
type Outcome = (MailId, Result<(), MailFault>);

/// A mail that waits for the worker.
struct Job {
    mail: Mail,
    due: Instant,
}

impl Mailer {
    /// Starts the worker where mail is really sent. `wake` is called, by the worker or within
    /// [`send`](Self::send), each time that a result is ready; it must not panic.
    ///
    /// # Errors
    /// Where the system has no thread for the worker.
    pub fn start(settings: MailSettings, wake: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_with(settings, wake, MAIL_WITHIN)
    }

    fn start_with(
        settings: MailSettings,
        wake: impl Fn() + Send + Sync + 'static,
        within: Duration,
    ) -> io::Result<Self> {
        let (sender, outcomes) = mpsc::channel();
        let report = Report { outcomes: sender, wake: Arc::new(wake) };
        let jobs = match settings {
            MailSettings::Print => None,
            MailSettings::Post(mailgun) => Some(start_worker(&mailgun, report.clone())?),
        };
        Ok(Self { jobs, within, report, outcomes })
    }

    /// Takes a mail; what becomes of it arrives through [`results`](Self::results), at the latest shortly
    /// after `MAIL_WITHIN`. In development its code is printed at once. Never waits.
    pub fn send(&mut self, mail: Mail, journal: &mut Journal) {
        let id = mail.id;
        let Some(jobs) = &self.jobs else {
            journal.line(&format!("login code for @{}: {}", mail.name, mail.code));
            self.report.tell(id, Ok(()));
            return;
        };
        let due = Instant::now() + self.within;
        match jobs.try_send(Job { mail, due }) {
            Ok(()) => (),
            Err(TrySendError::Full(_)) => self.report.tell(id, Err(MailFault::QueueFull)),
            Err(TrySendError::Disconnected(_)) => self.report.tell(id, Err(MailFault::Unreachable)),
        }
    }

    /// What became of mails since the last call.
    pub fn results(&mut self) -> impl Iterator<Item = (MailId, Result<(), MailFault>)> {
        self.outcomes.try_iter()
    }
}

/// Tells the loop what became of a mail.
#[derive(Clone)]
struct Report {
    outcomes: Sender<Outcome>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Report {
    fn tell(&self, id: MailId, result: Result<(), MailFault>) {
        // Where nobody listens any more, the mailer is gone and the loop with it.
        if self.outcomes.send((id, result)).is_ok() {
            (self.wake)();
        }
    }
}

/// The worker is not joined: who drops the mailer does not wait for a slow provider.
fn start_worker(mailgun: &Mailgun, report: Report) -> io::Result<SyncSender<Job>> {
    let (jobs, queue) = mpsc::sync_channel::<Job>(MAIL_QUEUE_MAX);
    let office = Office::new(mailgun);
    thread::Builder::new().name("plume-mail".to_owned()).spawn(move || {
        for Job { mail, due } in queue {
            let left = due.saturating_duration_since(Instant::now());
            let result = if left.is_zero() { Err(MailFault::Late) } else { office.post(&mail, left) };
            report.tell(mail.id, result);
        }
    })?;
    Ok(jobs)
}

/// Where mail is posted.
struct Office {
    agent: ureq::Agent,
    address: String,
    authorization: String,
    from: String,
    site_name: String,
}

impl Office {
    fn new(mailgun: &Mailgun) -> Self {
        let config = ureq::Agent::config_builder()
            // Asked of the environment otherwise, which is not ours to obey.
            .proxy(None)
            // A redirect could carry the code elsewhere.
            .max_redirects(0)
            .http_status_as_error(false)
            // Mails are rare, and a kept connection that the provider has closed meanwhile would lose one.
            .max_idle_connections(0)
            .max_response_header_size(ANSWER_BYTES_MAX)
            .input_buffer_size(ANSWER_BYTES_MAX)
            .output_buffer_size(ANSWER_BYTES_MAX)
            .user_agent(concat!("plume/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: ureq::Agent::with_parts(config, DefaultConnector::new(), HostLookUp),
            address: format!("{}/v3/{}/messages", mailgun.api_base, mailgun.domain),
            authorization: format!("Basic {}", BASE64.encode(format!("api:{}", mailgun.api_key).as_bytes())),
            from: mailgun.from.clone(),
            site_name: mailgun.site_name.clone(),
        }
    }

    /// Posts a mail within the time that is `left`. The status says all: the body of the answer is not read.
    fn post(&self, mail: &Mail, left: Duration) -> Result<(), MailFault> {
        let subject = format!("Your Plume login code: {}", mail.code);
        let text = plain_text(&self.site_name, mail);
        let html = html_text(&self.site_name, mail);
        let answer = self
            .agent
            .post(&self.address)
            .header("authorization", &self.authorization)
            .config()
            .timeout_global(Some(left))
            .build()
            .send_form([
                ("from", self.from.as_str()),
                ("to", &mail.to),
                ("subject", &subject),
                ("text", &text),
                ("html", &html),
            ]);
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(MailFault::Refused(answer.status().as_u16())),
            Err(ureq::Error::Timeout(_)) => Err(MailFault::Late),
            Err(_) => Err(MailFault::Unreachable),
        }
    }
}

fn plain_text(site_name: &str, mail: &Mail) -> String {
    let Mail { name, code, .. } = mail;
    format!(
        "Hello {name},\n\n\
         this is your login code for {site_name}:\n\n    \
         {code}\n\n\
         Type it in where you asked for it, and you are in.\n\n\
         If you did not ask for it, ignore it: nobody can come in without it.\n"
    )
}

fn html_text(site_name: &str, mail: &Mail) -> String {
    let (site_name, name, code) = (escaped(site_name), escaped(&mail.name), escaped(&mail.code));
    format!(
        "<p>Hello {name},</p>\n\
         <p>this is your login code for {site_name}:</p>\n\
         <p style=\"font: bold 2em monospace\">{code}</p>\n\
         <p>Type it in where you asked for it, and you are in.</p>\n\
         <p>If you did not ask for it, ignore it: nobody can come in without it.</p>\n"
    )
}

/// Text as it may stand in HTML, in a quoted attribute too.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(char),
        }
    }
    html
}

/// Finds a host within the time that is left, on a thread of its own, since the system's look-up knows no
/// deadline. As ureq's own does, but that one panics where the system has no thread to give.
#[derive(Debug)]
struct HostLookUp;

impl Resolver for HostLookUp {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ureq::Error::HostNotFound);
        };
        let host = DefaultResolver::host_and_port(scheme, authority).ok_or(ureq::Error::HostNotFound)?;
        let mut addresses = self.empty();
        if let Ok(address) = host.parse::<SocketAddr>() {
            addresses.push(address);
            return Ok(addresses);
        }
        let (sender, found) = mpsc::sync_channel(1);
        let look_up = move || {
            // Nobody listens where the time is over.
            let _ = sender.send(host.to_socket_addrs());
        };
        thread::Builder::new().name("plume-host".to_owned()).spawn(look_up)?;
        let found = match found.recv_timeout(*timeout.after) {
            Ok(found) => found?,
            Err(RecvTimeoutError::Timeout) => return Err(ureq::Error::Timeout(timeout.reason)),
            Err(RecvTimeoutError::Disconnected) => return Err(ureq::Error::HostNotFound),
        };
        for address in found.take(ADDRESSES_MAX) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// The head of the provider's answer, in bytes, and the buffers for the connection: far more than it needs.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Addresses of the provider that are tried; ureq holds 16.
const ADDRESSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::note::Level;
    use std::io::{BufRead, BufReader, PipeReader, Read, Write};
    use std::net::{TcpListener, TcpStream};

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

    fn mailgun(api_base: String) -> MailSettings {
        MailSettings::Post(Mailgun {
            api_key: "key-1".to_owned(),
            domain: "mail.example.org".to_owned(),
            api_base,
            from: "Plume Chat <hi@mail.example.org>".to_owned(),
            site_name: "Tom & Co".to_owned(),
        })
    }

    fn mail(id: u64) -> Mail {
        let (to, name, code) = ("zoe+x@example.org", "Zoë <b>&\"'", "7KQ2ZD");
        Mail { id: MailId(id), to: to.to_owned(), name: name.to_owned(), code: code.to_owned() }
    }

    /// A mailer, and all around it that a test looks at.
    struct Bench {
        mailer: Mailer,
        woken: Receiver<()>,
        journal: Journal,
        printed: PipeReader,
    }

    impl Bench {
        fn new(settings: MailSettings, within: Duration) -> Self {
            let (sender, woken) = mpsc::channel();
            let wake = move || sender.send(()).expect("a test that listens");
            let mailer = Mailer::start_with(settings, wake, within).expect("a thread");
            let (printed, writer) = io::pipe().expect("a pipe");
            Self { mailer, woken, journal: Journal::to(writer.into(), Level::Debug), printed }
        }

        fn send(&mut self, id: u64) {
            self.mailer.send(mail(id), &mut self.journal);
        }

        /// The next `count` results.
        fn results(&mut self, count: usize) -> Vec<Outcome> {
            let mut all = Vec::new();
            while all.len() < count {
                self.woken.recv_timeout(PATIENCE).expect("to be woken");
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
        let mut bench = Bench::new(MailSettings::Print, MAIL_WITHIN);
        bench.send(1);
        assert_eq!(bench.results(1), [(MailId(1), Ok(()))]);
        drop(bench.journal);
        let mut printed = String::new();
        bench.printed.read_to_string(&mut printed).expect("what was printed");
        assert_eq!(printed, "login code for @Zoë <b>&\"': 7KQ2ZD\n");
    }

    #[test]
    fn the_request_is_what_mailgun_asks_for() {
        let (port, requests) = provider(Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
        let mut bench = Bench::new(mailgun(format!("http://127.0.0.1:{port}")), MAIL_WITHIN);
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
            assert_eq!((*name, decoded(value).as_str()), (want_name, want_value));
        }
        assert_eq!(fields.len(), FORM.len(), "{fields:?}");
        drop(bench.journal);
        assert_eq!(bench.printed.read(&mut [0]).expect("nothing"), 0, "production prints no code");
    }

    const FORM: [(&str, &str); 5] = [
        ("from", "Plume Chat <hi@mail.example.org>"),
        ("to", "zoe+x@example.org"),
        ("subject", "Your Plume login code: 7KQ2ZD"),
        (
            "text",
            "Hello Zoë <b>&\"',\n\nthis is your login code for Tom & Co:\n\n    7KQ2ZD\n\n\
             Type it in where you asked for it, and you are in.\n\n\
             If you did not ask for it, ignore it: nobody can come in without it.\n",
        ),
        (
            "html",
            "<p>Hello Zoë &lt;b&gt;&amp;&quot;&#39;,</p>\n\
             <p>this is your login code for Tom &amp; Co:</p>\n\
             <p style=\"font: bold 2em monospace\">7KQ2ZD</p>\n\
             <p>Type it in where you asked for it, and you are in.</p>\n\
             <p>If you did not ask for it, ignore it: nobody can come in without it.</p>\n",
        ),
    ];

    fn decoded(value: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = value.as_bytes();
        while let [first, tail @ ..] = rest {
            rest = tail;
            match (first, tail) {
                (b'%', [high, low, tail @ ..]) => {
                    let digits = [*high, *low];
                    let digits = str::from_utf8(&digits).expect("two digits");
                    bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                    rest = tail;
                }
                (b'+', _) => bytes.push(b' '),
                (byte, _) => bytes.push(*byte),
            }
        }
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn each_way_to_fail_has_its_name() {
        const REDIRECT: &str = "HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
        const TLS_RECORD: &[u8] = b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb";
        for (behave, scheme, within, want) in [
            (Answer("HTTP/1.1 202 Yes\r\n\r\n"), "http", MAIL_WITHIN, Ok(())),
            (Answer("HTTP/1.1 200 Yes\r\nContent-Length: 9\r\n\r\ncut"), "http", MAIL_WITHIN, Ok(())),
            (Answer("HTTP/1.1 500 No\r\n\r\n"), "http", MAIL_WITHIN, Err(MailFault::Refused(500))),
            (Answer("HTTP/1.1 401 No\r\n\r\n"), "http", MAIL_WITHIN, Err(MailFault::Refused(401))),
            (Answer(REDIRECT), "http", MAIL_WITHIN, Err(MailFault::Refused(307))),
            (Answer(""), "http", MAIL_WITHIN, Err(MailFault::Unreachable)),
            (Answer("HTTP/1.1 2"), "http", MAIL_WITHIN, Err(MailFault::Unreachable)),
            (Answer("220 mail.example.org SMTP\r\n"), "http", MAIL_WITHIN, Err(MailFault::Unreachable)),
            (Answer("HTTP/1.1 200 OK\r\n\r\n"), "https", MAIL_WITHIN, Err(MailFault::Unreachable)),
            (Silent, "http", SHORT, Err(MailFault::Late)),
            (Silent, "https", SHORT, Err(MailFault::Late)),
            (Dribble(b"HTTP/1.1 200 OK\r\nX-Slow: "), "http", SHORT, Err(MailFault::Late)),
            (Dribble(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "http", MAIL_WITHIN, Ok(())),
            (Dribble(TLS_RECORD), "https", SHORT, Err(MailFault::Late)),
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
            // Nobody listens on port 1 (tcpmux).
            ("http://127.0.0.1:1".to_owned(), Err(MailFault::Unreachable)),
            ("http://a b".to_owned(), Err(MailFault::Unreachable)),
        ] {
            let mut bench = Bench::new(mailgun(base.clone()), MAIL_WITHIN);
            bench.send(1);
            assert_eq!(bench.results(1), [(MailId(1), want)], "{base}");
        }
    }

    #[test]
    fn a_full_queue_refuses_at_once_and_all_are_told() {
        let (port, requests) = provider(Silent);
        let mut bench = Bench::new(mailgun(format!("http://127.0.0.1:{port}")), Duration::from_secs(2));
        bench.send(0);
        requests.recv_timeout(PATIENCE).expect("the worker is busy");
        let full = MAIL_QUEUE_MAX as u64 + 1;
        for id in 1..=full {
            bench.send(id);
        }
        assert_eq!(bench.results(1), [(MailId(full), Err(MailFault::QueueFull))]);
        let late: Vec<_> = (0..full).map(|id| (MailId(id), Err(MailFault::Late))).collect();
        assert_eq!(bench.results(late.len()), late);
    }

    #[test]
    fn what_has_waited_too_long_is_not_tried() {
        let (port, requests) = provider(Answer("HTTP/1.1 200 OK\r\n\r\n"));
        let mut bench = Bench::new(mailgun(format!("http://127.0.0.1:{port}")), Duration::ZERO);
        bench.send(0);
        bench.mailer.within = MAIL_WITHIN;
        bench.send(1);
        assert_eq!(bench.results(2), [(MailId(0), Err(MailFault::Late)), (MailId(1), Ok(()))]);
        requests.recv_timeout(PATIENCE).expect("the second mail");
        assert!(requests.try_recv().is_err(), "the first was tried");
    }

    #[test]
    fn dropping_the_mailer_does_not_wait() {
        let (port, requests) = provider(Silent);
        let mut bench = Bench::new(mailgun(format!("http://127.0.0.1:{port}")), PATIENCE);
        bench.send(1);
        requests.recv_timeout(PATIENCE).expect("the worker is busy");
        let started = Instant::now();
        drop(bench.mailer);
        assert!(started.elapsed() < SLACK, "{:?}", started.elapsed());
    }
}
