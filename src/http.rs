//! HTTP/1.1, sans-I/O: parses bytes into requests and encodes responses. Owns the parser and the page's
//! files; never touches sockets, clocks or the file system.

pub mod assets;
pub(crate) mod lines;
pub mod metrics;
pub mod request;
pub mod site;
