//! Kinds of connections that have few places, and of these fewer for one holder: refused connections that are
//! still open for their answer, by client network, and streams over HTTP that follow the room, by bot. So a
//! flood of one holder does not use up what others get.

use crate::base::frost::{Frost, frost};
use crate::ids::ClientId;

/// Open connections of one kind, and the holders that they count for. There are few, so a scan is cheap.
#[derive(Debug)]
pub(crate) struct Quota<H> {
    open: Vec<(ClientId, H)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    ForHolder,
    ForAnybody,
}

frost!([H: Frost] struct Quota<H> { open });

impl<H> Default for Quota<H> {
    fn default() -> Self {
        Self { open: Vec::new() }
    }
}

impl<H: Copy + PartialEq> Quota<H> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClientId, H)> {
        self.open.iter().copied()
    }

    /// Adds a connection, if there are fewer than `max` in all, and than `holder_max` of its holder.
    pub(crate) fn add(
        &mut self,
        id: ClientId,
        holder: H,
        max: usize,
        holder_max: usize,
    ) -> Result<(), NoPlace> {
        if self.open.iter().filter(|&&(_, other)| other == holder).count() >= holder_max {
            return Err(NoPlace::ForHolder);
        }
        if self.open.len() >= max {
            return Err(NoPlace::ForAnybody);
        }
        self.open.push((id, holder));
        Ok(())
    }

    /// Removes a connection. Whether it was there.
    pub(crate) fn remove(&mut self, id: ClientId) -> bool {
        let before = self.open.len();
        self.open.retain(|&(open, _)| open != id);
        self.open.len() < before
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_leaves_places_for_others_and_all_together_have_a_limit() {
        let mut quota = Quota::default();
        let add = |quota: &mut Quota<u64>, serial, holder| quota.add(ClientId::new(0, serial), holder, 20, 5);
        for serial in 0..100 {
            let expected = if serial < 5 { Ok(()) } else { Err(NoPlace::ForHolder) };
            assert_eq!(add(&mut quota, serial, 1), expected, "{serial}");
        }
        for serial in 100..200 {
            let expected = if serial < 115 { Ok(()) } else { Err(NoPlace::ForAnybody) };
            assert_eq!(add(&mut quota, serial, serial), expected, "{serial}");
        }
        assert!(!quota.remove(ClientId::new(0, 99)), "it was never added");
        assert!(quota.remove(ClientId::new(0, 0)) && quota.len() == 19);
        assert_eq!(add(&mut quota, 300, 1), Ok(()));
        assert_eq!(add(&mut quota, 301, 2), Err(NoPlace::ForAnybody));
    }
}
