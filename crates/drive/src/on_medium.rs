//! A request on its way to the medium: in `present` and in `copying`.
//!
//! What the medium answers at once is answered on the spot (`begin`); a request that has to wait goes on from where it came to
//! (`go_on`), or begins with waiting (`execute`). What an answer means is judged in one place.
//!
//! A change is acknowledged when the medium has carried it out **and** it is retained; with FUA, or where there is no
//! room to retain it, when a sync that began later has succeeded. Whatever shows that the medium is gone is not an
//! answer: it begins a removal, and the request moves to the next route.

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use hotbay_block::{Durability, Error, ErrorKind, Reply, Request, Result};
use tokio::time::sleep;

use crate::attachment::{Attachment, Completion, MediumIo};
use crate::errand::{Errand, Given};
use crate::handle::Outcome;
use crate::volume::Volume;

/// How far a request came without waiting.
pub(crate) enum Begun {
    /// It is answered.
    Answered(Result<Reply>),
    /// It has to wait before it may go to the medium.
    NotYet(Request),
    /// It is at the medium, and has to wait there.
    There(Errand<Arc<Attachment>>, Stage),
}

/// How far a request at the medium is.
pub(crate) enum Stage {
    /// The medium has it.
    UnderWay(MediumIo),
    /// The medium has answered.
    Judged(Judged),
}

/// What the medium's answer to a request means.
pub(crate) enum Judged {
    /// All is said.
    Is(Outcome),
    /// The request is to be moved to the next route.
    Moved,
    /// It is retained; what remains to be done is to make it durable. Whatever happens now, the fence takes it along.
    MakeDurable,
    /// It is not retained: it may be acknowledged after a sync.
    SyncFirst,
}

/// Carries out a request on the medium, as far as that goes without waiting.
pub(crate) fn begin(volume: &Arc<Volume>, attachment: &Arc<Attachment>, request: Request) -> Begun {
    let waits = match request.is_change() {
        true => !attachment.hold_back().is_zero(),
        false => matches!(request, Request::Flush),
    };
    if waits {
        return Begun::NotYet(request);
    }
    let mut errand = match Errand::enter(attachment, request) {
        Ok(errand) => errand,
        Err(request) => return Begun::NotYet(request),
    };
    if !errand.try_claim() {
        return Begun::NotYet(errand.into_request());
    }
    match errand.give() {
        Given::UnderWay(io) => Begun::There(errand.into_owned(), Stage::UnderWay(io)),
        Given::Answered(answer) => match judge(volume, &mut errand, answer) {
            Judged::Is(Outcome::Answer(answer)) => Begun::Answered(answer),
            judged => Begun::There(errand.into_owned(), Stage::Judged(judged)),
        },
    }
}

/// Carries out what has begun.
pub(crate) async fn go_on(
    volume: &Arc<Volume>,
    mut errand: Errand<Arc<Attachment>>,
    stage: Stage,
) -> Outcome {
    let judged = match stage {
        Stage::Judged(judged) => judged,
        Stage::UnderWay(io) => {
            let answer = errand.attachment().answer_to(io, std::future::pending()).await;
            judge(volume, &mut errand, answer)
        }
    };
    match judged {
        Judged::Is(outcome) => outcome,
        Judged::Moved => Outcome::Moved(errand.into_request()),
        Judged::MakeDurable => sync_before_answer(volume, errand.attachment()).await,
        Judged::SyncFirst => match sync(volume, errand.attachment()).await {
            Ok(()) => {
                // Older changes that it covers were let go of meanwhile, and what they brought is not there any more.
                if let Some(extent) = errand.request().extent() {
                    errand.attachment().is_changed(extent);
                }
                errand.is_carried_out();
                Outcome::Answer(Ok(Reply::Done))
            }
            // It was not retained, so the next route has to carry it out.
            Err(Unsynced) => Outcome::Moved(errand.into_request()),
        },
    }
}

/// Carries out a request on the medium.
pub(crate) async fn execute(
    volume: &Arc<Volume>,
    attachment: &Arc<Attachment>,
    request: Request,
) -> Outcome {
    if matches!(request, Request::Flush) {
        let Some(_visit) = attachment.visit() else { return Outcome::Moved(request) };
        return sync_before_answer(volume, attachment).await;
    }
    if request.is_change() {
        hold_back(attachment).await;
    }
    let mut errand = match Errand::enter(Arc::clone(attachment), request) {
        Ok(errand) => errand,
        Err(request) => return Outcome::Moved(request),
    };
    if !errand.claim().await {
        return Outcome::Moved(errand.into_request());
    }
    let stage = match errand.give() {
        Given::UnderWay(io) => Stage::UnderWay(io),
        Given::Answered(answer) => Stage::Judged(judge(volume, &mut errand, answer)),
    };
    go_on(volume, errand, stage).await
}

/// Slows a change down where a copy would not come to its end otherwise. Outside the gate, so that whoever drains it
/// waits for nobody who only waits.
async fn hold_back(attachment: &Attachment) {
    let pause = attachment.hold_back();
    if !pause.is_zero() {
        sleep(pause).await;
    }
}

/// What the answer of the medium means for a request; a change that it has carried out is entered.
fn judge<A: Borrow<Arc<Attachment>>>(
    volume: &Arc<Volume>,
    errand: &mut Errand<A>,
    answer: Option<Result<Reply>>,
) -> Judged {
    let Some(answer) = answer else { return Judged::Moved };
    match answer {
        Err(error) if error.kind() == ErrorKind::Gone => {
            volume.lose(errand.attachment(), error);
            Judged::Moved
        }
        Ok(_) if errand.request().is_change() => judge_change(volume, errand),
        _ if errand.attachment().is_fenced() => Judged::Moved,
        answer => Judged::Is(Outcome::Answer(answer)),
    }
}

/// Enters a change that the medium has carried out.
fn judge_change<A: Borrow<Arc<Attachment>>>(
    volume: &Arc<Volume>,
    errand: &mut Errand<A>,
) -> Judged {
    let completion = errand.attachment().complete(errand.request());
    if completion != Completion::SyncFirst {
        errand.is_carried_out();
    }
    let is_stable = errand.request().durability() == Some(Durability::Stable);
    match completion {
        Completion::Fenced => Judged::Moved,
        Completion::SyncFirst => Judged::SyncFirst,
        Completion::Retained | Completion::RetainedSyncSoon if is_stable => Judged::MakeDurable,
        Completion::RetainedSyncSoon => {
            sync_soon(volume, errand.attachment());
            Judged::Is(Outcome::Answer(Ok(Reply::Done)))
        }
        Completion::Retained => Judged::Is(Outcome::Answer(Ok(Reply::Done))),
    }
}

async fn sync_before_answer(volume: &Arc<Volume>, attachment: &Arc<Attachment>) -> Outcome {
    match sync(volume, attachment).await {
        Ok(()) => Outcome::Answer(Ok(Reply::Done)),
        Err(Unsynced) => Outcome::Moved(Request::Flush),
    }
}

/// The medium could not be synced. The removal has begun.
#[derive(Debug)]
pub(crate) struct Unsynced;

/// Syncs the medium for all who wait, and lets go of what that covers. A sync that fails is a loss, whatever the
/// reason: the system may have dropped what was to be written, and would report success the next time. So those who
/// waited for their turn behind one that failed do not try again.
pub(crate) async fn sync(
    volume: &Arc<Volume>,
    attachment: &Arc<Attachment>,
) -> std::result::Result<(), Unsynced> {
    let run = async {
        let mark = attachment.mark();
        if attachment.loss_is_reported() {
            return Err(Unsynced);
        }
        match attachment.execute(Request::Flush).await {
            Some(Ok(_)) if !attachment.is_fenced() && !attachment.loss_is_reported() => {
                if attachment.release(mark) {
                    volume.identity_may_have_changed(attachment).await;
                }
                Ok(())
            }
            Some(Err(error)) => {
                volume.lose(attachment, error_of_sync(error));
                Err(Unsynced)
            }
            Some(Ok(_)) | None => Err(Unsynced),
        }
    };
    attachment.syncs.sync(run).await
}

fn error_of_sync(error: Error) -> Error {
    Error::new(ErrorKind::Gone, "its sync failed").caused_by(error)
}

/// Syncs without anybody waiting, so that the bound on retained writes is not reached.
fn sync_soon(volume: &Arc<Volume>, attachment: &Arc<Attachment>) {
    if attachment.sync_is_coming.swap(true, SeqCst) {
        return;
    }
    let runtime = volume.around.runtime.clone();
    let (volume, attachment) = (Arc::clone(volume), Arc::clone(attachment));
    runtime.spawn(async move {
        if let Some(_visit) = attachment.visit() {
            // A failure has begun the removal; there is nobody to answer.
            let _ = sync(&volume, &attachment).await;
        }
        attachment.sync_is_coming.store(false, SeqCst);
    });
}
