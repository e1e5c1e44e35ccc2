//! The resources of the listener for monitoring: the metrics, and a health check. Nothing of the chat is
//! reachable there, and nothing of this at the chat's address.

use crate::http::request::{Method, Request};
use crate::http::site::{Content, Response, Status};

/// Appends the whole response to `out`. Each connection has one request, so the response ends it. `metrics`
/// gives the metrics as text, and is called only for them.
pub fn answer(mut request: Request, metrics: impl FnOnce() -> String, out: &mut Vec<u8>) {
    request.keep_alive = false;
    let request = &request;
    match (request.path.as_str(), request.method) {
        ("/metrics", Method::Get | Method::Head) => Response::begin(Status::OK, out)
            .field("Content-Type", TEXT_FORMAT)
            .field("Cache-Control", "no-store")
            .end(Some(Content::Text(&metrics())), Some(request)),
        ("/healthz", Method::Get | Method::Head) => {
            Response::begin(Status::OK, out).text("ok", Some(request))
        }
        ("/metrics" | "/healthz", Method::Post | Method::Options | Method::Other) => {
            Response::begin(Status::METHOD_NOT_ALLOWED, out)
                .field("Allow", "GET, HEAD")
                .text("Method not allowed\n", Some(request))
        }
        (_, _) => Response::begin(Status::NOT_FOUND, out).text("Not found\n", Some(request)),
    };
}

/// The text format of Prometheus.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::HeadReader;

    fn respond(head: &str) -> String {
        let (_, request) = HeadReader::default().read(head.as_bytes());
        let mut out = Vec::new();
        answer(request.expect("a whole head").expect("a request"), || "plume 1\n".to_owned(), &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn there_are_two_resources_which_can_only_be_read() {
        let metrics = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
        for (request, status, part, body) in [
            ("GET /metrics HTTP/1.1", 200, metrics, "plume 1\n"),
            ("GET /metrics?name=x HTTP/1.1", 200, metrics, "plume 1\n"),
            ("GET /metrics HTTP/1.0", 200, metrics, "plume 1\n"),
            ("HEAD /metrics HTTP/1.1", 200, "Content-Length: 8\r\n", ""),
            ("GET /healthz HTTP/1.1", 200, "Content-Length: 2\r\n", "ok"),
            ("HEAD /healthz HTTP/1.1", 200, "Content-Length: 2\r\n", ""),
            ("POST /metrics HTTP/1.1", 405, "Allow: GET, HEAD\r\n", "Method not allowed\n"),
            ("OPTIONS /metrics HTTP/1.1", 405, "Allow: GET, HEAD\r\n", "Method not allowed\n"),
            ("DELETE /healthz HTTP/1.1", 405, "Allow: GET, HEAD\r\n", "Method not allowed\n"),
            ("GET / HTTP/1.1", 404, "", "Not found\n"),
            ("GET /metrics/ HTTP/1.1", 404, "", "Not found\n"),
            ("GET /connect HTTP/1.1", 404, "", "Not found\n"),
            ("POST /lines HTTP/1.1", 404, "", "Not found\n"),
            ("OPTIONS * HTTP/1.1", 404, "", "Not found\n"),
        ] {
            let response = respond(&format!("{request}\r\nHost: x\r\n\r\n"));
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {response}");
            assert!(response.contains(part), "{request}: {response}");
            assert!(response.contains("\r\nConnection: close\r\n"), "{request}: {response}");
            assert!(response.ends_with(&format!("\r\n\r\n{body}")), "{request}: {response}");
        }
    }
}
