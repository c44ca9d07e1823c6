//! Long READs are copied beside each other, and beside the session's own work.

use std::sync::Barrier;
use std::thread::{self, ThreadId};

use super::*;

const LONG: u32 = 256 << 10;

/// Serves a long read only when as many are asked for at the same time as the barrier takes; tells on which threads.
#[derive(Debug)]
struct Together {
    long_reads: Barrier,
    threads: mpsc::Sender<ThreadId>,
}

impl Device for Together {
    fn info(&self) -> DeviceInfo {
        INFO
    }

    fn execute(&self, request: Request) -> Execution {
        self.threads.try_send(thread::current().id()).unwrap();
        let length = request.extent().unwrap().len_in_memory();
        if u32::try_from(length) == Ok(LONG) {
            self.long_reads.wait();
        }
        match request {
            Request::Read { extent, .. } => {
                Execution::Done(Ok(data(extent.offset().to_le_bytes()[0], length)))
            }
            _ => Execution::Done(Err(ErrorKind::Unsupported.into())),
        }
    }
}

fn together(count: usize) -> (DuplexStream, watch::Sender<bool>, mpsc::Receiver<ThreadId>) {
    let (threads_in, threads) = mpsc::channel(100);
    let device = Together { long_reads: Barrier::new(count), threads: threads_in };
    let (client, stop, _) = start(4096, Limits::default(), Arc::new(device));
    (client, stop, threads)
}

#[tokio::test]
async fn several_at_once_are_copied_beside_each_other() {
    let (mut client, _stop, _threads) = together(3);
    client.write_all(&reads(1..4, LONG)).await.unwrap();
    let mut answered = Vec::new();
    for _ in 0..3 {
        let (cookie, result) = reply(&mut client, LONG as usize).await;
        assert!(result.unwrap().iter().all(|byte| u64::from(*byte) == cookie));
        answered.push(cookie);
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 2, 3]);
}

#[tokio::test]
async fn one_alone_and_short_ones_stay_on_the_session_s_thread() {
    let (mut client, _stop, mut threads) = together(1);
    client.write_all(&reads(1..2, LONG)).await.unwrap();
    reply(&mut client, LONG as usize).await.1.unwrap();
    client.write_all(&reads(2..7, LONG - 1)).await.unwrap();
    for _ in 0..5 {
        reply(&mut client, LONG as usize - 1).await.1.unwrap();
    }
    for _ in 0..6 {
        assert_eq!(threads.recv().await.unwrap(), thread::current().id());
    }
}

#[tokio::test]
async fn what_is_copied_elsewhere_is_answered_also_when_the_session_is_to_stop() {
    let (mut client, stop, mut threads) = together(2);
    client.write_all(&reads(1..3, LONG)).await.unwrap();
    threads.recv().await.unwrap();
    stop.send(true).unwrap();
    for _ in 0..2 {
        reply(&mut client, LONG as usize).await.1.unwrap();
    }
    assert_end(&mut client).await;
}

#[tokio::test]
async fn an_error_of_one_is_its_own() {
    let mut stage = stage(4096, Limits::default());
    stage.client.write_all(&reads(1..3, LONG)).await.unwrap();
    for _ in 0..2 {
        let call = stage.calls.recv().await.unwrap();
        match call.request.extent().unwrap().offset() {
            1 => call.answer(Err(ErrorKind::Gone.into())),
            _ => call.succeed(2),
        }
    }
    let mut results = HashMap::new();
    for _ in 0..2 {
        let (cookie, result) = reply(&mut stage.client, LONG as usize).await;
        results.insert(cookie, result);
    }
    assert_eq!(results[&1], Err(ErrorNumber::Io));
    assert_eq!(results[&2], Ok(vec![2; LONG as usize]));
}
