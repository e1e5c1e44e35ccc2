//! What can be measured of the looks: every text that can be seen stands out from what is behind it.

use crate::support::{Bot, Key, Page, Person, Tab, open};

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn every_text_has_contrast_in_both_themes() {
    let variables = [("PLUME_MODERATORS", "ada@example.org"), ("PLUME_TOPIC", "see https://example.org/")];
    let (mut server, chromium) = open(&variables);
    let mut bot = Bot::enter(&server, "Grace");
    let ada = Person::arrive(&chromium, &server.url());
    ada.page.click("#enter");
    ada.page.wait_text("#enter-error", "name");
    check_contrast(&ada.page);
    ada.ask_code("Ada");
    ada.page.click("#verify");
    ada.page.wait("document.querySelector('#verify-error').innerText !== ''");
    check_contrast(&ada.page);
    ada.type_code(&server.code_for("Ada"));
    ada.wait_in();
    ada.say("mine, with https://example.org/");
    bot.say(["hello @Ada, see https://example.org/", "and more"].map(str::to_owned));
    ada.wait_line("and more");
    check_contrast(&ada.page);
    ada.send("/no such command");
    ada.page.wait("document.querySelector('#text-error').innerText !== ''");
    check_contrast(&ada.page);
    ada.page.fill("#text", "/");
    ada.page.wait_visible("#hints button");
    check_contrast(&ada.page);
    ada.page.fill("#text", "");
    ada.page.click("#people-list .menu");
    ada.page.wait_visible("#menu");
    check_contrast(&ada.page);
    ada.page.press(Key::Escape);
    server.kill();
    ada.page.wait_text("#status", "Reconnecting");
    ada.send("not said yet");
    ada.page.wait_visible("#log .pending");
    check_contrast(&ada.page);
    chromium.forgive_network();
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn names_have_contrast_in_each_of_their_colours() {
    let (server, chromium) = open(&[]);
    let mut bot = Bot::enter(&server, "Grace");
    let ada = Person::enter(&chromium, &server, "Ada");
    ada.say("mine");
    bot.say(["hello @Ada".to_owned()]);
    ada.wait_line("hello @Ada");
    for hue in (0..360).step_by(36) {
        ada.page.eval(&format!(
            "for (const name of document.querySelectorAll('.name')) name.style.setProperty('--hue', {hue})"
        ));
        check_contrast(&ada.page);
    }
}

#[track_caller]
fn check_contrast(page: &Page<Tab<'_>>) {
    for theme in ["light", "dark"] {
        page.theme(theme);
        let weak = page.eval(WEAK_TEXTS);
        assert_eq!(weak, serde_json::json!([]), "too little contrast in the {theme} theme");
    }
}

/// All texts (and placeholders) that can be seen and have less contrast than 4.5, which is what WCAG 2 asks
/// for at level AA. Colours are painted on a canvas to learn what they are, whatever notation they have.
const WEAK_TEXTS: &str = r"{
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const paint = (color, alpha) => {
        canvas.globalAlpha = alpha;
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
    };
    const luminance = () => {
        const linear = (byte) => (byte / 255 <= 0.04045 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
        const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map(linear);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const contrast = (node, color) => {
        const behind = [];
        for (let at = node; at; at = at.parentElement) behind.unshift(getComputedStyle(at));
        let alpha = 1;
        for (const { backgroundColor, opacity } of behind) paint(backgroundColor, (alpha *= Number(opacity)));
        const back = luminance();
        paint(color, alpha);
        const front = luminance();
        return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    };
    const hasText = (node) => [...node.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim());
    const rows = [...document.querySelectorAll('body *')]
        .filter((node) => node.checkVisibility({ visibilityProperty: true }))
        .flatMap((node) => [
            ...(hasText(node) || node.value ? [[node, getComputedStyle(node).color, node.innerText]] : []),
            ...(node.placeholder ? [[node, getComputedStyle(node, '::placeholder').color, 'placeholder']] : []),
        ]);
    if (rows.length < 3) throw new Error('there is hardly any text');
    rows.map(([node, color, text]) => [contrast(node, color), node.localName, node.className, node.id, color, text])
        .filter(([ratio]) => ratio < 4.5);
}";
