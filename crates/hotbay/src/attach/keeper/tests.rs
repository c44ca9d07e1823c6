use super::*;

const MINE: ContentId = ContentId { id: [1; 16], content: 0 };
const SIZE: u64 = 1 << 20;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One that is attached, and waits ten seconds for its daemon.
fn attached() -> Keeper {
    let mut keeper = Keeper::new(MINE, SIZE, seconds(10));
    assert_eq!(keeper.next(seconds(0), Event::Clock), (Action::OfferAgain, None));
    assert_eq!(keeper.next(seconds(0), Event::Clock), (Action::Watch(LOOK), None));
    keeper
}

/// One whose link died when the clock said 100.
fn seeking() -> Keeper {
    let mut keeper = attached();
    let (action, told) = keeper.next(seconds(100), Event::LinkDied);
    assert_eq!(action, Action::Seek);
    assert!(told.unwrap().contains("up to 10s"));
    keeper
}

fn nobody() -> Event {
    Event::Nobody("connection refused".into())
}

#[test]
fn a_daemon_that_is_back_gets_the_device() {
    let mut keeper = seeking();
    let found = Event::Found(MINE, SIZE);
    assert_eq!(keeper.next(seconds(101), nobody()), (Action::Watch(FIRST_PAUSE), None));
    assert_eq!(keeper.next(seconds(101), Event::Clock), (Action::Seek, None));
    assert_eq!(keeper.next(seconds(102), found), (Action::Offer(None), None));
    let (action, told) = keeper.next(seconds(102), Event::Taken);
    assert_eq!(action, Action::Watch(CONFIRM_AFTER));
    assert_eq!(told.unwrap(), "connected again after 2s");
    assert_eq!(keeper.next(seconds(103), Event::Clock), (Action::OfferAgain, None));
    assert_eq!(keeper.next(seconds(103), Event::Taken), (Action::Watch(LOOK), None));
}

#[test]
fn a_link_that_dies_at_once_is_sought_again_with_the_whole_time() {
    let mut keeper = seeking();
    keeper.next(seconds(109), Event::Found(MINE, SIZE));
    keeper.next(seconds(109), Event::Taken);
    assert_eq!(keeper.next(seconds(109), Event::LinkDied).0, Action::Seek);
    assert_eq!(keeper.next(seconds(118), nobody()).0, Action::Watch(FIRST_PAUSE));
    assert_eq!(keeper.next(seconds(119), nobody()).0, Action::GiveUp);
}

#[test]
fn another_content_is_never_handed_over() {
    for (found, size, says) in [
        (ContentId { id: [2; 16], content: 0 }, SIZE, "another volume"),
        (ContentId { content: 1, ..MINE }, SIZE, "another content"),
        (MINE, SIZE - 512, "shrunk"),
    ] {
        let mut keeper = seeking();
        let (action, told) = keeper.next(seconds(101), Event::Found(found, size));
        assert_eq!(action, Action::Watch(FIRST_PAUSE), "{says}");
        assert!(told.unwrap().contains(says), "{says}");
        let again = keeper.next(seconds(102), Event::Found(found, size));
        assert_eq!(again, (Action::Watch(FIRST_PAUSE * 2), None), "{says}: told once");
        let right = keeper.next(seconds(103), Event::Found(MINE, SIZE));
        assert_eq!(right, (Action::Offer(None), None), "{says}: the right one is welcome");
    }
}

#[test]
fn a_larger_one_makes_the_device_grow() {
    let mut keeper = seeking();
    let larger = Event::Found(MINE, 2 * SIZE);
    assert_eq!(keeper.next(seconds(101), larger).0, Action::Offer(Some(2 * SIZE)));
}

#[test]
fn time_runs_out_whatever_happens_but_success() {
    for event in [
        nobody(),
        Event::Clock,
        Event::LinkDied,
        Event::Found(MINE, SIZE),
        Event::NotTaken("EINVAL".into()),
    ] {
        let mut keeper = seeking();
        let (action, told) = keeper.next(seconds(110), event.clone());
        assert_eq!(action, Action::GiveUp, "{event:?}");
        assert!(told.unwrap().starts_with("disconnected: no daemon in 10s"), "{event:?}");
    }
    let mut keeper = seeking();
    assert_eq!(keeper.next(seconds(110), Event::Taken).0, Action::Watch(CONFIRM_AFTER));
}

#[test]
fn pauses_grow_to_a_bound() {
    let mut keeper = seeking();
    let pauses: Vec<_> = (0..7).map(|_| keeper.next(seconds(101), nobody()).0).collect();
    assert_eq!(pauses[..2], [Action::Watch(FIRST_PAUSE), Action::Watch(FIRST_PAUSE * 2)]);
    assert_eq!(pauses[6], Action::Watch(LONGEST_PAUSE));
}

#[test]
fn every_state_ends_with_the_device() {
    let confirming = Keeper::new(MINE, SIZE, seconds(10));
    for mut keeper in [attached(), seeking(), confirming] {
        assert_eq!(keeper.next(seconds(101), Event::Detached), (Action::End, None));
    }
}
