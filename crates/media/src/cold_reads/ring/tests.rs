use io::Write;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;

/// A file of so many pages, each of other bytes.
fn pages(count: u8) -> (tempfile::NamedTempFile, Arc<OpenFile>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    for page in 0..count {
        file.as_file().write_all_at(&[page; 4096], u64::from(page) * 4096).unwrap();
    }
    let open = Arc::new(OpenFile::open(file.path()).unwrap());
    (file, open)
}

fn read(file: &Arc<OpenFile>, offset: u64, length: u64, asker: u64) -> Read<u64> {
    let extent = Extent::between(offset, offset + length);
    let buffer = BytesMut::with_capacity(extent.len_in_memory());
    Read { file: Arc::clone(file), extent, buffer, asker }
}

fn push(ring: &mut Ring<u64>, read: Read<u64>) {
    assert!(ring.push(read).is_ok());
}

fn wait_for_one(ring: &mut Ring<u64>) -> (u64, Ended) {
    loop {
        assert!(ring.submit().is_empty());
        if let Some(ended) = ring.next_ended() {
            return ended;
        }
        // What was continued is submitted by the ring.
        if ring.unsubmitted.is_empty() {
            ring.uring.submit_and_wait(1).unwrap();
        }
    }
}

#[test]
fn a_full_ring_answers_each_read_with_its_bytes() {
    let (_path, file) = pages(u8::try_from(Ring::<u64>::READS_MAX).unwrap());
    rustix::fs::fdatasync(file.file()).unwrap();
    rustix::fs::fadvise(file.file(), 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let mut ring = Ring::new().unwrap();
    for page in 0..Ring::<u64>::READS_MAX as u64 {
        push(&mut ring, read(&file, page * 4096 + 1, 4000, page));
    }
    assert_eq!(ring.room(), 0);
    let mut pages = std::collections::BTreeSet::new();
    while !ring.is_idle() {
        let (page, ended) = wait_for_one(&mut ring);
        let Ended::Whole(buffer) = ended else { panic!("{ended:?}") };
        assert_eq!(buffer, vec![u8::try_from(page).unwrap(); 4000]);
        pages.insert(page);
    }
    assert_eq!(pages.len(), Ring::<u64>::READS_MAX);
    assert_eq!(Arc::strong_count(&file), 1, "what has ended is let go");
}

#[test]
fn a_read_goes_on_behind_the_bytes_that_came() {
    let (from, mut into) = io::pipe().unwrap();
    let file = Arc::new(OpenFile::pretending(File::from(std::os::fd::OwnedFd::from(from))));
    let mut ring = Ring::new().unwrap();
    let mut partly = read(&file, 0, 9, 0);
    partly.buffer.extend_from_slice(b"abc");
    push(&mut ring, partly);
    let mut ended = None;
    for piece in [b"de", b"fg", b"hi"] {
        assert!(ring.submit().is_empty());
        into.write_all(piece).unwrap();
        ring.uring.submit_and_wait(1).unwrap();
        if let Some((_, all)) = ring.next_ended() {
            ended = Some(all);
        }
    }
    assert!(
        matches!(&ended, Some(Ended::Whole(buffer)) if buffer == &b"abcdefghi"[..]),
        "{ended:?}"
    );

    push(&mut ring, read(&file, 0, 9, 0));
    into.write_all(b"xyz").unwrap();
    drop(into);
    let (_, ended) = wait_for_one(&mut ring);
    assert!(matches!(ended, Ended::Failed(Fault::EndedEarly)), "{ended:?}");
}

#[test]
fn an_error_of_the_medium_is_told_apart_from_one_of_the_ring() {
    let ended = |errno| ended(BytesMut::new(), false, Some(Fault::Os(errno)));
    assert!(matches!(ended(Errno::IO), Ended::Failed(Fault::Os(Errno::IO))));
    assert!(matches!(ended(Errno::NXIO), Ended::Failed(Fault::Os(Errno::NXIO))));
    for of_the_ring in [Errno::AGAIN, Errno::CANCELED, Errno::NOMEM, Errno::INVAL] {
        assert!(matches!(ended(of_the_ring), Ended::Unfinished(_)));
    }
}

#[test]
fn what_is_under_way_when_the_ring_goes_stays_in_memory_and_open() {
    let (from, mut into) = io::pipe().unwrap();
    let file = Arc::new(OpenFile::pretending(File::from(std::os::fd::OwnedFd::from(from))));
    let mut ring = Ring::new().unwrap();
    push(&mut ring, read(&file, 0, 4096, 0));
    assert!(ring.submit().is_empty());
    drop(ring);
    assert_eq!(Arc::strong_count(&file), 2);
    into.write_all(&[0xff; 4096]).unwrap();
}

#[test]
fn a_broken_ring_gives_back_what_the_kernel_has_not_seen() {
    let (_path, file) = pages(3);
    let mut ring = Ring::new().unwrap();
    push(&mut ring, read(&file, 0, 4096, 0));
    assert!(ring.submit().is_empty());
    push(&mut ring, read(&file, 4096, 4096, 1));
    push(&mut ring, read(&file, 8192, 4096, 2));
    ring.state = State::Broken;
    let given_back: Vec<u64> = ring.submit().into_iter().map(|read| read.asker).collect();
    assert_eq!(given_back, [1, 2]);
    assert_eq!(ring.push(read(&file, 4096, 4096, 3)).unwrap_err().asker, 3);
    let (asker, ended) = wait_for_one(&mut ring);
    assert!(matches!((asker, &ended), (0, Ended::Whole(_))), "{asker} {ended:?}");
    assert!(ring.is_idle());
}
