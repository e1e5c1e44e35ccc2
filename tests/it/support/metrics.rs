//! The metrics of a running server, read strictly: what a parser of the text format might forgive is an error
//! here.

use super::{Answer, Http, Plume, connect_to_metrics};
use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) text: String,
    /// Each family with its type.
    pub(crate) families: BTreeMap<String, String>,
    /// Each sample as it is written: name and label, and value.
    samples: BTreeMap<String, String>,
}

impl Metrics {
    /// Asks a server for its metrics.
    pub(crate) fn of(server: &Plume) -> Self {
        let answer = Self::ask(server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.must("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        Self::parse(answer.text())
    }

    /// One request to the listener of the metrics, and the end of its connection.
    pub(crate) fn ask(server: &Plume, request: &str) -> Answer {
        let mut http = Http::over(connect_to_metrics(server));
        http.send(request);
        let is_head = request.starts_with("HEAD ");
        let answer = if is_head { http.answer_to_head() } else { http.answer() };
        assert_eq!(answer.must("connection"), "close", "{request}");
        http.expect_end();
        answer
    }

    /// The value of a sample, such as `plume_users` or `plume_closed_total{reason="left"}`, as it is written.
    pub(crate) fn text_of(&self, sample: &str) -> &str {
        self.samples.get(sample).unwrap_or_else(|| panic!("no {sample} in\n{}", self.text))
    }

    /// The value of a sample that counts.
    pub(crate) fn count(&self, sample: &str) -> u64 {
        self.text_of(sample).parse().unwrap_or_else(|error| panic!("{sample}: {error}"))
    }

    /// The value of any sample.
    pub(crate) fn number(&self, sample: &str) -> f64 {
        number(self.text_of(sample))
    }

    /// All samples of a family, each with its value as it is written.
    pub(crate) fn of_family(&self, family: &str) -> Vec<(&str, &str)> {
        let is_own = |sample: &str| family_of(&self.families, sample) == Some(family);
        let own = self.samples.iter().filter(|(sample, _)| is_own(sample));
        own.map(|(sample, value)| (sample.as_str(), value.as_str())).collect()
    }

    /// The label names of a family, without `le`.
    pub(crate) fn labels(&self, family: &str) -> BTreeSet<String> {
        let samples = self.of_family(family);
        let labels = samples.iter().filter_map(|(sample, _)| sample.split_once('{'));
        let names = labels.filter_map(|(_, label)| label.split_once('='));
        names.map(|(name, _)| name.to_owned()).filter(|name| name != "le").collect()
    }

    fn parse(text: String) -> Self {
        let (mut families, mut samples) = (BTreeMap::new(), BTreeMap::new());
        assert!(text.ends_with('\n') && !text.contains('\r') && text.is_ascii(), "{text}");
        let mut lines = text.lines().peekable();
        while let Some(help) = lines.next() {
            let help = help.strip_prefix("# HELP ").unwrap_or_else(|| panic!("no HELP: {help}"));
            let (family, words) = help.split_once(' ').expect("HELP has words");
            assert!(is_name(family) && !words.trim().is_empty() && !words.contains('\\'), "{help}");
            let kind = lines.next().and_then(|it| it.strip_prefix(&format!("# TYPE {family} ")));
            let kind = kind.unwrap_or_else(|| panic!("no TYPE after the HELP of {family}"));
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{family}: {kind}");
            assert_eq!(family.ends_with("_total"), kind == "counter", "{family} is a {kind}");
            assert_eq!(families.insert(family.to_owned(), kind.to_owned()), None, "{family} twice");
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
                assert_eq!(family_of(&families, sample), Some(family), "{line} stands under {family}");
                check_labels(sample);
                assert!(number(value) >= 0.0, "{line}");
                assert_eq!(samples.insert(sample.to_owned(), value.to_owned()), None, "{sample} twice");
            }
        }
        let metrics = Self { text, families, samples };
        for (family, kind) in &metrics.families {
            assert!(!metrics.of_family(family).is_empty(), "{family} has no sample");
            if kind == "histogram" {
                metrics.check_histogram(family);
            }
        }
        metrics
    }

    /// Buckets rise with their bounds, and the last one holds all.
    fn check_histogram(&self, family: &str) {
        let prefix = format!("{family}_bucket{{le=\"");
        // In the order of the text.
        let lines = self.text.lines().filter_map(|line| line.strip_prefix(&prefix));
        let buckets: Vec<(f64, u64)> = lines
            .map(|line| {
                let (bound, count) = line.split_once("\"} ").expect("a bound and a count");
                (number(bound), count.parse().expect("a count"))
            })
            .collect();
        assert!(buckets.len() > 3, "{buckets:?}");
        assert!(buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1), "{buckets:?}");
        let (bound, count) = *buckets.last().expect("there are buckets");
        assert!(bound.is_infinite() && count == self.count(&format!("{family}_count")), "{buckets:?}");
        self.number(&format!("{family}_sum"));
    }
}

fn number(value: &str) -> f64 {
    let is_plain = value == "+Inf" || value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    value.parse().ok().filter(|_| is_plain).unwrap_or_else(|| panic!("no number: {value}"))
}

/// The family that a sample belongs to.
fn family_of<'f>(families: &'f BTreeMap<String, String>, sample: &str) -> Option<&'f str> {
    let name = sample.split('{').next()?;
    let (family, kind) = families.get_key_value(name).or_else(|| {
        let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end))?;
        families.get_key_value(base)
    })?;
    (kind == "histogram" || family == name).then_some(family)
}

/// At most one label, of plain words.
fn check_labels(sample: &str) {
    let Some((_, labels)) = sample.split_once('{') else { return };
    let label = labels.strip_suffix("\"}").and_then(|it| it.split_once("=\""));
    let (name, word) = label.unwrap_or_else(|| panic!("no label: {sample}"));
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-.+".contains(char);
    assert!(is_name(name) && !word.is_empty() && word.chars().all(is_plain), "{sample}");
}

fn is_name(name: &str) -> bool {
    let is_letter = |char: char| char.is_ascii_lowercase() || char == '_';
    name.starts_with(is_letter) && name.chars().all(|char| is_letter(char) || char.is_ascii_digit())
}
