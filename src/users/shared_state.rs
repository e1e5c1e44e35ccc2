//! What several nodes share of users, and what is each node's own.

use super::{Users, run_of};
use crate::base::frost::{Frost, Frozen, Refill, freeze_fields};
use crate::base::time::Now;
use crate::kept::Change;
use crate::settings::Settings;
use std::mem;

impl Users {
    /// Another run begins.
    pub(crate) fn begin_run(&mut self, run: u64) {
        self.run = run_of(run);
    }

    /// What nodes share of users, as bytes. Bots are those of the settings, and what is drawn at random is
    /// each node's own.
    pub(crate) fn freeze_shared(&self, to: &mut Vec<u8>) {
        let Self {
            names,
            sessions,
            logins,
            mail_limits,
            rules,
            reports,
            bots: _,
            keeper: _,
            rng: _,
            run,
            room,
        } = self;
        freeze_fields(to, |to| {
            names.freeze_state(to);
            sessions.freeze_state(to);
            logins.freeze_state(to);
            mail_limits.freeze_state(to);
            rules.freeze_state(to);
            reports.freeze_state(to);
            run.freeze(to);
            room.freeze(to);
        });
    }

    /// Takes what nodes share of users. `None`: the bytes are none of it, and this value is of no use.
    pub(crate) fn refill_shared(&mut self, from: &mut Frozen<'_>) -> Option<()> {
        let mut fields = from.fields()?;
        fields.refill(&mut self.names)?;
        fields.refill(&mut self.sessions)?;
        fields.refill(&mut self.logins)?;
        fields.refill(&mut self.mail_limits)?;
        fields.refill(&mut self.rules)?;
        fields.refill(&mut self.reports)?;
        fields.refill(&mut self.run)?;
        fields.refill(&mut self.room)?;
        self.link()
    }

    /// Keeps of the former users what is this node's own. Gives what changes in what outlives the process;
    /// `None`: nothing is kept any more, see [`Users::keep_on`].
    pub(crate) fn keep_own(
        &mut self,
        now: Now,
        settings: &Settings,
        former: &mut Self,
    ) -> Option<Vec<Change>> {
        mem::swap(&mut self.bots, &mut former.bots);
        mem::swap(&mut self.rng, &mut former.rng);
        self.keep_on(now, settings, former)
    }

    /// Forgets how fast users have talked: each node counts for itself.
    pub(crate) fn reset_throttles(&mut self) {
        self.names.reset_throttles();
    }
}
