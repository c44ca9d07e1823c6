//! Reading the blocks that are to bear witness: a few at a time beside clients, or all that is missing when a medium is at
//! rest. Never with a client waiting for it.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{ErrorKind, Extent};
use tokio::time::timeout;

use crate::attachment::Attachment;
use crate::journal_log::JournalLog;
use crate::state::State;
use crate::under_way::Doing;
use crate::volume::Volume;
use crate::witness::Witness;

/// How long a medium that goes is read, or one at which the daemon stops. Without what it has not answered until then less
/// is known of it.
const AT_REST_WAIT: Duration = Duration::from_secs(5);

impl Volume {
    /// Reads in the background what is not known yet of the blocks that are to bear witness.
    pub(crate) fn observe_soon(self: &Arc<Self>, attachment: &Arc<Attachment>) {
        let is_on_medium = matches!(self.state(), State::Present | State::Copying);
        if is_on_medium && self.is_current(attachment) && attachment.wants_observing() {
            let (volume, attachment) = (Arc::clone(self), Arc::clone(attachment));
            self.around.runtime.spawn(async move { observe(&volume, &attachment).await });
        }
    }
}

async fn observe(volume: &Arc<Volume>, attachment: &Arc<Attachment>) {
    while let Some(visit) = attachment.visit() {
        let blocks = attachment.blocks_to_observe();
        if blocks.is_empty() {
            return;
        }
        let asked = blocks.clone();
        let sampled = attachment.ask(Doing::Identify, move |medium| medium.sample(asked)).await;
        match sampled {
            Some(Ok(sampled)) => attachment.observe(&blocks, &sampled),
            Some(Err(error)) if error.kind() == ErrorKind::Gone => {
                return volume.lose(attachment, error);
            }
            _ => return,
        }
        drop(visit);
    }
}

/// Reads blocks of a medium at which nobody else is. Empty where that takes too long, or fails.
///
/// What the journal has something for is left out: after a sync that failed the system goes on showing what is not on the
/// platter, until a replay has brought it there.
pub(crate) async fn read_at_rest(
    attachment: Arc<Attachment>,
    mut blocks: Vec<Extent>,
    log: &JournalLog,
) -> Witness {
    blocks.retain(|block| !log.touches(*block));
    if blocks.is_empty() {
        return Witness::default();
    }
    let (entered, kept) = attachment.enter(Doing::Identify);
    drop(attachment);
    let asked = blocks.clone();
    let sampling = tokio::spawn(async move {
        let sampled = kept.medium.sample(asked).await;
        drop((entered, kept));
        sampled
    });
    match timeout(AT_REST_WAIT, sampling).await {
        Ok(Ok(Ok(sampled))) => Witness::of(&blocks, &sampled),
        _ => Witness::default(),
    }
}
