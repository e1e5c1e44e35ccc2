//! Reads a folder that is served instead of the built-in page, once, at the start.

use std::fs;
use std::io;
use std::path::Path;

/// All files below `dir`: their paths relative to it, with `/` between the parts, and their bytes.
///
/// # Errors
/// If a file cannot be read, or the folder holds more than a page could need.
pub fn read(dir: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut bytes = 0;
    let mut folders = vec![(dir.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let path = format!("{prefix}{name}");
            // Follows links: the operator chose them.
            let meta = fs::metadata(entry.path())?;
            if meta.is_dir() {
                if path.split('/').count() > DEPTH_MAX {
                    return Err(io::Error::other("too many folders in folders"));
                }
                folders.push((entry.path(), format!("{path}/")));
                continue;
            }
            bytes += meta.len();
            if files.len() == FILES_MAX || bytes > BYTES_MAX {
                return Err(io::Error::other("more than 1,000 files or 64 MiB"));
            }
            files.push((path, fs::read(entry.path())?));
        }
    }
    Ok(files)
}

/// Files in the folder: they are all kept in memory.
const FILES_MAX: usize = 1_000;
/// Bytes in the folder, for the same reason.
const BYTES_MAX: u64 = 64 << 20;
/// Folders in folders; a link to a folder above would go on for ever.
const DEPTH_MAX: usize = 16;
