//! Bots: a server with one of them, and what they send to `/lines`.

use super::{Http, Plume, new_bot};
use serde_json::{Value, json};

/// A server with one bot that may do everything, and its token.
pub(crate) fn with_bot(name: &str, variables: &[(&str, &str)]) -> (Plume, String) {
    let (token, entry) = new_bot(name);
    let own = [("PLUME_BOTS", entry.as_str()), ("PLUME_RATE", "1000000")];
    (Plume::start(&[&own, variables].concat()), token)
}

/// A request with a token and further fields, each with its line end.
pub(crate) fn bot_request(method: &str, query: &str, token: &str, fields: &str) -> String {
    format!("{method} /lines{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{fields}\r\n")
}

/// The request that says a line, with its body.
pub(crate) fn bot_post(token: &str, content_type: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let fields = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
    [bot_request("POST", "", token, &fields).as_bytes(), body].concat()
}

/// Says a line. Gives its id.
pub(crate) fn say_as_bot(server: &Plume, token: &str, text: &str, reference: Option<&str>) -> u64 {
    let body = json!({"text": text, "ref": reference}).to_string();
    let answer = Http::ask(server, bot_post(token, "application/json", body));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    answer["id"].as_u64().expect("a line has an id")
}

/// What a bot reads at once, as it is written.
pub(crate) fn read_as_bot(server: &Plume, token: &str, query: &str, accept: &str) -> String {
    let mut http = Http::open(server);
    http.send(bot_request("GET", query, token, &format!("Accept: {accept}\r\n")));
    assert_eq!(http.answer_to_head().status, 200, "{query}");
    http.chunks()
}

/// Begins to follow the room.
pub(crate) fn follow(server: &Plume, token: &str, query: &str) -> Http {
    let mut http = Http::open(server);
    http.send(bot_request("GET", query, token, ""));
    let head = http.answer_to_head();
    assert_eq!((head.status, head.must("x-accel-buffering")), (200, "no"), "{query}");
    assert_eq!((head.must("transfer-encoding"), head.header("content-length")), ("chunked", None));
    http
}
