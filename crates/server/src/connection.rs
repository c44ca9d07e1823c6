//! A connection to a client, of either kind, and TLS over it.
//!
//! Usually the runtime watches its socket, and wakes a thread for whatever comes. Where the session does not wait for that, it
//! is wasted, on the client's processor at that. So the socket is taken out of the runtime's watch
//!
//! * by the first look of a session (see `session::spin`) that finds nothing;
//! * when [`STEADY_READS`] in a row have found bytes: a client that sends faster than its session takes (decision 22).
//!
//! From then on bytes are received, and sent, without the runtime, though they count against what a task may do in one go as they would
//! there. What must hold:
//!
//! * Nothing waits for a socket that is not watched: whoever has to puts it back. What comes between the last look and the
//!   return to the watch is not lost, because the system tells of a socket that is ready when its watch begins.
//! * A socket does not leave the watch while somebody waits for room in it: he would be forgotten.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hotbay_block::Lent;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop;
use tokio_rustls::server::TlsStream;

use crate::session::{Look, Looked, Splice};
use crate::silence::Silence;
use crate::socket::{Socket, Unwatched, Watched};

/// The bytes that a look takes at once: a small request with its payload. The rest of a longer one is received
/// where it is to be.
const EARLY_BYTES: usize = 8 << 10;

/// So many reads in a row that had not to wait show a client that sends faster than its session takes. To leave the watch and to
/// return to it costs about as much as two of them.
const STEADY_READS: u32 = 8;

/// A connection of either kind.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    is_local: bool,
    user: Option<u32>,
    /// What a look has received, and how much of it was read.
    early: Vec<u8>,
    read: usize,
    /// The watched reads since one had to wait.
    reads: u32,
    /// Whether somebody waits for room.
    is_blocked: bool,
    /// The error that a look was told, which the system tells once.
    failed: Option<io::Error>,
    /// Over TCP alone: a client on this machine does not vanish without the kernel telling.
    silence: Option<Silence>,
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
        let (early, read, reads, is_blocked) = (Vec::new(), 0, 0, false);
        let (user, failed, silence) = (None, None, None);
        Self { socket, is_local, user, early, read, reads, is_blocked, failed, silence }
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
    fn watched(&mut self) -> io::Result<&mut Watched> {
        if matches!(self.socket, Socket::Unwatched(_)) && self.early.is_empty() {
            self.early = Vec::new();
        }
        self.socket.watched()
    }

    /// Takes the socket out of the runtime's watch.
    pub(crate) fn unwatch(&mut self) -> io::Result<()> {
        self.socket.unwatch()
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

    /// Receives what is there, or waits for it in the runtime's watch.
    fn receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Socket::Unwatched(socket) = &self.socket {
            let proceeds = ready!(coop::poll_proceed(context));
            if let Some(received) = socket.receive(buffer) {
                proceeds.made_progress();
                return Poll::Ready(received);
            }
        }
        let received = self.watched()?.poll_read(context, buffer);
        self.reads = if received.is_ready() { self.reads + 1 } else { 0 };
        if self.reads >= STEADY_READS && !self.is_blocked {
            self.reads = 0;
            self.failed = self.unwatch().err();
        }
        self.unless_silent(received, context)
    }

    /// Sends what there is room for by one of two ways, or waits for room in the runtime's watch.
    fn send(
        &mut self,
        context: &mut Context<'_>,
        unwatched: impl FnOnce(&Unwatched) -> Option<io::Result<usize>>,
        watched: impl FnOnce(&mut Watched, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Socket::Unwatched(socket) = &self.socket {
            let proceeds = ready!(coop::poll_proceed(context));
            if let Some(sent) = unwatched(socket) {
                proceeds.made_progress();
                return Poll::Ready(sent);
            }
        }
        let sent = watched(self.watched()?, context);
        self.is_blocked = sent.is_pending();
        self.unless_silent(sent, context)
    }

    /// Receives what is there before it is read.
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
        self.send(
            context,
            |socket| socket.splice(lent),
            |socket, context| socket.poll_splice(context, lent),
        )
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
        this.receive(context, buffer)
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
        self.get_mut().send(
            context,
            |socket| socket.send(slices),
            |socket, context| socket.poll_write_vectored(context, slices),
        )
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket holds nothing back.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().watched()?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
