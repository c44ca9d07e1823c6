//! Requests that the device has not answered yet.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hotbay_block::{BoxFuture, Reply, Status};

use super::answer::Asked;
use super::gathered::Gathered;
use super::tally::Counted;
use crate::contexts::Contexts;

/// What the answer to a request has to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    /// What its reply has to keep to.
    pub(super) asked: Asked,
    pub(super) expects: Expects,
    /// The bytes that it carries, in either direction.
    pub(super) carried_bytes: usize,
    /// Whether a pipe was offered with it.
    pub(super) is_offered_pipe: bool,
    /// What is counted of it.
    pub(super) counted: Counted,
}

/// What a request is answered with where it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// Nothing more.
    Nothing,
    /// So many bytes.
    Data(u64),
    /// What these contexts say, all of it or the beginning.
    Status { contexts: Contexts, first_alone: bool },
}

/// What the device says where it succeeds.
#[derive(Debug)]
pub(super) enum Said {
    Reply(Reply),
    Status(Vec<Status>),
}

/// A request and its answer.
pub(super) struct Answered {
    pub(super) awaited: Awaited,
    pub(super) result: hotbay_block::Result<Said>,
}

/// What the device has not answered yet.
pub(super) enum UnderWay {
    Request(BoxFuture<'static, hotbay_block::Result<Reply>>),
    Status(BoxFuture<'static, hotbay_block::Result<Vec<Status>>>),
}

/// All of them. Dropping it drops their futures: it is to be driven until it is empty.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    futures: Gathered<Execution>,
    carried_bytes: usize,
}

impl InFlight {
    /// Adds a request. Its future is polled first with the next [`Self::poll_answered`].
    pub(super) fn push(&mut self, awaited: Awaited, under_way: UnderWay) {
        self.carried_bytes += awaited.carried_bytes;
        self.futures.push(Execution { awaited, under_way });
    }

    /// The next answer; `None` where there are no requests.
    pub(super) fn poll_answered(&mut self, context: &mut Context<'_>) -> Poll<Option<Answered>> {
        if self.futures.is_empty() {
            return Poll::Ready(None);
        }
        let answered = ready!(self.futures.poll_next(context));
        if let Some(answered) = &answered {
            self.carried_bytes -= answered.awaited.carried_bytes;
        }
        Poll::Ready(answered)
    }

    /// The number of requests.
    pub(super) fn len(&self) -> usize {
        self.futures.len()
    }

    /// The bytes that they carry.
    pub(super) const fn carried_bytes(&self) -> usize {
        self.carried_bytes
    }
}

/// One request under way.
struct Execution {
    awaited: Awaited,
    under_way: UnderWay,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.awaited.fmt(f)
    }
}

impl Future for Execution {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answered> {
        let result = match &mut self.under_way {
            UnderWay::Request(future) => ready!(future.as_mut().poll(context)).map(Said::Reply),
            UnderWay::Status(future) => ready!(future.as_mut().poll(context)).map(Said::Status),
        };
        Poll::Ready(Answered { awaited: self.awaited, result })
    }
}
