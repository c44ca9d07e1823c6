//! The socket under a connection, of either kind: in the runtime's watch, or out of it.
//!
//! Out of the watch nobody is woken for what comes; whoever uses the socket looks for himself, and never waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hotbay_block::Lent;
use rustix::io::writev;
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::sys::receive;

#[derive(Debug)]
pub(crate) enum Socket {
    Watched(Watched),
    Unwatched(Unwatched),
    /// It could neither be watched nor taken out of the watch.
    Lost,
}

#[derive(Debug)]
pub(crate) enum Watched {
    Unix(UnixStream),
    Tcp(TcpStream),
}

#[derive(Debug)]
pub(crate) enum Unwatched {
    Unix(std::os::unix::net::UnixStream),
    Tcp(std::net::TcpStream),
}

impl Socket {
    /// It, put back into the runtime's watch where it is out of it.
    pub(crate) fn watched(&mut self) -> io::Result<&mut Watched> {
        if matches!(self, Self::Unwatched(_))
            && let Self::Unwatched(socket) = std::mem::replace(self, Self::Lost)
        {
            *self = Self::Watched(socket.watch()?);
        }
        match self {
            Self::Watched(socket) => Ok(socket),
            Self::Unwatched(_) | Self::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Takes it out of the runtime's watch.
    pub(crate) fn unwatch(&mut self) -> io::Result<()> {
        if matches!(self, Self::Watched(_))
            && let Self::Watched(socket) = std::mem::replace(self, Self::Lost)
        {
            *self = Self::Unwatched(socket.unwatch()?);
        }
        Ok(())
    }
}

impl Watched {
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    pub(crate) fn poll_splice(
        &self,
        context: &mut Context<'_>,
        lent: &Lent,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(context))?;
            match self.try_splice(lent) {
                Err(error) if is_for_later(&error) => {}
                spliced => return Poll::Ready(spliced),
            }
        }
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unix(stream) => stream.poll_write_ready(context),
            Self::Tcp(stream) => stream.poll_write_ready(context),
        }
    }

    /// Takes what there is room for; that there is none is told, and noted for the next look whether there is.
    fn try_splice(&self, lent: &Lent) -> io::Result<usize> {
        let splice = || splice_some(self.as_fd(), lent);
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
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// What can be done at once is `Some`; `None` where it would have to be waited for.
impl Unwatched {
    pub(crate) fn receive(&self, buffer: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        unless_for_later(receive(self.as_fd(), buffer))
    }

    pub(crate) fn send(&self, slices: &[io::IoSlice<'_>]) -> Option<io::Result<usize>> {
        unless_for_later(writev(self, slices).map_err(io::Error::from))
    }

    pub(crate) fn splice(&self, lent: &Lent) -> Option<io::Result<usize>> {
        unless_for_later(splice_some(self.as_fd(), lent))
    }

    fn watch(self) -> io::Result<Watched> {
        match self {
            Self::Unix(stream) => UnixStream::from_std(stream).map(Watched::Unix),
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Watched::Tcp),
        }
    }
}

impl AsFd for Unwatched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

fn splice_some(socket: BorrowedFd<'_>, lent: &Lent) -> io::Result<usize> {
    Ok(splice(lent.reader(), None, socket, None, lent.len(), SpliceFlags::NONBLOCK)?)
}

fn unless_for_later<T>(result: io::Result<T>) -> Option<io::Result<T>> {
    match result {
        Err(error) if is_for_later(&error) => None,
        result => Some(result),
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
