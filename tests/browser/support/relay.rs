//! A line between browser and server that can be cut: what a tunnel, a sleeping laptop or a lost radio does.

use crate::harness::listen;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// Passes connections on to a server. Its thread ends with the test process.
pub(crate) struct Relay {
    address: SocketAddr,
    line: Arc<Mutex<Line>>,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    ToServer,
    ToBrowser,
}

#[derive(Default)]
struct Line {
    is_cut: bool,
    /// What goes this way is lost without a word, by [`Way`].
    is_lossy: [Arc<AtomicBool>; 2],
    /// Both ends of all connections, ended ones too: a test has few.
    streams: Vec<TcpStream>,
}

impl Relay {
    /// A relay that may change each request head on its way, as proxies do. (A browser sends a head at once.)
    pub(super) fn to(server: SocketAddr, rewrite: fn(&mut Vec<u8>)) -> Self {
        let (listener, address) = listen();
        let line = Arc::new(Mutex::default());
        let relay = Self { address, line: Arc::clone(&line) };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut line = lock(&line);
                if !line.is_cut {
                    line.pass(&stream, server, rewrite).expect("the server listens");
                }
            }
        });
        relay
    }

    /// Where the page is, through this.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Ends all connections, and each new one at once.
    pub(crate) fn cut(&self) {
        let mut line = lock(&self.line);
        line.is_cut = true;
        for stream in line.streams.drain(..) {
            // Ended by one of its ends, it need not be ended again.
            let _ended = stream.shutdown(Shutdown::Both);
        }
    }

    /// Loses all that goes one way from now on. Only a cut can follow, for a stream with a hole is none.
    pub(crate) fn lose(&self, way: Way) {
        lock(&self.line).is_lossy[way as usize].store(true, Ordering::Relaxed);
    }

    /// Makes all good for the connections that come.
    pub(crate) fn mend(&self) {
        let mut line = lock(&self.line);
        line.is_cut = false;
        line.is_lossy = Default::default();
    }
}

impl Line {
    fn pass(&mut self, client: &TcpStream, server: SocketAddr, rewrite: fn(&mut Vec<u8>)) -> io::Result<()> {
        let server = &TcpStream::connect(server)?;
        for (way, from, to) in [(Way::ToServer, client, server), (Way::ToBrowser, server, client)] {
            from.set_nodelay(true)?;
            self.streams.push(from.try_clone()?);
            let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
            let is_lossy = Arc::clone(&self.is_lossy[way as usize]);
            thread::spawn(move || {
                // A broken connection ends as a finished one does.
                let _error = match way {
                    Way::ToServer => copy(&mut from, &mut to, &is_lossy, rewrite),
                    Way::ToBrowser => copy(&mut from, &mut to, &is_lossy, |_| {}),
                };
                let _ended = to.shutdown(Shutdown::Write);
            });
        }
        Ok(())
    }
}

fn copy(
    from: &mut TcpStream,
    to: &mut TcpStream,
    is_lossy: &AtomicBool,
    rewrite: fn(&mut Vec<u8>),
) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let count = from.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        if !is_lossy.load(Ordering::Relaxed) {
            let mut bytes = chunk[..count].to_vec();
            if bytes.starts_with(b"GET ") {
                rewrite(&mut bytes);
            }
            to.write_all(&bytes)?;
        }
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().expect("nobody panics while holding the line")
}
