//! Somebody in the room without a page, who can talk faster than anybody types.

use super::{PATIENCE, Plume, address_of};
use serde_json::{Value, json};
use std::net::TcpStream;
use tungstenite::{Message, WebSocket, client};

/// A member over a plain WebSocket.
pub(crate) struct Bot {
    socket: WebSocket<TcpStream>,
}

impl Bot {
    /// Comes in under this name.
    pub(crate) fn enter(server: &mut Plume, name: &str) -> Self {
        let stream = TcpStream::connect(server.address()).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket has the option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has the option");
        let url = format!("ws://{}/connect", server.address());
        let (socket, _) = client(url, stream).expect("the server speaks WebSocket");
        let mut bot = Self { socket };
        bot.send(&json!({"type": 0, "text": format!("{name}\n{}", address_of(name))}));
        bot.wait(|message| message["type"] == 0);
        bot.send(&json!({"type": 2, "text": server.code_for(name)}));
        bot.wait(|message| message["event"] == "enter" && message["user"]["name"] == name);
        bot
    }

    /// Says these lines, and returns when the room has heard the last.
    pub(crate) fn say(&mut self, lines: impl IntoIterator<Item = String>) {
        let mut last = None;
        for line in lines {
            self.send(&json!({"type": 1, "text": line}));
            last = Some(line);
        }
        if let Some(last) = last {
            self.wait(|message| message["type"] == 1 && message["text"] == last.as_str());
        }
    }

    /// Leaves the room.
    pub(crate) fn leave(mut self) {
        self.send(&json!({"type": 8}));
    }

    fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).expect("the server takes the message");
    }

    fn wait(&mut self, is_it: impl Fn(&Value) -> bool) {
        loop {
            match self.socket.read().expect("the server answers in time") {
                Message::Text(text) if is_it(&serde_json::from_str(&text).expect("JSON")) => return,
                _ => {}
            }
        }
    }
}
