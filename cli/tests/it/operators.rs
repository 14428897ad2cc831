//! What operators do to a running cluster, command by command, on real processes.

use crate::processes::{Running, explained, free_address, get, lines, log, reaches, scheduler, state, until, worker};
use crate::site::Site;

/// Any port that is free.
const ANY: &str = "127.0.0.1:0";

/// A file of `trials` short trials under a name of its own.
pub(crate) fn short(site: &Site, name: &str, trials: u32) -> String {
    let text = std::fs::read_to_string(site.spec(&[
        ("trials: 24", &format!("trials: {trials}")),
        ("batch: 8", &format!("batch: {trials}")),
        ("epochs: 8", "epochs: 3"),
        ("name: chaos", &format!("name: {name}")),
    ]));
    site.write(&format!("{name}.yaml"), &text.unwrap())
}

/// A file of one trial that goes on until it is stopped.
fn long(site: &Site, name: &str) -> String {
    let text = std::fs::read_to_string(short(site, name, 1)).unwrap();
    let text = text.replace("epochs: 3", "epochs: 10000").replace("patience: 8", "patience: 10000");
    site.write(&format!("{name}.yaml"), &text)
}

/// Hands a file in; the experiment's id.
pub(crate) fn submitted(site: &Site, spec: &str, more: &[&str]) -> String {
    let answer = site.json(&[&["submit", spec][..], more].concat());
    answer["experiment"].as_str().unwrap().to_owned()
}

#[test]
fn submitted_work_is_seen_explained_run_logged_to_its_last_step_and_extended() {
    let site = Site::new();
    let (_scheduler, url) = scheduler(&site, ANY, &[]);
    let id = submitted(&site, &short(&site, "work", 2), &["--owner", "ann"]);
    assert_eq!(submitted(&site, &short(&site, "work", 2), &[]), id, "twice is once");

    let explanation = explained(&site, &format!("{id}.1"), "no_worker");
    assert!(explanation["sentence"].as_str().unwrap().contains("no worker"), "{explanation}");
    assert_eq!(site.json(&["ls"])["experiments"][0]["owner"], "ann");
    let top = site.json(&["top", "--once"]);
    assert_eq!(top["scheduler"], url.as_str());
    assert_eq!(top["experiments"].as_array().unwrap().len(), 1);
    assert_eq!(top["experiments"][0]["policy"]["owner"], "ann");
    assert_eq!(top["experiments"][0]["trials"]["pending"], 2);

    let _worker = worker(&site, &url, "w1", &[]);
    reaches(&site, &id, "succeeded");
    for trial in 0..2 {
        let lines = log(&site, &format!("{id}.{trial}"));
        assert_eq!(
            lines.last().expect("a trial measures something")["step"],
            3,
            "trial {trial}: its last line is there"
        );
    }
    let more = site.json(&["extend", &id, "--trials", "1", "--scheduler", &url]);
    assert_ne!(more["experiment"], id.as_str());
    assert_eq!((&more["state"], &more["trials"]["succeeded"]), (&"succeeded".into(), &1.into()));
    assert!(site.refused(&["extend", "nobody-00000000", "--trials", "1"], 2).contains("no run nobody-00000000"));
}

#[test]
fn a_log_is_followed_until_its_experiment_is_cancelled() {
    let site = Site::new();
    let (_scheduler, url) = scheduler(&site, ANY, &[]);
    let _worker = worker(&site, &url, "w1", &[]);
    let id = submitted(&site, &long(&site, "endless"), &[]);
    let following = Running(site.start(&["logs", &id, "-f", "--json"]));
    until("three steps are logged", || (log(&site, &id).len() >= 3).then_some(()));
    let cancelled = site.json(&["cancel", &id]);
    assert_eq!((&cancelled["experiment"], &cancelled["state"]), (&id.as_str().into(), &"cancelled".into()));
    assert_eq!(site.json(&["cancel", &id])["state"], "cancelled", "twice is once");
    let followed = lines(&following.output());
    assert!(followed.len() >= 3, "{followed:?}");
    // The worker is told at its next heartbeat, and what it says until then is late: the log may go on.
    assert_eq!(followed, log(&site, &id)[..followed.len()]);
    assert_eq!(site.json(&["explain", &format!("{id}.0")])["status"]["state"], "cancelled");
    assert!(site.refused(&["cancel", "nobody-00000000"], 1).contains("nobody-00000000"));
}

#[test]
fn a_cordon_keeps_attempts_away_a_drain_moves_them_and_both_are_taken_back() {
    let site = Site::new();
    let (_scheduler, url) = scheduler(&site, ANY, &[]);
    let _first = worker(&site, &url, "w1", &[]);
    let named = |node: &serde_json::Value| node["workers"].to_string().contains("w1");
    let nodes = until("the worker is listed", || {
        let nodes = site.json(&["nodes"])["nodes"].as_array().unwrap().clone();
        nodes.iter().any(named).then_some(nodes)
    });
    assert_eq!(nodes.len(), 1);
    let node = nodes[0]["node"].as_str().unwrap();

    assert_eq!(site.json(&["cordon", "--node", node])["state"], "cordoned");
    let id = submitted(&site, &short(&site, "kept-away", 1), &[]);
    let explanation = explained(&site, &format!("{id}.0"), "closed");
    assert!(explanation["sentence"].as_str().unwrap().contains(node), "{explanation}");
    assert_eq!(site.json(&["top", "--once"])["nodes"][0]["cordon"], "finish");
    assert_eq!(site.json(&["uncordon", "--node", node])["state"], "open again");
    reaches(&site, &id, "succeeded");

    let id = submitted(&site, &long(&site, "moved"), &[]);
    let steps = |attempt: usize| -> Vec<u64> {
        let log = log(&site, &id);
        let mut attempts: Vec<u64> = log.iter().map(|line| line["attempt"].as_u64().unwrap()).collect();
        attempts.dedup();
        let attempt = attempts.get(attempt).copied();
        let of = log.iter().filter(|line| line["attempt"].as_u64() == attempt);
        of.map(|line| line["step"].as_u64().unwrap()).collect()
    };
    until("the first attempt gets on", || (steps(0).len() >= 3).then_some(()));
    assert_eq!(site.json(&["drain", "--worker", "w1"])["state"], "draining");
    explained(&site, &format!("{id}.0"), "closed");
    let _second = worker(&site, &url, "w2", &[]);
    let held = explained(&site, &format!("{id}.0"), "with_worker");
    assert_eq!(held["why"]["worker"], "w2");
    let after = until("the second attempt gets on", || steps(1).first().copied());
    assert!(after > 1, "it goes on from a checkpoint, and says {after}");
    assert_eq!(site.json(&["uncordon", "--worker", "w1"])["state"], "open again");
    assert!(site.refused(&["cordon", "--worker", "nobody"], 1).contains("nobody is not connected"));
}

#[test]
fn a_failed_trial_is_requeued_and_succeeds_and_one_that_did_is_not() {
    let site = Site::new();
    let (_scheduler, url) = scheduler(&site, ANY, &[]);
    // A worker that cannot read what it is asked: every trial fails for good.
    let useless = worker(&site, &url, "useless", &["--work", "noop"]);
    let id = submitted(&site, &short(&site, "again", 2), &[]);
    reaches(&site, &id, "failed");
    drop(useless);
    let _worker = worker(&site, &url, "w1", &[]);
    let trial = format!("{id}.0");
    assert_eq!(site.json(&["requeue", &trial])["trial"], trial.as_str());
    reaches(&site, &id, "succeeded");
    let shown = site.json(&["show", &id]);
    let states: Vec<&str> = shown["trials"].as_array().unwrap().iter().map(|t| t["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["succeeded", "failed"]);
    assert!(site.refused(&["requeue", &trial], 1).contains("cannot be requeued: its experiment succeeded"));
}

#[test]
fn an_owner_holds_no_more_than_the_quota_and_others_pass() {
    let site = Site::new();
    let (_scheduler, url) = scheduler(&site, ANY, &["--quota", "ann=1", "--quota", "8"]);
    let _workers = [worker(&site, &url, "w1", &[]), worker(&site, &url, "w2", &[])];
    let first = submitted(&site, &long(&site, "first"), &["--owner", "ann"]);
    explained(&site, &format!("{first}.0"), "with_worker");
    let second = submitted(&site, &long(&site, "second"), &["--owner", "ann"]);
    let explanation = explained(&site, &format!("{second}.0"), "quota");
    assert_eq!((&explanation["why"]["owner"], &explanation["why"]["limit"]), (&"ann".into(), &1.into()));
    let other = submitted(&site, &long(&site, "other"), &["--owner", "ben"]);
    explained(&site, &format!("{other}.0"), "with_worker");
    site.json(&["cancel", &first]);
    explained(&site, &format!("{second}.0"), "with_worker");
    for wrong in ["ann=0", "ann=", "Ann Lee=2", "many"] {
        site.refused(&["scheduler", "--quota", wrong], 2);
    }
    assert!(site.refused(&["scheduler", "--quota", "ann=1", "--quota", "ann=2"], 2).contains("ann twice"));
}

#[test]
fn figures_are_served_for_prometheus() {
    let site = Site::new();
    let address = free_address();
    let (_scheduler, url) = scheduler(&site, ANY, &["--metrics", &address]);
    let id = submitted(&site, &short(&site, "measured", 2), &[]);
    let page = || get(&address, "/metrics").unwrap();
    let pending = until("the trials are counted", || {
        let page = page();
        page.contains("tradewind_trials{state=\"pending\"} 2\n").then_some(page)
    });
    assert!(pending.starts_with("HTTP/1.1 200") && pending.contains("# TYPE tradewind_trials gauge\n"), "{pending}");
    let _worker = worker(&site, &url, "w1", &[]);
    reaches(&site, &id, "succeeded");
    let page = page();
    for line in ["tradewind_trials{state=\"succeeded\"} 2\n", "tradewind_experiments{state=\"succeeded\"} 1\n"] {
        assert!(page.contains(line), "{line}{page}");
    }
    assert!(page.contains("tradewind_node_workers{"), "{page}");
    assert_eq!(state(&site, &id).as_deref(), Some("succeeded"));
    assert!(site.refused(&["scheduler", "--metrics", "0.0.0.0:1"], 2).contains("only loopback"));
}
