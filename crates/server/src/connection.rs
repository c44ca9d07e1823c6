//! A connection to a client, of either kind, and TLS over it.
//!
//! Usually the runtime watches its socket. A session that looks at the socket itself (see `session::spin`) would have
//! the runtime wake a thread for every request all the same, on the client's processor at that. So the first look that
//! finds nothing takes the socket out of the runtime's watch, and whoever has to wait for the socket
//! puts it back: nothing here returns `Pending` for a socket that is not watched. What comes between the last
//! look and the return to the watch is not lost, because the system tells of a socket that is ready
//! when its watch begins.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hotbay_block::Lent;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop;
use tokio_rustls::server::TlsStream;

use crate::session::{Look, Looked, Splice};
use crate::silence::Silence;

/// The bytes that a look takes at once: a small request with its payload. The rest of a longer one is received
/// where it is to be.
const EARLY_BYTES: usize = 8 << 10;

/// A connection of either kind.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    is_local: bool,
    user: Option<u32>,
    /// What a look has received, and how much of it was read.
    early: Vec<u8>,
    read: usize,
    /// The error that a look was told, which the system tells once.
    failed: Option<io::Error>,
    /// Over TCP alone: a client on this machine does not vanish without the kernel telling.
    silence: Option<Silence>,
}

#[derive(Debug)]
enum Socket {
    Watched(Watched),
    Unwatched(Unwatched),
    /// It could neither be watched nor taken out of the watch.
    Lost,
}

#[derive(Debug)]
enum Watched {
    Unix(UnixStream),
    Tcp(TcpStream),
}

#[derive(Debug)]
enum Unwatched {
    Unix(std::os::unix::net::UnixStream),
    Tcp(std::net::TcpStream),
}

impl Connection {
    pub(crate) fn unix(stream: UnixStream) -> Self {
        let user = stream.peer_cred().ok().map(|peer| peer.uid());
        Self { user, ..Self::new(Watched::Unix(stream), true) }
    }

    pub(crate) fn tcp(stream: TcpStream) -> Self {
        Self { silence: Some(Silence::new()), ..Self::new(Watched::Tcp(stream), false) }
    }

    fn new(socket: Watched, is_local: bool) -> Self {
        let socket = Socket::Watched(socket);
        let (user, early, read, failed, silence) = (None, Vec::new(), 0, None, None);
        Self { socket, is_local, user, early, read, failed, silence }
    }

    /// Whether its client is on this machine, and one that the socket file's mode lets in.
    pub(crate) const fn is_local(&self) -> bool {
        self.is_local
    }

    /// The user at the other end, as the kernel says; `None` over a network.
    pub(crate) const fn user(&self) -> Option<u32> {
        self.user
    }

    /// The socket, put back into the runtime's watch where it is out of it.
    fn watched(&mut self) -> io::Result<Pin<&mut Watched>> {
        if matches!(self.socket, Socket::Unwatched(_))
            && let Socket::Unwatched(socket) = std::mem::replace(&mut self.socket, Socket::Lost)
        {
            self.socket = Socket::Watched(socket.watch()?);
            if self.early.is_empty() {
                self.early = Vec::new();
            }
        }
        match &mut self.socket {
            Socket::Watched(socket) => Ok(Pin::new(socket)),
            Socket::Unwatched(_) | Socket::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Takes the socket out of the runtime's watch.
    pub(crate) fn unwatch(&mut self) -> io::Result<()> {
        if matches!(self.socket, Socket::Watched(_))
            && let Socket::Watched(socket) = std::mem::replace(&mut self.socket, Socket::Lost)
        {
            self.socket = Socket::Unwatched(socket.unwatch()?);
        }
        Ok(())
    }

    /// What came of the socket; where that has to be waited for, an error when nobody is at its other end any more.
    fn unless_silent<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match (&mut self.silence, &self.socket) {
            (Some(silence), Socket::Watched(socket)) if polled.is_pending() => {
                silence.poll(socket.as_fd(), context).map(Err)
            }
            _ => polled,
        }
    }

    /// Receives what is there.
    fn receive_early(&mut self) -> Result<usize, Errno> {
        self.early.reserve_exact(EARLY_BYTES);
        let socket = match &self.socket {
            Socket::Watched(socket) => socket.as_fd(),
            Socket::Unwatched(socket) => socket.as_fd(),
            Socket::Lost => return Err(Errno::NOTCONN),
        };
        recv(socket, spare_capacity(&mut self.early), RecvFlags::DONTWAIT).map(|(_, count)| count)
    }
}

impl Look for Connection {
    fn look(&mut self) -> Looked {
        if self.failed.is_some() || !self.early.is_empty() {
            return Looked::Something;
        }
        match self.receive_early() {
            // The end is there for the next read, too.
            Ok(_) => return Looked::Something,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => {
                self.failed = Some(error.into());
                return Looked::Something;
            }
        }
        match self.unwatch() {
            Ok(()) => Looked::Nothing,
            Err(error) => {
                self.failed = Some(error);
                Looked::Something
            }
        }
    }
}

/// What has been decrypted cannot be seen from here, nor whether what is in the socket is the whole of anything: so a session in
/// TLS does not spin, but lets each look find something.
impl Look for TlsStream<Connection> {
    fn look(&mut self) -> Looked {
        Looked::Something
    }
}

impl Splice for Connection {
    fn splices(&self) -> bool {
        true
    }

    fn poll_splice(&mut self, context: &mut Context<'_>, lent: &Lent) -> Poll<io::Result<usize>> {
        let spliced = self.watched()?.get_mut().poll_splice(context, lent);
        self.unless_silent(spliced, context)
    }
}

/// What is encrypted has to be in memory.
impl Splice for TlsStream<Connection> {}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.early.is_empty() {
            // The runtime's own sockets count against what a task may do in one go, and so does this.
            ready!(coop::poll_proceed(context)).made_progress();
            let early = this.early.get(this.read..).unwrap_or_default();
            let count = early.len().min(buffer.remaining());
            buffer.put_slice(early.get(..count).unwrap_or_default());
            this.read += count;
            if this.read == this.early.len() {
                this.early.clear();
                this.read = 0;
            }
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        let received = match this.watched()?.get_mut() {
            Watched::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Watched::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        this.unless_silent(received, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Socket::Unwatched(socket) = &mut this.socket {
            match socket.write_vectored(slices) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                written => return Poll::Ready(written),
            }
        }
        let sent = match this.watched()?.get_mut() {
            Watched::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Watched::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        this.unless_silent(sent, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket holds nothing back.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().watched()?.get_mut() {
            Watched::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Watched::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl Watched {
    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => stream.poll_write_ready(context),
            Self::Tcp(stream) => stream.poll_write_ready(context),
        }
    }

    fn poll_splice(&self, context: &mut Context<'_>, lent: &Lent) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(context))?;
            match self.try_splice(lent) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                spliced => return Poll::Ready(spliced),
            }
        }
    }

    /// Takes what there is room for; that there is none is told, and noted for the next look whether there is.
    fn try_splice(&self, lent: &Lent) -> io::Result<usize> {
        let socket = self.as_fd();
        let splice = || {
            let (reader, flags) = (lent.reader(), SpliceFlags::NONBLOCK);
            Ok(splice(reader, None, socket, None, lent.len(), flags)?)
        };
        match self {
            Self::Unix(stream) => stream.try_io(Interest::WRITABLE, splice),
            Self::Tcp(stream) => stream.try_io(Interest::WRITABLE, splice),
        }
    }

    fn unwatch(self) -> io::Result<Unwatched> {
        match self {
            Self::Unix(stream) => stream.into_std().map(Unwatched::Unix),
            Self::Tcp(stream) => stream.into_std().map(Unwatched::Tcp),
        }
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl Unwatched {
    fn watch(self) -> io::Result<Watched> {
        match self {
            Self::Unix(stream) => UnixStream::from_std(stream).map(Watched::Unix),
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Watched::Tcp),
        }
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write_vectored(slices),
            Self::Tcp(stream) => stream.write_vectored(slices),
        }
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}
