//! The model beside the device, and the numbers that drive both.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{Device, Durability, Error, ErrorKind, Extent, Hole, Payload, Reply, Request};

/// In what way a device breaks a rule.
#[derive(Debug)]
pub struct Broken(String);

impl Broken {
    pub(super) fn new(how: impl Into<String>) -> Self {
        Self(how.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// Breaks off where the condition does not hold.
pub(super) fn hold(condition: bool, how: impl FnOnce() -> String) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(Broken::new(how())) }
}

/// Numbers that look random and are the same on every run (SplitMix64).
#[derive(Debug)]
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Bytes none of which is 0, so that no write looks like zeroes. Long ones repeat, with a period that no
    /// device has for a block.
    pub(super) fn bytes(&mut self, length: u64) -> Bytes {
        const PERIOD: usize = 8191;
        let length = Extent::between(0, length).len_in_memory();
        let mut period = Vec::with_capacity(length.min(PERIOD) + 8);
        while period.len() < length.min(PERIOD) {
            period.extend_from_slice(&(self.next() | 0x0101_0101_0101_0101).to_le_bytes());
        }
        period.truncate(length.min(PERIOD));
        let mut bytes = BytesMut::with_capacity(length);
        while bytes.len() < length {
            bytes.extend_from_slice(&period[..period.len().min(length - bytes.len())]);
        }
        bytes.freeze()
    }

    /// A range of 1 to `longest` bytes on a device of `size` bytes; every other one is aligned to 4096.
    pub(super) fn extent(&mut self, size: u64, longest: u64) -> Extent {
        let length = 1 + self.below(longest.min(size));
        let offset = self.below(size - length + 1);
        let extent = Extent::between(offset, offset + length);
        let aligned = Extent::between(offset / 4096 * 4096, (offset + length) / 4096 * 4096);
        if self.below(2) == 0 || aligned.is_empty() { extent } else { aligned }
    }

    pub(super) fn durability(&mut self) -> Durability {
        if self.below(8) == 0 { Durability::Stable } else { Durability::Deferred }
    }

    pub(super) fn hole(&mut self) -> Hole {
        if self.below(2) == 0 { Hole::Allowed } else { Hole::Forbidden }
    }
}

/// A device, and what it should hold. Trimmed bytes may hold anything.
pub(super) struct Model<'a> {
    pub(super) device: &'a dyn Device,
    pub(super) size: u64,
    bytes: Vec<u8>,
    /// Which of the bytes may be anything.
    unknown: Vec<bool>,
}

impl<'a> Model<'a> {
    /// Fills the device with bytes that differ from zeroes and from place to place.
    pub(super) async fn filled(device: &'a dyn Device, seed: u64) -> Result<Self, Broken> {
        let size = device.info().size_bytes;
        let all = Extent::between(0, size);
        let length = all.len_in_memory();
        let mut model = Self { device, size, bytes: vec![0; length], unknown: vec![true; length] };
        let mut numbers = Numbers::seeded(seed);
        for piece in all.pieces(2 << 20) {
            let data = numbers.bytes(piece.length());
            model.apply(write(piece, data, Durability::Deferred)).await?;
        }
        Ok(model)
    }

    /// Carries out a change on both.
    pub(super) async fn apply(&mut self, request: Request) -> Result<(), Broken> {
        let what = describe(&request);
        self.note(&request);
        match self.device.execute(request).answer().await {
            Ok(Reply::Done) => Ok(()),
            Ok(Reply::Data(_)) => Err(Broken::new(format!("{what} is answered with data"))),
            Err(error) => Err(failed(&what, &error)),
        }
    }

    /// Carries out zeroes that must be quick on both, unless they would be slow.
    pub(super) async fn apply_if_fast(&mut self, request: Request) -> Result<(), Broken> {
        let (what, made) = (describe(&request), request.again());
        match self.device.execute(request).answer().await {
            Err(error) if error.kind() == ErrorKind::Slow => Ok(()),
            Err(error) => Err(failed(&what, &error)),
            Ok(_) => {
                self.note(&made);
                Ok(())
            }
        }
    }

    /// Carries out a change on the model alone.
    pub(super) fn note(&mut self, request: &Request) {
        let Some(extent) = request.extent() else { return };
        let range = Extent::between(0, self.size).range_of(extent);
        let unknown = &mut self.unknown[range.clone()];
        let bytes = &mut self.bytes[range];
        match request {
            Request::Write { data, .. } => {
                bytes.copy_from_slice(data);
                unknown.fill(false);
            }
            Request::Zero { .. } => {
                bytes.fill(0);
                unknown.fill(false);
            }
            Request::Trim { .. } => unknown.fill(true),
            Request::Read { .. } | Request::Cache { .. } | Request::Flush => {}
        }
    }

    /// Whether these bytes are what the model has at `extent`.
    pub(super) fn compare(&self, extent: Extent, got: &[u8]) -> Result<(), Broken> {
        let range = Extent::between(0, self.size).range_of(extent);
        let (expected, unknown) = (&self.bytes[range.clone()], &self.unknown[range]);
        // Quick where nothing is unknown; otherwise byte after byte.
        if expected == got {
            return Ok(());
        }
        let wrong = (0..got.len()).find(|at| !unknown[*at] && expected[*at] != got[*at]);
        wrong.map_or(Ok(()), |at| {
            let place = extent.offset() + at as u64;
            let (expected, got) = (expected[at], got[at]);
            Err(Broken::new(format!(
                "byte {place}, in a read of {extent}, is {got}, but {expected} was expected"
            )))
        })
    }

    /// Reads `extent` and a page on both sides of it, and compares them.
    pub(super) async fn verify_around(&self, extent: Extent) -> Result<(), Broken> {
        self.verify(extent).await?;
        let start = extent.offset().saturating_sub(4096);
        let end = extent.end().saturating_add(4096).min(self.size);
        self.verify(Extent::between(start, end)).await
    }

    /// Reads `extent` and compares it.
    pub(super) async fn verify(&self, extent: Extent) -> Result<(), Broken> {
        self.compare(extent, &read(self.device, extent).await?)
    }

    /// Reads everything and compares it.
    pub(super) async fn verify_all(&self) -> Result<(), Broken> {
        for piece in Extent::between(0, self.size).pieces(4 << 20) {
            self.verify(piece).await?;
        }
        Ok(())
    }
}

pub(super) fn write(extent: Extent, data: Bytes, durability: Durability) -> Request {
    Request::Write { extent, data, durability }
}

/// The request in a word or two, for messages.
pub(super) fn describe(request: &Request) -> String {
    match request {
        Request::Read { extent, .. } => format!("a read of {extent}"),
        Request::Write { extent, durability, .. } => format!("a {durability:?} write of {extent}"),
        Request::Zero { extent, hole, speed, durability } => {
            format!("{durability:?} zeroes of {extent}, hole {hole:?}, speed {speed:?}")
        }
        Request::Trim { extent, durability } => format!("a {durability:?} trim of {extent}"),
        Request::Cache { extent } => format!("a hint for {extent}"),
        Request::Flush => "a flush".into(),
    }
}

pub(super) fn failed(what: &str, error: &Error) -> Broken {
    Broken::new(format!("{what} fails: {}", error.with_sources()))
}

/// Reads `extent`; a short or a long answer breaks every rule.
pub(super) async fn read(device: &dyn Device, extent: Extent) -> Result<Bytes, Broken> {
    expect_data(extent, device.execute(Request::read(extent)).answer().await)
}

pub(super) fn expect_data(extent: Extent, answer: crate::Result<Reply>) -> Result<Bytes, Broken> {
    let what = format!("a read of {extent}");
    match answer {
        Ok(Reply::Data(payload)) => whole(extent, payload),
        Ok(Reply::Done) => Err(Broken::new(format!("{what} is answered without data"))),
        Err(error) => Err(failed(&what, &error)),
    }
}

fn whole(extent: Extent, payload: Payload) -> Result<Bytes, Broken> {
    let length = payload.len();
    hold(length as u64 == extent.length(), || {
        format!("a read of {extent} is answered with {length} bytes")
    })?;
    Ok(payload.into_bytes())
}
