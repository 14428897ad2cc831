//! Interrupts and SIGKILL: nothing lost, nothing doubled, the same bits.

use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::site::{Site, program, root, text};

/// Runs the kill script, which compares a disturbed sweep with an undisturbed one.
fn chaos(layout: &str, kills: &str, trials: &str) {
    let script = root().join("scripts/chaos.py");
    let output = Command::new("python3")
        .arg(script)
        .args([program(), "--layout", layout, "--kills", kills, "--trials", trials])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn a_sweep_whose_workers_and_scheduler_are_killed_ends_in_the_same_bits() {
    chaos("run", "3", "24");
}

#[test]
fn separate_processes_reconnect_after_kills_and_end_in_the_same_bits() {
    chaos("separate", "3", "24");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "waits for another process to get going")]
fn an_interrupted_run_keeps_its_checkpoints_and_resume_goes_on() {
    let site = Site::new();
    let spec = site.spec(&[
        ("trials: 24", "trials: 4"),
        ("batch: 8", "batch: 4"),
        ("epochs: 8", "epochs: 40"),
        ("patience: 8", "patience: 40"),
    ]);
    let mut run = site.start(&["run", &spec, "--json"]);
    let experiment = loop {
        std::thread::sleep(Duration::from_millis(200));
        let listed = site.json(&["ls"]);
        if let Some(experiment) = listed["experiments"].get(0).filter(|listed| listed["state"] == "running") {
            break experiment["experiment"].as_str().unwrap().to_owned();
        }
    };
    std::thread::sleep(Duration::from_secs(2));
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let outcome = site.json(&["resume", &experiment]);
    assert_eq!(outcome["trials"]["succeeded"], 4, "{outcome}");
}
