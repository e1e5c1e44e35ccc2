//! What single steps of the protocol do. All of them together, with everything that can go wrong, are in
//! `tests/simulation/replica.rs`.

use super::envelope::{Envelope, Kind};
use super::joining::View;
use super::link::Link;
use super::shared::Shared;
use super::{Replica, Status, Step};
use crate::base::time::Moment;
use crate::engine::{Ask, EntryId, LogEntry, Say};
use crate::ids::NodeId;
use crate::limits::{
    APART_AFTER, APART_CLOSE_AFTER, BASE_WAIT, BASE_WAIT_MIN, BASE_WAIT_SECOND, ENGINE_REPLY_TIMEOUT,
    ENTRY_TIMEOUT, NODE_TIMEOUT, NODES_MAX, PENDING_BYTES_MAX, PENDING_ENTRIES_MAX, RECONNECT_WAIT_MAX,
    RECONNECT_WAIT_MIN,
};
use std::time::Duration;

const OWN: NodeId = NodeId(7);
const OTHER: NodeId = NodeId(3);
const WALL_MS: u64 = 1_000_000;
const SETTINGS: u64 = 8;

/// A replica and an engine that does at once what it is asked.
struct Node {
    replica: Replica,
    now: Moment,
    log: Vec<LogEntry>,
    /// Whether the engine answers.
    is_heard: bool,
    /// Whether it says at least that it has taken an entry.
    is_taken: bool,
    asked: Vec<Ask>,
    steps: Vec<Step>,
}

impl Node {
    fn new() -> Self {
        let replica = Replica::new(OWN, [1; 32], SETTINGS);
        let (log, asked, steps) = (Vec::new(), Vec::new(), Vec::new());
        Self { replica, now: Moment::from_ms(0), log, is_heard: true, is_taken: false, asked, steps }
    }

    /// One that has begun the room.
    fn live() -> Self {
        let mut node = Self::new();
        node.pass(BASE_WAIT + Duration::from_secs(1));
        assert_eq!(node.replica.status(), Status::Live);
        node.steps.clear();
        node.asked.clear();
        node
    }

    fn drive(&mut self) {
        while let Some(step) = self.replica.next_step(self.now) {
            match &step {
                Step::Ask(ask) => {
                    self.asked.push(ask.clone());
                    if self.is_heard {
                        self.answer(ask.clone());
                    } else if self.is_taken && matches!(ask, Ask::Add(_)) {
                        self.replica.hear(self.now, &Say::Added);
                    }
                }
                Step::Freeze => self.replica.frozen(b"state"),
                Step::Adopt { state } => {
                    let is_read = state == b"state";
                    self.steps.push(step);
                    self.replica.adopted(is_read);
                }
                _ => self.steps.push(step),
            }
        }
    }

    fn answer(&mut self, ask: Ask) {
        let say = match ask {
            Ask::Check { at } => {
                let entry =
                    self.log.iter().find(|entry| Some(entry.id) == at).map(|entry| entry.bytes.clone());
                Say::Checked { stamp: 1, now_ms: WALL_MS + self.now.as_ms(), entry }
            }
            Ask::Recent => Say::Recent(self.log.clone()),
            Ask::Add(bytes) => {
                let entry = self.append(bytes);
                self.replica.hear(self.now, &Say::Added);
                Say::Entries(vec![entry])
            }
            Ask::Read { after } => {
                Say::Entries(self.log.iter().filter(|entry| entry.id > after).cloned().collect())
            }
            Ask::Put { .. } => return,
            Ask::Get { .. } => Say::Got(None),
        };
        self.replica.hear(self.now, &say);
    }

    fn append(&mut self, bytes: Vec<u8>) -> LogEntry {
        let seq = self.log.len() as u64;
        let entry = LogEntry { id: EntryId { ms: WALL_MS + self.now.as_ms(), seq }, bytes };
        self.log.push(entry.clone());
        entry
    }

    fn say(&mut self, say: &Say) {
        self.replica.hear(self.now, say);
        self.drive();
    }

    /// Another node adds something.
    fn hear(&mut self, node: NodeId, epoch: u64, kind: Kind) {
        let entry = self.append(Envelope { node, epoch, stamp: 1, kind }.write());
        self.say(&Say::Entries(vec![entry]));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(next) = self.replica.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.replica.tick(self.now);
            self.drive();
        }
        self.now = end;
    }

    fn submit(&mut self, command: &[u8]) {
        self.replica.submit(self.now, command.to_vec());
        self.drive();
    }

    fn has(&self, wanted: impl Fn(&Step) -> bool) -> bool {
        self.steps.iter().any(wanted)
    }
}

fn command(n: u64, after: u64) -> Kind {
    Kind::Command { n, after, bytes: vec![1, 2] }
}

fn alive(settings: Option<u64>) -> Kind {
    Kind::Alive { over: None, settings }
}

fn join(memory: u64) -> Kind {
    Kind::Join { nonce: 1, attempt: 0, memory: EntryId { ms: memory, seq: 0 } }
}

#[test]
fn entries_come_back_and_parts_of_them_do_not() {
    let base = Kind::Base { after: EntryId { ms: 1, seq: 2 }, state: vec![3; 9] };
    for kind in [command(3, 2), Kind::Alive { over: Some(5), settings: Some(6) }, join(4), base, Kind::Leave]
    {
        let envelope = Envelope { node: OWN, epoch: 300, stamp: u64::MAX, kind };
        let mut bytes = envelope.write();
        for end in 0..bytes.len() {
            assert_eq!(Envelope::read(&bytes[..end]), None, "{end} of {envelope:?}");
        }
        assert_eq!(Envelope::read(&bytes).as_ref(), Some(&envelope));
        bytes.push(0);
        assert_eq!(Envelope::read(&bytes), None, "something behind {envelope:?}");
        bytes.pop();
        bytes[0] += 1;
        assert_eq!(Envelope::read(&bytes), None, "another format of {envelope:?}");
    }
}

#[test]
fn a_state_is_opened_as_it_was_sealed_and_otherwise_not() {
    let mut node = Node::live();
    for other in 1..=4 {
        node.hear(NodeId(other), 1, alive(None));
    }
    let sealed = node.replica.seal(b"state");
    let (shared, state) = Shared::open(&sealed).expect("it was sealed");
    assert_eq!(state, b"state");
    assert_eq!(shared.seal(state), sealed);
    for end in 0..sealed.len() - state.len() {
        assert!(Shared::open(&sealed[..end]).is_none(), "{end} bytes");
    }
    // Two nodes in another order: their ids, of one byte each, change places.
    let mut swapped = sealed.clone();
    let places: Vec<usize> =
        (0..sealed.len() - 1).filter(|&at| sealed[at] < 5 && sealed[at + 1] == 1).collect();
    let mut is_refused = false;
    for &at in &places {
        swapped.clone_from(&sealed);
        swapped[at] = 9;
        is_refused |= Shared::open(&swapped).is_none();
    }
    assert!(is_refused, "nodes that are not in order");
}

#[test]
fn a_node_reads_on_only_behind_the_entry_that_it_remembers() {
    for is_same in [true, false] {
        let mut node = Node::live();
        if !is_same {
            let last = node.log.len() - 1;
            node.log[last].bytes = Envelope { node: OTHER, epoch: 1, stamp: 1, kind: Kind::Leave }.write();
        }
        node.say(&Say::Lost);
        node.pass(RECONNECT_WAIT_MIN);
        let joins = node.asked.contains(&Ask::Recent);
        assert_eq!(joins, !is_same, "{:?}", node.asked);
    }
}

#[test]
fn a_state_of_another_place_is_not_taken() {
    let donor = Node::live();
    let sealed = donor.replica.seal(b"state");
    let mut node = Node::new();
    node.pass(Duration::from_millis(50));
    assert!(node.asked.iter().any(|ask| matches!(ask, Ask::Get { .. })), "it looks for a state");
    node.is_heard = false;
    node.pass(Duration::from_millis(200));
    node.say(&Say::Got(Some(sealed)));
    assert_eq!((node.replica.status(), node.steps), (Status::Joining, Vec::new()));
}

#[test]
fn a_state_counts_where_nobody_has_shown_life_behind_what_its_author_has_read() {
    let entry = |seq, kind| {
        let envelope = Envelope { node: OTHER, epoch: 1, stamp: 1, kind };
        (LogEntry { id: EntryId { ms: 1, seq }, bytes: envelope.write() }, envelope)
    };
    let id = |seq| EntryId { ms: 1, seq };
    let base = || Kind::Base { after: id(5), state: Vec::new() };
    let rows = [
        ("behind a request", join(0), 6, true),
        ("behind a farewell", Kind::Leave, 6, true),
        ("read after a command", command(1, 0), 6, true),
        ("not read before a command", command(1, 0), 5, false),
        ("not read before a sign of life", alive(None), 5, false),
        ("not read before another state", base(), 5, false),
        ("of a place before everything that was seen", join(0), 4, false),
    ];
    for (what, kind, after, counts) in rows {
        let mut view = View::default();
        for (entry, envelope) in [entry(5, join(0)), entry(6, kind)] {
            view.note(Moment::from_ms(1), &entry, Some(&envelope));
        }
        assert_eq!(view.counts(id(after)), counts, "{what}");
    }
    assert!(!View::default().counts(id(5)), "nothing was seen");
}

#[test]
fn who_remembers_most_begins_the_room_again() {
    let memory = |ms| EntryId { ms, seq: 0 };
    let rows = [
        ("alone, with memory", 9, vec![], BASE_WAIT_MIN),
        ("the best memory", 9, vec![join(8)], BASE_WAIT_MIN),
        ("not the best memory", 9, vec![join(10)], BASE_WAIT_SECOND),
        ("no memory", 0, vec![], BASE_WAIT),
        ("no memory beside another without", 0, vec![join(0)], BASE_WAIT),
        ("no memory beside one that has", 0, vec![join(1)], BASE_WAIT + BASE_WAIT_SECOND),
        ("no memory, and all have left", 0, vec![Kind::Leave], BASE_WAIT_MIN),
    ];
    for (what, own, kinds, wait) in rows {
        let mut view = View::default();
        for kind in kinds {
            let envelope = Envelope { node: OTHER, epoch: 1, stamp: 1, kind };
            let entry = LogEntry { id: EntryId { ms: 1, seq: 1 }, bytes: envelope.write() };
            view.note(Moment::from_ms(1), &entry, Some(&envelope));
        }
        assert_eq!(view.wait(OWN, memory(own)), wait, "{what}");
    }
}

#[test]
fn an_entry_that_comes_back_before_an_earlier_command_says_that_the_command_is_missing() {
    let (at, id) = (Moment::from_ms, EntryId::default());
    let rows = [
        (&[Some(1), None][..], Some(1), true),
        (&[None, Some(1)], None, true),
        (&[None, Some(1)], Some(1), true),
        (&[Some(1), None], None, false),
        (&[Some(1), Some(2)], Some(2), false),
        // One of before is there again.
        (&[Some(3)], Some(1), true),
        (&[Some(3)], None, true),
    ];
    for (added, returned, is_whole) in rows {
        let mut link = Link::default();
        link.begin(at(0));
        for &n in added {
            link.added(at(1), 10, n);
        }
        assert_eq!(link.returned(at(2), id, returned), is_whole, "{added:?}, {returned:?}");
        let left = added.iter().position(|&n| n == returned).map_or(added.len(), |at| added.len() - at - 1);
        assert_eq!(link.entry_due().is_some(), left > 0, "{added:?}, {returned:?}");
    }
}

#[test]
fn an_answer_is_due_in_time_and_further_questions_do_not_put_it_off() {
    let at = Moment::from_ms;
    let mut link = Link::default();
    link.begin(at(0));
    assert_eq!(link.answer_due, Some(at(0).after(ENGINE_REPLY_TIMEOUT)));
    link.asked(at(1_000), ENGINE_REPLY_TIMEOUT, 0);
    assert_eq!(link.answer_due, Some(at(0).after(ENGINE_REPLY_TIMEOUT)), "of the first question");
    link.answered(at(1_500));
    assert_eq!(link.answer_due, Some(at(1_500).after(ENGINE_REPLY_TIMEOUT)), "of the second one");
    link.answered(at(1_600));
    assert_eq!(link.answer_due, None);
    link.sent(at(2_000), 4 << 20);
    link.asked(at(2_000), ENGINE_REPLY_TIMEOUT, 0);
    let due = link.answer_due.expect("something was asked");
    assert!(due >= at(2_000 + 4_000).after(ENGINE_REPLY_TIMEOUT), "behind a large value");
}

#[test]
fn each_further_connection_waits_longer_up_to_a_bound() {
    let mut link = Link::default();
    let mut longest = RECONNECT_WAIT_MIN;
    for random in 0..20 {
        let wait = link.wait(random);
        assert!(wait >= longest / 2 && wait <= longest, "{wait:?} of {longest:?}");
        longest = (2 * longest).min(RECONNECT_WAIT_MAX);
    }
    link.works();
    assert!(link.wait(1) <= RECONNECT_WAIT_MIN);
}

#[test]
fn a_lost_connection_is_said_after_a_while_and_its_return_once() {
    let mut node = Node::live();
    node.is_heard = false;
    node.say(&Say::Lost);
    node.pass(APART_AFTER.saturating_sub(Duration::from_millis(1)));
    assert_eq!((node.replica.status(), node.steps.len()), (Status::Live, 0), "a short interruption is none");
    node.pass(Duration::from_millis(1));
    assert_eq!((node.replica.status(), &*node.steps), (Status::Apart, &[Step::Apart][..]));
    node.pass(APART_CLOSE_AFTER.saturating_sub(Duration::from_millis(1)));
    assert_eq!(node.steps, [Step::Apart]);
    node.pass(Duration::from_millis(1));
    assert_eq!(node.steps, [Step::Apart, Step::CloseApart]);
    node.is_heard = true;
    node.pass(2 * RECONNECT_WAIT_MAX + ENGINE_REPLY_TIMEOUT);
    assert_eq!(node.replica.status(), Status::Live);
    assert_eq!(node.steps.iter().filter(|step| **step == Step::Back).count(), 1, "{:?}", node.steps);
}

#[test]
fn an_entry_that_is_taken_but_does_not_come_back_sets_a_node_apart() {
    let mut node = Node::live();
    node.is_heard = false;
    // One half of the connection works, the other does not.
    node.is_taken = true;
    node.submit(b"hello");
    node.pass(ENTRY_TIMEOUT.saturating_sub(Duration::from_millis(1)));
    assert_eq!(node.replica.status(), Status::Live);
    // Its bytes have some microseconds more.
    node.pass(Duration::from_millis(2));
    assert_eq!(node.replica.status(), Status::Apart);
    node.is_heard = true;
    node.pass(RECONNECT_WAIT_MAX);
    let is_own = |step: &Step| matches!(step, Step::Apply { node: OWN, command, .. } if command == b"hello");
    assert!(node.has(is_own) && node.replica.status() == Status::Live, "it is sent again: {:?}", node.steps);
    assert_eq!(node.replica.numbers().pending, 0);
}

#[test]
fn what_is_pending_is_bounded_in_number_and_in_bytes() {
    for (bytes, count) in [(1, PENDING_ENTRIES_MAX), (PENDING_BYTES_MAX / 4, 4)] {
        let mut node = Node::live();
        node.is_heard = false;
        for number in 0..count {
            assert!(!node.replica.is_full(), "{number} of {bytes} bytes");
            node.submit(&vec![0; bytes]);
        }
        assert!(node.replica.is_full(), "{count} of {bytes} bytes");
    }
    assert!(Node::new().replica.is_full(), "without a state");
}

#[test]
fn who_leaves_is_gone_when_the_log_says_so() {
    let mut node = Node::live();
    node.is_heard = false;
    node.replica.leave(node.now);
    node.drive();
    assert!(!node.replica.has_left());
    let Some(Ask::Add(leave)) = node.asked.pop() else { panic!("{:?}", node.asked) };
    let entry = node.append(leave);
    node.say(&Say::Entries(vec![entry]));
    assert!(node.replica.has_left());
    assert!(node.has(|step| matches!(step, Step::NodeGone { node: OWN, .. })));
    let mut alone = Node::new();
    alone.replica.leave(alone.now);
    assert!(alone.replica.has_left(), "nobody can be told");
}

#[test]
fn a_node_that_is_silent_for_too_long_is_removed_and_comes_back() {
    let mut node = Node::live();
    node.hear(OTHER, 1, command(1, 0));
    assert_eq!(node.replica.nodes().collect::<Vec<_>>(), [OTHER, OWN]);
    node.pass(NODE_TIMEOUT.saturating_sub(Duration::from_millis(1)));
    assert_eq!(node.replica.nodes().count(), 2);
    node.pass(Duration::from_secs(6));
    let is_removed = |step: &Step| matches!(step, Step::NodeGone { node: OTHER, was_silent: true, .. });
    assert!(node.has(is_removed) && node.replica.nodes().eq([OWN]), "{:?}", node.steps);
    node.steps.clear();
    node.hear(OTHER, 1, command(1, 0));
    node.hear(OTHER, 1, command(2, 0));
    let applied = node.steps.iter().filter(|step| matches!(step, Step::Apply { node: OTHER, .. })).count();
    assert_eq!((applied, node.replica.nodes().count()), (1, 2), "its first command is not applied again");
}

#[test]
fn commands_are_applied_in_order_each_once_and_late_requests_never() {
    let mut node = Node::live();
    let rows = [
        ("the first", 2, command(1, 0), true),
        ("again", 2, command(1, 0), false),
        ("one that overtakes another", 2, command(3, 2), false),
        ("the one before it", 2, command(2, 1), true),
        ("it comes again", 2, command(3, 2), true),
        ("over an earlier connection", 1, command(4, 3), false),
        ("over a later one", 3, command(9, 0), true),
    ];
    for (what, epoch, kind, is_applied) in rows {
        node.steps.clear();
        node.hear(OTHER, epoch, kind);
        assert_eq!(node.has(|step| matches!(step, Step::Apply { .. })), is_applied, "{what}");
    }
}

#[test]
fn forged_numbers_and_crowds_of_nodes_cost_no_more_than_their_effect() {
    let mut node = Node::live();
    node.hear(OWN, u64::MAX, command(u64::MAX, 0));
    for number in 0..2 * NODES_MAX as u64 {
        node.hear(NodeId(100 + number), 1, alive(None));
    }
    assert_eq!(node.replica.nodes().count(), NODES_MAX);
    node.submit(b"skipped: its number is taken");
    node.pass(Duration::from_mins(2));
    assert!(node.replica.next_deadline().is_some_and(|next| next > node.now), "it goes on");
}

#[test]
fn another_node_with_other_settings_is_said_once_until_they_are_equal() {
    let mut node = Node::live();
    let said =
        |node: &Node| node.steps.iter().filter(|step| matches!(step, Step::OtherSettings { .. })).count();
    let rows = [
        (OTHER, None, 0, "an earlier version"),
        (OTHER, Some(SETTINGS), 0, "the same"),
        (OTHER, Some(9), 1, "other ones"),
        (OTHER, Some(9), 1, "still"),
        (NodeId(4), Some(9), 2, "one more node"),
        (OTHER, Some(SETTINGS), 2, "equal now"),
        (OTHER, Some(1), 3, "and again not"),
    ];
    for (other, settings, count, what) in rows {
        node.hear(other, 1, alive(settings));
        assert_eq!(said(&node), count, "{what}");
    }
    // It says its own, which are those of its process.
    let says = |node: &mut Node, settings| {
        node.pass(NODE_TIMEOUT);
        let mut all = node.log.iter().rev().filter_map(|entry| Envelope::read(&entry.bytes));
        let last = all.find(|envelope| envelope.node == OWN);
        matches!(last, Some(Envelope { kind: Kind::Alive { settings: said, .. }, .. }) if said == Some(settings))
    };
    assert!(says(&mut node, SETTINGS));
    node.replica = Replica::from_bytes(&node.replica.to_bytes()).expect("it thaws");
    node.replica.set_settings(9);
    assert!(says(&mut node, 9));
    node.hear(OTHER, 2, alive(Some(9)));
    assert_eq!(said(&node), 3);
}

#[test]
fn what_an_earlier_version_says_of_being_alive_is_read() {
    let envelope = Envelope { node: OTHER, epoch: 1, stamp: 2, kind: alive(None) };
    assert_eq!(Envelope::read(&[1, 9, 0, 0, 0, 3, 1, 2, 2, 0, 0, 0, 1, 0]), Some(envelope));
}

#[test]
fn a_move_keeps_what_is_pending_and_the_place() {
    let mut node = Node::live();
    node.is_heard = false;
    node.submit(b"hello");
    let place = node.replica.place();
    node.replica = Replica::from_bytes(&node.replica.to_bytes()).expect("it thaws");
    node.is_heard = true;
    node.pass(Duration::from_millis(1));
    assert!(node.asked.contains(&Ask::Check { at: Some(place.0) }), "{:?}", node.asked);
    assert!(node.has(|step| matches!(step, Step::Apply { node: OWN, .. })), "{:?}", node.steps);
}
