//! Points of what is shown of the host: trees, sockets, devices, the root.
#![forbid(unsafe_code)]

use super::{Item, item};

/// Host paths that give more than a program needs. `*` is any one name, `**` at the end the path
/// itself and all below it; of those that match, the most exact one counts.
pub const SHOWN: &[Item] = &[
    item(
        "/",
        20,
        "ProtectSystem=",
        "the whole host can be read, as far as file modes allow: nothing is hidden but by them",
    ),
    item(
        "/etc",
        8,
        "ProtectSystem=",
        "configuration of every service, and every secret in it that is not guarded by its mode",
    ),
    item("/etc/shadow", 15, "ProtectSystem=", "password hashes of all users"),
    item("/etc/gshadow", 8, "ProtectSystem=", "password hashes of groups"),
    item("/etc/ssh/**", 6, "ProtectSystem=", "the host's own keys, if the program's user can read them"),
    item("/etc/ssl/private/**", 4, "ProtectSystem=", "private keys, if the program's user can read them"),
    item("/etc/letsencrypt/**", 4, "ProtectSystem=", "private keys, if the program's user can read them"),
    item("/etc/sudoers", 4, "ProtectSystem=", "who may become root, and how"),
    item("/etc/passwd", 1, "PrivateUsers=", "names of all users of the host"),
    item("/root/**", 12, "ProtectHome=", "the administrator's keys and histories"),
    item("/home", 10, "ProtectHome=", "people's keys, mail and histories"),
    item("/home/*", 8, "ProtectHome=", "somebody's keys, mail and histories"),
    item("/home/*/*/**", 2, "ProtectHome=", "what somebody puts there, or links to"),
    item("/var", 8, "ProtectSystem=", "data of every service"),
    item("/var/lib", 6, "ProtectSystem=", "data of every service"),
    item("/var/lib/docker/**", 8, "ProtectSystem=", "file systems of all containers"),
    item("/var/log", 3, "ProtectSystem=", "logs of every service, with addresses and names in them"),
    item("/var/spool", 4, "ProtectSystem=", "mail, print and cron jobs of others"),
    item("/var/spool/cron/**", 4, "ProtectSystem=", "what runs when, as whom"),
    item("/var/backups/**", 4, "ProtectSystem=", "copies of what is protected elsewhere"),
    item("/var/mail/**", 6, "ProtectHome=", "people's mail"),
    item("/var/tmp/**", 3, "PrivateTmp=", "files of everybody, a meeting place for attacks by link"),
    item("/tmp/**", 3, "PrivateTmp=", "files and sockets of everybody, a meeting place for attacks by link"),
    item("/run", 8, "ProtectSystem=", "sockets of every service, and so every service"),
    item("/run/user/**", 8, "ProtectHome=", "sockets of people's sessions"),
    item(
        "/proc/**",
        15,
        "ProtectKernelTunables=",
        "the host's processes with their environments, and switches of the kernel",
    ),
    item("/sys/**", 6, "ProtectKernelTunables=", "the host's hardware and switches of the kernel"),
    item("/dev", 15, "PrivateDevices=", "every device of the host that its mode opens"),
    item("/boot/**", 3, "ProtectSystem=", "kernel images tell where an exploit has to aim"),
    item("/srv", 1, "ProtectSystem=", "what other services serve"),
    item("/opt", 1, "ProtectSystem=", "other programs and their data"),
];

/// Sockets whose owners do anything for whoever may connect. A read-only view does not hinder that.
pub const SOCKETS: &[Item] = &[
    item("/run/docker.sock", 30, "", "whoever may talk to dockerd is root"),
    item("/run/podman/podman.sock", 30, "", "whoever may talk to podman's root service is root"),
    item("/run/containerd/containerd.sock", 30, "", "whoever may talk to containerd is root"),
    item("/run/crio/crio.sock", 30, "", "whoever may talk to CRI-O is root"),
    item(
        "/run/libvirt/libvirt-sock",
        15,
        "",
        "whoever may talk to libvirtd can attach the host's disks to a machine",
    ),
    item("/var/lib/lxd/unix.socket", 30, "", "whoever may talk to lxd is root"),
    item("/run/snapd.socket", 5, "", "it can ask for packages to be installed"),
    item("/run/systemd/private", 10, "", "root can start any unit through it"),
    item(
        "/run/dbus/system_bus_socket",
        4,
        "",
        "every service of the system bus can be asked, guarded by its policy alone",
    ),
    item("other", 1, "", "the service behind it can be attacked"),
];

/// Host paths whose content others believe or run, when they can be written; as in [`SHOWN`].
pub const WRITABLE: &[Item] = &[
    item("/", 30, "ProtectSystem=", "the whole host can be written, as far as file modes allow"),
    item("/etc", 15, "ProtectSystem=", "what is written there, other services and root act upon"),
    item(
        "/etc/*/**",
        5,
        "ProtectSystem=",
        "what is written there, a service believes at its next start, perhaps as root",
    ),
    item("/usr/**", 15, "ProtectSystem=", "what is written there, everybody runs"),
    item("/bin/**", 15, "ProtectSystem=", "what is written there, everybody runs"),
    item("/sbin/**", 15, "ProtectSystem=", "what is written there, everybody runs"),
    item("/lib/**", 15, "ProtectSystem=", "what is written there, everybody runs"),
    item("/lib64/**", 15, "ProtectSystem=", "what is written there, everybody runs"),
    item("/boot/**", 15, "ProtectSystem=", "what is written there runs before everything else"),
    item("/opt/**", 8, "ProtectSystem=", "what is written there, others run"),
    item("/root/**", 15, "ProtectHome=", "root's shell reads it: keys, profiles, aliases"),
    item("/home", 12, "ProtectHome=", "people's shells read it: keys, profiles, aliases"),
    item("/home/*", 12, "ProtectHome=", "somebody's shell reads it: keys, profiles, aliases"),
    item("/home/*/*/**", 3, "ProtectHome=", "somebody opens what is written there"),
    item("/var", 8, "ProtectSystem=", "data and jobs of every service can be changed"),
    item("/var/lib", 8, "ProtectSystem=", "data of every service can be changed"),
    item("/var/log", 3, "ProtectSystem=", "logs of every service can be changed"),
    item(
        "/var/spool/cron/**",
        20,
        "ProtectSystem=",
        "what is written there runs as its owner, at the next minute",
    ),
    item("/var/tmp/**", 3, "PrivateTmp=", "links for others to fall over"),
    item("/tmp/**", 3, "PrivateTmp=", "links for others to fall over"),
    item("/run", 8, "ProtectSystem=", "pid files and sockets of others can be replaced"),
    item("/dev/**", 15, "PrivateDevices=", "nodes and memory files that others open"),
    item("/proc/**", 20, "ProtectKernelTunables=", "switches of the kernel"),
    item("/sys/**", 20, "ProtectKernelTunables=", "switches of the kernel"),
    item(
        "other",
        1,
        "",
        "what it writes there outlives it, others may open it, and it can fill the host's disk",
    ),
];

/// Devices beyond the basic ones, by the beginning of their name below /dev.
pub const DEVICES: &[Item] = &[
    item("mem", 30, "", "physical memory"),
    item("kmem", 30, "", "kernel memory"),
    item("port", 20, "", "hardware past the kernel"),
    item("sd", 20, "", "a disk past its file system"),
    item("vd", 20, "", "a disk past its file system"),
    item("nvme", 20, "", "a disk past its file system"),
    item("dm-", 20, "", "a disk past its file system"),
    item("mapper", 15, "", "disks past their file systems"),
    item("loop", 8, "", "images past their file systems"),
    item("sg", 15, "", "raw commands to disks"),
    item("kmsg", 4, "ProtectKernelLogs=", "the kernel's log"),
    item("input", 10, "", "every key that is pressed"),
    item("uinput", 10, "", "keys pressed in the operator's name"),
    item("hidraw", 8, "", "keyboards and security keys"),
    item("kvm", 5, "", "virtual machines, and the kernel code behind them"),
    item("vhost", 4, "", "kernel code that serves virtual machines"),
    item("fuse", 3, "", "file systems of its own, and the kernel code behind them"),
    item("net", 4, "", "network interfaces of its own"),
    item("dri", 4, "", "graphics drivers, which are large and often wrong"),
    item("nvidia", 4, "", "graphics drivers, which are large and often wrong"),
    item("rtc", 3, "ProtectClock=", "the hardware clock"),
    item("watchdog", 6, "", "the machine restarts when it wants"),
    item("snd", 2, "", "microphones"),
    item("video", 4, "", "cameras"),
    item("tty", 5, "", "terminals of others, or the serial console"),
    item("pts", 1, "", "terminals of its own: kernel code that few servers need"),
    item("other", 2, "", "one more driver of the kernel within reach"),
];

/// What `/` is, when it is a host directory.
pub const ROOTS: &[Item] = &[
    item(
        "writable",
        10,
        "ProtectSystem=",
        "programs and libraries it runs can be replaced by itself, and stay replaced",
    ),
    item(
        "read-only",
        2,
        "RootDirectory=/RootImage=",
        "all of the image is there, needed or not, and it does not follow the host's updates",
    ),
];
