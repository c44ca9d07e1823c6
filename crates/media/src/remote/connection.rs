//! One connection: requests from many tasks, in any number under way, and a task of its own that alone touches the
//! socket.
//!
//! Requests wait in a bounded channel. The first of a session's batch wakes the task, which runs when the session has
//! nothing more to do; so a batch goes out with one system call. Replies come in any order and are matched by cookie.
//!
//! What must hold:
//! * A reply that no request explains, or that is none, ends the connection: nothing that follows can be trusted.
//! * When the connection ends, each request without an answer is told so, and whether changes were among them
//!   stays known (`life`): the server may still carry those out. One whose answer made no sense has none.
//! * A request that was handed to the task is sent even where its asker has gone: a dropped future does not undo a
//!   request. One that has not been handed over yet never goes out.
//! * While the medium or any of its requests lives, so does the connection; then the server is told, with DISC.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hotbay_nbd::client::{Answering, Refusal};
use hotbay_nbd::{Command, CommandFlags, Cookie, Dialect, RequestHeader};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::dial::{Dialled, Stream};
use super::in_flight::{Answer, Flight, Given};
use super::incoming::Incoming;
use super::life::{End, Ending, IN_FLIGHT_MAX, Life};
use super::outgoing::Outgoing;

/// How long a server may take to close after it was told that nothing more comes.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// A request to be made.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) command: Command,
    pub(super) flags: CommandFlags,
    pub(super) offset: u64,
    pub(super) length: u64,
    /// What a write carries.
    pub(super) data: Bytes,
    /// Memory for what a read brings; empty.
    pub(super) into: BytesMut,
}

/// Why a request has no answer that it wanted.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server said no.
    Refused(Refusal),
    /// There will be no answer.
    Ended(End),
}

/// The way to the server. Clones share the connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    asks: mpsc::Sender<(Ask, oneshot::Sender<Answer>)>,
    life: Arc<Life>,
}

impl Connection {
    /// Goes on from where the negotiation ended, with a task on the current runtime.
    pub(super) fn begin(dialled: Dialled) -> Self {
        let (asks, asked) = mpsc::channel(IN_FLIGHT_MAX);
        let life = Arc::new(Life::new());
        tokio::spawn(run(dialled, asked, Arc::clone(&life)));
        Self { asks, life }
    }

    /// What is known of it, also when it has ended.
    pub(super) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// Makes a request. Dropping the future does not undo it.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Given, Failure> {
        let (asker, answered) = oneshot::channel();
        // Either fails only where the connection has ended.
        if self.asks.send((ask, asker)).await.is_ok()
            && let Ok(answer) = answered.await
        {
            return answer.map_err(Failure::Refused);
        }
        Err(Failure::Ended(self.life.end().unwrap_or_else(|| End {
            how: Ending::Broken,
            why: "the daemon is being stopped".to_owned(),
            in_doubt: false,
        })))
    }
}

/// Why no more is to be sent or received.
pub(super) enum Stop {
    LetGo,
    Closed,
    Broken(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Of a server that was killed, its system says so.
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Broken(format!("the connection broke: {error}")),
        }
    }
}

async fn run(
    dialled: Dialled,
    // Who still waits here must not learn that there will be no answer before the end is known either.
    mut asked: mpsc::Receiver<(Ask, oneshot::Sender<Answer>)>,
    life: Arc<Life>,
) {
    let Dialled { stream, is_near, opened, received } = dialled;
    let (dialect, context) = (opened.dialect, opened.allocation);
    let (reader, mut writer) = tokio::io::split(stream);
    let mut incoming = Incoming { reader, received, dialect, life: &life, current: None };
    let stop = {
        let sender = send_all(&mut writer, Outgoing::new(dialect), context, &mut asked, &life);
        let receiver = incoming.receive_all();
        tokio::pin!(sender, receiver);
        // In this order: an answer makes room for what is to be sent.
        tokio::select! {
            biased;
            stop = &mut receiver => stop,
            stop = &mut sender => stop,
        }
    };
    let current = incoming.current.as_ref();
    match stop {
        Stop::LetGo => {
            life.finish(Ending::LetGo, "nobody used the connection any more".to_owned(), current);
            // It has everything; that it hears of the end is a courtesy.
            let _ = timeout(CLOSE_WAIT, say_goodbye(writer, incoming.reader, dialect)).await;
        }
        Stop::Closed => {
            let how = if is_near { Ending::Closed } else { Ending::Broken };
            life.finish(how, "the server closed the connection".to_owned(), current);
        }
        Stop::Broken(why) => life.finish(Ending::Broken, why, current),
    }
}

async fn say_goodbye(
    mut writer: WriteHalf<Box<dyn Stream>>,
    mut reader: ReadHalf<Box<dyn Stream>>,
    dialect: Dialect,
) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    let (command, flags) = (Command::Disconnect, CommandFlags::NONE);
    let goodbye = RequestHeader { command, flags, cookie: Cookie(0), offset: 0, length: 0 };
    goodbye.encode(&mut bytes, dialect);
    writer.write_all_buf(&mut bytes).await?;
    writer.shutdown().await?;
    let mut rest = [0; 64];
    while reader.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Sends what is asked, until nobody can ask any more and everything is answered.
async fn send_all(
    writer: &mut (impl AsyncWrite + Unpin),
    mut outgoing: Outgoing,
    context: Option<u32>,
    asked: &mut mpsc::Receiver<(Ask, oneshot::Sender<Answer>)>,
    life: &Life,
) -> Stop {
    let (dialect, mut batch) = (outgoing.dialect(), Vec::new());
    loop {
        let room = life.room();
        if room == 0 {
            life.answered.notified().await;
            continue;
        }
        if asked.recv_many(&mut batch, room).await == 0 {
            break;
        }
        life.enter(|in_flight| {
            for (mut ask, asker) in batch.drain(..) {
                let mut header = ask.header(dialect);
                let mut into = std::mem::take(&mut ask.into);
                into.clear();
                header.cookie = in_flight.add(Flight {
                    answering: Answering::to(&header, dialect, context),
                    into,
                    bytes: ask.bytes_of_read(),
                    is_change: ask.is_change(),
                    asker,
                });
                outgoing.push(&header, ask.data);
            }
        });
        if let Err(error) = send(writer, &mut outgoing).await {
            return error.into();
        }
    }
    while !life.is_idle() {
        life.answered.notified().await;
    }
    Stop::LetGo
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), outgoing: &mut Outgoing) -> io::Result<()> {
    writer.write_all_buf(outgoing).await?;
    // TLS keeps back what it could not send.
    writer.flush().await
}

impl Ask {
    const fn is_change(&self) -> bool {
        matches!(self.command, Command::Write | Command::WriteZeroes | Command::Trim)
    }

    fn bytes_of_read(&self) -> usize {
        let bytes = if self.command == Command::Read { self.length } else { 0 };
        usize::try_from(bytes).expect("a read fits in memory")
    }

    /// What begins it on the wire, but for its cookie.
    fn header(&self, dialect: Dialect) -> RequestHeader {
        let Self { command, flags, offset, length, .. } = *self;
        let carries = command == Command::Write && dialect == Dialect::Extended;
        let flags = flags.with_if(carries, CommandFlags::PAYLOAD_LEN);
        RequestHeader { command, flags, cookie: Cookie(0), offset, length }
    }
}
