//! A volume as the demonstration's client has it: a session, and what should be on it.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hotbay_server::client::{Client, ClientError, Durability};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::failure::Failure;

/// The bytes of a chunk.
pub(super) const CHUNK_BYTES: u64 = 64 << 10;

/// Requests under way at once.
const AT_ONCE: usize = 8;

/// A session, and a copy of every byte that was acknowledged to it.
#[derive(Debug)]
pub(super) struct Disk {
    name: &'static str,
    client: Client,
    model: Mutex<Vec<u8>>,
    /// The file of its medium.
    pub(super) image: PathBuf,
    written: watch::Sender<u64>,
}

impl Disk {
    pub(super) fn new(name: &'static str, client: Client, image: PathBuf) -> Self {
        let size =
            usize::try_from(client.size_bytes()).expect("the demonstration's volumes are small");
        Self { name, client, model: vec![0; size].into(), image, written: watch::Sender::new(0) }
    }

    /// Writes chunks, several at a time; `version` makes the bytes differ from those of another time.
    ///
    /// # Errors
    /// The first write's that failed.
    pub(super) async fn write(&self, chunks: Range<u64>, version: u64) -> Result<(), ClientError> {
        stream::iter(chunks)
            .map(|chunk| self.write_chunk(chunk, version))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn write_chunk(&self, chunk: u64, version: u64) -> Result<(), ClientError> {
        let bytes = pattern(self.name, chunk, version);
        self.client.write(chunk * CHUNK_BYTES, bytes.clone(), Durability::Deferred).await?;
        self.model.lock()[place(chunk)].copy_from_slice(&bytes);
        self.written.send_modify(|count| *count += 1);
        Ok(())
    }

    /// The chunks that were acknowledged so far.
    pub(super) fn written(&self) -> u64 {
        *self.written.borrow()
    }

    /// Waits until so many chunks were acknowledged.
    pub(super) async fn until_written(&self, chunks: u64) {
        let mut written = self.written.subscribe();
        // The sender is held here, so this ends only by the count.
        let _ = written.wait_for(|count| *count >= chunks).await;
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// The flush's.
    pub(super) async fn flush(&self) -> Result<(), Failure> {
        let flushed = self.client.flush().await;
        flushed.map_err(|error| {
            Failure::new(format!("a flush of volume {} failed: {error}", self.name))
        })
    }

    /// Reads chunks and compares them.
    ///
    /// # Errors
    /// Where one cannot be read, or is not what was written.
    pub(super) async fn compare_chunks(&self, chunks: Range<u64>) -> Result<(), Failure> {
        stream::iter(chunks)
            .map(|chunk| self.compare_chunk(chunk))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn compare_chunk(&self, chunk: u64) -> Result<(), Failure> {
        let (name, offset) = (self.name, chunk * CHUNK_BYTES);
        let length = u32::try_from(CHUNK_BYTES).expect("a chunk is small");
        let read = self.client.read(offset, length).await.map_err(|error| {
            Failure::new(format!("a read of volume {name} at byte {offset} failed: {error}"))
        })?;
        self.must_be(&read, offset, "through NBD")
    }

    /// Reads all of it and compares it.
    ///
    /// # Errors
    /// As [`compare_chunks`](Self::compare_chunks).
    pub(super) async fn compare(&self) -> Result<(), Failure> {
        self.compare_chunks(0..self.client.size_bytes() / CHUNK_BYTES).await
    }

    /// Compares the file of the medium, as it is on its own.
    ///
    /// # Errors
    /// Where it cannot be read, or has another byte.
    pub(super) fn compare_image(&self) -> Result<(), Failure> {
        let image = fs::read(&self.image).map_err(|error| {
            Failure::new(format!("cannot read {}: {error}", self.image.display()))
        })?;
        self.must_be(&image, 0, "in its medium's file")
    }

    fn must_be(&self, found: &[u8], offset: u64, place: &str) -> Result<(), Failure> {
        let start = usize::try_from(offset).expect("the demonstration's volumes are small");
        let model = self.model.lock();
        match model[start..].iter().zip(found).position(|(should, is)| should != is) {
            None => Ok(()),
            Some(wrong) => {
                let (name, wrong) = (self.name, start + wrong);
                Err(Failure::new(format!("byte {wrong} of volume {name} is wrong {place}"))
                    .with_hint(
                        "this is a bug of hotbay; please report it with all that was printed",
                    ))
            }
        }
    }
}

fn place(chunk: u64) -> Range<usize> {
    let start =
        usize::try_from(chunk * CHUNK_BYTES).expect("the demonstration's volumes are small");
    start..start + usize::try_from(CHUNK_BYTES).expect("a chunk is small")
}

/// Bytes that differ for each volume, chunk and version (xorshift).
fn pattern(name: &str, chunk: u64, version: u64) -> Vec<u8> {
    let seed =
        name.bytes().fold(version, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut word = (seed << 32 | chunk).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(place(0).len());
    while bytes.len() < place(0).len() {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes
}
