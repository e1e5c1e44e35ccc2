//! The lines of a report, and its exit code.

use std::io::Write;

/// How bad the worst line of a report is. Its number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// Everything that was checked is right.
    Fine = 0,
    /// Something should be looked at.
    Warned = 1,
    /// Something does not work.
    Failed = 2,
}

/// Writes lines, and remembers the worst.
pub(super) struct Report<'o> {
    out: &'o mut dyn Write,
    verdict: Verdict,
}

impl<'o> Report<'o> {
    pub(super) fn new(out: &'o mut dyn Write) -> Self {
        Self { out, verdict: Verdict::Fine }
    }

    pub(super) fn ok(&mut self, what: &str, text: &str) {
        self.line(Verdict::Fine, what, text);
    }

    pub(super) fn warn(&mut self, what: &str, text: &str) {
        self.line(Verdict::Warned, what, text);
    }

    pub(super) fn fail(&mut self, what: &str, text: &str) {
        self.line(Verdict::Failed, what, text);
    }

    pub(super) const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What others send may be part of a text: it must not control the terminal.
    pub(super) fn line(&mut self, verdict: Verdict, what: &str, text: &str) {
        let word = match verdict {
            Verdict::Fine => "ok  ",
            Verdict::Warned => "warn",
            Verdict::Failed => "FAIL",
        };
        let text: String = text.chars().map(|char| if char.is_control() { '?' } else { char }).collect();
        self.verdict = self.verdict.max(verdict);
        // If stdout is closed, the exit code still tells the verdict.
        let _ = writeln!(self.out, "{word}  {what}: {text}");
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_line_decides_and_no_line_is_two() {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out);
        assert_eq!(report.verdict(), Verdict::Fine);
        report.warn("a", "b\nFAIL  \u{1b}[2J");
        report.ok("c", "d");
        assert_eq!(report.verdict(), Verdict::Warned);
        report.fail("e", "f");
        report.warn("g", "h");
        assert_eq!(report.verdict(), Verdict::Failed);
        let lines = "warn  a: b?FAIL  ?[2J\nok    c: d\nFAIL  e: f\nwarn  g: h\n";
        assert_eq!(String::from_utf8(out).unwrap(), lines);
    }
}
