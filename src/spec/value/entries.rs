//! Values that are more than a scalar: the command, path entries, environment, resource limits.
#![forbid(unsafe_code)]

use super::{Item, Reader, type_name};
use crate::problem::{At, Problem, did_you_mean};
use crate::spec::keys::{self, Key};
use crate::spec::parse::walk;
use crate::spec::{LinkEntry, PathEntry, Rlimit, Root, TextEntry, TmpfsEntry};
use toml::de::DeValue;

impl Reader<'_> {
    /// Program and arguments: at least one string; arguments, but not the program, may be empty.
    pub fn command(&mut self, item: &Item<'_>) -> Option<At<Vec<String>>> {
        if item.value.is_str() {
            let what = format!("{} must be a list of strings, not a string", item.name());
            let help = "write it as a list, one string for each argument; no shell is involved";
            let example = r#"for example: command = ["/usr/bin/x", "-a"]"#;
            self.note(Problem::usage(what).at(item.at).help(help).help(example));
            return None;
        }
        let known = item.value.is_array();
        let elements = self.elements(item);
        let read: Vec<Option<At<String>>> = elements
            .iter()
            .enumerate()
            .map(|(i, element)| if i == 0 { self.string(element) } else { self.text(element) })
            .collect();
        if known && read.is_empty() {
            self.unfit(item, "is empty: it must name at least the program");
            return None;
        }
        // All or nothing: a command that lost an argument is another command.
        let command: Option<Vec<String>> = read.into_iter().map(|s| s.map(|s| s.value)).collect();
        command.filter(|command| !command.is_empty()).map(|command| At::new(command, item.at))
    }

    /// Environment: names to strings.
    pub fn environment(&mut self, item: &Item<'_>, target: &mut Vec<(At<String>, At<String>)>) {
        for (name, member) in self.members(item) {
            if !is_variable(name.value) {
                self.bad_variable(&At::new(name.value.to_owned(), name.at), item);
            } else if let DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) = member.value {
                let what = format!("{} must be a string, not {}", member.name(), type_name(member.value));
                let help = format!("write {} = \"{}\"", name.value, plain(member.value));
                self.note(Problem::usage(what).at(member.at).help(help));
            } else if let Some(value) = self.text(&member) {
                target.push((At::new(name.value.to_owned(), name.at), value));
            }
        }
    }

    /// Names of environment variables.
    pub fn variables(&mut self, item: &Item<'_>) -> Vec<At<String>> {
        let (good, bad): (Vec<_>, Vec<_>) =
            self.strings(item).into_iter().partition(|name| is_variable(&name.value));
        bad.iter().for_each(|name| self.bad_variable(name, item));
        good
    }

    fn bad_variable(&mut self, name: &At<String>, item: &Item<'_>) {
        let what = format!("`{}` cannot be the name of an environment variable", name.value);
        let help = format!("a name is not empty and holds no `=` or NUL; {}", item.example());
        self.note(Problem::usage(what).at(name.at).help(help));
    }

    /// Names of directories directly below the one at hand.
    pub fn plain_names(&mut self, item: &Item<'_>) -> Vec<String> {
        let mut names = Vec::new();
        for element in self.elements(item) {
            let Some(name) = self.string(&element) else {
                continue;
            };
            if name.value.contains('/') || matches!(name.value.as_str(), "." | "..") {
                self.unfit(&element, "must be a plain name, without `/`");
            } else {
                names.push(name.value);
            }
        }
        names
    }

    /// `read` (`write` is false) or `write`: strings, or tables.
    pub fn path_entries(&mut self, item: &Item<'_>, write: bool, target: &mut Vec<At<PathEntry>>) {
        let from_path = |path| PathEntry { path, ..PathEntry::default() };
        for entry in self.entries(item, keys::PATH_ENTRY, &["path"], Some(from_path)) {
            if entry.value.create.is_some() && !write {
                let what = format!("`create` cannot be used in {}", item.name());
                let help = "move the entry to `write`, or make the directory on the host";
                self.note(Problem::usage(what).at(entry.at).help(help));
            }
            target.push(entry);
        }
    }

    /// `tmpfs`: strings, or tables.
    pub fn tmpfs_entries(&mut self, item: &Item<'_>, target: &mut Vec<At<TmpfsEntry>>) {
        let from_path = |path| TmpfsEntry { path, ..TmpfsEntry::default() };
        target.extend(self.entries(item, keys::TMPFS_ENTRY, &["path"], Some(from_path)));
    }

    /// `text`: tables.
    pub fn text_entries(&mut self, item: &Item<'_>, target: &mut Vec<At<TextEntry>>) {
        target.extend(self.entries(item, keys::TEXT_ENTRY, &["path", "content"], None));
    }

    /// `link`: tables.
    pub fn link_entries(&mut self, item: &Item<'_>, target: &mut Vec<At<LinkEntry>>) {
        target.extend(self.entries(item, keys::LINK_ENTRY, &["path", "to"], None));
    }

    /// `root`: `skeleton`, an absolute directory, or a table.
    pub fn root(&mut self, item: &Item<'_>) -> Option<At<Root>> {
        let root = match item.value {
            DeValue::Table(_) => {
                let (path, write) = self.entry(item, keys::ROOT, &["path"])?;
                Root::Directory { path, write }
            }
            DeValue::String(_) => match self.string(item)?.value {
                word if word == "skeleton" => Root::Skeleton,
                path => Root::Directory { path, write: false },
            },
            _ => {
                self.wrong_type(item, item.about.kind.with_article());
                return None;
            }
        };
        if let Root::Directory { path, .. } = &root
            && !path.starts_with('/')
        {
            self.unfit(item, format_args!("must be \"skeleton\" or an absolute directory, not `{path}`"));
            return None;
        }
        Some(At::new(root, item.at))
    }

    /// `rlimits`: names to limits.
    pub fn rlimits(&mut self, item: &Item<'_>, target: &mut Vec<(At<String>, At<Rlimit>)>) {
        for (name, member) in self.members(item) {
            if !keys::RLIMITS.contains(&name.value) {
                let what = format!("unknown resource limit `{}`", name.value);
                let meant = did_you_mean(name.value, keys::RLIMITS.iter().copied());
                let help = meant.map_or_else(
                    || format!("known are: {}", keys::RLIMITS.join(" ")),
                    |meant| format!("did you mean `{meant}`?"),
                );
                self.note(Problem::usage(what).at(name.at).help(help));
            } else if let Some(limit) = self.rlimit(&member) {
                target.push((At::new(name.value.to_owned(), name.at), At::new(limit, member.at)));
            }
        }
    }

    fn rlimit(&mut self, item: &Item<'_>) -> Option<Rlimit> {
        if !item.value.is_table() {
            let amount = self.amount(item)?;
            return Some(Rlimit { soft: amount, hard: amount });
        }
        let (soft, hard) = self.entry(item, keys::RLIMIT, &["soft", "hard"])?;
        let limit = Rlimit { soft, hard };
        let most = |amount: Option<u64>| amount.unwrap_or(u64::MAX);
        if most(limit.soft) > most(limit.hard) {
            self.unfit(item, "has a soft limit above its hard limit");
            return None;
        }
        Some(limit)
    }

    /// One side of a limit into a field; left alone on a mistake.
    pub fn amount_into(&mut self, item: &Item<'_>, target: &mut Option<u64>) {
        if let Some(amount) = self.amount(item) {
            *target = amount;
        }
    }

    /// `unlimited` is the inner `None`.
    #[allow(clippy::option_option)]
    fn amount(&mut self, item: &Item<'_>) -> Option<Option<u64>> {
        if item.value.as_str() == Some("unlimited") {
            return Some(None);
        }
        Some(Some(self.bytes(item, "an integer, a size or \"unlimited\"")?.value))
    }

    /// The entries of a list. A string is turned into an entry by `from_path`, if there is one.
    fn entries<T: Default>(
        &mut self,
        item: &Item<'_>,
        keys: &'static [Key<T>],
        required: &[&str],
        from_path: Option<fn(String) -> T>,
    ) -> Vec<At<T>> {
        let mut entries = Vec::new();
        for element in self.elements(item) {
            let entry = match (element.value, from_path) {
                (DeValue::String(_), Some(from_path)) => self.string(&element).map(|s| from_path(s.value)),
                (DeValue::Table(_), _) => self.entry(&element, keys, required),
                (_, from_path) => {
                    let or_string = if from_path.is_some() { "a string or a table" } else { "a table" };
                    self.wrong_type(&element, or_string);
                    None
                }
            };
            entries.extend(entry.map(|entry| At::new(entry, element.at)));
        }
        entries
    }

    /// One entry written as a table; `None` if it has any mistake, so that half an entry is never used.
    pub(super) fn entry<T: Default>(
        &mut self,
        item: &Item<'_>,
        keys: &'static [Key<T>],
        required: &[&str],
    ) -> Option<T> {
        let table = item.value.as_table()?;
        let before = self.problems.0.len();
        let mut entry = T::default();
        walk(&mut entry, keys, table, self);
        for name in required {
            if !table.keys().any(|key| key.get_ref() == name) {
                self.unfit(item, format_args!("lacks `{name}`"));
            }
        }
        (self.problems.0.len() == before).then_some(entry)
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

fn plain(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(n) => n.to_string(),
        DeValue::Float(n) => n.to_string(),
        DeValue::Boolean(b) => b.to_string(),
        _ => String::new(),
    }
}
