//! The Chrome `DevTools` Protocol over one WebSocket: JSON calls with their answers, and what pages complain
//! about in between. Knows nothing of pages but the name of their session.

use super::PATIENCE;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::time::Instant;
use tungstenite::{Message, WebSocket, client};

/// A connection to the browser, which carries the sessions of all its pages.
pub(crate) struct Devtools {
    socket: WebSocket<TcpStream>,
    last_id: u64,
    /// What no page may say: errors, warnings, broken policies, dialogs.
    complaints: Vec<Complaint>,
}

struct Complaint {
    text: String,
    /// The browser could not reach the server, which is what some tests are about.
    is_network: bool,
}

impl Devtools {
    /// `path` names the browser, and is a secret that nothing but its folder tells.
    pub(crate) fn connect(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the browser listens");
        stream.set_nodelay(true).expect("a TCP socket has the option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = client(url, stream).expect("the browser speaks WebSocket");
        Self { socket, last_id: 0, complaints: Vec::new() }
    }

    /// Calls `method` of the browser, or of a page where a session is named. An error is the browser's own
    /// words.
    pub(crate) fn call(&mut self, session: &str, method: &str, params: &Value) -> Result<Value, String> {
        self.last_id += 1;
        let mut call = json!({"id": self.last_id, "method": method, "params": params});
        if !session.is_empty() {
            call["sessionId"] = session.into();
        }
        self.socket.send(Message::text(call.to_string())).expect("the browser runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut message = self.next();
            if message["id"] == self.last_id {
                return match message["error"]["message"].as_str() {
                    Some(error) => Err(format!("{method}: {error}")),
                    None => Ok(message["result"].take()),
                };
            }
            self.hear(&message);
            assert!(Instant::now() < deadline, "no answer to {call}; heard {:?}", self.complaints());
        }
    }

    /// What pages have said that none may say.
    pub(crate) fn complaints(&self) -> Vec<&str> {
        self.complaints.iter().map(|complaint| complaint.text.as_str()).collect()
    }

    /// Takes the complaints out, for a test that provoked them.
    pub(crate) fn take_complaints(&mut self) -> Vec<String> {
        self.complaints.drain(..).map(|complaint| complaint.text).collect()
    }

    /// Forgives what was said about a server that could not be reached.
    pub(crate) fn forgive_network(&mut self) {
        self.complaints.retain(|complaint| !complaint.is_network);
    }

    fn next(&mut self) -> Value {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).expect("it speaks JSON"),
                Ok(_) => {}
                Err(error) => panic!("no answer from the browser: {error}; heard {:?}", self.complaints()),
            }
        }
    }

    /// Keeps of all events those that are complaints.
    fn hear(&mut self, event: &Value) {
        let params = &event["params"];
        let is_network = params["entry"]["source"] == "network"
            || params["entry"]["text"]
                .as_str()
                .is_some_and(|text| text.starts_with("WebSocket connection to"));
        let is_complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Page.javascriptDialogOpening") => true,
            Some("Runtime.consoleAPICalled") => is_grave(&params["type"]),
            Some("Log.entryAdded") => is_grave(&params["entry"]["level"]),
            _ => false,
        };
        if is_complaint {
            self.complaints.push(Complaint { text: params.to_string(), is_network });
        }
    }
}

/// The console's levels that a page must not reach.
fn is_grave(level: &Value) -> bool {
    matches!(level.as_str(), Some("error" | "warning" | "assert"))
}
