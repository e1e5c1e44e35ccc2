//! What the engine says of itself in reply to INFO.

use crate::base::digest::Digest;
use crate::log_event::EngineError;

/// The value of a field: INFO has lines `field:value`, and titles that begin with `#`.
pub(crate) fn field<'a>(info: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = info.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?;
    str::from_utf8(value).ok()
}

/// Which process the engine is (the section `server`).
///
/// # Errors
/// If it is older than Redis 5, which was the first with streams, or does not say.
pub(crate) fn process(info: &[u8]) -> Result<&str, EngineError> {
    // Valkey has this field too, with a version of Redis that it is like.
    let version = field(info, "redis_version").ok_or(EngineError::Protocol)?;
    let major: u64 =
        version.split('.').next().and_then(|major| major.parse().ok()).ok_or(EngineError::Protocol)?;
    if major < VERSION_MIN {
        return Err(EngineError::TooOld);
    }
    field(info, "run_id").filter(|id| !id.is_empty()).ok_or(EngineError::Protocol)
}

/// Which history the engine's data has (the section `replication`).
///
/// # Errors
/// If it follows another engine, or does not say.
pub(crate) fn history(info: &[u8]) -> Result<&str, EngineError> {
    match field(info, "role") {
        Some("master") => {}
        Some(_) => return Err(EngineError::ReadOnly),
        None => return Err(EngineError::Protocol),
    }
    field(info, "master_replid").filter(|id| !id.is_empty()).ok_or(EngineError::Protocol)
}

/// A digest of process and history: another one means that entries may be gone, or that others stand in their
/// places. Both are needed: a process that has followed another one for a moment has that one's entries.
pub(crate) fn stamp(process: &str, history: &str) -> u64 {
    let digest = Digest::of(format!("{history} {process}").as_bytes());
    digest.bytes().iter().take(8).fold(0, |stamp, &byte| stamp << 8 | u64::from(byte))
}

/// The first version of Redis with streams.
const VERSION_MIN: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrun_id_2:no\r\n";

    #[test]
    fn a_process_says_its_version_and_its_id() {
        let rows = [
            (SERVER, Ok("abc")),
            ("redis_version:5.0.0\nrun_id:abc", Ok("abc")),
            ("valkey_version:8.0.1\r\nredis_version:7.2.4\r\nrun_id:x\r\n", Ok("x")),
            ("redis_version:10\r\nrun_id:x\r\n", Ok("x")),
            ("redis_version:4.0.14\r\nrun_id:x\r\n", Err(EngineError::TooOld)),
            ("redis_version:4.0.14\r\n", Err(EngineError::TooOld)),
            ("redis_version:x.1\r\nrun_id:x\r\n", Err(EngineError::Protocol)),
            ("redis_version:7.0.15\r\nrun_id:\r\n", Err(EngineError::Protocol)),
            ("redis_version:7.0.15\r\n", Err(EngineError::Protocol)),
            ("x_redis_version:7.0.15\r\nrun_id:x\r\n", Err(EngineError::Protocol)),
            ("", Err(EngineError::Protocol)),
        ];
        for (info, expected) in rows {
            assert_eq!(process(info.as_bytes()), expected, "{info:?}");
        }
        assert_eq!(process(b"redis_version:7\r\nrun_id:\xff\r\n"), Err(EngineError::Protocol));
    }

    #[test]
    fn a_replica_is_read_only() {
        let rows = [
            ("role:master\r\nmaster_replid:abc\r\nmaster_replid2:0\r\n", Ok("abc")),
            ("role:slave\r\nmaster_replid:abc\r\n", Err(EngineError::ReadOnly)),
            ("role:replica\r\n", Err(EngineError::ReadOnly)),
            ("role:master\r\n", Err(EngineError::Protocol)),
            ("master_replid:abc\r\n", Err(EngineError::Protocol)),
        ];
        for (info, expected) in rows {
            assert_eq!(history(info.as_bytes()), expected, "{info:?}");
        }
    }

    /// Nodes of all versions must agree on it. By sha256sum of "b a".
    #[test]
    fn a_stamp_is_the_beginning_of_a_digest_of_both() {
        assert_eq!(stamp("a", "b"), 0xbeed_b4a7_ba34_c4ea);
        assert_ne!(stamp("a", "b"), stamp("b", "a"));
        assert_ne!(stamp("a", "b"), stamp("a", "c"));
    }
}
