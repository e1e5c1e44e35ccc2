//! Reads a directory to serve instead of the built-in page, once at start. Keeps nothing.

use std::fs;
use std::io;
use std::path::Path;

/// All files below `dir`, by relative path with `/` as separator, and their bytes. Hidden files are skipped.
///
/// # Errors
/// If a file cannot be read, or the directory holds more than a page could need.
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
            // Follows symlinks: the operator chose them.
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

/// Most files in the directory: they are all kept in memory.
const FILES_MAX: usize = 1_000;
/// Most bytes in the directory, for the same reason.
const BYTES_MAX: u64 = 64 << 20;
/// Deepest nesting of directories; a symlink to a parent directory would recurse forever.
const DEPTH_MAX: usize = 16;
