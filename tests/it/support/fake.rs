//! What the fake mail servers share: a listener with a thread for each connection, a state that tests look
//! at, and the end of it all.

use super::{PATIENCE, left_until, listen};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// A server whose state is `S`. It stops when it goes out of scope.
pub(super) struct Fake<S> {
    pub(super) address: SocketAddr,
    shared: Arc<Shared<S>>,
}

pub(super) struct Shared<S> {
    /// The state, and whether the test is over.
    state: Mutex<(S, bool)>,
    changed: Condvar,
}

impl<S: Send + 'static> Fake<S> {
    pub(super) fn start(
        state: S,
        serve: impl Fn(&Shared<S>, TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (listener, address) = listen();
        let shared = Arc::new(Shared { state: Mutex::new((state, false)), changed: Condvar::new() });
        let server = Self { address, shared: Arc::clone(&shared) };
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.lock().1 {
                    break;
                }
                let (shared, serve) = (Arc::clone(&shared), Arc::clone(&serve));
                thread::spawn(move || {
                    // A client that goes away in the middle is no concern of the server.
                    let _gone = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| serve(&shared, stream));
                });
            }
        });
        server
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        look(&self.shared.lock().0)
    }

    /// Waits until the state has something to give.
    pub(super) fn wait<T>(&self, what: &str, mut take: impl FnMut(&mut S) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        loop {
            if let Some(taken) = take(&mut state.0) {
                return taken;
            }
            assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
            state = self.shared.sleep(state, deadline);
        }
    }
}

impl<S> Drop for Fake<S> {
    fn drop(&mut self) {
        self.shared.lock().1 = true;
        self.shared.changed.notify_all();
        // Wakes the thread that accepts, which then sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, (S, bool)> {
        self.state.lock().expect("nobody panics while holding the state")
    }

    fn sleep<'a>(&'a self, state: MutexGuard<'a, (S, bool)>, deadline: Instant) -> MutexGuard<'a, (S, bool)> {
        self.changed.wait_timeout(state, left_until(deadline)).expect("nobody panics").0
    }

    /// Changes the state, which a test may wait for.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        let changed = change(&mut self.lock().0);
        self.changed.notify_all();
        changed
    }

    /// Waits, but not beyond the end of the server; true if that has come.
    pub(super) fn pause(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        while !state.1 && Instant::now() < deadline {
            state = self.sleep(state, deadline);
        }
        state.1
    }
}
