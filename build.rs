//! Compiles pid 1 (`src/sys/init/main.rs`) to a program without any library, which the crate
//! carries as bytes and executes from memory.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    const SOURCE: &str = "src/sys/init/main.rs";
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let out = PathBuf::from(var("OUT_DIR")).join("jail-init");
    let mut rustc = Command::new(var("RUSTC"));
    rustc.args(["--edition=2024", "--crate-name=jail_init", "--crate-type=bin", "--target", &var("TARGET")]);
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
    let status = rustc.arg("-o").arg(&out).arg(SOURCE).status();
    assert!(status.is_ok_and(|s| s.success()), "cannot compile {SOURCE}");
    println!("cargo::rustc-env=JAIL_INIT={}", out.display());
}
