//! A command is done, or leaves an instance to serve.

use std::process::ExitCode;

use relatch::app::App;
use relatch::cli::{self, Next};

/// Lists of a hundred thousand secrets are millions of small pieces, made and freed at every reading: with the system's
/// allocator that takes half as long again (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::main() {
        Ok(Next::Exit(code)) => code,
        Ok(Next::Serve(launch)) => match App(*launch).run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => cli::failed(&error),
        },
        Err(error) => cli::failed(&error),
    }
}
