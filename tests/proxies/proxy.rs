//! A proxy as a child process, in a folder of its own that is removed with it.

use crate::support::{Folder, Plume, listen, wait_for};
use crate::visitor::is_ready;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The proxies that have an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
    Haproxy,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Nginx, Kind::Caddy, Kind::Haproxy];

/// A running proxy. It is killed when it goes out of scope.
pub(crate) struct Proxy {
    kind: Kind,
    /// The name that visitors ask for.
    pub(crate) name: &'static str,
    child: Child,
    folder: Folder,
    /// Where it takes TLS.
    pub(crate) port: u16,
    /// Where it takes plain HTTP, to redirect it.
    pub(crate) plain_port: u16,
}

/// How often a proxy is started until it finds its ports free.
const STARTS_MAX: usize = 3;

impl Proxy {
    /// Starts the example of `docs/` in front of a server, and waits until it listens.
    pub(crate) fn start(kind: Kind, upstream: &str) -> Self {
        Self::start_with(kind, upstream, &[])
    }

    /// The same with some of its text replaced, each of which must occur.
    pub(crate) fn start_with(kind: Kind, upstream: &str, edits: &[(&str, &str)]) -> Self {
        Self::start_for("chat.example", kind, upstream, edits)
    }

    /// The same for another name of the site.
    pub(crate) fn start_for(name: &'static str, kind: Kind, upstream: &str, edits: &[(&str, &str)]) -> Self {
        // Another test may take a port that was free a moment before.
        let mut tries = (0..STARTS_MAX).filter_map(|_| Self::try_start(name, kind, upstream, edits));
        tries.next().unwrap_or_else(|| panic!("{kind:?} found no port"))
    }

    /// A server on a Unix socket, with so many places for an address, and the example in front of it.
    pub(crate) fn over_unix(name: &'static str, kind: Kind, places: &str) -> (Plume, Self) {
        let path = std::env::temp_dir().join(format!("plume-{}-{name}-{kind:?}.sock", std::process::id()));
        let path = path.to_str().expect("a plain name");
        let listen = format!("unix:{path}");
        let plume = Plume::start(&[("PLUME_LISTEN", &listen), ("PLUME_MAX_PER_ADDRESS", places)]);
        // The proxy's workers may run as another user, which is in no group of ours.
        fs::set_permissions(path, Permissions::from_mode(0o666)).expect("it is ours");
        let site = format!("{name} {{");
        let (upstream, edits) = match kind {
            Kind::Nginx => (listen, &[][..]),
            Kind::Caddy => (format!("unix/{path}"), &[("chat.example {", site.as_str())][..]),
            Kind::Haproxy => (format!("unix@{path}"), &[][..]),
        };
        (plume, Self::start_for(name, kind, &upstream, edits))
    }

    /// `None`: its port is in use by now.
    fn try_start(name: &'static str, kind: Kind, upstream: &str, edits: &[(&str, &str)]) -> Option<Self> {
        let folder = Folder::new(&format!("{kind:?}"));
        let (port, plain_port) = free_ports();
        let path = write_config(kind, folder.path(), (port, plain_port), upstream, edits);
        let log = File::create(folder.path().join("log")).expect("the folder is ours");
        let mut command = match kind {
            Kind::Nginx => {
                let mut nginx = Command::new("nginx");
                nginx.args(["-e", "stderr", "-c"]).arg(&path).arg("-p").arg(folder.path());
                nginx
            }
            Kind::Caddy => {
                let mut caddy = Command::new("caddy");
                caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(&path);
                caddy
            }
            Kind::Haproxy => {
                let mut haproxy = Command::new("haproxy");
                haproxy.args(["-db", "-f"]).arg(&path);
                haproxy
            }
        };
        let child = command
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file has a second handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} is not installed: {error}"));
        let mut proxy = Self { kind, name, child, folder, port, plain_port };
        let listens = wait_for("listening proxy", || {
            if proxy.child.try_wait().expect("the child is ours").is_some() {
                let log = proxy.log();
                assert!(log.to_lowercase().contains("address already in use"), "{kind:?} has ended: {log}");
                return Some(false);
            }
            // Caddy makes its certificates only now.
            (TcpStream::connect(("127.0.0.1", port)).is_ok() && is_ready(&proxy)).then_some(true)
        });
        listens.then_some(proxy)
    }

    /// Loads the configuration again, as the service's reload does.
    pub(crate) fn reload(&self) {
        match self.kind {
            Kind::Nginx => {
                kill_process(Pid::from_child(&self.child), Signal::HUP).expect("the child is ours");
            }
            Kind::Caddy => {
                let status = Command::new("caddy")
                    .args(["reload", "--force", "--adapter", "caddyfile", "--config"])
                    .arg(self.folder.path().join("config"))
                    .arg("--address")
                    .arg(format!("unix/{}", self.folder.path().join("admin").display()))
                    .env("HOME", self.folder.path())
                    .stderr(Stdio::null())
                    .status();
                assert!(status.is_ok_and(|status| status.success()), "{}", self.log());
            }
            Kind::Haproxy => panic!("its reload is a second process"),
        }
    }

    /// The authority that signed its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        match self.kind {
            Kind::Nginx | Kind::Haproxy => certificate("ca.pem"),
            Kind::Caddy => self.folder.path().join("caddy/pki/authorities/local/root.crt"),
        }
    }

    /// The processes that serve, of which nginx has new ones after a reload.
    pub(crate) fn workers(&self) -> Vec<String> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    #[expect(clippy::print_stderr, reason = "the test harness shows it beside the panic")]
    fn drop(&mut self) {
        // nginx ends its workers only if it is asked to.
        let _gone = kill_process(Pid::from_child(&self.child), Signal::TERM);
        wait_for_end(&mut self.child);
        if std::thread::panicking() {
            eprintln!("--- log of {:?} ---\n{}---", self.kind, self.log());
        }
    }
}

/// Waits a moment for the process to end by itself, and kills it otherwise.
fn wait_for_end(child: &mut Child) {
    for _ in 0..200 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let _gone = child.kill();
    let _status = child.wait();
}

/// Two ports that were free a moment ago.
fn free_ports() -> (u16, u16) {
    let (first, second) = (listen(), listen());
    (first.1.port(), second.1.port())
}

/// A file of `tests/certificates`.
pub(crate) fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name)
}

/// Writes the example, with ports and paths of this machine, and what stands around it in Debian's
/// configuration.
fn write_config(
    kind: Kind,
    folder: &Path,
    (port, plain_port): (u16, u16),
    upstream: &str,
    edits: &[(&str, &str)],
) -> PathBuf {
    let name = match kind {
        Kind::Nginx => "nginx.conf",
        Kind::Caddy => "Caddyfile",
        Kind::Haproxy => "haproxy.cfg",
    };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let mut text = fs::read_to_string(example).expect("the example is there");
    let mut replace = |from: &str, to: &str| {
        assert!(text.contains(from), "{from:?} is not in the example:\n{text}");
        text = text.replace(from, to);
    };
    for (from, to) in edits {
        replace(from, to);
    }
    match kind {
        Kind::Nginx => {
            // Not every machine has IPv6.
            replace("    listen [::]:80;\n", "");
            replace("    listen [::]:443 ssl http2;\n", "");
            replace("listen 80;", &format!("listen 127.0.0.1:{plain_port};"));
            replace("listen 443 ssl http2;", &format!("listen 127.0.0.1:{port} ssl http2;"));
            let letsencrypt = "/etc/letsencrypt/live/chat.example/";
            replace(&format!("{letsencrypt}fullchain.pem"), certificate("good.pem").to_str().expect("text"));
            replace(&format!("{letsencrypt}privkey.pem"), certificate("good.key").to_str().expect("text"));
            if !edits.iter().any(|(from, _)| from.contains("4884")) {
                replace("server 127.0.0.1:4884;", &format!("server {upstream};"));
            }
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("    {name}_temp_path {}/{name};\n", folder.display()))
                .concat();
            text = format!(
                "daemon off;\nworker_processes 1;\npid {0}/pid;\nerror_log stderr;\nevents {{}}\n\
                 http {{\n    access_log off;\n{temporary}{text}}}\n",
                folder.display()
            );
        }
        Kind::Caddy => {
            replace("\treverse_proxy 127.0.0.1:4884", &format!("\treverse_proxy {upstream}"));
            text = format!(
                "{{\n    admin unix/{}/admin\n    http_port {plain_port}\n    https_port {port}\n    local_certs\n    \
                 skip_install_trust\n}}\n{text}",
                folder.display()
            );
        }
        Kind::Haproxy => {
            let pem = folder.join("chat.example.pem");
            let parts =
                ["good.pem", "good.key"].map(|name| fs::read(certificate(name)).expect("it is there"));
            fs::write(&pem, parts.concat()).expect("the folder is ours");
            replace("bind :80\n", &format!("bind 127.0.0.1:{plain_port}\n"));
            replace("bind :443 ", &format!("bind 127.0.0.1:{port} "));
            replace("/etc/haproxy/chat.example.pem alpn", &format!("{} alpn", pem.display()));
            replace("server plume 127.0.0.1:4884", &format!("server plume {upstream}"));
        }
    }
    let path = folder.join("config");
    fs::write(&path, text).expect("the folder is ours");
    path
}
