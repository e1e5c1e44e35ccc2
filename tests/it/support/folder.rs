//! Folders for temporary files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder for temporary files that is removed with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &[])
    }

    /// One with these files, each with its content.
    pub(crate) fn with(name: &str, files: &[(&str, &[u8])]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short: it may hold a Unix socket, whose path has at most 107 bytes.
        let folder = std::env::temp_dir().join(format!("plume-{name}-{}-{count}", std::process::id()));
        fs::create_dir(&folder).expect("the folder for temporary files is ours");
        for (path, content) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("it is in the folder")).expect("the folder is ours");
            fs::write(path, content).expect("the folder is ours");
        }
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path as a setting.
    pub(crate) fn setting(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in the folder for such things.
        let _left = fs::remove_dir_all(&self.0);
    }
}
