//! The pictures of the README, of a conversation that was made up for them.

use crate::flood::DISTANCE;
use crate::support::{Bot, Person, Plume, Tab, open};
use std::path::PathBuf;
use std::{env, fs};

/// Writes the pictures into the folder that `SCREENSHOTS` names, or out of the way where none is named: then
/// it only makes sure that it could.
#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn screenshots() {
    let out_of_the_way = concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots");
    let folder = PathBuf::from(env::var_os("SCREENSHOTS").unwrap_or_else(|| out_of_the_way.into()));
    fs::create_dir_all(&folder).expect("the folder can be made");
    let (server, chromium) = open(&[("PLUME_TOPIC", "The library has cake: https://example.org/cake")]);
    let zoe = Person::enter(&chromium, &server, "Zoë");
    talk(&server, &zoe);
    for device in ["desktop", "phone"] {
        match device {
            "phone" => zoe.page.phone(390, 700),
            _ => zoe.page.size(1120, 720),
        }
        for theme in ["light", "dark"] {
            zoe.page.theme(theme);
            zoe.page.wait(&format!("{DISTANCE} < 2"));
            let picture = zoe.page.screenshot();
            let path = folder.join(format!("{device}-{theme}.png"));
            assert!(picture.len() < PICTURE_BYTES_MAX, "{}: {} bytes", path.display(), picture.len());
            fs::write(&path, picture).expect("the folder can be written to");
        }
    }
}

/// Has a few people talk with `zoe`.
fn talk(server: &Plume, zoe: &Person<Tab<'_>>) {
    let [mut mira, mut jonas, mut tariq] = ["Mira", "Jonas", "Tariq"].map(|name| Bot::enter(server, name));
    let rest = [
        (&mut mira, "Morning! Did anybody see the heron by the bridge?"),
        (&mut jonas, "Twice this week. It stands there as if it paid rent."),
        (&mut tariq, "I took a picture: https://example.org/heron"),
    ];
    for (bot, line) in rest {
        bot.say([line.to_owned()]);
    }
    zoe.wait_line("I took a picture: https://example.org/heron");
    zoe.say("Oh, that is a good one.");
    zoe.say("May I hang it up in the library?");
    tariq.say(["Of course, @Zoë. Put “The tenant” under it.".to_owned()]);
    mira.say([
        "I'm at the library until five.\nBring cake, and I'll find you a frame.".to_owned(),
        "And a nail.".to_owned(),
    ]);
    jonas.say(["Cake? On my way.".to_owned()]);
    zoe.wait_line("Cake? On my way.");
    zoe.page.fill("#text", "See you all at five!");
}

/// A README should be there at once.
const PICTURE_BYTES_MAX: usize = 150_000;
