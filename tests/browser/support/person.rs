//! Somebody who uses the built-in page: the one place that knows how its views are built.

use super::{Chromium, Driver, Key, Page, Plume, Tab, address_of, quoted};

/// One person in front of one page.
pub(crate) struct Person<D> {
    pub(crate) page: Page<D>,
}

impl<'a> Person<Tab<'a>> {
    /// Opens the page in a browser of their own, and sees the first view.
    #[track_caller]
    pub(crate) fn arrive(chromium: &'a Chromium, url: &str) -> Self {
        Self::arrive_on(chromium.page(), url)
    }

    /// Opens the page and comes into the room.
    #[track_caller]
    pub(crate) fn enter(chromium: &'a Chromium, server: &Plume, name: &str) -> Self {
        Self::enter_over(chromium, &server.url(), server, name)
    }

    /// The same by another address than the server's own.
    #[track_caller]
    pub(crate) fn enter_over(chromium: &'a Chromium, url: &str, server: &Plume, name: &str) -> Self {
        let person = Self::arrive(chromium, url);
        person.come_in(server, name);
        person
    }

    /// Opens the page in another tab, where they are in already.
    #[track_caller]
    pub(crate) fn second_tab(&self, url: &str) -> Self {
        let page = self.page.second_tab();
        page.visit(url);
        let second = Self { page };
        second.wait_in();
        second
    }
}

impl<D: Driver> Person<D> {
    /// Opens the page, and sees the first view.
    #[track_caller]
    pub(crate) fn arrive_on(page: Page<D>, url: &str) -> Self {
        page.visit(url);
        page.wait_visible("#enter-view");
        Self { page }
    }

    /// From the first view into the room.
    #[track_caller]
    pub(crate) fn come_in(&self, server: &Plume, name: &str) {
        self.ask_code(name);
        self.type_code(&server.code_for(name));
        self.wait_in();
    }

    /// From the first view to the second.
    #[track_caller]
    pub(crate) fn ask_code(&self, name: &str) {
        self.page.fill("#name", name);
        self.page.fill("#email", &address_of(name));
        self.page.press(Key::Enter);
        self.page.wait_visible("#verify-view");
    }

    /// A complete code sends itself.
    #[track_caller]
    pub(crate) fn type_code(&self, code: &str) {
        self.page.fill("#code", code);
    }

    #[track_caller]
    pub(crate) fn wait_in(&self) {
        self.page.wait_visible("#chat-view");
        self.page.wait_text("#status", "Connected");
    }

    /// Says a line and sees that the room has it.
    #[track_caller]
    pub(crate) fn say(&self, line: &str) {
        self.send(line);
        self.wait_line(line);
    }

    /// Says a line, whether it arrives or not.
    #[track_caller]
    pub(crate) fn send(&self, line: &str) {
        self.page.fill("#text", line);
        self.page.press(Key::Enter);
    }

    /// Waits until the room has said a line, and the page shows it.
    #[track_caller]
    pub(crate) fn wait_line(&self, line: &str) {
        self.page.wait(&format!("{LINES}.some(({{ text }}) => text === {})", quoted(line)));
    }

    /// The lines that the page shows as said by people, in order, each as `name: text`.
    pub(crate) fn lines(&self) -> Vec<String> {
        strings(&self.page, &format!("{LINES}.map(({{ name, text }}) => `${{name}}: ${{text}}`)"))
    }

    /// The comings and goings that the page shows, in order, each as `name text`.
    pub(crate) fn events(&self) -> Vec<String> {
        strings(&self.page, EVENTS)
    }
}

fn strings(page: &Page<impl Driver>, expression: &str) -> Vec<String> {
    serde_json::from_value(page.eval(expression)).expect("the expression gives strings")
}

/// Lines with their texts, but not those that wait for the server, nor the greeting.
const LINES: &str = "[...document.querySelectorAll('#log .line:not(.event, .pending)')]
    .map((line) => ({
        name: line.querySelector('.name').textContent.replace('@', ''),
        text: line.querySelector('.text').textContent,
    }))
    .filter(({ name }) => name !== 'plumebot')";
/// The time at the end is not part of what happened.
const EVENTS: &str = "[...document.querySelectorAll('#log .event')]
    .map((line) => [...line.childNodes].filter(({ nodeName }) => nodeName !== 'TIME')
        .map(({ textContent }) => textContent).join('').replace('@', '').trim())";
