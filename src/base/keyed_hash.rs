//! HMAC-SHA256 (RFC 2104), cut to 16 bytes: what is only compared and must not be readable from a copy is
//! kept as such a hash. Whoever has the hashes and not the key learns nothing, however short the list of
//! candidates is.

use crate::base::frost::{Frost, Frozen, frost};
use crate::base::hidden::hidden;
use crate::limits::SECRET_BYTES;
use ring::hmac::{HMAC_SHA256, Key, sign};

/// The key of all hashes that are compared with each other.
#[derive(Clone)]
pub(crate) struct HashKey {
    secret: [u8; KEY_BYTES],
    key: Key,
}

hidden!(HashKey);

/// What is hashed: equal texts of different kinds have different hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Address,
    Domain,
    Token,
}

/// A hash. What stands for a secret is compared by its owner, in constant time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyedHash([u8; HASH_BYTES]);

impl HashKey {
    pub(crate) fn new(secret: [u8; KEY_BYTES]) -> Self {
        Self { key: Key::new(HMAC_SHA256, &secret), secret }
    }

    /// Whether it is the same key.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.secret == other.secret
    }

    /// The hash of these bytes.
    pub(crate) fn hash(&self, kind: Kind, bytes: &[u8]) -> KeyedHash {
        let label: u8 = match kind {
            Kind::Address => 1,
            Kind::Domain => 2,
            Kind::Token => 3,
        };
        let tag = sign(&self.key, &[&[label], bytes].concat());
        let mut own = [0; HASH_BYTES];
        own.iter_mut().zip(tag.as_ref()).for_each(|(own, byte)| *own = *byte);
        KeyedHash(own)
    }
}

impl KeyedHash {
    pub(crate) const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    pub(crate) const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }
}

frost!(struct KeyedHash(bytes));
hidden!(KeyedHash);

impl Frost for HashKey {
    fn freeze(&self, to: &mut Vec<u8>) {
        self.secret.freeze(to);
    }

    fn thaw(from: &mut Frozen<'_>) -> Option<Self> {
        Frost::thaw(from).map(Self::new)
    }
}

/// 128 bits: no two of a million million addresses share a hash but by a chance of one in 2^48, and a token
/// has no more.
pub(crate) const HASH_BYTES: usize = 16;
const _: () = assert!(HASH_BYTES == SECRET_BYTES, "a hash stands in the place of a secret");
/// As long as the hash of SHA-256: more adds nothing.
const KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// The expected one is `hmac` of Python's standard library, with the kind in front of the text.
    #[test]
    fn hashes_are_hmac_sha256_and_depend_on_key_kind_and_text() {
        let key = HashKey::new([7; 32]);
        let hash = key.hash(Kind::Address, b"ada@example.org");
        assert_eq!(HEXLOWER.encode(hash.as_bytes()), "78c1a9561d5e71af218dc37d6c72d3ba");
        let others = [
            key.hash(Kind::Domain, b"ada@example.org"),
            key.hash(Kind::Address, b"ada@example.com"),
            HashKey::new([8; 32]).hash(Kind::Address, b"ada@example.org"),
        ];
        assert_eq!(hash, key.hash(Kind::Address, b"ada@example.org"));
        assert!(others.iter().all(|other| hash != *other));
        assert_eq!(format!("{key:?} {hash:?}"), "HashKey(..) KeyedHash(..)");
    }
}
