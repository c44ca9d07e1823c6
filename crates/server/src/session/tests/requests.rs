//! What becomes of each request.

use super::*;

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
    let (hole, speed, durability) = (Hole::Allowed, Speed::Fast, Deferred);
    let fast = Request::Zero { extent: short, hole, speed, durability };
    let zero = |hole, durability| Request::zero(short, hole, durability);
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
        (WriteZeroes, CommandFlags::FAST_ZERO, 5, fast),
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
pub(super) struct Agrees(pub(super) DeviceInfo);

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
        (ErrorKind::Slow, 95),
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
