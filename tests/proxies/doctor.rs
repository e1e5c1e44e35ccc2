//! `plume doctor` through real proxies and real TLS.

use crate::proxy::{KINDS, Kind, Proxy};
use crate::support::{Plume, refused};

/// Its exit code and its report. The name is one that resolves, and that the certificates are for.
fn examine(proxy: &Proxy) -> (Option<i32>, String) {
    let site = format!("https://localhost:{}", proxy.port);
    let authority = proxy.authority();
    let ended = refused(&[], &["doctor", &site, "--ca", authority.to_str().expect("a plain name")]);
    (ended.code, ended.stdout)
}

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn the_doctor_finds_nothing_wrong_with_the_examples() {
    for kind in KINDS {
        // Over a Unix socket the loopback addresses are clients, and have limits like others.
        let (_plume, proxy) = Proxy::over_unix("localhost", kind, "10");
        let (code, report) = examine(&proxy);
        assert_eq!(code, Some(0), "{kind:?}: {report}");
        for line in [
            "ok    tls: the certificate is good",
            "ok    page: ",
            "ok    websocket: is refused with a foreign Origin",
            "ok    ping: ",
            "ok    forwarding: 10 connections, whatever address they claim",
        ] {
            assert!(report.contains(line), "{kind:?}, {line}: {report}");
        }
    }
}

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn the_doctor_names_the_mistakes() {
    for (edit, code, line) in [
        (
            ("        proxy_set_header Host $http_host;\n", ""),
            2,
            "FAIL  websocket: with the page's Origin: 403: let the proxy pass Host on",
        ),
        (
            ("        proxy_set_header Upgrade $http_upgrade;\n", ""),
            2,
            "FAIL  websocket: with the page's Origin: 426: let the proxy pass Upgrade on",
        ),
        (
            (
                "        proxy_set_header Host $http_host;\n",
                "        proxy_set_header Host $http_host;\n        proxy_set_header Origin https://$http_host;\n",
            ),
            2,
            "FAIL  websocket: opens with the Origin https://plume-doctor.invalid",
        ),
        (
            ("server 127.0.0.1:4884;", "server 127.0.0.1:1;"),
            2,
            "FAIL  healthz: 502: the proxy does not reach Plume",
        ),
        // On this machine, where every address is the proxy's own, believing too much looks like trust.
        (
            ("$proxy_add_x_forwarded_for", "$http_x_forwarded_for"),
            1,
            "warn  forwarding: not clear from this machine",
        ),
    ] {
        let plume = Plume::start(&[("PLUME_TRUSTED_PROXIES", "127.0.0.1"), ("PLUME_MAX_PER_ADDRESS", "10")]);
        let proxy = Proxy::start_with(Kind::Nginx, &plume.address().to_string(), &[edit]);
        let (found, report) = examine(&proxy);
        assert_eq!(found, Some(code), "{report}");
        assert!(report.contains(line), "{line}: {report}");
    }
}
