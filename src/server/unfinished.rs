//! Messages that have begun and not ended: what they may hold together. When it is too much, the biggest
//! holder gives way: the client address, then the user, then the connection that holds most. A client that
//! uploads one message never is, as long as an attacker holds more.

use super::client::Client;
use super::client_addresses::AddressId;
use crate::ids::ClientId;
use crate::limits::UNFINISHED_BYTES_MAX;
use crate::users::names::UserId;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    bytes: usize,
}

/// Bytes that one connection holds of it.
#[derive(Debug, Default)]
pub(crate) struct Share(u32);

/// Whose bytes count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Address(AddressId),
    User(UserId),
    /// A guest whose client address is not known.
    Connection(ClientId),
}

impl Unfinished {
    /// Notes what a connection holds; zero where it stands between two messages, or is gone.
    pub(crate) fn hold(&mut self, share: &mut Share, bytes: usize) {
        let held = std::mem::replace(share, Share(u32::try_from(bytes).unwrap_or(u32::MAX)));
        self.bytes = self.bytes.saturating_sub(held.bytes()).saturating_add(share.bytes());
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_too_much(&self) -> bool {
        self.bytes > UNFINISHED_BYTES_MAX
    }
}

impl Share {
    pub(crate) const fn bytes(&self) -> usize {
        self.0 as usize
    }
}

/// The connection that has to give way.
pub(crate) fn biggest<'a>(clients: impl Iterator<Item = &'a Client>) -> Option<ClientId> {
    let holding = clients.filter(|client| client.unfinished.bytes() > 0).collect();
    let of_address =
        biggest_group(holding, |client| client.address.map_or_else(|| user_of(client), Holder::Address));
    let of_user = biggest_group(of_address, user_of);
    of_user.into_iter().max_by_key(|client| client.unfinished.bytes()).map(|client| client.id)
}

fn user_of(client: &Client) -> Holder {
    let member = client.membership();
    member.map_or(Holder::Connection(client.id), |member| Holder::User(member.user))
}

fn biggest_group(clients: Vec<&Client>, holder_of: impl Fn(&Client) -> Holder) -> Vec<&Client> {
    let mut groups: BTreeMap<Holder, (usize, Vec<&Client>)> = BTreeMap::new();
    for client in clients {
        let (bytes, group) = groups.entry(holder_of(client)).or_default();
        *bytes += client.unfinished.bytes();
        group.push(client);
    }
    groups.into_values().max_by_key(|&(bytes, _)| bytes).map(|(_, group)| group).unwrap_or_default()
}
