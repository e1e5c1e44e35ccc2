//! Heads of HTTP requests: any bytes, cut in any way, mean the same; each request gets one well-formed
//! answer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plume::http::assets::Assets;
use plume::http::request::HeadReader;
use plume::http::site::{Answer, Peer, Refusal, Site};
use plume_fuzz::check_response;
use plume_fuzz::limits::limited;
use plume_fuzz::pieces::read_in_all_ways;
use std::sync::LazyLock;

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let files = [("index.html", "<p>hello"), ("a.js", "foobar")];
    let files = files.map(|(path, content)| (path.to_owned(), content.into())).to_vec();
    Site::new(Assets::from_files("Plume", files).expect("there is an index"), Vec::new())
});

fuzz_target!(|input: &[u8]| limited(|| check(input)));

fn check(input: &[u8]) {
    let reader = || {
        let mut reader = HeadReader::default();
        move |bytes: &[u8]| {
            let (used, head) = reader.read(bytes);
            assert!(head.is_none() || !reader.has_begun(), "nothing is held between heads");
            (used, head)
        }
    };
    for (_, head) in read_in_all_ways(input, reader, Result::is_err) {
        let mut response = Vec::new();
        match head {
            Ok(request) => {
                if let Answer::Responded { body, .. } =
                    SITE.answer(&request, Peer::TrustedProxy, &mut response)
                {
                    response.extend_from_slice(&body);
                }
            }
            Err(fault) => Refusal::from(fault).write(&mut response),
        }
        check_response(&response);
    }
}
