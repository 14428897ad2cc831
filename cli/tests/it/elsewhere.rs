//! Work that runs here because its scheduler is away, and is reported to it once.

use std::path::Path;

use crate::processes::{free_address, scheduler, state};
use crate::site::{Site, text};

fn spec(site: &Site, name: &str, more: &str) -> String {
    let text = std::fs::read_to_string(site.spec(&[
        ("trials: 24", "trials: 2"),
        ("batch: 8", "batch: 2"),
        ("epochs: 8", "epochs: 2"),
        ("name: chaos", &format!("name: {name}")),
    ]));
    site.write(&format!("{name}.yaml"), &(text.unwrap() + more))
}

/// A home whose scheduler takes the keys of another: as one that was set up for both.
fn with_keys_of(other: &Site) -> Site {
    let site = Site::empty();
    copy(&other.home().join("keys"), &site.home().join("keys"));
    site
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn work_runs_here_while_its_scheduler_is_away_and_is_reported_once() {
    let site = Site::new();
    let address = free_address();
    let url = format!("http://{address}");
    let away = ["--scheduler", &url, "--fallback", "local", "--deadline", "300ms"];
    let first = spec(&site, "first", "");
    let output = site.run(&[&["submit", &first, "--json"][..], &away[..]].concat());
    let (said, answer) = (text(&output.stderr), text(&output.stdout));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("runs here as a cluster of one and is reported to it later"), "never silent: {said}");
    let summary: serde_json::Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert_eq!(summary["trials"]["succeeded"], 2);
    let id = summary["experiment"].as_str().unwrap().to_owned();
    let owed = site.home().join("runs").join(&id).join("owed.json");
    let debt = std::fs::read(&owed).unwrap();

    let there = with_keys_of(&site);
    let (_scheduler, _) = scheduler(&there, &address, &[]);
    let reports = |name: &str| {
        let output = site.run(&["submit", &spec(&site, name, ""), "--scheduler", &url]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr).matches(&format!("reported {id}, which ran here")).count()
    };
    assert_eq!(reports("second"), 1);
    assert_eq!(state(&there, &id).as_deref(), Some("succeeded"));
    assert!(!owed.try_exists().unwrap(), "a debt that is paid is forgotten");
    assert_eq!(reports("third"), 0, "once");

    // As a crash between the report and its receipt leaves it: what is known there stays as it is.
    let known = there.json(&["show", &id]);
    std::fs::write(&owed, debt).unwrap();
    assert_eq!(reports("fourth"), 1);
    assert_eq!(there.json(&["show", &id]), known);
    let here = site.json(&["show", &id]);
    let bundles = |shown: &serde_json::Value| {
        let trials = shown["trials"].as_array().unwrap();
        trials.iter().map(|trial| (trial["bundle"].clone(), trial["metrics"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(bundles(&known), bundles(&here), "the same trials with the same bits");
    assert_eq!(there.json(&["ls"])["experiments"].as_array().unwrap().len(), 4);
}

#[test]
fn the_file_may_ask_for_the_fallback_and_the_command_line_goes_before_it() {
    let site = Site::new();
    let file = spec(&site, "by-file", "\nfallback: local\nfallback_after: 200ms\n");
    let url = format!("http://{}", free_address());
    let refused = site.run(&["submit", &file, "--scheduler", &url, "--fallback", "none"]);
    assert!(!refused.status.success());
    let output = site.run(&["submit", &file, "--scheduler", &url]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("runs here as a cluster of one"), "{said}");
    // The key is no part of the question: without it, the answer is known.
    let plain = std::fs::read_to_string(&file).unwrap().replace("fallback: local\nfallback_after: 200ms\n", "");
    let again = site.run(&["run", &site.write("plain.yaml", &plain)]);
    assert!(text(&again.stdout).contains("has run before"), "{}", text(&again.stdout));
}
