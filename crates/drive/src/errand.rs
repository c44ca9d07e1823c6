//! A request at the medium, from the gate to what the medium makes of it, and what it holds meanwhile.
//!
//! Most of them are answered where they begin, on their session's own thread, and hold what they hold by reference. What
//! waits goes on with an attachment of its own. The steps are the same.

use std::borrow::Borrow;
use std::sync::Arc;

use hotbay_block::{Extent, Reply, Request, Result};

use crate::attachment::{Attachment, MediumIo};

/// A request that is in at the gate. What it holds is let go of when it is dropped: of a change of which it is not known how much
/// the medium has of it, the blocks bear no witness then; its claim; and last its place behind the gate.
pub(crate) struct Errand<A: Borrow<Arc<Attachment>>> {
    at: A,
    request: Request,
    /// Held until the answer, so that nothing newer on this extent can be overtaken by a second try elsewhere.
    claimed: Option<Extent>,
    /// The medium may have a part of it, until it is known to have been carried out whole.
    in_doubt: bool,
}

/// What becomes of a request that is given to the medium.
pub(crate) enum Given {
    /// The medium has answered; `None` where it was left before.
    Answered(Option<Result<Reply>>),
    /// It will.
    UnderWay(MediumIo),
}

impl<A: Borrow<Arc<Attachment>>> Drop for Errand<A> {
    fn drop(&mut self) {
        let attachment = self.at.borrow();
        if let Some(extent) = self.claimed {
            if self.in_doubt {
                attachment.is_spoiled(extent);
            }
            attachment.claims.release(extent);
        }
        attachment.gate.leave();
    }
}

impl<A: Borrow<Arc<Attachment>>> Errand<A> {
    /// Goes in at the gate.
    ///
    /// # Errors
    /// The request, where the gate is closed.
    pub(crate) fn enter(at: A, request: Request) -> std::result::Result<Self, Request> {
        if at.borrow().gate.enter() {
            Ok(Self { at, request, claimed: None, in_doubt: false })
        } else {
            Err(request)
        }
    }

    /// Claims the extent of a change, where nobody has one that overlaps.
    #[must_use]
    pub(crate) fn try_claim(&mut self) -> bool {
        let extent = self.extent_to_claim();
        let is_free = extent.is_none_or(|extent| self.attachment().claims.try_hold(extent));
        if is_free {
            self.claimed = extent;
        }
        is_free
    }

    /// Claims the extent of a change. False where the attachment is left before: whoever holds an extent may hang, and its thread
    /// with it.
    #[must_use]
    pub(crate) async fn claim(&mut self) -> bool {
        if let Some(extent) = self.extent_to_claim() {
            let attachment = self.attachment();
            tokio::select! {
                biased;
                () = attachment.claims.hold(extent) => {}
                () = attachment.left() => return false,
            }
            self.claimed = Some(extent);
        }
        true
    }

    fn extent_to_claim(&self) -> Option<Extent> {
        self.request.extent().filter(|_| self.request.is_change())
    }

    /// Gives the request to the medium, once what it changes is claimed.
    pub(crate) fn give(&mut self) -> Given {
        if self.attachment().is_fenced() {
            return Given::Answered(None);
        }
        self.in_doubt = self.claimed.is_some();
        // What moves elsewhere has its own memory again: a read's buffer and pipe are given away.
        let request = match &mut self.request {
            Request::Read { extent, buffer, pipe } => {
                Request::Read { extent: *extent, buffer: std::mem::take(buffer), pipe: pipe.take() }
            }
            other => other.again().deferred(),
        };
        match self.attachment().begin(request) {
            Ok(answer) => Given::Answered(Some(answer)),
            Err(io) => Given::UnderWay(io),
        }
    }

    /// The change has been carried out whole.
    pub(crate) fn is_carried_out(&mut self) {
        self.in_doubt = false;
    }

    /// Where it is.
    pub(crate) fn attachment(&self) -> &Arc<Attachment> {
        self.at.borrow()
    }

    /// What is asked.
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// Ends it, and gives the request back.
    pub(crate) fn into_request(mut self) -> Request {
        std::mem::replace(&mut self.request, Request::Flush)
    }
}

impl Errand<&Arc<Attachment>> {
    /// The same, for whoever has to wait.
    pub(crate) fn into_owned(mut self) -> Errand<Arc<Attachment>> {
        let request = std::mem::replace(&mut self.request, Request::Flush);
        let (at, claimed, in_doubt) = (Arc::clone(self.at), self.claimed, self.in_doubt);
        // What it holds is not let go of, but handed on.
        std::mem::forget(self);
        Errand { at, request, claimed, in_doubt }
    }
}
