//! The loop between one socket and one device, after the negotiation.
//!
//! One task, one loop, no queue to another task: what the device can answer at once is received, carried out and
//! answered without a hand-over, but for long READs (see `long_read`), which are not copied at all where the device lends what
//! it has (see `pipes`); a long WRITE is carried out in parts (see `long_write`). Each round
//!
//! 1. receives once, unless a limit is reached;
//! 2. gives the device every request that is there in full. What is answered at once becomes a reply; what is
//!    not goes among the requests in flight;
//! 3. polls the requests in flight, so that each is polled right after it was given to the device;
//! 4. sends all replies with one write,
//!
//! until a round changes nothing. What must hold:
//!
//! * **The requests in flight are polled whatever the socket does.** They may hold a pass through a volume's
//!   gate, so that a client which does not read its replies must not keep them from their end. So the loop
//!   is one `poll`, in which nothing is awaited.
//! * **Every request given to the device is driven to its end**, also when the client is gone: see
//!   [`Device`](hotbay_block::Device) about futures that are dropped. Replies are then thrown away.
//! * **What a client can make the session hold is bounded** by [`Limits`]. At a limit the session stops taking
//!   requests and stops receiving: back-pressure by the socket.
//! * **An answer is the device's real one**, also for what is in flight when the session is to close.
//!
//! Replies go out in the order in which the device answers. A flush waits for nothing here: the device knows what
//! it has to cover.

mod answer;
mod arena;
mod budget;
mod gathered;
mod in_flight;
mod intake;
mod long_read;
mod long_write;
mod pipes;
mod replies;
mod requests;
mod rest;
mod spin;
mod tally;

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, Stream};
use hotbay_block::{BoxFuture, Checked, Device, Execution, Lent, Payload, Reply, Request};
use hotbay_nbd::{Command, CommandFlags, Dialect, ErrorNumber, RequestHeader};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use self::answer::{Answer, Asked, Failure};
use self::arena::Arena;
pub(crate) use self::budget::{Budget, Share};
use self::in_flight::{Answered, Awaited, Expects, InFlight, Said, UnderWay};
use self::intake::{Admission, Intake, Next, OutOfStep};
use self::long_write::LongWrite;
use self::pipes::Pipes;
use self::replies::{PIECES_MAX, Replies};
use self::rest::Rest;
use self::spin::Waited;
pub(crate) use self::spin::{Floor, Look, Looked, Spin};
use self::tally::Counted;
pub(crate) use self::tally::{Counters, Tally};
use crate::Limits;
use crate::contexts::Contexts;
use crate::exports::Opened;
use crate::tls::has_left;
use crate::traffic::Operation;

/// After this many bytes of replies they are sent before more requests are taken: they are still in the
/// processor's cache, and the client has something to do.
const BATCH_BYTES: usize = 256 << 10;

/// A WRITE of more than this is received without a spin for it, in bytes.
const SPUN_BYTES_MAX: usize = 4 << 10;

/// A stream that can take what is lent out of a pipe by itself, or cannot.
pub(crate) trait Splice {
    /// Whether it can.
    fn splices(&self) -> bool {
        false
    }

    /// Takes some of what is lent, as soon as there is room for some; tells how many bytes.
    fn poll_splice(&mut self, _context: &mut Context<'_>, _lent: &Lent) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// Why a session has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The client said so.
    #[error("the client has disconnected")]
    Disconnected,
    /// The client closed the connection without saying so.
    #[error("the client has closed the connection{}", if *amid_request { " amid a request" } else { "" })]
    Closed { amid_request: bool },
    /// The connection broke.
    #[error("the connection is lost")]
    Lost(#[source] io::Error),
    /// What the client sent made no sense.
    #[error(transparent)]
    OutOfStep(#[from] OutOfStep),
    /// The device has another content now.
    #[error("the content of the export was exchanged")]
    Exchanged,
    /// The server is being stopped.
    #[error("the server is being stopped")]
    Stopped,
}

/// Serves the device to the client behind `stream` until one of them, or `stopped`, ends it.
///
/// Returns when every request that was taken has been answered by the device, and the answers have been
/// sent, if the client still takes them. Dropping the future drops requests in flight: only for a server that
/// has run out of time.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Look + Splice + Unpin>(
    stream: &mut S,
    (received, terms): (BytesMut, Terms),
    Opened { device, exchanged }: Opened,
    (limits, share): (&Limits, Share),
    spin: Spin,
    tally: Tally,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> End {
    let stops = FuturesUnordered::new();
    stops.push(stop(exchanged, End::Exchanged));
    stops.push(stop(stopped, End::Stopped));
    let pipes = Pipes::new(stream.splices());
    let mut session = Session {
        stream,
        device: Arc::new(Checked::new(device)),
        limits,
        share,
        stops,
        terms,
        intake: Intake::new(received, terms.dialect),
        // Bytes that came behind the negotiation are requests already.
        waits_for: WaitsFor::Turn,
        arena: Arena::default(),
        pipes,
        long_write: None,
        in_flight: InFlight::default(),
        replies: Replies::new(terms.dialect),
        unflushed: false,
        phase: Phase::Open,
        rest: Rest::default(),
        spin,
        tally,
    };
    poll_fn(|context| session.poll(context)).await
}

fn stop(when: impl Future<Output = ()> + Send + 'static, end: End) -> BoxFuture<'static, End> {
    Box::pin(async {
        when.await;
        end
    })
}

/// What was agreed upon in the negotiation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// How messages are laid out.
    pub(crate) dialect: Dialect,
    /// What BLOCK_STATUS tells about.
    pub(crate) contexts: Contexts,
}

/// Where a session stands.
#[derive(Debug)]
enum Phase {
    /// Requests are taken.
    Open,
    /// No more requests are taken; what is in flight is answered.
    Finishing(End),
    /// As `Finishing`, but nobody takes the replies any more.
    Discarding(End),
}

/// What the next request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    /// The client, to send more.
    Bytes,
    /// Replies, to be sent, or requests, to be answered: a limit is reached.
    Room,
    /// The next round.
    Turn,
}

struct Session<'a, S> {
    stream: &'a mut S,
    device: Arc<Checked<Arc<dyn Device>>>,
    limits: &'a Limits,
    share: Share,
    /// What closes the session from this side.
    stops: FuturesUnordered<BoxFuture<'static, End>>,
    terms: Terms,
    intake: Intake,
    waits_for: WaitsFor,
    arena: Arena,
    pipes: Pipes,
    /// The WRITE that is being received in parts.
    long_write: Option<LongWrite>,
    in_flight: InFlight,
    replies: Replies,
    /// Whether bytes were written that the stream may still hold back.
    unflushed: bool,
    phase: Phase,
    rest: Rest,
    spin: Spin,
    tally: Tally,
}

impl<'a, S: AsyncRead + AsyncWrite + Look + Splice + Unpin> Session<'a, S> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        self.spin.begin_turn();
        self.poll_stops(context);
        loop {
            let received = self.poll_receive(context);
            let taken = self.take_requests();
            let answered = self.poll_in_flight(context);
            self.tally.end_round();
            let sent = self.poll_send(context);
            self.share.set(self.load().bytes);
            if self.is_over() {
                return Poll::Ready(self.end());
            }
            if !(received || taken || answered || sent) {
                self.poll_rest(context);
                return Poll::Pending;
            }
        }
    }

    fn poll_stops(&mut self, context: &mut Context<'_>) {
        if let Poll::Ready(Some(end)) = Pin::new(&mut self.stops).poll_next(context) {
            self.finish(end);
        }
    }

    /// Receives once; whether anything came.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> bool {
        if self.waits_for != WaitsFor::Bytes || !matches!(self.phase, Phase::Open) {
            return false;
        }
        if self.spin_for_bytes() == Waited::TurnOver {
            context.waker().wake_by_ref();
            return false;
        }
        let received = {
            let mut room = self.intake.room();
            let receive = pin!(self.stream.read_buf(&mut room));
            receive.poll(context)
        };
        match received {
            Poll::Pending => {
                if self.load().is_nothing() {
                    self.spin.note_sleep();
                }
                return false;
            }
            Poll::Ready(received) if has_left(&received) => {
                let amid_request = self.intake.is_amid_request();
                self.finish(End::Closed { amid_request });
            }
            Poll::Ready(Ok(_)) => {
                self.waits_for = WaitsFor::Turn;
                self.rest.note_work();
                self.spin.note_received();
            }
            Poll::Ready(Err(error)) => self.discard(End::Lost(error)),
        }
        true
    }

    /// Looks for more for a moment, where there is nothing else to do.
    fn spin_for_bytes(&mut self) -> Waited {
        // The rest of a long WRITE is received where it is to be.
        let is_long = self.intake.bytes_expected() > SPUN_BYTES_MAX;
        if is_long || !self.load().is_nothing() {
            return Waited::Enough;
        }
        self.spin.wait(self.stream)
    }

    /// Gives the device the requests that are there in full, up to the limits and to one batch of replies;
    /// whether anything changed.
    fn take_requests(&mut self) -> bool {
        if self.waits_for == WaitsFor::Bytes || !matches!(self.phase, Phase::Open) {
            return false;
        }
        let batch_end = self.replies.bytes() + BATCH_BYTES;
        let mut any = false;
        while self.replies.bytes() < batch_end {
            let load = self.load();
            match self.intake.next(|header| load.admits(header, &*self.device)) {
                Ok(Next::Request(header, data)) => self.execute(&header, data),
                Ok(Next::Part(header, done, data)) => self.execute_part(&header, done, data),
                Ok(Next::Refused(header, error)) => {
                    let counted = self.tally.take(Operation::Other, 0);
                    let failure = Failure::new(error, "the command, a flag or the length is wrong");
                    self.reply(requests::asked(&header), counted, Err(failure));
                }
                Ok(Next::Incomplete) => {
                    // A change even where no request was taken: there has to be a round that receives.
                    self.waits_for = WaitsFor::Bytes;
                    return true;
                }
                Ok(Next::NotAdmitted) => {
                    self.waits_for = WaitsFor::Room;
                    return any;
                }
                Ok(Next::Disconnect) => {
                    self.finish(End::Disconnected);
                    return true;
                }
                Err(error) => {
                    self.finish(error.into());
                    return true;
                }
            }
            any = true;
        }
        self.waits_for = WaitsFor::Turn;
        any
    }

    fn execute(&mut self, header: &RequestHeader, data: Bytes) {
        let mut awaited = self.awaited(header);
        if header.command == Command::BlockStatus {
            return self.execute_status(header, &data, awaited);
        }
        let is_long_read = long_read::is_long_read(header);
        let pipe = match is_long_read {
            true => self.pipes.offer(header.length, self.load().requests),
            false => None,
        };
        awaited.is_offered_pipe = pipe.is_some();
        let is_copied = is_long_read && !(awaited.is_offered_pipe && self.pipes.are_used());
        match requests::translate(header, data, &mut self.arena, pipe) {
            Ok(request) => match self.begin(request, is_copied) {
                Execution::Done(result) => {
                    self.answer(Answered { awaited, result: result.map(Said::Reply) });
                }
                Execution::Later(future) => {
                    self.in_flight.push(awaited, UnderWay::Request(future));
                }
            },
            Err(failure) => self.reply(awaited.asked, awaited.counted, Err(failure)),
        }
    }

    fn awaited(&mut self, header: &RequestHeader) -> Awaited {
        self.spin.note_request();
        Awaited {
            asked: requests::asked(header),
            expects: requests::expects(header),
            carried_bytes: requests::carried_bytes(header, self.terms.dialect),
            is_offered_pipe: false,
            counted: self.tally.take(Operation::of(header.command), header.length),
        }
    }

    /// Gives the device a part of a WRITE; the last one ends it.
    fn execute_part(&mut self, header: &RequestHeader, done: usize, data: Bytes) {
        let mut write = match self.long_write.take() {
            Some(write) => write,
            None => LongWrite::new(self.awaited(header)),
        };
        let (part, is_last) = requests::part(header, done, data);
        write.add(self.device.execute(part));
        if !is_last {
            self.long_write = Some(write);
            return;
        }
        match write.end() {
            Ok(answered) => self.answer(answered),
            Err((awaited, under_way)) => self.in_flight.push(awaited, under_way),
        }
    }

    fn execute_status(&mut self, header: &RequestHeader, payload: &[u8], awaited: Awaited) {
        match requests::translate_status(header, payload, self.terms.contexts) {
            Ok((extent, contexts, most)) => {
                let first_alone = header.flags.contains(CommandFlags::REQ_ONE);
                let awaited =
                    Awaited { expects: Expects::Status { contexts, first_alone }, ..awaited };
                let under_way = UnderWay::Status(self.device.status(extent, most));
                self.in_flight.push(awaited, under_way);
            }
            Err(failure) => self.reply(awaited.asked, awaited.counted, Err(failure)),
        }
    }

    /// Gives a request to the device, on this thread unless a long READ that is copied would keep it from other work.
    fn begin(&self, request: Request, is_copied_long: bool) -> Execution {
        let in_flight = self.in_flight.len();
        let other_work = in_flight > 0 || !self.replies.is_empty() || self.intake.is_amid_request();
        if is_copied_long && other_work && in_flight < long_read::IN_FLIGHT_MAX {
            long_read::execute_elsewhere(&self.device, request)
        } else {
            self.device.execute(request)
        }
    }

    /// Takes the answers that are there; whether there was one.
    fn poll_in_flight(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = self.long_write.as_mut().is_some_and(|write| write.poll_parts(context));
        while let Poll::Ready(Some(answered)) = self.in_flight.poll_answered(context) {
            self.answer(answered);
            any = true;
        }
        any
    }

    /// Makes a reply of an answer.
    fn answer(&mut self, Answered { awaited, result }: Answered) {
        if awaited.is_offered_pipe {
            self.pipes
                .note(matches!(&result, Ok(Said::Reply(Reply::Data(data))) if data.is_lent()));
        }
        let answer = match (result, awaited.expects) {
            (Ok(Said::Reply(Reply::Data(payload))), Expects::Data(bytes))
                if is_of(&payload, bytes) =>
            {
                Ok(Answer::Data(payload))
            }
            (Ok(Said::Reply(Reply::Done)), Expects::Nothing) => Ok(Answer::Done),
            (Ok(Said::Status(pieces)), Expects::Status { contexts, first_alone })
                if !pieces.is_empty() =>
            {
                let mut said = contexts.extents(&pieces);
                if first_alone {
                    said.iter_mut().for_each(|(_, extents)| extents.truncate(1));
                }
                Ok(Answer::Status(said))
            }
            (Ok(said), _) => {
                // Sent as it is, it would put the client out of step with every later reply.
                tracing::error!(?awaited, ?said, "the device broke its contract");
                Err(ErrorNumber::Io.into())
            }
            (Err(error), _) => {
                tracing::debug!(?awaited, error = error.with_sources(), "a request failed");
                Err(Failure::of(&error, awaited.asked))
            }
        };
        self.reply(awaited.asked, awaited.counted, answer);
    }

    /// Counts an answer, and gives it to the client if that still takes it.
    fn reply(&mut self, asked: Asked, counted: Counted, answer: Result<Answer, Failure>) {
        self.tally.answer(counted, answer.as_ref().err().map(|failure| failure.error));
        if !matches!(self.phase, Phase::Discarding(_)) {
            self.replies.push(asked, answer);
        }
    }

    /// Sends what waits, as far as the client takes it; whether it took anything.
    fn poll_send(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        while !self.replies.is_empty() {
            match self.poll_send_some(context) {
                Poll::Ready(Ok(0)) => self.discard(End::Lost(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(sent)) => {
                    let emptied = self.replies.advance(sent);
                    emptied.into_iter().for_each(|pipe| self.pipes.take_back(pipe));
                }
                Poll::Ready(Err(error)) => self.discard(End::Lost(error)),
                Poll::Pending => return any,
            }
            any = true;
            self.unflushed = true;
        }
        self.poll_flush(context);
        any
    }

    fn poll_send_some(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(lent) = self.replies.next_lent() {
            return self.stream.poll_splice(context, lent);
        }
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let count = self.replies.slices(&mut slices);
        let slices = slices.get(..count).unwrap_or_default();
        Pin::new(&mut *self.stream).poll_write_vectored(context, slices)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) {
        if self.unflushed {
            match Pin::new(&mut *self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => self.discard(End::Lost(error)),
                Poll::Pending => {}
            }
        }
    }

    /// Lets go of memory after a while without work.
    fn poll_rest(&mut self, context: &mut Context<'_>) {
        let holds_something =
            self.intake.holds_memory() || self.arena.holds_memory() || self.pipes.are_kept();
        if holds_something && self.load().is_nothing() && self.rest.poll_due(context).is_ready() {
            self.intake.release();
            self.arena.release();
            self.pipes.release();
            self.replies.release();
        }
    }

    /// Takes no more requests; keeps to the first reason.
    fn finish(&mut self, end: End) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Finishing(end);
        }
    }

    /// Takes no more requests, and sends no more replies; keeps to the first reason.
    fn discard(&mut self, end: End) {
        self.replies.clear();
        self.unflushed = false;
        self.finish(end);
        self.phase = Phase::Discarding(self.end());
    }

    fn is_over(&self) -> bool {
        let closing = !matches!(self.phase, Phase::Open);
        closing && self.load().is_nothing() && !self.unflushed
    }

    fn end(&mut self) -> End {
        match std::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Finishing(end) | Phase::Discarding(end) => end,
            Phase::Open => End::Stopped,
        }
    }

    fn load(&self) -> Load<'a> {
        let (parts, of_parts) = self
            .long_write
            .as_ref()
            .map_or((0, 0), |write| (write.parts_under_way(), write.carried_bytes()));
        Load {
            limits: self.limits,
            dialect: self.terms.dialect,
            bytes_of_others: self.share.of_others(),
            requests: parts + self.in_flight.len() + self.replies.count(),
            bytes: of_parts + self.in_flight.carried_bytes() + self.replies.bytes(),
        }
    }
}

/// What a session holds for its client.
struct Load<'a> {
    limits: &'a Limits,
    dialect: Dialect,
    bytes_of_others: usize,
    requests: usize,
    bytes: usize,
}

impl Load<'_> {
    const fn is_nothing(&self) -> bool {
        self.requests == 0 && self.bytes == 0
    }

    /// Whether a request may be added, and how: always, where it is the only one.
    fn admits(&self, header: &RequestHeader, device: &impl Device) -> Admission {
        let bytes = self.bytes + requests::carried_bytes(header, self.dialect);
        let has_room = self.requests < self.limits.requests_per_session
            && bytes <= self.limits.bytes_per_session
            && self.bytes_of_others.saturating_add(bytes) <= self.limits.bytes_in_all;
        match (self.is_nothing() || has_room, long_write::is_in_parts(header, device)) {
            (false, _) => Admission::NotNow,
            (true, true) => Admission::InParts,
            (true, false) => Admission::Whole,
        }
    }
}

fn is_of(payload: &Payload, bytes: u64) -> bool {
    u64::try_from(payload.len()) == Ok(bytes)
}

#[cfg(test)]
mod tests;
