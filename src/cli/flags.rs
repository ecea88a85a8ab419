//! Flags and the words after `--` become a [`Spec`], so that they mean what the keys of a spec mean.
//! Its places lie in a source named "command line".
//!
//! Must not know: what a value means (that is `jail::resolve`), or where the words come from.

use super::{Flags, Net};
use crate::problem::{At, Problem, Problems, Sources, Span};
use crate::spec::load::is_name;
use crate::spec::{Files, NetworkMode, PathEntry, Root, Spec, TmpfsEntry};

/// A spec made of `flags` and `command`, which were parsed from `words`. The words become a new
/// source. `--name`, `--without` and `--pid-file` are not part of a spec.
///
/// # Errors
/// All values that cannot be split.
pub fn spec(
    flags: &Flags,
    command: &[String],
    words: &[String],
    sources: &mut Sources,
) -> Result<Spec, Problems> {
    let mut line = Line::new(words, sources);
    let mut spec = Spec::default();
    if !command.is_empty() {
        spec.process.command = Some(At::new(command.to_vec(), line.command(command.len())));
    }
    spec.process.user = line.one(flags.user.as_ref(), "user");
    spec.process.group = line.one(flags.group.as_ref(), "group");
    spec.process.cwd = line.one(flags.cwd.as_ref(), "cwd");
    spec.process.terminal = flags.pty.then(|| At::new(true, line.at("pty")));
    for entry in line.all(&flags.env, "env") {
        variable(entry, &mut spec, &mut line.problems);
    }
    files(flags, &mut line, &mut spec.files);
    spec.network.mode = flags.net.map(|net| {
        let mode = match net {
            Net::Host => NetworkMode::Host,
            Net::None => NetworkMode::None,
        };
        At::new(mode, line.at("net"))
    });
    let shared: Vec<String> = flags.share.iter().map(|share| share.name().to_owned()).collect();
    spec.privileges.capabilities = line.all(&flags.cap, "cap");
    spec.privileges.system_calls = line.all(&flags.system_calls, "system-calls");
    spec.privileges.share_namespaces = line.all(&shared, "share");
    line.problems.none_or(spec)
}

/// Relative host paths are meant from the working directory, as everywhere in a shell. What is a path
/// inside (DST, a tmpfs, the program) is none of the host's.
pub fn from_directory(spec: &mut Spec, directory: &str) {
    let files = &mut spec.files;
    for entry in files.read.iter_mut().chain(&mut files.write) {
        entry.value.path = absolute(&entry.value.path, directory);
    }
    if let Some(At { value: Root::Directory { path, .. }, .. }) = &mut files.root {
        *path = absolute(path, directory);
    }
}

/// `..` at the beginning goes up from the directory, which has no link in it; behind a name it may mean
/// another directory than it seems, and stays.
fn absolute(path: &str, directory: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let (mut top, mut rest) = (directory.trim_end_matches('/'), path);
    loop {
        let (first, behind) = rest.split_once('/').unwrap_or((rest, ""));
        match first {
            ".." => top = top.rsplit_once('/').map_or("", |(above, _)| above),
            "." => {}
            "" if !rest.is_empty() => {}
            _ => return format!("{top}/{rest}"),
        }
        rest = behind;
    }
}

/// The flags of `[files]`.
fn files(flags: &Flags, line: &mut Line<'_>, files: &mut Files) {
    files.read = line.all(&flags.read, "read").into_iter().map(plain).collect();
    files.write = line.all(&flags.write, "write").into_iter().map(plain).collect();
    for flag in line.all(&flags.robind, "robind") {
        files.read.extend(bind(&flag, &mut line.problems));
    }
    for flag in line.all(&flags.bind, "bind") {
        files.write.extend(bind(&flag, &mut line.problems));
    }
    let tmpfs = |At { value, at }| At::new(TmpfsEntry { path: value, ..TmpfsEntry::default() }, at);
    files.tmpfs = line.all(&flags.tmpfs, "tmpfs").into_iter().map(tmpfs).collect();
    let root = |At { value, at }| At::new(Root::Directory { path: value, write: false }, at);
    files.root = line.one(flags.root.as_ref(), "root").map(root);
}

/// The jail's name: `--name`, else that of the spec, else that of the program.
///
/// # Errors
/// A `--name` that could not be a file's or a host's name.
pub fn name(flags: &Flags, spec: Option<&str>, command: &[String]) -> Result<String, Problems> {
    if let Some(name) = &flags.name {
        return if is_name(name) {
            Ok(name.clone())
        } else {
            Err(Problem::usage(format!("{name:?} cannot be the name of a jail"))
                .help("use up to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit")
                .into())
        };
    }
    let program = || command.first().and_then(|program| program.rsplit('/').next());
    let name = spec.or_else(program).filter(|name| spec.is_some() || is_name(name));
    Ok(name.unwrap_or("jail").to_owned())
}

fn plain(path: At<String>) -> At<PathEntry> {
    At::new(PathEntry { path: path.value, ..PathEntry::default() }, path.at)
}

/// `SRC` or `SRC:DST`.
fn bind(flag: &At<String>, problems: &mut Problems) -> Option<At<PathEntry>> {
    let parts: Vec<&str> = flag.value.split(':').collect();
    let (path, at) = match parts.as_slice() {
        [source] if !source.is_empty() => (*source, None),
        [source, target] if !source.is_empty() && !target.is_empty() => (*source, Some(*target)),
        _ => {
            let problem = Problem::usage(format!("{:?} is not SRC or SRC:DST", flag.value)).at(flag.at);
            problems.push(problem.help(
                "a path with `:` in it can only be written in a spec: { path = \"SRC\", at = \"DST\" }",
            ));
            return None;
        }
    };
    let entry = PathEntry { path: path.into(), at: at.map(str::to_owned), ..PathEntry::default() };
    Some(At::new(entry, flag.at))
}

/// `K=V` sets, `K` keeps the caller's.
fn variable(At { value, at }: At<String>, spec: &mut Spec, problems: &mut Problems) {
    let (name, text) = match value.split_once('=') {
        Some((name, text)) => (name.to_owned(), Some(text.to_owned())),
        None => (value, None),
    };
    if name.is_empty() {
        let problem = Problem::usage("a variable without a name").at(at);
        problems.push(problem.help("write --env NAME=VALUE, or --env NAME to keep the caller's"));
        return;
    }
    let name = At::new(name, at);
    match text {
        Some(text) => spec.process.env.push((name, At::new(text, at))),
        None => spec.process.keep_env.push(name),
    }
}

/// The command line as one text, and where in it everything is.
pub(super) struct Line<'a> {
    words: &'a [String],
    /// Each word as it stands in the text, quotes included.
    spans: Vec<Span>,
    whole: Span,
    pub(super) problems: Problems,
}

impl<'a> Line<'a> {
    pub(super) fn new(words: &'a [String], sources: &mut Sources) -> Self {
        let mut text = String::from("jail");
        let mut ends = Vec::with_capacity(words.len());
        for word in words {
            text.push(' ');
            let start = text.len();
            text.push_str(&quoted(word));
            ends.push((start, text.len()));
        }
        let end = offset(text.len());
        let source = sources.add("command line", text);
        let spans = ends
            .into_iter()
            .map(|(start, end)| Span { source, start: offset(start), end: offset(end) })
            .collect();
        Line { words, spans, whole: Span { source, start: 0, end }, problems: Problems::default() }
    }

    /// The value of a flag that may be given once.
    pub(super) fn one(&mut self, value: Option<&String>, flag: &str) -> Option<At<String>> {
        self.all(value.map(std::slice::from_ref).unwrap_or_default(), flag).pop()
    }

    /// All values of a flag that may be repeated; as in a spec, none may be empty.
    pub(super) fn all(&mut self, values: &[String], flag: &str) -> Vec<At<String>> {
        let places = if values.is_empty() { Vec::new() } else { self.places(flag) };
        let mut found = Vec::with_capacity(values.len());
        for (n, value) in values.iter().enumerate() {
            let at = places.get(n).copied().unwrap_or(self.whole);
            if value.is_empty() {
                let problem = Problem::usage(format!("the value of --{flag} is empty")).at(at);
                self.problems.push(problem.help("give it a value, or leave the flag out"));
            } else {
                found.push(At::new(value.clone(), at));
            }
        }
        found
    }

    /// Where the value of a flag stands.
    pub(super) fn at(&self, flag: &str) -> Span {
        self.places(flag).first().copied().unwrap_or(self.whole)
    }

    /// The last `count` words.
    fn command(&self, count: usize) -> Span {
        let first = self.spans.len().checked_sub(count).and_then(|n| self.spans.get(n));
        first.map_or(self.whole, |first| Span { start: first.start, ..self.whole })
    }

    /// Where the values of a flag stand, in order: `--flag V`, `--flag=V`, `-f V`, `-fV`, `-f=V`.
    /// clap has them parsed already but does not tell where they were.
    fn places(&self, flag: &str) -> Vec<Span> {
        let has_short = matches!(flag, "user" | "group" | "bind" | "root" | "env");
        let short = flag.get(..1).filter(|_| has_short);
        let mut places = Vec::new();
        let mut words = self.words.iter().zip(&self.spans);
        while let Some((word, span)) = words.next() {
            if word == "--" {
                break;
            }
            let Some(value) = value_in(word, flag, short) else {
                continue;
            };
            if !value.is_empty() || word.ends_with('=') {
                // In a quoted word offsets are not those of the word: point at all of it.
                let bare = span.end - span.start == offset(word.len());
                let start = if bare { span.end - offset(value.len()) } else { span.start };
                places.push(Span { start, ..*span });
            } else if let Some((_, next)) = words.next() {
                places.push(*next);
            }
        }
        places
    }
}

/// What stands of a flag's value in the flag's own word; `None` if it is another word.
fn value_in<'a>(word: &'a str, long: &str, short: Option<&str>) -> Option<&'a str> {
    if let Some(rest) = word.strip_prefix("--") {
        let rest = rest.strip_prefix(long)?;
        return if rest.is_empty() { Some(rest) } else { rest.strip_prefix('=') };
    }
    // `-v` takes no value: `-vr DIR` is `-v -r DIR`.
    let rest = word.strip_prefix('-')?.trim_start_matches('v').strip_prefix(short?)?;
    Some(rest.strip_prefix('=').unwrap_or(rest))
}

/// A word as a shell would need it.
fn quoted(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
