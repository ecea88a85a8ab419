//! The parser on real programs, on made ones, and on garbage.

use super::*;
use proptest::prelude::*;
use std::io::Write;

fn form(content: &[u8]) -> Form {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    read(&file).unwrap()
}

fn words(interpreter: &str, argument: &str) -> Form {
    Form::Script(Script { interpreter: interpreter.into(), argument: argument.into() })
}

/// A minimal ELF file: one PT_LOAD over everything, PT_INTERP, PT_DYNAMIC, and the strings.
pub fn elf(interpreter: &str, entries: &[(u64, &str)]) -> Vec<u8> {
    const HEADERS: u64 = 64 + 3 * 56;
    let mut strings = vec![0];
    let mut put = |text: &str| {
        let at = strings.len() as u64;
        strings.extend(text.bytes().chain([0]));
        at
    };
    let interpreter_at = put(interpreter);
    let entries: Vec<(u64, u64)> = entries.iter().map(|(tag, text)| (*tag, put(text))).collect();
    let strings_at = HEADERS + (entries.len() as u64 + 2) * 16;
    let end = strings_at + strings.len() as u64;
    let base = 0x40_0000_u64;
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend([3_u16, MACHINE].iter().flat_map(|n| n.to_le_bytes()));
    out.extend([1, 0, 0, 0]);
    out.extend([0_u64, 64, 0].iter().flat_map(|n| n.to_le_bytes()));
    out.extend([0; 4]);
    out.extend([64_u16, 56, 3, 0, 0, 0].iter().flat_map(|n| n.to_le_bytes()));
    let dynamic = (PT_DYNAMIC, HEADERS, strings_at - HEADERS);
    let segments = [(PT_LOAD, 0, end), (PT_INTERP, strings_at + interpreter_at, 1), dynamic];
    for (kind, offset, size) in segments {
        out.extend(kind.to_le_bytes().into_iter().chain(4_u32.to_le_bytes()));
        out.extend([offset, base + offset, 0, size, size, 8].iter().flat_map(|n: &u64| n.to_le_bytes()));
    }
    for (tag, value) in entries.into_iter().chain([(DT_STRTAB, base + strings_at), (0, 0)]) {
        out.extend(tag.to_le_bytes().into_iter().chain(value.to_le_bytes()));
    }
    out.extend(strings);
    out
}

#[test]
fn a_real_binary_names_its_loader_and_libc() {
    for path in [std::env::current_exe().unwrap(), "/bin/true".into()] {
        let Form::Elf(needs) = read(&File::open(path).unwrap()).unwrap() else { panic!() };
        assert!(needs.interpreter.unwrap().contains("ld-linux"));
        assert!(needs.libraries.iter().any(|l| l.starts_with("libc.so")));
    }
}

#[test]
fn every_part_of_a_made_one() {
    let made =
        elf("/lib/ld", &[(DT_NEEDED, "a"), (DT_RPATH, "x:y"), (DT_NEEDED, "b"), (DT_RUNPATH, "$ORIGIN")]);
    let text = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let needs = Needs {
        interpreter: Some("/lib/ld".into()),
        libraries: text(&["a", "b"]),
        rpath: text(&["x", "y"]),
        runpath: text(&["$ORIGIN"]),
    };
    assert_eq!(form(&made), Form::Elf(needs));
}

#[test]
fn scripts_and_their_words() {
    assert_eq!(form(b"#!/bin/sh\necho"), words("/bin/sh", ""));
    assert_eq!(form(b"#! /usr/bin/env python3"), words("/usr/bin/env", "python3"));
    assert_eq!(form(b"#!\t/usr/bin/env  -S a  b \n"), words("/usr/bin/env", "-S a  b"));
    assert_eq!(form(b"#!/bin/sh\r\n"), words("/bin/sh\r", ""));
    for not in [&b"#!\n"[..], b"#!", b"#! \t\nx", b"", b"echo", b"#"] {
        assert_eq!(form(not), Form::Other, "{not:?}");
    }
}

#[test]
fn other_machines_and_other_elf_files() {
    assert_eq!(form(b"\x7fELF\x01\x01\x01"), Form::Foreign);
    let mut other = elf("/lib/ld", &[]);
    other[18] ^= 0xff;
    assert_eq!(form(&other), Form::Foreign);
    let mut object = elf("/lib/ld", &[]);
    object[16] = 1;
    assert_eq!(form(&object), Form::Other);
}

#[test]
fn a_truncated_file_is_told_apart() {
    let whole = elf("/lib/ld", &[(DT_NEEDED, "liba.so"), (DT_RUNPATH, "/opt/x")]);
    for length in 0..whole.len() {
        let wanted = if length >= 20 { Form::Truncated } else { form(&whole[..length]) };
        assert_eq!(form(&whole[..length]), wanted, "{length} bytes");
        assert!(!matches!(wanted, Form::Elf(_)), "{length} bytes");
    }
    assert!(matches!(form(&whole), Form::Elf(_)));
}

proptest! {
    #[test]
    fn no_file_can_crash_it(tail in prop::collection::vec(any::<u8>(), 0..512), native in any::<bool>()) {
        let mut content = b"\x7fELF\x02\x01\x01".to_vec();
        content.extend([0; 9]);
        if native {
            content.extend([3_u16, MACHINE].iter().flat_map(|n| n.to_le_bytes()));
        }
        content.extend(tail);
        form(&content);
    }

    #[test]
    fn no_damage_can_crash_it(damage in prop::collection::vec((0..400_usize, any::<u8>()), 1..12)) {
        let mut content = elf("/lib/ld", &[(DT_NEEDED, "liba.so"), (DT_RPATH, "/opt/x")]);
        for (at, byte) in damage {
            if let Some(place) = content.get_mut(at) {
                *place = byte;
            }
        }
        form(&content);
    }
}
