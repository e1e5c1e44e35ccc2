//! HTTP/1.1: bytes to requests, requests to answers. No sockets here: bytes come in as slices.

pub mod assets;
pub mod request;
pub mod site;
