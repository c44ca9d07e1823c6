//! Stopping: what is under way is finished, everything acknowledged is made durable, and the record says where to go on.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Error, ErrorKind, with_sources};
use tokio::time::timeout;

use crate::attachment::Attachment;
use crate::failure::Refusal;
use crate::journal_log::JournalLog;
use crate::observing::read_at_rest;
use crate::route::Path;
use crate::settings::AutoInsert;
use crate::volume::{Stay, Volume};

/// How long a stop waits for I/O under way.
const DRAIN_WAIT: Duration = Duration::from_secs(10);

impl Volume {
    /// Stops serving; returns when all that was acknowledged is durable. The medium stays recorded as being in, so a
    /// restart goes on with it.
    ///
    /// # Errors
    /// Where something acknowledged could be made durable neither on the medium nor in the journal.
    pub(crate) async fn stop(self: &Arc<Self>) -> Result<(), Refusal> {
        let Some(log) = self.log.load_full() else { return Ok(()) };
        self.stopping.change(|stopping| *stopping = true);
        let mut stay = self.stay.lock().await;
        if let Some(attachment) = self.current_attachment() {
            self.settle_for_good(&mut stay, attachment, &log).await;
        }
        let route = self.route.load_full();
        if let Path::Journal { gate, .. } = &route.path {
            gate.close();
            // Whatever hangs here waits for the journal's disk; the close below waits for that too.
            let _ = timeout(DRAIN_WAIT, gate.drained()).await;
        }
        self.set_route(route.state, Path::Closed);
        let _nobody_reclaims = self.reclaiming.stops().await;
        log.close().await.map_err(|error| {
            let name = self.name();
            Refusal::new(format!(
                "the journal of volume {name} could not be synced: {}",
                with_sources(&error)
            ))
        })
    }

    async fn settle_for_good(
        &self,
        stay: &mut Stay,
        attachment: Arc<Attachment>,
        log: &JournalLog,
    ) {
        attachment.gate.close();
        let settled = match timeout(DRAIN_WAIT, attachment.gate.drained()).await {
            Ok(()) => self.settle(&attachment).await,
            Err(_) => Err(Error::new(ErrorKind::Gone, "its I/O hangs")),
        };
        if settled.is_ok() {
            let unknown = attachment.unknown_blocks();
            let read = read_at_rest(Arc::clone(&attachment), unknown, log).await;
            let witness = attachment.witness_with(&read);
            self.update_record_or_warn(|record| record.witness = witness).await;
        }
        if let Err(error) = settled {
            self.lost(stay, attachment, &error).await;
            if self.settings().auto_insert == AutoInsert::WhenItReturns {
                // It would come back by itself, so a restart tries it.
                self.update_record_or_warn(|record| record.in_bay = true).await;
            }
        }
    }
}
