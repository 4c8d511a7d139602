//! The story is told in [`relatch::cli`]; the wiring is in [`relatch::app`].

use std::process::ExitCode;

fn main() -> ExitCode {
    relatch::cli::main()
}
