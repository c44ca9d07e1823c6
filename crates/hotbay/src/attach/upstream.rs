//! From an address to a connected socket that the kernel can go on with.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use hotbay_nbd::client::{ClientError, Goal, Handshake, Opened, Step};
use hotbay_server::ListenAddress;
use rustix::net::sockopt;

use super::ContentId;

/// For connecting, and for each answer of the negotiation.
const DEADLINE: Duration = Duration::from_secs(5);
/// A server that has vanished from the network counts as gone after about this.
const SILENCE: Duration = Duration::from_secs(20);

/// A connection after its negotiation, with nothing sent or received of what follows.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) socket: OwnedFd,
    pub(crate) opened: Opened,
    pub(crate) content: ContentId,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Nobody answers, or the connection broke.
    #[error("cannot connect to {address}: {source}")]
    Io { address: ListenAddress, source: io::Error },
    /// The negotiation failed.
    #[error("{address}: {source}")]
    Negotiation { address: ListenAddress, source: ClientError },
    /// The server does not tell which content it serves.
    #[error("the server at {address} does not say which volume it serves")]
    Unknown { address: ListenAddress },
}

/// Connects and negotiates. Bounded in time.
///
/// # Errors
/// Where nobody answers, or the export is not there, or is not one of hotbay.
pub(crate) fn connect(address: &ListenAddress, export: &str) -> Result<Link, UpstreamError> {
    let failed = |source| UpstreamError::Io { address: address.clone(), source };
    let refused = |source| UpstreamError::Negotiation { address: address.clone(), source };
    let mut stream = Stream::connect(address).map_err(failed)?;
    let goal = Goal::Open(export.to_owned());
    let mut handshake = Handshake::new(goal).map_err(refused)?;
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let opened = loop {
        let step = handshake.advance(&mut input, &mut output).map_err(refused)?;
        stream.send(&output).map_err(failed)?;
        output.clear();
        match step {
            Step::Opened(opened) => break opened,
            Step::Receive | Step::Listed(_) => stream.receive(&mut input).map_err(failed)?,
        }
    };
    let content = opened.description.as_deref().and_then(ContentId::in_description);
    let (Some(content), true) = (content, input.is_empty()) else {
        return Err(UpstreamError::Unknown { address: address.clone() });
    };
    Ok(Link { socket: stream.hand_over().map_err(failed)?, opened, content })
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn connect(address: &ListenAddress) -> io::Result<Self> {
        let stream = match address {
            ListenAddress::Unix(path) => Self::Unix(UnixStream::connect(path)?),
            ListenAddress::Tcp { host, port } => Self::Tcp(connect_tcp(host, *port)?),
        };
        stream.set_deadline(Some(DEADLINE))?;
        Ok(stream)
    }

    fn set_deadline(&self, deadline: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(deadline)?;
                stream.set_write_timeout(deadline)
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(deadline)?;
                stream.set_write_timeout(deadline)
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(bytes),
            Self::Tcp(stream) => stream.write_all(bytes),
        }
    }

    fn receive(&mut self, input: &mut BytesMut) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let received = match self {
            Self::Unix(stream) => stream.read(&mut buffer),
            Self::Tcp(stream) => stream.read(&mut buffer),
        }?;
        match buffer.get(..received) {
            None | Some([]) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(bytes) => {
                input.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// The socket as the kernel is to have it: a deadline would be one for every request.
    fn hand_over(self) -> io::Result<OwnedFd> {
        self.set_deadline(None)?;
        Ok(match self {
            Self::Unix(stream) => stream.into(),
            Self::Tcp(stream) => stream.into(),
        })
    }
}

/// The first address that answers, with what is needed to notice that it does not any more.
fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, DEADLINE) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                notice_silence(&stream)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    let socket = stream.as_fd();
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, SILENCE / 2)?;
    sockopt::set_tcp_keepintvl(socket, SILENCE / 4)?;
    sockopt::set_tcp_keepcnt(socket, 2)?;
    let milliseconds = u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(socket, milliseconds)?;
    Ok(())
}
