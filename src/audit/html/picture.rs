//! The picture of a jail: the lanes through its wall, and the tree of what it sees.
#![forbid(unsafe_code)]

use super::super::Report;
use super::super::sight::{Access, Node};
use super::super::walls::{Crossing, Lane};
use super::escape;
use std::collections::BTreeSet;

/// The wall with one lane for each way through it.
pub fn wall(report: &Report) -> String {
    let lanes: String = report.crossings.iter().map(lane).collect();
    format!(
        "<section>\n<h3>What crosses the wall</h3>\n<div class=\"lanes\">\n\
         <div class=\"lane ends\"><span>the host</span><i></i><span>inside</span></div>\n{lanes}</div>\n</section>\n"
    )
}

fn lane(crossing: &Crossing) -> String {
    let (class, word) = match crossing.lane {
        Lane::Closed => ("closed", "closed"),
        Lane::Narrow => ("narrow", "in part"),
        Lane::Open => ("open", "open"),
    };
    format!(
        "<div class=\"lane {class}\"><span>{}</span><i></i><span><em>{word}</em> {}</span></div>\n",
        escape(crossing.host),
        escape(&crossing.inside)
    )
}

/// The tree, with a legend of the colours that occur in it.
pub fn tree(report: &Report) -> String {
    let mut used = BTreeSet::new();
    collect(&report.sight, &mut used);
    let legend = Access::ALL.iter().filter(|access| used.contains(access));
    let legend: String =
        legend.map(|access| format!("<li class=\"{}\">{}</li>\n", class(*access), access.name())).collect();
    format!(
        "<section>\n<h3>What it sees</h3>\n<ul class=\"legend\">\n{legend}</ul>\n<ul class=\"tree\">\n{}</ul>\n\
         <p class=\"remark\">{}</p>\n</section>\n",
        node(&report.sight),
        if report.sight.access == Access::Skeleton { SKELETON } else { FOREIGN }
    )
}

const SKELETON: &str = "All else of the host is not there. In what is the host's, file modes count besides.";
const FOREIGN: &str =
    "Between these, all that the root directory holds. In what is the host's, file modes count besides.";

fn collect(node: &Node, used: &mut BTreeSet<Access>) {
    used.insert(node.access);
    for below in node.below.values() {
        collect(below, used);
    }
}

fn class(access: Access) -> &'static str {
    match access {
        Access::Skeleton => "skeleton",
        Access::Device => "device",
        Access::Read => "read",
        Access::Execute => "execute",
        Access::Memory => "memory",
        Access::MemoryExecute => "memory-execute",
        Access::Write => "write",
        Access::WriteExecute => "write-execute",
    }
}

/// A place that is listed in one line with its neighbours: a link, a device, a file.
fn is_small(node: &Node) -> bool {
    let small = matches!(node.access, Access::Skeleton | Access::Device) || node.note.starts_with("copy");
    small && node.below.is_empty()
}

fn node(node: &Node) -> String {
    let mut out = format!("<li><div>{}", label(node));
    let detail = match (node.access, node.note.as_str()) {
        (Access::Skeleton, note) => note.to_owned(),
        (access, "") => access.name().to_owned(),
        (access, note) => format!("{}; {note}", access.name()),
    };
    if !detail.is_empty() {
        out += &format!(" <small>{}</small>", escape(&detail));
    }
    out += "</div>";
    if !node.below.is_empty() {
        out += "\n<ul>\n";
        out.extend(node.below.values().filter(|below| !is_small(below)).map(self::node));
        let small: Vec<&Node> = node.below.values().filter(|below| is_small(below)).collect();
        if !small.is_empty() {
            let chips: Vec<String> = small.into_iter().map(chip).collect();
            out += &format!("<li><div class=\"chips\">{}</div></li>\n", chips.join(" "));
        }
        out += "</ul>\n";
    }
    out + "</li>\n"
}

fn label(node: &Node) -> String {
    format!("<code class=\"{}\">{}</code>", class(node.access), escape(&node.name))
}

/// A small place: its name, and where a link leads or a copy comes from if that is news.
fn chip(node: &Node) -> String {
    let news = node.note.starts_with('→') || node.note.contains("host");
    let note = if news { format!(" <small>{}</small>", escape(&node.note)) } else { String::new() };
    format!("<span>{}{note}</span>", label(node))
}
