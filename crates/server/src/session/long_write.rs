//! Long WRITEs, in parts.
//!
//! A long WRITE is carried out while it is received: what of its payload is there goes to the device, and the client sends
//! more meanwhile. So client and device work at the same time, and the bytes are still in the processor's cache when the
//! device gets them. What must hold:
//!
//! * A part ends where a block of the device does, so that each block has the bytes of one WRITE.
//! * Nothing of a WRITE that the device would refuse is carried out: one that ends past the end, or changes what may
//!   only be read, is received whole.
//! * So is one that has to be stable: its parts would be synced one by one.
//! * It is answered when it was received in full and all its parts are answered, with the first error that there was.
//!   What is never received in full is never answered, and may be there in part.

use std::future::poll_fn;
use std::task::{Context, Poll};

use hotbay_block::{BoxFuture, Device, Execution, Extent, Reply, Result};
use hotbay_nbd::{Command, CommandFlags, RequestHeader};

use super::gathered::Gathered;
use super::in_flight::{Answered, Awaited, Said, UnderWay};

/// From this length on a WRITE is carried out in parts.
const LONG_BYTES: u64 = 256 << 10;

/// Whether a WRITE is one to carry out in parts.
pub(super) fn is_in_parts(header: &RequestHeader, device: &impl Device) -> bool {
    let is_long = header.command == Command::Write && header.length >= LONG_BYTES;
    is_long && !header.flags.contains(CommandFlags::FUA) && {
        let (info, extent) = (device.info(), Extent::new(header.offset, header.length));
        !info.read_only && extent.is_some_and(|extent| extent.end() <= info.size_bytes)
    }
}

/// A WRITE that is being received, and what the device has of it.
#[derive(Debug)]
pub(super) struct LongWrite {
    awaited: Awaited,
    under_way: Gathered<BoxFuture<'static, Result<Reply>>>,
    outcome: Result<Reply>,
}

impl LongWrite {
    /// One of which the device has nothing yet.
    pub(super) fn new(awaited: Awaited) -> Self {
        Self { awaited, under_way: Gathered::default(), outcome: Ok(Reply::Done) }
    }

    /// Adds what the device makes of a part.
    pub(super) fn add(&mut self, part: Execution) {
        match part {
            Execution::Done(answer) => note(&mut self.outcome, answer),
            Execution::Later(future) => self.under_way.push(future),
        }
    }

    /// Takes the answers that are there; whether there was one.
    pub(super) fn poll_parts(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Poll::Ready(Some(answer)) = self.under_way.poll_next(context) {
            note(&mut self.outcome, answer);
            any = true;
        }
        any
    }

    /// The parts that have no answer yet.
    pub(super) fn parts_under_way(&self) -> usize {
        self.under_way.len()
    }

    /// The bytes that it makes the session hold while parts of it are under way.
    pub(super) fn carried_bytes(&self) -> usize {
        if self.under_way.is_empty() { 0 } else { self.awaited.carried_bytes }
    }

    /// After the last part: its answer, or what will answer it.
    pub(super) fn end(self) -> std::result::Result<Answered, (Awaited, UnderWay)> {
        let Self { awaited, mut under_way, mut outcome } = self;
        if under_way.is_empty() {
            return Ok(Answered { awaited, result: outcome.map(Said::Reply) });
        }
        let rest = async move {
            while let Some(answer) = poll_fn(|context| under_way.poll_next(context)).await {
                note(&mut outcome, answer);
            }
            outcome
        };
        Err((awaited, UnderWay::Request(Box::pin(rest))))
    }
}

/// Keeps the first error.
fn note(outcome: &mut Result<Reply>, answer: Result<Reply>) {
    if outcome.is_ok() {
        *outcome = answer;
    }
}
