//! A connection to an export, past its negotiation. It blocks: a session's thread has nothing else to do.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hotbay_nbd::client::Opened;
use hotbay_nbd::uri::{NbdUri, ServerPlace};

use crate::failure::Failure;
use crate::nbd_stream::NbdStream;

/// How long a server may be silent while it is negotiated with.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);

/// A socket in the transmission phase.
#[derive(Debug)]
pub(super) struct Connection {
    stream: NbdStream,
    opened: Opened,
}

impl Connection {
    /// Connects to an export.
    ///
    /// # Errors
    /// Where nobody listens, or has no such export.
    pub(super) fn open(uri: &NbdUri) -> Result<Self, Failure> {
        if uri.tls.is_some() {
            return Err(Failure::new(format!(
                "{uri} is in TLS, which 'hotbay bench' does not speak"
            )));
        }
        let mut stream = connect(&uri.server).map_err(|error| {
            Failure::new(format!("cannot connect to {uri}: {error}"))
                .with_hint(
                    "does a server listen there? 'hotbay status' shows where the daemon does",
                )
                .with_hint_if_denied(
                    &error,
                    "connect as the user that the server runs as, or as root",
                )
        })?;
        let opened = stream
            .open_export(&uri.export)
            .map_err(|why| Failure::new(format!("cannot open the export at {uri}: {why}")))?;
        Ok(Self { stream, opened })
    }

    /// What the server said of the export.
    pub(super) const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Lets a receive return after this long with nothing.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_patience(Some(patience))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn connect(server: &ServerPlace) -> io::Result<NbdStream> {
    let stream = match server {
        ServerPlace::Unix(path) => NbdStream::Unix(UnixStream::connect(path)?),
        ServerPlace::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port))?;
            stream.set_nodelay(true)?;
            NbdStream::Tcp(stream)
        }
    };
    stream.set_read_patience(Some(HANDSHAKE_PATIENCE))?;
    Ok(stream)
}
