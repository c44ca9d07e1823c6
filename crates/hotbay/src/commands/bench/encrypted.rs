//! TLS over a socket, as a session wants it: what goes without waiting is sent, what there is is received, and the system is called
//! for much at a time.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use hotbay_media::TlsTerms;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio_rustls::rustls::{ClientConnection, Stream};

use super::connection::send_now;
use crate::nbd_stream::NbdStream;

/// What is received at a time, and the most that is encrypted and not sent.
const BUFFER_BYTES: usize = 256 << 10;

/// A socket in TLS.
#[derive(Debug)]
pub(super) struct Encrypted {
    socket: NbdStream,
    tls: ClientConnection,
    /// What was received; of it `taken..received` is not decrypted.
    buffer: Vec<u8>,
    taken: usize,
    received: usize,
}

impl Encrypted {
    /// Begins TLS as its client.
    ///
    /// # Errors
    /// Where the server is not the right one, or has no TLS, and those of the system.
    pub(super) fn begin(mut socket: NbdStream, terms: TlsTerms) -> io::Result<Self> {
        let TlsTerms { config, name } = terms;
        let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(BUFFER_BYTES));
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self { socket, tls, buffer: vec![0; BUFFER_BYTES], taken: 0, received: 0 })
    }

    /// What it goes over.
    pub(super) const fn socket(&self) -> &NbdStream {
        &self.socket
    }

    /// It as a stream that blocks, for a negotiation, behind which nothing has been received.
    pub(super) fn in_turns(&mut self) -> Stream<'_, ClientConnection, NbdStream> {
        Stream::new(&mut self.tls, &mut self.socket)
    }

    /// Takes as much as can be encrypted at once, when all that was taken before is sent.
    ///
    /// # Errors
    /// [`Errno::AGAIN`] where it is not, and those of the system.
    pub(super) fn send(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.flush()? {
            return Err(Errno::AGAIN.into());
        }
        let taken = self.tls.writer().write_vectored(pieces)?;
        self.flush()?;
        Ok(taken)
    }

    /// Sends what was taken, without waiting; whether nothing is left.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Now(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Receives what there is; 0 where the server has closed its side.
    ///
    /// # Errors
    /// [`Errno::AGAIN`] where nothing came, and those of the system and of TLS.
    pub(super) fn receive(&mut self, room: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if self.taken == self.received {
                (self.taken, self.received) = (0, recv(&self.socket, &mut self.buffer, flags)?.1);
                if self.received == 0 {
                    return Ok(0);
                }
            }
            let mut rest = self.buffer.get(self.taken..self.received).unwrap_or_default();
            self.taken += self.tls.read_tls(&mut rest)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

/// A socket that takes what it can without waiting.
struct Now<'a>(&'a NbdStream);

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(send_now(self.0.as_fd(), pieces)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
