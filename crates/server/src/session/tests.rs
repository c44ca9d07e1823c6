//! Sessions over a pipe in memory, with a device whose answers are given by the test.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Durability, Error, ErrorKind, Execution, Extent, Hole,
    MemoryDevice, Payload, Reply, Request,
};
use hotbay_nbd::{Command, CommandFlags, Cookie, ErrorNumber, RequestHeader, SimpleReply};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::intake::OutOfStep;
use super::*;

const INFO: DeviceInfo = DeviceInfo {
    size_bytes: 256 << 20,
    preferred_block_bytes: 4096,
    read_only: false,
    rotational: false,
};

/// A request that waits for the test to answer it.
struct Call {
    request: Request,
    answer: oneshot::Sender<hotbay_block::Result<Reply>>,
}

impl Call {
    /// Answers; the session must still be driving the request.
    fn answer(self, result: hotbay_block::Result<Reply>) {
        assert!(self.answer.send(result).is_ok(), "the request was dropped");
    }

    /// Answers a read with bytes of this value, and any other request with success.
    fn succeed(self, value: u8) {
        let reply = match &self.request {
            Request::Read { extent, .. } => data(value, extent.len_in_memory()),
            _ => Reply::Done,
        };
        self.answer(Ok(reply));
    }
}

fn data(value: u8, length: usize) -> Reply {
    Reply::Data(Payload::from(Bytes::from(vec![value; length])))
}

#[derive(Debug)]
struct Scripted {
    calls: mpsc::Sender<Call>,
    answered: watch::Sender<usize>,
    exchanged: watch::Receiver<bool>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.request.fmt(f)
    }
}

impl Device for Scripted {
    fn info(&self) -> DeviceInfo {
        INFO
    }

    fn execute(&self, request: Request) -> Execution {
        let (answer, answered) = oneshot::channel();
        self.calls.try_send(Call { request, answer }).unwrap();
        let count = self.answered.clone();
        Execution::later(async move {
            let result = answered.await.unwrap();
            count.send_modify(|count| *count += 1);
            result
        })
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        let mut exchanged = self.exchanged.clone();
        Box::pin(async move { drop(exchanged.wait_for(|it| *it).await.unwrap()) })
    }
}

/// What a test has in its hands: the client's end of the pipe, and all that is behind the other one.
struct Stage {
    client: DuplexStream,
    calls: mpsc::Receiver<Call>,
    answered: watch::Receiver<usize>,
    exchange: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    session: JoinHandle<End>,
}

/// A session over a pipe that holds `pipe` bytes in each direction.
fn stage(pipe: usize, limits: Limits) -> Stage {
    let (calls_in, calls) = mpsc::channel(1000);
    let (answered_in, answered) = watch::channel(0);
    let (exchange, exchanged) = watch::channel(false);
    let device = Scripted { calls: calls_in, answered: answered_in, exchanged };
    let (client, stop, session) = start(pipe, limits, Arc::new(device));
    Stage { client, calls, answered, exchange, stop, session }
}

fn start(
    pipe: usize,
    limits: Limits,
    device: Arc<dyn Device>,
) -> (DuplexStream, watch::Sender<bool>, JoinHandle<End>) {
    let (client, mut server) = duplex(pipe);
    let (stop, mut stopped) = watch::channel(false);
    let session = tokio::spawn(async move {
        let stopped = async move { drop(stopped.wait_for(|it| *it).await) };
        serve(&mut server, BytesMut::new(), device, &limits, stopped).await
    });
    (client, stop, session)
}

fn memory(pipe: usize) -> (DuplexStream, watch::Sender<bool>, JoinHandle<End>) {
    start(pipe, Limits::default(), Arc::new(MemoryDevice::new(1 << 20)))
}

fn header(command: Command, cookie: u64, offset: u64, length: u32) -> RequestHeader {
    let flags = CommandFlags::NONE;
    RequestHeader { command, flags, cookie: Cookie(cookie), offset, length }
}

fn bytes(requests: &[RequestHeader]) -> BytesMut {
    let mut bytes = BytesMut::new();
    requests.iter().for_each(|request| request.encode(&mut bytes));
    bytes
}

fn reads(cookies: std::ops::Range<u64>, length: u32) -> BytesMut {
    bytes(&cookies.map(|cookie| header(Command::Read, cookie, cookie, length)).collect::<Vec<_>>())
}

fn write(cookie: u64, offset: u64, payload: &[u8]) -> BytesMut {
    let length = u32::try_from(payload.len()).unwrap();
    let mut all = bytes(&[header(Command::Write, cookie, offset, length)]);
    all.put_slice(payload);
    all
}

/// The next reply, with `length` bytes where it is a success.
async fn reply(client: &mut DuplexStream, length: usize) -> (u64, Result<Vec<u8>, ErrorNumber>) {
    let mut header = [0; SimpleReply::BYTES];
    client.read_exact(&mut header).await.unwrap();
    let SimpleReply { cookie, result } =
        SimpleReply::decode(&mut header.as_slice()).unwrap().unwrap();
    let mut payload = vec![0; if result.is_ok() { length } else { 0 }];
    client.read_exact(&mut payload).await.unwrap();
    (cookie.0, result.map(|()| payload))
}

async fn assert_end(client: &mut DuplexStream) {
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "the session is still open");
}

#[tokio::test]
async fn replies_go_out_as_the_device_answers() {
    let mut stage = stage(4096, Limits::default());
    stage.client.write_all(&reads(0..3, 8)).await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(stage.calls.recv().await.unwrap());
    }
    for (index, cookie) in [(2, 2u8), (0, 0), (0, 1)] {
        calls.remove(index).succeed(cookie);
        let expected = (cookie.into(), Ok(vec![cookie; 8]));
        assert_eq!(reply(&mut stage.client, 8).await, expected);
    }
}

#[tokio::test]
async fn a_flush_waits_for_nothing() {
    let mut stage = stage(4096, Limits::default());
    stage.client.write_all(&write(1, 0, b"slow")).await.unwrap();
    stage.client.write_all(&bytes(&[header(Command::Flush, 2, 0, 0)])).await.unwrap();
    let slow = stage.calls.recv().await.unwrap();
    stage.calls.recv().await.unwrap().succeed(0);
    assert_eq!(reply(&mut stage.client, 0).await.0, 2);
    slow.succeed(0);
    assert_eq!(reply(&mut stage.client, 0).await.0, 1);
}

#[tokio::test]
async fn each_command_arrives_as_what_it_is() {
    use {Command::*, Durability::*};
    let short = Extent::new(4096, 5).unwrap();
    let (fua, no_hole) = (CommandFlags::FUA, CommandFlags::NO_HOLE);
    let none = CommandFlags::NONE;
    let zero = |hole, durability| Request::Zero { extent: short, hole, durability };
    let table = [
        (Read, fua, 5, Request::read(short)),
        (
            Write,
            none,
            5,
            Request::Write { extent: short, data: Bytes::from("hello"), durability: Deferred },
        ),
        (
            Write,
            fua,
            5,
            Request::Write { extent: short, data: Bytes::from("hello"), durability: Stable },
        ),
        (Flush, fua, 0, Request::Flush),
        (Trim, none, 5, Request::Trim { extent: short, durability: Deferred }),
        (Trim, fua, 5, Request::Trim { extent: short, durability: Stable }),
        (Cache, none, 5, Request::Cache { extent: short }),
        (WriteZeroes, none, 5, zero(Hole::Allowed, Deferred)),
        (WriteZeroes, no_hole.with(fua), 5, zero(Hole::Forbidden, Stable)),
    ];
    let mut stage = stage(4096, Limits::default());
    for (cookie, (command, flags, length, expected)) in (0..).zip(table) {
        let header = RequestHeader { flags, ..header(command, cookie, 4096, length) };
        stage.client.write_all(&bytes(&[header])).await.unwrap();
        if command == Write {
            stage.client.write_all(b"hello").await.unwrap();
        }
        let call = stage.calls.recv().await.unwrap();
        assert_eq!(without_buffer(&call.request), without_buffer(&expected));
        call.succeed(7);
        let length = if command == Read { 5 } else { 0 };
        assert_eq!(reply(&mut stage.client, length).await, (cookie, Ok(vec![7; length])));
    }
}

fn without_buffer(request: &Request) -> String {
    format!("{:?}", request.again())
}

#[tokio::test]
async fn what_carries_nothing_may_be_as_long_as_the_field_allows() {
    let big = DeviceInfo { size_bytes: 1 << 40, ..INFO };
    for command in [Command::WriteZeroes, Command::Trim, Command::Cache] {
        let (mut client, _stop, _session) = start(4096, Limits::default(), Arc::new(Agrees(big)));
        client.write_all(&bytes(&[header(command, 1, 1, u32::MAX)])).await.unwrap();
        assert_eq!(reply(&mut client, 0).await, (1, Ok(vec![])), "{command}");
    }
}

/// Says that all is done.
#[derive(Debug)]
struct Agrees(DeviceInfo);

impl Device for Agrees {
    fn info(&self) -> DeviceInfo {
        self.0
    }

    fn execute(&self, _: Request) -> Execution {
        Execution::Done(Ok(Reply::Done))
    }
}

#[tokio::test]
async fn each_error_has_its_number() {
    let table = [
        (ErrorKind::Gone, 5),
        (ErrorKind::Medium, 5),
        (ErrorKind::TimedOut, 5),
        (ErrorKind::PreviousFailure, 5),
        (ErrorKind::NoSpace, 28),
        (ErrorKind::Invalid, 22),
        (ErrorKind::Unsupported, 22),
        (ErrorKind::ReadOnly, 1),
        (ErrorKind::ShuttingDown, 108),
    ];
    let mut stage = stage(4096, Limits::default());
    for (cookie, (kind, number)) in (0..).zip(table) {
        stage.client.write_all(&write(cookie, 0, b"x")).await.unwrap();
        stage.calls.recv().await.unwrap().answer(Err(Error::new(kind, "as told")));
        let (answered, result) = reply(&mut stage.client, 0).await;
        assert_eq!((answered, result.unwrap_err().number()), (cookie, number), "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_step() {
    let (mut client, _stop, _session) = memory(4096);
    let mebibyte = 1 << 20;
    let odd = |header: RequestHeader, flags| RequestHeader { flags, ..header };
    let payload = [9; 700];
    let table: Vec<(RequestHeader, &[u8], u32)> = vec![
        (header(Command::Other(7), 0, 0, 700), b"", 22),
        (header(Command::Other(999), 0, 0, 0), b"", 22),
        (odd(header(Command::Write, 0, 0, 700), CommandFlags::from_bits(0x8000)), &payload, 22),
        (odd(header(Command::Write, 0, 0, 700), CommandFlags::PAYLOAD_LEN), &payload, 22),
        (odd(header(Command::Read, 0, 0, 16), CommandFlags::DF), b"", 22),
        (header(Command::Read, 0, mebibyte, 1), b"", 22),
        (header(Command::Read, 0, u64::MAX, 2), b"", 22),
        (header(Command::Read, 0, 0, (64 << 20) + 1), b"", 22),
        (header(Command::Write, 0, mebibyte - 1, 700), &payload, 28),
        (header(Command::Write, 0, u64::MAX - 1, 700), &payload, 28),
        (header(Command::WriteZeroes, 0, 1, u32::MAX), b"", 28),
        (header(Command::WriteZeroes, 0, u64::MAX, u32::MAX), b"", 28),
        (header(Command::Trim, 0, mebibyte, 1), b"", 22),
        (header(Command::Cache, 0, mebibyte, 1), b"", 22),
        (header(Command::Trim, 0, u64::MAX, 1), b"", 22),
    ];
    for (cookie, (request, payload, number)) in (0..).zip(table) {
        let request = RequestHeader { cookie: Cookie(cookie), ..request };
        client.write_all(&bytes(&[request])).await.unwrap();
        client.write_all(payload).await.unwrap();
        let (answered, result) = reply(&mut client, 0).await;
        assert_eq!((answered, result.unwrap_err().number()), (cookie, number), "{request:?}");
    }
    client.write_all(&reads(77..78, 16)).await.unwrap();
    assert_eq!(reply(&mut client, 16).await, (77, Ok(vec![0; 16])));
}

#[tokio::test]
async fn requests_of_no_bytes_succeed() {
    let (mut client, _stop, _session) = memory(4096);
    for (cookie, number) in [0, 1, 3, 4, 5, 6].into_iter().enumerate() {
        let command = Command::from_number(number);
        let cookie = u64::try_from(cookie).unwrap();
        client.write_all(&bytes(&[header(command, cookie, 512, 0)])).await.unwrap();
        assert_eq!(reply(&mut client, 0).await, (cookie, Ok(vec![])), "{command}");
    }
}

#[tokio::test]
async fn a_write_that_is_too_long_is_dropped_as_it_comes() {
    let (mut client, _stop, _session) = memory(1 << 16);
    let length = (64 << 20) + 1;
    client.write_all(&bytes(&[header(Command::Write, 1, 0, length)])).await.unwrap();
    let piece = vec![1; 1 << 20];
    for _ in 0..64 {
        client.write_all(&piece).await.unwrap();
    }
    client.write_all(b"1").await.unwrap();
    client.write_all(&reads(2..3, 16)).await.unwrap();
    assert_eq!(reply(&mut client, 0).await, (1, Err(ErrorNumber::Invalid)));
    assert_eq!(reply(&mut client, 16).await, (2, Ok(vec![0; 16])), "nothing was written");
}

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
async fn a_client_that_does_not_read_keeps_no_request_from_its_end() {
    let mut stage = stage(64, Limits::default());
    stage.client.write_all(&reads(0..2, 1 << 20)).await.unwrap();
    let (first, second) = (stage.calls.recv().await.unwrap(), stage.calls.recv().await.unwrap());
    first.succeed(1);
    stage.answered.wait_for(|count| *count == 1).await.unwrap();
    // The pipe is full of the first reply, and the client reads nothing.
    second.succeed(2);
    stage.answered.wait_for(|count| *count == 2).await.unwrap();
    assert_eq!(reply(&mut stage.client, 1 << 20).await, (0, Ok(vec![1; 1 << 20])));
    assert_eq!(reply(&mut stage.client, 1 << 20).await, (1, Ok(vec![2; 1 << 20])));
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
    let mut stage = stage(4096, Limits::default());
    let mut requests = reads(1..2, 4);
    requests.extend_from_slice(&bytes(&[header(Command::Disconnect, 2, 0, 0)]));
    requests.extend_from_slice(&reads(3..4, 4));
    stage.client.write_all(&requests).await.unwrap();
    stage.calls.recv().await.unwrap().succeed(5);
    assert_eq!(reply(&mut stage.client, 4).await, (1, Ok(vec![5; 4])));
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
    let many = reads(1..10_000, 4);
    let sent = tokio::time::timeout(Duration::ZERO, stage.client.write_all(&many)).await;
    assert!(sent.is_err(), "all was received");
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
async fn a_device_that_breaks_its_contract_puts_nobody_out_of_step() {
    let mut stage = stage(4096, Limits::default());
    for (cookie, wrong) in [data(1, 3), data(1, 5), Reply::Done].into_iter().enumerate() {
        let cookie = u64::try_from(cookie).unwrap();
        stage.client.write_all(&reads(cookie..cookie + 1, 4)).await.unwrap();
        stage.calls.recv().await.unwrap().answer(Ok(wrong));
        assert_eq!(reply(&mut stage.client, 4).await, (cookie, Err(ErrorNumber::Io)));
    }
    stage.client.write_all(&write(9, 0, b"x")).await.unwrap();
    stage.calls.recv().await.unwrap().answer(Ok(data(1, 3)));
    assert_eq!(reply(&mut stage.client, 0).await, (9, Err(ErrorNumber::Io)));
}

/// Sends a mix of requests through a pipe of this size, and gives all that comes back.
async fn mix(pipe: usize) -> Vec<u8> {
    let (client, _stop, session) = memory(pipe);
    let (mut from, mut to) = tokio::io::split(client);
    let mut requests = BytesMut::new();
    for cookie in 0..40u64 {
        let value = u8::try_from(cookie).unwrap();
        requests.extend_from_slice(&write(cookie, cookie * 50, &vec![value; 60]));
        requests.extend_from_slice(&reads(cookie..cookie + 1, 500));
        requests.extend_from_slice(&bytes(&[header(Command::Other(99), cookie, 0, 0)]));
        requests.extend_from_slice(&bytes(&[header(Command::WriteZeroes, cookie, 3, 30)]));
    }
    requests.extend_from_slice(&bytes(&[header(Command::Disconnect, 0, 0, 0)]));
    let send = tokio::spawn(async move { to.write_all_buf(&mut requests).await });
    let mut replies = Vec::new();
    from.read_to_end(&mut replies).await.unwrap();
    send.await.unwrap().unwrap();
    assert!(matches!(session.await.unwrap(), End::Disconnected));
    replies
}

#[tokio::test]
async fn the_size_of_the_pipe_does_not_matter() {
    let whole = mix(1 << 20).await;
    assert_eq!(whole.len(), 40 * (4 * 16 + 500));
    for pipe in [1, 7, 64, 4096] {
        assert_eq!(mix(pipe).await, whole, "a pipe of {pipe} bytes");
    }
}

#[tokio::test]
async fn any_bytes_are_taken_without_harm() {
    let mut state = 1u64;
    for _ in 0..200 {
        let (client, _stop, session) = memory(1 << 16);
        let (mut from, mut to) = tokio::io::split(client);
        let mut noise = BytesMut::new();
        for _ in 0..50 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let [a, b, c, d, e, f, ..] = state.to_be_bytes();
            let (flags, number) = (u16::from(a & 3), u16::from(b % 9));
            RequestHeader {
                command: Command::from_number(if number == 2 { 77 } else { number }),
                flags: CommandFlags::from_bits(flags),
                cookie: Cookie(state),
                offset: u64::from(c) << 12 | u64::from(d),
                length: u32::from(e) << 8 | u32::from(f),
            }
            .encode(&mut noise);
        }
        let send = tokio::spawn(async move {
            let _ = to.write_all_buf(&mut noise).await;
            let _ = to.shutdown().await;
        });
        let mut replies = Vec::new();
        from.read_to_end(&mut replies).await.unwrap();
        send.await.unwrap();
        session.await.unwrap();
        assert!(replies.as_slice().remaining() < 50 << 16);
    }
}
