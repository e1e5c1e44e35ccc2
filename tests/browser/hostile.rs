//! Whatever people write stays text.

use crate::support::{Chromium, Person, Plume};

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn script_in_a_name_or_a_text_stays_text() {
    const NAME: &str = "<img src=x onerror=hit=1>";
    const LINES: &[&str] = &[
        "<img src=x onerror=\"window.hit = 1\">",
        "<script>window.hit = 1</script>",
        "<svg/onload=window.hit=1>",
        "\"><b>bold</b>",
        "javascript:window.hit=1",
        "https://example.org/\"onmouseover=\"window.hit=1",
        "https://example.org/<script>window.hit=1</script>",
        "&lt;b&gt; &amp;amp;",
        "{{name}} ${name} \\u003cb\\u003e",
    ];
    let mut server = Plume::start(&[("PLUME_NAME", "<i>A & \"B\"</i>")]);
    let chromium = Chromium::launch();
    let ada = Person::enter(&chromium, &mut server, "Ada");
    let other = Person::enter(&chromium, &mut server, NAME);
    for line in LINES {
        other.say(line);
        ada.wait_line(line);
    }
    let expected: Vec<String> = LINES.iter().map(|line| format!("{NAME}: {line}")).collect();
    for person in [&ada, &other] {
        assert_eq!(person.lines(), expected);
        assert_eq!(person.page.eval("document.title"), "<i>A & \"B\"</i>");
        person.page.wait_text("#people", NAME);
        let foreign = "document.querySelectorAll('main :is(script, svg, b, i):not(#verify-view b)').length +
            document.querySelectorAll(':is(#log, #people) img').length";
        assert_eq!(person.page.eval(foreign), 0, "{}", person.page.eval("document.body.innerHTML"));
        assert_eq!(person.page.eval("typeof hit"), "undefined");
        let hosts = "[...new Set([...document.querySelectorAll('#log a')].map(({ origin }) => origin))]";
        assert_eq!(person.page.eval(hosts), serde_json::json!(["https://example.org"]));
    }
}

#[test]
#[ignore = "needs Chromium; run by .ci/run"]
fn an_inline_script_would_not_run_either() {
    let server = Plume::start(&[]);
    let chromium = Chromium::launch();
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
