//! A scheduler whose journal is in PostgreSQL, while its database ends and begins again.

use std::io::{BufRead as _, BufReader, Read as _};

use protocol::ExperimentState;
use scheduler::event::{Event, Record};
use scheduler::journal::{Journal as _, PostgresJournal, fold};
use scheduler::trial::Change;
use spec::ExperimentId;

use crate::operators::{short, submitted};
use crate::postgres::Server;
use crate::processes::{self, free_address, until, worker};
use crate::site::{Site, text};

fn journal(database: &Server) -> PostgresJournal {
    PostgresJournal::open_read_only(&database.url()).unwrap()
}

fn records(database: &Server) -> Vec<Record> {
    let mut records = Vec::new();
    let read = journal(database).replay(&mut |record| {
        records.push(record);
        Ok(())
    });
    read.unwrap();
    records
}

/// Waits until an experiment has succeeded, as the journal tells.
fn succeeds(database: &Server, experiment: &str) {
    let (journal, id): (_, ExperimentId) = (journal(database), experiment.parse().unwrap());
    until(&format!("{experiment} has succeeded"), || {
        let (ledger, _) = fold(&journal).unwrap();
        (ledger.experiment(&id)?.state == ExperimentState::Succeeded).then_some(())
    });
}

#[test]
fn a_scheduler_whose_database_is_restarted_leads_again_and_nothing_is_lost_or_doubled() {
    let (mut database, site) = (Server::start(), Site::new());
    let (mut leader, url) = processes::scheduler(&site, &free_address(), &["--journal", &database.url()]);
    let _worker = worker(&site, &url, "w1", &[]);
    let before = submitted(&site, &short(&site, "before", 2), &[]);
    succeeds(&database, &before);
    // At work, or about to be, when the database ends: its worker has something to say that nobody can write down.
    let across = submitted(&site, &short(&site, "across", 2), &[]);
    let acknowledged = records(&database);

    let mut followed = site.start_heard(&["logs", "-f", &across]);
    let mut told = BufReader::new(followed.stdout.take().unwrap());
    let mut lines = String::new();
    assert!(told.read_line(&mut lines).unwrap() > 0, "it follows from before the database ends");

    database.halt();
    let spec = short(&site, "during", 2);
    let hand_in = ["submit", spec.as_str(), "--scheduler", url.as_str()];
    let refused = site.run(&hand_in);
    assert!(!refused.status.success(), "acknowledged without a journal: {}", text(&refused.stdout));

    database.launch();
    until("a submission goes through", || site.run(&hand_in).status.success().then_some(()));
    let during = submitted(&site, &spec, &[]);
    succeeds(&database, &across);
    succeeds(&database, &during);
    assert!(leader.0.try_wait().unwrap().is_none(), "the scheduler ended with its database");

    // Nothing of this lies in the home: its scheduler tells it.
    let listed: serde_json::Value = serde_json::from_slice(&site.run(&["ls", "--json"]).stdout).unwrap();
    let listed: Vec<&str> =
        listed["experiments"].as_array().unwrap().iter().filter_map(|view| view["experiment"].as_str()).collect();
    assert_eq!(listed, [&before, &across, &during]);
    let shown: serde_json::Value = serde_json::from_slice(&site.run(&["show", &during, "--json"]).stdout).unwrap();
    assert_eq!((&shown["state"], shown["trials"].as_array().unwrap().len()), (&"succeeded".into(), 2));
    told.read_to_string(&mut lines).unwrap();
    let ended = followed.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    for trial in 0..2 {
        assert!(lines.contains(&format!("trial {trial} ")), "no word of trial {trial}: {lines}");
    }

    let whole = records(&database);
    assert!(whole.starts_with(&acknowledged), "what was acknowledged is no longer there as it was");
    let (mut taken_in, mut succeeded) = (Vec::new(), Vec::new());
    for Record { event, .. } in &whole {
        match event {
            Event::Submitted(submission) => taken_in.push(submission.experiment.to_string()),
            Event::Trial { trial, change: Change::Succeed { .. } } => succeeded.push(trial.to_string()),
            Event::Asked { .. }
            | Event::Trial { .. }
            | Event::Ended { .. }
            | Event::Cordoned { .. }
            | Event::Uncordoned { .. } => {}
        }
    }
    let experiments = [before, across, during];
    assert_eq!(taken_in, experiments);
    let mut trials: Vec<String> =
        experiments.iter().flat_map(|id| (0..2).map(move |index| format!("{id}.{index}"))).collect();
    trials.sort();
    succeeded.sort();
    assert_eq!(succeeded, trials);
}
