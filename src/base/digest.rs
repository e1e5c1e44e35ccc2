//! SHA-256 digests (FIPS 180-4), compared in constant time: a secret is known by its digest alone.

use crate::base::frost::frost;
use crate::base::hidden::hidden;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::digest::{SHA256, digest};
use std::fmt;
use subtle::ConstantTimeEq;

/// The SHA-256 digest of a secret. Displayed as 64 hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let digest = digest(&SHA256, bytes);
        let mut own = [0; DIGEST_BYTES];
        own.iter_mut().zip(digest.as_ref()).for_each(|(own, byte)| *own = *byte);
        Self(own)
    }

    /// Reads 64 hexadecimal digits, in either case.
    #[must_use]
    pub fn from_hex(written: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(written.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    pub(crate) const fn bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    /// Some of its bits, as a number.
    pub(crate) fn low_bits(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Whether it is the same, in constant time.
    #[must_use]
    pub fn is(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

frost!(struct Digest(bytes));
hidden!(Digest);

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.is(*other)
    }
}

impl Eq for Digest {}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

const DIGEST_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of FIPS 180-4.
    #[test]
    fn digests_are_those_of_the_standard() {
        let rows = [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ];
        for (text, hex) in rows {
            let digest = Digest::of(text.as_bytes());
            assert_eq!(digest.to_string(), hex);
            assert_eq!(Digest::from_hex(&hex.to_uppercase()), Some(digest));
            assert_eq!(format!("{digest:?}"), "Digest(..)");
            for wrong in [&hex[1..], &format!("{hex}0"), &hex.replace('a', "g"), ""] {
                assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
            }
        }
        assert_ne!(Digest::of(b"a"), Digest::of(b"b"));
    }
}
