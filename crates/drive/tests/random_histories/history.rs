//! What happens, as data.

use proptest::prelude::*;

use crate::support::Op;

/// The places of a volume; each act takes some that follow each other.
pub(crate) const UNITS: u64 = 96;

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Write { stable: bool },
    Zero,
    Trim,
    Flush,
    Read,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) act: Act,
    pub(crate) from: u64,
    pub(crate) units: u64,
    /// How often it lets others go first.
    pub(crate) late: usize,
}

/// What is done to the machine while the clients are at work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Nothing,
    Eject,
    Pull,
    /// The disk goes, with all that is not synced, and somebody has to find out.
    Yank,
    Plug,
    Insert {
        replace: bool,
    },
    Swap,
    /// The disk fails at an I/O to come.
    Fault {
        op: Op,
        nth: usize,
        torn: bool,
    },
    FailFlush {
        nth: usize,
    },
    /// The target of the next swaps fails at an I/O.
    FaultOfTarget {
        nth: usize,
    },
    Kill,
    Restart,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) volume: usize,
    pub(crate) clients: Vec<Client>,
    pub(crate) deed: Deed,
    pub(crate) late: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) bays: usize,
    pub(crate) unit_bytes: u64,
    pub(crate) puts_back: bool,
    pub(crate) reads_wait: bool,
    pub(crate) small_retained: bool,
    pub(crate) spill_batch_bytes: u64,
    pub(crate) pace: u64,
    pub(crate) steps: Vec<Step>,
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Write { stable: false }),
        1 => Just(Act::Write { stable: true }),
        1 => Just(Act::Zero),
        1 => Just(Act::Trim),
        1 => Just(Act::Flush),
        2 => Just(Act::Read),
    ]
}

fn clients() -> impl Strategy<Value = Client> {
    let units = prop_oneof![4 => 1u64..4, 1 => 4u64..40];
    (acts(), 0..UNITS, units, 0usize..12).prop_map(|(act, from, units, late)| Client {
        act,
        from: from.min(UNITS - units),
        units,
        late,
    })
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![1 => Just(Op::Read), 3 => Just(Op::Change), 2 => Just(Op::Flush)]
}

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => Just(Deed::Nothing),
        3 => Just(Deed::Eject),
        3 => Just(Deed::Pull),
        2 => Just(Deed::Yank),
        2 => Just(Deed::Plug),
        6 => any::<bool>().prop_map(|replace| Deed::Insert { replace }),
        2 => Just(Deed::Swap),
        3 => (ops(), 0usize..6, any::<bool>())
            .prop_map(|(op, nth, torn)| Deed::Fault { op, nth, torn }),
        2 => (0usize..3).prop_map(|nth| Deed::FailFlush { nth }),
        1 => (0usize..20).prop_map(|nth| Deed::FaultOfTarget { nth }),
        2 => Just(Deed::Kill),
        1 => Just(Deed::Restart),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    (0usize..2, prop::collection::vec(clients(), 0..8), deeds(), 0usize..16)
        .prop_map(|(volume, clients, deed, late)| Step { volume, clients, deed, late })
}

/// Most volumes are small; some are so large that a replay takes several passes.
pub(crate) fn histories() -> impl Strategy<Value = History> {
    let unit_bytes = prop_oneof![9 => Just(64u64), 5 => Just(512), 1 => Just(32 << 10)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let spill_batch_bytes = prop_oneof![3 => Just(1u64), 1 => Just(1000), 1 => Just(1 << 20)];
    let sizes = (unit_bytes, spill_batch_bytes);
    (1usize..3, sizes, flags, 1u64.., prop::collection::vec(steps(), 1..24)).prop_map(
        |(bays, sizes, (puts_back, reads_wait, small_retained), pace, steps)| History {
            bays,
            unit_bytes: sizes.0,
            spill_batch_bytes: sizes.1,
            puts_back,
            reads_wait,
            small_retained,
            pace,
            steps,
        },
    )
}
