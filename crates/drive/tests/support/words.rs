//! The verbs of the tests.

use std::sync::Arc;

use bytes::Bytes;
use hotbay_block::{Device, Durability, Error, ErrorKind, Extent, Hole, Reply, Request};
use hotbay_drive::{Drive, EventKind, Refusal, State, Volume, WhenOccupied};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

use super::disk::NEVER;

pub fn extent(offset: u64, length: u64) -> Extent {
    Extent::new(offset, length).unwrap()
}

pub fn writing(offset: u64, length: u64, fill: u8) -> Request {
    let data = Bytes::from(vec![fill; usize::try_from(length).unwrap()]);
    Request::Write { extent: extent(offset, length), data, durability: Durability::Deferred }
}

pub fn writing_through(offset: u64, length: u64, fill: u8) -> Request {
    let data = Bytes::from(vec![fill; usize::try_from(length).unwrap()]);
    Request::Write { extent: extent(offset, length), data, durability: Durability::Stable }
}

pub fn zeroing(offset: u64, length: u64) -> Request {
    let (extent, durability) = (extent(offset, length), Durability::Deferred);
    Request::zero(extent, Hole::Allowed, durability)
}

pub async fn write(device: &Arc<dyn Device>, offset: u64, length: u64, fill: u8) {
    device.execute(writing(offset, length, fill)).answer().await.unwrap();
}

pub async fn flush(device: &Arc<dyn Device>) {
    device.execute(Request::Flush).answer().await.unwrap();
}

pub async fn try_read(
    device: &Arc<dyn Device>,
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, Error> {
    let answer = device.execute(Request::read(extent(offset, length))).answer().await?;
    Ok(answer.into_payload().into_bytes().to_vec())
}

pub async fn read(device: &Arc<dyn Device>, offset: u64, length: u64) -> Vec<u8> {
    try_read(device, offset, length).await.unwrap()
}

/// Asserts that the range holds this byte throughout.
#[track_caller]
pub fn assert_filled(bytes: &[u8], fill: u8, what: &str) {
    if let Some(place) = bytes.iter().position(|&byte| byte != fill) {
        panic!("{what}: byte {place} is {} and not {fill}", bytes[place]);
    }
}

/// A request on its way.
pub fn begin(device: &Arc<dyn Device>, request: Request) -> JoinHandle<Result<Reply, Error>> {
    let device = Arc::clone(device);
    tokio::spawn(async move { device.execute(request).answer().await })
}

pub fn volume(drive: &Drive) -> Arc<Volume> {
    Arc::clone(&drive.volumes()[0])
}

pub fn device(drive: &Drive) -> Arc<dyn Device> {
    volume(drive).open()
}

pub async fn until(volume: &Volume, state: State) {
    let mut states = volume.states();
    let reached = timeout(NEVER, states.wait_for(|now| *now == state)).await;
    reached.unwrap_or_else(|_| panic!("it stays {}", volume.state())).unwrap();
}

pub async fn until_event(drive: &Drive, kind: EventKind) -> String {
    let mut events = drive.events().follow(0);
    loop {
        let news = timeout(NEVER, events.next()).await.expect("the event comes");
        if let Some(event) = news.into_iter().find(|event| event.kind == kind) {
            return event.text;
        }
    }
}

pub fn has_event(drive: &Drive, kind: EventKind) -> bool {
    drive.events().after(0).iter().any(|event| event.kind == kind)
}

/// Ends a drive in order.
pub async fn stop(drive: Drive) {
    drive.stop().await.unwrap();
}

pub async fn insert(drive: &Drive, volume: &str) {
    drive.insert(volume, None, WhenOccupied::Refuse).await.unwrap();
}

/// A swap of the volume `a` to the disk `other`, on its way.
pub fn begin_swap(drive: &Arc<Drive>) -> JoinHandle<Result<(), Refusal>> {
    let drive = Arc::clone(drive);
    tokio::spawn(async move { drive.swap("a", "other").await })
}

pub fn kind_of(answer: Result<Reply, Error>) -> ErrorKind {
    answer.unwrap_err().kind()
}

/// Lets everybody go on who can.
pub async fn let_others_run() {
    for _ in 0..100 {
        yield_now().await;
    }
}
