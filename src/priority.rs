//! How much of the machine a thread takes beside those that serve requests.

/// Lets others go first by so much. Whoever steps back still gets a share of a core that everybody wants.
#[cfg(target_os = "linux")]
pub fn step_back(niceness: i32) {
    // On Linux this is of the calling thread alone, and of those that it starts.
    let _best_effort = rustix::process::nice(niceness);
}

/// Takes only what nobody else of the control group wants: whoever wakes up there has the core at once, where niceness alone lets
/// a thread first finish its slice of some milliseconds. There is no way back, and next to nothing where every core is wanted.
/// Whoever runs so should hold no lock that others wait for.
#[cfg(target_os = "linux")]
pub fn give_way() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let _best_effort = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
}

#[cfg(not(target_os = "linux"))]
pub const fn step_back(_: i32) {}

#[cfg(not(target_os = "linux"))]
pub const fn give_way() {}
