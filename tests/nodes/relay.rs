//! A line between a node and the engine that a test can slow down, cut, or make a black hole: two Unix
//! sockets with a pair of threads for each connection.

use crate::support::Folder;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Passes connections on to the engine. What it holds ends when it goes out of scope.
pub(crate) struct Relay {
    shared: Arc<Shared>,
    path: PathBuf,
    _folder: Folder,
}

/// What happens to bytes, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// They pass, each chunk after this time.
    Pass(Duration),
    /// Nothing moves and nobody learns why. Whatever was sent meanwhile passes when this is over, as with
    /// TCP, also from connections that one side has given up by then.
    BlackHole,
    /// All connections end, and each new one at once.
    Cut,
    /// The test is over.
    Gone,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    wire: Wire,
    engine: PathBuf,
    /// Both ends of all connections, ended ones too: a test has few.
    streams: Vec<UnixStream>,
}

impl Relay {
    /// A relay to the engine that listens on this Unix socket.
    pub(crate) fn to(engine: &Path) -> Self {
        let folder = Folder::new("relay");
        let path = folder.path().join("sock");
        let listener = UnixListener::bind(&path).expect("the folder is ours");
        let state =
            State { wire: Wire::Pass(Duration::ZERO), engine: engine.to_owned(), streams: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let relay = Self { shared: Arc::clone(&shared), path, _folder: folder };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                match shared.accept(&stream) {
                    Wire::Gone => break,
                    // A dropped stream is a closed one.
                    Wire::Cut | Wire::BlackHole | Wire::Pass(_) => {}
                }
            }
        });
        relay
    }

    /// The setting of a node whose engine is reached through this.
    pub(crate) fn url(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// Lets everything pass, for connections that are there and those that come.
    pub(crate) fn mend(&self) {
        self.set(Wire::Pass(Duration::ZERO));
    }

    /// Delays each chunk, in both directions.
    pub(crate) fn delay(&self, each: Duration) {
        self.set(Wire::Pass(each));
    }

    /// Nothing passes, and nothing ends.
    pub(crate) fn black_hole(&self) {
        self.set(Wire::BlackHole);
    }

    /// Ends all connections, and each new one at once.
    pub(crate) fn cut(&self) {
        self.set(Wire::Cut);
    }

    /// New connections go to another engine, and those to the former end.
    pub(crate) fn lead_to(&self, engine: &Path) {
        let mut state = self.shared.lock();
        engine.clone_into(&mut state.engine);
        state.end_all();
    }

    fn set(&self, wire: Wire) {
        let mut state = self.shared.lock();
        state.wire = wire;
        if matches!(wire, Wire::Cut | Wire::Gone) {
            state.end_all();
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.set(Wire::Gone);
        // Wakes the thread that accepts, which then sees that it is over.
        drop(UnixStream::connect(&self.path));
    }
}

impl State {
    fn end_all(&mut self) {
        for stream in self.streams.drain(..) {
            // Ended by one of its ends, it need not be ended again.
            let _ended = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the state")
    }

    /// Begins to pass a connection on, unless there is no way, and says what state the wire is in.
    fn accept(self: &Arc<Self>, node: &UnixStream) -> Wire {
        let mut state = self.lock();
        if matches!(state.wire, Wire::Pass(_) | Wire::BlackHole) {
            // Where the engine is gone, the stream to the node ends with this function.
            let _refused = UnixStream::connect(&state.engine).and_then(|engine| {
                for (from, to) in [(node, &engine), (&engine, node)] {
                    state.streams.push(from.try_clone()?);
                    let (from, to, shared) = (from.try_clone()?, to.try_clone()?, Arc::clone(self));
                    thread::spawn(move || shared.copy(from, to));
                }
                Ok(())
            });
        }
        state.wire
    }

    fn copy(&self, mut from: UnixStream, mut to: UnixStream) {
        let mut chunk = vec![0; 64 << 10];
        // A broken connection ends as a finished one does.
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            if !self.wait_to_pass() || to.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        // An end passes like bytes.
        self.wait_to_pass();
        let _ended = to.shutdown(Shutdown::Write);
    }

    /// Waits for as long as the wire wants; false: nothing passes any more.
    fn wait_to_pass(&self) -> bool {
        let mut state = self.lock();
        while state.wire == Wire::BlackHole {
            state = self.changed.wait(state).expect("nobody panics while holding the state");
        }
        let wire = state.wire;
        drop(state);
        if let Wire::Pass(delay) = wire {
            thread::sleep(delay);
        }
        matches!(wire, Wire::Pass(_))
    }
}
