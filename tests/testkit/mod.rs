//! What tests, benches and fuzz targets share: a server in memory with everything around it.
//!
//! - [`codec`]: the client's side of the bytes, written apart from the server's.
//! - [`driver`]: a server, its clock and its emails, whose sockets take everything at once.
//! - [`shell`]: the event loop in memory, with sockets that have buffers and limits, on top of the driver.
//! - [`moves`]: a server that moves to another process between any two calls, and what it says.
//! - [`parcel`]: a server from any bytes that are perhaps a parcel.
//! - [`hostile_log`]: a server whose log says whatever bytes say.
//! - [`model_engine`]: the engine that holds the log of several nodes, with faults.
//! - [`world`]: people and faults around a shell. Its choices come from a seed or from the bytes of a fuzz
//!   target ([`choices`]), what each client must be sent is checked by [`client`], and what all of them may
//!   have by [`ledger`].

pub(crate) mod choices;
pub(crate) mod client;
pub(crate) mod codec;
pub(crate) mod driver;
pub(crate) mod hostile_log;
pub(crate) mod ledger;
pub(crate) mod model_engine;
pub(crate) mod moves;
pub(crate) mod offers;
pub(crate) mod parcel;
pub(crate) mod shell;
pub(crate) mod tally;
pub(crate) mod world;
