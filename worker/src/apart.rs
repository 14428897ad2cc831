//! An attempt that leased GPUs, in a process of its own.
//!
//! CUDA reads `CUDA_VISIBLE_DEVICES` once, when it is first used, and a running process cannot change its environment
//! safely. So the process of such an attempt is started with the GPUs of its lease, before anything in it can look for one,
//! and ends with it. The worker speaks for it: both talk in JSON lines over its standard input and output.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::Assignment;
use serde::{Deserialize, Serialize};
use spec::{CheckpointRef, FailureClass, Progress};

use crate::machine::visible_devices;
use crate::runner::{CheckpointError, Ended, Failure, Reporter, Runner};
use crate::work::bug;

/// Longest time until a process hears that it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The program that runs one attempt: it calls [`attempt`] and gets `--parent PID` after `args`.
#[derive(Clone, Debug)]
pub struct Command {
    /// The executable.
    pub program: PathBuf,
    /// Its first arguments, such as `attempt`.
    pub args: Vec<OsString>,
}

/// Runs attempts that leased GPUs in a process of their own, and others by `here`.
#[derive(Debug)]
pub struct Apart<R> {
    here: R,
    command: Command,
}

impl<R> Apart<R> {
    /// A runner that starts `command` for attempts with GPUs.
    #[must_use]
    pub const fn new(here: R, command: Command) -> Self {
        Self { here, command }
    }
}

/// What the process says.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    Progress(Progress),
    Checkpoint(CheckpointRef),
    Ended(Result<Ended, Failure>),
}

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
enum Told {
    Run(Assignment),
    Checkpoint(Result<Vec<CheckpointRef>, CheckpointError>),
    Stop,
}

impl<R: Runner> Runner for Apart<R> {
    fn run(&mut self, assignment: &Assignment, reporter: &mut Reporter) -> Result<Ended, Failure> {
        if assignment.gpus.is_empty() {
            return self.here.run(assignment, reporter);
        }
        let mut process = Process::start(&self.command, &assignment.gpus)
            .map_err(|why| lost(format!("{} cannot be started: {why}", self.command.program.display())))?;
        process.accompany(assignment, reporter).map_err(|why| process.obituary(&why))?
    }
}

struct Process {
    child: Child,
    stdin: ChildStdin,
    said: mpsc::Receiver<std::io::Result<Said>>,
}

impl Process {
    fn start(command: &Command, gpus: &[u32]) -> std::io::Result<Self> {
        let mut child = std::process::Command::new(&command.program)
            .args(&command.args)
            .args(["--parent", &std::process::id().to_string()])
            .env("CUDA_VISIBLE_DEVICES", visible_devices(gpus))
            .env("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || std::io::Error::other("its pipes are missing");
        let (stdin, stdout) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        let (sender, said) = mpsc::channel();
        std::thread::Builder::new().name("attempt".to_owned()).spawn(move || listen(stdout, &sender))?;
        Ok(Self { child, stdin, said })
    }

    fn tell(&mut self, told: &Told) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(told)?;
        line.push(b'\n');
        self.stdin.write_all(&line)
    }

    /// Passes on what is said either way until the attempt has ended.
    fn accompany(
        &mut self,
        assignment: &Assignment,
        reporter: &mut Reporter,
    ) -> std::io::Result<Result<Ended, Failure>> {
        self.tell(&Told::Run(assignment.clone()))?;
        let mut asked = false;
        loop {
            if !asked && reporter.should_stop() {
                asked = true;
                self.tell(&Told::Stop)?;
            }
            match self.said.recv_timeout(LOOK) {
                Ok(Ok(Said::Progress(progress))) => reporter.progress(progress),
                Ok(Ok(Said::Checkpoint(checkpoint))) => {
                    let answer = reporter.checkpoint(checkpoint);
                    self.tell(&Told::Checkpoint(answer))?;
                }
                Ok(Ok(Said::Ended(ended))) => return Ok(ended),
                Ok(Err(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// What became of a process that ended, or no longer speaks, before its attempt did.
    fn obituary(&mut self, why: &std::io::Error) -> Failure {
        // Errs only when it has ended already.
        let _ = self.child.kill();
        let how = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        lost(format!("the process of an attempt ended ({how}) before the attempt did: {why}"))
    }
}

/// Its process never outlives an attempt.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const fn lost(message: String) -> Failure {
    Failure { class: FailureClass::WorkerLost, message }
}

fn listen(stdout: ChildStdout, sender: &mpsc::Sender<std::io::Result<Said>>) {
    for line in BufReader::new(stdout).lines() {
        let said = line.and_then(|line| serde_json::from_str(&line).map_err(Into::into));
        let over = said.is_err();
        // Errs when the attempt was given up.
        if sender.send(said).is_err() || over {
            return;
        }
    }
}

/// The process of an attempt got no attempt.
#[derive(Debug, thiserror::Error)]
#[error("this process runs one attempt for a worker, which sends it on standard input: {0}")]
pub struct AttemptError(#[source] std::io::Error);

/// Runs the attempt that comes on standard input, and says on standard output how it goes: what the process does that an
/// [`Apart`] starts. Nothing else may write there.
///
/// # Errors
/// [`AttemptError`] when there is none, or when nobody listens.
pub fn attempt(mut runner: impl Runner) -> Result<(), AttemptError> {
    let mut lines = BufReader::new(std::io::stdin()).lines();
    let first = lines.next().unwrap_or_else(|| Err(std::io::ErrorKind::UnexpectedEof.into())).map_err(AttemptError)?;
    let Ok(Told::Run(assignment)) = serde_json::from_str(&first) else {
        return Err(AttemptError(std::io::Error::other("no attempt in the first line")));
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (answer, answers) = mpsc::channel();
    let stopping = Arc::clone(&stop);
    let hear = move || {
        for line in lines.map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(Told::Checkpoint(kept)) => drop(answer.send(kept)),
                Ok(Told::Stop | Told::Run(_)) | Err(_) => stopping.store(true, Ordering::Relaxed),
            }
        }
        // The worker is gone: nothing that follows would count.
        stopping.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new().name("worker".to_owned()).spawn(hear).map_err(AttemptError)?;
    let out = Arc::new(Mutex::new(std::io::stdout()));
    let (words, checkpoints) = (Arc::clone(&out), Arc::clone(&out));
    let mut reporter = Reporter {
        // A worker that does not listen has ended, and this process with it.
        progress: Box::new(move |progress| drop(say(&words, &Said::Progress(progress)))),
        handover: Box::new(move |checkpoint| {
            say(&checkpoints, &Said::Checkpoint(checkpoint)).map_err(|_| CheckpointError::Unreachable)?;
            answers.recv().unwrap_or(Err(CheckpointError::Unreachable))
        }),
        stop,
    };
    let run = AssertUnwindSafe(|| runner.run(&assignment, &mut reporter));
    let ended = std::panic::catch_unwind(run).unwrap_or_else(|panic| Err(bug(panic.as_ref())));
    say(&out, &Said::Ended(ended)).map_err(AttemptError)
}

fn say(out: &Mutex<std::io::Stdout>, said: &Said) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    out.write_all(&line)?;
    out.flush()
}
