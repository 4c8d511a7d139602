//! How much of the machine a thread takes beside those that serve requests.

/// Lets others go first by so much. Whoever steps back still gets a share of a core that everybody wants.
#[cfg(target_os = "linux")]
pub fn step_back(niceness: i32) {
    // On Linux this is of the calling thread alone, and of those that it starts.
    let _best_effort = rustix::process::nice(niceness);
}

#[cfg(not(target_os = "linux"))]
pub const fn step_back(_: i32) {}
