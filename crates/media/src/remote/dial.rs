//! From an address to an export that is open: the socket, the negotiation, and the words for what goes wrong.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use hotbay_block::{Error, ErrorKind, Result};
use hotbay_nbd::client::{ClientError, Goal, Handshake, Opened, Step};
use hotbay_nbd::option::{OptionCode, ReplyKind};
use hotbay_nbd::uri::{NbdUri, ServerPlace};
use hotbay_nbd::{Dialect, TransmissionFlags};
use rustix::fd::AsFd;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::near::NearStream;
use super::tls;

/// How long a server may take from the first packet until the export is open.
pub(super) const OPEN_DEADLINE: Duration = Duration::from_secs(10);

/// The same where it is only looked whether it is there.
const LOOK_DEADLINE: Duration = Duration::from_secs(3);

/// How long an idle TCP connection is trusted, and how often its peer is asked after then. How often in vain is not counted: the
/// kernel lets [`UNACKNOWLEDGED_MAX_MS`] decide that too.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// How long sent bytes may stay without the peer's acknowledgement, and an idle peer without a word.
const UNACKNOWLEDGED_MAX_MS: u32 = 30_000;

/// How many connections there are where it is not said and the server can have several, and how long one may take that nobody has
/// asked for.
const CONNECTIONS_UNSAID: u8 = 2;
const UNASKED_WAIT: Duration = Duration::from_secs(1);

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

/// Connects as often as is wanted and the server can have, and opens the export on each. Dropping the future closes the
/// connections.
///
/// # Errors
/// [`ErrorKind::Gone`] where no server answers in time or it has no such export, [`ErrorKind::Medium`] where it
/// refuses or does not speak the protocol.
pub(super) async fn dial(uri: &NbdUri) -> Result<Vec<Dialled>> {
    let dialled = timeout(OPEN_DEADLINE, open_all(uri)).await;
    dialled.unwrap_or_else(|_| {
        let wait = OPEN_DEADLINE.as_secs();
        Err(Error::new(ErrorKind::Gone, format!("{uri}: the server has not answered in {wait} s")))
    })
}

/// Whether a server answers that has the export.
pub(super) async fn is_there(uri: &NbdUri) -> bool {
    let looked = negotiate(uri, opening(uri, Dialect::Simple));
    matches!(timeout(LOOK_DEADLINE, looked).await, Ok(Ok(_)))
}

fn opening(uri: &NbdUri, dialect: Dialect) -> Goal {
    Goal::Open { export: uri.export.clone(), dialect }
}

async fn open_all(uri: &NbdUri) -> Result<Vec<Dialled>> {
    let first = open(uri).await?;
    let can_more = first.opened.flags.contains(TransmissionFlags::CAN_MULTI_CONN);
    let mut all = vec![first];
    match uri.connections {
        _ if !can_more => {}
        Some(wanted) => {
            for _ in 1..wanted {
                let next = open(uri).await?;
                all.push(like(&all[0], next, uri)?);
            }
        }
        None => {
            for _ in 1..CONNECTIONS_UNSAID {
                // It may have a bound on their number. One will do.
                let Ok(Ok(next)) = timeout(UNASKED_WAIT, open(uri)).await else { break };
                let Ok(next) = like(&all[0], next, uri) else { break };
                all.push(next);
            }
        }
    }
    Ok(all)
}

/// The next connection, where the export is the same on it.
fn like(first: &Dialled, next: Dialled, uri: &NbdUri) -> Result<Dialled> {
    if next.opened == first.opened {
        return Ok(next);
    }
    let what = format!("{uri}: what the server says of the export differs by connection");
    Err(Error::new(ErrorKind::Medium, what))
}

async fn open(uri: &NbdUri) -> Result<Dialled> {
    match negotiate(uri, opening(uri, Dialect::Extended)).await {
        Ok((stream, Step::Opened(opened), received)) => {
            let is_near = matches!(uri.server, ServerPlace::Unix(_));
            Ok(Dialled { stream, is_near, opened, received })
        }
        Ok(_) => Err(Error::new(ErrorKind::Medium, format!("{uri}: the server lost step"))),
        Err(NotOpened::Unreached(error)) => Err(error),
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
            let stream = NearStream::connect(path).await.map_err(|error| {
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
    sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MAX_MS)?;
    Ok(())
}

/// Why a negotiation did not come to its goal.
enum NotOpened {
    /// There is no connection, or no TLS on it.
    Unreached(Error),
    Io(io::Error),
    Refused(ClientError),
}

impl From<io::Error> for NotOpened {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ClientError> for NotOpened {
    fn from(error: ClientError) -> Self {
        Self::Refused(error)
    }
}

/// Connects and negotiates to the goal; gives also what came behind it.
async fn negotiate(
    uri: &NbdUri,
    goal: Goal,
) -> std::result::Result<(Box<dyn Stream>, Step, BytesMut), NotOpened> {
    let mut stream = connect(uri).await.map_err(NotOpened::Unreached)?;
    let handshake = Handshake::new(goal)?;
    let mut handshake = if uri.tls.is_some() { handshake.in_tls() } else { handshake };
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        let step = handshake.advance(&mut input, &mut output)?;
        stream.write_all_buf(&mut output).await?;
        stream.flush().await?;
        match (step, &uri.tls) {
            (Step::Receive, _) => {
                if stream.read_buf(&mut input).await? == 0 {
                    return Err(NotOpened::Io(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            (Step::StartTls, Some(tls)) => {
                stream = tls::begin(stream, uri, tls).await.map_err(NotOpened::Unreached)?;
            }
            (step, _) => return Ok((stream, step, input)),
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
            (ErrorKind::Medium, "the server wants TLS; nbds in place of nbd speaks it".to_owned())
        }
        ClientError::Refused { option: OptionCode::STARTTLS, .. } => {
            (ErrorKind::Medium, "the server does not speak TLS".to_owned())
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
    if let Ok((_, Step::Listed(exports), _)) = negotiate(uri, Goal::List).await {
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
