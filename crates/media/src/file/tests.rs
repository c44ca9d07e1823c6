use std::fs::{self, File};
use std::path::PathBuf;

use hotbay_block::{Checked, conformance};

use super::*;

mod cold;
mod loop_device;

/// A directory and in it a sparse file of `length` bytes, opened.
fn medium_in(parent: &Path, length: u64) -> (tempfile::TempDir, PathBuf, FileMedium) {
    let directory = tempfile::tempdir_in(parent).unwrap();
    let path = directory.path().join("a.img");
    File::create(&path).unwrap().set_len(length).unwrap();
    let medium = FileMedium::open(&path).unwrap();
    (directory, path, medium)
}

fn medium(length: u64) -> (tempfile::TempDir, PathBuf, FileMedium) {
    medium_in(&std::env::temp_dir(), length)
}

fn extent(offset: u64, length: u64) -> Extent {
    Extent::new(offset, length).unwrap()
}

async fn run(medium: &FileMedium, request: Request) -> Result<Reply> {
    medium.execute(request).answer().await
}

fn write_at(offset: u64, length: usize, durability: Durability) -> Request {
    let data = Bytes::from(vec![0xa5; length]);
    Request::Write { extent: extent(offset, length as u64), data, durability }
}

async fn kind(medium: &FileMedium, request: Request) -> Option<ErrorKind> {
    run(medium, request).await.err().map(|error| error.kind())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_a_disk_is_a_device() {
    let (_directory, _path, medium) = medium((5 << 20) + 777);
    conformance::check(&Checked::new(medium)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_memory_is_a_device() {
    let (_directory, _path, medium) = medium_in(Path::new("/dev/shm"), 6 << 20);
    conformance::check(&Checked::new(medium)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_system_knows_no_quick_zeroes_is_a_device() {
    let (_directory, path, medium) = medium(5 << 20);
    drop(medium);
    let open = OpenFile::open(&path).unwrap();
    let backing = Backing { refusals: Refusals::all(), ..Backing::of(open) };
    conformance::check(&Checked::new(FileMedium::of(Arc::new(backing), "file:test".into()))).await;
}

#[tokio::test]
async fn after_its_file_was_renamed_a_sync_says_so_and_is_the_last() {
    for request in [Request::Flush, write_at(0, 4096, Durability::Stable)] {
        let (_directory, path, medium) = medium(1 << 20);
        assert_eq!(kind(&medium, request.again()).await, None);
        fs::rename(&path, path.with_extension("old")).unwrap();
        assert_eq!(kind(&medium, write_at(0, 4096, Durability::Deferred)).await, None);
        let error = run(&medium, request.again()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone);
        assert!(error.to_string().ends_with("a.img is not there any more"), "{error}");
        assert_eq!(medium.presence().await.unwrap_err().kind(), ErrorKind::Gone);

        fs::rename(path.with_extension("old"), &path).unwrap();
        medium.presence().await.unwrap();
        let previous = Some(ErrorKind::PreviousFailure);
        assert_eq!(kind(&medium, Request::Flush).await, previous);
        let refused = write_at(8192, 4096, Durability::Stable);
        assert_eq!(kind(&medium, refused).await, previous);
        let untouched = run(&medium, Request::read(extent(8192, 4096))).await.unwrap();
        assert_eq!(untouched.into_payload().into_bytes(), vec![0; 4096], "it is not even begun");
        let (hole, durability) = (Hole::Allowed, Durability::Stable);
        let zero = Request::zero(extent(0, 10), hole, durability);
        assert_eq!(kind(&medium, zero).await, previous);
        drop(medium);
        let again = FileMedium::open(&path).unwrap();
        assert_eq!(kind(&again, Request::Flush).await, None);
    }
}

#[tokio::test]
async fn a_truncated_file_is_gone_and_not_a_short_read() {
    let (_directory, path, medium) = medium(1 << 20);
    File::options().write(true).open(&path).unwrap().set_len(5000).unwrap();
    assert_eq!(kind(&medium, Request::read(extent(0, 5000))).await, None);
    let error = run(&medium, Request::read(extent(4096, 4096))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(error.to_string().contains("was truncated from 1048576 to 5000 bytes"), "{error}");
    assert_eq!(kind(&medium, Request::Flush).await, Some(ErrorKind::Gone));
}

#[tokio::test]
async fn zeroes_and_trims_give_room_back_unless_that_is_forbidden() {
    use std::os::unix::fs::MetadataExt;
    let (_directory, path, medium) = medium(1 << 20);
    let durability = Durability::Stable;
    let all = extent(0, 1 << 20);
    let zero = |hole| Request::zero(all, hole, durability);
    for (request, is_allocated) in [
        (write_at(0, 1 << 20, durability), true),
        (zero(Hole::Allowed), false),
        (zero(Hole::Forbidden), true),
        (Request::Trim { extent: all, durability }, false),
    ] {
        let what = format!("{request:?}").chars().take(40).collect::<String>();
        run(&medium, request).await.unwrap();
        let blocks = fs::metadata(&path).unwrap().blocks();
        assert_eq!(blocks >= 2048, is_allocated, "{blocks} blocks after {what}");
        assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);
    }
}

#[tokio::test]
async fn zeroes_that_must_be_quick_are_refused_where_they_would_be_written() {
    let quick = |hole, durability| {
        let (extent, speed) = (extent(0, 1 << 20), Speed::Fast);
        Request::Zero { extent, hole, speed, durability }
    };
    let (_directory, path, able) = medium(1 << 20);
    for (hole, is_allocated) in [(Hole::Allowed, false), (Hole::Forbidden, true)] {
        use std::os::unix::fs::MetadataExt;
        run(&able, write_at(0, 1 << 20, Durability::Deferred)).await.unwrap();
        run(&able, quick(hole, Durability::Stable)).await.unwrap();
        let blocks = fs::metadata(&path).unwrap().blocks();
        assert_eq!(blocks >= 2048, is_allocated, "{blocks} blocks, hole {hole:?}");
    }
    drop(able);
    let refusals = Refusals::all();
    let backing = Backing { refusals, ..Backing::of(OpenFile::open(&path).unwrap()) };
    let unable = FileMedium::of(Arc::new(backing), "file:test".into());
    run(&unable, write_at(0, 1 << 20, Durability::Deferred)).await.unwrap();
    for hole in [Hole::Allowed, Hole::Forbidden] {
        for durability in [Durability::Deferred, Durability::Stable] {
            assert_eq!(kind(&unable, quick(hole, durability)).await, Some(ErrorKind::Slow));
        }
    }
    let kept = run(&unable, Request::read(extent(0, 1 << 20))).await.unwrap();
    assert!(kept.into_payload().into_bytes().iter().all(|byte| *byte != 0), "nothing is changed");
    assert_eq!(kind(&unable, Request::Flush).await, None, "it is no failure of the medium");
}

#[tokio::test]
async fn an_execution_outlives_the_medium_and_keeps_it_locked() {
    let (_directory, path, medium) = medium(1 << 20);
    let executions = [
        medium.execute(Request::Flush),
        medium.execute(Request::Trim { extent: extent(0, 4096), durability: Durability::Stable }),
    ];
    drop(medium);
    for execution in executions {
        assert!(FileMedium::open(&path).is_err(), "a request under way may still change it");
        execution.answer().await.unwrap();
    }
    FileMedium::open(&path).unwrap();
}

#[tokio::test]
async fn a_flush_that_was_answered_holds_no_lock() {
    let (_directory, path, mut medium) = medium(1 << 20);
    for _ in 0..100 {
        run(&medium, Request::Flush).await.unwrap();
        drop(medium);
        medium = FileMedium::open(&path).unwrap();
    }
}

#[tokio::test]
async fn a_file_is_recognised_by_inode_and_place_and_content() {
    let (_directory, path, medium) = medium(1 << 20);
    let before = medium.identify().await.unwrap();
    assert_eq!(before.size_bytes, 1 << 20);
    assert_eq!(before.content, [""; 0]);
    assert_eq!(before.hardware, None);
    assert_eq!(before.location, path.canonicalize().unwrap().display().to_string());

    let label = Bytes::from_static(b"XFSB");
    let put = |offset, data: Bytes| Request::Write {
        extent: extent(offset, data.len() as u64),
        data,
        durability: Durability::Deferred,
    };
    run(&medium, put(0, label)).await.unwrap();
    run(&medium, put(32, Bytes::from_static(&[0x11; 16]))).await.unwrap();
    drop(medium);
    let moved = path.with_extension("moved");
    fs::rename(&path, &moved).unwrap();
    let after = FileMedium::open(&moved).unwrap().identify().await.unwrap();
    assert_eq!(after.content, ["xfs:11111111-1111-1111-1111-111111111111"]);
    assert_eq!(after.file, before.file);
    assert!(after.file.unwrap().starts_with("inode:"));
    assert_ne!(after.location, before.location);
}

#[tokio::test]
async fn a_hint_brings_bytes_into_the_cache() {
    let (_directory, _path, medium) = medium(1 << 20);
    run(&medium, write_at(0, 1 << 20, Durability::Stable)).await.unwrap();
    run(&medium, Request::Cache { extent: extent(0, 1 << 20) }).await.unwrap();
    let reply = run(&medium, Request::read(extent(1, 99_999))).await.unwrap();
    assert_eq!(reply.into_payload().into_bytes(), vec![0xa5; 99_999]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_grows_and_nothing_shrinks() {
    let (_directory, path, medium) = medium(8192);
    run(&medium, write_at(0, 8192, Durability::Deferred)).await.unwrap();
    medium.grow(16384).await.unwrap();
    medium.grow(16384).await.unwrap();
    assert_eq!((medium.info().size_bytes, fs::metadata(&path).unwrap().len()), (16384, 16384));
    let read = run(&medium, Request::read(extent(4096, 12288))).await.unwrap().into_payload();
    let bytes = read.into_bytes();
    assert!(bytes[..4096].iter().all(|&byte| byte == 0xa5), "what was there");
    assert!(bytes[4096..].iter().all(|&byte| byte == 0), "zeroes behind it");
    assert_eq!(medium.identify().await.unwrap().size_bytes, 16384);

    assert_eq!(medium.grow(4096).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(medium.info().size_bytes, 16384);
    File::options().write(true).open(&path).unwrap().set_len(8192).unwrap();
    assert_eq!(medium.grow(32768).await.unwrap_err().kind(), ErrorKind::Gone, "it was truncated");
}
