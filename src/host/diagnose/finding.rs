//! What was found to keep a program from starting, in words.
//!
//! Must not know: how it was found out.

use crate::jail::path::AbsPath;
use std::fmt;

/// One thing that keeps a program from starting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The program is not inside.
    ProgramMissing(Missing),
    /// A bare name that no directory of PATH has.
    NotInPath {
        /// As written.
        name: String,
    },
    /// It is a directory.
    Directory {
        /// Inside.
        path: AbsPath,
    },
    /// It has no permission to be executed.
    NotExecutable {
        /// Inside.
        path: AbsPath,
        /// On the host.
        host: AbsPath,
    },
    /// The program's user may not execute it, or not enter a directory above it.
    Forbidden {
        /// Inside.
        path: AbsPath,
        /// What the user may not enter or execute, on the host.
        host: AbsPath,
        /// The host's id of the user.
        uid: u32,
    },
    /// Its mount has noexec.
    NoExecMount {
        /// Inside.
        path: AbsPath,
    },
    /// It was written by jail itself into memory with noexec.
    InMemory {
        /// Inside.
        path: AbsPath,
    },
    /// What its `#!` line names is not inside.
    InterpreterMissing {
        /// The script.
        script: AbsPath,
        /// What is missing.
        missing: Missing,
    },
    /// Its `#!` line ends with CR LF.
    CarriageReturn {
        /// The script.
        script: AbsPath,
    },
    /// Its `#!` line names the script itself, or scripts name each other as interpreters.
    ScriptLoop {
        /// The script.
        script: AbsPath,
    },
    /// Its `#!` line names a path that depends on the working directory.
    RelativeInterpreter {
        /// The script.
        script: AbsPath,
    },
    /// The dynamic loader is not inside.
    LoaderMissing {
        /// What needs it.
        binary: AbsPath,
        /// What is missing.
        missing: Missing,
    },
    /// A library is not inside.
    LibraryMissing {
        /// What needs it.
        binary: AbsPath,
        /// As it is named there.
        library: String,
        /// What to show, if the host has it.
        host_path: Option<AbsPath>,
    },
    /// An ELF file that this processor, or this word size, cannot run.
    WrongArchitecture {
        /// Inside.
        path: AbsPath,
    },
    /// An ELF file that ends before its headers say.
    Truncated {
        /// Inside.
        path: AbsPath,
    },
    /// execve(2) would say ENOEXEC.
    NotAProgram {
        /// Inside.
        path: AbsPath,
    },
    /// Reading it failed.
    Unreadable {
        /// Inside.
        path: AbsPath,
        /// The cause.
        errno: String,
    },
}

/// A path that is not inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// As asked for.
    pub path: String,
    /// The first component that is not there.
    pub obstacle: AbsPath,
    /// The link that led there.
    pub link: Option<AbsPath>,
    /// What to show, if the host has it.
    pub host_path: Option<AbsPath>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { path, obstacle, link, host_path } = self;
        write!(f, "{path}, is not in the jail")?;
        match link {
            Some(link) => write!(f, " (its link {link} leads to {obstacle})")?,
            None if obstacle.as_str() != path => write!(f, " (there is no {obstacle} in it)")?,
            None => {}
        }
        if host_path.is_none() { f.write_str(": it is not on this host either") } else { Ok(()) }
    }
}

impl Finding {
    /// One sentence, without a full stop.
    pub fn what(&self) -> String {
        match self {
            Finding::ProgramMissing(missing) => format!("the program, {missing}"),
            Finding::NotInPath { name } => {
                format!("{name} is in no directory of the jail's PATH; name it by its full path")
            }
            Finding::Directory { path } => format!("{path} is a directory: name the program in it"),
            Finding::NotExecutable { path, host } => {
                format!("{path} is not executable: chmod +x {host} on the host")
            }
            Finding::Forbidden { path, host, uid } => {
                format!("uid {uid} may not execute {path}: see the owner and mode of {host} on the host")
            }
            Finding::NoExecMount { path } => format!(
                "{path} lies on a mount without execution; show its directory by read, or write exec = true"
            ),
            Finding::InMemory { path } => format!(
                "{path} lies in memory that is not executable; run it by its interpreter, as in [\"/bin/sh\", \"{path}\"]"
            ),
            Finding::InterpreterMissing { script, missing } => {
                format!("the interpreter of the script {script}, {missing}")
            }
            Finding::CarriageReturn { script } => {
                format!("the #! line of {script} ends in a carriage return: save it with Unix line ends")
            }
            Finding::ScriptLoop { script } => {
                format!("the #! line of {script} leads back to a script: name a program as its interpreter")
            }
            Finding::RelativeInterpreter { script } => {
                format!("the #! line of {script} does not name an absolute path")
            }
            Finding::LoaderMissing { binary, missing } => {
                format!("the ELF interpreter of {binary}, {missing}")
            }
            Finding::LibraryMissing { binary, library, host_path: Some(_) } => {
                format!("the library {library} that {binary} needs is not in the jail")
            }
            Finding::LibraryMissing { binary, library, host_path: None } => {
                format!("the library {library} that {binary} needs is not on this host: install its package")
            }
            Finding::WrongArchitecture { path } => format!("{path} is a program for another kind of machine"),
            Finding::Truncated { path } => {
                format!("{path} is cut short, a part of the program is missing: install it again")
            }
            Finding::NotAProgram { path } => {
                format!("{path} is neither an ELF program nor a script with a #! line")
            }
            Finding::Unreadable { path, errno } => format!("{path} cannot be read: {errno}"),
        }
    }

    /// The entry that would show what is missing.
    pub fn entry(&self) -> Option<String> {
        let path = match self {
            Finding::ProgramMissing(missing)
            | Finding::InterpreterMissing { missing, .. }
            | Finding::LoaderMissing { missing, .. } => missing.host_path.as_ref(),
            Finding::LibraryMissing { host_path, .. } => host_path.as_ref(),
            _ => None,
        };
        path.map(|path| format!("add \"{}\" to [files] read", top(path)))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => write!(f, "{}: {entry}", self.what()),
            None => f.write_str(&self.what()),
        }
    }
}

/// What to show so that a path is seen: a package's whole directory rather than a single file, but
/// never what holds the host's secrets.
pub(super) fn top(path: &AbsPath) -> String {
    let mut parts = path.components();
    match (parts.next(), parts.next()) {
        (Some("usr"), _) => "/usr".to_owned(),
        (Some("opt"), Some(name)) => format!("/opt/{name}"),
        _ => match path.parent() {
            Some(parent) if !matches!(parent.as_str(), "/" | "/etc" | "/root") => parent.to_string(),
            _ => path.to_string(),
        },
    }
}
