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

/// One call that is answered without being made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fail {
    /// Which.
    pub place: Place,
    /// The answer.
    pub errno: c_int,
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
    fresh: bool,
}

/// Runs a command to its end with one call failed. Every process is let go when it executes something.
///
/// The calling thread is the tracer and must have no other children.
pub fn run(command: &mut Command, fail: Option<Fail>, deadline: std::time::Duration) -> Trace {
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
    let mut tracer =
        Tracer { fail, born: 0, processes: BTreeMap::new(), calls: BTreeMap::new(), outer, done: false };
    let begin = Instant::now();
    let mut ended = None;
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
        if pid < 0 {
            let status = ended.unwrap_or_else(|| panic!("waitpid: {}", std::io::Error::last_os_error()));
            return Trace { calls: tracer.calls, status };
        }
        if libc::WIFSTOPPED(status) {
            tracer.stopped(pid, status);
        } else {
            tracer.processes.remove(&pid);
            ended = ended.or((pid == outer).then_some(status));
        }
        // What it leaves behind must end by itself, and could not if it were stopped for ever.
        if let (Some(status), true) = (ended, tracer.processes.is_empty()) {
            return Trace { calls: tracer.calls, status };
        }
    }
}

fn kill(pid: pid_t) {
    // SAFETY: numbers.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

struct Tracer {
    fail: Option<Fail>,
    born: usize,
    processes: BTreeMap<pid_t, Traced>,
    calls: BTreeMap<Place, i64>,
    outer: pid_t,
    /// The call has failed.
    done: bool,
}

const SYSCALL_STOP: c_int = libc::SIGTRAP | 0x80;

impl Tracer {
    fn stopped(&mut self, pid: pid_t, status: c_int) {
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        if pid == self.outer && !self.processes.contains_key(&pid) {
            // The stop of its execve: from here on it is traced.
            self.add(pid, false);
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
        } else if self.done {
            // Nothing more is to be learnt: whatever stops now is let go, its signal delivered.
            let known = self.processes.remove(&pid).is_some_and(|process| !process.fresh);
            let own = event != 0 || signal == SYSCALL_STOP || (!known && signal == libc::SIGSTOP);
            request(libc::PTRACE_DETACH, pid, if own { 0 } else { signal.into() });
        } else if event != 0 {
            if let Some(child) = new_process(pid) {
                self.add(child, true);
            }
            request(libc::PTRACE_SYSCALL, pid, 0);
        } else if signal == SYSCALL_STOP {
            self.at_call(pid);
            request(libc::PTRACE_SYSCALL, pid, 0);
        } else if !self.processes.contains_key(&pid) {
            self.add(pid, false);
            request(libc::PTRACE_SYSCALL, pid, 0);
        } else if signal == libc::SIGSTOP && self.is_fresh(pid) {
            // The first stop of a new process is of the tracer's own making.
            request(libc::PTRACE_SYSCALL, pid, 0);
        } else if signal == libc::SIGSEGV {
            // The kernel does not let a pid 1 die of its own fault while it is traced.
            kill(pid);
        } else {
            request(libc::PTRACE_SYSCALL, pid, signal.into());
        }
    }

    fn is_fresh(&mut self, pid: pid_t) -> bool {
        self.processes.get_mut(&pid).is_some_and(|process| std::mem::take(&mut process.fresh))
    }

    /// `fresh`: its first stop has not been seen. The order of that and of its parent's event is open.
    fn add(&mut self, pid: pid_t, fresh: bool) {
        if self.processes.contains_key(&pid) {
            return;
        }
        let role = match self.born {
            0 => Role::Outer,
            1 => Role::First,
            2 => Role::Program,
            _ => Role::Other,
        };
        self.born += 1;
        self.processes.insert(pid, Traced { role, index: 0, inside: false, fail: false, fresh });
    }

    fn at_call(&mut self, pid: pid_t) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.inside = !process.inside;
        let mut registers = registers(pid);
        if process.inside {
            let place = Place { role: process.role, index: process.index };
            process.index += 1;
            self.calls.insert(place, registers.orig_rax.cast_signed());
            process.fail = self.fail.is_some_and(|fail| fail.place == place);
            // close(2) gives the descriptor up whatever it answers: it is made.
            if process.fail && registers.orig_rax.cast_signed() != libc::SYS_close {
                // No call has this number: the kernel makes none.
                registers.orig_rax = u64::MAX;
                set_registers(pid, &registers);
            }
        } else if std::mem::take(&mut process.fail) {
            let errno = self.fail.map_or(libc::EPERM, |fail| fail.errno);
            registers.rax = (-i64::from(errno)).cast_unsigned();
            set_registers(pid, &registers);
            self.done = true;
        }
    }
}

/// A process may be gone by now, killed by the end of its pid namespace: that is no failure.
fn request(request: libc::c_uint, pid: pid_t, data: c_long) {
    // SAFETY: these requests take numbers.
    unsafe { libc::ptrace(request, pid, std::ptr::null_mut::<c_void>(), data) };
}

/// The process that this one has just made.
fn new_process(pid: pid_t) -> Option<pid_t> {
    let mut child: libc::c_ulong = 0;
    // SAFETY: the kernel writes one number.
    let done = unsafe {
        libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, std::ptr::null_mut::<c_void>(), &raw mut child)
    };
    if done == 0 { pid_t::try_from(child).ok() } else { None }
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
