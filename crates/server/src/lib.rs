//! Sockets to NBD to block devices: sessions, on tokio.
//!
//! This crate knows no volumes, no media and no configuration. It takes the exports from whoever implements
//! [`Exports`], the protocol from `hotbay-nbd`, and gives each request to a `hotbay_block::Device`.
//!
//! * [`Server`]: binds addresses, accepts connections, stops in order.
//! * [`Sessions`]: who is connected to what, and what they asked for, for a status and for metrics.
//! * `session`: the one loop between a socket and a device; start at its design note.
//! * [`client`]: an NBD client of the same make, for tests and demonstrations.

mod address;
pub mod client;
mod connection;
mod contexts;
mod errno;
mod error;
mod exports;
mod limits;
mod listener;
mod negotiation;
mod server;
mod session;
mod sessions;
mod socket_file;
mod tls;
mod traffic;

pub use address::{ListenAddress, ParseAddressError};
pub use error::BindError;
pub use exports::{Exports, OpenedExport};
pub use hotbay_nbd::ExportDescription;
pub use limits::Limits;
pub use server::Server;
pub use sessions::Sessions;
pub use tls::{
    ClientFiles, Tls, TlsError, TlsFault, TlsFile, TlsFiles, TlsMode, WithoutCertificate,
};
pub use traffic::{ERRORS, Operation, OperationTraffic, Traffic, latency_bounds};
