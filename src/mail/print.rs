//! Prints login codes on stderr instead of sending them: for development.

use crate::logger::Logger;
use crate::login_email::Mail;

pub(super) fn print(mail: &Mail, logger: &mut Logger) {
    logger.line(&format!("login code for @{}: {}", mail.name, mail.code));
}
