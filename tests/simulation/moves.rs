//! A server that moves to another process between any two calls goes on as if it had stayed.

use crate::testkit::choices::Choices;
use crate::testkit::world::World;
use crate::{STEPS, number};

/// Lives through the seed once more, with a server that moves in one of ten steps, and compares all that it
/// says with what it said when it stayed. Gives how often it moved.
///
/// Only some lives are compared to their end, for the sake of time.
pub(crate) fn compare(seed: u64, stayed: &World) -> u64 {
    let mut world = World::new(Choices::of_seed(seed));
    world.observe(Some(seed));
    if seed.is_multiple_of(WHOLE_LIVES) || number("PLUME_SIM_SEED").is_some() {
        world.live(STEPS);
        assert_eq!(world.trace().len(), stayed.trace().len(), "a life is as long as the other");
    } else {
        world.live_on(STEPS / 4);
    }
    let differs = world.trace().iter().zip(stayed.trace()).position(|(moved, stayed)| moved != stayed);
    if let Some(step) = differs {
        panic!("a server that moves says something else in step {step} of PLUME_SIM_SEED={seed}");
    }
    world.moves()
}

/// One life of so many is compared to its end.
const WHOLE_LIVES: u64 = 16;
