//! One page of the browser, worked with real mouse and key events, and asked in JavaScript what it shows.

use super::{Chromium, quoted, wait_for};
use data_encoding::BASE64;
use serde_json::{Value, json};

/// A page; it stays open until it is closed or the browser ends.
pub(crate) struct Page<'a> {
    chromium: &'a Chromium,
    context: String,
    target: String,
    session: String,
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

impl<'a> Page<'a> {
    /// An empty page in a browser context, in a window of its own: only so both it and others are visible.
    pub(crate) fn open_in(chromium: &'a Chromium, context: &str) -> Self {
        let params = json!({"url": "about:blank", "browserContextId": context, "newWindow": true});
        let created = chromium.call("", "Target.createTarget", &params);
        let target = text(&created["targetId"]);
        let params = json!({"targetId": target, "flatten": true});
        let attached = chromium.call("", "Target.attachToTarget", &params);
        let session = text(&attached["sessionId"]);
        let page = Self { chromium, context: context.to_owned(), target, session };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        // As if its window were in front, all the time and for each page.
        page.call("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        // Times and numbers look the same wherever this runs.
        page.call("Emulation.setLocaleOverride", &json!({"locale": "en-GB"}));
        page.call("Emulation.setTimezoneOverride", &json!({"timezoneId": "UTC"}));
        page.size(1280, 800);
        page
    }

    /// Another tab of the same person's browser.
    pub(crate) fn second_tab(&self) -> Self {
        Self::open_in(self.chromium, &self.context)
    }

    #[track_caller]
    fn call(&self, method: &str, params: &Value) -> Value {
        self.chromium.call(&self.session, method, params)
    }

    /// Goes to an address, and waits until it is all there.
    #[track_caller]
    pub(crate) fn visit(&self, url: &str) {
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.wait(&format!("location.href === {} && document.readyState === 'complete'", quoted(url)));
    }

    /// Loads the page again, as F5 does.
    #[track_caller]
    pub(crate) fn reload(&self) {
        self.eval("window.isOld = true");
        self.call("Page.reload", &json!({}));
        self.wait("!window.isOld && document.readyState === 'complete'");
    }

    pub(crate) fn close(self) {
        self.chromium.call("", "Target.closeTarget", &json!({"targetId": self.target}));
    }

    /// The value of an expression, after the promise that it may be.
    #[track_caller]
    pub(crate) fn eval(&self, expression: &str) -> Value {
        self.try_eval(expression).unwrap_or_else(|error| panic!("{error} in {expression}"))
    }

    fn try_eval(&self, expression: &str) -> Result<Value, String> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.chromium.try_call(&self.session, "Runtime.evaluate", &params)?;
        let thrown = &answer["exceptionDetails"];
        if thrown.is_null() { Ok(answer["result"]["value"].take()) } else { Err(thrown.to_string()) }
    }

    /// Waits until a condition holds. Between two documents none does.
    #[track_caller]
    pub(crate) fn wait(&self, condition: &str) {
        let look = || (self.try_eval(&format!("!!({condition})")) == Ok(Value::Bool(true))).then_some(());
        let excuse = || {
            let shown = self.try_eval("document.body.innerText").unwrap_or_default();
            format!("{condition}\npage: {shown}\nconsole: {}", self.chromium.complaints())
        };
        wait_for(look, excuse);
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
            "{{ const node = document.querySelector({}); node.scrollIntoView({{ block: 'nearest' }});
                const {{ x, y, width, height }} = node.getBoundingClientRect();
                const at = {{ x: x + width / 2, y: y + height / 2 }};
                const hit = document.elementFromPoint(at.x, at.y);
                ({{ ...at, over: node.contains(hit) ? '' : hit?.outerHTML ?? 'outside' }}) }}",
            quoted(selector)
        ));
        assert_eq!(at["over"], "", "something lies over {selector}");
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Moves the mouse into the middle of an element.
    pub(crate) fn hover(&self, selector: &str) {
        let at = self.eval(&format!(
            "{{ const {{ x, y, width, height }} = document.querySelector({}).getBoundingClientRect();
                ({{ x: x + width / 2, y: y + height / 2 }}) }}",
            quoted(selector)
        ));
        let event = json!({"type": "mouseMoved", "x": at["x"], "y": at["y"]});
        self.call("Input.dispatchMouseEvent", &event);
    }

    /// Turns the wheel over an element: down, or up where `pixels` is negative.
    pub(crate) fn wheel(&self, selector: &str, pixels: i32) {
        let at = self.eval(&format!(
            "{{ const {{ x, y }} = document.querySelector({}).getBoundingClientRect(); ({{ x, y }}) }}",
            quoted(selector)
        ));
        let (x, y) = (at["x"].as_f64().expect("a number"), at["y"].as_f64().expect("a number"));
        let event =
            json!({"type": "mouseWheel", "x": x + 20.0, "y": y + 20.0, "deltaX": 0, "deltaY": pixels});
        self.call("Input.dispatchMouseEvent", &event);
    }

    /// Writes into whatever has the focus.
    pub(crate) fn insert(&self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Clicks into a field and writes in the place of what stands there.
    #[track_caller]
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        self.click(selector);
        self.eval(&format!("document.querySelector({}).select()", quoted(selector)));
        self.insert(text);
    }

    pub(crate) fn press(&self, key: Key) {
        let (name, code, text, modifiers) = match key {
            Key::Enter => ("Enter", 13, "\r", 0),
            Key::ShiftEnter => ("Enter", 13, "\r", SHIFT),
            Key::Tab => ("Tab", 9, "", 0),
            Key::ShiftTab => ("Tab", 9, "", SHIFT),
            Key::Up => ("ArrowUp", 38, "", 0),
            Key::Down => ("ArrowDown", 40, "", 0),
            Key::Escape => ("Escape", 27, "", 0),
        };
        let down = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        for kind in [down, "keyUp"] {
            let mut event = json!({"type": kind, "key": name, "code": name, "modifiers": modifiers,
                "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code});
            if kind == "keyDown" {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Shows a text as an input method does that has not committed it yet.
    pub(crate) fn compose(&self, text: &str) {
        let end = text.encode_utf16().count();
        let params = json!({"text": text, "selectionStart": end, "selectionEnd": end});
        self.call("Input.imeSetComposition", &params);
    }

    /// Presses Enter for the input method alone: the page sees the key code 229.
    pub(crate) fn press_for_input_method(&self) {
        let event = json!({"type": "rawKeyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229,
            "nativeVirtualKeyCode": 229});
        self.call("Input.dispatchKeyEvent", &event);
    }

    /// Runs a script in each document before its own.
    pub(crate) fn run_before_load(&self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", &json!({"source": script}));
    }

    /// A window of this size on a desk.
    pub(crate) fn size(&self, width: u32, height: u32) {
        self.metrics(&json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}));
    }

    /// A phone of this size.
    pub(crate) fn phone(&self, width: u32, height: u32) {
        self.metrics(&json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true}));
        self.call("Emulation.setTouchEmulationEnabled", &json!({"enabled": true}));
    }

    fn metrics(&self, metrics: &Value) {
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Chooses the system's colour scheme: `light` or `dark`.
    pub(crate) fn theme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Tells the page that the device has no network, or one again.
    pub(crate) fn set_offline(&self, is_offline: bool) {
        let conditions = json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1,
            "uploadThroughput": -1});
        self.call("Network.emulateNetworkConditions", &conditions);
    }

    /// Waits until all that is due has been drawn: two frames, for a page may answer the first with a change.
    pub(crate) fn draw(&self) {
        self.eval(
            "new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(() => then(true))))",
        );
    }

    /// What is on the screen, as PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        self.draw();
        let shot = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        BASE64.decode(text(&shot["data"]).as_bytes()).expect("the browser knows base64")
    }
}

/// The bit for it in an input event.
const SHIFT: u32 = 8;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn visible(selector: &str) -> String {
    format!("document.querySelector({})?.checkVisibility({{ visibilityProperty: true }})", quoted(selector))
}
