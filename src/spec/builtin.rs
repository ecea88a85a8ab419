//! The shipped specs and building blocks, built into the binary.
//!
//! Their texts are the files of `jails.d`. Must not know: how they are looked up.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

/// A shipped text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Builtin {
    /// As it is asked for: the file's name without `.toml`.
    pub name: &'static str,
    /// The whole text.
    pub text: &'static str,
}

macro_rules! shipped {
    ($folder:literal: $($name:literal),*) => {
        &[$(Builtin {
            name: $name,
            text: include_str!(concat!("../../", $folder, $name, ".toml")),
        }),*]
    };
}

/// Specs, sorted by name.
pub static SPECS: &[Builtin] = shipped![
    "jails.d/":
    "apache2",
    "bind9",
    "chrony",
    "dnsmasq",
    "dovecot",
    "gunicorn",
    "haproxy",
    "hello",
    "java",
    "lighttpd",
    "mariadb",
    "memcached",
    "mosquitto",
    "nginx",
    "nginx-no-network",
    "node",
    "nsd",
    "openssh-server",
    "php-fpm",
    "postfix",
    "postgresql",
    "prometheus",
    "python",
    "redis",
    "rsyslog",
    "sftp",
    "shell",
    "squid",
    "stunnel4",
    "unbound",
    "varnish",
    "vsftpd"
];

/// Building blocks for `include`, sorted by name.
pub static BLOCKS: &[Builtin] = shipped!["jails.d/blocks/":
    "dns",
    "java",
    "locale",
    "node",
    "php",
    "python",
    "rsyslog",
    "syslog",
    "timezone",
    "tls",
    "users"
];
