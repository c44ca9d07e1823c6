//! The suite passes the reference device, and finds each of a number of wrong ones by the right rule.

use std::sync::Mutex;

use futures_util::FutureExt;

use super::*;
use crate::{
    Checked, DeviceInfo, Error, ErrorKind, Execution, Extent, MemoryDevice, Payload, Reply, Request,
};

const SIZE_BYTES: u64 = 5 << 20;

/// The reference device answers at once, so a future over it is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the reference device never waits")
}

#[test]
fn the_reference_device_passes() {
    now(check(&Checked::new(MemoryDevice::new(SIZE_BYTES))));
    now(check(&Checked::new(MemoryDevice::new(SIZE_BYTES + 77))));
    now(check_read_only(&Checked::new(MemoryDevice::new(SIZE_BYTES).read_only())));
}

/// What a wrong device does with a request; `None` passes it on to the right one.
type Fault = fn(&MemoryDevice, &mut Request) -> Option<Execution>;

#[derive(Debug)]
struct Wrong {
    device: MemoryDevice,
    fault: Fault,
}

impl Device for Wrong {
    fn info(&self) -> DeviceInfo {
        self.device.info()
    }

    fn execute(&self, mut request: Request) -> Execution {
        (self.fault)(&self.device, &mut request).unwrap_or_else(|| self.device.execute(request))
    }
}

/// The first rule that a device with this fault breaks.
fn broken_rule(fault: Fault) -> Option<&'static str> {
    let device = Checked::new(Wrong { device: MemoryDevice::new(SIZE_BYTES), fault });
    RULES.iter().find(|rule| now(rule.test(&device)).is_err()).map(|rule| rule.name)
}

fn done() -> Option<Execution> {
    Some(Execution::Done(Ok(Reply::Done)))
}

fn half_made_and_refused(device: &MemoryDevice, request: &mut Request) -> Option<Execution> {
    match request {
        Request::Zero { extent, hole, speed: crate::Speed::Fast, durability } => {
            let half = Extent::between(extent.offset(), extent.offset() + extent.length() / 2);
            drop(device.execute(Request::zero(half, *hole, *durability)));
            Some(Execution::Done(Err(ErrorKind::Slow.into())))
        }
        _ => None,
    }
}

#[test]
fn each_wrong_device_is_found_by_its_rule() {
    let wrong: [(&str, Fault); 10] = [
        ("a read gives what was written", |_, request| match request {
            Request::Write { extent, .. } if extent.length() == 513 => done(),
            _ => None,
        }),
        ("a read gives what was written", |device, request| {
            // Writes whole sectors, and so beside the range.
            let Request::Write { extent, data, durability } = request else { return None };
            if extent.length() != 511 || extent.end() == SIZE_BYTES {
                return None;
            }
            let mut sector = data.to_vec();
            sector.push(0);
            let extent = Extent::between(extent.offset(), extent.end() + 1);
            let durability = *durability;
            Some(device.execute(Request::Write { extent, data: sector.into(), durability }))
        }),
        ("a read needs no buffer and any will do", |device, request| match request {
            Request::Read { extent, buffer, .. } if buffer.capacity() > extent.len_in_memory() => {
                let bytes = vec![0; extent.len_in_memory()];
                drop(device.content());
                Some(Execution::Done(Ok(Reply::Data(Payload::from(bytes::Bytes::from(bytes))))))
            }
            _ => None,
        }),
        ("zeroes read as zeroes", |_, request| match request {
            Request::Zero { hole: crate::Hole::Forbidden, .. } => done(),
            _ => None,
        }),
        ("zeroes that must be quick are made, or refused whole", half_made_and_refused),
        ("what was trimmed can be read and written", |_, request| match request {
            Request::Trim { extent, .. } if extent.length() > 4096 => {
                Some(Execution::Done(Err(ErrorKind::Unsupported.into())))
            }
            _ => None,
        }),
        ("a stable change is a change", |_, request| match request.durability() {
            Some(crate::Durability::Stable) => done(),
            _ => None,
        }),
        ("a flush changes nothing", |device, request| match request {
            Request::Flush => {
                let extent = Extent::between(0, 4096);
                let durability = crate::Durability::Deferred;
                Some(device.execute(Request::Trim { extent, durability }))
            }
            _ => None,
        }),
        ("a hint succeeds and changes nothing", |_, request| match request {
            Request::Cache { .. } => {
                Some(Execution::Done(Err(Error::new(ErrorKind::Unsupported, "no hints"))))
            }
            _ => None,
        }),
        ("any sequence leaves what the model has", |device, request| match request {
            // Zeroes of lengths that no other rule asks for miss their last byte.
            Request::Zero { extent, hole, durability, .. }
                if (5001..60_000).contains(&extent.length()) =>
            {
                let extent = Extent::between(extent.offset(), extent.end() - 1);
                let (hole, durability) = (*hole, *durability);
                Some(device.execute(Request::zero(extent, hole, durability)))
            }
            _ => None,
        }),
    ];
    for (rule, fault) in wrong {
        assert_eq!(broken_rule(fault), Some(rule));
    }
}

/// Carries out nothing until the execution is polled, and then block after block, one writer and then the
/// next.
#[derive(Debug)]
struct Interleaving {
    device: std::sync::Arc<MemoryDevice>,
    fault: Interleaved,
}

#[derive(Clone, Copy, Debug)]
enum Interleaved {
    /// Halves of a block from two writers.
    TornBlocks,
    /// Reads, changes and writes back whole blocks of 4096 bytes.
    LostNeighbours,
}

impl Device for Interleaving {
    fn info(&self) -> DeviceInfo {
        self.device.info()
    }

    fn execute(&self, request: Request) -> Execution {
        let Request::Write { extent, data, durability } = request else {
            return self.device.execute(request);
        };
        let device = std::sync::Arc::clone(&self.device);
        let around = match self.fault {
            Interleaved::TornBlocks => extent,
            Interleaved::LostNeighbours => Extent::between(
                extent.offset() / 4096 * 4096,
                extent.end().next_multiple_of(4096).min(SIZE_BYTES),
            ),
        };
        let before = now(device.execute(Request::read(around)).answer()).unwrap();
        let mut whole = before.into_payload().into_bytes().to_vec();
        whole[around.range_of(extent)].copy_from_slice(&data);
        Execution::later(async move {
            let halves: Vec<Extent> = match around.length() {
                length if length > 256 => vec![
                    Extent::between(around.offset(), around.end() - 256),
                    Extent::between(around.end() - 256, around.end()),
                ],
                _ => vec![around],
            };
            let mut first = data.first().is_some_and(|byte| byte % 2 == 1);
            for half in halves {
                let part = bytes::Bytes::copy_from_slice(&whole[around.range_of(half)]);
                drop(device.execute(Request::Write { extent: half, data: part, durability }));
                if std::mem::take(&mut first) {
                    yield_once().await;
                }
            }
            Ok(Reply::Done)
        })
    }
}

async fn yield_once() {
    let asked = Mutex::new(false);
    std::future::poll_fn(|context| {
        let mut asked = asked.lock().unwrap();
        if std::mem::replace(&mut *asked, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn what_goes_wrong_only_together_is_found() {
    for (fault, name) in [
        (Interleaved::TornBlocks, "of overlapping writes each block has one, and reads agree"),
        (Interleaved::LostNeighbours, "disjoint changes under way together all happen"),
    ] {
        let device = std::sync::Arc::new(MemoryDevice::new(SIZE_BYTES));
        let device = Checked::new(Interleaving { device, fault });
        let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
        let outcome = run(rule.test(&device));
        assert!(outcome.is_err(), "{fault:?} is not found");
    }
}

/// Polls until it is ready; nothing here waits for anything outside.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

#[test]
fn a_device_without_checks_is_found_by_the_ranges() {
    #[derive(Debug)]
    struct Lenient(MemoryDevice);
    impl Device for Lenient {
        fn info(&self) -> DeviceInfo {
            self.0.info()
        }
        fn execute(&self, request: Request) -> Execution {
            match request.extent() {
                Some(extent) if extent.end() > SIZE_BYTES => {
                    Execution::Done(Err(ErrorKind::Invalid.into()))
                }
                _ => self.0.execute(request),
            }
        }
    }
    let broken = now(rules::ranges(&Lenient(MemoryDevice::new(SIZE_BYTES)))).unwrap_err();
    assert!(broken.to_string().contains("is refused as Invalid, not as NoSpace"), "{broken}");
}

#[test]
#[should_panic(expected = "the device breaks the rule \"zeroes read as zeroes\"")]
fn a_failure_names_its_rule() {
    let fault: Fault = |_, request| match request {
        Request::Zero { .. } => done(),
        _ => None,
    };
    now(check(&Checked::new(Wrong { device: MemoryDevice::new(SIZE_BYTES), fault })));
}
