//! The session of a load, and what should be on the volume.

use std::path::Path;
use std::time::Duration;

use hotbay_server::ListenAddress;
use hotbay_server::client::{Client, ClientError, Durability};
use tokio::sync::watch;
use tokio::time::Instant;

/// What is read at a time to compare.
const COMPARED_BYTES: u64 = 1 << 20;

/// A session that makes one request at a time, and knows what each byte must be.
#[derive(Debug)]
pub(super) struct Disk {
    client: Client,
    model: Vec<u8>,
    /// How often it has written, zeroes too.
    pub(super) writes: u64,
    pub(super) requests: u64,
    pub(super) longest: Duration,
    turns: Turns,
}

/// How far the load is, and how far it may go.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    /// How often it has written.
    pub(super) written: watch::Sender<u64>,
    /// How often it may have written before it has to wait.
    pub(super) allowed: watch::Sender<u64>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { written: watch::Sender::new(0), allowed: watch::Sender::new(0) }
    }
}

impl Turns {
    /// Waits until one more write may come.
    pub(super) async fn may_go_on(&self) {
        let written = *self.written.borrow();
        // The sender is held here.
        let _ = self.allowed.subscribe().wait_for(|allowed| *allowed > written).await;
    }
}

impl Disk {
    /// Opens the volume, which must hold `content`.
    pub(super) async fn open(
        address: &ListenAddress,
        export: &str,
        content: Vec<u8>,
        turns: Turns,
    ) -> Result<Self, String> {
        let client = Client::connect(address, export)
            .await
            .map_err(|error| format!("cannot open the volume: {error}"))?;
        let longest = Duration::ZERO;
        Ok(Self { client, model: content, writes: 0, requests: 0, longest, turns })
    }

    pub(super) const fn size_bytes(&self) -> u64 {
        self.client.size_bytes()
    }

    /// What must be on the volume.
    pub(super) fn content(&self) -> &[u8] {
        &self.model
    }

    pub(super) async fn write(&mut self, offset: u64, data: Vec<u8>) -> Result<(), String> {
        self.turns.may_go_on().await;
        self.model[place(offset, data.len() as u64)].copy_from_slice(&data);
        let length = data.len();
        let begun = Instant::now();
        let answer = self.client.write(offset, data, Durability::Deferred).await;
        self.answered("a write", offset, length as u64, begun, answer)?;
        self.count_write();
        Ok(())
    }

    pub(super) async fn zero(&mut self, offset: u64, length: u32) -> Result<(), String> {
        self.turns.may_go_on().await;
        self.model[place(offset, length.into())].fill(0);
        let begun = Instant::now();
        let answer = self.client.zero(offset, length, Durability::Deferred).await;
        self.answered("zeroes", offset, length.into(), begun, answer)?;
        self.count_write();
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let answer = self.client.flush().await;
        self.answered("a flush", 0, 0, begun, answer)
    }

    /// Reads, and compares each byte.
    pub(super) async fn compare(&mut self, offset: u64, length: u32) -> Result<(), String> {
        let begun = Instant::now();
        let answer = self.client.read(offset, length).await;
        let found = self.answered("a read", offset, length.into(), begun, answer)?;
        let should = &self.model[place(offset, length.into())];
        difference(should, &found, offset)
            .map_or(Ok(()), |place| Err(format!("byte {place} is wrong, read through NBD")))
    }

    /// The same for all of it.
    pub(super) async fn compare_all(&mut self) -> Result<(), String> {
        let size = self.size_bytes();
        for offset in (0..size).step_by(usize::try_from(COMPARED_BYTES).unwrap_or(usize::MAX)) {
            let length = COMPARED_BYTES.min(size - offset);
            self.compare(offset, u32::try_from(length).unwrap_or(u32::MAX)).await?;
        }
        Ok(())
    }

    /// Compares the file of the medium, as it is on its own.
    pub(super) fn compare_image(&self, image: &Path) -> Result<(), String> {
        let found = std::fs::read(image)
            .map_err(|error| format!("cannot read {}: {error}", image.display()))?;
        if found.len() != self.model.len() {
            return Err(format!("the medium has {} bytes, not {}", found.len(), self.model.len()));
        }
        difference(&self.model, &found, 0)
            .map_or(Ok(()), |place| Err(format!("byte {place} of the medium is wrong")))
    }

    fn count_write(&mut self) {
        self.writes += 1;
        self.turns.written.send_replace(self.writes);
    }

    fn answered<T>(
        &mut self,
        what: &str,
        offset: u64,
        length: u64,
        begun: Instant,
        answer: Result<T, ClientError>,
    ) -> Result<T, String> {
        self.requests += 1;
        self.longest = self.longest.max(begun.elapsed());
        let number = self.requests;
        answer.map_err(|error| {
            format!("request {number}, {what} of {offset}+{length}, failed: {error}")
        })
    }
}

fn place(offset: u64, length: u64) -> std::ops::Range<usize> {
    let index = |place: u64| usize::try_from(place).expect("a scenario's volume fits in memory");
    index(offset)..index(offset + length)
}

/// The first byte that differs, on the volume.
fn difference(should: &[u8], found: &[u8], offset: u64) -> Option<u64> {
    // As a whole first: that is far faster, also where nothing is optimised.
    if should == found {
        return None;
    }
    let first = should.iter().zip(found).position(|(should, is)| should != is)?;
    Some(offset + first as u64)
}
