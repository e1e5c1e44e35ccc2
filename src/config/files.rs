//! Reads the files that settings name: secrets and certificates. The only code of `config` that touches a
//! file.

use crate::limits::SETTING_FILE_BYTES_MAX;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Reads a whole file.
///
/// # Errors
/// If it cannot be read, or has more than [`SETTING_FILE_BYTES_MAX`] bytes.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SETTING_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SETTING_FILE_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
