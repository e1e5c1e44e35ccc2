//! Invitations: addresses that moderators let in. They are answered privately, for the room sees no
//! addresses.

use super::grammar::{Command, counted};
use super::{Failure, Outcome};
use crate::limits::INVITATIONS_TOLD_MAX;
use crate::server::Server;
use crate::users::email::{Email, EmailKey};
use crate::users::rules::Rule;

impl Server {
    pub(super) fn invite(&self, arguments: &str) -> Result<Outcome, Failure> {
        let email = address(arguments, Command::Invite)?;
        let rules = self.users.rules();
        let shown = &email;
        let verb = if rules.is_invited(&email) { "is invited already" } else { "is invited" };
        let ban = if rules.is_banned(self.at().moment, &email) { ", but banned; see /bans" } else { "" };
        let answer = format!("{shown} {verb}{ban}.");
        Ok(Outcome::Rule { rule: Rule::Invite(email), answer })
    }

    pub(super) fn uninvite(&self, arguments: &str) -> Result<Outcome, Failure> {
        let email = address(arguments, Command::Uninvite)?;
        let shown = &email;
        if !self.users.rules().is_invited(&email) {
            return Ok(Outcome::Private(format!("{shown} is not invited; see /invites.")));
        }
        let answer = format!("{shown} is not invited any more.");
        Ok(Outcome::Rule { rule: Rule::Uninvite(email), answer })
    }

    pub(super) fn invites(&self) -> String {
        let invitations = self.users.rules().invitations();
        let count = invitations.len();
        let head = match count {
            0 => return "Nobody is invited.".to_owned(),
            count => counted(count, "invitation") + ":",
        };
        let told = invitations.take(INVITATIONS_TOLD_MAX).map(EmailKey::to_string);
        let more = (count > INVITATIONS_TOLD_MAX).then(|| "...".to_owned());
        [head].into_iter().chain(told).chain(more).collect::<Vec<_>>().join("\n")
    }
}

/// The one address that a command takes.
fn address(arguments: &str, command: Command) -> Result<EmailKey, Failure> {
    Email::parse(arguments).map(|email| email.key()).ok_or(Failure::BadCommand(command))
}
