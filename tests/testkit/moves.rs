//! A server that moves to another process now and then, between any two calls, and a trace of all that it
//! says: two lives of one seed, of which one moves, have the same trace.

use plume::base::digest::Digest;
use plume::base::time::Now;
use plume::http::site::Site;
use plume::ids::ClientId;
use plume::server::{Output, Server};
use plume::settings::Settings;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// What a server has said so far, and when it moves.
pub(crate) struct Moves {
    settings: Settings,
    site: Site,
    /// Chooses when the server moves; `None`: it stays. Its choices are apart from those of the world.
    rng: Option<ChaCha8Rng>,
    /// Calls until it moves.
    calls_left: Option<u32>,
    count: u64,
    /// What was said in this step.
    said: Vec<u8>,
    /// A digest of what was said in each step.
    trace: Vec<Digest>,
}

impl Moves {
    /// Moves, as the seed says, a server that has these settings and this site; without a seed it stays.
    pub(crate) fn new(settings: Settings, site: Site, seed: Option<u64>) -> Self {
        Self {
            settings,
            site,
            rng: seed.map(ChaCha8Rng::seed_from_u64),
            calls_left: None,
            count: 0,
            said: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// A step begins. In one of ten steps the server moves.
    pub(crate) fn begin_step(&mut self) {
        if let Some(rng) = &mut self.rng
            && rng.random_range(0..10) == 0
        {
            self.calls_left = Some(rng.random_range(0..CALLS_TO_MOVE_MAX));
        }
    }

    /// A call begins.
    pub(crate) fn begin_call(&mut self, server: &mut Server) {
        self.calls_left = match self.calls_left {
            Some(0) => {
                let parcel = server.freeze();
                // The seed is of no use to a successor.
                let successor = Server::thaw(&parcel, self.settings.clone(), self.site.clone(), [0; 32]);
                *server = successor.expect("a parcel of this version thaws");
                self.count += 1;
                None
            }
            Some(calls) => Some(calls - 1),
            None => None,
        };
    }

    pub(crate) fn note_output(&mut self, output: Option<&Output>) {
        self.said.extend_from_slice(format!("{output:?}").as_bytes());
        // What no log may show.
        if let Some(Output::Mail(mail)) = output {
            self.said.extend_from_slice(format!("{}\n{}\n{}", mail.to, mail.name, mail.code).as_bytes());
        }
    }

    pub(crate) fn note_bytes(&mut self, id: ClientId, bytes: &[u8]) {
        self.said.extend_from_slice(format!("{id:?}").as_bytes());
        self.said.extend_from_slice(bytes);
    }

    /// Notes what the server answers when it is asked, and ends the step.
    pub(crate) fn end_step(&mut self, server: &Server, now: Now) {
        self.said.extend_from_slice(format!("{:?}", server.next_deadline()).as_bytes());
        // Numbers that were wrong once stay wrong.
        if self.trace.len().is_multiple_of(METRICS_EVERY) {
            self.said.extend_from_slice(format!("{:?}", server.metrics(now)).as_bytes());
        }
        for id in server.connections() {
            let facts = [server.is_blocked(id), server.wants_read(id)];
            self.said.extend_from_slice(format!("{id:?} {facts:?}").as_bytes());
        }
        self.said.extend_from_slice(format!("{:?}", server.mails_under_way().len()).as_bytes());
        self.trace.push(Digest::of(&self.said));
        self.said.clear();
    }

    pub(crate) fn trace(&self) -> &[Digest] {
        &self.trace
    }

    /// How often the server has moved.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

/// Steps from one look at the metrics to the next.
const METRICS_EVERY: usize = 8;
/// About as many calls as a step has.
const CALLS_TO_MOVE_MAX: u32 = 30;
