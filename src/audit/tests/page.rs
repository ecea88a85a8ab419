//! The page: self-contained, well-formed, and harmless whatever a spec holds.
#![forbid(unsafe_code)]

use super::super::html::escape;
use super::super::page;
use super::judged;
use crate::jail::resolve::Feature;

/// Tags that have no end.
const VOID: &[&str] = &["meta"];

/// Panics unless every tag is closed in its order, and returns all of them as written.
#[track_caller]
fn tags(page: &str) -> Vec<&str> {
    let (mut open, mut all, mut rest) = (Vec::new(), Vec::new(), page);
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        all.push(tag);
        let name = tag.split_whitespace().next().unwrap_or_default();
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "before {}", &rest[..rest.len().min(80)]);
        } else if !VOID.contains(&name) && !name.starts_with('!') {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    all
}

const HOSTILE: &str = r#"
description = "</title></style><script>alert(1)</script>\u202E<b"
process.user = "x<img src=//evil.example/a onerror=alert(1)>"
process.keep-env = ["A"]
process.command = ["/usr/bin/x", "<script>"]
files.read = ["/usr", "/home/<svg onload=alert(2)>", "/home/a\" onmouseover=\"alert(3)", "/home/'x'&amp;"]
files.write = [{ path = "/srv/\u001b[31m<iframe>", at = "/data/</code></div></ul>" }]
files.link = [{ path = "/<a href=javascript:alert(4)>", to = "https://evil.example/<style>" }]
"#;

#[test]
fn hostile_names_are_text() {
    let (report, sources) = judged(HOSTILE, &[]);
    let page = page(std::slice::from_ref(&report), &sources);
    let known = [
        "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "main", "article", "header", "section",
        "div", "p", "h1", "h2", "h3", "h4", "h5", "ul", "li", "dl", "dt", "dd", "code", "span", "small",
        "strong", "b", "i", "em", "footer",
    ];
    for tag in tags(&page) {
        let (name, attributes) =
            tag.trim_start_matches('/').split_once(' ').unwrap_or((tag.trim_start_matches('/'), ""));
        assert!(known.contains(&name), "<{tag}>");
        for attribute in attributes.split("\" ").filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute.split_once("=\"").unwrap_or((attribute, ""));
            let harmless =
                ["lang", "charset", "name", "content", "http-equiv", "class", "id", "href", "style", "html"];
            assert!(
                harmless.contains(&name) && !value.contains(':') || value.starts_with("left: "),
                "<{tag}>"
            );
        }
    }
    for wrong in ["<script", "<img", "<svg", "<iframe", "</title></style>", "\u{202e}", "\u{1b}"] {
        assert!(!page.contains(wrong), "{wrong:?}");
    }
    for right in [
        "&lt;script&gt;alert(1)",
        "&lt;svg onload=alert(2)&gt;",
        "&quot; onmouseover=&quot;",
        "&#39;x&#39;&amp;amp;",
    ] {
        assert!(page.contains(right), "{right}");
    }
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let reports =
        [judged("files.read = [\"/usr\"]", &[]).0, judged("process.user = \"root\"", &[Feature::Seccomp]).0];
    let page = page(&reports, &crate::problem::Sources::default());
    tags(&page);
    for word in ["http:", "https:", "src=", "url(", "@import", "<link", "<script", "javascript:", "data:"] {
        assert!(!page.contains(word), "{word}");
    }
    let targets = page.match_indices("href=\"").map(|(at, start)| &page[at + start.len()..]);
    let targets: Vec<&str> = targets.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(targets, ["#jail-0", "#jail-1"]);
    assert!(targets.iter().all(|target| page.contains(&format!("id=\"{}\"", &target[1..]))));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_picture_has_every_place_and_every_lane() {
    let text = "files.read = [\"/usr\"]\nfiles.write = [\"/var/log/web\"]\nfiles.tmpfs = [\"/run\"]\nnetwork.mode = \"none\"";
    let (report, sources) = judged(text, &[]);
    let made = page(std::slice::from_ref(&report), &sources);
    for part in [
        "<code class=\"execute\">usr</code>",
        "<code class=\"write\">web</code> <small>host, write</small>",
        "<code class=\"memory\">run</code> <small>memory, write; 16 MiB, gone at the end</small>",
        "<code class=\"device\">null</code>",
        "<div class=\"lane closed\"><span>network</span>",
        "<div class=\"lane narrow\"><span>files</span><i></i><span><em>in part</em> 1 read-only, 1 writable, 0 copied</span>",
        "<div class=\"lane closed\"><span>capabilities</span>",
        "All else of the host is not there.",
    ] {
        assert!(made.contains(part), "{part}");
    }
    let (foreign, sources) = judged("files.root = \"/srv/image\"\nfiles.read = [\"/srv/data\"]", &[]);
    let made = page(std::slice::from_ref(&foreign), &sources);
    assert!(made.contains("<div class=\"lane open\"><span>files</span>") && !made.contains("is not there"));
    assert!(made.contains("<code class=\"execute\">srv</code>"), "on the way: the image's own");
}

#[test]
fn what_hides_or_reorders_text_is_shown_by_number() {
    assert_eq!(escape("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
    assert_eq!(escape("\u{202e}\u{200b}\u{7f}\n"), "\\u{202e}\\u{200b}\\u{7f} ");
    assert_eq!(escape("größe ✓"), "größe ✓");
}
