use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// A sync that says when it has begun and ends as it is told.
struct Scripted {
    begun: Receiver<()>,
    end: Sender<Outcome>,
    queue: Arc<SyncQueue>,
}

fn scripted() -> Scripted {
    let (begin, begun) = channel();
    let (end, ends) = channel();
    let ends = Mutex::new(ends);
    let queue = SyncQueue::new(move || {
        begin.send(()).unwrap();
        ends.lock().recv().unwrap()
    });
    Scripted { begun, end, queue }
}

fn medium_error() -> SyncFailure {
    SyncFailure { kind: ErrorKind::Medium, context: "scripted".into(), source: Some(Errno::IO) }
}

/// Starts a sync and returns once its request is in the queue.
async fn begin(queue: &Arc<SyncQueue>) -> tokio::task::JoinHandle<Result<()>> {
    let before = queue.state.lock().waiting.len();
    let task = tokio::spawn(Arc::clone(queue).sync());
    while queue.state.lock().waiting.len() == before && !queue.state.lock().running {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test]
async fn those_that_arrive_during_a_sync_share_the_next_one() {
    let script = scripted();
    let first = begin(&script.queue).await;
    script.begun.recv().unwrap();
    let late: Vec<_> = (0..5).map(|_| tokio::spawn(Arc::clone(&script.queue).sync())).collect();
    while script.queue.state.lock().waiting.len() < 5 {
        tokio::task::yield_now().await;
    }
    script.end.send(Ok(())).unwrap();
    first.await.unwrap().unwrap();
    assert!(late.iter().all(|task| !task.is_finished()), "no sync that began before covers them");
    script.begun.recv().unwrap();
    script.end.send(Ok(())).unwrap();
    for task in late {
        task.await.unwrap().unwrap();
    }
    assert!(script.begun.try_recv().is_err(), "two syncs served all six");
}

#[tokio::test]
async fn after_a_failure_no_sync_begins() {
    let script = scripted();
    let failing = begin(&script.queue).await;
    script.begun.recv().unwrap();
    let waiting = tokio::spawn(Arc::clone(&script.queue).sync());
    while script.queue.state.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    script.end.send(Err(medium_error())).unwrap();
    // A sync that began now would panic, and not wait for its script.
    drop(script.end);
    let error = failing.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Medium);
    assert!(error.with_sources().contains("os error 5"), "{}", error.with_sources());
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::PreviousFailure);
    for _ in 0..2 {
        let error = Arc::clone(&script.queue).sync().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreviousFailure);
    }
    assert_eq!(script.queue.check().unwrap_err().kind(), ErrorKind::PreviousFailure);
    assert!(script.begun.try_recv().is_err(), "a failed sync is never retried");
}

#[tokio::test]
async fn a_sync_whose_asker_went_away_still_counts() {
    let script = scripted();
    let dropped = begin(&script.queue).await;
    script.begun.recv().unwrap();
    dropped.abort();
    let _ = dropped.await;
    script.end.send(Err(medium_error())).unwrap();
    while script.queue.check().is_ok() {
        tokio::task::yield_now().await;
    }
    let error = Arc::clone(&script.queue).sync().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreviousFailure);
}

#[tokio::test]
async fn a_sync_that_panics_leaves_nobody_waiting() {
    let queue = SyncQueue::new(|| panic!("scripted"));
    let error = Arc::clone(&queue).sync().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ShuttingDown);
    assert_eq!(queue.check().unwrap_err().kind(), ErrorKind::PreviousFailure);
}

#[tokio::test]
async fn a_queue_at_rest_syncs_again_and_again() {
    let outcomes = Mutex::new(VecDeque::from([Ok(()), Ok(()), Err(medium_error())]));
    let queue = SyncQueue::new(move || outcomes.lock().pop_front().unwrap());
    Arc::clone(&queue).sync().await.unwrap();
    Arc::clone(&queue).sync().await.unwrap();
    assert_eq!(Arc::clone(&queue).sync().await.unwrap_err().kind(), ErrorKind::Medium);
}

#[test]
fn the_end_of_one_round_is_no_failure_of_the_next() {
    let queue = SyncQueue::new(|| Ok(()));
    let (first_asker, mut first) = oneshot::channel();
    let (second_asker, _second) = oneshot::channel();
    assert!(queue.enter(first_asker).unwrap());
    let mut round = Round::new(Arc::clone(&queue));
    round.run();
    first.try_recv().unwrap().unwrap();
    assert!(queue.enter(second_asker).unwrap(), "the queue is at rest, the next round begins");
    drop(round);
    queue.check().unwrap();
}
