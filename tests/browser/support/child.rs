//! A browser, or a server that it needs, as a child process with a folder of its own; nothing of either is
//! left behind.

use super::{TempDir, wait_for};
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process with those that it starts, which share a group; then its folder.
pub(crate) struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts a program that may write into `folder`.
    pub(crate) fn start(
        program: &OsStr,
        arguments: impl IntoIterator<Item = OsString>,
        variables: &[(&str, &str)],
        folder: TempDir,
    ) -> Self {
        let output = File::create(folder.path().join(OUTPUT)).expect("the folder is ours");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", BOUND_TO_STDIN]).arg(program).args(arguments).envs(variables.iter().copied());
        // Whatever it keeps elsewhere goes into the folder, and so away with it.
        for variable in ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            command.env(variable, folder.path());
        }
        let child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a file can have two owners"))
            .stderr(output)
            .spawn()
            .expect("a shell starts");
        Self { child, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has written to stdout and stderr.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.folder().join(OUTPUT)).unwrap_or_default()
    }

    /// Waits for something that the process gives away; it must not end before.
    pub(crate) fn wait_for<T>(&mut self, mut look: impl FnMut(&Self) -> Option<T>, what: &str) -> T {
        let output = self.folder().join(OUTPUT);
        let output = || fs::read_to_string(&output).unwrap_or_default();
        let look = || {
            let is_running = self.child.try_wait().is_ok_and(|status| status.is_none());
            assert!(is_running, "it ended without {what}: {}", output());
            look(self)
        };
        wait_for(look, || format!("no {what}: {}", output()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has an id");
        // Gone already is as good; and `wait` frees the id only after the whole group was told.
        let _gone = kill_process_group(group, Signal::KILL);
        let _status = self.child.wait();
    }
}

/// A shell that becomes the program, after it has started another that ends them all when stdin ends: it does
/// with the test, even where that is interrupted and cleans nothing up. (Behind `&`, stdin would be empty at
/// once.)
const BOUND_TO_STDIN: &str =
    r#"exec 3<&0; { read -r _; kill -KILL 0; } <&3 & exec "$0" "$@" 3<&- </dev/null"#;
/// What the program says itself, in its folder.
const OUTPUT: &str = "output.txt";
