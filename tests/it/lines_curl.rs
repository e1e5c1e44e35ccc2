//! `/lines` as the README uses it: with curl.

use crate::support::{Client, PATIENCE, listen, wait_for, with_bot};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

fn curl(arguments: &[&str]) -> String {
    let patience = PATIENCE.as_secs().to_string();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", &patience])
        .args(arguments)
        .output()
        .expect("curl is installed");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn one_line_of_curl_says_a_line_and_one_reads_it() {
    let (server, token) = with_bot("ci", &[]);
    let mut ada = Client::login(&server, "Ada");
    let bearer = format!("Authorization: Bearer {token}");
    let (address, url) = (server.address(), format!("{}lines", server.url()));
    let said: Value = serde_json::from_str(&curl(&["-H", &bearer, "-d", "hello, all", &url])).expect("JSON");
    assert_eq!(ada.expect_line("ci", "hello, all")["id"], said["id"]);
    curl(&["-d", "by the address", &format!("http://bot:{token}@{address}/lines")]);
    ada.expect_line("ci", "by the address");
    curl(&["-u", &format!("x:{token}"), "--json", r#"{"text":"as JSON"}"#, &url]);
    ada.expect_line("ci", "as JSON");
    curl(&["-H", &bearer, "--data-urlencode", r#"payload={"text":"as a hook & more"}"#, &url]);
    ada.expect_line("ci", "as a hook & more");
    // More than a kilobyte: curl may ask first whether it is wanted.
    let long = "x".repeat(20_000);
    curl(&["-H", &bearer, "-H", "Expect: 100-continue", "--data-raw", &long, &url]);
    ada.expect_line("ci", &long);
    let lines = curl(&["-H", &bearer, &format!("{url}?limit=5")]);
    assert_eq!(lines.lines().count(), 5);
    let text =
        curl(&["-H", &bearer, "-H", "Accept: text/plain", &format!("{url}?after={}&limit=1", said["id"])]);
    assert!(text.ends_with("Z ci: by the address\n"), "{text}");
    let status = |arguments: &[&str]| {
        curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], arguments, &[url.as_str()]].concat())
    };
    assert_eq!(status(&["-d", "x"]), "401");
    assert_eq!(status(&["-u", "bot:wrong", "-d", &long]), "401");
    assert_eq!(status(&["-H", &bearer, "-d", ""]), "422");
    assert_eq!(status(&["-H", &bearer, "-X", "DELETE"]), "405");
    assert_eq!(status(&["-H", &bearer, "-I"]), "200");
    assert_eq!(status(&["-H", &bearer, "-H", "Transfer-Encoding: chunked", "-d", "x"]), "400");
    assert_eq!(status(&["-H", &bearer, "-H", "Origin: https://evil.example"]), "403");
    assert_eq!(status(&["-H", &bearer, "--http1.0", "-d", "old"]), "201");
}

#[test]
fn curl_follows_until_the_server_ends_it() {
    let (mut server, token) = with_bot("ci", &[]);
    let mut child = Command::new("curl")
        .args(["--silent", "--no-buffer", "-H", "Accept: text/plain", "-u", &format!("bot:{token}")])
        .arg(format!("{}lines?follow", server.url()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl is installed");
    let mut lines = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
    let mut next = || lines.next().expect("it goes on").expect("text");
    let mut ada = Client::login(&server, "Ada");
    assert!(next().ends_with(" Ada entered chat"));
    ada.say("hello");
    assert!(next().ends_with(" Ada: hello"));
    server.terminate();
    assert_eq!(next(), "-- The server restarts and will be back soon.");
    assert!(child.wait().expect("the child is ours").success(), "the end is whole");
}

/// The loop of the README, as it stands there but for its addresses.
#[test]
fn the_loop_of_the_readme_passes_each_line_on_to_a_webhook() {
    let (server, token) = with_bot("ci", &[]);
    let (hook, hook_address) = listen();
    hook.set_nonblocking(true).expect("a socket has the option");
    let readme = include_str!("../../README.md");
    let recipe = readme.split("```\n").find(|block| block.starts_with("while sleep 1")).expect("a loop");
    let recipe = recipe
        .replace("https://chat.example", &format!("http://{}", server.address()))
        .replace("https://hooks.example", &format!("http://{hook_address}"));
    assert!(!recipe.contains("https:"), "{recipe}");
    let mut shell = Command::new("sh").arg("-c").arg(recipe).env("TOKEN", &token).spawn().expect("a shell");
    let mut ada = Client::login(&server, "Ada");
    // Nobody knows when the loop has begun to follow.
    let (mut stream, _) = wait_for("request to the webhook", || {
        ada.say("say \"hello\" \\ $HOME");
        ada.expect(1);
        hook.accept().ok()
    });
    stream.set_nonblocking(false).expect("a socket has the option");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
    let mut received = String::new();
    while !received.ends_with('}') {
        let mut chunk = [0; 4_096];
        let count = stream.read(&mut chunk).expect("a request");
        assert!(count > 0, "cut off: {received}");
        received.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").expect("it waits");
    shell.kill().expect("the child is ours");
    shell.wait().expect("the child is ours");
    let (head, body) = received.split_once("\r\n\r\n").expect("a head and a body");
    let line: Value = serde_json::from_str(body).expect("one object");
    assert_eq!((&line["type"], &line["text"]), (&1.into(), &"say \"hello\" \\ $HOME".into()), "{head}");
    assert!(head.contains("Content-Type: application/json"), "{head}");
}
