//! Checkpoints on the disk: kept for whoever goes on from them, gone once nobody can.

use rustix::process::{Pid, Signal, kill_process};

use crate::processes::{Running, log, until};
use crate::site::Site;

/// All files beside checkpoints, half-written ones too.
fn stored(site: &Site) -> usize {
    std::fs::read_dir(site.home().join("store/checkpoints")).into_iter().flatten().count()
}

#[test]
fn stopped_trials_leave_no_checkpoint_behind() {
    let site = Site::new();
    let halved = "direction: maximise\n  pruner: { successive_halving: { rungs: 2, factor: 2 } }";
    let spec = site.spec(&[("trials: 24", "trials: 4"), ("batch: 8", "batch: 4"), ("direction: maximise", halved)]);
    let outcome = site.json(&["run", &spec]);
    assert!(outcome["trials"]["pruned"].as_u64() >= Some(2), "{outcome}");
    assert_eq!(stored(&site), 0);
    assert_eq!(site.json(&["clean"])["checkpoints"], serde_json::json!({ "deleted": 0, "kept": 0 }));
}

#[test]
fn what_an_interrupted_run_goes_on_from_is_kept_until_it_has_ended() {
    let site = Site::new();
    let spec = site.spec(&[
        ("trials: 24", "trials: 1"),
        ("batch: 8", "batch: 1"),
        ("epochs: 8", "epochs: 100"),
        ("patience: 8", "patience: 100"),
    ]);
    let mut run = Running(site.start(&["run", &spec]));
    let id = until("a checkpoint is stored", || {
        let listed = site.json(&["ls"]);
        let id = listed["experiments"].get(0)?["experiment"].as_str()?.to_owned();
        (!site.checkpoints().is_empty() && log(&site, &id).len() >= 3).then_some(id)
    });
    kill_process(Pid::from_child(&run.0), Signal::INT).unwrap();
    assert_eq!(run.0.wait().unwrap().code(), Some(130));
    let before = site.checkpoints().len();
    assert!(before > 0);
    let cleaned = site.json(&["clean"]);
    assert_eq!(cleaned["checkpoints"], serde_json::json!({ "deleted": 0, "kept": before }));

    let attempts = |from: usize| log(&site, &id)[from..].iter().map(|line| line["step"].as_u64().unwrap()).next();
    let seen = log(&site, &id).len();
    site.json(&["resume", &id]);
    assert!(attempts(seen) > Some(1), "it began again: the checkpoint was lost");
    assert_eq!(stored(&site), 0, "nothing goes on from a trial that has ended");
}
