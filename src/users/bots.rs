//! Bots: programs that the settings name. Owns their names, rights and rates; a token is known by its digest
//! alone.

use crate::base::digest::Digest;
use crate::base::time::Moment;
use crate::base::token_bucket::{Rate, TokenBucket};
use crate::settings::{self, Rights};
use crate::users::user_name::{NameKey, TypedName};
use std::rc::Rc;
use std::time::Duration;

/// The number of a bot: its place in the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BotId(usize);

/// All bots; they are the same for the whole run.
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
}

impl Bots {
    pub(crate) fn new(bots: &[settings::Bot]) -> Self {
        let bot = |bot: &settings::Bot| Bot {
            name: bot.name.as_str().into(),
            keys: NameKey::all_of(&bot.name),
            rights: bot.rights,
            token: bot.token,
            lines: TokenBucket::default(),
        };
        Self(bots.iter().map(bot).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bot of a token. Takes the same time whichever it is, and if it is none.
    pub(crate) fn of_token(&self, token: &str) -> Option<BotId> {
        let token = Digest::of(token.as_bytes());
        let is_same = |(place, bot): (usize, &Bot)| bot.token.is(token).then_some(BotId(place));
        self.0.iter().enumerate().map(is_same).fold(None, Option::or)
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
