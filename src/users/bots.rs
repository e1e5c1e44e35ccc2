//! Bots: programs that the settings name. Owns their names, rights and rates; a token is known by its digest
//! alone.

use crate::base::digest::Digest;
use crate::base::frost::{Frost, Frozen, Refill, frost};
use crate::base::sorted::map_of;
use crate::base::time::Moment;
use crate::base::token_bucket::{Rate, TokenBucket};
use crate::settings::{self, Rights};
use crate::users::user_name::{NameKey, TypedName};
use std::mem;
use std::rc::Rc;
use std::time::Duration;

/// The number of a bot: its place in the table, which it keeps for the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BotId(usize);

/// All bots, in the order of the settings. A successor may have other settings: a bot keeps its place then,
/// also one that is not named any more, and new ones stand behind.
#[derive(Debug)]
pub(crate) struct Bots(Vec<Bot>);

#[derive(Debug)]
struct Bot {
    name: Rc<str>,
    keys: Vec<NameKey>,
    rights: Rights,
    token: Digest,
    /// How fast it talks.
    lines: TokenBucket,
    standing: Standing,
}

/// What the settings of this process say of a bot that a predecessor may have known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is new, or has the token that it had.
    Same,
    /// It has another token: whoever came with the former one may not stay.
    NewToken,
    /// They do not name it.
    Removed,
}

frost!(struct BotId(place));
// What a bot may do, and what it is found by, come from the settings.
frost!(struct Bot { name, token, lines } but {
    keys: Vec::new(),
    rights: Rights::default(),
    standing: Standing::Removed,
});

impl Refill for Bots {
    fn freeze_state(&self, to: &mut Vec<u8>) {
        let Self(bots) = self;
        bots.freeze(to);
    }

    fn refill(&mut self, from: &mut Frozen<'_>) -> Option<()> {
        let mut bots = Vec::<Bot>::thaw(from)?;
        let own = mem::take(&mut self.0).into_iter();
        let mut own = map_of(own.map(|bot| (bot.name.clone(), bot)));
        for bot in &mut bots {
            if let Some(own) = own.remove(&bot.name) {
                let standing = if own.token == bot.token { Standing::Same } else { Standing::NewToken };
                *bot = Bot { lines: bot.lines, standing, ..own };
            }
        }
        bots.extend(own.into_values());
        self.0 = bots;
        Some(())
    }
}

impl BotId {
    #[cfg(test)]
    pub(crate) const fn first() -> Self {
        Self(0)
    }

    /// Its place in the table.
    pub(crate) fn number(self) -> u64 {
        self.0 as u64
    }
}

impl Bots {
    pub(crate) fn new(bots: &[settings::Bot]) -> Self {
        let bot = |bot: &settings::Bot| Bot {
            name: bot.name.as_str().into(),
            keys: NameKey::all_of(&bot.name),
            rights: bot.rights,
            token: bot.token,
            lines: TokenBucket::default(),
            standing: Standing::Same,
        };
        Self(bots.iter().map(bot).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|bot| bot.standing == Standing::Removed)
    }

    /// The bot of a token. Takes the same time whichever it is, and if it is none.
    pub(crate) fn of_token(&self, token: &str) -> Option<BotId> {
        let token = Digest::of(token.as_bytes());
        let is_same = |(place, bot): (usize, &Bot)| bot.token.is(token).then_some(BotId(place));
        let bots = self.0.iter().enumerate().filter(|(_, bot)| bot.standing != Standing::Removed);
        bots.map(is_same).fold(None, Option::or)
    }

    /// The bot that a typed name means: whose name it is, or looks like.
    pub(crate) fn named(&self, typed: &TypedName) -> Option<BotId> {
        let is_meant =
            |bot: &Bot| typed.may_mean(&bot.name) && bot.keys.iter().any(|key| typed.keys.contains(key));
        self.0.iter().position(is_meant).map(BotId)
    }

    /// The bot of exactly this name.
    pub(crate) fn of_name(&self, name: &str) -> Option<BotId> {
        self.0.iter().position(|bot| &*bot.name == name).map(BotId)
    }

    pub(crate) fn name(&self, bot: BotId) -> Option<Rc<str>> {
        self.0.get(bot.0).map(|bot| bot.name.clone())
    }

    /// Whether a connection that a predecessor let in as this bot may stay: its token is still good.
    pub(crate) fn may_stay(&self, bot: BotId) -> bool {
        self.0.get(bot.0).is_some_and(|bot| bot.standing == Standing::Same)
    }

    pub(crate) fn rights(&self, bot: BotId) -> Rights {
        self.0.get(bot.0).map_or(Rights::default(), |bot| bot.rights)
    }

    /// Takes tokens for a line, into debt if need be.
    ///
    /// # Errors
    /// How long to wait, if there is a debt already.
    pub(crate) fn charge(
        &mut self,
        now: Moment,
        bot: BotId,
        rate: Rate,
        tokens: u64,
    ) -> Result<(), Duration> {
        let Some(bot) = self.0.get_mut(bot.0) else { return Ok(()) };
        let wait = bot.lines.wait_for_token(now, rate);
        if wait.is_zero() {
            bot.lines.take_in_debt(now, rate, tokens);
            return Ok(());
        }
        Err(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bots() -> Bots {
        let rights = [Rights { say: true, read: false }, Rights { say: false, read: true }];
        let settings = ["ci-bot", "log"].into_iter().zip(rights).map(|(name, rights)| settings::Bot {
            name: name.to_owned(),
            rights,
            token: Digest::of(format!("token of {name}").as_bytes()),
        });
        Bots::new(&settings.collect::<Vec<_>>())
    }

    #[test]
    fn a_bot_is_found_by_its_whole_token_and_by_what_looks_like_its_name() {
        let bots = bots();
        assert_eq!(bots.of_token("token of ci-bot"), Some(BotId(0)));
        assert_eq!(bots.of_token("token of log"), Some(BotId(1)));
        for wrong in ["", "token of lo", "token of log ", "Token of log"] {
            assert_eq!(bots.of_token(wrong), None, "{wrong}");
        }
        let named = |typed: &str| bots.named(&TypedName::read(typed));
        assert_eq!((named("Ci Bot"), named("@1og"), named("logger")), (Some(BotId(0)), Some(BotId(1)), None));
        assert_eq!(bots.name(BotId(0)).as_deref(), Some("ci-bot"));
        assert_eq!(bots.rights(BotId(1)), Rights { say: false, read: true });
        assert_eq!((bots.name(BotId(2)), bots.rights(BotId(2))), (None, Rights::default()));
    }

    #[test]
    fn each_bot_has_a_rate_of_its_own() {
        let mut bots = bots();
        let (rate, at) = (Rate::per_second(2), Moment::from_ms);
        assert_eq!(bots.charge(at(0), BotId(0), rate, 1), Ok(()));
        assert_eq!(bots.charge(at(0), BotId(0), rate, 3), Ok(()), "into debt");
        assert_eq!(bots.charge(at(0), BotId(0), rate, 1), Err(Duration::from_millis(1_500)));
        assert_eq!(bots.charge(at(0), BotId(1), rate, 1), Ok(()));
        assert_eq!(bots.charge(at(1_500), BotId(0), rate, 1), Ok(()));
        let mut bots = self::bots();
        for _ in 0..2 {
            assert_eq!(bots.charge(at(0), BotId(1), Rate::per_second(0), 99), Ok(()), "no rate");
        }
    }
}
