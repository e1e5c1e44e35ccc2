//! A server whose memory, descriptors and processor time are watched from outside, by way of /proc.

use crate::support::{PATIENCE, Plume, raise_file_limit, wait_for};
use std::fs;
use std::ops::Deref;
use std::time::Duration;

/// A running server.
pub(crate) struct Watched(Plume);

impl Watched {
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_after(":", variables)
    }

    /// The same after `preparation` in a shell, which then becomes the server.
    pub(crate) fn start_after(preparation: &str, variables: &[(&str, &str)]) -> Self {
        // The tests open many connections at once, and all of them in one process.
        raise_file_limit();
        Self(Plume::start_after(preparation, variables))
    }

    /// Its open descriptors.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the process is ours").count()
    }

    /// Waits until it has no more descriptors than so many: nobody has left one behind.
    pub(crate) fn wait_for_files(&self, files: usize) {
        wait_for(&format!("return to {files} descriptors"), || (self.files() <= files).then_some(()));
    }

    /// Its memory, in KiB, as far as it is not the kernel's.
    pub(crate) fn memory_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that its memory has been so far, in KiB.
    pub(crate) fn memory_peak_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Bytes that the kernel holds for it in sockets that nobody reads, in KiB.
    pub(crate) fn unsent_kib(&self) -> u64 {
        let local = format!("0100007F:{:04X}", self.address().port());
        let table = fs::read_to_string("/proc/net/tcp").expect("the system tells");
        // proc(5): local address, remote address, state, and then the queues, `tx:rx`, all in hexadecimal.
        let rows = table.lines().map(|line| line.split_whitespace().skip(1).collect::<Vec<&str>>());
        let ours = rows.filter(|row| row.first() == Some(&&*local) && row[2] != LISTENING);
        let queues = ours.map(|row| row[3].split(':').next().expect("a queue has two ends"));
        queues.map(|bytes| u64::from_str_radix(bytes, 16).expect("a number")).sum::<u64>() >> 10
    }

    /// The processor time that it has used, in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Duration {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the process is ours");
        // The name of the program stands in parentheses; proc(5) counts from it: utime is field 14, stime
        // field 15.
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|field| field.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The processor time that it has used since it was `before`.
    pub(crate) fn cpu_since(&self, before: Duration) -> Duration {
        self.cpu().saturating_sub(before)
    }

    fn status(&self, name: &str) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process is ours");
        let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
        value.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Deref for Watched {
    type Target = Plume;

    fn deref(&self) -> &Plume {
        &self.0
    }
}

impl std::ops::DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Plume {
        &mut self.0
    }
}

/// Asserts that the memory has grown by no more than this since it was `before`, all in KiB.
pub(crate) fn assert_grown_by(before: u64, after: u64, most: u64) {
    let grown = after.saturating_sub(before);
    assert!(grown <= most, "{grown} KiB more than before: from {before} KiB to {after} KiB");
}

/// The state of a socket that listens, in proc(5).
const LISTENING: &str = "0A";

const _: () = assert!(PATIENCE.as_secs() > 7, "the server waits up to five seconds for a peer to end");
