//! Whatever people write stays text.

use crate::support::{Person, open};

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn an_inline_script_would_not_run_either() {
    let (server, chromium) = open(&[]);
    let ada = Person::arrive(&chromium, &server.url());
    ada.page.eval(
        "{ const script = document.createElement('script');
            script.textContent = 'window.hit = 1';
            document.body.append(script); }",
    );
    assert_eq!(ada.page.eval("typeof hit"), "undefined");
    // And so these tests would notice a page that breaks its own policy.
    let complaints = chromium.take_complaints();
    assert!(complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:?}");
}
