//! The sockets that a server listens on, and the connections that come from them.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::connection::Connection;
use crate::socket_file::{Refused, SocketFile};
use crate::{BindError, ListenAddress};

/// What the system may hold of a Unix connection's replies, in bytes: enough for a long read in one go.
const UNIX_SEND_BYTES: usize = 1 << 20;

/// An idle client over TCP is asked after this time whether it is there, then so often, and counts as gone when it was asked so many
/// times: 90 s in all.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(45);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_COUNT: u32 = 3;

/// A socket that whoever started this process listens on already.
#[derive(Debug)]
pub enum Inherited {
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
    /// One of TCP.
    Tcp(std::net::TcpListener),
}

/// A socket that is listened on.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Where, with the port that the system chose.
    pub(crate) address: ListenAddress,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "removes the file when dropped")] Option<SocketFile>,
    ),
    Tcp(TcpListener),
}

impl Listener {
    /// Listens.
    pub(crate) async fn bind(address: &ListenAddress) -> Result<Self, BindError> {
        match address {
            ListenAddress::Unix(path) => SocketFile::listen(path)
                .and_then(|(listener, file)| Ok((UnixListener::from_std(listener)?, file)))
                .map(|(listener, file)| Self {
                    address: address.clone(),
                    kind: Kind::Unix(listener, Some(file)),
                })
                .map_err(|refused| Self::refused(address, refused)),
            ListenAddress::Tcp { host, port } => {
                let bound = TcpListener::bind((host.as_str(), *port)).await;
                let with_port = bound.and_then(|listener| {
                    let port = listener.local_addr()?.port();
                    Ok((listener, ListenAddress::Tcp { host: host.clone(), port }))
                });
                match with_port {
                    Ok((listener, address)) => Ok(Self { address, kind: Kind::Tcp(listener) }),
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        Err(Self::refused(address, Refused::InUse))
                    }
                    Err(error) => Err(Self::refused(address, Refused::Io(error))),
                }
            }
        }
    }

    /// Takes one that is listened on. The address of a Unix socket without a path is `unix:`.
    pub(crate) fn adopt(socket: Inherited) -> io::Result<Self> {
        match socket {
            Inherited::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let place = listener.local_addr()?;
                let path = place.as_pathname().map(Path::to_owned).unwrap_or_default();
                let address = ListenAddress::Unix(path);
                Ok(Self { address, kind: Kind::Unix(UnixListener::from_std(listener)?, None) })
            }
            Inherited::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let place = listener.local_addr()?;
                let address =
                    ListenAddress::Tcp { host: place.ip().to_string(), port: place.port() };
                Ok(Self { address, kind: Kind::Tcp(TcpListener::from_std(listener)?) })
            }
        }
    }

    fn refused(address: &ListenAddress, refused: Refused) -> BindError {
        let address = address.clone();
        match refused {
            Refused::InUse => BindError::InUse { address },
            Refused::NotASocket => BindError::NotASocket { address },
            Refused::Io(source) => BindError::Io { address, source },
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        match &self.kind {
            Kind::Unix(listener, _) => listener.poll_accept(context).map_ok(|(stream, _)| {
                widen(&stream);
                Connection::unix(stream)
            }),
            Kind::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, _)| {
                prepare(&stream);
                Connection::tcp(stream)
            }),
        }
    }
}

/// The next connection from any of them. Safe to drop: no connection is lost by it.
pub(crate) async fn accept(listeners: &[Listener]) -> io::Result<Connection> {
    poll_fn(|context| {
        let ready = listeners.iter().map(|listener| listener.poll_accept(context));
        ready.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

/// A failure here costs speed alone.
fn widen(stream: &UnixStream) {
    if sockopt::set_socket_send_buffer_size_force(stream, UNIX_SEND_BYTES).is_err() {
        // Without the privilege, as much as the system gives everybody.
        let _ = sockopt::set_socket_send_buffer_size(stream, UNIX_SEND_BYTES);
    }
}

fn prepare(stream: &TcpStream) {
    // Replies are written whole, so Nagle's algorithm could only delay them.
    if let Err(error) = stream.set_nodelay(true).and_then(|()| notice_silence(stream)) {
        tracing::debug!(%error, "cannot set the options of a connection");
    }
}

/// Has the kernel find out that an idle client is gone without a word. One that owes acknowledgements is `silence`'s affair.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
    Ok(())
}
