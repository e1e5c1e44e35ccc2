//! The page, and everything that it loads from its own site.

use super::connection::Connector;
use super::http::{self, Answer};
use super::report::Report;
use crate::base::sorted::set_of;
use crate::config::Url;
use std::collections::BTreeSet;

/// Checks the health probe, the page, and what that loads. Gives whether Plume answers there.
pub(super) fn check(connector: &Connector, url: &Url, report: &mut Report<'_>) -> bool {
    match http::get(connector, url, &format!("{}healthz", url.path)) {
        Ok(answer) if answer.status == 200 && answer.body == b"ok" => report.ok("healthz", "Plume answers"),
        Ok(answer) => {
            report.fail("healthz", &not_plume(&answer, url));
            return false;
        }
        Err(error) => {
            report.fail("healthz", &error.to_string());
            return false;
        }
    }
    match http::get(connector, url, &url.path) {
        Ok(answer) if answer.status == 200 && answer.header("content-type").starts_with("text/html") => {
            check_loaded(connector, url, &answer, report);
        }
        Ok(answer) => report.fail("page", &not_plume(&answer, url)),
        Err(error) => report.fail("page", &error.to_string()),
    }
    true
}

/// What an answer that is not Plume's says about the proxy.
pub(super) fn not_plume(answer: &Answer, url: &Url) -> String {
    let status = answer.status;
    match status {
        301 | 302 | 303 | 307 | 308 => match answer.header("location") {
            "" => format!("{status} is a redirect that does not say where to: correct it in the proxy"),
            location => {
                format!("{status} leads to {location}: give the doctor the address that people end up at")
            }
        },
        401 => "401: the proxy asks for a password, which the chat's own connection cannot give".to_owned(),
        403 => "403: the proxy allows nobody in".to_owned(),
        404 => format!("404: the proxy passes nothing below {} on to Plume", url.path),
        500 | 502 | 504 => {
            format!(
                "{status}: the proxy does not reach Plume: is it running, and does the proxy name PLUME_LISTEN?"
            )
        }
        503 => "503: Plume or the proxy is full, or Plume is not running".to_owned(),
        200 => "200, but it is not Plume's answer: the proxy serves something else there".to_owned(),
        status => format!("{status}: look into the proxy's log"),
    }
}

fn check_loaded(connector: &Connector, url: &Url, page: &Answer, report: &mut Report<'_>) {
    let html = String::from_utf8_lossy(&page.body).into_owned();
    let mut waiting = links(&html, &url.path);
    let mut seen = set_of(waiting.iter().cloned());
    let (mut loaded, mut bytes, mut faults) = (0, page.body.len(), 0);
    while let Some(path) = waiting.pop() {
        if loaded + faults == FILES_MAX {
            return report
                .warn("page", &format!("it loads more than {FILES_MAX} files; the rest was not checked"));
        }
        let fault = match http::get(connector, url, &path) {
            Err(error) => Some(error.to_string()),
            Ok(answer) if answer.status != 200 => Some(not_plume(&answer, url)),
            Ok(answer) => {
                loaded += 1;
                bytes += answer.body.len();
                let kind = answer.header("content-type");
                if path.ends_with("js") {
                    let script = String::from_utf8_lossy(&answer.body);
                    let new = imports(&script, &path).into_iter().filter(|path| seen.insert(path.clone()));
                    waiting.extend(new);
                }
                wrong_kind(&path, kind)
            }
        };
        if let Some(fault) = fault {
            faults += 1;
            report.fail("page", &format!("{path}: {fault}"));
        }
    }
    if faults == 0 {
        report.ok("page", &format!("it and {loaded} files that it loads, {bytes} bytes"));
    }
}

/// Browsers run no script and use no style sheet of another type.
fn wrong_kind(path: &str, kind: &str) -> Option<String> {
    let wanted = match path.rsplit_once('.') {
        Some((_, "js" | "mjs")) => "text/javascript",
        Some((_, "css")) => "text/css",
        Some(_) | None => return None,
    };
    (!kind.starts_with(wanted))
        .then(|| format!("its type is {kind:?} and not {wanted}: the proxy changes it"))
}

/// Paths of what a page loads from its own site, by the `src` and `href` of its elements.
fn links(html: &str, base: &str) -> Vec<String> {
    let mut paths = BTreeSet::new();
    for element in html.split('<').skip(1) {
        let element = element.split('>').next().unwrap_or_default();
        let is_link = element.starts_with("link ");
        if is_link || element.starts_with("script ") || element.starts_with("img ") {
            let attribute = if is_link { " href=\"" } else { " src=\"" };
            let target = element.split_once(attribute).and_then(|(_, rest)| rest.split('"').next());
            paths.extend(target.and_then(|target| resolved(target, base)));
        }
    }
    paths.into_iter().collect()
}

/// Paths of the modules that a script imports.
fn imports(script: &str, base: &str) -> Vec<String> {
    let lines = script.lines().filter(|line| line.starts_with("import ") || line.starts_with("export "));
    let sources = lines.filter_map(|line| {
        let (_, source) = line.rsplit_once(" from ").or_else(|| line.split_once("import "))?;
        source.trim().trim_end_matches(';').strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])
    });
    sources.filter_map(|source| resolved(source, base)).collect()
}

/// A reference to the same site as an absolute path; `None` where it leads elsewhere.
fn resolved(target: &str, base: &str) -> Option<String> {
    let target = target.split(['#', '?']).next().unwrap_or_default();
    if target.is_empty() || target.starts_with("//") || target.contains(':') {
        return None;
    }
    let path = if target.starts_with('/') {
        target.to_owned()
    } else {
        let (folder, _) = base.rsplit_once('/')?;
        format!("{folder}/{target}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// Files of a page that are checked: many more than Plume's has.
const FILES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_loads_from_its_own_site() {
        let html = r#"<link rel="icon" href="static/a.svg"><link href="/b.css" rel="stylesheet"><a href="c">
            <script type="module" src="./static/main.js?x"></script><img alt="" src="../d.png">
            <link rel="x" href="https://other.example/e.css"><script>let src="f.js"</script>"#;
        let expected = ["/b.css", "/chat/static/a.svg", "/chat/static/main.js", "/d.png"];
        assert_eq!(links(html, "/chat/"), expected);
    }

    #[test]
    fn what_a_script_imports() {
        let script = "import { a } from './a.js';\nimport './b.js';\nexport { c } from \"../c.js\"\nlet d = 'import x';\n\
            export const e = 1;\nimport f from 'https://other.example/f.js';";
        assert_eq!(
            imports(script, "/static/js/main.js"),
            ["/static/js/a.js", "/static/js/b.js", "/static/c.js"]
        );
    }

    #[test]
    fn references_keep_to_the_site() {
        for (target, path) in [
            ("a", Some("/x/a")),
            ("./a/../b", Some("/x/b")),
            ("../../../a", Some("/a")),
            ("/a#b", Some("/a")),
            ("#a", None),
            ("//other.example/a", None),
            ("data:,", None),
            ("", None),
        ] {
            assert_eq!(resolved(target, "/x/y").as_deref(), path, "{target}");
        }
    }
}
