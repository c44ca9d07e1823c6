use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::{DeviceInfo, Execution, Payload};

const BLOCK: u64 = 512;

/// Answers no read before so many are under way; then each with its number, or as it is told.
#[derive(Debug)]
struct Waiting {
    for_reads: usize,
    asked: Arc<AtomicUsize>,
    fails: (u64, ErrorKind),
}

impl Waiting {
    fn new(for_reads: usize, fails: (u64, ErrorKind)) -> Self {
        Self { for_reads, asked: Arc::default(), fails }
    }

    /// Drives a sample as far as it gets.
    fn sampled(&self, blocks: u64) -> Poll<Result<Vec<Option<Bytes>>>> {
        let block = |number| Extent::between(number * BLOCK, (number + 1) * BLOCK);
        let mut sampling = pin!(self.sample((0..blocks).rev().map(block).collect()));
        let mut context = Context::from_waker(Waker::noop());
        (0..10)
            .map(|_| sampling.as_mut().poll(&mut context))
            .find(Poll::is_ready)
            .unwrap_or(Poll::Pending)
    }
}

impl Device for Waiting {
    fn info(&self) -> DeviceInfo {
        unreachable!("nobody asks")
    }

    fn execute(&self, request: Request) -> Execution {
        let (asked, for_reads, fails) = (Arc::clone(&self.asked), self.for_reads, self.fails);
        asked.fetch_add(1, SeqCst);
        let number = request.extent().unwrap().offset() / BLOCK;
        Execution::later(std::future::poll_fn(move |context| {
            context.waker().wake_by_ref();
            match asked.load(SeqCst) < for_reads {
                true => Poll::Pending,
                false if number == fails.0 => Poll::Ready(Err(fails.1.into())),
                false => Poll::Ready(Ok(Reply::Data(Payload::from(Bytes::from(vec![
                    u8::try_from(number).unwrap(),
                ]))))),
            }
        }))
    }
}

impl Medium for Waiting {
    fn name(&self) -> &str {
        "waiting"
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(std::future::ready(Ok(Identity::default())))
    }
}

#[test]
fn the_blocks_of_a_sample_are_asked_for_together_and_come_in_order() {
    let medium = Waiting::new(96, (7, ErrorKind::Medium));
    let Poll::Ready(sampled) = medium.sampled(96) else { panic!("one waits for another") };
    let expected = (0..96).rev().map(|number| (number != 7).then(|| Bytes::from(vec![number])));
    assert_eq!(sampled.unwrap(), expected.collect::<Vec<_>>());
}

#[test]
fn no_sample_is_asked_for_without_bound() {
    let medium = Waiting::new(SAMPLED_AT_ONCE + 1, (0, ErrorKind::Medium));
    assert!(medium.sampled(250).is_pending());
    assert_eq!(medium.asked.load(SeqCst), SAMPLED_AT_ONCE);
}

#[test]
fn who_is_gone_has_no_sample() {
    let medium = Waiting::new(1, (3, ErrorKind::Gone));
    let Poll::Ready(Err(error)) = medium.sampled(96) else { panic!("it has a sample") };
    assert_eq!(error.kind(), ErrorKind::Gone);
}
