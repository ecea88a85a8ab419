#!/usr/bin/env python3
"""What limits are worth: measured against what was asked for, under load.

  benches/limits.py JAIL [--quick]        or as the part `limits` of benches/run

As root, on cgroup v1. Everything happens in groups of its own below those that it is started in.
"""
import contextlib, os, subprocess, sys, tempfile, threading, time

BURN = """import os, sys, time
count, end = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
for _ in range(count):
    if os.fork() == 0:
        while time.monotonic() < end:
            pass
        os._exit(0)
for _ in range(count):
    os.wait()"""
HOG = "import sys\nx=[]\nwhile True:\n  x.append(bytearray(1<<20)); print(len(x), flush=True)"
FORKS = "import os,time\nn=1\ntry:\n  while True:\n    if os.fork()==0: time.sleep(60)\n    n+=1\nexcept OSError: print(n, flush=True)\nos.killpg(0,9)"
CONTROLLERS = ["cpu", "cpuset", "memory", "blkio", "pids"]


@contextlib.contextmanager
def groups():
    """Groups of one's own, one in each hierarchy; this process is in them meanwhile."""
    made = {}
    for line in open("/proc/self/cgroup"):
        names, path = line.strip().split(":", 2)[1:]
        if not set(names.split(",")) & set(CONTROLLERS):
            continue
        above = f"/sys/fs/cgroup/{names}{path.rstrip('/')}"
        own = f"{above}/jail-test-{os.getpid()}"
        os.mkdir(own)
        for file in ["cpuset.cpus", "cpuset.mems"]:
            if os.path.exists(f"{own}/{file}"):
                put(f"{own}/{file}", open(f"{above}/{file}").read())
        put(f"{own}/cgroup.procs", str(os.getpid()))
        made[names] = (above, own)
    try:
        yield {names: own for names, (_, own) in made.items()}
    finally:
        for above, own in made.values():
            put(f"{above}/cgroup.procs", str(os.getpid()))
            for _ in range(200):
                with contextlib.suppress(OSError):
                    for directory, _, _ in os.walk(own, topdown=False):
                        os.rmdir(directory)
                if not os.path.exists(own):
                    break
                time.sleep(0.01)


def put(path, text):
    with open(path, "w") as file:
        file.write(text)


def limited(jail, flags, *words):
    """Runs a command under limits: seconds, and CPU seconds of all its processes."""
    begin, before = time.monotonic(), os.times()
    run = subprocess.run([jail, "limit", *flags, "--", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    after = os.times()
    used = sum(after[2:4]) - sum(before[2:4])
    return time.monotonic() - begin, used, run


def row(what, asked, got, error=None):
    print(f"| {what} | {asked} | {got} | {'' if error is None else f'{error:+.1%}'} |", flush=True)


def cpu(jail, seconds):
    for asked, share, burners in [("30%", 0.3, 1), ("30%", 0.3, 4), ("150%", 1.5, 4)]:
        elapsed, used, _ = limited(jail, ["--cpu", asked], "python3", "-c", BURN, str(burners), str(seconds))
        row(f"cpu, {burners} burning for {seconds} s", asked, f"{used / elapsed:.1%}", used / elapsed / share - 1)


def memory(jail, own):
    most = 0

    def watch():
        nonlocal most
        while not done.is_set():
            for directory, below, _ in os.walk(f"{own['memory']}/jail"):
                with contextlib.suppress(OSError, ValueError):
                    if not below:
                        most = max(most, int(open(f"{directory}/memory.max_usage_in_bytes").read()))
            time.sleep(0.002)

    done = threading.Event()
    thread = threading.Thread(target=watch)
    thread.start()
    _, _, run = limited(jail, ["--memory", "64M"], "python3", "-c", HOG)
    done.set()
    thread.join()
    last = run.stdout.split()[-1].decode()
    row("memory, most in the group", "64 MiB", f"{most / 2**20:.1f} MiB; the hog had {last} MiB, killed by {-run.returncode}", most / 2**26 - 1)


def tasks(jail):
    _, _, run = limited(jail, ["--tasks", "20"], "setsid", "python3", "-c", FORKS)
    row("tasks, a fork bomb", 20, int(run.stdout))


def disk(jail, work, seconds):
    file = f"{work}/file"
    for key, words in [("--io-write", ["if=/dev/zero", f"of={file}", "oflag=direct", "conv=notrunc"]),
                       ("--io-read", [f"if={file}", "of=/dev/null", "iflag=direct"])]:
        free, _, _ = limited(jail, ["--tasks", "100"], "dd", "bs=1M", f"count={10 * seconds}", *words)
        elapsed, _, _ = limited(jail, [key, "10M", "--disk", work], "dd", "bs=1M", f"count={10 * seconds}", *words)
        rate = 10 * seconds / elapsed
        row(f"dd, direct, {key} ({10 * seconds / free:.0f} MiB/s without)", "10 MiB/s", f"{rate:.2f} MiB/s", rate / 10 - 1)
    elapsed, _, _ = limited(jail, ["--io-write", "200 iops", "--disk", work], "dd", "bs=4k", f"count={200 * seconds}",
                            "if=/dev/zero", f"of={file}", "oflag=direct", "conv=notrunc")
    row("dd, direct, 4 KiB each", "200 iops", f"{200 * seconds / elapsed:.0f} iops", 1 / elapsed * seconds - 1)


def neighbour(seconds):
    """Milliseconds that 2 ms of work take a neighbour: median and 95th percentile."""
    begin, times = time.monotonic(), []
    while time.monotonic() < begin + seconds:
        one = time.monotonic()
        for _ in range(20000):
            pass
        times.append((time.monotonic() - one) * 1000)
        time.sleep(0.005)
    times.sort()
    return f"{times[len(times) // 2]:.1f} / {times[int(len(times) * 0.95)]:.1f} ms"


def neighbours(jail, seconds):
    print(f"\n| a neighbour's short work takes (median / p95) | |\n|---|---|\n| alone | {neighbour(seconds)} |", flush=True)
    for what, words in [("beside 8 burning", []), ("beside 8 burning, --cpu 20%", [jail, "limit", "--cpu", "20%", "--"])]:
        load = subprocess.Popen([*words, "python3", "-c", BURN, "8", str(seconds + 2)])
        time.sleep(1)
        print(f"| {what} | {neighbour(seconds)} |", flush=True)
        load.wait()


def many(jail, own, work, count):
    spec = f"{work}/many.toml"
    put(spec, '[process]\ncommand = ["/usr/bin/sleep", "1000"]\n[files]\nread = ["/usr"]\n'
              '[limits]\nmemory = "32M"\ncpu = "50%"\ntasks = 8\n')
    started, times = [], []
    for index in range(count):
        begin = time.monotonic()
        started.append(subprocess.Popen([jail, "run", spec, "--name", f"many{index}"], stderr=subprocess.PIPE))
        while not os.path.exists(f"{os.environ['JAIL_STATE']}/many{index}.json"):
            time.sleep(0.0005)
        times.append((time.monotonic() - begin) * 1000)
    there = sum(len(os.listdir(f"{top}/jail")) > 0 and sum(os.path.isdir(f"{top}/jail/{d}") for d in os.listdir(f"{top}/jail"))
                for top in own.values() if os.path.isdir(f"{top}/jail"))
    for jail in started:
        jail.terminate()
    for jail in started:
        jail.wait()
    left = [d for top in own.values() for d, _, _ in os.walk(top) if d != top]
    tenth = max(1, count // 10)
    middle = lambda values: sorted(values)[len(values) // 2]
    print(f"\n{count} jails with limits at once: {there} groups; start of the first {tenth} {middle(times[:tenth]):.1f} ms, of the "
          f"last {tenth} {middle(times[-tenth:]):.1f} ms (medians); after their end {len(left)} groups are left", flush=True)


def measure(jail, quick):
    seconds = 1 if quick else 10
    print("\n### Limits\n\n| limit | asked for | measured | |\n|---|---|---|---|")
    # On a disk: /tmp may be memory.
    with groups() as own, tempfile.TemporaryDirectory(prefix="jail-bench-", dir="/var/tmp") as work:
        os.environ["JAIL_STATE"] = f"{work}/state"
        cpu(jail, seconds)
        memory(jail, own)
        tasks(jail)
        disk(jail, work, seconds)
        neighbours(jail, seconds)
        many(jail, own, work, 20 if quick else 500)


if __name__ == "__main__":
    measure(sys.argv[1], "--quick" in sys.argv)
