//! What a program file needs to be started: its ELF interpreter and libraries, or its `#!` line.
//!
//! Must not know: where those are looked for. Every read is bounded and every offset checked: the
//! file may be anything.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What kind of program a file is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Form {
    /// An ELF file of this machine.
    Elf(Needs),
    /// A text with a `#!` line.
    Script(Script),
    /// An ELF file of another machine or word size.
    Foreign,
    /// An ELF file that ends before its headers say.
    Truncated,
    /// Neither: execve says ENOEXEC.
    Other,
}

/// A `#!` line, split as the kernel does it: all behind the first word is one argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// The path of the interpreter.
    pub interpreter: String,
    /// Empty if there is none.
    pub argument: String,
}

/// From the program headers and the dynamic section.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// PT_INTERP.
    pub interpreter: Option<String>,
    /// DT_NEEDED, in order.
    pub libraries: Vec<String>,
    /// DT_RPATH, split at colons: also for the libraries' own libraries.
    pub rpath: Vec<String>,
    /// DT_RUNPATH, split at colons: for these libraries only, and then no DT_RPATH counts.
    pub runpath: Vec<String>,
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Looks at the beginning of a file, and as far as its headers lead.
///
/// # Errors
/// Only those of reading; a file that lies about itself is `Other` or needs less.
pub fn read(file: &File) -> io::Result<Form> {
    let start = bytes(file, 0, 256)?;
    if let Some(line) = start.strip_prefix(b"#!") {
        return Ok(script(line));
    }
    if !start.starts_with(b"\x7fELF") {
        return Ok(Form::Other);
    }
    let native = start.get(4) == Some(&2) && start.get(5) == Some(&1) && u16_at(&start, 18) == Some(MACHINE);
    match u16_at(&start, 16) {
        _ if !native => Ok(Form::Foreign),
        Some(ET_EXEC | ET_DYN) => Ok(needs(file, &start)?.map_or(Form::Truncated, Form::Elf)),
        _ => Ok(Form::Other),
    }
}

fn script(start: &[u8]) -> Form {
    let blank = [' ', '\t'];
    let line = String::from_utf8_lossy(start.split(|b| *b == b'\n').next().unwrap_or(start)).into_owned();
    let line = line.trim_matches(blank);
    // A carriage return is no blank: it becomes part of the name, which is the usual mistake.
    let (interpreter, argument) = line.split_once(blank).unwrap_or((line, ""));
    if interpreter.is_empty() {
        return Form::Other;
    }
    Form::Script(Script {
        interpreter: interpreter.to_owned(),
        argument: argument.trim_matches(blank).to_owned(),
    })
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// `None`: the program headers, or what is to be loaded, lie beyond the end of the file.
fn needs(file: &File, header: &[u8]) -> io::Result<Option<Needs>> {
    let table = u64_at(header, 32).unwrap_or(0);
    let (size, count) = (u16_at(header, 54).unwrap_or(0), u16_at(header, 56).unwrap_or(0).min(128));
    let raw = bytes(file, table, usize::from(size) * usize::from(count))?;
    let whole = header.len() >= 64 && raw.len() == usize::from(size) * usize::from(count);
    let segments: Vec<Segment> = raw
        .chunks_exact(usize::from(size).max(56))
        .filter_map(|h| {
            Some(Segment {
                kind: u32_at(h, 0)?,
                offset: u64_at(h, 8)?,
                address: u64_at(h, 16)?,
                size: u64_at(h, 32)?,
            })
        })
        .collect();
    let length = file.metadata()?.len();
    let ends = |s: &Segment| s.offset.checked_add(s.size).is_some_and(|end| end <= length);
    if !whole || !segments.iter().filter(|s| s.kind == PT_LOAD).all(ends) {
        return Ok(None);
    }
    let mut needs = Needs::default();
    for segment in &segments {
        match segment.kind {
            PT_INTERP => needs.interpreter = text(file, segment.offset)?,
            PT_DYNAMIC => dynamic(file, segment, &segments, &mut needs)?,
            _ => {}
        }
    }
    Ok(Some(needs))
}

fn dynamic(file: &File, segment: &Segment, segments: &[Segment], needs: &mut Needs) -> io::Result<()> {
    let raw = bytes(file, segment.offset, usize::try_from(segment.size).unwrap_or(0).min(64 << 10))?;
    let entries: Vec<(u64, u64)> = raw
        .chunks_exact(16)
        .filter_map(|e| Some((u64_at(e, 0)?, u64_at(e, 8)?)))
        .take_while(|(tag, _)| *tag != 0)
        .collect();
    let Some((_, address)) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB) else { return Ok(()) };
    let Some(strings) = segments.iter().filter(|s| s.kind == PT_LOAD).find_map(|s| {
        let within = address.checked_sub(s.address).filter(|d| *d < s.size)?;
        s.offset.checked_add(within)
    }) else {
        return Ok(());
    };
    for (tag, value) in entries {
        if !matches!(tag, DT_NEEDED | DT_RPATH | DT_RUNPATH) {
            continue;
        }
        let Some(word) = strings.checked_add(value).map(|at| text(file, at)).transpose()?.flatten() else {
            continue;
        };
        let directories = word.split(':').map(str::to_owned);
        match tag {
            DT_RPATH => needs.rpath.extend(directories),
            DT_RUNPATH => needs.runpath.extend(directories),
            _ => needs.libraries.push(word),
        }
    }
    Ok(())
}

/// At most `count` bytes; fewer at the end of the file.
fn bytes(file: &File, at: u64, count: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; count];
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
        let Some(position) = at.checked_add(filled as u64).filter(|p| i64::try_from(*p).is_ok()) else {
            break;
        };
        match file.read_at(rest, position)? {
            0 => break,
            n => filled += n,
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

/// A C string of at most one path's length.
fn text(file: &File, at: u64) -> io::Result<Option<String>> {
    let raw = bytes(file, at, 4096)?;
    let end = raw.iter().position(|b| *b == 0);
    Ok(end.and_then(|end| raw.get(..end)).and_then(|t| std::str::from_utf8(t).ok()).map(str::to_owned))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests;
