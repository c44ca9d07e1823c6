//! A connection to an export, past its negotiation, in the clear or in TLS. It blocks: a session's thread has nothing else to do.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hotbay_block::with_sources;
use hotbay_nbd::Dialect;
use hotbay_nbd::client::{Goal, Handshake, Opened, Step};
use hotbay_nbd::uri::{NbdUri, ServerPlace, UriTls};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};

use super::encrypted::Encrypted;
use crate::failure::Failure;
use crate::nbd_stream::{NbdStream, NotOpened, advance};

/// How long a server may be silent while it is negotiated with.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);

/// A socket in the transmission phase.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    opened: Opened,
}

/// What bytes go over.
#[derive(Debug)]
enum Wire {
    Clear(NbdStream),
    Tls(Box<Encrypted>),
}

impl Connection {
    /// Connects to an export.
    ///
    /// # Errors
    /// Where nobody listens, or has no such export, or TLS does not come about.
    pub(super) fn open(uri: &NbdUri) -> Result<Self, Failure> {
        let stream = connect(&uri.server).map_err(|error| {
            Failure::new(format!("cannot connect to {uri}: {error}"))
                .with_hint(
                    "does a server listen there? 'hotbay status' shows where the daemon does",
                )
                .with_hint_if_denied(
                    &error,
                    "connect as the user that the server runs as, or as root",
                )
        })?;
        let cannot = |why| Failure::new(format!("cannot open the export at {uri}: {why}"));
        match &uri.tls {
            None => open_in_the_clear(stream, uri).map_err(|why| cannot(why.to_string())),
            Some(tls) => open_in_tls(stream, uri, tls).map_err(cannot),
        }
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
        self.wire.socket().set_read_patience(Some(patience))
    }

    /// Sends what goes without waiting; tells how many bytes that are.
    ///
    /// # Errors
    /// [`Errno::AGAIN`] where nothing goes, and those of the system.
    pub(super) fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.wire {
            Wire::Clear(socket) => Ok(send_now(socket, pieces)?),
            Wire::Tls(encrypted) => encrypted.send(pieces),
        }
    }

    /// Sends what `send` has taken and the socket has not; whether nothing of that is left.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match &mut self.wire {
            Wire::Clear(_) => Ok(true),
            Wire::Tls(encrypted) => encrypted.flush(),
        }
    }

    /// Receives what there is; where there is nothing, waits for it as long as the patience lasts, unless the flags forbid it.
    ///
    /// # Errors
    /// [`Errno::AGAIN`] where nothing came, and those of the system and of TLS.
    pub(super) fn receive(&mut self, room: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        match &mut self.wire {
            Wire::Clear(socket) => Ok(recv(socket, room, flags)?.1),
            Wire::Tls(encrypted) => encrypted.receive(room, flags),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.socket().as_fd()
    }
}

impl Wire {
    const fn socket(&self) -> &NbdStream {
        match self {
            Self::Clear(socket) => socket,
            Self::Tls(encrypted) => encrypted.socket(),
        }
    }
}

/// One call of the system.
pub(super) fn send_now(socket: impl AsFd, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), flags)
}

fn open_in_the_clear(mut stream: NbdStream, uri: &NbdUri) -> Result<Connection, NotOpened> {
    let opened = stream.open_export(&uri.export)?;
    Ok(Connection { wire: Wire::Clear(stream), opened })
}

fn open_in_tls(mut stream: NbdStream, uri: &NbdUri, tls: &UriTls) -> Result<Connection, String> {
    let said = |error: NotOpened| error.to_string();
    let terms = hotbay_media::tls_to(uri, tls).map_err(|error| with_sources(&error))?;
    let goal = Goal::Open { export: uri.export.clone(), dialect: Dialect::Simple };
    let mut handshake = Handshake::new(goal).map_err(|error| error.to_string())?.in_tls();
    let Step::StartTls = advance(&mut stream, &mut handshake).map_err(said)? else {
        return Err(said(NotOpened::OutOfStep));
    };
    let mut encrypted = Box::new(Encrypted::begin(stream, terms).map_err(|why| why.to_string())?);
    match advance(&mut encrypted.in_turns(), &mut handshake).map_err(said)? {
        Step::Opened(opened) => Ok(Connection { wire: Wire::Tls(encrypted), opened }),
        _ => Err(said(NotOpened::OutOfStep)),
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
