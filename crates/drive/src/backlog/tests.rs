use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const SIZE: u64 = 64;

fn write(offset: u64, length: u64, fill: u8) -> Change {
    let data = Bytes::from(vec![fill; usize::try_from(length).unwrap()]);
    Change::Write { offset, data }
}

fn backlog_of(changes: &[Change]) -> Backlog {
    let backlog = Backlog::default();
    backlog.install(Pieces::lay_out(changes));
    backlog
}

/// What each byte is after the changes; `None` where there was none.
fn applied(changes: &[Change]) -> Vec<Option<u8>> {
    let mut bytes = vec![None; usize::try_from(SIZE).unwrap()];
    for change in changes {
        let place = Extent::between(0, SIZE).range_of(change.extent());
        match change {
            Change::Write { data, .. } => {
                bytes[place].iter_mut().zip(data).for_each(|(at, byte)| *at = Some(*byte));
            }
            Change::Zeroes(_) | Change::Trim(_) => bytes[place].fill(Some(0)),
        }
    }
    bytes
}

fn read(backlog: &Backlog, extent: Extent) -> Vec<Option<u8>> {
    let mut bytes = Vec::new();
    for piece in backlog.pieces(extent) {
        assert_eq!(piece.extent.offset(), extent.offset() + bytes.len() as u64);
        match piece.content {
            Some(Content::Data(data)) => bytes.extend(data.iter().map(|byte| Some(*byte))),
            Some(_) => bytes.resize(bytes.len() + piece.extent.len_in_memory(), Some(0)),
            None => bytes.resize(bytes.len() + piece.extent.len_in_memory(), None),
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (0..SIZE, 1..SIZE / 2, 1u8.., 0..4).prop_map(|(offset, length, fill, kind)| {
        let extent = Extent::between(offset, SIZE.min(offset + length));
        match kind {
            0 => Change::Zeroes(extent),
            1 => Change::Trim(extent),
            // Each byte tells where it was written, so that a wrong slice shows.
            _ => Change::Write {
                offset,
                data: (0..extent.length()).map(|at| fill.wrapping_add(at as u8 * 3)).collect(),
            },
        }
    });
    prop::collection::vec(change, 0..24)
}

proptest! {
    #[test]
    fn the_newest_content_is_laid_out_and_read(changes in changes()) {
        let backlog = backlog_of(&changes);
        let expected = applied(&changes);
        prop_assert_eq!(read(&backlog, Extent::between(0, SIZE)), expected.clone());
        for start in (0..SIZE).step_by(5) {
            let part = Extent::between(start, SIZE.min(start + 9));
            let place = Extent::between(0, SIZE).range_of(part);
            prop_assert_eq!(&read(&backlog, part)[..], &expected[place]);
        }
        let least: u64 = changes.iter().map(cost_bytes).sum();
        prop_assert!(backlog.bytes() <= 2 * least, "cut at each end at most");
    }

    /// A model of the journal: batches and newer changes enter it in turn.
    #[test]
    fn in_whatever_order_it_enters_the_newest_content_stays(
        old in changes(), new in changes(), max_bytes in 1u64..600,
    ) {
        let backlog = backlog_of(&old);
        let (mut journal, mut made) = (Vec::new(), old);
        for change in new {
            let batch = backlog.batch(max_bytes);
            journal.extend(batch.iter().cloned());
            backlog.are_in(&batch);
            let change = [change];
            journal.extend(backlog.cut_by(&change));
            journal.extend(change.iter().cloned());
            backlog.are_in(&change);
            made.extend(change);
            let over = read(&backlog, Extent::between(0, SIZE));
            let seen: Vec<_> =
                over.into_iter().zip(applied(&journal)).map(|(over, under)| over.or(under)).collect();
            prop_assert_eq!(seen, applied(&made));
        }
        while !backlog.is_empty() {
            let batch = backlog.batch(max_bytes);
            prop_assert!(!batch.is_empty());
            journal.extend(batch.iter().cloned());
            backlog.are_in(&batch);
        }
        prop_assert_eq!(backlog.bytes(), 0);
        prop_assert_eq!(applied(&journal), applied(&made));
    }
}

#[test]
fn a_batch_is_bounded_and_never_empty_before_the_end() {
    let backlog = backlog_of(&(0..10).map(|n| write(n * 6, 6, 1)).collect::<Vec<_>>());
    let cost = 6 + ENTRY_BYTES;
    assert_eq!(backlog.batch(1).len(), 1);
    assert_eq!(backlog.batch(3 * cost).len(), 3);
    assert_eq!(backlog.batch(3 * cost + 1).len(), 3);
    assert_eq!(backlog.batch(1000 * cost).len(), 10);
}

#[test]
fn what_a_change_covers_whole_is_not_needed_and_what_it_cuts_is() {
    let backlog = backlog_of(&[write(0, 8, 1), write(8, 8, 2), write(16, 8, 3)]);
    let newer = [write(4, 14, 9)];
    let cut: Vec<_> = backlog.cut_by(&newer).iter().map(Change::extent).collect();
    assert_eq!(cut, [Extent::between(0, 8), Extent::between(16, 24)]);
    backlog.are_in(&newer);
    assert!(backlog.is_empty());
}

#[tokio::test]
async fn who_waits_is_told_when_all_is_in_or_given_up() {
    use futures_util::FutureExt;

    let backlog = backlog_of(&[write(0, 8, 1), write(8, 8, 2)]);
    let mut waits = Box::pin(backlog.all_in());
    assert!(waits.as_mut().now_or_never().is_none());
    backlog.are_in(&[write(0, 8, 1)]);
    assert!(waits.as_mut().now_or_never().is_none());
    backlog.are_in(&[write(8, 8, 2)]);
    waits.await;
    backlog.install(Pieces::lay_out(&[write(0, 8, 1)]));
    let mut waits = Box::pin(backlog.all_in());
    assert!(waits.as_mut().now_or_never().is_none());
    backlog.give_up();
    waits.await;
    backlog.all_in().await;
}
