//! `jail completions` and `jail man`: files made ahead of the parser's own description. A test
//! compares them with it, so that they cannot fall behind.

use crate::cli::Shell;

/// The manual page.
pub const MAN: &str = include_str!("../../docs/jail.1");

/// The completions for a shell.
pub fn completions(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../docs/completions/jail.bash"),
        Shell::Fish => include_str!("../../docs/completions/jail.fish"),
        Shell::Zsh => include_str!("../../docs/completions/_jail"),
    }
}
