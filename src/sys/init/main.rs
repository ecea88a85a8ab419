//! Pid 1 of a jail: a program of its own of about one page, without any library.
//!
//! It is compiled by `build.rs` and carried inside `jail`, which executes it from memory once the
//! program runs. It reaps, knows which process is the main one, and ends with that or with the outer
//! process. Must not know: anything else. It has the jailed user's ids, no capability, one open
//! descriptor, and nothing of its caller's memory, arguments or environment.
//!
//! Called as `jail-init PID`, or for a program that daemonises as `jail-init PID PIDFILE`, where the
//! file may be the empty string; with every signal blocked and the socket as descriptor 3. What is
//! said on that is described in `serve::wire`.
#![no_std]
#![no_main]

#[path = "../call.rs"]
mod call;
mod calls;

use calls::{Words, exit};
use core::arch::naked_asm;

const FAILED: i32 = 125;

/// Most children reaped before the outer process is looked at again: orphans may come faster than
/// they can be buried.
const AT_ONCE: usize = 1024;

/// How often a pid file is looked for, and the nanoseconds in between.
const TRIES: usize = 100;
const PAUSE: u64 = 100_000_000;

const ENDED: u32 = 5;
const DETACHED: Words = [6, 0, 0, 0, 0];
const MAIN: Words = [7, 0, 0, 0, 0];
const NOBODY: Words = [8, 0, 0, 0, 0];
const MAIN_ENDED: u32 = 9;
const WATCH: u32 = 10;

/// The kernel enters here with argc and argv on the stack.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!("mov rdi, rsp", "and rsp, -16", "call {main}", "ud2", main = sym main);
    #[cfg(target_arch = "aarch64")]
    naked_asm!("mov x0, sp", "bl {main}", "brk #1", main = sym main);
}

/// # Safety
/// `stack` is what the kernel passed to `_start`.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: the kernel puts argc, then argc pointers to C strings, at the start of the stack.
    let (program, file) = unsafe {
        let argument = |index: usize| *stack.add(1 + index) as *const u8;
        match *stack {
            2 => (calls::parse(argument(1)), core::ptr::null()),
            3 => (calls::parse(argument(1)), argument(2)),
            _ => (0, core::ptr::null()),
        }
    };
    if program == 0 {
        exit(FAILED);
    }
    calls::harden();
    let signals = calls::signal_descriptor();
    calls::seal();
    let mut jail =
        Jail { main: program, first: true, descriptor: -1, file, tries: TRIES, over: false, status: 0 };
    loop {
        let all = jail.reap();
        let pause = match (all, jail.looks_for_main()) {
            (false, _) => Some(0),
            (true, true) => Some(PAUSE),
            (true, false) => None,
        };
        let [signal, outer, ended] = calls::wait([signals, calls::SOCKET as i32, jail.descriptor as i32], pause);
        if signal {
            calls::take_signal(signals);
        }
        if outer {
            jail.hear_outer();
        }
        if ended {
            jail.look_at_main();
        } else if all && !signal && !outer {
            jail.try_again();
        }
    }
}

struct Jail {
    /// The main process: it ends the jail. 0: not known, or it has ended.
    main: usize,
    /// The main process is the program that was started.
    first: bool,
    /// Of a main process that is not; else negative.
    descriptor: isize,
    /// The pid file of a program that daemonises, or an empty name; null if it does not.
    file: *const u8,
    /// How often the file is still looked for.
    tries: usize,
    /// The main process has ended, and what is left is being ended.
    over: bool,
    /// The jail's, as from wait(2): the main process's, or that of the last one to end.
    status: u32,
}

impl Jail {
    /// Reaps whoever has ended, and ends with the last; whether none is left to be reaped. A child that
    /// the program has left without a parent is a child of this process.
    fn reap(&mut self) -> bool {
        let mut main = None;
        let (mut all, mut left, mut others) = (false, true, false);
        for _ in 0..AT_ONCE {
            let (pid, status) = calls::reap(-1);
            if pid <= 0 {
                (all, left) = (true, pid == 0);
                break;
            }
            if pid as usize == self.main {
                main = Some(status);
            } else if self.main == 0 && !self.over {
                self.status = status;
                others = true;
            }
        }
        if main.is_some() {
            self.main_has_ended(main, left);
        }
        if !left {
            self.end(false);
        }
        if others && self.main == 0 {
            calls::send(DETACHED, -1);
        }
        all
    }

    /// With its status, unless another process has reaped it.
    fn main_has_ended(&mut self, status: Option<u32>, left: bool) {
        let ended = self.main;
        self.main = 0;
        if self.first {
            self.first = false;
            self.status = status.unwrap_or(0);
            if self.file.is_null() || self.status != 0 || !left {
                self.end(left);
            }
            calls::send(DETACHED, -1);
            self.find_main(ended);
            return;
        }
        self.release();
        if self.find_main(ended) {
            return;
        }
        self.over = true;
        self.status = status.unwrap_or(0);
        calls::send([MAIN_ENDED, self.status, status.is_some() as u32, 0, 0], -1);
    }

    /// A plain exit is mirrored by this process's own status; anything else needs a message. What is
    /// left ends with this process.
    fn end(&self, left: bool) -> ! {
        if self.status & 0x7f == 0 && !left {
            exit((self.status >> 8 & 0xff) as i32);
        }
        calls::send([ENDED, self.status, left as u32, 0, 0], -1);
        exit(0);
    }

    /// The descriptor of the main process is readable: it has ended.
    fn look_at_main(&mut self) {
        if self.main != 0 {
            match calls::reap(self.main as isize) {
                (0, _) => {}
                (pid, status) => self.main_has_ended((pid > 0).then_some(status), true),
            }
        }
    }

    fn looks_for_main(&self) -> bool {
        // SAFETY: a C string if it is not null.
        let named = !self.file.is_null() && unsafe { *self.file } != 0;
        self.main == 0 && !self.over && named && self.tries > 0
    }

    /// A daemon may write its pid file only after the first process has ended.
    fn try_again(&mut self) {
        if self.looks_for_main() && !self.find_main(0) {
            self.tries -= 1;
            if self.tries == 0 {
                calls::send(NOBODY, -1);
            }
        }
    }

    /// Whether the pid file names a process of this namespace, other than the one that has ended.
    fn find_main(&mut self, ended: usize) -> bool {
        if !self.looks_for_main() {
            return false;
        }
        // SAFETY: a C string, for `looks_for_main` has seen it.
        let named = unsafe { calls::number_in(self.file) };
        named > 1 && named != ended && self.watch(named)
    }

    /// Takes this process for the main one, and tells the outer process, whose numbers are others.
    fn watch(&mut self, pid: usize) -> bool {
        let descriptor = calls::descriptor_of(pid);
        if descriptor < 0 {
            return false;
        }
        self.release();
        (self.main, self.first, self.descriptor) = (pid, false, descriptor);
        calls::send(MAIN, descriptor);
        true
    }

    fn release(&mut self) {
        if self.descriptor >= 0 {
            calls::close(self.descriptor);
            self.descriptor = -1;
        }
    }

    /// The jail ends with the outer process.
    fn hear_outer(&mut self) {
        match calls::receive() {
            Ok(None) => {}
            Ok(Some([WATCH, pid])) => {
                let pid = pid as usize;
                if pid > 1 && pid != self.main && !self.over {
                    self.watch(pid);
                }
            }
            _ => exit(FAILED),
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(FAILED)
}
