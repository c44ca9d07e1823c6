use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::*;

const LENGTH: u64 = 256 << 10;

fn pattern() -> Vec<u8> {
    (0..LENGTH).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn filled(directory: &Path) -> File {
    let mut file = tempfile::tempfile_in(directory).unwrap();
    file.write_all(&pattern()).unwrap();
    file.sync_all().unwrap();
    file
}

/// Removes the file's pages from the cache, and keeps the kernel from reading more than it is asked for.
fn evict(file: &File) {
    file.sync_all().unwrap();
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random).unwrap();
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// What was read of an evicted file until it would have waited. A page may stay where the system is at it just then, and what is
/// missing is being fetched by the attempt: then once more. `prepare` may bring a part of it into the cache before.
fn read_until_it_would_wait(file: &File, prepare: impl Fn()) -> BytesMut {
    for _ in 0..100 {
        evict(file);
        prepare();
        let mut buffer = room();
        match Patience::of(file).read(file, &mut buffer, whole()) {
            Ok(Progress::WouldWait) => return buffer,
            other => assert_eq!(other, Ok(Progress::Whole)),
        }
    }
    panic!("a file that is not cached is always read at once");
}

fn patience(in_memory: bool, read_refused: bool, write_refused: bool) -> Patience {
    Patience {
        in_memory,
        read_refused: AtomicBool::new(read_refused),
        write_refused: AtomicBool::new(write_refused),
    }
}

fn whole() -> Extent {
    Extent::between(0, LENGTH)
}

fn room() -> BytesMut {
    BytesMut::with_capacity(whole().len_in_memory())
}

/// A directory on a disk whose file system knows `RWF_NOWAIT`; `None`, loudly, where there is none.
fn disk() -> Option<std::path::PathBuf> {
    let directory = std::env::temp_dir();
    let file = filled(&directory);
    let patience = Patience::of(&file);
    patience.read(&file, &mut room(), whole()).unwrap();
    if patience.in_memory || patience.read_refused.into_inner() {
        eprintln!("SKIPPED: {} does not know RWF_NOWAIT", directory.display());
        return None;
    }
    Some(directory)
}

#[test]
fn what_is_cached_is_read_at_once_and_the_rest_would_wait() {
    let Some(directory) = disk() else { return };
    let file = filled(&directory);
    let patience = Patience::of(&file);
    let mut buffer = room();
    assert_eq!(patience.read(&file, &mut buffer, whole()), Ok(Progress::Whole));
    assert_eq!(buffer, pattern());

    let mut buffer = read_until_it_would_wait(&file, || ());
    read_all(&file, &mut buffer, whole()).unwrap();
    assert_eq!(buffer, pattern());
}

#[test]
fn a_read_goes_on_where_the_cache_ended() {
    let Some(directory) = disk() else { return };
    let file = filled(&directory);
    let mut buffer = read_until_it_would_wait(&file, || {
        read_all(&file, &mut room(), Extent::between(0, 16384)).unwrap();
    });
    assert!(buffer.len() >= 16384, "the cached part is not read again: {}", buffer.len());
    read_all(&file, &mut buffer, whole()).unwrap();
    assert_eq!(buffer, pattern());
}

#[test]
fn after_a_refusal_only_files_in_memory_are_read_at_once() {
    let file = filled(&std::env::temp_dir());
    let mut buffer = room();
    let on_disk = patience(false, true, true);
    assert_eq!(on_disk.read(&file, &mut buffer, whole()), Ok(Progress::WouldWait));
    assert!(buffer.is_empty());
    let in_memory = patience(true, true, true);
    assert_eq!(in_memory.read(&file, &mut buffer, whole()), Ok(Progress::Whole));
    assert_eq!(buffer, pattern());
}

#[test]
fn tmpfs_is_known_and_never_waits() {
    let directory = Path::new("/dev/shm");
    if !directory.exists() {
        eprintln!("SKIPPED: there is no /dev/shm");
        return;
    }
    let file = filled(directory);
    let patience = Patience::of(&file);
    assert!(patience.in_memory);
    for _ in 0..2 {
        let mut buffer = room();
        assert_eq!(patience.read(&file, &mut buffer, whole()), Ok(Progress::Whole));
        assert_eq!(buffer, pattern());
        assert_eq!(patience.write(&file, &pattern()[..700], 1), Ok(700));
        assert_eq!(patience.write(&file, &pattern()[1..], 1).unwrap() as u64, LENGTH - 1);
    }
}

#[test]
fn a_write_waits_only_for_a_page_that_it_fills_in_part() {
    let Some(directory) = disk() else { return };
    let file = filled(&directory);
    for (offset, length, is_at_once) in
        [(4096, 8192, true), (4096, 8191, false), (4097, 8191, false), (513, 1, false)]
    {
        let data = vec![0xee; length];
        let patience = patience(false, false, true);
        // A page may stay where the system is at it just then.
        let waited = (0..100).any(|_| {
            evict(&file);
            patience.write(&file, &data, offset).unwrap() < length
        });
        assert_eq!(waited, !is_at_once, "evicted, {offset}+{length}");
        let around = Extent::between(0, 65536);
        read_all(&file, &mut room(), around).unwrap();
        assert_eq!(patience.write(&file, &data, offset), Ok(length), "cached, {offset}+{length}");
    }
}

#[test]
fn the_end_of_the_file_is_a_fault_and_not_a_short_read() {
    let file = filled(&std::env::temp_dir());
    let past = Extent::between(LENGTH - 10, LENGTH + 10);
    let mut buffer = room();
    assert_eq!(read_all(&file, &mut buffer, past), Err(Fault::EndedEarly));
    assert_eq!(buffer.len(), 10);
}

#[test]
fn a_full_device_is_a_fault() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(write_all(&full, b"data", 0), Err(Fault::Os(Errno::NOSPC)));
}
