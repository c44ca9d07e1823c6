//! What a client can make a session hold, and what a full pipe must not hold up.

use super::*;

#[tokio::test]
async fn a_client_that_does_not_read_keeps_no_request_from_its_end() {
    let mut stage = stage(64, Limits::default());
    stage.client.write_all(&reads(0..2, 1 << 20)).await.unwrap();
    // Long READs come to the device in any order.
    let (first, second) = (stage.calls.recv().await.unwrap(), stage.calls.recv().await.unwrap());
    let cookies = [&first, &second].map(|call| call.request.extent().unwrap().offset());
    first.succeed(1);
    stage.answered.wait_for(|count| *count == 1).await.unwrap();
    // The pipe is full of the first reply, and the client reads nothing.
    second.succeed(2);
    stage.answered.wait_for(|count| *count == 2).await.unwrap();
    for (cookie, value) in cookies.into_iter().zip(1..) {
        assert_eq!(reply(&mut stage.client, 1 << 20).await, (cookie, Ok(vec![value; 1 << 20])));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_can_still_write() {
    let mut stage = stage(64, Limits::default());
    stage.client.write_all(&reads(0..1, 1 << 20)).await.unwrap();
    stage.calls.recv().await.unwrap().succeed(1);
    stage.answered.wait_for(|count| *count == 1).await.unwrap();
    for cookie in 1..50 {
        stage.client.write_all(&write(cookie, 0, &[1; 500])).await.unwrap();
        stage.calls.recv().await.unwrap().succeed(0);
    }
    stage.answered.wait_for(|count| *count == 50).await.unwrap();
}

#[tokio::test]
async fn the_number_of_requests_is_bounded() {
    let limits = Limits { requests_per_session: 2, ..Limits::default() };
    let mut stage = stage(1 << 16, limits);
    stage.client.write_all(&reads(0..5, 4)).await.unwrap();
    let mut waiting = HashMap::new();
    for cookie in 0..5 {
        while let Ok(call) = stage.calls.try_recv() {
            waiting.insert(call.request.extent().unwrap().offset(), call);
            assert!(waiting.len() <= 2);
        }
        let call = match waiting.remove(&cookie) {
            Some(call) => call,
            None => stage.calls.recv().await.unwrap(),
        };
        call.succeed(0);
        assert_eq!(reply(&mut stage.client, 4).await.0, cookie);
    }
}

#[tokio::test]
async fn the_bytes_of_requests_are_bounded_but_one_is_let_through() {
    let limits = Limits { bytes_per_session: 1000, ..Limits::default() };
    let mut stage = stage(1 << 16, limits);
    stage.client.write_all(&reads(0..1, 5000)).await.unwrap();
    stage.client.write_all(&reads(1..2, 1)).await.unwrap();
    let large = stage.calls.recv().await.unwrap();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(stage.calls.try_recv().is_err(), "a request was taken beyond the limit");
    large.succeed(1);
    assert_eq!(reply(&mut stage.client, 5000).await.0, 0);
    stage.calls.recv().await.unwrap().succeed(1);
    assert_eq!(reply(&mut stage.client, 1).await.0, 1);
}

#[tokio::test]
async fn at_a_limit_the_session_does_not_receive() {
    let limits = Limits { requests_per_session: 1, ..Limits::default() };
    let mut stage = stage(64, limits);
    stage.client.write_all(&reads(0..1, 4)).await.unwrap();
    let first = stage.calls.recv().await.unwrap();
    let many = reads(1..100, 4);
    let mut sent = std::pin::pin!(stage.client.write_all(&many));
    for _ in 0..1000 {
        assert!(futures_util::poll!(&mut sent).is_pending(), "all was received");
        tokio::task::yield_now().await;
    }
    first.succeed(0);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_of_replies_is_no_rest() {
    let (mut client, _stop, _session) = memory(4 << 20);
    let began = tokio::time::Instant::now();
    for cookie in 0..5 {
        client.write_all(&reads(cookie..cookie + 1, (1 << 20) - 8)).await.unwrap();
        assert_eq!(reply(&mut client, (1 << 20) - 8).await.0, cookie);
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "the session waited for a timer");
}

#[tokio::test(start_paused = true)]
async fn a_rest_does_not_end_a_session() {
    let (mut client, _stop, _session) = memory(4096);
    for cookie in 0..3 {
        client.write_all(&reads(cookie..cookie + 1, 16)).await.unwrap();
        assert_eq!(reply(&mut client, 16).await.0, cookie);
        let half = write(10 + cookie, 0, &[0; 100]);
        client.write_all(&half[..60]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        client.write_all(&half[60..]).await.unwrap();
        assert_eq!(reply(&mut client, 0).await.0, 10 + cookie);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn beyond_what_all_carry_a_session_has_one_request_at_a_time() {
    let limits = Limits { bytes_in_all: 10_000, ..Limits::default() };
    let budget = Budget::default();
    let mut greedy = budget.share();
    greedy.set(10_000);
    let mut stage = stage_with_share(1 << 16, limits, budget.share());
    stage.client.write_all(&reads(0..3, 4000)).await.unwrap();
    for cookie in 0..2 {
        let call = stage.calls.recv().await.unwrap();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(stage.calls.try_recv().is_err(), "a second request beyond the bound");
        call.succeed(1);
        assert_eq!(reply(&mut stage.client, 4000).await.0, cookie);
    }
    // With room for all of them there is no more waiting.
    let third = stage.calls.recv().await.unwrap();
    drop(greedy);
    stage.client.write_all(&reads(3..4, 4000)).await.unwrap();
    let fourth = stage.calls.recv().await.unwrap();
    third.succeed(1);
    fourth.succeed(1);
    // What is carried is let go of with the session.
    drop(stage);
    while budget.share().of_others() > 0 {
        tokio::task::yield_now().await;
    }
}
