//! Whose address counts: whether a visitor who claims other addresses escapes the limits of its own.
//!
//! It opens connections, each of which claims another address in X-Forwarded-For, until one is refused: by
//! then the limits of this machine's own address have held. If none is refused, claimed addresses are
//! believed, or no limit holds.

use super::connection::Connector;
use super::report::{Report, Verdict};
use super::websocket::{self, Fault, OpenError};
use crate::config::Url;
use crate::limits::ARRIVALS_PER_ADDRESS;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(super) fn check(connector: &Connector, url: &Url, is_proxy: bool, report: &mut Report<'_>) {
    let begun = Instant::now();
    let origin = format!("Origin: {}\r\n", url.origin());
    let mut open = VecDeque::new();
    let mut count = 0;
    // One more than may arrive from one address, whatever PLUME_MAX_PER_ADDRESS is.
    let outcome = (0..=ARRIVALS_PER_ADDRESS).find_map(|n| {
        if begun.elapsed() > WITHIN {
            return Some(Outcome::Unknown);
        }
        if open.len() == HELD_MAX {
            open.pop_front();
        }
        // TEST-NET-2 and TEST-NET-3 (RFC 5737), whose addresses nobody has.
        let claimed = if n < 256 { format!("203.0.113.{n}") } else { format!("198.51.100.{}", n - 256) };
        match websocket::open(connector, url, &format!("{origin}X-Forwarded-For: {claimed}\r\n")) {
            Ok(mut socket) => match websocket::ping(&mut socket) {
                Ok(_) => {
                    open.push_back(socket);
                    count += 1;
                    None
                }
                Err(Fault::Code(1013)) => Some(Outcome::Refused),
                Err(_) => Some(Outcome::Unknown),
            },
            Err(OpenError::Forbidden | OpenError::Other(_)) => Some(Outcome::Unknown),
        }
    });
    let (verdict, text) = judge(&outcome.unwrap_or(Outcome::Admitted), count, is_proxy);
    report.line(verdict, "forwarding", &text);
}

fn judge(outcome: &Outcome, count: usize, is_proxy: bool) -> (Verdict, String) {
    match outcome {
        Outcome::Refused => {
            let text = format!("{count} connections, whatever address they claim in X-Forwarded-For");
            (Verdict::Fine, text)
        }
        Outcome::Unknown => (Verdict::Warned, format!("not clear after {count} connections: try again")),
        Outcome::Admitted if is_proxy => (
            Verdict::Warned,
            "not clear from this machine, whose own addresses count as a proxy's: start the doctor on another one"
                .to_owned(),
        ),
        Outcome::Admitted => (
            Verdict::Failed,
            format!(
                "{count} connections were let in, each with an address of its own making: name the proxy in \
                 PLUME_TRUSTED_PROXIES, and let it append its peer's address to X-Forwarded-For (nginx: \
                 $proxy_add_x_forwarded_for)"
            ),
        ),
    }
}

enum Outcome {
    /// One was refused.
    Refused,
    /// All were let in.
    Admitted,
    /// Something else went wrong.
    Unknown,
}

/// Connections that are open at once: one more than the default of `PLUME_MAX_PER_ADDRESS`, and far fewer
/// than a proxy has. Where that was raised, the limit of arrivals in a minute refuses a later one.
const HELD_MAX: usize = 65;
/// Time for all of these connections.
const WITHIN: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claimed_addresses_that_are_believed_are_a_failure_unless_this_machine_is_a_proxy() {
        for (outcome, is_proxy, expected) in [
            (Outcome::Refused, false, Verdict::Fine),
            (Outcome::Refused, true, Verdict::Fine),
            (Outcome::Admitted, false, Verdict::Failed),
            (Outcome::Admitted, true, Verdict::Warned),
            (Outcome::Unknown, false, Verdict::Warned),
        ] {
            let (verdict, text) = judge(&outcome, 64, is_proxy);
            assert_eq!(verdict, expected, "{text}");
        }
    }
}
