//! From an address to a connected socket that the kernel can go on with.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hotbay_nbd::client::{ClientError, Opened};
use hotbay_server::ListenAddress;
use rustix::net::sockopt;

use super::ContentId;
use crate::nbd_stream::{NbdStream, NotOpened};

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
    let mut stream = connect_stream(address).map_err(failed)?;
    let opened = stream.open_export(export).map_err(|why| match why {
        NotOpened::Io(source) => failed(source),
        NotOpened::Closed => failed(io::ErrorKind::UnexpectedEof.into()),
        NotOpened::Refused(source) => {
            UpstreamError::Negotiation { address: address.clone(), source }
        }
        NotOpened::OutOfStep => UpstreamError::Unknown { address: address.clone() },
    })?;
    let content = opened.description.as_deref().and_then(ContentId::in_description);
    let content = content.ok_or_else(|| UpstreamError::Unknown { address: address.clone() })?;
    // As the kernel is to have it: a deadline would be one for every request.
    set_deadline(&stream, None).map_err(failed)?;
    Ok(Link { socket: stream.into(), opened, content })
}

fn connect_stream(address: &ListenAddress) -> io::Result<NbdStream> {
    let stream = match address {
        ListenAddress::Unix(path) => NbdStream::Unix(UnixStream::connect(path)?),
        ListenAddress::Tcp { host, port } => NbdStream::Tcp(connect_tcp(host, *port)?),
    };
    set_deadline(&stream, Some(DEADLINE))?;
    Ok(stream)
}

fn set_deadline(stream: &NbdStream, deadline: Option<Duration>) -> io::Result<()> {
    stream.set_read_patience(deadline)?;
    stream.set_write_patience(deadline)
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
