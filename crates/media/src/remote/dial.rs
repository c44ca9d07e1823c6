//! From an address to an export that is open: the socket, the negotiation, and the words for what goes wrong.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use hotbay_block::{Error, ErrorKind, Result};
use hotbay_nbd::Dialect;
use hotbay_nbd::client::{ClientError, Goal, Handshake, Opened, Step};
use hotbay_nbd::option::ReplyKind;
use hotbay_nbd::uri::{NbdUri, ServerPlace};
use rustix::fd::AsFd;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long a server may take from the first packet until the export is open.
pub(super) const OPEN_DEADLINE: Duration = Duration::from_secs(10);

/// The same where it is only looked whether it is there.
const LOOK_DEADLINE: Duration = Duration::from_secs(3);

/// How long an idle TCP connection is trusted, and how it is asked after then: a peer that vanished is found out in
/// 25 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_COUNT: u32 = 3;

/// How long sent bytes may stay without the peer's acknowledgement.
const UNACKNOWLEDGED_MAX_MS: u32 = 30_000;

/// The most exports that an error names.
const NAMED_MAX: usize = 8;

/// What bytes go over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection on which the transmission phase has begun.
pub(super) struct Dialled {
    pub(super) stream: Box<dyn Stream>,
    /// Nothing is between the two but this machine's kernel.
    pub(super) is_near: bool,
    pub(super) opened: Opened,
    /// What came behind the negotiation.
    pub(super) received: BytesMut,
}

/// Connects and opens the export. Dropping the future closes the connection.
///
/// # Errors
/// [`ErrorKind::Gone`] where no server answers in time or it has no such export, [`ErrorKind::Medium`] where it
/// refuses or does not speak the protocol.
pub(super) async fn dial(uri: &NbdUri) -> Result<Dialled> {
    let dialled = timeout(OPEN_DEADLINE, open(uri)).await;
    dialled.unwrap_or_else(|_| {
        let wait = OPEN_DEADLINE.as_secs();
        Err(Error::new(ErrorKind::Gone, format!("{uri}: the server has not answered in {wait} s")))
    })
}

/// Whether a server answers that has the export.
pub(super) async fn is_there(uri: &NbdUri) -> bool {
    let looked = async {
        let mut stream = connect(uri).await.ok()?;
        negotiate(&mut stream, opening(uri, Dialect::Simple)).await.ok()
    };
    matches!(timeout(LOOK_DEADLINE, looked).await, Ok(Some(_)))
}

fn opening(uri: &NbdUri, dialect: Dialect) -> Goal {
    Goal::Open { export: uri.export.clone(), dialect }
}

async fn open(uri: &NbdUri) -> Result<Dialled> {
    let mut stream = connect(uri).await?;
    let negotiated = negotiate(&mut stream, opening(uri, Dialect::Extended)).await;
    match negotiated {
        Ok((Step::Opened(opened), received)) => {
            let is_near = matches!(uri.server, ServerPlace::Unix(_));
            Ok(Dialled { stream, is_near, opened, received })
        }
        Ok(_) => Err(Error::new(ErrorKind::Medium, format!("{uri}: the server lost step"))),
        Err(NotOpened::Io(error)) => {
            Err(Error::new(ErrorKind::Gone, format!("{uri}: the server hung up")).caused_by(error))
        }
        Err(NotOpened::Refused(error)) => Err(refused(uri, error).await),
    }
}

async fn connect(uri: &NbdUri) -> Result<Box<dyn Stream>> {
    let failed = |what: String, error: io::Error| {
        Error::new(ErrorKind::Gone, format!("{uri}: {what}")).caused_by(error)
    };
    match &uri.server {
        ServerPlace::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(|error| {
                failed(format!("no server answers at {}", path.display()), error)
            })?;
            Ok(Box::new(stream))
        }
        ServerPlace::Tcp { host, port } => {
            let mut addresses = tokio::net::lookup_host((host.as_str(), *port))
                .await
                .map_err(|error| failed(format!("the host {host} is not found"), error))?;
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            loop {
                let Some(address) = addresses.next() else {
                    return Err(failed(format!("no server answers at {host} port {port}"), last));
                };
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        watch_over(&stream)
                            .map_err(|error| failed("the socket cannot be set up".into(), error))?;
                        return Ok(Box::new(stream));
                    }
                    Err(error) => last = error,
                }
            }
        }
    }
}

/// Has the kernel find out that the peer is gone, and send small requests at once.
fn watch_over(stream: impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(&stream, true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_COUNT)?;
    sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MAX_MS)?;
    Ok(())
}

/// Why a negotiation did not come to its goal.
enum NotOpened {
    Io(io::Error),
    Refused(ClientError),
}

/// Negotiates to the goal; gives also what came behind it.
async fn negotiate(
    stream: &mut Box<dyn Stream>,
    goal: Goal,
) -> std::result::Result<(Step, BytesMut), NotOpened> {
    let mut handshake = Handshake::new(goal).map_err(NotOpened::Refused)?;
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        let step = handshake.advance(&mut input, &mut output).map_err(NotOpened::Refused)?;
        stream.write_all_buf(&mut output).await.map_err(NotOpened::Io)?;
        match step {
            Step::Receive => {
                if stream.read_buf(&mut input).await.map_err(NotOpened::Io)? == 0 {
                    return Err(NotOpened::Io(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            Step::Opened(_) | Step::Listed(_) => return Ok((step, input)),
        }
    }
}

/// The words for a server's no.
async fn refused(uri: &NbdUri, error: ClientError) -> Error {
    let (kind, what) = match &error {
        ClientError::Magic(_) | ClientError::NotFixedNewstyle => {
            (ErrorKind::Medium, "what answers there does not speak NBD as it is today".to_owned())
        }
        ClientError::Refused { kind: ReplyKind::TLS_REQUIRED, .. } => {
            (ErrorKind::Medium, "the server wants TLS, which is not supported".to_owned())
        }
        ClientError::Refused { kind: ReplyKind::UNKNOWN, .. } => {
            (ErrorKind::Gone, no_export(uri).await)
        }
        _ => (ErrorKind::Medium, "the export cannot be opened".to_owned()),
    };
    Error::new(kind, format!("{uri}: {what}")).caused_by(error)
}

/// Says that the export is not there, and what is, where the server tells.
async fn no_export(uri: &NbdUri) -> String {
    let mut what = match uri.export.as_str() {
        "" => "the server has no default export".to_owned(),
        name => format!("the server has no export `{name}`"),
    };
    let listed = async {
        let mut stream = connect(uri).await.ok()?;
        negotiate(&mut stream, Goal::List).await.ok()
    };
    if let Some((Step::Listed(exports), _)) = listed.await {
        let mut names: Vec<String> =
            exports.iter().take(NAMED_MAX).map(|export| format!("`{}`", export.name)).collect();
        if exports.len() > NAMED_MAX {
            names.push("others".to_owned());
        }
        if !names.is_empty() {
            what = format!("{what}; it has {}", names.join(", "));
        }
    }
    what
}
