//! What a medium held before the changes that were not synced.
//!
//! Changes are carried out on the medium, and what they overwrite is kept, instead of keeping the changes back until the
//! sync: reads stay as they are, and where the faults are cleared or the daemon is killed nothing is missing on the
//! medium that was acknowledged. The price is a read before each write, paid only while such a fault is armed.

use std::collections::BTreeMap;

use bytes::Bytes;
use hotbay_block::{Durability, Extent, Medium, Request, Result};

/// So many bytes are kept. At the bound the medium is synced, as a disk does whose cache is full.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// What is read and written at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// What has to follow the change that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterThis {
    Nothing,
    /// Its old content is too much to be kept, so that it cannot be lost: it is synced.
    Sync,
}

/// The old content of what was changed since the last sync.
#[derive(Debug, Default)]
pub(super) struct OldContent {
    /// Which time this is about; what was kept another time says nothing.
    time: u64,
    /// Pieces that do not overlap, by their offset.
    pieces: BTreeMap<u64, Bytes>,
    bytes: u64,
}

impl OldContent {
    /// Forgets what was kept another time: changes came in between of which it does not know.
    pub(super) fn begin(&mut self, time: u64) {
        if self.time != time {
            self.forget();
            self.time = time;
        }
    }

    pub(super) fn forget(&mut self) {
        self.pieces.clear();
        self.bytes = 0;
    }

    /// Keeps what the extent holds, where it has not been changed since the last sync.
    ///
    /// # Errors
    /// Those of the medium.
    pub(super) async fn keep(&mut self, medium: &dyn Medium, extent: Extent) -> Result<AfterThis> {
        let mut missing = self.missing(extent);
        if self.bytes + total(&missing) > KEPT_BYTES_MAX {
            medium.execute(Request::Flush).answer().await?;
            self.forget();
            missing = vec![extent];
        }
        if total(&missing) > KEPT_BYTES_MAX {
            return Ok(AfterThis::Sync);
        }
        for piece in missing.into_iter().flat_map(|gap| gap.pieces(PIECE_BYTES)) {
            let read = medium.execute(Request::read(piece)).answer().await?;
            let bytes = read.into_payload().into_bytes();
            self.bytes += piece.length();
            self.pieces.insert(piece.offset(), bytes);
        }
        Ok(AfterThis::Nothing)
    }

    /// Writes the old content back and syncs. Nobody can be told where that fails.
    pub(super) async fn bring_back(&mut self, medium: &dyn Medium) {
        let bytes = self.bytes;
        let mut brought = Ok(());
        for (offset, data) in std::mem::take(&mut self.pieces) {
            let extent = Extent::between(offset, offset + data.len() as u64);
            let write = Request::Write { extent, data, durability: Durability::Deferred };
            brought = brought.and(medium.execute(write).answer().await.map(drop));
        }
        self.bytes = 0;
        brought = brought.and(medium.execute(Request::Flush).answer().await.map(drop));
        match brought {
            Ok(()) => tracing::info!("fault: {bytes} bytes are as they were at the last sync"),
            Err(error) => {
                tracing::warn!(
                    "fault: not all is as it was at the last sync: {}",
                    error.with_sources()
                );
            }
        }
    }

    /// The parts of the extent that are not kept yet.
    fn missing(&self, extent: Extent) -> Vec<Extent> {
        let before = self.pieces.range(..extent.offset()).next_back();
        let within = self.pieces.range(extent.offset()..extent.end());
        let mut at = extent.offset();
        let mut missing = Vec::new();
        for (offset, bytes) in before.into_iter().chain(within) {
            missing.push(Extent::between(at, *offset));
            at = at.max(offset + bytes.len() as u64);
        }
        missing.push(Extent::between(at, extent.end()));
        missing.retain(|gap| !gap.is_empty());
        missing
    }
}

fn total(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.length()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ByteSize, MemoryMedium};
    use proptest::prelude::*;
    use tokio::runtime::Builder;

    const SIZE: u64 = 3 << 20;

    fn write(extent: Extent, fill: u8) -> Request {
        let data = vec![fill; extent.len_in_memory()].into();
        Request::Write { extent, data, durability: Durability::Deferred }
    }

    async fn content(medium: &MemoryMedium) -> Vec<u8> {
        let all = Request::read(Extent::between(0, SIZE));
        medium.execute(all).answer().await.unwrap().into_payload().into_bytes().to_vec()
    }

    use hotbay_block::Device as _;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_was_not_synced_is_undone(
            changes in proptest::collection::vec((0..SIZE - 1, 1..SIZE, any::<u8>(), proptest::bool::weighted(0.2)), 0..12)
        ) {
            Builder::new_current_thread().build().unwrap().block_on(async {
                let medium = MemoryMedium::new(ByteSize(SIZE));
                let mut old = OldContent::default();
                let mut synced = content(&medium).await;
                for (start, length, fill, sync) in changes {
                    let extent = Extent::between(start, SIZE.min(start + length));
                    assert_eq!(old.keep(&medium, extent).await.unwrap(), AfterThis::Nothing);
                    medium.execute(write(extent, fill)).answer().await.unwrap();
                    if sync {
                        old.forget();
                        synced = content(&medium).await;
                    }
                }
                old.bring_back(&medium).await;
                assert!(content(&medium).await == synced);
            });
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let medium = MemoryMedium::new(ByteSize(1 << 40));
        let mut old = OldContent::default();
        let extent = |start: u64, length: u64| Extent::between(start, start + length);
        for start in 0..70 {
            let kept = old.keep(&medium, extent(start << 20, 1 << 20)).await.unwrap();
            assert_eq!(kept, AfterThis::Nothing);
            assert!(old.bytes <= KEPT_BYTES_MAX);
        }
        assert_eq!(old.bytes, 6 << 20, "a sync at the bound let go of the first 64");
        let kept = old.keep(&medium, extent(1 << 30, KEPT_BYTES_MAX + 1)).await.unwrap();
        assert_eq!((kept, old.bytes), (AfterThis::Sync, 0));
    }
}
