//! A command is done, or leaves an instance to serve.

use std::process::ExitCode;

use relatch::app::App;
use relatch::cli::{self, Next};
use tikv_jemallocator::Jemalloc;

/// Gives back what a burst of requests took, and holds a long list in less: docs/performance.md.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
