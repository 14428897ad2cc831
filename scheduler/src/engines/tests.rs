//! The local engine, with a shell as the worker.

use std::time::Duration;

use super::*;
use crate::engine::{Engine as _, EngineError, Exit};

fn shell(script: &str) -> Command {
    Command { program: "/bin/sh".into(), args: ["-c", script, "worker"].map(Into::into).to_vec() }
}

/// Waits for an exit without a clock: the engine is asked until it tells.
fn next_exit(engine: &mut Local) -> Exit {
    for _ in 0..1_000 {
        if let Some(exit) = engine.poll().pop() {
            return exit;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("no worker ended within 10 s");
}

#[test]
fn a_worker_gets_its_place_its_threads_and_a_log() {
    let home = tempfile::tempdir().unwrap();
    let script = "echo \"$@\"; echo threads=$OMP_NUM_THREADS $OMP_WAIT_POLICY gpus=[$CUDA_VISIBLE_DEVICES]; exit 3";
    let mut engine = Local::new(shell(script), home.path().to_owned(), 4, 2, None).unwrap();
    let worker = "w-1".parse().unwrap();
    engine.launch(&worker, "http://127.0.0.1:1").unwrap();
    assert_eq!(next_exit(&mut engine), Exit { worker: worker.clone(), how: "exit status: 3".to_owned() });
    let log = std::fs::read_to_string(engine.log(&worker)).unwrap();
    let expected = format!(
        "--scheduler http://127.0.0.1:1 --home {} --id w-1 --cpus 2 --devices {} --parent {}\nthreads=2 PASSIVE gpus=[]\n",
        home.path().display(),
        std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_else(|_| "all".to_owned()),
        std::process::id()
    );
    assert_eq!(log, expected);
}

#[test]
fn a_killed_worker_is_gone_when_kill_returns() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = Local::new(shell("sleep 60"), home.path().to_owned(), 1, 1, None).unwrap();
    let worker = "w-1".parse().unwrap();
    engine.launch(&worker, "http://127.0.0.1:1").unwrap();
    assert!(engine.poll().is_empty());
    engine.kill(&worker);
    assert_eq!(next_exit(&mut engine).how, "signal: 9 (SIGKILL)");
}

#[test]
fn workers_never_need_more_cores_than_the_budget_has() {
    let engine = |budget, cpus, most| Local::new(shell(""), "home".into(), budget, cpus, most);
    assert_eq!(engine(8, 3, None).unwrap().capacity(), 2);
    assert_eq!(engine(8, 1, Some(4)).unwrap().capacity(), 4);
    assert_eq!(engine(2, 1, Some(4)).unwrap().capacity(), 2);
    assert!(matches!(engine(2, 4, None), Err(EngineError::TooLarge { needed: 4, budget: 2 })));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let command = Command { program: "/no/such/program".into(), args: Vec::new() };
    let home = tempfile::tempdir().unwrap();
    let mut engine = Local::new(command, home.path().to_owned(), 1, 1, None).unwrap();
    let error = engine.launch(&"w-1".parse().unwrap(), "http://x").unwrap_err();
    assert!(error.to_string().starts_with("worker w-1 cannot be started by /no/such/program: "), "{error}");
}
