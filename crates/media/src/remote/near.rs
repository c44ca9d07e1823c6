//! A connection to a server on this machine.
//!
//! The runtime's own Unix sockets are watched for both directions, and such a socket tells of room whenever the other side has taken
//! something: that is a thread woken for each request that the server takes, which finds nothing to do. So this one is watched for what
//! comes, and for room only while something waits for it.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg, shutdown, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};

/// What the system may hold of what is sent, in bytes: enough for a long write in one go.
const SEND_BYTES: usize = 1 << 20;

/// The connection.
#[derive(Debug)]
pub(super) struct NearStream {
    socket: OwnedFd,
    incoming: Receiver,
    /// While there is no room.
    room: Option<Sender>,
}

impl NearStream {
    /// Connects.
    ///
    /// # Errors
    /// Where no server listens there, and those of the system.
    pub(super) async fn connect(path: &Path) -> io::Result<Self> {
        let socket = OwnedFd::from(UnixStream::connect(path).await?.into_std()?);
        // Without the privilege it is as much as the system gives everybody; a failure costs speed alone.
        if sockopt::set_socket_send_buffer_size_force(&socket, SEND_BYTES).is_err() {
            let _ = sockopt::set_socket_send_buffer_size(&socket, SEND_BYTES);
        }
        let incoming = Receiver::from_file_unchecked(File::from(socket.try_clone()?))?;
        Ok(Self { socket, incoming, room: None })
    }
}

impl AsyncRead for NearStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().incoming).poll_read(context, buffer)
    }
}

impl AsyncWrite for NearStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            if let Some(room) = &mut this.room {
                let sent = ready!(Pin::new(room).poll_write_vectored(context, pieces));
                this.room = None;
                return Poll::Ready(sent);
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(&this.socket, pieces, &mut SendAncillaryBuffer::default(), flags) {
                Err(Errno::AGAIN) => {
                    let watched = File::from(this.socket.try_clone()?);
                    this.room = Some(Sender::from_file_unchecked(watched)?);
                }
                Err(Errno::INTR) => {}
                sent => return Poll::Ready(Ok(sent?)),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket holds nothing back.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(shutdown(&self.socket, Shutdown::Write)?))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    async fn pair() -> (NearStream, UnixStream) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let (near, far) = tokio::join!(NearStream::connect(&path), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn more_than_the_system_holds_goes_both_ways_at_once() {
        const LENGTH: usize = 24 << 20;
        let (near, far) = pair().await;
        let bytes = |seed: usize| -> Vec<u8> {
            (0..LENGTH).map(|at| (at / 4096 + at * seed).to_le_bytes()[0]).collect()
        };
        let exchange = |stream: Box<dyn super::super::dial::Stream>, seed, other| async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let mut received = vec![0; LENGTH];
            let sent = async {
                writer.write_all(&bytes(seed)).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let (_, read) = tokio::join!(sent, reader.read_exact(&mut received));
            read.unwrap();
            assert!(received == bytes(other));
            assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
        };
        tokio::join!(exchange(Box::new(near), 3, 7), exchange(Box::new(far), 7, 3));
    }

    #[tokio::test]
    async fn an_end_is_told_in_either_direction() {
        let (mut near, far) = pair().await;
        drop(far);
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(near.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        // Also while it waits for room.
        let (mut near, far) = pair().await;
        let filled = tokio::spawn(async move { near.write_all(&vec![0; 64 << 20]).await });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        drop(far);
        assert_eq!(filled.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
