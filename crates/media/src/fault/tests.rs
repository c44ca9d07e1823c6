use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{
    Checked, Device as _, Durability, ErrorKind, Extent, Hole, Medium, Request, Result, conformance,
};
use tokio::time::{Instant, sleep};

use super::*;
use crate::{ByteSize, MediumSpec, Shelf};

const SIZE: u64 = 1 << 20;

/// A shelf, and a medium of volume `a` from it.
async fn opened(faults: &str) -> (Shelf, Arc<dyn Medium>) {
    let shelf = Shelf::new();
    let medium = open(&shelf).await.unwrap();
    arm(&shelf, faults);
    (shelf, medium)
}

async fn open(shelf: &Shelf) -> Result<Arc<dyn Medium>> {
    shelf.open(&MediumSpec::Memory { size: ByteSize(SIZE) }, "a").await
}

fn arm(shelf: &Shelf, faults: &str) {
    shelf.faults("a").arm(FaultSpec::parse_all(faults).unwrap()).unwrap();
}

fn is_there(shelf: &Shelf) -> bool {
    shelf.contains(&MediumSpec::Memory { size: ByteSize(SIZE) }, "a")
}

fn writing(start: u64, length: usize, fill: u8) -> Request {
    let data = vec![fill; length].into();
    let extent = Extent::between(start, start + length as u64);
    Request::Write { extent, data, durability: Durability::Deferred }
}

async fn write(medium: &Arc<dyn Medium>, start: u64, fill: u8) -> Result<(), ErrorKind> {
    ask(medium, writing(start, 4096, fill)).await
}

async fn sync(medium: &Arc<dyn Medium>) -> Result<(), ErrorKind> {
    ask(medium, Request::Flush).await
}

async fn ask(medium: &Arc<dyn Medium>, request: Request) -> Result<(), ErrorKind> {
    medium.execute(request).answer().await.map(drop).map_err(|error| error.kind())
}

async fn read(medium: &Arc<dyn Medium>, start: u64, length: u64) -> Vec<u8> {
    let read = Request::read(Extent::between(start, start + length));
    medium.execute(read).answer().await.unwrap().into_payload().into_bytes().to_vec()
}

/// Of each fault that is armed.
fn seen_and_fired(shelf: &Shelf) -> Vec<(u64, u64)> {
    shelf.faults("a").armed().iter().map(|fault| (fault.seen, fault.fired)).collect()
}

#[tokio::test]
async fn with_faults_that_change_nothing_it_is_a_device() {
    for faults in ["count; delay 0s always", "lose-unsynced on write 100000000"] {
        let shelf = Shelf::new();
        let spec = MediumSpec::Memory { size: ByteSize((5 << 20) + 4321) };
        let medium = shelf.open(&spec, "a").await.unwrap();
        arm(&shelf, faults);
        conformance::check(&Checked::new(medium)).await;
        assert!(seen_and_fired(&shelf)[0].0 > 0, "{faults}");
    }
}

#[tokio::test]
async fn the_one_that_was_named_fails_and_nothing_of_it_happens() {
    let (shelf, medium) = opened("error ENOSPC on write 2; error on read 1 at 8192+4096").await;
    write(&medium, 0, 1).await.unwrap();
    assert_eq!(write(&medium, 0, 2).await, Err(ErrorKind::NoSpace));
    assert_eq!(read(&medium, 0, 4096).await, [1; 4096], "outside the range, and not changed");
    let there = Request::read(Extent::between(4096, 8193));
    assert_eq!(ask(&medium, there.again()).await, Err(ErrorKind::Medium), "it touches the range");
    ask(&medium, there).await.unwrap();
    write(&medium, 0, 3).await.unwrap();
    assert_eq!(seen_and_fired(&shelf), [(3, 1), (2, 1)]);
    medium.presence().await.unwrap();
    assert!(is_there(&shelf));
}

#[tokio::test]
async fn always_every_and_nothing_at_all() {
    let (shelf, medium) =
        opened("error on write 2 always at 0+4096; error on write 2 every at 4096+4096").await;
    let mut failed = Vec::new();
    for place in [0, 4096] {
        for _ in 0..4 {
            failed.push(write(&medium, place, 1).await.is_err());
        }
    }
    assert_eq!(failed, [false, true, true, true, false, true, false, true]);
    shelf.faults("a").clear();
    write(&medium, 0, 1).await.unwrap();
    assert_eq!(seen_and_fired(&shelf), []);
}

#[tokio::test]
async fn zeroes_and_trims_are_writes() {
    let (_shelf, medium) = opened("error on write always").await;
    let (extent, durability) = (Extent::between(0, 4096), Durability::Deferred);
    for request in
        [Request::Trim { extent, durability }, Request::zero(extent, Hole::Allowed, durability)]
    {
        assert_eq!(ask(&medium, request).await, Err(ErrorKind::Medium));
    }
}

#[tokio::test]
async fn a_sync_that_failed_is_never_made_up_for_on_the_same_handle() {
    let (shelf, medium) = opened("error on sync").await;
    assert_eq!(sync(&medium).await, Err(ErrorKind::Medium));
    assert_eq!(sync(&medium).await, Err(ErrorKind::PreviousFailure));
    shelf.faults("a").clear();
    assert_eq!(sync(&medium).await, Err(ErrorKind::PreviousFailure), "also once nothing is armed");
    sync(&open(&shelf).await.unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_hangs_lands_late() {
    for ends in ["by itself", "when it is cleared"] {
        let faults = if ends == "by itself" { "hang 30s on write" } else { "hang on write" };
        let (shelf, medium) = opened(faults).await;
        let hung = tokio::spawn({
            let medium = Arc::clone(&medium);
            async move { write(&medium, 0, 1).await }
        });
        let begun = Instant::now();
        sleep(Duration::from_secs(29)).await;
        write(&medium, 0, 2).await.unwrap();
        assert!(!hung.is_finished());
        assert_eq!(read(&medium, 0, 1).await, [2]);
        if ends != "by itself" {
            sleep(Duration::from_secs(3600)).await;
            assert!(!hung.is_finished());
            shelf.faults("a").clear();
        }
        hung.await.unwrap().unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(30));
        assert_eq!(read(&medium, 0, 1).await, [1], "the stale write has landed: {ends}");
    }
}

#[tokio::test(start_paused = true)]
async fn questions_hang_and_fail_as_requests_do() {
    let (shelf, medium) = opened("hang 1s on look; hang 2s on identify; hang 3s on open").await;
    let took = async |what: &str| {
        let begun = Instant::now();
        match what {
            "look" => medium.presence().await.unwrap(),
            "identify" => drop(medium.identify().await.unwrap()),
            _ => drop(open(&shelf).await.unwrap()),
        }
        begun.elapsed().as_secs()
    };
    assert_eq!((took("look").await, took("identify").await, took("open").await), (1, 2, 3));
    assert_eq!((took("look").await, took("identify").await, took("open").await), (0, 0, 0));
    arm(&shelf, "error on identify; error ENODEV on look; error EBUSY on open");
    assert_eq!(medium.identify().await.unwrap_err().kind(), ErrorKind::Medium);
    assert_eq!(medium.presence().await.unwrap_err().kind(), ErrorKind::Gone);
    assert_eq!(open(&shelf).await.unwrap_err().kind(), ErrorKind::Medium);
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_no_more_than_that() {
    let (_shelf, medium) = opened("delay 200ms on read always; delay 1s on read 2").await;
    let begun = Instant::now();
    read(&medium, 0, 1).await;
    read(&medium, 0, 1).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(1400));
}

#[tokio::test(start_paused = true)]
async fn what_vanished_comes_back_but_not_on_the_old_handle() {
    let (shelf, medium) = opened("vanish on write 2 back 5s").await;
    write(&medium, 0, 1).await.unwrap();
    assert!(is_there(&shelf));
    assert_eq!(write(&medium, 0, 2).await, Err(ErrorKind::Gone));
    for _ in 0..2 {
        assert_eq!(medium.presence().await.unwrap_err().kind(), ErrorKind::Gone);
        assert_eq!(medium.identify().await.unwrap_err().kind(), ErrorKind::Gone);
        assert_eq!(sync(&medium).await, Err(ErrorKind::Gone));
        sleep(Duration::from_millis(4999)).await;
    }
    assert!(is_there(&shelf), "the time is over");
    shelf.faults("a").clear();
    assert_eq!(
        write(&medium, 0, 3).await,
        Err(ErrorKind::Gone),
        "this handle is of no use any more"
    );
    assert_eq!(read(&open(&shelf).await.unwrap(), 0, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn without_a_time_it_stays_away_until_the_faults_are_cleared() {
    let (shelf, medium) = opened("vanish after 10s").await;
    medium.presence().await.unwrap();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(medium.presence().await.unwrap_err().kind(), ErrorKind::Gone);
    sleep(Duration::from_secs(36_000)).await;
    assert!(!is_there(&shelf));
    assert_eq!(open(&shelf).await.unwrap_err().kind(), ErrorKind::Gone);
    shelf.faults("a").clear();
    assert!(is_there(&shelf));
    open(&shelf).await.unwrap();
}

#[tokio::test]
async fn a_torn_write_is_there_in_part() {
    for (faults, there) in [("torn", 2048), ("torn 512", 512), ("torn 0", 0), ("torn 1MiB", 4096)] {
        let (shelf, medium) = opened(faults).await;
        assert_eq!(write(&medium, 0, 7).await, Err(ErrorKind::Gone));
        shelf.faults("a").clear();
        let bytes = read(&open(&shelf).await.unwrap(), 0, 4096).await;
        assert!(bytes[..there].iter().all(|byte| *byte == 7), "{faults}");
        assert!(bytes[there..].iter().all(|byte| *byte == 0), "{faults}");
    }
}

#[tokio::test]
async fn what_was_not_synced_is_lost_and_what_was_is_not() {
    let (shelf, medium) = opened("lose-unsynced on sync 2 back 0s").await;
    write(&medium, 0, 1).await.unwrap();
    write(&medium, 4096, 1).await.unwrap();
    sync(&medium).await.unwrap();
    write(&medium, 4096, 2).await.unwrap();
    let (extent, durability) = (Extent::between(8192, 12288), Durability::Stable);
    write(&medium, 12288, 3).await.unwrap();
    let stable = Request::Write { extent, data: vec![4; 4096].into(), durability };
    ask(&medium, stable).await.unwrap();
    write(&medium, 0, 5).await.unwrap();
    write(&medium, 2048, 6).await.unwrap();
    assert_eq!(read(&medium, 2048, 1).await, [6]);
    assert_eq!(sync(&medium).await, Err(ErrorKind::Gone));
    let medium = open(&shelf).await.unwrap();
    // A stable write syncs all that came before it.
    for (place, fill) in [(0, 1), (2048, 1), (4096, 2), (8192, 4), (12288, 3)] {
        assert_eq!(read(&medium, place, 2048).await, [fill; 2048], "{place}");
    }
}

#[tokio::test]
async fn what_was_kept_before_the_faults_were_cleared_does_not_count() {
    let (shelf, medium) = opened("lose-unsynced on sync").await;
    write(&medium, 0, 1).await.unwrap();
    shelf.faults("a").clear();
    write(&medium, 0, 2).await.unwrap();
    sync(&medium).await.unwrap();
    arm(&shelf, "lose-unsynced on write 2");
    write(&medium, 4096, 3).await.unwrap();
    assert_eq!(write(&medium, 8192, 3).await, Err(ErrorKind::Gone));
    shelf.faults("a").clear();
    let medium = open(&shelf).await.unwrap();
    assert_eq!(read(&medium, 0, 1).await, [2], "it was synced");
    assert_eq!(read(&medium, 4096, 1).await, [0]);
}

#[tokio::test]
async fn one_bit_is_another() {
    let (_shelf, medium) =
        opened("corrupt on read 2 at 100+1; corrupt on write at 4096+4096").await;
    assert_eq!(read(&medium, 0, 512).await, [0; 512]);
    assert_eq!(read(&medium, 512, 512).await, [0; 512], "outside the range: not counted");
    let mut expected = [0; 512];
    expected[100] = 1;
    assert_eq!(read(&medium, 0, 512).await, expected, "the second one in the range");
    assert_eq!(read(&medium, 0, 512).await, [0; 512], "what is stored is whole");
    write(&medium, 4096, 8).await.unwrap();
    expected.fill(8);
    expected[0] = 9;
    assert_eq!(read(&medium, 4096, 512).await, expected, "what is stored is wrong");
}

#[tokio::test]
async fn what_comes_back_may_be_wrong() {
    let (shelf, medium) = opened("vanish on write 2 back 0s blank").await;
    write(&medium, 0, 1).await.unwrap();
    let known = medium.identify().await.unwrap();
    write(&medium, 0, 2).await.unwrap_err();
    for _ in 0..2 {
        let other = open(&shelf).await.unwrap();
        let found = other.identify().await.unwrap();
        assert_eq!(found.size_bytes, known.size_bytes);
        assert_ne!(found.hardware, known.hardware);
        assert_eq!(read(&other, 0, 1).await, [0]);
    }
    shelf.faults("a").clear();
    let medium = open(&shelf).await.unwrap();
    assert_eq!(medium.identify().await.unwrap(), known);
    arm(&shelf, "vanish on read back 0s changed at 4096+4096");
    let all = Request::read(Extent::between(0, SIZE));
    assert_eq!(ask(&medium, all).await, Err(ErrorKind::Gone));
    let medium = open(&shelf).await.unwrap();
    assert_eq!(medium.identify().await.unwrap(), known);
    assert_eq!(read(&medium, 4096, 1024).await, [[255; 512], [0; 512]].concat());
    drop(medium);
    let medium = open(&shelf).await.unwrap();
    assert_eq!(read(&medium, 4096, 1).await, [255], "it was changed once");
}

#[tokio::test]
async fn faults_belong_to_their_volume_and_are_bounded() {
    let (shelf, medium) = opened("error on write always").await;
    let other = shelf.open(&MediumSpec::Memory { size: ByteSize(SIZE) }, "b").await.unwrap();
    write(&other, 0, 1).await.unwrap();
    write(&medium, 0, 1).await.unwrap_err();
    let one = FaultSpec::parse_all("count").unwrap();
    for _ in 1..64 {
        shelf.faults("a").arm(one.clone()).unwrap();
    }
    assert_eq!(shelf.faults("a").arm(one), Err(TooManyFaults));
}
