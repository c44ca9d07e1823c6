//! How sessions end, and what becomes of what is in flight.

use super::*;

#[tokio::test]
async fn a_client_that_is_out_of_step_is_left_after_what_is_in_flight() {
    let endless = bytes(&[header(Command::Write, 2, 0, (256 << 20) + 1)]);
    for noise in [endless, BytesMut::from([b'!'; 28].as_slice())] {
        let mut stage = stage(4096, Limits::default());
        stage.client.write_all(&reads(1..2, 4)).await.unwrap();
        stage.client.write_all(&noise).await.unwrap();
        stage.calls.recv().await.unwrap().succeed(6);
        assert_eq!(reply(&mut stage.client, 4).await, (1, Ok(vec![6; 4])));
        assert_end(&mut stage.client).await;
        let end = stage.session.await.unwrap();
        assert!(matches!(end, End::OutOfStep(OutOfStep::Endless(_) | OutOfStep::Magic(_))));
    }
}

#[tokio::test]
async fn requests_of_a_client_that_is_gone_are_driven_to_their_end() {
    let mut stage = stage(4096, Limits::default());
    stage.client.write_all(&reads(0..2, 512)).await.unwrap();
    let (first, second) = (stage.calls.recv().await.unwrap(), stage.calls.recv().await.unwrap());
    drop(stage.client);
    first.succeed(1);
    stage.answered.wait_for(|count| *count == 1).await.unwrap();
    assert!(!stage.session.is_finished());
    second.succeed(1);
    let end = stage.session.await.unwrap();
    assert!(matches!(end, End::Lost(_) | End::Closed { .. }), "{end}");
    assert_eq!(*stage.answered.borrow(), 2);
}

#[tokio::test]
async fn half_a_write_is_no_write() {
    let mut stage = stage(4096, Limits::default());
    let whole = write(1, 0, &[1; 1000]);
    stage.client.write_all(&whole[..500]).await.unwrap();
    drop(stage.client);
    assert!(matches!(stage.session.await.unwrap(), End::Closed { amid_request: true }));
    assert!(stage.calls.recv().await.is_none(), "the device got half a write");
}

#[tokio::test]
async fn disconnect_finishes_what_is_in_flight_and_takes_nothing_more() {
    let mut stage = stage(64, Limits::default());
    let mut requests = reads(1..2, 10_000);
    requests.extend_from_slice(&bytes(&[header(Command::Disconnect, 2, 0, 0)]));
    requests.extend_from_slice(&reads(3..4, 4));
    stage.client.write_all(&requests).await.unwrap();
    stage.calls.recv().await.unwrap().succeed(5);
    stage.answered.wait_for(|count| *count == 1).await.unwrap();
    assert_eq!(reply(&mut stage.client, 10_000).await, (1, Ok(vec![5; 10_000])));
    assert_end(&mut stage.client).await;
    assert!(matches!(stage.session.await.unwrap(), End::Disconnected));
    assert!(stage.calls.recv().await.is_none());
}

#[tokio::test]
async fn stop_and_exchange_let_what_is_in_flight_have_its_real_answer() {
    for exchange in [false, true] {
        let mut stage = stage(4096, Limits::default());
        stage.client.write_all(&reads(1..3, 4)).await.unwrap();
        let calls = [stage.calls.recv().await.unwrap(), stage.calls.recv().await.unwrap()];
        if exchange {
            stage.exchange.send(true).unwrap();
        } else {
            stage.stop.send(true).unwrap();
        }
        // The session has seen it before it can see this request.
        tokio::task::yield_now().await;
        stage.client.write_all(&reads(9..10, 4)).await.unwrap();
        let [first, second] = calls;
        first.succeed(5);
        second.answer(Err(ErrorKind::Gone.into()));
        assert_eq!(reply(&mut stage.client, 4).await, (1, Ok(vec![5; 4])));
        assert_eq!(reply(&mut stage.client, 4).await, (2, Err(ErrorNumber::Io)));
        assert_end(&mut stage.client).await;
        let end = stage.session.await.unwrap();
        assert_eq!(matches!(end, End::Exchanged), exchange);
        assert_eq!(matches!(end, End::Stopped), !exchange);
        assert!(stage.calls.recv().await.is_none());
    }
}
