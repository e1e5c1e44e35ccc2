//! The sender of emails: one mailbox (RFC 5322, section 3.4).

use super::values::Checked;
use crate::limits::SITE_NAME_BYTES_MAX;
use email_address::{EmailAddress, Options};
use std::fmt;

/// A bare ASCII address, with or without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    name: Option<String>,
    address: String,
}

impl Sender {
    /// The default sender of a domain.
    pub(crate) fn of_domain(domain: &str) -> Self {
        Self { name: Some("Plume Chat".to_owned()), address: format!("hi@{domain}") }
    }

    /// The name as people read it, not quoted.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address, `local@domain`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The domain of the address.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// The value of a header field, in UTF-8. A name with anything but atoms is quoted (RFC 5322, section 3.2.3).
impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = &self.name else { return f.write_str(&self.address) };
        let is_plain = |char: char| char.is_alphanumeric() || !char.is_ascii() || ATOM_MARKS.contains(char);
        if name.split(' ').all(|word| !word.is_empty() && word.chars().all(is_plain)) {
            return write!(f, "{name} <{}>", self.address);
        }
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        write!(f, "\"{quoted}\" <{}>", self.address)
    }
}

/// Checks a bare email address.
pub(super) fn mailbox(value: &str) -> Checked<String> {
    let must_be = || "an email address such as ada@example.org".to_owned();
    is_address(value).then(|| value.to_owned()).ok_or_else(must_be)
}

/// Parses `Name <local@domain>`, `"Name" <local@domain>` or a bare address. A name that should be quoted may
/// be given as it is; what is more than one mailbox, or none, is refused, and so is a line break, which could
/// inject a header field.
pub(super) fn parse(value: &str) -> Checked<Sender> {
    let value = value.trim();
    let sender = (value.len() <= SENDER_BYTES_MAX && !value.contains(char::is_control)).then(|| split(value));
    sender.flatten().filter(|sender| is_address(&sender.address)).ok_or_else(|| MUST_BE.to_owned())
}

fn split(value: &str) -> Option<Sender> {
    let (name, address) = match value.strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<')?,
        None => ("", value),
    };
    let name = name.trim();
    let name = match unquoted(name) {
        Some(name) => name,
        None if is_one_name(name) => name.to_owned(),
        None => return None,
    };
    Some(Sender { name: (!name.trim().is_empty()).then_some(name), address: address.trim().to_owned() })
}

/// The content of a name that is one quoted string (RFC 5322, section 3.2.4).
fn unquoted(name: &str) -> Option<String> {
    let mut chars = name.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut content = String::new();
    while let Some(char) = chars.next() {
        content.push(match char {
            '"' => return None,
            '\\' => chars.next()?,
            char => char,
        });
    }
    Some(content)
}

/// Whether text before an address, not quoted as a whole, is a name, and not another mailbox or half a quoted
/// string.
fn is_one_name(name: &str) -> bool {
    let separators = |char: char| char.is_whitespace() || ",;:".contains(char);
    let is_list = name.contains([',', ';']) && name.split(separators).any(is_address);
    // With a backslash among quotes it is a quoted string that went wrong.
    let quotes = name.matches('"').count();
    let is_balanced = quotes == 0 || (quotes.is_multiple_of(2) && !name.contains('\\'));
    !is_list && is_balanced && !name.contains(['<', '>'])
}

fn is_address(text: &str) -> bool {
    let options = Options::default().without_display_text().without_domain_literal();
    let is_bare = text.is_ascii() && !text.contains(['"', '(', ')']);
    is_bare && EmailAddress::parse_with_options(text, options).is_ok()
}

const MUST_BE: &str = "one address in ASCII, such as hi@plume.chat or Plume Chat <hi@plume.chat>";
/// The longest address (RFC 5321: 254) and a name before it.
const SENDER_BYTES_MAX: usize = 254 + SITE_NAME_BYTES_MAX;
/// What an atom may contain besides letters and digits (RFC 5322, section 3.2.3).
const ATOM_MARKS: &str = "!#$%&'*+-/=?^_`{|}~";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_is_a_sender_and_its_name_is_quoted_if_it_must_be() {
        let rows = [
            ("hi@plume.chat", None, "hi@plume.chat"),
            (" <hi@plume.chat> ", None, "hi@plume.chat"),
            ("\"\" <hi@plume.chat>", None, "hi@plume.chat"),
            ("plume@localhost", None, "plume@localhost"),
            ("Plume Chat <hi@plume.chat>", Some("Plume Chat"), "Plume Chat <hi@plume.chat>"),
            ("Plume<hi@plume.chat>", Some("Plume"), "Plume <hi@plume.chat>"),
            ("Zoë & 健 <hi@plume.chat>", Some("Zoë & 健"), "Zoë & 健 <hi@plume.chat>"),
            ("Smith, John <hi@plume.chat>", Some("Smith, John"), "\"Smith, John\" <hi@plume.chat>"),
            ("Plume: Chat <hi@plume.chat>", Some("Plume: Chat"), "\"Plume: Chat\" <hi@plume.chat>"),
            ("Plume.chat <hi@plume.chat>", Some("Plume.chat"), "\"Plume.chat\" <hi@plume.chat>"),
            ("Plume (Chat) <hi@plume.chat>", Some("Plume (Chat)"), "\"Plume (Chat)\" <hi@plume.chat>"),
            ("[Plume]; @home <hi@plume.chat>", Some("[Plume]; @home"), "\"[Plume]; @home\" <hi@plume.chat>"),
            ("hi@plume.chat <hi@plume.chat>", Some("hi@plume.chat"), "\"hi@plume.chat\" <hi@plume.chat>"),
            ("Two  blanks <hi@plume.chat>", Some("Two  blanks"), "\"Two  blanks\" <hi@plume.chat>"),
            ("back\\slash <hi@plume.chat>", Some("back\\slash"), "\"back\\\\slash\" <hi@plume.chat>"),
            ("\"Smith, John\" <hi@plume.chat>", Some("Smith, John"), "\"Smith, John\" <hi@plume.chat>"),
            ("\"a@b.org, c\" <hi@plume.chat>", Some("a@b.org, c"), "\"a@b.org, c\" <hi@plume.chat>"),
            ("\"John\" <hi@plume.chat>", Some("John"), "John <hi@plume.chat>"),
            (
                "\"The \\\"Plume\\\" <b>\" <hi@plume.chat>",
                Some("The \"Plume\" <b>"),
                "\"The \\\"Plume\\\" <b>\" <hi@plume.chat>",
            ),
            (
                "Ada \"Countess\" L <hi@plume.chat>",
                Some("Ada \"Countess\" L"),
                "\"Ada \\\"Countess\\\" L\" <hi@plume.chat>",
            ),
        ];
        for (value, name, shown) in rows {
            let sender = parse(value).expect(value);
            assert_eq!((sender.name(), sender.to_string().as_str()), (name, shown), "{value}");
            assert_eq!(parse(shown), Ok(sender), "{value}: what is shown means the same");
        }
        assert_eq!(parse("Plume <hi@mail.plume.chat>").expect("a sender").domain(), "mail.plume.chat");
        assert_eq!(Sender::of_domain("a.example").to_string(), "Plume Chat <hi@a.example>");
    }

    #[test]
    fn what_cannot_be_one_mailbox_is_refused() {
        let rows: [&[&str]; 9] = [
            &["", "Plume", "<>", "Plume <>", "Plume <hi@plume.chat", "Plume hi@plume.chat", "hi@plume.chat>"],
            &["hi@plume.chat, ho@plume.chat", "hi@plume.chat;", "ada@plume.chat, Bob <bob@plume.chat>"],
            &["Ada <ada@plume.chat>, Bob <bob@plume.chat>", "Team: ada@plume.chat, Bob <bob@plume.chat>"],
            &["Team: hi@plume.chat;", "Team: Ada <hi@plume.chat>;", "a <b> <hi@plume.chat>"],
            &["Plume <<hi@plume.chat>>", "\"Plume <hi@plume.chat>", "Plume\" <hi@plume.chat>"],
            &["\"Plume\\\" <hi@plume.chat>", "hi@plume.chat (Plume)", "Plume <hi@plume.chat (comment)>"],
            &["Plume <hi@[127.0.0.1]>", "Plume <h i@plume.chat>", "Plume <hi@plume@chat>"],
            &["Plume <hi@pl\u{fc}me.chat>", "Plume <h\u{ef}@plume.chat>", "Plume\u{0} <hi@plume.chat>"],
            &["Plume\r\nBcc: x <hi@plume.chat>", "Plume <hi@plume.chat>\r\nBcc: x@plume.chat"],
        ];
        let long = format!("{} <hi@plume.chat>", "n".repeat(SENDER_BYTES_MAX));
        for value in rows.concat().into_iter().chain([&*long]) {
            assert!(parse(value).is_err(), "{value}: {:?}", parse(value));
        }
    }
}
