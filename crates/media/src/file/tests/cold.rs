//! Reads of what is not in the page cache.

use std::sync::atomic::{AtomicUsize, Ordering};

use hotbay_block::Checked;
use proptest::prelude::*;

use super::*;

const LENGTH: u64 = 6 << 20;

/// A medium whose cache is dropped every few reads, so that some find all, some find a part, and some nothing.
#[derive(Debug)]
pub(super) struct Forgetful {
    medium: FileMedium,
    reads: AtomicUsize,
}

impl Forgetful {
    pub(super) fn of(medium: FileMedium) -> Self {
        Self { medium, reads: AtomicUsize::new(0) }
    }
}

impl Device for Forgetful {
    fn info(&self) -> DeviceInfo {
        self.medium.info()
    }

    fn execute(&self, request: Request) -> Execution {
        let count = self.reads.fetch_add(1, Ordering::Relaxed);
        if matches!(request, Request::Read { .. }) && count.is_multiple_of(8) {
            forget(&self.medium);
        }
        self.medium.execute(request)
    }
}

/// Drops what is cached of the medium and clean.
fn forget(medium: &FileMedium) {
    rustix::fs::fadvise(medium.backing.open.file(), 0, None, Advice::DontNeed).unwrap();
}

/// The same after all of it was made clean.
fn forget_all(medium: &FileMedium) {
    rustix::fs::fdatasync(medium.backing.open.file()).unwrap();
    forget(medium);
}

/// Whether reads of this medium went through io_uring; says so where this machine does not let them.
fn used_a_ring(medium: &FileMedium) -> bool {
    let used = matches!(medium.backing.cold_reads.get(), Some(Some(_)));
    if !used {
        eprintln!("SKIPPED: {} has no cold reads, or there is no io_uring", medium.name());
    }
    used
}

/// Without io_uring, as in a container that does not allow it.
fn without_ring(path: &Path) -> FileMedium {
    let open = OpenFile::open(path).unwrap();
    let backing = Backing { cold_reads: OnceLock::from(None), ..Backing::of(open) };
    FileMedium::of(Arc::new(backing), "file:test".into())
}

fn byte_at(place: u64) -> u8 {
    // No period that a page has.
    u8::try_from(place % 251).unwrap()
}

fn filled(medium: &FileMedium) {
    let bytes: Vec<u8> = (0..medium.info().size_bytes).map(byte_at).collect();
    transfer::write_all(medium.backing.open.file(), &bytes, 0).unwrap();
    forget_all(medium);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_cached_is_a_device() {
    let (_directory, _path, medium) = medium(LENGTH + 777);
    let device = Checked::new(Arc::new(Forgetful::of(medium)));
    conformance::check(&device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_cached_is_a_device_without_io_uring_too() {
    let (_directory, path, medium) = medium(LENGTH);
    drop(medium);
    conformance::check(&Checked::new(Forgetful::of(without_ring(&path)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_by_threads_where_the_ring_takes_nothing() {
    let (_directory, path, medium) = medium(LENGTH);
    filled(&medium);
    drop(medium);
    let open = OpenFile::open(&path).unwrap();
    let backing =
        Backing { cold_reads: OnceLock::from(Some(ColdReads::closed())), ..Backing::of(open) };
    let medium = FileMedium::of(Arc::new(backing), "file:test".into());
    let bytes = run(&medium, Request::read(extent(12345, 70000))).await.unwrap();
    let expected: Vec<u8> = (12345..82345).map(byte_at).collect();
    assert_eq!(bytes.into_payload().into_bytes(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_given_up_harm_no_other_and_let_the_medium_go() {
    let (_directory, path, medium) = medium(LENGTH);
    filled(&medium);
    let weak = Arc::downgrade(&medium.backing.open);
    for round in 0..20 {
        forget(&medium);
        let mut kept = Vec::new();
        for number in 0..300 {
            let place = (number * 7919 + round * 4096) * 37 % (LENGTH - 8192);
            let answer = medium.execute(Request::read(extent(place, 5000))).answer();
            match number % 3 {
                // Given up at any time of its life.
                0 => tokio::spawn(answer).abort(),
                1 => drop(answer),
                _ => kept.push((place, tokio::spawn(answer))),
            }
        }
        for (place, answer) in kept {
            let bytes = answer.await.unwrap().unwrap().into_payload().into_bytes();
            assert_eq!(bytes, (place..place + 5000).map(byte_at).collect::<Vec<u8>>());
        }
    }
    used_a_ring(&medium);
    drop(medium);
    while weak.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    FileMedium::open(&path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_is_free_as_soon_as_its_last_read_is_answered() {
    let (_directory, path, medium) = medium(LENGTH);
    filled(&medium);
    drop(medium);
    for round in 0..200 {
        let medium = FileMedium::open(&path).unwrap();
        forget(&medium);
        run(&medium, Request::read(extent(round * 4096, 4096))).await.unwrap();
        drop(medium);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_under_way_while_the_file_is_cut_off_are_right_or_gone() {
    let (_directory, path, medium) = medium(LENGTH);
    filled(&medium);
    let reads: Vec<_> = (0..LENGTH / 8192)
        .map(|number| {
            let place = number * 8192;
            let execution = medium.execute(Request::read(extent(place, 8192)));
            (place, tokio::spawn(execution.answer()))
        })
        .collect();
    File::options().write(true).open(&path).unwrap().set_len(8192).unwrap();
    let mut gone = 0;
    for (place, answer) in reads {
        match answer.await.unwrap() {
            Ok(reply) => {
                let bytes = reply.into_payload().into_bytes();
                assert_eq!(bytes, (place..place + 8192).map(byte_at).collect::<Vec<u8>>());
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Gone, "{}", error.with_sources());
                gone += 1;
            }
        }
    }
    let late = run(&medium, Request::read(extent(LENGTH - 4096, 4096))).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Gone, "{gone} were gone before");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Reads of any length and place, many at once, with any part of them cached before.
    #[test]
    fn whatever_is_cached_the_bytes_are_right(
        cached in proptest::collection::vec((0..LENGTH, 1_u64..100_000), 0..8),
        asked in proptest::collection::vec((0..LENGTH, 1_u64..2_000_000), 1..60),
    ) {
        let within = |(place, length): (u64, u64)| extent(place, length.min(LENGTH - place));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_directory, _path, medium) = medium(LENGTH);
            filled(&medium);
            rustix::fs::fadvise(medium.backing.open.file(), 0, None, Advice::Random).unwrap();
            for part in cached.into_iter().map(within) {
                run(&medium, Request::read(part)).await.unwrap();
            }
            let answers: Vec<_> = asked
                .into_iter()
                .map(within)
                .map(|part| (part, tokio::spawn(medium.execute(Request::read(part)).answer())))
                .collect();
            for (part, answer) in answers {
                let bytes = answer.await.unwrap().unwrap().into_payload().into_bytes();
                assert!(bytes.iter().copied().eq((part.offset()..part.end()).map(byte_at)), "{part}");
            }
            used_a_ring(&medium);
        });
    }
}
