// floor.c - the least work that starting a host-sharing jail takes.
//
// Does with bare system calls what a jail of the web set cannot avoid, and nothing else: no spec, no
// error recovery, no Landlock, no look back, no reaper. x86_64, Linux 6.15 or later.
//
//   floor --app=DIR [--binds=N] [--dump=FILE] [--wait] CMD ARG...
//     --app=DIR     what to bind read-write at /var/lib/app
//     --binds=N     N more read-only binds (of /usr/share)
//     --dump=FILE   only write the seccomp program to FILE (bwrap can read it)
//     --wait        the end state, then pause for ever instead of exec (for counting memory)
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MS_REC_ = 16384, MS_PRIVATE_ = 1 << 18 };
#define RO_ATTR (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define RW_ATTR (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define EACH(i, a) for (unsigned i = 0; i < sizeof a / sizeof *a; i++)
#define SYS(name, ...) must(syscall(SYS_##name, __VA_ARGS__), #name)

static const char *dump, *app = "/var/lib/app";
static int binds, wait_, top; // `top`: the new root's directory; every target is relative to it
static char **cmd;

static long must(long r, const char *what) { if (r < 0) { perror(what); _exit(126); } return r; }

static int new_fs(const char *type, const char *mode, unsigned attr) {
	int f = SYS(fsopen, type, FSOPEN_CLOEXEC);
	if (mode) { SYS(fsconfig, f, FSCONFIG_SET_STRING, "size", "16m", 0);
	            SYS(fsconfig, f, FSCONFIG_SET_STRING, "mode", mode, 0); }
	SYS(fsconfig, f, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	int m = SYS(fsmount, f, FSMOUNT_CLOEXEC, attr);
	close(f);
	return m;
}
static void attach(int m, const char *to) {
	SYS(move_mount, m, "", top, to, MOVE_MOUNT_F_EMPTY_PATH);
	close(m);
}
static void bind(const char *from, const char *to, unsigned attr) {
	struct mount_attr a = { .attr_set = attr };
	int m = SYS(open_tree, AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	SYS(mount_setattr, m, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof a);
	attach(m, to);
}

static const char *const links[][2] = { { "usr/bin", "bin" }, { "usr/lib", "lib" }, { "usr/lib64", "lib64" }, { "usr/sbin", "sbin" } };
static const char *const dirs[] = { "usr", "etc", "etc/ssl", "etc/ssl/certs", "dev", "proc", "tmp", "run", "var", "var/lib", "var/lib/app" };
static const char *const files[] = { "etc/hosts", "etc/resolv.conf", "etc/passwd", "etc/group", "etc/nsswitch.conf", "etc/localtime" };
static const struct { const char *path; int minor; } nodes[] = { { "dev/null", 3 }, { "dev/zero", 5 }, { "dev/full", 7 }, { "dev/random", 8 }, { "dev/urandom", 9 } };

static int build_tree(void) {
	char p[40];
	int m = top = new_fs("tmpfs", "755", MOUNT_ATTR_NOSUID);
	EACH(i, dirs) must(mkdirat(top, dirs[i], strcmp(dirs[i], "tmp") ? 0755 : 01777), dirs[i]);
	EACH(i, links) must(symlinkat(links[i][0], top, links[i][1]), links[i][1]);
	EACH(i, files) must(mknodat(top, files[i], S_IFREG | 0644, 0), files[i]);
	EACH(i, nodes) must(mknodat(top, nodes[i].path, S_IFCHR | 0666, makedev(1, nodes[i].minor)), nodes[i].path);
	for (int i = 0; i < binds; i++) { sprintf(p, "usr%d", i); must(mkdirat(top, p, 0755), p); }
	bind("/usr", "usr", RO_ATTR);
	EACH(i, files) { strcpy(p, "/"); bind(strcat(p, files[i]), files[i], RO_ATTR); }
	bind("/etc/ssl/certs", "etc/ssl/certs", RO_ATTR);
	for (int i = 0; i < binds; i++) { sprintf(p, "usr%d", i); bind("/usr/share", p, RO_ATTR); }
	bind(app, "var/lib/app", RW_ATTR);
	for (int i = 0; i < 2; i++) { // directories of the root's own superblock, mounted writable over themselves
		struct mount_attr rw = { .attr_set = RW_ATTR };
		int t = SYS(open_tree, top, i ? "run" : "tmp", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		SYS(mount_setattr, t, "", AT_EMPTY_PATH, &rw, sizeof rw);
		attach(t, i ? "run" : "tmp");
	}
	return m;
}

// ---- seccomp: everything but these; the allowed calls merge into ranges
static const int denied[] = { SYS_ptrace, SYS_acct, SYS_add_key, SYS_bpf, SYS_chroot, SYS_clock_adjtime, SYS_clock_settime, SYS_create_module,
	SYS_delete_module, SYS_finit_module, SYS_get_kernel_syms, SYS_get_mempolicy, SYS_init_module, SYS_ioperm, SYS_iopl, SYS_kcmp,
	SYS_kexec_file_load, SYS_kexec_load, SYS_keyctl, SYS_lookup_dcookie, SYS_mbind, SYS_mount, SYS_move_pages, SYS_nfsservctl,
	SYS_open_by_handle_at, SYS_perf_event_open, SYS_personality, SYS_pivot_root, SYS_process_vm_readv, SYS_process_vm_writev,
	SYS_query_module, SYS_quotactl, SYS_reboot, SYS_request_key, SYS_set_mempolicy, SYS_setns, SYS_settimeofday, SYS_swapoff, SYS_swapon,
	SYS__sysctl, SYS_syslog, SYS_umount2, SYS_unshare, SYS_uselib, SYS_userfaultfd, SYS_ustat, SYS_vhangup, SYS_vmsplice, SYS_fsopen,
	SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_open_tree, SYS_move_mount, SYS_mount_setattr, SYS_io_uring_setup, SYS_io_uring_enter,
	SYS_io_uring_register, SYS_sethostname, SYS_setdomainname, SYS_mknod, SYS_mknodat };
enum { TOP = 470 };
static struct sock_filter bpf[4096];
static int nbpf, edge[TOP + 2], nedge; // calls in [edge[2i], edge[2i+1]) are allowed
static void ins(int code, int k, int jt, int jf) { bpf[nbpf++] = (struct sock_filter){ code, jt, jf, k }; }
static void tree(int lo, int hi) { // edges lo..hi: nr >= edge[lo-1] is known
	if (lo == hi) { ins(BPF_RET | BPF_K, lo & 1 ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM, 0, 0); return; }
	int mid = (lo + hi) / 2, at = nbpf;
	ins(BPF_JMP | BPF_JGE | BPF_K, edge[mid], 0, 0);
	tree(lo, mid);
	bpf[at].jt = nbpf - at - 1;
	tree(mid + 1, hi);
}
static void filter(void) {
	char ok[TOP] = { 0 };
	for (int i = 0; i < TOP; i++) ok[i] = i < 335 || i >= 424;
	EACH(i, denied) ok[denied[i]] = 0;
	ins(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	ins(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	ins(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	ins(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	for (int i = 0; i <= TOP; i++) if ((i && ok[i - 1]) != (i < TOP && ok[i])) edge[nedge++] = i;
	tree(0, nedge);
	if (dump) {
		int f = must(open(dump, O_WRONLY | O_CREAT | O_TRUNC, 0644), dump);
		_exit(write(f, bpf, nbpf * sizeof *bpf) < 0);
	}
	struct sock_fprog p = { nbpf, bpf };
	SYS(seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
}

static int jail(void *unused) {
	(void)unused;
	SYS(mount, NULL, "/", NULL, MS_PRIVATE_ | MS_REC_, NULL);
	SYS(move_mount, build_tree(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
	must(fchdir(top), "fchdir");
	must(chroot("."), "chroot");
	attach(new_fs("proc", NULL, RW_ATTR), "proc");
	struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	SYS(mount_setattr, AT_FDCWD, "/", 0, &ro, sizeof ro);
	must(sethostname("jail", 4), "sethostname");
	for (int c = 0; prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0; c++);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	SYS(setgroups, 0, NULL);
	SYS(setresgid, 65534, 65534, 65534);
	SYS(setresuid, 65534, 65534, 65534);
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { 0 };
	SYS(capset, &h, d);
	SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	filter();
	SYS(close_range, 3, ~0U, 0);
	if (wait_) for (;;) pause();
	static char *env[] = { "PATH=/usr/sbin:/usr/bin", NULL };
	execve(cmd[0], cmd, env);
	must(-1, cmd[0]);
	return 0;
}

int main(int argc, char **argv) {
	int i = 1;
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strncmp(argv[i], "--app=", 6)) app = argv[i] + 6;
		else if (!strncmp(argv[i], "--binds=", 8)) binds = atoi(argv[i] + 8);
		else if (!strncmp(argv[i], "--dump=", 7)) dump = argv[i] + 7;
		else if (!strcmp(argv[i], "--wait")) wait_ = 1;
		else { fprintf(stderr, "floor: bad flag %s\n", argv[i]); return 125; }
	}
	cmd = argv + i;
	if (dump) filter();
	umask(0);
	static char stack[65536] __attribute__((aligned(16)));
	int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | SIGCHLD | CLONE_VM | CLONE_VFORK;
	int status, pid = must(clone(jail, stack + sizeof stack, flags, NULL), "clone");
	must(waitpid(pid, &status, 0), "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
