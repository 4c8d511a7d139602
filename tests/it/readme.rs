//! README.md, and after it docs/rotation.md, typed line by line: what they say comes out, comes out.

use crate::support::console::Console;
use crate::support::quick::Quick;

#[test]
fn every_console_block_of_the_readme_prints_what_it_says() {
    let upstream = Quick::start();
    let mut console = Console::open(upstream.url().trim_start_matches("http://"));
    let mut faults = console.follow(include_str!("../../README.md"));
    faults.extend(console.follow(include_str!("../../docs/rotation.md")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(upstream.answered() > 0, "nobody asked for a token");
}
