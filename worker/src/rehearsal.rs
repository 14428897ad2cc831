//! A runner that trains nothing: its payload is a script. For tests of everything around training, and for benches.

use std::time::Duration;

use protocol::Assignment;
use spec::{CheckpointRef, Digest, FailureClass, Finite, Progress, ProgressUnit};

use crate::runner::{CheckpointError, Ended, Failure, Reporter, Runner};

/// Longest time between two looks at the stop flag.
const BEAT: Duration = Duration::from_millis(10);

/// Plays scripts. The payload is one of
/// - `succeed`, or empty: succeeds at once, with its own payload as outcome
/// - `slow MILLISECONDS`: works that long in steps of 10 ms with a checkpoint after every tenth, goes on from where a
///   former attempt was, holds at its rung with the payload's last number as what it measured there, and succeeds with
///   the step it began at as outcome
/// - `fail CLASS`: fails at once; `fail-below N CLASS`: fails until the attempt number within the cluster reaches N
/// - `gpus`: succeeds at once, with the value of `CUDA_VISIBLE_DEVICES` in its process as outcome, or `unset`
/// - `epochs N`: says `N` epochs without a pause, and succeeds
/// - `panic`: panics · `crash`: aborts the process · `deaf MILLISECONDS`: works without looking at the stop flag
#[derive(Clone, Copy, Debug, Default)]
pub struct Rehearsal;

impl Runner for Rehearsal {
    fn run(&mut self, assignment: &Assignment, reporter: &mut Reporter) -> Result<Ended, Failure> {
        let script = String::from_utf8_lossy(&assignment.payload).into_owned();
        let words: Vec<&str> = script.split_whitespace().collect();
        match words.as_slice() {
            [] | ["succeed", ..] => Ok(Ended::Succeeded(assignment.payload.clone())),
            ["slow", millis, ..] => slow(assignment, reporter, number(&script, millis)?),
            ["fail", class, ..] => Err(failure(&script, class)),
            ["fail-below", first, class, ..] if assignment.attempt.0 < number(&script, first)? => {
                Err(failure(&script, class))
            }
            ["fail-below", ..] => Ok(Ended::Succeeded(assignment.payload.clone())),
            ["gpus", ..] => {
                let seen = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_else(|_| "unset".to_owned());
                Ok(Ended::Succeeded(seen.into_bytes()))
            }
            ["epochs", count, ..] => {
                let steps = number(&script, count)?;
                (1..=steps).for_each(|step| reporter.progress(epoch(step, steps)));
                Ok(Ended::Succeeded(assignment.payload.clone()))
            }
            ["panic", ..] => panic!("as the script says"),
            ["crash", ..] => std::process::abort(),
            ["deaf", millis, ..] => {
                pause(Duration::from_millis(number(&script, millis)?));
                Ok(Ended::Succeeded(assignment.payload.clone()))
            }
            _ => Err(unreadable(&script)),
        }
    }
}

fn slow(assignment: &Assignment, reporter: &mut Reporter, millis: u64) -> Result<Ended, Failure> {
    let steps = millis.div_ceil(10);
    let from = assignment.checkpoints.first().or(assignment.parent.as_ref());
    let began = from.map_or(0, |checkpoint| checkpoint.step);
    for step in began + 1..=steps {
        if reporter.should_stop() {
            return Ok(Ended::Stopped);
        }
        pause(BEAT);
        reporter.progress(epoch(step, steps));
        let text = format!("{} {step}", assignment.trial);
        let checkpoint = CheckpointRef { digest: Digest::of(text.as_bytes()), step };
        if assignment.rung.is_some_and(|rung| step < steps && rung.share.is_reached(step, steps)) {
            let said = String::from_utf8_lossy(&assignment.payload);
            let value = said.split_whitespace().last().and_then(|word| word.parse().ok()).and_then(Finite::new);
            return Ok(Ended::Held { checkpoint, value });
        }
        if step % 10 == 0 {
            match reporter.checkpoint(checkpoint) {
                Ok(_) | Err(CheckpointError::Unreachable) => {}
                Err(CheckpointError::Fenced) => return Ok(Ended::Stopped),
            }
        }
    }
    Ok(Ended::Succeeded(began.to_string().into_bytes()))
}

const fn epoch(step: u64, steps: u64) -> Progress {
    Progress { step, steps, unit: ProgressUnit::Epoch, rate: 0.0, metrics: std::collections::BTreeMap::new() }
}

#[allow(clippy::disallowed_methods, reason = "pretending to work is what this runner is for")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn number(script: &str, word: &str) -> Result<u64, Failure> {
    word.parse().map_err(|_| unreadable(script))
}

fn failure(script: &str, class: &str) -> Failure {
    match class.parse() {
        Ok(class) => Failure { class, message: format!("as the script `{script}` says") },
        Err(_) => unreadable(script),
    }
}

fn unreadable(script: &str) -> Failure {
    Failure { class: FailureClass::Data, message: format!("`{script}` is not a script of the rehearsal runner") }
}
