use hotbay_block::{Device, DeviceInfo, Durability, Execution, Identity};

use super::*;
use crate::bay::Bays;

/// A medium of which nothing is asked.
#[derive(Debug)]
struct Silent;

impl Device for Silent {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            size_bytes: 4096,
            preferred_block_bytes: 512,
            read_only: false,
            rotational: false,
        }
    }

    fn execute(&self, request: Request) -> Execution {
        unreachable!("{request:?}")
    }
}

impl Medium for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        unreachable!()
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        unreachable!()
    }
}

fn write(offset: u64) -> Request {
    Request::Write {
        extent: Extent::between(offset, offset + 512),
        data: Bytes::from_static(&[1; 512]),
        durability: Durability::Deferred,
    }
}

/// There is no third case: what was acknowledged is taken out, and what comes later is not acknowledged.
#[test]
fn what_completes_after_the_fence_does_not_count() {
    let bay = Bays::new(1).take("a").unwrap();
    let observed = Observed::new(4096, &Witness::default());
    let attachment = Attachment::new(1, Arc::new(Silent), bay, observed, 1 << 20, Retention::On);
    assert_eq!(attachment.complete(&write(0)), Completion::Retained);
    assert_eq!(attachment.fence().retained.into_changes().len(), 1);
    assert_eq!(attachment.complete(&write(512)), Completion::Fenced);
}
