//! Sockets to NBD to block devices: sessions, on tokio.
//!
//! This crate knows no volumes, no media and no configuration. It takes the exports from whoever implements
//! [`Exports`], the protocol from `hotbay-nbd`, and gives each request to a `hotbay_block::Device`.
//!
//! * [`Server`]: binds addresses, accepts connections, stops in order.
//! * [`Sessions`]: who is connected to what, and what they asked for, for a status and for metrics.
//! * `session`: the one loop between a socket and a device; start at its design note.
//! * [`client`]: an NBD client of the same make, for tests and demonstrations.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hotbay_block::MemoryDevice;
//! use hotbay_server::{ExportDescription, Exports, Limits, OpenedExport, Peer, Server, client::Client};
//!
//! struct One(Arc<MemoryDevice>);
//!
//! impl Exports for One {
//!     fn list(&self, _: &Peer) -> Vec<ExportDescription> {
//!         vec![ExportDescription { name: "memory".into(), description: String::new() }]
//!     }
//!
//!     fn open(&self, name: &str, _: &Peer) -> Option<OpenedExport> {
//!         let (name, description, device) = (name.to_owned(), String::new(), self.0.clone());
//!         (name == "memory").then_some(OpenedExport { name, description, device })
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! let directory = tempfile::tempdir().unwrap();
//! let address = format!("unix:{}/nbd.sock", directory.path().display()).parse().unwrap();
//! let exports = Arc::new(One(Arc::new(MemoryDevice::with_content(b"hello".repeat(1000)))));
//! let server = Server::bind(&[address], exports, Limits::default()).await.unwrap();
//! let address = server.addresses().remove(0);
//! tokio::spawn(server.run(std::future::pending()));
//!
//! let client = Client::connect(&address, "memory").await.unwrap();
//! assert_eq!(&client.read(5, 5).await.unwrap()[..], b"hello");
//! # });
//! ```

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
mod peer;
mod server;
mod session;
mod sessions;
mod silence;
mod socket;
mod socket_file;
mod sys;
mod tls;
mod traffic;

pub use address::{ListenAddress, ParseAddressError};
pub use error::BindError;
pub use exports::{Exports, OpenedExport};
pub use hotbay_nbd::ExportDescription;
pub use limits::Limits;
pub use listener::Inherited;
pub use peer::Peer;
pub use server::Server;
pub use sessions::Sessions;
pub use tls::{
    ClientFiles, Tls, TlsError, TlsFault, TlsFile, TlsFiles, TlsInForce, TlsMode,
    WithoutCertificate,
};
pub use traffic::{ERRORS, Operation, OperationTraffic, Traffic, latency_bounds};
