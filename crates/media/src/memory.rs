//! A medium that is memory of the daemon.
//!
//! Sparse: what was never written, or was zeroed or trimmed by whole chunks, takes no memory. Chunks lie in
//! stripes, each with a lock of its own, so that requests to different places seldom meet. A lock is held
//! for a copy of at most one chunk.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;
use hotbay_block::{
    Allocation, BoxFuture, Device, DeviceInfo, Execution, Extent, Hole, Identity, Medium, Payload,
    Place, Reply, Request, Result, Status,
};
use parking_lot::RwLock;
use uuid::Uuid;

use crate::{ByteSize, IDENTIFYING_BYTES, content_ids};

const CHUNK_BYTES: u64 = 64 << 10;
const STRIPES: u64 = 64;
/// The most chunks that one status is about: 4 GiB.
const CHUNKS_LOOKED_AT: usize = 64 << 10;

type Stripe = RwLock<HashMap<u64, Box<[u8]>>>;

/// The bytes, which outlive the media that show them: who takes a memory medium out and puts it in again
/// finds what was written.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    size: ByteSize,
    id: Uuid,
    stripes: Vec<Stripe>,
}

impl MemoryStore {
    pub(crate) fn new(size: ByteSize) -> Arc<Self> {
        let stripes = (0..STRIPES).map(|_| Stripe::default()).collect();
        Arc::new(Self { size, id: Uuid::new_v4(), stripes })
    }

    fn stripe(&self, chunk: u64) -> &Stripe {
        &self.stripes[usize::try_from(chunk % STRIPES).expect("a stripe's number is small")]
    }

    /// The parts of `extent` by chunk: the chunk's number, the range in it, the part itself.
    fn parts(extent: Extent) -> impl Iterator<Item = (u64, std::ops::Range<usize>, Extent)> {
        let first = extent.offset() / CHUNK_BYTES;
        let chunks = first..extent.end().div_ceil(CHUNK_BYTES);
        chunks.filter_map(move |chunk| {
            let start = chunk * CHUNK_BYTES;
            let whole = Extent::between(start, start.saturating_add(CHUNK_BYTES));
            let part = whole.intersection(extent)?;
            Some((chunk, whole.range_of(part), part))
        })
    }

    /// Copies what is stored into the buffer; for all else there is nothing to be copied.
    fn read(&self, extent: Extent, mut buffer: BytesMut) -> Payload {
        let mut payload = Payload::default();
        for (chunk, range, part) in Self::parts(extent) {
            match self.stripe(chunk).read().get(&chunk) {
                Some(bytes) => buffer.extend_from_slice(&bytes[range]),
                None => {
                    payload.push(buffer.split().freeze());
                    payload.push_zeroes(part.len_in_memory());
                }
            }
        }
        payload.push(buffer.freeze());
        payload
    }

    /// What has chunks and what has none, at most so many pieces, of so much as does not take long to look through.
    fn status(&self, extent: Extent, most: usize) -> Vec<Status> {
        let mut pieces = Vec::new();
        for (chunk, _, extent) in Self::parts(extent).take(CHUNKS_LOOKED_AT) {
            let allocation = match self.stripe(chunk).read().contains_key(&chunk) {
                true => Allocation::Data,
                false => Allocation::Hole,
            };
            Status { extent, allocation, place: Place::Medium }.add_to(&mut pieces);
            if pieces.len() > most {
                pieces.pop();
                break;
            }
        }
        pieces
    }

    fn write(&self, extent: Extent, data: &[u8]) {
        for (chunk, range, part) in Self::parts(extent) {
            let source = &data[extent.range_of(part)];
            self.stripe(chunk).write().entry(chunk).or_insert_with(new_chunk)[range]
                .copy_from_slice(source);
        }
    }

    fn zero(&self, extent: Extent, hole: Hole) {
        for (chunk, range, part) in Self::parts(extent) {
            let mut stripe = self.stripe(chunk).write();
            match hole {
                Hole::Forbidden => stripe.entry(chunk).or_insert_with(new_chunk)[range].fill(0),
                Hole::Allowed if part.length() == CHUNK_BYTES => drop(stripe.remove(&chunk)),
                Hole::Allowed => {
                    if let Some(bytes) = stripe.get_mut(&chunk) {
                        bytes[range].fill(0);
                    }
                }
            }
        }
    }

    #[cfg(test)]
    fn allocated_bytes(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.read().len() as u64 * CHUNK_BYTES).sum()
    }
}

fn new_chunk() -> Box<[u8]> {
    vec![0; usize::try_from(CHUNK_BYTES).expect("a chunk fits in memory")].into()
}

/// Memory of the daemon as a medium. Always there while the daemon runs; nothing survives it, so stable
/// storage and memory are one.
#[derive(Debug)]
pub struct MemoryMedium {
    name: String,
    store: Arc<MemoryStore>,
}

impl MemoryMedium {
    /// A fresh one of this size, which reads as zeroes and takes no memory yet.
    #[must_use]
    pub fn new(size: ByteSize) -> Self {
        Self::of(MemoryStore::new(size))
    }

    pub(crate) fn of(store: Arc<MemoryStore>) -> Self {
        Self { name: format!("mem:{}", store.size), store }
    }

    fn identity(&self) -> Identity {
        let size_bytes = self.store.size.0;
        let head = Extent::between(0, size_bytes.min(IDENTIFYING_BYTES));
        let head = self.store.read(head, BytesMut::new()).into_bytes();
        Identity {
            size_bytes,
            content: content_ids(&head),
            hardware: Some(format!("memory:{}", self.store.id)),
            file: None,
            location: self.name.clone(),
        }
    }

    fn read(&self, extent: Extent, mut buffer: BytesMut) -> Payload {
        buffer.clear();
        buffer.reserve(extent.len_in_memory());
        self.store.read(extent, buffer)
    }
}

impl Device for MemoryMedium {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            size_bytes: self.store.size.0,
            preferred_block_bytes: 4096,
            read_only: false,
            rotational: false,
        }
    }

    fn execute(&self, request: Request) -> Execution {
        match request {
            Request::Read { extent, buffer, .. } => {
                return Execution::Done(Ok(Reply::Data(self.read(extent, buffer))));
            }
            Request::Write { extent, data, .. } => self.store.write(extent, &data),
            Request::Zero { extent, hole, .. } => self.store.zero(extent, hole),
            Request::Trim { extent, .. } => self.store.zero(extent, Hole::Allowed),
            Request::Cache { .. } | Request::Flush => {}
        }
        Execution::Done(Ok(Reply::Done))
    }

    fn status(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        Box::pin(std::future::ready(Ok(self.store.status(extent, most))))
    }
}

impl Medium for MemoryMedium {
    fn name(&self) -> &str {
        &self.name
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(std::future::ready(Ok(self.identity())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_block::{Checked, Durability, conformance};

    #[tokio::test]
    async fn it_is_a_device() {
        conformance::check(&Checked::new(MemoryMedium::new(ByteSize(6 << 20)))).await;
        conformance::check(&Checked::new(MemoryMedium::new(ByteSize((5 << 20) + 4321)))).await;
    }

    #[tokio::test]
    async fn discards_free_memory_and_holes_can_be_forbidden() {
        let medium = MemoryMedium::new(ByteSize(1 << 50));
        let extent = Extent::between(CHUNK_BYTES - 1, 5 * CHUNK_BYTES + 1);
        let durability = Durability::Deferred;
        let mut allocated = vec![medium.store.allocated_bytes()];
        let trim = Request::Trim { extent, durability };
        let zero = |hole| Request::zero(extent, hole, durability);
        for request in [zero(Hole::Forbidden), trim, zero(Hole::Forbidden), zero(Hole::Allowed)] {
            medium.execute(request).answer().await.unwrap();
            allocated.push(medium.store.allocated_bytes() / CHUNK_BYTES);
        }
        assert_eq!(allocated, [0, 6, 2, 6, 2]);
        let whole = Extent::between(0, 1 << 50);
        let ends = |most| {
            let pieces = medium.store.status(whole, most).into_iter();
            pieces.map(|s| (s.allocation, s.extent.end() / CHUNK_BYTES)).collect::<Vec<_>>()
        };
        use Allocation::{Data, Hole as Nothing};
        let all = [(Data, 1), (Nothing, 5), (Data, 6), (Nothing, 64 << 10)];
        assert_eq!(ends(100), all);
        assert_eq!(ends(4), all);
        assert_eq!(ends(2), all[..2]);
    }

    #[tokio::test]
    async fn it_is_recognised_by_its_own_number() {
        let (one, other) = (MemoryMedium::new(ByteSize(4096)), MemoryMedium::new(ByteSize(4096)));
        let identity = one.identify().await.unwrap();
        assert_eq!(identity.location, "mem:4KiB");
        assert!(identity.hardware.as_ref().unwrap().starts_with("memory:"));
        assert_ne!(identity.hardware, other.identify().await.unwrap().hardware);
        let again = MemoryMedium::of(Arc::clone(&one.store));
        assert_eq!(identity, again.identify().await.unwrap());
    }
}
