//! The fleet, with an engine that only records.

use std::fmt;
use std::sync::{Arc, Mutex};

use super::*;

/// Records what it is told and plays the deaths it was given.
#[derive(Clone, Default)]
struct Recording {
    told: Arc<Mutex<Vec<String>>>,
    deaths: Arc<Mutex<Vec<WorkerId>>>,
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("recording engine")
    }
}

impl Engine for Recording {
    fn capacity(&self) -> u32 {
        2
    }

    fn launch(&mut self, worker: &WorkerId, url: &str) -> Result<(), EngineError> {
        self.told.lock().unwrap().push(format!("launch {worker} for {url}"));
        Ok(())
    }

    fn poll(&mut self) -> Vec<Exit> {
        let deaths = std::mem::take(&mut *self.deaths.lock().unwrap());
        deaths.into_iter().map(|worker| Exit { worker, how: "exit status: 1".to_owned() }).collect()
    }

    fn kill(&mut self, worker: &WorkerId) {
        self.told.lock().unwrap().push(format!("kill {worker}"));
    }

    fn log(&self, worker: &WorkerId) -> PathBuf {
        PathBuf::from(format!("logs/{worker}.log"))
    }
}

impl Recording {
    fn die(&self, worker: &str) {
        self.deaths.lock().unwrap().push(worker.parse().unwrap());
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn fleet(engine: &Recording) -> Fleet {
    Fleet::new(Box::new(engine.clone()), "http://x", "w".to_owned())
}

#[test]
fn a_dead_worker_is_reported_and_replaced_under_a_new_name() {
    let engine = Recording::default();
    let mut fleet = fleet(&engine);
    fleet.tend(Duration::ZERO).unwrap();
    assert_eq!(engine.told(), ["launch w-1 for http://x", "launch w-2 for http://x"]);
    engine.die("w-1");
    let exits = fleet.tend(Duration::from_secs(60)).unwrap();
    assert_eq!(exits[0].worker.as_str(), "w-1");
    assert_eq!(engine.told(), ["launch w-3 for http://x"]);
    fleet.end();
    assert_eq!(engine.told(), ["kill w-2", "kill w-3"]);
}

#[test]
fn workers_that_die_at_once_are_replaced_ever_more_slowly_and_then_not_at_all() {
    let engine = Recording::default();
    let mut fleet = fleet(&engine);
    let (mut now, mut launches) = (Duration::ZERO, Vec::new());
    let error = loop {
        match fleet.tend(now) {
            Ok(_) => {}
            Err(error) => break error,
        }
        for line in engine.told() {
            let name = line.split(' ').nth(1).unwrap().to_owned();
            // The first of the pair lives on; the other place crashes for ever.
            if name != "w-1" {
                launches.push(now);
                engine.die(&name);
            }
        }
        now += Duration::from_millis(50);
    };
    assert_eq!(
        error.to_string(),
        "20 workers in a row ended right after their start (exit status: 1): see logs/w-21.log"
    );
    let waits: Vec<Duration> = launches.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits[0] <= Duration::from_millis(50), "the first death costs no wait");
    assert!(waits.windows(2).all(|pair| pair[1] >= pair[0]), "{waits:?}");
    assert!(*waits.last().unwrap() >= Duration::from_secs(29));
}

#[test]
fn a_worker_that_lived_a_while_clears_the_count() {
    let engine = Recording::default();
    let mut fleet = fleet(&engine);
    let mut now = Duration::ZERO;
    fleet.tend(now).unwrap();
    for index in 1..100 {
        now += Duration::from_secs(10);
        engine.die(&format!("w-{index}"));
        fleet.tend(now).unwrap();
    }
}
