//! Artifacts, checkpoints and logs on a real S3 server, which the test starts: the same bits as on files, through a kill.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::processes::{Running, get, lines, log, until};
use crate::site::{Site, root, text};

const SECRET: &str = "hush-hush-secret-key";

/// A server with a bucket `tradewind`, and its address.
fn server() -> (Running, String) {
    let mut process = Command::new("python3")
        .arg(root().join("scripts/s3.py"))
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
    assert!(url.starts_with("http://"), "no S3 server: `python3 scripts/s3.py` installs one");
    (Running(process), url.trim().to_owned())
}

fn with_keys(site: Site, url: &str) -> Site {
    site.with_environment(&[
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "somebody"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ])
}

/// Names of the objects below a prefix.
fn objects(url: &str, prefix: &str) -> Vec<String> {
    let answer = get(url.strip_prefix("http://").unwrap(), &format!("/tradewind?list-type=2&prefix={prefix}")).unwrap();
    answer.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
}

fn spec(site: &Site) -> String {
    site.spec(&[
        ("trials: 24", "trials: 2"),
        ("batch: 8", "batch: 2"),
        ("epochs: 8", "epochs: 100"),
        ("patience: 8", "patience: 100"),
    ])
}

/// Panics when any file below `folder` holds the secret.
fn assert_no_secret_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            assert_no_secret_below(&entry.path());
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!found, "{} holds the secret key", entry.path().display());
        }
    }
}

#[test]
fn a_run_on_s3_is_killed_resumed_from_its_checkpoint_there_and_ends_in_the_bits_of_files() {
    let (_server, url) = server();
    let site = with_keys(Site::new(), &url);
    let mut run = Running(site.start(&["run", &spec(&site), "--store", "s3://tradewind/home", "--cpus", "2"]));
    until("a checkpoint is in the bucket", || (!objects(&url, "home/checkpoints/").is_empty()).then_some(()));
    let listed = site.json(&["ls"]);
    let id = listed["experiments"][0]["experiment"].as_str().unwrap().to_owned();
    let step = |line: &Value| line["step"].as_u64().unwrap();
    let attempt = |line: &Value| line["attempt"].as_u64().unwrap();
    until("training gets on", || log(&site, &id).iter().any(|line| step(line) > 20).then_some(()));
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    assert_eq!(site.json(&["ls"])["experiments"][0]["state"], "running", "the kill came in the middle");

    let outcome = site.json(&["resume", &id]);
    assert_eq!(outcome["trials"]["succeeded"], 2, "{outcome}");
    let steps = log(&site, &id);
    let first = steps.iter().find(|line| step(line) > 20).unwrap();
    let next = steps.iter().find(|line| line["trial"] == first["trial"] && attempt(line) > attempt(first)).unwrap();
    assert!(step(next) > 10, "it did not go on from a checkpoint: {next}");

    // The same on files, undisturbed.
    let files = Site::new();
    let expected = files.json(&["run", &spec(&files)]);
    assert_eq!(expected["experiment"], outcome["experiment"]);
    let shown = |site: &Site| site.json(&["show", &id])["trials"].as_array().unwrap().clone();
    for (there, here) in shown(&site).iter().zip(shown(&files)) {
        assert_eq!((&there["bundle"], &there["metrics"]), (&here["bundle"], &here["metrics"]));
        let bundle = there["bundle"].as_str().unwrap();
        let names = objects(&url, &format!("home/bundles/{bundle}/"));
        assert!(names.iter().any(|name| name.ends_with("/manifest.json")), "{names:?}");
    }
    assert!(!site.home().join("store").try_exists().unwrap(), "nothing lies on the disk beside it");
    // One that was stored and not handed in yet at the kill is named nowhere: one of each of the two workers at most.
    assert_eq!(site.json(&["clean"])["checkpoints"]["deleted"], 0, "what led to the results is collected");
    let unnamed = objects(&url, "home/checkpoints/");
    assert!(unnamed.len() <= 2, "{unnamed:?}");

    // Another home reads the log there.
    let other = with_keys(Site::empty(), &url);
    let output = other.run(&["logs", &id, "--json", "--store", "s3://tradewind/home"]);
    assert_eq!(lines(&text(&output.stdout)), steps, "{}", text(&output.stderr));
    assert_no_secret_below(&site.home());
}

#[test]
fn a_store_that_cannot_be_used_is_refused_before_anything_runs_and_no_key_is_repeated() {
    let (_server, url) = server();
    let site = with_keys(Site::new(), &url);
    let missing = site.refused(&["run", &spec(&site), "--store", "s3://no-such-bucket/x"], 1);
    assert!(missing.contains("no-such-bucket"), "{missing}");
    let with_key = site.refused(&["run", &spec(&site), "--store", "s3://somebody:hush@tradewind/x"], 2);
    assert!(with_key.contains("keys do not belong into a URL"), "{with_key}");
    for said in [missing, with_key] {
        assert!(!said.contains("hush"), "{said}");
    }
    assert_eq!(site.json(&["ls"])["experiments"].as_array().unwrap().len(), 0);
    site.json(&["ls", "--store", "s3://tradewind/x"]);
    let other = site.refused(&["ls", "--store", "s3://tradewind/y"], 2);
    assert!(other.contains("keeps its artifacts in s3://tradewind/x"), "{other}");
}
