//! Makes one chosen system call of a start fail, as `strace -e inject` does, but counted for each
//! process by itself: strace counts the same number in all of them, so that a call that the outer
//! process also makes could never be failed in its child.
//!
//! Must not know: what is started, or what should come of it. x86_64 only.

use libc::{c_int, c_long, c_void, pid_t};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

/// Whose call: the processes of a start in the order in which they come to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// The one that was started.
    Outer,
    /// Its child, which sets the jail up and becomes pid 1.
    First,
    /// The child's child, which becomes the program.
    Program,
    /// Whatever comes later.
    Other,
}

/// One call of one process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Whose.
    pub role: Role,
    /// Which of its calls, from 0.
    pub index: usize,
}

/// What was seen of a start.
pub struct Trace {
    /// Every call up to each process's execve, by place, with its number.
    pub calls: BTreeMap<Place, i64>,
    /// The wait status of the process that was started.
    pub status: c_int,
}

struct Traced {
    role: Role,
    index: usize,
    inside: bool,
    fail: bool,
}

/// Runs a command to its end with the call at `fail` answered by EPERM without being made. Every
/// process is let go when it executes something.
///
/// The calling thread is the tracer and must have no other children.
pub fn run(command: &mut Command, fail: Option<Place>, deadline: std::time::Duration) -> Trace {
    // SAFETY: a system call on numbers between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    #[allow(clippy::zombie_processes, reason = "reaped below, with everything that it starts")]
    let child = command.spawn().expect("the command starts");
    let outer = pid_t::try_from(child.id()).unwrap();
    let mut tracer = Tracer { fail, born: 0, processes: BTreeMap::new(), calls: BTreeMap::new(), outer };
    let begin = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: one int is written. Only this thread's children, also those it only traces.
        let pid =
            unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG) };
        if pid == 0 {
            if begin.elapsed() > deadline {
                tracer.processes.keys().chain([&outer]).for_each(|pid| kill(*pid));
                panic!("the start hangs when {fail:?} fails");
            }
            std::thread::sleep(std::time::Duration::from_micros(50));
            continue;
        }
        assert!(pid > 0, "waitpid: {}", std::io::Error::last_os_error());
        if libc::WIFSTOPPED(status) {
            tracer.stopped(pid, status);
        } else if pid == outer {
            tracer.let_the_others_go();
            return Trace { calls: tracer.calls, status };
        }
    }
}

fn kill(pid: pid_t) {
    // SAFETY: numbers.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

struct Tracer {
    fail: Option<Place>,
    born: usize,
    processes: BTreeMap<pid_t, Traced>,
    calls: BTreeMap<Place, i64>,
    outer: pid_t,
}

const SYSCALL_STOP: c_int = libc::SIGTRAP | 0x80;

impl Tracer {
    fn stopped(&mut self, pid: pid_t, status: c_int) {
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        if pid == self.outer && !self.processes.contains_key(&pid) {
            // The stop of its execve: from here on it is traced.
            self.add(pid);
            let options = libc::PTRACE_O_TRACESYSGOOD
                | libc::PTRACE_O_TRACECLONE
                | libc::PTRACE_O_TRACEFORK
                | libc::PTRACE_O_TRACEVFORK
                | libc::PTRACE_O_TRACEEXEC
                | libc::PTRACE_O_EXITKILL;
            request(libc::PTRACE_SETOPTIONS, pid, options as c_long);
            request(libc::PTRACE_SYSCALL, pid, 0);
        } else if event == libc::PTRACE_EVENT_EXEC {
            self.processes.remove(&pid);
            request(libc::PTRACE_DETACH, pid, 0);
        } else if event != 0 {
            request(libc::PTRACE_SYSCALL, pid, 0);
        } else if signal == SYSCALL_STOP {
            self.at_call(pid);
            request(libc::PTRACE_SYSCALL, pid, 0);
        } else if !self.processes.contains_key(&pid) {
            // A new process: its first stop is a SIGSTOP of the tracer's own making.
            self.add(pid);
            request(libc::PTRACE_SYSCALL, pid, 0);
        } else if signal == libc::SIGSEGV {
            // The kernel does not let a pid 1 die of its own fault while it is traced.
            kill(pid);
        } else {
            request(libc::PTRACE_SYSCALL, pid, signal.into());
        }
    }

    fn add(&mut self, pid: pid_t) {
        let role = match self.born {
            0 => Role::Outer,
            1 => Role::First,
            2 => Role::Program,
            _ => Role::Other,
        };
        self.born += 1;
        self.processes.insert(pid, Traced { role, index: 0, inside: false, fail: false });
    }

    fn at_call(&mut self, pid: pid_t) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.inside = !process.inside;
        let mut registers = registers(pid);
        if process.inside {
            let place = Place { role: process.role, index: process.index };
            process.index += 1;
            self.calls.insert(place, registers.orig_rax.cast_signed());
            process.fail = self.fail == Some(place);
            if process.fail {
                // No call has this number: the kernel makes none.
                registers.orig_rax = u64::MAX;
                set_registers(pid, &registers);
            }
        } else if std::mem::take(&mut process.fail) {
            registers.rax = (-i64::from(libc::EPERM)).cast_unsigned();
            set_registers(pid, &registers);
        }
    }

    /// The outer process is gone; what it left behind must end by itself.
    fn let_the_others_go(&mut self) {
        for pid in self.processes.keys().filter(|pid| **pid != self.outer) {
            request(libc::PTRACE_DETACH, *pid, 0);
        }
    }
}

/// A process may be gone by now, killed by the end of its pid namespace: that is no failure.
fn request(request: libc::c_uint, pid: pid_t, data: c_long) {
    // SAFETY: these requests take numbers.
    unsafe { libc::ptrace(request, pid, std::ptr::null_mut::<c_void>(), data) };
}

fn registers(pid: pid_t) -> libc::user_regs_struct {
    // SAFETY: all zeroes is a valid value.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one user_regs_struct.
    unsafe { libc::ptrace(libc::PTRACE_GETREGS, pid, std::ptr::null_mut::<c_void>(), &raw mut registers) };
    registers
}

fn set_registers(pid: pid_t, registers: &libc::user_regs_struct) {
    // SAFETY: the kernel reads one user_regs_struct.
    unsafe {
        libc::ptrace(libc::PTRACE_SETREGS, pid, std::ptr::null_mut::<c_void>(), std::ptr::from_ref(registers))
    };
}
