//! One page of a browser, worked with real mouse and key events, and asked in JavaScript what it shows.

use super::{quoted, wait_for};
use serde_json::Value;

/// A page of an engine that `D` drives.
pub(crate) struct Page<D> {
    pub(super) driver: D,
}

/// What a protocol must be able to do with a page. All else is made of this, or is for one engine alone.
pub(crate) trait Driver {
    /// Begins to load an address.
    fn navigate(&self, url: &str);

    /// Begins to load the page again, as F5 does.
    fn reload(&self);

    /// The value of an expression, after the promise that it may be; or what it threw.
    fn try_eval(&self, expression: &str) -> Result<Value, String>;

    /// Clicks at a point of the window.
    fn click_at(&self, x: f64, y: f64);

    /// Writes into whatever has the focus.
    fn insert(&self, text: &str);

    fn press(&self, key: Key);

    /// Makes the page as large as this, in CSS pixels.
    fn resize(&self, width: u32, height: u32);

    /// What pages have complained about, for a failing test to print.
    fn complaints(&self) -> String;
}

/// A key that does more than write a character.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    Enter,
    ShiftEnter,
    Tab,
    ShiftTab,
    Up,
    Down,
    Escape,
}

impl<D: Driver> Page<D> {
    /// Goes to an address, and waits until it is all there.
    #[track_caller]
    pub(crate) fn visit(&self, url: &str) {
        self.driver.navigate(url);
        self.wait(&format!("location.href === {} && document.readyState === 'complete'", quoted(url)));
    }

    /// Loads the page again, and waits until it is all there.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.eval("window.isOld = true");
        self.driver.reload();
        self.wait("!window.isOld && document.readyState === 'complete'");
    }

    /// The value of an expression, after the promise that it may be.
    #[track_caller]
    pub(crate) fn eval(&self, expression: &str) -> Value {
        self.driver.try_eval(expression).unwrap_or_else(|error| panic!("{error} in {expression}"))
    }

    /// Waits until a condition holds. Between two documents none does.
    #[track_caller]
    pub(crate) fn wait(&self, condition: &str) {
        let look =
            || (self.driver.try_eval(&format!("!!({condition})")) == Ok(Value::Bool(true))).then_some(());
        let excuse = || {
            let shown = self.driver.try_eval("document.body.innerText").unwrap_or_default();
            format!("{condition}\npage: {shown}\nconsole: {}", self.driver.complaints())
        };
        wait_for(look, excuse);
    }

    /// What has gone wrong in it, one complaint in a row; nothing may.
    pub(crate) fn complaints(&self) -> String {
        self.driver.complaints()
    }

    /// Whether a person could see something of this element.
    pub(crate) fn is_visible(&self, selector: &str) -> bool {
        self.eval(&visible(selector)) == true
    }

    #[track_caller]
    pub(crate) fn wait_visible(&self, selector: &str) {
        self.wait(&visible(selector));
    }

    /// The text of an element as it is shown.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        text(&self.eval(&format!("document.querySelector({}).innerText", quoted(selector))))
    }

    /// Waits until an element shows this text, among others.
    #[track_caller]
    pub(crate) fn wait_text(&self, selector: &str, part: &str) {
        let selector = quoted(selector);
        self.wait(&format!("document.querySelector({selector}).innerText.includes({})", quoted(part)));
    }

    /// Clicks into the middle of an element, where nothing may lie over it.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.wait_visible(selector);
        let at = self.eval(&format!(
            "(() => {{ const node = document.querySelector({}); node.scrollIntoView({{ block: 'nearest' }});
                const {{ x, y, width, height }} = node.getBoundingClientRect();
                const at = {{ x: x + width / 2, y: y + height / 2 }};
                const hit = document.elementFromPoint(at.x, at.y);
                return {{ ...at, over: node.contains(hit) ? '' : hit?.outerHTML ?? 'outside' }}; }})()",
            quoted(selector)
        ));
        assert_eq!(at["over"], "", "something lies over {selector}");
        let (x, y) = (at["x"].as_f64().expect("a number"), at["y"].as_f64().expect("a number"));
        self.driver.click_at(x, y);
    }

    /// Writes into whatever has the focus.
    pub(crate) fn insert(&self, text: &str) {
        self.driver.insert(text);
    }

    /// Clicks into a field and writes in the place of what stands there.
    #[track_caller]
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        self.click(selector);
        self.eval(&format!("document.querySelector({}).select()", quoted(selector)));
        self.insert(text);
    }

    pub(crate) fn press(&self, key: Key) {
        self.driver.press(key);
    }

    /// A window of this size on a desk.
    pub(crate) fn size(&self, width: u32, height: u32) {
        self.driver.resize(width, height);
    }

    /// Waits until all that is due has been drawn: two frames, for a page may answer the first with a change.
    pub(crate) fn draw(&self) {
        self.eval(
            "new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(() => then(true))))",
        );
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn visible(selector: &str) -> String {
    format!("document.querySelector({})?.checkVisibility({{ visibilityProperty: true }})", quoted(selector))
}
