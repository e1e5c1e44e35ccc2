//! `GET /lines?follow`: a stream of lines that does not end by itself.

use crate::support::{
    Client, Http, Plume, assert_took, bot_request, follow, new_bot, say_as_bot, wait_for, with_bot,
};
use serde_json::Value;
use std::time::Instant;

fn say(server: &Plume, token: &str, text: &str) {
    say_as_bot(server, token, text, None);
}

/// The objects of whole lines.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn a_follower_gets_each_line_when_it_is_said() {
    let (server, token) = with_bot("ci", &[]);
    say(&server, &token, "one");
    say(&server, &token, "two");
    let mut all = follow(&server, &token, "?follow&after=0");
    let mut newest = follow(&server, &token, "?follow=1&limit=1");
    let mut none = follow(&server, &token, "?limit=0&follow");
    for text in ["one", "two"] {
        assert!(all.chunk().expect("goes on").contains(text), "each line is a chunk");
    }
    assert!(newest.chunk().expect("goes on").contains("two"));
    let mut ada = Client::login(&server, "Ada");
    for text in ["three", "four"] {
        ada.say(text);
        ada.expect(1);
        say(&server, &token, text);
        ada.expect(1);
    }
    for follower in [&mut all, &mut newest, &mut none] {
        let mut lines = Vec::new();
        while lines.len() < 5 {
            lines.extend(objects(&follower.chunk().expect("goes on")));
        }
        let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().expect("a text")).collect();
        assert_eq!(texts, ["entered chat", "three", "three", "four", "four"]);
        assert_eq!(lines[2]["bot"], true);
    }
}

#[test]
fn silence_is_broken_by_an_empty_line() {
    let (server, token) = with_bot("ci", &[("PLUME_PING", "1")]);
    let mut follower = follow(&server, &token, "?follow");
    let started = Instant::now();
    for _ in 0..2 {
        assert_eq!(follower.chunk().as_deref(), Some("\n"));
    }
    assert_took(started, 1_800..4_000);
    say(&server, &token, "hello");
    assert!(follower.chunk().expect("goes on").contains("hello"));
}

#[test]
fn a_restart_is_a_notice_behind_the_last_line_and_a_whole_end() {
    let (mut server, token) = with_bot("ci", &[]);
    say(&server, &token, "hello");
    let mut follower = follow(&server, &token, "?follow");
    let mut old = Http::open(&server);
    old.send(bot_request("GET", "?follow", &token, "").replace("HTTP/1.1", "HTTP/1.0"));
    assert_eq!(old.answer_to_head().header("transfer-encoding"), None);
    let mut quiet = follow(&server, &token, "?follow&limit=0");
    // A body that has begun is answered, too.
    let mut poster = Http::open(&server);
    poster.send(bot_request("POST", "", &token, "Expect: 100-continue\r\nContent-Length: 9\r\n"));
    assert_eq!(poster.answer_to_head().status, 100);
    poster.send("half");
    assert_eq!(server.terminate().code(), Some(0));
    let lines = objects(&follower.chunks());
    assert_eq!(
        (lines.len(), &lines[0]["text"], &lines[1]["reason"]),
        (2, &"hello".into(), &"restarting".into())
    );
    follower.expect_end();
    assert!(objects(&old.rest())[1]["reason"] == "restarting");
    assert_eq!(objects(&quiet.chunks())[0]["reason"], "restarting");
    let refused = poster.answer();
    assert_eq!(refused.status, 503);
    refused.must("retry-after");
}

#[test]
fn who_is_lapped_gets_what_it_had_begun_and_a_gap_and_no_end() {
    let (server, token) = with_bot("ci", &[("PLUME_BACKLOG", "1600000")]);
    let mut follower = follow(&server, &token, "?follow");
    let mut text = follow(&server, &token, "?follow&limit=0");
    let long = "x".repeat(60_000);
    // More than the sockets and the ring hold.
    for _ in 0..300 {
        say(&server, &token, &long);
    }
    for follower in [&mut follower, &mut text] {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &Value| line["reason"].is_null()) {
            lines.extend(objects(&follower.chunk().expect("no last chunk")));
        }
        let last = lines.pop().expect("a gap");
        assert_eq!((&last["type"], &last["reason"]), (&6.into(), &"gap".into()));
        let ids: Vec<u64> = lines.iter().map(|line| line["id"].as_u64().expect("an id")).collect();
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<u64>>(), "nothing is left out before it");
        assert!(!ids.is_empty() && ids.len() < 300, "{}", ids.len());
        follower.expect_end();
    }
}

#[test]
fn a_token_has_four_followers_and_one_that_leaves_makes_room_at_once() {
    let (server, token) = with_bot("ci", &[]);
    let mut followers: Vec<Http> = (0..4).map(|_| follow(&server, &token, "?follow")).collect();
    let refused = Http::ask(&server, bot_request("GET", "?follow", &token, ""));
    assert_eq!(refused.status, 429);
    refused.must("retry-after");
    // Nothing else is refused.
    let mut http = Http::open(&server);
    http.send(bot_request("GET", "?limit=5", &token, ""));
    assert_eq!(http.answer_to_head().status, 200);
    assert_eq!(http.chunks(), "");
    http.send(bot_request("HEAD", "?follow", &token, ""));
    assert_eq!(http.answer_to_head().status, 200);
    followers.pop();
    wait_for("place for a follower", || {
        let mut http = Http::open(&server);
        http.send(bot_request("GET", "?follow", &token, ""));
        (http.answer_to_head().status == 200).then_some(())
    });
}

#[test]
fn there_are_sixty_four_followers_at_most() {
    let bots: Vec<(String, String)> =
        (0..17).map(|n| new_bot(&format!("bot-{}", "x".repeat(n + 1)))).collect();
    let entries: Vec<&str> = bots.iter().map(|(_, entry)| entry.as_str()).collect();
    let server = Plume::start(&[("PLUME_BOTS", &entries.join(","))]);
    let _followers: Vec<Http> = bots[..16]
        .iter()
        .flat_map(|(token, _)| [token; 4])
        .map(|token| follow(&server, token, "?follow"))
        .collect();
    let refused = Http::ask(&server, bot_request("GET", "?follow", &bots[16].0, ""));
    assert_eq!(refused.status, 503);
    refused.must("retry-after");
}

/// What follows the request of a follower is no request, however much it is.
#[test]
fn nothing_is_answered_behind_a_follow() {
    let (server, token) = with_bot("ci", &[]);
    let mut http = Http::open(&server);
    let more = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    http.send(bot_request("GET", "?follow&limit=0", &token, "") + &more);
    assert_eq!(http.answer_to_head().must("connection"), "close");
    http.send(&more);
    say(&server, &token, "hello");
    assert!(http.chunk().expect("goes on").contains("hello"));
}
