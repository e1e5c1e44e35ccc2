//! The streams over HTTP that follow the room: few in all, and fewer of one bot.

use crate::base::frost::frost;
use crate::http::lines::LinesError;
use crate::ids::ClientId;
use crate::limits::{FOLLOWERS_MAX, FOLLOWERS_PER_BOT_MAX};
use crate::users::bots::BotId;

/// Connections that follow the room, and the bots they count for. At most [`FOLLOWERS_MAX`], so a scan is
/// cheap.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    open: Vec<(ClientId, BotId)>,
}

frost!(struct Followers { open });

impl Followers {
    /// Each connection with its bot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClientId, BotId)> {
        self.open.iter().copied()
    }

    /// Adds a connection.
    ///
    /// # Errors
    /// If there are too many, of the bot or in all.
    pub(crate) fn add(&mut self, id: ClientId, bot: BotId) -> Result<(), LinesError> {
        if self.open.iter().filter(|&&(_, other)| other == bot).count() >= FOLLOWERS_PER_BOT_MAX {
            return Err(LinesError::TooManyFollowersOfBot);
        }
        if self.open.len() >= FOLLOWERS_MAX {
            return Err(LinesError::TooManyFollowers);
        }
        self.open.push((id, bot));
        Ok(())
    }

    /// Removes a connection. Whether it was there.
    pub(crate) fn remove(&mut self, id: ClientId) -> bool {
        let before = self.open.len();
        self.open.retain(|&(follower, _)| follower != id);
        self.open.len() < before
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
