//! The mistakes that hosts make with a proxy: each is one warning, however many visitors it keeps out.

use crate::examples::warnings;
use crate::proxy::{Kind, Proxy};
use crate::support::Plume;
use crate::visitor::Visitor;

/// One mistake: what is changed in the example, what Plume trusts, how a visitor fares, and what the warning
/// names.
struct Mistake {
    kind: Kind,
    edits: &'static [(&'static str, &'static str)],
    trusted: &'static str,
    outcome: Result<(), u16>,
    warning: &'static str,
}

const HOST: (&str, &str) = ("        proxy_set_header Host $http_host;\n", "");
const UPGRADE: (&str, &str) = ("        proxy_set_header Upgrade $http_upgrade;\n", "");
const CONNECTION: (&str, &str) = ("        proxy_set_header Connection $plume_connection;\n", "");
const VERSION: (&str, &str) = ("        proxy_http_version 1.1;\n", "");
const FORWARDED: (&str, &str) =
    ("        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n", "");

const MISTAKES: [Mistake; 8] = [
    Mistake {
        kind: Kind::Nginx,
        edits: &[HOST],
        trusted: "127.0.0.1",
        outcome: Err(403),
        warning: "event=foreign-origin",
    },
    Mistake {
        kind: Kind::Nginx,
        edits: &[UPGRADE],
        trusted: "127.0.0.1",
        outcome: Err(426),
        warning: "event=upgrade-removed",
    },
    Mistake {
        kind: Kind::Nginx,
        edits: &[UPGRADE, CONNECTION, VERSION],
        trusted: "127.0.0.1",
        outcome: Err(426),
        warning: "event=upgrade-removed",
    },
    Mistake {
        kind: Kind::Nginx,
        edits: &[FORWARDED],
        trusted: "127.0.0.1",
        outcome: Ok(()),
        warning: "event=silent-proxy",
    },
    Mistake { kind: Kind::Nginx, edits: &[], trusted: "", outcome: Ok(()), warning: "event=unknown-proxy" },
    Mistake { kind: Kind::Caddy, edits: &[], trusted: "", outcome: Ok(()), warning: "event=unknown-proxy" },
    Mistake { kind: Kind::Haproxy, edits: &[], trusted: "", outcome: Ok(()), warning: "event=unknown-proxy" },
    Mistake {
        kind: Kind::Haproxy,
        edits: &[("    option forwardfor\n", "")],
        trusted: "127.0.0.1",
        outcome: Ok(()),
        warning: "event=silent-proxy",
    },
];

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn each_mistake_is_exactly_one_warning() {
    for Mistake { kind, edits, trusted, outcome, warning } in MISTAKES {
        let plume = Plume::start(&[("PLUME_TRUSTED_PROXIES", trusted)]);
        let proxy = Proxy::start_with(kind, &plume.address().to_string(), edits);
        for _ in 0..3 {
            assert_eq!(Visitor::open(&proxy, "/connect").map(drop), outcome, "{kind:?}, {warning}");
        }
        // What came before is logged.
        plume.wait_line("hint=");
        let lines = warnings(&plume);
        assert!(lines.len() == 1 && lines[0].contains(warning), "{kind:?}, {warning}: {lines:?}");
        assert!(!plume.log().contains("chat.example"), "what visitors send is not logged: {}", plume.log());
    }
}

/// Proxies that rewrite the Host say what it was.
#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn a_host_that_the_proxy_rewrites_is_read_from_the_field_beside_it() {
    for (trusted, outcome) in [("127.0.0.1", Ok(())), ("", Err(403))] {
        let plume = Plume::start(&[("PLUME_TRUSTED_PROXIES", trusted)]);
        let upstream = format!("{} {{\n\t\theader_up Host {{upstream_hostport}}\n\t}}", plume.address());
        let proxy = Proxy::start(Kind::Caddy, &upstream);
        assert_eq!(Visitor::open(&proxy, "/connect").map(drop), outcome, "trusted: {trusted:?}");
    }
}

/// nginx with `$host`, which has no port.
#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn a_host_that_lost_its_port_is_good_enough() {
    let plume = Plume::start(&[("PLUME_TRUSTED_PROXIES", "127.0.0.1")]);
    let edits = [("proxy_set_header Host $http_host;", "proxy_set_header Host $host;")];
    let proxy = Proxy::start_with(Kind::Nginx, &plume.address().to_string(), &edits);
    assert_eq!(Visitor::open(&proxy, "/connect").map(drop), Ok(()));
    assert_eq!(warnings(&plume), [""; 0]);
}
