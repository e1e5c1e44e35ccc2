use super::*;

#[test]
fn a_query_says_which_lines_are_wanted() {
    let wanted = |after, run: Option<&str>, limit, is_follow| {
        Ok(Wanted { after, run: run.map(str::to_owned), limit, is_follow })
    };
    let rows = [
        ("", wanted(None, None, None, false)),
        ("&&", wanted(None, None, None, false)),
        ("after=7&run=00ff&limit=20", wanted(Some(7), Some("00ff"), Some(20), false)),
        ("follow", wanted(None, None, None, true)),
        ("follow=&limit=0", wanted(None, None, Some(0), true)),
        ("follow=1&after=0", wanted(Some(0), None, None, true)),
        ("follow=0", wanted(None, None, None, false)),
        ("limit=10001", wanted(None, None, Some(LINES_MAX), false)),
        ("limit=99999999999999999999999", wanted(None, None, Some(LINES_MAX), false)),
        ("after=99999999999999999999999", wanted(Some(u64::MAX), None, None, false)),
        ("after=", Err(BAD_AFTER)),
        ("after=-1", Err(BAD_AFTER)),
        ("after=+1", Err(BAD_AFTER)),
        ("after=1.0", Err(BAD_AFTER)),
        ("limit=", Err(BAD_LIMIT)),
        ("limit=many", Err(BAD_LIMIT)),
        ("run=", Err(LinesError::BadQuery("run must be the run of a server"))),
        ("run=a_b", Err(LinesError::BadQuery("run must be the run of a server"))),
        ("follow=yes", Err(LinesError::BadQuery("follow has no value, or is 1 or 0"))),
        ("After=1", Err(LinesError::BadQuery("The parameters are after, run, limit and follow"))),
        ("after=1&after=1", Err(LinesError::BadQuery("A parameter comes twice"))),
    ];
    for (query, expected) in rows {
        assert_eq!(Wanted::parse(query), expected, "{query}");
    }
}

#[test]
fn a_token_in_a_query_is_seen() {
    for query in [
        "token=x",
        "after=1&access_token=x",
        "TOKEN",
        "x=plume_A",
        "plume_A",
        "run=PLUME_a",
        "a=plume%5fA",
        "a=plume%5FA",
    ] {
        assert!(has_token(query), "{query}");
    }
    for query in ["", "after=1&run=00ff&limit=2&follow", "tokens=1"] {
        assert!(!has_token(query), "{query}");
    }
}

#[test]
fn a_token_is_the_bearers_or_the_password() {
    let rows = [
        ("Bearer plume_A", Some("plume_A")),
        ("bEARER   plume_A ", Some("plume_A")),
        ("Basic Ym90OnBsdW1lX0E=", Some("plume_A")),
        ("basic OnBsdW1lX0E=", Some("plume_A")),
        ("Basic Ym90OmE6Yg==", Some("a:b")),
        ("Basic Ym90", None),
        ("Basic !", None),
        ("Basic /zo=", None),
        ("Digest plume_A", None),
        ("plume_A", None),
        ("Bearer", None),
        ("", None),
    ];
    for (field, expected) in rows {
        assert_eq!(token(field).as_deref(), expected, "{field}");
    }
}

#[test]
fn text_is_for_those_who_ask_for_it() {
    let rows = [
        (None, Form::Json),
        (Some("*/*"), Form::Json),
        (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Form::Json),
        (Some("text/plain"), Form::Plain),
        (Some("Text/Plain; charset=utf-8"), Form::Plain),
        (Some("text/*"), Form::Plain),
        (Some("application/json, text/plain"), Form::Plain),
        (Some("application/json, text/plain;q=0.9"), Form::Json),
        (Some("text/plain;q=0"), Form::Json),
        (Some("text/plain;q=x"), Form::Json),
    ];
    for (accept, form) in rows {
        assert_eq!(Form::of(accept), form, "{accept:?}");
    }
}

#[test]
fn nothing_in_a_text_controls_a_terminal_or_looks_like_another_line() {
    let plain = |text: &str, is_event| plain_line(1_795_725_663_999, "ada", text, is_event);
    assert_eq!(
        plain("hello \u{1f44b}\u{200d}", false),
        "2026-11-26T20:41:03Z ada: hello \u{1f44b}\u{200d}\n"
    );
    assert_eq!(plain("entered chat", true), "2026-11-26T20:41:03Z ada entered chat\n");
    assert_eq!(plain("a\nb\n", false), "2026-11-26T20:41:03Z ada: a\n    b\n    \n");
    let controls = (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|char| {
        char.is_control()
            || "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\
            \u{2066}\u{2067}\u{2068}\u{2069}"
                .contains(*char)
    });
    let controls: Vec<char> = controls.filter(|&char| char != '\n').collect();
    assert_eq!(controls.len(), 64 + 14);
    for control in controls {
        let text = format!("a{control}b");
        let shown = plain(&text, false);
        assert!(!shown.trim_end().contains(control), "{control:?}");
        assert!(shown.contains(&format!("a{}b", control.escape_default())), "{shown:?}");
    }
}

#[test]
fn chunks_are_whole_and_an_empty_one_is_the_last() {
    let mut out = Vec::new();
    for content in [&b"hello, world! 17\n"[..], b"", b"\n"] {
        Framing::Chunked.write(content, &mut out);
    }
    Framing::Chunked.write_end(&mut out);
    assert_eq!(out, b"11\r\nhello, world! 17\n\r\n1\r\n\n\r\n0\r\n\r\n");
    out.clear();
    Framing::UntilClose.write(b"hello\n", &mut out);
    Framing::UntilClose.write_end(&mut out);
    assert_eq!(out, b"hello\n");
}

#[test]
fn a_body_is_json_a_form_or_the_text_itself() {
    let json = |text: &str| Ok(Body::Json(Cow::Owned(text.as_bytes().to_vec())));
    let text = |text: &'static str| Ok(Body::Text(text.as_bytes()));
    let form = Some("application/x-www-form-urlencoded");
    let rows = [
        (None, "hi", text("hi")),
        (Some("text/plain"), "payload={}", text("payload={}")),
        (Some("Application/JSON ; charset=utf-8"), "{}", json("{}")),
        (form, "hi & all", text("hi & all")),
        (form, "payload=%7B%22text%22%3a+%22%2B%22}", json(r#"{"text": "+"}"#)),
        (form, "a=b&payload={}&c", json("{}")),
        (form, "payload=%7", Err(LinesError::NotJson)),
        (form, "payload=%g0", Err(LinesError::NotJson)),
        (Some("multipart/form-data; boundary=x"), "--x", Err(LinesError::Multipart)),
    ];
    for (content_type, bytes, expected) in rows {
        assert_eq!(Body::read(content_type, bytes.as_bytes()), expected, "{content_type:?} {bytes}");
    }
    for (typed, text) in
        [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("\n", ""), ("a\r", "a")]
    {
        assert_eq!(without_line_end(typed), text);
    }
}
