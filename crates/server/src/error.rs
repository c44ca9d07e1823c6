//! Why a server does not start.

use std::io;

use crate::ListenAddress;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another server answers there.
    #[error("another server is listening on {address}")]
    InUse {
        /// Where.
        address: ListenAddress,
    },
    /// Something that is not a socket is at the path.
    #[error("there is a file that is not a socket at {address}")]
    NotASocket {
        /// Where.
        address: ListenAddress,
    },
    /// The system refuses.
    #[error("cannot listen on {address}")]
    Io {
        /// Where.
        address: ListenAddress,
        /// Why.
        source: io::Error,
    },
}
