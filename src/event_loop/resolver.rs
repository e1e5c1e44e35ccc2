//! Asks the system for the addresses of a host, on a thread: its resolver may block for a minute.

use crate::limits::ENGINE_ADDRESSES_MAX;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// Asks for the addresses of one host. At most one thread at a time: while it is busy, others that ask get
/// its answer.
pub(super) struct Resolver {
    host: String,
    port: u16,
    /// Called by the thread when an answer is there. It must not panic.
    wake: Arc<dyn Fn() + Send + Sync>,
    sender: Sender<Vec<SocketAddr>>,
    answers: Receiver<Vec<SocketAddr>>,
    is_busy: bool,
}

impl Resolver {
    pub(super) fn new(host: String, port: u16, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (sender, answers) = mpsc::channel();
        Self { host, port, wake, sender, answers, is_busy: false }
    }

    /// Asks. Returns whether an answer will come.
    pub(super) fn ask(&mut self) -> bool {
        if !self.is_busy {
            let (host, port, sender, wake) =
                (self.host.clone(), self.port, self.sender.clone(), Arc::clone(&self.wake));
            let look_up = move || {
                let found = (host.as_str(), port).to_socket_addrs();
                let addresses = found.map(|found| found.take(ENGINE_ADDRESSES_MAX).collect());
                // Fails after the loop has ended.
                if sender.send(addresses.unwrap_or_default()).is_ok() {
                    wake();
                }
            };
            self.is_busy = thread::Builder::new().name("plume-resolver".to_owned()).spawn(look_up).is_ok();
        }
        self.is_busy
    }

    /// The answer, if it has come; without addresses if the host has none.
    pub(super) fn answer(&mut self) -> Option<Vec<SocketAddr>> {
        let answer = self.answers.try_recv().ok()?;
        self.is_busy = false;
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_answer_comes_once_for_all_that_asked() {
        let (sender, woken) = mpsc::channel();
        let wake = move || {
            let _ended = sender.send(());
        };
        let mut resolver = Resolver::new("localhost".to_owned(), 7, Arc::new(wake));
        assert_eq!(resolver.answer(), None);
        for _ in 0..2 {
            assert!(resolver.ask() && resolver.ask());
            woken.recv_timeout(Duration::from_mins(1)).expect("it wakes the loop");
            let addresses = resolver.answer().expect("it is there");
            assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 7));
            assert!(!addresses.is_empty() && addresses.len() <= ENGINE_ADDRESSES_MAX);
            assert_eq!(resolver.answer(), None);
        }
    }

    #[test]
    fn a_host_that_is_not_known_has_no_addresses() {
        let (sender, woken) = mpsc::channel();
        // Reserved for this (RFC 6761, section 6.4).
        let wake = move || {
            let _ended = sender.send(());
        };
        let mut resolver = Resolver::new("no-such-host.invalid".to_owned(), 7, Arc::new(wake));
        assert!(resolver.ask());
        woken.recv_timeout(Duration::from_mins(1)).expect("it wakes the loop");
        assert_eq!(resolver.answer(), Some(Vec::new()));
    }
}
