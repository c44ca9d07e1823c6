//! The NBD protocol as bytes, for both roles.
//!
//! This crate opens no socket, keeps no clock, starts no task and knows nothing of block devices. Bytes go in,
//! bytes and typed values come out, so that everything in it can be tested with tables and fuzzed without a
//! network. Sizes of what it buffers are in [`limits`].
//!
//! * [`ServerHandshake`]: the server's side of the negotiation, with the exports asked for through [`Exports`].
//! * [`client::Handshake`]: the client's side of it.
//! * [`RequestHeader`], [`SimpleReply`]: the transmission phase, for both; [`Chunk`]: the server's structured replies.
//! * [`Dialect`]: what was agreed upon for it.
//! * [`uri::NbdUri`]: where an export is.
//! * [`option`]: one file for each option of the negotiation, with what either role says in it.
//!
//! Written after `doc/proto.md` of the NetworkBlockDevice project; sections are named in the docs of the items.
//!
//! A request on its way, by a socket of whoever has one:
//!
//! ```
//! use bytes::BytesMut;
//! use hotbay_nbd::{Command, CommandFlags, Cookie, Dialect, RequestHeader};
//!
//! let request = RequestHeader {
//!     flags: CommandFlags::default(),
//!     command: Command::Read,
//!     cookie: Cookie(7),
//!     offset: 4096,
//!     length: 512,
//! };
//! let mut wire = BytesMut::new();
//! request.encode(&mut wire, Dialect::Simple);
//! assert_eq!(wire.len(), 28);
//! assert_eq!(RequestHeader::decode(&mut wire, Dialect::Simple).unwrap(), Some(request));
//! assert_eq!(RequestHeader::decode(&mut wire, Dialect::Simple).unwrap(), None, "nothing is left");
//! ```

#![warn(clippy::as_conversions, clippy::indexing_slicing)]

mod chunk;
pub mod client;
mod dialect;
mod error;
mod export;
mod flags;
mod handshake;
pub mod limits;
pub mod option;
mod reply;
mod request;
mod status_payload;
pub mod uri;
pub mod wire;

pub use chunk::{Chunk, ReplyTo};
pub use dialect::Dialect;
pub use error::{ErrorNumber, HandshakeError, WrongMagic};
pub use export::{BlockSizes, Export, ExportDescription, Exports};
pub use flags::{ClientFlags, CommandFlags, HandshakeFlags, TransmissionFlags};
pub use handshake::{Chosen, ServerHandshake, Step};
pub use option::starttls::Tls;
pub use reply::SimpleReply;
pub use request::{Command, Cookie, RequestHeader};
pub use status_payload::StatusPayload;
