//! A small NBD client: for tests, for demonstrations, and wherever a few requests are to be made.
//!
//! Requests may be made from any number of tasks at once; each call is one request, and they are under way
//! together. Two tasks of tokio serve a client: one sends, the other receives.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hotbay_nbd::client::{Goal, Handshake, Opened, Step};
use hotbay_nbd::{
    Command, CommandFlags, Cookie, Dialect, ErrorNumber, ExportDescription, RequestHeader,
    SimpleReply,
};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::ListenAddress;

/// Requests that wait to be sent; more callers wait for their turn.
const QUEUE: usize = 64;

/// Why a request, or a connection, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server answered with an error. The connection stands.
    #[error("the server answers: {0}")]
    Refused(ErrorNumber),
    /// The negotiation failed.
    #[error(transparent)]
    Handshake(#[from] hotbay_nbd::client::ClientError),
    /// The connection could not be made, or broke while it was negotiated.
    #[error("the connection to the server failed")]
    Io(#[from] io::Error),
    /// The connection has ended. Whether the request was carried out is not known.
    #[error("the connection to the server has ended")]
    Ended,
}

/// When a change must be on stable storage.
pub use hotbay_block::Durability;

/// A connection to an export. Dropping it, and each call under way, disconnects.
#[derive(Debug)]
pub struct Client {
    opened: Opened,
    requests: mpsc::Sender<Outgoing>,
    waiting: Arc<Mutex<Waiting>>,
    cookies: AtomicU64,
}

/// A request to be sent.
#[derive(Debug)]
struct Outgoing {
    header: RequestHeader,
    data: Bytes,
}

/// Who waits for which reply.
#[derive(Debug, Default)]
struct Waiting {
    replies: HashMap<Cookie, Awaited>,
    ended: bool,
}

#[derive(Debug)]
struct Awaited {
    /// The bytes that follow the reply.
    bytes: usize,
    reply: oneshot::Sender<Result<Bytes, ErrorNumber>>,
}

impl Client {
    /// Connects to an export; the empty name is that of the server's default.
    ///
    /// # Errors
    /// Where there is no connection, or no such export.
    pub async fn connect(address: &ListenAddress, export: &str) -> Result<Self, ClientError> {
        match address {
            ListenAddress::Unix(path) => Self::over(UnixStream::connect(path).await?, export).await,
            ListenAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Self::over(stream, export).await
            }
        }
    }

    /// Negotiates over a stream that is connected to a server.
    ///
    /// # Errors
    /// Where the stream fails, or there is no such export.
    pub async fn over<S>(mut stream: S, export: &str) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (step, received) = negotiate(
            &mut stream,
            Goal::Open { export: export.to_owned(), dialect: Dialect::Simple },
        )
        .await?;
        let Step::Opened(opened) = step else { return Err(ClientError::Ended) };
        let waiting = Arc::<Mutex<Waiting>>::default();
        let (requests, outgoing) = mpsc::channel(QUEUE);
        let (reader, writer) = tokio::io::split(stream);
        tokio::spawn(send_all(writer, outgoing, Arc::clone(&waiting)));
        tokio::spawn(receive_all(reader, received, Arc::clone(&waiting)));
        Ok(Self { opened, requests, waiting, cookies: AtomicU64::new(1) })
    }

    /// What the server said of the export.
    #[must_use]
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Size in bytes.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.opened.size_bytes
    }

    /// Reads `length` bytes at `offset`.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the server's answer; [`ClientError::Ended`].
    pub async fn read(&self, offset: u64, length: u32) -> Result<Bytes, ClientError> {
        self.request(Command::Read, CommandFlags::NONE, offset, length, Bytes::new()).await
    }

    /// Writes at `offset`. Stable as `durability` says.
    ///
    /// # Errors
    /// As [`Client::read`]; the bytes may then be there in part.
    pub async fn write(
        &self,
        offset: u64,
        data: impl Into<Bytes>,
        durability: Durability,
    ) -> Result<(), ClientError> {
        let data = data.into();
        let length =
            u32::try_from(data.len()).map_err(|_| ClientError::Refused(ErrorNumber::Invalid))?;
        self.request(Command::Write, fua(durability), offset, length, data).await.map(drop)
    }

    /// Brings to stable storage every change that was answered before, on any connection.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub async fn flush(&self) -> Result<(), ClientError> {
        self.request(Command::Flush, CommandFlags::NONE, 0, 0, Bytes::new()).await.map(drop)
    }

    /// Makes `length` bytes at `offset` read as zeroes; the storage may be given up.
    ///
    /// # Errors
    /// As [`Client::write`].
    pub async fn zero(
        &self,
        offset: u64,
        length: u32,
        durability: Durability,
    ) -> Result<(), ClientError> {
        let flags = fua(durability);
        self.request(Command::WriteZeroes, flags, offset, length, Bytes::new()).await.map(drop)
    }

    /// Says that `length` bytes at `offset` are not needed any more.
    ///
    /// # Errors
    /// As [`Client::write`].
    pub async fn trim(
        &self,
        offset: u64,
        length: u32,
        durability: Durability,
    ) -> Result<(), ClientError> {
        self.request(Command::Trim, fua(durability), offset, length, Bytes::new()).await.map(drop)
    }

    /// Says that `length` bytes at `offset` will be read soon.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub async fn cache(&self, offset: u64, length: u32) -> Result<(), ClientError> {
        self.request(Command::Cache, CommandFlags::NONE, offset, length, Bytes::new())
            .await
            .map(drop)
    }

    /// Makes any request, also one that is wrong, and gives the bytes of its reply. A call that is dropped leaves
    /// its request under way.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub async fn request(
        &self,
        command: Command,
        flags: CommandFlags,
        offset: u64,
        length: u32,
        data: Bytes,
    ) -> Result<Bytes, ClientError> {
        let cookie = Cookie(self.cookies.fetch_add(1, Ordering::Relaxed));
        let header = RequestHeader { command, flags, cookie, offset, length: length.into() };
        let permit = self.requests.reserve().await.map_err(|_| ClientError::Ended)?;
        let (reply, answered) = oneshot::channel();
        let bytes = if command == Command::Read { in_memory(length) } else { 0 };
        if !self.waiting.lock().add(cookie, Awaited { bytes, reply }) {
            return Err(ClientError::Ended);
        }
        permit.send(Outgoing { header, data });
        match answered.await {
            Ok(result) => result.map_err(ClientError::Refused),
            Err(_) => Err(ClientError::Ended),
        }
    }
}

/// The exports of the server at an address.
///
/// # Errors
/// Where there is no connection, or the server does not tell.
pub async fn list(address: &ListenAddress) -> Result<Vec<ExportDescription>, ClientError> {
    let step = match address {
        ListenAddress::Unix(path) => {
            negotiate(&mut UnixStream::connect(path).await?, Goal::List).await?.0
        }
        ListenAddress::Tcp { host, port } => {
            let mut stream = TcpStream::connect((host.as_str(), *port)).await?;
            negotiate(&mut stream, Goal::List).await?.0
        }
    };
    match step {
        Step::Listed(exports) => Ok(exports),
        Step::Receive | Step::StartTls | Step::Opened(_) => Err(ClientError::Ended),
    }
}

/// Negotiates to the goal; gives also what came behind it.
async fn negotiate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    goal: Goal,
) -> Result<(Step, BytesMut), ClientError> {
    let mut handshake = Handshake::new(goal)?;
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        let step = handshake.advance(&mut input, &mut output)?;
        stream.write_all_buf(&mut output).await?;
        stream.flush().await?;
        match step {
            Step::Receive if stream.read_buf(&mut input).await? == 0 => {
                return Err(ClientError::Ended);
            }
            Step::Receive => {}
            Step::StartTls | Step::Opened(_) | Step::Listed(_) => return Ok((step, input)),
        }
    }
}

const fn fua(durability: Durability) -> CommandFlags {
    CommandFlags::NONE.with_if(matches!(durability, Durability::Stable), CommandFlags::FUA)
}

fn in_memory(length: u32) -> usize {
    usize::try_from(length).expect("a size in memory has 32 bits or more")
}

impl Waiting {
    /// `false` where no reply can come any more.
    fn add(&mut self, cookie: Cookie, awaited: Awaited) -> bool {
        if !self.ended {
            self.replies.insert(cookie, awaited);
        }
        !self.ended
    }

    /// Tells all who wait that no reply will come.
    fn end(&mut self) {
        self.ended = true;
        self.replies.clear();
    }
}

/// Sends requests until the client is dropped, and then DISC.
async fn send_all<S: AsyncWrite>(
    mut writer: WriteHalf<S>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    waiting: Arc<Mutex<Waiting>>,
) {
    let mut headers = BytesMut::new();
    while let Some(Outgoing { header, mut data }) = outgoing.recv().await {
        header.encode(&mut headers, Dialect::Simple);
        let sent = async {
            writer.write_all_buf(&mut headers).await?;
            writer.write_all_buf(&mut data).await?;
            writer.flush().await
        };
        if sent.await.is_err() {
            waiting.lock().end();
            return;
        }
    }
    let (command, flags) = (Command::Disconnect, CommandFlags::NONE);
    let goodbye = RequestHeader { command, flags, cookie: Cookie(0), offset: 0, length: 0 };
    goodbye.encode(&mut headers, Dialect::Simple);
    // The server may be gone already; there is nobody left to be told.
    let _ = writer.write_all_buf(&mut headers).await;
    let _ = writer.shutdown().await;
}

/// Receives replies until the connection ends.
async fn receive_all<S: AsyncRead>(
    mut reader: ReadHalf<S>,
    mut received: BytesMut,
    waiting: Arc<Mutex<Waiting>>,
) {
    while receive_one(&mut reader, &mut received, &waiting).await.is_some() {}
    waiting.lock().end();
}

/// Hands one reply to who waits for it; `None` where there can be no more.
async fn receive_one<S: AsyncRead>(
    reader: &mut ReadHalf<S>,
    received: &mut BytesMut,
    waiting: &Mutex<Waiting>,
) -> Option<()> {
    fill(reader, received, SimpleReply::BYTES).await?;
    let reply = SimpleReply::decode(received).ok()??;
    let awaited = waiting.lock().replies.remove(&reply.cookie)?;
    let result = match reply.result {
        Ok(()) => {
            fill(reader, received, awaited.bytes).await?;
            Ok(received.split_to(awaited.bytes).freeze())
        }
        Err(error) => Err(error),
    };
    // A caller that has gone does not want it any more.
    let _ = awaited.reply.send(result);
    Some(())
}

/// Receives until there are `length` bytes.
async fn fill<S: AsyncRead>(
    reader: &mut ReadHalf<S>,
    received: &mut BytesMut,
    length: usize,
) -> Option<()> {
    while received.remaining() < length {
        received.reserve((length - received.len()).max(4096));
        let room = received.capacity() - received.len();
        if reader.read_buf(&mut (&mut *received).limit(room)).await.ok()? == 0 {
            return None;
        }
    }
    Some(())
}
