//! A command is done, or leaves an instance to serve.

use std::process::ExitCode;

use relatch::app::App;
use relatch::cli::{self, Next};

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
