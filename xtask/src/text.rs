//! Rules on single files, as text. The words that the rules look for are put together here, so that this file passes.

use std::path::Path;

/// Longest source file, lines: beyond it, split by noun.
const LINES_MAX: usize = 600;

/// Names that say nothing about what a file owns.
const BANNED_NAMES: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"];

/// Marks of unfinished work; with the number of an issue they may stand.
const MARKS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Top folders of some machine, which mean nothing on another.
const MACHINE_FOLDERS: [&str; 4] = ["tmp", "root", "home", "work"];

/// Hosts of package registries: which one to use is the user's setting, not ours.
const REGISTRY_HOSTS: [&str; 6] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi", ".org"),
    concat!("files.", "pythonhosted.org"),
    concat!("registry.", "npmjs.org"),
    concat!("proxy.", "golang.org"),
];

/// Files that hold code the compiler cannot check, with the reason there.
const UNCHECKED_IN: [&str; 2] = ["crates/neural/src/amx.rs", "crates/neural/src/matrix.rs"];

const UNCHECKED: &str = concat!("un", "safe");

/// Files that are written by programs or by others, and are not ours to word.
fn is_foreign(path: &str) -> bool {
    path == "Cargo.lock" || path.starts_with("data/")
}

/// Findings in one file, as `path:line: what, what to do`.
pub(crate) fn findings(path: &str, content: &str) -> Vec<String> {
    if is_foreign(path) {
        return Vec::new();
    }
    let mut findings: Vec<String> = name(path).into_iter().collect();
    for (index, line) in content.lines().enumerate() {
        findings.extend(unfit(path, line).map(|what| format!("{path}:{}: {what}", index + 1)));
    }
    if path.ends_with(".rs") {
        findings.extend(source(path, content));
    }
    findings
}

/// A folder or file named after nothing.
fn name(path: &str) -> Option<String> {
    let is_banned = |part: &str| {
        let stem = Path::new(part).file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        stem.split(['_', '-']).any(|word| BANNED_NAMES.contains(&word))
    };
    path.split('/').any(is_banned).then(|| format!("{path}: the name says nothing, name it after what it owns"))
}

fn source(path: &str, content: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !content.starts_with("//! ") {
        findings.push(format!("{path}:1: no `//!` line, say first what the file is and what it does not do"));
    }
    let lines = content.lines().count();
    if lines > LINES_MAX {
        findings.push(format!("{path}: {lines} lines, split it by noun: {LINES_MAX} is the limit"));
    }
    findings
}

/// What is wrong with a line.
fn unfit(path: &str, line: &str) -> Option<String> {
    if let Some(mark) = MARKS.iter().find(|mark| has_word(line, mark))
        && !names_an_issue(line)
    {
        return Some(format!("{mark} without an issue, do it or add `#NUMBER`"));
    }
    if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| has_path(line, folder)) {
        return Some(format!("a path below /{folder}, take it as an argument or make it relative"));
    }
    if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(*host)) {
        return Some(format!("{host} is named, leave the registry to its client"));
    }
    let is_code = path.ends_with(".rs") && !line.trim_start().starts_with("//");
    if is_code && has_word(line, UNCHECKED) && !UNCHECKED_IN.contains(&path) {
        return Some(format!("{UNCHECKED} code, find a checked way or list the file in xtask/src/text.rs"));
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// True when `word` stands in `line` by itself.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

/// True when `line` holds an absolute path below `/folder`.
fn has_path(line: &str, folder: &str) -> bool {
    let path = format!("/{folder}");
    line.match_indices(&path).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + path.len()..]);
        let begins = !before.ends_with(|c| is_word(c) || "./-})~*".contains(c));
        begins && !after.starts_with(|c| is_word(c) || c == '-' || c == '.')
    })
}

fn names_an_issue(line: &str) -> bool {
    line.match_indices('#').any(|(at, _)| line[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file that holds `line` below its header.
    fn said(line: &str) -> String {
        findings("crates/market/src/bar.rs", &format!("//! Bars.\n{line}\n")).join("\n")
    }

    #[test]
    fn a_plain_file_passes() {
        assert_eq!(said("let total = width / work; // see `home/data`"), "");
    }

    #[test]
    fn a_file_begins_with_what_it_is() {
        assert!(findings("cli/src/main.rs", "use std::fmt;\n")[0].contains("no `//!` line"));
        assert!(findings("cli/src/main.rs", "//!\n")[0].contains("no `//!` line"));
        assert!(findings("cli/src/main.rs", "")[0].contains("no `//!` line"));
        assert_eq!(findings("scripts/demo.sh", "echo\n"), Vec::<String>::new());
    }

    #[test]
    fn a_file_is_split_before_it_is_long() {
        let of = |lines: usize| format!("//! Long.\n{}", "\n".repeat(lines - 1));
        assert_eq!(findings("cli/src/main.rs", &of(LINES_MAX)), Vec::<String>::new());
        assert!(findings("cli/src/main.rs", &of(LINES_MAX + 1))[0].contains("601 lines"));
    }

    #[test]
    fn a_name_that_says_nothing_is_told_in_a_file_and_in_a_folder() {
        for path in ["src/utils.rs", "src/order_manager.rs", "crates/common/src/lib.rs", "scripts/test-helper.sh"] {
            assert!(findings(path, "//! X.\n").join("").contains("the name says nothing"), "{path}");
        }
        assert_eq!(findings("src/commonality.rs", "//! X.\n"), Vec::<String>::new());
    }

    #[test]
    fn a_mark_needs_an_issue() {
        for mark in MARKS {
            assert!(said(&format!("// {mark}: later")).contains("without an issue"));
            assert_eq!(said(&format!("// {mark}(#12): later")), "");
            assert_eq!(said(&format!("let {mark}_LIST = 1;")), "");
        }
    }

    #[test]
    fn a_path_of_one_machine_is_told_and_a_relative_one_is_not() {
        for folder in MACHINE_FOLDERS {
            assert!(said(&format!("open(\"/{folder}/x\")")).contains("a path below"), "{folder}");
            assert!(said(&format!("cd /{folder}")).contains("a path below"), "{folder}");
            assert_eq!(said(&format!("open(\"data/{folder}/x\")")), "", "{folder}");
            assert_eq!(said(&format!("open(\"{{place}}/{folder}/x\")")), "", "{folder}");
            assert_eq!(said(&format!("open(\"/{folder}er/x\")")), "", "{folder}");
        }
    }

    #[test]
    fn a_registry_host_is_told_except_in_the_lock_file() {
        for host in REGISTRY_HOSTS {
            let line = format!("url = \"https://{host}/x\"");
            assert!(said(&line).contains("leave the registry"), "{host}");
            assert_eq!(findings("Cargo.lock", &line), Vec::<String>::new());
        }
    }

    #[test]
    fn code_that_the_compiler_cannot_check_is_told_and_talk_of_it_is_not() {
        assert!(said(&format!("    {UNCHECKED} {{ read() }}")).contains("find a checked way"));
        assert_eq!(said(&format!("/// Not {UNCHECKED} at all.")), "");
        assert_eq!(said(&format!("{UNCHECKED}_code = \"deny\"")), "");
    }

    #[test]
    fn a_finding_names_file_and_line() {
        assert!(said(&format!("// {}", MARKS[0])).starts_with("crates/market/src/bar.rs:2: "));
    }
}
