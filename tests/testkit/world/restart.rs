//! A crash at the end of a life in which names, sessions and rules outlive the process: a server that takes
//! over what was said is compared with the one that said it.

use super::World;
use crate::testkit::client::Phase;
use crate::testkit::codec::message;
use crate::testkit::driver::Driver;
use plume::base::time::{Moment, Now};
use plume::server::Input;
use std::collections::BTreeMap;
use std::time::Duration;

impl World {
    /// What the server has said is all that is to be kept, and a successor makes the same of it: names, bans,
    /// mutes and the other rules hold, and tokens are good that were.
    pub(super) fn check_restart(&mut self) {
        if !self.shell.driver.is_kept {
            return;
        }
        self.tally.count("restart", 1);
        self.shell.driver.handle(Input::Tick);
        self.obey(usize::MAX);
        let now = self.shell.driver.now;
        let live = self.shell.driver.server.kept_entries(now);
        let mut next = Driver::with_site(self.settings.clone(), self.site.clone(), [3; 32]);
        next.now = Now { moment: Moment::from_ms(1), wall_ms: now.wall_ms };
        next.restore(self.shell.driver.kept.clone());
        let restored = next.server.kept_entries(next.now);
        let keys = |entries: &BTreeMap<Vec<u8>, Vec<u8>>| entries.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&restored), keys(&live), "all that holds has come back, and nothing else");
        let timeless = |entries: BTreeMap<Vec<u8>, Vec<u8>>| -> Vec<_> {
            entries.into_iter().filter(|(key, _)| TIMELESS.contains(&key[0])).collect()
        };
        assert!(timeless(restored) == timeless(live), "as it was");
        let members = self.clients.values().filter(|client| client.phase == Phase::Member);
        let in_use: Vec<&String> = members.filter_map(|client| client.session.as_ref()).collect();
        for (name, token) in &self.sessions {
            let answer = resume(&mut next, token);
            let is_in = answer.contains(r#""type":3"#) && answer.contains(&format!(r#""name":"{name}""#));
            assert!(is_in || !in_use.contains(&token), "{name} comes in again: {answer}");
            self.tally.count("resumed after a restart", u64::from(is_in));
        }
        for token in &self.dead_sessions {
            assert!(!resume(&mut next, token).contains(r#""type":3"#), "a session that has ended is over");
        }
    }
}

/// What a guest is answered that shows a token, and goes.
fn resume(driver: &mut Driver, token: &str) -> String {
    driver.now.moment = driver.now.moment.after(Duration::from_secs(1));
    let id = driver.open(0, [203, 0, 113, 1].into());
    driver.receive(id, &message(&format!(r#"{{"type":7,"text":"{token}"}}"#)));
    let answer = String::from_utf8_lossy(&driver.server.unsent(id).concat()).into_owned();
    driver.handle(Input::Broken(id));
    driver.deliver();
    answer
}

/// Names, sessions, invitations, slow mode and the topic: what says nothing of how much time is left.
const TIMELESS: [u8; 5] = [1, 2, 6, 7, 9];
