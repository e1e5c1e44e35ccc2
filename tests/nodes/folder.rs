//! Folders for temporary files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder for temporary files that is removed with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short: it holds a Unix socket, whose path has at most 107 bytes.
        let folder = std::env::temp_dir().join(format!("plume-{name}-{}-{count}", std::process::id()));
        fs::create_dir(&folder).expect("the folder for temporary files is ours");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.0);
    }
}
