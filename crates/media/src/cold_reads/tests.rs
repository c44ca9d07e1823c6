use io::Write;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Weak;

use super::*;

/// A medium that answers when something is written into the pipe.
fn slow_medium() -> (Arc<OpenFile>, io::PipeWriter) {
    let (from, into) = io::pipe().unwrap();
    (Arc::new(OpenFile::pretending(File::from(OwnedFd::from(from)))), into)
}

async fn read_byte(reads: Arc<ColdReads>, file: Arc<OpenFile>) -> Option<u8> {
    match reads.read(file, Extent::between(0, 1), BytesMut::with_capacity(1)).await {
        Ended::Whole(buffer) => buffer.first().copied(),
        _ => None,
    }
}

async fn until_closed(file: Weak<OpenFile>) {
    while file.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_reads_than_there_is_room_for_wait_and_are_all_answered() {
    let (file, mut into) = slow_medium();
    let reads = Arc::new(ColdReads::start().unwrap());
    let count = 3 * Ring::<()>::READS_MAX;
    let asked: Vec<_> = (0..count)
        .map(|_| tokio::spawn(read_byte(Arc::clone(&reads), Arc::clone(&file))))
        .collect();
    while reads.reads.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    let bytes: Vec<u8> = (0..count).map(|number| (number % 251) as u8).collect();
    into.write_all(&bytes).unwrap();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap().unwrap());
    }
    let sorted = |mut bytes: Vec<u8>| {
        bytes.sort_unstable();
        bytes
    };
    assert_eq!(sorted(answers), sorted(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_that_hangs_keeps_no_other_waiting() {
    let ((hanging, mut unhang), (sound, mut into)) = (slow_medium(), slow_medium());
    let (of_hanging, of_sound) =
        (Arc::new(ColdReads::start().unwrap()), ColdReads::start().unwrap());
    let stuck: Vec<_> = (0..3 * Ring::<()>::READS_MAX)
        .map(|_| tokio::spawn(read_byte(Arc::clone(&of_hanging), Arc::clone(&hanging))))
        .collect();
    let of_sound = Arc::new(of_sound);
    for byte in 0..100 {
        into.write_all(&[byte]).unwrap();
        let answer = read_byte(Arc::clone(&of_sound), Arc::clone(&sound)).await;
        assert_eq!(answer, Some(byte));
    }
    assert!(stuck.iter().all(|read| !read.is_finished()));
    unhang.write_all(&vec![0; stuck.len()]).unwrap();
    for read in stuck {
        assert_eq!(read.await.unwrap(), Some(0));
    }
}

#[tokio::test]
async fn a_read_that_nobody_waits_for_keeps_its_file_until_it_has_ended() {
    let (file, mut into) = slow_medium();
    let reads = ColdReads::start().unwrap();
    let mut read =
        Box::pin(reads.read(Arc::clone(&file), Extent::between(0, 9), BytesMut::with_capacity(9)));
    assert!(poll_once(read.as_mut()).is_pending());
    // The task has submitted it.
    while reads.reads.capacity() < reads.reads.max_capacity() {
        tokio::task::yield_now().await;
    }
    drop(read);
    drop(reads);
    let weak = Arc::downgrade(&file);
    drop(file);
    tokio::task::yield_now().await;
    assert_eq!(weak.strong_count(), 1, "the kernel may still write");
    into.write_all(b"123456789").unwrap();
    until_closed(weak).await;
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn a_read_that_was_given_up_before_it_began_is_not_made() {
    let (file, mut into) = slow_medium();
    let reads = Arc::new(ColdReads::start().unwrap());
    let mut given_up =
        Box::pin(reads.read(Arc::clone(&file), Extent::between(0, 1), BytesMut::with_capacity(1)));
    assert!(poll_once(given_up.as_mut()).is_pending());
    drop(given_up);
    into.write_all(b"1").unwrap();
    assert_eq!(read_byte(reads, file).await, Some(b'1'));
}

#[test]
fn a_runtime_that_ends_with_reads_under_way_frees_nothing_of_theirs() {
    let (file, mut into) = slow_medium();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let reads = ColdReads::start().unwrap();
        let mut read = Box::pin(reads.read(
            Arc::clone(&file),
            Extent::between(0, 4096),
            BytesMut::with_capacity(4096),
        ));
        assert!(poll_once(read.as_mut()).is_pending());
        while reads.reads.capacity() < reads.reads.max_capacity() {
            tokio::task::yield_now().await;
        }
    });
    drop(runtime);
    assert_eq!(Arc::strong_count(&file), 2);
    into.write_all(&[0xff; 4096]).unwrap();
}
