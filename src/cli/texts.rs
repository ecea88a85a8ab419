//! Texts of the help that are longer than a line.
#![forbid(unsafe_code)]

/// What is printed when nothing was asked for.
pub const SHORT_HELP: &str = "\
jail runs a server in its own small world made of the host's own files.

  jail run nginx                                  run a shipped spec
  jail --spec ./my.toml -- /usr/sbin/my -f        run a spec file with another command
  jail run --user www-data --read /usr -- /usr/bin/id

`jail specs` lists the specs, `jail plan NAME` shows what would be done, `jail --help` has the rest.
";

/// Of `jail run`.
pub const EXAMPLES: &str = "\
Examples:
  jail run nginx                                   a shipped spec, or one of ./jails.d or /etc/jails.d
  jail run ./my.toml --env LOG=debug               flags are merged over the spec
  jail run nginx -- /usr/sbin/nginx -t             the words after -- replace the spec's command
  jail run --user www-data --read /usr -- /usr/bin/id
  jail run --root /srv/image --bind /srv/data:/data --robind /etc/ssl --user 1000 -- /bin/server
  jail run nginx --without landlock                gives one promise up, knowingly";

/// Of `jail audit`.
pub const AUDIT_HELP: &str = "\
A jail is judged as root would start it on a kernel that has all that jail can use, so that the score is
the same for everybody. It needs neither root nor the server: paths and users that this host lacks, but
for optional ones, are assumed to be there, and the report says so. docs/audit.md lists every weight.

Exit status:
  1      a score is above the threshold
  2      there is a mistake on the command line or in a spec
  125    the page could not be written";

/// Of `jail verify`.
pub const VERIFY_HELP: &str = "\
The prober is carried by jail itself and handed in by descriptor, so nothing has to be in the jail for
it, and the spec's command need not exist. Plan, user, and filter are those of a run; standard input is
the prober's, so that there is no terminal. Directories that the spec has made are made, and sockets
of `listen` are opened: a program that has them must be stopped first.

Each promise is `held`, `OPEN`, or `given up` with who gave it up: --without, or a key of the spec.

Exit status:
  0      nothing is open (with --strict: and nothing was given up)
  1      a promise is open
  2      there is a mistake on the command line or in a spec
  125    the jail could not be set up";

/// Of `jail ps`.
pub const PS_HELP: &str = "\
Stale is what the host has changed since the start and the jail does not follow: programs and libraries
that were upgraded and still run, mounted directories that were replaced, a spec that was edited, copies
of files that differ. `jail ps --stale` is made for monitoring, and for a hook after upgrades:

  echo 'DPkg::Post-Invoke { \"jail ps --stale || true\"; };' >/etc/apt/apt.conf.d/90jail

Root sees root's jails, a user their own (in $XDG_RUNTIME_DIR/jail).";

/// Of `jail exec`.
pub const EXEC_HELP: &str = "\
Examples:
  jail exec nginx -- /usr/sbin/nginx -t            what the program itself would see
  jail exec --host-tools nginx -- sh               a shell of the host's, whose / is the jail

The command gets the namespaces, user, capabilities, filters and limits of the jail as it was started,
whatever its spec says by now. With a terminal as standard input it has a terminal of its own. It ends
with the jail, and with this process.";

/// Of `jail limit`.
pub const LIMIT_HELP: &str = "\
Examples:
  jail limit --cpu 30% --memory 512M -- make -j8      a command, executed in place, without a jail
  jail limit --pid 1234 --pid 5678 --io-write 10M     running processes; --tree: with their children
  jail limit nginx --memory 1G                        a running jail
  jail limit --show nginx

The limits are those of [limits] in a spec: `jail help limits`. A command and running processes get a
group of their own in `jail` below the control group that this process is in; running processes leave
the groups they were in, and their limits. It is removed when its last process has ended, by a small
process that waits outside it.";

/// Of every command.
pub const EXIT_STATUS: &str = "\
Exit status:
  1      `jail verify`: a promise is open; `jail audit`: a score is above the threshold
  2      there is a mistake on the command line or in a spec
  125    the jail could not be set up, and the program never ran
  126    the program could not be executed
  127    the program is not in the jail
  other  the program's own; death by a signal is passed on as death by that signal";
