//! The process of one attempt that trains with little memory, for a test: `attempt --home HOME --room MIB` gives it so many
//! mebibytes of addresses beyond those it has when the attempt begins.

use std::path::PathBuf;

use artifacts::Store;
use protocol::Assignment;
use rustix::process::{Resource, Rlimit, setrlimit};
use spec::FailureClass;
use worker::{Ended, Failure, Reporter, Runner, Trial};

struct Confined {
    trial: Trial,
    room_mib: u64,
}

impl Runner for Confined {
    fn run(&mut self, assignment: &Assignment, reporter: &mut Reporter) -> Result<Ended, Failure> {
        confine(self.room_mib).map_err(|why| Failure { class: FailureClass::Bug, message: why.to_string() })?;
        self.trial.run(assignment, reporter)
    }
}

/// Lets this process have no more addresses than it has now, and `room_mib` mebibytes.
fn confine(room_mib: u64) -> Result<(), Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).ok_or("no size in /proc/self/status")?;
    let kibibytes: u64 = size.trim().trim_end_matches("kB").trim().parse()?;
    let limit = Some((kibibytes + room_mib * 1_024) * 1_024);
    Ok(setrlimit(Resource::As, Rlimit { current: limit, maximum: limit })?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(2);
    let (mut home, mut room_mib, mut parent) = (PathBuf::new(), 0, 0);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match name.as_str() {
            "--home" => home = value.into(),
            "--room" => room_mib = value.parse()?,
            "--parent" => parent = value.parse()?,
            _ => {}
        }
    }
    worker::die_with_parent(parent)?;
    let store = Store::open(home.join("store").to_str().ok_or("a home without a name")?)?;
    Ok(worker::attempt(Confined { trial: Trial::new(&home, store, "confined"), room_mib })?)
}
