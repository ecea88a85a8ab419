//! Compiles pid 1 (`src/sys/init/main.rs`) and the prober (`src/sys/prober/main.rs`) to programs
//! without any library, which the crate carries as bytes and executes from memory; and links the
//! unwinder statically, which saves each start and each running jail the pages of one more shared
//! library.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    compile_alone("jail-init", "src/sys/init/main.rs", "JAIL_INIT");
    compile_alone("jail-prober", "src/sys/prober/main.rs", "JAIL_PROBER");
    link_unwinder();
}

/// A program of the source files in one directory; where it is is in the variable `told` when the crate
/// is compiled.
fn compile_alone(name: &str, source: &str, told: &str) {
    let directory = source.rsplit_once('/').map_or(source, |(directory, _)| directory);
    println!("cargo::rerun-if-changed={directory}");
    println!("cargo::rerun-if-changed=src/sys/call.rs");
    println!("cargo::rerun-if-changed=build.rs");
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let out = PathBuf::from(var("OUT_DIR")).join(name);
    let mut rustc = Command::new(var("RUSTC"));
    rustc.args(["--edition=2024", "--crate-type=bin", "--target", &var("TARGET")]);
    rustc.arg(format!("--crate-name={}", name.replace('-', "_")));
    rustc.args([
        "-Copt-level=s",
        "-Cpanic=abort",
        "-Cstrip=symbols",
        "-Crelocation-model=static",
        "-Ccodegen-units=1",
    ]);
    rustc.args(["-Cforce-unwind-tables=no", "-Ctarget-feature=+crt-static"]);
    // No start files and no library: `_start` is ours. One loadable segment, hence one page.
    for flag in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,-n",
        "-Wl,-z,norelro",
        "-Wl,--no-eh-frame-hdr",
    ] {
        rustc.arg(format!("-Clink-arg={flag}"));
    }
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let status = rustc.arg("-o").arg(&out).arg(source).status();
    assert!(status.is_ok_and(|s| s.success()), "cannot compile {source}");
    println!("cargo::rustc-env={told}={}", out.display());
}

/// std asks for `-lgcc_s`. A linker script of that name, found first, gives it the static library of
/// the same compiler instead; where the compiler has none, nothing changes.
fn link_unwinder() {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    if var("CARGO_CFG_TARGET_ENV") != "gnu" || var("CARGO_CFG_TARGET_FEATURE").contains("crt-static") {
        return;
    }
    let compiler = std::env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into());
    let asked = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output();
    let found = asked.is_ok_and(|o| {
        o.status.success() && PathBuf::from(String::from_utf8_lossy(&o.stdout).trim()).is_absolute()
    });
    let directory = PathBuf::from(var("OUT_DIR")).join("unwinder");
    let script = directory.join("libgcc_s.so");
    let written = std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(script, "INPUT(-lgcc_eh -lgcc -lc)\n"));
    if found && written.is_ok() {
        println!("cargo::rustc-link-search=native={}", directory.display());
    }
}
