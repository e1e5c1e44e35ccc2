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

    /// What nodes share of users, as bytes. Bots are those of the settings; what is drawn at random, and how
    /// fast users talk, is each node's own.
    pub(crate) fn freeze_shared(&mut self, to: &mut Vec<u8>) {
        let throttles = self.names.take_throttles();
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
        self.names.put_throttles(throttles);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Moment;
    use crate::base::token_bucket::Rate;
    use crate::users::email::Email;
    use crate::users::user_name::UserName;

    #[test]
    fn how_fast_people_talk_is_no_part_of_it_and_stays() {
        let mut users = Users::new(&Settings::default(), [1; 32]);
        let (name, email) = (UserName::parse("Ada").unwrap(), Email::parse("ada@example.org").unwrap());
        let ada = users.names.claim(&name, &email).expect("it is free");
        users.names.connect(ada, None);
        let state = |users: &mut Users| {
            let mut state = Vec::new();
            users.freeze_shared(&mut state);
            state
        };
        let before = state(&mut users);
        let (now, rate) = (Moment::from_ms(5), Rate::per_second(10));
        users.throttle(ada).expect("she is known").charge(now, rate, 1_000);
        assert!(state(&mut users) == before);
        let turn = users.throttle(ada).expect("she is known").wait_for_turn(now, rate, true);
        assert!(turn > Some(now), "the next word has to wait: {turn:?}");
    }
}
