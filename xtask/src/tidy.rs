//! Gathers what the rules look at: the repository's files, its crates and its experiments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::{dependencies, text};

/// Everything to put right, in a fixed order.
///
/// # Errors
/// When git, cargo or the file system do not answer.
pub(crate) fn findings() -> anyhow::Result<Vec<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata failed")?;
    let root = metadata.workspace_root.clone().into_std_path_buf();
    let mut findings = dependencies::findings(&uses(&metadata.packages));
    for path in files(&root)? {
        let bytes = std::fs::read(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
        // Images and archives hold no words of ours.
        if let Ok(content) = String::from_utf8(bytes) {
            findings.extend(text::findings(&path, &content));
        }
    }
    findings.extend(experiments(&root)?);
    Ok(findings)
}

/// Each crate of the workspace with the crates of the workspace it uses.
fn uses(packages: &[cargo_metadata::Package]) -> BTreeMap<String, Vec<String>> {
    let ours = |dependency: &&cargo_metadata::Dependency| {
        dependency.kind == DependencyKind::Normal && dependency.path.is_some()
    };
    let used = |package: &cargo_metadata::Package| {
        package.dependencies.iter().filter(ours).map(|dependency| dependency.name.clone()).collect()
    };
    packages.iter().map(|package| (package.name.to_string(), used(package))).collect()
}

/// The repository's files: those that git knows and new ones that it does not ignore.
fn files(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let listed = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    // Files that are deleted and not yet committed are listed too.
    Ok(listed.split_terminator('\0').filter(|path| root.join(path).is_file()).map(str::to_owned).collect())
}

/// Problems of the experiments that the repository ships, as `tradewind run` would tell them.
fn experiments(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("experiments");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut findings = Vec::new();
    for path in paths {
        let content = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let problems = match spec::parse(&name, &content) {
            // As many cores as it asks for: whether a machine has them is no matter of the file.
            Ok((spec, positions)) => {
                let facts =
                    spec::Facts { cpus: spec.resources.cpus, gpus: spec.resources.gpus, data: None, encoder: None };
                spec::check(&spec, &positions, &facts)
            }
            Err(problems) => problems,
        };
        findings.extend(problems.iter().map(ToString::to_string));
    }
    Ok(findings)
}
