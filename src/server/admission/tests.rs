use super::*;
use crate::limits::{CLOSE_TIMEOUT, DRAIN_TIMEOUT, REFUSALS_MAX, REFUSALS_PER_ADDRESS};
use crate::server::Input;
use crate::server::tests::House;

#[test]
fn a_flood_of_one_address_takes_neither_places_nor_answers_from_others() {
    let mut house = House::new(20, 2);
    let flood: Vec<ClientId> = (0..200).map(|_| house.connect("203.0.113.5")).collect();
    assert!(flood[..2].iter().all(|&id| house.has_place(id)), "so many have a place");
    let answered = flood[2..].iter().filter(|&&id| house.is_answered(id, b"HTTP/1.1 503 ")).count();
    assert_eq!(answered, REFUSALS_PER_ADDRESS);
    let unanswered = &flood[2 + REFUSALS_PER_ADDRESS..];
    assert_eq!(house.closed, unanswered, "the others are closed at once");
    assert!(unanswered.iter().all(|&id| !house.server.has_connection(id)));
    // Another address still gets both places and answers, and so does this one when its answers are over.
    assert!((0..2).all(|_| {
        let id = house.connect("203.0.113.6");
        house.has_place(id)
    }));
    let id = house.connect("203.0.113.6");
    assert!(house.is_answered(id, b"HTTP/1.1 503 "));
    house.pass(DRAIN_TIMEOUT);
    let id = house.connect("203.0.113.5");
    assert!(house.is_answered(id, b"HTTP/1.1 503 "));
}

#[test]
fn a_full_server_answers_a_few_and_closes_the_rest_until_there_is_a_place() {
    let mut house = House::new(3, 9);
    let inside: Vec<ClientId> = (0..3).map(|n| house.connect(&format!("203.0.113.{n}"))).collect();
    let refused: Vec<ClientId> = (0..90).map(|n| house.connect(&format!("198.51.100.{n}"))).collect();
    let answered = refused.iter().filter(|&&id| house.is_answered(id, b"HTTP/1.1 503 ")).count();
    assert_eq!((answered, house.closed.len()), (REFUSALS_MAX, refused.len() - REFUSALS_MAX));
    assert_eq!(house.server.clients.admitted(), 3);
    house.tell(Input::Broken(inside[0]));
    let id = house.connect("198.51.100.200");
    assert!(house.has_place(id), "a place is free although all answers are open");
    house.pass(DRAIN_TIMEOUT);
    assert_eq!(house.server.clients.refused(), 0);
}

#[test]
fn a_flood_by_way_of_a_proxy_takes_no_places_either() {
    let mut house = House::new(20, 2);
    let flood: Vec<ClientId> = (0..200).map(|_| house.upgrade("10.0.0.1", Some("203.0.113.5"))).collect();
    let told = flood.iter().filter(|&&id| house.is_answered(id, &[0x88, 2, 0x03, 0xf5])).count();
    assert_eq!(told, REFUSALS_PER_ADDRESS, "told 1013");
    assert_eq!(house.closed, flood[2 + REFUSALS_PER_ADDRESS..], "the others are closed at once");
    assert_eq!(house.server.clients.admitted(), 2);
    for n in 10..28 {
        let id = house.upgrade("10.0.0.1", Some(&format!("203.0.113.{n}")));
        assert!(house.has_place(id), "{n}");
    }
    house.pass(CLOSE_TIMEOUT);
    assert_eq!(house.server.clients.refused(), 0);
}

#[test]
fn clients_that_a_proxy_does_not_name_share_the_limits_of_its_own_address() {
    for told in [None, Some(""), Some("unknown"), Some("_hidden"), Some("unix:"), Some("203.0.113.5, x")] {
        let mut house = House::new(20, 2);
        let all: Vec<ClientId> = (0..10).map(|_| house.upgrade("10.0.0.1", told)).collect();
        let inside = all.iter().filter(|&&id| house.has_place(id)).count();
        assert_eq!(inside, 2, "{told:?}");
        let elsewhere = house.upgrade("10.0.0.2", told);
        assert!(house.has_place(elsewhere), "{told:?} by another proxy");
        let named = house.upgrade("10.0.0.1", Some("203.0.113.5"));
        assert!(house.has_place(named), "one with an address, after {told:?}");
        let warnings = house.notes.iter().filter(|note| matches!(note, LogEvent::SilentProxy(_))).count();
        assert_eq!(warnings, 1, "{told:?}");
    }
}

#[test]
fn the_two_warnings_of_proxies_are_told_apart() {
    for is_unknown_first in [true, false] {
        let mut house = House::new(90, 90);
        for n in 0..4 {
            if (n % 2 == 0) == is_unknown_first {
                house.upgrade("127.0.0.1", Some("203.0.113.5"));
            } else {
                house.upgrade("10.0.0.1", None);
            }
        }
        let count = |is_kind: fn(&LogEvent) -> bool| house.notes.iter().filter(|note| is_kind(note)).count();
        assert_eq!(count(|note| matches!(note, LogEvent::UnknownProxy(_))), 1);
        assert_eq!(count(|note| matches!(note, LogEvent::SilentProxy(_))), 1);
    }
}

#[test]
fn the_log_tells_members_and_guests_apart() {
    let mut house = House::new(90, 90);
    let guest = house.upgrade("127.0.0.1", None);
    house.tell(Input::Broken(guest));
    assert_eq!(house.notes.last(), Some(&LogEvent::GuestClosed(guest, CloseReason::PeerGone)));
    let visitor = house.connect("127.0.0.1");
    house.tell(Input::Broken(visitor));
    assert_eq!(house.notes.last(), Some(&LogEvent::HttpClosed(visitor, CloseReason::PeerGone)));
}

#[test]
fn a_connection_that_comes_into_a_slot_ends_the_one_that_had_it() {
    let mut house = House::new(90, 1);
    let former = house.connect("203.0.113.5");
    let latter = ClientId::new(former.slot(), 7);
    house.tell(Input::Accepted { id: latter, peer: "203.0.113.5".parse().unwrap() });
    assert!(house.has_place(latter), "and counts for its address in the place of the former one");
    assert_eq!((house.server.clients.len(), house.closed.as_slice()), (1, &[former][..]));
    house.tell(Input::Broken(former));
    assert!(house.has_place(latter), "what is told of the former one is ignored");
}
