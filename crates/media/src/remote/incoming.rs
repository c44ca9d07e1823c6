//! What comes from the server: replies, one after the other, each given to the request that it answers.

use bytes::{BufMut as _, BytesMut};
use hotbay_nbd::Dialect;
use hotbay_nbd::client::{Brings, OutOfStep, Reply};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::connection::Stop;
use super::in_flight::{Flight, Given};
use super::life::Life;

/// What is received at a time, but for long reads, which go to their place at once.
const RECEIVE_BYTES: usize = 128 << 10;

/// The receiving half of a connection.
pub(super) struct Incoming<'a, R> {
    pub(super) reader: R,
    /// What was received and is not taken yet.
    pub(super) received: BytesMut,
    pub(super) dialect: Dialect,
    pub(super) life: &'a Life,
    /// The request whose bytes are coming. Whoever waits for it must not learn that there will be no answer before the
    /// end of the connection is known, so it is kept when this is left.
    pub(super) current: Option<Flight>,
}

impl<R: AsyncRead + Unpin> Incoming<'_, R> {
    /// Receives replies until there can be no more.
    pub(super) async fn receive_all(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.receive_one().await {
                return stop;
            }
        }
    }

    async fn receive_one(&mut self) -> Result<(), Stop> {
        let reply = self.next_reply().await?;
        let (cookie, done) = (reply.cookie, reply.done);
        let lent = if done { self.life.take(cookie) } else { self.life.lend(cookie) };
        let flight = lent.ok_or_else(|| {
            let cookie = cookie.0;
            Stop::Broken(format!("the server answers what was not asked: cookie {cookie:#x}"))
        })?;
        let brings = self.current.insert(flight).answering.take(reply).map_err(lost_step)?;
        match brings {
            Brings::Nothing => {}
            Brings::Bytes { at, length } => {
                self.take_bytes(in_memory(at), in_memory(length)).await?
            }
            Brings::Zeroes { at, length } => self.take_zeroes(in_memory(at), in_memory(length)),
        }
        let flight = self.current.take().expect("it was put there");
        if done {
            let Flight { answering, into, asker, .. } = flight;
            let answer = answering.outcome().map(|extents| Given { bytes: into, extents });
            // Who has gone does not want it any more.
            let _ = asker.send(answer);
        } else {
            self.life.give_back(cookie, flight);
        }
        Ok(())
    }

    async fn next_reply(&mut self) -> Result<Reply, Stop> {
        loop {
            if let Some(reply) =
                Reply::decode(&mut self.received, self.dialect).map_err(lost_step)?
            {
                return Ok(reply);
            }
            self.received.reserve(RECEIVE_BYTES);
            if self.reader.read_buf(&mut self.received).await? == 0 {
                return Err(Stop::Closed);
            }
        }
    }

    /// Takes bytes of the current read: what is here is copied, the rest goes to its place at once. What lies between is
    /// zeroes until it comes.
    async fn take_bytes(&mut self, at: usize, length: usize) -> Result<(), Stop> {
        let Flight { into, bytes, .. } = self.current.as_mut().expect("a read is being answered");
        let here = self.received.split_to(self.received.len().min(length));
        if at < into.len() {
            let place = &mut into[at..at + length];
            place[..here.len()].copy_from_slice(&here);
            self.reader.read_exact(&mut place[here.len()..]).await?;
            return Ok(());
        }
        into.reserve(bytes.saturating_sub(into.len()));
        into.resize(at, 0);
        into.extend_from_slice(&here);
        drop(here);
        while into.len() < at + length {
            let missing = at + length - into.len();
            if self.reader.read_buf(&mut (&mut *into).limit(missing)).await? == 0 {
                return Err(Stop::Closed);
            }
        }
        Ok(())
    }

    fn take_zeroes(&mut self, at: usize, length: usize) {
        let into = &mut self.current.as_mut().expect("a read is being answered").into;
        into.resize(into.len().max(at + length), 0);
    }
}

fn lost_step(error: OutOfStep) -> Stop {
    Stop::Broken(format!("the server lost step: {error}"))
}

/// A place in a read, which is in memory.
fn in_memory(length: u64) -> usize {
    usize::try_from(length).expect("a read is in memory")
}
