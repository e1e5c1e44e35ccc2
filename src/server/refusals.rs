//! Refused connections that are still open for their answer: few in all, and fewer of one client network.
//!
//! They do not count among the server's connections. So a flood of connections that must be refused takes no
//! place from anybody, and the flood of one network does not use up the answers that others get.

use crate::base::frost::frost;
use crate::ids::ClientId;
use crate::limits::{REFUSALS_MAX, REFUSALS_PER_ADDRESS};
use std::net::IpAddr;

/// Refused connections that are open, and the client networks they count for. At most [`REFUSALS_MAX`], so a
/// scan is cheap.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    open: Vec<(ClientId, IpAddr)>,
}

frost!(struct Refusals { open });

impl Refusals {
    /// The connections.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ClientId> {
        self.open.iter().map(|&(id, _)| id)
    }

    /// Adds a connection. False if there is no room for it: it must be closed without an answer.
    pub(crate) fn add(&mut self, id: ClientId, network: IpAddr) -> bool {
        let of_network = self.open.iter().filter(|&&(_, other)| other == network).count();
        let has_room = self.open.len() < REFUSALS_MAX && of_network < REFUSALS_PER_ADDRESS;
        if has_room {
            self.open.push((id, network));
        }
        has_room
    }

    /// Removes a connection, if it was refused.
    pub(crate) fn remove(&mut self, id: ClientId) {
        self.open.retain(|&(refused, _)| refused != id);
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_leaves_answers_for_others_and_all_together_have_a_limit() {
        let id = |serial: usize| ClientId::new(0, serial as u64);
        let network = |n: usize| IpAddr::from([203, 0, 113, u8::try_from(n).unwrap()]);
        let mut refusals = Refusals::default();
        for serial in 0..100 {
            assert_eq!(refusals.add(id(serial), network(1)), serial < REFUSALS_PER_ADDRESS, "{serial}");
        }
        let added = (100..200).filter(|&serial| refusals.add(id(serial), network(serial))).count();
        assert_eq!(added, REFUSALS_MAX - REFUSALS_PER_ADDRESS);
        assert_eq!(refusals.len(), REFUSALS_MAX);
        refusals.remove(id(99));
        assert!(!refusals.add(id(300), network(2)), "the one that was removed was never added");
        refusals.remove(id(0));
        assert!(refusals.add(id(301), network(1)) && !refusals.add(id(302), network(2)));
    }
}
