//! The rules for requests that are under way together.

use bytes::Bytes;
use futures_util::future::join_all;

use super::model::{Broken, Model, Numbers, describe, failed, hold, read, write};
use crate::{Device, Durability, Extent, Hole, Reply, Request};

/// Starts all, then drives all to their end.
async fn together(device: &dyn Device, requests: Vec<Request>) -> Result<Vec<Reply>, Broken> {
    let what: Vec<String> = requests.iter().map(describe).collect();
    let executions: Vec<_> = requests.into_iter().map(|request| device.execute(request)).collect();
    let answers = join_all(executions.into_iter().map(|execution| execution.answer())).await;
    let replies = answers.into_iter().zip(what);
    replies.map(|(answer, what)| answer.map_err(|error| failed(&what, &error))).collect()
}

/// Neighbours meet inside of sectors, pages and chunks, so a device that reads, changes and writes back
/// larger blocks loses one of them.
pub(super) async fn disjoint(device: &dyn Device) -> Result<(), Broken> {
    for (seed, step) in [(20, 33), (21, 512), (22, 1000), (23, 4096), (24, 5000), (25, 66_000)] {
        let mut model = Model::filled(device, seed).await?;
        let mut numbers = Numbers::seeded(seed);
        let extents: Vec<Extent> = Extent::between(777, 777 + 48 * step).pieces(step).collect();
        let requests: Vec<Request> = extents
            .into_iter()
            .map(|extent| match numbers.below(4) {
                0 => {
                    let (hole, durability) = (numbers.hole(), numbers.durability());
                    Request::zero(extent, hole, durability)
                }
                1 => Request::Trim { extent, durability: numbers.durability() },
                _ => write(extent, numbers.bytes(extent.length()), numbers.durability()),
            })
            .collect();
        requests.iter().for_each(|request| model.note(request));
        together(device, requests).await?;
        model.verify_all().await?;
    }
    Ok(())
}

/// Blocks of 512 bytes, the smallest that any client of a disk relies on.
const BLOCK_BYTES: u64 = 512;

pub(super) async fn overlapping(device: &dyn Device) -> Result<(), Broken> {
    let mut model = Model::filled(device, 30).await?;
    for round in 0..12_u64 {
        let start = round * 8192;
        let whole = Extent::between(start, start + 64 * BLOCK_BYTES * (1 + round % 4));
        let writes = (1..=8_u8).map(|writer| {
            let first = BLOCK_BYTES * u64::from(writer % 3);
            let extent = Extent::between(whole.offset() + first, whole.end());
            write(extent, Bytes::from(vec![writer; extent.len_in_memory()]), Durability::Deferred)
        });
        let writes: Vec<Request> = writes.collect();
        writes.iter().for_each(|request| model.note(request));
        together(device, writes).await?;
        let settled = read(device, whole).await?;
        for block in settled.chunks(BLOCK_BYTES as usize) {
            let writer = block[0];
            let is_one = (1..=8).contains(&writer) && block.iter().all(|byte| *byte == writer);
            hold(is_one, || format!("a block in {whole} has bytes of several writes"))?;
        }
        hold(read(device, whole).await? == settled, || {
            format!("two reads of {whole} differ, with no write between")
        })?;
        // Whoever won: from now on that is what everybody reads.
        model.note(&write(whole, settled, Durability::Deferred));
        model.verify(whole).await?;
    }
    model.verify_all().await
}

pub(super) async fn mixed(device: &dyn Device) -> Result<(), Broken> {
    let mut model = Model::filled(device, 40).await?;
    let mut numbers = Numbers::seeded(41);
    for _ in 0..6 {
        let written: Vec<Extent> = Extent::between(0, 1 << 20).pieces(100_001).collect();
        let mut requests = Vec::new();
        for (number, extent) in written.into_iter().enumerate() {
            requests.push(if number == 0 {
                Request::zero(extent, Hole::Allowed, Durability::Deferred)
            } else {
                write(extent, numbers.bytes(extent.length()), numbers.durability())
            });
            requests.push(Request::Flush);
        }
        requests.iter().for_each(|request| model.note(request));
        let quiet = Extent::between(1 << 20, (1 << 20) + 300_000);
        requests.push(Request::read(quiet));
        let replies = together(device, requests).await?;
        for reply in replies {
            if let Reply::Data(payload) = reply {
                model.compare(quiet, &payload.into_bytes())?;
            }
        }
    }
    model.verify_all().await
}
