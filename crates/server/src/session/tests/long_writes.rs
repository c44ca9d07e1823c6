//! Long WRITEs are carried out in parts, and answered once.

use super::*;

const LONG: usize = 1 << 20;

fn payload() -> Vec<u8> {
    (0..LONG).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// The extent and the bytes of a part.
fn part(call: &Call) -> (Extent, Bytes) {
    match &call.request {
        Request::Write { extent, data, durability: Durability::Deferred } => {
            (*extent, data.clone())
        }
        other => panic!("{other:?}"),
    }
}

/// Takes parts until they end at `end`.
async fn parts_up_to(end: u64, calls: &mut mpsc::Receiver<Call>) -> Vec<Call> {
    let mut parts = Vec::new();
    while parts.last().is_none_or(|last| part(last).0.end() < end) {
        parts.push(calls.recv().await.unwrap());
    }
    parts
}

#[tokio::test]
async fn what_has_come_is_carried_out_before_the_rest_comes() {
    let mut stage = stage(LONG * 2, Limits::default());
    let (offset, payload) = (4096 * 3 + 512, payload());
    let whole = write(1, offset, &payload);
    let (now, later) = whole.split_at(LONG / 2);
    stage.client.write_all(now).await.unwrap();
    let first = stage.calls.recv().await.unwrap();
    let (extent, _) = part(&first);
    assert_eq!((extent.offset(), extent.end() % 4096), (offset, 0), "it ends where a block does");
    stage.client.write_all(later).await.unwrap();
    stage.client.write_all(&reads(2..3, 8)).await.unwrap();
    let end = offset + payload.len() as u64;
    let mut parts = vec![first];
    parts.extend(parts_up_to(end, &mut stage.calls).await);
    let mut at = offset;
    for part in parts.iter().map(part) {
        assert_eq!(part.0.offset(), at, "parts follow each other");
        let start = usize::try_from(at - offset).unwrap();
        assert!(part.1 == payload[start..start + part.1.len()]);
        at = part.0.end();
        assert!(at == end || at % 4096 == 0, "a part ends at {at}");
    }
    assert_eq!(at, end);
    // The last part is answered first, and the reply waits for all others.
    let first = parts.remove(0);
    parts.into_iter().rev().for_each(|part| part.succeed(0));
    stage.calls.recv().await.unwrap().succeed(7);
    assert_eq!(reply(&mut stage.client, 8).await, (2, Ok(vec![7; 8])));
    first.succeed(0);
    assert_eq!(reply(&mut stage.client, 0).await, (1, Ok(vec![])));
}

#[tokio::test]
async fn the_first_error_is_the_answer_and_the_session_stays_in_step() {
    let mut stage = stage(LONG * 2, Limits::default());
    stage.client.write_all(&write(1, 0, &payload())).await.unwrap();
    stage.client.write_all(&reads(2..3, 8)).await.unwrap();
    let mut parts = parts_up_to(LONG as u64, &mut stage.calls).await;
    assert!(parts.len() > 2, "{} parts", parts.len());
    parts.remove(1).answer(Err(ErrorKind::NoSpace.into()));
    parts.remove(1).answer(Err(ErrorKind::Medium.into()));
    parts.into_iter().for_each(|part| part.succeed(0));
    assert_eq!(reply(&mut stage.client, 0).await, (1, Err(ErrorNumber::NoSpace)));
    stage.calls.recv().await.unwrap().succeed(7);
    assert_eq!(reply(&mut stage.client, 8).await, (2, Ok(vec![7; 8])));
}

#[tokio::test]
async fn one_that_must_be_stable_or_is_short_is_carried_out_as_a_whole() {
    let mut stage = stage(LONG * 2, Limits::default());
    let fua = RequestHeader {
        flags: CommandFlags::FUA,
        ..header(Command::Write, 1, 0, u32::try_from(LONG).unwrap())
    };
    let mut stable = bytes(&[fua]);
    stable.put_slice(&payload());
    for whole in [stable, write(2, 0, &payload()[..(256 << 10) - 1])] {
        stage.client.write_all(&whole).await.unwrap();
        let call = stage.calls.recv().await.unwrap();
        assert_eq!(call.request.extent().unwrap().len_in_memory() + 28, whole.len());
        call.succeed(0);
        reply(&mut stage.client, 0).await.1.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_written_of_one_that_ends_past_the_end() {
    let (mut client, _stop, _session) = memory(LONG * 2);
    client.write_all(&write(1, 4096, &payload())).await.unwrap();
    assert_eq!(reply(&mut client, 0).await, (1, Err(ErrorNumber::NoSpace)));
    client.write_all(&write(2, u64::MAX - 4096, &payload())).await.unwrap();
    assert_eq!(reply(&mut client, 0).await, (2, Err(ErrorNumber::NoSpace)));
    client.write_all(&bytes(&[header(Command::Read, 3, 0, 1 << 20)])).await.unwrap();
    assert_eq!(reply(&mut client, LONG).await, (3, Ok(vec![0; LONG])));
}

#[tokio::test]
async fn parts_of_a_client_that_is_gone_are_driven_to_their_end_and_no_more_begin() {
    for stop in [false, true] {
        let mut stage = stage(LONG * 2, Limits::default());
        stage.client.write_all(&write(1, 0, &payload())[..LONG / 2]).await.unwrap();
        let first = stage.calls.recv().await.unwrap();
        if stop {
            stage.stop.send(true).unwrap();
            // The session has seen it before it can see what follows.
            tokio::task::yield_now().await;
            stage.client.write_all(&payload()[..LONG / 4]).await.unwrap();
        } else {
            stage.client.shutdown().await.unwrap();
        }
        let mut begun = 1;
        while let Ok(call) = stage.calls.try_recv() {
            call.succeed(0);
            begun += 1;
        }
        tokio::task::yield_now().await;
        assert!(!stage.session.is_finished(), "it waits for the part under way");
        first.succeed(0);
        assert_end(&mut stage.client).await;
        let end = stage.session.await.unwrap();
        assert_eq!(matches!(end, End::Stopped), stop, "{end}");
        assert_eq!(*stage.answered.borrow(), begun);
        assert!(stage.calls.recv().await.is_none(), "a part has begun after the end");
    }
}
