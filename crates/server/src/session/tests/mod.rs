//! Sessions over a pipe in memory, with a device whose answers are given by the test.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Durability, Error, ErrorKind, Execution, Extent, Hole,
    MemoryDevice, Payload, Reply, Request, Speed,
};
use hotbay_nbd::{Command, CommandFlags, Cookie, Dialect, ErrorNumber, RequestHeader, SimpleReply};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::intake::OutOfStep;
use super::*;

mod chunks;
mod ends;
mod limits;
mod long_reads;
mod long_writes;
mod requests;
mod spins;
mod status;
mod streams;

const INFO: DeviceInfo = DeviceInfo {
    size_bytes: 256 << 20,
    preferred_block_bytes: 4096,
    read_only: false,
    rotational: false,
};

/// A pipe in memory is never looked at: its sessions do not spin.
impl Look for DuplexStream {
    fn look(&mut self) -> Looked {
        panic!("a session spins that is not to")
    }
}

impl Splice for DuplexStream {}

/// A request that waits for the test to answer it.
struct Call {
    request: Request,
    answer: oneshot::Sender<hotbay_block::Result<Reply>>,
}

impl Call {
    /// Answers; the session must still be driving the request.
    fn answer(self, result: hotbay_block::Result<Reply>) {
        assert!(self.answer.send(result).is_ok(), "the request was dropped");
    }

    /// Answers a read with bytes of this value, and any other request with success.
    fn succeed(self, value: u8) {
        let reply = match &self.request {
            Request::Read { extent, .. } => data(value, extent.len_in_memory()),
            _ => Reply::Done,
        };
        self.answer(Ok(reply));
    }
}

fn data(value: u8, length: usize) -> Reply {
    Reply::Data(Payload::from(Bytes::from(vec![value; length])))
}

#[derive(Debug)]
struct Scripted {
    calls: mpsc::Sender<Call>,
    answered: watch::Sender<usize>,
    exchanged: watch::Receiver<bool>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.request.fmt(f)
    }
}

impl Device for Scripted {
    fn info(&self) -> DeviceInfo {
        INFO
    }

    fn execute(&self, request: Request) -> Execution {
        let (answer, answered) = oneshot::channel();
        self.calls.try_send(Call { request, answer }).unwrap();
        let count = self.answered.clone();
        Execution::later(async move {
            let result = answered.await.unwrap();
            count.send_modify(|count| *count += 1);
            result
        })
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        let mut exchanged = self.exchanged.clone();
        Box::pin(async move { drop(exchanged.wait_for(|it| *it).await.unwrap()) })
    }
}

/// What a test has in its hands: the client's end of the pipe, and all that is behind the other one.
struct Stage {
    client: DuplexStream,
    calls: mpsc::Receiver<Call>,
    answered: watch::Receiver<usize>,
    exchange: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    session: JoinHandle<End>,
}

/// A session over a pipe that holds `pipe` bytes in each direction.
fn stage(pipe: usize, limits: Limits) -> Stage {
    stage_with_share(pipe, limits, Share::default())
}

fn stage_with_share(pipe: usize, limits: Limits, share: Share) -> Stage {
    let (calls_in, calls) = mpsc::channel(1000);
    let (answered_in, answered) = watch::channel(0);
    let (exchange, exchanged) = watch::channel(false);
    let device = Scripted { calls: calls_in, answered: answered_in, exchanged };
    let bounds = (limits, share);
    let (client, stop, session) = start_with(Terms::default(), pipe, bounds, Arc::new(device));
    Stage { client, calls, answered, exchange, stop, session }
}

fn start(
    pipe: usize,
    limits: Limits,
    device: Arc<dyn Device>,
) -> (DuplexStream, watch::Sender<bool>, JoinHandle<End>) {
    start_with(Terms::default(), pipe, (limits, Share::default()), device)
}

fn start_in(
    dialect: Dialect,
    pipe: usize,
    limits: Limits,
    device: Arc<dyn Device>,
) -> (DuplexStream, watch::Sender<bool>, JoinHandle<End>) {
    let terms = Terms { dialect, ..Terms::default() };
    start_with(terms, pipe, (limits, Share::default()), device)
}

fn start_with(
    terms: Terms,
    pipe: usize,
    (limits, share): (Limits, Share),
    device: Arc<dyn Device>,
) -> (DuplexStream, watch::Sender<bool>, JoinHandle<End>) {
    let (client, mut server) = duplex(pipe);
    let (stop, mut stopped) = watch::channel(false);
    let session = tokio::spawn(async move {
        let stopped = async move { drop(stopped.wait_for(|it| *it).await) };
        let opened = Opened { exchanged: device.exchanged(), device };
        serve(
            &mut server,
            (BytesMut::new(), terms),
            opened,
            (&limits, share),
            Spin::new(None),
            Tally::new(Arc::default()),
            stopped,
        )
        .await
    });
    (client, stop, session)
}

fn memory(pipe: usize) -> (DuplexStream, watch::Sender<bool>, JoinHandle<End>) {
    start(pipe, Limits::default(), Arc::new(MemoryDevice::new(1 << 20)))
}

fn header(command: Command, cookie: u64, offset: u64, length: u32) -> RequestHeader {
    let flags = CommandFlags::NONE;
    RequestHeader { command, flags, cookie: Cookie(cookie), offset, length: length.into() }
}

fn bytes(requests: &[RequestHeader]) -> BytesMut {
    let mut bytes = BytesMut::new();
    requests.iter().for_each(|request| request.encode(&mut bytes, Dialect::Simple));
    bytes
}

fn reads(cookies: std::ops::Range<u64>, length: u32) -> BytesMut {
    bytes(&cookies.map(|cookie| header(Command::Read, cookie, cookie, length)).collect::<Vec<_>>())
}

fn write(cookie: u64, offset: u64, payload: &[u8]) -> BytesMut {
    let length = u32::try_from(payload.len()).unwrap();
    let mut all = bytes(&[header(Command::Write, cookie, offset, length)]);
    all.put_slice(payload);
    all
}

/// The next reply, with `length` bytes where it is a success.
async fn reply(client: &mut DuplexStream, length: usize) -> (u64, Result<Vec<u8>, ErrorNumber>) {
    reply_from(client, length).await
}

async fn reply_from<S: AsyncRead + Unpin>(
    client: &mut S,
    length: usize,
) -> (u64, Result<Vec<u8>, ErrorNumber>) {
    let mut header = [0; SimpleReply::BYTES];
    client.read_exact(&mut header).await.unwrap();
    let SimpleReply { cookie, result } =
        SimpleReply::decode(&mut header.as_slice()).unwrap().unwrap();
    let mut payload = vec![0; if result.is_ok() { length } else { 0 }];
    client.read_exact(&mut payload).await.unwrap();
    (cookie.0, result.map(|()| payload))
}

async fn assert_end(client: &mut DuplexStream) {
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "the session is still open");
}
