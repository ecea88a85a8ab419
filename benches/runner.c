// runner.c - interleaved start-to-exit timing of commands, and jails per second.
//   runner [-n ROUNDS] [-w WARMUP] [-b NAME,NAME] [-v] FILE     latency, as a markdown table
//   runner -t SECONDS [-j STARTERS] FILE                        starts per second, one command after the other
// FILE: one command a line, "name: cmd arg arg"; a trailing \ continues the line, # starts a comment line.
// A word <PATH makes that file the command's stdin.
// Every round runs every command once, in a new random order. A command that does not exit 0 is reported and left out.
// A command that lasts 30 seconds is killed.
// Time: from just before posix_spawn (vfork inside) to wait4's return; cpu: user+system of the waited-for processes.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAXCMD = 64, MAXARG = 4096 };
static struct cmd { char *name, **argv, *in; double *us, *cpu; int bad; } cmds[MAXCMD];
static int ncmd, verbose;
static posix_spawn_file_actions_t quiet;

static double now_us(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e6 + t.tv_nsec / 1e3; }

static pid_t running;
static void too_long(int sig) { (void)sig; kill(running, SIGKILL); } // a command gets 30 seconds

static int once(struct cmd *c, double *us, double *cpu) {
	static char *env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", NULL };
	struct rusage ru;
	pid_t pid;
	int st;
	posix_spawn_file_actions_t in, *fa = verbose ? NULL : &quiet;
	if (c->in) {
		posix_spawn_file_actions_init(fa = &in);
		posix_spawn_file_actions_addopen(&in, 0, c->in, O_RDONLY, 0);
		for (int fd = 1; fd < 3 && !verbose; fd++) posix_spawn_file_actions_addopen(&in, fd, "/dev/null", O_WRONLY, 0);
	}
	double t = now_us();
	int e = posix_spawnp(&pid, c->argv[0], fa, NULL, c->argv, env);
	if (e) { fprintf(stderr, "%s: %s\n", c->name, strerror(e)); return -1; }
	running = pid;
	alarm(30);
	while (wait4(pid, &st, 0, &ru) < 0);
	alarm(0);
	*us = now_us() - t;
	if (c->in) posix_spawn_file_actions_destroy(&in);
	*cpu = ru.ru_utime.tv_sec * 1e6 + ru.ru_utime.tv_usec + ru.ru_stime.tv_sec * 1e6 + ru.ru_stime.tv_usec;
	return st;
}

static void load(const char *file) {
	FILE *f = strcmp(file, "-") ? fopen(file, "re") : stdin;
	if (!f) { perror(file); exit(1); }
	static char line[1 << 20];
	size_t len = 0;
	while (fgets(line + len, sizeof line - len, f)) {
		len += strcspn(line + len, "\n");
		if (len && line[len - 1] == '\\') { line[len - 1] = ' '; continue; }
		line[len] = 0; len = 0;
		char *p = strdup(line), *name = strtok(p, " \t");
		if (!name || name[0] == '#') continue;
		name[strcspn(name, ":")] = 0;
		struct cmd *c = &cmds[ncmd++];
		c->name = name;
		c->argv = calloc(MAXARG, sizeof *c->argv);
		for (int i = 0; i < MAXARG - 1 && (c->argv[i] = strtok(NULL, " \t")); i++)
			if (c->argv[i][0] == '<') { c->in = c->argv[i] + 1; c->argv[i--] = NULL; }
		if (ncmd == MAXCMD) break;
	}
}

static int cmp(const void *a, const void *b) { double x = *(double *)a, y = *(double *)b; return (x > y) - (x < y); }
static double quantile(const double *v, int n, double q) {
	double *s = malloc(n * sizeof *s);
	memcpy(s, v, n * sizeof *s);
	qsort(s, n, sizeof *s, cmp);
	double r = s[(int)(q * (n - 1) + 0.5)];
	free(s);
	return r;
}

static void latency(int rounds, int warm, char *bases) {
	int order[MAXCMD];
	for (int i = 0; i < ncmd; i++) { order[i] = i; cmds[i].us = calloc(rounds, sizeof(double)); cmds[i].cpu = calloc(rounds, sizeof(double)); }
	srand(getpid());
	for (int r = -warm; r < rounds; r++) {
		for (int i = ncmd - 1; i > 0; i--) { int j = rand() % (i + 1), t = order[i]; order[i] = order[j]; order[j] = t; }
		for (int i = 0; i < ncmd; i++) {
			struct cmd *c = &cmds[order[i]];
			double us, cpu;
			if (c->bad) continue;
			int st = once(c, &us, &cpu);
			if (st) { c->bad = 1; fprintf(stderr, "%s: wait status %#x, left out (try -v)\n", c->name, st); continue; }
			if (r < 0) continue;
			c->us[r] = us; c->cpu[r] = cpu;
		}
	}
	struct cmd *base[4]; int nb = 0;
	for (char *b = strtok(bases, ","); b && nb < 4; b = strtok(NULL, ","))
		for (int i = 0; i < ncmd; i++) if (!strcmp(cmds[i].name, b) && !cmds[i].bad) base[nb++] = &cmds[i];
	printf("| microseconds, n = %d | median | p95 | min | cpu |", rounds);
	for (int b = 0; b < nb; b++) printf(" /%s |", base[b]->name);
	printf("\n|---|---|---|---|---|");
	for (int b = 0; b < nb; b++) printf("---|");
	printf("\n");
	for (int i = 0; i < ncmd; i++) {
		struct cmd *c = &cmds[i];
		if (c->bad) { printf("| %s | failed |\n", c->name); continue; }
		printf("| %s | %.0f | %.0f | %.0f | %.0f |", c->name, quantile(c->us, rounds, .5), quantile(c->us, rounds, .95), quantile(c->us, rounds, 0), quantile(c->cpu, rounds, .5));
		for (int b = 0; b < nb; b++) {
			double *q = malloc(rounds * sizeof *q);
			for (int r = 0; r < rounds; r++) q[r] = c->us[r] / base[b]->us[r];
			printf(" %.2f |", quantile(q, rounds, .5));
			free(q);
		}
		printf("\n");
	}
}

static void throughput(double secs, int starters) {
	long *count = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < ncmd; i++) {
		for (int j = 0; j < starters; j++) count[j] = 0;
		double t0 = now_us(), us, cpu;
		for (int j = 0; j < starters; j++) if (!fork()) {
			while (now_us() - t0 < secs * 1e6) { if (once(&cmds[i], &us, &cpu)) _exit(1); count[j]++; }
			_exit(0);
		}
		int st, bad = 0;
		for (int j = 0; j < starters; j++) { wait(&st); bad |= st; }
		double el = (now_us() - t0) / 1e6;
		long n = 0;
		for (int j = 0; j < starters; j++) n += count[j];
		printf("| %s | %d | %.0f%s |\n", cmds[i].name, starters, n / el, bad ? " (some failed)" : "");
		fflush(stdout);
	}
}

int main(int argc, char **argv) {
	int o, n = 200, w = 5, j = 1;
	double t = 0;
	char *b = strdup("");
	while ((o = getopt(argc, argv, "n:w:b:t:j:v")) != -1) switch (o) {
		case 'n': n = atoi(optarg); break;
		case 'w': w = atoi(optarg); break;
		case 'b': b = optarg; break;
		case 't': t = atof(optarg); break;
		case 'j': j = atoi(optarg); break;
		case 'v': verbose = 1; break;
		default: return 2;
	}
	if (optind != argc - 1) { fprintf(stderr, "usage: see the top of runner.c\n"); return 2; }
	load(argv[optind]);
	signal(SIGALRM, too_long);
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
	for (int fd = 1; fd < 3; fd++) posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_WRONLY, 0);
	if (t > 0) throughput(t, j); else latency(n, w, b);
	return 0;
}
