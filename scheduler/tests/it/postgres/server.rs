//! A PostgreSQL server of a test's own, on a socket in a folder of its own. The tests of `cli` start it too.

#![allow(clippy::disallowed_methods, reason = "a real server takes a moment to start")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};

/// Longest wait for a server that starts.
const START_MAX: Duration = Duration::from_secs(30);

/// The line of a server's `postmaster.pid` that says whether it takes connections, counted from 0.
const STATUS_LINE: usize = 7;

/// A server, which ends with its test.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    /// `None` while it is halted.
    pub(crate) process: Option<Child>,
}

/// The folder with `initdb`: of the variable that the project's own set-up prints, of the path, or of a distribution.
fn bin() -> PathBuf {
    let named = std::env::var_os("TRADEWIND_POSTGRES_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = named.into_iter().chain(std::env::split_paths(&path)).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = places.into_iter().find(|place| place.join("initdb").is_file());
    found.expect("no PostgreSQL server: `python3 scripts/postgres.py` installs one")
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if getuid().is_root() {
            let owner = Command::new("chown").arg("nobody").arg(folder.path()).status().unwrap();
            assert!(owner.success(), "there is no account `nobody` to run it");
        }
        let mut server = Self { folder, process: None };
        let made = server.program("initdb").args(["-U", "tradewind", "-A", "trust", "-N"]).status().unwrap();
        assert!(made.success(), "initdb failed");
        server.launch();
        server
    }

    /// One of its programs, on its data.
    fn program(&self, name: &str) -> Command {
        // The server refuses to be run by the superuser of a machine.
        let is_root = getuid().is_root();
        let mut command = Command::new(if is_root { "setpriv" } else { "env" });
        if is_root {
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        }
        command.arg(bin().join(name)).arg("-D").arg(self.data());
        command.current_dir(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Lets it run, and waits until it takes connections.
    pub(crate) fn launch(&mut self) {
        let folder = self.folder.path();
        let started = self.program("postgres").arg("-k").arg(folder).args(["-c", "listen_addresses="]).spawn();
        self.process = Some(started.unwrap());
        let deadline = Instant::now() + START_MAX;
        while !self.is_ready() {
            assert!(Instant::now() < deadline, "the server did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it takes connections, by its own word.
    fn is_ready(&self) -> bool {
        let written = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        written.lines().nth(STATUS_LINE).is_some_and(|status| status.trim() == "ready")
    }

    /// Ends it as an operator does: whoever is connected is sent away, and what was committed is kept.
    pub(crate) fn halt(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Interrupted, it ends its own children.
            let _ = kill_process(Pid::from_child(&process), Signal::INT);
            let _ = process.wait();
        }
    }

    pub(crate) fn url(&self) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://tradewind@{folder}/postgres")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.halt();
    }
}
