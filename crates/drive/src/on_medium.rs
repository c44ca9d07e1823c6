//! A request on its way to the medium: in `present` and in `copying`.
//!
//! A change is acknowledged when the medium has carried it out **and** it is retained; with FUA, or where there is no
//! room to retain it, when a sync that began later has succeeded. Whatever shows that the medium is gone is not an
//! answer: it begins a removal, and the request moves to the next route.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use hotbay_block::{Durability, Error, ErrorKind, Extent, Reply, Request};
use tokio::time::sleep;

use crate::attachment::{Attachment, Completion};
use crate::handle::Outcome;
use crate::volume::Volume;

/// Carries out a request on the medium.
pub(crate) async fn execute(
    volume: &Arc<Volume>,
    attachment: &Arc<Attachment>,
    request: Request,
) -> Outcome {
    if request.is_change() {
        hold_back(attachment).await;
    }
    let Some(visit) = attachment.visit() else { return Outcome::Moved(request) };
    let outcome = match &request {
        Request::Read { .. } | Request::Cache { .. } => look(volume, attachment, request).await,
        Request::Flush => sync_before_answer(volume, attachment).await,
        Request::Write { .. } | Request::Zero { .. } | Request::Trim { .. } => {
            change(volume, attachment, request).await
        }
    };
    drop(visit);
    outcome
}

/// Slows a change down where a copy would not come to its end otherwise. Outside the gate, so that whoever drains it
/// waits for nobody who only waits.
async fn hold_back(attachment: &Attachment) {
    let pause = attachment.hold_back();
    if !pause.is_zero() {
        sleep(pause).await;
    }
}

/// A request that changes nothing.
async fn look(volume: &Arc<Volume>, attachment: &Arc<Attachment>, request: Request) -> Outcome {
    let again = request.again();
    match attachment.execute(request).await {
        Some(Err(error)) if error.kind() == ErrorKind::Gone => {
            volume.lose(attachment, error);
            Outcome::Moved(again)
        }
        Some(answer) if !attachment.is_fenced() => Outcome::Answer(answer),
        _ => Outcome::Moved(again),
    }
}

/// A change of which it is not known how much the medium has of it. Where it ends like that, the blocks that it touches bear
/// no witness.
struct InDoubt<'a> {
    attachment: &'a Attachment,
    extent: Extent,
    is_over: bool,
}

impl Drop for InDoubt<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.attachment.is_spoiled(self.extent);
        }
    }
}

async fn change(volume: &Arc<Volume>, attachment: &Arc<Attachment>, request: Request) -> Outcome {
    let extent = request.extent().expect("a change has an extent");
    // Held until the answer, so that nothing newer on this extent can be overtaken by a second try elsewhere.
    // Whoever holds it may hang, and its thread with it.
    let _claim = tokio::select! {
        biased;
        claim = attachment.claims.claim(extent) => claim,
        () = attachment.left() => return Outcome::Moved(request),
    };
    if attachment.is_fenced() {
        return Outcome::Moved(request);
    }
    // Until it is known to have been carried out whole, also where this is dropped.
    let mut in_doubt = InDoubt { attachment, extent, is_over: false };
    let Some(answer) = attachment.execute(request.again().deferred()).await else {
        return Outcome::Moved(request);
    };
    if let Err(error) = answer {
        if error.kind() == ErrorKind::Gone {
            volume.lose(attachment, error);
            return Outcome::Moved(request);
        }
        return match attachment.is_fenced() {
            true => Outcome::Moved(request),
            false => Outcome::Answer(Err(error)),
        };
    }
    let completion = attachment.complete(&request);
    if completion != Completion::SyncFirst {
        in_doubt.is_over = true;
    }
    let stable = request.durability() == Some(Durability::Stable);
    match completion {
        Completion::Fenced => Outcome::Moved(request),
        Completion::SyncFirst => match sync(volume, attachment).await {
            Ok(()) => {
                // Older changes that it covers were let go of meanwhile, and what they brought is not there any more.
                attachment.is_changed(extent);
                in_doubt.is_over = true;
                Outcome::Answer(Ok(Reply::Done))
            }
            // It was not retained, so the next route has to carry it out.
            Err(Unsynced) => Outcome::Moved(request),
        },
        Completion::Retained | Completion::RetainedSyncSoon if stable => {
            // Whatever happens now, the fence takes it along; what remains to be done is to make it durable.
            sync_before_answer(volume, attachment).await
        }
        Completion::RetainedSyncSoon => {
            sync_soon(volume, attachment);
            Outcome::Answer(Ok(Reply::Done))
        }
        Completion::Retained => Outcome::Answer(Ok(Reply::Done)),
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
) -> Result<(), Unsynced> {
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
