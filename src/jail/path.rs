//! Absolute, normalised paths: what a source or a place in the jail is named by.
//!
//! Must not know: whether anything exists.
#![forbid(unsafe_code)]

use std::borrow::Borrow;
use std::fmt;

/// An absolute path without `.`, `..`, empty components, NUL, or a trailing slash (but for `/`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AbsPath(String);

impl AbsPath {
    /// Takes a path as written, or says what is wrong with it.
    ///
    /// # Errors
    /// A clause that completes "the path ... ": `is not absolute`, and so on.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if text.contains('\0') {
            return Err("contains a NUL byte");
        }
        if !text.starts_with('/') {
            return Err("is not absolute");
        }
        let mut out = String::with_capacity(text.len());
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err("contains `..`"),
                // NAME_MAX of Linux; longer names would fail only in the middle of the set-up.
                _ if part.len() > 255 => return Err("has a component longer than 255 bytes"),
                _ => {
                    out.push('/');
                    out.push_str(part);
                }
            }
        }
        if out.len() >= 4096 {
            return Err("is longer than 4095 bytes");
        }
        if out.is_empty() {
            out.push('/');
        }
        Ok(AbsPath(out))
    }

    /// `/`.
    pub fn root() -> Self {
        AbsPath("/".into())
    }

    /// The text, starting with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the leading `/`: what the *at calls take beneath a root descriptor. Empty for `/`.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }

    /// The last component; empty for `/`.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// The directory it is in; `None` for `/`.
    pub fn parent(&self) -> Option<AbsPath> {
        let cut = self.0.rfind('/')?;
        match (cut, self.0.len()) {
            (_, 1) => None,
            (0, _) => Some(AbsPath::root()),
            _ => Some(AbsPath(self.0[..cut].to_owned())),
        }
    }

    /// The directories above it, from the nearest up to `/`; none for `/`. Texts, so that a look-up by
    /// each of them copies nothing.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let slashes = self.0.rmatch_indices('/').map(|(cut, _)| self.0.get(..cut.max(1)).unwrap_or("/"));
        slashes.skip(usize::from(self.0.len() == 1))
    }

    /// One component deeper. `name` must be a plain name.
    #[must_use]
    pub fn join(&self, name: &str) -> AbsPath {
        if self.0 == "/" { AbsPath(format!("/{name}")) } else { AbsPath(format!("{}/{name}", self.0)) }
    }

    /// Whether `self` is `top` or lies below it.
    pub fn is_within(&self, top: &AbsPath) -> bool {
        top.0 == "/"
            || self.0.strip_prefix(&top.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// `self` with the prefix `from` replaced by `to`, if it lies within `from`.
    pub fn rebase(&self, from: &AbsPath, to: &AbsPath) -> Option<AbsPath> {
        if !self.is_within(from) {
            return None;
        }
        let rest =
            if from.0 == "/" { self.relative() } else { self.0[from.0.len()..].trim_start_matches('/') };
        match (rest.is_empty(), to.0 == "/") {
            (true, _) => Some(to.clone()),
            (false, true) => Some(AbsPath(format!("/{rest}"))),
            (false, false) => Some(AbsPath(format!("{}/{rest}", to.0))),
        }
    }

    /// Components from the top; none for `/`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|c| !c.is_empty())
    }

    /// How many components.
    pub fn depth(&self) -> usize {
        self.0.bytes().filter(|b| *b == b'/').count() - usize::from(self.0.len() == 1)
    }

    /// Where a symbolic link at `self` with this target leads, lexically: `..` goes up one
    /// component, which is right only when no earlier component is a link itself.
    pub fn resolve_link(&self, target: &str) -> Option<AbsPath> {
        let mut parts: Vec<&str> = Vec::new();
        if !target.starts_with('/') {
            parts.extend(self.components());
            parts.pop();
        }
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                _ => parts.push(part),
            }
        }
        AbsPath::new(&format!("/{}", parts.join("/"))).ok()
    }
}

/// Maps of paths can be asked by text: both have the same order.
impl Borrow<str> for AbsPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
