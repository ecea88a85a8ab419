# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_jail_global_optspecs
    string join \n v/verbose spec= u/user= g/group= read= write= tmpfs= b/bind= robind= r/root= net= cap= e/env= cwd= pid-file= pty name= system-calls= share= without= h/help V/version
end

function __fish_jail_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_jail_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_jail_using_subcommand
    set -l cmd (__fish_jail_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c jail -n "__fish_jail_needs_command" -l spec -d 'Run this spec: the same as `jail run FILE|NAME`' -r -F
complete -c jail -n "__fish_jail_needs_command" -s u -l user -d 'User to run as: a name, a number, or `auto`' -r -f -a "(__fish_complete_users)"
complete -c jail -n "__fish_jail_needs_command" -s g -l group -d 'Group to run as: a name or a number' -r
complete -c jail -n "__fish_jail_needs_command" -l read -d 'Show a host path read-only' -r -F
complete -c jail -n "__fish_jail_needs_command" -l write -d 'Show a host path writable' -r -F
complete -c jail -n "__fish_jail_needs_command" -l tmpfs -d 'An empty, bounded memory file system' -r
complete -c jail -n "__fish_jail_needs_command" -s b -l bind -d 'Show a host path writable, there or elsewhere' -r -F
complete -c jail -n "__fish_jail_needs_command" -l robind -d 'Show a host path read-only, there or elsewhere' -r -F
complete -c jail -n "__fish_jail_needs_command" -s r -l root -d 'Make / of this host directory, read-only, rather than of nothing' -r -f -a "(__fish_complete_directories)"
complete -c jail -n "__fish_jail_needs_command" -l net -d 'The host\'s network, or none but loopback' -r -f -a "host\t'The host\'s network'
none\t'Nothing but loopback'"
complete -c jail -n "__fish_jail_needs_command" -l cap -d 'Keep a capability (`jail help capabilities`)' -r
complete -c jail -n "__fish_jail_needs_command" -s e -l env -d 'Set a variable, or keep the caller\'s' -r
complete -c jail -n "__fish_jail_needs_command" -l cwd -d 'Working directory inside' -r
complete -c jail -n "__fish_jail_needs_command" -l pid-file -d '`run`: keep the number of the outer process in this file while the program runs' -r -F
complete -c jail -n "__fish_jail_needs_command" -l name -d 'Name of the jail (default: the spec\'s, or the program\'s)' -r
complete -c jail -n "__fish_jail_needs_command" -l system-calls -d 'Allow more system calls: @group, a call, or -call to refuse one' -r
complete -c jail -n "__fish_jail_needs_command" -l share -d 'Do not make this namespace' -r -f -a "pid\t'Process ids: the program is executed in place, no helper stays'
ipc\t'System V IPC and POSIX message queues'
uts\t'Host name'
cgroup\t'cgroup root'"
complete -c jail -n "__fish_jail_needs_command" -l without -d 'Give up a promise by name' -r -f -a "landlock\t'the second wall over the file tree (Linux 5.13, may be off at boot)'
network-ports\t'`bind` and `connect` of [network] (Linux 6.7, and Landlock)'
seccomp\t'the system-call filter'
session\t'a session of its own (in place it needs a caller that is not a job of a shell)'
groups\t'dropping the caller\'s supplementary groups (only root can)'
keyring\t'a session keyring of its own (CONFIG_KEYS)'
memory-deny-write-execute\t'refusing memory that is writable and executable'
record\t'the record that `ps`, `stop` and `exec` find the running jail by'"
complete -c jail -n "__fish_jail_needs_command" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_needs_command" -l pty -d 'Give it a terminal of its own if this is run on one (the key `terminal`)'
complete -c jail -n "__fish_jail_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jail -n "__fish_jail_needs_command" -s V -l version -d 'Print version'
complete -c jail -n "__fish_jail_needs_command" -a "run" -d 'Run a program in a jail'
complete -c jail -n "__fish_jail_needs_command" -a "plan" -d 'Show every step of a jail, in order; nothing is done'
complete -c jail -n "__fish_jail_needs_command" -a "verify" -d 'Start a jail with a built-in prober in place of the program, and try to break every promise'
complete -c jail -n "__fish_jail_needs_command" -a "check" -d 'Check specs against this host and report all that is wrong; nothing is done'
complete -c jail -n "__fish_jail_needs_command" -a "audit" -d 'Say how open jails are, from 0 (tight) to 10 (open), and why; nothing is done'
complete -c jail -n "__fish_jail_needs_command" -a "ps" -d 'List the running jails, and what of them is not any more as the host has it'
complete -c jail -n "__fish_jail_needs_command" -a "exec" -d 'Run a command in a running jail, confined as its program is'
complete -c jail -n "__fish_jail_needs_command" -a "limit" -d 'Limit what a command, running processes or a running jail may use of the machine, and no more'
complete -c jail -n "__fish_jail_needs_command" -a "top" -d 'Show what the running jails use, again and again'
complete -c jail -n "__fish_jail_needs_command" -a "stop" -d 'Stop running jails: their stop signals, their time to stop, then the end of all their processes'
complete -c jail -n "__fish_jail_needs_command" -a "reload" -d 'Make running jails reload their configuration: their reload signals'
complete -c jail -n "__fish_jail_needs_command" -a "refresh" -d 'Look at all files that running jails have copies of, and replace those that differ'
complete -c jail -n "__fish_jail_needs_command" -a "signal" -d 'Send a signal to the program of a running jail'
complete -c jail -n "__fish_jail_needs_command" -a "systemd" -d 'Print a systemd unit that runs a jail; without a spec, the template jail@.service'
complete -c jail -n "__fish_jail_needs_command" -a "specs" -d 'List the specs that can be run by name'
complete -c jail -n "__fish_jail_needs_command" -a "help" -d 'Explain a topic: spec, a KEY, @group, phases, capabilities, or a command'
complete -c jail -n "__fish_jail_needs_command" -a "completions" -d 'Print the completions for a shell'
complete -c jail -n "__fish_jail_needs_command" -a "man" -d 'Print the manual page (roff)'
complete -c jail -n "__fish_jail_using_subcommand run" -s u -l user -d 'User to run as: a name, a number, or `auto`' -r -f -a "(__fish_complete_users)"
complete -c jail -n "__fish_jail_using_subcommand run" -s g -l group -d 'Group to run as: a name or a number' -r
complete -c jail -n "__fish_jail_using_subcommand run" -l read -d 'Show a host path read-only' -r -F
complete -c jail -n "__fish_jail_using_subcommand run" -l write -d 'Show a host path writable' -r -F
complete -c jail -n "__fish_jail_using_subcommand run" -l tmpfs -d 'An empty, bounded memory file system' -r
complete -c jail -n "__fish_jail_using_subcommand run" -s b -l bind -d 'Show a host path writable, there or elsewhere' -r -F
complete -c jail -n "__fish_jail_using_subcommand run" -l robind -d 'Show a host path read-only, there or elsewhere' -r -F
complete -c jail -n "__fish_jail_using_subcommand run" -s r -l root -d 'Make / of this host directory, read-only, rather than of nothing' -r -f -a "(__fish_complete_directories)"
complete -c jail -n "__fish_jail_using_subcommand run" -l net -d 'The host\'s network, or none but loopback' -r -f -a "host\t'The host\'s network'
none\t'Nothing but loopback'"
complete -c jail -n "__fish_jail_using_subcommand run" -l cap -d 'Keep a capability (`jail help capabilities`)' -r
complete -c jail -n "__fish_jail_using_subcommand run" -s e -l env -d 'Set a variable, or keep the caller\'s' -r
complete -c jail -n "__fish_jail_using_subcommand run" -l cwd -d 'Working directory inside' -r
complete -c jail -n "__fish_jail_using_subcommand run" -l pid-file -d '`run`: keep the number of the outer process in this file while the program runs' -r -F
complete -c jail -n "__fish_jail_using_subcommand run" -l name -d 'Name of the jail (default: the spec\'s, or the program\'s)' -r
complete -c jail -n "__fish_jail_using_subcommand run" -l system-calls -d 'Allow more system calls: @group, a call, or -call to refuse one' -r
complete -c jail -n "__fish_jail_using_subcommand run" -l share -d 'Do not make this namespace' -r -f -a "pid\t'Process ids: the program is executed in place, no helper stays'
ipc\t'System V IPC and POSIX message queues'
uts\t'Host name'
cgroup\t'cgroup root'"
complete -c jail -n "__fish_jail_using_subcommand run" -l without -d 'Give up a promise by name' -r -f -a "landlock\t'the second wall over the file tree (Linux 5.13, may be off at boot)'
network-ports\t'`bind` and `connect` of [network] (Linux 6.7, and Landlock)'
seccomp\t'the system-call filter'
session\t'a session of its own (in place it needs a caller that is not a job of a shell)'
groups\t'dropping the caller\'s supplementary groups (only root can)'
keyring\t'a session keyring of its own (CONFIG_KEYS)'
memory-deny-write-execute\t'refusing memory that is writable and executable'
record\t'the record that `ps`, `stop` and `exec` find the running jail by'"
complete -c jail -n "__fish_jail_using_subcommand run" -l pty -d 'Give it a terminal of its own if this is run on one (the key `terminal`)'
complete -c jail -n "__fish_jail_using_subcommand run" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jail -n "__fish_jail_using_subcommand plan" -s u -l user -d 'User to run as: a name, a number, or `auto`' -r -f -a "(__fish_complete_users)"
complete -c jail -n "__fish_jail_using_subcommand plan" -s g -l group -d 'Group to run as: a name or a number' -r
complete -c jail -n "__fish_jail_using_subcommand plan" -l read -d 'Show a host path read-only' -r -F
complete -c jail -n "__fish_jail_using_subcommand plan" -l write -d 'Show a host path writable' -r -F
complete -c jail -n "__fish_jail_using_subcommand plan" -l tmpfs -d 'An empty, bounded memory file system' -r
complete -c jail -n "__fish_jail_using_subcommand plan" -s b -l bind -d 'Show a host path writable, there or elsewhere' -r -F
complete -c jail -n "__fish_jail_using_subcommand plan" -l robind -d 'Show a host path read-only, there or elsewhere' -r -F
complete -c jail -n "__fish_jail_using_subcommand plan" -s r -l root -d 'Make / of this host directory, read-only, rather than of nothing' -r -f -a "(__fish_complete_directories)"
complete -c jail -n "__fish_jail_using_subcommand plan" -l net -d 'The host\'s network, or none but loopback' -r -f -a "host\t'The host\'s network'
none\t'Nothing but loopback'"
complete -c jail -n "__fish_jail_using_subcommand plan" -l cap -d 'Keep a capability (`jail help capabilities`)' -r
complete -c jail -n "__fish_jail_using_subcommand plan" -s e -l env -d 'Set a variable, or keep the caller\'s' -r
complete -c jail -n "__fish_jail_using_subcommand plan" -l cwd -d 'Working directory inside' -r
complete -c jail -n "__fish_jail_using_subcommand plan" -l pid-file -d '`run`: keep the number of the outer process in this file while the program runs' -r -F
complete -c jail -n "__fish_jail_using_subcommand plan" -l name -d 'Name of the jail (default: the spec\'s, or the program\'s)' -r
complete -c jail -n "__fish_jail_using_subcommand plan" -l system-calls -d 'Allow more system calls: @group, a call, or -call to refuse one' -r
complete -c jail -n "__fish_jail_using_subcommand plan" -l share -d 'Do not make this namespace' -r -f -a "pid\t'Process ids: the program is executed in place, no helper stays'
ipc\t'System V IPC and POSIX message queues'
uts\t'Host name'
cgroup\t'cgroup root'"
complete -c jail -n "__fish_jail_using_subcommand plan" -l without -d 'Give up a promise by name' -r -f -a "landlock\t'the second wall over the file tree (Linux 5.13, may be off at boot)'
network-ports\t'`bind` and `connect` of [network] (Linux 6.7, and Landlock)'
seccomp\t'the system-call filter'
session\t'a session of its own (in place it needs a caller that is not a job of a shell)'
groups\t'dropping the caller\'s supplementary groups (only root can)'
keyring\t'a session keyring of its own (CONFIG_KEYS)'
memory-deny-write-execute\t'refusing memory that is writable and executable'
record\t'the record that `ps`, `stop` and `exec` find the running jail by'"
complete -c jail -n "__fish_jail_using_subcommand plan" -l json -d 'As JSON'
complete -c jail -n "__fish_jail_using_subcommand plan" -l pty -d 'Give it a terminal of its own if this is run on one (the key `terminal`)'
complete -c jail -n "__fish_jail_using_subcommand plan" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jail -n "__fish_jail_using_subcommand verify" -s u -l user -d 'User to run as: a name, a number, or `auto`' -r -f -a "(__fish_complete_users)"
complete -c jail -n "__fish_jail_using_subcommand verify" -s g -l group -d 'Group to run as: a name or a number' -r
complete -c jail -n "__fish_jail_using_subcommand verify" -l read -d 'Show a host path read-only' -r -F
complete -c jail -n "__fish_jail_using_subcommand verify" -l write -d 'Show a host path writable' -r -F
complete -c jail -n "__fish_jail_using_subcommand verify" -l tmpfs -d 'An empty, bounded memory file system' -r
complete -c jail -n "__fish_jail_using_subcommand verify" -s b -l bind -d 'Show a host path writable, there or elsewhere' -r -F
complete -c jail -n "__fish_jail_using_subcommand verify" -l robind -d 'Show a host path read-only, there or elsewhere' -r -F
complete -c jail -n "__fish_jail_using_subcommand verify" -s r -l root -d 'Make / of this host directory, read-only, rather than of nothing' -r -f -a "(__fish_complete_directories)"
complete -c jail -n "__fish_jail_using_subcommand verify" -l net -d 'The host\'s network, or none but loopback' -r -f -a "host\t'The host\'s network'
none\t'Nothing but loopback'"
complete -c jail -n "__fish_jail_using_subcommand verify" -l cap -d 'Keep a capability (`jail help capabilities`)' -r
complete -c jail -n "__fish_jail_using_subcommand verify" -s e -l env -d 'Set a variable, or keep the caller\'s' -r
complete -c jail -n "__fish_jail_using_subcommand verify" -l cwd -d 'Working directory inside' -r
complete -c jail -n "__fish_jail_using_subcommand verify" -l pid-file -d '`run`: keep the number of the outer process in this file while the program runs' -r -F
complete -c jail -n "__fish_jail_using_subcommand verify" -l name -d 'Name of the jail (default: the spec\'s, or the program\'s)' -r
complete -c jail -n "__fish_jail_using_subcommand verify" -l system-calls -d 'Allow more system calls: @group, a call, or -call to refuse one' -r
complete -c jail -n "__fish_jail_using_subcommand verify" -l share -d 'Do not make this namespace' -r -f -a "pid\t'Process ids: the program is executed in place, no helper stays'
ipc\t'System V IPC and POSIX message queues'
uts\t'Host name'
cgroup\t'cgroup root'"
complete -c jail -n "__fish_jail_using_subcommand verify" -l without -d 'Give up a promise by name' -r -f -a "landlock\t'the second wall over the file tree (Linux 5.13, may be off at boot)'
network-ports\t'`bind` and `connect` of [network] (Linux 6.7, and Landlock)'
seccomp\t'the system-call filter'
session\t'a session of its own (in place it needs a caller that is not a job of a shell)'
groups\t'dropping the caller\'s supplementary groups (only root can)'
keyring\t'a session keyring of its own (CONFIG_KEYS)'
memory-deny-write-execute\t'refusing memory that is writable and executable'
record\t'the record that `ps`, `stop` and `exec` find the running jail by'"
complete -c jail -n "__fish_jail_using_subcommand verify" -l json -d 'As JSON'
complete -c jail -n "__fish_jail_using_subcommand verify" -l strict -d 'A promise that was given up counts as open'
complete -c jail -n "__fish_jail_using_subcommand verify" -l pty -d 'Give it a terminal of its own if this is run on one (the key `terminal`)'
complete -c jail -n "__fish_jail_using_subcommand verify" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jail -n "__fish_jail_using_subcommand check" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand check" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand audit" -l threshold -d 'Exit with status 1 if a score is above this, a number from 0 to 10' -r
complete -c jail -n "__fish_jail_using_subcommand audit" -l html -d 'Also write it all, with a picture of each jail, to one HTML page' -r -F
complete -c jail -n "__fish_jail_using_subcommand audit" -l without -d 'Judge them with a promise given up' -r -f -a "landlock\t'the second wall over the file tree (Linux 5.13, may be off at boot)'
network-ports\t'`bind` and `connect` of [network] (Linux 6.7, and Landlock)'
seccomp\t'the system-call filter'
session\t'a session of its own (in place it needs a caller that is not a job of a shell)'
groups\t'dropping the caller\'s supplementary groups (only root can)'
keyring\t'a session keyring of its own (CONFIG_KEYS)'
memory-deny-write-execute\t'refusing memory that is writable and executable'
record\t'the record that `ps`, `stop` and `exec` find the running jail by'"
complete -c jail -n "__fish_jail_using_subcommand audit" -l json -d 'As JSON'
complete -c jail -n "__fish_jail_using_subcommand audit" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand audit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jail -n "__fish_jail_using_subcommand ps" -l json -d 'As JSON'
complete -c jail -n "__fish_jail_using_subcommand ps" -l stale -d 'Only what is stale, a line each; exit with status 1 if there is any'
complete -c jail -n "__fish_jail_using_subcommand ps" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand ps" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand exec" -l root -d 'As root and without confinement, for the operator; the jail\'s files are what it sees'
complete -c jail -n "__fish_jail_using_subcommand exec" -l host-tools -d 'The same, with the host\'s programs, for a jail that has no shell; the host\'s root is at /.host'
complete -c jail -n "__fish_jail_using_subcommand exec" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand exec" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand limit" -l memory -d 'How much memory: 512M' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l memory-high -d 'Above this it is slowed down (cgroup v2)' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l swap -d 'How much swap; 0: none' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l cpu -d 'How much CPU time: 30%, or "2.5 cores"' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l cpu-weight -d 'Share of CPU time where others want it, too: 1 to 10000, 100 is usual' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l cpus -d 'The only CPUs: 0-3,6' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l tasks -d 'How many processes and threads' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l io-read -d 'How fast each disk is read: 10M, "500 iops", or both with a comma' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l io-write -d 'How fast each disk is written' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l disk -d 'Only the disk that this path is on, or of these numbers, in place of each' -r -F
complete -c jail -n "__fish_jail_using_subcommand limit" -l io-weight -d 'Share of disks where others want them, too: 1 to 10000, 100 is usual' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -s u -l user -d 'Run the command as this user' -r -f -a "(__fish_complete_users)"
complete -c jail -n "__fish_jail_using_subcommand limit" -l pid -d 'Move a running process, with all its threads' -r
complete -c jail -n "__fish_jail_using_subcommand limit" -l tree -d 'With all that they have started'
complete -c jail -n "__fish_jail_using_subcommand limit" -l show -d 'Show limits and use of a jail, of processes, or of all running jails'
complete -c jail -n "__fish_jail_using_subcommand limit" -l dry-run -d 'Show what would be done; nothing is done'
complete -c jail -n "__fish_jail_using_subcommand limit" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand limit" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand top" -l every -d 'Seconds between two looks' -r
complete -c jail -n "__fish_jail_using_subcommand top" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand top" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand stop" -l timeout -d 'Seconds until they are killed, in place of their specs\' stop-timeout' -r
complete -c jail -n "__fish_jail_using_subcommand stop" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand stop" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand reload" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand reload" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand refresh" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand refresh" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand signal" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand signal" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand systemd" -l type -d 'When the service counts as started' -r -f -a "exec\t'Once jail is executed'
simple\t'At once'
notify\t'When the program says so (sd_notify)'"
complete -c jail -n "__fish_jail_using_subcommand systemd" -l without -d 'Have the unit give up a promise by name' -r -f -a "landlock\t'the second wall over the file tree (Linux 5.13, may be off at boot)'
network-ports\t'`bind` and `connect` of [network] (Linux 6.7, and Landlock)'
seccomp\t'the system-call filter'
session\t'a session of its own (in place it needs a caller that is not a job of a shell)'
groups\t'dropping the caller\'s supplementary groups (only root can)'
keyring\t'a session keyring of its own (CONFIG_KEYS)'
memory-deny-write-execute\t'refusing memory that is writable and executable'
record\t'the record that `ps`, `stop` and `exec` find the running jail by'"
complete -c jail -n "__fish_jail_using_subcommand systemd" -l socket -d 'The socket unit for the spec\'s `listen`; with --install, that one, too'
complete -c jail -n "__fish_jail_using_subcommand systemd" -l install -d 'Write it to /etc/systemd/system; a unit that jail has not written is never replaced'
complete -c jail -n "__fish_jail_using_subcommand systemd" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand systemd" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jail -n "__fish_jail_using_subcommand specs" -l blocks -d 'Also the building blocks that specs include'
complete -c jail -n "__fish_jail_using_subcommand specs" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand specs" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand help" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand help" -s h -l help -d 'Print help'
complete -c jail -n "__fish_jail_using_subcommand completions" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c jail -n "__fish_jail_using_subcommand man" -s v -l verbose -d 'Say more on standard error: -v what is done, -vv every detail (or JAIL_LOG=FILTER)'
complete -c jail -n "__fish_jail_using_subcommand man" -s h -l help -d 'Print help'
