//! A page of Chromium over the devtools protocol, which can do more than other engines' protocols: a second
//! tab, input methods, phones, themes, a device without network, pictures.

use super::{Chromium, Driver, Key, Page, quoted};
use data_encoding::BASE64;
use serde_json::{Value, json};

/// A tab; it stays open until it is closed or the browser ends.
pub(crate) struct Tab<'a> {
    chromium: &'a Chromium,
    context: String,
    target: String,
    session: String,
}

impl<'a> Tab<'a> {
    /// An empty tab in a browser context, in a window of its own: only so both it and others are visible.
    pub(super) fn open_in(chromium: &'a Chromium, context: &str) -> Self {
        let params = json!({"url": "about:blank", "browserContextId": context, "newWindow": true});
        let created = chromium.call("", "Target.createTarget", &params);
        let target = text(&created["targetId"]);
        let params = json!({"targetId": target, "flatten": true});
        let attached = chromium.call("", "Target.attachToTarget", &params);
        let session = text(&attached["sessionId"]);
        let tab = Self { chromium, context: context.to_owned(), target, session };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), &json!({}));
        }
        // As if its window were in front, all the time and for each page.
        tab.call("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        // Times and numbers look the same wherever this runs.
        tab.call("Emulation.setLocaleOverride", &json!({"locale": "en-GB"}));
        tab.call("Emulation.setTimezoneOverride", &json!({"timezoneId": "UTC"}));
        tab.resize(1280, 800);
        tab
    }

    #[track_caller]
    fn call(&self, method: &str, params: &Value) -> Value {
        self.chromium.call(&self.session, method, params)
    }
}

impl Driver for Tab<'_> {
    fn navigate(&self, url: &str) {
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
    }

    fn reload(&self) {
        self.call("Page.reload", &json!({}));
    }

    fn try_eval(&self, expression: &str) -> Result<Value, String> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.chromium.try_call(&self.session, "Runtime.evaluate", &params)?;
        let thrown = &answer["exceptionDetails"];
        if thrown.is_null() { Ok(answer["result"]["value"].take()) } else { Err(thrown.to_string()) }
    }

    fn click_at(&self, x: f64, y: f64) {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    fn insert(&self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    fn press(&self, key: Key) {
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

    fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    fn complaints(&self) -> String {
        self.chromium.complaints()
    }
}

impl Page<Tab<'_>> {
    /// Another tab of the same person's browser.
    pub(crate) fn second_tab(&self) -> Self {
        Self { driver: Tab::open_in(self.driver.chromium, &self.driver.context) }
    }

    pub(crate) fn close(self) {
        self.driver.chromium.call("", "Target.closeTarget", &json!({"targetId": self.driver.target}));
    }

    /// Moves the mouse into the middle of an element.
    pub(crate) fn hover(&self, selector: &str) {
        let at = self.eval(&format!(
            "{{ const {{ x, y, width, height }} = document.querySelector({}).getBoundingClientRect();
                ({{ x: x + width / 2, y: y + height / 2 }}) }}",
            quoted(selector)
        ));
        let event = json!({"type": "mouseMoved", "x": at["x"], "y": at["y"]});
        self.driver.call("Input.dispatchMouseEvent", &event);
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
        self.driver.call("Input.dispatchMouseEvent", &event);
    }

    /// Shows a text as an input method does that has not committed it yet.
    pub(crate) fn compose(&self, text: &str) {
        let end = text.encode_utf16().count();
        let params = json!({"text": text, "selectionStart": end, "selectionEnd": end});
        self.driver.call("Input.imeSetComposition", &params);
    }

    /// Presses Enter for the input method alone: the page sees the key code 229.
    pub(crate) fn press_for_input_method(&self) {
        let event = json!({"type": "rawKeyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229,
            "nativeVirtualKeyCode": 229});
        self.driver.call("Input.dispatchKeyEvent", &event);
    }

    /// Runs a script in each document before its own.
    pub(crate) fn run_before_load(&self, script: &str) {
        self.driver.call("Page.addScriptToEvaluateOnNewDocument", &json!({"source": script}));
    }

    /// A phone of this size.
    pub(crate) fn phone(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        self.driver.call("Emulation.setDeviceMetricsOverride", &metrics);
        self.driver.call("Emulation.setTouchEmulationEnabled", &json!({"enabled": true}));
    }

    /// Chooses the system's colour scheme: `light` or `dark`.
    pub(crate) fn theme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.driver.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Tells the page that the device has no network, or one again.
    pub(crate) fn set_offline(&self, is_offline: bool) {
        let conditions = json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1,
            "uploadThroughput": -1});
        self.driver.call("Network.emulateNetworkConditions", &conditions);
    }

    /// What is on the screen, as PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        self.draw();
        let shot = self.driver.call("Page.captureScreenshot", &json!({"format": "png"}));
        BASE64.decode(text(&shot["data"]).as_bytes()).expect("the browser knows base64")
    }
}

/// The bit for it in an input event.
const SHIFT: u32 = 8;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
