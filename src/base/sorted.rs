//! Sets and maps in order, filled one by one. `collect` would sort the items first, and each type of item
//! would have a sorting algorithm of its own: 4 KB of the binary for each of them, 100 KB in all.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn set_of<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    items.into_iter().for_each(|item| {
        set.insert(item);
    });
    set
}

/// Of two items with one key the last stays.
pub(crate) fn map_of<K: Ord, V>(items: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    items.into_iter().for_each(|(key, value)| {
        map.insert(key, value);
    });
    map
}
