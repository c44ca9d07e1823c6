//! A copy that is back gets what was changed without it.
//!
//! Granule by granule, while clients go on: what they change meanwhile in granules that it has goes to it as well. A granule that is
//! being copied is claimed, so that its changes wait for that long. At the end everything waits for one short sync of the copy, in
//! which it is recorded as in sync.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotbay_block::{Device, Extent, Request, Result};
use tokio::time::timeout;

use crate::buffers::Buffers;
use crate::copy::{as_change, is_hole, no_bytes};
use crate::event::EventKind;
use crate::status::Progress;

use super::Mirrored;

/// For how long a granule that is being changed all the time is waited for, before all changes are held up for it.
const POLITE: Duration = Duration::from_millis(50);

/// How many pieces are asked for of what is copied at once.
const KNOWN_AT_ONCE: usize = 64;

/// What is copied at once of a granule.
const STEP_BYTES: u64 = 4 << 20;

impl Mirrored {
    /// Brings a copy up to date; whether that has come to its end. Dropped, or where a medium goes away, it goes on later with
    /// what is left.
    pub(super) async fn catch_up(&self, copy: usize) -> bool {
        self.standings.lock().set_catching_up(copy, true);
        let caught_up = self.copy_what_is_behind(copy).await && self.finish(copy).await;
        self.copies[copy].volume.set_progress(None);
        if !caught_up {
            self.standings.lock().set_catching_up(copy, false);
        }
        caught_up
    }

    async fn copy_what_is_behind(&self, copy: usize) -> bool {
        let buffers = Buffers::for_pieces(1, Extent::between(0, STEP_BYTES));
        let total = self.behind_count(copy);
        let mut number = 0;
        while let Some(next) = self.next_behind(copy, number) {
            number = next;
            let left = self.behind_count(copy);
            // Clients may add to it.
            let total = total.max(left);
            self.copies[copy].volume.set_progress(Some(Progress {
                done_bytes: self.granules.bytes_of(total - left),
                total_bytes: self.granules.bytes_of(total),
            }));
            if let Err(error) = self.copy_granule(copy, number, &buffers).await {
                let volume = self.copies[copy].volume.name();
                tracing::info!(volume, "the copy catches up later: {error}");
                return false;
            }
            if !self.copies[copy].is_present() {
                return false;
            }
        }
        true
    }

    fn behind_count(&self, copy: usize) -> usize {
        self.standings.lock().behind(copy).map_or(0, |behind| behind.count())
    }

    fn next_behind(&self, copy: usize, from: usize) -> Option<usize> {
        self.standings.lock().behind(copy)?.next_from(from)
    }

    async fn copy_granule(&self, copy: usize, number: usize, buffers: &Buffers) -> Result<()> {
        let extent = self.granules.extent(number);
        {
            let _pass = self.gate.read().await;
            if let Ok(_claim) = timeout(POLITE, self.claims.claim(extent)).await {
                return self.bring(copy, number, extent, buffers).await;
            }
        }
        let _closed = self.gate.write().await;
        self.bring(copy, number, extent, buffers).await
    }

    /// Brings a granule to a copy. For who has seen to it that nobody changes it meanwhile.
    async fn bring(
        &self,
        copy: usize,
        number: usize,
        extent: Extent,
        buffers: &Buffers,
    ) -> Result<()> {
        let mut left = extent;
        while let Some(step) = left.pieces(STEP_BYTES).next() {
            for known in self.in_sync().status(step, KNOWN_AT_ONCE).await? {
                let change = match is_hole(&known) {
                    true => no_bytes(known.extent),
                    false => {
                        as_change(known.extent, self.read_in_sync(known.extent, buffers).await?)
                    }
                };
                self.copies[copy].device.execute(change).answer().await?;
                left = Extent::between(known.extent.end(), extent.end());
            }
        }
        self.standings.lock().caught_up(copy, number);
        Ok(())
    }

    /// Reads from a copy in sync.
    async fn read_in_sync(&self, extent: Extent, buffers: &Buffers) -> Result<Bytes> {
        let read = Request::Read { extent, buffer: buffers.take(), pipe: None };
        let answer = self.in_sync().execute(read).answer().await?;
        Ok(buffers.lend_again(answer.into_payload().into_bytes()))
    }

    /// A copy in sync, one that is present if there is one.
    fn in_sync(&self) -> &Arc<dyn Device> {
        let standings = self.standings.lock();
        let present = standings.in_sync().find(|copy| self.copies[*copy].is_present());
        let source = present.or_else(|| standings.in_sync().next()).expect("a copy is in sync");
        &self.copies[source].device
    }

    /// Makes a copy that is behind in nothing one in sync; whether that was so.
    async fn finish(&self, copy: usize) -> bool {
        let device = &self.copies[copy].device;
        // Most of it before everybody waits for the rest.
        if device.execute(Request::Flush).answer().await.is_err() {
            return false;
        }
        let _closed = self.gate.write().await;
        let flushed = device.execute(Request::Flush).answer().await.is_ok();
        if !flushed || self.behind_count(copy) > 0 || !self.copies[copy].is_present() {
            return false;
        }
        let turn = self.marks.saving().await;
        let mut next = self.standings.lock().clone();
        next.is_back(copy);
        if let Err(error) = self.marks.save(&turn, &next, &self.marks.marked()).await {
            tracing::warn!(mirror = self.name, %error, "the record cannot be written");
            return false;
        }
        *self.standings.lock() = next;
        let name = self.copies[copy].volume.name();
        self.tell(copy, EventKind::CaughtUp, format!("the copy on {name} has everything"));
        true
    }
}
