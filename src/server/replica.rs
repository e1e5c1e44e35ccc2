use crate::base::time::{Moment, Now};
use crate::engine::{Ask, Say};
use crate::ids::NodeId;
pub(super) struct Replica {
    node: NodeId,
}
pub(super) enum Step {
    Ask(Ask),
    Apply { at: Now, node: NodeId, command: Vec<u8> },
    Passed(Now),
    NodeGone { at: Now, node: NodeId },
    NewRun { at: Now, run: u64 },
    Freeze,
    Adopt { state: Vec<u8> },
    Apart,
    Back,
    CloseApart,
}
#[derive(PartialEq, Eq)]
pub(super) enum Status {
    Joining,
    Live,
    Apart,
}
crate::base::frost::frost!(struct Replica { node });
impl Replica {
    pub(super) fn new(_: [u8; 32]) -> Self {
        Self { node: NodeId(1) }
    }
    pub(super) fn node(&self) -> NodeId {
        self.node
    }
    pub(super) fn submit(&mut self, _: Moment, _: Vec<u8>) {}
    pub(super) fn is_full(&self) -> bool {
        false
    }
    pub(super) fn leave(&mut self, _: Moment) {}
    pub(super) fn has_left(&self) -> bool {
        true
    }
    pub(super) fn hear(&mut self, _: Moment, _: &Say) {}
    pub(super) fn tick(&mut self, _: Moment) {}
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        None
    }
    pub(super) fn next_step(&mut self, _: Moment) -> Option<Step> {
        None
    }
    pub(super) fn frozen(&mut self, _: Vec<u8>) {}
    pub(super) fn adopted(&mut self, _: bool) {}
    pub(super) fn nodes(&self) -> usize {
        1
    }
    pub(super) fn pending(&self) -> (usize, usize) {
        (0, 0)
    }
    pub(super) fn status(&self) -> Status {
        Status::Live
    }
    pub(super) fn set_shared_deadline(&mut self, _: Option<Moment>) {}
}
