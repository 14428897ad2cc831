//! Child processes on this machine. They die with the thread that starts them, so that thread lives as long as they do.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use protocol::Offer;
use spec::WorkerId;

use crate::engine::{Engine, EngineError, Exit};

/// Logs kept beside those of living workers.
const LOGS_MAX: usize = 64;

/// The program that is a worker. It gets `--scheduler URL --home HOME --id WORKER --cpus N --devices GPUS --parent PID` after
/// `args`.
#[derive(Clone, Debug)]
pub struct Command {
    /// The executable.
    pub program: PathBuf,
    /// Its first arguments, such as `worker`.
    pub args: Vec<OsString>,
}

/// Workers as child processes.
pub struct Local {
    command: Command,
    home: PathBuf,
    capacity: u32,
    cpus_per_worker: u32,
    /// What the machine has beside cores, which every worker on it finds.
    machine: Offer,
    children: Vec<(WorkerId, Child)>,
}

impl Local {
    /// As many workers of `cpus_per_worker` cores as `cpu_budget` allows, at most `workers_max`.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] when not one fits.
    pub fn new(
        command: Command,
        home: PathBuf,
        cpu_budget: u32,
        cpus_per_worker: u32,
        workers_max: Option<u32>,
    ) -> Result<Self, EngineError> {
        let fit = cpu_budget.checked_div(cpus_per_worker).unwrap_or(0);
        if fit == 0 {
            return Err(EngineError::TooLarge { needed: cpus_per_worker, budget: cpu_budget });
        }
        let capacity = workers_max.map_or(fit, |most| fit.min(most.max(1)));
        Ok(Self { command, home, capacity, cpus_per_worker, machine: Offer::default(), children: Vec::new() })
    }

    /// With what the machine has beside cores, so that a trial that asks for more is refused.
    #[must_use]
    pub fn on(mut self, machine: Offer) -> Self {
        self.machine = machine;
        self
    }

    fn log_file(&self, worker: &WorkerId) -> std::io::Result<File> {
        let path = self.log(worker);
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        self.prune_logs()?;
        File::options().create(true).append(true).open(path)
    }

    /// Deletes the oldest logs: a crash loop must not fill the disk.
    fn prune_logs(&self) -> std::io::Result<()> {
        let mut logs = Vec::new();
        for entry in std::fs::read_dir(self.home.join("logs"))? {
            let entry = entry?;
            logs.push((entry.metadata()?.modified()?, entry.path()));
        }
        logs.sort();
        let alive: Vec<PathBuf> = self.children.iter().map(|(worker, _)| self.log(worker)).collect();
        let surplus = logs.len().saturating_sub(LOGS_MAX + alive.len());
        for (_, path) in logs.into_iter().filter(|(_, path)| !alive.contains(path)).take(surplus) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local engine of {} workers with {} CPU cores each", self.capacity, self.cpus_per_worker)
    }
}

impl Engine for Local {
    fn capacity(&self) -> u32 {
        self.capacity
    }

    fn largest(&self) -> Option<Offer> {
        Some(Offer { cpus: self.cpus_per_worker, ..self.machine.clone() })
    }

    fn launch(&mut self, worker: &WorkerId, url: &str) -> Result<(), EngineError> {
        let failed = |why| EngineError::Launch { worker: worker.clone(), program: self.command.program.clone(), why };
        let log = self.log_file(worker).map_err(failed)?;
        let errors = log.try_clone().map_err(failed)?;
        let cpus = self.cpus_per_worker.to_string();
        // A worker offers the GPUs that this process may use; it sees none, only attempts that lease some do.
        let devices = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_else(|_| "all".to_owned());
        let child = std::process::Command::new(&self.command.program)
            .args(&self.command.args)
            .args(["--scheduler", url, "--home"])
            .arg(&self.home)
            .args(["--id", worker.as_str(), "--cpus", &cpus, "--devices", &devices])
            .args(["--parent", &std::process::id().to_string()])
            // Spinning pools of several workers on the same cores are 10 times slower than one thread each.
            .env("OMP_NUM_THREADS", &cpus)
            .env("MKL_NUM_THREADS", &cpus)
            .env("RAYON_NUM_THREADS", &cpus)
            .env("OMP_WAIT_POLICY", "PASSIVE")
            // Indices of GPUs are the driver's, and CUDA would count the fastest first.
            .env("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
            .env("CUDA_VISIBLE_DEVICES", "")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Ctrl-C in the terminal goes to the parent alone, which stops its workers in good order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        self.children.push((worker.clone(), child));
        Ok(())
    }

    fn poll(&mut self) -> Vec<Exit> {
        let mut exits = Vec::new();
        self.children.retain_mut(|(worker, child)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                exits.push(Exit { worker: worker.clone(), how: status.to_string() });
                false
            }
            Err(error) => {
                exits.push(Exit { worker: worker.clone(), how: error.to_string() });
                false
            }
        });
        exits
    }

    fn kill(&mut self, worker: &WorkerId) {
        if let Some((_, child)) = self.children.iter_mut().find(|(id, _)| id == worker) {
            // Errs only when it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn log(&self, worker: &WorkerId) -> PathBuf {
        self.home.join("logs").join(format!("{worker}.log"))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
