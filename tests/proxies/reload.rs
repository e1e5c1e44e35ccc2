//! A reload of the proxy's configuration while people talk.

use crate::proxy::{Kind, Proxy};
use crate::support::{Plume, wait_for};
use crate::visitor::Visitor;
use serde_json::json;

const TRUST: (&str, &str) = ("PLUME_TRUSTED_PROXIES", "127.0.0.1");

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn nginx_keeps_open_connections_through_a_reload() {
    let plume = Plume::start(&[TRUST]);
    let proxy = Proxy::start(Kind::Nginx, &plume.address().to_string());
    let (mut ada, _) = Visitor::login(&proxy, &plume, "/connect", "Ada");
    let workers = || proxy.workers();
    let before = workers();
    proxy.reload();
    // The former worker stays for the open connection.
    wait_for("second worker", || (workers().len() > before.len()).then_some(()));
    ada.talk("on the line that was open");
    Visitor::login(&proxy, &plume, "/connect", "Bob");
    ada.talk("and after a newcomer");
}

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn caddy_closes_with_1001_and_a_client_takes_up_its_session() {
    let plume = Plume::start(&[TRUST]);
    let proxy = Proxy::start(Kind::Caddy, &plume.address().to_string());
    let (mut ada, token) = Visitor::login(&proxy, &plume, "/connect", "Ada");
    ada.talk("before the reload");
    proxy.reload();
    assert_eq!(ada.wait_close(), Some(1001), "going away: the page comes back at once");
    let mut again = wait_for("connection after the reload", || Visitor::open(&proxy, "/connect").ok());
    again.send(&json!({"type": 7, "text": token}));
    again.wait_for(3);
    again.talk("after the reload");
}

#[test]
#[ignore = "needs nginx, Caddy and HAProxy"]
fn no_proxy_notices_that_the_server_moves_to_its_next_program() {
    for kind in [Kind::Nginx, Kind::Caddy, Kind::Haproxy] {
        let plume = Plume::start(&[TRUST]);
        let proxy = Proxy::start(kind, &plume.address().to_string());
        let (mut ada, _) = Visitor::login(&proxy, &plume, "/connect", "Ada");
        for number in 0..3 {
            ada.talk(&format!("before move {number}"));
            plume.move_on();
            ada.talk(&format!("after move {number}"));
        }
        Visitor::login(&proxy, &plume, "/connect", "Bob");
        ada.talk("and after a newcomer");
    }
}
