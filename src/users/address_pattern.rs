//! Patterns of email addresses: one address, a domain, or a domain with all below it. What the operator and
//! moderators name people by at the door.

use super::email::{Domain, Email, EmailKey, Typed};
use crate::base::frost::frost;
use crate::base::hidden::hidden;
use crate::base::keyed_hash::HashKey;
use std::fmt;

/// Which email addresses are meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AddressPattern {
    /// This address, in any case.
    Address(EmailKey),
    /// All addresses of this domain: `@example.org`.
    Domain(Domain),
    /// All addresses of this domain and of those below it: `@.example.org`.
    DomainAndBelow(Domain),
}

frost!(enum AddressPattern { 0 = Address(email), 1 = Domain(domain), 2 = DomainAndBelow(domain) });
hidden!(AddressPattern);

impl AddressPattern {
    /// Parses `ada@example.org`, `@example.org` or `@.example.org`. `None`: it is none of them.
    pub(crate) fn parse(typed: &str) -> Option<Self> {
        let Some(domain) = typed.strip_prefix('@') else {
            return Email::parse(typed).map(|email| Self::Address(email.key()));
        };
        let (domain, has_below) = domain.strip_prefix('.').map_or((domain, false), |domain| (domain, true));
        // A domain is what an address may have behind its `@`, in the same form.
        let email = Email::parse(&format!("x@{domain}"))?.key();
        let domain = Domain::new(email.domains()?.next()?);
        Some(if has_below { Self::DomainAndBelow(domain) } else { Self::Domain(domain) })
    }

    /// The domain that it names, if it is no address.
    pub(crate) fn domain(&self) -> Option<&str> {
        match self {
            Self::Address(_) => None,
            Self::Domain(domain) | Self::DomainAndBelow(domain) => Some(&domain.name),
        }
    }

    /// Whether the address is meant.
    pub(crate) fn matches(&self, email: &EmailKey) -> bool {
        match self {
            Self::Address(own) => own == email,
            Self::Domain(domain) => email.is_at(domain),
            Self::DomainAndBelow(domain) => email.is_at_or_below(domain),
        }
    }

    /// Derives what addresses are compared by that are only known as hashes.
    pub(crate) fn hash_domain(&mut self, key: &HashKey) {
        match self {
            Self::Address(_) => {}
            Self::Domain(domain) | Self::DomainAndBelow(domain) => domain.hash(key),
        }
    }

    /// See [`EmailKey::learn`].
    pub(crate) fn learn(&mut self, typed: &Typed) {
        match self {
            Self::Address(email) => email.learn(typed),
            Self::Domain(_) | Self::DomainAndBelow(_) => {}
        }
    }
}

/// As it is typed, with the address.
impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(email) => email.fmt(f),
            Self::Domain(domain) => write!(f, "@{}", domain.name),
            Self::DomainAndBelow(domain) => write!(f, "@.{}", domain.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_an_address_a_domain_or_what_is_below_it() {
        let rows = [
            ("ada@example.org", "ADA@Example.org", true),
            ("ada@example.org", "ada+x@example.org", false),
            ("@example.org", "eve@EXAMPLE.org", true),
            ("@Example.ORG", "eve@example.org", true),
            ("@example.org", "eve@mail.example.org", false),
            ("@.example.org", "eve@mail.example.org", true),
            ("@.example.org", "eve@example.org", true),
            ("@.example.org", "eve@badexample.org", false),
            ("@bücher.example", "eve@xn--bcher-kva.example", true),
            ("@.xn--bcher-kva.example", "eve@a.BÜCHER.example", true),
        ];
        for (pattern, email, is_meant) in rows {
            let pattern = AddressPattern::parse(pattern).unwrap();
            let email = Email::parse(email).unwrap();
            assert_eq!(pattern.matches(&email.key()), is_meant, "{pattern} {}", email.as_str());
        }
        for typed in ["", "@", "@.", "ada", "invited", "@localhost", "@@example.org", "@a b.org", "@*.org"] {
            assert!(AddressPattern::parse(typed).is_none(), "{typed}");
        }
    }
}
