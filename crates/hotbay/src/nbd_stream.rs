//! A connection to an NBD server, up to the end of its negotiation. It blocks: for those whose thread has nothing else
//! to do.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use hotbay_nbd::Dialect;
use hotbay_nbd::client::{ClientError, Goal, Handshake, Opened, Step};

/// What the negotiation receives at a time. A server says nothing behind it before it is asked.
const RECEIVED_BYTES: usize = 4096;

/// A socket of either kind.
#[derive(Debug)]
pub(crate) enum NbdStream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Why an export was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpened {
    /// The connection broke, or the server was silent for too long.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server ended the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server refused, or spoke another protocol.
    #[error(transparent)]
    Refused(#[from] ClientError),
    /// The server said more than it was asked for.
    #[error("the server lost step")]
    OutOfStep,
}

impl NbdStream {
    /// Lets a receive return after this long with nothing; for ever where it is `None`.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn set_read_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(patience),
            Self::Tcp(stream) => stream.set_read_timeout(patience),
        }
    }

    /// The same for what is sent.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn set_write_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_write_timeout(patience),
            Self::Tcp(stream) => stream.set_write_timeout(patience),
        }
    }

    /// Negotiates for an export. Nothing of what follows has been sent or received then.
    ///
    /// # Errors
    /// Where the export is not there, or the connection or the server fails.
    pub(crate) fn open_export(&mut self, export: &str) -> Result<Opened, NotOpened> {
        let goal = Goal::Open { export: export.to_owned(), dialect: Dialect::Simple };
        match advance(self, &mut Handshake::new(goal)?)? {
            Step::Opened(opened) => Ok(opened),
            _ => Err(NotOpened::OutOfStep),
        }
    }
}

/// Negotiates up to the next step that is not to receive. Nothing of what follows it has been sent or received then.
///
/// # Errors
/// Where the server refuses, or it or the connection fails.
pub(crate) fn advance(
    stream: &mut (impl Read + Write),
    handshake: &mut Handshake,
) -> Result<Step, NotOpened> {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut received = [0; RECEIVED_BYTES];
    loop {
        let step = handshake.advance(&mut input, &mut output)?;
        stream.write_all(&output.split())?;
        stream.flush()?;
        match step {
            Step::Receive => {}
            step if input.is_empty() => return Ok(step),
            _ => return Err(NotOpened::OutOfStep),
        }
        match stream.read(&mut received)? {
            0 => return Err(NotOpened::Closed),
            length => input.extend_from_slice(received.get(..length).unwrap_or_default()),
        }
    }
}

impl Read for NbdStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for NbdStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for NbdStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl From<NbdStream> for OwnedFd {
    fn from(stream: NbdStream) -> Self {
        match stream {
            NbdStream::Unix(stream) => stream.into(),
            NbdStream::Tcp(stream) => stream.into(),
        }
    }
}
