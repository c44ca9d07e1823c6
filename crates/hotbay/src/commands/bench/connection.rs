//! A connection to an export, past its negotiation. It blocks: a session's thread has nothing else to do.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use hotbay_nbd::client::{Goal, Handshake, Opened, Step};
use hotbay_nbd::uri::{NbdUri, ServerPlace};

use crate::failure::Failure;

/// How long a server may be silent while it is negotiated with.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);

/// What the handshake receives at a time. A server says nothing behind it before it is asked.
const RECEIVED_BYTES: usize = 4096;

/// A socket in the transmission phase.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    opened: Opened,
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    /// Connects to an export.
    ///
    /// # Errors
    /// Where nobody listens, or has no such export.
    pub(super) fn open(uri: &NbdUri) -> Result<Self, Failure> {
        let mut stream = connect(&uri.server).map_err(|error| {
            Failure::new(format!("cannot connect to {uri}: {error}")).with_hint(
                "does a server listen there? 'hotbay status' shows where the daemon does",
            )
        })?;
        let opened = negotiate(&mut stream, &uri.export)
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
        match &self.stream {
            Stream::Unix(stream) => stream.set_read_timeout(Some(patience)),
            Stream::Tcp(stream) => stream.set_read_timeout(Some(patience)),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Unix(stream) => stream.as_fd(),
            Stream::Tcp(stream) => stream.as_fd(),
        }
    }
}

fn connect(server: &ServerPlace) -> io::Result<Stream> {
    match server {
        ServerPlace::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(HANDSHAKE_PATIENCE))?;
            Ok(Stream::Unix(stream))
        }
        ServerPlace::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(HANDSHAKE_PATIENCE))?;
            Ok(Stream::Tcp(stream))
        }
    }
}

fn negotiate(stream: &mut Stream, export: &str) -> Result<Opened, String> {
    let mut handshake =
        Handshake::new(Goal::Open(export.to_owned())).map_err(|error| error.to_string())?;
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut received = [0; RECEIVED_BYTES];
    loop {
        let step = handshake.advance(&mut input, &mut output).map_err(|error| error.to_string())?;
        stream.write_all(&output.split()).map_err(|error| error.to_string())?;
        match step {
            Step::Opened(opened) if input.is_empty() => return Ok(opened),
            Step::Opened(_) | Step::Listed(_) => return Err(String::from("the server lost step")),
            Step::Receive => {}
        }
        match stream.read(&mut received).map_err(|error| error.to_string())? {
            0 => return Err(String::from("the server closed the connection")),
            length => input.extend_from_slice(received.get(..length).unwrap_or_default()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
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
