//! The built binary, held to `PROTOCOL.md` and to its settings from outside: with a real WebSocket client,
//! plain HTTP, a mail provider that fails on demand, signals, and a real clock.

mod addresses;
mod bots;
mod data;
mod deletion;
mod doctor;
mod door;
mod http_answers;
mod http_faults;
mod life;
mod lines;
mod lines_curl;
mod lines_follow;
mod login;
mod mail;
mod mail_faults;
mod mail_servers;
mod mail_smtp;
mod malformed;
mod membership;
mod messages;
mod metrics;
mod moderation;
mod old_client;
mod patience;
mod reports;
mod resume;
mod room;
mod service_manager;
mod settings;
mod shutdown;
mod support;
mod tries;
mod unix_socket;
mod upgrade;
