//! The rules for one request at a time.

use bytes::{Bytes, BytesMut};

use super::model::{Broken, Model, Numbers, describe, expect_data, failed, hold, read, write};
use crate::{Allocation, Device, Durability, ErrorKind, Extent, Hole, Request, Speed};

const DEFERRED: Durability = Durability::Deferred;

/// Lengths at which implementations change their mind: around sectors, pages, chunks of 64 KiB, a MiB.
const LENGTHS: [u64; 16] = [
    1,
    2,
    511,
    512,
    513,
    4095,
    4096,
    4097,
    65535,
    65536,
    65537,
    100_000,
    1 << 20,
    1_048_577,
    2_500_000,
    3 << 20,
];

/// One range of each length, at the start, at the end, and at an odd place.
fn ranges_of_all_lengths(size: u64) -> impl Iterator<Item = Extent> {
    LENGTHS.into_iter().flat_map(move |length| {
        let last = size - length;
        [0, last, (last / 2) | 1].map(|offset| Extent::between(offset, offset + length))
    })
}

pub(super) async fn info(device: &dyn Device) -> Result<(), Broken> {
    let info = device.info();
    hold(info.size_bytes > 0, || "it has no bytes".into())?;
    let block = info.preferred_block_bytes;
    hold(block.is_power_of_two(), || format!("its block of {block} bytes is no power of two"))?;
    hold(!info.read_only, || "it is read-only, which has a suite of its own".into())?;
    Model::filled(device, 1).await?.verify_all().await?;
    let later = device.info();
    hold(later == info, || format!("it was {info:?} and is {later:?}"))
}

pub(super) async fn writes(device: &dyn Device) -> Result<(), Broken> {
    let mut model = Model::filled(device, 2).await?;
    let mut numbers = Numbers::seeded(3);
    for extent in ranges_of_all_lengths(model.size) {
        model.apply(write(extent, numbers.bytes(extent.length()), DEFERRED)).await?;
        model.verify_around(extent).await?;
    }
    model.verify_all().await
}

pub(super) async fn buffers(device: &dyn Device) -> Result<(), Broken> {
    let model = Model::filled(device, 4).await?;
    for extent in ranges_of_all_lengths(model.size) {
        let length = extent.len_in_memory();
        for capacity in [0, 1, length - 1, length, length + 4096] {
            let buffer = BytesMut::with_capacity(capacity);
            let answer =
                device.execute(Request::Read { extent, buffer, pipe: None }).answer().await;
            model.compare(extent, &expect_data(extent, answer)?)?;
        }
    }
    Ok(())
}

pub(super) async fn zeroes(device: &dyn Device) -> Result<(), Broken> {
    for hole in [Hole::Allowed, Hole::Forbidden] {
        let mut model = Model::filled(device, 5).await?;
        for extent in ranges_of_all_lengths(model.size) {
            model.apply(Request::zero(extent, hole, DEFERRED)).await?;
            model.verify_around(extent).await?;
            // Beside it, and over it: zeroes must not come back, and must not stay.
            let data = Bytes::from_static(b"beside the zeroes");
            let place = extent.offset().min(model.size - data.len() as u64);
            let beside = Extent::between(place, place + data.len() as u64);
            model.apply(write(beside, data, DEFERRED)).await?;
            model.verify(beside).await?;
        }
        model.verify_all().await?;
    }
    Ok(())
}

/// Refused is as good as made, and half made is neither.
pub(super) async fn quick_zeroes(device: &dyn Device) -> Result<(), Broken> {
    for hole in [Hole::Allowed, Hole::Forbidden] {
        let mut model = Model::filled(device, 13).await?;
        for extent in ranges_of_all_lengths(model.size) {
            let (speed, durability) = (Speed::Fast, DEFERRED);
            model.apply_if_fast(Request::Zero { extent, hole, speed, durability }).await?;
            model.verify_around(extent).await?;
        }
        model.verify_all().await?;
    }
    Ok(())
}

pub(super) async fn trims(device: &dyn Device) -> Result<(), Broken> {
    let mut model = Model::filled(device, 6).await?;
    let mut numbers = Numbers::seeded(7);
    for extent in ranges_of_all_lengths(model.size) {
        model.apply(Request::Trim { extent, durability: DEFERRED }).await?;
        model.verify_around(extent).await?;
    }
    model.verify_all().await?;
    for extent in ranges_of_all_lengths(model.size) {
        model.apply(write(extent, numbers.bytes(extent.length()), DEFERRED)).await?;
    }
    model.verify_all().await
}

pub(super) async fn status(device: &dyn Device) -> Result<(), Broken> {
    let mut model = Model::filled(device, 10).await?;
    let zeroed = Extent::between(1 << 20, 3 << 20);
    model.apply(Request::zero(zeroed, Hole::Allowed, DEFERRED)).await?;
    for most in [1, 2, 1000] {
        let (mut at, end) = (0, model.size);
        while at < end {
            let asked = Extent::between(at, end);
            let pieces = device.status(asked, most).await.map_err(|error| {
                Broken::new(format!("what is known of {asked}: {}", error.with_sources()))
            })?;
            hold((1..=most).contains(&pieces.len()), || {
                format!("{} pieces of {asked}, not 1 to {most}", pieces.len())
            })?;
            for piece in pieces {
                let extent = piece.extent;
                let follows = extent.offset() == at && !extent.is_empty();
                hold(follows && asked.contains(extent), || {
                    format!("{extent} is out of place in {asked}")
                })?;
                hold(piece.allocation != Allocation::Hole || zeroed.contains(extent), || {
                    format!("{extent} has bytes and is said to be a hole")
                })?;
                at = extent.end();
            }
        }
    }
    model.verify_all().await
}

pub(super) async fn stable_changes(device: &dyn Device) -> Result<(), Broken> {
    let mut model = Model::filled(device, 8).await?;
    let mut numbers = Numbers::seeded(9);
    let durability = Durability::Stable;
    for length in [1, 512, 4096, 70_001, 1 << 20] {
        let mut next = |model: &Model<'_>| {
            let offset = numbers.below(model.size - length);
            (Extent::between(offset, offset + length), numbers.bytes(length))
        };
        let (extent, data) = next(&model);
        model.apply(write(extent, data, durability)).await?;
        for hole in [Hole::Allowed, Hole::Forbidden] {
            let (extent, _) = next(&model);
            model.apply(Request::zero(extent, hole, durability)).await?;
        }
        let (extent, _) = next(&model);
        model.apply(Request::Trim { extent, durability }).await?;
    }
    model.verify_all().await
}

pub(super) async fn flushes(device: &dyn Device) -> Result<(), Broken> {
    let mut model = Model::filled(device, 10).await?;
    model.apply(Request::Flush).await?;
    model.apply(Request::Flush).await?;
    let extent = Extent::between(4095, 4100);
    model.apply(write(extent, Bytes::from_static(b"flush"), DEFERRED)).await?;
    model.apply(Request::Flush).await?;
    model.verify_all().await
}

pub(super) async fn hints(device: &dyn Device) -> Result<(), Broken> {
    let mut model = Model::filled(device, 11).await?;
    let all = Extent::between(0, model.size);
    for extent in ranges_of_all_lengths(model.size).chain([all]) {
        model.apply(Request::Cache { extent }).await?;
    }
    model.verify_all().await
}

pub(super) async fn ranges(device: &dyn Device) -> Result<(), Broken> {
    let model = Model::filled(device, 12).await?;
    let size = model.size;
    let past = [
        Extent::between(size, size + 1),
        Extent::between(size - 1, size + 1),
        Extent::between(size - 4096, size + 1),
        Extent::between(0, size + 1),
        Extent::between(size + 4096, size + 8192),
        Extent::between(u64::MAX - 1, u64::MAX),
        Extent::between(i64::MAX.cast_unsigned(), i64::MAX.cast_unsigned() + 512),
    ];
    for extent in past {
        for durability in [Durability::Deferred, Durability::Stable] {
            for (request, kind) in requests_on(extent, durability) {
                expect_refusal(device, request, kind).await?;
            }
        }
    }
    hold(device.info().size_bytes == size, || "its size has changed".into())?;
    model.verify_all().await
}

fn requests_on(extent: Extent, durability: Durability) -> Vec<(Request, ErrorKind)> {
    let mut requests = vec![
        (Request::read(extent), ErrorKind::Invalid),
        (Request::Trim { extent, durability }, ErrorKind::Invalid),
        (Request::Cache { extent }, ErrorKind::Invalid),
        (Request::zero(extent, Hole::Allowed, durability), ErrorKind::NoSpace),
        (Request::zero(extent, Hole::Forbidden, durability), ErrorKind::NoSpace),
    ];
    if extent.length() <= super::SIZE_BYTES_MAX + 1 {
        let data = Bytes::from(vec![0xee; extent.len_in_memory()]);
        requests.push((write(extent, data, durability), ErrorKind::NoSpace));
    }
    requests
}

async fn expect_refusal(
    device: &dyn Device,
    request: Request,
    kind: ErrorKind,
) -> Result<(), Broken> {
    let what = describe(&request);
    match device.execute(request).answer().await {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => {
            let got = error.kind();
            Err(Broken::new(format!("{what} is refused as {got:?}, not as {kind:?}")))
        }
        Ok(_) => Err(Broken::new(format!("{what} is not refused"))),
    }
}

pub(super) async fn sequences(device: &dyn Device) -> Result<(), Broken> {
    for seed in 100..104 {
        sequence(device, seed).await.map_err(|how| Broken::new(format!("seed {seed}: {how}")))?;
    }
    Ok(())
}

async fn sequence(device: &dyn Device, seed: u64) -> Result<(), Broken> {
    let mut model = Model::filled(device, seed).await?;
    let mut numbers = Numbers::seeded(seed);
    for _ in 0..300 {
        let longest = [64, 4096, 20_000, 300_000][usize::from(numbers.next().to_le_bytes()[0] % 4)];
        let extent = numbers.extent(model.size, longest);
        let durability = numbers.durability();
        match numbers.below(10) {
            0..4 => model.verify(extent).await?,
            4..7 => {
                let data = numbers.bytes(extent.length());
                model.apply(write(extent, data, durability)).await?;
            }
            7 => model.apply(Request::zero(extent, numbers.hole(), durability)).await?,
            8 => model.apply(Request::Trim { extent, durability }).await?,
            _ => model.apply(Request::Flush).await?,
        }
    }
    model.verify_all().await
}

pub(super) async fn read_only(device: &dyn Device) -> Result<(), Broken> {
    let size = device.info().size_bytes;
    hold(device.info().read_only, || "it does not say that it is read-only".into())?;
    let extent = Extent::between(0, size.min(4096));
    let before = read(device, extent).await?;
    for durability in [Durability::Deferred, Durability::Stable] {
        for (request, _) in requests_on(extent, durability) {
            if request.is_change() {
                expect_refusal(device, request, ErrorKind::ReadOnly).await?;
            }
        }
    }
    let flush = device.execute(Request::Flush).answer().await;
    flush.map_err(|error| failed("a flush", &error))?;
    hold(read(device, extent).await? == before, || "its content has changed".into())
}
