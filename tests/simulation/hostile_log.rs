//! What anybody could write into the log who reaches the engine.

use crate::testkit::choices::Choices;
use crate::testkit::driver::small_site;
use crate::testkit::hostile_log::{live, real_log};
use plume::limits::BACKLOG_BYTES_MIN;
use plume::settings::Settings;

#[test]
fn no_bytes_in_the_log_end_a_server() {
    let settings = Settings { backlog_bytes: BACKLOG_BYTES_MIN, mail_budget: None, ..Settings::default() };
    let site = small_site();
    let real = real_log(&settings, &site);
    assert!(live(&[], &real, &settings, &site), "a real state is taken");
    let mut taken = 0;
    for seed in 0..SEEDS {
        let bytes = Choices::of_seed(seed).literal(80);
        taken += u32::from(live(&bytes, &real, &settings, &site));
    }
    let some = u32::try_from(SEEDS).unwrap_or(u32::MAX);
    assert!((some / 10..some).contains(&taken), "some changed states are taken, not all: {taken} of {SEEDS}");
    if let Ok(folder) = std::env::var("PLUME_ENTRIES") {
        for count in [0, 1, 2, 9] {
            let path = std::path::Path::new(&folder).join(format!("changes-{count}"));
            let bytes = [&[count][..], &Choices::of_seed(u64::from(count)).literal(60)].concat();
            std::fs::write(path, bytes).expect("the folder is there");
        }
    }
}

const SEEDS: u64 = 200;
